/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what logs and witnesses say to each other. No crash; a request that is read is written again to the same bytes, one
 * that is cosigned extends what was cosigned, and a line that is taken stands in the answer. Signatures and hashes are taken for right, so
 * that what lies behind them is reached. The first byte says what the rest is, and what was cosigned before.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/witness.h"

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

static void one_hash(void *ctx, const void *a, size_t an, const void *b, size_t bn, uint8_t out[32])
{
	(void)ctx;
	(void)a;
	(void)an;
	(void)b;
	(void)bn;
	memset(out, 0, 32);
}

static const struct note_verifier verifier = {any_signature, NULL};
static const char log_vkey[] =
        "example.com/elastic/log1+c3ebf752+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";
static const char witness_vkey[] =
        "example.com/elastic/node-2+0c805605+BD1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM";

static void a_request(const char *p, size_t n, uint8_t how)
{
	static struct policy logs;
	const struct merkle_hash h = {one_hash, NULL};
	struct witness_last last = {.size = how % 16};
	struct witness_request r;
	char text[256], *back;
	bool fork;

	CHECK(policy_parse(text, (size_t)snprintf(text, sizeof(text), "log %s\nquorum none\n", log_vkey),
	              &logs, NULL) == 0);
	if (witness_read(&logs, &verifier, p, n, &r, NULL) != WITNESS_COSIGNED)
		return;
	CHECK(r.body.old <= r.head.size && r.note.text_n <= WITNESS_TEXT_MAX);
	back = malloc(addcheckpoint_size(&r.body));
	CHECK(back && addcheckpoint_print(&r.body, back) == n && memcmp(back, p, n) == 0);
	free(back);
	if (witness_decide(&h, &last, &r, &fork, NULL) == WITNESS_COSIGNED) {
		CHECK(!fork && r.body.old == last.size && r.head.size >= last.size);
		CHECK(r.head.size > last.size || memcmp(r.head.root, last.root, 32) == 0);
	}
}

static void an_answer(const char *p, size_t n, uint8_t how)
{
	static const char head[] =
	        "example.com/elastic/log1\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n";
	struct note note = {.text = head, .text_n = sizeof(head) - 1};
	char line[NOTE_LINE_MAX];
	struct note_key k;
	uint64_t time_s;

	(void)how;
	CHECK(note_key_parse(witness_vkey, sizeof(witness_vkey) - 1, &k, NULL) == 0);
	if (witness_line(&note, &k, &verifier, p, n, line, &time_s, NULL) < 0)
		return;
	CHECK(time_s > 0 && memmem(p, n, line, strlen(line)));
}

static void a_size(const char *p, size_t n, uint8_t how)
{
	char text[32];
	uint64_t v;

	(void)how;
	if (!witness_size(p, n, &v))
		return;
	CHECK((size_t)snprintf(text, sizeof(text), "%llu\n", (unsigned long long)v) == n);
	CHECK(memcmp(text, p, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static void (*const all[])(const char *p, size_t n, uint8_t how) = {a_request, an_answer, a_size};
	char *copy;

	if (n == 0)
		return 0;
	copy = malloc(n); /* exactly as long, so that a step past the end is seen */
	CHECK(copy);
	memcpy(copy, data + 1, n - 1);
	all[data[0] % 3](copy, n - 1, data[0] / 3);
	free(copy);
	return 0;
}
