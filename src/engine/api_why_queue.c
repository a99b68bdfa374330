/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_why_queue - what the scheduler says of a ready task, in words.
 */
#include <stdio.h>
#include <string.h>

#include "engine/api_why.h"

struct words {
	const struct engine *en;
	const struct job_view *job;
	const Wire__JobSpec *spec;
	const char *resource, *node;
	char needs[40], free[40], capacity[40];
	uint64_t now;
};

static void say_scarce(const struct words *t, struct why *w)
{
	w->has_resource = true;
	why_say(w, "it waits for %s: it needs %s, and %s has %s of %s free", t->resource, t->needs, t->node,
	        t->free, t->capacity);
}

static void say_holders(const struct words *t, struct why *w)
{
	char job[120], amount[40], end[40];

	for (uint32_t i = 0; i < w->s.n_holders && i < 2; i++) {
		const struct sched_holder *h = &w->s.holders[i];

		why_job_text(t->en, h->job, job, sizeof(job));
		api_amount_text(t->resource, h->amount, amount, sizeof(amount));
		why_say(w, "%s%s holds %s", i ? ", " : "; ", job, amount);
		if (h->until_ns > t->now) {
			api_duration_text(h->until_ns - t->now, end, sizeof(end));
			why_say(w, " for about %s more", end);
		}
	}
	if (w->s.n_holders > 2)
		why_say(w, " and %u more leases hold some", w->s.n_holders - 2);
}

static void advise_resource(const struct words *t, struct why *w)
{
	char amount[40], job[120];

	if (w->s.fits_amount) {
		api_amount_text(t->resource, w->s.fits_amount, amount, sizeof(amount));
		why_advise(w, "ask for no more than %s of %s", amount, t->resource);
	}
	if (w->s.n_holders) {
		why_job_text(t->en, w->s.holders[0].job, job, sizeof(job));
		why_advise(w, "end %s: osier cancel %s", job, job);
	}
}

static void say_behind(const struct words *t, struct why *w)
{
	char job[120];

	w->has_behind = true;
	why_job_text(t->en, w->s.blocking_job, job, sizeof(job));
	why_say(w, "others come first: %llu task%s of %llu step%s", (unsigned long long)w->s.tasks_before,
	        w->s.tasks_before == 1 ? "" : "s", (unsigned long long)w->s.groups_before,
	        w->s.groups_before == 1 ? "" : "s");
	if (w->s.blocking_job)
		why_say(w, ", the first of %s", job);
	if (t->job->priority < 100)
		why_advise(w, "osier adjust %llu --priority 100 puts it first in its namespace",
		        (unsigned long long)t->job->id.v);
}

static void say_reserved(const struct words *t, struct why *w)
{
	char job[120];

	w->has_behind = true;
	why_job_text(t->en, w->s.blocking_job, job, sizeof(job));
	why_say(w, "it would fit, but would delay %s, which comes first and has a reservation", job);
	why_advise(w, "a shorter run_timeout tells that it does not: osier adjust %llu --run-timeout ...",
	        (unsigned long long)t->job->id.v);
}

/* Of a quota of the hub's, how much of it is here, and until when. */
static void say_quota(const struct words *t, struct why *w)
{
	struct sched_namespace_view ns;
	struct parent_view p;
	struct quota_view q;
	char until[TIME_TEXT_BYTES], used[40], may[40];
	uint32_t r = w->s.resource;

	if (!sched_namespace_named(engine_sched(t->en), t->job->namespace_, &ns) || ns.cap[r] == UINT64_MAX ||
	        ns.cap[r] > ns.quota[r] || !engine_quota(t->en, 0, &q) || !engine_parent(t->en, &p)) {
		why_say(w, "namespace %s has used up its quota of %s (%s): it needs %s and %s is left",
		        t->job->namespace_, t->resource, t->capacity, t->needs, t->free);
		why_advise(w, "the node's owner can raise the quota");
		return;
	}
	api_amount_text(t->resource, ns.used[r] + ns.lent[r], used, sizeof(used));
	api_amount_text(t->resource, ns.cap[r], may, sizeof(may));
	jo_time_text(q.until_ns, until);
	until[16] = '\0'; /* "2026-11-21T12:00" */
	if (q.over)
		why_say(w,
		        "namespace '%s' may use %s %s here (%s has not been heard of for so long that its "
		        "share ran "
		        "out), %s are in use",
		        t->job->namespace_, may, t->resource, p.name, used);
	else
		why_say(w, "namespace '%s' may use %s %s here until %sZ (delegated by %s), %s are in use",
		        t->job->namespace_, may, t->resource, until, p.name, used);
	why_advise(w, "submit it at %s, or let its owner raise the quota there", p.name);
}

static void say_limits(const struct words *t, struct why *w)
{
	unsigned long long job = t->job->id.v;

	if (w->s.reason == WAIT_CONCURRENCY) {
		w->reason = "concurrency";
		why_say(w, "its job runs as many tasks at once as it may (%u)", t->spec->concurrency);
		why_advise(w, "osier adjust %llu --concurrency N lets more run", job);
	} else if (w->s.reason == WAIT_QUOTA) {
		w->reason = "quota";
		w->has_resource = true;
		say_quota(t, w);
	} else if (w->s.reason == WAIT_DRAINED) {
		w->reason = "drained";
		why_say(w, "every node that could take it is drained or lost");
		why_advise(w, "osier node resume %s", t->node);
	} else {
		w->reason = "too_large";
		w->has_resource = true;
		why_say(w, "no node could ever take it: it needs %s of %s, and the largest node has %s",
		        t->needs, t->resource, t->capacity);
		why_advise(w, "ask for less %s, or cancel it: osier cancel %llu", t->resource, job);
	}
}

/* It waits for one of those nodes that it may go to. */
static void say_place(const struct words *t, struct why *w)
{
	char change[200];

	if (w->s.reason == WAIT_WHERE) {
		w->reason = "where";
		why_say(w, "no node has the labels that it asks for with 'where'");
		if (places_change(t->en, &w->places, change, sizeof(change)))
			why_advise(w, "%s", change);
		why_advise(w, "cancel it and submit it with another 'where': osier cancel %llu",
		        (unsigned long long)t->job->id.v);
	} else if (w->s.reason == WAIT_PAUSED) {
		w->reason = "paused";
		why_say(w, "%s has room, but pauses: task after task failed on it", t->node);
		why_advise(w, "osier history --node %s tells what failed there", t->node);
	} else if (w->s.reason == WAIT_LINK) {
		w->reason = "link";
		why_say(w, "%s has room, but what may come over its link is used up, or it is not the hour",
		        t->node);
		why_advise(w, "raise link.bytes or change link.hours in the config.yaml of %s", t->node);
	} else {
		w->reason = "elsewhere";
		why_say(w, "%s has room, but it failed there, and waits for another node that could take it",
		        t->node);
	}
}

static void words_init(struct words *t, const struct sched_why *s)
{
	const struct sched *sc = engine_sched(t->en);
	struct sched_node_view n;

	t->resource = sched_resource_name(sc, s->resource);
	if (!t->resource)
		t->resource = "resources";
	t->node = sched_node(sc, s->node, &n) ? n.name : "the node";
	api_amount_text(t->resource, s->needs, t->needs, sizeof(t->needs));
	api_amount_text(t->resource, s->free, t->free, sizeof(t->free));
	api_amount_text(t->resource, s->capacity, t->capacity, sizeof(t->capacity));
}

static void say_reason(const struct words *t, struct why *w)
{
	switch (w->s.reason) {
	case WAIT_NOT_READY:
		w->reason = "unknown";
		why_say(w, "it is not ready yet");
		break;
	case WAIT_NEXT:
		w->reason = "next";
		why_say(w, "it starts now");
		break;
	case WAIT_RESOURCES:
		w->reason = "resources";
		say_scarce(t, w);
		say_holders(t, w);
		advise_resource(t, w);
		break;
	case WAIT_RESERVED:
		w->reason = "reserved";
		say_reserved(t, w);
		break;
	case WAIT_BEHIND:
		w->reason = "behind";
		say_behind(t, w);
		break;
	case WAIT_GANG:
		w->reason = "gang";
		why_say(w, "its %llu members must start at one time; there is room for %llu now",
		        (unsigned long long)w->s.needs, (unsigned long long)w->s.free);
		if (w->s.capacity < w->s.needs)
			why_say(w, ", and for %llu were all nodes that are up empty",
			        (unsigned long long)w->s.capacity);
		break;
	case WAIT_WHERE:
	case WAIT_PAUSED:
	case WAIT_LINK:
	case WAIT_ELSEWHERE:
		say_place(t, w);
		break;
	case WAIT_CONCURRENCY:
	case WAIT_QUOTA:
	case WAIT_DRAINED:
	case WAIT_TOO_LARGE:
		say_limits(t, w);
		break;
	}
}

void why_queue(const struct engine *en, const struct job_view *job, const Wire__JobSpec *spec, uint32_t step,
        uint64_t now, struct why *w)
{
	struct words t = {.en = en, .job = job, .spec = spec, .now = now};
	struct step_view v;
	char in[40];

	if (!engine_step(en, job->id, step, &v) || v.group == UINT32_MAX ||
	        !sched_why(engine_sched(en), v.group, now, &w->s)) {
		why_say(w, "it is about to be placed");
		return;
	}
	words_init(&t, &w->s);
	w->places = (struct places){.step = spec->steps[step], .group = v.group, .now = now};
	say_reason(&t, w);
	w->start_ns = w->s.start_ns;
	if (w->start_ns > now) {
		api_duration_text(w->start_ns - now, in, sizeof(in));
		why_say(w, "; it should start in about %s", in);
	}
}

static void holders_json(
        struct json_out *o, const struct engine *en, const struct why *w, const char *resource)
{
	char job[512];

	jo_key(o, "holders");
	jo_array(o);
	for (uint32_t i = 0; w->has_resource && i < w->s.n_holders; i++) {
		jo_object(o);
		jo_key(o, "lease");
		jo_u64(o, w->s.holders[i].lease);
		jo_key(o, "job");
		why_job_text(en, w->s.holders[i].job, job, sizeof(job));
		jo_str(o, job);
		jo_key(o, "amount");
		amount_json(o, resource, w->s.holders[i].amount);
		jo_key(o, "until");
		jo_time_or_null(o, w->s.holders[i].until_ns);
		jo_object_end(o);
	}
	jo_array_end(o);
}

static void behind_json(struct json_out *o, const struct engine *en, const struct why *w)
{
	char job[512];

	jo_key(o, "behind");
	if (!w->has_behind) {
		jo_null(o);
		return;
	}
	jo_object(o);
	jo_key(o, "job");
	why_job_text(en, w->s.blocking_job, job, sizeof(job));
	jo_str(o, w->s.blocking_job ? job : NULL);
	jo_key(o, "steps");
	jo_u64(o, w->s.groups_before);
	jo_key(o, "tasks");
	jo_u64(o, w->s.tasks_before);
	jo_object_end(o);
}

void why_queue_json(struct json_out *o, const struct engine *en, const struct why *w)
{
	const struct sched *s = engine_sched(en);
	const char *resource = w->has_resource ? sched_resource_name(s, w->s.resource) : NULL;
	struct sched_node_view n;

	jo_key(o, "resource");
	if (resource) {
		jo_object(o);
		jo_key(o, "name");
		jo_str(o, resource);
		jo_key(o, "needs");
		amount_json(o, resource, w->s.needs);
		jo_key(o, "free");
		amount_json(o, resource, w->s.free);
		jo_key(o, "capacity");
		amount_json(o, resource, w->s.capacity);
		jo_key(o, "node");
		jo_str(o, sched_node(s, w->s.node, &n) ? n.name : NULL);
		jo_object_end(o);
	} else {
		jo_null(o);
	}
	holders_json(o, en, w, resource ? resource : "");
	behind_json(o, en, w);
	places_json(o, en, &w->places);
}
