/* SPDX-License-Identifier: Apache-2.0 */
/* anchor_code - src/anchor/Anchor.hex as bytes; see evm.h. anchor_code.inc is made by meson. */
#include "core/evm.h"

static const uint8_t code[] = {
#include "core/anchor_code.inc"
};

const uint8_t *evm_anchor_code(size_t *out_n)
{
	_Static_assert(sizeof(code) <= EVM_DATA_MAX, "the contract's code fits a transaction");
	*out_n = sizeof(code);
	return code;
}
