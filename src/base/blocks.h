/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blocks - blocks of any size on a given region, in size classes (four to each doubling) with a free list each.
 *
 * New blocks come from the end of what was ever used, so a region may be address space far larger than memory. Blocks are
 * named by an offset in units of 16 bytes (0: none); regions up to 64 GiB. Blocks are not merged: a freed one serves its
 * class again, and larger requests' leftovers serve smaller ones when nothing else is left.
 * Pure. Layout of a block: u32 class, u32 next free, u64 unused, then the bytes.
 */
#ifndef OSIER_BASE_BLOCKS_H
#define OSIER_BASE_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCKS_CLASSES   128u
#define BLOCKS_BYTES_MAX ((size_t)UINT32_MAX * 16)

struct blocks {
	uint8_t *base;
	size_t size, end; /* of the region; first byte never used */
	size_t used;      /* in taken blocks, headers included */
	uint32_t free[BLOCKS_CLASSES];
};

/* Use mem (16-aligned, zeroed, borrowed). */
void blocks_init(struct blocks *b, void *mem, size_t size);
/* A zeroed block of at least n bytes, 16-aligned; 0 when full. */
uint32_t blocks_take(struct blocks *b, size_t n);
/* The same, not zeroed. */
uint32_t blocks_take_raw(struct blocks *b, size_t n);
/* Give it back; 0 is accepted. */
void blocks_give(struct blocks *b, uint32_t block);
/* Would blocks_take(n) succeed now? */
bool blocks_fits(const struct blocks *b, size_t n);
/* The same, leaving at least `keep` bytes of what was never used: whoever lays the same blocks out anew, in another order,
 * needs that much more. */
bool blocks_fits_keeping(const struct blocks *b, size_t n, size_t keep);

static inline void *blocks_at(const struct blocks *b, uint32_t block)
{
	return b->base + (size_t)block * 16;
}

#endif
