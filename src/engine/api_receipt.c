/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_receipt - the proof of what a task did: a C2SP tlog-proof, or an in-toto Statement in a DSSE envelope.
 *
 * The envelope is signed when it is asked for, with the node's key, and says only what the node finds in a receipt that it
 * has just verified as a stranger would. Ed25519 gives the same bytes each time.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/dsse.h"
#include "core/provenance.h"
#include "core/gang.h"
#include "engine/api_int.h"
#include "io/ed25519.h"
#include "io/logstore.h"
#include "wire/entry.h"

/* The entries that a task's receipt is of: the attempt that counts, and other replicas that came to the same, byte for byte. */
struct attempts {
	uint64_t lease[1 + RECEIPT_AGREED_MAX], seq[1 + RECEIPT_AGREED_MAX];
	uint64_t held[1 + RECEIPT_AGREED_MAX]; /* with which each committed to its answer; 0: it did not */
	size_t n;
	bool committing;  /* these are looked for */
	struct growing g; /* of the entry at hand */
};

static int each_attempt(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n)
{
	struct attempts *a = ctx;
	const Wire__Entry *en;
	struct err e;

	growing_clear(&a->g);
	if (entry_decode(&a->g.arena, bytes, n, &en, &e) < 0 || en->body_case != WIRE__ENTRY__BODY_RESULTS)
		return 0; /* whoever needs it will be told */
	for (size_t i = 0; i < a->n; i++)
		if (a->lease[i] == en->results->lease)
			(a->committing ? a->held : a->seq)[i] = seq;
	return 0;
}

/* What the replicas of a verified task came to: the first that counts, and who agrees. */
static void agreed_leases(
        struct request *q, const struct job_view *v, uint32_t step, uint64_t index, struct attempts *a)
{
	struct vote_view votes[64];
	uint32_t n = engine_votes(node_engine(q->api->node), v->id, step, index, votes, ARRAY_LEN(votes));
	const struct vote_view *first = NULL;

	a->n = 0;
	for (uint32_t i = 0; i < n && i < ARRAY_LEN(votes) && a->n < ARRAY_LEN(a->lease); i++) {
		if (!votes[i].committed ||
		        (first && memcmp(first->digest, votes[i].digest, sizeof(first->digest)) != 0))
			continue;
		first = first ? first : &votes[i];
		a->lease[a->n++] = votes[i].lease.v;
	}
}

/* Fills in a->seq: [0] is the entry of the task's result, the newest one unless replicas voted. */
static int find_results(struct request *q, const struct job_view *v, uint32_t step, uint64_t index,
        struct attempts *a, struct err *e)
{
	struct journal_reader *r = node_reader(q->api->node);
	const uint8_t *bytes, *outputs;
	size_t n, n_outputs;
	int rc;

	memset(a->seq, 0, sizeof(a->seq));
	memset(a->held, 0, sizeof(a->held));
	a->committing = false;
	agreed_leases(q, v, step, index, a);
	if (a->n == 0) {
		a->n = 1;
		return journal_read_result_of(r, v->id.v, step, index,
		        engine_gang_result(node_engine(q->api->node), v->id, step, index).v, &a->seq[0],
		        &bytes, &n, &outputs, &n_outputs, e);
	}
	growing_init(&a->g, 64u << 10, 8 * ENTRY_BYTES_MAX);
	rc = journal_read_attempts(r, v->id.v, step, index, each_attempt, a, e);
	a->committing = true;
	if (rc == 0 &&
	        journal_read_attempts(r, v->id.v, JOURNAL_HELD | step, index, each_attempt, a, e) < 0 &&
	        e->code != ERR_NOTFOUND)
		rc = -1;
	growing_release(&a->g);
	for (size_t i = 0; rc == 0 && i < a->n; i++)
		if (a->seq[i] == 0)
			rc = err_set(e, ERR_NOTFOUND, "the history of attempt %llu was dropped by policy",
			        (unsigned long long)a->lease[i]);
	return rc;
}

/* Under the keys with which this node signs heads, whoever else may trust them or not. */
static int read_receipt(struct request *q, struct logstore *l, struct growing *g, const char *file, size_t n,
        struct receipt_view *out, struct err *e)
{
	const struct merkle_hash h = logstore_hash(l);
	const struct note_verifier v = ed25519_verifier();
	struct policy *p = calloc(1, sizeof(*p));
	int rc;

	CHECK(p);
	p->quorum = -1;
	rc = ledger_log_keys(q->api->node, p, e);
	if (rc == 0)
		rc = receipt_verify(&g->arena, &h, &v, p, file, n, out, e);
	out->trust.log = NULL; /* it was p's */
	free(p);
	return rc;
}

/* The envelope, malloc'd. */
static int envelope(struct request *q, struct growing *g, const struct receipt_view *r, char **out,
        size_t *out_n, struct err *e)
{
	size_t n = provenance_print(r, NULL, 0), pae_n = dsse_pae_size(DSSE_IN_TOTO, strlen(DSSE_IN_TOTO), n);
	uint8_t *payload = arena_alloc(&g->arena, n), *pae = arena_alloc(&g->arena, pae_n), sig[64];
	struct dsse d = {.type = DSSE_IN_TOTO,
	        .type_n = strlen(DSSE_IN_TOTO),
	        .payload = payload,
	        .payload_n = n,
	        .sigs = 1,
	        .sig = {{.sig = sig, .sig_n = sizeof(sig)}}};
	char keyid[NOTE_NAME_MAX + 1 + 8 + 1];
	struct note_key k;

	if (!payload || !pae)
		return err_set(e, ERR_FULL, "the receipt is too large for an envelope");
	(void)provenance_print(r, (char *)payload, n);
	pae_n = dsse_pae(d.type, d.type_n, payload, n, pae);
	if (ledger_sign(q->api->node, pae, pae_n, sig, &k, e) < 0)
		return -1;
	(void)snprintf(
	        keyid, sizeof(keyid), "%s+%02x%02x%02x%02x", k.name, k.id[0], k.id[1], k.id[2], k.id[3]);
	d.sig[0].keyid = keyid;
	*out_n = dsse_print(&d, NULL, 0);
	*out = malloc(*out_n);
	CHECK(*out);
	(void)dsse_print(&d, *out, *out_n);
	return 0;
}

static void answer_receipt(struct request *q, struct logstore *l, const char *file, size_t n, bool dsse)
{
	struct receipt_view r;
	struct growing g;
	char *text = NULL;
	struct err e;
	size_t text_n = 0;

	if (!dsse) {
		answer_copy(q, file, n, "text/plain; charset=utf-8", NULL);
		return;
	}
	growing_init(&g, 256u << 10, 8 * ENTRY_BYTES_MAX);
	if (read_receipt(q, l, &g, file, n, &r, &e) < 0 || envelope(q, &g, &r, &text, &text_n, &e) < 0)
		answer_err(q, &e);
	else
		answer_copy(q, text, text_n, "application/json", NULL);
	growing_release(&g);
	free(text);
}

void h_receipt(struct request *q)
{
	const char *format = query_text(q, "format");
	struct spec_ref ref;
	struct logstore *l;
	struct log_head head;
	struct job_view v;
	struct attempts a;
	char *file = NULL;
	uint64_t index;
	uint32_t step;
	struct err e;
	size_t n;

	if (format && strcmp(format, "tlog-proof") != 0 && strcmp(format, "dsse") != 0) {
		answer_errf(q, 400, "invalid", NULL, "'format' is '%.40s': it is tlog-proof or dsse", format);
		return;
	}
	if (request_task(q, &v, &step, &index, &ref) < 0)
		return;
	spec_release(&ref);
	if (!may_change(q, &v)) {
		answer_error(q, 403, "denied", "a receipt shows the job: it is for its owner and the node's",
		        NULL);
		return;
	}
	if (open_log(q, &l, &head) < 0)
		return;
	if (find_results(q, &v, step, index, &a, &e) < 0 ||
	        logstore_receipt(l, a.seq[0], index, a.seq + 1, a.n - 1, a.held, &file, &n, &e) < 0)
		answer_err(q, &e);
	else
		answer_receipt(q, l, file, n, format && strcmp(format, "dsse") == 0);
	free(file);
}
