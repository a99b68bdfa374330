/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about verified steps: replicas vote, m agree, disagreement names who. */
#include "../world.h"

#include "base/prng.h"

static void start(
        struct world *w, struct spec *s, uint64_t tasks, uint32_t replicas, uint32_t agree, int comparator)
{
	world_init(w);
	world_boot(w);
	world_node(w, 1, 4, WIRE__NODE_SET__STATE__UP);
	spec_init(s, "v");
	spec_step(s, "a", tasks);
	spec_verify(s, 0, replicas, agree, comparator);
	assert_int_equal(world_submit(w, s), 1);
}

static void end(struct world *w)
{
	engine_check(w->e);
	world_replay_is_equal(w);
	(void)world_load_is_equal(w, NULL, NULL);
	world_release(w);
}

/* One success of the lease, whose stdout has this digest (its first byte; 0: no output), and stderr another. */
static void vote(struct world *w, const struct lease_view *l, uint8_t digest, uint8_t err_digest)
{
	struct lease_view now;
	uint8_t sha[64] = {digest};
	uint64_t bytes[2] = {digest != 0, err_digest != 0};
	uint32_t outputs = err_digest ? 2 : digest != 0;
	Wire__Results r = WIRE__RESULTS__INIT;

	sha[digest ? 32 : 0] = err_digest;
	assert_true(engine_lease(w->e, l->id, &now));
	r.lease = l->id.v;
	r.first = now.cursor;
	r.count = 1;
	r.n_outputs = 1;
	r.outputs = &outputs;
	r.n_output_bytes = outputs;
	r.output_bytes = bytes;
	r.output_sha256.data = sha;
	r.output_sha256.len = 32 * (size_t)(bytes[0] + bytes[1]);
	world_tell(w, &r);
	(void)world_one(w, WIRE__ENTRY__BODY_RESULTS);
	world_reveal(w);
}

/* Unless it ended when it revealed. */
static void ended(struct world *w, const struct lease_view *l)
{
	if (!engine_lease(w->e, l->id, &(struct lease_view){0}))
		return;
	world_ended(w, l->id.v, WIRE__STOP_REASON__DONE);
	(void)world_one(w, WIRE__ENTRY__BODY_LEASE_ENDED);
}

static void replicas_of_a_task_are_never_in_one_lease(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l[3];

	(void)state;
	start(&w, &s, 2, 3, 2, 0);
	for (uint32_t r = 0; r < 3; r++) {
		l[r] = world_grant(&w, 1, 0, r, 0, 2);
		assert_int_equal(l[r].replica, r);
	}
	assert_int_equal(world_job(&w, 1).counts.leased, 2);
	assert_int_equal(world_job(&w, 1).counts.total, 2);
	end(&w);
}

static void task_is_committed_when_enough_agree_and_the_rest_is_stopped(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view a, b, c;
	struct vote_view v[3];

	(void)state;
	start(&w, &s, 1, 3, 2, 0);
	a = world_lease(&w);
	b = world_lease(&w);
	c = world_lease(&w);
	vote(&w, &a, 7, 1);
	assert_int_equal(world_task(&w, 1, 0, 0).state, TASK_LEASED);
	vote(&w, &b, 7, 2); /* stderr may differ */
	assert_int_equal(world_task(&w, 1, 0, 0).state, TASK_LEASED);
	world_patience(&w, 2);
	assert_int_equal(world_task(&w, 1, 0, 0).state, TASK_DONE);
	assert_int_equal(world_task(&w, 1, 0, 0).outcome, WIRE__OUTCOME__SUCCEEDED);
	world_tick(&w);
	assert_int_equal(world_one(&w, WIRE__ENTRY__BODY_LEASE_STOPPING)->lease_stopping->lease, c.id.v);
	ended(&w, &a);
	ended(&w, &b);
	assert_int_equal(world_job(&w, 1).state, JOB_RUNNING);
	ended(&w, &c);
	assert_int_equal(world_job(&w, 1).state, JOB_SUCCEEDED);
	assert_int_equal(engine_votes(w.e, (job_id){1}, 0, 0, v, 3), 3);
	assert_int_equal(v[0].class_, 0);
	assert_int_equal(v[1].class_, 0);
	assert_true(v[0].committed && v[1].committed && !v[2].committed);
	assert_int_equal(v[1].lease.v, b.id.v);
	assert_int_equal(v[2].outcome, WIRE__OUTCOME__SKIPPED);
	end(&w);
}

static void replicas_not_begun_are_not_needed_any_more(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view a, b;

	(void)state;
	start(&w, &s, 1, 5, 2, 0);
	a = world_lease(&w);
	b = world_lease(&w);
	vote(&w, &a, 7, 0);
	vote(&w, &b, 7, 0);
	world_patience(&w, 2);
	assert_int_equal(world_settle(&w), 0);
	assert_int_equal(world_job(&w, 1).state, JOB_SUCCEEDED);
	assert_int_equal(world_job(&w, 1).attempts, 2);
	end(&w);
}

static void disagreement_names_who(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l[3];
	struct vote_view v[3];

	(void)state;
	start(&w, &s, 1, 3, 3, 0);
	for (int i = 0; i < 3; i++)
		l[i] = world_lease(&w);
	vote(&w, &l[0], 7, 0);
	vote(&w, &l[1], 8, 0);
	vote(&w, &l[2], 7, 0);
	assert_int_equal(world_task(&w, 1, 0, 0).outcome, WIRE__OUTCOME__DISAGREED);
	assert_int_equal(engine_votes(w.e, (job_id){1}, 0, 0, v, 3), 3);
	assert_int_equal(v[0].class_, 0);
	assert_int_equal(v[1].class_, 1);
	assert_int_equal(v[0].digest[0], 7);
	assert_false(v[0].committed);
	assert_int_equal(world_job(&w, 1).state, JOB_FAILED);
	end(&w);
}

static void failures_that_agree_are_a_failure(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l[3];

	(void)state;
	start(&w, &s, 1, 3, 2, 0);
	for (int i = 0; i < 3; i++)
		l[i] = world_lease(&w);
	world_results(&w, l[0].id.v, 0, 1, WIRE__OUTCOME__FAILED, 4);
	vote(&w, &l[1], 3, 0);
	world_results(&w, l[2].id.v, 0, 1, WIRE__OUTCOME__SIGNALED, 11);
	assert_int_equal(world_task(&w, 1, 0, 0).outcome, WIRE__OUTCOME__FAILED);
	end(&w);
}

static void outputs_are_compared_all_but_stderr(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l[2];
	uint8_t sha[96] = {1};
	uint64_t bytes[3] = {5, 0, 9};
	uint32_t n = 3;
	Wire__Results r = WIRE__RESULTS__INIT;

	(void)state;
	start(&w, &s, 2, 2, 2, 0);
	r.count = 1;
	r.n_outputs = 1;
	r.outputs = &n;
	r.n_output_bytes = 3;
	r.output_bytes = bytes;
	r.output_sha256.data = sha;
	for (uint64_t task = 0; task < 2; task++) {
		l[0] = world_grant(&w, 1, 0, 0, task, 1);
		l[1] = world_grant(&w, 1, 0, 1, task, 1);
		r.first = task;
		for (uint8_t i = 0; i < 2; i++) {
			r.lease = l[i].id.v;
			bytes[1] = i; /* only one printed to stderr */
			memset(sha + 32, i ? 99 : 5, 32);
			memset(sha + 64, 5, 32);
			r.output_sha256.len = 64 + 32u * i;
			if (task == 1 && i == 1)
				sha[64] = 6; /* the declared output differs */
			world_tell(&w, &r);
			(void)world_one(&w, WIRE__ENTRY__BODY_RESULTS);
			world_reveal(&w);
		}
	}
	assert_int_equal(world_task(&w, 1, 0, 0).outcome, WIRE__OUTCOME__SUCCEEDED);
	assert_int_equal(world_task(&w, 1, 0, 1).outcome, WIRE__OUTCOME__DISAGREED);
	end(&w);
}

static size_t compared(struct world *w, const struct effect *f, int equal)
{
	Wire__Compared m = WIRE__COMPARED__INIT;

	m.job = f->job.v;
	m.step = f->step;
	m.task = f->task;
	m.a = f->a;
	m.b = f->b;
	m.equal = equal;
	return world_do(w, &(struct command){.kind = CMD_COMPARED, .u.compared = &m});
}

static void comparator_is_asked_where_bytes_differ(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l[3];
	struct effect f, g;

	(void)state;
	start(&w, &s, 1, 3, 2, 1);
	for (int i = 0; i < 3; i++)
		l[i] = world_lease(&w);
	vote(&w, &l[0], 1, 0);
	vote(&w, &l[1], 2, 0);
	assert_false(engine_compare_next(w.e, NULL, &g)); /* nothing is said */
	vote(&w, &l[2], 3, 0);
	assert_true(engine_compare_next(w.e, NULL, &f));
	assert_int_equal(f.kind, EFFECT_COMPARE);
	assert_int_equal(f.a, 0);
	assert_int_equal(f.b, 1);
	assert_true(engine_compare_next(w.e, NULL, &g));
	assert_memory_equal(&f.job, &g.job, sizeof(f.job));
	assert_int_equal(g.b, 1);
	assert_false(engine_compare_next(w.e, &g, &g));
	compared(&w, &f, 0);
	(void)world_one(&w, WIRE__ENTRY__BODY_COMPARED);
	g = w.effects[0];
	compared(&w, &f, 1);
	world_refused(&w, "stale", "nobody waits");
	f = g;
	assert_int_equal(f.kind, EFFECT_COMPARE);
	assert_int_equal(f.a, 0);
	assert_int_equal(f.b, 2);
	compared(&w, &f, 0);
	assert_int_equal(w.effects[0].kind, EFFECT_COMPARE);
	f = w.effects[0];
	assert_int_equal(f.a, 1);
	assert_int_equal(f.b, 2);
	(void)world_load_is_equal(&w, NULL, NULL);
	compared(&w, &f, 1);
	assert_int_equal(world_task(&w, 1, 0, 0).outcome, WIRE__OUTCOME__SUCCEEDED);
	assert_false(engine_compare_next(w.e, NULL, &g));
	f.task = 77;
	compared(&w, &f, 1);
	world_refused(&w, "stale", "task 77");
	end(&w);
}

static void verified_tasks_pass_on_to_what_waits_for_them(void **state)
{
	static struct world w;
	struct spec s;

	(void)state;
	world_init(&w);
	world_boot(&w);
	world_node(&w, 1, 4, WIRE__NODE_SET__STATE__UP);
	spec_init(&s, "v");
	spec_step(&s, "a", 4);
	spec_verify(&s, 0, 3, 2, 0);
	spec_step(&s, "b", 4);
	spec_after(&s, 1, "a", WIRE__AFTER__MODE__EACH, WIRE__AFTER__ON__SUCCESS);
	spec_step(&s, "c", 3);
	spec_verify(&s, 2, 2, 2, 0);
	spec_reduce(&s, 2, "b", 2);
	(void)world_submit(&w, &s);
	world_finish(&w);
	assert_int_equal(world_job(&w, 1).state, JOB_SUCCEEDED);
	assert_int_equal(world_job(&w, 1).counts.succeeded, 11);
	end(&w);
}

/* ---- commit, then reveal ---- */

/* What lease l would reveal, with another answer in it when `digest` is another. */
static size_t reveal(struct world *w, uint64_t lease, uint8_t digest)
{
	uint8_t sha[32] = {digest}, nonce[RESULT_NONCE_BYTES] = {(uint8_t)lease};
	uint64_t bytes = 1;
	uint32_t outputs = 1;
	Wire__Results r = WIRE__RESULTS__INIT;

	r.lease = lease;
	r.count = 1;
	r.n_outputs = r.n_output_bytes = 1;
	r.outputs = &outputs;
	r.output_bytes = &bytes;
	r.output_sha256 = (ProtobufCBinaryData){32, sha};
	r.nonces = (ProtobufCBinaryData){sizeof(nonce), nonce};
	return world_do(w, &(struct command){.kind = CMD_RESULTS, .u.results = &r});
}

static void nobody_tells_a_success_before_all_committed(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view a, b;
	struct vote_view v[2];

	(void)state;
	start(&w, &s, 1, 2, 2, 0);
	a = world_lease(&w);
	b = world_lease(&w);
	world_do(&w, &(struct command){.kind = CMD_RESULTS,
	                     .u.results = &(Wire__Results){.base = {&wire__results__descriptor, 0, NULL},
	                             .lease = a.id.v,
	                             .count = 1,
	                             .note = (char *)(uintptr_t) ""}});
	world_refused(&w, "invalid", "commits to a success before");
	vote(&w, &a, 7, 0);
	reveal(&w, a.id.v, 7);
	world_refused(&w, "invalid", "nothing is to be revealed now");
	assert_int_equal(engine_votes(w.e, (job_id){1}, 0, 0, v, 2), 2);
	assert_true(v[0].held && v[0].digest[0] == 0); /* nobody sees it */
	reveal(&w, b.id.v, 7);
	world_refused(&w, "invalid", "nothing is to be revealed now");
	vote(&w, &b, 7, 0);
	assert_int_equal(world_task(&w, 1, 0, 0).outcome, WIRE__OUTCOME__SUCCEEDED);
	end(&w);
}

static void commit_only(struct world *w, const struct lease_view *l, uint8_t first)
{
	uint8_t sum[32] = {first};
	Wire__Results r = WIRE__RESULTS__INIT;

	r.lease = l->id.v;
	r.count = 1;
	r.commitments = (ProtobufCBinaryData){sizeof(sum), sum};
	world_do(w, &(struct command){.kind = CMD_RESULTS, .u.results = &r});
	(void)world_one(w, WIRE__ENTRY__BODY_RESULTS);
}

static void who_reveals_something_else_is_none_of_those_that_agree(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l[3];
	struct vote_view v[3];

	(void)state;
	start(&w, &s, 1, 3, 2, 0);
	for (int i = 0; i < 3; i++)
		l[i] = world_lease(&w);
	commit_only(&w, &l[0], 1);
	vote(&w, &l[1], 7, 0);
	assert_int_equal(world_tick(&w), 0);
	vote(&w, &l[2], 8, 0); /* now all are asked, and two reveal */
	reveal(&w, l[0].id.v, 7);
	(void)world_one(&w, WIRE__ENTRY__BODY_RESULTS);
	assert_int_equal(world_task(&w, 1, 0, 0).outcome, WIRE__OUTCOME__DISAGREED);
	assert_int_equal(engine_votes(w.e, (job_id){1}, 0, 0, v, 3), 3);
	assert_int_equal(v[0].outcome, WIRE__OUTCOME__DISAGREED);
	assert_int_equal(v[0].class_, UINT32_MAX);
	reveal(&w, l[0].id.v, 7);
	world_refused(&w, "invalid", "not committed to");
	ended(&w, &l[0]);
	end(&w);
}

static void who_does_not_reveal_in_a_minute_has_no_vote(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view a, b;

	(void)state;
	start(&w, &s, 1, 2, 2, 0);
	a = world_lease(&w);
	b = world_lease(&w);
	commit_only(&w, &a, 1);
	vote(&w, &b, 7, 0);
	assert_int_equal(world_task(&w, 1, 0, 0).state, TASK_LEASED);
	w.now = engine_deadline_ns(w.e, w.now);
	assert_int_equal(w.now, T0 + 60 * SEC);
	world_tick(&w);
	assert_int_equal(world_one(&w, WIRE__ENTRY__BODY_LEASE_STOPPING)->lease_stopping->lease, a.id.v);
	ended(&w, &a);
	assert_int_equal(world_task(&w, 1, 0, 0).outcome, WIRE__OUTCOME__DISAGREED);
	end(&w);
}

static void commitment_of_a_lost_node_is_run_again(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view a, b, c;

	(void)state;
	start(&w, &s, 1, 2, 2, 0);
	a = world_lease(&w);
	b = world_lease(&w);
	vote(&w, &a, 7, 0);
	world_ended(&w, a.id.v, WIRE__STOP_REASON__KEEPER_LOST);
	(void)world_one(&w, WIRE__ENTRY__BODY_LEASE_ENDED);
	c = world_lease(&w);
	assert_int_equal(c.replica, a.replica);
	vote(&w, &b, 7, 0);
	assert_int_equal(world_task(&w, 1, 0, 0).state, TASK_LEASED); /* it waits for c */
	(void)world_load_is_equal(&w, NULL, NULL);
	vote(&w, &c, 7, 0);
	assert_int_equal(world_task(&w, 1, 0, 0).outcome, WIRE__OUTCOME__SUCCEEDED);
	end(&w);
}

static void who_waits_holds_nothing(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view a, b;
	struct sched_node_view n;

	(void)state;
	start(&w, &s, 1, 2, 2, 0);
	world_node(&w, 1, 1, WIRE__NODE_SET__STATE__UP); /* room for one at a time */
	a = world_lease(&w);
	assert_int_equal(world_tick(&w), 0);
	vote(&w, &a, 7, 0);
	assert_true(sched_node(engine_sched(w.e), 1, &n) && n.n_leases == 0);
	b = world_lease(&w);
	vote(&w, &b, 7, 0);
	assert_int_equal(world_task(&w, 1, 0, 0).outcome, WIRE__OUTCOME__SUCCEEDED);
	assert_int_equal(world_job(&w, 1).state, JOB_SUCCEEDED);
	end(&w);
}

/* Random votes, losses, cancels and comparisons: the invariants hold, copies are equal, it comes to an end. */
static void random_votes_keep_the_invariants(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		static struct world w;
		struct spec s;
		struct prng p;
		struct effect f;
		struct lease_view l;

		prng_init(&p, seed);
		start(&w, &s, 5, 4, 1 + (uint32_t)prng_below(&p, 4), seed % 2 == 0);
		for (int i = 0; i < 300; i++) {
			l = (struct lease_view){0};
			(void)engine_lease_next(w.e, (lease_id){prng_below(&p, w.granted + 1)}, &l);
			world_reveal(&w);
			w.now += prng_below(&p, 2) * 300 * MS;
			if (l.id.v && !engine_lease(w.e, l.id, &l))
				continue;
			if (prng_chance(&p, 1, 3))
				(void)world_tick(&w);
			else if (prng_chance(&p, 1, 4) && engine_compare_next(w.e, NULL, &f))
				compared(&w, &f, prng_chance(&p, 1, 2));
			else if (l.id.v && l.cursor < l.first + l.count && prng_chance(&p, 3, 4))
				vote(&w, &l, (uint8_t)prng_below(&p, 4), 0);
			else if (l.id.v && prng_chance(&p, 1, 5))
				world_results(&w, l.id.v, l.cursor, l.cursor < l.first + l.count,
				        WIRE__OUTCOME__FAILED, 1);
			else if (l.id.v)
				world_ended(&w, l.id.v,
				        prng_chance(&p, 1, 2) ? WIRE__STOP_REASON__WORKER_CRASHED
				                              : WIRE__STOP_REASON__DONE);
			if (prng_chance(&p, 1, 200))
				world_job_command(&w, CMD_CANCEL, 1);
			if (prng_chance(&p, 1, 20))
				world_job_command(&w, CMD_RETRY, 1);
			if (prng_chance(&p, 1, 30))
				(void)world_load_is_equal(&w, NULL, NULL);
		}
		do {
			while (engine_compare_next(w.e, NULL, &f))
				compared(&w, &f, 1);
			world_finish(&w);
		} while (engine_compare_next(w.e, NULL, &f));
		assert_true(world_job(&w, 1).finished_ns != 0);
		end(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(replicas_of_a_task_are_never_in_one_lease),
	        cmocka_unit_test(task_is_committed_when_enough_agree_and_the_rest_is_stopped),
	        cmocka_unit_test(replicas_not_begun_are_not_needed_any_more),
	        cmocka_unit_test(disagreement_names_who),
	        cmocka_unit_test(failures_that_agree_are_a_failure),
	        cmocka_unit_test(outputs_are_compared_all_but_stderr),
	        cmocka_unit_test(comparator_is_asked_where_bytes_differ),
	        cmocka_unit_test(verified_tasks_pass_on_to_what_waits_for_them),
	        cmocka_unit_test(nobody_tells_a_success_before_all_committed),
	        cmocka_unit_test(who_reveals_something_else_is_none_of_those_that_agree),
	        cmocka_unit_test(who_does_not_reveal_in_a_minute_has_no_vote),
	        cmocka_unit_test(commitment_of_a_lost_node_is_run_again),
	        cmocka_unit_test(who_waits_holds_nothing),
	        cmocka_unit_test(random_votes_keep_the_invariants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
