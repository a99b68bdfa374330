/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mirrored - the log of somebody who brings it in pieces (core/logpiece.h), kept as a folder (logdir.h).
 *
 * mirror.h follows a log that can be asked; this takes what its owner brings, from behind a NAT. Nothing of a piece is written before it leads to a
 * head that the caller cosigned, and none is taken twice. So what is here is what the log was when that head was signed, whatever its owner
 * shows later. `osier ledger audit` reads the folder like any log.
 *
 *	checkpoint, tile/...   as in logdir.h: the newest head whose entries are all here
 *	trust.policy           who signs that log, as those who took pieces of it knew
 *	taken                  where the next piece begins, and why what is here is believed:
 *	                       "osier mirror 1", "bundles BYTES from INDEX" (complete bundles that are kept), then an add-checkpoint: old = entries
 *	                       that are here, the proof from there to the head of the last piece, that head
 * Order: tiles and bundles are on the disk before `taken`, that before `checkpoint`, and partial ones of before go last. A kill or a power cut
 * costs the piece under way; what lies beyond `taken` is written over.
 *
 * Bound: beyond bytes_max, or older than age_s, the oldest complete bundles go; their hashes stay, so the tree and its proofs do. When the
 * hashes alone fill it nothing is taken any more. One thread at a time (a lock holds other processes off); blocking.
 */
#ifndef OSIER_IO_MIRRORED_H
#define OSIER_IO_MIRRORED_H

#include "core/policy.h"
#include "core/witness.h"

struct mirrored;

struct mirrored_limits {
	uint64_t bytes_max;
	uint64_t age_s; /* of bundles, since they came whole; 0: any */
	uint64_t now_s;
	uint64_t reserve_bytes; /* of the disk: nothing is taken when less would be free */
};

/* Open or make the folder, whose parent exists. ERR_CORRUPT: what is in it is not what was written. */
int mirrored_open(const char *dir, struct mirrored **out, struct err *e);
void mirrored_close(struct mirrored *m);
uint64_t mirrored_size(const struct mirrored *m); /* entries: where the next piece begins */

/* Take a piece. keys: who signs that log; cosigned: the head that we cosigned last, which must be the piece's. Durable when it returns; when it
 * fails m can only be closed. ERR_INVALID: it is no piece; ERR_EXISTS: it does not begin where the mirror ends; ERR_DENIED: it is under
 * another head; ERR_CORRUPT: its entries do not lead to that head; ERR_FULL: the bound, or the disk. */
int mirrored_take(struct mirrored *m, const void *bytes, size_t n, const struct policy *keys,
        const struct witness_last *cosigned, const struct mirrored_limits *l, struct err *e);

/* Drop what is beyond the limits. */
int mirrored_sweep(struct mirrored *m, const struct mirrored_limits *l, struct err *e);

/* A look, without a lock. ERR_NOTFOUND: there is nothing in the folder. */
struct mirrored_seen {
	uint64_t size;        /* entries that are here */
	uint64_t bytes, from; /* of complete bundles, and the first entry that may have one */
	char *note;           /* of the newest head that they are proven under; malloc'd, with a NUL */
	size_t note_n;
	struct witness_last head; /* of it */
};
int mirrored_look(const char *dir, struct mirrored_seen *out, struct err *e);
void mirrored_seen_release(struct mirrored_seen *s);

/* The folder of the log of this origin, mirrored for this node: "NAME-XXXXXXXX". */
#define MIRRORED_NAME 80u
void mirrored_name(const char *node, const char *origin, char out[MIRRORED_NAME]);

/* The newest complete head in the folder as a request to a witness that cosigned `old` entries of that log: malloc'd; *out_head: that head.
 * NULL: there is none that is larger. */
char *mirrored_request(const char *dir, uint64_t old, size_t *out_n, struct witness_last *out_head);

#endif
