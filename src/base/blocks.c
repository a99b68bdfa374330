/* SPDX-License-Identifier: Apache-2.0 */
/* blocks - see blocks.h. */
#include "base/blocks.h"

#include <string.h>

#include "base/check.h"

struct head {
	uint32_t class_, next;
	uint64_t unused;
};

#define BLOCK_MIN 64u

void blocks_init(struct blocks *b, void *mem, size_t size)
{
	CHECK(((uintptr_t)mem & 15) == 0);
	CHECK(size <= BLOCKS_BYTES_MAX);
	*b = (struct blocks){.base = mem, .size = size, .end = 16};
}

/* Bytes of class c, header included: 64, 80, 96, 112, 128, 160 ... */
static size_t class_bytes(unsigned c)
{
	return (size_t)(4 + c % 4) * (BLOCK_MIN / 4) << (c / 4);
}

/* The class for n bytes with their header. */
static unsigned class_for(size_t n)
{
	unsigned c = 0;

	n += sizeof(struct head);
	if (n > BLOCK_MIN)
		c = ((unsigned)(63 - __builtin_clzll(n)) - 6) * 4;
	while (class_bytes(c) < n)
		c++;
	return c;
}

static struct head *head_of(const struct blocks *b, uint32_t block)
{
	return (struct head *)(void *)(b->base + (size_t)block * 16 - sizeof(struct head));
}

/* The class to take from: a list that has one, or `c` itself from the end; BLOCKS_CLASSES when full. */
static unsigned class_to_take(const struct blocks *b, size_t n)
{
	unsigned c;

	if (n > b->size)
		return BLOCKS_CLASSES;
	c = class_for(n);
	if (b->free[c] || class_bytes(c) <= b->size - b->end)
		return c;
	while (c < BLOCKS_CLASSES && !b->free[c])
		c++;
	return c;
}

bool blocks_fits(const struct blocks *b, size_t n)
{
	return class_to_take(b, n) < BLOCKS_CLASSES;
}

bool blocks_fits_keeping(const struct blocks *b, size_t n, size_t keep)
{
	unsigned c;

	if (n > b->size)
		return false;
	c = class_for(n);
	return b->free[c] || (keep <= b->size - b->end && class_bytes(c) <= b->size - b->end - keep);
}

static uint32_t take(struct blocks *b, size_t n, bool zeroed)
{
	unsigned c = class_to_take(b, n);
	uint32_t block;

	if (c == BLOCKS_CLASSES)
		return 0;
	block = b->free[c];
	if (block) {
		b->free[c] = head_of(b, block)->next;
		if (zeroed)
			memset(blocks_at(b, block), 0, n);
	} else {
		block = (uint32_t)(b->end / 16 + 1);
		b->end += class_bytes(c);
		head_of(b, block)->class_ = c;
	}
	head_of(b, block)->next = 0;
	b->used += class_bytes(c);
	return block;
}

uint32_t blocks_take(struct blocks *b, size_t n)
{
	return take(b, n, true);
}

uint32_t blocks_take_raw(struct blocks *b, size_t n)
{
	return take(b, n, false);
}

void blocks_give(struct blocks *b, uint32_t block)
{
	struct head *h;

	if (!block)
		return;
	CHECK((size_t)block * 16 < b->end);
	h = head_of(b, block);
	CHECK(h->class_ < BLOCKS_CLASSES);
	h->next = b->free[h->class_];
	b->free[h->class_] = block;
	b->used -= class_bytes(h->class_);
}
