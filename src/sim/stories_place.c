/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stories_place - where tasks go: by labels, packing, inputs, links and failures. Nodes with odd numbers have class=odd, the others even.
 */
#include "base/check.h"
#include "sim/story.h"

static char class_[] = "class", name[] = "name", even[] = "even", blue[] = "blue", hall[] = "hall";

static struct world *pool(FILE *trace, uint32_t nodes)
{
	const struct faults f = {.task_ns_max = SIM_S, .task_exact = true};

	return world_new(7, &f, nodes, trace);
}

static Wire__Match is(char *key, char **value)
{
	Wire__Match m = WIRE__MATCH__INIT;

	m.key = key;
	m.values = value;
	m.n_values = 1;
	return m;
}

/* ---- labels ---- */

static void where_keeps_tasks_on_its_nodes(FILE *trace)
{
	char *values[] = {even};
	Wire__Match m = is(class_, values), *where = &m;
	Wire__Place p = WIRE__PLACE__INIT;
	struct world *w = pool(trace, 3);

	p.where = &where;
	p.n_where = 1;
	(void)story_submit(w, &(struct plain){.tasks = 3, .cpu = 4000, .place = &p});
	story_finish(w);
}
static const char where_keeps_tasks_on_its_nodes_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  1.000] engine > lease 1: task 0 succeeded\n"
        "[  1.000] engine > lease 1 ended: done\n"
        "[  1.000] engine > job 1 step 0: tasks 1-1 to node 2, lease 2\n"
        "[  1.001] node   > lease 2 starts\n"
        "[  2.001] engine > lease 2: task 1 succeeded\n"
        "[  2.001] engine > lease 2 ended: done\n"
        "[  2.001] engine > job 1 step 0: tasks 2-2 to node 2, lease 3\n"
        "[  2.001] node   > lease 3 starts\n"
        "[  3.001] engine > lease 3: task 2 succeeded\n"
        "[  3.001] engine > lease 3 ended: done\n";

/* What its owner says of a node lets what waited for it go. */
static void label_lets_waiting_task_go(FILE *trace)
{
	char *values[] = {blue};
	Wire__Match m = is(hall, values), *where = &m;
	Wire__Pair label = WIRE__PAIR__INIT, *labels = &label;
	Wire__Principal by = WIRE__PRINCIPAL__INIT;
	Wire__NodeSet n = WIRE__NODE_SET__INIT;
	Wire__Need cpu = WIRE__NEED__INIT, *needs = &cpu;
	Wire__Place p = WIRE__PLACE__INIT;
	struct world *w = pool(trace, 2);

	p.where = &where;
	p.n_where = 1;
	(void)story_submit(w, &(struct plain){.tasks = 1, .place = &p});
	world_run_until(w, 5 * SIM_S);
	label.key = hall;
	label.value = blue;
	cpu.name = (char *)(uintptr_t) "cpu";
	cpu.amount = 4000;
	n.node = 2;
	n.name = (char *)(uintptr_t) "n2";
	n.capacity = &needs;
	n.n_capacity = 1;
	n.admin_labels = &labels;
	n.n_admin_labels = 1;
	world_command(w, &(struct command){.kind = CMD_NODE_SET, .by = &by, .u.node_set = &n});
	story_finish(w);
}
static const char label_lets_waiting_task_go_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  5.000] engine > node_set\n"
        "[  5.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  5.000] node   > lease 1 starts\n"
        "[  6.000] engine > lease 1: task 0 succeeded\n"
        "[  6.000] engine > lease 1 ended: done\n";

static void preferred_nodes_fill_first(FILE *trace)
{
	char *values[] = {even};
	Wire__Match m = is(class_, values), *all = &m;
	Wire__Prefer prefer = WIRE__PREFER__INIT, *prefers = &prefer;
	Wire__Place p = WIRE__PLACE__INIT;
	struct world *w = pool(trace, 2);

	prefer.all = &all;
	prefer.n_all = 1;
	prefer.weight = 50;
	p.prefer = &prefers;
	p.n_prefer = 1;
	(void)story_submit(w, &(struct plain){.tasks = 3, .cpu = 2000, .place = &p});
	story_finish(w);
}
static const char preferred_nodes_fill_first_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.000] engine > job 1 step 0: tasks 1-1 to node 2, lease 2\n"
        "[  0.000] engine > job 1 step 0: tasks 2-2 to node 1, lease 3\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  0.000] node   > lease 3 starts\n"
        "[  1.000] engine > lease 3: task 2 succeeded\n"
        "[  1.000] engine > lease 3 ended: done\n"
        "[  1.000] engine > lease 2: task 1 succeeded\n"
        "[  1.000] engine > lease 1: task 0 succeeded\n"
        "[  1.000] engine > lease 1 ended: done\n"
        "[  1.001] engine > lease 2 ended: done\n";

static void spread_tasks_run_apart(FILE *trace)
{
	Wire__Place p = WIRE__PLACE__INIT;
	struct world *w = pool(trace, 3);

	p.spread = name;
	(void)story_submit(w, &(struct plain){.tasks = 4, .place = &p});
	story_finish(w);
}
static const char spread_tasks_run_apart_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] engine > job 1 step 0: tasks 1-1 to node 2, lease 2\n"
        "[  0.000] engine > job 1 step 0: tasks 2-2 to node 3, lease 3\n"
        "[  0.000] engine > job 1 step 0: tasks 3-3 to node 1, lease 4\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  0.000] node   > lease 3 starts\n"
        "[  0.000] node   > lease 4 starts\n"
        "[  1.000] engine > lease 3: task 2 succeeded\n"
        "[  1.000] engine > lease 3 ended: done\n"
        "[  1.000] engine > lease 2: task 1 succeeded\n"
        "[  1.000] engine > lease 1: task 0 succeeded\n"
        "[  1.000] engine > lease 1 ended: done\n"
        "[  1.001] engine > lease 4: task 3 succeeded\n"
        "[  1.001] engine > lease 4 ended: done\n"
        "[  1.001] engine > lease 2 ended: done\n";

/* A long task on node 2; then two jobs, each packed its way. */
static void packing_fills_and_balance_does_not(FILE *trace)
{
	char *values[] = {even};
	Wire__Match m = is(class_, values), *where = &m;
	Wire__Place p = WIRE__PLACE__INIT;
	struct world *w = pool(trace, 2);

	p.where = &where;
	p.n_where = 1;
	(void)story_submit(w, &(struct plain){.tasks = 1, .place = &p});
	(void)story_submit(w, &(struct plain){.tasks = 1, .pack = WIRE__JOB_SPEC__PACK__BINPACK});
	(void)story_submit(w, &(struct plain){.tasks = 1, .pack = WIRE__JOB_SPEC__PACK__BALANCE});
	story_finish(w);
}
static const char packing_fills_and_balance_does_not_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.000] engine > job 2 submitted\n"
        "[  0.000] engine > job 2 step 0: tasks 0-0 to node 2, lease 2\n"
        "[  0.000] engine > job 3 submitted\n"
        "[  0.000] engine > job 3 step 0: tasks 0-0 to node 1, lease 3\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  0.000] node   > lease 3 starts\n"
        "[  1.000] engine > lease 3: task 0 succeeded\n"
        "[  1.000] engine > lease 3 ended: done\n"
        "[  1.000] engine > lease 2: task 0 succeeded\n"
        "[  1.000] engine > lease 1: task 0 succeeded\n"
        "[  1.000] engine > lease 1 ended: done\n"
        "[  1.001] engine > lease 2 ended: done\n";

/* ---- inputs ---- */

static Wire__Input input(uint8_t *digest, uint64_t bytes)
{
	Wire__Input in = WIRE__INPUT__INIT;

	in.path = (char *)(uintptr_t) "data";
	in.blob = (ProtobufCBinaryData){32, digest};
	in.size_bytes = bytes;
	return in;
}

/* Node 1 is where the file was submitted, but it is full; node 3 says that it has the file. */
static void tasks_go_where_their_inputs_are(FILE *trace)
{
	uint8_t digest[32] = {1, 2, 3};
	Wire__Input in = input(digest, 1u << 30);
	Wire__NodeFacts f = WIRE__NODE_FACTS__INIT;
	struct world *w = pool(trace, 3);

	f.node = 3;
	f.set = WIRE__NODE_FACTS__WHAT__HELD;
	f.held = (ProtobufCBinaryData){8, digest};
	world_command(w, &(struct command){.kind = CMD_FACTS, .u.facts = &f});
	(void)story_submit(w, &(struct plain){.tasks = 1, .cpu = 4000});
	(void)story_submit(w, &(struct plain){.tasks = 2, .cpu = 4000, .input = &in});
	story_finish(w);
}
static const char tasks_go_where_their_inputs_are_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_facts\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] engine > job 2 submitted\n"
        "[  0.000] engine > job 2 step 0: tasks 0-0 to node 3, lease 2\n"
        "[  0.000] engine > job 2 step 0: tasks 1-1 to node 2, lease 3\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  0.000] node   > lease 2 starts\n"
        "[  0.000] node   > lease 3 starts\n"
        "[  1.000] engine > lease 3: task 1 succeeded\n"
        "[  1.000] engine > lease 3 ended: done\n"
        "[  1.000] engine > lease 2: task 0 succeeded\n"
        "[  1.000] engine > lease 1: task 0 succeeded\n"
        "[  1.000] engine > lease 1 ended: done\n"
        "[  1.001] engine > lease 2 ended: done\n";

/* Only node 2 will do, and 1 GiB an hour may come over its link: the second file waits for the next hour, a file that is there does not. */
static void link_that_is_used_up_holds_tasks_back(FILE *trace)
{
	char *values[] = {(char *)(uintptr_t) "n2"};
	Wire__Match m = is(name, values), *where = &m;
	uint8_t one[32] = {1}, two[32] = {2};
	Wire__Input a = input(one, 700u << 20), b = input(two, 700u << 20);
	Wire__NodeSet__Link link = WIRE__NODE_SET__LINK__INIT;
	Wire__NodeSet n = WIRE__NODE_SET__INIT;
	Wire__Need cpu = WIRE__NEED__INIT, *needs = &cpu;
	Wire__Place p = WIRE__PLACE__INIT;
	struct world *w = pool(trace, 2);

	p.where = &where;
	p.n_where = 1;
	link.bytes = 1u << 30;
	link.per_ns = 3600 * SIM_S;
	cpu.name = (char *)(uintptr_t) "cpu";
	cpu.amount = 4000;
	n.node = 2;
	n.name = (char *)(uintptr_t) "n2";
	n.capacity = &needs;
	n.n_capacity = 1;
	n.link = &link;
	world_command(w, &(struct command){.kind = CMD_NODE_SET, .u.node_set = &n});
	(void)story_submit(w, &(struct plain){.tasks = 1, .place = &p, .input = &a});
	(void)story_submit(w, &(struct plain){.tasks = 1, .place = &p, .input = &b});
	world_run_until(w, 10 * SIM_S);
	(void)story_submit(w, &(struct plain){.tasks = 1, .place = &p, .input = &a});
	story_finish(w);
}
static const char link_that_is_used_up_holds_tasks_back_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 1\n"
        "[  0.000] engine > job 2 submitted\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  1.000] engine > lease 1: task 0 succeeded\n"
        "[  1.000] engine > lease 1 ended: done\n"
        "[ 10.000] engine > job 3 submitted\n"
        "[ 10.000] engine > job 3 step 0: tasks 0-0 to node 2, lease 2\n"
        "[ 10.000] node   > lease 2 starts\n"
        "[ 11.000] engine > lease 2: task 0 succeeded\n"
        "[ 11.001] engine > lease 2 ended: done\n"
        "[3600.000] engine > job 2 step 0: tasks 0-0 to node 2, lease 3\n"
        "[3600.000] node   > lease 3 starts\n"
        "[3601.000] engine > lease 3: task 0 succeeded\n"
        "[3601.000] engine > lease 3 ended: done\n";

/* ---- failures ---- */

static void failed_task_is_tried_on_another_node(FILE *trace)
{
	const struct faults bad = {.task_ns_max = SIM_S, .task_exact = true, .task_fails = 1000};
	const struct faults good = {.task_ns_max = SIM_S, .task_exact = true};
	struct world *w = world_new(7, &bad, 3, trace);

	(void)story_submit(w, &(struct plain){.tasks = 1, .retries = 5});
	world_run_until(w, 2500 * SIM_MS);
	world_set_faults(w, &good);
	story_finish(w);
}
static const char failed_task_is_tried_on_another_node_expect[] =
        "[  0.000] engine > boot\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > node_set\n"
        "[  0.000] engine > job 1 submitted\n"
        "[  0.000] engine > job 1 step 0: tasks 0-0 to node 1, lease 1\n"
        "[  0.000] node   > lease 1 starts\n"
        "[  1.000] engine > lease 1: task 0 failed\n"
        "[  1.000] engine > job 1 step 0: tasks 0-0 to node 2, lease 2\n"
        "[  1.000] engine > lease 1 ended: done\n"
        "[  1.000] node   > lease 2 starts\n"
        "[  2.001] engine > lease 2: task 0 failed\n"
        "[  2.001] engine > job 1 step 0: tasks 0-0 to node 3, lease 3\n"
        "[  2.001] engine > lease 2 ended: done\n"
        "[  2.001] node   > lease 3 starts\n"
        "[  3.001] engine > lease 3: task 0 succeeded\n"
        "[  3.001] engine > lease 3 ended: done\n";

static const struct story all[] = {
        STORY(where_keeps_tasks_on_its_nodes),
        STORY(label_lets_waiting_task_go),
        STORY(preferred_nodes_fill_first),
        STORY(spread_tasks_run_apart),
        STORY(packing_fills_and_balance_does_not),
        STORY(tasks_go_where_their_inputs_are),
        STORY(link_that_is_used_up_holds_tasks_back),
        STORY(failed_task_is_tried_on_another_node),
};
const struct story_book stories_place = {all, ARRAY_LEN(all)};
