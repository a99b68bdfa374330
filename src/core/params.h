/* SPDX-License-Identifier: Apache-2.0 */
/*
 * params - the parameters of task i of an array, and the templates they go into.
 *
 * Templates are strict: "${name}" is replaced, "$${" is a literal "${", every other "$" stands for itself; an unknown name is an error.
 * Names known everywhere: task (the index), tasks (their number), attempt (the lease's number), job (its number), job_name,
 * step, node; then the step's own parameters; for variants: devices (comma-separated indexes). Pure.
 */
#ifndef OSIER_CORE_PARAMS_H
#define OSIER_CORE_PARAMS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/osier.pb-c.h"

struct params {
	const Wire__JobSpec *spec;
	uint32_t step;
	uint64_t task;
	uint64_t job, attempt;
	const char *node;
	const char *devices; /* "0,3" or "" */
	/* Line `index` of a LINES axis; out is valid until the next call. NULL when no axis is LINES. */
	int (*line)(void *ctx, const uint8_t blob[32], uint64_t index, const char **out, size_t *out_n,
	        struct err *e);
	void *line_ctx;
};

/* Write parameter `name` of the task as text (not NUL-terminated) and return its length, < 0 if unknown (or the line cannot
 * be read). Writes at most room bytes; the length returned may be larger. */
int64_t params_get(const struct params *p, const char *name, char *out, size_t room, struct err *e);

/* Expand a template into out with a NUL; returns the length without it. < 0: unknown name, or does not fit in room. */
int64_t template_expand(const struct params *p, const char *text, char *out, size_t room, struct err *e);

/* Check a template when the job is submitted: every name is known. */
int template_check(const Wire__JobSpec *spec, uint32_t step, const char *text, struct err *e);

/* Does the text have any "${"? Then it differs from task to task, otherwise it need not be expanded. */
int template_varies(const char *text);

/* The next piece of a template, and past it. TEXT: literal text; NAME: "${name}", *at is the name; faults: UNCLOSED ("${"
 * without "}"), EMPTY ("${}"). *at is not NUL-terminated and may point to static text. */
enum template_piece { TEMPLATE_END, TEMPLATE_TEXT, TEMPLATE_NAME, TEMPLATE_UNCLOSED, TEMPLATE_EMPTY };
enum template_piece template_next(const char **text, const char **at, size_t *n);

/* The i-th of the names known everywhere, in a fixed order; NULL past the last. */
const char *params_builtin(size_t i);

/* Is this one of the names known everywhere? A parameter may not be called so. */
int params_reserved(const char *name);

/* Index of the task's value on axis k: the last axis varies fastest. `task` of the whole step (Step.index_first). */
uint64_t params_axis_index(const Wire__Step *step, uint64_t task, size_t axis);

/* Which task of the earlier step `of` gives an input (Input.from_step) to task `task`: the last of a reduce (the root of the
 * tree), the only one, or the one with the same index. */
uint64_t params_input_task(const Wire__Step *of, uint64_t task);

#endif
