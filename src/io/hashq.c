/* SPDX-License-Identifier: Apache-2.0 */
/* hashq - see hashq.h. */
#include "io/hashq.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"

struct item {
	struct item *next;
	char *path;
	struct hashq_done done;
};

struct list {
	struct item *first, **end;
};

struct hashq {
	struct blobs *blobs;
	void (*done)(void *ctx, const struct hashq_done *d);
	void *ctx;
	int event_fd;
	size_t waiting; /* loop thread */
	bool started;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	bool stop;
	struct list todo, finished; /* under mutex */
};

static void push(struct list *l, struct item *i)
{
	i->next = NULL;
	*l->end = i;
	l->end = &i->next;
}

static struct item *pop(struct list *l)
{
	struct item *i = l->first;

	if (!i)
		return NULL;
	l->first = i->next;
	if (!l->first)
		l->end = &l->first;
	return i;
}

static void item_free(struct item *i)
{
	free(i->path);
	free(i);
}

static void *main_loop(void *queue)
{
	static const uint64_t one = 1;
	struct hashq *q = queue;

	(void)pthread_mutex_lock(&q->mutex);
	for (;;) {
		struct item *i;
		ssize_t n;

		while (!q->stop && !q->todo.first)
			(void)pthread_cond_wait(&q->wake, &q->mutex);
		if (q->stop)
			break;
		i = pop(&q->todo);
		(void)pthread_mutex_unlock(&q->mutex);
		i->done.rc = blobs_take_file(q->blobs, i->path, i->done.digest, &i->done.bytes, &i->done.err);
		(void)pthread_mutex_lock(&q->mutex);
		push(&q->finished, i);
		n = write(q->event_fd, &one, sizeof(one));
		CHECK(n == sizeof(one) || errno == EAGAIN); /* EAGAIN: it is readable already */
	}
	(void)pthread_mutex_unlock(&q->mutex);
	return NULL;
}

int hashq_new(struct blobs *b, void (*done)(void *ctx, const struct hashq_done *d), void *ctx,
        struct hashq **out, struct err *e)
{
	struct hashq *q = calloc(1, sizeof(*q));

	CHECK(q && done);
	q->blobs = b;
	q->done = done;
	q->ctx = ctx;
	q->todo.end = &q->todo.first;
	q->finished.end = &q->finished.first;
	(void)pthread_mutex_init(&q->mutex, NULL);
	(void)pthread_cond_init(&q->wake, NULL);
	q->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (q->event_fd < 0) {
		(void)err_sys(e, "cannot create an eventfd");
		hashq_free(q);
		return -1;
	}
	*out = q;
	return 0;
}

void hashq_free(struct hashq *q)
{
	struct item *i;

	if (!q)
		return;
	if (q->started) {
		(void)pthread_mutex_lock(&q->mutex);
		q->stop = true;
		(void)pthread_cond_signal(&q->wake);
		(void)pthread_mutex_unlock(&q->mutex);
		(void)pthread_join(q->thread, NULL);
	}
	while ((i = pop(&q->todo)))
		item_free(i);
	while ((i = pop(&q->finished)))
		item_free(i);
	(void)pthread_cond_destroy(&q->wake);
	(void)pthread_mutex_destroy(&q->mutex);
	if (q->event_fd >= 0)
		(void)close(q->event_fd);
	free(q);
}

static int start(struct hashq *q, struct err *e)
{
	pthread_attr_t attr;
	int rc;

	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, 512u << 10);
	rc = pthread_create(&q->thread, &attr, main_loop, q);
	(void)pthread_attr_destroy(&attr);
	if (rc != 0) {
		errno = rc;
		return err_sys(e, "cannot start a thread to hash files");
	}
	q->started = true;
	return 0;
}

int hashq_take_file(struct hashq *q, const char *path, void *tag, struct err *e)
{
	size_t n = strlen(path) + 1;
	struct item *i;

	if (!q->started && start(q, e) < 0)
		return -1;
	i = calloc(1, sizeof(*i));
	CHECK(i);
	i->path = malloc(n);
	CHECK(i->path);
	memcpy(i->path, path, n);
	i->done.tag = tag;
	q->waiting++;
	(void)pthread_mutex_lock(&q->mutex);
	push(&q->todo, i);
	(void)pthread_cond_signal(&q->wake);
	(void)pthread_mutex_unlock(&q->mutex);
	return 0;
}

size_t hashq_waiting(const struct hashq *q)
{
	return q->waiting;
}

int hashq_fd(const struct hashq *q)
{
	return q->event_fd;
}

void hashq_poll(struct hashq *q)
{
	struct item *i;
	uint64_t n;

	if (read(q->event_fd, &n, sizeof(n)) < 0)
		CHECK(errno == EAGAIN || errno == EINTR);
	for (;;) {
		(void)pthread_mutex_lock(&q->mutex);
		i = pop(&q->finished);
		(void)pthread_mutex_unlock(&q->mutex);
		if (!i)
			return;
		q->waiting--;
		q->done(q->ctx, &i->done);
		item_free(i);
	}
}
