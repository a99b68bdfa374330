/* SPDX-License-Identifier: Apache-2.0 */
/* journal_commit - the commit thread, its transactions and the slow work of policy. See journal_int.h. */
#include "io/journal_int.h"

#include <errno.h>
#include <unistd.h>

#include "base/check.h"

#define DROP_ROWS  256       /* of a forgotten job in one step */
#define DROP_TILES 8         /* of dropped history in one step */
#define IDLE_NS    50000000u /* without a batch, then the log is moved while nobody waits */

static int run(sqlite3_stmt *s)
{
	int rc = sqlite3_step(s);

	(void)sqlite3_reset(s);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* The least n with 2^n >= count. */
static int level_of(uint64_t count)
{
	return count <= 1 ? 0 : 64 - __builtin_clzll(count - 1);
}

static int write_index(struct writer *w, const struct batch_entry *b, const uint8_t *outputs, uint64_t seq)
{
	sqlite3_stmt *s = w->stmt[W_RESULT];
	int rc;

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)b->job);
	(void)sqlite3_bind_int64(s, 2, b->step);
	(void)sqlite3_bind_int(s, 3, level_of(b->count));
	(void)sqlite3_bind_int64(s, 4, (sqlite3_int64)b->first);
	(void)sqlite3_bind_int64(s, 5, (sqlite3_int64)seq);
	(void)sqlite3_bind_int64(s, 6, (sqlite3_int64)b->count);
	rc = run(s);
	if (rc != SQLITE_OK || b->output_bytes == 0)
		return rc;
	s = w->stmt[W_OUTPUTS];
	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)seq);
	(void)sqlite3_bind_blob64(s, 2, outputs, b->output_bytes, SQLITE_STATIC);
	return run(s);
}

static int write_entries(struct writer *w, const struct batch *b)
{
	sqlite3_stmt *s = w->stmt[W_ENTRY];
	static const uint8_t nothing[1];

	for (size_t i = 0; i < b->n; i++) {
		const struct batch_entry *en = &b->entry[i];
		const uint8_t *bytes = b->bytes ? b->bytes + en->at : nothing;
		uint64_t seq = w->next_seq + i;
		int rc;

		(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)seq);
		(void)sqlite3_bind_blob(s, 2, en->leaf, sizeof(en->leaf), SQLITE_STATIC);
		(void)sqlite3_bind_blob64(s, 3, bytes, en->bytes, SQLITE_STATIC);
		rc = run(s);
		if (rc == SQLITE_OK && en->indexed)
			rc = write_index(w, en, bytes + en->bytes, seq);
		if (rc != SQLITE_OK)
			return rc;
	}
	return SQLITE_OK;
}

static int set_meta(struct writer *w, const char *key, uint64_t value)
{
	sqlite3_stmt *s = w->stmt[W_META_SET];

	(void)sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(s, 2, (sqlite3_int64)value);
	return run(s);
}

static int write_policy(struct writer *w, const struct batch *b)
{
	int rc = SQLITE_OK;

	for (size_t i = 0; i < b->n_forget && rc == SQLITE_OK; i++) {
		(void)sqlite3_bind_int64(w->stmt[W_FORGET], 1, (sqlite3_int64)b->forget[i]);
		rc = run(w->stmt[W_FORGET]);
	}
	if (rc == SQLITE_OK && b->drop_before > w->drop_before)
		rc = set_meta(w, "drop_before", b->drop_before);
	return rc;
}

/* A statement that stays open between commits keeps this connection reading, so that each commit need not find its place in the
 * log again (4 of the 6 locks of a commit). It does keep the log from being moved: let go of it before. */
static void hold(struct writer *w)
{
	if (!sqlite3_stmt_busy(w->stmt[W_HOLD]) && sqlite3_step(w->stmt[W_HOLD]) != SQLITE_ROW)
		(void)sqlite3_reset(w->stmt[W_HOLD]);
}

/* Say what went wrong while SQLite still knows it, and leave no transaction open (it ends some itself). */
static enum write_result fail(struct writer *w, int rc)
{
	enum write_result result = WRITE_FAILED;

	(void)db_err(w->db, &w->why, "cannot write the journal");
	(void)sqlite3_reset(w->stmt[W_HOLD]);
	if ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_FULL)
		result = WRITE_FULL;
	if (!sqlite3_get_autocommit(w->db))
		(void)run(w->stmt[W_ROLLBACK]);
	return result;
}

enum write_result writer_commit(struct writer *w, const struct batch *b)
{
	int rc = run(w->stmt[W_BEGIN]);

	if (rc != SQLITE_OK)
		return fail(w, rc);
	rc = write_entries(w, b);
	if (rc == SQLITE_OK)
		rc = write_policy(w, b);
	if (rc == SQLITE_OK)
		rc = run(w->stmt[W_COMMIT]);
	if (rc != SQLITE_OK)
		return fail(w, rc);
	hold(w);
	w->next_seq += b->n;
	w->forgetting |= b->n_forget > 0;
	if (b->drop_before > w->drop_before)
		w->drop_before = b->drop_before;
	return WRITE_OK;
}

/* ---- dropping ---- */

static int forget_some(struct writer *w, bool *out_done)
{
	sqlite3_stmt *next = w->stmt[W_FORGET_NEXT];
	static const enum writer_stmt drop[] = {W_FORGET_OUTPUTS, W_FORGET_RESULTS};
	int rc = sqlite3_step(next);
	sqlite3_int64 job = rc == SQLITE_ROW ? sqlite3_column_int64(next, 0) : 0;

	(void)sqlite3_reset(next);
	*out_done = rc == SQLITE_DONE;
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE ? SQLITE_OK : rc;
	rc = SQLITE_OK;
	for (size_t i = 0; i < ARRAY_LEN(drop) && rc == SQLITE_OK; i++) {
		(void)sqlite3_bind_int64(w->stmt[drop[i]], 1, job);
		(void)sqlite3_bind_int(w->stmt[drop[i]], 2, DROP_ROWS);
		rc = run(w->stmt[drop[i]]);
	}
	if (rc == SQLITE_OK && sqlite3_changes(w->db) < DROP_ROWS) {
		(void)sqlite3_bind_int64(w->stmt[W_FORGET_DONE], 1, job);
		rc = run(w->stmt[W_FORGET_DONE]);
	}
	return rc;
}

static int drop_range(struct writer *w, enum writer_stmt which, uint64_t from, uint64_t to)
{
	(void)sqlite3_bind_int64(w->stmt[which], 1, (sqlite3_int64)from);
	(void)sqlite3_bind_int64(w->stmt[which], 2, (sqlite3_int64)to);
	return run(w->stmt[which]);
}

/* Entries [from, from + 256) become one row of hashes. What finds results by task is dropped with its job only. */
static int drop_tile(struct writer *w, uint64_t from)
{
	sqlite3_stmt *s = w->stmt[W_TILE_LEAVES], *add = w->stmt[W_TILE_ADD];
	uint8_t hashes[TILE_LEAVES * MERKLE_HASH_BYTES];
	uint64_t n = 0;
	int rc;

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)from);
	(void)sqlite3_bind_int64(s, 2, (sqlite3_int64)(from + TILE_LEAVES));
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		const void *leaf = sqlite3_column_blob(s, 1);

		if (n == TILE_LEAVES || (uint64_t)sqlite3_column_int64(s, 0) != from + n || !leaf ||
		        sqlite3_column_bytes(s, 1) != MERKLE_HASH_BYTES)
			break;
		memcpy(hashes + n++ * MERKLE_HASH_BYTES, leaf, MERKLE_HASH_BYTES);
	}
	(void)sqlite3_reset(s);
	if (rc != SQLITE_DONE || n != TILE_LEAVES)
		return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_CORRUPT : rc;
	(void)sqlite3_bind_int64(add, 1, (sqlite3_int64)(from / TILE_LEAVES));
	(void)sqlite3_bind_blob(add, 2, hashes, sizeof(hashes), SQLITE_TRANSIENT);
	rc = run(add);
	if (rc == SQLITE_OK)
		rc = drop_range(w, W_TILE_OUTPUTS, from, from + TILE_LEAVES);
	return rc == SQLITE_OK ? drop_range(w, W_TILE_ENTRIES, from, from + TILE_LEAVES) : rc;
}

static int drop_some(struct writer *w, uint64_t *out_to)
{
	uint64_t at = w->drop_from;
	int rc = SQLITE_OK;

	for (int i = 0; i < DROP_TILES && at < w->drop_before && rc == SQLITE_OK; i++, at += TILE_LEAVES)
		rc = drop_tile(w, at);
	if (rc == SQLITE_OK)
		rc = set_meta(w, "dropped_to", at);
	*out_to = at;
	return rc;
}

enum write_result writer_drop_step(struct writer *w, bool *out_more)
{
	bool forgot_all = !w->forgetting;
	uint64_t dropped_to = w->drop_from;
	int rc = run(w->stmt[W_BEGIN]);

	if (rc != SQLITE_OK)
		return fail(w, rc);
	if (w->forgetting)
		rc = forget_some(w, &forgot_all);
	if (rc == SQLITE_OK && w->drop_from < w->drop_before)
		rc = drop_some(w, &dropped_to);
	if (rc == SQLITE_OK)
		rc = run(w->stmt[W_COMMIT]);
	if (rc != SQLITE_OK)
		return fail(w, rc);
	w->forgetting = !forgot_all;
	w->drop_from = dropped_to;
	*out_more = w->forgetting || w->drop_from < w->drop_before;
	return WRITE_OK;
}

/* Move the log's pages into the database file. Afterwards the next commit begins the log's file from its start, unless a
 * reader still looks at it (readers are short). */
enum write_result writer_checkpoint(struct writer *w)
{
	int in_log = 0, moved = 0, rc;

	(void)sqlite3_reset(w->stmt[W_HOLD]);
	rc = sqlite3_wal_checkpoint_v2(w->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log, &moved);

	if (rc == SQLITE_OK && in_log == moved)
		w->wal_frames = 0;
	return rc == SQLITE_OK || rc == SQLITE_BUSY ? WRITE_OK : fail(w, rc);
}

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
	j->wal_bytes = writer_wal_bytes(&j->writer);
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
	if (writer_wal_bytes(w) > w->wal_bytes_max)
		result = writer_checkpoint(w);
	began = now_ns();
	if (result == WRITE_OK)
		result = writer_commit(w, &j->committing);
	(void)pthread_mutex_lock(&j->mutex);
	j->commit_ns = (j->commit_ns * 3 + (now_ns() - began)) / 4;
	work_done(j, result);
	j->full = result == WRITE_FULL;
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
		result = writer_drop_step(&j->writer, &more);
	if (result == WRITE_OK && (checkpoint || writer_wal_bytes(&j->writer) > j->writer.wal_bytes_max))
		result = writer_checkpoint(&j->writer);
	(void)pthread_mutex_lock(&j->mutex);
	work_done(j, result);
	if (result == WRITE_FULL)
		j->drop_more = false;
	if (result == WRITE_FAILED)
		tell_loop(j);
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
		j->asleep = true;
		(void)pthread_cond_wait(&j->wake, &j->mutex);
		j->asleep = false;
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
