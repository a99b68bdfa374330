/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trust - how much of what a node answers is checked; see state.h. Pure, integers only.
 *
 * For steps with `verify: adaptive`. A task runs once; whether another node runs it too depends on what the first has earned: so many
 * results in a row that others agreed with. Until TRUST_LEAST of them every result is checked, then one in as many as there were,
 * never less than one in TRUST_CHECKS_LEAST: a node cannot buy itself free. Which ones follows from the journal's seed, the job, the
 * step and the task. (After BOINC's adaptive replication, sched/validator.cpp, which has no such floor.)
 *
 * A node whose answer others outvote has nothing left, and what it answered unchecked since the last result that was agreed with
 * runs again elsewhere: at most TAIL_MAX tasks, in steps that are not over and whose tasks nobody took up one by one.
 */
#include <string.h>

#include "base/check.h"
#include "base/prng.h"
#include "core/state.h"

#define TRUST_LEAST        10u
#define TRUST_CHECKS_LEAST 50u
#define TAIL_MAX           4096u
#define CLASS_LOOK         1024u
#define TRUST_LOOK         64u /* ready checks that one node is held against */

static const struct vote *vote_at(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t u)
{
	return &step_votes(e, j, s)[u];
}

static uint32_t step_number(const struct engine *e, const struct job *j, const struct step *s)
{
	return (uint32_t)(s - step_at(e, j, 0));
}

bool trust_checks(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t task, uint32_t node)
{
	uint64_t earned = node <= e->limits.nodes_max ? e->trust[node].agreed : 0;
	uint64_t one_in = earned < TRUST_CHECKS_LEAST ? earned : TRUST_CHECKS_LEAST;

	if (node == 0 || earned < TRUST_LEAST)
		return true;
	return prng_mix(e->seed ^ ((uint64_t)step_number(e, j, s) << 32 | 0x7472u), j->id, task) % one_in ==
	       0;
}

/* ---- where checks go ---- */

/* Where another replica of u's task runs or has answered; 0 nowhere. */
static uint32_t class_of(const struct engine *e, const struct job *j, const struct step *s, uint64_t u)
{
	for (uint64_t v = u % s->tasks; v < step_units(s); v += s->tasks) {
		uint8_t byte = unit_states(e, j, s)[v];

		if (v != u && vote_at(e, j, s, v)->node &&
		        (byte >> 4 == S_LEASED ||
		                (byte >> 4 == S_DONE && byte != (S_DONE << 4 | WIRE__OUTCOME__SKIPPED))))
			return vote_at(e, j, s, v)->node;
	}
	return 0;
}

/* Is the node of the class that the first replica of the task was placed in? Without the label it is of none. */
static bool is_class(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t u, uint32_t node)
{
	uint64_t value = s->same ? sched_label(e->sched, node, s->same) : 1;
	uint32_t first = s->same ? class_of(e, j, s, u) : 0;

	return value && (!first || sched_label(e->sched, first, s->same) == value);
}

/* Is there a node for u but these, of its class? Of many nodes only the first are looked at. */
static bool another_could(const struct engine *e, const struct job *j, const struct step *s, uint64_t u,
        const uint32_t *used, uint32_t n)
{
	uint32_t x = 0;

	if (!s->same)
		return sched_able_but(e->sched, s->group, used, n);
	for (uint32_t k = 0; k < CLASS_LOOK && (x = sched_able_next(e->sched, s->group, x)) != 0; k++) {
		bool in = false;

		for (uint32_t i = 0; i < n; i++)
			in |= used[i] == x;
		if (!in && is_class(e, j, s, u, x))
			return true;
	}
	return false;
}

bool trust_may(const struct engine *e, const struct job *j, const struct step *s, uint64_t u, uint32_t node)
{
	uint32_t used[VOTES_MAX], n = 0;
	bool here = false;

	if (!is_class(e, j, s, u, node))
		return false;
	if (!s->adaptive)
		return true;

	for (uint64_t v = u % s->tasks; v < step_units(s); v += s->tasks)
		if (v != u && vote_at(e, j, s, v)->node) {
			used[n] = vote_at(e, j, s, v)->node;
			here |= used[n++] == node;
		}
	return !here || !another_could(e, j, s, u, used, n);
}

uint64_t trust_unit(const struct engine *e, const struct job *j, const struct step *s, uint32_t node)
{
	struct bitmap ready = step_ready(e, j, s);
	uint64_t best = UINT64_MAX;

	for (uint32_t r = s->replicas; r-- > 0;) {
		uint64_t end = (r + 1) * s->tasks, u = bitmap_next(&ready, r * s->tasks);

		for (uint32_t n = 0; u < end && n < TRUST_LOOK; n++, u = bitmap_next(&ready, u + 1)) {
			if (!unit_may(e, j, s, u, node))
				continue;
			if (s->adaptive)
				return u;
			/* Those of the least task: they wait for each other. */
			if (best == UINT64_MAX || u % s->tasks <= best % s->tasks)
				best = u;
			break;
		}
	}
	return best;
}

/* Is there a node that it did not fail on and that it may go to otherwise? Of many nodes only the first are looked at. */
static bool could_go_elsewhere(const struct engine *e, const struct job *j, const struct step *s, uint64_t u,
        const uint32_t *failed, uint32_t n)
{
	uint32_t x = 0;

	if (!step_commits(s) && !s->local)
		return sched_able_but(e->sched, s->group, failed, n);
	for (uint32_t k = 0; k < TRUST_LOOK && (x = sched_able_next(e->sched, s->group, x)) != 0; k++) {
		bool here = false;

		for (uint32_t i = 0; i < n; i++)
			here = here || failed[i] == x;
		if (!here && child_takes(e, s, x) && ((!s->adaptive && !s->same) || trust_may(e, j, s, u, x)))
			return true;
	}
	return false;
}

bool unit_may(const struct engine *e, const struct job *j, const struct step *s, uint64_t u, uint32_t node)
{
	uint32_t failed[FAILED_ON_MAX], n;

	if ((s->adaptive || s->same) && !trust_may(e, j, s, u, node))
		return false;
	n = sched_failed_on(e->sched, s->group, u, failed);
	for (uint32_t i = 0; i < n; i++)
		if (failed[i] == node)
			return !could_go_elsewhere(e, j, s, u, failed, n);
	return true;
}

/* Of replicas, those of the least task: they wait for each other. */
static uint64_t least_task(const struct step *s, const struct bitmap *ready)
{
	uint64_t best = UINT64_MAX;

	for (uint64_t row = 0; row < step_units(s); row += s->tasks) {
		uint64_t u = bitmap_next(ready, row);

		if (u < row + s->tasks && (best == UINT64_MAX || u % s->tasks < best % s->tasks))
			best = u;
	}
	return best;
}

uint64_t unit_for(const struct engine *e, const struct job *j, const struct step *s, uint32_t node)
{
	struct bitmap ready = step_ready(e, j, s);
	uint64_t u = bitmap_next(&ready, 0);

	if (s->adaptive || s->same)
		return trust_unit(e, j, s, node);
	if (!sched_avoiding(e->sched, s->group))
		return s->replicas > 1 ? least_task(s, &ready) : u;
	for (uint32_t n = 0; u != UINT64_MAX && n < TRUST_LOOK; n++, u = bitmap_next(&ready, u + 1))
		if (unit_may(e, j, s, u, node))
			return u;
	return UINT64_MAX;
}

bool unit_filter(const void *engine, uint32_t group, uint32_t node)
{
	const struct engine *e = engine;
	const struct job *j = job_at(e, e->groups[group].job);

	return unit_for(e, j, step_at(e, j, e->groups[group].step), node) != UINT64_MAX;
}

/* ---- who is caught ---- */

/* Could a result of the step be taken back: has nobody begun with it? */
static bool is_untouched(const struct engine *e, const struct job *j, const struct step *s)
{
	const struct use *uses = step_uses(e, j, s);

	if (!s->adaptive || s->finished || s->reduce_of != NONE || step_stopped(j, s))
		return false;
	for (uint32_t k = 0; k < s->n_uses; k++)
		if (uses[k].kind != USE_WHOLE)
			return false;
	return true;
}

/* Was it taken on the word of this node alone, no earlier than its last result that was agreed with? */
static bool is_of_tail(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t task, uint32_t node)
{
	const struct vote *v = vote_at(e, j, s, task);

	if (task_states(e, j, s)[task] != (S_DONE << 4 | WIRE__OUTCOME__SUCCEEDED) || v->node != node ||
	        v->lease < e->trust[node].mark)
		return false;
	for (uint64_t u = task + s->tasks; u < step_units(s); u += s->tasks)
		if (vote_at(e, j, s, u)->lease)
			return false; /* others answered, too */
	return true;
}

/* The task is not decided any more; its second replica waits. */
static void reopen(struct applying *a, struct job *j, struct step *s, uint64_t task)
{
	CHECK(s->c[C_SUCCEEDED] > 0);
	s->c[C_SUCCEEDED]--;
	s->c[C_BLOCKED]++;
	task_states(a->e, j, s)[task] = 0;
	for (uint64_t u = task + s->tasks; u < step_units(s); u += s->tasks) {
		CHECK(unit_states(a->e, j, s)[u] == (S_DONE << 4 | WIRE__OUTCOME__SKIPPED));
		unit_states(a->e, j, s)[u] = 0;
	}
	units_move(a, j, s, task + s->tasks, 1, C_BLOCKED, C_READY, 0);
}

/* Looks at every task of the steps that it may be in; not again before the node was trusted again, so a liar cannot keep us at it. */
static void run_tail_again(struct applying *a, uint32_t node)
{
	uint32_t left = a->e->trust[node].alone ? TAIL_MAX : 0;

	for (uint32_t i = a->e->all_jobs.head; i; i = job_at(a->e, i)->all.next) {
		struct job *j = job_at(a->e, i);

		for (uint32_t k = 0; left > 0 && !j->finished_ns && k < j->n_steps; k++) {
			struct step *s = step_at(a->e, j, k);

			for (uint64_t t = 0; is_untouched(a->e, j, s) && t < s->tasks && left > 0; t++)
				if (is_of_tail(a->e, j, s, t, node)) {
					reopen(a, j, s, t);
					left--;
				}
		}
	}
	if (left > 0)
		a->e->trust[node].alone = 0; /* else there may be more */
}

/* Was a replica of the task before u on the same node and of the same class? A node that agrees with itself has earned that once. */
static bool counted_before(const struct engine *e, const struct job *j, const struct step *s, uint64_t u)
{
	const struct vote *v = vote_at(e, j, s, u);

	for (uint64_t w = u % s->tasks; w < u; w += s->tasks)
		if (vote_at(e, j, s, w)->node == v->node && vote_at(e, j, s, w)->class_ == v->class_)
			return true;
	return false;
}

void trust_judge(struct applying *a, struct job *j, struct step *s, uint64_t task, unsigned best)
{
	for (uint64_t u = task; u < step_units(s); u += s->tasks) {
		const struct vote *v = vote_at(a->e, j, s, u);
		uint8_t byte = unit_states(a->e, j, s)[u];
		Wire__Outcome o = (Wire__Outcome)(byte & 15);
		struct trust *t = &a->e->trust[v->node];

		if (byte >> 4 != S_DONE || (v->lease == 0 && o != WIRE__OUTCOME__DISAGREED) ||
		        o == WIRE__OUTCOME__SKIPPED || o == WIRE__OUTCOME__STOPPED ||
		        o == WIRE__OUTCOME__QUEUE_TIMEOUT)
			continue;
		if (best && v->class_ == best) {
			t->agreed += !counted_before(a->e, j, s, u);
			t->mark = v->lease > t->mark ? v->lease : t->mark;
			continue;
		}
		t->agreed = 0;
		if (best && (o == WIRE__OUTCOME__SUCCEEDED || o == WIRE__OUTCOME__DISAGREED))
			run_tail_again(a, v->node);
	}
}

uint64_t engine_trust(const struct engine *e, uint32_t node)
{
	return node <= e->limits.nodes_max ? e->trust[node].agreed : 0;
}

bool engine_class(const struct engine *e, job_id id, uint32_t step, uint64_t task, struct class_view *out)
{
	const struct job *j = job_find(e, id.v);
	const struct step *s = j && step < j->n_steps ? step_at(e, j, step) : NULL;

	*out = (struct class_view){0};
	if (!s || !s->same || task >= s->tasks || !j->in_sched)
		return false;
	out->any = sched_label_any(e->sched, s->same);
	for (uint64_t u = task; u < step_units(s); u += s->tasks)
		if (unit_place(e, j, s, u) == C_READY) {
			out->replica = (uint32_t)(u / s->tasks);
			out->node = class_of(e, j, s, u);
			out->up = another_could(e, j, s, u, NULL, 0);
			return true;
		}
	return false;
}
