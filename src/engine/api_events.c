/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_events - progress of one job, and of the whole node, as events.
 *
 * Rates are of the last RATE_WINDOW_MS: each stream keeps a few samples of how much was done when.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/api_int.h"

#define RATE_WINDOW_MS 10000u
#define SAMPLES        21u /* one each half second */
#define NODE_JOBS_MAX  100u
#define NODE_PERIOD_MS 2000u /* loads change though nothing happens */

struct sample {
	uint64_t ms, done;
};

struct job_stream {
	job_id job;
	struct node_watch *watch;
	struct sample v[SAMPLES]; /* oldest first */
	unsigned n;
};

static void sample_add(struct job_stream *j, uint64_t ms, uint64_t done)
{
	if (j->n && ms - j->v[j->n - 1].ms < RATE_WINDOW_MS / (SAMPLES - 1))
		return;
	while (j->n > 1 && (j->n == SAMPLES || ms - j->v[1].ms > RATE_WINDOW_MS)) {
		memmove(j->v, j->v + 1, (j->n - 1) * sizeof(*j->v));
		j->n--;
	}
	j->v[j->n++] = (struct sample){ms, done};
}

/* Lately, or over the whole run while there is nothing else. */
static uint64_t rate_milli(struct job_stream *j, const struct job_view *v, uint64_t ms, uint64_t now_ns)
{
	uint64_t done = v->counts.succeeded + v->counts.failed, rate;

	sample_add(j, ms, done);
	if (!job_is_active(v->state) || ms - j->v[0].ms < 1000 || done <= j->v[0].done)
		return job_rate_milli(v, now_ns);
	rate = (done - j->v[0].done) * 1000000 / (ms - j->v[0].ms);
	return rate ? rate : job_rate_milli(v, now_ns);
}

static void steps_json(struct api *a, struct json_out *o, const struct job_view *v)
{
	struct spec_ref ref;
	bool held = spec_hold(a->specs, node_engine(a->node), v->id, &ref, NULL) == 0;

	jo_key(o, "steps");
	jo_array(o);
	for (uint32_t i = 0; held && i < ref.spec->n_steps; i++) {
		struct step_counts c = {0};

		engine_step_counts(node_engine(a->node), v->id, i, &c);
		jo_object(o);
		jo_key(o, "name");
		jo_str(o, ref.spec->steps[i]->name);
		jo_key(o, "counts");
		counts_json(o, &c);
		jo_object_end(o);
	}
	jo_array_end(o);
	if (held)
		spec_release(&ref);
}

void job_event_json(struct api *a, struct json_out *o, const struct job_view *v, uint64_t rate)
{
	uint64_t now = node_now_ns(a->node), end = v->finished_ns ? v->finished_ns : now;

	jo_object(o);
	jo_key(o, "job");
	jo_u64(o, v->id.v);
	jo_key(o, "id");
	job_id_json(o, v);
	jo_key(o, "state");
	jo_str(o, job_state_name(v->state));
	jo_key(o, "counts");
	counts_json(o, &v->counts);
	rate_eta_json(o, v, rate);
	jo_key(o, "elapsed_s");
	jo_seconds(o, v->started_ns && end > v->started_ns ? end - v->started_ns : 0);
	jo_key(o, "cpu_s");
	jo_fixed(o, (int64_t)v->cpu_us, 6);
	steps_json(a, o, v);
	jo_object_end(o);
}

static enum stream_more job_fill(struct stream *s)
{
	struct job_stream *j = s->ctx;
	struct api *a = s->api;
	struct job_view v;
	bool active;

	if (!engine_job(node_engine(a->node), j->job, &v))
		return STREAM_END; /* forgotten */
	active = job_is_active(v.state);
	if (!active && !s->settled && stream_settle(s))
		return STREAM_WAIT; /* an end that is told is final */
	event_begin(&s->out, active ? "progress" : "end");
	job_event_json(a, &s->out, &v, rate_milli(j, &v, uv_now(a->loop), node_now_ns(a->node)));
	event_end(&s->out);
	return active ? STREAM_WAIT : STREAM_END;
}

static void job_changed(void *ctx, job_id job)
{
	struct stream *s = ctx;
	struct job_view v;
	bool active = engine_job(node_engine(s->api->node), job, &v) && job_is_active(v.state);

	stream_wake(s, active ? STREAM_SOON : STREAM_NOW); /* the end is told at once */
}

static void job_close(struct stream *s)
{
	struct job_stream *j = s->ctx;

	if (j->watch)
		node_unwatch(j->watch);
	free(j);
}

void h_job_events(struct request *q)
{
	struct job_stream *j;
	struct job_view v;
	struct stream *s;

	if (request_job(q, &v) < 0)
		return;
	j = calloc(1, sizeof(*j));
	CHECK(j);
	j->job = v.id;
	s = answer_stream(q, job_fill, job_close, j);
	j->watch = node_watch(q->api->node, v.id, job_changed, s);
}

/* ---- the whole node ---- */

struct node_stream {
	struct node_watch *watch;
};

void totals_json(struct json_out *o, const struct engine *en)
{
	struct sched_totals t;
	struct job_view v;
	uint64_t jobs = 0, active = 0;

	sched_totals(engine_sched(en), &t);
	for (job_id at = {0}; engine_job_next(en, at, &v); at = v.id) {
		jobs++;
		active += job_is_active(v.state);
	}
	jo_key(o, "totals");
	jo_object(o);
	jo_key(o, "jobs");
	jo_u64(o, jobs);
	jo_key(o, "active");
	jo_u64(o, active);
	jo_key(o, "tasks_ready");
	jo_u64(o, t.tasks_ready);
	jo_key(o, "leases");
	jo_u64(o, t.leases);
	jo_object_end(o);
}

static void node_jobs_json(struct api *a, struct json_out *o)
{
	const struct engine *en = node_engine(a->node);
	uint64_t now = node_now_ns(a->node), at, seen;
	unsigned n = 0;
	struct job_view v;

	jo_key(o, "jobs");
	jo_array(o);
	for (int pass = 0; pass < 2; pass++) /* first what is under way, then what was */
		for (at = 0, seen = 0; n < NODE_JOBS_MAX && seen < 10000 && job_below(en, at, &v); seen++) {
			at = v.id.v;
			if (job_is_active(v.state) != (pass == 0))
				continue;
			job_summary_json(o, en, &v, now);
			n++;
		}
	jo_array_end(o);
}

static enum stream_more node_fill(struct stream *s)
{
	struct api *a = s->api;
	struct json_out *o = &s->out;

	event_begin(o, "node");
	jo_object(o);
	jo_key(o, "now");
	jo_time(o, node_now_ns(a->node));
	totals_json(o, node_engine(a->node));
	nodes_json(a, o);
	node_jobs_json(a, o);
	jo_object_end(o);
	event_end(o);
	s->at_ms = uv_now(a->loop) + NODE_PERIOD_MS;
	return STREAM_WAIT;
}

static void node_changed(void *ctx, job_id job)
{
	(void)job;
	stream_wake(ctx, STREAM_SOON);
}

static void node_stream_close(struct stream *s)
{
	struct node_stream *n = s->ctx;

	node_unwatch(n->watch);
	free(n);
}

void h_node_events(struct request *q)
{
	struct node_stream *n = calloc(1, sizeof(*n));
	struct stream *s;

	CHECK(n);
	s = answer_stream(q, node_fill, node_stream_close, n);
	n->watch = node_watch(q->api->node, (job_id){0}, node_changed, s);
}
