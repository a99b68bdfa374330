/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state - what the engine keeps, and what its files offer each other. Private to src/core: others use engine.h.
 *
 * Everything is in the region given to engine_new() and named by index, never by pointer, so that a snapshot is a copy.
 *
 *   struct engine | jobs | leases | delays | maps | timers | scheduler | blocks ......................
 *   a job's block: steps | what each waits for | who waits for it | exit codes | strings | packed spec | arrays of each step
 *
 * A *unit* is what a lease runs: a task; of a verified step one replica of a task, numbered replica * tasks + task. A unit's
 * state is one byte, S_* in the high half; S_WAIT is ready when its bit is set, else blocked. The low half is the outcome of
 * S_DONE, of S_LEASED 1 when it is *held* (commit.c), and of S_WAIT and S_DELAYED its *mark*: 0, or k: it may only be leased with its likes, at most 2^(k-1) together,
 * because a worker crashed somewhere among them. Arrays are zero to begin with: a blocked step costs no memory.
 */
#ifndef OSIER_CORE_STATE_H
#define OSIER_CORE_STATE_H

#include "base/bitmap.h"
#include "base/blocks.h"
#include "base/heap.h"
#include "base/idmap.h"
#include "base/pool.h"
#include "core/engine.h"
#include "core/identity.h"
#include "core/jobspec.h"
#include "core/sched.h"

#define NONE      UINT32_MAX
#define VOTES_MAX 64u /* replicas of a task */
#define LEASE_SLACK_NS                                                                                       \
	(60ull * 1000000000ull) /* beyond what its tasks may take, before a lease is given up */

enum { S_WAIT = 0, S_LEASED = 1, S_DELAYED = 2, S_DONE = 3, S_READY = 4 /* tasks of verified steps only */ };

/* Indexes of counts; the first four are where a unit can be before it is done. */
enum { C_BLOCKED, C_READY, C_DELAYED, C_LEASED, C_SUCCEEDED, C_FAILED, C_SKIPPED, C_STOPPED, C_N };

struct dep {
	uint32_t step;
	uint16_t mode, on;
}; /* Wire__After */
enum use_kind { USE_WHOLE, USE_EACH, USE_REDUCE };
struct use {
	uint32_t step;
	uint32_t kind;
};

struct step {
	/* From the specification. */
	uint64_t tasks;
	uint32_t replicas, agree;
	uint32_t deps, n_deps, uses, n_uses; /* where in the job's arrays */
	uint32_t exits, n_exits;
	uint32_t reduce_of, fan_in; /* NONE; 0: one task takes all */
	uint32_t retry_max, jitter_percent;
	uint64_t backoff_ns, backoff_max_ns, grace_ns;
	uint8_t comparator, handler, not_on_node_loss, finished;
	uint8_t local; /* cannot be given to another machine: core/grant.h */
	uint8_t member; /* a member of a hub's gang: an attempt that was stopped or lost is not made again here */
	uint8_t apart;      /* of a gang: each member on a node of its own */
	uint32_t gang;      /* members of each task, which are its replicas: gang.c; 0: it is none */
	uint32_t slice_max; /* most tasks in one lease, so that it could be given away; 0 no limit */
	/* Arrays: bytes from the job's block. */
	uint32_t stamp_block; /* the stamps' own block, when an adjustment brought the queue timeout */
	uint32_t n_variants;
	uint64_t units_at, ready_at, extra_at, missing_at, votes_at, tasks_at;
	uint64_t
	        stamps_at; /* u32 a unit: when it became ready, ms after the submit; only with a queue timeout */
	/* What changes. */
	uint64_t queue_timeout_ns, run_timeout_ns;
	uint64_t queue_due_ns;   /* no ready unit can time out before, UINT64_MAX none */
	uint64_t ready_since_ns; /* since when something was ready and nothing was leased */
	uint32_t whole_pending;  /* steps it waits for as a whole */
	uint32_t group;          /* of the scheduler, 0 none */
	uint32_t marked;         /* units with a mark */
	uint32_t comparing;      /* comparisons asked for */
	uint32_t units_ready;
	uint32_t c[C_N];         /* tasks */
	uint32_t before, behind; /* steps on the longest way to it, and from it, without itself */
	uint64_t
	        same; /* the replicas of a task run where this label has one value (sched_label_key()); 0 anywhere */
	uint32_t adaptive; /* its replicas run one after another, as far as trust asks for them (trust.c) */
};

/* How a replica of a verified task ended. */
struct vote {
	uint8_t digest[32]; /* of a unit that is held: the commitment */
	uint64_t lease;     /* that brought it, 0 none */
	uint32_t node;      /* where it runs, or ran last; 0 nowhere */
	uint8_t class_;     /* 1 + the lowest replica that it agrees with; 0 not known */
	uint8_t tried;      /* replicas below this were compared with it */
	uint8_t asked;      /* 1 + the replica it is being compared with; 0 none */
	uint8_t unused;
};

#define CANCELLED_PREEMPTED 2u /* by the hub that it is a lease of: what runs is stopped as preempted */

struct job {
	uint64_t id;
	struct link all;            /* by id */
	struct link delegated;      /* jobs that are the parent's leases, by those */
	struct list leases, delays; /* live ones */
	uint32_t block, n_steps, steps_done;
	uint32_t priority, concurrency, uid, gid;
	uint8_t realtime, held, early, keep_going;       /* early: before not_before */
	uint8_t cancelled, timed_out, failing, in_sched; /* cancelled: 1, or CANCELLED_PREEMPTED */
	uint8_t adjusted;                                /* since it was submitted */
	uint32_t deps_at, uses_at, exits_at, name_at, namespace_at, key_at, spec_at,
	        spec_bytes; /* bytes from the block */
	uint64_t submitted_ns, started_ns, finished_ns, deadline_ns, timeout_ns, timeout_from_ns,
	        not_before_ns;
	uint64_t queue_due_ns; /* least of its steps */
	uint64_t attempts, cpu_us, key_hash;
	/* Of a delegated job; of_lease 0: it is none. */
	uint64_t of_parent, of_lease, of_first, stop_after_ns;
	uint64_t prefix;            /* tasks before this have a result */
	uint32_t of_tag, of_commit; /* of_commit: its results are committed to first */
	/* `disconnect`, away.c. */
	uint64_t lost_after_ns,
	        halt_after_ns; /* halt: a node stops its tasks by itself so long after the loss, 0 never */
	uint32_t n_parked, n_shared; /* of its leases */
	uint8_t replace, reconcile;  /* Wire__Disconnect */
};

struct lease {
	uint64_t id;
	struct link all, of_job, of_node, doomed;
	uint32_t job, step, node, variant, replica, n_devices;
	uint64_t first, count, cursor; /* tasks */
	uint64_t granted_ns, deadline_ns, run_ns;
	uint64_t held_ns;                          /* since when it holds what it holds: granted, or back */
	uint8_t stopping, reason, is_doomed, doom; /* Wire__StopReason, or DOOM_BACK */
	uint8_t parked; /* its node is, or was, out of reach: it holds nothing, and has no tasks */
	uint8_t shared; /* some of its tasks may be another's, too, or done */
	uint8_t halted; /* its node was away for so long that it will have stopped it */
	uint8_t unused;
	uint32_t
	        tag; /* of a child's: of who granted it, and when; after a journal was rolled back the same number has another */
	uint8_t waits, impatient,
	        revealing; /* for others to commit, holding nothing any more; long enough; it is asked */
	uint64_t class_;   /* of its node: Wire__LeaseGranted */
	uint64_t gang;     /* of a member: the lease of rank 0; 0: it is none */
	uint32_t port;     /* of a member: where rank 0 may listen */
	uint32_t unused2;
	uint64_t held, look; /* units that are held; while it waits: a task that cannot be revealed yet */
	uint32_t devices[DEVICES_PER_LEASE_MAX];
};

struct delay {
	uint64_t due_ns, seq, unit;
	struct link of_job;
	uint32_t job, step;
};

/* What a node has earned by results that others agreed with. */
struct trust {
	uint64_t agreed; /* in a row */
	uint64_t mark;   /* the highest lease among them */
	uint64_t
	        alone; /* results that counted unchecked since its tail last ran again: 0, there is none to look for */
};

/* A node as one that has joined, and what it runs. */
struct child {
	struct list leases; /* of any node, by number */
	uint64_t
	        from_size; /* its journal had at least so many entries when it last said something that counts */
	uint64_t since_ns; /* of `link` */
	uint8_t key[32], journal[32];
	uint8_t joined, link; /* link: Wire__NodeSet__State UP, DISCONNECTED or LOST */
	uint8_t set;          /* what its last NodeSet said, of any node */
	uint8_t by_boot;      /* the link is down since this engine began, not since it was lost */
	uint8_t commits;      /* it can commit to an answer before it says it */
	uint8_t unused[3];
};

/* Whom this node has joined. */
struct parent {
	uint64_t number; /* of the last LinkSet */
	uint64_t since_ns, lease_seen;
	uint64_t lost_ns; /* it cannot be reached since then, and some of its jobs mind; 0: not so */
	uint8_t key[32];
	char name[64]; /* "": none */
};

struct engine {
	struct engine_limits limits;
	struct pool jobs, leases, delays;
	struct list all_jobs, all_leases, doomed, delegated;
	struct idmap job_ids, lease_ids, job_keys, delay_units, delegated_leases;
	struct heap
	        timers; /* items: jobs, then leases, then delays; ties: id or seq, times 4, plus 0, 1 or 2 */
	struct blocks blocks;
	struct sched *sched;
	struct identity *identity;
	struct trust *trust;    /* by node */
	struct child *children; /* by node */
	struct parent parent;
	uint32_t *quotas;    /* by node, 0 what this one has of its hub's: blocks likewise, of a QuotaSet */
	uint32_t n_callable; /* shares of nodes that could be called back */
	uint32_t *nodes, *namespaces; /* blocks: u32 length, then the packed NodeSet or NamespaceSet */
	struct group_of {
		uint32_t job, step;
	} * groups; /* of the scheduler: whose they are */
	uint32_t n_namespaces, n_parked;
	uint64_t epoch, seed, last_job, last_lease, delay_seq;
};

/* ---- getting at things ---- */

static inline struct job *job_at(const struct engine *e, uint32_t i)
{
	return pool_at(&e->jobs, i);
}
static inline struct lease *lease_at(const struct engine *e, uint32_t i)
{
	return pool_at(&e->leases, i);
}
static inline struct delay *delay_at(const struct engine *e, uint32_t i)
{
	return pool_at(&e->delays, i);
}
static inline uint32_t job_index(const struct engine *e, const struct job *j)
{
	return (uint32_t)((size_t)((const uint8_t *)j - e->jobs.base) / e->jobs.size) + 1;
}
static inline uint32_t lease_index(const struct engine *e, const struct lease *l)
{
	return (uint32_t)((size_t)((const uint8_t *)l - e->leases.base) / e->leases.size) + 1;
}
static inline struct job *job_find(const struct engine *e, uint64_t id)
{
	uint32_t i = idmap_find(&e->job_ids, id);

	return i ? job_at(e, i) : NULL;
}
static inline struct lease *lease_find(const struct engine *e, uint64_t id)
{
	uint32_t i = idmap_find(&e->lease_ids, id);

	return i ? lease_at(e, i) : NULL;
}
static inline uint8_t *job_bytes(const struct engine *e, const struct job *j)
{
	return blocks_at(&e->blocks, j->block);
}
static inline struct step *step_at(const struct engine *e, const struct job *j, uint32_t k)
{
	return (struct step *)(void *)job_bytes(e, j) + k;
}
static inline const struct dep *step_deps(const struct engine *e, const struct job *j, const struct step *s)
{
	return (const struct dep *)(void *)(job_bytes(e, j) + j->deps_at) + s->deps;
}
static inline const struct use *step_uses(const struct engine *e, const struct job *j, const struct step *s)
{
	return (const struct use *)(void *)(job_bytes(e, j) + j->uses_at) + s->uses;
}
static inline uint64_t step_units(const struct step *s)
{
	return s->tasks * s->replicas;
}
static inline uint8_t *unit_states(const struct engine *e, const struct job *j, const struct step *s)
{
	return job_bytes(e, j) + s->units_at;
}
/* Of tasks: the same as the units' unless the step is verified. */
static inline uint8_t *task_states(const struct engine *e, const struct job *j, const struct step *s)
{
	return job_bytes(e, j) + s->tasks_at;
}
static inline uint8_t *unit_extras(const struct engine *e, const struct job *j, const struct step *s)
{
	return job_bytes(e, j) + s->extra_at;
}
static inline uint32_t *step_missing(const struct engine *e, const struct job *j, const struct step *s)
{
	return (uint32_t *)(void *)(job_bytes(e, j) + s->missing_at);
}
static inline struct vote *step_votes(const struct engine *e, const struct job *j, const struct step *s)
{
	return (struct vote *)(void *)(job_bytes(e, j) + s->votes_at);
}
/* Or NULL. */
static inline uint32_t *unit_stamps(const struct engine *e, const struct job *j, const struct step *s)
{
	if (s->stamp_block)
		return blocks_at(&e->blocks, s->stamp_block);
	return s->stamps_at ? (uint32_t *)(void *)(job_bytes(e, j) + s->stamps_at) : NULL;
}
static inline struct bitmap step_ready(const struct engine *e, const struct job *j, const struct step *s)
{
	return bitmap_at(job_bytes(e, j) + s->ready_at, step_units(s));
}
static inline bool job_gated(const struct job *j)
{
	return j->held || j->early;
}
/* Is what did not finish of this step to be left alone from now on? */
static inline bool step_stopped(const struct job *j, const struct step *s)
{
	return j->cancelled || j->timed_out || (j->failing && !s->handler);
}
static inline uint32_t step_done(const struct step *s)
{
	return s->c[C_SUCCEEDED] + s->c[C_FAILED] + s->c[C_SKIPPED] + s->c[C_STOPPED];
}
static inline uint64_t add_ns(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

struct deciding;

/* ---- apply: shared parts (steps.c, jobs.c, leases.c, verify.c, timers.c) ---- */

struct deciding;

/* What apply() carries along. */
struct applying {
	struct engine *e;
	uint64_t now;
	struct effect_list *out; /* or NULL */
};

void effect(struct applying *a, const struct effect *f);

/* Where unit u is: C_BLOCKED ... C_LEASED, or C_N when done. */
unsigned unit_place(const struct engine *e, const struct job *j, const struct step *s, uint64_t u);
/* How many units from u on, at most `most`, are where u is (and look the same). */
uint64_t unit_run(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t u, uint64_t most);
/* Which count an outcome belongs to. */
unsigned outcome_count(Wire__Outcome o);
/* Move units [u, u+n) that are all at place `from` to `to`, with this mark; counts, bits, stamps and the scheduler follow. */
void units_move(struct applying *a, struct job *j, struct step *s, uint64_t u, uint64_t n, unsigned from,
        unsigned to, unsigned mark);
/* Units [u, u+n), all at `from`, are over with this outcome; of unverified steps so are their tasks. */
void units_done(struct applying *a, struct job *j, struct step *s, uint64_t u, uint64_t n, unsigned from,
        Wire__Outcome o);
/* Tasks [first, first+n) were counted as done: who waits for them goes on or is skipped. */
void tasks_done(
        struct applying *a, struct job *j, struct step *s, uint64_t first, uint64_t n, Wire__Outcome o);
/* Everything of the step that is not leased or done is over with this outcome. */
void step_end_rest(struct applying *a, struct job *j, struct step *s, Wire__Outcome o);
/* Look at the whole job anew: which conditions hold, what is missing, what is ready (after a submit or a retry). */
void job_evaluate(struct applying *a, struct job *j);
/* Tell the scheduler how much of the step is ready. */
void step_offer(struct engine *e, const struct job *j, const struct step *s);
/* Count for every node of the step's tree which of its inputs are still missing. */
void reduce_missing_fill(const struct engine *e, const struct job *j, const struct step *s);

/* At the end of an entry that touched the job: stop the rest after a failure, finish, tell. */
void job_settle(struct applying *a, struct job *j);
/* Set the job's timer by what it waits for. */
void job_timer(struct engine *e, struct job *j);
int job_enter_sched(struct engine *e, struct job *j, const Wire__JobSpec *spec);
struct sched_job job_for_sched(const struct engine *e, const struct job *j);
/* When the ready units of a step time out first; scans. */
uint64_t step_queue_due(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t not_before_ns);
/* Ready units of the step that waited too long at now_ns: the hull of their tasks. */
uint64_t step_queue_expired(const struct engine *e, const struct job *j, const struct step *s,
        uint64_t now_ns, uint64_t *out_first);
/* Everything ready counts as ready since now (the gate opened). */
void step_restamp(struct applying *a, struct job *j, struct step *s);
/* Give a step with a queue timeout its stamps. */
void step_stamps_make(struct applying *a, struct job *j, struct step *s);

/* An attempt at one unit, at place C_LEASED, is over: done, or to be tried again. */
void attempt_over(struct applying *a, struct job *j, struct step *s, uint64_t u, Wire__Outcome o,
        int32_t code, unsigned mark);
/* Stop or end a lease at the next tick; DOOM_BACK: look at a parked one, its node is back. */
#define DOOM_BACK WIRE__STOP_REASON__DONE
void lease_doom(struct engine *e, struct lease *l, Wire__StopReason why);
/* Out of lists and maps, and gone. */
void lease_drop(struct engine *e, struct lease *l);
/* Tasks from `task` on, to the end of the lease, that are alike: *own: nobody but this lease has them, and they are not done. */
uint64_t lease_own_run(const struct engine *e, const struct job *j, const struct step *s,
        const struct lease *l, uint64_t task, bool *own);
/* Has another lease that is not parked this task, too? */
bool lease_others_have(const struct engine *e, const struct job *j, const struct lease *l, uint64_t task);
/* The lease gives up what it has not done of its tasks; `why` says what becomes of those. */
void lease_give_up(struct applying *a, struct job *j, struct step *s, struct lease *l, Wire__StopReason why);
void lease_undoom(struct engine *e, struct lease *l);
/* All leases of the node end at the next ticks. */
void leases_lost(struct engine *e, uint32_t node);
uint64_t lease_deadline(const struct step *s, uint64_t granted_ns, uint64_t count);
void lease_timer(struct engine *e, struct lease *l);
void lease_link(struct engine *e, struct lease *l);
void lease_enter_sched(struct engine *e, const struct lease *l);
void delay_add(struct engine *e, struct job *j, uint32_t step, uint64_t unit, uint64_t due_ns, uint64_t seq);
void delay_drop(struct engine *e, uint32_t d);
uint64_t delay_key(const struct job *j, uint32_t step, uint64_t unit);
uint32_t delay_find(const struct engine *e, const struct job *j, uint32_t step, uint64_t unit);

/* Nodes out of reach, away.c. Since when; 0: it can be reached. */
static inline uint64_t lease_away_ns(const struct engine *e, const struct lease *l)
{
	const struct child *c = &e->children[l->node];

	return c->joined && c->link != WIRE__NODE_SET__STATE__UP ? c->since_ns | !c->since_ns : 0;
}
#define BOOT_NS       (15ull * 1000000000ull) /* children have so long to come back to a hub that began anew */
#define PARKED_MAX(e) ((e)->limits.leases_max / 2)
/* When its tasks are to wait again, its node being away; UINT64_MAX: it is not, or never. */
uint64_t lease_park_due(const struct engine *e, const struct lease *l);
/* When its timer goes off, or UINT64_MAX. */
uint64_t lease_due(const struct engine *e, const struct lease *l);
/* The link to the node went down; or is up again, after so long. */
void away_begin(struct engine *e, uint32_t node);
void away_end(struct engine *e, uint32_t node, uint64_t gone_ns, uint64_t now_ns);
/* How many tasks from unit u on, at most `most`, are one parked lease's, or none's. */
uint64_t parked_run(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t u, uint64_t most);
/* A lease is now shared, or is not any more. */
void lease_share(struct engine *e, struct lease *l, bool shared);

/* Verified steps: a replica ended (its vote is in); a comparison was answered; the task's byte follows its units. */
void verify_vote(struct applying *a, struct job *j, struct step *s, uint64_t u);
void verify_refresh(struct applying *a, struct job *j, struct step *s, uint64_t task);
/* Keep the votes of these results. */
void record_votes(
        struct applying *a, struct job *j, struct step *s, const struct lease *l, const Wire__Results *m);
void results_learn(struct applying *a, const struct step *s, const struct lease *l, const Wire__Results *m,
        uint64_t i, uint64_t n);
void verify_digest(const Wire__Results *r, uint64_t i, uint64_t *out_at, uint64_t *sha_at, uint8_t out[32]);

/* Commit and reveal, commit.c. */
bool unit_held(const struct engine *e, const struct job *j, const struct step *s, uint64_t u);
bool lease_holds(const struct engine *e, const struct lease *l, uint64_t task); /* this one does */
void apply_committed(struct applying *a, struct lease *l, const Wire__Results *m);
void apply_revealed(struct applying *a, struct lease *l, const Wire__Results *m);
/* After results: when it has told them all and holds some, it gives back its allotment and waits. */
void lease_wait(struct applying *a, struct job *j, struct lease *l);
/* Something of the task changed: whoever waited for that is asked to reveal. */
void reveal_look(struct applying *a, struct job *j, struct step *s, uint64_t task);
/* They had time enough to commit. */
void commit_due(struct applying *a, struct lease *l);
/* What a lease commits to a task's digest with; the nonce has RESULT_NONCE_BYTES. */
void commitment(
        uint64_t lease, uint64_t task, const uint8_t digest[32], const uint8_t *nonce, uint8_t out[32]);
/* A lease that is being stopped: until when a child may take to say that it has ended; 0: it has all the time. */
uint64_t reveal_stop_ns(const struct applying *a, const struct lease *l);
/* The engine began anew: who is to reveal has not been able to. The node of a lease is back after so long: likewise. */
void reveal_boot(struct applying *a);
void reveal_back(struct lease *l, uint64_t gone_ns, uint64_t now_ns);
/* The lease ends without having revealed them: its votes are none, or its tasks run again. */
void held_end(struct applying *a, struct lease *l, Wire__StopReason why);
/* Why not, or true. */
bool committed_ok(struct deciding *d, const struct lease *l, const Wire__Results *r);

/* Adaptive steps, trust.c. May unit u go to this node, or did another replica of its task run there and others could? */
bool trust_may(const struct engine *e, const struct job *j, const struct step *s, uint64_t u, uint32_t node);
/* The ready unit that a node gets first: a check before anything new. UINT64_MAX: none that may go there. */
uint64_t trust_unit(const struct engine *e, const struct job *j, const struct step *s, uint32_t node);
/* May unit u, which is ready, go to this node: by trust, and by where it failed before? */
bool unit_may(const struct engine *e, const struct job *j, const struct step *s, uint64_t u, uint32_t node);
/* The ready unit that a node gets first; UINT64_MAX: none that may go there. */
uint64_t unit_for(const struct engine *e, const struct job *j, const struct step *s, uint32_t node);
bool unit_filter(const void *engine, uint32_t group, uint32_t node);
/* Is the one answer of this node to the task to be checked by a second one? The same whenever it is asked, while trust stays. */
bool trust_checks(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t task, uint32_t node);
/* The task is being decided; its replicas of class `best` agreed (0: none did): nodes rise, or are caught. */
void trust_judge(struct applying *a, struct job *j, struct step *s, uint64_t task, unsigned best);

/* The task is decided: its outcome, and what did not run of it is not needed. */
void task_commit(struct applying *a, struct job *j, struct step *s, uint64_t task, Wire__Outcome o);

/* Gangs, gang.c. An attempt at one member, at place C_LEASED, is over; `retry`: its outcome is worth one. */
void gang_over(struct applying *a, struct job *j, struct step *s, uint64_t u, Wire__Outcome o, bool retry);
/* Something of its members changed: the task's state follows, or is decided. */
void gang_refresh(struct applying *a, struct job *j, struct step *s, uint64_t task);
/* All members that run are to stop. */
void gang_stop(
        struct applying *a, const struct job *j, const struct step *s, uint64_t task, Wire__StopReason why);
/* Has a member ended otherwise than well? */
bool gang_broken(const struct engine *e, const struct job *j, const struct step *s, uint64_t task);
void gang_check(const struct engine *e, const struct job *j, const struct step *s, uint64_t task);
/* A new engine, whose journal may have been cut in the middle of a grant: what is not whole is to stop. */
void gang_boot(struct applying *a);
/* Grant all members of the next task. */
void gang_place(struct deciding *d, struct sched_placement *p);
/* How long to wait before retry number nth, from 1. */
uint64_t attempt_backoff(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t u, unsigned nth);

/* children.c: nodes that have joined. */
/* A NodeSet of a node with a key: it joined (anew); what it ran is lost. */
void child_joined(struct applying *a, const Wire__NodeSet *m);
/* It is not one of ours any more: what it ran is lost, and so is what it had of quotas. */
void child_removed(struct applying *a, uint32_t node);
/* Tell the scheduler what may be used of the node now: what was set, unless its link says otherwise. */
void child_tell(struct engine *e, uint32_t node);
/* A new engine: no link is up yet. */
void children_boot(struct applying *a);
/* Has this node a parent, or children, or had? */
bool links_any(const struct engine *e);
/* Something that counts came from the node when its journal had so many entries. */
void child_heard(struct engine *e, uint32_t node, uint64_t from_size);
/* The child has another key, for which the one that it had has vouched. */
void child_rekey(struct engine *e, const Wire__CertSet *m);
/* Do its replicas commit to successes before they tell them? */
static inline bool step_commits(const struct step *s)
{
	return s->replicas > 1 && !s->gang;
}
/* Can tasks of the step be given to this node: does a child take such, and commit to what replicas answer? */
bool child_takes(const struct engine *e, const struct step *s, uint32_t node);
/* May this group run on that node at all (sched_filter())? */
bool child_filter(const void *engine, uint32_t group, uint32_t node);
static inline bool child_joined_is(const struct engine *e, uint32_t node)
{
	return e->children[node].joined != 0;
}

/* quota.c: shares of quotas, lent to nodes that have joined. */
void apply_quota_set(struct applying *a, const Wire__QuotaSet *m);
/* The node is gone, or (0) the hub is another: its share is none. */
void quota_drop(struct applying *a, uint32_t node);
/* The namespace that a job's tasks count in: of a hub's jobs NAME@hub, because they count at the hub. */
const char *quota_namespace(const Wire__JobSpec *spec, const char *name, char buf[96]);
void decide_quota_ask(struct deciding *d, const struct command *cmd);
void decide_quota(struct deciding *d, const struct command *cmd);
/* At a tick: its time is over; or something here waits for what a node has and does not use. */
void decide_quota_over(struct deciding *d, uint32_t node);
bool decide_quota_back(struct deciding *d);

/* delegated.c: jobs that are leases of the parent's. */
void delegated_link(struct engine *e, struct job *j, const Wire__Delegated *of);
void delegated_unlink(struct engine *e, struct job *j);
/* Is there something of an earlier parent's to stop or forget? At a tick: one of them; false: none. */
bool delegated_due(const struct engine *e);
bool decide_orphan(struct deciding *d);
/* When the job is to be stopped because its parent cannot be reached; UINT64_MAX: never. */
uint64_t delegated_alone_due(const struct engine *e, const struct job *j);
void parent_link(struct applying *a, Wire__NodeSet__State state);
void parent_boot(struct applying *a);
void decide_parent_link(struct deciding *d, const Wire__NodeLink *m);
/* At the end of an entry that touched the job. */
void delegated_settle(struct applying *a, struct job *j);

/* Shape of a job's block. */
struct layout {
	uint64_t deps_at, uses_at, exits_at, strings_at, spec_at, spec_bytes, arrays_at, bytes;
	uint32_t n_deps, n_exits;
};
/* Does the specification make sense to the engine? Sizes and backward references: what jobspec_check() promises, as far as apply()
 * leans on it. */
int spec_sane(const Wire__JobSpec *spec, struct err *err);
void job_layout(const Wire__JobSpec *spec, const char *key, struct layout *out);
/* Build the job from its specification, without deciding what is ready. */
struct job *job_build(struct engine *e, const Wire__JobSubmitted *m, uint64_t now);
uint64_t key_hash(const char *key, uint32_t uid);
/* The job's specification decoded into a block of its own, for the moments when apply() needs it again. NULL when there is no
 * room: decide asks spec_room(). Give *out_block back. */
const Wire__JobSpec *spec_open(struct engine *e, const struct job *j, uint32_t *out_block);
bool spec_room(const struct engine *e, const struct job *j);
/* A part of the memory that jobs do not get: an engine that starts again decodes every specification, and lays out anew what
 * came to be in another order. */
static inline size_t memory_kept(const struct engine *e)
{
	return e->blocks.size / 4;
}
/* The most that n packed bytes need when decoded. */
size_t spec_opened_bytes(size_t n);
/* `ns` since 1970 as "2026-11-21T00:38:09Z". */
void time_text(uint64_t ns, char out[32]);

void apply_boot(struct applying *a, const Wire__Boot *m);
void apply_node_set(struct applying *a, const Wire__NodeSet *m);
void apply_namespace_set(struct applying *a, const Wire__NamespaceSet *m);
void apply_node_link(struct applying *a, const Wire__NodeLink *m);
void apply_link_set(struct applying *a, const Wire__LinkSet *m);
void apply_submitted(struct applying *a, const Wire__JobSubmitted *m);
void apply_cancelled(struct applying *a, const Wire__JobCancelled *m);
void apply_retried(struct applying *a, const Wire__JobRetried *m);
void apply_adjusted(struct applying *a, const Wire__JobAdjusted *m);
void apply_forgotten(struct applying *a, const Wire__JobForgotten *m);
void apply_granted(struct applying *a, const Wire__LeaseGranted *m);
void apply_results(struct applying *a, const Wire__Results *m);
void apply_stopping(struct applying *a, const Wire__LeaseStopping *m);
void apply_ended(struct applying *a, const Wire__LeaseEnded *m);
void apply_parked(struct applying *a, const Wire__LeaseParked *m);
void apply_late(struct applying *a, const Wire__LateResult *m);
void apply_expired(struct applying *a, const Wire__Expired *m);
void apply_compared(struct applying *a, const Wire__Compared *m);

/* ---- decide ---- */

struct deciding {
	const struct engine *e;
	uint64_t now;
	const Wire__Principal *by;
	struct entry_list *out;
};

/* A new entry in the list, without a body; NULL when the arena is full (the list says so). */
Wire__Entry *entry_new(struct deciding *d, Wire__Entry__BodyCase body);
/* n zeroed bytes of the list's arena, or NULL likewise. */
void *entry_alloc(struct deciding *d, size_t n);
/* Write down a refusal. `what`: the command in a word; `code`: as err_code_name() or one of the words in docs/api.md. */
void refuse(struct deciding *d, const char *what, const char *code, const char *hint, const char *fmt, ...)
        __attribute__((format(printf, 5, 6)));

/* The message for an entry, with the asker; when the node itself speaks, with its owner's labels as before. NULL: no room. */
Wire__NodeSet *node_set_copy(struct deciding *d, uint32_t node, const Wire__NodeSet *m);
void decide_submit(struct deciding *d, const Wire__JobSpec *spec, const char *key);
/* As jobs come in, without a key; false: refused. Which refusals of a submission also hold for a delegated job. */
bool submission_ok(struct deciding *d, const char *what, const Wire__JobSpec *spec, const char *key);
void decide_delegated(struct deciding *d, const Wire__JobSpec *spec, const Wire__Delegated *of);
void decide_handed_over(struct deciding *d, uint64_t job);
void decide_node_join(struct deciding *d, const Wire__NodeSet *m);
void decide_node_remove(struct deciding *d, uint32_t node);
void decide_node_link(struct deciding *d, const Wire__NodeLink *m);
void decide_link_set(struct deciding *d, const Wire__LinkSet *m);
void decide_cancel(struct deciding *d, uint64_t job, const char *reason);
void decide_preempt(struct deciding *d, uint64_t job);
void decide_retry(struct deciding *d, uint64_t job);
void decide_forget(struct deciding *d, uint64_t job, const char *policy);
void decide_adjust(struct deciding *d, const Wire__JobAdjusted *m);
void decide_results(struct deciding *d, const Wire__Results *r);
void decide_ended(struct deciding *d, const Wire__LeaseEnded *m);
/* The tick's: entries for a lease that is to stop or to end, whose node is away for too long, or is back. */
void tick_stopping(struct deciding *d, const struct lease *l, Wire__StopReason why);
void tick_ended(struct deciding *d, const struct lease *l, Wire__StopReason why, const char *note);
void decide_park(struct deciding *d, const struct lease *l);
void decide_back(struct deciding *d, const struct lease *l);
/* Results of a lease whose tasks may be another's, or done. */
void decide_shared(struct deciding *d, const struct lease *l, const Wire__Results *r);
void decide_compared(struct deciding *d, const Wire__Compared *m);
void decide_tick(struct deciding *d);

#endif
