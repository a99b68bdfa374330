/* SPDX-License-Identifier: Apache-2.0 */
/* idmap - see idmap.h. */
#include "base/idmap.h"

#include "base/check.h"

static uint64_t buckets_for(uint32_t max)
{
	uint64_t n = 16;

	while (n < max)
		n *= 2;
	return n;
}

size_t idmap_bytes(uint32_t max)
{
	return buckets_for(max) * 4 + (((size_t)max + 2) & ~(size_t)1) * 12 + 16;
}

void idmap_init(struct idmap *m, void *mem, uint32_t max)
{
	uint64_t n = buckets_for(max), items = ((uint64_t)max + 2) & ~(uint64_t)1;

	CHECK(((uintptr_t)mem & 15) == 0);
	m->key = mem;
	m->head = (uint32_t *)(m->key + items);
	m->chain = m->head + n;
	m->max = max;
	m->bucket_mask = n - 1;
}

void idmap_add(struct idmap *m, uint64_t key, uint32_t item)
{
	uint32_t *head = &m->head[key & m->bucket_mask];

	CHECK(item > 0 && item <= m->max);
	m->key[item] = key;
	m->chain[item] = *head;
	*head = item;
}

void idmap_remove(struct idmap *m, uint64_t key, uint32_t item)
{
	uint32_t *at = &m->head[key & m->bucket_mask];

	while (*at && *at != item)
		at = &m->chain[*at];
	CHECK(*at == item && item);
	*at = m->chain[item];
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
