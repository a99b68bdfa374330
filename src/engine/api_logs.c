/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_logs - which task's lines come next. See api_logs.h.
 */
#include "engine/api_logs.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define UNREAD_AGAIN_MS 1000u

/* ---- lines ---- */

static struct json_out *event_of(struct logs *l, const char *event, const struct log_from *from, uint64_t at)
{
	struct json_out *o = &l->stream->out;

	event_begin(o, event);
	jo_object(o);
	jo_key(o, "step");
	jo_str(o, l->spec.spec->steps[from->step]->name);
	jo_key(o, "index");
	jo_u64(o, from->index);
	jo_key(o, "attempt");
	jo_u64(o, from->lease);
	jo_key(o, "stream");
	jo_str(o, from->k ? "stderr" : "stdout");
	jo_key(o, "at");
	jo_u64(o, at);
	return o;
}

static void log_line(
        struct logs *l, const struct log_from *from, uint64_t at, const char *p, size_t n, bool partial)
{
	struct json_out *o = event_of(l, "line", from, at);

	jo_key(o, "text");
	jo_str_n(o, p, n);
	if (partial) {
		jo_key(o, "partial");
		jo_bool(o, true);
	}
	jo_object_end(o);
	event_end(o);
}

void log_gap(struct logs *l, const struct log_from *from, uint64_t bytes, enum err_code code, const char *why)
{
	struct json_out *o = event_of(l, "gap", from, from->at);

	jo_key(o, "bytes");
	jo_u64(o, bytes);
	jo_key(o, "code");
	jo_str(o, err_code_name(code));
	jo_key(o, "why");
	jo_str(o, why);
	jo_object_end(o);
	event_end(o);
}

/* A long line is cut where no UTF-8 sequence is. */
static size_t cut(const char *p, size_t n)
{
	size_t k = n;

	while (k > 0 && n - k < 4 && ((uint8_t)p[k - 1] & 0xc0) == 0x80)
		k--;
	return k > 1 && ((uint8_t)p[k - 1] & 0xc0) == 0xc0 ? k - 1 : n;
}

size_t log_lines(struct logs *l, const struct log_from *from, const char *p, size_t n, bool end)
{
	size_t at = 0;

	while (at < n) {
		const char *nl = memchr(p + at, '\n', n - at);
		size_t len = nl ? (size_t)(nl - p) - at : n - at;

		if (!nl && !end && n - at < LOG_LINE_MAX)
			break;
		if (!nl && !end)
			len = cut(p + at, len);
		log_line(l, from, from->at + at, p + at, len, !nl && !end);
		at += len + (nl != NULL);
	}
	return at;
}

/* ---- the walk over finished tasks ---- */

static bool told(const struct logs *l, uint32_t step, uint64_t i)
{
	return l->bits[step] && (l->bits[step][i / 8] >> (i % 8) & 1);
}

static void mark(struct logs *l, uint32_t step, uint64_t i)
{
	uint64_t tasks = l->spec.spec->steps[step]->tasks;

	if (!l->bits[step]) {
		l->bits[step] = calloc(1, tasks / 8 + 1);
		CHECK(l->bits[step]);
	}
	l->bits[step][i / 8] |= (uint8_t)(1u << (i % 8));
	l->printed[step]++;
}

/* A retry made done tasks wait again: they will be told again. */
static void unmark_undone(struct logs *l, uint32_t step)
{
	const struct engine *en = node_engine(l->api->node);
	struct task_view t;

	for (uint64_t i = 0; i < l->spec.spec->steps[step]->tasks; i++) {
		if (!told(l, step, i) || !engine_task(en, l->job, step, i, &t) || t.state == TASK_DONE)
			continue;
		l->bits[step][i / 8] &= (uint8_t) ~(1u << (i % 8));
		l->printed[step]--;
	}
}

static uint64_t step_done(struct logs *l, uint32_t step)
{
	const struct engine *en = node_engine(l->api->node);
	struct step_counts c;
	struct task_view t;

	if (l->one)
		return engine_task(en, l->job, step, l->index, &t) && t.state == TASK_DONE;
	return engine_step_counts(en, l->job, step, &c) ? count_done(&c) : 0;
}

/* Did the task run, so that something may be stored? */
static bool has_run(const struct task_view *t)
{
	return t->outcome != WIRE__OUTCOME__SKIPPED && t->outcome != WIRE__OUTCOME__QUEUE_TIMEOUT;
}

enum found { FOUND, NONE, LATER };

/* The next finished task that was not told, from where the walk is; NONE: the walk is at its end, and begins anew. */
static enum found next_done(struct logs *l)
{
	const struct engine *en = node_engine(l->api->node);
	unsigned looks = 0;
	struct task_view t;

	for (; l->at_step < l->step_end; l->at_step++, l->at_index = l->one ? l->index : 0) {
		uint32_t s = l->at_step;
		uint64_t done = step_done(l, s),
		         tasks = l->one ? l->index + 1 : l->spec.spec->steps[s]->tasks;

		if (done < l->printed[s])
			unmark_undone(l, s);
		for (; l->printed[s] < done && l->at_index < tasks; l->at_index++) {
			if (looks++ == LOG_LOOKS_MAX)
				return LATER;
			if (told(l, s, l->at_index) || !engine_task(en, l->job, s, l->at_index, &t) ||
			        t.state != TASK_DONE)
				continue;
			if (has_run(&t) && !log_source_open(l, s, l->at_index, &t)) {
				if (l->failed.code)
					return LATER;
				l->unsettled = true; /* its result is not durable: once more when it is */
				continue;
			}
			mark(l, s, l->at_index);
			if (l->src.active)
				return FOUND;
		}
	}
	l->at_step = l->step;
	l->at_index = l->one ? l->index : 0;
	return NONE;
}

/* ---- the stream ---- */

static enum stream_more finish(struct logs *l)
{
	struct job_view v;

	if (!engine_job(node_engine(l->api->node), l->job, &v))
		return STREAM_END;
	event_begin(&l->stream->out, "end");
	job_event_json(l->api, &l->stream->out, &v, job_rate_milli(&v, node_now_ns(l->api->node)));
	event_end(&l->stream->out);
	return STREAM_END;
}

/* Who follows waits until it can be read again. */
static enum stream_more fail(struct logs *l)
{
	if (l->follow && err_passes(&l->failed)) {
		l->failed = (struct err){0};
		l->stream->at_ms = uv_now(l->api->loop) + UNREAD_AGAIN_MS;
		return STREAM_WAIT;
	}
	event_begin(&l->stream->out, "error");
	error_json(&l->stream->out, err_code_name(l->failed.code), l->failed.msg, l->failed.hint);
	event_end(&l->stream->out);
	return STREAM_END;
}

static enum stream_more later(struct stream *s)
{
	s->at_ms = uv_now(s->api->loop);
	s->dirty = s->urgent = true;
	return STREAM_WAIT;
}

/* Without follow, or at the job's end: when everything is told, it is over. */
static enum stream_more at_rest(struct logs *l, bool settled)
{
	struct stream *s = l->stream;
	uint64_t now = uv_now(l->api->loop);
	struct job_view v;

	if (!engine_job(node_engine(l->api->node), l->job, &v) || !job_is_active(v.state)) {
		if (!settled && stream_settle(s))
			return STREAM_WAIT;
		return finish(l);
	}
	if (l->one && step_done(l, l->step))
		return finish(l); /* the task that was asked for has ended */
	if (l->follow)
		return STREAM_WAIT;
	if (!log_tails(l) || now >= l->settle_ms)
		return finish(l);
	s->at_ms = l->settle_ms;
	return STREAM_WAIT;
}

static enum stream_more logs_fill(struct stream *s)
{
	struct logs *l = s->ctx;
	bool settled = s->settled;

	s->settled = false;

	if (l->src.active)
		return log_source_tell(l) ? STREAM_MORE : STREAM_WAIT;
	switch (next_done(l)) {
	case FOUND:
		return STREAM_MORE;
	case LATER:
		return l->failed.code ? fail(l) : later(s);
	case NONE:
		break;
	}
	if (log_live(l))
		return STREAM_MORE;
	if (l->unsettled) {
		l->unsettled = false;
		if (stream_settle(s))
			return STREAM_WAIT;
		return later(s);
	}
	return at_rest(l, settled);
}

static void job_changed(void *ctx, job_id job)
{
	struct logs *l = ctx;

	(void)job;
	stream_wake(l->stream, STREAM_SOON);
}

static void logs_close(struct stream *s)
{
	struct logs *l = s->ctx;
	struct api *a = l->api;

	if (l->watch)
		node_unwatch(l->watch);
	log_source_close(l);
	for (unsigned i = 0; i < LOG_TAILS_MAX; i++)
		log_tail_close(&l->tail[i]);
	for (uint32_t i = 0; i < l->step_end; i++)
		free(l->bits[i]);
	if (l->prev)
		l->prev->next = l->next;
	else
		a->logs = l->next;
	if (l->next)
		l->next->prev = l->prev;
	if (!--a->n_logs)
		logs_unwatch_spool(a);
	spec_release(&l->spec);
	growing_release(&l->mem);
	free(l->outputs);
	free(l->bits);
	free(l->printed);
	free(l);
}

static int read_stream_name(struct request *q, struct logs *l)
{
	const char *name = query_text(q, "stream");

	l->want[0] = !name || strcmp(name, "stderr") != 0;
	l->want[1] = !name || strcmp(name, "stdout") != 0;
	if (!name || !strcmp(name, "both") || !l->want[0] || !l->want[1])
		return 0;
	answer_errf(q, 400, "invalid", "stdout, stderr or both", "there is no stream '%.40s'", name);
	return -1;
}

static int read_which(struct request *q, struct logs *l, const Wire__JobSpec *spec)
{
	const char *step = query_text(q, "step"), *index = query_text(q, "index");
	uint64_t follow = 0;

	l->step_end = (uint32_t)spec->n_steps;
	if (query_u64(q, "follow", 0, 1, &follow) < 0 || read_stream_name(q, l) < 0)
		return -1;
	l->follow = follow;
	if (step) {
		if (find_step(q, spec, step, &l->step) < 0)
			return -1;
		l->step_end = l->step + 1;
	}
	if (!index)
		return 0;
	if (!step && spec->n_steps > 1) {
		answer_error(q, 400, "invalid", "'index' needs 'step': the job has several steps", NULL);
		return -1;
	}
	if (path_number(index, &l->index) < 0 || l->index >= spec->steps[l->step]->tasks) {
		answer_errf(q, 404, "not_found", NULL, "step '%.80s' has tasks 0 to %llu, not '%.20s'",
		        spec->steps[l->step]->name, (unsigned long long)spec->steps[l->step]->tasks - 1,
		        index);
		return -1;
	}
	l->one = true;
	return 0;
}

static void logs_start(struct request *q, struct logs *l)
{
	struct api *a = q->api;

	l->at_step = l->step;
	l->at_index = l->one ? l->index : 0;
	l->settle_ms = uv_now(a->loop) + 200;
	l->bits = calloc(l->step_end, sizeof(*l->bits));
	l->printed = calloc(l->step_end, sizeof(*l->printed));
	CHECK(l->bits && l->printed);
	growing_init(&l->mem, 64u << 10, API_PARSED_MAX);
	l->next = a->logs;
	if (l->next)
		l->next->prev = l;
	a->logs = l;
	if (!a->n_logs++)
		logs_watch_spool(a);
	l->stream = answer_stream(q, logs_fill, logs_close, l);
	l->watch = node_watch(a->node, l->job, job_changed, l);
}

void h_logs(struct request *q)
{
	struct job_view v;
	struct logs *l;
	struct err e;

	if (request_own_job(q, &v) < 0)
		return;
	if (q->api->n_logs == LOG_STREAMS_MAX) {
		answer_errf(
		        q, 503, "busy", "close one of them", "%u clients read logs already", LOG_STREAMS_MAX);
		return;
	}
	l = calloc(1, sizeof(*l));
	CHECK(l);
	l->api = q->api;
	l->job = v.id;
	l->src.fd = -1;
	if (spec_hold(q->api->specs, node_engine(q->api->node), v.id, &l->spec, &e) < 0) {
		answer_err(q, &e);
		free(l);
	} else if (read_which(q, l, l->spec.spec) < 0) {
		spec_release(&l->spec);
		free(l);
	} else {
		logs_start(q, l);
	}
}
