/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine - decides what happens next; the shells make it happen.
 *
 * decide() reads the state and writes down entries; apply() is the only writer of the state. Recovery is a snapshot
 * and apply() over the rest of the journal, and nothing else. Owns jobs, steps, tasks, leases and timers; asks sched.h
 * where things go. Pure: no clock, no I/O, no malloc after engine_new().
 *
 * Invariants (engine_check()): a task has at most one live attempt; a task's committed result never changes; what
 * leases hold never exceeds a node's capacity; counts per step add up to its number of tasks; replay equals state.
 *
 * A task's life:   blocked -> ready -> leased -> done (succeeded | failed ...)
 *                     ^          ^        |
 *                     |          +--------+  (lease ended without a result; retry after back-off)
 *                  after:, map/reduce, not_before
 * Tasks of a step are indexes 0..n-1, kept as one state byte and one ready bit each, so 10 million are 11 MB.
 * A lease is a slice of ready tasks with consecutive indexes, run one after another on one allotment of resources. Its
 * number is the fencing number; its results must come in order, which makes a doubled or late result harmless.
 */
#ifndef OSIER_CORE_ENGINE_H
#define OSIER_CORE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/command.h"

struct engine;

#define TASKS_PER_STEP_MAX 10000000u
#define STEPS_PER_JOB_MAX  1024u

struct engine_limits {
	size_t memory_bytes; /* of everything below; engine_new() needs a region of this size */
	uint32_t jobs_max, leases_max, nodes_max, namespaces_max, delayed_max;
	uint32_t groups_max; /* steps of all jobs that have not finished */
};

/* Sensible limits for a memory region of n bytes (address space: pages are touched only when used). */
struct engine_limits engine_limits_default(size_t n);

/* Build an engine in mem (16-aligned, zeroed, limits.memory_bytes long, borrowed for its life; the engine is in it).
 * NULL when the region is too small for the limits. */
struct engine *engine_new(void *mem, const struct engine_limits *limits);

/* Append to `out` the entries that `cmd` causes at `now_ns` (since 1970). A refusal is an entry too (Refused with its
 * reason), so this cannot fail. Does not change the engine: apply what comes back, in order, before the next call.
 * CMD_TICK: at most one timer or one placement a call; call again until nothing comes back. */
void engine_decide(
        const struct engine *e, uint64_t now_ns, const struct command *cmd, struct entry_list *out);

/* Fold in one entry, borrowed for the call; append what the shells must do once it is durable.
 * `out` may be NULL during recovery: no effects are wanted then. */
void engine_apply(struct engine *e, const Wire__Entry *en, struct effect_list *out);

/* After CMD_TICK gave nothing at now_ns: when decide() next wants it, always later than now_ns, or UINT64_MAX. <= now_ns
 * only while CMD_TICK still has something to say. Nothing in osier polls. */
uint64_t engine_deadline_ns(const struct engine *e, uint64_t now_ns);

/* CHECK every invariant; slow. For tests, the simulator and `osier doctor`. */
void engine_check(const struct engine *e);

/* SHA-256-free digest of the whole state, the same for equal states whatever their history of snapshots. */
uint64_t engine_digest(const struct engine *e);

/* Write the state as a sequence of self-delimiting records through `put`, which returns < 0 to stop. Versioned.
 * engine_load() on a fresh engine with limits at least as large gives an equal state (engine_digest()). */
int engine_save(const struct engine *e, int (*put)(void *ctx, const void *p, size_t n), void *ctx);
int engine_load(struct engine *e, const uint8_t *bytes, size_t n, struct err *err);

/* ---- looking (all const; pointers are valid until the next apply) ---- */

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED };
const char *job_state_name(enum job_state s); /* "waiting" ... */

struct step_counts {
	uint64_t total, blocked, ready, delayed, leased, succeeded, failed, skipped, stopped;
};

struct job_view {
	job_id id;
	enum job_state state;
	const char *name, *namespace_;
	const uint8_t *spec; /* packed Wire__JobSpec: jobspec_decode() */
	size_t spec_bytes;
	uint32_t uid, gid;
	uint32_t n_steps;
	uint32_t priority;
	bool realtime, held;
	bool timed_out; /* it took longer than its timeout, and was stopped for that */
	uint64_t submitted_ns, started_ns, finished_ns; /* 0: not yet */
	uint64_t deadline_ns;                           /* absolute, 0 none */
	struct step_counts counts;                      /* over all steps */
	uint64_t attempts;                              /* leases granted to it */
	uint64_t cpu_us;                                /* user + system of all results so far */
};
bool engine_job(const struct engine *e, job_id id, struct job_view *out);
/* The next job after `after` (0: the first) by id, or false. The last by id: engine_job_last(). */
bool engine_job_next(const struct engine *e, job_id after, struct job_view *out);
job_id engine_job_last(const struct engine *e);
bool engine_step_counts(const struct engine *e, job_id id, uint32_t step, struct step_counts *out);

/* The job that this principal (by uid; NULL: uid 0) submitted with this idempotency key, or 0. CMD_SUBMIT with the key of a job that
 * is there causes no entry at all: ask here for the answer, before or after. */
job_id engine_job_by_key(const struct engine *e, const Wire__Principal *by, const char *key);

/* What holds for a step now; timeouts may have been adjusted since the specification. */
struct step_view {
	struct step_counts counts;
	uint64_t tasks;
	uint32_t replicas; /* 1 unless verified */
	uint32_t group;    /* for sched_why(); UINT32_MAX when the job is finished */
	uint64_t queue_timeout_ns, run_timeout_ns, grace_ns; /* 0 none */
	uint32_t waits_for; /* a step that it waits for as a whole, UINT32_MAX none */
};
bool engine_step(const struct engine *e, job_id id, uint32_t step, struct step_view *out);

enum task_state { TASK_BLOCKED, TASK_READY, TASK_DELAYED, TASK_LEASED, TASK_DONE };
struct task_view {
	enum task_state state;
	Wire__Outcome outcome; /* of a TASK_DONE */
	uint32_t attempts;     /* started so far, as far as counted (saturates at 63) */
	lease_id lease;        /* of a TASK_LEASED, else 0 */
	uint64_t due_ns;       /* of a TASK_DELAYED */
};
bool engine_task(const struct engine *e, job_id id, uint32_t step, uint64_t task, struct task_view *out);

struct lease_view {
	lease_id id;
	job_id job;
	uint32_t step, node, variant;
	uint64_t first, count,
	        cursor;   /* cursor: the next index without a result, first <= cursor <= first+count */
	uint64_t replica; /* of a verified step, else 0 */
	uint64_t granted_ns;
	uint32_t n_devices;
	const uint32_t *devices;
	bool stopping;
	Wire__StopReason reason; /* when stopping */
};
bool engine_lease(const struct engine *e, lease_id id, struct lease_view *out);
bool engine_lease_next(const struct engine *e, lease_id after, struct lease_view *out);

/* Inputs of node `task` of the reduce step: the tasks [*first, *first + *count) whose outputs it takes, of the step
 * *of when *from_map, else of the reduce step itself (a partial reduction). */
bool engine_reduce_inputs(const struct engine *e, job_id id, uint32_t step, uint64_t task, bool *from_map,
        uint32_t *of, uint64_t *first, uint64_t *count);

/* The attempts that a task of a verified step has made, one per replica; the shell names who differed. Returns their number (at
 * most `max` are written), 0 when the step is not verified. */
struct vote_view {
	enum task_state state; /* of this replica */
	Wire__Outcome outcome; /* of a TASK_DONE; SKIPPED: was not needed any more */
	lease_id lease;        /* that gave the outcome */
	uint32_t node;
	uint32_t class_; /* replicas that agree have the same number; UINT32_MAX not known */
	bool committed; /* of the class that the task's success rests on; its lowest replica's outputs are the task's */
	uint8_t digest[32]; /* of a success: SHA-256 of stdout, or over all its outputs but stderr */
};
uint32_t engine_votes(
        const struct engine *e, job_id id, uint32_t step, uint64_t task, struct vote_view *out, uint32_t max);

/* How many results of the node in a row others agreed with, in adaptive steps; since the last that they did not. */
uint64_t engine_trust(const struct engine *e, uint32_t node);

/* Comparisons that were asked for and not answered (after a start, the shell runs them again): the next one after `after`
 * (NULL: the first), as an EFFECT_COMPARE. */
bool engine_compare_next(const struct engine *e, const struct effect *after, struct effect *out);

/* What was last said about a node: a packed Wire__NodeSet, valid until the next apply. */
bool engine_node(const struct engine *e, uint32_t node, const uint8_t **out, size_t *out_n);

uint64_t engine_epoch(const struct engine *e);
struct sched;
const struct sched *engine_sched(const struct engine *e); /* nodes, queues, why: see sched.h */

#endif
