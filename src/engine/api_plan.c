/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_plan - where and when each step of a job would run, without running it.
 *
 * Whether it would be accepted is asked of the core itself: decide() changes nothing, so its answer is the true one. Times
 * come from learned run times, step after step; what is not known is said, not guessed. Steps that run beside each other
 * are each counted as if they came alone behind what waits already, so a finish is the earliest one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/api_jobfile.h"
#include "engine/api_places.h"
#include "wire/entry.h"

#define DECIDED_BYTES (1u << 20)
#define DECIDED_MAX   128u
#define UNKNOWN_MAX   8u

struct plan_step {
	uint64_t start_ns, finish_ns; /* 0 unknown */
	char refusal[240];
};

struct plan {
	const struct engine *en;
	const struct sched *s;
	const Wire__JobSpec *spec;
	uint64_t now, deadline_ns, start_ns, finish_ns, tasks;
	bool accepted, known;
	char refusal[400], hint[200], warning[300];
	unsigned n_unknown;
	char unknown[UNKNOWN_MAX][160];
	struct plan_step *steps;
};

/* ---- would it be accepted ---- */

static void ask_core(struct request *q, struct plan *p)
{
	Wire__Principal by;
	struct command c = {.kind = CMD_SUBMIT, .by = &by, .u.submit = {.spec = p->spec}};
	const Wire__Entry *v[DECIDED_MAX];
	struct arena a;
	struct entry_list out = {.arena = &a, .v = v, .max = DECIDED_MAX};
	size_t bytes = DECIDED_BYTES + 16 * jobspec_size(p->spec);
	void *mem = malloc(bytes);

	CHECK(mem);
	arena_init(&a, mem, bytes);
	principal_of(q, &by);
	engine_decide(p->en, p->now, &c, &out);
	p->accepted = !out.full;
	for (size_t i = 0; i < out.n && !out.full; i++) {
		if (v[i]->body_case == WIRE__ENTRY__BODY_REFUSED) {
			p->accepted = false;
			snprintf(p->refusal, sizeof(p->refusal), "%s", v[i]->refused->reason);
			snprintf(p->hint, sizeof(p->hint), "%s", v[i]->refused->hint);
		} else if (v[i]->body_case == WIRE__ENTRY__BODY_JOB_SUBMITTED) {
			snprintf(p->warning, sizeof(p->warning), "%s", v[i]->job_submitted->warning);
		}
	}
	if (out.full)
		snprintf(p->refusal, sizeof(p->refusal), "the job is too large to be planned");
	free(mem);
}

/* ---- when ---- */

static void unknown(struct plan *p, const char *text, const char *name)
{
	if (p->n_unknown < UNKNOWN_MAX)
		snprintf(p->unknown[p->n_unknown++], sizeof(p->unknown[0]), text, name);
}

static uint32_t step_index(const Wire__JobSpec *spec, const char *name)
{
	uint32_t i;

	for (i = 0; i < spec->n_steps && strcmp(spec->steps[i]->name, name) != 0; i++)
		;
	return i;
}

/* When what the step comes after is finished; 0: nobody knows. */
static uint64_t ready_at(const struct plan *p, const Wire__Step *s)
{
	uint64_t at = p->spec->not_before_ns > p->now ? p->spec->not_before_ns : p->now;

	for (size_t i = 0; i <= s->n_after; i++) {
		const char *name = i < s->n_after ? s->after[i]->step : s->reduce ? s->reduce->of : NULL;
		uint32_t k = name ? step_index(p->spec, name) : (uint32_t)p->spec->n_steps;

		if (k == p->spec->n_steps)
			continue;
		if (!p->steps[k].finish_ns)
			return 0;
		if (p->steps[k].finish_ns > at)
			at = p->steps[k].finish_ns;
	}
	return at;
}

static void plan_step(struct plan *p, uint32_t i)
{
	const Wire__Step *s = p->spec->steps[i];
	const Wire__Variant *const *v = (const Wire__Variant *const *)s->variants;
	bool realtime = p->spec->class_ == WIRE__JOB_SPEC__CLASS__REALTIME;
	struct plan_step *out = &p->steps[i];
	uint64_t ready = ready_at(p, s), end;

	if (!sched_could_fit(p->s, p->spec->namespace_, v, s->n_variants, out->refusal, sizeof(out->refusal)))
		return;
	out->refusal[0] = 0;
	end = sched_earliest_finish_ns(p->s, p->now, realtime, p->spec->priority, p->deadline_ns,
	        p->spec->namespace_, s->kind, v, s->n_variants, s->place, s->tasks);
	if (!end) {
		unknown(p, "how long tasks of step '%.80s' take: none has run yet", s->name);
		out->start_ns = ready;
		return;
	}
	if (!ready)
		return;
	out->start_ns = ready;
	out->finish_ns = ready + (end > p->now ? end - p->now : 0);
}

static void plan_steps(struct plan *p)
{
	p->known = true;
	for (uint32_t i = 0; i < p->spec->n_steps; i++) {
		plan_step(p, i);
		p->tasks += p->spec->steps[i]->tasks;
		if (!p->steps[i].finish_ns)
			p->known = false;
		if (p->steps[i].finish_ns > p->finish_ns)
			p->finish_ns = p->steps[i].finish_ns;
		if (p->steps[i].start_ns && (!p->start_ns || p->steps[i].start_ns < p->start_ns))
			p->start_ns = p->steps[i].start_ns;
	}
	if (!p->known)
		p->finish_ns = 0;
	if (p->spec->held)
		unknown(p, "when it starts: the job is %s", "held");
}

/* ---- where ---- */

/* How many times a node's devices hold a share of one of them. */
static uint64_t shares(const struct sched *s, uint32_t node, uint32_t resource, uint64_t need, bool now)
{
	struct sched_device_view d;
	uint64_t n = 0;

	for (uint32_t k = 0; sched_device(s, node, k, &d); k++)
		if (d.resource == resource && (!now || d.free > 0))
			n += (now ? (uint64_t)d.free : d.milli) / need;
	return n;
}

static bool has_devices(const struct sched *s, uint32_t node, uint32_t resource)
{
	struct sched_device_view d;

	for (uint32_t k = 0; sched_device(s, node, k, &d); k++)
		if (d.resource == resource)
			return true;
	return false;
}

static uint64_t fits(const struct sched *s, const struct sched_node_view *n, const Wire__Variant *v, bool now)
{
	uint64_t most = UINT64_MAX;

	for (size_t i = 0; i < v->n_needs; i++) {
		const char *name;
		uint64_t need = v->needs[i]->amount, k = 0;

		if (!need)
			continue;
		for (uint32_t r = 0; r < RESOURCES_MAX && (name = sched_resource_name(s, r)); r++) {
			if (strcmp(name, v->needs[i]->name) != 0)
				continue;
			if (need < 1000 && !in_bytes(name) && has_devices(s, n->node, r))
				k = shares(s, n->node, r, need, now);
			else if (!now)
				k = n->capacity[r] / need;
			else
				k = n->free[r] > 0 ? (uint64_t)n->free[r] / need : 0;
		}
		most = k < most ? k : most;
	}
	return most == UINT64_MAX ? 0 : most;
}

/* How many of it the node takes, with those below it, as far as the step's `where` asks for them; out_now: now. */
static uint64_t room_of(
        const struct plan *p, const Wire__Step *s, const Wire__Variant *v, uint32_t node, uint64_t *out_now)
{
	struct sched_node_view at;
	uint64_t most = 0;

	*out_now = 0;
	for (uint32_t k = 0; sched_class(p->s, node, k, &at); k++) {
		if (!sched_class_meets(p->s, node, k, s->place))
			continue;
		most += fits(p->s, &at, v, false);
		*out_now += at.state == WIRE__NODE_SET__STATE__UP ? fits(p->s, &at, v, true) : 0;
	}
	return most;
}

static void room_json(struct json_out *o, const struct plan *p, const Wire__Step *s)
{
	struct sched_node_view n;

	jo_key(o, "places");
	jo_array(o);
	for (uint32_t at = 0; sched_node_next(p->s, at, &n); at = n.node)
		for (uint32_t v = 0; v < s->n_variants; v++) {
			uint64_t now, most = room_of(p, s, s->variants[v], n.node, &now);

			if (!most || n.state == WIRE__NODE_SET__STATE__LOST)
				continue;
			jo_object(o);
			jo_key(o, "node");
			jo_str(o, n.name);
			jo_key(o, "variant");
			jo_u64(o, v);
			jo_key(o, "needs");
			needs_json(o, s->variants[v]->needs, s->variants[v]->n_needs);
			jo_key(o, "at_once");
			jo_u64(o, most);
			jo_key(o, "now");
			jo_u64(o, now);
			jo_object_end(o);
		}
	jo_array_end(o);
}

static void steps_json(struct json_out *o, const struct plan *p)
{
	jo_key(o, "steps");
	jo_array(o);
	for (uint32_t i = 0; i < p->spec->n_steps; i++) {
		const Wire__Step *s = p->spec->steps[i];

		jo_object(o);
		jo_key(o, "name");
		jo_str(o, s->name);
		jo_key(o, "tasks");
		jo_u64(o, s->tasks);
		jo_key(o, "start");
		jo_time_or_null(o, p->steps[i].start_ns);
		jo_key(o, "finish");
		jo_time_or_null(o, p->steps[i].finish_ns);
		jo_key(o, "run_s");
		seconds_or_null(o, sched_run_ns(p->s, s->kind, 500));
		jo_key(o, "run_p90_s");
		seconds_or_null(o, sched_run_ns(p->s, s->kind, 900));
		jo_key(o, "refusal");
		jo_str(o, p->steps[i].refusal[0] ? p->steps[i].refusal : NULL);
		room_json(o, p, s);
		places_json(o, p->en, &(struct places){.step = s, .now = p->now});
		jo_object_end(o);
	}
	jo_array_end(o);
}

static void sentence_json(struct json_out *o, const struct plan *p)
{
	unsigned long long tasks = p->tasks, steps = p->spec->n_steps;
	char d[40];

	jo_key(o, "sentence");
	if (!p->accepted) {
		jo_strf(o, "it would be refused: %s%s%s", p->refusal, p->hint[0] ? "; " : "", p->hint);
		return;
	}
	api_duration_text(p->finish_ns > p->now ? p->finish_ns - p->now : 0, d, sizeof(d));
	if (p->finish_ns)
		jo_strf(o, "%llu task%s in %llu step%s, done in about %s at the earliest%s%s", tasks,
		        tasks == 1 ? "" : "s", steps, steps == 1 ? "" : "s", d,
		        p->warning[0] ? "; warning: " : "", p->warning);
	else
		jo_strf(o, "%llu task%s in %llu step%s; when it would be done is not known yet%s%s", tasks,
		        tasks == 1 ? "" : "s", steps, steps == 1 ? "" : "s",
		        p->warning[0] ? "; warning: " : "", p->warning);
}

static void plan_json(struct json_out *o, const struct plan *p)
{
	jo_object(o);
	jo_key(o, "accepted");
	jo_bool(o, p->accepted);
	sentence_json(o, p);
	jo_key(o, "tasks");
	jo_u64(o, p->tasks);
	jo_key(o, "start");
	jo_time_or_null(o, p->start_ns);
	jo_key(o, "finish");
	jo_time_or_null(o, p->finish_ns);
	jo_key(o, "deadline");
	jo_time_or_null(o, p->deadline_ns);
	jo_key(o, "deadline_met");
	if (p->deadline_ns && p->finish_ns)
		jo_bool(o, p->finish_ns <= p->deadline_ns);
	else
		jo_null(o);
	jo_key(o, "unknown");
	jo_array(o);
	for (unsigned i = 0; i < p->n_unknown; i++)
		jo_str(o, p->unknown[i]);
	jo_array_end(o);
	steps_json(o, p);
	jo_object_end(o);
}

void h_plan(struct request *q)
{
	struct jobfile_jobs *jobs = malloc(sizeof(*jobs));
	struct plan *p = calloc(1, sizeof(*p));

	CHECK(jobs && p);
	if (read_jobs(q, jobs) == 0 && jobs->many) {
		answer_error(q, 400, "invalid", "only one job can be planned at a time", NULL);
	} else if (!q->response) {
		p->en = node_engine(q->api->node);
		p->s = engine_sched(p->en);
		p->spec = jobs->specs[0];
		p->now = node_now_ns(q->api->node);
		p->deadline_ns = p->spec->deadline_ns         ? p->spec->deadline_ns
		                 : p->spec->deadline_after_ns ? p->now + p->spec->deadline_after_ns
		                                              : 0;
		p->steps = calloc(p->spec->n_steps, sizeof(*p->steps));
		CHECK(p->steps);
		ask_core(q, p);
		plan_steps(p);
		plan_json(answer_out(q), p);
		answer_json(q, 200);
		free(p->steps);
	}
	free(p);
	free(jobs);
}
