/* SPDX-License-Identifier: Apache-2.0 */
/* journal_commit - the commit thread, wherever the rows lie. See journal_int.h. */
#include "io/journal_int.h"

#include <errno.h>
#include <unistd.h>

#include "base/check.h"

#define IDLE_NS 50000000u /* without a batch, then the log is moved while nobody waits */

/* ---- the thread ---- */

static void tell_loop(struct journal *j)
{
	static const uint64_t one = 1;
	ssize_t n = write(j->event_fd, &one, sizeof(one));

	CHECK(n == sizeof(one) || errno == EAGAIN); /* EAGAIN: it is readable already */
}

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void wait_until(struct journal *j, uint64_t ns)
{
	struct timespec until = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};

	(void)pthread_cond_timedwait(&j->wake, &j->mutex, &until);
}

/* With the mutex: what a piece of work on the writer came to. */
static void work_done(struct journal *j, enum write_result result)
{
	j->busy = false;
	(void)pthread_cond_broadcast(&j->idle);
	j->wal_bytes = j->writer.wal_bytes;
	j->db_bytes = j->writer.db_bytes;
	j->drop_more = j->writer.forgetting || j->writer.drop_from < j->writer.drop_before;
	if (result == WRITE_FAILED) {
		j->failed = true;
		j->failure = j->writer.why;
	}
}

void commit_once(struct journal *j)
{
	struct writer *w = &j->writer;
	enum write_result result = WRITE_OK;
	uint64_t began;

	/* A log over its bound is moved before more is added to it. */
	if (w->wal_bytes > w->wal_bytes_max)
		result = w->ops->checkpoint(w);
	began = now_ns();
	if (result == WRITE_OK)
		result = w->ops->commit(w, &j->committing);
	(void)pthread_mutex_lock(&j->mutex);
	j->commit_ns = (j->commit_ns * 3 + (now_ns() - began)) / 4;
	work_done(j, result);
	j->full = result == WRITE_FULL;
	if (j->full) {
		CHECK(w->why.code !=
		        ERR_NONE); /* whoever waits is answered with it: none would be an acknowledgement */
		j->failure = w->why;
	}
	j->kept_ns = result == WRITE_OK ? began : j->kept_ns;
	j->retry_ns = j->full ? now_ns() + j->retry_after_ns : 0;
	if (result == WRITE_OK) {
		j->durable = w->next_seq;
		j->commits++;
		j->committing_bytes = 0;
		j->history_from = w->drop_before;
		batch_clear(&j->committing);
	}
	(void)pthread_mutex_unlock(&j->mutex);
}

/* With the mutex and nothing queued: the log and the policy, while nobody waits. Returns with the mutex. When there is no
 * room, what is to be dropped is still in the tables, and the next commit tries again. */
static void work_when_idle(struct journal *j, bool checkpoint)
{
	enum write_result result = WRITE_OK;
	bool drop = j->drop_more, more;

	j->busy = true;
	(void)pthread_mutex_unlock(&j->mutex);
	if (drop)
		result = j->writer.ops->drop_step(&j->writer, &more);
	if (result == WRITE_OK && (checkpoint || j->writer.wal_bytes > j->writer.wal_bytes_max))
		result = j->writer.ops->checkpoint(&j->writer);
	(void)pthread_mutex_lock(&j->mutex);
	work_done(j, result);
	if (result == WRITE_FULL)
		j->drop_more = false;
	if (result == WRITE_FAILED)
		tell_loop(j);
}

/* With the mutex, idle: renew our hold of the record. When that cannot be done for long, nothing is decided any more: before
 * somebody else may have it. */
static void keep_record(struct journal *j)
{
	enum write_result result;
	uint64_t began = now_ns();

	j->busy = true;
	(void)pthread_mutex_unlock(&j->mutex);
	result = j->writer.ops->keep(&j->writer);
	(void)pthread_mutex_lock(&j->mutex);
	work_done(j, result);
	if (result == WRITE_OK) {
		j->kept_ns = began;
		return;
	}
	if (result == WRITE_FULL) {
		j->full = now_ns() - j->kept_ns > 2 * j->writer.keep_ns;
		j->failure = j->writer.why;
		j->retry_ns = now_ns() + j->retry_after_ns;
	}
	if (result == WRITE_FAILED || j->full)
		tell_loop(j);
	else
		wait_until(j, now_ns() + j->retry_after_ns);
}

/* With the mutex: wait for work, and on a record for the time to say that it is still ours. */
static void sleep_well(struct journal *j)
{
	uint64_t due = j->kept_ns + j->writer.keep_ns;

	j->asleep = true;
	if (!j->writer.ops->keep)
		(void)pthread_cond_wait(&j->wake, &j->mutex);
	else if (now_ns() < due)
		wait_until(j, due);
	j->asleep = false;
	if (j->writer.ops->keep && !j->busy && !j->stop && !j->failed &&
	        now_ns() >= j->kept_ns + j->writer.keep_ns && batch_empty(&j->queued))
		keep_record(j);
}

/* With the mutex, idle: sleep, or tidy up. `*stuck` is the number of commits at which a reader was seen to keep the log
 * from being moved: there is no use in trying again before the next one. */
static void be_idle(struct journal *j, uint64_t *stuck)
{
	bool worth = j->wal_bytes >= j->wal_idle && *stuck != j->commits;
	uint64_t commits = j->commits, until;

	if (j->drop_more) {
		work_when_idle(j, false);
		return;
	}
	if (!worth) {
		sleep_well(j);
		return;
	}
	until = now_ns() + IDLE_NS;
	if (j->wal_bytes < j->wal_soft)
		wait_until(j, until);
	if (j->busy || j->stop || j->failed || commits != j->commits || !batch_empty(&j->queued))
		return;
	if (j->wal_bytes >= j->wal_soft || now_ns() >= until) {
		work_when_idle(j, true);
		if (j->wal_bytes >= j->wal_idle)
			*stuck = j->commits;
	}
}

/* With the mutex. True: there is a batch to commit; false: stop. */
static bool wait_for_batch(struct journal *j)
{
	uint64_t stuck = UINT64_MAX;

	for (;;) {
		if (j->busy) { /* an inline commit */
			(void)pthread_cond_wait(&j->idle, &j->mutex);
		} else if (j->stop && (j->failed || j->full)) {
			return false;
		} else if (j->failed) {
			(void)pthread_cond_wait(&j->wake, &j->mutex);
		} else if (j->full) {
			if (now_ns() >= j->retry_ns)
				return true;
			wait_until(j, j->retry_ns);
		} else if (!batch_empty(&j->queued)) {
			return true;
		} else if (j->stop) {
			return false;
		} else {
			be_idle(j, &stuck);
		}
	}
}

void *commit_main(void *journal)
{
	struct journal *j = journal;

	(void)pthread_mutex_lock(&j->mutex);
	while (wait_for_batch(j)) {
		if (batch_empty(&j->committing)) { /* else it found the disk full */
			struct batch taken = j->queued;

			j->queued = j->committing;
			j->committing = taken;
			j->committing_bytes = taken.used;
		}
		j->busy = true;
		(void)pthread_mutex_unlock(&j->mutex);
		commit_once(j);
		tell_loop(j);
		(void)pthread_mutex_lock(&j->mutex);
	}
	(void)pthread_mutex_unlock(&j->mutex);
	return NULL;
}
