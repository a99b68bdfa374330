/* SPDX-License-Identifier: Apache-2.0 */
/* clock - see clock.h. */
#include "io/clock.h"

#include <time.h>

#include "base/check.h"

#define SLEW 16u

static uint64_t read_ns(clockid_t id)
{
	struct timespec ts;

	CHECK(clock_gettime(id, &ts) == 0);
	return ts.tv_sec < 0 ? 0 : (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t clock_wall_ns(void)
{
	return read_ns(CLOCK_REALTIME);
}

uint64_t clock_mono_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_step(struct clock *c, uint64_t boot_ns, uint64_t wall_ns)
{
	uint64_t passed = boot_ns > c->boot_ns ? boot_ns - c->boot_ns : 0;
	uint64_t now = c->now_ns + passed;

	if (wall_ns >= now) {
		now = wall_ns;
	} else {
		uint64_t ahead = now - wall_ns, lose = passed / SLEW;

		now -= lose < ahead ? lose : ahead;
	}
	CHECK(now >= c->now_ns);
	c->now_ns = now;
	c->boot_ns = boot_ns > c->boot_ns ? boot_ns : c->boot_ns;
	return now;
}

void clock_init(struct clock *c, uint64_t not_before_ns)
{
	uint64_t wall = read_ns(CLOCK_REALTIME);

	c->boot_ns = read_ns(CLOCK_BOOTTIME);
	c->now_ns = wall > not_before_ns ? wall : not_before_ns;
}

uint64_t clock_now_ns(struct clock *c)
{
	return clock_step(c, read_ns(CLOCK_BOOTTIME), read_ns(CLOCK_REALTIME));
}
