/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stories_ledger - logs that show two faces and disks that were rolled back: who notices, and who cannot.
 *
 * The log, its witnesses and its reader decide by the real code (core/witness.h, policy.h, ledger.h), with real keys and real
 * signatures. A face is one history of the log: two faces are alike up to some entry, and signed by one key.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/ledger.h"
#include "core/witness.h"
#include "io/ed25519.h"
#include "io/sha256.h"
#include "sim/story.h"

#define ORIGIN    "sim/log"
#define WITNESSES 3u
#define ROOM      8192u

struct signer {
	uint8_t seed[32];
	struct note_key pub;
};
struct face {
	char name;
	uint64_t same;                        /* entries that all faces have in common */
	char note[ROOM + WITNESS_ANSWER_MAX]; /* its last head, with what witnesses said to it */
	size_t note_n;
};
struct watcher { /* a witness */
	struct signer key;
	struct witness_last last;
	bool colludes; /* signs whatever it is shown */
};
struct hall {
	FILE *trace;
	struct sha256 *sha;
	struct merkle_hash h;
	struct signer log;
	struct watcher w[WITNESSES + 1]; /* from 1 */
	struct policy logs, trust;       /* of the witnesses; of the reader */
};

__attribute__((format(printf, 2, 3))) static void say(struct hall *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vfprintf(l->trace, fmt, ap);
	va_end(ap);
	(void)fputc('\n', l->trace);
}

static void make_key(struct signer *k, const char *name, enum note_key_type type, uint8_t seed)
{
	uint8_t pub[32];

	k->seed[0] = seed;
	ed25519_public(k->seed, pub);
	note_key_make(name, type, pub, &k->pub);
}

static void trust(struct policy *p, const char *text)
{
	struct err e;

	if (policy_parse(text, strlen(text), p, &e) < 0) {
		(void)fprintf(stderr, "story's policy is not valid: %s\n", e.msg);
		abort();
	}
}

/* A log, three witnesses of it, and a reader who wants so many of them. */
static struct hall *hall_new(FILE *trace, unsigned quorum)
{
	struct hall *l = calloc(1, sizeof(*l));
	char vkey[NOTE_VKEY_MAX], text[ROOM];
	size_t n;

	CHECK(l);
	l->trace = trace;
	l->sha = sha256_new();
	l->h = sha256_merkle(l->sha);
	make_key(&l->log, ORIGIN, NOTE_ED25519, 1);
	note_key_print(&l->log.pub, vkey);
	(void)snprintf(text, sizeof(text), "log %s\nquorum none\n", vkey);
	trust(&l->logs, text);
	n = (size_t)snprintf(text, sizeof(text), "log %s\n", vkey);
	for (unsigned i = 1; i <= WITNESSES; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "w%u", i);
		make_key(&l->w[i].key, name, NOTE_COSIGNATURE, (uint8_t)(1 + i));
		sha256_of(NULL, 0, l->w[i].last.root);
		note_key_print(&l->w[i].key.pub, vkey);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "witness %s %s\n", name, vkey);
	}
	(void)snprintf(text + n, sizeof(text) - n, "group g %u w1 w2 w3\nquorum g\n", quorum);
	trust(&l->trust, text);
	say(l, "reader    > wants %u of %u witnesses", quorum, WITNESSES);
	return l;
}

static void hall_free(struct hall *l)
{
	sha256_free(l->sha);
	free(l);
}

/* ---- the log ---- */

struct at {
	struct hall *l;
	const struct face *f;
};

static void leaf_of(struct hall *l, const struct face *f, uint64_t i, uint8_t out[32])
{
	uint8_t entry[2] = {(uint8_t)i, (uint8_t)(i < f->same ? 0 : f->name)};

	ledger_leaf(&l->h, entry, sizeof(entry), out);
}

static int subtree(void *ctx, unsigned level, uint64_t index, uint8_t out[32], struct err *e)
{
	struct at *a = ctx;
	struct merkle_frontier f;

	(void)e;
	merkle_init(&f);
	for (uint64_t i = index << level; i < (index + 1) << level; i++) {
		uint8_t leaf[32];

		leaf_of(a->l, a->f, i, leaf);
		merkle_append(&f, &a->l->h, leaf);
	}
	merkle_root(&f, &a->l->h, out);
	return 0;
}

static void sign_head(struct hall *l, struct face *f, uint64_t size)
{
	struct proof_source s = {subtree, &(struct at){l, f}};
	struct checkpoint c = {.origin = ORIGIN, .origin_n = strlen(ORIGIN), .size = size};
	uint8_t sig[64];
	size_t n;

	CHECK(proof_root(&l->h, &s, size, c.root, NULL) == 0);
	n = checkpoint_print(&c, f->note);
	ed25519_sign(l->log.seed, f->note, n, sig);
	f->note[n++] = '\n';
	f->note_n = n + note_line(&l->log.pub, 0, sig, f->note + n);
	say(l, "log       > face %c: signed the head of %lu entries", f->name, (unsigned long)size);
}

/* ---- the witnesses ---- */

static void cosign(struct hall *l, struct watcher *w, struct face *f, const struct witness_request *r)
{
	char text[sizeof(COSIGNED_HEAD) + WITNESS_TEXT_MAX];
	uint8_t sig[64];
	size_t n = note_cosigned(1800000000, r->note.text, r->note.text_n, text);

	w->last.size = r->head.size;
	memcpy(w->last.root, r->head.root, 32);
	ed25519_sign(w->key.seed, text, n, sig);
	CHECK(f->note_n + NOTE_LINE_MAX < sizeof(f->note));
	f->note_n += note_line(&w->key.pub, 1800000000, sig, f->note + f->note_n);
	say(l, "witness %s > cosigned face %c: %lu entries", w->key.pub.name, f->name,
	        (unsigned long)r->head.size);
}

/* The log shows its head to a witness, as growth of `old` entries, with such a proof as it can make. */
static enum witness_status show(struct hall *l, unsigned i, struct face *f, uint64_t old, uint64_t size)
{
	struct proof_source s = {subtree, &(struct at){l, f}};
	struct addcheckpoint a = {.old = old, .note = f->note, .note_n = f->note_n};
	struct note_verifier v = ed25519_verifier();
	struct watcher *w = &l->w[i];
	struct witness_request r;
	enum witness_status st;
	char bytes[2 * ROOM];
	bool fork = false;
	struct err e;
	size_t n;

	if (old < size)
		CHECK(proof_consistency(&l->h, &s, old, size, &a.path, NULL) == 0);
	CHECK(addcheckpoint_size(&a) <= sizeof(bytes));
	n = addcheckpoint_print(&a, bytes);
	st = witness_read(&l->logs, &v, bytes, n, &r, &e);
	if (st == WITNESS_COSIGNED && !w->colludes)
		st = witness_decide(&l->h, &w->last, &r, &fork, &e);
	if (st == WITNESS_COSIGNED)
		cosign(l, w, f, &r);
	else
		say(l, "witness %s > refused face %c, %d: %s%s", w->key.pub.name, f->name, (int)st, e.msg,
		        fork ? " (it keeps the evidence)" : "");
	return st;
}

/* What the log does in earnest: on a conflict it goes on from where the witness stands. */
static void ask_witness(struct hall *l, unsigned i, struct face *f, uint64_t size)
{
	uint64_t stands = l->w[i].last.size;

	if (show(l, i, f, 0, size) == WITNESS_CONFLICT)
		(void)show(l, i, f, stands, size);
}

/* ---- the reader ---- */

static void read_head(struct hall *l, const struct face *f)
{
	struct note_verifier v = ed25519_verifier();
	struct policy_result r;
	struct checkpoint c;
	struct note n;
	struct err e;

	CHECK(note_parse(f->note, f->note_n, &n, &e) == 0);
	CHECK(policy_check(&l->trust, &n, &v, &c, &r, &e) == 0);
	say(l, "reader    > face %c, %lu entries, %u witnesses: %s", f->name, (unsigned long)c.size,
	        r.witnesses, r.met ? "believed" : "not believed");
}

/* ---- stories: two faces ---- */

static void show_two_faces(struct hall *l, struct face *a, struct face *b)
{
	sign_head(l, a, 10);
	ask_witness(l, 1, a, 10);
	ask_witness(l, 3, a, 10);
	sign_head(l, b, 10);
	ask_witness(l, 2, b, 10);
	ask_witness(l, 3, b, 10);
	read_head(l, a);
	read_head(l, b);
}

static void second_face_gets_no_quorum(FILE *trace)
{
	struct hall *l = hall_new(trace, 2);
	struct face a = {.name = 'A', .same = 7}, b = {.name = 'B', .same = 7};

	show_two_faces(l, &a, &b);
	/* Nor by growing past what they have seen. */
	sign_head(l, &b, 12);
	ask_witness(l, 2, &b, 12);
	ask_witness(l, 3, &b, 12);
	read_head(l, &b);
	hall_free(l);
}

/* Two quorums of 2 of 3 have one witness in common, and that one colludes: both faces are believed, and no witness can know. Against c
 * that collude, k of n hold when 2k > n + c. */
static void one_colluding_witness_breaks_two_of_three(FILE *trace)
{
	struct hall *l = hall_new(trace, 2);
	struct face a = {.name = 'A', .same = 7}, b = {.name = 'B', .same = 7};

	l->w[3].colludes = true;
	show_two_faces(l, &a, &b);
	hall_free(l);
}

static void all_three_withstand_two_that_collude(FILE *trace)
{
	struct hall *l = hall_new(trace, 3);
	struct face a = {.name = 'A', .same = 7}, b = {.name = 'B', .same = 7};

	l->w[2].colludes = l->w[3].colludes = true;
	show_two_faces(l, &a, &b);
	ask_witness(l, 1, &b, 10);
	read_head(l, &b);
	ask_witness(l, 2, &a, 10);
	read_head(l, &a);
	hall_free(l);
}

/* ---- stories: a rolled-back disk ---- */

/* The node starts with a journal of `size` entries of this face, and remembers that it signed `was` entries of face `of`. */
static bool restart(struct hall *l, const struct face *of, uint64_t was, const struct face *f, uint64_t size)
{
	struct ledger_signed last = {.size = was};
	uint8_t leaf[32] = {0};
	struct err e;

	leaf_of(l, of, was - 1, last.leaf);
	if (size >= was)
		leaf_of(l, f, was - 1, leaf);
	if (ledger_resume(&last, size, leaf, &e) < 0) {
		say(l, "node      > starts with %lu entries, and signs nothing: %s", (unsigned long)size,
		        e.msg);
		return false;
	}
	say(l, "node      > starts with %lu entries, remembers %lu, and signs on", (unsigned long)size,
	        (unsigned long)was);
	return true;
}

static void rolled_back_journal_is_not_signed(FILE *trace)
{
	struct hall *l = hall_new(trace, 2);
	struct face a = {.name = 'A', .same = 7}, b = {.name = 'B', .same = 7};

	sign_head(l, &a, 10);
	CHECK(!restart(l, &a, 10, &a, 8));
	/* Grown again, with other entries: as long as it was, and longer. */
	CHECK(!restart(l, &a, 10, &b, 10));
	CHECK(!restart(l, &a, 10, &b, 12));
	CHECK(restart(l, &a, 10, &a, 12));
	hall_free(l);
}

/* Journal and memory from one old backup fit each other: only who saw the later head knows. */
static void witnesses_know_a_disk_that_was_rolled_back_whole(FILE *trace)
{
	struct hall *l = hall_new(trace, 2);
	struct face a = {.name = 'A', .same = 7}, b = {.name = 'B', .same = 7};

	sign_head(l, &a, 10);
	ask_witness(l, 1, &a, 10);
	ask_witness(l, 2, &a, 10);
	read_head(l, &a);
	if (restart(l, &a, 7, &b, 7)) {
		sign_head(l, &b, 9);
		ask_witness(l, 1, &b, 9);
		ask_witness(l, 2, &b, 9);
		read_head(l, &b);
		sign_head(l, &b, 11);
		ask_witness(l, 1, &b, 11);
		ask_witness(l, 2, &b, 11);
		/* The third never heard of the log. */
		ask_witness(l, 3, &b, 11);
		read_head(l, &b);
	}
	hall_free(l);
}

static const char second_face_gets_no_quorum_expect[] =
        "reader    > wants 2 of 3 witnesses\n"
        "log       > face A: signed the head of 10 entries\n"
        "witness w1 > cosigned face A: 10 entries\n"
        "witness w3 > cosigned face A: 10 entries\n"
        "log       > face B: signed the head of 10 entries\n"
        "witness w2 > cosigned face B: 10 entries\n"
        "witness w3 > refused face B, 409: the size that was cosigned last is 10 (it keeps the "
        "evidence)\n"
        "witness w3 > refused face B, 422: the log signed two different trees of 10 entries: it "
        "shows two faces (it keeps the evidence)\n"
        "reader    > face A, 10 entries, 2 witnesses: believed\n"
        "reader    > face B, 10 entries, 1 witnesses: not believed\n"
        "log       > face B: signed the head of 12 entries\n"
        "witness w2 > refused face B, 409: the size that was cosigned last is 10\n"
        "witness w2 > cosigned face B: 12 entries\n"
        "witness w3 > refused face B, 409: the size that was cosigned last is 10\n"
        "witness w3 > refused face B, 422: it is not shown that the log only grew: the consistency "
        "proof does not lead to the old root\n"
        "reader    > face B, 12 entries, 1 witnesses: not believed\n";
static const char one_colluding_witness_breaks_two_of_three_expect[] =
        "reader    > wants 2 of 3 witnesses\n"
        "log       > face A: signed the head of 10 entries\n"
        "witness w1 > cosigned face A: 10 entries\n"
        "witness w3 > cosigned face A: 10 entries\n"
        "log       > face B: signed the head of 10 entries\n"
        "witness w2 > cosigned face B: 10 entries\n"
        "witness w3 > cosigned face B: 10 entries\n"
        "reader    > face A, 10 entries, 2 witnesses: believed\n"
        "reader    > face B, 10 entries, 2 witnesses: believed\n";
static const char all_three_withstand_two_that_collude_expect[] =
        "reader    > wants 3 of 3 witnesses\n"
        "log       > face A: signed the head of 10 entries\n"
        "witness w1 > cosigned face A: 10 entries\n"
        "witness w3 > cosigned face A: 10 entries\n"
        "log       > face B: signed the head of 10 entries\n"
        "witness w2 > cosigned face B: 10 entries\n"
        "witness w3 > cosigned face B: 10 entries\n"
        "reader    > face A, 10 entries, 2 witnesses: not believed\n"
        "reader    > face B, 10 entries, 2 witnesses: not believed\n"
        "witness w1 > refused face B, 409: the size that was cosigned last is 10 (it keeps the "
        "evidence)\n"
        "witness w1 > refused face B, 422: the log signed two different trees of 10 entries: it "
        "shows two faces (it keeps the evidence)\n"
        "reader    > face B, 10 entries, 2 witnesses: not believed\n"
        "witness w2 > cosigned face A: 10 entries\n"
        "reader    > face A, 10 entries, 3 witnesses: believed\n";
static const char rolled_back_journal_is_not_signed_expect[] =
        "reader    > wants 2 of 3 witnesses\n"
        "log       > face A: signed the head of 10 entries\n"
        "node      > starts with 8 entries, and signs nothing: the journal has 8 entries, and 10 "
        "were signed: it was restored from an older backup\n"
        "node      > starts with 10 entries, and signs nothing: entry 9 of the journal is not the "
        "one that was signed: this is another history\n"
        "node      > starts with 12 entries, and signs nothing: entry 9 of the journal is not the "
        "one that was signed: this is another history\n"
        "node      > starts with 12 entries, remembers 10, and signs on\n";
static const char witnesses_know_a_disk_that_was_rolled_back_whole_expect[] =
        "reader    > wants 2 of 3 witnesses\n"
        "log       > face A: signed the head of 10 entries\n"
        "witness w1 > cosigned face A: 10 entries\n"
        "witness w2 > cosigned face A: 10 entries\n"
        "reader    > face A, 10 entries, 2 witnesses: believed\n"
        "node      > starts with 7 entries, remembers 7, and signs on\n"
        "log       > face B: signed the head of 9 entries\n"
        "witness w1 > refused face B, 409: the size that was cosigned last is 10\n"
        "witness w1 > refused face B, 400: the old size is above the checkpoint's\n"
        "witness w2 > refused face B, 409: the size that was cosigned last is 10\n"
        "witness w2 > refused face B, 400: the old size is above the checkpoint's\n"
        "reader    > face B, 9 entries, 0 witnesses: not believed\n"
        "log       > face B: signed the head of 11 entries\n"
        "witness w1 > refused face B, 409: the size that was cosigned last is 10\n"
        "witness w1 > refused face B, 422: it is not shown that the log only grew: the consistency "
        "proof does not lead to the old root\n"
        "witness w2 > refused face B, 409: the size that was cosigned last is 10\n"
        "witness w2 > refused face B, 422: it is not shown that the log only grew: the consistency "
        "proof does not lead to the old root\n"
        "witness w3 > cosigned face B: 11 entries\n"
        "reader    > face B, 11 entries, 1 witnesses: not believed\n";

static const struct story all[] = {
        STORY(second_face_gets_no_quorum),
        STORY(one_colluding_witness_breaks_two_of_three),
        STORY(all_three_withstand_two_that_collude),
        STORY(rolled_back_journal_is_not_signed),
        STORY(witnesses_know_a_disk_that_was_rolled_back_whole),
};
const struct story_book stories_ledger = {all, ARRAY_LEN(all)};
