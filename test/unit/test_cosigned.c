/* SPDX-License-Identifier: Apache-2.0 */
/* test_cosigned - facts about the log's heads with cosignatures: when a quorum is met, which head a receipt gets, what is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "io/cosigned.h"
#include "io/ed25519.h"
#include "journal_help.h"

#define ORIGIN "example.com/log"

static struct key make_key(const char *name, enum note_key_type type, uint8_t seed)
{
	struct key k = {.seed = {seed}};
	uint8_t pub[32];

	ed25519_public(k.seed, pub);
	note_key_make(name, type, pub, &k.pub);
	return k;
}

static struct key witness(unsigned i)
{
	static const char *const names[] = {"w0", "w1", "w2"};

	return make_key(names[i], NOTE_COSIGNATURE, (uint8_t)(10 + i));
}

/* Two of three. */
static const struct policy *the_policy(void)
{
	static struct policy p;
	char text[2048], vkey[NOTE_VKEY_MAX];
	struct key log = make_key(ORIGIN, NOTE_ED25519, 7);
	size_t n;

	note_key_print(&log.pub, vkey);
	n = (size_t)snprintf(text, sizeof(text), "log %s\n", vkey);
	for (unsigned i = 0; i < 3; i++) {
		struct key k = witness(i);

		note_key_print(&k.pub, vkey);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "witness n%u %s\n", i, vkey);
	}
	n += (size_t)snprintf(text + n, sizeof(text) - n, "group g 2 n0 n1 n2\nquorum g\n");
	assert_int_equal(policy_parse(text, n, &p, NULL), 0);
	return &p;
}

static void append_entries(struct world *w, uint64_t n)
{
	world_open(w, NULL);
	for (uint64_t i = 0; i < n; i++)
		(void)world_add(w, i);
	world_flush_wait(w);
}

static void publish(struct logstore *l, uint64_t to)
{
	struct key k = make_key(ORIGIN, NOTE_ED25519, 7);
	struct err e;

	if (logstore_publish(l, to, 1700000000, &k, &e) < 0)
		fail_msg("%s", e.msg);
}

static struct logstore *open_store(struct world *w, bool read_only)
{
	struct logstore *l;
	struct err e;

	if (logstore_open(w->dir, ORIGIN, read_only, &l, &e) < 0)
		fail_msg("%s", e.msg);
	return l;
}

/* The last head of l, cosigned by witness i at that time; is its quorum met now? */
static bool cosign(struct world *w, struct logstore *l, unsigned i, uint64_t time_s)
{
	struct note_verifier v = ed25519_verifier();
	struct key k = witness(i);
	char text[4096], msg[sizeof(COSIGNED_HEAD) + CHECKPOINT_TEXT_MAX];
	struct policy_result trust;
	struct checkpoint c;
	struct log_head head;
	struct note note;
	uint8_t sig[64];
	struct err e;
	bool met;
	size_t n;

	assert_int_equal(logstore_head(l, &head, NULL), 0);
	memcpy(text, head.note, head.note_n);
	assert_int_equal(note_parse(text, head.note_n, &note, NULL), 0);
	ed25519_sign(k.seed, msg, note_cosigned(time_s, note.text, note.text_n, msg), sig);
	n = head.note_n + note_line(&k.pub, time_s, sig, text + head.note_n);
	assert_int_equal(note_parse(text, n, &note, NULL), 0);
	assert_int_equal(policy_check(the_policy(), &note, &v, &c, &trust, NULL), 0);
	assert_int_equal(trust.witnesses, 1);
	if (cosigned_put(w->dir, the_policy(), &note, &c, &trust, &met, &e) < 0)
		fail_msg("%s", e.msg);
	return met;
}

static unsigned witnesses_in(const char *bytes, size_t n)
{
	struct note_verifier v = ed25519_verifier();
	struct policy_result trust;
	struct checkpoint c;
	struct note note;

	assert_int_equal(note_parse(bytes, n, &note, NULL), 0);
	assert_int_equal(policy_check(the_policy(), &note, &v, &c, &trust, NULL), 0);
	return trust.witnesses;
}

static unsigned published_witnesses(struct logstore *l)
{
	struct log_head head;
	unsigned found;
	char *text;
	size_t n;

	assert_int_equal(logstore_head(l, &head, NULL), 0);
	assert_int_equal(cosigned_checkpoint(l, &text, &n, NULL), 0);
	found = witnesses_in(text, n);
	free(text);
	return found;
}

static uint64_t covering(struct logstore *l, uint64_t seq, unsigned *out_witnesses)
{
	struct log_head head;
	uint64_t size;
	char *text;
	size_t n;

	assert_int_equal(logstore_head(l, &head, NULL), 0);
	assert_int_equal(cosigned_covering(l, seq, &size, &text, &n, NULL), 0);
	*out_witnesses = witnesses_in(text, n);
	free(text);
	return size;
}

static void quorum_is_met_by_the_second_of_two(void **state)
{
	struct world *w = *state;
	struct logstore *l, *r;
	uint64_t size = 9, time_s;
	char vkey[NOTE_VKEY_MAX];
	struct key k = witness(1);

	append_entries(w, 20);
	l = open_store(w, false);
	publish(l, 10);
	r = open_store(w, true);
	assert_int_equal(published_witnesses(r), 0);
	assert_int_equal(cosigned_met(r, &size, NULL), 0);
	assert_int_equal(size, 0);
	assert_false(cosign(w, l, 0, 1700000001));
	assert_false(cosign(w, l, 0, 1700000002)); /* the same one again is one */
	assert_int_equal(published_witnesses(r), 1);
	assert_true(cosign(w, l, 1, 1700000003));
	assert_int_equal(published_witnesses(r), 2);
	assert_int_equal(cosigned_met(r, &size, NULL), 0);
	assert_int_equal(size, 10);
	note_key_print(&k.pub, vkey);
	assert_int_equal(cosigned_by(r, vkey, &size, &time_s, NULL), 0);
	assert_true(size == 10 && time_s == 1700000003);
	logstore_close(r);
	logstore_close(l);
}

static void receipt_gets_the_newest_head_with_a_quorum(void **state)
{
	struct world *w = *state;
	struct logstore *l, *r;
	unsigned witnesses;

	append_entries(w, 40);
	l = open_store(w, false);
	publish(l, 10);
	r = open_store(w, true);
	assert_true(covering(r, 3, &witnesses) == 10 && witnesses == 0);
	(void)cosign(w, l, 0, 1);
	assert_true(cosign(w, l, 1, 1));
	publish(l, 20);
	assert_true(covering(r, 3, &witnesses) == 10 && witnesses == 2);
	assert_true(covering(r, 9, &witnesses) == 10 && witnesses == 2);
	assert_true(covering(r, 10, &witnesses) == 20 && witnesses == 0); /* the quorum's head is before it */
	(void)cosign(w, l, 2, 2);
	assert_true(covering(r, 3, &witnesses) == 10 && witnesses == 2); /* one is not enough */
	assert_true(covering(r, 15, &witnesses) == 20 && witnesses == 1);
	assert_true(cosign(w, l, 0, 2));
	assert_true(covering(r, 3, &witnesses) == 20 && witnesses == 2);
	logstore_close(r);
	logstore_close(l);
}

static int64_t count(struct world *w, const char *what)
{
	char path[128], sql[200];
	sqlite3_stmt *s;
	sqlite3 *db;
	int64_t n;

	(void)snprintf(path, sizeof(path), "%s/ledger.db", w->dir);
	(void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", what);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	n = sqlite3_column_int64(s, 0);
	(void)sqlite3_finalize(s);
	(void)sqlite3_close(db);
	return n;
}

static void heads_that_nobody_needs_go(void **state)
{
	struct world *w = *state;
	struct logstore *l;

	append_entries(w, 100);
	l = open_store(w, false);
	for (uint64_t to = 1; to <= 80; to++) {
		publish(l, to);
		assert_false(cosign(w, l, 0, to));
	}
	assert_int_equal(count(w, "cosigned"), COSIGNED_OPEN_MAX);
	assert_int_equal(count(w, "cosignatures"), COSIGNED_OPEN_MAX);
	assert_true(cosign(w, l, 1, 81));
	assert_int_equal(count(w, "cosigned"), 1);
	assert_int_equal(count(w, "cosignatures"), 2);
	assert_int_equal(count(w, "cosigners"), 2);
	logstore_close(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        fact(quorum_is_met_by_the_second_of_two),
	        fact(receipt_gets_the_newest_head_with_a_quorum),
	        fact(heads_that_nobody_needs_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
