/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool - a fixed number of equal items on given memory, named by index from 1 (0: none).
 *
 * Items are taken in order and freed ones are taken again first, so memory that was never needed is never touched.
 * Pure. A free item's first four bytes link it to the next; taken items are zeroed.
 */
#ifndef OSIER_BASE_POOL_H
#define OSIER_BASE_POOL_H

#include <stddef.h>
#include <stdint.h>

struct pool {
	uint8_t *base;
	size_t size;        /* of one item */
	uint32_t max, high; /* items there are; items ever taken */
	uint32_t free, n;   /* first free one; taken now */
};

/* Bytes of memory for `max` items of `size` bytes (a multiple of 8). */
size_t pool_bytes(uint32_t max, size_t size);
/* Use mem (16-aligned, zeroed, borrowed). */
void pool_init(struct pool *p, void *mem, uint32_t max, size_t size);
/* Take a zeroed item; 0 when all are taken. */
uint32_t pool_take(struct pool *p);
/* Give item i back. */
void pool_give(struct pool *p, uint32_t i);

/* Item i, which was taken. */
static inline void *pool_at(const struct pool *p, uint32_t i)
{
	return p->base + (size_t)(i - 1) * p->size;
}

/* A list through items of a pool, by a struct link at `off` inside each. */
struct link {
	uint32_t prev, next;
};
struct list {
	uint32_t head, tail, n;
};

void list_append(const struct pool *p, struct list *l, uint32_t item, size_t off);
void list_remove(const struct pool *p, struct list *l, uint32_t item, size_t off);

#endif
