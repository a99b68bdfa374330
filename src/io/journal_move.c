/* SPDX-License-Identifier: Apache-2.0 */
/* journal_move - see journal_move.h. */
#include "io/journal_move.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "io/disk.h"
#include "io/journal_pg.h"

#define COLUMNS_MAX 6
#define CHUNK_BYTES (1u << 20)
#define HOLDER      "(moved away)"

/* ---- the tables ---- */

struct table {
	const char *select; /* the same words on both sides */
	const char *sqlite, *pg;
	int columns;
	bool bytes[COLUMNS_MAX]; /* else a number */
};

static const struct table tables[] = {
        {"SELECT seq, leaf, body FROM entries ORDER BY seq",
                "INSERT INTO entries (seq, leaf, body) VALUES (?1, ?2, ?3)",
                "INSERT INTO entries (seq, leaf, body) SELECT * FROM unnest($1, $2, $3)", 3,
                {false, true, true}},
        {"SELECT job, step, level, first, seq, count FROM results ORDER BY job, step, level, first, seq",
                "INSERT INTO results (job, step, level, first, seq, count) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                "INSERT INTO results (job, step, level, first, seq, count) SELECT * FROM unnest($1, $2, $3, "
                "$4, $5, $6)",
                6, {false}},
        {"SELECT seq, bytes FROM outputs ORDER BY seq", "INSERT INTO outputs (seq, bytes) VALUES (?1, ?2)",
                "INSERT INTO outputs (seq, bytes) SELECT * FROM unnest($1, $2)", 2, {false, true}},
        {"SELECT n, hashes FROM tiles ORDER BY n", "INSERT INTO tiles (n, hashes) VALUES (?1, ?2)",
                "INSERT INTO tiles (n, hashes) SELECT * FROM unnest($1, $2)", 2, {false, true}},
        {"SELECT job FROM forgets ORDER BY job", "INSERT INTO forgets (job) VALUES (?1)",
                "INSERT INTO forgets (job) SELECT * FROM unnest($1)", 1, {false}},
};

struct cell {
	int64_t i8;
	const uint8_t *p;
	size_t n;
};

/* Where rows go: one of the two. */
struct sink {
	const struct table *t;
	struct pg *c;
	struct pg_array a[COLUMNS_MAX];
	size_t used;
	uint64_t bytes; /* of all rows */
	sqlite3 *db;
	sqlite3_stmt *s;
};

static void sink_clear(struct sink *k)
{
	for (int i = 0; i < k->t->columns; i++)
		pg_array_clear(&k->a[i], k->t->bytes[i]);
	k->used = 0;
}

static int sink_flush(struct sink *k, struct err *e)
{
	struct pg_value v[COLUMNS_MAX];

	if (!k->c || k->a[0].count == 0)
		return 0;
	for (int i = 0; i < k->t->columns; i++)
		v[i] = pg_array_value(&k->a[i]);
	if (pg_run(k->c, k->t->pg, v, (size_t)k->t->columns, NULL, e) < 0)
		return -1;
	sink_clear(k);
	return 0;
}

static int put_pg(struct sink *k, const struct cell *cells, struct err *e)
{
	for (int i = 0; i < k->t->columns; i++) {
		if (k->t->bytes[i])
			pg_array_bytes(&k->a[i], cells[i].p, cells[i].n);
		else
			pg_array_i8(&k->a[i], cells[i].i8);
		k->used += 16 + cells[i].n;
	}
	return k->used > CHUNK_BYTES ? sink_flush(k, e) : 0;
}

static int put_sqlite(struct sink *k, const struct cell *cells, struct err *e)
{
	static const uint8_t nothing[1];
	int rc;

	for (int i = 0; i < k->t->columns; i++) {
		if (k->t->bytes[i])
			(void)sqlite3_bind_blob64(
			        k->s, i + 1, cells[i].n ? cells[i].p : nothing, cells[i].n, SQLITE_STATIC);
		else
			(void)sqlite3_bind_int64(k->s, i + 1, cells[i].i8);
	}
	rc = sqlite3_step(k->s);
	(void)sqlite3_reset(k->s);
	return rc == SQLITE_DONE ? 0 : db_err(k->db, e, "cannot write the journal");
}

static int put(struct sink *k, const struct cell *cells, struct err *e)
{
	for (int i = 0; i < k->t->columns; i++)
		k->bytes += k->t->bytes[i] ? cells[i].n : 8;
	return k->c ? put_pg(k, cells, e) : put_sqlite(k, cells, e);
}

/* ---- where rows come from ---- */

static int from_sqlite(sqlite3 *db, struct sink *k, struct err *e)
{
	sqlite3_stmt *s = NULL;
	struct cell cells[COLUMNS_MAX];
	int rc = sqlite3_prepare_v2(db, k->t->select, -1, &s, NULL), put_rc = 0;

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(s);
		if (rc != SQLITE_ROW)
			break;
		for (int i = 0; i < k->t->columns; i++)
			cells[i] = (struct cell){.i8 = sqlite3_column_int64(s, i),
			        .p = k->t->bytes[i] ? sqlite3_column_blob(s, i) : NULL,
			        .n = k->t->bytes[i] ? (size_t)sqlite3_column_bytes(s, i) : 0};
		put_rc = put(k, cells, e);
		if (put_rc < 0)
			break;
	}
	if (put_rc == 0 && rc != SQLITE_DONE)
		put_rc = db_err(db, e, "cannot read the journal");
	(void)sqlite3_finalize(s);
	return put_rc;
}

static int pg_row(void *ctx, const struct pg_rows *one, struct err *e)
{
	struct sink *k = ctx;
	struct cell cells[COLUMNS_MAX] = {{0}};

	for (int i = 0; i < k->t->columns; i++) {
		if (k->t->bytes[i])
			cells[i].p = pg_cell(one, 0, i, &cells[i].n);
		else
			cells[i].i8 = pg_cell_i8(one, 0, i, -1);
	}
	return put(k, cells, e);
}

static int copy_tables(sqlite3 *from_db, struct pg *from_pg, struct sink *k, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(tables) && rc == 0; i++) {
		k->t = &tables[i];
		sink_clear(k);
		if (k->db && sqlite3_prepare_v2(k->db, k->t->sqlite, -1, &k->s, NULL) != SQLITE_OK)
			return db_err(k->db, e, "cannot write the journal");
		rc = from_db ? from_sqlite(from_db, k, e)
		             : pg_each(from_pg, k->t->select, NULL, 0, pg_row, k, e);
		if (rc == 0)
			rc = sink_flush(k, e);
		(void)sqlite3_finalize(k->s);
		k->s = NULL;
	}
	for (int i = 0; i < COLUMNS_MAX; i++)
		free(k->a[i].p);
	memset(k->a, 0, sizeof(k->a));
	return rc;
}

/* ---- the tree, before and after ---- */

struct whole {
	struct merkle_frontier f;
	struct merkle_hash h;
	uint8_t last[MERKLE_HASH_BYTES];
};

static int add_leaf(
        void *ctx, uint64_t seq, const uint8_t leaf[32], const uint8_t *bytes, size_t n, struct err *e)
{
	struct whole *w = ctx;

	(void)seq;
	(void)bytes;
	(void)n;
	(void)e;
	merkle_append(&w->f, &w->h, leaf);
	memcpy(w->last, leaf, sizeof(w->last));
	return 0;
}

/* Hash every entry again; closes r. */
static int read_tree(struct journal_reader *r, struct journal_moved *out, uint8_t last[32], struct err *e)
{
	struct sha256 *sha = sha256_new();
	struct whole *w = must_grow(NULL, sizeof(*w));
	uint64_t size = 0;
	int rc;

	r->sha = sha256_new();
	memset(w, 0, sizeof(*w));
	merkle_init(&w->f);
	w->h = sha256_merkle(sha);
	rc = reader_size(r, &size, e);
	if (rc == 0)
		rc = journal_audit(r, 0, size, add_leaf, w, e);
	if (rc == 0) {
		out->entries = size;
		merkle_root(&w->f, &w->h, out->root);
		memcpy(last, w->last, 32);
	}
	journal_reader_close(r);
	sha256_free(sha);
	free(w);
	return rc;
}

static int read_folder_tree(const char *dir, struct journal_moved *out, uint8_t last[32], struct err *e)
{
	struct journal_reader *r;

	return db_reader_open(dir, &r, e) < 0 ? -1 : read_tree(r, out, last, e);
}

static int read_record_tree(
        const struct record *rec, struct journal_moved *out, uint8_t last[32], struct err *e)
{
	struct journal_reader *r;

	return pg_reader_open(rec, &r, e) < 0 ? -1 : read_tree(r, out, last, e);
}

static int same_tree(const struct journal_moved *a, const struct journal_moved *b, struct err *e)
{
	if (a->entries == b->entries && memcmp(a->root, b->root, 32) == 0)
		return 0;
	(void)err_set(e, ERR_CORRUPT, "the copy is not the same journal: %llu entries of %llu",
	        (unsigned long long)b->entries, (unsigned long long)a->entries);
	return err_hint(e, "the journal is where it was; drop the target and try again");
}

/* ---- the folder ---- */

static int take_folder(const char *dir, int *out_fd, struct err *e)
{
	char *path = path_in(dir, "lock");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), rc = 0;

	if (fd < 0) {
		rc = err_sys(e, "cannot open '%s'", path);
	} else if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		(void)err_set(e, ERR_EXISTS, "a node is up on '%s'", dir);
		rc = err_hint(e, "end it with 'osier down' first");
		(void)close(fd);
	} else {
		*out_fd = fd;
	}
	free(path);
	return rc;
}

static bool exists(const char *dir, const char *name)
{
	char *path = path_in(dir, name);
	struct stat st;
	bool there = lstat(path, &st) == 0;

	free(path);
	return there;
}

static int rename_in(
        const char *from_dir, const char *from, const char *to_dir, const char *to, struct err *e)
{
	char *a = path_in(from_dir, from), *b = path_in(to_dir, to);
	int rc = rename(a, b) < 0 ? err_sys(e, "cannot rename '%s' to '%s'", a, b) : 0;

	free(a);
	free(b);
	return rc < 0 ? -1 : disk_sync_folder(to_dir, e);
}

static void remove_in(const char *dir, const char *name)
{
	char *path = path_in(dir, name);

	(void)unlink(path);
	free(path);
}

/* ---- into a record ---- */

/* The last entry of the source, and what policy has dropped. */
static int set_head(struct pg *c, sqlite3 *db, const struct journal_moved *m, const uint8_t last[32],
        uint64_t bytes, struct err *e)
{
	static const char sql[] = "UPDATE head SET size = $1, leaf = $2, bytes = $3, drop_before = $4, "
	                          "dropped_to = $5, holder = '',"
	                          " epoch = epoch + 1 WHERE size = 0 RETURNING 1::bigint";
	uint64_t before, to;
	struct pg_value v[5] = {{.type = PG_I8, .i8 = (int64_t)m->entries},
	        {.type = PG_BYTES, .p = last, .n = m->entries ? 32 : 0},
	        {.type = PG_I8, .i8 = (int64_t)bytes}, {.type = PG_I8}, {.type = PG_I8}};

	if (db_number(db, "SELECT value FROM meta WHERE key = 'drop_before'", 0, &before, e) < 0 ||
	        db_number(db, "SELECT value FROM meta WHERE key = 'dropped_to'", 0, &to, e) < 0)
		return -1;
	v[3].i8 = (int64_t)before;
	v[4].i8 = (int64_t)to;
	return pg_run(c, sql, v, 5, NULL, e);
}

static int copy_to_record(
        const char *dir, struct pg *c, const struct journal_moved *m, const uint8_t last[32], struct err *e)
{
	struct sink k = {.c = c};
	sqlite3 *db = NULL;
	int rc = db_open(dir, true, &db, e);

	if (rc == 0)
		rc = pg_script(c, "BEGIN; SELECT 1 FROM head FOR UPDATE", e);
	if (rc == 0)
		rc = copy_tables(db, NULL, &k, e);
	if (rc == 0)
		rc = set_head(c, db, m, last, k.bytes, e);
	if (rc == 0)
		rc = pg_script(c, "COMMIT", e);
	(void)sqlite3_close(db);
	return rc;
}

/* The log's pages into journal.db, so that the one file is all. */
static int settle_sqlite(const char *dir, struct err *e)
{
	sqlite3 *db = NULL;
	int rc = db_open(dir, false, &db, e);

	if (rc == 0 &&
	        sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK)
		rc = db_err(db, e, "cannot move the log into the journal");
	(void)sqlite3_close(db);
	return rc;
}

/* ERR_EXISTS, unless it is what a move that was cut short has left: the very journal. */
static int check_target(const struct pg_state *s, const struct journal_moved *m, const uint8_t last[32],
        bool *out_there, struct err *e)
{
	bool used = s->holder[0] && strcmp(s->holder, HOLDER) != 0;

	*out_there = !used && s->size > 0 && s->size == m->entries && memcmp(s->leaf, last, 32) == 0;
	if (*out_there || (s->size == 0 && s->epoch == 0))
		return 0;
	(void)err_set(e, ERR_EXISTS, "the record has a journal already, of %llu entries",
	        (unsigned long long)s->size);
	return err_hint(e, "name another schema in the URL, ?schema=NAME, or drop that one");
}

static int switch_to_record(const char *dir, struct record *r, struct err *e)
{
	if (record_save(dir, r, e) < 0 || rename_in(dir, "journal.db", dir, "journal.db.moved", e) < 0)
		return -1;
	remove_in(dir, "journal.db-wal");
	remove_in(dir, "journal.db-shm");
	return 0;
}

static int to_record(const char *dir, struct record *r, struct journal_moved *out, struct err *e)
{
	struct journal_moved copy;
	struct pg_state s;
	struct pg *c = NULL;
	uint8_t last[32] = {0}, copy_last[32];
	bool there = false;
	int rc = settle_sqlite(dir, e);

	if (rc == 0)
		rc = read_folder_tree(dir, out, last, e);
	if (rc == 0)
		rc = pg_open(r->url, 60000, &c, e);
	if (rc == 0)
		rc = pg_journal_create(c, e);
	if (rc == 0)
		rc = pg_journal_state(c, &s, e);
	if (rc == 0)
		rc = check_target(&s, out, last, &there, e);
	if (rc == 0)
		rc = there ? pg_script(c, "UPDATE head SET holder = ''", e)
		           : copy_to_record(dir, c, out, last, e);
	if (rc == 0)
		rc = read_record_tree(r, &copy, copy_last, e);
	if (rc == 0)
		rc = same_tree(out, &copy, e);
	if (rc == 0) {
		(void)snprintf(r->journal, sizeof(r->journal), "%s", s.id);
		rc = switch_to_record(dir, r, e);
	}
	pg_close(c);
	return rc;
}

int journal_move_to_record(const char *dir, const char *url, struct journal_moved *out, struct err *e)
{
	struct record r = {.url = ""};
	bool found = false;
	int fd = -1, rc;

	if (pg_url_check(url, e) < 0 || take_folder(dir, &fd, e) < 0)
		return -1;
	rc = record_load(dir, &r, &found, e);
	if (rc == 0 && !exists(dir, "journal.db")) {
		rc = found ? err_set(e, ERR_EXISTS, "the journal of '%.150s' is in a record already", dir)
		           : err_set(e, ERR_NOTFOUND, "there is no journal in '%.150s'", dir);
		(void)err_hint(e, found ? "carry it into a folder first: --to DIR"
		                        : "name its state folder: --state DIR");
	}
	if (rc == 0) {
		(void)snprintf(r.url, sizeof(r.url), "%s", url);
		rc = to_record(dir, &r, out, e);
	}
	explicit_bzero(r.url, sizeof(r.url));
	(void)close(fd);
	return rc;
}

/* ---- into a folder ---- */

/* Nobody takes the record while it is copied, but this folder. */
static int hold_record(struct pg *c, const struct record *r, struct pg_state *s, struct err *e)
{
	static const char sql[] =
	        "UPDATE head SET renewed = clock_timestamp() + interval '100 years' WHERE epoch = $1";
	struct pg_value v;

	if (pg_journal_claim(c, r->holder, s, e) < 0)
		return -1;
	v = (struct pg_value){.type = PG_I8, .i8 = (int64_t)s->epoch};
	return pg_run(c, sql, &v, 1, NULL, e);
}

static int leave_record(struct pg *c, const struct pg_state *s, struct err *e)
{
	static const char sql[] = "UPDATE head SET holder = '" HOLDER "' WHERE epoch = $1";
	struct pg_value v = {.type = PG_I8, .i8 = (int64_t)s->epoch};

	return pg_run(c, sql, &v, 1, NULL, e);
}

static int copy_to_folder(struct pg *c, const char *made, const struct pg_state *s, struct err *e)
{
	struct sink k = {0};
	char meta[160];
	int rc = db_open(made, false, &k.db, e);

	(void)snprintf(meta, sizeof(meta),
	        "UPDATE meta SET value = CASE key WHEN 'drop_before' THEN %llu ELSE %llu END"
	        " WHERE key IN ('drop_before', 'dropped_to'); COMMIT",
	        (unsigned long long)s->drop_before, (unsigned long long)s->dropped_to);
	if (rc == 0 && sqlite3_exec(k.db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
		rc = db_err(k.db, e, "cannot write the journal");
	if (rc == 0)
		rc = copy_tables(NULL, c, &k, e);
	if (rc == 0 && sqlite3_exec(k.db, meta, NULL, NULL, NULL) != SQLITE_OK)
		rc = db_err(k.db, e, "cannot write the journal");
	if (rc == 0 &&
	        sqlite3_wal_checkpoint_v2(k.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK)
		rc = db_err(k.db, e, "cannot write the journal");
	(void)sqlite3_close(k.db);
	return rc;
}

static void remove_made(const char *made)
{
	static const char *const names[] = {"journal.db", "journal.db-wal", "journal.db-shm", "journal.new",
	        "journal.new-wal", "journal.new-shm", "journal.new-journal"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		remove_in(made, names[i]);
	(void)rmdir(made);
}

static int make_folder(const char *made, struct err *e)
{
	remove_made(made); /* of one that was cut short */
	if (mkdir(made, 0700) < 0)
		return err_sys(e, "cannot make the folder '%s'", made);
	return db_create(made, e);
}

static int to_folder(const struct record *r, const char *to, struct journal_moved *out, struct err *e)
{
	char *made = path_in(to, "journal.moving");
	struct journal_moved copy;
	struct pg_state s;
	struct pg *c = NULL;
	uint8_t last[32], copy_last[32];
	int rc = pg_open(r->url, 60000, &c, e);

	if (rc == 0)
		rc = pg_journal_state(c, &s, e);
	if (rc == 0)
		rc = hold_record(c, r, &s, e);
	if (rc == 0)
		rc = read_record_tree(r, out, last, e);
	if (rc == 0)
		rc = make_folder(made, e);
	if (rc == 0)
		rc = copy_to_folder(c, made, &s, e);
	if (rc == 0)
		rc = read_folder_tree(made, &copy, copy_last, e);
	if (rc == 0)
		rc = same_tree(out, &copy, e);
	if (rc == 0)
		rc = rename_in(made, "journal.db", to, "journal.db", e);
	if (rc == 0)
		rc = leave_record(c, &s, e);
	remove_made(made);
	free(made);
	pg_close(c);
	return rc;
}

/* What a move into the state folder itself has left that was cut short after its last row: the same journal in both. */
static int finish_to_folder(const struct record *r, const char *dir, struct journal_moved *out, struct err *e)
{
	struct pg_state s;
	struct pg *c = NULL;
	uint8_t last[32] = {0};
	int rc = read_folder_tree(dir, out, last, e);

	if (rc == 0)
		rc = pg_open(r->url, 60000, &c, e);
	if (rc == 0)
		rc = pg_journal_state(c, &s, e);
	if (rc == 0 && (s.size != out->entries || memcmp(s.leaf, last, 32) != 0 ||
	                       (strcmp(s.holder, r->holder) != 0 && strcmp(s.holder, HOLDER) != 0))) {
		rc = err_set(e, ERR_EXISTS, "'%.150s' has a journal already", dir);
		(void)err_hint(e, "it is another than the record's: move one of the two away");
	}
	if (rc == 0)
		rc = leave_record(c, &s, e);
	pg_close(c);
	return rc;
}

int journal_move_to_folder(const char *dir, const char *to, struct journal_moved *out, struct err *e)
{
	struct record r = {.url = ""};
	bool found = false;
	struct stat a, b;
	bool own;
	int fd = -1, rc;

	if (stat(to, &b) < 0 || stat(dir, &a) < 0)
		return err_sys(e, "cannot use the folder '%.150s'", to);
	if (take_folder(dir, &fd, e) < 0)
		return -1;
	own = a.st_dev == b.st_dev && a.st_ino == b.st_ino;
	rc = record_load(dir, &r, &found, e);
	if (rc == 0 && !found) {
		rc = err_set(e, ERR_NOTFOUND, "the journal of '%.150s' is in no record", dir);
		(void)err_hint(e, "it is that folder's own: copy the folder, or 'osier backup'");
	} else if (rc == 0 && !own && (exists(to, "journal.db") || exists(to, "record"))) {
		rc = err_set(e, ERR_EXISTS, "'%.150s' has a journal already", to);
		(void)err_hint(e, "name an empty folder");
	}
	if (rc == 0)
		rc = own && exists(to, "journal.db") ? finish_to_folder(&r, to, out, e)
		                                     : to_folder(&r, to, out, e);
	if (rc == 0 && own)
		rc = record_remove(dir, e);
	explicit_bzero(r.url, sizeof(r.url));
	(void)close(fd);
	return rc;
}

/* ---- a copy, while the node is up ---- */

static int copy_sqlite(const char *dir, const char *to, struct err *e)
{
	char *path = path_in(to, "journal.db");
	sqlite3 *from = NULL, *copy = NULL;
	sqlite3_backup *b = NULL;
	int rc = db_open(dir, true, &from, e);

	if (rc == 0 &&
	        sqlite3_open_v2(path, &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
		rc = db_err(copy, e, "cannot write the copy");
	if (rc == 0) {
		b = sqlite3_backup_init(copy, "main", from, "main");
		/* All at once: one state of the journal, while it grows. */
		if (!b || sqlite3_backup_step(b, -1) != SQLITE_DONE)
			rc = db_err(copy, e, "cannot copy the journal");
	}
	if (b && sqlite3_backup_finish(b) != SQLITE_OK && rc == 0)
		rc = db_err(copy, e, "cannot copy the journal");
	(void)sqlite3_close(copy);
	(void)sqlite3_close(from);
	free(path);
	return rc;
}

static int copy_record(const struct record *r, const char *to, struct err *e)
{
	struct pg_state s;
	struct pg *c = NULL;
	int rc = pg_open(r->url, 60000, &c, e);

	if (rc == 0)
		rc = pg_script(c, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", e);
	if (rc == 0)
		rc = pg_journal_state(c, &s, e);
	if (rc == 0)
		rc = db_create(to, e);
	if (rc == 0)
		rc = copy_to_folder(c, to, &s, e);
	pg_close(c);
	return rc;
}

int journal_verify(const char *dir, struct journal_moved *out, struct err *e)
{
	uint8_t last[32];

	return read_folder_tree(dir, out, last, e);
}

int journal_copy(const char *dir, const char *to, struct journal_moved *out, struct err *e)
{
	struct record r = {.url = ""};
	bool found = false;
	int rc = record_load(dir, &r, &found, e);

	if (rc == 0)
		rc = found ? copy_record(&r, to, e) : copy_sqlite(dir, to, e);
	explicit_bzero(r.url, sizeof(r.url));
	if (rc == 0)
		rc = journal_verify(to, out, e);
	remove_in(to, "journal.db-wal"); /* settled: what is left of it is empty */
	remove_in(to, "journal.db-shm");
	return rc;
}
