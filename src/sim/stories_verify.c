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

/* ---- commit, then reveal ---- */

/* It waits for what others say, and finds their commitments. */
static void copier_finds_nothing_to_copy(FILE *trace)
{
	struct world *w = three_nodes(trace);

	world_guile(w, 2, WORLD_COPIES);
	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 4000, .replicas = 3});
	story_run(w);
	world_tell(w, 1, 0, 0);
	story_finish(w);
}

/* When the others have revealed it knows what it should have said; what it committed to was something else. */
static void switched_answer_is_nobodys_vote(FILE *trace)
{
	struct world *w = three_nodes(trace);

	world_guile(w, 2, WORLD_SWITCHES);
	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 4000, .replicas = 3});
	story_run(w);
	world_tell(w, 1, 0, 0);
	story_finish(w);
}

static void who_never_reveals_has_no_vote(FILE *trace)
{
	struct world *w = three_nodes(trace);

	world_guile(w, 2, WORLD_MUTE);
	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 4000, .replicas = 3});
	story_run(w);
	world_tell(w, 1, 0, 0);
	story_finish(w);
}

static void killed_engine_still_asks_to_reveal(FILE *trace)
{
	struct world *w = three_nodes(trace);

	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 4000, .replicas = 3});
	world_run_until(w, 10 * SIM_MS);
	world_kill_engine(w);
	story_run(w);
	world_tell(w, 1, 0, 0);
	story_finish(w);
}

/* Nobody has earned trust, so the first answer is to be checked: it stays hidden until the second node has committed. */
static void checked_answer_is_hidden_from_the_checker(FILE *trace)
{
	struct world *w = three_nodes(trace);

	world_guile(w, 2, WORLD_COPIES);
	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 4000, .replicas = 3, .adaptive = true});
	story_run(w);
	world_tell(w, 1, 0, 0);
	story_finish(w);
}

/* Replicas of one task after another on one machine: who waits for the others holds nothing that they need. */
static void one_machine_does_not_wait_for_itself(FILE *trace)
{
	struct world *w = story_calm(trace, SIM_MS);

	(void)story_submit(w, &(struct plain){.tasks = 2, .cpu = 4000, .replicas = 2});
	story_finish(w);
}

/* ---- classes ---- */

/* Nodes 1 and 3 are of one class, 2 and 4 of another: the second replica passes by a node that is free. While there is none of its class
 * the replica waits, and its sibling's answer stays hidden. */
static void replicas_stay_in_one_class(FILE *trace)
{
	struct world *w = world_new(7, &(struct faults){.task_ns_max = SIM_MS}, 4, trace);

	world_node(w, 3, WIRE__NODE_SET__STATE__DRAINED, 4);
	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 4000, .replicas = 2, .same = "class"});
	world_run_until(w, 10 * SIM_MS);
	world_node(w, 1, WIRE__NODE_SET__STATE__DRAINED, 4);
	world_run_until(w, 20 * SIM_MS);
	world_node(w, 3, WIRE__NODE_SET__STATE__UP, 4);
	story_run(w);
	world_tell(w, 1, 0, 0);
	story_finish(w);
}

/* ---- trust ---- */

/* Two cpus a task, so that each of the nodes runs two at a time. */
static uint64_t adaptive(struct world *w, uint64_t tasks)
{
	uint64_t job = story_submit(
	        w, &(struct plain){.tasks = tasks, .cpu = 2000, .replicas = 3, .adaptive = true});

	story_run(w);
	world_mute(w, false);
	world_tell_step(w, job, 0);
	world_mute(w, true);
	return job;
}

static void trusted_nodes_are_checked_less(FILE *trace)
{
	struct world *w = three_nodes(trace);

	world_mute(w, true);
	(void)adaptive(w, 60);
	(void)adaptive(w, 400);
	(void)adaptive(w, 400);
	story_finish(w);
}

/* It has earned much, and turns: it is believed for a while, until a check meets a lie. Then what it answered unchecked runs again. */
static void caught_node_takes_its_tail_with_it(FILE *trace)
{
	struct world *w = three_nodes(trace);

	world_mute(w, true);
	(void)adaptive(w, 400);
	world_mute(w, false);
	world_liar(w, 2, 0xee);
	world_mute(w, true);
	(void)adaptive(w, 400);
	(void)adaptive(w, 400);
	story_finish(w);
}

/* Where the liars are the majority, trust serves them: they agree with each other, and the honest node is the one that is caught. */
static void colluding_majority_catches_the_honest_node(FILE *trace)
{
	struct world *w = three_nodes(trace);

	world_mute(w, true);
	(void)adaptive(w, 400);
	world_mute(w, false);
	world_liar(w, 2, 0xee);
	world_liar(w, 3, 0xee);
	world_mute(w, true);
	(void)adaptive(w, 400);
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
        "[  0.004] engine > lease 2: task 0 committed\n"
        "[  0.007] engine > lease 3: task 0 committed\n"
        "[  0.015] engine > lease 1: task 0 committed\n"
        "[  0.015] engine > lease 1: task 0 succeeded\n"
        "[  0.015] engine > lease 1 ended: done\n"
        "[  0.015] engine > lease 3: task 0 succeeded\n"
        "[  0.015] engine > lease 3 ended: done\n"
        "[  0.015] engine > lease 2: task 0 succeeded\n"
        "[  0.015] engine > lease 2 ended: done\n"
        "[  1.004] votes  > task 0: node 1 says the truth, and counts\n"
        "[  1.004] votes  > task 0: node 2 says a lie\n"
        "[  1.004] votes  > task 0: node 3 says the truth, and counts\n"
        "[  1.004] votes  > task 0: its result is true\n";
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
        "[  0.004] engine > lease 2: task 0 committed\n"
        "[  0.007] engine > lease 3: task 0 committed\n"
        "[  0.015] engine > lease 1: task 0 committed\n"
        "[  0.015] engine > lease 1: task 0 succeeded\n"
        "[  0.015] engine > lease 1 ended: done\n"
        "[  0.015] engine > lease 3: task 0 succeeded\n"
        "[  0.015] engine > lease 3 ended: done\n"
        "[  0.015] engine > lease 2: task 0 succeeded\n"
        "[  0.015] engine > lease 2 ended: done\n"
        "[  1.004] votes  > task 0: node 1 says the truth\n"
        "[  1.004] votes  > task 0: node 2 says a lie, and counts\n"
        "[  1.004] votes  > task 0: node 3 says a lie, and counts\n"
        "[  1.004] votes  > task 0: its result is a lie\n";
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
        "[  0.004] engine > lease 2: task 0 committed\n"
        "[  0.007] engine > lease 3: task 0 committed\n"
        "[  0.015] engine > lease 1: task 0 committed\n"
        "[  0.015] engine > lease 1: task 0 succeeded\n"
        "[  0.015] engine > lease 1 ended: done\n"
        "[  0.015] engine > lease 3: task 0 succeeded\n"
        "[  0.015] engine > lease 3 ended: done\n"
        "[  0.015] engine > lease 2: task 0 succeeded\n"
        "[  0.015] engine > lease 2 ended: done\n"
        "[  1.004] votes  > task 0: node 1 says the truth\n"
        "[  1.004] votes  > task 0: node 2 says a lie\n"
        "[  1.004] votes  > task 0: node 3 says a lie\n"
        "[  1.004] votes  > task 0: no result: disagreed\n";
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
        "[  0.004] engine > lease 2: task 0 committed\n"
        "[  0.007] engine > lease 3: task 0 committed\n"
        "[  0.010] engine > lease 4: task 0 committed\n"
        "[  0.015] engine > lease 1: task 0 committed\n"
        "[  0.015] engine > lease 4: task 0 succeeded\n"
        "[  0.015] engine > lease 4 ended: done\n"
        "[  0.015] engine > lease 1: task 0 succeeded\n"
        "[  0.015] engine > lease 1 ended: done\n"
        "[  0.015] engine > lease 2: task 0 succeeded\n"
        "[  0.015] engine > lease 2 ended: done\n"
        "[  0.015] engine > lease 3: task 0 succeeded\n"
        "[  0.015] engine > lease 3 ended: done\n"
        "[  1.004] votes  > task 0: node 1 says the truth, and counts\n"
        "[  1.004] votes  > task 0: node 2 says a lie\n"
        "[  1.004] votes  > task 0: node 3 says a lie\n"
        "[  1.004] votes  > task 0: node 4 says the truth, and counts\n"
        "[  1.004] votes  > task 0: its result is true\n";
static const char copier_finds_nothing_to_copy_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] world  > node 2 copies from now on\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 2\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 3, lease 3\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  0.000] node   > lease 3 starts\n"
        "[  0.004] engine > lease 2: task 0 committed\n"
        "[  0.007] engine > lease 3: task 0 committed\n"
        "[  0.015] engine > lease 1: task 0 committed\n"
        "[  0.015] engine > lease 1: task 0 succeeded\n"
        "[  0.015] engine > lease 1 ended: done\n"
        "[  0.015] engine > lease 3: task 0 succeeded\n"
        "[  0.015] engine > lease 3 ended: done\n"
        "[  0.015] engine > lease 2: task 0 succeeded\n"
        "[  0.015] engine > lease 2 ended: done\n"
        "[  1.004] votes  > task 0: node 1 says the truth, and counts\n"
        "[  1.004] votes  > task 0: node 2 says a lie\n"
        "[  1.004] votes  > task 0: node 3 says the truth, and counts\n"
        "[  1.004] votes  > task 0: its result is true\n";
static const char switched_answer_is_nobodys_vote_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] world  > node 2 switches answers from now on\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 2\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 3, lease 3\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  0.000] node   > lease 3 starts\n"
        "[  0.004] engine > lease 2: task 0 committed\n"
        "[  0.007] engine > lease 3: task 0 committed\n"
        "[  0.015] engine > lease 1: task 0 committed\n"
        "[  0.015] engine > lease 1: task 0 succeeded\n"
        "[  0.015] engine > lease 1 ended: done\n"
        "[  0.015] engine > lease 3: task 0 succeeded\n"
        "[  0.015] engine > lease 3 ended: done\n"
        "[  0.016] engine > lease 2: task 0 succeeded\n"
        "[  0.016] engine > lease 2 ended: done\n"
        "[  1.004] votes  > task 0: node 1 says the truth, and counts\n"
        "[  1.004] votes  > task 0: node 2 did not reveal what it committed to\n"
        "[  1.004] votes  > task 0: node 3 says the truth, and counts\n"
        "[  1.004] votes  > task 0: its result is true\n";
static const char who_never_reveals_has_no_vote_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] world  > node 2 does not reveal from now on\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 2\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 3, lease 3\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  0.000] node   > lease 3 starts\n"
        "[  0.004] engine > lease 2: task 0 committed\n"
        "[  0.007] engine > lease 3: task 0 committed\n"
        "[  0.015] engine > lease 1: task 0 committed\n"
        "[  0.015] engine > lease 1: task 0 succeeded\n"
        "[  0.015] engine > lease 1 ended: done\n"
        "[  0.015] engine > lease 3: task 0 succeeded\n"
        "[  0.015] engine > lease 3 ended: done\n"
        "[ 60.015] engine > stop lease 2: expired\n"
        "[ 60.111] engine > lease 2 ended: expired\n"
        "[ 60.310] votes  > task 0: node 1 says the truth, and counts\n"
        "[ 60.310] votes  > task 0: node 3 says the truth, and counts\n"
        "[ 60.310] votes  > task 0: its result is true\n";
static const char killed_engine_still_asks_to_reveal_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 2\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 3, lease 3\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  0.000] node   > lease 3 starts\n"
        "[  0.004] engine > lease 2: task 0 committed\n"
        "[  0.007] engine > lease 3: task 0 committed\n"
        "[  0.010] world  > the engine is killed; 10 of 10 entries were durable\n"
        "[  0.010] engine > boot\n"
        "[  0.010] engine > node_set\n"
        "[  0.010] engine > node_set\n"
        "[  0.010] engine > node_set\n"
        "[  0.015] engine > lease 1: task 0 committed\n"
        "[  0.015] engine > lease 1: task 0 succeeded\n"
        "[  0.015] engine > lease 1 ended: done\n"
        "[  0.015] engine > lease 2: task 0 succeeded\n"
        "[  0.015] engine > lease 2 ended: done\n"
        "[  0.015] engine > lease 3: task 0 succeeded\n"
        "[  0.015] engine > lease 3 ended: done\n"
        "[  1.004] votes  > task 0: node 1 says the truth, and counts\n"
        "[  1.004] votes  > task 0: node 2 says the truth, and counts\n"
        "[  1.004] votes  > task 0: node 3 says the truth, and counts\n"
        "[  1.004] votes  > task 0: its result is true\n";
static const char checked_answer_is_hidden_from_the_checker_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] world  > node 2 copies from now on\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.015] engine > lease 1: task 0 committed\n"
        "[  0.015] engine > job 1 step 0: tasks 0-0 to node 2, lease 2\n"
        "[  0.015] node   > lease 2 starts\n"
        "[  0.018] engine > lease 2: task 0 committed\n"
        "[  0.018] engine > lease 2: task 0 succeeded\n"
        "[  0.018] engine > lease 2 ended: done\n"
        "[  0.019] engine > lease 1: task 0 succeeded\n"
        "[  0.019] engine > job 1 step 0: tasks 0-0 to node 3, lease 3\n"
        "[  0.019] engine > lease 1 ended: done\n"
        "[  0.019] node   > lease 3 starts\n"
        "[  0.026] engine > lease 3: task 0 committed\n"
        "[  0.026] engine > lease 3: task 0 succeeded\n"
        "[  0.026] engine > lease 3 ended: done\n"
        "[  1.015] votes  > task 0: node 1 says the truth, and counts\n"
        "[  1.015] votes  > task 0: node 2 says a lie\n"
        "[  1.015] votes  > task 0: node 3 says the truth, and counts\n"
        "[  1.015] votes  > task 0: its result is true\n";
static const char one_machine_does_not_wait_for_itself_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.015] engine > lease 1: task 0 committed\n"
        "[  0.015] engine > job 1 step 0: tasks 0-0 to node 1, lease 2\n"
        "[  0.015] node   > lease 2 starts\n"
        "[  0.018] engine > lease 2: task 0 committed\n"
        "[  0.018] engine > job 1 step 0: tasks 1-1 to node 1, lease 3\n"
        "[  0.018] node   > lease 3 starts\n"
        "[  0.018] engine > lease 2: task 0 succeeded\n"
        "[  0.018] engine > lease 2 ended: done\n"
        "[  0.019] engine > lease 1: task 0 succeeded\n"
        "[  0.019] engine > lease 1 ended: done\n"
        "[  0.036] engine > lease 3: task 1 committed\n"
        "[  0.036] engine > job 1 step 0: tasks 1-1 to node 1, lease 4\n"
        "[  0.036] node   > lease 4 starts\n"
        "[  0.054] engine > lease 4: task 1 committed\n"
        "[  0.055] engine > lease 4: task 1 succeeded\n"
        "[  0.055] engine > lease 4 ended: done\n"
        "[  0.055] engine > lease 3: task 1 succeeded\n"
        "[  0.055] engine > lease 3 ended: done\n";
static const char replicas_stay_in_one_class_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.010] engine > node_set\n"
        "[  0.014] engine > lease 1: task 0 committed\n"
        "[  0.020] engine > node_set\n"
        "[  0.020] engine > job 1 step 0: tasks 0-0 to node 3, lease 2\n"
        "[  0.020] node   > lease 2 starts\n"
        "[  0.024] engine > lease 2: task 0 committed\n"
        "[  0.025] engine > lease 2: task 0 succeeded\n"
        "[  0.025] engine > lease 2 ended: done\n"
        "[  0.025] engine > lease 1: task 0 succeeded\n"
        "[  0.025] engine > lease 1 ended: done\n"
        "[600.000] votes  > task 0: node 1 says the truth, and counts\n"
        "[600.000] votes  > task 0: node 3 says the truth, and counts\n"
        "[600.000] votes  > task 0: its result is true\n";
static const char trusted_nodes_are_checked_less_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[600.000] votes  > job 1: 60 tasks ran 94 times, 26 of them unchecked, 60 results true, 0 lies\n"
        "[600.000] votes  > node 1: others agreed with its last 22 checked results\n"
        "[600.000] votes  > node 2: others agreed with its last 25 checked results\n"
        "[600.000] votes  > node 3: others agreed with its last 21 checked results\n"
        "[1200.000] votes  > job 2: 400 tasks ran 408 times, 392 of them unchecked, 400 results true, 0 "
        "lies\n"
        "[1200.000] votes  > node 1: others agreed with its last 25 checked results\n"
        "[1200.000] votes  > node 2: others agreed with its last 32 checked results\n"
        "[1200.000] votes  > node 3: others agreed with its last 27 checked results\n"
        "[1800.000] votes  > job 3: 400 tasks ran 414 times, 386 of them unchecked, 400 results true, 0 "
        "lies\n"
        "[1800.000] votes  > node 1: others agreed with its last 33 checked results\n"
        "[1800.000] votes  > node 2: others agreed with its last 42 checked results\n"
        "[1800.000] votes  > node 3: others agreed with its last 37 checked results\n";
static const char caught_node_takes_its_tail_with_it_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[600.000] votes  > job 1: 400 tasks ran 485 times, 315 of them unchecked, 400 results true, 0 lies\n"
        "[600.000] votes  > node 1: others agreed with its last 55 checked results\n"
        "[600.000] votes  > node 2: others agreed with its last 57 checked results\n"
        "[600.000] votes  > node 3: others agreed with its last 58 checked results\n"
        "[600.000] world  > node 2 lies from now on\n"
        "[1200.000] votes  > job 2: 400 tasks ran 1022 times, 88 of them unchecked, 400 results true, 0 "
        "lies\n"
        "[1200.000] votes  > node 1: others agreed with its last 367 checked results\n"
        "[1200.000] votes  > node 2: others agreed with its last 0 checked results\n"
        "[1200.000] votes  > node 3: others agreed with its last 368 checked results\n"
        "[1800.000] votes  > job 3: 400 tasks ran 1110 times, 44 of them unchecked, 400 results true, 0 "
        "lies\n"
        "[1800.000] votes  > node 1: others agreed with its last 723 checked results\n"
        "[1800.000] votes  > node 2: others agreed with its last 0 checked results\n"
        "[1800.000] votes  > node 3: others agreed with its last 722 checked results\n";
static const char colluding_majority_catches_the_honest_node_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[600.000] votes  > job 1: 400 tasks ran 485 times, 315 of them unchecked, 400 results true, 0 lies\n"
        "[600.000] votes  > node 1: others agreed with its last 55 checked results\n"
        "[600.000] votes  > node 2: others agreed with its last 57 checked results\n"
        "[600.000] votes  > node 3: others agreed with its last 58 checked results\n"
        "[600.000] world  > node 2 lies from now on\n"
        "[600.000] world  > node 3 lies from now on\n"
        "[1200.000] votes  > job 2: 400 tasks ran 1021 times, 89 of them unchecked, 2 results true, 398 "
        "lies\n"
        "[1200.000] votes  > node 1: others agreed with its last 0 checked results\n"
        "[1200.000] votes  > node 2: others agreed with its last 368 checked results\n"
        "[1200.000] votes  > node 3: others agreed with its last 368 checked results\n";

static const struct story all[] = {
        STORY(one_liar_is_outvoted_and_named),
        STORY(two_liars_outvote_the_honest_node),
        STORY(two_liars_cannot_make_three_agree),
        STORY(liars_who_do_not_collude_lose),
        STORY(copier_finds_nothing_to_copy),
        STORY(switched_answer_is_nobodys_vote),
        STORY(who_never_reveals_has_no_vote),
        STORY(killed_engine_still_asks_to_reveal),
        STORY(checked_answer_is_hidden_from_the_checker),
        STORY(one_machine_does_not_wait_for_itself),
        STORY(replicas_stay_in_one_class),
        STORY(trusted_nodes_are_checked_less),
        STORY(caught_node_takes_its_tail_with_it),
        STORY(colluding_majority_catches_the_honest_node),
};
const struct story_book stories_verify = {all, ARRAY_LEN(all)};
