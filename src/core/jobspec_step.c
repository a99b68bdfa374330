/* SPDX-License-Identifier: Apache-2.0 */
/* jobspec_step - the keys of a step but for its files and arrays. See jobspec_read.h. Pure. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "core/jobspec_read.h"
#include "core/params.h"

#define SECOND_NS UINT64_C(1000000000)

/* A key that makes no sense as a default for all steps. */
static void own(struct step_src *s, const struct doc *v)
{
	if (!s->own)
		s->own = v;
}

static bool blank(const char *s)
{
	return s[strspn(s, " \t\r\n")] == '\0';
}

static void command_argv(struct build *b, const struct doc *v, Wire__Command *cmd)
{
	size_t n = spec_doc_count(v);

	if (n == 0) {
		spec_problem(b, v, "an empty list", "a program and its arguments");
		return;
	}
	if (n > ARGV_MAX) {
		spec_problem_value(b, v, "a program and fewer than %d arguments", ARGV_MAX);
		return;
	}
	cmd->argv = spec_take(b, n, sizeof(char *));
	if (!cmd->argv)
		return;
	for (const struct doc *c = v->child; c; c = c->next) {
		const char *s = "";

		(void)spec_read_template(b, c, TEXT_BYTES_MAX, &s);
		if (cmd->n_argv == 0 && s[0] == '\0' && c->kind == DOC_SCALAR)
			spec_problem(b, c, "an empty program name", "a program and its arguments");
		cmd->argv[cmd->n_argv++] = (char *)s;
	}
}

void spec_read_command(struct build *b, const struct doc *v, Wire__Command **out)
{
	Wire__Command *cmd = spec_take(b, 1, sizeof(*cmd));
	const char *s;

	if (!cmd)
		return;
	wire__command__init(cmd);
	*out = cmd;
	b->of_process = true;
	if (v->kind == DOC_LIST) {
		command_argv(b, v, cmd);
	} else if (v->kind != DOC_SCALAR) {
		spec_problem_value(b, v, "text for the shell, or a list of a program and its arguments");
	} else if (spec_read_template(b, v, TEXT_BYTES_MAX, &s)) {
		if (blank(s))
			spec_problem(b, v, "an empty command",
			        "text for the shell, or a list of a program and its arguments");
		cmd->shell = (char *)s;
	}
	b->of_process = false;
}

static void step_name(struct build *b, const struct doc *v, void *obj)
{
	struct step_src *s = obj;
	const char *name;

	if (s->step->name[0])
		spec_problem_key(b, v, "no 'name' here: this step is called '%s' by its key", s->step->name);
	else if (spec_read_name(b, v, &name))
		s->step->name = (char *)name;
	else
		s->step->name = (char *)"?";
}

static void step_command(struct build *b, const struct doc *v, void *obj)
{
	struct step_src *s = obj;

	own(s, v);
	if (s->command)
		spec_problem_key(b, v, "either 'command' or 'shell'");
	s->command = v;
	spec_read_command(b, v, &s->step->command);
}

static void step_shell(struct build *b, const struct doc *v, void *obj)
{
	if (v->kind != DOC_SCALAR)
		spec_problem_value(b, v, "text for /bin/sh; a list of arguments goes under 'command'");
	else
		step_command(b, v, obj);
}

/* ---- worker ---- */

static void worker_command(struct build *b, const struct doc *v, void *obj)
{
	spec_read_command(b, v, &((struct step_src *)obj)->step->command);
}

static void worker_function(struct build *b, const struct doc *v, void *obj)
{
	const char *s;

	if (spec_read_text(b, v, 255, &s))
		((struct step_src *)obj)->step->worker->function = (char *)s;
}

static void worker_args(struct build *b, const struct doc *v, void *obj)
{
	const char *s;

	if (spec_read_template(b, v, ARGS_BYTES_MAX, &s))
		((struct step_src *)obj)->step->worker->args = (char *)s;
}

static void worker_batch(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_u32(b, v, 1, 1000000, &((struct step_src *)obj)->step->worker->batch_max);
}

static const struct key worker_keys[] = {
        {"command", "text or list", "required", worker_command},
        {"function", "text", "required", worker_function},
        {"args", "template", "empty", worker_args},
        {"batch", "tasks handed over at once", "as many as suit", worker_batch},
};
const struct table spec_worker_table = {"worker", "", worker_keys, ARRAY_LEN(worker_keys)};

static void step_worker(struct build *b, const struct doc *v, void *obj)
{
	struct step_src *s = obj;
	Wire__Worker *w = spec_take(b, 1, sizeof(*w));

	own(s, v);
	s->worker = v;
	if (!w)
		return;
	wire__worker__init(w);
	s->step->worker = w;
	spec_read_map(b, v, &spec_worker_table, s, NULL, NULL);
	if (v->kind == DOC_MAP && !spec_doc_get(v, "command"))
		spec_problem(b, v, "a worker without 'command'", "the command that starts it");
	if (v->kind == DOC_MAP && w->function[0] == '\0')
		spec_problem(
		        b, v, "a worker without 'function'", "the name of the function that it registered");
}

/* ---- environment and folder ---- */

static void env_set(struct build *b, Wire__Step *step, const struct doc *c)
{
	const char *value;
	Wire__Pair *pair;
	size_t i;

	if (!spec_identifier_ok(c->key)) {
		spec_problem_key(b, c, "a variable's name: a letter or '_', then letters, digits or '_'");
		return;
	}
	if (!spec_read_template(b, c, TEXT_BYTES_MAX - strlen(c->key) - 1, &value))
		return;
	pair = spec_take(b, 1, sizeof(*pair));
	if (!pair)
		return;
	wire__pair__init(pair);
	pair->key = (char *)c->key;
	pair->value = (char *)value;
	for (i = 0; i < step->n_env; i++)
		if (strcmp(step->env[i]->key, c->key) == 0)
			break;
	step->env[i] = pair;
	step->n_env += i == step->n_env;
}

static void step_env(struct build *b, const struct doc *v, void *obj)
{
	Wire__Step *step = ((struct step_src *)obj)->step;
	Wire__Pair **old = step->env;
	size_t n = spec_doc_count(v) + step->n_env;

	if (v->kind != DOC_MAP || n > ENV_MAX) {
		spec_problem_value(b, v, "a map of at most %d variables (NAME: text)", ENV_MAX);
		return;
	}
	step->env = spec_take(b, n, sizeof(Wire__Pair *));
	if (!step->env)
		return;
	if (step->n_env)
		memcpy(step->env, old, step->n_env * sizeof(*old));
	b->of_process = true;
	for (const struct doc *c = v->child; c && !b->full; c = c->next)
		env_set(b, step, c);
	b->of_process = false;
}

static void step_workdir(struct build *b, const struct doc *v, void *obj)
{
	Wire__Step *step = ((struct step_src *)obj)->step;
	const char *s, *folder = b->in->folder;
	char *joined;
	size_t n;

	if (!spec_read_text(b, v, PATH_BYTES_MAX, &s))
		return;
	if (s[0] == '\0' || (s[0] != '/' && !folder) || template_varies(s)) {
		spec_problem_value(b, v, "an absolute folder%s, the same for all tasks",
		        folder ? ", or one relative to the job file's" : "");
		return;
	}
	step->workdir = (char *)s;
	if (s[0] == '/')
		return;
	n = strlen(folder) + strlen(s) + 2;
	joined = spec_take(b, n, 1);
	if (joined && strcmp(s, ".") == 0)
		memcpy(joined, folder, strlen(folder));
	else if (joined)
		(void)snprintf(joined, n, "%s/%s", folder, s);
	step->workdir = joined ? joined : (char *)"";
}

/* ---- after, reduce ---- */

static void after_step(struct build *b, const struct doc *v, void *obj)
{
	const char *s;

	if (spec_read_name(b, v, &s))
		((Wire__After *)obj)->step = (char *)s;
}

static void after_mode(struct build *b, const struct doc *v, void *obj)
{
	static const char *const words[] = {"whole", "each"};
	size_t i;

	if (spec_read_choice(b, v, words, 2, &i))
		((Wire__After *)obj)->mode = i ? WIRE__AFTER__MODE__EACH : WIRE__AFTER__MODE__WHOLE;
}

static void after_on(struct build *b, const struct doc *v, void *obj)
{
	static const char *const words[] = {"success", "failure", "always"};
	size_t i;

	if (spec_read_choice(b, v, words, 3, &i))
		((Wire__After *)obj)->on = i == 0   ? WIRE__AFTER__ON__SUCCESS
		                           : i == 1 ? WIRE__AFTER__ON__FAILURE
		                                    : WIRE__AFTER__ON__ALWAYS;
}

static const struct key after_keys[] = {
        {"step", "name", "required", after_step},
        {"mode", "whole or each", "whole", after_mode},
        {"on", "success, failure or always", "success", after_on},
};
const struct table spec_after_table = {"after", "", after_keys, ARRAY_LEN(after_keys)};

static void after_one(struct build *b, const struct doc *v, struct step_src *s)
{
	Wire__After *af = spec_take(b, 1, sizeof(*af));

	if (!af)
		return;
	wire__after__init(af);
	if (v->kind == DOC_MAP) {
		spec_read_map(b, v, &spec_after_table, af, NULL, NULL);
		if (!spec_doc_get(v, "step"))
			spec_problem(b, v, "'after' without a step", "a key 'step'");
	} else {
		after_step(b, v, af);
	}
	s->after_at[s->step->n_after] = v;
	s->step->after[s->step->n_after++] = af;
}

static void step_after(struct build *b, const struct doc *v, void *obj)
{
	struct step_src *s = obj;
	size_t n = v->kind == DOC_LIST ? spec_doc_count(v) : 1;

	own(s, v);
	if (n > JOBSPEC_STEPS_MAX) {
		spec_problem(b, v, "too many steps", "at most %u", JOBSPEC_STEPS_MAX);
		return;
	}
	s->step->after = spec_take(b, n, sizeof(Wire__After *));
	s->after_at = spec_take(b, n, sizeof(*s->after_at));
	if (b->full)
		return;
	if (v->kind != DOC_LIST)
		after_one(b, v, s);
	for (const struct doc *c = v->kind == DOC_LIST ? v->child : NULL; c && !b->full; c = c->next)
		after_one(b, c, s);
}

static void reduce_of(struct build *b, const struct doc *v, void *obj)
{
	const char *s;

	if (spec_read_name(b, v, &s))
		((Wire__Reduce *)obj)->of = (char *)s;
}

static void reduce_associative(struct build *b, const struct doc *v, void *obj)
{
	bool on;

	if (spec_read_bool(b, v, &on))
		((Wire__Reduce *)obj)->associative = on;
}

static void reduce_fan_in(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_u32(b, v, 2, FAN_IN_MAX, &((Wire__Reduce *)obj)->fan_in);
}

static const struct key reduce_keys[] = {
        {"of", "name of a step", "required", reduce_of},
        {"associative", "true or false", "false", reduce_associative},
        {"fan_in", "2 to 1024", "8 when associative", reduce_fan_in},
};
const struct table spec_reduce_table = {"reduce", "", reduce_keys, ARRAY_LEN(reduce_keys)};

static void step_reduce(struct build *b, const struct doc *v, void *obj)
{
	struct step_src *s = obj;
	Wire__Reduce *r = spec_take(b, 1, sizeof(*r));

	own(s, v);
	s->reduce = v;
	if (!r)
		return;
	wire__reduce__init(r);
	s->step->reduce = r;
	if (v->kind == DOC_SCALAR) {
		reduce_of(b, v, r);
		return;
	}
	spec_read_map(b, v, &spec_reduce_table, r, NULL, NULL);
	if (v->kind == DOC_MAP && !spec_doc_get(v, "of"))
		spec_problem(b, v, "'reduce' without a step", "a key 'of'");
	if (r->fan_in && !r->associative)
		spec_problem(b, v, "'fan_in' without 'associative: true'",
		        "both: only an associative reduction can be done as a tree");
	if (r->associative && r->fan_in == 0)
		r->fan_in = 8;
}

/* ---- verify ---- */

static void verify_replicas(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_u32(b, v, 1, REPLICAS_MAX, &((Wire__Verify *)obj)->replicas);
}

static void verify_agree(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_u32(b, v, 1, REPLICAS_MAX, &((Wire__Verify *)obj)->agree);
}

/* 'adaptive', the one mode there is besides the plain one. */
static void verify_mode(struct build *b, const struct doc *v, void *obj)
{
	const char *s;

	if (!spec_read_text(b, v, VALUE_BYTES_MAX, &s))
		return;
	if (strcmp(s, "adaptive") == 0)
		((Wire__Verify *)obj)->adaptive = 1;
	else
		spec_problem(b, v, "an unknown mode", "'adaptive'");
}

static void verify_comparator(struct build *b, const struct doc *v, void *obj)
{
	struct step_src *keep = b->current;

	b->current = NULL; /* no templates: it is called with two files, not for a task */
	spec_read_command(b, v, &((Wire__Verify *)obj)->comparator);
	b->current = keep;
}

static void verify_same(struct build *b, const struct doc *v, void *obj)
{
	const char *s;

	if (!spec_read_text(b, v, VALUE_BYTES_MAX, &s))
		return;
	if (spec_label_key_ok(s))
		((Wire__Verify *)obj)->same = (char *)(uintptr_t)s;
	else
		spec_problem_value(b, v, "the key of a label, as in 'cpu_model'");
}

static const struct key verify_keys[] = {
        {"replicas", "1 to 64", "required; 3 if adaptive", verify_replicas},
        {"agree", "1 to replicas", "more than half; 2 if adaptive", verify_agree},
        {"mode", "'adaptive'", "every replica", verify_mode},
        {"comparator", "text or list", "byte for byte", verify_comparator},
        {"same", "text", "any node", verify_same},
};
const struct table spec_verify_table = {"verify", "", verify_keys, ARRAY_LEN(verify_keys)};

static void step_verify(struct build *b, const struct doc *v, void *obj)
{
	struct step_src *s = obj;
	Wire__Verify *ver = spec_take(b, 1, sizeof(*ver));

	own(s, v);
	s->verify = v;
	if (!ver)
		return;
	wire__verify__init(ver);
	s->step->verify = ver;
	if (v->kind == DOC_SCALAR && strcmp(v->text, "adaptive") == 0) {
		ver->adaptive = 1;
	} else if (v->kind == DOC_SCALAR) {
		verify_replicas(b, v, ver);
	} else {
		spec_read_map(b, v, &spec_verify_table, ver, NULL, NULL);
		if (v->kind == DOC_MAP && !spec_doc_get(v, "mode") && !spec_doc_get(v, "replicas"))
			spec_problem(b, v, "'verify' without 'replicas'", "how often to run each task");
	}
	if (ver->adaptive && ver->replicas == 0 && !(v->kind == DOC_MAP && spec_doc_get(v, "replicas")))
		ver->replicas = 3;
	if (ver->agree == 0)
		ver->agree = ver->adaptive ? 2 : ver->replicas / 2 + 1;
	if (ver->adaptive && ver->agree < 2)
		spec_problem(b, v, "a check that nobody need agree with", "'agree' of at least 2");
	if (ver->same[0] && ver->replicas == 1)
		spec_problem(b, v, "'same' for a single replica", "at least two replicas");
	if (ver->agree > ver->replicas && ver->replicas)
		spec_problem(b, v, "more to agree than replicas", "'agree' of at most %u", ver->replicas);
}

/* ---- retries, timeouts, limits ---- */

static void retries_max(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_u32(b, v, 0, RETRIES_MAX, &((Wire__Retry *)obj)->max);
}

static void retries_backoff(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_duration(b, v, &((Wire__Retry *)obj)->backoff_ns);
}

static void retries_backoff_max(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_duration(b, v, &((Wire__Retry *)obj)->backoff_max_ns);
}

static void retries_jitter(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_percent(b, v, &((Wire__Retry *)obj)->jitter_percent);
}

static void retries_exit_codes(struct build *b, const struct doc *v, void *obj)
{
	Wire__Retry *r = obj;
	size_t n = spec_doc_count(v);

	if (v->kind != DOC_LIST || n == 0 || n > 255) {
		spec_problem_value(b, v, "a list of exit codes from 1 to 255");
		return;
	}
	r->n_exit_codes = 0;
	r->exit_codes = spec_take(b, n, sizeof(*r->exit_codes));
	for (const struct doc *c = v->child; c && !b->full; c = c->next) {
		uint32_t code = 0;

		(void)spec_read_u32(b, c, 1, 255, &code);
		r->exit_codes[r->n_exit_codes++] = (int32_t)code;
	}
}

static void retries_on_node_loss(struct build *b, const struct doc *v, void *obj)
{
	static const char *const words[] = {"retry", "fail"};
	size_t i;

	if (spec_read_choice(b, v, words, 2, &i))
		((Wire__Retry *)obj)->not_on_node_loss = i == 1;
}

static const struct key retries_keys[] = {
        {"max", "further attempts", "0", retries_max},
        {"backoff", "time span", "1s", retries_backoff},
        {"backoff_max", "time span", "5m", retries_backoff_max},
        {"jitter", "percentage", "10%", retries_jitter},
        {"exit_codes", "list of 1 to 255", "all but 0", retries_exit_codes},
        {"on_node_loss", "retry or fail", "retry", retries_on_node_loss},
};
const struct table spec_retries_table = {"retries", "", retries_keys, ARRAY_LEN(retries_keys)};

static void step_retries(struct build *b, const struct doc *v, void *obj)
{
	struct step_src *s = obj;
	Wire__Retry *r = spec_take(b, 1, sizeof(*r));

	if (!r)
		return;
	*r = *s->step->retry;
	s->step->retry = r;
	if (v->kind == DOC_SCALAR) {
		retries_max(b, v, r);
		return;
	}
	spec_read_map(b, v, &spec_retries_table, r, NULL, NULL);
	if (r->backoff_max_ns < r->backoff_ns) {
		if (spec_doc_get(v, "backoff_max"))
			spec_problem(b, v, "a 'backoff_max' below 'backoff'", "a longer time span");
		r->backoff_max_ns = r->backoff_ns;
	}
}

static void timeouts_queue(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_duration(b, v, &((struct step_src *)obj)->step->queue_timeout_ns);
}

static void timeouts_run(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_duration(b, v, &((struct step_src *)obj)->step->run_timeout_ns);
}

static const struct key timeouts_keys[] = {
        {"queue", "time span", "none", timeouts_queue},
        {"run", "time span", "none", timeouts_run},
};
const struct table spec_timeouts_table = {"timeouts", "", timeouts_keys, ARRAY_LEN(timeouts_keys)};

static void step_timeouts(struct build *b, const struct doc *v, void *obj)
{
	if (spec_doc_get(v, "job"))
		spec_problem_key(b, spec_doc_get(v, "job"),
		        "'queue' or 'run'; the whole job's timeout goes to the top of the file");
	else
		spec_read_map(b, v, &spec_timeouts_table, obj, NULL, NULL);
}

static void limits_pids(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_u32(b, v, 1, PIDS_MAX, &((struct step_src *)obj)->step->pids_max);
}

static void limits_output(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_bytes(b, v, &((struct step_src *)obj)->step->output_bytes_max);
}

static const struct key limits_keys[] = {
        {"pids", "processes and threads", "4096", limits_pids},
        {"output", "size", "16MiB", limits_output},
};
const struct table spec_limits_table = {"limits", "", limits_keys, ARRAY_LEN(limits_keys)};

static void step_limits(struct build *b, const struct doc *v, void *obj)
{
	spec_read_map(b, v, &spec_limits_table, obj, NULL, NULL);
}

static void step_grace(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_duration(b, v, &((struct step_src *)obj)->step->grace_ns);
}

static void step_checkpoint_signal(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_signal(b, v, &((struct step_src *)obj)->step->checkpoint_signal);
}

static void step_kind(struct build *b, const struct doc *v, void *obj)
{
	const char *s;

	own(obj, v);
	if (spec_read_text(b, v, 200, &s))
		((struct step_src *)obj)->step->kind = (char *)s;
}

static void step_resources(struct build *b, const struct doc *v, void *obj)
{
	struct step_src *s = obj;

	spec_read_needs(b, v, &s->needs, &s->n_needs);
}

static const struct key step_keys[] = {
        {"name", "name", "required in a list", step_name},
        {"command", "text or list", "required", step_command},
        {"shell", "text", "none", step_shell},
        {"worker", "map", "none", step_worker},
        {"env", "map of templates", "none", step_env},
        {"workdir", "folder", "the task's own", step_workdir},
        {"stdin", "template or map", "empty", spec_step_read_stdin},
        {"inputs", "list or map", "none", spec_step_read_inputs},
        {"outputs", "list", "none", spec_step_read_outputs},
        {"array", "number, range, list or map", "one task", spec_step_read_array},
        {"after", "name, map or list", "none", step_after},
        {"reduce", "name or map", "none", step_reduce},
        {"resources", "map", "cpu: 1", step_resources},
        {"any_of", "list of maps", "none", spec_step_read_any_of},
        {"where", "map of labels", "anywhere", spec_step_where},
        {"prefer", "map or list of maps", "none", spec_step_prefer},
        {"spread", "node or a label", "none", spec_step_spread},
        {"near", "submitter, node or label", "none", spec_step_near},
        {"data", "true or false", "true", spec_step_data},
        {"gang", "number or map", "none", spec_step_gang},
        {"verify", "number, 'adaptive' or map", "none", step_verify},
        {"retries", "number or map", "0", step_retries},
        {"timeouts", "map", "none", step_timeouts},
        {"limits", "map", "see below", step_limits},
        {"grace", "time span", "5s", step_grace},
        {"checkpoint_signal", "signal", "TERM", step_checkpoint_signal},
        {"kind", "text", "namespace/job/step", step_kind},
};
const struct table spec_step_table = {"step", "", step_keys, ARRAY_LEN(step_keys)};

/* For the files that hold other keys of a step. */
void spec_step_own(struct step_src *s, const struct doc *v)
{
	own(s, v);
}

void spec_step_defaults(struct build *b, struct step_src *src)
{
	Wire__Step *step = spec_take(b, 1, sizeof(*step));
	Wire__Retry *retry = spec_take(b, 1, sizeof(*retry));
	Wire__Need *cpu = spec_take(b, 1, sizeof(*cpu));

	src->needs = spec_take(b, 1, sizeof(*src->needs));
	if (b->full)
		return;
	wire__step__init(step);
	step->grace_ns = 5 * SECOND_NS;
	step->pids_max = 4096;
	step->output_bytes_max = 16u << 20;
	wire__retry__init(retry);
	retry->backoff_ns = SECOND_NS;
	retry->backoff_max_ns = 300 * SECOND_NS;
	retry->jitter_percent = 10;
	step->retry = retry;
	src->step = step;
	wire__need__init(cpu);
	cpu->name = (char *)"cpu";
	cpu->amount = 1000;
	src->needs[0] = cpu;
	src->n_needs = 1;
}

static void one_variant(struct build *b, struct step_src *s)
{
	Wire__Variant *var = spec_take(b, 1, sizeof(*var));

	s->step->variants = spec_take(b, 1, sizeof(Wire__Variant *));
	if (b->full)
		return;
	wire__variant__init(var);
	var->needs = s->needs;
	var->n_needs = s->n_needs;
	s->step->variants[0] = var;
	s->step->n_variants = 1;
}

static void default_kind(struct build *b, Wire__Step *step)
{
	const Wire__JobSpec *job = b->job;
	size_t n = strlen(job->namespace_) + strlen(job->name) + strlen(step->name) + 3;
	char *kind = spec_take(b, n, 1);

	if (!kind)
		return;
	(void)snprintf(kind, n, "%s/%s/%s", job->namespace_, job->name, step->name);
	step->kind = kind;
}

/* The command of a step, or of each of its alternatives. */
static void finish_command(struct build *b, struct step_src *s)
{
	size_t with = 0;

	if (s->command && s->worker)
		spec_problem_key(b, s->command, "either 'command' or 'worker', not both");
	for (size_t i = 0; i < s->step->n_variants; i++)
		with += s->step->variants[i]->command != NULL;
	if (s->step->command || s->worker)
		return;
	if (s->step->n_variants && with == s->step->n_variants)
		s->step->command = s->step->variants[0]->command;
	else
		spec_problem(b, s->node,
		        s->node == b->root ? "a job without a command" : "a step without a command",
		        "a key 'command'%s", s->node == b->root ? ", 'worker' or 'steps'" : " or 'worker'");
}

void spec_step_finish(struct build *b, struct step_src *s)
{
	Wire__Step *step = s->step;

	if (s->any_of)
		spec_step_variants(b, s);
	finish_command(b, s);
	if (step->n_variants == 0)
		one_variant(b, s);
	if (s->reduce && s->array)
		spec_problem_key(b, s->array,
		        "either 'array' or 'reduce': the tasks of a reduction follow from its inputs");
	if (s->worker && s->stdin_at)
		spec_problem(b, s->stdin_at, "'stdin' of a worker",
		        "'args' in 'worker'; the engine talks to a worker otherwise");
	if (step->kind[0] == '\0')
		default_kind(b, step);
}
