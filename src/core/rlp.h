/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rlp - Ethereum's Recursive Length Prefix: strings of bytes and lists of items (Yellow Paper, appendix B).
 *
 * Not what the items mean. Pure.
 * A byte below 0x80 is itself; a string of up to 55 bytes is 0x80+n, then the bytes; a longer one 0xb7+k, then n in k bytes,
 * big-endian, then the bytes; lists the same from 0xc0 and 0xf7. Integers are strings without leading zeros; 0 is empty.
 * Every value has exactly one spelling; the reader accepts no other.
 */
#ifndef OSIER_CORE_RLP_H
#define OSIER_CORE_RLP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define RLP_DEPTH_MAX 8 /* lists that may be open at once while writing */

struct rlp_out {
	uint8_t *out;
	size_t n, max;
	size_t open[RLP_DEPTH_MAX]; /* where the bodies of open lists begin */
	unsigned depth;
	bool full; /* something did not fit; nothing more is written */
};

/* Write to out[0..max), borrowed. */
void rlp_begin(struct rlp_out *w, uint8_t *out, size_t max);
void rlp_string(struct rlp_out *w, const void *p, size_t n);
void rlp_u64(struct rlp_out *w, uint64_t v);
/* An integer of n bytes, big-endian: leading zeros are left out. */
void rlp_integer(struct rlp_out *w, const uint8_t *be, size_t n);
/* Lists nest up to RLP_DEPTH_MAX (CHECKed); each list_begin has its list_end. */
void rlp_list_begin(struct rlp_out *w);
void rlp_list_end(struct rlp_out *w);
/* Bytes written, or 0 when they did not all fit. Every list must be ended (CHECKed). */
size_t rlp_end(const struct rlp_out *w);

struct rlp_in {
	const uint8_t *at;
	size_t left;
};
enum rlp_kind { RLP_STRING, RLP_LIST };
struct rlp_item {
	enum rlp_kind kind;
	const uint8_t *p; /* the string, or the list's items; points into what is read */
	size_t n;
};

/* Take the next item. ERR_CORRUPT: there is none, it is cut off, or it is not spelt as it must be. */
int rlp_next(struct rlp_in *r, struct rlp_item *out, struct err *e);
/* The next item, which must be of this kind, or an integer of at most 8 bytes. */
int rlp_next_kind(struct rlp_in *r, enum rlp_kind kind, struct rlp_item *out, struct err *e);
int rlp_next_u64(struct rlp_in *r, uint64_t *out, struct err *e);
/* An integer of at most n bytes, written to out[0..n) big-endian with leading zeros. */
int rlp_next_integer(struct rlp_in *r, uint8_t *out, size_t n, struct err *e);

#endif
