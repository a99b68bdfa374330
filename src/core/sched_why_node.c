/* SPDX-License-Identifier: Apache-2.0 */
/* sched_why_node - why a group, or a step that was not submitted, is not on this node. For people, not for picking. Pure. */
#include "core/sched_state.h"

/* What is asked of the node. */
struct ask {
	const struct set *where; /* NULL: nothing */
	uint64_t need[VARIANTS_MAX][VEC];
	uint32_t n;
	uint64_t missing; /* bytes of inputs that the node does not hold */
	bool unknown;     /* a resource that nobody has */
};

static bool holds(const struct sched *s, const uint64_t *need, const uint64_t *have, uint32_t *out_lane)
{
	for (uint32_t l = 1; l < s->n_lanes; l++)
		if (need[l] > have[l]) {
			*out_lane = l;
			return false;
		}
	return true;
}

/* Is there a variant that fits into this? If not, what the first one lacks. */
static bool any_holds(
        const struct sched *s, const struct ask *a, const uint64_t *have, struct sched_node_why *out)
{
	uint32_t lane = 0, first = 0;

	for (uint32_t v = 0; v < a->n; v++) {
		if (holds(s, a->need[v], have, &lane))
			return true;
		first = v == 0 ? lane : first;
	}
	out->resource = first - 1;
	out->needs = a->need[0][first];
	out->free = have[first];
	return false;
}

static bool meets(const struct ask *a, const struct node *n, struct sched_node_why *out)
{
	for (uint32_t i = 0; a->where != NULL && i < a->where->n_tests; i++) {
		struct set one = *a->where;

		one.test[0] = a->where->test[i];
		one.n_tests = 1;
		out->match = i;
		if (!set_meets(&one, n))
			return false;
	}
	return true;
}

static void judge(const struct sched *s, const struct ask *a, uint32_t node, uint64_t now_ns,
        struct sched_node_why *out)
{
	static const uint32_t unused[DEVICES_PER_NODE_MAX];
	const struct node *n = &s->nodes[node];
	const struct link_use *link = &s->nodes[n->owner].link;
	uint64_t have[VEC];
	int64_t cap[VEC];

	out->missing = a->missing;
	out->left = link->bytes == 0 ? UINT64_MAX : link_left(link, now_ns);
	for (uint32_t l = 0; l < VEC; l++)
		cap[l] = (int64_t)n->cap[l];
	amounts_eff(s, node, cap, unused, have);
	out->reason = NODE_STATE;
	if (n->state != WIRE__NODE_SET__STATE__UP)
		return;
	out->reason = NODE_WHERE;
	if (!meets(a, n, out))
		return;
	out->reason = NODE_TOO_SMALL;
	if (a->unknown || !any_holds(s, a, have, out))
		return;
	out->reason = NODE_PAUSED;
	out->until_ns = n->paused_until_ns;
	if (n->paused_until_ns > now_ns)
		return;
	out->reason = NODE_BUSY;
	if (!any_holds(s, a, node_eff(s, node), out))
		return;
	out->reason = NODE_LINK;
	out->until_ns = link->bytes == 0 ? 0 : link_wake_ns(link, now_ns);
	if (link->bytes != 0 && !link_may(link, a->missing, now_ns))
		return;
	out->reason = NODE_TAKES;
	out->until_ns = 0;
}

static void say_near(struct sched_node_why *out, struct distance d)
{
	out->near = d.how;
	out->near_node = d.node;
	out->near_us = d.us;
}

void place_why(
        const struct sched *s, uint32_t group, uint32_t node, uint64_t now_ns, struct sched_node_why *out)
{
	const struct group *g = &s->groups[group];
	const struct wish *w = &s->wishes[group];
	struct ask a = {.n = 0};
	uint32_t fits = NONE;

	*out = (struct sched_node_why){.reason = NODE_TAKES};
	for (; a.n < g->n_variants; a.n++) {
		const struct shape *sh = &s->shapes[g->v[a.n].shape];

		for (uint32_t i = 1; i < sh->n_lanes; i++)
			a.need[a.n][sh->lane[i]] = sh->need[i];
		fits = fits == NONE && shape_in(sh, node_eff(s, node)) && shape_able(s, g->v[a.n].shape, node)
		               ? a.n
		               : fits;
	}
	if (g->wishes && w->where != 0)
		a.where = &s->sets[w->where];
	a.missing = g->wishes ? wish_missing(s, w, s->nodes[node].owner) : 0;
	judge(s, &a, node, now_ns, out);
	if (g->wishes && w->near != 0)
		say_near(out, set_distance(s, w->near, node));
	if (s->jobs[g->job].realtime && out->reason == NODE_PAUSED && fits != NONE)
		out->reason = NODE_TAKES; /* a pause is for batch work */
	if (out->reason == NODE_TAKES && !group_may(s, group, node, now_ns))
		out->reason = NODE_FAILED;
	if (out->reason == NODE_TAKES && g->wishes && w->any && fits != NONE) {
		out->scored = true;
		out->score = place_score(s, group, fits, node) * 1000 / 1024;
	}
}

/* Of a node's places: does this one come nearer to taking it? */
static bool nearer(const struct sched_node_why *a, const struct sched_node_why *b)
{
	return a->reason != b->reason ? a->reason > b->reason : a->scored && a->score > b->score;
}

bool sched_node_why(
        const struct sched *s, uint32_t group, uint32_t node, uint64_t now_ns, struct sched_node_why *out)
{
	struct sched_node_why below;
	uint32_t k = 0;

	if (group == 0 || group > s->groups_top || s->groups[group].job == 0 || node == 0 ||
	        node > s->node_real || !s->nodes[node].known)
		return false;
	place_why(s, group, node, now_ns, out);
	for (uint32_t x = place_next(s, node, node); x != 0; x = place_next(s, node, x)) {
		place_why(s, group, x, now_ns, &below);
		below.class_ = ++k;
		if (place_alike(s, &s->groups[group], x) && nearer(&below, out))
			*out = below;
	}
	return true;
}

bool sched_place_why(const struct sched *s, const Wire__Place *place, const Wire__Variant *const *variants,
        size_t n, uint32_t node, uint64_t now_ns, struct sched_node_why *out)
{
	struct set where = {0};
	struct ask a = {.where = &where};

	if (node == 0 || node > s->node_real || !s->nodes[node].known || n == 0 || n > VARIANTS_MAX ||
	        (place != NULL && !set_read(&where, place->where, place->n_where)))
		return false;
	*out = (struct sched_node_why){.reason = NODE_TAKES};
	for (; a.n < n; a.n++)
		for (size_t i = 0; i < variants[a.n]->n_needs; i++) {
			const Wire__Need *need = variants[a.n]->needs[i];
			uint32_t l = lane_find(s, need->name);

			a.unknown = a.unknown || (l == 0 && need->amount != 0 && n == 1);
			if (need->amount != 0)
				a.need[a.n][l == 0 ? 1 : l] += l == 0 ? UINT64_MAX >> 1 : need->amount;
		}
	judge(s, &a, node, now_ns, out);
	say_near(out, place_distance(s, place, node));
	for (uint32_t x = place_next(s, node, node), k = 1; x != 0; x = place_next(s, node, x), k++) {
		struct sched_node_why below = {.class_ = k};

		judge(s, &a, x, now_ns, &below);
		say_near(&below, place_distance(s, place, x));
		if (nearer(&below, out))
			*out = below;
	}
	return true;
}
