/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts about the bytes of older versions: what entries and states of format 1 said then, they say now.
 *
 * test/data/entries-1: u32 length and bytes of each entry, little-endian; one of every kind at least. test/data/state-1: the
 * state after them, as engine_save() wrote it; entries-1-ledger, entries-1-identity, entries-1-links, entries-1-away: those that came with the ledger, and with hubs. Made by `OSIER_SAMPLES=FOLDER build/test/unit/test_samples`, once for each
 * format and never again: a new format gets new files beside the old ones.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../world.h"

#include "core/identity.h"

#define KINDS          15u
#define LEDGER_KINDS   2u
#define IDENTITY_KINDS 2u
#define LINK_KINDS     2u
#define PLACE_KINDS    1u
#define AWAY_KINDS     2u
#define QUOTA_KINDS    1u

static struct world w;

static void adjust(uint64_t job, uint32_t set)
{
	Wire__JobAdjusted m = WIRE__JOB_ADJUSTED__INIT;

	m.job = job;
	m.set = set;
	m.priority = 70;
	m.run_timeout_ns = 30 * SEC;
	world_do(&w, &(struct command){.kind = CMD_ADJUST, .u.adjust = &m});
	(void)world_one(&w, WIRE__ENTRY__BODY_JOB_ADJUSTED);
}

static void result_with_output(const struct lease_view *l, uint8_t digest)
{
	Wire__Results r = WIRE__RESULTS__INIT;
	uint64_t wall = 1500, bytes = 3;
	uint32_t outputs = 1;
	uint8_t sha[32];

	memset(sha, digest, sizeof(sha));
	r.lease = l->id.v;
	r.first = l->cursor;
	r.count = 1;
	r.n_wall_us = r.n_outputs = r.n_output_bytes = 1;
	r.wall_us = &wall;
	r.outputs = &outputs;
	r.output_bytes = &bytes;
	r.output_sha256 = (ProtobufCBinaryData){32, sha};
	world_do(&w, &(struct command){.kind = CMD_RESULTS, .u.results = &r});
	(void)world_one(&w, WIRE__ENTRY__BODY_RESULTS);
	world_ended(&w, l->id.v, WIRE__STOP_REASON__DONE);
}

/* Job 1: two replicas that a comparator finds equal, and a step after them. */
static void verified(void)
{
	Wire__Compared c = WIRE__COMPARED__INIT;
	struct lease_view a, b;
	struct spec s;

	spec_init(&s, "verified");
	spec_step(&s, "a", 1);
	spec_verify(&s, 0, 2, 2, 1);
	spec_step(&s, "b", 3);
	spec_after(&s, 1, "a", WIRE__AFTER__MODE__WHOLE, WIRE__AFTER__ON__SUCCESS);
	c.job = world_submit(&w, &s);
	a = world_lease(&w);
	b = world_lease(&w);
	result_with_output(&a, 1);
	result_with_output(&b, 2);
	c.a = 0;
	c.b = 1;
	c.equal = 1;
	world_do(&w, &(struct command){.kind = CMD_COMPARED, .u.compared = &c});
	(void)world_one(&w, WIRE__ENTRY__BODY_COMPARED);
	world_finish(&w);
}

/* Job 2 fails, waits for its retry, is cancelled and retried; job 3 is forgotten; job 4 has a lease when the sample ends. */
static void the_rest(void)
{
	struct lease_view l;
	struct spec s;

	spec_init(&s, "unlucky");
	spec_step(&s, "a", 2);
	s.retry[0].max = 1;
	s.retry[0].backoff_ns = s.retry[0].backoff_max_ns = SEC;
	(void)world_submit(&w, &s);
	l = world_lease(&w);
	world_run(&w, &l, WIRE__OUTCOME__FAILED);
	w.now += 2 * SEC;
	world_tick(&w);
	(void)world_one(&w, WIRE__ENTRY__BODY_EXPIRED);
	adjust(2, WIRE__JOB_ADJUSTED__FIELD__PRIORITY | WIRE__JOB_ADJUSTED__FIELD__RUN_TIMEOUT);
	(void)world_lease(&w);
	world_job_command(&w, CMD_CANCEL, 2);
	world_tick(&w);
	(void)world_one(&w, WIRE__ENTRY__BODY_LEASE_STOPPING);
	world_finish(&w);
	world_job_command(&w, CMD_RETRY, 2);
	world_finish(&w);
	spec_init(&s, "old");
	spec_step(&s, "a", 1);
	(void)world_submit(&w, &s);
	world_finish(&w);
	world_job_command(&w, CMD_FORGET, 3);
	(void)world_one(&w, WIRE__ENTRY__BODY_JOB_FORGOTTEN);
	world_job_command(&w, CMD_CANCEL, 3);
	(void)world_one(&w, WIRE__ENTRY__BODY_REFUSED);
	spec_init(&s, "running");
	spec_step(&s, "a", 1000);
	spec_step(&s, "r", 144);
	spec_reduce(&s, 1, "a", 8);
	(void)world_submit(&w, &s);
	(void)world_lease(&w);
}

static void put_file(const char *dir, const char *name, const void *p, size_t n)
{
	char path[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static size_t get_file(const char *name, uint8_t **out)
{
	FILE *f = fopen(name, "rb");
	size_t n;

	assert_non_null(f);
	*out = malloc(1u << 20);
	n = fread(*out, 1, 1u << 20, f);
	assert_true(n > 0 && n < 1u << 20);
	(void)fclose(f);
	return n;
}

static void make_samples(const char *dir)
{
	Wire__NamespaceSet n = WIRE__NAMESPACE_SET__INIT;
	Wire__Need quota = WIRE__NEED__INIT, *quotas = &quota;
	struct saved saved;

	world_init(&w);
	saved = (struct saved){.bytes = w.decoded_mem, .max = 4 * WORLD_ARENA};
	world_boot(&w);
	world_node(&w, 1, 2, WIRE__NODE_SET__STATE__UP);
	quota.name = "cpu";
	quota.amount = 3000;
	n.name = "default";
	n.weight = 2;
	n.n_quota = 1;
	n.quota = &quotas;
	world_do(&w, &(struct command){.kind = CMD_NAMESPACE_SET, .u.namespace_set = &n});
	verified();
	the_rest();
	assert_int_equal(engine_save(w.e, saved_put, &saved), 0);
	put_file(dir, "entries-1", w.journal, w.journal_bytes);
	put_file(dir, "state-1", saved.bytes, saved.n);
	world_release(&w);
}

/* Entries of the ledger, which change no state: keys that begin and end, and what was run, signed. */
static void make_ledger_sample(const char *dir)
{
	static const char vkey[] =
	        "example.com/elastic/log1+c3ebf752+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";
	uint8_t bytes[64];
	uint64_t results[2] = {7, 9}, leases[2] = {5, 6}, jobs[2] = {4, 4};
	Wire__Principal by = WIRE__PRINCIPAL__INIT;
	Wire__KeySet key = WIRE__KEY_SET__INIT;
	Wire__Receipts r = WIRE__RECEIPTS__INIT;

	memset(bytes, 0x5a, sizeof(bytes));
	world_init(&w);
	key.vkey = (char *)(uintptr_t)vkey;
	key.reason = (char *)"made by the node";
	world_do(&w, &(struct command){.kind = CMD_KEY_SET, .u.key_set = &key});
	by.name = (char *)"uid:1000";
	by.uid = by.gid = 1000;
	by.salt = (ProtobufCBinaryData){16, bytes};
	key.state = WIRE__KEY_SET__STATE__REVOKED;
	key.reason = (char *)"it was copied";
	world_do(&w, &(struct command){.kind = CMD_KEY_SET, .by = &by, .u.key_set = &key});
	r.node = (char *)"example.com/elastic/log1/node";
	r.key = r.root = (ProtobufCBinaryData){32, bytes};
	r.signature = (ProtobufCBinaryData){64, bytes};
	r.n_results = r.n_leases = r.n_jobs = 2;
	r.results = results;
	r.leases = leases;
	r.jobs = jobs;
	world_do(&w, &(struct command){.kind = CMD_RECEIPTS, .u.receipts = &r});
	put_file(dir, "entries-1-ledger", w.journal, w.journal_bytes);
	world_release(&w);
}

/* A token is made, a node joins with it and is removed. */
static void make_identity_sample(const char *dir)
{
	Wire__TokenSet t = WIRE__TOKEN_SET__INIT;
	Wire__CertSet c = WIRE__CERT_SET__INIT, gone = WIRE__CERT_SET__INIT;
	uint8_t bytes[32];

	memset(bytes, 0x5a, sizeof(bytes));
	world_init(&w);
	t.hash = (ProtobufCBinaryData){32, bytes};
	t.expires_ns = w.now + 900 * SEC;
	world_do(&w, &(struct command){.kind = CMD_TOKEN_SET, .u.token_set = &t});
	c.node = (char *)"press-4";
	c.serial = (ProtobufCBinaryData){16, bytes};
	c.sha256 = c.key = c.journal = t.hash;
	c.not_after_ns = w.now + 86400 * SEC;
	world_do(&w, &(struct command){.kind = CMD_JOIN, .u.join = {bytes, &c}});
	gone.node = c.node;
	gone.revoked = 1;
	gone.reason = (char *)"stolen";
	world_do(&w, &(struct command){.kind = CMD_CERT_SET, .u.cert_set = &gone});
	put_file(dir, "entries-1-identity", w.journal, w.journal_bytes);
	world_release(&w);
}

/* A node with a child that is up, and with a parent that gave it a lease. */
static void make_links_sample(const char *dir)
{
	Wire__NodeSet child = WIRE__NODE_SET__INIT;
	Wire__NodeLink up = WIRE__NODE_LINK__INIT;
	Wire__LinkSet parent = WIRE__LINK_SET__INIT;
	Wire__Delegated of = WIRE__DELEGATED__INIT;
	Wire__Need cpu = WIRE__NEED__INIT, *needs = &cpu;
	uint8_t bytes[32];
	struct spec s;

	memset(bytes, 0x5a, sizeof(bytes));
	world_init(&w);
	world_boot(&w);
	world_node(&w, 1, 2, WIRE__NODE_SET__STATE__UP);
	cpu.name = (char *)"cpu";
	cpu.amount = 8000;
	child.name = (char *)"press-4";
	child.key = child.journal = (ProtobufCBinaryData){32, bytes};
	child.from_size = 12;
	child.n_capacity = 1;
	child.capacity = &needs;
	world_do(&w, &(struct command){.kind = CMD_NODE_JOIN, .u.node_set = &child});
	up.node = 2;
	world_do(&w, &(struct command){.kind = CMD_NODE_LINK, .u.node_link = &up});
	parent.name = (char *)"hall";
	parent.key = child.key;
	world_do(&w, &(struct command){.kind = CMD_LINK_SET, .u.link_set = &parent});
	spec_init(&s, "part");
	spec_step(&s, "a", 5);
	s.step[0].index_first = 100;
	s.step[0].tasks_whole = 200;
	s.param[0].count = 200;
	s.param[0].last = 199;
	of.lease = 7;
	of.first = 100;
	of.tag = 77;
	of.job = (char *)"part-3";
	world_do(&w, &(struct command){.kind = CMD_DELEGATED, .u.delegated = {&s.job, &of}});
	put_file(dir, "entries-1-links", w.journal, w.journal_bytes);
	world_release(&w);
}

static void link_is(Wire__NodeSet__State state)
{
	Wire__NodeLink link = WIRE__NODE_LINK__INIT;

	link.node = 2;
	link.state = state;
	world_do(&w, &(struct command){.kind = CMD_NODE_LINK, .u.node_link = &link});
}

/* A child that was away: its lease is parked, another begins, the child comes back, and is late with its first result. */
static void make_away_sample(const char *dir)
{
	Wire__NodeSet child = WIRE__NODE_SET__INIT;
	Wire__Need cpu = WIRE__NEED__INIT, *needs = &cpu;
	uint8_t bytes[32];
	struct spec s;

	memset(bytes, 0x5a, sizeof(bytes));
	world_init(&w);
	world_boot(&w);
	world_node(&w, 1, 2, WIRE__NODE_SET__STATE__DRAINED);
	cpu.name = (char *)"cpu";
	cpu.amount = 8000;
	child.name = (char *)"press-4";
	child.key = child.journal = (ProtobufCBinaryData){32, bytes};
	child.n_capacity = 1;
	child.capacity = &needs;
	world_do(&w, &(struct command){.kind = CMD_NODE_JOIN, .u.node_set = &child});
	link_is(WIRE__NODE_SET__STATE__UP);
	spec_init(&s, "away");
	spec_step(&s, "a", 3);
	s.job.concurrency = 1;
	(void)world_submit(&w, &s);
	(void)world_grant_on(&w, 2, 1, 0, 0, 0, 3);
	link_is(WIRE__NODE_SET__STATE__DISCONNECTED);
	world_node(&w, 1, 2, WIRE__NODE_SET__STATE__UP);
	w.now += 30 * SEC;
	assert_int_equal(world_tick(&w), 1);
	(void)world_grant_on(&w, 1, 1, 0, 0, 0, 3);
	world_results(&w, 2, 0, 1, WIRE__OUTCOME__SUCCEEDED, 0);
	link_is(WIRE__NODE_SET__STATE__UP);
	world_settle(&w);
	world_results(&w, 1, 0, 1, WIRE__OUTCOME__SUCCEEDED, 0);
	put_file(dir, "entries-1-away", w.journal, w.journal_bytes);
	world_release(&w);
}

static void quota_asked(uint64_t have, uint64_t used)
{
	Wire__Quota uses = WIRE__QUOTA__INIT;
	Wire__QuotaShare share = WIRE__QUOTA_SHARE__INIT, *shares = &share;
	Wire__Need cpu = WIRE__NEED__INIT, *needs = &cpu;

	cpu.name = (char *)"cpu";
	cpu.amount = used;
	share.namespace_ = (char *)"team";
	share.used = &needs;
	share.n_used = used > 0;
	uses.shares = &shares;
	uses.n_shares = have > 0;
	world_do(&w, &(struct command){.kind = CMD_QUOTA_ASK,
	                     .u.quota_ask = {.node = 2, .now_ns = w.now, .have = have, .uses = &uses}});
}

/* A quota of 4 cpu, of which a child has an even part, says that it uses one, and then is not heard of for longer than that holds. */
static void make_quota_sample(const char *dir)
{
	Wire__NodeSet child = WIRE__NODE_SET__INIT;
	Wire__NamespaceSet ns = WIRE__NAMESPACE_SET__INIT;
	Wire__Need cpu = WIRE__NEED__INIT, half = WIRE__NEED__INIT, *needs = &cpu, *local = &half;
	struct quota_view q;
	uint8_t bytes[32];

	memset(bytes, 0x5a, sizeof(bytes));
	world_init(&w);
	world_boot(&w);
	world_node(&w, 1, 2, WIRE__NODE_SET__STATE__UP);
	cpu.name = half.name = (char *)"cpu";
	cpu.amount = 4000;
	half.amount = 500;
	ns.name = (char *)"team";
	ns.n_quota = ns.n_local = 1;
	ns.quota = &needs;
	ns.local = &local;
	ns.lend_ns = 60 * SEC;
	world_do(&w, &(struct command){.kind = CMD_NAMESPACE_SET, .u.namespace_set = &ns});
	child.name = (char *)"press-4";
	child.key = child.journal = (ProtobufCBinaryData){32, bytes};
	child.n_capacity = 1;
	child.capacity = &needs;
	world_do(&w, &(struct command){.kind = CMD_NODE_JOIN, .u.node_set = &child});
	link_is(WIRE__NODE_SET__STATE__UP);
	quota_asked(0, 0);
	assert_true(engine_quota(w.e, 2, &q));
	w.now += SEC;
	quota_asked(q.number, 1000);
	w.now += 121 * SEC;
	assert_int_equal(world_tick(&w), 1);
	put_file(dir, "entries-1-quota", w.journal, w.journal_bytes);
	world_release(&w);
}

/* What the sample's end is known to be. */
static void check_facts(struct world *v)
{
	struct lease_view l;
	struct job_view j;

	engine_check(v->e);
	assert_int_equal(engine_job_last(v->e).v, 4);
	assert_int_equal(world_job(v, 1).state, JOB_SUCCEEDED);
	assert_int_equal(world_job(v, 1).counts.succeeded, 4);
	assert_int_equal(world_job(v, 2).state, JOB_SUCCEEDED);
	assert_int_equal(world_job(v, 2).priority, 70);
	assert_false(engine_job(v->e, (job_id){3}, &j));
	assert_int_equal(world_job(v, 4).state, JOB_RUNNING);
	assert_true(engine_lease_next(v->e, (lease_id){0}, &l));
	assert_int_equal(l.job.v, 4);
	assert_int_equal(world_job(v, 4).counts.leased, l.count);
	assert_int_equal(engine_epoch(v->e), 1);
}

static void entries_of_format_1_say_what_they_said(void **state)
{
	uint8_t *bytes;
	size_t n = get_file(OSIER_SOURCE_ROOT "/test/data/entries-1", &bytes);
	uint32_t seen[32] = {0}, kinds = 0;

	(void)state;
	world_init(&w);
	for (size_t at = 0; at < n;) {
		const Wire__Entry *en;
		struct arena a;
		uint32_t len;

		memcpy(&len, bytes + at, 4);
		assert_true(len <= n - at - 4);
		arena_init(&a, w.decoded_mem, 4 * WORLD_ARENA);
		assert_int_equal(entry_decode(&a, bytes + at + 4, len, &en, NULL), 0);
		kinds += seen[en->body_case & 31]++ == 0;
		engine_apply(w.e, en, NULL);
		at += len + 4;
	}
	assert_int_equal(kinds, KINDS); /* a new kind of entry comes with a sample of its own */
	check_facts(&w);
	world_release(&w);
	free(bytes);
}

/* A node with labels, a limited link and facts; a job that asks for it. */
static void make_places_sample(const char *dir)
{
	Wire__NodeSet node = WIRE__NODE_SET__INIT;
	Wire__NodeSet__Link link = WIRE__NODE_SET__LINK__INIT;
	Wire__NodeFacts facts = WIRE__NODE_FACTS__INIT;
	Wire__NodeFacts__Latency far = WIRE__NODE_FACTS__LATENCY__INIT, *fars = &far;
	Wire__Pair label = WIRE__PAIR__INIT, *labels = &label;
	Wire__Need cpu = WIRE__NEED__INIT, *needs = &cpu;
	uint8_t held[16] = {1, 2, 3};

	world_init(&w);
	world_boot(&w);
	world_node(&w, 1, 2, WIRE__NODE_SET__STATE__UP);
	label.key = (char *)"hall";
	label.value = (char *)"north";
	cpu.name = (char *)"cpu";
	cpu.amount = 8000;
	link.bytes = 1u << 30;
	link.per_ns = 86400 * SEC;
	link.from_min = 22 * 60;
	link.to_min = 6 * 60;
	link.cost = 3;
	node.node = 2;
	node.name = (char *)"press-4";
	node.n_capacity = node.n_labels = node.n_admin_labels = 1;
	node.capacity = &needs;
	node.labels = node.admin_labels = &labels;
	node.link = &link;
	world_do(&w, &(struct command){.kind = CMD_NODE_SET, .u.node_set = &node});
	facts.node = 2;
	facts.set = WIRE__NODE_FACTS__WHAT__LATENCY | WIRE__NODE_FACTS__WHAT__HELD;
	far.site = (char *)"east";
	far.us = 3000;
	facts.latency = &fars;
	facts.n_latency = 1;
	facts.held = (ProtobufCBinaryData){16, held};
	world_do(&w, &(struct command){.kind = CMD_FACTS, .u.facts = &facts});
	(void)world_one(&w, WIRE__ENTRY__BODY_NODE_FACTS);
	put_file(dir, "entries-1-places", w.journal, w.journal_bytes);
	world_release(&w);
}

static const Wire__Entry *entry_at(const uint8_t *bytes, size_t n, size_t *at)
{
	const Wire__Entry *en;
	struct arena a;
	uint32_t len;

	memcpy(&len, bytes + *at, 4);
	assert_true(len <= n - *at - 4);
	arena_init(&a, w.decoded_mem, 4 * WORLD_ARENA);
	assert_int_equal(entry_decode(&a, bytes + *at + 4, len, &en, NULL), 0);
	*at += len + 4;
	return en;
}

static void entries_of_the_ledger_say_what_they_said(void **state)
{
	uint32_t seen[32] = {0}, kinds = 0;
	const Wire__Entry *en;
	uint8_t *bytes;
	size_t n = get_file(OSIER_SOURCE_ROOT "/test/data/entries-1-ledger", &bytes), at = 0;

	(void)state;
	world_init(&w);
	en = entry_at(bytes, n, &at);
	kinds += seen[en->body_case & 31]++ == 0;
	assert_int_equal(en->body_case, WIRE__ENTRY__BODY_KEY_SET);
	assert_int_equal(en->key_set->state, WIRE__KEY_SET__STATE__ADDED);
	assert_null(en->key_set->by);
	en = entry_at(bytes, n, &at);
	kinds += seen[en->body_case & 31]++ == 0;
	assert_int_equal(en->key_set->state, WIRE__KEY_SET__STATE__REVOKED);
	assert_string_equal(en->key_set->reason, "it was copied");
	assert_int_equal(en->key_set->by->uid, 1000);
	assert_int_equal(en->key_set->by->salt.len, 16);
	en = entry_at(bytes, n, &at);
	kinds += seen[en->body_case & 31]++ == 0;
	assert_int_equal(en->body_case, WIRE__ENTRY__BODY_RECEIPTS);
	assert_string_equal(en->receipts->node, "example.com/elastic/log1/node");
	assert_int_equal(en->receipts->n_results, 2);
	assert_int_equal(en->receipts->results[1], 9);
	assert_int_equal(en->receipts->signature.len, 64);
	assert_int_equal(at, n);
	assert_int_equal(kinds, LEDGER_KINDS);
	assert_int_equal(wire__entry__descriptor.n_fields - 1,
	        KINDS + LEDGER_KINDS + IDENTITY_KINDS + LINK_KINDS + PLACE_KINDS + AWAY_KINDS +
	                QUOTA_KINDS); /* time_ns, and the kinds */
	world_release(&w);
	free(bytes);
}

static void entries_of_identity_say_what_they_said(void **state)
{
	struct identity_token t;
	struct identity_node m;
	uint8_t *bytes;
	size_t n = get_file(OSIER_SOURCE_ROOT "/test/data/entries-1-identity", &bytes), at = 0;
	uint32_t seen[32] = {0}, kinds = 0;

	(void)state;
	world_init(&w);
	while (at < n) {
		const Wire__Entry *en = entry_at(bytes, n, &at);

		kinds += seen[en->body_case & 31]++ == 0;
		engine_apply(w.e, en, NULL);
	}
	assert_int_equal(kinds, IDENTITY_KINDS);
	assert_true(identity_token(engine_identity(w.e), 0, &t));
	assert_int_equal(t.hash[31], 0x5a);
	assert_int_equal(t.expires_ns, T0 + 900 * SEC);
	assert_int_equal(t.state, TOKEN_USED);
	assert_string_equal(t.used_by, "press-4");
	assert_true(identity_node_named(engine_identity(w.e), "press-4", &m));
	assert_true(m.removed && m.n_certs == 1 && m.certs[0].not_after_ns == T0 + 86400 * SEC);
	assert_int_equal(m.certs[0].revoked_ns, T0);
	world_release(&w);
	free(bytes);
}

static void entries_of_links_say_what_they_said(void **state)
{
	struct delegated_view d;
	struct parent_view p;
	struct child_view c;
	uint8_t *bytes;
	size_t n = get_file(OSIER_SOURCE_ROOT "/test/data/entries-1-links", &bytes), at = 0;
	uint32_t seen[32] = {0}, kinds = 0;

	(void)state;
	world_init(&w);
	while (at < n) {
		const Wire__Entry *en = entry_at(bytes, n, &at);

		kinds += (en->body_case == WIRE__ENTRY__BODY_NODE_LINK ||
		                 en->body_case == WIRE__ENTRY__BODY_LINK_SET) &&
		         seen[en->body_case & 31]++ == 0;
		engine_apply(w.e, en, NULL);
	}
	engine_check(w.e);
	assert_int_equal(kinds, LINK_KINDS);
	assert_true(engine_child(w.e, 2, &c));
	assert_int_equal(c.link, WIRE__NODE_SET__STATE__UP);
	assert_int_equal(c.from_size, 12);
	assert_int_equal(c.journal[31], 0x5a);
	assert_int_equal(engine_node_named(w.e, "press-4"), 2);
	assert_true(engine_parent(w.e, &p));
	assert_string_equal(p.name, "hall");
	assert_int_equal(p.number, 1);
	assert_int_equal(p.lease_seen, 7);
	assert_true(engine_delegated(w.e, 1, (lease_id){7}, &d));
	assert_int_equal(d.first, 100);
	assert_int_equal(d.tasks, 5);
	assert_int_equal(d.tag, 77);
	world_release(&w);
	free(bytes);
}

static void entries_of_places_say_what_they_said(void **state)
{
	uint8_t *bytes;
	size_t n = get_file(OSIER_SOURCE_ROOT "/test/data/entries-1-places", &bytes), at = 0;
	Wire__Match hall = WIRE__MATCH__INIT, *all = &hall;
	char *north = (char *)"north";
	Wire__Place p = WIRE__PLACE__INIT;
	uint32_t kinds = 0;

	(void)state;
	world_init(&w);
	while (at < n) {
		const Wire__Entry *en = entry_at(bytes, n, &at);

		engine_apply(w.e, en, NULL);
		if (en->body_case != WIRE__ENTRY__BODY_NODE_FACTS)
			continue;
		kinds++;
		assert_int_equal(en->node_facts->latency[0]->us, 4096); /* rounded up */
		assert_string_equal(en->node_facts->latency[0]->site, "east");
		assert_int_equal(en->node_facts->held.len, 16);
	}
	assert_int_equal(kinds, PLACE_KINDS);
	hall.key = (char *)"hall";
	hall.values = &north;
	hall.n_values = 1;
	p.where = &all;
	p.n_where = 1;
	assert_int_equal(sched_where_count(engine_sched(w.e), &p), 1);
	engine_check(w.e);
	world_release(&w);
	free(bytes);
}

static void entries_of_away_say_what_they_said(void **state)
{
	struct lease_view l;
	uint8_t *bytes;
	size_t n = get_file(OSIER_SOURCE_ROOT "/test/data/entries-1-away", &bytes), at = 0;
	uint32_t parked = 0, late = 0;

	(void)state;
	world_init(&w);
	while (at < n) {
		const Wire__Entry *en = entry_at(bytes, n, &at);

		parked += en->body_case == WIRE__ENTRY__BODY_LEASE_PARKED;
		late += en->body_case == WIRE__ENTRY__BODY_LATE_RESULT;
		engine_apply(w.e, en, NULL);
		if (en->body_case == WIRE__ENTRY__BODY_LEASE_PARKED && parked == 1) {
			assert_int_equal(en->lease_parked->what, WIRE__LEASE_PARKED__WHAT__PARKED);
			assert_true(engine_lease(w.e, (lease_id){1}, &l) && l.parked);
		} else if (en->body_case == WIRE__ENTRY__BODY_LEASE_PARKED) {
			assert_int_equal(en->lease_parked->what, WIRE__LEASE_PARKED__WHAT__BACK);
			assert_int_equal(en->lease_parked->n_stop, 1);
			assert_int_equal(en->lease_parked->stop[0], 2);
		}
	}
	engine_check(w.e);
	assert_int_equal(parked, 2);
	assert_int_equal(late, 1);
	assert_true(engine_lease(w.e, (lease_id){1}, &l) && !l.parked && !l.stopping);
	assert_int_equal(l.cursor, 1);
	assert_true(engine_lease(w.e, (lease_id){2}, &l) && l.stopping);
	assert_int_equal(l.reason, WIRE__STOP_REASON__SUPERSEDED);
	world_release(&w);
	free(bytes);
}

static uint64_t lent(void)
{
	struct sched_namespace_view v;

	assert_true(sched_namespace_named(engine_sched(w.e), "team", &v));
	assert_int_equal(v.quota[0], 4000);
	assert_int_equal(v.left[0], 4000 - v.lent[0]);
	return v.lent[0];
}

static void entries_of_quotas_say_what_they_said(void **state)
{
	uint8_t *bytes;
	size_t n = get_file(OSIER_SOURCE_ROOT "/test/data/entries-1-quota", &bytes), at = 0;
	struct quota_view q;
	uint32_t sets = 0;

	(void)state;
	world_init(&w);
	while (at < n) {
		const Wire__Entry *en = entry_at(bytes, n, &at);

		engine_apply(w.e, en, NULL);
		if (en->body_case != WIRE__ENTRY__BODY_QUOTA_SET)
			continue;
		assert_true(engine_quota(w.e, 2, &q));
		assert_int_equal(q.over, ++sets == 3);
		assert_int_equal(lent(), sets == 3 ? 500 : 2000); /* what is local is lent for good */
	}
	assert_int_equal(sets, 3);
	engine_check(w.e);
	world_release(&w);
	free(bytes);
}

static void state_of_version_1_is_what_its_entries_make(void **state)
{
	uint8_t *bytes, *entries;
	size_t n = get_file(OSIER_SOURCE_ROOT "/test/data/state-1", &bytes);
	size_t n_entries = get_file(OSIER_SOURCE_ROOT "/test/data/entries-1", &entries);
	struct engine *folded;
	struct err e = {0};
	void *mem;

	(void)state;
	world_init(&w);
	if (engine_load(w.e, bytes, n, &e) < 0)
		fail_msg("%s", e.msg);
	check_facts(&w);
	memcpy(w.journal, entries, n_entries);
	folded = world_engine(&w.limits, &mem);
	world_fold(&w, folded, 0, n_entries);
	assert_true(engine_digest(folded) == engine_digest(w.e));
	(void)munmap(mem, w.limits.memory_bytes);
	world_release(&w);
	free(entries);
	free(bytes);
}

static void bytes_of_a_newer_version_are_refused_as_such(void **state)
{
	static const uint8_t newer_kind[] = {
	        0x08, 0x01, 0xfa, 0x0f, 0x00}; /* time_ns 1, field 255 with a message */
	uint8_t *bytes;
	size_t n = get_file(OSIER_SOURCE_ROOT "/test/data/state-1", &bytes);
	const Wire__Entry *en;
	struct err e = {0};
	struct arena a;

	(void)state;
	world_init(&w);
	bytes[12]++; /* its version */
	assert_int_equal(engine_load(w.e, bytes, n, &e), -1);
	assert_int_equal(e.code, ERR_VERSION);
	arena_init(&a, w.decoded_mem, 4 * WORLD_ARENA);
	assert_int_equal(entry_decode(&a, newer_kind, sizeof(newer_kind), &en, &e), -1);
	assert_int_equal(e.code, ERR_VERSION);
	world_release(&w);
	free(bytes);
}

int main(void)
{
	const char *make = getenv("OSIER_SAMPLES");
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(entries_of_format_1_say_what_they_said),
	        cmocka_unit_test(entries_of_the_ledger_say_what_they_said),
	        cmocka_unit_test(entries_of_identity_say_what_they_said),
	        cmocka_unit_test(entries_of_links_say_what_they_said),
	        cmocka_unit_test(entries_of_away_say_what_they_said),
	        cmocka_unit_test(entries_of_places_say_what_they_said),
	        cmocka_unit_test(entries_of_quotas_say_what_they_said),
	        cmocka_unit_test(state_of_version_1_is_what_its_entries_make),
	        cmocka_unit_test(bytes_of_a_newer_version_are_refused_as_such),
	};

	if (make) {
		make_quota_sample(make);
		make_samples(make);
		make_ledger_sample(make);
		make_identity_sample(make);
		make_links_sample(make);
		make_away_sample(make);
		make_places_sample(make);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
