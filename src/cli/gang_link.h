/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gang_link - what the members of a gang say to its first one, over TCP, sealed with a key that only they have.
 *
 *	first -> member   32 random bytes
 *	member -> first   rank (4 bytes, big-endian), 32 random bytes
 *	from then on      length (4 bytes), crypto_secretbox of: kind (1 byte), session (4 bytes), data
 *
 * The key is HMAC-SHA256 of both sides' bytes and the rank under the gang's secret; the nonce is who speaks and the number of the frame. So
 * a stranger learns 32 random bytes, and what he sends is no frame. Blocking writes, reads that do not wait; one thread.
 */
#ifndef OSIER_CLI_GANG_LINK_H
#define OSIER_CLI_GANG_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define GANG_DATA_MAX  (32u << 10)
#define GANG_RANDOM    32u
#define GANG_ANSWER    (4u + GANG_RANDOM)
#define GANG_FRAME_MAX (GANG_DATA_MAX + 64u)

enum gang_kind { GANG_HELLO = 1, GANG_RUN, GANG_OUT, GANG_ERR, GANG_EXIT, GANG_KILL, GANG_BYE };

struct gang_frame { /* data: valid until the next call */
	enum gang_kind kind;
	uint32_t session;
	const uint8_t *data;
	size_t n;
};

struct gang_link {
	int fd; /* not blocking */
	bool first;
	uint8_t key[32], random[GANG_RANDOM];
	uint64_t sent, got;
	size_t have;
	uint8_t in[4 + GANG_FRAME_MAX], plain[GANG_FRAME_MAX];
};

/* The first's end of a connection that came: says its random bytes. Takes the descriptor. */
int gang_link_greet(struct gang_link *l, int fd, struct err *e);
/* The member's answer, when all of it is there: 1, and which rank it says it is; 0: not yet; < 0: the connection is gone. */
int gang_link_answer(struct gang_link *l, const char *secret, uint32_t *out_rank, struct err *e);
/* The member's end: waits for the other side, at most wait_ms. Takes the descriptor; on failure it is closed. */
int gang_link_begin(
        struct gang_link *l, int fd, const char *secret, uint32_t rank, int wait_ms, struct err *e);
void gang_link_close(struct gang_link *l);

int gang_link_send(struct gang_link *l, enum gang_kind kind, uint32_t session, const void *data, size_t n,
        struct err *e);
/* 1: a frame; 0: none now; < 0: ERR_CLOSED, or ERR_CORRUPT: not with our key. */
int gang_link_take(struct gang_link *l, struct gang_frame *out, struct err *e);

/* All of it to a descriptor that may not block; < 0: errno. */
int gang_write(int fd, const void *p, size_t n);

#endif
