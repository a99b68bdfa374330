/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proof - inclusion and consistency in the tree of merkle.h: made, and verified by the strict rules.
 *
 * Not where hashes lie: a source gives those of complete subtrees. Not signatures (note.h). Pure.
 * A proof is at most PROOF_MAX hashes, in the order of RFC 9162, 2.1.3 and 2.1.4: from the leaf up.
 */
#ifndef OSIER_CORE_PROOF_H
#define OSIER_CORE_PROOF_H

#include "base/err.h"
#include "core/merkle.h"

#define PROOF_MAX 64 /* hashes: ceil(log2(size)) + 1 at most */

struct proof {
	unsigned n;
	uint8_t hash[PROOF_MAX][MERKLE_HASH_BYTES];
};

/* The root of the complete subtree over the leaves [index * 2^level, (index + 1) * 2^level). Asked only for subtrees that lie
 * wholly within the tree that is proven. Returns < 0 with *e when it cannot be had. */
struct proof_source {
	int (*subtree)(
	        void *ctx, unsigned level, uint64_t index, uint8_t out[MERKLE_HASH_BYTES], struct err *e);
	void *ctx;
};

/* The root over the first `size` leaves. Less than 64 hashes are asked for. */
int proof_root(const struct merkle_hash *h, const struct proof_source *s, uint64_t size,
        uint8_t out[MERKLE_HASH_BYTES], struct err *e);

/* That leaf `index` is in the tree of `size` leaves. ERR_INVALID: it is not (index >= size). */
int proof_inclusion(const struct merkle_hash *h, const struct proof_source *s, uint64_t index, uint64_t size,
        struct proof *out, struct err *e);

/* That the tree of `old` leaves is a beginning of the tree of `size`. Empty for old == 0 and for old == size. ERR_INVALID:
 * old > size. */
int proof_consistency(const struct merkle_hash *h, const struct proof_source *s, uint64_t old, uint64_t size,
        struct proof *out, struct err *e);

/* Does the proof show that a leaf with this hash has number `index` under `root`? 0, or ERR_CORRUPT with what does not
 * match (RFC 9162, 2.1.3.2). n: number of hashes in p. */
int proof_inclusion_verify(const struct merkle_hash *h, const uint8_t leaf[MERKLE_HASH_BYTES], uint64_t index,
        uint64_t size, const uint8_t (*p)[MERKLE_HASH_BYTES], size_t n, const uint8_t root[MERKLE_HASH_BYTES],
        struct err *e);

/* Does the proof show that the tree of `old` leaves under old_root is a beginning of the one of `size` under root? As above
 * (RFC 9162, 2.1.4.2, and C2SP tlog-witness for size 0): old == 0 needs the root of nothing and an empty proof, old == size
 * equal roots and an empty proof. */
int proof_consistency_verify(const struct merkle_hash *h, uint64_t old,
        const uint8_t old_root[MERKLE_HASH_BYTES], uint64_t size, const uint8_t root[MERKLE_HASH_BYTES],
        const uint8_t (*p)[MERKLE_HASH_BYTES], size_t n, struct err *e);

#endif
