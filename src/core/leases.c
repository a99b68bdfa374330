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
uint64_t attempt_backoff(
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
	ns = attempt_backoff(a->e, j, s, u, *extra);
	if (ns == 0 || a->e->delays.n == a->e->delays.max) { /* no room to wait in: at once */
		units_move(a, j, s, u, 1, C_LEASED, C_READY, mark);
		return;
	}
	delay_add(a->e, j, (uint32_t)(s - step_at(a->e, j, 0)), u, add_ns(a->now, ns), ++a->e->delay_seq);
	units_move(a, j, s, u, 1, C_LEASED, C_DELAYED, mark);
}

enum next { NEXT_DONE, NEXT_AT_ONCE, NEXT_RETRY };

/* What comes after an attempt at a leased unit; *o: how the unit ends. */
static enum next attempt_next(const struct engine *e, const struct job *j, const struct step *s, uint64_t u,
        Wire__Outcome *o, int32_t code)
{
	bool stopped = step_stopped(j, s), decided = false;
	unsigned tries = unit_extras(e, j, s)[u];

	if (s->replicas > 1)
		decided = task_states(e, j, s)[u % s->tasks] >> 4 == S_DONE;
	if (*o == WIRE__OUTCOME__SUCCEEDED)
		return NEXT_DONE;
	if (*o == WIRE__OUTCOME__STOPPED || *o == WIRE__OUTCOME__LOST) {
		if (s->member && !stopped) {
			*o = WIRE__OUTCOME__LOST; /* all its gang begins anew, or none */
			return NEXT_DONE;
		}
		if (!stopped && !decided && (*o != WIRE__OUTCOME__LOST || !s->not_on_node_loss))
			return NEXT_AT_ONCE;
		if (stopped)
			*o = WIRE__OUTCOME__STOPPED;
		else if (decided)
			*o = WIRE__OUTCOME__SKIPPED;
		return NEXT_DONE;
	}
	return !stopped && !decided && tries < s->retry_max && tries < 255 && worth_a_retry(e, j, s, *o, code)
	               ? NEXT_RETRY
	               : NEXT_DONE;
}

void attempt_over(struct applying *a, struct job *j, struct step *s, uint64_t u, Wire__Outcome o,
        int32_t code, unsigned mark)
{
	if (s->gang) {
		gang_over(a, j, s, u, o, worth_a_retry(a->e, j, s, o, code));
		return;
	}
	switch (attempt_next(a->e, j, s, u, &o, code)) {
	case NEXT_DONE:
		units_done(a, j, s, u, 1, C_LEASED, o);
		break;
	case NEXT_AT_ONCE:
		units_move(a, j, s, u, 1, C_LEASED, C_READY, mark);
		break;
	case NEXT_RETRY:
		try_again(a, j, s, u, mark);
		break;
	}
}

/* The same while another lease has the unit, too. Of two attempts one is to stop: its failures say nothing. After the other's the
 * unit stays where it is, and waits again only when nothing runs it any more. */
static void attempt_shared(struct applying *a, struct job *j, struct step *s, uint64_t u,
        const struct lease *l, Wire__Outcome o, int32_t code)
{
	enum next next = attempt_next(a->e, j, s, u, &o, code);

	if (o != WIRE__OUTCOME__SUCCEEDED && (l->stopping || l->is_doomed || l->halted))
		return;
	if (next == NEXT_DONE)
		units_done(a, j, s, u, 1, C_LEASED, o);
	else if (next == NEXT_RETRY)
		unit_extras(a->e, j, s)[u]++;
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

uint64_t lease_due(const struct engine *e, const struct lease *l)
{
	uint64_t due = l->deadline_ns ? l->deadline_ns : UINT64_MAX, park;

	if (!lease_away_ns(e, l))
		return due;
	park = lease_park_due(e, l);
	/* How long it waits for others to commit is counted while it is away, too: else it would hold them up. */
	return l->waits && !l->revealing && due < park ? due : park;
}

void lease_timer(struct engine *e, struct lease *l)
{
	uint32_t item = e->limits.jobs_max + lease_index(e, l);
	uint64_t due = lease_due(e, l);

	if (due != UINT64_MAX && !l->parked)
		heap_set(&e->timers, item, due, l->id << 2 | 1);
	else
		heap_remove(&e->timers, item);
}

void lease_doom(struct engine *e, struct lease *l, Wire__StopReason why)
{
	/* One that is being stopped will end, unless nobody can tell us. */
	if (l->is_doomed || (l->stopping && why != WIRE__STOP_REASON__NODE_LOST && why != DOOM_BACK &&
	                            !lease_away_ns(e, l)))
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

void leases_lost(struct engine *e, uint32_t node)
{
	for (uint32_t i = e->children[node].leases.head; i; i = lease_at(e, i)->of_node.next) {
		lease_undoom(e, lease_at(e, i));
		lease_doom(e, lease_at(e, i), WIRE__STOP_REASON__NODE_LOST);
	}
}

/* Into the lists and maps. */
void lease_link(struct engine *e, struct lease *l)
{
	uint32_t i = lease_index(e, l);

	idmap_add(&e->lease_ids, l->id, i);
	list_append(&e->leases, &e->all_leases, i, offsetof(struct lease, all));
	list_append(&e->leases, &job_at(e, l->job)->leases, i, offsetof(struct lease, of_job));
	list_append(&e->leases, &e->children[l->node].leases, i, offsetof(struct lease, of_node));
}

void lease_enter_sched(struct engine *e, const struct lease *l)
{
	const struct job *j = job_at(e, l->job);
	struct sched_placement p = {.group = step_at(e, j, l->step)->group,
	        .node = l->node,
	        .class_ = l->class_,
	        .variant = l->variant,
	        .count_max = l->count,
	        .run_ns = l->run_ns,
	        .n_devices = l->n_devices};

	memcpy(p.devices, l->devices, l->n_devices * sizeof(p.devices[0]));
	sched_lease_add(e->sched, l->id, &p, l->count, l->held_ns);
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
	for (uint64_t t = 0; s->replicas > 1 && t < m->count; t++) {
		step_votes(e, j, s)[u + t].node = m->node;
		if (s->gang)
			step_votes(e, j, s)[u + t].lease = m->lease;
	}
	ready = step_ready(e, j, s);
	if (s->gang && m->replica > 0)
		CHECK(m->count == 1 && unit_place(e, j, s, u) == C_BLOCKED &&
		        unit_place(e, j, s, m->first) == C_LEASED);
	else
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
	l->class_ = m->class_;
	l->replica = m->replica;
	l->gang = m->gang;
	l->port = m->port;
	l->first = l->cursor = m->first;
	l->count = m->count;
	l->granted_ns = l->held_ns = a->now;
	l->deadline_ns = m->deadline_ns;
	if (child_joined_is(e, m->node))
		l->tag = (uint32_t)prng_mix(e->seed, m->lease, a->now);
	l->run_ns = m->run_ns / m->count;
	l->n_devices = (uint32_t)m->n_devices;
	if (m->n_devices)
		memcpy(l->devices, m->devices, m->n_devices * sizeof(l->devices[0]));
	lease_link(e, l);
	lease_enter_sched(e, l);
	lease_timer(e, l);
	s->ready_since_ns = a->now;
	units_move(a, j, s, u, m->count, s->gang && m->replica > 0 ? C_BLOCKED : C_READY, C_LEASED, 0);
	j->attempts += m->replica == 0 || !s->gang;
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

/* Bytes of all outputs. */
static uint64_t outputs_sum(const Wire__Results *m)
{
	uint64_t n = m->n_outputs == 1 ? m->count * m->outputs[0] : 0;

	for (size_t i = 0; m->n_outputs > 1 && i < m->n_outputs; i++)
		n += m->outputs[i];
	return n == 0 ? 0 : column_sum(m->output_bytes, m->n_output_bytes, n);
}

void results_learn(struct applying *a, const struct step *s, const struct lease *l, const Wire__Results *m,
        uint64_t i, uint64_t n)
{
	static const uint64_t zero;

	sched_worked(a->e->sched, l->node);
	if (m->n_wall_us == 0)
		sched_learn(a->e->sched, s->group, l->variant, l->node, &zero, 1, a->now);
	else if (m->n_wall_us == 1)
		sched_learn(a->e->sched, s->group, l->variant, l->node, m->wall_us, 1, a->now);
	else
		sched_learn(a->e->sched, s->group, l->variant, l->node, m->wall_us + i, n, a->now);
}

/* Unit u failed on the node, or was lost there. */
static void note_failure(struct applying *a, const struct step *s, uint64_t u, uint32_t node, Wire__Outcome o)
{
	if (s->gang && gang_broken(a->e, job_at(a->e, a->e->groups[s->group].job), s, u % s->tasks))
		return; /* another one did it */
	if (o != WIRE__OUTCOME__STOPPED && s->group != 0)
		sched_failed(a->e->sched, s->group, u, node, o == WIRE__OUTCOME__LOST);
}

void record_votes(
        struct applying *a, struct job *j, struct step *s, const struct lease *l, const Wire__Results *m)
{
	uint64_t out_at = 0, sha_at = 0;

	for (uint64_t i = 0; i < m->count; i++) {
		struct vote *v = step_votes(a->e, j, s) + l->replica * s->tasks + m->first + i;

		*v = (struct vote){.lease = l->id, .node = l->node};
		verify_digest(m, i, &out_at, &sha_at, v->digest);
	}
}

/* The n attempts from the i-th of these results on; the lease stands behind them. */
static void attempts_over(struct applying *a, struct job *j, struct step *s, const struct lease *l,
        const Wire__Results *m, uint64_t i, uint64_t n)
{
	uint64_t u = l->replica * s->tasks + m->first;

	for (uint64_t k = i; k < i + n; k++) {
		Wire__Outcome o = RESULT_COLUMN(m, outcome, k);
		int32_t code = RESULT_COLUMN(m, code, k);

		if (o != WIRE__OUTCOME__SUCCEEDED)
			note_failure(a, s, u + k, l->node, o);
		if (lease_others_have(a->e, j, l, m->first + k))
			attempt_shared(a, j, s, u + k, l, o, code);
		else
			attempt_over(a, j, s, u + k, o, code, 0);
	}
}

void apply_results(struct applying *a, const Wire__Results *m)
{
	struct lease *l = lease_find(a->e, m->lease);
	struct job *j;
	struct step *s;
	uint64_t u, n;

	CHECK(l && !l->parked && m->count > 0);
	j = job_at(a->e, l->job);
	s = step_at(a->e, j, l->step);
	u = l->replica * s->tasks + m->first;
	child_heard(a->e, l->node, m->from_size);
	sched_sent(a->e->sched, l->node, outputs_sum(m), a->now);
	j->cpu_us = add_ns(j->cpu_us, add_ns(column_sum(m->user_us, m->n_user_us, m->count),
	                                      column_sum(m->system_us, m->n_system_us, m->count)));
	if (m->nonces.len) {
		apply_revealed(a, l, m);
		job_settle(a, j);
		return;
	}
	CHECK(m->first == l->cursor && m->count <= l->first + l->count - l->cursor);
	l->cursor += m->count;
	if (m->commitments.len)
		apply_committed(a, l, m);
	else if (s->replicas > 1 && !s->gang)
		record_votes(a, j, s, l, m);
	for (uint64_t i = 0; !m->commitments.len && i < m->count; i += n) {
		Wire__Outcome o = RESULT_COLUMN(m, outcome, i);

		n = m->n_outcome <= 1 ? m->count : 1;
		while (i + n < m->count && m->outcome[i + n] == o)
			n++;
		if (o == WIRE__OUTCOME__SUCCEEDED)
			results_learn(a, s, l, m, i, n);
		if (o == WIRE__OUTCOME__SUCCEEDED && s->replicas == 1)
			units_done(a, j, s, u + i, n, C_LEASED, o);
		else
			attempts_over(a, j, s, l, m, i, n);
	}
	lease_wait(a, j, l);
	job_settle(a, j);
}

void apply_stopping(struct applying *a, const Wire__LeaseStopping *m)
{
	struct lease *l = lease_find(a->e, m->lease);
	struct job *j;

	CHECK(l && !l->stopping && !l->parked);
	j = job_at(a->e, l->job);
	lease_undoom(a->e, l);
	l->stopping = 1;
	l->reason = (uint8_t)m->reason;
	if (!l->waits)
		sched_lease_stopping(a->e->sched, l->id);
	l->deadline_ns = reveal_stop_ns(a, l);
	lease_timer(a->e, l);
	if (l->gang &&
	        l->cursor == l->first) /* it does not come to an end: nor shall the others wait for it */
		gang_stop(a, j, step_at(a->e, j, l->step), l->first,
		        m->reason == WIRE__STOP_REASON__PREEMPTED ? m->reason : WIRE__STOP_REASON__GANG);
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

static void unfinished(struct applying *a, struct job *j, struct step *s, uint64_t u, uint64_t n,
        uint32_t node, Wire__StopReason why)
{
	Wire__Outcome o = WIRE__OUTCOME__STOPPED;

	if (why == WIRE__STOP_REASON__WORKER_CRASHED) {
		if (n == 1)
			note_failure(a, s, u, node, WIRE__OUTCOME__CRASHED);
		crashed(a, j, s, u, n);
		return;
	}
	if (why == WIRE__STOP_REASON__NODE_LOST || why == WIRE__STOP_REASON__KEEPER_LOST ||
	        why == WIRE__STOP_REASON__EXPIRED)
		o = WIRE__OUTCOME__LOST;
	else if (why == WIRE__STOP_REASON__COULD_NOT_START)
		o = WIRE__OUTCOME__CANNOT_START;
	/* Of those that were lost, one ran. */
	for (uint64_t i = 0; i < (o == WIRE__OUTCOME__CANNOT_START && n < 64 ? n : 1); i++)
		note_failure(a, s, u + i, node, o);
	if (s->replicas == 1 && !s->member && !step_stopped(j, s) &&
	        (o == WIRE__OUTCOME__STOPPED || (o == WIRE__OUTCOME__LOST && !s->not_on_node_loss))) {
		units_move(a, j, s, u, n, C_LEASED, C_READY, 0);
		return;
	}
	for (uint64_t i = 0; i < n; i++)
		attempt_over(a, j, s, u + i, o, 0, 0);
}

/* Other leases of the job that are not parked and have a task of this one's: the tasks [task, *end) are alike in that. */
static bool others_have(
        const struct engine *e, const struct job *j, const struct lease *l, uint64_t task, uint64_t *end)
{
	bool here = false;

	for (uint32_t i = j->leases.head; i; i = lease_at(e, i)->of_job.next) {
		const struct lease *o = lease_at(e, i);
		uint64_t to = o->first + o->count;

		if (o == l || o->parked || o->step != l->step || o->replica != l->replica || to <= task)
			continue;
		if (o->cursor <= task)
			here = true;
		else
			to = o->cursor;
		*end = to < *end ? to : *end;
	}
	return here;
}

bool lease_others_have(const struct engine *e, const struct job *j, const struct lease *l, uint64_t task)
{
	uint64_t end = task + 1;

	return l->shared && others_have(e, j, l, task, &end);
}

uint64_t lease_own_run(const struct engine *e, const struct job *j, const struct step *s,
        const struct lease *l, uint64_t task, bool *own)
{
	uint64_t end = l->first + l->count, u = l->replica * s->tasks + task;

	*own = true;
	if (!l->shared)
		return end - task;
	*own = !others_have(e, j, l, task, &end) && unit_place(e, j, s, u) == C_LEASED;
	return unit_run(e, j, s, u, end - task);
}

void lease_give_up(struct applying *a, struct job *j, struct step *s, struct lease *l, Wire__StopReason why)
{
	/* Who crashed it is looked for only where nothing else has a part in it. */
	if (l->shared && why == WIRE__STOP_REASON__WORKER_CRASHED)
		why = WIRE__STOP_REASON__SUPERSEDED;
	for (uint64_t t = l->cursor, n; t < l->first + l->count; t += n) {
		bool own;

		n = lease_own_run(a->e, j, s, l, t, &own);
		if (own)
			unfinished(a, j, s, l->replica * s->tasks + t, n, l->node, why);
	}
}

void lease_drop(struct engine *e, struct lease *l)
{
	struct job *j = job_at(e, l->job);
	uint32_t i = lease_index(e, l);

	lease_undoom(e, l);
	lease_share(e, l, false);
	j->n_parked -= l->parked;
	e->n_parked -= l->parked;
	heap_remove(&e->timers, e->limits.jobs_max + i);
	idmap_remove(&e->lease_ids, l->id, i);
	list_remove(&e->leases, &e->all_leases, i, offsetof(struct lease, all));
	list_remove(&e->leases, &j->leases, i, offsetof(struct lease, of_job));
	list_remove(&e->leases, &e->children[l->node].leases, i, offsetof(struct lease, of_node));
	pool_give(&e->leases, i);
}

void apply_ended(struct applying *a, const Wire__LeaseEnded *m)
{
	struct lease *l = lease_find(a->e, m->lease);
	struct job *j;

	CHECK(l);
	j = job_at(a->e, l->job);
	lease_undoom(a->e, l);
	if (!l->parked) {
		if (!l->waits)
			sched_lease_remove(a->e->sched, l->id, a->now);
		held_end(a, l, m->reason);
		lease_give_up(a, j, step_at(a->e, j, l->step), l, m->reason);
	}
	child_heard(a->e, l->node, m->from_size);
	lease_drop(a->e, l);
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
	} else if (!committed_ok(d, l, r)) {
		return;
	} else if (!r->nonces.len && r->first != l->cursor) {
		refuse(d, "results", "stale", "", "stale result: lease %llu stands at task %llu, not %llu",
		        lease, (unsigned long long)l->cursor, first);
	} else if (!r->nonces.len && r->count > l->first + l->count - l->cursor) {
		refuse(d, "results", "invalid", "", "lease %llu ends with task %llu, not %llu", lease,
		        (unsigned long long)(l->first + l->count - 1), last);
	} else if (l->parked || l->shared) {
		decide_shared(d, l, r);
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
