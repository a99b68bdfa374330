/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_trouble - failures: a task goes elsewhere, a node on which task after task fails pauses; and what else is learned of nodes.
 *
 * A task remembers up to four nodes that it failed on, as long as it is not over; of more tasks than there is room for, the one that
 * failed longest ago is forgotten. A failure counts POINTS against its node when it may be the node's fault: tasks of that kind have
 * succeeded before, or the failure before it was another job's. A success takes all points away. At PAUSE_AT the node gets no batch
 * work for PAUSE_NS, doubled each time up to PAUSE_MAX_NS; after a pause one more failure is enough. At least one other node that
 * is up does not pause. Pure.
 */
#include "core/sched_state.h"

#define POINTS       4u
#define PAUSE_AT     32u
#define PAUSE_NS     (30ull * 1000000000ull)
#define PAUSE_MAX_NS (3600ull * 1000000000ull)

/* ---- tasks that avoid nodes ---- */

static uint64_t avoid_key(const struct sched *s, uint32_t group, uint64_t unit)
{
	const struct group *g = &s->groups[group];

	return prng_mix(s->jobs[g->job].id, g->step, unit) | 1;
}

static uint32_t avoid_find(const struct sched *s, uint32_t group, uint64_t unit)
{
	uint32_t x = s->groups[group].avoids == 0 ? 0 : map_get(&s->avoid_map, avoid_key(s, group, unit));

	return x != 0 && s->avoids[x].group == group && s->avoids[x].unit == unit ? x : 0;
}

static void avoid_unlink(struct sched *s, uint32_t x)
{
	const struct avoid *a = &s->avoids[x];

	*(a->newer == 0 ? &s->avoid_newest : &s->avoids[a->newer].older) = a->older;
	*(a->older == 0 ? &s->avoid_oldest : &s->avoids[a->older].newer) = a->newer;
}

static void avoid_link_newest(struct sched *s, uint32_t x)
{
	struct avoid *a = &s->avoids[x];

	a->newer = 0;
	a->older = s->avoid_newest;
	*(a->older == 0 ? &s->avoid_oldest : &s->avoids[a->older].newer) = x;
	s->avoid_newest = x;
}

static void avoid_drop(struct sched *s, uint32_t x)
{
	struct avoid *a = &s->avoids[x];

	*(a->kin_prev == 0 ? &s->groups[a->group].avoids : &s->avoids[a->kin_prev].kin_next) = a->kin_next;
	if (a->kin_next != 0)
		s->avoids[a->kin_next].kin_prev = a->kin_prev;
	avoid_unlink(s, x);
	map_del(&s->avoid_map, a->key);
	*a = (struct avoid){.newer = s->avoids_free};
	s->avoids_free = x;
}

void avoids_drop(struct sched *s, uint32_t group)
{
	while (s->groups[group].avoids != 0)
		avoid_drop(s, s->groups[group].avoids);
}

static uint32_t avoid_make(struct sched *s, uint32_t group, uint64_t unit)
{
	const uint64_t key = avoid_key(s, group, unit);
	uint32_t x = map_get(&s->avoid_map, key);
	struct avoid *a;

	if (x != 0) /* another task's key */
		avoid_drop(s, x);
	if (s->avoids_free == 0 && s->avoids_top == s->avoids_max)
		avoid_drop(s, s->avoid_oldest);
	x = s->avoids_free;
	if (x != 0)
		s->avoids_free = s->avoids[x].newer;
	else
		x = ++s->avoids_top;
	a = &s->avoids[x];
	*a = (struct avoid){.key = key, .unit = unit, .group = group, .kin_next = s->groups[group].avoids};
	if (a->kin_next != 0)
		s->avoids[a->kin_next].kin_prev = x;
	s->groups[group].avoids = x;
	map_put(&s->avoid_map, key, x);
	avoid_link_newest(s, x);
	return x;
}

void avoid_node(struct sched *s, uint32_t group, uint64_t unit, uint32_t node)
{
	uint32_t x = avoid_find(s, group, unit);
	struct avoid *a;

	if (x == 0)
		x = avoid_make(s, group, unit);
	else
		avoid_unlink(s, x);
	if (s->avoid_newest != x)
		avoid_link_newest(s, x);
	a = &s->avoids[x];
	for (uint32_t i = 0; i < a->n; i++)
		if (a->node[i] == node)
			return;
	if (a->n == ARRAY_LEN(a->node)) /* the first is forgotten */
		memmove(a->node, a->node + 1, --a->n * sizeof(*a->node));
	a->node[a->n++] = node;
}

void sched_settled(struct sched *s, uint32_t group, uint64_t unit)
{
	uint32_t x = group == 0 ? 0 : avoid_find(s, group, unit);

	if (x != 0)
		avoid_drop(s, x);
}

uint32_t sched_failed_on(const struct sched *s, uint32_t group, uint64_t unit, uint32_t out[FAILED_ON_MAX])
{
	const struct avoid *a = &s->avoids[avoid_find(s, group, unit)];

	memcpy(out, a->node, a->n * sizeof(*out));
	return a->n;
}

bool sched_avoiding(const struct sched *s, uint32_t group)
{
	return s->groups[group].avoids != 0;
}

/* ---- nodes that pause ---- */

static bool is_suspect(const struct node *n)
{
	return n->known && n->points >= PAUSE_AT && n->paused_until_ns == 0;
}

static void points_set(struct sched *s, uint32_t node, uint32_t points)
{
	struct node *n = &s->nodes[node];
	const bool was = is_suspect(n);

	n->points = points;
	s->n_suspects += (uint32_t)is_suspect(n) - (uint32_t)was;
}

void sched_failed(struct sched *s, uint32_t group, uint64_t unit, uint32_t node, bool lost)
{
	const struct group *g = &s->groups[group];
	struct node *n = &s->nodes[node];
	const uint64_t job = s->jobs[g->job].id, task = prng_mix(job, g->step, unit);
	bool counts = n->bad_unit != task;

	if (g->gang == 0) /* it may need all nodes that there are */
		avoid_node(s, group, unit, node);
	if (lost)
		return;
	counts = counts &&
	         (kind_quantile_ns(s, g->v[0].kind, 500) != 0 || (n->bad_job != 0 && n->bad_job != job));
	n->bad_unit = task;
	n->bad_job = job;
	if (counts)
		points_set(s, node, n->points < PAUSE_AT ? n->points + POINTS : n->points);
}

void sched_worked(struct sched *s, uint32_t node)
{
	struct node *n = &s->nodes[node];

	if (n->points == 0 && n->pauses == 0 && n->bad_unit == 0)
		return;
	points_set(s, node, 0);
	n->pauses = 0;
	n->bad_job = n->bad_unit = 0;
}

void node_pause(struct sched *s, uint32_t node, uint64_t until_ns)
{
	struct node *n = &s->nodes[node];
	const bool was = is_suspect(n);

	s->n_paused += (uint32_t)(until_ns != 0) - (uint32_t)(n->paused_until_ns != 0);
	s->n_suspects += (uint32_t)(n->known && n->points >= PAUSE_AT && until_ns == 0) - (uint32_t)was;
	for (uint32_t x = node; x != 0; x = place_next(s, node, x)) {
		s->nodes[x].paused_until_ns = until_ns;
		node_refresh(s, x);
	}
}

void trouble_load(struct sched *s, uint32_t node, const struct trouble *t)
{
	struct node *n = &s->nodes[node];

	n->pauses = t->pauses < 7 ? (uint32_t)t->pauses : 7;
	n->bad_job = t->bad_job;
	n->bad_unit = t->bad_unit;
	points_set(s, node, t->points < PAUSE_AT ? (uint32_t)t->points : PAUSE_AT);
	node_pause(s, node, t->paused_until_ns);
}

/* Is there another one that is up and does not pause? */
static bool another_works(const struct sched *s, uint32_t node)
{
	for (uint32_t x = 1; x <= s->node_real; x++)
		if (x != node && s->nodes[x].known && s->nodes[x].state == WIRE__NODE_SET__STATE__UP &&
		        s->nodes[x].paused_until_ns == 0)
			return true;
	return false;
}

bool sched_pause(const struct sched *s, uint64_t now_ns, Wire__NodeFacts *out)
{
	wire__node_facts__init(out);
	out->set = WIRE__NODE_FACTS__WHAT__PAUSE;
	for (uint32_t x = 1; x <= s->node_real && s->n_paused + s->n_suspects > 0; x++) {
		const struct node *n = &s->nodes[x];

		out->node = x;
		if (n->paused_until_ns != 0 && (n->paused_until_ns <= now_ns || !another_works(s, x)))
			return true;
		if (!is_suspect(n) || n->state != WIRE__NODE_SET__STATE__UP || !another_works(s, x))
			continue;
		out->failures = PAUSE_AT / POINTS;
		out->paused_until_ns = now_ns + (n->pauses < 7 ? PAUSE_NS << n->pauses : PAUSE_MAX_NS);
		return true;
	}
	return false;
}

uint64_t pause_wake_ns(const struct sched *s)
{
	uint64_t at = UINT64_MAX;

	for (uint32_t x = 1; x <= s->node_real && s->n_paused > 0; x++)
		if (s->nodes[x].paused_until_ns != 0 && s->nodes[x].paused_until_ns < at)
			at = s->nodes[x].paused_until_ns;
	return at;
}

/* ---- facts ---- */

static uint64_t rounded(uint64_t us)
{
	uint64_t v = 64;

	while (v < us && v < 1ull << 40)
		v *= 2;
	return v;
}

static uint64_t latency_to(const Wire__NodeFacts__Latency *l)
{
	return l->node != 0 ? latency_to_node(l->node) : label_pair(label_hash("site"), l->site);
}

/* About the same: what is half as long is not said either, so that a value between two steps does not go to and fro. */
static bool latency_is_known(const struct node *n, const Wire__NodeFacts *f)
{
	if (f->n_latency != n->n_latency)
		return false;
	for (size_t i = 0; i < f->n_latency; i++)
		if (f->latency[i]->us > n->latency[i].us || 2 * f->latency[i]->us < n->latency[i].us ||
		        n->latency[i].to != latency_to(f->latency[i]))
			return false;
	return true;
}

/* The same blobs, in whatever order? */
static bool held_is_known(const struct sched *s, const Wire__NodeFacts *f)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < HELD; i++)
		n += s->held[(size_t)f->node * HELD + i].blob != 0;
	for (size_t i = 0; i + 8 <= f->held.len; i += 8)
		if (!held_has(s, f->node, sched_blob(f->held.data + i)))
			return false;
	return n == f->held.len / 8;
}

bool sched_facts_news(const struct sched *s, Wire__NodeFacts *f)
{
	const struct node *n;

	if (f->node == 0 || f->node > s->node_real || !s->nodes[f->node].known)
		return false;
	n = &s->nodes[f->node];
	if (f->n_latency > LATENCIES)
		f->n_latency = LATENCIES;
	if (f->held.len > (size_t)8 * HELD)
		f->held.len = (size_t)8 * HELD;
	f->held.len -= f->held.len % 8;
	for (size_t i = 0; i < f->n_latency; i++)
		f->latency[i]->us = rounded(f->latency[i]->us);
	f->set &= WIRE__NODE_FACTS__WHAT__PAUSE | WIRE__NODE_FACTS__WHAT__LATENCY |
	          WIRE__NODE_FACTS__WHAT__HELD;
	if (latency_is_known(n, f))
		f->set &= ~(uint32_t)WIRE__NODE_FACTS__WHAT__LATENCY;
	if (held_is_known(s, f))
		f->set &= ~(uint32_t)WIRE__NODE_FACTS__WHAT__HELD;
	if (f->paused_until_ns == n->paused_until_ns)
		f->set &= ~(uint32_t)WIRE__NODE_FACTS__WHAT__PAUSE;
	return f->set != 0;
}

static void held_set(struct sched *s, const Wire__NodeFacts *f)
{
	held_clear(s, f->node);
	for (size_t i = 0; i + 8 <= f->held.len; i += 8)
		held_add(s, f->node, sched_blob(f->held.data + i));
}

void sched_facts_set(struct sched *s, const Wire__NodeFacts *f)
{
	struct node *n = &s->nodes[f->node];

	CHECK(f->node != 0 && f->node <= s->node_real && n->known);
	if ((f->set & WIRE__NODE_FACTS__WHAT__PAUSE) != 0) {
		if (f->paused_until_ns != 0) {
			n->pauses += n->pauses < 7;
			points_set(s, f->node, PAUSE_AT - POINTS);
		}
		node_pause(s, f->node, f->paused_until_ns);
	}
	if ((f->set & WIRE__NODE_FACTS__WHAT__LATENCY) != 0) {
		n->n_latency = 0;
		for (size_t i = 0; i < f->n_latency && i < LATENCIES; i++)
			n->latency[n->n_latency++] =
			        (struct latency){latency_to(f->latency[i]), f->latency[i]->us};
	}
	if ((f->set & WIRE__NODE_FACTS__WHAT__HELD) != 0)
		held_set(s, f);
}
