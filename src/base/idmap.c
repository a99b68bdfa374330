/* SPDX-License-Identifier: Apache-2.0 */
/* idmap - see idmap.h. */
#include "base/idmap.h"

#include "base/check.h"

#define BUCKETS_LEAST 16u

static uint64_t buckets_for(uint32_t max)
{
	uint64_t n = BUCKETS_LEAST;

	while (n < max)
		n *= 2;
	return n;
}

size_t idmap_bytes(uint32_t max)
{
	return 2 * buckets_for(max) * 4 + (((size_t)max + 2) & ~(size_t)1) * 12 + 16;
}

void idmap_init(struct idmap *m, void *mem, uint32_t max)
{
	uint64_t n = buckets_for(max), items = ((uint64_t)max + 2) & ~(uint64_t)1;

	CHECK(((uintptr_t)mem & 15) == 0);
	m->key = mem;
	m->heads = (uint32_t *)(m->key + items);
	m->head = m->heads + BUCKETS_LEAST;
	m->chain = m->heads + 2 * n;
	m->max = max;
	m->n = 0;
	m->bucket_mask = BUCKETS_LEAST - 1;
	m->buckets_max = n;
}

static void link_item(struct idmap *m, uint32_t item)
{
	uint32_t *head = &m->head[m->key[item] & m->bucket_mask];

	m->chain[item] = *head;
	*head = item;
}

/* Items of one key keep no order among themselves. */
static void grow(struct idmap *m)
{
	const uint32_t *old = m->head;
	uint64_t buckets = m->bucket_mask + 1;

	m->head = m->heads + 2 * buckets;
	m->bucket_mask = 2 * buckets - 1;
	for (uint64_t b = 0; b < buckets; b++)
		for (uint32_t i = old[b], next; i; i = next) {
			next = m->chain[i];
			link_item(m, i);
		}
}

void idmap_add(struct idmap *m, uint64_t key, uint32_t item)
{
	CHECK(item > 0 && item <= m->max);
	if (m->n > m->bucket_mask && m->bucket_mask + 1 < m->buckets_max)
		grow(m);
	m->key[item] = key;
	m->n++;
	link_item(m, item);
}

void idmap_remove(struct idmap *m, uint64_t key, uint32_t item)
{
	uint32_t *at = &m->head[key & m->bucket_mask];

	while (*at && *at != item)
		at = &m->chain[*at];
	CHECK(*at == item && item);
	*at = m->chain[item];
	m->n--;
}

static uint32_t match(const struct idmap *m, uint64_t key, uint32_t item)
{
	while (item && m->key[item] != key)
		item = m->chain[item];
	return item;
}

uint32_t idmap_find(const struct idmap *m, uint64_t key)
{
	return match(m, key, m->head[key & m->bucket_mask]);
}

uint32_t idmap_next(const struct idmap *m, uint64_t key, uint32_t item)
{
	return match(m, key, m->chain[item]);
}
