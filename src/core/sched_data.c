/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_data - which nodes hold which inputs, and what may still come over their links.
 *
 * A node is known to hold a blob when it said so (NodeFacts), or when a lease whose tasks take it was granted there: it is fetched
 * then. This machine holds what was submitted here. At most HELD blobs a node; the one named longest ago makes room. Of each blob the holders are a chain by number, so that
 * the choice among them does not depend on history. Of a link's budget inputs are counted when a lease is granted, outputs when their
 * results are committed (how large they will be nobody knows before), by windows that begin at multiples of their length since
 * 1970. Pure.
 */
#include "core/sched_state.h"

static struct held *cells_of(const struct sched *s, uint32_t node)
{
	return s->held + (size_t)node * HELD;
}

static uint32_t node_of(uint32_t cell)
{
	return (cell - 1) / HELD;
}

static uint32_t *chain_of(const struct sched *s, uint64_t blob)
{
	return &s->held_chain[prng_mix(blob, 37, 41) & s->held_chain_mask];
}

static void unchain(struct sched *s, uint32_t cell)
{
	uint32_t *at = chain_of(s, s->held[cell - 1].blob);

	while (*at != cell) {
		CHECK(*at != 0);
		at = &s->held[*at - 1].next;
	}
	*at = s->held[cell - 1].next;
	s->held[cell - 1] = (struct held){0};
}

static void chain(struct sched *s, uint32_t cell)
{
	struct held *h = &s->held[cell - 1];
	uint32_t *at = chain_of(s, h->blob);

	while (*at != 0 &&
	        (s->held[*at - 1].blob < h->blob || (s->held[*at - 1].blob == h->blob && *at < cell)))
		at = &s->held[*at - 1].next;
	h->next = *at;
	*at = cell;
}

void held_clear(struct sched *s, uint32_t node)
{
	for (uint32_t i = 0; i < HELD; i++)
		if (cells_of(s, node)[i].blob != 0)
			unchain(s, node * HELD + i + 1);
}

void held_add(struct sched *s, uint32_t node, uint64_t blob)
{
	struct held *h = cells_of(s, node);
	uint32_t at = 0;

	for (uint32_t i = 0; i < HELD; i++) {
		if (h[i].blob == blob) {
			h[i].stamp = ++s->held_clock;
			return;
		}
		at = h[i].stamp < h[at].stamp ? i : at;
	}
	if (h[at].blob != 0)
		unchain(s, node * HELD + at + 1);
	h[at] = (struct held){.blob = blob, .stamp = ++s->held_clock};
	chain(s, node * HELD + at + 1);
}

uint32_t held_next(const struct sched *s, uint64_t blob, uint32_t after)
{
	uint32_t x = *chain_of(s, blob);

	if (after != 0) { /* go on at its own cell */
		const struct held *h = cells_of(s, after);

		for (uint32_t i = 0; i < HELD; i++)
			if (h[i].blob == blob)
				x = h[i].next;
	}
	while (x != 0 && s->held[x - 1].blob < blob)
		x = s->held[x - 1].next;
	return x != 0 && s->held[x - 1].blob == blob ? node_of(x) : 0;
}

bool held_has(const struct sched *s, uint32_t node, uint64_t blob)
{
	const struct held *h = cells_of(s, node);

	for (uint32_t i = 0; i < HELD; i++)
		if (h[i].blob == blob)
			return true;
	return false;
}

uint32_t held_list(const struct sched *s, uint32_t node, uint64_t out[HELD])
{
	const struct held *h = cells_of(s, node);
	uint64_t after = 0;
	uint32_t n = 0;

	for (;;) {
		uint32_t at = NONE;

		for (uint32_t i = 0; i < HELD; i++)
			if (h[i].stamp > after && (at == NONE || h[i].stamp < h[at].stamp))
				at = i;
		if (at == NONE)
			return n;
		after = h[at].stamp;
		out[n++] = h[at].blob;
	}
}

uint32_t sched_holders(const struct sched *s, uint64_t blob, uint32_t *out, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t x = held_next(s, blob, 0); x != 0 && n < max; x = held_next(s, blob, x))
		if (x != THIS_NODE)
			out[n++] = x;
	return n;
}

bool sched_holds(const struct sched *s, uint32_t node, uint64_t blob)
{
	return node == THIS_NODE || held_has(s, node, blob);
}

uint64_t wish_missing(const struct sched *s, const struct wish *w, uint32_t node)
{
	uint64_t missing = 0;

	for (uint32_t i = 0; i < w->n_blobs && node != THIS_NODE; i++)
		missing += held_has(s, node, w->blob[i]) ? 0 : w->bytes[i];
	return missing;
}

/* ---- links ---- */

#define MINUTE_NS (60ull * 1000000000ull)
#define DAY_MIN   1440u

static bool is_open(const struct link_use *l, uint64_t now_ns)
{
	const uint32_t at = (uint32_t)(now_ns / MINUTE_NS % DAY_MIN);

	if (l->from_min == l->to_min)
		return true;
	if (l->from_min < l->to_min)
		return at >= l->from_min && at < l->to_min;
	return at >= l->from_min || at < l->to_min;
}

uint64_t link_left(const struct link_use *l, uint64_t now_ns)
{
	const uint64_t used = l->window == now_ns / l->per_ns ? l->used : 0;

	if (l->bytes == 0)
		return UINT64_MAX;
	return !is_open(l, now_ns) || used >= l->bytes ? 0 : l->bytes - used;
}

bool link_may(const struct link_use *l, uint64_t bytes, uint64_t now_ns)
{
	const uint64_t left = l->bytes == 0 || bytes == 0 ? UINT64_MAX : link_left(l, now_ns);

	return bytes <= left ||
	       (left == l->bytes && left > 0); /* more than a whole window has: a whole one */
}

uint64_t link_wake_ns(const struct link_use *l, uint64_t now_ns)
{
	const uint64_t day = now_ns / MINUTE_NS / DAY_MIN * DAY_MIN;
	uint64_t at = (now_ns / l->per_ns + 1) * l->per_ns;

	for (uint32_t k = 0; k < 2 && l->from_min != l->to_min; k++) {
		uint64_t edge = (day + k * DAY_MIN + l->from_min) * MINUTE_NS;

		at = edge > now_ns && edge < at ? edge : at;
	}
	return at;
}

static void link_count(struct link_use *l, uint64_t bytes, uint64_t now_ns)
{
	if (l->bytes == 0 || bytes == 0)
		return;
	if (l->window != now_ns / l->per_ns) {
		l->window = now_ns / l->per_ns;
		l->used = 0;
	}
	l->used = l->used > UINT64_MAX - bytes ? UINT64_MAX : l->used + bytes;
}

void link_take(struct sched *s, uint32_t group, uint32_t node, uint64_t now_ns)
{
	const struct wish *w = &s->wishes[group];

	if (!s->groups[group].wishes || w->n_blobs == 0 || node == THIS_NODE)
		return;
	link_count(&s->nodes[node].link, wish_missing(s, w, node), now_ns);
	for (uint32_t i = 0; i < w->n_blobs; i++)
		held_add(s, node, w->blob[i]);
}

void sched_sent(struct sched *s, uint32_t node, uint64_t bytes, uint64_t now_ns)
{
	CHECK(node != 0 && node <= s->lim.nodes_max);
	if (node != THIS_NODE)
		link_count(&s->nodes[node].link, bytes, now_ns);
}
