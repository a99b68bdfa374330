/* SPDX-License-Identifier: Apache-2.0 */
/* Where the scheduler puts tasks on several nodes: labels, preferences, spread, data, links, failures. */
#include "sched_help.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

/* ---- short words ---- */

static Wire__Pair pairs[8];
static Wire__Pair *pair_list[8];

/* "hall=north,ssd=" */
static size_t labels_of(const char *text)
{
	static char copy[200];
	size_t n = 0;

	(void)snprintf(copy, sizeof(copy), "%s", text);
	for (char *p = copy, *end; *p; p = end) {
		char *eq = strchr(p, '=');

		end = p + strcspn(p, ",");
		if (*end)
			*end++ = '\0';
		*eq = '\0';
		pairs[n] = (Wire__Pair)WIRE__PAIR__INIT;
		pairs[n].key = p;
		pairs[n].value = eq + 1;
		pair_list[n] = &pairs[n];
		n++;
	}
	return n;
}

static Wire__NodeSet__Link *next_link; /* of the next node */

static void place_node(uint32_t id, uint64_t cpu, const char *labels)
{
	Wire__NodeSet n = WIRE__NODE_SET__INIT;
	Wire__Need need[3], *needs[3];
	char name[8];

	(void)snprintf(name, sizeof(name), "n%u", id);
	n.node = id;
	n.name = name;
	n.capacity = needs;
	n.n_capacity = help_needs(need, needs, cpu, 64 * GIB, 0);
	n.labels = pair_list;
	n.n_labels = labels_of(labels);
	n.link = next_link;
	next_link = NULL;
	assert_int_equal(sched_node_set(s, &n), 0);
}

static Wire__Match matches[8], *match_list[8];
static char *values[8][4];

static Wire__Match **is(uint32_t i, Wire__Match__Op op, const char *key, const char *a, const char *b)
{
	matches[i] = (Wire__Match)WIRE__MATCH__INIT;
	matches[i].op = op;
	matches[i].key = (char *)(uintptr_t)key;
	values[i][0] = (char *)(uintptr_t)a;
	values[i][1] = (char *)(uintptr_t)b;
	matches[i].values = values[i];
	matches[i].n_values = (a != NULL ? 1u : 0u) + (b != NULL ? 1u : 0u);
	match_list[i] = &matches[i];
	return &match_list[i];
}

static uint64_t waiting[64]; /* tasks of each group */

static uint32_t wishing(uint64_t id, uint64_t ready, const Wire__Place *p, const struct sched_wish *more)
{
	struct sched_wish w = more ? *more : (struct sched_wish){0};
	uint32_t g = job((struct a_job){.id = id, .cpu = 1000, .ready = 0});

	w.place = p;
	assert_int_equal(sched_group_wish(s, g, &w), 0);
	sched_group_ready(s, g, ready, T0);
	waiting[g] = ready;
	return g;
}

static uint32_t where_goes(uint64_t now)
{
	struct sched_placement p;

	if (!place(now, &p))
		return 0;
	sched_group_ready(s, p.group, --waiting[p.group], T0);
	return p.node;
}

/* ---- where ---- */

static void only_nodes_that_meet_where_are_taken(void **state)
{
	Wire__Place p = WIRE__PLACE__INIT;

	(void)state;
	place_node(1, 8000, "hall=south");
	place_node(2, 8000, "hall=north,arch=arm64");
	place_node(3, 1000, "hall=north,arch=amd64,ssd=");
	p.where = is(0, WIRE__MATCH__OP__IN, "hall", "north", "east");
	(void)is(1, WIRE__MATCH__OP__NOT_IN, "arch", "arm64", NULL);
	p.n_where = 2;
	(void)wishing(1, 3, &p, NULL);
	assert_int_equal(where_goes(T0), 3);
	assert_int_equal(where_goes(T0), 0); /* the other halls have room, and are not asked for */
	assert_int_equal(sched_where_count(s, &p), 1);
	p.where = is(0, WIRE__MATCH__OP__EXISTS, "ssd", NULL, NULL);
	p.n_where = 1;
	assert_int_equal(sched_where_count(s, &p), 1);
	p.where = is(0, WIRE__MATCH__OP__ABSENT, "ssd", NULL, NULL);
	assert_int_equal(sched_where_count(s, &p), 2);
	p.where = is(0, WIRE__MATCH__OP__NOT_IN, "arch", "arm64", "amd64");
	assert_int_equal(sched_where_count(s, &p), 1); /* without the label: not one of them */
	p.where = is(0, WIRE__MATCH__OP__IN, "name", "n2", NULL);
	assert_int_equal(sched_where_count(s, &p), 1);
}

static void label_that_changes_lets_tasks_go(void **state)
{
	Wire__Place p = WIRE__PLACE__INIT;
	struct sched_why why;
	uint32_t g;

	(void)state;
	place_node(1, 8000, "");
	p.where = is(0, WIRE__MATCH__OP__IN, "hall", "north", NULL);
	p.n_where = 1;
	g = wishing(1, 2, &p, NULL);
	assert_int_equal(where_goes(T0), 0);
	assert_true(sched_why(s, g, T0, &why));
	assert_int_equal(why.reason, WAIT_WHERE);
	sched_check(s);
	place_node(1, 8000, "hall=north");
	sched_check(s);
	assert_int_equal(where_goes(T0), 1);
	place_node(1, 8000, "hall=south");
	assert_int_equal(where_goes(T0), 0);
}

/* What asks for the same shares a set, and the last one takes it along. */
static void sets_are_shared_and_given_back(void **state)
{
	Wire__Place p = WIRE__PLACE__INIT;
	const Wire__Place *many[64];
	struct err e;

	(void)state;
	place_node(1, 8000, "hall=north");
	p.where = is(0, WIRE__MATCH__OP__IN, "hall", "north", NULL);
	p.n_where = 1;
	for (uint32_t i = 0; i < 64; i++)
		many[i] = &p;
	for (uint64_t i = 1; i <= 20; i++) {
		(void)wishing(i, 1, &p, NULL);
		assert_int_equal(where_goes(T0), i <= 8 ? 1 : 0);
	}
	assert_int_equal(sched_wish_ok(s, many, 1, &e), 0);
	assert_int_equal(sched_wish_ok(s, many, 64, &e), -1);
	for (uint64_t i = 9; i <= 20; i++)
		sched_job_remove(s, i);
	sched_check(s);
}

/* ---- scores ---- */

static void preferred_node_is_taken_while_it_has_room(void **state)
{
	Wire__Prefer one = WIRE__PREFER__INIT, *list = &one;
	Wire__Place p = WIRE__PLACE__INIT;

	(void)state;
	place_node(1, 8000, "");
	place_node(2, 1000, "cooling=water");
	one.all = is(0, WIRE__MATCH__OP__IN, "cooling", "water", NULL);
	one.n_all = 1;
	one.weight = 50;
	p.prefer = &list;
	p.n_prefer = 1;
	(void)wishing(1, 3, &p, NULL);
	assert_int_equal(where_goes(T0), 2);
	assert_int_equal(where_goes(T0), 1);
}

static void spread_goes_where_fewest_run(void **state)
{
	Wire__Place p = WIRE__PLACE__INIT;
	uint32_t in[5] = {0};

	(void)state;
	place_node(1, 8000, "hall=a");
	place_node(2, 8000, "hall=a");
	place_node(3, 8000, "hall=b");
	p.spread = (char *)(uintptr_t) "hall";
	(void)wishing(1, 6, &p, NULL);
	for (uint32_t i = 0; i < 6; i++)
		in[where_goes(T0)]++;
	assert_int_equal(in[1] + in[2], 3);
	assert_int_equal(in[3], 3);
	place_node(3, 8000, "hall=a"); /* what runs there is counted anew */
	sched_check(s);
}

static void packing_is_by_policy(void **state)
{
	static const struct {
		Wire__JobSpec__Pack pack;
		uint32_t node;
	} want[] = {{WIRE__JOB_SPEC__PACK__FIRST, 1}, {WIRE__JOB_SPEC__PACK__BINPACK, 2},
	        {WIRE__JOB_SPEC__PACK__SPREAD, 3}, {WIRE__JOB_SPEC__PACK__BALANCE, 1}};

	(void)state;
	place_node(1, 64000, "");
	place_node(2, 4000, "");
	place_node(3, 8000, "");
	/* 4 of 64, 1 of 4, none of 8 */
	for (uint64_t i = 1; i <= 5; i++) {
		Wire__Place p = WIRE__PLACE__INIT;

		p.where = is(0, WIRE__MATCH__OP__IN, "name", i <= 4 ? "n1" : "n2", NULL);
		p.n_where = 1;
		(void)wishing(i, 1, &p, NULL);
		assert_int_equal(where_goes(T0), i <= 4 ? 1 : 2);
	}
	for (uint32_t i = 0; i < 3; i++) {
		struct sched_wish w = {.pack = want[i].pack};

		(void)wishing(10 + i, 1, NULL, &w);
		assert_int_equal(where_goes(T0), want[i].node);
		sched_lease_remove(s, help_lease - 1, T0);
	}
	place_node(3, 0, "");
	(void)wishing(20, 1, NULL, &(struct sched_wish){.pack = want[3].pack});
	assert_int_equal(where_goes(T0), want[3].node);
}

static void node_that_holds_the_inputs_comes_first(void **state)
{
	const struct sched_input in[2] = {{0x11, 3 * GIB}, {0x22, GIB}};
	const struct sched_wish w = {.inputs = in, .n_inputs = 2};
	Wire__NodeFacts f = WIRE__NODE_FACTS__INIT;
	uint8_t blob[8] = {0, 0, 0, 0, 0, 0, 0, 0x11};

	(void)state;
	for (uint32_t i = 2; i <= 5; i++)
		place_node(i, 1000, "");
	f.node = 4;
	f.set = WIRE__NODE_FACTS__WHAT__HELD;
	f.held = (ProtobufCBinaryData){8, blob};
	assert_true(sched_facts_news(s, &f));
	sched_facts_set(s, &f);
	assert_false(sched_facts_news(s, &f)); /* it is known */
	(void)wishing(1, 4, NULL, &w);
	assert_int_equal(where_goes(T0), 4);
	assert_int_equal(where_goes(T0), 2); /* the first of the others, which now fetches them */
	sched_lease_remove(s, help_lease - 1, T0);
	place_node(1, 0, "");
	assert_int_equal(where_goes(T0), 2);
}

static void latency_decides_what_is_near(void **state)
{
	Wire__NodeFacts f = WIRE__NODE_FACTS__INIT;
	Wire__NodeFacts__Latency l = WIRE__NODE_FACTS__LATENCY__INIT, *list = &l;
	Wire__Place p = WIRE__PLACE__INIT;

	(void)state;
	place_node(1, 1000, "site=hub");
	place_node(2, 8000, "site=far");
	place_node(3, 8000, "site=close");
	f.set = WIRE__NODE_FACTS__WHAT__LATENCY;
	f.latency = &list;
	f.n_latency = 1;
	l.site = (char *)(uintptr_t) "hub";
	for (f.node = 2; f.node <= 3; f.node++) {
		l.us = f.node == 2 ? 40000 : 900;
		assert_true(sched_facts_news(s, &f));
		sched_facts_set(s, &f);
		l.us = f.node == 2 ? 50000 : 700; /* about the same: nothing is said */
		f.set = WIRE__NODE_FACTS__WHAT__LATENCY;
		assert_false(sched_facts_news(s, &f));
		f.set = WIRE__NODE_FACTS__WHAT__LATENCY;
	}
	p.near_submitter = true;
	(void)wishing(1, 3, &p, &(struct sched_wish){.origin = "n1"});
	assert_int_equal(where_goes(T0), 1);
	assert_int_equal(where_goes(T0), 3);
}

static void say_far(uint32_t node, uint32_t to, uint64_t us)
{
	Wire__NodeFacts f = WIRE__NODE_FACTS__INIT;
	Wire__NodeFacts__Latency l[2] = {WIRE__NODE_FACTS__LATENCY__INIT, WIRE__NODE_FACTS__LATENCY__INIT},
	                         *list[2] = {&l[0], &l[1]};

	f.node = node;
	f.set = WIRE__NODE_FACTS__WHAT__LATENCY;
	f.latency = list;
	l[0].node = 1;
	l[0].us = node == 3 ? 30000 : 7000;
	l[1].node = to;
	l[1].us = us;
	f.n_latency = to ? 2 : 1;
	assert_true(sched_facts_news(s, &f));
	sched_facts_set(s, &f);
	f.set = WIRE__NODE_FACTS__WHAT__LATENCY;
	l[0].us -= l[0].us / 5;
	assert_false(sched_facts_news(s, &f)); /* about the same */
}

static void other_nodes_are_as_far_as_measured_or_as_the_way_by_the_hub(void **state)
{
	struct sched_node_why w;
	Wire__Place p = WIRE__PLACE__INIT;
	Wire__Match **m = is(0, WIRE__MATCH__OP__IN, "name", "n4", NULL);
	uint32_t g;

	(void)state;
	place_node(1, 0, "");
	place_node(2, 8000, "");
	place_node(3, 8000, "");
	place_node(4, 0, "");
	p.near = *m;
	g = wishing(1, 4, &p, NULL);
	assert_true(sched_node_why(s, g, 3, T0, &w));
	assert_int_equal(w.near, NEAR_UNKNOWN);
	assert_int_equal(w.near_node, 4);
	say_far(4, 0, 0);
	say_far(2, 0, 0);
	say_far(3, 0, 0);
	assert_true(sched_node_why(s, g, 3, T0, &w));
	assert_int_equal(w.near, NEAR_BY_HUB);
	assert_int_equal(w.near_us, 32768 + 8192);
	assert_int_equal(where_goes(T0), 2); /* 16 ms by the hub, and 41 */
	say_far(3, 4, 500);
	assert_true(sched_node_why(s, g, 3, T0, &w));
	assert_int_equal(w.near, NEAR_MEASURED);
	assert_int_equal(w.near_us, 512);
	assert_int_equal(where_goes(T0), 3);
	say_far(4, 2, 100); /* either of the two may have measured it */
	assert_true(sched_node_why(s, g, 2, T0, &w));
	assert_int_equal(w.near_us, 128);
	assert_int_equal(where_goes(T0), 2);
	assert_true(sched_node_why(s, g, 4, T0, &w));
	assert_int_equal(w.near, NEAR_HERE);
}

static void slower_node_is_expected_to_take_longer(void **state)
{
	struct sched_placement p;
	uint64_t us;
	uint32_t g;

	(void)state;
	place_node(1, 1000, "");
	place_node(2, 1000, "");
	g = wishing(1, 2, NULL, NULL);
	for (uint32_t i = 0; i < 200; i++) {
		us = 10000;
		sched_learn(s, g, 0, 1, &us, 1, T0);
		us = i % 2 ? 40000 : 10000; /* half as often, so that the median is the first one's */
		if (i % 2)
			sched_learn(s, g, 0, 2, &us, 1, T0);
	}
	assert_int_not_equal(place(T0, &p), 0);
	assert_int_equal(p.node, 1);
	assert_in_range(p.run_ns, 8000000, 13000000);
	assert_int_not_equal(place(T0, &p), 0);
	assert_int_equal(p.node, 2);
	assert_in_range(p.run_ns, 25000000, 60000000);
}

/* ---- links ---- */

static void link_budget_holds_leases_back(void **state)
{
	Wire__NodeSet__Link l = WIRE__NODE_SET__LINK__INIT;
	struct sched_input in[2] = {{0x11, 600 * MIB}, {0x33, 600 * MIB}};
	const uint64_t day = 86400 * SECOND, t = 100 * day + 3600 * SECOND;

	(void)state;
	l.bytes = GIB;
	l.per_ns = day;
	next_link = &l;
	place_node(2, 8000, "");
	(void)wishing(1, 2, NULL, &(struct sched_wish){.inputs = &in[0], .n_inputs = 1});
	assert_int_equal(where_goes(t), 2);
	assert_int_equal(where_goes(t), 2); /* they are there now: nothing crosses */
	(void)wishing(2, 1, NULL, &(struct sched_wish){.inputs = &in[1], .n_inputs = 1});
	assert_int_equal(where_goes(t), 0); /* 424 MiB are left */
	assert_true(sched_wake_ns(s, t) <= 101 * day);
	assert_int_equal(where_goes(101 * day), 2);
	in[0] = (struct sched_input){0x44, 5 * GIB}; /* more than a whole window has */
	(void)wishing(3, 1, NULL, &(struct sched_wish){.inputs = &in[0], .n_inputs = 1});
	assert_int_equal(where_goes(101 * day), 0);
	assert_int_equal(where_goes(102 * day), 2);
}

static void outputs_count_in_the_budget_of_a_link(void **state)
{
	Wire__NodeSet__Link l = WIRE__NODE_SET__LINK__INIT;
	struct sched_input in[2] = {{0x11, 300 * MIB}, {0x33, 300 * MIB}};
	const uint64_t day = 86400 * SECOND, t = 100 * day + 3600 * SECOND;
	struct sched_node_view v;

	(void)state;
	l.bytes = GIB;
	l.per_ns = day;
	next_link = &l;
	place_node(2, 8000, "");
	place_node(3, 0, "");           /* without a limit */
	sched_sent(s, 2, GIB, t - day); /* of the day before */
	sched_sent(s, 3, GIB, t);
	(void)wishing(1, 2, NULL, &(struct sched_wish){.inputs = &in[0], .n_inputs = 1});
	assert_int_equal(where_goes(t), 2);
	sched_sent(s, 2, 500 * MIB, t);
	assert_true(sched_node(s, 2, &v));
	assert_int_equal(v.link_used, 800 * MIB);
	assert_int_equal(where_goes(t), 2); /* what it takes is there */
	(void)wishing(2, 2, NULL, &(struct sched_wish){.inputs = &in[1], .n_inputs = 1});
	assert_int_equal(where_goes(t), 0);
	sched_sent(s, 2, UINT64_MAX - 5, t); /* more than there was: it is spent, and no more */
	assert_int_equal(where_goes(t), 0);
	assert_int_equal(where_goes(101 * day), 2);
	assert_true(sched_node(s, 3, &v));
	assert_int_equal(v.link_used, 0);
}

static void link_is_used_at_its_hours(void **state)
{
	Wire__NodeSet__Link l = WIRE__NODE_SET__LINK__INIT;
	const struct sched_input in = {0x11, MIB};
	const uint64_t hour = 3600 * SECOND, day = 24 * hour;

	(void)state;
	l.bytes = GIB;
	l.per_ns = day;
	l.from_min = 22 * 60;
	l.to_min = 6 * 60;
	next_link = &l;
	place_node(2, 8000, "");
	(void)wishing(1, 1, NULL, &(struct sched_wish){.inputs = &in, .n_inputs = 1});
	assert_int_equal(where_goes(100 * day + 12 * hour), 0);
	assert_true(sched_wake_ns(s, 100 * day + 12 * hour) <= 100 * day + 22 * hour);
	assert_int_equal(where_goes(100 * day + 22 * hour), 2);
}

/* ---- failures ---- */

static bool everywhere(const void *ctx, uint32_t group, uint32_t node)
{
	uint32_t failed[FAILED_ON_MAX], n = sched_failed_on(s, group, 7, failed);

	(void)ctx;
	for (uint32_t i = 0; i < n; i++)
		if (failed[i] == node)
			return !sched_able_but(s, group, failed, n);
	return true;
}

static void failed_task_goes_elsewhere_while_it_can(void **state)
{
	uint32_t g;

	(void)state;
	sched_filter(s, everywhere, NULL);
	place_node(1, 8000, "");
	place_node(2, 8000, "");
	g = wishing(1, 3, NULL, NULL);
	sched_failed(s, g, 7, 1, false);
	assert_true(sched_avoiding(s, g));
	assert_int_equal(where_goes(T0), 2);
	sched_failed(s, g, 7, 2, true);
	assert_int_equal(where_goes(T0), 1); /* nowhere is left that it did not fail: anywhere */
	sched_settled(s, g, 7);
	assert_false(sched_avoiding(s, g));
}

static void node_on_which_all_fails_pauses_but_not_the_last(void **state)
{
	Wire__NodeFacts f;
	const uint64_t us = 1000;
	uint64_t now = T0, pause = 30 * SECOND;
	uint32_t g, r;

	(void)state;
	place_node(1, 8000, "");
	place_node(2, 8000, "");
	g = wishing(1, 30, NULL, NULL);
	for (uint64_t i = 0; i < 40; i++) /* of a kind of which nothing is known: it may be the job's fault */
		sched_failed(s, g, i, 1, false);
	assert_false(sched_pause(s, now, &f));
	sched_learn(s, g, 0, 2, &us, 1, T0);
	for (uint64_t i = 0; i < 40; i++)
		sched_failed(s, g, 5, 1, false); /* one task counts once in a row */
	assert_false(sched_pause(s, now, &f));
	for (uint64_t i = 10; i < 18; i++)
		sched_failed(s, g, i, 1, false);
	for (uint32_t k = 0; k < 3; k++, pause *= 2) {
		assert_true(sched_pause(s, now, &f));
		assert_int_equal(f.node, 1);
		assert_true(f.paused_until_ns == now + pause);
		sched_facts_set(s, &f);
		sched_check(s);
		assert_int_equal(where_goes(now), 2);
		assert_true(sched_wake_ns(s, now) <= now + pause);
		r = job((struct a_job){.id = 100 + k, .cpu = 1000, .ready = 1, .realtime = true});
		waiting[r] = 1;
		assert_int_equal(where_goes(now), 1); /* realtime work may go there */
		now += pause;
		assert_true(sched_pause(s, now, &f));
		assert_true(f.paused_until_ns == 0);
		sched_facts_set(s, &f);
		assert_false(sched_pause(s, now, &f));
		sched_failed(s, g, 20 + k, 1, false); /* one more is enough */
	}
	for (uint64_t i = 30; i < 40; i++)
		sched_failed(s, g, i, 2, false);
	assert_true(sched_pause(s, now, &f));
	sched_facts_set(s, &f);
	assert_false(sched_pause(s, now, &f)); /* one of both */
	sched_worked(s, 2);
	assert_false(sched_pause(s, now, &f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(only_nodes_that_meet_where_are_taken, setup, teardown),
	        cmocka_unit_test_setup_teardown(label_that_changes_lets_tasks_go, setup, teardown),
	        cmocka_unit_test_setup_teardown(sets_are_shared_and_given_back, setup, teardown),
	        cmocka_unit_test_setup_teardown(preferred_node_is_taken_while_it_has_room, setup, teardown),
	        cmocka_unit_test_setup_teardown(spread_goes_where_fewest_run, setup, teardown),
	        cmocka_unit_test_setup_teardown(packing_is_by_policy, setup, teardown),
	        cmocka_unit_test_setup_teardown(node_that_holds_the_inputs_comes_first, setup, teardown),
	        cmocka_unit_test_setup_teardown(latency_decides_what_is_near, setup, teardown),
	        cmocka_unit_test_setup_teardown(
	                other_nodes_are_as_far_as_measured_or_as_the_way_by_the_hub, setup, teardown),
	        cmocka_unit_test_setup_teardown(slower_node_is_expected_to_take_longer, setup, teardown),
	        cmocka_unit_test_setup_teardown(link_budget_holds_leases_back, setup, teardown),
	        cmocka_unit_test_setup_teardown(outputs_count_in_the_budget_of_a_link, setup, teardown),
	        cmocka_unit_test_setup_teardown(link_is_used_at_its_hours, setup, teardown),
	        cmocka_unit_test_setup_teardown(failed_task_goes_elsewhere_while_it_can, setup, teardown),
	        cmocka_unit_test_setup_teardown(
	                node_on_which_all_fails_pauses_but_not_the_last, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
