/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stories_verify - nodes that lie about results: what replicas catch, and what they cannot.
 *
 * A task takes all of a node, so that each replica runs on another.
 */
#include "sim/story.h"

#include "base/check.h"

static struct world *three_nodes(FILE *trace)
{
	return world_new(7, &(struct faults){.task_ns_max = SIM_MS}, 3, trace);
}

static void one_liar_is_outvoted_and_named(FILE *trace)
{
	struct world *w = three_nodes(trace);

	world_liar(w, 2, 0xee);
	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 4000, .replicas = 3});
	story_run(w);
	world_tell(w, 1, 0, 0);
	story_finish(w);
}

/* Two of three are enough, so two who collude are, too: what replicas show is that so many agreed, not that they are right. */
static void two_liars_outvote_the_honest_node(FILE *trace)
{
	struct world *w = three_nodes(trace);

	world_liar(w, 2, 0xee);
	world_liar(w, 3, 0xee);
	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 4000, .replicas = 3});
	story_run(w);
	world_tell(w, 1, 0, 0);
	story_finish(w);
}

static void two_liars_cannot_make_three_agree(FILE *trace)
{
	struct world *w = three_nodes(trace);

	world_liar(w, 2, 0xee);
	world_liar(w, 3, 0xee);
	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 4000, .replicas = 3, .agree = 3});
	story_run(w);
	world_tell(w, 1, 0, 0);
	story_finish(w);
}

/* Without an agreement between them, two liars are two minorities. */
static void liars_who_do_not_collude_lose(FILE *trace)
{
	struct world *w = world_new(7, &(struct faults){.task_ns_max = SIM_MS}, 4, trace);

	world_liar(w, 2, 0xee);
	world_liar(w, 3, 0xef);
	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 4000, .replicas = 4});
	story_run(w);
	world_tell(w, 1, 0, 0);
	story_finish(w);
}

static const char one_liar_is_outvoted_and_named_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] world  > node 2 lies from now on\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 2\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 3, lease 3\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  0.000] node   > lease 3 starts\n"
        "[  0.004] engine > lease 2: task 0 succeeded\n"
        "[  0.004] engine > lease 2 ended: done\n"
        "[  0.007] engine > lease 3: task 0 succeeded\n"
        "[  0.007] engine > lease 3 ended: done\n"
        "[  0.014] engine > lease 1: task 0 succeeded\n"
        "[  0.014] engine > lease 1 ended: done\n"
        "[  0.214] votes  > task 0: node 1 says the truth, and counts\n"
        "[  0.214] votes  > task 0: node 2 says a lie\n"
        "[  0.214] votes  > task 0: node 3 says the truth, and counts\n"
        "[  0.214] votes  > task 0: its result is true\n";
static const char two_liars_outvote_the_honest_node_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] world  > node 2 lies from now on\n"
        "[  0.000] world  > node 3 lies from now on\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 2\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 3, lease 3\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  0.000] node   > lease 3 starts\n"
        "[  0.004] engine > lease 2: task 0 succeeded\n"
        "[  0.004] engine > lease 2 ended: done\n"
        "[  0.007] engine > lease 3: task 0 succeeded\n"
        "[  0.007] engine > stop lease 1: cancelled\n"
        "[  0.007] engine > lease 3 ended: done\n"
        "[  0.014] engine > lease 1: task 0 succeeded\n"
        "[  0.014] engine > lease 1 ended: cancelled\n"
        "[  0.214] votes  > task 0: node 1 says the truth\n"
        "[  0.214] votes  > task 0: node 2 says a lie, and counts\n"
        "[  0.214] votes  > task 0: node 3 says a lie, and counts\n"
        "[  0.214] votes  > task 0: its result is a lie\n";
static const char two_liars_cannot_make_three_agree_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] world  > node 2 lies from now on\n"
        "[  0.000] world  > node 3 lies from now on\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 2\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 3, lease 3\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  0.000] node   > lease 3 starts\n"
        "[  0.004] engine > lease 2: task 0 succeeded\n"
        "[  0.004] engine > lease 2 ended: done\n"
        "[  0.007] engine > lease 3: task 0 succeeded\n"
        "[  0.007] engine > lease 3 ended: done\n"
        "[  0.014] engine > lease 1: task 0 succeeded\n"
        "[  0.014] engine > lease 1 ended: done\n"
        "[  0.214] votes  > task 0: node 1 says the truth\n"
        "[  0.214] votes  > task 0: node 2 says a lie\n"
        "[  0.214] votes  > task 0: node 3 says a lie\n"
        "[  0.214] votes  > task 0: no result: disagreed\n";
static const char liars_who_do_not_collude_lose_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] world  > node 2 lies from now on\n"
        "[  0.000] world  > node 3 lies from now on\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 2\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 3, lease 3\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 4, lease 4\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  0.000] node   > lease 3 starts\n"
        "[  0.000] node   > lease 4 starts\n"
        "[  0.004] engine > lease 2: task 0 succeeded\n"
        "[  0.004] engine > lease 2 ended: done\n"
        "[  0.007] engine > lease 3: task 0 succeeded\n"
        "[  0.007] engine > lease 3 ended: done\n"
        "[  0.010] engine > lease 4: task 0 succeeded\n"
        "[  0.010] engine > lease 4 ended: done\n"
        "[  0.014] engine > lease 1: task 0 succeeded\n"
        "[  0.015] engine > lease 1 ended: done\n"
        "[  0.214] votes  > task 0: node 1 says the truth, and counts\n"
        "[  0.214] votes  > task 0: node 2 says a lie\n"
        "[  0.214] votes  > task 0: node 3 says a lie\n"
        "[  0.214] votes  > task 0: node 4 says the truth, and counts\n"
        "[  0.214] votes  > task 0: its result is true\n";

static const struct story all[] = {
        STORY(one_liar_is_outvoted_and_named),
        STORY(two_liars_outvote_the_honest_node),
        STORY(two_liars_cannot_make_three_agree),
        STORY(liars_who_do_not_collude_lose),
};
const struct story_book stories_verify = {all, ARRAY_LEN(all)};
