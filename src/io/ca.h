/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ca - a hub's own certificate authority: it issues short-lived certificates to the nodes that joined, and says which are revoked.
 *
 * Not who may have one (core/identity.h). Files in a folder of its own (STATE/hub), 0700:
 *	ca.key ca.crt          the authority, Ed25519; made once, for CA_YEARS years; a new one is a new hub
 *	server.key server.crt  what the hub shows as a server (HTTPS and its broker), CA_SERVER_S long
 *	client.key client.crt  what the hub shows to the broker as a client: its name there is "hub"
 *	crl.pem                revoked certificates that have not expired; read by the broker
 * All but the keys may be read by anyone who may enter the folder. Blocking; one thread at a time.
 */
#ifndef OSIER_IO_CA_H
#define OSIER_IO_CA_H

#include "io/cert.h"

#define CA_YEARS       20u
#define CA_SERVER_S    (90u * 86400u)
#define CA_CLIENT_S    86400u /* of nodes, unless the hub is configured otherwise */
#define CA_NAMES_MAX   32u    /* names and addresses of one server */
#define CA_REVOKED_MAX 65536u

struct ca;

/* Open the authority in the folder, which is made if need be; of a hub of this name if it is new. ERR_EXISTS: it is of a hub with another
 * name; ERR_CORRUPT; ERR_DENIED: others may read the key. */
int ca_open(const char *dir, const char *hub, uint64_t now_ns, struct ca **out, struct err *e);
void ca_close(struct ca *c);
/* Is there one in the folder? */
bool ca_exists(const char *dir);
const char *ca_hub(const struct ca *c);
const char *ca_pem(const struct ca *c, size_t *out_n); /* its certificate */
void ca_fingerprint(const struct ca *c, uint8_t out[32]);

/* See to it that server.crt is for these names ("hub.example", "10.0.0.1", "::1") and valid for a third of its life, and client.crt too.
 * *out_changed: new ones were written. ERR_INVALID: one of the names is none. */
int ca_server(
        struct ca *c, const char *const *names, size_t n, uint64_t now_ns, bool *out_changed, struct err *e);
/* The same for a broker that the hub does not run: server.key and server.crt in a folder of its own, for those names. */
int ca_broker(struct ca *c, const char *dir, const char *const *names, size_t n, uint64_t now_ns,
        bool *out_changed, struct err *e);
/* A host name or numeric address that a certificate can name. */
bool ca_host_ok(const char *host);

/* A certificate for a node, from its request: PEM, malloc'd. life_s: from now on. */
int ca_issue(struct ca *c, const struct cert_request *r, const char *node, uint64_t now_ns, uint64_t life_s,
        char **out_pem, struct cert *out, struct err *e);

/* A word of the hub's to its nodes: Ed25519 with the authority's key, 64 bytes. What is signed begins with a line that says what it is, so
 * that it is no certificate. cert_trust_signed() checks it. */
void ca_sign(const struct ca *c, const uint8_t *bytes, size_t n, uint8_t out[64]);

struct ca_revoked {
	uint8_t serial[CERT_SERIAL];
	uint64_t at_ns;
};
/* Write crl.pem. It is valid for as long as the authority: it is never fetched over a network, so its age says nothing. */
int ca_crl(struct ca *c, const struct ca_revoked *v, size_t n, uint64_t now_ns, struct err *e);

#endif
