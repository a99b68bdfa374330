/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anchor - brings one head of a log onto a chain and follows it until the chain cannot take it back.
 *
 * Decides only: what to ask a node of the chain, what to sign, what to keep, when to look again. It asks, signs and keeps
 * nothing itself (io/anchor does), and it does not verify for strangers (io/anchor_verify). Pure; the clock is a parameter.
 *
 * How it is driven: anchor_next() says what to do now; do it, tell the outcome, ask again.
 *
 *	for (;;)
 *		switch (anchor_next(a, now, &todo)) {
 *		case ANCHOR_ASK:  ask node todo.endpoint; anchor_answer(a, now, &answer)   (or the trouble it made)
 *		case ANCHOR_SIGN: sign todo.sighash;      anchor_signed(a, &sig)
 *		case ANCHOR_SAVE: make anchor_save()'s bytes durable, then anchor_saved(a)
 *		case ANCHOR_WAIT: until todo.until_ns
 *		case ANCHOR_END:  look at anchor_view()
 *		}
 *
 * Invariants. Nothing is sent that was not saved before, so that whoever starts again from the saved bytes knows every
 * transaction that may be on its way. All transactions of one anchor have one nonce, hence at most one of them is ever mined; another
 * nonce is chosen only when the first was used up by somebody else and that is final. Before anything is signed, and at every
 * look, the chain's id is compared. An answer that contradicts what is known is trouble, not news: the machine backs off,
 * goes to the next endpoint and looks again. It never gives up by itself once something is on its way.
 *
 * Final: at or below the chain's "finalized" block, or, with `confirmations`, so many blocks deep.
 */
#ifndef OSIER_CORE_ANCHOR_H
#define OSIER_CORE_ANCHOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/evm.h"

#define ANCHOR_TRIES_MAX 12 /* transactions for one anchor: the first and its replacements */
#define ANCHOR_LOGS_MAX  4  /* events of one receipt that are looked at: the contract emits one */
#define ANCHOR_SAVE_MAX  12288

struct anchor_config {
	uint64_t chain_id;
	uint8_t contract[20]; /* not for ANCHOR_DEPLOY */
	uint8_t from[20];     /* the account */
	uint64_t fee_max;     /* wei per gas, tip and base together: never more is offered */
	uint64_t tip_least;   /* wei per gas: never less is offered to who makes the block */
	uint64_t gas_max;
	uint64_t confirmations; /* 0: what the chain calls finalized */
	uint64_t poll_ns;       /* from one look to the next */
	uint64_t replace_ns;    /* so long without being mined: offer more */
};
/* Sound values for the rest; chain_id, contract and from are the caller's to set. */
void anchor_config_usual(struct anchor_config *c);
/* ERR_INVALID: says which number makes no sense. */
int anchor_config_check(const struct anchor_config *c, struct err *e);

enum anchor_what { ANCHOR_HEAD, ANCHOR_DEPLOY };
struct anchor_target {
	enum anchor_what what;
	uint8_t origin[32]; /* SHA-256 of the log's origin; the rest is for ANCHOR_HEAD only */
	uint64_t size;      /* not 0 */
	uint8_t root[32];
};

/* ---- questions and answers ---- */

enum anchor_question {
	ANCHOR_Q_CHAIN,   /* eth_chainId -> number */
	ANCHOR_Q_BLOCK,   /* eth_getBlockByNumber(at, false) -> block */
	ANCHOR_Q_HEAD,    /* eth_call(to, data, latest) -> bytes */
	ANCHOR_Q_NONCE,   /* eth_getTransactionCount(from, at) -> number */
	ANCHOR_Q_TIP,     /* eth_maxPriorityFeePerGas -> number */
	ANCHOR_Q_GAS,     /* eth_estimateGas(from, to or none, data, latest) -> number */
	ANCHOR_Q_BALANCE, /* eth_getBalance(from, latest) -> amount */
	ANCHOR_Q_SEND,    /* eth_sendRawTransaction(data) -> hash */
	ANCHOR_Q_RECEIPT, /* eth_getTransactionReceipt(hash) -> receipt */
};
enum anchor_at { ANCHOR_LATEST, ANCHOR_PENDING, ANCHOR_FINALIZED, ANCHOR_NUMBER };
struct anchor_ask {
	enum anchor_question q;
	enum anchor_at at;
	uint64_t number; /* ANCHOR_NUMBER: the block */
	enum evm_to kind;
	uint8_t from[20], to[20];
	uint8_t hash[32];
	const uint8_t *data; /* belongs to the machine, valid until it is told something */
	size_t data_n;
};

struct anchor_block {
	uint64_t number, time_s; /* the latter: seconds since 1970, as its maker says */
	uint8_t hash[32];
	bool has_base;
	uint64_t base_fee; /* wei per gas */
};
struct anchor_receipt {
	uint8_t hash[32], from[20];
	enum evm_to kind;
	uint8_t to[20];                  /* EVM_CALL */
	uint8_t created[20];             /* EVM_CREATE */
	bool ok;                         /* status 1; not: it was mined, and reverted */
	uint64_t block, gas_used, price; /* price: wei for a unit of gas; 0: the node does not say */
	uint8_t block_hash[32];
	unsigned logs; /* at most ANCHOR_LOGS_MAX */
	struct evm_log log[ANCHOR_LOGS_MAX];
	uint64_t log_index[ANCHOR_LOGS_MAX];
};
enum anchor_got {
	ANCHOR_GOT,     /* what was asked for */
	ANCHOR_NULL,    /* there is no such thing: a receipt, a block */
	ANCHOR_ERROR,   /* the node refused: `said`, and `data` of a revert */
	ANCHOR_TROUBLE, /* no answer, or one that makes no sense: `trouble` */
};
struct anchor_answer { /* borrowed for the call */
	enum anchor_got got;
	uint64_t number;
	uint8_t amount[32]; /* big-endian */
	uint8_t hash[32];
	const uint8_t *data;
	size_t data_n;
	struct anchor_block block;
	const struct anchor_receipt *receipt;
	const char *said;
	const struct err *trouble;
};

/* ---- the machine ---- */

struct anchor_try { /* one signed transaction */
	uint64_t tip, fee, gas;
	struct evm_sig sig;
	uint8_t hash[32];
};
enum anchor_outcome {
	ANCHOR_OPEN,
	ANCHOR_DONE, /* ours, and final */
	ANCHOR_ALREADY, /* a head of this size and root, or a larger one, is there by another transaction, and final */
	ANCHOR_FAILED, /* see `why`; nothing of ours is on its way any more */
};
struct anchor_mined {
	bool is;
	bool ok;
	uint64_t block, gas_used, log_index;
	uint64_t price,
	        time_s; /* of a unit of gas in wei, of the block; not kept, 0 when this life has not seen them */
	uint8_t block_hash[32];
	unsigned which; /* index of the try */
};

/* Fields are the machine's own; look through anchor_view(). */
struct anchor {
	struct anchor_config cfg;
	struct anchor_target target;
	/* durable */
	uint64_t nonce;
	unsigned tries;
	struct anchor_try try[ANCHOR_TRIES_MAX];
	struct anchor_mined mined;
	enum anchor_outcome outcome;
	struct evm_head there; /* ANCHOR_ALREADY: what the contract holds; ANCHOR_DONE: the same */
	/* of this life */
	int step, after_save;
	unsigned asked; /* index of the try whose receipt is asked for */
	unsigned endpoint, troubles;
	bool troubled, noted;
	struct err why;
	uint64_t now_ns, until_ns, sent_ns, resent_ns;
	bool has_sent; /* the newest try, and a node took it */
	struct anchor_block tip;
	uint64_t final;
	bool has_final;
	uint64_t risen_ns, highest; /* when an endpoint last showed a new block */
	enum { SEEN_NOT, SEEN_NEW, SEEN_SINCE } seen;
	uint64_t seen_block; /* SEEN_SINCE: the other's anchor or transaction is there since this block */
	uint64_t latest_nonce, market_tip;
	struct anchor_try draft; /* being priced or signed */
	struct anchor_mined found;
	unsigned reorganised;
	uint8_t raw[EVM_TX_MAX], call[EVM_ANCHOR_CALL], look[EVM_LATEST_CALL];
};

/* From nothing. cfg and target are copied and must be sound (CHECKed: anchor_config_check(); size not 0). */
void anchor_begin(struct anchor *a, const struct anchor_config *cfg, const struct anchor_target *target,
        uint64_t now_ns);
/* From what anchor_save() gave. ERR_CORRUPT: not such bytes; ERR_INVALID: of another chain, contract or account than cfg's. */
int anchor_resume(struct anchor *a, const struct anchor_config *cfg, const uint8_t *bytes, size_t n,
        uint64_t now_ns, struct err *e);
/* The bytes to keep; returns their number. */
size_t anchor_save(const struct anchor *a, uint8_t out[ANCHOR_SAVE_MAX]);

enum anchor_do { ANCHOR_ASK, ANCHOR_SIGN, ANCHOR_SAVE, ANCHOR_WAIT, ANCHOR_END };
struct anchor_todo {
	struct anchor_ask ask;
	unsigned endpoint; /* counts up with every trouble: take it modulo the number of endpoints */
	uint8_t sighash[32];
	uint64_t until_ns;
};
/* What to do now. Asked twice it says the same. */
enum anchor_do anchor_next(struct anchor *a, uint64_t now_ns, struct anchor_todo *out);
/* Only after ANCHOR_ASK, ANCHOR_SIGN, ANCHOR_SAVE said so (CHECKed). */
void anchor_answer(struct anchor *a, uint64_t now_ns, const struct anchor_answer *answer);
void anchor_signed(struct anchor *a, const struct evm_sig *sig);
void anchor_saved(struct anchor *a);

struct anchor_view {
	enum anchor_outcome outcome;
	bool on_its_way; /* something was signed and may be mined at any time: do not drop the saved bytes */
	unsigned tries, reorganised;
	uint64_t nonce;
	uint8_t contract[20]; /* ANCHOR_DEPLOY: what is created */
	uint8_t hash[32];     /* of the mined, else of the newest transaction */
	uint8_t raw
	        [EVM_TX_MAX]; /* the same, as it was sent: with its block and log index it is what to keep of an anchor */
	size_t raw_n; /* 0: none yet */
	struct anchor_mined mined;
	uint64_t tip, final; /* newest block, and newest final one, that were seen; 0: none yet */
	struct evm_head there;
	bool troubled; /* `why` says what is in the way at present; with ANCHOR_FAILED, what ended it */
	struct err why;
};
void anchor_view(const struct anchor *a, struct anchor_view *out);

/* The transaction that is try i, as it is sent. Returns its length. */
size_t anchor_raw(const struct anchor *a, unsigned i, uint8_t out[EVM_TX_MAX]);

#endif
