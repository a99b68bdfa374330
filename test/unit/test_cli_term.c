/* SPDX-License-Identifier: Apache-2.0 */
/* test_cli_term - facts about tables and progress lines as they are rendered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/term.h"

static void table_columns_line_up(void **state)
{
	struct table *t = table_new();
	struct text out = {0};

	(void)state;
	table_column(t, "JOB", LEFT, true);
	table_column(t, "TASKS", RIGHT, false);
	table_column(t, "STATE", LEFT, false);
	table_cell(t, BOLD, "pi-1");
	table_cell(t, PLAIN, "3/400");
	table_cell(t, CYAN, "running");
	table_cell(t, BOLD, "\xe6\x97\xa5\xe6\x9c\xac-12");
	table_cell(t, PLAIN, "1");
	table_cell(t, CYAN, "ok");
	table_render(t, stdout, 0, &out);
	assert_string_equal(text_str(&out), "JOB      TASKS  STATE\n"
	                                    "pi-1     3/400  running\n"
	                                    "\xe6\x97\xa5\xe6\x9c\xac-12      1  ok\n");
	assert_int_equal(table_rows(t), 2);
	text_release(&out);
	table_free(t);
}

static void flexible_column_gives_way_to_the_terminal(void **state)
{
	struct table *t = table_new();
	struct text out = {0};

	(void)state;
	table_column(t, "NAME", LEFT, true);
	table_column(t, "N", RIGHT, false);
	table_cell(t, PLAIN, "a-very-long-name-indeed");
	table_cell(t, PLAIN, "12345");
	table_render(t, stdout, 20, &out);
	assert_string_equal(text_str(&out), "NAME               N\n"
	                                    "a-very-long-.  12345\n");
	text_release(&out);
	table_free(t);
}

static void cells_cannot_carry_escapes(void **state)
{
	struct table *t = table_new();
	struct text out = {0};

	(void)state;
	table_column(t, "NAME", LEFT, true);
	table_cell(t, PLAIN, "x\033[31m\ny");
	table_render(t, stdout, 0, &out);
	assert_null(strchr(text_str(&out), '\033'));
	assert_string_equal(text_str(&out), "NAME\nx\\x1b[31m\\x0ay\n");
	text_release(&out);
	table_free(t);
}

static const struct progress_row half = {.name = "pi-17",
        .state = "running",
        .total = 400,
        .succeeded = 198,
        .failed = 2,
        .running = 4,
        .elapsed_ns = 20000000000u,
        .rate_milli = 10000};

static void plain_progress_line_says_it_all(void **state)
{
	struct text out = {0};

	(void)state;
	progress_line(&out, &half, 0, 0, false);
	assert_string_equal(text_str(&out), "pi-17   50%  200/400, 4 running, 2 failed  10/s  20 s left");
	text_release(&out);
}

static void progress_bar_fits_any_width(void **state)
{
	struct text out = {0};

	(void)state;
	for (size_t columns = 1; columns < 200; columns++) {
		text_clear(&out);
		progress_line(&out, &half, columns, 5, true);
		assert_true(text_width(text_str(&out)) <= columns);
	}
	text_clear(&out);
	progress_line(&out, &half, 90, 0, true);
	assert_string_equal(text_str(&out),
	        "pi-17 [##############...............]  50%  200/400, 4 running, 2 failed  10/s  20 s left");
	text_release(&out);
}

static void finished_job_shows_its_time_not_what_is_left(void **state)
{
	struct progress_row r = {.name = "a-1",
	        .state = "succeeded",
	        .total = 10,
	        .succeeded = 10,
	        .elapsed_ns = 1500000000u,
	        .rate_milli = 6666};
	struct text out = {0};

	(void)state;
	progress_line(&out, &r, 0, 0, false);
	assert_string_equal(text_str(&out), "a-1  100%  10/10  6.7/s  in 1.5 s");
	text_release(&out);
}

static void empty_and_overfull_jobs_are_drawn(void **state)
{
	struct progress_row r = {.name = "a-1", .state = "", .total = 0, .succeeded = 3};
	struct text out = {0};

	(void)state;
	progress_line(&out, &r, 80, 0, true);
	assert_non_null(strstr(text_str(&out), "0%  3/0"));
	text_clear(&out);
	r.total = 1;
	r.rate_milli = 1;
	progress_line(&out, &r, 80, 0, true);
	assert_non_null(strstr(text_str(&out), "100%"));
	text_release(&out);
}

static void slow_jobs_are_told_per_minute(void **state)
{
	struct progress_row r = {
	        .name = "a-1", .state = "running", .total = 10, .succeeded = 1, .rate_milli = 50};
	struct text out = {0};

	(void)state;
	progress_line(&out, &r, 0, 0, false);
	assert_string_equal(text_str(&out), "a-1   10%  1/10  3/min  3 m 00 s left");
	text_release(&out);
}

static void what_is_left_is_told_in_seconds_at_least(void **state)
{
	struct progress_row r = {
	        .name = "a-1", .state = "running", .total = 10, .succeeded = 9, .rate_milli = 50000};
	struct text out = {0};

	(void)state;
	progress_line(&out, &r, 0, 0, false);
	assert_string_equal(text_str(&out), "a-1   90%  9/10  50/s  <1 s left");
	text_release(&out);
}

static int plain(void **state)
{
	(void)state;
	(void)setenv("LC_ALL", "C", 1);
	term_init(COLOUR_NEVER);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(table_columns_line_up),
	        cmocka_unit_test(flexible_column_gives_way_to_the_terminal),
	        cmocka_unit_test(cells_cannot_carry_escapes),
	        cmocka_unit_test(plain_progress_line_says_it_all),
	        cmocka_unit_test(progress_bar_fits_any_width),
	        cmocka_unit_test(finished_job_shows_its_time_not_what_is_left),
	        cmocka_unit_test(empty_and_overfull_jobs_are_drawn),
	        cmocka_unit_test(slow_jobs_are_told_per_minute),
	        cmocka_unit_test(what_is_left_is_told_in_seconds_at_least),
	};

	return cmocka_run_group_tests(tests, plain, NULL);
}
