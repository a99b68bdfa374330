/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_router - from a request line to a handler, what a handler asks of its request, and how it answers.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"
#include "engine/api_int.h"

#define OUTPUT_REST 8u /* segments before {name...} */
#define TILES       "/v1/ledger/tile/"
#define TILE_REST   4u

const struct route api_routes[] = {
        {"GET", "/v1/version", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_version, NULL},
        {"GET", "/v1/nodes", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_nodes, NULL},
        {"GET", "/v1/nodes/{node}", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_node, NULL},
        {"PATCH", "/v1/nodes/{node}", ",", BODY_JSON, ACCESS_OWNER, SETTLE_NOT, h_node_patch, NULL},
        {"POST", "/v1/nodes/{node}/remove", ",", BODY_JSON, ACCESS_OWNER, SETTLE_NOT, h_node_remove, NULL},
        {"POST", "/v1/nodes/{node}/drain", ",", BODY_JSON, ACCESS_OWNER, SETTLE_NOT, h_drain, NULL},
        {"POST", "/v1/nodes/{node}/resume", ",", BODY_JSON, ACCESS_OWNER, SETTLE_NOT, h_resume, NULL},
        {"GET", "/v1/jobs", ",state,namespace,name,uid,label,limit,before,", BODY_NONE, ACCESS_ANY,
                SETTLE_AFTER, h_jobs, NULL},
        {"POST", "/v1/jobs", ",key,", BODY_JOBS, ACCESS_ANY, SETTLE_NOT, h_submit, NULL},
        {"POST", "/v1/plan", ",", BODY_JOBS, ACCESS_ANY, SETTLE_NOT, h_plan, NULL},
        {"GET", "/v1/resolve", ",name,", BODY_NONE, ACCESS_ANY, SETTLE_AFTER, h_resolve, NULL},
        {"GET", "/v1/events", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_node_events, NULL},
        {"GET", "/v1/jobs/{job}", ",", BODY_NONE, ACCESS_ANY, SETTLE_AFTER, h_job, NULL},
        {"GET", "/v1/jobs/{job}/spec", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_spec, NULL},
        {"PATCH", "/v1/jobs/{job}", ",", BODY_JSON, ACCESS_ANY, SETTLE_NOT, h_adjust, NULL},
        {"POST", "/v1/jobs/{job}/cancel", ",", BODY_JSON, ACCESS_ANY, SETTLE_NOT, h_cancel, NULL},
        {"POST", "/v1/jobs/{job}/retry", ",", BODY_JSON, ACCESS_ANY, SETTLE_NOT, h_retry, NULL},
        {"POST", "/v1/jobs/{job}/release", ",", BODY_JSON, ACCESS_ANY, SETTLE_NOT, h_release, NULL},
        {"GET", "/v1/jobs/{job}/why", ",", BODY_NONE, ACCESS_ANY, SETTLE_BEFORE, h_why_job, NULL},
        {"GET", "/v1/jobs/{job}/events", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_job_events, NULL},
        {"GET", "/v1/jobs/{job}/logs", ",follow,step,index,stream,", BODY_NONE, ACCESS_ANY, SETTLE_NOT,
                h_logs, NULL},
        {"GET", "/v1/jobs/{job}/tasks", ",step,state,limit,after,", BODY_NONE, ACCESS_ANY, SETTLE_AFTER,
                h_tasks, NULL},
        {"GET", "/v1/jobs/{job}/tasks/{step}/{index}", ",", BODY_NONE, ACCESS_ANY, SETTLE_BEFORE, h_task,
                NULL},
        {"GET", "/v1/jobs/{job}/tasks/{step}/{index}/why", ",", BODY_NONE, ACCESS_ANY, SETTLE_BEFORE, h_why,
                NULL},
        {"GET", "/v1/jobs/{job}/tasks/{step}/{index}/output/{name}", ",attempt,", BODY_NONE, ACCESS_ANY,
                SETTLE_BEFORE, h_output, NULL},
        {"GET", "/v1/jobs/{job}/tasks/{step}/{index}/receipt", ",format,", BODY_NONE, ACCESS_ANY,
                SETTLE_BEFORE, h_receipt, NULL},
        {"GET", "/v1/ledger", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_ledger, NULL},
        {"GET", "/v1/ledger/checkpoint", ",after,wait,", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_checkpoint,
                NULL},
        {"GET", "/v1/ledger/tile/{path...}", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_tile, NULL},
        {"GET", "/v1/ledger/proof", ",index,size,", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_proof, NULL},
        {"GET", "/v1/ledger/consistency", ",old,size,", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_consistency,
                NULL},
        {"GET", "/v1/ledger/keys", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_keys, NULL},
        {"GET", "/v1/ledger/anchors", ",limit,kind,place,", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_anchors,
                NULL},
        {"POST", "/v1/ledger/anchors", ",", BODY_JSON, ACCESS_OWNER, SETTLE_NOT, h_anchor_put, NULL},
        {"POST", "/v1/ledger/keys/rotate", ",", BODY_JSON, ACCESS_OWNER, SETTLE_NOT, h_key_rotate, NULL},
        {"POST", "/v1/ledger/keys/revoke", ",", BODY_JSON, ACCESS_OWNER, SETTLE_NOT, h_key_revoke, NULL},
        {"POST", "/v1/ledger/publish", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_publish, NULL},
        {"GET", "/v1/ledger/witnesses", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_witnesses, NULL},
        {"POST", "/v1/ledger/witnesses", ",", BODY_JSON, ACCESS_OWNER, SETTLE_NOT, h_witnesses_failed, NULL},
        {"POST", "/v1/ledger/cosignatures", ",", BODY_TEXT, ACCESS_OWNER, SETTLE_NOT, h_cosignatures, NULL},
        {"GET", "/v1/hub", ",", BODY_NONE, ACCESS_ANY, SETTLE_AFTER, h_hub, NULL},
        {"POST", "/v1/hub", ",", BODY_JSON, ACCESS_OWNER, SETTLE_NOT, h_hub_set, NULL},
        {"POST", "/v1/hub/tokens", ",", BODY_JSON, ACCESS_OWNER, SETTLE_NOT, h_hub_token, NULL},
        {"POST", "/v1/hub/revoke", ",", BODY_JSON, ACCESS_OWNER, SETTLE_NOT, h_hub_revoke, NULL},
        {"GET", "/v1/parent", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_parent, NULL},
        {"POST", "/v1/join", ",", BODY_JSON, ACCESS_OWNER, SETTLE_NOT, h_join, NULL},
        {"POST", "/v1/leave", ",", BODY_JSON, ACCESS_OWNER, SETTLE_NOT, h_leave, NULL},
        {"GET", "/v1/ledger/fabric", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_fabric, NULL},
        {"GET", "/v1/witness", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_witness, NULL},
        {"POST", "/v1/witness/add-checkpoint", ",", BODY_TEXT, ACCESS_ANY, SETTLE_NOT, h_add_checkpoint,
                NULL},
        {"GET", "/v1/witness/{sha256}/checkpoint", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT,
                h_witness_checkpoint, NULL},
        {"POST", "/v1/blobs/missing", ",", BODY_JOBS, ACCESS_ANY, SETTLE_NOT, h_blobs_missing, NULL},
        {"PUT", "/v1/blobs/{sha256}", ",", BODY_STREAM, ACCESS_ANY, SETTLE_NOT, h_blob_put, h_blob_piece},
        {"GET", "/v1/blobs/{sha256}", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_blob_get, NULL},
        {"HEAD", "/v1/blobs/{sha256}", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_blob_get, NULL},
        {"POST", "/v1/blobs/{sha256}/fetch", ",", BODY_JSON, ACCESS_OWNER, SETTLE_NOT, h_blob_fetch, NULL},
        {"POST", "/v1/blobs/{sha256}/send", ",", BODY_JSON, ACCESS_OWNER, SETTLE_NOT, h_blob_send, NULL},
        {"GET", "/v1/journal/head", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_head, NULL},
        {"GET", "/v1/journal/entries", ",from,limit,", BODY_NONE, ACCESS_OWNER, SETTLE_NOT, h_entries, NULL},
        {"GET", "/v1/history", ",job,node,uid,since,before,limit,", BODY_NONE, ACCESS_ANY, SETTLE_BEFORE,
                h_history, NULL},
        {"GET", "/v1/state", ",at,limit,before,", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_state, NULL},
        {"GET", "/v1/namespaces", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_namespaces, NULL},
        {"PUT", "/v1/namespaces/{name}", ",", BODY_JSON, ACCESS_OWNER, SETTLE_NOT, h_namespace_put, NULL},
        {"GET", "/v1/metrics", ",", BODY_NONE, ACCESS_ANY, SETTLE_NOT, h_metrics, NULL},
        {"POST", "/v1/shutdown", ",tasks,", BODY_JSON, ACCESS_OWNER, SETTLE_NOT, h_shutdown, NULL},
};
const size_t api_n_routes = ARRAY_LEN(api_routes);

/* ---- answering ---- */

struct json_out *answer_out(struct request *q)
{
	jo_clear(&q->api->out);
	return &q->api->out;
}

void answer_json(struct request *q, unsigned status)
{
	struct json_out *o = &q->api->out;
	struct MHD_Response *r;

	jo_raw(o, "\n", 1);
	if (o->n > (256u << 10)) { /* do not keep what a rare large answer took */
		size_t n;
		char *p = jo_take(o, &n);

		r = MHD_create_response_from_buffer(n, p, MHD_RESPMEM_MUST_FREE);
	} else {
		r = MHD_create_response_from_buffer(o->n, o->buf, MHD_RESPMEM_MUST_COPY);
	}
	CHECK(r);
	MHD_add_response_header(r, "Content-Type", "application/json");
	answer_response(q, status, r);
}

void error_json(struct json_out *o, const char *code, const char *message, const char *hint)
{
	jo_object(o);
	jo_key(o, "error");
	jo_object(o);
	jo_key(o, "code");
	jo_str(o, code);
	jo_key(o, "message");
	jo_str(o, message);
	if (hint && *hint) {
		jo_key(o, "hint");
		jo_str(o, hint);
	}
	jo_object_end(o);
	jo_object_end(o);
}

void answer_error(struct request *q, unsigned status, const char *code, const char *message, const char *hint)
{
	error_json(answer_out(q), code, message, hint);
	answer_json(q, status);
}

void answer_errf(struct request *q, unsigned status, const char *code, const char *hint, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	answer_error(q, status, code, text, hint);
}

unsigned status_of(enum err_code code)
{
	switch (code) {
	case ERR_NONE:
		return 200;
	case ERR_INVALID:
		return 400;
	case ERR_NOTFOUND:
		return 404;
	case ERR_EXISTS:
		return 409;
	case ERR_DENIED:
	case ERR_REMOVED:
		return 403;
	case ERR_FULL:
		return 507;
	case ERR_TIMEOUT:
		return 504;
	case ERR_FENCED:
	case ERR_CLOSED:
		return 503;
	case ERR_CORRUPT:
	case ERR_VERSION:
	case ERR_SYSTEM:
		return 500;
	}
	return 500;
}

void answer_err(struct request *q, const struct err *e)
{
	answer_error(q, status_of(e->code), err_code_name(e->code), e->msg, e->hint);
}

/* ---- finding the route ---- */

static void close_after(struct request *q)
{
	q->at_once = true;
	MHD_add_response_header(q->response, "Connection", "close");
}

/* The path exists, the method does not: say which do. */
static void answer_method(struct request *q, const char *method)
{
	char allow[64] = "", hint[120];
	size_t n = 0;

	for (size_t i = 0; i < api_n_routes; i++) {
		const char *bound[PATH_BINDS_MAX];

		if (path_match(&q->path, api_routes[i].pattern, bound) && n < sizeof(allow) - 10)
			n += (size_t)snprintf(
			        allow + n, sizeof(allow) - n, "%s%s", n ? ", " : "", api_routes[i].method);
	}
	if (!n) {
		answer_error(q, 404, "not_found", "there is no such address", "docs/openapi.yaml lists all");
		return;
	}
	snprintf(hint, sizeof(hint), "use %s", allow);
	answer_errf(q, 405, "method", hint, "'%.16s' is not possible here", method);
	MHD_add_response_header(q->response, "Allow", allow);
}

static const struct route *find_route(struct request *q, const char *method)
{
	for (size_t i = 0; i < api_n_routes; i++)
		if (!strcmp(api_routes[i].method, method) &&
		        path_match(&q->path, api_routes[i].pattern, q->bound))
			return &api_routes[i];
	/* HEAD of anything that can be got: libmicrohttpd leaves the body out. */
	for (size_t i = 0; !strcmp(method, "HEAD") && i < api_n_routes; i++)
		if (!strcmp(api_routes[i].method, "GET") &&
		        path_match(&q->path, api_routes[i].pattern, q->bound) &&
		        api_routes[i].handle != h_logs && api_routes[i].handle != h_job_events &&
		        api_routes[i].handle != h_node_events)
			return &api_routes[i];
	return NULL;
}

/* Is `word` one of ",a,b,c,"? */
static bool listed(const char *list, const char *word)
{
	size_t n = strlen(word);
	const char *p = list;

	if (!n || strchr(word, ','))
		return false;
	while ((p = strstr(p, word))) {
		if (p[-1] == ',' && p[n] == ',')
			return true;
		p++;
	}
	return false;
}

/* ",a,b," -> "a, b" */
static void known_text(const char *list, char *out, size_t room)
{
	size_t n = 0, len = strlen(list);

	for (const char *p = list + 1; *p && n + 3 < room; p++) {
		if (*p != ',')
			out[n++] = *p;
		else if (p + 1 < list + len)
			out[n++] = ',', out[n++] = ' ';
	}
	out[n] = 0;
}

struct query_check {
	struct request *q;
	const char *unknown, *empty;
};

static enum MHD_Result check_query(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct query_check *c = cls;

	(void)kind;
	if (!listed(c->q->route->query, key))
		c->unknown = key;
	else if (!value)
		c->empty = key;
	return c->unknown || c->empty ? MHD_NO : MHD_YES;
}

static bool query_ok(struct request *q)
{
	struct query_check c = {.q = q};
	char known[120], hint[120];

	MHD_get_connection_values(q->conn, MHD_GET_ARGUMENT_KIND, check_query, &c);
	if (c.empty)
		answer_errf(q, 400, "invalid", NULL, "'%.60s' has no value", c.empty);
	if (!c.unknown)
		return !c.empty;
	known_text(q->route->query, known, sizeof(known));
	if (known[0])
		snprintf(hint, sizeof(hint), "known here: %.100s", known);
	else
		snprintf(hint, sizeof(hint), "nothing may stand after '?' here");
	answer_errf(q, 400, "invalid", hint, "unknown parameter '%.60s'", c.unknown);
	return false;
}

/* What the header alone says is too much. */
static bool size_ok(struct request *q)
{
	const union MHD_ConnectionInfo *i =
	        MHD_get_connection_info(q->conn, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	const char *length = MHD_lookup_connection_value(q->conn, MHD_HEADER_KIND, "Content-Length");
	uint64_t n = 0, max = API_SMALL_BODY_MAX;

	if (i && i->header_size > API_HEADER_BYTES_MAX) {
		answer_errf(q, 431, "too_large", NULL, "the header of the request has more than %u bytes",
		        API_HEADER_BYTES_MAX);
		close_after(q);
		return false;
	}
	if (q->route->body == BODY_JOBS)
		max = API_BODY_MAX;
	else if (q->route->body == BODY_STREAM)
		max = API_BLOB_MAX;
	if (length && (path_number(length, &n) < 0 || n > max)) {
		answer_errf(q, 413, "too_large",
		        q->route->body == BODY_JOBS ? "send the jobs in several requests" : NULL,
		        "the body has more than %llu bytes", (unsigned long long)max);
		close_after(q);
		return false;
	}
	return true;
}

void request_begin(struct request *q, const char *method, const char *url)
{
	static const char output[] = "/output/";
	struct err e;
	unsigned rest = strncmp(url, TILES, sizeof(TILES) - 1) == 0 ? TILE_REST
	                : strstr(url, output)                       ? OUTPUT_REST
	                                                            : 0;

	q->head = !strcmp(method, "HEAD");
	if (q->client->over) {
		answer_errf(q, 503, "busy", "close what is not needed, or try again later",
		        "there are %u connections already", q->api->n_clients);
		close_after(q);
		return;
	}
	if (q->api->closing) {
		answer_error(q, 503, "closed", "the node is stopping", "try again when it is up");
		return;
	}
	if (path_split(url, rest, &q->path, &e) < 0) {
		answer_err(q, &e);
		return;
	}
	q->route = find_route(q, method);
	if (!q->route) {
		answer_method(q, method);
		return;
	}
	if (!size_ok(q) || !query_ok(q))
		return;
	if (q->route->access == ACCESS_OWNER && !is_node_owner(q))
		answer_errf(q, 403, "denied", "ask as root or as the user whose node it is",
		        "%s may not do that on this node", q->client->name);
}

void request_handle(struct request *q)
{
	if (q->body_too_large) {
		bool all = q->api->bodies > API_BODIES_MAX / 2;

		answer_error(q, all ? 503 : 413, all ? "busy" : "too_large",
		        "the body of the request is too large", "send less at once");
		return;
	}
	if (q->route->body == BODY_NONE && q->body_n) {
		answer_error(q, 400, "invalid", "this request takes no body", NULL);
		return;
	}
	q->route->handle(q);
}

/* ---- what a request says ---- */

const char *query_text(struct request *q, const char *name)
{
	const char *raw = MHD_lookup_connection_value(q->conn, MHD_GET_ARGUMENT_KIND, name);
	char *copy;
	struct err e;

	if (!raw)
		return NULL;
	if (q->n_query == ARRAY_LEN(q->query))
		return NULL;
	copy = strdup(raw);
	CHECK(copy);
	q->query[q->n_query++] = copy;
	/* What cannot be decoded matches nothing; libmicrohttpd has turned '+' into a space already. */
	if (url_decode(copy, false, NULL, &e) < 0)
		copy[0] = 0;
	return copy;
}

int query_u64(struct request *q, const char *name, uint64_t min, uint64_t max, uint64_t *out)
{
	const char *text = query_text(q, name);
	uint64_t v;

	if (!text)
		return 0;
	if (path_number(text, &v) < 0 || v < min || v > max) {
		answer_errf(q, 400, "invalid", NULL, "'%s' is '%.40s': it must be a number from %llu to %llu",
		        name, text, (unsigned long long)min, (unsigned long long)max);
		return -1;
	}
	*out = v;
	return 0;
}

/* What a parsed body takes depends on how many values it has, not on its bytes. */
static bool too_many_values(const struct request *q)
{
	size_t n = 0;

	for (size_t i = 0; i < q->body_n; i++)
		n += q->body[i] == ',' || q->body[i] == '[' || q->body[i] == '{';
	return n > API_VALUES_MAX;
}

json_t *body_json(struct request *q, bool optional)
{
	json_error_t je;

	if (q->json)
		return q->json;
	if (!q->body_n && optional)
		return q->json = json_object();
	if (!q->body_n) {
		answer_error(q, 400, "invalid", "the request has no body", "send a JSON object");
		return NULL;
	}
	if (too_many_values(q)) {
		answer_errf(q, 413, "too_large", "send less at once", "the body has more than %u values",
		        API_VALUES_MAX);
		return NULL;
	}
	q->json = json_loadb(q->body, q->body_n, JSON_REJECT_DUPLICATES, &je);
	if (!q->json) {
		answer_errf(q, 400, "invalid", NULL, "the body is not JSON: line %d, column %d: %.120s",
		        je.line, je.column, je.text);
		return NULL;
	}
	if (!json_is_object(q->json)) {
		answer_error(q, 400, "invalid", "the body is not a JSON object", NULL);
		return NULL;
	}
	return q->json;
}

int body_keys(struct request *q, json_t *o, const char *known)
{
	const char *key;
	json_t *v;

	json_object_foreach(o, key, v)
	{
		char text[120], hint[120];

		if (listed(known, key))
			continue;
		known_text(known, text, sizeof(text));
		if (text[0])
			snprintf(hint, sizeof(hint), "known here: %.100s", text);
		else
			snprintf(hint, sizeof(hint), "this request takes none");
		answer_errf(q, 400, "invalid", hint, "unknown key '%.60s' in the body", key);
		return -1;
	}
	return 0;
}

bool is_node_owner(const struct request *q)
{
	return q->client->uid == 0 || q->client->uid == q->api->owner;
}

bool may_change(const struct request *q, const struct job_view *v)
{
	return is_node_owner(q) || q->client->uid == v->uid;
}

void principal_of(struct request *q, Wire__Principal *out)
{
	CHECK(getrandom(q->salt, sizeof(q->salt), 0) == (ssize_t)sizeof(q->salt));
	wire__principal__init(out);
	out->salt = (ProtobufCBinaryData){sizeof(q->salt), q->salt};
	out->name = q->client->name;
	out->uid = q->client->uid;
	out->gid = q->client->gid;
}

static bool source_below(void *ctx, uint64_t before, uint64_t *out_job, const char **out_name)
{
	struct job_view v;

	if (!job_below(ctx, before, &v))
		return false;
	*out_job = v.id.v;
	*out_name = v.name;
	return true;
}

static bool source_get(void *ctx, uint64_t job, const char **out_name)
{
	struct job_view v;

	if (!engine_job(ctx, (job_id){job}, &v))
		return false;
	*out_name = v.name;
	return true;
}

static void answer_ambiguous(struct request *q, const struct err *e, const struct name_candidates *c)
{
	struct json_out *o = answer_out(q);

	jo_object(o);
	jo_key(o, "error");
	jo_object(o);
	jo_key(o, "code");
	jo_str(o, "ambiguous");
	jo_key(o, "message");
	jo_str(o, e->msg);
	jo_key(o, "hint");
	jo_str(o, e->hint);
	jo_key(o, "candidates");
	jo_array(o);
	for (unsigned i = 0; i < c->n; i++)
		jo_str(o, c->v[i]);
	jo_array_end(o);
	jo_object_end(o);
	jo_object_end(o);
	answer_json(q, 409);
}

/* N or NAME-N of a job that there was: it is told that it was forgotten, not that it never was. */
static void told_forgotten(const struct engine *en, const char *name, struct err *e)
{
	const char *dash = strrchr(name, '-');
	struct job_view v;
	uint64_t n = 0;

	if (path_number(dash ? dash + 1 : name, &n) < 0 || n == 0 || n > engine_job_last(en).v ||
	        engine_job(en, (job_id){n}, &v))
		return;
	(void)err_set(e, ERR_NOTFOUND, "payload expired: the history of job %llu was dropped by policy",
	        (unsigned long long)n);
	(void)err_hint(
	        e, "'osier history --job %llu' shows what the log still says of it", (unsigned long long)n);
}

int job_by_name(struct request *q, const char *name, struct job_view *out)
{
	const struct engine *en = node_engine(q->api->node);
	struct name_source s = {.ctx = (void *)(uintptr_t)en, .below = source_below, .get = source_get};
	struct name_candidates c;
	struct err e;
	uint64_t job = 0;

	if (name_resolve(&s, name, &job, &c, &e) < 0) {
		if (e.code == ERR_NOTFOUND)
			told_forgotten(en, name, &e);
		if (e.code == ERR_EXISTS)
			answer_ambiguous(q, &e, &c);
		else
			answer_err(q, &e);
		return -1;
	}
	CHECK(engine_job(en, (job_id){job}, out));
	return 0;
}

int request_job(struct request *q, struct job_view *out)
{
	return job_by_name(q, q->bound[0], out);
}

int request_own_job(struct request *q, struct job_view *out)
{
	if (request_job(q, out) < 0)
		return -1;
	if (may_change(q, out))
		return 0;
	answer_errf(q, 403, "denied", "ask as its owner, as root or as the user whose node it is",
	        "job %llu belongs to uid %u, and you are %s", (unsigned long long)out->id.v, out->uid,
	        q->client->name);
	return -1;
}

int find_step(struct request *q, const Wire__JobSpec *spec, const char *name, uint32_t *out)
{
	char known[96] = "", hint[120];
	size_t n = 0;

	for (uint32_t i = 0; i < spec->n_steps; i++) {
		if (!strcmp(spec->steps[i]->name, name)) {
			*out = i;
			return 0;
		}
		if (n < sizeof(known))
			n += (size_t)snprintf(
			        known + n, sizeof(known) - n, "%s%s", i ? ", " : "", spec->steps[i]->name);
	}
	snprintf(hint, sizeof(hint), "its steps: %s%s", known, n >= sizeof(known) ? "..." : "");
	answer_errf(q, 404, "not_found", hint, "there is no step '%.80s' in the job", name);
	return -1;
}

int request_task(struct request *q, struct job_view *job, uint32_t *out_step, uint64_t *out_index,
        struct spec_ref *spec)
{
	const struct engine *en = node_engine(q->api->node);
	struct err e;
	uint64_t index;

	if (request_job(q, job) < 0)
		return -1;
	if (spec_hold(q->api->specs, en, job->id, spec, &e) < 0) {
		answer_err(q, &e);
		return -1;
	}
	if (find_step(q, spec->spec, q->bound[1], out_step) < 0)
		goto fail;
	if (path_number(q->bound[2], &index) < 0) {
		answer_errf(q, 400, "invalid", NULL, "'%.40s' is not a task's index", q->bound[2]);
		goto fail;
	}
	if (index >= spec->spec->steps[*out_step]->tasks) {
		answer_errf(q, 404, "not_found", NULL, "step '%.80s' has tasks 0 to %llu, not %llu",
		        spec->spec->steps[*out_step]->name,
		        (unsigned long long)spec->spec->steps[*out_step]->tasks - 1,
		        (unsigned long long)index);
		goto fail;
	}
	*out_index = index;
	return 0;
fail:
	spec_release(spec);
	return -1;
}
