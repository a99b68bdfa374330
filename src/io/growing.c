/* SPDX-License-Identifier: Apache-2.0 */
/* growing - see growing.h. */
#include "io/growing.h"

#include <stdlib.h>

struct growing_chunk {
	struct growing_chunk *next;
	size_t bytes;
	_Alignas(16) uint8_t mem[];
};

static void *grow(void *ctx, size_t n, size_t *out_size)
{
	struct growing *g = ctx;
	size_t want = n > g->chunk_bytes ? n : g->chunk_bytes;
	struct growing_chunk *c = g->spare;

	if (c && c->bytes >= n) {
		g->spare = NULL;
	} else {
		if (want > g->bytes_max - g->bytes)
			want = n;
		if (want > g->bytes_max - g->bytes || want > SIZE_MAX - sizeof(*c))
			return NULL;
		c = malloc(sizeof(*c) + want);
		if (!c)
			abort(); /* the journal makes a restart cheap */
		c->bytes = want;
		g->bytes += want;
	}
	c->next = g->chunks;
	g->chunks = c;
	*out_size = c->bytes & ~(size_t)15;
	return c->mem;
}

void growing_init(struct growing *g, size_t chunk_bytes, size_t bytes_max)
{
	*g = (struct growing){.chunk_bytes = (chunk_bytes + 15) & ~(size_t)15, .bytes_max = bytes_max};
	arena_init(&g->arena, NULL, 0);
	g->arena.grow = grow;
	g->arena.grow_ctx = g;
}

void growing_clear(struct growing *g)
{
	while (g->chunks) {
		struct growing_chunk *c = g->chunks;

		g->chunks = c->next;
		if (!g->spare && c->bytes == g->chunk_bytes) {
			g->spare = c;
		} else {
			g->bytes -= c->bytes;
			free(c);
		}
	}
	g->arena.base = NULL;
	g->arena.size = g->arena.used = 0;
}

void growing_release(struct growing *g)
{
	if (!g)
		return;
	growing_clear(g);
	free(g->spare);
	g->spare = NULL;
	g->bytes = 0;
}
