/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve - see resolve.h.
 *
 * Two owners: the loop's side (struct resolve) and what the thread writes (struct job), which whoever lets go of it last frees. The thread
 * says that it is done by writing to an eventfd that belongs to the job, so it never touches the loop.
 */
#include "io/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"

enum { STACK_BYTES = 256 * 1024 };

struct job {
	atomic_int holders; /* 2: the loop and the thread */
	int fd;
	char host[RESOLVE_HOST_MAX + 1];
	struct resolved r; /* the thread's until it has written to fd */
};

struct resolve {
	uv_poll_t poll;
	struct job *job;
	resolve_fn fn;
	void (*closed)(void *ctx);
	void *ctx, *closed_ctx;
};

bool resolve_is_ip(const char *host)
{
	uint8_t a[16];

	return inet_pton(AF_INET, host, a) == 1 || inet_pton(AF_INET6, host, a) == 1;
}

static void let_go(struct job *j)
{
	if (atomic_fetch_sub(&j->holders, 1) != 1)
		return;
	(void)close(j->fd);
	free(j);
}

static void failed(struct job *j, int rc)
{
	if (rc == EAI_NONAME || rc == EAI_NODATA)
		(void)err_set(&j->r.why, ERR_NOTFOUND, "the name '%s' is not known", j->host);
	else if (rc == EAI_AGAIN)
		(void)err_set(&j->r.why, ERR_CLOSED, "no name server answers for '%s'", j->host);
	else
		(void)err_set(&j->r.why, ERR_CLOSED, "cannot look up '%s': %s", j->host,
		        rc == EAI_SYSTEM ? "the system failed" : gai_strerror(rc));
}

static void *look_up(void *ctx)
{
	struct job *j = ctx;
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *all = NULL;
	int rc = getaddrinfo(j->host, NULL, &hints, &all);
	uint64_t one = 1;

	if (rc == 0) {
		for (const struct addrinfo *a = all; a && j->r.n < RESOLVE_MAX; a = a->ai_next)
			if (getnameinfo(a->ai_addr, a->ai_addrlen, j->r.ip[j->r.n], RESOLVE_IP_MAX, NULL, 0,
			            NI_NUMERICHOST) == 0)
				j->r.n++;
		freeaddrinfo(all);
	}
	if (j->r.n == 0)
		failed(j, rc ? rc : EAI_NONAME);
	CHECK(write(j->fd, &one, sizeof(one)) == (ssize_t)sizeof(one));
	let_go(j);
	return NULL;
}

static void on_closed(uv_handle_t *h)
{
	struct resolve *r = h->data;

	let_go(r->job);
	if (r->closed)
		r->closed(r->closed_ctx);
	free(r);
}

static void on_done(uv_poll_t *p, int status, int events)
{
	struct resolve *r = p->data;
	uint64_t n;

	(void)status, (void)events;
	if (read(r->job->fd, &n, sizeof(n)) != (ssize_t)sizeof(n))
		return;
	(void)uv_poll_stop(p);
	r->fn(r->ctx, &r->job->r); /* valid until on_closed() */
	uv_close((uv_handle_t *)p, on_closed);
}

static int start_thread(struct job *j)
{
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	CHECK(pthread_attr_init(&attr) == 0);
	CHECK(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0);
	CHECK(pthread_attr_setstacksize(&attr, STACK_BYTES) == 0);
	rc = pthread_create(&thread, &attr, look_up, j);
	(void)pthread_attr_destroy(&attr);
	return rc;
}

int resolve_start(
        uv_loop_t *loop, const char *host, resolve_fn fn, void *ctx, struct resolve **out, struct err *e)
{
	struct resolve *r;
	struct job *j;
	int rc;

	if (!*host || strnlen(host, RESOLVE_HOST_MAX + 1) > RESOLVE_HOST_MAX)
		return err_set(e, ERR_INVALID, "the name of a host is 1 to %u bytes", RESOLVE_HOST_MAX);
	j = calloc(1, sizeof(*j));
	r = calloc(1, sizeof(*r));
	CHECK(j && r);
	(void)snprintf(j->host, sizeof(j->host), "%s", host);
	atomic_init(&j->holders, 2);
	j->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (j->fd < 0) {
		free(j), free(r);
		return err_sys(e, "cannot look up '%s'", host);
	}
	*r = (struct resolve){.job = j, .fn = fn, .ctx = ctx};
	rc = start_thread(j);
	if (rc != 0) {
		(void)close(j->fd);
		free(j), free(r);
		errno = rc;
		return err_sys(e, "cannot start a thread that looks up '%s'", host);
	}
	r->poll.data = r;
	CHECK(uv_poll_init(loop, &r->poll, j->fd) == 0);
	CHECK(uv_poll_start(&r->poll, UV_READABLE, on_done) == 0);
	*out = r;
	return 0;
}

void resolve_cancel(struct resolve *r, void (*closed)(void *ctx), void *ctx)
{
	r->closed = closed;
	r->closed_ctx = ctx;
	(void)uv_poll_stop(&r->poll);
	uv_close((uv_handle_t *)&r->poll, on_closed);
}
