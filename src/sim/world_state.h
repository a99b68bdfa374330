/* SPDX-License-Identifier: Apache-2.0 */
/* world_state - what world.c (clock, disk, engine) and executor.c (what runs) share. Not for others. */
#ifndef OSIER_SIM_WORLD_STATE_H
#define OSIER_SIM_WORLD_STATE_H

#include "base/check.h"
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
	EV_DISK_FAILED
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
	bool worker, stopping, over, end_acked; /* over: nothing runs any more; end_acked: the engine knows */
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
};

struct world {
	uint64_t seed, now, base, orders;
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
	uint64_t engine_life, keeper_life;
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
	uint8_t liar[NODES_MAX + 1]; /* what a node says instead of the truth; 0: it is honest */
	uint8_t *scratch, *spec_mem; /* arena memory for decide, for world_spec() */
	struct world_counts counts;
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

void world_say(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void world_at(struct world *w, uint64_t at, struct event ev); /* schedule; sets at and order */
struct book *world_book(struct world *w, uint64_t job);
bool world_chance(struct world *w, uint32_t per_thousand);
/* The job's specification, decoded into memory that the next call uses again. */
const Wire__JobSpec *world_spec(struct world *w, const struct book *b);

/* executor.c */
void executor_effect(struct world *w, const struct effect *fx);
void executor_event(struct world *w, const struct event *ev);
void executor_engine_started(struct world *w);                         /* a new engine says HELLO */
void executor_acked(struct world *w, uint64_t lease, uint64_t cursor); /* results before cursor are durable */
void executor_end_acked(struct world *w, uint64_t lease);
void executor_lost(struct world *w); /* the keeper died: nothing runs any more, nothing is remembered */
void executor_check(struct world *w);
struct run *executor_run(struct world *w, uint64_t lease);
/* What an honest node answers. */
static inline uint8_t task_truth(uint64_t task)
{
	return (uint8_t)(task * 7 + 1);
}

#endif
