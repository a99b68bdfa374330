/* SPDX-License-Identifier: Apache-2.0 */
/* receipt - see receipt.h. */
#include "core/receipt_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/sha2.h"
#include "wire/entry.h"

size_t receipt_text(const char *node, uint64_t statements, const uint8_t root[32], char out[RECEIPT_TEXT_MAX])
{
	char b64[BASE64_CHARS(32) + 1];

	CHECK(note_name_ok(node, strlen(node)));
	(void)base64_write(root, 32, b64);
	return (size_t)snprintf(
	        out, RECEIPT_TEXT_MAX, "osier receipts v1\n%s\n%" PRIu64 "\n%s\n", node, statements, b64);
}

void statement_leaf(const struct merkle_hash *h, const struct statement *s, uint8_t out[32])
{
	uint8_t bytes[NOTE_NAME_MAX + 3 * (2 + 32) + 3 * 11 + 16];
	Wire__Statement m = WIRE__STATEMENT__INIT;

	m.node = (char *)(uintptr_t)s->node;
	m.results = s->results;
	m.lease = s->lease;
	m.job = s->job;
	m.results_leaf = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)s->results_leaf};
	m.lease_leaf = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)s->lease_leaf};
	m.job_leaf = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)s->job_leaf};
	CHECK(strlen(s->node) <= NOTE_NAME_MAX && statement_size(&m) <= sizeof(bytes));
	ledger_leaf(h, bytes, statement_encode(&m, bytes), out);
}

/* ---- verifying ---- */

struct checking {
	struct arena *a;
	const struct merkle_hash *h;
	const struct note_verifier *v;
	const Wire__ReceiptFile *file;
	struct receipt_view *out;
};

static int broken(struct err *e, const char *what)
{
	return err_set(e, ERR_CORRUPT, "%s", what);
}

static int entry_of(struct checking *c, const ProtobufCBinaryData *bytes, Wire__Entry__BodyCase kind,
        const char *what, const Wire__Entry **out, struct err *e)
{
	if (entry_decode(c->a, bytes->data, bytes->len, out, e) < 0)
		return e && e->code == ERR_FULL ? -1 : err_wrap(e, "the receipt's %s", what);
	if ((*out)->body_case != kind)
		return err_set(e, ERR_CORRUPT, "the receipt's %s is an entry of another kind", what);
	return 0;
}

/* The log: checkpoint, policy, inclusion of the Receipts entry. */
static int check_log(struct checking *c, const struct policy *p, const struct tlogproof *proof, struct err *e)
{
	struct receipt_view *out = c->out;
	struct note note;

	if (note_parse(proof->note, proof->note_n, &note, e) < 0)
		return err_wrap(e, "the receipt's checkpoint");
	if (policy_check(p, &note, c->v, &out->checkpoint, &out->trust, e) < 0)
		return -1;
	ledger_leaf(c->h, c->file->receipts.data, c->file->receipts.len, out->leaf);
	out->entry = proof->index;
	return proof_inclusion_verify(c->h, out->leaf, proof->index, out->checkpoint.size, proof->path.hash,
	        proof->path.n, out->checkpoint.root, e);
}

/* The node: its signature over the root of the batch. */
static int check_node(struct checking *c, struct err *e)
{
	struct receipt_view *out = c->out;
	char text[RECEIPT_TEXT_MAX];
	const Wire__Receipts *r;

	if (entry_of(c, &c->file->receipts, WIRE__ENTRY__BODY_RECEIPTS, "entry of receipts",
	            &out->receipts_entry, e) < 0)
		return -1;
	out->receipts = r = out->receipts_entry->receipts;
	if (!note_name_ok(r->node, strlen(r->node)))
		return broken(e, "the node's name in the receipt is none");
	out->node = r->node;
	memcpy(out->node_key, r->key.data, sizeof(out->node_key));
	if (!c->v->ed25519(c->v->ctx, r->key.data, text,
	            receipt_text(r->node, r->n_results, r->root.data, text), r->signature.data))
		return err_set(
		        e, ERR_CORRUPT, "the signature of node '%.150s' does not match the receipt", r->node);
	return 0;
}

/* The statement: its path to the batch's root, and the three entries that it names. */
static int check_statement(struct checking *c, struct err *e)
{
	const Wire__ReceiptFile *f = c->file;
	const Wire__Receipts *r = c->out->receipts;
	uint8_t results[32], lease[32], job[32], leaf[32], path[PROOF_MAX][32];
	struct statement s = {.node = r->node,
	        .results = f->results_seq,
	        .lease = f->lease_seq,
	        .job = f->job_seq,
	        .results_leaf = results,
	        .lease_leaf = lease,
	        .job_leaf = job};

	if (f->leaf >= r->n_results || r->results[f->leaf] != f->results_seq ||
	        r->leases[f->leaf] != f->lease_seq || r->jobs[f->leaf] != f->job_seq)
		return broken(e, "the receipt names other entries than the node signed");
	if (f->n_path > PROOF_MAX)
		return broken(e, "the path of the receipt's statement is too long");
	for (size_t i = 0; i < f->n_path; i++) {
		if (f->path[i].len != 32)
			return broken(e, "a hash of the receipt's statement is not 32 bytes");
		memcpy(path[i], f->path[i].data, 32);
	}
	ledger_leaf(c->h, f->results.data, f->results.len, results);
	ledger_leaf(c->h, f->lease.data, f->lease.len, lease);
	ledger_leaf(c->h, f->job.data, f->job.len, job);
	statement_leaf(c->h, &s, leaf);
	if (proof_inclusion_verify(c->h, leaf, f->leaf, r->n_results, (const uint8_t(*)[32])path, f->n_path,
	            r->root.data, NULL) < 0)
		return broken(e, "the result, its lease or its job is not what the node signed");
	return 0;
}

/* The SHA-256 of the specification's bytes: field 3 of JobSubmitted, as it stands in the entry (never encoded again). */
static int spec_digest(struct checking *c, struct err *e)
{
	const uint8_t *p = c->file->job.data, *end = p + c->file->job.len;
	struct sha2 s;

	/* Entry: time, then body; JobSubmitted: ... spec. Both were decoded, so that their shape is known to be right. */
	for (int depth = 0, want = 5; depth < 2; depth++, want = 3) {
		const uint8_t *body = NULL;
		uint64_t len = 0;

		while (p < end && !body) {
			uint64_t tag = 0, v = 0;

			for (int shift = 0; p < end && shift < 64; shift += 7) {
				tag |= (uint64_t)(*p & 0x7f) << shift;
				if (!(*p++ & 0x80))
					break;
			}
			for (int shift = 0; p < end && shift < 64; shift += 7) {
				v |= (uint64_t)(*p & 0x7f) << shift;
				if (!(*p++ & 0x80))
					break;
			}
			if ((tag & 7) == 0)
				continue;
			if ((tag & 7) != 2 || v > (uint64_t)(end - p))
				return broken(e, "the receipt's job has no specification");
			if (tag >> 3 == (uint64_t)want) {
				body = p;
				len = v;
			}
			p += v;
		}
		if (!body)
			return broken(e, "the receipt's job has no specification");
		p = body;
		end = body + len;
	}
	sha2_init(&s);
	sha2_add(&s, p, (size_t)(end - p));
	sha2_end(&s, c->out->spec_sha256);
	return 0;
}

/* Do the entries belong together, and hold the task? */
static int check_task(struct checking *c, struct err *e)
{
	const Wire__ReceiptFile *f = c->file;
	struct receipt_view *out = c->out;

	if (entry_of(c, &f->results, WIRE__ENTRY__BODY_RESULTS, "result", &out->results_entry, e) < 0 ||
	        entry_of(c, &f->lease, WIRE__ENTRY__BODY_LEASE_GRANTED, "lease", &out->lease_entry, e) < 0 ||
	        entry_of(c, &f->job, WIRE__ENTRY__BODY_JOB_SUBMITTED, "job", &out->job_entry, e) < 0)
		return -1;
	out->results = out->results_entry->results;
	out->lease = out->lease_entry->lease_granted;
	out->job = out->job_entry->job_submitted;
	if (out->results->lease != out->lease->lease || out->lease->job != out->job->job ||
	        out->lease->step >= out->job->spec->n_steps)
		return broken(e, "the receipt's entries do not belong together");
	if (f->results_seq <= f->lease_seq || f->lease_seq <= f->job_seq || out->entry <= f->results_seq)
		return broken(e, "the receipt's entries are not in the order in which things happen");
	if (f->task < out->results->first || f->task - out->results->first >= out->results->count)
		return err_set(e, ERR_CORRUPT, "the receipt's result is not of task %" PRIu64, f->task);
	out->task = f->task;
	out->column = (size_t)(f->task - out->results->first);
	out->step = out->job->spec->steps[out->lease->step];
	return spec_digest(c, e);
}

static int file_of(struct checking *c, const struct tlogproof *proof, struct err *e)
{
	uint8_t *bytes;
	long n;

	if (!proof->extra)
		return err_set(e, ERR_INVALID, "the proof carries no receipt ('extra')");
	bytes = arena_alloc(c->a, proof->extra_n / 4 * 3 + 1);
	if (!bytes)
		return err_set(e, ERR_FULL, "the receipt is too large");
	n = base64_read(proof->extra, proof->extra_n, bytes, proof->extra_n / 4 * 3);
	if (n < 0)
		return err_set(e, ERR_INVALID, "the receipt is not base64");
	return receipt_file_decode(c->a, bytes, (size_t)n, &c->file, e) < 0 ? err_wrap(e, "the receipt") : 0;
}

int receipt_verify(struct arena *a, const struct merkle_hash *h, const struct note_verifier *v,
        const struct policy *p, const char *bytes, size_t n, struct receipt_view *out, struct err *e)
{
	struct checking c = {.a = a, .h = h, .v = v, .out = out};
	struct tlogproof proof;
	uint8_t leaf[32];

	memset(out, 0, sizeof(*out));
	if (tlogproof_parse(bytes, n, &proof, e) < 0 || file_of(&c, &proof, e) < 0 ||
	        check_log(&c, p, &proof, e) < 0 || check_node(&c, e) < 0 || check_statement(&c, e) < 0)
		return -1;
	if (check_task(&c, e) < 0 || receipt_check_agreed(out, c.file, a, h, e) < 0 ||
	        receipt_check_commitments(out, c.file, a, h, e) < 0)
		return -1;
	ledger_leaf(h, c.file->receipts.data, c.file->receipts.len, leaf);
	return receipt_check_heads(out, c.file, leaf, h, v, p, e);
}

/* ---- outputs ---- */

bool receipt_output(const struct receipt_view *r, size_t want, struct receipt_output *out)
{
	const Wire__Results *m = r->results;
	size_t at = 0, hashed = 0, before = 0;

	/* Outputs and digests lie one after the other, task after task; results_check() has counted them. */
	if (want >= RESULT_COLUMN(m, outputs, r->column))
		return false;
	for (size_t i = 0; i < r->column; i++)
		before += RESULT_COLUMN(m, outputs, i);
	for (before += want; at < before; at++)
		hashed += RESULT_COLUMN(m, output_bytes, at) > 0;
	memset(out, 0, sizeof(*out));
	out->bytes = RESULT_COLUMN(m, output_bytes, at);
	if (out->bytes && (hashed + 1) * 32 <= m->output_sha256.len)
		out->sha256 = m->output_sha256.data + 32 * hashed;
	out->truncated = RESULT_COLUMN(m, output_truncated, at);
	out->name = "?";
	if (want < 2)
		out->name = want ? "stderr" : "stdout";
	else if (want - 2 < r->step->n_outputs)
		out->name = r->step->outputs[want - 2]->path;
	return true;
}
