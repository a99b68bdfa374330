/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine against a naive model: random jobs, leases, results, losses, cancels, retries, adjustments and passing time.
 *
 * The model folds the same entries with the plainest rules there are, looks at every blocked task again after each, and must
 * agree with engine_task() about every task. Now and then the engine is saved, loaded and replaced by its copy; at the end
 * the journal is folded again.
 */
#include "../world.h"

#include "base/prng.h"

#define JOBS  40
#define TASKS 40

enum { BLOCKED, READY, DELAYED, LEASED, DONE };

struct mtask {
	int st, outcome, tries;
	uint64_t lease, cap, ready_ms; /* cap: most tasks in one lease with it, 0 no limit */
};

struct mjob {
	struct spec spec;
	char name[16], names[SPEC_STEPS][4];
	int live, cancelled, timed_out, failing, finished, held, early, stamps[SPEC_STEPS],
	        handler[SPEC_STEPS];
	uint64_t submitted, queue_timeout[SPEC_STEPS];
	struct mtask t[SPEC_STEPS][TASKS];
};

static struct mjob jobs[JOBS + 1];
static struct world w;
static struct prng rnd;
static uint64_t n_jobs;

static uint64_t below(uint64_t n)
{
	return prng_below(&rnd, n);
}

/* ---- the model ---- */

static int is_failure(int o)
{
	return o != WIRE__OUTCOME__SUCCEEDED && o != WIRE__OUTCOME__SKIPPED && o != WIRE__OUTCOME__STOPPED;
}

static int stopped(const struct mjob *j, size_t k)
{
	return j->cancelled || j->timed_out || (j->failing && !j->handler[k]);
}

static void m_done(struct mjob *j, struct mtask *t, int o)
{
	t->st = DONE;
	t->outcome = o;
	t->lease = 0;
	t->cap = 0;
	if (is_failure(o) && !j->spec.job.keep_going)
		j->failing = 1;
}

static uint64_t ms_since(const struct mjob *j, uint64_t now)
{
	return (now - j->submitted + MS - 1) / MS;
}

static void m_ready(struct mjob *j, size_t k, struct mtask *t, uint64_t now)
{
	t->st = READY;
	t->lease = 0;
	if (j->stamps[k])
		t->ready_ms = ms_since(j, now);
}

/* 1 holds, 0 not yet known, -1 never. */
static int m_cond(const struct mjob *j, const Wire__After *a, uint64_t i)
{
	size_t of = 0;
	int failed = 0, good = 1;

	while (strcmp(j->spec.step[of].name, a->step) != 0)
		of++;
	for (uint64_t n = 0; n < j->spec.step[of].tasks; n++) {
		const struct mtask *t = &j->t[of][n];

		if (a->mode == WIRE__AFTER__MODE__EACH && n != i)
			continue;
		if (t->st != DONE)
			return 0;
		failed |= is_failure(t->outcome);
		good &= t->outcome == WIRE__OUTCOME__SUCCEEDED;
	}
	if (a->on == WIRE__AFTER__ON__ALWAYS)
		return 1;
	return (a->on == WIRE__AFTER__ON__SUCCESS ? good : failed) ? 1 : -1;
}

/* The inputs of node i: levels are laid out one after another. */
static int m_reduce(const struct mjob *j, size_t k, uint64_t i)
{
	const Wire__Reduce *r = j->spec.step[k].reduce;
	uint64_t below_n, base = 0, level, f, first;
	const struct mtask *in;
	size_t of = 0;
	int wait = 0;

	while (strcmp(j->spec.step[of].name, r->of) != 0)
		of++;
	below_n = j->spec.step[of].tasks;
	in = j->t[of];
	for (;;) {
		f = r->associative ? r->fan_in : below_n;
		level = (below_n + f - 1) / f;
		if (i < base + level)
			break;
		in = j->t[k] + base;
		base += level;
		below_n = level;
	}
	first = (i - base) * f;
	for (uint64_t n = first; n < first + f && n < below_n; n++) {
		if (in[n].st != DONE)
			wait = 1;
		else if (in[n].outcome != WIRE__OUTCOME__SUCCEEDED)
			return -1;
	}
	return !wait;
}

static int m_verdict(const struct mjob *j, size_t k, uint64_t i)
{
	const Wire__Step *st = &j->spec.step[k];
	int v = st->reduce ? m_reduce(j, k, i) : 1;

	for (size_t a = 0; a < st->n_after && v >= 0; a++) {
		int c = m_cond(j, st->after[a], i);

		v = c < v ? c : v;
	}
	return v;
}

static void m_settle(struct mjob *j, uint64_t now)
{
	for (int changed = 1; changed;) {
		changed = 0;
		for (size_t k = 0; k < j->spec.job.n_steps; k++)
			for (uint64_t i = 0; i < j->spec.step[k].tasks; i++) {
				struct mtask *t = &j->t[k][i];
				int v;

				if (stopped(j, k) &&
				        (t->st == BLOCKED || t->st == READY || t->st == DELAYED)) {
					m_done(j, t, WIRE__OUTCOME__STOPPED);
					changed = 1;
				}
				if (t->st != BLOCKED || (v = m_verdict(j, k, i)) == 0)
					continue;
				changed = 1;
				if (v > 0)
					m_ready(j, k, t, now);
				else
					m_done(j, t, WIRE__OUTCOME__SKIPPED);
			}
	}
}

static void m_attempt(struct mjob *j, size_t k, struct mtask *t, int o, uint64_t now)
{
	const Wire__Retry *r = j->spec.step[k].retry;

	assert_int_equal(t->st, LEASED);
	if (o == WIRE__OUTCOME__STOPPED || o == WIRE__OUTCOME__LOST) {
		if (stopped(j, k))
			m_done(j, t, WIRE__OUTCOME__STOPPED);
		else if (o == WIRE__OUTCOME__LOST && r->not_on_node_loss)
			m_done(j, t, o);
		else
			m_ready(j, k, t, now);
	} else if (o != WIRE__OUTCOME__SUCCEEDED && !stopped(j, k) && t->tries < (int)r->max) {
		t->tries++;
		if (r->backoff_ns) {
			t->st = DELAYED;
			t->lease = 0;
		} else {
			m_ready(j, k, t, now);
		}
	} else {
		m_done(j, t, o);
	}
}

static struct mtask *m_leased(uint64_t lease, struct mjob **out_j, size_t *out_k)
{
	for (uint64_t n = 1; n <= n_jobs; n++)
		for (size_t k = 0; jobs[n].live && k < jobs[n].spec.job.n_steps; k++)
			for (uint64_t i = 0; i < jobs[n].spec.step[k].tasks; i++)
				if (jobs[n].t[k][i].st == LEASED && jobs[n].t[k][i].lease == lease) {
					*out_j = &jobs[n];
					*out_k = k;
					return &jobs[n].t[k][i];
				}
	return NULL;
}

static void m_granted(const Wire__LeaseGranted *m, uint64_t now)
{
	struct mjob *j = &jobs[m->job];

	(void)now;
	assert_false(j->held || j->early || stopped(j, m->step));
	for (uint64_t i = m->first; i < m->first + m->count; i++) {
		struct mtask *t = &j->t[m->step][i];

		assert_int_equal(t->st, READY);
		assert_true(t->cap == 0 || m->count <= t->cap);
		t->st = LEASED;
		t->lease = m->lease;
		t->cap = 0;
	}
}

static void m_results(const Wire__Results *m, uint64_t now)
{
	struct mjob *j;
	size_t k;
	struct mtask *t = m_leased(m->lease, &j, &k);

	assert_non_null(t);
	for (uint64_t i = 0; i < m->count; i++)
		m_attempt(j, k, t + i, (int)RESULT_COLUMN(m, outcome, i), now);
}

static void m_ended(const Wire__LeaseEnded *m, uint64_t now)
{
	struct mjob *j;
	size_t k;
	uint64_t n = 0, cap = 1;
	struct mtask *t = m_leased(m->lease, &j, &k);
	int o = WIRE__OUTCOME__STOPPED;

	if (!t)
		return;
	while (t + n < j->t[k] + j->spec.step[k].tasks && t[n].st == LEASED && t[n].lease == m->lease)
		n++;
	if (m->reason == WIRE__STOP_REASON__NODE_LOST || m->reason == WIRE__STOP_REASON__KEEPER_LOST ||
	        m->reason == WIRE__STOP_REASON__EXPIRED)
		o = WIRE__OUTCOME__LOST;
	if (m->reason == WIRE__STOP_REASON__COULD_NOT_START)
		o = WIRE__OUTCOME__CANNOT_START;
	if (m->reason == WIRE__STOP_REASON__WORKER_CRASHED && n == 1)
		o = WIRE__OUTCOME__CRASHED;
	while (cap * 2 < n)
		cap *= 2;
	for (uint64_t i = 0; i < n; i++) {
		m_attempt(j, k, t + i, o, now);
		if (m->reason == WIRE__STOP_REASON__WORKER_CRASHED && t[i].st != DONE)
			t[i].cap = cap;
	}
}

static void m_expired(const Wire__Expired *m, uint64_t now)
{
	struct mjob *j = &jobs[m->job];

	if (m->what == WIRE__EXPIRED__WHAT__JOB_TIMEOUT)
		j->timed_out = 1;
	if (m->what == WIRE__EXPIRED__WHAT__NOT_BEFORE)
		j->early = 0;
	if (m->what == WIRE__EXPIRED__WHAT__RETRY_DUE) {
		assert_int_equal(j->t[m->step][m->first].st, DELAYED);
		m_ready(j, m->step, &j->t[m->step][m->first], now);
	}
	for (size_t k = 0; k < j->spec.job.n_steps; k++)
		for (uint64_t i = 0; i < j->spec.step[k].tasks; i++) {
			struct mtask *t = &j->t[k][i];

			if (m->what == WIRE__EXPIRED__WHAT__NOT_BEFORE && t->st == READY)
				m_ready(j, k, t, now);
			if (m->what == WIRE__EXPIRED__WHAT__QUEUE_TIMEOUT && k == m->step && t->st == READY &&
			        t->tries == 0 && j->submitted + t->ready_ms * MS + j->queue_timeout[k] <= now)
				m_done(j, t, WIRE__OUTCOME__QUEUE_TIMEOUT);
		}
}

static void m_retried(struct mjob *j)
{
	assert_true(j->finished);
	j->finished = j->cancelled = j->timed_out = j->failing = j->held = j->early = 0;
	for (size_t k = 0; k < j->spec.job.n_steps; k++)
		for (uint64_t i = 0; i < j->spec.step[k].tasks; i++)
			if (j->t[k][i].outcome != WIRE__OUTCOME__SUCCEEDED)
				j->t[k][i] = (struct mtask){0};
}

static void m_adjusted(const Wire__JobAdjusted *m, uint64_t now)
{
	struct mjob *j = &jobs[m->job];
	int gated = j->held || j->early;

	if (m->set & WIRE__JOB_ADJUSTED__FIELD__HELD)
		j->held = m->held;
	for (size_t k = 0; k < j->spec.job.n_steps; k++) {
		int fresh = 0;

		if (m->set & WIRE__JOB_ADJUSTED__FIELD__QUEUE_TIMEOUT) {
			j->queue_timeout[k] = m->queue_timeout_ns;
			fresh = m->queue_timeout_ns && !j->stamps[k];
			j->stamps[k] |= fresh;
		}
		for (uint64_t i = 0; i < j->spec.step[k].tasks; i++)
			if (j->t[k][i].st == READY && (fresh || gated != (j->held || j->early)))
				m_ready(j, k, &j->t[k][i], now);
	}
}

static void m_submitted(const Wire__JobSubmitted *m, uint64_t now)
{
	struct mjob *j = &jobs[m->job];

	assert_int_equal(m->job, n_jobs + 1);
	n_jobs++;
	j->live = 1;
	j->submitted = now;
	j->held = m->spec->held;
	j->early = m->spec->not_before_ns > now;
	for (size_t k = 0; k < j->spec.job.n_steps; k++) {
		const Wire__Step *st = &j->spec.step[k];

		j->queue_timeout[k] = st->queue_timeout_ns;
		j->stamps[k] = st->queue_timeout_ns != 0;
		for (size_t of = 0; of < k; of++)
			for (size_t a = 0; a < st->n_after; a++)
				if (strcmp(st->after[a]->step, j->spec.step[of].name) == 0)
					j->handler[k] |= j->handler[of] ||
					                 st->after[a]->on != WIRE__AFTER__ON__SUCCESS;
		for (size_t of = 0; of < k && st->reduce; of++)
			if (strcmp(st->reduce->of, j->spec.step[of].name) == 0)
				j->handler[k] |= j->handler[of];
	}
}

static void m_entry(const Wire__Entry *en)
{
	uint64_t now = en->time_ns;

	switch ((int)en->body_case) {
	case WIRE__ENTRY__BODY_JOB_SUBMITTED:
		m_submitted(en->job_submitted, now);
		break;
	case WIRE__ENTRY__BODY_LEASE_GRANTED:
		m_granted(en->lease_granted, now);
		break;
	case WIRE__ENTRY__BODY_RESULTS:
		m_results(en->results, now);
		break;
	case WIRE__ENTRY__BODY_LEASE_ENDED:
		m_ended(en->lease_ended, now);
		break;
	case WIRE__ENTRY__BODY_JOB_CANCELLED:
		jobs[en->job_cancelled->job].cancelled = 1;
		break;
	case WIRE__ENTRY__BODY_JOB_RETRIED:
		m_retried(&jobs[en->job_retried->job]);
		break;
	case WIRE__ENTRY__BODY_JOB_ADJUSTED:
		m_adjusted(en->job_adjusted, now);
		break;
	case WIRE__ENTRY__BODY_EXPIRED:
		m_expired(en->expired, now);
		break;
	case WIRE__ENTRY__BODY_JOB_FORGOTTEN:
		jobs[en->job_forgotten->job].live = 0;
		break;
	default:
		break;
	}
	for (uint64_t n = 1; n <= n_jobs; n++)
		if (jobs[n].live && !jobs[n].finished)
			m_settle(&jobs[n], now);
}

/* ---- agreement ---- */

static void agree_job(uint64_t n)
{
	static const enum task_state want[] = {
	        TASK_BLOCKED, TASK_READY, TASK_DELAYED, TASK_LEASED, TASK_DONE};
	struct mjob *j = &jobs[n];
	uint64_t done = 0, total = 0;
	struct lease_view l = {0};
	struct job_view v;
	int leases = 0;

	assert_true(engine_job(w.e, (job_id){n}, &v));
	for (size_t k = 0; k < j->spec.job.n_steps; k++)
		for (uint64_t i = 0; i < j->spec.step[k].tasks; i++) {
			const struct mtask *m = &j->t[k][i];
			struct task_view t;
			int st = m->st == READY && (j->held || j->early) ? BLOCKED : m->st;

			assert_true(engine_task(w.e, (job_id){n}, (uint32_t)k, i, &t));
			if (t.state != want[st] || (st == DONE && (int)t.outcome != m->outcome) ||
			        t.lease.v != m->lease)
				fail_msg("job %d step %d task %d: engine %d/%s, model %d/%s", (int)n, (int)k,
				        (int)i, (int)t.state, outcome_name(t.outcome), st,
				        outcome_name((Wire__Outcome)m->outcome));
			done += st == DONE;
			total++;
		}
	while (engine_lease_next(w.e, l.id, &l))
		leases += l.job.v == n;
	j->finished = done == total && !leases;
	assert_int_equal(j->finished, v.finished_ns != 0);
	assert_int_equal(total, v.counts.total);
	assert_int_equal(done, v.counts.succeeded + v.counts.failed + v.counts.skipped + v.counts.stopped);
}

static size_t act(const struct command *c)
{
	size_t n = world_do(&w, c);

	for (size_t i = 0; i < n; i++)
		m_entry(w.last[i]);
	for (uint64_t k = 1; n && k <= n_jobs; k++) {
		struct job_view v;

		if (jobs[k].live)
			agree_job(k);
		else
			assert_false(engine_job(w.e, (job_id){k}, &v));
	}
	return n;
}

/* ---- random commands ---- */

static void random_after(struct spec *s, size_t k)
{
	for (size_t n = below(3), of = 0; n > 0 && of < k; of++) {
		int each = s->step[of].tasks == s->step[k].tasks && below(2);

		if (below(2))
			continue;
		spec_after(s, k, s->step[of].name, each ? WIRE__AFTER__MODE__EACH : WIRE__AFTER__MODE__WHOLE,
		        (Wire__After__On)(below(2) ? 0 : below(3)));
		n--;
	}
}

static void random_spec(struct mjob *j)
{
	struct spec *s = &j->spec;

	memset(j, 0, sizeof(*j));
	(void)snprintf(j->name, sizeof(j->name), "j%d", (int)n_jobs + 1);
	spec_init(s, j->name);
	s->job.keep_going = below(3) != 0;
	s->job.held = below(10) == 0;
	s->job.not_before_ns = below(10) ? 0 : w.now + below(20) * SEC;
	s->job.timeout_ns = below(5) ? 0 : (1 + below(100)) * SEC;
	s->job.concurrency = (uint32_t)below(3);
	s->job.priority = (uint32_t)below(101);
	for (size_t k = 0, n = 1 + below(4); k < n; k++) {
		uint64_t tasks = below(3) ? 1 + below(TASKS / 2) : 4;
		Wire__Step *st;

		(void)snprintf(j->names[k], sizeof(j->names[k]), "s%d", (int)k);
		st = spec_step(s, j->names[k], tasks);
		if (k > 0 && below(4) == 0) {
			uint32_t f = below(3) ? 2 + (uint32_t)below(3) : 0;
			uint64_t level = s->step[k - 1].tasks;

			st->tasks = 0;
			do {
				level = f ? (level + f - 1) / f : 1;
				st->tasks += level;
			} while (level > 1);
			spec_reduce(s, k, j->names[k - 1], f);
		}
		random_after(s, k);
		s->retry[k].max = (uint32_t)below(3);
		s->retry[k].backoff_ns = below(2) ? 0 : (1 + below(5)) * SEC;
		s->retry[k].backoff_max_ns = 10 * SEC;
		s->retry[k].jitter_percent = (uint32_t)below(101);
		s->retry[k].not_on_node_loss = below(5) == 0;
		st->queue_timeout_ns = below(4) ? 0 : (1 + below(30)) * SEC;
		st->run_timeout_ns = below(3) ? 0 : (1 + below(50)) * SEC;
		assert_true(st->tasks <= TASKS);
	}
}

static void submit(void)
{
	if (n_jobs == JOBS)
		return;
	random_spec(&jobs[n_jobs + 1]);
	act(&(struct command){.kind = CMD_SUBMIT, .u.submit = {.spec = &jobs[n_jobs + 1].spec.job}});
	(void)world_one(&w, WIRE__ENTRY__BODY_JOB_SUBMITTED);
}

static bool random_lease(struct lease_view *out)
{
	struct lease_view l = {0};
	uint64_t n = 0;

	while (engine_lease_next(w.e, l.id, &l))
		if (below(++n) == 0)
			*out = l;
	return n > 0;
}

static void results(void)
{
	static const Wire__Outcome bad[] = {WIRE__OUTCOME__FAILED, WIRE__OUTCOME__TIMED_OUT,
	        WIRE__OUTCOME__LOST, WIRE__OUTCOME__STOPPED, WIRE__OUTCOME__SIGNALED};
	Wire__Results r = WIRE__RESULTS__INIT;
	Wire__Outcome o[TASKS];
	struct lease_view l;
	uint64_t left;

	if (!random_lease(&l))
		return;
	left = l.first + l.count - l.cursor;
	r.lease = l.id.v;
	r.first = l.cursor;
	r.count = left ? 1 + below(left) : 1;
	for (uint64_t i = 0; i < r.count; i++)
		o[i] = below(5) ? WIRE__OUTCOME__SUCCEEDED : bad[below(ARRAY_LEN(bad))];
	r.n_outcome = below(4) ? r.count : 0;
	r.outcome = o;
	if (left && below(6)) {
		act(&(struct command){.kind = CMD_RESULTS, .u.results = &r});
		assert_int_equal(w.last[0]->body_case, WIRE__ENTRY__BODY_RESULTS);
	}
	/* Again, or from nowhere: refused, and nothing changes. */
	r.first = below(2) ? r.first : r.first + left + 1;
	if (left && below(2))
		return;
	r.lease = below(2) ? l.id.v : l.id.v + 1000000;
	if (r.lease == l.id.v && engine_lease(w.e, l.id, &l) && l.cursor == r.first)
		return;
	act(&(struct command){.kind = CMD_RESULTS, .u.results = &r});
	assert_int_equal(w.last[0]->body_case, WIRE__ENTRY__BODY_REFUSED);
}

static void lease_ends(void)
{
	static const Wire__StopReason why[] = {WIRE__STOP_REASON__DONE, WIRE__STOP_REASON__PREEMPTED,
	        WIRE__STOP_REASON__NODE_LOST, WIRE__STOP_REASON__WORKER_CRASHED,
	        WIRE__STOP_REASON__WORKER_CRASHED, WIRE__STOP_REASON__KEEPER_LOST, WIRE__STOP_REASON__EXPIRED,
	        WIRE__STOP_REASON__COULD_NOT_START, WIRE__STOP_REASON__DRAINING};
	Wire__LeaseEnded m = WIRE__LEASE_ENDED__INIT;
	struct lease_view l;

	if (!random_lease(&l))
		return;
	m.lease = l.id.v;
	m.reason = l.cursor == l.first + l.count ? WIRE__STOP_REASON__DONE : why[below(ARRAY_LEN(why))];
	act(&(struct command){.kind = CMD_LEASE_ENDED, .u.ended = &m});
}

static void adjust(void)
{
	Wire__JobAdjusted m = WIRE__JOB_ADJUSTED__INIT;

	m.job = 1 + below(n_jobs);
	m.set = (uint32_t)(1 + below(127)) & ~(uint32_t)WIRE__JOB_ADJUSTED__FIELD__DEADLINE;
	m.priority = (uint32_t)below(101);
	m.timeout_ns = below(3) ? 0 : 1000 * SEC;
	m.queue_timeout_ns = below(2) ? 0 : (1 + below(20)) * SEC;
	m.run_timeout_ns = below(2) ? 0 : (1 + below(20)) * SEC;
	m.held = below(4) == 0;
	act(&(struct command){.kind = CMD_ADJUST, .u.adjust = &m});
}

static void job_command(enum command_kind kind)
{
	act(&(struct command){.kind = kind, .u.job = {{1 + below(n_jobs)}, NULL}});
}

/* Ticks until nothing comes; entries of ticks alone must come to an end. */
static void ticks(void)
{
	int n = 0;

	while (act(&(struct command){.kind = CMD_TICK}))
		assert_true(++n < 5000);
	assert_true(engine_deadline_ns(w.e, w.now) > w.now);
}

static void swap(void)
{
	struct engine *e;
	void *mem;

	(void)world_load_is_equal(&w, &e, &mem);
	munmap(w.mem, w.limits.memory_bytes);
	w.e = e;
	w.mem = mem;
}

static void one_run(uint64_t seed, int steps)
{
	prng_init(&rnd, seed);
	world_init(&w);
	n_jobs = 0;
	memset(jobs, 0, sizeof(jobs));
	world_boot(&w);
	world_node(&w, 1, 4, WIRE__NODE_SET__STATE__UP);
	submit();
	for (int i = 0; i < steps; i++) {
		switch (below(20)) {
		case 0:
			submit();
			break;
		case 1:
			if (below(8) == 0)
				job_command(CMD_CANCEL);
			break;
		case 2:
			if (below(3) == 0)
				job_command(CMD_RETRY);
			break;
		case 3:
			if (below(3) == 0)
				adjust();
			break;
		case 4:
			if (below(6) == 0)
				job_command(CMD_FORGET);
			break;
		case 5:
			if (below(4) == 0)
				swap();
			break;
		case 6:
		case 7:
			w.now += below(below(4) ? 2 * SEC : 20 * SEC);
			break;
		case 8:
		case 9:
		case 10:
			lease_ends();
			break;
		case 11:
		case 12:
		case 13:
			ticks();
			break;
		default:
			results();
			break;
		}
	}
	world_replay_is_equal(&w);
	world_release(&w);
}

static void engine_agrees_with_the_model(void **state)
{
	const char *seed = getenv("SEED");

	(void)state;
	if (seed) {
		one_run(strtoull(seed, NULL, 10), 600);
		return;
	}
	for (uint64_t i = 1; i <= 25; i++) {
		print_message("SEED=%d\n", (int)i);
		one_run(i, 600);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(engine_agrees_with_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
