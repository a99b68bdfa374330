/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_view - pieces of answers: jobs, steps, counts, amounts, owners.
 */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/api_int.h"

/* ---- amounts ---- */

bool in_bytes(const char *resource)
{
	return !strcmp(resource, "memory") || !strcmp(resource, "disk");
}

void amount_i64_json(struct json_out *o, const char *resource, int64_t amount)
{
	jo_fixed(o, amount, in_bytes(resource) ? 0 : 3);
}

void amount_json(struct json_out *o, const char *resource, uint64_t amount)
{
	amount_i64_json(o, resource, amount > INT64_MAX ? INT64_MAX : (int64_t)amount);
}

void needs_json(struct json_out *o, Wire__Need *const *v, size_t n)
{
	jo_object(o);
	for (size_t i = 0; i < n; i++) {
		jo_key_text(o, v[i]->name);
		amount_json(o, v[i]->name, v[i]->amount);
	}
	jo_object_end(o);
}

void api_amount_text(const char *resource, uint64_t amount, char *out, size_t room)
{
	static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	uint64_t tenths = amount * 10;
	unsigned u = 0;

	if (!in_bytes(resource)) {
		uint64_t whole = amount / 1000, milli = amount % 1000;

		if (!milli)
			snprintf(out, room, "%llu", (unsigned long long)whole);
		else if (milli % 100 == 0)
			snprintf(out, room, "%llu.%llu", (unsigned long long)whole,
			        (unsigned long long)milli / 100);
		else
			snprintf(out, room, "%llu.%03llu", (unsigned long long)whole,
			        (unsigned long long)milli);
		return;
	}
	if (amount > UINT64_MAX / 10) { /* an amount nobody has: whole units will do */
		snprintf(out, room, "%llu EiB", (unsigned long long)(amount >> 60));
		return;
	}
	for (; tenths >= 10240 && u + 1 < ARRAY_LEN(unit); u++)
		tenths /= 1024;
	if (tenths % 10 == 0 || u == 0)
		snprintf(out, room, "%llu %s", (unsigned long long)tenths / 10, unit[u]);
	else
		snprintf(out, room, "%llu.%llu %s", (unsigned long long)tenths / 10,
		        (unsigned long long)tenths % 10, unit[u]);
}

void api_duration_text(uint64_t ns, char *out, size_t room)
{
	uint64_t ms = ns / 1000000, s = ms / 1000;

	if (ms < 1000)
		snprintf(out, room, "%llu ms", (unsigned long long)ms);
	else if (s < 10)
		snprintf(out, room, "%llu.%llu s", (unsigned long long)s,
		        (unsigned long long)(ms % 1000) / 100);
	else if (s < 120)
		snprintf(out, room, "%llu s", (unsigned long long)s);
	else if (s < 7200)
		snprintf(out, room, "%llu min", (unsigned long long)(s + 30) / 60);
	else if (s < 172800)
		snprintf(out, room, "%llu h %llu min", (unsigned long long)s / 3600,
		        (unsigned long long)s / 60 % 60);
	else
		snprintf(out, room, "%llu days", (unsigned long long)s / 86400);
}

/* ---- owners ---- */

/* Names of users come from /etc/passwd alone, once each: a directory server could keep the loop waiting. */
struct user {
	uint32_t uid;
	bool known;
	char name[33];
};
#define USERS_MAX 64u
static _Thread_local struct user users[USERS_MAX]; /* replayed states are written by other threads */

static void user_look_up(struct user *u, uint32_t uid)
{
	FILE *f = fopen("/etc/passwd", "re");
	struct passwd *p;

	u->uid = uid;
	u->known = true;
	snprintf(u->name, sizeof(u->name), "uid:%u", uid);
	while (f && (p = fgetpwent(f))) {
		if (p->pw_uid != uid)
			continue;
		snprintf(u->name, sizeof(u->name), "%.32s", p->pw_name);
		break;
	}
	if (f)
		fclose(f);
}

const char *api_user_name(uint32_t uid, char *out, size_t room)
{
	struct user *u = &users[uid % USERS_MAX];

	if (!u->known || u->uid != uid)
		user_look_up(u, uid);
	snprintf(out, room, "%s", u->name);
	return out;
}

void owner_json(struct json_out *o, uint32_t uid, uint32_t gid)
{
	char name[40];

	jo_object(o);
	jo_key(o, "uid");
	jo_u64(o, uid);
	jo_key(o, "gid");
	jo_u64(o, gid);
	jo_key(o, "name");
	jo_str(o, api_user_name(uid, name, sizeof(name)));
	jo_object_end(o);
}

/* ---- counts and rates ---- */

uint64_t count_done(const struct step_counts *c)
{
	return c->succeeded + c->failed + c->skipped + c->stopped;
}

void counts_json(struct json_out *o, const struct step_counts *c)
{
	const struct {
		const char *key;
		uint64_t v;
	} all[] = {{"total", c->total}, {"done", count_done(c)}, {"blocked", c->blocked}, {"ready", c->ready},
	        {"delayed", c->delayed}, {"running", c->leased}, {"succeeded", c->succeeded},
	        {"failed", c->failed}, {"skipped", c->skipped}, {"stopped", c->stopped}};

	jo_object(o);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		jo_key(o, all[i].key);
		jo_u64(o, all[i].v);
	}
	jo_object_end(o);
}

bool job_is_active(enum job_state s)
{
	return s == JOB_WAITING || s == JOB_RUNNING;
}

uint64_t job_rate_milli(const struct job_view *v, uint64_t now_ns)
{
	uint64_t end = v->finished_ns ? v->finished_ns : now_ns, us;
	uint64_t ran = v->counts.succeeded + v->counts.failed;

	if (!v->started_ns || end <= v->started_ns || !ran)
		return 0;
	us = (end - v->started_ns) / 1000;
	return us ? (uint64_t)((unsigned __int128)ran * 1000000000u / us) : 0;
}

void rate_eta_json(struct json_out *o, const struct job_view *v, uint64_t rate_milli)
{
	uint64_t left = v->counts.total - count_done(&v->counts);

	jo_key(o, "rate");
	jo_fixed(o, (int64_t)rate_milli, 3);
	jo_key(o, "eta_s");
	if (!job_is_active(v->state))
		jo_u64(o, 0);
	else if (!rate_milli)
		jo_null(o);
	else
		jo_fixed(o, (int64_t)((unsigned __int128)left * 1000000u / rate_milli), 3);
}

void seconds_or_null(struct json_out *o, uint64_t ns)
{
	if (ns)
		jo_seconds(o, ns);
	else
		jo_null(o);
}

/* ---- jobs ---- */

bool job_below(const struct engine *e, uint64_t before, struct job_view *out)
{
	uint64_t last = engine_job_last(e).v, id = before && before <= last ? before - 1 : last;
	struct job_view first;

	/* Numbers have gaps where jobs were forgotten; below the first there is nothing to look for. */
	if (!engine_job_next(e, (job_id){0}, &first))
		return false;
	for (; id >= first.id.v && id; id--)
		if (engine_job(e, (job_id){id}, out))
			return true;
	return false;
}

void job_id_json(struct json_out *o, const struct job_view *v)
{
	char text[512];

	job_name_text(v->name, v->id.v, text, sizeof(text));
	jo_str(o, text);
}

static void job_head_json(struct json_out *o, const struct job_view *v)
{
	jo_key(o, "job");
	jo_u64(o, v->id.v);
	jo_key(o, "id");
	job_id_json(o, v);
	jo_key(o, "name");
	jo_str(o, v->name);
	jo_key(o, "namespace");
	jo_str(o, v->namespace_);
	jo_key(o, "state");
	jo_str(o, job_state_name(v->state));
	jo_key(o, "held");
	jo_bool(o, v->held);
	jo_key(o, "timed_out");
	jo_bool(o, v->timed_out);
	jo_key(o, "class");
	jo_str(o, v->realtime ? "realtime" : "batch");
	jo_key(o, "priority");
	jo_u64(o, v->priority);
	jo_key(o, "owner");
	owner_json(o, v->uid, v->gid);
	jo_key(o, "submitted");
	jo_time(o, v->submitted_ns);
	jo_key(o, "started");
	jo_time_or_null(o, v->started_ns);
	jo_key(o, "finished");
	jo_time_or_null(o, v->finished_ns);
	jo_key(o, "deadline");
	jo_time_or_null(o, v->deadline_ns);
}

static void job_tail_json(struct json_out *o, const struct job_view *v, uint64_t now_ns)
{
	jo_key(o, "counts");
	counts_json(o, &v->counts);
	jo_key(o, "attempts");
	jo_u64(o, v->attempts);
	jo_key(o, "cpu_s");
	jo_fixed(o, (int64_t)v->cpu_us, 6);
	rate_eta_json(o, v, job_rate_milli(v, now_ns));
}

void job_summary_json(struct json_out *o, const struct engine *e, const struct job_view *v, uint64_t now_ns)
{
	(void)e;
	jo_object(o);
	job_head_json(o, v);
	jo_key(o, "steps");
	jo_u64(o, v->n_steps);
	job_tail_json(o, v, now_ns);
	jo_object_end(o);
}

static void command_json(struct json_out *o, const Wire__Command *c)
{
	if (!c) {
		jo_null(o);
		return;
	}
	jo_object(o);
	if (c->n_argv) {
		jo_key(o, "argv");
		jo_array(o);
		for (size_t i = 0; i < c->n_argv; i++)
			jo_str(o, c->argv[i]);
		jo_array_end(o);
	} else {
		jo_key(o, "shell");
		jo_str(o, c->shell);
	}
	jo_object_end(o);
}

static void step_shape_json(struct json_out *o, const Wire__Step *s)
{
	static const char *const kinds[] = {"range", "list", "lines"};

	jo_key(o, "kind");
	jo_str(o, s->reduce ? "reduce" : s->n_params ? "array" : "single");
	jo_key(o, "params");
	jo_array(o);
	for (size_t i = 0; i < s->n_params; i++) {
		jo_object(o);
		jo_key(o, "name");
		jo_str(o, s->params[i]->name);
		jo_key(o, "kind");
		jo_str(o, (size_t)s->params[i]->kind < ARRAY_LEN(kinds) ? kinds[s->params[i]->kind] : "list");
		jo_key(o, "count");
		jo_u64(o, s->params[i]->count);
		jo_object_end(o);
	}
	jo_array_end(o);
	jo_key(o, "reduce");
	if (!s->reduce) {
		jo_null(o);
		return;
	}
	jo_object(o);
	jo_key(o, "of");
	jo_str(o, s->reduce->of);
	jo_key(o, "associative");
	jo_bool(o, s->reduce->associative);
	jo_key(o, "fan_in");
	jo_u64(o, s->reduce->fan_in);
	jo_object_end(o);
}

static void step_after_json(struct json_out *o, const Wire__Step *s)
{
	static const char *const on[] = {"success", "failure", "always"};

	jo_key(o, "after");
	jo_array(o);
	for (size_t i = 0; i < s->n_after; i++) {
		const Wire__After *a = s->after[i];

		jo_object(o);
		jo_key(o, "step");
		jo_str(o, a->step);
		jo_key(o, "mode");
		jo_str(o, a->mode == WIRE__AFTER__MODE__EACH ? "each" : "whole");
		jo_key(o, "on");
		jo_str(o, (size_t)a->on < ARRAY_LEN(on) ? on[a->on] : "always");
		jo_object_end(o);
	}
	jo_array_end(o);
}

static void step_needs_json(struct json_out *o, const Wire__Step *s, bool show_command)
{
	jo_key(o, "variants");
	jo_array(o);
	for (size_t i = 0; i < s->n_variants; i++) {
		jo_object(o);
		jo_key(o, "needs");
		needs_json(o, s->variants[i]->needs, s->variants[i]->n_needs);
		if (s->variants[i]->command && show_command) {
			jo_key(o, "command");
			command_json(o, s->variants[i]->command);
		}
		jo_object_end(o);
	}
	jo_array_end(o);
	jo_key(o, "outputs");
	jo_array(o);
	for (size_t i = 0; i < s->n_outputs; i++)
		jo_str(o, s->outputs[i]->path);
	jo_array_end(o);
}

static void step_run_json(struct json_out *o, const Wire__Step *s, bool show_command)
{
	jo_key(o, "command");
	if (show_command)
		command_json(o, s->command);
	else
		jo_null(o);
	jo_key(o, "worker");
	if (s->worker) {
		jo_object(o);
		jo_key(o, "function");
		jo_str(o, s->worker->function);
		if (show_command) {
			jo_key(o, "args");
			jo_str(o, s->worker->args);
		}
		jo_object_end(o);
	} else {
		jo_null(o);
	}
	jo_key(o, "retries");
	jo_u64(o, s->retry ? s->retry->max : 0);
	jo_key(o, "queue_timeout_s");
	seconds_or_null(o, s->queue_timeout_ns);
	jo_key(o, "run_timeout_s");
	seconds_or_null(o, s->run_timeout_ns);
	jo_key(o, "replicas");
	jo_u64(o, s->verify ? s->verify->replicas : 1);
	jo_key(o, "agree");
	jo_u64(o, s->verify ? s->verify->agree : 1);
}

static void step_json(
        struct request *q, struct json_out *o, const struct job_view *v, const Wire__Step *s, uint32_t i)
{
	const struct engine *en = node_engine(q->api->node);
	struct step_counts c = {0};

	engine_step_counts(en, v->id, i, &c);
	jo_object(o);
	jo_key(o, "name");
	jo_str(o, s->name);
	jo_key(o, "step");
	jo_u64(o, i);
	jo_key(o, "tasks");
	jo_u64(o, s->tasks);
	jo_key(o, "learned_as");
	jo_str(o, s->kind);
	step_shape_json(o, s);
	step_after_json(o, s);
	step_needs_json(o, s, may_change(q, v));
	step_run_json(o, s, may_change(q, v));
	jo_key(o, "counts");
	counts_json(o, &c);
	jo_key(o, "run_s");
	seconds_or_null(o, sched_run_ns(engine_sched(en), s->kind, 500));
	jo_object_end(o);
}

void labels_json(struct json_out *o, Wire__Pair *const *v, size_t n)
{
	jo_key(o, "labels");
	jo_object(o);
	for (size_t i = 0; i < n; i++) {
		jo_key_text(o, v[i]->key);
		jo_str(o, v[i]->value);
	}
	jo_object_end(o);
}

void job_json(struct request *q, const struct job_view *v)
{
	struct json_out *o = &q->api->out;
	struct spec_ref ref;
	struct err e;

	if (spec_hold(q->api->specs, node_engine(q->api->node), v->id, &ref, &e) < 0) {
		answer_err(q, &e);
		return;
	}
	jo_clear(o);
	jo_object(o);
	job_head_json(o, v);
	labels_json(o, ref.spec->labels, ref.spec->n_labels);
	jo_key(o, "source");
	jo_str(o, ref.spec->source);
	jo_key(o, "timeout_s");
	seconds_or_null(o, ref.spec->timeout_ns);
	jo_key(o, "concurrency");
	if (ref.spec->concurrency)
		jo_u64(o, ref.spec->concurrency);
	else
		jo_null(o);
	jo_key(o, "not_before");
	jo_time_or_null(o, ref.spec->not_before_ns);
	jo_key(o, "keep_going");
	jo_bool(o, ref.spec->keep_going);
	jo_key(o, "steps");
	jo_array(o);
	for (uint32_t i = 0; i < ref.spec->n_steps; i++)
		step_json(q, o, v, ref.spec->steps[i], i);
	jo_array_end(o);
	job_tail_json(o, v, node_now_ns(q->api->node));
	jo_object_end(o);
	spec_release(&ref);
}

void answer_job(struct request *q, unsigned status, job_id id)
{
	struct job_view v;

	if (!engine_job(node_engine(q->api->node), id, &v)) {
		answer_error(q, 404, "not_found", "the job is forgotten", NULL);
		return;
	}
	job_json(q, &v);
	if (!q->response)
		answer_json(q, status);
}

const char *task_state_text(const struct task_view *t)
{
	switch (t->state) {
	case TASK_BLOCKED:
		return "blocked";
	case TASK_READY:
		return "ready";
	case TASK_DELAYED:
		return "delayed";
	case TASK_LEASED:
		return "running";
	case TASK_DONE:
		break;
	}
	if (t->outcome == WIRE__OUTCOME__SUCCEEDED)
		return "succeeded";
	if (t->outcome == WIRE__OUTCOME__SKIPPED)
		return "skipped";
	return t->outcome == WIRE__OUTCOME__STOPPED ? "stopped" : "failed";
}
