/* SPDX-License-Identifier: Apache-2.0 */
/*
 * executor - what the keeper and the workers of the simulated machines do; see world.h.
 *
 * A run is a lease whose tasks run one after another. The executor keeps every result until the engine says that it is
 * durable, and sends again what was not acknowledged in time; messages may be lost or come twice. It survives the engine,
 * not the keeper.
 */
#include <stdlib.h>
#include <string.h>

#include "sim/world_state.h"

#define RESEND_NS (200 * SIM_MS)
#define END_MARK  UINT64_MAX

struct run *executor_run(struct world *w, uint64_t lease)
{
	for (size_t i = 0; i < w->n_runs; i++)
		if (w->runs[i].lease == lease)
			return &w->runs[i];
	return NULL;
}

static void run_drop(struct world *w, struct run *r)
{
	free(r->results);
	*r = w->runs[--w->n_runs];
}

void executor_lost(struct world *w)
{
	while (w->n_runs)
		run_drop(w, &w->runs[0]);
}

/* What becomes of a task is fixed by who it is and which attempt this is, not by when it is asked. */
static uint64_t fate(const struct world *w, const struct run *r, uint64_t task, uint64_t salt)
{
	return prng_mix(w->seed ^ salt, (r->job << 20) ^ ((uint64_t)r->step << 16) ^ task, r->lease);
}

static const Wire__Step *run_step(struct world *w, const struct run *r)
{
	const struct book *b = world_book(w, r->job);

	CHECK(b);
	return world_spec(w, b)->steps[r->step];
}

static void begin_task(struct world *w, struct run *r)
{
	const Wire__Step *s = run_step(w, r);
	uint64_t ns, kind = fate(w, r, r->next, 1);

	/* Most tasks are short; one in eight takes up to task_ns_max. */
	ns = 1 + (kind >> 8) % (kind % 8 ? 20 * SIM_MS : w->faults.task_ns_max + 1);
	if (s->run_timeout_ns && fate(w, r, r->next, 2) % 1000 < w->faults.task_hangs)
		ns = s->run_timeout_ns + 1;
	if (s->run_timeout_ns && ns > s->run_timeout_ns)
		ns = s->run_timeout_ns + 1;
	r->epoch++;
	world_at(w, w->now + ns,
	        (struct event){
	                .kind = EV_TASK_ENDS, .life = w->keeper_life, .lease = r->lease, .arg = r->epoch});
}

/* Send results [from, to) of the run, or its end. The way takes time, may lose the message and may double it. */
static void send(struct world *w, const struct run *r, bool end, bool again)
{
	struct event ev = {.kind = EV_MESSAGE,
	        .life = w->engine_life,
	        .lease = r->lease,
	        .arg = end ? END_MARK : r->ended,
	        .again = again};

	if (!world_chance(w, w->faults.lose))
		world_at(w, w->now + 20000 + prng_below(&w->prng, SIM_MS), ev);
	ev.twice = true;
	if (world_chance(w, w->faults.twice))
		world_at(w, w->now + 20000 + prng_below(&w->prng, 10 * SIM_MS), ev);
	world_at(w, w->now + RESEND_NS,
	        (struct event){.kind = EV_RESEND, .life = w->engine_life, .lease = r->lease});
}

static void over(struct world *w, struct run *r, Wire__StopReason reason)
{
	r->over = true;
	r->epoch++;
	r->reason = reason;
	send(w, r, true, false);
}

static void task_ends(struct world *w, struct run *r)
{
	const Wire__Step *s = run_step(w, r);
	struct outcome *o = &r->results[r->ended];
	uint64_t dice = fate(w, r, r->next, 3) % 1000;

	if (r->worker && (r->next == w->poison || fate(w, r, r->next, 4) % 1000 < w->faults.worker_crashes)) {
		over(w, r, WIRE__STOP_REASON__WORKER_CRASHED);
		return;
	}
	o->outcome = dice < w->faults.task_fails ? WIRE__OUTCOME__FAILED : WIRE__OUTCOME__SUCCEEDED;
	o->code = o->outcome == WIRE__OUTCOME__FAILED ? 1 + (int32_t)(dice & 1) : 0;
	o->wall_us = 1 + fate(w, r, r->next, 1) % 20000;
	o->digest = w->liar[r->node] ? w->liar[r->node] : task_truth(r->next);
	if (fate(w, r, r->next, 5) % 1000 < w->faults.task_lies)
		o->digest = (uint8_t)(0x80 | r->lease);
	if (s->run_timeout_ns && fate(w, r, r->next, 2) % 1000 < w->faults.task_hangs)
		o->outcome = WIRE__OUTCOME__TIMED_OUT;
	r->ended++;
	r->next++;
	send(w, r, false, false);
	if (r->next == r->first + r->count)
		over(w, r, WIRE__STOP_REASON__DONE);
	else
		begin_task(w, r);
}

/* ---- engine -> executor ---- */

static void start(struct world *w, uint64_t lease)
{
	struct lease_view v;
	struct run r;

	/* It may have been ended again before its start was durable. */
	if (!engine_lease(w->engine, (lease_id){lease}, &v) || v.cursor == v.first + v.count)
		return;
	CHECK(!executor_run(w, lease));
	world_say(w, "node   > lease %lu starts", (unsigned long)lease);
	for (size_t i = 0; i < w->n_runs; i++) {
		const struct run *o = &w->runs[i];

		if (!o->over && o->job == v.job.v && o->step == v.step && o->replica == v.replica &&
		        v.first < o->first + o->count && v.first + v.count > o->next)
			world_say(w, "node   > lease %lu still runs tasks from %lu to %lu",
			        (unsigned long)o->lease, (unsigned long)o->next,
			        (unsigned long)(o->first + o->count - 1));
		/* Nothing runs twice at a time. */
		CHECK(o->over || o->job != v.job.v || o->step != v.step || o->replica != v.replica ||
		        v.first >= o->first + o->count || v.first + v.count <= o->next);
	}
	r = (struct run){.lease = lease,
	        .job = v.job.v,
	        .step = v.step,
	        .first = v.first,
	        .count = v.count,
	        .replica = v.replica,
	        .node = v.node,
	        .variant = v.variant,
	        .next = v.first};
	r.worker = run_step(w, &r)->worker != NULL;
	r.results = calloc(v.count, sizeof(*r.results));
	CHECK(r.results);
	ROOM(w->runs, w->n_runs, w->runs_room);
	w->runs[w->n_runs++] = r;
	begin_task(w, &w->runs[w->n_runs - 1]);
}

static void stop(struct world *w, uint64_t lease, Wire__StopReason reason)
{
	struct run *r = executor_run(w, lease);

	if (!r) { /* it never began: say so */
		Wire__LeaseEnded ended = WIRE__LEASE_ENDED__INIT;
		struct command cmd = {.kind = CMD_LEASE_ENDED, .u.ended = &ended};

		ended.lease = lease;
		ended.reason = reason;
		world_command(w, &cmd);
		return;
	}
	if (r->over || r->stopping)
		return;
	r->stopping = true;
	r->reason = reason;
	world_at(w, w->now + 1 + prng_below(&w->prng, 100 * SIM_MS),
	        (struct event){.kind = EV_STOPPED, .life = w->keeper_life, .lease = lease});
}

void executor_effect(struct world *w, const struct effect *fx)
{
	switch (fx->kind) {
	case EFFECT_START:
		start(w, fx->lease.v);
		break;
	case EFFECT_STOP:
		stop(w, fx->lease.v, fx->reason);
		break;
	case EFFECT_COMPARE:
		world_at(w, w->now + prng_below(&w->prng, 10 * SIM_MS),
		        (struct event){.kind = EV_COMPARED, .life = w->engine_life, .effect = *fx});
		break;
	case EFFECT_JOB:
	case EFFECT_FORGET:
		break;
	}
}

void executor_acked(struct world *w, uint64_t lease, uint64_t cursor)
{
	struct run *r = executor_run(w, lease);

	if (r && cursor - r->first > r->acked)
		r->acked = cursor - r->first;
}

void executor_end_acked(struct world *w, uint64_t lease)
{
	struct run *r = executor_run(w, lease);

	if (r && r->over)
		run_drop(w, r);
}

/* A new engine: leases that it has and we do not are lost; what we have it hears again. */
void executor_engine_started(struct world *w)
{
	struct lease_view v;
	struct effect fx = {0};
	uint64_t *leases = NULL, at = 0;
	size_t n = 0, room = 0;
	bool more;

	/* All of them first: what we say makes the engine grant new ones, of which we are yet to hear. */
	for (; engine_lease_next(w->engine, (lease_id){at}, &v); at = v.id.v) {
		ROOM(leases, n, room);
		leases[n++] = v.id.v;
	}
	for (size_t i = 0; i < n; i++) {
		struct run *r = executor_run(w, leases[i]);

		if (!engine_lease(w->engine, (lease_id){leases[i]}, &v))
			continue;
		if (!r) {
			Wire__LeaseEnded ended = WIRE__LEASE_ENDED__INIT;
			struct command cmd = {.kind = CMD_LEASE_ENDED, .u.ended = &ended};

			ended.lease = v.id.v;
			ended.reason = WIRE__STOP_REASON__KEEPER_LOST;
			world_command(w, &cmd);
		} else if (v.stopping) {
			r->stopping = false;
			stop(w, v.id.v, v.reason);
		}
	}
	free(leases);
	for (size_t i = 0; i < w->n_runs;) {
		struct run *r = &w->runs[i];

		if (!engine_lease(w->engine, (lease_id){r->lease}, &v)) {
			run_drop(w, r);
			continue;
		}
		r->told = r->acked;
		world_at(w, w->now,
		        (struct event){.kind = EV_RESEND, .life = w->engine_life, .lease = r->lease});
		i++;
	}
	more = engine_compare_next(w->engine, NULL, &fx);
	while (more) {
		executor_effect(w, &fx);
		more = engine_compare_next(w->engine, &fx, &fx);
	}
}

/* ---- executor -> engine ---- */

static void report(struct world *w, struct run *r, uint64_t from, uint64_t to)
{
	Wire__Results m = WIRE__RESULTS__INIT;
	struct command cmd = {.kind = CMD_RESULTS, .u.results = &m};
	uint64_t n = to - from;
	Wire__Outcome *outcome = calloc(n, sizeof(*outcome));
	int32_t *code = calloc(n, sizeof(*code));
	uint64_t *wall = calloc(n, sizeof(*wall)), *bytes = calloc(n, sizeof(*bytes));
	uint32_t *outputs = calloc(n, sizeof(*outputs));
	uint8_t *sha = calloc(n, 32);

	CHECK(n && outcome && code && wall && bytes && outputs && sha);
	m.lease = r->lease;
	m.first = r->first + from;
	m.count = n;
	for (uint64_t i = 0; i < n; i++) {
		const struct outcome *o = &r->results[from + i];

		outcome[i] = o->outcome;
		code[i] = o->code;
		wall[i] = o->wall_us;
		outputs[i] = 1;
		bytes[i] = 1;
		memset(sha + 32 * i, o->digest, 32);
	}
	m.n_outcome = m.n_code = m.n_wall_us = m.n_outputs = m.n_output_bytes = n;
	m.outcome = outcome;
	m.code = code;
	m.wall_us = wall;
	m.outputs = outputs;
	m.output_bytes = bytes;
	m.output_sha256 = (ProtobufCBinaryData){32 * n, sha};
	if (to > r->told)
		r->told = to;
	world_command(w, &cmd); /* r may be gone or elsewhere afterwards */
	free(outcome);
	free(code);
	free(wall);
	free(bytes);
	free(outputs);
	free(sha);
}

static void message(struct world *w, const struct event *ev)
{
	struct run *r = executor_run(w, ev->lease);
	uint64_t from, to;

	if (!r)
		return;
	from = ev->again ? r->acked : r->told;
	if (ev->twice && r->ended)
		from = r->ended - 1;
	to = ev->arg == END_MARK ? r->ended
	                         : ev->arg; /* the end comes after everything before it, as on a socket */
	if (to > from)
		report(w, r, from, to);
	if (ev->arg != END_MARK)
		return;
	r = executor_run(w, ev->lease);
	if (r) {
		Wire__LeaseEnded ended = WIRE__LEASE_ENDED__INIT;
		struct command cmd = {.kind = CMD_LEASE_ENDED, .u.ended = &ended};

		ended.lease = r->lease;
		ended.reason = r->reason;
		world_command(w, &cmd);
	}
}

static void compared(struct world *w, const struct effect *fx)
{
	Wire__Compared m = WIRE__COMPARED__INIT;
	struct command cmd = {.kind = CMD_COMPARED, .u.compared = &m};
	struct vote_view v[REPLICAS_MAX];
	uint32_t n = engine_votes(w->engine, fx->job, fx->step, fx->task, v, REPLICAS_MAX);

	if (fx->a >= n || fx->b >= n)
		return;
	m.job = fx->job.v;
	m.step = fx->step;
	m.task = fx->task;
	m.a = fx->a;
	m.b = fx->b;
	m.equal = !memcmp(v[fx->a].digest, v[fx->b].digest, 32);
	world_command(w, &cmd);
}

void executor_event(struct world *w, const struct event *ev)
{
	bool ours = ev->kind == EV_TASK_ENDS || ev->kind == EV_STOPPED;
	struct run *r = executor_run(w, ev->lease);

	if (ev->life != (ours ? w->keeper_life : w->engine_life))
		return;
	if (ev->kind == EV_COMPARED) {
		compared(w, &ev->effect);
		return;
	}
	if (!r)
		return;
	if (ev->kind == EV_TASK_ENDS && !r->over && r->epoch == ev->arg) {
		task_ends(w, r);
	} else if (ev->kind == EV_STOPPED && !r->over) {
		over(w, r, r->reason);
	} else if (ev->kind == EV_MESSAGE) {
		message(w, ev);
	} else if (ev->kind == EV_RESEND && (r->over || r->ended > r->acked)) {
		send(w, r, r->over, true);
	}
}

/* No node holds more than it has, by what really runs there. */
void executor_check(struct world *w)
{
	uint64_t cpu[64] = {0}, memory[64] = {0}, gpu[64] = {0};

	for (size_t i = 0; i < w->n_runs; i++) {
		const struct run *r = &w->runs[i];
		const Wire__Variant *v;

		if (r->over)
			continue;
		v = run_step(w, r)->variants[r->variant];
		for (size_t k = 0; k < v->n_needs; k++) {
			const Wire__Need *n = v->needs[k];

			cpu[r->node & 63] += strcmp(n->name, "cpu") ? 0 : n->amount;
			memory[r->node & 63] += strcmp(n->name, "memory") ? 0 : n->amount;
			gpu[r->node & 63] += strcmp(n->name, "gpu") ? 0 : n->amount;
		}
	}
	for (uint32_t i = 0; i < 64; i++)
		CHECK(cpu[i] <= 4000 && memory[i] <= 8ull << 30 && gpu[i] <= 2000);
}

/* ---- what became of a verified task ---- */

void world_tell(struct world *w, uint64_t job, uint32_t step, uint64_t task)
{
	struct vote_view v[REPLICAS_MAX];
	uint32_t n = engine_votes(w->engine, (job_id){job}, step, task, v, REPLICAS_MAX);
	const struct vote_view *best = NULL;
	struct task_view t;

	CHECK(n && n <= REPLICAS_MAX && engine_task(w->engine, (job_id){job}, step, task, &t));
	for (uint32_t i = 0; i < n; i++) {
		bool right = v[i].digest[0] == task_truth(task);

		if (v[i].state != TASK_DONE || v[i].outcome != WIRE__OUTCOME__SUCCEEDED)
			continue;
		if (v[i].committed && !best)
			best = &v[i];
		world_say(w, "votes  > task %lu: node %u says %s%s", (unsigned long)task, v[i].node,
		        right ? "the truth" : "a lie", v[i].committed ? ", and counts" : "");
	}
	if (best)
		world_say(w, "votes  > task %lu: %s", (unsigned long)task,
		        best->digest[0] == task_truth(task) ? "its result is true" : "its result is a lie");
	else
		world_say(
		        w, "votes  > task %lu: no result: %s", (unsigned long)task, outcome_name(t.outcome));
}

void world_tell_step(struct world *w, uint64_t job, uint32_t step)
{
	uint64_t tasks, runs = 0, right = 0, wrong = 0, alone = 0;
	struct step_view sv;

	CHECK(engine_step(w->engine, (job_id){job}, step, &sv));
	tasks = sv.tasks;
	for (uint64_t i = 0; i < tasks; i++) {
		struct vote_view v[REPLICAS_MAX];
		uint32_t n = engine_votes(w->engine, (job_id){job}, step, i, v, REPLICAS_MAX), votes = 0;
		const struct vote_view *best = NULL;

		for (uint32_t r = 0; r < n; r++) {
			votes += v[r].lease.v != 0;
			best = v[r].committed && !best ? &v[r] : best;
		}
		runs += votes;
		alone += best && votes == 1;
		right += best && best->digest[0] == task_truth(i);
		wrong += best && best->digest[0] != task_truth(i);
	}
	world_say(w,
	        "votes  > job %lu: %lu tasks ran %lu times, %lu of them unchecked, %lu results true, %lu "
	        "lies",
	        (unsigned long)job, (unsigned long)tasks, (unsigned long)runs, (unsigned long)alone,
	        (unsigned long)right, (unsigned long)wrong);
	for (uint32_t node = 1; node <= w->nodes; node++)
		world_say(w, "votes  > node %u: others agreed with its last %lu checked results", node,
		        (unsigned long)engine_trust(w->engine, node));
}
