/* SPDX-License-Identifier: Apache-2.0 */
/* tick - what time brings: leases to stop, timers, and the next placement; see engine.h. Pure. */
#include <string.h>

#include "base/check.h"
#include "core/state.h"

#define QUEUE_TIMER_GRAIN 64u /* a step looks for tasks that waited too long at most this often per timeout */

/* ---- decide ---- */

void tick_stopping(struct deciding *d, const struct lease *l, Wire__StopReason why)
{
	Wire__Entry *en = entry_new(d, WIRE__ENTRY__BODY_LEASE_STOPPING);
	Wire__LeaseStopping *m = entry_alloc(d, sizeof(*m));

	if (!en || !m)
		return;
	wire__lease_stopping__init(m);
	m->lease = l->id;
	m->reason = why;
	en->lease_stopping = m;
}

void tick_ended(struct deciding *d, const struct lease *l, Wire__StopReason why, const char *note)
{
	Wire__Entry *en = entry_new(d, WIRE__ENTRY__BODY_LEASE_ENDED);
	Wire__LeaseEnded *m = entry_alloc(d, sizeof(*m));

	if (!en || !m)
		return;
	wire__lease_ended__init(m);
	m->lease = l->id;
	m->reason = why;
	m->note = (char *)(uintptr_t)note;
	en->lease_ended = m;
}

static void expired(struct deciding *d, const struct job *j, Wire__Expired__What what, uint32_t step,
        uint64_t first, uint64_t n)
{
	Wire__Entry *en = entry_new(d, WIRE__ENTRY__BODY_EXPIRED);
	Wire__Expired *m = entry_alloc(d, sizeof(*m));

	if (!en || !m)
		return;
	wire__expired__init(m);
	m->job = j->id;
	m->what = what;
	m->step = step;
	m->first = first;
	m->count = n;
	en->expired = m;
}

static void job_due(struct deciding *d, const struct job *j)
{
	if (j->timeout_ns && !j->timed_out && !j->cancelled &&
	        add_ns(j->timeout_from_ns, j->timeout_ns) <= d->now) {
		expired(d, j, WIRE__EXPIRED__WHAT__JOB_TIMEOUT, 0, 0, 0);
		return;
	}
	if (delegated_alone_due(d->e, j) <= d->now) {
		expired(d, j, WIRE__EXPIRED__WHAT__ALONE, 0, 0, 0);
		return;
	}
	if (j->early && j->not_before_ns <= d->now) {
		expired(d, j, WIRE__EXPIRED__WHAT__NOT_BEFORE, 0, 0, 0);
		return;
	}
	for (uint32_t k = 0; k < j->n_steps; k++) {
		const struct step *s = step_at(d->e, j, k);
		uint64_t first, n;

		if (s->queue_due_ns > d->now)
			continue;
		n = step_queue_expired(d->e, j, s, d->now, &first);
		expired(d, j, WIRE__EXPIRED__WHAT__QUEUE_TIMEOUT, k, first, n);
		return;
	}
	BUG("a job's timer was due for nothing");
}

static void timer_due(struct deciding *d, uint32_t item)
{
	const struct engine *e = d->e;
	const struct lease *l;

	if (item <= e->limits.jobs_max) {
		job_due(d, job_at(e, item));
		return;
	}
	item -= e->limits.jobs_max;
	if (item > e->limits.leases_max + e->limits.delayed_max) {
		decide_quota_over(d, item - e->limits.leases_max - e->limits.delayed_max - 1);
		return;
	}
	if (item > e->limits.leases_max) {
		const struct delay *y = delay_at(e, item - e->limits.leases_max);

		expired(d, job_at(e, y->job), WIRE__EXPIRED__WHAT__RETRY_DUE, y->step, y->unit, 1);
		return;
	}
	/* Only who runs it can say that it has ended: until then its tasks may still run, and must not run elsewhere. */
	l = lease_at(e, item);
	if (lease_away_ns(e, l) && lease_park_due(e, l) <= d->now) {
		decide_park(d, l);
		return;
	}
	if (l->stopping) {
		CHECK(l->revealing);
		tick_ended(d, l, WIRE__STOP_REASON__EXPIRED, "its node does not answer");
		return;
	}
	if (l->waits && !l->revealing) {
		expired(d, job_at(e, l->job), WIRE__EXPIRED__WHAT__COMMIT_DUE, l->step, l->id, 1);
		return;
	}
	tick_stopping(d, l, WIRE__STOP_REASON__EXPIRED);
}

/* How many tasks from unit u on one lease may take. */
static uint64_t slice(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t u, uint64_t most)
{
	struct bitmap ready = step_ready(e, j, s);
	const uint8_t *st = unit_states(e, j, s);
	uint64_t to_row_end = s->tasks - u % s->tasks, n = 1;
	unsigned mark = st[u] & 15;

	if (mark && most > 1ull << (mark - 1))
		most = 1ull << (mark - 1);
	most = bitmap_run(&ready, u, most < to_row_end ? most : to_row_end);
	if (j->n_parked)
		most = parked_run(e, j, s, u, most);
	if (!s->marked)
		return most;
	while (n < most && (st[u + n] & 15) == mark)
		n++;
	return n;
}

/* Where some may not go everywhere, those of them that may go to this node. */
static uint64_t allowed(const struct engine *e, const struct job *j, const struct step *s, uint64_t u,
        uint64_t most, uint32_t node)
{
	uint64_t n = 1;

	if (!s->adaptive && !s->same && !sched_avoiding(e->sched, s->group))
		return most;
	while (n < most && unit_may(e, j, s, u + n, node))
		n++;
	return n;
}

static void place(struct deciding *d, const struct sched_placement *p)
{
	const struct engine *e = d->e;
	const struct job *j = job_at(e, e->groups[p->group].job);
	const struct step *s = step_at(e, j, e->groups[p->group].step);
	uint64_t u = unit_for(e, j, s, p->node);
	Wire__Entry *en = entry_new(d, WIRE__ENTRY__BODY_LEASE_GRANTED);
	Wire__LeaseGranted *m = entry_alloc(d, sizeof(*m));

	CHECK(u != UINT64_MAX && p->count_max > 0 && !job_gated(j));
	if (!en || !m)
		return;
	wire__lease_granted__init(m);
	m->lease = e->last_lease + 1;
	m->job = j->id;
	m->step = e->groups[p->group].step;
	m->replica = (uint32_t)(u / s->tasks);
	m->first = u % s->tasks;
	m->count = allowed(e, j, s, u, slice(e, j, s, u, p->count_max), p->node);
	m->node = p->node;
	m->class_ = p->class_;
	m->variant = p->variant;
	m->n_devices = p->n_devices;
	if (p->n_devices) {
		m->devices = entry_alloc(d, p->n_devices * sizeof(m->devices[0]));
		if (!m->devices)
			return;
		memcpy(m->devices, p->devices, p->n_devices * sizeof(m->devices[0]));
	}
	m->run_ns = p->run_ns <= UINT64_MAX / m->count ? p->run_ns * m->count : UINT64_MAX;
	/* A child keeps the time of what it runs; what becomes of it without a link is the job's policy. */
	m->deadline_ns = child_joined_is(e, p->node) ? 0 : lease_deadline(s, d->now, m->count);
	en->lease_granted = m;
}

/* A node on which task after task fails pauses, or has done so for long enough. */
static bool pause_due(struct deciding *d)
{
	Wire__NodeFacts f, *copy;
	Wire__Entry *en;

	if (!sched_pause(d->e->sched, d->now, &f))
		return false;
	en = entry_new(d, WIRE__ENTRY__BODY_NODE_FACTS);
	copy = entry_alloc(d, sizeof(*copy));
	if (en && copy) {
		*copy = f;
		en->node_facts = copy;
	}
	return true;
}

static void doomed(struct deciding *d, const struct lease *l)
{
	if (l->doom == WIRE__STOP_REASON__NODE_LOST)
		tick_ended(d, l, WIRE__STOP_REASON__NODE_LOST, "its node is lost");
	else if (l->doom == DOOM_BACK)
		decide_back(d, l);
	else if (l->parked || lease_away_ns(d->e, l)) /* nobody could tell us that it has stopped */
		tick_ended(d, l, (Wire__StopReason)l->doom, "its node cannot be reached");
	else
		tick_stopping(d, l, (Wire__StopReason)l->doom);
}

void decide_tick(struct deciding *d)
{
	const struct engine *e = d->e;
	const struct heap_node *t = heap_least(&e->timers);
	struct sched_placement p;
	uint64_t victim = 0;

	if (e->doomed.head) {
		doomed(d, lease_at(e, e->doomed.head));
		return;
	}
	if (decide_orphan(d))
		return;
	if (t && t->due <= d->now) {
		timer_due(d, t->item);
		return;
	}
	if (pause_due(d) || e->leases.n == e->leases.max)
		return;
	switch (sched_pick(e->sched, d->now, &p, &victim)) {
	case SCHED_NOTHING:
		(void)decide_quota_back(d);
		return;
	case SCHED_PLACE:
		if (p.gang)
			gang_place(d, &p);
		else
			place(d, &p);
		return;
	case SCHED_PREEMPT:
		CHECK(lease_find(e, victim) && !lease_find(e, victim)->stopping);
		tick_stopping(d, lease_find(e, victim), WIRE__STOP_REASON__PREEMPTED);
		return;
	}
}

uint64_t engine_deadline_ns(const struct engine *e, uint64_t now_ns)
{
	const struct heap_node *t = heap_least(&e->timers);
	uint64_t due = e->leases.n == e->leases.max ? UINT64_MAX : sched_wake_ns(e->sched, now_ns);

	if (e->doomed.head || delegated_due(e))
		return 0;
	return t && t->due < due ? t->due : due;
}

/* ---- apply ---- */

static void queue_timeout(struct applying *a, struct job *j, struct step *s)
{
	struct bitmap ready = step_ready(a->e, j, s);
	const uint8_t *extras = unit_extras(a->e, j, s);
	uint64_t grain = s->queue_timeout_ns / QUEUE_TIMER_GRAIN;

	for (uint64_t u = bitmap_next(&ready, 0); u != UINT64_MAX; u = bitmap_next(&ready, u + 1)) {
		uint64_t due = add_ns(
		        j->submitted_ns + unit_stamps(a->e, j, s)[u] * 1000000ull, s->queue_timeout_ns);

		if (!extras[u] && due <= a->now)
			units_done(a, j, s, u, 1, C_READY, WIRE__OUTCOME__QUEUE_TIMEOUT);
	}
	s->queue_due_ns = UINT64_MAX; /* the calls above may have set it */
	s->queue_due_ns = step_queue_due(a->e, j, s, add_ns(a->now, grain > 1000000 ? grain : 1000000));
}

void apply_expired(struct applying *a, const Wire__Expired *m)
{
	struct engine *e = a->e;
	struct job *j = job_find(e, m->job);
	struct step *s;
	uint32_t d;

	CHECK(j && !j->finished_ns && m->step < j->n_steps);
	s = step_at(e, j, m->step);
	switch (m->what) {
	case WIRE__EXPIRED__WHAT__JOB_TIMEOUT:
		j->timed_out = 1;
		break;
	case WIRE__EXPIRED__WHAT__NOT_BEFORE:
		j->early = 0;
		for (uint32_t k = 0; k < j->n_steps && !j->held; k++) {
			step_at(e, j, k)->ready_since_ns = a->now;
			step_restamp(a, j, step_at(e, j, k));
			step_offer(e, j, step_at(e, j, k));
		}
		break;
	case WIRE__EXPIRED__WHAT__QUEUE_TIMEOUT:
		queue_timeout(a, j, s);
		break;
	case WIRE__EXPIRED__WHAT__RETRY_DUE:
		d = delay_find(e, j, m->step, m->first);
		CHECK(d && m->count == 1);
		delay_drop(e, d);
		units_move(a, j, s, m->first, 1, C_DELAYED, C_READY, unit_states(e, j, s)[m->first] & 15);
		break;
	case WIRE__EXPIRED__WHAT__ALONE:
		j->cancelled = 1;
		break;
	case WIRE__EXPIRED__WHAT__COMMIT_DUE:
		CHECK(lease_find(e, m->first));
		commit_due(a, lease_find(e, m->first));
		break;
	case _WIRE__EXPIRED__WHAT_IS_INT_SIZE:
		BUG("a timer of an unknown kind");
	}
	job_timer(e, j);
	job_settle(a, j);
}
