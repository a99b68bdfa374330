/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_jsonrpc - any bytes as an answer of a chain's node are refused, or read into something whole. The first byte picks the question. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "io/anchor_rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct anchor_rpc rpc;
	struct anchor_ask q = {.at = ANCHOR_LATEST};
	struct jsonrpc_answer a;
	struct anchor_answer out;
	struct err e = {0};

	if (size == 0)
		return 0;
	q.q = (enum anchor_question)(data[0] % (ANCHOR_Q_RECEIPT + 1));
	if (jsonrpc_read(data + 1, size - 1, 1, &a, &e) < 0) {
		CHECK(e.code == ERR_CORRUPT && e.msg[0]);
		return 0;
	}
	for (const char *c = a.said; *c; c++)
		CHECK(*c >= ' ' && *c < 0x7f);
	anchor_rpc_read(&rpc, &q, &a, &out);
	CHECK(out.got != ANCHOR_TROUBLE || out.trouble->msg[0]);
	CHECK(!out.receipt || out.receipt->logs <= ANCHOR_LOGS_MAX);
	jsonrpc_clear(&a);
	return 0;
}
