/* SPDX-License-Identifier: Apache-2.0 */
/* tiletree - see tiletree.h. */
#include "core/tiletree.h"

#include <string.h>

#include "base/check.h"

enum { BITS = 8 };

void tile_root(const struct merkle_hash *h, const uint8_t (*hash)[MERKLE_HASH_BYTES], unsigned n,
        uint8_t out[MERKLE_HASH_BYTES])
{
	uint8_t row[TILE_WIDTH / 2][MERKLE_HASH_BYTES];

	CHECK(n >= 1 && n <= TILE_WIDTH && (n & (n - 1)) == 0);
	if (n == 1) {
		memcpy(out, hash[0], MERKLE_HASH_BYTES);
		return;
	}
	for (unsigned i = 0; i < n / 2; i++)
		merkle_node(h, hash[2 * i], hash[2 * i + 1], row[i]);
	for (n /= 2; n > 1; n /= 2)
		for (unsigned i = 0; i < n / 2; i++)
			merkle_node(h, row[2 * i], row[2 * i + 1], row[i]);
	memcpy(out, row[0], MERKLE_HASH_BYTES);
}

static int wrong(const struct tile *t, struct err *e)
{
	char path[TILE_PATH_MAX];

	(void)tile_path(t, path);
	return err_set(e, ERR_CORRUPT, "'%s' is not what the log's signed head says", path);
}

/* Hashes of the edge at one level. */
static unsigned edge_width(uint64_t size, unsigned level)
{
	return (unsigned)(size >> (BITS * level)) % TILE_WIDTH;
}

/* Above the highest level that has hashes there is nothing. */
static uint64_t edge_index(uint64_t size, unsigned level)
{
	return level == TILE_LEVELS - 1 ? 0 : size >> (BITS * (level + 1));
}

/* The complete subtrees of the tree, largest first, are runs of 2^k hashes in the tiles of the edge. */
static void edge_root(struct tiletree *t, uint8_t out[MERKLE_HASH_BYTES])
{
	struct merkle_frontier f = {.size = t->size};
	unsigned n = 0;

	for (unsigned level = TILE_LEVELS; level-- > 0;) {
		unsigned width = edge_width(t->size, level), at = 0;

		for (unsigned run = TILE_WIDTH / 2; run; run /= 2) {
			if (!(width & run))
				continue;
			tile_root(t->h, (const uint8_t(*)[MERKLE_HASH_BYTES])t->edge[level] + at, run,
			        f.hash[n++]);
			at += run;
		}
	}
	CHECK(n == merkle_count(&f));
	merkle_root(&f, t->h, out);
}

int tiletree_open(struct tiletree *t, const struct merkle_hash *h, const struct tiletree_source *s,
        uint64_t size, const uint8_t root[MERKLE_HASH_BYTES], struct err *e)
{
	uint8_t got[MERKLE_HASH_BYTES];

	t->h = h;
	t->source = *s;
	t->size = size;
	t->turn = 0;
	memcpy(t->root, root, sizeof(t->root));
	for (unsigned level = 0; level < TILE_LEVELS; level++) {
		struct tile tile = {.level = level, .index = edge_index(size, level)};

		for (unsigned i = 0; i < TILETREE_SLOTS; i++)
			t->slot[level][i].used = false;
		tile.width = edge_width(size, level);
		if (tile.width && s->get(s->ctx, &tile, NULL, t->edge[level], e) < 0)
			return -1;
	}
	edge_root(t, got);
	if (memcmp(got, root, sizeof(got)) != 0)
		return err_set(
		        e, ERR_CORRUPT, "the tiles at the end of the log do not lead to its signed root");
	return 0;
}

static struct tiletree_slot *find_slot(struct tiletree *t, unsigned level, uint64_t index, bool *out_there)
{
	struct tiletree_slot *oldest = &t->slot[level][0];

	*out_there = true;
	for (unsigned i = 0; i < TILETREE_SLOTS; i++) {
		struct tiletree_slot *s = &t->slot[level][i];

		if (s->used && s->index == index)
			return s;
		if (!s->used || (oldest->used && s->turn < oldest->turn))
			oldest = s;
	}
	*out_there = false;
	return oldest;
}

/* A complete tile into its slot, checked against the tile above, which is there or at the edge. */
static int read_complete(
        struct tiletree *t, unsigned level, uint64_t index, struct tiletree_slot *s, struct err *e)
{
	struct tile tile = {.level = level, .index = index, .width = TILE_WIDTH};
	const uint8_t(*above)[MERKLE_HASH_BYTES];
	uint8_t want[MERKLE_HASH_BYTES], got[MERKLE_HASH_BYTES];

	if (tiletree_tile(t, level + 1, index / TILE_WIDTH, &above, e) < 0)
		return -1;
	memcpy(want, above[index % TILE_WIDTH], sizeof(want));
	s->used = false;
	if (t->source.get(t->source.ctx, &tile, want, s->hash, e) < 0)
		return -1;
	tile_root(t->h, (const uint8_t(*)[MERKLE_HASH_BYTES])s->hash, TILE_WIDTH, got);
	if (memcmp(got, want, sizeof(got)) != 0)
		return wrong(&tile, e);
	s->used = true;
	s->index = index;
	return 0;
}

int tiletree_tile(struct tiletree *t, unsigned level, uint64_t index,
        const uint8_t (**out)[MERKLE_HASH_BYTES], struct err *e)
{
	unsigned width = tile_width(t->size, level, index);
	struct tiletree_slot *s;
	bool there;

	CHECK(width > 0);
	if (width < TILE_WIDTH) {
		*out = (const uint8_t(*)[MERKLE_HASH_BYTES])t->edge[level];
		return 0;
	}
	CHECK(level + 1 < TILE_LEVELS); /* 2^64 leaves and more are not */
	s = find_slot(t, level, index, &there);
	if (!there && read_complete(t, level, index, s, e) < 0)
		return -1;
	s->turn = ++t->turn;
	*out = (const uint8_t(*)[MERKLE_HASH_BYTES])s->hash;
	return 0;
}

static int subtree(void *ctx, unsigned level, uint64_t index, uint8_t out[MERKLE_HASH_BYTES], struct err *e)
{
	struct tiletree *t = ctx;
	const uint8_t(*hash)[MERKLE_HASH_BYTES];
	unsigned n = 1u << level % BITS;
	uint64_t first = index * n;

	if (tiletree_tile(t, level / BITS, first / TILE_WIDTH, &hash, e) < 0)
		return -1;
	tile_root(t->h, hash + first % TILE_WIDTH, n, out);
	return 0;
}

struct proof_source tiletree_proofs(struct tiletree *t)
{
	return (struct proof_source){subtree, t};
}
