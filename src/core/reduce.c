/* SPDX-License-Identifier: Apache-2.0 */
/* reduce - the arithmetic of a reduction tree; see jobspec.h. Pure. */
#include "base/check.h"
#include "core/jobspec.h"

/* Groups of at most f that n things make; f = 0: one group. */
static uint64_t groups(uint64_t n, uint32_t f)
{
	return f == 0 ? 1 : n / f + (n % f != 0);
}

uint64_t reduce_tasks(uint64_t n, uint32_t fan_in)
{
	uint64_t sum = 0;

	CHECK(fan_in != 1);
	if (n == 0)
		return 0;
	do {
		n = groups(n, fan_in);
		sum += n;
	} while (n > 1);
	return sum;
}

void reduce_inputs(
        uint64_t n, uint32_t fan_in, uint64_t task, bool *from_map, uint64_t *first, uint64_t *count)
{
	uint64_t below = n, level = groups(n, fan_in), base = 0, i = task;

	CHECK(fan_in != 1 && n > 0);
	*from_map = true;
	while (i >= level) { /* base: number of the first node one level down */
		i -= level;
		base = *from_map ? 0 : base + below;
		*from_map = false;
		CHECK(level > 1);
		below = level;
		level = groups(below, fan_in);
	}
	*first = fan_in == 0 ? 0 : i * fan_in;
	*count = fan_in == 0 || below - *first < fan_in ? below - *first : fan_in;
	*first += base;
}

uint64_t reduce_parent(uint64_t n, uint32_t fan_in, bool from_map, uint64_t i)
{
	uint64_t level = groups(n, fan_in), base = 0;

	CHECK(fan_in != 1 && n > 0);
	if (from_map) {
		CHECK(i < n);
		return fan_in == 0 ? 0 : i / fan_in;
	}
	while (i >= level) { /* base: number of the level's first node */
		CHECK(level > 1);
		i -= level;
		base += level;
		level = groups(level, fan_in);
	}
	if (level == 1)
		return UINT64_MAX;
	return base + level + i / fan_in;
}
