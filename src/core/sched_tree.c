/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_tree - the orders (treaps whose elements carry sets of shapes) and the maps from ids to slots.
 *
 * A treap's priorities are a hash of the slot: they shape the tree, never the order. Pure.
 */
#include "core/sched_state.h"

static void pull(struct tnode *t, uint32_t x)
{
	struct tnode *n = &t[x];
	const struct tnode *a = &t[n->kid[0]], *b = &t[n->kid[1]]; /* t[0] is empty */

	for (uint32_t i = 0; i < BITS_W; i++)
		n->all.w[i] = n->own.w[i] | a->all.w[i] | b->all.w[i];
}

/* Everything before x (in order) to *l, the rest to *r. */
static void split(
        const struct sched *s, const struct order *o, uint32_t root, uint32_t x, uint32_t *l, uint32_t *r)
{
	if (root == 0) {
		*l = *r = 0;
		return;
	}
	if (o->cmp(s, root, x) < 0) {
		split(s, o, o->t[root].kid[1], x, &o->t[root].kid[1], r);
		*l = root;
	} else {
		split(s, o, o->t[root].kid[0], x, l, &o->t[root].kid[0]);
		*r = root;
	}
	pull(o->t, root);
}

static uint32_t merge(struct tnode *t, uint32_t a, uint32_t b)
{
	if (a == 0 || b == 0)
		return a != 0 ? a : b;
	if (t[a].prio > t[b].prio) {
		t[a].kid[1] = merge(t, t[a].kid[1], b);
		pull(t, a);
		return a;
	}
	t[b].kid[0] = merge(t, a, t[b].kid[0]);
	pull(t, b);
	return b;
}

static uint32_t insert_at(const struct sched *s, const struct order *o, uint32_t root, uint32_t x)
{
	struct tnode *t = o->t;
	uint32_t side;

	if (root == 0 || t[x].prio > t[root].prio) {
		split(s, o, root, x, &t[x].kid[0], &t[x].kid[1]);
		pull(t, x);
		return x;
	}
	side = o->cmp(s, root, x) < 0;
	t[root].kid[side] = insert_at(s, o, t[root].kid[side], x);
	pull(t, root);
	return root;
}

void order_insert(
        const struct sched *s, const struct order *o, uint32_t *root, uint32_t x, const struct bits *own)
{
	struct tnode *n = &o->t[x];

	CHECK(x != 0 && n->kid[0] == 0 && n->kid[1] == 0);
	n->prio = x * 0x9e3779b1u; /* Fibonacci hashing (Knuth 6.4): no two are equal */
	n->own = *own;
	*root = insert_at(s, o, *root, x);
}

static uint32_t remove_at(const struct sched *s, const struct order *o, uint32_t root, uint32_t x)
{
	struct tnode *t = o->t;
	uint32_t side;

	CHECK(root != 0);
	if (root == x) {
		uint32_t m = merge(t, t[x].kid[0], t[x].kid[1]);

		t[x].kid[0] = t[x].kid[1] = 0;
		return m;
	}
	side = o->cmp(s, root, x) < 0;
	t[root].kid[side] = remove_at(s, o, t[root].kid[side], x);
	pull(t, root);
	return root;
}

void order_remove(const struct sched *s, const struct order *o, uint32_t *root, uint32_t x)
{
	*root = remove_at(s, o, *root, x);
}

void order_recolour(
        const struct sched *s, const struct order *o, uint32_t root, uint32_t x, const struct bits *own)
{
	CHECK(root != 0);
	if (root == x)
		o->t[x].own = *own;
	else
		order_recolour(s, o, o->t[root].kid[o->cmp(s, root, x) < 0], x, own);
	pull(o->t, root);
}

uint32_t order_first(const struct order *o, uint32_t root)
{
	while (root != 0 && o->t[root].kid[0] != 0)
		root = o->t[root].kid[0];
	return root;
}

static uint32_t check_at(const struct sched *s, const struct order *o, uint32_t x, uint32_t *prev)
{
	uint32_t n = 1;
	struct tnode *t = o->t;

	if (x == 0)
		return 0;
	for (uint32_t side = 0; side < 2; side++) {
		uint32_t k = t[x].kid[side];

		CHECK(k == 0 || t[k].prio <= t[x].prio);
	}
	for (uint32_t i = 0; i < BITS_W; i++)
		CHECK(t[x].all.w[i] == (t[x].own.w[i] | t[t[x].kid[0]].all.w[i] | t[t[x].kid[1]].all.w[i]));
	n += check_at(s, o, t[x].kid[0], prev);
	CHECK(*prev == 0 || o->cmp(s, *prev, x) < 0);
	*prev = x;
	n += check_at(s, o, t[x].kid[1], prev);
	return n;
}

uint32_t order_check(const struct sched *s, const struct order *o, uint32_t root)
{
	uint32_t prev = 0;

	return check_at(s, o, root, &prev);
}

static uint32_t map_at(const struct map *m, uint64_t key)
{
	/* Ids that follow each other share a cache line. */
	return ((uint32_t)(prng_mix(0x6d6170, key >> 2, 0) >> 20) << 2 | (uint32_t)(key & 3)) & m->mask;
}

uint32_t map_get(const struct map *m, uint64_t key)
{
	for (uint32_t i = map_at(m, key);; i = (i + 1) & m->mask) {
		if (m->c[i].key == key)
			return m->c[i].val;
		if (m->c[i].key == 0)
			return 0;
	}
}

static void put(struct map *m, uint64_t key, uint32_t val)
{
	uint32_t i = map_at(m, key);

	while (m->c[i].key != 0 && m->c[i].key != key)
		i = (i + 1) & m->mask;
	m->n += m->c[i].key == 0;
	m->c[i] = (struct map_cell){key, val};
}

static void map_grow(struct map *m)
{
	const struct map old = *m;

	m->mask = 2 * m->mask + 1;
	m->c = m->all + m->mask + 1;
	m->n = 0;
	for (uint32_t i = 0; i <= old.mask; i++)
		if (old.c[i].key != 0)
			put(m, old.c[i].key, old.c[i].val);
	CHECK(m->n == old.n);
}

void map_put(struct map *m, uint64_t key, uint32_t val)
{
	CHECK(key != 0);
	if (2 * (m->n + 1) > m->mask + 1 && m->mask + 1 < m->cells_max)
		map_grow(m);
	CHECK(m->n < m->mask);
	put(m, key, val);
}

void map_del(struct map *m, uint64_t key)
{
	uint32_t i = map_at(m, key), j;

	while (m->c[i].key != key) {
		CHECK(m->c[i].key != 0);
		i = (i + 1) & m->mask;
	}
	/* Knuth 6.4 R: close the gap, so that no tombstones gather. */
	for (j = (i + 1) & m->mask; m->c[j].key != 0; j = (j + 1) & m->mask) {
		uint32_t home = map_at(m, m->c[j].key);

		if (((j - home) & m->mask) >= ((j - i) & m->mask)) {
			m->c[i] = m->c[j];
			i = j;
		}
	}
	m->c[i] = (struct map_cell){0};
	m->n--;
}
