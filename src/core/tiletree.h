/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tiletree - a tree of hashes that is read from tiles (C2SP tlog-tiles) of whoever has them, and believed only as far as they
 * lead to a root.
 *
 * The root is known (somebody signed it). The tiles at the right edge, one of each level at most, must lead to it together; every other
 * tile is complete, and must hash to its place in the tile above. So each tile is checked when it is read, alone, and a wrong one is
 * known by its name. Not where tiles come from, and not signatures. Pure. The struct is large: give it a place of its own.
 */
#ifndef OSIER_CORE_TILETREE_H
#define OSIER_CORE_TILETREE_H

#include "core/proof.h"
#include "core/tlogproof.h"

enum { TILE_LEVELS = 8, TILETREE_SLOTS = 3 };

struct tiletree_source {
	/* The t->width hashes of a tile. `want`: what a complete one must hash to, so that a source with several copies can choose; NULL
	 * for those at the edge. */
	int (*get)(void *ctx, const struct tile *t, const uint8_t *want, uint8_t (*out)[MERKLE_HASH_BYTES],
	        struct err *e);
	void *ctx;
};

struct tiletree_slot { /* a complete tile that was checked */
	bool used;
	uint64_t index, turn;
	uint8_t hash[TILE_WIDTH][MERKLE_HASH_BYTES];
};

struct tiletree {
	const struct merkle_hash *h;
	struct tiletree_source source;
	uint64_t size, turn;
	uint8_t root[MERKLE_HASH_BYTES];
	uint8_t edge[TILE_LEVELS][TILE_WIDTH][MERKLE_HASH_BYTES];
	struct tiletree_slot slot[TILE_LEVELS][TILETREE_SLOTS];
};

/* The root over n = 2^k hashes, k <= 8. */
void tile_root(const struct merkle_hash *h, const uint8_t (*hash)[MERKLE_HASH_BYTES], unsigned n,
        uint8_t out[MERKLE_HASH_BYTES]);

/* Read the edge of the tree of `size` leaves with this root. `h` and the source must outlive t. ERR_CORRUPT: the edge does not lead to
 * the root; else what the source says. */
int tiletree_open(struct tiletree *t, const struct merkle_hash *h, const struct tiletree_source *s,
        uint64_t size, const uint8_t root[MERKLE_HASH_BYTES], struct err *e);

/* The hashes of the tile at `index` of a level, as wide as the tree has it (tile_width(), which must not be 0); valid until the next call.
 * ERR_CORRUPT: it is not what the tree says, named by its path. */
int tiletree_tile(struct tiletree *t, unsigned level, uint64_t index,
        const uint8_t (**out)[MERKLE_HASH_BYTES], struct err *e);

/* For proofs in the tree. */
struct proof_source tiletree_proofs(struct tiletree *t);

#endif
