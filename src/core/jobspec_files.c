/* SPDX-License-Identifier: Apache-2.0 */
/* jobspec_files - inputs, outputs and standard input of a step. See jobspec_read.h. Pure. */
#include <string.h>

#include "base/check.h"
#include "core/jobspec_read.h"

/* An input while it is read: from a file of the user's or from a step's output. */
struct input_src {
	Wire__Input *in;
	const struct doc *file_at, *from_at, *output_at;
	const char *file;
};

static void input_path(struct build *b, const struct doc *v, void *obj)
{
	const char *s;

	if (spec_read_path(b, v, &s))
		((struct input_src *)obj)->in->path = (char *)s;
}

static void input_file(struct build *b, const struct doc *v, void *obj)
{
	struct input_src *src = obj;

	src->file_at = v;
	(void)spec_read_text(b, v, PATH_BYTES_MAX, &src->file);
}

static void input_from(struct build *b, const struct doc *v, void *obj)
{
	struct input_src *src = obj;
	const char *s;

	src->from_at = v;
	if (spec_read_name(b, v, &s))
		src->in->from_step = (char *)s;
}

static void input_output(struct build *b, const struct doc *v, void *obj)
{
	struct input_src *src = obj;
	const char *s;

	src->output_at = v;
	if (spec_read_text(b, v, PATH_BYTES_MAX, &s))
		src->in->from_output = (char *)s;
}

static const struct key input_keys[] = {
        {"path", "path in the task's folder", "as 'file'", input_path},
        {"file", "path of a file", "as 'path'", input_file},
        {"from", "name of a step", "none", input_from},
        {"output", "path or stdout", "stdout", input_output},
};
const struct table spec_input_table = {"inputs", "", input_keys, ARRAY_LEN(input_keys)};

/* Fill in digest and size of the user's file. */
static void digest_file(struct build *b, const struct doc *at, const char *path, Wire__Input *in)
{
	const struct jobspec_files *files = b->in->files;
	struct err e = {0};
	bool executable = false;

	in->blob.data = spec_take(b, 32, 1);
	in->blob.len = 32;
	if (b->full)
		return;
	if (path[0] == '\0') {
		spec_problem_value(b, at, "the path of a file");
		return;
	}
	if (!files || !files->digest) {
		spec_problem_value(b, at, "no files here: this job came without any");
		return;
	}
	if (files->digest(files->ctx, path, in->blob.data, &in->size_bytes, &executable, &e) < 0)
		spec_problem_value(b, at, "a file that can be read (%s)", e.msg);
	in->executable = executable;
}

/* What must hold between the keys of one input. */
static void input_finish(struct build *b, const struct doc *v, struct input_src *src)
{
	Wire__Input *in = src->in;

	if (src->from_at && src->file_at)
		spec_problem(b, v, "both 'file' and 'from'", "one of them");
	if (src->output_at && !src->from_at)
		spec_problem(b, v, "'output' without 'from'", "'from': the step whose output it is");
	if (src->from_at) {
		if (in->from_output[0] == '\0')
			in->from_output = (char *)"stdout";
		return;
	}
	digest_file(b, src->file_at ? src->file_at : v, src->file ? src->file : in->path, in);
}

static Wire__Input *input_new(struct build *b)
{
	Wire__Input *in = spec_take(b, 1, sizeof(*in));

	if (in)
		wire__input__init(in);
	return in;
}

/* One item of a list (path NULL) or one value of a map whose key is the path. */
static void input_one(struct build *b, const struct doc *v, const char *path, struct step_src *s)
{
	struct input_src src = {.in = input_new(b)};
	size_t before = b->n_problems;
	uint32_t hash;

	if (!src.in)
		return;
	if (path)
		src.in->path = (char *)path;
	if (path && !spec_path_ok(path))
		spec_problem_key(b, v, "a relative path that stays in the task's folder");
	if (v->kind == DOC_SCALAR && path) {
		input_file(b, v, &src);
	} else if (v->kind == DOC_SCALAR) {
		input_path(b, v, &src);
	} else if (v->kind == DOC_MAP) {
		spec_read_map(b, v, &spec_input_table, &src, NULL, NULL);
	} else {
		spec_problem_value(b, v, path ? "the path of a file, or a map" : "a path, or a map");
	}
	if (b->n_problems == before && src.in->path[0] == '\0' && src.file && spec_path_ok(src.file))
		src.in->path = (char *)src.file;
	if (b->n_problems == before && src.in->path[0] == '\0')
		spec_problem(b, v, "an input without 'path'", "where it goes in the task's folder");
	if (b->n_problems == before)
		input_finish(b, v, &src);
	hash = spec_hash(src.in->path);
	for (size_t i = 0; i < s->step->n_inputs; i++)
		if (s->input_hash[i] == hash && strcmp(s->step->inputs[i]->path, src.in->path) == 0)
			spec_problem_value(b, v, "another path: '%.100s' is an input already", src.in->path);
	s->input_hash[s->step->n_inputs] = hash;
	s->input_at[s->step->n_inputs] = v;
	s->step->inputs[s->step->n_inputs++] = src.in;
}

void spec_step_read_inputs(struct build *b, const struct doc *v, void *obj)
{
	struct trail here = {.up = b->trail};
	struct step_src *s = obj;
	size_t n = spec_doc_count(v);

	spec_step_own(s, v);
	if ((v->kind != DOC_LIST && v->kind != DOC_MAP) || n > INPUTS_MAX) {
		spec_problem_value(b, v, "a list or a map of at most %d inputs", INPUTS_MAX);
		return;
	}
	s->step->inputs = spec_take(b, n, sizeof(Wire__Input *));
	s->input_at = spec_take(b, n, sizeof(*s->input_at));
	s->input_hash = spec_take(b, n, sizeof(*s->input_hash));
	for (const struct doc *c = v->child; c && !b->full; c = c->next, here.index++) {
		here.key = v->kind == DOC_MAP ? c->key : NULL;
		b->trail = &here;
		input_one(b, c, here.key, s);
		b->trail = here.up;
	}
}

/* ---- outputs ---- */

static void output_path(struct build *b, const struct doc *v, void *obj)
{
	const char *s;

	if (!spec_read_path(b, v, &s))
		return;
	if (strcmp(s, "stdout") == 0 || strcmp(s, "stderr") == 0)
		spec_problem_value(b, v, "another path: standard output and error are always kept");
	((Wire__Output *)obj)->path = (char *)s;
}

static void output_optional(struct build *b, const struct doc *v, void *obj)
{
	bool on;

	if (spec_read_bool(b, v, &on))
		((Wire__Output *)obj)->optional = on;
}

static const struct key output_keys[] = {
        {"path", "path in the task's folder", "required", output_path},
        {"optional", "true or false", "false", output_optional},
};
const struct table spec_output_table = {"outputs", "", output_keys, ARRAY_LEN(output_keys)};

static void output_one(struct build *b, const struct doc *v, Wire__Step *step)
{
	Wire__Output *out = spec_take(b, 1, sizeof(*out));

	if (!out)
		return;
	wire__output__init(out);
	if (v->kind == DOC_MAP) {
		spec_read_map(b, v, &spec_output_table, out, NULL, NULL);
		if (!spec_doc_get(v, "path"))
			spec_problem(b, v, "an output without 'path'", "where the task leaves it");
	} else {
		output_path(b, v, out);
	}
	for (size_t i = 0; i < step->n_outputs; i++)
		if (strcmp(step->outputs[i]->path, out->path) == 0 && out->path[0])
			spec_problem_value(b, v, "another path: '%.100s' is an output already", out->path);
	step->outputs[step->n_outputs++] = out;
}

void spec_step_read_outputs(struct build *b, const struct doc *v, void *obj)
{
	struct trail here = {.up = b->trail};
	struct step_src *s = obj;
	size_t n = spec_doc_count(v);

	spec_step_own(s, v);
	if (v->kind != DOC_LIST || n > OUTPUTS_MAX) {
		spec_problem_value(b, v, "a list of at most %d paths", OUTPUTS_MAX);
		return;
	}
	s->step->outputs = spec_take(b, n, sizeof(Wire__Output *));
	for (const struct doc *c = v->child; c && !b->full; c = c->next, here.index++) {
		b->trail = &here;
		output_one(b, c, s->step);
		b->trail = here.up;
	}
}

/* ---- standard input ---- */

static void stdin_text(struct build *b, const struct doc *v, void *obj)
{
	const char *s;

	(void)obj;
	if (spec_read_template(b, v, STDIN_BYTES_MAX, &s))
		b->current->step->stdin_text = (char *)s;
}

static const struct key stdin_keys[] = {
        {"text", "template", "empty", stdin_text},
        {"file", "path of a file", "none", input_file},
        {"from", "name of a step", "none", input_from},
        {"output", "path or stdout", "stdout", input_output},
};
const struct table spec_stdin_table = {"stdin", "", stdin_keys, ARRAY_LEN(stdin_keys)};

void spec_step_read_stdin(struct build *b, const struct doc *v, void *obj)
{
	struct input_src src = {.in = input_new(b)};
	struct step_src *s = obj;
	size_t before = b->n_problems;

	spec_step_own(s, v);
	s->stdin_at = v;
	if (!src.in)
		return;
	if (v->kind != DOC_MAP) {
		stdin_text(b, v, &src);
		return;
	}
	spec_read_map(b, v, &spec_stdin_table, &src, NULL, NULL);
	if (!spec_doc_get(v, "text") + !src.file_at + !src.from_at != 2)
		spec_problem_value(b, v, "exactly one of 'text', 'file' and 'from'");
	if (b->n_problems > before || spec_doc_get(v, "text"))
		return;
	input_finish(b, v, &src);
	s->step->stdin_file = src.in;
}
