/* SPDX-License-Identifier: Apache-2.0 */
/* logstore - see logstore.h. */
#include "io/logstore_int.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "core/ledger.h"
#include "io/disk.h"
#include "io/ed25519.h"
#include "wire/entry.h"

#define STORE_ID     1330858316 /* "OSIL" */
#define STORE_FORMAT 1
#define SIGN_LOOK_NS 10000000
#define SIGN_LOOKS   50u
enum { TILE = 256, TILE_BITS = 8, LEVELS = 7 };

static const char schema[] =
        "PRAGMA application_id=1330858316;"
        "BEGIN;"
        "CREATE TABLE roots (level INTEGER, n INTEGER, hash BLOB NOT NULL, PRIMARY KEY (level, n)) WITHOUT "
        "ROWID;"
        "CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), origin TEXT NOT NULL, size INTEGER NOT "
        "NULL,"
        " root BLOB NOT NULL, frontier BLOB NOT NULL, last_leaf BLOB NOT NULL, time_s INTEGER NOT NULL,"
        " note BLOB NOT NULL);"
        "CREATE TABLE jobs (job INTEGER PRIMARY KEY, seq INTEGER NOT NULL, leaf BLOB NOT NULL);"
        "CREATE TABLE leases (lease INTEGER PRIMARY KEY, seq INTEGER NOT NULL, leaf BLOB NOT NULL,"
        " job_seq INTEGER NOT NULL, job_leaf BLOB NOT NULL);"
        "CREATE TABLE pending (seq INTEGER PRIMARY KEY, leaf BLOB NOT NULL, lease_seq INTEGER NOT NULL,"
        " lease_leaf BLOB NOT NULL, job_seq INTEGER NOT NULL, job_leaf BLOB NOT NULL);"
        "CREATE TABLE batches (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, seq INTEGER NOT NULL);"
        "CREATE TABLE keys (seq INTEGER PRIMARY KEY, role INTEGER NOT NULL, state INTEGER NOT NULL,"
        " vkey TEXT NOT NULL, reason TEXT NOT NULL);"
        "PRAGMA user_version=1;"
        "COMMIT;";

static const char *const sql[S_STMTS] = {
        [S_ROOT_ADD] = "INSERT OR REPLACE INTO roots (level, n, hash) VALUES (?1, ?2, ?3)",
        [S_ROOTS] = "SELECT n, hash FROM roots WHERE level = ?1 AND n >= ?2 AND n < ?3 ORDER BY n",
        [S_HEAD] = "SELECT origin, size, root, frontier, last_leaf, time_s, note FROM head",
        [S_HEAD_SET] =
                ("INSERT OR REPLACE INTO head (one, origin, size, root, frontier, last_leaf, time_s, note)"
                 " VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, x'')"),
        [S_NOTE_SET] = "UPDATE head SET note = ?1",
        [S_JOB_ADD] = "INSERT OR REPLACE INTO jobs (job, seq, leaf) VALUES (?1, ?2, ?3)",
        [S_JOB_DROP] = "DELETE FROM jobs WHERE job = ?1",
        [S_LEASE_ADD] = "INSERT OR REPLACE INTO leases (lease, seq, leaf, job_seq, job_leaf)"
                        " SELECT ?1, ?2, ?3, seq, leaf FROM jobs WHERE job = ?4",
        [S_LEASE_DROP] = "DELETE FROM leases WHERE lease = ?1",
        [S_PENDING_ADD] =
                "INSERT OR REPLACE INTO pending (seq, leaf, lease_seq, lease_leaf, job_seq, job_leaf)"
                " SELECT ?1, ?2, seq, leaf, job_seq, job_leaf FROM leases WHERE lease = ?3",
        [S_PENDING_DROP] = "DELETE FROM pending WHERE seq <= ?1",
        [S_PENDING] = "SELECT seq, leaf, lease_seq, lease_leaf, job_seq, job_leaf FROM pending ORDER BY seq "
                      "LIMIT ?1",
        [S_BATCH_ADD] = "INSERT OR REPLACE INTO batches (first, last, seq) VALUES (?1, ?2, ?3)",
        [S_BATCH] = "SELECT last, seq FROM batches WHERE first <= ?1 ORDER BY first DESC LIMIT 1",
        [S_KEY_ADD] =
                "INSERT OR REPLACE INTO keys (seq, role, state, vkey, reason) VALUES (?1, ?2, ?3, ?4, ?5)",
        [S_KEYS] = "SELECT seq, role, state, vkey, reason FROM keys ORDER BY seq",
};

int store_failed(struct logstore *l, struct err *e)
{
	return err_set(e, (sqlite3_errcode(l->db) & 0xff) == SQLITE_FULL ? ERR_FULL : ERR_SYSTEM,
	        "cannot use the ledger's store: %s", sqlite3_errmsg(l->db));
}

int store_damaged(struct err *e)
{
	(void)err_set(e, ERR_CORRUPT, "the ledger's store is damaged");
	return err_hint(e, "restore ledger.db from a backup; without it the log must get a new key");
}

/* ---- opening ---- */

static int exec(struct logstore *l, const char *text, struct err *e)
{
	return sqlite3_exec(l->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_failed(l, e);
}

static int pragma(struct logstore *l, const char *text, int64_t *out, struct err *e)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(l->db, text, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW
	                 ? 0
	                 : -1;

	*out = rc == 0 ? sqlite3_column_int64(s, 0) : 0;
	(void)sqlite3_finalize(s);
	return rc < 0 ? store_failed(l, e) : 0;
}

static int check_store(struct logstore *l, struct err *e)
{
	int64_t id, format;

	if (pragma(l, "PRAGMA application_id", &id, e) < 0 ||
	        pragma(l, "PRAGMA user_version", &format, e) < 0)
		return -1;
	if (id == 0 && format == 0 && !l->read_only)
		return exec(l, schema, e);
	if (id != STORE_ID)
		return store_damaged(e);
	if (format > STORE_FORMAT)
		return err_set(e, ERR_VERSION,
		        "the ledger's store was made by a newer osier (format %" PRId64 ")", format);
	return 0;
}

static int open_db(struct logstore *l, const char *path, struct err *e)
{
	int flags = l->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE, fd;

	if (!l->read_only) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return err_sys(e, "cannot create '%s'", path);
		(void)close(fd);
	} else if (access(path, F_OK) < 0) {
		return err_set(e, ERR_NOTFOUND, "nothing was published yet: there is no '%s'", path);
	}
	if (sqlite3_open_v2(path, &l->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return store_failed(l, e);
	(void)sqlite3_busy_timeout(l->db, 10000);
	if (!l->read_only && exec(l, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", e) < 0)
		return -1;
	if (exec(l, "PRAGMA cache_size=-256; PRAGMA trusted_schema=OFF;", e) < 0 || check_store(l, e) < 0)
		return -1;
	for (size_t i = 0; i < S_STMTS; i++)
		if (sqlite3_prepare_v3(l->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &l->stmt[i], NULL) !=
		        SQLITE_OK)
			return store_damaged(e);
	return 0;
}

bool store_blob(sqlite3_stmt *s, int column, void *out, size_t n)
{
	if (sqlite3_column_bytes(s, column) != (int)n)
		return false;
	if (n)
		memcpy(out, sqlite3_column_blob(s, column), n);
	return true;
}

/* The head row at hand. */
static int take_head(struct logstore *l, sqlite3_stmt *s, struct err *e)
{
	const char *origin = (const char *)sqlite3_column_text(s, 0);
	int note_n = sqlite3_column_bytes(s, 6);

	if (!origin || sqlite3_column_int64(s, 1) < 0 || note_n >= (int)sizeof(l->head.note))
		return store_damaged(e);
	/* Who writes makes a head durable before it is signed: until it is, the one before counts. */
	if (l->read_only && note_n == 0 && l->head.note_n)
		return 0;
	if (l->origin && strcmp(l->origin, origin) != 0) {
		(void)err_set(e, ERR_EXISTS, "the ledger is '%.90s', not '%.90s'", origin, l->origin);
		return err_hint(e, "a log keeps its origin for life: put it back into config.yaml");
	}
	if (!l->origin) {
		l->origin = strdup(origin);
		CHECK(l->origin);
	}
	l->head.size = l->tree.size = (uint64_t)sqlite3_column_int64(s, 1);
	l->head.time_s = (uint64_t)sqlite3_column_int64(s, 5);
	if (!store_blob(s, 2, l->head.root, 32) ||
	        !store_blob(s, 3, l->tree.hash, merkle_count(&l->tree) * (size_t)32) ||
	        !store_blob(s, 4, l->last_leaf, 32) || !store_blob(s, 6, l->head.note, (size_t)note_n))
		return store_damaged(e);
	l->head.note_n = (size_t)note_n;
	l->head.note[note_n] = '\0';
	return 0;
}

static int read_head(struct logstore *l, bool *out_found, struct err *e)
{
	sqlite3_stmt *s = l->stmt[S_HEAD];
	int found = sqlite3_step(s), rc = found == SQLITE_ROW ? take_head(l, s, e) : 0;

	(void)sqlite3_reset(s);
	*out_found = found == SQLITE_ROW;
	return found == SQLITE_ROW || found == SQLITE_DONE ? rc : store_failed(l, e);
}

/* The first one that a reader sees may be on its way to be signed: so long is waited for that. */
static int read_signed(struct logstore *l, struct err *e)
{
	static const struct timespec pause = {.tv_nsec = SIGN_LOOK_NS};
	bool found = true;

	for (unsigned i = 0; found && !l->head.note_n && i < SIGN_LOOKS; i++) {
		if (i)
			(void)nanosleep(&pause, NULL);
		if (read_head(l, &found, e) < 0)
			return -1;
	}
	return 0;
}

static int other_tree(const struct logstore *l, struct err *e)
{
	(void)err_set(e, ERR_CORRUPT,
	        "the tree of %" PRIu64
	        " entries is not the one whose head was signed: this is another history",
	        l->floor);
	return err_hint(e, "nothing is signed; is it the right database?");
}

/* Is the journal the one that was signed? */
static int check_journal(struct logstore *l, struct err *e)
{
	struct merkle_hash h = sha256_merkle(l->sha);
	struct ledger_signed last = {.size = l->head.size};
	uint8_t leaf[1][32] = {{0}}, root[32];
	uint64_t size;

	merkle_root(&l->tree, &h, root);
	if (memcmp(root, l->head.root, sizeof(root)) != 0)
		return store_damaged(e);
	if (journal_read_size(l->reader, &size, e) < 0 ||
	        (!l->read_only && journal_signed(l->reader, &l->floor, l->floor_root, e) < 0))
		return -1;
	if (size < l->floor) {
		(void)err_set(e, ERR_CORRUPT,
		        "the record has %" PRIu64 " entries, and %" PRIu64 " were signed: it has lost some",
		        size, l->floor);
		return err_hint(e, "is it a replica that lacked some? going on would sign a second history");
	}
	if (l->head.size == l->floor && l->floor && memcmp(l->head.root, l->floor_root, 32) != 0)
		return other_tree(l, e);
	if (size >= l->head.size && l->head.size &&
	        journal_read_leaves(l->reader, l->head.size - 1, 1, leaf, e) < 0)
		return -1;
	memcpy(last.leaf, l->last_leaf, sizeof(last.leaf));
	return ledger_resume(&last, size, leaf[0], e);
}

int logstore_open(const char *dir, const char *origin, bool read_only, struct logstore **out, struct err *e)
{
	struct logstore *l = calloc(1, sizeof(*l));
	char path[4096];
	bool found = false;
	int rc = -1;

	CHECK(l);
	l->read_only = read_only;
	l->sha = sha256_new();
	growing_init(&l->g, 16u << 10, 8 * ENTRY_BYTES_MAX);
	if (snprintf(path, sizeof(path), "%s/ledger.db", dir) >= (int)sizeof(path)) {
		(void)err_set(e, ERR_INVALID, "the state folder's name is too long");
		goto out;
	}
	if (origin) {
		l->origin = strdup(origin);
		CHECK(l->origin);
	}
	merkle_init(&l->tree);
	sha256_of(NULL, 0, l->head.root);
	if (journal_reader_open(dir, &l->reader, e) < 0 || open_db(l, path, e) < 0 ||
	        (read_only ? read_signed(l, e) : read_head(l, &found, e)) < 0 || check_journal(l, e) < 0)
		goto out;
	if (!l->origin) {
		(void)err_set(e, ERR_NOTFOUND, "nothing was published yet");
		goto out;
	}
	rc = 0;
out:
	if (rc < 0)
		logstore_close(l);
	else
		*out = l;
	return rc;
}

void logstore_close(struct logstore *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < S_STMTS; i++)
		(void)sqlite3_finalize(l->stmt[i]);
	(void)sqlite3_close(l->db);
	journal_reader_close(l->reader);
	sha256_free(l->sha);
	growing_release(&l->g);
	free(l->origin);
	free(l);
}

const char *logstore_origin(const struct logstore *l)
{
	return l->origin;
}

struct merkle_hash logstore_hash(struct logstore *l)
{
	return sha256_merkle(l->sha);
}

int logstore_head(struct logstore *l, struct log_head *out, struct err *e)
{
	bool found;

	if (l->read_only && read_head(l, &found, e) < 0)
		return -1;
	*out = l->head;
	return 0;
}

/* ---- publishing ---- */

struct growth {
	struct logstore *l;
	struct merkle_frontier tree;
	struct merkle_hash h;
	uint8_t last_leaf[32];
	unsigned rows;
};

int store_run(struct logstore *l, enum store_stmt which, struct err *e)
{
	int rc = sqlite3_step(l->stmt[which]);

	(void)sqlite3_reset(l->stmt[which]);
	return rc == SQLITE_DONE ? 0 : store_failed(l, e);
}

static int add_root(struct logstore *l, unsigned level, uint64_t n, const uint8_t hash[32], struct err *e)
{
	sqlite3_stmt *s = l->stmt[S_ROOT_ADD];

	(void)sqlite3_bind_int(s, 1, (int)level);
	(void)sqlite3_bind_int64(s, 2, (sqlite3_int64)n);
	(void)sqlite3_bind_blob(s, 3, hash, 32, SQLITE_STATIC);
	return store_run(l, S_ROOT_ADD, e);
}

/* One more leaf. The roots of the tiles that it completes are among the hashes that lead up to the frontier's last: a tile of
 * level k spans 2^(8k) leaves. */
static int grow(
        void *ctx, uint64_t seq, const uint8_t leaf[32], const uint8_t *bytes, size_t n, struct err *e)
{
	struct growth *g = ctx;
	uint8_t hash[32];
	unsigned top = merkle_count(&g->tree), height = 0;

	CHECK(seq == g->tree.size);
	if (bytes && receipts_fold(g->l, seq, leaf, bytes, n, e) < 0)
		return -1;
	memcpy(g->last_leaf, leaf, 32);
	memcpy(hash, leaf, 32);
	for (uint64_t old = g->tree.size; old & 1; old >>= 1) {
		merkle_node(&g->h, g->tree.hash[--top], hash, hash);
		height++;
		if (height % TILE_BITS == 0 && add_root(g->l, height / TILE_BITS, seq >> height, hash, e) < 0)
			return -1;
	}
	memcpy(g->tree.hash[top], hash, 32);
	g->tree.size++;
	return 0;
}

static int set_head(
        struct logstore *l, const struct growth *g, const uint8_t root[32], uint64_t time_s, struct err *e)
{
	sqlite3_stmt *s = l->stmt[S_HEAD_SET];

	(void)sqlite3_bind_text(s, 1, l->origin, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(s, 2, (sqlite3_int64)g->tree.size);
	(void)sqlite3_bind_blob(s, 3, root, 32, SQLITE_STATIC);
	(void)sqlite3_bind_blob(s, 4, g->tree.hash, (int)(merkle_count(&g->tree) * 32), SQLITE_STATIC);
	(void)sqlite3_bind_blob(s, 5, g->last_leaf, 32, SQLITE_STATIC);
	(void)sqlite3_bind_int64(s, 6, (sqlite3_int64)time_s);
	return store_run(l, S_HEAD_SET, e);
}

/* Read back and hash what is new, and make the roots and the head durable: all of it or nothing. */
static int extend(struct logstore *l, uint64_t to, uint64_t time_s, struct err *e)
{
	struct growth g = {.l = l, .tree = l->tree, .h = sha256_merkle(l->sha)};
	uint8_t root[32];
	int rc;

	memcpy(g.last_leaf, l->last_leaf, 32);
	if (exec(l, "BEGIN IMMEDIATE", e) < 0)
		return -1;
	rc = journal_audit(l->reader, l->head.size, to, grow, &g, e);
	if (rc == 0) {
		merkle_root(&g.tree, &g.h, root);
		rc = set_head(l, &g, root, time_s, e);
	}
	if (rc == 0)
		rc = exec(l, "COMMIT", e);
	if (rc < 0) {
		(void)sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
		return -1;
	}
	l->tree = g.tree;
	memcpy(l->last_leaf, g.last_leaf, 32);
	l->head = (struct log_head){.size = to, .time_s = time_s};
	memcpy(l->head.root, root, 32);
	return 0;
}

/* The head is durable: sign it. */
static int sign(struct logstore *l, const struct key *const keys[], unsigned keys_n, struct err *e)
{
	struct checkpoint c = {.origin = l->origin, .origin_n = strlen(l->origin), .size = l->head.size};
	sqlite3_stmt *s = l->stmt[S_NOTE_SET];
	char *note = l->head.note;
	uint8_t sig[64];
	size_t text_n, n;

	memcpy(c.root, l->head.root, 32);
	n = text_n = checkpoint_print(&c, note);
	note[n++] = '\n';
	for (unsigned i = 0; i < keys_n; i++) {
		ed25519_sign(keys[i]->seed, note, text_n, sig);
		n += note_line(&keys[i]->pub, 0, sig, note + n);
	}
	l->head.note_n = n;
	(void)sqlite3_bind_blob(s, 1, note, (int)n, SQLITE_STATIC);
	return store_run(l, S_NOTE_SET, e);
}

/* Of the keys at hand those that may sign the head at hand, in the order in which they were added. */
static int choose(struct logstore *l, const struct key *keys, unsigned n,
        const struct key *out[KEYSET_SIGNERS], unsigned *out_n, struct err *e)
{
	struct keyset *set = calloc(1, sizeof(*set));
	const struct keyset_key *may[KEYSET_SIGNERS];
	unsigned count;
	int rc;

	CHECK(set);
	*out_n = 0;
	rc = logstore_keyset(l, set, e);
	count = rc == 0 ? keyset_signers(set, may) : 0;
	for (unsigned i = 0; i < count; i++) {
		for (unsigned k = 0; k < n; k++) {
			char vkey[NOTE_VKEY_MAX];

			note_key_print(&keys[k].pub, vkey);
			if (strcmp(vkey, may[i]->vkey) == 0) {
				out[(*out_n)++] = &keys[k];
				break;
			}
		}
	}
	free(set);
	if (rc == 0 && count == 0)
		out[(*out_n)++] = &keys[0];
	if (rc == 0 && *out_n == 0) {
		(void)err_set(e, ERR_DENIED, "none of the keys that may sign this log is here");
		rc = err_hint(e, "'osier ledger keys' lists them: restore the folder 'keys' from a backup");
	}
	return rc;
}

int logstore_publish(struct logstore *l, uint64_t to, uint64_t time_s, const struct key *k, struct err *e)
{
	return logstore_publish_by(l, to, time_s, k, 1, e);
}

uint64_t logstore_next(const struct logstore *l, uint64_t to)
{
	return l->head.size < l->floor && to > l->floor ? l->floor : to;
}

int logstore_publish_by(
        struct logstore *l, uint64_t to, uint64_t time_s, const struct key *keys, unsigned n, struct err *e)
{
	const struct key *signers[KEYSET_SIGNERS];
	unsigned signers_n;
	uint64_t size;

	CHECK(!l->read_only && n > 0);
	for (unsigned i = 0; i < n; i++) {
		CHECK(keys[i].pub.type == NOTE_ED25519);
		if (strcmp(keys[i].pub.name, l->origin) != 0)
			return err_set(e, ERR_INVALID, "the key is of '%.90s', the ledger is '%.90s'",
			        keys[i].pub.name, l->origin);
	}
	if (to < l->head.size)
		return err_set(e, ERR_INVALID, "%" PRIu64 " entries were signed already", l->head.size);
	if (to == l->head.size && l->head.note_n)
		return 0;
	if (journal_read_size(l->reader, &size, e) < 0)
		return -1;
	if (size < to)
		return err_set(e, ERR_CORRUPT,
		        "the journal has %" PRIu64 " of %" PRIu64 " entries: it lost some", size, to);
	if ((to > l->head.size || l->head.size == 0) && extend(l, to, time_s, e) < 0)
		return -1;
	if (l->head.size < l->floor)
		return 0;
	if (l->head.size == l->floor && memcmp(l->head.root, l->floor_root, 32) != 0 && l->floor)
		return other_tree(l, e);
	if (choose(l, keys, n, signers, &signers_n, e) < 0 ||
	        journal_note_signed(l->reader, l->head.size, l->head.root, e) < 0)
		return -1;
	return sign(l, signers, signers_n, e);
}

/* ---- proofs ---- */

static int read_roots(
        struct logstore *l, unsigned level, uint64_t first, uint64_t n, uint8_t (*out)[32], struct err *e)
{
	sqlite3_stmt *s = l->stmt[S_ROOTS];
	uint64_t at = 0;
	int rc = SQLITE_DONE;

	(void)sqlite3_bind_int(s, 1, (int)level);
	(void)sqlite3_bind_int64(s, 2, (sqlite3_int64)first);
	(void)sqlite3_bind_int64(s, 3, (sqlite3_int64)(first + n));
	while (at < n && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		if ((uint64_t)sqlite3_column_int64(s, 0) != first + at || !store_blob(s, 1, out[at], 32))
			break;
		at++;
	}
	(void)sqlite3_reset(s);
	if (at == n)
		return 0;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? store_damaged(e) : store_failed(l, e);
}

int logstore_hashes(
        struct logstore *l, unsigned level, uint64_t first, uint64_t n, uint8_t (*out)[32], struct err *e)
{
	uint64_t there = level > LEVELS ? 0 : l->head.size >> (TILE_BITS * level);

	if (n > there || first > there - n)
		return err_set(
		        e, ERR_NOTFOUND, "the tree of %" PRIu64 " entries has no such hashes", l->head.size);
	return level == 0 ? journal_read_leaves(l->reader, first, n, out, e)
	                  : read_roots(l, level, first, n, out, e);
}

/* A complete subtree of 2^level leaves: 2^(level mod 8) hashes of one tile, hashed together. */
static int subtree(void *ctx, unsigned level, uint64_t index, uint8_t out[32], struct err *e)
{
	struct logstore *l = ctx;
	struct merkle_hash h = sha256_merkle(l->sha);
	uint8_t hash[TILE][32];
	unsigned n = 1u << level % TILE_BITS;

	if (logstore_hashes(l, level / TILE_BITS, index * n, n, hash, e) < 0)
		return -1;
	for (; n > 1; n /= 2)
		for (unsigned i = 0; i < n / 2; i++)
			merkle_node(&h, hash[2 * i], hash[2 * i + 1], hash[i]);
	memcpy(out, hash[0], 32);
	return 0;
}

struct proof_source logstore_source(struct logstore *l)
{
	return (struct proof_source){subtree, l};
}
