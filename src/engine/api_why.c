/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_why - why a task is where it is: the reason as a word, and a sentence for people.
 *
 * The engine knows what a task waits for among tasks, the scheduler what it waits for among resources; this puts both in
 * words. Says only what it knows: an unknown end is left out, not guessed.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "core/jobspec.h"
#include "core/gang.h"
#include "engine/api_int.h"
#include "engine/api_result.h"
#include "engine/api_why.h"
#include "wire/entry.h"

struct asked {
	struct request *q;
	const struct engine *en;
	const struct job_view *job;
	const Wire__JobSpec *spec;
	uint32_t step;
	uint64_t index, now;
	struct task_view task;
};

void why_say(struct why *w, const char *fmt, ...)
{
	size_t n = strlen(w->sentence);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->sentence + n, sizeof(w->sentence) - n, fmt, ap);
	va_end(ap);
}

void why_advise(struct why *w, const char *fmt, ...)
{
	va_list ap;

	if (w->n_advice == WHY_ADVICE_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(w->advice[w->n_advice++], sizeof(w->advice[0]), fmt, ap);
	va_end(ap);
}

void why_job_text(const struct engine *en, uint64_t job, char *out, size_t room)
{
	struct job_view v;

	if (engine_job(en, (job_id){job}, &v))
		job_name_text(v.name, job, out, room);
	else
		snprintf(out, room, "job %llu", (unsigned long long)job);
}

/* "in 3.2 s (09:30:01)" is for eyes: the exact time stands beside it in the answer. */
static void in_text(uint64_t now, uint64_t at, char *out, size_t room)
{
	char d[32];

	api_duration_text(at > now ? at - now : 0, d, sizeof(d));
	snprintf(out, room, "in %s", d);
}

/* ---- done, running, delayed ---- */

/* What the last attempt ended with: its exit code or signal, and the note that was made of it. */
static void say_last(const struct asked *a, struct why *w)
{
	const uint8_t *bytes, *outputs;
	size_t n, n_outputs;
	uint64_t seq, i;
	const Wire__Entry *en;
	struct growing g;

	growing_init(&g, 64u << 10, 4 * ENTRY_BYTES_MAX);
	if (journal_read_result_of(node_reader(a->q->api->node), a->job->id.v, a->step, a->index,
	            engine_gang_result(a->en, a->job->id, a->step, a->index).v, &seq, &bytes, &n, &outputs,
	            &n_outputs, NULL) == 0 &&
	        entry_decode(&g.arena, bytes, n, &en, NULL) == 0 && en->results &&
	        (i = a->index - en->results->first) < en->results->count) {
		int32_t code = RESULT_COLUMN(en->results, code, i);

		if (RESULT_COLUMN(en->results, outcome, i) == WIRE__OUTCOME__FAILED)
			why_say(w, ", the last with exit code %d", code);
		else if (RESULT_COLUMN(en->results, outcome, i) == WIRE__OUTCOME__SIGNALED)
			why_say(w, ", the last killed by signal %d, %s", code,
			        sigdescr_np(code) ? sigdescr_np(code) : "unknown");
		/* The note of a plain failure says the exit code again. */
		if (result_note_is_for(en->results, i) && strncmp(en->results->note, "exit code ", 10) != 0)
			why_say(w, ": %s", en->results->note);
	}
	growing_release(&g);
}

static void why_done(const struct asked *a, struct why *w)
{
	unsigned long long job = a->job->id.v;

	char votes[512];

	w->reason = "finished";
	votes_text(a->en, a->job->id, a->step, a->index, votes, sizeof(votes));
	if (a->task.outcome == WIRE__OUTCOME__SUCCEEDED) {
		why_say(w, "%s", votes[0] ? votes : "there is nothing to wait for");
		return;
	}
	if (a->task.outcome == WIRE__OUTCOME__SKIPPED) {
		why_say(w, "it was skipped: what its condition asks for did not come true");
	} else if (a->task.outcome == WIRE__OUTCOME__DISAGREED) {
		why_say(w, "not enough of its replicas agree: %s", votes);
	} else {
		if (a->task.outcome == WIRE__OUTCOME__STOPPED && a->job->timed_out)
			why_say(w, "it was stopped because its job took longer than its timeout");
		else if (a->task.outcome == WIRE__OUTCOME__STOPPED)
			why_say(w, "it was stopped with its job");
		else if (a->task.outcome == WIRE__OUTCOME__QUEUE_TIMEOUT)
			why_say(w, "it waited longer than its queue timeout");
		else if (a->task.outcome != WIRE__OUTCOME__FAILED)
			why_say(w, "%s", outcome_name(a->task.outcome));
		if (!a->task.attempts)
			why_say(w, ", before it ran");
		else
			why_say(w, "%s%u attempt%s", a->task.outcome == WIRE__OUTCOME__FAILED ? "" : ", ",
			        a->task.attempts, a->task.attempts == 1 ? "" : "s");
		if (a->task.outcome != WIRE__OUTCOME__STOPPED)
			say_last(a, w);
		if (a->task.attempts)
			why_advise(w, "osier logs %llu/%s/%llu shows what it printed", job,
			        a->spec->steps[a->step]->name, (unsigned long long)a->index);
	}
	if (!job_is_active(a->job->state))
		why_advise(w, "osier retry %llu lets it wait again", job);
}

static void why_running(const struct asked *a, struct why *w)
{
	const Wire__Step *s = a->spec->steps[a->step];
	uint64_t run = sched_run_ns(engine_sched(a->en), s->kind, 500), before;
	struct sched_node_view n;
	struct lease_view l;
	char ago[32], d[32], away[256];

	w->reason = "running";
	if (!engine_lease(a->en, a->task.lease, &l)) {
		why_say(w, "it is about to run");
		return;
	}
	if (l.held && a->index < l.cursor) {
		why_say(w,
		        "it ran on %s, which has committed to its answer: it is told when the other replicas "
		        "have, too",
		        sched_node(engine_sched(a->en), l.node, &n) ? n.name : "its node");
		return;
	}
	if (away_text(a->en, &l, a->now, away, sizeof(away))) {
		w->reason = "disconnected";
		w->start_ns = l.park_ns == UINT64_MAX ? 0 : l.park_ns;
		why_say(w, "%s", away);
		why_advise(w, "'osier node remove' says that a node will not come back");
		return;
	}
	before = a->index > l.cursor ? a->index - l.cursor : 0;
	api_duration_text(a->now > l.granted_ns ? a->now - l.granted_ns : 0, ago, sizeof(ago));
	if (before) {
		w->reason = "queued_in_lease";
		why_say(w,
		        "it is next on %s after %llu tasks of the same step, one after another, in a lease "
		        "of %s ago",
		        sched_node(engine_sched(a->en), l.node, &n) ? n.name : "its node",
		        (unsigned long long)before, ago);
		if (run)
			w->start_ns = a->now + before * run;
	} else {
		why_say(w, "it runs on %s, for %s so far",
		        sched_node(engine_sched(a->en), l.node, &n) ? n.name : "its node", ago);
	}
	if (l.stopping)
		why_say(w, ", and is being stopped (%s)", stop_reason_name(l.reason));
	if (!run)
		return;
	api_duration_text(run, d, sizeof(d));
	why_say(w, "; such tasks take about %s", d);
}

/* A replica that is held to one class of nodes, of which none is there. */
static bool why_class(const struct asked *a, struct why *w)
{
	const Wire__Step *s = a->spec->steps[a->step];
	struct sched_node_view n;
	struct class_view c;

	if ((a->task.state != TASK_READY && a->task.state != TASK_LEASED) ||
	        !engine_class(a->en, a->job->id, a->step, a->index, &c) || c.up)
		return false;
	w->reason = "class";
	if (c.node)
		why_say(w,
		        "its replica %u waits for a node whose label '%s' is that of %s, where another ran: "
		        "none is up",
		        c.replica, s->verify->same,
		        sched_node(engine_sched(a->en), c.node, &n) ? n.name : "the node");
	else
		why_say(w, "it waits for a node with the label '%s': none %s", s->verify->same,
		        c.any ? "that is up could take it" : "has it");
	why_advise(w, "'osier nodes' shows who is up; 'labels' in a node's config.yaml");
	return true;
}

static void why_delayed(const struct asked *a, struct why *w)
{
	const Wire__Step *s = a->spec->steps[a->step];
	char in[48];

	w->reason = "delayed";
	w->start_ns = a->task.due_ns;
	in_text(a->now, a->task.due_ns, in, sizeof(in));
	why_say(w, "it failed %u time%s", a->task.attempts, a->task.attempts == 1 ? "" : "s");
	say_last(a, w);
	why_say(w, "; it is tried again %s", in);
	if (s->retry && s->retry->max)
		why_say(w, " (up to %u retries)", s->retry->max);
}

/* ---- waiting for other tasks ---- */

static void wait_for(const struct asked *a, struct why *w, const char *step, const uint64_t *index)
{
	struct step_counts c = {0};
	uint32_t i;

	for (i = 0; i < a->spec->n_steps && strcmp(a->spec->steps[i]->name, step) != 0; i++)
		;
	if (i == a->spec->n_steps || w->n_waits == WHY_WAITS_MAX ||
	        !engine_step_counts(a->en, a->job->id, i, &c))
		return;
	if (index) {
		struct task_view t;

		if (!engine_task(a->en, a->job->id, i, *index, &t) || t.state == TASK_DONE)
			return;
	} else if (count_done(&c) == c.total) {
		return;
	}
	w->waits[w->n_waits++] = (struct why_wait){
	        .step = a->spec->steps[i]->name,
	        .one = index,
	        .index = index ? *index : 0,
	        .done = index ? 0 : count_done(&c),
	        .total = index ? 1 : c.total,
	};
}

static void wait_for_inputs(const struct asked *a, struct why *w)
{
	const Wire__Step *s = a->spec->steps[a->step];
	uint64_t first, count;
	bool from_map;
	uint32_t of;

	if (!s->reduce ||
	        !engine_reduce_inputs(a->en, a->job->id, a->step, a->index, &from_map, &of, &first, &count))
		return;
	for (uint64_t i = first; i < first + count; i++)
		wait_for(a, w, from_map ? a->spec->steps[of]->name : s->name, &i);
}

static void why_blocked(const struct asked *a, struct why *w)
{
	const Wire__Step *s = a->spec->steps[a->step];

	w->reason = "after";
	for (size_t i = 0; i < s->n_after; i++)
		wait_for(a, w, s->after[i]->step,
		        s->after[i]->mode == WIRE__AFTER__MODE__EACH ? &a->index : NULL);
	if (!w->n_waits && s->reduce) {
		w->reason = "reduce_inputs";
		wait_for_inputs(a, w);
	}
	if (!w->n_waits) {
		w->reason = "unknown";
		why_say(w, "it is not ready yet");
		return;
	}
	why_say(w, "it waits for ");
	for (unsigned i = 0; i < w->n_waits && i < 3; i++) {
		const struct why_wait *p = &w->waits[i];

		why_say(w, "%s", i ? " and " : "");
		if (p->one)
			why_say(w, "%s/%llu", p->step, (unsigned long long)p->index);
		else
			why_say(w, "%s (%llu of %llu done)", p->step, (unsigned long long)p->done,
			        (unsigned long long)p->total);
	}
	if (w->n_waits > 3)
		why_say(w, " and %u%s more", w->n_waits - 3, w->n_waits == WHY_WAITS_MAX ? " or" : "");
	why_advise(w, "osier why %llu/%s%s says what that waits for", (unsigned long long)a->job->id.v,
	        w->waits[0].step, w->waits[0].one ? "/..." : "");
}

/* ---- ready ---- */

/* What keeps the whole job from starting; true: said. */
static bool why_job_waits(const struct asked *a, struct why *w)
{
	unsigned long long job = a->job->id.v;
	char in[48];

	if (!job_is_active(a->job->state)) {
		w->reason = "job_finished";
		why_say(w, "its job is %s", job_state_name(a->job->state));
	} else if (a->job->held) {
		w->reason = "held";
		why_say(w, "its job is held");
		why_advise(w, "osier release %llu lets it start", job);
	} else if (a->spec->not_before_ns > a->now) {
		w->reason = "not_before";
		w->start_ns = a->spec->not_before_ns;
		in_text(a->now, w->start_ns, in, sizeof(in));
		why_say(w, "its job may not start before its time, which is %s", in);
	} else {
		return false;
	}
	return true;
}

static bool why_node_waits(const struct asked *a, struct why *w)
{
	if (node_read_only(a->q->api->node)) {
		w->reason = "no_keeper";
		why_say(w, "this node only looks: nothing is started here");
		why_advise(w, "osier up starts the node");
	} else if (journal_full(node_journal(a->q->api->node))) {
		w->reason = "disk_full";
		why_say(w, "the disk of %s is full: nothing is started before there is room",
		        node_state_dir(a->q->api->node));
		why_advise(w, "make room on the disk");
	} else {
		return false;
	}
	return true;
}

/* Attempts at it that may still come back. */
static void why_parked(const struct asked *a, struct why *w)
{
	struct lease_view l;
	char text[256];

	for (lease_id at = {0}; engine_parked_next(a->en, a->job->id, a->step, a->index, at, &l); at = l.id)
		if (away_text(a->en, &l, a->now, text, sizeof(text)))
			why_say(w, "; %s", text);
}

static void why_late(const struct asked *a, struct why *w)
{
	char text[512];

	late_text(a->q, a->job->id, a->step, a->index, text, sizeof(text));
	if (text[0])
		why_say(w, "; %s", text);
}

static void explain(const struct asked *a, struct why *w)
{
	if (a->task.state == TASK_DONE) {
		why_done(a, w);
		why_late(a, w);
	} else if (why_class(a, w))
		;
	else if (a->task.state == TASK_LEASED)
		why_running(a, w);
	else if (why_job_waits(a, w))
		;
	else if (a->task.state == TASK_DELAYED)
		why_delayed(a, w);
	else if (a->task.state == TASK_BLOCKED)
		why_blocked(a, w);
	else if (!why_node_waits(a, w))
		why_queue(a->en, a->job, a->spec, a->step, a->now, w);
	if (a->task.state != TASK_DONE)
		why_parked(a, w);
}

/* ---- writing it down ---- */

static void waits_json(struct json_out *o, const struct why *w)
{
	jo_key(o, "waits_for");
	jo_array(o);
	for (unsigned i = 0; i < w->n_waits; i++) {
		jo_object(o);
		jo_key(o, "step");
		jo_str(o, w->waits[i].step);
		jo_key(o, "index");
		if (w->waits[i].one)
			jo_u64(o, w->waits[i].index);
		else
			jo_null(o);
		jo_key(o, "done");
		jo_u64(o, w->waits[i].done);
		jo_key(o, "total");
		jo_u64(o, w->waits[i].total);
		jo_object_end(o);
	}
	jo_array_end(o);
}

static void why_json(const struct asked *a, const struct why *w)
{
	struct json_out *o = answer_out(a->q);
	char job[512];

	job_name_text(a->job->name, a->job->id.v, job, sizeof(job));
	jo_object(o);
	jo_key(o, "id");
	jo_strf(o, "%s/%s/%llu", job, a->spec->steps[a->step]->name, (unsigned long long)a->index);
	jo_key(o, "state");
	jo_str(o, task_state_text(&a->task));
	jo_key(o, "reason");
	jo_str(o, w->reason);
	jo_key(o, "sentence");
	jo_str(o, w->sentence);
	waits_json(o, w);
	why_queue_json(o, a->en, w);
	jo_key(o, "start");
	jo_time_or_null(o, w->start_ns);
	jo_key(o, "advice");
	jo_array(o);
	for (unsigned i = 0; i < w->n_advice; i++)
		jo_str(o, w->advice[i]);
	jo_array_end(o);
	jo_object_end(o);
	answer_json(a->q, 200);
}

static void answer_why(
        struct request *q, const struct job_view *v, const Wire__JobSpec *spec, uint32_t step, uint64_t index)
{
	struct why w = {.reason = "unknown"};
	struct asked a = {.q = q,
	        .en = node_engine(q->api->node),
	        .job = v,
	        .spec = spec,
	        .step = step,
	        .index = index,
	        .now = node_now_ns(q->api->node)};

	CHECK(engine_task(a.en, v->id, step, index, &a.task));
	explain(&a, &w);
	why_json(&a, &w);
}

void h_why(struct request *q)
{
	struct job_view v;
	struct spec_ref ref;
	uint32_t step;
	uint64_t index;

	if (request_task(q, &v, &step, &index, &ref) < 0)
		return;
	answer_why(q, &v, ref.spec, step, index);
	spec_release(&ref);
}

/* The first task of the step that is not done, looking at so many at most. */
static bool first_open(const struct engine *en, job_id job, uint32_t step, uint64_t tasks, uint64_t *out)
{
	struct task_view t;

	for (uint64_t i = 0; i < tasks && i < API_SCAN_MAX; i++)
		if (engine_task(en, job, step, i, &t) && t.state != TASK_DONE) {
			*out = i;
			return true;
		}
	return false;
}

/* A failed task is what one wants to hear of when the job has failed. */
static bool first_failed(const struct engine *en, job_id job, uint32_t step, uint64_t tasks, uint64_t *out)
{
	struct task_view t;

	for (uint64_t i = 0; i < tasks && i < API_SCAN_MAX; i++)
		if (engine_task(en, job, step, i, &t) && t.state == TASK_DONE &&
		        t.outcome != WIRE__OUTCOME__SUCCEEDED && t.outcome != WIRE__OUTCOME__SKIPPED) {
			*out = i;
			return true;
		}
	return false;
}

void h_why_job(struct request *q)
{
	const struct engine *en = node_engine(q->api->node);
	struct job_view v;
	struct spec_ref ref;
	struct err e;
	uint32_t step = 0;
	uint64_t index = 0;
	bool found = false;

	if (request_job(q, &v) < 0)
		return;
	if (spec_hold(q->api->specs, en, v.id, &ref, &e) < 0) {
		answer_err(q, &e);
		return;
	}
	for (uint32_t i = 0; i < ref.spec->n_steps && !found; i++) {
		struct step_counts c;

		if (!engine_step_counts(en, v.id, i, &c))
			continue;
		if (job_is_active(v.state) && count_done(&c) < c.total)
			found = first_open(en, v.id, i, ref.spec->steps[i]->tasks, &index);
		else if (!job_is_active(v.state) && c.failed + c.stopped)
			found = first_failed(en, v.id, i, ref.spec->steps[i]->tasks, &index);
		step = i;
	}
	answer_why(q, &v, ref.spec, found ? step : 0, found ? index : 0);
	spec_release(&ref);
}
