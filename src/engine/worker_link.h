/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_link - the engine's end of wire/worker_msg.h: one socket to one worker.
 *
 * Knows no runs. The worker's bytes are hostile: every length, count and flag is checked, and what does not fit the contract
 * ends the link with a sentence that says what was sent. Never blocks; packets that the socket does not take wait in memory, in
 * order (ask worker_link_busy() before sending more). Loop thread only.
 */
#ifndef OSIER_ENGINE_WORKER_LINK_H
#define OSIER_ENGINE_WORKER_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/err.h"
#include "wire/worker_msg.h"

struct worker_link;

/* The results of one packet. */
struct worker_results {
	const uint8_t *p;
	size_t n;
	uint64_t left;
	int *fds;
	uint32_t n_fds, next_fd;
};

struct worker_link_callbacks {
	/* HELLO came: n names, each NUL-terminated, borrowed. Comes once, first. */
	void (*on_hello)(void *ctx, uint32_t n, const char *const *names);
	/* One RESULTS packet; walk it with worker_results_next(). Return < 0 with *e when it makes no sense: the link ends. */
	int (*on_results)(
	        void *ctx, const struct worker_head *head, struct worker_results *it, struct err *e);
	void (*on_progress)(void *ctx, uint64_t lease, uint64_t task);
	/* There is room again after worker_link_busy() said true. */
	void (*on_writable)(void *ctx);
	/* The worker closed its end (e->code ERR_CLOSED) or sent garbage. Nothing is called after it; close the link. */
	void (*on_lost)(void *ctx, const struct err *e);
	void *ctx;
};

/* The next result: 1, *out and its bytes (borrowed) or its descriptor (the callee's to close, else -1); 0 at the end; < 0 *e. */
int worker_results_next(
        struct worker_results *it, struct worker_result *out, const uint8_t **bytes, int *fd, struct err *e);

/* fd is the link's from now on. resumed: an engine before this one has most likely read its HELLO. */
struct worker_link *worker_link_open(
        uv_loop_t *loop, int fd, bool resumed, const struct worker_link_callbacks *cb);
void worker_link_close(struct worker_link *l);

/* Send one packet: head and body, at most WORKER_PACKET_MAX together; copied if it must wait. */
void worker_link_send(struct worker_link *l, const struct worker_head *head, const void *body, size_t n);
/* Tasks of this lease are known to the worker by numbers that are higher by `shift`: it runs a part of a hub's step. */
void worker_link_shift(struct worker_link *l, uint64_t lease, uint64_t shift);
bool worker_link_busy(const struct worker_link *l);
void worker_link_ack(struct worker_link *l, uint64_t lease, uint64_t cursor);

/* Read what is there now, without waiting for the loop (a worker died: what did it still say?). */
void worker_link_drain(struct worker_link *l);

#endif
