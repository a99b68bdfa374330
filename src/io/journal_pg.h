/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_pg - a journal's rows in PostgreSQL, for journal*.c alone. Uses pg.h for the connection, record.h for where.
 *
 * Tables, in the schema that the URL names (drawn in journal_pg.c): as in SQLite, and `head`, of one row, which every change locks:
 *
 *	format, entry_format, created_by, id   what it is
 *	epoch, holder, renewed                 who may append: rises with each engine that takes it; by PostgreSQL's clock
 *	size, leaf                             entries, and the leaf hash of the last
 *	bytes                                  of entries and outputs, about
 *	drop_before, dropped_to                as in SQLite's meta
 *	snapshot                               the newest in `snapshots`, whole
 *	signed_size, signed_root               the largest tree whose head may have been signed
 *
 * The fence: an append changes `head` WHERE epoch = ours AND size = what we think, in the statement that inserts the entries. Zero rows
 * means that another engine has the record, and nothing was written. Taking it over is the same row with epoch + 1, allowed to the
 * holder itself, when nobody holds it, or when it was not renewed for PG_LEASE_MS; so the two wait for each other's row lock
 * and exactly one of them goes on.
 * After a lost connection the outcome of a commit is what `head` says: it is asked by a change of its own, which is not answered
 * before what it replies upon is replicated, too, where the server replicates synchronously.
 */
#ifndef OSIER_IO_JOURNAL_PG_H
#define OSIER_IO_JOURNAL_PG_H

#include "io/journal_int.h"
#include "io/pg.h"
#include "io/record.h"

#define PG_FORMAT      1
#define PG_LEASE_MS    6000u
#define PG_KEEP_MS     2000u /* a holder renews so often */
#define PG_STOP_MS     4000u /* a holder that could not renew for so long decides nothing any more */
#define PG_WAIT_MS     15000u
#define PG_PATIENCE_MS 3000u /* a commit is tried so long before the engine is told that the record is away */

struct pg_state {
	char id[RECORD_NAME_MAX + 1], holder[RECORD_NAME_MAX + 1];
	uint64_t epoch, size, age_ms; /* age: since it was renewed */
	uint8_t leaf[MERKLE_HASH_BYTES];
	uint64_t drop_before, dropped_to, forgets;
	uint64_t snapshot; /* the newest that is in the record, 0: none */
	uint64_t bytes;
};

/* Make the tables if there are none. ERR_VERSION, ERR_CORRUPT (not a journal of ours). */
int pg_journal_create(struct pg *c, struct err *e);
/* What `head` says now. ERR_NOTFOUND: no journal is there. */
int pg_journal_state(struct pg *c, struct pg_state *out, struct err *e);
/* Take the record for `holder`. ERR_EXISTS: another engine holds it, and it is not yet time; out->holder says who. A claim that failed may
 * still be carried out by the server, as long as nobody else's is. */
int pg_journal_claim(struct pg *c, const char *holder, struct pg_state *out, struct err *e);
/* The name of the notifications. */
void pg_journal_channel(const struct pg *c, char out[PG_SCHEMA_MAX + 16]);

/* A writer with the claim `s`; takes c. */
void pg_writer_init(
        struct writer *w, struct pg *c, const struct record *r, const char *dir, const struct pg_state *s);
/* When dir has no snapshot that goes as far as history was dropped, fetch the record's. */
int pg_snapshot_fetch(struct pg *c, const char *dir, const struct pg_state *s, struct err *e);
/* On release another may take it at once. */
void pg_writer_let_go(struct writer *w, bool let_go);

/* The folder's newest snapshot into the record, a part a call, each in a transaction of the caller's. 0: done so far; *out_seq is set when
 * the last part is there. */
struct pg_upload;
int pg_upload_part(
        struct pg *c, const char *dir, struct pg_upload **upload, uint64_t *out_seq, struct err *e);
void pg_upload_free(struct pg_upload *u);

int pg_reader_open(const struct record *r, struct journal_reader **out, struct err *e);

#endif
