/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report - how a job ended: its result, or its failures and what to do about them. See watch.h.
 *
 * The result is the standard output of the last step: of its task, of the root of its reduction, or of all tasks of its array
 * in order. To a terminal go its first lines if it is long, and arrays only if they are small; to a pipe every byte of
 * it, and nothing else.
 */
#include "base/check.h"
#include "cli/show.h"
#include "cli/watch.h"

enum {
	RESULT_LINES = 40,
	RESULT_BYTES = 8192,
	FAILURES_SHOWN = 5,
	STDERR_LINES = 3,
	ARRAY_SHOWN = 16,     /* tasks whose outputs go to a terminal */
	ARRAY_PIPED = 100000, /* to a pipe */
};

struct report {
	struct cli *c;
	bool lost;        /* the job succeeded, but its result could not be read */
	json_t *job;      /* GET /v1/jobs/{job} */
	json_t *result;   /* the task of the result, or NULL */
	json_t *failures; /* array of tasks */
};

/* GET, again if the node goes away under us: another command's node ends with that command's job. */
static int get(struct report *r, const char *target, FILE *f, struct response *out, struct err *e)
{
	for (int again = 0;; again++) {
		int rc = f ? client_download(r->c->client, target, f, out, e)
		           : client_call(r->c->client, "GET", target, NULL, NULL, 0, out, e);

		if (rc == 0 && out->status == 503 && !again && !out->written)
			response_release(out); /* it is going */
		else if (rc == 0 || e->code != ERR_CLOSED || again || out->written)
			return rc;
		if (cli_connect_again(r->c, e) < 0)
			return -1;
	}
}

static json_t *get_json(struct report *r, const char *target, struct err *e)
{
	struct response a;
	json_t *out;

	if (get(r, target, NULL, &a, e) < 0)
		return NULL;
	out = ask_answer(&a, e);
	response_release(&a);
	return out;
}

static json_t *get_task(struct report *r, const char *step, uint64_t index, struct err *e)
{
	struct text t = {0};
	json_t *j;

	job_target(&t, j_str(r->job, "id"));
	text_add(&t, "/tasks/");
	url_add(&t, step);
	text_addf(&t, "/%llu", (unsigned long long)index);
	j = get_json(r, text_str(&t), e);
	text_release(&t);
	return j;
}

static void lose(struct report *r, const struct err *e)
{
	r->lost = true;
	term_note("the job succeeded, but its result could not be read: %s", e->msg);
	term_hint("osier logs %s", j_str(r->job, "id"));
}

static void output_target(struct text *t, const json_t *task, const char *name)
{
	job_target(t, j_str(task, "job_id"));
	text_add(t, "/tasks/");
	url_add(t, j_str(task, "step"));
	text_addf(t, "/%llu/output/", (unsigned long long)j_uint(task, "index"));
	url_add(t, name);
}

/* The last, or that of the member of a gang that speaks for all. */
static const json_t *last_attempt(const json_t *task)
{
	const json_t *all = json_object_get(task, "attempts");
	size_t n = json_array_size(all), i;
	json_t *a;

	json_array_foreach(all, i,
	        a) if (j_uint(a, "lease") && j_uint(a, "lease") == j_uint(task, "result_of")) return a;
	return n ? json_array_get(all, n - 1) : NULL;
}

static const json_t *output_of(const json_t *task, const char *name)
{
	size_t i;
	json_t *o;

	json_array_foreach(json_object_get(last_attempt(task), "outputs"), i,
	        o) if (strcmp(j_str(o, "name"), name) == 0) return o;
	return NULL;
}

/* ---- the result ---- */

static void collect_result(struct report *r)
{
	const json_t *steps = json_object_get(r->job, "steps");
	size_t n = json_array_size(steps);
	const json_t *step = n ? json_array_get(steps, n - 1) : NULL;
	uint64_t tasks = j_uint(step, "tasks");
	bool reduce = strcmp(j_str(step, "kind"), "reduce") == 0;
	struct err e;

	if (!step || strcmp(j_str(r->job, "state"), "succeeded") != 0 || !tasks || (tasks > 1 && !reduce))
		return;
	r->result = get_task(r, j_str(step, "name"), tasks - 1, &e);
	if (!r->result)
		lose(r, &e);
	if (r->result && strcmp(j_str(r->result, "state"), "succeeded") != 0) {
		json_decref(r->result);
		r->result = NULL;
	}
}

/* Up to RESULT_LINES of it, cleaned; says where the rest is. */
static void print_short(const json_t *task, const char *s, size_t n, uint64_t bytes)
{
	struct text clean = {0};
	size_t end = n < RESULT_BYTES ? n : RESULT_BYTES, lines = 0, at = 0;
	char size[32];

	while (at < end && lines < RESULT_LINES)
		lines += s[at++] == '\n';
	text_add_clean(&clean, s, at, "\n\t");
	if (at && s[at - 1] != '\n')
		text_add(&clean, "\n");
	(void)fwrite(text_str(&clean), 1, clean.n, stdout);
	(void)fflush(stdout);
	if (at < bytes)
		term_hint("that is the beginning; all %s of it: osier logs %s --stream stdout",
		        size_text(bytes, size, sizeof(size)), j_str(task, "id"));
	text_release(&clean);
}

static void print_result(struct report *r)
{
	const json_t *o = output_of(r->result, "stdout");
	const char *votes = j_str(r->result, "disagreement");
	struct text t = {0};
	struct response a;
	struct err e;
	char size[32];

	if (*votes)
		term_note("%s: %s", j_str(r->result, "id"), votes);
	if (!o || !j_uint(o, "bytes"))
		return;
	output_target(&t, r->result, "stdout");
	if (!term_is_tty(stdout)) {
		if (get(r, text_str(&t), stdout, &a, &e) == 0)
			response_release(&a);
		else
			lose(r, &e);
	} else if (j_uint(o, "bytes") > 1u << 20) {
		term_hint("the result is %s long: osier logs %s --stream stdout > FILE",
		        size_text(j_uint(o, "bytes"), size, sizeof(size)), j_str(r->result, "id"));
	} else if (get(r, text_str(&t), NULL, &a, &e) < 0) {
		lose(r, &e);
	} else {
		if (a.status == 200)
			print_short(r->result, text_str(&a.body), a.body.n, j_uint(o, "bytes"));
		response_release(&a);
	}
	if (j_bool(o, "truncated"))
		term_note("%s: stdout was cut at %s, its cap (limits: {output: SIZE} of the step)",
		        j_str(r->result, "id"), size_text(j_uint(o, "bytes"), size, sizeof(size)));
	text_release(&t);
}

/* The last step when it is an array that succeeded, else NULL. */
static const json_t *last_array(const struct report *r)
{
	const json_t *steps = json_object_get(r->job, "steps");
	size_t n = json_array_size(steps);
	const json_t *step = n ? json_array_get(steps, n - 1) : NULL;

	if (!step || r->result || strcmp(j_str(r->job, "state"), "succeeded") != 0 ||
	        strcmp(j_str(step, "kind"), "array") != 0)
		return NULL;
	return step;
}

/* Lines of one task of an array, each with the task in front. Returns how many. */
static size_t print_prefixed(const char *step, uint64_t index, const struct text *body)
{
	struct text t = {0}, who = {0};
	size_t lines = 0, at = 0;

	text_addf(&who, "%s/%llu", step, (unsigned long long)index);
	while (at < body->n && lines < RESULT_LINES) {
		const char *nl = memchr(body->p + at, '\n', body->n - at);
		size_t n = nl ? (size_t)(nl - body->p) - at : body->n - at;

		term_paint(&t, stdout, CYAN, text_str(&who));
		term_paint(&t, stdout, DIM, " | ");
		text_add_clean(&t, body->p + at, n, "\t");
		text_add(&t, "\n");
		at += n + 1;
		lines++;
	}
	(void)fwrite(text_str(&t), 1, t.n, stdout);
	text_release(&t);
	text_release(&who);
	return lines;
}

/* The outputs of an array, in order. True when all of them were printed. */
static bool print_array(struct report *r, const json_t *step)
{
	uint64_t tasks = j_uint(step, "tasks");
	bool tty = term_is_tty(stdout);
	size_t lines = 0;
	uint64_t i;

	if (tasks > (tty ? ARRAY_SHOWN : ARRAY_PIPED))
		return false;
	for (i = 0; i < tasks && lines < RESULT_LINES && !ferror(stdout); i++) {
		struct response a;
		struct text t = {0};
		struct err e;
		int rc;

		job_target(&t, j_str(r->job, "id"));
		text_add(&t, "/tasks/");
		url_add(&t, j_str(step, "name"));
		text_addf(&t, "/%llu/output/stdout", (unsigned long long)i);
		rc = get(r, text_str(&t), tty ? NULL : stdout, &a, &e);
		text_release(&t);
		if (rc < 0) {
			lose(r, &e);
			return true;
		}
		if (tty && a.status == 200)
			lines += print_prefixed(j_str(step, "name"), i, &a.body);
		response_release(&a);
	}
	return i == tasks && lines < RESULT_LINES;
}

/* ---- failures ---- */

static void collect_failures(struct report *r)
{
	json_t *page, *v;
	struct err e;
	struct text t = {0};
	size_t i;

	r->failures = json_array();
	if (!j_uint(json_object_get(r->job, "counts"), "failed"))
		return;
	job_target(&t, j_str(r->job, "id"));
	text_addf(&t, "/tasks?state=failed&limit=%d", FAILURES_SHOWN);
	page = get_json(r, text_str(&t), &e);
	text_release(&t);
	json_array_foreach(json_object_get(page, "tasks"), i, v)
	{
		json_t *task = get_task(r, j_str(v, "step"), j_uint(v, "index"), &e);

		if (task)
			json_array_append_new(r->failures, task);
	}
	json_decref(page);
}

/* The last lines that a failed task wrote to its standard error. */
static void print_stderr(struct report *r, const json_t *task)
{
	const json_t *o = output_of(task, "stderr");
	struct text t = {0};
	struct response a;
	struct err e;
	size_t from, lines = 0;

	if (!o || !j_uint(o, "bytes") || j_uint(o, "bytes") > 1u << 20)
		return;
	output_target(&t, task, "stderr");
	if (get(r, text_str(&t), NULL, &a, &e) == 0) {
		const char *s = text_str(&a.body);

		from = a.body.n;
		while (from && !(s[from - 1] == '\n' && from != a.body.n && ++lines == STDERR_LINES))
			from--;
		text_clear(&t);
		while (a.status == 200 && from < a.body.n) {
			size_t n = strcspn(s + from, "\n");

			text_add(&t, "    | ");
			text_add_clean(&t, s + from, n < 400 ? n : 400, "\t");
			text_add(&t, "\n");
			from += n + 1;
		}
		(void)fputs(text_str(&t), stderr);
		response_release(&a);
	}
	text_release(&t);
}

static void print_failures(struct report *r)
{
	uint64_t failed = j_uint(json_object_get(r->job, "counts"), "failed");
	const char *first = NULL;
	bool ran = false;
	struct text t = {0};
	char s[32];
	size_t i;
	json_t *task;

	json_array_foreach(r->failures, i, task)
	{
		const json_t *a = last_attempt(task);

		if (!first || (a && !ran))
			first = j_str(task, "id");
		ran |= a != NULL;
		text_clear(&t);
		if (*j_str(task, "disagreement"))
			text_addf(&t, "has no result that enough replicas agree on: %s",
			        j_str(task, "disagreement"));
		else if (*j_str(task, "broken_by"))
			text_addf(&t, "has no result: %s, which ended its gang", j_str(task, "broken_by"));
		else if (a)
			outcome_text(&t, a);
		else
			outcome_text(&t, task);
		term_note("  %s %s", j_str(task, "id"), text_str(&t));
		print_stderr(r, task);
	}
	if (failed > json_array_size(r->failures) && first)
		term_note("  ... %s failed in all: osier tasks %s --status failed",
		        count_text(failed, s, sizeof(s)), j_str(r->job, "id"));
	if (first && ran)
		term_hint("osier logs %s shows what it wrote, osier retry %s runs what failed again", first,
		        j_str(r->job, "id"));
	else if (first)
		term_hint("osier retry %s lets what failed wait again", j_str(r->job, "id"));
	text_release(&t);
}

static void print_end(struct report *r)
{
	const json_t *counts = json_object_get(r->job, "counts");
	uint64_t started = j_time(r->job, "started"), finished = j_time(r->job, "finished");
	uint64_t wall = elapsed_ns(started, finished), cpu = j_ns(r->job, "cpu_s"), speed;
	const char *state = j_str(r->job, "state");
	struct text t = {0};
	char a[32], b[32];

	term_paint(&t, stderr, BOLD, j_str(r->job, "id"));
	text_add(&t, " ");
	term_paint(&t, stderr, term_state_colour(state), state);
	if (started)
		text_addf(&t, " in %s", duration_text(wall, a, sizeof(a)));
	text_addf(&t, ": %s of %s tasks", count_text(j_uint(counts, "succeeded"), a, sizeof(a)),
	        count_text(j_uint(counts, "total"), b, sizeof(b)));
	if (j_uint(counts, "failed"))
		text_addf(&t, ", %s failed", count_text(j_uint(counts, "failed"), a, sizeof(a)));
	if (j_uint(counts, "skipped"))
		text_addf(&t, ", %s skipped", count_text(j_uint(counts, "skipped"), a, sizeof(a)));
	if (cpu)
		text_addf(&t, "; cpu %s", duration_text(cpu, a, sizeof(a)));
	speed = speed_milli(cpu, wall, j_uint(counts, "total"));
	if (speed)
		text_addf(&t, ", about %llu.%llu x one worker", (unsigned long long)(speed + 50) / 1000,
		        (unsigned long long)(speed + 50) / 100 % 10);
	(void)fprintf(stderr, "%s\n", text_str(&t));
	text_release(&t);
}

static void print_json(struct report *r)
{
	json_t *out =
	        json_pack("{s:O,s:O?,s:O}", "job", r->job, "result", r->result, "failures", r->failures);

	json_print_line(out);
	json_decref(out);
}

int report_job(struct cli *c, const char *job)
{
	struct report r = {.c = c};
	struct text t = {0};
	struct err e = {0};
	char span[32];
	int rc;

	job_target(&t, job);
	r.job = get_json(&r, text_str(&t), &e);
	text_release(&t);
	if (!r.job)
		return cli_fail(c, &e);
	collect_result(&r);
	collect_failures(&r);
	if (c->json) {
		print_json(&r);
	} else {
		print_end(&r);
		if (j_bool(r.job, "timed_out"))
			term_note("  it took longer than its timeout of %s and was stopped",
			        duration_text(j_ns(r.job, "timeout_s"), span, sizeof(span)));
		if (r.result)
			print_result(&r);
		else if (last_array(&r) && !print_array(&r, last_array(&r)))
			term_hint("osier logs %s shows what its tasks wrote", j_str(r.job, "id"));
		print_failures(&r);
	}
	rc = r.lost ? EXIT_BROKEN : exit_of_state(j_str(r.job, "state"));
	json_decref(r.job);
	json_decref(r.result);
	json_decref(r.failures);
	return rc;
}
