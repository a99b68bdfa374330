/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bitmap - a set of indexes 0..n-1 with summaries: the next member, and runs of members, are found fast.
 *
 * Level 0 has one bit an index; a bit of level k+1 says that a word of level k is not zero. Pure; on given memory,
 * zeroed, which is touched only where bits are set. A struct bitmap is only a view of it: make one when needed.
 */
#ifndef OSIER_BASE_BITMAP_H
#define OSIER_BASE_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BITMAP_LEVELS_MAX 6

struct bitmap {
	uint64_t *level[BITMAP_LEVELS_MAX];
	unsigned n_levels;
	uint64_t n;
};

size_t bitmap_bytes(uint64_t n);
/* View mem (8-aligned) as a bitmap of n > 0 indexes. */
struct bitmap bitmap_at(void *mem, uint64_t n);
bool bitmap_test(const struct bitmap *b, uint64_t i);
/* Add or take out [first, first + count). */
void bitmap_set(struct bitmap *b, uint64_t first, uint64_t count);
void bitmap_clear(struct bitmap *b, uint64_t first, uint64_t count);
/* The least member >= from, or UINT64_MAX. */
uint64_t bitmap_next(const struct bitmap *b, uint64_t from);
/* How many members follow each other from `from` on, at most `most`. */
uint64_t bitmap_run(const struct bitmap *b, uint64_t from, uint64_t most);
/* How many members there are; reads everything. */
uint64_t bitmap_count(const struct bitmap *b);

#endif
