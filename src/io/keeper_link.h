/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper_link - the engine's end of its socket to the keeper: packets in, packets out, never blocking.
 *
 * Knows no leases and no tasks: it carries wire/keeper_msg.h. Single-threaded (the loop's thread); nothing here waits.
 * Messages sent in one round of the loop travel together in as few packets as possible (keeper_link_flush()). What the
 * socket does not take waits in memory, in order.
 *
 *	keeper_link_open(fd, &cb, &l, &e)
 *	keeper_link_send(l, &hello, &e)
 *	each round: keeper_link_send() ... then keeper_link_flush()
 *	poll keeper_link_fd() for keeper_link_events(); when ready: keeper_link_ready()
 */
#ifndef OSIER_IO_KEEPER_LINK_H
#define OSIER_IO_KEEPER_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "wire/keeper_msg.h"

struct keeper_link;

struct keeper_link_callbacks {
	/* One message from the keeper, borrowed for the call. `fd` is the worker's socket (SOCK_SEQPACKET, non-blocking,
	 * close-on-exec) that came with a STARTED or SLOT, the callee's to close; otherwise -1. May send; must not close the link. */
	void (*on_message)(void *ctx, const struct keeper_msg *m, int fd);
	/* The keeper is gone, or it sent what it must not: called once, nothing is called after it. */
	void (*on_lost)(void *ctx, const struct err *e);
	void *ctx;
};

/* Use the socket `fd` (made non-blocking; closed by keeper_link_close(), not on failure). ERR_INVALID: not a SOCK_SEQPACKET socket. */
int keeper_link_open(int fd, const struct keeper_link_callbacks *cb, struct keeper_link **out, struct err *e);
void keeper_link_close(struct keeper_link *l);

/* Queue one message, copied. ERR_FULL: larger than a packet (say so to the user); ERR_CLOSED: the keeper is gone. */
int keeper_link_send(struct keeper_link *l, const struct keeper_msg *m, struct err *e);
/* Hand what is queued to the socket, as far as it takes it. */
void keeper_link_flush(struct keeper_link *l);

/* Something was sent that the socket did not take yet. */
bool keeper_link_unsent(const struct keeper_link *l);

/* For the loop: poll fd for events (POLLIN, and POLLOUT while something waits), then call ready: reads at most a few hundred
 * packets, calls back, flushes. */
int keeper_link_fd(const struct keeper_link *l);
short keeper_link_events(const struct keeper_link *l);
void keeper_link_ready(struct keeper_link *l);

#endif
