/* SPDX-License-Identifier: Apache-2.0 */
/* witness_store - see witness_store.h. */
#include "io/witness_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "io/disk.h"
#include "io/sha256.h"

#define STORE_ID     1330858327 /* "OSIW" */
#define STORE_FORMAT 1

static const char schema[] = "PRAGMA application_id=1330858327;"
                             "BEGIN;"
                             "CREATE TABLE last (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB "
                             "NOT NULL, time_s INTEGER "
                             "NOT NULL, note BLOB NOT NULL) WITHOUT ROWID;"
                             "CREATE TABLE forks (origin TEXT, size INTEGER, had BLOB NOT NULL, came BLOB "
                             "NOT NULL, time_s INTEGER "
                             "NOT NULL, UNIQUE (origin, size, came));"
                             "PRAGMA user_version=1;"
                             "COMMIT;";

enum { S_LAST, S_SET, S_FORK, S_ALL, S_STMTS };
static const char *const sql[S_STMTS] = {
        [S_LAST] = "SELECT size, root, time_s, note FROM last WHERE origin = ?1",
        [S_SET] =
                "INSERT OR REPLACE INTO last (origin, size, root, time_s, note) VALUES (?1, ?2, ?3, ?4, ?5)",
        [S_FORK] = "INSERT OR IGNORE INTO forks (origin, size, had, came, time_s) SELECT ?1, ?2, ?3, ?4, ?5"
                   " WHERE (SELECT count(*) FROM forks WHERE origin = ?1) < ?6",
        [S_ALL] = "SELECT origin, size, root, time_s, note,"
                  " (SELECT count(*) FROM forks f WHERE f.origin = l.origin) FROM last l ORDER BY origin",
};

struct witness_store {
	sqlite3 *db;
	sqlite3_stmt *stmt[S_STMTS];
	struct sha256 *sha;
};

static int failed(struct witness_store *w, struct err *e)
{
	return err_set(e, (sqlite3_errcode(w->db) & 0xff) == SQLITE_FULL ? ERR_FULL : ERR_SYSTEM,
	        "cannot use the witness's memory: %s", sqlite3_errmsg(w->db));
}

static int damaged(struct err *e)
{
	(void)err_set(e, ERR_CORRUPT, "the witness's memory, witness.db, is damaged");
	return err_hint(e, "move it and keys/witness.key away: a new witness begins, under a new key");
}

static int exec(struct witness_store *w, const char *text, struct err *e)
{
	return sqlite3_exec(w->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(w, e);
}

static int64_t pragma(struct witness_store *w, const char *text)
{
	sqlite3_stmt *s = NULL;
	int64_t v =
	        sqlite3_prepare_v2(w->db, text, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW
	                ? sqlite3_column_int64(s, 0)
	                : -1;

	(void)sqlite3_finalize(s);
	return v;
}

static int prepare(struct witness_store *w, struct err *e)
{
	int64_t id = pragma(w, "PRAGMA application_id"), format = pragma(w, "PRAGMA user_version");

	if (id == 0 && format == 0) {
		if (exec(w, schema, e) < 0)
			return -1;
	} else if (id != STORE_ID) {
		return damaged(e);
	} else if (format > STORE_FORMAT) {
		return err_set(e, ERR_VERSION,
		        "the witness's memory was made by a newer osier (format %" PRId64 ")", format);
	}
	for (size_t i = 0; i < S_STMTS; i++)
		if (sqlite3_prepare_v3(w->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &w->stmt[i], NULL) !=
		        SQLITE_OK)
			return damaged(e);
	return 0;
}

int witness_store_open(const char *dir, bool create, struct witness_store **out, struct err *e)
{
	struct witness_store *w;
	char path[4096];
	int fd;

	if (snprintf(path, sizeof(path), "%s/witness.db", dir) >= (int)sizeof(path))
		return err_set(e, ERR_INVALID, "the state folder's name is too long");
	fd = open(path, O_RDWR | (create ? O_CREAT : 0) | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno == ENOENT ? err_set(e, ERR_NOTFOUND, "there is no '%.200s'", path)
		                       : err_sys(e, "cannot open '%.200s'", path);
	(void)close(fd);
	if (create && disk_sync_folder(dir, e) < 0)
		return -1;
	w = calloc(1, sizeof(*w));
	CHECK(w);
	w->sha = sha256_new();
	if (sqlite3_open_v2(path, &w->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
	        sqlite3_busy_timeout(w->db, 10000) != SQLITE_OK) {
		(void)failed(w, e);
		witness_store_close(w);
		return -1;
	}
	if (exec(w,
	            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-64; PRAGMA "
	            "trusted_schema=OFF;",
	            e) < 0 ||
	        prepare(w, e) < 0) {
		witness_store_close(w);
		return -1;
	}
	*out = w;
	return 0;
}

void witness_store_close(struct witness_store *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < S_STMTS; i++)
		(void)sqlite3_finalize(w->stmt[i]);
	(void)sqlite3_close(w->db);
	sha256_free(w->sha);
	free(w);
}

/* ---- compare and replace ---- */

struct had {
	struct witness_last last;
	uint64_t time_s;
	char note[WITNESS_REQUEST_MAX];
	size_t note_n;
};

static bool take_row(sqlite3_stmt *s, int at, struct witness_last *last, uint64_t *time_s)
{
	last->size = (uint64_t)sqlite3_column_int64(s, at);
	*time_s = (uint64_t)sqlite3_column_int64(s, at + 2);
	if (sqlite3_column_bytes(s, at + 1) != 32)
		return false;
	memcpy(last->root, sqlite3_column_blob(s, at + 1), 32);
	return true;
}

static int read_last(struct witness_store *w, const struct checkpoint *c, struct had *out, struct err *e)
{
	sqlite3_stmt *s = w->stmt[S_LAST];
	int rc, n;

	memset(&out->last, 0, sizeof(out->last));
	out->time_s = 0;
	out->note_n = 0;
	sha256_of(NULL, 0, out->last.root);
	(void)sqlite3_bind_text(s, 1, c->origin, (int)c->origin_n, SQLITE_STATIC);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		n = sqlite3_column_bytes(s, 3);
		if (!take_row(s, 0, &out->last, &out->time_s) || n <= 0 || n > (int)sizeof(out->note)) {
			(void)sqlite3_reset(s);
			return damaged(e);
		}
		memcpy(out->note, sqlite3_column_blob(s, 3), (size_t)n);
		out->note_n = (size_t)n;
	}
	(void)sqlite3_reset(s);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : failed(w, e);
}

static int run(struct witness_store *w, int which, struct err *e)
{
	int rc = sqlite3_step(w->stmt[which]);

	(void)sqlite3_reset(w->stmt[which]);
	(void)sqlite3_clear_bindings(w->stmt[which]);
	return rc == SQLITE_DONE ? 0 : failed(w, e);
}

static int keep(struct witness_store *w, const struct checkpoint *c, uint64_t time_s, const char *note,
        size_t n, struct err *e)
{
	sqlite3_stmt *s = w->stmt[S_SET];

	(void)sqlite3_bind_text(s, 1, c->origin, (int)c->origin_n, SQLITE_STATIC);
	(void)sqlite3_bind_int64(s, 2, (sqlite3_int64)c->size);
	(void)sqlite3_bind_blob(s, 3, c->root, 32, SQLITE_STATIC);
	(void)sqlite3_bind_int64(s, 4, (sqlite3_int64)time_s);
	(void)sqlite3_bind_blob(s, 5, note, (int)n, SQLITE_STATIC);
	return run(w, S_SET, e);
}

static int keep_fork(struct witness_store *w, const struct checkpoint *c, const struct had *had,
        const char *note, size_t n, uint64_t now_s, struct err *e)
{
	sqlite3_stmt *s = w->stmt[S_FORK];

	(void)sqlite3_bind_text(s, 1, c->origin, (int)c->origin_n, SQLITE_STATIC);
	(void)sqlite3_bind_int64(s, 2, (sqlite3_int64)c->size);
	(void)sqlite3_bind_blob(s, 3, had->note, (int)had->note_n, SQLITE_STATIC);
	(void)sqlite3_bind_blob(s, 4, note, (int)n, SQLITE_STATIC);
	(void)sqlite3_bind_int64(s, 5, (sqlite3_int64)now_s);
	(void)sqlite3_bind_int(s, 6, WITNESS_FORKS_MAX);
	return run(w, S_FORK, e);
}

int witness_store_take(struct witness_store *w, const struct witness_request *r, const char *note, size_t n,
        uint64_t now_s, struct witness_taken *out, struct err *e)
{
	struct merkle_hash h = sha256_merkle(w->sha);
	struct witness_taken taken = {.time_s = now_s};
	struct had had;
	bool fork;
	int rc = 0;

	CHECK(n > 0 && n <= sizeof(had.note));
	/* IMMEDIATE: whoever else would change it waits from here on. */
	if (exec(w, "BEGIN IMMEDIATE", e) < 0)
		return -1;
	if (read_last(w, &r->head, &had, e) < 0)
		goto out;
	taken.status = witness_decide(&h, &had.last, r, &fork, e);
	taken.size = had.last.size;
	if (taken.time_s < had.time_s)
		taken.time_s = had.time_s;
	if (taken.status == WITNESS_COSIGNED)
		rc = keep(w, &r->head, taken.time_s, note, n, e);
	else if (fork) /* what cannot be kept changes no answer */
		taken.new_fork = keep_fork(w, &r->head, &had, note, n, now_s, &(struct err){0}) == 0 &&
		                 sqlite3_changes(w->db) > 0;
	if (rc == 0 && exec(w, "COMMIT", e) == 0) {
		*out = taken;
		return 0;
	}
out:
	(void)sqlite3_exec(w->db, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

int witness_store_each(struct witness_store *w, int (*each)(void *ctx, const struct witness_row *row),
        void *ctx, struct err *e)
{
	sqlite3_stmt *s = w->stmt[S_ALL];
	int rc;

	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		struct witness_row row = {.origin = (const char *)sqlite3_column_text(s, 0),
		        .forks = (uint64_t)sqlite3_column_int64(s, 5)};

		if (!take_row(s, 1, &row.last, &row.time_s)) {
			(void)sqlite3_reset(s);
			return damaged(e);
		}
		row.note_n = (size_t)sqlite3_column_bytes(s, 4);
		row.note = sqlite3_column_blob(s, 4);
		if (each(ctx, &row) < 0) {
			rc = SQLITE_DONE;
			break;
		}
	}
	(void)sqlite3_reset(s);
	return rc == SQLITE_DONE ? 0 : failed(w, e);
}
