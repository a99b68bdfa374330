/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_blobs - files of jobs: put by their digest, got by it.
 *
 * A body is written to disk as it comes; that it is durable is seen to by a worker thread, so the loop never waits for
 * an fsync. Who knows a digest may have the bytes: to name them is to have seen them, or what they were made into.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/api_int.h"
#include "engine/carrier.h"
#include "engine/hub_copies.h"
#include "io/blobs.h"

struct put {
	uv_work_t work;
	struct request *q; /* NULL: gone */
	struct blob_writer *w;
	uint8_t must[32];
	uint64_t bytes;
	struct err err;
	bool there; /* it was, before */
	bool busy;  /* with the thread */
};

static void put_free(struct put *p)
{
	if (p->w)
		blob_abort(p->w);
	free(p);
}

static void request_gone(void *own)
{
	struct put *p = own;

	p->q = NULL;
	if (!p->busy)
		put_free(p);
}

static void blob_json(struct request *q, unsigned status, const uint8_t digest[32], uint64_t bytes)
{
	struct json_out *o = answer_out(q);

	jo_object(o);
	jo_key(o, "sha256");
	jo_hex(o, digest, 32);
	jo_key(o, "bytes");
	jo_u64(o, bytes);
	jo_object_end(o);
	answer_json(q, status);
}

static int digest_of(struct request *q, uint8_t out[32])
{
	if (path_digest(q->bound[0], out) == 0)
		return 0;
	answer_errf(
	        q, 400, "invalid", NULL, "'%.80s' is not a SHA-256 of 64 hexadecimal digits", q->bound[0]);
	return -1;
}

/* With the first piece, or without any: begin. */
static struct put *put_begin(struct request *q)
{
	const char *length = MHD_lookup_connection_value(q->conn, MHD_HEADER_KIND, "Content-Length");
	uint64_t expect = UINT64_MAX;
	struct put *p;
	struct err e;

	if (q->own)
		return q->own;
	p = calloc(1, sizeof(*p));
	CHECK(p);
	p->q = q;
	p->work.data = p;
	q->own = p;
	q->own_free = request_gone;
	if (digest_of(q, p->must) < 0)
		return NULL;
	p->there = blobs_has(node_blobs(q->api->node), p->must, NULL);
	if (length)
		path_number(length, &expect);
	if (blob_begin(node_blobs(q->api->node), expect, &p->w, &e) < 0) {
		p->w = NULL;
		answer_err(q, &e);
		return NULL;
	}
	return p;
}

int h_blob_piece(struct request *q, const char *bytes, size_t n)
{
	struct put *p = put_begin(q);
	struct err e;

	if (!p)
		return -1;
	if (blob_write(p->w, bytes, n, &e) == 0)
		return 0;
	blob_abort(p->w);
	p->w = NULL;
	answer_err(q, &e);
	return -1;
}

static void put_run(uv_work_t *work)
{
	struct put *p = work->data;
	uint8_t digest[32];

	if (blob_end(p->w, p->must, digest, &p->bytes, &p->err) == 0)
		p->err.code = ERR_NONE;
}

/* It lies at the hub's standbys, too. */
static void put_copied(void *ctx)
{
	struct put *p = ctx;

	p->busy = false;
	if (p->q)
		blob_json(p->q, p->there ? 200 : 201, p->must, p->bytes);
	else
		put_free(p);
}

static void put_done(uv_work_t *work, int status)
{
	struct put *p = work->data;
	struct request *q = p->q;

	p->busy = false;
	if (status == 0)
		p->w = NULL;
	if (!q) {
		put_free(p);
		return;
	}
	if (status < 0)
		answer_error(q, 503, "closed", "the node is stopping", NULL);
	else if (p->err.code == ERR_INVALID)
		answer_error(q, 422, "invalid", p->err.msg, p->err.hint);
	else if (p->err.code)
		answer_err(q, &p->err);
	else {
		p->busy = true;
		hub_copy(q->api->node, p->must, p->bytes, put_copied, p);
	}
}

void h_blob_put(struct request *q)
{
	struct put *p = put_begin(q);

	if (!p)
		return;
	p->busy = true;
	uv_queue_work(q->api->loop, &p->work, put_run, put_done); /* fails only without a function */
	request_sleep(q);
}

void h_blob_get(struct request *q)
{
	uint8_t digest[32];
	uint64_t bytes;
	struct err e;
	int fd;

	if (digest_of(q, digest) < 0)
		return;
	if (blobs_open_read(node_blobs(q->api->node), digest, &fd, &bytes, &e) < 0) {
		answer_err(q, &e);
		return;
	}
	blobs_touch(node_blobs(q->api->node), digest);
	answer_file(q, fd, bytes, digest);
}

void h_blobs_missing(struct request *q)
{
	json_t *body = body_json(q, false), *list, *v;
	struct json_out *o;
	uint8_t digest[32];
	size_t i;

	if (!body || body_keys(q, body, ",sha256,") < 0)
		return;
	list = json_object_get(body, "sha256");
	if (!json_is_array(list) || json_array_size(list) > 100000) {
		answer_error(q, 400, "invalid", "'sha256' must be an array of up to 100000 digests", NULL);
		return;
	}
	o = answer_out(q);
	jo_object(o);
	jo_key(o, "missing");
	jo_array(o);
	json_array_foreach(list, i, v)
	{
		if (!json_is_string(v) || path_digest(json_string_value(v), digest) < 0) {
			answer_errf(q, 400, "invalid", NULL,
			        "element %zu of 'sha256' is not a SHA-256 of 64 hexadecimal digits", i);
			return;
		}
		if (blobs_has(node_blobs(q->api->node), digest, NULL))
			blobs_touch(node_blobs(q->api->node), digest);
		else
			jo_hex(o, digest, 32);
	}
	jo_array_end(o);
	jo_object_end(o);
	answer_json(q, 200);
}

/* ---- from and to the hub that this node has joined ---- */

struct carrying {
	struct request *q; /* NULL: gone */
	uint8_t digest[32];
	bool awaited;
};

static void carrying_gone(void *own)
{
	struct carrying *c = own;

	c->q = NULL;
	if (!c->awaited)
		free(c);
}

static void carried(void *ctx, const struct err *e)
{
	struct carrying *c = ctx;
	struct request *q = c->q;
	uint64_t bytes = 0;

	c->awaited = false;
	if (!q) {
		free(c);
		return;
	}
	(void)blobs_has(node_blobs(q->api->node), c->digest, &bytes);
	if (e)
		answer_err(q, e);
	else
		blob_json(q, 200, c->digest, bytes);
}

static struct carrying *carry(struct request *q)
{
	json_t *body = body_json(q, true);
	struct carrying *c;
	uint8_t digest[32];

	if (!body || body_keys(q, body, ",") < 0 || digest_of(q, digest) < 0)
		return NULL;
	c = calloc(1, sizeof(*c));
	CHECK(c);
	memcpy(c->digest, digest, 32);
	c->q = q;
	c->awaited = true;
	q->own = c;
	q->own_free = carrying_gone;
	request_sleep(q);
	return c;
}

void h_blob_fetch(struct request *q)
{
	struct carrying *c = carry(q);

	if (c)
		carrier_get(q->api->node, c->digest, UINT64_MAX, carried, c);
}

void h_blob_send(struct request *q)
{
	struct carrying *c = carry(q);

	if (c)
		carrier_put(q->api->node, c->digest, NULL, carried, c);
}
