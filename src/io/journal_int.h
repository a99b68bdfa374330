/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_int - what the files of the journal share; nobody else includes it.
 *
 * journal.c           open, close, lock, add, flush, poll     (loop thread)
 * journal_batch.c     entries on their way
 * journal_commit.c    the commit thread and its transactions
 * journal_db.c        SQLite: tables, versions, errors
 * journal_db_writer.c its transactions and checkpoints
 * journal_db_reader.c its look-ups
 * journal_vfs.c       its files with the fault seam
 * journal_reader.c    look-ups on a connection of their own, checked
 * journal_snapshot.c  snapshot files
 * journal_pg*.c       PostgreSQL: tables, transactions, look-ups
 * journal_record.c    a journal on a record: taking it, following it, taking it over
 * journal_follow.c    the thread that fetches what another engine adds
 */
#ifndef OSIER_IO_JOURNAL_INT_H
#define OSIER_IO_JOURNAL_INT_H

#include <pthread.h>

#include <sqlite3.h>

#include "core/merkle.h"
#include "io/journal.h"
#include "io/sha256.h"

#define JOURNAL_FORMAT     1
#define TILE_LEAVES        256u /* leaf hashes in a row of `tiles`; as in C2SP tlog-tiles */
#define WAL_BYTES_DEFAULT  (16u << 20)
#define WAL_BYTES_LEAST    (256u << 10)
#define WAL_PREALLOC_BYTES (4u << 20)
#define QUICK_BYTES        (32u << 10) /* see journal_quick() */
#define QUICK_NS           2000000u

/* ---- batches ---- */

struct batch_entry {
	size_t at; /* where its bytes begin; its outputs follow them */
	size_t bytes, output_bytes;
	bool indexed;
	uint32_t step;
	uint64_t job, first, count;
	uint8_t leaf[MERKLE_HASH_BYTES];
};

struct batch {
	struct batch_entry *entry;
	size_t n, cap;
	uint8_t *bytes;
	size_t used, size;
	uint64_t *forget;
	size_t n_forget, forget_cap;
	uint64_t drop_before; /* 0: nothing */
};

bool batch_empty(const struct batch *b);
void batch_add(struct batch *b, const uint8_t *bytes, size_t n, const struct journal_index *index,
        const uint8_t leaf[MERKLE_HASH_BYTES]);
void batch_add_forget(struct batch *b, uint64_t job);
/* Move all of `from` to the end of `to`; from is clear afterwards. */
void batch_move(struct batch *to, struct batch *from);
/* Empty it; gives large buffers back. */
void batch_clear(struct batch *b);
void batch_release(struct batch *b);

/* ---- where the rows lie: SQLite (journal_db*.c) or PostgreSQL (journal_pg*.c) ---- */

enum write_result {
	WRITE_OK,
	WRITE_FULL,  /* no room, or the record does not answer: nothing was written, try again */
	WRITE_FAILED /* for good */
};

struct record;
struct writer;
struct pg_writer;

/* Called by whoever has set busy. A failure's words are in w->why. */
struct writer_ops {
	/* The batch is in the tables, or none of it is. */
	enum write_result (*commit)(struct writer *w, const struct batch *b);
	/* One small step of dropping what policy drops. *out_more: there is more to do. */
	enum write_result (*drop_step)(struct writer *w, bool *out_more);
	/* Move the log into the database; NULL: there is none. */
	enum write_result (*checkpoint)(struct writer *w);
	/* Say that this engine still holds the record, every `keep_ns`; NULL: a lock does that. */
	enum write_result (*keep)(struct writer *w);
	void (*release)(struct writer *w);
};

enum writer_stmt {
	W_BEGIN,
	W_COMMIT,
	W_ROLLBACK,
	W_HOLD,
	W_ENTRY,
	W_RESULT,
	W_OUTPUTS,
	W_FORGET,
	W_FORGET_NEXT,
	W_FORGET_OUTPUTS,
	W_FORGET_RESULTS,
	W_FORGET_DONE,
	W_META_SET,
	W_TILE_LEAVES,
	W_TILE_ADD,
	W_TILE_OUTPUTS,
	W_TILE_ENTRIES,
	W_STMTS
};

struct writer {
	const struct writer_ops *ops; /* NULL: not open */
	uint64_t next_seq;            /* of the next entry to be committed */
	bool forgetting;              /* rows in `forgets` */
	uint64_t drop_from, drop_before;
	size_t wal_bytes;  /* in use, as of the last commit */
	uint64_t db_bytes; /* of a record, as of the last time that it was changed */
	uint32_t wal_bytes_max;
	uint64_t keep_ns; /* of ops->keep */
	bool doubt;       /* whether the batch that comes again is there already */
	struct err why;   /* of the last WRITE_FULL or WRITE_FAILED */

	sqlite3 *db;
	sqlite3_stmt *stmt[W_STMTS];
	struct pg_writer *pg;
};

/* The least n with 2^n >= count. */
static inline int level_of(uint64_t count)
{
	return count <= 1 ? 0 : 64 - __builtin_clzll(count - 1);
}

/* Make the journal's database in `dir` (which has none): all of it or nothing. */
int db_create(const char *dir, struct err *e);
/* Open it: version checked. Errors: ERR_VERSION, ERR_CORRUPT, ERR_SYSTEM, ERR_DENIED. */
int db_open(const char *dir, bool read_only, sqlite3 **out, struct err *e);
/* An error out of what SQLite last said about db: "WHAT: ...". */
int db_err(sqlite3 *db, struct err *e, const char *what);
/* One number out of a statement without parameters; *out = otherwise when there is no row or it is NULL. */
int db_number(sqlite3 *db, const char *sql, uint64_t otherwise, uint64_t *out, struct err *e);
/* Takes db, which is closed by release. */
int db_writer_init(struct writer *w, sqlite3 *db, uint32_t wal_bytes_max, struct err *e);
enum write_result db_writer_checkpoint(struct writer *w);
/* Make the log's file as large as it gets in common use, so that commits never have to grow it. Best effort. */
void db_writer_preallocate(const char *dir, uint32_t wal_bytes_max);

/* SQLite's default files with the fault seam in every write and sync; its name for sqlite3_open_v2(). */
const char *journal_vfs(void);
/* The errno of the last write or sync of this thread that failed. */
int journal_vfs_errno(void);

/* ---- reading ---- */

struct buffer {
	uint8_t *p;
	size_t n, size;
};
void buffer_keep(struct buffer *b, const void *p, size_t n);

struct seq_list {
	uint64_t *seq;
	size_t n, cap;
};
void seq_list_add(struct seq_list *l, uint64_t seq);

/* An entry as it is stored: pointers are valid during the call. */
typedef int row_fn(
        void *ctx, uint64_t seq, const uint8_t *leaf, const uint8_t *bytes, size_t n, struct err *e);

enum reader_number {
	NUMBER_ENTRIES_END, /* 1 + the last entry whose bytes are kept, 0: none */
	NUMBER_TILES_END,   /* 1 + the last row of tiles, 0: none */
	NUMBER_HISTORY_FROM,
	NUMBER_BYTES, /* of the database */
	NUMBER_FREE   /* of those, to be used again */
};

/* What differs between the two; what is read is checked by journal_reader.c. */
struct reader_ops {
	void (*close)(struct journal_reader *r);
	/* What is read from begin to end sees one state of the journal. */
	int (*begin)(struct journal_reader *r, struct err *e);
	void (*end)(struct journal_reader *r);
	/* Call row for the entries of [from, to) that are there, in order, until it returns other than 0, which is returned. It must
	 * not use r. At most SCAN_ROWS are asked for. */
	int (*scan)(
	        struct journal_reader *r, uint64_t from, uint64_t to, row_fn *row, void *ctx, struct err *e);
	/* The same with leaf hashes alone (bytes NULL). */
	int (*leaves)(
	        struct journal_reader *r, uint64_t from, uint64_t to, row_fn *row, void *ctx, struct err *e);
	/* The hashes of dropped entries [256 n, 256 n + 256) into r->entry; *out_found false: those were not dropped. */
	int (*tile)(struct journal_reader *r, uint64_t n, bool *out_found, struct err *e);
	/* Add the numbers of all Results entries of the task, in any order. */
	int (*results)(struct journal_reader *r, uint64_t job, uint32_t step, uint64_t task,
	        struct seq_list *l, struct err *e);
	/* The small outputs of an entry into r->outputs; none: empty. */
	int (*outputs)(struct journal_reader *r, uint64_t seq, struct err *e);
	int (*number)(struct journal_reader *r, enum reader_number which, uint64_t *out, struct err *e);
	/* journal_signed(), journal_note_signed(); NULL: a folder. */
	int (*signed_head)(struct journal_reader *r, uint64_t *size, uint8_t root[32], struct err *e);
	int (*note_signed)(struct journal_reader *r, uint64_t size, const uint8_t root[32], struct err *e);
};

struct journal_reader {
	const struct reader_ops *ops;
	struct sha256 *sha;
	struct buffer entry, outputs;
};

int reader_corrupt(struct err *e, uint64_t seq, const char *how);
/* Allocates *out; base is to be filled in by the caller. */
int db_reader_open(const char *dir, struct journal_reader **out, struct err *e);

#define SCAN_ROWS 1024

/* ---- the tree from one entry on ---- */

/* Append the hashes of entries [f->size, to) to the frontier, entry bytes checked against them. */
int reader_tree(struct journal_reader *r, struct merkle_frontier *f, uint64_t to, struct err *e);
/* Call fold for entries [from, to); those before `checked_from` are checked. */
int reader_scan(struct journal_reader *r, uint64_t from, uint64_t to, uint64_t checked_from,
        int (*fold)(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n, struct err *e), void *ctx,
        struct err *e);
/* Number of entries. */
int reader_size(struct journal_reader *r, uint64_t *out, struct err *e);
/* The first entry whose bytes are kept. */
int reader_history_from(struct journal_reader *r, uint64_t *out, struct err *e);
/* Pages of the database, and how many of them are free. */
int reader_bytes(struct journal_reader *r, uint64_t *out_bytes, uint64_t *out_free, struct err *e);
/* The leaf hash of an entry, dropped or not. */
int reader_leaf(struct journal_reader *r, uint64_t seq, uint8_t out[MERKLE_HASH_BYTES], struct err *e);

/* ---- snapshot files ---- */

#define SNAPSHOT_HEADER_MAX 2200u

struct snapshot_header {
	uint64_t seq;
	uint8_t last_leaf[MERKLE_HASH_BYTES]; /* of entry seq - 1; zeros when seq is 0 */
	struct merkle_frontier frontier;
	size_t bytes; /* of the header itself: where the state begins */
};
/* Hostile bytes: ERR_CORRUPT, ERR_VERSION. n may be more than the header. */
int snapshot_header_parse(const uint8_t *bytes, size_t n, struct snapshot_header *out, struct err *e);
/* The newest snapshot at or before `at` whose header is sound. *out_found false: none. */
int snapshot_find(const char *dir, uint64_t at, struct snapshot_header *out, bool *out_found, struct err *e);
/* Their numbers, newest first; malloc'd. */
int snapshot_list(const char *dir, uint64_t **out, size_t *out_n, struct err *e);
/* Remove what a crash left behind. */
void snapshot_sweep(const char *dir);
/* Rename into place and remove older ones but one; s is gone. */
int snapshot_publish(struct journal_snapshot *s, struct err *e);

/* ---- the journal ---- */

struct follower;

struct journal {
	char *dir;
	bool read_only;
	bool on_record; /* the rows lie in PostgreSQL, as `record` says */
	bool standby;   /* another engine has the record: `follower` fetches what it adds */
	bool was_elsewhere, standby_left;
	struct record *record;
	struct follower *follower;
	struct journal_options o;
	int lock_fd, event_fd;
	pid_t pid;

	/* loop thread only */
	struct sha256 *sha;
	struct merkle_frontier tree; /* over all entries, durable or not */
	uint8_t last_leaf[MERKLE_HASH_BYTES];
	struct batch open;
	uint64_t checked_from; /* entries from here on were checked by journal_open() */
	uint64_t reported;     /* entries on_durable() was called for */
	bool failure_reported;
	struct journal_snapshot *pending; /* sealed, waits for its entries to be durable */
	uint64_t pending_seq;
	uint64_t oldest_snapshot; /* UINT64_MAX: none */

	/* under mutex */
	pthread_mutex_t mutex;
	pthread_cond_t wake; /* the commit thread: there is work */
	pthread_cond_t idle; /* whoever waits for busy to end */
	struct batch queued;
	bool busy; /* a commit is under way: whoever set it owns `writer` and `committing` */
	bool stop, full, failed, drop_more;
	bool asleep;        /* the commit thread, until it is woken */
	uint64_t retry_ns;  /* when full: the time to try again */
	uint64_t kept_ns;   /* when it was last known that the record is ours */
	uint64_t commit_ns; /* how long a commit takes, of late */
	size_t committing_bytes;
	uint64_t durable, commits;
	struct err failure;
	uint64_t wal_bytes, db_bytes, history_from; /* db_bytes: of a record */

	uint64_t wal_soft; /* bytes in the log that are moved as soon as nothing is queued */
	uint64_t wal_idle; /* and after a while without a commit */
	uint64_t retry_after_ns;
	struct batch committing;
	struct writer writer;
	pthread_t thread;
	bool thread_started;
};

/* ---- a journal on a record (journal_record.c) ---- */

/* Does the folder, or who opens the journal, say that it lies elsewhere? j->on_record, j->record. */
int record_find(struct journal *j, struct err *e);
/* Connect, make the tables if there are none, and take the record: j->writer; or, when another engine has it and that is what is
 * wanted, j->standby. */
int record_take(struct journal *j, struct err *e);
/* Is what was read the journal that was taken? */
int record_check(struct journal *j, struct err *e);
uint64_t record_bytes(const struct journal *j); /* of a standby: as of its last look */
/* Standby: fetch entries from now on. Stop: waits for the thread. */
int record_follow(struct journal *j, struct err *e);
void record_unfollow(struct journal *j);
/* Standby, in journal_poll(). */
void record_poll(struct journal *j);
int start_commit_thread(struct journal *j, struct err *e);

/* The commit thread. */
void *commit_main(void *journal);
/* Commit j->committing on the calling thread, which has set busy; the outcome is in durable, full, failed. */
void commit_once(struct journal *j);

/* A path in dir; dies of memory only. For free(). */
char *path_in(const char *dir, const char *name);
void *must_grow(void *p, size_t n);

#endif
