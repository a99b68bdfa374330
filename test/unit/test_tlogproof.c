/* SPDX-License-Identifier: Apache-2.0 */
/* test_tlogproof - facts about the files in which proofs travel: golden ones to the byte, and broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/tlogproof.h"
#include "io/ed25519.h"
#include "io/sha256.h"

static size_t load(const char *name, char *out, size_t max)
{
	char path[512];
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/test/data/ledger/%s", OSIER_SOURCE_ROOT, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	n = fread(out, 1, max, f);
	assert_true(n < max);
	out[n] = '\0';
	(void)fclose(f);
	return n;
}

/* Does the proof in the file hold for leaf 5 of the reference tree? */
static bool holds(const char *bytes, size_t n, struct sha256 *sha)
{
	static const uint8_t leaf_bytes[] = {0x40, 0x41, 0x42, 0x43};
	static const char vkey[] =
	        "example.com/elastic/log1+c3ebf752+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";
	struct note_verifier v = ed25519_verifier();
	struct merkle_hash h = sha256_merkle(sha);
	struct checkpoint c;
	struct tlogproof p;
	struct note_key k;
	struct note note;
	uint8_t leaf[32];

	assert_int_equal(note_key_parse(vkey, strlen(vkey), &k, NULL), 0);
	merkle_leaf(&h, leaf_bytes, sizeof(leaf_bytes), leaf);
	return tlogproof_parse(bytes, n, &p, NULL) == 0 && note_parse(p.note, p.note_n, &note, NULL) == 0 &&
	       note_verify(&note, &k, &v, NULL) == NOTE_SIGNED &&
	       checkpoint_parse(note.text, note.text_n, &c, NULL) == 0 &&
	       proof_inclusion_verify(&h, leaf, p.index, c.size, p.path.hash, p.path.n, c.root, NULL) == 0;
}

static void golden_proof_holds_and_is_written_to_the_byte(void **state)
{
	char bytes[2048], back[4096];
	size_t n = load("golden_index5.tlog-proof", bytes, sizeof(bytes));
	struct sha256 *sha = sha256_new();
	struct tlogproof p;

	(void)state;
	assert_true(holds(bytes, n, sha));
	assert_int_equal(tlogproof_parse(bytes, n, &p, NULL), 0);
	assert_int_equal(p.index, 5);
	assert_true(tlogproof_size(&p) >= n && tlogproof_size(&p) <= sizeof(back));
	assert_int_equal(tlogproof_print(&p, back), n);
	assert_memory_equal(back, bytes, n);
	p.extra = "AAAA";
	p.extra_n = 4;
	n = tlogproof_print(&p, back);
	assert_true(n <= tlogproof_size(&p));
	assert_true(holds(back, n, sha));
	sha256_free(sha);
}

/* All but the witness's line, of which this log's verifier knows nothing. */
static void every_flipped_bit_of_a_proof_is_noticed(void **state)
{
	char bytes[2048];
	size_t n = load("golden_index5.tlog-proof", bytes, sizeof(bytes)), watched;
	struct sha256 *sha = sha256_new();

	(void)state;
	watched = (size_t)(strstr(bytes, "example.com/elastic/node-2") - bytes) - 4;
	for (size_t bit = 0; bit < 8 * watched; bit++) {
		bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
		assert_false(holds(bytes, n, sha));
		bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
	}
	for (size_t cut = 0; cut < watched; cut++)
		assert_false(holds(bytes, cut, sha));
	assert_true(holds(bytes, n, sha));
	sha256_free(sha);
}

static void broken_proofs_are_refused(void **state)
{
#define MAGIC "c2sp.org/tlog-proof@v1\n"
#define HASH  "vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=\n"
	static const char *const wrong[] = {"", MAGIC, "c2sp.org/tlog-proof@v2\nindex 1\n\nx",
	        MAGIC "index\n\nx", MAGIC "index 01\n\nx", MAGIC "index -1\n\nx",
	        MAGIC "index 18446744073709551616\n\nx", MAGIC "index 1 \n\nx", MAGIC "index 1\n" HASH,
	        MAGIC "index 1\n" HASH "\n", MAGIC "index 1\nvBo=\n\nx", MAGIC "extra \nindex 1\n\nx",
	        MAGIC "extra A\nindex 1\n\nx", MAGIC "extra AA==AAAA\nindex 1\n\nx",
	        MAGIC "extra AAAA\nextra AAAA\nindex 1\n\nx", MAGIC "extra AAAA", MAGIC "Index 1\n\nx"};
	char many[64 * 45 + 200];
	struct tlogproof p;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(tlogproof_parse(wrong[i], strlen(wrong[i]), &p, &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
	}
	(void)snprintf(many, sizeof(many), MAGIC "index 1\n");
	for (int i = 0; i < 64; i++)
		memcpy(many + strlen(many), HASH, sizeof(HASH));
	memcpy(many + strlen(many), "\nx", 3);
	assert_int_equal(tlogproof_parse(many, strlen(many), &p, &e), -1);
	assert_non_null(strstr(e.msg, "more than 63"));
}

static void golden_witness_request_holds_and_is_written_to_the_byte(void **state)
{
	char bytes[2048], back[4096];
	size_t n = load("golden_add_checkpoint_6_8.txt", bytes, sizeof(bytes));
	struct sha256 *sha = sha256_new();
	struct merkle_hash h = sha256_merkle(sha);
	struct addcheckpoint a;
	struct checkpoint c;
	uint8_t old[32];
	struct note note;

	(void)state;
	assert_int_equal(addcheckpoint_parse(bytes, n, &a, NULL), 0);
	assert_int_equal(a.old, 6);
	assert_int_equal(note_parse(a.note, a.note_n, &note, NULL), 0);
	assert_int_equal(checkpoint_parse(note.text, note.text_n, &c, NULL), 0);
	assert_int_equal(
	        sha256_unhex("76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef", old), 0);
	assert_int_equal(
	        proof_consistency_verify(&h, a.old, old, c.size, c.root, a.path.hash, a.path.n, NULL), 0);
	assert_true(addcheckpoint_size(&a) >= n && addcheckpoint_size(&a) <= sizeof(back));
	assert_int_equal(addcheckpoint_print(&a, back), n);
	assert_memory_equal(back, bytes, n);
	assert_int_equal(addcheckpoint_parse("new 6\n\nx", 8, &a, NULL), -1);
	assert_int_equal(addcheckpoint_parse("old 6\n", 6, &a, NULL), -1);
	assert_int_equal(addcheckpoint_parse("old 6\n\n", 7, &a, NULL), -1);
	sha256_free(sha);
}

static void tile_paths_go_both_ways(void **state)
{
	static const struct {
		const char *path;
		struct tile tile;
	} known[] = {{"tile/0/000", {false, 0, 0, 256}}, {"tile/0/x001/x234/067", {false, 0, 1234067, 256}},
	        {"tile/0/273.p/112", {false, 0, 273, 112}}, {"tile/2/000.p/1", {false, 2, 0, 1}},
	        {"tile/entries/x005/321.p/255", {true, 0, 5321, 255}},
	        {"tile/63/x018/x446/x744/x073/x709/x551/615", {false, 63, UINT64_MAX, 256}}};
	static const char *const wrong[] = {"", "tile", "tile/", "tile/0", "tile/0/", "tile/0/1", "tile/0/01",
	        "tile/0/0001", "tile/64/000", "tile/00/000", "tile/-1/000", "tile/0/x000/001",
	        "tile/0/001/234", "tile/0/x01/234", "tile/0/x001", "tile/0/x001/", "tile/0/000.p",
	        "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000/",
	        "tile/entries", "tile/entries/", "tile/data/000", "/tile/0/000",
	        "tile/0/x018/x446/x744/x073/x709/x551/616"};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		char path[TILE_PATH_MAX];
		struct tile t;

		assert_int_equal(tile_path(&known[i].tile, path), strlen(known[i].path));
		assert_string_equal(path, known[i].path);
		assert_int_equal(tile_parse(path, strlen(path), &t, NULL), 0);
		assert_true(t.entries == known[i].tile.entries && t.level == known[i].tile.level &&
		            t.index == known[i].tile.index && t.width == known[i].tile.width);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct tile t;

		assert_int_equal(tile_parse(wrong[i], strlen(wrong[i]), &t, NULL), -1);
	}
}

static void tiles_are_as_wide_as_the_tree_fills_them(void **state)
{
	(void)state;
	assert_int_equal(tile_width(70000, 0, 272), 256);
	assert_int_equal(tile_width(70000, 0, 273), 112);
	assert_int_equal(tile_width(70000, 0, 274), 0);
	assert_int_equal(tile_width(70000, 1, 0), 256);
	assert_int_equal(tile_width(70000, 1, 1), 17);
	assert_int_equal(tile_width(70000, 2, 0), 1);
	assert_int_equal(tile_width(70000, 3, 0), 0);
	assert_int_equal(tile_width(256, 0, 0), 256);
	assert_int_equal(tile_width(256, 1, 0), 1);
	assert_int_equal(tile_width(0, 0, 0), 0);
	assert_int_equal(tile_width(UINT64_MAX, 63, 0), 0);
	assert_int_equal(tile_width(UINT64_MAX, 0, UINT64_MAX), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(golden_proof_holds_and_is_written_to_the_byte),
	        cmocka_unit_test(every_flipped_bit_of_a_proof_is_noticed),
	        cmocka_unit_test(broken_proofs_are_refused),
	        cmocka_unit_test(golden_witness_request_holds_and_is_written_to_the_byte),
	        cmocka_unit_test(tile_paths_go_both_ways),
	        cmocka_unit_test(tiles_are_as_wide_as_the_tree_fills_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
