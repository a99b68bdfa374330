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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(job_runs_from_submit_to_success),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
