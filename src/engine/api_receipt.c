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
#include "engine/api_int.h"
#include "io/ed25519.h"
#include "io/logstore.h"
#include "wire/entry.h"

/* The entry with the newest result of the task. */
static int find_result(struct request *q, const struct job_view *v, uint32_t step, uint64_t index,
        uint64_t *out, struct err *e)
{
	const uint8_t *bytes, *outputs;
	size_t n, n_outputs;

	return journal_read_result(
	        node_reader(q->api->node), v->id.v, step, index, out, &bytes, &n, &outputs, &n_outputs, e);
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
	uint64_t index, seq;
	char *file = NULL;
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
	if (find_result(q, &v, step, index, &seq, &e) < 0 ||
	        logstore_receipt(l, seq, index, &file, &n, &e) < 0)
		answer_err(q, &e);
	else
		answer_receipt(q, l, file, n, format && strcmp(format, "dsse") == 0);
	free(file);
}
