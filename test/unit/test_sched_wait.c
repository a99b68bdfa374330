/* SPDX-License-Identifier: Apache-2.0 */
/* test_sched_wait - facts about reservations, backfill, preemption, the reasons told, and the earliest finish. */
#include "sched_help.h"

/* ---- reservation and backfill ---- */

/* One node of 4 cpus, 3 of them taken for 100 s by a lease of known run time; a group of 4 cpus waits first in line. */
static uint32_t blocked_head(void)
{
	uint32_t runs, head;

	node(1, 4000, 0, 0);
	runs = job((struct a_job){.id = 1, .cpu = 3000, .ready = 1, .priority = 90, .kind = "runs"});
	learn(runs, 100000000);
	assert_int_equal(place(T0, NULL), runs);
	sched_group_ready(s, runs, 0, 0);
	head = job((struct a_job){.id = 2, .cpu = 4000, .ready = 1, .priority = 80, .kind = "head"});
	assert_int_equal(place(T0, NULL), 0);
	return head;
}

static void short_work_passes_a_reservation(void **state)
{
	uint32_t quick, head = blocked_head();

	(void)state;
	quick = job((struct a_job){.id = 3, .cpu = 1000, .ready = 1, .kind = "quick"});
	learn(quick, 50000000);
	assert_int_equal(place(T0, NULL), quick);
	sched_lease_remove(s, 2, T0 + 50 * SECOND);
	sched_lease_remove(s, 1, T0 + 100 * SECOND);
	assert_int_equal(place(T0 + 100 * SECOND, NULL), head);
}

static void long_or_unknown_work_does_not_pass_it(void **state)
{
	uint32_t slow, head = blocked_head();

	(void)state;
	slow = job((struct a_job){.id = 3, .cpu = 1000, .ready = 1, .kind = "slow"});
	assert_int_equal(place(T0, NULL), 0);
	learn(slow, 200000000);
	assert_int_equal(place(T0, NULL), 0);
	sched_lease_remove(s, 1, T0 + 90 * SECOND);
	assert_int_equal(place(T0 + 90 * SECOND, NULL), head);
}

static void short_work_that_comes_too_late_does_not_pass_it(void **state)
{
	uint32_t quick;

	(void)state;
	(void)blocked_head();
	quick = job((struct a_job){.id = 3, .cpu = 1000, .ready = 1, .kind = "quick"});
	learn(quick, 50000000);
	assert_int_equal(place(T0 + 60 * SECOND, NULL), 0);
	assert_int_equal(place(T0 + 200 * SECOND, NULL), 0); /* what runs is overdue: it may end any moment */
}

static void room_to_spare_lets_anybody_pass(void **state)
{
	uint32_t runs, head, other;

	(void)state;
	node(1, 8000, 0, 0);
	runs = job((struct a_job){.id = 1, .cpu = 6000, .ready = 1, .priority = 90});
	assert_int_equal(place(T0, NULL), runs);
	sched_group_ready(s, runs, 0, 0);
	head = job((struct a_job){.id = 2, .cpu = 7000, .ready = 1, .priority = 80});
	other = job((struct a_job){.id = 3, .cpu = 1000, .ready = 2});
	assert_int_equal(place(T0, NULL), other); /* 7 + 1 are 8 */
	assert_int_equal(place(T0, NULL), 0);     /* one more would delay the head */
	sched_lease_remove(s, 1, T0);
	assert_int_equal(place(T0, NULL), head);
}

static void other_nodes_are_open_to_all(void **state)
{
	struct sched_placement p;

	(void)state;
	(void)blocked_head();
	(void)job((struct a_job){.id = 3, .cpu = 1000, .ready = 1});
	assert_int_equal(place(T0, NULL), 0);
	node(2, 1000, 0, 0);
	assert_int_not_equal(place(T0, &p), 0);
	assert_int_equal(p.node, 2);
}

static void slice_that_passes_ends_before_the_reserved_time(void **state)
{
	uint32_t g;
	struct sched_placement p;

	(void)state;
	(void)blocked_head();
	g = job((struct a_job){.id = 3, .cpu = 1000, .ready = 100000, .slice = 1000, .kind = "quick"});
	learn(g, 1000);
	assert_int_equal(place(T0 + sched_run_ns(s, "runs", 500) - 10000000, &p), g); /* 10 ms before */
	assert_in_range(p.count_max, 2, 10);
}

static void group_that_no_node_could_hold_reserves_nothing(void **state)
{
	uint32_t g;

	(void)state;
	node(1, 2000, 0, 0);
	(void)job((struct a_job){.id = 1, .cpu = 9000, .ready = 1, .priority = 100});
	g = job((struct a_job){.id = 2, .cpu = 1000, .ready = 9});
	assert_int_equal(place(T0, NULL), g);
	assert_int_equal(place(T0 + 2 * STARVE_NS, NULL), g);
}

static void large_job_is_not_starved_by_a_stream_of_small_ones(void **state)
{
	uint32_t large;
	uint64_t now = T0;

	(void)state;
	node(1, 4000, 0, 0);
	(void)job((struct a_job){.id = 1, .cpu = 1000, .ready = 1000000, .realtime = true});
	assert_int_equal(place_all(now), 4);
	large = job((struct a_job){.id = 2, .cpu = 4000, .ready = 1});
	for (uint64_t l = 1;; l++) {
		uint32_t got;

		now += 5 * SECOND;
		sched_lease_remove(s, l, now);
		got = place(now, NULL);
		if (got == large)
			break;
		assert_true(now < T0 + STARVE_NS + 30 * SECOND);
		if (now < T0 + STARVE_NS)
			assert_int_not_equal(got, 0);
	}
}

static void node_with_very_many_leases_is_reserved_all_the_same(void **state)
{
	static const struct sched_limits lim = {8, 8, 800, 2, 4, 4};
	struct sched_why w;
	uint32_t many, large;

	(void)state;
	assert_true(sched_bytes(&lim) <= sizeof(help_memory));
	memset(help_memory, 0, sizeof(help_memory));
	s = sched_new(help_memory, &lim);
	node(1, 700, 0, 0);
	many = job((struct a_job){.id = 1, .cpu = 1, .ready = 2000});
	for (uint32_t i = 0; i < 700; i++)
		assert_int_equal(place(T0, NULL), many);
	large = job((struct a_job){.id = 2, .cpu = 650, .ready = 1, .priority = 90});
	for (uint64_t l = 1; l <= 650; l++) {
		assert_int_equal(place(T0, NULL), 0); /* what comes free is kept for it */
		sched_lease_remove(s, l, T0);
	}
	assert_true(sched_why(s, large, T0, &w));
	assert_int_equal(w.reason, WAIT_NEXT);
	assert_int_equal(place(T0, NULL), large);
}

/* ---- preemption ---- */

static uint64_t victim_at(uint64_t now)
{
	struct sched_placement p;
	uint64_t victim = 0;

	return sched_pick(s, now, &p, &victim) == SCHED_PREEMPT ? victim : 0;
}

static void realtime_stops_the_lowest_priority_latest_started(void **state)
{
	uint32_t rt;

	(void)state;
	node(1, 3000, 0, 0);
	for (uint64_t i = 0; i < 3; i++) { /* leases 1, 2, 3 of priorities 5, 3, 3 */
		uint32_t g =
		        job((struct a_job){.id = i + 1, .cpu = 1000, .ready = 1, .priority = i == 0 ? 5 : 3});

		assert_int_equal(place(T0 + i, NULL), g);
		sched_group_ready(s, g, 0, 0);
	}
	rt = job((struct a_job){.id = 9, .cpu = 1000, .ready = 1, .realtime = true});
	assert_int_equal(victim_at(T0 + 10), 3);
	sched_lease_stopping(s, 3);
	assert_int_equal(victim_at(T0 + 10), 0); /* enough is coming free */
	assert_int_equal(place(T0 + 10, NULL), 0);
	sched_lease_remove(s, 3, T0 + 20);
	assert_int_equal(place(T0 + 20, NULL), rt);
}

static void fewest_victims_are_chosen(void **state)
{
	uint32_t small, large;

	(void)state;
	node(1, 2000, 0, 0);
	node(2, 2000, 0, 0);
	small = job((struct a_job){.id = 1, .cpu = 1000, .ready = 2});
	assert_int_equal(place(T0, NULL), small);
	assert_int_equal(place(T0, NULL), small);
	large = job((struct a_job){.id = 2, .cpu = 2000, .ready = 1, .priority = 99});
	sched_group_ready(s, small, 0, 0);
	assert_int_equal(place(T0, NULL), large);
	(void)job((struct a_job){.id = 3, .cpu = 2000, .ready = 1, .realtime = true});
	assert_int_equal(victim_at(T0), 3);
}

static void victims_are_stopped_until_it_fits_and_the_room_is_kept(void **state)
{
	uint32_t b, rt;

	(void)state;
	node(1, 2000, 0, 0);
	b = job((struct a_job){.id = 1, .cpu = 1000, .ready = 9});
	assert_int_equal(place_all(T0), 2);
	rt = job((struct a_job){.id = 2, .cpu = 2000, .ready = 1, .realtime = true});
	assert_int_equal(victim_at(T0), 2);
	sched_lease_stopping(s, 2);
	assert_int_equal(victim_at(T0), 1);
	sched_lease_stopping(s, 1);
	assert_int_equal(victim_at(T0), 0);
	sched_lease_remove(s, 2, T0);
	assert_int_equal(place(T0, NULL), 0); /* not given to batch meanwhile */
	sched_lease_remove(s, 1, T0);
	assert_int_equal(place(T0, NULL), rt);
	assert_int_not_equal(b, rt);
}

static void every_task_of_a_group_may_get_a_place_at_once(void **state)
{
	(void)state;
	node(1, 3000, 0, 0);
	(void)job((struct a_job){.id = 1, .cpu = 1000, .ready = 9});
	assert_int_equal(place_all(T0), 3);
	(void)job((struct a_job){.id = 2, .cpu = 1000, .ready = 2, .realtime = true});
	assert_int_equal(victim_at(T0), 3);
	sched_lease_stopping(s, 3);
	assert_int_equal(victim_at(T0), 2);
	sched_lease_stopping(s, 2);
	assert_int_equal(victim_at(T0), 0);
}

static void crowd_of_small_leases_makes_room_for_a_large_task(void **state)
{
	uint32_t small, rt;
	uint64_t stopped = 0, victim;

	(void)state;
	node(1, 4000, 0, 0);
	small = job((struct a_job){.id = 1, .cpu = 40, .ready = 100});
	for (int i = 0; i < 100; i++)
		assert_int_equal(place(T0, NULL), small);
	rt = job((struct a_job){.id = 2, .cpu = 4000, .ready = 1, .realtime = true});
	while ((victim = victim_at(T0)) != 0 && stopped < 200) {
		sched_lease_stopping(s, victim);
		stopped++;
	}
	assert_int_equal(stopped, 100);
	for (uint64_t i = 1; i <= 100; i++)
		sched_lease_remove(s, i, T0 + 1);
	assert_int_equal(place(T0 + 1, NULL), rt);
}

static void nobody_is_stopped_in_vain(void **state)
{
	uint32_t rt;

	(void)state;
	node(1, 2000, 0, 0);
	rt = job((struct a_job){.id = 1, .cpu = 1000, .ready = 1, .realtime = true});
	assert_int_equal(place(T0, NULL), rt);
	sched_group_ready(s, rt, 0, 0);
	(void)job((struct a_job){.id = 2, .cpu = 1000, .ready = 1});
	assert_int_not_equal(place(T0, NULL), 0);
	(void)job((struct a_job){.id = 3, .cpu = 2000, .ready = 1, .realtime = true});
	assert_int_equal(victim_at(T0), 0); /* the realtime lease stays: stopping the other would not do */
	(void)job((struct a_job){.id = 4, .cpu = 2000, .ready = 1, .priority = 100});
	assert_int_equal(victim_at(T0), 0); /* batch stops nobody */
}

static void devices_come_free_by_preemption_too(void **state)
{
	struct sched_placement p;
	uint32_t b, rt;

	(void)state;
	node(1, 9000, 0, 2);
	b = job((struct a_job){.id = 1, .cpu = 100, .gpu = 500, .ready = 3});
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(place(T0, NULL), b); /* two on device 0, one on device 1 */
	sched_group_ready(s, b, 0, 0);
	rt = job((struct a_job){.id = 2, .cpu = 100, .gpu = 1000, .ready = 1, .realtime = true});
	assert_int_equal(victim_at(T0), 3);
	sched_lease_stopping(s, 3);
	assert_int_equal(victim_at(T0), 0);
	sched_lease_remove(s, 3, T0);
	assert_int_equal(place(T0, &p), rt);
	assert_int_equal(p.devices[0], 1);
}

/* ---- why ---- */

static struct sched_why why(uint32_t group, uint64_t now)
{
	struct sched_why w;

	assert_true(sched_why(s, group, now, &w));
	return w;
}

static void why_tells_not_ready_next_and_concurrency(void **state)
{
	uint32_t g;

	(void)state;
	node(1, 4000, 0, 0);
	g = job((struct a_job){.id = 1, .cpu = 1000, .concurrency = 1});
	assert_int_equal(why(g, T0).reason, WAIT_NOT_READY);
	sched_group_ready(s, g, 5, T0);
	assert_int_equal(why(g, T0).reason, WAIT_NEXT);
	assert_int_equal(place(T0, NULL), g);
	assert_int_equal(why(g, T0).reason, WAIT_CONCURRENCY);
}

static void why_tells_who_holds_what_is_scarce_and_what_would_fit(void **state)
{
	struct sched_why w;
	uint32_t one, big, waits;

	(void)state;
	node(1, 8000, 1000, 0);
	one = job((struct a_job){.id = 1, .cpu = 1000, .ready = 1, .kind = "one"});
	learn(one, 9000000);
	assert_int_equal(place(T0, NULL), one);
	sched_group_ready(s, one, 0, 0);
	big = job((struct a_job){.id = 2, .cpu = 5000, .memory = 100, .ready = 1, .kind = "big"});
	learn(big, 60000000);
	assert_int_equal(place(T0, NULL), big);
	sched_group_ready(s, big, 0, 0);
	waits = job((struct a_job){.id = 3, .cpu = 4000, .memory = 500, .ready = 3});
	w = why(waits, T0 + SECOND);
	assert_int_equal(w.reason, WAIT_RESOURCES);
	assert_string_equal(sched_resource_name(s, w.resource), "cpu");
	assert_int_equal(w.node, 1);
	assert_int_equal(w.needs, 4000);
	assert_int_equal(w.free, 2000);
	assert_int_equal(w.capacity, 8000);
	assert_int_equal(w.fits_amount, 2000);
	assert_int_equal(w.groups_before, 0);
	assert_int_equal(w.n_holders, 2);
	assert_int_equal(w.holders[0].lease, 2);
	assert_int_equal(w.holders[0].job, 2);
	assert_int_equal(w.holders[0].amount, 5000);
	assert_in_range(w.holders[0].until_ns, T0 + 60 * SECOND, T0 + 75 * SECOND);
	assert_int_equal(w.start_ns, w.holders[0].until_ns); /* one cpu at 9 s is not enough */
}

static void why_tells_the_quota_and_who_uses_it(void **state)
{
	struct sched_why w;
	uint32_t g;

	(void)state;
	node(1, 8000, 0, 0);
	space("main", 1, 3000);
	g = job((struct a_job){.id = 1, .cpu = 2000, .ready = 5});
	assert_int_equal(place_all(T0), 1);
	w = why(g, T0);
	assert_int_equal(w.reason, WAIT_QUOTA);
	assert_int_equal(w.needs, 2000);
	assert_int_equal(w.free, 1000);
	assert_int_equal(w.capacity, 3000);
	assert_int_equal(w.fits_amount, 1000);
	assert_int_equal(w.n_holders, 1);
	assert_int_equal(w.holders[0].lease, 1);
}

static void why_tells_drained_from_too_large(void **state)
{
	struct sched_why w;
	uint32_t g;

	(void)state;
	node(1, 2000, 0, 0);
	g = job((struct a_job){.id = 1, .cpu = 4000, .ready = 1});
	w = why(g, T0);
	assert_int_equal(w.reason, WAIT_TOO_LARGE);
	assert_int_equal(w.needs, 4000);
	assert_int_equal(w.capacity, 2000);
	node_is(2, 4000, 0, 0, WIRE__NODE_SET__STATE__DRAINED);
	w = why(g, T0);
	assert_int_equal(w.reason, WAIT_DRAINED);
	assert_int_equal(w.node, 2);
}

static void why_tells_reserved_and_behind(void **state)
{
	struct sched_why w;
	uint32_t slow, head, next;

	(void)state;
	head = blocked_head();
	slow = job((struct a_job){.id = 3, .cpu = 1000, .ready = 1});
	w = why(slow, T0);
	assert_int_equal(w.reason, WAIT_RESERVED);
	assert_int_equal(w.blocking_job, 2);
	assert_int_equal(w.node, 1);
	assert_int_equal(why(head, T0).reason, WAIT_RESOURCES);
	sched_group_ready(s, head, 0, 0);
	next = job((struct a_job){.id = 4, .cpu = 1000, .ready = 7, .priority = 9});
	assert_int_equal(why(next, T0).reason, WAIT_NEXT);
	w = why(slow, T0);
	assert_int_equal(w.reason, WAIT_BEHIND);
	assert_int_equal(w.groups_before, 1);
	assert_int_equal(w.tasks_before, 7);
	assert_int_equal(w.blocking_job, 4);
}

/* ---- earliest finish ---- */

static uint64_t finish(bool realtime, uint64_t deadline, uint64_t cpu, uint64_t tasks)
{
	Wire__Need need[3], *needs[3];
	Wire__Variant v = WIRE__VARIANT__INIT;
	const Wire__Variant *vs[1] = {&v};

	v.needs = needs;
	v.n_needs = help_needs(need, needs, cpu, 0, 0);
	return sched_earliest_finish_ns(s, T0, realtime, 50, deadline, "main", "kind", vs, 1, NULL, tasks);
}

static void finish_of_an_idle_node_is_by_waves(void **state)
{
	uint64_t run;
	uint32_t g;

	(void)state;
	node(1, 4000, 0, 0);
	assert_int_equal(finish(true, 0, 1000, 4), 0);
	g = job((struct a_job){.id = 1, .cpu = 1000});
	learn(g, 1000000);
	run = sched_run_ns(s, "kind", 900);
	assert_int_equal(finish(true, 0, 1000, 4), T0 + run);
	assert_int_equal(finish(true, 0, 1000, 5), T0 + 2 * run);
	assert_int_equal(finish(false, 0, 2000, 5), T0 + 3 * run);
	assert_int_equal(finish(true, 0, 5000, 1), UINT64_MAX);
	space("main", 1, 500);
	assert_int_equal(finish(true, 0, 1000, 1), UINT64_MAX);
}

static void finish_counts_what_runs_and_what_is_due_before(void **state)
{
	uint64_t run;
	uint32_t g;

	(void)state;
	node(1, 2000, 0, 0);
	g = job((struct a_job){
	        .id = 1, .cpu = 2000, .realtime = true, .deadline = T0 + 5 * SECOND, .ready = 3});
	learn(g, 1000000);
	run = sched_run_ns(s, "kind", 900);
	assert_int_equal(place(T0, NULL), g);
	sched_group_ready(s, g, 2, T0);
	/* one runs and two are due before: the fourth */
	assert_int_equal(finish(true, T0 + 9 * SECOND, 2000, 1), T0 + 4 * run);
	/* due before them: after what runs */
	assert_int_equal(finish(true, T0 + 4 * SECOND, 2000, 1), T0 + 2 * run);
}

static void realtime_does_not_wait_for_batch_and_batch_does(void **state)
{
	uint64_t run;
	uint32_t g;

	(void)state;
	node(1, 1000, 0, 0);
	g = job((struct a_job){.id = 1, .cpu = 1000, .ready = 3, .priority = 50});
	learn(g, 1000000);
	run = sched_run_ns(s, "kind", 900);
	assert_int_equal(place(T0, NULL), g);
	sched_group_ready(s, g, 2, T0);
	assert_int_equal(finish(true, 0, 1000, 1), T0 + run);
	assert_int_equal(finish(false, 0, 1000, 1), T0 + 4 * run);
}

#define FACT(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        FACT(short_work_passes_a_reservation),
	        FACT(long_or_unknown_work_does_not_pass_it),
	        FACT(short_work_that_comes_too_late_does_not_pass_it),
	        FACT(room_to_spare_lets_anybody_pass),
	        FACT(other_nodes_are_open_to_all),
	        FACT(slice_that_passes_ends_before_the_reserved_time),
	        FACT(group_that_no_node_could_hold_reserves_nothing),
	        FACT(large_job_is_not_starved_by_a_stream_of_small_ones),
	        FACT(node_with_very_many_leases_is_reserved_all_the_same),
	        FACT(realtime_stops_the_lowest_priority_latest_started),
	        FACT(fewest_victims_are_chosen),
	        FACT(victims_are_stopped_until_it_fits_and_the_room_is_kept),
	        FACT(every_task_of_a_group_may_get_a_place_at_once),
	        FACT(nobody_is_stopped_in_vain),
	        FACT(crowd_of_small_leases_makes_room_for_a_large_task),
	        FACT(devices_come_free_by_preemption_too),
	        FACT(why_tells_not_ready_next_and_concurrency),
	        FACT(why_tells_who_holds_what_is_scarce_and_what_would_fit),
	        FACT(why_tells_the_quota_and_who_uses_it),
	        FACT(why_tells_drained_from_too_large),
	        FACT(why_tells_reserved_and_behind),
	        FACT(finish_of_an_idle_node_is_by_waves),
	        FACT(finish_counts_what_runs_and_what_is_due_before),
	        FACT(realtime_does_not_wait_for_batch_and_batch_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
