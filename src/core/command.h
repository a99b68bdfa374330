/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command - what may be asked of the core, and what the core asks of the shells.
 *
 * Commands come from the API, the executor (keeper, workers) and the clock; the shell fills one in, calls
 * engine_decide() and forgets it. Everything pointed to is borrowed until the entries that came of it are applied and
 * encoded: they point into the command's messages instead of copying them. Pure data.
 */
#ifndef OSIER_CORE_COMMAND_H
#define OSIER_CORE_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "wire/osier.pb-c.h"

typedef struct {
	uint64_t v;
} job_id; /* 0: none */
typedef struct {
	uint64_t v;
} lease_id; /* 0: none */

enum command_kind {
	CMD_BOOT,          /* first of all after the journal was folded: a new epoch */
	CMD_NODE_SET,      /* this machine's capacity, or a change of it; drain and resume */
	CMD_NAMESPACE_SET, /* weight and quotas: by uid 0, or `by` NULL when the shell knows the asker for the node's owner (message's by) */
	CMD_SUBMIT,
	CMD_CANCEL,
	CMD_RETRY,
	CMD_ADJUST,
	CMD_FORGET,      /* a finished job's history is older than the policy */
	CMD_RESULTS,     /* from the executor: results of the next tasks of a lease */
	CMD_LEASE_ENDED, /* from the executor: nothing of this lease runs any more (all results were reported) */
	CMD_COMPARED,    /* from the executor: the comparator's word */
	CMD_RECEIPTS,    /* from the ledger: what was run, signed. Only written down */
	CMD_KEY_SET,     /* a key of this node begins or ceases to speak. Only written down */
	CMD_TICK,        /* time passed, or something changed: fire one due timer, or place one slice */
};

/* Everything of the union is filled in by the shell; messages are as in osier.proto. A message's ids that the core
 * assigns (job, epoch, lease) are ignored on input. */
struct command {
	enum command_kind kind;
	const Wire__Principal *by; /* who asks; NULL for the node itself */
	union {
		const Wire__Boot *boot;
		const Wire__NodeSet *node_set;
		const Wire__NamespaceSet *namespace_set;
		struct {
			const Wire__JobSpec *spec; /* from jobspec_*(): validated */
			const char *key; /* idempotency key or NULL: the same key answers the same job */
		} submit;
		struct {
			job_id job;
			const char *reason; /* or NULL */
		} job;                      /* CANCEL, RETRY, FORGET */
		const Wire__JobAdjusted *adjust;
		const Wire__Results *results;
		const Wire__LeaseEnded *ended;
		const Wire__Compared *compared;
		const Wire__Receipts *receipts;
		const Wire__KeySet *key_set;
	} u;
};

/* What decide() wrote down, in order; entries live in the arena, which the caller clears when they are encoded and
 * applied. `full`: the arena was too small, the list is unusable (give a bigger one). */
struct entry_list {
	struct arena *arena;
	const Wire__Entry **v;
	size_t n, max;
	int full;
};

enum effect_kind {
	EFFECT_START, /* lease: start its tasks, from the first, one after another (engine_lease() tells all) */
	EFFECT_STOP, /* lease: stop what runs (reason PREEMPTED: checkpoint signal), then CMD_LEASE_ENDED */
	EFFECT_COMPARE, /* job, step, task, replicas a and b: run the comparator on their outputs, then CMD_COMPARED */
	EFFECT_JOB, /* job: its counts or state changed; whoever watches it may look (comes once per entry) */
	EFFECT_FORGET, /* job: drop its outputs and blobs */
};

struct effect {
	enum effect_kind kind;
	job_id job;
	lease_id lease;
	uint32_t step, a, b;
	uint64_t task;
	Wire__StopReason reason;
};

struct effect_list {
	struct effect *v; /* caller's memory */
	size_t n, max;    /* apply() needs room for EFFECTS_PER_APPLY_MAX more */
};

#define EFFECTS_PER_APPLY_MAX 4096

#endif
