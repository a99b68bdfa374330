/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anchor_rpc - the questions of core/anchor as JSON-RPC, and the answers back.
 *
 * Decides nothing. Blocking; one thread at a time. Whatever an endpoint sends that is not exactly what was asked for is ANCHOR_TROUBLE.
 */
#ifndef OSIER_IO_ANCHOR_RPC_H
#define OSIER_IO_ANCHOR_RPC_H

#include "core/anchor.h"
#include "io/jsonrpc.h"

struct anchor_rpc {
	struct http *http; /* borrowed */
	uint64_t id;       /* of the last question */
	/* what the last answer points to */
	struct anchor_receipt receipt;
	uint8_t event[ANCHOR_LOGS_MAX][32];
	uint8_t bytes[JSONRPC_DATA_MAX];
	char said[160];
	struct err trouble;
};

/* Ask the endpoint. The answer is valid until the next question. */
void anchor_rpc_ask(
        struct anchor_rpc *r, const char *url, const struct anchor_ask *q, struct anchor_answer *out);

/* The second half, without a network: an answer of JSON-RPC to q. */
void anchor_rpc_read(struct anchor_rpc *r, const struct anchor_ask *q, const struct jsonrpc_answer *a,
        struct anchor_answer *out);

/* The events Anchored of this account, origin and size (eth_getLogs): fills in the receipt's block, hash, logs (one), as far as a log
 * tells them; ANCHOR_NULL: there is none. More than one is ANCHOR_TROUBLE: the contract cannot emit them. */
void anchor_rpc_find(struct anchor_rpc *r, const char *url, const uint8_t contract[20],
        const uint8_t account[20], const uint8_t origin[32], uint64_t size, struct anchor_answer *out);

#endif
