/* SPDX-License-Identifier: Apache-2.0 */
/* books - what the world itself has seen committed, and what must hold of it; see world.h. */
#include <stdlib.h>
#include <string.h>

#include "sim/world_state.h"

struct book *world_book(struct world *w, uint64_t job)
{
	for (size_t i = 0; i < w->n_books; i++)
		if (w->books[i].job == job)
			return &w->books[i];
	return NULL;
}

const Wire__JobSpec *world_spec(struct world *w, const struct book *b)
{
	const Wire__JobSpec *spec;
	struct arena a;
	struct err e;

	arena_init(&a, w->spec_mem, SCRATCH_BYTES);
	CHECK(jobspec_decode(&a, b->spec, b->spec_n, &spec, &e) == 0);
	return spec;
}

void book_job(struct world *w, const Wire__JobSubmitted *s, uint64_t seq)
{
	struct book b = {.job = s->job, .seq = seq, .n_steps = (uint32_t)s->spec->n_steps};

	CHECK(!world_book(w, s->job) && b.n_steps <= BOOK_STEPS_MAX);
	b.spec_n = jobspec_size(s->spec);
	b.spec = malloc(b.spec_n + 1);
	CHECK(b.spec);
	(void)jobspec_encode(s->spec, b.spec);
	for (uint32_t i = 0; i < b.n_steps; i++) {
		b.tasks[i] = s->spec->steps[i]->tasks;
		b.verified[i] = s->spec->steps[i]->gang != NULL ||
		                (s->spec->steps[i]->verify && s->spec->steps[i]->verify->replicas > 1);
		b.success[i] = calloc(b.tasks[i], sizeof(uint64_t));
		CHECK(b.success[i]);
	}
	if (s->delegated) {
		b.of_lease = s->delegated->lease;
		b.of_first = s->delegated->first;
		b.of_tag = s->delegated->tag;
		b.answers = calloc(b.tasks[0], sizeof(*b.answers));
		CHECK(b.answers);
	}
	ROOM(w->books, w->n_books, w->books_room);
	w->books[w->n_books++] = b;
}

void book_forgotten(struct world *w, uint64_t job, uint64_t seq)
{
	struct book *b = world_book(w, job);
	struct job_view v;

	CHECK(b && !b->forgotten && engine_job(w->engine, (job_id){job}, &v) && v.finished_ns);
	b->forgotten = seq + 1;
	w->counts.forgotten++;
}

void book_free(struct book *b)
{
	for (uint32_t i = 0; i < b->n_steps; i++)
		free(b->success[i]);
	free(b->answers);
	free(b->spec);
}

/* What is known of the tasks of a delegated job. */
static void book_answers(struct book *b, const Wire__Results *r, uint64_t seq)
{
	for (uint64_t k = 0; k < r->count; k++) {
		struct answer *a = &b->answers[r->first + k];

		*a = (struct answer){.seq = seq + 1};
		a->o.outcome = RESULT_COLUMN(r, outcome, k);
		a->o.code = RESULT_COLUMN(r, code, k);
		a->o.wall_us = RESULT_COLUMN(r, wall_us, k);
		a->o.digest = r->output_sha256.data[32 * k];
	}
}

/* Write down a success that is about to be committed; a second one for the same task is the bug we are here for. */
void book_results(struct world *w, const Wire__Results *r, uint64_t seq)
{
	struct lease_view v;
	struct book *b;

	CHECK(engine_lease(w->engine, (lease_id){r->lease}, &v));
	if (r->nonces.len)
		return; /* of replicas, which are not in the books */
	CHECK(r->first == v.cursor && r->first + r->count <= v.first + v.count);
	b = world_book(w, v.job.v);
	CHECK(b && v.step < b->n_steps);
	if (b->answers)
		book_answers(b, r, seq);
	for (uint64_t i = r->first; i < r->first + r->count && !b->verified[v.step]; i++) {
		Wire__Outcome o = RESULT_COLUMN(r, outcome, i - r->first);

		CHECK(b->success[v.step][i] == 0);
		if (o == WIRE__OUTCOME__SUCCEEDED)
			b->success[v.step][i] = seq + 1;
	}
}

/* Only what was decided without it may be refused as late. */
void book_late(struct world *w, const Wire__LateResult *m)
{
	const struct book *b = world_book(w, m->job);
	struct task_view t;

	CHECK(b && m->step < b->n_steps);
	for (uint64_t i = m->first; i < m->first + m->count && !b->verified[m->step]; i++)
		CHECK(engine_task(w->engine, (job_id){m->job}, m->step, i, &t) && t.state == TASK_DONE);
	w->counts.late += m->count;
}

/* Nothing healthy is disturbed: who is stopped for another has another. */
void book_stopping(struct world *w, const Wire__LeaseStopping *m)
{
	struct lease_view l, o = {0};
	bool rival = m->reason != WIRE__STOP_REASON__SUPERSEDED;

	CHECK(engine_lease(w->engine, (lease_id){m->lease}, &l) && !l.parked && !l.away_ns);
	while (!rival && engine_lease_next(w->engine, o.id, &o))
		rival = o.id.v != l.id.v && o.job.v == l.job.v && o.step == l.step &&
		        o.replica == l.replica && !o.parked && !o.stopping && o.first < l.first + l.count &&
		        l.first < o.first + o.count;
	CHECK(rival);
}

/* Entries from `size` on never were. */
void books_forget(struct world *w, uint64_t size)
{
	for (size_t k = 0; k < w->n_books;) {
		struct book *b = &w->books[k];

		if (b->seq >= size) {
			CHECK(!b->acked || w->rolled_back);
			book_free(b);
			*b = w->books[--w->n_books];
			continue;
		}
		if (b->forgotten > size)
			b->forgotten = 0;
		for (uint32_t s = 0; s < b->n_steps; s++)
			for (uint64_t i = 0; i < b->tasks[s]; i++)
				if (b->success[s][i] > size)
					b->success[s][i] = 0;
		for (uint64_t i = 0; b->answers && i < b->tasks[0]; i++)
			if (b->answers[i].seq > size)
				b->answers[i].seq = 0;
		k++;
	}
}
