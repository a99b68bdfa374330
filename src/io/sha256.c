/* SPDX-License-Identifier: Apache-2.0 */
/* sha256 - see sha256.h. */
#include "io/sha256.h"

#include <pthread.h>

#include <openssl/evp.h>

#include "base/check.h"

struct sha256 {
	EVP_MD_CTX *ctx;
};

static EVP_MD *algorithm;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fetch(void)
{
	algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
	CHECK(algorithm);
}

struct sha256 *sha256_new(void)
{
	struct sha256 *s = calloc(1, sizeof(*s));

	(void)pthread_once(&once, fetch);
	CHECK(s);
	s->ctx = EVP_MD_CTX_new();
	CHECK(s->ctx);
	sha256_begin(s);
	return s;
}

void sha256_free(struct sha256 *s)
{
	if (!s)
		return;
	EVP_MD_CTX_free(s->ctx);
	free(s);
}

void sha256_begin(struct sha256 *s)
{
	int ok = EVP_DigestInit_ex2(s->ctx, algorithm, NULL);

	CHECK(ok == 1);
}

void sha256_update(struct sha256 *s, const void *p, size_t n)
{
	int ok = n == 0 || EVP_DigestUpdate(s->ctx, p, n) == 1;

	CHECK(ok);
}

void sha256_end(struct sha256 *s, uint8_t out[SHA256_BYTES])
{
	int ok = EVP_DigestFinal_ex(s->ctx, out, NULL);

	CHECK(ok == 1);
	sha256_begin(s);
}

void sha256_of(const void *p, size_t n, uint8_t out[SHA256_BYTES])
{
	int ok;

	(void)pthread_once(&once, fetch);
	ok = EVP_Digest(p, n, out, NULL, algorithm, NULL);
	CHECK(ok == 1);
}

static void hash_two(
        void *ctx, const void *a, size_t an, const void *b, size_t bn, uint8_t out[MERKLE_HASH_BYTES])
{
	struct sha256 *s = ctx;

	sha256_update(s, a, an);
	sha256_update(s, b, bn);
	sha256_end(s, out);
}

struct merkle_hash sha256_merkle(struct sha256 *s)
{
	return (struct merkle_hash){.fn = hash_two, .ctx = s};
}

void sha256_hex(const uint8_t digest[SHA256_BYTES], char out[SHA256_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < SHA256_BYTES; i++) {
		out[2 * i] = digits[digest[i] >> 4];
		out[2 * i + 1] = digits[digest[i] & 15];
	}
	out[SHA256_HEX] = '\0';
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int sha256_unhex(const char *hex, uint8_t out[SHA256_BYTES])
{
	uint8_t digest[SHA256_BYTES];

	for (size_t i = 0; i < SHA256_BYTES; i++) {
		int high = digit(hex[2 * i]), low = high < 0 ? -1 : digit(hex[2 * i + 1]);

		if (low < 0)
			return -1;
		digest[i] = (uint8_t)(high << 4 | low);
	}
	if (hex[SHA256_HEX] != '\0')
		return -1;
	memcpy(out, digest, sizeof(digest));
	return 0;
}
