/* SPDX-License-Identifier: Apache-2.0 */
/* logstore_int - what logstore.c (the tree and its heads) and logstore_receipts.c (what was run) share; for nobody else. */
#ifndef OSIER_IO_LOGSTORE_INT_H
#define OSIER_IO_LOGSTORE_INT_H

#include <sqlite3.h>

#include "io/growing.h"
#include "io/logstore.h"
#include "io/sha256.h"

enum store_stmt {
	S_ROOT_ADD,
	S_ROOTS,
	S_HEAD,
	S_HEAD_SET,
	S_NOTE_SET,
	S_JOB_ADD,
	S_JOB_DROP,
	S_LEASE_ADD,
	S_LEASE_DROP,
	S_PENDING_ADD,
	S_PENDING_DROP,
	S_PENDING,
	S_BATCH_ADD,
	S_BATCH,
	S_KEY_ADD,
	S_KEYS,
	S_STMTS
};

struct logstore {
	sqlite3 *db;
	sqlite3_stmt *stmt[S_STMTS];
	struct journal_reader *reader;
	struct sha256 *sha;
	struct growing g; /* of the entry at hand */
	char *origin;
	bool read_only;
	struct log_head head;
	struct merkle_frontier tree; /* of head.size */
	uint8_t last_leaf[32];
	/* The largest tree of which somebody else may have signed the head, under the same keys (journal_signed()); 0: nobody. */
	uint64_t floor;
	uint8_t floor_root[32];
};

int store_failed(struct logstore *l, struct err *e);
int store_damaged(struct err *e);
/* Run a statement that gives no rows. */
int store_run(struct logstore *l, enum store_stmt which, struct err *e);
/* A column of exactly n bytes. */
bool store_blob(sqlite3_stmt *s, int column, void *out, size_t n);

/* Take note of what entry `seq` says about what was run, and by which keys. In the transaction that publishes it. */
int receipts_fold(struct logstore *l, uint64_t seq, const uint8_t leaf[32], const uint8_t *bytes, size_t n,
        struct err *e);

/* The heads that hold entry `seq` and were anchored: f->heads, in the arena of l->g. */
int anchors_covering(struct logstore *l, uint64_t seq, Wire__ReceiptFile *f, struct err *e);

#endif
