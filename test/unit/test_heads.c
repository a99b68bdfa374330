/* SPDX-License-Identifier: Apache-2.0 */
/* heads - when the next head is due at a place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "messenger/heads.h"

#define S    UINT64_C(1000000000)
#define HOUR (3600 * S)

static void first_head_is_due_at_once(void **state)
{
	struct head_news none = {0};

	(void)state;
	assert_int_equal(head_due_ns(&none, 5, HOUR, 1000), 0);
}

static void no_newer_head_is_never_due(void **state)
{
	struct head_news last = {.any = true, .size = 5, .time_s = 1000, .state = ANCHORED_FINAL};

	(void)state;
	assert_true(head_due_ns(&last, 5, HOUR, 1000000) == UINT64_MAX);
	assert_true(head_due_ns(&last, 4, HOUR, 1000000) == UINT64_MAX);
	assert_int_equal(head_due_ns(&last, 6, HOUR, 1000000), 0);
}

static void newer_head_waits_for_its_time(void **state)
{
	struct head_news last = {.any = true, .size = 5, .time_s = 1000, .state = ANCHORED_FINAL};

	(void)state;
	assert_true(head_due_ns(&last, 6, HOUR, 1000) == HOUR);
	assert_true(head_due_ns(&last, 6, HOUR, 4599) == S);
	assert_int_equal(head_due_ns(&last, 6, HOUR, 4600), 0);
}

static void clock_set_back_delays_by_one_period_at_most(void **state)
{
	struct head_news last = {.any = true, .size = 5, .time_s = 1000000, .state = ANCHORED_FINAL};

	(void)state;
	assert_true(head_due_ns(&last, 6, HOUR, 10) == HOUR);
}

static void failed_head_is_tried_again_soon_and_not_at_once(void **state)
{
	struct head_news last = {.any = true, .size = 5, .time_s = 1000, .state = ANCHORED_FAILED};

	(void)state;
	assert_true(head_due_ns(&last, 5, HOUR, 1000) == 600 * S);
	assert_int_equal(head_due_ns(&last, 5, HOUR, 1600), 0);
	assert_true(head_due_ns(&last, 5, 2 * S, 1000) == 2 * S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(first_head_is_due_at_once),
	        cmocka_unit_test(no_newer_head_is_never_due),
	        cmocka_unit_test(newer_head_waits_for_its_time),
	        cmocka_unit_test(clock_set_back_delays_by_one_period_at_most),
	        cmocka_unit_test(failed_head_is_tried_again_soon_and_not_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
