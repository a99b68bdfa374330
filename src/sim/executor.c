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

#include "core/sched.h"
#include "sim/world_state.h"

#define RESEND_NS (200 * SIM_MS)
#define END_MARK  UINT64_MAX
#define GUESS     0xee

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

void executor_lost(struct world *w, uint32_t node)
{
	for (uint32_t i = 0; i <= NODES_MAX; i++)
		w->keeper_life[i] += node == 0 || node == i;
	for (size_t i = 0; i < w->n_runs;)
		if (node == 0 || w->runs[i].node == node)
			run_drop(w, &w->runs[i]);
		else
			i++;
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
	if (w->faults.task_exact)
		ns = w->faults.task_ns_max;
	if (s->run_timeout_ns && fate(w, r, r->next, 2) % 1000 < w->faults.task_hangs)
		ns = s->run_timeout_ns + 1;
	if (s->run_timeout_ns && ns > s->run_timeout_ns)
		ns = s->run_timeout_ns + 1;
	r->epoch++;
	world_at(w, w->now + ns,
	        (struct event){.kind = EV_TASK_ENDS,
	                .life = w->keeper_life[r->node],
	                .lease = r->lease,
	                .arg = r->epoch});
}

/* Send results [from, to) of the run, or its end. The way takes time, may lose the message and may double it. */
static void send(struct world *w, const struct run *r, bool end, bool again)
{
	struct event ev = {.kind = EV_MESSAGE,
	        .life = w->engine_life,
	        .lease = r->lease,
	        .arg = end ? END_MARK : r->ended,
	        .again = again};

	if (node_down(w, r->node))
		return;
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
	if (r->orphan)
		run_drop(w, r);
	else
		send(w, r, true, false);
}

/* Has it committed to something? */
static bool has_held(const struct run *r)
{
	for (uint64_t i = 0; r->verified && i < r->ended; i++)
		if (r->results[i].outcome == WIRE__OUTCOME__SUCCEEDED)
			return true;
	return false;
}

/* The replica that the journal says this lease is, of the same step as run r; REPLICAS_MAX: another step's. */
static uint32_t replica_of(struct world *w, const struct run *r, uint64_t lease)
{
	for (size_t i = 0; i < w->durable; i++) {
		const Wire__LeaseGranted *g;
		const Wire__Entry *en;
		struct arena a;

		arena_init(&a, w->scratch, SCRATCH_BYTES);
		CHECK(entry_decode(&a, w->disk[i].bytes, w->disk[i].n, &en, NULL) == 0);
		g = en->lease_granted;
		if (en->body_case == WIRE__ENTRY__BODY_LEASE_GRANTED && g->lease == lease)
			return g->job == r->job && g->step == r->step ? g->replica : REPLICAS_MAX;
	}
	return REPLICAS_MAX;
}

/* What the journal says that another replica answered, or a guess. */
static uint8_t answer_of_another(struct world *w, const struct run *r, uint64_t task)
{
	for (size_t i = w->durable; i-- > 0;) {
		uint64_t lease, at;
		uint32_t replica;
		uint8_t answer;
		struct arena a;
		const Wire__Entry *en;

		arena_init(&a, w->scratch, SCRATCH_BYTES);
		CHECK(entry_decode(&a, w->disk[i].bytes, w->disk[i].n, &en, NULL) == 0);
		if (en->body_case != WIRE__ENTRY__BODY_RESULTS || !en->results->output_sha256.len ||
		        task - en->results->first >= en->results->count)
			continue;
		lease = en->results->lease;
		at = task - en->results->first;
		answer = en->results->output_sha256.data[32 * at];
		replica = replica_of(w, r, lease);
		if (replica < REPLICAS_MAX && replica != r->replica)
			return answer;
	}
	return GUESS;
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
	o->digest = w->liar[r->node] ? w->liar[r->node] : task_truth(s->index_first + r->next);
	if (w->guile[r->node] == WORLD_COPIES || w->guile[r->node] == WORLD_SWITCHES)
		o->digest = answer_of_another(w, r, r->next);
	if (fate(w, r, r->next, 5) % 1000 < w->faults.task_lies)
		o->digest = (uint8_t)(0x80 | r->lease);
	if (s->run_timeout_ns && fate(w, r, r->next, 2) % 1000 < w->faults.task_hangs)
		o->outcome = WIRE__OUTCOME__TIMED_OUT;
	r->ended++;
	r->next++;
	send(w, r, false, false);
	if (r->next < r->first + r->count)
		begin_task(w, r);
	else if (has_held(r))
		r->waiting = true;
	else
		over(w, r, WIRE__STOP_REASON__DONE);
}

/* ---- engine -> executor ---- */

/* Does the engine still count on it, and can it hear of it? */
static bool is_known(struct world *w, const struct run *r)
{
	struct lease_view v;

	return !r->orphan && !node_down(w, r->node) && engine_lease(w->engine, (lease_id){r->lease}, &v) &&
	       !v.parked;
}

/* Is it being stopped because another has its tasks? That one was granted while it could not be reached. */
static bool is_superseded(struct world *w, const struct run *r)
{
	struct lease_view v;

	return engine_lease(w->engine, (lease_id){r->lease}, &v) && v.stopping &&
	       v.reason == WIRE__STOP_REASON__SUPERSEDED;
}

static void start(struct world *w, uint64_t lease)
{
	struct lease_view v;
	struct run r;

	/* It may have been ended again before its start was durable. */
	if (!engine_lease(w->engine, (lease_id){lease}, &v) || v.cursor == v.first + v.count)
		return;
	if (node_down(w, v.node))
		return;
	CHECK(!executor_run(w, lease));
	if (lease > w->link[v.node].lease_seen)
		w->link[v.node].lease_seen = lease;
	world_say(w, "node   > lease %lu starts", (unsigned long)lease);
	for (size_t i = 0; i < w->n_runs; i++) {
		const struct run *o = &w->runs[i];

		if (!is_known(w, o) || is_superseded(w, o))
			continue; /* what cannot be reached may run: so it is with disconnected nodes */
		if (!o->over && !o->waiting && o->job == v.job.v && o->step == v.step &&
		        o->replica == v.replica && v.first < o->first + o->count &&
		        v.first + v.count > o->next)
			world_say(w, "node   > lease %lu still runs tasks from %lu to %lu",
			        (unsigned long)o->lease, (unsigned long)o->next,
			        (unsigned long)(o->first + o->count - 1));
		/* Nothing runs twice at a time. */
		CHECK(o->over || o->waiting || o->job != v.job.v || o->step != v.step ||
		        o->replica != v.replica || v.first >= o->first + o->count ||
		        v.first + v.count <= o->next);
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
	r.verified = engine_commits(w->engine, v.id);
	r.results = calloc(v.count, sizeof(*r.results));
	CHECK(r.results);
	ROOM(w->runs, w->n_runs, w->runs_room);
	w->runs[w->n_runs++] = r;
	begin_task(w, &w->runs[w->n_runs - 1]);
}

static void stop(struct world *w, uint64_t lease, Wire__StopReason reason)
{
	struct run *r = executor_run(w, lease);
	struct lease_view v;

	if (engine_lease(w->engine, (lease_id){lease}, &v) && node_down(w, v.node))
		return;
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
	        (struct event){.kind = EV_STOPPED, .life = w->keeper_life[r->node], .lease = lease});
}

static void reveal(struct world *w, uint64_t lease)
{
	struct run *r = executor_run(w, lease);

	if (!r || r->over || r->stopping || w->guile[r->node] == WORLD_MUTE || node_down(w, r->node))
		return;
	if (w->guile[r->node] == WORLD_SWITCHES) {
		/* It has time to look at what the others say. */
		r->results[0].digest = answer_of_another(w, r, r->first);
		if (r->results[0].digest == GUESS) {
			world_at(w, w->now + SIM_MS,
			        (struct event){.kind = EV_REVEAL, .life = w->engine_life, .lease = lease});
			return;
		}
	}
	r->revealing = true;
	over(w, r, WIRE__STOP_REASON__DONE);
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
	case EFFECT_REVEAL:
		reveal(w, fx->lease.v);
		break;
	case EFFECT_COMPARE:
		world_at(w, w->now + prng_below(&w->prng, 10 * SIM_MS),
		        (struct event){.kind = EV_COMPARED, .life = w->engine_life, .effect = *fx});
		break;
	case EFFECT_JOB:
	case EFFECT_FORGET:
	case EFFECT_IDENTITY:
	case EFFECT_ADJUST:
	case EFFECT_DELEGATED:
	case EFFECT_LINK:
	case EFFECT_QUOTA:
		break;
	}
}

void executor_acked(struct world *w, uint64_t lease, uint64_t cursor)
{
	struct run *r = executor_run(w, lease);

	if (r && !node_down(w, r->node) && cursor - r->first > r->acked)
		r->acked = cursor - r->first;
}

void executor_end_acked(struct world *w, uint64_t lease)
{
	struct run *r = executor_run(w, lease);

	if (r && r->over && !node_down(w, r->node))
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

		if (!engine_lease(w->engine, (lease_id){leases[i]}, &v) || v.node > w->nodes ||
		        node_down(w, v.node))
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

		if (node_down(w, r->node)) {
			i++;
			continue;
		}
		if (!engine_lease(w->engine, (lease_id){r->lease}, &v)) {
			run_drop(w, r);
			continue;
		}
		/* What reached the disk without anybody hearing of it, the engine that comes after knows. */
		if (v.cursor - r->first > r->acked)
			r->acked = v.cursor - r->first;
		r->told = r->acked;
		world_at(w, w->now,
		        (struct event){.kind = EV_RESEND, .life = w->engine_life, .lease = r->lease});
		i++;
	}
	for (lease_id l = {0}; engine_reveal_next(w->engine, l, &l);)
		reveal(w, l.v);
	more = engine_compare_next(w->engine, NULL, &fx);
	while (more) {
		executor_effect(w, &fx);
		more = engine_compare_next(w->engine, &fx, &fx);
	}
}

/* ---- nodes that have joined ---- */

void executor_cut(struct world *w, uint32_t node)
{
	for (size_t i = 0; i < w->n_runs; i++) {
		const struct run *r = &w->runs[i];
		const Wire__Disconnect *d = world_spec(w, world_book(w, r->job))->disconnect;

		if (r->node == node && !r->over && d && d->stop_after_ns)
			world_at(w, w->now + d->stop_after_ns,
			        (struct event){.kind = EV_HALT, .arg = node, .lease = w->link[node].cuts});
	}
}

void executor_halt(struct world *w, uint32_t node, uint64_t alone_ns)
{
	for (size_t i = 0; i < w->n_runs; i++) {
		struct run *r = &w->runs[i];
		const Wire__Disconnect *d = world_spec(w, world_book(w, r->job))->disconnect;

		if (r->node != node || r->over || r->orphan || !d || !d->stop_after_ns ||
		        d->stop_after_ns > alone_ns)
			continue;
		world_say(w, "node   > lease %lu stopped: node %u has been alone for too long",
		        (unsigned long)r->lease, node);
		r->over = true;
		r->epoch++;
		r->reason = WIRE__STOP_REASON__CANCELLED;
	}
}

void executor_forget(struct world *w, uint32_t node)
{
	struct lease_view v;

	for (size_t i = 0; i < w->n_runs;) {
		struct run *r = &w->runs[i];

		if (r->node != node || engine_lease(w->engine, (lease_id){r->lease}, &v)) {
			i++;
		} else if (r->over) {
			run_drop(w, r);
		} else {
			world_say(w, "node   > lease %lu is nobody's any more", (unsigned long)r->lease);
			if (!r->orphan && !r->stopping)
				world_at(w, w->now + 1 + prng_below(&w->prng, 100 * SIM_MS),
				        (struct event){.kind = EV_STOPPED,
				                .life = w->keeper_life[r->node],
				                .lease = r->lease});
			r->orphan = true;
			i++;
		}
	}
}

static void gone(struct world *w, uint64_t lease)
{
	Wire__LeaseEnded ended = WIRE__LEASE_ENDED__INIT;
	struct command cmd = {.kind = CMD_LEASE_ENDED, .u.ended = &ended};

	ended.lease = lease;
	ended.reason = WIRE__STOP_REASON__NODE_LOST;
	world_command(w, &cmd);
}

void executor_gone(struct world *w, const struct lease_view *v)
{
	if (!executor_run(w, v->id.v) && (v->parked || v->id.v <= w->link[v->node].lease_seen))
		gone(w, v->id.v);
}

void executor_hello(struct world *w, const struct lease_view *v)
{
	struct run *r = executor_run(w, v->id.v);

	if (!r && v->id.v > w->link[v->node].lease_seen && !v->stopping && !v->parked) {
		start(w, v->id.v);
	} else if (!r) {
		gone(w, v->id.v);
	} else {
		r->acked = r->told = v->cursor - v->first;
		if (v->revealing)
			reveal(w, v->id.v);
		if (v->stopping) {
			r->stopping = false;
			stop(w, v->id.v, v->reason);
		}
		world_at(w, w->now,
		        (struct event){.kind = EV_RESEND, .life = w->engine_life, .lease = v->id.v});
	}
}

/* ---- executor -> engine ---- */

enum report { REPORT_PLAIN, REPORT_COMMIT, REPORT_REVEAL };

static void report_as(struct world *w, const struct run *r, uint64_t from, uint64_t to, enum report how)
{
	Wire__Results m = WIRE__RESULTS__INIT;
	struct command cmd = {.kind = CMD_RESULTS, .u.results = &m};
	uint64_t n = to - from;
	Wire__Outcome *outcome = calloc(n, sizeof(*outcome));
	int32_t *code = calloc(n, sizeof(*code));
	uint64_t *wall = calloc(n, sizeof(*wall)), *bytes = calloc(n, sizeof(*bytes));
	uint32_t *outputs = calloc(n, sizeof(*outputs));
	uint8_t *sha = calloc(n, 32), *nonces = calloc(n, RESULT_NONCE_BYTES), *commitments = calloc(n, 32);

	CHECK(n && outcome && code && wall && bytes && outputs && sha && nonces && commitments);
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
		for (size_t k = 0; k < RESULT_NONCE_BYTES && how != REPORT_PLAIN; k++)
			nonces[RESULT_NONCE_BYTES * i + k] = (uint8_t)fate(w, r, m.first + i, 6 + k);
	}
	m.n_outcome = m.n_code = m.n_wall_us = m.n_outputs = m.n_output_bytes = n;
	m.outcome = outcome;
	m.code = code;
	m.wall_us = wall;
	m.outputs = outputs;
	m.output_bytes = bytes;
	m.output_sha256 = (ProtobufCBinaryData){32 * n, sha};
	if (how != REPORT_PLAIN)
		m.nonces = (ProtobufCBinaryData){RESULT_NONCE_BYTES * n, nonces};
	if (how == REPORT_COMMIT) {
		Wire__Results all = m;

		engine_commitments(&all, commitments);
		m = (Wire__Results)WIRE__RESULTS__INIT;
		m.lease = all.lease;
		m.first = all.first;
		m.count = n;
		m.commitments = (ProtobufCBinaryData){32 * n, commitments};
	}
	world_command(w, &cmd); /* r may be gone or elsewhere afterwards */
	free(outcome);
	free(code);
	free(wall);
	free(bytes);
	free(outputs);
	free(sha);
	free(nonces);
	free(commitments);
}

/* Successes of replicas are committed to first; failures are told. `reveal`: what was committed to. */
static void report(struct world *w, uint64_t lease, uint64_t from, uint64_t to, bool reveal)
{
	struct run *r;
	uint64_t n;

	for (; (r = executor_run(w, lease)) && from < to; from += n) {
		bool good = r->results[from].outcome == WIRE__OUTCOME__SUCCEEDED;

		n = 1;
		while (from + n < to &&
		        (!r->verified || (r->results[from + n].outcome == WIRE__OUTCOME__SUCCEEDED) == good))
			n++;
		if (!reveal && from + n > r->told)
			r->told = from + n;
		if (!reveal || good)
			report_as(w, r, from, from + n,
			        !r->verified || !good ? REPORT_PLAIN
			        : reveal              ? REPORT_REVEAL
			                              : REPORT_COMMIT);
	}
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
		report(w, ev->lease, from, to, false);
	if (ev->arg != END_MARK)
		return;
	r = executor_run(w, ev->lease);
	if (r && r->revealing)
		report(w, ev->lease, 0, r->ended, true);
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

	if (ev->kind == EV_REVEAL) {
		if (ev->life == w->engine_life && r && !node_down(w, r->node))
			reveal(w, ev->lease);
		return;
	}
	if (ev->kind == EV_COMPARED) {
		if (ev->life == w->engine_life)
			compared(w, &ev->effect);
		return;
	}
	if (!r || ev->life != (ours ? w->keeper_life[r->node] : w->engine_life))
		return;
	if (!ours && (node_down(w, r->node) || r->orphan))
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

		if (r->over || r->waiting || !is_known(w, r))
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

		if (v[i].state == TASK_DONE && v[i].outcome == WIRE__OUTCOME__DISAGREED)
			world_say(w, "votes  > task %lu: node %u did not reveal what it committed to",
			        (unsigned long)task, v[i].node);
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
	uint64_t runs = 0, right = 0, wrong = 0, alone = 0;
	struct step_view sv;

	CHECK(engine_step(w->engine, (job_id){job}, step, &sv));
	for (uint64_t i = 0; i < sv.tasks; i++) {
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
	        (unsigned long)job, (unsigned long)sv.tasks, (unsigned long)runs, (unsigned long)alone,
	        (unsigned long)right, (unsigned long)wrong);
	for (uint32_t node = 1; node <= w->nodes; node++)
		world_say(w, "votes  > node %u: others agreed with its last %lu checked results", node,
		        (unsigned long)engine_trust(w->engine, node));
}
