/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about leases: fencing, losses, crashes and their bisection, back-off, the backstop, preemption. */
#include "../world.h"

static void start(struct world *w, uint64_t cpus)
{
	world_init(w);
	world_boot(w);
	world_node(w, 1, cpus, WIRE__NODE_SET__STATE__UP);
}

static void end(struct world *w)
{
	engine_check(w->e);
	world_replay_is_equal(w);
	(void)world_load_is_equal(w, NULL, NULL);
	world_release(w);
}

static void late_doubled_and_foreign_results_are_refused_and_recorded(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;

	(void)state;
	start(&w, 1);
	spec_init(&s, "x");
	spec_step(&s, "a", 6);
	(void)world_submit(&w, &s);
	l = world_grant(&w, 1, 0, 0, 0, 4);
	world_results(&w, l.id.v, 0, 2, WIRE__OUTCOME__SUCCEEDED, 0);
	(void)world_one(&w, WIRE__ENTRY__BODY_RESULTS);
	world_results(&w, l.id.v, 0, 2, WIRE__OUTCOME__FAILED, 1);
	world_refused(&w, "stale", "stands at task 2, not 0");
	world_results(&w, l.id.v, 3, 1, WIRE__OUTCOME__SUCCEEDED, 0);
	world_refused(&w, "stale", "stands at task 2, not 3");
	world_results(&w, l.id.v, 2, 3, WIRE__OUTCOME__SUCCEEDED, 0);
	world_refused(&w, "invalid", "ends with task 3, not 4");
	world_results(&w, 99, 2, 1, WIRE__OUTCOME__SUCCEEDED, 0);
	world_refused(&w, "stale", "was never granted");
	world_results(&w, 0, 2, 1, WIRE__OUTCOME__SUCCEEDED, 0);
	world_refused(&w, "stale", "was never granted");
	world_ended(&w, l.id.v, WIRE__STOP_REASON__KEEPER_LOST);
	world_results(&w, l.id.v, 2, 1, WIRE__OUTCOME__SUCCEEDED, 0);
	world_refused(&w, "stale", "has ended");
	world_ended(&w, l.id.v, WIRE__STOP_REASON__DONE);
	world_refused(&w, "stale", "not live");
	assert_int_equal(world_job(&w, 1).counts.succeeded, 2);
	assert_int_equal(world_job(&w, 1).counts.ready, 4);
	end(&w);
}

static void results_of_the_wrong_shape_are_refused(void **state)
{
	static struct world w;
	struct spec s;
	Wire__Results r = WIRE__RESULTS__INIT;
	uint64_t wall[2] = {1, 2};
	Wire__Outcome o = WIRE__OUTCOME__SKIPPED;

	(void)state;
	start(&w, 1);
	spec_init(&s, "x");
	spec_step(&s, "a", 3);
	(void)world_submit(&w, &s);
	r.lease = world_grant(&w, 1, 0, 0, 0, 3).id.v;
	world_do(&w, &(struct command){.kind = CMD_RESULTS, .u.results = &r});
	world_refused(&w, "invalid", "count");
	r.count = 3;
	r.n_wall_us = 2;
	r.wall_us = wall;
	world_do(&w, &(struct command){.kind = CMD_RESULTS, .u.results = &r});
	world_refused(&w, "invalid", "columns");
	r.n_wall_us = 0;
	r.n_outcome = 1;
	r.outcome = &o;
	world_do(&w, &(struct command){.kind = CMD_RESULTS, .u.results = &r});
	world_refused(&w, "invalid", "outcome");
	end(&w);
}

static void lost_tasks_run_again_and_nobody_counts_it(void **state)
{
	static const Wire__StopReason why[] = {WIRE__STOP_REASON__KEEPER_LOST, WIRE__STOP_REASON__NODE_LOST,
	        WIRE__STOP_REASON__PREEMPTED, WIRE__STOP_REASON__EXPIRED, WIRE__STOP_REASON__DRAINING};
	static struct world w;
	struct spec s;
	struct lease_view l;

	(void)state;
	start(&w, 1);
	spec_init(&s, "x");
	spec_step(&s, "a", 3);
	(void)world_submit(&w, &s);
	for (size_t i = 0; i < ARRAY_LEN(why); i++) {
		l = world_grant(&w, 1, 0, 0, 0, 3);
		world_ended(&w, l.id.v, why[i]);
		assert_int_equal(world_job(&w, 1).counts.ready, 3);
		assert_int_equal(world_task(&w, 1, 0, 0).attempts, 0);
	}
	l = world_grant(&w, 1, 0, 0, 0, 1);
	world_results(&w, l.id.v, 0, 1, WIRE__OUTCOME__LOST, 0);
	assert_int_equal(world_task(&w, 1, 0, 0).state, TASK_READY);
	world_ended(&w, l.id.v, WIRE__STOP_REASON__DONE);
	world_finish(&w);
	assert_int_equal(world_job(&w, 1).state, JOB_SUCCEEDED);
	end(&w);
}

static void task_that_must_not_run_twice_is_lost_with_its_node(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;

	(void)state;
	start(&w, 1);
	world_teach(&w, "a");
	spec_init(&s, "x");
	spec_step(&s, "a", 50);
	s.retry[0].not_on_node_loss = 1;
	s.retry[0].max = 5;
	(void)world_submit(&w, &s);
	l = world_lease(&w);
	assert_int_equal(l.count, 1); /* alone: what else was in the lease could not be told to have begun */
	world_ended(&w, l.id.v, WIRE__STOP_REASON__KEEPER_LOST);
	assert_int_equal(world_task(&w, l.job.v, 0, 0).outcome, WIRE__OUTCOME__LOST);
	l = world_lease(&w);
	world_ended(&w, l.id.v, WIRE__STOP_REASON__PREEMPTED); /* we stopped it: it is known not to run */
	assert_int_equal(world_task(&w, l.job.v, 0, 1).state, TASK_READY);
	end(&w);
}

static void poison_task_is_found_by_halves_and_fails_by_name(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;
	uint64_t poison = 37, job;
	int crashes = 0;

	(void)state;
	start(&w, 1);
	spec_init(&s, "x");
	spec_step(&s, "a", 100);
	job = world_submit(&w, &s);
	l = world_grant(&w, job, 0, 0, 0, 100);
	for (int i = 0; i < 1000; i++) {
		if (poison >= l.cursor && poison < l.first + l.count) {
			/* It had handed in half of what came before. */
			if (poison > l.cursor)
				world_results(&w, l.id.v, l.cursor, (poison - l.cursor + 1) / 2,
				        WIRE__OUTCOME__SUCCEEDED, 0);
			world_ended(&w, l.id.v, WIRE__STOP_REASON__WORKER_CRASHED);
			crashes++;
		} else {
			world_run(&w, &l, WIRE__OUTCOME__SUCCEEDED);
		}
		world_settle(&w);
		if (!engine_lease_next(w.e, (lease_id){0}, &l))
			break;
	}
	assert_int_equal(world_job(&w, job).state, JOB_FAILED);
	assert_int_equal(world_job(&w, job).counts.succeeded, 99);
	assert_int_equal(world_task(&w, job, 0, poison).outcome, WIRE__OUTCOME__CRASHED);
	assert_true(crashes <= 8);
	end(&w);
}

static void crashed_slice_is_leased_again_in_halves(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;

	(void)state;
	start(&w, 1);
	spec_init(&s, "x");
	spec_step(&s, "a", 20);
	s.retry[0].max = 1;
	(void)world_submit(&w, &s);
	l = world_grant(&w, 1, 0, 0, 0, 20);
	world_ended(&w, l.id.v, WIRE__STOP_REASON__WORKER_CRASHED);
	l = world_grant(&w, 1, 0, 0, 0, 16);
	world_ended(&w, l.id.v, WIRE__STOP_REASON__WORKER_CRASHED);
	l = world_lease(&w);
	assert_true(l.count <= 8);
	world_ended(&w, l.id.v, WIRE__STOP_REASON__PREEMPTED);
	l = world_grant(&w, 1, 0, 0, 0, 1);
	world_ended(&w, l.id.v, WIRE__STOP_REASON__WORKER_CRASHED);
	assert_int_equal(world_task(&w, 1, 0, 0).state, TASK_READY); /* its one retry */
	l = world_grant(&w, 1, 0, 0, 0, 1);
	world_ended(&w, l.id.v, WIRE__STOP_REASON__WORKER_CRASHED);
	assert_int_equal(world_task(&w, 1, 0, 0).outcome, WIRE__OUTCOME__CRASHED);
	assert_int_equal(world_task(&w, 1, 0, 0).attempts, 2);
	end(&w);
}

static void retries_wait_longer_each_time(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;
	static const uint64_t want[] = {2, 4, 5, 5};

	(void)state;
	start(&w, 1);
	spec_init(&s, "x");
	spec_step(&s, "a", 1);
	s.retry[0].max = 4;
	s.retry[0].backoff_ns = 2 * SEC;
	s.retry[0].backoff_max_ns = 5 * SEC;
	(void)world_submit(&w, &s);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		l = world_lease(&w);
		world_run(&w, &l, WIRE__OUTCOME__FAILED);
		assert_int_equal(world_task(&w, 1, 0, 0).state, TASK_DELAYED);
		assert_true(world_task(&w, 1, 0, 0).due_ns == w.now + want[i] * SEC);
		assert_int_equal(world_settle(&w), 0);
		assert_true(engine_deadline_ns(w.e, w.now) == w.now + want[i] * SEC);
		w.now += want[i] * SEC;
		world_tick(&w);
		assert_int_equal(world_one(&w, WIRE__ENTRY__BODY_EXPIRED)->expired->what,
		        WIRE__EXPIRED__WHAT__RETRY_DUE);
	}
	l = world_lease(&w);
	world_run(&w, &l, WIRE__OUTCOME__FAILED);
	assert_int_equal(world_job(&w, 1).state, JOB_FAILED);
	assert_int_equal(world_task(&w, 1, 0, 0).attempts, 5);
	end(&w);
}

static void jitter_spreads_retries_around_the_back_off(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;
	uint64_t least = UINT64_MAX, most = 0;

	(void)state;
	start(&w, 1);
	spec_init(&s, "x");
	spec_step(&s, "a", 200);
	s.retry[0].max = 1;
	s.retry[0].backoff_ns = 10 * SEC;
	s.retry[0].backoff_max_ns = 10 * SEC;
	s.retry[0].jitter_percent = 20;
	(void)world_submit(&w, &s);
	w.check = 0;
	l = world_grant(&w, 1, 0, 0, 0, 200);
	world_run(&w, &l, WIRE__OUTCOME__FAILED);
	for (uint64_t i = 0; i < 200; i++) {
		uint64_t due = world_task(&w, 1, 0, i).due_ns - w.now;

		least = due < least ? due : least;
		most = due > most ? due : most;
	}
	assert_true(least >= 8 * SEC && least < 9 * SEC);
	assert_true(most <= 12 * SEC && most > 11 * SEC);
	end(&w);
}

static void only_named_exit_codes_are_worth_a_retry(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;
	int32_t codes[2] = {75, 137};

	(void)state;
	start(&w, 1);
	spec_init(&s, "x");
	spec_step(&s, "a", 5);
	s.retry[0].max = 3;
	s.retry[0].n_exit_codes = 2;
	s.retry[0].exit_codes = codes;
	(void)world_submit(&w, &s);
	l = world_grant(&w, 1, 0, 0, 0, 5);
	world_results(&w, l.id.v, 0, 1, WIRE__OUTCOME__FAILED, 75);
	world_results(&w, l.id.v, 1, 1, WIRE__OUTCOME__FAILED, 1);
	world_results(&w, l.id.v, 2, 1, WIRE__OUTCOME__SIGNALED, 9);
	world_results(&w, l.id.v, 3, 1, WIRE__OUTCOME__SIGNALED, 11);
	world_results(&w, l.id.v, 4, 1, WIRE__OUTCOME__TIMED_OUT, 0);
	assert_int_equal(world_task(&w, 1, 0, 0).state, TASK_READY);
	assert_int_equal(world_task(&w, 1, 0, 1).outcome, WIRE__OUTCOME__FAILED);
	assert_int_equal(world_task(&w, 1, 0, 2).state, TASK_READY); /* 128 + 9 */
	assert_int_equal(world_task(&w, 1, 0, 3).outcome, WIRE__OUTCOME__SIGNALED);
	assert_int_equal(world_task(&w, 1, 0, 4).outcome, WIRE__OUTCOME__TIMED_OUT);
	end(&w);
}

static void retries_without_room_to_wait_run_at_once(void **state)
{
	static struct world w;
	struct engine_limits lim = engine_limits_default(64u << 20);
	struct spec s;
	struct lease_view l;

	(void)state;
	lim.delayed_max = 3;
	world_init_limits(&w, &lim);
	world_boot(&w);
	world_node(&w, 1, 1, WIRE__NODE_SET__STATE__UP);
	spec_init(&s, "x");
	spec_step(&s, "a", 5);
	s.retry[0].max = 1;
	s.retry[0].backoff_ns = s.retry[0].backoff_max_ns = SEC;
	(void)world_submit(&w, &s);
	l = world_grant(&w, 1, 0, 0, 0, 5);
	world_run(&w, &l, WIRE__OUTCOME__FAILED);
	assert_int_equal(world_job(&w, 1).counts.delayed, 3);
	assert_int_equal(world_job(&w, 1).counts.ready, 2);
	world_job_command(&w, CMD_CANCEL, 1);
	assert_int_equal(world_job(&w, 1).state, JOB_CANCELLED);
	end(&w);
}

static void overdue_lease_is_stopped_and_ends_when_its_holder_says_so(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;

	(void)state;
	start(&w, 1);
	spec_init(&s, "x");
	spec_step(&s, "a", 1)->run_timeout_ns = 10 * SEC;
	s.step[0].grace_ns = 5 * SEC;
	(void)world_submit(&w, &s);
	l = world_lease(&w);
	assert_true(w.last[0]->lease_granted->deadline_ns > w.now + 15 * SEC);
	w.now = w.last[0]->lease_granted->deadline_ns;
	world_tick(&w);
	assert_int_equal(world_one(&w, WIRE__ENTRY__BODY_LEASE_STOPPING)->lease_stopping->reason,
	        WIRE__STOP_REASON__EXPIRED);
	assert_int_equal(world_tick(&w), 0);
	w.now += 36000 * SEC;
	assert_int_equal(world_settle(&w), 0); /* it may still run */
	assert_int_equal(world_task(&w, 1, 0, 0).state, TASK_LEASED);
	world_ended(&w, l.id.v, WIRE__STOP_REASON__DONE);
	assert_int_equal(world_one(&w, WIRE__ENTRY__BODY_LEASE_ENDED)->lease_ended->reason,
	        WIRE__STOP_REASON__EXPIRED);
	assert_int_equal(world_task(&w, 1, 0, 0).state, TASK_READY);
	world_results(&w, l.id.v, 0, 1, WIRE__OUTCOME__SUCCEEDED, 0);
	world_refused(&w, "stale", "has ended");
	end(&w);
}

static void run_timeout_can_be_changed_while_it_runs(void **state)
{
	static struct world w;
	struct spec s;
	struct step_view v;
	Wire__JobAdjusted m = WIRE__JOB_ADJUSTED__INIT;

	(void)state;
	start(&w, 1);
	spec_init(&s, "x");
	spec_step(&s, "a", 1);
	m.job = world_submit(&w, &s);
	(void)world_lease(&w);
	assert_int_equal(world_settle(&w), 0);
	assert_true(engine_deadline_ns(w.e, w.now) == UINT64_MAX);
	m.set = WIRE__JOB_ADJUSTED__FIELD__RUN_TIMEOUT;
	m.run_timeout_ns = 10 * SEC;
	world_do(&w, &(struct command){.kind = CMD_ADJUST, .u.adjust = &m});
	assert_true(engine_step(w.e, (job_id){1}, 0, &v));
	assert_true(v.run_timeout_ns == 10 * SEC);
	assert_true(engine_deadline_ns(w.e, w.now) > w.now + 10 * SEC &&
	            engine_deadline_ns(w.e, w.now) < w.now + 100 * SEC);
	end(&w);
}

static void realtime_job_preempts_batch_which_runs_again(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view batch, l;

	(void)state;
	start(&w, 1);
	spec_init(&s, "batch");
	spec_step(&s, "a", 1);
	(void)world_submit(&w, &s);
	batch = world_lease(&w);
	spec_init(&s, "now");
	spec_step(&s, "b", 1);
	s.job.class_ = WIRE__JOB_SPEC__CLASS__REALTIME;
	(void)world_submit(&w, &s);
	world_tick(&w);
	assert_int_equal(world_one(&w, WIRE__ENTRY__BODY_LEASE_STOPPING)->lease_stopping->reason,
	        WIRE__STOP_REASON__PREEMPTED);
	assert_int_equal(w.effects[0].kind, EFFECT_STOP);
	assert_int_equal(w.effects[0].reason, WIRE__STOP_REASON__PREEMPTED);
	assert_int_equal(world_settle(&w), 0);
	world_results(&w, batch.id.v, 0, 1, WIRE__OUTCOME__STOPPED, 0);
	assert_int_equal(world_task(&w, 1, 0, 0).state, TASK_READY);
	world_ended(&w, batch.id.v, WIRE__STOP_REASON__DONE);
	l = world_lease(&w);
	assert_int_equal(l.job.v, 2);
	world_run(&w, &l, WIRE__OUTCOME__SUCCEEDED);
	world_finish(&w);
	assert_int_equal(world_job(&w, 1).state, JOB_SUCCEEDED);
	end(&w);
}

static void lost_node_gives_its_leases_back_and_drained_takes_no_more(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;

	(void)state;
	start(&w, 1);
	spec_init(&s, "x");
	spec_step(&s, "a", 1);
	(void)world_submit(&w, &s);
	l = world_lease(&w);
	world_node(&w, 1, 1, WIRE__NODE_SET__STATE__DRAINED);
	assert_int_equal(world_settle(&w), 0); /* what runs goes on */
	world_node(&w, 1, 1, WIRE__NODE_SET__STATE__LOST);
	world_tick(&w);
	assert_int_equal(world_one(&w, WIRE__ENTRY__BODY_LEASE_ENDED)->lease_ended->reason,
	        WIRE__STOP_REASON__NODE_LOST);
	assert_int_equal(world_settle(&w), 0);
	world_results(&w, l.id.v, 0, 1, WIRE__OUTCOME__SUCCEEDED, 0);
	world_refused(&w, "stale", "has ended");
	world_node(&w, 1, 1, WIRE__NODE_SET__STATE__UP);
	world_finish(&w);
	assert_int_equal(world_job(&w, 1).state, JOB_SUCCEEDED);
	end(&w);
}

static void lease_that_could_not_start_fails_its_tasks(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;

	(void)state;
	start(&w, 1);
	spec_init(&s, "x");
	spec_step(&s, "a", 4);
	(void)world_submit(&w, &s);
	l = world_grant(&w, 1, 0, 0, 0, 4);
	world_ended(&w, l.id.v, WIRE__STOP_REASON__COULD_NOT_START);
	assert_int_equal(world_job(&w, 1).counts.failed, 4);
	assert_int_equal(world_task(&w, 1, 0, 3).outcome, WIRE__OUTCOME__CANNOT_START);
	assert_int_equal(world_job(&w, 1).state, JOB_FAILED);
	end(&w);
}

static void no_more_leases_than_the_limit(void **state)
{
	static struct world w;
	struct engine_limits lim = engine_limits_default(64u << 20);
	struct spec s;
	struct lease_view l;

	(void)state;
	lim.leases_max = 2;
	world_init_limits(&w, &lim);
	world_boot(&w);
	world_node(&w, 1, 8, WIRE__NODE_SET__STATE__UP);
	spec_init(&s, "x");
	spec_step(&s, "a", 5);
	(void)world_submit(&w, &s);
	(void)world_lease(&w);
	l = world_lease(&w);
	assert_int_equal(world_settle(&w), 0);
	world_run(&w, &l, WIRE__OUTCOME__SUCCEEDED);
	assert_int_equal(world_settle(&w), 1);
	end(&w);
}

static void small_entry_arena_is_said_to_be_full(void **state)
{
	static struct world w;
	struct spec s;
	_Alignas(16) uint8_t mem[64];
	struct arena a;
	const Wire__Entry *v[4];
	struct entry_list list = {&a, v, 0, 4, 0};

	(void)state;
	start(&w, 1);
	spec_init(&s, "x");
	spec_step(&s, "a", 1);
	arena_init(&a, mem, sizeof(mem));
	engine_decide(w.e, w.now, &(struct command){.kind = CMD_SUBMIT, .u.submit = {.spec = &s.job}}, &list);
	assert_true(list.full);
	(void)world_submit(&w, &s);
	end(&w);
}

static void snapshot_that_is_cut_or_newer_is_refused(void **state)
{
	static struct world w;
	static uint8_t bytes[1 << 20];
	struct saved save = {.bytes = bytes, .max = sizeof(bytes)};
	struct spec s;
	struct err err;
	struct engine_limits lim = engine_limits_default(16u << 20);
	void *mem;

	(void)state;
	world_init_limits(&w, &lim);
	world_boot(&w);
	world_node(&w, 1, 1, WIRE__NODE_SET__STATE__UP);
	spec_init(&s, "x");
	spec_step(&s, "a", 9);
	s.retry[0].max = 1;
	s.retry[0].backoff_ns = s.retry[0].backoff_max_ns = SEC;
	(void)world_submit(&w, &s);
	{
		struct lease_view l = world_grant(&w, 1, 0, 0, 0, 3);

		world_results(&w, l.id.v, 0, 1, WIRE__OUTCOME__FAILED, 1);
	}
	assert_int_equal(engine_save(w.e, saved_put, &save), 0);
	for (size_t n = 0; n < save.n; n += 1 + n / 40) {
		struct engine *e = world_engine(&lim, &mem);

		assert_int_equal(engine_load(e, bytes, n, &err), -1);
		assert_int_equal(err.code, ERR_CORRUPT);
		munmap(mem, lim.memory_bytes);
	}
	bytes[12] = 2;
	{
		struct engine *e = world_engine(&lim, &mem);

		assert_int_equal(engine_load(e, bytes, save.n, &err), -1);
		assert_int_equal(err.code, ERR_VERSION);
		munmap(mem, lim.memory_bytes);
	}
	save.max = 100;
	save.n = 0;
	assert_int_equal(engine_save(w.e, saved_put, &save), -1);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(late_doubled_and_foreign_results_are_refused_and_recorded),
	        cmocka_unit_test(results_of_the_wrong_shape_are_refused),
	        cmocka_unit_test(lost_tasks_run_again_and_nobody_counts_it),
	        cmocka_unit_test(task_that_must_not_run_twice_is_lost_with_its_node),
	        cmocka_unit_test(poison_task_is_found_by_halves_and_fails_by_name),
	        cmocka_unit_test(crashed_slice_is_leased_again_in_halves),
	        cmocka_unit_test(retries_wait_longer_each_time),
	        cmocka_unit_test(jitter_spreads_retries_around_the_back_off),
	        cmocka_unit_test(only_named_exit_codes_are_worth_a_retry),
	        cmocka_unit_test(retries_without_room_to_wait_run_at_once),
	        cmocka_unit_test(overdue_lease_is_stopped_and_ends_when_its_holder_says_so),
	        cmocka_unit_test(run_timeout_can_be_changed_while_it_runs),
	        cmocka_unit_test(realtime_job_preempts_batch_which_runs_again),
	        cmocka_unit_test(lost_node_gives_its_leases_back_and_drained_takes_no_more),
	        cmocka_unit_test(lease_that_could_not_start_fails_its_tasks),
	        cmocka_unit_test(no_more_leases_than_the_limit),
	        cmocka_unit_test(small_entry_arena_is_said_to_be_full),
	        cmocka_unit_test(snapshot_that_is_cut_or_newer_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
