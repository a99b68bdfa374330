/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_near - how far nodes are from each other, and so from what a group wishes to be near.
 *
 * What was measured is in NodeFacts, rounded up to powers of two: from a node to another one, or to a site. What was not is estimated by
 * way of this machine, to which nodes have links: no way is longer than that one, as far as packets find it. Pure, integers only.
 */
#include "core/sched_state.h"

#define NEAR_TARGETS 8u

uint64_t latency_to_node(uint32_t node)
{
	return 2 * (uint64_t)node; /* hashes of labels are odd */
}

static uint64_t told(const struct sched *s, uint32_t node, uint64_t to)
{
	const struct node *n = &s->nodes[node];

	for (uint32_t i = 0; to != 0 && i < n->n_latency; i++)
		if (n->latency[i].to == to)
			return n->latency[i].us;
	return 0;
}

/* Either of the two may have measured it. */
static uint64_t measured(const struct sched *s, uint32_t a, uint32_t b)
{
	const uint64_t x = told(s, a, latency_to_node(b)), y = told(s, b, latency_to_node(a));

	return x == 0 || (y != 0 && y < x) ? y : x;
}

static int64_t cost_of(uint64_t us)
{
	int64_t cost = 2;

	while (cost < 100 && us >> 8 >> (cost / 10) != 0)
		cost += cost == 2 ? 8 : 10;
	return cost;
}

struct distance node_distance(const struct sched *s, uint32_t place, uint32_t to_place)
{
	const uint32_t node = s->nodes[place].owner, to = s->nodes[to_place].owner;
	const uint64_t site = s->nodes[to_place].site, own = measured(s, node, to);
	uint64_t a, b;

	if (to == node)
		return (struct distance){NEAR_HERE, to, 0, 0};
	if (site != 0 && site == s->nodes[place].site)
		return (struct distance){NEAR_SITE, to, 0, 1};
	if (own != 0)
		return (struct distance){NEAR_MEASURED, to, own, cost_of(own)};
	a = told(s, node, site);
	if (a != 0)
		return (struct distance){NEAR_MEASURED, to, a, cost_of(a)};
	a = measured(s, node, THIS_NODE);
	b = measured(s, to, THIS_NODE);
	if (a != 0 && b != 0)
		return (struct distance){NEAR_BY_HUB, to, a + b, cost_of(a + b)};
	return (struct distance){NEAR_UNKNOWN, to, 0, 100};
}

static void nearer(struct distance *best, struct distance d)
{
	if (best->how == NEAR_NOT_ASKED || d.cost < best->cost || (d.cost == best->cost && d.us < best->us))
		*best = d;
}

struct distance set_distance(const struct sched *s, uint32_t near, uint32_t node)
{
	struct distance best = {NEAR_NOT_ASKED, 0, 0, 100};
	uint32_t leaf = set_next(s, near, 0);

	for (uint32_t k = 0; k < NEAR_TARGETS && leaf != NONE; k++, leaf = set_next(s, near, leaf + 1))
		nearer(&best, node_distance(s, node, node_of_leaf(s, leaf)));
	return best;
}

struct distance place_distance(const struct sched *s, const Wire__Place *place, uint32_t node)
{
	struct distance best = {NEAR_NOT_ASKED, 0, 0, 100};
	Wire__Match *at = place != NULL ? place->near : NULL;
	struct set set = {0};
	uint32_t n = 0;

	if (at == NULL && place != NULL && place->near_submitter)
		return node_distance(s, node, THIS_NODE);
	if (at == NULL || !set_read(&set, &at, 1))
		return best;
	for (uint32_t x = 1; x <= s->node_top && n < NEAR_TARGETS; x++)
		if (s->nodes[x].known && !s->nodes[x].gone && set_meets(&set, &s->nodes[x])) {
			nearer(&best, node_distance(s, node, x));
			n++;
		}
	return best;
}

void latency_forget(struct sched *s, uint32_t node)
{
	for (uint32_t x = 1; x <= s->node_top; x++) {
		struct node *n = &s->nodes[x];
		uint32_t left = 0;

		for (uint32_t i = 0; i < n->n_latency; i++)
			if (n->latency[i].to != latency_to_node(node))
				n->latency[left++] = n->latency[i];
		n->n_latency = left;
	}
	s->nodes[node].n_latency = 0;
}
