/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lines - a file's lines by number, for arrays over the lines of a file. A last line without \n counts; \r stays.
 *
 * An offset is kept for every 1024th line, so that ten million lines cost 80 kB; the file must not change meanwhile
 * (blobs do not). One thread at a time.
 */
#ifndef OSIER_IO_LINES_H
#define OSIER_IO_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define LINE_BYTES_MAX 4096 /* a line becomes a parameter's value */

struct lines;

/* Count and index the lines of an open file; fd is taken, also on failure. NUL bytes and lines that are too long are
 * ERR_INVALID. */
int lines_open_take(int fd, struct lines **out, struct err *e);
void lines_close(struct lines *l);
uint64_t lines_count(const struct lines *l);

/* Line `index` (from 0) without its \n, valid until the next call. ERR_NOTFOUND past the last. */
int lines_get(struct lines *l, uint64_t index, const char **out, size_t *out_n, struct err *e);

/* Several files by digest, the last 16 used stay open. open_blob gives a descriptor or < 0 with *e. */
struct lines_cache;
struct lines_cache *lines_cache_new(
        int (*open_blob)(void *ctx, const uint8_t sha256[32], struct err *e), void *ctx);
void lines_cache_free(struct lines_cache *c);

/* As struct params wants it: `line = lines_cache_line, line_ctx = cache`. */
int lines_cache_line(void *cache, const uint8_t sha256[32], uint64_t index, const char **out, size_t *out_n,
        struct err *e);

#endif
