/* SPDX-License-Identifier: Apache-2.0 */
/*
 * witness_store - what a witness cosigned last, by log: DIR/witness.db.
 *
 * Not the cosignatures (who holds the key makes them, after this said yes) and not whom to trust. Comparing with what was cosigned
 * and replacing it is one transaction that is durable before witness_store_take() says yes, so two requests at once, and a kill at any
 * moment, never lead to two cosignatures that contradict each other.
 *
 *   last  (origin, size, root, time_s, note)   note: the checkpoint with the log's signatures that verified
 *   forks (origin, size, had, came, time_s)    two signed trees of one size: what the witness had, and what came
 *
 * A file that was restored from an older copy cannot be told from one that is simply old: then the witness would cosign again what
 * follows the older head, and contradicts itself if the log forked in between. After such a restore the key must go too. A file that
 * is missing beside its key is noticed (engine/witness.c).
 * Any one thread at a time; blocking.
 */
#ifndef OSIER_IO_WITNESS_STORE_H
#define OSIER_IO_WITNESS_STORE_H

#include "core/witness.h"

#define WITNESS_FORKS_MAX 32 /* kept for one log; the first ones */

struct witness_store;

/* create: make it when it is not there. ERR_NOTFOUND: it is not; ERR_CORRUPT: it is something else, or damaged. */
int witness_store_open(const char *dir, bool create, struct witness_store **out, struct err *e);
void witness_store_close(struct witness_store *w);

struct witness_taken {
	enum witness_status status;
	uint64_t time_s; /* of the cosignature: now_s, or later when an earlier one was */
	uint64_t size;   /* what was cosigned before */
	bool new_fork;   /* the log showed two faces, in a way that was not known yet */
};
/* Decide (core/witness.h), and remember when the answer is WITNESS_COSIGNED: durable when it returns. note: what is kept of the
 * checkpoint, n bytes. < 0: it cannot be kept, nothing may be signed. *e: why not, whatever the status. */
int witness_store_take(struct witness_store *w, const struct witness_request *r, const char *note, size_t n,
        uint64_t now_s, struct witness_taken *out, struct err *e);

struct witness_row {
	const char *origin;
	struct witness_last last;
	uint64_t time_s, forks;
	const char *note;
	size_t note_n;
};
/* Every log, by origin; stops when each returns < 0. What it is given lives during the call. */
int witness_store_each(struct witness_store *w, int (*each)(void *ctx, const struct witness_row *row),
        void *ctx, struct err *e);

#endif
