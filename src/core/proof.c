/* SPDX-License-Identifier: Apache-2.0 */
/* proof - see proof.h. */
#include "core/proof.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/check.h"

static bool same(const uint8_t a[MERKLE_HASH_BYTES], const uint8_t b[MERKLE_HASH_BYTES])
{
	return memcmp(a, b, MERKLE_HASH_BYTES) == 0;
}

/* The largest power of two that is less than n (n >= 2): where RFC 6962, 2.1, splits a tree. */
static uint64_t split(uint64_t n)
{
	return (uint64_t)1 << (63 - __builtin_clzll(n - 1));
}

/* The hash over the leaves [first, first + n): complete subtrees from the left, largest first, folded from the right. first is a
 * multiple of the smallest power of two that is not less than n. */
static int range_hash(const struct merkle_hash *h, const struct proof_source *s, uint64_t first, uint64_t n,
        uint8_t out[MERKLE_HASH_BYTES], struct err *e)
{
	uint8_t part[64][MERKLE_HASH_BYTES];
	unsigned parts = 0;

	CHECK(n > 0);
	while (n) {
		unsigned level = 63 - (unsigned)__builtin_clzll(n);
		uint64_t leaves = (uint64_t)1 << level;

		if (s->subtree(s->ctx, level, first >> level, part[parts], e) < 0)
			return -1;
		parts++;
		first += leaves;
		n -= leaves;
	}
	while (--parts)
		merkle_node(h, part[parts - 1], part[parts], part[parts - 1]);
	memcpy(out, part[0], MERKLE_HASH_BYTES);
	return 0;
}

int proof_root(const struct merkle_hash *h, const struct proof_source *s, uint64_t size,
        uint8_t out[MERKLE_HASH_BYTES], struct err *e)
{
	if (size == 0) {
		h->fn(h->ctx, NULL, 0, NULL, 0, out);
		return 0;
	}
	return range_hash(h, s, 0, size, out, e);
}

static int push(const struct merkle_hash *h, const struct proof_source *s, uint64_t first, uint64_t n,
        struct proof *out, struct err *e)
{
	CHECK(out->n < PROOF_MAX);
	return range_hash(h, s, first, n, out->hash[out->n++], e);
}

/* Hashes were found from the root down; they are told from the leaf up. */
static void turn(struct proof *p)
{
	uint8_t t[MERKLE_HASH_BYTES];

	for (unsigned i = 0; i < p->n / 2; i++) {
		memcpy(t, p->hash[i], sizeof(t));
		memcpy(p->hash[i], p->hash[p->n - 1 - i], sizeof(t));
		memcpy(p->hash[p->n - 1 - i], t, sizeof(t));
	}
}

int proof_inclusion(const struct merkle_hash *h, const struct proof_source *s, uint64_t index, uint64_t size,
        struct proof *out, struct err *e)
{
	uint64_t first = 0, n = size;

	out->n = 0;
	if (index >= size)
		return err_set(e, ERR_INVALID, "entry %" PRIu64 " is not in a tree of %" PRIu64, index, size);
	while (n > 1) {
		uint64_t k = split(n);
		bool left = index - first < k;

		if (push(h, s, left ? first + k : first, left ? n - k : k, out, e) < 0)
			return -1;
		first += left ? 0 : k;
		n = left ? k : n - k;
	}
	turn(out);
	return 0;
}

int proof_consistency(const struct merkle_hash *h, const struct proof_source *s, uint64_t old, uint64_t size,
        struct proof *out, struct err *e)
{
	uint64_t first = 0, m = old, n = size;

	out->n = 0;
	if (old > size)
		return err_set(e, ERR_INVALID, "a tree of %" PRIu64 " is no beginning of one of %" PRIu64,
		        old, size);
	if (old == 0 || old == size)
		return 0;
	while (m != n) {
		uint64_t k = split(n);
		bool left = m <= k;

		if (push(h, s, left ? first + k : first, left ? n - k : k, out, e) < 0)
			return -1;
		first += left ? 0 : k;
		m -= left ? 0 : k;
		n = left ? k : n - k;
	}
	/* The old tree itself is known to who asks, when it is a complete subtree from the first leaf on. */
	if (first != 0 && push(h, s, first, n, out, e) < 0)
		return -1;
	turn(out);
	return 0;
}

static int wrong_length(struct err *e, const char *what, size_t n)
{
	return err_set(e, ERR_CORRUPT, "the %s proof has the wrong length: %zu hashes", what, n);
}

int proof_inclusion_verify(const struct merkle_hash *h, const uint8_t leaf[MERKLE_HASH_BYTES], uint64_t index,
        uint64_t size, const uint8_t (*p)[MERKLE_HASH_BYTES], size_t n, const uint8_t root[MERKLE_HASH_BYTES],
        struct err *e)
{
	uint64_t fn = index, sn = size - 1;
	uint8_t r[MERKLE_HASH_BYTES];

	if (index >= size)
		return err_set(e, ERR_CORRUPT, "entry %" PRIu64 " is not in a tree of %" PRIu64, index, size);
	memcpy(r, leaf, sizeof(r));
	for (size_t i = 0; i < n; i++) {
		if (sn == 0)
			return wrong_length(e, "inclusion", n);
		if ((fn & 1) || fn == sn) {
			merkle_node(h, p[i], r, r);
			while (!(fn & 1) && fn) {
				fn >>= 1;
				sn >>= 1;
			}
		} else {
			merkle_node(h, r, p[i], r);
		}
		fn >>= 1;
		sn >>= 1;
	}
	if (sn != 0)
		return wrong_length(e, "inclusion", n);
	if (!same(r, root))
		return err_set(
		        e, ERR_CORRUPT, "the inclusion proof does not lead from the entry to the root");
	return 0;
}

/* What needs no path: the trees of nothing, and a tree and itself. */
static int trivial_verify(const struct merkle_hash *h, uint64_t old,
        const uint8_t old_root[MERKLE_HASH_BYTES], uint64_t size, const uint8_t root[MERKLE_HASH_BYTES],
        size_t n, struct err *e)
{
	uint8_t nothing[MERKLE_HASH_BYTES];

	h->fn(h->ctx, NULL, 0, NULL, 0, nothing);
	if (n != 0)
		return wrong_length(e, "consistency", n);
	if ((old == 0 && !same(old_root, nothing)) || (size == 0 && !same(root, nothing)))
		return err_set(e, ERR_CORRUPT, "the root of an empty tree is not that of an empty tree");
	if (old == size && !same(old_root, root))
		return err_set(e, ERR_CORRUPT, "two trees of %" PRIu64 " entries have different roots", size);
	return 0;
}

int proof_consistency_verify(const struct merkle_hash *h, uint64_t old,
        const uint8_t old_root[MERKLE_HASH_BYTES], uint64_t size, const uint8_t root[MERKLE_HASH_BYTES],
        const uint8_t (*p)[MERKLE_HASH_BYTES], size_t n, struct err *e)
{
	uint8_t fr[MERKLE_HASH_BYTES], sr[MERKLE_HASH_BYTES];
	uint64_t fn = old - 1, sn = size - 1;
	size_t i = 0;

	if (old > size)
		return err_set(e, ERR_CORRUPT, "a tree of %" PRIu64 " is no beginning of one of %" PRIu64,
		        old, size);
	if (old == 0 || old == size)
		return trivial_verify(h, old, old_root, size, root, n, e);
	if (n == 0)
		return wrong_length(e, "consistency", n);
	/* A complete subtree is not in the proof: the verifier has it. */
	memcpy(fr, (old & (old - 1)) == 0 ? old_root : p[i++], sizeof(fr));
	memcpy(sr, fr, sizeof(sr));
	while (fn & 1) {
		fn >>= 1;
		sn >>= 1;
	}
	for (; i < n; i++) {
		if (sn == 0)
			return wrong_length(e, "consistency", n);
		if ((fn & 1) || fn == sn) {
			merkle_node(h, p[i], fr, fr);
			merkle_node(h, p[i], sr, sr);
			while (!(fn & 1) && fn) {
				fn >>= 1;
				sn >>= 1;
			}
		} else {
			merkle_node(h, sr, p[i], sr);
		}
		fn >>= 1;
		sn >>= 1;
	}
	if (sn != 0)
		return wrong_length(e, "consistency", n);
	if (!same(fr, old_root))
		return err_set(e, ERR_CORRUPT, "the consistency proof does not lead to the old root");
	if (!same(sr, root))
		return err_set(e, ERR_CORRUPT, "the consistency proof does not lead to the new root");
	return 0;
}
