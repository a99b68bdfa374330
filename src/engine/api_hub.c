/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_hub - this node as a hub, for its owner: settings, tokens, who has joined, who is removed; and the hub that it has joined itself.
 *
 * Not what nodes ask over the network: hub_listener.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/identity.h"
#include "engine/api_int.h"
#include "engine/hub.h"
#include "engine/hub_copies.h"
#include "engine/links.h"
#include "engine/parent.h"

#define NS_MAX_S 1e9

/* ---- showing ---- */

static void node_json(
        struct json_out *o, const struct identity *s, const struct identity_node *m, uint64_t now)
{
	uint64_t until = 0;

	for (uint32_t c = 0; c < m->n_certs; c++)
		if (!m->certs[c].revoked_ns && m->certs[c].not_after_ns >= now &&
		        m->certs[c].not_after_ns > until)
			until = m->certs[c].not_after_ns;
	jo_object(o);
	jo_key(o, "name");
	jo_str(o, m->name);
	jo_key(o, "key");
	jo_hex(o, m->key, 32);
	jo_key(o, "journal");
	jo_hex(o, m->journal, 32);
	jo_key(o, "removed");
	jo_bool(o, m->removed);
	jo_key(o, "standby");
	jo_bool(o, identity_stands_by(s, m->name));
	jo_key(o, "certificate_until");
	jo_time_or_null(o, until);
	jo_object_end(o);
}

static void settings_json(struct json_out *o, const struct node *n)
{
	const struct hub_settings *s = hub_settings(n);
	unsigned standbys, lag;
	uint8_t finger[32];

	hub_fingerprint(n, finger);
	jo_key(o, "name");
	jo_str(o, s->name);
	jo_key(o, "fingerprint");
	jo_hex(o, finger, 32);
	jo_key(o, "addresses");
	jo_array(o);
	for (size_t i = 0; i < s->n_addresses; i++)
		jo_str(o, s->addresses[i]);
	jo_array_end(o);
	jo_key(o, "listen");
	jo_str(o, s->listen);
	jo_key(o, "port");
	jo_u64(o, hub_port(n));
	jo_key(o, "broker");
	jo_str(o, s->broker[0] ? s->broker : NULL);
	jo_key(o, "broker_port");
	jo_u64(o, s->broker_port);
	jo_key(o, "broker_error");
	jo_str(o, links_hub_why(n));
	jo_key(o, "certificates");
	jo_seconds(o, s->life_s * 1000000000u);
	hub_copies_count(n, &standbys, &lag);
	jo_key(o, "standbys");
	jo_u64(o, standbys);
	jo_key(o, "standbys_lagging");
	jo_u64(o, lag);
}

static void answer_hub(struct request *q)
{
	const struct node *n = q->api->node;
	const struct identity *s = engine_identity(node_engine(n));
	struct json_out *o = answer_out(q);
	uint64_t open = 0, now = node_now_ns(n);
	struct identity_token t;
	struct identity_node m;

	jo_object(o);
	jo_key(o, "hub");
	jo_bool(o, hub_is(n));
	if (hub_is(n))
		settings_json(o, n);
	for (uint32_t i = 0; identity_token(s, i, &t); i++)
		open += t.state == TOKEN_OPEN && t.expires_ns >= now;
	jo_key(o, "open_tokens");
	jo_u64(o, open);
	jo_key(o, "nodes");
	jo_array(o);
	for (uint32_t i = 0; identity_node(s, i, &m); i++)
		node_json(o, s, &m, now);
	jo_array_end(o);
	jo_object_end(o);
	answer_json(q, 200);
}

void h_hub(struct request *q)
{
	answer_hub(q);
}

/* ---- settings ---- */

static int bad(struct request *q, const char *what)
{
	answer_error(q, 400, "invalid", what, NULL);
	return -1;
}

static int text_into(struct request *q, const json_t *body, const char *key, char *out, size_t room)
{
	const json_t *v = json_object_get(body, key);

	if (!v)
		return 0;
	if (!json_is_string(v) || json_string_length(v) != strlen(json_string_value(v)) ||
	        json_string_length(v) >= room) {
		answer_errf(
		        q, 400, "invalid", NULL, "'%s' must be a text of at most %zu bytes", key, room - 1);
		return -1;
	}
	memcpy(out, json_string_value(v), json_string_length(v) + 1);
	return 0;
}

static int port_into(struct request *q, const json_t *body, const char *key, unsigned *out)
{
	const json_t *v = json_object_get(body, key);

	if (!v)
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > 65535) {
		answer_errf(q, 400, "invalid", NULL, "'%s' must be a number from 1 to 65535", key);
		return -1;
	}
	*out = (unsigned)json_integer_value(v);
	return 0;
}

static int addresses_into(struct request *q, const json_t *v, struct hub_settings *s)
{
	const char *text;
	json_t *at;
	size_t i;

	if (!v)
		return 0;
	if (!json_is_array(v) || json_array_size(v) == 0 || json_array_size(v) > CA_NAMES_MAX)
		return bad(q, "'addresses' must be an array of 1 to 32 host names and addresses");
	s->n_addresses = 0;
	json_array_foreach(v, i, at)
	{
		text = json_string_value(at);
		if (!text || strlen(text) >= sizeof(s->addresses[0]) || !ca_host_ok(text))
			return bad(
			        q, "'addresses' must hold host names and addresses, without scheme and port");
		memcpy(s->addresses[s->n_addresses++], text, strlen(text) + 1);
	}
	return 0;
}

static int seconds_into(struct request *q, const json_t *v, const char *key, uint64_t *out_ns)
{
	double s = json_number_value(v);

	if (!v)
		return 0;
	if (!json_is_number(v) || !(s > 0) || s > NS_MAX_S) {
		answer_errf(q, 400, "invalid", NULL, "'%s' must be a number of seconds", key);
		return -1;
	}
	*out_ns = (uint64_t)(s * 1e9);
	return 0;
}

void h_hub_set(struct request *q)
{
	struct node *n = q->api->node;
	json_t *body = body_json(q, true);
	struct hub_settings s;
	char broker[HUB_BROKER_MAX];
	uint64_t life;
	struct err e;

	if (!body || body_keys(q, body, ",name,addresses,listen,port,broker,broker_port,certificates,") < 0)
		return;
	if (hub_is(n))
		s = *hub_settings(n);
	else
		hub_settings_default(node_name(n), &s);
	life = s.life_s * 1000000000u;
	(void)snprintf(broker, sizeof(broker), "%s", s.broker);
	if (text_into(q, body, "name", s.name, sizeof(s.name)) < 0 ||
	        text_into(q, body, "listen", s.listen, sizeof(s.listen)) < 0 ||
	        text_into(q, body, "broker", broker, sizeof(broker)) < 0 ||
	        port_into(q, body, "port", &s.port) < 0 ||
	        port_into(q, body, "broker_port", &s.broker_port) < 0 ||
	        addresses_into(q, json_object_get(body, "addresses"), &s) < 0 ||
	        seconds_into(q, json_object_get(body, "certificates"), "certificates", &life) < 0)
		return;
	s.life_s = life / 1000000000u;
	if (hub_broker_set(&s, broker, &e) < 0 || hub_enable(n, &s, &e) < 0)
		answer_err(q, &e);
	else
		answer_hub(q);
}

/* ---- tokens ---- */

struct making {
	struct request *q; /* NULL: gone */
	char line[HUB_LINE_MAX];
	uint64_t expires_ns;
	bool awaited;
};

static void making_gone(void *own)
{
	struct making *m = own;

	m->q = NULL;
	if (!m->awaited)
		free(m);
}

static void on_token(void *ctx, const struct node_answer *a)
{
	struct making *m = ctx;
	struct request *q = m->q;
	struct json_out *o;

	m->awaited = false;
	if (!q) {
		free(m);
		return;
	}
	if (a->code != ERR_NONE) {
		answer_error(q, status_of(a->code), err_code_name(a->code), a->message, a->hint);
		return;
	}
	o = answer_out(q);
	jo_object(o);
	jo_key(o, "join");
	jo_str(o, m->line);
	jo_key(o, "expires");
	jo_time(o, m->expires_ns);
	jo_object_end(o);
	answer_json(q, 201);
}

void h_hub_token(struct request *q)
{
	json_t *body = body_json(q, true);
	uint64_t ttl = HUB_TTL_NS;
	enum hub_token what;
	struct making *m;
	Wire__Principal by;
	struct err e;

	if (!body || body_keys(q, body, ",ttl,standby,") < 0 ||
	        seconds_into(q, json_object_get(body, "ttl"), "ttl", &ttl) < 0)
		return;
	if (json_object_get(body, "standby") && !json_is_boolean(json_object_get(body, "standby"))) {
		(void)bad(q, "'standby' must be true or false");
		return;
	}
	what = json_is_true(json_object_get(body, "standby")) ? HUB_TOKEN_STANDBY : HUB_TOKEN_NODE;
	m = calloc(1, sizeof(*m));
	CHECK(m);
	m->q = q;
	m->awaited = true;
	m->expires_ns = node_now_ns(q->api->node) + ttl;
	q->own = m;
	q->own_free = making_gone;
	principal_of(q, &by);
	if (hub_token(q->api->node, ttl, what, &by, m->line, on_token, m, &e) < 0) {
		m->awaited = false;
		answer_err(q, &e);
	} else if (!q->response) {
		request_sleep(q);
	}
}

/* ---- the other end: a parent ---- */

void h_parent(struct request *q)
{
	const struct parent_info *p = parent_info(q->api->node);
	const struct parent_hub *h = p ? &p->hubs[p->at] : NULL;
	struct json_out *o = answer_out(q);

	jo_object(o);
	jo_key(o, "joined");
	jo_bool(o, p != NULL);
	if (p) {
		jo_key(o, "hub");
		jo_str(o, p->hub);
		jo_key(o, "node");
		jo_str(o, p->node);
		jo_key(o, "origin");
		jo_str(o, h->origin);
		jo_key(o, "fingerprint");
		jo_hex(o, p->hub_sha256, 32);
		jo_key(o, "topics");
		jo_str(o, p->topics);
		jo_key(o, "broker");
		jo_strf(o, strchr(h->broker_host, ':') ? "%s://[%s]:%u" : "%s://%s:%u",
		        h->broker_tls ? "mqtts" : "mqtt", h->broker_host, h->broker_port);
		jo_key(o, "hubs");
		jo_array(o);
		for (unsigned i = 0; i < p->n_hubs; i++)
			jo_str(o, p->hubs[i].origin);
		jo_array_end(o);
		jo_key(o, "certificate_until");
		jo_time(o, p->cert.not_after_ns);
		jo_key(o, "error");
		jo_str(o, p->error[0] ? p->error : NULL);
		jo_key(o, "removed");
		jo_str(o, parent_removed(q->api->node));
	}
	jo_object_end(o);
	answer_json(q, 200);
}

static void on_joined(void *ctx, const struct err *e)
{
	struct making *m = ctx;
	struct request *q = m->q;

	m->awaited = false;
	if (!q)
		free(m);
	else if (e)
		answer_err(q, e);
	else
		h_parent(q);
}

void h_join(struct request *q)
{
	json_t *body = body_json(q, false);
	char name[CERT_NAME_MAX + 1] = "", line[HUB_LINE_MAX] = "";
	struct making *m;
	struct err e;

	if (!body || body_keys(q, body, ",line,name,") < 0 ||
	        text_into(q, body, "line", line, sizeof(line)) < 0 ||
	        text_into(q, body, "name", name, sizeof(name)) < 0)
		return;
	if (!name[0])
		cert_name_from(node_name(q->api->node), name);
	m = calloc(1, sizeof(*m));
	CHECK(m);
	m->q = q;
	q->own = m;
	q->own_free = making_gone;
	m->awaited = parent_join(q->api->node, line, name, on_joined, m, &e) == 0;
	if (m->awaited)
		request_sleep(q);
	else
		answer_err(q, &e);
}

void h_leave(struct request *q)
{
	json_t *body = body_json(q, true);
	struct err e;

	if (!body || body_keys(q, body, ",") < 0)
		return;
	if (parent_leave(q->api->node, &e) < 0)
		answer_err(q, &e);
	else
		h_parent(q);
}

/* ---- removing ---- */

static void on_removed(struct request *q, const struct node_answer *a)
{
	if (a->code != ERR_NONE)
		answer_error(q, status_of(a->code), err_code_name(a->code), a->message, a->hint);
	else
		answer_hub(q);
}

void h_hub_revoke(struct request *q)
{
	json_t *body = body_json(q, false);
	Wire__CertSet m = WIRE__CERT_SET__INIT;
	struct command cmd = {.kind = CMD_CERT_SET, .u.cert_set = &m};
	char name[CERT_NAME_MAX + 1] = "", reason[IDENTITY_REASON + 1] = "";
	Wire__Principal by;

	if (!body || body_keys(q, body, ",node,reason,") < 0 ||
	        text_into(q, body, "node", name, sizeof(name)) < 0 ||
	        text_into(q, body, "reason", reason, sizeof(reason)) < 0)
		return;
	if (!cert_name_ok(name)) {
		(void)bad(q, "'node' must be the name of a node that has joined");
		return;
	}
	principal_of(q, &by);
	cmd.by = &by;
	m.node = name;
	m.revoked = 1;
	m.reason = reason;
	request_command(q, &cmd, (job_id){0}, on_removed);
}
