/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_copies - files that come to a hub go to those that stand by for it, too, before their sender is told that they are here.
 *
 * What lies in the record needs none of this; files lie in folders. A copy is put at each standby that is in touch, as a node puts files to a
 * hub (PUT /v1/blobs, with the hub's own certificate). Waiting has an end (COPY_WAIT_NS and a second for each COPY_RATE bytes): a hub
 * that works is worth more than a standby that does not. A standby that could not be reached lags: it is asked for what it lacks
 * (POST /v1/hub/lacks) and given that, at the hub's start and every COPY_AGAIN_MS until it is in step. Loop thread.
 */
#ifndef OSIER_ENGINE_HUB_COPIES_H
#define OSIER_ENGINE_HUB_COPIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/carrier.h"

#define COPY_WAIT_NS  10000000000ull
#define COPY_RATE     (10u << 20)
#define COPY_AGAIN_MS 15000u
#define KEYS_WAIT_MS  8000u
#define READ_REST_MS  30000u

/* The file, durable here, goes to the standbys; fn (may be NULL) when those in touch have it, or the time is over; at once, from within, when
 * there is nobody to wait for. */
void hub_copy(struct node *n, const uint8_t digest[32], uint64_t bytes, void (*fn)(void *ctx), void *ctx);
/* Who stands by may have changed; or one of them has said that it is there (origin not NULL), perhaps for the first time since its start: then
 * it is asked again for what it lacks. */
void hub_copies_look(struct node *n, const char *origin, bool began);
/* The other way: have a file here that this hub lacks, from whichever machine stands by or was the hub before; false: there is no other. As
 * carrier_get(). */
bool hub_file_get(struct node *n, const uint8_t digest[32], uint64_t bytes, carrier_blob_fn fn, void *ctx);
/* The same for somebody who reads, from machines in touch alone, one file at a time; false, and for READ_REST_MS after one that did not answer:
 * there is none. */
bool hub_file_read(struct node *n, const uint8_t digest[32], uint64_t bytes, carrier_blob_fn fn, void *ctx);
bool hub_has_others(const struct node *n);
/* How many stand by, and how many of them may lack files. */
void hub_copies_count(const struct node *n, unsigned *out_standbys, unsigned *out_lag);
/* The hub's keys have changed, durably: fn when the standbys in touch have said that they have them, or after KEYS_WAIT_MS; at once, from within,
 * when there is nobody to wait for. */
void hub_keys_wait(struct node *n, void (*fn)(void *ctx), void *ctx);
/* The machine there has the keys as they are now. */
void hub_keys_held(struct node *n, const char *origin);
/* Before the carrier is stopped: nobody is waited for any more. And after the loop is closed. */
void hub_copies_stop(struct node *n);
void hub_copies_close(struct node *n);

#endif
