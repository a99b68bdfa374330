/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena - bump allocation out of memory that the caller gave; freed all at once.
 *
 * Not a heap: nothing is freed alone. Pure, single-threaded.
 * Invariant: used <= size; every block is aligned to 16.
 * A shell may set `grow` so that the arena chains further chunks instead of being full (io/heap.h does);
 * the core never does.
 */
#ifndef OSIER_BASE_ARENA_H
#define OSIER_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena {
	uint8_t *base;
	size_t size, used;
	/* NULL: the arena is full when it is full. Otherwise called for a chunk of at least n bytes; the chunk is
	 * owned by whoever set grow. May return NULL. */
	void *(*grow)(void *ctx, size_t n, size_t *out_size);
	void *grow_ctx;
};

/* Use mem[0..size) (borrowed until the arena is dropped). */
void arena_init(struct arena *a, void *mem, size_t size);

/* n zeroed bytes, or NULL when the arena is full. n = 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t n);

/* count * size zeroed bytes; NULL when full or on overflow. */
void *arena_calloc(struct arena *a, size_t count, size_t size);

/* A copy of n bytes with a NUL after them; NULL when full. */
void *arena_dup(struct arena *a, const void *p, size_t n);

/* Forget every block (chunks from grow are the grower's business). */
void arena_clear(struct arena *a);

#endif
