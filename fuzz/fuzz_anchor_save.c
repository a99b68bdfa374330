/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_anchor_save - any bytes as a kept anchor are refused or resumed; what is resumed is kept as the same bytes. The checksum,
 * which no fuzzer guesses, is put right first. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "core/anchor.h"
#include "core/keccak.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[ANCHOR_SAVE_MAX + 64], again[ANCHOR_SAVE_MAX];
	static struct anchor a;
	/* those of the corpus */
	static const uint8_t contract[20] = {0x5f, 0xbd, 0xb2, 0x31, 0x56, 0x78, 0xaf, 0xec, 0xb3, 0x67, 0xf0,
	        0x32, 0xd9, 0x3f, 0x64, 0x2f, 0x64, 0x18, 0x0a, 0xa3};
	static const uint8_t from[20] = {0xf3, 0x9f, 0xd6, 0xe5, 0x1a, 0xad, 0x88, 0xf6, 0xf4, 0xce, 0x6a,
	        0xb8, 0x82, 0x72, 0x79, 0xcf, 0xff, 0xb9, 0x22, 0x66};
	struct anchor_config c;
	struct anchor_todo todo;
	struct anchor_view v;
	struct err e = {0};

	if (size > sizeof(bytes) - 40)
		return 0;
	memcpy(bytes, "OSANCHR1", 8);
	memcpy(bytes + 8, data, size);
	keccak256(bytes, 8 + size, bytes + 8 + size);
	anchor_config_usual(&c);
	c.chain_id = 31337;
	memcpy(c.contract, contract, sizeof(contract));
	memcpy(c.from, from, sizeof(from));
	if (anchor_resume(&a, &c, bytes, size + 40, 1, &e) < 0) {
		CHECK(e.msg[0]);
		return 0;
	}
	CHECK(anchor_save(&a, again) == size + 40 && memcmp(again, bytes, size + 40) == 0);
	(void)anchor_next(&a, 1, &todo);
	anchor_view(&a, &v);
	return 0;
}
