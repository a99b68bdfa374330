/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stories_alone - `stop_after` with every row of the table in docs/jobs.md, "disconnect", over a real link: a machine that was cut off stops what it
 * runs by itself. See story.h and fleet.h.
 */
#include "base/check.h"
#include "sim/fleet.h"
#include "sim/story.h"

#define CUT_AT 10

/* A task that takes a minute began on the machine 'press', which is cut off after 10 s, stops it 5 s later, and is back at so many seconds. */
static void cut_off(FILE *trace, uint64_t back_s, const struct plain *p)
{
	struct faults f = {.task_ns_max = 60 * SIM_S, .task_exact = true};
	struct weather fair = {.delay_ns_max = 0};
	struct fleet *t = fleet_new(7, &f, &fair, trace);
	struct plain job = *p;

	job.tasks = 1;
	job.stop_after_ns = 5 * SIM_S;
	(void)fleet_add(t, "hub", 0);
	world_mute(fleet_world(t, 0), true);
	(void)fleet_add(t, "press", 0);
	fleet_run_until(t, SIM_S);
	world_node(fleet_world(t, 0), 1, WIRE__NODE_SET__STATE__DRAINED, 4);
	world_mute(fleet_world(t, 0), false);
	(void)story_submit(fleet_world(t, 0), &job);
	fleet_run_until(t, 2 * SIM_S);
	world_mute(fleet_world(t, 0), true);
	world_node(fleet_world(t, 0), 1, WIRE__NODE_SET__STATE__UP, 4);
	world_mute(fleet_world(t, 0), false);
	fleet_run_until(t, CUT_AT * SIM_S);
	fleet_cut(t, 1, true, true, (back_s - CUT_AT) * SIM_S);
	fleet_run(t, 100000);
	fleet_check_quiet(t);
	fleet_free(t);
}

static void alone_after_lost_keep_original(FILE *trace)
{
	cut_off(trace, 50, &(struct plain){.reconcile = WIRE__DISCONNECT__RECONCILE__KEEP_ORIGINAL});
}

static void alone_after_lost_keep_replacement(FILE *trace)
{
	cut_off(trace, 50, &(struct plain){.reconcile = WIRE__DISCONNECT__RECONCILE__KEEP_REPLACEMENT});
}

static void alone_after_lost_best_score(FILE *trace)
{
	cut_off(trace, 50, &(struct plain){.reconcile = WIRE__DISCONNECT__RECONCILE__BEST_SCORE});
}

static void alone_now_keep_original(FILE *trace)
{
	cut_off(trace, 30, &(struct plain){.replace = WIRE__DISCONNECT__REPLACE__NOW});
}

static void alone_now_keep_replacement(FILE *trace)
{
	cut_off(trace, 30,
	        &(struct plain){.replace = WIRE__DISCONNECT__REPLACE__NOW,
	                .reconcile = WIRE__DISCONNECT__RECONCILE__KEEP_REPLACEMENT});
}

static void alone_now_best_score(FILE *trace)
{
	cut_off(trace, 30,
	        &(struct plain){.replace = WIRE__DISCONNECT__REPLACE__NOW,
	                .reconcile = WIRE__DISCONNECT__RECONCILE__BEST_SCORE});
}

static void alone_never_waits_for_days(FILE *trace)
{
	cut_off(trace, 200000, &(struct plain){.replace = WIRE__DISCONNECT__REPLACE__NEVER});
}

/* It is back before that: nothing is stopped. */
static void alone_for_less_than_that(FILE *trace)
{
	cut_off(trace, 14, &(struct plain){.tasks = 1});
}

/* It is back after that, and before anybody took its place: then the task begins anew. */
static void alone_and_back_before_it_is_lost(FILE *trace)
{
	cut_off(trace, 25, &(struct plain){.tasks = 1});
}

/* ---- what is said; parts that several stories have in common first ---- */

#define BEGINS_THERE                                                                                         \
	"[  0.000] press  engine > link_set\n"                                                               \
	"[  1.000] hub    engine > job 1 submitted\n"                                                        \
	"[  1.000] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"                             \
	"[  1.000] press  engine > job 1 is the hub's lease 1, tasks from 0\n"                               \
	"[  1.000] press  engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"                             \
	"[  1.000] press  node   > lease 1 starts\n"                                                         \
	"[ 10.000] press  is cut off\n"                                                                      \
	"[ 10.599] hub    engine > node 2: link down\n"

#define STOPS_THERE                                                                                          \
	"[ 10.953] press  engine > node 0: link down\n"                                                      \
	"[ 15.953] press  engine > expired\n"                                                                \
	"[ 15.953] press  engine > stop lease 1: cancelled\n"                                                \
	"[ 15.989] press  engine > lease 1 ended: cancelled\n"

/* A task that another machine has begun: whoever is kept by `reconcile`, what was stopped has nothing to keep. */
#define BEGUN_ELSEWHERE_AFTER_LOST                                                                           \
	BEGINS_THERE                                                                                         \
	STOPS_THERE                                                                                          \
	"[ 40.599] hub    engine > lease 1 is parked: its tasks wait again\n"                                \
	"[ 40.599] hub    engine > job 1 step 0: tasks 0-0 to node 1, lease 2\n"                             \
	"[ 40.599] hub    node   > lease 2 starts\n"                                                         \
	"[ 50.000] press  is back on the line\n"                                                             \
	"[ 50.014] hub    engine > node 2: link up\n"                                                        \
	"[ 50.014] hub    engine > lease 1 has its tasks again\n"                                            \
	"[ 50.014] hub    engine > ... and lease 1 is to stop\n"                                             \
	"[ 50.014] hub    engine > stop lease 1: superseded\n"                                               \
	"[ 50.015] press  engine > node 0: link up\n"                                                        \
	"[ 50.015] hub    engine > lease 1 ended: superseded\n"                                              \
	"[ 50.015] press  engine > job 1 is forgotten: handed over to the hub\n"                             \
	"[100.600] hub    engine > lease 2: task 0 succeeded\n"                                              \
	"[100.600] hub    engine > lease 2 ended: done\n"

#define BEGUN_ELSEWHERE_NOW                                                                                  \
	BEGINS_THERE                                                                                         \
	"[ 10.599] hub    engine > lease 1 is parked: its tasks wait again\n"                                \
	"[ 10.599] hub    engine > job 1 step 0: tasks 0-0 to node 1, lease 2\n"                             \
	"[ 10.599] hub    node   > lease 2 starts\n" STOPS_THERE "[ 30.000] press  is back on the line\n"    \
	"[ 30.020] hub    engine > node 2: link up\n"                                                        \
	"[ 30.020] hub    engine > lease 1 has its tasks again\n"                                            \
	"[ 30.020] hub    engine > ... and lease 1 is to stop\n"                                             \
	"[ 30.020] hub    engine > stop lease 1: superseded\n"                                               \
	"[ 30.020] press  engine > node 0: link up\n"                                                        \
	"[ 30.020] hub    engine > lease 1 ended: superseded\n"                                              \
	"[ 30.020] press  engine > job 1 is forgotten: handed over to the hub\n"                             \
	"[ 70.600] hub    engine > lease 2: task 0 succeeded\n"                                              \
	"[ 70.600] hub    engine > lease 2 ended: done\n"

static const char alone_after_lost_keep_original_expect[] = BEGUN_ELSEWHERE_AFTER_LOST;
static const char alone_after_lost_keep_replacement_expect[] = BEGUN_ELSEWHERE_AFTER_LOST;
static const char alone_after_lost_best_score_expect[] = BEGUN_ELSEWHERE_AFTER_LOST;
static const char alone_now_keep_original_expect[] = BEGUN_ELSEWHERE_NOW;
static const char alone_now_keep_replacement_expect[] = BEGUN_ELSEWHERE_NOW;
static const char alone_now_best_score_expect[] = BEGUN_ELSEWHERE_NOW;

static const char alone_never_waits_for_days_expect[] =
        BEGINS_THERE STOPS_THERE "[200000.000] press  is back on the line\n"
                                 "[200000.020] hub    engine > node 2: link up\n"
                                 "[200000.020] press  engine > node 0: link up\n"
                                 "[200000.020] hub    engine > lease 1 ended: cancelled\n"
                                 "[200000.020] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 2\n"
                                 "[200000.020] press  engine > job 1 is forgotten: handed over to the hub\n"
                                 "[200001.020] press  engine > job 2 is the hub's lease 2, tasks from 0\n"
                                 "[200001.020] press  engine > job 2 step 0: tasks 0-0 to node 1, lease 2\n"
                                 "[200001.020] press  node   > lease 2 starts\n"
                                 "[200061.020] press  engine > lease 2: task 0 succeeded\n"
                                 "[200061.020] press  engine > lease 2 ended: done\n"
                                 "[200061.020] hub    engine > lease 2: task 0 succeeded\n"
                                 "[200061.020] hub    engine > lease 2 ended: done\n"
                                 "[200061.021] press  engine > job 2 is forgotten: handed over to the hub\n";

static const char alone_for_less_than_that_expect[] =
        BEGINS_THERE "[ 10.953] press  engine > node 0: link down\n"
                     "[ 14.000] press  is back on the line\n"
                     "[ 14.008] hub    engine > node 2: link up\n"
                     "[ 14.008] press  engine > node 0: link up\n"
                     "[ 61.000] press  engine > lease 1: task 0 succeeded\n"
                     "[ 61.000] press  engine > lease 1 ended: done\n"
                     "[ 61.001] hub    engine > lease 1: task 0 succeeded\n"
                     "[ 61.001] hub    engine > lease 1 ended: done\n"
                     "[ 61.001] press  engine > job 1 is forgotten: handed over to the hub\n";

static const char alone_and_back_before_it_is_lost_expect[] =
        BEGINS_THERE STOPS_THERE "[ 25.000] press  is back on the line\n"
                                 "[ 25.020] hub    engine > node 2: link up\n"
                                 "[ 25.020] press  engine > node 0: link up\n"
                                 "[ 25.020] hub    engine > lease 1 ended: cancelled\n"
                                 "[ 25.020] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 2\n"
                                 "[ 25.020] press  engine > job 1 is forgotten: handed over to the hub\n"
                                 "[ 26.020] press  engine > job 2 is the hub's lease 2, tasks from 0\n"
                                 "[ 26.020] press  engine > job 2 step 0: tasks 0-0 to node 1, lease 2\n"
                                 "[ 26.020] press  node   > lease 2 starts\n"
                                 "[ 86.020] press  engine > lease 2: task 0 succeeded\n"
                                 "[ 86.020] press  engine > lease 2 ended: done\n"
                                 "[ 86.020] hub    engine > lease 2: task 0 succeeded\n"
                                 "[ 86.021] hub    engine > lease 2 ended: done\n"
                                 "[ 86.021] press  engine > job 2 is forgotten: handed over to the hub\n";

static const struct story stories[] = {
        STORY(alone_after_lost_keep_original),
        STORY(alone_after_lost_keep_replacement),
        STORY(alone_after_lost_best_score),
        STORY(alone_now_keep_original),
        STORY(alone_now_keep_replacement),
        STORY(alone_now_best_score),
        STORY(alone_never_waits_for_days),
        STORY(alone_for_less_than_that),
        STORY(alone_and_back_before_it_is_lost),
};

const struct story_book stories_alone = {stories, ARRAY_LEN(stories)};
