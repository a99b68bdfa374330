/* SPDX-License-Identifier: Apache-2.0 */
/* ledger - see ledger.h. */
#include "core/ledger.h"

#include <string.h>

#include "base/check.h"

static const char head[] = "\0osier large entry v1\n";

void ledger_standin(const struct merkle_hash *h, const void *bytes, size_t n, uint8_t out[LEDGER_STANDIN])
{
	uint8_t *at = out + sizeof(head) - 1;

	CHECK(sizeof(head) - 1 + MERKLE_HASH_BYTES + 8 == LEDGER_STANDIN);
	memcpy(out, head, sizeof(head) - 1);
	h->fn(h->ctx, bytes, n, NULL, 0, at);
	at += MERKLE_HASH_BYTES;
	for (int shift = 56; shift >= 0; shift -= 8)
		*at++ = (uint8_t)((uint64_t)n >> shift);
}

void ledger_leaf(const struct merkle_hash *h, const void *bytes, size_t n, uint8_t out[MERKLE_HASH_BYTES])
{
	uint8_t standin[LEDGER_STANDIN];

	if (n <= LEDGER_PLAIN_MAX) {
		merkle_leaf(h, bytes, n, out);
		return;
	}
	ledger_standin(h, bytes, n, standin);
	merkle_leaf(h, standin, sizeof(standin), out);
}
