/* SPDX-License-Identifier: Apache-2.0 */
/* stories_disconnect - one day for every row of the table in docs/jobs.md, "disconnect". Two nodes; the second is cut off. */
#include "base/check.h"
#include "sim/story.h"

/* A task that takes a minute began on node 2, and node 2 is cut off after 10 s. */
static struct world *cut_off(FILE *trace, const struct plain *p)
{
	struct faults f = {.task_ns_max = 60 * SIM_S, .task_exact = true};
	struct world *w = world_new_fleet(7, &f, 2, trace);

	world_mute(w, true);
	world_run_until(w, SIM_S);
	world_node(w, 1, WIRE__NODE_SET__STATE__DRAINED, 4);
	world_mute(w, false);
	(void)story_submit(w, p);
	world_run_until(w, 2 * SIM_S);
	world_mute(w, true);
	world_node(w, 1, WIRE__NODE_SET__STATE__UP, 4);
	world_mute(w, false);
	world_run_until(w, 10 * SIM_S);
	world_cut(w, 2, 0);
	return w;
}

/* The same, and the cable is whole again at so many seconds. */
static void healed_at(FILE *trace, uint64_t s, const struct plain *p)
{
	struct world *w = cut_off(trace, p);

	world_run_until(w, s * SIM_S);
	world_heal(w, 2);
	story_finish(w);
}

static void back_in_time_nothing_happens(FILE *trace)
{
	healed_at(trace, 35, &(struct plain){.tasks = 1});
}

static void after_lost_keep_original(FILE *trace)
{
	healed_at(trace, 45, &(struct plain){.tasks = 1});
}

static void after_lost_keep_replacement(FILE *trace)
{
	healed_at(trace, 45,
	        &(struct plain){.tasks = 1, .reconcile = WIRE__DISCONNECT__RECONCILE__KEEP_REPLACEMENT});
}

static void after_lost_best_score(FILE *trace)
{
	healed_at(
	        trace, 45, &(struct plain){.tasks = 1, .reconcile = WIRE__DISCONNECT__RECONCILE__BEST_SCORE});
}

static void now_keep_original(FILE *trace)
{
	healed_at(trace, 20, &(struct plain){.tasks = 1, .replace = WIRE__DISCONNECT__REPLACE__NOW});
}

static void now_keep_replacement(FILE *trace)
{
	healed_at(trace, 20,
	        &(struct plain){.tasks = 1,
	                .replace = WIRE__DISCONNECT__REPLACE__NOW,
	                .reconcile = WIRE__DISCONNECT__RECONCILE__KEEP_REPLACEMENT});
}

static void now_best_score(FILE *trace)
{
	healed_at(trace, 20,
	        &(struct plain){.tasks = 1,
	                .replace = WIRE__DISCONNECT__REPLACE__NOW,
	                .reconcile = WIRE__DISCONNECT__RECONCILE__BEST_SCORE});
}

static void never_waits_for_days(FILE *trace)
{
	healed_at(trace, 200000, &(struct plain){.tasks = 1, .replace = WIRE__DISCONNECT__REPLACE__NEVER});
}

/* The node is as good as gone; what it did is not. */
static void what_was_done_alone_counts(FILE *trace)
{
	healed_at(trace, 75, &(struct plain){.tasks = 1});
}

static void who_comes_second_is_refused(FILE *trace)
{
	healed_at(trace, 200, &(struct plain){.tasks = 1});
}

static void what_nobody_took_up_goes_on(FILE *trace)
{
	struct world *w = cut_off(trace,
	        &(struct plain){.tasks = 1, .reconcile = WIRE__DISCONNECT__RECONCILE__KEEP_REPLACEMENT});

	world_node(w, 1, WIRE__NODE_SET__STATE__DRAINED, 4);
	world_run_until(w, 45 * SIM_S);
	world_heal(w, 2);
	story_finish(w);
}

/* It stops the task itself before anybody may begin it again: so it never runs twice at one time. */
static void stop_after_keeps_apart(FILE *trace)
{
	healed_at(trace, 45, &(struct plain){.tasks = 1, .stop_after_ns = 15 * SIM_S});
}

static void lost_task_that_must_not_run_again_fails(FILE *trace)
{
	healed_at(trace, 45, &(struct plain){.tasks = 1, .fails_on_loss = true});
}

static void cancelled_job_does_not_wait(FILE *trace)
{
	struct world *w = cut_off(trace, &(struct plain){.tasks = 1});
	struct command cmd = {.kind = CMD_CANCEL, .u.job = {.job = {1}}};

	world_run_until(w, 20 * SIM_S);
	world_command(w, &cmd);
	world_run_until(w, 30 * SIM_S);
	world_heal(w, 2);
	story_finish(w);
}

static void removed_node_gives_up_everything(FILE *trace)
{
	struct world *w =
	        cut_off(trace, &(struct plain){.tasks = 1, .replace = WIRE__DISCONNECT__REPLACE__NEVER});

	world_run_until(w, 20 * SIM_S);
	world_node(w, 2, WIRE__NODE_SET__STATE__LOST, 4);
	story_finish(w);
}

/* A hub that began anew gives its nodes time to come back: only then is `now` now. */
static void new_engine_is_not_a_lost_node(FILE *trace)
{
	struct faults f = {.task_ns_max = 20 * SIM_S, .task_exact = true};
	struct world *w = world_new_fleet(7, &f, 2, trace);

	world_mute(w, true);
	world_run_until(w, SIM_S);
	world_node(w, 1, WIRE__NODE_SET__STATE__DRAINED, 4);
	world_mute(w, false);
	(void)story_submit(w, &(struct plain){.tasks = 1, .replace = WIRE__DISCONNECT__REPLACE__NOW});
	world_run_until(w, 5 * SIM_S);
	world_kill_engine(w);
	story_finish(w);
}

static void all_three_know_of_the_task(FILE *trace)
{
	struct faults f = {.task_ns_max = 60 * SIM_S, .task_exact = true};
	struct world *w = world_new_fleet(7, &f, 3, trace);

	world_mute(w, true);
	world_run_until(w, SIM_S);
	world_node(w, 1, WIRE__NODE_SET__STATE__DRAINED, 4);
	world_mute(w, false);
	(void)story_submit(w, &(struct plain){.tasks = 1, .replace = WIRE__DISCONNECT__REPLACE__NOW});
	world_run_until(w, 10 * SIM_S);
	world_cut(w, 2, 0);
	world_run_until(w, 20 * SIM_S);
	world_cut(w, 3, 0);
	world_node(w, 1, WIRE__NODE_SET__STATE__UP, 4);
	world_run_until(w, 30 * SIM_S);
	world_heal(w, 3);
	world_run_until(w, 40 * SIM_S);
	world_heal(w, 2);
	story_finish(w);
}

static const char back_in_time_nothing_happens_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  1.000] engine > job 1 submitted\n"
        "[  1.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  1.000] node   > lease 1 starts\n"
        "[ 10.000] world  > the cable to node 2 is cut\n"
        "[ 10.000] engine > node 2: link down\n"
        "[ 35.000] world  > the cable to node 2 is whole again\n"
        "[ 35.000] engine > node 2: link up\n"
        "[ 35.001] world  > node 2 is back\n"
        "[ 61.000] engine > lease 1: task 0 succeeded\n"
        "[ 61.001] engine > lease 1 ended: done\n";

static const char after_lost_keep_original_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  1.000] engine > job 1 submitted\n"
        "[  1.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  1.000] node   > lease 1 starts\n"
        "[ 10.000] world  > the cable to node 2 is cut\n"
        "[ 10.000] engine > node 2: link down\n"
        "[ 40.000] engine > lease 1 is parked: its tasks wait again\n"
        "[ 40.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 2\n"
        "[ 40.000] node   > lease 2 starts\n"
        "[ 45.000] world  > the cable to node 2 is whole again\n"
        "[ 45.000] engine > node 2: link up\n"
        "[ 45.000] engine > lease 1 has its tasks again\n"
        "[ 45.000] engine > ... and lease 2 is to stop\n"
        "[ 45.000] engine > stop lease 2: superseded\n"
        "[ 45.001] world  > node 2 is back\n"
        "[ 45.100] engine > lease 2 ended: superseded\n"
        "[ 61.000] engine > lease 1: task 0 succeeded\n"
        "[ 61.000] engine > lease 1 ended: done\n";

static const char after_lost_keep_replacement_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  1.000] engine > job 1 submitted\n"
        "[  1.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  1.000] node   > lease 1 starts\n"
        "[ 10.000] world  > the cable to node 2 is cut\n"
        "[ 10.000] engine > node 2: link down\n"
        "[ 40.000] engine > lease 1 is parked: its tasks wait again\n"
        "[ 40.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 2\n"
        "[ 40.000] node   > lease 2 starts\n"
        "[ 45.000] world  > the cable to node 2 is whole again\n"
        "[ 45.000] engine > node 2: link up\n"
        "[ 45.000] engine > lease 1 has its tasks again\n"
        "[ 45.000] engine > ... and lease 1 is to stop\n"
        "[ 45.000] engine > stop lease 1: superseded\n"
        "[ 45.001] world  > node 2 is back\n"
        "[ 45.101] engine > lease 1 ended: superseded\n"
        "[100.000] engine > lease 2: task 0 succeeded\n"
        "[100.000] engine > lease 2 ended: done\n";

static const char after_lost_best_score_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  1.000] engine > job 1 submitted\n"
        "[  1.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  1.000] node   > lease 1 starts\n"
        "[ 10.000] world  > the cable to node 2 is cut\n"
        "[ 10.000] engine > node 2: link down\n"
        "[ 40.000] engine > lease 1 is parked: its tasks wait again\n"
        "[ 40.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 2\n"
        "[ 40.000] node   > lease 2 starts\n"
        "[ 45.000] world  > the cable to node 2 is whole again\n"
        "[ 45.000] engine > node 2: link up\n"
        "[ 45.000] engine > lease 1 has its tasks again\n"
        "[ 45.000] engine > ... and lease 2 is to stop\n"
        "[ 45.000] engine > stop lease 2: superseded\n"
        "[ 45.001] world  > node 2 is back\n"
        "[ 45.100] engine > lease 2 ended: superseded\n"
        "[ 61.000] engine > lease 1: task 0 succeeded\n"
        "[ 61.000] engine > lease 1 ended: done\n";

static const char now_keep_original_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  1.000] engine > job 1 submitted\n"
        "[  1.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  1.000] node   > lease 1 starts\n"
        "[ 10.000] world  > the cable to node 2 is cut\n"
        "[ 10.000] engine > node 2: link down\n"
        "[ 10.000] engine > lease 1 is parked: its tasks wait again\n"
        "[ 10.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 2\n"
        "[ 10.000] node   > lease 2 starts\n"
        "[ 20.000] world  > the cable to node 2 is whole again\n"
        "[ 20.000] engine > node 2: link up\n"
        "[ 20.000] engine > lease 1 has its tasks again\n"
        "[ 20.000] engine > ... and lease 2 is to stop\n"
        "[ 20.000] engine > stop lease 2: superseded\n"
        "[ 20.001] world  > node 2 is back\n"
        "[ 20.099] engine > lease 2 ended: superseded\n"
        "[ 61.001] engine > lease 1: task 0 succeeded\n"
        "[ 61.001] engine > lease 1 ended: done\n";

static const char now_keep_replacement_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  1.000] engine > job 1 submitted\n"
        "[  1.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  1.000] node   > lease 1 starts\n"
        "[ 10.000] world  > the cable to node 2 is cut\n"
        "[ 10.000] engine > node 2: link down\n"
        "[ 10.000] engine > lease 1 is parked: its tasks wait again\n"
        "[ 10.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 2\n"
        "[ 10.000] node   > lease 2 starts\n"
        "[ 20.000] world  > the cable to node 2 is whole again\n"
        "[ 20.000] engine > node 2: link up\n"
        "[ 20.000] engine > lease 1 has its tasks again\n"
        "[ 20.000] engine > ... and lease 1 is to stop\n"
        "[ 20.000] engine > stop lease 1: superseded\n"
        "[ 20.001] world  > node 2 is back\n"
        "[ 20.100] engine > lease 1 ended: superseded\n"
        "[ 70.000] engine > lease 2: task 0 succeeded\n"
        "[ 70.000] engine > lease 2 ended: done\n";

static const char now_best_score_expect[] = "[  0.000] engine > boot\n"
                                            "[  0.000] engine > node_set\n"
                                            "[  0.000] engine > node_set\n"
                                            "[  0.000] engine > node_set\n"
                                            "[  1.000] engine > job 1 submitted\n"
                                            "[  1.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
                                            "[  1.000] node   > lease 1 starts\n"
                                            "[ 10.000] world  > the cable to node 2 is cut\n"
                                            "[ 10.000] engine > node 2: link down\n"
                                            "[ 10.000] engine > lease 1 is parked: its tasks wait again\n"
                                            "[ 10.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 2\n"
                                            "[ 10.000] node   > lease 2 starts\n"
                                            "[ 20.000] world  > the cable to node 2 is whole again\n"
                                            "[ 20.000] engine > node 2: link up\n"
                                            "[ 20.000] engine > lease 1 has its tasks again\n"
                                            "[ 20.000] engine > ... and lease 2 is to stop\n"
                                            "[ 20.000] engine > stop lease 2: superseded\n"
                                            "[ 20.001] world  > node 2 is back\n"
                                            "[ 20.099] engine > lease 2 ended: superseded\n"
                                            "[ 61.001] engine > lease 1: task 0 succeeded\n"
                                            "[ 61.001] engine > lease 1 ended: done\n";

static const char never_waits_for_days_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  1.000] engine > job 1 submitted\n"
        "[  1.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  1.000] node   > lease 1 starts\n"
        "[ 10.000] world  > the cable to node 2 is cut\n"
        "[ 10.000] engine > node 2: link down\n"
        "[200000.000] world  > the cable to node 2 is whole again\n"
        "[200000.000] engine > node 2: link up\n"
        "[200000.001] world  > node 2 is back\n"
        "[200000.001] engine > lease 1: task 0 succeeded\n"
        "[200000.001] engine > lease 1 ended: done\n";

static const char what_was_done_alone_counts_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  1.000] engine > job 1 submitted\n"
        "[  1.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  1.000] node   > lease 1 starts\n"
        "[ 10.000] world  > the cable to node 2 is cut\n"
        "[ 10.000] engine > node 2: link down\n"
        "[ 40.000] engine > lease 1 is parked: its tasks wait again\n"
        "[ 40.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 2\n"
        "[ 40.000] node   > lease 2 starts\n"
        "[ 75.000] world  > the cable to node 2 is whole again\n"
        "[ 75.000] engine > node 2: link up\n"
        "[ 75.000] engine > lease 1 has its tasks again\n"
        "[ 75.000] engine > ... and lease 2 is to stop\n"
        "[ 75.000] engine > stop lease 2: superseded\n"
        "[ 75.001] world  > node 2 is back\n"
        "[ 75.001] engine > lease 1: task 0 succeeded\n"
        "[ 75.001] engine > lease 1 ended: done\n"
        "[ 75.100] engine > lease 2 ended: superseded\n";

static const char who_comes_second_is_refused_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  1.000] engine > job 1 submitted\n"
        "[  1.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  1.000] node   > lease 1 starts\n"
        "[ 10.000] world  > the cable to node 2 is cut\n"
        "[ 10.000] engine > node 2: link down\n"
        "[ 40.000] engine > lease 1 is parked: its tasks wait again\n"
        "[ 40.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 2\n"
        "[ 40.000] node   > lease 2 starts\n"
        "[100.000] engine > lease 2: task 0 succeeded\n"
        "[100.001] engine > lease 2 ended: done\n"
        "[200.000] world  > the cable to node 2 is whole again\n"
        "[200.000] engine > node 2: link up\n"
        "[200.000] engine > lease 1 is overtaken\n"
        "[200.001] world  > node 2 is back\n"
        "[200.001] engine > lease 1: task 0 came late, refused\n"
        "[200.001] engine > lease 1 ended: superseded\n";

static const char what_nobody_took_up_goes_on_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  1.000] engine > job 1 submitted\n"
        "[  1.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  1.000] node   > lease 1 starts\n"
        "[ 10.000] world  > the cable to node 2 is cut\n"
        "[ 10.000] engine > node_set\n"
        "[ 10.000] engine > node 2: link down\n"
        "[ 40.000] engine > lease 1 is parked: its tasks wait again\n"
        "[ 45.000] world  > the cable to node 2 is whole again\n"
        "[ 45.000] engine > node 2: link up\n"
        "[ 45.000] engine > lease 1 has its tasks again\n"
        "[ 45.001] world  > node 2 is back\n"
        "[ 61.001] engine > lease 1: task 0 succeeded\n"
        "[ 61.001] engine > lease 1 ended: done\n";

static const char stop_after_keeps_apart_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  1.000] engine > job 1 submitted\n"
        "[  1.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  1.000] node   > lease 1 starts\n"
        "[ 10.000] world  > the cable to node 2 is cut\n"
        "[ 10.000] engine > node 2: link down\n"
        "[ 25.000] node   > lease 1 stopped: node 2 has been alone for too long\n"
        "[ 40.000] engine > lease 1 is parked: its tasks wait again\n"
        "[ 40.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 2\n"
        "[ 40.000] node   > lease 2 starts\n"
        "[ 45.000] world  > the cable to node 2 is whole again\n"
        "[ 45.000] engine > node 2: link up\n"
        "[ 45.000] engine > lease 1 has its tasks again\n"
        "[ 45.000] engine > ... and lease 1 is to stop\n"
        "[ 45.000] engine > stop lease 1: superseded\n"
        "[ 45.001] world  > node 2 is back\n"
        "[ 45.002] engine > lease 1 ended: superseded\n"
        "[100.000] engine > lease 2: task 0 succeeded\n"
        "[100.000] engine > lease 2 ended: done\n";

static const char lost_task_that_must_not_run_again_fails_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  1.000] engine > job 1 submitted\n"
        "[  1.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  1.000] node   > lease 1 starts\n"
        "[ 10.000] world  > the cable to node 2 is cut\n"
        "[ 10.000] engine > node 2: link down\n"
        "[ 40.000] engine > lease 1 ended: node_lost\n"
        "[ 45.000] world  > the cable to node 2 is whole again\n"
        "[ 45.000] engine > node 2: link up\n"
        "[ 45.001] world  > node 2 is back\n"
        "[ 45.001] node   > lease 1 is nobody's any more\n";

static const char cancelled_job_does_not_wait_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  1.000] engine > job 1 submitted\n"
        "[  1.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  1.000] node   > lease 1 starts\n"
        "[ 10.000] world  > the cable to node 2 is cut\n"
        "[ 10.000] engine > node 2: link down\n"
        "[ 20.000] engine > job_cancelled\n"
        "[ 20.000] engine > lease 1 ended: cancelled\n"
        "[ 30.000] world  > the cable to node 2 is whole again\n"
        "[ 30.000] engine > node 2: link up\n"
        "[ 30.001] world  > node 2 is back\n"
        "[ 30.001] node   > lease 1 is nobody's any more\n";

static const char removed_node_gives_up_everything_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  1.000] engine > job 1 submitted\n"
        "[  1.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  1.000] node   > lease 1 starts\n"
        "[ 10.000] world  > the cable to node 2 is cut\n"
        "[ 10.000] engine > node 2: link down\n"
        "[ 20.000] engine > node_set\n"
        "[ 20.000] engine > lease 1 ended: node_lost\n"
        "[ 20.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 2\n"
        "[ 20.000] node   > lease 2 starts\n"
        "[ 80.000] engine > lease 2: task 0 succeeded\n"
        "[ 80.001] engine > lease 2 ended: done\n";

static const char new_engine_is_not_a_lost_node_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  1.000] engine > job 1 submitted\n"
        "[  1.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  1.000] node   > lease 1 starts\n"
        "[  5.000] world  > the engine is killed; 8 of 8 entries were durable\n"
        "[  5.000] engine > boot\n"
        "[  5.000] engine > node_set\n"
        "[  5.000] engine > node_set\n"
        "[  5.235] engine > node 2: link up\n"
        "[  5.236] world  > node 2 is back\n"
        "[ 21.001] engine > lease 1: task 0 succeeded\n"
        "[ 21.001] engine > lease 1 ended: done\n";

static const char all_three_know_of_the_task_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  1.000] engine > job 1 submitted\n"
        "[  1.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  1.000] node   > lease 1 starts\n"
        "[ 10.000] world  > the cable to node 2 is cut\n"
        "[ 10.000] engine > node 2: link down\n"
        "[ 10.000] engine > lease 1 is parked: its tasks wait again\n"
        "[ 10.000] engine > job 1 step 0: tasks 0-0 to node 3, lease 2\n"
        "[ 10.000] node   > lease 2 starts\n"
        "[ 20.000] world  > the cable to node 3 is cut\n"
        "[ 20.000] engine > node_set\n"
        "[ 20.000] engine > node 3: link down\n"
        "[ 20.000] engine > lease 2 is parked: its tasks wait again\n"
        "[ 20.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 3\n"
        "[ 20.000] node   > lease 3 starts\n"
        "[ 30.000] world  > the cable to node 3 is whole again\n"
        "[ 30.000] engine > node 3: link up\n"
        "[ 30.000] engine > lease 2 has its tasks again\n"
        "[ 30.000] engine > ... and lease 3 is to stop\n"
        "[ 30.000] engine > stop lease 3: superseded\n"
        "[ 30.001] world  > node 3 is back\n"
        "[ 30.100] engine > lease 3 ended: superseded\n"
        "[ 40.000] world  > the cable to node 2 is whole again\n"
        "[ 40.000] engine > node 2: link up\n"
        "[ 40.000] engine > lease 1 has its tasks again\n"
        "[ 40.000] engine > ... and lease 2 is to stop\n"
        "[ 40.000] engine > stop lease 2: superseded\n"
        "[ 40.001] world  > node 2 is back\n"
        "[ 40.025] engine > lease 2 ended: superseded\n"
        "[ 61.001] engine > lease 1: task 0 succeeded\n"
        "[ 61.001] engine > lease 1 ended: done\n";

static const struct story stories[] = {
        STORY(back_in_time_nothing_happens),
        STORY(after_lost_keep_original),
        STORY(after_lost_keep_replacement),
        STORY(after_lost_best_score),
        STORY(now_keep_original),
        STORY(now_keep_replacement),
        STORY(now_best_score),
        STORY(never_waits_for_days),
        STORY(what_was_done_alone_counts),
        STORY(who_comes_second_is_refused),
        STORY(what_nobody_took_up_goes_on),
        STORY(stop_after_keeps_apart),
        STORY(lost_task_that_must_not_run_again_fails),
        STORY(cancelled_job_does_not_wait),
        STORY(removed_node_gives_up_everything),
        STORY(new_engine_is_not_a_lost_node),
        STORY(all_three_know_of_the_task),
};

const struct story_book stories_disconnect = {stories, ARRAY_LEN(stories)};
