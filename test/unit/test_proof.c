/* SPDX-License-Identifier: Apache-2.0 */
/* test_proof - facts about proofs: the published ones, 8,515 of each kind in one hash, and everything near a right one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/proof.h"
#include "io/sha256.h"

enum { LEAVES = 130 };

/* The naive tree: every complete subtree, by level. */
struct tree {
	struct sha256 *sha;
	struct merkle_hash h;
	unsigned leaves, asked, fails_at;
	uint8_t at[8][LEAVES][32];
};

static int subtree(void *ctx, unsigned level, uint64_t index, uint8_t out[32], struct err *e)
{
	struct tree *t = ctx;

	assert_true(level < 8 && (index + 1) << level <= t->leaves);
	if (++t->asked == t->fails_at)
		return err_set(e, ERR_SYSTEM, "the disk said no");
	memcpy(out, t->at[level][index], 32);
	return 0;
}

static void fill(struct tree *t)
{
	for (unsigned level = 1; level < 8; level++)
		for (unsigned i = 0; (i + 1) << level <= t->leaves; i++)
			merkle_node(
			        &t->h, t->at[level - 1][2 * i], t->at[level - 1][2 * i + 1], t->at[level][i]);
}

static const char *const leaf_hex[8] = {
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};

/* The 8 leaves of transparency-dev/merkle's tests, or the 130 of one byte each. */
static void setup(struct tree *t, bool reference)
{
	memset(t, 0, sizeof(*t));
	t->sha = sha256_new();
	t->h = sha256_merkle(t->sha);
	t->leaves = reference ? 8 : LEAVES;
	for (unsigned i = 0; i < t->leaves; i++) {
		uint8_t bytes[16] = {(uint8_t)i};
		size_t n = 1;

		if (reference) {
			n = strlen(leaf_hex[i]) / 2;
			for (size_t b = 0; b < n; b++) {
				unsigned v;

				assert_int_equal(sscanf(leaf_hex[i] + 2 * b, "%2x", &v), 1);
				bytes[b] = (uint8_t)v;
			}
		}
		merkle_leaf(&t->h, bytes, n, t->at[0][i]);
	}
	fill(t);
}

static struct proof_source source(struct tree *t)
{
	return (struct proof_source){subtree, t};
}

static void root_of(struct tree *t, uint64_t size, uint8_t out[32])
{
	struct proof_source s = source(t);

	assert_int_equal(proof_root(&t->h, &s, size, out, NULL), 0);
}

static void add_line(struct sha256 *all, const char *head, const struct proof *p)
{
	char hex[SHA256_HEX + 1];

	sha256_update(all, head, strlen(head));
	for (unsigned i = 0; i < p->n; i++) {
		sha256_hex(p->hash[i], hex);
		sha256_update(all, " ", 1);
		sha256_update(all, hex, 64);
	}
	sha256_update(all, "\n", 1);
}

static void ends_as(struct sha256 *all, const char *want)
{
	uint8_t digest[32];
	char hex[SHA256_HEX + 1];

	sha256_end(all, digest);
	sha256_hex(digest, hex);
	assert_string_equal(hex, want);
	sha256_free(all);
}

static void proof_is(const struct proof *p, const char *const *beginnings)
{
	unsigned n = 0;

	for (; beginnings[n]; n++) {
		char hex[SHA256_HEX + 1];

		assert_true(n < p->n);
		sha256_hex(p->hash[n], hex);
		assert_memory_equal(hex, beginnings[n], 8);
	}
	assert_int_equal(p->n, n);
}

static void published_proofs_of_the_reference_tree_are_made(void **state)
{
	static const struct {
		uint64_t a, b;
		const char *path[5];
	} inclusion[] = {{0, 1, {NULL}}, {0, 8, {"96a296d2", "5f083f0a", "6b47aaf2"}},
	        {5, 8, {"bc1a0643", "ca854ea1", "d37ee418"}}, {2, 3, {"fac54203"}},
	        {1, 5, {"6e340b9c", "5f083f0a", "bc1a0643"}}},
	  consistency[] = {{1, 1, {NULL}}, {1, 8, {"96a296d2", "5f083f0a", "6b47aaf2"}},
	          {2, 5, {"5f083f0a", "bc1a0643"}}, {6, 8, {"0ebc5d34", "ca854ea1", "d37ee418"}},
	          {4, 8, {"6b47aaf2"}}, {3, 7, {"0298d122", "07506a85", "fac54203", "837dbb15"}},
	          {7, 8, {"b08693ec", "46f6ffad", "0ebc5d34", "d37ee418"}}};
	struct tree t;
	struct proof_source s = source(&t);
	struct proof p;

	(void)state;
	setup(&t, true);
	for (size_t i = 0; i < sizeof(inclusion) / sizeof(inclusion[0]); i++) {
		assert_int_equal(proof_inclusion(&t.h, &s, inclusion[i].a, inclusion[i].b, &p, NULL), 0);
		proof_is(&p, inclusion[i].path);
	}
	for (size_t i = 0; i < sizeof(consistency) / sizeof(consistency[0]); i++) {
		assert_int_equal(
		        proof_consistency(&t.h, &s, consistency[i].a, consistency[i].b, &p, NULL), 0);
		proof_is(&p, consistency[i].path);
	}
	sha256_free(t.sha);
}

static void eight_thousand_inclusion_proofs_hash_to_the_known_digest(void **state)
{
	struct sha256 *all = sha256_new();
	struct tree t;
	struct proof_source s = source(&t);

	(void)state;
	setup(&t, false);
	for (unsigned n = 1; n <= LEAVES; n++) {
		uint8_t root[32];

		root_of(&t, n, root);
		for (unsigned i = 0; i < n; i++) {
			struct proof p;
			char head[40];

			(void)snprintf(head, sizeof(head), "%u %u", i, n);
			assert_int_equal(proof_inclusion(&t.h, &s, i, n, &p, NULL), 0);
			add_line(all, head, &p);
			assert_int_equal(
			        proof_inclusion_verify(&t.h, t.at[0][i], i, n, p.hash, p.n, root, NULL), 0);
		}
	}
	ends_as(all, "893ce6eea61adc33c22c0e3a952498b76dfa3c282e78ac659f6fcc0ea44f9983");
	sha256_free(t.sha);
}

static void eight_thousand_consistency_proofs_hash_to_the_known_digest(void **state)
{
	struct sha256 *all = sha256_new();
	struct tree t;
	struct proof_source s = source(&t);

	(void)state;
	setup(&t, false);
	for (unsigned n = 1; n <= LEAVES; n++) {
		uint8_t old[32], root[32];

		root_of(&t, n, root);
		for (unsigned m = 1; m <= n; m++) {
			struct proof p;
			char head[40];

			root_of(&t, m, old);
			(void)snprintf(head, sizeof(head), "%u %u", m, n);
			assert_int_equal(proof_consistency(&t.h, &s, m, n, &p, NULL), 0);
			add_line(all, head, &p);
			assert_int_equal(
			        proof_consistency_verify(&t.h, m, old, n, root, p.hash, p.n, NULL), 0);
		}
	}
	ends_as(all, "2498232e1aebe8d1aa8d339d897fc471f4495fe0b8a55ac08f7dae3d88bc4c2a");
	sha256_free(t.sha);
}

/* One way to be wrong: a proof near a right one. */
typedef int (*verify)(struct tree *t, uint64_t a, uint64_t n, const uint8_t *left, const struct proof *p,
        const uint8_t *root, struct err *e);

static int verify_inclusion(struct tree *t, uint64_t a, uint64_t n, const uint8_t *left,
        const struct proof *p, const uint8_t *root, struct err *e)
{
	return proof_inclusion_verify(&t->h, left, a, n, p->hash, p->n, root, e);
}

static int verify_consistency(struct tree *t, uint64_t a, uint64_t n, const uint8_t *left,
        const struct proof *p, const uint8_t *root, struct err *e)
{
	return proof_consistency_verify(&t->h, a, left, n, root, p->hash, p->n, e);
}

static void refused(verify v, struct tree *t, uint64_t a, uint64_t n, const uint8_t *left,
        const struct proof *p, const uint8_t *root)
{
	struct err e = {0};

	assert_int_equal(v(t, a, n, left, p, root, &e), -1);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_true(strlen(e.msg) > 10);
}

static void insert(const struct proof *p, unsigned at, const uint8_t hash[32], struct proof *out)
{
	*out = *p;
	memmove(out->hash[at + 1], out->hash[at], (size_t)(p->n - at) * 32);
	memcpy(out->hash[at], hash, 32);
	out->n++;
}

static void neighbours_are_refused(verify v, struct tree *t, uint64_t a, uint64_t n, const uint8_t left[32],
        const struct proof *p, const uint8_t root[32])
{
	static const uint8_t garbage[32] = {0xab, 1};
	uint8_t wrong[32], nothing[32];
	struct proof q;

	for (unsigned i = 0; i < p->n; i++) {
		for (unsigned bit = 0; bit < 256; bit += 37) {
			q = *p;
			q.hash[i][bit / 8] ^= (uint8_t)(1 << bit % 8);
			refused(v, t, a, n, left, &q, root);
		}
		q = *p;
		memmove(q.hash[i], q.hash[i + 1], (size_t)(p->n - i - 1) * 32);
		q.n--;
		refused(v, t, a, n, left, &q, root);
	}
	for (unsigned i = 0; i <= p->n; i++) {
		insert(p, i, garbage, &q);
		refused(v, t, a, n, left, &q, root);
		insert(p, i, root, &q);
		refused(v, t, a, n, left, &q, root);
	}
	refused(v, t, a, n, garbage, p, root);
	refused(v, t, a, n, left, p, garbage);
	for (unsigned bit = 0; bit < 256; bit++) {
		memcpy(wrong, root, 32);
		wrong[bit / 8] ^= (uint8_t)(1 << bit % 8);
		refused(v, t, a, n, left, p, wrong);
		memcpy(wrong, left, 32);
		wrong[bit / 8] ^= (uint8_t)(1 << bit % 8);
		refused(v, t, a, n, wrong, p, root);
	}
	root_of(t, 0, nothing);
	refused(v, t, a, n, left, p, nothing);
	refused(v, t, n, a, left, p, root);
	refused(v, t, a, 0, left, p, root);
}

static void what_is_near_a_right_proof_is_refused(void **state)
{
	static const unsigned sizes[] = {2, 3, 7, 8, 9, 33, 64, 100, 130};
	struct tree t;
	struct proof_source s = source(&t);

	(void)state;
	setup(&t, false);
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		unsigned n = sizes[k];
		uint8_t old[32], root[32];
		struct proof p;

		root_of(&t, n, root);
		for (unsigned i = 0; i < n; i += 1 + n / 7) {
			assert_int_equal(proof_inclusion(&t.h, &s, i, n, &p, NULL), 0);
			neighbours_are_refused(verify_inclusion, &t, i, n, t.at[0][i], &p, root);
			refused(verify_inclusion, &t, i ^ 2, n, t.at[0][i], &p, root);
			refused(verify_inclusion, &t, i + 1, n, t.at[0][i], &p, root);
			if (i == 0)
				continue;
			root_of(&t, i, old);
			assert_int_equal(proof_consistency(&t.h, &s, i, n, &p, NULL), 0);
			neighbours_are_refused(verify_consistency, &t, i, n, old, &p, root);
			refused(verify_consistency, &t, i, n, root, &p, old);
		}
	}
	sha256_free(t.sha);
}

static void empty_trees_have_one_root_and_need_no_proof(void **state)
{
	struct tree t;
	struct proof_source s = source(&t);
	struct proof p = {.n = 1}, none = {0};
	uint8_t nothing[32], root[32];

	(void)state;
	setup(&t, false);
	root_of(&t, 0, nothing);
	root_of(&t, 5, root);
	assert_int_equal(proof_consistency(&t.h, &s, 0, 5, &p, NULL), 0);
	assert_int_equal(p.n, 0);
	assert_int_equal(proof_consistency_verify(&t.h, 0, nothing, 5, root, none.hash, 0, NULL), 0);
	assert_int_equal(proof_consistency_verify(&t.h, 0, nothing, 0, nothing, none.hash, 0, NULL), 0);
	refused(verify_consistency, &t, 0, 5, root, &none, root);
	refused(verify_consistency, &t, 0, 0, root, &none, root);
	none.n = 1;
	refused(verify_consistency, &t, 0, 5, nothing, &none, root);
	refused(verify_consistency, &t, 5, 5, root, &none, root);
	none.n = 0;
	refused(verify_consistency, &t, 5, 5, nothing, &none, root);
	refused(verify_consistency, &t, 6, 5, root, &none, root);
	refused(verify_inclusion, &t, 0, 0, t.at[0][0], &none, nothing);
	sha256_free(t.sha);
}

static void what_is_not_in_the_tree_has_no_proof_and_a_failing_source_is_told(void **state)
{
	struct tree t;
	struct proof_source s = source(&t);
	struct proof p;
	struct err e = {0};

	(void)state;
	setup(&t, false);
	assert_int_equal(proof_inclusion(&t.h, &s, 8, 8, &p, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_int_equal(proof_consistency(&t.h, &s, 9, 8, &p, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	for (unsigned at = 1; at <= 12; at++) {
		t.asked = 0;
		t.fails_at = at;
		if (proof_inclusion(&t.h, &s, 77, 130, &p, &e) == 0)
			assert_true(t.asked < at);
		else
			assert_string_equal(e.msg, "the disk said no");
	}
	sha256_free(t.sha);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(published_proofs_of_the_reference_tree_are_made),
	        cmocka_unit_test(eight_thousand_inclusion_proofs_hash_to_the_known_digest),
	        cmocka_unit_test(eight_thousand_consistency_proofs_hash_to_the_known_digest),
	        cmocka_unit_test(what_is_near_a_right_proof_is_refused),
	        cmocka_unit_test(empty_trees_have_one_root_and_need_no_proof),
	        cmocka_unit_test(what_is_not_in_the_tree_has_no_proof_and_a_failing_source_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
