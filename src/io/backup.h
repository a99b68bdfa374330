/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup - a node in one file, taken while it is up, and put back.
 *
 * The file is a tar of: `backup` (what it is, entries, root), journal.db (a copy of one moment, wherever the journal lies, every entry
 * hashed), ledger.db and witness.db (as they were before: never ahead of the journal), the newest snapshot, config.yaml, and with
 * BACKUP_KEYS the folders keys, hub and parent: who has those is the node. Blobs, logs and scratch are not in it.
 * Blocking, for minutes; uses tar(1) and cp(1). Nothing half-done is ever seen under the names that count.
 */
#ifndef OSIER_IO_BACKUP_H
#define OSIER_IO_BACKUP_H

#include <stdbool.h>

#include "base/err.h"
#include "io/journal_move.h"

/* Write `file` (0600, replaced whole). ERR_NOTFOUND: dir has no journal. */
int backup_write(const char *dir, const char *file, bool keys, struct journal_moved *out, struct err *e);
/* Into dir, which exists and has no journal. *out_keys: the file had keys. ERR_EXISTS: there is one, or a node is up; ERR_CORRUPT,
 * ERR_INVALID: the file. */
int backup_restore(
        const char *file, const char *dir, struct journal_moved *out, bool *out_keys, struct err *e);

#endif
