/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_witnesses - the witnesses of this node's log: their cosignatures are handed in here, and how they stand is told.
 *
 * Who hands in is not believed: every signature is verified again, and the head must be this log's. Kept in a thread of the
 * pool, for it may wait for a publishing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/policy.h"
#include "engine/api_int.h"
#include "io/cosigned.h"
#include "io/ed25519.h"

/* ---- how they stand ---- */

static void member_json(struct request *q, struct json_out *o, struct logstore *l, unsigned i)
{
	struct node *n = q->api->node;
	const struct policy_member *m = &node_witnesses(n)->member[i];
	uint64_t size = 0, time_s = 0, since_ns;
	const char *why = node_witness_error(n, i, &since_ns);
	char vkey[NOTE_VKEY_MAX];
	struct err e;

	note_key_print(&m->key, vkey);
	(void)cosigned_by(l, vkey, &size, &time_s, &e);
	jo_object(o);
	jo_key(o, "name");
	jo_str(o, m->name);
	jo_key(o, "vkey");
	jo_str(o, vkey);
	jo_key(o, "url");
	jo_str(o, m->url[0] ? m->url : NULL);
	jo_key(o, "size");
	jo_u64(o, size);
	jo_key(o, "time");
	jo_time_or_null(o, time_s * 1000000000u);
	jo_key(o, "error");
	jo_str(o, *why ? why : NULL);
	jo_key(o, "since");
	jo_time_or_null(o, since_ns);
	jo_object_end(o);
}

static const struct policy *the_policy(struct request *q)
{
	const struct policy *p = node_witnesses(q->api->node);

	if (!p)
		answer_error(q, 404, "not_found", "this node asks no witnesses",
		        "name a policy with witnesses as ledger.policy in config.yaml; 'osier doctor' says "
		        "what "
		        "is wrong with it");
	return p;
}

void h_witnesses(struct request *q)
{
	const struct policy *p = the_policy(q);
	struct json_out *o;
	struct logstore *l;
	struct log_head head;
	uint64_t met;
	size_t lines_n;
	char *lines;
	struct err e;

	if (!p || open_log(q, &l, &head) < 0)
		return;
	if (cosigned_met(l, &met, &e) < 0) {
		answer_err(q, &e);
		return;
	}
	o = answer_out(q);
	jo_object(o);
	jo_key(o, "size");
	jo_u64(o, head.size);
	jo_key(o, "witnessed");
	jo_u64(o, met);
	jo_key(o, "quorum");
	jo_str(o, p->quorum >= 0 ? p->member[p->quorum].name : NULL);
	lines_n = policy_print_members(p, NULL, 0);
	lines = malloc(lines_n);
	CHECK(lines);
	(void)policy_print_members(p, lines, lines_n);
	jo_key(o, "policy");
	jo_str_n(o, lines, lines_n);
	free(lines);
	jo_key(o, "witnesses");
	jo_array(o);
	for (unsigned i = 0; i < p->members; i++)
		if (!p->member[i].group)
			member_json(q, o, l, i);
	jo_array_end(o);
	jo_object_end(o);
	answer_json(q, 200);
}

void h_witnesses_failed(struct request *q)
{
	const struct policy *p = the_policy(q);
	json_t *body = p ? body_json(q, false) : NULL;
	const char *name, *why;
	struct json_out *o;

	if (!body || body_keys(q, body, ",name,error,") < 0)
		return;
	name = json_string_value(json_object_get(body, "name"));
	why = json_string_value(json_object_get(body, "error"));
	if (!name || !why) {
		answer_error(q, 400, "invalid", "'name' and 'error' are needed, two texts", NULL);
		return;
	}
	for (unsigned i = 0; i < p->members; i++) {
		if (p->member[i].group || strcmp(p->member[i].name, name) != 0)
			continue;
		node_witness_failed(q->api->node, i, why);
		o = answer_out(q);
		jo_object(o);
		jo_object_end(o);
		answer_json(q, 200);
		return;
	}
	answer_errf(q, 404, "not_found", NULL, "the policy has no witness '%.80s'", name);
}

/* ---- cosignatures ---- */

/* What is worked on in the pool, for a request that may be gone before it is done. */
struct handing {
	uv_work_t work;
	struct request *q; /* NULL: gone */
	const struct policy *policy;
	char *dir, *body;
	size_t n;
	struct note note;
	struct checkpoint head;
	struct policy_result trust;
	bool met, ok;
	struct err err;
};

static void handing_free(struct handing *h)
{
	free(h->dir);
	free(h->body);
	free(h);
}

static void handing_gone(void *own)
{
	((struct handing *)own)->q = NULL;
}

static void hand_work(uv_work_t *work)
{
	struct handing *h = work->data;
	struct note_verifier v = ed25519_verifier();
	struct checkpoint c;

	h->ok = policy_check(h->policy, &h->note, &v, &c, &h->trust, &h->err) == 0;
	if (h->ok && h->trust.witnesses == 0) {
		(void)err_set(&h->err, ERR_INVALID, "no witness of the policy has cosigned that head");
		h->ok = false;
	}
	h->ok = h->ok &&
	        cosigned_put(h->dir, h->policy, &h->note, &h->head, &h->trust, &h->met, &h->err) == 0;
}

static void hand_done(uv_work_t *work, int status)
{
	struct handing *h = work->data;
	struct request *q = h->q;
	struct json_out *o;

	(void)status;
	if (q) {
		q->own = NULL;
		q->own_free = NULL;
		if (q->response)
			q = NULL; /* the API is closing */
	}
	for (unsigned i = 0; q && h->ok && i < h->policy->members; i++)
		if (h->trust.has[i])
			node_witness_failed(q->api->node, i, NULL);
	if (q && !h->ok) {
		if (h->err.code == ERR_CORRUPT)
			h->err.code = ERR_INVALID; /* what came in is, not what is here */
		answer_err(q, &h->err);
	} else if (q) {
		o = answer_out(q);
		jo_object(o);
		jo_key(o, "size");
		jo_u64(o, h->head.size);
		jo_key(o, "met");
		jo_bool(o, h->met);
		jo_object_end(o);
		answer_json(q, 200);
	}
	handing_free(h);
}

/* Is it a head of this log? */
static int check_head(struct request *q, struct handing *h)
{
	struct log_head head;
	struct logstore *l;
	uint8_t root[32];
	struct err e;

	if (note_parse(h->body, h->n, &h->note, &e) < 0 ||
	        checkpoint_parse(h->note.text, h->note.text_n, &h->head, &e) < 0) {
		answer_err(q, &e);
		return -1;
	}
	if (open_log(q, &l, &head) < 0)
		return -1;
	if (h->head.size > 0 && h->head.size <= head.size) {
		struct proof_source s = logstore_source(l);
		struct merkle_hash hash = logstore_hash(l);

		if (proof_root(&hash, &s, h->head.size, root, &e) < 0) {
			answer_err(q, &e);
			return -1;
		}
		if (memcmp(root, h->head.root, 32) == 0 && h->head.origin_n == strlen(logstore_origin(l)) &&
		        memcmp(h->head.origin, logstore_origin(l), h->head.origin_n) == 0)
			return 0;
	}
	answer_error(q, 409, "exists", "the note is not a head of this log", NULL);
	return -1;
}

void h_cosignatures(struct request *q)
{
	const struct policy *p = the_policy(q);
	struct handing *h;

	if (!p)
		return;
	h = calloc(1, sizeof(*h));
	CHECK(h);
	*h = (struct handing){.q = q, .policy = p, .n = q->body_n, .body = malloc(q->body_n + 1)};
	h->dir = strdup(node_state_dir(q->api->node));
	CHECK(h->body && h->dir);
	if (h->n)
		memcpy(h->body, q->body, h->n);
	if (check_head(q, h) < 0) {
		handing_free(h);
		return;
	}
	h->work.data = h;
	q->own = h;
	q->own_free = handing_gone;
	request_sleep(q);
	CHECK(uv_queue_work(q->api->loop, &h->work, hand_work, hand_done) == 0);
}

/* ---- the next head ---- */

#define WAIT_S     20u
#define WAIT_S_MAX 50u

/* A request that waits for a head, or for its time to be over. */
struct awaiting {
	struct request *q;
	struct ledger_watch *watch;
	uv_timer_t timer;
};

static void awaiting_closed(uv_handle_t *h)
{
	free(h->data);
}

static void awaiting_end(void *own)
{
	struct awaiting *w = own;

	ledger_unwatch(w->watch);
	w->watch = NULL;
	w->q = NULL;
	uv_close((uv_handle_t *)&w->timer, awaiting_closed);
}

static void on_head(void *ctx, const struct err *e)
{
	struct awaiting *w = ctx;
	struct request *q = w->q;

	(void)e;
	w->watch = NULL; /* told: it is no more */
	q->own = NULL;
	q->own_free = NULL;
	awaiting_end(w);
	if (!q->response) /* the API may be closing */
		answer_checkpoint(q);
}

static void on_wait_over(uv_timer_t *t)
{
	struct awaiting *w = t->data;
	struct request *q = w->q;

	q->own = NULL;
	q->own_free = NULL;
	awaiting_end(w);
	if (!q->response)
		answer_response(q, 204, MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT));
}

void h_checkpoint(struct request *q)
{
	uint64_t after = UINT64_MAX, wait = WAIT_S;
	struct awaiting *w;
	struct log_head head;
	struct logstore *l;

	if (query_u64(q, "after", 0, UINT64_MAX - 1, &after) < 0 ||
	        query_u64(q, "wait", 0, WAIT_S_MAX, &wait) < 0)
		return;
	if (after == UINT64_MAX) {
		answer_checkpoint(q);
		return;
	}
	if (open_log(q, &l, &head) < 0)
		return;
	if (head.size > after) {
		answer_checkpoint(q);
		return;
	}
	w = calloc(1, sizeof(*w));
	CHECK(w);
	w->q = q;
	CHECK(uv_timer_init(q->api->loop, &w->timer) == 0);
	w->timer.data = w;
	q->own = w;
	q->own_free = awaiting_end;
	request_sleep(q);
	w->watch = ledger_watch(q->api->node, after + 1, on_head, w);
	(void)uv_timer_start(&w->timer, on_wait_over, wait * 1000, 0);
}
