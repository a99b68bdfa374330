/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fleet - a tree of simulated machines, each a world of its own (world.h), and the network between them.
 *
 * Machine 0 is the root. Links are the real ones (core/link.h); the network loses, doubles, delays and reorders what they say, is cut
 * in one direction or both for days, and comes back; it may keep a frame for days. Machines are killed, lost for good while another goes on with
 * their record, and their disks go back in time. Clocks show different times, are fast or slow, and are set forward and back.
 * Besides what each world checks by itself: every task submitted at the root is committed there once, with the result that its machine
 * has; a child runs nothing that its hub has not granted durably; nothing is told or acknowledged that is not durable; what a link
 * keeps is bounded; who cosigns heads of a log never cosigns two that contradict each other, and raises an alarm when the log's disk went back,
 * and only then; and when all is well again, nothing of a hub's is left over anywhere, and each result of a lease stands in the hub's journal as
 * in the child's.
 */
#ifndef OSIER_SIM_FLEET_H
#define OSIER_SIM_FLEET_H

#include "core/link.h"
#include "sim/world.h"

#define MACHINES_MAX 12u

/* Chances are per thousand. */
struct weather {
	uint32_t lose, twice;  /* per frame */
	uint64_t delay_ns_max; /* of a frame; with it comes disorder */
	uint32_t hold;         /* per frame: it comes up to hold_ns_max later */
	uint64_t hold_ns_max;
	uint32_t cut, cut_way;  /* per step: some link in both directions, or in one only */
	uint32_t flap;          /* per step: a link is cut and back at once */
	uint64_t cut_ns_max;    /* for so long */
	uint32_t rollback;      /* per step: some child's disk goes back in time */
	uint32_t rollback_root; /* per step: the root's does */
	uint32_t take_over;     /* per step: some machine is lost, and another goes on with its record */
	bool rejoins;           /* somebody sees that a link was refused, and joins the machine again */
};

struct fleet;

struct fleet *fleet_new(uint64_t seed, const struct faults *f, const struct weather *weather, FILE *trace);
void fleet_free(struct fleet *f);
/* A machine more, which joins `hub` (machine number; the first machine has none). Returns its number. */
uint32_t fleet_add(struct fleet *f, const char *name, uint32_t hub);
uint32_t fleet_machines(const struct fleet *f);
struct world *fleet_world(struct fleet *f, uint32_t machine);
void fleet_set(struct fleet *f, const struct faults *faults, const struct weather *weather);
uint64_t fleet_now_ns(const struct fleet *f);
struct prng *fleet_prng(struct fleet *f);

/* The machine joins its hub again ('osier join'). */
void fleet_join(struct fleet *f, uint32_t machine);
/* The link between a machine and its hub is cut, for so long (UINT64_MAX: until fleet_mend()); up, down: which way nothing passes. */
void fleet_cut(struct fleet *f, uint32_t machine, bool up, bool down, uint64_t ns);
void fleet_mend(struct fleet *f, uint32_t machine);
void fleet_kill(struct fleet *f, uint32_t machine);
/* A power cut: processes and what was not durable are gone; it is back after `ns`. */
void fleet_power_cut(struct fleet *f, uint32_t machine, uint64_t ns);
/* The machine is lost with all that it ran, and after `ns` another goes on with its record, which has what was durable, and with another clock; those who
 * had joined it notice, each when it does, and find the other one. */
void fleet_take_over(struct fleet *f, uint32_t machine, uint64_t ns);
/* Its disk has so many entries less. */
void fleet_rollback(struct fleet *f, uint32_t machine, uint64_t entries);
uint64_t fleet_size(const struct fleet *f, uint32_t machine); /* durable entries */
bool fleet_on_disk(const struct fleet *f, uint32_t machine);  /* all of them are */
/* From now on all machines together hold no more of this namespace than so many thousandths of a cpu, which is checked; unless a disk went
 * back in time, a clock lost time or was set forward, or a lease came back that was replaced (docs/fleet.md). 0: not any more. */
void fleet_quota(struct fleet *f, const char *name, uint64_t cpu);
/* How many entries of its log its hub cosigned last; did that raise an alarm? */
uint64_t fleet_cosigned(const struct fleet *f, uint32_t machine, bool *out_alarm);
void fleet_look(const struct fleet *f, uint32_t machine,
        struct link_view *out); /* at its end of the link to its hub */

bool fleet_step(struct fleet *f);
void fleet_run_until(struct fleet *f, uint64_t ns);
/* Until nothing is left to happen: at most so many steps. */
void fleet_run(struct fleet *f, uint64_t steps_max);
void fleet_check(struct fleet *f, bool deep);
/* All is well again and nothing is left to happen. */
void fleet_check_quiet(struct fleet *f);

struct fleet_counts {
	uint64_t steps, frames, lost, bytes, cuts, kills, rollbacks, take_overs, refused, joins, sessions,
	        tasks, delegated, heads, alarms, compared,
	        below, /* below: leases for a class of nodes below another */
	        ahead; /* ahead: files that came to a node before a lease */
};
void fleet_counts(const struct fleet *f, struct fleet_counts *out);

#endif
