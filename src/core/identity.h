/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity - who may join this hub, and whose certificates count: tokens and nodes, folded from TokenSet and CertSet entries.
 *
 * Not the certificates themselves (io/ca.h), nor nodes as places for work (sched.h). A token is known by the SHA-256 of its secret
 * and lets one node join once; the node that joined with it may ask again with the same key, because its answer may have been lost.
 * A name belongs to the key that joined with it, until the node is removed; a key has one name: who joins as another was removed as the
 * first. A standby joins as a node does, with a token for standbys; it is no place for work, and known by where it would be the hub.
 * Limits: identity_limits(). A token is forgotten when its time is over and its place is needed; a node when it was removed, its last
 * certificate has expired and its place is needed. Pure.
 */
#ifndef OSIER_CORE_IDENTITY_H
#define OSIER_CORE_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/osier.pb-c.h"

#define IDENTITY_NAME_MAX 63u
#define IDENTITY_SERIAL   16u
#define IDENTITY_CERTS    8u   /* of one node at a time */
#define IDENTITY_REASON   200u /* bytes of a reason, without its NUL */
#define IDENTITY_STANDBYS 8u
#define IDENTITY_ORIGIN   250u /* bytes of https://HOST:PORT, without its NUL */

struct identity;

struct identity_limits {
	uint32_t tokens, nodes;
};
struct identity_limits identity_limits(uint32_t nodes_max);
size_t identity_bytes(const struct identity_limits *l);
/* In `mem` (8-aligned, zeroed, identity_bytes() long, borrowed). */
struct identity *identity_new(void *mem, const struct identity_limits *l);

/* ---- looking ---- */

enum identity_token_state { TOKEN_OPEN, TOKEN_USED, TOKEN_REVOKED };
struct identity_token {
	uint8_t hash[32];
	uint64_t expires_ns;
	enum identity_token_state state;
	const char *used_by; /* "" nobody */
	bool standby;        /* for one that stands by */
};
/* The i-th token, or false past the last. */
bool identity_token(const struct identity *s, uint32_t i, struct identity_token *out);

struct identity_cert {
	uint8_t serial[IDENTITY_SERIAL];
	uint64_t not_after_ns, revoked_ns; /* revoked_ns 0: not */
};
struct identity_node {
	const char *name;
	const uint8_t *key, *journal; /* 32 bytes each */
	bool removed;
	uint32_t n_certs;
	const struct identity_cert *certs;
};
/* The i-th node, or false past the last; removed ones too. */
bool identity_node(const struct identity *s, uint32_t i, struct identity_node *out);
bool identity_node_named(const struct identity *s, const char *name, struct identity_node *out);

struct identity_standby {
	const char *name, *origin;
	uint32_t broker_port;
};
/* The i-th that stands by and was not removed, in the order in which they came; false past the last. */
bool identity_standby(const struct identity *s, uint32_t i, struct identity_standby *out);
bool identity_stands_by(const struct identity *s, const char *name);

/* ---- deciding: NULL, or why not (with *e) ---- */

/* May it be made or withdrawn? */
int identity_may_token(const struct identity *s, uint64_t now_ns, const Wire__TokenSet *m, struct err *e);
/* May the node of this certificate join with the token? *out_again: it did already, only the certificate is new. ERR_DENIED: no such
 * token; ERR_EXISTS: used, withdrawn, or the name is another's; ERR_TIMEOUT: expired; ERR_FULL. */
int identity_may_join(const struct identity *s, uint64_t now_ns, const uint8_t hash[32],
        const Wire__CertSet *m, bool *out_again, struct err *e);
/* May it be renewed, or revoked (m->revoked)? ERR_NOTFOUND (none to revoke), ERR_REMOVED (none to renew,
 * or not any more), ERR_DENIED (another key), ERR_FULL (renewed too often). */
int identity_may_cert(const struct identity *s, uint64_t now_ns, const Wire__CertSet *m, struct err *e);

/* ---- applying: entries that were decided by the above ---- */

void identity_apply_token(struct identity *s, uint64_t now_ns, const Wire__TokenSet *m);
void identity_apply_cert(struct identity *s, uint64_t now_ns, const Wire__CertSet *m);

/* ---- the state as bytes ---- */

int identity_save(const struct identity *s, int (*put)(void *ctx, const void *p, size_t n), void *ctx);
/* Into an empty one. < 0: damaged, or more than there is room for. */
int identity_load(struct identity *s, const uint8_t *bytes, size_t n);
bool identity_empty(const struct identity *s);
void identity_check(const struct identity *s); /* CHECKs invariants */

#endif
