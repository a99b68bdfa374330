/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal - the append-only record of one node: SQLite or PostgreSQL, group commit, RFC 6962 tree.
 *
 * The loop thread adds entries to the open batch; journal_flush() hands the batch to the commit thread, which writes it in
 * one transaction (WAL, synchronous=FULL). While a commit is under way the next batch fills; what was flushed together
 * becomes durable together. on_durable() is called on the loop thread (journal_poll(), when journal_fd() is readable) with
 * the last durable sequence number; answers and effects wait for it. A commit that fails for want of room is tried again
 * every second until there is room (journal_full() says so, and nothing is acknowledged meanwhile); any other failure is
 * final: on_failed(), and the engine stops.
 *
 * The rows lie in the folder, or in a database that outlives the machine: the record (io/record.h, `record`). Only one engine appends
 * to it: a lock in the folder, a fence in the database. Who loses the fence fails with ERR_FENCED, whatever it does, and what
 * it had not acknowledged is not done. While the database is away commits wait as they do for room on a disk.
 * A standby has the journal open while another engine appends: it gives on_entry() what that one adds, and when that one is gone it
 * takes over: on_primary(), and from then on it is a journal like any other.
 *
 * Files in the folder: journal.db (+ -wal, -shm), snapshot-<seq>, lock. Entries are numbered from 0 (a leaf index).
 * Threads: everything is called from the loop thread, except journal_read_* on a reader of its own, and what is said at
 * snapshots. No thread wakes while nothing is added.
 * Tree: leaf = SHA-256(0x00 || entry bytes, or what stands for large ones: core/ledger.h), node = SHA-256(0x01 || left ||
 * right); the frontier is kept in memory, the leaf
 * hash beside each entry, so the root of every batch is known when it is durable.
 * The tables are drawn in journal_db.c.
 */
#ifndef OSIER_IO_JOURNAL_H
#define OSIER_IO_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct journal;

struct journal_options {
	bool read_only; /* for replay and look-ups beside a running engine; takes no lock */
	uint32_t
	        wal_bytes_max; /* the WAL is checkpointed and reused beyond this; 0: 16 MiB, at least 256 KiB */
	uint32_t full_retry_ms; /* how long to wait before a commit is tried again on a full disk; 0: 1000 */
	const char *
	        record; /* "postgres://...": where the rows lie; kept in the folder. NULL: as the folder says */
	bool standby; /* of a record that another engine holds: follow it instead of ERR_EXISTS; kept likewise */
	/* Standby only, from journal_poll(): the next entry, checked and part of the tree (borrowed); < 0: on_failed() with *e. */
	int (*on_entry)(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n, struct err *e);
	void (*on_primary)(void *ctx); /* the record is ours: add, flush */
	void (*on_durable)(void *ctx, uint64_t last_seq);
	void (*on_failed)(void *ctx, const struct err *e);
	void *ctx;
};

struct journal_head {
	uint64_t size;    /* number of entries; the next gets this number */
	uint8_t root[32]; /* of the tree over all of them */
};

/* Open or create the journal in the folder `dir` (which exists), or the record that the folder or `o` names: ERR_EXISTS also when
 * another engine holds that and we are no standby, or when the folder has a journal of its own; ERR_CLOSED: it is away. ERR_EXISTS: another engine holds it (the message names its
 * pid); ERR_VERSION: made by a newer osier; ERR_CORRUPT: says where; ERR_NOTFOUND: read_only and there is none;
 * ERR_DENIED: the folder may not be written. Checks every
 * entry's hash from the last snapshot on, and that no entry is missing that a snapshot has seen. */
int journal_open(const char *dir, const struct journal_options *o, struct journal **out, struct err *e);
/* Waits for the commit under way, commits what is open, closes; calls no callback. What finds the disk full is dropped (it
 * was not acknowledged). NULL is fine. */
void journal_close(struct journal *j);

/* Fold: call `fold` with every durable entry from `from` up to (not including) `to` or the end, streaming: memory does not
 * grow with the number of entries. Stops when fold returns < 0. Entries before the last snapshot are checked against their
 * hash on the way. ERR_NOTFOUND: history before some entry was dropped by policy; ERR_CORRUPT. */
int journal_replay(struct journal *j, uint64_t from, uint64_t to,
        int (*fold)(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n, struct err *e), void *ctx,
        struct err *e);

/* What a Results entry must be found by: task ranges of a job, and its small outputs (concatenated, may be empty). */
#define JOURNAL_HELD 0x80000000u /* in `step`: commitments; what they stand for is in `outputs` */
#define JOURNAL_LATE 0x40000000u /* in `step`: a LateResult, which journal_read_attempts() finds like this */
struct journal_index {
	uint64_t job;
	uint32_t step;
	uint64_t first, count;
	const uint8_t *outputs;
	size_t output_bytes;
};
/* Add an entry to the open batch; bytes are copied. index may be NULL. Returns its sequence number. Never fails: memory is
 * the limit (journal_backlog_bytes()), disk comes with the flush. */
uint64_t journal_add(struct journal *j, const uint8_t *bytes, size_t n, const struct journal_index *index);

/* Hand over the open batch: at once when no commit is under way, otherwise it goes as soon as that one is done. */
void journal_flush(struct journal *j);
/* The same on the calling thread: when nothing is under way the batch is committed here and on_durable() or on_failed()
 * is called before this returns (it saves two thread switches, and costs the loop one fsync); otherwise, and when the disk is
 * full, as journal_flush(). Must not be called from a callback. */
void journal_flush_inline(struct journal *j);
/* Is what is open worth no thread switch: a small batch, nothing under way, and commits have lately been short? Then
 * journal_flush_inline() is cheaper, and keeps the loop no longer than a look at the disk may. */
bool journal_quick(const struct journal *j);
/* Bytes of entries and outputs that are not yet durable. */
size_t journal_backlog_bytes(const struct journal *j);
bool journal_full(
        const struct journal *j); /* the disk is full, or the record is away: refuse what would add entries */
/* Why, for people. False: it is not full. */
bool journal_full_why(const struct journal *j, struct err *out);
/* Closing it lets nobody else have the record at once: another engine of this folder comes. */
void journal_keep_record(struct journal *j);

/* Has another engine had the record since this folder's last one had it? Also when nobody can tell. */
bool journal_was_elsewhere(const struct journal *j);
bool journal_is_standby(const struct journal *j);
/* Does the journal lie in a record? Then where, without user and password, and who holds it ("" unless standby). */
struct journal_record {
	char place[128];
	char holder[161];
	uint64_t behind;   /* entries that are there and not yet here */
	uint64_t heard_ms; /* since the holder last renewed its hold, as of the last look */
};
bool journal_record(const struct journal *j, struct journal_record *out);

/* Readable when journal_poll() has something to report; poll calls on_durable/on_failed. */
int journal_fd(const struct journal *j);
void journal_poll(struct journal *j);

void journal_head(const struct journal *j, struct journal_head *out); /* with what is not yet durable */
uint64_t journal_durable(const struct journal *j);                    /* entries that are durable */

/* Snapshots. Write one of the state after the first `seq` entries, which must be all there are now, durable or not
 * (journal_head().size; else ERR_INVALID). `put` as engine_save() wants it. Begin and end belong to the loop thread; put and
 * seal may run on one other thread, or in a forked child (which lets go of the journal's lock with its first put). seal (trailer, fsync) is optional: end does it when nobody has.
 * end with commit: the snapshot is renamed into place as soon as its entries are durable, and older ones but one are
 * removed; without: dropped. A crash before that leaves no trace. */
struct journal_snapshot;
int journal_snapshot_begin(struct journal *j, uint64_t seq, struct journal_snapshot **out, struct err *e);
int journal_snapshot_put(void *snapshot, const void *p, size_t n);
int journal_snapshot_fd(const struct journal_snapshot *s); /* the only descriptor that put and seal use */
int journal_snapshot_seal(struct journal_snapshot *s, struct err *e);
int journal_snapshot_end(struct journal_snapshot *s, bool commit, struct err *e);
/* The newest usable snapshot at or before `at` (UINT64_MAX: any): malloc'd bytes for free(), and the entry to go on from. A
 * damaged one is skipped. No snapshot: *out = NULL, *out_seq = 0. */
int journal_snapshot_load(
        struct journal *j, uint64_t at, uint8_t **out, size_t *out_n, uint64_t *out_seq, struct err *e);

/* ---- look-ups, on a connection of their own (one per thread) ---- */
struct journal_reader;
int journal_reader_open(const char *dir, struct journal_reader **out, struct err *e);
void journal_reader_close(struct journal_reader *r);
/* Entry `seq`; bytes valid until the next call on r. ERR_NOTFOUND past the end, or "... was dropped by policy" (leaf is
 * filled in then). */
int journal_read_entry(struct journal_reader *r, uint64_t seq, const uint8_t **out, size_t *out_n,
        uint8_t leaf[32], struct err *e);
/* The newest Results entry for the task, its number and the small outputs stored with it. ERR_NOTFOUND: none. */
int journal_read_result(struct journal_reader *r, uint64_t job, uint32_t step, uint64_t task,
        uint64_t *out_seq, const uint8_t **out, size_t *out_n, const uint8_t **out_outputs,
        size_t *out_output_bytes, struct err *e);
/* The same of one lease alone; 0: of any. Of a gang each member has one. */
int journal_read_result_of(struct journal_reader *r, uint64_t job, uint32_t step, uint64_t task,
        uint64_t lease, uint64_t *out_seq, const uint8_t **out, size_t *out_n, const uint8_t **out_outputs,
        size_t *out_output_bytes, struct err *e);
/* Every Results entry of the task, oldest first. `each` returns < 0 to stop; it must not use r. */
int journal_read_attempts(struct journal_reader *r, uint64_t job, uint32_t step, uint64_t task,
        int (*each)(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n), void *ctx, struct err *e);
/* The small outputs stored with Results entry `seq` (as journal_read_result() gives them); none: *out_n = 0. */
int journal_read_outputs(
        struct journal_reader *r, uint64_t seq, const uint8_t **out, size_t *out_n, struct err *e);
/* Entries in the journal. */
int journal_read_size(struct journal_reader *r, uint64_t *out, struct err *e);
/* The leaf hashes of entries [from, from + n), all of which are there, dropped or not. Their bytes are not looked at. */
int journal_read_leaves(
        struct journal_reader *r, uint64_t from, uint64_t n, uint8_t (*out)[32], struct err *e);
/* Call `each` with every entry of [from, to): its leaf hash, and its bytes, which were hashed again and are what the leaf says;
 * NULL when they were dropped by policy. Stops when it returns < 0. It may not use r. */
int journal_audit(struct journal_reader *r, uint64_t from, uint64_t to,
        int (*each)(void *ctx, uint64_t seq, const uint8_t leaf[32], const uint8_t *bytes, size_t n,
                struct err *e),
        void *ctx, struct err *e);

/* The largest tree whose head was signed, of a journal that lies in a record, whose holders have one log and, each, a ledger.db of their own. In a
 * folder: 0, and nothing is noted, because there ledger.db says it. To be noted before the signature leaves: ERR_FENCED: this
 * folder's engine does not hold the record any more, or another has signed a larger one; then nothing may be signed. Durable when it returns. */
int journal_signed(struct journal_reader *r, uint64_t *out_size, uint8_t out_root[32], struct err *e);
int journal_note_signed(struct journal_reader *r, uint64_t size, const uint8_t root[32], struct err *e);

/* ---- history by policy (loop thread; done in small steps by the commit thread, resumed after a restart) ---- */

/* Drop what is kept of a job beside its entries (indexes, outputs). Goes with the next batch; flush. */
void journal_forget(struct journal *j, uint64_t job);
/* Drop the bytes of entries before `before` (rounded down to a multiple of 256), their leaf hashes stay, so the tree and its
 * proofs stay valid. ERR_INVALID when the oldest snapshot does not cover them: recovery would need them. Goes with the next
 * batch; flush. */
int journal_drop_history(struct journal *j, uint64_t before, struct err *e);

struct journal_stats {
	uint64_t entries;      /* durable */
	uint64_t history_from; /* the first entry whose bytes are kept (or will be, when the drop is done) */
	uint64_t
	        db_bytes; /* the database file, of which free_bytes are to be reused; of a record about its rows */
	uint64_t free_bytes;
	uint64_t wal_bytes; /* the log in use, not the file's size */
	uint64_t commits;   /* batches since the journal was opened */
};
void journal_stats(struct journal *j, struct journal_stats *out);

#endif
