/* SPDX-License-Identifier: Apache-2.0 */
/* test_rlp - facts about RLP: the examples of the Yellow Paper and the wiki, one spelling for each value, and bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "core/rlp.h"

static uint8_t out[1024];

static void strings_are_written_as_published(void **state)
{
	static const char lorem[] = "Lorem ipsum dolor sit amet, consectetur adipisicing elit";
	struct rlp_out w;

	(void)state;
	rlp_begin(&w, out, sizeof(out));
	rlp_string(&w, "dog", 3);
	assert_int_equal(rlp_end(&w), 4);
	assert_memory_equal(out,
	        "\x83"
	        "dog",
	        4);
	rlp_begin(&w, out, sizeof(out));
	rlp_string(&w, "", 0);
	rlp_u64(&w, 0);
	rlp_u64(&w, 15);
	rlp_u64(&w, 127);
	rlp_u64(&w, 128);
	rlp_u64(&w, 1024);
	assert_int_equal(rlp_end(&w), 9);
	assert_memory_equal(out, "\x80\x80\x0f\x7f\x81\x80\x82\x04\x00", 9);
	rlp_begin(&w, out, sizeof(out));
	rlp_string(&w, lorem, 56);
	assert_int_equal(rlp_end(&w), 58);
	assert_memory_equal(out, "\xb8\x38Lorem", 7);
	rlp_begin(&w, out, sizeof(out));
	rlp_integer(&w, (const uint8_t *)"\0\0\x01\x02", 4);
	assert_int_equal(rlp_end(&w), 3);
	assert_memory_equal(out, "\x82\x01\x02", 3);
}

static void lists_are_written_as_published(void **state)
{
	static const uint8_t nested[] = {0xc7, 0xc0, 0xc1, 0xc0, 0xc3, 0xc0, 0xc1, 0xc0};
	struct rlp_out w;

	(void)state;
	rlp_begin(&w, out, sizeof(out));
	rlp_list_begin(&w);
	rlp_string(&w, "cat", 3);
	rlp_string(&w, "dog", 3);
	rlp_list_end(&w);
	assert_int_equal(rlp_end(&w), 9);
	assert_memory_equal(out,
	        "\xc8\x83"
	        "cat\x83"
	        "dog",
	        9);
	/* [ [], [[]], [ [], [[]] ] ] */
	rlp_begin(&w, out, sizeof(out));
	rlp_list_begin(&w);
	for (int i = 0; i < 2; i++) {
		if (i)
			rlp_list_begin(&w);
		rlp_list_begin(&w);
		rlp_list_end(&w);
		rlp_list_begin(&w);
		rlp_list_begin(&w);
		rlp_list_end(&w);
		rlp_list_end(&w);
	}
	rlp_list_end(&w);
	rlp_list_end(&w);
	assert_int_equal(rlp_end(&w), sizeof(nested));
	assert_memory_equal(out, nested, sizeof(nested));
}

static void what_does_not_fit_is_not_written(void **state)
{
	static const uint8_t bytes[300];
	uint8_t room[304 + 8];
	struct rlp_out w;
	size_t needed = 303;

	(void)state;
	for (size_t max = 0; max <= needed + 3; max++) {
		memset(room, 0xee, sizeof(room));
		rlp_begin(&w, room, max);
		rlp_list_begin(&w);
		rlp_string(&w, bytes, 297);
		rlp_list_end(&w);
		assert_int_equal(rlp_end(&w), max < needed ? 0 : needed);
		for (size_t i = max; i < sizeof(room); i++)
			assert_int_equal(room[i], 0xee);
	}
}

static void every_value_has_one_spelling(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} wrong[] = {{"", 0}, {"\x81\x00", 2}, {"\x81\x7f", 2}, {"\x81", 1},
	        {"\x83"
	         "do",
	                3},
	        {"\xb8\x37", 2}, {"\xb8\x00", 2}, {"\xb9\x00\x38", 3}, {"\xb9\x01", 2},
	        {"\xbf\xff\xff\xff\xff\xff\xff\xff\xff", 9}, {"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9},
	        {"\xc1", 1}, {"\xf8\x37", 2}, {"\xf8", 1}};
	struct rlp_item item;
	struct rlp_in r;
	uint8_t be[4];
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct err e = {0};

		r = (struct rlp_in){(const uint8_t *)wrong[i].bytes, wrong[i].n};
		assert_int_equal(rlp_next(&r, &item, &e), -1);
		assert_int_equal(e.code, ERR_CORRUPT);
	}
	r = (struct rlp_in){(const uint8_t *)"\x00", 1};
	assert_int_equal(rlp_next_u64(&r, &v, NULL), -1);
	r = (struct rlp_in){(const uint8_t *)"\x82\x00\x01", 3};
	assert_int_equal(rlp_next_u64(&r, &v, NULL), -1);
	r = (struct rlp_in){(const uint8_t *)"\x89\x01\x02\x03\x04\x05\x06\x07\x08\x09", 10};
	assert_int_equal(rlp_next_u64(&r, &v, NULL), -1);
	r = (struct rlp_in){(const uint8_t *)"\x83\x01\x02\x03\xc0\x80\x05", 7};
	assert_int_equal(rlp_next_integer(&r, be, sizeof(be), NULL), 0);
	assert_memory_equal(be, "\0\x01\x02\x03", 4);
	assert_int_equal(rlp_next_kind(&r, RLP_LIST, &item, NULL), 0);
	assert_int_equal(item.n, 0);
	assert_int_equal(rlp_next_u64(&r, &v, NULL), 0);
	assert_int_equal(v, 0);
	assert_int_equal(rlp_next_kind(&r, RLP_LIST, &item, NULL), -1);
}

static void what_is_written_can_be_read(void **state)
{
	static const size_t sizes[] = {0, 1, 2, 54, 55, 56, 57, 255, 256, 257, 700};
	uint8_t bytes[700];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct rlp_item list, item;
		struct rlp_out w;
		struct rlp_in r;
		uint64_t v;

		memset(bytes, 0xa5, sizeof(bytes));
		rlp_begin(&w, out, sizeof(out));
		rlp_list_begin(&w);
		rlp_string(&w, bytes, sizes[i]);
		rlp_u64(&w, UINT64_MAX);
		rlp_list_end(&w);
		r = (struct rlp_in){out, rlp_end(&w)};
		assert_true(r.left > 0);
		assert_int_equal(rlp_next_kind(&r, RLP_LIST, &list, NULL), 0);
		assert_int_equal(r.left, 0);
		r = (struct rlp_in){list.p, list.n};
		assert_int_equal(rlp_next_kind(&r, RLP_STRING, &item, NULL), 0);
		assert_int_equal(item.n, sizes[i]);
		assert_memory_equal(item.p, bytes, sizes[i]);
		assert_int_equal(rlp_next_u64(&r, &v, NULL), 0);
		assert_true(v == UINT64_MAX);
		assert_int_equal(r.left, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(strings_are_written_as_published),
	        cmocka_unit_test(lists_are_written_as_published),
	        cmocka_unit_test(what_does_not_fit_is_not_written),
	        cmocka_unit_test(every_value_has_one_spelling),
	        cmocka_unit_test(what_is_written_can_be_read)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
