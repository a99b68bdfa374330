/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about documents that lend a share of quotas to a node: which of them it believes, and what it says of the others. */
#include "link_help.h"

#include <sodium.h>

static uint64_t number;
static struct link_end *end;
static void *end_mem;
static uint8_t key[32], other_key[32], journal_id[32], node_secret[32];
static uint8_t hub_public[32], hub_secret[64], stranger_public[32], stranger_secret[64];

/* ---- the node's shell ---- */

static bool shell_verify(void *ctx, const uint8_t *bytes, size_t n, const uint8_t signature[64])
{
	(void)ctx;
	return crypto_sign_verify_detached(signature, bytes, n, hub_public) == 0;
}

static void welcome(uint64_t now)
{
	Link__Frame f = LINK__FRAME__INIT;
	Link__Welcome m = LINK__WELCOME__INIT;
	struct link_view v;

	number = 0;
	assert_true(link_next(end, now, out) > 0); /* Hello */
	link_look(end, &v);
	m.version = LINK_VERSION;
	m.node = 2;
	f.session = v.session;
	f.body_case = LINK__FRAME__BODY_WELCOME;
	f.welcome = &m;
	link_receive(end, now, in, frame_encode(&f, in));
	link_look(end, &v);
	assert_int_equal(v.state, LINK_UP);
}

static void begin(void)
{
	struct link_shell shell = {.command = shell_command,
	        .appended = shell_size,
	        .durable = shell_size,
	        .clock = shell_clock,
	        .verify = shell_verify};
	Wire__NodeSet offer = WIRE__NODE_SET__INIT;
	struct link_self self = {.side = LINK_TO_HUB,
	        .name = "press",
	        .key = key,
	        .journal = journal_id,
	        .secret = node_secret,
	        .offer = &offer};
	Wire__LinkSet parent = WIRE__LINK_SET__INIT;

	assert_true(sodium_init() >= 0);
	(void)crypto_sign_keypair(hub_public, hub_secret);
	(void)crypto_sign_keypair(stranger_public, stranger_secret);
	memset(key, 4, sizeof(key));
	memset(other_key, 5, sizeof(other_key));
	offer.name = (char *)(uintptr_t) "press";
	world_init(&w);
	entries = 0;
	world_boot(&w);
	world_node(&w, 1, 4, WIRE__NODE_SET__STATE__UP);
	parent.name = (char *)(uintptr_t) "hall";
	parent.key = (ProtobufCBinaryData){32, hub_public};
	world_do(&w, &(struct command){.kind = CMD_LINK_SET, .u.link_set = &parent});
	shell.engine = w.e;
	end_mem = mmap(
	        NULL, link_bytes(LINK_TO_HUB), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(end_mem != MAP_FAILED);
	end = link_init(end_mem, &self, &shell, scratch, sizeof(scratch));
	link_connected(end, 1, 0);
	welcome(1);
}

static void finish(void)
{
	munmap(end_mem, link_bytes(LINK_TO_HUB));
	world_release(&w);
}

/* ---- documents ---- */

struct share {
	uint8_t document[512], signature[64];
	size_t n;
};

static void sign(struct share *s, const uint8_t secret[64])
{
	(void)crypto_sign_detached(s->signature, NULL, s->document, s->n, secret);
}

/* The hub's word that this node may have `cpu` in the namespace team. */
static struct share lend(const uint8_t node[32], uint64_t no, uint64_t until_ns, uint64_t cpu)
{
	Wire__Quota q = WIRE__QUOTA__INIT;
	Wire__QuotaShare team = WIRE__QUOTA_SHARE__INIT, *shares = &team;
	Wire__Need need = WIRE__NEED__INIT, *may = &need;
	struct share s;

	need.name = (char *)(uintptr_t) "cpu";
	need.amount = cpu;
	team.namespace_ = (char *)(uintptr_t) "team";
	team.may = &may;
	team.n_may = 1;
	q.node = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)node};
	q.number = no;
	q.until_ns = until_ns;
	q.shares = &shares;
	q.n_shares = 1;
	assert_true(wire__quota__get_packed_size(&q) <= sizeof(s.document));
	s.n = wire__quota__pack(&q, s.document);
	sign(&s, hub_secret);
	return s;
}

static void give(struct share *s)
{
	Link__Frame f = LINK__FRAME__INIT;
	Link__Quota m = LINK__QUOTA__INIT;
	struct link_view v;

	link_look(end, &v);
	m.document = (ProtobufCBinaryData){s->n, s->document};
	m.signature = (ProtobufCBinaryData){64, s->signature};
	f.session = v.session;
	f.number = ++number;
	f.body_case = LINK__FRAME__BODY_QUOTA;
	f.quota = &m;
	link_receive(end, 1, in, frame_encode(&f, in));
}

static uint64_t has(void)
{
	struct quota_view v;

	return engine_quota(w.e, 0, &v) ? v.number : 0;
}

/* It is not taken, and these words say why; the node has what it had, and the link is up. */
static void is_not_taken(struct share *s, const char *words, uint64_t bad)
{
	const uint64_t had = has();
	struct link_view was, v;

	link_look(end, &was);
	give(s);
	link_look(end, &v);
	if (!strstr(v.share_why, words))
		fail_msg("'%s' does not say '%s'", v.share_why, words);
	assert_int_equal(v.bad, was.bad + bad);
	assert_int_equal(v.state, LINK_UP);
	assert_int_equal(v.session, was.session);
	assert_int_equal(has(), had);
}

static void is_refused(struct share *s, const char *words)
{
	is_not_taken(s, words, 1);
}

/* It is the hub's, and comes too late: no frame is bad for that. */
static void is_too_late(struct share *s)
{
	is_not_taken(s, "has run out", 0);
}

static void is_taken(struct share *s, uint64_t no)
{
	struct link_view v;

	give(s);
	link_look(end, &v);
	assert_string_equal(v.share_why, "");
	assert_int_equal(has(), no);
}

#define LATER (w.now + 3600000000000ull)

static void document_of_the_hub_for_this_node_counts(void **state)
{
	struct share s;

	(void)state;
	begin();
	s = lend(key, 5, LATER, 2000);
	is_taken(&s, 5);
	s = lend(key, 6, LATER, 1000);
	is_taken(&s, 6);
	finish();
}

static void forged_document_is_refused(void **state)
{
	struct share s;

	(void)state;
	begin();
	s = lend(key, 5, LATER, 2000);
	sign(&s, stranger_secret);
	is_refused(&s, "not signed by the authority of the hub");
	memset(s.signature, 0, sizeof(s.signature));
	is_refused(&s, "not signed by the authority of the hub");
	/* What was said of it is over with the next good one. */
	s = lend(key, 5, LATER, 2000);
	is_taken(&s, 5);
	finish();
}

static void altered_document_is_refused_whichever_byte_it_is(void **state)
{
	struct share good, s;

	(void)state;
	begin();
	good = lend(key, 5, LATER, 2000);
	for (size_t i = 0; i < good.n; i++) {
		s = good;
		s.document[i] ^= 1;
		is_refused(&s, "was altered");
	}
	for (size_t i = 0; i < sizeof(good.signature); i++) {
		s = good;
		s.signature[i] ^= 1;
		is_refused(&s, "was altered");
	}
	s = good;
	s.n--;
	is_refused(&s, "was altered");
	is_taken(&good, 5);
	finish();
}

static void document_of_another_node_is_refused(void **state)
{
	struct share s;

	(void)state;
	begin();
	s = lend(other_key, 5, LATER, 2000);
	is_refused(&s, "it is another node's");
	finish();
}

static void what_is_signed_and_makes_no_sense_is_refused(void **state)
{
	struct share s;

	(void)state;
	begin();
	s = lend(key, 5, LATER, 2000);
	s.document[s.n++] = 0xff;
	sign(&s, hub_secret);
	give(&s);
	assert_int_equal(has(), 0);
	s = lend(key, 5, LATER, 2000);
	s.document[1] = 31; /* its key has one byte less */
	sign(&s, hub_secret);
	give(&s);
	assert_int_equal(has(), 0);
	finish();
}

static void document_that_has_run_out_is_not_taken(void **state)
{
	struct share s, later;

	(void)state;
	begin();
	s = lend(key, 5, w.now, 2000);
	is_too_late(&s);
	s = lend(key, 6, LATER, 2000);
	later = lend(key, 7, LATER + 1, 2000);
	w.now = LATER;
	is_too_late(&s);
	is_taken(&later, 7);
	finish();
}

static void document_of_before_is_refused_when_a_later_one_has_come(void **state)
{
	struct share first, second;
	uint64_t n;

	(void)state;
	begin();
	first = lend(key, 5, LATER, 4000);
	second = lend(key, 6, LATER, 1000);
	is_taken(&first, 5);
	is_taken(&second, 6);
	is_refused(&first, "number 5, and number 6 has come already");
	/* Nor in another session: what a node has is in its journal. */
	link_disconnected(end, 2);
	link_connected(end, 2, 0);
	welcome(2);
	is_refused(&first, "number 5, and number 6 has come already");
	/* The newest once more is no news, and nothing is written. */
	n = entries;
	is_taken(&second, 6);
	assert_int_equal(entries, n);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(document_of_the_hub_for_this_node_counts),
	        cmocka_unit_test(forged_document_is_refused),
	        cmocka_unit_test(altered_document_is_refused_whichever_byte_it_is),
	        cmocka_unit_test(document_of_another_node_is_refused),
	        cmocka_unit_test(what_is_signed_and_makes_no_sense_is_refused),
	        cmocka_unit_test(document_that_has_run_out_is_not_taken),
	        cmocka_unit_test(document_of_before_is_refused_when_a_later_one_has_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
