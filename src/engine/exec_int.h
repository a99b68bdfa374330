/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_int - the inside of the executor, for exec*.c alone.
 *
 * A run's life: exec_start() -> slot (or waits for one) -> tasks sent and results staged -> all done, or stopped
 * -> CMD_LEASE_ENDED -> gone; its slot stays idle for a while, with its worker, for the next lease of the same step.
 */
#ifndef OSIER_ENGINE_EXEC_INT_H
#define OSIER_ENGINE_EXEC_INT_H

#include "core/sched.h"
#include "engine/exec.h"
#include "io/growing.h"
#include "engine/node_int.h"
#include "engine/results.h"
#include "engine/start.h"
#include "engine/worker_link.h"
#include "io/keeper_link.h"

#define RUN_AHEAD       64u /* most tasks sent to the keeper beyond the last result; half are sent at a time */
#define RUN_AHEAD_BYTES (64u << 10) /* and about so many bytes of them */
#define INPUTS_AHEAD    16u         /* the same for a worker's tasks that come with inputs */
#define TELL_NS         10000000ull /* the longest a result waits for company while its lease has more to come */
#define RUN_HASH        1024u
#define CLOSED_NS       1000000000ull /* for EXITED to come after a worker closed its socket */
#define IDLE_NS         2000000000ull
#define STEPS_TOLD_MAX  256u         /* steps remembered for WORKER_TELL */
#define COMPARE_LEASE   (1ull << 63) /* lease numbers from here on are comparators' */

/* A result that waits behind one whose files are still being read. */
struct parked {
	struct parked *next;
	bool worker;
	uint64_t index;
	int fd; /* worker: its output as a file, or -1 */
	struct worker_result result;
	size_t n;
	uint8_t bytes[]; /* worker: the output; else the keeper's EXITED as a packet */
};

/* A task that could not be started. */
struct refusal {
	uint64_t index;
	char note[256];
};

struct run {
	struct exec *x;
	struct run *hash_next;
	struct run *wait_next;   /* waiting for a slot */
	struct run *touch_next;  /* something to give to the core at the end of the round */
	struct run *staged_next; /* results wait for company */
	bool touched, waiting, staged;
	bool awaited; /* it has waited for its files (exec_files.c) */
	uint64_t lease, job;
	uint32_t step, variant;
	uint64_t first, end;  /* indexes */
	uint64_t next;        /* the next index that has no staged result */
	uint64_t told;        /* results before it were given to the core */
	uint64_t sent;        /* the next index to send */
	uint32_t start_bytes; /* of the last START, about */
	uint64_t durable;     /* results before it were durable when the run was taken up */
	uint64_t granted_ns;
	uint64_t
	        likeness; /* of a worker's step that is a part of a hub's: equal for equal steps of equal jobs; else 0 */
	uint32_t uid, gid;
	uint32_t n_devices, devices[DEVICES_PER_LEASE_MAX];
	struct spec_ref spec;
	const Wire__Step *s;
	const Wire__Variant *v;
	uint64_t run_timeout_ns;
	struct slot *slot;
	struct results *res;     /* staged */
	struct refusal *refused; /* in the order of their indexes */
	uint32_t n_refused, max_refused;
	struct gather *gathering;
	struct parked *parked, **parked_end;
	bool stopping; /* STOP was sent */
	bool stopped;  /* nothing of it runs, nothing more will come */
	bool gone;     /* LEASE_ENDED was given */
	bool commits;  /* its successes are committed to */
	bool held;     /* all is told, its slot given back: it waits to be asked to reveal */
	bool reveal;   /* it was asked; `revealed`: up to this task it has */
	uint64_t revealed;
	Wire__StopReason reason;
	char note[240];

	/* while a task is being built, for exec_source.c */
	uint64_t building;
	bool unread;      /* its inputs could not be looked up just now */
	uint64_t fill_ns; /* when the next task, or revealing, is tried again; 0: not */
	size_t inline_bytes;
	const uint8_t *pack; /* of Step.sources, mapped */
	size_t pack_bytes;
	bool kept; /* the step's stdin, the same for every task, is this blob */
	uint8_t kept_sha256[32];

	/* worker tasks */
	uint64_t received;   /* the next index the worker is to report: next, and what is parked */
	uint64_t refused_at; /* a task that is not sent; the ones behind it wait for it. UINT64_MAX none */
	uint64_t moved_ns;   /* when the worker was last heard of or was given work while it had none */
	uint64_t begun;      /* the task it said it began, UINT64_MAX none */
	uint64_t start_us;   /* for the next result's start */
	bool tell;
	bool resuming;      /* RESUME was sent and not answered */
	bool exited;        /* the worker process is gone */
	uint64_t closed_ns; /* when it closed its socket; 0: not */
	bool killed;        /* we let the keeper kill the worker, for what it did */

	/* taken up after a start */
	bool recovering, seen;
};

struct worker {
	struct worker_link *link;
	bool hello; /* it said what it offers */
	bool gone;  /* it closed its socket while it was idle */
	uint64_t generation;
	char **names;
	uint32_t n_names;
};

struct slot {
	uint32_t id;
	bool known; /* to the keeper */
	struct run *run;
	struct slot *next_idle, *prev_idle; /* the longest idle first */
	bool idle;
	uint64_t idle_since_ns;
	/* what it was made for */
	uint64_t job, likeness;
	uint32_t step, variant;
	struct spec_ref spec; /* held while there is a worker */
	uint32_t uid, n_devices, devices[DEVICES_PER_LEASE_MAX];
	uint64_t lease,
	        adopted_from; /* what its worker serves, and served before (0: nothing); the keeper may be one behind */
	bool wants_worker; /* a worker's START was sent */
	bool adopting; /* its ADOPT may not have left us yet; nothing is sent to the worker until it has */
	struct slot *next_adopting;
	bool comparing;       /* a comparator runs in it */
	bool ending;          /* its lease is over, which is not durable yet */
	struct worker worker; /* link NULL: none */
};

struct exec {
	struct node *n;
	struct keeper_link *keeper;
	struct growing member; /* of the gang of the task that is being built */
	uv_poll_t keeper_poll;
	bool polling;
	int polled_events;
	uv_timer_t timer; /* idle slots and workers' timeouts */
	uint64_t timer_ns;
	struct run *hash[RUN_HASH];
	size_t n_runs;
	struct run *free_runs;
	struct run *waiting, **waiting_end;
	struct awaiting *awaiting;
	bool awaiting_asks; /* a file is asked for just now */
	struct run *touched, *staged;
	uv_timer_t tell_timer;
	uint32_t handles_closed; /* of the three, when all is over */
	bool tell_armed;
	struct results *spare[16];
	uint32_t n_spare;
	struct slot slots[KEEPER_SLOTS_MAX];
	uint32_t slots_used; /* slots [0, used) were ever used */
	struct slot *idle_first, *idle_last, *adopting;
	uint64_t generations;
	struct start_builder *builder;
	struct {
		uint64_t job;
		uint32_t step;
	} told[STEPS_TOLD_MAX];
	uint32_t n_told;
	struct compare *compares;
	uint64_t compare_last;
	struct source_cache *sources;
	struct lines_cache *lines;
	struct start_user user; /* the last one looked up */
	char user_name[64], user_home[256];
	bool user_known;
	bool ready, lost, shutting;
	struct err lost_why;
	bool keeper_resumed; /* an engine before this one said RESUMED to this keeper */
	uint64_t
	        resume_size; /* entries that must be durable before we do; 0: not known yet, UINT64_MAX: said */
	uint32_t enforced;
	char notice[512];
	uint8_t *packet; /* WORKER_PACKET_MAX: a packet being built */
};

/* ---- exec.c ---- */

struct run *run_find(struct exec *x, uint64_t lease);
void run_touch(struct exec *x, struct run *r);
struct results *run_results(struct exec *x, struct run *r);
/* Give what is staged to the core now. */
void run_tell(struct exec *x, struct run *r);
/* The task cannot be started: its result is CANNOT_START when its turn comes. */
void run_refuse(struct exec *x, struct run *r, uint64_t index, const char *note);
/* Stage the refusals whose turn it is; afterwards, touch. */
void run_refusals(struct exec *x, struct run *r);
/* Nothing of the run will come any more; it ends when what is staged and parked is told. */
void run_stopped(struct exec *x, struct run *r, Wire__StopReason reason, const char *note);
/* What start.h wants to know of task `task` of the run. */
void run_start_in(struct exec *x, struct run *r, uint64_t task, struct start_in *out);
int exec_send(struct exec *x, const struct keeper_msg *m, struct err *e);
uint64_t slot_who(const struct slot *s);

void run_begin(struct exec *x, struct run *r); /* take a slot and start, or wait for a slot */
struct run *run_take_up(
        struct exec *x, const struct lease_view *v); /* a new run of a lease; may be stopped at once */

/* ---- exec_timer.c ---- */

void exec_timer_at(struct exec *x, uint64_t at_ns);
/* The journal cannot be read just now: the tasks that are not sent yet wait a moment. */
void run_fill_later(struct exec *x, struct run *r);

/* ---- exec_resume.c ---- */

/* RESUMED, as soon as the leases that were lost with another keeper are over for good. At the end of each round. */
void exec_tell_resumed(struct exec *x);

/* ---- exec_keeper.c: as struct keeper_link_callbacks ---- */

void exec_on_message(void *ctx, const struct keeper_msg *m, int fd);
void exec_on_lost(void *ctx, const struct err *e);

/* ---- exec_slot.c ---- */

/* A slot for the run, with a warm worker if one fits; false: all are taken, the run waits. */
bool slot_take(struct exec *x, struct run *r);
/* A slot without a worker for something that is no lease: not idle, no run. NULL: all are taken. */
struct slot *slot_take_cold(struct exec *x);
/* The first n slots may be used. The others are memory that was never touched. */
void slots_reach(struct exec *x, uint32_t n);
void slot_give(struct exec *x, struct slot *s);    /* idle from now on */
void slot_release(struct exec *x, struct slot *s); /* the keeper drops it, its worker dies */
void slots_expire(struct exec *x, uint64_t now_ns);
uint64_t slots_due_ns(const struct exec *x);

/* ---- exec_process.c ---- */

void process_fill(struct exec *x, struct run *r);
void process_exited(struct exec *x, struct run *r, const struct keeper_msg *m);
/* Stage the row of an EXITED; `files` are its spooled outputs as gathered, NULL when it has none. */
struct gathered;
void process_stage(struct exec *x, struct run *r, const struct keeper_msg *m, const struct gathered *files,
        size_t n_files);
Wire__Outcome process_outcome(const struct keeper_exited *ex);
/* Append where the limit of need `name` is written, ", limit in job.yaml:14", if that is known. */
void run_append_place(const struct run *r, const char *name, char *out, size_t room);

/* ---- exec_park.c: results whose outputs are files ---- */

bool run_must_park(const struct run *r);
void park_exited(struct exec *x, struct run *r, const struct keeper_msg *m);
void park_worker(struct exec *x, struct run *r, uint64_t index, const struct worker_result *w,
        const uint8_t *bytes, int fd);
bool exited_has_files(const struct keeper_msg *m);
void parked_drop(struct run *r);

/* ---- exec_worker.c ---- */

void worker_begin(struct exec *x, struct run *r); /* the run has its slot */
/* Those that were adopted get their first batch, once the keeper's socket has every ADOPT. */
void workers_adopted(struct exec *x);
void worker_started(struct exec *x, struct slot *s, int fd, bool resumed);
void worker_exited(struct exec *x, struct run *r, const struct keeper_msg *m);
void worker_fill(struct exec *x, struct run *r);
void worker_drop(struct exec *x, struct slot *s); /* close its socket, forget it */
void worker_stage(struct exec *x, struct run *r, const struct worker_result *w, const uint8_t *bytes,
        size_t n, const struct gathered *file);
void worker_resume(struct exec *x, struct run *r); /* its worker lived on beyond the last engine */
void worker_timeouts(struct exec *x, uint64_t now_ns);
uint64_t worker_due_ns(const struct exec *x, const struct run *r);

/* ---- exec_source.c: outputs of earlier tasks as inputs ---- */

int source_find(
        void *ctx, uint32_t step, uint64_t task, const char *output, struct start_source *out, struct err *e);
/* The output of one attempt, whatever came of it; data is valid until the next look-up. */
int source_of_attempt(struct exec *x, const Wire__Step *s, uint64_t job, uint32_t step, uint64_t task,
        uint64_t lease, const char *output, struct start_source *out, struct err *e);
/* The bytes of the pack that came with the lease; NULL: none did, or it is not here. Until the run is over. */
const uint8_t *run_pack(struct run *r);
void run_unpack(struct run *r);
bool source_reduce(void *ctx, uint64_t i, uint32_t *out_step, uint64_t *out_task);
int source_line(
        void *ctx, const uint8_t blob[32], uint64_t index, const char **out, size_t *out_n, struct err *e);
void sources_free(struct exec *x);

/* ---- exec_files.c ---- */

/* The run must wait for a file that is not here: run_begin() follows when it has come, or nobody has it. */
bool files_await(struct exec *x, struct run *r);
void files_again(struct exec *x, uint64_t now_ns);
uint64_t files_due_ns(const struct exec *x);
void files_free(struct exec *x);

/* ---- exec_commit.c ---- */

/* Tell the core of these results: commitments to successes, and failures. */
void commit_tell(struct exec *x, struct run *r, struct results *res);
/* Has it committed to something that it has not revealed? */
bool commit_waits(struct exec *x, struct run *r);
/* Reveal all of it. What cannot be found ends the run with a reason, and its tasks run again. False: it cannot be read just now. */
bool commit_reveal(struct exec *x, struct run *r);
/* ---- exec_compare.c ---- */

void compare_resume(struct exec *x);
bool compare_message(struct exec *x, const struct keeper_msg *m);
void compares_free(struct exec *x);

#endif
