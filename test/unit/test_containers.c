/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about the base containers: pool, heap, bitmap, idmap, blocks, sha2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bitmap.h"
#include "base/blocks.h"
#include "base/check.h"
#include "base/heap.h"
#include "base/idmap.h"
#include "base/pool.h"
#include "base/prng.h"
#include "base/sha2.h"

static _Alignas(16) uint8_t mem[1 << 20];

static void *fresh(void)
{
	memset(mem, 0, sizeof(mem));
	return mem;
}

static void pool_takes_freed_items_first_and_says_full(void **state)
{
	struct pool p;
	uint32_t a, b;

	(void)state;
	pool_init(&p, fresh(), 2, 16);
	a = pool_take(&p);
	b = pool_take(&p);
	assert_int_equal(a, 1);
	assert_int_equal(b, 2);
	assert_int_equal(pool_take(&p), 0);
	memset(pool_at(&p, a), 0xff, 16);
	pool_give(&p, a);
	assert_int_equal(p.n, 1);
	assert_int_equal(pool_take(&p), a);
	for (int i = 0; i < 16; i++)
		assert_int_equal(((uint8_t *)pool_at(&p, a))[i], 0);
}

static void heap_gives_items_in_order_after_any_moves(void **state)
{
	struct heap h;
	struct prng r;
	uint64_t due[201] = {0};
	uint32_t in = 0;

	(void)state;
	heap_init(&h, fresh(), 200);
	prng_init(&r, 7);
	for (int i = 0; i < 5000; i++) {
		uint32_t item = 1 + (uint32_t)prng_below(&r, 200);

		if (prng_chance(&r, 1, 3)) {
			heap_remove(&h, item);
			in -= due[item] != 0;
			due[item] = 0;
		} else {
			in += due[item] == 0;
			due[item] = 1 + prng_below(&r, 50);
			heap_set(&h, item, due[item], item);
		}
		assert_int_equal(heap_due(&h, item), due[item] ? due[item] : UINT64_MAX);
		assert_int_equal(h.n, in);
	}
	for (uint64_t last = 0, tie = 0; h.n; in--) {
		const struct heap_node *x = heap_least(&h);

		assert_int_equal(x->due, due[x->item]);
		assert_true(x->due > last || (x->due == last && x->tie > tie));
		last = x->due;
		tie = x->tie;
		heap_remove(&h, x->item);
	}
	assert_int_equal(in, 0);
	assert_null(heap_least(&h));
}

static void bitmap_agrees_with_an_array_of_bools(void **state)
{
	static const uint64_t sizes[] = {1, 63, 64, 65, 4096, 4097, 9000};
	static uint8_t model[9000];

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
		uint64_t n = sizes[k];
		struct bitmap b;
		struct prng r;

		assert_true(bitmap_bytes(n) <= sizeof(mem));
		b = bitmap_at(fresh(), n);
		memset(model, 0, sizeof(model));
		prng_init(&r, n);
		for (int i = 0; i < 400; i++) {
			uint64_t first = prng_below(&r, n), most = n - first, from = prng_below(&r, n + 2),
			         want, run = 0;
			uint64_t count = 1 + prng_below(&r, prng_chance(&r, 1, 2) && most > 70 ? 70 : most);
			int on = prng_chance(&r, 1, 2);

			memset(model + first, on, count);
			if (on)
				bitmap_set(&b, first, count);
			else
				bitmap_clear(&b, first, count);
			for (want = from; want < n && !model[want]; want++)
				;
			assert_int_equal(bitmap_next(&b, from), want < n ? want : UINT64_MAX);
			while (from + run < n && run < 100 && model[from + run])
				run++;
			assert_int_equal(bitmap_run(&b, from, 100), run);
			assert_int_equal(bitmap_test(&b, first), on);
		}
		for (uint64_t i = 0, sum = 0; i < n; i++) {
			sum += model[i];
			if (i == n - 1)
				assert_int_equal(bitmap_count(&b), sum);
		}
	}
}

static void idmap_finds_every_item_of_a_key(void **state)
{
	struct idmap m;

	(void)state;
	idmap_init(&m, fresh(), 100);
	for (uint32_t i = 1; i <= 100; i++)
		idmap_add(&m, i % 10 ? i * 1000003u : 77, i);
	assert_int_equal(idmap_find(&m, 3 * 1000003u), 3);
	assert_int_equal(idmap_find(&m, 5), 0);
	for (uint32_t i = idmap_find(&m, 77), n = 0;; i = idmap_next(&m, 77, i), n++) {
		if (!i) {
			assert_int_equal(n, 10);
			break;
		}
		assert_int_equal(i % 10, 0);
	}
	idmap_remove(&m, 77, 50);
	for (uint32_t i = idmap_find(&m, 77); i; i = idmap_next(&m, 77, i))
		assert_int_not_equal(i, 50);
	idmap_remove(&m, 3 * 1000003u, 3);
	assert_int_equal(idmap_find(&m, 3 * 1000003u), 0);
}

static void blocks_never_overlap_and_are_zeroed(void **state)
{
	struct blocks b;
	struct prng r;
	struct {
		uint32_t block;
		size_t n;
	} live[64] = {0};

	(void)state;
	blocks_init(&b, fresh(), sizeof(mem));
	prng_init(&r, 3);
	for (int i = 0; i < 20000; i++) {
		size_t k = prng_below(&r, 64);
		uint8_t *p;

		if (live[k].block) {
			p = blocks_at(&b, live[k].block);
			for (size_t j = 0; j < live[k].n; j += 7)
				assert_int_equal(p[j], (uint8_t)(k + 1));
			blocks_give(&b, live[k].block);
			live[k].block = 0;
			continue;
		}
		live[k].n = prng_below(&r, prng_chance(&r, 1, 8) ? 9000 : 300);
		assert_true(blocks_fits(&b, live[k].n));
		live[k].block = blocks_take(&b, live[k].n);
		assert_true(live[k].block);
		p = blocks_at(&b, live[k].block);
		assert_int_equal((uintptr_t)p & 15, 0);
		for (size_t j = 0; j < live[k].n; j++)
			assert_int_equal(p[j], 0);
		memset(p, (int)(k + 1), live[k].n);
	}
}

static void blocks_say_full_and_serve_again_what_was_freed(void **state)
{
	struct blocks b;
	uint32_t a, c;

	(void)state;
	blocks_init(&b, fresh(), 4096);
	assert_false(blocks_fits(&b, 5000));
	a = blocks_take(&b, 3000);
	assert_true(a);
	assert_false(blocks_fits(&b, 1000));
	assert_int_equal(blocks_take(&b, 1000), 0);
	blocks_give(&b, a);
	assert_int_equal(b.used, 0);
	c = blocks_take(&b, 1000);
	assert_true(c);
	assert_int_equal(blocks_take(&b, 3000), c == a ? 0 : a);
}

static void sha2_gives_the_digests_of_the_standard(void **state)
{
	static const uint8_t abc[32] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
	        0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10,
	        0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
	static const uint8_t two[8] = {0x24, 0x8d, 0x6a, 0x61, 0xd2, 0x06, 0x38, 0xb8};
	static const uint8_t million[8] = {0xcd, 0xc7, 0x6e, 0x5c, 0x99, 0x14, 0xfb, 0x92};
	static const char text[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	struct sha2 s;
	uint8_t out[32];

	(void)state;
	sha2_init(&s);
	sha2_add(&s, "abc", 3);
	sha2_end(&s, out);
	assert_memory_equal(out, abc, 32);
	sha2_init(&s);
	sha2_add(&s, text, sizeof(text) - 1);
	sha2_end(&s, out);
	assert_memory_equal(out, two, sizeof(two));
	sha2_init(&s);
	memset(mem, 'a', 1000);
	for (int i = 0; i < 1000; i++)
		sha2_add(&s, mem, 1000);
	sha2_end(&s, out);
	assert_memory_equal(out, million, sizeof(million));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(pool_takes_freed_items_first_and_says_full),
	        cmocka_unit_test(heap_gives_items_in_order_after_any_moves),
	        cmocka_unit_test(bitmap_agrees_with_an_array_of_bools),
	        cmocka_unit_test(idmap_finds_every_item_of_a_key),
	        cmocka_unit_test(blocks_never_overlap_and_are_zeroed),
	        cmocka_unit_test(blocks_say_full_and_serve_again_what_was_freed),
	        cmocka_unit_test(sha2_gives_the_digests_of_the_standard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
