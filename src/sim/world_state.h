/* SPDX-License-Identifier: Apache-2.0 */
/* world_state - what world.c (clock, disk, engine) and executor.c (what runs) share. Not for others. */
#ifndef OSIER_SIM_WORLD_STATE_H
#define OSIER_SIM_WORLD_STATE_H

#include "base/check.h"
#include "io/clock.h"
#include "sim/world.h"
#include "wire/entry.h"

#define REPLICAS_MAX 8u
#define NODES_MAX    8u

enum event_kind {
	EV_TICK,
	EV_COMMITTED,
	EV_TASK_ENDS,
	EV_MESSAGE,
	EV_STOPPED,
	EV_RESEND,
	EV_COMPARED,
	EV_REVEAL,
	EV_DISK_FAILED,
	EV_LINK, /* look at the link to node `arg` */
	EV_HALT  /* node `arg` has been alone for a while, since its cut number `lease` */
};

struct event {
	uint64_t at, order; /* total order: time, then order of making */
	enum event_kind kind;
	uint64_t life; /* of the engine or keeper it belongs to; a later life ignores it */
	uint64_t lease, arg;
	bool again,
	        twice; /* of a MESSAGE: all that is not acknowledged once more; or the last result a second time */
	struct effect effect; /* of a COMPARED */
};

struct stored { /* one entry on the disk */
	uint8_t *bytes;
	size_t n;
};

enum held_kind { HELD_EFFECT, HELD_JOB, HELD_RESULTS, HELD_END };
struct held { /* what waits for an entry to be durable: an effect, an answer to a submit, or word to the executor */
	uint64_t seq;
	enum held_kind kind;
	uint64_t id, cursor; /* job; or lease and the index before which its results are durable */
	struct effect effect;
};

struct outcome {
	Wire__Outcome outcome;
	int32_t code;
	uint64_t wall_us;
	uint8_t digest;
};

/* A lease as the executor knows it. */
struct run {
	uint64_t lease, job, first, count, replica;
	uint32_t step, node, variant;
	uint64_t next;  /* the task that runs now, or first + count */
	uint64_t ended; /* results made so far: tasks [first, first + ended) */
	uint64_t acked; /* of them, durable at the engine */
	uint64_t told;  /* of them, told to the engine of this life */
	struct outcome *results;
	bool worker, verified, waiting,
	        revealing; /* waiting: nothing runs, and what it committed to was not asked for */
	bool stopping, over, end_acked; /* over: nothing runs any more; end_acked: the engine knows */
	bool orphan; /* the engine does not know it any more: it is dropped when it has stopped */
	Wire__StopReason reason;
	uint64_t epoch; /* of the event that ends the running task */
};

/* What the world itself has seen committed: seq + 1 of the entry with the success of each (step, task, replica). */
#define BOOK_STEPS_MAX 16u
struct book {
	uint64_t job, seq; /* seq: of its JobSubmitted */
	bool acked;
	uint64_t forgotten; /* seq + 1 of its JobForgotten; 0: it is there */
	uint8_t *spec;
	size_t spec_n;
	uint32_t n_steps;
	uint64_t tasks[BOOK_STEPS_MAX];
	bool verified[BOOK_STEPS_MAX];
	uint64_t *success[BOOK_STEPS_MAX];
	/* Of a delegated job: which lease of the hub's it is; what each task came to, and seq + 1 of the entry that says so. */
	uint64_t of_lease, of_first;
	uint32_t of_tag;
	struct answer {
		uint64_t seq;
		struct outcome o;
	} * answers;
};

struct world {
	uint64_t seed, now, orders;
	/* `clock` is the engine's; both that it reads go by `boot`, time as this machine measures it, which is `boot_at` in the world's. */
	struct clock clock;
	uint64_t boot, boot_at;
	int64_t wall, drift; /* the wall clock is boot + wall; millionths that a second is too long */
	bool leapt; /* it was set forward, or the engine's clock lost time at a start: what ends by it ends early or late */
	struct prng prng;
	struct faults faults;
	FILE *trace, *muted; /* muted: the trace, while nothing is to be said */
	struct engine *engine;
	void *memory;
	size_t memory_n;
	uint32_t nodes;
	struct {
		Wire__NodeSet__State state;
		uint32_t quarters;
	} node[NODES_MAX + 1];
	uint64_t engine_life, keeper_life[NODES_MAX + 1];
	bool fleet; /* all nodes but the first have joined, and can be cut off */
	struct {
		bool cut, session;
		uint64_t cuts, since; /* since: without a session */
		uint64_t lease_seen;  /* the highest that it has heard of */
	} link[NODES_MAX + 1];
	struct event *heap;
	size_t n_heap, heap_room;
	struct stored *disk;
	size_t n_disk, disk_room, durable,
	        committing; /* committing: size of the disk when the commit under way ends, 0 none */
	struct held *held;
	size_t n_held, held_room;
	struct run *runs;
	size_t n_runs, runs_room;
	struct book *books;
	size_t n_books, books_room;
	uint64_t tick_at; /* the time of the one tick that is scheduled */
	uint64_t poison;
	uint8_t liar[NODES_MAX + 1];  /* what a node says instead of the truth; 0: it is honest */
	uint8_t guile[NODES_MAX + 1]; /* enum world_guile */
	uint8_t *scratch, *spec_mem;  /* arena memory for decide, for world_spec() */
	struct world_counts counts;
	/* Of a machine in a fleet (fleet.c), else NULL. */
	struct machine *machine;
	const char *name;
	const char *class_, *wanted; /* NULL: as without a fleet */
	bool back;                   /* some lease that was replaced is back, and holds again what it held */
	bool rolled_back;            /* its disk went back in time: what was acknowledged may be gone */
	bool node_changed;           /* what it can do may have changed */
	struct err refusal;          /* of the last command, if it was refused */
	struct grantbook {           /* seq of each LeaseGranted, by lease */
		uint64_t lease, seq;
		uint32_t node, tag;
	} * grants;
	size_t n_grants, grants_room;
};

#define SCRATCH_BYTES (4u << 20)
/* Grow an array for one more element. */
#define ROOM(v, n, room)                                                                                     \
	do {                                                                                                 \
		if ((n) == (room)) {                                                                         \
			(room) = (room) ? 2 * (room) : 16;                                                   \
			(v) = realloc((v), (room) * sizeof(*(v)));                                           \
			CHECK(v);                                                                            \
		}                                                                                            \
	} while (0)

/* books.c: as entries come; and when those from `size` on never were. */
void book_job(struct world *w, const Wire__JobSubmitted *s, uint64_t seq);
void book_results(struct world *w, const Wire__Results *r, uint64_t seq);
void book_forgotten(struct world *w, uint64_t job, uint64_t seq);
void books_forget(struct world *w, uint64_t size);
void book_free(struct book *b);

void world_tell_entry(struct world *w, const Wire__Entry *en); /* tell.c */
void world_say(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void world_at(struct world *w, uint64_t at, struct event ev); /* schedule; sets at and order */
struct book *world_book(struct world *w, uint64_t job);
/* books.c: each before its entry is applied. */
void book_job(struct world *w, const Wire__JobSubmitted *s, uint64_t seq);
void book_results(struct world *w, const Wire__Results *r, uint64_t seq);
void book_late(struct world *w, const Wire__LateResult *m);
void book_stopping(struct world *w, const Wire__LeaseStopping *m);
void book_forgotten(struct world *w, uint64_t job, uint64_t seq);
void books_forget(struct world *w, uint64_t size); /* entries from `size` on never were */
void book_free(struct book *b);
bool world_chance(struct world *w, uint32_t per_thousand);
/* The job's specification, decoded into memory that the next call uses again. */
const Wire__JobSpec *world_spec(struct world *w, const struct book *b);

/* wallclock.c */
void world_clock_boot(struct world *w);  /* as an engine that starts has it: not before the newest entry */
void world_clock_wrong(struct world *w); /* a step: it may be set */

/* cut.c */
bool node_down(const struct world *w, uint32_t node); /* nothing passes between it and the engine */
void cut_event(struct world *w, const struct event *ev);
void cut_boot(struct world *w, uint64_t within_ns); /* a new engine: nodes come back to it within this time */

/* Decide and apply; false: it was refused (w->refusal). world_settle() when all was asked. */
bool world_ask(struct world *w, const struct command *cmd);
void world_settle(struct world *w);
/* When its next event is, or UINT64_MAX. */
uint64_t world_next_at(const struct world *w);
/* The disk is as it was when it had so many entries; nothing runs any more. */
void world_rollback(struct world *w, size_t size);
/* seq + 1 of the lease's LeaseGranted, 0 unknown. */
uint64_t world_granted_seq(const struct world *w, uint64_t lease);
const struct grantbook *world_grant(
        const struct world *w, uint64_t lease); /* NULL: never, or it was forgotten */

/* fleet.c, of a world with a machine. An effect is durable: true when it was for a link. */
bool machine_effect(struct world *w, const struct effect *fx);
/* Its own, and those that joined it and have no nodes of their own. */
uint32_t machine_gang_nodes(const struct world *w);
/* The engine started anew. */
void machine_restarted(struct world *w);

/* executor.c */
void executor_effect(struct world *w, const struct effect *fx);
void executor_event(struct world *w, const struct event *ev);
void executor_engine_started(struct world *w);                         /* a new engine says HELLO */
void executor_acked(struct world *w, uint64_t lease, uint64_t cursor); /* results before cursor are durable */
void executor_end_acked(struct world *w, uint64_t lease);
void executor_lost(struct world *w,
        uint32_t
                node); /* its keeper died: nothing runs there any more, nothing is remembered; 0: all nodes */
void executor_cut(struct world *w, uint32_t node);                     /* it is alone from now on */
void executor_halt(struct world *w, uint32_t node, uint64_t alone_ns); /* it stops by itself what it is to */
void executor_forget(struct world *w, uint32_t node); /* it stops what the engine does not know */
void executor_gone(struct world *w,
        const struct lease_view
                *v); /* says so, if it was there and is not any more, or never was while it was parked */
void executor_hello(struct world *w, const struct lease_view *v); /* about one that the engine knows */
void executor_check(struct world *w);
/* Before it is applied: is it where the other replicas' class is, if they are held to one? */
void executor_check_place(
        struct world *w, const Wire__LeaseGranted *g); /* its node meets the step's `where` */
void executor_check_class(struct world *w, const Wire__LeaseGranted *g);
struct run *executor_run(struct world *w, uint64_t lease);
/* What an honest node answers. */
static inline uint8_t task_truth(uint64_t task)
{
	return (uint8_t)(task * 7 + 1);
}

#endif
