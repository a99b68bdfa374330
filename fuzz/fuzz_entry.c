/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_entry - any bytes as an entry or a job specification are refused or decoded; what is decoded can be encoded and is the same. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "core/jobspec.h"
#include "wire/entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(16) uint8_t mem[8 << 20], mem2[8 << 20];
static uint8_t bytes[4 << 20], again[4 << 20];

static void entry(const uint8_t *data, size_t size)
{
	struct arena a, b;
	struct err e = {0};
	const Wire__Entry *en, *en2;
	size_t n;

	arena_init(&a, mem, sizeof(mem));
	arena_init(&b, mem2, sizeof(mem2));
	if (entry_decode(&a, data, size, &en, &e) < 0) {
		CHECK(e.code == ERR_CORRUPT || e.code == ERR_VERSION || e.code == ERR_FULL);
		CHECK(e.msg[0]);
		return;
	}
	n = entry_size(en);
	CHECK(strcmp(entry_kind_name(en), "unknown") != 0);
	CHECK(n <= sizeof(bytes) && entry_encode(en, bytes) == n);
	if (en->body_case == WIRE__ENTRY__BODY_RESULTS)
		for (uint64_t i = 0; i < en->results->count && i < 1000; i++)
			CHECK(RESULT_COLUMN(en->results, outcome, i) <= WIRE__OUTCOME__STOPPED);
	if (entry_decode(&b, bytes, n, &en2, &e) ==
	        0) /* its arena may be too small: unpacked columns need less */
		CHECK(entry_size(en2) == n && entry_encode(en2, again) == n && memcmp(bytes, again, n) == 0);
	else
		CHECK(e.code == ERR_FULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const Wire__JobSpec *spec;
	struct err e = {0};
	struct arena a;

	entry(data, size);
	arena_init(&a, mem, sizeof(mem));
	if (jobspec_decode(&a, data, size, &spec, &e) == 0 && jobspec_check(spec, &e) < 0)
		CHECK(e.msg[0]);
	return 0;
}
