/* SPDX-License-Identifier: Apache-2.0 */
/* test_identity - facts about who may join: a token lets one node in, a name is one key's, what was removed stays out. */
#include "../world.h"

#include "core/identity.h"

static struct world w;

static int open_world(void **state)
{
	(void)state;
	world_init(&w);
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	engine_check(w.e);
	world_load_is_equal(&w, NULL, NULL);
	world_release(&w);
	return 0;
}

static uint8_t hash_of[32], key_of[32], journal_of[32], serial_of[16], digest_of[32];

static const uint8_t *filled(uint8_t *p, size_t n, unsigned v)
{
	memset(p, (int)v, n);
	return p;
}

static void token(unsigned v, uint64_t ttl_ns, int revoked)
{
	Wire__TokenSet m = WIRE__TOKEN_SET__INIT;

	m.hash = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)filled(hash_of, 32, v)};
	m.expires_ns = w.now + ttl_ns;
	m.revoked = revoked;
	world_do(&w, &(struct command){.kind = CMD_TOKEN_SET, .u.token_set = &m});
}

static Wire__CertSet cert(char *name, unsigned key, unsigned serial, uint64_t life_ns)
{
	Wire__CertSet m = WIRE__CERT_SET__INIT;

	m.node = name;
	m.serial = (ProtobufCBinaryData){16, (uint8_t *)(uintptr_t)filled(serial_of, 16, serial)};
	m.sha256 = (ProtobufCBinaryData){32, digest_of};
	m.key = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)filled(key_of, 32, key)};
	m.journal = (ProtobufCBinaryData){32, journal_of};
	m.not_after_ns = w.now + life_ns;
	return m;
}

static void join(unsigned tok, char *name, unsigned key, unsigned serial)
{
	Wire__CertSet m = cert(name, key, serial, 3600 * SEC);
	struct command c = {.kind = CMD_JOIN, .u.join = {filled(hash_of, 32, tok), &m}};

	world_do(&w, &c);
}

static void renew(char *name, unsigned key, unsigned serial, uint64_t life_ns)
{
	Wire__CertSet m = cert(name, key, serial, life_ns);

	world_do(&w, &(struct command){.kind = CMD_CERT_SET, .u.cert_set = &m});
}

static void renew_vouched(char *name, unsigned was, unsigned key, unsigned serial)
{
	Wire__CertSet m = cert(name, key, serial, 3600 * SEC);
	uint8_t old[32];

	m.was = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)filled(old, 32, was)};
	world_do(&w, &(struct command){.kind = CMD_CERT_SET, .u.cert_set = &m});
}

static void drop(char *name)
{
	Wire__CertSet m = WIRE__CERT_SET__INIT;

	m.node = name;
	m.revoked = 1;
	m.reason = (char *)(uintptr_t) "stolen";
	world_do(&w, &(struct command){.kind = CMD_CERT_SET, .u.cert_set = &m});
}

static void a_node_may_have_another_key_when_its_own_vouches(void **state)
{
	Wire__NodeSet n = WIRE__NODE_SET__INIT;
	struct child_view c;
	uint8_t key[32];

	(void)state;
	token(1, 60 * SEC, 0);
	join(1, "press-4", 7, 1);
	n.name = (char *)(uintptr_t) "press-4";
	n.key = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)filled(key, 32, 7)};
	n.journal = (ProtobufCBinaryData){32, journal_of};
	world_do(&w, &(struct command){.kind = CMD_NODE_JOIN, .u.node_set = &n});
	renew("press-4", 8, 2, 3600 * SEC);
	assert_string_equal(world_one(&w, WIRE__ENTRY__BODY_REFUSED)->refused->code, "denied");
	renew_vouched("press-4", 9, 8, 2); /* by a key that it never had */
	assert_string_equal(world_one(&w, WIRE__ENTRY__BODY_REFUSED)->refused->code, "denied");
	renew_vouched("press-4", 7, 8, 2);
	(void)world_one(&w, WIRE__ENTRY__BODY_CERT_SET);
	assert_true(engine_child(w.e, engine_node_named(w.e, "press-4"), &c));
	assert_memory_equal(c.key, filled(key, 32, 8), 32);
	renew_vouched("press-4", 7, 8, 3); /* again: its answer was lost */
	(void)world_one(&w, WIRE__ENTRY__BODY_CERT_SET);
	renew("press-4", 7, 4, 3600 * SEC); /* the old one counts no more */
	assert_string_equal(world_one(&w, WIRE__ENTRY__BODY_REFUSED)->refused->code, "denied");
}

static void a_token_lets_one_node_join(void **state)
{
	struct identity_node n;
	struct identity_token t;

	(void)state;
	token(1, 60 * SEC, 0);
	(void)world_one(&w, WIRE__ENTRY__BODY_TOKEN_SET);
	join(1, "press-4", 7, 1);
	assert_int_equal(w.n_last, 2);
	assert_int_equal(w.last[0]->body_case, WIRE__ENTRY__BODY_TOKEN_SET);
	assert_string_equal(w.last[0]->token_set->used_by, "press-4");
	assert_int_equal(w.last[1]->body_case, WIRE__ENTRY__BODY_CERT_SET);
	assert_int_equal(w.n_effects, 1);
	assert_int_equal(w.effects[0].kind, EFFECT_IDENTITY);
	assert_true(identity_token(engine_identity(w.e), 0, &t));
	assert_int_equal(t.state, TOKEN_USED);
	assert_true(identity_node_named(engine_identity(w.e), "press-4", &n));
	assert_int_equal(n.n_certs, 1);
	join(1, "press-5", 8, 2);
	world_refused(&w, "exists", "used already, by 'press-4'");
	join(1, "press-4", 8, 2); /* the name alone is not enough */
	world_refused(&w, "exists", "used already, by 'press-4'");
	assert_false(identity_node_named(engine_identity(w.e), "press-5", &n));
	assert_false(identity_node_named(engine_identity(w.e), "", &n));
}

static void standby_token(unsigned v)
{
	Wire__TokenSet m = WIRE__TOKEN_SET__INIT;

	m.hash = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)filled(hash_of, 32, v)};
	m.expires_ns = w.now + 60 * SEC;
	m.standby = 1;
	world_do(&w, &(struct command){.kind = CMD_TOKEN_SET, .u.token_set = &m});
}

static void stand_by(unsigned tok, char *name, unsigned key, char *origin)
{
	Wire__CertSet m = cert(name, key, key, 3600 * SEC);
	struct command c = {.kind = CMD_JOIN, .u.join = {filled(hash_of, 32, tok), &m}};

	m.standby = origin;
	m.standby_broker = 8883;
	world_do(&w, &c);
}

static void a_standby_joins_with_a_token_of_its_own(void **state)
{
	struct identity_standby b;

	(void)state;
	token(1, 60 * SEC, 0);
	standby_token(2);
	stand_by(1, "hub-2", 7, "https://h2:7443");
	world_refused(&w, "denied", "not a standby of the hub");
	join(2, "press-4", 8, 1);
	world_refused(&w, "denied", "one for a standby");
	assert_false(identity_standby(engine_identity(w.e), 0, &b));
	stand_by(2, "hub-2", 7, "https://h2:7443");
	assert_true(identity_standby(engine_identity(w.e), 0, &b));
	assert_string_equal(b.name, "hub-2");
	assert_string_equal(b.origin, "https://h2:7443");
	assert_int_equal(b.broker_port, 8883);
	renew("hub-2", 7, 2, 3600 * SEC); /* which says nothing of that */
	assert_true(identity_stands_by(engine_identity(w.e), "hub-2"));
	drop("hub-2");
	assert_false(identity_standby(engine_identity(w.e), 0, &b));
}

static void standbys_have_a_limit_and_last(void **state)
{
	char names[IDENTITY_STANDBYS + 1][16], origins[IDENTITY_STANDBYS + 1][32];
	struct identity_limits l = identity_limits(w.limits.nodes_max);
	struct identity_standby a, b;
	static uint8_t bytes[1 << 16];
	struct saved s = {.bytes = bytes, .max = sizeof(bytes)};
	struct identity_token t;
	struct identity *copy;
	void *mem;

	(void)state;
	for (unsigned i = 0; i <= IDENTITY_STANDBYS; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "hub-%u", i);
		(void)snprintf(origins[i], sizeof(origins[i]), "https://h%u:7443", i);
		standby_token(i + 1);
		stand_by(i + 1, names[i], i + 1, origins[i]);
	}
	world_refused(&w, "full", "8 stand by already");
	drop("hub-3");
	stand_by(IDENTITY_STANDBYS + 1, names[IDENTITY_STANDBYS], 40, origins[IDENTITY_STANDBYS]);
	standby_token(30);
	assert_int_equal(identity_save(engine_identity(w.e), saved_put, &s), 0);
	mem = calloc(1, identity_bytes(&l));
	copy = identity_new(mem, &l);
	assert_int_equal(identity_load(copy, bytes, s.n), 0);
	identity_check(copy);
	for (unsigned i = 0; i < IDENTITY_STANDBYS; i++) {
		assert_true(identity_standby(engine_identity(w.e), i, &a) && identity_standby(copy, i, &b));
		assert_string_equal(a.name, b.name);
		assert_string_equal(a.origin, b.origin);
		assert_int_equal(a.broker_port, b.broker_port);
	}
	assert_true(identity_token(copy, IDENTITY_STANDBYS + 1, &t));
	assert_true(t.standby && t.state == TOKEN_OPEN);
	free(mem);
}

static void a_lost_answer_may_be_asked_for_again(void **state)
{
	(void)state;
	token(1, 60 * SEC, 0);
	join(1, "press-4", 7, 1);
	join(1, "press-4", 7, 2);
	assert_int_equal(world_one(&w, WIRE__ENTRY__BODY_CERT_SET)->cert_set->serial.data[0], 2);
	w.now += 61 * SEC;
	join(1, "press-4", 7, 3);
	world_refused(&w, "timeout", "expired 1 s ago");
}

static void tokens_end(void **state)
{
	(void)state;
	join(1, "a", 7, 1);
	world_refused(&w, "denied", "knows no such token");
	token(1, 60 * SEC, 0);
	token(1, 60 * SEC, 0);
	world_refused(&w, "exists", "such a token already");
	token(1, 0, 1);
	(void)world_one(&w, WIRE__ENTRY__BODY_TOKEN_SET);
	join(1, "a", 7, 1);
	world_refused(&w, "exists", "withdrawn");
	token(1, 0, 1);
	world_refused(&w, "not_found", "no such token");
	token(2, 60 * SEC, 0);
	w.now += 60 * SEC;
	join(2, "a", 7, 1);
	assert_int_equal(w.n_last, 2); /* to the last moment */
	token(3, 0, 0);
	world_refused(&w, "invalid", "before it could be used");
}

static void a_name_is_one_keys(void **state)
{
	(void)state;
	token(1, 60 * SEC, 0);
	token(2, 60 * SEC, 0);
	token(3, 60 * SEC, 0);
	join(1, "a", 7, 1);
	join(2, "a", 8, 2);
	world_refused(&w, "exists", "another node has joined as 'a'");
	join(2, "a", 7, 2); /* the same node anew; the token was not spent */
	assert_int_equal(w.n_last, 2);
	drop("a");
	join(3, "a", 8, 3); /* nobody's any more */
	assert_int_equal(w.n_last, 2);
}

static void a_key_has_one_name(void **state)
{
	struct identity_node n;

	(void)state;
	token(1, 60 * SEC, 0);
	token(2, 60 * SEC, 0);
	token(3, 60 * SEC, 0);
	join(1, "a", 7, 1);
	join(2, "b", 7, 2);
	assert_true(identity_node_named(engine_identity(w.e), "a", &n));
	assert_true(n.removed && n.certs[0].revoked_ns == w.now);
	assert_true(identity_node_named(engine_identity(w.e), "b", &n));
	assert_false(n.removed);
	join(3, "a", 7, 3); /* and back */
	assert_true(identity_node_named(engine_identity(w.e), "b", &n));
	assert_true(n.removed);
	assert_true(identity_node_named(engine_identity(w.e), "a", &n));
	assert_true(!n.removed && n.n_certs == 2 && n.certs[1].revoked_ns == 0);
}

static void removed_nodes_stay_out(void **state)
{
	struct identity_node n;

	(void)state;
	token(1, 60 * SEC, 0);
	join(1, "a", 7, 1);
	renew("a", 7, 2, 3600 * SEC);
	(void)world_one(&w, WIRE__ENTRY__BODY_CERT_SET);
	renew("a", 8, 3, 3600 * SEC);
	world_refused(&w, "denied", "another key");
	drop("b");
	world_refused(&w, "not_found", "no node 'b'");
	drop("a");
	assert_int_equal(w.effects[0].kind, EFFECT_IDENTITY);
	assert_true(identity_node_named(engine_identity(w.e), "a", &n));
	assert_true(n.removed && n.n_certs == 2 && n.certs[0].revoked_ns == w.now &&
	            n.certs[1].revoked_ns == w.now);
	renew("a", 7, 3, 3600 * SEC);
	world_refused(&w, "removed", "removed");
	drop("a");
	world_refused(&w, "exists", "removed");
	join(1, "a", 7, 3); /* nor with the token it came with */
	world_refused(&w, "exists", "used already");
}

static void renewing_has_a_limit(void **state)
{
	struct identity_node n;

	(void)state;
	token(1, 60 * SEC, 0);
	join(1, "a", 7, 1);
	for (unsigned i = 1; i < IDENTITY_CERTS; i++)
		renew("a", 7, 1 + i, 100 * SEC);
	renew("a", 7, 100, 100 * SEC);
	world_refused(&w, "full", "asks too often");
	w.now += 101 * SEC; /* their places are free again, the first one's is not */
	renew("a", 7, 100, 100 * SEC);
	(void)world_one(&w, WIRE__ENTRY__BODY_CERT_SET);
	assert_true(identity_node_named(engine_identity(w.e), "a", &n));
	assert_int_equal(n.n_certs, IDENTITY_CERTS);
	assert_int_equal(n.certs[0].serial[0], 1);
	assert_int_equal(n.certs[1].serial[0], 100);
}

static void tokens_have_a_limit(void **state)
{
	struct identity_limits l = identity_limits(w.limits.nodes_max);

	(void)state;
	assert_true(l.tokens < 200);
	for (unsigned i = 0; i < l.tokens; i++)
		token(i, (60 + i) * SEC, 0);
	token(200, 60 * SEC, 0);
	world_refused(&w, "full", "more are not kept");
	w.now += 62 * SEC; /* two have expired */
	token(200, 60 * SEC, 0);
	(void)world_one(&w, WIRE__ENTRY__BODY_TOKEN_SET);
	join(0, "a", 7, 1);
	world_refused(&w, "denied", "no such token"); /* the oldest was forgotten */
	join(1, "a", 7, 1);
	world_refused(&w, "timeout", "expired");
}

static void damaged_tables_are_refused(void **state)
{
	struct identity_limits l = {.tokens = 2, .nodes = 2};
	uint8_t bytes[2048];
	struct saved s = {.bytes = bytes, .max = sizeof(bytes)};

	(void)state;
	token(1, 60 * SEC, 0);
	join(1, "a", 7, 1);
	assert_int_equal(identity_save(engine_identity(w.e), saved_put, &s), 0);
	for (size_t n = 0; n <= s.n; n++) {
		void *mem = calloc(1, identity_bytes(&l));
		struct identity *t = identity_new(mem, &l);

		if (n == 0 || n == s.n || identity_load(t, bytes, n) == 0)
			assert_true(n == 0 || n == s.n || n == 32 + 8 + 1 + 2 + 1); /* after a record */
		free(mem);
	}
	for (size_t i = 0; i < s.n; i++)
		for (unsigned v = 0; v < 256; v += 51) {
			void *mem = calloc(1, identity_bytes(&l));
			struct identity *t = identity_new(mem, &l);
			uint8_t was = bytes[i];

			bytes[i] = (uint8_t)v;
			(void)identity_load(
			        t, bytes, s.n); /* under a sanitizer: reads and writes nothing else */
			bytes[i] = was;
			free(mem);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(a_token_lets_one_node_join, open_world, close_world),
	        cmocka_unit_test_setup_teardown(
	                a_lost_answer_may_be_asked_for_again, open_world, close_world),
	        cmocka_unit_test_setup_teardown(
	                a_standby_joins_with_a_token_of_its_own, open_world, close_world),
	        cmocka_unit_test_setup_teardown(standbys_have_a_limit_and_last, open_world, close_world),
	        cmocka_unit_test_setup_teardown(tokens_end, open_world, close_world),
	        cmocka_unit_test_setup_teardown(
	                a_node_may_have_another_key_when_its_own_vouches, open_world, close_world),
	        cmocka_unit_test_setup_teardown(a_name_is_one_keys, open_world, close_world),
	        cmocka_unit_test_setup_teardown(a_key_has_one_name, open_world, close_world),
	        cmocka_unit_test_setup_teardown(removed_nodes_stay_out, open_world, close_world),
	        cmocka_unit_test_setup_teardown(renewing_has_a_limit, open_world, close_world),
	        cmocka_unit_test_setup_teardown(tokens_have_a_limit, open_world, close_world),
	        cmocka_unit_test_setup_teardown(damaged_tables_are_refused, open_world, close_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
