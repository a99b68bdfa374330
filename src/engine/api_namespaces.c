/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_namespaces - weights and quotas.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/api_int.h"

#define SAID_BYTES 65536u /* enough for one NamespaceSet */

static void amounts_json(
        struct json_out *o, const struct sched *s, const uint64_t v[RESOURCES_MAX], uint64_t none)
{
	const char *name;

	jo_object(o);
	for (uint32_t r = 0; r < RESOURCES_MAX && (name = sched_resource_name(s, r)); r++) {
		if (v[r] == none)
			continue;
		jo_key_text(o, name);
		amount_json(o, name, v[r]);
	}
	jo_object_end(o);
}

static void said_json(struct json_out *o, Wire__Need *const *v, size_t n)
{
	jo_object(o);
	for (size_t i = 0; i < n; i++) {
		jo_key_text(o, v[i]->name);
		amount_json(o, v[i]->name, v[i]->amount);
	}
	jo_object_end(o);
}

/* What joined nodes have of it for good, and for how long they have the rest. */
static void lending_json(struct json_out *o, const struct engine *e, const char *name)
{
	uint8_t *mem = malloc(SAID_BYTES);
	Wire__NamespaceSet *m = NULL;
	struct arena a;

	CHECK(mem);
	arena_init(&a, mem, SAID_BYTES);
	m = engine_namespace_open(e, name, &a);
	jo_key(o, "local");
	said_json(o, m ? m->local : NULL, m ? m->n_local : 0);
	jo_key(o, "lend_s");
	jo_seconds(o, m && m->lend_ns ? m->lend_ns : QUOTA_LEND_NS);
	free(mem);
}

/* What the hub lets this node have of it, or null. */
static void share_json(struct json_out *o, const struct engine *e, const struct sched_namespace_view *v)
{
	struct quota_view q;
	struct parent_view p;
	bool capped = false;

	for (uint32_t r = 0; r < RESOURCES_MAX; r++)
		capped |= v->cap[r] != UINT64_MAX;
	jo_key(o, "share");
	if (!capped || !engine_quota(e, 0, &q) || !engine_parent(e, &p)) {
		jo_null(o);
		return;
	}
	jo_object(o);
	jo_key(o, "of");
	jo_str(o, p.name);
	jo_key(o, "until");
	if (q.over)
		jo_null(o);
	else
		jo_time(o, q.until_ns);
	jo_key(o, "quota");
	amounts_json(o, engine_sched(e), v->cap, UINT64_MAX);
	jo_object_end(o);
}

static void namespace_json(struct json_out *o, const struct engine *e, const struct sched_namespace_view *v)
{
	const struct sched *s = engine_sched(e);

	jo_object(o);
	jo_key(o, "name");
	jo_str(o, v->name);
	jo_key(o, "weight");
	jo_u64(o, v->weight);
	jo_key(o, "quota");
	amounts_json(o, s, v->quota, UINT64_MAX);
	jo_key(o, "used");
	amounts_json(o, s, v->used, 0);
	jo_key(o, "lent");
	amounts_json(o, s, v->lent, 0);
	lending_json(o, e, v->name);
	share_json(o, e, v);
	jo_object_end(o);
}

void h_namespaces(struct request *q)
{
	const struct sched *s = engine_sched(node_engine(q->api->node));
	struct sched_namespace_view v;
	struct json_out *o = answer_out(q);

	jo_object(o);
	jo_key(o, "namespaces");
	jo_array(o);
	for (uint32_t k = 0; sched_namespace(s, k, &v); k++)
		namespace_json(o, node_engine(q->api->node), &v);
	jo_array_end(o);
	jo_object_end(o);
	answer_json(q, 200);
}

static bool name_ok(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++) {
		char c = name[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (!word && (i == 0 || !strchr("._-", c)))
			return false;
	}
	return n >= 1 && n <= 64;
}

static void on_set(struct request *q, const struct node_answer *a)
{
	const struct sched *s = engine_sched(node_engine(q->api->node));
	struct sched_namespace_view v;

	if (a->code != ERR_NONE) {
		answer_error(q, status_of(a->code), err_code_name(a->code), a->message, a->hint);
		return;
	}
	for (uint32_t k = 0; sched_namespace(s, k, &v); k++) {
		if (strcmp(v.name, q->bound[0]) != 0)
			continue;
		namespace_json(answer_out(q), node_engine(q->api->node), &v);
		answer_json(q, 200);
		return;
	}
	answer_error(q, 500, "system", "the namespace was set and is not there",
	        "this is a defect: please report it");
}

/* One amount of a quota: a number of bytes or of units, kept in thousandths. */
static int read_need(struct request *q, const char *key, json_t *v, Wire__Need *out)
{
	double amount = json_number_value(v), unit = in_bytes(key) ? 1 : 1000;

	if (!json_is_number(v) || !(amount >= 0) || amount * unit > 9e18) {
		answer_errf(q, 400, "invalid", NULL, "the quota of '%.60s' must be a number from 0", key);
		return -1;
	}
	if (!name_ok(key)) {
		answer_errf(q, 400, "invalid", NULL, "'%.60s' is not the name of a resource", key);
		return -1;
	}
	wire__need__init(out);
	out->name = (char *)(uintptr_t)key;
	out->amount = json_is_integer(v) ? (uint64_t)json_integer_value(v) * (uint64_t)unit
	                                 : (uint64_t)(amount * unit + 0.5);
	return 0;
}

static int read_needs(
        struct request *q, json_t *j, Wire__Need ***out, size_t *out_n, Wire__Need *needs, Wire__Need **list)
{
	const char *key;
	json_t *v;

	if (j && (!json_is_object(j) || json_object_size(j) > RESOURCES_MAX)) {
		answer_error(
		        q, 400, "invalid", "'quota' and 'local' must be objects of up to 16 resources", NULL);
		return -1;
	}
	*out = list;
	json_object_foreach(j, key, v)
	{
		if (read_need(q, key, v, &needs[*out_n]) < 0)
			return -1;
		list[*out_n] = &needs[*out_n];
		(*out_n)++;
	}
	return 0;
}

static int read_body(
        struct request *q, json_t *body, Wire__NamespaceSet *m, Wire__Need *needs, Wire__Need **list)
{
	json_t *weight = json_object_get(body, "weight"), *quota = json_object_get(body, "quota"),
	       *local = json_object_get(body, "local"), *lend = json_object_get(body, "lend_s");

	m->weight = 1;
	if (weight && (!json_is_integer(weight) || json_integer_value(weight) < 1 ||
	                      json_integer_value(weight) > 1000000)) {
		answer_error(q, 400, "invalid", "'weight' must be a whole number from 1 to 1000000", NULL);
		return -1;
	}
	if (weight)
		m->weight = (uint32_t)json_integer_value(weight);
	if (read_needs(q, quota, &m->quota, &m->n_quota, needs, list) < 0 ||
	        read_needs(q, local, &m->local, &m->n_local, needs + RESOURCES_MAX, list + RESOURCES_MAX) < 0)
		return -1;
	if (lend && (!json_is_number(lend) || json_number_value(lend) < 10 ||
	                    json_number_value(lend) > 365 * 86400.0)) {
		answer_error(
		        q, 400, "invalid", "'lend_s' must be a number of seconds from 10 to 31536000", NULL);
		return -1;
	}
	if (lend)
		m->lend_ns = (uint64_t)(json_number_value(lend) * 1e9);
	return 0;
}

void h_namespace_put(struct request *q)
{
	Wire__NamespaceSet m = WIRE__NAMESPACE_SET__INIT;
	Wire__Need needs[2 * RESOURCES_MAX], *list[2 * RESOURCES_MAX];
	struct command c = {.kind = CMD_NAMESPACE_SET, .u.namespace_set = &m};
	Wire__Principal by;
	json_t *body = body_json(q, false);

	if (!body || body_keys(q, body, ",weight,quota,local,lend_s,") < 0)
		return;
	if (!name_ok(q->bound[0])) {
		answer_error(q, 400, "invalid",
		        "the name of a namespace has 1 to 64 letters, digits, '.', '_' and '-'", NULL);
		return;
	}
	if (read_body(q, body, &m, needs, list) < 0)
		return;
	principal_of(q, &by);
	m.name = (char *)(uintptr_t)q->bound[0];
	m.by = &by; /* c.by stays NULL: ACCESS_OWNER has let through only root and whoever's node it is */
	request_command(q, &c, (job_id){0}, on_set);
}
