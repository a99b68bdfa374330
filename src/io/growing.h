/* SPDX-License-Identifier: Apache-2.0 */
/*
 * growing - an arena that takes further chunks from the heap, up to a limit. For shells: one per request or file.
 *
 * Not thread-safe. After a clear the first chunk is kept, so that a reused arena costs no malloc.
 */
#ifndef OSIER_IO_GROWING_H
#define OSIER_IO_GROWING_H

#include "base/arena.h"

struct growing_chunk;
struct growing {
	struct arena arena; /* hand &g->arena to whoever allocates */
	struct growing_chunk *chunks, *spare;
	size_t bytes, bytes_max; /* over all chunks */
	size_t chunk_bytes;
};

/* Nothing is allocated yet. chunk_bytes: of a usual chunk; bytes_max: the arena is full then. The struct may not move. */
void growing_init(struct growing *g, size_t chunk_bytes, size_t bytes_max);
/* Forget all blocks; keeps one chunk. */
void growing_clear(struct growing *g);
/* Give everything back. */
void growing_release(struct growing *g);

#endif
