/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_rlp - any bytes as RLP or as a transaction are refused or read; what is read is written as the same bytes. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "core/evm.h"
#include "core/rlp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t out[1 << 16];

/* Copy the items of r to w; false: not RLP, or too deep for the writer. */
static bool copy(struct rlp_in *r, struct rlp_out *w, unsigned depth)
{
	struct rlp_item item;
	struct err e;

	while (r->left) {
		if (rlp_next(r, &item, &e) < 0) {
			CHECK(e.code == ERR_CORRUPT && e.msg[0]);
			return false;
		}
		if (item.kind == RLP_STRING) {
			rlp_string(w, item.p, item.n);
			continue;
		}
		if (depth == RLP_DEPTH_MAX)
			return false;
		rlp_list_begin(w);
		struct rlp_in inner = {item.p, item.n};
		if (!copy(&inner, w, depth + 1))
			return false;
		rlp_list_end(w);
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rlp_in r = {data, size};
	struct evm_sig sig;
	struct rlp_out w;
	struct evm_tx t;
	struct err e;

	rlp_begin(&w, out, sizeof(out));
	if (size <= sizeof(out) && copy(&r, &w, 0))
		CHECK(w.full || (rlp_end(&w) == size && (size == 0 || memcmp(out, data, size) == 0)));
	if (evm_tx_parse(data, size, &t, &sig, &e) == 0) {
		size_t n = evm_tx_raw(&t, &sig, out, sizeof(out), NULL);

		CHECK(n == size && memcmp(out, data, size) == 0);
		CHECK(evm_tx_gas_least(&t) >= 21000);
	}
	return 0;
}
