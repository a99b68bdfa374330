/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_db - the journal's database: its tables, versions, errors and checkpoints. See journal_int.h.
 *
 *   entries (seq, leaf, body)                the record, in order of seq: a commit touches its last page
 *   results (job, step, level, first, seq, count)
 *                                            which entry holds the results of tasks [first, first + count) of a step;
 *                                            2^level is the least power of two that is not less than count, so the ranges
 *                                            that hold a task are found with one short range scan for each level
 *   outputs (seq, bytes)                     the small outputs that came with a Results entry
 *   tiles (n, hashes)                        leaf hashes of entries [256 n, 256 n + 256), once their bytes were dropped
 *   forgets (job)                            jobs whose results and outputs are being dropped
 *   meta (key, value)                        created_by, entry_format, drop_before, dropped_to
 *
 * PRAGMA application_id says that it is ours, user_version is JOURNAL_FORMAT.
 */
#include "io/journal_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "io/disk.h"
#include "wire/entry.h"

#define APPLICATION_ID 0x4f534945 /* "OSIE" */
#define BUSY_MS        10000

static const char schema[] =
        "PRAGMA page_size=4096; PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF;" /* synced once, by db_create() */
        "PRAGMA application_id=1330858309;"                                          /* APPLICATION_ID */
        "BEGIN;"
        "CREATE TABLE entries (seq INTEGER PRIMARY KEY, leaf BLOB NOT NULL, body BLOB NOT NULL);"
        "CREATE TABLE results (job INTEGER, step INTEGER, level INTEGER, first INTEGER, seq INTEGER, count "
        "INTEGER NOT NULL,"
        " PRIMARY KEY (job, step, level, first, seq)) WITHOUT ROWID;"
        "CREATE TABLE outputs (seq INTEGER PRIMARY KEY, bytes BLOB NOT NULL);"
        "CREATE TABLE tiles (n INTEGER PRIMARY KEY, hashes BLOB NOT NULL);"
        "CREATE TABLE forgets (job INTEGER PRIMARY KEY);"
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
        "INSERT INTO meta VALUES ('created_by', 'osier " OSIER_VERSION
        "'), ('drop_before', 0), ('dropped_to', 0);"
        "PRAGMA user_version=1;"
        "COMMIT;"
        "PRAGMA journal_mode=WAL;";

char *path_in(const char *dir, const char *name)
{
	size_t n = strlen(dir) + strlen(name) + 2;
	char *path = must_grow(NULL, n);

	(void)snprintf(path, n, "%s/%s", dir, name);
	return path;
}

void *must_grow(void *p, size_t n)
{
	void *grown = realloc(p, n);

	CHECK(grown); /* out of memory: the journal makes a restart cheap */
	return grown;
}

int db_err(sqlite3 *db, struct err *e, const char *what)
{
	int rc = sqlite3_extended_errcode(db), sys;

	switch (rc == SQLITE_IOERR_SHORT_READ ? SQLITE_CORRUPT : rc & 0xff) {
	case SQLITE_FULL:
		(void)err_set(e, ERR_FULL, "%s: no room left on the disk", what);
		return err_hint(e, "make room where the journal lies");
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_SCHEMA:
	case SQLITE_MISMATCH:
	case SQLITE_CONSTRAINT:
	case SQLITE_ERROR: /* our own statements are right: a table is not what it was */
		(void)err_set(e, ERR_CORRUPT, "%s: %s", what, sqlite3_errmsg(db));
		return err_hint(e, "restore the folder from a backup, or move it away to begin anew");
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		(void)err_set(e, ERR_DENIED, "%s: the folder or its files may not be written", what);
		return err_hint(e, "make it writable, or choose another with --state");
	default:
		sys = (rc & 0xff) == SQLITE_IOERR ? journal_vfs_errno() : sqlite3_system_errno(db);
		errno = sys;
		if (sys != 0)
			return err_sys(e, "%s: %s", what, sqlite3_errmsg(db));
		return err_set(e, ERR_SYSTEM, "%s: %s", what, sqlite3_errmsg(db));
	}
}

int db_number(sqlite3 *db, const char *sql, uint64_t otherwise, uint64_t *out, struct err *e)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
	uint64_t n = otherwise;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		if (sqlite3_column_type(s, 0) != SQLITE_NULL)
			n = (uint64_t)sqlite3_column_int64(s, 0);
		rc = SQLITE_DONE;
	}
	(void)sqlite3_finalize(s);
	if (rc != SQLITE_DONE)
		return db_err(db, e, "cannot read the journal");
	*out = n;
	return 0;
}

static int create_at(const char *path, struct err *e)
{
	char format[96];
	sqlite3 *db = NULL;
	int rc, fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(e, "cannot create '%s'", path);
	(void)close(fd); /* only to give it its mode, which -wal and -shm inherit */
	rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, journal_vfs());
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, schema, NULL, NULL, NULL);
	(void)snprintf(format, sizeof(format), "INSERT INTO meta VALUES ('entry_format', %u)", ENTRY_FORMAT);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, format, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	if (rc != SQLITE_OK)
		(void)db_err(db, e, "cannot create the journal");
	(void)sqlite3_close(db);
	return rc == SQLITE_OK ? 0 : -1;
}

static int sync_file(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return err_sys(e, "cannot open '%s'", path);
	rc = fsync(fd) < 0 ? err_sys(e, "cannot sync '%s'", path) : 0;
	(void)close(fd);
	return rc;
}

static void remove_unmade(const char *dir)
{
	static const char *const left[] = {
	        "journal.new", "journal.new-wal", "journal.new-shm", "journal.new-journal"};

	for (size_t i = 0; i < ARRAY_LEN(left); i++) {
		char *path = path_in(dir, left[i]);

		(void)unlink(path);
		free(path);
	}
}

/* Made beside its place and renamed, so that a journal.db is whole or is not there. */
int db_create(const char *dir, struct err *e)
{
	char *made = path_in(dir, "journal.new"), *path = path_in(dir, "journal.db");
	int rc;

	remove_unmade(dir);
	rc = create_at(made, e);
	if (rc == 0)
		rc = sync_file(made, e);
	if (rc == 0 && rename(made, path) < 0)
		rc = err_sys(e, "cannot rename '%s' to '%s'", made, path);
	if (rc == 0)
		rc = disk_sync_folder(dir, e);
	else
		remove_unmade(dir);
	free(made);
	free(path);
	return rc;
}

static int check_version(sqlite3 *db, const char *path, struct err *e)
{
	uint64_t id, format, entry_format;

	if (db_number(db, "PRAGMA application_id", 0, &id, e) < 0 ||
	        db_number(db, "PRAGMA user_version", 0, &format, e) < 0)
		return err_wrap(e, "'%s'", path);
	if (id != APPLICATION_ID || format == 0) {
		(void)err_set(e, ERR_CORRUPT, "'%s' is not a journal of osier", path);
		return err_hint(e, "move it away to begin anew");
	}
	if (format > JOURNAL_FORMAT) {
		(void)err_set(e, ERR_VERSION, "'%s' has format %llu, and this osier (%s) knows up to %d",
		        path, (unsigned long long)format, OSIER_VERSION, JOURNAL_FORMAT);
		return err_hint(e, "use the newer osier that wrote it");
	}
	if (db_number(db, "SELECT value FROM meta WHERE key = 'entry_format'", 0, &entry_format, e) < 0)
		return err_wrap(e, "'%s'", path);
	if (entry_format > ENTRY_FORMAT) {
		(void)err_set(e, ERR_VERSION,
		        "'%s' holds entries of format %llu, and this osier (%s) knows up to %u", path,
		        (unsigned long long)entry_format, OSIER_VERSION, ENTRY_FORMAT);
		return err_hint(e, "use the newer osier that wrote it");
	}
	return 0;
}

/* Not a byte of a journal that is cut below its header is trusted: SQLite would take an empty file for a new database. */
static int check_size(const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		if (errno == ENOENT)
			return err_set(e, ERR_NOTFOUND, "there is no journal '%s'", path);
		return err_sys(e, "cannot look at '%s'", path);
	}
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_CORRUPT, "'%s' is not a file", path);
	if (st.st_size < 4096) {
		(void)err_set(e, ERR_CORRUPT, "'%s' is cut to %lld bytes", path, (long long)st.st_size);
		return err_hint(e, "restore the folder from a backup, or move it away to begin anew");
	}
	return 0;
}

static int open_at(const char *path, bool read_only, sqlite3 **out, struct err *e)
{
	static const char pragmas[] =
	        "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA secure_delete=OFF;"
	        "PRAGMA mmap_size=0; PRAGMA cell_size_check=ON; PRAGMA cache_size=-256;"
	        "PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;";
	int flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	int one = 1, rc = sqlite3_open_v2(path, out, flags | SQLITE_OPEN_NOMUTEX, journal_vfs());

	if (rc == SQLITE_OK) {
		(void)sqlite3_busy_timeout(*out, BUSY_MS);
		(void)sqlite3_limit(*out, SQLITE_LIMIT_LENGTH, 1 << 30);
		/* Keep -wal and -shm: the next start need not grow them again, and a reader needs no right to write. */
		(void)sqlite3_file_control(*out, "main", SQLITE_FCNTL_PERSIST_WAL, &one);
		rc = sqlite3_exec(*out, pragmas, NULL, NULL, NULL);
	}
	if (rc != SQLITE_OK) {
		char what[200];

		(void)snprintf(what, sizeof(what), "cannot open '%s'", path);
		(void)db_err(*out, e, what);
		return read_only && (rc & 0xff) == SQLITE_CANTOPEN
		               ? err_hint(e, "to read a journal from a place that cannot be written, copy "
		                             "its folder")
		               : -1;
	}
	return check_version(*out, path, e);
}

int db_open(const char *dir, bool read_only, sqlite3 **out, struct err *e)
{
	char *path = path_in(dir, "journal.db");
	sqlite3 *db = NULL;
	int rc = check_size(path, e);

	if (rc == 0)
		rc = open_at(path, read_only, &db, e);
	free(path);
	if (rc < 0) {
		(void)sqlite3_close(db);
		return -1;
	}
	*out = db;
	return 0;
}
