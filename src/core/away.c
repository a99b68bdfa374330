/* SPDX-License-Identifier: Apache-2.0 */
/*
 * away - leases on nodes that cannot be reached, by the job's `disconnect`; see state.h. Pure.
 *
 *   live --(its node is away for long enough)--> parked: holds nothing, its tasks wait again, its number is kept
 *   parked --(its node is back)--> live again, with what is left of its tasks; where others have them, one side is stopped
 *                             \-> overtaken: nothing was left; it is told to stop, and its results come too late
 *
 * A replica of a verified task is not kept in mind: another runs in its place, and whoever comes late with an answer may have seen the
 * others'. Nor is an attempt of a task that is not to run again (not_on_node_loss). A task is committed by the first success that arrives. While two live leases have it, one of them is stopping or about to be
 * (engine_check()): two attempts are never both meant to go on. A replacement is cut to the tasks of one parked lease, so that
 * what is stopped for the original's sake runs nothing else.
 */
#include "base/check.h"
#include "core/state.h"

uint64_t lease_park_due(const struct engine *e, const struct lease *l)
{
	const struct job *j = job_at(e, l->job);
	uint64_t since = lease_away_ns(e, l);

	if (!since || l->parked || j->replace == WIRE__DISCONNECT__REPLACE__NEVER)
		return UINT64_MAX;
	/* What is not to run again waits for its node as long as it may, whoever wrote the specification. */
	if (j->replace == WIRE__DISCONNECT__REPLACE__NOW && !step_at(e, j, l->step)->not_on_node_loss)
		return e->children[l->node].by_boot ? add_ns(since, BOOT_NS) : since;
	return add_ns(since, j->lost_after_ns);
}

void lease_share(struct engine *e, struct lease *l, bool shared)
{
	struct job *j = job_at(e, l->job);

	if (l->shared == shared)
		return;
	l->shared = shared;
	j->n_shared += shared ? 1 : UINT32_MAX;
}

static bool same_tasks(const struct lease *a, const struct lease *b)
{
	return a != b && a->step == b->step && a->replica == b->replica && a->cursor < b->first + b->count &&
	       b->cursor < a->first + a->count;
}

uint64_t parked_run(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t u, uint64_t most)
{
	uint64_t task = u % s->tasks, end = task + most;

	for (uint32_t i = j->leases.head; i; i = lease_at(e, i)->of_job.next) {
		const struct lease *l = lease_at(e, i);
		uint64_t to = l->first + l->count;

		if (!l->parked || step_at(e, j, l->step) != s || l->replica != u / s->tasks || to <= task)
			continue;
		to = l->cursor > task ? l->cursor : to;
		end = to < end ? to : end;
	}
	return end - task;
}

/* ---- the link goes, and comes back ---- */

/* Will nobody ask any more what becomes of it? */
static bool is_unwanted(const struct engine *e, const struct lease *l)
{
	const struct job *j = job_at(e, l->job);

	return step_stopped(j, step_at(e, j, l->step)) || j->steps_done == j->n_steps;
}

void away_begin(struct engine *e, uint32_t node)
{
	for (uint32_t i = e->children[node].leases.head; i; i = lease_at(e, i)->of_node.next) {
		struct lease *l = lease_at(e, i);

		CHECK(lease_away_ns(e, l));
		if (l->is_doomed && l->doom == DOOM_BACK)
			lease_undoom(e, l);
		if (!l->parked && is_unwanted(e, l))
			lease_doom(e, l, WIRE__STOP_REASON__CANCELLED);
		lease_timer(e, l);
	}
}

void away_end(struct engine *e, uint32_t node, uint64_t gone_ns, uint64_t now_ns)
{
	for (uint32_t i = e->children[node].leases.head; i; i = lease_at(e, i)->of_node.next) {
		struct lease *l = lease_at(e, i);
		const struct job *j = job_at(e, l->job);

		CHECK(!lease_away_ns(e, l));
		if (j->halt_after_ns && gone_ns >= j->halt_after_ns)
			l->halted = 1;
		if (l->parked)
			lease_doom(e, l, DOOM_BACK);
		reveal_back(l, gone_ns, now_ns);
		lease_timer(e, l);
	}
}

/* ---- decide ---- */

static Wire__LeaseParked *parked(struct deciding *d, const struct lease *l, Wire__LeaseParked__What what)
{
	Wire__Entry *en = entry_new(d, WIRE__ENTRY__BODY_LEASE_PARKED);
	Wire__LeaseParked *m = entry_alloc(d, sizeof(*m));

	if (!en || !m)
		return NULL;
	wire__lease_parked__init(m);
	m->lease = l->id;
	m->what = what;
	en->lease_parked = m;
	return m;
}

void decide_park(struct deciding *d, const struct lease *l)
{
	const struct engine *e = d->e;
	const struct job *j = job_at(e, l->job);

	if (l->cursor == l->first + l->count)
		tick_ended(d, l, WIRE__STOP_REASON__NODE_LOST,
		        "all its results had come when its node was lost");
	else if (step_at(e, j, l->step)->not_on_node_loss || step_at(e, j, l->step)->replicas > 1)
		tick_ended(d, l, WIRE__STOP_REASON__NODE_LOST, "its node could not be reached for too long");
	else if (e->n_parked >= PARKED_MAX(e))
		tick_ended(d, l, WIRE__STOP_REASON__NODE_LOST,
		        "its node cannot be reached, and no more can be kept in mind of such attempts");
	else
		(void)parked(d, l, WIRE__LEASE_PARKED__WHAT__PARKED);
}

/* What is left of a parked lease's tasks. */
struct left {
	bool any;     /* something is not done */
	bool free;    /* of that, something is nobody's */
	bool blocked; /* of that, something is not to run */
};

static struct left left_of(const struct engine *e, const struct lease *l)
{
	const struct job *j = job_at(e, l->job);
	const struct step *s = step_at(e, j, l->step);
	struct left x = {0};

	for (uint64_t t = l->cursor, n; t < l->first + l->count; t += n) {
		uint64_t u = l->replica * s->tasks + t;
		unsigned p = unit_place(e, j, s, u);

		n = unit_run(e, j, s, u, l->first + l->count - t);
		x.any |= p != C_N;
		x.blocked |= p == C_BLOCKED;
		x.free |= p == C_READY || p == C_DELAYED;
	}
	return x;
}

/* Another lease that is to go on with something of what is left of this one's tasks? */
static bool is_rival(const struct engine *e, const struct lease *l, const struct lease *o)
{
	const struct job *j = job_at(e, l->job);
	const struct step *s = step_at(e, j, l->step);
	uint64_t t = l->cursor > o->cursor ? l->cursor : o->cursor, end = l->first + l->count, n;

	if (!same_tasks(l, o) || o->parked || o->stopping || o->is_doomed || o->halted)
		return false;
	end = o->first + o->count < end ? o->first + o->count : end;
	for (; t < end; t += n) {
		uint64_t u = l->replica * s->tasks + t;

		if (unit_place(e, j, s, u) == C_LEASED)
			return true;
		n = unit_run(e, j, s, u, end - t);
	}
	return false;
}

/* When it is expected to have done all its tasks; UINT64_MAX: nobody knows. */
static uint64_t expected_end(const struct engine *e, const struct lease *l, uint64_t now)
{
	const struct step *s = step_at(e, job_at(e, l->job), l->step);
	uint64_t each = sched_group_run_ns(e->sched, s->group, l->variant), end;

	each = each ? each : l->run_ns;
	if (!each || each > UINT64_MAX / l->count)
		return UINT64_MAX;
	end = add_ns(l->granted_ns, each * l->count);
	return end > now ? end : now;
}

/* Does the original, which is back, go on instead of its rivals? There is at least one. */
static bool original_goes_on(const struct deciding *d, const struct lease *l, bool some_free)
{
	const struct engine *e = d->e;
	const struct job *j = job_at(e, l->job);
	uint64_t others = 0, end;
	bool first = true;

	if (l->stopping || l->halted)
		return false;
	for (uint32_t i = j->leases.head; i; i = lease_at(e, i)->of_job.next) {
		const struct lease *o = lease_at(e, i);

		if (!is_rival(e, l, o))
			continue;
		first = first && l->id < o->id;
		end = expected_end(e, o, d->now);
		others = end > others ? end : others;
	}
	switch ((Wire__Disconnect__Reconcile)j->reconcile) {
	case WIRE__DISCONNECT__RECONCILE__KEEP_ORIGINAL:
		return first;
	case WIRE__DISCONNECT__RECONCILE__KEEP_REPLACEMENT:
		return false;
	case WIRE__DISCONNECT__RECONCILE__BEST_SCORE:
		end = expected_end(e, l, d->now);
		return some_free || end < others || (end == others && first);
	case _WIRE__DISCONNECT__RECONCILE_IS_INT_SIZE:
		break;
	}
	BUG("a way to reconcile that is none");
}

/* It has tasks again that are others', too: who is to stop. */
static void decide_rivals(struct deciding *d, const struct lease *l, bool some_free)
{
	const struct engine *e = d->e;
	const struct job *j = job_at(e, l->job);
	Wire__LeaseParked *m = parked(d, l, WIRE__LEASE_PARKED__WHAT__BACK);
	size_t n = 0;
	bool goes_on;

	for (uint32_t i = j->leases.head; i; i = lease_at(e, i)->of_job.next)
		n += is_rival(e, l, lease_at(e, i));
	if (!m || n == 0)
		return;
	goes_on = original_goes_on(d, l, some_free);
	if (!goes_on && l->stopping)
		return;
	m->stop = entry_alloc(d, (goes_on ? n : 1) * sizeof(*m->stop));
	if (!m->stop)
		return;
	if (!goes_on)
		m->stop[m->n_stop++] = l->id;
	for (uint32_t i = j->leases.head; goes_on && i; i = lease_at(e, i)->of_job.next)
		if (is_rival(e, l, lease_at(e, i)))
			m->stop[m->n_stop++] = lease_at(e, i)->id;
}

void decide_back(struct deciding *d, const struct lease *l)
{
	const struct job *j = job_at(d->e, l->job);
	struct left x = left_of(d->e, l);

	CHECK(l->parked && !lease_away_ns(d->e, l));
	if (!j->finished_ns && step_stopped(j, step_at(d->e, j, l->step)))
		tick_ended(d, l, WIRE__STOP_REASON__CANCELLED, "its job was stopped while its node was away");
	else if (x.any && (x.blocked || !j->in_sched))
		tick_ended(d, l, WIRE__STOP_REASON__NODE_LOST, "its tasks are not to run now");
	else if (!x.any)
		(void)parked(d, l, WIRE__LEASE_PARKED__WHAT__OVERTAKEN);
	else
		decide_rivals(d, l, x.free);
}

/* ---- apply ---- */

static void park(struct applying *a, struct job *j, struct step *s, struct lease *l)
{
	CHECK(!l->parked && lease_away_ns(a->e, l) && j->in_sched);
	lease_undoom(a->e, l);
	sched_lease_remove(a->e->sched, l->id, a->now);
	lease_give_up(a, j, s, l, WIRE__STOP_REASON__SUPERSEDED);
	lease_share(a->e, l, false);
	l->parked = 1;
	j->n_parked++;
	a->e->n_parked++;
	lease_timer(a->e, l);
}

/* It takes what is nobody's of its tasks. */
static void take_back(struct applying *a, struct job *j, struct step *s, const struct lease *l)
{
	for (uint64_t t = l->cursor, n; t < l->first + l->count; t += n) {
		uint64_t u = l->replica * s->tasks + t;
		unsigned p = unit_place(a->e, j, s, u);

		n = unit_run(a->e, j, s, u, l->first + l->count - t);
		CHECK(p != C_BLOCKED);
		for (uint64_t k = 0; p == C_DELAYED && k < n; k++)
			delay_drop(a->e, delay_find(a->e, j, l->step, u + k));
		if (p == C_READY || p == C_DELAYED)
			units_move(a, j, s, u, n, p, C_LEASED, 0);
	}
}

static void back(
        struct applying *a, struct job *j, struct step *s, struct lease *l, const Wire__LeaseParked *m)
{
	struct engine *e = a->e;

	CHECK(l->parked && !lease_away_ns(e, l) && j->in_sched);
	lease_undoom(e, l);
	l->parked = 0;
	j->n_parked--;
	e->n_parked--;
	l->held_ns = a->now;
	lease_enter_sched(e, l);
	if (l->stopping)
		sched_lease_stopping(e->sched, l->id);
	lease_share(e, l, true);
	for (uint32_t i = j->leases.head; i; i = lease_at(e, i)->of_job.next)
		if (!lease_at(e, i)->parked && same_tasks(l, lease_at(e, i)))
			lease_share(e, lease_at(e, i), true);
	take_back(a, j, s, l);
	for (size_t i = 0; i < m->n_stop; i++) {
		struct lease *o = lease_find(e, m->stop[i]);

		CHECK(o && !o->parked && !o->stopping);
		lease_doom(e, o, WIRE__STOP_REASON__SUPERSEDED);
	}
	lease_timer(e, l);
}

static void overtaken(struct applying *a, const struct job *j, struct lease *l)
{
	CHECK(l->parked);
	lease_undoom(a->e, l);
	if (!l->stopping)
		l->reason = WIRE__STOP_REASON__SUPERSEDED;
	l->stopping = 1;
	effect(a, &(struct effect){.kind = EFFECT_STOP,
	                  .job = {j->id},
	                  .lease = {l->id},
	                  .step = l->step,
	                  .task = l->cursor,
	                  .reason = (Wire__StopReason)l->reason});
}

void apply_parked(struct applying *a, const Wire__LeaseParked *m)
{
	struct lease *l = lease_find(a->e, m->lease);
	struct job *j;
	struct step *s;

	CHECK(l);
	j = job_at(a->e, l->job);
	s = step_at(a->e, j, l->step);
	switch (m->what) {
	case WIRE__LEASE_PARKED__WHAT__PARKED:
		park(a, j, s, l);
		break;
	case WIRE__LEASE_PARKED__WHAT__BACK:
		back(a, j, s, l, m);
		break;
	case WIRE__LEASE_PARKED__WHAT__OVERTAKEN:
		overtaken(a, j, l);
		break;
	case _WIRE__LEASE_PARKED__WHAT_IS_INT_SIZE:
		BUG("a lease is parked in an unknown way");
	}
	job_settle(a, j);
}

/* ---- looking ---- */

bool engine_parked_next(const struct engine *e, job_id job, uint32_t step, uint64_t task, lease_id after,
        struct lease_view *out)
{
	const struct job *j = job_find(e, job.v);

	for (uint32_t i = j ? j->leases.head : 0; i; i = lease_at(e, i)->of_job.next) {
		const struct lease *l = lease_at(e, i);

		if (l->parked && l->id > after.v && l->step == step && task >= l->cursor &&
		        task < l->first + l->count)
			return engine_lease(e, (lease_id){l->id}, out);
	}
	return false;
}
