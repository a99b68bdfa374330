/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_sources - any step as one whose table came over a link: it is refused, or each of its files can be asked for, and each cut of it is one, too. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "core/sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(16) uint8_t mem[8 << 20];

static void on_blob(void *ctx, const uint8_t digest[32], uint64_t bytes)
{
	uint64_t *sum = ctx;

	*sum += bytes + digest[0] + digest[31];
}

static uint64_t read_all(const Wire__Sources *s)
{
	uint8_t *pack = s->pack.len ? mem + sizeof(mem) - SOURCE_PACK_MAX : NULL;
	uint64_t sum = 0;

	CHECK(sources_small(s) <= SOURCE_PACK_MAX);
	for (size_t t = 0; t < s->n_count && t < 64; t++)
		for (uint32_t i = 0; i < sources_count(s, t); i++) {
			struct source_view v;

			sources_at(s, t, i, pack, &v);
			if (v.data && v.bytes)
				sum += v.data[0] + v.data[v.bytes - 1];
			sum += v.sha256[31];
		}
	sources_blobs(s, on_blob, &sum);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Wire__Step *st;
	struct arena a;
	struct err e = {0};

	if (size < 2)
		return 0;
	st = wire__step__unpack(NULL, size - 2, data + 2);
	if (!st)
		return 0;
	if (sources_ok(st, &e) < 0) {
		CHECK(e.msg[0]);
	} else if (st->sources) {
		Wire__Sources *whole = st->sources, *cut;
		uint64_t first = data[0] % (whole->n_count + 1), n = data[1] % (whole->n_count - first + 1);

		(void)read_all(whole);
		arena_init(&a, mem, sizeof(mem) - SOURCE_PACK_MAX);
		cut = sources_cut(whole, first, n, &a);
		if (cut) {
			st->sources = cut;
			st->tasks = n;
			CHECK(sources_ok(st, &e) == 0);
			(void)read_all(cut);
			st->sources = whole;
		}
	}
	wire__step__free_unpacked(st, NULL);
	return 0;
}
