/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_jobs - listing jobs, one job, and changes of a job.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/api_int.h"
#include "io/spec_json.h"

/* ---- the list ---- */

struct filter {
	unsigned states; /* a bit each */
	const char *namespace_, *name, *label_key, *label_value;
	bool has_uid;
	uint64_t uid, limit, before;
};

static int parse_state(struct request *q, const char *word, unsigned *states)
{
	if (!strcmp(word, "active")) {
		*states |= 1u << JOB_WAITING | 1u << JOB_RUNNING;
		return 0;
	}
	for (int s = JOB_WAITING; s <= JOB_CANCELLED; s++)
		if (!strcmp(word, job_state_name((enum job_state)s))) {
			*states |= 1u << s;
			return 0;
		}
	answer_errf(q, 400, "invalid", "waiting, running, succeeded, failed, cancelled or active",
	        "there is no job state '%.40s'", word);
	return -1;
}

static int parse_states(struct request *q, unsigned *states)
{
	const char *given = query_text(q, "state");
	char *text, *save = NULL, *word;
	int r = 0;

	*states = given ? 0 : ~0u;
	if (!given)
		return 0;
	text = strdup(given);
	CHECK(text);
	for (word = strtok_r(text, ",", &save); word && !r; word = strtok_r(NULL, ",", &save))
		r = parse_state(q, word, states);
	free(text);
	if (!r && !*states) {
		answer_error(q, 400, "invalid", "'state' names no state", NULL);
		r = -1;
	}
	return r;
}

static int parse_filter(struct request *q, struct filter *f)
{
	const char *uid = query_text(q, "uid"), *label = query_text(q, "label");
	char *eq;

	*f = (struct filter){.limit = API_PAGE};
	f->namespace_ = query_text(q, "namespace");
	f->name = query_text(q, "name");
	f->has_uid = uid;
	if (label) {
		f->label_key = label;
		eq = strchr((char *)(uintptr_t)label, '=');
		if (eq) {
			*eq = 0;
			f->label_value = eq + 1;
		}
	}
	if (parse_states(q, &f->states) < 0 || query_u64(q, "uid", 0, UINT32_MAX, &f->uid) < 0 ||
	        query_u64(q, "limit", 1, API_PAGE_MAX, &f->limit) < 0 ||
	        query_u64(q, "before", 1, UINT64_MAX - 1, &f->before) < 0)
		return -1;
	return 0;
}

static bool has_label(struct request *q, const struct job_view *v, const struct filter *f)
{
	struct spec_ref ref;
	bool has = false;

	if (spec_hold(q->api->specs, node_engine(q->api->node), v->id, &ref, NULL) < 0)
		return false;
	for (size_t i = 0; i < ref.spec->n_labels && !has; i++)
		has = !strcmp(ref.spec->labels[i]->key, f->label_key) &&
		      (!f->label_value || !strcmp(ref.spec->labels[i]->value, f->label_value));
	spec_release(&ref);
	return has;
}

static bool wanted(struct request *q, const struct job_view *v, const struct filter *f)
{
	if (!(f->states >> v->state & 1))
		return false;
	if (f->namespace_ && strcmp(f->namespace_, v->namespace_) != 0)
		return false;
	if (f->name && strcmp(f->name, v->name) != 0)
		return false;
	if (f->has_uid && f->uid != v->uid)
		return false;
	return !f->label_key || has_label(q, v, f);
}

void h_jobs(struct request *q)
{
	const struct engine *en = node_engine(q->api->node);
	uint64_t now = node_now_ns(q->api->node), at, n = 0, seen = 0;
	struct filter f;
	struct job_view v;
	struct json_out *o;
	uint64_t seen_max;

	if (parse_filter(q, &f) < 0)
		return;
	/* A label is found by decoding the specification, which costs a hundred times a look at a job. */
	seen_max = f.label_key ? API_SCAN_MAX / 100 : API_SCAN_MAX;
	o = answer_out(q);
	jo_object(o);
	jo_key(o, "jobs");
	jo_array(o);
	for (at = f.before; n < f.limit && seen < seen_max && job_below(en, at, &v); seen++) {
		at = v.id.v;
		if (!wanted(q, &v, &f))
			continue;
		job_summary_json(o, en, &v, now);
		n++;
	}
	jo_array_end(o);
	jo_key(o, "next");
	if (at && at != f.before && job_below(en, at, &v))
		jo_u64(o, at);
	else
		jo_null(o);
	jo_object_end(o);
	answer_json(q, 200);
}

/* ---- one job ---- */

void h_job(struct request *q)
{
	struct job_view v;

	if (request_job(q, &v) == 0)
		answer_job(q, 200, v.id);
}

static void resolved_json(
        struct request *q, const struct job_view *v, const char *step, const uint64_t *index)
{
	struct json_out *o = answer_out(q);

	jo_object(o);
	jo_key(o, "job");
	jo_u64(o, v->id.v);
	jo_key(o, "id");
	job_id_json(o, v);
	jo_key(o, "step");
	jo_str(o, step);
	jo_key(o, "index");
	if (index)
		jo_u64(o, *index);
	else
		jo_null(o);
	jo_object_end(o);
	answer_json(q, 200);
}

/* JOB/X where X is an index when the job has one step and X is a number, else a step; with a step alone, the index is known
 * only when the step has one task. */
static void resolve_task(struct request *q, const struct job_view *v, const Wire__JobSpec *spec,
        const char *step, const char *index)
{
	uint32_t s = 0;
	uint64_t i = 0;
	bool known = true;

	if (!index && spec->n_steps == 1 && path_number(step, &i) == 0 &&
	        strcmp(step, spec->steps[0]->name) != 0) {
		s = 0;
	} else {
		if (find_step(q, spec, step, &s) < 0)
			return;
		if (index && path_number(index, &i) < 0) {
			answer_errf(q, 400, "invalid", NULL, "'%.40s' is not a task's index", index);
			return;
		}
		known = index || spec->steps[s]->tasks == 1;
	}
	if (i >= spec->steps[s]->tasks)
		answer_errf(q, 404, "not_found", NULL, "step '%.80s' has tasks 0 to %llu, not %llu",
		        spec->steps[s]->name, (unsigned long long)spec->steps[s]->tasks - 1,
		        (unsigned long long)i);
	else
		resolved_json(q, v, spec->steps[s]->name, known ? &i : NULL);
}

void h_resolve(struct request *q)
{
	const char *name = query_text(q, "name"), *job, *step, *index;
	struct job_view v;
	struct spec_ref ref;
	struct err e;

	if (!name) {
		answer_error(q, 400, "invalid", "'name' is missing", "for example /v1/resolve?name=last");
		return;
	}
	if (name_cut((char *)(uintptr_t)name, &job, &step, &index, &e) < 0) {
		answer_err(q, &e);
		return;
	}
	if (job_by_name(q, job, &v) < 0)
		return;
	if (!step) {
		resolved_json(q, &v, NULL, NULL);
		return;
	}
	if (spec_hold(q->api->specs, node_engine(q->api->node), v.id, &ref, &e) < 0) {
		answer_err(q, &e);
		return;
	}
	resolve_task(q, &v, ref.spec, step, index);
	spec_release(&ref);
}

/* ---- changes ---- */

static void on_changed(struct request *q, const struct node_answer *a)
{
	if (a->code == ERR_NONE)
		answer_job(q, 200, a->job.v ? a->job : request_subject(q));
	else if (a->code == ERR_INVALID) /* well asked, but not possible as the job is now */
		answer_error(q, 409, "refused", a->message, a->hint);
	else
		answer_error(q, status_of(a->code), err_code_name(a->code), a->message, a->hint);
}

static void change(struct request *q, enum command_kind kind, job_id id, const char *reason)
{
	Wire__Principal by;
	struct command c = {.kind = kind, .by = &by};

	principal_of(q, &by);
	c.u.job.job = id;
	c.u.job.reason = reason;
	request_command(q, &c, id, on_changed);
}

void h_cancel(struct request *q)
{
	struct job_view v;
	json_t *body = body_json(q, true), *reason;

	if (!body || body_keys(q, body, ",reason,") < 0)
		return;
	reason = json_object_get(body, "reason");
	if (reason && (!json_is_string(reason) || json_string_length(reason) > 512)) {
		answer_error(q, 400, "invalid", "'reason' must be a string of up to 512 bytes", NULL);
		return;
	}
	if (request_own_job(q, &v) == 0)
		change(q, CMD_CANCEL, v.id, json_string_value(reason));
}

void h_retry(struct request *q)
{
	struct job_view v;
	json_t *body = body_json(q, true);

	if (body && body_keys(q, body, ",") == 0 && request_own_job(q, &v) == 0)
		change(q, CMD_RETRY, v.id, NULL);
}

static void adjust(struct request *q, job_id id, Wire__JobAdjusted *m)
{
	Wire__Principal by;
	struct command c = {.kind = CMD_ADJUST, .by = &by};

	principal_of(q, &by);
	m->job = id.v;
	m->by = &by;
	c.u.adjust = m;
	request_command(q, &c, id, on_changed);
}

void h_release(struct request *q)
{
	Wire__JobAdjusted m = WIRE__JOB_ADJUSTED__INIT;
	struct job_view v;
	json_t *body = body_json(q, true);

	if (!body || body_keys(q, body, ",") < 0 || request_own_job(q, &v) < 0)
		return;
	m.set = WIRE__JOB_ADJUSTED__FIELD__HELD;
	adjust(q, v.id, &m);
}

/* A number of seconds (or null: 0) as nanoseconds; < 0: answered. */
static int seconds_of(struct request *q, const char *key, json_t *v, bool null_ok, uint64_t *out_ns)
{
	double s = json_number_value(v);

	if (json_is_null(v) && null_ok) {
		*out_ns = 0;
		return 0;
	}
	if (!json_is_number(v) || !(s > 0) || s > 3e9) {
		answer_errf(q, 400, "invalid", null_ok ? "null lifts the limit" : NULL,
		        "'%s' must be a number of seconds, more than 0", key);
		return -1;
	}
	*out_ns = json_is_integer(v) ? (uint64_t)json_integer_value(v) * 1000000000u : (uint64_t)(s * 1e9);
	return 0;
}

static int read_times(struct request *q, json_t *body, Wire__JobAdjusted *m)
{
	const struct {
		const char *key;
		uint32_t field;
		uint64_t *to;
	} all[] = {
	        {"timeout_s", WIRE__JOB_ADJUSTED__FIELD__TIMEOUT, &m->timeout_ns},
	        {"queue_timeout_s", WIRE__JOB_ADJUSTED__FIELD__QUEUE_TIMEOUT, &m->queue_timeout_ns},
	        {"run_timeout_s", WIRE__JOB_ADJUSTED__FIELD__RUN_TIMEOUT, &m->run_timeout_ns},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		json_t *v = json_object_get(body, all[i].key);

		if (!v)
			continue;
		if (seconds_of(q, all[i].key, v, true, all[i].to) < 0)
			return -1;
		m->set |= all[i].field;
	}
	return 0;
}

static int read_deadline(struct request *q, json_t *body, Wire__JobAdjusted *m)
{
	json_t *at = json_object_get(body, "deadline"), *after = json_object_get(body, "deadline_after_s");
	uint64_t ns;

	if (at && after) {
		answer_error(q, 400, "invalid", "'deadline' and 'deadline_after_s' exclude each other", NULL);
		return -1;
	}
	if (after) {
		if (seconds_of(q, "deadline_after_s", after, false, &ns) < 0)
			return -1;
		m->deadline_ns = node_now_ns(q->api->node) + ns;
	} else if (at && json_is_null(at)) {
		m->deadline_ns = 0;
	} else if (at && (!json_is_string(at) || jo_time_parse(json_string_value(at), &m->deadline_ns) < 0)) {
		answer_error(q, 400, "invalid",
		        "'deadline' must be a time like 2026-11-21T18:00:00Z, or null", NULL);
		return -1;
	}
	if (at || after)
		m->set |= WIRE__JOB_ADJUSTED__FIELD__DEADLINE;
	return 0;
}

static int read_numbers(struct request *q, json_t *body, Wire__JobAdjusted *m)
{
	json_t *p = json_object_get(body, "priority"), *c = json_object_get(body, "concurrency"),
	       *h = json_object_get(body, "held");

	if (p && (!json_is_integer(p) || json_integer_value(p) < 0 || json_integer_value(p) > 100)) {
		answer_error(q, 400, "invalid", "'priority' must be a whole number from 0 to 100", NULL);
		return -1;
	}
	if (c && !json_is_null(c) &&
	        (!json_is_integer(c) || json_integer_value(c) < 1 || json_integer_value(c) > UINT32_MAX)) {
		answer_error(q, 400, "invalid", "'concurrency' must be a whole number from 1, or null", NULL);
		return -1;
	}
	if (h && !json_is_boolean(h)) {
		answer_error(q, 400, "invalid", "'held' must be true or false", NULL);
		return -1;
	}
	m->set |= (p ? WIRE__JOB_ADJUSTED__FIELD__PRIORITY : 0u) |
	          (c ? WIRE__JOB_ADJUSTED__FIELD__CONCURRENCY : 0u) |
	          (h ? WIRE__JOB_ADJUSTED__FIELD__HELD : 0u);
	m->priority = (uint32_t)json_integer_value(p);
	m->concurrency = (uint32_t)json_integer_value(c);
	m->held = json_is_true(h);
	return 0;
}

void h_adjust(struct request *q)
{
	Wire__JobAdjusted m = WIRE__JOB_ADJUSTED__INIT;
	json_t *body = body_json(q, false);
	struct job_view v;

	if (!body || body_keys(q, body,
	                     ",priority,deadline,deadline_after_s,timeout_s,queue_timeout_s,run_timeout_s,"
	                     "concurrency,held,") < 0)
		return;
	if (read_numbers(q, body, &m) < 0 || read_times(q, body, &m) < 0 || read_deadline(q, body, &m) < 0)
		return;
	if (!m.set) {
		answer_error(q, 400, "invalid", "the body changes nothing",
		        "give at least one key, such as priority");
		return;
	}
	if (request_own_job(q, &v) == 0)
		adjust(q, v.id, &m);
}

/* ---- the specification ---- */

void h_spec(struct request *q)
{
	struct job_view v;
	struct spec_ref ref;
	struct err e;
	json_t *j;
	char *text;

	if (request_own_job(q, &v) < 0)
		return;
	if (spec_hold(q->api->specs, node_engine(q->api->node), v.id, &ref, &e) < 0) {
		answer_err(q, &e);
		return;
	}
	j = jobspec_to_json(ref.spec);
	text = json_dumps(j, JSON_COMPACT);
	CHECK(text);
	jo_raw(answer_out(q), text, strlen(text));
	answer_json(q, 200);
	free(text);
	json_decref(j);
	spec_release(&ref);
}
