/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about links: who may join, what is delegated once, and what a hub says to a child that errs or lies. */
#include "link_help.h"

#include "core/grant.h"
#include "core/sources.h"

static struct link_end *hub_end;
static bool hub_end_takes_nothing; /* of results: as if they did not fit their tasks */
static void *end_mem;
static uint8_t key[32], journal_id[32];

/* ---- what is the hub's own in its shell ---- */

static void shell_take(void *ctx, const Wire__Results *r, const struct link_data *data, size_t n)
{
	struct err e;

	(void)data;
	(void)n;
	if (hub_end_takes_nothing)
		return;
	assert_true(shell_command(ctx, &(struct command){.kind = CMD_RESULTS, .u.results = r}, &e));
}

/* ---- the child: frames by hand ---- */

static struct hello {
	Link__Frame f;
	Link__Hello h;
	uint64_t held[1];
	uint8_t tags[4], node[256];
} hello;

static void hello_init(uint64_t session)
{
	Wire__NodeSet n = WIRE__NODE_SET__INIT;
	Wire__Need cpu = WIRE__NEED__INIT, *needs = &cpu;

	hello = (struct hello){.f = LINK__FRAME__INIT, .h = LINK__HELLO__INIT};
	cpu.name = (char *)(uintptr_t) "cpu";
	cpu.amount = 4000;
	n.name = hello.h.name = (char *)(uintptr_t) "press";
	n.n_capacity = 1;
	n.capacity = &needs;
	hello.f.session = session;
	hello.f.size = 20;
	hello.f.body_case = LINK__FRAME__BODY_HELLO;
	hello.f.hello = &hello.h;
	hello.h.version = LINK_VERSION;
	hello.h.key = (ProtobufCBinaryData){32, key};
	hello.h.journal = (ProtobufCBinaryData){32, journal_id};
	hello.h.node = (ProtobufCBinaryData){wire__node_set__pack(&n, hello.node), hello.node};
}

static void give_at(uint64_t now, Link__Frame *f)
{
	size_t n = frame_encode(f, in);

	link_receive(hub_end, now, in, n);
}

static void give(Link__Frame *f)
{
	give_at(1, f);
}

/* The hub's next frame; body_case NOT_SET: it says nothing. */
static const Link__Frame *next(void)
{
	return next_of(hub_end, 1);
}

static Wire__NodeSet child(const char *name)
{
	static Wire__Need cpu, *needs = &cpu;
	Wire__NodeSet n = WIRE__NODE_SET__INIT;

	cpu = (Wire__Need)WIRE__NEED__INIT;
	cpu.name = (char *)(uintptr_t) "cpu";
	cpu.amount = 4000;
	n.name = (char *)(uintptr_t)name;
	n.key = (ProtobufCBinaryData){32, key};
	n.journal = (ProtobufCBinaryData){32, journal_id};
	n.from_size = 12;
	n.n_capacity = 1;
	n.capacity = &needs;
	return n;
}

static void join(const char *name)
{
	Wire__NodeSet n = child(name);

	entries += world_do(&w, &(struct command){.kind = CMD_NODE_JOIN, .u.node_set = &n});
}

static void hub_starts_again(void)
{
	struct link_shell shell = {.engine = w.e,
	        .command = shell_command,
	        .appended = shell_size,
	        .durable = shell_size,
	        .spec = shell_spec,
	        .take_results = shell_take};
	struct link_self self = {.side = LINK_TO_CHILD, .name = "press", .node = 2};

	memset(end_mem, 0, link_bytes(LINK_TO_CHILD));
	hub_end = link_init(end_mem, &self, &shell, scratch, sizeof(scratch));
	link_connected(hub_end, 1, 0);
	assert_int_equal(next()->body_case, LINK__FRAME__BODY_RESET); /* whatever it believes */
}

/* A hub whose own machine has one cpu, and a child 'press' with four that has joined. */
static void begin(void)
{
	world_init(&w);
	entries = 0;
	memset(key, 7, sizeof(key));
	memset(journal_id, 9, sizeof(journal_id));
	world_boot(&w);
	world_node(&w, 1, 1, WIRE__NODE_SET__STATE__UP);
	join("press");
	(void)world_one(&w, WIRE__ENTRY__BODY_NODE_SET);
	end_mem = mmap(
	        NULL, link_bytes(LINK_TO_CHILD), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(end_mem != MAP_FAILED);
	hub_starts_again();
}

static void end(void)
{
	munmap(end_mem, link_bytes(LINK_TO_CHILD));
	world_release(&w);
}

static void refused_with(Link__Refused__Code code, const char *words)
{
	const Link__Frame *f;

	give(&hello.f);
	f = next();
	assert_int_equal(f->body_case, LINK__FRAME__BODY_REFUSED);
	assert_int_equal(f->session, hello.f.session);
	assert_int_equal(f->refused->code, code);
	if (!strstr(f->refused->reason, words))
		fail_msg("'%s' does not say '%s'", f->refused->reason, words);
	assert_true(f->refused->hint[0] != '\0');
}

static Wire__NodeSet__State link_of(uint32_t node)
{
	struct child_view c;

	assert_true(engine_child(w.e, node, &c));
	return c.link;
}

/* ---- sessions ---- */

static void child_that_is_known_is_welcome(void **state)
{
	const Link__Frame *f;

	(void)state;
	begin();
	hello_init(1);
	give(&hello.f);
	f = next();
	assert_int_equal(f->body_case, LINK__FRAME__BODY_WELCOME);
	assert_int_equal(f->session, 1);
	assert_int_equal(f->welcome->node, 2);
	assert_int_equal(f->welcome->n_live, 0);
	assert_int_equal(link_of(2), WIRE__NODE_SET__STATE__UP);
	link_disconnected(hub_end, 2);
	assert_int_equal(link_of(2), WIRE__NODE_SET__STATE__DISCONNECTED);
	end();
}

static void who_is_not_who_joined_is_refused_in_words(void **state)
{
	(void)state;
	begin();
	hello_init(1);
	hello.h.version = 2000;
	refused_with(LINK__REFUSED__CODE__VERSION, "version 2.0");
	hello_init(2);
	hello.h.version = LINK_VERSION + 2;
	refused_with(LINK__REFUSED__CODE__VERSION, "version 1.4");
	hello_init(3);
	key[0] ^= 1;
	refused_with(LINK__REFUSED__CODE__UNKNOWN, "does not know its key");
	key[0] ^= 1;
	hello_init(4);
	journal_id[0] ^= 1;
	refused_with(LINK__REFUSED__CODE__OTHER, "another journal");
	journal_id[0] ^= 1;
	hello_init(5);
	hello.f.size = 11;
	refused_with(LINK__REFUSED__CODE__CHILD_OLD, "has 11 entries, and this hub has heard of 12");
	hello_init(6);
	hello.h.lease_seen = 1;
	refused_with(LINK__REFUSED__CODE__HUB_OLD, "has seen lease 1");
	assert_int_equal(link_of(2), WIRE__NODE_SET__STATE__DISCONNECTED);
	hello_init(7);
	hello.h.version = LINK_VERSION + 1; /* one minor version apart works */
	give(&hello.f);
	assert_int_equal(next()->body_case, LINK__FRAME__BODY_WELCOME);
	end();
}

/* A Hello from this place; which answer? */
static Link__Frame__BodyCase hello_from(uint64_t place, uint64_t session, uint64_t now, const char *words)
{
	const Link__Frame *f;

	hello_init(session);
	hello.h.place = place;
	give_at(now, &hello.f);
	f = next();
	if (f->body_case == LINK__FRAME__BODY_REFUSED) {
		assert_int_equal(f->refused->code, LINK__REFUSED__CODE__CHILD_OLD);
		assert_non_null(strstr(f->refused->reason, words));
		assert_non_null(strstr(f->refused->hint, "stop the copy"));
	}
	return f->body_case;
}

static void copy_beside_the_node_that_is_up_is_refused(void **state)
{
	const uint64_t s = 1000000000;

	(void)state;
	begin();
	assert_int_equal(hello_from(5, 1, 100 * s, ""), LINK__FRAME__BODY_WELCOME);
	/* The broker throws the one out when the other comes. */
	link_disconnected(hub_end, 200 * s);
	link_connected(hub_end, 200 * s, 0);
	(void)next();
	assert_int_equal(hello_from(6, 2, 200 * s + 1, "one of both is a copy"), LINK__FRAME__BODY_REFUSED);
	assert_int_equal(link_of(2), WIRE__NODE_SET__STATE__DISCONNECTED);
	assert_int_equal(hello_from(5, 3, 201 * s, ""), LINK__FRAME__BODY_WELCOME);
	assert_int_equal(link_of(2), WIRE__NODE_SET__STATE__UP);
	/* Neither while it is up, whichever way it comes. */
	assert_int_equal(hello_from(6, 4, 500 * s, "one of both is a copy"), LINK__FRAME__BODY_REFUSED);
	assert_int_equal(hello_from(5, 5, 501 * s, ""), LINK__FRAME__BODY_WELCOME);
	end();
}

static void node_that_was_moved_is_welcome_when_its_old_place_is_silent(void **state)
{
	const uint64_t s = 1000000000;

	(void)state;
	begin();
	assert_int_equal(hello_from(5, 1, 100 * s, ""), LINK__FRAME__BODY_WELCOME);
	link_disconnected(hub_end, 200 * s);
	link_connected(hub_end, 210 * s, 0);
	(void)next();
	assert_int_equal(hello_from(6, 2, 219 * s, "one of both is a copy"), LINK__FRAME__BODY_REFUSED);
	assert_int_equal(hello_from(6, 3, 220 * s, ""), LINK__FRAME__BODY_WELCOME);
	/* Now that is where it is. */
	assert_int_equal(hello_from(5, 4, 221 * s, "one of both is a copy"), LINK__FRAME__BODY_REFUSED);
	/* Who does not say where it is, an older one, is not asked. */
	assert_int_equal(hello_from(0, 5, 222 * s, ""), LINK__FRAME__BODY_WELCOME);
	assert_int_equal(hello_from(7, 6, 223 * s, ""), LINK__FRAME__BODY_WELCOME);
	/* Nor who joined anew. */
	link_effect(hub_end, 224 * s, &(struct effect){.kind = EFFECT_LINK, .a = 2, .b = 1});
	(void)next();
	assert_int_equal(hello_from(8, 7, 225 * s, ""), LINK__FRAME__BODY_WELCOME);
	end();
}

static void late_hello_of_an_old_session_does_not_end_the_new_one(void **state)
{
	const Link__Frame *f;
	struct link_view v;

	(void)state;
	begin();
	hello_init(5);
	give(&hello.f);
	(void)next();
	hello_init(4);
	give(&hello.f);
	f = next();
	assert_int_equal(f->body_case, LINK__FRAME__BODY_REFUSED);
	assert_int_equal(f->refused->code, LINK__REFUSED__CODE__STALE);
	assert_int_equal(f->refused->session_least, 6);
	link_look(hub_end, &v);
	assert_int_equal(v.state, LINK_UP);
	assert_int_equal(v.session, 5);
	end();
}

static void asks_session(uint64_t now, uint64_t session)
{
	const Link__Frame *f = next_of(hub_end, now);

	assert_int_equal(f->body_case, LINK__FRAME__BODY_RESET);
	assert_int_equal(f->session, session);
}

/* Of a life that the node's journal does not know any more, because it went back: late by days, and numbered above what is now. */
static void late_hello_that_is_refused_does_not_end_the_session_that_is_up(void **state)
{
	const uint64_t t = 1000000000000;
	const Link__Frame *f;

	(void)state;
	begin();
	hello_init(5);
	give(&hello.f);
	assert_int_equal(next()->body_case, LINK__FRAME__BODY_WELCOME);
	hello_init(9);
	hello.f.size = 11;
	give_at(t, &hello.f);
	f = next_of(hub_end, t);
	assert_int_equal(f->body_case, LINK__FRAME__BODY_REFUSED);
	assert_int_equal(f->session, 9);
	asks_session(t, 5);
	assert_int_equal(link_of(2), WIRE__NODE_SET__STATE__UP);
	/* Another one, before the node could answer. */
	hello_init(8);
	hello.f.size = 11;
	give_at(t, &hello.f);
	assert_int_equal(next_of(hub_end, t)->body_case, LINK__FRAME__BODY_REFUSED);
	assert_int_equal(link_of(2), WIRE__NODE_SET__STATE__UP);
	hello_init(6);
	give_at(t + 1, &hello.f);
	assert_int_equal(next_of(hub_end, t + 1)->body_case, LINK__FRAME__BODY_WELCOME);
	assert_int_equal(link_of(2), WIRE__NODE_SET__STATE__UP);
	end();
}

/* So is any other frame: its session is asked first, then whichever lives; and nobody for ever. */
static void late_frame_of_a_higher_session_does_not_end_the_link(void **state)
{
	Link__Frame late = LINK__FRAME__INIT;
	Link__Status status = LINK__STATUS__INIT;
	uint64_t t = 1000000000000;
	struct link_view v;

	(void)state;
	begin();
	hello_init(5);
	give(&hello.f);
	assert_int_equal(next()->body_case, LINK__FRAME__BODY_WELCOME);
	late.session = 7;
	late.number = 1;
	late.body_case = LINK__FRAME__BODY_STATUS;
	late.status = &status;
	give_at(t, &late);
	asks_session(t, 7);
	asks_session(t + LINK_HELLO_NS, 0);
	hello_init(6);
	give_at(t + LINK_HELLO_NS, &hello.f);
	assert_int_equal(next_of(hub_end, t + LINK_HELLO_NS)->body_case, LINK__FRAME__BODY_WELCOME);
	assert_int_equal(link_of(2), WIRE__NODE_SET__STATE__UP);
	/* Nobody answers. */
	t *= 2;
	give_at(t, &late);
	asks_session(t, 7);
	for (int i = 0; i < 20 && link_of(2) == WIRE__NODE_SET__STATE__UP; i++) {
		t = link_deadline_ns(hub_end, t);
		(void)next_of(hub_end, t);
	}
	assert_int_equal(link_of(2), WIRE__NODE_SET__STATE__DISCONNECTED);
	link_look(hub_end, &v);
	assert_int_equal(v.state, LINK_HELLO);
	end();
}

static uint64_t with_lease_of(uint64_t tasks, uint32_t replicas)
{
	const Link__Frame *f;
	struct lease_view l = {{0}};
	uint64_t job;
	struct spec s;

	begin();
	hello_init(1);
	give(&hello.f);
	(void)next();
	spec_init(&s, "work");
	spec_step(&s, "a", tasks);
	if (replicas)
		spec_verify(&s, 0, replicas, replicas, false);
	s.need[0].amount = 2000; /* more than the hub's own machine has */
	job = world_submit(&w, &s);
	entries += w.n_last + world_settle(&w);
	assert_true(engine_node_lease_next(w.e, 2, (lease_id){0}, &l));
	link_effect(hub_end, 1, &(struct effect){.kind = EFFECT_START, .lease = l.id});
	f = next();
	assert_int_equal(f->body_case, LINK__FRAME__BODY_GRANT);
	assert_int_equal(f->number, 1);
	assert_int_equal(f->grant->lease, l.id.v);
	assert_int_equal(f->grant->tag, l.tag);
	assert_int_equal(f->grant->commit, replicas > 1);
	return job;
}

/* A session with lease 1 of a job of `tasks` tasks given to the child. */
static uint64_t with_lease(uint64_t tasks)
{
	return with_lease_of(tasks, 0);
}

static Link__Frame results(Link__Results *m, uint64_t number, uint64_t lease, uint64_t first)
{
	static uint8_t bytes[64];
	Wire__Results r = WIRE__RESULTS__INIT;
	Link__Frame f = LINK__FRAME__INIT;

	*m = (Link__Results)LINK__RESULTS__INIT;
	r.lease = lease;
	r.first = first;
	r.count = 1;
	m->results = (ProtobufCBinaryData){wire__results__pack(&r, bytes), bytes};
	f.session = 1;
	f.number = number;
	f.size = 30;
	f.body_case = LINK__FRAME__BODY_RESULTS;
	f.results = m;
	return f;
}

static void result_is_committed_and_acknowledged(void **state)
{
	uint64_t job;
	struct child_view c;
	Link__Results m;
	Link__Frame f;
	const Link__Frame *ack;

	(void)state;
	job = with_lease(1);
	f = results(&m, 1, 1, 0);
	give(&f);
	assert_int_equal(world_job(&w, job).counts.succeeded, 1);
	ack = next();
	assert_int_equal(ack->ack, 1);
	assert_true(engine_child(w.e, 2, &c));
	assert_int_equal(c.from_size, 30);
	give(&f); /* once more */
	assert_int_equal(world_job(&w, job).counts.succeeded, 1);
	end();
}

/* ---- replicas commit, then reveal ---- */

enum what { COMMITS, REVEALS, REVEALS_ANOTHER };

/* Results of the only task of a lease, which wrote nothing. */
static Link__Frame voted(Link__Results *m, uint64_t number, uint64_t lease, enum what what)
{
	static uint8_t bytes[256], nonce[RESULT_NONCE_BYTES], sum[32];
	Wire__Results r = WIRE__RESULTS__INIT, bare = WIRE__RESULTS__INIT;
	Link__Frame f = results(m, number, lease, 0);

	memset(nonce, (int)lease, sizeof(nonce));
	nonce[0] ^= what == REVEALS_ANOTHER;
	r.lease = lease;
	r.count = 1;
	r.nonces = (ProtobufCBinaryData){sizeof(nonce), nonce};
	if (what == COMMITS) {
		engine_commitments(&r, sum);
		bare.lease = lease;
		bare.count = 1;
		bare.commitments = (ProtobufCBinaryData){sizeof(sum), sum};
		r = bare;
	}
	m->results = (ProtobufCBinaryData){wire__results__pack(&r, bytes), bytes};
	return f;
}

/* Two leases, of the two replicas of one task, on the child. */
static uint64_t with_replicas(void)
{
	uint64_t job = with_lease_of(1, 2);
	const Link__Frame *f;

	link_effect(hub_end, 1, &(struct effect){.kind = EFFECT_START, .lease = {2}});
	f = next();
	assert_int_equal(f->body_case, LINK__FRAME__BODY_GRANT);
	assert_true(f->grant->commit);
	return job;
}

static void reveals(uint64_t lease)
{
	const Link__Frame *f;

	link_effect(hub_end, 1, &(struct effect){.kind = EFFECT_REVEAL, .lease = {lease}});
	f = next();
	assert_int_equal(f->body_case, LINK__FRAME__BODY_REVEAL);
	assert_int_equal(f->reveal->lease, lease);
	assert_int_equal(f->reveal->first, 0);
}

static void replica_is_asked_to_reveal_when_both_have_committed(void **state)
{
	Link__Results m;
	Link__Frame f;
	lease_id l = {0};
	uint64_t job;

	(void)state;
	job = with_replicas();
	f = voted(&m, 1, 1, COMMITS);
	give(&f);
	assert_false(engine_reveal_next(w.e, (lease_id){0}, &l));
	f = voted(&m, 2, 1, REVEALS); /* it was not asked */
	give(&f);
	assert_int_equal(engine_held_next(w.e, (lease_id){1}, 0), 0);
	f = voted(&m, 3, 2, COMMITS);
	give(&f);
	assert_true(engine_reveal_next(w.e, (lease_id){0}, &l));
	reveals(1);
	reveals(2);
	f = voted(&m, 4, 1, REVEALS);
	give(&f);
	f = voted(&m, 5, 1, REVEALS); /* once more */
	give(&f);
	f = voted(&m, 6, 2, REVEALS);
	give(&f);
	assert_int_equal(world_job(&w, job).counts.succeeded, 1);
	end();
}

static void what_was_not_committed_to_is_nobodys_vote(void **state)
{
	struct vote_view v[2];
	Link__Results m;
	Link__Frame f;
	uint64_t job;

	(void)state;
	job = with_replicas();
	for (uint64_t i = 1; i <= 2; i++) {
		f = voted(&m, i, i, COMMITS);
		give(&f);
	}
	reveals(2);
	f = voted(&m, 3, 2, REVEALS_ANOTHER);
	give(&f);
	assert_int_equal(engine_votes(w.e, (job_id){job}, 0, 0, v, 2), 2);
	assert_int_equal(v[1].outcome, WIRE__OUTCOME__DISAGREED);
	assert_int_equal(world_job(&w, job).counts.succeeded, 0);
	end();
}

static void replica_that_tells_at_once_is_not_believed(void **state)
{
	struct lease_view l;
	Link__Results m;
	Link__Frame f;
	uint64_t job;

	(void)state;
	job = with_replicas();
	f = results(&m, 1, 1, 0);
	give(&f);
	assert_false(engine_lease(w.e, (lease_id){1}, &l));
	assert_int_equal(world_job(&w, job).counts.succeeded, 0);
	end();
}

static Link__Frame failed(Link__Results *m, uint64_t number, uint64_t lease)
{
	static uint8_t bytes[64];
	static Wire__Outcome outcome = WIRE__OUTCOME__FAILED;
	Wire__Results r = WIRE__RESULTS__INIT;
	Link__Frame f = results(m, number, lease, 0);

	r.lease = lease;
	r.count = r.n_outcome = 1;
	r.outcome = &outcome;
	m->results = (ProtobufCBinaryData){wire__results__pack(&r, bytes), bytes};
	return f;
}

/* Its journal may have gone back since it told that it failed, and now it believes to have an answer: without a word it would wait to be
 * asked for ever, and the job for its end. */
static void replica_of_which_nothing_is_held_is_told_that_it_may_end(void **state)
{
	uint64_t held[2] = {1, 1};
	uint8_t tags[8];
	struct lease_view l = {{0}};
	Link__Results m;
	const Link__Frame *r;
	Link__Frame f;

	(void)state;
	(void)with_replicas();
	f = failed(&m, 1, 1);
	give(&f);
	for (unsigned i = 0; engine_node_lease_next(w.e, 2, l.id, &l); i++)
		for (unsigned b = 0; b < 4; b++)
			tags[4 * i + b] = (uint8_t)(l.tag >> (8 * b));
	assert_int_equal(l.id.v, 2);
	hello_init(2);
	hello.f.size = 40;
	hello.h.lease_seen = hello.h.n_held = 2;
	hello.h.held = held;
	hello.h.tags = (ProtobufCBinaryData){8, tags};
	give(&hello.f);
	r = next();
	assert_int_equal(r->body_case, LINK__FRAME__BODY_WELCOME);
	assert_int_equal(r->welcome->n_live, 2);
	r = next();
	assert_int_equal(r->body_case, LINK__FRAME__BODY_REVEAL);
	assert_int_equal(r->reveal->lease, 1);
	assert_int_equal(r->reveal->first, 1);                           /* behind its only task */
	assert_int_equal(next()->body_case, LINK__FRAME__BODY__NOT_SET); /* the other has still to tell */
	end();
}

/* It could not commit: it would be told what to do and tell what it came to, before the others have committed. */
static void child_that_cannot_commit_gets_no_replicas(void **state)
{
	Wire__NodeSet older = child("press");
	struct lease_view l = {{0}};
	struct spec s;

	(void)state;
	begin();
	hello_init(1);
	give(&hello.f);
	(void)next();
	older.node = 2; /* as a journal of before knows it */
	older.from_size = 0;
	older.key = older.journal = (ProtobufCBinaryData){0, NULL};
	entries += world_do(&w, &(struct command){.kind = CMD_NODE_SET, .u.node_set = &older});
	(void)world_one(&w, WIRE__ENTRY__BODY_NODE_SET);
	spec_init(&s, "work");
	spec_step(&s, "a", 1);
	spec_verify(&s, 0, 2, 2, false);
	s.need[0].amount = 2000;
	(void)world_submit(&w, &s);
	entries += w.n_last + world_settle(&w);
	assert_false(engine_node_lease_next(w.e, 2, (lease_id){0}, &l));
	hello_init(2);
	give(&hello.f); /* it can now */
	entries += world_settle(&w);
	assert_true(engine_node_lease_next(w.e, 2, (lease_id){0}, &l));
	end();
}

/* One minor version later there may be more to say, in any part of it: what is known of it counts, and nothing else is written down. */
static void offer_with_fields_of_a_later_version_is_taken(void **state)
{
	static const uint8_t offer[] = "\x12\5press\x1a\x0e\n\3cpu\x10\xb8\x17\xf2\x07\3new\xf8\x07\x2a";
	const Wire__NodeSet *kept;
	struct arena a;

	(void)state;
	begin();
	hello_init(1);
	hello.h.version = LINK_VERSION + 1;
	hello.h.node = (ProtobufCBinaryData){sizeof(offer) - 1, (uint8_t *)(uintptr_t)offer};
	give(&hello.f);
	assert_int_equal(next()->body_case, LINK__FRAME__BODY_WELCOME);
	arena_init(&a, scratch, sizeof(scratch));
	kept = engine_node_open(w.e, 2, &a);
	assert_non_null(kept);
	assert_int_equal(kept->capacity[0]->amount, 3000);
	assert_int_equal(kept->base.n_unknown_fields + kept->capacity[0]->base.n_unknown_fields, 0);
	world_replay_is_equal(&w); /* which reads entries strictly */
	end();
}

static void results_of_other_tasks_or_leases_are_not_taken(void **state)
{
	static const struct {
		uint64_t lease, first;
	} bad[] = {{1, 1}, {2, 0}};
	struct link_view v;
	Link__Results m;
	Link__Frame f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint64_t job = with_lease(1);
		struct spec s;

		spec_init(&s, "own");
		spec_step(&s, "a", 1);
		(void)world_submit(&w, &s); /* lease 2 is of the hub's own machine */
		(void)world_settle(&w);
		f = results(&m, 1, bad[i].lease, bad[i].first);
		give(&f);
		assert_int_equal(world_job(&w, job).counts.succeeded, 0);
		link_look(hub_end, &v);
		assert_int_equal(v.bad, 1);
		assert_int_equal(next()->body_case, LINK__FRAME__BODY_RESET);
		end();
	}
}

static void garbage_is_counted_and_dropped(void **state)
{
	struct link_view v;

	(void)state;
	(void)with_lease(1);
	memset(in, 0xff, 1000);
	link_receive(hub_end, 1, in, 1000);
	link_receive(hub_end, 1, in, 0);
	link_look(hub_end, &v);
	assert_int_equal(v.bad, 1); /* no bytes at all are a frame with nothing in it */
	assert_int_equal(v.state, LINK_UP);
	end();
}

/* A lease that the hub has granted and not yet told of: its number is easy to guess. */
static void lease_that_was_not_given_yet_is_nobodys(void **state)
{
	Link__Frame f = LINK__FRAME__INIT;
	Link__Ended done = LINK__ENDED__INIT;
	struct lease_view l = {{0}};
	struct link_view v;
	Link__Results m;
	struct spec s;

	(void)state;
	(void)with_lease(1);
	spec_init(&s, "more");
	spec_step(&s, "a", 1);
	s.need[0].amount = 2000;
	(void)world_submit(&w, &s);
	entries += w.n_last + world_settle(&w);
	assert_true(engine_node_lease_next(w.e, 2, (lease_id){1}, &l));
	done.lease = l.id.v;
	done.reason = WIRE__STOP_REASON__CANCELLED;
	f.session = f.number = 1;
	f.size = 30;
	f.body_case = LINK__FRAME__BODY_ENDED;
	f.ended = &done;
	give(&f);
	assert_true(engine_lease(w.e, l.id, &l));
	f = results(&m, 2, l.id.v, 0);
	give(&f);
	assert_int_equal(world_job(&w, 2).counts.succeeded, 0);
	link_look(hub_end, &v);
	assert_int_equal(v.bad, 2);
	end();
}

static void what_is_given_back_is_not_given_again_at_once(void **state)
{
	const uint64_t s1 = 1000000000;
	Link__Frame f = LINK__FRAME__INIT;
	Link__Ended back = LINK__ENDED__INIT;
	struct lease_view l = {{0}};

	(void)state;
	(void)with_lease(1);
	back.lease = 1;
	back.reason = WIRE__STOP_REASON__CANCELLED;
	f.session = f.number = 1;
	f.size = 30;
	f.body_case = LINK__FRAME__BODY_ENDED;
	f.ended = &back;
	give_at(s1, &f);
	entries += world_settle(&w);
	assert_true(engine_node_lease_next(w.e, 2, (lease_id){1}, &l));
	link_effect(hub_end, s1, &(struct effect){.kind = EFFECT_START, .lease = l.id});
	while (link_next(hub_end, s1, out))
		;
	assert_int_equal(link_deadline_ns(hub_end, s1), 2 * s1);
	assert_int_equal(link_next(hub_end, 2 * s1 - 1, out), 0);
	assert_true(link_next(hub_end, 2 * s1, out) > 0);
	end();
}

/* Else a node could fill its hub's journal with refusals. */
static void who_sends_what_cannot_be_taken_is_not_heard_for_a_while(void **state)
{
	const uint64_t pause = 10000000000;
	const Link__Frame *refused;
	struct link_view v;
	Link__Results m;
	Link__Frame f;
	uint64_t was;

	(void)state;
	(void)with_lease(1);
	f = results(&m, 1, 1, 0);
	hub_end_takes_nothing = true;
	give_at(1, &f);
	refused = next();
	assert_int_equal(refused->body_case, LINK__FRAME__BODY_REFUSED);
	assert_int_equal(refused->refused->code, LINK__REFUSED__CODE__DAMAGED);
	assert_int_equal(link_of(2), WIRE__NODE_SET__STATE__DISCONNECTED);
	was = entries;
	for (uint64_t i = 2; i < 1000; i++) {
		hello_init(i);
		hello.f.size = 30;
		give_at(i, &hello.f);
		f.session = i;
		give_at(i, &f);
	}
	assert_int_equal(entries, was);
	hello_init(1001);
	hello.f.size = 30;
	hello.h.lease_seen = 1;
	give_at(1 + pause, &hello.f);
	link_look(hub_end, &v);
	assert_int_equal(v.state, LINK_UP);
	hub_end_takes_nothing = false;
	end();
}

static void node_that_forgets_all_the_time_is_asked_now_and_then(void **state)
{
	uint64_t was;

	(void)state;
	(void)with_lease(1);
	for (uint64_t i = 2; i < 1000; i++) {
		if (i == 3)
			was = entries;
		hello_init(i);
		hello.f.size = 30;
		hello.h.lease_seen = engine_lease_last(w.e).v;
		give(&hello.f);
		entries += world_settle(&w);
	}
	assert_int_equal(entries, was);
	end();
}

static void offers_that_never_stop_are_taken_now_and_then(void **state)
{
	const uint64_t s1 = 1000000000;
	Wire__NodeSet n = WIRE__NODE_SET__INIT;
	Wire__Need cpu = WIRE__NEED__INIT, *needs = &cpu;
	Link__Frame f = LINK__FRAME__INIT;
	Link__Node node = LINK__NODE__INIT;
	struct sched_node_view v;
	uint8_t bytes[256];
	uint64_t was;

	(void)state;
	(void)with_lease(1);
	was = entries;
	cpu.name = (char *)(uintptr_t) "cpu";
	n.name = (char *)(uintptr_t) "press";
	n.n_capacity = 1;
	n.capacity = &needs;
	f.session = 1;
	f.size = 30;
	f.body_case = LINK__FRAME__BODY_NODE;
	f.node = &node;
	for (uint64_t i = 1; i <= 1000; i++) {
		cpu.amount = 4000 + i;
		node.node = (ProtobufCBinaryData){wire__node_set__pack(&n, bytes), bytes};
		f.number = i;
		give_at(s1 + i, &f);
		(void)link_next(hub_end, s1 + i, out);
	}
	assert_in_range(entries - was, 2, 10);
	assert_true(link_deadline_ns(hub_end, s1 + 1000) < 2 * s1);
	(void)link_next(hub_end, 2 * s1, out);
	assert_true(sched_node(engine_sched(w.e), 2, &v));
	assert_int_equal(v.capacity[0], 5000); /* the last counts */
	end();
}

static void at_a_site(void)
{
	Wire__NodeSet n = WIRE__NODE_SET__INIT;
	Wire__Need cpu = WIRE__NEED__INIT, *needs = &cpu;
	Wire__Pair site = WIRE__PAIR__INIT, *labels = &site;

	cpu.name = (char *)(uintptr_t) "cpu";
	cpu.amount = 1000;
	site.key = (char *)(uintptr_t) "site";
	site.value = (char *)(uintptr_t) "north";
	n.node = 1;
	n.name = (char *)(uintptr_t) "hub";
	n.n_capacity = n.n_labels = 1;
	n.capacity = &needs;
	n.labels = &labels;
	entries += world_do(&w, &(struct command){.kind = CMD_NODE_SET, .u.node_set = &n});
}

static void distance_that_changes_all_the_time_is_noted_now_and_then(void **state)
{
	Link__Frame f = LINK__FRAME__INIT;
	Link__Status s = LINK__STATUS__INIT;
	uint64_t was;

	(void)state;
	(void)with_lease(1);
	at_a_site();
	was = entries;
	f.session = 1;
	f.size = 30;
	f.body_case = LINK__FRAME__BODY_STATUS;
	f.status = &s;
	for (uint64_t i = 1; i <= 1000; i++) {
		s.echo_us = i % 2 ? 1 : 900000;
		give_at(1000000000 + i, &f);
	}
	assert_in_range(entries - was, 1, 2);
	end();
}

static void frame_of_an_unknown_kind_is_acknowledged(void **state)
{
	Link__Frame f = LINK__FRAME__INIT;

	(void)state;
	(void)with_lease(1);
	f.session = 1;
	f.number = 1;
	give(&f);
	assert_int_equal(next()->ack, 1);
	end();
}

/* ---- what is urgent does not wait for bulk ---- */

/* A session, and `n` jobs of one task each that only the child can run; `text` bytes go along with each. */
static void with_jobs(uint32_t n, size_t text)
{
	struct lease_view l = {{0}};
	static char big[80000];
	struct spec s;

	begin();
	world_node(&w, 1, 1, WIRE__NODE_SET__STATE__DRAINED);
	hello_init(1);
	give(&hello.f);
	(void)next();
	memset(big, 'x', text);
	big[text] = '\0';
	for (uint32_t i = 0; i < n; i++) {
		spec_init(&s, "work");
		spec_step(&s, "a", 1);
		s.need[0].amount = 10;
		s.step[0].stdin_text = big;
		(void)world_submit(&w, &s);
		entries += w.n_last;
	}
	entries += world_settle(&w);
	while (engine_node_lease_next(w.e, 2, l.id, &l))
		link_effect(hub_end, 1, &(struct effect){.kind = EFFECT_START, .lease = l.id});
	assert_int_equal(l.id.v, n);
}

static void cancel(uint64_t lease)
{
	struct lease_view l;

	assert_true(engine_lease(w.e, (lease_id){lease}, &l));
	world_job_command(&w, CMD_CANCEL, l.job.v);
	entries += w.n_last + world_settle(&w);
	assert_true(engine_lease(w.e, (lease_id){lease}, &l) && l.stopping);
	link_effect(hub_end, 1, &(struct effect){.kind = EFFECT_STOP, .lease = l.id});
}

static uint32_t said(Link__Frame__BodyCase what)
{
	const Link__Frame *f;
	uint32_t n = 0;

	while ((f = next())->body_case == what)
		n++;
	assert_int_equal(f->body_case, LINK__FRAME__BODY__NOT_SET);
	return n;
}

static void acknowledge(uint64_t now, uint64_t number)
{
	Link__Frame f = LINK__FRAME__INIT;
	Link__Ack m = LINK__ACK__INIT;

	f.session = 1;
	f.size = 30;
	f.ack = number;
	f.body_case = LINK__FRAME__BODY_ACK_ONLY;
	f.ack_only = &m;
	give_at(now, &f);
}

static void stop_goes_at_once_where_the_window_is_full_of_grants(void **state)
{
	enum { BULK = LINK_WINDOW - LINK_URGENT };
	const Link__Frame *f;

	(void)state;
	with_jobs(BULK + 10, 0);
	assert_int_equal(said(LINK__FRAME__BODY_GRANT), BULK);
	cancel(5);
	f = next();
	assert_int_equal(f->body_case, LINK__FRAME__BODY_STOP);
	assert_int_equal(f->stop->lease, 5);
	assert_int_equal(f->number, BULK + 1);
	assert_int_equal(said(LINK__FRAME__BODY_STOP), 0);
	acknowledge(1, 2); /* and no bulk takes its place */
	assert_int_equal(said(LINK__FRAME__BODY_GRANT), 1);
	end();
}

/* However many there are: the other side takes no more than a window. */
static void what_is_urgent_has_its_bound(void **state)
{
	enum { BULK = LINK_WINDOW - LINK_URGENT };
	struct link_view v;

	(void)state;
	with_jobs(BULK, 0);
	assert_int_equal(said(LINK__FRAME__BODY_GRANT), BULK);
	for (uint64_t i = 1; i <= LINK_URGENT + 3; i++)
		cancel(i);
	assert_int_equal(said(LINK__FRAME__BODY_STOP), LINK_URGENT);
	link_look(hub_end, &v);
	assert_int_equal(v.unacknowledged, LINK_WINDOW);
	acknowledge(1, 1);
	assert_int_equal(said(LINK__FRAME__BODY_STOP), 1);
	acknowledge(1, LINK_WINDOW);
	assert_int_equal(said(LINK__FRAME__BODY_STOP), 2);
	end();
}

/* What was stopped before what is new was granted is told before it. */
static void stops_come_before_grants(void **state)
{
	(void)state;
	with_jobs(3, 80000 - 1);
	assert_int_equal(said(LINK__FRAME__BODY_GRANT), 1);
	cancel(1);
	acknowledge(1, 1);
	assert_int_equal(next()->body_case, LINK__FRAME__BODY_STOP);
	assert_int_equal(next()->body_case, LINK__FRAME__BODY_GRANT);
	end();
}

static void as_much_is_under_way_as_comes_through_soon(void **state)
{
	enum { JOBS = 120 };
	uint64_t now = 1, number = 0;
	uint32_t n = 0, most = 0;
	struct link_view v;

	(void)state;
	with_jobs(JOBS, 20000);
	for (int i = 0; i < 6; i++) { /* all is acknowledged at once: each time more goes */
		n = said(LINK__FRAME__BODY_GRANT);
		assert_true(n > most);
		most = n;
		link_look(hub_end, &v);
		assert_true(v.unacknowledged_bytes < LINK_WINDOW_BYTES + FRAME_BYTES_MAX);
		number += n;
		acknowledge(now, number);
		if (number + 2 * n > JOBS)
			break;
	}
	assert_true(most >= 16);
	n = said(LINK__FRAME__BODY_GRANT);
	now += 20 * LINK_BULK_NS;
	acknowledge(now, number + n / 2); /* a cable that is slow now */
	assert_int_equal(said(LINK__FRAME__BODY_GRANT), 0);
	end();
}

static void gap_begins_the_session_anew(void **state)
{
	Link__Results m;
	Link__Frame f;
	const Link__Frame *reset;
	uint64_t job;

	(void)state;
	job = with_lease(1);
	f = results(&m, 2, 1, 0);
	give(&f);
	assert_int_equal(world_job(&w, job).counts.succeeded, 0);
	reset = next();
	assert_int_equal(reset->body_case, LINK__FRAME__BODY_RESET);
	assert_int_equal(reset->session, 1);
	end();
}

static void lease_that_the_child_does_not_hold_any_more_runs_again(void **state)
{
	struct lease_view l;

	(void)state;
	(void)with_lease(1);
	hello_init(2);
	hello.h.lease_seen = 1;
	give(&hello.f);
	assert_false(engine_lease(w.e, (lease_id){1}, &l));
	assert_int_equal(next()->body_case, LINK__FRAME__BODY_WELCOME);
	end();
}

/* Its journal went back to before it had the lease, and the hub has been started since, and remembers only what it committed. */
static void lease_that_told_all_and_is_not_known_any_more_ends(void **state)
{
	struct lease_view l;
	Link__Results m;
	Link__Frame f;
	uint64_t job;

	(void)state;
	job = with_lease(1);
	f = results(&m, 1, 1, 0);
	give(&f);
	assert_true(engine_lease(w.e, (lease_id){1}, &l));
	assert_int_equal(world_job(&w, job).finished_ns, 0);
	hub_starts_again();
	hello_init(2);
	hello.f.size = 40;
	give(&hello.f);
	assert_int_equal(next()->body_case, LINK__FRAME__BODY_WELCOME);
	assert_int_equal(next()->body_case, LINK__FRAME__BODY__NOT_SET);
	assert_false(engine_lease(w.e, (lease_id){1}, &l));
	assert_int_not_equal(world_job(&w, job).finished_ns, 0);
	assert_int_equal(world_job(&w, job).counts.succeeded, 1);
	end();
}

/* The number alone does not say which lease it is, once the hub's journal went back in time. */
static void lease_of_another_history_is_not_taken_for_ours(void **state)
{
	const Link__Frame *f;
	struct lease_view l;

	(void)state;
	(void)with_lease(1);
	assert_true(engine_lease(w.e, (lease_id){1}, &l));
	hello_init(2);
	hello.h.lease_seen = 1;
	hello.h.n_held = 1;
	hello.h.held = hello.held;
	hello.held[0] = 1;
	hello.h.tags = (ProtobufCBinaryData){4, hello.tags};
	for (unsigned b = 0; b < 4; b++)
		hello.tags[b] = (uint8_t)(l.tag >> (8 * b));
	hello.tags[2] ^= 1;
	refused_with(LINK__REFUSED__CODE__HUB_OLD, "lease 1 is another one");
	assert_true(engine_lease(w.e, (lease_id){1}, &l));
	hello.tags[2] ^= 1;
	hello.f.session = 3;
	give(&hello.f);
	f = next();
	assert_int_equal(f->body_case, LINK__FRAME__BODY_WELCOME);
	assert_int_equal(f->welcome->n_live, 1);
	assert_int_equal(f->welcome->live[0], 1);
	assert_int_equal(f->welcome->cursor[0], 0);
	end();
}

/* ---- the core ---- */

static void node_keeps_its_number_and_its_name_is_its_own(void **state)
{
	struct child_view c;
	Wire__NodeSet n;

	(void)state;
	begin();
	assert_int_equal(engine_node_named(w.e, "press"), 2);
	join("press");
	(void)world_one(&w, WIRE__ENTRY__BODY_NODE_SET);
	assert_int_equal(w.last[0]->node_set->node, 2);
	key[0] = 8;
	join("press");
	world_refused(&w, "exists", "with another key");
	join("lathe");
	(void)world_one(&w, WIRE__ENTRY__BODY_NODE_SET);
	assert_int_equal(w.last[0]->node_set->node, 3);
	assert_true(engine_child(w.e, 3, &c));
	join("Lathe 2");
	world_refused(&w, "invalid", "cannot join");
	n = child("press"); /* nobody gives himself a key */
	n.node = 2;
	world_do(&w, &(struct command){.kind = CMD_NODE_SET, .u.node_set = &n});
	world_refused(&w, "invalid", "by its hub's word");
	end();
}

static void lease_of_the_parent_is_taken_once(void **state)
{
	Wire__LinkSet parent = WIRE__LINK_SET__INIT;
	Wire__Delegated of = WIRE__DELEGATED__INIT;
	Wire__Principal user = WIRE__PRINCIPAL__INIT;
	struct command take = {.kind = CMD_DELEGATED};
	struct delegated_view d;
	struct spec s;

	(void)state;
	begin();
	spec_init(&s, "part");
	spec_step(&s, "a", 1);
	of.lease = 9;
	take.u.delegated.spec = &s.job;
	take.u.delegated.of = &of;
	world_do(&w, &take);
	world_refused(&w, "state", "no hub");
	parent.name = (char *)(uintptr_t) "hall";
	parent.key = (ProtobufCBinaryData){32, key};
	user.uid = 1000;
	world_do(&w, &(struct command){.kind = CMD_LINK_SET, .by = &user, .u.link_set = &parent});
	world_refused(&w, "denied", "only root");
	world_do(&w, &(struct command){.kind = CMD_LINK_SET, .u.link_set = &parent});
	(void)world_one(&w, WIRE__ENTRY__BODY_LINK_SET);
	world_do(&w, &take);
	(void)world_one(&w, WIRE__ENTRY__BODY_JOB_SUBMITTED);
	assert_int_equal(world_do(&w, &take), 0); /* it is here */
	of.lease = 8;
	assert_int_equal(world_do(&w, &take), 0); /* and what is older was here */
	assert_true(engine_delegated(w.e, 1, (lease_id){9}, &d));
	world_finish(&w);
	assert_true(engine_delegated(w.e, 1, (lease_id){9}, &d));
	assert_true(d.finished);
	assert_int_equal(d.prefix, 1);
	world_do(&w, &(struct command){.kind = CMD_RETRY, .u.job.job = d.job});
	world_refused(&w, "state", "a part of a job of the hub's");
	world_do(&w, &(struct command){.kind = CMD_FORGET, .u.job.job = d.job});
	world_refused(&w, "state", "when the hub has its results");
	world_do(&w, &(struct command){.kind = CMD_HANDED_OVER, .u.job.job = d.job});
	(void)world_one(&w, WIRE__ENTRY__BODY_JOB_FORGOTTEN);
	assert_int_equal(engine_delegated_count(w.e), 0);
	of.lease = 9;
	assert_int_equal(world_do(&w, &take), 0); /* even now */
	end();
}

static void step_that_takes_more_files_than_a_table_holds_stays_here(void **state)
{
	Wire__Reduce reduce = WIRE__REDUCE__INIT;
	Wire__Input in_file = WIRE__INPUT__INIT, *inputs = &in_file;
	struct spec s;

	(void)state;
	spec_init(&s, "job");
	spec_step(&s, "a", SOURCES_MAX);
	spec_step(&s, "b", 3000);
	assert_true(grant_possible(&s.job, &s.step[0]));
	assert_int_equal(grant_tasks_max(&s.job, &s.step[0]), 0);
	in_file.from_step = (char *)(uintptr_t) "a";
	s.step[1].n_inputs = 1;
	s.step[1].inputs = &inputs;
	assert_true(grant_possible(&s.job, &s.step[1]));
	assert_int_equal(grant_tasks_max(&s.job, &s.step[1]), SOURCES_MAX);
	s.step[1].n_inputs = 0;
	reduce.of = (char *)(uintptr_t) "a";
	s.step[1].reduce = &reduce;
	s.step[1].tasks = 1;
	assert_true(grant_possible(&s.job, &s.step[1]));
	s.step[0].tasks++;
	assert_false(grant_possible(&s.job, &s.step[1]));
	reduce.associative = true;
	reduce.fan_in = 500;
	assert_true(grant_possible(&s.job, &s.step[1]));
	assert_int_equal(grant_tasks_max(&s.job, &s.step[1]), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(child_that_is_known_is_welcome),
	        cmocka_unit_test(who_is_not_who_joined_is_refused_in_words),
	        cmocka_unit_test(copy_beside_the_node_that_is_up_is_refused),
	        cmocka_unit_test(node_that_was_moved_is_welcome_when_its_old_place_is_silent),
	        cmocka_unit_test(late_hello_of_an_old_session_does_not_end_the_new_one),
	        cmocka_unit_test(late_hello_that_is_refused_does_not_end_the_session_that_is_up),
	        cmocka_unit_test(late_frame_of_a_higher_session_does_not_end_the_link),
	        cmocka_unit_test(result_is_committed_and_acknowledged),
	        cmocka_unit_test(replica_is_asked_to_reveal_when_both_have_committed),
	        cmocka_unit_test(what_was_not_committed_to_is_nobodys_vote),
	        cmocka_unit_test(replica_that_tells_at_once_is_not_believed),
	        cmocka_unit_test(replica_of_which_nothing_is_held_is_told_that_it_may_end),
	        cmocka_unit_test(child_that_cannot_commit_gets_no_replicas),
	        cmocka_unit_test(offer_with_fields_of_a_later_version_is_taken),
	        cmocka_unit_test(results_of_other_tasks_or_leases_are_not_taken),
	        cmocka_unit_test(garbage_is_counted_and_dropped),
	        cmocka_unit_test(lease_that_was_not_given_yet_is_nobodys),
	        cmocka_unit_test(what_is_given_back_is_not_given_again_at_once),
	        cmocka_unit_test(who_sends_what_cannot_be_taken_is_not_heard_for_a_while),
	        cmocka_unit_test(node_that_forgets_all_the_time_is_asked_now_and_then),
	        cmocka_unit_test(offers_that_never_stop_are_taken_now_and_then),
	        cmocka_unit_test(distance_that_changes_all_the_time_is_noted_now_and_then),
	        cmocka_unit_test(frame_of_an_unknown_kind_is_acknowledged),
	        cmocka_unit_test(stop_goes_at_once_where_the_window_is_full_of_grants),
	        cmocka_unit_test(what_is_urgent_has_its_bound),
	        cmocka_unit_test(stops_come_before_grants),
	        cmocka_unit_test(as_much_is_under_way_as_comes_through_soon),
	        cmocka_unit_test(gap_begins_the_session_anew),
	        cmocka_unit_test(lease_that_the_child_does_not_hold_any_more_runs_again),
	        cmocka_unit_test(lease_that_told_all_and_is_not_known_any_more_ends),
	        cmocka_unit_test(lease_of_another_history_is_not_taken_for_ours),
	        cmocka_unit_test(node_keeps_its_number_and_its_name_is_its_own),
	        cmocka_unit_test(lease_of_the_parent_is_taken_once),
	        cmocka_unit_test(step_that_takes_more_files_than_a_table_holds_stays_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
