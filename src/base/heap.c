/* SPDX-License-Identifier: Apache-2.0 */
/* heap - see heap.h. */
#include "base/heap.h"

#include <stdbool.h>

#include "base/check.h"

static size_t nodes_bytes(uint32_t max)
{
	return (((size_t)max + 1) * sizeof(struct heap_node) + 15) & ~(size_t)15;
}

size_t heap_bytes(uint32_t max)
{
	return nodes_bytes(max) + ((((size_t)max + 1) * sizeof(uint32_t) + 15) & ~(size_t)15);
}

void heap_init(struct heap *h, void *mem, uint32_t max)
{
	CHECK(((uintptr_t)mem & 15) == 0);
	h->v = mem;
	h->pos = (uint32_t *)(void *)((uint8_t *)mem + nodes_bytes(max));
	h->n = 0;
	h->max = max;
}

static bool less(const struct heap_node *a, const struct heap_node *b)
{
	return a->due != b->due ? a->due < b->due : a->tie < b->tie;
}

static void put(struct heap *h, uint32_t at, struct heap_node x)
{
	h->v[at] = x;
	h->pos[x.item] = at;
}

static void up(struct heap *h, uint32_t at, struct heap_node x)
{
	while (at > 1 && less(&x, &h->v[at / 2])) {
		put(h, at, h->v[at / 2]);
		at /= 2;
	}
	put(h, at, x);
}

static void down(struct heap *h, uint32_t at, struct heap_node x)
{
	for (;;) {
		uint32_t c = at * 2;

		if (c > h->n)
			break;
		if (c < h->n && less(&h->v[c + 1], &h->v[c]))
			c++;
		if (!less(&h->v[c], &x))
			break;
		put(h, at, h->v[c]);
		at = c;
	}
	put(h, at, x);
}

static void place(struct heap *h, uint32_t at, struct heap_node x)
{
	if (at > 1 && less(&x, &h->v[at / 2]))
		up(h, at, x);
	else
		down(h, at, x);
}

void heap_set(struct heap *h, uint32_t item, uint64_t due, uint64_t tie)
{
	struct heap_node x = {.due = due, .tie = tie, .item = item};

	CHECK(item > 0 && item <= h->max);
	if (h->pos[item]) {
		place(h, h->pos[item], x);
		return;
	}
	CHECK(h->n < h->max);
	up(h, ++h->n, x);
}

void heap_remove(struct heap *h, uint32_t item)
{
	uint32_t at;
	struct heap_node last;

	CHECK(item > 0 && item <= h->max);
	at = h->pos[item];
	if (!at)
		return;
	h->pos[item] = 0;
	last = h->v[h->n--];
	if (last.item != item)
		place(h, at, last);
}

const struct heap_node *heap_least(const struct heap *h)
{
	return h->n ? &h->v[1] : NULL;
}

uint64_t heap_due(const struct heap *h, uint32_t item)
{
	CHECK(item > 0 && item <= h->max);
	return h->pos[item] ? h->v[h->pos[item]].due : UINT64_MAX;
}
