/* SPDX-License-Identifier: Apache-2.0 */
/* spec_json - see spec_json.h. */
#include "io/spec_json.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "core/jobspec.h"
#include "io/sha256.h"

/* thousandths, or nanoseconds with unit 10^9: whole numbers stay whole. */
static json_t *fraction(uint64_t v, uint64_t unit)
{
	return v % unit ? json_real((double)v / (double)unit) : json_integer((json_int_t)(v / unit));
}

static void put(json_t *o, const char *key, json_t *v)
{
	CHECK(v);
	(void)json_object_set_new(o, key, v);
}

static void put_text(json_t *o, const char *key, const char *s)
{
	if (s && s[0])
		put(o, key, json_string(s));
}

static void put_span(json_t *o, const char *key, uint64_t ns)
{
	if (ns)
		put(o, key, fraction(ns, 1000000000));
}

static void put_time(json_t *o, const char *key, uint64_t ns)
{
	char text[80];
	time_t t = (time_t)(ns / 1000000000);
	struct tm tm;

	if (!ns || !gmtime_r(&t, &tm))
		return;
	(void)snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%09uZ", tm.tm_year + 1900,
	        tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned)(ns % 1000000000));
	put(o, key, json_string(text));
}

static json_t *pairs(size_t n, Wire__Pair *const *p)
{
	json_t *o = json_object();

	for (size_t i = 0; i < n; i++)
		put(o, p[i]->key, json_string(p[i]->value));
	return o;
}

static json_t *command(const Wire__Command *c)
{
	json_t *list;

	if (c->n_argv == 0)
		return json_string(c->shell);
	list = json_array();
	for (size_t i = 0; i < c->n_argv; i++)
		(void)json_array_append_new(list, json_string(c->argv[i]));
	return list;
}

json_t *jobspec_needs_to_json(size_t n, Wire__Need *const *needs)
{
	json_t *o = json_object();

	for (size_t i = 0; i < n; i++) {
		const char *name = needs[i]->name;
		bool bytes = strcmp(name, "memory") == 0 || strcmp(name, "disk") == 0;

		put(o, name,
		        bytes ? json_integer((json_int_t)needs[i]->amount)
		              : fraction(needs[i]->amount, 1000));
	}
	return o;
}

static void put_digest(json_t *o, const ProtobufCBinaryData *blob)
{
	char hex[SHA256_HEX + 1];

	if (blob->len != SHA256_BYTES)
		return;
	sha256_hex(blob->data, hex);
	put(o, "sha256", json_string(hex));
}

static json_t *axis(const Wire__Param *p)
{
	json_t *o;

	if (p->kind == WIRE__PARAM__KIND__LIST) {
		o = json_array();
		for (size_t i = 0; i < p->n_values; i++)
			(void)json_array_append_new(o, json_string(p->values[i]));
		return o;
	}
	o = json_object();
	if (p->kind == WIRE__PARAM__KIND__RANGE) {
		put(o, "from", json_integer(p->first));
		put(o, "to", json_integer(p->last));
		put(o, "step", json_integer(p->stride));
	} else {
		put(o, "lines", json_integer((json_int_t)p->count));
		put_digest(o, &p->blob);
	}
	return o;
}

static json_t *after(const Wire__After *a)
{
	json_t *o = json_object();

	put(o, "step", json_string(a->step));
	put(o, "mode", json_string(a->mode == WIRE__AFTER__MODE__EACH ? "each" : "whole"));
	put(o, "on",
	        json_string(a->on == WIRE__AFTER__ON__ALWAYS    ? "always"
	                    : a->on == WIRE__AFTER__ON__FAILURE ? "failure"
	                                                        : "success"));
	return o;
}

static json_t *input(const Wire__Input *in)
{
	json_t *o = json_object();

	put_text(o, "path", in->path);
	if (in->from_step[0]) {
		put(o, "from", json_string(in->from_step));
		put(o, "output", json_string(in->from_output));
		return o;
	}
	put_digest(o, &in->blob);
	put(o, "size", json_integer((json_int_t)in->size_bytes));
	if (in->executable)
		put(o, "executable", json_true());
	return o;
}

static void put_files(json_t *o, const Wire__Step *s)
{
	json_t *inputs = json_array(), *outputs = json_array();

	for (size_t i = 0; i < s->n_inputs; i++)
		(void)json_array_append_new(inputs, input(s->inputs[i]));
	for (size_t i = 0; i < s->n_outputs; i++) {
		json_t *one = json_object();

		put(one, "path", json_string(s->outputs[i]->path));
		if (s->outputs[i]->optional)
			put(one, "optional", json_true());
		(void)json_array_append_new(outputs, one);
	}
	if (s->n_inputs)
		put(o, "inputs", json_incref(inputs));
	if (s->n_outputs)
		put(o, "outputs", json_incref(outputs));
	json_decref(inputs);
	json_decref(outputs);
	put_text(o, "stdin", s->stdin_text);
	if (s->stdin_file)
		put(o, "stdin", input(s->stdin_file));
}

static void put_order(json_t *o, const Wire__Step *s)
{
	json_t *x;

	if (s->n_params) {
		x = json_object();
		for (size_t i = 0; i < s->n_params; i++)
			put(x, s->params[i]->name, axis(s->params[i]));
		put(o, "array", x);
	}
	if (s->n_after) {
		x = json_array();
		for (size_t i = 0; i < s->n_after; i++)
			(void)json_array_append_new(x, after(s->after[i]));
		put(o, "after", x);
	}
	if (s->reduce) {
		x = json_object();
		put(x, "of", json_string(s->reduce->of));
		put(x, "associative", json_boolean(s->reduce->associative));
		if (s->reduce->associative)
			put(x, "fan_in", json_integer(s->reduce->fan_in));
		put(o, "reduce", x);
	}
}

static json_t *retries(const Wire__Retry *r)
{
	json_t *o = json_object(), *codes;

	put(o, "max", json_integer(r->max));
	put(o, "backoff", fraction(r->backoff_ns, 1000000000));
	put(o, "backoff_max", fraction(r->backoff_max_ns, 1000000000));
	put(o, "jitter", json_integer(r->jitter_percent));
	put(o, "on_node_loss", json_string(r->not_on_node_loss ? "fail" : "retry"));
	if (r->n_exit_codes) {
		codes = json_array();
		for (size_t i = 0; i < r->n_exit_codes; i++)
			(void)json_array_append_new(codes, json_integer(r->exit_codes[i]));
		put(o, "exit_codes", codes);
	}
	return o;
}

static void put_resources(json_t *o, const Wire__Step *s)
{
	json_t *list;

	if (s->n_variants == 1 && !s->variants[0]->command) {
		put(o, "resources", jobspec_needs_to_json(s->variants[0]->n_needs, s->variants[0]->needs));
		return;
	}
	list = json_array();
	for (size_t i = 0; i < s->n_variants; i++) {
		json_t *one = json_object();

		put(one, "resources", jobspec_needs_to_json(s->variants[i]->n_needs, s->variants[i]->needs));
		if (s->variants[i]->command)
			put(one, "command", command(s->variants[i]->command));
		(void)json_array_append_new(list, one);
	}
	put(o, "any_of", list);
}

static void put_limits(json_t *o, const Wire__Step *s)
{
	static const struct {
		uint32_t number;
		const char *name;
	} signals[] = {{1, "HUP"}, {2, "INT"}, {3, "QUIT"}, {10, "USR1"}, {12, "USR2"}, {14, "ALRM"},
	        {15, "TERM"}, {18, "CONT"}, {20, "TSTP"}, {28, "WINCH"}};
	json_t *x = json_object();

	put(x, "pids", json_integer(s->pids_max));
	put(x, "output", json_integer((json_int_t)s->output_bytes_max));
	put(o, "limits", x);
	put(o, "grace", fraction(s->grace_ns, 1000000000));
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		if (signals[i].number == s->checkpoint_signal)
			put(o, "checkpoint_signal", json_string(signals[i].name));
	if (s->queue_timeout_ns || s->run_timeout_ns) {
		x = json_object();
		put_span(x, "queue", s->queue_timeout_ns);
		put_span(x, "run", s->run_timeout_ns);
		put(o, "timeouts", x);
	}
	if (!s->verify)
		return;
	x = json_object();
	put(x, "replicas", json_integer(s->verify->replicas));
	put(x, "agree", json_integer(s->verify->agree));
	if (s->verify->adaptive)
		put(x, "mode", json_string("adaptive"));
	if (s->verify->comparator)
		put(x, "comparator", command(s->verify->comparator));
	put_text(x, "same", s->verify->same);
	put(o, "verify", x);
}

/* Conditions on labels, as they stand in a job file. */
static json_t *conditions(Wire__Match *const *m, size_t n)
{
	json_t *o = json_object(), *not = json_object();

	for (size_t i = 0; i < n; i++) {
		bool negated = m[i]->op == WIRE__MATCH__OP__NOT_IN;
		json_t *v = json_array();

		for (size_t k = 0; k < m[i]->n_values; k++)
			(void)json_array_append_new(v, json_string(m[i]->values[k]));
		if (m[i]->op == WIRE__MATCH__OP__EXISTS || m[i]->op == WIRE__MATCH__OP__ABSENT) {
			json_decref(v);
			v = json_object();
			put(v, "exists", json_boolean(m[i]->op == WIRE__MATCH__OP__EXISTS));
		}
		put(negated ? not : o, m[i]->key, v);
	}
	if (json_object_size(not ) > 0)
		put(o, "not", json_incref(not ));
	json_decref(not );
	return o;
}

static void put_place(json_t *o, const Wire__Place *p)
{
	json_t *list = json_array();

	if (p->n_where)
		put(o, "where", conditions(p->where, p->n_where));
	for (size_t i = 0; i < p->n_prefer; i++) {
		json_t *one = json_object();

		put(one, "where", conditions(p->prefer[i]->all, p->prefer[i]->n_all));
		put(one, "weight", json_integer(p->prefer[i]->weight));
		(void)json_array_append_new(list, one);
	}
	if (p->n_prefer)
		put(o, "prefer", json_incref(list));
	json_decref(list);
	if (p->spread[0])
		put(o, "spread", json_string(strcmp(p->spread, "name") == 0 ? "node" : p->spread));
	if (p->near_submitter)
		put(o, "near", json_string("submitter"));
	else if (p->near)
		put(o, "near", conditions(&p->near, 1));
	if (p->any_data)
		put(o, "data", json_false());
}

/* Its secret is nobody's business. */
static void put_gang(json_t *o, const Wire__Gang *g)
{
	json_t *x = json_object();

	put(x, "size", json_integer(g->size));
	if (g->apart)
		put(x, "spread", json_string("node"));
	put(o, "gang", x);
}

json_t *jobspec_step_to_json(const Wire__Step *s)
{
	json_t *o = json_object(), *w;

	put(o, "name", json_string(s->name));
	if (s->worker) {
		w = json_object();
		if (s->command)
			put(w, "command", command(s->command));
		put(w, "function", json_string(s->worker->function));
		put_text(w, "args", s->worker->args);
		if (s->worker->batch_max)
			put(w, "batch", json_integer(s->worker->batch_max));
		put(o, "worker", w);
	} else if (s->command) {
		put(o, "command", command(s->command));
	}
	if (s->n_env)
		put(o, "env", pairs(s->n_env, s->env));
	put_text(o, "workdir", s->workdir);
	put_files(o, s);
	put_order(o, s);
	put_resources(o, s);
	if (s->place)
		put_place(o, s->place);
	if (s->gang)
		put_gang(o, s->gang);
	put_limits(o, s);
	if (s->retry)
		put(o, "retries", retries(s->retry));
	put_text(o, "kind", s->kind);
	return o;
}

static json_t *disconnect(const Wire__Disconnect *d)
{
	static const char *const replace[] = {"after_lost", "now", "never"};
	static const char *const reconcile[] = {"keep_original", "keep_replacement", "best_score"};
	json_t *o = json_object();

	put_span(o, "lost_after", d->lost_after_ns);
	put(o, "stop_after",
	        d->stop_after_ns ? fraction(d->stop_after_ns, 1000000000) : json_string("never"));
	put(o, "replace", json_string(replace[(unsigned)d->replace % 3]));
	put(o, "reconcile", json_string(reconcile[(unsigned)d->reconcile % 3]));
	return o;
}

json_t *jobspec_to_json(const Wire__JobSpec *j)
{
	json_t *o = json_object(), *x;

	put(o, "version", json_integer(j->version));
	put(o, "name", json_string(j->name));
	put(o, "namespace", json_string(j->namespace_));
	if (j->n_labels)
		put(o, "labels", pairs(j->n_labels, j->labels));
	put(o, "class", json_string(j->class_ == WIRE__JOB_SPEC__CLASS__REALTIME ? "realtime" : "batch"));
	put(o, "priority", json_integer(j->priority));
	if (j->deadline_ns || j->deadline_after_ns) {
		x = json_object();
		put_time(x, "at", j->deadline_ns);
		put_span(x, "within", j->deadline_after_ns);
		put(x, "on_missed", json_string(j->deadline_warn ? "warn" : "refuse"));
		put(o, "deadline", x);
	}
	if (j->timeout_ns) {
		x = json_object();
		put_span(x, "job", j->timeout_ns);
		put(o, "timeouts", x);
	}
	if (j->concurrency)
		put(o, "concurrency", json_integer(j->concurrency));
	put_time(o, "not_before", j->not_before_ns);
	put(o, "hold", json_boolean(j->held));
	put(o, "keep_going", json_boolean(j->keep_going));
	if (j->disconnect)
		put(o, "disconnect", disconnect(j->disconnect));
	if (j->pack != WIRE__JOB_SPEC__PACK__FIRST)
		put(o, "pack", json_string(spec_pack_words[((unsigned)j->pack - 1) % SPEC_PACK_WORDS]));
	x = json_array();
	for (size_t i = 0; i < j->n_steps; i++)
		(void)json_array_append_new(x, jobspec_step_to_json(j->steps[i]));
	put(o, "steps", x);
	return o;
}
