/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about jobs: submit, steps, conditions, reductions, cancel, retry, adjust, time. */
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

static void job_runs_from_submit_to_success(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;
	uint64_t job;

	(void)state;
	start(&w, 1);
	spec_init(&s, "one");
	spec_step(&s, "a", 1);
	job = world_submit(&w, &s);
	assert_int_equal(job, 1);
	assert_int_equal(world_job(&w, job).state, JOB_WAITING);
	assert_string_equal(world_job(&w, job).name, "one");
	assert_int_equal(world_task(&w, job, 0, 0).state, TASK_READY);
	l = world_lease(&w);
	assert_int_equal(w.effects[0].kind, EFFECT_START);
	assert_int_equal(w.effects[0].lease.v, l.id.v);
	assert_int_equal(world_job(&w, job).state, JOB_RUNNING);
	assert_int_equal(world_task(&w, job, 0, 0).lease.v, l.id.v);
	world_run(&w, &l, WIRE__OUTCOME__SUCCEEDED);
	assert_int_equal(world_job(&w, job).state, JOB_SUCCEEDED);
	assert_int_equal(world_job(&w, job).counts.succeeded, 1);
	assert_int_equal(world_task(&w, job, 0, 0).attempts, 1);
	assert_int_equal(world_settle(&w), 0);
	end(&w);
}

/* ---- submit ---- */

static void specification_that_makes_no_sense_is_refused(void **state)
{
	static struct world w;
	struct spec s;

	(void)state;
	start(&w, 1);
	spec_init(&s, "bad");
	world_submit_as(&w, &s, NULL, 1000);
	world_refused(&w, "invalid", "steps");
	spec_step(&s, "a", 0);
	world_submit_as(&w, &s, NULL, 1000);
	world_refused(&w, "invalid", "0 tasks");
	s.step[0].tasks = TASKS_PER_STEP_MAX + 1;
	world_submit_as(&w, &s, NULL, 1000);
	world_refused(&w, "invalid", "10000001 tasks");
	spec_init(&s, "bad");
	spec_step(&s, "a", 2);
	spec_after(&s, 0, "a", WIRE__AFTER__MODE__WHOLE, WIRE__AFTER__ON__SUCCESS);
	world_submit_as(&w, &s, NULL, 1000);
	world_refused(&w, "invalid", "not an earlier step");
	spec_init(&s, "bad");
	spec_step(&s, "a", 2);
	spec_step(&s, "b", 3);
	spec_after(&s, 1, "a", WIRE__AFTER__MODE__EACH, WIRE__AFTER__ON__SUCCESS);
	world_submit_as(&w, &s, NULL, 1000);
	world_refused(&w, "invalid", "each task of 'a'");
	spec_init(&s, "bad");
	spec_step(&s, "a", 5);
	spec_step(&s, "r", 2);
	spec_reduce(&s, 1, "a", 2);
	world_submit_as(&w, &s, NULL, 1000);
	world_refused(&w, "invalid", "tree");
	spec_init(&s, "bad");
	spec_step(&s, "a", 1);
	spec_step(&s, "a", 1);
	world_submit_as(&w, &s, NULL, 1000);
	world_refused(&w, "invalid", "two steps");
	spec_init(&s, "bad");
	spec_step(&s, "a", 1);
	spec_verify(&s, 0, 3, 4, 0);
	world_submit_as(&w, &s, NULL, 1000);
	world_refused(&w, "invalid", "cannot agree");
	spec_init(&s, "bad");
	spec_step(&s, "a", 1)->command = NULL;
	world_submit_as(&w, &s, NULL, 1000);
	world_refused(&w, "invalid", "no command");
	assert_int_equal(engine_job_last(w.e).v, 0);
	end(&w);
}

static void job_that_can_never_run_is_refused(void **state)
{
	static struct world w;
	struct spec s;

	(void)state;
	start(&w, 2);
	spec_init(&s, "huge");
	spec_step(&s, "a", 1);
	s.need[0].amount = 64000;
	world_submit_as(&w, &s, NULL, 1000);
	world_refused(&w, "too_large", "cpu");
	s.need[0].amount = 2000;
	(void)world_submit(&w, &s);
	end(&w);
}

static void full_engine_refuses_and_takes_again_after_forgetting(void **state)
{
	static struct world w;
	struct engine_limits l = engine_limits_default(64u << 20);
	struct spec s;

	(void)state;
	l.jobs_max = 3;
	world_init_limits(&w, &l);
	world_boot(&w);
	world_node(&w, 1, 1, WIRE__NODE_SET__STATE__UP);
	spec_init(&s, "big");
	spec_step(&s, "a", TASKS_PER_STEP_MAX);
	spec_verify(&s, 0, 9, 2, 0);
	world_submit_as(&w, &s, NULL, 1000);
	world_refused(&w, "full", "no memory");
	spec_init(&s, "one");
	spec_step(&s, "a", 1);
	for (int i = 0; i < 3; i++)
		(void)world_submit(&w, &s);
	world_submit_as(&w, &s, NULL, 1000);
	world_refused(&w, "full", "3 jobs");
	world_job_command(&w, CMD_FORGET, 1);
	world_refused(&w, "state", "has not finished");
	world_finish(&w);
	world_job_command(&w, CMD_FORGET, 2);
	(void)world_one(&w, WIRE__ENTRY__BODY_JOB_FORGOTTEN);
	assert_int_equal(w.effects[0].kind, EFFECT_FORGET);
	assert_int_equal(w.effects[0].job.v, 2);
	world_job_command(&w, CMD_FORGET, 2);
	world_refused(&w, "not_found", "no job 2");
	assert_int_equal(world_submit(&w, &s), 4);
	{
		struct job_view v;

		assert_true(engine_job_next(w.e, (job_id){2}, &v));
		assert_int_equal(v.id.v, 3);
		assert_true(engine_job_next(w.e, (job_id){3}, &v));
		assert_int_equal(v.id.v, 4);
		assert_false(engine_job_next(w.e, (job_id){4}, &v));
	}
	end(&w);
}

static void same_key_of_the_same_principal_is_the_same_job(void **state)
{
	static struct world w;
	Wire__Principal other = WIRE__PRINCIPAL__INIT, by = WIRE__PRINCIPAL__INIT;
	struct spec s;

	(void)state;
	by.uid = 1000;
	other.uid = 1001;
	start(&w, 1);
	spec_init(&s, "one");
	spec_step(&s, "a", 1);
	assert_int_equal(world_submit_as(&w, &s, "k", 1000), 1);
	assert_int_equal(world_submit_as(&w, &s, "k", 1000), 0);
	assert_int_equal(engine_job_by_key(w.e, &by, "k").v, 1);
	assert_int_equal(engine_job_by_key(w.e, &other, "k").v, 0);
	assert_int_equal(engine_job_by_key(w.e, &by, "").v, 0);
	assert_int_equal(world_submit_as(&w, &s, "k", 1001), 1);
	assert_int_equal(engine_job_by_key(w.e, &other, "k").v, 2);
	world_finish(&w);
	world_job_command(&w, CMD_FORGET, 1);
	assert_int_equal(engine_job_by_key(w.e, &by, "k").v, 0);
	assert_int_equal(world_submit_as(&w, &s, "k", 1000), 1);
	end(&w);
}

static void deadline_that_cannot_be_met_is_refused_or_warned_of(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;
	Wire__Results r = WIRE__RESULTS__INIT;
	uint64_t wall = 100 * 1000000;

	(void)state;
	start(&w, 1);
	spec_init(&s, "late");
	spec_step(&s, "a", 1);
	s.job.deadline_ns = w.now - 1;
	world_submit_as(&w, &s, NULL, 1000);
	world_refused(&w, "deadline", "has passed");
	s.job.deadline_ns = 0;
	(void)world_submit(&w, &s); /* learn: 100 s */
	l = world_lease(&w);
	w.now += 100 * SEC;
	r.lease = l.id.v;
	r.count = 1;
	r.n_wall_us = 1;
	r.wall_us = &wall;
	world_do(&w, &(struct command){.kind = CMD_RESULTS, .u.results = &r});
	world_ended(&w, l.id.v, WIRE__STOP_REASON__DONE);
	s.job.class_ = WIRE__JOB_SPEC__CLASS__REALTIME;
	s.job.deadline_after_ns = 10 * SEC;
	world_submit_as(&w, &s, NULL, 1000);
	world_refused(&w, "deadline", "the earliest finish is 2023-11-14T22:1");
	s.job.deadline_warn = 1;
	world_submit_as(&w, &s, NULL, 1000);
	assert_true(strstr(
	        world_one(&w, WIRE__ENTRY__BODY_JOB_SUBMITTED)->job_submitted->warning, "cannot be met"));
	assert_int_equal(world_job(&w, 2).deadline_ns, w.now + 10 * SEC);
	s.job.deadline_warn = 0;
	s.job.deadline_after_ns = 1000 * SEC;
	assert_int_equal(world_submit(&w, &s), 3);
	world_node(&w, 1, 1, WIRE__NODE_SET__STATE__DRAINED);
	world_submit_as(&w, &s, NULL, 1000);
	world_refused(&w, "deadline", "no node that is up");
	assert_true(strstr(w.last[0]->refused->hint, "on_missed: warn"));
	end(&w);
}

static void job_waits_until_it_is_released_or_its_time_has_come(void **state)
{
	static struct world w;
	struct spec s;
	Wire__JobAdjusted m = WIRE__JOB_ADJUSTED__INIT;

	(void)state;
	start(&w, 1);
	spec_init(&s, "held");
	spec_step(&s, "a", 1);
	s.job.held = 1;
	m.job = world_submit(&w, &s);
	assert_int_equal(world_settle(&w), 0);
	assert_int_equal(world_task(&w, 1, 0, 0).state, TASK_BLOCKED);
	assert_int_equal(world_job(&w, 1).counts.blocked, 1);
	m.set = WIRE__JOB_ADJUSTED__FIELD__HELD;
	world_do(&w, &(struct command){.kind = CMD_ADJUST, .u.adjust = &m});
	(void)world_one(&w, WIRE__ENTRY__BODY_JOB_ADJUSTED);
	world_finish(&w);
	assert_int_equal(world_job(&w, 1).state, JOB_SUCCEEDED);
	s.job.held = 0;
	s.job.not_before_ns = w.now + 5 * SEC;
	(void)world_submit(&w, &s);
	assert_int_equal(world_settle(&w), 0);
	assert_true(engine_deadline_ns(w.e, w.now) == w.now + 5 * SEC);
	w.now += 5 * SEC;
	world_finish(&w);
	assert_int_equal(world_job(&w, 2).state, JOB_SUCCEEDED);
	end(&w);
}

/* ---- steps ---- */

static void tasks_follow_each_other_one_by_one(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;
	uint64_t j;

	(void)state;
	start(&w, 1);
	spec_init(&s, "each");
	spec_step(&s, "a", 3);
	spec_step(&s, "b", 3);
	spec_after(&s, 1, "a", WIRE__AFTER__MODE__EACH, WIRE__AFTER__ON__SUCCESS);
	j = world_submit(&w, &s);
	l = world_grant(&w, j, 0, 0, 0, 3);
	world_results(&w, l.id.v, 0, 1, WIRE__OUTCOME__SUCCEEDED, 0);
	assert_int_equal(world_task(&w, j, 1, 0).state, TASK_READY);
	assert_int_equal(world_task(&w, j, 1, 1).state, TASK_BLOCKED);
	world_results(&w, l.id.v, 1, 1, WIRE__OUTCOME__FAILED, 3);
	assert_int_equal(world_task(&w, j, 1, 1).outcome, WIRE__OUTCOME__SKIPPED);
	world_results(&w, l.id.v, 2, 1, WIRE__OUTCOME__SUCCEEDED, 0);
	world_ended(&w, l.id.v, WIRE__STOP_REASON__DONE);
	world_finish(&w);
	assert_int_equal(world_job(&w, j).state, JOB_FAILED);
	assert_int_equal(world_job(&w, j).counts.succeeded, 4);
	assert_int_equal(world_job(&w, j).counts.skipped, 1);
	end(&w);
}

static void conditions_choose_what_runs(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;

	(void)state;
	start(&w, 1);
	spec_init(&s, "on");
	spec_step(&s, "a", 1);
	spec_step(&s, "good", 1);
	spec_step(&s, "bad", 1);
	spec_step(&s, "any", 1);
	spec_step(&s, "then", 1);
	spec_after(&s, 1, "a", WIRE__AFTER__MODE__WHOLE, WIRE__AFTER__ON__SUCCESS);
	spec_after(&s, 2, "a", WIRE__AFTER__MODE__WHOLE, WIRE__AFTER__ON__FAILURE);
	spec_after(&s, 3, "a", WIRE__AFTER__MODE__WHOLE, WIRE__AFTER__ON__ALWAYS);
	spec_after(&s, 4, "good", WIRE__AFTER__MODE__WHOLE, WIRE__AFTER__ON__SUCCESS);
	(void)world_submit(&w, &s);
	l = world_lease(&w);
	world_run(&w, &l, WIRE__OUTCOME__FAILED);
	assert_int_equal(world_task(&w, 1, 1, 0).outcome, WIRE__OUTCOME__SKIPPED);
	assert_int_equal(world_task(&w, 1, 4, 0).outcome, WIRE__OUTCOME__SKIPPED);
	assert_int_equal(world_task(&w, 1, 2, 0).state, TASK_READY);
	assert_int_equal(world_task(&w, 1, 3, 0).state, TASK_READY);
	world_finish(&w);
	assert_int_equal(world_job(&w, 1).counts.succeeded, 2);
	assert_int_equal(world_job(&w, 1).state, JOB_FAILED);
	end(&w);
}

static void what_is_off_the_critical_path_fills_what_is_left(void **state)
{
	/* By the longest way: a -> b -> c -> end is 4 steps, x -> end is 2. */
	static const uint32_t order[] = {1, 1, 2, 2, 3, 0, 0, 4};
	static struct world w;
	struct spec s;

	(void)state;
	start(&w, 1);
	spec_init(&s, "ways");
	spec_step(&s, "x", 2);
	spec_step(&s, "a", 2);
	spec_step(&s, "b", 2);
	spec_step(&s, "c", 1);
	spec_step(&s, "end", 1);
	spec_after(&s, 2, "a", WIRE__AFTER__MODE__WHOLE, WIRE__AFTER__ON__SUCCESS);
	spec_after(&s, 3, "b", WIRE__AFTER__MODE__WHOLE, WIRE__AFTER__ON__SUCCESS);
	spec_after(&s, 4, "c", WIRE__AFTER__MODE__WHOLE, WIRE__AFTER__ON__SUCCESS);
	spec_after(&s, 4, "x", WIRE__AFTER__MODE__WHOLE, WIRE__AFTER__ON__SUCCESS);
	(void)world_submit(&w, &s);
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		struct lease_view l = world_lease(&w);

		assert_int_equal(l.step, order[i]);
		world_run(&w, &l, WIRE__OUTCOME__SUCCEEDED);
	}
	assert_int_equal(world_job(&w, 1).state, JOB_SUCCEEDED);
	end(&w);
}

static void reduction_runs_as_a_tree_in_order(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;
	uint64_t first, count;
	uint32_t of;
	bool from_map;
	uint64_t j;

	(void)state;
	start(&w, 1);
	spec_init(&s, "tree");
	spec_step(&s, "map", 5);
	spec_step(&s, "red", 6); /* 3 + 2 + 1 */
	spec_reduce(&s, 1, "map", 2);
	j = world_submit(&w, &s);
	l = world_grant(&w, j, 0, 0, 0, 5);
	world_results(&w, l.id.v, 0, 3, WIRE__OUTCOME__SUCCEEDED, 0);
	assert_int_equal(world_task(&w, j, 1, 0).state, TASK_READY);
	assert_int_equal(world_task(&w, j, 1, 1).state, TASK_BLOCKED);
	world_results(&w, l.id.v, 3, 2, WIRE__OUTCOME__SUCCEEDED, 0);
	assert_int_equal(world_task(&w, j, 1, 2).state, TASK_READY);
	assert_int_equal(world_task(&w, j, 1, 3).state, TASK_BLOCKED);
	assert_true(engine_reduce_inputs(w.e, (job_id){j}, 1, 3, &from_map, &of, &first, &count));
	assert_false(from_map);
	assert_int_equal(of, 1);
	assert_int_equal(first, 0);
	assert_int_equal(count, 2);
	assert_true(engine_reduce_inputs(w.e, (job_id){j}, 1, 2, &from_map, &of, &first, &count));
	assert_true(from_map);
	assert_int_equal(of, 0);
	assert_int_equal(first, 4);
	assert_int_equal(count, 1);
	assert_false(engine_reduce_inputs(w.e, (job_id){j}, 0, 0, &from_map, &of, &first, &count));
	world_ended(&w, l.id.v, WIRE__STOP_REASON__DONE);
	world_finish(&w);
	assert_int_equal(world_job(&w, j).counts.succeeded, 11);
	end(&w);
}

static void reduction_of_a_failed_input_is_skipped_to_the_root(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;
	uint64_t j;

	(void)state;
	start(&w, 1);
	spec_init(&s, "tree");
	spec_step(&s, "map", 4);
	spec_step(&s, "red", 3);
	spec_reduce(&s, 1, "map", 2);
	j = world_submit(&w, &s);
	l = world_grant(&w, j, 0, 0, 0, 4);
	world_results(&w, l.id.v, 0, 1, WIRE__OUTCOME__FAILED, 1);
	assert_int_equal(world_task(&w, j, 1, 0).outcome, WIRE__OUTCOME__SKIPPED);
	assert_int_equal(world_task(&w, j, 1, 2).outcome, WIRE__OUTCOME__SKIPPED);
	world_results(&w, l.id.v, 1, 3, WIRE__OUTCOME__SUCCEEDED, 0);
	assert_int_equal(world_task(&w, j, 1, 1).state, TASK_READY);
	end(&w);
}

static void first_failure_stops_the_rest_but_not_its_handlers(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view a, b;

	(void)state;
	start(&w, 2);
	spec_init(&s, "strict");
	s.job.keep_going = 0;
	spec_step(&s, "a", 1);
	spec_step(&s, "b", 1);
	spec_step(&s, "c", 3);
	spec_step(&s, "mend", 1);
	spec_after(&s, 2, "b", WIRE__AFTER__MODE__WHOLE, WIRE__AFTER__ON__SUCCESS);
	spec_after(&s, 3, "a", WIRE__AFTER__MODE__WHOLE, WIRE__AFTER__ON__FAILURE);
	(void)world_submit(&w, &s);
	a = world_lease(&w);
	b = world_lease(&w);
	if (a.step != 0) {
		struct lease_view t = a;

		a = b;
		b = t;
	}
	world_run(&w, &a, WIRE__OUTCOME__FAILED);
	assert_int_equal(world_task(&w, 1, 2, 0).outcome, WIRE__OUTCOME__STOPPED);
	world_tick(&w);
	assert_int_equal(world_one(&w, WIRE__ENTRY__BODY_LEASE_STOPPING)->lease_stopping->lease, b.id.v);
	world_results(&w, b.id.v, 0, 1, WIRE__OUTCOME__STOPPED, 0);
	world_ended(&w, b.id.v, WIRE__STOP_REASON__CANCELLED);
	world_finish(&w);
	assert_int_equal(world_task(&w, 1, 1, 0).outcome, WIRE__OUTCOME__STOPPED);
	assert_int_equal(world_task(&w, 1, 3, 0).outcome, WIRE__OUTCOME__SUCCEEDED);
	assert_int_equal(world_job(&w, 1).state, JOB_FAILED);
	end(&w);
}

/* ---- cancel, retry, adjust ---- */

static void cancelled_job_stops_what_runs_and_starts_nothing(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;
	Wire__Principal by = WIRE__PRINCIPAL__INIT;

	(void)state;
	start(&w, 1);
	spec_init(&s, "x");
	spec_step(&s, "a", 3);
	spec_step(&s, "b", 1);
	spec_after(&s, 1, "a", WIRE__AFTER__MODE__WHOLE, WIRE__AFTER__ON__ALWAYS);
	s.retry[0].not_on_node_loss = 1; /* one task a lease */
	(void)world_submit(&w, &s);
	l = world_lease(&w);
	assert_int_equal(l.count, 1);
	by.uid = 1001;
	world_do(&w, &(struct command){.kind = CMD_CANCEL, .by = &by, .u.job = {{1}, NULL}});
	world_refused(&w, "denied", "belongs to uid 1000");
	world_job_command(&w, CMD_CANCEL, 7);
	world_refused(&w, "not_found", "no job 7");
	by.uid = 1000;
	world_do(&w, &(struct command){.kind = CMD_CANCEL, .by = &by, .u.job = {{1}, NULL}});
	(void)world_one(&w, WIRE__ENTRY__BODY_JOB_CANCELLED);
	assert_int_equal(world_job(&w, 1).counts.stopped, 3);
	assert_int_equal(world_job(&w, 1).state, JOB_RUNNING);
	world_job_command(&w, CMD_CANCEL, 1);
	world_refused(&w, "state", "was cancelled already");
	world_tick(&w);
	assert_int_equal(world_one(&w, WIRE__ENTRY__BODY_LEASE_STOPPING)->lease_stopping->reason,
	        WIRE__STOP_REASON__CANCELLED);
	assert_int_equal(w.effects[0].kind, EFFECT_STOP);
	assert_int_equal(w.effects[0].lease.v, l.id.v);
	world_ended(&w, l.id.v, WIRE__STOP_REASON__DONE);
	assert_int_equal(world_one(&w, WIRE__ENTRY__BODY_LEASE_ENDED)->lease_ended->reason,
	        WIRE__STOP_REASON__CANCELLED);
	assert_int_equal(world_job(&w, 1).state, JOB_CANCELLED);
	assert_int_equal(world_job(&w, 1).counts.stopped, 4);
	world_job_command(&w, CMD_CANCEL, 1);
	world_refused(&w, "state", "already");
	end(&w);
}

static void retried_job_runs_only_what_did_not_succeed(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;
	uint64_t j;

	(void)state;
	start(&w, 1);
	spec_init(&s, "again");
	spec_step(&s, "a", 4);
	spec_step(&s, "b", 1);
	spec_after(&s, 1, "a", WIRE__AFTER__MODE__WHOLE, WIRE__AFTER__ON__SUCCESS);
	j = world_submit(&w, &s);
	world_job_command(&w, CMD_RETRY, j);
	world_refused(&w, "state", "has not finished");
	l = world_grant(&w, j, 0, 0, 0, 4);
	world_results(&w, l.id.v, 0, 2, WIRE__OUTCOME__SUCCEEDED, 0);
	world_results(&w, l.id.v, 2, 1, WIRE__OUTCOME__FAILED, 1);
	world_results(&w, l.id.v, 3, 1, WIRE__OUTCOME__SUCCEEDED, 0);
	world_ended(&w, l.id.v, WIRE__STOP_REASON__DONE);
	assert_int_equal(world_job(&w, j).state, JOB_FAILED);
	world_job_command(&w, CMD_RETRY, j);
	(void)world_one(&w, WIRE__ENTRY__BODY_JOB_RETRIED);
	assert_int_equal(world_job(&w, j).state, JOB_RUNNING);
	assert_int_equal(world_job(&w, j).counts.ready, 1);
	l = world_lease(&w);
	assert_int_equal(l.first, 2);
	assert_int_equal(l.count, 1);
	world_run(&w, &l, WIRE__OUTCOME__SUCCEEDED);
	world_finish(&w);
	assert_int_equal(world_job(&w, j).state, JOB_SUCCEEDED);
	world_job_command(&w, CMD_RETRY, j);
	world_refused(&w, "state", "every task");
	end(&w);
}

static void adjustments_that_make_no_sense_are_refused(void **state)
{
	static struct world w;
	struct spec s;
	Wire__JobAdjusted m = WIRE__JOB_ADJUSTED__INIT;

	(void)state;
	start(&w, 1);
	spec_init(&s, "x");
	spec_step(&s, "a", 1);
	m.job = world_submit(&w, &s);
	world_do(&w, &(struct command){.kind = CMD_ADJUST, .u.adjust = &m});
	world_refused(&w, "invalid", "nothing");
	m.set = 1024;
	world_do(&w, &(struct command){.kind = CMD_ADJUST, .u.adjust = &m});
	world_refused(&w, "invalid", "nothing");
	m.set = WIRE__JOB_ADJUSTED__FIELD__PRIORITY;
	m.priority = 101;
	world_do(&w, &(struct command){.kind = CMD_ADJUST, .u.adjust = &m});
	world_refused(&w, "invalid", "101");
	m.set = WIRE__JOB_ADJUSTED__FIELD__DEADLINE;
	m.deadline_ns = 5;
	world_do(&w, &(struct command){.kind = CMD_ADJUST, .u.adjust = &m});
	world_refused(&w, "deadline", "passed");
	m.set = WIRE__JOB_ADJUSTED__FIELD__PRIORITY;
	m.priority = 99;
	world_do(&w, &(struct command){.kind = CMD_ADJUST, .u.adjust = &m});
	(void)world_one(&w, WIRE__ENTRY__BODY_JOB_ADJUSTED);
	assert_int_equal(world_job(&w, 1).priority, 99);
	world_finish(&w);
	world_do(&w, &(struct command){.kind = CMD_ADJUST, .u.adjust = &m});
	world_refused(&w, "state", "has finished");
	end(&w);
}

static void weights_are_for_root_and_nodes_have_numbers(void **state)
{
	static struct world w;
	Wire__NamespaceSet m = WIRE__NAMESPACE_SET__INIT;
	Wire__NodeSet n = WIRE__NODE_SET__INIT;
	Wire__Principal by = WIRE__PRINCIPAL__INIT;

	(void)state;
	start(&w, 1);
	m.name = "team";
	m.weight = 3;
	by.uid = 1000;
	world_do(&w, &(struct command){.kind = CMD_NAMESPACE_SET, .by = &by, .u.namespace_set = &m});
	world_refused(&w, "denied", "only root");
	m.by = &by;
	world_do(&w, &(struct command){.kind = CMD_NAMESPACE_SET, .u.namespace_set = &m});
	assert_int_equal(world_one(&w, WIRE__ENTRY__BODY_NAMESPACE_SET)->namespace_set->by->uid, 1000);
	m.by = NULL;
	for (int i = 0; i < 2; i++) {
		world_do(&w, &(struct command){.kind = CMD_NAMESPACE_SET, .u.namespace_set = &m});
		(void)world_one(&w, WIRE__ENTRY__BODY_NAMESPACE_SET);
	}
	n.name = "x";
	world_do(&w, &(struct command){.kind = CMD_NODE_SET, .u.node_set = &n});
	world_refused(&w, "full", "not 0");
	end(&w);
}

/* A node's own word of what its jobs hold, which the hub adds to what others have. */
static void quota_told(struct world *w, uint32_t node, uint64_t used)
{
	Wire__Quota uses = WIRE__QUOTA__INIT;
	Wire__QuotaShare share = WIRE__QUOTA_SHARE__INIT, *shares = &share;
	Wire__Need cpu = WIRE__NEED__INIT, *needs = &cpu;
	struct quota_view q;

	cpu.name = (char *)"cpu";
	cpu.amount = used;
	share.namespace_ = (char *)"team";
	share.used = &needs;
	share.n_used = 1;
	uses.shares = &shares;
	uses.n_shares = 1;
	(void)engine_quota(w->e, node, &q);
	w->now += 1000000000;
	world_do(
	        w, &(struct command){.kind = CMD_QUOTA_ASK,
	                   .u.quota_ask = {.node = node, .now_ns = w->now, .have = q.number, .uses = &uses}});
	engine_check(w->e);
}

static void a_node_that_lies_about_what_it_holds_breaks_no_sum(void **state)
{
	static char *names[] = {"press-4", "press-5"};
	static struct world w;
	Wire__NamespaceSet ns = WIRE__NAMESPACE_SET__INIT;
	Wire__NodeSet child = WIRE__NODE_SET__INIT;
	Wire__Need cpu = WIRE__NEED__INIT, *needs = &cpu;
	struct sched_namespace_view v;
	uint8_t bytes[32];
	bool holds = false;

	(void)state;
	start(&w, 1);
	cpu.name = (char *)"cpu";
	cpu.amount = 4000;
	ns.name = (char *)"team";
	ns.n_quota = 1;
	ns.quota = &needs;
	world_do(&w, &(struct command){.kind = CMD_NAMESPACE_SET, .u.namespace_set = &ns});
	for (uint32_t i = 0; i < 2; i++) {
		memset(bytes, (int)i + 1, sizeof(bytes));
		child.name = names[i];
		child.key = child.journal = (ProtobufCBinaryData){32, bytes};
		child.n_capacity = 1;
		child.capacity = &needs;
		world_do(&w, &(struct command){.kind = CMD_NODE_JOIN, .u.node_set = &child});
	}
	quota_told(&w, 2, 0);
	quota_told(&w, 3, 1000);
	quota_told(&w, 2, UINT64_MAX - 1);
	quota_told(&w, 3, UINT64_MAX - 1);
	quota_told(&w, 2, 0);
	quota_told(&w, 3, 1000);
	quota_told(&w, 2, 0);
	assert_true(sched_namespace_named(engine_sched(w.e), "team", &v));
	for (uint32_t r = 0; r < RESOURCES_MAX; r++)
		holds |= v.lent[r] > 0 && v.lent[r] <= 4000;
	assert_true(holds);
	end(&w);
}

/* ---- time ---- */

static void job_that_takes_too_long_is_stopped(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;
	uint64_t j;

	(void)state;
	start(&w, 1);
	spec_init(&s, "slow");
	spec_step(&s, "a", 5);
	s.job.timeout_ns = 10 * SEC;
	j = world_submit(&w, &s);
	l = world_grant(&w, j, 0, 0, 0, 5);
	world_results(&w, l.id.v, 0, 1, WIRE__OUTCOME__SUCCEEDED, 0);
	assert_true(engine_deadline_ns(w.e, w.now) == T0 + 10 * SEC);
	w.now += 10 * SEC;
	world_tick(&w);
	assert_int_equal(
	        world_one(&w, WIRE__ENTRY__BODY_EXPIRED)->expired->what, WIRE__EXPIRED__WHAT__JOB_TIMEOUT);
	world_tick(&w);
	assert_int_equal(world_one(&w, WIRE__ENTRY__BODY_LEASE_STOPPING)->lease_stopping->reason,
	        WIRE__STOP_REASON__JOB_TIMEOUT);
	world_ended(&w, l.id.v, WIRE__STOP_REASON__JOB_TIMEOUT);
	assert_int_equal(world_job(&w, j).state, JOB_FAILED);
	assert_int_equal(world_job(&w, j).counts.stopped, 4);
	end(&w);
}

static void task_that_waits_too_long_fails_unless_it_ran_before(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;

	(void)state;
	start(&w, 1);
	spec_init(&s, "queue");
	spec_step(&s, "a", 3);
	s.step[0].queue_timeout_ns = 5 * SEC;
	s.retry[0] = (Wire__Retry)WIRE__RETRY__INIT;
	s.retry[0].max = 1;
	s.retry[0].not_on_node_loss = 1; /* one task a lease */
	(void)world_submit(&w, &s);
	l = world_lease(&w);
	world_results(&w, l.id.v, 0, 1, WIRE__OUTCOME__FAILED, 1); /* ready again, but it ran */
	w.now += 5 * SEC;
	world_tick(&w);
	assert_int_equal(world_one(&w, WIRE__ENTRY__BODY_EXPIRED)->expired->first, 1);
	assert_int_equal(w.last[0]->expired->count, 2);
	assert_int_equal(world_task(&w, 1, 0, 1).outcome, WIRE__OUTCOME__QUEUE_TIMEOUT);
	assert_int_equal(world_task(&w, 1, 0, 2).outcome, WIRE__OUTCOME__QUEUE_TIMEOUT);
	assert_int_equal(world_task(&w, 1, 0, 0).state, TASK_READY);
	world_ended(&w, l.id.v, WIRE__STOP_REASON__DONE);
	world_finish(&w);
	assert_int_equal(world_job(&w, 1).counts.succeeded, 1);
	end(&w);
}

static void queue_timeout_can_be_given_to_a_job_that_waits(void **state)
{
	static struct world w;
	struct spec s;
	Wire__JobAdjusted m = WIRE__JOB_ADJUSTED__INIT;

	(void)state;
	start(&w, 1);
	spec_init(&s, "queue");
	spec_step(&s, "a", 1);
	m.job = world_submit(&w, &s);
	(void)world_lease(&w); /* the machine is busy */
	m.job = world_submit(&w, &s);
	w.now += 100 * SEC;
	m.set = WIRE__JOB_ADJUSTED__FIELD__QUEUE_TIMEOUT;
	m.queue_timeout_ns = 7 * SEC;
	world_do(&w, &(struct command){.kind = CMD_ADJUST, .u.adjust = &m});
	assert_int_equal(world_settle(&w), 0); /* it counts from the adjustment */
	assert_true(engine_deadline_ns(w.e, w.now) == w.now + 7 * SEC);
	w.now += 7 * SEC;
	assert_int_equal(world_settle(&w), 1);
	assert_int_equal(world_task(&w, 2, 0, 0).outcome, WIRE__OUTCOME__QUEUE_TIMEOUT);
	assert_int_equal(world_job(&w, 2).state, JOB_FAILED);
	end(&w);
}

static void million_tasks_cost_little(void **state)
{
	static struct world w;
	struct engine_limits l = engine_limits_default(1ull << 30);
	struct spec s;
	struct lease_view v;
	uint64_t j;

	(void)state;
	world_init_limits(&w, &l);
	w.check = 0;
	world_boot(&w);
	world_node(&w, 1, 1, WIRE__NODE_SET__STATE__UP);
	world_teach(&w, "a");
	spec_init(&s, "array");
	spec_step(&s, "a", 1000000);
	j = world_submit(&w, &s);
	v = world_lease(&w);
	assert_true(v.count > 1);
	world_run(&w, &v, WIRE__OUTCOME__SUCCEEDED);
	assert_int_equal(world_job(&w, j).counts.succeeded, v.count);
	assert_true(world_load_is_equal(&w, NULL, NULL) < 10000); /* bytes */
	world_replay_is_equal(&w);
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(job_runs_from_submit_to_success),
	        cmocka_unit_test(specification_that_makes_no_sense_is_refused),
	        cmocka_unit_test(job_that_can_never_run_is_refused),
	        cmocka_unit_test(full_engine_refuses_and_takes_again_after_forgetting),
	        cmocka_unit_test(same_key_of_the_same_principal_is_the_same_job),
	        cmocka_unit_test(deadline_that_cannot_be_met_is_refused_or_warned_of),
	        cmocka_unit_test(job_waits_until_it_is_released_or_its_time_has_come),
	        cmocka_unit_test(tasks_follow_each_other_one_by_one),
	        cmocka_unit_test(conditions_choose_what_runs),
	        cmocka_unit_test(what_is_off_the_critical_path_fills_what_is_left),
	        cmocka_unit_test(reduction_runs_as_a_tree_in_order),
	        cmocka_unit_test(reduction_of_a_failed_input_is_skipped_to_the_root),
	        cmocka_unit_test(first_failure_stops_the_rest_but_not_its_handlers),
	        cmocka_unit_test(cancelled_job_stops_what_runs_and_starts_nothing),
	        cmocka_unit_test(retried_job_runs_only_what_did_not_succeed),
	        cmocka_unit_test(adjustments_that_make_no_sense_are_refused),
	        cmocka_unit_test(weights_are_for_root_and_nodes_have_numbers),
	        cmocka_unit_test(a_node_that_lies_about_what_it_holds_breaks_no_sum),
	        cmocka_unit_test(job_that_takes_too_long_is_stopped),
	        cmocka_unit_test(task_that_waits_too_long_fails_unless_it_ran_before),
	        cmocka_unit_test(queue_timeout_can_be_given_to_a_job_that_waits),
	        cmocka_unit_test(million_tasks_cost_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
