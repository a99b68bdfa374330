/* SPDX-License-Identifier: Apache-2.0 */
/* ethkey - see ethkey.h. */
#include "io/ethkey.h"

#include <secp256k1.h>
#include <secp256k1_recovery.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "io/keys.h"

/* Blinded: what an observer of time or power sees of a signature does not depend on the secret alone. */
static secp256k1_context *context_new(void)
{
	secp256k1_context *c = secp256k1_context_create(SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY);
	uint8_t seed[32];

	CHECK(c != NULL);
	CHECK(sodium_init() >= 0);
	randombytes_buf(seed, sizeof(seed));
	CHECK(secp256k1_context_randomize(c, seed) == 1);
	sodium_memzero(seed, sizeof(seed));
	return c;
}

static void public_bytes(const secp256k1_context *c, const secp256k1_pubkey *key, uint8_t out[64])
{
	uint8_t bytes[65];
	size_t n = sizeof(bytes);

	CHECK(secp256k1_ec_pubkey_serialize(c, bytes, &n, key, SECP256K1_EC_UNCOMPRESSED) == 1);
	CHECK(n == sizeof(bytes) && bytes[0] == 0x04);
	memcpy(out, bytes + 1, 64);
}

bool ethkey_secret_ok(const uint8_t secret[32])
{
	return secp256k1_ec_seckey_verify(secp256k1_context_static, secret) == 1;
}

void ethkey_secret_new(uint8_t out[32])
{
	CHECK(sodium_init() >= 0);
	do
		randombytes_buf(out, 32);
	while (!ethkey_secret_ok(out));
}

static int bad_secret(struct err *e)
{
	return err_set(
	        e, ERR_INVALID, "not a secret key of secp256k1: it is 0 or not below the order of the curve");
}

int ethkey_public(const uint8_t secret[32], uint8_t out[64], struct err *e)
{
	secp256k1_context *c;
	secp256k1_pubkey key;
	int ok;

	if (!ethkey_secret_ok(secret))
		return bad_secret(e);
	c = context_new();
	ok = secp256k1_ec_pubkey_create(c, &key, secret);
	if (ok)
		public_bytes(c, &key, out);
	secp256k1_context_destroy(c);
	return ok ? 0 : bad_secret(e);
}

int ethkey_account(const uint8_t secret[32], uint8_t out[20], struct err *e)
{
	uint8_t key[64];

	if (ethkey_public(secret, key, e) < 0)
		return -1;
	evm_address_of(key, out);
	return 0;
}

/* Half the order of the curve, big-endian; s above it is a signature that chains refuse (EIP-2). */
static bool low_s(const uint8_t s[32])
{
	static const uint8_t half[32] = {0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	        0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9,
	        0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0};

	return memcmp(s, half, sizeof(half)) <= 0;
}

bool ethkey_recover(const struct evm_sig *sig, const uint8_t hash[32], uint8_t out_account[20])
{
	secp256k1_ecdsa_recoverable_signature parsed;
	uint8_t compact[64], bytes[64];
	secp256k1_context *c;
	secp256k1_pubkey key;
	bool ok;

	if (sig->y > 1 || !low_s(sig->s))
		return false;
	memcpy(compact, sig->r, 32);
	memcpy(compact + 32, sig->s, 32);
	c = context_new();
	ok = secp256k1_ecdsa_recoverable_signature_parse_compact(c, &parsed, compact, sig->y) == 1 &&
	     secp256k1_ecdsa_recover(c, &key, &parsed, hash) == 1;
	if (ok) {
		public_bytes(c, &key, bytes);
		evm_address_of(bytes, out_account);
	}
	secp256k1_context_destroy(c);
	return ok;
}

int ethkey_sign(const uint8_t secret[32], const uint8_t hash[32], struct evm_sig *out, struct err *e)
{
	secp256k1_ecdsa_recoverable_signature sig;
	uint8_t compact[64], account[20], signer[20];
	secp256k1_context *c;
	struct evm_sig s;
	int parity = -1, ok;

	if (ethkey_account(secret, account, e) < 0)
		return -1;
	c = context_new();
	ok = secp256k1_ecdsa_sign_recoverable(c, &sig, hash, secret, NULL, NULL);
	CHECK(ok == 1); /* the secret is one, and RFC 6979 finds a nonce */
	(void)secp256k1_ecdsa_recoverable_signature_serialize_compact(c, compact, &parity, &sig);
	secp256k1_context_destroy(c);
	/* Parity 2 and 3 mean an x above the order: once in 2^127 signatures, and no chain takes it. */
	CHECK(parity == 0 || parity == 1);
	memcpy(s.r, compact, 32);
	memcpy(s.s, compact + 32, 32);
	s.y = (uint8_t)parity;
	/* A flipped bit must not leave as a signature: wrong ones can give the secret away. */
	if (!ethkey_recover(&s, hash, signer) || memcmp(signer, account, sizeof(account)) != 0)
		return err_set(e, ERR_CORRUPT,
		        "the signature just made is not that of '0x%02x%02x...': this "
		        "machine's memory or processor is at fault",
		        account[0], account[1]);
	*out = s;
	return 0;
}

/* ---- files ---- */

static const char mark[] = "osier account key v1 ";

enum { LINE_BYTES = sizeof(mark) - 1 + 42 + 1 + 66 + 1 };

static int not_a_key(struct err *e)
{
	return err_set(e, ERR_CORRUPT, "not an account's key of osier");
}

/* The account that is written beside the secret must be its own. */
static int parse_line(const char *line, size_t n, uint8_t out_secret[32], struct err *e)
{
	const char *account = line + sizeof(mark) - 1, *secret = account + 42 + 1;
	uint8_t written[20], own[20];

	if (n != LINE_BYTES || memcmp(line, mark, sizeof(mark) - 1) != 0 || account[42] != ' ' ||
	        line[n - 1] != '\n' || evm_address_parse(account, 42, written, NULL) < 0 ||
	        !evm_data_exact(secret, 66, out_secret, 32))
		return not_a_key(e);
	if (ethkey_account(out_secret, own, NULL) < 0 || memcmp(own, written, sizeof(own)) != 0) {
		sodium_memzero(out_secret, 32);
		return err_set(e, ERR_CORRUPT,
		        "the secret is not that of the account it is written with: the key is damaged");
	}
	return 0;
}

int ethkey_store(const char *path, const char *passphrase, const uint8_t secret[32], struct err *e)
{
	char text[KEY_FILE_MAX], line[LINE_BYTES + 1], account[EVM_ADDRESS_TEXT], hex[2 + 64 + 1];
	uint8_t a[20];
	size_t n;
	int rc;

	if (ethkey_account(secret, a, e) < 0)
		return -1;
	evm_address_print(a, account);
	(void)evm_data_print(secret, 32, hex);
	n = (size_t)snprintf(line, sizeof(line), "%s%s %s\n", mark, account, hex);
	CHECK(n == LINE_BYTES);
	memcpy(text, line, n);
	if (passphrase)
		n = key_seal(account, line, n, passphrase, text);
	rc = key_file_write(path, text, n, e);
	sodium_memzero(text, sizeof(text));
	sodium_memzero(line, sizeof(line));
	sodium_memzero(hex, sizeof(hex));
	return rc;
}

int ethkey_create(const char *path, const char *passphrase, uint8_t out_account[20], struct err *e)
{
	uint8_t secret[32];
	int rc;

	ethkey_secret_new(secret);
	rc = ethkey_store(path, passphrase, secret, e);
	if (rc == 0)
		rc = ethkey_account(secret, out_account, e);
	sodium_memzero(secret, sizeof(secret));
	return rc;
}

int ethkey_load(const char *path, const char *passphrase, uint8_t out_secret[32], struct err *e)
{
	char text[KEY_FILE_MAX + 1], line[KEY_FILE_MAX], label[KEY_FILE_MAX + 1];
	size_t n = 0, line_n = 0;
	int rc = key_file_read(path, text, &n, e);

	if (rc < 0)
		return -1;
	if (!key_is_sealed(text, n))
		rc = parse_line(text, n, out_secret, e);
	else if ((rc = key_unseal(text, n, passphrase, label, line, &line_n, e)) == 0)
		rc = parse_line(line, line_n, out_secret, e);
	if (rc == 0 && line_n && (strlen(label) != 42 || memcmp(label, line + sizeof(mark) - 1, 42) != 0)) {
		sodium_memzero(out_secret, 32);
		rc = err_set(e, ERR_CORRUPT, "the sealed key is not that of the account it is labelled with");
	}
	sodium_memzero(text, sizeof(text));
	sodium_memzero(line, sizeof(line));
	return rc < 0 ? err_wrap(e, "'%.100s'", path) : 0;
}

int ethkey_load_account(const char *path, uint8_t out_account[20], bool *out_sealed, struct err *e)
{
	char text[KEY_FILE_MAX + 1], line[KEY_FILE_MAX], label[KEY_FILE_MAX + 1] = "";
	uint8_t secret[32];
	struct err ignored;
	size_t n = 0;
	int rc = key_file_read(path, text, &n, e);

	if (rc < 0)
		return -1;
	*out_sealed = key_is_sealed(text, n);
	if (*out_sealed) {
		(void)key_unseal(text, n, NULL, label, line, &n, &ignored); /* for the label */
		rc = evm_address_parse(label, strlen(label), out_account, NULL) < 0 ? not_a_key(e) : 0;
	} else if ((rc = parse_line(text, n, secret, e)) == 0) {
		rc = ethkey_account(secret, out_account, e);
	}
	sodium_memzero(text, sizeof(text));
	sodium_memzero(secret, sizeof(secret));
	return rc < 0 ? err_wrap(e, "'%.100s'", path) : 0;
}

int ethkey_open_account(const char *path, const char *passphrase, uint8_t out_account[20], struct err *e)
{
	bool sealed;

	if (ethkey_load_account(path, out_account, &sealed, e) == 0)
		return 0;
	if (e->code != ERR_NOTFOUND)
		return -1;
	if (ethkey_create(path, passphrase, out_account, e) == 0)
		return 0;
	/* Another process may have been the first: then its key is there now. */
	return e->code == ERR_EXISTS ? ethkey_load_account(path, out_account, &sealed, e) : -1;
}
