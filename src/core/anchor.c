/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anchor - see anchor.h.
 *
 * A look at the chain is a round of questions, from STEP_CHAIN to STEP_WAIT; whatever goes wrong in between ends the round, and
 * the next one begins at the start. Only try, nonce, mined and outcome outlive a round's end in the saved bytes.
 *
 *	CHAIN  TIP  FINAL --no try yet--> HEAD  NONCE  PENDING  PRICE  GAS  BALANCE  SIGN  SAVE  SEND  WAIT
 *	                  \--tries------> RECEIPT (newest to oldest)
 *	                                    |-- one is mined: BLOCK, SAVE (when new), final? READ_BACK, SAVE, END; else WAIT
 *	                                    `-- none: NONCE_NOW -- ours is free: PRICE .. SAVE  SEND, or SEND again, or WAIT
 *	                                                        `- used up: by another, when that is final: from the start
 */
#include "core/anchor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "core/anchor_int.h"

#define SECOND UINT64_C(1000000000)

enum {
	GAS_LEAST = 100000, /* a first anchor uses 69,200: a node that says less does not make us run out */
	WAITING_MAX = 64,   /* transactions of one account that may wait before ours */
	GAS_RAISES = 2,     /* replacements that also offer more gas */
	BACK_OFF_SHIFT = 6, /* of the first pause */
};

/* ---- ends of a round ---- */

static void wait_until(struct anchor *a, uint64_t when_ns)
{
	a->step = STEP_WAIT;
	a->until_ns = when_ns;
}

/* Something is in the way, but the round goes on. */
void anchor_note(struct anchor *a)
{
	a->troubled = true;
	a->noted = true;
}

void anchor_round_done(struct anchor *a)
{
	if (!a->noted)
		a->troubled = false;
	a->troubles = 0;
	if (a->now_ns - a->risen_ns >= a->cfg.replace_ns) { /* perhaps only this endpoint stands still */
		a->risen_ns = a->now_ns;
		a->endpoint++;
	}
	wait_until(a, a->now_ns + a->cfg.poll_ns);
}

/* `why` is set: pause, longer each time, and go to the next endpoint. */
void anchor_trouble(struct anchor *a)
{
	uint64_t pause = a->cfg.poll_ns < SECOND ? a->cfg.poll_ns : SECOND;

	anchor_note(a);
	pause <<= a->troubles < BACK_OFF_SHIFT ? a->troubles : BACK_OFF_SHIFT;
	a->troubles++;
	a->endpoint++;
	wait_until(a, a->now_ns + pause);
}

void anchor_save_then(struct anchor *a, enum anchor_step next)
{
	a->step = STEP_SAVE;
	a->after_save = (int)next;
}

void anchor_end(struct anchor *a, enum anchor_outcome outcome)
{
	a->outcome = outcome;
	a->troubled = outcome == ANCHOR_FAILED;
	if (a->tries)
		anchor_save_then(a, STEP_END);
	else
		a->step = STEP_END;
}

/* `why` is set. */
void anchor_fail(struct anchor *a)
{
	anchor_end(a, ANCHOR_FAILED);
}

/* The answer was not what was asked for; `what` was not to be had. */
void anchor_no_answer(struct anchor *a, const char *what, const struct anchor_answer *an)
{
	if (an->got == ANCHOR_TROUBLE && an->trouble) {
		a->why = *an->trouble;
	} else if (an->got == ANCHOR_ERROR) {
		(void)err_set(
		        &a->why, ERR_DENIED, "the node does not say %s: %s", what, an->said ? an->said : "");
	} else {
		(void)err_set(&a->why, ERR_NOTFOUND, "the node knows no %s", what);
	}
	anchor_trouble(a);
}

/* ---- what is sent ---- */

static void call_bytes(struct anchor *a)
{
	evm_anchor_call(a->target.origin, a->target.size, a->target.root, a->call);
}

struct evm_tx anchor_tx(const struct anchor *a, const struct anchor_try *t)
{
	struct evm_tx tx = {
	        .chain_id = a->cfg.chain_id, .nonce = a->nonce, .tip = t->tip, .fee = t->fee, .gas = t->gas};

	if (a->target.what == ANCHOR_DEPLOY) {
		tx.kind = EVM_CREATE;
		tx.data = evm_anchor_code(&tx.data_n);
	} else {
		tx.kind = EVM_CALL;
		memcpy(tx.to, a->cfg.contract, sizeof(tx.to));
		tx.data = a->call;
		tx.data_n = sizeof(a->call);
	}
	return tx;
}

size_t anchor_raw(const struct anchor *a, unsigned i, uint8_t out[EVM_TX_MAX])
{
	struct evm_tx tx;
	size_t n;

	CHECK(i < a->tries);
	tx = anchor_tx(a, &a->try[i]);
	n = evm_tx_raw(&tx, &a->try[i].sig, out, EVM_TX_MAX, NULL);
	CHECK(n > 0);
	return n;
}

void anchor_contract_of(const struct anchor *a, uint8_t out[20])
{
	if (a->target.what == ANCHOR_DEPLOY)
		evm_create_address(a->cfg.from, a->nonce, out);
	else
		memcpy(out, a->cfg.contract, 20);
}

static const char *address(const uint8_t at[20], char out[EVM_ADDRESS_TEXT])
{
	evm_address_print(at, out);
	return out;
}

/* ---- beginning ---- */

void anchor_config_usual(struct anchor_config *c)
{
	memset(c, 0, sizeof(*c));
	c->fee_max = 200 * SECOND; /* 200 gwei: 0.0066 ether for an anchor at the very most */
	c->tip_least = 1000000;
	c->gas_max = 1000000;
	c->poll_ns = 12 * SECOND;
	c->replace_ns = 180 * SECOND;
}

int anchor_config_check(const struct anchor_config *c, struct err *e)
{
	if (c->chain_id == 0)
		return err_set(e, ERR_INVALID, "the chain's id must be given: 1 is Ethereum's main network");
	if (c->fee_max == 0 || c->tip_least > c->fee_max)
		return err_set(e, ERR_INVALID,
		        "the highest fee must be more than 0 and not less than the least tip");
	if (c->gas_max < GAS_LEAST || c->gas_max > 30000000)
		return err_set(e, ERR_INVALID, "the most gas must be from %d to 30000000", GAS_LEAST);
	if (c->poll_ns == 0 || c->replace_ns < c->poll_ns)
		return err_set(e, ERR_INVALID,
		        "an offer must stand at least from one look at the chain to the next");
	if (c->confirmations > 1000000)
		return err_set(e, ERR_INVALID, "%" PRIu64 " confirmations are more than a million",
		        c->confirmations);
	return 0;
}

void anchor_begin(struct anchor *a, const struct anchor_config *cfg, const struct anchor_target *target,
        uint64_t now_ns)
{
	CHECK(anchor_config_check(cfg, NULL) == 0);
	CHECK(target->what == ANCHOR_DEPLOY || target->size > 0);
	memset(a, 0, sizeof(*a));
	a->cfg = *cfg;
	a->target = *target;
	a->now_ns = a->until_ns = a->risen_ns = now_ns;
	a->step = STEP_WAIT;
	call_bytes(a);
}

/* ---- a round ---- */

static void on_chain(struct anchor *a, const struct anchor_answer *an)
{
	if (an->got != ANCHOR_GOT) {
		anchor_no_answer(a, "its chain's id", an);
		return;
	}
	if (an->number == a->cfg.chain_id) {
		a->step = STEP_TIP;
		return;
	}
	(void)err_set(&a->why, ERR_INVALID,
	        "the node is on chain %" PRIu64 ", not on %" PRIu64 "; nothing was sent to it", an->number,
	        a->cfg.chain_id);
	(void)err_hint(&a->why, "correct the chain's id or the node's address");
	if (a->tries)
		anchor_trouble(a);
	else
		anchor_fail(a);
}

static void finality_known(struct anchor *a)
{
	if (a->tries) {
		a->asked = a->tries - 1;
		a->step = STEP_RECEIPT;
	} else {
		a->step = a->target.what == ANCHOR_HEAD ? STEP_HEAD : STEP_NONCE;
	}
}

static void on_tip(struct anchor *a, const struct anchor_answer *an)
{
	if (an->got != ANCHOR_GOT) {
		anchor_no_answer(a, "newest block", an);
		return;
	}
	a->tip = an->block;
	if (a->tip.number > a->highest) {
		a->highest = a->tip.number;
		a->risen_ns = a->now_ns;
	}
	if (a->seen == SEEN_NEW) {
		a->seen = SEEN_SINCE;
		a->seen_block = a->tip.number;
	}
	a->step = STEP_FINAL;
	if (a->cfg.confirmations) {
		a->has_final = a->tip.number + 1 >= a->cfg.confirmations;
		a->final = a->has_final ? a->tip.number + 1 - a->cfg.confirmations : 0;
		finality_known(a);
	}
}

static void on_final(struct anchor *a, const struct anchor_answer *an)
{
	if (an->got != ANCHOR_GOT) {
		anchor_no_answer(a, "finalized block", an);
		(void)err_hint(&a->why, "for a chain without one, set the number of confirmations");
		return;
	}
	a->has_final = true;
	a->final = an->block.number < a->tip.number ? an->block.number : a->tip.number;
	finality_known(a);
}

/* Has something been there in every look since a block that is final by now? */
bool anchor_seen_for_good(struct anchor *a)
{
	if (a->seen == SEEN_NOT)
		a->seen = SEEN_NEW;
	return a->seen == SEEN_SINCE && a->has_final && a->final >= a->seen_block;
}

/* The contract holds a head that is not smaller than ours, for good, and not by a transaction of ours. */
void anchor_other_head(struct anchor *a, const struct evm_head *h)
{
	a->there = *h;
	if (h->size == a->target.size && memcmp(h->root, a->target.root, sizeof(h->root)) != 0) {
		(void)err_set(&a->why, ERR_CORRUPT,
		        "this account has anchored another root for size %" PRIu64 " of this log", h->size);
		(void)err_hint(&a->why,
		        "two logs share a key and an origin, or the log was rolled back: stop it and look");
		anchor_fail(a);
		return;
	}
	anchor_end(a, ANCHOR_ALREADY);
}

static void no_contract(struct anchor *a, const char *why)
{
	char text[EVM_ADDRESS_TEXT];

	(void)err_set(&a->why, ERR_NOTFOUND, "%s at %s on chain %" PRIu64, why,
	        address(a->cfg.contract, text), a->cfg.chain_id);
	(void)err_hint(&a->why, "deploy it, or correct its address");
	anchor_fail(a);
}

/* Reverts carry data, or say so. */
static bool reverted(const struct anchor_answer *an)
{
	return an->got == ANCHOR_ERROR && (an->data_n > 0 || (an->said && strstr(an->said, "revert")));
}

static void on_head(struct anchor *a, const struct anchor_answer *an)
{
	struct evm_head h;

	if (reverted(an) ||
	        (an->got == ANCHOR_GOT && an->data_n && !evm_latest_read(an->data, an->data_n, &h))) {
		no_contract(a, "there is another contract than Anchor.sol");
		return;
	}
	if (an->got != ANCHOR_GOT) {
		anchor_no_answer(a, "the anchored head", an);
		return;
	}
	if (an->data_n == 0) {
		no_contract(a, "there is no contract");
		return;
	}
	CHECK(evm_latest_read(an->data, an->data_n, &h));
	if (h.size < a->target.size) {
		a->seen = SEEN_NOT;
		a->step = STEP_NONCE;
	} else if (anchor_seen_for_good(a)) {
		anchor_other_head(a, &h);
	} else {
		anchor_round_done(a);
	}
}

static void on_nonce(struct anchor *a, const struct anchor_answer *an)
{
	if (an->got != ANCHOR_GOT) {
		anchor_no_answer(a, "the account's count of transactions", an);
		return;
	}
	a->latest_nonce = an->number;
	a->step = STEP_PENDING;
}

static void on_pending(struct anchor *a, const struct anchor_answer *an)
{
	if (an->got != ANCHOR_GOT) {
		anchor_no_answer(a, "the account's count of transactions", an);
		return;
	}
	if (an->number < a->latest_nonce || an->number - a->latest_nonce > WAITING_MAX) {
		(void)err_set(&a->why, ERR_FULL,
		        "%" PRIu64 " transactions of the account are mined and %" PRIu64
		        " sent: too many wait",
		        a->latest_nonce, an->number);
		(void)err_hint(&a->why, "an account of its own for the anchors avoids that");
		anchor_trouble(a);
		return;
	}
	a->nonce = an->number;
	a->step = STEP_PRICE;
}

static uint64_t add_capped(uint64_t x, uint64_t y)
{
	return x > UINT64_MAX - y ? UINT64_MAX : x + y;
}

/* What nodes want of a replacement is 10 % more; an eighth is more than that. */
static uint64_t raised(uint64_t x)
{
	return add_capped(x, x / 8 + 1);
}

static void too_dear(struct anchor *a, uint64_t wanted)
{
	(void)err_set(&a->why, ERR_FULL,
	        "the chain wants %" PRIu64 " wei per gas, more than the %" PRIu64 " allowed", wanted,
	        a->cfg.fee_max);
	(void)err_hint(&a->why, "it is tried again when it is cheaper; or allow more");
}

/* The chain's price now; false: above what is allowed. */
static bool price(struct anchor *a, struct anchor_try *t)
{
	uint64_t base = a->tip.base_fee, least;

	t->tip = a->market_tip > a->cfg.tip_least ? a->market_tip : a->cfg.tip_least;
	least = add_capped(base, t->tip);
	if (least > a->cfg.fee_max) {
		too_dear(a, least);
		return false;
	}
	t->fee = add_capped(base, least);
	if (t->fee > a->cfg.fee_max)
		t->fee = a->cfg.fee_max;
	return true;
}

/* A replacement must offer more than the last, and it pays the present price if that is allowed. */
static bool replacement(struct anchor *a, struct anchor_try *t)
{
	const struct anchor_try *last = &a->try[a->tries - 1];
	uint64_t tip = raised(last->tip), fee = raised(last->fee);

	if (fee > a->cfg.fee_max || tip > fee) {
		too_dear(a, fee);
		return false;
	}
	if (!price(a, t)) /* the most that is allowed is still better than less */
		*t = (struct anchor_try){.tip = tip, .fee = a->cfg.fee_max};
	t->tip = t->tip > tip ? t->tip : tip;
	t->fee = t->fee > fee ? t->fee : fee;
	t->tip = t->tip < t->fee ? t->tip : t->fee;
	t->gas = last->gas;
	if (a->tries <= GAS_RAISES) /* too little gas is one way to be dropped without a word */
		t->gas += t->gas / 4;
	t->gas = t->gas < a->cfg.gas_max ? t->gas : a->cfg.gas_max;
	return true;
}

static void on_price(struct anchor *a, const struct anchor_answer *an)
{
	memset(&a->draft, 0, sizeof(a->draft));
	if (an->got == ANCHOR_TROUBLE || an->got == ANCHOR_NULL) {
		anchor_no_answer(a, "the usual tip", an);
		return;
	}
	a->market_tip = an->got == ANCHOR_GOT ? an->number : 0; /* not every node knows the question */
	if (!a->tip.has_base) {
		(void)err_set(&a->why, ERR_INVALID,
		        "blocks of chain %" PRIu64 " have no base fee: it is older than EIP-1559",
		        a->cfg.chain_id);
		if (a->tries)
			anchor_trouble(a);
		else
			anchor_fail(a);
		return;
	}
	if (a->tries == 0) {
		a->step = STEP_GAS;
		if (!price(a, &a->draft))
			anchor_trouble(a);
		return;
	}
	a->step = STEP_BALANCE;
	if (!replacement(a, &a->draft)) {
		anchor_note(a);
		a->sent_ns = a->now_ns; /* not before the next one is due */
		a->step = STEP_SEND;
	}
}

static void on_gas(struct anchor *a, const struct anchor_answer *an)
{
	struct evm_tx tx = anchor_tx(a, &a->draft);
	uint64_t size, least = evm_tx_gas_least(&tx);

	if (an->got == ANCHOR_ERROR && evm_not_newer_read(an->data, an->data_n, &size)) {
		anchor_round_done(a); /* somebody was faster: the next look at the head shows it */
		return;
	}
	if (reverted(an)) {
		no_contract(a, "the contract refuses the head; it is not Anchor.sol");
		return;
	}
	if (an->got != ANCHOR_GOT) {
		anchor_no_answer(a, "how much gas it takes", an);
		return;
	}
	if (least < GAS_LEAST)
		least = GAS_LEAST;
	a->draft.gas = add_capped(an->number, an->number / 4);
	if (a->draft.gas < least)
		a->draft.gas = least;
	if (a->draft.gas > a->cfg.gas_max) {
		(void)err_set(&a->why, ERR_FULL,
		        "the node estimates %" PRIu64 " gas; with a quarter more that is above the %" PRIu64
		        " allowed",
		        an->number, a->cfg.gas_max);
		anchor_trouble(a);
		return;
	}
	a->step = STEP_BALANCE;
}

static bool covers(const uint8_t amount[32], unsigned __int128 cost)
{
	unsigned __int128 have = 0;

	for (int i = 0; i < 16; i++)
		if (amount[i])
			return true;
	for (int i = 16; i < 32; i++)
		have = have << 8 | amount[i];
	return have >= cost;
}

static void on_balance(struct anchor *a, const struct anchor_answer *an)
{
	unsigned __int128 cost = (unsigned __int128)a->draft.gas * a->draft.fee;
	char text[EVM_ADDRESS_TEXT];

	if (an->got != ANCHOR_GOT) {
		anchor_no_answer(a, "the account's balance", an);
		return;
	}
	if (covers(an->amount, cost)) {
		a->step = STEP_SIGN;
		return;
	}
	(void)err_set(&a->why, ERR_FULL, "account %s cannot pay: an anchor may cost up to %" PRIu64 " gwei",
	        address(a->cfg.from, text), (uint64_t)(cost / SECOND) + 1);
	(void)err_hint(&a->why, "send some to it; the anchor goes on by itself then");
	a->sent_ns = a->now_ns;
	anchor_trouble(a);
}

/* ---- driving ---- */

static void ask_of(struct anchor *a, struct anchor_ask *q)
{
	static const struct {
		enum anchor_question q;
		enum anchor_at at;
	} of[] = {
	        [STEP_CHAIN] = {ANCHOR_Q_CHAIN, ANCHOR_LATEST},
	        [STEP_TIP] = {ANCHOR_Q_BLOCK, ANCHOR_LATEST},
	        [STEP_FINAL] = {ANCHOR_Q_BLOCK, ANCHOR_FINALIZED},
	        [STEP_HEAD] = {ANCHOR_Q_HEAD, ANCHOR_LATEST},
	        [STEP_NONCE] = {ANCHOR_Q_NONCE, ANCHOR_LATEST},
	        [STEP_PENDING] = {ANCHOR_Q_NONCE, ANCHOR_PENDING},
	        [STEP_PRICE] = {ANCHOR_Q_TIP, ANCHOR_LATEST},
	        [STEP_GAS] = {ANCHOR_Q_GAS, ANCHOR_LATEST},
	        [STEP_BALANCE] = {ANCHOR_Q_BALANCE, ANCHOR_LATEST},
	        [STEP_SEND] = {ANCHOR_Q_SEND, ANCHOR_LATEST},
	        [STEP_RECEIPT] = {ANCHOR_Q_RECEIPT, ANCHOR_LATEST},
	        [STEP_BLOCK] = {ANCHOR_Q_BLOCK, ANCHOR_NUMBER},
	        [STEP_READ_BACK] = {ANCHOR_Q_HEAD, ANCHOR_LATEST},
	        [STEP_NONCE_NOW] = {ANCHOR_Q_NONCE, ANCHOR_LATEST},
	};
	struct evm_tx tx = anchor_tx(a, &a->draft);

	CHECK(a->step < (int)ARRAY_LEN(of));
	memset(q, 0, sizeof(*q));
	q->q = of[a->step].q;
	q->at = of[a->step].at;
	memcpy(q->from, a->cfg.from, sizeof(q->from));
	if (q->q == ANCHOR_Q_BLOCK)
		q->number = a->found.block;
	if (q->q == ANCHOR_Q_RECEIPT)
		memcpy(q->hash, a->try[a->asked].hash, sizeof(q->hash));
	if (q->q == ANCHOR_Q_GAS) {
		q->kind = tx.kind;
		memcpy(q->to, tx.to, sizeof(q->to));
		q->data = tx.data;
		q->data_n = tx.data_n;
	}
	if (q->q == ANCHOR_Q_HEAD) {
		anchor_contract_of(a, q->to);
		evm_latest_call(a->cfg.from, a->target.origin, a->look);
		q->data = a->look;
		q->data_n = sizeof(a->look);
	}
	if (q->q == ANCHOR_Q_SEND) {
		q->data_n = anchor_raw(a, a->tries - 1, a->raw);
		q->data = a->raw;
	}
}

enum anchor_do anchor_next(struct anchor *a, uint64_t now_ns, struct anchor_todo *out)
{
	struct evm_tx tx;

	if (now_ns > a->now_ns)
		a->now_ns = now_ns;
	memset(out, 0, sizeof(*out));
	out->endpoint = a->endpoint;
	if (a->step == STEP_WAIT) {
		out->until_ns = a->until_ns;
		if (a->now_ns < a->until_ns)
			return ANCHOR_WAIT;
		a->noted = false;
		a->step = STEP_CHAIN;
	}
	if (a->step == STEP_END)
		return ANCHOR_END;
	if (a->step == STEP_SAVE)
		return ANCHOR_SAVE;
	if (a->step == STEP_SIGN) {
		tx = anchor_tx(a, &a->draft);
		evm_tx_sighash(&tx, out->sighash);
		return ANCHOR_SIGN;
	}
	ask_of(a, &out->ask);
	return ANCHOR_ASK;
}

void anchor_answer(struct anchor *a, uint64_t now_ns, const struct anchor_answer *an)
{
	static void (*const on[])(struct anchor *, const struct anchor_answer *) = {
	        [STEP_CHAIN] = on_chain,
	        [STEP_TIP] = on_tip,
	        [STEP_FINAL] = on_final,
	        [STEP_HEAD] = on_head,
	        [STEP_NONCE] = on_nonce,
	        [STEP_PENDING] = on_pending,
	        [STEP_PRICE] = on_price,
	        [STEP_GAS] = on_gas,
	        [STEP_BALANCE] = on_balance,
	        [STEP_SEND] = anchor_on_send,
	        [STEP_RECEIPT] = anchor_on_receipt,
	        [STEP_BLOCK] = anchor_on_block,
	        [STEP_READ_BACK] = anchor_on_read_back,
	        [STEP_NONCE_NOW] = anchor_on_nonce_now,
	};

	CHECK(a->step < (int)ARRAY_LEN(on) && on[a->step]);
	if (now_ns > a->now_ns)
		a->now_ns = now_ns;
	on[a->step](a, an);
}

void anchor_signed(struct anchor *a, const struct evm_sig *sig)
{
	uint8_t raw[EVM_TX_MAX];
	struct anchor_try *t;
	struct evm_tx tx;

	CHECK(a->step == STEP_SIGN && a->tries < ANCHOR_TRIES_MAX);
	t = &a->try[a->tries];
	*t = a->draft;
	t->sig = *sig;
	tx = anchor_tx(a, t);
	CHECK(evm_tx_raw(&tx, sig, raw, sizeof(raw), t->hash) > 0);
	a->tries++;
	a->has_sent = false;
	a->sent_ns = 0;
	anchor_save_then(a, STEP_SEND);
}

void anchor_saved(struct anchor *a)
{
	CHECK(a->step == STEP_SAVE);
	a->step = a->after_save;
	if (a->step == STEP_MINED)
		anchor_after_mined(a);
	if (a->step == STEP_WAIT)
		a->until_ns = a->now_ns;
}

void anchor_view(const struct anchor *a, struct anchor_view *out)
{
	memset(out, 0, sizeof(*out));
	out->outcome = a->outcome;
	out->on_its_way = a->tries > 0 && a->outcome == ANCHOR_OPEN;
	out->tries = a->tries;
	out->reorganised = a->reorganised;
	out->nonce = a->nonce;
	anchor_contract_of(a, out->contract);
	if (a->tries) {
		unsigned which = a->mined.is ? a->mined.which : a->tries - 1;

		memcpy(out->hash, a->try[which].hash, sizeof(out->hash));
		out->raw_n = anchor_raw(a, which, out->raw);
	}
	out->mined = a->mined;
	out->tip = a->tip.number;
	out->final = a->has_final ? a->final : 0;
	out->there = a->there;
	out->troubled = a->troubled;
	out->why = a->why;
}
