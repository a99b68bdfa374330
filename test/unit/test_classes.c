/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about nodes below a node: what is told of them upwards, what a hub takes of that, and how it counts. */
#include "../world.h"

#include "core/link.h"
#include "core/sched_state.h"

static struct world w;
static _Alignas(16) uint8_t memory[8u << 20];
static struct arena arena;

/* ---- nodes with labels ---- */

static void begin(void)
{
	world_init(&w);
	world_boot(&w);
	world_node(&w, 1, 2, WIRE__NODE_SET__STATE__UP);
	arena_init(&arena, memory, sizeof(memory));
}

static void end(void)
{
	engine_check(w.e);
	sched_check(engine_sched(w.e));
	world_release(&w);
}

static Wire__Need *need(uint64_t cpus)
{
	Wire__Need *n = arena_alloc(&arena, sizeof(*n));

	wire__need__init(n);
	n->name = (char *)(uintptr_t) "cpu";
	n->amount = cpus * 1000;
	return n;
}

static Wire__Need **needs(uint64_t cpus)
{
	Wire__Need **p = arena_alloc(&arena, sizeof(*p));

	*p = need(cpus);
	return p;
}

/* "board=jetson,rack=7" */
static Wire__Pair **labels(const char *text, size_t *n)
{
	Wire__Pair **v = arena_calloc(&arena, 64, sizeof(*v));
	char *s = arena_dup(&arena, text, strlen(text)), *rest = NULL;

	*n = 0;
	for (char *one = strtok_r(s, ",", &rest); one; one = strtok_r(NULL, ",", &rest)) {
		v[*n] = arena_alloc(&arena, sizeof(**v));
		wire__pair__init(v[*n]);
		v[*n]->key = one;
		v[*n]->value = strchr(one, '=') + 1;
		*strchr(one, '=') = '\0';
		(*n)++;
	}
	return v;
}

static Wire__NodeClass *class_of_nodes(const char *text, uint64_t cpus)
{
	Wire__NodeClass *c = arena_alloc(&arena, sizeof(*c));

	wire__node_class__init(c);
	c->labels = labels(text, &c->n_labels);
	c->capacity = needs(cpus);
	c->n_capacity = 1;
	c->nodes = 1;
	return c;
}

static Wire__NodeSet node_named(uint32_t number, const char *text, uint64_t cpus)
{
	Wire__NodeSet m = WIRE__NODE_SET__INIT;

	m.node = number;
	m.name = arena_alloc(&arena, 16);
	(void)snprintf(m.name, 16, "node%u", number);
	m.labels = labels(text, &m.n_labels);
	m.capacity = needs(cpus);
	m.n_capacity = 1;
	m.classes = arena_calloc(&arena, 64, sizeof(*m.classes));
	return m;
}

static void set(Wire__NodeSet m)
{
	world_do(&w, &(struct command){.kind = CMD_NODE_SET, .u.node_set = &m});
	(void)world_one(&w, WIRE__ENTRY__BODY_NODE_SET);
}

static const char *refused(Wire__NodeSet m)
{
	world_do(&w, &(struct command){.kind = CMD_NODE_SET, .u.node_set = &m});
	return world_one(&w, WIRE__ENTRY__BODY_REFUSED)->refused->reason;
}

/* A step of `tasks` tasks of one cpu where label `k` is `v`. */
static uint64_t submit(const char *k, const char *v, uint64_t tasks)
{
	static Wire__Place place;
	static Wire__Match m, *where = &m;
	static char *values[1];
	struct spec s;

	place = (Wire__Place)WIRE__PLACE__INIT;
	m = (Wire__Match)WIRE__MATCH__INIT;
	values[0] = (char *)(uintptr_t)v;
	m.key = (char *)(uintptr_t)k;
	m.op = v ? WIRE__MATCH__OP__IN : WIRE__MATCH__OP__ABSENT;
	m.values = values;
	m.n_values = v != NULL;
	place.where = &where;
	place.n_where = 1;
	spec_init(&s, "work");
	spec_step(&s, "a", tasks);
	s.step[0].place = &place;
	return world_submit(&w, &s);
}

static uint32_t leases_on(uint32_t node)
{
	return engine_node_leases(w.e, node);
}

static uint64_t free_of(uint32_t node, uint32_t k)
{
	struct sched_node_view v;

	assert_true(sched_class(engine_sched(w.e), node, k, &v));
	return (uint64_t)v.free[0] / 1000;
}

/* ---- what is told ---- */

static Wire__NodeSet told(void)
{
	Wire__NodeSet n;

	assert_int_equal(link_sum(w.e, "site", &arena, &n), 0);
	return n;
}

static const char *label_of(const Wire__NodeClass *c, const char *k)
{
	for (size_t i = 0; i < c->n_labels; i++)
		if (strcmp(c->labels[i]->key, k) == 0)
			return c->labels[i]->value;
	return "";
}

static void nodes_that_are_alike_are_one_class(void **state)
{
	Wire__NodeSet n;

	(void)state;
	begin();
	set(node_named(2, "board=jetson", 4));
	set(node_named(3, "board=jetson", 8));
	set(node_named(4, "board=orin,site=b", 1));
	n = told();
	assert_int_equal(n.n_classes, 2);
	assert_string_equal(label_of(n.classes[0], "board"), "jetson");
	assert_int_equal(n.classes[0]->nodes, 2);
	assert_int_equal(n.classes[0]->capacity[0]->amount, 12000);
	assert_int_equal(n.classes[0]->largest[0]->amount, 8000);
	assert_string_equal(label_of(n.classes[1], "site"), "b");
	assert_int_equal(n.capacity[0]->amount, 15000); /* all of it */
	assert_int_equal(n.largest[0]->amount, 8000);
	assert_int_equal(n.own_largest[0]->amount, 2000);
	end();
}

static void what_is_like_the_hub_itself_is_no_class(void **state)
{
	Wire__NodeSet n;

	(void)state;
	begin();
	set(node_named(2, "", 4));
	n = told();
	assert_int_equal(n.n_classes, 0);
	assert_int_equal(n.n_own_largest, 0);
	set(node_named(1, "hall=a", 2));
	set(node_named(2, "hall=a", 4));
	assert_int_equal(told().n_classes, 0);
	set(node_named(2, "hall=b", 4));
	assert_int_equal(told().n_classes, 1);
	end();
}

static void drained_nodes_are_not_told(void **state)
{
	Wire__NodeSet n;

	(void)state;
	begin();
	n = node_named(2, "board=orin", 4);
	n.state = WIRE__NODE_SET__STATE__DRAINED;
	set(n);
	assert_int_equal(told().n_classes, 0);
	end();
}

static void classes_of_a_child_are_told_on(void **state)
{
	Wire__NodeSet n;
	struct sched_node_view v;

	(void)state;
	begin();
	n = node_named(2, "board=orin", 12);
	n.classes[n.n_classes++] = class_of_nodes("board=jetson", 8);
	set(n);
	set(node_named(3, "board=jetson", 1));
	n = told();
	assert_int_equal(n.n_classes, 2);
	assert_string_equal(label_of(n.classes[0], "board"), "orin");
	assert_int_equal(n.classes[0]->capacity[0]->amount, 4000);
	assert_string_equal(label_of(n.classes[1], "board"), "jetson");
	assert_int_equal(n.classes[1]->capacity[0]->amount, 9000);
	assert_int_equal(n.classes[1]->nodes, 2);
	assert_true(sched_node(engine_sched(w.e), 2, &v));
	assert_int_equal(v.capacity[0], 12000); /* for whoever looks at the node it has all */
	end();
}

static void label_with_most_values_is_left_out(void **state)
{
	char text[64];
	Wire__NodeSet n;

	(void)state;
	begin();
	for (uint32_t i = 2; i < 100; i++) {
		(void)snprintf(
		        text, sizeof(text), "board=%s,rack=r%u,row=%u", i % 2 ? "orin" : "jetson", i, i % 3);
		set(node_named(i, text, 1));
	}
	n = told();
	assert_int_equal(n.n_folded, 1);
	assert_string_equal(n.folded[0], "rack");
	assert_int_equal(n.n_classes, 6);
	for (size_t i = 0; i < 6; i++)
		assert_string_equal(label_of(n.classes[i], "rack"), "");
	/* So nothing that asks for a rack, or for none, goes there. */
	n.node = 100;
	n.name = (char *)(uintptr_t) "site";
	set(n);
	for (uint32_t i = 2; i < 100; i++) {
		Wire__NodeSet gone = node_named(i, "", 1);

		gone.state = WIRE__NODE_SET__STATE__LOST;
		set(gone);
	}
	world_node(&w, 1, 2, WIRE__NODE_SET__STATE__DRAINED);
	(void)submit("row", "2", 2);
	world_settle(&w);
	assert_int_equal(leases_on(100), 2);
	(void)submit("rack", "r7", 1);
	world_settle(&w);
	assert_int_equal(leases_on(100), 2);
	(void)submit("board", NULL, 1); /* the site itself has no board, and two cpus */
	(void)submit("rack", NULL, 1);
	world_settle(&w);
	assert_int_equal(leases_on(100), 4);
	assert_int_equal(free_of(100, 0), 0);
	(void)submit("rack", NULL, 1);
	world_settle(&w);
	assert_int_equal(leases_on(100), 4);
	end();
}

/* Three children tell as much as they may, so that all of it has to be left out again and again. */
static void labels_of_hostile_children_cost_next_to_nothing(void **state)
{
	struct timespec from, to;
	char key[8], value[8];
	Wire__NodeSet n;

	(void)state;
	begin();
	for (uint32_t node = 2; node < 5; node++) {
		n = node_named(node, "", 16);
		for (; n.n_classes < SCHED_CLASSES_MAX; n.n_classes++) {
			Wire__NodeClass *c = class_of_nodes("", 1);

			for (unsigned l = 0; l < 60; l++) {
				Wire__Pair *p = arena_alloc(&arena, sizeof(*p));

				wire__pair__init(p);
				(void)snprintf(key, sizeof(key), "k%u", l);
				(void)snprintf(value, sizeof(value), "%zu.%u", n.n_classes, node);
				p->key = arena_dup(&arena, key, sizeof(key));
				p->value = arena_dup(&arena, value, sizeof(value));
				c->labels[c->n_labels++] = p;
			}
			n.classes[n.n_classes] = c;
		}
		set(n);
	}
	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from), 0);
	n = told();
	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to), 0);
	assert_int_equal(n.n_classes, 0); /* too many would have to be left out */
	assert_true((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 < 500);
	end();
}

/* ---- what is counted ---- */

static void class_gets_no_more_than_it_has(void **state)
{
	Wire__NodeSet n;
	struct lease_view l = {{0}};
	uint64_t job;

	(void)state;
	begin();
	n = node_named(2, "", 10);
	n.classes[n.n_classes++] = class_of_nodes("board=jetson", 3);
	set(n);
	job = submit("board", "jetson", 8);
	world_settle(&w);
	assert_int_equal(leases_on(2), 3);
	assert_int_equal(free_of(2, 0), 7);
	assert_int_equal(free_of(2, 1), 0);
	/* It becomes larger, then is not there any more: what runs counts against the node. */
	n.classes[0] = class_of_nodes("board=jetson", 5);
	set(n);
	world_settle(&w);
	assert_int_equal(leases_on(2), 5);
	assert_int_equal(free_of(2, 0), 5);
	assert_int_equal(free_of(2, 1), 0);
	n.n_classes = 0;
	set(n);
	world_settle(&w);
	assert_int_equal(leases_on(2), 5);
	assert_int_equal(free_of(2, 0), 5);
	n.n_classes = 1;
	set(n);
	assert_int_equal(free_of(2, 1), 0);
	while (engine_node_lease_next(w.e, 2, (lease_id){0}, &l))
		world_run(&w, &l, WIRE__OUTCOME__SUCCEEDED);
	world_settle(&w);
	while (engine_node_lease_next(w.e, 2, (lease_id){0}, &l))
		world_run(&w, &l, WIRE__OUTCOME__SUCCEEDED);
	assert_int_equal(world_job(&w, job).counts.succeeded, 8);
	assert_int_equal(free_of(2, 1), 5);
	end();
}

static void replicas_of_one_class_stay_with_the_nodes_own(void **state)
{
	Wire__NodeSet n;
	struct spec s;

	(void)state;
	begin();
	world_node(&w, 1, 1, WIRE__NODE_SET__STATE__DRAINED);
	n = node_named(2, "board=orin", 10);
	n.commits = true;
	n.classes[n.n_classes++] = class_of_nodes("board=jetson", 8);
	set(n);
	spec_init(&s, "work");
	spec_step(&s, "a", 4);
	spec_verify(&s, 0, 2, 2, false);
	s.verify[0].same = (char *)(uintptr_t) "board";
	(void)world_submit(&w, &s);
	world_settle(&w);
	assert_int_equal(leases_on(2), 2); /* two cpus are its own */
	assert_int_equal(free_of(2, 0), 0);
	assert_int_equal(free_of(2, 1), 8);
	end();
}

/* ---- what is not taken ---- */

static void classes_that_cannot_be_are_refused(void **state)
{
	Wire__NodeSet n;

	(void)state;
	begin();
	n = node_named(2, "", 10);
	n.classes[n.n_classes++] = class_of_nodes("board=jetson", 6);
	n.classes[n.n_classes++] = class_of_nodes("board=orin", 6);
	assert_non_null(strstr(refused(n), "more cpu than itself"));
	n.classes[1] = class_of_nodes("board=jetson", 1);
	assert_non_null(strstr(refused(n), "those of another"));
	n.classes[1] = class_of_nodes("board=orin", 1);
	n.classes[1]->capacity[0]->name = (char *)(uintptr_t) "licence";
	assert_non_null(strstr(refused(n), "what the node has not"));
	n.n_classes = SCHED_CLASSES_MAX + 1;
	assert_non_null(strstr(refused(n), "at most 16"));
	end();
}

/* Then the node counts whole, as if it had told none; and gets its places when there is room. */
static void table_without_room_takes_no_classes(void **state)
{
	static _Alignas(64) uint8_t mem[4u << 20];
	const struct sched_limits limits = {16, 16, 16, 4, 4, 4};
	struct sched_node_view v;
	struct sched *s;
	Wire__NodeSet n;

	(void)state;
	arena_init(&arena, memory, sizeof(memory));
	assert_true(sched_bytes(&limits) <= sizeof(mem));
	s = sched_new(mem, &limits);
	n = node_named(1, "", 2);
	assert_int_equal(sched_node_set(s, &n), 0);
	n = node_named(2, "", 10);
	n.classes[n.n_classes++] = class_of_nodes("board=jetson", 3);
	n.classes[n.n_classes++] = class_of_nodes("board=orin", 3);
	assert_int_equal(sched_node_set(s, &n), 0); /* nodes 1 and 2, room for a third, one place */
	sched_check(s);
	assert_true(sched_class(s, 2, 1, &v));
	assert_false(sched_class(s, 2, 2, &v));
	assert_true(sched_class(s, 2, 0, &v));
	assert_int_equal(v.capacity[0], 7000);
	n = node_named(3, "", 1);
	assert_int_equal(sched_node_set(s, &n), 0);
	n = node_named(4, "", 1);
	assert_int_equal(sched_node_set(s, &n), 0);
	sched_check(s);
	assert_false(sched_class(s, 2, 1, &v));
	assert_true(sched_class(s, 2, 0, &v));
	assert_int_equal(v.capacity[0], 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nodes_that_are_alike_are_one_class),
	        cmocka_unit_test(what_is_like_the_hub_itself_is_no_class),
	        cmocka_unit_test(drained_nodes_are_not_told),
	        cmocka_unit_test(classes_of_a_child_are_told_on),
	        cmocka_unit_test(label_with_most_values_is_left_out),
	        cmocka_unit_test(labels_of_hostile_children_cost_next_to_nothing),
	        cmocka_unit_test(class_gets_no_more_than_it_has),
	        cmocka_unit_test(replicas_of_one_class_stay_with_the_nodes_own),
	        cmocka_unit_test(classes_that_cannot_be_are_refused),
	        cmocka_unit_test(table_without_room_takes_no_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
