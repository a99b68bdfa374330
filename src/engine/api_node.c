/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_node - one node: what it is and what runs there, and what its owner changes of it. Not how it joins or leaves.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/identity.h"
#include "core/jobspec.h"
#include "engine/api_why.h"
#include "engine/config.h"
#include "io/cert.h"

#define RUNNING_MAX     1000u /* leases in one answer */
#define RUN_ROWS_MAX    16u   /* steps in short of one node */
#define LABEL_BYTES_MAX 255u

static bool find_node(struct request *q, struct sched_node_view *out)
{
	const struct sched *s = engine_sched(node_engine(q->api->node));
	uint64_t number = 0;
	bool is_number = path_number(q->bound[0], &number) == 0;

	for (uint32_t at = 0; sched_node_next(s, at, out); at = out->node)
		if (!strcmp(out->name, q->bound[0]) || (is_number && out->node == number))
			return true;
	answer_errf(q, 404, "not_found", "'osier nodes' lists them", "there is no node '%.80s'", q->bound[0]);
	return false;
}

static void on_node_set(struct request *q, const struct node_answer *a)
{
	struct sched_node_view v;

	if (a->code != ERR_NONE) {
		answer_error(q, status_of(a->code), err_code_name(a->code), a->message, a->hint);
	} else if (find_node(q, &v)) {
		node_view_json(q->api, answer_out(q), &v);
		answer_json(q, 200);
	}
}

/* NodeSet says everything about a node: the whole of it, with what was changed. */
static void say(struct request *q, Wire__NodeSet *m)
{
	struct command c = {.kind = CMD_NODE_SET};
	Wire__Principal by;

	m->key.len = m->journal.len = 0; /* it does not join again */
	m->from_size = 0;
	principal_of(q, &by);
	c.by = &by;
	c.u.node_set = m;
	request_command(q, &c, (job_id){0}, on_node_set);
}

static void set_state(struct request *q, Wire__NodeSet__State state)
{
	struct sched_node_view v;
	Wire__NodeSet *m;

	if (!find_node(q, &v))
		return;
	m = node_set_of(q->api, v.node);
	CHECK(m);
	m->state = state;
	say(q, m);
	node_set_free(m);
}

void h_drain(struct request *q)
{
	json_t *body = body_json(q, true);

	if (body && body_keys(q, body, ",") == 0)
		set_state(q, WIRE__NODE_SET__STATE__DRAINED);
}

void h_resume(struct request *q)
{
	json_t *body = body_json(q, true);

	if (body && body_keys(q, body, ",") == 0)
		set_state(q, WIRE__NODE_SET__STATE__UP);
}

/* ---- removing ---- */

static void on_node_removed(struct request *q, const struct node_answer *a)
{
	struct json_out *o;

	if (a->code != ERR_NONE) {
		answer_error(q, status_of(a->code), err_code_name(a->code), a->message, a->hint);
		return;
	}
	o = answer_out(q);
	jo_object(o);
	jo_key(o, "removed");
	jo_str(o, q->bound[0]);
	jo_object_end(o);
	answer_json(q, 200);
}

/* Its certificates count no more, first of all. It may have none: then the core alone knows of it. */
static void shut_out(struct request *q, const char *name, const Wire__Principal *by)
{
	Wire__CertSet m = WIRE__CERT_SET__INIT;
	struct command cmd = {.kind = CMD_CERT_SET, .by = by, .u.cert_set = &m};
	struct identity_node v;

	for (uint32_t i = 0; identity_node(engine_identity(node_engine(q->api->node)), i, &v); i++) {
		if (v.removed || strcmp(v.name, name) != 0)
			continue;
		m.node = (char *)(uintptr_t)name;
		m.revoked = 1;
		m.reason = (char *)"it was removed";
		node_command(q->api->node, &cmd, NULL, NULL);
		return;
	}
}

void h_node_remove(struct request *q)
{
	const struct engine *e = node_engine(q->api->node);
	Wire__NodeSet m = WIRE__NODE_SET__INIT;
	struct command cmd = {.kind = CMD_NODE_REMOVE, .u.node_set = &m};
	json_t *body = body_json(q, true);
	struct sched_node_view v;
	struct child_view c;
	char name[CERT_NAME_MAX + 1], hint[200];
	Wire__Principal by;

	if (!body || body_keys(q, body, ",force,") < 0 || !find_node(q, &v))
		return;
	if (json_object_get(body, "force") && !json_is_boolean(json_object_get(body, "force"))) {
		answer_error(q, 400, "invalid", "'force' must be true or false", NULL);
		return;
	}
	(void)snprintf(name, sizeof(name), "%s", v.name);
	if (!engine_child(e, v.node, &c)) {
		answer_errf(q, 409, "refused", "'osier leave' forgets a hub, 'osier down' stops a node",
		        "'%.64s' is this machine, not one that has joined it", name);
		return;
	}
	if (engine_node_leases(e, v.node) && !json_is_true(json_object_get(body, "force"))) {
		(void)snprintf(hint, sizeof(hint),
		        "'osier node drain %.64s' lets it run empty; --force ends them, and they run "
		        "elsewhere",
		        name);
		answer_errf(q, 409, "refused", hint, "'%.64s' has %u leases", name,
		        engine_node_leases(e, v.node));
		return;
	}
	principal_of(q, &by);
	shut_out(q, name, &by);
	m.node = v.node;
	cmd.by = &by;
	request_command(q, &cmd, (job_id){0}, on_node_removed);
}

/* ---- labels ---- */

static bool label_ok(struct request *q, const char *key, json_t *value)
{
	const char *text = json_string_value(value);

	if (config_label_reserved(key))
		answer_errf(q, 400, "invalid", "take another key",
		        "the label '%.80s' is the node's own: it says itself what it is", key);
	else if (!spec_label_key_ok(key))
		answer_errf(q, 400, "invalid",
		        "a letter, then letters, digits, '.', '_', '-' or '/', at most 63",
		        "'%.80s' cannot be a label's key", key);
	else if (!json_is_null(value) && (!text || strlen(text) > LABEL_BYTES_MAX))
		answer_errf(q, 400, "invalid", "text of at most 255 bytes, or null to take the label away",
		        "the label '%.80s' has a value that it cannot have", key);
	else
		return true;
	return false;
}

static void label_drop(Wire__NodeSet *m, const char *key)
{
	for (size_t i = 0; i < m->n_admin_labels; i++)
		if (strcmp(m->admin_labels[i]->key, key) == 0) {
			wire__pair__free_unpacked(m->admin_labels[i], NULL);
			m->n_admin_labels--;
			memmove(&m->admin_labels[i], &m->admin_labels[i + 1],
			        (m->n_admin_labels - i) * sizeof(*m->admin_labels));
			return;
		}
}

static void label_put(Wire__NodeSet *m, const char *key, const char *value)
{
	Wire__Pair **list = realloc(m->admin_labels, (m->n_admin_labels + 1) * sizeof(*list));
	Wire__Pair *p = malloc(sizeof(*p));

	CHECK(list && p);
	wire__pair__init(p);
	p->key = strdup(key);
	p->value = strdup(value);
	CHECK(p->key && p->value);
	m->admin_labels = list;
	m->admin_labels[m->n_admin_labels++] = p;
}

static bool labels_change(struct request *q, Wire__NodeSet *m, json_t *labels)
{
	const char *key;
	json_t *v;

	if (labels && !json_is_object(labels)) {
		answer_error(q, 400, "invalid", "'labels' is not an object",
		        "{\"hall\": \"north\", \"old\": null}");
		return false;
	}
	json_object_foreach(labels, key, v)
	{
		if (!label_ok(q, key, v))
			return false;
		label_drop(m, key);
		if (!json_is_null(v))
			label_put(m, key, json_string_value(v));
	}
	return true;
}

static bool state_change(struct request *q, Wire__NodeSet *m, json_t *state)
{
	static const struct {
		const char *name;
		Wire__NodeSet__State state;
	} all[] = {{"up", WIRE__NODE_SET__STATE__UP}, {"drained", WIRE__NODE_SET__STATE__DRAINED},
	        {"cordoned", WIRE__NODE_SET__STATE__CORDONED}};

	if (!state)
		return true;
	for (size_t i = 0; json_is_string(state) && i < ARRAY_LEN(all); i++)
		if (strcmp(json_string_value(state), all[i].name) == 0) {
			m->state = all[i].state;
			return true;
		}
	answer_error(
	        q, 400, "invalid", "'state' is none that a node can be put in", "up, drained or cordoned");
	return false;
}

void h_node_patch(struct request *q)
{
	json_t *body = body_json(q, false);
	struct sched_node_view v;
	Wire__NodeSet *m;

	if (!body || body_keys(q, body, ",labels,state,") < 0 || !find_node(q, &v))
		return;
	m = node_set_of(q->api, v.node);
	CHECK(m);
	if (labels_change(q, m, json_object_get(body, "labels")) &&
	        state_change(q, m, json_object_get(body, "state")))
		say(q, m);
	node_set_free(m);
}

/* ---- looking at one ---- */

/* Its name, or its number as text: its specification may be unreadable. The steps of one job mostly come together, so `ref` is kept from one
 * call to the next; *held: the job that it is of, 0 none. */
static void step_name(struct api *a, const struct lease_view *l, struct spec_ref *ref, uint64_t *held,
        char *out, size_t room)
{
	struct err e;

	if (*held != l->job.v) {
		if (*held)
			spec_release(ref);
		*held = spec_hold(a->specs, node_engine(a->node), l->job, ref, &e) < 0 ? 0 : l->job.v;
	}
	if (*held && l->step < ref->spec->n_steps)
		(void)snprintf(out, room, "%s", ref->spec->steps[l->step]->name);
	else
		(void)snprintf(out, room, "%u", l->step);
}

static void running_json(struct json_out *o, struct api *a, uint32_t node)
{
	const struct engine *en = node_engine(a->node);
	struct lease_view l = {.id = {0}};
	char name[NAME_TEXT_BYTES], step[NAME_TEXT_BYTES];
	struct spec_ref ref;
	uint64_t held = 0;

	jo_key(o, "running");
	jo_array(o);
	for (uint32_t n = 0; n < RUNNING_MAX && engine_node_lease_next(en, node, l.id, &l); n++) {
		why_job_text(en, l.job.v, name, sizeof(name));
		jo_object(o);
		jo_key(o, "lease");
		jo_u64(o, l.id.v);
		jo_key(o, "job");
		jo_str(o, name);
		jo_key(o, "step");
		jo_u64(o, l.step);
		step_name(a, &l, &ref, &held, step, sizeof(step));
		jo_key(o, "step_name");
		jo_str(o, step);
		jo_key(o, "first");
		jo_u64(o, l.cursor);
		jo_key(o, "count");
		jo_u64(o, l.first + l.count - l.cursor);
		jo_key(o, "since");
		jo_time(o, l.granted_ns);
		jo_key(o, "stopping");
		jo_bool(o, l.stopping);
		jo_object_end(o);
	}
	if (held)
		spec_release(&ref);
	jo_array_end(o);
}

/* One step that has leases there. */
struct run_row {
	job_id job;
	uint32_t step, leases;
	uint64_t tasks;
};

/* "pi-17", or "where-2/map" of a job with several steps; its specification may be unreadable. */
static void run_name(struct api *a, const struct run_row *r, char *out, size_t room)
{
	const struct engine *en = node_engine(a->node);
	struct spec_ref ref;
	struct job_view v;
	struct err e;
	size_t n;

	why_job_text(en, r->job.v, out, room);
	n = strlen(out);
	if (!engine_job(en, r->job, &v) || v.n_steps < 2)
		return;
	if (spec_hold(a->specs, en, r->job, &ref, &e) < 0) {
		(void)snprintf(out + n, room - n, "/%u", r->step);
		return;
	}
	(void)snprintf(out + n, room - n, "/%s", ref.spec->steps[r->step]->name);
	spec_release(&ref);
}

static uint32_t runs_of(const struct engine *en, uint32_t node, struct run_row rows[RUN_ROWS_MAX])
{
	struct lease_view l = {.id = {0}};
	uint32_t n = 0, i;

	for (uint32_t k = 0; k < RUNNING_MAX && engine_node_lease_next(en, node, l.id, &l); k++) {
		for (i = 0; i < n && (rows[i].job.v != l.job.v || rows[i].step != l.step); i++)
			;
		if (i == RUN_ROWS_MAX)
			continue;
		if (i == n)
			rows[n++] = (struct run_row){.job = l.job, .step = l.step};
		rows[i].leases++;
		rows[i].tasks += l.first + l.count - l.cursor;
	}
	return n;
}

void runs_json(struct api *a, struct json_out *o, uint32_t node)
{
	const struct engine *en = node_engine(a->node);
	struct run_row rows[RUN_ROWS_MAX];
	uint32_t n = runs_of(en, node, rows);
	char name[NAME_TEXT_BYTES * 2];

	jo_key(o, "runs");
	jo_object(o);
	jo_key(o, "leases");
	jo_u64(o, engine_node_leases(en, node));
	jo_key(o, "steps");
	jo_array(o);
	for (uint32_t i = 0; i < n; i++) {
		run_name(a, &rows[i], name, sizeof(name));
		jo_object(o);
		jo_key(o, "name");
		jo_str(o, name);
		jo_key(o, "leases");
		jo_u64(o, rows[i].leases);
		jo_key(o, "tasks");
		jo_u64(o, rows[i].tasks);
		jo_object_end(o);
	}
	jo_array_end(o);
	jo_object_end(o);
}

void h_node(struct request *q)
{
	struct sched_node_view v;
	struct json_out *o;

	if (!find_node(q, &v))
		return;
	o = answer_out(q);
	jo_object(o);
	jo_key(o, "node");
	node_view_json(q->api, o, &v);
	running_json(o, q->api, v.node);
	jo_object_end(o);
	answer_json(q, 200);
}
