/* SPDX-License-Identifier: Apache-2.0 */
/* test_tiletree - facts about trees that are read from tiles: they say what the naive tree says, and a wrong tile is known by its name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "core/tiletree.h"
#include "io/sha256.h"

enum { MOST = 70000 };

/* The log of the golden hashes: entry i is i in 4 bytes, big-endian. Roots of complete tiles, by level. */
struct world {
	struct sha256 *sha;
	struct merkle_hash h;
	uint8_t (*at[4])[32]; /* level 0: leaves; k: roots of complete tiles of level k - 1 */
	struct tiletree t;
	/* of the source */
	unsigned asked, fails_at;
	bool flip;
	struct tile flipped;
	unsigned bit;
};

static void root_of(struct world *w, uint64_t size, uint8_t out[32])
{
	struct merkle_frontier f;

	merkle_init(&f);
	for (uint64_t i = 0; i < size; i++)
		merkle_append(&f, &w->h, w->at[0][i]);
	merkle_root(&f, &w->h, out);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	uint64_t n = MOST;

	assert_non_null(w);
	w->sha = sha256_new();
	w->h = sha256_merkle(w->sha);
	for (unsigned level = 0; level < 4; level++, n /= TILE_WIDTH) {
		w->at[level] = calloc(n + 1, 32);
		assert_non_null(w->at[level]);
		for (uint64_t i = 0; i < n; i++) {
			uint8_t entry[4] = {
			        (uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
			struct merkle_frontier f;

			if (level == 0) {
				merkle_leaf(&w->h, entry, sizeof(entry), w->at[0][i]);
				continue;
			}
			merkle_init(&f);
			for (unsigned k = 0; k < TILE_WIDTH; k++)
				merkle_append(&f, &w->h, w->at[level - 1][i * TILE_WIDTH + k]);
			merkle_root(&f, &w->h, w->at[level][i]);
		}
	}
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	for (unsigned level = 0; level < 4; level++)
		free(w->at[level]);
	sha256_free(w->sha);
	free(w);
	return 0;
}

static int get(void *ctx, const struct tile *t, const uint8_t *want, uint8_t (*out)[32], struct err *e)
{
	struct world *w = ctx;

	assert_true(t->level < 4 && t->width >= 1 && t->width <= TILE_WIDTH && !t->entries);
	assert_true((want != NULL) == (t->width == TILE_WIDTH));
	if (++w->asked == w->fails_at)
		return err_set(e, ERR_SYSTEM, "the disk said no");
	memcpy(out, w->at[t->level][t->index * TILE_WIDTH], t->width * (size_t)32);
	if (w->flip && w->flipped.level == t->level && w->flipped.index == t->index)
		out[w->bit / 256 % t->width][w->bit % 256 / 8] ^= (uint8_t)(1u << w->bit % 8);
	return 0;
}

static int open_tree(struct world *w, uint64_t size, struct err *e)
{
	struct tiletree_source s = {get, w};
	uint8_t root[32];

	root_of(w, size, root);
	return tiletree_open(&w->t, &w->h, &s, size, root, e);
}

static const uint64_t sizes[] = {
        0, 1, 2, 255, 256, 257, 511, 512, 513, 5000, 65535, 65536, 65537, 65792, 69888, MOST};

static void tree_of_70000_is_the_golden_one(void **state)
{
	struct world *w = *state;
	uint8_t root[32];
	char hex[SHA256_HEX + 1];

	root_of(w, MOST, root);
	sha256_hex(root, hex);
	assert_string_equal(hex, "339ecf3ae716405fdc28cef164e45a785cade0d5bc3e1400a7a4d70d0b2dec9b");
	sha256_of(w->at[1][256], 17 * (size_t)32, root);
	sha256_hex(root, hex);
	assert_string_equal(hex, "863ef73fc3b5a762d44e032d862a290dec917c77195eef6d833bea4eb31f040a");
}

static void every_tile_of_any_size_is_read(void **state)
{
	struct world *w = *state;
	struct err e;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(open_tree(w, sizes[i], &e), 0);
		for (unsigned level = 0; level < 4; level++) {
			uint64_t step = level ? 1 : 7; /* every tile of the upper levels, some leaves */

			for (uint64_t n = 0; tile_width(sizes[i], level, n); n += step) {
				const uint8_t(*hash)[32];

				assert_int_equal(tiletree_tile(&w->t, level, n, &hash, &e), 0);
				assert_memory_equal(hash, w->at[level][n * TILE_WIDTH],
				        tile_width(sizes[i], level, n) * (size_t)32);
			}
		}
	}
}

static void proofs_from_tiles_verify(void **state)
{
	struct world *w = *state;
	struct prng r;
	struct err e;

	prng_init(&r, 7);
	for (size_t i = 1; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t root[32], old_root[32];
		struct proof_source s;
		struct proof p;

		assert_int_equal(open_tree(w, sizes[i], &e), 0);
		s = tiletree_proofs(&w->t);
		root_of(w, sizes[i], root);
		for (int k = 0; k < 6; k++) {
			uint64_t index = prng_below(&r, sizes[i]), old = 1 + prng_below(&r, sizes[i]);

			assert_int_equal(proof_inclusion(&w->h, &s, index, sizes[i], &p, &e), 0);
			assert_int_equal(proof_inclusion_verify(&w->h, w->at[0][index], index, sizes[i],
			                         (const uint8_t(*)[32])p.hash, p.n, root, &e),
			        0);
			root_of(w, old, old_root);
			assert_int_equal(proof_consistency(&w->h, &s, old, sizes[i], &p, &e), 0);
			assert_int_equal(proof_consistency_verify(&w->h, old, old_root, sizes[i], root,
			                         (const uint8_t(*)[32])p.hash, p.n, &e),
			        0);
		}
	}
}

/* One bit anywhere in any tile that is read on the way. */
static void any_wrong_bit_is_told_with_its_tile(void **state)
{
	struct world *w = *state;
	struct prng r;

	prng_init(&r, 3);
	for (int k = 0; k < 400; k++) {
		uint64_t size = sizes[1 + prng_below(&r, sizeof(sizes) / sizeof(sizes[0]) - 1)];
		unsigned level = (unsigned)prng_below(&r, 3);
		uint64_t tiles = ((size >> (8 * level)) + TILE_WIDTH - 1) / TILE_WIDTH;
		const uint8_t(*hash)[32];
		char path[TILE_PATH_MAX];
		struct err e = {0};
		int rc;

		if (!tiles)
			continue;
		w->flip = true;
		w->flipped = (struct tile){.level = level, .index = prng_below(&r, tiles)};
		w->flipped.width = tile_width(size, level, w->flipped.index);
		w->bit = (unsigned)prng_below(&r, w->flipped.width * (uint64_t)256);
		rc = open_tree(w, size, &e);
		if (w->flipped.width < TILE_WIDTH) {
			assert_int_equal(rc, -1);
			assert_non_null(strstr(e.msg, "do not lead to its signed root"));
		} else {
			assert_int_equal(rc, 0);
			assert_int_equal(tiletree_tile(&w->t, level, w->flipped.index, &hash, &e), -1);
			(void)tile_path(&w->flipped, path);
			assert_non_null(strstr(e.msg, path));
			w->flip = false; /* it is not kept: asked again, it is right */
			assert_int_equal(tiletree_tile(&w->t, level, w->flipped.index, &hash, &e), 0);
		}
		assert_int_equal(e.code, ERR_CORRUPT);
	}
	w->flip = false;
}

static void another_root_is_refused(void **state)
{
	struct world *w = *state;
	struct tiletree_source s = {get, w};
	uint8_t root[32];
	struct err e;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		root_of(w, sizes[i] ? sizes[i] - 1 : 1, root);
		assert_int_equal(tiletree_open(&w->t, &w->h, &s, sizes[i], root, &e), -1);
		assert_int_equal(e.code, ERR_CORRUPT);
	}
}

static void failing_source_is_told(void **state)
{
	struct world *w = *state;
	const uint8_t(*hash)[32];
	unsigned needed;
	struct err e;

	w->asked = 0;
	assert_int_equal(open_tree(w, MOST, &e), 0);
	assert_int_equal(tiletree_tile(&w->t, 0, 3, &hash, &e), 0);
	needed = w->asked;
	assert_true(needed == 5); /* the edge of three levels, tile/1/000 and tile/0/003 */
	for (unsigned at = 1; at <= needed; at++) {
		w->asked = 0;
		w->fails_at = at;
		assert_true(open_tree(w, MOST, &e) < 0 || tiletree_tile(&w->t, 0, 3, &hash, &e) < 0);
		assert_string_equal(e.msg, "the disk said no");
	}
	w->fails_at = 0;
}

static void tiles_are_not_read_twice(void **state)
{
	struct world *w = *state;
	const uint8_t(*hash)[32];
	struct err e;

	assert_int_equal(open_tree(w, MOST, &e), 0);
	w->asked = 0;
	for (uint64_t n = 0; n < 256; n++)
		assert_int_equal(tiletree_tile(&w->t, 0, n, &hash, &e), 0);
	assert_int_equal(w->asked, 257); /* and the one above them, once */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(tree_of_70000_is_the_golden_one),
	        cmocka_unit_test(every_tile_of_any_size_is_read),
	        cmocka_unit_test(proofs_from_tiles_verify),
	        cmocka_unit_test(any_wrong_bit_is_told_with_its_tile),
	        cmocka_unit_test(another_root_is_refused),
	        cmocka_unit_test(failing_source_is_told),
	        cmocka_unit_test(tiles_are_not_read_twice),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
