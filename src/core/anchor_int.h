/* SPDX-License-Identifier: Apache-2.0 */
/* anchor_int - what anchor.c, anchor_follow.c and anchor_save.c share; see anchor.h. */
#ifndef OSIER_CORE_ANCHOR_INT_H
#define OSIER_CORE_ANCHOR_INT_H

#include "core/anchor.h"

enum anchor_step {
	STEP_WAIT,
	STEP_CHAIN,
	STEP_TIP,
	STEP_FINAL,
	STEP_HEAD,
	STEP_NONCE,
	STEP_PENDING,
	STEP_PRICE,
	STEP_GAS,
	STEP_BALANCE,
	STEP_SEND,
	STEP_RECEIPT,
	STEP_BLOCK,
	STEP_READ_BACK,
	STEP_NONCE_NOW,
	/* without a question: */
	STEP_MINED, /* after saving that it was mined */
	STEP_SIGN,
	STEP_SAVE,
	STEP_END,
};

/* The transaction of a try; its data points into `a` or the code. */
struct evm_tx anchor_tx(const struct anchor *a, const struct anchor_try *t);
/* The contract that is spoken to, or that will be created. */
void anchor_contract_of(const struct anchor *a, uint8_t out[20]);

/* ---- ends of a round, and of the whole ---- */

/* Something is in the way (`why` says what), but the round goes on. */
void anchor_note(struct anchor *a);
/* Look again at the usual time. */
void anchor_round_done(struct anchor *a);
/* `why` is set: pause, longer each time, and go to the next endpoint. */
void anchor_trouble(struct anchor *a);
/* The answer was not what was asked for; `what` was not to be had. Trouble. */
void anchor_no_answer(struct anchor *a, const char *what, const struct anchor_answer *an);
void anchor_save_then(struct anchor *a, enum anchor_step next);
void anchor_end(struct anchor *a, enum anchor_outcome outcome);
/* `why` is set. */
void anchor_fail(struct anchor *a);

/* Has something been there in every look since a block that is final by now? */
bool anchor_seen_for_good(struct anchor *a);
/* The contract holds a head that is not smaller than ours, for good, and not by a transaction of ours. The end. */
void anchor_other_head(struct anchor *a, const struct evm_head *h);
/* Goes on once it is saved that it was mined. */
void anchor_after_mined(struct anchor *a);

/* Answers of anchor_follow.c. */
void anchor_on_send(struct anchor *a, const struct anchor_answer *an);
void anchor_on_receipt(struct anchor *a, const struct anchor_answer *an);
void anchor_on_block(struct anchor *a, const struct anchor_answer *an);
void anchor_on_read_back(struct anchor *a, const struct anchor_answer *an);
void anchor_on_nonce_now(struct anchor *a, const struct anchor_answer *an);

#endif
