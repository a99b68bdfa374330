/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_move - a whole journal from SQLite into a record in PostgreSQL, or back, with its tree.
 *
 * Rows are copied as they are, in one transaction of the target; then every entry there is hashed again, and only when the root is the same
 * does the state folder change what it says. A kill at any moment leaves the source as it was, or the move done but for its last
 * step, which the next call does. Memory does not grow with the journal.
 * No engine may be up on the folder: it is locked meanwhile.
 */
#ifndef OSIER_IO_JOURNAL_MOVE_H
#define OSIER_IO_JOURNAL_MOVE_H

#include <stdint.h>

#include "base/err.h"

struct journal_moved {
	uint64_t entries;
	uint8_t root[32];
};

/* From dir/journal.db into the record at `url`, which must hold none. Afterwards the folder's journal is there, and journal.db is called
 * journal.db.moved. ERR_EXISTS: the target is not empty, an engine is up, or the folder is on a record already. */
int journal_move_to_record(const char *dir, const char *url, struct journal_moved *out, struct err *e);
/* From the folder's record into to/journal.db, which must not be there; `to` may be dir itself. Afterwards no engine takes the
 * record, and the folder's journal is its own when `to` is dir. */
int journal_move_to_folder(const char *dir, const char *to, struct journal_moved *out, struct err *e);

/* A copy of the folder's journal as it is now, wherever it lies, into to/journal.db; `to` is an empty folder. The node may be up. Every
 * entry of the copy was hashed. */
int journal_copy(const char *dir, const char *to, struct journal_moved *out, struct err *e);
/* Hash every entry of dir/journal.db. ERR_CORRUPT: says where. */
int journal_verify(const char *dir, struct journal_moved *out, struct err *e);

#endif
