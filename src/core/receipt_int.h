/* SPDX-License-Identifier: Apache-2.0 */
/* receipt_int - what receipt.c and receipt_heads.c share; for nobody else. */
#ifndef OSIER_CORE_RECEIPT_INT_H
#define OSIER_CORE_RECEIPT_INT_H

#include "core/receipt.h"

/* Each anchored head is the log's, holds the Receipts entry (leaf), and is what its transaction carries. Fills in r->heads. */
int receipt_check_heads(struct receipt_view *r, const Wire__ReceiptFile *f, const uint8_t leaf[32],
        const struct merkle_hash *h, const struct note_verifier *v, const struct policy *p, struct err *e);
/* Each attempt that is said to agree is in the log, of another replica of the task, and came to the same. Fills in r->agreed. */
int receipt_check_agreed(struct receipt_view *r, const Wire__ReceiptFile *f, struct arena *a,
        const struct merkle_hash *h, struct err *e);
/* After that: each commitment is in the log before its result, of one of these attempts, and fits what that revealed. */
int receipt_check_commitments(struct receipt_view *r, const Wire__ReceiptFile *f, struct arena *a,
        const struct merkle_hash *h, struct err *e);

#endif
