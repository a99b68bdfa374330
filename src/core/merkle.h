/* SPDX-License-Identifier: Apache-2.0 */
/*
 * merkle - the tree of RFC 6962 section 2.1 over the journal's entries, appended to in O(log n) memory.
 *
 * Not the hash function (it is passed in), and not proofs. Pure.
 * leaf = H(0x00 || entry), node = H(0x01 || left || right), root of nothing = H("").
 * Invariant: hash[] holds popcount(size) hashes, the roots of the full subtrees from the largest to the smallest.
 */
#ifndef OSIER_CORE_MERKLE_H
#define OSIER_CORE_MERKLE_H

#include <stddef.h>
#include <stdint.h>

#define MERKLE_HASH_BYTES 32

/* SHA-256 of a[0..an) followed by b[0..bn). */
struct merkle_hash {
	void (*fn)(void *ctx, const void *a, size_t an, const void *b, size_t bn,
	        uint8_t out[MERKLE_HASH_BYTES]);
	void *ctx;
};

struct merkle_frontier {
	uint64_t size; /* leaves so far */
	uint8_t hash[64][MERKLE_HASH_BYTES];
};

/* The tree of no leaves. */
void merkle_init(struct merkle_frontier *f);

/* Hashes in use: popcount(size). With size, all that must be stored to go on later. */
unsigned merkle_count(const struct merkle_frontier *f);

/* The hash of one leaf. */
void merkle_leaf(const struct merkle_hash *h, const void *bytes, size_t n, uint8_t out[MERKLE_HASH_BYTES]);

/* The hash above two nodes; `out` may be either of them. */
void merkle_node(const struct merkle_hash *h, const uint8_t left[MERKLE_HASH_BYTES],
        const uint8_t right[MERKLE_HASH_BYTES], uint8_t out[MERKLE_HASH_BYTES]);

/* Append a leaf by its hash: less than two node hashes on average. size < 2^64 - 1. */
void merkle_append(
        struct merkle_frontier *f, const struct merkle_hash *h, const uint8_t leaf[MERKLE_HASH_BYTES]);

/* The root over all leaves so far. */
void merkle_root(
        const struct merkle_frontier *f, const struct merkle_hash *h, uint8_t out[MERKLE_HASH_BYTES]);

#endif
