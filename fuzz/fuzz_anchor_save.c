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
	c.chain_id = 1;
	if (anchor_resume(&a, &c, bytes, size + 40, 1, &e) < 0) {
		CHECK(e.msg[0]);
		return 0;
	}
	CHECK(anchor_save(&a, again) == size + 40 && memcmp(again, bytes, size + 40) == 0);
	(void)anchor_next(&a, 1, &todo);
	anchor_view(&a, &v);
	return 0;
}
