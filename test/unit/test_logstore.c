/* SPDX-License-Identifier: Apache-2.0 */
/* test_logstore - facts about publishing a journal: golden roots and tiles, proofs from any head, and histories that must not
 * be signed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sqlite3.h>

#include "core/ledger.h"
#include "core/tlogproof.h"
#include "io/audit.h"
#include "io/sha256.h"
#include "wire/entry.h"

#define ORIGIN "example.com/elastic/log1"
#include "log_help.h"

static struct logstore *open_store(struct world *w, bool read_only)
{
	struct logstore *l;
	struct err e;

	if (logstore_open(w->dir, ORIGIN, read_only, &l, &e) < 0)
		fail_msg("%s", e.msg);
	return l;
}

static void publish(struct logstore *l, uint64_t to)
{
	struct key k = log_key();
	struct err e;

	if (logstore_publish(l, to, 1700000000, &k, &e) < 0)
		fail_msg("%s", e.msg);
}

static struct log_head head_of(struct logstore *l)
{
	struct log_head h;

	assert_int_equal(logstore_head(l, &h, NULL), 0);
	return h;
}

static void fill(struct world *w, uint64_t n)
{
	struct journal_head h;

	journal_head(w->j, &h);
	for (uint64_t i = h.size; i < n; i++)
		(void)world_add(w, i);
	world_flush_wait(w);
}

static void hex_is(const uint8_t digest[32], const char *want)
{
	char hex[SHA256_HEX + 1];

	sha256_hex(digest, hex);
	assert_string_equal(hex, want);
}

static void tile_is(struct logstore *l, unsigned level, uint64_t index, uint64_t size, const char *want)
{
	uint8_t hash[TILE_WIDTH][32], digest[32];
	unsigned n = tile_width(size, level, index);

	assert_int_equal(logstore_hashes(l, level, index * TILE_WIDTH, n, hash, NULL), 0);
	sha256_of(hash, n * (size_t)32, digest);
	hex_is(digest, want);
}

static void golden_tree_of_seventy_thousand_is_published(void **state)
{
	struct world *w = *state;
	struct logstore *l;

	world_open(w, NULL);
	for (uint32_t i = 0; i < 70000; i++) {
		uint8_t be[4] = {(uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};

		(void)journal_add(w->j, be, 4, NULL);
	}
	world_flush_wait(w);
	l = open_store(w, false);
	publish(l, 100);
	publish(l, 65535);
	publish(l, 70000);
	hex_is(head_of(l).root, "339ecf3ae716405fdc28cef164e45a785cade0d5bc3e1400a7a4d70d0b2dec9b");
	tile_is(l, 0, 0, 70000, "2c715dd97e9cb86edffcc77e807fbe36a81de413e8d2f482ef4ac5bccb57b1ce");
	tile_is(l, 0, 273, 70000, "9b57fcecc3174fe71094d34d1a0f9360a327fc8f469175be773701506d8b8f9f");
	tile_is(l, 1, 0, 70000, "38f81de47c7ffec67069a9c1a034f58331f07b832a35d47c5a44b79481f75952");
	tile_is(l, 1, 1, 70000, "863ef73fc3b5a762d44e032d862a290dec917c77195eef6d833bea4eb31f040a");
	tile_is(l, 2, 0, 70000, "aabd99b22cae1342f5bcaa4693b5bb37f9b7fe061ae10796a473511d19759789");
	logstore_close(l);
}

static void inclusion_holds(struct logstore *l, uint64_t index, uint64_t size)
{
	struct proof_source s = logstore_source(l);
	struct merkle_hash h = logstore_hash(l);
	uint8_t leaf[1][32], root[32];
	struct proof p;

	assert_int_equal(proof_root(&h, &s, size, root, NULL), 0);
	assert_int_equal(logstore_hashes(l, 0, index, 1, leaf, NULL), 0);
	assert_int_equal(proof_inclusion(&h, &s, index, size, &p, NULL), 0);
	assert_int_equal(proof_inclusion_verify(&h, leaf[0], index, size, p.hash, p.n, root, NULL), 0);
}

static void every_entry_can_be_proven_in_every_head(void **state)
{
	static const uint64_t sizes[] = {1, 2, 255, 256, 257, 511, 513, 1000};
	struct world *w = *state;
	struct log_head last = {0};
	struct logstore *l, *reader;

	world_open(w, NULL);
	fill(w, 1000);
	l = open_store(w, false);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct proof_source s = logstore_source(l);
		struct merkle_hash h = logstore_hash(l);
		struct log_head now;
		struct proof p;

		publish(l, sizes[i]);
		now = head_of(l);
		assert_int_equal(now.size, sizes[i]);
		for (uint64_t k = 0; k < sizes[i]; k += 1 + sizes[i] / 40)
			inclusion_holds(l, k, sizes[i]);
		if (last.size) {
			assert_int_equal(proof_consistency(&h, &s, last.size, now.size, &p, NULL), 0);
			assert_int_equal(proof_consistency_verify(&h, last.size, last.root, now.size,
			                         now.root, p.hash, p.n, NULL),
			        0);
		}
		last = now;
	}
	reader = open_store(w, true);
	assert_memory_equal(head_of(reader).root, last.root, 32);
	inclusion_holds(reader, 999, 1000);
	logstore_close(reader);
	logstore_close(l);
}

static void note_is_a_checkpoint_that_its_key_verifies(void **state)
{
	struct world *w = *state;
	struct note_verifier v = ed25519_verifier();
	struct key k = log_key();
	struct journal_head j;
	struct checkpoint c;
	struct log_head h;
	struct logstore *l;
	struct note note;

	world_open(w, NULL);
	fill(w, 300);
	journal_head(w->j, &j);
	l = open_store(w, false);
	publish(l, 300);
	h = head_of(l);
	assert_int_equal(note_parse(h.note, h.note_n, &note, NULL), 0);
	assert_int_equal(note_verify(&note, &k.pub, &v, NULL), NOTE_SIGNED);
	assert_int_equal(checkpoint_parse(note.text, note.text_n, &c, NULL), 0);
	assert_int_equal(c.size, 300);
	assert_memory_equal(c.root, j.root, 32);
	logstore_close(l);
}

static void sql(struct world *w, const char *file, const char *text)
{
	char path[128];
	sqlite3 *db;

	(void)snprintf(path, sizeof(path), "%s/%s", w->dir, file);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
}

static void killed_before_the_note_the_same_note_is_made(void **state)
{
	struct world *w = *state;
	struct log_head first, again;
	struct logstore *l;

	world_open(w, NULL);
	fill(w, 40);
	l = open_store(w, false);
	publish(l, 40);
	first = head_of(l);
	logstore_close(l);
	sql(w, "ledger.db", "UPDATE head SET note = x''");
	l = open_store(w, false);
	assert_int_equal(head_of(l).note_n, 0);
	publish(l, 40);
	again = head_of(l);
	assert_int_equal(again.note_n, first.note_n);
	assert_memory_equal(again.note, first.note, first.note_n);
	logstore_close(l);
}

static void head_that_is_not_signed_yet_is_not_shown(void **state)
{
	struct logstore *l, *reader;
	struct log_head first, again;
	struct world *w = *state;

	world_open(w, NULL);
	fill(w, 60);
	l = open_store(w, false);
	publish(l, 40);
	reader = open_store(w, true);
	first = head_of(reader);
	assert_int_equal(first.size, 40);
	publish(l, 60);
	sql(w, "ledger.db", "UPDATE head SET note = x''"); /* as it is for a moment, each time */
	again = head_of(reader);
	assert_int_equal(again.size, 40);
	assert_string_equal(again.note, first.note);
	inclusion_holds(reader, 3, 40);
	logstore_close(l);
	l = open_store(w, false);
	publish(l, 60);
	assert_int_equal(head_of(reader).size, 60);
	logstore_close(reader);
	logstore_close(l);
}

static void refused(struct world *w, const char *origin, enum err_code code, const char *says)
{
	struct logstore *l;
	struct err e = {0};

	assert_int_equal(logstore_open(w->dir, origin, false, &l, &e), -1);
	assert_int_equal(e.code, code);
	if (!strstr(e.msg, says))
		fail_msg("says '%s'", e.msg);
}

static void restored_or_exchanged_journal_is_not_signed(void **state)
{
	struct world *w = *state;
	struct logstore *l;

	world_open(w, NULL);
	fill(w, 40);
	l = open_store(w, false);
	publish(l, 40);
	logstore_close(l);
	refused(w, "example.com/other", ERR_EXISTS, "not 'example.com/other'");
	world_close(w);
	sql(w, "journal.db", "DELETE FROM entries WHERE seq = 39");
	refused(w, ORIGIN, ERR_CORRUPT, "older backup");
	world_open(w, NULL);
	(void)journal_add(w->j, (const uint8_t *)"another", 7, NULL);
	world_flush_wait(w);
	refused(w, ORIGIN, ERR_CORRUPT, "another history");
	world_close(w);
	sql(w, "ledger.db", "UPDATE head SET size = 39");
	refused(w, ORIGIN, ERR_CORRUPT, "damaged");
}

static void say_key(struct world *w, const struct key *k, Wire__KeySet__State state)
{
	Wire__KeySet m = WIRE__KEY_SET__INIT;
	Wire__Entry en = WIRE__ENTRY__INIT;
	char vkey[NOTE_VKEY_MAX];
	uint8_t bytes[512];

	note_key_print(&k->pub, vkey);
	m.state = state;
	m.vkey = vkey;
	m.reason = (char *)"a test";
	en.time_ns = 1;
	en.body_case = WIRE__ENTRY__BODY_KEY_SET;
	en.key_set = &m;
	assert_true(entry_size(&en) <= sizeof(bytes));
	(void)journal_add(w->j, bytes, entry_encode(&en, bytes), NULL);
	world_flush_wait(w);
}

static struct key other_key(uint8_t seed)
{
	struct key k = {.seed = {seed}};
	uint8_t pub[32];

	ed25519_public(k.seed, pub);
	note_key_make(ORIGIN, NOTE_ED25519, pub, &k.pub);
	return k;
}

/* "12": the first and the second key have signed the head, in this order and nobody else. */
static void signed_by(struct logstore *l, const struct key keys[3], uint64_t to, const char *want)
{
	struct note_verifier v = ed25519_verifier();
	struct log_head h;
	struct note note;
	struct err e;

	if (logstore_publish_by(l, to, 1700000000, keys, 3, &e) < 0)
		fail_msg("%s", e.msg);
	h = head_of(l);
	assert_int_equal(note_parse(h.note, h.note_n, &note, NULL), 0);
	assert_int_equal(note.sigs, strlen(want));
	for (unsigned i = 0; i < note.sigs; i++) {
		const struct key *k = &keys[want[i] - '1'];

		assert_memory_equal(note.sig[i].id, k->pub.id, 4);
		assert_int_equal(note_verify(&note, &k->pub, &v, NULL), NOTE_SIGNED);
	}
}

static void heads_are_signed_by_whom_their_own_tree_names(void **state)
{
	struct world *w = *state;
	struct key keys[3] = {other_key(11), other_key(12), other_key(13)};
	struct logstore *l;
	struct log_head h, again;
	struct err e = {0};

	world_open(w, NULL);
	say_key(w, &keys[1], WIRE__KEY_SET__STATE__ADDED);   /* 0 */
	say_key(w, &keys[0], WIRE__KEY_SET__STATE__ADDED);   /* 1 */
	say_key(w, &keys[1], WIRE__KEY_SET__STATE__REVOKED); /* 2 */
	say_key(w, &keys[2], WIRE__KEY_SET__STATE__ADDED);   /* 3 */
	say_key(w, &keys[0], WIRE__KEY_SET__STATE__REVOKED); /* 4 */
	l = open_store(w, false);
	signed_by(l, keys, 1, "2");
	signed_by(l, keys, 2, "21"); /* in the order in which the log named them */
	signed_by(l, keys, 3, "1");
	signed_by(l, keys, 4, "13");
	h = head_of(l);
	logstore_close(l);
	/* Killed before the note: made again to the byte, with both. */
	sql(w, "ledger.db", "UPDATE head SET note = x''");
	l = open_store(w, false);
	signed_by(l, keys, 4, "13");
	again = head_of(l);
	assert_int_equal(again.note_n, h.note_n);
	assert_memory_equal(again.note, h.note, h.note_n);
	/* Of two that may sign, the one whose file is lost is left out; none at all is told. */
	assert_int_equal(logstore_publish_by(l, 5, 1700000000, keys, 2, &e), -1);
	assert_int_equal(e.code, ERR_DENIED);
	signed_by(l, keys, 5, "3");
	logstore_close(l);
}

static void damaged_entry_is_not_signed(void **state)
{
	struct world *w = *state;
	struct key k = log_key();
	struct logstore *l;
	struct err e = {0};

	world_open(w, NULL);
	fill(w, 600);
	l = open_store(w, false);
	publish(l, 100);
	world_close(w);
	sql(w, "journal.db", "UPDATE entries SET body = x'00' WHERE seq = 300");
	assert_int_equal(logstore_publish(l, 600, 1700000000, &k, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_non_null(strstr(e.msg, "entry 300"));
	assert_int_equal(head_of(l).size, 100);
	assert_int_equal(logstore_publish(l, 700, 1700000000, &k, &e), -1);
	assert_non_null(strstr(e.msg, "it lost some"));
	assert_int_equal(logstore_publish(l, 99, 1700000000, &k, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	publish(l, 300);
	assert_int_equal(head_of(l).size, 300);
	logstore_close(l);
}

static void dropped_history_is_proven_still(void **state)
{
	struct world *w = *state;
	struct logstore *l;

	world_open(w, NULL);
	fill(w, 1000);
	l = open_store(w, false);
	publish(l, 700);
	drop_first_512(w);
	publish(l, 1000);
	inclusion_holds(l, 3, 700);
	inclusion_holds(l, 511, 1000);
	inclusion_holds(l, 512, 1000);
	logstore_close(l);
}

static void audit_counts_what_was_dropped_as_expired(void **state)
{
	struct world *w = *state;
	struct policy *policy = malloc(sizeof(*policy));
	struct audit_options o = {.threads = 3, .policy = policy};
	struct audit_report r;
	struct logstore *l;
	struct err e;

	assert_non_null(policy);
	log_policy(policy);
	world_open(w, NULL);
	fill(w, 1000);
	l = open_store(w, false);
	publish(l, 700);
	assert_int_equal(audit_state(w->dir, &o, &r, &e), 0);
	assert_int_equal(r.expired, 0);
	drop_first_512(w);
	world_close(w);
	assert_int_equal(audit_state(w->dir, &o, &r, &e), 0);
	assert_int_equal(r.expired, 512);
	assert_int_equal(r.entries, 1000);
	assert_int_equal(r.size, 700);
	assert_int_equal(r.tiles, 2);
	assert_string_equal(r.signer, ORIGIN);
	/* A hash that stands for what was dropped may not change either; nor what the head was signed for. */
	sql(w, "journal.db", "UPDATE tiles SET hashes = zeroblob(8192) WHERE n = 1");
	assert_int_equal(audit_state(w->dir, &o, &r, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_non_null(strstr(e.msg, "entries 256 to 511"));
	logstore_close(l);
	free(policy);
}

static void large_entries_are_logged_by_a_stand_in(void **state)
{
	struct world *w = *state;
	struct sha256 *sha = sha256_new();
	struct merkle_hash h = sha256_merkle(sha);
	uint8_t *large = calloc(1, 70000), standin[LEDGER_STANDIN], leaf[32], want[32], got[1][32];
	struct logstore *l;

	assert_non_null(large);
	large[0] = 8;
	world_open(w, NULL);
	(void)journal_add(w->j, large, 65535, NULL);
	(void)journal_add(w->j, large, 65536, NULL);
	world_flush_wait(w);
	world_close(w);
	world_open(w, NULL); /* which checks every leaf */
	l = open_store(w, false);
	publish(l, 2);
	merkle_leaf(&h, large, 65535, want);
	assert_int_equal(logstore_hashes(l, 0, 0, 1, got, NULL), 0);
	assert_memory_equal(got[0], want, 32);
	ledger_standin(&h, large, 65536, standin);
	assert_memory_equal(standin, "\0osier large entry v1\n", 22);
	merkle_leaf(&h, standin, sizeof(standin), want);
	assert_int_equal(logstore_hashes(l, 0, 1, 1, got, NULL), 0);
	assert_memory_equal(got[0], want, 32);
	ledger_leaf(&h, large, 65536, leaf);
	assert_memory_equal(leaf, want, 32);
	logstore_close(l);
	free(large);
	sha256_free(sha);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        fact(golden_tree_of_seventy_thousand_is_published),
	        fact(every_entry_can_be_proven_in_every_head),
	        fact(note_is_a_checkpoint_that_its_key_verifies),
	        fact(killed_before_the_note_the_same_note_is_made),
	        fact(head_that_is_not_signed_yet_is_not_shown),
	        fact(restored_or_exchanged_journal_is_not_signed),
	        fact(heads_are_signed_by_whom_their_own_tree_names),
	        fact(damaged_entry_is_not_signed),
	        fact(dropped_history_is_proven_still),
	        fact(audit_counts_what_was_dropped_as_expired),
	        fact(large_entries_are_logged_by_a_stand_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
