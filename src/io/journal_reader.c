/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_reader - look-ups and scans on a connection of their own. See journal_int.h.
 *
 * No statement stays open between calls, and scans are cut into chunks: a reader that sits in one would keep the log from
 * being reused.
 */
#include "io/journal_int.h"

#include "base/check.h"
#include "core/ledger.h"
#include "wire/entry.h"

#define SCAN_ROWS 1024

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

struct buffer {
	uint8_t *p;
	size_t n, size;
};

struct journal_reader {
	sqlite3 *db;
	sqlite3_stmt *stmt[R_STMTS];
	struct sha256 *sha;
	struct buffer entry, outputs;
};

int journal_reader_open(const char *dir, struct journal_reader **out, struct err *e)
{
	struct journal_reader *r = must_grow(NULL, sizeof(*r));
	int rc;

	memset(r, 0, sizeof(*r));
	rc = db_open(dir, true, &r->db, e);
	for (size_t i = 0; i < R_STMTS && rc == 0; i++) {
		if (reader_sql[i] && sqlite3_prepare_v3(r->db, reader_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
		                             &r->stmt[i], NULL) != SQLITE_OK)
			rc = db_err(r->db, e, "the journal's tables are not what they should be");
	}
	r->sha = sha256_new();
	if (rc < 0) {
		journal_reader_close(r);
		return -1;
	}
	*out = r;
	return 0;
}

void journal_reader_close(struct journal_reader *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < R_STMTS; i++)
		(void)sqlite3_finalize(r->stmt[i]);
	(void)sqlite3_close(r->db);
	sha256_free(r->sha);
	free(r->entry.p);
	free(r->outputs.p);
	free(r);
}

static int failed(struct journal_reader *r, struct err *e)
{
	return db_err(r->db, e, "cannot read the journal");
}

static int corrupt(struct err *e, uint64_t seq, const char *how)
{
	(void)err_set(e, ERR_CORRUPT, "entry %llu of the journal %s", (unsigned long long)seq, how);
	return err_hint(e, "restore the folder from a backup, or move it away to begin anew");
}

static void keep(struct buffer *b, const void *p, size_t n)
{
	if (n > b->size || !b->p) {
		b->p = must_grow(b->p, n + 1);
		b->size = n;
	}
	if (n > 0)
		memcpy(b->p, p, n);
	b->n = n;
}

/* The row at hand as entry `seq`; pointers are valid until the statement moves. */
static int row_entry(sqlite3_stmt *s, uint64_t seq, const uint8_t **out_leaf, const uint8_t **out,
        size_t *out_n, struct err *e)
{
	static const uint8_t nothing[1];

	*out_leaf = sqlite3_column_blob(s, 1);
	if (!*out_leaf || sqlite3_column_bytes(s, 1) != MERKLE_HASH_BYTES ||
	        sqlite3_column_type(s, 2) != SQLITE_BLOB)
		return corrupt(e, seq, "has no leaf hash or no bytes");
	*out = sqlite3_column_blob(s, 2);
	*out_n = (size_t)sqlite3_column_bytes(s, 2);
	if (*out_n > ENTRY_BYTES_MAX || (*out_n > 0 && !*out))
		return corrupt(e, seq, "is too long");
	if (*out_n == 0)
		*out = nothing;
	return 0;
}

static int check_hash(struct journal_reader *r, uint64_t seq, const uint8_t *leaf, const uint8_t *bytes,
        size_t n, struct err *e)
{
	struct merkle_hash h = sha256_merkle(r->sha);
	uint8_t hash[MERKLE_HASH_BYTES];

	ledger_leaf(&h, bytes, n, hash);
	return memcmp(hash, leaf, sizeof(hash)) == 0 ? 0 : corrupt(e, seq, "is not what its hash says");
}

/* The hashes of a dropped tile into r->entry. *out_found false: those entries were not dropped. */
static int read_tile(struct journal_reader *r, uint64_t tile, bool *out_found, struct err *e)
{
	sqlite3_stmt *s = r->stmt[R_TILE];
	int rc;

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)tile);
	rc = sqlite3_step(s);
	*out_found = rc == SQLITE_ROW;
	if (rc == SQLITE_ROW)
		keep(&r->entry, sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0));
	(void)sqlite3_reset(s);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return failed(r, e);
	if (*out_found && r->entry.n != TILE_LEAVES * MERKLE_HASH_BYTES)
		return corrupt(e, tile * TILE_LEAVES, "and those after it have lost their hashes");
	return 0;
}

static int not_there(struct journal_reader *r, uint64_t seq, uint8_t leaf[MERKLE_HASH_BYTES], struct err *e)
{
	bool found;

	if (read_tile(r, seq / TILE_LEAVES, &found, e) < 0)
		return -1;
	if (!found)
		return err_set(e, ERR_NOTFOUND, "there is no entry %llu", (unsigned long long)seq);
	memcpy(leaf, r->entry.p + seq % TILE_LEAVES * MERKLE_HASH_BYTES, MERKLE_HASH_BYTES);
	return err_set(e, ERR_NOTFOUND, "payload expired: that of entry %llu was dropped by policy",
	        (unsigned long long)seq);
}

int journal_read_entry(struct journal_reader *r, uint64_t seq, const uint8_t **out, size_t *out_n,
        uint8_t leaf[32], struct err *e)
{
	sqlite3_stmt *s = r->stmt[R_ENTRY];
	const uint8_t *row_leaf, *bytes;
	size_t n;
	int rc, found;

	if (seq > INT64_MAX)
		return err_set(e, ERR_NOTFOUND, "there is no entry %llu", (unsigned long long)seq);
	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)seq);
	found = sqlite3_step(s);
	rc = found == SQLITE_ROW ? row_entry(s, seq, &row_leaf, &bytes, &n, e) : 0;
	if (found == SQLITE_ROW && rc == 0)
		rc = check_hash(r, seq, row_leaf, bytes, n, e);
	if (found == SQLITE_ROW && rc == 0) {
		keep(&r->entry, bytes, n);
		if (leaf)
			memcpy(leaf, row_leaf, MERKLE_HASH_BYTES);
	} else if (found != SQLITE_ROW && found != SQLITE_DONE) {
		rc = failed(r, e);
	}
	(void)sqlite3_reset(s);
	if (found == SQLITE_DONE) {
		uint8_t ignored[MERKLE_HASH_BYTES];

		return not_there(r, seq, leaf ? leaf : ignored, e);
	}
	*out = r->entry.p;
	*out_n = r->entry.n;
	return rc;
}

/* The next level from `from` on that has results of the step; -1: none. */
static int next_level(
        struct journal_reader *r, uint64_t job, uint32_t step, int from, int *out, struct err *e)
{
	sqlite3_stmt *s = r->stmt[R_LEVEL];
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

struct seq_list {
	uint64_t *seq;
	size_t n, cap;
};

static int find_in_level(struct journal_reader *r, uint64_t job, uint32_t step, int level, uint64_t task,
        struct seq_list *l, struct err *e)
{
	sqlite3_stmt *s = r->stmt[R_RESULTS];
	uint64_t span = level >= 63 ? UINT64_MAX : (uint64_t)1 << level; /* no range of the level is longer */
	int rc;

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)job);
	(void)sqlite3_bind_int64(s, 2, step);
	(void)sqlite3_bind_int(s, 3, level);
	(void)sqlite3_bind_int64(s, 4, (sqlite3_int64)(task >= span ? task - span + 1 : 0));
	(void)sqlite3_bind_int64(s, 5, (sqlite3_int64)task);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		uint64_t first = (uint64_t)sqlite3_column_int64(s, 1);

		if (task - first >= (uint64_t)sqlite3_column_int64(s, 2))
			continue;
		if (l->n == l->cap) {
			l->cap = l->cap ? 2 * l->cap : 16;
			l->seq = must_grow(l->seq, l->cap * sizeof(*l->seq));
		}
		l->seq[l->n++] = (uint64_t)sqlite3_column_int64(s, 0);
	}
	(void)sqlite3_reset(s);
	return rc == SQLITE_DONE ? 0 : failed(r, e);
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The numbers of all Results entries of the task, oldest first. */
static int find_results(struct journal_reader *r, uint64_t job, uint32_t step, uint64_t task,
        struct seq_list *l, struct err *e)
{
	int level = -1;

	if (job > INT64_MAX || task > INT64_MAX)
		return 0;
	do {
		if (next_level(r, job, step, level + 1, &level, e) < 0)
			return -1;
		if (level >= 0 && find_in_level(r, job, step, level, task, l, e) < 0)
			return -1;
	} while (level >= 0);
	if (l->n > 0)
		qsort(l->seq, l->n, sizeof(*l->seq), by_number);
	return 0;
}

/* A look-up of several statements sees one state of the journal, not one with half of a job forgotten. */
static int begin_look(struct journal_reader *r, struct err *e)
{
	int rc = sqlite3_step(r->stmt[R_BEGIN]);

	(void)sqlite3_reset(r->stmt[R_BEGIN]);
	return rc == SQLITE_DONE ? 0 : failed(r, e);
}

static void end_look(struct journal_reader *r)
{
	(void)sqlite3_step(r->stmt[R_END]); /* nothing was written: it can only let go */
	(void)sqlite3_reset(r->stmt[R_END]);
}

static int read_outputs(struct journal_reader *r, uint64_t seq, struct err *e)
{
	sqlite3_stmt *s = r->stmt[R_OUTPUTS];
	int rc;

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)seq);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		keep(&r->outputs, sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0));
	else
		keep(&r->outputs, NULL, 0);
	(void)sqlite3_reset(s);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : failed(r, e);
}

int journal_read_result(struct journal_reader *r, uint64_t job, uint32_t step, uint64_t task,
        uint64_t *out_seq, const uint8_t **out, size_t *out_n, const uint8_t **out_outputs,
        size_t *out_output_bytes, struct err *e)
{
	struct seq_list l = {0};
	int rc = begin_look(r, e);

	if (rc < 0)
		return -1;
	rc = find_results(r, job, step, task, &l, e);
	if (rc == 0 && l.n == 0)
		rc = err_set(e, ERR_NOTFOUND, "there is no result of task %llu", (unsigned long long)task);
	if (rc == 0)
		rc = journal_read_entry(r, l.seq[l.n - 1], out, out_n, NULL, e);
	if (rc == 0)
		rc = read_outputs(r, l.seq[l.n - 1], e);
	end_look(r);
	if (rc == 0) {
		*out_seq = l.seq[l.n - 1];
		*out_outputs = r->outputs.p;
		*out_output_bytes = r->outputs.n;
	}
	free(l.seq);
	return rc;
}

int journal_read_attempts(struct journal_reader *r, uint64_t job, uint32_t step, uint64_t task,
        int (*each)(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n), void *ctx, struct err *e)
{
	struct seq_list l = {0};
	int rc = begin_look(r, e);

	if (rc < 0)
		return -1;
	rc = find_results(r, job, step, task, &l, e);
	for (size_t i = 0; i < l.n && rc == 0; i++) {
		const uint8_t *bytes;
		size_t n;

		rc = journal_read_entry(r, l.seq[i], &bytes, &n, NULL, e);
		if (rc == 0 && each(ctx, l.seq[i], bytes, n) < 0)
			break;
	}
	end_look(r);
	free(l.seq);
	return rc;
}

int journal_read_outputs(
        struct journal_reader *r, uint64_t seq, const uint8_t **out, size_t *out_n, struct err *e)
{
	if (seq > INT64_MAX || read_outputs(r, seq, e) < 0)
		return seq > INT64_MAX
		               ? err_set(e, ERR_NOTFOUND, "there is no entry %llu", (unsigned long long)seq)
		               : -1;
	*out = r->outputs.p;
	*out_n = r->outputs.n;
	return 0;
}

/* ---- scans ---- */

int reader_size(struct journal_reader *r, uint64_t *out, struct err *e)
{
	uint64_t entries, tiles;

	if (db_number(r->db, "SELECT max(seq) + 1 FROM entries", 0, &entries, e) < 0 ||
	        db_number(r->db, "SELECT max(n) + 1 FROM tiles", 0, &tiles, e) < 0)
		return -1;
	*out = entries > tiles * TILE_LEAVES ? entries : tiles * TILE_LEAVES;
	return *out <= INT64_MAX ? 0 : err_set(e, ERR_CORRUPT, "the journal's entries are misnumbered");
}

int journal_read_size(struct journal_reader *r, uint64_t *out, struct err *e)
{
	return reader_size(r, out, e);
}

int reader_history_from(struct journal_reader *r, uint64_t *out, struct err *e)
{
	return db_number(r->db, "SELECT value FROM meta WHERE key = 'drop_before'", 0, out, e);
}

int reader_pages(struct journal_reader *r, uint64_t *out_pages, uint64_t *out_free, struct err *e)
{
	if (db_number(r->db, "PRAGMA page_count", 0, out_pages, e) < 0)
		return -1;
	return db_number(r->db, "PRAGMA freelist_count", 0, out_free, e);
}

int reader_leaf(struct journal_reader *r, uint64_t seq, uint8_t out[MERKLE_HASH_BYTES], struct err *e)
{
	struct err why = {0};
	const uint8_t *bytes;
	size_t n;
	bool found;

	if (journal_read_entry(r, seq, &bytes, &n, out, &why) == 0)
		return 0;
	if (why.code == ERR_NOTFOUND && read_tile(r, seq / TILE_LEAVES, &found, &why) == 0) {
		if (!found)
			return corrupt(e, seq, "is missing");
		memcpy(out, r->entry.p + seq % TILE_LEAVES * MERKLE_HASH_BYTES, MERKLE_HASH_BYTES);
		return 0;
	}
	if (e)
		*e = why;
	return -1;
}

typedef int row_fn(
        void *ctx, uint64_t seq, const uint8_t *leaf, const uint8_t *bytes, size_t n, struct err *e);

/* Up to SCAN_ROWS entries from *at on, which it moves. Every one must be there. */
static int scan_chunk(struct journal_reader *r, uint64_t *at, uint64_t to, uint64_t checked_from, row_fn *row,
        void *ctx, struct err *e)
{
	sqlite3_stmt *s = r->stmt[R_RANGE];
	uint64_t end = to - *at > SCAN_ROWS ? *at + SCAN_ROWS : to;
	int rc = 0, step = SQLITE_DONE;

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)*at);
	(void)sqlite3_bind_int64(s, 2, (sqlite3_int64)end);
	while (*at < end && rc == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
		const uint8_t *leaf, *bytes;
		size_t n;

		if ((uint64_t)sqlite3_column_int64(s, 0) != *at)
			break;
		rc = row_entry(s, *at, &leaf, &bytes, &n, e);
		if (rc == 0 && *at < checked_from)
			rc = check_hash(r, *at, leaf, bytes, n, e);
		if (rc == 0)
			rc = row(ctx, *at, leaf, bytes, n, e);
		++*at;
	}
	if (rc == 0 && step != SQLITE_ROW && step != SQLITE_DONE)
		rc = failed(r, e);
	(void)sqlite3_reset(s);
	if (rc < 0)
		return -1;
	return *at == end ? 0 : corrupt(e, *at, "is missing");
}

struct tree_fold {
	struct merkle_frontier *f;
	struct merkle_hash h;
};

static int tree_row(
        void *ctx, uint64_t seq, const uint8_t *leaf, const uint8_t *bytes, size_t n, struct err *e)
{
	struct tree_fold *t = ctx;

	(void)seq;
	(void)bytes;
	(void)n;
	(void)e;
	merkle_append(t->f, &t->h, leaf);
	return 0;
}

int reader_tree(struct journal_reader *r, struct merkle_frontier *f, uint64_t to, struct err *e)
{
	struct tree_fold t = {.f = f, .h = sha256_merkle(r->sha)};
	uint64_t at;

	while (f->size < to) {
		bool found;

		if (read_tile(r, f->size / TILE_LEAVES, &found, e) < 0)
			return -1;
		if (!found)
			break;
		do
			merkle_append(f, &t.h, r->entry.p + f->size % TILE_LEAVES * MERKLE_HASH_BYTES);
		while (f->size < to && f->size % TILE_LEAVES != 0);
	}
	at = f->size;
	while (at < to) {
		if (scan_chunk(r, &at, to, UINT64_MAX, tree_row, &t, e) < 0)
			return -1;
	}
	return 0;
}

struct entry_fold {
	int (*fold)(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n, struct err *e);
	void *ctx;
};

static int entry_row(
        void *ctx, uint64_t seq, const uint8_t *leaf, const uint8_t *bytes, size_t n, struct err *e)
{
	struct entry_fold *f = ctx;

	(void)leaf;
	return f->fold(f->ctx, seq, bytes, n, e) < 0 ? -1 : 0;
}

int reader_scan(struct journal_reader *r, uint64_t from, uint64_t to, uint64_t checked_from,
        int (*fold)(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n, struct err *e), void *ctx,
        struct err *e)
{
	struct entry_fold f = {.fold = fold, .ctx = ctx};
	bool dropped;

	if (read_tile(r, from / TILE_LEAVES, &dropped, e) < 0)
		return -1;
	if (dropped) {
		(void)err_set(e, ERR_NOTFOUND, "payload expired: that of entry %llu was dropped by policy",
		        (unsigned long long)from);
		return err_hint(e, "begin later");
	}
	while (from < to) {
		if (scan_chunk(r, &from, to, checked_from, entry_row, &f, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- the tree, for proofs ---- */

/* Leaf hashes of entries that were not dropped. */
static int row_leaves(struct journal_reader *r, uint64_t from, uint64_t to, uint8_t (*out)[MERKLE_HASH_BYTES],
        struct err *e)
{
	sqlite3_stmt *s = r->stmt[R_LEAVES];
	uint64_t at = from;
	int rc = SQLITE_DONE;

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)from);
	(void)sqlite3_bind_int64(s, 2, (sqlite3_int64)to);
	while (at < to && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		const void *leaf = sqlite3_column_blob(s, 1);

		if ((uint64_t)sqlite3_column_int64(s, 0) != at || !leaf ||
		        sqlite3_column_bytes(s, 1) != MERKLE_HASH_BYTES)
			break;
		memcpy(out[at++ - from], leaf, MERKLE_HASH_BYTES);
	}
	(void)sqlite3_reset(s);
	if (at == to)
		return 0;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? corrupt(e, at, "is missing, or has no leaf hash")
	                                             : failed(r, e);
}

int journal_read_leaves(
        struct journal_reader *r, uint64_t from, uint64_t n, uint8_t (*out)[MERKLE_HASH_BYTES], struct err *e)
{
	uint64_t to = from + n;

	CHECK(to >= from && to <= INT64_MAX);
	while (from < to) {
		uint64_t end = (from / TILE_LEAVES + 1) * TILE_LEAVES, at = from % TILE_LEAVES;
		bool found;

		if (end > to)
			end = to;
		if (read_tile(r, from / TILE_LEAVES, &found, e) < 0)
			return -1;
		if (found)
			memcpy(out, r->entry.p + at * MERKLE_HASH_BYTES,
			        (size_t)(end - from) * MERKLE_HASH_BYTES);
		else if (row_leaves(r, from, end, out, e) < 0)
			return -1;
		out += end - from;
		from = end;
	}
	return 0;
}

struct audit_fold {
	int (*each)(void *ctx, uint64_t seq, const uint8_t leaf[MERKLE_HASH_BYTES], const uint8_t *bytes,
	        size_t n, struct err *e);
	void *ctx;
};

static int audit_row(
        void *ctx, uint64_t seq, const uint8_t *leaf, const uint8_t *bytes, size_t n, struct err *e)
{
	struct audit_fold *f = ctx;

	return f->each(f->ctx, seq, leaf, bytes, n, e) < 0 ? -1 : 0;
}

/* Up to SCAN_ROWS entries from *at on, or the rest of a tile that was dropped. */
static int audit_step(
        struct journal_reader *r, uint64_t *at, uint64_t to, struct audit_fold *f, struct err *e)
{
	uint64_t end = (*at / TILE_LEAVES + 1) * TILE_LEAVES;
	bool dropped;

	if (read_tile(r, *at / TILE_LEAVES, &dropped, e) < 0)
		return -1;
	if (!dropped)
		return scan_chunk(r, at, to, UINT64_MAX, audit_row, f, e);
	for (; *at < end && *at < to; ++*at) {
		uint8_t leaf[MERKLE_HASH_BYTES];

		memcpy(leaf, r->entry.p + *at % TILE_LEAVES * MERKLE_HASH_BYTES, sizeof(leaf));
		if (f->each(f->ctx, *at, leaf, NULL, 0, e) < 0)
			return -1;
	}
	return 0;
}

int journal_audit(struct journal_reader *r, uint64_t from, uint64_t to,
        int (*each)(void *ctx, uint64_t seq, const uint8_t leaf[MERKLE_HASH_BYTES], const uint8_t *bytes,
                size_t n, struct err *e),
        void *ctx, struct err *e)
{
	struct audit_fold f = {each, ctx};
	int rc = 0;

	/* A step sees one state of the journal: history that is dropped meanwhile is not missing. */
	while (from < to && rc == 0) {
		if (begin_look(r, e) < 0)
			return -1;
		rc = audit_step(r, &from, to, &f, e);
		end_look(r);
	}
	return rc;
}
