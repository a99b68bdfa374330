/* SPDX-License-Identifier: Apache-2.0 */
/* test_merkle - facts about the tree of RFC 6962: published vectors of transparency-dev/merkle, and 131 roots in one hash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/merkle.h"
#include "io/sha256.h"

static const char *const leaf_hex[8] = {
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};

static const char *const root_hex[9] = {
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

static size_t from_hex(const char *hex, uint8_t *out)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		unsigned v;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
		out[i] = (uint8_t)v;
	}
	return n;
}

static void roots_of_the_reference_tree_are_the_published_ones(void **state)
{
	struct sha256 *sha = sha256_new();
	struct merkle_hash h = sha256_merkle(sha);
	struct merkle_frontier f;

	(void)state;
	merkle_init(&f);
	for (size_t i = 0; i <= 8; i++) {
		uint8_t root[32], bytes[16], leaf[32];
		char hex[SHA256_HEX + 1];

		merkle_root(&f, &h, root);
		sha256_hex(root, hex);
		assert_string_equal(hex, root_hex[i]);
		assert_int_equal(merkle_count(&f), __builtin_popcountll(i));
		if (i == 8)
			break;
		merkle_leaf(&h, bytes, from_hex(leaf_hex[i], bytes), leaf);
		merkle_append(&f, &h, leaf);
	}
	sha256_free(sha);
}

static void a_hundred_and_thirty_roots_hash_to_the_known_digest(void **state)
{
	struct sha256 *sha = sha256_new(), *all = sha256_new();
	struct merkle_hash h = sha256_merkle(sha);
	struct merkle_frontier f;
	uint8_t digest[32];
	char hex[SHA256_HEX + 1];

	(void)state;
	merkle_init(&f);
	for (unsigned i = 0; i <= 130; i++) {
		uint8_t root[32], leaf[32], byte = (uint8_t)i;
		char line[100];

		merkle_root(&f, &h, root);
		sha256_hex(root, hex);
		sha256_update(all, line, (size_t)snprintf(line, sizeof(line), "%u %s\n", i, hex));
		merkle_leaf(&h, &byte, 1, leaf);
		merkle_append(&f, &h, leaf);
	}
	sha256_end(all, digest);
	sha256_hex(digest, hex);
	assert_string_equal(hex, "9c67f07f906103b6bf201842a50ff0b8c91fca9b3e211334a6b7aa3133165dec");
	sha256_free(all);
	sha256_free(sha);
}

static void frontier_carried_over_goes_on_the_same(void **state)
{
	struct sha256 *sha = sha256_new();
	struct merkle_hash h = sha256_merkle(sha);
	struct merkle_frontier whole, carried;
	uint8_t a[32], b[32], leaf[32];

	(void)state;
	merkle_init(&whole);
	for (unsigned cut = 0; cut < 70; cut++) {
		merkle_init(&carried);
		carried.size = whole.size;
		memcpy(carried.hash, whole.hash, merkle_count(&whole) * sizeof(whole.hash[0]));
		merkle_leaf(&h, &cut, sizeof(cut), leaf);
		merkle_append(&whole, &h, leaf);
		merkle_append(&carried, &h, leaf);
		merkle_root(&whole, &h, a);
		merkle_root(&carried, &h, b);
		assert_memory_equal(a, b, 32);
	}
	sha256_free(sha);
}

static void digest_reads_back_only_as_it_was_written(void **state)
{
	uint8_t digest[32], back[32];
	char hex[SHA256_HEX + 1];

	(void)state;
	sha256_of("abc", 3, digest);
	sha256_hex(digest, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(sha256_unhex(hex, back), 0);
	assert_memory_equal(digest, back, 32);
	assert_int_equal(sha256_unhex(hex + 1, back), -1);
	hex[0] = 'B';
	assert_int_equal(sha256_unhex(hex, back), -1);
	assert_int_equal(sha256_unhex("", back), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(roots_of_the_reference_tree_are_the_published_ones),
	        cmocka_unit_test(a_hundred_and_thirty_roots_hash_to_the_known_digest),
	        cmocka_unit_test(frontier_carried_over_goes_on_the_same),
	        cmocka_unit_test(digest_reads_back_only_as_it_was_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
