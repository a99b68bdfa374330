/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_keeper_msg - any packet is parsed without reading outside it, and what was parsed builds again. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "wire/keeper_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t again[KEEPER_PACKET_MAX];
	struct keeper_msg m;
	struct keeper_file f;
	struct err e;
	size_t at = 0;

	if (size > KEEPER_PACKET_MAX)
		return 0;
	while (keeper_msg_next(data, size, &at, &m, &e) == 1) {
		size_t n = 0, i = 0;
		uint32_t seen = 0;

		CHECK(keeper_msg_build(again, sizeof(again), &n, &m, &e) == 0);
		if (m.kind != KEEPER_START)
			continue;
		for (const char *s = NULL; (s = keeper_list_next(&m.u.start.env, s));)
			seen++;
		CHECK(seen == m.u.start.env.n);
		while (keeper_file_next(&m.u.start.inputs, &i, &f))
			CHECK(keeper_path_ok(f.path.p, f.path.n));
	}
	return 0;
}
