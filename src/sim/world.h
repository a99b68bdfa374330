/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world - a simulated machine room that drives the real core: clock, disk, executor, faults, all from one seed.
 *
 * The world does what the shells do (engine/node.h): commands are decided and applied, entries go to a disk that takes time,
 * answers and effects wait until they are durable. It can kill the engine between any two entries (what is not durable is
 * gone), kill the keeper (what runs is gone), lose and double messages, slow the disk down, and make tasks fail, crash, hang or lie.
 * After every step it checks, by its own books, what must always hold (world_check()).
 * Single-threaded; the same seed gives the same world on every machine.
 */
#ifndef OSIER_SIM_WORLD_H
#define OSIER_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/prng.h"
#include "core/engine.h"

#define SIM_MS 1000000ull
#define SIM_S  1000000000ull

/* Chances are per thousand. */
struct faults {
	uint32_t engine_kill, keeper_kill; /* per step */
	uint32_t lose, twice;              /* per message from the executor */
	uint32_t task_fails, task_hangs, worker_crashes, task_lies;
	uint64_t disk_ns_max;  /* a commit takes up to this */
	uint32_t disk_stalls;  /* per commit: it takes a hundred times as long */
	uint32_t disk_fails;   /* per commit: it fails for good, and the engine stops and starts again */
	uint32_t clock_jumps;  /* per step: the wall clock is set hours forward */
	uint32_t clock_back;   /* per step: it is set hours back */
	uint64_t clock_ns_max; /* by so much at most; 0: an hour */
	uint32_t clock_drift;  /* clocks are fast or slow by up to so many millionths */
	uint64_t task_ns_max;  /* how long tasks take */
	bool task_exact;       /* all of them that long */
	uint32_t cuts, heals;  /* per step: of the cable to some node, where nodes have joined */
	uint32_t node_kill;    /* per step: some node but the first is switched off and on */
};

struct world;

/* A world with `nodes` machines of 4 cpus, 8 GiB and 2 gpus each. trace: where the narration goes, or NULL. */
struct world *world_new(uint64_t seed, const struct faults *f, uint32_t nodes, FILE *trace);
void world_free(struct world *w);

/* The same, but all nodes except the first have joined it, and can be cut off. */
struct world *world_new_fleet(uint64_t seed, const struct faults *f, uint32_t nodes, FILE *trace);

struct engine *world_engine(struct world *w);
struct prng *world_prng(struct world *w);
uint32_t world_nodes(const struct world *w);
bool world_is_fleet(const struct world *w);
bool world_has_links(const struct world *w); /* that, or it is a machine of one (fleet.h) */
/* On how many nodes members of a gang can run whenever all is well; UINT32_MAX: the core knows, and refuses what never fits. */
uint32_t world_gang_nodes(const struct world *w);
uint64_t world_now_ns(const struct world *w); /* since the world began */
void world_set_faults(struct world *w, const struct faults *f);

/* Ask the core; the answer comes when it is durable, if the engine lives that long. Returns the job of a SUBMIT, or 0. */
uint64_t world_submit(struct world *w, const Wire__JobSpec *spec);
/* The same with an idempotency key: a second time it must be the same job. */
uint64_t world_submit_key(struct world *w, const Wire__JobSpec *spec, const char *key);
/* The machine is drained or comes back, with this many quarters of what it had at first. */
/* Of a machine of a fleet: the label "class" of its node, and what jobs there may ask of it: what some node at or below it has. Both borrowed. */
void world_class(struct world *w, const char *is, const char *wanted);
const char *world_wanted(const struct world *w);
void world_node(struct world *w, uint32_t node, Wire__NodeSet__State state, uint32_t quarters);
/* Root sets the weight and the quotas (0: none) of a namespace. */
void world_namespace(struct world *w, const char *name, uint32_t weight, uint64_t cpu, uint64_t gpu);
/* Root sets a quota of cpu, of which nodes that join have a part: `local` for good, the rest for lend_ns (0: as long as usual). */
void world_quota(struct world *w, const char *name, uint64_t cpu, uint64_t local, uint64_t lend_ns);
void world_command(struct world *w, const struct command *cmd);
/* What its engine takes for the time since 1970: io/clock.h over a wall clock that is wrong, and set now and then. */
uint64_t world_clock_ns(struct world *w);
/* The wall clock is set, by so much. */
void world_clock_set(struct world *w, int64_t by_ns);
void world_kill_engine(struct world *w);
void world_kill_keeper(struct world *w);
/* Of a fleet. Nothing passes between the node and the engine, which notices after noticed_ns; until the cable is whole again. */
void world_cut(struct world *w, uint32_t node, uint64_t noticed_ns);
void world_heal(struct world *w, uint32_t node);
void world_kill_node(struct world *w, uint32_t node);
/* Every task with this number in step 0 of any job kills its worker. */
void world_poison(struct world *w, uint64_t task);
/* From now on the node answers `lie` whatever its task is; 0: it is honest again. Nodes with the same lie collude. */
void world_liar(struct world *w, uint32_t node, uint8_t lie);
enum world_guile {
	WORLD_HONEST,
	WORLD_COPIES, /* it runs nothing: it says what the journal says of another replica, or guesses wrong */
	WORLD_SWITCHES, /* it guesses, and when it is to reveal it says what another replica revealed */
	WORLD_MUTE,     /* it commits, and never reveals */
};
void world_guile(struct world *w, uint32_t node, enum world_guile g);
/* Say nothing but what world_tell() and world_tell_step() are asked, or all again. */
void world_mute(struct world *w, bool mute);
/* Narrate what became of the tasks of a verified step, in numbers, and what its nodes have earned. */
void world_tell_step(struct world *w, uint64_t job, uint32_t step);
/* Narrate what became of a task of a verified step: who answered what, which answer counts, and whether it is true. */
void world_tell(struct world *w, uint64_t job, uint32_t step, uint64_t task);

/* Let the next thing happen; false: nothing is left to happen. */
bool world_step(struct world *w);
/* Until this time, or until nothing is left to happen. */
void world_run_until(struct world *w, uint64_t ns);

/* CHECK the invariants: no acknowledged job lost, nothing committed twice, nothing run twice at a time, no node
 * oversubscribed, replay equals state (`deep`), and when nothing is left to happen: nothing runnable waits. */
void world_check(struct world *w, bool deep);
/* Every job that was acknowledged has finished. */
void world_check_all_finished(struct world *w);

struct world_counts {
	uint64_t steps, entries, kills, keeper_kills, forgotten, jobs, acked, results, stale, leases, late,
	        cuts, below; /* below: leases for a class of nodes below another */
};
void world_counts(const struct world *w, struct world_counts *out);

#endif
