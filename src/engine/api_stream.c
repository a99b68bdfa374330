/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_stream - answers without end: server-sent events (WHATWG HTML, section 9.2).
 *
 * Nothing is queued for a client: fill() makes the next event when the socket takes one, from the state as it is then.
 * So a slow reader gets fewer, newer events and costs one buffer; one that does not read at all is closed by the
 * idle timeout. When there is nothing to say the connection sleeps, with a comment line now and then so that a client
 * that went away is noticed. One timer serves all streams, and runs only while one is due.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/api_int.h"

#define CHUNK_BYTES 16384u

/* When a sleeping stream must be looked at again. */
static uint64_t due(const struct stream *s)
{
	uint64_t ms = s->last_ms + API_KEEPALIVE_MS, soon = s->last_ms + API_EVENT_MS;

	if (s->dirty && s->urgent)
		return 0;
	if (s->dirty && soon < ms)
		ms = soon;
	if (s->at_ms && s->at_ms < ms)
		ms = s->at_ms;
	return ms;
}

/* Have the timer run when the first of all streams is due. */
static void arm(struct api *a)
{
	uint64_t first = UINT64_MAX, now = uv_now(a->loop);

	for (const struct stream *s = a->streams; s; s = s->next)
		if (s->asleep && due(s) < first)
			first = due(s);
	if (first == UINT64_MAX || a->closing)
		uv_timer_stop(&a->pulse);
	else
		uv_timer_start(&a->pulse, streams_pulse, first > now ? first - now : 0, 0);
}

static void resume(struct stream *s)
{
	if (!s->asleep)
		return;
	s->asleep = false;
	MHD_resume_connection(s->conn);
	api_kick(s->api);
}

void streams_pulse(uv_timer_t *t)
{
	struct api *a = t->data;
	uint64_t now = uv_now(a->loop);

	for (struct stream *s = a->streams; s; s = s->next) {
		if (!s->asleep || due(s) > now)
			continue;
		if (now - s->last_ms >= API_KEEPALIVE_MS) {
			s->last_ms = now;
			s->sent = 0;
			jo_clear(&s->out);
			jo_raw(&s->out, ":\n\n", 3);
		}
		resume(s);
	}
	arm(a);
}

void stream_wake(struct stream *s, enum stream_when when)
{
	s->dirty = true;
	if (when == STREAM_NOW)
		s->urgent = true;
	if (!s->asleep)
		return;
	if (s->urgent || due(s) <= uv_now(s->api->loop))
		resume(s);
	else
		arm(s->api);
}

static void fall_asleep(struct stream *s)
{
	s->asleep = true;
	MHD_suspend_connection(s->conn);
	arm(s->api);
}

/* Make more to send; false: there is nothing now. */
static bool refill(struct stream *s)
{
	uint64_t now = uv_now(s->api->loop);
	enum stream_more more = STREAM_MORE;

	s->sent = 0;
	jo_clear(&s->out);
	if (!s->dirty && !(s->at_ms && s->at_ms <= now))
		return false;
	if (!s->urgent && now - s->last_ms < API_EVENT_MS)
		return false;
	s->dirty = s->urgent = false;
	s->at_ms = 0;
	while (more == STREAM_MORE && s->out.n < CHUNK_BYTES)
		more = s->fill(s);
	s->ended = more == STREAM_END;
	if (more == STREAM_MORE)
		s->dirty = s->urgent = true;
	if (s->out.n)
		s->last_ms = now;
	return s->out.n > 0;
}

static ssize_t read_stream(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct stream *s = cls;
	size_t n;

	(void)pos;
	if (s->sent == s->out.n && (s->ended || s->api->closing || !refill(s))) {
		if (s->ended || s->api->closing)
			return MHD_CONTENT_READER_END_OF_STREAM;
		fall_asleep(s);
		return 0;
	}
	n = s->out.n - s->sent < max ? s->out.n - s->sent : max;
	memcpy(buf, s->out.buf + s->sent, n);
	s->sent += n;
	return (ssize_t)n;
}

/* Outlives its stream, when that is closed first. */
struct settling {
	struct stream *s;
};

static void on_settled(void *ctx, const struct node_answer *a)
{
	struct settling *w = ctx;

	(void)a;
	if (w->s) {
		w->s->settling = NULL;
		w->s->settled = true;
		stream_wake(w->s, STREAM_NOW);
	}
	free(w);
}

bool stream_settle(struct stream *s)
{
	struct settling *w;

	if (s->settling)
		return true;
	w = malloc(sizeof(*w));
	CHECK(w);
	w->s = s;
	if (node_settle(s->api->node, SETTLE_TELL, on_settled, w)) {
		s->settling = w;
		return true;
	}
	free(w);
	return false;
}

static void free_stream(void *cls)
{
	struct stream *s = cls;

	if (s->settling)
		s->settling->s = NULL;

	if (s->prev)
		s->prev->next = s->next;
	else
		s->api->streams = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->close(s);
	jo_release(&s->out);
	free(s);
}

struct stream *answer_stream(struct request *q, enum stream_more (*fill)(struct stream *),
        void (*close)(struct stream *), void *ctx)
{
	struct stream *s = calloc(1, sizeof(*s));
	struct MHD_Response *r;

	CHECK(s);
	s->api = q->api;
	s->conn = q->conn;
	s->fill = fill;
	s->close = close;
	s->ctx = ctx;
	s->last_ms = uv_now(q->api->loop);
	s->dirty = s->urgent = true;
	jo_init(&s->out);
	s->next = q->api->streams;
	if (s->next)
		s->next->prev = s;
	q->api->streams = s;
	r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, CHUNK_BYTES, read_stream, s, free_stream);
	CHECK(r);
	MHD_add_response_header(r, "Content-Type", "text/event-stream");
	MHD_add_response_header(r, "Cache-Control", "no-store");
	answer_response(q, 200, r);
	return s;
}

void streams_close(struct api *a)
{
	for (struct stream *s = a->streams; s; s = s->next)
		resume(s);
}

void event_begin(struct json_out *o, const char *name)
{
	jo_raw(o, "event: ", 7);
	jo_raw(o, name, strlen(name));
	jo_raw(o, "\ndata: ", 7);
}

void event_end(struct json_out *o)
{
	jo_raw(o, "\n\n", 2);
}
