/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tsa - timestamps of a digest by an authority (RFC 3161), asked for and verified with OpenSSL.
 *
 * Not whether the authority is honest: who trusts none asks several. Reading is pure but for the file of authorities; asking blocks.
 * What is kept is the response as it came (DER), so that `openssl ts -verify` reads it as well.
 */
#ifndef OSIER_IO_TSA_H
#define OSIER_IO_TSA_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "io/http.h"

#define TSA_REQUEST_MAX  128u
#define TSA_RESPONSE_MAX 65536u

struct tsa_stamp {
	uint64_t time_s;     /* when the authority saw the digest, seconds since 1970 */
	uint64_t accuracy_s; /* as it says, rounded up; 0: it does not say */
	char serial[64];     /* hexadecimal */
	char policy[80];     /* dotted numbers */
	char authority[200]; /* subject of its certificate */
};
struct tsa_trust {
	const char *ca_file; /* PEM: roots, and what lies between them and the authority */
	uint64_t at_s;       /* certificates must be valid then; 0: now */
};

/* A request for a SHA-256 digest, with a nonce (0: none) and the wish for the certificate. Returns its length. */
size_t tsa_request(const uint8_t digest[32], uint64_t nonce, uint8_t out[TSA_REQUEST_MAX]);
/* Check a response: it is a grant, for this digest, with this nonce (0: any), signed by a certificate for timestamps alone that the
 * roots vouch for. ERR_INVALID: not a response, or the roots cannot be read; ERR_DENIED: the authority refused, says why; ERR_CORRUPT: it
 * is for other bytes, or its signature or certificate does not hold. */
int tsa_check(const uint8_t *response, size_t n, const uint8_t digest[32], uint64_t nonce,
        const struct tsa_trust *trust, struct tsa_stamp *out, struct err *e);
/* Ask the authority at url, and check. The response, which is to be kept, is written to `response`. Errors of http_ask() too; h must take
 * answers of TSA_RESPONSE_MAX at most. */
int tsa_ask(struct http *h, const char *url, const uint8_t digest[32], const struct tsa_trust *trust,
        uint8_t response[TSA_RESPONSE_MAX], size_t *out_n, struct tsa_stamp *out, struct err *e);

#endif
