/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal - what the three files of the worker library share.
 *
 * queue.c holds batches and inputs that came, outbox.c the results that go (and stay until ACK), worker.c the loop and
 * the public functions. Threads: the main thread runs tasks and reads the socket; a flusher thread only sends results that have
 * waited for FLUSH_NS behind a slow task (it holds outbox.lock while it does).
 */
#ifndef OSIER_WORKER_INTERNAL_H
#define OSIER_WORKER_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "osier/worker.h"
#include "wire/worker_msg.h"

#define FLUSH_NS 2000000ull /* the longest a result waits for company */

/* ---- queue.c: what came ---- */

struct input {
	uint64_t lease, task;
	const char *path; /* or bytes */
	void *bytes;
	size_t n;
	bool mapped;
	struct input *next;
};

struct batch {
	struct worker_head head;
	uint64_t total, next; /* next: the index to run */
	char *function;
	osier_fn fn; /* NULL until looked up, or not offered here */
	bool looked_up;
	uint8_t *packet;    /* the arguments lie in it */
	const uint8_t *arg; /* the next text (VARIES) or the only one */
	size_t arg_left;
	struct batch *after;
};

struct queue {
	struct batch *head, **tail;
	struct input *inputs, **inputs_tail;
};

void queue_init(struct queue *q);
/* Take a BATCH or INPUT packet (copied). < 0: it is malformed. */
int queue_batch(struct queue *q, const uint8_t *p, size_t n);
int queue_input(struct queue *q, const uint8_t *p, size_t n);
/* The arguments of the batch's next task; moves past them. < 0: malformed. */
int batch_arg(struct batch *b, const char **out, size_t *out_n);
void queue_pop(struct queue *q); /* the first batch is done */
/* Drop the batches of a lease; returns the first index that was not run, or UINT64_MAX if none waited. */
uint64_t queue_cancel(struct queue *q, uint64_t lease);
/* Inputs of one task, in order of arrival; take them off the list. */
struct input *queue_take_inputs(struct queue *q, uint64_t lease, uint64_t task, size_t *out_n);
void inputs_free(struct input *list);

/* ---- outbox.c: what goes ---- */

void outbox_init(int fd);
/* Add the result of (lease, index); fd >= 0: the output is that file (owned by the outbox from now on). */
void outbox_result(uint64_t lease, uint64_t index, const struct worker_result *r, const void *bytes, int fd,
        uint64_t now_ns);
/* Send what is gathered. */
void outbox_flush(void);
void outbox_send(uint32_t kind, uint32_t flags, uint64_t lease, uint64_t first, uint64_t count);
void outbox_ack(uint64_t lease, uint64_t cursor);
void outbox_resume(uint64_t lease, uint64_t cursor);

uint64_t mono_ns(void);
/* Out of memory ends the worker: the engine runs its tasks again elsewhere. */
void *must_alloc(size_t n);

#endif
