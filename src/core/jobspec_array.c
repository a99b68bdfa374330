/* SPDX-License-Identifier: Apache-2.0 */
/* jobspec_array - the axes of an array, and what a task needs. See jobspec_read.h. Pure. */
#include <string.h>

#include "base/check.h"
#include "core/jobspec_read.h"
#include "core/params.h"

/* ---- resources ---- */

static const char *const known_needs[] = {"cpu", "memory", "disk", "gpu", "fpga"};

/* The place of resource `name` in the list, added if it is not there. */
static Wire__Need *need_of(struct build *b, Wire__Need **needs, size_t *n, const char *name)
{
	Wire__Need *need = spec_take(b, 1, sizeof(*need));
	size_t i = 0;

	if (!need)
		return NULL;
	wire__need__init(need);
	need->name = (char *)name;
	while (i < *n && strcmp(needs[i]->name, name) != 0)
		i++;
	needs[i] = need;
	*n += i == *n;
	return need;
}

static void read_need(struct build *b, const struct doc *v, Wire__Need **needs, size_t *n)
{
	bool in_bytes = strcmp(v->key, "memory") == 0 || strcmp(v->key, "disk") == 0;
	uint64_t amount;
	Wire__Need *need;

	if (!(in_bytes ? spec_read_bytes(b, v, &amount) : spec_read_milli(b, v, &amount)))
		return;
	if (amount == 0 && strcmp(v->key, "cpu") == 0) {
		spec_problem_value(b, v, "more than 0, such as 0.1");
		return;
	}
	need = need_of(b, needs, n, v->key);
	if (!need)
		return;
	need->amount = amount;
	need->line = v->line;
}

/* Amounts are merged by spec_read_needs(), which knows the array: the table is for the schema and for "did
 * you mean". */
static void need_nothing(struct build *b, const struct doc *v, void *obj)
{
	(void)b, (void)v, (void)obj;
}

static const struct key resources_keys[] = {
        {"cpu", "number", "1", need_nothing},
        {"memory", "size", "no limit", need_nothing},
        {"disk", "size", "no limit", need_nothing},
        {"gpu", "number", "0", need_nothing},
        {"fpga", "number", "0", need_nothing},
        {"pools", "map of numbers", "none", need_nothing},
};
const struct table spec_resources_table = {
        "resources", " or a pool's name", resources_keys, ARRAY_LEN(resources_keys)};

static bool is_known_need(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(known_needs); i++)
		if (strcmp(known_needs[i], name) == 0)
			return true;
	return false;
}

/* A pool under its own name: refused when it looks like a slip of the pen. */
static bool pool_name_ok(struct build *b, const struct doc *v, bool among_known)
{
	const char *near = NULL;

	for (size_t i = 0; i < ARRAY_LEN(known_needs) && among_known && !spec_enough(b); i++)
		if (spec_is_near(v->key, known_needs[i]))
			near = known_needs[i];
	if (near || !spec_name_ok(v->key)) {
		spec_problem_key(b, v, "one of cpu, memory, disk, gpu, fpga or a pool's name%s%s%s",
		        near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
		return false;
	}
	if (!among_known && is_known_need(v->key)) {
		spec_problem_key(b, v, "a pool's name; '%s' stands beside 'pools'", v->key);
		return false;
	}
	return true;
}

static void read_pools(struct build *b, const struct doc *v, Wire__Need **needs, size_t *n)
{
	if (v->kind != DOC_MAP) {
		spec_problem_value(b, v, "a map of pools (name: amount)");
		return;
	}
	for (const struct doc *c = v->child; c && !b->full; c = c->next)
		if (pool_name_ok(b, c, false))
			read_need(b, c, needs, n);
}

void spec_read_needs(struct build *b, const struct doc *v, Wire__Need ***needs, size_t *n)
{
	struct trail here = {.up = b->trail};
	const struct doc *pools = spec_doc_get(v, "pools");
	size_t most = *n + spec_doc_count(v) + (pools ? spec_doc_count(pools) : 0);
	Wire__Need **all;

	if (v->kind != DOC_MAP || most > NEEDS_MAX) {
		spec_problem_value(b, v, "a map of at most %d resources (name: amount)", NEEDS_MAX);
		return;
	}
	all = spec_take(b, most, sizeof(*all));
	if (!all)
		return;
	if (*n)
		memcpy(all, *needs, *n * sizeof(*all));
	for (const struct doc *c = v->child; c && !b->full; c = c->next) {
		here.key = c->key;
		b->trail = &here;
		if (c == pools)
			read_pools(b, c, all, n);
		else if (is_known_need(c->key) || pool_name_ok(b, c, true))
			read_need(b, c, all, n);
		b->trail = here.up;
	}
	*needs = all;
}

/* ---- alternatives ---- */

static void any_of_resources(struct build *b, const struct doc *v, void *obj)
{
	Wire__Variant *var = obj;

	spec_read_needs(b, v, &var->needs, &var->n_needs);
}

static void any_of_command(struct build *b, const struct doc *v, void *obj)
{
	spec_read_command(b, v, &((Wire__Variant *)obj)->command);
}

static const struct key any_of_keys[] = {
        {"resources", "map", "as the step's", any_of_resources},
        {"command", "text or list", "as the step's", any_of_command},
};
const struct table spec_any_of_table = {"any_of", "", any_of_keys, ARRAY_LEN(any_of_keys)};

/* Read again by step_read_variants() once the step's own resources are known. */
void spec_step_read_any_of(struct build *b, const struct doc *v, void *obj)
{
	struct step_src *s = obj;
	size_t n = spec_doc_count(v);

	spec_step_own(s, v);
	if (v->kind != DOC_LIST || n == 0 || n > VARIANTS_MAX)
		spec_problem_value(b, v, "a list of 1 to %u alternatives, the best first", VARIANTS_MAX);
	else
		s->any_of = v;
}

void spec_step_variants(struct build *b, struct step_src *s)
{
	struct trail key = {.up = b->trail, .key = "any_of"}, item = {.up = &key};
	const struct doc *v = s->any_of;

	s->step->variants = spec_take(b, spec_doc_count(v), sizeof(Wire__Variant *));
	for (const struct doc *c = v->child; c && !b->full; c = c->next, item.index++) {
		Wire__Variant *var = spec_take(b, 1, sizeof(*var));

		if (!var)
			return;
		wire__variant__init(var);
		var->needs = s->needs;
		var->n_needs = s->n_needs;
		b->trail = &item;
		spec_read_map(b, c, &spec_any_of_table, var, NULL, NULL);
		b->trail = key.up;
		s->step->variants[s->step->n_variants++] = var;
	}
}

/* ---- arrays ---- */

/* How many values first, first+stride ... up to last; 0 when none, capped just above the most that a job
 * may have. */
static uint64_t range_count(int64_t first, int64_t last, int64_t stride)
{
	uint64_t span, step;

	if (stride > 0 ? first > last : first < last)
		return 0;
	span = stride > 0 ? (uint64_t)last - (uint64_t)first : (uint64_t)first - (uint64_t)last;
	step = stride > 0 ? (uint64_t)stride : 0 - (uint64_t)stride;
	span /= step;
	return span < JOBSPEC_TASKS_MAX ? span + 1 : JOBSPEC_TASKS_MAX + 1;
}

struct range_src {
	int64_t first, last, stride;
	bool has_step;
};

static void range_number(struct build *b, const struct doc *v, int64_t *out)
{
	const char *s;

	if (v->kind != DOC_SCALAR || !spec_read_text(b, v, VALUE_BYTES_MAX, &s))
		s = "";
	if (v->quoted || !spec_parse_i64(s, strlen(s), out))
		spec_problem_value(b, v, "a whole number");
}

static void range_from(struct build *b, const struct doc *v, void *obj)
{
	range_number(b, v, &((struct range_src *)obj)->first);
}

static void range_to(struct build *b, const struct doc *v, void *obj)
{
	range_number(b, v, &((struct range_src *)obj)->last);
}

static void range_step(struct build *b, const struct doc *v, void *obj)
{
	((struct range_src *)obj)->has_step = true;
	range_number(b, v, &((struct range_src *)obj)->stride);
}

static const struct key range_keys[] = {
        {"from", "whole number", "0", range_from},
        {"to", "whole number", "required", range_to},
        {"step", "whole number", "1", range_step},
};
const struct table spec_range_table = {"range", "", range_keys, ARRAY_LEN(range_keys)};

static void lines_file(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_text(b, v, PATH_BYTES_MAX, obj);
}

static const struct key lines_keys[] = {{"lines", "path of a file", "required", lines_file}};
const struct table spec_lines_table = {"lines", "", lines_keys, ARRAY_LEN(lines_keys)};

static void set_range(struct build *b, const struct doc *v, const struct range_src *r, Wire__Param *p)
{
	if (r->stride == 0) {
		spec_problem_value(b, v, "a step other than 0");
		return;
	}
	p->kind = WIRE__PARAM__KIND__RANGE;
	p->first = r->first;
	p->last = r->last;
	p->stride = r->stride;
	p->count = range_count(r->first, r->last, r->stride);
	if (p->count == 0)
		spec_problem_value(b, v, "at least one task: %lld to %lld is empty%s", (long long)r->first,
		        (long long)r->last, r->stride > 0 ? "; to count down, 'step -1'" : "");
}

/* "0..99" or "0..100 step 5" */
static bool parse_range(const char *s, struct range_src *out)
{
	const char *dots = strstr(s, ".."), *end;

	out->stride = 1;
	if (!dots || !spec_parse_i64(s, (size_t)(dots - s), &out->first))
		return false;
	dots += 2;
	end = strchr(dots, ' ');
	if (!end)
		return spec_parse_i64(dots, strlen(dots), &out->last);
	if (!spec_parse_i64(dots, (size_t)(end - dots), &out->last))
		return false;
	end += strspn(end, " ");
	if (strncmp(end, "step ", 5) != 0)
		return false;
	end += 5;
	end += strspn(end, " ");
	return spec_parse_i64(end, strlen(end), &out->stride);
}

static void axis_list(struct build *b, const struct doc *v, Wire__Param *p)
{
	size_t n = spec_doc_count(v);

	p->kind = WIRE__PARAM__KIND__LIST;
	p->values = spec_take(b, n, sizeof(char *));
	if (!p->values)
		return;
	if (n == 0)
		spec_problem(b, v, "an empty list", "at least one value");
	for (const struct doc *c = v->child; c; c = c->next) {
		const char *s = "";

		(void)spec_read_text(b, c, VALUE_BYTES_MAX, &s);
		p->values[p->n_values++] = (char *)s;
	}
	p->count = n;
}

static void axis_lines(struct build *b, const struct doc *v, Wire__Param *p)
{
	const struct jobspec_files *files = b->in->files;
	const struct doc *at = spec_doc_get(v, "lines");
	const char *path = NULL;
	struct err e = {0};

	spec_read_map(b, v, &spec_lines_table, &path, NULL, NULL);
	p->kind = WIRE__PARAM__KIND__LINES;
	p->blob.data = spec_take(b, 32, 1);
	p->blob.len = 32;
	if (!path || b->full)
		return;
	if (!files || !files->lines)
		spec_problem_value(b, at, "no files here: this job came without any");
	else if (files->lines(files->ctx, path, p->blob.data, &p->count, &e) < 0)
		spec_problem_value(b, at, "a file of lines that can be read (%s)", e.msg);
	else if (p->count == 0)
		spec_problem_value(b, at, "at least one task: the file has no lines");
}

static void axis_scalar(struct build *b, const struct doc *v, Wire__Param *p)
{
	struct range_src r = {0};
	const char *s;

	if (!spec_read_text(b, v, VALUE_BYTES_MAX, &s))
		return;
	if (parse_range(s, &r))
		set_range(b, v, &r, p);
	else
		spec_problem_value(b, v,
		        "a range such as 0..99 or 0..100 step 5, a list of values, or a map with 'lines: "
		        "FILE'");
}

static void axis_range(struct build *b, const struct doc *v, Wire__Param *p)
{
	struct range_src r = {.stride = 1};
	size_t before = b->n_problems;

	spec_read_map(b, v, &spec_range_table, &r, NULL, NULL);
	if (!spec_doc_get(v, "to"))
		spec_problem(b, v, "a range without 'to'", "its last value");
	if (b->n_problems == before)
		set_range(b, v, &r, p);
}

static void read_axis(struct build *b, const struct doc *v, Wire__Param *p)
{
	switch (v->kind) {
	case DOC_SCALAR:
		axis_scalar(b, v, p);
		break;
	case DOC_LIST:
		axis_list(b, v, p);
		break;
	case DOC_MAP:
		if (spec_doc_get(v, "from") || spec_doc_get(v, "to") || spec_doc_get(v, "step"))
			axis_range(b, v, p);
		else
			axis_lines(b, v, p);
		break;
	case DOC_NULL:
		spec_problem_value(
		        b, v, "a range such as 0..99, a list of values, or a map with 'lines: FILE'");
		break;
	}
}

static Wire__Param *axis_new(struct build *b, const char *name, Wire__Step *step)
{
	Wire__Param *p = spec_take(b, 1, sizeof(*p));

	if (!p)
		return NULL;
	wire__param__init(p);
	p->name = (char *)name;
	step->params[step->n_params++] = p;
	return p;
}

static void axis_name_check(struct build *b, const struct doc *v)
{
	if (!spec_identifier_ok(v->key) || params_reserved(v->key))
		spec_problem_key(b, v,
		        "a parameter's name: a letter or '_', then letters, digits or '_', and none of those "
		        "known "
		        "everywhere (task, tasks, attempt, job, job_name, step, node, devices)");
	for (size_t i = 0; i < b->n_vars; i++)
		if (strcmp(b->vars[i].name, v->key) == 0)
			spec_problem_key(b, v, "another name: '%s' is one of the job's parameters", v->key);
}

static void axes_map(struct build *b, const struct doc *v, Wire__Step *step)
{
	struct trail here = {.up = b->trail};

	for (const struct doc *c = v->child; c && !b->full; c = c->next) {
		Wire__Param *p = axis_new(b, c->key, step);

		if (!p)
			return;
		here.key = c->key;
		b->trail = &here;
		axis_name_check(b, c);
		read_axis(b, c, p);
		b->trail = here.up;
	}
}

/* `array: 100` is {index: 0..99}, `array: 0..99` is {index: 0..99}, `array: [a, b]` is {item: [a, b]}. */
static void axis_short(struct build *b, const struct doc *v, Wire__Step *step)
{
	Wire__Param *p = axis_new(b, v->kind == DOC_LIST ? "item" : "index", step);
	const char *s = "";
	int64_t n;

	if (!p)
		return;
	if (v->kind == DOC_SCALAR && !v->quoted && spec_read_text(b, v, VALUE_BYTES_MAX, &s) &&
	        spec_parse_i64(s, strlen(s), &n)) {
		struct range_src r = {.last = n - (n != INT64_MIN), .stride = 1};

		if (n <= 0)
			spec_problem_value(b, v, "at least one task");
		else
			set_range(b, v, &r, p);
		return;
	}
	read_axis(b, v, p);
}

void spec_step_read_array(struct build *b, const struct doc *v, void *obj)
{
	struct step_src *s = obj;
	size_t n = v->kind == DOC_MAP ? spec_doc_count(v) : 1;

	spec_step_own(s, v);
	s->array = v;
	if (n == 0 || n > PARAMS_MAX) {
		spec_problem_value(b, v, "1 to %d parameters", PARAMS_MAX);
		return;
	}
	s->step->params = spec_take(b, n, sizeof(Wire__Param *));
	if (b->full)
		return;
	if (v->kind == DOC_MAP)
		axes_map(b, v, s->step);
	else
		axis_short(b, v, s->step);
}
