/* SPDX-License-Identifier: Apache-2.0 */
/* verify_anchors - what `osier verify` finds out about the anchored heads beside a receipt, and how it tells. */
#ifndef OSIER_CLI_VERIFY_ANCHORS_H
#define OSIER_CLI_VERIFY_ANCHORS_H

#include "cli/cli.h"
#include "core/receipt.h"
#include "io/anchor_verify.h"
#include "io/tsa.h"

#define VERIFY_HEADS_MAX 16

struct verified_head {
	struct receipt_head head;
	bool asked; /* CHAIN: a node of the chain was asked; AUTHORITY: its certificates were given */
	struct anchor_proof chain; /* CHAIN, asked: the least that any of the nodes says */
	struct tsa_stamp stamp;    /* AUTHORITY, asked */
	uint64_t bitcoin;          /* CALENDARS: block whose Merkle root must be `bitcoin_root`; 0: pending */
	uint8_t bitcoin_root[32];
};
struct verified_heads {
	size_t n;
	struct verified_head head[VERIFY_HEADS_MAX];
	bool anchored; /* one is final on its chain */
};

/* The options --chain, --contract, --account, --confirmations, --ca. < 0: something does not match. */
int verify_heads(struct cli *c, const struct receipt_view *r, struct verified_heads *out, struct err *e);
void verify_heads_print(const struct verified_heads *h);
json_t *verify_heads_json(const struct verified_heads *h);

#endif
