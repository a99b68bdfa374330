/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logdir - a log as a folder: `checkpoint`, `tile/LEVEL/...`, `tile/entries/...`, as C2SP tlog-tiles names them below its prefix. Any
 * web server that serves the folder serves the log.
 *
 * A file is written beside its place and renamed: it is there whole, or not. A complete tile is never written over with another. Who writes
 * holds a lock (`.lock`). One thread at a time.
 */
#ifndef OSIER_IO_LOGDIR_H
#define OSIER_IO_LOGDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/tlogproof.h"

struct logdir;

enum logdir_use { LOGDIR_READ, LOGDIR_WRITE };

/* WRITE makes the folder if need be; ERR_EXISTS: another process writes there, or the folder holds other things than a log. */
int logdir_open(const char *dir, enum logdir_use use, struct logdir **out, struct err *e);
void logdir_close(struct logdir *d);
const char *logdir_path(const struct logdir *d);

/* The file at `path`, of at most `max` bytes. ERR_NOTFOUND: there is none; ERR_FULL: it is larger. */
int logdir_read(
        const struct logdir *d, const char *path, uint8_t *out, size_t max, size_t *out_n, struct err *e);
/* A tile or bundle, 32 * width or at most LOG_BUNDLE_MAX bytes. A complete one stands in for a partial one that is not there: then *out_n is
 * that of the complete one. */
int logdir_read_tile(
        const struct logdir *d, const struct tile *t, uint8_t *out, size_t max, size_t *out_n, struct err *e);
bool logdir_has(const struct logdir *d, const struct tile *t);

/* Write a tile or bundle. Nothing is done when it is there with the same bytes; ERR_EXISTS: with others. A complete one takes the place of its
 * partial ones. */
int logdir_write_tile(struct logdir *d, const struct tile *t, const void *p, size_t n, struct err *e);
/* The bytes of a tile or bundle that is there; false: it is not. */
bool logdir_size(const struct logdir *d, const struct tile *t, uint64_t *out_bytes, uint64_t *out_mtime_s);
/* Its partial ones, but not the one as wide as t is; and it itself, whatever there is of it. */
void logdir_drop_others(struct logdir *d, const struct tile *t);
void logdir_drop(struct logdir *d, const struct tile *t);
/* Write any file, or replace it; its folder is made. */
int logdir_write(struct logdir *d, const char *path, const void *p, size_t n, struct err *e);
/* All that was written is on the disk when this returns. */
int logdir_sync(struct logdir *d, struct err *e);

#endif
