/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger - what of an entry goes into the log, and whether a log may go on after a start.
 *
 * The log is the journal: leaf i is the hash of entry i's bytes (merkle.h). tlog-tiles carries entries of at most 65,535
 * bytes, and some of ours are larger (a graph of a thousand steps), so for those a stand-in is what is logged:
 *	0x00 "osier large entry v1\n" SHA-256 of the bytes (32) length (8, big-endian)
 * No entry begins with 0x00 (no field of a protobuf message has number 0), so the two cannot be taken for one another.
 * Pure.
 */
#ifndef OSIER_CORE_LEDGER_H
#define OSIER_CORE_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/merkle.h"

#define LEDGER_PLAIN_MAX 65535u /* bytes of an entry that is logged as it is */
#define LEDGER_STANDIN   62u    /* bytes of a stand-in */

/* The stand-in for n bytes. */
void ledger_standin(const struct merkle_hash *h, const void *bytes, size_t n, uint8_t out[LEDGER_STANDIN]);
/* The leaf hash of an entry: of its bytes, or of their stand-in. */
void ledger_leaf(const struct merkle_hash *h, const void *bytes, size_t n, uint8_t out[MERKLE_HASH_BYTES]);

/* What a log remembers of the last head that it signed: how many entries, and the leaf hash of the last of them. */
struct ledger_signed {
	uint64_t size;
	uint8_t leaf[MERKLE_HASH_BYTES];
};
/* May it sign on, over a journal of `size` entries? leaf: the hash of the journal's entry last->size - 1, read when there is one.
 * ERR_CORRUPT: the journal is shorter, or another one. What is restored together with its memory passes: only others, who saw the
 * later head, can know (witness.h). */
int ledger_resume(const struct ledger_signed *last, uint64_t size, const uint8_t leaf[MERKLE_HASH_BYTES],
        struct err *e);

#endif
