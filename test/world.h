/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world - an engine in memory with its journal, for tests of the core. Included by one test file each.
 *
 * Every entry goes through its bytes: decide, encode, decode, apply; the bytes are kept, so that a test can fold them
 * again and compare.
 */
#ifndef OSIER_TEST_WORLD_H
#define OSIER_TEST_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/check.h"
#include "core/engine.h"
#include "core/sched.h"
#include "wire/entry.h"

#define SEC 1000000000ull
#define MS  1000000ull
#define T0  (1700000000ull * SEC)

struct world {
	struct engine *e;
	struct engine_limits limits;
	void *mem;
	uint64_t now;
	struct arena in, decoded; /* what decide wrote; what it was decoded to */
	uint8_t *in_mem, *decoded_mem;
	struct entry_list list;
	const Wire__Entry *v[256];
	const Wire__Entry *last[256]; /* as applied by the last world_do() */
	size_t n_last;
	struct effect effects[EFFECTS_PER_APPLY_MAX * 2];
	size_t n_effects;
	uint8_t *journal; /* u32 length, bytes, again */
	size_t journal_bytes, journal_max;
	uint64_t granted; /* the last lease */
	struct world_held {
		struct world_held *next;
		uint64_t lease;
		size_t n;
		uint8_t bytes[]; /* Results that were committed to */
	} * held;
	int check; /* engine_check() after every entry */
};

#define WORLD_ARENA (8u << 20)

__attribute__((unused)) static struct engine *world_engine(const struct engine_limits *l, void **out_mem)
{
	void *mem = mmap(NULL, l->memory_bytes, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct engine *e;

	assert_true(mem != MAP_FAILED);
	e = engine_new(mem, l);
	assert_non_null(e);
	*out_mem = mem;
	return e;
}

__attribute__((unused)) static void world_init_limits(struct world *w, const struct engine_limits *l)
{
	memset(w, 0, sizeof(*w));
	w->limits = *l;
	w->e = world_engine(l, &w->mem);
	w->in_mem = aligned_alloc(16, WORLD_ARENA);
	w->decoded_mem = aligned_alloc(16, 4 * WORLD_ARENA);
	w->journal_max = 64u << 20;
	w->journal = mmap(NULL, w->journal_max, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	w->now = T0;
	w->check = 1;
}

__attribute__((unused)) static void world_init(struct world *w)
{
	struct engine_limits l = engine_limits_default(256u << 20);

	world_init_limits(w, &l);
}

__attribute__((unused)) static void world_release(struct world *w)
{
	munmap(w->mem, w->limits.memory_bytes);
	munmap(w->journal, w->journal_max);
	free(w->in_mem);
	free(w->decoded_mem);
	while (w->held) {
		struct world_held *h = w->held;

		w->held = h->next;
		free(h);
	}
}

/* Encode, keep, decode and apply one entry; the entry as decoded. */
__attribute__((unused)) static const Wire__Entry *world_apply(struct world *w, const Wire__Entry *en)
{
	struct effect_list out = {w->effects, w->n_effects, ARRAY_LEN(w->effects)};
	size_t n = entry_size(en);
	uint32_t len = (uint32_t)n;
	uint8_t *p = w->journal + w->journal_bytes + 4;
	const Wire__Entry *decoded;

	assert_true(w->journal_bytes + n + 4 <= w->journal_max);
	memcpy(p - 4, &len, 4);
	assert_int_equal(entry_encode(en, p), n);
	w->journal_bytes += n + 4;
	assert_int_equal(entry_decode(&w->decoded, p, n, &decoded, NULL), 0);
	engine_apply(w->e, decoded, &out);
	w->n_effects = out.n;
	if (en->body_case == WIRE__ENTRY__BODY_LEASE_GRANTED)
		w->granted = en->lease_granted->lease;
	if (w->check)
		engine_check(w->e);
	return decoded;
}

/* Decide, encode, decode, apply. Returns the number of entries; they are in w->last until the next call. */
__attribute__((unused)) static size_t world_do(struct world *w, const struct command *cmd)
{
	arena_init(&w->in, w->in_mem, WORLD_ARENA);
	arena_init(&w->decoded, w->decoded_mem, 4 * WORLD_ARENA);
	w->list = (struct entry_list){&w->in, w->v, 0, ARRAY_LEN(w->v), 0};
	w->n_effects = 0;
	engine_decide(w->e, w->now, cmd, &w->list);
	assert_false(w->list.full);
	w->n_last = w->list.n;
	for (size_t i = 0; i < w->list.n; i++)
		w->last[i] = world_apply(w, w->v[i]);
	return w->list.n;
}

/* The entry that the last command caused, of this kind; exactly one entry is expected. */
__attribute__((unused)) static const Wire__Entry *world_one(struct world *w, Wire__Entry__BodyCase body)
{
	if (w->n_last == 1 && w->last[0]->body_case == WIRE__ENTRY__BODY_REFUSED &&
	        body != WIRE__ENTRY__BODY_REFUSED)
		print_message("refused: %s: %s\n", w->last[0]->refused->code, w->last[0]->refused->reason);
	assert_int_equal(w->n_last, 1);
	assert_int_equal(w->last[0]->body_case, body);
	return w->last[0];
}

__attribute__((unused)) static void world_refused(struct world *w, const char *code, const char *words)
{
	const Wire__Entry *en = world_one(w, WIRE__ENTRY__BODY_REFUSED);

	assert_string_equal(en->refused->code, code);
	if (!strstr(en->refused->reason, words))
		fail_msg("'%s' does not say '%s'", en->refused->reason, words);
}

__attribute__((unused)) static size_t world_tick(struct world *w)
{
	return world_do(w, &(struct command){.kind = CMD_TICK});
}

/* Tick until nothing comes back. */
__attribute__((unused)) static size_t world_settle(struct world *w)
{
	size_t n = 0;

	while (world_tick(w))
		assert_true(++n < 100000);
	assert_true(engine_deadline_ns(w->e, w->now) > w->now);
	return n;
}

__attribute__((unused)) static void world_node(
        struct world *w, uint32_t node, uint64_t cpus, Wire__NodeSet__State state)
{
	Wire__NodeSet m = WIRE__NODE_SET__INIT;
	Wire__Need cpu = WIRE__NEED__INIT, mem = WIRE__NEED__INIT, *needs[2] = {&cpu, &mem};
	char name[16];

	(void)snprintf(name, sizeof(name), "node%u", node);
	cpu.name = "cpu";
	cpu.amount = cpus * 1000;
	mem.name = "memory";
	mem.amount = 1ull << 34;
	m.node = node;
	m.name = name;
	m.n_capacity = 2;
	m.capacity = needs;
	m.state = state;
	world_do(w, &(struct command){.kind = CMD_NODE_SET, .u.node_set = &m});
	(void)world_one(w, WIRE__ENTRY__BODY_NODE_SET);
}

__attribute__((unused)) static void world_boot(struct world *w)
{
	Wire__Boot m = WIRE__BOOT__INIT;

	m.version = "test";
	m.seed = 42;
	world_do(w, &(struct command){.kind = CMD_BOOT, .u.boot = &m});
	(void)world_one(w, WIRE__ENTRY__BODY_BOOT);
}

/* ---- specifications ---- */

#define SPEC_STEPS 6

struct spec {
	Wire__JobSpec job;
	Wire__Step step[SPEC_STEPS], *steps[SPEC_STEPS];
	Wire__Param param[SPEC_STEPS], *params[SPEC_STEPS];
	Wire__Command command[SPEC_STEPS];
	Wire__Retry retry[SPEC_STEPS];
	Wire__Variant variant[SPEC_STEPS], *variants[SPEC_STEPS];
	Wire__Need need[SPEC_STEPS], *needs[SPEC_STEPS];
	Wire__After after[SPEC_STEPS][2], *afters[SPEC_STEPS][2];
	Wire__Reduce reduce[SPEC_STEPS];
	Wire__Verify verify[SPEC_STEPS];
	Wire__Command comparator[SPEC_STEPS];
	char *argv[1];
};

__attribute__((unused)) static void spec_init(struct spec *s, const char *name)
{
	memset(s, 0, sizeof(*s));
	wire__job_spec__init(&s->job);
	s->job.version = 1;
	s->job.name = (char *)(uintptr_t)name;
	s->job.namespace_ = "default";
	s->job.priority = 50;
	s->job.keep_going = 1;
	s->job.steps = s->steps;
	s->job.source = "job.yaml";
	s->argv[0] = "true";
}

__attribute__((unused)) static Wire__Step *spec_step(struct spec *s, const char *name, uint64_t tasks)
{
	size_t k = s->job.n_steps++;
	Wire__Step *st = &s->step[k];

	assert_true(k < SPEC_STEPS);
	wire__step__init(st);
	wire__command__init(&s->command[k]);
	wire__retry__init(&s->retry[k]);
	wire__variant__init(&s->variant[k]);
	wire__need__init(&s->need[k]);
	s->command[k].n_argv = 1;
	s->command[k].argv = s->argv;
	s->need[k].name = "cpu";
	s->need[k].amount = 1000;
	s->needs[k] = &s->need[k];
	s->variant[k].n_needs = 1;
	s->variant[k].needs = &s->needs[k];
	s->variants[k] = &s->variant[k];
	st->name = (char *)(uintptr_t)name;
	st->command = &s->command[k];
	st->retry = &s->retry[k];
	st->n_variants = 1;
	st->variants = &s->variants[k];
	st->tasks = tasks;
	st->kind = (char *)(uintptr_t)name;
	st->pids_max = 100;
	if (tasks > 1) {
		wire__param__init(&s->param[k]);
		s->param[k].name = "i";
		s->param[k].stride = 1;
		s->param[k].last = (int64_t)tasks - 1;
		s->param[k].count = tasks;
		s->params[k] = &s->param[k];
		st->n_params = 1;
		st->params = &s->params[k];
	}
	s->steps[k] = st;
	return st;
}

__attribute__((unused)) static void spec_after(
        struct spec *s, size_t k, const char *of, Wire__After__Mode mode, Wire__After__On on)
{
	Wire__After *a = &s->after[k][s->step[k].n_after];

	wire__after__init(a);
	a->step = (char *)(uintptr_t)of;
	a->mode = mode;
	a->on = on;
	s->afters[k][s->step[k].n_after++] = a;
	s->step[k].after = s->afters[k];
}

__attribute__((unused)) static void spec_reduce(struct spec *s, size_t k, const char *of, uint32_t fan_in)
{
	wire__reduce__init(&s->reduce[k]);
	s->reduce[k].of = (char *)(uintptr_t)of;
	s->reduce[k].associative = fan_in != 0;
	s->reduce[k].fan_in = fan_in;
	s->step[k].reduce = &s->reduce[k];
	s->step[k].n_params = 0;
}

__attribute__((unused)) static void spec_verify(
        struct spec *s, size_t k, uint32_t replicas, uint32_t agree, int comparator)
{
	wire__verify__init(&s->verify[k]);
	s->verify[k].replicas = replicas;
	s->verify[k].agree = agree;
	wire__command__init(&s->comparator[k]);
	s->comparator[k].n_argv = 1;
	s->comparator[k].argv = s->argv;
	s->verify[k].comparator = comparator ? &s->comparator[k] : NULL;
	s->step[k].verify = &s->verify[k];
}

/* ---- commands ---- */

__attribute__((unused)) static size_t world_submit_as(
        struct world *w, const struct spec *s, const char *key, uint32_t uid)
{
	Wire__Principal by = WIRE__PRINCIPAL__INIT;

	by.name = "somebody";
	by.uid = uid;
	return world_do(w,
	        &(struct command){.kind = CMD_SUBMIT, .by = &by, .u.submit = {.spec = &s->job, .key = key}});
}

/* Submit; it must be taken. Returns its number. */
__attribute__((unused)) static uint64_t world_submit(struct world *w, const struct spec *s)
{
	world_submit_as(w, s, NULL, 1000);
	return world_one(w, WIRE__ENTRY__BODY_JOB_SUBMITTED)->job_submitted->job;
}

__attribute__((unused)) static size_t world_job_command(struct world *w, enum command_kind kind, uint64_t job)
{
	return world_do(w, &(struct command){.kind = kind, .u.job = {{job}, "because"}});
}

__attribute__((unused)) static size_t world_ended(struct world *w, uint64_t lease, Wire__StopReason why)
{
	Wire__LeaseEnded m = WIRE__LEASE_ENDED__INIT;

	m.lease = lease;
	m.reason = why;
	return world_do(w, &(struct command){.kind = CMD_LEASE_ENDED, .u.ended = &m});
}

/* Results, as an executor tells them: those of replicas that succeeded are committed to. */
__attribute__((unused)) static size_t world_tell(struct world *w, const Wire__Results *told)
{
	Wire__Results r = *told, c = WIRE__RESULTS__INIT;
	uint8_t *nonces = calloc(r.count, RESULT_NONCE_BYTES), *sums = calloc(r.count, 32);
	struct world_held *h;
	size_t n;

	for (uint64_t i = 0; i < r.count; i++)
		nonces[RESULT_NONCE_BYTES * i] = (uint8_t)(r.lease + r.first + i);
	r.nonces = (ProtobufCBinaryData){RESULT_NONCE_BYTES * r.count, nonces};
	if (!engine_commits(w->e, (lease_id){r.lease}) ||
	        RESULT_COLUMN(&r, outcome, 0) != WIRE__OUTCOME__SUCCEEDED) {
		n = world_do(w, &(struct command){.kind = CMD_RESULTS, .u.results = told});
	} else {
		h = malloc(sizeof(*h) + results_size(&r));
		*h = (struct world_held){.next = w->held, .lease = r.lease};
		h->n = results_encode(&r, h->bytes);
		w->held = h;
		engine_commitments(&r, sums);
		c.lease = r.lease;
		c.first = r.first;
		c.count = r.count;
		c.commitments = (ProtobufCBinaryData){32 * r.count, sums};
		n = world_do(w, &(struct command){.kind = CMD_RESULTS, .u.results = &c});
	}
	free(nonces);
	free(sums);
	return n;
}

/* Has the lease committed to something that it was not asked for? */
__attribute__((unused)) static int world_waits(struct world *w, uint64_t lease)
{
	struct lease_view l;

	return engine_lease(w->e, (lease_id){lease}, &l) && l.held && l.cursor == l.first + l.count &&
	       !l.stopping;
}

/* Whoever is asked to reveal does so, and ends. */
__attribute__((unused)) static void world_reveal(struct world *w)
{
	static uint8_t mem[1 << 20] __attribute__((aligned(16)));

	for (lease_id l = {0}; engine_reveal_next(w->e, l, &l);) {
		int found = 0;

		for (struct world_held *h = w->held; h; h = h->next) {
			const Wire__Results *r;
			struct arena a;

			arena_init(&a, mem, sizeof(mem));
			if (h->lease != l.v)
				continue;
			found = 1;
			assert_int_equal(results_decode(&a, h->bytes, h->n, &r, NULL), 0);
			world_do(w, &(struct command){.kind = CMD_RESULTS, .u.results = r});
			(void)world_one(w, WIRE__ENTRY__BODY_RESULTS);
		}
		if (found)
			world_ended(w, l.v, WIRE__STOP_REASON__DONE);
	}
}

/* `n` leases that wait have waited long enough. */
__attribute__((unused)) static void world_patience(struct world *w, int n)
{
	w->now += SEC;
	for (int i = 0; i < n; i++) {
		world_tick(w);
		(void)world_one(w, WIRE__ENTRY__BODY_EXPIRED);
	}
	world_reveal(w);
}

/* `count` results of one outcome from the cursor on. */
__attribute__((unused)) static size_t world_results(
        struct world *w, uint64_t lease, uint64_t first, uint64_t count, Wire__Outcome o, int32_t code)
{
	Wire__Results r = WIRE__RESULTS__INIT;
	uint64_t wall = 1000;

	r.lease = lease;
	r.first = first;
	r.count = count;
	r.n_outcome = o != WIRE__OUTCOME__SUCCEEDED;
	r.outcome = &o;
	r.n_code = code != 0;
	r.code = &code;
	r.n_wall_us = 1;
	r.wall_us = &wall;
	return world_tell(w, &r);
}

/* The lease that the next tick grants. */
__attribute__((unused)) static struct lease_view world_lease(struct world *w)
{
	struct lease_view l;

	world_tick(w);
	assert_true(engine_lease(
	        w->e, (lease_id){world_one(w, WIRE__ENTRY__BODY_LEASE_GRANTED)->lease_granted->lease}, &l));
	return l;
}

/* A lease of these tasks, whatever the scheduler thinks of it: as the journal of another time would bring it. */
__attribute__((unused)) static struct lease_view world_grant_on(struct world *w, uint32_t node, uint64_t job,
        uint32_t step, uint32_t replica, uint64_t first, uint64_t count)
{
	Wire__Entry en = WIRE__ENTRY__INIT;
	Wire__LeaseGranted m = WIRE__LEASE_GRANTED__INIT;
	struct lease_view l;

	m.lease = w->granted + 1;
	m.job = job;
	m.step = step;
	m.replica = replica;
	m.first = first;
	m.count = count;
	m.node = node;
	en.time_ns = w->now;
	en.body_case = WIRE__ENTRY__BODY_LEASE_GRANTED;
	en.lease_granted = &m;
	arena_init(&w->decoded, w->decoded_mem, 4 * WORLD_ARENA);
	w->n_effects = 0;
	(void)world_apply(w, &en);
	assert_true(engine_lease(w->e, (lease_id){m.lease}, &l));
	return l;
}

__attribute__((unused)) static struct lease_view world_grant(
        struct world *w, uint64_t job, uint32_t step, uint32_t replica, uint64_t first, uint64_t count)
{
	return world_grant_on(w, 1, job, step, replica, first, count);
}

/* Run the whole of a lease with this outcome and end it. */
__attribute__((unused)) static void world_run(struct world *w, const struct lease_view *l, Wire__Outcome o)
{
	world_results(w, l->id.v, l->cursor, l->first + l->count - l->cursor, o, o == WIRE__OUTCOME__FAILED);
	(void)world_one(w, WIRE__ENTRY__BODY_RESULTS);
	if (engine_commits(w->e, l->id)) {
		world_reveal(w);
		if (world_waits(w, l->id.v) || !engine_lease(w->e, l->id, &(struct lease_view){0}))
			return;
	}
	world_ended(w, l->id.v, WIRE__STOP_REASON__DONE);
	(void)world_one(w, WIRE__ENTRY__BODY_LEASE_ENDED);
}

/* Grant and run leases, all succeeding, until nothing is left to do. */
__attribute__((unused)) static void world_finish(struct world *w)
{
	struct lease_view l;

	for (int i = 0; i < 100000; i++) {
		world_settle(w);
		world_reveal(w);
		if (!engine_lease_next(w->e, (lease_id){0}, &l))
			return;
		while (world_waits(w, l.id.v) && engine_lease_next(w->e, l.id, &l))
			;
		if (world_waits(w, l.id.v))
			w->now += SEC; /* all of them */
		else if (l.stopping || l.cursor == l.first + l.count)
			world_ended(w, l.id.v, WIRE__STOP_REASON__DONE);
		else
			world_run(w, &l, WIRE__OUTCOME__SUCCEEDED);
	}
	fail_msg("it never ends");
}

__attribute__((unused)) static struct job_view world_job(struct world *w, uint64_t job)
{
	struct job_view v;

	assert_true(engine_job(w->e, (job_id){job}, &v));
	return v;
}

__attribute__((unused)) static struct task_view world_task(
        struct world *w, uint64_t job, uint32_t step, uint64_t task)
{
	struct task_view v;

	assert_true(engine_task(w->e, (job_id){job}, step, task, &v));
	return v;
}

/* Run jobs of one short task of this kind, so that the scheduler leases many of its tasks together. */
__attribute__((unused)) static void world_teach(struct world *w, const char *kind)
{
	struct spec s;

	spec_init(&s, "teach");
	spec_step(&s, kind, 1);
	for (int i = 0; i < 20; i++) {
		(void)world_submit(w, &s);
		world_finish(w);
	}
}

/* ---- again from the journal ---- */

/* Fold bytes [from, to) of the journal into e. */
__attribute__((unused)) static void world_fold(struct world *w, struct engine *e, size_t from, size_t to)
{
	while (from < to) {
		const Wire__Entry *en;
		struct arena a;
		uint32_t n;

		memcpy(&n, w->journal + from, 4);
		arena_init(&a, w->decoded_mem, 4 * WORLD_ARENA);
		assert_int_equal(entry_decode(&a, w->journal + from + 4, n, &en, NULL), 0);
		engine_apply(e, en, NULL);
		from += n + 4;
	}
}

/* A fresh engine that folds the journal is equal. */
__attribute__((unused)) static void world_replay_is_equal(struct world *w)
{
	void *mem;
	struct engine *e = world_engine(&w->limits, &mem);

	world_fold(w, e, 0, w->journal_bytes);
	engine_check(e);
	assert_true(sched_digest(engine_sched(e)) == sched_digest(engine_sched(w->e)));
	assert_true(engine_digest(e) == engine_digest(w->e));
	munmap(mem, w->limits.memory_bytes);
}

/* Bytes of a snapshot. */
struct saved {
	uint8_t *bytes;
	size_t n, max;
};

__attribute__((unused)) static int saved_put(void *ctx, const void *p, size_t n)
{
	struct saved *s = ctx;

	if (n > s->max - s->n)
		return -1;
	memcpy(s->bytes + s->n, p, n);
	s->n += n;
	return 0;
}

/* A fresh engine that loads a snapshot is equal. Returns the bytes of the snapshot; *out is the engine if it is wanted. */
__attribute__((unused)) static size_t world_load_is_equal(
        struct world *w, struct engine **out, void **out_mem)
{
	struct saved s = {.bytes = w->decoded_mem, .max = 4 * WORLD_ARENA};
	void *mem;
	struct engine *e = world_engine(&w->limits, &mem);
	struct err err = {0};

	assert_int_equal(engine_save(w->e, saved_put, &s), 0);
	if (engine_load(e, s.bytes, s.n, &err) < 0)
		fail_msg("%s", err.msg);
	engine_check(e);
	assert_true(sched_digest(engine_sched(e)) == sched_digest(engine_sched(w->e)));
	assert_true(engine_digest(e) == engine_digest(w->e));
	if (out) {
		*out = e;
		*out_mem = mem;
	} else {
		munmap(mem, w->limits.memory_bytes);
	}
	return s.n;
}

#endif
