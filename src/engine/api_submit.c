/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_submit - jobs that come in, one or many to a request; answered when all are durable.
 *
 * All are read before the first is given to the core: a request with a job that is not valid changes nothing. What the core
 * refuses (a deadline that cannot be met, a queue that is full) is refused for that job alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"
#include "engine/api_int.h"
#include "engine/api_jobfile.h"
#include "io/blobs.h"

struct told {
	struct submit *of;
	struct node_answer *refused; /* NULL: accepted */
	char *name;
	char *warning; /* NULL: none */
	uint64_t job, seq;
	bool repeated;
};

struct submit {
	struct request *q; /* NULL: gone */
	size_t n, awaited;
	bool many;
	struct told v[];
};

/* ---- reading ---- */

void answer_problems(struct request *q, const struct jobfile_jobs *jobs)
{
	struct json_out *o = answer_out(q);
	char text[700];

	jobspec_problem_text(&jobs->problems[0], jobs->source, text, sizeof(text));
	jo_object(o);
	jo_key(o, "error");
	jo_object(o);
	jo_key(o, "code");
	jo_str(o, "invalid");
	jo_key(o, "message");
	if (jobs->many)
		jo_strf(o, "job %zu of the request is not valid: %s", jobs->at_fault, text);
	else
		jo_strf(o, "the job is not valid: %s", text);
	if (jobs->many) {
		jo_key(o, "job");
		jo_u64(o, jobs->at_fault);
	}
	jo_key(o, "problems");
	jo_array(o);
	for (size_t i = 0; i < jobs->n_problems; i++) {
		const struct jobspec_problem *p = &jobs->problems[i];

		jo_object(o);
		if (p->line) {
			jo_key(o, "line");
			jo_u64(o, p->line);
			jo_key(o, "column");
			jo_u64(o, p->column);
		}
		jo_key(o, "path");
		jo_str(o, p->path);
		jo_key(o, "found");
		jo_str(o, p->found);
		jo_key(o, "expected");
		jo_str(o, p->expected);
		jobspec_problem_text(p, jobs->source, text, sizeof(text));
		jo_key(o, "message");
		jo_str(o, text);
		jo_object_end(o);
	}
	jo_array_end(o);
	jo_object_end(o);
	jo_object_end(o);
	answer_json(q, 400);
}

static int blob_there(void *ctx, const uint8_t digest[32])
{
	struct request *q = ctx;
	struct blobs *b = node_blobs(q->api->node);
	char text[65];

	if (blobs_has(b, digest, NULL)) {
		blobs_touch(b, digest); /* it is not swept before the job is done with it */
		return 0;
	}
	for (int i = 0; i < 32; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	answer_errf(q, 422, "refused", "put the files of a job to /v1/blobs/SHA256 before the job",
	        "the blob %s, which the job names, is not here", text);
	return -1;
}

int read_jobs(struct request *q, struct jobfile_jobs *jobs)
{
	json_t *body = body_json(q, false);

	if (!body)
		return -1;
	growing_clear(&q->api->mem);
	*jobs = (struct jobfile_jobs){0};
	if (jobfile_from_request(&q->api->mem.arena, body, jobs) < 0) {
		answer_problems(q, jobs);
		return -1;
	}
	for (size_t i = 0; i < jobs->n; i++)
		if (jobfile_each_blob(jobs->specs[i], blob_there, q) != 0)
			return -1;
	return 0;
}

/* The idempotency keys, which are not part of a job: they are taken out of the body. NULL in *out: none; < 0: answered. */
static int read_keys(struct request *q, json_t **out)
{
	json_t *body = body_json(q, false), *keys, *jobs, *v;
	const char *key = query_text(q, "key");
	size_t i;

	*out = NULL;
	if (!body)
		return -1;
	keys = json_object_get(body, "keys");
	jobs = json_object_get(body, "jobs");
	if (key && (jobs || strlen(key) > 128 || !*key)) {
		answer_error(q, 400, "invalid",
		        jobs ? "'key' is for one job" : "'key' must have 1 to 128 bytes",
		        jobs ? "several jobs have 'keys' in the body" : NULL);
		return -1;
	}
	if (!keys || !jobs) /* without jobs, "keys" is the job file's business: it says that it knows none */
		return 0;
	if (!json_is_array(keys) || json_array_size(keys) != json_array_size(jobs)) {
		answer_error(q, 400, "invalid", "'keys' must be an array with one string for each job", NULL);
		return -1;
	}
	json_array_foreach(keys, i, v)
	{
		size_t n = json_is_string(v) ? json_string_length(v) : 0;

		if (n >= 1 && n <= 128)
			continue;
		answer_errf(q, 400, "invalid", NULL,
		        "element %zu of 'keys' must be a string of 1 to 128 bytes", i);
		return -1;
	}
	*out = json_incref(keys);
	json_object_del(body, "keys");
	return 0;
}

/* ---- answering ---- */

static void submitted_json(struct json_out *o, const struct told *t)
{
	char text[512];

	jo_object(o);
	jo_key(o, "job");
	jo_u64(o, t->job);
	jo_key(o, "id");
	job_name_text(t->name, t->job, text, sizeof(text));
	jo_str(o, text);
	jo_key(o, "repeated");
	jo_bool(o, t->repeated);
	jo_key(o, "seq");
	jo_u64(o, t->seq);
	if (t->warning) {
		jo_key(o, "warning");
		jo_str(o, t->warning);
	}
	jo_object_end(o);
}

/* What the core refuses is well formed, so it is not a 400. */
static unsigned refusal(const struct node_answer *a, const char **code)
{
	if (a->code == ERR_INVALID) {
		*code = "refused";
		return 422;
	}
	*code = err_code_name(a->code);
	return status_of(a->code);
}

static void told_json(struct json_out *o, const struct told *t)
{
	const char *code;

	if (!t->refused) {
		submitted_json(o, t);
		return;
	}
	refusal(t->refused, &code);
	error_json(o, code, t->refused->message, t->refused->hint);
}

/* Of several jobs, was any accepted? */
static bool any_accepted(const struct submit *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (!s->v[i].refused)
			return true;
	return false;
}

static void answer_submit(struct submit *s)
{
	struct json_out *o = answer_out(s->q);
	const char *code;

	if (!any_accepted(s)) { /* of several, told by the first */
		unsigned status = refusal(s->v[0].refused, &code);

		error_json(o, code, s->v[0].refused->message, s->v[0].refused->hint);
		answer_json(s->q, status);
		return;
	}
	if (!s->many) {
		submitted_json(o, &s->v[0]);
		answer_json(s->q, s->v[0].repeated ? 200 : 201);
		return;
	}
	jo_object(o);
	jo_key(o, "jobs");
	jo_array(o);
	for (size_t i = 0; i < s->n; i++)
		told_json(o, &s->v[i]);
	jo_array_end(o);
	jo_object_end(o);
	answer_json(s->q, 201);
}

static void submit_free(struct submit *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->v[i].refused);
		free(s->v[i].name);
		free(s->v[i].warning);
	}
	free(s);
}

static void request_gone(void *own)
{
	struct submit *s = own;

	s->q = NULL;
	if (!s->awaited)
		submit_free(s);
}

static void on_answer(void *ctx, const struct node_answer *a)
{
	struct told *t = ctx;
	struct submit *s = t->of;

	CHECK(s->awaited);
	if (a->code != ERR_NONE) {
		t->refused = malloc(sizeof(*t->refused));
		CHECK(t->refused);
		*t->refused = *a;
	}
	t->job = a->job.v;
	t->seq = a->seq;
	t->repeated = a->repeated;
	if (a->warning[0])
		t->warning = strdup(a->warning);
	if (--s->awaited)
		return;
	if (!s->q)
		submit_free(s);
	else if (!s->q->response)
		answer_submit(s);
}

/* ---- the handler ---- */

static struct submit *submit_new(struct request *q, const struct jobfile_jobs *jobs)
{
	struct submit *s = calloc(1, sizeof(*s) + jobs->n * sizeof(s->v[0]));

	CHECK(s && !q->own);
	s->q = q;
	s->n = jobs->n;
	s->many = jobs->many;
	for (size_t i = 0; i < jobs->n; i++) {
		s->v[i].of = s;
		s->v[i].name = strdup(jobs->specs[i]->name);
		CHECK(s->v[i].name);
	}
	q->own = s;
	q->own_free = request_gone;
	return s;
}

/* What the members of its gangs know each other by is made of this. */
static void gang_secrets(const Wire__JobSpec *spec, uint8_t secret[16])
{
	CHECK(getrandom(secret, 16, 0) == 16);
	for (size_t k = 0; k < spec->n_steps; k++)
		if (spec->steps[k]->gang)
			spec->steps[k]->gang->secret = (ProtobufCBinaryData){16, secret};
}

static void submit_all(struct request *q, const struct jobfile_jobs *jobs, json_t *keys)
{
	struct submit *s = submit_new(q, jobs);
	Wire__Principal by;
	struct command c = {.kind = CMD_SUBMIT, .by = &by};

	/* One answer is awaited from the start by us, so that early ones do not answer the request half-way. */
	s->awaited = jobs->n + 1;
	for (size_t i = 0; i < jobs->n; i++) {
		Wire__JobSpec spec = *jobs->specs[i];
		uint8_t secret[16];

		principal_of(q, &by);
		gang_secrets(&spec, secret);
		spec.origin = (char *)(uintptr_t)node_name(q->api->node);
		if (spec.pack == WIRE__JOB_SPEC__PACK__FIRST)
			spec.pack = (Wire__JobSpec__Pack)node_pack(q->api->node);
		c.u.submit.spec = &spec;
		c.u.submit.key = keys ? json_string_value(json_array_get(keys, i)) : query_text(q, "key");
		node_command(q->api->node, &c, on_answer, &s->v[i]);
	}
	if (--s->awaited == 0) {
		answer_submit(s);
		return;
	}
	/* With more clients their requests share the fsync; one alone has its answer without a turn of the loop. */
	if (q->api->n_clients == 1)
		node_commit_now(q->api->node);
	if (!q->response)
		request_sleep(q);
}

void h_submit(struct request *q)
{
	struct jobfile_jobs *jobs;
	json_t *keys;

	if (journal_backlog_bytes(node_journal(q->api->node)) > API_BACKLOG_MAX) {
		answer_error(
		        q, 503, "busy", "more is being written than the disk takes", "try again in a moment");
		return;
	}
	if (read_keys(q, &keys) < 0)
		return;
	jobs = malloc(sizeof(*jobs));
	CHECK(jobs);
	if (read_jobs(q, jobs) == 0)
		submit_all(q, jobs, keys);
	json_decref(keys);
	free(jobs);
	free(q->body); /* it may be long until the answer: do not keep what is read */
	q->api->bodies -= q->body_max;
	q->body = NULL;
	q->body_n = q->body_max = 0;
	json_decref(q->json);
	q->json = NULL;
}
