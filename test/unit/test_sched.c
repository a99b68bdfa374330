/* SPDX-License-Identifier: Apache-2.0 */
/* test_sched - facts about order, limits, fit, devices, slices and learning. Waiting is in test_sched_wait.c. */
#include "sched_help.h"

/* ---- order ---- */

static void realtime_goes_before_batch(void **state)
{
	uint32_t b, r;

	(void)state;
	node(1, 1000, 0, 0);
	b = job((struct a_job){.id = 1, .cpu = 1000, .ready = 1, .priority = 100});
	r = job((struct a_job){.id = 2, .cpu = 1000, .ready = 1, .realtime = true});
	assert_int_not_equal(b, r);
	assert_int_equal(place(T0, NULL), r);
}

static void earliest_deadline_goes_first_and_none_last(void **state)
{
	uint32_t none, late, soon;

	(void)state;
	node(1, 3000, 0, 0);
	none = job((struct a_job){.id = 1, .cpu = 1000, .ready = 1, .realtime = true, .priority = 100});
	late = job((struct a_job){
	        .id = 2, .cpu = 1000, .ready = 1, .realtime = true, .deadline = T0 + 9 * SECOND});
	soon = job((struct a_job){
	        .id = 3, .cpu = 1000, .ready = 1, .realtime = true, .deadline = T0 + 5 * SECOND});
	assert_int_equal(place(T0, NULL), soon);
	sched_group_ready(s, soon, 0, 0);
	assert_int_equal(place(T0, NULL), late);
	sched_group_ready(s, late, 0, 0);
	assert_int_equal(place(T0, NULL), none);
}

static void namespaces_share_by_weight(void **state)
{
	uint32_t a, n[2] = {0};

	(void)state;
	node(1, 40000, 0, 0);
	space("a", 3, 0);
	space("b", 1, 0);
	a = job((struct a_job){.id = 1, .space = "a", .cpu = 1000, .ready = 100});
	(void)job((struct a_job){.id = 2, .space = "b", .cpu = 1000, .ready = 100});
	for (uint32_t i = 0; i < 40; i++)
		n[place(T0, NULL) == a]++;
	assert_int_equal(n[1], 30);
	assert_int_equal(n[0], 10);
}

static void use_long_ago_weighs_less_than_use_now(void **state)
{
	uint32_t old, fresh;

	(void)state;
	node(1, 2000, 0, 0);
	old = job((struct a_job){.id = 1, .space = "old", .cpu = 2000, .ready = 9});
	assert_int_equal(place(T0, NULL), old);
	sched_lease_remove(s, 1, T0 + 100 * SECOND); /* 100 s of all */
	sched_group_ready(s, old, 0, 0);
	fresh = job((struct a_job){.id = 2, .space = "fresh", .cpu = 2000, .ready = 9});
	assert_int_equal(place(T0 + 5 * 3600 * SECOND, NULL), fresh);
	sched_lease_remove(s, 2, T0 + (5 * 3600 + 20) * SECOND); /* 20 s of all, five half-lives later */
	sched_group_ready(s, old, 9, T0 + (5 * 3600 + 20) * SECOND);
	assert_int_equal(place(T0 + (5 * 3600 + 21) * SECOND, NULL), old);
}

static void usage_survives_a_jump_of_the_clock(void **state)
{
	uint32_t g;

	(void)state;
	node(1, 2000, 0, 0);
	g = job((struct a_job){.id = 1, .cpu = 1000, .ready = 9});
	assert_int_equal(place(T0, NULL), g);
	assert_int_equal(place(1ull << 62, NULL), g);
	sched_lease_remove(s, 1, 5); /* and back */
	sched_lease_remove(s, 2, 1ull << 62);
}

static void higher_priority_first_until_the_lower_has_aged(void **state)
{
	uint32_t low, high;

	(void)state;
	node(1, 1000, 0, 0);
	low = job((struct a_job){.id = 1, .cpu = 1000, .ready = 9, .priority = 50});
	high = job((struct a_job){.id = 2, .cpu = 1000, .ready = 9, .priority = 52});
	for (uint64_t i = 0; i < 2; i++) {
		assert_int_equal(place(T0 + i * MINUTE, NULL), high);
		sched_lease_remove(s, help_lease - 1, T0 + i * MINUTE + SECOND);
	}
	assert_int_equal(place(T0 + 2 * MINUTE, NULL), high);
	sched_lease_remove(s, help_lease - 1, T0 + 2 * MINUTE + SECOND);
	/* high was served 2 minutes after low began to wait: two points */
	assert_int_equal(place(T0 + 3 * MINUTE, NULL), low);
}

static void jobs_of_one_priority_take_turns(void **state)
{
	uint32_t g[3], seen[3] = {0};

	(void)state;
	node(1, 30000, 0, 0);
	for (uint32_t i = 0; i < 3; i++)
		g[i] = job((struct a_job){.id = i + 1, .cpu = 1000, .ready = 99});
	/* More steps do not make more turns. */
	(void)group_of(&(struct a_job){.id = 1, .cpu = 1000, .ready = 99}, 1);
	for (uint32_t i = 0; i < 30; i++) {
		uint32_t got = place(T0, NULL);

		seen[got == g[1] ? 1 : got == g[2] ? 2 : 0]++;
	}
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(seen[i], 10);
}

static void group_with_slack_waits_for_its_neighbours_but_not_for_ever(void **state)
{
	uint32_t main, side, other, got[3] = {0};

	(void)state;
	node(1, 1000, 0, 0);
	main = job((struct a_job){.id = 1, .cpu = 1000, .ready = 99});
	side = group_of(&(struct a_job){.id = 1, .cpu = 1000}, 1);
	sched_group_slack(s, side, 2);
	sched_group_ready(s, side, 99, T0 - 15 * SECOND); /* 2 * SLACK_NS late, so it is 5 s younger */
	other = job((struct a_job){.id = 2, .cpu = 1000, .ready = 99});
	for (uint64_t i = 0; i < 60; i++) {
		uint32_t g = place(T0 + i * SECOND, NULL);

		got[g == main ? 0 : g == side ? 1 : 2]++;
		assert_true(g != 0 && (i >= 5 || g != side));
		sched_lease_remove(s, help_lease - 1, T0 + (i + 1) * SECOND);
	}
	assert_int_equal(got[2], 30); /* between jobs nothing changes */
	assert_in_range(got[1], 2, 4);
	(void)other;
}

static void ties_go_by_id(void **state)
{
	uint32_t two, one;

	(void)state;
	node(1, 1000, 0, 0);
	two = job((struct a_job){.id = 2, .cpu = 1000, .ready = 1});
	one = job((struct a_job){.id = 1, .cpu = 1000, .ready = 1});
	assert_int_not_equal(one, two);
	assert_int_equal(place(T0, NULL), one);
}

static void starving_batch_goes_before_realtime(void **state)
{
	uint32_t b, r;

	(void)state;
	node(1, 1000, 0, 0);
	b = job((struct a_job){.id = 1, .cpu = 1000, .ready = 9});
	r = job((struct a_job){.id = 2, .cpu = 1000, .ready = 9, .realtime = true});
	assert_int_equal(sched_wake_ns(s, T0), T0 + STARVE_NS);
	assert_int_equal(place(T0 + STARVE_NS - 1, NULL), r);
	sched_lease_remove(s, 1, T0 + STARVE_NS);
	assert_int_equal(place(T0 + STARVE_NS, NULL), b);
	sched_lease_remove(s, 2, T0 + STARVE_NS);
	assert_int_equal(place(T0 + STARVE_NS, NULL), r); /* it was served: it starves no more */
}

static void waking_is_always_later_than_now(void **state)
{
	(void)state;
	assert_int_equal(sched_wake_ns(s, T0), UINT64_MAX);
	node(1, 1000, 0, 0);
	(void)job((struct a_job){.id = 1, .cpu = 9000, .ready = 9});
	assert_int_equal(place(T0 + 2 * STARVE_NS, NULL), 0);
	assert_true(sched_wake_ns(s, T0 + 2 * STARVE_NS) > T0 + 2 * STARVE_NS);
}

/* ---- limits ---- */

static void concurrency_bounds_the_leases_of_a_job(void **state)
{
	uint32_t g;

	(void)state;
	node(1, 9000, 0, 0);
	g = job((struct a_job){.id = 1, .cpu = 1000, .ready = 9, .concurrency = 2});
	assert_int_equal(place_all(T0), 2);
	sched_lease_remove(s, 1, T0);
	assert_int_equal(place(T0, NULL), g);
	sched_job_adjust(s, &(struct sched_job){.id = 1, .concurrency = 3});
	assert_int_equal(place_all(T0), 1);
}

static void quota_bounds_a_namespace_and_nobody_else(void **state)
{
	uint32_t g;

	(void)state;
	node(1, 9000, 0, 0);
	space("a", 1, 2500);
	g = job((struct a_job){.id = 1, .space = "a", .cpu = 1000, .ready = 9, .realtime = true});
	assert_int_equal(place_all(T0), 2);
	(void)job((struct a_job){.id = 2, .space = "b", .cpu = 1000, .ready = 9});
	assert_int_equal(place_all(T0), 7);
	space("a", 1, 9000);
	sched_lease_remove(s, help_lease - 1, T0);
	assert_int_equal(place(T0, NULL), g);
}

static void lowered_quota_lets_leases_go_on(void **state)
{
	(void)state;
	node(1, 9000, 0, 0);
	(void)job((struct a_job){.id = 1, .cpu = 1000, .ready = 9});
	assert_int_equal(place_all(T0), 9);
	space("main", 1, 2000);
	for (uint64_t l = 1; l <= 7; l++) {
		sched_lease_remove(s, l, T0);
		assert_int_equal(place_all(T0), 0);
	}
	sched_lease_remove(s, 8, T0);
	assert_int_equal(place_all(T0), 1);
}

/* ---- fit ---- */

static void nodes_fill_by_id_those_without_devices_first(void **state)
{
	struct sched_placement p;
	static const uint32_t want[] = {2, 2, 3, 1};

	(void)state;
	node(1, 1000, 0, 1);
	node(2, 2000, 0, 0);
	node(3, 1000, 0, 0);
	(void)job((struct a_job){.id = 1, .cpu = 1000, .ready = 9});
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_not_equal(place(T0, &p), 0);
		assert_int_equal(p.node, want[i]);
	}
	assert_int_equal(place(T0, NULL), 0);
}

static void every_resource_must_fit_on_one_node(void **state)
{
	struct sched_placement p;

	(void)state;
	node(1, 8000, 100, 0);
	node(2, 1000, 800, 0);
	(void)job((struct a_job){.id = 1, .cpu = 2000, .memory = 200, .ready = 1});
	assert_int_equal(place(T0, NULL), 0);
	node(3, 2000, 200, 0);
	assert_int_not_equal(place(T0, &p), 0);
	assert_int_equal(p.node, 3);
}

static void drained_and_lost_nodes_get_nothing_new(void **state)
{
	(void)state;
	node_is(1, 4000, 0, 0, WIRE__NODE_SET__STATE__DRAINED);
	node_is(2, 4000, 0, 0, WIRE__NODE_SET__STATE__LOST);
	(void)job((struct a_job){.id = 1, .cpu = 1000, .ready = 9});
	assert_int_equal(place_all(T0), 0);
	node(1, 4000, 0, 0);
	assert_int_equal(place_all(T0), 4);
	node_is(1, 4000, 0, 0, WIRE__NODE_SET__STATE__DRAINED);
	sched_lease_remove(s, 1, T0);
	assert_int_equal(place_all(T0), 0);
}

static void node_may_shrink_below_what_is_leased(void **state)
{
	struct sched_node_view v;

	(void)state;
	node(1, 4000, 0, 0);
	(void)job((struct a_job){.id = 1, .cpu = 1000, .ready = 9});
	assert_int_equal(place_all(T0), 4);
	node(1, 2000, 0, 0);
	assert_true(sched_node(s, 1, &v));
	assert_int_equal(v.free[0], -2000);
	assert_int_equal(v.n_leases, 4);
	sched_lease_remove(s, 1, T0);
	sched_lease_remove(s, 2, T0);
	assert_int_equal(place_all(T0), 0);
	sched_lease_remove(s, 3, T0);
	assert_int_equal(place_all(T0), 1);
}

static void parts_share_a_device_and_whole_ones_do_not(void **state)
{
	struct sched_placement p;
	uint32_t quarter, two;

	(void)state;
	node(1, 9000, 0, 3);
	quarter = job((struct a_job){.id = 1, .cpu = 100, .gpu = 250, .ready = 9, .concurrency = 5});
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(place(T0, &p), quarter);
		assert_int_equal(p.n_devices, 1);
		assert_int_equal(p.devices[0], i < 4 ? 0 : 1);
	}
	two = job((struct a_job){.id = 2, .cpu = 100, .gpu = 2000, .ready = 1});
	assert_int_equal(place(T0, NULL), 0);
	sched_lease_remove(s, 5, T0);
	sched_group_ready(s, quarter, 0, 0);
	assert_int_equal(place(T0, &p), two);
	assert_int_equal(p.n_devices, 2);
	assert_int_equal(p.devices[0], 1);
	assert_int_equal(p.devices[1], 2);
}

static void part_goes_to_the_fullest_device_that_has_room(void **state)
{
	struct sched_placement p;
	uint32_t half;

	(void)state;
	node(1, 9000, 0, 2);
	half = job((struct a_job){.id = 1, .cpu = 100, .gpu = 600, .ready = 2});
	assert_int_equal(place(T0, NULL), half);
	assert_int_equal(place(T0, NULL), half);
	sched_lease_remove(s, 1, T0);
	sched_group_ready(s, half, 0, 0);
	(void)job((struct a_job){.id = 2, .cpu = 100, .gpu = 300, .ready = 1});
	assert_int_not_equal(place(T0, &p), 0);
	assert_int_equal(p.devices[0], 1);
}

static void variants_are_taken_in_order_of_preference(void **state)
{
	struct sched_placement p;

	(void)state;
	node(1, 9000, 0, 1);
	(void)job((struct a_job){.id = 1, .gpu = 1000, .cpu = 1000, .cpu2 = 4000, .ready = 9});
	assert_int_not_equal(place(T0, &p), 0);
	assert_int_equal(p.variant, 0);
	assert_int_not_equal(place(T0, &p), 0);
	assert_int_equal(p.variant, 1);
	assert_int_equal(p.n_devices, 0);
	sched_lease_remove(s, 1, T0);
	assert_int_not_equal(place(T0, &p), 0);
	assert_int_equal(p.variant, 0);
}

static void too_large_is_said_with_what_there_is(void **state)
{
	Wire__Need need = WIRE__NEED__INIT, *needs[1] = {&need};
	Wire__Variant v = WIRE__VARIANT__INIT;
	const Wire__Variant *vs[1] = {&v};
	char why[200];

	(void)state;
	need.name = (char *)(uintptr_t) "cpu";
	need.amount = 16000;
	v.needs = needs;
	v.n_needs = 1;
	assert_false(sched_could_fit(s, "main", vs, 1, why, sizeof(why)));
	assert_string_equal(why, "there is no node yet");
	node(1, 4000, 4ull << 30, 1);
	node(2, 8000, 1ull << 30, 0);
	assert_false(sched_could_fit(s, "main", vs, 1, why, sizeof(why)));
	assert_string_equal(why, "cpu 16 is more than any node has; the largest, 'n2', has cpu 8");
	need.amount = 7500;
	assert_true(sched_could_fit(s, "main", vs, 1, why, sizeof(why)));
	space("main", 1, 2500);
	assert_false(sched_could_fit(s, "main", vs, 1, why, sizeof(why)));
	assert_string_equal(why, "cpu 7.500 is more than the quota of namespace 'main' (cpu 2.500)");
	need.name = (char *)(uintptr_t) "tpu";
	assert_false(sched_could_fit(s, "main", vs, 1, why, sizeof(why)));
	assert_string_equal(why, "no node has any 'tpu'");
	need.name = (char *)(uintptr_t) "memory";
	need.amount = 8ull << 30;
	assert_false(sched_could_fit(s, "main", vs, 1, why, sizeof(why)));
	assert_string_equal(
	        why, "memory 8 GiB is more than any node has; the largest, 'n1', has memory 4 GiB");
}

/* ---- slices ---- */

static uint64_t slice_now(void)
{
	struct sched_placement p = {0};
	uint64_t victim;

	assert_int_equal(sched_pick(s, T0, &p, &victim), SCHED_PLACE);
	return p.count_max;
}

static void slice_is_one_until_the_run_time_is_known(void **state)
{
	uint32_t g;

	(void)state;
	node(1, 1000, 0, 0);
	g = job((struct a_job){.id = 1, .cpu = 1000, .ready = 1000000, .slice = 100000});
	assert_int_equal(slice_now(), 1);
	learn(g, 1000);
	assert_in_range(slice_now(), SLICE_NS / 1000000 * 4 / 5, SLICE_NS / 1000000 * 6 / 5);
}

static void slice_is_bounded_by_cap_slowness_and_the_job(void **state)
{
	uint32_t fast, slow, asked;

	(void)state;
	node(1, 1000, 0, 0);
	fast = job((struct a_job){.id = 1, .cpu = 1000, .ready = 1000000, .slice = 100000, .kind = "fast"});
	learn(fast, 1);
	assert_int_equal(slice_now(), SLICE_MAX);
	sched_group_ready(s, fast, 0, 0);
	slow = job((struct a_job){.id = 2, .cpu = 1000, .ready = 1000000, .slice = 100000, .kind = "slow"});
	learn(slow, 30000);
	assert_int_equal(slice_now(), 1);
	sched_group_ready(s, slow, 0, 0);
	asked = job((struct a_job){.id = 3, .cpu = 1000, .ready = 1000000, .slice = 7, .kind = "fast"});
	assert_int_not_equal(asked, 0);
	assert_int_equal(slice_now(), 7);
}

static void slices_shrink_towards_the_end(void **state)
{
	uint32_t g;
	struct sched_placement p;

	(void)state;
	node(1, 2000, 0, 0);
	g = job((struct a_job){.id = 1, .cpu = 1000, .ready = 100, .slice = 100000});
	learn(g, 1000);
	assert_int_equal(slice_now(), 25); /* half a share for each of two allotments */
	assert_int_equal(place(T0, &p), g);
	sched_group_ready(s, g, 75, T0);
	assert_int_equal(slice_now(), 19); /* one held, one free: still two */
	sched_group_ready(s, g, 8, T0);
	assert_int_equal(slice_now(), 4); /* a share: less is not worth a lease */
	sched_group_ready(s, g, 2, T0);
	assert_int_equal(slice_now(), 1);
	sched_group_ready(s, g, 1, T0);
	assert_int_equal(slice_now(), 1);
}

/* Some lease ends every millisecond then, whatever its length: so what they cost whoever grants them stays the same. */
static void where_places_are_many_slices_are_long(void **state)
{
	uint32_t g;

	(void)state;
	node(1, 99000, 0, 0);
	g = job((struct a_job){.id = 1, .cpu = 1000, .ready = 100000000, .slice = 100000});
	learn(g, 10000);
	assert_in_range(slice_now(), 8, 12); /* 100 ms */
	node(2, 901000, 0, 0);               /* 1000 places: 1 s */
	assert_in_range(slice_now(), 80, 120);
	node(3, 99000000, 0, 0);
	assert_in_range(slice_now(), 400, 600); /* no longer than 5 s */
	sched_group_ready(s, g, 100, T0);
	assert_int_equal(slice_now(), 1); /* enough for all of them */
	sched_group_ready(s, g, 0, T0);
	g = job((struct a_job){.id = 2, .cpu = 1000, .ready = 100000000, .slice = 100000, .kind = "long"});
	learn(g, 1000000);
	assert_in_range(slice_now(), 4, 6);
}

/* ---- learning ---- */

static void quantiles_are_within_a_quarter(void **state)
{
	uint32_t g;
	uint64_t us[100];

	(void)state;
	g = job((struct a_job){.id = 1, .cpu = 1000});
	assert_int_equal(sched_run_ns(s, "kind", 500), 0);
	for (uint64_t i = 0; i < 100; i++)
		us[i] = 1000 * (i + 1);
	sched_learn(s, g, 0, 1, us, 100, T0);
	assert_in_range(sched_run_ns(s, "kind", 500), 50000000, 63000000);
	assert_in_range(sched_run_ns(s, "kind", 900), 90000000, 113000000);
	assert_in_range(sched_run_ns(s, "kind", 1000), 100000000, 125000000);
	assert_int_equal(sched_run_ns(s, "other", 500), 0);
}

static void what_was_long_ago_fades(void **state)
{
	uint32_t g;

	(void)state;
	g = job((struct a_job){.id = 1, .cpu = 1000});
	for (uint32_t i = 0; i < 1000; i++)
		learn(g, 1000000);
	for (uint32_t i = 0; i < 600; i++)
		learn(g, 100);
	assert_in_range(sched_run_ns(s, "kind", 500), 100000, 125000);
}

static void the_kind_learned_longest_ago_makes_room(void **state)
{
	static const char *const kinds[4] = {"a", "b", "c", "d"};
	uint32_t g[4];

	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		g[i] = job((struct a_job){.id = i + 1, .cpu = 1000, .kind = kinds[i]});
	for (uint32_t i = 0; i < 3; i++)
		learn(g[i], 1000);
	learn(g[0], 1000);
	learn(g[3], 1000);
	assert_int_not_equal(sched_run_ns(s, "a", 500), 0);
	assert_int_equal(sched_run_ns(s, "b", 500), 0);
	assert_int_not_equal(sched_run_ns(s, "c", 500), 0);
	assert_int_not_equal(sched_run_ns(s, "d", 500), 0);
}

/* ---- full, and what is refused ---- */

static void full_is_an_answer(void **state)
{
	struct err e;
	uint32_t g;

	(void)state;
	for (uint64_t i = 1; i <= 30; i++)
		(void)job((struct a_job){.id = i, .cpu = 1000});
	assert_true(sched_job_ok(s, "main", 1, &e) < 0);
	assert_string_equal(e.msg, "30 jobs are unfinished, which is the most");
	assert_true(sched_job_add(s, &(struct sched_job){.id = 31, .namespace_ = "main"}) < 0);
	sched_job_remove(s, 7);
	assert_int_equal(sched_job_ok(s, "main", 11, &e), 0);
	assert_true(sched_job_ok(s, "main", 12, &e) < 0);
	assert_true(sched_job_add(s, &(struct sched_job){.id = 8, .namespace_ = "main"}) < 0);
	g = job((struct a_job){.id = 31, .cpu = 1000, .ready = 1});
	node(1, 1000, 0, 0);
	assert_int_equal(place(T0, NULL), g);
}

static void too_many_kinds_of_resource_are_refused_whole(void **state)
{
	Wire__NodeSet n = WIRE__NODE_SET__INIT;
	Wire__Need need[13], *needs[13];
	char name[13][8];
	struct err e;
	struct sched_node_view v;

	(void)state;
	n.node = 1;
	n.name = (char *)(uintptr_t) "big";
	n.capacity = needs;
	for (; n.n_capacity < 12; n.n_capacity++) {
		size_t i = n.n_capacity;

		(void)snprintf(name[i], sizeof(name[i]), "pool%u", (unsigned)i);
		need[i] = (Wire__Need)WIRE__NEED__INIT;
		need[i].name = name[i];
		need[i].amount = 1000;
		needs[i] = &need[i];
	}
	assert_true(sched_node_ok(s, &n, &e) < 0);
	assert_true(sched_node_set(s, &n) < 0);
	assert_false(sched_node(s, 1, &v));
	n.n_capacity = 11;
	assert_int_equal(sched_node_set(s, &n), 0);
	assert_string_equal(sched_resource_name(s, 15), "pool10");
	assert_null(sched_resource_name(s, 16));
	n.node = 9;
	assert_true(sched_node_ok(s, &n, &e) < 0);
	assert_string_equal(e.msg, "node number 9 is not in 1 to 8");
}

static void new_kinds_of_resource_leave_the_old_ones_right(void **state)
{
	Wire__NodeSet n = WIRE__NODE_SET__INIT;
	Wire__Need need[5], *needs[5];
	char name[5][8];
	struct sched_placement p;

	(void)state;
	node(1, 2000, 0, 0);
	node(2, 2000, 0, 1);
	(void)job((struct a_job){.id = 1, .cpu = 1500, .ready = 9});
	assert_int_not_equal(place(T0, &p), 0);
	assert_int_equal(p.node, 1);
	n.node = 3;
	n.name = (char *)(uintptr_t) "three";
	n.capacity = needs;
	for (; n.n_capacity < 5; n.n_capacity++) {
		size_t i = n.n_capacity;

		(void)snprintf(name[i], sizeof(name[i]), i == 0 ? "cpu" : "pool%u", (unsigned)i);
		need[i] = (Wire__Need)WIRE__NEED__INIT;
		need[i].name = name[i];
		need[i].amount = 1500;
		needs[i] = &need[i];
	}
	assert_int_equal(sched_node_set(s, &n), 0);
	sched_check(s);
	assert_int_not_equal(place(T0, &p), 0);
	assert_int_equal(p.node, 3);
	assert_int_not_equal(place(T0, &p), 0);
	assert_int_equal(p.node, 2);
	assert_int_equal(place(T0, &p), 0);
}

static int keep(void *ctx, const void *p, size_t n)
{
	uint8_t *b = ctx;
	size_t used;

	memcpy(&used, b, sizeof(used));
	memcpy(b + 8 + used, p, n);
	used += n;
	memcpy(b, &used, sizeof(used));
	return 0;
}

static void foreign_bytes_are_not_loaded(void **state)
{
	static uint8_t b[1 << 16];
	size_t n;
	uint32_t g;

	(void)state;
	memset(b, 0, sizeof(b));
	node(1, 1000, 0, 0);
	g = job((struct a_job){.id = 1, .cpu = 1000, .ready = 1});
	learn(g, 77);
	assert_int_equal(place(T0, NULL), g);
	assert_int_equal(sched_save(s, keep, b), 0);
	memcpy(&n, b, sizeof(n));
	for (size_t cut = 0; cut < n; cut++)
		assert_true(sched_load(s, b + 8, cut) < 0);
	assert_int_equal(sched_load(s, b + 8, n), 0);
	assert_true(sched_load(s, b + 8, n + 1) < 0);
	b[8]++;
	assert_true(sched_load(s, b + 8, n) < 0);
}

#define FACT(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        FACT(realtime_goes_before_batch),
	        FACT(earliest_deadline_goes_first_and_none_last),
	        FACT(namespaces_share_by_weight),
	        FACT(use_long_ago_weighs_less_than_use_now),
	        FACT(usage_survives_a_jump_of_the_clock),
	        FACT(higher_priority_first_until_the_lower_has_aged),
	        FACT(jobs_of_one_priority_take_turns),
	        FACT(group_with_slack_waits_for_its_neighbours_but_not_for_ever),
	        FACT(ties_go_by_id),
	        FACT(starving_batch_goes_before_realtime),
	        FACT(waking_is_always_later_than_now),
	        FACT(concurrency_bounds_the_leases_of_a_job),
	        FACT(quota_bounds_a_namespace_and_nobody_else),
	        FACT(lowered_quota_lets_leases_go_on),
	        FACT(nodes_fill_by_id_those_without_devices_first),
	        FACT(every_resource_must_fit_on_one_node),
	        FACT(drained_and_lost_nodes_get_nothing_new),
	        FACT(node_may_shrink_below_what_is_leased),
	        FACT(parts_share_a_device_and_whole_ones_do_not),
	        FACT(part_goes_to_the_fullest_device_that_has_room),
	        FACT(variants_are_taken_in_order_of_preference),
	        FACT(too_large_is_said_with_what_there_is),
	        FACT(slice_is_one_until_the_run_time_is_known),
	        FACT(slice_is_bounded_by_cap_slowness_and_the_job),
	        FACT(slices_shrink_towards_the_end),
	        FACT(where_places_are_many_slices_are_long),
	        FACT(quantiles_are_within_a_quarter),
	        FACT(what_was_long_ago_fades),
	        FACT(the_kind_learned_longest_ago_makes_room),
	        FACT(full_is_an_answer),
	        FACT(too_many_kinds_of_resource_are_refused_whole),
	        FACT(new_kinds_of_resource_leave_the_old_ones_right),
	        FACT(foreign_bytes_are_not_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
