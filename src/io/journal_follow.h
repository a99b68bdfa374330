/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_follow - a thread that fetches the entries another engine adds to a record, and sees when that engine is gone.
 *
 * For journal_record.c alone. It decides nothing and checks no hash: who takes the entries does. At most FOLLOW_BYTES of them wait.
 * It sleeps in LISTEN and looks once a second whether the holder still renews its hold.
 */
#ifndef OSIER_IO_JOURNAL_FOLLOW_H
#define OSIER_IO_JOURNAL_FOLLOW_H

#include "io/journal_pg.h"

#define FOLLOW_BYTES (4u << 20)

struct follower;

/* Entries in order, from `first` on. bytes: for each its length (u32, this machine's order), its leaf hash, its bytes. */
struct followed {
	uint64_t first, n;
	uint8_t *bytes;
	size_t used, size;
};

/* event_fd is written to when there is something to take. */
int follower_start(const struct record *r, uint64_t next, int event_fd, struct follower **out, struct err *e);
void follower_stop(struct follower *f);
/* What came since: swapped with *io, which is empty. */
void follower_take(struct follower *f, struct followed *io);
/* Everything was fetched and the record is nobody's: true once for each look that says so. */
bool follower_vacant(struct follower *f);
/* It cannot go on, and why. */
bool follower_failed(struct follower *f, struct err *e);
/* The last look at the record; false: there was none yet. */
bool follower_state(struct follower *f, struct pg_state *out);

#endif
