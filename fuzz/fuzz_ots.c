/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_ots - any bytes as a proof of OpenTimestamps, whole or a calendar's part of one, are refused or read; what is told of the places of
 * attestations holds, and a completed proof can be read. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "core/ots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ots_reader reader;
static struct ots_attestation first;
static size_t last_end, told;

static void visit(void *ctx, const struct ots_attestation *a)
{
	(void)ctx;
	CHECK(a->at >= last_end && a->end > a->at && a->message_n <= OTS_MESSAGE_MAX &&
	        a->uri_n <= OTS_URI_MAX);
	last_end = a->end;
	if (told++ == 0)
		first = *a;
}

static bool no_hash(void *ctx, enum ots_op op, const uint8_t *p, size_t n, uint8_t out[20])
{
	(void)ctx;
	CHECK(op == OTS_SHA1 || op == OTS_RIPEMD160);
	memset(out, n ? p[0] : 0, 20);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t bitcoin[] = {0x00, 0x05, 0x88, 0x96, 0x0d, 0x73, 0xd7, 0x19, 0x01, 1, 5};
	static uint8_t out[OTS_FILE_MAX + 64];
	struct ots_file f;
	struct err e = {0};
	uint8_t zero[32] = {0};
	size_t n;

	reader.hash = no_hash;
	reader.visit = visit;
	last_end = told = 0;
	if (ots_read_timestamp(&reader, data, size, zero, 32, &e) < 0)
		CHECK(e.msg[0]);
	last_end = told = 0;
	if (ots_read(&reader, data, size, &f, &e) < 0) {
		CHECK(e.msg[0]);
		return 0;
	}
	CHECK(told > 0 && last_end == size);
	n = ots_complete(data, size, &first, (struct ots_piece){bitcoin, sizeof(bitcoin)}, out, sizeof(out));
	CHECK(n == size + sizeof(bitcoin) + 1);
	told = last_end = 0;
	CHECK(n > OTS_FILE_MAX || ots_read(&reader, out, n, &f, &e) == 0 || e.code == ERR_FULL);
	return 0;
}
