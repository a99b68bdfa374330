/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idmap - finds pool items by a 64-bit key. Chained; keys that follow each other lie side by side in memory, so that a
 * map of numbered things touches little. Keys need not differ (hashes of strings): idmap_next() goes on.
 *
 * The buckets grow with the number of items: those of 2^k lie at 2^k, so a map for millions touches memory for what it has held.
 *
 * Pure; on given memory, zeroed. Items are numbers from 1 to max, each in the map at most once.
 */
#ifndef OSIER_BASE_IDMAP_H
#define OSIER_BASE_IDMAP_H

#include <stddef.h>
#include <stdint.h>

struct idmap {
	uint32_t *heads; /* of all sizes */
	uint32_t *head;  /* by bucket, of the size in use */
	uint64_t *key;   /* by item */
	uint32_t *chain; /* by item */
	uint32_t max, n;
	uint64_t bucket_mask, buckets_max;
};

size_t idmap_bytes(uint32_t max);
/* Use mem (16-aligned, zeroed, borrowed). */
void idmap_init(struct idmap *m, void *mem, uint32_t max);
void idmap_add(struct idmap *m, uint64_t key, uint32_t item);
/* Take out an item that is there. */
void idmap_remove(struct idmap *m, uint64_t key, uint32_t item);
/* The first item with this key, or 0; then the next one after `item`. */
uint32_t idmap_find(const struct idmap *m, uint64_t key);
uint32_t idmap_next(const struct idmap *m, uint64_t key, uint32_t item);

#endif
