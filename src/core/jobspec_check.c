/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobspec_check - is a specification that came as bytes one that jobspec_from_doc() could have made?
 *
 * Written from the guarantees, not from the reader, so that each checks the other in tests. Pure.
 */
#include <string.h>

#include "base/check.h"
#include "core/jobspec_read.h"
#include "core/params.h"
#include "core/sources.h"

struct look {
	const Wire__JobSpec *spec;
	const Wire__Step *step;
	uint32_t number;
	struct err *e;
};

static int bad(const struct look *l, const char *what)
{
	return err_set(l->e, ERR_INVALID, "step '%.64s': %s", l->step->name, what);
}

static int check_template(const struct look *l, const char *text, size_t max)
{
	if (strlen(text) > max)
		return bad(l, "a text is too long");
	if (!template_varies(text))
		return 0;
	if (template_check(l->spec, l->number, text, l->e) < 0)
		return err_wrap(l->e, "step '%.64s'", l->step->name);
	return 0;
}

static int check_command(const struct look *l, const Wire__Command *c, bool plain)
{
	if ((c->n_argv == 0) == (c->shell[0] == '\0'))
		return bad(l, "a command needs either 'argv' or 'shell'");
	if (c->n_argv && c->argv[0][0] == '\0')
		return bad(l, "a command needs a program");
	if (c->n_argv > ARGV_MAX)
		return bad(l, "a command has too many arguments");
	if (plain)
		return 0;
	for (size_t i = 0; i < c->n_argv; i++)
		if (check_template(l, c->argv[i], TEXT_BYTES_MAX) < 0)
			return -1;
	return check_template(l, c->shell, TEXT_BYTES_MAX);
}

static int check_param(const struct look *l, const Wire__Param *p)
{
	uint64_t span;

	if (!spec_identifier_ok(p->name) || params_reserved(p->name))
		return bad(l, "a parameter's name is not allowed");
	for (size_t i = 0; l->step->params[i] != p; i++)
		if (strcmp(l->step->params[i]->name, p->name) == 0)
			return bad(l, "two parameters have one name");
	if (p->count == 0 || p->count > JOBSPEC_TASKS_MAX)
		return bad(l, "a parameter has no values, or too many");
	switch (p->kind) {
	case WIRE__PARAM__KIND__RANGE:
		if (p->stride == 0 || (p->stride > 0 ? p->first > p->last : p->first < p->last))
			return bad(l, "a range is empty");
		span = p->stride > 0 ? (uint64_t)p->last - (uint64_t)p->first
		                     : (uint64_t)p->first - (uint64_t)p->last;
		span /= p->stride > 0 ? (uint64_t)p->stride : 0 - (uint64_t)p->stride;
		return span == p->count - 1 ? 0 : bad(l, "a range's count is wrong");
	case WIRE__PARAM__KIND__LIST:
		for (size_t i = 0; i < p->n_values; i++)
			if (strlen(p->values[i]) > VALUE_BYTES_MAX)
				return bad(l, "a value is too long");
		return p->n_values == p->count ? 0 : bad(l, "a list's count is wrong");
	case WIRE__PARAM__KIND__LINES:
		return p->blob.len == 32 ? 0 : bad(l, "a file of lines has no digest");
	case _WIRE__PARAM__KIND_IS_INT_SIZE:
		break;
	}
	return bad(l, "a parameter is of an unknown kind");
}

/* The earlier step called `name`. */
static const Wire__Step *earlier(const struct look *l, const char *name)
{
	for (uint32_t i = 0; i < l->number; i++)
		if (strcmp(l->spec->steps[i]->name, name) == 0)
			return l->spec->steps[i];
	return NULL;
}

static int check_count(const struct look *l)
{
	const Wire__Reduce *r = l->step->reduce;
	const Wire__Step *of;
	uint64_t n = 1;

	if (l->step->n_params > PARAMS_MAX || (r && l->step->n_params))
		return bad(l, "too many parameters");
	for (size_t i = 0; i < l->step->n_params; i++) {
		if (check_param(l, l->step->params[i]) < 0)
			return -1;
		if (__builtin_mul_overflow(n, l->step->params[i]->count, &n) || n > JOBSPEC_TASKS_MAX)
			return bad(l, "too many tasks");
	}
	if (r) {
		of = earlier(l, r->of);
		if (!of)
			return bad(l, "'reduce' of a step that does not come before it");
		if (r->associative ? r->fan_in < 2 || r->fan_in > FAN_IN_MAX : r->fan_in != 0)
			return bad(l, "'fan_in' is not allowed");
		if (!r->associative && of->tasks > FAN_IN_MAX)
			return bad(l, "'reduce' of too many inputs by one task");
		n = reduce_tasks(of->tasks, r->fan_in);
	}
	if (l->step->tasks_whole) {
		if (l->step->tasks_whole != (l->step->n_params ? n : l->step->tasks_whole) ||
		        l->step->index_first > l->step->tasks_whole ||
		        l->step->tasks > l->step->tasks_whole - l->step->index_first)
			return bad(l, "a part that is not in the whole");
		return 0;
	}
	if (l->step->index_first)
		return bad(l, "a part without a whole");
	return n == l->step->tasks ? 0 : bad(l, "the number of tasks is wrong");
}

static int check_after(const struct look *l)
{
	if (l->step->n_after > JOBSPEC_STEPS_MAX)
		return bad(l, "waits for too many steps");
	for (size_t i = 0; i < l->step->n_after; i++) {
		const Wire__After *a = l->step->after[i];
		const Wire__Step *of = earlier(l, a->step);

		if (!of)
			return bad(l, "'after' a step that does not come before it");
		if ((unsigned)a->mode > WIRE__AFTER__MODE__EACH || (unsigned)a->on > WIRE__AFTER__ON__ALWAYS)
			return bad(l, "'after' of an unknown kind");
		if (a->mode == WIRE__AFTER__MODE__EACH && of->tasks != l->step->tasks)
			return bad(l, "'after' each of a step with another number of tasks");
		for (size_t k = 0; k < i; k++)
			if (strcmp(l->step->after[k]->step, a->step) == 0)
				return bad(l, "'after' a step twice");
	}
	return 0;
}

static int check_source(const struct look *l, const Wire__Input *in)
{
	const Wire__Step *of;
	size_t i;

	if (in->from_step[0] == '\0')
		return in->blob.len == 32 ? 0 : bad(l, "an input has no digest");
	if (l->step->sources)
		return 0; /* the table has it: sources_ok() */
	of = earlier(l, in->from_step);
	if (!of || (!of->reduce && of->tasks != 1 && of->tasks != l->step->tasks))
		return bad(l, "an input from a step that does not fit");
	for (i = 0; i < of->n_outputs; i++)
		if (strcmp(of->outputs[i]->path, in->from_output) == 0)
			break;
	if (i == of->n_outputs && strcmp(in->from_output, "stdout") != 0)
		return bad(l, "an input from an output that is not kept");
	for (i = 0; i < l->step->n_after; i++)
		if (strcmp(l->step->after[i]->step, in->from_step) == 0 &&
		        l->step->after[i]->on == WIRE__AFTER__ON__SUCCESS)
			return 0;
	return bad(l, "an input from a step that is not waited for");
}

static int check_path(const struct look *l, const char *path)
{
	if (!spec_path_ok(path))
		return bad(l, "a path does not stay in the task's folder");
	return check_template(l, path, PATH_BYTES_MAX);
}

static int check_files(const struct look *l)
{
	const Wire__Step *s = l->step;

	if (s->n_inputs > INPUTS_MAX || s->n_outputs > OUTPUTS_MAX)
		return bad(l, "too many files");
	for (size_t i = 0; i < s->n_inputs; i++) {
		if (check_path(l, s->inputs[i]->path) < 0 || check_source(l, s->inputs[i]) < 0)
			return -1;
		for (size_t k = 0; k < i; k++)
			if (strcmp(s->inputs[k]->path, s->inputs[i]->path) == 0)
				return bad(l, "two inputs have one path");
	}
	for (size_t i = 0; i < s->n_outputs; i++) {
		if (check_path(l, s->outputs[i]->path) < 0)
			return -1;
		for (size_t k = 0; k < i; k++)
			if (strcmp(s->outputs[k]->path, s->outputs[i]->path) == 0)
				return bad(l, "two outputs have one path");
		if (strcmp(s->outputs[i]->path, "stdout") == 0 || strcmp(s->outputs[i]->path, "stderr") == 0)
			return bad(l, "an output is called as a standard one");
	}
	if (s->stdin_file && (check_source(l, s->stdin_file) < 0 || s->stdin_text[0] || s->worker))
		return bad(l, "'stdin' is not allowed so");
	return check_template(l, s->stdin_text, STDIN_BYTES_MAX);
}

static int check_needs(const struct look *l, const Wire__Variant *v)
{
	bool cpu = false;

	if (v->n_needs > NEEDS_MAX)
		return bad(l, "too many resources");
	for (size_t i = 0; i < v->n_needs; i++) {
		const Wire__Need *n = v->needs[i];
		bool bytes = strcmp(n->name, "memory") == 0 || strcmp(n->name, "disk") == 0;

		if (!spec_name_ok(n->name) || n->amount > (bytes ? BYTES_MAX : AMOUNT_MILLI_MAX))
			return bad(l, "a resource's name or amount is not allowed");
		cpu |= strcmp(n->name, "cpu") == 0 && n->amount > 0;
		for (size_t k = 0; k < i; k++)
			if (strcmp(v->needs[k]->name, n->name) == 0)
				return bad(l, "a resource comes twice");
	}
	return cpu ? 0 : bad(l, "no cpu");
}

static int check_run(const struct look *l)
{
	const Wire__Step *s = l->step;
	const Wire__Retry *r = s->retry;

	if (!r || r->max > RETRIES_MAX || r->backoff_ns > r->backoff_max_ns ||
	        r->backoff_max_ns > DURATION_NS_MAX || r->jitter_percent > 100 || r->n_exit_codes > 255)
		return bad(l, "'retries' out of range");
	for (size_t i = 0; i < r->n_exit_codes; i++)
		if (r->exit_codes[i] < 1 || r->exit_codes[i] > 255)
			return bad(l, "an exit code out of range");
	if (s->queue_timeout_ns > DURATION_NS_MAX || s->run_timeout_ns > DURATION_NS_MAX ||
	        s->grace_ns > DURATION_NS_MAX)
		return bad(l, "a time span out of range");
	if (s->pids_max == 0 || s->pids_max > PIDS_MAX || s->output_bytes_max > BYTES_MAX)
		return bad(l, "'limits' out of range");
	if (s->checkpoint_signal > 31 || s->checkpoint_signal == 9 || s->checkpoint_signal == 19)
		return bad(l, "no such signal to checkpoint with");
	if (spec_gang_bad(l->spec, s))
		return bad(l, spec_gang_bad(l->spec, s));
	if (s->verify && (s->verify->replicas == 0 || s->verify->replicas > REPLICAS_MAX ||
	                         s->verify->agree == 0 || s->verify->agree > s->verify->replicas))
		return bad(l, "'verify' out of range");
	if (s->verify && s->verify->adaptive && s->verify->agree < 2)
		return bad(l, "an adaptive 'verify' that nobody need agree with");
	if (s->verify && s->verify->same[0] &&
	        (s->verify->replicas < 2 || !spec_label_key_ok(s->verify->same)))
		return bad(l, "a 'verify' with 'same' that is no label, or for a single replica");
	if (s->verify && s->verify->comparator)
		return check_command(l, s->verify->comparator, true);
	return 0;
}

static int check_step(const struct look *l)
{
	const Wire__Step *s = l->step;

	if (!spec_name_ok(s->name) || earlier(l, s->name))
		return bad(l, "the name is not allowed, or taken");
	if (!s->command || check_command(l, s->command, false) < 0)
		return s->command ? -1 : bad(l, "no command");
	if (s->worker && (s->worker->function[0] == '\0' || strlen(s->worker->function) > 255))
		return bad(l, "a worker without a function");
	if (s->worker && check_template(l, s->worker->args, ARGS_BYTES_MAX) < 0)
		return -1;
	if (s->n_env > ENV_MAX || (s->workdir[0] && s->workdir[0] != '/') || strlen(s->kind) > 200 ||
	        !s->kind[0])
		return bad(l, "'env', 'workdir' or 'kind' is not allowed");
	for (size_t i = 0; i < s->n_env; i++) {
		if (!spec_identifier_ok(s->env[i]->key))
			return bad(l, "a variable's name is not allowed");
		if (check_template(l, s->env[i]->value, TEXT_BYTES_MAX - strlen(s->env[i]->key) - 1) < 0)
			return -1;
	}
	if (s->place && !spec_place_ok(s->place))
		return bad(l, "'where', 'prefer', 'spread' or 'near' is not allowed");
	if (strlen(s->workdir) > 8 * PATH_BYTES_MAX || template_varies(s->workdir))
		return bad(l, "'workdir' is not allowed");
	if (check_count(l) < 0 || check_after(l) < 0 || check_files(l) < 0 || check_run(l) < 0)
		return -1;
	if (s->n_variants == 0 || s->n_variants > VARIANTS_MAX)
		return bad(l, "no alternatives, or too many");
	for (size_t i = 0; i < s->n_variants; i++)
		if (check_needs(l, s->variants[i]) < 0 ||
		        (s->variants[i]->command && check_command(l, s->variants[i]->command, false) < 0))
			return -1;
	if (spec_start_bytes(l->spec, s) > START_BYTES_MAX)
		return bad(l, "the command, environment and paths take too much");
	return 0;
}

/* Of the text filled in, whatever for, with its NUL: what "${}" stands for may be nothing. */
static size_t least_bytes(const char *text)
{
	size_t sum = 1, n;
	enum template_piece kind;
	const char *at;

	while ((kind = template_next(&text, &at, &n)) == TEMPLATE_TEXT || kind == TEMPLATE_NAME)
		sum += kind == TEMPLATE_TEXT ? n : 0;
	return sum;
}

static size_t command_bytes(const Wire__Command *c)
{
	size_t sum = least_bytes(c->shell);

	for (size_t i = 0; i < c->n_argv; i++)
		sum += least_bytes(c->argv[i]);
	return sum;
}

/* Inputs of one reduce task, at most. */
static uint64_t inputs_of_reduce(const Wire__JobSpec *spec, const Wire__Step *s)
{
	if (s->sources)
		return sources_most(spec, s);
	for (size_t i = 0; i < spec->n_steps; i++) {
		uint64_t n = spec->steps[i]->tasks;

		if (strcmp(spec->steps[i]->name, s->reduce->of) == 0)
			return s->reduce->associative && s->reduce->fan_in < n ? s->reduce->fan_in : n;
	}
	return 0;
}

static size_t start_bytes(const Wire__JobSpec *spec, const Wire__Step *s)
{
	enum { FILE_BYTES = 13, BLOB_NAME = 65, PATH_OF_REDUCE = sizeof("inputs/000000") };
	size_t sum = strlen(s->workdir), command = s->command ? command_bytes(s->command) : 0;

	for (size_t i = 0; i < s->n_variants; i++) {
		size_t n = s->variants[i]->command ? command_bytes(s->variants[i]->command) : 0;

		command = n > command ? n : command;
	}
	sum += command;
	for (size_t i = 0; i < s->n_env; i++)
		sum += strlen(s->env[i]->key) + 1 + least_bytes(s->env[i]->value);
	for (size_t i = 0; i < s->n_inputs; i++)
		if (!s->worker || !s->inputs[i]->from_step[0])
			sum += FILE_BYTES + least_bytes(s->inputs[i]->path) + BLOB_NAME;
	if (s->worker) /* its outputs, stdin and what it reduces do not come by a START */
		return sum;
	for (size_t i = 0; i < s->n_outputs; i++)
		sum += FILE_BYTES + least_bytes(s->outputs[i]->path);
	if (s->reduce || (s->sources && s->sources->reduce))
		sum += inputs_of_reduce(spec, s) * (FILE_BYTES + 2 * PATH_OF_REDUCE + BLOB_NAME);
	return sum + BLOB_NAME;
}

size_t spec_start_bytes(const Wire__JobSpec *spec, const Wire__Step *s)
{
	size_t task = start_bytes(spec, s), comparator = 0;

	if (s->verify && s->verify->comparator)
		comparator = command_bytes(s->verify->comparator);
	return task > comparator ? task : comparator;
}

static int check_job(const Wire__JobSpec *j, struct err *e)
{
	if (j->version != 1)
		return err_set(e, ERR_VERSION, "job file of version %u", j->version);
	if (!spec_name_ok(j->name) || !spec_name_ok(j->namespace_))
		return err_set(e, ERR_INVALID, "the job's or the namespace's name is not allowed");
	if ((unsigned)j->class_ > WIRE__JOB_SPEC__CLASS__REALTIME || j->priority > 100)
		return err_set(e, ERR_INVALID, "'class' or 'priority' out of range");
	if (j->deadline_ns && j->deadline_after_ns)
		return err_set(e, ERR_INVALID, "two deadlines");
	if (j->deadline_after_ns > DURATION_NS_MAX || j->timeout_ns > DURATION_NS_MAX)
		return err_set(e, ERR_INVALID, "a time span out of range");
	if (j->disconnect && !spec_disconnect_ok(j->disconnect))
		return err_set(e, ERR_INVALID, "'disconnect' out of range, or says what cannot be");
	if ((unsigned)j->pack > WIRE__JOB_SPEC__PACK__BALANCE || strlen(j->origin) > NAME_BYTES_MAX)
		return err_set(e, ERR_INVALID, "'pack' or 'origin' out of range");
	if (j->as && (!j->as->job || !j->as->attempt || strlen(j->as->node) > NAME_BYTES_MAX))
		return err_set(e, ERR_INVALID, "'as' out of range");
	if (j->n_labels > LABELS_MAX)
		return err_set(e, ERR_INVALID, "too many labels");
	for (size_t i = 0; i < j->n_labels; i++)
		if (!spec_label_key_ok(j->labels[i]->key) || strlen(j->labels[i]->value) > VALUE_BYTES_MAX)
			return err_set(e, ERR_INVALID, "a label is not allowed");
	if (j->n_steps == 0 || j->n_steps > JOBSPEC_STEPS_MAX)
		return err_set(e, ERR_INVALID, "no steps, or too many");
	return 0;
}

int jobspec_check(const Wire__JobSpec *spec, struct err *e)
{
	uint64_t total = 0;

	if (check_job(spec, e) < 0)
		return -1;
	for (uint32_t i = 0; i < spec->n_steps; i++) {
		struct look l = {spec, spec->steps[i], i, e};

		if (check_step(&l) < 0)
			return -1;
		total += spec->steps[i]->tasks;
		if (total > JOBSPEC_TASKS_MAX)
			return err_set(e, ERR_INVALID, "more than %llu tasks",
			        (unsigned long long)JOBSPEC_TASKS_MAX);
	}
	return 0;
}
