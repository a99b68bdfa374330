/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal - the append-only record of one node: SQLite, group commit, RFC 6962 tree.
 *
 * The loop thread adds entries to the open batch; journal_flush() hands the batch to the commit thread, which writes it in
 * one transaction (WAL, synchronous=FULL). While a commit is under way the next batch fills. on_durable() is called on
 * the loop thread (journal_poll(), when journal_fd() is readable) with the last durable sequence number; answers and
 * effects wait for it. A commit that fails for want of room is tried again until there is room (journal_full() says so, and
 * nothing is acknowledged meanwhile); any other failure is final: on_failed(), and the engine stops.
 *
 * Files in the folder: journal.db (+ -wal, -shm), snapshot-<seq>, lock. Entries are numbered from 0 (a leaf index).
 * Threads: everything is called from the loop thread, except journal_read_* on a reader of its own.
 * Tree: leaf = SHA-256(0x00 || entry bytes), node = SHA-256(0x01 || left || right); the frontier is kept in memory, the leaf
 * hash beside each entry, so the root of every batch is known when it is durable.
 */
#ifndef OSIER_IO_JOURNAL_H
#define OSIER_IO_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct journal;

struct journal_options {
	bool read_only;		    /* for replay and look-ups beside a running engine; takes no lock */
	uint32_t wal_bytes_max;	    /* the WAL is checkpointed and reused beyond this; 0: 16 MiB */
	void (*on_durable)(void *ctx, uint64_t last_seq);
	void (*on_failed)(void *ctx, const struct err *e);
	void *ctx;
};

struct journal_head {
	uint64_t size;	  /* number of entries; the next gets this number */
	uint8_t root[32]; /* of the tree over all of them */
};

/* Open or create the journal in the folder `dir` (which exists). ERR_EXISTS: another engine holds it (the message names its
 * pid); ERR_VERSION: made by a newer osier; ERR_CORRUPT: says where. Checks the tree from the last snapshot on. */
int journal_open(const char *dir, const struct journal_options *o, struct journal **out, struct err *e);
/* Waits for the commit under way, commits what is open, closes. NULL is fine. */
void journal_close(struct journal *j);

/* Fold: call `fold` with every entry from `from` up to (not including) `to` or the end. Stops when it returns < 0. */
int journal_replay(struct journal *j, uint64_t from, uint64_t to,
		   int (*fold)(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n, struct err *e), void *ctx,
		   struct err *e);

/* What a Results entry must be found by: task ranges of a job, and its small outputs (concatenated, may be empty). */
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

/* Commit the open batch, if it has entries and no commit is under way; otherwise it goes as soon as that one is done. */
void journal_flush(struct journal *j);
size_t journal_backlog_bytes(const struct journal *j);
bool journal_full(const struct journal *j); /* the disk is full: refuse what would add entries */

/* Readable when journal_poll() has something to report; poll calls on_durable/on_failed. */
int journal_fd(const struct journal *j);
void journal_poll(struct journal *j);

void journal_head(const struct journal *j, struct journal_head *out); /* with what is not yet durable */
uint64_t journal_durable(const struct journal *j);		       /* entries that are durable */

/* Snapshots. Write one of the state after the first `seq` entries in the background of the caller's choosing: `put` as
 * engine_save() wants it; end with commit (fsync, rename, older ones but one removed) or abort. */
struct journal_snapshot;
int journal_snapshot_begin(struct journal *j, uint64_t seq, struct journal_snapshot **out, struct err *e);
int journal_snapshot_put(void *snapshot, const void *p, size_t n);
int journal_snapshot_end(struct journal_snapshot *s, bool commit, struct err *e);
/* The newest usable snapshot at or before `at` (UINT64_MAX: any): malloc'd bytes for free(), and the entry to go on from. A
 * damaged one is skipped. No snapshot: *out = NULL, *out_seq = 0. */
int journal_snapshot_load(struct journal *j, uint64_t at, uint8_t **out, size_t *out_n, uint64_t *out_seq, struct err *e);

/* ---- look-ups, on a connection of their own (one per thread) ---- */
struct journal_reader;
int journal_reader_open(const char *dir, struct journal_reader **out, struct err *e);
void journal_reader_close(struct journal_reader *r);
/* Entry `seq`; bytes valid until the next call on r. ERR_NOTFOUND past the end, or "history of ... was dropped". */
int journal_read_entry(struct journal_reader *r, uint64_t seq, const uint8_t **out, size_t *out_n, uint8_t leaf[32],
		       struct err *e);
/* The newest Results entry for the task, its number and the small outputs stored with it. ERR_NOTFOUND: none. */
int journal_read_result(struct journal_reader *r, uint64_t job, uint32_t step, uint64_t task, uint64_t *out_seq,
			const uint8_t **out, size_t *out_n, const uint8_t **out_outputs, size_t *out_output_bytes,
			struct err *e);
/* Every Results entry of the task, oldest first. */
int journal_read_attempts(struct journal_reader *r, uint64_t job, uint32_t step, uint64_t task,
			  int (*each)(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n), void *ctx, struct err *e);
/* Drop what is kept of a job beside its entries (indexes, outputs): history by policy. Goes with the next batch. */
void journal_forget(struct journal *j, uint64_t job);

#endif
