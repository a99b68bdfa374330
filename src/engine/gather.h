/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather - outputs that are files: read, hashed, and kept as blobs when they are large, off the loop thread.
 *
 * Small ones come back as bytes. A file that cannot be read or kept is `failed`, with why; the others are unharmed. The loop
 * thread starts and ends a gathering; libuv's pool works in between.
 */
#ifndef OSIER_ENGINE_GATHER_H
#define OSIER_ENGINE_GATHER_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "io/blobs.h"

#define GATHER_OUT (-2) /* `which` of stdout */
#define GATHER_ERR (-1)

struct gathered {
	int which;  /* GATHER_OUT, GATHER_ERR, or the number of a declared output */
	int fd;     /* read this instead of path; -1. Closed when done */
	char *path; /* owned; taken away when it becomes a blob */
	uint64_t bytes;
	uint8_t sha256[32];
	uint8_t *data; /* owned; when bytes is 1 .. OUTPUT_SMALL_MAX */
	bool failed;
	char why[200];
};

struct gather;
typedef void (*gather_fn)(void *ctx, struct gather *g, const struct gathered *files, size_t n);

struct gather *gather_new(struct blobs *b, size_t max_files);
/* path is copied; fd is taken. */
void gather_add(struct gather *g, int which, const char *path, int fd);
/* `fn` is called on the loop thread when all are done; then the gathering is freed. */
void gather_go(struct gather *g, uv_loop_t *loop, gather_fn fn, void *ctx);
/* The caller is gone: fn is not called any more. */
void gather_forget(struct gather *g);
void gather_free(struct gather *g); /* one that never went */

#endif
