/* SPDX-License-Identifier: Apache-2.0 */
/* keeper_link - see keeper_link.h. */
#include "io/keeper_link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

#define PACKETS_A_TURN 256
#define SOCKET_BYTES   (1 << 20)

struct packet {
	struct packet *next;
	size_t n;
	_Alignas(8) uint8_t bytes[];
};

struct keeper_link {
	int fd;
	struct keeper_link_callbacks cb;
	bool lost;
	struct packet *head, *tail; /* full ones, in order; the last is filled in `open` */
	size_t queued_bytes;
	size_t n; /* of open */
	_Alignas(8) uint8_t open[KEEPER_PACKET_MAX];
	_Alignas(8) uint8_t in[KEEPER_PACKET_MAX];
};

int keeper_link_open(int fd, const struct keeper_link_callbacks *cb, struct keeper_link **out, struct err *e)
{
	int type = 0, flags, bytes = SOCKET_BYTES;
	socklen_t len = sizeof(type);
	struct keeper_link *l;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET) {
		(void)err_set(e, ERR_INVALID, "descriptor %d is not a socket to a keeper", fd);
		return err_hint(e, "start the engine with `osier up` or `osier run`");
	}
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return err_sys(e, "cannot set up the socket to the keeper");
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	l = calloc(1, sizeof(*l));
	CHECK(l);
	l->fd = fd;
	l->cb = *cb;
	*out = l;
	return 0;
}

void keeper_link_close(struct keeper_link *l)
{
	if (!l)
		return;
	(void)close(l->fd);
	while (l->head) {
		struct packet *p = l->head;

		l->head = p->next;
		free(p);
	}
	free(l);
}

static void lose(struct keeper_link *l, enum err_code code, const char *what)
{
	struct err e;

	if (l->lost)
		return;
	l->lost = true;
	(void)err_set(&e, code, "%s", what);
	l->cb.on_lost(l->cb.ctx, &e);
}

/* Move what is open to the queue, so that a new packet can begin. */
static void seal(struct keeper_link *l)
{
	struct packet *p;

	if (l->n == 0)
		return;
	p = malloc(sizeof(*p) + l->n);
	CHECK(p);
	p->next = NULL;
	p->n = l->n;
	memcpy(p->bytes, l->open, l->n);
	if (l->tail)
		l->tail->next = p;
	else
		l->head = p;
	l->tail = p;
	l->queued_bytes += p->n;
	l->n = 0;
}

int keeper_link_send(struct keeper_link *l, const struct keeper_msg *m, struct err *e)
{
	if (l->lost)
		return err_set(e, ERR_CLOSED, "the keeper is gone");
	if (keeper_msg_build(l->open, sizeof(l->open), &l->n, m, e) == 0)
		return 0;
	if (l->n == 0)
		return -1;
	seal(l);
	return keeper_msg_build(l->open, sizeof(l->open), &l->n, m, e);
}

/* 1 sent, 0 not now, -1 the keeper is gone. */
static int send_one(struct keeper_link *l, const uint8_t *p, size_t n)
{
	ssize_t w;

	do {
		w = send(l->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (w < 0 && errno == EINTR);
	if (w >= 0)
		return 1;
	return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? 0 : -1;
}

void keeper_link_flush(struct keeper_link *l)
{
	int rc = 1;

	while (!l->lost && l->head && (rc = send_one(l, l->head->bytes, l->head->n)) > 0) {
		struct packet *p = l->head;

		l->head = p->next;
		if (!l->head)
			l->tail = NULL;
		l->queued_bytes -= p->n;
		free(p);
	}
	if (!l->lost && !l->head && l->n && (rc = send_one(l, l->open, l->n)) > 0)
		l->n = 0;
	/* rc < 0: the read side sees the end too, after whatever the keeper said last. */
}

bool keeper_link_unsent(const struct keeper_link *l)
{
	return l->head || l->n;
}

int keeper_link_fd(const struct keeper_link *l)
{
	return l->fd;
}

short keeper_link_events(const struct keeper_link *l)
{
	return keeper_link_unsent(l) ? POLLIN | POLLOUT : POLLIN;
}

/* One packet and the descriptor that came with it, or -1. Returns as recvmsg. */
static ssize_t receive(struct keeper_link *l, int *out_fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec v = {l->in, sizeof(l->in)};
	struct msghdr h = {.msg_iov = &v,
	        .msg_iovlen = 1,
	        .msg_control = control.room,
	        .msg_controllen = sizeof(control.room)};
	ssize_t n = recvmsg(l->fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*out_fd = -1;
	if (n < 0)
		return n;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
		size_t fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && i < fds;
		        i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (*out_fd < 0)
				*out_fd = fd;
			else
				(void)close(fd);
		}
	}
	if (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		errno = EMSGSIZE;
		n = -1;
	}
	return n;
}

static void take_packet(struct keeper_link *l, size_t n, int fd)
{
	struct keeper_msg m;
	struct err e;
	size_t at = 0;
	int rc = 0;

	while (!l->lost && (rc = keeper_msg_next(l->in, n, &at, &m, &e)) > 0) {
		int give = m.flags & KEEPER_WORKER && (m.kind == KEEPER_STARTED || m.kind == KEEPER_SLOT)
		                   ? fd
		                   : -1;

		if (m.kind < KEEPER_READY) {
			lose(l, ERR_CORRUPT, "the keeper sent what only an engine says");
			break;
		}
		if (give >= 0) {
			(void)fcntl(give, F_SETFL, fcntl(give, F_GETFL) | O_NONBLOCK);
			fd = -1;
		}
		l->cb.on_message(l->cb.ctx, &m, give);
	}
	if (fd >= 0)
		(void)close(fd);
	if (rc < 0) {
		(void)err_wrap(&e, "the keeper sent nonsense");
		lose(l, e.code, e.msg);
	}
}

void keeper_link_ready(struct keeper_link *l)
{
	for (int i = 0; i < PACKETS_A_TURN && !l->lost; i++) {
		int fd;
		ssize_t n = receive(l, &fd);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n > 0) {
			take_packet(l, (size_t)n, fd);
			continue;
		}
		if (fd >= 0)
			(void)close(fd);
		lose(l, ERR_CLOSED,
		        n < 0 && errno == EMSGSIZE ? "the keeper sent too large a packet"
		                                   : "the keeper is gone");
	}
	if (!l->lost)
		keeper_link_flush(l);
}
