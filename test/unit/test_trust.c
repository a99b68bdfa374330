/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about adaptive steps: who is checked, where, how seldom, and what becomes of a node that is caught. */
#include "../world.h"

#define NODES_MAX 4

struct room {
	struct world w;
	struct spec s;
	uint8_t lie[NODES_MAX + 1];   /* of a node; 0: it is honest */
	uint64_t runs[NODES_MAX + 1]; /* results of each node */
};

static void start(struct room *m, uint32_t nodes)
{
	memset(m, 0, sizeof(*m));
	world_init(&m->w);
	world_boot(&m->w);
	for (uint32_t i = 1; i <= nodes; i++)
		world_node(&m->w, i, 1, WIRE__NODE_SET__STATE__UP);
}

static uint64_t submit(struct room *m, uint64_t tasks, const char *then)
{
	spec_init(&m->s, "v");
	spec_step(&m->s, "a", tasks);
	spec_verify(&m->s, 0, 3, 2, 0);
	m->s.verify[0].adaptive = 1;
	if (then) {
		spec_step(&m->s, then, tasks);
		spec_after(&m->s, 1, "a", WIRE__AFTER__MODE__EACH, WIRE__AFTER__ON__SUCCESS);
	}
	return world_submit(&m->w, &m->s);
}

static void end(struct room *m)
{
	engine_check(m->w.e);
	world_replay_is_equal(&m->w);
	(void)world_load_is_equal(&m->w, NULL, NULL);
	world_release(&m->w);
}

static uint8_t truth(uint64_t task)
{
	return (uint8_t)(1 + task % 100);
}

/* The lease's next task ends, as its node would have it. */
static void answer(struct room *m, uint64_t lease, Wire__Outcome o)
{
	Wire__Results r = WIRE__RESULTS__INIT;
	struct lease_view l;
	uint8_t sha[32] = {0};
	uint64_t bytes = 1;
	uint32_t outputs = 1;

	assert_true(engine_lease(m->w.e, (lease_id){lease}, &l));
	sha[0] = m->lie[l.node] ? m->lie[l.node] : truth(l.cursor);
	r.lease = lease;
	r.first = l.cursor;
	r.count = 1;
	r.n_outcome = 1;
	r.outcome = &o;
	r.n_outputs = 1;
	r.outputs = &outputs;
	r.n_output_bytes = 1;
	r.output_bytes = &bytes;
	r.output_sha256 = (ProtobufCBinaryData){32, sha};
	world_tell(&m->w, &r);
	(void)world_one(&m->w, WIRE__ENTRY__BODY_RESULTS);
	m->runs[l.node]++;
	world_reveal(&m->w);
	if (l.cursor + 1 < l.first + l.count || world_waits(&m->w, lease) ||
	        !engine_lease(m->w.e, (lease_id){lease}, &l))
		return;
	world_ended(&m->w, lease, WIRE__STOP_REASON__DONE);
	(void)world_one(&m->w, WIRE__ENTRY__BODY_LEASE_ENDED);
}

/* Everything that is leased answers one task, until nothing is leased or `most` answers were given. */
static void run(struct room *m, uint64_t most)
{
	struct lease_view l;

	for (uint64_t after = 0; most > 0; most--) {
		(void)world_settle(&m->w);
		if (!engine_lease_next(m->w.e, (lease_id){after}, &l)) {
			if (!engine_lease_next(m->w.e, (lease_id){0}, &l))
				return;
		}
		after = l.id.v;
		if (world_waits(&m->w, l.id.v))
			continue;
		answer(m, l.id.v, WIRE__OUTCOME__SUCCEEDED);
	}
}

/* What counts as the task's result, and how many answered; 0: nothing counts. */
static uint8_t result(struct room *m, uint64_t job, uint64_t task, uint32_t *out_votes)
{
	struct vote_view v[3];
	uint8_t digest = 0;

	*out_votes = 0;
	assert_int_equal(engine_votes(m->w.e, (job_id){job}, 0, task, v, 3), 3);
	for (uint32_t i = 3; i-- > 0;) {
		*out_votes += v[i].lease.v != 0;
		if (v[i].committed)
			digest = v[i].digest[0];
	}
	return digest;
}

static void unknown_node_is_checked_on_another(void **state)
{
	static struct room m;
	struct lease_view l;
	uint32_t votes;

	(void)state;
	start(&m, 3);
	assert_int_equal(submit(&m, 1, NULL), 1);
	l = world_lease(&m.w);
	assert_int_equal(l.node, 1);
	assert_int_equal(l.replica, 0);
	assert_int_equal(world_tick(&m.w), 0); /* one after another */
	answer(&m, l.id.v, WIRE__OUTCOME__SUCCEEDED);
	assert_int_equal(result(&m, 1, 0, &votes), 0);
	l = world_lease(&m.w);
	assert_int_equal(l.node, 2);
	assert_int_equal(l.replica, 1);
	answer(&m, l.id.v, WIRE__OUTCOME__SUCCEEDED);
	assert_int_equal(result(&m, 1, 0, &votes), truth(0));
	assert_int_equal(votes, 2);
	assert_int_equal(engine_trust(m.w.e, 1), 1);
	assert_int_equal(engine_trust(m.w.e, 2), 1);
	assert_int_equal(world_tick(&m.w), 0);
	end(&m);
}

static void check_waits_for_another_node_while_there_is_one(void **state)
{
	static struct room m;
	struct lease_view a, b, c;

	(void)state;
	start(&m, 2);
	(void)submit(&m, 3, NULL);
	a = world_lease(&m.w);
	b = world_lease(&m.w);
	assert_true(a.node == 1 && b.node == 2);
	answer(&m, a.id.v, WIRE__OUTCOME__SUCCEEDED);
	/* Node 1 is free, but the check is for node 2: node 1 gets what is new. */
	c = world_lease(&m.w);
	assert_true(c.node == 1 && c.replica == 0 && c.first == 2);
	answer(&m, c.id.v, WIRE__OUTCOME__SUCCEEDED);
	assert_int_equal(world_tick(&m.w), 0);
	answer(&m, b.id.v, WIRE__OUTCOME__SUCCEEDED);
	/* Now each checks the other. */
	a = world_lease(&m.w);
	b = world_lease(&m.w);
	assert_true(a.replica == 1 && b.replica == 1 && a.node != b.node);
	answer(&m, a.id.v, WIRE__OUTCOME__SUCCEEDED);
	answer(&m, b.id.v, WIRE__OUTCOME__SUCCEEDED);
	run(&m, 10);
	assert_int_equal(m.runs[1] + m.runs[2], 6);
	assert_int_equal(engine_trust(m.w.e, 1), 3);
	end(&m);
}

static void only_node_is_checked_by_itself(void **state)
{
	static struct room m;
	uint32_t votes;

	(void)state;
	start(&m, 2);
	world_node(&m.w, 2, 1, WIRE__NODE_SET__STATE__DRAINED);
	(void)submit(&m, 1, NULL);
	run(&m, 10);
	assert_int_equal(result(&m, 1, 0, &votes), truth(0));
	assert_true(votes == 2 && m.runs[1] == 2);
	assert_int_equal(engine_trust(m.w.e, 1), 1);
	end(&m);
}

static void checks_get_rarer_but_never_cease(void **state)
{
	static struct room m;
	uint64_t before;

	(void)state;
	start(&m, 2);
	m.w.check = 0;
	(void)submit(&m, 2500, NULL);
	run(&m, UINT64_MAX);
	assert_true(engine_trust(m.w.e, 1) > 50 && engine_trust(m.w.e, 2) > 50);
	before = m.runs[1] + m.runs[2];
	assert_in_range(before, 2500 + 50, 2500 + 200);
	(void)submit(&m, 2500, NULL);
	run(&m, UINT64_MAX);
	/* One in 50 now: 50 of 2500, more or less. */
	assert_in_range(m.runs[1] + m.runs[2] - before, 2500 + 30, 2500 + 75);
	end(&m);
}

static void third_node_decides_and_the_liar_has_nothing_left(void **state)
{
	static struct room m;
	uint32_t votes;

	(void)state;
	start(&m, 3);
	(void)submit(&m, 40, NULL);
	run(&m, UINT64_MAX);
	assert_true(engine_trust(m.w.e, 2) >= 10);
	m.lie[2] = 0xee;
	(void)submit(&m, 100, NULL);
	run(&m, UINT64_MAX);
	assert_int_equal(engine_trust(m.w.e, 2), 0);
	assert_true(engine_trust(m.w.e, 1) >= 10 && engine_trust(m.w.e, 3) >= 10);
	for (uint64_t i = 0; i < 100; i++) /* what it was believed at first has been run again */
		assert_int_equal(result(&m, 2, i, &votes), truth(i));
	end(&m);
}

/* Node 2 is trusted and lies; returns the first job in which a check met it, after `seen` tasks that others took up. */
static void tail_that_others_took_up_stays(void **state)
{
	static struct room m;
	uint64_t lies = 0;
	uint32_t votes;

	(void)state;
	start(&m, 3);
	m.w.check = 0;
	(void)submit(&m, 300, NULL);
	run(&m, UINT64_MAX);
	m.lie[2] = 0xee;
	(void)submit(&m, 300, "b");
	run(&m, UINT64_MAX);
	assert_int_equal(engine_trust(m.w.e, 2), 0);
	for (uint64_t i = 0; i < 300; i++) {
		lies += result(&m, 2, i, &votes) == 0xee;
		assert_true(votes == 1 || result(&m, 2, i, &votes) == truth(i));
	}
	assert_true(lies > 0); /* each let a task of step b begin: it cannot be taken back */
	end(&m);
}

static void failure_is_checked_like_any_answer(void **state)
{
	static struct room m;
	struct lease_view l;
	struct task_view t;

	(void)state;
	start(&m, 3);
	(void)submit(&m, 2, NULL);
	l = world_lease(&m.w);
	answer(&m, l.id.v, WIRE__OUTCOME__FAILED);
	run(&m, UINT64_MAX);
	assert_true(engine_task(m.w.e, (job_id){1}, 0, 0, &t));
	assert_int_equal(t.outcome, WIRE__OUTCOME__SUCCEEDED);
	/* Only node 1 failed; it was outvoted by two. */
	assert_int_equal(m.runs[1] + m.runs[2] + m.runs[3], 5);
	end(&m);
}

static void cancelled_job_asks_no_more_replicas(void **state)
{
	static struct room m;
	struct lease_view l;
	struct job_view j;

	(void)state;
	start(&m, 2);
	(void)submit(&m, 1, NULL);
	l = world_lease(&m.w);
	world_job_command(&m.w, CMD_CANCEL, 1);
	answer(&m, l.id.v, WIRE__OUTCOME__SUCCEEDED);
	(void)world_settle(&m.w);
	assert_true(engine_job(m.w.e, (job_id){1}, &j) && j.finished_ns);
	end(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(unknown_node_is_checked_on_another),
	        cmocka_unit_test(check_waits_for_another_node_while_there_is_one),
	        cmocka_unit_test(only_node_is_checked_by_itself),
	        cmocka_unit_test(checks_get_rarer_but_never_cease),
	        cmocka_unit_test(third_node_decides_and_the_liar_has_nothing_left),
	        cmocka_unit_test(tail_that_others_took_up_stays),
	        cmocka_unit_test(failure_is_checked_like_any_answer),
	        cmocka_unit_test(cancelled_job_asks_no_more_replicas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
