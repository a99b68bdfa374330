/* SPDX-License-Identifier: Apache-2.0 */
/* stories_gang - tasks of several members that run at one time, all or none; see story.h and core/gang.c. */
#include "base/check.h"
#include "sim/fleet.h"
#include "sim/story.h"

static struct world *pool(FILE *trace, uint32_t nodes)
{
	const struct faults f = {.task_ns_max = SIM_S, .task_exact = true};

	return world_new(7, &f, nodes, trace);
}

/* One node has room, the other has not: nothing of the gang begins before both have. */
static void gang_starts_when_all_its_members_can(FILE *trace)
{
	struct world *w = pool(trace, 2);

	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 4000});
	world_run_until(w, SIM_MS);
	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 4000, .gang = 2, .apart = true});
	story_finish(w);
}
static const char gang_starts_when_all_its_members_can_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.001] engine > job 2 submitted\n"
        "[  1.000] engine > lease 1: task 0 succeeded\n"
        "[  1.000] engine > lease 1 ended: done\n"
        "[  1.000] engine > job 2 step 0: task 0, rank 0 to node 1, lease 2\n"
        "[  1.000] engine > job 2 step 0: task 0, rank 1 to node 2, lease 3\n"
        "[  1.001] node   > lease 2 starts\n"
        "[  1.001] node   > lease 3 starts\n"
        "[  2.001] engine > lease 2: task 0 succeeded\n"
        "[  2.001] engine > lease 3: task 0 succeeded\n"
        "[  2.001] engine > lease 3 ended: done\n"
        "[  2.001] engine > lease 2 ended: done\n";

/* Each could have one node: one has both, then the other has. */
static void two_gangs_take_turns(FILE *trace)
{
	struct world *w = pool(trace, 2);

	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 3000, .gang = 2});
	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 3000, .gang = 2});
	story_finish(w);
}
static const char two_gangs_take_turns_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: task 0, rank 0 to node 1, lease 1\n"
        "[  0.000] engine > job 1 step 0: task 0, rank 1 to node 2, lease 2\n"
        "[  0.000] engine > job 2 submitted\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  1.000] engine > lease 2: task 0 succeeded\n"
        "[  1.000] engine > lease 1: task 0 succeeded\n"
        "[  1.000] engine > lease 1 ended: done\n"
        "[  1.001] engine > lease 2 ended: done\n"
        "[  1.001] engine > job 2 step 0: task 0, rank 0 to node 1, lease 3\n"
        "[  1.001] engine > job 2 step 0: task 0, rank 1 to node 2, lease 4\n"
        "[  1.001] node   > lease 3 starts\n"
        "[  1.001] node   > lease 4 starts\n"
        "[  2.001] engine > lease 4: task 0 succeeded\n"
        "[  2.001] engine > lease 4 ended: done\n"
        "[  2.002] engine > lease 3: task 0 succeeded\n"
        "[  2.002] engine > lease 3 ended: done\n";

/* On one machine alone, too. */
static void gang_runs_on_one_node(FILE *trace)
{
	struct world *w = pool(trace, 1);

	(void)story_submit(w, &(struct plain){.tasks = 1, .gang = 3});
	story_finish(w);
}
static const char gang_runs_on_one_node_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: task 0, rank 0 to node 1, lease 1\n"
        "[  0.000] engine > job 1 step 0: task 0, rank 1 to node 1, lease 2\n"
        "[  0.000] engine > job 1 step 0: task 0, rank 2 to node 1, lease 3\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  0.000] node   > lease 3 starts\n"
        "[  1.000] engine > lease 3: task 0 succeeded\n"
        "[  1.000] engine > lease 3 ended: done\n"
        "[  1.000] engine > lease 2: task 0 succeeded\n"
        "[  1.000] engine > lease 1: task 0 succeeded\n"
        "[  1.000] engine > lease 1 ended: done\n"
        "[  1.001] engine > lease 2 ended: done\n";

/* Small tasks that come later do not take, one by one, what it waits for. */
static void gang_is_not_starved_by_small_tasks(FILE *trace)
{
	struct world *w = pool(trace, 2);

	(void)story_submit(w, &(struct plain){.tasks = 8});
	world_run_until(w, SIM_MS);
	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 4000, .gang = 2, .apart = true});
	world_run_until(w, 500 * SIM_MS);
	(void)story_submit(w, &(struct plain){.tasks = 4});
	story_finish(w);
}
static const char gang_is_not_starved_by_small_tasks_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] engine > job 1 step 0: tasks 1-1 to node 1, lease 2\n"
        "[  0.000] engine > job 1 step 0: tasks 2-2 to node 1, lease 3\n"
        "[  0.000] engine > job 1 step 0: tasks 3-3 to node 1, lease 4\n"
        "[  0.000] engine > job 1 step 0: tasks 4-4 to node 2, lease 5\n"
        "[  0.000] engine > job 1 step 0: tasks 5-5 to node 2, lease 6\n"
        "[  0.000] engine > job 1 step 0: tasks 6-6 to node 2, lease 7\n"
        "[  0.000] engine > job 1 step 0: tasks 7-7 to node 2, lease 8\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  0.000] node   > lease 3 starts\n"
        "[  0.000] node   > lease 4 starts\n"
        "[  0.000] node   > lease 5 starts\n"
        "[  0.000] node   > lease 6 starts\n"
        "[  0.000] node   > lease 7 starts\n"
        "[  0.000] node   > lease 8 starts\n"
        "[  0.001] engine > job 2 submitted\n"
        "[  0.500] engine > job 3 submitted\n"
        "[  1.000] engine > lease 2: task 1 succeeded\n"
        "[  1.000] engine > lease 2 ended: done\n"
        "[  1.000] engine > lease 1: task 0 succeeded\n"
        "[  1.000] engine > lease 5: task 4 succeeded\n"
        "[  1.000] engine > lease 6: task 5 succeeded\n"
        "[  1.000] engine > lease 8: task 7 succeeded\n"
        "[  1.000] engine > lease 8 ended: done\n"
        "[  1.000] engine > lease 5 ended: done\n"
        "[  1.001] engine > lease 4: task 3 succeeded\n"
        "[  1.001] engine > lease 3: task 2 succeeded\n"
        "[  1.001] engine > lease 3 ended: done\n"
        "[  1.001] engine > lease 4 ended: done\n"
        "[  1.001] engine > lease 7: task 6 succeeded\n"
        "[  1.001] engine > lease 7 ended: done\n"
        "[  1.001] engine > lease 6 ended: done\n"
        "[  1.001] engine > lease 1 ended: done\n"
        "[  1.001] engine > job 2 step 0: task 0, rank 0 to node 1, lease 9\n"
        "[  1.001] engine > job 2 step 0: task 0, rank 1 to node 2, lease 10\n"
        "[  1.001] node   > lease 9 starts\n"
        "[  1.001] node   > lease 10 starts\n"
        "[  2.001] engine > lease 10: task 0 succeeded\n"
        "[  2.001] engine > lease 10 ended: done\n"
        "[  2.001] engine > job 3 step 0: tasks 0-0 to node 2, lease 11\n"
        "[  2.001] engine > job 3 step 0: tasks 1-1 to node 2, lease 12\n"
        "[  2.001] engine > job 3 step 0: tasks 2-2 to node 2, lease 13\n"
        "[  2.001] engine > job 3 step 0: tasks 3-3 to node 2, lease 14\n"
        "[  2.002] engine > lease 9: task 0 succeeded\n"
        "[  2.002] node   > lease 11 starts\n"
        "[  2.002] node   > lease 12 starts\n"
        "[  2.002] node   > lease 13 starts\n"
        "[  2.002] node   > lease 14 starts\n"
        "[  2.002] engine > lease 9 ended: done\n"
        "[  3.002] engine > lease 13: task 2 succeeded\n"
        "[  3.002] engine > lease 13 ended: done\n"
        "[  3.002] engine > lease 14: task 3 succeeded\n"
        "[  3.002] engine > lease 14 ended: done\n"
        "[  3.002] engine > lease 12: task 1 succeeded\n"
        "[  3.002] engine > lease 11: task 0 succeeded\n"
        "[  3.002] engine > lease 11 ended: done\n"
        "[  3.003] engine > lease 12 ended: done\n";

/* One member ends badly: the others are stopped, and all begin anew. */
static void failed_member_ends_its_gang(FILE *trace)
{
	const struct faults calm = {.task_ns_max = SIM_S}, bad = {.task_ns_max = SIM_S, .task_fails = 1000};
	struct world *w = world_new(7, &calm, 3, trace);

	(void)story_submit(
	        w, &(struct plain){.tasks = 1, .gang = 3, .apart = true, .retries = 1, .cpu = 4000});
	world_set_faults(w, &bad);
	world_run_until(w, 13 * SIM_MS);
	world_set_faults(w, &calm);
	story_finish(w);
}
static const char failed_member_ends_its_gang_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: task 0, rank 0 to node 1, lease 1\n"
        "[  0.000] engine > job 1 step 0: task 0, rank 1 to node 2, lease 2\n"
        "[  0.000] engine > job 1 step 0: task 0, rank 2 to node 3, lease 3\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  0.000] node   > lease 3 starts\n"
        "[  0.004] engine > lease 2: task 0 failed\n"
        "[  0.004] engine > stop lease 1: gang_ended\n"
        "[  0.004] engine > stop lease 3: gang_ended\n"
        "[  0.004] engine > lease 2 ended: done\n"
        "[  0.007] engine > lease 3: task 0 failed\n"
        "[  0.007] engine > lease 3 ended: gang_ended\n"
        "[  0.014] engine > lease 1: task 0 succeeded\n"
        "[  0.014] engine > lease 1 ended: gang_ended\n"
        "[  0.014] engine > job 1 step 0: task 0, rank 0 to node 1, lease 4\n"
        "[  0.014] engine > job 1 step 0: task 0, rank 1 to node 2, lease 5\n"
        "[  0.014] engine > job 1 step 0: task 0, rank 2 to node 3, lease 6\n"
        "[  0.014] node   > lease 4 starts\n"
        "[  0.014] node   > lease 5 starts\n"
        "[  0.014] node   > lease 6 starts\n"
        "[  0.024] engine > lease 4: task 0 succeeded\n"
        "[  0.024] engine > lease 4 ended: done\n"
        "[  0.026] engine > lease 6: task 0 succeeded\n"
        "[  0.026] engine > lease 6 ended: done\n"
        "[  0.030] engine > lease 5: task 0 succeeded\n"
        "[  0.031] engine > lease 5 ended: done\n";

/* The keeper with one of the machines' members is gone: all are, and begin anew, which counts as no attempt. */
static void killed_keeper_ends_its_gang(FILE *trace)
{
	struct world *w = pool(trace, 1);

	(void)story_submit(w, &(struct plain){.tasks = 1, .gang = 2});
	world_run_until(w, 500 * SIM_MS);
	world_kill_keeper(w);
	story_finish(w);
}
static const char killed_keeper_ends_its_gang_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: task 0, rank 0 to node 1, lease 1\n"
        "[  0.000] engine > job 1 step 0: task 0, rank 1 to node 1, lease 2\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  0.500] world  > the keeper is killed, and the engine with it\n"
        "[  0.500] world  > the engine is killed; 5 of 5 entries were durable\n"
        "[  0.500] engine > boot\n"
        "[  0.500] engine > node_set\n"
        "[  0.500] engine > lease 1 ended: keeper_lost\n"
        "[  0.500] engine > stop lease 2: gang_ended\n"
        "[  0.500] engine > lease 2 ended: keeper_lost\n"
        "[  0.500] engine > job 1 step 0: task 0, rank 0 to node 1, lease 3\n"
        "[  0.500] engine > job 1 step 0: task 0, rank 1 to node 1, lease 4\n"
        "[  0.500] engine > refused: lease 2 is not live\n"
        "[  0.500] node   > lease 3 starts\n"
        "[  0.500] node   > lease 4 starts\n"
        "[  1.500] engine > lease 4: task 0 succeeded\n"
        "[  1.501] engine > lease 3: task 0 succeeded\n"
        "[  1.501] engine > lease 3 ended: done\n"
        "[  1.501] engine > lease 4 ended: done\n";

/* A hub and two nodes, each with a member; the cable of one is pulled. After `lost_after` all its gang is stopped and placed again. */
static void lost_node_ends_its_gang(FILE *trace)
{
	struct faults calm = {.task_ns_max = 20 * SIM_S, .task_exact = true};
	struct weather fair = {.delay_ns_max = 0};
	struct fleet *f = fleet_new(7, &calm, &fair, trace);

	(void)fleet_add(f, "hub", 0);
	(void)fleet_add(f, "press", 0);
	(void)fleet_add(f, "saw", 0);
	fleet_run_until(f, SIM_S / 10);
	(void)story_submit(fleet_world(f, 0),
	        &(struct plain){
	                .tasks = 1, .gang = 2, .apart = true, .cpu = 4000, .lost_after_ns = 5 * SIM_S});
	fleet_run_until(f, SIM_S);
	fleet_cut(f, 1, true, true, 30 * SIM_S);
	fleet_run(f, 100000);
	fleet_check_quiet(f);
	fleet_free(f);
}
static const char lost_node_ends_its_gang_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] press  engine > link_set\n"
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] saw    engine > link_set\n"
        "[  0.014] hub    engine > node_set\n"
        "[  0.014] hub    engine > node 3: link up\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: task 0, rank 0 to node 2, lease 1\n"
        "[  0.100] hub    engine > job 1 step 0: task 0, rank 1 to node 3, lease 2\n"
        "[  0.100] press  engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] press  engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] saw    engine > job 1 is the hub's lease 2, tasks from 0\n"
        "[  0.100] saw    engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] press  node   > lease 1 starts\n"
        "[  0.100] saw    node   > lease 1 starts\n"
        "[  1.000] press  is cut off\n"
        "[  1.888] hub    engine > node 2: link down\n"
        "[  6.888] hub    engine > lease 1 ended: node_lost\n"
        "[  6.888] hub    engine > stop lease 2: gang_ended\n"
        "[  6.888] saw    engine > job_cancelled\n"
        "[  6.888] saw    engine > stop lease 1: cancelled\n"
        "[  6.982] saw    engine > lease 1 ended: cancelled\n"
        "[  6.982] hub    engine > lease 2 ended: gang_ended\n"
        "[  6.982] hub    engine > job 1 step 0: task 0, rank 0 to node 3, lease 3\n"
        "[  6.982] hub    engine > job 1 step 0: task 0, rank 1 to node 1, lease 4\n"
        "[  6.982] hub    node   > lease 4 starts\n"
        "[  6.982] saw    engine > job 1 is forgotten: handed over to the hub\n"
        "[  6.982] saw    engine > job 2 is the hub's lease 3, tasks from 0\n"
        "[  6.982] saw    engine > job 2 step 0: tasks 0-0 to node 1, lease 2\n"
        "[  6.982] saw    node   > lease 2 starts\n"
        "[ 20.100] press  engine > lease 1: task 0 succeeded\n"
        "[ 20.101] press  engine > lease 1 ended: done\n"
        "[ 26.982] hub    engine > lease 4: task 0 succeeded\n"
        "[ 26.983] saw    engine > lease 2: task 0 succeeded\n"
        "[ 26.983] saw    engine > lease 2 ended: done\n"
        "[ 26.983] hub    engine > lease 3: task 0 succeeded\n"
        "[ 26.983] hub    engine > lease 3 ended: done\n"
        "[ 26.983] saw    engine > job 2 is forgotten: handed over to the hub\n"
        "[ 26.983] hub    engine > lease 4 ended: done\n"
        "[ 31.000] press  is back on the line\n"
        "[ 31.020] hub    engine > node 2: link up\n"
        "[ 31.020] press  engine > job 1 is forgotten: handed over to the hub\n";

static const struct story all[] = {
        STORY(gang_starts_when_all_its_members_can),
        STORY(two_gangs_take_turns),
        STORY(gang_runs_on_one_node),
        STORY(gang_is_not_starved_by_small_tasks),
        STORY(failed_member_ends_its_gang),
        STORY(killed_keeper_ends_its_gang),
        STORY(lost_node_ends_its_gang),
};
const struct story_book stories_gang = {all, ARRAY_LEN(all)};
