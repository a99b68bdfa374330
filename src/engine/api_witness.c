/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_witness - this node as a witness of other logs (C2SP tlog-witness): /v1/witness is its submission and monitoring prefix.
 *
 * Cosigning costs an fsync, so it is done in a thread of the pool. Answers of add-checkpoint are text, as the protocol has them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/api_int.h"
#include "engine/fabric.h"
#include "engine/witness.h"
#include "io/clock.h"
#include "io/sha256.h"

#define LOGS_MAX (8u * POLICY_ITEMS_MAX) /* nodes of a hub, too */

static struct witness *the_witness(struct request *q)
{
	struct witness *w = node_witness(q->api->node);

	if (!w)
		answer_error(q, 404, "not_found", "this node witnesses no other logs",
		        "name the logs in a file, and the file as ledger.witness in config.yaml");
	return w;
}

void h_witness(struct request *q)
{
	struct witness *w = the_witness(q);
	struct witness_seen *seen;
	char vkey[NOTE_VKEY_MAX];
	struct json_out *o;
	size_t n;

	if (!w)
		return;
	seen = calloc(LOGS_MAX, sizeof(*seen));
	CHECK(seen);
	n = witness_logs(w, seen, LOGS_MAX);
	witness_vkey(w, vkey);
	o = answer_out(q);
	jo_object(o);
	jo_key(o, "vkey");
	jo_str(o, vkey);
	jo_key(o, "logs");
	jo_array(o);
	for (size_t i = 0; i < n; i++) {
		jo_object(o);
		jo_key(o, "origin");
		jo_str(o, seen[i].origin);
		jo_key(o, "size");
		jo_u64(o, seen[i].last.size);
		jo_key(o, "root");
		jo_hex(o, seen[i].last.root, 32);
		jo_key(o, "time");
		jo_time_or_null(o, seen[i].time_s * 1000000000u);
		jo_key(o, "forks");
		jo_u64(o, seen[i].forks);
		jo_object_end(o);
	}
	jo_array_end(o);
	jo_object_end(o);
	free(seen);
	answer_json(q, 200);
}

static void answer_text(struct request *q, unsigned status, const char *type, const char *p, size_t n)
{
	struct MHD_Response *r =
	        MHD_create_response_from_buffer(n, (void *)(uintptr_t)p, MHD_RESPMEM_MUST_COPY);

	CHECK(r);
	MHD_add_response_header(r, "Content-Type", type);
	answer_response(q, status, r);
}

void h_witness_checkpoint(struct request *q)
{
	struct witness *w = the_witness(q);
	uint8_t digest[32];
	char *text;
	size_t n;

	if (!w)
		return;
	if (sha256_unhex(q->bound[0], digest) < 0) {
		answer_error(q, 400, "invalid", "a log is named by the SHA-256 of its origin here",
		        "64 hexadecimal digits");
		return;
	}
	if (!witness_checkpoint(w, digest, &text, &n)) {
		answer_error(q, 404, "not_found", "no head of such a log was cosigned here", NULL);
		return;
	}
	answer_text(q, 200, "text/plain; charset=utf-8", text, n);
	free(text);
}

/* ---- over links ---- */

static void one_json(void *ctx, const struct fabric_view *v)
{
	struct json_out *o = ctx;

	jo_object(o);
	jo_key(o, "name");
	jo_str(o, v->name);
	jo_key(o, "hub");
	jo_bool(o, v->parent);
	jo_key(o, "origin");
	jo_str(o, *v->origin ? v->origin : NULL);
	jo_key(o, "vkey");
	jo_str(o, *v->witness ? v->witness : NULL);
	jo_key(o, "size");
	jo_u64(o, v->theirs);
	jo_key(o, "time");
	jo_time_or_null(o, v->theirs_s * 1000000000u);
	jo_key(o, "own_size");
	jo_u64(o, v->ours);
	jo_key(o, "own_time");
	jo_time_or_null(o, v->ours_s * 1000000000u);
	jo_key(o, "alarm");
	jo_str(o, *v->alarm ? v->alarm : NULL);
	jo_key(o, "evidence");
	jo_str(o, *v->evidence ? v->evidence : NULL);
	jo_key(o, "alarm_time");
	jo_time_or_null(o, v->alarm_s * 1000000000u);
	jo_key(o, "mirrored");
	jo_u64(o, v->mirrored);
	jo_key(o, "mirror_bytes");
	jo_u64(o, v->mirror_bytes);
	jo_key(o, "mirror");
	jo_str(o, v->mirror && *v->mirror ? v->mirror : NULL);
	jo_key(o, "error");
	jo_str(o, *v->error ? v->error : NULL);
	jo_object_end(o);
}

void h_fabric(struct request *q)
{
	struct json_out *o = answer_out(q);
	uint64_t every;

	jo_object(o);
	jo_key(o, "logs");
	jo_array(o);
	every = fabric_each(q->api->node, one_json, o);
	jo_array_end(o);
	jo_key(o, "every");
	jo_u64(o, every / 1000000000u);
	jo_object_end(o);
	answer_json(q, 200);
}

/* ---- add-checkpoint ---- */

/* A request that is worked on in the pool, and may be gone before it is done. */
struct adding {
	uv_work_t work;
	struct request *q; /* NULL: gone */
	struct witness *w;
	char *body;
	size_t n;
	struct witness_reply reply;
};

static void adding_gone(void *own)
{
	((struct adding *)own)->q = NULL;
}

static void add_work(uv_work_t *work)
{
	struct adding *a = work->data;

	witness_add_checkpoint(a->w, a->body, a->n, clock_wall_ns() / 1000000000u, &a->reply);
}

static void add_done(uv_work_t *work, int status)
{
	struct adding *a = work->data;

	(void)status;
	if (a->q) {
		a->q->own = NULL;
		a->q->own_free = NULL;
		if (!a->q->response) /* the API may be closing */
			answer_text(a->q, a->reply.status, a->reply.type, a->reply.body, a->reply.n);
	}
	free(a->body);
	free(a);
}

void h_add_checkpoint(struct request *q)
{
	struct witness *w = the_witness(q);
	struct adding *a;

	if (!w)
		return;
	a = calloc(1, sizeof(*a));
	CHECK(a);
	*a = (struct adding){.q = q, .w = w, .n = q->body_n, .body = malloc(q->body_n + 1)};
	CHECK(a->body);
	if (q->body_n)
		memcpy(a->body, q->body, q->body_n);
	a->work.data = a;
	q->own = a;
	q->own_free = adding_gone;
	request_sleep(q);
	CHECK(uv_queue_work(q->api->loop, &a->work, add_work, add_done) == 0);
}
