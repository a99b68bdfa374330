/* SPDX-License-Identifier: Apache-2.0 */
/* journal - see journal.h; this file is the loop thread's side. */
#include "io/journal_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "core/ledger.h"
#include "io/disk.h"
#include "io/fault.h"
#include "io/record.h"
#include "wire/entry.h"

#define PREALLOC_LEAVES                                                                                      \
	((uint64_t)64 << 20) /* free bytes below which the log is not made larger in advance */

/* ---- open ---- */

static int check_folder(const char *dir, struct err *e)
{
	struct stat st;

	if (stat(dir, &st) < 0) {
		(void)err_sys(e, "cannot open the folder '%s'", dir);
		return err_hint(e, "make it, or choose another with --state");
	}
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_INVALID, "'%s' is not a folder", dir);
	return 0;
}

static int held_by_other(int fd, const char *dir, struct err *e)
{
	char pid[32] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? n : 0] = '\0';
	pid[strspn(pid, "0123456789")] = '\0';
	(void)err_set(e, ERR_EXISTS, "the journal in '%s' is held by another engine, process %s", dir,
	        pid[0] ? pid : "unknown");
	return err_hint(e, "use that one, stop it with 'osier down', or choose another folder with --state");
}

/* flock, not a record lock: those are lost when any descriptor of the file is closed. */
static int take_lock(struct journal *j, struct err *e)
{
	char *path = path_in(j->dir, "lock"), pid[32];
	int n, rc = 0;

	j->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (j->lock_fd < 0) {
		bool denied = errno == EACCES || errno == EPERM || errno == EROFS;

		rc = err_sys(e, "cannot open '%s'", path);
		if (denied && e)
			e->code = ERR_DENIED;
		(void)err_hint(
		        e, "osier keeps its journal there: make it writable, or choose another with --state");
	} else if (flock(j->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		rc = errno == EWOULDBLOCK ? held_by_other(j->lock_fd, j->dir, e)
		                          : err_sys(e, "cannot lock '%s'", path);
	} else {
		n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
		/* Only for the message above; a full disk must not keep an engine from starting. */
		if (ftruncate(j->lock_fd, 0) == 0 && pwrite(j->lock_fd, pid, (size_t)n, 0) < 0)
			rc = 0;
	}
	free(path);
	return rc;
}

/* A new journal, unless what is there shows that there was one. */
static int create_if_new(struct journal *j, struct err *e)
{
	char *db = path_in(j->dir, "journal.db"), *wal = path_in(j->dir, "journal.db-wal");
	uint64_t *snapshots = NULL;
	size_t n = 0;
	struct stat st;
	int rc = 0;

	if (lstat(db, &st) == 0)
		goto out;
	if (errno != ENOENT) {
		rc = err_sys(e, "cannot look at '%s'", db);
		goto out;
	}
	rc = snapshot_list(j->dir, &snapshots, &n, e);
	if (rc < 0)
		goto out;
	if (n > 0 || (lstat(wal, &st) == 0 && st.st_size > 0)) {
		rc = err_set(e, ERR_CORRUPT, "'%s' is missing, but there are %s of it", db,
		        n > 0 ? "snapshots" : "unmerged changes");
		(void)err_hint(e, "restore it from a backup, or move the folder's files away to begin anew");
		goto out;
	}
	rc = db_create(j->dir, e);
out:
	free(snapshots);
	free(db);
	free(wal);
	return rc;
}

/* The state in a snapshot must be one that the journal has been in. */
static int check_snapshot(struct journal *j, struct journal_reader *r, const struct snapshot_header *s,
        uint64_t size, struct err *e)
{
	uint8_t leaf[MERKLE_HASH_BYTES] = {0};

	if (s->seq > size) {
		(void)err_set(e, ERR_CORRUPT,
		        "the journal in '%s' has lost entries: it ends before %llu, its newest snapshot is "
		        "of %llu",
		        j->dir, (unsigned long long)size, (unsigned long long)s->seq);
		return err_hint(e,
		        "restore the folder from a backup; moving snapshot-%llu away gives up what is lost",
		        (unsigned long long)s->seq);
	}
	if (s->seq > 0 && reader_leaf(r, s->seq - 1, leaf, e) < 0)
		return -1;
	if (memcmp(leaf, s->last_leaf, sizeof(leaf)) != 0) {
		(void)err_set(e, ERR_CORRUPT, "snapshot-%llu in '%s' is of another journal",
		        (unsigned long long)s->seq, j->dir);
		return err_hint(e, "move it away");
	}
	return 0;
}

static int check_tree(struct journal *j, struct err *e)
{
	struct journal_reader *r = NULL;
	struct snapshot_header *s = must_grow(NULL, sizeof(*s));
	bool found = false;
	uint64_t size = 0, *snapshots = NULL;
	size_t n = 0;
	int rc = journal_reader_open(j->dir, &r, e);

	if (rc == 0)
		rc = reader_size(r, &size, e);
	if (rc == 0)
		rc = reader_history_from(r, &j->history_from, e);
	if (rc == 0)
		rc = snapshot_find(j->dir, UINT64_MAX, s, &found, e);
	if (rc == 0 && found)
		rc = check_snapshot(j, r, s, size, e);
	if (rc == 0 && found)
		j->tree = s->frontier;
	j->checked_from = j->tree.size;
	if (rc == 0)
		rc = reader_tree(r, &j->tree, size, e);
	if (rc == 0 && size > 0)
		rc = reader_leaf(r, size - 1, j->last_leaf, e);
	if (rc == 0)
		rc = snapshot_list(j->dir, &snapshots, &n, e);
	if (rc == 0)
		j->oldest_snapshot = n > 0 ? snapshots[n - 1] : UINT64_MAX;
	j->durable = j->reported = size;
	free(snapshots);
	free(s);
	journal_reader_close(r);
	if (rc < 0 && e && e->code == ERR_CORRUPT && !strstr(e->msg, j->dir))
		return j->on_record ? err_wrap(e, "the record is damaged")
		                    : err_wrap(e, "'%s/journal.db' is damaged", j->dir);
	return rc;
}

static int start_writer(struct journal *j, struct err *e)
{
	uint32_t wal_max = j->o.wal_bytes_max ? j->o.wal_bytes_max : WAL_BYTES_DEFAULT;
	sqlite3 *db = NULL;
	int rc = db_open(j->dir, false, &db, e);

	if (rc < 0)
		return -1;
	if (wal_max < WAL_BYTES_LEAST)
		wal_max = WAL_BYTES_LEAST;
	if (db_writer_init(&j->writer, db, wal_max, e) < 0)
		return -1;
	if (db_writer_checkpoint(&j->writer) == WRITE_FAILED) {
		*e = j->writer.why;
		return err_wrap(e, "opening the journal in '%s'", j->dir);
	}
	if (disk_room(j->dir, 0, PREALLOC_LEAVES, NULL) == 0)
		db_writer_preallocate(j->dir, wal_max);
	j->writer.next_seq = j->durable;
	j->retry_after_ns = (j->o.full_retry_ms ? j->o.full_retry_ms : 1000) * (uint64_t)1000000;
	j->wal_soft = wal_max < WAL_PREALLOC_BYTES ? wal_max : WAL_PREALLOC_BYTES;
	j->wal_idle = j->wal_soft / 4;
	j->history_from = j->writer.drop_before;
	j->drop_more = j->writer.forgetting || j->writer.drop_from < j->writer.drop_before;
	j->wal_bytes = j->writer.wal_bytes;
	return 0;
}

int start_commit_thread(struct journal *j, struct err *e)
{
	pthread_attr_t attr;
	int rc;

	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, 512u << 10);
	rc = pthread_create(&j->thread, &attr, commit_main, j);
	(void)pthread_attr_destroy(&attr);
	if (rc != 0) {
		errno = rc;
		return err_sys(e, "cannot start the journal's thread");
	}
	j->thread_started = true;
	return 0;
}

static void init(struct journal *j, const char *dir, const struct journal_options *o)
{
	pthread_condattr_t attr;

	memset(j, 0, sizeof(*j));
	j->dir = must_grow(NULL, strlen(dir) + 1);
	memcpy(j->dir, dir, strlen(dir) + 1);
	if (o)
		j->o = *o;
	j->read_only = j->o.read_only;
	j->lock_fd = j->event_fd = -1;
	j->pid = getpid();
	j->sha = sha256_new();
	j->oldest_snapshot = UINT64_MAX;
	merkle_init(&j->tree);
	(void)pthread_mutex_init(&j->mutex, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&j->wake, &attr);
	(void)pthread_cond_init(&j->idle, &attr);
	(void)pthread_condattr_destroy(&attr);
}

static int open_all(struct journal *j, struct err *e)
{
	if (fault_from_env(e) < 0 || check_folder(j->dir, e) < 0 || record_find(j, e) < 0)
		return -1;
	if (!j->read_only) {
		if (take_lock(j, e) < 0 || (j->on_record ? record_take(j, e) : create_if_new(j, e)) < 0)
			return -1;
		snapshot_sweep(j->dir);
		j->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (j->event_fd < 0)
			return err_sys(e, "cannot create an eventfd");
	}
	if (check_tree(j, e) < 0)
		return -1;
	if (j->read_only)
		return 0;
	if (j->standby)
		return record_follow(j, e);
	if (j->on_record ? record_check(j, e) < 0 : start_writer(j, e) < 0)
		return -1;
	return start_commit_thread(j, e);
}

int journal_open(const char *dir, const struct journal_options *o, struct journal **out, struct err *e)
{
	struct journal *j = must_grow(NULL, sizeof(*j));

	init(j, dir, o);
	if (open_all(j, e) < 0) {
		journal_close(j);
		return -1;
	}
	*out = j;
	return 0;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	record_unfollow(j);
	if (j->thread_started) {
		journal_flush(j);
		(void)pthread_mutex_lock(&j->mutex);
		j->stop = true;
		(void)pthread_cond_broadcast(&j->wake);
		(void)pthread_mutex_unlock(&j->mutex);
		(void)pthread_join(j->thread, NULL);
	}
	if (j->pending && j->pending_seq <= j->durable)
		(void)snapshot_publish(j->pending, NULL);
	else if (j->pending)
		(void)journal_snapshot_end(j->pending, false, NULL);
	if (j->writer.ops)
		j->writer.ops->release(&j->writer);
	if (j->record)
		explicit_bzero(j->record, sizeof(*j->record));
	free(j->record);
	batch_release(&j->open);
	batch_release(&j->queued);
	batch_release(&j->committing);
	sha256_free(j->sha);
	(void)pthread_cond_destroy(&j->wake);
	(void)pthread_cond_destroy(&j->idle);
	(void)pthread_mutex_destroy(&j->mutex);
	if (j->event_fd >= 0)
		(void)close(j->event_fd);
	if (j->lock_fd >= 0)
		(void)close(j->lock_fd); /* last: the next engine may come now */
	free(j->dir);
	free(j);
}

/* ---- add and flush ---- */

uint64_t journal_add(struct journal *j, const uint8_t *bytes, size_t n, const struct journal_index *index)
{
	struct merkle_hash h = sha256_merkle(j->sha);
	uint64_t seq = j->tree.size;

	CHECK(!j->read_only && !j->standby && n <= ENTRY_BYTES_MAX);
	CHECK(!index || (index->count > 0 && index->first <= INT64_MAX && index->job <= INT64_MAX));
	ledger_leaf(&h, bytes, n, j->last_leaf);
	batch_add(&j->open, bytes, n, index, j->last_leaf);
	merkle_append(&j->tree, &h, j->last_leaf);
	return seq;
}

void journal_flush(struct journal *j)
{
	CHECK(!j->read_only);
	if (batch_empty(&j->open))
		return;
	(void)pthread_mutex_lock(&j->mutex);
	batch_move(&j->queued, &j->open);
	if (!j->full && !j->failed)
		(void)pthread_cond_signal(&j->wake);
	(void)pthread_mutex_unlock(&j->mutex);
}

static void report(struct journal *j)
{
	struct err failure;
	uint64_t durable;
	bool failed;

	(void)pthread_mutex_lock(&j->mutex);
	durable = j->durable;
	failed = j->failed;
	failure = j->failure;
	(void)pthread_mutex_unlock(&j->mutex);
	if (j->pending && j->pending_seq <= durable) {
		struct journal_snapshot *s = j->pending;

		j->pending = NULL;
		(void)snapshot_publish(s, NULL); /* without it recovery takes longer, no more */
	}
	if (durable > j->reported) {
		j->reported = durable;
		if (j->o.on_durable)
			j->o.on_durable(j->o.ctx, durable - 1);
	}
	if (failed && !j->failure_reported) {
		j->failure_reported = true;
		if (j->o.on_failed)
			j->o.on_failed(j->o.ctx, &failure);
	}
}

void journal_flush_inline(struct journal *j)
{
	bool mine;

	CHECK(!j->read_only);
	if (batch_empty(&j->open))
		return;
	(void)pthread_mutex_lock(&j->mutex);
	/* A log that has to be moved first is the thread's business: that takes long. */
	mine = !j->on_record && !j->busy && !j->full && !j->failed && batch_empty(&j->queued) &&
	       j->wal_bytes <= j->writer.wal_bytes_max;
	if (mine) {
		j->busy = true;
		batch_move(&j->committing, &j->open);
		j->committing_bytes = j->committing.used;
	}
	(void)pthread_mutex_unlock(&j->mutex);
	if (!mine) {
		journal_flush(j);
		return;
	}
	commit_once(j);
	(void)pthread_mutex_lock(&j->mutex);
	if (j->full || (j->asleep && (j->drop_more || j->wal_bytes >= j->wal_idle)))
		(void)pthread_cond_signal(&j->wake);
	(void)pthread_mutex_unlock(&j->mutex);
	report(j);
}

bool journal_quick(const struct journal *j)
{
	struct journal *m = (struct journal *)j; /* its mutex is not part of its value */
	bool quick;

	if (j->on_record || j->open.used > QUICK_BYTES)
		return false;
	(void)pthread_mutex_lock(&m->mutex);
	quick = !j->busy && batch_empty(&j->queued) && j->commit_ns < QUICK_NS;
	(void)pthread_mutex_unlock(&m->mutex);
	return quick;
}

size_t journal_backlog_bytes(const struct journal *j)
{
	struct journal *m = (struct journal *)j; /* its mutex is not part of its value */
	size_t n = j->open.used;

	(void)pthread_mutex_lock(&m->mutex);
	n += j->queued.used + j->committing_bytes;
	(void)pthread_mutex_unlock(&m->mutex);
	return n;
}

bool journal_full(const struct journal *j)
{
	struct journal *m = (struct journal *)j;
	bool full;

	(void)pthread_mutex_lock(&m->mutex);
	full = j->full;
	(void)pthread_mutex_unlock(&m->mutex);
	return full;
}

bool journal_full_why(const struct journal *j, struct err *out)
{
	struct journal *m = (struct journal *)j;
	bool full;

	(void)pthread_mutex_lock(&m->mutex);
	full = j->full;
	if (full)
		*out = j->failure;
	(void)pthread_mutex_unlock(&m->mutex);
	return full;
}

int journal_fd(const struct journal *j)
{
	return j->event_fd;
}

void journal_poll(struct journal *j)
{
	uint64_t n;

	if (j->read_only)
		return;
	if (read(j->event_fd, &n, sizeof(n)) < 0)
		CHECK(errno == EAGAIN || errno == EINTR);
	if (j->standby)
		record_poll(j);
	report(j);
}

void journal_head(const struct journal *j, struct journal_head *out)
{
	struct merkle_hash h = sha256_merkle(j->sha);

	out->size = j->tree.size;
	merkle_root(&j->tree, &h, out->root);
}

uint64_t journal_durable(const struct journal *j)
{
	struct journal *m = (struct journal *)j;
	uint64_t n;

	(void)pthread_mutex_lock(&m->mutex);
	n = j->durable;
	(void)pthread_mutex_unlock(&m->mutex);
	return n;
}

/* ---- replay and policy ---- */

int journal_replay(struct journal *j, uint64_t from, uint64_t to,
        int (*fold)(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n, struct err *e), void *ctx,
        struct err *e)
{
	struct journal_reader *r;
	uint64_t end = journal_durable(j);
	int rc;

	if (to < end)
		end = to;
	if (from >= end)
		return 0;
	if (journal_reader_open(j->dir, &r, e) < 0)
		return -1;
	rc = reader_scan(r, from, end, j->checked_from, fold, ctx, e);
	journal_reader_close(r);
	return rc;
}

void journal_forget(struct journal *j, uint64_t job)
{
	CHECK(!j->read_only && job <= INT64_MAX);
	batch_add_forget(&j->open, job);
}

int journal_drop_history(struct journal *j, uint64_t before, struct err *e)
{
	CHECK(!j->read_only);
	if (j->oldest_snapshot == UINT64_MAX || before > j->oldest_snapshot)
		return err_set(e, ERR_INVALID,
		        "entries before %llu are needed for recovery: no snapshot covers them",
		        (unsigned long long)before);
	before -= before % TILE_LEAVES;
	if (before > j->open.drop_before)
		j->open.drop_before = before;
	return 0;
}

void journal_stats(struct journal *j, struct journal_stats *out)
{
	struct journal_reader *r;

	memset(out, 0, sizeof(*out));
	if (!j->on_record && journal_reader_open(j->dir, &r, NULL) == 0) {
		if (reader_bytes(r, &out->db_bytes, &out->free_bytes, NULL) < 0)
			out->db_bytes = out->free_bytes = 0;
		journal_reader_close(r);
	}
	(void)pthread_mutex_lock(&j->mutex);
	out->entries = j->durable;
	out->history_from = j->history_from;
	out->wal_bytes = j->wal_bytes;
	if (j->on_record) /* as of the last time that it was changed, or looked at: nobody is asked now */
		out->db_bytes = j->standby ? record_bytes(j) : j->db_bytes;
	out->commits = j->commits;
	(void)pthread_mutex_unlock(&j->mutex);
}
