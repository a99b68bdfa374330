/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a DSSE envelope. No crash; what is accepted says the same when it is written again and read back, and what is
 * signed of it is as long as it was said to be.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/dsse.h"
#include "io/growing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool wants_pae(void *ctx, const uint8_t key[32], const void *msg, size_t n, const uint8_t sig[64])
{
	(void)ctx;
	(void)key;
	(void)sig;
	CHECK(n > 7 && memcmp(msg, "DSSEv1 ", 7) == 0);
	return false;
}

static void same(const struct dsse *a, const struct dsse *b)
{
	CHECK(a->type_n == b->type_n && memcmp(a->type, b->type, a->type_n) == 0);
	CHECK(a->payload_n == b->payload_n && memcmp(a->payload, b->payload, a->payload_n) == 0);
	CHECK(a->sigs == b->sigs);
	for (unsigned i = 0; i < a->sigs; i++)
		CHECK(a->sig[i].sig_n == b->sig[i].sig_n &&
		        memcmp(a->sig[i].sig, b->sig[i].sig, a->sig[i].sig_n) == 0 &&
		        strcmp(a->sig[i].keyid, b->sig[i].keyid) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct note_verifier v = {wants_pae, NULL};
	static struct dsse d, again;
	enum note_verdict verdict;
	uint8_t key[32] = {0};
	struct growing g;
	char *text;
	size_t len;

	growing_init(&g, 64u << 10, 64u << 20);
	text = malloc(n + !n); /* exactly as long, so that a step past the end is seen */
	CHECK(text);
	if (n)
		memcpy(text, data, n);
	if (dsse_parse(&g.arena, text, n, &d, NULL) == 0) {
		char *back;

		len = dsse_print(&d, NULL, 0);
		back = malloc(len);
		CHECK(back && dsse_print(&d, back, len) == len);
		CHECK(dsse_parse(&g.arena, back, len, &again, NULL) == 0);
		same(&d, &again);
		CHECK(dsse_verify(&g.arena, &d, key, &v, &verdict, NULL) == 0 && verdict != NOTE_SIGNED);
		free(back);
	}
	free(text);
	growing_release(&g);
	return 0;
}
