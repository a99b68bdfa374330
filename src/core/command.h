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

#include <stdbool.h>
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
	CMD_FORGET, /* a finished job's history is older than the policy */
	CMD_RESULTS, /* from the executor: results of the next tasks of a lease, or commitments to them, or what it committed to */
	CMD_LEASE_ENDED, /* from the executor: nothing of this lease runs any more (all results were reported) */
	CMD_COMPARED,    /* from the executor: the comparator's word */
	CMD_RECEIPTS,    /* from the ledger: what was run, signed. Only written down */
	CMD_KEY_SET,     /* a key of this node begins or ceases to speak. Only written down */
	CMD_TOKEN_SET, /* a token for joining is made or withdrawn */
	CMD_JOIN,      /* a node joins with a token: both entries, or a refusal */
	CMD_CERT_SET,  /* a node's certificate is renewed, or the node is removed (revoked) */
	CMD_NODE_JOIN, /* a node joined this one (node_set with name, key, journal and from_size; the core gives the number, the same one for the same key) */
	CMD_NODE_REMOVE, /* one that joined is forgotten (node_set: its number; by its owner): what it runs is lost, and runs again where jobs allow it */
	CMD_NODE_LINK, /* from the link: a child can be reached, or cannot; node 0: the parent. What the child does not hold any more, or never
	                * heard of while it was parked (lease_view), has LEASE_ENDED first: nothing is stopped for the sake of what is not there */
	CMD_LINK_SET,  /* this node has a parent from now on, or none (`parent` is ignored) */
	CMD_DELEGATED, /* from the link: a lease of the parent's, as a job */
	CMD_PREEMPT, /* from the link: the parent wants the place of a delegated job: it is cancelled, and what runs is stopped as preempted */
	CMD_HANDED_OVER, /* from the link: the parent has all that there is to know of a delegated job that has finished: forget it */
	CMD_QUOTA_ASK, /* from the link: a child asks for its share of quotas, or says what it uses of it */
	CMD_QUOTA,     /* from the link: our share, by the hub's word, whose signature was checked */
	CMD_FACTS, /* what was learned of a node: latency, blobs that it holds. Rounded, and nothing when it is known */
	CMD_TICK, /* time passed, or something changed: fire one due timer, or place one slice */
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
		const Wire__TokenSet *token_set;
		const Wire__CertSet *cert_set;
		struct {
			const uint8_t *hash; /* of the token, 32 bytes */
			const Wire__CertSet *cert;
		} join;
		const Wire__NodeLink *node_link;
		const Wire__LinkSet *link_set;
		struct {
			const Wire__JobSpec *spec; /* of one step */
			const Wire__Delegated *of; /* `parent` is ignored */
		} delegated;
		const Wire__NodeFacts *facts;
		struct {
			uint32_t node;
			bool first;            /* in its session: what it does not have it is told again */
			uint64_t now_ns, have; /* by its clock; the document that it has durably, 0 none */
			const Wire__Quota
			        *uses; /* shares: `used`, and in `may` what one more task would hold */
		} quota_ask;
		struct {
			const Wire__Quota *said;
			const ProtobufCBinaryData *document, *signature; /* of which *said was decoded */
		} quota;
	} u; /* HANDED_OVER, PREEMPT: job */
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
	EFFECT_REVEAL, /* lease: tell what its commitments stand for, then CMD_LEASE_ENDED; its allotment was given back before */
	EFFECT_JOB, /* job: its counts or state changed; whoever watches it may look (comes once per entry) */
	EFFECT_FORGET,   /* job: drop its outputs and blobs */
	EFFECT_IDENTITY, /* whose certificates count has changed: see engine_identity() */
	EFFECT_ADJUST, /* job: what holds for its leases on children has changed (engine_job(), engine_step() tell) */
	EFFECT_DELEGATED, /* job, lease (the parent's): tasks before `task` have a result; a = 1: it has finished */
	EFFECT_QUOTA, /* (b = 1: all children are to ask) a child (a: its node) has another share, of the number `task`, of quotas: tell it (engine_quota()) */
	EFFECT_LINK, /* this node's parent has changed (engine_parent()), or a child (a: its node; b = 1: it joined) */
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
