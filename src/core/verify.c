/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify - tasks that run as k replicas and count when m agree; see state.h. Pure.
 *
 * Replicas that agree form a class, named by its lowest member. Successes agree when the digests of their outputs are equal
 * or the comparator says so (asked one pair at a time per task); failures agree with each other.
 */
#include <string.h>

#include "base/check.h"
#include "base/sha2.h"
#include "core/state.h"
#include "wire/entry.h"

static struct vote *vote_of(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t task, uint32_t r)
{
	return &step_votes(e, j, s)[r * s->tasks + task];
}

static uint8_t unit_byte(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t task, uint32_t r)
{
	return unit_states(e, j, s)[r * s->tasks + task];
}

static bool succeeded(uint8_t byte)
{
	return byte == (S_DONE << 4 | WIRE__OUTCOME__SUCCEEDED);
}

void verify_digest(const Wire__Results *r, uint64_t i, uint64_t *out_at, uint64_t *sha_at, uint8_t out[32])
{
	uint32_t n = RESULT_COLUMN(r, outputs, i);
	struct sha2 h;
	bool one = true;

	sha2_init(&h);
	for (uint32_t k = 0; k < n; k++, (*out_at)++) {
		uint64_t bytes = RESULT_COLUMN(r, output_bytes, *out_at);
		const uint8_t *sha = r->output_sha256.data + *sha_at;
		uint8_t head[12];

		*sha_at += bytes ? 32 : 0;
		if (k == 1)
			continue; /* stderr may differ */
		if (k == 0 && bytes)
			memcpy(out, sha, 32);
		one = one && (k == 0 ? bytes != 0 : bytes == 0);
		for (int b = 0; b < 4; b++)
			head[b] = (uint8_t)(k >> (8 * b));
		for (int b = 0; b < 8; b++)
			head[4 + b] = (uint8_t)(bytes >> (8 * b));
		if (bytes) {
			sha2_add(&h, head, sizeof(head));
			sha2_add(&h, sha, 32);
		}
	}
	if (n == 0 || !one)
		sha2_end(&h, out);
}

/* Forget what was asked about the task. */
static void unask(const struct engine *e, const struct job *j, struct step *s, uint64_t task)
{
	for (uint32_t r = 0; r < s->replicas; r++) {
		struct vote *v = vote_of(e, j, s, task, r);

		if (v->asked) {
			CHECK(s->comparing > 0);
			s->comparing--;
			v->asked = 0;
		}
	}
}

/* The task is decided: what did not run is not needed, who waits for it goes on. */
void task_commit(struct applying *a, struct job *j, struct step *s, uint64_t task, Wire__Outcome o)
{
	uint8_t *byte = task_states(a->e, j, s) + task;
	static const unsigned place[] = {C_BLOCKED, C_LEASED, C_DELAYED, C_N, C_READY};
	unsigned from = place[*byte >> 4];

	CHECK(from != C_N && s->c[from] > 0);
	unask(a->e, j, s, task);
	s->c[from]--;
	s->c[outcome_count(o)]++;
	*byte = (uint8_t)(S_DONE << 4 | (int)o);
	for (uint32_t r = 0; r < s->replicas; r++) {
		uint64_t u = r * s->tasks + task;
		unsigned p = unit_place(a->e, j, s, u);

		if (p == C_DELAYED)
			delay_drop(a->e, delay_find(a->e, j, (uint32_t)(s - step_at(a->e, j, 0)), u));
		if (p != C_LEASED && p != C_N)
			units_done(a, j, s, u, 1, p, WIRE__OUTCOME__SKIPPED);
	}
	tasks_done(a, j, s, task, 1, o);
}

/* Give success r its class, if that needs no comparator; else ask. False: an answer is awaited. */
static bool classify(struct applying *a, struct job *j, struct step *s, uint64_t task, uint32_t r)
{
	struct vote *v = vote_of(a->e, j, s, task, r);

	for (uint32_t q = 0; q < s->replicas; q++) {
		const struct vote *w = vote_of(a->e, j, s, task, q);

		if (w->class_ && memcmp(w->digest, v->digest, sizeof(v->digest)) == 0) {
			v->class_ = w->class_;
			return true;
		}
	}
	for (uint32_t q = v->tried; s->comparator && q < s->replicas; q++) {
		if (vote_of(a->e, j, s, task, q)->class_ != q + 1)
			continue;
		v->asked = (uint8_t)(q + 1);
		s->comparing++;
		effect(a, &(struct effect){.kind = EFFECT_COMPARE,
		                  .job = {j->id},
		                  .step = (uint32_t)(s - step_at(a->e, j, 0)),
		                  .task = task,
		                  .a = q,
		                  .b = r});
		return false;
	}
	v->class_ = (uint8_t)(r + 1);
	return true;
}

/* What the replicas say so far. */
struct tally {
	uint32_t open;              /* still to come, or to be compared */
	uint32_t held;              /* committed to */
	uint32_t idle;              /* of an adaptive step: not asked for so far */
	unsigned leader;            /* the class of `best` */
	uint32_t best, failures;    /* size of the largest class of successes; failures */
	bool ending;                /* one was skipped or stopped: there is nothing to agree on */
	Wire__Outcome failure, end; /* the first failure; how it ends */
	uint8_t state;              /* where the task as a whole is */
};

static void tally_open(struct tally *t, unsigned place)
{
	static const uint8_t rank[] = {[S_WAIT] = 0, [S_DELAYED] = 1, [S_READY] = 2, [S_LEASED] = 3};
	static const uint8_t state[] = {
	        [C_BLOCKED] = S_WAIT, [C_READY] = S_READY, [C_DELAYED] = S_DELAYED, [C_LEASED] = S_LEASED};

	t->open++;
	if (rank[state[place]] > rank[t->state])
		t->state = state[place];
}

static void tally(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t task, struct tally *t)
{
	uint32_t size[VOTES_MAX + 1] = {0};

	*t = (struct tally){0};
	for (uint32_t r = 0; r < s->replicas; r++) {
		unsigned place = unit_place(e, j, s, r * s->tasks + task);
		Wire__Outcome o = (Wire__Outcome)(unit_byte(e, j, s, task, r) & 15);
		unsigned class_ = vote_of(e, j, s, task, r)->class_;

		if (s->adaptive && place == C_BLOCKED) {
			t->idle++;
		} else if (unit_held(e, j, s, r * s->tasks + task)) {
			t->held++;
			t->state = S_LEASED;
		} else if (place != C_N) {
			tally_open(t, place);
		} else if (o == WIRE__OUTCOME__SUCCEEDED) {
			if (!class_)
				tally_open(t, C_LEASED);
			else if (++size[class_] > t->best) {
				t->best = size[class_];
				t->leader = class_;
			}
		} else if (o == WIRE__OUTCOME__SKIPPED || o == WIRE__OUTCOME__STOPPED) {
			t->ending = true;
			t->end = o;
		} else if (o != WIRE__OUTCOME__DISAGREED) { /* that is no vote at all */
			if (t->failures++ == 0)
				t->failure = o;
			if (s->adaptive && o == WIRE__OUTCOME__QUEUE_TIMEOUT)
				t->failures += s->agree; /* nobody need agree that it waited too long */
		}
	}
}

/* How many must agree: of an adaptive step one is enough, if its node is trusted and nobody else was asked. */
static uint32_t needed(const struct engine *e, const struct job *j, const struct step *s, uint64_t task,
        const struct tally *t)
{
	bool alone = s->adaptive && t->idle + 1 == s->replicas && t->open == 0;

	return alone && !trust_checks(e, j, s, task, vote_of(e, j, s, task, 0)->node) ? 1 : s->agree;
}

/* Ask the next replica of an adaptive step, when no other is under way and what there is does not suffice. */
static bool ask_next(struct applying *a, struct job *j, struct step *s, uint64_t task, const struct tally *t,
        uint32_t need)
{
	uint32_t most = (t->best > t->failures ? t->best : t->failures) + t->held, r = 0;

	if (t->open || !t->idle || t->idle == s->replicas || t->ending || most >= need ||
	        most + t->idle < need)
		return false;
	while (unit_place(a->e, j, s, r * s->tasks + task) != C_BLOCKED)
		r++;
	CHECK(r < s->replicas);
	units_move(a, j, s, r * s->tasks + task, 1, C_BLOCKED, C_READY, 0); /* and verify_refresh() again */
	return true;
}

/* What was revealed after the task was decided: nothing rests on it, but whether it agrees is told. */
static void refresh_late(struct applying *a, struct job *j, struct step *s, uint64_t task)
{
	for (uint32_t r = 0; r < s->replicas && !s->comparator; r++)
		if (succeeded(unit_byte(a->e, j, s, task, r)) && !vote_of(a->e, j, s, task, r)->class_)
			(void)classify(a, j, s, task, r);
}

static void refresh(struct applying *a, struct job *j, struct step *s, uint64_t task)
{
	uint8_t *byte = task_states(a->e, j, s) + task;
	static const unsigned place[] = {C_BLOCKED, C_LEASED, C_DELAYED, C_N, C_READY};
	uint32_t need, most, left;
	bool asked = false;
	struct tally t;

	if (*byte >> 4 == S_DONE) {
		refresh_late(a, j, s, task);
		return;
	}
	for (uint32_t r = 0; r < s->replicas; r++)
		asked |= vote_of(a->e, j, s, task, r)->asked != 0;
	for (uint32_t r = 0; r < s->replicas && !asked; r++)
		if (succeeded(unit_byte(a->e, j, s, task, r)) && !vote_of(a->e, j, s, task, r)->class_)
			asked = !classify(a, j, s, task, r);
	tally(a->e, j, s, task, &t);
	need = needed(a->e, j, s, task, &t);
	most = t.best > t.failures ? t.best : t.failures;
	left = t.open + t.held + t.idle;
	if (ask_next(a, j, s, task, &t, need))
		return;
	if (s->adaptive && need > 1 && (t.best >= need || (!t.ending && most + left < need)))
		trust_judge(a, j, s, task, t.best >= need ? t.leader : 0);
	if (s->adaptive && need == 1 && t.best)
		a->e->trust[vote_of(a->e, j, s, task, 0)->node].alone++;
	if (t.best >= need) {
		task_commit(a, j, s, task, WIRE__OUTCOME__SUCCEEDED);
	} else if (t.failures >= need) {
		task_commit(a, j, s, task, t.failure);
	} else if (left == 0 && t.ending) {
		task_commit(a, j, s, task, t.end);
	} else if (!t.ending && most + left < need) {
		task_commit(a, j, s, task, WIRE__OUTCOME__DISAGREED);
	} else {
		s->c[place[*byte >> 4]]--;
		*byte = (uint8_t)(t.state << 4);
		s->c[place[t.state]]++;
	}
}

void verify_refresh(struct applying *a, struct job *j, struct step *s, uint64_t task)
{
	if (s->gang) {
		gang_refresh(a, j, s, task);
		return;
	}
	refresh(a, j, s, task);
	reveal_look(a, j, s, task);
}

void apply_compared(struct applying *a, const Wire__Compared *m)
{
	struct job *j = job_find(a->e, m->job);
	struct step *s;
	struct vote *v;

	CHECK(j && m->step < j->n_steps);
	s = step_at(a->e, j, m->step);
	CHECK(s->comparator && m->task < s->tasks && m->a < s->replicas && m->b < s->replicas);
	v = vote_of(a->e, j, s, m->task, m->b);
	CHECK(v->asked == m->a + 1 && s->comparing > 0);
	v->asked = 0;
	s->comparing--;
	if (m->equal)
		v->class_ = vote_of(a->e, j, s, m->task, m->a)->class_;
	else
		v->tried = (uint8_t)(m->a + 1);
	verify_refresh(a, j, s, m->task);
	job_settle(a, j);
}

void decide_compared(struct deciding *d, const Wire__Compared *m)
{
	const struct job *j = job_find(d->e, m->job);
	const struct step *s = j && m->step < j->n_steps ? step_at(d->e, j, m->step) : NULL;
	Wire__Entry *en;

	if (!s || !s->comparator || m->task >= s->tasks || m->a >= s->replicas || m->b >= s->replicas ||
	        vote_of(d->e, j, s, m->task, m->b)->asked != m->a + 1) {
		refuse(d, "compared", "stale", "",
		        "nobody waits for the comparison of replicas %u and %u of task %llu of job %llu",
		        m->a, m->b, (unsigned long long)m->task, (unsigned long long)m->job);
		return;
	}
	en = entry_new(d, WIRE__ENTRY__BODY_COMPARED);
	if (en)
		en->compared = (Wire__Compared *)(uintptr_t)m;
}

/* ---- looking ---- */

uint32_t engine_votes(
        const struct engine *e, job_id id, uint32_t step, uint64_t task, struct vote_view *out, uint32_t max)
{
	static const enum task_state state[] = {TASK_BLOCKED, TASK_READY, TASK_DELAYED, TASK_LEASED};
	const struct job *j = job_find(e, id.v);
	const struct step *s = j && step < j->n_steps ? step_at(e, j, step) : NULL;
	uint32_t size[VOTES_MAX + 1] = {0}, least;

	if (!s || s->replicas == 1 || task >= s->tasks)
		return 0;
	for (uint32_t r = 0; r < s->replicas; r++)
		size[vote_of(e, j, s, task, r)->class_]++;
	least = s->adaptive && size[0] + 1 == s->replicas ? 1 : s->agree; /* one that was not checked */
	for (uint32_t r = 0; r < s->replicas && r < max; r++) {
		const struct vote *v = vote_of(e, j, s, task, r);
		unsigned place = unit_place(e, j, s, r * s->tasks + task);

		out[r] = (struct vote_view){.state = place == C_N ? TASK_DONE : state[place],
		        .outcome = (Wire__Outcome)(unit_byte(e, j, s, task, r) & 15),
		        .lease = {v->lease},
		        .node = v->node,
		        .held = unit_held(e, j, s, r * s->tasks + task),
		        .class_ = v->class_ ? v->class_ - 1u : UINT32_MAX,
		        .committed = v->class_ && size[v->class_] >= least &&
		                     succeeded(task_states(e, j, s)[task])};
		if (s->gang) { /* nobody agrees: rank 0 speaks for all */
			out[r].class_ = UINT32_MAX;
			out[r].committed = r == 0 && succeeded(task_states(e, j, s)[task]);
		}
		if (!out[r].held)
			memcpy(out[r].digest, v->digest, sizeof(v->digest));
	}
	return s->replicas;
}

/* The next comparison of this step at or after (task, replica). */
static bool compare_from(const struct engine *e, const struct job *j, uint32_t step, uint64_t task,
        uint32_t r, struct effect *out)
{
	const struct step *s = step_at(e, j, step);

	if (!s->comparing)
		return false;
	for (; task < s->tasks; task++, r = 0)
		for (; r < s->replicas; r++) {
			const struct vote *v = vote_of(e, j, s, task, r);

			if (!v->asked)
				continue;
			*out = (struct effect){.kind = EFFECT_COMPARE,
			        .job = {j->id},
			        .step = step,
			        .task = task,
			        .a = v->asked - 1u,
			        .b = r};
			return true;
		}
	return false;
}

bool engine_compare_next(const struct engine *e, const struct effect *after, struct effect *out)
{
	uint32_t i = after ? idmap_find(&e->job_ids, after->job.v) : e->all_jobs.head;
	uint32_t step = after ? after->step : 0;

	if (after && i && compare_from(e, job_at(e, i), step, after->task, after->b + 1, out))
		return true;
	step += after != NULL;
	for (; i; i = job_at(e, i)->all.next, step = 0)
		for (; step < job_at(e, i)->n_steps; step++)
			if (compare_from(e, job_at(e, i), step, 0, 0, out))
				return true;
	return false;
}
