/* SPDX-License-Identifier: Apache-2.0 */
/* client_internal - what client.c and client_events.c share; for nobody else. */
#ifndef OSIER_CLI_CLIENT_INTERNAL_H
#define OSIER_CLI_CLIENT_INTERNAL_H

#include <sys/types.h>

#include "cli/client.h"

enum framing { BODY_LENGTH, BODY_CHUNKED, BODY_TO_END };
enum fill { FILL_OK, FILL_CLOSED, FILL_TIMEOUT, FILL_INTERRUPTED };

/* Invariant: buf[from..to) was received and not yet consumed. */
struct client {
	char *path;
	char *remote_state;       /* of a path that is a remote's; may be NULL */
	pid_t via;                /* the process behind fd, of a remote; 0: none */
	int fd;                   /* -1: not connected */
	unsigned served;          /* answers on this connection */
	bool (*alive)(void *arg); /* see client_open_while; may be NULL */
	void *alive_arg;
	enum framing framing;
	uint64_t left; /* bytes of the body (LENGTH) or of the chunk (CHUNKED) */
	enum chunk_at { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, CHUNK_TRAILER } chunk_at;
	int close_after, streaming;
	int interrupts_seen;
	bool event_done; /* the event at hand was given out */
	/* the event stream */
	struct text line, event_name, event_data;
	const char *piece;
	size_t piece_n;
	size_t from, to;
	char buf[65536];
};

/* Receive more into buf, waiting at most wait_ns. */
enum fill client_fill(struct client *c, uint64_t wait_ns);
/* The next piece of the body, in place: 1 a piece, 0 the end, < 0 failed or (see *out_fill) timed out or interrupted. */
int client_piece(struct client *c, uint64_t wait_ns, const char **out, size_t *out_n, enum fill *out_fill,
        struct err *e);

#endif
