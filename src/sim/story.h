/* SPDX-License-Identifier: Apache-2.0 */
/* story - what the stories of osier-sim have in common: small jobs, calm days, and the books that they stand in. */
#ifndef OSIER_SIM_STORY_H
#define OSIER_SIM_STORY_H

#include "sim/sim.h"

/* A job of one step. 0: 1 cpu, no limits, no replicas, two of them agree. */
struct plain {
	uint64_t tasks, cpu, deadline_after_ns, run_timeout_ns;
	uint32_t retries, replicas, agree;
	bool realtime, worker, adaptive, fails_on_loss;
	const char *same;
	uint32_t gang; /* members */
	bool apart;    /* each on a node of its own */
	const Wire__Place *place;
	Wire__JobSpec__Pack pack;
	const Wire__Input *input;
	/* `disconnect`; lost_after_ns 0: 30 s. */
	uint64_t lost_after_ns, stop_after_ns;
	Wire__Disconnect__Replace replace;
	Wire__Disconnect__Reconcile reconcile;
};
/* Its number, or 0. A job that is not valid aborts. */
uint64_t story_submit(struct world *w, const struct plain *p);

/* Calm weather: nothing fails but what the story makes fail. One node; of a day, seed 7. */
struct world *story_calm(FILE *trace, uint64_t task_ns);
struct world *story_calm_day(FILE *trace, uint64_t task_ns, uint64_t seed);

/* Until nothing is left to happen. */
void story_run(struct world *w);
/* The same; then everything has finished, and the world is freed. */
void story_finish(struct world *w);

#define STORY(name)                                                                                          \
	{                                                                                                    \
#name, name, name##_expect                                                                   \
	}

#endif
