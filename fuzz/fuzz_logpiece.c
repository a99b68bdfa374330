/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_logpiece - any bytes as a piece of a node's log. No crash; a piece that is read is written again to the same bytes; and of all pieces a
 * mirror takes only the one that leads to the head that was cosigned.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/logpiece.h"
#include "io/ed25519.h"
#include "io/mirrored.h"
#include "io/sha256.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char origin[] = "plant/log";
static char dir[64];
static struct policy keys;
static struct witness_last head;
static uint8_t piece[4096];
static size_t piece_n;

static void drop(void)
{
	char cmd[100];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	(void)!system(cmd);
}

/* A log of three entries, of which the second was dropped, and a key for it. */
static size_t items(struct merkle_frontier *tree, uint8_t *out)
{
	struct sha256 *sha = sha256_new();
	struct merkle_hash h = sha256_merkle(sha);
	size_t n = 0;

	merkle_init(tree);
	for (uint8_t i = 0; i < 3; i++) {
		uint8_t entry[5] = {8, i, 1, 2, 3}, leaf[32];

		merkle_leaf(&h, entry, 5, leaf);
		merkle_append(tree, &h, leaf);
		n += logpiece_put(out + n, i == 1 ? NULL : entry, 5, leaf);
	}
	head.size = 3;
	merkle_root(tree, &h, head.root);
	sha256_free(sha);
	return n;
}

static void begin(void)
{
	struct checkpoint c = {.origin = origin, .origin_n = sizeof(origin) - 1, .size = 3};
	struct logpiece p = {.from = 0, .count = 3, .head = {.old = 3}};
	uint8_t seed[32] = {7}, pub[32], sig[64], body[512];
	char text[2048], vkey[NOTE_VKEY_MAX], line[300];
	struct merkle_frontier tree;
	struct note_key k;
	size_t n = items(&tree, body), m;

	ed25519_public(seed, pub);
	note_key_make(origin, NOTE_ED25519, pub, &k);
	note_key_print(&k, vkey);
	m = (size_t)snprintf(line, sizeof(line), "log %s\nquorum none\n", vkey);
	CHECK(policy_parse(line, m, &keys, NULL) == 0);
	memcpy(c.root, head.root, 32);
	m = checkpoint_print(&c, text);
	ed25519_sign(seed, text, m, sig);
	text[m] = '\n';
	p.head.note = text;
	p.head.note_n = m + 1 + note_line(&k, 0, sig, text + m + 1);
	piece_n = logpiece_front(&p, piece);
	memcpy(piece + piece_n, body, n);
	piece_n += n;
	(void)snprintf(dir, sizeof(dir), "/tmp/osier-fuzz-XXXXXX");
	CHECK(mkdtemp(dir));
	(void)atexit(drop);
}

static void again(const struct logpiece *p, const uint8_t *data, size_t n)
{
	uint8_t *out = malloc(logpiece_front_size(&p->head) + p->items_n);
	struct logpiece_item item;
	size_t m, at = 0;

	CHECK(out);
	m = logpiece_front(p, out);
	while (logpiece_next(p, &at, &item))
		m += logpiece_put(out + m, item.bytes, item.n, item.leaf);
	CHECK(m == n && memcmp(out, data, n) == 0);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct mirrored_limits limits = {.bytes_max = 1 << 20, .now_s = 1};
	struct logpiece p;
	struct mirrored *m;
	struct err e = {0};
	char sub[80];

	if (!piece_n)
		begin();
	if (logpiece_parse(data, n, &p, &e) < 0) {
		CHECK(e.msg[0]);
		return 0;
	}
	again(&p, data, n);
	(void)snprintf(sub, sizeof(sub), "%s/m", dir);
	CHECK(mirrored_open(sub, &m, &e) == 0);
	if (mirrored_take(m, data, n, &keys, &head, &limits, &e) == 0) {
		CHECK(n == piece_n && memcmp(data, piece, n) == 0);
		(void)snprintf(sub, sizeof(sub), "%s/m/taken", dir);
		CHECK(remove(sub) == 0);
	}
	mirrored_close(m);
	return 0;
}
