/* SPDX-License-Identifier: Apache-2.0 */
/* test_away - facts about leases on nodes that cannot be reached, and about nodes that cannot reach their hub; see core/away.c. The
 * policies themselves are told by stories (sim/stories_disconnect.c). */
#include "../world.h"

static struct world w;
static struct spec s;
static Wire__Disconnect policy;

static void link_is(uint32_t node, Wire__NodeSet__State state)
{
	Wire__NodeLink link = WIRE__NODE_LINK__INIT;

	link.node = node;
	link.state = state;
	world_do(&w, &(struct command){.kind = CMD_NODE_LINK, .u.node_link = &link});
}
#define UP   WIRE__NODE_SET__STATE__UP
#define DOWN WIRE__NODE_SET__STATE__DISCONNECTED

/* Two nodes; the second has joined. A job of n tasks of one cpu, which is the only one. */
static void begin(uint64_t n)
{
	Wire__NodeSet child = WIRE__NODE_SET__INIT;
	Wire__Need cpu = WIRE__NEED__INIT, *needs = &cpu;
	uint8_t bytes[32] = {1};

	world_init(&w);
	world_boot(&w);
	world_node(&w, 1, 8, UP);
	cpu.name = (char *)"cpu";
	cpu.amount = 8000;
	child.name = (char *)"press-4";
	child.key = child.journal = (ProtobufCBinaryData){32, bytes};
	child.n_capacity = 1;
	child.capacity = &needs;
	world_do(&w, &(struct command){.kind = CMD_NODE_JOIN, .u.node_set = &child});
	link_is(2, UP);
	spec_init(&s, "away");
	spec_step(&s, "a", n);
	wire__disconnect__init(&policy);
	policy.lost_after_ns = 30 * SEC;
	s.job.disconnect = &policy;
}

/* From the journal, and from a snapshot, it is the same. */
static void world_again(void)
{
	world_replay_is_equal(&w);
	(void)world_load_is_equal(&w, NULL, NULL);
}

static struct lease_view lease(uint64_t id)
{
	struct lease_view l;

	assert_true(engine_lease(w.e, (lease_id){id}, &l));
	return l;
}

/* Node 2 is lost for good measure: its leases are parked. */
static void lose(void)
{
	link_is(2, DOWN);
	w.now += 30 * SEC;
	while (engine_deadline_ns(w.e, w.now) <= w.now && world_tick(&w) &&
	        w.last[0]->body_case == WIRE__ENTRY__BODY_LEASE_PARKED)
		;
}

static void back_entry(uint64_t lease_number, size_t n_stop, uint64_t first)
{
	const Wire__LeaseParked *m;

	world_tick(&w);
	m = world_one(&w, WIRE__ENTRY__BODY_LEASE_PARKED)->lease_parked;
	assert_int_equal(m->lease, lease_number);
	assert_int_equal(m->what, WIRE__LEASE_PARKED__WHAT__BACK);
	assert_int_equal(m->n_stop, n_stop);
	if (n_stop)
		assert_int_equal(m->stop[0], first);
}

/* One task of the kind took ten seconds: that is all that is known. */
static void ten_seconds_each(void)
{
	Wire__Results r = WIRE__RESULTS__INIT;
	uint64_t wall = 10000000;
	struct lease_view l;
	struct spec one;

	spec_init(&one, "teach");
	spec_step(&one, "a", 1);
	(void)world_submit(&w, &one);
	l = world_lease(&w);
	r.lease = l.id.v;
	r.count = r.n_wall_us = 1;
	r.wall_us = &wall;
	world_do(&w, &(struct command){.kind = CMD_RESULTS, .u.results = &r});
	world_ended(&w, l.id.v, WIRE__STOP_REASON__DONE);
}

/* So many tasks began on node 2, which was lost 30 s later; since then node 1 has them, two in a lease. Now, 5 s later, node 2 is back. */
static void best_score_of(uint64_t tasks)
{
	begin(tasks);
	policy.reconcile = WIRE__DISCONNECT__RECONCILE__BEST_SCORE;
	ten_seconds_each();
	(void)world_submit(&w, &s);
	(void)world_grant_on(&w, 2, 2, 0, 0, 0, tasks);
	lose();
	assert_true(lease(2).parked);
	for (uint64_t t = 0; t < tasks; t += 2)
		(void)world_grant_on(&w, 1, 2, 0, 0, t, 2);
	w.now += 5 * SEC;
	link_is(2, UP);
}

static void original_with_less_left_to_do_goes_on(void **state)
{
	(void)state;
	best_score_of(4); /* 40 s after it began; the others 20 s after 30 s */
	back_entry(2, 2, 3);
	world_again();
	world_release(&w);
}

static void replacements_that_will_have_done_it_earlier_go_on(void **state)
{
	(void)state;
	best_score_of(8); /* 80 s after it began; the others are four, and take 20 s after 30 s */
	back_entry(2, 1, 2);
	world_again();
	world_release(&w);
}

static void original_goes_on_where_nobody_has_begun_with_all_of_it(void **state)
{
	(void)state;
	best_score_of(8);
	world_ended(&w, 3, WIRE__STOP_REASON__PREEMPTED);
	back_entry(2, 3, 4);
	world_again();
	world_release(&w);
}

static void first_result_counts_and_the_second_is_refused_task_by_task(void **state)
{
	Wire__Results r = WIRE__RESULTS__INIT;
	uint64_t wall[4] = {1, 2, 3, 4}, bytes[3] = {3, 70000, 5};
	uint32_t outputs[4] = {1, 0, 1, 1};
	uint8_t sha[96];

	(void)state;
	begin(4);
	(void)world_submit(&w, &s);
	(void)world_grant_on(&w, 2, 1, 0, 0, 0, 4);
	lose();
	(void)world_grant_on(&w, 1, 1, 0, 0, 0, 2);
	world_results(&w, 2, 0, 2, WIRE__OUTCOME__SUCCEEDED, 0);
	world_ended(&w, 2, WIRE__STOP_REASON__DONE);
	link_is(2, UP);
	memset(sha, 1, 32);
	memset(sha + 32, 2, 32);
	memset(sha + 64, 3, 32);
	r.lease = 1;
	r.count = r.n_wall_us = r.n_outputs = 4;
	r.wall_us = wall;
	r.outputs = outputs;
	r.n_output_bytes = 3;
	r.output_bytes = bytes;
	r.output_sha256 = (ProtobufCBinaryData){96, sha};
	world_do(&w, &(struct command){.kind = CMD_RESULTS, .u.results = &r});
	/* That it is back, before anything of it counts; what is late; what is not. */
	assert_int_equal(w.n_last, 3);
	assert_int_equal(w.last[0]->body_case, WIRE__ENTRY__BODY_LEASE_PARKED);
	assert_int_equal(w.last[1]->body_case, WIRE__ENTRY__BODY_LATE_RESULT);
	assert_int_equal(w.last[1]->late_result->first, 0);
	assert_int_equal(w.last[1]->late_result->count, 2);
	assert_int_equal(w.last[2]->body_case, WIRE__ENTRY__BODY_RESULTS);
	assert_int_equal(w.last[2]->results->first, 2);
	assert_int_equal(w.last[2]->results->count, 2);
	assert_int_equal(w.last[2]->results->wall_us[0], 3);
	assert_int_equal(w.last[2]->results->output_bytes[0], 70000);
	assert_int_equal(w.last[2]->results->output_sha256.data[0], 2);
	assert_int_equal(w.last[2]->results->output_sha256.len, 64);
	assert_int_equal(world_job(&w, 1).counts.succeeded, 4);
	world_ended(&w, 1, WIRE__STOP_REASON__DONE);
	assert_int_equal(world_job(&w, 1).state, JOB_SUCCEEDED);
	world_again();
	world_release(&w);
}

static void replacement_has_the_tasks_of_one_lost_lease(void **state)
{
	struct lease_view l;
	uint64_t longest = 0;

	(void)state;
	begin(12);
	world_teach(&w, "a");
	(void)world_submit(&w, &s);
	(void)world_grant_on(&w, 2, 21, 0, 0, 0, 5);
	(void)world_grant_on(&w, 2, 21, 0, 0, 5, 3);
	link_is(2, DOWN);
	w.now += 30 * SEC;
	world_tick(&w);
	world_tick(&w);
	/* One cpu: one lease after another, and as long as may be. */
	world_node(&w, 1, 1, UP);
	while (world_job(&w, 21).counts.ready) {
		l = world_lease(&w);
		longest = l.count > longest ? l.count : longest;
		assert_true(l.first >= 5 || l.first + l.count <= 5);
		assert_true(l.first >= 8 || l.first + l.count <= 8);
		world_run(&w, &l, WIRE__OUTCOME__SUCCEEDED);
	}
	assert_true(longest > 1);
	world_release(&w);
}

/* Whoever is away for ever must not fill the table of leases for those who are not. */
static void parked_leases_are_bounded(void **state)
{
	uint32_t parked = 0, ended = 0;

	(void)state;
	begin(8);
	world_release(&w);
	world_init_limits(&w, &(struct engine_limits){.memory_bytes = 64u << 20,
	                              .jobs_max = 64,
	                              .leases_max = 6,
	                              .nodes_max = 4,
	                              .namespaces_max = 4,
	                              .delayed_max = 64,
	                              .groups_max = 64});
	world_boot(&w);
	world_node(&w, 1, 8, UP);
	{
		Wire__NodeSet child = WIRE__NODE_SET__INIT;
		uint8_t bytes[32] = {1};

		child.name = (char *)"press-4";
		child.key = child.journal = (ProtobufCBinaryData){32, bytes};
		world_do(&w, &(struct command){.kind = CMD_NODE_JOIN, .u.node_set = &child});
	}
	link_is(2, UP);
	(void)world_submit(&w, &s);
	for (uint64_t t = 0; t < 5; t++)
		(void)world_grant_on(&w, 2, 1, 0, 0, t, 1);
	link_is(2, DOWN);
	w.now += 30 * SEC;
	for (int i = 0; i < 5; i++) {
		world_tick(&w);
		parked += w.last[0]->body_case == WIRE__ENTRY__BODY_LEASE_PARKED;
		ended += w.last[0]->body_case == WIRE__ENTRY__BODY_LEASE_ENDED;
	}
	assert_int_equal(parked, 3);
	assert_int_equal(ended, 2);
	assert_int_equal(world_job(&w, 1).counts.ready, 8);
	world_again();
	world_release(&w);
}

/* ---- alone ---- */

static void joined(uint64_t stop_after_ns)
{
	Wire__LinkSet parent = WIRE__LINK_SET__INIT;
	Wire__Delegated of = WIRE__DELEGATED__INIT;
	uint8_t bytes[32] = {7};

	begin(3);
	parent.name = (char *)"hall";
	parent.key = (ProtobufCBinaryData){32, bytes};
	world_do(&w, &(struct command){.kind = CMD_LINK_SET, .u.link_set = &parent});
	s.job.disconnect = NULL;
	of.lease = 7;
	of.job = (char *)"part-3";
	of.stop_after_ns = stop_after_ns;
	world_do(&w, &(struct command){.kind = CMD_DELEGATED, .u.delegated = {&s.job, &of}});
	(void)world_one(&w, WIRE__ENTRY__BODY_JOB_SUBMITTED);
	world_settle(&w);
}

static void node_that_is_alone_stops_what_it_is_to(void **state)
{
	struct parent_view p;
	struct job_view j;

	(void)state;
	joined(60 * SEC);
	world_results(&w, 1, 0, 1, WIRE__OUTCOME__SUCCEEDED, 0);
	link_is(0, DOWN);
	(void)world_one(&w, WIRE__ENTRY__BODY_NODE_LINK);
	assert_true(engine_parent(w.e, &p) && p.lost_ns == w.now);
	assert_int_equal(engine_deadline_ns(w.e, w.now), w.now + 60 * SEC);
	world_again();
	w.now += 59 * SEC;
	assert_int_equal(world_tick(&w), 0);
	w.now += SEC;
	world_tick(&w);
	assert_int_equal(world_one(&w, WIRE__ENTRY__BODY_EXPIRED)->expired->what, WIRE__EXPIRED__WHAT__ALONE);
	world_settle(&w);
	assert_true(lease(1).stopping || lease(2).stopping);
	for (uint64_t l = 1; l <= w.granted; l++)
		world_ended(&w, l, WIRE__STOP_REASON__CANCELLED);
	j = world_job(&w, 1);
	assert_int_equal(j.state, JOB_CANCELLED);
	assert_int_equal(j.counts.succeeded, 1); /* what was done until then */
	assert_int_equal(j.counts.stopped, 2);
	world_again();
	world_release(&w);
}

static void link_that_came_back_in_time_stops_nothing(void **state)
{
	(void)state;
	joined(60 * SEC);
	link_is(0, DOWN);
	w.now += 59 * SEC;
	link_is(0, UP);
	(void)world_one(&w, WIRE__ENTRY__BODY_NODE_LINK);
	w.now += 1000 * SEC;
	assert_int_equal(world_tick(&w), 0);
	world_release(&w);
}

static void new_engine_is_alone_until_its_hub_answers(void **state)
{
	struct parent_view p;

	(void)state;
	joined(60 * SEC);
	world_boot(&w);
	assert_true(engine_parent(w.e, &p) && p.lost_ns == w.now);
	world_release(&w);
}

static void loss_of_the_hub_is_no_entry_where_nothing_minds(void **state)
{
	(void)state;
	joined(0);
	link_is(0, DOWN);
	assert_int_equal(w.n_last, 0);
	link_is(0, UP);
	assert_int_equal(w.n_last, 0);
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(original_with_less_left_to_do_goes_on),
	        cmocka_unit_test(replacements_that_will_have_done_it_earlier_go_on),
	        cmocka_unit_test(original_goes_on_where_nobody_has_begun_with_all_of_it),
	        cmocka_unit_test(first_result_counts_and_the_second_is_refused_task_by_task),
	        cmocka_unit_test(replacement_has_the_tasks_of_one_lost_lease),
	        cmocka_unit_test(parked_leases_are_bounded),
	        cmocka_unit_test(node_that_is_alone_stops_what_it_is_to),
	        cmocka_unit_test(link_that_came_back_in_time_stops_nothing),
	        cmocka_unit_test(new_engine_is_alone_until_its_hub_answers),
	        cmocka_unit_test(loss_of_the_hub_is_no_entry_where_nothing_minds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
