/* SPDX-License-Identifier: Apache-2.0 */
/* receipt_int - what receipt.c and receipt_heads.c share; for nobody else. */
#ifndef OSIER_CORE_RECEIPT_INT_H
#define OSIER_CORE_RECEIPT_INT_H

#include "core/receipt.h"

/* Each anchored head is the log's, holds the Receipts entry (leaf), and is what its transaction carries. Fills in r->heads. */
int receipt_check_heads(struct receipt_view *r, const Wire__ReceiptFile *f, const uint8_t leaf[32],
        const struct merkle_hash *h, const struct note_verifier *v, const struct policy *p, struct err *e);

#endif
