/* SPDX-License-Identifier: Apache-2.0 */
/* logstore_tiles - the log as the world reads it (C2SP tlog-tiles): see logstore.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/ledger.h"
#include "io/logstore_int.h"

/* A bundle: each entry as its length (16 bits, big-endian) and its bytes, or its stand-in. */
static int bundle(struct logstore *l, const struct tile *t, uint8_t **out, size_t *out_n, struct err *e)
{
	struct merkle_hash h = sha256_merkle(l->sha);
	uint64_t first = t->index * TILE_WIDTH;
	size_t max = 0, n = 0;
	uint8_t *p = NULL;

	for (uint64_t seq = first; seq < first + t->width; seq++) {
		uint8_t standin[LEDGER_STANDIN], leaf[32];
		const uint8_t *bytes;
		size_t len;

		if (journal_read_entry(l->reader, seq, &bytes, &len, leaf, e) < 0) {
			free(p);
			return -1;
		}
		if (len > LEDGER_PLAIN_MAX) {
			ledger_standin(&h, bytes, len, standin);
			bytes = standin;
			len = sizeof(standin);
		}
		if (n + 2 + len > max) {
			max = 2 * (n + 2 + len);
			p = realloc(p, max);
			CHECK(p);
		}
		p[n] = (uint8_t)(len >> 8);
		p[n + 1] = (uint8_t)len;
		memcpy(p + n + 2, bytes, len);
		n += 2 + len;
	}
	*out = p;
	*out_n = n;
	return 0;
}

int logstore_tile(struct logstore *l, const struct tile *t, uint8_t **out, size_t *out_n, struct err *e)
{
	uint8_t(*hash)[32];

	CHECK(t->width >= 1 && t->width <= TILE_WIDTH);
	if (t->width > tile_width(l->head.size, t->level, t->index))
		return err_set(
		        e, ERR_NOTFOUND, "the log of %" PRIu64 " entries has no such tile yet", l->head.size);
	if (t->entries)
		return bundle(l, t, out, out_n, e);
	hash = malloc(t->width * sizeof(*hash));
	CHECK(hash);
	if (logstore_hashes(l, t->level, t->index * TILE_WIDTH, t->width, hash, e) < 0) {
		free(hash);
		return -1;
	}
	*out = hash[0];
	*out_n = t->width * sizeof(*hash);
	return 0;
}
