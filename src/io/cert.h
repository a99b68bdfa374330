/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cert - certificates as both ends of a link use them: keys for TLS, requests, and what a certificate says (X.509, RFC 5280).
 *
 * Not who issues them (io/ca.h). Keys are Ed25519 (RFC 8410) and nothing else is taken. Everything that reads bytes of others is bounded:
 * PEM of at most CERT_PEM_MAX bytes, names as cert_name_ok(). Blocking; any thread, one struct in one thread at a time.
 *
 *	who          subject            subjectAltName                         extended key usage
 *	hub's CA     O=osier hub, CN=HUB                                       (signs certificates and CRLs)
 *	hub's server CN=HUB             URI:osier://HUB, its names, addresses  serverAuth
 *	node         CN=NODE            URI:osier://HUB/NODE                   clientAuth
 * So a node's certificate cannot be shown as a server's, whatever its name.
 */
#ifndef OSIER_IO_CERT_H
#define OSIER_IO_CERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define CERT_NAME_MAX 63u         /* of a hub or node, in certificates and in topics */
#define CERT_PEM_MAX  (16u << 10) /* of anything in PEM */
#define CERT_SERIAL   16u         /* random, the first bit zero */
#define CERT_BACK_S   3600u       /* a certificate is valid from so long before it was made: clocks differ */
#define CERT_HUB      "hub"       /* no node may have this name */

/* [a-z0-9-], 1 to CERT_NAME_MAX bytes, no '-' at either end. */
bool cert_name_ok(const char *name);
/* The nearest such name: "Press_4.hall" is "press-4-hall"; what has no letter or digit is "node". */
void cert_name_from(const char *text, char out[CERT_NAME_MAX + 1]);

/* Write a file in one step and durably: those who read it see the old or the new one. mode: 0600 for what is secret. */
int cert_file_write(const char *path, const void *p, size_t n, unsigned mode, struct err *e);
/* A file's text, malloc'd, with a NUL. ERR_NOTFOUND; ERR_CORRUPT: larger than CERT_PEM_MAX. */
int cert_file_read(const char *path, char **out, size_t *out_n, struct err *e);

/* Make a key for TLS: PKCS#8 in PEM, 0600, durable. An existing one stays and is fine. ERR_CORRUPT: what is there is no such key. */
int cert_key_make(const char *path, struct err *e);
/* A request (PKCS#10, PEM, malloc'd) for `name`, signed with the key in the file. */
int cert_request_make(const char *key_path, const char *name, char **out_pem, struct err *e);

struct cert_request;
/* Somebody's request: PEM, an Ed25519 key, and its own signature holds. Name and extensions in it are not looked at: whoever issues
 * says those. ERR_INVALID says what is wrong. */
int cert_request_read(const char *pem, size_t n, struct cert_request **out, struct err *e);
void cert_request_free(struct cert_request *r);
/* SHA-256 of the request's DER: what a node signs with its ledger key, so that both keys stand for each other. */
void cert_request_digest(const struct cert_request *r, uint8_t out[32]);

/* What a certificate says. */
struct cert {
	char hub[CERT_NAME_MAX + 1];  /* of its URI; "" none */
	char name[CERT_NAME_MAX + 1]; /* its CN */
	uint8_t serial[CERT_SERIAL];  /* right-aligned */
	uint8_t sha256[32];           /* of its DER */
	uint64_t not_before_ns, not_after_ns;
};
/* The first certificate of a PEM text. ERR_INVALID. */
int cert_read(const char *pem, size_t n, struct cert *out, struct err *e);
int cert_read_der(const uint8_t *der, size_t n, struct cert *out, struct err *e);

/* Is this, in PEM and not sealed, the private key of the first certificate of that text? */
bool cert_key_of(const char *key, size_t key_n, const char *pem, size_t n);

struct cert_trust;
/* A hub's CA, in PEM. ERR_INVALID: none, or not one of osier. */
int cert_trust_new(const char *pem, size_t n, struct cert_trust **out, struct err *e);
void cert_trust_free(struct cert_trust *t);
void cert_trust_digest(
        const struct cert_trust *t, uint8_t out[32]);   /* SHA-256 of its DER: the hub's fingerprint */
const char *cert_trust_hub(const struct cert_trust *t); /* the hub's name */
/* The certificate alone, as PEM, malloc'd: what it was read from may hold others after it, which whoever reads such a file would trust too. */
char *cert_trust_pem(const struct cert_trust *t);
/* Is this a node's certificate by that CA, and valid at now_ns? ERR_DENIED: says why not. Revocation is the caller's to know. */
int cert_trust_check(const struct cert_trust *t, const uint8_t *der, size_t n, uint64_t now_ns,
        struct cert *out, struct err *e);

/* The same for a text in PEM, whose time is not looked at: is it one that this hub gave to a node? */
int cert_trust_holds(const struct cert_trust *t, const char *pem, size_t n, struct cert *out, struct err *e);

/* Is it a word of this hub's (ca_sign())? */
bool cert_trust_signed(const struct cert_trust *t, const uint8_t *bytes, size_t n, const uint8_t sig[64]);

/* When to renew it: after two thirds of the time from when it was made. */
uint64_t cert_renew_ns(const struct cert *c);

#endif
