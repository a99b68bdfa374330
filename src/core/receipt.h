/* SPDX-License-Identifier: Apache-2.0 */
/*
 * receipt - what a node says, under its signature, that it ran; and what a stranger can check of it with a file and a policy.
 *
 * The chain, from the artifact up. Each arrow is a hash or a signature that receipt_verify() checks:
 *	output file -> digest in the Results entry -> its leaf hash in a statement, beside those of the LeaseGranted (when, where, with
 *	what) and the JobSubmitted (the whole specification: command, inputs, limits)
 *	-> root over the statements of a batch -> the node's signature, in a Receipts entry
 *	-> leaf of the log -> inclusion path -> checkpoint -> the log's signature, witnesses, the policy.
 * So one signature of the node serves a batch of any number of tasks, and a task costs nothing of its own.
 * Signed by the node: "osier receipts v1\n" NODE "\n" number of statements "\n" BASE64(root) "\n".
 * Pure; hashing and Ed25519 are passed in.
 */
#ifndef OSIER_CORE_RECEIPT_H
#define OSIER_CORE_RECEIPT_H

#include "base/arena.h"
#include "core/evm.h"
#include "core/ledger.h"
#include "core/policy.h"
#include "core/tlogproof.h"
#include "wire/osier.pb-c.h"

#define RECEIPTS_MAX     1024u /* statements in a batch */
#define RECEIPT_TEXT_MAX (18 + NOTE_NAME_MAX + 1 + 20 + 1 + 44 + 1 + 1)

/* What a node signs; returns the length. */
size_t receipt_text(
        const char *node, uint64_t statements, const uint8_t root[32], char out[RECEIPT_TEXT_MAX]);

/* The leaf of a statement in its batch's tree. Digests are borrowed. */
struct statement {
	const char *node;
	uint64_t results, lease, job; /* entry numbers */
	const uint8_t *results_leaf, *lease_leaf, *job_leaf;
};
void statement_leaf(const struct merkle_hash *h, const struct statement *s, uint8_t out[32]);

/* The leaves of a batch, for proofs in its tree; l must outlive the source. */
struct receipt_leaves {
	uint8_t (*hash)[32];
	uint64_t n;
	const struct merkle_hash *h;
};
struct proof_source receipt_leaves_source(struct receipt_leaves *l);

/* Fill in where the statement about the Results entry `results` is in its batch: leaf, path, and the numbers of its entries, in the arena.
 * leaf_of: the leaf hash of an entry of the log. ERR_NOTFOUND: the batch does not speak of it; ERR_FULL: the arena. */
typedef int receipt_leaf_fn(void *ctx, uint64_t seq, uint8_t out[32], struct err *e);
int receipt_place(struct arena *a, const struct merkle_hash *h, const Wire__Receipts *m, uint64_t results,
        receipt_leaf_fn *leaf_of, void *ctx, Wire__ReceiptFile *f, struct err *e);

/* Another attempt at a verified task, whose answer was the same byte for byte: its entries are in the log, too. */
#define RECEIPT_AGREED_MAX 8u /* more are not carried along */
struct receipt_agreed {
	uint64_t lease, entry; /* entry: of its result */
	uint32_t node, replica;
	const Wire__Results *results;
};

/* Append to a proof of entry `index` of the log (path and note are the caller's) what makes it a receipt. */
struct receipt_view {
	uint64_t entry;   /* number of the Receipts entry in the log */
	uint8_t leaf[32]; /* and its leaf hash */
	struct checkpoint checkpoint;
	struct policy_result trust;
	const char *node; /* the name of the node's key */
	uint8_t node_key[32];
	const Wire__Receipts *receipts;
	const Wire__Entry *job_entry, *lease_entry, *results_entry, *receipts_entry;
	const Wire__JobSubmitted *job;
	const Wire__Step *step;
	const Wire__LeaseGranted *lease;
	const Wire__Results *results;
	uint64_t task;                    /* index in the step */
	size_t column;                    /* of the task in the Results columns */
	uint8_t spec_sha256[32];          /* of the job specification's bytes */
	Wire__AnchoredHead *const *heads; /* see receipt_head() */
	size_t n_heads;
	struct receipt_agreed agreed[RECEIPT_AGREED_MAX];
	size_t n_agreed;
	/* Attempts whose commitment is in the log, before their result: 0, or all of them, this one and those that agree. */
	size_t n_committed;
	uint64_t last_commitment,
	        first_told; /* entries: the last of these commitments, the first of these results */
};

/* Had all of several attempts that agree committed to their answers before any of them was told? */
bool receipt_hidden(const struct receipt_view *r);

/* Check all of the chain but the artifact. Everything in *out lives in the arena or in `bytes`. ERR_INVALID: not a receipt;
 * ERR_CORRUPT: names the link that does not hold; ERR_FULL: the arena is too small. Whether the policy's quorum is met is in
 * out->trust. */
int receipt_verify(struct arena *a, const struct merkle_hash *h, const struct note_verifier *v,
        const struct policy *p, const char *bytes, size_t n, struct receipt_view *out, struct err *e);

/* The outputs of the task: number `i` (0 stdout, 1 stderr, then the declared ones). false: there is none. sha256 is NULL for an
 * empty one. */
struct receipt_output {
	const char *name; /* "stdout", "stderr", or the declared path (a template) */
	uint64_t bytes;
	const uint8_t *sha256;
	bool truncated;
};
bool receipt_output(const struct receipt_view *r, size_t i, struct receipt_output *out);

/* A head that was anchored or stamped: number `i`. false: there is none. What receipt_verify() has checked: the log signed it, the
 * Receipts entry is in it, and a transaction carries it. What is left to check: who signed the transaction, and whether the chain has
 * it; the authority's response, or the calendars' proof, for `digest`. */
struct receipt_head {
	Wire__AnchoredHead__By by;
	struct checkpoint checkpoint;
	uint8_t digest[32], origin[32]; /* SHA-256 of the signed text, of the log's origin */
	const uint8_t *proof;
	size_t proof_n;
	struct evm_tx tx; /* CHAIN */
	struct evm_sig sig;
	uint8_t account[20]; /* who sent it, as the file says */
};
bool receipt_head(const struct receipt_view *r, size_t i, struct receipt_head *out);

#endif
