/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_tasks - pages of tasks, and one task with every attempt.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/params.h"
#include "engine/api_int.h"
#include "engine/api_result.h"
#include "io/growing.h"
#include "wire/entry.h"

/* ---- pages ---- */

static const char *const task_states[] = {
        "blocked", "ready", "delayed", "running", "succeeded", "failed", "skipped", "stopped"};
#define TASK_STATES ARRAY_LEN(task_states)

struct page {
	unsigned states; /* a bit for each of task_states */
	uint64_t limit;
	uint32_t step, last_step; /* where it begins, and the last step that is looked at */
	uint64_t index;
	bool at_end;
};

static unsigned state_bit(const char *name)
{
	for (size_t i = 0; i < TASK_STATES; i++)
		if (!strcmp(task_states[i], name))
			return 1u << i;
	return 0;
}

static int parse_states(struct request *q, unsigned *out)
{
	const char *given = query_text(q, "state");
	char *text, *save = NULL, *word;
	int r = 0;

	*out = given ? 0 : ~0u;
	if (!given)
		return 0;
	text = strdup(given);
	CHECK(text);
	for (word = strtok_r(text, ",", &save); word && !r; word = strtok_r(NULL, ",", &save)) {
		unsigned bit = state_bit(word);

		*out |= bit;
		if (!bit) {
			answer_errf(q, 400, "invalid",
			        "blocked, ready, delayed, running, succeeded, failed, skipped, stopped",
			        "there is no task state '%.40s'", word);
			r = -1;
		}
	}
	free(text);
	if (!r && !*out) {
		answer_error(q, 400, "invalid", "'state' names no state", NULL);
		r = -1;
	}
	return r;
}

/* `after` is "STEP.INDEX", the last task that was looked at. */
static int parse_after(struct request *q, const Wire__JobSpec *spec, struct page *p)
{
	const char *after = query_text(q, "after");
	char *dot = after ? strchr((char *)(uintptr_t)after, '.') : NULL;
	uint64_t step, index;

	if (!after)
		return 0;
	if (dot)
		*dot = 0;
	if (!dot || path_number(after, &step) < 0 || path_number(dot + 1, &index) < 0 ||
	        step >= spec->n_steps || index >= spec->steps[step]->tasks) {
		answer_error(q, 400, "invalid", "'after' is not the 'next' of a page", NULL);
		return -1;
	}
	if (step < p->step || step > p->last_step) {
		answer_error(q, 400, "invalid", "'after' belongs to another step", NULL);
		return -1;
	}
	p->step = (uint32_t)step;
	p->index = index + 1;
	return 0;
}

static int parse_page(struct request *q, const Wire__JobSpec *spec, struct page *p)
{
	const char *step = query_text(q, "step");

	*p = (struct page){.limit = API_PAGE, .last_step = (uint32_t)spec->n_steps - 1};
	if (step) {
		if (find_step(q, spec, step, &p->step) < 0)
			return -1;
		p->last_step = p->step;
	}
	if (query_u64(q, "limit", 1, API_PAGE_MAX, &p->limit) < 0 || parse_states(q, &p->states) < 0)
		return -1;
	return parse_after(q, spec, p);
}

static void task_id_json(struct json_out *o, const struct job_view *v, const char *step, uint64_t index)
{
	char job[512], text[1024];

	job_name_text(v->name, v->id.v, job, sizeof(job));
	snprintf(text, sizeof(text), "%s/%s/%llu", job, step, (unsigned long long)index);
	jo_str(o, text);
}

static void outcome_json(struct json_out *o, const struct task_view *t)
{
	if (t->state == TASK_DONE)
		jo_str(o, outcome_name(t->outcome));
	else
		jo_null(o);
}

/* Where it runs, or null. */
static void where_json(struct json_out *o, const struct engine *en, const struct task_view *t)
{
	struct sched_node_view n;
	struct lease_view l;

	if (t->state == TASK_LEASED && engine_lease(en, t->lease, &l) &&
	        sched_node(engine_sched(en), l.node, &n))
		jo_str(o, n.name);
	else
		jo_null(o);
}

static void task_json(struct json_out *o, const struct engine *en, const struct job_view *v, const char *step,
        uint64_t index, const struct task_view *t)
{
	jo_object(o);
	jo_key(o, "id");
	task_id_json(o, v, step, index);
	jo_key(o, "step");
	jo_str(o, step);
	jo_key(o, "index");
	jo_u64(o, index);
	jo_key(o, "state");
	jo_str(o, task_state_text(t));
	jo_key(o, "outcome");
	outcome_json(o, t);
	jo_key(o, "attempts");
	jo_u64(o, t->attempts);
	jo_key(o, "lease");
	if (t->lease.v)
		jo_u64(o, t->lease.v);
	else
		jo_null(o);
	jo_key(o, "node");
	where_json(o, en, t);
	jo_key(o, "due");
	jo_time_or_null(o, t->state == TASK_DELAYED ? t->due_ns : 0);
	jo_object_end(o);
}

/* Has the step any task in one of these states? Saves a walk through ten million. */
static bool step_has(const struct engine *en, job_id job, uint32_t step, unsigned states)
{
	struct step_counts c;

	if (!engine_step_counts(en, job, step, &c))
		return false;
	const uint64_t n[TASK_STATES] = {
	        c.blocked, c.ready, c.delayed, c.leased, c.succeeded, c.failed, c.skipped, c.stopped};
	for (size_t i = 0; i < TASK_STATES; i++)
		if ((states >> i & 1) && n[i])
			return true;
	return false;
}

static void page_json(struct json_out *o, const struct engine *en, const struct job_view *v,
        const Wire__JobSpec *spec, struct page *p)
{
	uint64_t n = 0, seen = 0;
	struct task_view t;

	for (;; p->step++, p->index = 0) {
		const Wire__Step *s = spec->steps[p->step];
		uint64_t end = step_has(en, v->id, p->step, p->states) ? s->tasks : p->index;

		for (; p->index < end && n < p->limit && seen < API_SCAN_MAX; p->index++, seen++) {
			if (!engine_task(en, v->id, p->step, p->index, &t) ||
			        !(p->states & state_bit(task_state_text(&t))))
				continue;
			task_json(o, en, v, s->name, p->index, &t);
			n++;
		}
		p->at_end = p->index >= end && p->step == p->last_step;
		if (p->at_end || p->index < end)
			return;
	}
}

void h_tasks(struct request *q)
{
	const struct engine *en = node_engine(q->api->node);
	struct job_view v;
	struct spec_ref ref;
	struct page p;
	struct err e;
	struct json_out *o;

	if (request_job(q, &v) < 0)
		return;
	if (spec_hold(q->api->specs, en, v.id, &ref, &e) < 0) {
		answer_err(q, &e);
		return;
	}
	if (parse_page(q, ref.spec, &p) == 0) {
		o = answer_out(q);
		jo_object(o);
		jo_key(o, "job");
		jo_u64(o, v.id.v);
		jo_key(o, "id");
		job_id_json(o, &v);
		jo_key(o, "tasks");
		jo_array(o);
		page_json(o, en, &v, ref.spec, &p);
		jo_array_end(o);
		jo_key(o, "next");
		if (p.at_end || (!p.index && !p.step))
			jo_null(o);
		else
			jo_strf(o, "%u.%llu", p.step, (unsigned long long)p.index - 1);
		jo_object_end(o);
		answer_json(q, 200);
	}
	spec_release(&ref);
}

/* ---- one task ---- */

struct attempts {
	struct request *q;
	struct json_out *o;
	const Wire__Step *step;
	uint64_t index;
	bool show; /* digests */
	struct growing g;
	unsigned n;
	struct lease_found *leases; /* one for each attempt, in order */
};

#define ATTEMPTS_MAX 256u

struct attempt_key {
	uint64_t lease, seq, time_ns;
};

struct keys {
	struct growing g;
	unsigned n;
	struct attempt_key v[ATTEMPTS_MAX];
};

/* First look: which leases. The reader may not be used meanwhile, so where they were is asked afterwards. */
static int note_lease(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n)
{
	struct keys *k = ctx;
	const Wire__Entry *en;

	growing_clear(&k->g);
	if (k->n == ATTEMPTS_MAX || entry_decode(&k->g.arena, bytes, n, &en, NULL) < 0 || !en->results)
		return -1;
	k->v[k->n++] = (struct attempt_key){en->results->lease, seq, en->time_ns};
	return 0;
}

static void outputs_json(
        struct json_out *o, const Wire__Results *r, uint64_t i, const Wire__Step *s, bool show)
{
	jo_key(o, "outputs");
	jo_array(o);
	for (uint32_t k = 0; k < result_outputs(r, i); k++) {
		struct result_output out;

		result_output_at(r, i, k, &out);
		if (k >= 2 && k - 2 >= s->n_outputs)
			break;
		jo_object(o);
		jo_key(o, "name");
		jo_str(o, k == 0 ? "stdout" : k == 1 ? "stderr" : s->outputs[k - 2]->path);
		jo_key(o, "bytes");
		jo_u64(o, out.bytes);
		if (show && out.sha256) {
			jo_key(o, "sha256");
			jo_hex(o, out.sha256, 32);
		}
		jo_key(o, "truncated");
		jo_bool(o, out.truncated);
		jo_object_end(o);
	}
	jo_array_end(o);
}

static void measures_json(struct json_out *o, const Wire__Results *r, uint64_t i)
{
	jo_key(o, "wall_s");
	jo_fixed(o, (int64_t)RESULT_COLUMN(r, wall_us, i), 6);
	jo_key(o, "user_s");
	jo_fixed(o, (int64_t)RESULT_COLUMN(r, user_us, i), 6);
	jo_key(o, "system_s");
	jo_fixed(o, (int64_t)RESULT_COLUMN(r, system_us, i), 6);
	jo_key(o, "memory_bytes");
	jo_u64(o, RESULT_COLUMN(r, memory_bytes, i));
	jo_key(o, "read_bytes");
	jo_u64(o, RESULT_COLUMN(r, read_bytes, i));
	jo_key(o, "write_bytes");
	jo_u64(o, RESULT_COLUMN(r, write_bytes, i));
}

static void grant_json(struct json_out *o, const struct lease_found *l, uint64_t start_us)
{
	jo_key(o, "node");
	jo_str(o, l->found ? l->node : NULL);
	jo_key(o, "variant");
	if (l->found)
		jo_u64(o, l->variant);
	else
		jo_null(o);
	jo_key(o, "devices");
	jo_array(o);
	for (uint32_t d = 0; l->found && d < l->n_devices; d++)
		jo_u64(o, l->devices[d]);
	jo_array_end(o);
	jo_key(o, "started");
	jo_time_or_null(o, l->found ? l->time_ns + start_us * 1000 : 0);
}

static int attempt_json(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n)
{
	struct attempts *a = ctx;
	struct json_out *o = a->o;
	const struct lease_found *l = &a->leases[a->n];
	const Wire__Entry *en;
	const Wire__Results *r;
	uint64_t i;

	growing_clear(&a->g);
	if (a->n == ATTEMPTS_MAX || entry_decode(&a->g.arena, bytes, n, &en, NULL) < 0 || !en->results)
		return -1;
	r = en->results;
	a->n++;
	i = a->index - r->first;
	if (r->lease != l->lease || i >= r->count)
		return 0;
	jo_object(o);
	jo_key(o, "lease");
	jo_u64(o, r->lease);
	jo_key(o, "seq");
	jo_u64(o, seq);
	grant_json(o, l, RESULT_COLUMN(r, start_us, i));
	jo_key(o, "outcome");
	jo_str(o, outcome_name(RESULT_COLUMN(r, outcome, i)));
	jo_key(o, "code");
	jo_i64(o, RESULT_COLUMN(r, code, i));
	jo_key(o, "reported");
	jo_time(o, en->time_ns);
	measures_json(o, r, i);
	if (result_note_is_for(r, i)) {
		jo_key(o, "note");
		jo_str(o, r->note);
	}
	outputs_json(o, r, i, a->step, a->show);
	jo_object_end(o);
	return 0;
}

static int attempts_json(struct request *q, struct json_out *o, const struct job_view *v, uint32_t step,
        uint64_t index, const Wire__Step *s, struct err *e)
{
	struct journal_reader *rd = node_reader(q->api->node);
	struct keys *k = calloc(1, sizeof(*k));
	struct attempts a = {.q = q, .o = o, .step = s, .index = index, .show = may_change(q, v)};
	struct lease_found *found = calloc(ATTEMPTS_MAX, sizeof(*found));
	int rc;

	CHECK(k && found);
	a.leases = found;
	growing_init(&k->g, 64u << 10, 4 * ENTRY_BYTES_MAX);
	growing_init(&a.g, 64u << 10, 4 * ENTRY_BYTES_MAX);
	jo_key(o, "attempts");
	jo_array(o);
	/* "There are none" is no error here; a damaged journal is the business of who reads an output. */
	rc = journal_read_attempts(rd, v->id.v, step, index, note_lease, k, e);
	if (rc == 0 || k->n) {
		for (unsigned i = 0; i < k->n; i++)
			lease_find(q->api, k->v[i].lease, k->v[i].seq, &found[i]);
		journal_read_attempts(rd, v->id.v, step, index, attempt_json, &a, NULL);
	}
	jo_array_end(o);
	growing_release(&k->g);
	growing_release(&a.g);
	free(found);
	free(k);
	return rc < 0 && err_passes(e) ? -1 : 0;
}

static void params_json(struct json_out *o, const struct job_view *v, const Wire__JobSpec *spec,
        uint32_t step, uint64_t index)
{
	const struct params p = {
	        .spec = spec, .step = step, .task = index, .job = v->id.v, .node = "", .devices = ""};

	jo_key(o, "params");
	jo_object(o);
	for (size_t i = 0; i < spec->steps[step]->n_params; i++) {
		const Wire__Param *axis = spec->steps[step]->params[i];
		char text[4096];
		int64_t n;

		if (axis->kind == WIRE__PARAM__KIND__LINES)
			continue;
		n = params_get(&p, axis->name, text, sizeof(text), NULL);
		if (n < 0)
			continue;
		jo_key_text(o, axis->name);
		jo_str_n(o, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text));
	}
	jo_object_end(o);
}

static void live_json(struct json_out *o, const struct engine *en, const struct task_view *t, uint64_t index)
{
	struct lease_view l;
	struct sched_node_view n;

	jo_key(o, "live");
	if (t->state != TASK_LEASED || !engine_lease(en, t->lease, &l)) {
		jo_null(o);
		return;
	}
	jo_object(o);
	jo_key(o, "lease");
	jo_u64(o, l.id.v);
	jo_key(o, "node");
	jo_str(o, sched_node(engine_sched(en), l.node, &n) ? n.name : "");
	jo_key(o, "variant");
	jo_u64(o, l.variant);
	jo_key(o, "devices");
	jo_array(o);
	for (uint32_t d = 0; d < l.n_devices; d++)
		jo_u64(o, l.devices[d]);
	jo_array_end(o);
	jo_key(o, "granted");
	jo_time(o, l.granted_ns);
	jo_key(o, "position");
	jo_u64(o, index > l.cursor ? index - l.cursor : 0);
	jo_key(o, "stopping");
	jo_str(o, l.stopping ? stop_reason_name(l.reason) : NULL);
	jo_key(o, "away_since");
	jo_time_or_null(o, l.away_ns);
	jo_object_end(o);
}

void h_task(struct request *q)
{
	const struct engine *en = node_engine(q->api->node);
	struct job_view v;
	struct spec_ref ref;
	struct task_view t;
	struct json_out *o;
	struct err e;
	int rc;
	uint32_t step;
	uint64_t index;

	if (request_task(q, &v, &step, &index, &ref) < 0)
		return;
	CHECK(engine_task(en, v.id, step, index, &t));
	o = answer_out(q);
	jo_object(o);
	jo_key(o, "id");
	task_id_json(o, &v, ref.spec->steps[step]->name, index);
	jo_key(o, "job");
	jo_u64(o, v.id.v);
	jo_key(o, "job_id");
	job_id_json(o, &v);
	jo_key(o, "step");
	jo_str(o, ref.spec->steps[step]->name);
	jo_key(o, "index");
	jo_u64(o, index);
	jo_key(o, "state");
	jo_str(o, task_state_text(&t));
	jo_key(o, "outcome");
	outcome_json(o, &t);
	jo_key(o, "due");
	jo_time_or_null(o, t.state == TASK_DELAYED ? t.due_ns : 0);
	params_json(o, &v, ref.spec, step, index);
	live_json(o, en, &t, index);
	votes_json(o, en, v.id, step, index);
	late_json(q, o, v.id, step, index);
	rc = attempts_json(q, o, &v, step, index, ref.spec->steps[step], &e);
	jo_object_end(o);
	if (rc < 0)
		answer_err(q, &e);
	else
		answer_json(q, 200);
	spec_release(&ref);
}
