/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logpiece - a run of a log's entries on its way to who keeps a copy: each entry's bytes, or its leaf hash when they were dropped by policy, and
 * the proof that they lead to a signed head.
 *
 * Not where they come from (io/logstore.h) or go to (io/mirrored.h), and nothing here is believed. Pure. What is parsed points into the
 * bytes that were given.
 *
 *	"osier piece 1\n"
 *	from (64 bits), count, head bytes (32 bits each), big-endian
 *	head     as add-checkpoint has it (tlogproof.h): old = from + count, the proof from that tree to the note's, the note
 *	items    count of them: the length (16 bits, big-endian) and the entry, or its stand-in (ledger.h), as a bundle of tlog-tiles has them;
 *	         or a length of 0 and the leaf hash
 */
#ifndef OSIER_CORE_LOGPIECE_H
#define OSIER_CORE_LOGPIECE_H

#include "core/tlogproof.h"

#define LOGPIECE_BYTES_MAX (1u << 20)
#define LOGPIECE_BYTES_MIN (128u << 10) /* what a writer must at least be given: the largest entry fits */
#define LOGPIECE_COUNT_MAX 16384u
#define LOGPIECE_HEAD_MAX  (15u << 10)

struct logpiece {
	uint64_t from;
	uint32_t count; /* at least 1 */
	struct addcheckpoint head;
	const char *head_text; /* its bytes */
	size_t head_n;
	const uint8_t *items;
	size_t items_n;
};
/* ERR_INVALID: it is none, says why. All items are whole then, and nothing follows them. */
int logpiece_parse(const uint8_t *bytes, size_t n, struct logpiece *out, struct err *e);

struct logpiece_item {
	const uint8_t *bytes; /* NULL: dropped */
	size_t n;
	const uint8_t *leaf; /* of what was dropped; else NULL */
};
/* The item at *at (0 at first), which it moves. false: there are no more. */
bool logpiece_next(const struct logpiece *p, size_t *at, struct logpiece_item *out);

/* Bytes that an item takes; bytes NULL: as its leaf. */
size_t logpiece_item_size(const uint8_t *bytes, size_t n);
/* Write one; n of 1 to 65535. Returns its size. */
size_t logpiece_put(uint8_t *out, const uint8_t *bytes, size_t n, const uint8_t leaf[MERKLE_HASH_BYTES]);
/* What stands before the items: at most logpiece_front_size() bytes. p: from, count and head are used. Returns its size. */
size_t logpiece_front_size(const struct addcheckpoint *head);
size_t logpiece_front(const struct logpiece *p, uint8_t *out);

#endif
