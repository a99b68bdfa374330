/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anchor_chain - a small chain with one contract and one account, whose node loses, reorders and lies by chance.
 *
 * For tests that drive core/anchor. Blocks are a list; what the chain's state is follows from them each time it is asked.
 */
#ifndef OSIER_TEST_ANCHOR_CHAIN_H
#define OSIER_TEST_ANCHOR_CHAIN_H

#include "base/prng.h"
#include "core/anchor.h"

#define CHAIN_ID     31337
#define CHAIN_FINAL  4 /* blocks above the newest final one */
#define CHAIN_BLOCKS 4096
#define CHAIN_TXS    128

struct chain_tx {
	uint8_t raw[EVM_TX_MAX], hash[32];
	size_t raw_n;
	struct evm_tx tx; /* its data points into raw */
	int waiting;      /* in the pool of the node */
	int foreign;      /* by the same account, from elsewhere */
};
struct chain_block {
	uint64_t id; /* makes its hash */
	int tx;      /* index, or -1: empty */
	int ok;
};
struct chain_faults { /* in a thousand */
	unsigned lost, reorg, lie, trouble, foreign, spike, poor;
};
struct chain {
	struct prng rng;
	struct chain_faults faults;
	struct chain_block block[CHAIN_BLOCKS];
	uint64_t blocks, next_id;
	struct chain_tx tx[CHAIN_TXS];
	int txs;
	uint64_t base_fee;
	int poor;       /* the account is empty */
	int foreign_at; /* size of the head that the foreign transactions anchor; 0: none */
	void (*twist)(
	        struct chain *c, const struct anchor_ask *q, struct anchor_answer *out); /* of every answer */
	struct anchor_receipt receipt;
	uint8_t bytes[EVM_LATEST_BYTES], topic_root[32];
};

extern const uint8_t chain_contract[20], chain_account[20];

void chain_init(struct chain *c, uint64_t seed);
/* A block may be made, the newest ones may be replaced, transactions may be lost. */
void chain_step(struct chain *c);
void chain_ask(struct chain *c, const struct anchor_ask *q, struct anchor_answer *out);
uint64_t chain_final(const struct chain *c);
/* Transactions of the account up to block `n`, and the head that the contract holds then. */
uint64_t chain_nonce(const struct chain *c, uint64_t n);
struct evm_head chain_head(const struct chain *c, uint64_t n);
/* Is a transaction with this hash in block n, and did it succeed? */
int chain_has(const struct chain *c, uint64_t n, const uint8_t hash[32]);

#endif
