/* SPDX-License-Identifier: Apache-2.0 */
/* anchored - which heads were brought where: kept, listed, and found for a receipt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/ledger.h"
#include "io/anchored.h"
#include "io/ed25519.h"
#include "io/logstore_int.h"
#include "journal_help.h"

#define ORIGIN "example.com/log"

static struct logstore *store;

static void publish(uint64_t to, struct log_head *out)
{
	struct key k = {.seed = {7}};
	uint8_t pub[32];
	struct err e;

	ed25519_public(k.seed, pub);
	note_key_make(ORIGIN, NOTE_ED25519, pub, &k.pub);
	if (logstore_publish(store, to, 1700000000, &k, &e) < 0 || logstore_head(store, out, &e) < 0)
		fail_msg("%s", e.msg);
}

static void filled(struct world *w)
{
	struct err e;

	world_open(w, NULL);
	for (uint64_t i = 0; i < 40; i++)
		(void)world_add(w, i);
	world_flush_wait(w);
	if (logstore_open(w->dir, ORIGIN, false, &store, &e) < 0)
		fail_msg("%s", e.msg);
}

/* As an authority's, whose proof the store does not look into. */
static void put(const struct world *w, const char *place, const struct log_head *h, enum anchored_state state,
        const char *proof)
{
	struct anchored a = {.kind = ANCHORED_AUTHORITY,
	        .state = state,
	        .place = place,
	        .size = h->size,
	        .time_s = 5,
	        .note = h->note,
	        .note_n = h->note_n,
	        .proof = (const uint8_t *)proof,
	        .proof_n = strlen(proof),
	        .details = "{}"};
	struct err e;

	memcpy(a.root, h->root, 32);
	if (anchored_put(w->dir, &a, &e) < 0)
		fail_msg("%s", e.msg);
}

struct listed {
	char text[400];
	size_t n;
};

static int list_one(void *ctx, const struct anchored *a)
{
	struct listed *l = ctx;

	l->n += (size_t)snprintf(l->text + l->n, sizeof(l->text) - l->n, "%s %llu %s %.*s\n", a->place,
	        (unsigned long long)a->size, anchored_state_name(a->state), (int)a->proof_n,
	        (const char *)a->proof);
	return 0;
}

static void list_is(int kind, const char *place, uint64_t limit, const char *want)
{
	struct listed l = {{0}, 0};

	assert_int_equal(anchored_list(store, kind, place, limit, list_one, &l, NULL), 0);
	assert_string_equal(l.text, want);
}

/* "SIZE PROOF, ..." of the heads that the receipt of an entry gets; each path must lead to its root. */
static void covering_is(uint64_t seq, const char *want)
{
	struct merkle_hash h = sha256_merkle(store->sha);
	Wire__ReceiptFile f = WIRE__RECEIPT_FILE__INIT;
	uint8_t leaf[1][32], path[PROOF_MAX][32];
	char text[300] = "";
	size_t n = 0;
	struct err e;

	growing_clear(&store->g);
	if (anchors_covering(store, seq, &f, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(logstore_hashes(store, 0, seq, 1, leaf, NULL), 0);
	for (size_t i = 0; i < f.n_heads; i++) {
		const Wire__AnchoredHead *m = f.heads[i];
		struct checkpoint c;
		struct note note;

		assert_int_equal(note_parse((const char *)m->note.data, m->note.len, &note, NULL), 0);
		assert_int_equal(checkpoint_parse(note.text, note.text_n, &c, NULL), 0);
		for (size_t k = 0; k < m->n_path; k++)
			memcpy(path[k], m->path[k].data, 32);
		assert_int_equal(proof_inclusion_verify(&h, leaf[0], seq, c.size, (const uint8_t(*)[32])path,
		                         m->n_path, c.root, NULL),
		        0);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%llu %.*s, ", (unsigned long long)c.size,
		        (int)m->proof.len, (const char *)m->proof.data);
	}
	assert_string_equal(text, want);
}

static void receipt_gets_the_first_head_that_holds_it(void **state)
{
	struct world *w = *state;
	struct log_head h[4];

	filled(w);
	for (unsigned i = 0; i < 4; i++)
		publish(10 * (i + 1), &h[i]);
	covering_is(5, ""); /* no table yet */
	list_is(-1, NULL, 10, "");
	put(w, "A", &h[0], ANCHORED_STAMPED, "a10");
	put(w, "A", &h[1], ANCHORED_MINED, "a20");
	put(w, "A", &h[2], ANCHORED_STAMPED, "a30");
	put(w, "B", &h[1], ANCHORED_MINED, "b20");
	put(w, "C", &h[0], ANCHORED_FAILED, "c10");
	put(w, "D", &h[3], ANCHORED_PENDING, "d40");
	put(w, "E", &h[0], ANCHORED_STAMPED, ""); /* without a proof it is of no use */
	covering_is(0, "10 a10, 20 b20, ");
	covering_is(9, "10 a10, 20 b20, ");
	covering_is(10, "30 a30, 20 b20, "); /* the end is worth more than an earlier block */
	covering_is(20, "30 a30, ");
	covering_is(30, "");
	logstore_close(store);
}

static void news_after_the_end_are_passed_over(void **state)
{
	struct world *w = *state;
	struct log_head h;

	filled(w);
	publish(10, &h);
	put(w, "A", &h, ANCHORED_SENT, "1");
	put(w, "A", &h, ANCHORED_FAILED, "2"); /* no end: there may be another try */
	put(w, "A", &h, ANCHORED_MINED, "3");
	put(w, "A", &h, ANCHORED_FINAL, "4");
	put(w, "A", &h, ANCHORED_SENT, "5");
	list_is(-1, NULL, 10, "A 10 final 4\n");
	logstore_close(store);
}

static void list_is_newest_first_and_of_what_was_asked(void **state)
{
	struct world *w = *state;
	struct log_head a, b;

	filled(w);
	publish(10, &a);
	publish(20, &b);
	put(w, "A", &a, ANCHORED_FINAL, "x");
	put(w, "B", &a, ANCHORED_FINAL, "x");
	put(w, "A", &b, ANCHORED_MINED, "x");
	list_is(-1, NULL, 10, "A 20 mined x\nA 10 final x\nB 10 final x\n");
	list_is(-1, NULL, 1, "A 20 mined x\n");
	list_is(ANCHORED_AUTHORITY, "B", 10, "B 10 final x\n");
	list_is(ANCHORED_CHAIN, NULL, 10, "");
	logstore_close(store);
}

static void words_and_numbers_belong_together(void **state)
{
	(void)state;
	for (int i = 0; i < ANCHORED_STATES; i++)
		assert_int_equal(anchored_state_of(anchored_state_name((enum anchored_state)i)), i);
	assert_int_equal(anchored_state_of("nonsense"), -1);
	assert_int_equal(anchored_kind_of("calendars"), ANCHORED_CALENDARS);
	assert_int_equal(anchored_kind_of(""), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        fact(receipt_gets_the_first_head_that_holds_it),
	        fact(news_after_the_end_are_passed_over),
	        fact(list_is_newest_first_and_of_what_was_asked),
	        cmocka_unit_test(words_and_numbers_belong_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
