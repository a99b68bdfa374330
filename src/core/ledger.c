/* SPDX-License-Identifier: Apache-2.0 */
/* ledger - see ledger.h. */
#include "core/ledger.h"

#include <inttypes.h>
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

int ledger_resume(
        const struct ledger_signed *last, uint64_t size, const uint8_t leaf[MERKLE_HASH_BYTES], struct err *e)
{
	if (size < last->size) {
		(void)err_set(e, ERR_CORRUPT,
		        "the journal has %" PRIu64 " entries, and %" PRIu64
		        " were signed: it was restored from an older backup",
		        size, last->size);
		return err_hint(e, "restore the newest; going on here would sign a second history");
	}
	if (last->size && memcmp(leaf, last->leaf, MERKLE_HASH_BYTES) != 0) {
		(void)err_set(e, ERR_CORRUPT,
		        "entry %" PRIu64
		        " of the journal is not the one that was signed: this is another history",
		        last->size - 1);
		return err_hint(e, "restore the journal that belongs to ledger.db");
	}
	return 0;
}
