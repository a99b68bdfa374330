/* SPDX-License-Identifier: Apache-2.0 */
/* stories_commit - replicas on machines that have joined a hub: they commit before any of them tells; see story.h and fleet.h. */
#include "sim/fleet.h"
#include "sim/story.h"

static void finish(struct fleet *f)
{
	fleet_run(f, 100000);
	fleet_check_quiet(f);
	fleet_free(f);
}

/* Machines that take one replica each; their hub takes none. */
static struct fleet *voters(FILE *trace, uint32_t n)
{
	static const char *const names[] = {"hub", "a", "b", "c"};
	struct faults calm = {.task_ns_max = SIM_MS};
	struct fleet *f = fleet_new(7, &calm, &(struct weather){0}, trace);

	for (uint32_t i = 0; i <= n; i++)
		(void)fleet_add(f, names[i], 0);
	fleet_run_until(f, SIM_S / 10);
	world_node(fleet_world(f, 0), 1, WIRE__NODE_SET__STATE__DRAINED, 4);
	return f;
}

static void ask_all(struct fleet *f, uint32_t replicas)
{
	(void)story_submit(fleet_world(f, 0), &(struct plain){.tasks = 1, .cpu = 4000, .replicas = replicas});
}

static void tell_and_finish(struct fleet *f)
{
	fleet_run(f, 100000);
	world_tell(fleet_world(f, 0), 1, 0, 0);
	finish(f);
}

static void children_commit_before_any_of_them_tells(FILE *trace)
{
	struct fleet *f = voters(trace, 2);

	ask_all(f, 2);
	tell_and_finish(f);
}
static const char children_commit_before_any_of_them_tells_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] a      engine > link_set\n"
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] b      engine > link_set\n"
        "[  0.014] hub    engine > node_set\n"
        "[  0.014] hub    engine > node 3: link up\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 3, lease 2\n"
        "[  0.100] a      engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] a      engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] b      engine > job 1 is the hub's lease 2, tasks from 0\n"
        "[  0.100] b      engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] a      node   > lease 1 starts\n"
        "[  0.100] b      node   > lease 1 starts\n"
        "[  0.101] b      engine > lease 1: task 0 succeeded\n"
        "[  0.101] b      engine > lease 1 ended: done\n"
        "[  0.101] hub    engine > lease 2: task 0 committed\n"
        "[  0.101] a      engine > lease 1: task 0 succeeded\n"
        "[  0.102] hub    engine > lease 1: task 0 committed\n"
        "[  0.102] hub    engine > lease 1: task 0 succeeded\n"
        "[  0.102] hub    engine > lease 2: task 0 succeeded\n"
        "[  0.102] a      engine > lease 1 ended: done\n"
        "[  0.102] hub    engine > lease 1 ended: done\n"
        "[  0.102] hub    engine > lease 2 ended: done\n"
        "[  0.102] a      engine > job 1 is forgotten: handed over to the hub\n"
        "[  0.102] b      engine > job 1 is forgotten: handed over to the hub\n"
        "[  2.016] hub    votes  > task 0: node 2 says the truth, and counts\n"
        "[  2.016] hub    votes  > task 0: node 3 says the truth, and counts\n"
        "[  2.016] hub    votes  > task 0: its result is true\n";

static void child_that_tells_something_else_is_caught(FILE *trace)
{
	struct fleet *f = voters(trace, 3);

	world_guile(fleet_world(f, 2), 1, WORLD_SWITCHES);
	ask_all(f, 3);
	tell_and_finish(f);
}
static const char child_that_tells_something_else_is_caught_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] a      engine > link_set\n"
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] b      engine > link_set\n"
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] c      engine > link_set\n"
        "[  0.010] hub    engine > node_set\n"
        "[  0.010] hub    engine > node 4: link up\n"
        "[  0.014] hub    engine > node_set\n"
        "[  0.014] hub    engine > node 3: link up\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] b      world  > node 1 switches answers from now on\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 3, lease 2\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 4, lease 3\n"
        "[  0.100] a      engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] a      engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] b      engine > job 1 is the hub's lease 2, tasks from 0\n"
        "[  0.100] b      engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] c      engine > job 1 is the hub's lease 3, tasks from 0\n"
        "[  0.100] c      engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] a      node   > lease 1 starts\n"
        "[  0.100] b      node   > lease 1 starts\n"
        "[  0.100] c      node   > lease 1 starts\n"
        "[  0.101] b      engine > lease 1: task 0 succeeded\n"
        "[  0.101] b      engine > lease 1 ended: done\n"
        "[  0.101] hub    engine > lease 2: task 0 committed\n"
        "[  0.101] a      engine > lease 1: task 0 succeeded\n"
        "[  0.102] hub    engine > lease 1: task 0 committed\n"
        "[  0.102] a      engine > lease 1 ended: done\n"
        "[  0.114] c      engine > lease 1: task 0 succeeded\n"
        "[  0.114] c      engine > lease 1 ended: done\n"
        "[  0.114] hub    engine > lease 3: task 0 committed\n"
        "[  0.114] hub    engine > lease 1: task 0 succeeded\n"
        "[  0.114] hub    engine > lease 2: task 0 succeeded\n"
        "[  0.114] hub    engine > lease 3: task 0 succeeded\n"
        "[  0.114] hub    engine > lease 1 ended: done\n"
        "[  0.114] hub    engine > lease 2 ended: done\n"
        "[  0.114] hub    engine > lease 3 ended: done\n"
        "[  0.114] a      engine > job 1 is forgotten: handed over to the hub\n"
        "[  0.114] b      engine > job 1 is forgotten: handed over to the hub\n"
        "[  0.114] c      engine > job 1 is forgotten: handed over to the hub\n"
        "[  2.016] hub    votes  > task 0: node 2 says the truth, and counts\n"
        "[  2.016] hub    votes  > task 0: node 3 did not reveal what it committed to\n"
        "[  2.016] hub    votes  > task 0: node 4 says the truth, and counts\n"
        "[  2.016] hub    votes  > task 0: its result is true\n";

static void child_that_never_reveals_has_no_vote(FILE *trace)
{
	struct fleet *f = voters(trace, 3);

	world_guile(fleet_world(f, 2), 1, WORLD_MUTE);
	ask_all(f, 3);
	fleet_run_until(f, fleet_now_ns(f) + 200 * SIM_S);
	world_guile(fleet_world(f, 2), 1, WORLD_HONEST);
	tell_and_finish(f);
}
static const char child_that_never_reveals_has_no_vote_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] a      engine > link_set\n"
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] b      engine > link_set\n"
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] c      engine > link_set\n"
        "[  0.010] hub    engine > node_set\n"
        "[  0.010] hub    engine > node 4: link up\n"
        "[  0.014] hub    engine > node_set\n"
        "[  0.014] hub    engine > node 3: link up\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] b      world  > node 1 does not reveal from now on\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 3, lease 2\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 4, lease 3\n"
        "[  0.100] a      engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] a      engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] b      engine > job 1 is the hub's lease 2, tasks from 0\n"
        "[  0.100] b      engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] c      engine > job 1 is the hub's lease 3, tasks from 0\n"
        "[  0.100] c      engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] a      node   > lease 1 starts\n"
        "[  0.100] b      node   > lease 1 starts\n"
        "[  0.100] c      node   > lease 1 starts\n"
        "[  0.101] b      engine > lease 1: task 0 succeeded\n"
        "[  0.101] b      engine > lease 1 ended: done\n"
        "[  0.101] hub    engine > lease 2: task 0 committed\n"
        "[  0.101] a      engine > lease 1: task 0 succeeded\n"
        "[  0.102] hub    engine > lease 1: task 0 committed\n"
        "[  0.102] a      engine > lease 1 ended: done\n"
        "[  0.114] c      engine > lease 1: task 0 succeeded\n"
        "[  0.114] c      engine > lease 1 ended: done\n"
        "[  0.114] hub    engine > lease 3: task 0 committed\n"
        "[  0.114] hub    engine > lease 1: task 0 succeeded\n"
        "[  0.114] hub    engine > lease 3: task 0 succeeded\n"
        "[  0.114] hub    engine > lease 1 ended: done\n"
        "[  0.114] hub    engine > lease 3 ended: done\n"
        "[  0.114] a      engine > job 1 is forgotten: handed over to the hub\n"
        "[  0.114] c      engine > job 1 is forgotten: handed over to the hub\n"
        "[ 60.114] hub    engine > stop lease 2: expired\n"
        "[ 60.114] hub    engine > lease 2 ended: expired\n"
        "[ 60.114] b      engine > job 1 is forgotten: handed over to the hub\n"
        "[200.100] b      world  > node 1 is honest from now on\n"
        "[200.100] hub    votes  > task 0: node 2 says the truth, and counts\n"
        "[200.100] hub    votes  > task 0: node 4 says the truth, and counts\n"
        "[200.100] hub    votes  > task 0: its result is true\n";

/* Both ends die after the commitments are there and before the answers are: nothing else is told than was committed to. */
static void both_ends_restart_between_commitment_and_answer(FILE *trace)
{
	struct fleet *f = voters(trace, 2);

	fleet_cut(f, 2, true, true, UINT64_MAX);
	ask_all(f, 2);
	fleet_run_until(f, fleet_now_ns(f) + 10 * SIM_MS);
	fleet_kill(f, 0);
	fleet_kill(f, 1);
	fleet_run_until(f, fleet_now_ns(f) + SIM_S);
	fleet_mend(f, 2);
	tell_and_finish(f);
}
static const char both_ends_restart_between_commitment_and_answer_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] a      engine > link_set\n"
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] b      engine > link_set\n"
        "[  0.014] hub    engine > node_set\n"
        "[  0.014] hub    engine > node 3: link up\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] b      is cut off\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 3, lease 2\n"
        "[  0.100] a      engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] a      engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] a      node   > lease 1 starts\n"
        "[  0.101] a      engine > lease 1: task 0 succeeded\n"
        "[  0.102] hub    engine > lease 1: task 0 committed\n"
        "[  0.102] a      engine > lease 1 ended: done\n"
        "[  0.110] hub    world  > the engine is killed; 13 of 13 entries were durable\n"
        "[  0.110] hub    engine > boot\n"
        "[  0.110] hub    engine > node_set\n"
        "[  0.110] a      world  > the engine is killed; 7 of 7 entries were durable\n"
        "[  0.110] a      engine > boot\n"
        "[  0.110] a      engine > node_set\n"
        "[  0.131] hub    engine > node 2: link up\n"
        "[  1.102] hub    engine > expired\n"
        "[  1.110] b      is back on the line\n"
        "[  1.127] hub    engine > node 3: link up\n"
        "[  1.128] b      engine > job 1 is the hub's lease 2, tasks from 0\n"
        "[  1.128] b      engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  1.128] b      node   > lease 1 starts\n"
        "[  1.129] b      engine > lease 1: task 0 succeeded\n"
        "[  1.129] b      engine > lease 1 ended: done\n"
        "[  1.129] hub    engine > lease 2: task 0 committed\n"
        "[  1.129] hub    engine > lease 1: task 0 succeeded\n"
        "[  1.129] hub    engine > lease 2: task 0 succeeded\n"
        "[  1.129] hub    engine > lease 1 ended: done\n"
        "[  1.129] hub    engine > lease 2 ended: done\n"
        "[  1.129] a      engine > job 1 is forgotten: handed over to the hub\n"
        "[  1.129] b      engine > job 1 is forgotten: handed over to the hub\n"
        "[ 30.110] hub    votes  > task 0: node 2 says the truth, and counts\n"
        "[ 30.110] hub    votes  > task 0: node 3 says the truth, and counts\n"
        "[ 30.110] hub    votes  > task 0: its result is true\n";

/* It has committed, and is asked while it is away: its minute does not begin before it is back. */
static void committed_child_that_is_away_is_asked_when_it_is_back(FILE *trace)
{
	struct fleet *f = voters(trace, 2);

	(void)story_submit(fleet_world(f, 0),
	        &(struct plain){
	                .tasks = 1, .cpu = 4000, .replicas = 2, .replace = WIRE__DISCONNECT__REPLACE__NEVER});
	fleet_run_until(f, fleet_now_ns(f) + 1500000);
	fleet_cut(f, 2, true, true, 300 * SIM_S);
	tell_and_finish(f);
}
static const char committed_child_that_is_away_is_asked_when_it_is_back_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] a      engine > link_set\n"
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] b      engine > link_set\n"
        "[  0.014] hub    engine > node_set\n"
        "[  0.014] hub    engine > node 3: link up\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 3, lease 2\n"
        "[  0.100] a      engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] a      engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] b      engine > job 1 is the hub's lease 2, tasks from 0\n"
        "[  0.100] b      engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] a      node   > lease 1 starts\n"
        "[  0.100] b      node   > lease 1 starts\n"
        "[  0.101] b      engine > lease 1: task 0 succeeded\n"
        "[  0.101] b      engine > lease 1 ended: done\n"
        "[  0.101] hub    engine > lease 2: task 0 committed\n"
        "[  0.101] a      engine > lease 1: task 0 succeeded\n"
        "[  0.102] b      is cut off\n"
        "[  0.102] hub    engine > lease 1: task 0 committed\n"
        "[  0.102] hub    engine > lease 1: task 0 succeeded\n"
        "[  0.102] a      engine > lease 1 ended: done\n"
        "[  0.102] hub    engine > lease 1 ended: done\n"
        "[  0.102] a      engine > job 1 is forgotten: handed over to the hub\n"
        "[  0.653] hub    engine > node 3: link down\n"
        "[300.101] b      is back on the line\n"
        "[300.116] hub    engine > node 3: link up\n"
        "[300.117] hub    engine > lease 2: task 0 succeeded\n"
        "[300.117] hub    engine > lease 2 ended: done\n"
        "[300.117] b      engine > job 1 is forgotten: handed over to the hub\n"
        "[359.565] hub    votes  > task 0: node 2 says the truth, and counts\n"
        "[359.565] hub    votes  > task 0: node 3 says the truth, and counts\n"
        "[359.565] hub    votes  > task 0: its result is true\n";

/* It commits and is gone for good: another answers in its place, after its sibling has. */
static void committed_child_that_is_lost_is_replaced(FILE *trace)
{
	struct fleet *f = voters(trace, 3);

	ask_all(f, 2);
	fleet_run_until(f, fleet_now_ns(f) + 1500000);
	fleet_cut(f, 2, true, true, 300 * SIM_S);
	tell_and_finish(f);
}
static const char committed_child_that_is_lost_is_replaced_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] a      engine > link_set\n"
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] b      engine > link_set\n"
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] c      engine > link_set\n"
        "[  0.010] hub    engine > node_set\n"
        "[  0.010] hub    engine > node 4: link up\n"
        "[  0.014] hub    engine > node_set\n"
        "[  0.014] hub    engine > node 3: link up\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 3, lease 2\n"
        "[  0.100] a      engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] a      engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] b      engine > job 1 is the hub's lease 2, tasks from 0\n"
        "[  0.100] b      engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] a      node   > lease 1 starts\n"
        "[  0.100] b      node   > lease 1 starts\n"
        "[  0.101] b      engine > lease 1: task 0 succeeded\n"
        "[  0.101] b      engine > lease 1 ended: done\n"
        "[  0.101] hub    engine > lease 2: task 0 committed\n"
        "[  0.101] a      engine > lease 1: task 0 succeeded\n"
        "[  0.102] b      is cut off\n"
        "[  0.102] hub    engine > lease 1: task 0 committed\n"
        "[  0.102] hub    engine > lease 1: task 0 succeeded\n"
        "[  0.102] a      engine > lease 1 ended: done\n"
        "[  0.102] hub    engine > lease 1 ended: done\n"
        "[  0.102] a      engine > job 1 is forgotten: handed over to the hub\n"
        "[  2.010] hub    engine > node 3: link down\n"
        "[ 32.010] hub    engine > lease 2 ended: node_lost\n"
        "[ 32.010] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 3\n"
        "[ 32.010] a      engine > job 2 is the hub's lease 3, tasks from 0\n"
        "[ 32.010] a      engine > job 2 step 0: tasks 0-0 to node 1, lease 2\n"
        "[ 32.010] a      node   > lease 2 starts\n"
        "[ 32.013] a      engine > lease 2: task 0 succeeded\n"
        "[ 32.013] a      engine > lease 2 ended: done\n"
        "[ 32.013] hub    engine > lease 3: task 0 committed\n"
        "[ 32.013] hub    engine > lease 3: task 0 succeeded\n"
        "[ 32.014] hub    engine > lease 3 ended: done\n"
        "[ 32.014] a      engine > job 2 is forgotten: handed over to the hub\n"
        "[300.101] b      is back on the line\n"
        "[300.123] hub    engine > node 3: link up\n"
        "[300.123] b      engine > job 1 is forgotten: handed over to the hub\n"
        "[302.122] hub    votes  > task 0: node 2 says the truth, and counts\n"
        "[302.122] hub    votes  > task 0: node 2 says the truth, and counts\n"
        "[302.122] hub    votes  > task 0: its result is true\n";

/* Has the hub all that a's first lease will tell, while that is live? */
static bool told_and_live(struct fleet *f)
{
	struct lease_view v;

	return engine_lease(world_engine(fleet_world(f, 0)), (lease_id){1}, &v) &&
	       v.cursor == v.first + v.count;
}

/* The hub has its failure, and not its end; then its disk goes back, and the task succeeds. It believes that it has an answer, which the hub
 * does not wait for: it is told so. */
static void child_that_forgot_its_failure_has_nothing_to_reveal(FILE *trace)
{
	const struct faults bad = {.task_ns_max = SIM_MS, .task_fails = 1000}, calm = {.task_ns_max = SIM_MS};
	struct fleet *f = voters(trace, 2);
	uint64_t steps = 1000;

	world_set_faults(fleet_world(f, 1), &bad);
	fleet_cut(f, 2, true, true, UINT64_MAX); /* the job goes on */
	ask_all(f, 2);
	while (!told_and_live(f) && --steps > 0)
		(void)fleet_step(f);
	fleet_cut(f, 1, true, true, UINT64_MAX);
	fleet_run_until(f, fleet_now_ns(f) + SIM_S / 10);
	world_set_faults(fleet_world(f, 1), &calm);
	fleet_rollback(f, 1, 2);
	fleet_run_until(f, fleet_now_ns(f) + SIM_S);
	fleet_mend(f, 1);
	fleet_run_until(f, fleet_now_ns(f) + SIM_S / 10);
	fleet_mend(f, 2);
	tell_and_finish(f);
}
static const char child_that_forgot_its_failure_has_nothing_to_reveal_expect[] =
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] a      engine > link_set\n"
        "[  0.000] hub    engine > node_set\n"
        "[  0.000] b      engine > link_set\n"
        "[  0.014] hub    engine > node_set\n"
        "[  0.014] hub    engine > node 3: link up\n"
        "[  0.016] hub    engine > node_set\n"
        "[  0.016] hub    engine > node 2: link up\n"
        "[  0.100] hub    engine > node_set\n"
        "[  0.100] b      is cut off\n"
        "[  0.100] hub    engine > job 1 submitted\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.100] hub    engine > job 1 step 0: tasks 0-0 to node 3, lease 2\n"
        "[  0.100] a      engine > job 1 is the hub's lease 1, tasks from 0\n"
        "[  0.100] a      engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.100] a      node   > lease 1 starts\n"
        "[  0.101] a      engine > lease 1: task 0 failed\n"
        "[  0.102] hub    engine > lease 1: task 0 failed\n"
        "[  0.102] a      is cut off\n"
        "[  0.102] a      engine > lease 1 ended: done\n"
        "[  0.202] a      world  > its disk is what it was, with 5 of 7 entries\n"
        "[  0.202] a      engine > boot\n"
        "[  0.202] a      engine > node_set\n"
        "[  0.202] a      engine > lease 1 ended: keeper_lost\n"
        "[  0.202] a      engine > job 1 step 0: tasks 0-0 to node 1, lease 2\n"
        "[  0.202] hub    engine > node 2: link down\n"
        "[  0.202] a      node   > lease 2 starts\n"
        "[  0.210] a      engine > lease 2: task 0 succeeded\n"
        "[  0.210] a      engine > lease 2 ended: done\n"
        "[  1.202] a      is back on the line\n"
        "[  1.220] hub    engine > node 2: link up\n"
        "[  1.221] hub    engine > lease 1 ended: done\n"
        "[  1.221] a      engine > job 1 is forgotten: handed over to the hub\n"
        "[  1.302] b      is back on the line\n"
        "[  1.304] b      engine > job 1 is the hub's lease 2, tasks from 0\n"
        "[  1.304] b      engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  1.304] b      node   > lease 1 starts\n"
        "[  1.305] b      engine > lease 1: task 0 succeeded\n"
        "[  1.305] b      engine > lease 1 ended: done\n"
        "[  1.305] hub    engine > lease 2: task 0 committed\n"
        "[  1.305] hub    engine > lease 2: task 0 succeeded\n"
        "[  1.305] hub    engine > lease 2 ended: done\n"
        "[  1.305] b      engine > job 1 is forgotten: handed over to the hub\n"
        "[ 30.202] hub    votes  > task 0: node 3 says the truth\n"
        "[ 30.202] hub    votes  > task 0: no result: disagreed\n";

static const struct story all[] = {
        STORY(children_commit_before_any_of_them_tells),
        STORY(child_that_tells_something_else_is_caught),
        STORY(child_that_never_reveals_has_no_vote),
        STORY(both_ends_restart_between_commitment_and_answer),
        STORY(committed_child_that_is_away_is_asked_when_it_is_back),
        STORY(committed_child_that_is_lost_is_replaced),
        STORY(child_that_forgot_its_failure_has_nothing_to_reveal),
};

const struct story_book stories_commit = {all, sizeof(all) / sizeof(all[0])};
