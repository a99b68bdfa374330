/* SPDX-License-Identifier: Apache-2.0 */
/* receipt_heads - the anchored heads beside a receipt: see receipt.h. */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/sha2.h"
#include "core/receipt_int.h"

static void sha2_of(const void *p, size_t n, uint8_t out[32])
{
	struct sha2 s;

	sha2_init(&s);
	sha2_add(&s, p, n);
	sha2_end(&s, out);
}

/* What the log signed. */
static int head_note(const Wire__AnchoredHead *m, struct note *note, struct checkpoint *c, struct err *e)
{
	if (note_parse((const char *)m->note.data, m->note.len, note, e) < 0 ||
	        checkpoint_parse(note->text, note->text_n, c, e) < 0)
		return err_wrap(e, "an anchored head of the receipt");
	return 0;
}

/* Does the transaction carry this head? */
static int check_transaction(
        const Wire__AnchoredHead *m, const struct checkpoint *c, struct receipt_head *out, struct err *e)
{
	uint8_t origin[32], wanted[32], root[32];
	uint64_t size;

	if (m->account.len != sizeof(out->account))
		return err_set(e, ERR_CORRUPT, "an anchor of the receipt has no account");
	if (evm_tx_parse(m->proof.data, m->proof.len, &out->tx, &out->sig, e) < 0)
		return err_wrap(e, "the transaction of an anchor of the receipt");
	sha2_of(c->origin, c->origin_n, wanted);
	if (out->tx.kind != EVM_CALL ||
	        !evm_anchor_call_read(out->tx.data, out->tx.data_n, origin, &size, root) ||
	        memcmp(origin, wanted, 32) != 0 || size != c->size || memcmp(root, c->root, 32) != 0)
		return err_set(e, ERR_CORRUPT,
		        "the transaction of an anchor of the receipt carries another head than the log "
		        "signed");
	memcpy(out->account, m->account.data, sizeof(out->account));
	return 0;
}

static int fill(const Wire__AnchoredHead *m, struct receipt_head *out, struct err *e)
{
	struct note note;

	memset(out, 0, sizeof(*out));
	if (head_note(m, &note, &out->checkpoint, e) < 0)
		return -1;
	out->by = m->by;
	out->proof = m->proof.data;
	out->proof_n = m->proof.len;
	sha2_of(note.text, note.text_n, out->digest);
	sha2_of(out->checkpoint.origin, out->checkpoint.origin_n, out->origin);
	if (m->by == WIRE__ANCHORED_HEAD__BY__CHAIN)
		return check_transaction(m, &out->checkpoint, out, e);
	return 0;
}

static int check_head(const struct receipt_view *r, const Wire__AnchoredHead *m, const uint8_t leaf[32],
        const struct merkle_hash *h, const struct note_verifier *v, const struct policy *p, struct err *e)
{
	struct policy_result trust;
	struct receipt_head head;
	struct checkpoint c;
	uint8_t path[PROOF_MAX][32];
	struct note note;

	if (head_note(m, &note, &c, e) < 0)
		return -1;
	if (policy_check(p, &note, v, &c, &trust, e) < 0)
		return err_wrap(e, "an anchored head of the receipt");
	if (c.origin_n != r->checkpoint.origin_n || memcmp(c.origin, r->checkpoint.origin, c.origin_n) != 0)
		return err_set(e, ERR_CORRUPT, "an anchored head of the receipt is of another log");
	if (m->n_path > PROOF_MAX)
		return err_set(e, ERR_CORRUPT, "the path to an anchored head of the receipt is too long");
	for (size_t i = 0; i < m->n_path; i++) {
		if (m->path[i].len != 32)
			return err_set(e, ERR_CORRUPT,
			        "a hash on the path to an anchored head of the receipt is not 32 bytes");
		memcpy(path[i], m->path[i].data, 32);
	}
	if (proof_inclusion_verify(
	            h, leaf, r->entry, c.size, (const uint8_t(*)[32])path, m->n_path, c.root, e) < 0)
		return err_wrap(e, "in the anchored head of %" PRIu64 " entries", c.size);
	return fill(m, &head, e);
}

int receipt_check_heads(struct receipt_view *r, const Wire__ReceiptFile *f, const uint8_t leaf[32],
        const struct merkle_hash *h, const struct note_verifier *v, const struct policy *p, struct err *e)
{
	for (size_t i = 0; i < f->n_heads; i++)
		if (check_head(r, f->heads[i], leaf, h, v, p, e) < 0)
			return -1;
	r->heads = f->heads;
	r->n_heads = f->n_heads;
	return 0;
}

bool receipt_head(const struct receipt_view *r, size_t i, struct receipt_head *out)
{
	if (i >= r->n_heads)
		return false;
	CHECK(fill(r->heads[i], out, NULL) == 0); /* as receipt_verify() found it */
	return true;
}
