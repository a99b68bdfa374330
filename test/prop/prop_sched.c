/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prop_sched - random operations on the scheduler, beside a model that looks at everything each time.
 *
 * The model keeps its own leases and counts from them what every node and device holds; it finds the next placement by
 * sorting all groups and trying all nodes. Both must agree. After some steps the state is saved, built again in another
 * order and loaded: digest and next pick must be equal. PROP_SEED=n runs one seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/sched_state.h"

#define NODES  7u
#define JOBS   10u
#define STEPS  3u
#define LEASES 80u
#define SECOND 1000000000ull

struct my_lease {
	uint64_t id, granted_ns, count;
	uint32_t job, step;
	bool stopping;
	struct sched_placement p;
};
struct my_job {
	struct sched_job j;
	char ns[8];
	bool live;
	uint32_t n_groups, group[STEPS];
	uint64_t need[STEPS][2][4]; /* cpu, memory, gpu, pool of each variant */
	uint32_t n_variants[STEPS], slack[STEPS];
	uint64_t ready[STEPS], since[STEPS], slice[STEPS];
};
struct my_node {
	bool live;
	uint64_t cap[4]; /* as `need`; gpu: how many devices */
	Wire__NodeSet__State state;
};
struct my_ns {
	uint32_t weight;
	uint64_t quota_cpu; /* 0 none */
	bool set;
};
struct world {
	struct prng r;
	struct sched *s;
	uint64_t now, next_job, next_lease;
	struct my_node node[NODES + 1];
	struct my_job job[JOBS];
	struct my_ns ns[3];
	struct my_lease lease[LEASES];
	uint32_t n_leases;
};

static const struct sched_limits limits = {64, 16, LEASES, NODES, 8, 6};
/* What the runs have seen, so that a test that tests nothing is noticed. */
static struct {
	uint64_t placed, nothing, preempted, passed, starved, with_devices, second_variant, slices;
} seen;
static const char *const names[4] = {"cpu", "memory", "gpu", "licence"};
static _Alignas(64) uint8_t memory[2][4u << 20];

static struct sched *fresh(int which)
{
	assert_true(sched_bytes(&limits) <= sizeof(memory[0]));
	memset(memory[which], 0, sizeof(memory[0]));
	return sched_new(memory[which], &limits);
}

/* ---- the same facts told to a scheduler ---- */

static void tell_node(struct sched *s, const struct world *w, uint32_t id)
{
	const struct my_node *n = &w->node[id];
	Wire__NodeSet m = WIRE__NODE_SET__INIT;
	Wire__Need need[4], *needs[4];
	Wire__NodeSet__Device dev[8], *devs[8];
	char name[8];

	(void)snprintf(name, sizeof(name), "n%u", id);
	m.node = id;
	m.name = name;
	m.state = n->state;
	m.capacity = needs;
	m.devices = devs;
	for (uint32_t i = 0; i < 4; i++) {
		if (i == 2 || n->cap[i] == 0)
			continue;
		need[i] = (Wire__Need)WIRE__NEED__INIT;
		need[i].name = (char *)(uintptr_t)names[i];
		need[i].amount = n->cap[i];
		needs[m.n_capacity++] = &need[i];
	}
	for (uint32_t i = 0; i < n->cap[2]; i++) {
		dev[i] = (Wire__NodeSet__Device)WIRE__NODE_SET__DEVICE__INIT;
		dev[i].resource = (char *)(uintptr_t)names[2];
		dev[i].index = 10 - i;
		dev[i].milli = 1000;
		devs[m.n_devices++] = &dev[i];
	}
	assert_int_equal(sched_node_set(s, &m), 0);
}

static void tell_ns(struct sched *s, const struct world *w, uint32_t i)
{
	Wire__NamespaceSet m = WIRE__NAMESPACE_SET__INIT;
	Wire__Need need = WIRE__NEED__INIT, *needs[1] = {&need};
	char name[8];

	(void)snprintf(name, sizeof(name), "ns%u", i);
	m.name = name;
	m.weight = w->ns[i].weight;
	m.quota = needs;
	m.n_quota = w->ns[i].quota_cpu != 0;
	need.name = (char *)(uintptr_t) "cpu";
	need.amount = w->ns[i].quota_cpu;
	assert_int_equal(sched_namespace_set(s, &m), 0);
}

static void tell_job(struct sched *s, struct my_job *j)
{
	j->j.namespace_ = j->ns;
	assert_int_equal(sched_job_add(s, &j->j), 0);
	for (uint32_t g = 0; g < j->n_groups; g++) {
		Wire__Variant v[2];
		const Wire__Variant *vs[2] = {&v[0], &v[1]};
		Wire__Need need[2][4], *needs[2][4];
		char kind[8];

		for (uint32_t k = 0; k < j->n_variants[g]; k++) {
			v[k] = (Wire__Variant)WIRE__VARIANT__INIT;
			v[k].needs = needs[k];
			for (uint32_t i = 0; i < 4; i++) {
				need[k][i] = (Wire__Need)WIRE__NEED__INIT;
				need[k][i].name = (char *)(uintptr_t)names[i];
				need[k][i].amount = j->need[g][k][i];
				needs[k][v[k].n_needs++] = &need[k][i];
			}
		}
		(void)snprintf(kind, sizeof(kind), "k%u", (unsigned)(j->j.id + g) % 9);
		assert_int_equal(
		        sched_group_add(s, j->j.id, g, vs, j->n_variants[g], kind, j->slice[g], &j->group[g]),
		        0);
		sched_group_slack(s, j->group[g], j->slack[g]);
		if (j->ready[g] > 0)
			sched_group_ready(s, j->group[g], j->ready[g], j->since[g]);
	}
}

/* ---- the model ---- */

static uint64_t part_of(uint64_t gpu)
{
	return gpu >= 1000 ? 1000 : gpu;
}

/* What a node has left, by the test's own leases; dev by index 10, 9 ... (sorted: lowest index first). */
static void left_on(const struct world *w, uint32_t node, int64_t left[4], int64_t dev[16])
{
	const struct my_node *n = &w->node[node];

	for (uint32_t i = 0; i < 4; i++)
		left[i] = (int64_t)n->cap[i];
	for (uint32_t i = 0; i < 16; i++)
		dev[i] = i <= 10 && i > 10 - n->cap[2] ? 1000 : -1;
	for (uint32_t l = 0; l < w->n_leases; l++) {
		const struct my_lease *m = &w->lease[l];
		const uint64_t *need = w->job[m->job].need[m->step][m->p.variant];

		if (m->p.node != node)
			continue;
		for (uint32_t i = 0; i < 4; i++)
			left[i] -= i == 2 ? 0 : (int64_t)need[i];
		for (uint32_t i = 0; i < m->p.n_devices; i++)
			if (dev[m->p.devices[i]] >= 0 || n->cap[2] > 10 - m->p.devices[i])
				dev[m->p.devices[i]] -= (int64_t)part_of(need[2]);
	}
}

static bool fits_node(const struct world *w, uint32_t node, const uint64_t need[4])
{
	int64_t left[4], dev[16];
	uint32_t whole = 0;
	int64_t most = 0;

	if (!w->node[node].live || w->node[node].state != WIRE__NODE_SET__STATE__UP)
		return false;
	left_on(w, node, left, dev);
	for (uint32_t i = 0; i < 16; i++) {
		whole += dev[i] == 1000;
		most = dev[i] > most ? dev[i] : most;
	}
	for (uint32_t i = 0; i < 4; i++)
		if (i != 2 && need[i] > 0 && left[i] < (int64_t)need[i])
			return false;
	return need[2] < 1000 ? (int64_t)need[2] <= most : whole >= (need[2] + 999) / 1000;
}

static bool could_node(const struct world *w, uint32_t node, const uint64_t need[4])
{
	const struct my_node *n = &w->node[node];

	if (!n->live || n->state != WIRE__NODE_SET__STATE__UP)
		return false;
	return need[0] <= n->cap[0] && need[1] <= n->cap[1] && need[3] <= n->cap[3] &&
	       (need[2] + 999) / 1000 <= n->cap[2];
}

static bool quota_ok(const struct world *w, const struct my_job *j, const uint64_t need[4])
{
	const struct my_ns *n = &w->ns[j->ns[2] - '0'];
	uint64_t used = 0;

	for (uint32_t l = 0; l < w->n_leases; l++) {
		const struct my_lease *m = &w->lease[l];

		if (strcmp(w->job[m->job].ns, j->ns) == 0)
			used += w->job[m->job].need[m->step][m->p.variant][0];
	}
	return n->quota_cpu == 0 || need[0] == 0 || used + need[0] <= n->quota_cpu;
}

/* Nodes in the order they are filled: without devices first. */
static uint32_t first_node(const struct world *w, const uint64_t need[4], uint32_t except)
{
	for (uint32_t devices = 0; devices < 2; devices++)
		for (uint32_t n = 1; n <= NODES; n++)
			if (n != except && (w->node[n].cap[2] > 0) == (devices == 1) && fits_node(w, n, need))
				return n;
	return 0;
}

struct cand {
	uint32_t job, step;
	uint64_t starve; /* of the job */
};

static uint64_t wait_of(const struct world *w, uint32_t job, uint32_t step)
{
	const struct group *g = &w->s->groups[w->job[job].group[step]];

	return w->job[job].since[step] > g->last_ns ? w->job[job].since[step] : g->last_ns;
}

/* As the groups of one job compare. */
static uint64_t place_of(const struct world *w, uint32_t job, uint32_t step)
{
	uint32_t slack = w->job[job].slack[step];

	return wait_of(w, job, step) + (slack < SLACK_MAX ? slack : SLACK_MAX) * SLACK_NS;
}

static const struct job *inner(const struct world *w, uint32_t job)
{
	return &w->s->jobs[map_get(&w->s->job_map, w->job[job].j.id)];
}

#define BY(x, y)                                                                                             \
	do {                                                                                                 \
		if ((x) != (y))                                                                              \
			return (x) < (y);                                                                    \
	} while (0)

static bool group_before(const struct world *w, const struct cand *a, const struct cand *b)
{
	BY(place_of(w, a->job, a->step), place_of(w, b->job, b->step));
	BY(w->s->groups[w->job[a->job].group[a->step]].turn,
	        w->s->groups[w->job[b->job].group[b->step]].turn);
	return a->step < b->step;
}

/* Of the job's first group. */
static uint64_t job_wait(const struct world *w, uint32_t job)
{
	struct cand first = {job, STEPS, 0}, c = {job, 0, 0};

	for (; c.step < w->job[job].n_groups; c.step++)
		if (w->job[job].ready[c.step] > 0 && (first.step == STEPS || group_before(w, &c, &first)))
			first = c;
	return first.step == STEPS ? UINT64_MAX : wait_of(w, job, first.step);
}

/* The order of the contract, from primary facts. */
static bool before(const struct world *w, const struct cand *a, const struct cand *b)
{
	const struct my_job *x = &w->job[a->job], *y = &w->job[b->job];
	const struct job *p = inner(w, a->job), *q = inner(w, b->job);
	uint64_t s = job_wait(w, a->job), t = job_wait(w, b->job);

	BY(y->j.realtime, x->j.realtime);
	if (x->j.realtime) {
		BY(x->j.deadline_ns - 1, y->j.deadline_ns - 1); /* 0, none, is last */
	} else if (strcmp(x->ns, y->ns) != 0) {
		BY(w->s->ns[p->ns].usage / w->s->ns[p->ns].weight,
		        w->s->ns[q->ns].usage / w->s->ns[q->ns].weight);
		return strcmp(x->ns, y->ns) < 0;
	}
	if (a->job == b->job)
		return group_before(w, a, b);
	s = s > p->last_ns ? s : p->last_ns;
	t = t > q->last_ns ? t : q->last_ns;
	BY((int64_t)s - (int64_t)(x->j.priority * AGE_NS), (int64_t)t - (int64_t)(y->j.priority * AGE_NS));
	BY(p->turn, q->turn);
	return x->j.id < y->j.id;
}

static bool starves_before(const struct world *w, const struct cand *a, const struct cand *b)
{
	BY(job_wait(w, a->job), job_wait(w, b->job));
	BY(w->job[a->job].j.id, w->job[b->job].j.id);
	return group_before(w, a, b);
}

static uint32_t leases_of(const struct world *w, uint32_t job)
{
	uint32_t n = 0;

	for (uint32_t l = 0; l < w->n_leases; l++)
		n += w->lease[l].job == job;
	return n;
}

/* All groups that could run on empty nodes, in order; the starving one, if any, first. */
static uint32_t candidates(const struct world *w, struct cand *c)
{
	uint32_t n = 0, oldest = NONE;

	for (uint32_t j = 0; j < JOBS; j++)
		for (uint32_t g = 0; w->job[j].live && g < w->job[j].n_groups; g++) {
			const struct my_job *m = &w->job[j];
			bool may = false;

			for (uint32_t v = 0; v < m->n_variants[g]; v++)
				for (uint32_t k = 1; k <= NODES; k++)
					may = may || (could_node(w, k, m->need[g][v]) &&
					                     quota_ok(w, m, m->need[g][v]));
			if (m->ready[g] == 0 || !may ||
			        (m->j.concurrency != 0 && leases_of(w, j) >= m->j.concurrency))
				continue;
			c[n++] = (struct cand){j, g, 0};
		}
	for (uint32_t i = 1; i < n; i++)
		for (uint32_t k = i; k > 0 && before(w, &c[k], &c[k - 1]); k--) {
			struct cand t = c[k];

			c[k] = c[k - 1];
			c[k - 1] = t;
		}
	for (uint32_t i = 0; i < n; i++)
		if (w->now >= STARVE_NS && job_wait(w, c[i].job) <= w->now - STARVE_NS &&
		        wait_of(w, c[i].job, c[i].step) <= w->now - STARVE_NS)
			if (oldest == NONE || starves_before(w, &c[i], &c[oldest]))
				oldest = i;
	if (oldest != NONE) {
		struct cand t = c[oldest];

		memmove(c + 1, c, oldest * sizeof(*c));
		c[0] = t;
	}
	return n;
}

/* Group, variant and node of the next placement: 0 none. `reserved` is what the first, when it does not fit, holds. */
static uint32_t naive_pick(const struct world *w, uint32_t *variant, uint32_t *node)
{
	struct cand c[JOBS * STEPS];
	uint32_t n = candidates(w, c), tried = 0;
	struct reservation res = {0};
	uint64_t left, out[64], n_out = 0; /* out: shapes given up on the reserved node */

	for (uint32_t i = 0; i < n; i++) {
		const struct my_job *m = &w->job[c[i].job];
		const uint32_t g = c[i].step, group = m->group[g];

		for (uint32_t v = 0; v < m->n_variants[g]; v++) {
			const uint32_t shape = w->s->groups[group].v[v].shape;
			bool skip = !quota_ok(w, m, m->need[g][v]);

			for (uint64_t k = 0; k < n_out; k++)
				skip = skip || out[k] == shape;
			if (skip)
				continue;
			*variant = v;
			*node = first_node(w, m->need[g][v], 0);
			if (*node != 0 && *node == res.node &&
			        !backfill_ok(&res, &w->s->groups[group], v, w->now, &left)) {
				*node = first_node(w, m->need[g][v], res.node);
				if (*node == 0 && (++tried >= BACKFILL_DEPTH || res.at_ns <= w->now))
					out[n_out++] = shape;
			}
			if (*node == 0)
				continue;
			seen.passed += res.node != 0;
			seen.starved += i == 0 && w->now >= STARVE_NS &&
			                wait_of(w, c[0].job, g) <= w->now - STARVE_NS;
			return group;
		}
		if (i == 0)
			reserve(w->s, group, w->now, &res);
	}
	return 0;
}

/* ---- operations ---- */

static void set_node(struct world *w)
{
	uint32_t id = 1 + (uint32_t)prng_below(&w->r, NODES);
	struct my_node *n = &w->node[id];

	n->live = true;
	n->state = prng_chance(&w->r, 1, 5) ? (Wire__NodeSet__State)prng_below(&w->r, 3)
	                                    : WIRE__NODE_SET__STATE__UP;
	n->cap[0] = prng_below(&w->r, 9) * 1000;
	n->cap[1] = prng_below(&w->r, 9) * 512;
	n->cap[2] = prng_chance(&w->r, 1, 2) ? prng_below(&w->r, 5) : 0;
	n->cap[3] = prng_below(&w->r, 3) * 1000;
	tell_node(w->s, w, id);
}

static void set_ns(struct world *w)
{
	uint32_t i = (uint32_t)prng_below(&w->r, 3);

	w->ns[i].set = true;
	w->ns[i].weight = 1 + (uint32_t)prng_below(&w->r, 4);
	w->ns[i].quota_cpu = prng_chance(&w->r, 1, 2) ? 1000 * (1 + prng_below(&w->r, 12)) : 0;
	tell_ns(w->s, w, i);
}

static void add_job(struct world *w)
{
	static const uint64_t gpu[] = {0, 0, 0, 250, 500, 1000, 2000};
	uint32_t i = (uint32_t)prng_below(&w->r, JOBS);
	struct my_job *j = &w->job[i];

	if (j->live)
		return;
	*j = (struct my_job){.live = true};
	(void)snprintf(j->ns, sizeof(j->ns), "ns%u", (unsigned)prng_below(&w->r, 3));
	j->j.id = w->next_job++;
	j->j.realtime = prng_chance(&w->r, 1, 4);
	j->j.priority = (uint32_t)prng_below(&w->r, 3);
	j->j.deadline_ns = prng_chance(&w->r, 1, 2) ? w->now + prng_below(&w->r, 5) * SECOND : 0;
	j->j.concurrency = prng_chance(&w->r, 1, 3) ? 1 + (uint32_t)prng_below(&w->r, 4) : 0;
	j->n_groups = 1 + (uint32_t)prng_below(&w->r, STEPS);
	for (uint32_t g = 0; g < j->n_groups; g++) {
		j->n_variants[g] = 1 + (uint32_t)prng_below(&w->r, 2);
		j->slice[g] = 1 + prng_below(&w->r, 20);
		j->slack[g] = prng_chance(&w->r, 1, 2) ? 0 : (uint32_t)prng_below(&w->r, 2 * SLACK_MAX);
		j->ready[g] = prng_below(&w->r, 30);
		j->since[g] = w->now;
		for (uint32_t v = 0; v < j->n_variants[g]; v++) {
			j->need[g][v][0] = prng_below(&w->r, 9) * 500;
			j->need[g][v][1] = prng_below(&w->r, 5) * 512;
			j->need[g][v][2] = gpu[prng_below(&w->r, 7)];
			j->need[g][v][3] = prng_chance(&w->r, 1, 6) ? 1000 : 0;
		}
	}
	tell_job(w->s, j);
}

static void change_job(struct world *w)
{
	uint32_t i = (uint32_t)prng_below(&w->r, JOBS), g;
	struct my_job *j = &w->job[i];

	if (!j->live)
		return;
	if (prng_chance(&w->r, 1, 4) && leases_of(w, i) == 0) {
		sched_job_remove(w->s, j->j.id);
		j->live = false;
		return;
	}
	if (prng_chance(&w->r, 1, 3)) {
		j->j.priority = (uint32_t)prng_below(&w->r, 3);
		j->j.concurrency = (uint32_t)prng_below(&w->r, 4);
		sched_job_adjust(w->s, &j->j);
		return;
	}
	g = (uint32_t)prng_below(&w->r, j->n_groups);
	j->ready[g] = prng_below(&w->r, 30);
	j->since[g] = w->now - prng_below(&w->r, 2) * 100 * SECOND;
	sched_group_ready(w->s, j->group[g], j->ready[g], j->since[g]);
}

static void end_lease(struct world *w)
{
	uint32_t i;
	struct my_lease *l;
	uint64_t us[5];

	if (w->n_leases == 0)
		return;
	i = (uint32_t)prng_below(&w->r, w->n_leases);
	l = &w->lease[i];
	for (uint32_t k = 0; k < ARRAY_LEN(us); k++)
		us[k] = prng_below(&w->r, 1u << prng_below(&w->r, 24));
	if (prng_chance(&w->r, 1, 2))
		sched_learn(w->s, l->p.group, l->p.variant, l->p.node, us, prng_below(&w->r, 6), w->now);
	sched_lease_remove(w->s, l->id, w->now);
	w->lease[i] = w->lease[--w->n_leases];
}

static void apply_place(struct world *w, const struct sched_placement *p)
{
	struct my_lease *l = &w->lease[w->n_leases];
	struct my_job *j;

	*l = (struct my_lease){.id = w->next_lease++, .granted_ns = w->now, .p = *p};
	for (l->job = 0; l->job < JOBS; l->job++) {
		j = &w->job[l->job];
		for (l->step = 0; j->live && l->step < j->n_groups; l->step++)
			if (j->group[l->step] == p->group)
				goto found;
	}
	fail_msg("an unknown group was placed");
found:
	assert_in_range(p->count_max, 1, j->ready[l->step]);
	assert_true(p->count_max <= j->slice[l->step]);
	l->count = 1 + prng_below(&w->r, p->count_max);
	sched_lease_add(w->s, l->id, p, l->count, w->now);
	w->n_leases++;
	j->ready[l->step] -= l->count;
	sched_group_ready(w->s, p->group, j->ready[l->step], j->since[l->step]);
}

/* A node holds no more than it has, unless it shrank: what was placed just now must be within it. */
static void nothing_oversubscribed(const struct world *w, uint32_t node)
{
	int64_t left[4], dev[16];

	left_on(w, node, left, dev);
	for (uint32_t i = 0; i < 4; i++) {
		const struct my_lease *l = &w->lease[w->n_leases - 1];

		if (i != 2 && w->job[l->job].need[l->step][l->p.variant][i] > 0)
			assert_true(left[i] >= 0);
	}
	for (uint32_t i = 0; i < w->lease[w->n_leases - 1].p.n_devices; i++)
		assert_true(dev[w->lease[w->n_leases - 1].p.devices[i]] >= 0);
}

static void preempt(struct world *w, uint64_t victim)
{
	uint32_t i;

	for (i = 0; i < w->n_leases && w->lease[i].id != victim; i++)
		;
	assert_true(i < w->n_leases && !w->lease[i].stopping);
	assert_false(w->job[w->lease[i].job].j.realtime);
	w->lease[i].stopping = true;
	sched_lease_stopping(w->s, victim);
}

static void pick_some(struct world *w)
{
	struct sched_placement p;
	uint64_t victim = 0;

	for (uint32_t i = prng_below(&w->r, 4) == 0 ? 100 : 2; i > 0 && w->n_leases < LEASES; i--) {
		enum sched_verdict v = sched_pick(w->s, w->now, &p, &victim);
		uint32_t variant = 0, node = 0, group;

		if (v == SCHED_PREEMPT) {
			seen.preempted++;
			preempt(w, victim);
			continue;
		}
		group = naive_pick(w, &variant, &node);
		if (v == SCHED_NOTHING) {
			assert_int_equal(group, 0);
			seen.nothing++;
			return;
		}
		assert_int_equal(p.group, group);
		assert_int_equal(p.variant, variant);
		assert_int_equal(p.node, node);
		seen.placed++;
		seen.with_devices += p.n_devices > 0;
		seen.second_variant += variant > 0;
		seen.slices += p.count_max > 1;
		apply_place(w, &p);
		nothing_oversubscribed(w, p.node);
	}
}

struct bytes {
	uint8_t b[1 << 16];
	size_t n;
};

static int put(void *ctx, const void *p, size_t n)
{
	struct bytes *b = ctx;

	assert_true(b->n + n <= sizeof(b->b));
	memcpy(b->b + b->n, p, n);
	b->n += n;
	return 0;
}

static void saved_and_built_again_is_equal(struct world *w)
{
	static struct bytes b;
	struct world v = *w;
	struct sched_placement p = {0}, q = {0};
	uint64_t x = 0, y = 0;

	b.n = 0;
	assert_int_equal(sched_save(w->s, put, &b), 0);
	v.s = fresh(1);
	for (uint32_t i = NODES; i > 0; i--) /* names of resources first, then backwards */
		if (w->node[i].live)
			tell_node(v.s, &v, i);
	for (uint32_t i = 3; i-- > 0;)
		if (w->ns[i].set)
			tell_ns(v.s, &v, i);
	for (uint32_t i = JOBS; i-- > 0;)
		if (w->job[i].live)
			tell_job(v.s, &v.job[i]);
	for (uint32_t i = w->n_leases; i-- > 0;) {
		struct my_lease *l = &v.lease[i];

		l->p.group = v.job[l->job].group[l->step];
		sched_lease_add(v.s, l->id, &l->p, l->count, l->granted_ns);
		if (l->stopping)
			sched_lease_stopping(v.s, l->id);
	}
	assert_int_equal(sched_load(v.s, b.b, b.n), 0);
	sched_check(v.s);
	assert_true(sched_digest(v.s) == sched_digest(w->s));
	assert_int_equal(sched_pick(v.s, w->now, &p, &x), sched_pick(w->s, w->now, &q, &y));
	assert_int_equal(x, y);
	assert_int_equal(p.node, q.node);
	assert_int_equal(p.count_max, q.count_max);
}

static void run_seed(uint64_t seed)
{
	static struct world w;

	w = (struct world){.now = 1000 * SECOND, .next_job = 1, .next_lease = 1};
	prng_init(&w.r, seed);
	w.s = fresh(0);
	for (uint32_t i = 0; i < 3; i++)
		w.ns[i].weight = 1;
	for (uint32_t step = 0; step < 250; step++) {
		static void (*const ops[])(struct world *) = {set_node, set_ns, add_job, add_job, change_job,
		        end_lease, end_lease, end_lease, pick_some, pick_some, pick_some};

		w.now += prng_below(&w.r, 3) * prng_below(&w.r, 3 * SECOND);
		if (prng_chance(&w.r, 1, 100))
			w.now += prng_below(&w.r, 3) * 400 * SECOND;
		ops[prng_below(&w.r, ARRAY_LEN(ops))](&w);
		if (step % 10 == 0)
			sched_check(w.s);
		if (step % 50 == 49)
			saved_and_built_again_is_equal(&w);
	}
}

static void random_operations_agree_with_the_naive_model(void **state)
{
	const char *one = getenv("PROP_SEED");

	(void)state;
	if (one != NULL) {
		run_seed(strtoull(one, NULL, 10));
		return;
	}
	for (uint64_t seed = 1; seed <= 300; seed++) {
		print_message("# PROP_SEED=%llu build/test/prop/prop_sched\n", (unsigned long long)seed);
		run_seed(seed);
	}
	print_message("# placed %u, nothing %u, preempted %u, passed %u, starved %u, devices %u, variants "
	              "%u, slices %u\n",
	        (unsigned)seen.placed, (unsigned)seen.nothing, (unsigned)seen.preempted,
	        (unsigned)seen.passed, (unsigned)seen.starved, (unsigned)seen.with_devices,
	        (unsigned)seen.second_variant, (unsigned)seen.slices);
	assert_true(seen.placed > 500 && seen.nothing > 100 && seen.preempted > 20 && seen.passed > 20);
	assert_true(
	        seen.starved > 5 && seen.with_devices > 50 && seen.second_variant > 20 && seen.slices > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(random_operations_agree_with_the_naive_model)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
