/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_snapshot - any bytes as a snapshot's header are refused or parsed to what fits: as they are, and with their digest put
 * right, which no mutation would ever hit.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "io/journal_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const uint8_t *bytes, size_t n)
{
	struct snapshot_header h;
	struct err e = {0};

	if (snapshot_header_parse(bytes, n, &h, &e) < 0) {
		CHECK(e.code == ERR_CORRUPT || e.code == ERR_VERSION);
		return;
	}
	CHECK(h.bytes <= n && h.bytes <= SNAPSHOT_HEADER_MAX);
	CHECK(h.frontier.size == h.seq);
	CHECK(h.bytes >= merkle_count(&h.frontier) * (size_t)MERKLE_HASH_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t fixed = 8 + 4 + 4 + 8 + 32;
	uint8_t copy[SNAPSHOT_HEADER_MAX];
	size_t body;

	parse(data, size);
	if (size < fixed || size > sizeof(copy))
		return 0;
	memcpy(copy, data, size);
	memcpy(copy, "osiersnp", 8);
	body = fixed + (size_t)(copy[12] % 65) * MERKLE_HASH_BYTES;
	if (body + SHA256_BYTES <= size)
		sha256_of(copy, body, copy + body);
	parse(copy, size);
	return 0;
}
