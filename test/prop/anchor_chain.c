/* SPDX-License-Identifier: Apache-2.0 */
/* anchor_chain - see anchor_chain.h. */
#include "anchor_chain.h"

#include <string.h>

#include "base/check.h"
#include "core/keccak.h"

const uint8_t chain_contract[20] = {0xc0, 1}, chain_account[20] = {0xac, 1};

static int chance(struct chain *c, unsigned per_mille)
{
	return prng_chance(&c->rng, per_mille, 1000);
}

void chain_init(struct chain *c, uint64_t seed)
{
	memset(c, 0, sizeof(*c));
	prng_init(&c->rng, seed);
	c->blocks = 1; /* the first block is empty */
	c->block[0] = (struct chain_block){.tx = -1};
	c->next_id = 1;
	c->base_fee = 1000;
}

uint64_t chain_final(const struct chain *c)
{
	return c->blocks - 1 > CHAIN_FINAL ? c->blocks - 1 - CHAIN_FINAL : 0;
}

uint64_t chain_nonce(const struct chain *c, uint64_t n)
{
	uint64_t count = 0;

	for (uint64_t i = 0; i <= n; i++)
		count += c->block[i].tx >= 0;
	return count;
}

static void head_of(const struct chain_tx *t, struct evm_head *h)
{
	memset(h, 0, sizeof(*h));
	for (int i = 0; i < 8; i++)
		h->size = h->size << 8 | t->tx.data[4 + 32 + 24 + i];
	memcpy(h->root, t->tx.data + 4 + 64, 32);
}

struct evm_head chain_head(const struct chain *c, uint64_t n)
{
	struct evm_head h = {0};

	for (uint64_t i = 0; i <= n; i++)
		if (c->block[i].tx >= 0 && c->block[i].ok)
			head_of(&c->tx[c->block[i].tx], &h);
	return h;
}

int chain_has(const struct chain *c, uint64_t n, const uint8_t hash[32])
{
	return n < c->blocks && c->block[n].tx >= 0 && c->block[n].ok &&
	       memcmp(c->tx[c->block[n].tx].hash, hash, 32) == 0;
}

static void hash_of_block(const struct chain *c, uint64_t n, uint8_t out[32])
{
	keccak256(&c->block[n].id, sizeof(c->block[n].id), out);
}

/* Put into the pool; the same transaction is known already. Returns its index. */
static int pool(struct chain *c, const uint8_t *raw, size_t n, int foreign)
{
	struct chain_tx *t;
	struct evm_sig sig;
	uint8_t hash[32];

	keccak256(raw, n, hash);
	for (int i = 0; i < c->txs; i++) {
		if (memcmp(c->tx[i].hash, hash, 32) == 0) {
			c->tx[i].waiting = 1;
			return i;
		}
	}
	CHECK(c->txs < CHAIN_TXS);
	t = &c->tx[c->txs];
	memcpy(t->raw, raw, n);
	t->raw_n = n;
	memcpy(t->hash, hash, 32);
	CHECK(evm_tx_parse(t->raw, n, &t->tx, &sig, NULL) == 0);
	t->waiting = 1;
	t->foreign = foreign;
	return c->txs++;
}

static void foreign(struct chain *c)
{
	uint8_t raw[EVM_TX_MAX], call[EVM_ANCHOR_CALL], zero[32] = {0};
	struct evm_sig sig = {.r = {1}, .s = {(uint8_t)c->txs, 2}};
	struct evm_tx tx = {.chain_id = CHAIN_ID,
	        .fee = c->base_fee * 2,
	        .tip = 1,
	        .gas = 90000,
	        .data = call,
	        .data_n = sizeof(call)};

	tx.nonce = chain_nonce(c, c->blocks - 1);
	memcpy(tx.to, chain_contract, 20);
	evm_anchor_call(zero, (uint64_t)c->foreign_at, zero, call);
	(void)pool(c, raw, evm_tx_raw(&tx, &sig, raw, sizeof(raw), NULL), 1);
}

/* The waiting transaction of the account's next nonce that offers most, or -1. */
static int best(const struct chain *c)
{
	uint64_t nonce = chain_nonce(c, c->blocks - 1);
	int at = -1;

	for (int i = 0; i < c->txs; i++)
		if (c->tx[i].waiting && c->tx[i].tx.nonce == nonce && c->tx[i].tx.fee >= c->base_fee &&
		        (at < 0 || c->tx[i].tx.fee > c->tx[at].tx.fee))
			at = i;
	return at;
}

static void mine(struct chain *c)
{
	struct chain_block b = {.id = c->next_id++, .tx = best(c)};
	struct evm_head h, now = chain_head(c, c->blocks - 1);

	CHECK(c->blocks < CHAIN_BLOCKS);
	if (b.tx >= 0) {
		head_of(&c->tx[b.tx], &h);
		b.ok = h.size > now.size;
		c->tx[b.tx].waiting = 0;
	}
	c->block[c->blocks++] = b;
}

void chain_step(struct chain *c)
{
	if (chance(c, c->faults.spike))
		c->base_fee = 1000 + prng_below(&c->rng, 9000);
	else if (c->base_fee > 1000)
		c->base_fee -= c->base_fee / 256 + 1;
	c->poor = chance(c, c->faults.poor);
	if (c->foreign_at && chance(c, c->faults.foreign))
		foreign(c);
	for (int i = 0; i < c->txs; i++)
		if (chance(c, c->faults.lost))
			c->tx[i].waiting = 0;
	if (chance(c, c->faults.reorg) && c->blocks > CHAIN_FINAL + 2) {
		uint64_t deep = 1 + prng_below(&c->rng, CHAIN_FINAL);

		for (uint64_t i = 0; i < deep; i++) {
			int t = c->block[--c->blocks].tx;

			if (t >= 0) /* it may wait again, or be forgotten */
				c->tx[t].waiting = !chance(c, 500);
		}
		for (uint64_t i = 0; i <= deep; i++) /* the chain that wins is longer */
			mine(c);
	}
	mine(c);
}

/* ---- the node ---- */

static void answer_block(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	uint64_t n = q->at == ANCHOR_LATEST      ? c->blocks - 1
	             : q->at == ANCHOR_FINALIZED ? chain_final(c)
	                                         : q->number;

	out->got = n < c->blocks ? ANCHOR_GOT : ANCHOR_NULL;
	if (out->got == ANCHOR_NULL)
		return;
	out->block = (struct anchor_block){.number = n, .has_base = true, .base_fee = c->base_fee};
	hash_of_block(c, n, out->block.hash);
}

static void answer_head(struct chain *c, struct anchor_answer *out)
{
	struct evm_head h = chain_head(c, c->blocks - 1);

	memset(c->bytes, 0, sizeof(c->bytes));
	for (int i = 0; i < 8; i++)
		c->bytes[24 + i] = (uint8_t)(h.size >> (56 - 8 * i));
	memcpy(c->bytes + 64, h.root, 32);
	out->data = c->bytes;
	out->data_n = sizeof(c->bytes);
}

static void answer_receipt(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	struct anchor_receipt *r = &c->receipt;
	uint64_t n = 0;
	struct evm_head h;

	while (n < c->blocks &&
	        !(c->block[n].tx >= 0 && memcmp(c->tx[c->block[n].tx].hash, q->hash, 32) == 0))
		n++;
	out->got = n < c->blocks ? ANCHOR_GOT : ANCHOR_NULL;
	if (out->got == ANCHOR_NULL)
		return;
	memset(r, 0, sizeof(*r));
	head_of(&c->tx[c->block[n].tx], &h);
	memcpy(r->hash, q->hash, 32);
	memcpy(r->from, chain_account, 20);
	memcpy(r->to, chain_contract, 20);
	r->ok = c->block[n].ok;
	r->block = n;
	r->gas_used = 69000;
	hash_of_block(c, n, r->block_hash);
	if (r->ok) {
		struct evm_log *l = &r->log[r->logs++];

		memcpy(l->address, chain_contract, 20);
		l->topics = 4;
		memcpy(l->topic[0], evm_anchored_topic, 32);
		memcpy(l->topic[1] + 12, chain_account, 20);
		for (int i = 0; i < 8; i++)
			l->topic[3][24 + i] = (uint8_t)(h.size >> (56 - 8 * i));
		memcpy(c->topic_root, h.root, 32);
		l->data = c->topic_root;
		l->data_n = 32;
	}
	out->receipt = r;
}

static uint64_t pending_nonce(const struct chain *c)
{
	uint64_t nonce = chain_nonce(c, c->blocks - 1);

	for (int again = 1; again;) {
		again = 0;
		for (int i = 0; i < c->txs; i++)
			if (c->tx[i].waiting && c->tx[i].tx.nonce == nonce) {
				nonce++;
				again = 1;
				break;
			}
	}
	return nonce;
}

static void answer_send(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	int i = pool(c, q->data, q->data_n, 0);

	memcpy(out->hash, c->tx[i].hash, 32);
	if (c->tx[i].tx.nonce < chain_nonce(c, c->blocks - 1)) {
		c->tx[i].waiting = 0;
		out->got = ANCHOR_ERROR;
		out->said = "nonce too low";
	}
	if (chance(c, c->faults.lost * 10))
		c->tx[i].waiting = 0; /* taken and dropped without a word */
}

/* What a broken or hostile node makes of a right answer. */
static void lie(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	static const uint8_t garbage[EVM_LATEST_BYTES] = {0xff, 1};

	switch (prng_below(&c->rng, 3)) {
	case 0: /* it is not there */
		out->got = ANCHOR_NULL;
		return;
	case 1:
		out->got = ANCHOR_ERROR;
		out->said = "out of service";
		return;
	}
	out->number ^= q->q == ANCHOR_Q_CHAIN || q->q == ANCHOR_Q_GAS || q->q == ANCHOR_Q_TIP
	                       ? 1 + prng_next(&c->rng)
	                       : 0;
	out->amount[0] = 0;
	out->hash[7] ^= 1;
	out->block.hash[7] ^= 1;
	if (q->q == ANCHOR_Q_HEAD) {
		out->data = garbage;
		out->data_n = prng_below(&c->rng, sizeof(garbage) + 1);
	}
	if (out->receipt) {
		switch (prng_below(&c->rng, 5)) {
		case 0:
			c->receipt.hash[0] ^= 1;
			break;
		case 1:
			c->receipt.to[0] ^= 1;
			break;
		case 2:
			c->receipt.block_hash[0] ^= 1;
			break;
		case 3:
			c->topic_root[0] ^= 1;
			break;
		case 4:
			c->receipt.block += 1;
			break;
		}
	}
}

void chain_ask(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out)
{
	static const struct err broken = {ERR_TIMEOUT, 0, "the node hangs", ""};

	memset(out, 0, sizeof(*out));
	out->got = ANCHOR_GOT;
	switch (q->q) {
	case ANCHOR_Q_CHAIN:
		out->number = CHAIN_ID;
		break;
	case ANCHOR_Q_BLOCK:
		answer_block(c, q, out);
		break;
	case ANCHOR_Q_HEAD:
		answer_head(c, out);
		break;
	case ANCHOR_Q_NONCE:
		out->number = q->at == ANCHOR_PENDING ? pending_nonce(c) : chain_nonce(c, c->blocks - 1);
		break;
	case ANCHOR_Q_TIP:
		out->number = 10;
		break;
	case ANCHOR_Q_GAS:
		out->number = 69000;
		break;
	case ANCHOR_Q_BALANCE:
		out->amount[0] = !c->poor;
		break;
	case ANCHOR_Q_SEND:
		answer_send(c, q, out);
		break;
	case ANCHOR_Q_RECEIPT:
		answer_receipt(c, q, out);
		break;
	}
	if (c->twist)
		c->twist(c, q, out);
	if (chance(c, c->faults.trouble)) {
		out->got = ANCHOR_TROUBLE;
		out->trouble = &broken;
	} else if (chance(c, c->faults.lie)) {
		lie(c, q, out);
	}
}
