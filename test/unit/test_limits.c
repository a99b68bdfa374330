/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about what the engine holds at most: nothing that it once took makes it stop, now or after a restart. */
#include "../world.h"

static void start(struct world *w, const struct engine_limits *l)
{
	if (l)
		world_init_limits(w, l);
	else
		world_init(w);
	world_boot(w);
	world_node(w, 1, 4, WIRE__NODE_SET__STATE__UP);
}

static void end(struct world *w)
{
	engine_check(w->e);
	world_replay_is_equal(w);
	(void)world_load_is_equal(w, NULL, NULL);
	world_release(w);
}

/* A job of one task that would like `pool` best and takes a cpu otherwise. */
static void would_like(struct spec *s, const char *pool)
{
	static Wire__Variant best;
	static Wire__Need need[2], *needs[2] = {&need[0], &need[1]};
	static Wire__Variant *both[2];

	spec_init(s, "portable");
	spec_step(s, "a", 1);
	wire__variant__init(&best);
	wire__need__init(&need[0]);
	wire__need__init(&need[1]);
	need[0].name = "cpu";
	need[0].amount = 1000;
	need[1].name = (char *)(uintptr_t)pool;
	need[1].amount = 1000;
	best.n_needs = 2;
	best.needs = needs;
	both[0] = &best;
	both[1] = &s->variant[0];
	s->step[0].n_variants = 2;
	s->step[0].variants = both;
}

static void alternative_that_no_node_could_take_is_passed_over(void **state)
{
	static struct world w;
	struct spec s;

	(void)state;
	start(&w, NULL);
	would_like(&s, "tpu");
	(void)world_submit(&w, &s);
	assert_int_equal(world_lease(&w).variant, 1);
	end(&w);
}

static void unknown_resources_are_remembered_up_to_a_number(void **state)
{
	static struct world w;
	struct spec s;
	uint32_t taken = 0;

	(void)state;
	start(&w, NULL);
	for (int i = 0; i < 30; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "pool%d", i);
		would_like(&s, name);
		world_submit_as(&w, &s, NULL, 1000);
		assert_int_equal(w.n_last, 1);
		if (w.last[0]->body_case == WIRE__ENTRY__BODY_REFUSED)
			world_refused(&w, "full", "unknown resources");
		else
			taken++;
	}
	assert_int_equal(taken, RESOURCES_MAX - 5 - LANES_KEPT);
	would_like(&s, "a-name-of-forty-letters-or-nearly-forty-x");
	world_submit_as(&w, &s, NULL, 1000);
	world_refused(&w, "invalid", "31 bytes");
	world_finish(&w);
	end(&w);
}

/* What was unknown and forgotten may have no place any more when the job comes back. */
static void retried_job_with_a_resource_without_a_place_runs_otherwise(void **state)
{
	static struct world w;
	struct spec s;
	struct lease_view l;
	struct engine *e;
	void *mem;
	uint64_t job;

	(void)state;
	start(&w, NULL);
	would_like(&s, "tpu");
	job = world_submit(&w, &s);
	l = world_lease(&w);
	world_run(&w, &l, WIRE__OUTCOME__FAILED);
	(void)world_load_is_equal(&w, &e, &mem); /* the job is over: nobody remembers 'tpu' */
	munmap(w.mem, w.limits.memory_bytes);
	w.e = e;
	w.mem = mem;
	for (int i = 0; i < 7; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "pool%d", i);
		would_like(&s, name);
		(void)world_submit(&w, &s);
	}
	{
		Wire__NamespaceSet n = WIRE__NAMESPACE_SET__INIT;
		Wire__Need q[4], *pq[4];
		static char names[4][8] = {"q0", "q1", "q2", "q3"};

		for (int i = 0; i < 4; i++) {
			wire__need__init(&q[i]);
			q[i].name = names[i];
			q[i].amount = 1000;
			pq[i] = &q[i];
		}
		n.name = "default";
		n.n_quota = 4;
		n.quota = pq;
		world_do(&w, &(struct command){.kind = CMD_NAMESPACE_SET, .u.namespace_set = &n});
		(void)world_one(&w, WIRE__ENTRY__BODY_NAMESPACE_SET);
	}
	world_job_command(&w, CMD_RETRY, job);
	(void)world_one(&w, WIRE__ENTRY__BODY_JOB_RETRIED);
	world_finish(&w);
	assert_int_equal(world_job(&w, job).state, JOB_SUCCEEDED);
	engine_check(w.e);
	(void)world_load_is_equal(&w, NULL, NULL);
	world_release(&w);
}

/* A full engine must find room for all that it holds when it starts again. */
static void engine_that_is_full_of_jobs_starts_again(void **state)
{
	static struct world w;
	struct engine_limits l = engine_limits_default(64u << 20);
	struct spec s;
	uint64_t sizes[] = {3000000, 100000, 3000, 1};
	uint32_t taken = 0;

	(void)state;
	start(&w, &l);
	w.check = 0;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		for (;;) {
			spec_init(&s, "big");
			spec_step(&s, "a", sizes[i]);
			world_submit_as(&w, &s, NULL, 1000);
			assert_int_equal(w.n_last, 1);
			if (w.last[0]->body_case == WIRE__ENTRY__BODY_REFUSED)
				break;
			if (++taken > 3000)
				break;
		}
	assert_true(taken > 5);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(alternative_that_no_node_could_take_is_passed_over),
	        cmocka_unit_test(unknown_resources_are_remembered_up_to_a_number),
	        cmocka_unit_test(retried_job_with_a_resource_without_a_place_runs_otherwise),
	        cmocka_unit_test(engine_that_is_full_of_jobs_starts_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
