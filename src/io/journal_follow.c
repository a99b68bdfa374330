/* SPDX-License-Identifier: Apache-2.0 */
/* journal_follow - see journal_follow.h. */
#include "io/journal_follow.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "wire/entry.h"

#define FETCH_ROWS     512
#define LOOK_MS        1000
#define AGAIN_MS       500
#define FOLLOW_WAIT_MS 5000u

struct follower {
	struct record record;
	uint64_t next; /* to be fetched; the thread's alone */
	int event_fd, stop_fd;
	struct pg *c;
	pthread_t thread;
	bool started;

	pthread_mutex_t mutex;
	pthread_cond_t taken;
	struct followed queue;
	bool stop, vacant, failed, seen;
	struct pg_state state;
	struct err failure;
};

static void tell(struct follower *f)
{
	static const uint64_t one = 1;
	ssize_t n = write(f->event_fd, &one, sizeof(one));

	CHECK(n == sizeof(one) || errno == EAGAIN);
}

static bool stopped(struct follower *f)
{
	bool stop;

	(void)pthread_mutex_lock(&f->mutex);
	stop = f->stop;
	(void)pthread_mutex_unlock(&f->mutex);
	return stop;
}

static void fail(struct follower *f, const struct err *e)
{
	(void)pthread_mutex_lock(&f->mutex);
	f->failed = true;
	f->failure = *e;
	(void)pthread_mutex_unlock(&f->mutex);
	tell(f);
}

/* ---- fetching ---- */

static void put(struct followed *q, const uint8_t *leaf, const uint8_t *bytes, uint32_t n)
{
	size_t need = q->used + sizeof(n) + MERKLE_HASH_BYTES + n;

	if (need > q->size) {
		size_t size = q->size ? q->size : 65536;

		while (size < need)
			size *= 2;
		q->bytes = must_grow(q->bytes, size);
		q->size = size;
	}
	memcpy(q->bytes + q->used, &n, sizeof(n));
	memcpy(q->bytes + q->used + sizeof(n), leaf, MERKLE_HASH_BYTES);
	if (n > 0)
		memcpy(q->bytes + q->used + sizeof(n) + MERKLE_HASH_BYTES, bytes, n);
	q->used = need;
	q->n++;
}

/* The next entry. Waits while enough of them wait to be taken. */
static int on_row(void *ctx, const struct pg_rows *one, struct err *e)
{
	struct follower *f = ctx;
	uint64_t seq = (uint64_t)pg_cell_i8(one, 0, 0, -1);
	size_t leaf_n, n;
	const uint8_t *leaf = pg_cell(one, 0, 1, &leaf_n), *body = pg_cell(one, 0, 2, &n);
	bool stop;

	if (seq != f->next)
		return 1; /* told by who asked */
	if (!leaf || leaf_n != MERKLE_HASH_BYTES || !body || n > ENTRY_BYTES_MAX)
		return reader_corrupt(e, seq, "is damaged in the record");
	(void)pthread_mutex_lock(&f->mutex);
	while (f->queue.used > FOLLOW_BYTES && !f->stop)
		(void)pthread_cond_wait(&f->taken, &f->mutex);
	stop = f->stop;
	if (!stop) {
		if (f->queue.n == 0)
			f->queue.first = seq;
		put(&f->queue, leaf, body, (uint32_t)n);
		f->next++;
	}
	(void)pthread_mutex_unlock(&f->mutex);
	return stop ? 1 : 0;
}

/* What there is, up to FETCH_ROWS. *out_n: how many came. */
static int fetch(struct follower *f, uint64_t *out_n, struct err *e)
{
	static const char sql[] =
	        "SELECT seq, leaf, body FROM entries WHERE seq >= $1 AND seq < $2 ORDER BY seq";
	uint64_t from = f->next;
	struct pg_value v[2] = {
	        {.type = PG_I8, .i8 = (int64_t)from}, {.type = PG_I8, .i8 = (int64_t)(from + FETCH_ROWS)}};
	int rc = pg_each(f->c, sql, v, 2, on_row, f, e);

	*out_n = f->next - from;
	if (*out_n)
		tell(f);
	return rc < 0 ? -1 : 0;
}

/* ---- the thread ---- */

/* Look at who holds the record. Vacant: nobody, and we have all that there is. */
static int look(struct follower *f, struct err *e)
{
	struct pg_state s;
	bool vacant;

	if (pg_journal_state(f->c, &s, e) < 0)
		return -1;
	if (s.size > f->next && s.drop_before > f->next) {
		struct err why;

		(void)err_set(&why, ERR_NOTFOUND,
		        "entry %llu of the record was dropped before this standby had it",
		        (unsigned long long)f->next);
		(void)err_hint(&why, "start it again: it begins with the record's newest snapshot");
		fail(f, &why);
		return 0;
	}
	vacant = s.size == f->next &&
	         (!s.holder[0] || s.age_ms > PG_LEASE_MS || strcmp(s.holder, f->record.holder) == 0);
	(void)pthread_mutex_lock(&f->mutex);
	f->state = s;
	f->seen = true;
	f->vacant = vacant;
	(void)pthread_mutex_unlock(&f->mutex);
	if (vacant)
		tell(f);
	return 0;
}

static int connect_and_listen(struct follower *f, struct err *e)
{
	char channel[PG_SCHEMA_MAX + 16], sql[128];

	if (f->c)
		return 0;
	if (pg_open(f->record.url, FOLLOW_WAIT_MS, &f->c, e) < 0)
		return -1;
	pg_journal_channel(f->c, channel);
	(void)snprintf(sql, sizeof(sql), "LISTEN \"%s\"", channel);
	return pg_script(f->c, sql, e);
}

static void rest(struct follower *f, int fd, int ms)
{
	struct pollfd p[2] = {{.fd = f->stop_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

	(void)poll(p, fd >= 0 ? 2 : 1, ms);
}

/* One turn: fetch what is new; when there is nothing more, look and wait. */
static int turn(struct follower *f, struct err *e)
{
	uint64_t n = 0;
	bool notified;

	if (connect_and_listen(f, e) < 0 || fetch(f, &n, e) < 0)
		return -1;
	if (n > 0)
		return 0;
	if (look(f, e) < 0)
		return -1;
	if (pg_notified(f->c, &notified, e) < 0)
		return -1;
	if (notified)
		return 0;
	rest(f, pg_socket(f->c), LOOK_MS);
	return pg_notified(f->c, &notified, e);
}

static void *follow_main(void *follower)
{
	struct follower *f = follower;
	struct err e;

	while (!stopped(f)) {
		if (turn(f, &e) == 0)
			continue;
		if (e.code == ERR_CORRUPT || e.code == ERR_VERSION) {
			fail(f, &e);
			break;
		}
		pg_close(f->c);
		f->c = NULL;
		rest(f, -1, AGAIN_MS);
	}
	pg_close(f->c);
	return NULL;
}

int follower_start(const struct record *r, uint64_t next, int event_fd, struct follower **out, struct err *e)
{
	struct follower *f = must_grow(NULL, sizeof(*f));
	int rc;

	memset(f, 0, sizeof(*f));
	f->record = *r;
	f->next = next;
	f->event_fd = event_fd;
	(void)pthread_mutex_init(&f->mutex, NULL);
	(void)pthread_cond_init(&f->taken, NULL);
	f->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (f->stop_fd < 0) {
		(void)err_sys(e, "cannot create an eventfd");
		follower_stop(f);
		return -1;
	}
	rc = pthread_create(&f->thread, NULL, follow_main, f);
	if (rc != 0) {
		errno = rc;
		(void)err_sys(e, "cannot start a thread");
		follower_stop(f);
		return -1;
	}
	f->started = true;
	*out = f;
	return 0;
}

void follower_stop(struct follower *f)
{
	static const uint64_t one = 1;

	if (!f)
		return;
	if (f->started) {
		(void)pthread_mutex_lock(&f->mutex);
		f->stop = true;
		(void)pthread_cond_broadcast(&f->taken);
		(void)pthread_mutex_unlock(&f->mutex);
		CHECK(write(f->stop_fd, &one, sizeof(one)) == (ssize_t)sizeof(one));
		(void)pthread_join(f->thread, NULL);
	}
	if (f->stop_fd >= 0)
		(void)close(f->stop_fd);
	(void)pthread_cond_destroy(&f->taken);
	(void)pthread_mutex_destroy(&f->mutex);
	free(f->queue.bytes);
	explicit_bzero(&f->record, sizeof(f->record));
	free(f);
}

void follower_take(struct follower *f, struct followed *io)
{
	struct followed empty = *io;

	empty.n = empty.used = 0;
	(void)pthread_mutex_lock(&f->mutex);
	*io = f->queue;
	f->queue = empty;
	(void)pthread_cond_signal(&f->taken);
	(void)pthread_mutex_unlock(&f->mutex);
}

bool follower_vacant(struct follower *f)
{
	bool vacant;

	(void)pthread_mutex_lock(&f->mutex);
	vacant = f->vacant && f->queue.n == 0;
	if (vacant)
		f->vacant = false;
	(void)pthread_mutex_unlock(&f->mutex);
	return vacant;
}

bool follower_failed(struct follower *f, struct err *e)
{
	bool failed;

	(void)pthread_mutex_lock(&f->mutex);
	failed = f->failed;
	if (failed)
		*e = f->failure;
	(void)pthread_mutex_unlock(&f->mutex);
	return failed;
}

bool follower_state(struct follower *f, struct pg_state *out)
{
	bool seen;

	(void)pthread_mutex_lock(&f->mutex);
	seen = f->seen;
	if (seen)
		*out = f->state;
	(void)pthread_mutex_unlock(&f->mutex);
	return seen;
}
