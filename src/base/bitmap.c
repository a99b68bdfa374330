/* SPDX-License-Identifier: Apache-2.0 */
/* bitmap - see bitmap.h. */
#include "base/bitmap.h"

#include "base/check.h"

static uint64_t words_of(uint64_t n)
{
	return (n + 63) / 64;
}

size_t bitmap_bytes(uint64_t n)
{
	size_t words = 0;

	do {
		n = words_of(n);
		words += n;
	} while (n > 1);
	return words * 8;
}

struct bitmap bitmap_at(void *mem, uint64_t n)
{
	struct bitmap b = {.n = n};
	uint64_t *p = mem, words = n;

	CHECK(n > 0);
	do {
		CHECK(b.n_levels < BITMAP_LEVELS_MAX);
		words = words_of(words);
		b.level[b.n_levels++] = p;
		p += words;
	} while (words > 1);
	return b;
}

bool bitmap_test(const struct bitmap *b, uint64_t i)
{
	return b->level[0][i / 64] >> (i % 64) & 1;
}

/* Bits lo..hi (inclusive) of a word. */
static uint64_t mask(uint64_t lo, uint64_t hi)
{
	return UINT64_MAX << lo & UINT64_MAX >> (63 - hi);
}

void bitmap_set(struct bitmap *b, uint64_t first, uint64_t count)
{
	uint64_t lo = first, hi = first + count - 1;

	CHECK(count > 0 && first < b->n && count <= b->n - first);
	for (unsigned k = 0; k < b->n_levels; k++) {
		uint64_t *w = b->level[k], a = lo / 64, z = hi / 64;

		for (uint64_t i = a; i <= z; i++)
			w[i] |= mask(i == a ? lo % 64 : 0, i == z ? hi % 64 : 63);
		lo = a;
		hi = z;
	}
}

void bitmap_clear(struct bitmap *b, uint64_t first, uint64_t count)
{
	uint64_t lo = first, hi = first + count - 1;

	CHECK(count > 0 && first < b->n && count <= b->n - first);
	for (unsigned k = 0; k < b->n_levels; k++) {
		uint64_t *w = b->level[k], a = lo / 64, z = hi / 64;

		for (uint64_t i = a; i <= z; i++)
			w[i] &= ~mask(i == a ? lo % 64 : 0, i == z ? hi % 64 : 63);
		/* Only words that became zero leave the next level; those inside are. */
		lo = w[a] ? a + 1 : a;
		if (w[z] && z == 0)
			return;
		hi = w[z] ? z - 1 : z;
		if (lo > hi)
			return;
	}
}

uint64_t bitmap_next(const struct bitmap *b, uint64_t from)
{
	unsigned k = 0;
	uint64_t i = from, words = words_of(b->n);

	if (from >= b->n)
		return UINT64_MAX;
	for (;;) {
		uint64_t w = i / 64 < words ? b->level[k][i / 64] & UINT64_MAX << (i % 64) : 0;

		if (w) {
			i = (i & ~(uint64_t)63) + (uint64_t)__builtin_ctzll(w);
			while (k > 0) {
				k--;
				i = i * 64 + (uint64_t)__builtin_ctzll(b->level[k][i]);
			}
			return i;
		}
		if (k + 1 == b->n_levels || i / 64 + 1 >= words)
			return UINT64_MAX;
		i = i / 64 + 1;
		words = words_of(words);
		k++;
	}
}

uint64_t bitmap_run(const struct bitmap *b, uint64_t from, uint64_t most)
{
	uint64_t end, i = from;

	if (from >= b->n)
		return 0;
	end = most < b->n - from ? from + most : b->n;
	while (i < end) {
		uint64_t w = ~b->level[0][i / 64] >> (i % 64);

		if (w) {
			i += (uint64_t)__builtin_ctzll(w);
			return (i < end ? i : end) - from;
		}
		i = (i & ~(uint64_t)63) + 64;
	}
	return end - from;
}

uint64_t bitmap_count(const struct bitmap *b)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < words_of(b->n); i++)
		n += (uint64_t)__builtin_popcountll(b->level[0][i]);
	return n;
}
