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
	        cmocka_unit_test(arena_is_full_when_it_is_full),
	        cmocka_unit_test(same_seed_gives_same_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
