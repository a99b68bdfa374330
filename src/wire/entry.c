/* SPDX-License-Identifier: Apache-2.0 */
/* entry - see entry.h. */
#include "wire/entry.h"

#include <string.h>

#include "base/check.h"

static void *allocate(void *ctx, size_t n)
{
	return arena_alloc(ctx, n);
}

static void release(void *ctx, void *p)
{
	(void)ctx;
	(void)p;
}

void arena_allocator(struct arena *a, ProtobufCAllocator *out)
{
	out->alloc = allocate;
	out->free = release;
	out->allocator_data = a;
}

size_t entry_size(const Wire__Entry *en)
{
	return wire__entry__get_packed_size(en);
}

size_t entry_encode(const Wire__Entry *en, uint8_t *out)
{
	return wire__entry__pack(en, out);
}

size_t jobspec_size(const Wire__JobSpec *spec)
{
	return wire__job_spec__get_packed_size(spec);
}

size_t jobspec_encode(const Wire__JobSpec *spec, uint8_t *out)
{
	return wire__job_spec__pack(spec, out);
}
