/* SPDX-License-Identifier: Apache-2.0 */
/* merkle - see merkle.h. */
#include "core/merkle.h"

#include <string.h>

#include "base/check.h"

void merkle_init(struct merkle_frontier *f)
{
	memset(f, 0, sizeof(*f));
}

unsigned merkle_count(const struct merkle_frontier *f)
{
	return (unsigned)__builtin_popcountll(f->size);
}

void merkle_leaf(const struct merkle_hash *h, const void *bytes, size_t n, uint8_t out[MERKLE_HASH_BYTES])
{
	static const uint8_t prefix = 0x00;

	h->fn(h->ctx, &prefix, 1, bytes, n, out);
}

void merkle_node(const struct merkle_hash *h, const uint8_t left[MERKLE_HASH_BYTES],
        const uint8_t right[MERKLE_HASH_BYTES], uint8_t out[MERKLE_HASH_BYTES])
{
	uint8_t buf[1 + 2 * MERKLE_HASH_BYTES];

	buf[0] = 0x01;
	memcpy(buf + 1, left, MERKLE_HASH_BYTES);
	memcpy(buf + 1 + MERKLE_HASH_BYTES, right, MERKLE_HASH_BYTES);
	h->fn(h->ctx, buf, sizeof(buf), NULL, 0, out);
}

void merkle_append(
        struct merkle_frontier *f, const struct merkle_hash *h, const uint8_t leaf[MERKLE_HASH_BYTES])
{
	unsigned top = merkle_count(f);
	uint8_t hash[MERKLE_HASH_BYTES];

	CHECK(f->size < UINT64_MAX);
	memcpy(hash, leaf, sizeof(hash));
	/* Each trailing 1 of the old size is a full subtree that the new leaf completes to one of twice its size. */
	for (uint64_t n = f->size; n & 1; n >>= 1)
		merkle_node(h, f->hash[--top], hash, hash);
	memcpy(f->hash[top], hash, sizeof(hash));
	f->size++;
	CHECK(top + 1 == merkle_count(f));
}

void merkle_root(const struct merkle_frontier *f, const struct merkle_hash *h, uint8_t out[MERKLE_HASH_BYTES])
{
	unsigned n = merkle_count(f);
	uint8_t hash[MERKLE_HASH_BYTES];

	if (n == 0) {
		h->fn(h->ctx, NULL, 0, NULL, 0, out);
		return;
	}
	memcpy(hash, f->hash[n - 1], sizeof(hash));
	for (unsigned i = n - 1; i-- > 0;)
		merkle_node(h, f->hash[i], hash, hash);
	memcpy(out, hash, sizeof(hash));
}
