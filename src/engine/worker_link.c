/* SPDX-License-Identifier: Apache-2.0 */
/* worker_link - see worker_link.h. */
#include "engine/worker_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

#define PACKETS_PER_TURN 256u
#define NAME_MAX_BYTES   255u
#define SHIFTS           8u /* leases whose acknowledgements may still be under way, and more */

struct queued {
	struct queued *next;
	size_t n;
	uint8_t bytes[];
};

struct worker_link {
	uv_poll_t poll;
	int fd;
	bool hello, resumed, lost, closing;
	unsigned in_use; /* callbacks on the stack: closing waits for them */
	int events;
	struct worker_link_callbacks cb;
	struct queued *first, **end;
	struct {
		uint64_t lease, shift;
	} shifts[SHIFTS];
	unsigned n_shifts;
	uint8_t packet[WORKER_PACKET_MAX + 1];
};

static void on_poll(uv_poll_t *h, int status, int events);

static void want(struct worker_link *l)
{
	int events = UV_READABLE | (l->first ? UV_WRITABLE : 0);

	if (l->lost || l->closing || events == l->events)
		return;
	l->events = events;
	(void)uv_poll_start(&l->poll, events, on_poll);
}

static void lose(struct worker_link *l, const struct err *e)
{
	if (l->lost)
		return;
	l->lost = true;
	(void)uv_poll_stop(&l->poll);
	l->cb.on_lost(l->cb.ctx, e);
}

/* ---- sending ---- */

static int send_packet(struct worker_link *l, const struct iovec *iov, size_t n_iov)
{
	struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n_iov};

	for (;;) {
		ssize_t n = sendmsg(l->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0)
			return 1;
		if (errno == EINTR)
			continue;
		/* A worker that is gone is told by reading: its last results may still be there. */
		return errno == EAGAIN || errno == ENOBUFS ? 0 : 1;
	}
}

void worker_link_shift(struct worker_link *l, uint64_t lease, uint64_t shift)
{
	unsigned at = l->n_shifts % SHIFTS;

	if (!shift || (l->n_shifts && l->shifts[(l->n_shifts - 1) % SHIFTS].lease == lease))
		return;
	l->shifts[at].lease = lease;
	l->shifts[at].shift = shift;
	l->n_shifts++;
}

static uint64_t shift_of(const struct worker_link *l, uint64_t lease)
{
	for (unsigned i = 0; i < SHIFTS && i < l->n_shifts; i++)
		if (l->shifts[i].lease == lease)
			return l->shifts[i].shift;
	return 0;
}

void worker_link_send(struct worker_link *l, const struct worker_head *h, const void *body, size_t n)
{
	struct worker_head shifted = *h, *head = &shifted;
	struct iovec iov[2] = {{head, sizeof(*head)}, {(void *)(uintptr_t)body, n}};
	struct queued *q;

	if (h->kind != WORKER_CANCEL)
		shifted.first += shift_of(l, h->lease);

	CHECK(sizeof(*head) + n <= WORKER_PACKET_MAX);
	if (l->lost)
		return;
	if (!l->first && send_packet(l, iov, n ? 2 : 1))
		return;
	q = malloc(sizeof(*q) + sizeof(*head) + n);
	CHECK(q);
	q->next = NULL;
	q->n = sizeof(*head) + n;
	memcpy(q->bytes, head, sizeof(*head));
	if (n)
		memcpy(q->bytes + sizeof(*head), body, n);
	*l->end = q;
	l->end = &q->next;
	want(l);
}

bool worker_link_busy(const struct worker_link *l)
{
	return l->first != NULL;
}

void worker_link_ack(struct worker_link *l, uint64_t lease, uint64_t cursor)
{
	struct worker_head h = {.kind = WORKER_ACK, .lease = lease, .first = cursor};

	worker_link_send(l, &h, NULL, 0);
}

static void send_queued(struct worker_link *l)
{
	while (l->first) {
		struct queued *q = l->first;
		struct iovec iov = {q->bytes, q->n};

		if (!send_packet(l, &iov, 1))
			return;
		l->first = q->next;
		if (!l->first)
			l->end = &l->first;
		free(q);
	}
	want(l);
	l->cb.on_writable(l->cb.ctx);
}

/* ---- receiving ---- */

static uint32_t get_u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

int worker_results_next(
        struct worker_results *it, struct worker_result *out, const uint8_t **bytes, int *fd, struct err *e)
{
	*fd = -1;
	*bytes = it->p;
	if (it->left == 0)
		return it->n == 0 ? 0 : err_set(e, ERR_CORRUPT, "results with %zu bytes too many", it->n);
	if (it->n < sizeof(*out))
		return err_set(e, ERR_CORRUPT, "results cut short");
	memcpy(out, it->p, sizeof(*out));
	it->p += sizeof(*out);
	it->n -= sizeof(*out);
	it->left--;
	if (out->status > WORKER_NO_FUNCTION)
		return err_set(e, ERR_CORRUPT, "a result with status %u", out->status);
	if (out->status == WORKER_OK && out->length == WORKER_OUTPUT_FILE) {
		if (it->next_fd == it->n_fds)
			return err_set(e, ERR_CORRUPT, "an output as a file without its descriptor");
		*fd = it->fds[it->next_fd];
		it->fds[it->next_fd++] = -1;
		return 1;
	}
	if (out->length > it->n || out->length > WORKER_INLINE_MAX)
		return err_set(e, ERR_CORRUPT, "an output of %u bytes in a packet with %zu left", out->length,
		        it->n);
	*bytes = it->p;
	it->p += out->length;
	it->n -= out->length;
	return 1;
}

static int hello(
        struct worker_link *l, const struct worker_head *h, const uint8_t *p, size_t n, struct err *e)
{
	const char *names[WORKER_FUNCTIONS_MAX];
	char text[WORKER_PACKET_MAX + WORKER_FUNCTIONS_MAX];
	size_t at = 0;

	if (h->first != WORKER_PROTOCOL)
		return err_set(e, ERR_VERSION, "protocol %llu, this osier speaks %u",
		        (unsigned long long)h->first, WORKER_PROTOCOL);
	if (h->count > WORKER_FUNCTIONS_MAX || l->hello)
		return err_set(e, ERR_CORRUPT, "a HELLO with %llu functions", (unsigned long long)h->count);
	for (uint64_t i = 0; i < h->count; i++) {
		uint32_t len = n >= 4 ? get_u32(p) : UINT32_MAX;

		if (n < 4 || len > n - 4 || len > NAME_MAX_BYTES || memchr(p + 4, 0, len))
			return err_set(e, ERR_CORRUPT, "a HELLO cut short");
		memcpy(text + at, p + 4, len);
		text[at + len] = '\0';
		names[i] = text + at;
		at += len + 1;
		p += 4 + len;
		n -= 4 + len;
	}
	l->hello = true;
	l->cb.on_hello(l->cb.ctx, (uint32_t)h->count, names);
	return 0;
}

static int results(struct worker_link *l, struct worker_head *h, const uint8_t *p, size_t n, int *fds,
        uint32_t n_fds, struct err *e)
{
	struct worker_results it = {.p = p, .n = n, .left = h->count, .fds = fds, .n_fds = n_fds};

	if (!l->hello && !l->resumed)
		return err_set(e, ERR_CORRUPT, "results before its HELLO");
	if (h->flags & ~(unsigned)(WORKER_EMPTY | WORKER_UNKNOWN | WORKER_CANCELLED))
		return err_set(e, ERR_CORRUPT, "results with flags %#x", h->flags);
	if (h->flags & WORKER_EMPTY)
		it.left = 0;
	if (h->first > UINT64_MAX - h->count)
		return err_set(e, ERR_CORRUPT, "results of tasks that cannot be");
	h->first -= shift_of(l, h->lease);
	return l->cb.on_results(l->cb.ctx, h, &it, e);
}

static int take(struct worker_link *l, size_t n, int *fds, uint32_t n_fds, struct err *e)
{
	struct worker_head h;

	if (n < sizeof(h) || n > WORKER_PACKET_MAX)
		return err_set(e, ERR_CORRUPT, "a packet of %zu bytes", n);
	memcpy(&h, l->packet, sizeof(h));
	switch (h.kind) {
	case WORKER_HELLO:
		return hello(l, &h, l->packet + sizeof(h), n - sizeof(h), e);
	case WORKER_RESULTS:
		return results(l, &h, l->packet + sizeof(h), n - sizeof(h), fds, n_fds, e);
	case WORKER_PROGRESS:
		l->cb.on_progress(l->cb.ctx, h.lease, h.first - shift_of(l, h.lease));
		return 0;
	default:
		return err_set(e, ERR_CORRUPT, "a packet of kind %u", h.kind);
	}
}

/* Returns 0 when there is nothing (any more). */
static int receive(struct worker_link *l)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(WORKER_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {l->packet, sizeof(l->packet)};
	struct msghdr m = {.msg_iov = &iov,
	        .msg_iovlen = 1,
	        .msg_control = control.buf,
	        .msg_controllen = sizeof(control.buf)};
	int fds[WORKER_FDS_MAX];
	uint32_t n_fds = 0;
	struct err e;
	ssize_t n = recvmsg(l->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR;
	if (n <= 0) {
		(void)err_set(&e, ERR_CLOSED, "closed its socket");
		lose(l, &e);
		return 0;
	}
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n_fds = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), n_fds * sizeof(int));
	}
	if (take(l, (size_t)n, fds, n_fds, &e) < 0)
		lose(l, &e);
	for (uint32_t i = 0; i < n_fds; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	return !l->lost && !l->closing;
}

static void free_link(uv_handle_t *h)
{
	struct worker_link *l = h->data;

	(void)close(l->fd);
	while (l->first) {
		struct queued *q = l->first;

		l->first = q->next;
		free(q);
	}
	free(l);
}

static void leave(struct worker_link *l)
{
	l->in_use--;
	if (l->closing && l->in_use == 0)
		uv_close((uv_handle_t *)&l->poll, free_link);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct worker_link *l = h->data;

	l->in_use++;
	if (status == 0 && events & UV_WRITABLE)
		send_queued(l);
	for (unsigned i = 0; i < PACKETS_PER_TURN && !l->closing && !l->lost && receive(l); i++)
		;
	leave(l);
}

void worker_link_drain(struct worker_link *l)
{
	l->in_use++;
	while (!l->closing && !l->lost && receive(l))
		;
	leave(l);
}

struct worker_link *worker_link_open(
        uv_loop_t *loop, int fd, bool resumed, const struct worker_link_callbacks *cb)
{
	struct worker_link *l = malloc(sizeof(*l));

	CHECK(l);
	memset(l, 0, offsetof(struct worker_link, packet));
	l->fd = fd;
	l->resumed = resumed;
	l->cb = *cb;
	l->end = &l->first;
	CHECK(uv_poll_init(loop, &l->poll, fd) == 0);
	l->poll.data = l;
	want(l);
	return l;
}

void worker_link_close(struct worker_link *l)
{
	if (!l || l->closing)
		return;
	l->closing = true;
	(void)uv_poll_stop(&l->poll);
	if (l->in_use == 0)
		uv_close((uv_handle_t *)&l->poll, free_link);
}
