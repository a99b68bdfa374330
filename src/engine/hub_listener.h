/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_listener - the hub's HTTPS server, for nodes: joining, renewing certificates, and blobs.
 *
 * Neither the API (api.h) nor the log for strangers (listener.h). TLS 1.2 or newer by GnuTLS in libmicrohttpd, in a thread of its own, so
 * that nodes cost the loop nothing but what must be decided. A client's certificate is asked for and not demanded: who has none can do two
 * things.
 *
 *	anyone   GET  /v1/hub/ca           the CA's certificate, PEM
 *	         POST /v1/hub/join         JSON: version, token (its secret, hexadecimal), name, csr (PEM), key and signature (base64, of
 *	                                   io/join.h's statement), journal (hexadecimal): 201 and what hub.c answers
 *	anyone   POST /v1/hub/renew        the same without token: its signature, by the key that joined, says who it is
 *	a node   POST /v1/hub/me           {"node": NAME}: it is one still; 403 with the code 'removed': it was
 *	         POST /v1/hub/keys         of those that stand by: what hub_keys.c answers; JSON: origin (optional), where that one is,
 *	                                   and began: it has not asked before since it was started
 *	         POST /v1/hub/witness      heads of both logs, to be cosigned: what fabric.h says
 *	         POST /v1/hub/mirror       a piece of its log (core/logpiece.h), as bytes: what fabric.h says; HUB_LARGE_ONCE of them, others hear
 *	                                   503
 *	a hub    POST /v1/hub/lacks        to one that stands by: {blobs: [SHA256, ...]}, answered with those that it lacks
 *	         GET, HEAD /v1/blobs/SHA256   Range and If-Range (RFC 9110); of what has come in part HEAD says Upload-Offset, with 404
 *	         PUT  /v1/blobs/SHA256     from the beginning or, with Content-Range, from where HEAD says; verified while it comes
 *
 * A node is who shows a certificate by our CA, in its time and not revoked; that is looked at anew for every request. Wrong tokens of one
 * address are answered at a pace (HUB_TRIES a second). Errors are JSON as the API has them.
 */
#ifndef OSIER_ENGINE_HUB_LISTENER_H
#define OSIER_ENGINE_HUB_LISTENER_H

#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/err.h"
#include "core/identity.h"
#include "io/cert.h"
#include "io/join.h"

#define HUB_CONNECTIONS 4096u /* at once; of one address a quarter of them */
#define HUB_IDLE_S      60u
#define HUB_BODY_MAX    (32u << 10) /* of what is not a blob */
#define HUB_LARGE_MAX   (1u << 20)  /* of a piece of a log */
#define HUB_LARGE_ONCE  8u          /* such bodies at a time, one of each node */
#define HUB_LARGE_S     120 /* after so long one has to make room for another's, when all places are taken */
#define HUB_TRIES       5u  /* wrong tokens a second that one address may try; twice as many at first */

struct blobs;
struct hub_listener;

/* What a node asks for: its request is well formed, and signed with both of its keys. */
struct hub_asked {
	enum join_what what;
	char name[CERT_NAME_MAX + 1];
	uint8_t token_hash[32]; /* JOIN_JOIN; JOIN_TAKEN: the file's digest */
	uint64_t bytes;         /* JOIN_TAKEN */
	uint8_t key[32];        /* the node's ledger key */
	uint8_t was[32];        /* JOIN_RENEW: its key until now, which vouches for `key`, when `vouched` */
	bool vouched;
	uint8_t journal[32];
	struct cert_request *request; /* NULL: JOIN_KEYS */
	char standby[IDENTITY_ORIGIN +
	             1]; /* JOIN_JOIN, JOIN_KEYS: it would be the hub there; "": it is a node */
	uint32_t standby_broker;
	bool began;     /* JOIN_KEYS: it has not asked before in its life */
	bool has_files; /* JOIN_KEYS: it says what it has: handover_digest() */
	uint8_t files[32];
	const char *body; /* JOIN_WITNESS, JOIN_MIRROR: until it is answered */
	size_t body_n;
};

struct hub_listener_options {
	const char *listen;   /* numeric: "0.0.0.0", "::" */
	unsigned port;        /* 0: any */
	const char *dir;      /* of the CA and its server certificate (io/ca.h) */
	const char *incoming; /* a folder of ours for blobs that have come in part; it is made */
	struct blobs *blobs;
	uv_loop_t *loop;
	/* On the loop's thread; it must be answered, at once or later. */
	void (*ask)(void *ctx, struct hub_asked *a);
	void *ctx;
};

/* Listen and serve from now on; strings are copied. ERR_EXISTS: the port is taken; ERR_SYSTEM; ERR_NOTFOUND: no certificates. */
int hub_listener_open(const struct hub_listener_options *o, struct hub_listener **out, struct err *e);
/* The answer: JSON text (borrowed); a is gone. A refused token counts against its address when `guess`. */
void hub_listener_answer(struct hub_asked *a, unsigned status, const char *json, bool guess);
/* These serials (sorted by the call) count no more; replaces what was said before. */
void hub_listener_revoked(struct hub_listener *l, const uint8_t (*serials)[CERT_SERIAL], size_t n);
/* The certificates in the folder have changed: connections from now on get the new ones. */
int hub_listener_reload(struct hub_listener *l, struct err *e);
unsigned hub_listener_port(const struct hub_listener *l);
/* Before the loop is closed: nothing is asked any more, what waits is answered with 503. */
void hub_listener_stop(struct hub_listener *l);
/* After it. NULL is fine. */
void hub_listener_close(struct hub_listener *l);

#endif
