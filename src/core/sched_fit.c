/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_fit - what fits where: shapes, the segment trees over nodes, devices, and a node imagined on the stack.
 * Pure. Invariant (sched_check()): every shape's n_fit, n_able and first agree with a look at every node.
 */
#include "core/sched_state.h"

uint64_t shape_need(const struct shape *sh, uint32_t lane)
{
	for (uint32_t i = 0; i < sh->n_lanes; i++)
		if (sh->lane[i] == lane)
			return sh->need[i];
	return 0;
}

uint32_t lane_find(const struct sched *s, const char *name)
{
	for (uint32_t l = 1; l < s->n_lanes; l++)
		if (strcmp(s->lane_name[l], name) == 0)
			return l;
	return 0;
}

/* More lanes than a narrow tree has: move every element apart, the last first; what is all zero stays untouched. */
static void tree_widen(const struct sched *s, uint64_t *tree)
{
	for (size_t i = (size_t)2 * s->leaves; i-- > 0;) {
		uint64_t v[VEC] = {0}, *to = tree + i * VEC;
		bool any = false;

		memcpy(v, tree + i * s->stride, s->stride * sizeof(*v));
		for (uint32_t l = 0; l < VEC; l++)
			any = any || v[l] != 0 || to[l] != 0;
		if (any)
			memcpy(to, v, sizeof(v));
	}
}

uint32_t lane_make(struct sched *s, const char *name)
{
	uint32_t l = lane_find(s, name);

	if (l != 0)
		return l;
	if (s->n_lanes == VEC || name[0] == '\0' || strlen(name) >= sizeof(s->lane_name[0]))
		return 0;
	if (s->n_lanes == s->stride) {
		tree_widen(s, s->tree);
		tree_widen(s, s->able_tree);
		s->stride = VEC;
	}
	l = s->n_lanes++;
	(void)snprintf(s->lane_name[l], sizeof(s->lane_name[0]), "%s", name);
	return l;
}

/* ---- counting fits ---- */

static bool shape_on(const struct sched *s, const struct shape *sh, uint32_t leaf)
{
	return set_below(s, sh->where, s->leaves + (size_t)leaf);
}

static void count_up(struct sched *s, uint32_t shape, uint32_t leaf, bool able)
{
	struct shape *sh = &s->shapes[shape];

	if (able) {
		if (sh->n_able++ == 0 && s->able_refs[shape % BITS]++ == 0)
			bits_set(&s->able, shape);
		return;
	}
	if (leaf < sh->first)
		sh->first = leaf;
	if (sh->n_fit++ == 0 && s->fit_refs[shape % BITS]++ == 0)
		bits_set(&s->fit, shape);
}

static void count_none(struct sched *s, uint32_t shape, bool able)
{
	uint32_t *refs = able ? s->able_refs : s->fit_refs;

	CHECK(refs[shape % BITS] > 0);
	if (--refs[shape % BITS] == 0)
		bits_drop(able ? &s->able : &s->fit, shape);
}

static void count_down(struct sched *s, uint32_t shape, uint32_t leaf, bool able)
{
	struct shape *sh = &s->shapes[shape];

	if (able) {
		if (--sh->n_able == 0)
			count_none(s, shape, true);
		return;
	}
	CHECK(sh->n_fit > 0);
	if (--sh->n_fit == 0) {
		sh->first = NONE;
		count_none(s, shape, false);
	} else if (sh->first == leaf) {
		sh->first = leaf + 1;
	}
}

/* First cell of sorted[lane] whose need is above `amount`. */
static uint32_t sorted_above(const struct sched *s, uint32_t lane, uint64_t amount)
{
	uint32_t lo = 0, hi = s->n_sorted[lane];

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (s->sorted[lane][mid].need <= amount)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* A leaf went between `small` and `big` (small <= big everywhere): count the shapes that fit only one of them, each at the
 * first lane that tells. */
static void cross(
        struct sched *s, uint32_t leaf, const uint64_t *small, const uint64_t *big, bool up, bool able)
{
	for (uint32_t l = 0; l < s->n_lanes; l++) {
		if (small[l] == big[l])
			continue;
		for (uint32_t c = sorted_above(s, l, small[l]); c < s->n_sorted[l]; c++) {
			uint32_t shape = s->sorted[l][c].shape, i;
			const struct shape *sh = &s->shapes[shape];

			if (s->sorted[l][c].need > big[l])
				break;
			for (i = 0; i < sh->n_lanes; i++) {
				uint32_t k = sh->lane[i];

				if (sh->need[i] > (k < l ? small[k] : big[k]))
					break;
			}
			if (i < sh->n_lanes || !shape_on(s, sh, leaf))
				continue;
			if (up)
				count_up(s, shape, leaf, able);
			else
				count_down(s, shape, leaf, able);
		}
	}
}

static void tree_set(const struct sched *s, uint64_t *tree, uint32_t leaf, const uint64_t *vec)
{
	size_t i = s->leaves + leaf;
	const uint32_t lanes = s->n_lanes;

	memcpy(tree + i * s->stride, vec, lanes * sizeof(*vec));
	for (i /= 2; i >= 1; i /= 2) {
		uint64_t *p = tree + i * s->stride;
		const uint64_t *a = tree_at(s, tree, 2 * i), *b = a + s->stride;
		bool same = true;

		for (uint32_t l = 0; l < lanes; l++) {
			uint64_t m = a[l] > b[l] ? a[l] : b[l];

			same = same && p[l] == m;
			p[l] = m;
		}
		if (same)
			return;
	}
}

static void leaf_set(struct sched *s, uint32_t leaf, const uint64_t *from, const uint64_t *to, bool able)
{
	uint64_t mid[VEC] = {0};
	bool down = false, up = false;

	for (uint32_t l = 0; l < s->n_lanes; l++) {
		mid[l] = from[l] < to[l] ? from[l] : to[l];
		down = down || mid[l] < from[l];
		up = up || mid[l] < to[l];
		if (able)
			s->cap_total[l] += to[l] - from[l];
		else
			s->eff_total[l] += to[l] - from[l];
	}
	if (down)
		cross(s, leaf, mid, from, false, able);
	if (up)
		cross(s, leaf, mid, to, true, able);
	if (down || up)
		tree_set(s, able ? s->able_tree : s->tree, leaf, to);
}

/* ---- shapes ---- */

static void shape_sort_in(struct sched *s, uint32_t shape)
{
	const struct shape *sh = &s->shapes[shape];

	for (uint32_t i = 0; i < sh->n_lanes; i++) {
		uint32_t l = sh->lane[i], at = sorted_above(s, l, sh->need[i]);
		struct sorted_cell *c = s->sorted[l] + at;

		memmove(c + 1, c, (s->n_sorted[l] - at) * sizeof(*c));
		*c = (struct sorted_cell){sh->need[i], shape};
		s->n_sorted[l]++;
	}
}

static void shape_sort_out(struct sched *s, uint32_t shape)
{
	const struct shape *sh = &s->shapes[shape];

	for (uint32_t i = 0; i < sh->n_lanes; i++) {
		uint32_t l = sh->lane[i], at = sh->need[i] == 0 ? 0 : sorted_above(s, l, sh->need[i] - 1);
		struct sorted_cell *c = s->sorted[l] + at;

		while (c->shape != shape) {
			CHECK(c->need == sh->need[i]);
			c++;
		}
		s->n_sorted[l]--;
		memmove(c, c + 1, (size_t)(s->sorted[l] + s->n_sorted[l] - c) * sizeof(*c));
	}
}

static uint32_t *shape_chain_of(struct sched *s, const uint64_t *need, uint32_t where)
{
	uint64_t h = where == 0 ? 0 : prng_mix(where, 0, 0);

	for (uint32_t l = 1; l < s->n_lanes; l++)
		if (need[l] != 0)
			h = prng_mix(h, l, need[l]);
	return &s->shape_chain[(h >> 20) & s->shape_chain_mask];
}

static bool shape_is(const struct shape *sh, const uint64_t *need, uint32_t where, uint32_t n_lanes)
{
	uint32_t n = 1;

	if (sh->where != where || sh->need[0] != need[0])
		return false;
	for (uint32_t l = 1; l < n_lanes; l++)
		n += need[l] != 0;
	if (n != sh->n_lanes)
		return false;
	for (uint32_t i = 1; i < n; i++)
		if (need[sh->lane[i]] != sh->need[i])
			return false;
	return true;
}

bool shape_able(const struct sched *s, uint32_t shape, uint32_t node)
{
	return shape_in(&s->shapes[shape], node_able(s, node)) &&
	       shape_on(s, &s->shapes[shape], node_leaf(s, node));
}

static void shape_fill(struct sched *s, uint32_t shape, const uint64_t *need, uint32_t where)
{
	struct shape *sh = &s->shapes[shape];

	*sh = (struct shape){.n_lanes = 1, .refs = 1, .first = NONE, .where = where};
	sh->lane[0] = 0;
	sh->need[0] = need[0];
	if (where != 0)
		s->sets[where].refs++;
	for (uint32_t l = 1; l < s->n_lanes; l++)
		if (need[l] != 0) {
			sh->lane[sh->n_lanes] = (uint8_t)l;
			sh->need[sh->n_lanes++] = need[l];
		}
	shape_sort_in(s, shape);
	for (uint32_t n = 1; n <= s->node_top; n++) {
		if (!shape_on(s, sh, node_leaf(s, n)))
			continue;
		if (shape_in(sh, node_eff(s, n)))
			count_up(s, shape, node_leaf(s, n), false);
		if (shape_in(sh, node_able(s, n)))
			count_up(s, shape, node_leaf(s, n), true);
	}
	for (uint32_t i = 1; i <= s->n_ns; i++)
		if (s->ns[i].limited && ns_permits(&s->ns[i], sh)) {
			ns_out(s, i);
			bits_set(&s->ns[i].allow, shape);
			ns_in(s, i);
		}
}

uint32_t shape_take(struct sched *s, const uint64_t *need, uint32_t where)
{
	uint32_t *chain = shape_chain_of(s, need, where), x;

	for (x = *chain; x != 0; x = s->shapes[x].next)
		if (shape_is(&s->shapes[x], need, where, s->n_lanes)) {
			s->shapes[x].refs++;
			return x;
		}
	x = s->shape_free;
	if (x != 0)
		s->shape_free = s->shapes[x].next;
	else if (s->shape_top < s->shapes_max)
		x = ++s->shape_top;
	else
		return 0;
	shape_fill(s, x, need, where);
	s->shapes[x].next = *chain;
	*chain = x;
	s->n_shapes++;
	return x;
}

void shape_drop(struct sched *s, uint32_t shape)
{
	struct shape *sh = &s->shapes[shape];
	uint64_t need[VEC] = {0};
	uint32_t *at;

	CHECK(sh->refs > 0);
	if (--sh->refs > 0)
		return;
	for (uint32_t i = 1; i < sh->n_lanes; i++)
		need[sh->lane[i]] = sh->need[i];
	for (at = shape_chain_of(s, need, sh->where); *at != shape; at = &s->shapes[*at].next)
		CHECK(*at != 0);
	*at = sh->next;
	shape_sort_out(s, shape);
	if (sh->n_fit > 0)
		count_none(s, shape, false);
	if (sh->n_able > 0)
		count_none(s, shape, true);
	if (sh->where != 0)
		set_drop(s, sh->where);
	*sh = (struct shape){.next = s->shape_free};
	s->shape_free = shape;
	s->n_shapes--;
}

/* ---- finding ---- */

/* From this leaf on, in order: down where it may fit, else on to the next part of the tree. */
static uint32_t find_from(const struct sched *s, const struct shape *sh, uint32_t leaf)
{
	size_t i = s->leaves + (size_t)leaf;

	for (;;) {
		if (shape_in(sh, tree_at(s, s->tree, i))) {
			if (i >= s->leaves)
				return (uint32_t)(i - s->leaves);
			i *= 2;
			continue;
		}
		while ((i & 1) != 0)
			i /= 2;
		if (i == 0)
			return NONE; /* it was the last */
		i++;
	}
}

/* The same where a node of both sets is below. */
static uint32_t find_in_sets(
        const struct sched *s, const struct shape *sh, uint32_t leaf, uint32_t set, uint32_t steps)
{
	size_t i = s->leaves + (size_t)leaf;

	for (; steps > 0; steps--) {
		if (set_below(s, set, i) && set_below(s, sh->where, i) &&
		        shape_in(sh, tree_at(s, s->tree, i))) {
			if (i >= s->leaves)
				return (uint32_t)(i - s->leaves);
			i *= 2;
			continue;
		}
		while ((i & 1) != 0)
			i /= 2;
		if (i == 0)
			return NONE;
		i++;
	}
	return NONE;
}

uint32_t shape_try(const struct sched *s, uint32_t shape, uint32_t from, uint32_t steps)
{
	const uint32_t leaf = find_in_sets(s, &s->shapes[shape], from, 0, steps);

	return leaf == NONE ? 0 : node_of_leaf(s, leaf);
}

uint32_t shape_find_in(const struct sched *s, uint32_t shape, uint32_t from, uint32_t set)
{
	const struct shape *sh = &s->shapes[shape];
	uint32_t leaf = from > sh->first ? from : sh->first;

	if (sh->n_fit == 0 || leaf >= s->leaves)
		return 0;
	leaf = sh->where == 0 && set == 0 ? find_from(s, sh, leaf)
	                                  : find_in_sets(s, sh, leaf, set, UINT32_MAX);
	return leaf == NONE ? 0 : node_of_leaf(s, leaf);
}

uint32_t shape_find(const struct sched *s, uint32_t shape, uint32_t from)
{
	return shape_find_in(s, shape, from, 0);
}

uint64_t shape_room(const struct sched *s, uint32_t shape)
{
	const struct shape *sh = &s->shapes[shape];
	uint64_t room = UINT64_MAX;

	if (sh->n_lanes == 1)
		return sh->n_fit > 0 ? sh->n_fit : 1;
	for (uint32_t i = 1; i < sh->n_lanes; i++) {
		uint64_t k = s->eff_total[sh->lane[i]] / sh->need[i];

		room = k < room ? k : room;
	}
	if (sh->where != 0) /* its part of the pool */
		room = (uint64_t)((unsigned __int128)room * s->sets[sh->where].count /
		                  (s->n_up > 0 ? s->n_up : 1));
	return room > 0 ? room : 1;
}

struct likely {
	const struct sched *s;
	const struct shape *sh;
	uint32_t lane, leaf;
	uint64_t most;
};

static void likely_at(struct likely *k, size_t i)
{
	const uint64_t *t = k->s->tree;
	const size_t w = k->s->stride;
	size_t side;

	if ((k->leaf != NONE && t[i * w + k->lane] <= k->most) || t[i * w] < k->sh->need[0] ||
	        !shape_in(k->sh, k->s->able_tree + i * w) || !set_below(k->s, k->sh->where, i))
		return;
	if (i >= k->s->leaves) {
		k->leaf = (uint32_t)(i - k->s->leaves);
		k->most = t[i * w + k->lane];
		return;
	}
	side = t[2 * i * w + k->lane] < t[(2 * i + 1) * w + k->lane];
	likely_at(k, 2 * i + side);
	likely_at(k, 2 * i + (1 - side));
}

uint32_t shape_likely(const struct sched *s, uint32_t shape)
{
	const struct shape *sh = &s->shapes[shape];
	struct likely k = {.s = s, .sh = sh, .leaf = NONE};
	uint64_t least = UINT64_MAX, most = 0;

	/* What it lacks: the lane whose largest free amount is the smallest part of the need; else the largest share. */
	for (uint32_t i = 1; i < sh->n_lanes; i++) {
		uint32_t l = sh->lane[i];
		uint64_t top = tree_at(s, s->tree, 1)[l], cap = s->cap_total[l];
		uint64_t part =
		        top >= sh->need[i] ? 1024 : (uint64_t)((unsigned __int128)top * 1024 / sh->need[i]);
		uint64_t share = cap == 0 ? 0 : (uint64_t)(((unsigned __int128)sh->need[i] << 20) / cap);

		if (part < least || (part == least && share > most)) {
			least = part;
			most = share;
			k.lane = l;
		}
	}
	likely_at(&k, 1);
	return k.leaf == NONE ? 0 : node_of_leaf(s, k.leaf);
}

/* ---- amounts and devices of one node ---- */

/* Two ties of first-fit could disagree after a restart if device order did: devices are kept sorted by (lane, index). */
static uint32_t share_of(uint64_t amount)
{
	return amount >= 1000 ? 1000 : (uint32_t)amount;
}

void amounts_hold(const struct sched *s, uint32_t node, int64_t *free, uint32_t *used,
        const struct variant *v, const uint16_t *indexes, uint32_t n_indexes, int sign)
{
	const struct node *n = &s->nodes[node];
	const struct device *d = node_devs(s, node);
	uint32_t at = 0;

	for (uint32_t i = 0; i < v->n; i++) {
		uint32_t l = v->lane[i], take = (uint32_t)((v->amount[i] + 999) / 1000);

		free[l] -= sign * (int64_t)v->amount[i];
		if ((n->dev_lanes >> l & 1) == 0)
			continue;
		for (; take > 0 && at < n_indexes; take--, at++)
			for (uint32_t k = 0; k < n->n_dev; k++)
				if (d[k].lane == l && d[k].index == indexes[at]) {
					uint32_t part = share_of(v->amount[i]);

					CHECK(sign > 0 || used[k] >= part);
					used[k] = sign > 0 ? used[k] + part : used[k] - part;
				}
	}
}

void amounts_eff(
        const struct sched *s, uint32_t node, const int64_t *free, const uint32_t *used, uint64_t *eff)
{
	const struct node *n = &s->nodes[node];
	const struct device *d = node_devs(s, node);

	eff[0] = n->paused_until_ns != 0 ? 1 : 2;
	for (uint32_t l = 1; l < s->n_lanes; l++)
		eff[l] = free[l] > 0 && (n->dev_lanes >> l & 1) == 0 ? (uint64_t)free[l] : 0;
	for (uint32_t k = 0; k < n->n_dev; k++) {
		uint64_t *e = &eff[d[k].lane];
		uint32_t left = d[k].cap > used[k] ? d[k].cap - used[k] : 0;

		if (left == 1000)
			*e = *e >= 1000 ? *e + 1000 : 1000;
		else if (*e < left)
			*e = left;
	}
	for (uint32_t l = 1; l < s->n_lanes; l++)
		eff[l] = eff[l] < n->largest[l] ? eff[l] : n->largest[l];
}

void sim_from(struct sim *m, const struct sched *s, uint32_t node)
{
	m->s = s;
	m->node = node;
	memcpy(m->free, s->nodes[node].free, sizeof(m->free));
	if (s->nodes[node].n_dev > 0)
		memcpy(m->used, node_used(s, node), sizeof(m->used));
}

void sim_give(struct sim *m, uint32_t lease)
{
	const struct lease *l = &m->s->leases[lease];

	amounts_hold(m->s, m->node, m->free, m->used, &m->s->groups[l->group].v[l->variant],
	        m->s->lease_devs + (size_t)lease * DEVICES_PER_LEASE_MAX, l->n_dev, -1);
}

void sim_eff(const struct sim *m, uint64_t *eff)
{
	amounts_eff(m->s, m->node, m->free, m->used, eff);
}

bool sim_holds(const struct sim *m, uint32_t shape)
{
	uint64_t eff[VEC];

	sim_eff(m, eff);
	return shape_in(&m->s->shapes[shape], eff);
}

/* The device for a part of one: the fullest that has room; for a whole one: the first that is free. NONE: none. */
static uint32_t device_for(const struct sim *m, uint32_t lane, uint32_t part)
{
	const struct node *n = &m->s->nodes[m->node];
	const struct device *d = node_devs(m->s, m->node);
	uint32_t best = NONE, best_left = 0;

	for (uint32_t k = 0; k < n->n_dev; k++) {
		uint32_t left = d[k].cap > m->used[k] ? d[k].cap - m->used[k] : 0;

		if (d[k].lane != lane || left < part || (best != NONE && left >= best_left))
			continue;
		best = k;
		best_left = left;
	}
	return best;
}

void sim_take(struct sim *m, const struct variant *v, struct sched_placement *out)
{
	const struct node *n = &m->s->nodes[m->node];
	const struct device *d = node_devs(m->s, m->node);
	uint32_t n_out = 0;

	for (uint32_t i = 0; i < v->n; i++) {
		uint32_t take = (uint32_t)((v->amount[i] + 999) / 1000);

		m->free[v->lane[i]] -= (int64_t)v->amount[i];
		if ((n->dev_lanes >> v->lane[i] & 1) == 0)
			continue;
		for (; take > 0; take--) {
			uint32_t k = device_for(m, v->lane[i], share_of(v->amount[i]));

			CHECK(k != NONE && n_out < DEVICES_PER_LEASE_MAX);
			m->used[k] += share_of(v->amount[i]);
			if (out != NULL)
				out->devices[n_out] = d[k].index;
			n_out++;
		}
	}
	if (out != NULL)
		out->n_devices = n_out;
}

void node_clear(struct sched *s, uint32_t node)
{
	static const uint64_t zero[VEC];
	uint64_t was[VEC];

	memcpy(was, node_eff(s, node), s->n_lanes * sizeof(*was));
	leaf_set(s, node_leaf(s, node), was, zero, false);
	memcpy(was, node_able(s, node), s->n_lanes * sizeof(*was));
	leaf_set(s, node_leaf(s, node), was, zero, true);
}

void node_refresh(struct sched *s, uint32_t node)
{
	const struct node *n = &s->nodes[node];
	uint64_t eff[VEC] = {0}, was[VEC];

	if (n->known && n->state == WIRE__NODE_SET__STATE__UP)
		amounts_eff(s, node, n->free, node_used(s, node), eff);
	memcpy(was, node_eff(s, node), s->n_lanes * sizeof(*was));
	leaf_set(s, node_leaf(s, node), was, eff, false);
}

void node_refresh_able(struct sched *s, uint32_t node)
{
	const struct node *n = &s->nodes[node];
	static const uint32_t unused[DEVICES_PER_NODE_MAX];
	uint64_t able[VEC] = {0}, was[VEC];
	int64_t free[VEC];

	for (uint32_t l = 0; l < VEC; l++)
		free[l] = (int64_t)n->cap[l];
	if (n->known && n->state == WIRE__NODE_SET__STATE__UP)
		amounts_eff(s, node, free, unused, able);
	able[0] = able[0] != 0 ? 2 : 0; /* a pause passes */
	memcpy(was, node_able(s, node), s->n_lanes * sizeof(*was));
	leaf_set(s, node_leaf(s, node), was, able, true);
}
