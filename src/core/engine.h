/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine - decides what happens next; the shells make it happen.
 *
 * decide() reads the state and writes down entries; apply() is the only writer of the state. Recovery is a snapshot
 * and apply() over the rest of the journal, and nothing else. Owns jobs, steps, tasks, leases and timers; asks sched.h
 * where things go. Pure: no clock, no I/O, no malloc after engine_new().
 *
 * Invariants (engine_check()): a task has at most one live attempt that is not to stop, beside those on nodes that cannot be reached
 * (away.c), which hold nothing; a task's committed result never changes; what
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
	bool adjusted; /* priority, deadline or timeouts are not as in the specification any more */
	struct step_counts counts; /* over all steps */
	uint64_t attempts;         /* leases granted to it */
	uint64_t cpu_us;           /* user + system of all results so far */
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
	uint64_t replica; /* of a verified step, or the rank of a gang's member, else 0 */
	uint64_t gang;    /* of a gang's member: the lease of its rank 0; 0: it is none */
	uint32_t port;    /* of a gang's member: where rank 0 may listen */
	uint64_t granted_ns;
	uint32_t n_devices;
	const uint32_t *devices;
	uint64_t held;  /* tasks before cursor that it has committed to and not revealed */
	bool revealing; /* it was asked to (EFFECT_REVEAL) */
	bool stopping;
	Wire__StopReason reason; /* when stopping */
	uint32_t tag; /* of this lease: another journal's lease of the same number has another one */
	/* Its node's link is down since away_ns (0: it is not); at park_ns its tasks are to wait again (UINT64_MAX never). Parked: they
	 * do, or are others'; what its node still says of them is asked for as of any live lease, and may count. */
	uint64_t away_ns, park_ns;
	bool parked;
};
bool engine_lease(const struct engine *e, lease_id id, struct lease_view *out);
bool engine_lease_next(const struct engine *e, lease_id after, struct lease_view *out);
/* The same of one node; and how many it has. */
bool engine_node_lease_next(const struct engine *e, uint32_t node, lease_id after, struct lease_view *out);
uint32_t engine_node_leases(const struct engine *e, uint32_t node);
/* The next attempt after `after` whose tasks wait again, or are others', because its node cannot be reached: one that had this task. */
bool engine_parked_next(const struct engine *e, job_id job, uint32_t step, uint64_t task, lease_id after,
        struct lease_view *out);
lease_id engine_lease_last(const struct engine *e); /* the highest number ever granted */

/* ---- links: docs/ARCHITECTURE.md, "Links between machines" ---- */

/* A node that has joined this one. */
struct child_view {
	const uint8_t *key, *journal; /* 32 bytes each */
	uint64_t
	        from_size; /* its journal had at least so many entries when it last told something that counts */
	Wire__NodeSet__State link; /* UP, DISCONNECTED or LOST */
	uint64_t since_ns;
	bool by_boot; /* out of reach since this engine began, and nobody knows for how long before */
	Wire__NodeSet__State set; /* by whoever administers it: UP, DRAINED, CORDONED */
};
bool engine_child(const struct engine *e, uint32_t node, struct child_view *out);
/* The node with this name, or 0. */
uint32_t engine_node_named(const struct engine *e, const char *name);

/* Whom this node has joined; false: nobody. */
struct parent_view {
	uint64_t number; /* of its LinkSet; Delegated.parent */
	const char *name;
	const uint8_t *key;
	uint64_t since_ns, lease_seen; /* the highest of its leases that has come here */
	uint64_t lost_ns; /* its link is down since then, and there are jobs that end because of it; else 0 */
};
bool engine_parent(const struct engine *e, struct parent_view *out);

/* The share of quotas that a child has (node), or this node of its hub's (0). */
#define QUOTA_LEND_NS (24ull * 3600u * 1000000000u) /* unless the namespace says */
/* The hub counts it for so much longer than the node may use it: a node's clock loses a sixteenth of the time while its wall clock is behind
 * (io/clock.h), and what is stopped takes a while. */
#define QUOTA_MARGIN_NS(life) ((life) / 15u + 60ull * 1000000000ull)
struct quota_view {
	uint64_t number, from_ns, until_ns;      /* by our clock */
	bool over;                               /* it has run out */
	uint32_t shares;                         /* namespaces in it */
	ProtobufCBinaryData document, signature; /* valid until the next apply */
};
bool engine_quota(const struct engine *e, uint32_t node, struct quota_view *out);
/* What we use of our hub's share, for CMD_QUOTA_ASK, with memory from the arena; NULL: it is full. */
struct arena;
Wire__Quota *engine_quota_uses(const struct engine *e, struct arena *a);
/* What was last said of the namespace, unpacked into the arena; NULL: nothing, or no room. */
Wire__NamespaceSet *engine_namespace_open(const struct engine *e, const char *name, struct arena *a);
/* Has any namespace a limit here, that nodes could have a share of? */
bool engine_quota_limited(const struct engine *e);
/* Is there something of it to tell: a task waits for a larger share, or we hold more than we may? *out_busy: which namespaces have
 * something to run, as a digest. */
bool engine_quota_restless(const struct engine *e, uint64_t *out_busy);

/* A job that is a lease of a parent's. */
struct delegated_view {
	job_id job;
	uint64_t parent;
	lease_id lease;         /* the parent's */
	uint64_t first;         /* its task 0 is this one of the parent's step */
	uint64_t tasks, prefix; /* tasks before `prefix` have a result */
	uint32_t tag;
	uint64_t stop_after_ns;
	bool finished, cancelled;
	bool commit; /* a replica: its successes are committed to first */
};
bool engine_delegated(const struct engine *e, uint64_t parent, lease_id lease, struct delegated_view *out);
bool engine_delegated_job(const struct engine *e, job_id job, struct delegated_view *out);
/* All of them, of earlier parents, too, in the order in which they came: the next one after this job (0: the first). */
bool engine_delegated_next(const struct engine *e, job_id after, struct delegated_view *out);
uint32_t engine_delegated_count(const struct engine *e);

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
	bool held;       /* it has committed to its answer and not revealed it */
	uint32_t class_; /* replicas that agree have the same number; UINT32_MAX not known */
	bool committed; /* of the class that the task's success rests on; its lowest replica's outputs are the task's */
	uint8_t digest[32]; /* of a success: SHA-256 of stdout, or over all its outputs but stderr */
};
uint32_t engine_votes(
        const struct engine *e, job_id id, uint32_t step, uint64_t task, struct vote_view *out, uint32_t max);

/* A replica of the task is ready and held to one class of nodes (`verify: {same: LABEL}`). */
struct class_view {
	uint32_t replica;
	uint32_t node; /* where another one was placed, whose value of the label counts; 0 nowhere so far */
	bool any;      /* some node has the label */
	bool up;       /* some node of the class is up and could take it, were it empty */
};
bool engine_class(const struct engine *e, job_id id, uint32_t step, uint64_t task, struct class_view *out);

/* How many results of the node in a row others agreed with, in adaptive steps; since the last that they did not. */
uint64_t engine_trust(const struct engine *e, uint32_t node);

/* Successes of a verified step are first committed to, then revealed (core/commit.c). Does the lease's step ask for that? */
bool engine_commits(const struct engine *e, lease_id id);
/* The commitments, 32 bytes a task, to these results of successes, whose lease, first task and nonces are set. */
void engine_commitments(const Wire__Results *r, uint8_t *out);
/* The lease's next task from `from` on that is committed to and not revealed; UINT64_MAX: none. */
uint64_t engine_held_next(const struct engine *e, lease_id id, uint64_t from);
/* Leases that were asked to reveal and have not (after a start, the shell asks them again): the next after `after`, or false. */
bool engine_reveal_next(const struct engine *e, lease_id after, lease_id *out);

/* Comparisons that were asked for and not answered (after a start, the shell runs them again): the next one after `after`
 * (NULL: the first), as an EFFECT_COMPARE. */
bool engine_compare_next(const struct engine *e, const struct effect *after, struct effect *out);

/* What was last said about a node: a packed Wire__NodeSet, valid until the next apply. */
bool engine_node(const struct engine *e, uint32_t node, const uint8_t **out, size_t *out_n);

/* The same unpacked into the arena, with the labels as they count: its owner's word before its own. NULL: not known, or no room. */
Wire__NodeSet *engine_node_open(const struct engine *e, uint32_t node, struct arena *a);

uint64_t engine_epoch(const struct engine *e);
struct identity;
const struct identity *engine_identity(const struct engine *e); /* who may join, and has: see identity.h */
struct sched;
const struct sched *engine_sched(const struct engine *e); /* nodes, queues, why: see sched.h */

#endif
