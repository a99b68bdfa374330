/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parent - the hub that this node has joined: its address, our certificate there, and renewing it.
 *
 * Not the link. STATE/parent, 0700: ca.crt (the hub's), client.key (made here, never leaves), client.crt, parent.json (hub, origin, node,
 * topics, broker, broker_port, hubs: all places where the hub may be). It is made as STATE/parent.new and renamed when all of it is there, so a kill leaves a node that has joined
 * or has not. The certificate is renewed after two thirds of its life, and tried again at growing pauses (10 s to
 * 10 min; 10 s once it has expired). A node that was away for longer than its certificate's life renews it all the same: its key says who it is. Loop thread.
 */
#ifndef OSIER_ENGINE_PARENT_H
#define OSIER_ENGINE_PARENT_H

#include <jansson.h>
#include <stdbool.h>

#include "engine/node.h"
#include "io/cert.h"
#include "io/join.h"

#define PARENT_CLOCK_S  300 /* clocks may differ by so much when a node joins */
#define PARENT_HUBS_MAX 8u  /* machines that may be the hub */

struct parent_hub {
	char origin[JOIN_URL_MAX]; /* https://HOST:PORT */
	char broker_host[256];
	unsigned broker_port;
	bool broker_tls;
};

struct parent_info {
	char hub[CERT_NAME_MAX + 1];    /* its name */
	char node[CERT_NAME_MAX + 1];   /* ours there */
	char topics[CERT_NAME_MAX + 8]; /* osier/HUB */
	struct parent_hub
	        hubs[PARENT_HUBS_MAX]; /* where it may be: as it said itself, then those of before */
	unsigned n_hubs, at;           /* at: where it is looked for, or was found */
	uint8_t hub_sha256[32];        /* of its CA's certificate */
	uint8_t key[32];               /* ours, as the hub knows it */
	bool key_known;                /* else it is the node's own (parent_key.h) */
	struct cert cert;
	char error[240]; /* why the certificate could not be renewed lately; "" */
};

/* At the node's start. */
void parent_init(struct node *n);
bool parent_is(const struct node *n);
const struct parent_info *parent_info(const struct node *n); /* NULL: it has none */
const char *parent_dir(const struct node *n);                /* STATE/parent */
const char *parent_origin(const struct node *n);             /* where the hub is now; "" none */
/* All places where the hub may be, that one first. Returns how many. */
unsigned parent_origins(const struct node *n, const char *out[PARENT_HUBS_MAX]);
/* It is not there: look at the next place. Returns false when all were looked at since parent_found(). */
bool parent_next(struct node *n);
void parent_found(struct node *n);
bool parent_same_broker(const struct parent_hub *a, const struct parent_hub *b);
/* Another list of places, {origin, broker, broker_port}, into *info, before those that it has. The place at hand stays the one whose broker we
 * are at: of hubs that share a broker it is the first of the list, the one that speaks. False: all is as before. */
bool parent_take_places(struct parent_info *info, const json_t *list);
/* What the hub says of where it may be (hub_places()): kept from now on, durably. Those of before are looked at last, because a hub that comes
 * back after another took over may do so at its old place. What makes no sense is passed over. */
void parent_hubs(struct node *n, const char *json, size_t len);

/* Join with what the hub printed, under this name; fn is called once, later: NULL, or why not. < 0: it is not even tried. ERR_EXISTS: it has
 * joined another hub, or is at it. */
typedef void (*parent_fn)(void *ctx, const struct err *e);
int parent_join(struct node *n, const char *line, const char *name, parent_fn fn, void *ctx, struct err *e);
/* Forget the hub; it is not told. ERR_NOTFOUND: there is none. */
int parent_leave(struct node *n, struct err *e);

/* The node has another key of its own, perhaps: the hub is told, once that is durable. */
void parent_rekey(struct node *n);

/* ---- does the hub still know us? (parent_doubt.c) ---- */

/* It does not behave as if: its broker refuses us, its link does not answer, its word came that we were removed. It is asked over HTTPS, which
 * alone counts: at once, at most every 10 s, and again until it answers. */
void parent_doubt(struct node *n);
/* What it said, to that or to a request of ours (NULL: all is well). Only ERR_REMOVED makes a node one that was removed: a hub that is away, busy,
 * stands by or dislikes a request says other things. */
void parent_told(struct node *n, const struct err *e);
/* Removed by the hub, as it last said, with its words; else NULL. */
const char *parent_removed(const struct node *n);
#define PARENT_REMOVED_HINT "'osier leave' forgets the hub; 'osier join' with a new token joins it again"

enum parent_change {
	PARENT_JOINED,  /* a hub, or the same as another node or elsewhere */
	PARENT_RENEWED, /* the certificate is another */
	PARENT_AGAIN,   /* the same by joining again: who had been removed is heard again */
	PARENT_LEFT,
};
/* Be told, on the loop thread; at most 4 may. Also before parent_init(). */
void parent_watch(struct node *n, void (*fn)(void *ctx, enum parent_change what), void *ctx);

void parent_doubt_close(struct node *n); /* after the loop is closed */
/* Before the loop is closed, and after. */
void parent_stop(struct node *n);
void parent_close(struct node *n);

#endif
