/* SPDX-License-Identifier: Apache-2.0 */
/* leases - granting, results, the end; what becomes of an attempt; see state.h. Pure. */
#include <string.h>

#include "base/check.h"
#include "base/prng.h"
#include "core/state.h"
#include "wire/entry.h"

/* ---- delays: tasks that wait for their retry ---- */

uint64_t delay_key(const struct job *j, uint32_t step, uint64_t unit)
{
	return prng_mix(j->id, step, unit);
}

uint32_t delay_find(const struct engine *e, const struct job *j, uint32_t step, uint64_t unit)
{
	uint64_t key = delay_key(j, step, unit);
	uint32_t i = idmap_find(&e->delay_units, key);

	while (i) {
		const struct delay *d = delay_at(e, i);

		if (job_at(e, d->job) == j && d->step == step && d->unit == unit)
			return i;
		i = idmap_next(&e->delay_units, key, i);
	}
	return 0;
}

static uint32_t delay_timer(const struct engine *e, uint32_t i)
{
	return e->limits.jobs_max + e->limits.leases_max + i;
}

void delay_add(struct engine *e, struct job *j, uint32_t step, uint64_t unit, uint64_t due_ns, uint64_t seq)
{
	uint32_t i = pool_take(&e->delays);
	struct delay *d;

	CHECK(i);
	d = delay_at(e, i);
	d->due_ns = due_ns;
	d->seq = seq;
	d->unit = unit;
	d->job = job_index(e, j);
	d->step = step;
	list_append(&e->delays, &j->delays, i, offsetof(struct delay, of_job));
	idmap_add(&e->delay_units, delay_key(j, step, unit), i);
	heap_set(&e->timers, delay_timer(e, i), due_ns, seq << 2 | 2);
}

void delay_drop(struct engine *e, uint32_t i)
{
	struct delay *d;
	struct job *j;

	CHECK(i);
	d = delay_at(e, i);
	j = job_at(e, d->job);
	heap_remove(&e->timers, delay_timer(e, i));
	idmap_remove(&e->delay_units, delay_key(j, d->step, d->unit), i);
	list_remove(&e->delays, &j->delays, i, offsetof(struct delay, of_job));
	pool_give(&e->delays, i);
}

/* ---- attempts ---- */

static bool worth_a_retry(
        const struct engine *e, const struct job *j, const struct step *s, Wire__Outcome o, int32_t code)
{
	const int32_t *codes = (const int32_t *)(void *)(job_bytes(e, j) + j->exits_at) + s->exits;

	if (o == WIRE__OUTCOME__QUEUE_TIMEOUT || o == WIRE__OUTCOME__DISAGREED)
		return false;
	if (s->n_exits == 0)
		return true;
	if (o == WIRE__OUTCOME__SIGNALED)
		code += 128; /* as a shell tells it */
	else if (o != WIRE__OUTCOME__FAILED)
		return false;
	for (uint32_t i = 0; i < s->n_exits; i++)
		if (codes[i] == code)
			return true;
	return false;
}

/* Back-off before retry number `nth` (from 1): doubled each time, capped, spread by jitter from the seed. */
static uint64_t backoff(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t u, unsigned nth)
{
	uint64_t ns = s->backoff_ns, spread, step = (uint64_t)(s - step_at(e, j, 0));
	unsigned __int128 wide;

	for (unsigned i = 1; i < nth && ns <= UINT64_MAX / 2; i++)
		ns *= 2;
	if (s->backoff_max_ns && ns > s->backoff_max_ns)
		ns = s->backoff_max_ns;
	spread = ns / 100 * s->jitter_percent + ns % 100 * s->jitter_percent / 100;
	if (!spread)
		return ns;
	wide = (unsigned __int128)prng_mix(e->seed ^ step, j->id, u * 256 + nth) * spread * 2;
	return add_ns(ns - spread, (uint64_t)(wide >> 64));
}

static void try_again(struct applying *a, struct job *j, struct step *s, uint64_t u, unsigned mark)
{
	uint8_t *extra = unit_extras(a->e, j, s) + u;
	uint64_t ns;

	(*extra)++;
	ns = backoff(a->e, j, s, u, *extra);
	if (ns == 0 || a->e->delays.n == a->e->delays.max) { /* no room to wait in: at once */
		units_move(a, j, s, u, 1, C_LEASED, C_READY, mark);
		return;
	}
	delay_add(a->e, j, (uint32_t)(s - step_at(a->e, j, 0)), u, add_ns(a->now, ns), ++a->e->delay_seq);
	units_move(a, j, s, u, 1, C_LEASED, C_DELAYED, mark);
}

void attempt_over(struct applying *a, struct job *j, struct step *s, uint64_t u, Wire__Outcome o,
        int32_t code, unsigned mark)
{
	bool stopped = step_stopped(j, s), decided = false;
	unsigned tries = unit_extras(a->e, j, s)[u];

	if (s->replicas > 1)
		decided = task_states(a->e, j, s)[u % s->tasks] >> 4 == S_DONE;
	if (o == WIRE__OUTCOME__SUCCEEDED) {
		units_done(a, j, s, u, 1, C_LEASED, o);
	} else if (o == WIRE__OUTCOME__STOPPED || o == WIRE__OUTCOME__LOST) {
		if (stopped)
			units_done(a, j, s, u, 1, C_LEASED, WIRE__OUTCOME__STOPPED);
		else if (decided)
			units_done(a, j, s, u, 1, C_LEASED, WIRE__OUTCOME__SKIPPED);
		else if (o == WIRE__OUTCOME__LOST && s->not_on_node_loss)
			units_done(a, j, s, u, 1, C_LEASED, o);
		else
			units_move(a, j, s, u, 1, C_LEASED, C_READY, mark);
	} else if (!stopped && !decided && tries < s->retry_max && tries < 255 &&
	           worth_a_retry(a->e, j, s, o, code)) {
		try_again(a, j, s, u, mark);
	} else {
		units_done(a, j, s, u, 1, C_LEASED, o);
	}
}

/* ---- leases ---- */

uint64_t lease_deadline(const struct step *s, uint64_t granted_ns, uint64_t count)
{
	uint64_t each = add_ns(s->run_timeout_ns, s->grace_ns);

	if (!s->run_timeout_ns || each > UINT64_MAX / count)
		return 0;
	each = add_ns(add_ns(granted_ns, each * count), LEASE_SLACK_NS);
	return each == UINT64_MAX ? 0 : each;
}

void lease_timer(struct engine *e, struct lease *l)
{
	uint32_t item = e->limits.jobs_max + lease_index(e, l);

	if (l->deadline_ns)
		heap_set(&e->timers, item, l->deadline_ns, l->id << 2 | 1);
	else
		heap_remove(&e->timers, item);
}

void lease_doom(struct engine *e, struct lease *l, Wire__StopReason why)
{
	if (l->is_doomed || (l->stopping && why != WIRE__STOP_REASON__NODE_LOST))
		return;
	l->is_doomed = 1;
	l->doom = (uint8_t)why;
	list_append(&e->leases, &e->doomed, lease_index(e, l), offsetof(struct lease, doomed));
}

void lease_undoom(struct engine *e, struct lease *l)
{
	if (!l->is_doomed)
		return;
	l->is_doomed = 0;
	list_remove(&e->leases, &e->doomed, lease_index(e, l), offsetof(struct lease, doomed));
}

/* Into the lists and maps. */
void lease_link(struct engine *e, struct lease *l)
{
	uint32_t i = lease_index(e, l);

	idmap_add(&e->lease_ids, l->id, i);
	list_append(&e->leases, &e->all_leases, i, offsetof(struct lease, all));
	list_append(&e->leases, &job_at(e, l->job)->leases, i, offsetof(struct lease, of_job));
}

void lease_enter_sched(struct engine *e, const struct lease *l)
{
	const struct job *j = job_at(e, l->job);
	struct sched_placement p = {.group = step_at(e, j, l->step)->group,
	        .node = l->node,
	        .variant = l->variant,
	        .count_max = l->count,
	        .run_ns = l->run_ns,
	        .n_devices = l->n_devices};

	memcpy(p.devices, l->devices, l->n_devices * sizeof(p.devices[0]));
	sched_lease_add(e->sched, l->id, &p, l->count, l->granted_ns);
}

void apply_granted(struct applying *a, const Wire__LeaseGranted *m)
{
	struct engine *e = a->e;
	struct job *j = job_find(e, m->job);
	struct step *s;
	struct lease *l;
	struct bitmap ready;
	uint64_t u;
	uint32_t i;

	CHECK(j && j->in_sched && m->step < j->n_steps && m->lease > e->last_lease);
	s = step_at(e, j, m->step);
	CHECK(m->replica < s->replicas && m->count > 0 && m->first < s->tasks &&
	        m->count <= s->tasks - m->first);
	u = m->replica * s->tasks + m->first;
	ready = step_ready(e, j, s);
	CHECK(bitmap_run(&ready, u, m->count) == m->count);
	CHECK(m->n_devices <= DEVICES_PER_LEASE_MAX && m->variant < s->n_variants);
	i = pool_take(&e->leases);
	CHECK(i);
	l = lease_at(e, i);
	l->id = e->last_lease = m->lease;
	l->job = job_index(e, j);
	l->step = m->step;
	l->node = m->node;
	l->variant = m->variant;
	l->replica = m->replica;
	l->first = l->cursor = m->first;
	l->count = m->count;
	l->granted_ns = a->now;
	l->deadline_ns = m->deadline_ns;
	l->run_ns = m->run_ns / m->count;
	l->n_devices = (uint32_t)m->n_devices;
	if (m->n_devices)
		memcpy(l->devices, m->devices, m->n_devices * sizeof(l->devices[0]));
	lease_link(e, l);
	lease_enter_sched(e, l);
	lease_timer(e, l);
	s->ready_since_ns = a->now;
	units_move(a, j, s, u, m->count, C_READY, C_LEASED, 0);
	j->attempts++;
	if (!j->started_ns)
		j->started_ns = a->now;
	effect(a, &(struct effect){.kind = EFFECT_START,
	                  .job = {j->id},
	                  .lease = {l->id},
	                  .step = l->step,
	                  .task = l->first});
	job_settle(a, j);
}

static uint64_t column_sum(const uint64_t *v, size_t n, uint64_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = add_ns(sum, v[i]);
	return n == 1 && sum <= UINT64_MAX / count ? sum * count : sum;
}

static void learn(struct applying *a, const struct step *s, const struct lease *l, const Wire__Results *m,
        uint64_t i, uint64_t n)
{
	static const uint64_t zero;

	if (m->n_wall_us == 0)
		sched_learn(a->e->sched, s->group, l->variant, &zero, 1, a->now);
	else if (m->n_wall_us == 1)
		sched_learn(a->e->sched, s->group, l->variant, m->wall_us, 1, a->now);
	else
		sched_learn(a->e->sched, s->group, l->variant, m->wall_us + i, n, a->now);
}

/* The votes of all tasks of these results. */
static void record_votes(
        struct applying *a, struct job *j, struct step *s, const struct lease *l, const Wire__Results *m)
{
	uint64_t out_at = 0, sha_at = 0;

	for (uint64_t i = 0; i < m->count; i++) {
		struct vote *v = step_votes(a->e, j, s) + l->replica * s->tasks + m->first + i;

		*v = (struct vote){.lease = l->id, .node = l->node};
		verify_digest(m, i, &out_at, &sha_at, v->digest);
	}
}

void apply_results(struct applying *a, const Wire__Results *m)
{
	struct lease *l = lease_find(a->e, m->lease);
	struct job *j;
	struct step *s;
	uint64_t u, n;

	CHECK(l && m->first == l->cursor && m->count > 0 && m->count <= l->first + l->count - l->cursor);
	j = job_at(a->e, l->job);
	s = step_at(a->e, j, l->step);
	u = l->replica * s->tasks + m->first;
	l->cursor += m->count;
	j->cpu_us = add_ns(j->cpu_us, add_ns(column_sum(m->user_us, m->n_user_us, m->count),
	                                      column_sum(m->system_us, m->n_system_us, m->count)));
	if (s->replicas > 1)
		record_votes(a, j, s, l, m);
	for (uint64_t i = 0; i < m->count; i += n) {
		Wire__Outcome o = RESULT_COLUMN(m, outcome, i);

		n = m->n_outcome <= 1 ? m->count : 1;
		while (i + n < m->count && m->outcome[i + n] == o)
			n++;
		if (o == WIRE__OUTCOME__SUCCEEDED)
			learn(a, s, l, m, i, n);
		if (o == WIRE__OUTCOME__SUCCEEDED && s->replicas == 1)
			units_done(a, j, s, u + i, n, C_LEASED, o);
		else
			for (uint64_t k = i; k < i + n; k++)
				attempt_over(a, j, s, u + k, o, RESULT_COLUMN(m, code, k), 0);
	}
	job_settle(a, j);
}

void apply_stopping(struct applying *a, const Wire__LeaseStopping *m)
{
	struct lease *l = lease_find(a->e, m->lease);
	struct job *j;

	CHECK(l && !l->stopping);
	j = job_at(a->e, l->job);
	lease_undoom(a->e, l);
	l->stopping = 1;
	l->reason = (uint8_t)m->reason;
	sched_lease_stopping(a->e->sched, l->id);
	l->deadline_ns = 0;
	lease_timer(a->e, l);
	effect(a, &(struct effect){.kind = EFFECT_STOP,
	                  .job = {j->id},
	                  .lease = {l->id},
	                  .step = l->step,
	                  .task = l->cursor,
	                  .reason = m->reason});
	job_settle(a, j);
}

/* A worker crashed while it had units [u, u+n): whoever did it is found by leasing less together. */
static void crashed(struct applying *a, struct job *j, struct step *s, uint64_t u, uint64_t n)
{
	unsigned mark = 1;

	if (n == 1) {
		attempt_over(a, j, s, u, WIRE__OUTCOME__CRASHED, 0, 1);
		return;
	}
	while (mark < 15 && (2ull << (mark - 1)) < n)
		mark++; /* 2^(mark-1) is now at least half of n, and less than n */
	if (s->replicas == 1 && !step_stopped(j, s)) {
		units_move(a, j, s, u, n, C_LEASED, C_READY, mark);
		return;
	}
	for (uint64_t i = 0; i < n; i++)
		attempt_over(a, j, s, u + i, WIRE__OUTCOME__STOPPED, 0, mark);
}

static void unfinished(
        struct applying *a, struct job *j, struct step *s, uint64_t u, uint64_t n, Wire__StopReason why)
{
	Wire__Outcome o = WIRE__OUTCOME__STOPPED;

	if (why == WIRE__STOP_REASON__WORKER_CRASHED) {
		crashed(a, j, s, u, n);
		return;
	}
	if (why == WIRE__STOP_REASON__NODE_LOST || why == WIRE__STOP_REASON__KEEPER_LOST ||
	        why == WIRE__STOP_REASON__EXPIRED)
		o = WIRE__OUTCOME__LOST;
	else if (why == WIRE__STOP_REASON__COULD_NOT_START)
		o = WIRE__OUTCOME__CANNOT_START;
	if (s->replicas == 1 && !step_stopped(j, s) &&
	        (o == WIRE__OUTCOME__STOPPED || (o == WIRE__OUTCOME__LOST && !s->not_on_node_loss))) {
		units_move(a, j, s, u, n, C_LEASED, C_READY, 0);
		return;
	}
	for (uint64_t i = 0; i < n; i++)
		attempt_over(a, j, s, u + i, o, 0, 0);
}

void apply_ended(struct applying *a, const Wire__LeaseEnded *m)
{
	struct engine *e = a->e;
	struct lease *l = lease_find(e, m->lease);
	struct job *j;
	struct step *s;
	uint32_t i;
	uint64_t u, n;

	CHECK(l);
	j = job_at(e, l->job);
	s = step_at(e, j, l->step);
	i = lease_index(e, l);
	lease_undoom(e, l);
	heap_remove(&e->timers, e->limits.jobs_max + i);
	sched_lease_remove(e->sched, l->id, a->now);
	u = l->replica * s->tasks + l->cursor;
	n = l->first + l->count - l->cursor;
	if (n)
		unfinished(a, j, s, u, n, m->reason);
	idmap_remove(&e->lease_ids, l->id, i);
	list_remove(&e->leases, &e->all_leases, i, offsetof(struct lease, all));
	list_remove(&e->leases, &j->leases, i, offsetof(struct lease, of_job));
	pool_give(&e->leases, i);
	job_settle(a, j);
}

/* ---- decide ---- */

void decide_results(struct deciding *d, const Wire__Results *r)
{
	const struct lease *l = lease_find(d->e, r->lease);
	unsigned long long lease = r->lease, first = r->first, last = r->first + r->count - 1;
	struct err err;
	Wire__Entry *en;

	if (results_check(r, &err) < 0) {
		refuse(d, "results", "invalid", "", "lease %llu: %s", lease, err.msg);
	} else if (!l) {
		refuse(d, "results", "stale", "", "stale result: lease %llu %s (tasks %llu to %llu)", lease,
		        r->lease <= d->e->last_lease && r->lease ? "has ended" : "was never granted", first,
		        last);
	} else if (r->first != l->cursor) {
		refuse(d, "results", "stale", "", "stale result: lease %llu stands at task %llu, not %llu",
		        lease, (unsigned long long)l->cursor, first);
	} else if (r->count > l->first + l->count - l->cursor) {
		refuse(d, "results", "invalid", "", "lease %llu ends with task %llu, not %llu", lease,
		        (unsigned long long)(l->first + l->count - 1), last);
	} else {
		en = entry_new(d, WIRE__ENTRY__BODY_RESULTS);
		if (en)
			en->results = (Wire__Results *)(uintptr_t)r;
	}
}

void decide_ended(struct deciding *d, const Wire__LeaseEnded *m)
{
	const struct lease *l = lease_find(d->e, m->lease);
	bool lost = m->reason == WIRE__STOP_REASON__KEEPER_LOST || m->reason == WIRE__STOP_REASON__NODE_LOST;
	Wire__LeaseEnded *copy;
	Wire__Entry *en;

	if (!l) {
		refuse(d, "lease_ended", "stale", "", "lease %llu is not live", (unsigned long long)m->lease);
		return;
	}
	en = entry_new(d, WIRE__ENTRY__BODY_LEASE_ENDED);
	copy = entry_alloc(d, sizeof(*copy));
	if (!en || !copy)
		return;
	*copy = *m;
	if (l->stopping && !lost)
		copy->reason = (Wire__StopReason)l->reason; /* it ended because we stopped it */
	en->lease_ended = copy;
}
