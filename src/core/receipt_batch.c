/* SPDX-License-Identifier: Apache-2.0 */
/* receipt_batch - the tree over a batch of statements, for who makes receipts of it: see receipt.h. */
#include <inttypes.h>
#include <string.h>

#include "core/receipt.h"

static int subtree(void *ctx, unsigned level, uint64_t index, uint8_t out[32], struct err *e)
{
	const struct receipt_leaves *s = ctx;
	struct merkle_frontier f;

	(void)e;
	merkle_init(&f);
	for (uint64_t i = index << level; i < (index + 1) << level; i++)
		merkle_append(&f, s->h, s->hash[i]);
	merkle_root(&f, s->h, out);
	return 0;
}

struct proof_source receipt_leaves_source(struct receipt_leaves *l)
{
	return (struct proof_source){subtree, l};
}

/* The leaves of all statements of a batch, made again from the log. */
static int leaves_of(const struct merkle_hash *h, const Wire__Receipts *m, receipt_leaf_fn *leaf_of,
        void *ctx, uint8_t (*out)[32], struct err *e)
{
	for (size_t i = 0; i < m->n_results; i++) {
		uint8_t results[32], lease[32], job[32];
		struct statement s = {.node = m->node,
		        .results = m->results[i],
		        .lease = m->leases[i],
		        .job = m->jobs[i],
		        .results_leaf = results,
		        .lease_leaf = lease,
		        .job_leaf = job};

		if (leaf_of(ctx, s.results, results, e) < 0 || leaf_of(ctx, s.lease, lease, e) < 0 ||
		        leaf_of(ctx, s.job, job, e) < 0)
			return -1;
		statement_leaf(h, &s, out[i]);
	}
	return 0;
}

int receipt_place(struct arena *a, const struct merkle_hash *h, const Wire__Receipts *m, uint64_t results,
        receipt_leaf_fn *leaf_of, void *ctx, Wire__ReceiptFile *f, struct err *e)
{
	struct receipt_leaves leaves = {.n = m->n_results, .h = h};
	struct proof_source source = receipt_leaves_source(&leaves);
	struct proof *p = arena_alloc(a, sizeof(*p));

	f->leaf = 0;
	while (f->leaf < m->n_results && m->results[f->leaf] != results)
		f->leaf++;
	if (f->leaf == m->n_results)
		return err_set(e, ERR_NOTFOUND, "the result of entry %" PRIu64 " has no receipt", results);
	leaves.hash = arena_alloc(a, m->n_results * 32);
	f->path = arena_calloc(a, PROOF_MAX, sizeof(*f->path));
	if (!p || !leaves.hash || !f->path)
		return err_set(e, ERR_FULL, "the receipt is too large");
	if (leaves_of(h, m, leaf_of, ctx, leaves.hash, e) < 0 ||
	        proof_inclusion(h, &source, f->leaf, leaves.n, p, e) < 0)
		return -1;
	f->n_path = p->n;
	for (unsigned i = 0; i < p->n; i++)
		f->path[i] = (ProtobufCBinaryData){32, p->hash[i]};
	f->results_seq = results;
	f->lease_seq = m->leases[f->leaf];
	f->job_seq = m->jobs[f->leaf];
	return 0;
}
