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

/* Is the entry in the receipt's log? */
static int in_log(const struct receipt_view *r, const struct merkle_hash *h, const ProtobufCBinaryData *entry,
        uint64_t seq, const ProtobufCBinaryData *path, size_t n, struct err *e)
{
	uint8_t leaf[32], hash[PROOF_MAX][32];

	if (n > PROOF_MAX)
		return broken(e, "has a path that is too long");
	for (size_t i = 0; i < n; i++) {
		if (path[i].len != 32)
			return broken(e, "has a hash that is not 32 bytes");
		memcpy(hash[i], path[i].data, 32);
	}
	ledger_leaf(h, entry->data, entry->len, leaf);
	if (proof_inclusion_verify(h, leaf, seq, r->checkpoint.size, (const uint8_t(*)[32])hash, n,
	            r->checkpoint.root, NULL) < 0)
		return broken(e, "is not in the log");
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

	if (in_log(r, h, &g->results, g->results_seq, g->results_path, g->n_results_path, e) < 0 ||
	        in_log(r, h, &g->lease, g->lease_seq, g->lease_path, g->n_lease_path, e) < 0)
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
	        .replica = lease->lease_granted->replica};
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
