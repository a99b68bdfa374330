/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobspec_graph - what holds between the steps of a job: names, order, numbers of tasks, templates.
 *
 * Steps are numbered in the order of the file until spec_graph_finish() puts them in an order in which every step
 * comes after those it waits for; among those that could come next the first of the file does. Pure.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "core/jobspec_read.h"
#include "core/params.h"

#define NONE UINT32_MAX

struct graph {
	uint32_t *slots; /* open addressing by name: step number + 1 */
	size_t n_slots;  /* a power of two */
	uint32_t **dep;  /* of each step: the steps it waits for */
	uint32_t *n_dep;
	uint32_t *order; /* step number at each place */
	size_t n_order;
	bool *placed;
};

static uint32_t find(const struct build *b, const struct graph *g, const char *name)
{
	for (size_t i = spec_hash(name) & (g->n_slots - 1); g->slots[i]; i = (i + 1) & (g->n_slots - 1))
		if (strcmp(b->job->steps[g->slots[i] - 1]->name, name) == 0)
			return g->slots[i] - 1;
	return NONE;
}

static void index_names(struct build *b, struct graph *g)
{
	for (uint32_t k = 0; k < b->n_steps; k++) {
		const char *name = b->job->steps[k]->name;
		uint32_t first = find(b, g, name);
		size_t i = spec_hash(name) & (g->n_slots - 1);

		if (first != NONE && strcmp(name, "?") != 0)
			spec_problem_quoted(b, b->steps[k].node, name,
			        "another name: the step in line %u is called so", b->steps[first].step->line);
		while (g->slots[i])
			i = (i + 1) & (g->n_slots - 1);
		g->slots[i] = k + 1;
	}
}

/* The number of the step called `name`, or NONE after a problem. */
static uint32_t resolve(
        struct build *b, const struct graph *g, uint32_t me, const struct doc *at, const char *name)
{
	const char *near = NULL;
	uint32_t k = find(b, g, name);

	if (name[0] == '\0')
		return NONE; /* a problem already */
	if (k == me) {
		spec_problem(b, at, "a step that waits for itself",
		        "'%.64s' to wait for another step, or none", name);
		return NONE;
	}
	if (k != NONE)
		return k;
	for (size_t i = 0; i < b->n_steps && !spec_enough(b); i++)
		if (i != me && spec_is_near(name, b->job->steps[i]->name))
			near = b->job->steps[i]->name;
	spec_problem_quoted(b, at, name, "the name of a step%s%s%s", near ? "; did you mean '" : "",
	        near ? near : "", near ? "'?" : "");
	return NONE;
}

static void add_dep(struct graph *g, uint32_t me, uint32_t k)
{
	if (k != NONE)
		g->dep[me][g->n_dep[me]++] = k;
}

static bool output_known(const Wire__Step *from, const char *output)
{
	if (strcmp(output, "stdout") == 0)
		return true;
	for (size_t i = 0; i < from->n_outputs; i++)
		if (strcmp(from->outputs[i]->path, output) == 0)
			return true;
	return false;
}

/* An input from a step's output: the step must be there, keep that output, and be waited for. */
static void resolve_input(
        struct build *b, struct graph *g, uint32_t me, const struct doc *at, const Wire__Input *in)
{
	Wire__Step *step = b->job->steps[me];
	uint32_t k = resolve(b, g, me, at, in->from_step);
	Wire__After *af;

	if (k == NONE)
		return;
	add_dep(g, me, k);
	if (!output_known(b->job->steps[k], in->from_output))
		spec_problem_quoted(
		        b, at, in->from_output, "stdout or one of the 'outputs' of step '%s'", in->from_step);
	for (size_t i = 0; i < step->n_after; i++)
		if (strcmp(step->after[i]->step, in->from_step) == 0) {
			if (step->after[i]->on != WIRE__AFTER__ON__SUCCESS)
				spec_problem_quoted(b, at, in->from_step,
				        "a step awaited 'on: success': there is no output otherwise");
			return;
		}
	af = spec_take(b, 1, sizeof(*af));
	if (!af)
		return;
	wire__after__init(af);
	af->step = in->from_step;
	step->after[step->n_after++] = af; /* room: see resolve_step() */
}

static void resolve_step(struct build *b, struct graph *g, uint32_t me)
{
	struct step_src *s = &b->steps[me];
	Wire__Step *step = s->step;
	size_t n_after = step->n_after, from = 0;
	bool stdin_from = step->stdin_file && step->stdin_file->from_step[0];

	for (size_t i = 0; i < step->n_inputs; i++)
		from += step->inputs[i]->from_step[0] != '\0';
	from += stdin_from;
	if (n_after + from + (step->reduce != NULL) == 0)
		return;
	g->dep[me] = spec_take(b, n_after + from + 1, sizeof(uint32_t));
	if (from) {
		Wire__After **old = step->after;

		step->after = spec_take(b, n_after + from, sizeof(*old));
		if (step->after && n_after)
			memcpy(step->after, old, n_after * sizeof(*old));
	}
	for (size_t i = 0; i < n_after && !b->full; i++) {
		add_dep(g, me, resolve(b, g, me, s->after_at[i], step->after[i]->step));
		for (size_t k = 0; k < i; k++)
			if (strcmp(step->after[k]->step, step->after[i]->step) == 0 &&
			        step->after[i]->step[0])
				spec_problem_quoted(
				        b, s->after_at[i], step->after[i]->step, "each step once");
	}
	if (step->reduce && !b->full)
		add_dep(g, me, resolve(b, g, me, s->reduce, step->reduce->of));
	for (size_t i = 0; i < step->n_inputs && !b->full; i++)
		if (step->inputs[i]->from_step[0])
			resolve_input(b, g, me, s->input_at[i], step->inputs[i]);
	if (stdin_from && !b->full)
		resolve_input(b, g, me, s->stdin_at, step->stdin_file);
}

static bool ready(const struct graph *g, uint32_t k)
{
	for (uint32_t i = 0; i < g->n_dep[k]; i++)
		if (!g->placed[g->dep[k][i]])
			return false;
	return true;
}

/* Name one cycle among the steps that could not be placed: walk back until a step comes twice. */
static void problem_cycle(struct build *b, const struct graph *g)
{
	uint32_t *path = spec_take(b, b->n_steps + 1, sizeof(*path)), k = 0;
	uint32_t *seen = spec_take(b, b->n_steps, sizeof(*seen)); /* place in path + 1 */
	char text[150];
	size_t n = 0, used = 0, from;

	if (b->full)
		return;
	while (g->placed[k])
		k++;
	while (!seen[k]) {
		uint32_t next = NONE;

		seen[k] = (uint32_t)n + 1;
		path[n++] = k;
		for (uint32_t i = 0; i < g->n_dep[k] && next == NONE; i++)
			if (!g->placed[g->dep[k][i]])
				next = g->dep[k][i];
		CHECK(next != NONE);
		k = next;
	}
	from = seen[k] - 1;
	path[n++] = k;
	for (size_t i = from; i < n && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
		        i == from ? "a cycle: " : " after ", b->job->steps[path[i]]->name);
	spec_problem(b, b->steps[path[from]].node, text,
	        "steps that wait only for steps that do not wait for them");
}

static void order_steps(struct build *b, struct graph *g)
{
	uint32_t first = 0;

	while (g->n_order < b->n_steps) {
		uint32_t k = first;

		while (k < b->n_steps && (g->placed[k] || !ready(g, k)))
			k++;
		if (k == b->n_steps) {
			problem_cycle(b, g);
			return;
		}
		g->placed[k] = true;
		g->order[g->n_order++] = k;
		while (first < b->n_steps && g->placed[first])
			first++;
	}
}

/* ---- numbers of tasks ---- */

static void too_many(struct build *b, const struct step_src *s)
{
	const struct doc *at = s->array ? s->array : s->reduce ? s->reduce : s->node;

	spec_problem(b, at, "more than 10000000 tasks", "at most %llu tasks in a job",
	        (unsigned long long)JOBSPEC_TASKS_MAX);
}

static bool count_tasks(struct build *b, const struct graph *g, struct step_src *s)
{
	uint64_t n = 1;

	for (size_t i = 0; i < s->step->n_params; i++)
		if (__builtin_mul_overflow(n, s->step->params[i]->count, &n) || n > JOBSPEC_TASKS_MAX) {
			too_many(b, s);
			return false;
		}
	if (s->step->reduce) {
		const Wire__Reduce *r = s->step->reduce;
		uint32_t of = find(b, g, r->of);

		CHECK(of != NONE);
		n = b->steps[of].step->tasks;
		if (n > FAN_IN_MAX && !r->associative)
			spec_problem(b, s->reduce, "a reduction of too many inputs by one task",
			        "at most %d ('%s' has %llu tasks), or 'associative: true', which makes it a "
			        "tree",
			        FAN_IN_MAX, r->of, (unsigned long long)n);
		n = reduce_tasks(n, r->associative ? r->fan_in : 0);
	}
	s->step->tasks = n;
	return true;
}

static void check_counts(struct build *b, const struct graph *g, struct step_src *s)
{
	Wire__Step *step = s->step;

	for (size_t i = 0; i < step->n_after; i++) {
		const Wire__Step *of = b->steps[find(b, g, step->after[i]->step)].step;

		if (step->after[i]->mode == WIRE__AFTER__MODE__EACH && of->tasks != step->tasks)
			spec_problem(b, s->after_at[i], "steps of different sizes",
			        "'mode: each' between steps with as many tasks: '%s' has %llu, '%s' %llu",
			        step->name, (unsigned long long)step->tasks, of->name,
			        (unsigned long long)of->tasks);
	}
	for (size_t i = 0; i <= step->n_inputs; i++) {
		const Wire__Input *in = i < step->n_inputs ? step->inputs[i] : step->stdin_file;
		const struct doc *at = i < step->n_inputs ? s->input_at[i] : s->stdin_at;
		const Wire__Step *of;

		if (!in || !in->from_step[0])
			continue;
		of = b->steps[find(b, g, in->from_step)].step;
		if (!of->reduce && of->tasks != 1 && of->tasks != step->tasks)
			spec_problem(b, at, "steps of different sizes",
			        "a step with one task or as many as here: '%s' has %llu, '%s' %llu; 'reduce' "
			        "takes all",
			        step->name, (unsigned long long)step->tasks, of->name,
			        (unsigned long long)of->tasks);
	}
}

/* Waiting for the step whose output task i takes, when that is task i's: only for that task. */
static void refine_after(struct build *b, const struct graph *g, struct step_src *s, size_t n_written)
{
	for (size_t i = n_written; i < s->step->n_after; i++) {
		const Wire__Step *of = b->steps[find(b, g, s->step->after[i]->step)].step;

		if (!of->reduce && of->tasks > 1 && of->tasks == s->step->tasks)
			s->step->after[i]->mode = WIRE__AFTER__MODE__EACH;
	}
}

/* ---- templates ---- */

static bool known_name(const struct step_src *s, const struct template_use *u, const char *at, size_t n)
{
	bool shared = s->step->worker && u->of_process;
	char name[NAME_BYTES_MAX + 1];

	if (n > NAME_BYTES_MAX)
		return false;
	memcpy(name, at, n);
	name[n] = '\0';
	if (params_reserved(name)) /* what differs between the tasks of one worker means nothing to it */
		return !shared || strcmp(name, "task") != 0;
	for (size_t i = 0; i < s->step->n_params && !shared; i++)
		if (strcmp(s->step->params[i]->name, name) == 0)
			return true;
	return false;
}

static void problem_name(
        struct build *b, const struct step_src *s, const struct template_use *u, const char *at, size_t n)
{
	bool shared = s->step->worker && u->of_process;
	char list[300], name[80];
	size_t used = 0;
	const char *word, *near = NULL;

	(void)snprintf(name, sizeof(name), "%.*s", (int)(n < 64 ? n : 64), at); /* for spec_is_near() */
	for (size_t i = 0; i < s->step->n_params && used < sizeof(list) && !shared; i++) {
		word = s->step->params[i]->name;
		near = spec_is_near(name, word) ? word : near;
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s, ", word);
	}
	for (size_t i = 0; (word = params_builtin(i)) != NULL && used < sizeof(list); i++) {
		if (shared && i == 0)
			continue;
		near = spec_is_near(name, word) ? word : near;
		used += (size_t)snprintf(
		        list + used, sizeof(list) - used, "%s%s", word, params_builtin(i + 1) ? ", " : "");
	}
	(void)snprintf(name, sizeof(name), "'${%.*s}'", (int)(n < 64 ? n : 64), at);
	spec_problem(b, u->at, name, "one of %s%s%s%s%s; $${ for a literal ${", list,
	        shared ? " (a worker serves many tasks)" : "", near ? "; did you mean '" : "",
	        near ? near : "", near ? "'?" : "");
}

static void check_templates(struct build *b, const struct step_src *s)
{
	for (const struct template_use *u = s->templates; u && !spec_enough(b); u = u->next) {
		const char *text = u->text, *at;
		enum template_piece kind;
		size_t n;

		while ((kind = template_next(&text, &at, &n)) != TEMPLATE_END) {
			if (kind == TEMPLATE_NAME && !known_name(s, u, at, n))
				problem_name(b, s, u, at, n);
			if (kind == TEMPLATE_EMPTY)
				spec_problem(b, u->at, "${} without a name", "a name; $${ for a literal ${");
			if (kind == TEMPLATE_UNCLOSED)
				spec_problem(
				        b, u->at, "${ without }", "a name in braces; $${ for a literal ${");
			if (kind == TEMPLATE_UNCLOSED || kind == TEMPLATE_EMPTY)
				break;
		}
	}
}

/* ---- all together ---- */

/* What a task is given travels in one packet. */
static void check_start(struct build *b, const struct step_src *s)
{
	size_t n = spec_start_bytes(b->job, s->step);
	char found[80];

	if (n <= START_BYTES_MAX)
		return;
	(void)snprintf(found, sizeof(found), "a command, environment and paths of files of %zu bytes", n);
	spec_problem(b, s->node, found,
	        "at most %u KiB of them for one task; long texts can be files: 'inputs' or 'stdin'",
	        START_BYTES_MAX >> 10);
}

static void size_steps(struct build *b, struct graph *g, const size_t *n_written)
{
	uint64_t total = 0;

	for (size_t i = 0; i < g->n_order; i++) {
		struct step_src *s = &b->steps[g->order[i]];

		if (!count_tasks(b, g, s))
			return;
		total += s->step->tasks;
		if (total > JOBSPEC_TASKS_MAX) {
			too_many(b, s);
			return;
		}
		refine_after(b, g, s, n_written[g->order[i]]);
		check_counts(b, g, s);
	}
}

void spec_graph_finish(struct build *b)
{
	struct graph g = {.n_slots = 2};
	size_t n = b->n_steps, *n_written = spec_take(b, n, sizeof(*n_written));

	while (g.n_slots < 2 * n)
		g.n_slots *= 2;
	g.slots = spec_take(b, g.n_slots, sizeof(*g.slots));
	g.dep = spec_take(b, n, sizeof(*g.dep));
	g.n_dep = spec_take(b, n, sizeof(*g.n_dep));
	g.order = spec_take(b, n, sizeof(*g.order));
	g.placed = spec_take(b, n, sizeof(*g.placed));
	if (b->full)
		return;
	index_names(b, &g);
	for (uint32_t i = 0; i < n; i++) {
		n_written[i] = b->steps[i].step->n_after;
		check_templates(b, &b->steps[i]);
		if (!b->full)
			resolve_step(b, &g, i);
	}
	if (b->full)
		return;
	order_steps(b, &g);
	if (b->n_problems) /* sizes and places mean nothing then */
		return;
	size_steps(b, &g, n_written);
	for (size_t i = 0; i < n; i++)
		b->job->steps[i] = b->steps[g.order[i]].step;
	for (size_t i = 0; i < n && !b->n_problems; i++)
		check_start(b, &b->steps[i]);
}
