/* SPDX-License-Identifier: Apache-2.0 */
/* arena - see arena.h. */
#include "base/arena.h"

#include <string.h>

#include "base/check.h"

void arena_init(struct arena *a, void *mem, size_t size)
{
	CHECK(((uintptr_t)mem & 15) == 0);
	a->base = mem;
	a->size = size;
	a->used = 0;
	a->grow = NULL;
	a->grow_ctx = NULL;
}

void *arena_alloc(struct arena *a, size_t n)
{
	size_t want;
	void *p;

	if (n > SIZE_MAX - 31)
		return NULL;
	want = (n + 15) & ~(size_t)15;
	if (want == 0)
		want = 16;
	if (want > a->size - a->used) {
		size_t got = 0;
		void *chunk = a->grow ? a->grow(a->grow_ctx, want, &got) : NULL;

		if (!chunk)
			return NULL;
		CHECK(((uintptr_t)chunk & 15) == 0 && got >= want);
		a->base = chunk;
		a->size = got;
		a->used = 0;
	}
	p = a->base + a->used;
	a->used += want;
	memset(p, 0, want);
	return p;
}

void *arena_calloc(struct arena *a, size_t count, size_t size)
{
	if (size && count > SIZE_MAX / size)
		return NULL;
	return arena_alloc(a, count * size);
}

void *arena_dup(struct arena *a, const void *p, size_t n)
{
	uint8_t *d;

	if (n == SIZE_MAX)
		return NULL;
	d = arena_alloc(a, n + 1);
	if (d && n)
		memcpy(d, p, n);
	return d;
}

void arena_clear(struct arena *a)
{
	a->used = 0;
}
