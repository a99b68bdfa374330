/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_out - JSON written by hand into a buffer that grows and is used again.
 *
 * Not a parser (jansson is, whose names begin with json_: these begin with jo_). Commas come by themselves. No floats: amounts are fixed-point integers. Strings that are
 * not UTF-8 get U+FFFD for each wrong byte, so what comes out is always valid JSON as long as begins and ends match.
 * Single-threaded; out of memory aborts.
 */
#ifndef OSIER_ENGINE_JSON_OUT_H
#define OSIER_ENGINE_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/utf8.h"

struct json_out {
	char *buf; /* n bytes, not NUL-terminated; NULL while empty */
	size_t n, max;
};

void jo_init(struct json_out *o);
void jo_release(struct json_out *o); /* NULL is fine */
void jo_clear(struct json_out *o);   /* keeps the memory */
/* The buffer becomes the caller's, for free(); `o` is empty afterwards. */
char *jo_take(struct json_out *o, size_t *out_n);

void jo_object(struct json_out *o);
void jo_object_end(struct json_out *o);
void jo_array(struct json_out *o);
void jo_array_end(struct json_out *o);
void jo_key(struct json_out *o, const char *key);      /* plain ASCII without quotes: our own words */
void jo_key_text(struct json_out *o, const char *key); /* anything */

void jo_str(struct json_out *o, const char *s); /* NULL: null */
void jo_str_n(struct json_out *o, const char *s, size_t n);
/* Formatted text as a string, cut at 1 KiB. */
void jo_strf(struct json_out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void jo_u64(struct json_out *o, uint64_t v);
void jo_i64(struct json_out *o, int64_t v);
void jo_bool(struct json_out *o, bool v);
void jo_null(struct json_out *o);
/* v / 10^decimals without trailing zeros: jo_fixed(o, 1500, 3) is 1.5. decimals at most 18. */
void jo_fixed(struct json_out *o, int64_t v, unsigned decimals);
void jo_seconds(struct json_out *o, uint64_t ns);            /* a duration in seconds */
void jo_time(struct json_out *o, uint64_t ns);               /* RFC 3339 with nanoseconds, quoted */
void jo_time_or_null(struct json_out *o, uint64_t ns);       /* 0: null */
void jo_hex(struct json_out *o, const uint8_t *p, size_t n); /* quoted lower-case hexadecimal */

/* Bytes as they are, without a comma: the frame of a server-sent event. */
void jo_raw(struct json_out *o, const char *s, size_t n);

/* "2026-11-21T09:30:00.123456789Z" and a NUL. */
#define TIME_TEXT_BYTES 31u
void jo_time_text(uint64_t ns, char out[TIME_TEXT_BYTES]);
/* Read RFC 3339 with a zone and up to nine decimals, from 1970 to 2261. < 0: it is none. */
int jo_time_parse(const char *text, uint64_t *out_ns);

#endif
