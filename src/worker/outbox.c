/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outbox - results on their way to the engine, kept until they are durable there; see internal.h.
 *
 * Results gather in `open` until a packet is full, FLUSH_NS have passed, or there is nothing else to do. A sent packet stays in
 * the list until ACK. Invariant (under lock): packets of a lease are in order and touch.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "internal.h"

struct packet {
	struct packet *next;
	size_t n;
	size_t n_fds;
	int fds[WORKER_FDS_MAX];
	struct worker_head head; /* then the body, n bytes in all with the head */
	uint8_t body[];
};

static struct {
	int fd;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool flusher;
	struct packet *sent, **sent_tail;
	/* The open packet. */
	struct worker_head head;
	uint8_t body[WORKER_PACKET_MAX - sizeof(struct worker_head)];
	size_t n;
	bool plain; /* every result so far is EMPTY */
	size_t n_fds;
	int fds[WORKER_FDS_MAX];
	uint64_t oldest_ns;
} box = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void put(const void *head, const void *body, size_t body_n, const int *fds, size_t n_fds)
{
	struct iovec iov[2] = {
	        {(void *)(uintptr_t)head, sizeof(struct worker_head)}, {(void *)(uintptr_t)body, body_n}};
	union {
		char bytes[CMSG_SPACE(sizeof(int) * WORKER_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = body_n ? 2 : 1};

	if (n_fds) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	while (sendmsg(box.fd, &msg, MSG_NOSIGNAL) < 0) {
		if (errno == EINTR)
			continue;
		_exit(0); /* nobody is left to work for */
	}
}

static void flush_locked(void)
{
	struct packet *p;

	if (!box.head.count)
		return;
	if (box.plain) {
		box.head.flags = WORKER_EMPTY;
		box.n = 0;
	}
	p = must_alloc(sizeof(*p) + box.n);
	p->next = NULL;
	p->head = box.head;
	p->n = box.n;
	memcpy(p->body, box.body, box.n);
	p->n_fds = box.n_fds;
	memcpy(p->fds, box.fds, sizeof(int) * box.n_fds);
	*box.sent_tail = p;
	box.sent_tail = &p->next;
	put(&p->head, p->body, p->n, p->fds, p->n_fds);
	box.head.count = 0;
	box.n = 0;
	box.n_fds = 0;
}

static void *flusher(void *unused)
{
	(void)unused;
	(void)pthread_mutex_lock(&box.lock);
	for (;;) {
		struct timespec until;
		uint64_t at;

		while (!box.head.count)
			(void)pthread_cond_wait(&box.wake, &box.lock);
		at = box.oldest_ns + FLUSH_NS;
		if (mono_ns() >= at) {
			flush_locked();
			continue;
		}
		until = (struct timespec){(time_t)(at / 1000000000u), (long)(at % 1000000000u)};
		(void)pthread_cond_timedwait(&box.wake, &box.lock, &until);
	}
	return NULL;
}

void outbox_init(int fd)
{
	pthread_condattr_t attr;

	box.fd = fd;
	box.sent_tail = &box.sent;
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&box.wake, &attr);
}

static void start_flusher(void)
{
	pthread_attr_t attr;
	pthread_t t;

	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, 64 * 1024);
	box.flusher = pthread_create(&t, &attr, flusher, NULL) == 0;
}

/* A packet that is not EMPTY needs the records of the plain results before it. */
static void unplain(void)
{
	if (!box.plain)
		return;
	box.plain = false;
	memset(box.body, 0, box.head.count * sizeof(struct worker_result));
	box.n = box.head.count * sizeof(struct worker_result);
}

void outbox_result(uint64_t lease, uint64_t index, const struct worker_result *r, const void *bytes, int fd,
        uint64_t now_ns)
{
	bool empty = r->status == WORKER_OK && !r->length && !r->wall_us && fd < 0;
	size_t body = fd < 0 ? r->length : 0, want = sizeof(*r) + body;

	(void)pthread_mutex_lock(&box.lock);
	if (box.head.count && (box.head.lease != lease || box.head.first + box.head.count != index ||
	                              (!empty && box.plain &&
	                                      (box.head.count + 1) * sizeof(*r) + body > sizeof(box.body)) ||
	                              (!box.plain && box.n + want > sizeof(box.body)) ||
	                              (fd >= 0 && box.n_fds == WORKER_FDS_MAX)))
		flush_locked();
	if (!box.head.count) {
		box.head = (struct worker_head){.kind = WORKER_RESULTS, .lease = lease, .first = index};
		box.plain = true;
		box.oldest_ns = now_ns;
		if (box.flusher)
			(void)pthread_cond_signal(&box.wake);
		else
			start_flusher();
	}
	if (!empty)
		unplain();
	if (!box.plain) {
		memcpy(box.body + box.n, r, sizeof(*r));
		box.n += sizeof(*r);
		if (body)
			memcpy(box.body + box.n, bytes, body);
		box.n += body;
	}
	if (fd >= 0)
		box.fds[box.n_fds++] = fd;
	box.head.count++;
	if (now_ns - box.oldest_ns >= FLUSH_NS)
		flush_locked();
	(void)pthread_mutex_unlock(&box.lock);
}

void outbox_flush(void)
{
	(void)pthread_mutex_lock(&box.lock);
	flush_locked();
	(void)pthread_mutex_unlock(&box.lock);
}

void outbox_send(uint32_t kind, uint32_t flags, uint64_t lease, uint64_t first, uint64_t count)
{
	struct worker_head h = {.kind = kind, .flags = flags, .lease = lease, .first = first, .count = count};

	(void)pthread_mutex_lock(&box.lock);
	flush_locked();
	put(&h, NULL, 0, NULL, 0);
	(void)pthread_mutex_unlock(&box.lock);
}

void outbox_ack(uint64_t lease, uint64_t cursor)
{
	(void)pthread_mutex_lock(&box.lock);
	for (struct packet **at = &box.sent; *at;) {
		struct packet *p = *at;

		/* Leases come one after another: an ACK of this one covers every earlier one. */
		if (p->head.lease > lease ||
		        (p->head.lease == lease && p->head.first + p->head.count > cursor)) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		for (size_t i = 0; i < p->n_fds; i++)
			(void)close(p->fds[i]);
		free(p);
	}
	box.sent_tail = &box.sent;
	while (*box.sent_tail)
		box.sent_tail = &(*box.sent_tail)->next;
	(void)pthread_mutex_unlock(&box.lock);
}

void outbox_resume(uint64_t lease, uint64_t cursor)
{
	(void)pthread_mutex_lock(&box.lock);
	flush_locked();
	for (struct packet *p = box.sent; p; p = p->next)
		if (p->head.lease == lease && p->head.first + p->head.count > cursor)
			put(&p->head, p->body, p->n, p->fds, p->n_fds);
	(void)pthread_mutex_unlock(&box.lock);
}
