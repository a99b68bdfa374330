/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_lease - what is running: allotments held and given back, and what that costs its namespace.
 *
 * Fair share: a namespace is charged for its dominant share (the largest part of the pool that the lease holds of any one
 * resource, in 2^-20) times its time in units of 64 us. Instead of decaying every usage all the time, later charges are
 * inflated by 2^(t / HALF_LIFE_NS) since an epoch, so that the order changes only by charges; when the exponent
 * reaches 8 everything is shifted down at once. A lease is charged its expected time at the start, which makes the next
 * pick fair, and corrected to the real one at its end. Pure.
 */
#include "core/sched_state.h"

/* 2^(i/16), 16 bits of fraction. */
static const uint32_t pow2_part[16] = {65536, 68438, 71468, 74632, 77936, 81386, 84990, 88752, 92682, 96785,
        101070, 105545, 110218, 115098, 120194, 125515};

uint64_t fair_inflate(const struct sched *s, uint64_t units, uint64_t now_ns)
{
	uint64_t age = now_ns > s->fair_epoch_ns ? now_ns - s->fair_epoch_ns : 0;
	uint64_t whole = age / HALF_LIFE_NS, part = age % HALF_LIFE_NS * 16 / HALF_LIFE_NS;
	unsigned __int128 v = units;

	if (whole > 8)
		whole = 8;
	v = (v << whole) * pow2_part[part] >> 16;
	return v > UINT64_MAX >> 2 ? UINT64_MAX >> 2 : (uint64_t)v;
}

/* Move the epoch up when the exponent has grown: usage, and what leases were charged, lose as many bits. */
static void fair_epoch(struct sched *s, uint64_t now_ns)
{
	uint64_t age = now_ns > s->fair_epoch_ns ? now_ns - s->fair_epoch_ns : 0, k = age / HALF_LIFE_NS;

	if (s->fair_epoch_ns != 0 && k < 8)
		return;
	for (uint32_t i = 1; i <= s->n_ns; i++) {
		ns_out(s, i);
		s->ns[i].usage = k > 63 ? 0 : s->ns[i].usage >> k;
		s->ns[i].share = s->ns[i].usage / s->ns[i].weight;
	}
	for (uint32_t i = 1; i <= s->n_ns; i++)
		ns_in(s, i);
	for (uint32_t i = 1; i <= s->leases_top; i++)
		s->leases[i].charge = k > 63 ? 0 : s->leases[i].charge >> k;
	s->fair_epoch_ns = s->fair_epoch_ns == 0 ? now_ns : s->fair_epoch_ns + k * HALF_LIFE_NS;
}

static uint64_t fair_units(uint64_t rate, uint64_t ns)
{
	uint64_t t = ns / 64000;

	return rate * (t == 0 ? 1 : t > UINT32_MAX ? UINT32_MAX : t);
}

static uint64_t dominant(const struct sched *s, const struct variant *v)
{
	uint64_t rate = 1;

	for (uint32_t i = 0; i < v->n; i++) {
		uint64_t cap = s->cap_total[v->lane[i]];
		uint64_t part = cap == 0 || v->amount[i] >= cap
		                        ? 1u << 20
		                        : (uint64_t)(((unsigned __int128)v->amount[i] << 20) / cap);

		rate = part > rate ? part : rate;
	}
	return rate;
}

static uint64_t charged(const struct nspace *n, uint64_t add, uint64_t sub)
{
	uint64_t usage = n->usage > UINT64_MAX - add ? UINT64_MAX : n->usage + add;

	return usage > sub ? usage - sub : 0;
}

/* ---- a node's leases: a list, sorted only when somebody must wait ---- */

void ends_insert(struct sched *s, uint32_t node, uint32_t x)
{
	uint32_t *first = &s->nodes[node].leases;

	s->ends[x].prev = 0;
	s->ends[x].next = *first;
	if (*first != 0)
		s->ends[*first].prev = x;
	*first = x;
}

void ends_remove(struct sched *s, uint32_t node, uint32_t x)
{
	const struct ending *e = &s->ends[x];

	*(e->prev == 0 ? &s->nodes[node].leases : &s->ends[e->prev].next) = e->next;
	if (e->next != 0)
		s->ends[e->next].prev = e->prev;
}

/* Let the element at `at` sink in a heap of n whose top ends last. */
static void ends_sink(const struct sched *s, uint32_t *v, uint32_t n, uint32_t at)
{
	for (uint32_t kid; (kid = 2 * at + 1) < n; at = kid) {
		uint32_t t = v[at];

		if (kid + 1 < n && ends_before(&s->ends[v[kid]], &s->ends[v[kid + 1]]))
			kid++;
		if (!ends_before(&s->ends[t], &s->ends[v[kid]]))
			return;
		v[at] = v[kid];
		v[kid] = t;
	}
}

uint32_t leases_by_end(const struct sched *s, uint32_t node, uint32_t *out)
{
	uint32_t n = 0;

	for (uint32_t l = s->nodes[node].leases; l != 0; l = s->ends[l].next) {
		if (n < LEASES_SORTED) {
			out[n++] = l;
			for (uint32_t i = n == LEASES_SORTED ? n / 2 : 0; i-- > 0;)
				ends_sink(s, out, n, i);
		} else if (ends_before(&s->ends[l], &s->ends[out[0]])) {
			out[0] = l;
			ends_sink(s, out, n, 0);
		}
	}
	for (uint32_t i = n / 2; n < LEASES_SORTED && i-- > 0;)
		ends_sink(s, out, n, i);
	for (uint32_t k = n; k > 1;) {
		uint32_t t = out[--k];

		out[k] = out[0];
		out[0] = t;
		ends_sink(s, out, k, 0);
	}
	return n;
}

/* ---- the calls ---- */

static uint32_t lease_fill(
        struct sched *s, uint64_t id, const struct sched_placement *p, uint64_t count, uint64_t now_ns)
{
	uint32_t x = s->leases_free;
	struct lease *l;
	uint64_t run = count > 0 && p->run_ns > UINT64_MAX / 4 / count ? UINT64_MAX / 4 : p->run_ns * count;

	CHECK(id != 0 && map_get(&s->lease_map, id) == 0 && s->n_leases < s->lim.leases_max);
	CHECK(p->n_devices <= DEVICES_PER_LEASE_MAX);
	if (x != 0)
		s->leases_free = s->leases[x].stop_next;
	else
		x = ++s->leases_top;
	l = &s->leases[x];
	*l = (struct lease){
	        .id = id,
	        .class_ = p->class_,
	        .group = p->group,
	        .node = class_place(s, p->node, p->class_),
	        .variant = (uint8_t)p->variant,
	        .n_dev = (uint8_t)p->n_devices,
	        .granted_ns = now_ns,
	        .rate = dominant(s, &s->groups[p->group].v[p->variant]),
	};
	s->ends[x] = (struct ending){.end_ns = run == 0 ? UINT64_MAX : now_ns + run, .id = id};
	l->charge = fair_inflate(s, fair_units(l->rate, run == 0 ? UNKNOWN_RUN_NS : run), now_ns);
	for (uint32_t i = 0; i < p->n_devices; i++)
		s->lease_devs[(size_t)x * DEVICES_PER_LEASE_MAX + i] = (uint16_t)p->devices[i];
	map_put(&s->lease_map, id, x);
	s->n_leases++;
	return x;
}

/* What the lease holds of its node and its namespace's quota. */
static void lease_hold(struct sched *s, uint32_t lease, int sign)
{
	const struct lease *l = &s->leases[lease];
	const struct group *g = &s->groups[l->group];
	const struct variant *v = &g->v[l->variant];
	struct node *n = &s->nodes[l->node];
	struct nspace *ns = &s->ns[s->jobs[g->job].ns];

	amounts_hold(s, l->node, n->free, node_used(s, l->node), v,
	        s->lease_devs + (size_t)lease * DEVICES_PER_LEASE_MAX, l->n_dev, sign);
	for (uint32_t i = 0; i < v->n; i++)
		ns->used[v->lane[i]] += sign > 0 ? v->amount[i] : -v->amount[i];
	n->n_leases += (uint32_t)sign;
	node_refresh(s, l->node);
}

void sched_lease_holds(const struct sched *s, uint64_t lease, uint64_t out[RESOURCES_MAX])
{
	const struct lease *l = &s->leases[map_get(&s->lease_map, lease)];
	const struct variant *v = &s->groups[l->group].v[l->variant];

	memset(out, 0, RESOURCES_MAX * sizeof(*out));
	for (uint32_t i = 0; l->id != 0 && i < v->n; i++)
		out[v->lane[i] - 1] += v->amount[i];
}

void sched_lease_add(
        struct sched *s, uint64_t lease, const struct sched_placement *p, uint64_t count, uint64_t now_ns)
{
	struct group *g = &s->groups[p->group];
	struct job *j = &s->jobs[g->job];
	struct nspace *n;
	struct shape *sh;
	uint32_t x;

	CHECK(p->group != 0 && p->group <= s->groups_top && g->job != 0 && p->variant < g->n_variants);
	CHECK(p->node != 0 && p->node <= s->lim.nodes_max);
	fair_epoch(s, now_ns);
	x = lease_fill(s, lease, p, count, now_ns);
	job_out(s, g->job);
	group_out(s, p->group);
	lease_hold(s, x, 1);
	ends_insert(s, s->leases[x].node, x);
	spread_count(s, x, 1);
	link_take(s, p->group, p->node, now_ns);
	g->n_leases++;
	g->last_ns = now_ns > g->last_ns ? now_ns : g->last_ns;
	g->turn = ++s->turn;
	j->n_leases++;
	j->last_ns = now_ns > j->last_ns ? now_ns : j->last_ns;
	j->turn = s->turn;
	group_in(s, p->group);
	n = &s->ns[j->ns];
	n->usage = charged(n, s->leases[x].charge, 0);
	n->share = n->usage / n->weight;
	ns_allow(s, j->ns);
	job_in(s, g->job);
	sh = &s->shapes[g->v[p->variant].shape];
	if (sh->n_fit > 0) /* so that the next search starts where this one ended */
		sh->first = node_leaf(s, shape_find(s, g->v[p->variant].shape, 0));
}

static void stop_link(struct sched *s, uint32_t x)
{
	struct lease *l = &s->leases[x];

	l->stopping = true;
	l->stop_prev = 0;
	l->stop_next = s->stopping;
	if (s->stopping != 0)
		s->leases[s->stopping].stop_prev = x;
	s->stopping = x;
}

static void stop_unlink(struct sched *s, uint32_t x)
{
	struct lease *l = &s->leases[x];

	*(l->stop_prev == 0 ? &s->stopping : &s->leases[l->stop_prev].stop_next) = l->stop_next;
	if (l->stop_next != 0)
		s->leases[l->stop_next].stop_prev = l->stop_prev;
}

void sched_lease_remove(struct sched *s, uint64_t lease, uint64_t now_ns)
{
	uint32_t x = map_get(&s->lease_map, lease);
	struct lease *l = &s->leases[x];
	struct group *g = &s->groups[l->group];
	struct job *j = &s->jobs[g->job];
	uint64_t real, was;
	bool limited;

	CHECK(x != 0 && g->n_leases > 0 && j->n_leases > 0);
	fair_epoch(s, now_ns);
	real = fair_inflate(
	        s, fair_units(l->rate, now_ns > l->granted_ns ? now_ns - l->granted_ns : 0), now_ns);
	was = l->charge;
	limited = !job_may(j);
	lease_hold(s, x, -1);
	ends_remove(s, s->leases[x].node, x);
	spread_count(s, x, -1);
	if (l->stopping)
		stop_unlink(s, x);
	g->n_leases--;
	j->n_leases--;
	ns_refair(s, j->ns, charged(&s->ns[j->ns], real, was));
	if (limited) { /* it may again */
		job_out(s, g->job);
		job_in(s, g->job);
	}
	map_del(&s->lease_map, lease);
	*l = (struct lease){.stop_next = s->leases_free};
	s->leases_free = x;
	s->n_leases--;
}

void sched_lease_stopping(struct sched *s, uint64_t lease)
{
	uint32_t x = map_get(&s->lease_map, lease);

	CHECK(x != 0);
	if (s->leases[x].stopping)
		return;
	s->ends[x].end_ns = 0;
	stop_link(s, x);
}
