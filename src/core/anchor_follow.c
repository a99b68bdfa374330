/* SPDX-License-Identifier: Apache-2.0 */
/* anchor_follow - the half of a round in which something is on its way; see anchor.c. */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "core/anchor_int.h"

void anchor_on_send(struct anchor *a, const struct anchor_answer *an)
{
	const struct anchor_try *t = &a->try[a->tries - 1];

	if (!a->sent_ns)
		a->sent_ns = a->now_ns;
	if (an->got == ANCHOR_TROUBLE || an->got == ANCHOR_NULL) {
		anchor_no_answer(a, "whether it took the transaction", an);
		return;
	}
	/* What is refused may be known already, or mined: the next look tells. */
	if (an->got == ANCHOR_ERROR && !(an->said && strstr(an->said, "known"))) {
		(void)err_set(&a->why, ERR_DENIED, "the node refuses the transaction: %s",
		        an->said ? an->said : "");
		anchor_trouble(a);
		return;
	}
	a->has_sent = true;
	a->resent_ns = a->now_ns;
	if (an->got == ANCHOR_GOT && memcmp(an->hash, t->hash, sizeof(t->hash)) != 0) {
		(void)err_set(&a->why, ERR_CORRUPT, "the node answers with the hash of another transaction");
		anchor_trouble(a);
		return;
	}
	anchor_round_done(a);
}

/* Is it our transaction's, and did the contract say what it must? Fills in `found`. */
static bool receipt_fits(struct anchor *a, const struct anchor_receipt *r)
{
	uint8_t contract[20];
	bool said = a->target.what == ANCHOR_DEPLOY;

	anchor_contract_of(a, contract);
	if (memcmp(r->hash, a->try[a->asked].hash, 32) != 0 || memcmp(r->from, a->cfg.from, 20) != 0)
		return false;
	if (a->target.what == ANCHOR_DEPLOY ? r->kind != EVM_CREATE || memcmp(r->created, contract, 20) != 0
	                                    : r->kind != EVM_CALL || memcmp(r->to, contract, 20) != 0)
		return false;
	a->found = (struct anchor_mined){.is = true,
	        .ok = r->ok,
	        .block = r->block,
	        .gas_used = r->gas_used,
	        .price = r->price,
	        .which = a->asked};
	memcpy(a->found.block_hash, r->block_hash, 32);
	CHECK(r->logs <= ANCHOR_LOGS_MAX);
	for (unsigned i = 0; i < r->logs && !said; i++) {
		struct evm_anchored ev;

		said = memcmp(r->log[i].address, contract, 20) == 0 && evm_anchored_read(&r->log[i], &ev) &&
		       ev.size == a->target.size && memcmp(ev.by, a->cfg.from, 20) == 0 &&
		       memcmp(ev.origin, a->target.origin, 32) == 0 &&
		       memcmp(ev.root, a->target.root, 32) == 0;
		a->found.log_index = r->log_index[i];
	}
	return said || !r->ok;
}

void anchor_on_receipt(struct anchor *a, const struct anchor_answer *an)
{
	if (an->got == ANCHOR_NULL) {
		if (a->asked) {
			a->asked--;
			return;
		}
		a->step = STEP_NONCE_NOW;
		if (a->mined.is) { /* it was mined, and its block is no more */
			memset(&a->mined, 0, sizeof(a->mined));
			a->reorganised++;
			a->has_sent = false;
			anchor_save_then(a, STEP_NONCE_NOW);
		}
		return;
	}
	if (an->got != ANCHOR_GOT) {
		anchor_no_answer(a, "whether the transaction was mined", an);
		return;
	}
	if (!receipt_fits(a, an->receipt)) {
		(void)err_set(&a->why, ERR_CORRUPT, "the node shows a receipt that is not our transaction's");
		anchor_trouble(a);
		return;
	}
	a->step = STEP_BLOCK;
}

void anchor_after_mined(struct anchor *a)
{
	if (a->has_final && a->mined.block <= a->final)
		a->step = STEP_READ_BACK;
	else
		anchor_round_done(a);
}

void anchor_on_block(struct anchor *a, const struct anchor_answer *an)
{
	bool news;

	if (an->got == ANCHOR_ERROR || an->got == ANCHOR_TROUBLE) {
		anchor_no_answer(a, "the transaction's block", an);
		return;
	}
	if (an->got == ANCHOR_NULL || an->block.number != a->found.block ||
	        memcmp(an->block.hash, a->found.block_hash, 32) != 0) {
		(void)err_set(
		        &a->why, ERR_CORRUPT, "the node's receipt is of a block that is not in its chain");
		anchor_trouble(a);
		return;
	}
	a->found.time_s = an->block.time_s;
	a->seen = SEEN_NOT;
	news = !a->mined.is || a->mined.which != a->found.which || a->mined.block != a->found.block ||
	       a->mined.ok != a->found.ok || memcmp(a->mined.block_hash, a->found.block_hash, 32) != 0;
	if (news && a->mined.is)
		a->reorganised++;
	a->mined = a->found;
	if (news)
		anchor_save_then(a, STEP_MINED);
	else
		anchor_after_mined(a);
}

static void read_back_bad(struct anchor *a)
{
	(void)err_set(&a->why, ERR_CORRUPT, "the node shows our transaction as final, but not what it wrote");
	anchor_trouble(a);
}

void anchor_on_read_back(struct anchor *a, const struct anchor_answer *an)
{
	bool deploy = a->target.what == ANCHOR_DEPLOY, same;
	struct evm_head h;

	if (deploy && !a->mined.ok) {
		(void)err_set(&a->why, ERR_DENIED,
		        "the chain did not create the contract: the transaction reverted");
		anchor_fail(a);
		return;
	}
	if (an->got != ANCHOR_GOT) {
		anchor_no_answer(a, "the anchored head", an);
		return;
	}
	if (!evm_latest_read(an->data, an->data_n, &h)) {
		read_back_bad(a);
		return;
	}
	a->there = h;
	same = h.size == a->target.size && memcmp(h.root, a->target.root, 32) == 0;
	if (a->mined.ok && (deploy || same || h.size > a->target.size)) {
		anchor_end(a, ANCHOR_DONE);
	} else if (a->mined.ok) {
		read_back_bad(a);
	} else if (h.size >= a->target.size) {
		anchor_other_head(a, &h);
	} else {
		(void)err_set(&a->why, ERR_DENIED,
		        "the transaction was mined in block %" PRIu64 " and reverted, after %" PRIu64 " gas",
		        a->mined.block, a->mined.gas_used);
		(void)err_hint(&a->why, "if the gas ran out, allow more");
		anchor_fail(a);
	}
}

void anchor_on_nonce_now(struct anchor *a, const struct anchor_answer *an)
{
	if (an->got != ANCHOR_GOT) {
		anchor_no_answer(a, "the account's count of transactions", an);
		return;
	}
	if (an->number > a->nonce) { /* used up, and not by what we know; or receipts come late */
		if (!anchor_seen_for_good(a)) {
			anchor_round_done(a);
			return;
		}
		a->tries = 0;
		a->has_sent = false;
		a->sent_ns = 0;
		a->seen = SEEN_NOT;
		anchor_save_then(a, STEP_WAIT);
		return;
	}
	a->seen = SEEN_NOT;
	if (an->number < a->nonce) {
		(void)err_set(&a->why, ERR_EXISTS,
		        "%" PRIu64 " earlier transactions of the account are not mined yet",
		        a->nonce - an->number);
		anchor_note(a);
	}
	if (!a->has_sent || a->now_ns - a->resent_ns >= a->cfg.replace_ns / 3)
		a->step = STEP_SEND;
	else
		anchor_round_done(a);
	if (a->sent_ns && a->now_ns - a->sent_ns >= a->cfg.replace_ns && a->tries < ANCHOR_TRIES_MAX)
		a->step = STEP_PRICE;
}
