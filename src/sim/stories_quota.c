/* SPDX-License-Identifier: Apache-2.0 */
/* stories_quota - one namespace, used at a hub and at its nodes: together they never hold more than its quota; see story.h and fleet.h. */
#include <string.h>

#include "base/check.h"
#include "core/sched.h"
#include "sim/fleet.h"
#include "sim/story.h"
#include "sim/world_state.h"

#define QUOTA 4000u

/* What its own jobs hold on one machine, in thousandths of a cpu. */
static uint64_t held(struct fleet *f, uint32_t machine)
{
	const struct sched *s = engine_sched(fleet_world(f, machine)->engine);
	struct sched_namespace_view v = {0};

	for (uint32_t r = 0; sched_namespace_named(s, "default", &v) && sched_resource_name(s, r); r++)
		if (strcmp(sched_resource_name(s, r), "cpu") == 0)
			return v.used[r];
	return 0;
}

/* Bit by bit, and the sum is looked at after each. */
static void watch_until(struct fleet *f, uint64_t ns)
{
	while (fleet_now_ns(f) < ns) {
		uint64_t sum = 0, next = fleet_now_ns(f) + 20 * SIM_MS;

		fleet_run_until(f, next < ns ? next : ns);

		for (uint32_t i = 0; i < fleet_machines(f); i++)
			sum += held(f, i);
		CHECK(sum <= QUOTA);
	}
}

static void tell(struct fleet *f, FILE *trace, const char *when)
{
	if (!trace)
		return;
	(void)fprintf(trace, "[%7.3f] %s:", (double)fleet_now_ns(f) / 1e9, when);
	for (uint32_t i = 0; i < fleet_machines(f); i++)
		(void)fprintf(trace, " %s %llu", fleet_world(f, i)->name, (unsigned long long)held(f, i));
	(void)fputc('\n', trace);
}

/* A hub with a quota of 4 cpu, of which each node keeps `local` for good, and two nodes. */
static struct fleet *three(uint64_t local, uint64_t lend_ns, uint64_t task_ns)
{
	struct faults calm = {.task_ns_max = task_ns};
	struct weather fair = {.delay_ns_max = 0};
	struct fleet *f = fleet_new(7, &calm, &fair, NULL);

	(void)fleet_add(f, "hub", 0);
	world_quota(fleet_world(f, 0), "default", QUOTA, local, lend_ns);
	(void)fleet_add(f, "a", 0);
	(void)fleet_add(f, "b", 0);
	watch_until(f, 5 * SIM_S);
	return f;
}

static void finish(struct fleet *f)
{
	fleet_mend(f, 1);
	fleet_mend(f, 2);
	watch_until(f, fleet_now_ns(f) + 3600 * SIM_S);
	world_namespace(fleet_world(f, 0), "default", 1, 0, 0);
	fleet_run(f, 1000000);
	fleet_check_quiet(f);
	fleet_free(f);
}

static void hub_and_nodes_together_hold_no_more_than_the_quota(FILE *trace)
{
	struct fleet *f = three(0, 3600 * SIM_S, 60 * SIM_S);

	for (uint32_t i = 0; i < 3; i++)
		(void)story_submit(fleet_world(f, i), &(struct plain){.tasks = 30});
	watch_until(f, 10 * SIM_S);
	tell(f, trace, "all three have work");
	watch_until(f, 100 * SIM_S);
	tell(f, trace, "and later");
	finish(f);
}
static const char hub_and_nodes_together_hold_no_more_than_the_quota_expect[] =
        "[ 10.000] all three have work: hub 1000 a 1000 b 1000\n"
        "[100.000] and later: hub 1000 a 1000 b 1000\n";

static void what_nobody_uses_is_called_back(FILE *trace)
{
	struct fleet *f = three(0, 3600 * SIM_S, 60 * SIM_S);

	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 100});
	watch_until(f, 10 * SIM_S);
	tell(f, trace, "the hub has all");
	(void)story_submit(fleet_world(f, 1), &(struct plain){.tasks = 40});
	watch_until(f, 30 * SIM_S);
	tell(f, trace, "and gives a its part when a has work");
	finish(f);
}
static const char what_nobody_uses_is_called_back_expect[] =
        "[ 10.000] the hub has all: hub 4000 a 0 b 0\n"
        "[ 30.000] and gives a its part when a has work: hub 2000 a 1000 b 0\n";

static void node_that_is_cut_off_uses_its_share_until_it_ends(FILE *trace)
{
	struct fleet *f = three(0, 600 * SIM_S, 3000 * SIM_S);

	fleet_cut(f, 1, true, true, UINT64_MAX);
	watch_until(f, 10 * SIM_S);
	(void)story_submit(fleet_world(f, 1), &(struct plain){.tasks = 8});
	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 100});
	watch_until(f, 20 * SIM_S);
	tell(f, trace, "a is cut off and has work");
	fleet_kill(f, 1);
	fleet_kill(f, 0);
	watch_until(f, 40 * SIM_S);
	tell(f, trace, "all were killed and are back");
	watch_until(f, 620 * SIM_S);
	tell(f, trace, "its share has run out");
	watch_until(f, 740 * SIM_S);
	tell(f, trace, "the hub has it again");
	finish(f);
}
static const char node_that_is_cut_off_uses_its_share_until_it_ends_expect[] =
        "[ 20.000] a is cut off and has work: hub 2000 a 1000 b 0\n"
        "[ 40.000] all were killed and are back: hub 2000 a 1000 b 0\n"
        "[620.000] its share has run out: hub 2000 a 0 b 0\n"
        "[740.000] the hub has it again: hub 4000 a 0 b 0\n";

static void local_part_is_for_good(FILE *trace)
{
	struct fleet *f = three(500, 600 * SIM_S, 3000 * SIM_S);

	fleet_cut(f, 1, true, true, UINT64_MAX);
	watch_until(f, 10 * SIM_S);
	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 30});
	watch_until(f, 1000 * SIM_S);
	(void)story_submit(fleet_world(f, 1), &(struct plain){.tasks = 8, .cpu = 250});
	watch_until(f, 1010 * SIM_S);
	tell(f, trace, "a was cut off for long and begins");
	finish(f);
}
static const char local_part_is_for_good_expect[] =
        "[1010.000] a was cut off for long and begins: hub 1000 a 250 b 0\n";

/* Its wall clock was set back: until that has caught up its time passes slower, and its share is longer in time than in its clock's. */
static void node_whose_clock_is_slow_has_its_share_for_longer(FILE *trace)
{
	struct faults exact = {.task_ns_max = 60 * SIM_S, .task_exact = true};
	struct fleet *f = three(0, 3600 * SIM_S, 60 * SIM_S);

	fleet_set(f, &exact, &(struct weather){0});
	world_clock_set(fleet_world(f, 1), -(int64_t)(5 * 3600 * SIM_S));
	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 300});
	(void)story_submit(fleet_world(f, 1), &(struct plain){.tasks = 80});
	watch_until(f, 10 * SIM_S);
	fleet_cut(f, 1, true, true, UINT64_MAX);
	watch_until(f, 3750 * SIM_S);
	tell(f, trace, "an hour is over, but not on a");
	watch_until(f, 4000 * SIM_S);
	tell(f, trace, "now it is");
	finish(f);
}
static const char node_whose_clock_is_slow_has_its_share_for_longer_expect[] =
        "[3750.000] an hour is over, but not on a: hub 2000 a 1000 b 0\n"
        "[4000.000] now it is: hub 4000 a 0 b 0\n";

static void node_below_a_node_hears_of_its_share(FILE *trace)
{
	struct faults calm = {.task_ns_max = 60 * SIM_S, .task_exact = true};
	struct weather fair = {.delay_ns_max = 0};
	struct fleet *f = fleet_new(7, &calm, &fair, NULL);

	(void)fleet_add(f, "hub", 0);
	(void)fleet_add(f, "a", 0);
	(void)fleet_add(f, "b", 1);
	fleet_run_until(f, 5 * SIM_S);
	world_quota(fleet_world(f, 0), "default", QUOTA, 0, 3600 * SIM_S);
	watch_until(f, 10 * SIM_S);
	for (uint32_t i = 0; i < 3; i++)
		(void)story_submit(fleet_world(f, i), &(struct plain){.tasks = 30});
	watch_until(f, 100 * SIM_S);
	tell(f, trace, "b is a node of a's");
	finish(f);
}
static const char node_below_a_node_hears_of_its_share_expect[] =
        "[100.000] b is a node of a's: hub 2000 a 1000 b 1000\n";

/* A node may begin what it might before it hears that it may not any more: the hub cannot be heard from then on. */
static void share_that_shrinks_counts_until_the_node_knows(FILE *trace)
{
	struct faults exact = {.task_ns_max = 300 * SIM_MS, .task_exact = true};
	struct fleet *f = three(0, 3600 * SIM_S, 60 * SIM_S);

	fleet_set(f, &exact, &(struct weather){0});
	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 3200, .cpu = 250});
	for (uint64_t k = 23; k < 28; k++) {
		uint64_t t = fleet_now_ns(f);

		(void)story_submit(fleet_world(f, 1), &(struct plain){.tasks = 4, .cpu = 250});
		watch_until(f, t + k * 100 * SIM_MS);
		fleet_cut(f, 1, false, true, 3 * SIM_S);
		watch_until(f, t + (k + 1) * 100 * SIM_MS);
		(void)story_submit(fleet_world(f, 1), &(struct plain){.tasks = 4, .cpu = 250});
		watch_until(f, t + 10 * SIM_S);
	}
	tell(f, trace, "in no case more than all");
	finish(f);
}
static const char share_that_shrinks_counts_until_the_node_knows_expect[] =
        "[ 55.000] in no case more than all: hub 4000 a 0 b 0\n";

/* The hub has told a that nothing has a limit any more, and a day later that word has run out: what a itself limits it lends as before. */
static void hub_without_quotas_leaves_a_node_its_own(FILE *trace)
{
	struct faults calm = {.task_ns_max = 60 * SIM_S, .task_exact = true};
	struct weather fair = {.delay_ns_max = 0};
	struct fleet *f = fleet_new(7, &calm, &fair, NULL);

	(void)fleet_add(f, "hub", 0);
	(void)fleet_add(f, "a", 0);
	(void)fleet_add(f, "b", 1);
	world_quota(fleet_world(f, 0), "default", QUOTA, 0, 600 * SIM_S);
	watch_until(f, 10 * SIM_S);
	world_namespace(fleet_world(f, 0), "default", 1, 0, 0);
	watch_until(f, 100000 * SIM_S);
	world_quota(fleet_world(f, 1), "default", QUOTA / 2, 0, 600 * SIM_S);
	watch_until(f, 100010 * SIM_S);
	(void)story_submit(fleet_world(f, 1), &(struct plain){.tasks = 30});
	(void)story_submit(fleet_world(f, 2), &(struct plain){.tasks = 30});
	watch_until(f, 100100 * SIM_S);
	tell(f, trace, "a and its node share what a allows");
	world_namespace(fleet_world(f, 1), "default", 1, 0, 0);
	fleet_run(f, 1000000);
	fleet_check_quiet(f);
	fleet_free(f);
}
static const char hub_without_quotas_leaves_a_node_its_own_expect[] =
        "[100100.000] a and its node share what a allows: hub 0 a 1000 b 1000\n";

static const struct story all[] = {
        STORY(hub_and_nodes_together_hold_no_more_than_the_quota),
        STORY(what_nobody_uses_is_called_back),
        STORY(node_that_is_cut_off_uses_its_share_until_it_ends),
        STORY(local_part_is_for_good),
        STORY(node_whose_clock_is_slow_has_its_share_for_longer),
        STORY(node_below_a_node_hears_of_its_share),
        STORY(share_that_shrinks_counts_until_the_node_knows),
        STORY(hub_without_quotas_leaves_a_node_its_own),
};

const struct story_book stories_quota = {all, sizeof(all) / sizeof(all[0])};
