/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_gang - groups whose tasks are gangs: so many leases at once, or none.
 *
 * A gang is placed in one decision, so two of them never each hold what the other waits for. Seats are taken node by node, in the
 * order in which nodes are filled or, with wishes, by score; of more than SEATS_MAX nodes with room only the first are looked at.
 * When the head is a gang that does not fit, seats are reserved on several nodes: where it fits now others may take what it leaves;
 * where it waits, only who will be gone in time.
 * Members must reach each other: a node whose address nobody knows takes no part, unless all members are on this machine. Pure.
 */
#include "core/sched_state.h"

#define SEATS_MAX 256u

struct seat {
	uint32_t node, n;
	int64_t score;
};
struct seats {
	uint32_t n;
	struct seat v[SEATS_MAX];
};

void sched_group_gang(struct sched *s, uint32_t group, uint32_t size, bool apart)
{
	CHECK(group != 0 && group <= s->groups_top && !s->groups[group].in);
	CHECK(size >= 2 && size <= SCHED_GANG_MAX);
	s->groups[group].gang = size;
	s->groups[group].apart = apart;
}

bool gang_permits(const struct sched *s, const struct group *g, uint32_t v)
{
	const struct job *j = &s->jobs[g->job];
	const struct nspace *n = &s->ns[j->ns];
	const struct shape *sh = &s->shapes[g->v[v].shape];

	if (j->concurrency != 0 && j->n_leases + g->gang > j->concurrency)
		return false;
	for (uint32_t i = 1; n->limited && i < sh->n_lanes; i++) {
		uint32_t l = sh->lane[i];

		if (n->quota[l] != UINT64_MAX && n->used[l] + sh->need[i] * g->gang > n->quota[l])
			return false;
	}
	return true;
}

static uint64_t most_of(const struct shape *sh, const uint64_t *have)
{
	uint64_t n = UINT64_MAX;

	for (uint32_t i = 1; i < sh->n_lanes; i++)
		n = have[sh->lane[i]] / sh->need[i] < n ? have[sh->lane[i]] / sh->need[i] : n;
	return n;
}

static uint32_t capped(const struct group *g, uint64_t n)
{
	uint32_t most = g->apart ? 1 : g->gang;

	return n < most ? (uint32_t)n : most;
}

static uint32_t room_now(const struct sched *s, const struct group *g, uint32_t v, uint32_t node)
{
	return shape_in(&s->shapes[g->v[v].shape], node_eff(s, node))
	               ? capped(g, most_of(&s->shapes[g->v[v].shape], node_eff(s, node)))
	               : 0;
}

static uint32_t room_empty(const struct sched *s, const struct group *g, uint32_t v, uint32_t node)
{
	return shape_able(s, g->v[v].shape, node)
	               ? capped(g, most_of(&s->shapes[g->v[v].shape], node_able(s, node)))
	               : 0;
}

/* By score, then in the order of leaves, in which they come. */
static void seat_add(struct seats *k, uint32_t node, uint32_t n, int64_t score)
{
	uint32_t at = k->n;

	if (k->n == SEATS_MAX)
		return;
	for (; at > 0 && k->v[at - 1].score < score; at--)
		k->v[at] = k->v[at - 1];
	k->v[at] = (struct seat){node, n, score};
	k->n++;
}

/* All of it on this machine, which nobody else can reach. */
static bool alone_here(const struct sched *s, uint32_t group, uint32_t v, uint64_t now_ns, bool empty)
{
	const struct group *g = &s->groups[group];

	return !s->nodes[THIS_NODE].reached && !g->apart && shape_able(s, g->v[v].shape, THIS_NODE) &&
	       group_may(s, group, THIS_NODE, now_ns) &&
	       (empty ? room_empty(s, g, v, THIS_NODE) : room_now(s, g, v, THIS_NODE)) == g->gang;
}

static bool may_seat(const struct sched *s, const struct reservation *res, uint32_t group, uint32_t v,
        uint32_t node, uint64_t now_ns, uint64_t *left)
{
	return group_may(s, group, node, now_ns) &&
	       (res == NULL || reservation_leaves(res, &s->groups[group], v, node, now_ns, left));
}

/* Of what is reserved for others a gang takes nothing that it would have to give back: the time left for one member need not be
 * that of the others. */
bool gang_find(const struct sched *s, const struct reservation *res, uint32_t group, uint32_t v,
        uint64_t now_ns, uint32_t *out)
{
	const struct group *g = &s->groups[group];
	const uint32_t shape = g->v[v].shape;
	const bool scored = g->wishes && s->wishes[group].any;
	struct seats k;
	uint32_t sum = 0, n = 0;

	k.n = 0;
	for (uint32_t node = shape_find(s, shape, 0); node != 0 && (scored || sum < g->gang);
	        node = shape_find(s, shape, node_leaf(s, node) + 1)) {
		uint64_t left = UINT64_MAX;

		if (!s->nodes[node].reached || !may_seat(s, res, group, v, node, now_ns, &left) ||
		        left != UINT64_MAX)
			continue;
		/* A reservation was asked about one allotment only. */
		seat_add(&k, node, reservation_has(res, node) ? 1 : room_now(s, g, v, node),
		        scored ? place_score(s, group, v, node) : 0);
		sum += k.v[k.n - 1].n;
		if (k.n == SEATS_MAX)
			break;
	}
	for (uint32_t i = 0; i < k.n; i++)
		for (uint32_t c = 0; c < k.v[i].n && n < g->gang; c++)
			out[n++] = k.v[i].node;
	if (n == g->gang)
		return true;
	if (reservation_has(res, THIS_NODE) || !alone_here(s, group, v, now_ns, false))
		return false;
	for (n = 0; n < g->gang; n++)
		out[n] = THIS_NODE;
	return true;
}

uint32_t gang_seats(const struct sched *s, uint32_t group, uint32_t v, uint64_t now_ns, bool empty)
{
	const struct group *g = &s->groups[group];
	uint64_t sum = 0;

	if (alone_here(s, group, v, now_ns, empty))
		return g->gang;
	for (uint32_t node = 1; node <= s->node_top && sum < g->gang; node++)
		if (s->nodes[node].reached && shape_able(s, g->v[v].shape, node) &&
		        group_may(s, group, node, now_ns))
			sum += empty ? room_empty(s, g, v, node) : room_now(s, g, v, node);
	return sum < g->gang ? (uint32_t)sum : g->gang;
}

/* ---- reservations ---- */

/* When everything that runs on the node is expected to be over; now_ns: nobody knows. */
static uint64_t node_empty_ns(const struct sched *s, uint32_t node, uint64_t now_ns)
{
	uint64_t at = now_ns;

	for (uint32_t l = s->nodes[node].leases; l != 0; l = s->ends[l].next) {
		if (s->ends[l].end_ns == UINT64_MAX ||
		        (s->ends[l].end_ns <= now_ns && !s->leases[l].stopping))
			return now_ns;
		at = s->ends[l].end_ns > at ? s->ends[l].end_ns : at;
	}
	return at;
}

static void reserve_seats(struct reservation *r, uint32_t node, uint32_t n, bool waits)
{
	r->seat[r->n_seats++] = (struct reserved_seat){node, n, waits};
}

void gang_reserve(const struct sched *s, uint32_t group, uint32_t v, uint64_t now_ns, struct reservation *r)
{
	const struct group *g = &s->groups[group];
	const bool here =
	        gang_seats(s, group, v, now_ns, true) == g->gang && alone_here(s, group, v, now_ns, true);
	uint32_t sum = 0;
	bool known = true;

	r->variant = v;
	r->n_seats = 0;
	for (uint32_t pass = 0; pass < 2; pass++) /* first where it fits now */
		for (uint32_t node = 1; node <= s->node_top && sum < g->gang; node++) {
			uint32_t now = room_now(s, g, v, node),
			         n = pass == 0 ? now : room_empty(s, g, v, node);
			uint64_t at;

			if (here ? node != THIS_NODE : !s->nodes[node].reached)
				continue;
			if (n == 0 || (now > 0) != (pass == 0) || !shape_able(s, g->v[v].shape, node) ||
			        !group_may(s, group, node, now_ns))
				continue;
			n = n < g->gang - sum ? n : g->gang - sum;
			reserve_seats(r, node, n, pass == 1);
			sum += n;
			at = pass == 0 ? now_ns : node_empty_ns(s, node, now_ns);
			known = known && (pass == 0 || at > now_ns);
			r->at_ns = at > r->at_ns ? at : r->at_ns;
		}
	/* What is missing must come free where some of it fits already. */
	for (uint32_t i = 0; i < r->n_seats && sum < g->gang; i++) {
		uint32_t most = room_empty(s, g, v, r->seat[i].node), more = most - r->seat[i].n;
		uint64_t at = node_empty_ns(s, r->seat[i].node, now_ns);

		if (r->seat[i].waits || most <= r->seat[i].n)
			continue;
		r->seat[i].waits = true;
		r->seat[i].n = most;
		sum += more;
		known = known && at > now_ns;
		r->at_ns = at > r->at_ns ? at : r->at_ns;
	}
	if (!known)
		r->at_ns = now_ns;
}

bool reservation_has(const struct reservation *r, uint32_t node)
{
	if (r == NULL)
		return false;
	for (uint32_t i = 0; i < r->n_seats; i++)
		if (r->seat[i].node == node)
			return true;
	return r->node == node;
}

/* Does a lease of g leave on that node what a gang has reserved there? */
static bool seat_leaves(const struct reservation *r, const struct reserved_seat *seat, const struct group *g,
        uint32_t v, uint64_t now_ns, uint64_t *out_left)
{
	const struct group *of = &r->s->groups[r->group];
	const struct shape *sh = &r->s->shapes[of->v[r->variant].shape];
	struct sim m;
	uint64_t eff[VEC], run;

	if (!seat->waits) {
		sim_from(&m, r->s, seat->node);
		sim_take(&m, &g->v[v], NULL);
		sim_eff(&m, eff);
		if (most_of(sh, eff) >= seat->n)
			return true;
	}
	if (r->at_ns <= now_ns)
		return false;
	run = speed_scaled(r->s, g->v[v].kind, seat->node, kind_quantile_ns(r->s, g->v[v].kind, 900));
	*out_left = r->at_ns - now_ns;
	return run != 0 && run <= *out_left;
}

bool reservation_leaves(const struct reservation *r, const struct group *g, uint32_t v, uint32_t node,
        uint64_t now_ns, uint64_t *out_left)
{
	*out_left = UINT64_MAX;
	for (uint32_t i = 0; i < r->n_seats; i++)
		if (r->seat[i].node == node)
			return seat_leaves(r, &r->seat[i], g, v, now_ns, out_left);
	return r->node != node || backfill_ok(r, g, v, now_ns, out_left);
}

/* ---- for others ---- */

void sched_gang_devices(const struct sched *s, struct sched_placement *p, uint32_t member)
{
	const struct variant *v = &s->groups[p->group].v[p->variant];
	struct sim m;

	CHECK(member < p->gang);
	p->node = p->nodes[member];
	p->n_devices = 0;
	if (s->nodes[p->node].n_dev == 0)
		return;
	sim_from(&m, s, p->node);
	for (uint32_t i = 0; i < member; i++)
		if (p->nodes[i] == p->node)
			sim_take(&m, v, NULL);
	sim_take(&m, v, p);
}

/* Seats on nodes whatever their state, for needs that need not be a shape. */
static uint64_t seats_whole(
        const struct sched *s, const struct node *n, const Wire__Variant *v, uint64_t need[VEC])
{
	uint64_t most = UINT64_MAX;

	memset(need, 0, VEC * sizeof(*need));
	for (size_t i = 0; i < v->n_needs; i++) {
		uint32_t l = lane_find(s, v->needs[i]->name);

		if (v->needs[i]->amount == 0)
			continue;
		if (l == 0)
			return 0;
		need[l] += v->needs[i]->amount;
	}
	for (uint32_t l = 1; l < s->n_lanes; l++) {
		uint64_t fit;

		if (need[l] == 0)
			continue;
		fit = need[l] > n->largest[l] ? 0 : n->cap[l] / need[l];
		most = fit < most ? fit : most;
	}
	return most;
}

bool sched_gang_could_fit(const struct sched *s, const Wire__Variant *const *variants, size_t n,
        uint32_t size, bool apart, uint32_t *out_most)
{
	*out_most = 0;
	for (size_t v = 0; v < n; v++) {
		uint64_t sum = 0, here = 0, need[VEC];

		for (uint32_t node = 1; node <= s->node_top; node++) {
			uint64_t k =
			        s->nodes[node].known ? seats_whole(s, &s->nodes[node], variants[v], need) : 0;

			k = apart && k > 1 ? 1 : k;
			k = k < size ? k : size;
			if (s->nodes[node].reached)
				sum += k;
			else if (node == THIS_NODE)
				here = k;
		}
		sum = sum > here ? sum : here;
		sum = sum < size ? sum : size;
		*out_most = sum > *out_most ? (uint32_t)sum : *out_most;
	}
	return *out_most >= size;
}
