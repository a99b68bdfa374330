/* SPDX-License-Identifier: Apache-2.0 */
/* stories - small days of which every line is known; see sim.h. Nodes have 4 cpus, 8 GiB and 2 gpus each. */
#include "base/check.h"
#include "sim/story.h"

static void killed_engine_runs_task_once(FILE *trace)
{
	struct world *w = story_calm(trace, SIM_S);

	(void)story_submit(w, &(struct plain){.tasks = 1});
	world_run_until(w, SIM_MS);
	world_kill_engine(w);
	story_finish(w);
}

static void killed_keeper_runs_task_again(FILE *trace)
{
	struct world *w = story_calm(trace, SIM_S);

	(void)story_submit(w, &(struct plain){.tasks = 1});
	world_run_until(w, SIM_MS);
	world_kill_keeper(w);
	story_finish(w);
}

static void unacknowledged_job_may_be_lost(FILE *trace)
{
	struct world *w = story_calm(trace, SIM_S);

	world_run_until(w, SIM_MS);
	(void)story_submit(w, &(struct plain){.tasks = 1});
	world_kill_engine(w);
	story_finish(w);
}

static void poison_task_is_found_by_halving(FILE *trace)
{
	struct world *w = story_calm(trace, SIM_MS);

	/* Once osier knows that the tasks are short, it leases many together. */
	(void)story_submit(w, &(struct plain){.tasks = 4, .worker = true});
	world_run_until(w, 2 * SIM_S);
	world_poison(w, 2);
	(void)story_submit(w, &(struct plain){.tasks = 8, .worker = true, .cpu = 4000});
	story_finish(w);
}

static void lying_replica_is_outvoted(FILE *trace)
{
	struct world *w = story_calm(trace, SIM_MS);
	struct faults f = {.task_ns_max = SIM_MS, .task_lies = 400};

	world_set_faults(w, &f);
	(void)story_submit(w, &(struct plain){.tasks = 1, .replicas = 5});
	story_finish(w);
}

static void realtime_stops_batch(FILE *trace)
{
	struct world *w = story_calm_day(trace, 100 * SIM_S, 5);

	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 4000});
	world_run_until(w, SIM_MS);
	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 2000, .realtime = true});
	story_finish(w);
}

static void too_large_is_refused(FILE *trace)
{
	struct world *w = story_calm(trace, SIM_S);

	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 5000});
	story_finish(w);
}

static void doubled_results_change_nothing(FILE *trace)
{
	struct world *w = story_calm(trace, SIM_MS);
	struct faults f = {.task_ns_max = SIM_MS, .twice = 1000};

	world_set_faults(w, &f);
	(void)story_submit(w, &(struct plain){.tasks = 16, .cpu = 4000});
	story_finish(w);
}

static const char killed_engine_runs_task_once_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.001] world  > the engine is killed; 4 of 4 entries were durable\n"
        "[  0.001] engine > boot\n"
        "[  0.001] engine > node_set\n"
        "[  0.014] engine > lease 1: task 0 succeeded\n"
        "[  0.015] engine > lease 1 ended: done\n";

static const char killed_keeper_runs_task_again_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.001] world  > the keeper is killed, and the engine with it\n"
        "[  0.001] world  > the engine is killed; 4 of 4 entries were durable\n"
        "[  0.001] engine > boot\n"
        "[  0.001] engine > node_set\n"
        "[  0.001] engine > lease 1 ended: keeper_lost\n"
        "[  0.001] engine > job 1 step 0: tasks 0-0 to node 1, lease 2\n"
        "[  0.001] node   > lease 2 starts\n"
        "[  0.005] engine > lease 2: task 0 succeeded\n"
        "[  0.006] engine > lease 2 ended: done\n";

static const char unacknowledged_job_may_be_lost_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.001] engine > job 1 submitted\n"
        "[  0.001] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.001] world  > the engine is killed; 2 of 4 entries were durable\n"
        "[  0.001] engine > boot\n"
        "[  0.001] engine > node_set\n";

static const char poison_task_is_found_by_halving_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] engine > job 1 step 0: tasks 1-1 to node 1, lease 2\n"
        "[  0.000] engine > job 1 step 0: tasks 2-2 to node 1, lease 3\n"
        "[  0.000] engine > job 1 step 0: tasks 3-3 to node 1, lease 4\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  0.000] node   > lease 3 starts\n"
        "[  0.000] node   > lease 4 starts\n"
        "[  0.001] engine > lease 4: task 3 succeeded\n"
        "[  0.001] engine > lease 4 ended: done\n"
        "[  0.014] engine > lease 1: task 0 succeeded\n"
        "[  0.014] engine > lease 1 ended: done\n"
        "[  0.016] engine > lease 3: task 2 succeeded\n"
        "[  0.016] engine > lease 3 ended: done\n"
        "[  0.019] engine > lease 2: task 1 succeeded\n"
        "[  0.019] engine > lease 2 ended: done\n"
        "[  2.000] engine > job 2 submitted\n"
        "[  2.000] engine > job 2 step 0: tasks 0-3 to node 1, lease 5\n"
        "[  2.000] node   > lease 5 starts\n"
        "[  2.018] engine > lease 5: task 0 succeeded\n"
        "[  2.034] engine > lease 5: task 1 succeeded\n"
        "[  2.049] engine > lease 5 ended: worker_crashed\n"
        "[  2.049] engine > job 2 step 0: tasks 2-2 to node 1, lease 6\n"
        "[  2.049] node   > lease 6 starts\n"
        "[  2.051] engine > lease 6 ended: worker_crashed\n"
        "[  2.051] engine > job 2 step 0: tasks 3-3 to node 1, lease 7\n"
        "[  2.051] node   > lease 7 starts\n"
        "[  2.059] engine > lease 7: task 3 succeeded\n"
        "[  2.060] engine > lease 7 ended: done\n"
        "[  2.060] engine > job 2 step 0: tasks 4-4 to node 1, lease 8\n"
        "[  2.060] node   > lease 8 starts\n"
        "[  2.060] engine > lease 8: task 4 succeeded\n"
        "[  2.060] engine > lease 8 ended: done\n"
        "[  2.060] engine > job 2 step 0: tasks 5-5 to node 1, lease 9\n"
        "[  2.060] node   > lease 9 starts\n"
        "[  2.060] engine > lease 9: task 5 succeeded\n"
        "[  2.060] engine > lease 9 ended: done\n"
        "[  2.060] engine > job 2 step 0: tasks 6-6 to node 1, lease 10\n"
        "[  2.061] node   > lease 10 starts\n"
        "[  2.069] engine > lease 10: task 6 succeeded\n"
        "[  2.069] engine > lease 10 ended: done\n"
        "[  2.069] engine > job 2 step 0: tasks 7-7 to node 1, lease 11\n"
        "[  2.069] node   > lease 11 starts\n"
        "[  2.069] engine > lease 11: task 7 succeeded\n"
        "[  2.069] engine > lease 11 ended: done\n";

static const char lying_replica_is_outvoted_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 2\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 3\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 4\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  0.000] node   > lease 3 starts\n"
        "[  0.000] node   > lease 4 starts\n"
        "[  0.004] engine > lease 2: task 0 committed\n"
        "[  0.004] engine > job 1 step 0: tasks 0-0 to node 1, lease 5\n"
        "[  0.004] node   > lease 5 starts\n"
        "[  0.007] engine > lease 3: task 0 committed\n"
        "[  0.010] engine > lease 4: task 0 committed\n"
        "[  0.015] engine > lease 1: task 0 committed\n"
        "[  0.020] engine > lease 5: task 0 committed\n"
        "[  0.021] engine > lease 1: task 0 succeeded\n"
        "[  0.021] engine > lease 1 ended: done\n"
        "[  0.021] engine > lease 3: task 0 succeeded\n"
        "[  0.021] engine > lease 3 ended: done\n"
        "[  0.021] engine > lease 2: task 0 succeeded\n"
        "[  0.021] engine > lease 2 ended: done\n"
        "[  0.021] engine > lease 5: task 0 succeeded\n"
        "[  0.021] engine > lease 5 ended: done\n"
        "[  0.021] engine > lease 4: task 0 succeeded\n"
        "[  0.021] engine > lease 4 ended: done\n";

static const char realtime_stops_batch_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.001] engine > job 2 submitted\n"
        "[  0.001] engine > stop lease 1: preempted\n"
        "[  0.002] engine > lease 1 ended: preempted\n"
        "[  0.002] engine > job 2 step 0: tasks 0-0 to node 1, lease 2\n"
        "[  0.002] node   > lease 2 starts\n"
        "[  0.021] engine > lease 2: task 0 succeeded\n"
        "[  0.021] engine > lease 2 ended: done\n"
        "[  0.021] engine > job 1 step 0: tasks 0-0 to node 1, lease 3\n"
        "[  0.021] node   > lease 3 starts\n"
        "[  0.041] engine > lease 3: task 0 succeeded\n"
        "[  0.041] engine > lease 3 ended: done\n";

static const char too_large_is_refused_expect[] = "[  0.000] engine > boot\n"
                                                  "[  0.000] engine > node_set\n"
                                                  "[  0.000] engine > refused: step 's' can never run: cpu 5 "
                                                  "is more than any node has; the largest, 'n1', has cpu 4\n";

static const char doubled_results_change_nothing_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.015] engine > lease 1: task 0 succeeded\n"
        "[  0.015] engine > lease 1 ended: done\n"
        "[  0.015] engine > job 1 step 0: tasks 1-1 to node 1, lease 2\n"
        "[  0.015] node   > lease 2 starts\n"
        "[  0.034] engine > lease 2: task 1 succeeded\n"
        "[  0.034] engine > lease 2 ended: done\n"
        "[  0.034] engine > job 1 step 0: tasks 2-2 to node 1, lease 3\n"
        "[  0.034] node   > lease 3 starts\n"
        "[  0.050] engine > lease 3: task 2 succeeded\n"
        "[  0.050] engine > lease 3 ended: done\n"
        "[  0.050] engine > job 1 step 0: tasks 3-3 to node 1, lease 4\n"
        "[  0.050] node   > lease 4 starts\n"
        "[  0.051] engine > lease 4: task 3 succeeded\n"
        "[  0.051] engine > lease 4 ended: done\n"
        "[  0.051] engine > job 1 step 0: tasks 4-9 to node 1, lease 5\n"
        "[  0.051] node   > lease 5 starts\n"
        "[  0.052] engine > lease 5: task 4 succeeded\n"
        "[  0.060] engine > refused: stale result: lease 5 stands at task 5, not 4\n"
        "[  0.069] engine > lease 5: task 5 succeeded\n"
        "[  0.072] engine > refused: stale result: lease 5 stands at task 6, not 5\n"
        "[  0.078] engine > lease 5: task 6 succeeded\n"
        "[  0.079] engine > refused: stale result: lease 5 stands at task 7, not 6\n"
        "[  0.083] engine > lease 5: task 7 succeeded\n"
        "[  0.089] engine > refused: stale result: lease 5 stands at task 8, not 7\n"
        "[  0.094] engine > lease 5: task 8 succeeded\n"
        "[  0.095] engine > lease 5: task 9 succeeded\n"
        "[  0.096] engine > lease 5 ended: done\n"
        "[  0.096] engine > job 1 step 0: tasks 10-12 to node 1, lease 6\n"
        "[  0.096] node   > lease 6 starts\n"
        "[  0.114] engine > lease 6: task 10 succeeded\n"
        "[  0.115] engine > refused: stale result: lease 6 stands at task 11, not 10\n"
        "[  0.129] engine > lease 6: task 11 succeeded\n"
        "[  0.136] engine > lease 6: task 12 succeeded\n"
        "[  0.137] engine > lease 6 ended: done\n"
        "[  0.137] engine > job 1 step 0: tasks 13-13 to node 1, lease 7\n"
        "[  0.137] node   > lease 7 starts\n"
        "[  0.149] engine > lease 7: task 13 succeeded\n"
        "[  0.150] engine > lease 7 ended: done\n"
        "[  0.150] engine > job 1 step 0: tasks 14-14 to node 1, lease 8\n"
        "[  0.150] node   > lease 8 starts\n"
        "[  0.165] engine > lease 8: task 14 succeeded\n"
        "[  0.165] engine > refused: stale result: lease 8 stands at task 15, not 14\n"
        "[  0.166] engine > lease 8 ended: done\n"
        "[  0.166] engine > job 1 step 0: tasks 15-15 to node 1, lease 9\n"
        "[  0.166] node   > lease 9 starts\n"
        "[  0.176] engine > lease 9: task 15 succeeded\n"
        "[  0.176] engine > lease 9 ended: done\n";

static const struct story all[] = {
        STORY(killed_engine_runs_task_once),
        STORY(killed_keeper_runs_task_again),
        STORY(unacknowledged_job_may_be_lost),
        STORY(poison_task_is_found_by_halving),
        STORY(lying_replica_is_outvoted),
        STORY(realtime_stops_batch),
        STORY(too_large_is_refused),
        STORY(doubled_results_change_nothing),
};
const struct story_book stories_engine = {all, ARRAY_LEN(all)};
