/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prop_anchor - heads are anchored on a chain that loses, reorganises and lies, by a process that is killed at any moment.
 *
 * In every step: what is sent was saved; of one account's waiting transactions only one nonce is ours; nothing above the highest fee is
 * offered; a head that is said to be there for good is. When the faults stop, every anchor ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "anchor_chain.h"
#include "base/check.h"
#include "core/keccak.h"

#define SECOND UINT64_C(1000000000)

static struct chain chain;
static struct anchor anchor;
static uint8_t saved[ANCHOR_SAVE_MAX];
static size_t saved_n;
static uint64_t now_ns, seed;
static unsigned replaced, reorganised, restarted, renonced; /* what happened in all lives */

static struct anchor_config config(void)
{
	struct anchor_config c;

	anchor_config_usual(&c);
	c.chain_id = CHAIN_ID;
	memcpy(c.contract, chain_contract, 20);
	memcpy(c.from, chain_account, 20);
	c.fee_max = 12000;
	c.tip_least = 1;
	return c;
}

static struct anchor_target target_of(uint64_t size)
{
	struct anchor_target t = {.what = ANCHOR_HEAD, .size = size};

	memset(t.root, (int)size, sizeof(t.root));
	return t;
}

/* A process begins: from what was saved, if anything was. */
static void start(const struct anchor_target *t)
{
	struct anchor_config c = config();
	struct err e = {0};

	if (!saved_n)
		anchor_begin(&anchor, &c, t, now_ns);
	else if (anchor_resume(&anchor, &c, saved, saved_n, now_ns, &e) < 0)
		fail_msg("seed %llu: %s", (unsigned long long)seed, e.msg);
}

#define HOLDS(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			fail_msg("seed %llu: %s", (unsigned long long)seed, #cond);                          \
	} while (0)

/* Before it leaves: it is in the saved bytes, and no other nonce of ours can still be mined. */
static void check_sent(const struct anchor_ask *q)
{
	bool again = false;
	struct evm_sig sig;
	struct evm_tx tx;

	HOLDS(memmem(saved, saved_n, q->data, q->data_n) != NULL);
	HOLDS(evm_tx_parse(q->data, q->data_n, &tx, &sig, NULL) == 0);
	HOLDS(tx.fee <= config().fee_max && tx.tip <= tx.fee && tx.chain_id == CHAIN_ID);
	for (int i = 0; i < chain.txs; i++) {
		const struct chain_tx *t = &chain.tx[i];

		again |= t->raw_n == q->data_n && memcmp(t->raw, q->data, q->data_n) == 0;
	}
	for (int i = 0; i < chain.txs && !again; i++) { /* real nodes want a tenth more, of tip and fee */
		const struct chain_tx *t = &chain.tx[i];

		HOLDS(t->foreign || t->tx.nonce != tx.nonce || memcmp(t->tx.data, tx.data, tx.data_n) != 0 ||
		        (tx.fee * 10 >= t->tx.fee * 11 && tx.tip * 10 >= t->tx.tip * 11));
	}
	for (int i = 0; i < chain.txs; i++) {
		const struct chain_tx *t = &chain.tx[i];

		if (t->foreign || t->tx.nonce == tx.nonce || memcmp(t->tx.data, tx.data, tx.data_n) != 0)
			continue;
		/* the same head with another nonce: that one must be gone for good */
		HOLDS(t->tx.nonce < chain_nonce(&chain, chain_final(&chain)));
		renonced++;
	}
}

static void answer(const struct anchor_ask *q)
{
	struct anchor_answer a;

	if (q->q == ANCHOR_Q_SEND)
		check_sent(q);
	chain_ask(&chain, q, &a);
	anchor_answer(&anchor, now_ns, &a);
}

/* One thing is done. False: it is over. */
static bool act(void)
{
	struct anchor_todo todo;
	struct evm_sig sig = {.y = 1};

	switch (anchor_next(&anchor, now_ns, &todo)) {
	case ANCHOR_ASK:
		answer(&todo.ask);
		return true;
	case ANCHOR_SIGN:
		keccak256(todo.sighash, 32, sig.r);
		keccak256(sig.r, 32, sig.s);
		anchor_signed(&anchor, &sig);
		return true;
	case ANCHOR_SAVE:
		saved_n = anchor_save(&anchor, saved);
		anchor_saved(&anchor);
		return true;
	case ANCHOR_WAIT:
		HOLDS(todo.until_ns > now_ns);
		now_ns = todo.until_ns;
		chain_step(&chain);
		return true;
	case ANCHOR_END:
		return false;
	}
	return false;
}

static void check_end(const struct anchor_target *t)
{
	struct anchor_view v;
	struct evm_head h;
	uint8_t digest[32];

	anchor_view(&anchor, &v);
	h = chain_head(&chain, chain_final(&chain));
	switch (v.outcome) {
	case ANCHOR_OPEN:
		fail_msg("seed %llu: it ends without an outcome", (unsigned long long)seed);
		return;
	case ANCHOR_DONE:
		HOLDS(v.mined.is && v.mined.ok && v.mined.block <= chain_final(&chain));
		HOLDS(chain_has(&chain, v.mined.block, v.hash));
		keccak256(v.raw, v.raw_n, digest);
		HOLDS(memcmp(digest, v.hash, sizeof(digest)) == 0);
		HOLDS(h.size >= t->size);
		return;
	case ANCHOR_ALREADY:
		HOLDS(h.size >= t->size);
		return;
	case ANCHOR_FAILED:
		HOLDS(v.why.msg[0]);
		HOLDS(v.tries == 0); /* a lie made it stop before anything was sent */
		return;
	}
}

/* Anchor heads one after another; returns how many became DONE. */
static unsigned life(
        uint64_t with_seed, const struct chain_faults *faults, unsigned kills_per_mille, unsigned heads)
{
	unsigned done = 0, failures = 0;

	seed = with_seed;
	chain_init(&chain, seed);
	chain.faults = *faults;
	now_ns = SECOND;
	for (unsigned i = 1; i <= heads; i++) {
		struct anchor_target t = target_of(3 * i);
		unsigned steps = 0;

		chain.foreign_at = faults->foreign ? (int)(3 * i - 1 + prng_below(&chain.rng, 2) * 2) : 0;
		saved_n = 0;
		start(&t);
		while (act()) {
			if (++steps == 6000) { /* the faults stop: it must come to an end */
				memset(&chain.faults, 0, sizeof(chain.faults));
				kills_per_mille = 0;
			}
			HOLDS(steps < 12000);
			if (prng_chance(&chain.rng, kills_per_mille, 1000)) {
				start(&t);
				restarted++;
			}
		}
		chain.faults = *faults;
		check_end(&t);
		done += anchor.outcome == ANCHOR_DONE;
		replaced += anchor.tries > 1;
		reorganised += anchor.reorganised > 0;
		if (anchor.outcome == ANCHOR_FAILED && ++failures < 100)
			i--; /* who anchors tries again */
	}
	return done;
}

static void a_calm_chain_takes_every_head(void **state)
{
	struct chain_faults none = {0};

	(void)state;
	assert_int_equal(life(1, &none, 0, 20), 20);
	assert_int_equal(chain.txs, 20); /* one transaction each */
}

static void losses_reorganisations_and_kills(void **state)
{
	struct chain_faults f = {.lost = 60, .reorg = 60, .trouble = 50, .spike = 30, .poor = 50};

	(void)state;
	for (uint64_t s = 1; s <= 150; s++)
		HOLDS(life(s, &f, 20, 4) == 4);
	assert_true(replaced > 40 && reorganised > 20 && restarted > 500);
}

static void lies_too(void **state)
{
	struct chain_faults f = {.lost = 40, .reorg = 40, .trouble = 30, .lie = 60, .spike = 20};

	(void)state;
	for (uint64_t s = 1000; s < 1150; s++)
		HOLDS(life(s, &f, 20, 3) >= 1);
}

static void another_uses_the_same_account(void **state)
{
	struct chain_faults f = {.lost = 30, .reorg = 40, .trouble = 20, .foreign = 40, .spike = 20};
	unsigned done = 0;

	(void)state;
	for (uint64_t s = 2000; s < 2150; s++)
		done += life(s, &f, 10, 3);
	assert_in_range(done, 1, 449); /* some were taken away by the other's heads */
	assert_true(renonced > 10);    /* and some nonces by its smaller heads */
}

static void saved_bytes_are_whole_or_refused(void **state)
{
	struct chain_faults f = {.lost = 100};
	struct anchor_config c = config();
	struct anchor_target t = target_of(7);
	uint8_t copy[ANCHOR_SAVE_MAX];
	struct err e = {0};

	(void)state;
	seed = 5;
	chain_init(&chain, seed);
	chain.faults = f;
	saved_n = 0;
	start(&t);
	while (!saved_n)
		(void)act();
	assert_int_equal(anchor_resume(&anchor, &c, saved, saved_n, now_ns, &e), 0);
	assert_int_equal(anchor_save(&anchor, copy), saved_n);
	assert_memory_equal(copy, saved, saved_n);
	for (size_t i = 0; i < saved_n; i++) {
		memcpy(copy, saved, saved_n);
		copy[i] ^= 0x10;
		assert_int_equal(anchor_resume(&anchor, &c, copy, saved_n, now_ns, &e), -1);
		assert_int_equal(e.code, ERR_CORRUPT);
		assert_int_equal(anchor_resume(&anchor, &c, saved, i, now_ns, &e), -1);
	}
	c.chain_id++;
	assert_int_equal(anchor_resume(&anchor, &c, saved, saved_n, now_ns, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
}

/* ---- what a node says, one thing at a time ---- */

static void other_chain(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	(void)c;
	out->number += q->q == ANCHOR_Q_CHAIN;
}

static void other_receipt(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	(void)q;
	if (out->receipt)
		c->receipt.hash[31] ^= 1;
}

static void other_contract(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	(void)q;
	if (out->receipt)
		c->receipt.log[0].address[0] ^= 1;
}

static void other_root(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	(void)q;
	if (out->receipt)
		c->topic_root[31] ^= 1;
}

static void other_block(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	(void)c;
	if (q->q == ANCHOR_Q_BLOCK && q->at == ANCHOR_NUMBER)
		out->block.hash[0] ^= 1;
}

static void forgetful_contract(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	if (q->q == ANCHOR_Q_HEAD && out->got == ANCHOR_GOT)
		memset(c->bytes, 0, sizeof(c->bytes));
}

static void poor(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	(void)c;
	if (q->q == ANCHOR_Q_BALANCE)
		memset(out->amount, 0, sizeof(out->amount));
}

static void dear(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	(void)c;
	if (q->q == ANCHOR_Q_BLOCK)
		out->block.base_fee = UINT64_MAX - 5;
}

static void greedy(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	(void)c;
	if (q->q == ANCHOR_Q_GAS)
		out->number = UINT64_MAX - 5;
}

static void crowded(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	(void)c;
	if (q->q == ANCHOR_Q_NONCE && q->at == ANCHOR_PENDING)
		out->number += 1000;
}

static void never_final(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	(void)c;
	if (q->q == ANCHOR_Q_BLOCK && q->at == ANCHOR_FINALIZED)
		out->got = ANCHOR_NULL;
}

static void refused(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	(void)c;
	if (q->q == ANCHOR_Q_SEND) {
		out->got = ANCHOR_ERROR;
		out->said = "insufficient funds for gas * price + value";
		c->tx[c->txs - 1].waiting = 0;
	}
}

static void no_base_fee(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	(void)c;
	out->block.has_base = false;
	(void)q;
}

static void nothing_there(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	(void)c;
	if (q->q == ANCHOR_Q_HEAD)
		out->data_n = 0;
}

static void another_contract(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	(void)c;
	if (q->q == ANCHOR_Q_HEAD)
		out->data_n = 32;
}

static void same_size_other_root(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	(void)out;
	if (q->q == ANCHOR_Q_HEAD) {
		memset(c->bytes, 0, sizeof(c->bytes));
		c->bytes[31] = 7;
		c->bytes[95] = 1;
	}
}

static void begin_7(void (*twist)(struct chain *, const struct anchor_ask *, struct anchor_answer *))
{
	struct anchor_target t = target_of(7);

	seed = 9;
	chain_init(&chain, seed);
	chain.twist = twist;
	now_ns = SECOND;
	saved_n = 0;
	start(&t);
}

static struct anchor_view after(unsigned steps)
{
	struct anchor_view v;

	while (steps-- && act())
		;
	anchor_view(&anchor, &v);
	return v;
}

/* While a node says so, it is trouble and no end; when it stops, the anchor goes on. */
static void what_is_in_the_way_is_told_and_survived(void **state)
{
	static const struct {
		void (*twist)(struct chain *, const struct anchor_ask *, struct anchor_answer *);
		const char *says;
		int sent;
	} way[] = {{other_receipt, "not our transaction's", 1}, {other_contract, "not our transaction's", 1},
	        {other_root, "not our transaction's", 1}, {other_block, "not in its chain", 1},
	        {forgetful_contract, "not what it wrote", 1}, {poor, "cannot pay", 0},
	        {dear, "wei per gas", 0}, {greedy, "gas", 0}, {crowded, "too many wait", 0},
	        {never_final, "no finalized block", 0},
	        {refused, "refuses the transaction: insufficient funds", 1}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(way); i++) {
		struct anchor_view v;

		begin_7(way[i].twist);
		v = after(700);
		if (v.outcome != ANCHOR_OPEN || !v.troubled || !strstr(v.why.msg, way[i].says))
			fail_msg("'%s' is told as '%s' (outcome %d)", way[i].says, v.why.msg, (int)v.outcome);
		assert_int_equal(v.tries > 0, way[i].sent);
		chain.twist = NULL;
		v = after(5000);
		assert_int_equal(v.outcome, ANCHOR_DONE);
		assert_false(v.troubled);
	}
}

static void what_cannot_work_ends_before_anything_is_signed(void **state)
{
	static const struct {
		void (*twist)(struct chain *, const struct anchor_ask *, struct anchor_answer *);
		const char *says;
	} end[] = {{other_chain, "on chain 31338, not on 31337"}, {no_base_fee, "no base fee"},
	        {nothing_there, "there is no contract at"},
	        {another_contract, "another contract than Anchor.sol"},
	        {same_size_other_root, "another root for size 7"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(end); i++) {
		struct anchor_view v;

		begin_7(end[i].twist);
		v = after(700);
		if (v.outcome != ANCHOR_FAILED || !strstr(v.why.msg, end[i].says))
			fail_msg("'%s' is told as '%s' (outcome %d)", end[i].says, v.why.msg, (int)v.outcome);
		assert_int_equal(chain.txs, 0);
		assert_int_equal(saved_n, 0);
	}
}

static void another_chain_later_is_waited_out(void **state)
{
	struct anchor_view v;

	(void)state;
	begin_7(NULL);
	while (!chain.txs)
		(void)act();
	chain.twist = other_chain;
	v = after(500);
	assert_int_equal(v.outcome, ANCHOR_OPEN);
	assert_true(v.on_its_way && strstr(v.why.msg, "on chain 31338"));
	chain.twist = NULL;
	assert_int_equal(after(2000).outcome, ANCHOR_DONE);
	assert_int_equal(chain.txs, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_calm_chain_takes_every_head),
	        cmocka_unit_test(losses_reorganisations_and_kills), cmocka_unit_test(lies_too),
	        cmocka_unit_test(another_uses_the_same_account),
	        cmocka_unit_test(saved_bytes_are_whole_or_refused),
	        cmocka_unit_test(what_is_in_the_way_is_told_and_survived),
	        cmocka_unit_test(what_cannot_work_ends_before_anything_is_signed),
	        cmocka_unit_test(another_chain_later_is_waited_out)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
