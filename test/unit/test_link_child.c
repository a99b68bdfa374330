/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about a child's end of a link: when it tells what. */
#include "link_help.h"

#include "core/link_int.h"

enum { LEASES = 150, TASKS = 4 };

static uint32_t hub_version = LINK_VERSION;
static size_t much; /* 1: with each result comes as much as goes into a frame */
static struct link_end *end;
static void *end_mem;
static uint8_t key[32], journal_id[32], secret[32];

static void shell_results(void *ctx, job_id job, uint64_t first, uint64_t most, size_t room, struct arena *a,
        struct link_results *r)
{
	static const uint8_t bytes[LINK_BATCH_MAX];
	static struct link_data data = {0, bytes, sizeof(bytes)};

	(void)ctx, (void)job, (void)first, (void)room, (void)a;
	r->columns->count = most;
	r->data = &data;
	r->n_data = much;
}

static Wire__NodeSet node(void)
{
	Wire__NodeSet n = WIRE__NODE_SET__INIT;

	n.name = (char *)(uintptr_t) "press";
	n.address = (char *)(uintptr_t) "10.0.0.4";
	n.port_first = 20000;
	n.port_count = 100;
	return n;
}

static uint32_t aheads;

static void shell_ahead(void *ctx, const Link__Ahead *m)
{
	(void)ctx;
	assert_int_equal(m->n_file, 1);
	aheads++;
}

static const Link__Frame *next_at(uint64_t now)
{
	return next_of(end, now);
}

static void give(uint64_t now, Link__Frame *f)
{
	f->session = 1;
	link_receive(end, now, in, frame_encode(f, in));
}

/* Of the hub's leases 1 to n here, each of TASKS tasks, one task has a result. */
static void work(uint32_t n)
{
	Wire__LinkSet parent = WIRE__LINK_SET__INIT;
	Wire__Delegated of = WIRE__DELEGATED__INIT;
	struct command take = {.kind = CMD_DELEGATED};
	struct lease_view v = {{0}};
	struct spec s;

	parent.name = (char *)(uintptr_t) "hall";
	parent.key = (ProtobufCBinaryData){32, key};
	world_do(&w, &(struct command){.kind = CMD_LINK_SET, .u.link_set = &parent});
	for (of.lease = 1; of.lease <= n; of.lease++) {
		spec_init(&s, "part");
		spec_step(&s, "a", TASKS);
		take.u.delegated.spec = &s.job;
		take.u.delegated.of = &of;
		world_do(&w, &take);
		(void)world_one(&w, WIRE__ENTRY__BODY_JOB_SUBMITTED);
	}
	world_settle(&w);
	while (engine_lease_next(w.e, v.id, &v))
		if (v.cursor == 0)
			world_results(&w, v.id.v, 0, 1, WIRE__OUTCOME__SUCCEEDED, 0);
}

static void begin(uint32_t n)
{
	struct link_shell shell = {.command = shell_command,
	        .appended = shell_size,
	        .durable = shell_size,
	        .results = shell_results,
	        .ahead = shell_ahead};
	Wire__NodeSet offer = node();
	struct link_self self = {.side = LINK_TO_HUB,
	        .name = "press",
	        .key = key,
	        .journal = journal_id,
	        .secret = secret,
	        .offer = &offer};
	Link__Frame f = LINK__FRAME__INIT;
	Link__Welcome m = LINK__WELCOME__INIT;
	uint64_t live[LEASES], cursor[LEASES] = {0};

	world_init(&w);
	w.check = 0;
	entries = 0;
	world_boot(&w);
	world_node(&w, 1, LEASES * TASKS, WIRE__NODE_SET__STATE__UP);
	work(n);
	shell.engine = w.e;
	end_mem = mmap(
	        NULL, link_bytes(LINK_TO_HUB), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(end_mem != MAP_FAILED);
	end = link_init(end_mem, &self, &shell, scratch, sizeof(scratch));
	link_connected(end, 1, 0);
	assert_int_equal(next_at(1)->body_case, LINK__FRAME__BODY_HELLO);
	for (uint32_t i = 0; i < n; i++)
		live[i] = 1;
	m.version = hub_version;
	m.node = 2;
	m.lease_last = n;
	m.live = live;
	m.cursor = cursor;
	m.n_live = m.n_cursor = n;
	f.body_case = LINK__FRAME__BODY_WELCOME;
	f.welcome = &m;
	give(1, &f);
}

static void finish(void)
{
	munmap(end_mem, link_bytes(LINK_TO_HUB));
	world_release(&w);
}

static uint32_t told_at(uint64_t now)
{
	uint32_t n = 0;

	while (next_at(now)->body_case == LINK__FRAME__BODY_RESULTS)
		n++;
	return n;
}

/* What the strict reader of version 1.1 knew of a node: nothing above field 14. */
static void hub_of_before_gangs_is_told_what_it_knows(void **state)
{
	const Link__Frame *f;
	const Wire__NodeSet *said;
	Wire__NodeSet offer = node();
	struct arena a;

	(void)state;
	hub_version = LINK_MAJOR * 1000 + LINK_GANGS_MINOR - 1;
	begin(0);
	for (int i = 0; i < 2; i++) { /* after its Welcome, and when something changes */
		f = next_at(1);
		assert_int_equal(f->body_case, LINK__FRAME__BODY_NODE);
		arena_init(&a, scratch, sizeof(scratch));
		assert_int_equal(frame_node(&a, &f->node->node, &said, NULL), 0);
		assert_string_equal(said->name, "press");
		assert_string_equal(said->address, "");
		assert_int_equal(said->port_first + said->port_count, 0);
		link_node(end, 1, &offer);
	}
	finish();
	hub_version = LINK_VERSION;
	begin(0);
	assert_int_not_equal(next_at(1)->body_case, LINK__FRAME__BODY_NODE); /* the Hello said all */
	link_node(end, 1, &offer);
	f = next_at(1);
	assert_int_equal(f->body_case, LINK__FRAME__BODY_NODE);
	arena_init(&a, scratch, sizeof(scratch));
	assert_int_equal(frame_node(&a, &f->node->node, &said, NULL), 0);
	assert_string_equal(said->address, "10.0.0.4");
	finish();
}

static void few_leases_tell_what_they_have_at_once(void **state)
{
	(void)state;
	begin(PACED_PARTS);
	assert_int_equal(told_at(1 + LINK_BATCH_NS), PACED_PARTS);
	finish();
}

static void of_many_leases_those_that_run_on_tell_in_turns(void **state)
{
	const uint64_t t = 1 + LINK_BATCH_NS;

	(void)state;
	begin(LEASES);
	assert_int_equal(told_at(t), 1);
	assert_int_equal(link_deadline_ns(end, t), t + PACE_NS);
	assert_int_equal(told_at(t + PACE_NS - 1), 0);
	assert_int_equal(told_at(t + PACE_NS), 1);
	for (uint64_t i = 2; i < LEASES; i++) { /* each in its turn */
		const Link__Frame *f = next_at(t + i * PACE_NS);
		const Wire__Results *r;
		struct arena a;

		assert_int_equal(f->body_case, LINK__FRAME__BODY_RESULTS);
		arena_init(&a, scratch, sizeof(scratch));
		assert_int_equal(frame_results(&a, &f->results->results, &r, NULL), 0);
		assert_int_equal(r->lease, i + 1);
	}
	assert_int_equal(told_at(t + (LEASES + 1) * PACE_NS), 0);
	finish();
}

static void lease_that_has_finished_waits_for_nobody(void **state)
{
	const uint64_t t = 1 + LINK_BATCH_NS;
	struct effect fx = {.kind = EFFECT_DELEGATED, .lease = {LEASES}, .task = TASKS, .a = 1};
	struct delegated_view d;
	struct lease_view v = {{0}};
	const Link__Frame *f;

	(void)state;
	begin(LEASES);
	assert_int_equal(told_at(t), 1);
	assert_true(engine_delegated(w.e, 1, (lease_id){LEASES}, &d));
	do {
		world_settle(&w);
		v.id.v = 0;
		while (engine_lease_next(w.e, v.id, &v) && v.job.v != d.job.v)
			;
		assert_int_equal(v.job.v, d.job.v);
		if (v.cursor == v.first + v.count)
			world_ended(&w, v.id.v, WIRE__STOP_REASON__DONE);
		else
			world_run(&w, &v, WIRE__OUTCOME__SUCCEEDED);
		assert_true(engine_delegated(w.e, 1, (lease_id){LEASES}, &d));
	} while (!d.finished);
	fx.job = d.job;
	link_effect(end, t + 1, &fx);
	f = next_at(t + 1 + LINK_BATCH_NS);
	assert_int_equal(f->body_case, LINK__FRAME__BODY_RESULTS);
	assert_int_equal(next_at(t + 1 + 2 * LINK_BATCH_NS)->body_case, LINK__FRAME__BODY_ENDED);
	finish();
}

static void what_a_node_can_do_is_said_past_a_full_window(void **state)
{
	const uint64_t t = 1 + LINK_BATCH_NS;
	Wire__NodeSet offer = WIRE__NODE_SET__INIT;

	(void)state;
	much = 1;
	begin(3);
	assert_int_equal(told_at(t), 1);
	link_node(end, t, &offer);
	assert_int_equal(next_at(t)->body_case, LINK__FRAME__BODY_NODE);
	assert_int_equal(next_at(t)->body_case, LINK__FRAME__BODY__NOT_SET);
	much = 0;
	finish();
}

static Link__Frame ahead_of(Link__Ahead *m, Link__AheadFile *file, Link__AheadFile **files)
{
	Link__Frame f = LINK__FRAME__INIT;

	*m = (Link__Ahead)LINK__AHEAD__INIT;
	*file = (Link__AheadFile)LINK__AHEAD_FILE__INIT;
	file->sha256 = (ProtobufCBinaryData){32, key};
	file->bytes = 1000;
	*files = file;
	m->file = files;
	m->n_file = 1;
	f.body_case = LINK__FRAME__BODY_AHEAD;
	f.ahead = m;
	return f;
}

static void files_ahead_go_to_the_shell_and_change_nothing_here(void **state)
{
	Link__AheadFile file, *files;
	Link__Ahead m;
	Link__Frame f = ahead_of(&m, &file, &files);
	uint64_t before;
	struct link_view was, is;

	(void)state;
	begin(1);
	(void)told_at(SEC);
	before = entries;
	aheads = 0;
	link_look(end, &was);
	give(SEC, &f);
	give(SEC, &f); /* doubled */
	assert_int_equal(aheads, 2);
	f.number = 1; /* as nobody sends it: passed over, and acknowledged as any kind that is not known */
	give(SEC, &f);
	assert_int_equal(aheads, 2);
	assert_int_equal(next_at(SEC)->ack, 1);
	link_look(end, &is);
	assert_int_equal(is.state, LINK_UP);
	assert_int_equal(is.session, was.session);
	assert_int_equal(is.bad, was.bad);
	assert_int_equal(entries, before);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(hub_of_before_gangs_is_told_what_it_knows),
	        cmocka_unit_test(few_leases_tell_what_they_have_at_once),
	        cmocka_unit_test(of_many_leases_those_that_run_on_tell_in_turns),
	        cmocka_unit_test(lease_that_has_finished_waits_for_nobody),
	        cmocka_unit_test(what_a_node_can_do_is_said_past_a_full_window),
	        cmocka_unit_test(files_ahead_go_to_the_shell_and_change_nothing_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
