/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_int - what the files of the journal share; nobody else includes it.
 *
 * journal.c           open, close, lock, add, flush, poll     (loop thread)
 * journal_batch.c     entries on their way
 * journal_commit.c    the commit thread and its transactions
 * journal_db.c        the database: tables, versions, errors, checkpoints
 * journal_vfs.c       SQLite's files with the fault seam
 * journal_reader.c    look-ups on a connection of their own
 * journal_snapshot.c  snapshot files
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

/* ---- the database ---- */

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

enum write_result {
	WRITE_OK,
	WRITE_FULL,  /* no room: nothing was written, try again */
	WRITE_FAILED /* for good */
};

struct writer {
	sqlite3 *db;
	sqlite3_stmt *stmt[W_STMTS];
	int wal_frames; /* in use, as of the last commit */
	uint32_t wal_bytes_max;
	uint64_t next_seq; /* of the next entry to be committed */
	bool forgetting;   /* rows in `forgets` */
	uint64_t drop_from, drop_before;
	struct err why; /* of the last WRITE_FULL or WRITE_FAILED */
};

/* Make the journal's database in `dir` (which has none): all of it or nothing. */
int db_create(const char *dir, struct err *e);
/* Open it: version checked. Errors: ERR_VERSION, ERR_CORRUPT, ERR_SYSTEM, ERR_DENIED. */
int db_open(const char *dir, bool read_only, sqlite3 **out, struct err *e);
/* An error out of what SQLite last said about db: "WHAT: ...". */
int db_err(sqlite3 *db, struct err *e, const char *what);
/* One number out of a statement without parameters; *out = otherwise when there is no row or it is NULL. */
int db_number(sqlite3 *db, const char *sql, uint64_t otherwise, uint64_t *out, struct err *e);
int writer_init(struct writer *w, sqlite3 *db, uint32_t wal_bytes_max, struct err *e);
void writer_release(struct writer *w); /* closes db */
/* Make the log's file as large as it gets in common use, so that commits never have to grow it. Best effort. */
void writer_preallocate(const char *dir, uint32_t wal_bytes_max);
/* The batch is in the database, or none of it is. */
enum write_result writer_commit(struct writer *w, const struct batch *b);
/* One small step of dropping what policy drops. *out_more: there is more to do. */
enum write_result writer_drop_step(struct writer *w, bool *out_more);
enum write_result writer_checkpoint(struct writer *w);
size_t writer_wal_bytes(const struct writer *w);

/* SQLite's default files with the fault seam in every write and sync; its name for sqlite3_open_v2(). */
const char *journal_vfs(void);
/* The errno of the last write or sync of this thread that failed. */
int journal_vfs_errno(void);

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
int reader_pages(struct journal_reader *r, uint64_t *out_pages, uint64_t *out_free, struct err *e);
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

struct journal {
	char *dir;
	bool read_only;
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
	uint64_t commit_ns; /* how long a commit takes, of late */
	size_t committing_bytes;
	uint64_t durable, commits;
	struct err failure;
	uint64_t wal_bytes, history_from;

	uint64_t wal_soft; /* bytes in the log that are moved as soon as nothing is queued */
	uint64_t wal_idle; /* and after a while without a commit */
	uint64_t retry_after_ns;
	struct batch committing;
	struct writer writer;
	pthread_t thread;
	bool thread_started;
};

/* The commit thread. */
void *commit_main(void *journal);
/* Commit j->committing on the calling thread, which has set busy; the outcome is in durable, full, failed. */
void commit_once(struct journal *j);

/* A path in dir; dies of memory only. For free(). */
char *path_in(const char *dir, const char *name);
void *must_grow(void *p, size_t n);

#endif
