/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock - the time since 1970 that never goes back.
 *
 * Not the wall clock: it starts from it, then runs with CLOCK_BOOTTIME, so that a wall clock that is set back neither stops
 * timers nor makes entries older than the ones before. When the wall is set forward (NTP after boot) it follows at once; when
 * the wall is behind, it loses a sixteenth of the time that passes until the wall has caught up.
 * Single-threaded. Invariant: what clock_now_ns() returns is never less than what it or clock_init() saw before.
 */
#ifndef OSIER_IO_CLOCK_H
#define OSIER_IO_CLOCK_H

#include <stdint.h>

struct clock {
	uint64_t now_ns;  /* the last answer */
	uint64_t boot_ns; /* CLOCK_BOOTTIME then */
};

/* not_before_ns: the newest time in the journal, 0 none. */
void clock_init(struct clock *c, uint64_t not_before_ns);

/* Reads both clocks. */
uint64_t clock_now_ns(struct clock *c);

/* The pure part, for tests: what the next answer is when the two clocks say this. */
uint64_t clock_step(struct clock *c, uint64_t boot_ns, uint64_t wall_ns);

/* The wall as it is (CLOCK_REALTIME), for talking to others about it. */
uint64_t clock_wall_ns(void);

/* CLOCK_MONOTONIC: for pauses and limits of time alone. */
uint64_t clock_mono_ns(void);

#endif
