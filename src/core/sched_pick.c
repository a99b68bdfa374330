/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_pick - the next placement: who is first, does it fit, who may pass, who must go.
 *
 * A pick looks for the head (the starving group, else the first realtime, else the first batch group that could run by
 * quota, limits and capacity). If the head fits, it is placed. If not, a node is reserved for it and the first other
 * group that fits, without delaying it, is placed. Looks only at groups whose colours say that they may fit.
 * Pure, const, a few KiB of stack.
 */
#include "core/sched_state.h"

struct hunt {
	const struct sched *s;
	uint64_t now_ns, limit_ns; /* limit: groups that waited since later do not count */
	struct bits want;          /* shapes of interest; may lose bits on the way */
	bool (*is_it)(struct hunt *h, uint32_t group);
	uint32_t found, variant, node;
	uint32_t gang[SCHED_GANG_MAX]; /* nodes of what was found, if it is one */
	uint64_t left_ns;
	uint32_t tried;
	const struct reservation *res;
	uint64_t victim;
	struct ahead *ahead;
};

/* ---- walking, in order, only where the colours are ---- */

static bool hunt_groups(struct hunt *h, uint32_t root)
{
	const struct tnode *t = &h->s->group_order.t[root];

	if (root == 0 || !bits_meet(&t->all, &h->want))
		return false;
	if (hunt_groups(h, t->kid[0]))
		return true;
	if (group_wait(&h->s->groups[root]) > h->limit_ns) {
		if (h->s->groups[root].k_wait > h->limit_ns + SLACK_MAX * SLACK_NS)
			return false;
	} else if (bits_meet(&t->own, &h->want) && h->is_it(h, root)) {
		h->found = root;
		return true;
	}
	return hunt_groups(h, t->kid[1]);
}

static bool hunt_jobs(struct hunt *h, const struct order *o, uint32_t root)
{
	const struct tnode *t = &o->t[root];

	if (root == 0 || !bits_meet(&t->all, &h->want))
		return false;
	if (hunt_jobs(h, o, t->kid[0]))
		return true;
	if (h->limit_ns != UINT64_MAX && h->s->jobs[root].k_starve > h->limit_ns)
		return false; /* only what starves is looked for, and then they are in that order */
	if (bits_meet(&t->own, &h->want) && hunt_groups(h, h->s->jobs[root].groups_root))
		return true;
	return hunt_jobs(h, o, t->kid[1]);
}

/* The jobs of one namespace, as far as its quota allows. */
static bool hunt_in_ns(struct hunt *h, const struct order *o, uint32_t ns, uint32_t root)
{
	const struct bits *allow = &h->s->ns[ns].allow;
	const struct bits outer = h->want;
	bool yes;

	for (uint32_t i = 0; i < BITS_W; i++)
		h->want.w[i] &= allow->w[i];
	yes = hunt_jobs(h, o, root);
	for (uint32_t i = 0; i < BITS_W; i++)
		h->want.w[i] = outer.w[i] & (h->want.w[i] | ~allow->w[i]);
	return yes;
}

static bool hunt_batch(struct hunt *h, uint32_t root)
{
	const struct tnode *t = &h->s->ns_fair.t[root];

	if (root == 0 || !bits_meet(&t->all, &h->want))
		return false;
	if (hunt_batch(h, t->kid[0]))
		return true;
	if (bits_meet(&t->own, &h->want) && hunt_in_ns(h, &h->s->job_order, root, h->s->ns[root].jobs_root))
		return true;
	return hunt_batch(h, t->kid[1]);
}

/* ---- the head ---- */

/* Could it run, were the nodes empty? */
static bool is_eligible(struct hunt *h, uint32_t group)
{
	const struct group *g = &h->s->groups[group];

	for (uint32_t v = 0; v < g->n_variants; v++)
		if (h->s->shapes[g->v[v].shape].n_able > 0 && group_permits(h->s, g, v) &&
		        (g->gang == 0 || gang_seats(h->s, group, v, h->now_ns, true) == g->gang))
			return true;
	return false;
}

static void hunt_init(struct hunt *h, const struct sched *s, uint64_t now_ns, const struct bits *want,
        bool (*is_it)(struct hunt *, uint32_t))
{
	h->s = s;
	h->now_ns = now_ns;
	h->limit_ns = h->left_ns = UINT64_MAX;
	h->want = *want;
	h->is_it = is_it;
	h->found = h->variant = h->node = h->tried = 0;
	h->res = NULL;
	h->victim = 0;
	h->ahead = NULL;
}

struct oldest {
	const struct sched *s;
	uint64_t now_ns, limit_ns;
	uint32_t group;
};

/* Namespaces by the oldest wait in them; over when the next one's is younger than what was found. */
static bool oldest_at(struct oldest *o, uint32_t root)
{
	const struct sched *s = o->s;
	struct hunt h;

	if (root == 0)
		return false;
	if (oldest_at(o, s->ns_starve.t[root].kid[0]))
		return true;
	if (s->ns[root].starve_ns > o->limit_ns)
		return true;
	if (o->group != 0 && s->ns[root].starve_ns > s->jobs[s->groups[o->group].job].k_starve)
		return true;
	hunt_init(&h, s, o->now_ns, &s->able, is_eligible);
	h.limit_ns = o->limit_ns;
	if (hunt_in_ns(&h, &s->job_starve, root, s->ns[root].starve_root)) {
		uint32_t a = s->groups[h.found].job, b = s->groups[o->group].job;

		if (o->group == 0 || s->job_starve.cmp(s, a, b) < 0)
			o->group = h.found;
	}
	return oldest_at(o, s->ns_starve.t[root].kid[1]);
}

static uint32_t starving(const struct sched *s, uint64_t now_ns)
{
	struct oldest o = {.s = s, .now_ns = now_ns};

	if (now_ns < STARVE_NS)
		return 0;
	o.limit_ns = now_ns - STARVE_NS;
	(void)oldest_at(&o, s->starve_root);
	return o.group;
}

/* When a pause ends, or a link that something may wait for opens. */
static uint64_t places_wake_ns(const struct sched *s, uint64_t now_ns)
{
	uint64_t at = pause_wake_ns(s);

	at = at > now_ns ? at : now_ns + 1;
	for (uint32_t x = 1; x <= s->node_real && s->n_links > 0 && s->crossing_ready > 0; x++)
		if (s->nodes[x].link.bytes != 0 && link_wake_ns(&s->nodes[x].link, now_ns) < at)
			at = link_wake_ns(&s->nodes[x].link, now_ns);
	return at;
}

uint64_t sched_wake_ns(const struct sched *s, uint64_t now_ns)
{
	uint32_t ns = order_first(&s->ns_starve, s->starve_root);
	uint64_t at = s->n_paused + s->n_links > 0 ? places_wake_ns(s, now_ns) : UINT64_MAX, starve;

	if (ns == 0)
		return at;
	/* Something starves and cannot be placed; others may begin to. A look each minute, on the minute. */
	starve = s->ns[ns].starve_ns + STARVE_NS > now_ns ? s->ns[ns].starve_ns + STARVE_NS
	                                                  : (now_ns / AGE_NS + 1) * AGE_NS;
	return starve < at ? starve : at;
}

/* ---- reservation and backfill ---- */

/* Leases in the order of their expected ends: give back until the shape fits. When that takes one that is overdue or
 * of unknown run time, it may be any moment: now. */
static bool reserve_on(
        const struct sched *s, struct reservation *r, uint32_t shape, uint32_t node, uint64_t now_ns)
{
	uint32_t v[LEASES_SORTED];
	const uint32_t n = leases_by_end(s, node, v);

	sim_from(&r->then, s, node);
	for (uint32_t i = 0; i < n; i++) {
		const uint64_t end = s->ends[v[i]].end_ns;

		sim_give(&r->then, v[i]);
		if (!sim_holds(&r->then, shape))
			continue;
		r->at_ns = end > now_ns && end != UINT64_MAX ? end : now_ns;
		return true;
	}
	/* More leases than are sorted here: the others as they come, and no more of them than it takes. */
	for (uint32_t l = s->nodes[node].leases; l != 0 && n == LEASES_SORTED; l = s->ends[l].next) {
		if (!ends_before(&s->ends[v[n - 1]], &s->ends[l]))
			continue; /* it is among the sorted */
		sim_give(&r->then, l);
		if (!sim_holds(&r->then, shape))
			continue;
		r->at_ns = now_ns;
		return true;
	}
	return false;
}

/* A node where leases are being stopped and that will hold the shape when they are: the lowest of the first few. */
static uint32_t stopping_node(const struct sched *s, uint32_t shape)
{
	uint32_t best = 0, seen = 0;

	for (uint32_t l = s->stopping; l != 0 && seen < PREEMPT_NODES; l = s->leases[l].stop_next, seen++) {
		uint32_t node = s->leases[l].node;
		struct sim m;

		if (s->nodes[node].state != WIRE__NODE_SET__STATE__UP || (best != 0 && node >= best) ||
		        !shape_able(s, shape, node))
			continue;
		sim_from(&m, s, node);
		for (uint32_t k = s->nodes[node].leases; k != 0; k = s->ends[k].next)
			if (s->leases[k].stopping)
				sim_give(&m, k);
		if (sim_holds(&m, shape))
			best = node;
	}
	return best;
}

/* The first node that could hold the shape and that the group may go to; 0 none. */
static uint32_t first_allowed(const struct sched *s, uint32_t group, uint32_t shape, uint64_t now_ns)
{
	for (uint32_t node = 1; node <= s->node_top; node++)
		if (shape_able(s, shape, node) && group_may(s, group, node, now_ns))
			return node;
	return 0;
}

void reserve(const struct sched *s, uint32_t group, uint64_t now_ns, struct reservation *r)
{
	const struct group *g = &s->groups[group];

	r->s = s;
	r->group = group;
	r->node = r->n_seats = 0;
	r->at_ns = now_ns;
	for (uint32_t v = 0; v < g->n_variants; v++) {
		const uint32_t shape = g->v[v].shape;

		if (s->shapes[shape].n_able == 0 || !group_permits(s, g, v))
			continue;
		if (g->gang != 0) {
			if (gang_seats(s, group, v, now_ns, true) < g->gang)
				continue;
			gang_reserve(s, group, v, now_ns, r);
			return;
		}
		r->variant = v;
		r->node = stopping_node(s, shape);
		if (r->node == 0)
			r->node = shape_likely(s, shape);
		if (r->node != 0 && !group_may(s, group, r->node, now_ns))
			r->node = first_allowed(s, group, shape, now_ns);
		if (r->node != 0 && !reserve_on(s, r, shape, r->node, now_ns))
			r->node = 0;
		return;
	}
}

bool backfill_ok(
        const struct reservation *r, const struct group *g, uint32_t v, uint64_t now_ns, uint64_t *out_left)
{
	const struct sched *s = r->s;
	struct sched_placement p;
	struct sim now, then = r->then;
	uint16_t idx[DEVICES_PER_LEASE_MAX];
	uint64_t run;

	*out_left = UINT64_MAX;
	sim_from(&now, s, r->node);
	sim_take(&now, &g->v[v], &p);
	for (uint32_t i = 0; i < p.n_devices; i++)
		idx[i] = (uint16_t)p.devices[i];
	amounts_hold(s, r->node, then.free, then.used, &g->v[v], idx, p.n_devices, 1);
	if (sim_holds(&then, s->groups[r->group].v[r->variant].shape))
		return true; /* both fit at that time */
	if (r->at_ns <= now_ns)
		return false;
	run = speed_scaled(s, g->v[v].kind, r->node, kind_quantile_ns(s, g->v[v].kind, 900));
	*out_left = r->at_ns - now_ns;
	return run != 0 && run <= *out_left;
}

/* It fits only on the reserved node, and not there: other groups of that shape need not be looked at when time cannot
 * help them, or when enough were. */
static void give_up_shape(struct hunt *h, uint32_t shape)
{
	h->tried++;
	if (h->res->at_ns > h->now_ns && h->tried < BACKFILL_DEPTH)
		return;
	if (h->s->fit_refs[shape % BITS] == 1 || h->tried >= 4 * BACKFILL_DEPTH)
		bits_drop(&h->want, shape);
}

/* The node that the variant goes to now, but `skip`: the first that it fits on, or by its wishes the best. */
static uint32_t find_node(const struct hunt *h, uint32_t group, uint32_t variant, uint32_t skip)
{
	const struct sched *s = h->s;
	const uint32_t shape = s->groups[group].v[variant].shape;
	uint32_t node;

	if (s->groups[group].wishes && s->wishes[group].any)
		return place_best(s, group, variant, skip, h->now_ns);
	node = shape_find(s, shape, skip == 0 ? 0 : node_leaf(s, skip) + 1);
	while (node != 0 && !group_may(s, group, node, h->now_ns))
		node = shape_find(s, shape, node_leaf(s, node) + 1);
	return node;
}

/* The next node after one that is reserved. By wishes, only one more is tried. */
static uint32_t find_beside(struct hunt *h, uint32_t group, uint32_t v, uint32_t node)
{
	const struct group *g = &h->s->groups[group];
	const bool scored = g->wishes && h->s->wishes[group].any;

	do {
		h->left_ns = UINT64_MAX;
		node = find_node(h, group, v, node);
		if (node == 0 || reservation_leaves(h->res, g, v, node, h->now_ns, &h->left_ns))
			return node;
	} while (!scored);
	h->left_ns = UINT64_MAX;
	return 0;
}

static bool is_placeable(struct hunt *h, uint32_t group)
{
	const struct sched *s = h->s;
	const struct group *g = &s->groups[group];

	for (uint32_t v = 0; v < g->n_variants; v++) {
		const uint32_t shape = g->v[v].shape;
		struct bits one = {0};
		uint32_t node;

		bits_set(&one, shape);
		if (s->shapes[shape].n_fit == 0 || !bits_meet(&one, &h->want) || !group_permits(s, g, v))
			continue;
		h->left_ns = UINT64_MAX;
		if (g->gang != 0) {
			node = gang_find(s, h->res, group, v, h->now_ns, h->gang) ? h->gang[0] : 0;
		} else {
			node = find_node(h, group, v, 0);
			if (node != 0 && h->res != NULL &&
			        !reservation_leaves(h->res, g, v, node, h->now_ns, &h->left_ns)) {
				node = find_beside(h, group, v, node);
				if (node == 0)
					give_up_shape(h, shape);
			}
		}
		if (node == 0)
			continue;
		h->variant = v;
		h->node = node;
		return true;
	}
	return false;
}

/* ---- room for realtime ---- */

static uint64_t copies(const struct sim *m, const struct shape *sh)
{
	uint64_t eff[VEC], n = UINT64_MAX;

	sim_eff(m, eff);
	for (uint32_t i = 1; i < sh->n_lanes; i++)
		n = eff[sh->lane[i]] / sh->need[i] < n ? eff[sh->lane[i]] / sh->need[i] : n;
	return n;
}

static void sim_stopped(struct sim *m, const struct sched *s, uint32_t node)
{
	sim_from(m, s, node);
	for (uint32_t l = s->nodes[node].leases; l != 0; l = s->ends[l].next)
		if (s->leases[l].stopping)
			sim_give(m, l);
}

static bool is_victim(const struct sched *s, uint32_t lease)
{
	return !s->leases[lease].stopping && !s->jobs[s->groups[s->leases[lease].group].job].realtime;
}

/* Lowest priority, then latest started, then latest number. */
static bool better_victim(const struct sched *s, uint32_t a, uint32_t b)
{
	const struct lease *x = &s->leases[a], *y = &s->leases[b];
	uint32_t p = s->jobs[s->groups[x->group].job].priority, q = s->jobs[s->groups[y->group].job].priority;

	if (p != q)
		return p < q;
	return x->granted_ns != y->granted_ns ? x->granted_ns > y->granted_ns : x->id > y->id;
}

struct victims {
	uint32_t n, v[DEVICES_PER_NODE_MAX];
	uint32_t node;
};

/* How much of what is lacking the lease would free, in 1/1024 of the need, over all lanes. */
static uint64_t worth(const struct sched *s, const struct shape *sh, const uint64_t *lack, uint32_t lease)
{
	const struct lease *l = &s->leases[lease];
	const struct variant *v = &s->groups[l->group].v[l->variant];
	uint64_t sum = 0;

	for (uint32_t i = 1; i < sh->n_lanes; i++)
		for (uint32_t k = 0; k < v->n; k++)
			if (v->lane[k] == sh->lane[i]) {
				uint64_t a = v->amount[k] < lack[i] ? v->amount[k] : lack[i];

				sum += (uint64_t)((unsigned __int128)a * 1024 / sh->need[i]);
			}
	return sum;
}

static bool chosen(const struct victims *c, uint32_t lease)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->v[i] == lease)
			return true;
	return false;
}

/* Would the node hold `want` allotments without these? */
static bool enough(
        const struct sched *s, const struct victims *c, const struct shape *sh, uint64_t want, uint32_t skip)
{
	struct sim m;

	sim_stopped(&m, s, c->node);
	for (uint32_t i = 0; i < c->n; i++)
		if (i != skip)
			sim_give(&m, c->v[i]);
	return copies(&m, sh) >= want;
}

/* Would the node hold `want` allotments if every batch lease went? */
static bool enough_in_all(const struct sched *s, uint32_t node, const struct shape *sh, uint64_t want)
{
	struct sim m;

	sim_stopped(&m, s, node);
	for (uint32_t l = s->nodes[node].leases; l != 0; l = s->ends[l].next)
		if (is_victim(s, l))
			sim_give(&m, l);
	return copies(&m, sh) >= want;
}

/* Add the lease that frees most of what lacks until `want` allotments fit, then leave out what was not needed. When it takes more
 * leases than there is room for, these are the first of them. */
static bool choose_victims(const struct sched *s, const struct shape *sh, uint64_t want, struct victims *c)
{
	c->n = 0;
	if (!enough_in_all(s, c->node, sh, want))
		return false;
	while (c->n == 0 || !enough(s, c, sh, want, NONE)) {
		uint64_t eff[VEC], lack[VEC] = {0}, most = 0;
		uint32_t best = 0;
		struct sim m;

		if (c->n == ARRAY_LEN(c->v))
			return true;
		sim_stopped(&m, s, c->node);
		for (uint32_t i = 0; i < c->n; i++)
			sim_give(&m, c->v[i]);
		sim_eff(&m, eff);
		for (uint32_t i = 1; i < sh->n_lanes; i++)
			lack[i] = sh->need[i] * want > eff[sh->lane[i]]
			                  ? sh->need[i] * want - eff[sh->lane[i]]
			                  : 0;
		for (uint32_t l = s->nodes[c->node].leases; l != 0; l = s->ends[l].next) {
			uint64_t w = is_victim(s, l) && !chosen(c, l) ? worth(s, sh, lack, l) : 0;

			if (w > most || (w > 0 && w == most && better_victim(s, l, best))) {
				most = w;
				best = l;
			}
		}
		if (best == 0)
			return false;
		c->v[c->n++] = best;
	}
	for (uint32_t i = c->n; i-- > 0;)
		if (c->n > 1 && enough(s, c, sh, want, i))
			c->v[i] = c->v[--c->n];
	return true;
}

static bool better_victims(const struct sched *s, const struct victims *a, const struct victims *b)
{
	uint32_t x = a->v[0], y = b->v[0];

	if (a->n != b->n)
		return a->n < b->n;
	/* By the least suitable of each. */
	for (uint32_t i = 1; i < a->n; i++) {
		x = better_victim(s, a->v[i], x) ? x : a->v[i];
		y = better_victim(s, b->v[i], y) ? y : b->v[i];
	}
	return better_victim(s, x, y);
}

/* How many allotments of the shape come free by what is being stopped already. */
static uint64_t coming(const struct sched *s, uint32_t shape)
{
	uint64_t sum = 0;
	uint32_t seen = 0;

	for (uint32_t l = s->stopping; l != 0 && seen < PREEMPT_NODES; l = s->leases[l].stop_next, seen++) {
		const uint32_t node = s->leases[l].node;
		uint32_t k = s->stopping;
		struct sim m;

		while (k != l && s->leases[k].node != node)
			k = s->leases[k].stop_next;
		if (k != l || s->nodes[node].state != WIRE__NODE_SET__STATE__UP)
			continue; /* counted */
		sim_stopped(&m, s, node);
		sum += copies(&m, &s->shapes[shape]);
	}
	return sum;
}

/* The first lease to stop so that one more allotment of the shape fits somewhere; 0: none would help. */
static uint64_t victim_for(
        const struct sched *s, uint32_t group, uint32_t shape, uint32_t avoid, uint64_t now_ns)
{
	const struct shape *sh = &s->shapes[shape];
	struct victims best = {0}, c;
	uint32_t seen = 0;

	for (uint32_t node = 1; node <= s->node_top && seen < PREEMPT_NODES; node++) {
		struct sim m;

		if (node == avoid || s->nodes[node].n_leases == 0 || !shape_able(s, shape, node) ||
		        !group_may(s, group, node, now_ns))
			continue;
		sim_stopped(&m, s, node);
		c.node = node;
		if (!choose_victims(s, sh, copies(&m, sh) + 1, &c))
			continue;
		seen++;
		if (best.n == 0 || better_victims(s, &c, &best))
			best = c;
	}
	return best.n == 0 ? 0 : s->leases[best.v[0]].id;
}

static bool is_worth_preempting(struct hunt *h, uint32_t group)
{
	const struct sched *s = h->s;
	const struct group *g = &s->groups[group];
	const struct job *j = &s->jobs[g->job];
	uint64_t wanted = g->n_ready, may = j->concurrency == 0 ? UINT64_MAX : j->concurrency - j->n_leases;

	for (uint32_t v = 0; v < g->n_variants; v++)
		if (group_permits(s, g, v) && s->shapes[g->v[v].shape].n_fit > 0)
			return false; /* it fits: it needs nobody's place */
	wanted = wanted < may ? wanted : may;
	for (uint32_t v = 0; v < g->n_variants; v++) {
		const uint32_t shape = g->v[v].shape;

		if (s->shapes[shape].n_able == 0 || !group_permits(s, g, v) || s->shapes[shape].n_lanes == 1)
			continue;
		if (coming(s, shape) >= wanted)
			return false;
		h->victim = victim_for(s, group, shape, h->res != NULL ? h->res->node : 0, h->now_ns);
		if (h->victim != 0)
			return true;
	}
	return ++h->tried >= PREEMPT_GROUPS;
}

/* ---- the pick ---- */

/* How long a lease is to run where a group has so many places. */
static uint64_t slice_ns(uint64_t places)
{
	uint64_t ns = SLICE_NS * (places / SLICE_PLACES);

	return ns < SLICE_NS                           ? SLICE_NS
	       : ns < SLICE_TIMES * (uint64_t)SLICE_NS ? ns
	                                               : SLICE_TIMES * (uint64_t)SLICE_NS;
}

static uint64_t slice(const struct sched *s, const struct hunt *h, const struct group *g, uint64_t run_ns)
{
	const struct job *j = &s->jobs[g->job];
	uint64_t n, room, tail, least, ns;

	if (g->slice_max <= 1 || run_ns == 0 || run_ns > SLICE_TIMES * (uint64_t)SLICE_NS)
		return 1;
	room = shape_room(s, g->v[h->variant].shape);
	if (j->concurrency != 0 && room > j->concurrency - j->n_leases)
		room = j->concurrency - j->n_leases;
	room += g->n_leases;
	/* A slice of few tasks runs for much longer or shorter than is thought: only where others do not mind. */
	ns = slice_ns(room);
	if (run_ns > SLICE_NS / 8 + (ns - SLICE_NS) / 2)
		return 1;
	n = ns / run_ns;
	n = n < g->slice_max ? n : g->slice_max;
	/* Towards the end ever less, so that all allotments end at one time, but no less than is worth a lease. */
	tail = (g->n_ready + 2 * room - 1) / (2 * room);
	least = (g->n_ready + room - 1) / room;
	least = least < SLICE_LEAST_NS / run_ns ? least : SLICE_LEAST_NS / run_ns;
	tail = tail > least ? tail : least;
	n = n < tail ? n : tail;
	if (h->left_ns != UINT64_MAX) { /* must be over before the reserved time */
		const uint64_t kind = g->v[h->variant].kind;
		uint64_t slow = speed_scaled(s, kind, h->node, kind_quantile_ns(s, kind, 900));

		n = n < h->left_ns / slow ? n : h->left_ns / slow;
	}
	return n > 0 ? n : 1;
}

static enum sched_verdict placed(const struct hunt *h, struct sched_placement *out)
{
	const struct sched *s = h->s;
	const struct group *g = &s->groups[h->found];
	const struct variant *v = &g->v[h->variant];
	struct sim m;

	out->group = h->found;
	out->node = s->nodes[h->node].owner;
	out->class_ = s->nodes[h->node].class_;
	out->variant = h->variant;
	out->run_ns = speed_scaled(s, v->kind, h->node, kind_quantile_ns(s, v->kind, 500));
	out->count_max = slice(s, h, g, out->run_ns);
	out->n_devices = 0;
	out->gang = g->gang;
	if (g->gang != 0) {
		memcpy(out->nodes, h->gang, g->gang * sizeof(*out->nodes));
		sched_gang_devices(s, out, 0);
		return SCHED_PLACE;
	}
	if (s->nodes[h->node].n_dev > 0) {
		sim_from(&m, s, h->node);
		sim_take(&m, v, out);
	}
	return SCHED_PLACE;
}

/* The head of realtime, or else of batch, when nobody starves. */
static uint32_t head_of(const struct sched *s, uint64_t now_ns, uint32_t realtime)
{
	struct hunt h;

	hunt_init(&h, s, now_ns, &s->able, is_eligible);
	if (realtime ? hunt_jobs(&h, &s->job_order, s->rt_root) : hunt_batch(&h, s->fair_root))
		return h.found;
	return 0;
}

enum sched_verdict pick_explained(const struct sched *s, uint64_t now_ns, struct sched_placement *out,
        uint64_t *out_victim, struct reservation *res)
{
	uint32_t head = starving(s, now_ns), rt = s->rt_root != 0 ? head_of(s, now_ns, 1) : 0;
	struct hunt h;

	res->group = res->node = res->n_seats = 0;
	if (head == 0)
		head = rt != 0 ? rt : head_of(s, now_ns, 0);
	if (head == 0)
		return SCHED_NOTHING;
	hunt_init(&h, s, now_ns, &s->fit, is_placeable);
	if (is_placeable(&h, head)) {
		h.found = head;
		return placed(&h, out);
	}
	reserve(s, head, now_ns, res);
	if (rt != 0) {
		struct hunt p;

		hunt_init(&p, s, now_ns, &s->able, is_worth_preempting);
		p.res = head != rt ? res : NULL; /* a starving group's node is not cleared for others */
		if (hunt_jobs(&p, &s->job_order, s->rt_root) && p.victim != 0) {
			*out_victim = p.victim;
			return SCHED_PREEMPT;
		}
	}
	h.res = res->node != 0 || res->n_seats != 0 ? res : NULL;
	if (hunt_jobs(&h, &s->job_order, s->rt_root) || hunt_batch(&h, s->fair_root))
		return placed(&h, out);
	return SCHED_NOTHING;
}

enum sched_verdict sched_pick(
        const struct sched *s, uint64_t now_ns, struct sched_placement *out_place, uint64_t *out_victim)
{
	struct reservation res;

	return pick_explained(s, now_ns, out_place, out_victim, &res);
}

/* ---- what comes next ---- */

struct ahead {
	struct sched_ahead *out;
	uint32_t node, n, max;
};

bool sched_crossing(const struct sched *s)
{
	return s->crossing_ready > 0;
}

/* Waits for a place, and this node could be it. */
static bool waits_for(const struct hunt *h, uint32_t group)
{
	const struct group *g = &h->s->groups[group];
	bool able = false;

	for (uint32_t v = 0; v < g->n_variants; v++) {
		const uint32_t shape = g->v[v].shape;

		if (!group_permits(h->s, g, v))
			continue;
		if (h->s->shapes[shape].n_fit > 0)
			return false;
		for (uint32_t x = h->ahead->node; x != 0; x = place_next(h->s, h->ahead->node, x))
			able = able || (shape_able(h->s, shape, x) && group_may(h->s, group, x, h->now_ns));
	}
	return able;
}

static bool is_next(struct hunt *h, uint32_t group)
{
	struct ahead *a = h->ahead;
	const struct group *g = &h->s->groups[group];

	if (g->gang == 0 && g->wishes && wish_missing(h->s, &h->s->wishes[group], a->node) > 0 &&
	        waits_for(h, group))
		a->out[a->n++] = (struct sched_ahead){h->s->jobs[g->job].id, g->n_ready, g->step, group};
	return ++h->tried >= AHEAD_LOOK || a->n == a->max;
}

uint32_t sched_ahead(
        const struct sched *s, uint32_t node, uint64_t now_ns, struct sched_ahead *out, uint32_t max)
{
	struct ahead a = {.out = out, .node = node, .max = max};
	const struct node *n = &s->nodes[node];
	struct hunt h;

	if (s->crossing_ready == 0 || max == 0 || node == 0 || node > s->node_real || node == THIS_NODE ||
	        !n->known || n->state != WIRE__NODE_SET__STATE__UP || n->paused_until_ns != 0 ||
	        n->link.bytes != 0 || n->link.cost != 0)
		return 0;
	hunt_init(&h, s, now_ns, &s->able, is_next);
	h.ahead = &a;
	if (!hunt_jobs(&h, &s->job_order, s->rt_root))
		(void)hunt_batch(&h, s->fair_root);
	return a.n;
}

uint32_t sched_copies(const struct sched *s, uint32_t group, uint64_t blob, uint32_t but)
{
	const struct group *g = &s->groups[group];
	uint32_t who[16], n = sched_holders(s, blob, who, ARRAY_LEN(who)), copies = 0;

	for (uint32_t i = 0; i < n; i++) {
		bool able = false;

		for (uint32_t v = 0; v < g->n_variants && who[i] != but; v++)
			for (uint32_t x = who[i]; x != 0; x = place_next(s, who[i], x))
				able = able || (shape_able(s, g->v[v].shape, x) && place_alike(s, g, x));
		copies += able;
	}
	return copies;
}
