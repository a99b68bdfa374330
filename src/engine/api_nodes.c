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
#include "engine/links.h"
#include "engine/parent.h"
#include "io/mqtt.h"
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
	struct journal_record r;

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
	if (journal_record(node_journal(n), &r)) {
		jo_key(o, "record");
		jo_object(o);
		jo_key(o, "place");
		jo_str(o, r.place);
		jo_key(o, "standby");
		jo_bool(o, node_standby(n));
		if (node_standby(n)) {
			jo_key(o, "holder");
			jo_str(o, r.holder);
			jo_key(o, "behind");
			jo_u64(o, r.behind);
		}
		jo_object_end(o);
	}
	notices_json(o, node_notices(n));
	jo_object_end(o);
	answer_json(q, 200);
}

/* ---- nodes ---- */

/* What was last said about the node; NULL: nothing. For node_set_free(). */
Wire__NodeSet *node_set_of(struct api *a, uint32_t node)
{
	const uint8_t *bytes;
	size_t n;

	if (!engine_node(node_engine(a->node), node, &bytes, &n))
		return NULL;
	return wire__node_set__unpack(NULL, n, bytes);
}

void node_set_free(Wire__NodeSet *m)
{
	if (m)
		wire__node_set__free_unpacked(m, NULL);
}

static const char *node_state_name(Wire__NodeSet__State s)
{
	if (s == WIRE__NODE_SET__STATE__UP)
		return "up";
	if (s == WIRE__NODE_SET__STATE__CORDONED)
		return "cordoned";
	if (s == WIRE__NODE_SET__STATE__DISCONNECTED)
		return "disconnected";
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

/* As they count: its owner's word before its own. */
static void node_labels_json(struct json_out *o, const Wire__NodeSet *m)
{
	jo_key(o, "labels");
	jo_object(o);
	for (size_t i = 0; m && i < m->n_labels + m->n_admin_labels; i++) {
		const Wire__Pair *p = i < m->n_labels ? m->labels[i] : m->admin_labels[i - m->n_labels];
		bool over = false;

		for (size_t k = 0; i < m->n_labels && k < m->n_admin_labels; k++)
			over = over || strcmp(m->admin_labels[k]->key, p->key) == 0;
		if (over)
			continue;
		jo_key_text(o, p->key);
		jo_str(o, p->value);
	}
	jo_object_end(o);
}

static void link_json(struct json_out *o, const struct sched_node_view *v, uint64_t now_ns)
{
	jo_key(o, "paused_until");
	jo_time_or_null(o, v->paused_until_ns);
	jo_key(o, "link");
	if (!v->link_bytes) {
		jo_null(o);
		return;
	}
	jo_object(o);
	jo_key(o, "bytes");
	jo_u64(o, v->link_bytes);
	jo_key(o, "per_s");
	jo_fixed(o, (int64_t)(v->link_per_ns / 1000000), 3);
	jo_key(o, "used");
	jo_u64(o, now_ns - now_ns % v->link_per_ns == v->link_used_ns ? v->link_used : 0);
	jo_object_end(o);
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
	node_labels_json(o, m);
}

/* Nodes below it that are alike, by their labels. */
static void classes_json(struct json_out *o, const struct sched *s, uint32_t node, const Wire__NodeSet *m)
{
	struct sched_node_view v;

	jo_key(o, "below");
	jo_array(o);
	for (uint32_t k = 1; m && k <= m->n_classes && sched_class(s, node, k, &v); k++) {
		const Wire__NodeClass *c = m->classes[k - 1];

		jo_object(o);
		jo_key(o, "labels");
		jo_object(o);
		for (size_t i = 0; i < c->n_labels; i++) {
			jo_key_text(o, c->labels[i]->key);
			jo_str(o, c->labels[i]->value);
		}
		jo_object_end(o);
		jo_key(o, "nodes");
		jo_u64(o, c->nodes);
		resources_json(o, s, &v);
		jo_object_end(o);
	}
	jo_array_end(o);
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

/* Which version the other side speaks: of its last session. */
static void version_json(struct json_out *o, const struct link_view *l)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%u.%u", l->version / 1000, l->version % 1000);
	jo_key(o, "link_version");
	jo_str(o, l->version ? text : NULL);
}

/* When a child was last heard: its last frame. A link that has nothing to say sends none for hours, but its broker would have missed
 * its keep-alive; so who went out of reach was heard at most 1.5 of these before. 0: never, as far as this engine knows. */
static uint64_t heard_ns(const struct node *n, uint32_t node, const struct link_view *l)
{
	const uint64_t silence_ns = MQTT_KEEPALIVE_S * 1500000000ull;
	struct child_view c;
	uint64_t least;

	if (!engine_child(node_engine(n), node, &c) || c.link == WIRE__NODE_SET__STATE__UP || c.by_boot)
		return l->heard_ns;
	least = c.since_ns > silence_ns ? c.since_ns - silence_ns : 0;
	return l->heard_ns > least ? l->heard_ns : least;
}

/* What a child last told of itself, and how far it is. */
static void connection_json(struct json_out *o, const struct node *n, uint32_t node)
{
	struct link_view l;

	if (!links_child(n, node, &l))
		return;
	jo_key(o, "heard");
	jo_time_or_null(o, heard_ns(n, node, &l));
	jo_key(o, "latency");
	if (l.rtt_us && l.state == LINK_UP)
		jo_fixed(o, (int64_t)l.rtt_us, 6);
	else
		jo_null(o);
	jo_key(o, "load");
	jo_array(o);
	if (l.heard_ns && l.state == LINK_UP)
		jo_fixed(o, l.load_milli / 10, 2);
	jo_array_end(o);
	version_json(o, &l);
	jo_key(o, "refused");
	jo_str(o, l.reason[0] ? l.reason : NULL);
	jo_key(o, "copy_refused");
	jo_time_or_null(o, l.copy_ns);
}

static void node_members(struct api *a, struct json_out *o, const struct sched_node_view *v)
{
	const struct sched *s = engine_sched(node_engine(a->node));
	Wire__NodeSet *m = node_set_of(a, v->node);
	struct child_view c;

	jo_key(o, "node");
	jo_u64(o, v->node);
	jo_key(o, "name");
	jo_str(o, v->name);
	jo_key(o, "state");
	jo_str(o, node_state_name(v->state));
	jo_key(o, "away_since");
	jo_time_or_null(
	        o, engine_child(node_engine(a->node), v->node, &c) && c.link != WIRE__NODE_SET__STATE__UP
	                   ? c.since_ns
	                   : 0);
	resources_json(o, s, v);
	devices_json(o, s, v->node, m);
	classes_json(o, s, v->node, m);
	node_set_free(m);
	jo_key(o, "leases");
	jo_u64(o, v->n_leases);
	jo_key(o, "agreed");
	jo_u64(o, engine_trust(node_engine(a->node), v->node));
	link_json(o, v, node_now_ns(a->node));
	if (v->node == NODE_THIS)
		load_json(o, a->node);
	else
		connection_json(o, a->node, v->node);
}

void node_view_json(struct api *a, struct json_out *o, const struct sched_node_view *v)
{
	jo_object(o);
	node_members(a, o, v);
	jo_object_end(o);
}

/* Whom this node has joined, and how the link to it is. */
static void hub_json(struct json_out *o, const struct node *n)
{
	static const char *const names[] = {[LINK_DOWN] = "away",
	        [LINK_HELLO] = "greeting",
	        [LINK_UP] = "up",
	        [LINK_REFUSED] = "refused"};
	const struct parent_info *p = parent_info(n);
	const char *removed = parent_removed(n);
	struct link_view l;

	jo_key(o, "hub");
	if (!p || !links_parent(n, &l)) {
		jo_null(o);
		return;
	}
	jo_object(o);
	jo_key(o, "name");
	jo_str(o, p->hub);
	jo_key(o, "as");
	jo_str(o, p->node);
	jo_key(o, "origin");
	jo_str(o, p->hubs[p->at].origin);
	jo_key(o, "state");
	jo_str(o, removed ? "removed" : names[l.state]);
	jo_key(o, "since");
	jo_time_or_null(o, l.since_ns);
	jo_key(o, "latency");
	if (l.state == LINK_UP && l.rtt_us && !removed)
		jo_fixed(o, (int64_t)l.rtt_us, 6);
	else
		jo_null(o);
	version_json(o, &l);
	jo_key(o, "why");
	jo_str(o, removed                   ? removed
	          : l.state == LINK_UP      ? NULL
	          : l.state == LINK_REFUSED ? l.reason
	                                    : links_why(n));
	jo_key(o, "hint");
	jo_str(o, removed ? PARENT_REMOVED_HINT : l.state == LINK_REFUSED ? l.hint : NULL);
	jo_key(o, "share_refused");
	jo_str(o, l.share_why[0] ? l.share_why : NULL);
	jo_key(o, "certificate_error");
	jo_str(o, p->error[0] ? p->error : NULL);
	jo_object_end(o);
}

void nodes_json(struct api *a, struct json_out *o)
{
	const struct sched *s = engine_sched(node_engine(a->node));
	struct sched_node_view v;

	jo_key(o, "nodes");
	jo_array(o);
	for (uint32_t at = 0; sched_node_next(s, at, &v); at = v.node)
		node_view_json(a, o, &v);
	jo_array_end(o);
}

void h_nodes(struct request *q)
{
	const struct sched *s = engine_sched(node_engine(q->api->node));
	struct sched_node_view v;
	struct json_out *o = answer_out(q);

	jo_object(o);
	jo_key(o, "nodes");
	jo_array(o);
	for (uint32_t at = 0; sched_node_next(s, at, &v); at = v.node) {
		jo_object(o);
		node_members(q->api, o, &v);
		runs_json(q->api, o, v.node);
		jo_object_end(o);
	}
	jo_array_end(o);
	hub_json(o, q->api->node);
	jo_object_end(o);
	answer_json(q, 200);
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
