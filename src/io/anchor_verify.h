/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anchor_verify - reads a head back from a chain, with questions of its own.
 *
 * Shares nothing with who anchored it but the contract's address and account; trusts the node that is asked, and no more than one answer of
 * it at a time: call, event and block must agree. Who trusts no single node asks several. Blocking; one thread at a time.
 */
#ifndef OSIER_IO_ANCHOR_VERIFY_H
#define OSIER_IO_ANCHOR_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "io/http.h"

struct anchor_claim {
	uint64_t chain_id;
	uint8_t contract[20], account[20];
	uint8_t origin[32]; /* SHA-256 of the log's origin */
	uint64_t size;
	uint8_t root[32];
	bool has_hash; /* of the transaction; without it the chain is searched, which not every node does over all of its blocks */
	uint8_t hash[32];
};
enum anchor_standing {
	ANCHOR_ABSENT, /* it is not on the chain */
	ANCHOR_RECENT, /* it is in a block, which the chain may yet replace */
	ANCHOR_FINAL,
};
struct anchor_proof {
	enum anchor_standing standing;
	uint64_t block, log_index, time_s; /* time of the block, seconds since 1970 */
	uint8_t block_hash[32], hash[32];
	uint64_t confirmations; /* blocks from it to the newest, both counted */
	uint64_t newest, final; /* blocks; final: 0 when the chain names none */
};

/* confirmations: 0, what the chain calls finalized is final; else so many are. 0 with *out, also for ANCHOR_ABSENT. Errors of
 * http_ask(); ERR_INVALID: the node is on another chain; ERR_CORRUPT: the chain holds another root for this size (out of this
 * account's hands since: two logs, or a rewritten one), or the node contradicts itself; ERR_DENIED: it refuses a question. */
int anchor_verify(struct http *h, const char *url, const struct anchor_claim *c, uint64_t confirmations,
        struct anchor_proof *out, struct err *e);

#endif
