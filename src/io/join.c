/* SPDX-License-Identifier: Apache-2.0 */
/* join - see join.h. */
#include "io/join.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "io/sha256.h"

#define TOKEN_BYTES 33u

void join_token_make(const uint8_t ca_sha256[32], struct join_token *out)
{
	CHECK(sodium_init() >= 0);
	memcpy(out->fingerprint, ca_sha256, sizeof(out->fingerprint));
	randombytes_buf(out->secret, sizeof(out->secret));
}

void join_token_print(const struct join_token *t, char out[JOIN_TOKEN_CHARS + 1])
{
	uint8_t bytes[TOKEN_BYTES] = {JOIN_VERSION};

	memcpy(bytes + 1, t->fingerprint, 16);
	memcpy(bytes + 17, t->secret, 16);
	CHECK(base64_write(bytes, sizeof(bytes), out) == JOIN_TOKEN_CHARS); /* 33 is a multiple of 3 */
	for (unsigned i = 0; i < JOIN_TOKEN_CHARS; i++)
		out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
	sodium_memzero(bytes, sizeof(bytes));
}

void join_token_hash(const uint8_t secret[16], uint8_t out[32])
{
	sha256_of(secret, 16, out);
}

static int token_parse(const char *text, struct join_token *out, struct err *e)
{
	char copy[JOIN_TOKEN_CHARS + 1];
	uint8_t bytes[TOKEN_BYTES];

	if (strlen(text) != JOIN_TOKEN_CHARS) {
		(void)err_set(e, ERR_INVALID, "a token has %u characters after '#', this one %zu",
		        JOIN_TOKEN_CHARS, strlen(text));
		return err_hint(e, "paste the whole line that the hub printed, in quotes");
	}
	for (unsigned i = 0; i <= JOIN_TOKEN_CHARS; i++) {
		if (text[i] == '+' || text[i] == '/')
			return err_set(
			        e, ERR_INVALID, "the token has a character that none has: it is damaged");
		copy[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
	}
	if (base64_read(copy, JOIN_TOKEN_CHARS, bytes, sizeof(bytes)) != TOKEN_BYTES)
		return err_set(e, ERR_INVALID, "the token has a character that none has: it is damaged");
	if (bytes[0] != JOIN_VERSION) {
		(void)err_set(e, ERR_VERSION, "the token is of version %u, this osier knows %u", bytes[0],
		        JOIN_VERSION);
		return err_hint(e, "install the hub's version of osier here");
	}
	memcpy(out->fingerprint, bytes + 1, 16);
	memcpy(out->secret, bytes + 17, 16);
	return 0;
}

void join_origin(const char *host, unsigned port, char out[JOIN_URL_MAX])
{
	bool v6 = strchr(host, ':') != NULL;

	(void)snprintf(out, JOIN_URL_MAX, "https://%s%.253s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

/* The host and port of "HOST[:PORT]", or "[HOST]:PORT". */
static int host_parse(const char *p, size_t n, char out[JOIN_URL_MAX], struct err *e)
{
	const char *end = p + n, *colon, *close = NULL;
	char host[254];
	unsigned long port = JOIN_PORT;
	size_t len;

	if (n && *p == '[')
		close = memchr(p, ']', n);
	colon = close ? (close + 1 < end ? close + 1 : NULL) : memchr(p, ':', n);
	len = close ? (size_t)(close - p - 1) : colon ? (size_t)(colon - p) : n;
	if (len == 0 || len >= sizeof(host) || (colon && *colon != ':'))
		return err_set(e, ERR_INVALID, "there is no host after 'https://'");
	memcpy(host, close ? p + 1 : p, len);
	host[len] = '\0';
	for (size_t i = 0; i < len; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:%", host[i]))
			return err_set(e, ERR_INVALID, "'%.80s' is not a host", host);
	if (colon) {
		port = 0;
		for (const char *d = colon + 1; d < end; d++)
			port = *d < '0' || *d > '9' || port > 65535 ? 65536
			                                            : port * 10 + (unsigned long)(*d - '0');
		if (port == 0 || port > 65535)
			return err_set(e, ERR_INVALID, "the port after '%.80s' is none", host);
	}
	join_origin(host, (unsigned)port, out);
	return 0;
}

int join_origin_parse(const char *text, char out[JOIN_URL_MAX], struct err *e)
{
	if (strncmp(text, "https://", 8) != 0 || strlen(text) >= JOIN_URL_MAX)
		return err_set(e, ERR_INVALID, "'%.80s' is not https://HOST:PORT", text);
	return host_parse(text + 8, strlen(text) - 8, out, e);
}

int join_line_parse(const char *text, struct join_line *out, struct err *e)
{
	const char *hash = strchr(text, '#'), *host = text + 8;
	size_t n;

	if (strncmp(text, "https://", 8) != 0) {
		(void)err_set(e, ERR_INVALID, "where to join begins with 'https://'");
		return err_hint(e, "paste the line that 'osier hub' prints on the hub");
	}
	if (!hash) {
		(void)err_set(e, ERR_INVALID, "there is no token: it comes after '#'");
		return err_hint(e, "put the whole line in quotes: some shells take '#' for a comment");
	}
	n = (size_t)(hash - host);
	if (n && host[n - 1] == '/')
		n--;
	if (host_parse(host, n, out->origin, e) < 0)
		return -1;
	return token_parse(hash + 1, &out->token, e);
}

size_t join_statement(enum join_what what, const uint8_t fingerprint[16], const char *name,
        const uint8_t journal[32], const uint8_t request_sha256[32], char out[JOIN_STATEMENT_MAX])
{
	char journal_hex[65], request_hex[65], finger[33];
	int n;

	for (unsigned i = 0; i < 16; i++)
		(void)snprintf(finger + 2 * i, 3, "%02x", fingerprint[i]);
	sha256_hex(journal, journal_hex);
	sha256_hex(request_sha256, request_hex);
	n = snprintf(out, JOIN_STATEMENT_MAX, "osier %s %d\nhub %s\nname %.63s\njournal %s\nrequest %s\n",
	        what == JOIN_JOIN ? "join" : "renew", JOIN_VERSION, finger, name, journal_hex, request_hex);
	CHECK(n > 0 && n < (int)JOIN_STATEMENT_MAX);
	return (size_t)n;
}

size_t join_vouch(const uint8_t fingerprint[16], const char *name, const uint8_t key[32],
        const uint8_t new_key[32], char out[JOIN_STATEMENT_MAX])
{
	char finger[33], hex[65], new_hex[65];
	int n;

	for (unsigned i = 0; i < 16; i++)
		(void)snprintf(finger + 2 * i, 3, "%02x", fingerprint[i]);
	sha256_hex(key, hex);
	sha256_hex(new_key, new_hex);
	n = snprintf(out, JOIN_STATEMENT_MAX, "osier node key v1\n%s\n%.63s\n%s\n%s\n", finger, name, hex,
	        new_hex);
	return (size_t)n;
}
