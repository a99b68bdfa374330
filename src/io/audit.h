/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit - a log computed again from its stored bytes, by all processors: every leaf, every tile, the head, its signature, and
 * the batches of receipts.
 *
 * Reads as anybody could; changes nothing, needs no node. The entries are cut into runs that threads take in order, each with a reader of
 * its own; what differs first, in the order of the log, is the verdict. Payloads that were dropped by policy count as expired, and their hashes
 * stand for them.
 */
#ifndef OSIER_IO_AUDIT_H
#define OSIER_IO_AUDIT_H

#include "core/policy.h"
#include "io/journal.h"

struct audit_options {
	unsigned threads; /* 0: one for each processor */
	const struct policy
	        *policy; /* who must have signed the head; NULL: the keys that the log names itself */
	/* Every 100 ms on the caller's thread; < 0: stop (ERR_TIMEOUT). May be NULL. */
	int (*progress)(void *ctx, uint64_t done, uint64_t total);
	void *ctx;
};

struct audit_report {
	char origin[NOTE_NAME_MAX + 1]; /* "": no head */
	uint64_t entries, expired;      /* that are there; of which without payload */
	uint64_t bytes;                 /* of payloads, hashed */
	uint64_t size;                  /* entries under the head */
	uint8_t root[32];
	uint64_t tiles;             /* of hashes, above the leaves, that were compared */
	uint64_t batches, receipts; /* signed batches of receipts, and results in them */
	char signer[NOTE_NAME_MAX +
	            1]; /* whose key verified the head; "": the log names no key, and there was no policy */
};

/* The journal in a state folder, and its published head. ERR_CORRUPT: the first thing that differs. */
int audit_state(const char *dir, const struct audit_options *o, struct audit_report *out, struct err *e);
/* A log as a folder (logdir.h). Bundles that are not there count as expired. Without a policy the head's signature is checked
 * only if the bundles name the log's key. */
int audit_folder(const char *dir, const struct audit_options *o, struct audit_report *out, struct err *e);

#endif
