/* SPDX-License-Identifier: Apache-2.0 */
/*
 * join - what a node and a hub say to each other when the node joins: the token, and what the node signs.
 *
 *	https://HOST:PORT#TOKEN      TOKEN: base64url (RFC 4648, section 5, no padding) of 33 bytes:
 *	                             1, the first 16 of the SHA-256 of the CA's certificate, 16 random ones (the secret)
 * Half of the fingerprint is enough: who wants to be taken for the hub must find a certificate with these 128 bits, for one hub that
 * is there already (a second preimage, 2^128 tries); a collision, which half as many bits would be too few for, helps nobody,
 * since the hub makes its certificate itself. It keeps the line that people paste short.
 * The fingerprint is checked before the secret is said, and the hub keeps only the secret's SHA-256. Pure but for
 * SHA-256 and randomness.
 */
#ifndef OSIER_IO_JOIN_H
#define OSIER_IO_JOIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "io/cert.h"

#define JOIN_PORT          7443u
#define JOIN_TOKEN_CHARS   44u
#define JOIN_URL_MAX       512u
#define JOIN_STATEMENT_MAX 512u
#define JOIN_VERSION       1

struct join_token {
	uint8_t fingerprint[16];
	uint8_t secret[16];
};
/* A new secret for the hub whose CA has this digest. */
void join_token_make(const uint8_t ca_sha256[32], struct join_token *out);
void join_token_print(const struct join_token *t, char out[JOIN_TOKEN_CHARS + 1]);
/* What the hub keeps. */
void join_token_hash(const uint8_t secret[16], uint8_t out[32]);

struct join_line {
	char origin[JOIN_URL_MAX]; /* "https://hub:7443", with the port */
	struct join_token token;
};
/* The line that `osier hub` prints: ERR_INVALID says what is wrong with it. */
int join_line_parse(const char *text, struct join_line *out, struct err *e);
/* "https://HOST:PORT" of a host name or address. */
void join_origin(const char *host, unsigned port, char out[JOIN_URL_MAX]);

/* The same from such a text, whole: ERR_INVALID says what is wrong with it. */
int join_origin_parse(const char *text, char out[JOIN_URL_MAX], struct err *e);

enum join_what {
	JOIN_JOIN,
	JOIN_RENEW,
	JOIN_KEYS,    /* the hub's, for a standby: nothing is signed */
	JOIN_TAKEN,   /* not joining: a file has come, before it is answered */
	JOIN_MIRROR,  /* nor this: a piece of its log */
	JOIN_WITNESS, /* nor this: heads of logs, to be cosigned; the body is the asker's */
};
/* What the node signs with its ledger key, which so stands for the key of its certificate: all that the hub is asked to believe.
 * fingerprint: the first 16 bytes of the CA's digest. Returns its length. */
size_t join_statement(enum join_what what, const uint8_t fingerprint[16], const char *name,
        const uint8_t journal[32], const uint8_t request_sha256[32], char out[JOIN_STATEMENT_MAX]);
/* What a node's key signs to say which one comes after it, at this hub; returns its length:
 *	"osier node key v1\n" FINGERPRINT (hex) "\n" NAME "\n" KEY (hex) "\n" NEW KEY (hex) "\n" */
size_t join_vouch(const uint8_t fingerprint[16], const char *name, const uint8_t key[32],
        const uint8_t new_key[32], char out[JOIN_STATEMENT_MAX]);

#endif
