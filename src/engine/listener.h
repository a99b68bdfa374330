/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener - the log for strangers: a read-only HTTP server of C2SP tlog-tiles on an address of TCP.
 *
 * Not the API (api.h): it serves the checkpoint, tiles and, when that is configured, bundles of entries, and nothing else; it
 * changes nothing. A thread of its own with a connection of its own to the stored log, so a stranger costs the loop nothing;
 * with nobody connected it sleeps. Paths below /: checkpoint, tile/LEVEL/INDEX[.p/WIDTH], tile/entries/INDEX[.p/WIDTH].
 * Errors are a line of text/plain.
 */
#ifndef OSIER_ENGINE_LISTENER_H
#define OSIER_ENGINE_LISTENER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define LISTENER_CONNECTIONS 256u /* at once; of one address a quarter of them */
#define LISTENER_IDLE_S      30u  /* nothing was read or written */
#define LISTENER_HEADER_S    20u  /* for a request to come, when others wait for room */
#define LISTENER_POOL_BYTES  (16u << 10)
#define LISTENER_BODY_MAX    (64u << 10)
#define LISTENER_URL_MAX     80u

/* What a POST is answered with: text or NULL, malloc'd. */
struct listener_reply {
	unsigned status;
	const char *type; /* static; NULL: text/plain */
	char *body;
	size_t body_n;
};
/* In the listener's thread. */
typedef void (*listener_post_fn)(void *ctx, const char *body, size_t n, struct listener_reply *out);

struct listener_options {
	const char *address;             /* as the configuration has it: config_address() */
	const char *state_dir;           /* whose log */
	bool entries;                    /* give bundles of entries, which hold other people's commands */
	listener_post_fn add_checkpoint; /* POST /add-checkpoint (C2SP tlog-witness); NULL: not served */
	void *ctx;
};

struct listener;

/* Listen and serve from now on; strings are copied. ERR_SYSTEM, ERR_EXISTS: the address cannot be had. */
int listener_open(const struct listener_options *o, struct listener **out, struct err *e);
/* Where it listens, "http://127.0.0.1:8700": with the port that was given for port 0. */
const char *listener_url(const struct listener *l);
/* Ends its thread. NULL is fine. */
void listener_close(struct listener *l);

#endif
