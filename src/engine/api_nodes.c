/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_nodes - the node itself: version, nodes, namespaces, metrics, shutdown.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/api_int.h"
#include "wire/entry.h"

/* ---- version ---- */

static void notices_json(struct json_out *o, const char *text)
{
	jo_key(o, "notices");
	jo_array(o);
	while (text && *text) {
		size_t n = strcspn(text, "\n");

		if (n)
			jo_str_n(o, text, n);
		text += n + (text[n] == '\n');
	}
	jo_array_end(o);
}

void h_version(struct request *q)
{
	struct node *n = q->api->node;
	struct json_out *o = answer_out(q);

	jo_object(o);
	jo_key(o, "version");
	jo_str(o, OSIER_VERSION);
	jo_key(o, "api");
	jo_u64(o, API_VERSION);
	jo_key(o, "entry_format");
	jo_u64(o, ENTRY_FORMAT);
	jo_key(o, "node");
	jo_str(o, node_name(n));
	jo_key(o, "pid");
	jo_i64(o, getpid());
	jo_key(o, "uid");
	jo_u64(o, q->api->owner);
	jo_key(o, "state_dir");
	jo_str(o, node_state_dir(n));
	jo_key(o, "epoch");
	jo_u64(o, engine_epoch(node_engine(n)));
	jo_key(o, "started");
	jo_time(o, q->api->started_ns);
	jo_key(o, "now");
	jo_time(o, node_now_ns(n));
	jo_key(o, "read_only");
	jo_bool(o, node_read_only(n));
	jo_key(o, "disk_full");
	jo_bool(o, journal_full(node_journal(n)));
	notices_json(o, node_notices(n));
	jo_object_end(o);
	answer_json(q, 200);
}

/* ---- nodes ---- */

/* What was last said about the node; NULL: nothing. For node_set_free(). */
static Wire__NodeSet *node_set_of(struct api *a, uint32_t node)
{
	const uint8_t *bytes;
	size_t n;

	if (!engine_node(node_engine(a->node), node, &bytes, &n))
		return NULL;
	return wire__node_set__unpack(NULL, n, bytes);
}

static void node_set_free(Wire__NodeSet *m)
{
	if (m)
		wire__node_set__free_unpacked(m, NULL);
}

static const char *node_state_name(Wire__NodeSet__State s)
{
	if (s == WIRE__NODE_SET__STATE__UP)
		return "up";
	return s == WIRE__NODE_SET__STATE__DRAINED ? "drained" : "lost";
}

static void resources_json(struct json_out *o, const struct sched *s, const struct sched_node_view *v)
{
	const char *name;

	jo_key(o, "resources");
	jo_array(o);
	for (uint32_t r = 0; r < RESOURCES_MAX && (name = sched_resource_name(s, r)); r++) {
		if (!v->capacity[r] && v->free[r] >= 0)
			continue;
		jo_object(o);
		jo_key(o, "name");
		jo_str(o, name);
		jo_key(o, "capacity");
		amount_json(o, name, v->capacity[r]);
		jo_key(o, "free");
		amount_i64_json(o, name, v->free[r]);
		jo_key(o, "used");
		amount_i64_json(o, name, (int64_t)v->capacity[r] - v->free[r]);
		jo_object_end(o);
	}
	jo_array_end(o);
}

/* What was said of a device beside its amount. */
static const Wire__NodeSet__Device *said(const Wire__NodeSet *m, const char *resource, uint32_t index)
{
	for (size_t i = 0; m && i < m->n_devices; i++)
		if (m->devices[i]->index == index && !strcmp(m->devices[i]->resource, resource))
			return m->devices[i];
	return NULL;
}

static void devices_json(struct json_out *o, const struct sched *s, uint32_t node, const Wire__NodeSet *m)
{
	struct sched_device_view d;

	jo_key(o, "devices");
	jo_array(o);
	for (uint32_t k = 0; sched_device(s, node, k, &d); k++) {
		const char *resource = sched_resource_name(s, d.resource);
		const Wire__NodeSet__Device *more = said(m, resource, d.index);

		jo_object(o);
		jo_key(o, "resource");
		jo_str(o, resource);
		jo_key(o, "index");
		jo_u64(o, d.index);
		jo_key(o, "id");
		jo_str(o, more ? more->id : "");
		jo_key(o, "model");
		jo_str(o, more ? more->model : "");
		jo_key(o, "offers");
		jo_fixed(o, (int64_t)d.milli, 3);
		jo_key(o, "free");
		jo_fixed(o, d.free, 3);
		jo_object_end(o);
	}
	jo_array_end(o);
	labels_json(o, m ? m->labels : NULL, m ? m->n_labels : 0);
}

/* What only this machine knows of itself. */
static void load_json(struct json_out *o, const struct node *n)
{
	double load[3];

	jo_key(o, "load");
	jo_array(o);
	if (getloadavg(load, 3) == 3)
		for (int i = 0; i < 3; i++)
			jo_fixed(o, (int64_t)(load[i] * 100 + 0.5), 2);
	jo_array_end(o);
	notices_json(o, node_notices(n));
}

static void node_json(struct api *a, struct json_out *o, const struct sched_node_view *v)
{
	const struct sched *s = engine_sched(node_engine(a->node));
	Wire__NodeSet *m = node_set_of(a, v->node);

	jo_object(o);
	jo_key(o, "node");
	jo_u64(o, v->node);
	jo_key(o, "name");
	jo_str(o, v->name);
	jo_key(o, "state");
	jo_str(o, node_state_name(v->state));
	resources_json(o, s, v);
	devices_json(o, s, v->node, m);
	node_set_free(m);
	jo_key(o, "leases");
	jo_u64(o, v->n_leases);
	jo_key(o, "agreed");
	jo_u64(o, engine_trust(node_engine(a->node), v->node));
	if (v->node == 1)
		load_json(o, a->node);
	jo_object_end(o);
}

void nodes_json(struct api *a, struct json_out *o)
{
	const struct sched *s = engine_sched(node_engine(a->node));
	struct sched_node_view v;

	jo_key(o, "nodes");
	jo_array(o);
	for (uint32_t at = 0; sched_node_next(s, at, &v); at = v.node)
		node_json(a, o, &v);
	jo_array_end(o);
}

void h_nodes(struct request *q)
{
	struct json_out *o = answer_out(q);

	jo_object(o);
	nodes_json(q->api, o);
	jo_object_end(o);
	answer_json(q, 200);
}

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
		node_json(q->api, answer_out(q), &v);
		answer_json(q, 200);
	}
}

/* The node as it is, with another state: NodeSet says everything about a node. */
static void set_state(struct request *q, Wire__NodeSet__State state)
{
	struct command c = {.kind = CMD_NODE_SET};
	struct sched_node_view v;
	Wire__Principal by;
	Wire__NodeSet *m;

	if (!find_node(q, &v))
		return;
	m = node_set_of(q->api, v.node);
	CHECK(m);
	m->state = state;
	principal_of(q, &by);
	c.by = &by;
	c.u.node_set = m;
	request_command(q, &c, (job_id){0}, on_node_set);
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

/* ---- shutdown ---- */

void h_shutdown(struct request *q)
{
	const char *tasks = query_text(q, "tasks");
	json_t *body = body_json(q, true);
	struct sched_totals t;
	struct json_out *o;
	bool keep;

	if (!body || body_keys(q, body, ",") < 0)
		return;
	if (tasks && strcmp(tasks, "stop") != 0 && strcmp(tasks, "keep") != 0) {
		answer_errf(q, 400, "invalid", "stop or keep", "'tasks' is '%.40s'", tasks);
		return;
	}
	keep = tasks && !strcmp(tasks, "keep");
	sched_totals(engine_sched(node_engine(q->api->node)), &t);
	o = answer_out(q);
	jo_object(o);
	jo_key(o, "stopping");
	jo_bool(o, true);
	jo_key(o, "running");
	jo_u64(o, keep ? 0 : t.leases);
	jo_object_end(o);
	answer_json(q, 202);
	if (keep)
		node_hand_over(q->api->node);
	else
		node_shutdown(q->api->node);
}
