/* SPDX-License-Identifier: Apache-2.0 */
/* pool - see pool.h. */
#include "base/pool.h"

#include <string.h>

#include "base/check.h"

size_t pool_bytes(uint32_t max, size_t size)
{
	return (size * max + 15) & ~(size_t)15;
}

void pool_init(struct pool *p, void *mem, uint32_t max, size_t size)
{
	CHECK(size >= 8 && size % 8 == 0);
	CHECK(((uintptr_t)mem & 15) == 0);
	*p = (struct pool){.base = mem, .size = size, .max = max};
}

uint32_t pool_take(struct pool *p)
{
	uint32_t i = p->free;

	if (i) {
		memcpy(&p->free, pool_at(p, i), sizeof(p->free));
		memset(pool_at(p, i), 0, p->size);
	} else if (p->high < p->max) {
		i = ++p->high;
	} else {
		return 0;
	}
	p->n++;
	return i;
}

void pool_give(struct pool *p, uint32_t i)
{
	CHECK(i > 0 && i <= p->high);
	CHECK(p->n > 0);
	memcpy(pool_at(p, i), &p->free, sizeof(p->free));
	p->free = i;
	p->n--;
}

static struct link *link_at(const struct pool *p, uint32_t item, size_t off)
{
	return (struct link *)(void *)((uint8_t *)pool_at(p, item) + off);
}

void list_append(const struct pool *p, struct list *l, uint32_t item, size_t off)
{
	struct link *k = link_at(p, item, off);

	k->prev = l->tail;
	k->next = 0;
	if (l->tail)
		link_at(p, l->tail, off)->next = item;
	else
		l->head = item;
	l->tail = item;
	l->n++;
}

void list_remove(const struct pool *p, struct list *l, uint32_t item, size_t off)
{
	struct link *k = link_at(p, item, off);

	CHECK(l->n > 0);
	if (k->prev)
		link_at(p, k->prev, off)->next = k->next;
	else
		l->head = k->next;
	if (k->next)
		link_at(p, k->next, off)->prev = k->prev;
	else
		l->tail = k->prev;
	*k = (struct link){0};
	l->n--;
}
