/* SPDX-License-Identifier: Apache-2.0 */
/* late - results of a lease whose tasks others may have, or have done; see state.h and away.c. Pure. */
#include "base/check.h"
#include "core/state.h"
#include "wire/entry.h"

/* `n` results of the lease from the i-th on: as they are, or refused for being late. */
static void part(
        struct deciding *d, const struct lease *l, const Wire__Results *r, uint64_t i, uint64_t n, bool late)
{
	Wire__Entry *en = entry_new(d, late ? WIRE__ENTRY__BODY_LATE_RESULT : WIRE__ENTRY__BODY_RESULTS);
	Wire__Results *p = entry_alloc(d, sizeof(*p));
	Wire__LateResult *m = entry_alloc(d, sizeof(*m));

	if (!en || !p || !m)
		return;
	results_part(r, i, n, p);
	if (!late) {
		en->results = p;
		return;
	}
	wire__late_result__init(m);
	m->lease = l->id;
	m->job = job_at(d->e, l->job)->id;
	m->step = l->step;
	m->first = p->first;
	m->count = n;
	m->replica = l->replica;
	m->node = l->node;
	m->outcome = p->outcome;
	m->n_outcome = p->n_outcome;
	m->from_size = r->from_size;
	en->late_result = m;
}

void decide_shared(struct deciding *d, const struct lease *l, const Wire__Results *r)
{
	const struct engine *e = d->e;
	const struct job *j = job_at(e, l->job);
	const struct step *s = step_at(e, j, l->step);
	uint64_t u = l->replica * s->tasks + r->first, from = 0;
	bool was = false, has = !l->parked; /* its tasks */

	if (l->parked && lease_away_ns(e, l)) {
		refuse(d, "results", "stale", "", "lease %llu is on node %u, whose link is down",
		        (unsigned long long)l->id, l->node);
		return;
	}
	if (l->is_doomed && l->doom == DOOM_BACK) {
		const Wire__Entry *en;

		decide_back(d, l);
		if (d->out->full)
			return;
		en = d->out->v[d->out->n - 1];
		if (en->body_case == WIRE__ENTRY__BODY_LEASE_ENDED)
			return;
		has = en->lease_parked->what == WIRE__LEASE_PARKED__WHAT__BACK;
	}
	for (uint64_t i = 0; i < r->count; i++) {
		bool late = !has || unit_place(e, j, s, u + i) == C_N;

		if (i && late != was) {
			part(d, l, r, from, i - from, was);
			from = i;
		}
		was = late;
	}
	part(d, l, r, from, r->count - from, was);
}

void apply_late(struct applying *a, const Wire__LateResult *m)
{
	struct lease *l = lease_find(a->e, m->lease);

	CHECK(l && m->first == l->cursor && m->count > 0 && m->count <= l->first + l->count - l->cursor);
	l->cursor += m->count;
	child_heard(a->e, l->node, m->from_size);
	job_settle(a, job_at(a->e, l->job));
}
