/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jsontext - JSON (RFC 8259) read and written where it is signed, so that nothing between the bytes and their meaning is left to a
 * library's taste.
 *
 * Not for the API: io and engine read with jansson and write with json_out. The reader is strict: UTF-8, no key twice where the
 * caller cares, no depth without end. Pure; memory is the caller's.
 */
#ifndef OSIER_CORE_JSONTEXT_H
#define OSIER_CORE_JSONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

#define JSONTEXT_DEPTH_MAX 32u

/* ---- writing: as snprintf(), n counts on past max, so that a first run with max 0 measures ---- */
struct jsonw {
	char *p;
	size_t n, max;
};
void jw_raw(struct jsonw *w, const char *text);
void jw_str_n(struct jsonw *w, const char *s, size_t n); /* quoted; what is not UTF-8 becomes U+FFFD */
void jw_str(struct jsonw *w, const char *s);             /* NULL: "" */
void jw_u64(struct jsonw *w, uint64_t v);
void jw_i64(struct jsonw *w, int64_t v);
void jw_hex(struct jsonw *w, const uint8_t *p, size_t n); /* quoted, lower case */
/* "2026-11-21T09:30:00Z", quoted, as SLSA and in-toto want it. */
void jw_time(struct jsonw *w, uint64_t ns);

/* ---- reading: a cursor over text that is borrowed ---- */
struct jsonr {
	const char *p, *end;
	struct arena *a; /* strings come from it */
	unsigned depth;
};
/* Each is given the cursor before its value (white space is passed over) and leaves it behind. ERR_INVALID: not that; ERR_FULL: the
 * arena is too small. */
int jr_string(struct jsonr *r, const char **out, size_t *out_n, struct err *e); /* with a NUL after it */
int jr_skip(struct jsonr *r, struct err *e);                                    /* any value */
/* The members of an object: 1 and the next key, with the cursor before its value; 0 at its end. `first` starts as true. */
int jr_member(struct jsonr *r, bool *first, const char **key, size_t *key_n, struct err *e);
/* The elements of an array: 1, with the cursor before the next; 0 at its end. `first` starts as true. */
int jr_element(struct jsonr *r, bool *first, struct err *e);
/* Nothing but white space is left. */
int jr_end(struct jsonr *r, struct err *e);

#endif
