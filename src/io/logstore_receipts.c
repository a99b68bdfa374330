/* SPDX-License-Identifier: Apache-2.0 */
/* logstore_receipts - what was run, and its receipts: see logstore.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "io/cosigned.h"
#include "io/ed25519.h"
#include "io/logstore_int.h"
#include "wire/entry.h"

/* ---- folding ---- */

static void bind_entry(sqlite3_stmt *s, int at, uint64_t seq, const uint8_t leaf[32])
{
	(void)sqlite3_bind_int64(s, at, (sqlite3_int64)seq);
	(void)sqlite3_bind_blob(s, at + 1, leaf, 32, SQLITE_STATIC);
}

static int run_with(struct logstore *l, enum store_stmt which, uint64_t id, struct err *e)
{
	(void)sqlite3_bind_int64(l->stmt[which], 1, (sqlite3_int64)id);
	return store_run(l, which, e);
}

static int fold_job(struct logstore *l, uint64_t job, uint64_t seq, const uint8_t leaf[32], struct err *e)
{
	sqlite3_stmt *s = l->stmt[S_JOB_ADD];

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)job);
	bind_entry(s, 2, seq, leaf);
	return store_run(l, S_JOB_ADD, e);
}

static int fold_lease(
        struct logstore *l, uint64_t seq, const uint8_t leaf[32], const Wire__LeaseGranted *m, struct err *e)
{
	sqlite3_stmt *s = l->stmt[S_LEASE_ADD];

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)m->lease);
	bind_entry(s, 2, seq, leaf);
	(void)sqlite3_bind_int64(s, 4, (sqlite3_int64)m->job);
	return store_run(l, S_LEASE_ADD, e);
}

static int fold_results(
        struct logstore *l, uint64_t lease, uint64_t seq, const uint8_t leaf[32], struct err *e)
{
	sqlite3_stmt *s = l->stmt[S_PENDING_ADD];

	bind_entry(s, 1, seq, leaf);
	(void)sqlite3_bind_int64(s, 3, (sqlite3_int64)lease);
	return store_run(l, S_PENDING_ADD, e);
}

static int fold_receipts(struct logstore *l, uint64_t seq, const Wire__Receipts *m, struct err *e)
{
	sqlite3_stmt *s = l->stmt[S_BATCH_ADD];
	uint64_t last = m->results[m->n_results - 1];

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)m->results[0]);
	(void)sqlite3_bind_int64(s, 2, (sqlite3_int64)last);
	(void)sqlite3_bind_int64(s, 3, (sqlite3_int64)seq);
	return store_run(l, S_BATCH_ADD, e) < 0 ? -1 : run_with(l, S_PENDING_DROP, last, e);
}

static int fold_key(struct logstore *l, uint64_t seq, const Wire__KeySet *m, struct err *e)
{
	sqlite3_stmt *s = l->stmt[S_KEY_ADD];

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)seq);
	(void)sqlite3_bind_int(s, 2, (int)m->role);
	(void)sqlite3_bind_int(s, 3, (int)m->state);
	(void)sqlite3_bind_text(s, 4, m->vkey, -1, SQLITE_TRANSIENT);
	(void)sqlite3_bind_text(s, 5, m->reason, -1, SQLITE_TRANSIENT);
	return store_run(l, S_KEY_ADD, e);
}

int receipts_fold(struct logstore *l, uint64_t seq, const uint8_t leaf[32], const uint8_t *bytes, size_t n,
        struct err *e)
{
	const Wire__Entry *en;
	uint64_t id;
	int kind = (int)entry_peek(bytes, n, &id);

	if (kind == WIRE__ENTRY__BODY_RESULTS && entry_is_commitment(bytes, n))
		return 0; /* what it stands for comes later, or never */
	if (kind == WIRE__ENTRY__BODY_RESULTS)
		return fold_results(l, id, seq, leaf, e);
	if (kind == WIRE__ENTRY__BODY_JOB_SUBMITTED)
		return fold_job(l, id, seq, leaf, e);
	if (kind == WIRE__ENTRY__BODY_LEASE_ENDED)
		return run_with(l, S_LEASE_DROP, id, e);
	if (kind == WIRE__ENTRY__BODY_JOB_FORGOTTEN)
		return run_with(l, S_JOB_DROP, id, e);
	if (kind != WIRE__ENTRY__BODY_LEASE_GRANTED && kind != WIRE__ENTRY__BODY_RECEIPTS &&
	        kind != WIRE__ENTRY__BODY_KEY_SET)
		return 0;
	growing_clear(&l->g);
	if (entry_decode(&l->g.arena, bytes, n, &en, NULL) < 0)
		return 0; /* the log carries it all the same: whether it makes sense is for who folds the state */
	if (kind == WIRE__ENTRY__BODY_LEASE_GRANTED)
		return fold_lease(l, seq, leaf, en->lease_granted, e);
	if (kind == WIRE__ENTRY__BODY_RECEIPTS)
		return fold_receipts(l, seq, en->receipts, e);
	return fold_key(l, seq, en->key_set, e);
}

int logstore_keys(struct logstore *l,
        int (*each)(void *ctx, uint64_t seq, Wire__KeySet__Role role, Wire__KeySet__State state,
                const char *vkey, const char *reason),
        void *ctx, struct err *e)
{
	sqlite3_stmt *s = l->stmt[S_KEYS];
	int rc;

	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		if (each(ctx, (uint64_t)sqlite3_column_int64(s, 0),
		            (Wire__KeySet__Role)sqlite3_column_int(s, 1),
		            (Wire__KeySet__State)sqlite3_column_int(s, 2),
		            (const char *)sqlite3_column_text(s, 3),
		            (const char *)sqlite3_column_text(s, 4)) < 0) {
			rc = SQLITE_DONE;
			break;
		}
	(void)sqlite3_reset(s);
	return rc == SQLITE_DONE ? 0 : store_failed(l, e);
}

static int fold_set(void *ctx, uint64_t seq, Wire__KeySet__Role role, Wire__KeySet__State state,
        const char *vkey, const char *reason)
{
	keyset_fold(ctx, seq, role, state, vkey, reason);
	return 0;
}

int logstore_keyset(struct logstore *l, struct keyset *out, struct err *e)
{
	memset(out, 0, sizeof(*out));
	return logstore_keys(l, fold_set, out, e);
}

/* ---- signing what was run ---- */

/* Fill in the columns, and the leaf of each row. */
static int read_pending(
        struct logstore *l, const char *node, Wire__Receipts *m, uint8_t (*leaf)[32], struct err *e)
{
	struct merkle_hash h = sha256_merkle(l->sha);
	sqlite3_stmt *s = l->stmt[S_PENDING];
	int rc;

	(void)sqlite3_bind_int64(s, 1, RECEIPTS_MAX);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW && m->n_results < RECEIPTS_MAX) {
		uint8_t results[32], lease[32], job[32];
		struct statement st = {.node = node,
		        .results = (uint64_t)sqlite3_column_int64(s, 0),
		        .lease = (uint64_t)sqlite3_column_int64(s, 2),
		        .job = (uint64_t)sqlite3_column_int64(s, 4),
		        .results_leaf = results,
		        .lease_leaf = lease,
		        .job_leaf = job};
		size_t i = m->n_results;

		if (!store_blob(s, 1, results, 32) || !store_blob(s, 3, lease, 32) ||
		        !store_blob(s, 5, job, 32))
			break;
		statement_leaf(&h, &st, leaf[i]);
		m->results[i] = st.results;
		m->leases[i] = st.lease;
		m->jobs[i] = st.job;
		m->n_results = m->n_leases = m->n_jobs = i + 1;
	}
	(void)sqlite3_reset(s);
	return rc == SQLITE_DONE || m->n_results == RECEIPTS_MAX ? 0
	       : rc == SQLITE_ROW                                ? store_damaged(e)
	                                                         : store_failed(l, e);
}

int logstore_receipts(struct logstore *l, const struct key *node, const Wire__Receipts **out, struct err *e)
{
	struct merkle_hash h = sha256_merkle(l->sha);
	struct receipt_leaves leaves = {.h = &h};
	struct proof_source source = receipt_leaves_source(&leaves);
	char text[RECEIPT_TEXT_MAX];
	Wire__Receipts *m;

	*out = NULL;
	growing_clear(&l->g);
	m = arena_alloc(&l->g.arena, sizeof(*m));
	CHECK(m);
	wire__receipts__init(m);
	m->results = arena_calloc(&l->g.arena, RECEIPTS_MAX, sizeof(*m->results));
	m->leases = arena_calloc(&l->g.arena, RECEIPTS_MAX, sizeof(*m->leases));
	m->jobs = arena_calloc(&l->g.arena, RECEIPTS_MAX, sizeof(*m->jobs));
	leaves.hash = arena_alloc(&l->g.arena, RECEIPTS_MAX * (size_t)32);
	m->node = arena_dup(&l->g.arena, node->pub.name, strlen(node->pub.name));
	m->key = (ProtobufCBinaryData){32, arena_dup(&l->g.arena, node->pub.key, 32)};
	m->root = (ProtobufCBinaryData){32, arena_alloc(&l->g.arena, 32)};
	m->signature = (ProtobufCBinaryData){64, arena_alloc(&l->g.arena, 64)};
	CHECK(m->results && m->leases && m->jobs && leaves.hash && m->node && m->key.data && m->root.data &&
	        m->signature.data);
	if (read_pending(l, node->pub.name, m, leaves.hash, e) < 0)
		return -1;
	if (m->n_results == 0)
		return 0;
	leaves.n = m->n_results;
	if (proof_root(&h, &source, leaves.n, m->root.data, e) < 0)
		return -1;
	ed25519_sign(
	        node->seed, text, receipt_text(m->node, m->n_results, m->root.data, text), m->signature.data);
	*out = m;
	return 0;
}

/* ---- one receipt ---- */

/* The Receipts entry that covers the Results entry. */
static int find_batch(struct logstore *l, uint64_t results, uint64_t *out_seq, struct err *e)
{
	sqlite3_stmt *s = l->stmt[S_BATCH];
	uint64_t last = 0;
	int rc;

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)results);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		last = (uint64_t)sqlite3_column_int64(s, 0);
		*out_seq = (uint64_t)sqlite3_column_int64(s, 1);
	}
	(void)sqlite3_reset(s);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return store_failed(l, e);
	if (rc == SQLITE_DONE || results > last) {
		(void)err_set(e, ERR_NOTFOUND, "the result is not signed yet");
		return err_hint(e, "try again in a second or two");
	}
	return 0;
}

/* A copy of an entry's bytes in the arena. */
static int copy_entry(struct logstore *l, uint64_t seq, ProtobufCBinaryData *out, struct err *e)
{
	const uint8_t *bytes;
	uint8_t leaf[32];
	size_t n;

	if (journal_read_entry(l->reader, seq, &bytes, &n, leaf, e) < 0)
		return -1;
	out->data = arena_dup(&l->g.arena, bytes, n);
	out->len = n;
	return out->data ? 0 : err_set(e, ERR_FULL, "the receipt is too large");
}

static int leaf_of(void *ctx, uint64_t seq, uint8_t out[32], struct err *e)
{
	struct logstore *l = ctx;
	uint8_t leaf[1][32];

	if (journal_read_leaves(l->reader, seq, 1, leaf, e) < 0)
		return -1;
	memcpy(out, leaf[0], 32);
	return 0;
}

/* The entries of another attempt; what was dropped by policy is left out. */
static int add_agreed(struct logstore *l, Wire__ReceiptFile *f, uint64_t results, struct err *e)
{
	Wire__AgreedAttempt *g = arena_alloc(&l->g.arena, sizeof(*g));
	ProtobufCBinaryData batch;
	const Wire__Entry *en;
	uint64_t seq;
	size_t i = 0;

	if (find_batch(l, results, &seq, e) < 0)
		return -1;
	if (!g)
		return err_set(e, ERR_FULL, "the receipt is too large");
	wire__agreed_attempt__init(g);
	g->results_seq = results;
	if (copy_entry(l, results, &g->results, e) < 0 || copy_entry(l, seq, &batch, e) < 0)
		return e->code == ERR_NOTFOUND ? 0 : -1;
	if (entry_decode(&l->g.arena, batch.data, batch.len, &en, e) < 0)
		return -1;
	if (en->body_case != WIRE__ENTRY__BODY_RECEIPTS)
		return store_damaged(e);
	while (i < en->receipts->n_results && en->receipts->results[i] != results)
		i++;
	if (i == en->receipts->n_results)
		return store_damaged(e);
	g->lease_seq = en->receipts->leases[i];
	if (copy_entry(l, g->lease_seq, &g->lease, e) < 0)
		return e->code == ERR_NOTFOUND ? 0 : -1;
	f->agreed[f->n_agreed++] = g;
	return 0;
}

/* The path of entry `seq` in the tree of `size`, in the arena. */
static int prove(struct logstore *l, uint64_t seq, uint64_t size, ProtobufCBinaryData **out, size_t *out_n,
        struct err *e)
{
	struct merkle_hash h = sha256_merkle(l->sha);
	struct proof_source source = logstore_source(l);
	struct proof *p = arena_alloc(&l->g.arena, sizeof(*p));

	*out = arena_calloc(&l->g.arena, PROOF_MAX, sizeof(**out));
	if (!p || !*out)
		return err_set(e, ERR_FULL, "the receipt is too large");
	if (proof_inclusion(&h, &source, seq, size, p, e) < 0)
		return -1;
	for (unsigned i = 0; i < p->n; i++)
		(*out)[i] = (ProtobufCBinaryData){32, p->hash[i]};
	*out_n = p->n;
	return 0;
}

static int prove_others(struct logstore *l, Wire__ReceiptFile *f, uint64_t size, struct err *e)
{
	for (size_t i = 0; i < f->n_commitments; i++)
		if (prove(l, f->commitments[i]->seq, size, &f->commitments[i]->path,
		            &f->commitments[i]->n_path, e) < 0)
			return -1;
	for (size_t i = 0; i < f->n_agreed; i++) {
		Wire__AgreedAttempt *g = f->agreed[i];

		if (prove(l, g->results_seq, size, &g->results_path, &g->n_results_path, e) < 0 ||
		        prove(l, g->lease_seq, size, &g->lease_path, &g->n_lease_path, e) < 0)
			return -1;
	}
	return 0;
}

/* The file: proof of entry `seq` in the best head that there is, with f beside it. */
static int print(
        struct logstore *l, uint64_t seq, Wire__ReceiptFile *f, char **out, size_t *out_n, struct err *e)
{
	struct merkle_hash h = sha256_merkle(l->sha);
	struct proof_source source = logstore_source(l);
	struct tlogproof p = {.index = seq};
	char *note, *extra;
	uint64_t size, newest = seq;
	uint8_t *bytes;
	size_t n;
	int rc;

	for (size_t i = 0; i < f->n_agreed; i++)
		newest = f->agreed[i]->results_seq > newest ? f->agreed[i]->results_seq : newest;
	if (cosigned_covering(l, newest, &size, &note, &p.note_n, e) < 0)
		return -1;
	if (prove_others(l, f, size, e) < 0) {
		free(note);
		return -1;
	}
	n = receipt_file_size(f);
	bytes = malloc(n);
	extra = malloc(BASE64_CHARS(n) + 1);
	CHECK(bytes && extra);
	p.note = note;
	p.extra = extra;
	p.extra_n = base64_write(bytes, receipt_file_encode(f, bytes), extra);
	rc = proof_inclusion(&h, &source, seq, size, &p.path, e);
	if (rc == 0) {
		*out = malloc(tlogproof_size(&p));
		CHECK(*out);
		*out_n = tlogproof_print(&p, *out);
	}
	free(bytes);
	free(extra);
	free(note);
	return rc;
}

/* A receipt whose node's key was revoked before it was written down proves nothing: it is not handed out. */
static int still_counts(struct logstore *l, const Wire__Receipts *m, uint64_t seq, struct err *e)
{
	struct keyset *set = calloc(1, sizeof(*set));
	char vkey[NOTE_VKEY_MAX];
	struct note_key k;
	int rc;

	CHECK(set);
	rc = logstore_keyset(l, set, e);
	if (rc == 0 && note_name_ok(m->node, strlen(m->node))) {
		note_key_make(m->node, NOTE_ED25519, m->key.data, &k);
		note_key_print(&k, vkey);
		if (keyset_find(set, WIRE__KEY_SET__ROLE__NODE, vkey))
			rc = keyset_check(set, vkey, seq, e);
	}
	free(set);
	return rc;
}

/* With which these attempts committed: all of them, or none is shown, as when one was dropped by policy. */
static int add_commitments(
        struct logstore *l, Wire__ReceiptFile *f, const uint64_t *seq, size_t n, struct err *e)
{
	Wire__Commitment *c = arena_calloc(&l->g.arena, n + 1, sizeof(*c));

	f->commitments = arena_calloc(&l->g.arena, n + 1, sizeof(Wire__Commitment *));
	if (!c || !f->commitments)
		return err_set(e, ERR_FULL, "the receipt is too large");
	for (size_t i = 0; i < n; i++) {
		wire__commitment__init(&c[i]);
		c[i].seq = seq[i];
		f->commitments[i] = &c[i];
		if (seq[i] && copy_entry(l, seq[i], &c[i].entry, e) == 0)
			continue;
		return seq[i] && e->code != ERR_NOTFOUND ? -1 : 0;
	}
	f->n_commitments = n;
	return 0;
}

int logstore_receipt(struct logstore *l, uint64_t results, uint64_t task, const uint64_t *agreed,
        size_t n_agreed, const uint64_t *commitments, char **out, size_t *out_n, struct err *e)
{
	Wire__AgreedAttempt *others[RECEIPT_AGREED_MAX];
	Wire__ReceiptFile f = WIRE__RECEIPT_FILE__INIT;
	struct merkle_hash h = sha256_merkle(l->sha);
	struct log_head now;
	const Wire__Entry *en;
	uint64_t seq = 0;

	growing_clear(&l->g);
	f.task = task;
	if (logstore_head(l, &now, e) < 0 || find_batch(l, results, &seq, e) < 0 ||
	        copy_entry(l, seq, &f.receipts, e) < 0 ||
	        entry_decode(&l->g.arena, f.receipts.data, f.receipts.len, &en, e) < 0)
		return -1;
	if (en->body_case != WIRE__ENTRY__BODY_RECEIPTS)
		return store_damaged(e);
	if (still_counts(l, en->receipts, seq, e) < 0)
		return -1;
	if (receipt_place(&l->g.arena, &h, en->receipts, results, leaf_of, l, &f, e) < 0 ||
	        copy_entry(l, f.results_seq, &f.results, e) < 0 ||
	        copy_entry(l, f.lease_seq, &f.lease, e) < 0 || copy_entry(l, f.job_seq, &f.job, e) < 0)
		return -1;
	f.agreed = others;
	for (size_t i = 0; i < n_agreed && i < RECEIPT_AGREED_MAX; i++)
		if (add_agreed(l, &f, agreed[i], e) < 0)
			return -1;
	if (commitments && f.n_agreed == n_agreed && add_commitments(l, &f, commitments, 1 + n_agreed, e) < 0)
		return -1;
	if (anchors_covering(l, seq, &f, e) < 0)
		return -1;
	return print(l, seq, &f, out, out_n, e);
}
