/* SPDX-License-Identifier: Apache-2.0 */
/* journal_db_reader - look-ups in SQLite. No statement stays open between calls. See journal_int.h. */
#include "io/journal_int.h"

#include "base/check.h"
#include "wire/entry.h"

enum reader_stmt {
	R_BEGIN,
	R_END,
	R_ENTRY,
	R_RANGE,
	R_LEAVES,
	R_TILE,
	R_LEVEL,
	R_RESULTS,
	R_OUTPUTS,
	R_STMTS
};

static const char *const reader_sql[R_STMTS] = {
        [R_BEGIN] = "BEGIN",
        [R_END] = "COMMIT",
        [R_ENTRY] = "SELECT seq, leaf, body FROM entries WHERE seq = ?1",
        [R_RANGE] = "SELECT seq, leaf, body FROM entries WHERE seq >= ?1 AND seq < ?2 ORDER BY seq",
        [R_LEAVES] = "SELECT seq, leaf FROM entries WHERE seq >= ?1 AND seq < ?2 ORDER BY seq",
        [R_TILE] = "SELECT hashes FROM tiles WHERE n = ?1",
        [R_LEVEL] = "SELECT level FROM results WHERE job = ?1 AND step = ?2 AND level >= ?3 ORDER BY level "
                    "LIMIT 1",
        [R_RESULTS] = "SELECT seq, first, count FROM results WHERE job = ?1 AND step = ?2 AND level = ?3"
                      " AND first >= ?4 AND first <= ?5",
        [R_OUTPUTS] = "SELECT bytes FROM outputs WHERE seq = ?1",
};

struct db_reader {
	struct journal_reader base;
	sqlite3 *db;
	sqlite3_stmt *stmt[R_STMTS];
};

static struct db_reader *of(struct journal_reader *r)
{
	return (struct db_reader *)(void *)r;
}

static int failed(struct journal_reader *r, struct err *e)
{
	return db_err(of(r)->db, e, "cannot read the journal");
}

static void db_close(struct journal_reader *r)
{
	for (size_t i = 0; i < R_STMTS; i++)
		(void)sqlite3_finalize(of(r)->stmt[i]);
	(void)sqlite3_close(of(r)->db);
	free(r);
}

/* The row at hand as entry `seq`; pointers are valid until the statement moves. */
static int row_entry(sqlite3_stmt *s, uint64_t seq, const uint8_t **out_leaf, const uint8_t **out,
        size_t *out_n, struct err *e)
{
	static const uint8_t nothing[1];

	*out_leaf = sqlite3_column_blob(s, 1);
	if (!*out_leaf || sqlite3_column_bytes(s, 1) != MERKLE_HASH_BYTES ||
	        sqlite3_column_type(s, 2) != SQLITE_BLOB)
		return reader_corrupt(e, seq, "has no leaf hash or no bytes");
	*out = sqlite3_column_blob(s, 2);
	*out_n = (size_t)sqlite3_column_bytes(s, 2);
	if (*out_n > ENTRY_BYTES_MAX || (*out_n > 0 && !*out))
		return reader_corrupt(e, seq, "is too long");
	if (*out_n == 0)
		*out = nothing;
	return 0;
}

static int db_scan(
        struct journal_reader *r, uint64_t from, uint64_t to, row_fn *row, void *ctx, struct err *e)
{
	sqlite3_stmt *s = of(r)->stmt[to == from + 1 ? R_ENTRY : R_RANGE];
	int rc = 0, step = SQLITE_DONE;

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)from);
	if (to != from + 1)
		(void)sqlite3_bind_int64(s, 2, (sqlite3_int64)to);
	while (rc == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
		uint64_t seq = (uint64_t)sqlite3_column_int64(s, 0);
		const uint8_t *leaf = NULL, *bytes = NULL;
		size_t n = 0;

		rc = row_entry(s, seq, &leaf, &bytes, &n, e);
		if (rc == 0)
			rc = row(ctx, seq, leaf, bytes, n, e);
	}
	if (rc == 0 && step != SQLITE_DONE)
		rc = failed(r, e);
	(void)sqlite3_reset(s);
	return rc;
}

static int db_leaves(
        struct journal_reader *r, uint64_t from, uint64_t to, row_fn *row, void *ctx, struct err *e)
{
	sqlite3_stmt *s = of(r)->stmt[R_LEAVES];
	int rc = 0, step = SQLITE_DONE;

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)from);
	(void)sqlite3_bind_int64(s, 2, (sqlite3_int64)to);
	while (rc == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
		const void *leaf = sqlite3_column_blob(s, 1);

		if (!leaf || sqlite3_column_bytes(s, 1) != MERKLE_HASH_BYTES)
			break;
		rc = row(ctx, (uint64_t)sqlite3_column_int64(s, 0), leaf, NULL, 0, e);
	}
	if (rc == 0 && step != SQLITE_ROW && step != SQLITE_DONE)
		rc = failed(r, e);
	(void)sqlite3_reset(s);
	return rc;
}

static int db_tile(struct journal_reader *r, uint64_t n, bool *out_found, struct err *e)
{
	sqlite3_stmt *s = of(r)->stmt[R_TILE];
	int rc;

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)n);
	rc = sqlite3_step(s);
	*out_found = rc == SQLITE_ROW;
	if (rc == SQLITE_ROW)
		buffer_keep(&r->entry, sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0));
	(void)sqlite3_reset(s);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : failed(r, e);
}

/* The next level from `from` on that has results of the step; -1: none. */
static int next_level(
        struct journal_reader *r, uint64_t job, uint32_t step, int from, int *out, struct err *e)
{
	sqlite3_stmt *s = of(r)->stmt[R_LEVEL];
	int rc;

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)job);
	(void)sqlite3_bind_int64(s, 2, step);
	(void)sqlite3_bind_int(s, 3, from);
	rc = sqlite3_step(s);
	*out = rc == SQLITE_ROW ? sqlite3_column_int(s, 0) : -1;
	(void)sqlite3_reset(s);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return failed(r, e);
	if (*out > 63 || (*out >= 0 && *out < from))
		return err_set(e, ERR_CORRUPT, "the journal's index of results is damaged");
	return 0;
}

static int find_in_level(struct journal_reader *r, uint64_t job, uint32_t step, int level, uint64_t task,
        struct seq_list *l, struct err *e)
{
	sqlite3_stmt *s = of(r)->stmt[R_RESULTS];
	uint64_t span = level >= 63 ? UINT64_MAX : (uint64_t)1 << level; /* no range of the level is longer */
	int rc;

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)job);
	(void)sqlite3_bind_int64(s, 2, step);
	(void)sqlite3_bind_int(s, 3, level);
	(void)sqlite3_bind_int64(s, 4, (sqlite3_int64)(task >= span ? task - span + 1 : 0));
	(void)sqlite3_bind_int64(s, 5, (sqlite3_int64)task);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		uint64_t first = (uint64_t)sqlite3_column_int64(s, 1);

		if (task - first < (uint64_t)sqlite3_column_int64(s, 2))
			seq_list_add(l, (uint64_t)sqlite3_column_int64(s, 0));
	}
	(void)sqlite3_reset(s);
	return rc == SQLITE_DONE ? 0 : failed(r, e);
}

static int db_results(struct journal_reader *r, uint64_t job, uint32_t step, uint64_t task,
        struct seq_list *l, struct err *e)
{
	int level = -1;

	do {
		if (next_level(r, job, step, level + 1, &level, e) < 0)
			return -1;
		if (level >= 0 && find_in_level(r, job, step, level, task, l, e) < 0)
			return -1;
	} while (level >= 0);
	return 0;
}

static int db_begin(struct journal_reader *r, struct err *e)
{
	int rc = sqlite3_step(of(r)->stmt[R_BEGIN]);

	(void)sqlite3_reset(of(r)->stmt[R_BEGIN]);
	return rc == SQLITE_DONE ? 0 : failed(r, e);
}

static void db_end(struct journal_reader *r)
{
	(void)sqlite3_step(of(r)->stmt[R_END]); /* nothing was written: it can only let go */
	(void)sqlite3_reset(of(r)->stmt[R_END]);
}

static int db_outputs(struct journal_reader *r, uint64_t seq, struct err *e)
{
	sqlite3_stmt *s = of(r)->stmt[R_OUTPUTS];
	int rc;

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)seq);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		buffer_keep(&r->outputs, sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0));
	else
		buffer_keep(&r->outputs, NULL, 0);
	(void)sqlite3_reset(s);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : failed(r, e);
}

static int db_reader_number(struct journal_reader *r, enum reader_number which, uint64_t *out, struct err *e)
{
	static const char *const sql[] = {
	        [NUMBER_ENTRIES_END] = "SELECT max(seq) + 1 FROM entries",
	        [NUMBER_TILES_END] = "SELECT max(n) + 1 FROM tiles",
	        [NUMBER_HISTORY_FROM] = "SELECT value FROM meta WHERE key = 'drop_before'",
	        [NUMBER_BYTES] = "PRAGMA page_count",
	        [NUMBER_FREE] = "PRAGMA freelist_count",
	};

	if (db_number(of(r)->db, sql[which], 0, out, e) < 0)
		return -1;
	if (which == NUMBER_BYTES || which == NUMBER_FREE)
		*out *= 4096;
	return 0;
}

static const struct reader_ops ops = {
        .close = db_close,
        .begin = db_begin,
        .end = db_end,
        .scan = db_scan,
        .leaves = db_leaves,
        .tile = db_tile,
        .results = db_results,
        .outputs = db_outputs,
        .number = db_reader_number,
};

int db_reader_open(const char *dir, struct journal_reader **out, struct err *e)
{
	struct db_reader *r = must_grow(NULL, sizeof(*r));
	int rc;

	memset(r, 0, sizeof(*r));
	r->base.ops = &ops;
	rc = db_open(dir, true, &r->db, e);
	for (size_t i = 0; i < R_STMTS && rc == 0; i++) {
		if (sqlite3_prepare_v3(r->db, reader_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &r->stmt[i],
		            NULL) != SQLITE_OK)
			rc = db_err(r->db, e, "the journal's tables are not what they should be");
	}
	if (rc < 0) {
		db_close(&r->base);
		return -1;
	}
	*out = &r->base;
	return 0;
}
