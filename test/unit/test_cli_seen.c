/* SPDX-License-Identifier: Apache-2.0 */
/* test_cli_seen - facts about what of a log was shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/seen.h"

static void a_line_is_seen_once(void **state)
{
	struct seen s = {0};

	(void)state;
	assert_false(seen_before(&s, "main", 0, false, 7, 0));
	assert_true(seen_before(&s, "main", 0, false, 7, 0));
	assert_false(seen_before(&s, "main", 0, false, 7, 6));
	assert_true(seen_before(&s, "main", 0, false, 7, 0));
	assert_true(seen_before(&s, "main", 0, false, 7, 6));
	assert_false(seen_before(&s, "main", 0, true, 7, 0));
	assert_false(seen_before(&s, "main", 1, false, 7, 0));
	assert_false(seen_before(&s, "other", 0, false, 7, 0));
	seen_release(&s);
}

static void another_attempt_begins_anew(void **state)
{
	struct seen s = {0};

	(void)state;
	assert_false(seen_before(&s, "main", 3, false, 7, 0));
	assert_false(seen_before(&s, "main", 3, false, 7, 100));
	assert_false(seen_before(&s, "main", 3, false, 9, 0));
	assert_true(seen_before(&s, "main", 3, false, 9, 0));
	assert_false(seen_before(&s, "main", 3, false, 9, 50));
	seen_release(&s);
}

static void many_tasks_are_told_apart(void **state)
{
	struct seen s = {0};

	(void)state;
	for (uint64_t i = 0; i < 100000; i++)
		assert_false(seen_before(&s, i % 2 ? "map" : "reduce", i / 2, i % 3 == 0, i, i));
	for (uint64_t i = 0; i < 100000; i++)
		assert_true(seen_before(&s, i % 2 ? "map" : "reduce", i / 2, i % 3 == 0, i, i));
	seen_release(&s);
}

static void more_than_it_holds_is_said(void **state)
{
	struct seen s = {0};

	(void)state;
	for (uint64_t i = 0; i < SEEN_MAX; i++)
		assert_false(seen_before(&s, "main", i, false, 1, 0));
	assert_false(seen_full(&s));
	assert_false(seen_before(&s, "main", SEEN_MAX, false, 1, 0));
	assert_true(seen_full(&s));
	assert_false(seen_before(&s, "main", 0, false, 1, 0));
	seen_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_line_is_seen_once),
	        cmocka_unit_test(another_attempt_begins_anew),
	        cmocka_unit_test(many_tasks_are_told_apart),
	        cmocka_unit_test(more_than_it_holds_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
