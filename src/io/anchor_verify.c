/* SPDX-License-Identifier: Apache-2.0 */
/* anchor_verify - see anchor_verify.h. */
#include "io/anchor_verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "io/anchor_rpc.h"

struct verify {
	struct anchor_rpc rpc;
	const char *url;
	const struct anchor_claim *c;
	struct anchor_answer a;
};

/* Ask; what is neither an answer nor (if `nullable`) null is an error. */
static int ask(struct verify *v, struct anchor_ask *q, bool nullable, struct err *e)
{
	memcpy(q->from, v->c->account, 20);
	memcpy(q->to, v->c->contract, 20);
	anchor_rpc_ask(&v->rpc, v->url, q, &v->a);
	if (v->a.got == ANCHOR_GOT || (nullable && v->a.got == ANCHOR_NULL))
		return 0;
	if (v->a.got == ANCHOR_TROUBLE) {
		if (e)
			*e = v->rpc.trouble;
		return -1;
	}
	return err_set(e, ERR_DENIED, "the node refuses a question: %s",
	        v->a.got == ANCHOR_ERROR ? v->a.said : "no answer");
}

static int check_chain(struct verify *v, struct err *e)
{
	struct anchor_ask q = {.q = ANCHOR_Q_CHAIN};

	if (ask(v, &q, false, e) < 0)
		return -1;
	if (v->a.number != v->c->chain_id)
		return err_set(e, ERR_INVALID, "the node is on chain %" PRIu64 ", the anchor on %" PRIu64,
		        v->a.number, v->c->chain_id);
	return 0;
}

/* The contract's last head for the log. It may be larger than the claim's. */
static int check_head(struct verify *v, bool *out_there, struct err *e)
{
	uint8_t call[EVM_LATEST_CALL];
	struct anchor_ask q = {.q = ANCHOR_Q_HEAD, .data = call, .data_n = sizeof(call)};
	struct evm_head h;

	evm_latest_call(v->c->account, v->c->origin, call);
	if (ask(v, &q, false, e) < 0)
		return -1;
	if (!evm_latest_read(v->a.data, v->a.data_n, &h))
		return err_set(e, ERR_NOTFOUND, "there is no contract like Anchor.sol at the address");
	if (h.size == v->c->size && memcmp(h.root, v->c->root, 32) != 0)
		return err_set(e, ERR_CORRUPT,
		        "the chain holds another root for size %" PRIu64 " of this log", h.size);
	*out_there = h.size >= v->c->size;
	return 0;
}

/* The event, by the transaction's hash or by searching. Its words are compared here, whoever found it. */
static int find_event(struct verify *v, struct anchor_proof *out, bool *out_there, struct err *e)
{
	struct anchor_ask q = {.q = ANCHOR_Q_RECEIPT};
	const struct anchor_receipt *r;
	struct evm_anchored ev;

	*out_there = false;
	memcpy(q.hash, v->c->hash, 32);
	if (v->c->has_hash) {
		if (ask(v, &q, true, e) < 0)
			return -1;
	} else {
		anchor_rpc_find(
		        &v->rpc, v->url, v->c->contract, v->c->account, v->c->origin, v->c->size, &v->a);
		if (v->a.got == ANCHOR_TROUBLE && e)
			*e = v->rpc.trouble;
		if (v->a.got == ANCHOR_ERROR) {
			(void)err_set(e, ERR_DENIED, "the node does not search the chain: %s", v->a.said);
			return err_hint(e, "give the transaction's hash, or ask another node");
		}
		if (v->a.got == ANCHOR_TROUBLE)
			return -1;
	}
	if (v->a.got == ANCHOR_NULL)
		return 0;
	r = v->a.receipt;
	if (v->c->has_hash && memcmp(r->hash, v->c->hash, 32) != 0)
		return err_set(e, ERR_CORRUPT, "the node shows the receipt of another transaction");
	for (unsigned i = 0; i < r->logs && r->ok; i++) {
		if (memcmp(r->log[i].address, v->c->contract, 20) != 0 ||
		        !evm_anchored_read(&r->log[i], &ev) || memcmp(ev.by, v->c->account, 20) != 0 ||
		        memcmp(ev.origin, v->c->origin, 32) != 0 || ev.size != v->c->size)
			continue;
		if (memcmp(ev.root, v->c->root, 32) != 0)
			return err_set(e, ERR_CORRUPT,
			        "the chain holds another root for size %" PRIu64 " of this log", ev.size);
		*out_there = true;
		out->block = r->block;
		out->log_index = r->log_index[i];
		memcpy(out->block_hash, r->block_hash, 32);
		memcpy(out->hash, r->hash, 32);
	}
	return 0;
}

/* Its block is in the chain; how deep? */
static int check_block(struct verify *v, uint64_t confirmations, struct anchor_proof *out, struct err *e)
{
	struct anchor_ask final = {.q = ANCHOR_Q_BLOCK, .at = ANCHOR_FINALIZED};
	struct anchor_ask newest = {.q = ANCHOR_Q_BLOCK, .at = ANCHOR_LATEST};
	struct anchor_ask own = {.q = ANCHOR_Q_BLOCK, .at = ANCHOR_NUMBER, .number = out->block};
	struct err ignored;

	if (ask(v, &final, true, confirmations ? &ignored : e) < 0) {
		if (!confirmations)
			return -1;
	} else if (v->a.got == ANCHOR_GOT) {
		out->final = v->a.block.number;
	}
	if (ask(v, &newest, false, e) < 0)
		return -1;
	out->newest = v->a.block.number;
	if (ask(v, &own, true, e) < 0)
		return -1;
	if (v->a.got == ANCHOR_NULL || memcmp(v->a.block.hash, out->block_hash, 32) != 0 ||
	        out->block > out->newest)
		return err_set(e, ERR_CORRUPT,
		        "the node shows the event in a block that is not in its chain; "
		        "perhaps the chain is being reorganised");
	out->time_s = v->a.block.time_s;
	out->confirmations = out->newest - out->block + 1;
	if (confirmations ? out->confirmations >= confirmations : out->block <= out->final)
		out->standing = ANCHOR_FINAL;
	else
		out->standing = ANCHOR_RECENT;
	return 0;
}

int anchor_verify(struct http *h, const char *url, const struct anchor_claim *c, uint64_t confirmations,
        struct anchor_proof *out, struct err *e)
{
	struct verify *v = calloc(1, sizeof(*v));
	struct anchor_proof proof = {.standing = ANCHOR_ABSENT};
	bool head = false, event = false;
	int rc;

	CHECK(v != NULL);
	v->rpc.http = h;
	v->url = url;
	v->c = c;
	rc = check_chain(v, e) < 0 || check_head(v, &head, e) < 0 ||
	                     (head && find_event(v, &proof, &event, e) < 0)
	             ? -1
	             : 0;
	if (rc == 0 && event)
		rc = check_block(v, confirmations, &proof, e);
	if (rc == 0)
		*out = proof;
	free(v);
	return rc;
}
