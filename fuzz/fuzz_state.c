/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_state - any bytes as a saved state are refused or loaded; never a crash, never memory beyond the engine's region. */
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/check.h"
#include "core/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct engine_limits l = engine_limits_default(16u << 20);
	struct err e = {0};
	struct engine *g;
	void *mem = mmap(NULL, l.memory_bytes, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(mem != MAP_FAILED);
	g = engine_new(mem, &l);
	CHECK(g);
	if (engine_load(g, data, size, &e) < 0)
		CHECK(e.msg[0] && (e.code == ERR_CORRUPT || e.code == ERR_VERSION || e.code == ERR_FULL));
	else
		(void)engine_digest(g);
	CHECK(munmap(mem, l.memory_bytes) == 0);
	return 0;
}
