/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about files that are named to a child ahead of a lease: which, to whom, how many, and when not. */
#include "link_help.h"

#include "core/link_int.h"

#define FILE_BYTES (1u << 20)

enum { A = 2, B = 3 }; /* node numbers of the children */

static struct link_ahead_book book;
static struct link_end *ends[4];
static uint8_t keys[4][32], journals[4][32];
static uint64_t now; /* of the links */

static void give(uint32_t child, uint64_t session, Link__Frame *f)
{
	f->session = session;
	f->size = 20;
	link_receive(ends[child], now, in, frame_encode(f, in));
}

/* The next frame for the child; body_case NOT_SET: nothing. */
static const Link__Frame *next(uint32_t child)
{
	return next_of(ends[child], now);
}

static const char *name_of(uint32_t child)
{
	return child == A ? "a" : "b";
}

static Wire__NodeSet node_of(uint32_t child, Wire__NodeSet__Link *over)
{
	static Wire__Need cpu, *needs = &cpu;
	Wire__NodeSet n = WIRE__NODE_SET__INIT;

	cpu = (Wire__Need)WIRE__NEED__INIT;
	cpu.name = (char *)(uintptr_t) "cpu";
	cpu.amount = 2000;
	n.name = (char *)(uintptr_t)name_of(child);
	n.n_capacity = 1;
	n.capacity = &needs;
	n.link = over;
	return n;
}

static void say_hello(uint32_t child, uint64_t session, uint32_t version, Wire__NodeSet__Link *over)
{
	Wire__NodeSet n = node_of(child, over);
	Link__Frame f = LINK__FRAME__INIT;
	Link__Hello h = LINK__HELLO__INIT;
	uint8_t bytes[256];

	h.version = version;
	h.name = n.name;
	h.key = (ProtobufCBinaryData){32, keys[child]};
	h.journal = (ProtobufCBinaryData){32, journals[child]};
	h.node = (ProtobufCBinaryData){wire__node_set__pack(&n, bytes), bytes};
	f.body_case = LINK__FRAME__BODY_HELLO;
	f.hello = &h;
	give(child, session, &f);
	assert_int_equal(next(child)->body_case, LINK__FRAME__BODY_WELCOME);
}

static void join(uint32_t child)
{
	struct link_shell shell = {.engine = w.e,
	        .command = shell_command,
	        .appended = shell_size,
	        .durable = shell_size,
	        .clock = shell_clock,
	        .spec = shell_spec,
	        .book = &book};
	struct link_self self = {.side = LINK_TO_CHILD, .name = name_of(child), .node = child};
	Wire__NodeSet n = node_of(child, NULL);
	void *mem = mmap(
	        NULL, link_bytes(LINK_TO_CHILD), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(mem != MAP_FAILED);
	memset(keys[child], (int)child, 32);
	memset(journals[child], (int)child + 50, 32);
	n.key = (ProtobufCBinaryData){32, keys[child]};
	n.journal = (ProtobufCBinaryData){32, journals[child]};
	n.from_size = 12;
	entries += world_do(&w, &(struct command){.kind = CMD_NODE_JOIN, .u.node_set = &n});
	(void)world_one(&w, WIRE__ENTRY__BODY_NODE_SET);
	ends[child] = link_init(mem, &self, &shell, scratch, sizeof(scratch));
	link_connected(ends[child], now, 0);
	assert_int_equal(next(child)->body_case, LINK__FRAME__BODY_RESET);
}

/* A hub without room of its own, and two children with two cpus each. */
static int begin(void **state)
{
	(void)state;
	world_init(&w);
	w.check = 0;
	entries = 0;
	now = 1;
	book = (struct link_ahead_book){0};
	world_boot(&w);
	world_node(&w, 1, 0, WIRE__NODE_SET__STATE__UP);
	join(A);
	join(B);
	return 0;
}

static int end(void **state)
{
	(void)state;
	(void)munmap(ends[A], link_bytes(LINK_TO_CHILD));
	(void)munmap(ends[B], link_bytes(LINK_TO_CHILD));
	world_release(&w);
	return 0;
}

static void up(void)
{
	say_hello(A, 1, LINK_VERSION, NULL);
	say_hello(B, 1, LINK_VERSION, NULL);
}

/* ---- jobs ---- */

static uint8_t digests[32][32];
static Wire__Input inputs[32], *input_list[32];

/* A step whose tasks take `n` files, from number `first` on. */
static void takes(Wire__Step *st, uint32_t first, uint32_t n, uint64_t bytes)
{
	static char paths[32][8];

	for (uint32_t i = first; i < first + n; i++) {
		memset(digests[i], (int)i + 1, 32);
		(void)snprintf(paths[i], sizeof(paths[i]), "f%u", i);
		inputs[i] = (Wire__Input)WIRE__INPUT__INIT;
		inputs[i].path = paths[i];
		inputs[i].blob = (ProtobufCBinaryData){32, digests[i]};
		inputs[i].size_bytes = bytes;
		input_list[i] = &inputs[i];
	}
	st->inputs = &input_list[first];
	st->n_inputs = n;
}

static uint64_t submit(struct spec *s)
{
	uint64_t job = world_submit(&w, s);

	entries += w.n_last + world_settle(&w);
	for (uint32_t c = A; c <= B; c++)
		link_durable(ends[c], now);
	return job;
}

/* So much of a child by one task, and then so much by another. */
static void busy_with(uint64_t first, uint64_t second)
{
	struct lease_view v = {{0}};
	struct spec s;

	for (uint32_t i = 0; i < 2; i++) {
		spec_init(&s, "busy");
		spec_step(&s, "a", 1);
		s.need[0].amount = i ? second : first;
		(void)submit(&s);
	}
	while (engine_lease_next(w.e, v.id, &v)) {
		link_effect(ends[v.node], now, &(struct effect){.kind = EFFECT_START, .lease = v.id});
		assert_int_equal(next(v.node)->body_case, LINK__FRAME__BODY_GRANT);
	}
	assert_int_equal(v.id.v, 2);
}

/* Takes all places of both children. */
static void busy(void)
{
	busy_with(2000, 2000);
}

static uint64_t job_with_file(uint64_t tasks, uint32_t file)
{
	struct spec s;

	spec_init(&s, "next");
	takes(spec_step(&s, "a", tasks), file, 1, FILE_BYTES);
	return submit(&s);
}

/* What the child is told next is exactly these files of number `first` on; 0 of them: an empty list. */
static void told(uint32_t child, uint32_t first, uint32_t n)
{
	const Link__Frame *f = next(child);

	assert_int_equal(f->body_case, LINK__FRAME__BODY_AHEAD);
	assert_int_equal(f->number, 0); /* nobody waits for it */
	assert_int_equal(f->ahead->n_file, n);
	for (uint32_t i = 0; i < n; i++) {
		assert_memory_equal(f->ahead->file[i]->sha256.data, digests[first + i], 32);
		assert_int_equal(f->ahead->file[i]->bytes, FILE_BYTES);
	}
}

static void told_nothing(uint32_t child)
{
	assert_int_equal(next(child)->body_case, LINK__FRAME__BODY__NOT_SET);
}

static void later(void)
{
	now += AHEAD_NS;
	for (uint32_t c = A; c <= B; c++)
		link_durable(ends[c], now);
}

static void says_it_holds(uint32_t child, uint64_t number, uint32_t file)
{
	Link__Frame f = LINK__FRAME__INIT;
	Link__Held m = LINK__HELD__INIT;

	m.blobs = (ProtobufCBinaryData){8, digests[file]};
	m.at = (char *)(uintptr_t) "";
	f.number = number;
	f.body_case = LINK__FRAME__BODY_HELD;
	f.held = &m;
	give(child, 1, &f);
	assert_int_equal(next(child)->ack, number);
}

/* ---- facts ---- */

static void child_whose_places_are_taken_hears_what_the_next_task_takes(void **state)
{
	(void)state;
	up();
	busy();
	told_nothing(A);
	later();
	(void)job_with_file(2, 0);
	told(A, 0, 1);
	told(B, 0, 1);
	later();
	told_nothing(A); /* once */
}

static void child_with_a_free_place_hears_nothing(void **state)
{
	(void)state;
	up();
	later();
	(void)job_with_file(2, 0); /* they are granted at once */
	assert_int_equal(engine_node_leases(w.e, A) + engine_node_leases(w.e, B), 2);
	told_nothing(A);
	told_nothing(B);
}

/* A small task has room on b, which is kept for a large one: it waits for that, and not for a place on a. */
static void task_that_has_room_elsewhere_brings_nothing(void **state)
{
	struct spec s;

	(void)state;
	up();
	busy_with(2000, 1000);
	assert_int_equal(engine_node_leases(w.e, A), 1);
	later();
	spec_init(&s, "large");
	takes(spec_step(&s, "a", 1), 0, 1, FILE_BYTES);
	s.need[0].amount = 2000;
	(void)submit(&s);
	(void)job_with_file(1, 1);
	assert_int_equal(engine_node_leases(w.e, B), 1);
	told(A, 0, 1);
}

static void no_more_children_hear_of_a_file_than_tasks_wait_for_it(void **state)
{
	(void)state;
	up();
	busy();
	later();
	(void)job_with_file(1, 0);
	told(A, 0, 1);
	told_nothing(B);
	link_disconnected(ends[A], now);
	later();
	told(B, 0, 1); /* a cannot be reached: nothing may go there */
	link_disconnected(ends[B], now);
	assert_int_equal(book.n, 0);
}

static void file_that_a_child_holds_is_not_named_again(void **state)
{
	(void)state;
	up();
	busy();
	later();
	(void)job_with_file(1, 0);
	told(A, 0, 1);
	told_nothing(B);
	says_it_holds(A, 1, 0);
	later();
	told_nothing(A);
	later();
	told(A, 0, 0);
	told_nothing(B); /* a task that is alone goes where its file is */
	assert_int_equal(book.n, 0);
}

static void what_it_said_a_moment_ago_counts_before_there_is_an_entry_of_it(void **state)
{
	(void)state;
	up();
	busy();
	later();
	memset(digests[31], 32, 32);
	memset(digests[0], 1, 32);
	says_it_holds(A, 1, 31);
	later();
	says_it_holds(A, 2, 0);
	(void)job_with_file(2, 0);
	told_nothing(A);
	assert_false(sched_holds(engine_sched(w.e), A, sched_blob(digests[0])));
	told(B, 0, 1);
}

static void task_that_went_elsewhere_takes_its_file_off_the_list(void **state)
{
	uint64_t job;

	(void)state;
	up();
	busy();
	later();
	job = job_with_file(1, 0);
	told(A, 0, 1);
	entries += world_job_command(&w, CMD_CANCEL, job);
	later();
	told_nothing(A); /* it may be that a lease is on its way */
	told_nothing(B);
	now += AHEAD_NS; /* nothing happens, and it is looked at all the same */
	assert_true(link_deadline_ns(ends[A], now) <= now);
	told(A, 0, 0);
	told_nothing(B);
	later();
	assert_true(link_deadline_ns(ends[B], now) >= LINK_ACK_NS); /* of the grant: nobody looks any more */
}

static void list_is_short_and_looked_at_now_and_then(void **state)
{
	struct spec s;

	(void)state;
	up();
	busy();
	later();
	spec_init(&s, "much");
	takes(spec_step(&s, "a", 1), 0, 20, FILE_BYTES);
	(void)submit(&s);
	told(A, 0, FRAME_AHEAD_MAX);
	assert_int_equal(book.n, FRAME_AHEAD_MAX);
	spec_init(&s, "first");
	s.job.priority = 100;
	takes(spec_step(&s, "a", 1), 20, 1, FILE_BYTES);
	(void)submit(&s);
	told_nothing(A); /* not yet */
	assert_int_equal(link_deadline_ns(ends[A], now), now + AHEAD_NS);
	now += AHEAD_NS;
	assert_memory_equal(next(A)->ahead->file[0]->sha256.data, digests[20], 32); /* it comes first */
}

static void new_session_hears_all_of_it_again(void **state)
{
	(void)state;
	up();
	busy();
	later();
	(void)job_with_file(2, 0);
	told(A, 0, 1);
	link_disconnected(ends[A], now);
	link_connected(ends[A], now, 0);
	(void)next(A);
	now += AHEAD_NS;
	say_hello(A, 2, LINK_VERSION, NULL);
	assert_int_equal(
	        next(A)->body_case, LINK__FRAME__BODY_GRANT); /* again: it did not say that it has it */
	told(A, 0, 1);
}

static void nothing_is_named_that_no_lease_would_bring(void **state)
{
	struct spec s;

	(void)state;
	up();
	busy();
	later();
	spec_init(&s, "small"); /* it is quickly there */
	takes(spec_step(&s, "a", 2), 0, 1, LINK_HELD_LEAST - 1);
	(void)submit(&s);
	spec_init(&s, "verified");
	takes(spec_step(&s, "a", 1), 1, 1, FILE_BYTES);
	spec_verify(&s, 0, 2, 2, false);
	(void)submit(&s);
	spec_init(&s, "held");
	s.job.held = true;
	takes(spec_step(&s, "a", 1), 2, 1, FILE_BYTES);
	(void)submit(&s);
	spec_init(&s, "chained");
	spec_step(&s, "a", 1);
	takes(spec_step(&s, "b", 1), 5, 1, FILE_BYTES); /* not yet ready */
	spec_after(&s, 1, "a", WIRE__AFTER__MODE__WHOLE, WIRE__AFTER__ON__SUCCESS);
	(void)submit(&s);
	told_nothing(A);
	told_nothing(B);
}

static void set_state(uint32_t child, Wire__NodeSet__State to)
{
	Wire__NodeSet n = node_of(child, NULL);

	n.node = child;
	n.state = to;
	entries += world_do(&w, &(struct command){.kind = CMD_NODE_SET, .u.node_set = &n});
	(void)world_one(&w, WIRE__ENTRY__BODY_NODE_SET);
}

static void child_that_gets_no_work_hears_nothing(void **state)
{
	(void)state;
	up();
	busy();
	set_state(A, WIRE__NODE_SET__STATE__CORDONED);
	later();
	(void)job_with_file(2, 0);
	told_nothing(A);
	told(B, 0, 1);
	set_state(B, WIRE__NODE_SET__STATE__DRAINED);
	later();
	told_nothing(B);
	later();
	told(B, 0, 0);
	assert_int_equal(book.n, 0);
}

static void over_a_link_with_a_budget_or_a_cost_nothing_comes_ahead(void **state)
{
	Wire__NodeSet__Link budget = WIRE__NODE_SET__LINK__INIT, cost = WIRE__NODE_SET__LINK__INIT;

	(void)state;
	budget.bytes = 1ull << 40;
	budget.per_ns = 3600 * SEC;
	cost.cost = 1;
	say_hello(A, 1, LINK_VERSION, &budget);
	say_hello(B, 1, LINK_VERSION, &cost);
	busy();
	later();
	(void)job_with_file(2, 0);
	told_nothing(A);
	told_nothing(B);
}

static void child_of_an_older_version_hears_nothing(void **state)
{
	(void)state;
	say_hello(A, 1, LINK_MAJOR * 1000 + LINK_AHEAD_MINOR - 1, NULL);
	say_hello(B, 1, LINK_VERSION, NULL);
	busy();
	later();
	(void)job_with_file(2, 0);
	told_nothing(A);
	told(B, 0, 1);
}

static void what_all_children_were_told_is_bounded(void **state)
{
	(void)state;
	up();
	busy();
	book.n = LINK_AHEAD_BOOK; /* by other children, of other files */
	for (uint32_t i = 0; i < book.n; i++)
		book.v[i].node = 7;
	later();
	(void)job_with_file(2, 0);
	told_nothing(A);
	link_ahead_forget(&book, 7);
	later();
	told(A, 0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                child_whose_places_are_taken_hears_what_the_next_task_takes, begin, end),
	        cmocka_unit_test_setup_teardown(child_with_a_free_place_hears_nothing, begin, end),
	        cmocka_unit_test_setup_teardown(task_that_has_room_elsewhere_brings_nothing, begin, end),
	        cmocka_unit_test_setup_teardown(
	                no_more_children_hear_of_a_file_than_tasks_wait_for_it, begin, end),
	        cmocka_unit_test_setup_teardown(file_that_a_child_holds_is_not_named_again, begin, end),
	        cmocka_unit_test_setup_teardown(
	                what_it_said_a_moment_ago_counts_before_there_is_an_entry_of_it, begin, end),
	        cmocka_unit_test_setup_teardown(
	                task_that_went_elsewhere_takes_its_file_off_the_list, begin, end),
	        cmocka_unit_test_setup_teardown(list_is_short_and_looked_at_now_and_then, begin, end),
	        cmocka_unit_test_setup_teardown(new_session_hears_all_of_it_again, begin, end),
	        cmocka_unit_test_setup_teardown(nothing_is_named_that_no_lease_would_bring, begin, end),
	        cmocka_unit_test_setup_teardown(child_that_gets_no_work_hears_nothing, begin, end),
	        cmocka_unit_test_setup_teardown(
	                over_a_link_with_a_budget_or_a_cost_nothing_comes_ahead, begin, end),
	        cmocka_unit_test_setup_teardown(child_of_an_older_version_hears_nothing, begin, end),
	        cmocka_unit_test_setup_teardown(what_all_children_were_told_is_bounded, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
