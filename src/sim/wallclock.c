/* SPDX-License-Identifier: Apache-2.0 */
/* wallclock - what the engine of a simulated machine takes for the time: io/clock.h, over clocks that drift and are set; see world.h. */
#include "sim/world_state.h"

uint64_t world_clock_ns(struct world *w)
{
	uint64_t passed =
	        w->now > w->boot_at ? w->now - w->boot_at : 0; /* a machine added later begins before that */

	w->boot += (uint64_t)((int64_t)passed + (int64_t)passed / 1000000 * w->drift);
	w->boot_at += passed;
	return clock_step(&w->clock, w->boot, w->boot + (uint64_t)w->wall);
}

void world_clock_set(struct world *w, int64_t by_ns)
{
	(void)world_clock_ns(w);
	w->wall += by_ns;
	w->leapt |= w->boot + (uint64_t)w->wall > w->clock.now_ns;
}

void world_clock_boot(struct world *w)
{
	uint64_t was = world_clock_ns(w), newest = 0, wall = w->boot + (uint64_t)w->wall;

	if (w->n_disk) {
		const Wire__Entry *en;
		struct arena a;
		struct err e;

		arena_init(&a, w->scratch, SCRATCH_BYTES);
		CHECK(entry_decode(&a, w->disk[w->n_disk - 1].bytes, w->disk[w->n_disk - 1].n, &en, &e) == 0);
		newest = en->time_ns;
	}
	w->clock = (struct clock){wall > newest ? wall : newest, w->boot};
	w->leapt |= w->clock.now_ns < was;
}

void world_clock_wrong(struct world *w)
{
	uint64_t most = w->faults.clock_ns_max ? w->faults.clock_ns_max : 3600 * SIM_S;

	if (world_chance(w, w->faults.clock_jumps))
		world_clock_set(w, (int64_t)(prng_below(&w->prng, most / SIM_S) * SIM_S));
	if (world_chance(w, w->faults.clock_back))
		world_clock_set(w, -(int64_t)(prng_below(&w->prng, most / SIM_S) * SIM_S));
}
