/* SPDX-License-Identifier: Apache-2.0 */
/* journal_db_writer - a journal's transactions in SQLite, and the slow work of policy. See journal_int.h. */
#include "io/journal_int.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

#define DROP_ROWS  256 /* of a forgotten job in one step */
#define DROP_TILES 8   /* of dropped history in one step */

static const char *const writer_sql[W_STMTS] = {
        [W_BEGIN] = "BEGIN IMMEDIATE",
        [W_COMMIT] = "COMMIT",
        [W_ROLLBACK] = "ROLLBACK",
        [W_HOLD] = "SELECT type FROM sqlite_schema",
        [W_ENTRY] = "INSERT INTO entries (seq, leaf, body) VALUES (?1, ?2, ?3)",
        [W_RESULT] =
                "INSERT INTO results (job, step, level, first, seq, count) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        [W_OUTPUTS] = "INSERT INTO outputs (seq, bytes) VALUES (?1, ?2)",
        [W_FORGET] = "INSERT OR IGNORE INTO forgets (job) VALUES (?1)",
        [W_FORGET_NEXT] = "SELECT job FROM forgets ORDER BY job LIMIT 1",
        [W_FORGET_OUTPUTS] =
                "DELETE FROM outputs WHERE seq IN"
                " (SELECT seq FROM results WHERE job = ?1 ORDER BY step, level, first, seq LIMIT ?2)",
        [W_FORGET_RESULTS] = "DELETE FROM results WHERE (job, step, level, first, seq) IN (SELECT job, step, "
                             "level, first, seq"
                             " FROM results WHERE job = ?1 ORDER BY step, level, first, seq LIMIT ?2)",
        [W_FORGET_DONE] = "DELETE FROM forgets WHERE job = ?1",
        [W_META_SET] = "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)",
        [W_TILE_LEAVES] = "SELECT seq, leaf FROM entries WHERE seq >= ?1 AND seq < ?2 ORDER BY seq",
        [W_TILE_ADD] = "INSERT OR REPLACE INTO tiles (n, hashes) VALUES (?1, ?2)",
        [W_TILE_OUTPUTS] = "DELETE FROM outputs WHERE seq >= ?1 AND seq < ?2",
        [W_TILE_ENTRIES] = "DELETE FROM entries WHERE seq >= ?1 AND seq < ?2",
};

static int run(sqlite3_stmt *s)
{
	int rc = sqlite3_step(s);

	(void)sqlite3_reset(s);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
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

static enum write_result db_commit(struct writer *w, const struct batch *b)
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

static enum write_result db_drop_step(struct writer *w, bool *out_more)
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
enum write_result db_writer_checkpoint(struct writer *w)
{
	int in_log = 0, moved = 0, rc;

	(void)sqlite3_reset(w->stmt[W_HOLD]);
	rc = sqlite3_wal_checkpoint_v2(w->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log, &moved);

	if (rc == SQLITE_OK && in_log == moved)
		w->wal_bytes = 0;
	return rc == SQLITE_OK || rc == SQLITE_BUSY ? WRITE_OK : fail(w, rc);
}

static int on_wal(void *ctx, sqlite3 *db, const char *name, int frames)
{
	struct writer *w = ctx;

	(void)db;
	(void)name;
	w->wal_bytes = (size_t)frames * (4096 + 24);
	return SQLITE_OK;
}

static void db_release(struct writer *w)
{
	for (size_t i = 0; i < W_STMTS; i++)
		(void)sqlite3_finalize(w->stmt[i]);
	(void)sqlite3_close(w->db);
	memset(w, 0, sizeof(*w));
}

static const struct writer_ops db_ops = {
        .commit = db_commit,
        .drop_step = db_drop_step,
        .checkpoint = db_writer_checkpoint,
        .release = db_release,
};

int db_writer_init(struct writer *w, sqlite3 *db, uint32_t wal_bytes_max, struct err *e)
{
	uint64_t forgets;

	memset(w, 0, sizeof(*w));
	w->ops = &db_ops;
	w->db = db;
	w->wal_bytes_max = wal_bytes_max;
	(void)sqlite3_wal_hook(db, on_wal, w);
	for (size_t i = 0; i < W_STMTS; i++) {
		if (!writer_sql[i])
			continue;
		if (sqlite3_prepare_v3(db, writer_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &w->stmt[i], NULL) !=
		        SQLITE_OK)
			return db_err(db, e, "the journal's tables are not what they should be");
	}
	if (db_number(db, "SELECT value FROM meta WHERE key = 'drop_before'", 0, &w->drop_before, e) < 0 ||
	        db_number(db, "SELECT value FROM meta WHERE key = 'dropped_to'", 0, &w->drop_from, e) < 0 ||
	        db_number(db, "SELECT count(*) FROM forgets", 0, &forgets, e) < 0)
		return -1;
	w->forgetting = forgets > 0;
	return 0;
}

/* Written zeros, not a hole or fallocate: only then is a commit's fdatasync free of file system metadata. To SQLite the
 * zeros are the end of the log. Done before the first commit, while nobody writes the file. */
void db_writer_preallocate(const char *dir, uint32_t wal_bytes_max)
{
	static const uint8_t zeros[64 << 10];
	char *path = path_in(dir, "journal.db-wal");
	off_t want = wal_bytes_max < WAL_PREALLOC_BYTES ? wal_bytes_max : WAL_PREALLOC_BYTES;
	struct stat st;
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && fstat(fd, &st) == 0) {
		off_t at = st.st_size;

		while (at < want) {
			size_t n = (size_t)(want - at) < sizeof(zeros) ? (size_t)(want - at) : sizeof(zeros);
			ssize_t put = pwrite(fd, zeros, n, at);

			if (put <= 0)
				break;
			at += put;
		}
		(void)fdatasync(fd);
	}
	if (fd >= 0)
		(void)close(fd);
	free(path);
}
