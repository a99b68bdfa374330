/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fleet_audit - when all is over: each result that a hub's journal has of a lease that a node of its had is the one that the node's journal has; see
 * fleet.h. Down the tree, because each machine's journal is compared with those of its own nodes.
 */
#include "sim/fleet_int.h"

/* The job at the node that had the lease's tasks from `first` on, by the lease's tag, which no other has; NULL: it is nobody's. A node that joined anew, because
 * the hub's disk went back, was given it again, from where the hub's journal is: so of several the last one. */
static const struct book *delegated_book(const struct fleet *f, uint32_t hub, const struct grantbook *g,
        uint64_t first, const struct machine **out)
{
	const struct book *last = NULL;

	for (uint32_t i = 1; i < f->n; i++) {
		const struct world *w = f->m[i]->w;

		if (f->m[i]->hub != hub)
			continue;
		for (size_t k = 0; k < w->n_books; k++)
			if (w->books[k].of_lease == g->lease && w->books[k].of_tag == g->tag &&
			        w->books[k].of_first <= first) {
				*out = f->m[i];
				last = &w->books[k];
			}
	}
	return last;
}

static bool any_rolled_back(const struct fleet *f, uint32_t hub)
{
	for (uint32_t i = 1; i < f->n; i++)
		if (f->m[i]->hub == hub && f->m[i]->w->rolled_back)
			return true;
	return false;
}

static void compare(struct fleet *f, const struct machine *hub, const Wire__Results *r)
{
	const struct grantbook *g = world_grant(hub->w, r->lease);
	const struct machine *c = NULL;
	const struct book *b;

	CHECK(g);
	if (g->node == 1)
		return; /* the hub's own */
	b = delegated_book(f, hub->number, g, r->first, &c);
	if (!b) { /* only a disk that went back forgets that it had it */
		CHECK(any_rolled_back(f, hub->number));
		return;
	}
	CHECK(b->answers);
	if (c->w->guile[1] || c->w->liar[1])
		return; /* that is what the others are for */
	for (uint64_t i = 0; i < r->count; i++) {
		uint64_t at = r->first + i - b->of_first;
		const struct answer *x = &b->answers[at];

		CHECK(r->first + i >= b->of_first && at < b->tasks[0]);
		if (!x->seq) { /* no attempt told what became of it: it was stopped, or timed out as it waited; or the disk went back */
			CHECK(RESULT_COLUMN(r, outcome, i) != WIRE__OUTCOME__SUCCEEDED || c->w->rolled_back);
			continue;
		}
		CHECK(x->o.outcome == RESULT_COLUMN(r, outcome, i) || c->w->rolled_back);
		CHECK(x->o.digest == r->output_sha256.data[32 * i] || c->w->rolled_back);
		f->counts.compared++;
	}
}

void audit_results(struct fleet *f)
{
	for (uint32_t i = 0; i < f->n; i++) {
		struct world *w = f->m[i]->w;

		for (size_t k = 0; k < w->durable; k++) {
			const Wire__Entry *en;
			struct arena a;
			struct err e;

			arena_init(&a, w->scratch, SCRATCH_BYTES);
			CHECK(entry_decode(&a, w->disk[k].bytes, w->disk[k].n, &en, &e) == 0);
			if (en->body_case == WIRE__ENTRY__BODY_RESULTS && !en->results->commitments.len)
				compare(f, f->m[i], en->results);
		}
	}
}
