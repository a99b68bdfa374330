/* SPDX-License-Identifier: Apache-2.0 */
/* steps - who waits for whom: conditions, skipping, trees of reductions; see state.h. Pure. */
#include <string.h>

#include "base/check.h"
#include "core/jobspec.h"
#include "core/state.h"

enum verdict { V_WAIT, V_RUN, V_SKIP };

static unsigned task_place(const struct engine *e, const struct job *j, const struct step *s, uint64_t task)
{
	static const unsigned place[] = {C_BLOCKED, C_LEASED, C_DELAYED, C_N, C_READY};

	if (s->replicas == 1)
		return unit_place(e, j, s, task);
	return place[task_states(e, j, s)[task] >> 4];
}

/* Does a condition hold for something that ended like this? STOPPED is neither success nor failure. */
static enum verdict holds(unsigned on, bool any_failed, bool all_succeeded)
{
	if (on == WIRE__AFTER__ON__ALWAYS)
		return V_RUN;
	return (on == WIRE__AFTER__ON__SUCCESS ? all_succeeded : any_failed) ? V_RUN : V_SKIP;
}

static enum verdict whole_verdict(const struct step *of, unsigned on)
{
	if (step_done(of) < of->tasks)
		return V_WAIT;
	return holds(on, of->c[C_FAILED] > 0, of->c[C_SUCCEEDED] == of->tasks);
}

static enum verdict each_verdict(
        const struct engine *e, const struct job *j, const struct step *of, uint64_t task, unsigned on)
{
	uint8_t b = task_states(e, j, of)[task];
	unsigned c;

	if (b >> 4 != S_DONE)
		return V_WAIT;
	c = outcome_count((Wire__Outcome)(b & 15));
	return holds(on, c == C_FAILED, c == C_SUCCEEDED);
}

/* May blocked task i run, or never? */
static enum verdict task_verdict(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t i)
{
	const struct dep *deps = step_deps(e, j, s);
	enum verdict v =
	        s->whole_pending || (s->reduce_of != NONE && step_missing(e, j, s)[i]) ? V_WAIT : V_RUN;

	for (uint32_t k = 0; k < s->n_deps; k++) {
		enum verdict w;

		if (deps[k].mode != WIRE__AFTER__MODE__EACH)
			continue;
		w = each_verdict(e, j, step_at(e, j, deps[k].step), i, deps[k].on);
		if (w == V_SKIP)
			return V_SKIP;
		if (w == V_WAIT)
			v = V_WAIT;
	}
	return v;
}

static void tasks_ready(struct applying *a, struct job *j, struct step *s, uint64_t first, uint64_t n)
{
	for (uint32_t r = 0; r < (s->adaptive || s->gang ? 1 : s->replicas); r++)
		units_move(a, j, s, r * s->tasks + first, n, C_BLOCKED, C_READY, 0);
}

/* Blocked tasks [first, first+n) will never run. */
static void tasks_end(
        struct applying *a, struct job *j, struct step *s, uint64_t first, uint64_t n, Wire__Outcome o)
{
	for (uint32_t r = 0; r < (s->gang ? 1 : s->replicas);
	        r++) /* of a gang, the others follow the first */
		units_done(a, j, s, r * s->tasks + first, n, C_BLOCKED, o);
}

/* How many tasks from i on, at most `most`, are blocked. */
static uint64_t blocked_run(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t i, uint64_t most)
{
	if (task_place(e, j, s, i) != C_BLOCKED)
		return 0;
	return s->replicas == 1 ? unit_run(e, j, s, i, most) : 1;
}

/* Look at the blocked ones of tasks [first, first+n) of s again. `alike`: what they wait for ended alike for all. */
static void settle(struct applying *a, struct job *j, struct step *s, uint64_t first, uint64_t n, bool alike)
{
	bool one = alike || (s->n_deps == 0 && s->reduce_of == NONE);

	for (uint64_t i = first, run; i < first + n; i += run) {
		uint64_t blocked = blocked_run(a->e, j, s, i, first + n - i);
		enum verdict v;

		run = 1;
		if (!blocked)
			continue;
		v = task_verdict(a->e, j, s, i);
		while (run < blocked && (one || task_verdict(a->e, j, s, i + run) == v))
			run = one ? blocked : run + 1;
		if (v == V_RUN)
			tasks_ready(a, j, s, i, run);
		else if (v == V_SKIP)
			tasks_end(a, j, s, i, run, WIRE__OUTCOME__SKIPPED);
	}
}

/* Nodes of the tree take inputs in index order: `n` of node p's came, or one failed. */
static void node_input(struct applying *a, struct job *j, struct step *s, uint64_t p, uint32_t n, bool good)
{
	uint32_t *missing = &step_missing(a->e, j, s)[p];

	if (task_place(a->e, j, s, p) != C_BLOCKED)
		return;
	if (!good) {
		tasks_end(a, j, s, p, 1, WIRE__OUTCOME__SKIPPED);
		return;
	}
	CHECK(*missing >= n);
	*missing -= n;
	if (*missing == 0)
		settle(a, j, s, p, 1, true);
}

static void node_inputs(struct applying *a, struct job *j, struct step *s, bool from_map, uint64_t first,
        uint64_t n, bool good)
{
	uint64_t of = step_at(a->e, j, s->reduce_of)->tasks;

	for (uint64_t i = first, run; i < first + n; i += run) {
		uint64_t p = reduce_parent(of, s->fan_in, from_map, i);

		run = 1;
		if (p == UINT64_MAX)
			continue;
		if (from_map) /* the rest of p's inputs are the next ones */
			run = s->fan_in ? s->fan_in - i % s->fan_in : of - i;
		run = run < first + n - i ? run : first + n - i;
		node_input(a, j, s, p, (uint32_t)run, good);
	}
}

/* Blocked tasks of a step whose condition failed as a whole. */
static void skip_blocked(struct applying *a, struct job *j, struct step *s)
{
	for (uint64_t i = 0, run; i < s->tasks; i += run) {
		uint64_t blocked = blocked_run(a->e, j, s, i, s->tasks - i);

		run = blocked ? blocked : (s->replicas == 1 ? unit_run(a->e, j, s, i, s->tasks - i) : 1);
		if (blocked)
			tasks_end(a, j, s, i, run, WIRE__OUTCOME__SKIPPED);
	}
}

/* Step `of` is over: those who waited for it as a whole. */
static void wholes_done(struct applying *a, struct job *j, uint32_t of)
{
	const struct step *o = step_at(a->e, j, of);
	const struct use *uses = step_uses(a->e, j, o);
	uint32_t last = NONE;

	for (uint32_t k = 0; k < o->n_uses; k++) {
		struct step *s = step_at(a->e, j, uses[k].step);
		const struct dep *deps = step_deps(a->e, j, s);
		bool skip = false;

		if (uses[k].kind != USE_WHOLE || uses[k].step == last || step_stopped(j, s))
			continue;
		last = uses[k].step; /* once a step, however often it names `of` */
		for (uint32_t i = 0; i < s->n_deps; i++) {
			if (deps[i].step != of || deps[i].mode != WIRE__AFTER__MODE__WHOLE)
				continue;
			if (whole_verdict(o, deps[i].on) == V_SKIP) {
				skip = true;
				continue;
			}
			CHECK(s->whole_pending > 0);
			s->whole_pending--;
		}
		if (skip)
			skip_blocked(a, j, s);
		else if (s->whole_pending == 0)
			settle(a, j, s, 0, s->tasks, s->n_deps == 1 && s->reduce_of == NONE);
	}
}

void tasks_done(
        struct applying *a, struct job *j, struct step *s, uint64_t first, uint64_t n, Wire__Outcome o)
{
	const struct use *uses = step_uses(a->e, j, s);
	bool good = o == WIRE__OUTCOME__SUCCEEDED;

	if (outcome_count(o) == C_FAILED && !j->keep_going)
		j->failing = 1;
	for (uint32_t k = 0; k < s->n_uses; k++) {
		struct step *d = step_at(a->e, j, uses[k].step);

		if (step_stopped(j, d))
			continue;
		if (uses[k].kind == USE_EACH)
			settle(a, j, d, first, n, d->n_deps == 1 && d->reduce_of == NONE);
		else if (uses[k].kind == USE_REDUCE)
			node_inputs(a, j, d, true, first, n, good);
	}
	if (s->reduce_of != NONE && !step_stopped(j, s))
		node_inputs(a, j, s, false, first, n, good);
	if (step_done(s) == s->tasks && !s->finished) {
		s->finished = 1;
		j->steps_done++;
		wholes_done(a, j, (uint32_t)(s - step_at(a->e, j, 0)));
	}
}

/* One verified task: nothing of it starts any more; what is leased decides when it ends. */
static void verified_end(struct applying *a, struct job *j, struct step *s, uint64_t task, Wire__Outcome o)
{
	if (task_place(a->e, j, s, task) == C_N)
		return;
	for (uint32_t r = 0; r < s->replicas; r++) {
		uint64_t u = r * s->tasks + task;
		unsigned place = unit_place(a->e, j, s, u);

		if (place == C_DELAYED)
			delay_drop(a->e, delay_find(a->e, j, (uint32_t)(s - step_at(a->e, j, 0)), u));
		if (place != C_LEASED && place != C_N)
			units_done(a, j, s, u, 1, place, o);
	}
}

void step_end_rest(struct applying *a, struct job *j, struct step *s, Wire__Outcome o)
{
	uint32_t k = (uint32_t)(s - step_at(a->e, j, 0));

	if (s->replicas > 1) {
		for (uint64_t i = 0; i < s->tasks; i++)
			verified_end(a, j, s, i, o);
		return;
	}
	for (uint64_t u = 0, run; u < s->tasks; u += run) {
		unsigned place = unit_place(a->e, j, s, u);

		run = unit_run(a->e, j, s, u, s->tasks - u);
		if (place == C_DELAYED)
			for (uint64_t i = 0; i < run; i++)
				delay_drop(a->e, delay_find(a->e, j, k, u + i));
		if (place != C_LEASED && place != C_N)
			units_done(a, j, s, u, run, place, o);
	}
}

void reduce_missing_fill(const struct engine *e, const struct job *j, const struct step *s)
{
	const struct step *of = step_at(e, j, s->reduce_of);
	uint32_t *missing = step_missing(e, j, s);

	for (uint64_t p = 0; p < s->tasks; p++) {
		uint64_t first, count;
		bool from_map;
		const uint8_t *st;

		reduce_inputs(of->tasks, s->fan_in, p, &from_map, &first, &count);
		st = task_states(e, j, from_map ? of : s);
		missing[p] = 0;
		for (uint64_t i = first; i < first + count; i++)
			missing[p] += st[i] != (S_DONE << 4 | WIRE__OUTCOME__SUCCEEDED);
	}
}

/* The same when nothing has run: without looking at the inputs. */
static void reduce_missing_new(const struct engine *e, const struct job *j, const struct step *s)
{
	uint64_t below = step_at(e, j, s->reduce_of)->tasks, p = 0;
	uint32_t *missing = step_missing(e, j, s);

	do {
		uint64_t f = s->fan_in ? s->fan_in : below, level = below / f + (below % f != 0);

		for (uint64_t i = 0; i < level; i++)
			missing[p + i] = (uint32_t)(i + 1 < level ? f : below - i * f);
		p += level;
		below = level;
	} while (below > 1);
	CHECK(p == s->tasks);
}

void job_evaluate(struct applying *a, struct job *j)
{
	struct engine *e = a->e;
	bool fresh = j->steps_done == 0 && j->attempts == 0;

	for (uint32_t k = 0; k < j->n_steps; k++) {
		struct step *s = step_at(e, j, k);
		const struct dep *deps = step_deps(e, j, s);

		s->whole_pending = 0;
		for (uint32_t i = 0; i < s->n_deps; i++)
			s->whole_pending += deps[i].mode == WIRE__AFTER__MODE__WHOLE &&
			                    whole_verdict(step_at(e, j, deps[i].step), deps[i].on) != V_RUN;
		if (s->reduce_of != NONE && fresh)
			reduce_missing_new(e, j, s);
		else if (s->reduce_of != NONE)
			reduce_missing_fill(e, j, s);
	}
	for (uint32_t k = 0; k < j->n_steps; k++) {
		struct step *s = step_at(e, j, k);
		const struct dep *deps = step_deps(e, j, s);
		bool skip = false;

		if (fresh && (s->n_deps || s->reduce_of != NONE))
			continue; /* what it waits for has not begun */
		for (uint32_t i = 0; i < s->n_deps; i++)
			skip |= deps[i].mode == WIRE__AFTER__MODE__WHOLE &&
			        whole_verdict(step_at(e, j, deps[i].step), deps[i].on) == V_SKIP;
		if (skip)
			skip_blocked(a, j, s);
		else
			settle(a, j, s, 0, s->tasks, false);
	}
}
