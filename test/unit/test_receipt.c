/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about receipts of verified tasks: which attempts a stranger believes to have agreed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "core/receipt.h"
#include "core/state.h"
#include "io/ed25519.h"
#include "io/sha256.h"
#include "wire/entry.h"

/* The log: the job; the leases of replicas 0 to 2; their commitments, and one by replica 2 to another answer; their results (0 and 2 say
 * the same, 1 differs); the receipts; a result of another task under the lease of replica 1; a replica that failed; a commitment that
 * comes too late. */
enum {
	JOB = 0,
	LEASE = 1,
	HELD = 4,
	OTHER_HELD = 7,
	RESULT = 8,
	RECEIPTS = 11,
	OTHER_TASK = 12,
	FAILED = 13,
	LATE_HELD = 14,
	ENTRIES = 15
};

struct log {
	struct sha256 *sha;
	struct merkle_hash h;
	ProtobufCBinaryData entry[ENTRIES];
	uint8_t seed[32], bytes[1u << 20];
	_Alignas(16) uint8_t memory[1u << 20];
	struct note_key key;
	struct policy policy;
};

static void put(struct log *l, unsigned seq, Wire__Entry *en)
{
	en->time_ns = 1000 + seq;
	l->entry[seq].data = malloc(entry_size(en));
	assert_non_null(l->entry[seq].data);
	l->entry[seq].len = entry_encode(en, l->entry[seq].data);
}

static void put_job(struct log *l)
{
	Wire__Entry en = WIRE__ENTRY__INIT;
	Wire__JobSubmitted m = WIRE__JOB_SUBMITTED__INIT;
	Wire__JobSpec spec = WIRE__JOB_SPEC__INIT;
	Wire__Step step = WIRE__STEP__INIT, *steps[] = {&step};
	Wire__Verify verify = WIRE__VERIFY__INIT;

	verify.replicas = 3;
	verify.agree = 2;
	step.name = "main";
	step.tasks = 2;
	step.verify = &verify;
	spec.version = 1;
	spec.name = "job";
	spec.steps = steps;
	spec.n_steps = 1;
	m.job = 1;
	m.spec = &spec;
	en.body_case = WIRE__ENTRY__BODY_JOB_SUBMITTED;
	en.job_submitted = &m;
	put(l, JOB, &en);
}

static void put_lease(struct log *l, unsigned seq, uint64_t lease, uint32_t replica)
{
	Wire__Entry en = WIRE__ENTRY__INIT;
	Wire__LeaseGranted m = WIRE__LEASE_GRANTED__INIT;

	m.lease = lease;
	m.job = 1;
	m.count = 2;
	m.node = 1 + replica;
	m.replica = replica;
	en.body_case = WIRE__ENTRY__BODY_LEASE_GRANTED;
	en.lease_granted = &m;
	put(l, seq, &en);
}

static void put_result(
        struct log *l, unsigned seq, uint64_t lease, uint64_t task, uint8_t digest, Wire__Outcome o)
{
	Wire__Entry en = WIRE__ENTRY__INIT;
	Wire__Results m = WIRE__RESULTS__INIT;
	uint8_t sha[32] = {digest}, nonces[RESULT_NONCE_BYTES] = {(uint8_t)lease};
	uint64_t bytes = 3;
	uint32_t outputs = 1;

	m.lease = lease;
	m.first = task;
	m.count = 1;
	m.n_outcome = 1;
	m.outcome = &o;
	m.n_outputs = 1;
	m.outputs = &outputs;
	m.n_output_bytes = 1;
	m.output_bytes = &bytes;
	m.output_sha256 = (ProtobufCBinaryData){32, sha};
	if (o == WIRE__OUTCOME__SUCCEEDED)
		m.nonces = (ProtobufCBinaryData){sizeof(nonces), nonces};
	en.body_case = WIRE__ENTRY__BODY_RESULTS;
	en.results = &m;
	put(l, seq, &en);
}

/* A commitment to task 0's answer. */
static void put_held(struct log *l, unsigned seq, uint64_t lease, uint8_t digest)
{
	Wire__Entry en = WIRE__ENTRY__INIT;
	Wire__Results m = WIRE__RESULTS__INIT;
	uint8_t sha[32] = {digest}, nonce[RESULT_NONCE_BYTES] = {(uint8_t)lease}, sum[32];

	commitment(lease, 0, sha, nonce, sum);
	m.lease = lease;
	m.count = 1;
	m.commitments = (ProtobufCBinaryData){32, sum};
	en.body_case = WIRE__ENTRY__BODY_RESULTS;
	en.results = &m;
	put(l, seq, &en);
}

static void leaf_of(struct log *l, unsigned seq, uint8_t out[32])
{
	ledger_leaf(&l->h, l->entry[seq].data, l->entry[seq].len, out);
}

/* One statement, of replica 0's result; its leaf is the root of the batch. */
static void put_receipts(struct log *l)
{
	Wire__Entry en = WIRE__ENTRY__INIT;
	Wire__Receipts m = WIRE__RECEIPTS__INIT;
	uint64_t result = RESULT, lease = LEASE, job = JOB;
	uint8_t leaf[3][32], root[32], sig[64];
	struct statement s = {"node", RESULT, LEASE, JOB, leaf[0], leaf[1], leaf[2]};
	char text[RECEIPT_TEXT_MAX];

	leaf_of(l, RESULT, leaf[0]);
	leaf_of(l, LEASE, leaf[1]);
	leaf_of(l, JOB, leaf[2]);
	statement_leaf(&l->h, &s, root);
	ed25519_sign(l->seed, text, receipt_text("node", 1, root, text), sig);
	m.node = "node";
	m.key = (ProtobufCBinaryData){32, l->key.key};
	m.n_results = m.n_leases = m.n_jobs = 1;
	m.results = &result;
	m.leases = &lease;
	m.jobs = &job;
	m.root = (ProtobufCBinaryData){32, root};
	m.signature = (ProtobufCBinaryData){64, sig};
	en.body_case = WIRE__ENTRY__BODY_RECEIPTS;
	en.receipts = &m;
	put(l, RECEIPTS, &en);
}

static int subtree(void *ctx, unsigned level, uint64_t index, uint8_t out[32], struct err *e)
{
	struct log *l = ctx;
	struct merkle_frontier f;

	(void)e;
	merkle_init(&f);
	for (uint64_t i = index << level; i < (index + 1) << level; i++) {
		uint8_t leaf[32];

		leaf_of(l, (unsigned)i, leaf);
		merkle_append(&f, &l->h, leaf);
	}
	merkle_root(&f, &l->h, out);
	return 0;
}

static struct log *log_new(void)
{
	struct log *l = calloc(1, sizeof(*l));
	char vkey[NOTE_VKEY_MAX], text[1024];
	uint8_t pub[32];

	assert_non_null(l);
	l->sha = sha256_new();
	l->h = sha256_merkle(l->sha);
	l->seed[0] = 1;
	ed25519_public(l->seed, pub);
	note_key_make("log", NOTE_ED25519, pub, &l->key);
	note_key_print(&l->key, vkey);
	(void)snprintf(text, sizeof(text), "log %s\nquorum none\n", vkey);
	assert_int_equal(policy_parse(text, strlen(text), &l->policy, NULL), 0);
	put_job(l);
	for (uint32_t r = 0; r < 3; r++) {
		put_lease(l, LEASE + r, 11 + r, r);
		put_held(l, HELD + r, 11 + r, r == 1 ? 0xee : 0x42);
		put_result(l, RESULT + r, 11 + r, 0, r == 1 ? 0xee : 0x42, WIRE__OUTCOME__SUCCEEDED);
	}
	put_held(l, OTHER_HELD, 13, 0x43);
	put_held(l, LATE_HELD, 13, 0x42);
	put_receipts(l);
	put_result(l, OTHER_TASK, 12, 1, 0x42, WIRE__OUTCOME__SUCCEEDED);
	put_result(l, FAILED, 12, 0, 0x42, WIRE__OUTCOME__FAILED);
	return l;
}

static void log_free(struct log *l)
{
	for (unsigned i = 0; i < ENTRIES; i++)
		free(l->entry[i].data);
	sha256_free(l->sha);
	free(l);
}

static size_t checkpoint(struct log *l, char *note)
{
	struct proof_source s = {subtree, l};
	struct checkpoint c = {.origin = "log", .origin_n = 3, .size = ENTRIES};
	uint8_t sig[64];
	size_t n;

	assert_int_equal(proof_root(&l->h, &s, ENTRIES, c.root, NULL), 0);
	n = checkpoint_print(&c, note);
	ed25519_sign(l->seed, note, n, sig);
	note[n++] = '\n';
	return n + note_line(&l->key, 0, sig, note + n);
}

struct claim { /* that an attempt agrees */
	unsigned result, lease;
	unsigned result_seq, lease_seq; /* where they are said to be */
};

static void prove(
        struct log *l, unsigned seq, ProtobufCBinaryData path[PROOF_MAX], struct proof *p, size_t *n)
{
	struct proof_source s = {subtree, l};

	assert_int_equal(proof_inclusion(&l->h, &s, seq, ENTRIES, p, NULL), 0);
	for (unsigned i = 0; i < p->n; i++)
		path[i] = (ProtobufCBinaryData){32, p->hash[i]};
	*n = p->n;
}

/* The receipt of task 0 by replica 0 with these claims and commitments, verified. */
static int verify_held(struct log *l, const struct claim *claims, size_t n, const unsigned *held,
        size_t n_held, struct receipt_view *out, struct err *e)
{
	static struct proof held_proof[4];
	static ProtobufCBinaryData held_path[4][PROOF_MAX];
	Wire__Commitment c[4], *pc[4];
	static struct proof proof[20][2];
	static ProtobufCBinaryData path[20][2][PROOF_MAX];
	static char note[4096], text[1u << 16], base64[1u << 16];
	Wire__AgreedAttempt agreed[20], *pagreed[20];
	Wire__ReceiptFile f = WIRE__RECEIPT_FILE__INIT;
	struct proof_source s = {subtree, l};
	struct note_verifier v = ed25519_verifier();
	struct tlogproof p = {.index = RECEIPTS, .extra = base64, .note = note};
	struct arena a;

	assert_true(n <= 20);
	for (size_t i = 0; i < n; i++) {
		wire__agreed_attempt__init(&agreed[i]);
		pagreed[i] = &agreed[i];
		agreed[i].results = l->entry[claims[i].result];
		agreed[i].lease = l->entry[claims[i].lease];
		agreed[i].results_seq = claims[i].result_seq;
		agreed[i].lease_seq = claims[i].lease_seq;
		agreed[i].results_path = path[i][0];
		agreed[i].lease_path = path[i][1];
		prove(l, claims[i].result_seq, path[i][0], &proof[i][0], &agreed[i].n_results_path);
		prove(l, claims[i].lease_seq, path[i][1], &proof[i][1], &agreed[i].n_lease_path);
	}
	f.receipts = l->entry[RECEIPTS];
	f.results = l->entry[RESULT];
	f.lease = l->entry[LEASE];
	f.job = l->entry[JOB];
	f.results_seq = RESULT;
	f.lease_seq = LEASE;
	f.job_seq = JOB;
	f.agreed = pagreed;
	f.n_agreed = n;
	for (size_t i = 0; i < n_held; i++) {
		wire__commitment__init(&c[i]);
		pc[i] = &c[i];
		c[i].entry = l->entry[held[i]];
		c[i].seq = held[i];
		c[i].path = held_path[i];
		prove(l, held[i], held_path[i], &held_proof[i], &c[i].n_path);
	}
	f.commitments = pc;
	f.n_commitments = n_held;
	p.note_n = checkpoint(l, note);
	assert_true(receipt_file_size(&f) < sizeof(l->bytes) &&
	            BASE64_CHARS(receipt_file_size(&f)) < sizeof(base64));
	p.extra_n = base64_write(l->bytes, receipt_file_encode(&f, l->bytes), base64);
	assert_int_equal(proof_inclusion(&l->h, &s, RECEIPTS, ENTRIES, &p.path, NULL), 0);
	assert_true(tlogproof_size(&p) <= sizeof(text));
	arena_init(&a, l->memory, sizeof(l->memory));
	return receipt_verify(&a, &l->h, &v, &l->policy, text, tlogproof_print(&p, text), out, e);
}

static int verify(
        struct log *l, const struct claim *claims, size_t n, struct receipt_view *out, struct err *e)
{
	return verify_held(l, claims, n, NULL, 0, out, e);
}

static void replica_that_came_to_the_same_is_named(void **state)
{
	struct log *l = log_new();
	struct receipt_view r;
	struct err e = {0};

	(void)state;
	if (verify(l, (struct claim[]){{RESULT + 2, LEASE + 2, RESULT + 2, LEASE + 2}}, 1, &r, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(r.n_agreed, 1);
	assert_int_equal(r.agreed[0].lease, 13);
	assert_int_equal(r.agreed[0].node, 3);
	assert_int_equal(r.agreed[0].replica, 2);
	assert_int_equal(r.agreed[0].entry, RESULT + 2);
	assert_int_equal(verify(l, NULL, 0, &r, &e), 0);
	assert_int_equal(r.n_agreed, 0);
	log_free(l);
}

static void nobody_else_is_believed_to_agree(void **state)
{
	static const struct {
		struct claim claim;
		const char *says;
	} wrong[] = {
	        {{RESULT + 1, LEASE + 1, RESULT + 1, LEASE + 1}, "came to something else"},
	        {{RESULT, LEASE, RESULT, LEASE}, "the receipt's own"},
	        {{OTHER_TASK, LEASE + 1, OTHER_TASK, LEASE + 1}, "not of this task"},
	        {{FAILED, LEASE + 1, FAILED, LEASE + 1}, "did not succeed"},
	        {{RESULT + 2, LEASE + 1, RESULT + 2, LEASE + 1}, "not of this task"}, /* another's lease */
	        {{RESULT + 2, LEASE + 2, RESULT + 1, LEASE + 2}, "not in the log"},
	        {{RESULT + 2, LEASE + 2, RESULT + 2, LEASE + 1}, "not in the log"},
	        {{LEASE + 2, RESULT + 2, LEASE + 2, RESULT + 2}, "other entries"},
	};
	struct log *l = log_new();
	struct receipt_view r;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct err e = {0};

		assert_true(verify(l, &wrong[i].claim, 1, &r, &e) < 0);
		assert_int_equal(e.code, ERR_CORRUPT);
		if (!strstr(e.msg, wrong[i].says))
			fail_msg("%zu: '%s' does not say '%s'", i, e.msg, wrong[i].says);
	}
	log_free(l);
}

static void one_replica_is_one_voice(void **state)
{
	struct claim twice[9];
	struct log *l = log_new();
	struct receipt_view r;
	struct err e = {0};

	(void)state;
	for (size_t i = 0; i < 9; i++)
		twice[i] = (struct claim){RESULT + 2, LEASE + 2, RESULT + 2, LEASE + 2};
	assert_true(verify(l, twice, 2, &r, &e) < 0);
	assert_non_null(strstr(e.msg, "there twice"));
	assert_true(verify(l, twice, 9, &r, &e) < 0);
	assert_non_null(strstr(e.msg, "more than 8"));
	log_free(l);
}

static void commitments_before_the_first_answer_are_told(void **state)
{
	static const struct claim other = {RESULT + 2, LEASE + 2, RESULT + 2, LEASE + 2};
	struct log *l = log_new();
	struct receipt_view r;
	struct err e = {0};

	(void)state;
	if (verify_held(l, &other, 1, (unsigned[]){HELD, HELD + 2}, 2, &r, &e) < 0)
		fail_msg("%s", e.msg);
	assert_true(receipt_hidden(&r));
	assert_int_equal(r.last_commitment, HELD + 2);
	assert_int_equal(r.first_told, RESULT);
	assert_int_equal(verify(l, &other, 1, &r, &e), 0);
	assert_false(receipt_hidden(&r));
	log_free(l);
}

static void no_other_commitment_counts(void **state)
{
	static const struct claim other = {RESULT + 2, LEASE + 2, RESULT + 2, LEASE + 2};
	static const struct {
		unsigned held[3], n;
		const char *says;
	} wrong[] = {
	        {{HELD, HELD + 2, HELD + 1}, 3, "more than attempts"},
	        {{HELD}, 1, "is missing"},
	        {{HELD, HELD}, 2, "there twice"},
	        {{HELD, HELD + 1}, 2, "of another attempt"},
	        {{HELD, OTHER_HELD}, 2, "to another answer"},
	        {{HELD, LATE_HELD}, 2, "came after"},
	        {{HELD, RESULT + 2}, 2, "is none"},
	};
	struct log *l = log_new();
	struct receipt_view r;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct err e = {0};

		assert_true(verify_held(l, &other, 1, wrong[i].held, wrong[i].n, &r, &e) < 0);
		assert_int_equal(e.code, ERR_CORRUPT);
		if (!strstr(e.msg, wrong[i].says))
			fail_msg("%zu: '%s' does not say '%s'", i, e.msg, wrong[i].says);
	}
	log_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(replica_that_came_to_the_same_is_named),
	        cmocka_unit_test(nobody_else_is_believed_to_agree),
	        cmocka_unit_test(one_replica_is_one_voice),
	        cmocka_unit_test(commitments_before_the_first_answer_are_told),
	        cmocka_unit_test(no_other_commitment_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
