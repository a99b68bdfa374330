/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logstore - the published side of a journal: the last signed head, the roots of complete tiles, proofs.
 *
 * Not the journal, which is the log: this reads it as anybody could, entry by entry, and believes only what it hashed itself.
 * What it keeps (DIR/ledger.db) can be lost without losing the log: the tiles are made again, but then a node no longer knows
 * what it has signed, and says so (see logstore_open).
 *
 *   roots (level, n, hash)    the root of the n-th complete tile of 256 hashes of level - 1 (C2SP tlog-tiles), level from 1
 *   jobs, leases, pending     what is still to be signed by the node: Results entries without a receipt, and the entries of the
 *                             leases and jobs that run
 *   batches (first, last, seq) which Receipts entry covers the Results entries from first to last
 *   keys (seq, ...)           what the KeySet entries said
 *   head  (one row)           origin, size, root, frontier, leaf of the last entry, time and note of the last signed checkpoint
 *
 * Order at publishing: entries are read back from disk and hashed; roots and head (without a note) are durable; then the head
 * is signed, and the note is stored. A kill between any two leaves at most a head that was never shown, which the next
 * publishing signs again: Ed25519 gives the same bytes. So no two signed heads are inconsistent.
 * Engines that hold one record one after the other (io/journal.h) sign one log, and each has a store of its own: between durable and signed
 * the head is noted in the record, under its fence. Who takes over signs nothing smaller, and nothing before it has found that tree again.
 * Any one thread at a time; blocking.
 */
#ifndef OSIER_IO_LOGSTORE_H
#define OSIER_IO_LOGSTORE_H

#include "core/keyset.h"
#include "core/proof.h"
#include "core/receipt.h"
#include "core/tlogproof.h"
#include "io/journal.h"
#include "io/keys.h"

#define LOG_NOTE_MAX (CHECKPOINT_TEXT_MAX + 1 + KEYSET_SIGNERS * NOTE_LINE_MAX)

struct logstore;

struct log_head {
	uint64_t size, time_s; /* since 1970: when it was signed */
	uint8_t root[32];
	char note[LOG_NOTE_MAX]; /* "" : nothing was published yet */
	size_t note_n;
};

/* Open or make DIR/ledger.db beside the journal in DIR. origin: the log's; it is kept, and another one is refused later
 * (ERR_EXISTS). read_only: for proofs beside who publishes; ERR_NOTFOUND when there is none.
 * ERR_CORRUPT: the journal is not the one that the last head was signed for, or is shorter: it was restored from an older backup
 * or exchanged. The message says which. */
int logstore_open(const char *dir, const char *origin, bool read_only, struct logstore **out, struct err *e);
void logstore_close(struct logstore *l);
const char *logstore_origin(const struct logstore *l);

/* Sign the tree of the first `to` entries, which are durable. The key's name must be the origin. Nothing is done when the last head
 * has that size already. ERR_INVALID: `to` is less than what was signed. ERR_CORRUPT: an entry on the disk is not what its hash
 * says, or the journal lost entries: nothing was signed. */
int logstore_publish(struct logstore *l, uint64_t to, uint64_t time_s, const struct key *k, struct err *e);
/* The same with several keys at hand: those sign that the KeySet entries of the tree say, whatever the order of `keys`; as long as
 * none says anything, the first. ERR_DENIED: none of those that may sign is among them. */
int logstore_publish_by(
        struct logstore *l, uint64_t to, uint64_t time_s, const struct key *keys, unsigned n, struct err *e);
/* How far to publish next, when as far as `to` is wanted: first up to the head that another engine of this record has signed last, if it did, to see
 * that ours is the same tree. Nothing smaller is signed. */
uint64_t logstore_next(const struct logstore *l, uint64_t to);
/* The last published head, read again from the disk by read-only ones. */
int logstore_head(struct logstore *l, struct log_head *out, struct err *e);

/* Proofs in published trees: of a size up to that of the last head. */
struct proof_source logstore_source(struct logstore *l);
struct merkle_hash logstore_hash(struct logstore *l);
/* Hashes [first, first + n) of a level of tiles: 0 the leaves, 1 the roots of full tiles of leaves, ... They must be there in the
 * tree of the last head. */
int logstore_hashes(
        struct logstore *l, unsigned level, uint64_t first, uint64_t n, uint8_t (*out)[32], struct err *e);

/* A tile, or a bundle of entries, of the tree of the last head, as C2SP tlog-tiles has them; malloc'd. ERR_NOTFOUND: the log is
 * not so large yet, or the entries' history was dropped by policy. */
int logstore_tile(struct logstore *l, const struct tile *t, uint8_t **out, size_t *out_n, struct err *e);

/* Entries from `from` on, under this head of ours (which is no newer than the last), as a piece for who copies the log (core/logpiece.h) of at most
 * `max` bytes, LOGPIECE_BYTES_MIN or more; malloc'd. Bytes that were dropped by policy go as their hashes. ERR_INVALID: the head has no
 * more entries. */
int logstore_piece(struct logstore *l, uint64_t from, const char *note, size_t note_n, size_t max,
        uint8_t **out, size_t *out_n, struct err *e);

/* ---- receipts ---- */

/* Results entries in the published tree that no Receipts entry covers, signed: at most RECEIPTS_MAX of them, the oldest first.
 * Memory stays l's until the next call. *out NULL: there are none. */
int logstore_receipts(struct logstore *l, const struct key *node, const Wire__Receipts **out, struct err *e);

/* The receipt of a task whose result is in entry `results`, with those of its other attempts that agreed (entries agreed[0..n_agreed),
 * at most RECEIPT_AGREED_MAX), and the entries with which these committed to their answers before (commitments[0..n_agreed], the task's own
 * first; NULL or one 0: none is shown): a tlog-proof file (core/receipt.h) against the
 * last head, or the newest one that enough witnesses cosigned (io/cosigned.h), malloc'd.
 * ERR_NOTFOUND: there is none yet; the next publishing brings it. Or: its history was dropped by policy. */
int logstore_receipt(struct logstore *l, uint64_t results, uint64_t task, const uint64_t *agreed,
        size_t n_agreed, const uint64_t *commitments, char **out, size_t *out_n, struct err *e);

/* What the KeySets of the published tree said. */
int logstore_keyset(struct logstore *l, struct keyset *out, struct err *e);
/* Every KeySet so far, oldest first; stops when each returns < 0. */
int logstore_keys(struct logstore *l,
        int (*each)(void *ctx, uint64_t seq, Wire__KeySet__Role role, Wire__KeySet__State state,
                const char *vkey, const char *reason),
        void *ctx, struct err *e);

#endif
