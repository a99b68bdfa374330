/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what proofs travel in: notes, checkpoints, keys, key files, policies, proofs, witness requests, tile paths,
 * bundles, trees of tiles and receipts. No crash, and what is accepted is written again to the same bytes where it has one spelling. Signatures and hashes
 * are taken for right here, so that what lies behind them is reached. The first byte says what the rest is.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/receipt.h"
#include "core/tiletree.h"
#include "io/growing.h"
#include "io/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool any_signature(void *ctx, const uint8_t key[32], const void *msg, size_t n, const uint8_t sig[64])
{
	(void)ctx;
	(void)key;
	(void)msg;
	(void)n;
	(void)sig;
	return true;
}

/* One hash for everything: every path leads to every root. */
static void one_hash(void *ctx, const void *a, size_t an, const void *b, size_t bn, uint8_t out[32])
{
	(void)ctx;
	(void)a;
	(void)an;
	(void)b;
	(void)bn;
	memset(out, 0, 32);
}

static void a_note(const char *p, size_t n)
{
	struct note note;
	struct checkpoint c;

	if (note_parse(p, n, &note, NULL) < 0)
		return;
	CHECK(note.sigs && note.text_n < n && note.text[note.text_n - 1] == '\n');
	if (checkpoint_parse(note.text, note.text_n, &c, NULL) == 0 && !c.extensions_n &&
	        c.origin_n <= NOTE_NAME_MAX) {
		char text[CHECKPOINT_TEXT_MAX];

		CHECK(checkpoint_print(&c, text) == note.text_n && memcmp(text, note.text, note.text_n) == 0);
	}
}

static void a_key(const char *p, size_t n)
{
	struct note_key k;
	char vkey[NOTE_VKEY_MAX];
	struct key secret;

	if (note_key_parse(p, n, &k, NULL) == 0) {
		note_key_print(&k, vkey);
		CHECK(strlen(vkey) == n && memcmp(vkey, p, n) == 0);
	}
	if (key_parse(p, n, NULL, &secret, NULL) == 0) {
		char text[KEY_FILE_MAX];

		CHECK(key_print(&secret, NULL, text) == n && memcmp(text, p, n) == 0);
	}
}

static void a_proof(const char *p, size_t n)
{
	struct tlogproof proof;
	struct addcheckpoint request;

	if (tlogproof_parse(p, n, &proof, NULL) == 0) {
		char *back = malloc(tlogproof_size(&proof));

		CHECK(back && tlogproof_print(&proof, back) == n && memcmp(back, p, n) == 0);
		free(back);
	}
	if (addcheckpoint_parse(p, n, &request, NULL) == 0) {
		char *back = malloc(addcheckpoint_size(&request));

		CHECK(back && addcheckpoint_print(&request, back) == n && memcmp(back, p, n) == 0);
		free(back);
	}
}

static void a_tile(const char *p, size_t n)
{
	char path[TILE_PATH_MAX];
	struct tile t;

	if (tile_parse(p, n, &t, NULL) == 0)
		CHECK(tile_path(&t, path) == n && memcmp(path, p, n) == 0);
}

static struct policy policy;

static void a_policy(const char *p, size_t n)
{
	bool has[POLICY_ITEMS_MAX] = {0};

	if (policy_parse(p, n, &policy, NULL) < 0)
		return;
	CHECK(policy.logs > 0);
	if (policy.quorum >= 0)
		CHECK(!policy_met(&policy, has));
	memset(has, true, sizeof(has));
	CHECK(policy_met(&policy, has));
}

static void a_receipt(const char *p, size_t n)
{
	static const char trusted[] =
	        "log example.com/elastic/log1+c3ebf752+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea\nquorum "
	        "none\n";
	const struct note_verifier v = {any_signature, NULL};
	const struct merkle_hash h = {one_hash, NULL};
	struct receipt_output out;
	struct receipt_head head;
	struct receipt_view r;
	struct growing g;

	CHECK(policy_parse(trusted, strlen(trusted), &policy, NULL) == 0);
	growing_init(&g, 64u << 10, 64u << 20);
	if (receipt_verify(&g.arena, &h, &v, &policy, p, n, &r, NULL) == 0) {
		for (size_t i = 0; receipt_output(&r, i, &out); i++)
			CHECK(out.name);
		for (size_t i = 0; receipt_head(&r, i, &head); i++)
			CHECK(head.checkpoint.size > r.entry);
	}
	growing_release(&g);
}

/* Entries follow one another, within the bundle. */
static void a_bundle(const char *p, size_t n)
{
	const uint8_t *bundle = (const uint8_t *)p, *entry;
	size_t at = 0, len, sum = 0;

	while (bundle_next(bundle, n, &at, &entry, &len)) {
		CHECK(entry == bundle + sum + 2 && len <= n - sum - 2);
		sum += 2 + len;
		CHECK(sum == at);
	}
	CHECK(at == sum && at <= n);
}

/* Any bytes as the tiles of a tree of any size: one hash for everything makes all of them right. */
struct any_tiles {
	const uint8_t *p;
	size_t n;
};

static int any_tile(void *ctx, const struct tile *t, const uint8_t *want, uint8_t (*out)[32], struct err *e)
{
	const struct any_tiles *a = ctx;

	CHECK(t->width >= 1 && t->width <= TILE_WIDTH && (want != NULL) == (t->width == TILE_WIDTH));
	if (a->n && a->p[(t->level * 7 + t->index) % a->n] == 255)
		return err_set(e, ERR_NOTFOUND, "no such tile");
	memset(out, a->n ? a->p[t->index % a->n] : 0, t->width * (size_t)32);
	return 0;
}

static void a_tree(const char *p, size_t n)
{
	static struct tiletree t;
	const struct merkle_hash h = {one_hash, NULL};
	struct any_tiles a = {(const uint8_t *)p, n};
	struct tiletree_source s = {any_tile, &a};
	struct proof_source proofs;
	uint64_t size = 0, index = 0;
	const uint8_t(*hash)[32];
	struct proof proof;
	uint8_t root[32] = {0};

	if (n < 16)
		return;
	memcpy(&size, p, 8);
	memcpy(&index, p + 8, 8);
	size >>= (uint8_t)p[15] % 60 + 1; /* logs have fewer than 2^63 entries */
	if (size == 1)                    /* its root is the leaf itself */
		return;
	if (tiletree_open(&t, &h, &s, size, root, NULL) < 0 || size == 0)
		return;
	index %= size;
	(void)tiletree_tile(&t, 0, index / TILE_WIDTH, &hash, NULL);
	proofs = tiletree_proofs(&t);
	if (proof_inclusion(&h, &proofs, index, size, &proof, NULL) == 0)
		CHECK(proof.n <= 64);
	(void)proof_consistency(&h, &proofs, index, size, &proof, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static void (*const all[])(const char *p, size_t n) = {
	        a_note, a_key, a_proof, a_tile, a_policy, a_receipt, a_bundle, a_tree};
	char *copy;

	if (n == 0)
		return 0;
	copy = malloc(n); /* exactly as long, so that a step past the end is seen */
	CHECK(copy);
	memcpy(copy, data + 1, n - 1);
	all[data[0] % (sizeof(all) / sizeof(all[0]))](copy, n - 1);
	free(copy);
	return 0;
}
