/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap - a binary heap of items by (due, tie), with moves and removal of any item; the timers of the core.
 *
 * Items are numbers from 1 to max; each is in the heap at most once. The order is total as long as ties differ.
 * Pure; on given memory, which is touched only as far as it is used.
 */
#ifndef OSIER_BASE_HEAP_H
#define OSIER_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_node {
	uint64_t due, tie;
	uint32_t item, unused;
};

struct heap {
	struct heap_node *v; /* v[1] is the least */
	uint32_t *pos;       /* by item: its index in v, 0 not there */
	uint32_t n, max;
};

size_t heap_bytes(uint32_t max);
/* Use mem (16-aligned, zeroed, borrowed). */
void heap_init(struct heap *h, void *mem, uint32_t max);
/* Put the item in, or move it. */
void heap_set(struct heap *h, uint32_t item, uint64_t due, uint64_t tie);
/* Take the item out, if it is there. */
void heap_remove(struct heap *h, uint32_t item);
/* The least, or NULL. Valid until the next change. */
const struct heap_node *heap_least(const struct heap *h);
/* The due time of an item, or UINT64_MAX if it is not there. */
uint64_t heap_due(const struct heap *h, uint32_t item);

#endif
