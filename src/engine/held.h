/* SPDX-License-Identifier: Apache-2.0 */
/*
 * held - answers and effects that wait until their batch is durable, in order.
 *
 * A ring that grows; no allocation per item once warm. Loop thread only.
 * Invariant: items lie in the order of their entries; they leave in that order.
 */
#ifndef OSIER_ENGINE_HELD_H
#define OSIER_ENGINE_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/command.h"
#include "engine/node.h"

enum held_kind {
	HELD_EFFECT,
	HELD_ANSWER,
	HELD_ACK,  /* results of a lease before `cursor` are durable */
	HELD_SLOT, /* the end of the lease in a slot is durable */
};

struct held_item {
	uint64_t
	        seq; /* free to go when the journal has this many entries durable: the last entry's number + 1 */
	enum held_kind kind;
	union {
		struct effect effect;
		struct {
			node_answer_fn fn; /* NULL: it was told that the disk is full, and waits no more */
			void *ctx;
			bool patient; /* waits for room, however long */
			job_id job;
			uint64_t last; /* its last entry */
			bool repeated;
			struct node_answer
			        *words; /* malloc'd when there is more to say (refusal, warning), else NULL */
		} answer;
		struct {
			lease_id lease;
			uint64_t cursor;
			uint64_t who; /* exec's: which slot, which worker */
		} ack;
		uint32_t slot;
	} u;
};

struct held {
	struct held_item *v;
	size_t first, n, max; /* max: a power of two, or 0 */
};

void held_push(struct held *h, const struct held_item *it);
/* The oldest item if it may go with `durable` entries durable: copied out and taken from the ring. */
bool held_pop(struct held *h, uint64_t durable, struct held_item *out);
/* Of what waits, the i-th from the oldest, or NULL: to be looked at until the next push or pop. */
struct held_item *held_at(struct held *h, size_t i);
void held_release(struct held *h); /* drops what is left */

#endif
