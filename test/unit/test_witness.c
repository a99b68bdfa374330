/* SPDX-License-Identifier: Apache-2.0 */
/* test_witness - facts about cosigning other logs: what a witness answers, what it never signs, and what a log makes of answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base64.h"
#include "engine/witness.h"
#include "io/ed25519.h"
#include "io/sha256.h"
#include "io/witness_store.h"

#define ORIGIN "example.com/elastic/log1"
#define LEAVES 40

/* A log of LEAVES leaves, whose key is known (RFC 8032, test 1), and one that forked after `same` of them. */
struct log {
	struct key key;
	uint64_t same;
	struct sha256 *sha;
	struct merkle_hash h;
};
struct world {
	char dir[64];
	struct witness *w;
	struct log log, fork;
};

static int leaf_subtree(void *ctx, unsigned level, uint64_t index, uint8_t out[32], struct err *e)
{
	struct log *l = ctx;
	struct merkle_frontier f;

	(void)e;
	merkle_init(&f);
	for (uint64_t i = index << level; i < (index + 1) << level; i++) {
		uint8_t bytes[2] = {(uint8_t)i, i < l->same ? 0 : 1}, leaf[32];

		merkle_leaf(&l->h, bytes, sizeof(bytes), leaf);
		merkle_append(&f, &l->h, leaf);
	}
	merkle_root(&f, &l->h, out);
	return 0;
}

/* The log's signed checkpoint; returns its length. */
static size_t checkpoint(struct log *l, uint64_t size, char *out)
{
	struct proof_source s = {leaf_subtree, l};
	struct checkpoint c = {.origin = l->key.pub.name, .origin_n = strlen(l->key.pub.name), .size = size};
	uint8_t sig[64];
	size_t n;

	assert_int_equal(proof_root(&l->h, &s, size, c.root, NULL), 0);
	n = checkpoint_print(&c, out);
	ed25519_sign(l->key.seed, out, n, sig);
	out[n++] = '\n';
	return n + note_line(&l->key.pub, 0, sig, out + n);
}

static size_t request(struct log *l, uint64_t old, uint64_t size, char *out)
{
	struct proof_source s = {leaf_subtree, l};
	char note[1024];
	struct addcheckpoint a = {.old = old, .note = note, .note_n = checkpoint(l, size, note)};

	if (old <= size)
		assert_int_equal(proof_consistency(&l->h, &s, old, size, &a.path, NULL), 0);
	return addcheckpoint_print(&a, out);
}

static struct witness_reply ask_bytes(struct world *w, const char *bytes, size_t n)
{
	struct witness_reply r;
	char *exact = malloc(n ? n : 1); /* a step past the end is seen */

	assert_non_null(exact);
	memcpy(exact, bytes, n);
	witness_add_checkpoint(w->w, exact, n, 1700000000, &r);
	free(exact);
	assert_true(r.n == strlen(r.body) && r.n > 0 && r.body[r.n - 1] == '\n');
	return r;
}

static struct witness_reply ask(struct world *w, struct log *l, uint64_t old, uint64_t size)
{
	char bytes[8192];

	return ask_bytes(w, bytes, request(l, old, size, bytes));
}

static void make_log(struct log *l, const char *name, uint8_t seed, uint64_t same)
{
	uint8_t pub[32];

	memset(l, 0, sizeof(*l));
	l->key.seed[0] = seed;
	ed25519_public(l->key.seed, pub);
	note_key_make(name, NOTE_ED25519, pub, &l->key.pub);
	l->same = same;
	l->sha = sha256_new();
	l->h = sha256_merkle(l->sha);
}

static void open_witness(struct world *w)
{
	struct err e;

	if (witness_open(w->dir, "logs.policy", "press-4/witness", NULL, &w->w, &e) < 0)
		fail_msg("%s", e.msg);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char path[128], vkey[NOTE_VKEY_MAX];
	FILE *f;

	assert_non_null(w);
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/osier-witness-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(path, sizeof(path), "%s/keys", w->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	make_log(&w->log, ORIGIN, 1, LEAVES);
	make_log(&w->fork, ORIGIN, 1, 7);
	(void)snprintf(path, sizeof(path), "%s/logs.policy", w->dir);
	f = fopen(path, "we");
	assert_non_null(f);
	note_key_print(&w->log.key.pub, vkey);
	(void)fprintf(f, "log %s\nquorum none\n", vkey);
	(void)fclose(f);
	open_witness(w);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	char command[128];

	witness_close(w->w);
	(void)snprintf(command, sizeof(command), "rm -r %s", w->dir);
	assert_int_equal(system(command), 0); /* a test */
	sha256_free(w->log.sha);
	sha256_free(w->fork.sha);
	free(w);
	return 0;
}

/* ---- the witness ---- */

static bool cosigns(struct world *w, struct log *l, uint64_t size, const struct witness_reply *r)
{
	struct note_verifier v = ed25519_verifier();
	char vkey[NOTE_VKEY_MAX], note[4096];
	struct note_key k;
	uint64_t time_s;
	struct note parsed;
	size_t n = checkpoint(l, size, note);

	witness_vkey(w->w, vkey);
	assert_int_equal(note_key_parse(vkey, strlen(vkey), &k, NULL), 0);
	memcpy(note + n, r->body, r->n);
	return r->status == 200 && note_parse(note, n + r->n, &parsed, NULL) == 0 &&
	       note_verify(&parsed, &k, &v, &time_s) == NOTE_SIGNED && time_s >= 1700000000;
}

static void growing_log_is_cosigned(void **state)
{
	struct world *w = *state;
	uint64_t last = 0;

	for (uint64_t size = 0; size <= LEAVES; size += size % 3) {
		struct witness_reply r = ask(w, &w->log, last, size);

		assert_true(cosigns(w, &w->log, size, &r));
		last = size++;
	}
}

static void same_head_is_cosigned_again(void **state)
{
	struct world *w = *state;
	struct witness_reply r = ask(w, &w->log, 0, 9);

	assert_int_equal(r.status, 200);
	r = ask(w, &w->log, 9, 9);
	assert_true(cosigns(w, &w->log, 9, &r));
}

static void stale_size_is_told_the_right_one(void **state)
{
	struct world *w = *state;
	struct witness_reply r = ask(w, &w->log, 3, 9);
	uint64_t size;

	assert_int_equal(r.status, 409);
	assert_string_equal(r.body, "0\n");
	assert_string_equal(r.type, "text/x.tlog.size");
	assert_int_equal(ask(w, &w->log, 0, 9).status, 200);
	r = ask(w, &w->log, 0, 12);
	assert_int_equal(r.status, 409);
	assert_true(witness_size(r.body, r.n, &size) && size == 9);
	assert_int_equal(ask(w, &w->log, 9, 12).status, 200);
	r = ask(w, &w->log, 9, 10); /* never back */
	assert_int_equal(r.status, 409);
	assert_string_equal(r.body, "12\n");
}

static void fork_is_never_cosigned(void **state)
{
	struct world *w = *state;
	struct witness_seen seen[2];
	struct witness_reply r;

	assert_int_equal(ask(w, &w->log, 0, 9).status, 200);
	assert_int_equal(ask(w, &w->fork, 9, 12).status, 422); /* a true proof of another tree */
	r = ask(w, &w->fork, 9, 9);
	assert_int_equal(r.status, 422);
	assert_non_null(strstr(r.body, "two faces"));
	assert_int_equal(ask(w, &w->fork, 0, 9).status, 409);
	assert_int_equal(ask(w, &w->fork, 7, 9).status, 409);
	assert_int_equal(witness_logs(w->w, seen, 2), 1);
	assert_true(seen[0].forks == 1 && seen[0].last.size == 9); /* the same fork counts once */
	assert_int_equal(ask(w, &w->log, 9, 12).status, 200);
}

static void what_was_cosigned_outlives_a_restart(void **state)
{
	struct world *w = *state;

	assert_int_equal(ask(w, &w->log, 0, 9).status, 200);
	witness_close(w->w);
	open_witness(w);
	assert_int_equal(ask(w, &w->fork, 9, 9).status, 422);
	assert_int_equal(ask(w, &w->log, 9, 10).status, 200);
}

static void witness_without_its_memory_does_not_start(void **state)
{
	struct world *w = *state;
	char path[128];
	struct err e;

	witness_close(w->w);
	w->w = NULL;
	(void)snprintf(path, sizeof(path), "%s/witness.db", w->dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(witness_open(w->dir, "logs.policy", "press-4/witness", NULL, &w->w, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_non_null(strstr(e.msg, "witness.db is gone"));
}

/* Two who opened the same memory, as two requests at once are: one of them is told to look again. */
static void two_at_once_do_not_roll_back(void **state)
{
	struct world *w = *state;
	struct witness *first = w->w;

	assert_int_equal(ask(w, &w->log, 0, 9).status, 200);
	open_witness(w);
	assert_int_equal(ask(w, &w->log, 9, 20).status, 200);
	witness_close(w->w);
	w->w = first;
	assert_int_equal(ask(w, &w->log, 9, 12).status, 409);
	assert_int_equal(ask(w, &w->fork, 9, 20).status, 409);
}

static void proofs_must_be_right(void **state)
{
	struct world *w = *state;
	char bytes[8192];
	size_t n, at;

	assert_int_equal(ask(w, &w->log, 0, 9).status, 200);
	n = request(&w->log, 9, 30, bytes);
	at = 6; /* the first hash */
	bytes[at] = bytes[at] == 'A' ? 'B' : 'A';
	assert_int_equal(ask_bytes(w, bytes, n).status, 422);
	n = request(&w->log, 9, 30, bytes);
	memmove(bytes + at, bytes + at + 45, n - at - 45); /* without it */
	assert_int_equal(ask_bytes(w, bytes, n - 45).status, 422);
	n = request(&w->log, 9, 30, bytes);
	memmove(bytes + at + 45, bytes + at, n - at); /* with it twice */
	assert_int_equal(ask_bytes(w, bytes, n + 45).status, 422);
	n = request(&w->log, 9, 30, bytes);
	assert_int_equal(ask_bytes(w, bytes, n).status, 200);
}

static void proof_from_nothing_must_be_empty(void **state)
{
	struct world *w = *state;
	char bytes[8192], note[1024];
	struct addcheckpoint a = {.old = 0, .note = note};

	a.note_n = checkpoint(&w->log, 9, note);
	a.path.n = 1;
	assert_int_equal(ask_bytes(w, bytes, addcheckpoint_print(&a, bytes)).status, 422);
	/* A tree of nothing has one root. */
	w->log.same = 0;
	a.path.n = 0;
	a.note_n = checkpoint(&w->log, 0, note);
	assert_int_equal(ask_bytes(w, bytes, addcheckpoint_print(&a, bytes)).status, 200);
}

static void empty_tree_with_a_root_is_refused(void **state)
{
	struct world *w = *state;
	struct checkpoint c = {.origin = ORIGIN, .origin_n = strlen(ORIGIN), .root = {1}};
	char bytes[8192], note[1024];
	struct addcheckpoint a = {.note = note, .note_n = checkpoint_print(&c, note)};
	uint8_t sig[64];

	ed25519_sign(w->log.key.seed, note, a.note_n, sig);
	note[a.note_n++] = '\n';
	a.note_n += note_line(&w->log.key.pub, 0, sig, note + a.note_n);
	assert_int_equal(ask_bytes(w, bytes, addcheckpoint_print(&a, bytes)).status, 422);
}

static void strangers_are_not_cosigned(void **state)
{
	struct world *w = *state;
	struct log other;
	char bytes[8192];
	size_t n;

	make_log(&other, "example.com/other", 1, LEAVES); /* another name */
	assert_int_equal(ask(w, &other, 0, 5).status, 404);
	sha256_free(other.sha);
	make_log(&other, ORIGIN, 2, LEAVES); /* another key */
	assert_int_equal(ask(w, &other, 0, 5).status, 403);
	memcpy(other.key.pub.id, w->log.key.pub.id, 4); /* that claims to be the right one */
	assert_int_equal(ask(w, &other, 0, 5).status, 403);
	/* Beside the right one a stranger's signature is nobody's business. */
	note_key_make(ORIGIN, NOTE_ED25519, other.key.pub.key, &other.key.pub);
	n = request(&w->log, 0, 5, bytes);
	n += note_line(&other.key.pub, 0, (uint8_t[64]){9}, bytes + n);
	assert_int_equal(ask_bytes(w, bytes, n).status, 200);
	sha256_free(other.sha);
}

static void malformed_requests_are_told_so(void **state)
{
	static const char *const bad[] = {"", "\n", "old\n\n", "old 1", "old 01\n\n", "old -1\n\n",
	        "old +1\n\n", "old 1 \n\n", "old 18446744073709551616\n\n", "OLD 0\n\n", "old 0\n",
	        "old 0\n\n", "old 0\n\nx", "old 0\n\n\n", "old 0\nAAAA\n\n", "old 0\n=\n\n"};
	struct world *w = *state;
	char bytes[32768];
	size_t n;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ask_bytes(w, bad[i], strlen(bad[i])).status, 400);
	/* Cut short anywhere: never cosigned, and never a step past the end. */
	n = request(&w->log, 0, 9, bytes);
	for (size_t i = 0; i < n; i++)
		assert_int_not_equal(ask_bytes(w, bytes, i).status, 200);
	assert_int_equal(ask(w, &w->log, 10, 9).status, 400);
	/* 64 hashes, and more bytes than any request has. */
	n = (size_t)snprintf(bytes, sizeof(bytes), "old 0\n");
	for (int i = 0; i < 64; i++)
		n += (size_t)snprintf(bytes + n, 64, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
	bytes[n++] = '\n';
	n += checkpoint(&w->log, 9, bytes + n);
	assert_int_equal(ask_bytes(w, bytes, n).status, 400);
	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(ask_bytes(w, bytes, sizeof(bytes)).status, 400);
	assert_int_equal(ask(w, &w->log, 0, 9).status, 200);
}

static void every_flipped_bit_is_refused(void **state)
{
	struct world *w = *state;
	char bytes[8192];
	size_t n;

	assert_int_equal(ask(w, &w->log, 0, 9).status, 200);
	n = request(&w->log, 9, 30, bytes);
	for (size_t i = 0; i < n * 8; i++) {
		bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
		assert_int_not_equal(ask_bytes(w, bytes, n).status, 200);
		bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
	}
	assert_int_equal(ask_bytes(w, bytes, n).status, 200);
}

static void newest_head_is_shown_to_all(void **state)
{
	struct world *w = *state;
	struct note_verifier v = ed25519_verifier();
	uint8_t digest[32];
	struct note note;
	char *text;
	size_t n;

	sha256_of(ORIGIN, strlen(ORIGIN), digest);
	assert_false(witness_checkpoint(w->w, digest, &text, &n));
	assert_int_equal(ask(w, &w->log, 0, 9).status, 200);
	assert_true(witness_checkpoint(w->w, digest, &text, &n));
	assert_int_equal(note_parse(text, n, &note, NULL), 0);
	assert_int_equal(note.sigs, 2);
	assert_int_equal(note_verify(&note, &w->log.key.pub, &v, NULL), NOTE_SIGNED);
	free(text);
	digest[0] ^= 1;
	assert_false(witness_checkpoint(w->w, digest, &text, &n));
}

/* ---- the golden set: RFC 8032's keys, the reference tree ---- */

static size_t load(const char *name, char *out, size_t max)
{
	char path[512];
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/test/data/ledger/%s", OSIER_SOURCE_ROOT, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	n = fread(out, 1, max, f);
	assert_true(n < max);
	(void)fclose(f);
	return n;
}

static void golden_request_gets_the_golden_cosignature(void **state)
{
	static const char log_vkey[] =
	        "example.com/elastic/log1+c3ebf752+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";
	static const char witness_key[] = "PRIVATE+KEY+example.com/elastic/"
	                                  "node-2+0c805605+BEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7";
	struct world *w = *state;
	char path[128], body[2048], want[2048], digest[32], *text;
	struct witness_store *s;
	struct witness_reply r;
	struct witness_request q;
	static struct policy logs;
	struct note_verifier v = ed25519_verifier();
	struct witness_taken taken;
	size_t n, note_n;
	FILE *f;

	witness_close(w->w);
	(void)snprintf(path, sizeof(path), "%s/keys/witness.key", w->dir);
	f = fopen(path, "we");
	assert_non_null(f);
	(void)fprintf(f, "%s\n", witness_key);
	(void)fclose(f);
	(void)snprintf(path, sizeof(path), "%s/logs.policy", w->dir);
	f = fopen(path, "we");
	assert_non_null(f);
	(void)fprintf(f, "log %s\nquorum none\n", log_vkey);
	(void)fclose(f);
	/* It saw the tree of 6 before. */
	n = load("golden_add_checkpoint_6_8.txt", body, sizeof(body));
	assert_int_equal(
	        policy_parse(want, (size_t)snprintf(want, sizeof(want), "log %s\nquorum none\n", log_vkey),
	                &logs, NULL),
	        0);
	assert_int_equal(witness_read(&logs, &v, body, n, &q, NULL), WITNESS_COSIGNED);
	q.body.old = q.body.path.n = 0;
	q.head.size = 6;
	assert_int_equal(
	        sha256_unhex("76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef", q.head.root),
	        0);
	assert_int_equal(witness_store_open(w->dir, false, &s, NULL), 0);
	assert_int_equal(witness_store_take(s, &q, "x", 1, 1, &taken, &(struct err){0}), 0);
	assert_int_equal(taken.status, WITNESS_COSIGNED);
	witness_store_close(s);
	open_witness(w);
	r = ask_bytes(w, body, n);
	assert_int_equal(r.status, 200);
	note_n = load("golden_checkpoint_8.txt", want, sizeof(want));
	assert_true(note_n > r.n);
	assert_memory_equal(want + note_n - r.n, r.body, r.n);
	sha256_of("example.com/elastic/log1", 24, (uint8_t *)digest);
	assert_true(witness_checkpoint(w->w, (uint8_t *)digest, &text, &n));
	assert_int_equal(n, note_n);
	assert_memory_equal(text, want, n);
	free(text);
}

/* ---- the log ---- */

static int read_line(struct world *w, const char *body, size_t n, char out[NOTE_LINE_MAX])
{
	struct note_verifier v = ed25519_verifier();
	char vkey[NOTE_VKEY_MAX], text[1024];
	struct note_key k;
	struct note head;
	uint64_t time_s;
	struct err e;

	witness_vkey(w->w, vkey);
	assert_int_equal(note_key_parse(vkey, strlen(vkey), &k, NULL), 0);
	assert_int_equal(note_parse(text, checkpoint(&w->log, 9, text), &head, NULL), 0);
	return witness_line(&head, &k, &v, body, n, out, &time_s, &e);
}

static void answer_is_taken_only_when_it_verifies(void **state)
{
	struct world *w = *state;
	struct witness_reply r = ask(w, &w->log, 0, 9);
	char line[NOTE_LINE_MAX], more[4096];
	struct key other = {.seed = {5}};
	uint8_t pub[32];
	size_t n;

	assert_int_equal(read_line(w, r.body, r.n, line), 0);
	assert_string_equal(line, r.body);
	/* Beside lines of others. */
	ed25519_public(other.seed, pub);
	note_key_make("somebody", NOTE_COSIGNATURE, pub, &other.pub);
	n = note_line(&other.pub, 1, (uint8_t[64]){3}, more);
	memcpy(more + n, r.body, r.n);
	assert_int_equal(read_line(w, more, n + r.n, line), 0);
	assert_string_equal(line, r.body);
	assert_int_equal(read_line(w, more, n, line), -1); /* none of ours */
	for (size_t i = 0; i < r.n * 8; i++) {
		memcpy(more, r.body, r.n);
		more[i / 8] = (char)(more[i / 8] ^ 1 << i % 8);
		assert_int_equal(read_line(w, more, r.n, line), -1);
	}
	assert_int_equal(read_line(w, "", 0, line), -1);
	assert_int_equal(read_line(w, "\n", 1, line), -1);
	assert_int_equal(read_line(w, "<html>\n", 7, line), -1);
	n = (size_t)snprintf(more, sizeof(more), "\n\n%s", r.body);
	assert_int_equal(read_line(w, more, n, line), -1);
	n = (size_t)snprintf(more, sizeof(more), "%s\n%s", r.body, r.body);
	assert_int_equal(read_line(w, more, n, line), -1);
}

/* A cosignature of another head is none of this one. */
static void cosignature_of_another_head_is_refused(void **state)
{
	struct world *w = *state;
	char line[NOTE_LINE_MAX];
	struct witness_reply r = ask(w, &w->log, 0, 10);

	assert_int_equal(r.status, 200);
	assert_int_equal(read_line(w, r.body, r.n, line), -1);
}

static void size_of_a_conflict_is_strict(void **state)
{
	static const char *const bad[] = {"", "\n", "1", "01\n", " 1\n", "1 \n", "-1\n", "0x1\n", "1\n\n",
	        "18446744073709551616\n", "99999999999999999999999\n", "the roots differ\n"};
	uint64_t size = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(witness_size(bad[i], strlen(bad[i]), &size));
	assert_int_equal(size, 7);
	assert_true(witness_size("0\n", 2, &size) && size == 0);
	assert_true(witness_size("18446744073709551615\n", 21, &size) && size == UINT64_MAX);
}

#define fact(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        fact(growing_log_is_cosigned),
	        fact(same_head_is_cosigned_again),
	        fact(stale_size_is_told_the_right_one),
	        fact(fork_is_never_cosigned),
	        fact(what_was_cosigned_outlives_a_restart),
	        fact(witness_without_its_memory_does_not_start),
	        fact(two_at_once_do_not_roll_back),
	        fact(proofs_must_be_right),
	        fact(proof_from_nothing_must_be_empty),
	        fact(empty_tree_with_a_root_is_refused),
	        fact(strangers_are_not_cosigned),
	        fact(malformed_requests_are_told_so),
	        fact(every_flipped_bit_is_refused),
	        fact(newest_head_is_shown_to_all),
	        fact(golden_request_gets_the_golden_cosignature),
	        fact(answer_is_taken_only_when_it_verifies),
	        fact(cosignature_of_another_head_is_refused),
	        fact(size_of_a_conflict_is_strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
