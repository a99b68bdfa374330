/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_why - why a group waits, and when something would be done. For people and for admission, not for picking.
 *
 * May look at every node, job and lease. Pure. Expected ends are what is known; where that is nothing, 0 is said.
 */
#include "core/sched_state.h"

/* ---- earliest finish ---- */

#define SLOTS_MAX 512u

/* Allotments of one shape, by when they come free. */
struct slots {
	uint64_t at[SLOTS_MAX], n[SLOTS_MAX], run[SLOTS_MAX], total;
	uint32_t used;
	const struct set *where; /* NULL: any node */
	uint64_t kind, run_ns;   /* of one task on a node like the others */
};

static void slot_add(struct slots *k, uint64_t at, uint64_t n, uint64_t run)
{
	const uint32_t last = k->used == 0 ? 0 : k->used - 1;
	const bool same = k->used > 0 && k->at[last] == at && k->run[last] == run;

	if (n == 0 || (k->used == SLOTS_MAX && !same))
		return; /* further ones are left out: the answer is later, never too early */
	if (!same) {
		k->at[k->used] = at;
		k->run[k->used++] = run;
	}
	k->n[k->used - 1] += n;
	k->total += n;
}

/* Nodes that are up and asked for. */
static bool slot_node(const struct sched *s, const struct slots *k, uint32_t node)
{
	return s->nodes[node].known && s->nodes[node].state == WIRE__NODE_SET__STATE__UP &&
	       (k->where == NULL || set_meets(k->where, &s->nodes[node]));
}

static uint64_t sim_copies(const struct sim *m, const uint64_t *need)
{
	uint64_t eff[VEC], n = UINT64_MAX;

	sim_eff(m, eff);
	for (uint32_t l = 1; l < m->s->n_lanes; l++)
		if (need[l] != 0 && eff[l] / need[l] < n)
			n = eff[l] / need[l];
	return n < UINT32_MAX ? n : UINT32_MAX;
}

/* Overdue or unknown: as long again as it has run. */
static uint64_t guess_end(const struct sched *s, uint32_t lease, uint64_t now_ns)
{
	const struct lease *l = &s->leases[lease];

	if (s->ends[lease].end_ns > now_ns && s->ends[lease].end_ns != UINT64_MAX)
		return s->ends[lease].end_ns;
	return l->stopping || now_ns < l->granted_ns ? now_ns : now_ns + (now_ns - l->granted_ns);
}

/* Allotments that are free now; realtime work pushes batch leases aside. */
static void slots_now(
        const struct sched *s, const uint64_t *need, bool realtime, uint64_t now_ns, struct slots *k)
{
	for (uint32_t node = 1; node <= s->node_top; node++) {
		struct sim m;

		if (!slot_node(s, k, node))
			continue;
		sim_from(&m, s, node);
		for (uint32_t l = s->nodes[node].leases; l != 0 && realtime; l = s->ends[l].next)
			if (!s->jobs[s->groups[s->leases[l].group].job].realtime)
				sim_give(&m, l);
		slot_add(k, now_ns, sim_copies(&m, need), speed_scaled(s, k->kind, node, k->run_ns));
	}
}

static void slots_later(
        const struct sched *s, const uint64_t *need, bool realtime, uint64_t now_ns, struct slots *k)
{
	for (uint32_t node = 1; node <= s->node_top && k->used < SLOTS_MAX; node++) {
		struct sim m;
		uint64_t had = 0, at = now_ns;
		uint32_t v[LEASES_SORTED], n;

		if (!slot_node(s, k, node))
			continue;
		sim_from(&m, s, node);
		n = leases_by_end(s, node, v);
		for (uint32_t pass = 0; pass < 2; pass++) {
			for (uint32_t q = 0; q < n; q++) {
				const uint32_t l = v[q];
				bool aside = realtime && !s->jobs[s->groups[s->leases[l].group].job].realtime;
				uint64_t end = guess_end(s, l, now_ns), has;

				if (aside != (pass == 0))
					continue;
				sim_give(&m, l);
				if (pass == 0)
					continue;
				at = end > at ? end : at;
				has = sim_copies(&m, need);
				slot_add(k, at, has > had ? has - had : 0,
				        speed_scaled(s, k->kind, node, k->run_ns));
				had = has;
			}
			had = sim_copies(&m, need);
		}
	}
}

/* What would come first: a group that waits, or something new. */
struct claim {
	uint32_t group; /* 0: something new, of */
	bool realtime;
	uint32_t priority;
	uint64_t deadline_ns;
};

static bool group_before(const struct sched *s, uint32_t a, uint32_t b)
{
	const struct group *x = &s->groups[a], *y = &s->groups[b];
	const struct job *p = &s->jobs[x->job], *q = &s->jobs[y->job];

	if (x->job == y->job)
		return s->group_order.cmp(s, a, b) < 0;
	if (p->realtime != q->realtime)
		return p->realtime;
	if (!p->realtime && p->ns != q->ns)
		return s->ns_fair.cmp(s, p->ns, q->ns) < 0;
	return s->job_order.cmp(s, x->job, y->job) < 0;
}

static bool comes_before(const struct sched *s, uint32_t group, const struct claim *c)
{
	const struct job *j = &s->jobs[s->groups[group].job];

	if (!s->groups[group].in || !j->in)
		return false;
	if (c->group != 0)
		return c->group != group && group_before(s, group, c->group);
	if (c->realtime)
		return j->realtime && j->k_deadline <= (c->deadline_ns == 0 ? UINT64_MAX : c->deadline_ns);
	return j->realtime || j->priority >= c->priority;
}

/* Time that what comes first will take of such allotments, summed. Of the need of each, the largest part of ours
 * counts; unknown run times count like ours. */
static uint64_t work_before(
        const struct sched *s, const uint64_t *need, const struct claim *c, uint64_t run_ns)
{
	unsigned __int128 sum = 0;

	for (uint32_t g = 1; g <= s->groups_top; g++) {
		const struct group *p = &s->groups[g];
		uint64_t run, part = 0;

		if (p->job == 0 || !comes_before(s, g, c))
			continue;
		run = kind_quantile_ns(s, p->v[0].kind, 900);
		for (uint32_t i = 0; i < p->v[0].n; i++) {
			uint64_t ours = need[p->v[0].lane[i]];
			uint64_t ratio =
			        ours == 0 ? 0
			                  : (uint64_t)(((unsigned __int128)p->v[0].amount[i] << 10) / ours);

			part = ratio > part ? ratio : part;
		}
		sum += (unsigned __int128)p->n_ready * (run == 0 ? run_ns : run) * part / 1024;
	}
	return sum > UINT64_MAX / 4 ? UINT64_MAX / 4 : (uint64_t)sum;
}

static bool done_by(const struct slots *k, uint64_t at, uint64_t share, uint64_t tasks)
{
	unsigned __int128 done = 0;

	for (uint32_t i = 0; i < k->used; i++)
		if (at > k->at[i] && at - k->at[i] > share)
			done += (unsigned __int128)k->n[i] * ((at - k->at[i] - share) / k->run[i]);
	return done >= tasks;
}

static uint64_t finish_ns(const struct slots *k, uint64_t now_ns, uint64_t before, uint64_t tasks)
{
	const uint64_t share = k->total == 0 ? 0 : before / k->total;
	uint64_t lo = now_ns, hi = UINT64_MAX / 2;

	if (k->total == 0 || !done_by(k, hi, share, tasks))
		return UINT64_MAX;
	while (lo + 1 < hi) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (done_by(k, mid, share, tasks))
			hi = mid;
		else
			lo = mid;
	}
	return hi;
}

static bool needs_read(const struct sched *s, const Wire__Variant *v, uint64_t *need)
{
	memset(need, 0, VEC * sizeof(*need));
	for (size_t i = 0; i < v->n_needs; i++) {
		uint32_t l = lane_find(s, v->needs[i]->name);

		if (v->needs[i]->amount == 0)
			continue;
		if (l == 0 || need[l] + v->needs[i]->amount < need[l])
			return false;
		need[l] += v->needs[i]->amount;
	}
	return true;
}

uint64_t sched_earliest_finish_ns(const struct sched *s, uint64_t now_ns, bool realtime, uint32_t priority,
        uint64_t deadline_ns, const char *namespace_, const char *kind, const Wire__Variant *const *variants,
        size_t n_variants, const Wire__Place *place, uint64_t tasks)
{
	struct set where = {0};
	const struct claim mine = {0, realtime, priority, deadline_ns};
	const uint32_t ns = ns_find(s, namespace_);
	uint64_t best = 0;

	if (place != NULL && !set_read(&where, place->where, place->n_where))
		return UINT64_MAX;
	for (size_t v = 0; v < n_variants; v++) {
		uint64_t need[VEC], run = kind_quantile_ns(s, kind_key(kind, (uint32_t)v), 900), at;
		struct slots k = {
		        .used = 0, .where = &where, .kind = kind_key(kind, (uint32_t)v), .run_ns = run};
		bool allowed = true;

		if (run == 0)
			continue;
		if (needs_read(s, variants[v], need)) {
			for (uint32_t l = 1; l < s->n_lanes && ns != 0; l++)
				allowed = allowed && need[l] <= s->ns[ns].quota[l];
			if (allowed) {
				slots_now(s, need, realtime, now_ns, &k);
				slots_later(s, need, realtime, now_ns, &k);
			}
		}
		at = finish_ns(&k, now_ns, work_before(s, need, &mine, run), tasks);
		best = best == 0 || at < best ? at : best;
	}
	return best;
}

/* ---- why ---- */

/* Holders of a lane among the leases that `counts`, largest first, ties by id. */
struct holders {
	struct sched_why *out;
	uint32_t lane;
};

static void holder_add(const struct sched *s, const struct holders *h, uint32_t lease, uint64_t now_ns)
{
	const struct lease *l = &s->leases[lease];
	const struct variant *v = &s->groups[l->group].v[l->variant];
	struct sched_holder it = {.lease = l->id, .job = s->jobs[s->groups[l->group].job].id};
	struct sched_why *o = h->out;
	uint32_t at = o->n_holders;

	for (uint32_t i = 0; i < v->n; i++)
		if (v->lane[i] == h->lane)
			it.amount = v->amount[i];
	it.until_ns = s->ends[lease].end_ns > now_ns && s->ends[lease].end_ns != UINT64_MAX
	                      ? s->ends[lease].end_ns
	                      : 0;
	if (it.amount == 0)
		return;
	while (at > 0 &&
	        (o->holders[at - 1].amount < it.amount ||
	                (o->holders[at - 1].amount == it.amount && o->holders[at - 1].lease > it.lease)))
		at--;
	if (at == ARRAY_LEN(o->holders))
		return;
	if (o->n_holders < ARRAY_LEN(o->holders))
		o->n_holders++;
	memmove(&o->holders[at + 1], &o->holders[at], (o->n_holders - 1 - at) * sizeof(it));
	o->holders[at] = it;
}

static void count_before(const struct sched *s, uint32_t group, struct sched_why *out)
{
	uint32_t first = 0;

	for (uint32_t g = 1; g <= s->groups_top; g++) {
		const struct group *p = &s->groups[g];

		if (p->job == 0 || !comes_before(s, g, &(struct claim){.group = group}))
			continue;
		out->groups_before++;
		out->tasks_before += p->n_ready;
		if (first == 0 || group_before(s, g, first))
			first = g;
	}
	if (first != 0)
		out->blocking_job = s->jobs[s->groups[first].job].id;
}

/* When the shape fits on the node by what is known; 0: not by that. */
static uint64_t node_fit_ns(const struct sched *s, uint32_t node, uint32_t shape, uint64_t now_ns)
{
	uint64_t at = now_ns;
	uint32_t v[LEASES_SORTED], n;
	struct sim m;

	sim_from(&m, s, node);
	if (sim_holds(&m, shape))
		return now_ns;
	n = leases_by_end(s, node, v);
	for (uint32_t i = 0; i < n && s->ends[v[i]].end_ns != UINT64_MAX; i++) {
		const uint32_t l = v[i];

		sim_give(&m, l);
		at = s->ends[l].end_ns > at ? s->ends[l].end_ns : at;
		if (sim_holds(&m, shape))
			return at;
	}
	return 0;
}

/* How far the node is from holding the shape: parts of the need that lack, in 1/1024, summed; the worst lane. */
static uint64_t lacking(const struct shape *sh, const uint64_t *have, uint32_t *out_lane, uint32_t *out_lanes)
{
	uint64_t sum = 0, worst = 0;

	*out_lanes = 0;
	for (uint32_t i = 1; i < sh->n_lanes; i++) {
		uint64_t h = have[sh->lane[i]], part;

		if (h >= sh->need[i])
			continue;
		part = (uint64_t)((unsigned __int128)(sh->need[i] - h) * 1024 / sh->need[i]) + 1;
		sum += part;
		++*out_lanes;
		if (part > worst) {
			worst = part;
			*out_lane = sh->lane[i];
		}
	}
	return sum;
}

/* The nearest-fitting node by `whole` capacity or by what is free now, and what it lacks. */
static bool nearest(const struct sched *s, uint32_t shape, bool whole, struct sched_why *out)
{
	const struct shape *sh = &s->shapes[shape];
	uint64_t best = UINT64_MAX;
	uint32_t lane = 0, lanes = 0;

	for (uint32_t x = 1; x <= s->node_top; x++) {
		const struct node *n = &s->nodes[x];
		uint32_t l = sh->lane[sh->n_lanes - 1], many;
		uint64_t far;

		if (!n->known || (sh->where != 0 && !set_meets(&s->sets[sh->where], n)) ||
		        (!whole && !shape_able(s, shape, x)))
			continue;
		far = lacking(sh, whole ? n->cap : node_eff(s, x), &l, &many);
		if (far >= best)
			continue;
		best = far;
		lane = l;
		lanes = many;
		out->node = x;
	}
	if (best == UINT64_MAX || lane == 0)
		return false;
	out->resource = lane - 1;
	out->needs = shape_need(sh, lane);
	out->capacity = s->nodes[out->node].cap[lane];
	out->free = node_eff(s, out->node)[lane];
	out->fits_amount = lanes == 1 ? (whole ? out->capacity : out->free) : 0;
	return true;
}

static void why_never(const struct sched *s, const struct group *g, struct sched_why *out)
{
	const uint32_t where = s->shapes[g->v[0].shape].where;

	out->reason = WAIT_WHERE;
	if (where != 0 && s->sets[where].count == 0)
		return;
	out->reason = WAIT_TOO_LARGE;
	for (uint32_t v = 0; v < g->n_variants; v++)
		for (uint32_t x = 1; x <= s->node_top; x++) {
			const struct node *n = &s->nodes[x];
			uint64_t all[VEC];
			static const uint32_t unused[DEVICES_PER_NODE_MAX];
			int64_t free[VEC];

			if (!n->known || n->state == WIRE__NODE_SET__STATE__UP)
				continue;
			for (uint32_t l = 0; l < VEC; l++)
				free[l] = (int64_t)n->cap[l];
			amounts_eff(s, x, free, unused, all);
			all[0] = 2;
			if (s->shapes[g->v[v].shape].where != 0 &&
			        !set_meets(&s->sets[s->shapes[g->v[v].shape].where], n))
				continue;
			if (!shape_in(&s->shapes[g->v[v].shape], all))
				continue;
			out->reason = WAIT_DRAINED;
			out->node = x;
			return;
		}
	(void)nearest(s, g->v[0].shape, true, out);
}

static void why_quota(const struct sched *s, const struct group *g, uint64_t now_ns, struct sched_why *out)
{
	const struct nspace *n = &s->ns[s->jobs[g->job].ns];
	const struct shape *sh = NULL;
	struct holders h = {.out = out};

	out->reason = WAIT_QUOTA;
	for (uint32_t v = g->n_variants; v-- > 0;)
		if (s->shapes[g->v[v].shape].n_able > 0)
			sh = &s->shapes[g->v[v].shape];
	CHECK(sh != NULL);
	for (uint32_t i = 1; i < sh->n_lanes; i++) {
		uint32_t l = sh->lane[i];

		const uint64_t needs = sh->need[i] * (g->gang != 0 ? g->gang : 1);

		if (n->quota[l] == UINT64_MAX || n->used[l] + needs <= n->quota[l] || h.lane != 0)
			continue;
		h.lane = l;
		out->resource = l - 1;
		out->needs = needs;
		out->capacity = n->quota[l];
		out->fits_amount = out->free = n->quota[l] > n->used[l] ? n->quota[l] - n->used[l] : 0;
	}
	for (uint32_t l = 1; l <= s->leases_top; l++)
		if (s->leases[l].id != 0 &&
		        s->jobs[s->groups[s->leases[l].group].job].ns == s->jobs[g->job].ns)
			holder_add(s, &h, l, now_ns);
}

/* Nothing that it may take fits now. When it would, were it first; later when others come before. */
static void why_resources(
        const struct sched *s, uint32_t group, uint32_t v, uint64_t now_ns, struct sched_why *out)
{
	const struct variant *p = &s->groups[group].v[v];
	const struct shape *sh = &s->shapes[p->shape];
	const struct job *j = &s->jobs[s->groups[group].job];
	struct holders h = {.out = out};
	uint64_t run = kind_quantile_ns(s, p->kind, 900), need[VEC] = {0}, at;
	struct slots k = {.used = 0,
	        .where = sh->where == 0 ? NULL : &s->sets[sh->where],
	        .kind = p->kind,
	        .run_ns = run};

	out->reason = WAIT_RESOURCES;
	if (!nearest(s, p->shape, false, out))
		return;
	h.lane = out->resource + 1;
	for (uint32_t l = s->nodes[out->node].leases; l != 0; l = s->ends[l].next)
		holder_add(s, &h, l, now_ns);
	for (uint32_t x = 1; x <= s->node_top; x++) {
		at = shape_able(s, p->shape, x) ? node_fit_ns(s, x, p->shape, now_ns) : 0;
		if (at != 0 && (out->start_ns == 0 || at < out->start_ns))
			out->start_ns = at;
	}
	if (out->groups_before == 0)
		return;
	out->start_ns = 0; /* others come first: only run times can tell */
	if (run == 0)
		return;
	for (uint32_t i = 1; i < sh->n_lanes; i++)
		need[sh->lane[i]] = sh->need[i];
	slots_now(s, need, j->realtime, now_ns, &k);
	slots_later(s, need, j->realtime, now_ns, &k);
	at = finish_ns(&k, now_ns, work_before(s, need, &(struct claim){.group = group}, run), 1);
	out->start_ns = at == UINT64_MAX ? 0 : at - run;
}

/* Has a node that pauses room for it? */
static bool why_paused(const struct sched *s, const struct group *g, struct sched_why *out)
{
	for (uint32_t x = 1; x <= s->node_top && s->n_paused > 0; x++)
		for (uint32_t v = 0; v < g->n_variants; v++) {
			uint64_t eff[VEC];

			memcpy(eff, node_eff(s, x), s->n_lanes * sizeof(*eff));
			eff[0] = s->nodes[x].paused_until_ns != 0 && eff[0] == 1 ? 2 : 0;
			if (!shape_in(&s->shapes[g->v[v].shape], eff) || !shape_able(s, g->v[v].shape, x) ||
			        !group_permits(s, g, v))
				continue;
			out->reason = WAIT_PAUSED;
			out->node = x;
			out->start_ns = s->nodes[x].paused_until_ns;
			return true;
		}
	return false;
}

/* It fits somewhere: is there a node among these that it may go to? If not, why. */
static bool why_not_there(const struct sched *s, uint32_t group, uint64_t now_ns, struct sched_why *out)
{
	const struct group *g = &s->groups[group];
	uint64_t at = UINT64_MAX;
	uint32_t other = 0;

	for (uint32_t v = 0; v < g->n_variants; v++) {
		const uint32_t shape = g->v[v].shape;
		uint32_t x = group_permits(s, g, v) ? shape_find(s, shape, 0) : 0;

		for (; x != 0; x = shape_find(s, shape, node_leaf(s, x) + 1)) {
			struct sched_node_why w;

			place_why(s, group, x, now_ns, &w);
			if (w.reason == NODE_TAKES)
				return false;
			if (w.reason == NODE_LINK && w.until_ns < at) {
				at = w.until_ns;
				out->node = x;
			}
			other = other == 0 ? x : other;
		}
	}
	out->reason = at == UINT64_MAX ? WAIT_ELSEWHERE : WAIT_LINK;
	out->node = at == UINT64_MAX ? other : out->node;
	out->start_ns = at == UINT64_MAX ? 0 : at;
	return other != 0;
}

/* Is there no room for all of its members at one time? */
static bool why_gang(
        const struct sched *s, uint32_t group, uint32_t v, uint64_t now_ns, struct sched_why *out)
{
	const struct group *g = &s->groups[group];

	if (g->gang == 0)
		return false;
	out->needs = g->gang;
	out->free = gang_seats(s, group, v, now_ns, false);
	out->capacity = gang_seats(s, group, v, now_ns, true);
	if (out->free == g->gang)
		return false;
	out->reason = WAIT_GANG;
	return true;
}

static void why(const struct sched *s, uint32_t group, uint64_t now_ns, struct sched_why *out)
{
	const struct group *g = &s->groups[group];
	const struct job *j = &s->jobs[g->job];
	struct sched_placement p;
	struct reservation res;
	enum sched_verdict verdict;
	uint64_t victim, left;
	uint32_t able = NONE, permitted = NONE, fits = NONE;
	bool past = false;

	*out = (struct sched_why){.reason = WAIT_NOT_READY};
	if (g->n_ready == 0)
		return;
	for (uint32_t v = g->n_variants; v-- > 0;) {
		const struct shape *sh = &s->shapes[g->v[v].shape];

		able = sh->n_able > 0 ? v : able;
		permitted = sh->n_able > 0 && group_permits(s, g, v) ? v : permitted;
		fits = sh->n_fit > 0 && group_permits(s, g, v) ? v : fits;
	}
	if (!job_may(j) || (j->concurrency != 0 && j->n_leases + g->gang > j->concurrency)) {
		out->reason = WAIT_CONCURRENCY;
		return;
	}
	if (able == NONE) {
		why_never(s, g, out);
		return;
	}
	count_before(s, group, out);
	if (permitted == NONE) {
		why_quota(s, g, now_ns, out);
		return;
	}
	if (fits == NONE && why_paused(s, g, out))
		return;
	if (fits == NONE) {
		why_resources(s, group, permitted, now_ns, out);
		return;
	}
	if (why_not_there(s, group, now_ns, out) || why_gang(s, group, fits, now_ns, out))
		return;
	verdict = pick_explained(s, now_ns, &p, &victim, &res);
	out->reason = verdict == SCHED_PLACE && p.group == group ? WAIT_NEXT : WAIT_BEHIND;
	out->start_ns = out->reason == WAIT_NEXT ? now_ns : 0;
	for (uint32_t v = 0; v < g->n_variants; v++) {
		uint32_t node = group_permits(s, g, v) ? shape_find(s, g->v[v].shape, 0) : 0;

		past = past || (node != 0 && (res.group == 0 || g->gang != 0));
		for (; !past && node != 0; node = shape_find(s, g->v[v].shape, node_leaf(s, node) + 1))
			past = reservation_leaves(&res, g, v, node, now_ns, &left);
	}
	if (out->reason == WAIT_BEHIND && !past) {
		out->reason = WAIT_RESERVED;
		out->node = res.node;
		out->blocking_job = s->jobs[s->groups[res.group].job].id;
	}
}

bool sched_why(const struct sched *s, uint32_t group, uint64_t now_ns, struct sched_why *out)
{
	if (group == 0 || group > s->groups_top || s->groups[group].job == 0)
		return false;
	why(s, group, now_ns, out);
	out->node = s->nodes[out->node].owner;
	return true;
}
