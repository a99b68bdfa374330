/* SPDX-License-Identifier: Apache-2.0 */
/* jobspec_job - the keys of a job as a whole, its parameters, and its list of steps. See jobspec_read.h.
 * Pure. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "core/jobspec_read.h"
#include "core/params.h"

static void job_version(struct build *b, const struct doc *v, void *obj)
{
	Wire__JobSpec *job = obj;

	if (v->kind != DOC_SCALAR || strcmp(v->text, "1") != 0)
		spec_problem_value(b, v, "1, the only version of the job file there is");
	job->version = 1;
}

static void job_name(struct build *b, const struct doc *v, void *obj)
{
	Wire__JobSpec *job = obj;
	const char *s;

	if (spec_read_name(b, v, &s))
		job->name = (char *)s;
}

static void job_namespace(struct build *b, const struct doc *v, void *obj)
{
	Wire__JobSpec *job = obj;
	const char *s;

	if (spec_read_name(b, v, &s))
		job->namespace_ = (char *)s;
}

static void job_labels(struct build *b, const struct doc *v, void *obj)
{
	Wire__JobSpec *job = obj;
	size_t n = spec_doc_count(v);

	if (v->kind != DOC_MAP || n > LABELS_MAX) {
		spec_problem_value(b, v, "a map of at most %d labels (key: text)", LABELS_MAX);
		return;
	}
	job->labels = spec_take(b, n, sizeof(Wire__Pair *));
	for (const struct doc *c = v->child; c && !b->full; c = c->next) {
		Wire__Pair *pair = spec_take(b, 1, sizeof(*pair));
		const char *s = "";

		if (!pair)
			return;
		if (!spec_label_key_ok(c->key))
			spec_problem_key(b, c,
			        "a label's key: a letter, then letters, digits, '.', '_', '-' or '/', at "
			        "most %d",
			        NAME_BYTES_MAX);
		(void)spec_read_text(b, c, VALUE_BYTES_MAX, &s);
		wire__pair__init(pair);
		pair->key = (char *)c->key;
		pair->value = (char *)s;
		job->labels[job->n_labels++] = pair;
	}
}

static void job_nothing(struct build *b, const struct doc *v, void *obj)
{
	(void)b, (void)v, (void)obj; /* parameters: read before all else; steps: after all else */
}

static void job_class(struct build *b, const struct doc *v, void *obj)
{
	static const char *const words[] = {"batch", "realtime"};
	Wire__JobSpec *job = obj;
	size_t i;

	if (spec_read_choice(b, v, words, 2, &i))
		job->class_ = i ? WIRE__JOB_SPEC__CLASS__REALTIME : WIRE__JOB_SPEC__CLASS__BATCH;
}

static void job_priority(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_u32(b, v, 0, 100, &((Wire__JobSpec *)obj)->priority);
}

static void deadline_within(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_duration(b, v, &((Wire__JobSpec *)obj)->deadline_after_ns);
}

static void deadline_at(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_time(b, v, &((Wire__JobSpec *)obj)->deadline_ns);
}

static void deadline_on_missed(struct build *b, const struct doc *v, void *obj)
{
	static const char *const words[] = {"refuse", "warn"};
	size_t i;

	if (spec_read_choice(b, v, words, 2, &i))
		((Wire__JobSpec *)obj)->deadline_warn = i == 1;
}

static const struct key deadline_keys[] = {
        {"within", "time span after submit", "none", deadline_within},
        {"at", "time", "none", deadline_at},
        {"on_missed", "refuse or warn", "refuse", deadline_on_missed},
};
static const struct table deadline_table = {"deadline", "", deadline_keys, ARRAY_LEN(deadline_keys)};

static void job_deadline(struct build *b, const struct doc *v, void *obj)
{
	Wire__JobSpec *job = obj;
	const char *text = NULL;
	uint64_t ns;

	if (v->kind == DOC_SCALAR && !spec_read_text(b, v, VALUE_BYTES_MAX, &text))
		return;
	if (v->kind == DOC_MAP) {
		spec_read_map(b, v, &deadline_table, job, NULL, NULL);
		if (!spec_doc_get(v, "within") == !spec_doc_get(v, "at"))
			spec_problem_value(b, v, "either 'within' or 'at'");
		return;
	}
	if (text && spec_parse_duration(text, &ns)) {
		job->deadline_after_ns = ns;
	} else if (text && spec_parse_time(text, &ns)) {
		job->deadline_ns = ns;
	} else {
		spec_problem_value(
		        b, v, "a time span after submit such as 5m, or a time such as 2026-11-21T18:00:00Z");
		return;
	}
	if (ns == 0)
		spec_problem_value(b, v, "a deadline after the submit");
}

static void timeout_job(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_duration(b, v, &((Wire__JobSpec *)obj)->timeout_ns);
}

static const struct key job_timeouts_keys[] = {{"job", "time span", "none", timeout_job}};
static const struct table job_timeouts_table = {"timeouts of a job", "", job_timeouts_keys, 1};

static void job_timeouts(struct build *b, const struct doc *v, void *obj)
{
	spec_read_map(b, v, &spec_timeouts_table, b->current, &job_timeouts_table, obj);
}

static void job_concurrency(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_u32(b, v, 1, UINT32_MAX, &((Wire__JobSpec *)obj)->concurrency);
}

static void job_not_before(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_time(b, v, &((Wire__JobSpec *)obj)->not_before_ns);
}

static void job_hold(struct build *b, const struct doc *v, void *obj)
{
	bool held;

	if (spec_read_bool(b, v, &held))
		((Wire__JobSpec *)obj)->held = held;
}

static void job_keep_going(struct build *b, const struct doc *v, void *obj)
{
	bool on;

	if (spec_read_bool(b, v, &on))
		((Wire__JobSpec *)obj)->keep_going = on;
}

static const struct key job_keys[] = {
        {"version", "1", "1", job_version},
        {"name", "name", "the file's name", job_name},
        {"namespace", "name", "default", job_namespace},
        {"labels", "map of text", "none", job_labels},
        {"parameters", "map of text", "none", job_nothing},
        {"class", "batch or realtime", "batch", job_class},
        {"priority", "0 to 100", "50", job_priority},
        {"deadline", "time span, time or map", "none", job_deadline},
        {"timeouts", "map", "none", job_timeouts},
        {"concurrency", "tasks at once", "no limit", job_concurrency},
        {"not_before", "time", "at once", job_not_before},
        {"hold", "true or false", "false", job_hold},
        {"keep_going", "true or false", "true", job_keep_going},
        {"disconnect", "map", "see below", spec_read_disconnect},
        {"pack", "binpack, spread or balance", "first that fits", spec_job_pack},
        {"steps", "map or list of steps", "one step", job_nothing},
};
const struct table spec_job_table = {"job", "", job_keys, ARRAY_LEN(job_keys)};

const struct table *spec_schema_table(size_t i)
{
	static const struct table *const all[] = {
	        &spec_job_table,
	        &deadline_table,
	        &job_timeouts_table,
	        &spec_disconnect_table,
	        &spec_step_table,
	        &spec_worker_table,
	        &spec_stdin_table,
	        &spec_input_table,
	        &spec_output_table,
	        &spec_range_table,
	        &spec_lines_table,
	        &spec_after_table,
	        &spec_reduce_table,
	        &spec_resources_table,
	        &spec_any_of_table,
	        &spec_prefer_table,
	        &spec_gang_table,
	        &spec_verify_table,
	        &spec_retries_table,
	        &spec_timeouts_table,
	        &spec_limits_table,
	};

	return i < ARRAY_LEN(all) ? all[i] : NULL;
}

/* ---- the job's own parameters ---- */

static void var_read(struct build *b, const struct doc *c, struct var *out)
{
	const char *value = "";

	if (!spec_identifier_ok(c->key) || params_reserved(c->key))
		spec_problem_key(b, c,
		        "a parameter's name: a letter or '_', then letters, digits or '_', and none of those "
		        "known "
		        "everywhere (task, tasks, attempt, job, job_name, step, node, devices)");
	(void)spec_read_text(b, c, VALUE_BYTES_MAX, &value);
	for (size_t i = 0; i < b->in->n_set; i++)
		if (strcmp(b->in->set[i].name, c->key) == 0)
			value = b->in->set[i].value;
	*out = (struct var){c->key, value, strlen(c->key), strlen(value)};
}

static void check_set(struct build *b, const struct doc *v, const char *name)
{
	const char *near = NULL;

	for (const struct doc *c = v ? v->child : NULL; c; c = c->next) {
		if (strcmp(c->key, name) == 0)
			return;
		if (spec_is_near(name, c->key))
			near = c->key;
	}
	spec_problem_quoted(b, v, name, "one of the job's own parameters%s%s%s",
	        near ? "; did you mean '" : " (see 'parameters')", near ? near : "", near ? "'?" : "");
}

void spec_read_vars(struct build *b, const struct doc *root)
{
	const struct doc *v = spec_doc_get(root, "parameters");
	size_t n = v ? spec_doc_count(v) : 0, k = 0;
	struct var *vars;

	if (v && v->kind != DOC_MAP) {
		spec_problem_value(b, v, "a map (name: value)");
		return;
	}
	for (size_t i = 0; i < b->in->n_set; i++)
		check_set(b, v, b->in->set[i].name);
	if (n > LABELS_MAX) {
		spec_problem_value(b, v, "at most %d parameters", LABELS_MAX);
		return;
	}
	vars = n ? spec_take(b, n, sizeof(*vars)) : NULL;
	for (const struct doc *c = v ? v->child : NULL; c && vars; c = c->next)
		var_read(b, c, &vars[k++]);
	b->vars = vars; /* only now: a parameter's value has no parameters in it */
	b->n_vars = k;
}

/* ---- steps ---- */

/* "examples/word count.yaml" -> "word-count" */
static void name_after_source(struct build *b)
{
	const char *s = b->in->source ? b->in->source : "", *slash = strrchr(s, '/'), *dot;
	char *name = spec_take(b, NAME_BYTES_MAX + 1, 1);
	size_t n;

	if (!name)
		return;
	s = slash ? slash + 1 : s;
	dot = strrchr(s, '.');
	n = dot ? (size_t)(dot - s) : strlen(s);
	n = n < NAME_BYTES_MAX ? n : NAME_BYTES_MAX;
	for (size_t i = 0; i < n; i++) {
		char one[3] = {'a', s[i], '\0'};

		name[i] = spec_name_ok(one) ? s[i] : '-';
	}
	if (!spec_name_ok(name))
		memcpy(name, "job", 4);
	b->job->name = name;
}

/* What a step takes over from the top of the file, and nothing else of what may stand there by mistake. */
static void copy_step(struct build *b, const struct step_src *base, struct step_src *out)
{
	const Wire__Step *from = base->step;
	Wire__Step *to = spec_take(b, 1, sizeof(*to));

	if (!to)
		return;
	wire__step__init(to);
	to->env = from->env;
	to->n_env = from->n_env;
	to->workdir = from->workdir;
	to->queue_timeout_ns = from->queue_timeout_ns;
	to->run_timeout_ns = from->run_timeout_ns;
	to->grace_ns = from->grace_ns;
	to->checkpoint_signal = from->checkpoint_signal;
	to->retry = from->retry;
	to->pids_max = from->pids_max;
	to->output_bytes_max = from->output_bytes_max;
	to->place = from->place;
	*out = (struct step_src){.step = to, .needs = base->needs, .n_needs = base->n_needs};
	out->templates = base->own ? NULL : base->templates;
}

/* One step of `steps`; key: its name in a map, or NULL. */
static void read_step(struct build *b, const struct doc *v, const char *key, const struct step_src *base,
        struct step_src *out)
{
	copy_step(b, base, out);
	if (b->full)
		return;
	out->node = v;
	b->current = out;
	out->step->line = key ? v->key_line : v->line;
	if (key) {
		out->step->name = (char *)key;
		if (!spec_name_ok(key))
			spec_problem_key(b, v,
			        "a step's name: a letter, then letters, digits, '.', '_' or '-', at most %d",
			        NAME_BYTES_MAX);
	}
	if (v->kind == DOC_SCALAR || v->kind == DOC_LIST) {
		out->command = v;
		spec_read_command(b, v, &out->step->command);
	} else {
		spec_read_map(b, v, &spec_step_table, out, NULL, NULL);
	}
	if (!out->step->name[0]) {
		spec_problem(b, v, "a step without a name", "a key 'name'");
		out->step->name = (char *)"?";
	}
	if (!b->full)
		spec_step_finish(b, out);
}

/* Every step carries the environment of the top of the file: written out, that must fit an entry of the
 * journal. */
static bool check_shared(struct build *b, const struct step_src *base, size_t n_steps)
{
	size_t bytes = 0;

	for (size_t i = 0; i < base->step->n_env; i++)
		bytes += strlen(base->step->env[i]->key) + strlen(base->step->env[i]->value);
	if (bytes <= JOBSPEC_BYTES_MAX / n_steps)
		return true;
	spec_problem(b, spec_doc_get(b->root, "env"), "too long an environment for so many steps",
	        "at most %u MiB in all; a file among the 'inputs' can be longer", JOBSPEC_BYTES_MAX >> 20);
	return false;
}

static void read_step_list(struct build *b, const struct doc *v, struct step_src *base)
{
	struct trail here = {.up = b->trail, .key = "steps"}, item = {.up = &here};
	size_t n = spec_doc_count(v);

	if ((v->kind != DOC_MAP && v->kind != DOC_LIST) || n == 0 || n > JOBSPEC_STEPS_MAX) {
		if (n > JOBSPEC_STEPS_MAX)
			spec_problem(b, v, "too many steps",
			        "at most %u steps; an 'array' makes one step many tasks", JOBSPEC_STEPS_MAX);
		else
			spec_problem_value(b, v, "a map of steps (name: {command: ...}) or a list of them");
		return;
	}
	if (base->own)
		spec_problem_key(
		        b, base->own, "'%s' inside a step, since the job has 'steps'", base->own->key);
	if (!check_shared(b, base, n))
		return;
	b->steps = spec_take(b, n, sizeof(*b->steps));
	b->job->steps = spec_take(b, n, sizeof(Wire__Step *));
	for (const struct doc *c = v->child; c && !b->full && !spec_enough(b); c = c->next, item.index++) {
		item.key = v->kind == DOC_MAP ? c->key : NULL;
		b->trail = &item;
		read_step(b, c, item.key, base, &b->steps[b->n_steps]);
		b->trail = here.up;
		b->n_steps++;
	}
}

static void read_single_step(struct build *b, struct step_src *base)
{
	base->step->name = (char *)"main";
	base->step->line = b->root->line;
	b->steps = spec_take(b, 1, sizeof(*b->steps));
	b->job->steps = spec_take(b, 1, sizeof(Wire__Step *));
	if (b->full)
		return;
	spec_step_finish(b, base);
	b->steps[0] = *base;
	b->n_steps = 1;
}

void spec_read_steps(struct build *b, struct step_src *base)
{
	const struct doc *v = spec_doc_get(b->root, "steps");
	Wire__JobSpec *job = b->job;

	if (!job->name[0])
		name_after_source(b);
	if (b->full)
		return;
	if (v)
		read_step_list(b, v, base);
	else
		read_single_step(b, base);
	for (size_t i = 0; i < b->n_steps && !b->full; i++)
		job->steps[job->n_steps++] = b->steps[i].step;
}
