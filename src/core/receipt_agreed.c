/* SPDX-License-Identifier: Apache-2.0 */
/* receipt_agreed - the attempts of a verified task that came to the same, beside a receipt: see receipt.h. */
#include <inttypes.h>
#include <string.h>

#include "core/receipt_int.h"
#include "core/state.h"
#include "wire/entry.h"

static int broken(struct err *e, const char *what)
{
	return err_set(e, ERR_CORRUPT, "an attempt that is said to agree %s", what);
}

static int unfit(struct err *e, const char *what)
{
	return err_set(e, ERR_CORRUPT, "a commitment to an answer %s", what);
}

/* Is the entry in the receipt's log? */
static int in_log(const struct receipt_view *r, const struct merkle_hash *h, const ProtobufCBinaryData *entry,
        uint64_t seq, const ProtobufCBinaryData *path, size_t n,
        int (*wrong)(struct err *e, const char *what), struct err *e)
{
	uint8_t leaf[32], hash[PROOF_MAX][32];

	if (n > PROOF_MAX)
		return wrong(e, "has a path that is too long");
	for (size_t i = 0; i < n; i++) {
		if (path[i].len != 32)
			return wrong(e, "has a hash that is not 32 bytes");
		memcpy(hash[i], path[i].data, 32);
	}
	ledger_leaf(h, entry->data, entry->len, leaf);
	if (proof_inclusion_verify(h, leaf, seq, r->checkpoint.size, (const uint8_t(*)[32])hash, n,
	            r->checkpoint.root, NULL) < 0)
		return wrong(e, "is not in the log");
	return 0;
}

/* The digest by which replicas agree, of column i. */
static void digest_of(const Wire__Results *m, size_t i, uint8_t out[32])
{
	uint64_t at = 0, hashed = 0;

	for (size_t k = 0; k <= i; k++)
		verify_digest(m, k, &at, &hashed, out);
}

/* Another replica of the receipt's task, with the receipt's answer? */
static int same_answer(
        const struct receipt_view *r, const Wire__Results *m, const Wire__LeaseGranted *l, struct err *e)
{
	uint8_t mine[32], other[32];

	if (m->lease != l->lease || l->job != r->lease->job || l->step != r->lease->step ||
	        r->task < m->first || r->task - m->first >= m->count)
		return broken(e, "is not of this task");
	if (l->replica == r->lease->replica)
		return broken(e, "is the receipt's own");
	if (RESULT_COLUMN(m, outcome, r->task - m->first) != WIRE__OUTCOME__SUCCEEDED ||
	        RESULT_COLUMN(r->results, outcome, r->column) != WIRE__OUTCOME__SUCCEEDED)
		return broken(e, "did not succeed");
	digest_of(r->results, r->column, mine);
	digest_of(m, (size_t)(r->task - m->first), other);
	if (memcmp(mine, other, sizeof(mine)) != 0)
		return broken(e, "came to something else");
	return 0;
}

static int check_one(struct receipt_view *r, const Wire__AgreedAttempt *g, struct arena *a,
        const struct merkle_hash *h, struct err *e)
{
	const Wire__Entry *results, *lease;

	if (in_log(r, h, &g->results, g->results_seq, g->results_path, g->n_results_path, broken, e) < 0 ||
	        in_log(r, h, &g->lease, g->lease_seq, g->lease_path, g->n_lease_path, broken, e) < 0)
		return -1;
	if (entry_decode(a, g->results.data, g->results.len, &results, e) < 0 ||
	        entry_decode(a, g->lease.data, g->lease.len, &lease, e) < 0)
		return e && e->code == ERR_FULL ? -1 : err_wrap(e, "an attempt that is said to agree");
	if (results->body_case != WIRE__ENTRY__BODY_RESULTS ||
	        lease->body_case != WIRE__ENTRY__BODY_LEASE_GRANTED || g->lease_seq >= g->results_seq)
		return broken(e, "is other entries");
	for (size_t i = 0; i < r->n_agreed; i++)
		if (r->agreed[i].replica == lease->lease_granted->replica)
			return broken(e, "is there twice");
	if (same_answer(r, results->results, lease->lease_granted, e) < 0)
		return -1;
	r->agreed[r->n_agreed++] = (struct receipt_agreed){.lease = lease->lease_granted->lease,
	        .entry = g->results_seq,
	        .node = lease->lease_granted->node,
	        .replica = lease->lease_granted->replica,
	        .results = results->results};
	return 0;
}

int receipt_check_agreed(struct receipt_view *r, const Wire__ReceiptFile *f, struct arena *a,
        const struct merkle_hash *h, struct err *e)
{
	if (f->n_agreed > RECEIPT_AGREED_MAX)
		return err_set(e, ERR_CORRUPT, "the receipt names more than %u attempts that agree",
		        RECEIPT_AGREED_MAX);
	for (size_t i = 0; i < f->n_agreed; i++)
		if (check_one(r, f->agreed[i], a, h, e) < 0)
			return -1;
	return 0;
}

/* ---- commitments ---- */

/* Which attempt the lease is of: its results, and their entry. */
static const Wire__Results *attempt_of(
        const struct receipt_view *r, const Wire__ReceiptFile *f, uint64_t lease, uint64_t *out_seq)
{
	*out_seq = f->results_seq;
	if (r->results->lease == lease)
		return r->results;
	for (size_t i = 0; i < r->n_agreed; i++) {
		*out_seq = r->agreed[i].entry;
		if (r->agreed[i].lease == lease)
			return r->agreed[i].results;
	}
	return NULL;
}

static int check_commitment(struct receipt_view *r, const Wire__ReceiptFile *f, size_t at, struct arena *a,
        const struct merkle_hash *h, uint64_t leases[], struct err *e)
{
	const Wire__Commitment *c = f->commitments[at];
	const Wire__Results *m, *told;
	const Wire__Entry *en;
	uint8_t digest[32], sum[32];
	uint64_t told_seq, row;

	if (in_log(r, h, &c->entry, c->seq, c->path, c->n_path, unfit, e) < 0)
		return -1;
	if (entry_decode(a, c->entry.data, c->entry.len, &en, e) < 0)
		return e && e->code == ERR_FULL ? -1 : err_wrap(e, "a commitment to an answer");
	m = en->body_case == WIRE__ENTRY__BODY_RESULTS ? en->results : NULL;
	if (!m || !m->commitments.len || r->task < m->first || r->task - m->first >= m->count)
		return unfit(e, "is none, or of another task");
	told = attempt_of(r, f, m->lease, &told_seq);
	if (!told || c->seq >= told_seq)
		return unfit(e, "is of another attempt, or came after what it stands for");
	for (size_t i = 0; i < at; i++)
		if (leases[i] == m->lease)
			return unfit(e, "is there twice");
	leases[at] = m->lease;
	row = r->task - told->first;
	if (told->nonces.len != told->count * RESULT_NONCE_BYTES)
		return unfit(e, "belongs to an answer that was never committed to");
	digest_of(told, (size_t)row, digest);
	commitment(m->lease, r->task, digest, told->nonces.data + RESULT_NONCE_BYTES * row, sum);
	if (memcmp(sum, m->commitments.data + 32 * (r->task - m->first), sizeof(sum)) != 0)
		return unfit(e, "is to another answer");
	if (c->seq > r->last_commitment)
		r->last_commitment = c->seq;
	return 0;
}

int receipt_check_commitments(struct receipt_view *r, const Wire__ReceiptFile *f, struct arena *a,
        const struct merkle_hash *h, struct err *e)
{
	uint64_t leases[1 + RECEIPT_AGREED_MAX];

	if (f->n_commitments == 0)
		return 0;
	if (f->n_commitments != 1 + r->n_agreed)
		return unfit(e, "is missing, or there are more than attempts");
	for (size_t i = 0; i < f->n_commitments; i++)
		if (check_commitment(r, f, i, a, h, leases, e) < 0)
			return -1;
	r->first_told = f->results_seq;
	for (size_t i = 0; i < r->n_agreed; i++)
		if (r->agreed[i].entry < r->first_told)
			r->first_told = r->agreed[i].entry;
	r->n_committed = f->n_commitments;
	return 0;
}

bool receipt_hidden(const struct receipt_view *r)
{
	return r->n_committed > 1 && r->last_commitment < r->first_told;
}
