/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_anchors - heads of the log that were brought to a chain, an authority or calendars: told by who brings them, asked for by
 * anybody.
 *
 * A head is taken only when it is the log's: its note says what the tree of that size says. Kept in a thread of the pool, for
 * it may wait for a publishing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "engine/api_int.h"
#include "io/anchored.h"
#include "io/clock.h"
#include "io/sha256.h"

/* ---- asked for ---- */

static int anchor_json(void *ctx, const struct anchored *a)
{
	struct json_out *o = ctx;
	char *text = malloc(BASE64_CHARS(a->proof_n) + 1);

	CHECK(text);
	jo_object(o);
	jo_key(o, "kind");
	jo_str(o, anchored_kind_name(a->kind));
	jo_key(o, "place");
	jo_str(o, a->place);
	jo_key(o, "size");
	jo_u64(o, a->size);
	jo_key(o, "root");
	jo_hex(o, a->root, 32);
	jo_key(o, "state");
	jo_str(o, anchored_state_name(a->state));
	jo_key(o, "time");
	jo_time(o, a->time_s * 1000000000u);
	jo_key(o, "note");
	jo_str_n(o, a->note, a->note_n);
	jo_key(o, "proof");
	if (a->proof_n)
		jo_str_n(o, text, base64_write(a->proof, a->proof_n, text));
	else
		jo_null(o);
	jo_key(o, "details");
	jo_raw(o, a->details, strlen(a->details)); /* JSON: it was printed when it was taken */
	jo_object_end(o);
	free(text);
	return 0;
}

void h_anchors(struct request *q)
{
	const char *kind = query_text(q, "kind"), *place = query_text(q, "place");
	uint64_t limit = 20;
	struct log_head head;
	struct logstore *l;
	struct json_out *o;
	struct err e;

	if (query_u64(q, "limit", 1, 100, &limit) < 0)
		return;
	if (kind && anchored_kind_of(kind) < 0) {
		answer_errf(q, 400, "invalid", "chain, authority or calendars",
		        "'%.40s' is no kind of anchor", kind);
		return;
	}
	if (open_log(q, &l, &head) < 0)
		return;
	o = answer_out(q);
	jo_object(o);
	jo_key(o, "anchors");
	jo_array(o);
	if (anchored_list(l, kind ? anchored_kind_of(kind) : -1, place, limit, anchor_json, o, &e) < 0) {
		answer_err(q, &e);
		return;
	}
	jo_array_end(o);
	jo_object_end(o);
	answer_json(q, 200);
}

/* ---- told ---- */

struct told {
	uv_work_t work;
	struct request *q; /* NULL: it went away */
	bool busy;
	char *dir;
	struct anchored a;
	uint8_t *proof;
	char *details;
	struct err err;
};

static void told_free(struct told *t)
{
	free(t->dir);
	free((char *)(uintptr_t)t->a.place);
	free((char *)(uintptr_t)t->a.note);
	free(t->details);
	free(t->proof);
	free(t);
}

static void told_drop(void *own)
{
	struct told *t = own;

	t->q = NULL;
	if (!t->busy)
		told_free(t);
}

static void told_run(uv_work_t *work)
{
	struct told *t = work->data;

	if (anchored_put(t->dir, &t->a, &t->err) == 0)
		t->err.code = ERR_NONE;
}

static void told_done(uv_work_t *work, int status)
{
	struct told *t = work->data;
	struct request *q = t->q;

	t->busy = false;
	if (!q) {
		told_free(t);
	} else if (status < 0) {
		answer_error(q, 503, "closed", "the node is stopping", NULL);
	} else if (t->err.code) {
		answer_err(q, &t->err);
	} else {
		struct json_out *o = answer_out(q);

		jo_object(o);
		jo_key(o, "size");
		jo_u64(o, t->a.size);
		jo_key(o, "state");
		jo_str(o, anchored_state_name(t->a.state));
		jo_object_end(o);
		answer_json(q, 200);
	}
}

static char *copy(const char *text)
{
	char *out = strdup(text);

	CHECK(out);
	return out;
}

/* The words of the body, each checked for its shape. */
static int read_told(struct request *q, json_t *body, struct told *t)
{
	const char *kind = json_string_value(json_object_get(body, "kind"));
	const char *state = json_string_value(json_object_get(body, "state"));
	const char *place = json_string_value(json_object_get(body, "place"));
	const char *note = json_string_value(json_object_get(body, "note"));
	const json_t *proof = json_object_get(body, "proof"), *details = json_object_get(body, "details");
	const char *text = json_string_value(proof);
	size_t text_n = json_string_length(proof);
	long n = 0;

	if (!kind || anchored_kind_of(kind) < 0 || !state || anchored_state_of(state) < 0 || !place ||
	        !*place || strlen(place) > ANCHORED_PLACE_MAX || !note || strlen(note) >= LOG_NOTE_MAX ||
	        (proof && !text && !json_is_null(proof)) || !json_is_object(details))
		goto bad;
	t->proof = malloc(text_n / 4 * 3 + 1);
	CHECK(t->proof);
	if (text)
		n = base64_read(text, text_n, t->proof, text_n / 4 * 3);
	t->details = json_dumps(details, JSON_COMPACT | JSON_SORT_KEYS);
	if (n < 0 || (size_t)n > ANCHORED_PROOF_MAX || !t->details ||
	        strlen(t->details) > ANCHORED_DETAILS_MAX)
		goto bad;
	t->a = (struct anchored){.kind = (enum anchored_kind)anchored_kind_of(kind),
	        .state = (enum anchored_state)anchored_state_of(state),
	        .place = copy(place),
	        .note = copy(note),
	        .note_n = strlen(note),
	        .proof = t->proof,
	        .proof_n = (size_t)n,
	        .time_s = clock_wall_ns() / 1000000000u,
	        .details = t->details};
	return 0;
bad:
	answer_error(q, 400, "invalid", "an anchor has a kind, a state, a place, a note and details",
	        "docs/openapi.yaml says which");
	return -1;
}

/* Is it this log's head of its size? */
static int check_head(struct request *q, struct told *t)
{
	struct checkpoint c;
	struct log_head head;
	struct logstore *l;
	struct note note;
	uint8_t root[32];
	struct err e;

	if (open_log(q, &l, &head) < 0)
		return -1;
	if (note_parse(t->a.note, t->a.note_n, &note, &e) < 0 ||
	        checkpoint_parse(note.text, note.text_n, &c, &e) < 0) {
		answer_err(q, &e);
		return -1;
	}
	if (c.size <= head.size && c.size > 0) {
		struct proof_source s = logstore_source(l);
		struct merkle_hash h = logstore_hash(l);

		if (proof_root(&h, &s, c.size, root, &e) < 0) {
			answer_err(q, &e);
			return -1;
		}
	}
	if (c.size > head.size || c.size == 0 || memcmp(root, c.root, 32) != 0 ||
	        c.origin_n != strlen(logstore_origin(l)) ||
	        memcmp(c.origin, logstore_origin(l), c.origin_n) != 0) {
		answer_error(q, 409, "exists", "the note is not a head of this log", NULL);
		return -1;
	}
	t->a.size = c.size;
	memcpy(t->a.root, root, 32);
	return 0;
}

void h_anchor_put(struct request *q)
{
	json_t *body = body_json(q, false);
	struct told *t;

	if (!body || body_keys(q, body, ",kind,state,place,note,proof,details,") < 0)
		return;
	t = calloc(1, sizeof(*t));
	CHECK(t);
	t->q = q;
	q->own = t;
	q->own_free = told_drop;
	if (read_told(q, body, t) < 0 || check_head(q, t) < 0)
		return;
	t->dir = copy(node_state_dir(q->api->node));
	t->work.data = t;
	t->busy = true;
	uv_queue_work(q->api->loop, &t->work, told_run, told_done); /* fails only without a function */
	request_sleep(q);
}
