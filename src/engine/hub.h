/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub - this node as a hub: its certificate authority, its tokens, and what it tells those who join.
 *
 * Not the links (which carry work), nor the broker (which carries the links): both ask here for names and files. Everything lies in
 * STATE/hub: hub.yaml (hub_settings.h), and what io/ca.h has there. Loop thread.
 */
#ifndef OSIER_ENGINE_HUB_H
#define OSIER_ENGINE_HUB_H

#include <stdbool.h>

#include "engine/node.h"
#include "engine/hub_settings.h"
#include "io/ca.h"
#include "io/join.h"

#define HUB_TTL_NS     (15ull * 60 * 1000000000ull) /* of a token, unless it is said */
#define HUB_TTL_MAX_NS (30ull * 86400 * 1000000000ull)
#define HUB_LINE_MAX   (JOIN_URL_MAX + JOIN_TOKEN_CHARS + 2)

/* At the node's start: be a hub again if there is a hub.yaml; what is amiss becomes a notice. */
void hub_init(struct node *n);
/* A node that stands by and has the hub's authority: it takes files from the hub and its nodes at the place where it will be the hub, and refuses
 * all else. Tells the authority's digest and that place. ERR_NOTFOUND: it has none. hub_look(): what is revoked may have changed. */
int hub_stand_by(struct node *n, uint8_t out_ca_sha256[32], char out_origin[JOIN_URL_MAX], struct err *e);
void hub_look(struct node *n);
/* Be a hub from now on, or with other settings. Port and listen of a running one change with the next start. ERR_EXISTS: the port is taken,
 * or the hub has another name. */
int hub_enable(struct node *n, const struct hub_settings *s, struct err *e);
bool hub_is(const struct node *n);
enum hub_token { HUB_TOKEN_NODE, HUB_TOKEN_STANDBY };

/* Where the hub may be: here, and at those that stand by; JSON, malloc'd: [{origin, broker, broker_port}]. */
char *hub_places(const struct node *n);
/* NULL when it is none. */
const struct hub_settings *hub_settings(const struct node *n);
const char *hub_dir(
        const struct node *n); /* STATE/hub: ca.crt, server.crt and .key, client.crt and .key, crl.pem */
/* The hub's word for its nodes: ca_sign(). */
void hub_sign(const struct node *n, const uint8_t *bytes, size_t len, uint8_t out[64]);
void hub_fingerprint(const struct node *n, uint8_t out[32]);
unsigned hub_port(const struct node *n); /* that it listens at */

/* A token, and the line to paste elsewhere, which says it: given to the caller at once, to be shown only when fn has come without an error. For
 * a standby: who joins with it gets the hub's keys. ERR_INVALID: the time, or no standby could take over (the journal is in the folder). */
int hub_token(struct node *n, uint64_t ttl_ns, enum hub_token what, const Wire__Principal *by,
        char out_line[HUB_LINE_MAX], node_answer_fn fn, void *ctx, struct err *e);
/* The node's certificates count no more, and it may not renew them: it has to join anew. For `osier node remove`. */
void identity_revoke(struct node *n, const char *name, const char *reason, const Wire__Principal *by,
        node_answer_fn fn, void *ctx);

enum hub_change {
	HUB_CERTIFICATES, /* new ones of the hub itself: whoever serves with them reads them again */
	HUB_REVOKED,      /* crl.pem is new */
	HUB_NODES,        /* a node joined, or renewed its certificate */
	HUB_BEGUN,        /* it is a hub now, or its settings changed */
};
/* Be told, on the loop thread; at most 4 may. Also before hub_init(). */
void hub_watch(struct node *n, void (*fn)(void *ctx, enum hub_change what), void *ctx);

/* EFFECT_IDENTITY is durable. */
void hub_changed(struct node *n);
/* Before the loop is closed (after round_close()), and after. */
void hub_stop(struct node *n);
void hub_close(struct node *n);

#endif
