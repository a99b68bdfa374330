/* SPDX-License-Identifier: Apache-2.0 */
/* stories_fleet - machines that join a hub, are cut off, and come back; see story.h and fleet.h. */
#include "base/check.h"
#include "sim/fleet.h"
#include "sim/story.h"

/* A hub and one child, which is up. The hub has its own cores busy, so that what comes next goes to the child. */
static struct fleet *pair(FILE *trace, uint64_t task_ns)
{
	struct faults calm = {.task_ns_max = task_ns};
	struct weather fair = {.delay_ns_max = 0};
	struct fleet *f = fleet_new(7, &calm, &fair, trace);

	(void)fleet_add(f, "hub", 0);
	(void)fleet_add(f, "press", 0);
	fleet_run_until(f, SIM_S / 10);
	return f;
}

static void finish(struct fleet *f)
{
	fleet_run(f, 100000);
	fleet_check_quiet(f);
	fleet_free(f);
}

/* The hub itself takes nothing, so that all goes to the child. */
static struct fleet *drained(FILE *trace, uint64_t task_ns)
{
	struct fleet *f = pair(trace, task_ns);

	world_node(fleet_world(f, 0), 1, WIRE__NODE_SET__STATE__DRAINED, 4);
	return f;
}

/* Words of the link as the child sees it. */
static void tell_link(struct fleet *f, FILE *trace)
{
	struct link_view v;

	fleet_look(f, 1, &v);
	if (trace)
		(void)fprintf(trace, "[%7.3f] press  link   > %s%s\n", (double)fleet_now_ns(f) / 1e9,
		        v.state == LINK_UP        ? "up"
		        : v.state == LINK_REFUSED ? "refused: "
		                                  : "down",
		        v.state == LINK_REFUSED ? v.reason : "");
}

static void drained_hub_gives_all_to_its_child(FILE *trace)
{
	struct fleet *f = drained(trace, SIM_MS);

	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 2});
	finish(f);
}
static const char drained_hub_gives_all_to_its_child_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] press  engine > link_set\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 1-1 to node 2, lease 2\n"
        "[  0.100] press  engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] press  engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] press  engine > job 2 is the hub's lease 2, tasks from 1\n"
        "[  0.100] press  engine > job 2 step 0: tasks 0-0 to node 1, lease 2\n"
        "[  0.100] press  node   > lease 1 starts\n"
        "[  0.100] press  node   > lease 2 starts\n"
        "[  0.102] press  engine > lease 1: task 0 succeeded\n"
        "[  0.102] hub    engine > lease 1: task 0 succeeded\n"
        "[  0.102] press  engine > lease 1 ended: done\n"
        "[  0.102] hub    engine > lease 1 ended: done\n"
        "[  0.103] press  engine > job 1 is forgotten: handed over to the hub\n"
        "[  0.104] press  engine > lease 2: task 0 succeeded\n"
        "[  0.104] press  engine > lease 2 ended: done\n"
        "[  0.104] hub    engine > lease 2: task 1 succeeded\n"
        "[  0.104] hub    engine > lease 2 ended: done\n"
        "[  0.104] press  engine > job 2 is forgotten: handed over to the hub\n";

static void cable_is_pulled_and_results_arrive_once(FILE *trace)
{
	struct fleet *f = drained(trace, SIM_MS);

	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 2, .cpu = 4000});
	fleet_run_until(f, fleet_now_ns(f) + 500000);
	fleet_cut(f, 1, true, true, 10 * SIM_S);
	finish(f);
}
static const char cable_is_pulled_and_results_arrive_once_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] press  engine > link_set\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] press  engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] press  engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] press  node   > lease 1 starts\n"
        "[  0.101] press  is cut off\n"
        "[  0.101] press  engine > lease 1: task 0 succeeded\n"
        "[  0.102] press  engine > lease 1 ended: done\n"
        "[  0.559] hub    engine > node 2: link down\n"
        "[ 10.101] press  is back on the line\n"
        "[ 10.118] hub    engine > node 2: link up\n"
        "[ 10.118] hub    engine > lease 1: task 0 succeeded\n"
        "[ 10.118] hub    engine > lease 1 ended: done\n"
        "[ 10.118] hub    engine > job 1 step 0: tasks 1-1 to node 2, lease 2\n"
        "[ 10.118] press  engine > job 1 is forgotten: handed over to the hub\n"
        "[ 10.118] press  engine > job 2 is the hub's lease 2, tasks from 1\n"
        "[ 10.118] press  engine > job 2 step 0: tasks 0-0 to node 1, lease 2\n"
        "[ 10.118] press  node   > lease 2 starts\n"
        "[ 10.122] press  engine > lease 2: task 0 succeeded\n"
        "[ 10.122] press  engine > lease 2 ended: done\n"
        "[ 10.122] hub    engine > lease 2: task 1 succeeded\n"
        "[ 10.122] hub    engine > lease 2 ended: done\n"
        "[ 10.122] press  engine > job 2 is forgotten: handed over to the hub\n";

static void child_that_restarts_while_away_has_its_results(FILE *trace)
{
	struct fleet *f = drained(trace, SIM_MS);

	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 1});
	fleet_run_until(f, fleet_now_ns(f) + 500000);
	fleet_cut(f, 1, true, true, 10 * SIM_S);
	fleet_run_until(f, fleet_now_ns(f) + 3 * SIM_S);
	fleet_kill(f, 1);
	finish(f);
}
static const char child_that_restarts_while_away_has_its_results_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] press  engine > link_set\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] press  engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] press  engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] press  node   > lease 1 starts\n"
        "[  0.101] press  is cut off\n"
        "[  0.101] press  engine > lease 1: task 0 succeeded\n"
        "[  0.102] press  engine > lease 1 ended: done\n"
        "[  0.559] hub    engine > node 2: link down\n"
        "[  3.100] press  world  > the engine is killed; 7 of 7 entries were durable\n"
        "[  3.100] press  engine > boot\n"
        "[  3.100] press  engine > node_set\n"
        "[ 10.101] press  is back on the line\n"
        "[ 10.118] hub    engine > node 2: link up\n"
        "[ 10.118] hub    engine > lease 1: task 0 succeeded\n"
        "[ 10.118] hub    engine > lease 1 ended: done\n"
        "[ 10.118] press  engine > job 1 is forgotten: handed over to the hub\n";

static void hub_is_taken_over_and_its_child_is_not_disturbed(FILE *trace)
{
	struct fleet *f = drained(trace, 2 * SIM_S);

	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 2, .cpu = 4000});
	fleet_run_until(f, fleet_now_ns(f) + SIM_S / 2);
	fleet_take_over(f, 0, 6 * SIM_S);
	finish(f);
}
static const char hub_is_taken_over_and_its_child_is_not_disturbed_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] press  engine > link_set\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] press  engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] press  engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] press  node   > lease 1 starts\n"
        "[  0.600] hub    is lost, and the standby waits\n"
        "[  1.910] press  engine > lease 1: task 0 succeeded\n"
        "[  1.910] press  engine > lease 1 ended: done\n"
        "[  6.600] hub    has power again: another machine took over\n"
        "[  6.600] hub    world  > the keeper is killed, and the engine with it\n"
        "[  6.600] hub    world  > the engine is killed; 8 of 8 entries were durable\n"
        "[  6.600] hub    engine > boot\n"
        "[  6.600] hub    engine > node_set\n"
        "[  6.620] hub    engine > node 2: link up\n"
        "[  6.620] hub    engine > lease 1: task 0 succeeded\n"
        "[  6.620] hub    engine > lease 1 ended: done\n"
        "[  6.620] hub    engine > job 1 step 0: tasks 1-1 to node 2, lease 2\n"
        "[  6.620] press  engine > job 1 is forgotten: handed over to the hub\n"
        "[  6.620] press  engine > job 2 is the hub's lease 2, tasks from 1\n"
        "[  6.620] press  engine > job 2 step 0: tasks 0-0 to node 1, lease 2\n"
        "[  6.620] press  node   > lease 2 starts\n"
        "[  6.624] press  engine > lease 2: task 0 succeeded\n"
        "[  6.624] press  engine > lease 2 ended: done\n"
        "[  6.624] hub    engine > lease 2: task 1 succeeded\n"
        "[  6.624] hub    engine > lease 2 ended: done\n"
        "[  6.624] press  engine > job 2 is forgotten: handed over to the hub\n";

static void hub_that_restarts_asks_its_child_what_it_has(FILE *trace)
{
	struct fleet *f = drained(trace, 30 * SIM_MS);

	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 1});
	fleet_run_until(f, fleet_now_ns(f) + SIM_MS);
	fleet_kill(f, 0);
	finish(f);
}
static const char hub_that_restarts_asks_its_child_what_it_has_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] press  engine > link_set\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] press  engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] press  engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] press  node   > lease 1 starts\n"
        "[  0.101] hub    world  > the engine is killed; 8 of 8 entries were durable\n"
        "[  0.101] hub    engine > boot\n"
        "[  0.101] hub    engine > node_set\n"
        "[  0.120] press  engine > lease 1: task 0 succeeded\n"
        "[  0.120] press  engine > lease 1 ended: done\n"
        "[  0.120] hub    engine > node 2: link up\n"
        "[  0.121] hub    engine > lease 1: task 0 succeeded\n"
        "[  0.121] hub    engine > lease 1 ended: done\n"
        "[  0.121] press  engine > job 1 is forgotten: handed over to the hub\n";

static void frames_that_are_lost_and_doubled_change_nothing(FILE *trace)
{
	struct faults calm = {.task_ns_max = SIM_MS};
	struct fleet *f = drained(trace, SIM_MS);

	fleet_set(f, &calm, &(struct weather){.lose = 500, .twice = 500, .delay_ns_max = 5 * SIM_MS});
	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 1});
	fleet_run_until(f, fleet_now_ns(f) + 20 * SIM_S);
	fleet_set(f, &calm, &(struct weather){0});
	finish(f);
}
static const char frames_that_are_lost_and_doubled_change_nothing_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] press  engine > link_set\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.102] press  engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.102] press  engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.102] press  node   > lease 1 starts\n"
        "[  0.103] press  engine > lease 1: task 0 succeeded\n"
        "[  0.104] press  engine > lease 1 ended: done\n"
        "[  8.118] hub    engine > lease 1: task 0 succeeded\n"
        "[ 14.128] hub    engine > lease 1 ended: done\n"
        "[ 14.129] press  engine > job 1 is forgotten: handed over to the hub\n";

static void cancelled_job_is_stopped_at_the_child(FILE *trace)
{
	struct fleet *f = drained(trace, SIM_S);
	Wire__Principal root = WIRE__PRINCIPAL__INIT;
	struct command cmd = {.kind = CMD_CANCEL, .by = &root};

	cmd.u.job.job.v = story_submit(fleet_world(f, 0), &(struct plain){.tasks = 1});
	fleet_run_until(f, fleet_now_ns(f) + SIM_MS);
	world_command(fleet_world(f, 0), &cmd);
	finish(f);
}
static const char cancelled_job_is_stopped_at_the_child_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] press  engine > link_set\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] press  engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] press  engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] press  node   > lease 1 starts\n"
        "[  0.101] hub    engine > job_cancelled\n"
        "[  0.101] hub    engine > stop lease 1: cancelled\n"
        "[  0.101] press  engine > job_cancelled\n"
        "[  0.101] press  engine > stop lease 1: cancelled\n"
        "[  0.201] press  engine > lease 1 ended: cancelled\n"
        "[  0.201] hub    engine > lease 1 ended: cancelled\n"
        "[  0.201] press  engine > job 1 is forgotten: handed over to the hub\n";

static void preempted_task_at_a_child_runs_again(FILE *trace)
{
	struct fleet *f = drained(trace, SIM_S);

	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 1, .cpu = 3000});
	fleet_run_until(f, fleet_now_ns(f) + SIM_MS);
	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 1, .cpu = 2000, .realtime = true});
	finish(f);
}
static const char preempted_task_at_a_child_runs_again_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] press  engine > link_set\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] press  engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] press  engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] press  node   > lease 1 starts\n"
        "[  0.101] hub    engine > job 2 submitted\n"
        "[  0.101] hub    engine > stop lease 1: preempted\n"
        "[  0.101] press  engine > job_cancelled\n"
        "[  0.101] press  engine > stop lease 1: preempted\n"
        "[  0.201] press  engine > lease 1 ended: preempted\n"
        "[  0.201] hub    engine > lease 1 ended: preempted\n"
        "[  0.201] hub    engine > job 2 step 0: tasks 0-0 to node 2, lease 2\n"
        "[  0.201] press  engine > job 1 is forgotten: handed over to the hub\n"
        "[  0.201] press  engine > job 2 is the hub's lease 2, tasks from 0\n"
        "[  0.201] press  engine > job 2 step 0: tasks 0-0 to node 1, lease 2\n"
        "[  0.201] press  node   > lease 2 starts\n"
        "[  0.205] press  engine > lease 2: task 0 succeeded\n"
        "[  0.205] press  engine > lease 2 ended: done\n"
        "[  0.205] hub    engine > lease 2: task 0 succeeded\n"
        "[  0.205] hub    engine > lease 2 ended: done\n"
        "[  0.205] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 3\n"
        "[  0.205] press  engine > job 2 is forgotten: handed over to the hub\n"
        "[  0.205] press  engine > job 3 is the hub's lease 3, tasks from 0\n"
        "[  0.205] press  engine > job 3 step 0: tasks 0-0 to node 1, lease 3\n"
        "[  0.205] press  node   > lease 3 starts\n"
        "[  0.221] press  engine > lease 3: task 0 succeeded\n"
        "[  0.222] hub    engine > lease 3: task 0 succeeded\n"
        "[  0.222] press  engine > lease 3 ended: done\n"
        "[  0.222] hub    engine > lease 3 ended: done\n"
        "[  0.222] press  engine > job 3 is forgotten: handed over to the hub\n";

static void adjusted_priority_reaches_the_child(FILE *trace)
{
	struct fleet *f = drained(trace, SIM_S);
	Wire__JobAdjusted to = WIRE__JOB_ADJUSTED__INIT;
	struct command cmd = {.kind = CMD_ADJUST, .u.adjust = &to};

	to.job = story_submit(fleet_world(f, 0), &(struct plain){.tasks = 1});
	to.set = WIRE__JOB_ADJUSTED__FIELD__PRIORITY;
	to.priority = 90;
	fleet_run_until(f, fleet_now_ns(f) + SIM_MS);
	world_command(fleet_world(f, 0), &cmd);
	finish(f);
}
static const char adjusted_priority_reaches_the_child_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] press  engine > link_set\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] press  engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] press  engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] press  node   > lease 1 starts\n"
        "[  0.101] hub    engine > job_adjusted\n"
        "[  0.101] press  engine > job_adjusted\n"
        "[  0.881] press  engine > lease 1: task 0 succeeded\n"
        "[  0.881] hub    engine > lease 1: task 0 succeeded\n"
        "[  0.881] press  engine > lease 1 ended: done\n"
        "[  0.881] hub    engine > lease 1 ended: done\n"
        "[  0.881] press  engine > job 1 is forgotten: handed over to the hub\n";

static void hub_with_an_older_disk_is_refused(FILE *trace)
{
	struct fleet *f = drained(trace, SIM_MS);

	for (int i = 0; i < 2; i++) {
		(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 1});
		fleet_run_until(f, fleet_now_ns(f) + SIM_S / 10);
	}
	fleet_rollback(f, 0, 5);
	fleet_run_until(f, fleet_now_ns(f) + SIM_S);
	tell_link(f, trace);
	fleet_join(f, 1);
	world_node(fleet_world(f, 0), 1, WIRE__NODE_SET__STATE__UP, 4);
	finish(f);
}
static const char hub_with_an_older_disk_is_refused_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] press  engine > link_set\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] press  engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] press  engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] press  node   > lease 1 starts\n"
        "[  0.101] press  engine > lease 1: task 0 succeeded\n"
        "[  0.102] hub    engine > lease 1: task 0 succeeded\n"
        "[  0.102] press  engine > lease 1 ended: done\n"
        "[  0.102] hub    engine > lease 1 ended: done\n"
        "[  0.102] press  engine > job 1 is forgotten: handed over to the hub\n"
        "[  0.200] hub    engine > job 2 submitted\n"
        "[  0.200] hub    engine > job 2 step 0: tasks 0-0 to node 2, lease 2\n"
        "[  0.200] press  engine > job 2 is the hub's lease 2, tasks from 0\n"
        "[  0.200] press  engine > job 2 step 0: tasks 0-0 to node 1, lease 2\n"
        "[  0.200] press  node   > lease 2 starts\n"
        "[  0.203] press  engine > lease 2: task 0 succeeded\n"
        "[  0.203] press  engine > lease 2 ended: done\n"
        "[  0.203] hub    engine > lease 2: task 0 succeeded\n"
        "[  0.204] hub    engine > lease 2 ended: done\n"
        "[  0.204] press  engine > job 2 is forgotten: handed over to the hub\n"
        "[  0.300] hub    world  > its disk is what it was, with 9 of 14 entries\n"
        "[  0.300] hub    engine > boot\n"
        "[  0.300] hub    engine > node_set\n"
        "[  0.300] hub    engine > lease 1 ended: cancelled\n"
        "[  1.300] press  link   > refused: it has seen lease 2 of this hub, which has granted 1: the hub "
        "was restored from an old state\n"
        "[  1.300] press  joins again\n"
        "[  1.300] hub    engine > node_set\n"
        "[  1.300] press  engine > link_set\n"
        "[  1.300] hub    engine > node_set\n"
        "[  1.300] hub    engine > node_set\n"
        "[  1.300] hub    engine > node 2: link up\n";

static void child_with_an_older_disk_is_refused(FILE *trace)
{
	struct fleet *f = drained(trace, SIM_MS);

	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 1});
	fleet_run_until(f, fleet_now_ns(f) + SIM_S / 10);
	fleet_rollback(f, 1, 5);
	fleet_run_until(f, fleet_now_ns(f) + SIM_S);
	tell_link(f, trace);
	fleet_join(f, 1);
	fleet_run_until(f, fleet_now_ns(f) + SIM_S);
	tell_link(f, trace);
	finish(f);
}
static const char child_with_an_older_disk_is_refused_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] press  engine > link_set\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] press  engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] press  engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] press  node   > lease 1 starts\n"
        "[  0.101] press  engine > lease 1: task 0 succeeded\n"
        "[  0.102] hub    engine > lease 1: task 0 succeeded\n"
        "[  0.102] press  engine > lease 1 ended: done\n"
        "[  0.102] hub    engine > lease 1 ended: done\n"
        "[  0.102] press  engine > job 1 is forgotten: handed over to the hub\n"
        "[  0.200] press  world  > its disk is what it was, with 3 of 8 entries\n"
        "[  0.200] press  engine > boot\n"
        "[  0.200] press  engine > node_set\n"
        "[  0.200] hub    engine > node 2: link down\n"
        "[  1.200] press  link   > refused: its journal has 5 entries, and this hub has heard of 7: it was "
        "restored from an old state, or is a copy\n"
        "[  1.200] press  joins again\n"
        "[  1.200] hub    engine > node_set\n"
        "[  1.200] press  engine > link_set\n"
        "[  1.200] hub    engine > node_set\n"
        "[  1.200] hub    engine > node 2: link up\n"
        "[  2.200] press  link   > up\n";

static void hub_with_other_leases_under_the_same_numbers_is_refused(FILE *trace)
{
	struct fleet *f = drained(trace, SIM_MS);
	struct world *hub = fleet_world(f, 0);

	fleet_set(f, &(struct faults){.task_ns_max = 10 * SIM_S}, &(struct weather){0});
	(void)story_submit(hub, &(struct plain){.tasks = 2, .cpu = 2000});
	fleet_run_until(f, fleet_now_ns(f) + SIM_MS);
	fleet_cut(f, 1, true, true, UINT64_MAX);
	fleet_run_until(f, fleet_now_ns(f) + 3 * SIM_S);
	/* Job and lease are gone with the disk, and another job of the hub's own gets its number. */
	fleet_rollback(f, 0, 5);
	fleet_mend(f, 1);
	fleet_run_until(f, fleet_now_ns(f) + 5 * SIM_MS);
	world_node(fleet_world(f, 0), 1, WIRE__NODE_SET__STATE__UP, 4);
	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 2, .cpu = 2000});
	fleet_run_until(f, fleet_now_ns(f) + SIM_S / 10);
	tell_link(f, trace);
	fleet_join(f, 1);
	finish(f);
}
static const char hub_with_other_leases_under_the_same_numbers_is_refused_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] press  engine > link_set\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 1-1 to node 2, lease 2\n"
        "[  0.100] press  engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] press  engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] press  engine > job 2 is the hub's lease 2, tasks from 1\n"
        "[  0.100] press  engine > job 2 step 0: tasks 0-0 to node 1, lease 2\n"
        "[  0.100] press  node   > lease 1 starts\n"
        "[  0.100] press  node   > lease 2 starts\n"
        "[  0.101] press  is cut off\n"
        "[  0.104] press  engine > lease 2: task 0 succeeded\n"
        "[  0.104] press  engine > lease 2 ended: done\n"
        "[  0.700] hub    engine > node 2: link down\n"
        "[  1.934] press  engine > lease 1: task 0 succeeded\n"
        "[  1.934] press  engine > lease 1 ended: done\n"
        "[  3.101] hub    world  > its disk is what it was, with 5 of 10 entries\n"
        "[  3.101] hub    engine > boot\n"
        "[  3.101] hub    engine > node_set\n"
        "[  3.101] press  is back on the line\n"
        "[  3.106] hub    engine > node_set\n"
        "[  3.106] hub    engine > job 1 submitted\n"
        "[  3.106] hub    engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  3.106] hub    engine > job 1 step 0: tasks 1-1 to node 1, lease 2\n"
        "[  3.106] hub    node   > lease 1 starts\n"
        "[  3.106] hub    node   > lease 2 starts\n"
        "[  3.116] hub    engine > lease 2: task 1 succeeded\n"
        "[  3.116] hub    engine > lease 2 ended: done\n"
        "[  3.126] hub    engine > lease 1: task 0 succeeded\n"
        "[  3.126] hub    engine > lease 1 ended: done\n"
        "[  3.206] press  link   > refused: its lease 1 is another one at this hub: the hub was restored "
        "from an old state\n"
        "[  3.206] press  joins again\n"
        "[  3.206] hub    engine > node_set\n"
        "[  3.206] press  engine > link_set\n"
        "[  3.206] press  engine > job 1 is forgotten: its hub is not this node's any more\n"
        "[  3.206] press  engine > job 2 is forgotten: its hub is not this node's any more\n"
        "[  3.206] hub    engine > node_set\n"
        "[  3.206] hub    engine > node 2: link up\n";

/* A root, a site below it, and a press below that, one every tenth of a second. */
static void three_deep(struct fleet *f)
{
	static const char *const names[] = {"root", "site", "press"};

	for (uint32_t i = 0; i < 3; i++) {
		(void)fleet_add(f, names[i], i ? i - 1 : 0);
		fleet_run_until(f, fleet_now_ns(f) + SIM_S / 10);
	}
}

static void tree_may_be_three_deep(FILE *trace)
{
	struct faults calm = {.task_ns_max = SIM_MS};
	struct fleet *f = fleet_new(7, &calm, &(struct weather){0}, trace);

	three_deep(f);
	for (uint32_t i = 0; i < 2; i++)
		world_node(fleet_world(f, i), 1, WIRE__NODE_SET__STATE__DRAINED, 4);
	fleet_run_until(f, fleet_now_ns(f) + SIM_S / 10);
	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 1});
	finish(f);
}
static const char tree_may_be_three_deep_expect[] =
        "[  0.100] root   engine > node_set\n"
        "[  0.100] site   engine > link_set\n"
        "[  0.116] root   engine > node_set\n"
        "[  0.116] root   engine > node 2: link up\n"
        "[  0.200] site   engine > node_set\n"
        "[  0.200] press  engine > link_set\n"
        "[  0.200] root   engine > node_set\n"
        "[  0.204] site   engine > node_set\n"
        "[  0.204] site   engine > node 2: link up\n"
        "[  0.204] root   engine > node_set\n"
        "[  0.300] root   engine > node_set\n"
        "[  0.300] site   engine > node_set\n"
        "[  0.300] root   engine > node_set\n"
        "[  0.400] root   engine > job 1 submitted\n"
        "[  0.400] root   engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.400] site   engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.400] site   engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.400] press  engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.400] press  engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.400] press  node   > lease 1 starts\n"
        "[  0.401] press  engine > lease 1: task 0 succeeded\n"
        "[  0.401] press  engine > lease 1 ended: done\n"
        "[  0.401] site   engine > lease 1: task 0 succeeded\n"
        "[  0.402] root   engine > lease 1: task 0 succeeded\n"
        "[  0.402] site   engine > lease 1 ended: done\n"
        "[  0.402] root   engine > lease 1 ended: done\n"
        "[  0.402] press  engine > job 1 is forgotten: handed over to the hub\n"
        "[  0.402] site   engine > job 1 is forgotten: handed over to the hub\n";

/* The child's places are taken; what the next task takes in comes meanwhile, and the hub hears of it. */
static void file_of_the_next_task_comes_while_the_place_is_taken(FILE *trace)
{
	struct fleet *f = drained(trace, 10 * SIM_S);
	uint8_t digest[32] = {1, 2, 3};
	Wire__Input in = WIRE__INPUT__INIT;

	in.path = (char *)(uintptr_t) "data";
	in.blob = (ProtobufCBinaryData){32, digest};
	in.size_bytes = 1u << 30;
	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 1, .cpu = 4000});
	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 1, .cpu = 4000, .input = &in});
	finish(f);
}
static const char file_of_the_next_task_comes_while_the_place_is_taken_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] press  engine > link_set\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] hub    engine > job 2 submitted\n"
        "[  0.100] press  hears of files that may be needed: 1\n"
        "[  0.100] press  engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] press  engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] press  node   > lease 1 starts\n"
        "[  0.345] hub    engine > node_facts\n"
        "[  1.934] press  engine > lease 1: task 0 succeeded\n"
        "[  1.934] hub    engine > lease 1: task 0 succeeded\n"
        "[  1.934] press  engine > lease 1 ended: done\n"
        "[  1.934] hub    engine > lease 1 ended: done\n"
        "[  1.934] hub    engine > job 2 step 0: tasks 0-0 to node 2, lease 2\n"
        "[  1.935] press  engine > job 1 is forgotten: handed over to the hub\n"
        "[  1.935] press  engine > job 2 is the hub's lease 2, tasks from 0\n"
        "[  1.935] press  engine > job 2 step 0: tasks 0-0 to node 1, lease 2\n"
        "[  1.935] press  node   > lease 2 starts\n"
        "[  1.938] press  engine > lease 2: task 0 succeeded\n"
        "[  1.938] press  engine > lease 2 ended: done\n"
        "[  1.938] hub    engine > lease 2: task 0 succeeded\n"
        "[  1.938] hub    engine > lease 2 ended: done\n"
        "[  1.938] press  engine > job 2 is forgotten: handed over to the hub\n";

/* How much of its log the hub has cosigned, and whether that is what the log has. */
static void tell_log(struct fleet *f, FILE *trace)
{
	bool alarm;
	uint64_t n = fleet_cosigned(f, 1, &alarm);

	if (trace)
		(void)fprintf(trace, "[%7.3f] press  log    > %lu entries, %lu cosigned%s\n",
		        (double)fleet_now_ns(f) / 1e9, (unsigned long)fleet_size(f, 1), (unsigned long)n,
		        alarm ? ", and an alarm" : "");
}

static void log_of_an_older_disk_is_an_alarm(FILE *trace)
{
	struct fleet *f = drained(trace, SIM_MS);

	world_mute(fleet_world(f, 0), true);
	world_mute(fleet_world(f, 1), true);
	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 20, .cpu = 4000});
	fleet_run_until(f, 60 * SIM_S);
	(void)story_submit(fleet_world(f, 1), &(struct plain){.tasks = 1});
	fleet_run_until(f, 70 * SIM_S);
	tell_log(f, trace);
	fleet_rollback(f, 1, 50);
	fleet_run_until(f, 100 * SIM_S);
	fleet_join(f, 1);
	fleet_run(f, 100000);
	fleet_check_quiet(f);
	tell_log(f, trace);
	fleet_free(f);
}
static const char log_of_an_older_disk_is_an_alarm_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] press  engine > link_set\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[ 70.000] press  log    > 63 entries, 61 cosigned\n"
        "[100.000] press  joins again\n"
        "[600.100] press  log    > 31 entries, 61 cosigned, and an alarm\n";

/* What the site in the middle tells of those below it is told on; the root's lease says for which of them it is, and the third one waits for its
 * place although the site has room for it elsewhere. */
static void leaf_is_reached_by_its_label(FILE *trace)
{
	static char key[] = "class", even[] = "even";
	char *values[] = {even};
	Wire__Match m = WIRE__MATCH__INIT, *where = &m;
	Wire__Place p = WIRE__PLACE__INIT;
	struct faults calm = {.task_ns_max = SIM_S};
	struct fleet *f = fleet_new(7, &calm, &(struct weather){0}, trace);

	three_deep(f);
	world_class(fleet_world(f, 2), even, NULL);
	fleet_run_until(f, fleet_now_ns(f) + SIM_S / 10);
	m.key = key;
	m.values = values;
	m.n_values = 1;
	p.where = &where;
	p.n_where = 1;
	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 3, .cpu = 2000, .place = &p});
	finish(f);
}
static const char leaf_is_reached_by_its_label_expect[] =
        "[  0.100] root   engine > node_set\n"
        "[  0.100] site   engine > link_set\n"
        "[  0.116] root   engine > node_set\n"
        "[  0.116] root   engine > node 2: link up\n"
        "[  0.200] site   engine > node_set\n"
        "[  0.200] press  engine > link_set\n"
        "[  0.200] root   engine > node_set\n"
        "[  0.204] site   engine > node_set\n"
        "[  0.204] site   engine > node 2: link up\n"
        "[  0.204] root   engine > node_set\n"
        "[  0.300] press  engine > node_set\n"
        "[  0.300] site   engine > node_set\n"
        "[  0.300] root   engine > node_set\n"
        "[  0.400] root   engine > job 1 submitted\n"
        "[  0.400] root   engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.400] root   engine > job 1 step 0: tasks 1-1 to node 2, lease 2\n"
        "[  0.400] site   engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.400] site   engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.400] site   engine > job 2 is the hub's lease 2, tasks from 1\n"
        "[  0.400] site   engine > job 2 step 0: tasks 0-0 to node 2, lease 2\n"
        "[  0.400] press  engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.400] press  engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.400] press  engine > job 2 is the hub's lease 2, tasks from 0\n"
        "[  0.400] press  engine > job 2 step 0: tasks 0-0 to node 1, lease 2\n"
        "[  0.400] press  node   > lease 1 starts\n"
        "[  0.401] press  node   > lease 2 starts\n"
        "[  0.401] press  engine > lease 1: task 0 succeeded\n"
        "[  0.401] press  engine > lease 1 ended: done\n"
        "[  0.402] site   engine > lease 1: task 0 succeeded\n"
        "[  0.402] root   engine > lease 1: task 0 succeeded\n"
        "[  0.402] site   engine > lease 1 ended: done\n"
        "[  0.402] root   engine > lease 1 ended: done\n"
        "[  0.402] root   engine > job 1 step 0: tasks 2-2 to node 2, lease 3\n"
        "[  0.402] press  engine > job 1 is forgotten: handed over to the hub\n"
        "[  0.402] site   engine > job 1 is forgotten: handed over to the hub\n"
        "[  0.402] site   engine > job 3 is the hub's lease 3, tasks from 2\n"
        "[  0.402] site   engine > job 3 step 0: tasks 0-0 to node 2, lease 3\n"
        "[  0.402] press  engine > job 3 is the hub's lease 3, tasks from 0\n"
        "[  0.402] press  engine > job 3 step 0: tasks 0-0 to node 1, lease 3\n"
        "[  0.402] press  node   > lease 3 starts\n"
        "[  0.402] press  engine > lease 3: task 0 succeeded\n"
        "[  0.402] press  engine > lease 3 ended: done\n"
        "[  0.403] site   engine > lease 3: task 0 succeeded\n"
        "[  0.403] root   engine > lease 3: task 2 succeeded\n"
        "[  0.403] site   engine > lease 3 ended: done\n"
        "[  0.403] root   engine > lease 3 ended: done\n"
        "[  0.403] press  engine > job 3 is forgotten: handed over to the hub\n"
        "[  0.403] site   engine > job 3 is forgotten: handed over to the hub\n"
        "[  0.420] press  engine > lease 2: task 0 succeeded\n"
        "[  0.420] press  engine > lease 2 ended: done\n"
        "[  0.420] site   engine > lease 2: task 0 succeeded\n"
        "[  0.420] root   engine > lease 2: task 1 succeeded\n"
        "[  0.420] site   engine > lease 2 ended: done\n"
        "[  0.420] root   engine > lease 2 ended: done\n"
        "[  0.420] press  engine > job 2 is forgotten: handed over to the hub\n"
        "[  0.420] site   engine > job 2 is forgotten: handed over to the hub\n";

static const struct story all[] = {
        STORY(drained_hub_gives_all_to_its_child),
        STORY(cable_is_pulled_and_results_arrive_once),
        STORY(child_that_restarts_while_away_has_its_results),
        STORY(hub_is_taken_over_and_its_child_is_not_disturbed),
        STORY(hub_that_restarts_asks_its_child_what_it_has),
        STORY(frames_that_are_lost_and_doubled_change_nothing),
        STORY(cancelled_job_is_stopped_at_the_child),
        STORY(preempted_task_at_a_child_runs_again),
        STORY(adjusted_priority_reaches_the_child),
        STORY(hub_with_an_older_disk_is_refused),
        STORY(child_with_an_older_disk_is_refused),
        STORY(log_of_an_older_disk_is_an_alarm),
        STORY(hub_with_other_leases_under_the_same_numbers_is_refused),
        STORY(tree_may_be_three_deep),
        STORY(file_of_the_next_task_comes_while_the_place_is_taken),
        STORY(leaf_is_reached_by_its_label),
};

const struct story_book stories_fleet = {all, sizeof(all) / sizeof(all[0])};
