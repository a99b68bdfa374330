/* SPDX-License-Identifier: Apache-2.0 */
/*
 * links_sources - outputs of earlier steps for tasks that run on children: found here, and laid into the table that goes with a lease.
 *
 * What a child has made is here before its result counts (links_blobs.c), so every output of a task that succeeded is: in the
 * journal's store when it is small, else as a blob. Small ones go along in the grant, or as one blob, when they are more than a frame
 * takes; a child fetches the others like any input. Blobs that were made for a lease are kept while it lives (pins_keep()): its node may be
 * away for long before it fetches them. What is not kept any more is told as missing, and the task fails with words; but where another of the
 * hub's machines may have it, as after a hub was lost, its node asks all of them. While the journal cannot be read, as when its database is
 * away, nothing is known, and the lease is granted later.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/grant.h"
#include "core/sources.h"
#include "engine/exec.h"
#include "engine/hub_copies.h"
#include "engine/links_int.h"
#include "engine/pins.h"
#include "engine/start.h"
#include "io/blobs.h"

#define AGAIN_NS 1000000000ull

struct finding {
	struct links *k;
	const struct lease_view *l;
	const Wire__JobSpec *spec;
	struct sources_building b;
	/* What the task before took at the same place: a whole step may take one file. */
	uint32_t last_which[SOURCES_MAX];
	uint64_t last_task[SOURCES_MAX];
	uint32_t at;
	uint8_t (*made)[32]; /* blobs that nobody else names */
	size_t n_made, made_max;
	bool unread; /* the journal cannot be read just now */
};

/* A blob for this lease. */
static int make(struct finding *f, const uint8_t *bytes, size_t n, uint8_t out_digest[32])
{
	struct err e;

	if (blobs_put(f->k->n->blobs, bytes, n, out_digest, &e) < 0)
		return -1;
	if (f->n_made == f->made_max) {
		f->made_max = f->made_max ? 2 * f->made_max : 16;
		f->made = reallocarray(f->made, f->made_max, sizeof(*f->made));
		CHECK(f->made);
	}
	memcpy(f->made[f->n_made++], out_digest, 32);
	hub_copy(f->k->n, out_digest, n, NULL, NULL);
	return 0;
}

/* One file that the task takes: output of a task of an earlier step. */
static int find(void *ctx, uint32_t step, uint64_t task, const char *output)
{
	struct finding *f = ctx;
	struct node *n = f->k->n;
	struct start_source src = {0};
	struct source_view v = {.bytes = SOURCE_MISSING};
	uint32_t at = f->at++;
	struct err e;

	CHECK(at < SOURCES_MAX);
	if (f->last_task[at] == task + 1)
		return sources_again(&f->b, f->last_which[at]);
	if (step != UINT32_MAX) {
		int rc = exec_output(n->exec, f->spec, f->l->job.v, step, task, output, &src, &e);

		f->unread = rc < 0 && exec_unread(&e);
		if (f->unread)
			return -1;
		if (rc == 0 || (e.code == ERR_NOTFOUND && src.bytes && hub_has_others(n)))
			v = (struct source_view){.data = src.data, .bytes = src.bytes, .sha256 = src.sha256};
		if (v.data && !sources_fits(&f->b, v.bytes)) {
			v.data = NULL;
			if (make(f, src.data, src.bytes, src.sha256) < 0)
				return -1;
		}
	}
	f->last_task[at] = task + 1;
	return sources_add(&f->b, &v, &f->last_which[at]);
}

static int find_all(struct finding *f)
{
	const struct lease_view *l = f->l;

	for (uint64_t task = l->cursor; task < l->first + l->count; task++) {
		sources_task(&f->b);
		f->at = 0;
		if (exec_takes(f->k->n->engine, f->spec, l->job, l->step, task, find, f) < 0)
			return -1;
	}
	return 0;
}

/* Small ones that are too many for a frame become one blob. */
static int pack(struct finding *f, struct arena *a)
{
	Wire__Sources *s = &f->b.s;

	if (s->data.len <= SOURCE_INLINE_MAX)
		return 0;
	s->pack.data = arena_alloc(a, 32);
	if (!s->pack.data || make(f, s->data.data, s->data.len, s->pack.data) < 0)
		return -1;
	s->pack.len = 32;
	s->data.len = 0;
	return 0;
}

const Wire__Sources *links_sources(
        void *ctx, const struct lease_view *l, const Wire__JobSpec *spec, struct arena *a)
{
	struct finding *f = arena_calloc(a, 1, sizeof(*f));
	struct err e;
	bool good;

	CHECK(f);
	f->k = ctx;
	f->l = l;
	f->spec = spec;
	CHECK(sources_begin(&f->b, l->first + l->count - l->cursor, spec->steps[l->step]->reduce != NULL,
	              SOURCE_PACK_MAX, a) == 0);
	good = find_all(f) == 0 && pack(f, a) == 0 &&
	       (f->n_made == 0 || pins_keep(f->k->n->state_dir, l->id, (const uint8_t(*)[32])f->made,
	                                  f->n_made, &e) == 0);
	free(f->made);
	if (!good) {
		(void)snprintf(f->k->why, sizeof(f->k->why), "%s",
		        f->unread ? "what tasks take from earlier steps cannot be read just now"
		                  : "the store has no room for what tasks take from earlier steps");
		links_wake_at(f->k, round_now_ns(f->k->n) + AGAIN_NS);
		return NULL;
	}
	return &f->b.s;
}
