/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carrier - what this node asks of hubs over HTTPS, and the process that asks it (carrier/carrier.h).
 *
 * The process is started when there is something to ask and ends when there was nothing for a while; what was asked of one that died is asked
 * again, of another. Loop thread. Functions that are given are called later, once, never from within the call; when the node goes down,
 * with ERR_CLOSED.
 */
#ifndef OSIER_ENGINE_CARRIER_H
#define OSIER_ENGINE_CARRIER_H

#include <jansson.h>

#include "engine/node.h"
#include "io/hub_client.h"

#define CARRIER_ASKS_MAX 4096u

/* e NULL: it worked, and `answer` (borrowed) is what the carrier said. */
typedef void (*carrier_fn)(void *ctx, const struct err *e, const json_t *answer);
/* Takes `ask`: an object with "do" and what belongs to it. */
void carrier_ask(struct node *n, json_t *ask, carrier_fn fn, void *ctx);

typedef void (*carrier_blob_fn)(void *ctx, const struct err *e);
/* Have the blob here: at once when it is, else from one of the parent's places, nearest first. bytes: UINT64_MAX when not known. Two that ask for one
 * blob wait for one transfer; what an earlier try got is not asked for again. ERR_NOTFOUND: no hub has it; ERR_FULL: no room; ERR_CORRUPT: what
 * came was not it. */
void carrier_get(struct node *n, const uint8_t digest[32], uint64_t bytes, carrier_blob_fn fn, void *ctx);
/* The same from these places ("https://HOST:PORT"), as `self`: names of the files ca, cert and key. Takes both. */
void carrier_get_as(struct node *n, const uint8_t digest[32], uint64_t bytes, json_t *self, json_t *origins,
        carrier_blob_fn fn, void *ctx);
/* The same of the parent's, where neighbours may have it, the likeliest first; `ticket`: the hub's word for them, base64. */
struct carrier_near {
	const char *name, *at;
	bool coming; /* it is still getting it itself */
};
/* CARRIER_IDLY: only while carrier_quiet(), and given up with ERR_FENCED as soon as another blob is wanted, unless somebody else waits for
 * this one by then. */
enum carrier_haste { CARRIER_NOW, CARRIER_IDLY };
void carrier_get_near(struct node *n, const uint8_t digest[32], uint64_t bytes,
        const struct carrier_near *near, unsigned n_near, const char *ticket, enum carrier_haste haste,
        carrier_blob_fn fn, void *ctx);
/* Nobody wants it any more who asked idly: given up likewise. */
void carrier_drop(struct node *n, const uint8_t digest[32]);
/* No blob is on its way; be told when that is so again (often, and also when it was so before). */
bool carrier_quiet(const struct node *n);
void carrier_on_quiet(struct node *n, void (*fn)(void *ctx), void *ctx);
/* Bytes of blobs that came so far in this life of the engine: in all, and from neighbours. */
void carrier_moved(const struct node *n, uint64_t *out_all, uint64_t *out_near);
/* Have the blob, which is here, at that hub (NULL: the parent). ERR_NOTFOUND: it is not here. */
void carrier_put(struct node *n, const uint8_t digest[32], const char *origin, carrier_blob_fn fn, void *ctx);

/* Are blobs on their way just now? */
bool carrier_busy(const struct node *n);

/* Before the loop is closed, and after. */
void carrier_stop(struct node *n);
void carrier_close(struct node *n);

#endif
