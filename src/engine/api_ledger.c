/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_ledger - the published log: its head, tiles (C2SP tlog-tiles), proofs, keys.
 *
 * Reads as any stranger could, on a connection of its own; the publisher (ledger.c) writes. What holds entries of others is for
 * the node's owner; hashes are for everybody.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/api_int.h"
#include "engine/hub_copies.h"
#include "io/cosigned.h"
#include "io/gzip.h"
#include "io/logstore.h"

int open_log(struct request *q, struct logstore **out, struct log_head *head)
{
	struct api *a = q->api;
	struct err e;

	if (!a->log && logstore_open(node_state_dir(a->node), NULL, true, &a->log, &e) < 0) {
		answer_err(q, &e);
		return -1;
	}
	if (logstore_head(a->log, head, &e) < 0) {
		answer_err(q, &e);
		return -1;
	}
	if (!head->note_n) {
		answer_error(q, 404, "not_found", "nothing was published yet", "ask again in a second");
		return -1;
	}
	*out = a->log;
	return 0;
}

void answer_copy(struct request *q, const void *p, size_t n, const char *type, const char *cache)
{
	struct MHD_Response *r =
	        MHD_create_response_from_buffer(n, (void *)(uintptr_t)p, MHD_RESPMEM_MUST_COPY);

	CHECK(r);
	MHD_add_response_header(r, "Content-Type", type);
	if (cache)
		MHD_add_response_header(r, "Cache-Control", cache);
	answer_response(q, 200, r);
}

void h_ledger(struct request *q)
{
	const char *url = node_ledger_url(q->api->node);
	struct ledger_status s;
	struct logstore *l;
	struct log_head head;
	struct json_out *o;
	uint64_t met = 0;
	struct err e;

	if (open_log(q, &l, &head) < 0)
		return;
	if (cosigned_met(l, &met, &e) < 0) {
		answer_err(q, &e);
		return;
	}
	ledger_status(q->api->node, &s);
	o = answer_out(q);
	jo_object(o);
	jo_key(o, "origin");
	jo_str(o, logstore_origin(l));
	jo_key(o, "size");
	jo_u64(o, head.size);
	jo_key(o, "root");
	jo_hex(o, head.root, 32);
	jo_key(o, "time");
	jo_time(o, head.time_s * 1000000000u);
	jo_key(o, "note");
	jo_str_n(o, head.note, head.note_n);
	jo_key(o, "durable");
	jo_u64(o, journal_durable(node_journal(q->api->node)));
	jo_key(o, "witnessed");
	if (node_witnesses(q->api->node))
		jo_u64(o, met);
	else
		jo_null(o);
	jo_key(o, "failed");
	jo_str(o, s.failed ? s.why : NULL);
	jo_key(o, "url");
	jo_str(o, *url ? url : NULL);
	jo_object_end(o);
	answer_json(q, 200);
}

void answer_checkpoint(struct request *q)
{
	struct logstore *l;
	struct log_head head;
	char *note;
	struct err e;
	size_t n;

	if (open_log(q, &l, &head) < 0)
		return;
	if (cosigned_checkpoint(l, &note, &n, &e) < 0) {
		answer_err(q, &e);
		return;
	}
	answer_copy(q, note, n, "text/plain; charset=utf-8", "no-cache");
	free(note);
}

/* ---- tiles ---- */

/* Bundles are made smaller for who takes that; hashes cannot be. */
static void answer_tile(struct request *q, const struct tile *t, uint8_t *bytes, size_t n)
{
	static const char forever[] = "public, max-age=31536000, immutable";
	struct MHD_Response *r;
	uint8_t *small = NULL;
	size_t small_n = 0;

	if (t->entries &&
	        gzip_accepted(MHD_lookup_connection_value(q->conn, MHD_HEADER_KIND, "Accept-Encoding")) &&
	        gzip_bytes(bytes, n, &small, &small_n)) {
		free(bytes);
		bytes = small;
		n = small_n;
	}
	r = MHD_create_response_from_buffer(n, bytes, MHD_RESPMEM_MUST_FREE);
	CHECK(r);
	MHD_add_response_header(r, "Content-Type", "application/octet-stream");
	/* What only the owner may see must not be kept by a cache between. */
	MHD_add_response_header(
	        r, "Cache-Control", t->entries ? "private, max-age=31536000, immutable" : forever);
	if (t->entries)
		MHD_add_response_header(r, "Vary", "Accept-Encoding");
	if (small)
		MHD_add_response_header(r, "Content-Encoding", "gzip");
	answer_response(q, 200, r);
}

void h_tile(struct request *q)
{
	char path[300];
	struct logstore *l;
	struct log_head head;
	uint8_t *bytes;
	struct tile t;
	struct err e;
	size_t n;

	n = (size_t)snprintf(path, sizeof(path), "tile/%s", q->bound[0]);
	if (n >= sizeof(path) || tile_parse(path, n, &t, &e) < 0) {
		answer_error(q, 404, "not_found", "that is not the path of a tile",
		        "tile/LEVEL/INDEX[.p/WIDTH] or tile/entries/INDEX[.p/WIDTH], INDEX as x001/234");
		return;
	}
	if (t.entries && !is_node_owner(q)) {
		answer_error(q, 403, "denied", "entries are for the node's owner", NULL);
		return;
	}
	if (open_log(q, &l, &head) < 0)
		return;
	if (logstore_tile(l, &t, &bytes, &n, &e) < 0)
		answer_err(q, &e);
	else
		answer_tile(q, &t, bytes, n);
}

/* ---- proofs ---- */

/* Are only the hashes left of this entry? */
static bool payload_expired(struct request *q, uint64_t seq)
{
	const uint8_t *bytes;
	uint8_t leaf[32];
	struct err e = {0};
	size_t n;

	return journal_read_entry(node_reader(q->api->node), seq, &bytes, &n, leaf, &e) < 0 &&
	       e.code == ERR_NOTFOUND;
}

static void proof_json(struct request *q, struct logstore *l, uint64_t size, const struct proof *p,
        const char *key, uint64_t of, const uint8_t hash[32])
{
	struct proof_source s = logstore_source(l);
	struct merkle_hash h = logstore_hash(l);
	struct json_out *o = answer_out(q);
	uint8_t root[32];
	struct err e;

	if (proof_root(&h, &s, size, root, &e) < 0) {
		answer_err(q, &e);
		return;
	}
	jo_object(o);
	jo_key(o, "origin");
	jo_str(o, logstore_origin(l));
	jo_key(o, key);
	jo_u64(o, of);
	jo_key(o, strcmp(key, "index") == 0 ? "leaf" : "old_root");
	jo_hex(o, hash, 32);
	if (strcmp(key, "index") == 0) {
		jo_key(o, "expired");
		jo_bool(o, payload_expired(q, of));
	}
	jo_key(o, "size");
	jo_u64(o, size);
	jo_key(o, "root");
	jo_hex(o, root, 32);
	jo_key(o, "path");
	jo_array(o);
	for (unsigned i = 0; i < p->n; i++)
		jo_hex(o, p->hash[i], 32);
	jo_array_end(o);
	jo_object_end(o);
	answer_json(q, 200);
}

void h_proof(struct request *q)
{
	uint64_t index = UINT64_MAX, size;
	struct proof_source s;
	struct merkle_hash h;
	uint8_t leaf[1][32];
	struct logstore *l;
	struct log_head head;
	struct proof p;
	struct err e;

	if (open_log(q, &l, &head) < 0)
		return;
	size = head.size;
	if (query_u64(q, "index", 0, head.size - 1, &index) < 0 ||
	        query_u64(q, "size", 1, head.size, &size) < 0)
		return;
	if (index == UINT64_MAX) {
		answer_error(q, 400, "invalid", "'index' is needed: the number of an entry", NULL);
		return;
	}
	s = logstore_source(l);
	h = logstore_hash(l);
	if (proof_inclusion(&h, &s, index, size, &p, &e) < 0 || logstore_hashes(l, 0, index, 1, leaf, &e) < 0)
		answer_err(q, &e);
	else
		proof_json(q, l, size, &p, "index", index, leaf[0]);
}

void h_consistency(struct request *q)
{
	uint64_t old = UINT64_MAX, size;
	struct proof_source s;
	struct merkle_hash h;
	struct logstore *l;
	struct log_head head;
	uint8_t root[32];
	struct proof p;
	struct err e;

	if (open_log(q, &l, &head) < 0)
		return;
	size = head.size;
	if (query_u64(q, "old", 0, head.size, &old) < 0 || query_u64(q, "size", 0, head.size, &size) < 0)
		return;
	if (old == UINT64_MAX) {
		answer_error(q, 400, "invalid", "'old' is needed: the size of the smaller tree", NULL);
		return;
	}
	s = logstore_source(l);
	h = logstore_hash(l);
	if (proof_consistency(&h, &s, old, size, &p, &e) < 0 || proof_root(&h, &s, old, root, &e) < 0)
		answer_err(q, &e);
	else
		proof_json(q, l, size, &p, "old", old, root);
}

/* ---- keys ---- */

static int key_json(void *ctx, uint64_t seq, Wire__KeySet__Role role, Wire__KeySet__State state,
        const char *vkey, const char *reason)
{
	static const char *const roles[] = {"log", "node", "witness", "anchor"}, *const states[] = {"added",
	                                                                                 "retired",
	                                                                                 "revoked"};
	struct json_out *o = ctx;

	jo_object(o);
	jo_key(o, "entry");
	jo_u64(o, seq);
	jo_key(o, "role");
	jo_str(o, (unsigned)role < ARRAY_LEN(roles) ? roles[role] : "unknown");
	jo_key(o, "state");
	jo_str(o, (unsigned)state < ARRAY_LEN(states) ? states[state] : "unknown");
	jo_key(o, "vkey");
	jo_str(o, vkey);
	jo_key(o, "reason");
	jo_str(o, reason);
	jo_object_end(o);
	return 0;
}

void h_keys(struct request *q)
{
	struct json_out *o;
	struct logstore *l;
	struct log_head head;
	struct err e;

	if (open_log(q, &l, &head) < 0)
		return;
	o = answer_out(q);
	jo_object(o);
	jo_key(o, "keys");
	jo_array(o);
	if (logstore_keys(l, key_json, o, &e) < 0) {
		answer_err(q, &e);
		return;
	}
	jo_array_end(o);
	jo_object_end(o);
	answer_json(q, 200);
}

/* ---- publishing ---- */

/* A request that waits for a publishing, and may be gone before it comes. */
struct publishing {
	struct request *q;
	bool awaited;
	void (*answer)(struct request *q); /* when it has come */
};

static void publishing_free(void *own)
{
	struct publishing *w = own;

	w->q = NULL;
	if (!w->awaited)
		free(w);
}

static void published(void *ctx, const struct err *e)
{
	struct publishing *w = ctx;

	w->awaited = false;
	if (!w->q)
		free(w);
	else if (!w->q->response && e)
		answer_err(w->q, e);
	else if (!w->q->response)
		w->answer(w->q);
}

static void keys_are_copied(void *ctx)
{
	published(ctx, NULL);
}

/* A hub's new key is told of when its standbys have it, too. */
static void rotated(void *ctx, const struct err *e)
{
	struct publishing *w = ctx;

	if (e || !w->q)
		published(w, e);
	else
		hub_keys_wait(w->q->api->node, keys_are_copied, w);
}

static struct publishing *publishing_new(struct request *q, void (*answer)(struct request *q))
{
	struct publishing *w = calloc(1, sizeof(*w));

	CHECK(w);
	*w = (struct publishing){.q = q, .answer = answer};
	q->own = w;
	q->own_free = publishing_free;
	return w;
}

void h_publish(struct request *q)
{
	struct publishing *w;
	struct ledger_status s;

	ledger_status(q->api->node, &s);
	if (!s.on) {
		answer_error(q, 503, "closed",
		        "this node publishes nothing: it only looks, or its ledger is off",
		        "'osier doctor' says why");
		return;
	}
	w = publishing_new(q, h_ledger);
	w->awaited = true;
	request_sleep(q);
	ledger_flush(q->api->node, published, w);
}

/* ---- new keys, and keys that speak no more ---- */

void h_key_rotate(struct request *q)
{
	json_t *body = body_json(q, false);
	const char *role = body ? json_string_value(json_object_get(body, "role")) : NULL;
	struct publishing *w;
	Wire__Principal by;
	struct err e;

	if (!body || body_keys(q, body, ",role,") < 0)
		return;
	if (!role || (strcmp(role, "log") != 0 && strcmp(role, "node") != 0 && strcmp(role, "anchor") != 0)) {
		answer_error(q, 400, "invalid", "'role' must be log, node or anchor", NULL);
		return;
	}
	w = publishing_new(q, h_keys);
	principal_of(q, &by);
	w->awaited = ledger_rotate(q->api->node,
	                     strcmp(role, "log") == 0      ? WIRE__KEY_SET__ROLE__LOG
	                     : strcmp(role, "anchor") == 0 ? WIRE__KEY_SET__ROLE__ANCHOR
	                                                   : WIRE__KEY_SET__ROLE__NODE,
	                     &by, rotated, w, &e) == 0;
	if (w->awaited)
		request_sleep(q);
	else
		answer_err(q, &e);
}

static bool reason_ok(const char *text)
{
	size_t n = text ? strlen(text) : 0;

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return n > 0 && n <= KEYSET_REASON;
}

void h_key_revoke(struct request *q)
{
	json_t *body = body_json(q, false);
	const char *key = body ? json_string_value(json_object_get(body, "key")) : NULL,
	           *reason = body ? json_string_value(json_object_get(body, "reason")) : NULL;
	struct publishing *w;
	Wire__Principal by;
	struct err e;

	if (!body || body_keys(q, body, ",key,reason,") < 0)
		return;
	if (!key || !reason_ok(reason)) {
		answer_errf(q, 400, "invalid", NULL,
		        "'key' and 'reason' are needed; a reason is one line of at most %u bytes",
		        KEYSET_REASON);
		return;
	}
	w = publishing_new(q, h_keys);
	principal_of(q, &by);
	w->awaited = ledger_revoke(q->api->node, key, reason, &by, published, w, &e) == 0;
	if (w->awaited)
		request_sleep(q);
	else
		answer_err(q, &e);
}
