/* SPDX-License-Identifier: Apache-2.0 */
/* journal_batch - entries on their way to the disk. See journal_int.h. */
#include "io/journal_int.h"

#include <sys/mman.h>

#include "base/check.h"

#define MAPPED_BYTES                                                                                         \
	(128u << 10) /* buffers from here on are mappings: what is given back is the system's at once */
#define KEEP_BYTES   (256u << 10) /* a larger buffer is given back after its commit */
#define KEEP_ENTRIES 1024u

bool batch_empty(const struct batch *b)
{
	return b->n == 0 && b->n_forget == 0 && b->drop_before == 0;
}

static void *buffer_grow(void *p, size_t old, size_t size)
{
	void *grown;

	if (size < MAPPED_BYTES)
		return must_grow(p, size);
	if (old >= MAPPED_BYTES) {
		grown = mremap(p, old, size, MREMAP_MAYMOVE);
		CHECK(grown != MAP_FAILED);
		return grown;
	}
	grown = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(grown != MAP_FAILED);
	if (old > 0)
		memcpy(grown, p, old);
	free(p);
	return grown;
}

static void buffer_free(void *p, size_t size)
{
	if (size >= MAPPED_BYTES)
		(void)munmap(p, size);
	else
		free(p);
}

static void reserve(struct batch *b, size_t entries, size_t bytes)
{
	if (b->n + entries > b->cap) {
		size_t cap = b->cap ? b->cap : 16;

		while (cap < b->n + entries)
			cap *= 2;
		b->entry = buffer_grow(b->entry, b->cap * sizeof(*b->entry), cap * sizeof(*b->entry));
		b->cap = cap;
	}
	if (b->used + bytes > b->size) {
		size_t size = b->size ? b->size : 4096;

		while (size < b->used + bytes)
			size *= 2;
		b->bytes = buffer_grow(b->bytes, b->size, size);
		b->size = size;
	}
}

static void append(struct batch *b, const void *p, size_t n)
{
	if (n > 0)
		memcpy(b->bytes + b->used, p, n);
	b->used += n;
}

void batch_add(struct batch *b, const uint8_t *bytes, size_t n, const struct journal_index *index,
        const uint8_t leaf[MERKLE_HASH_BYTES])
{
	struct batch_entry *en;

	reserve(b, 1, n + (index ? index->output_bytes : 0));
	en = &b->entry[b->n++];
	*en = (struct batch_entry){.at = b->used, .bytes = n, .indexed = index != NULL};
	memcpy(en->leaf, leaf, sizeof(en->leaf));
	append(b, bytes, n);
	if (!index)
		return;
	en->job = index->job;
	en->step = index->step;
	en->first = index->first;
	en->count = index->count;
	en->output_bytes = index->output_bytes;
	append(b, index->outputs, index->output_bytes);
}

void batch_add_forget(struct batch *b, uint64_t job)
{
	if (b->n_forget == b->forget_cap) {
		b->forget_cap = b->forget_cap ? 2 * b->forget_cap : 16;
		b->forget = must_grow(b->forget, b->forget_cap * sizeof(*b->forget));
	}
	b->forget[b->n_forget++] = job;
}

void batch_move(struct batch *to, struct batch *from)
{
	size_t base = to->used, n = to->n;

	if (batch_empty(to)) {
		struct batch b = *to;

		*to = *from;
		*from = b;
		return;
	}
	reserve(to, from->n, from->used);
	append(to, from->bytes, from->used);
	for (size_t i = 0; i < from->n; i++) {
		to->entry[n + i] = from->entry[i];
		to->entry[n + i].at += base;
	}
	to->n = n + from->n;
	for (size_t i = 0; i < from->n_forget; i++)
		batch_add_forget(to, from->forget[i]);
	if (from->drop_before > to->drop_before)
		to->drop_before = from->drop_before;
	batch_clear(from);
}

void batch_clear(struct batch *b)
{
	if (b->size > KEEP_BYTES || b->cap > KEEP_ENTRIES || b->forget_cap > KEEP_ENTRIES) {
		batch_release(b);
		return;
	}
	b->n = b->used = b->n_forget = 0;
	b->drop_before = 0;
}

void batch_release(struct batch *b)
{
	buffer_free(b->entry, b->cap * sizeof(*b->entry));
	buffer_free(b->bytes, b->size);
	free(b->forget);
	memset(b, 0, sizeof(*b));
}
