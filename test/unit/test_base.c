/* SPDX-License-Identifier: Apache-2.0 */
/* test_base - facts about errors, arenas and the seeded generator. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/prng.h"

static void wrapped_error_reads_from_outside_in(void **state)
{
	struct err e = {0};

	(void)state;
	errno = ENOENT;
	assert_int_equal(err_sys(&e, "cannot open '%s'", "x"), -1);
	assert_int_equal(err_wrap(&e, "starting node %d", 3), -1);
	assert_string_equal(e.msg, "starting node 3: cannot open 'x': No such file or directory");
	assert_int_equal(e.sys, ENOENT);
}

static void overlong_error_is_cut_and_stays_terminated(void **state)
{
	struct err e = {0};
	char big[600];

	(void)state;
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	(void)err_set(&e, ERR_INVALID, "%s", big);
	(void)err_wrap(&e, "%s", big);
	assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
}

/* All of it in words of a peer: cut in the middle of a character, no UTF-8 at all, what a terminal would obey. */
static void words_of_an_error_are_text(void **state)
{
	struct err e = {0};
	char big[600];

	(void)state;
	memset(big, 'a', sizeof(big));
	memcpy(big + sizeof(e.msg) - 2, "\xc3\xa4", 3);
	(void)err_set(&e, ERR_INVALID, "%s", big);
	assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
	assert_int_equal(e.msg[sizeof(e.msg) - 2], '?');
	(void)err_set(&e, ERR_INVALID, "'%.3s' \xff %s", "ab\xc3\xa4", "\x1b[2J\xc2\x9b\x7f");
	(void)err_hint(&e, "\xe2\x82\xac, \xe2\x82");
	assert_string_equal(e.msg, "'ab?' ? ?[2J???");
	assert_string_equal(e.hint, "\xe2\x82\xac, ??");
	(void)err_wrap(&e, "\xc0\nb\u00e4");
	assert_string_equal(e.msg, "?\nb\xc3\xa4: 'ab?' ? ?[2J???");
}

static void arena_is_full_when_it_is_full(void **state)
{
	_Alignas(16) uint8_t mem[64];
	struct arena a;

	(void)state;
	arena_init(&a, mem, sizeof(mem));
	assert_non_null(arena_alloc(&a, 33));
	assert_non_null(arena_alloc(&a, 0));
	assert_null(arena_alloc(&a, 1));
	assert_null(arena_calloc(&a, SIZE_MAX / 2, 3));
	arena_clear(&a);
	assert_non_null(arena_alloc(&a, 64));
}

static void same_seed_gives_same_numbers(void **state)
{
	struct prng a, b;

	(void)state;
	prng_init(&a, 7);
	prng_init(&b, 7);
	for (int i = 0; i < 1000; i++) {
		uint64_t n = 1 + (uint64_t)i * 77, x = prng_below(&a, n);

		assert_int_equal(x, prng_below(&b, n));
		assert_true(x < n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(wrapped_error_reads_from_outside_in),
	        cmocka_unit_test(overlong_error_is_cut_and_stays_terminated),
	        cmocka_unit_test(words_of_an_error_are_text),
	        cmocka_unit_test(arena_is_full_when_it_is_full),
	        cmocka_unit_test(same_seed_gives_same_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
