/* SPDX-License-Identifier: Apache-2.0 */
/* params - see params.h. */
#include "core/params.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

/* Names known in every template; the step's own parameters may not be called so. */
static const char *const builtin[] = {
        "task", "tasks", "attempt", "job", "job_name", "step", "node", "devices"};

enum builtin_name { B_TASK, B_TASKS, B_ATTEMPT, B_JOB, B_JOB_NAME, B_STEP, B_NODE, B_DEVICES, B_NONE };

static enum builtin_name builtin_find(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(builtin); i++)
		if (strlen(builtin[i]) == n && memcmp(builtin[i], name, n) == 0)
			return (enum builtin_name)i;
	return B_NONE;
}

const char *params_builtin(size_t i)
{
	return i < ARRAY_LEN(builtin) ? builtin[i] : NULL;
}

int params_reserved(const char *name)
{
	return builtin_find(name, strlen(name)) != B_NONE;
}

static const Wire__Param *axis_find(const Wire__Step *step, const char *name, size_t n, size_t *out_axis)
{
	for (size_t i = 0; i < step->n_params; i++)
		if (strlen(step->params[i]->name) == n && memcmp(step->params[i]->name, name, n) == 0) {
			*out_axis = i;
			return step->params[i];
		}
	return NULL;
}

uint64_t params_axis_index(const Wire__Step *step, uint64_t task, size_t axis)
{
	CHECK(axis < step->n_params);
	for (size_t i = step->n_params - 1; i > axis; i--) {
		CHECK(step->params[i]->count > 0);
		task /= step->params[i]->count;
	}
	return task % step->params[axis]->count;
}

/* Put n bytes of s into out as far as there is room; returns n. */
static int64_t put(char *out, size_t room, const char *s, size_t n)
{
	if (room)
		memcpy(out, s, n < room ? n : room);
	return (int64_t)n;
}

static int64_t put_u64(char *out, size_t room, uint64_t v, int negative)
{
	char digits[24];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	if (negative)
		digits[--at] = '-';
	return put(out, room, digits + at, sizeof(digits) - at);
}

static int64_t put_str(char *out, size_t room, const char *s)
{
	return put(out, room, s ? s : "", s ? strlen(s) : 0);
}

static int64_t axis_value(
        const struct params *p, const Wire__Param *ax, uint64_t index, char *out, size_t room, struct err *e)
{
	const char *line = NULL;
	size_t n = 0;

	CHECK(index < ax->count);
	if (ax->kind == WIRE__PARAM__KIND__RANGE) {
		/* In unsigned arithmetic: the span of an int64 range does not fit an int64. */
		uint64_t v = (uint64_t)ax->first + index * (uint64_t)ax->stride;

		return (int64_t)v < 0 ? put_u64(out, room, 0 - v, 1) : put_u64(out, room, v, 0);
	}
	if (ax->kind == WIRE__PARAM__KIND__LIST) {
		CHECK(index < ax->n_values);
		return put_str(out, room, ax->values[index]);
	}
	CHECK(ax->blob.len == 32);
	if (!p->line)
		return err_set(e, ERR_INVALID, "parameter '%s': no file of lines at hand", ax->name);
	if (p->line(p->line_ctx, ax->blob.data, index, &line, &n, e) < 0)
		return err_wrap(e, "parameter '%s'", ax->name);
	return put(out, room, line, n);
}

static int64_t get_n(
        const struct params *p, const char *name, size_t n, char *out, size_t room, struct err *e)
{
	const Wire__Step *step;
	const Wire__Param *ax;
	size_t axis;

	CHECK(p->step < p->spec->n_steps);
	step = p->spec->steps[p->step];
	switch (builtin_find(name, n)) {
	case B_TASK:
		return put_u64(out, room, step->index_first + p->task, 0);
	case B_TASKS:
		return put_u64(out, room, step->tasks_whole ? step->tasks_whole : step->tasks, 0);
	case B_ATTEMPT:
		return put_u64(out, room, p->attempt, 0);
	case B_JOB:
		return put_u64(out, room, p->job, 0);
	case B_JOB_NAME:
		return put_str(out, room, p->spec->name);
	case B_STEP:
		return put_str(out, room, step->name);
	case B_NODE:
		return put_str(out, room, p->node);
	case B_DEVICES:
		return put_str(out, room, p->devices);
	case B_NONE:
		break;
	}
	ax = axis_find(step, name, n, &axis);
	if (!ax)
		return err_set(e, ERR_NOTFOUND, "unknown name '%.*s'", (int)(n < 64 ? n : 64), name);
	return axis_value(p, ax, params_axis_index(step, step->index_first + p->task, axis), out, room, e);
}

int64_t params_get(const struct params *p, const char *name, char *out, size_t room, struct err *e)
{
	return get_n(p, name, strlen(name), out, room, e);
}

enum template_piece template_next(const char **text, const char **out_at, size_t *out_n)
{
	const char *s = *text, *at;

	if (*s == '\0')
		return TEMPLATE_END;
	if (strncmp(s, "$${", 3) == 0) {
		*out_at = "${";
		*out_n = 2;
		*text = s + 3;
		return TEMPLATE_TEXT;
	}
	if (strncmp(s, "${", 2) == 0) {
		at = strchr(s, '}');
		if (!at)
			return TEMPLATE_UNCLOSED;
		*out_at = s + 2;
		*out_n = (size_t)(at - s) - 2;
		*text = at + 1;
		return *out_n ? TEMPLATE_NAME : TEMPLATE_EMPTY;
	}
	for (at = s + 1; *at && !(at[0] == '$' && (at[1] == '{' || (at[1] == '$' && at[2] == '{'))); at++)
		continue;
	*out_at = s;
	*out_n = (size_t)(at - s);
	*text = at;
	return TEMPLATE_TEXT;
}

static int fault(enum template_piece kind, struct err *e)
{
	if (kind == TEMPLATE_UNCLOSED)
		(void)err_set(e, ERR_INVALID, "'${' without '}'");
	else
		(void)err_set(e, ERR_INVALID, "'${}' without a name");
	return err_hint(e, "write $${ for a literal ${");
}

int64_t template_expand(const struct params *p, const char *text, char *out, size_t room, struct err *e)
{
	const char *whole = text;
	size_t used = 0;
	enum template_piece kind;
	const char *at;
	size_t at_n;

	while ((kind = template_next(&text, &at, &at_n)) != TEMPLATE_END) {
		int64_t n;

		if (kind == TEMPLATE_UNCLOSED || kind == TEMPLATE_EMPTY)
			return fault(kind, e);
		if (kind == TEMPLATE_TEXT)
			n = put(out + used, room - used, at, at_n);
		else
			n = get_n(p, at, at_n, out + used, room - used, e);
		if (n < 0)
			return n;
		if ((uint64_t)n >= room - used)
			return err_set(e, ERR_FULL, "'%.40s' expands to more than %zu bytes", whole, room);
		used += (size_t)n;
	}
	if (room == 0)
		return err_set(e, ERR_FULL, "no room to expand into");
	out[used] = '\0';
	return (int64_t)used;
}

static int unknown_name(const Wire__Step *step, const char *name, size_t n, struct err *e)
{
	char known[100];
	size_t used = 0;

	(void)err_set(e, ERR_INVALID, "unknown name '%.*s'", (int)(n < 64 ? n : 64), name);
	known[0] = '\0';
	for (size_t i = 0; i < step->n_params && used < sizeof(known); i++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s, ", step->params[i]->name);
	for (size_t i = 0; i < ARRAY_LEN(builtin) && used < sizeof(known); i++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", builtin[i],
		        i + 1 < ARRAY_LEN(builtin) ? ", " : "");
	return err_hint(e, "known: %s; or $${", known);
}

int template_check(const Wire__JobSpec *spec, uint32_t step, const char *text, struct err *e)
{
	const Wire__Step *s;
	enum template_piece kind;
	const char *at;
	size_t at_n;
	size_t axis;

	CHECK(step < spec->n_steps);
	s = spec->steps[step];
	while ((kind = template_next(&text, &at, &at_n)) != TEMPLATE_END) {
		if (kind == TEMPLATE_UNCLOSED || kind == TEMPLATE_EMPTY)
			return fault(kind, e);
		if (kind == TEMPLATE_NAME && builtin_find(at, at_n) == B_NONE &&
		        !axis_find(s, at, at_n, &axis))
			return unknown_name(s, at, at_n, e);
	}
	return 0;
}

int template_varies(const char *text)
{
	return strstr(text, "${") != NULL;
}

uint64_t params_input_task(const Wire__Step *of, uint64_t task)
{
	if (of->reduce)
		return of->tasks - 1;
	return of->tasks == 1 ? 0 : task;
}
