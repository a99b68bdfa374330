/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup - one control group (v1: one in each of cpu, memory, pids) for each slot of the keeper.
 *
 * Lies below the keeper's own cgroup, so a delegated service needs nothing more: OWN/osier-HASH/slot-N.G (G: a number that
 * grows when a group could not be emptied and a new one was made). On v2 the keeper itself moves to OWN/osier-HASH/keeper, since
 * a group with controllers for its children may hold no process. Single-threaded.
 * A group is made once for a slot and reused by the tasks that follow in it, because making and removing one costs more than
 * everything else the keeper does for a task.
 */
#ifndef OSIER_KEEPER_CGROUP_H
#define OSIER_KEEPER_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum { CG_CPU, CG_MEMORY, CG_PIDS, CG_N };

#define CGROUP_OLD_MAX 64
#define CGROUP_ASK     (1u << 3) /* if there is no other way, the user's systemd may be asked (scope.h) */

struct cgroup_tree {
	int version; /* 1, 2, or 0: there is none that we may use */
	char base[CG_N]
	         [512];   /* folder osier-HASH per controller ("" not available); v2: all the same or "" */
	char notice[256]; /* what is missing and why, "" nothing */
	char folder[512]; /* the one base that every group has a folder in */
	char own[512];    /* v2: where the keeper was before it moved */
	uint32_t generation;
	char old[CGROUP_OLD_MAX][32]; /* names of groups that could not be removed yet */
	unsigned n_old;
};

struct cgroup_limits {
	uint32_t cpu_milli, cpu_max_milli; /* as in START */
	uint64_t memory_bytes;
	uint32_t pids_max;
};

struct cgroup {
	bool made;
	char name[32];
	struct cgroup_limits limits;
	bool frozen_pids; /* pids.max is 0 while it is being killed */
	bool used_up; /* v2, cgroup.kill was written: Linux kills what is born into it later, too (seen with 6.18) */
	int enter_fd[CG_N]; /* v1: tasks files; the child writes "0" to each */
	int dir_fd;         /* v2: for clone3(CLONE_INTO_CGROUP) */
	int count_fd;       /* pids.current, else v2 cgroup.events, else -1 */
	int peak_fd, use_fd, oom_fd;
	bool peak_resets;
	uint64_t peak_before; /* where the peak cannot be reset */
	uint64_t oom_kills;   /* seen so far */
};

/* Find the keeper's own groups and make the base, killing and removing what a dead predecessor left in it. Never fails:
 * version 0 and a notice. `allow`: bit 1 << version of what may be used (the tests' and --cgroup's choice), and CGROUP_ASK. */
void cgroup_tree_open(struct cgroup_tree *t, const char *hash, unsigned allow);
/* Remove all groups that are empty, and the base. */
void cgroup_tree_close(struct cgroup_tree *t);
/* Try again to remove what could not be removed. Returns how many are left. */
unsigned cgroup_tree_sweep(struct cgroup_tree *t);

void cgroup_clear(struct cgroup *g); /* before first use */
/* Make the slot's group if it is not there, and set the limits if they changed. */
int cgroup_make(
        struct cgroup_tree *t, struct cgroup *g, uint32_t slot, const struct cgroup_limits *l, struct err *e);
/* Before a task starts: forget the peak. */
void cgroup_begin(struct cgroup *g);
/* The calling process joins the group (v1). Async-signal-safe; for the child. 0 or errno. */
int cgroup_enter(const struct cgroup *g);
/* Whether a process is left in the group, zombies that were not waited for included. */
bool cgroup_empty(const struct cgroup_tree *t, const struct cgroup *g);
/* Send a signal to every process in it; SIGKILL: until there is none that is not dying. Returns how many were found. */
unsigned cgroup_signal(const struct cgroup_tree *t, struct cgroup *g, int sig);
/* Peak memory since cgroup_begin(), 0 unknown. */
uint64_t cgroup_peak_bytes(struct cgroup *g);
/* Whether the kernel killed somebody in it for want of memory since the last call. */
bool cgroup_oom(struct cgroup *g);
/* Whether so much stays charged to it (page cache) that the next task's peak would be wrong. */
bool cgroup_stale(const struct cgroup *g);
/* Give the group up: remove it now, or as soon as it is empty. */
void cgroup_drop(struct cgroup_tree *t, struct cgroup *g);

#endif
