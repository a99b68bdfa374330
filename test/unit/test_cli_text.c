/* SPDX-License-Identifier: Apache-2.0 */
/* test_cli_text - facts about how numbers, times and strange text are written for people and read from options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "cli/args.h"
#include "cli/show.h"
#include "cli/text.h"

static void duration_is_written_in_two_units_at_most(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
	        {0, "0 s"},
	        {1, "1 us"},
	        {850000, "850 us"},
	        {1500000, "1.5 ms"},
	        {12000000, "12 ms"},
	        {999400000, "999 ms"},
	        {999900000, "1 s"},
	        {4200000000, "4.2 s"},
	        {9960000000, "10 s"},
	        {59400000000, "59 s"},
	        {59600000000, "1 m 00 s"},
	        {185000000000, "3 m 05 s"},
	        {7380000000000, "2 h 03 m"},
	        {446400000000000, "5 d 04 h"},
	};
	char s[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(duration_text(cases[i].ns, s, sizeof(s)), cases[i].text);
}

static void size_is_written_in_powers_of_1024(void **state)
{
	char s[32];

	(void)state;
	assert_string_equal(size_text(0, s, sizeof(s)), "0 B");
	assert_string_equal(size_text(1023, s, sizeof(s)), "1023 B");
	assert_string_equal(size_text(1536, s, sizeof(s)), "1.5 KiB");
	assert_string_equal(size_text(512ull << 20, s, sizeof(s)), "512 MiB");
	assert_string_equal(size_text(UINT64_MAX, s, sizeof(s)), "16 EiB");
}

static void counts_and_thousandths_read_well(void **state)
{
	char s[32];

	(void)state;
	assert_string_equal(count_text(0, s, sizeof(s)), "0");
	assert_string_equal(count_text(999, s, sizeof(s)), "999");
	assert_string_equal(count_text(1234567, s, sizeof(s)), "1,234,567");
	assert_string_equal(milli_text(1500, s, sizeof(s)), "1.5");
	assert_string_equal(milli_text(2000, s, sizeof(s)), "2");
	assert_string_equal(milli_text(5, s, sizeof(s)), "0.005");
}

static void duration_option_takes_units_and_sums(void **state)
{
	static const char *const bad[] = {
	        "", "s", "1x", "-1s", "1.s", "1h30", "99999999999999999999s", "1 h", "200000d"};
	uint64_t ns;
	struct err e;

	(void)state;
	assert_int_equal(duration_parse("90", &ns, &e), 0);
	assert_int_equal(ns, 90000000000u);
	assert_int_equal(duration_parse("1500ms", &ns, &e), 0);
	assert_int_equal(ns, 1500000000u);
	assert_int_equal(duration_parse("1h30m", &ns, &e), 0);
	assert_int_equal(ns, 5400000000000u);
	assert_int_equal(duration_parse("0.5s", &ns, &e), 0);
	assert_int_equal(ns, 500000000u);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ns = 7;
		assert_int_equal(duration_parse(bad[i], &ns, &e), -1);
		assert_int_equal(ns, 7);
		assert_non_null(strstr(e.hint, "1h30m"));
	}
}

static void size_option_tells_binary_from_decimal(void **state)
{
	static const char *const bad[] = {"", "M", "1X", "1MiBx", "1MBx", "1e3", "99999999P", "-1", "1 M"};
	uint64_t n;
	struct err e;

	(void)state;
	assert_int_equal(size_parse("100", &n, &e), 0);
	assert_int_equal(n, 100);
	assert_int_equal(size_parse("512MiB", &n, &e), 0);
	assert_int_equal(n, 512u << 20);
	assert_int_equal(size_parse("512M", &n, &e), 0);
	assert_int_equal(n, 512u << 20);
	assert_int_equal(size_parse("2kB", &n, &e), 0);
	assert_int_equal(n, 2000);
	assert_int_equal(size_parse("1.5G", &n, &e), 0);
	assert_int_equal(n, 3ull << 29);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(size_parse(bad[i], &n, &e), -1);
}

static void number_option_names_what_it_is_of(void **state)
{
	uint64_t n = 0;
	struct err e;

	(void)state;
	assert_int_equal(number_parse("12", "--limit", 100, &n, &e), 0);
	assert_int_equal(n, 12);
	assert_int_equal(number_parse("101", "--limit", 100, &n, &e), -1);
	assert_string_equal(e.msg, "--limit is 101, at most 100 is possible");
	assert_int_equal(number_parse("-1", "--limit", 100, &n, &e), -1);
	assert_int_equal(number_parse("1x", "--limit", 100, &n, &e), -1);
	assert_int_equal(number_parse("", "--limit", 100, &n, &e), -1);
}

static void time_is_read_to_the_nanosecond(void **state)
{
	(void)state;
	assert_int_equal(time_parse("1970-01-01T00:00:01.000000001Z"), 1000000001u);
	assert_int_equal(time_parse("1970-01-01T01:00:00+01:00"), 0);
	assert_int_equal(time_parse("1970-01-01T01:00:02.5+01:00"), 2500000000u);
	assert_int_equal(time_parse("1970-01-01T00:00:00-00:30"), 1800000000000u);
	assert_int_equal(time_parse("1970-01-01"), 0);
	assert_int_equal(time_parse("1970-01-01T00:00:01"), 0);
}

static void width_counts_columns_not_bytes(void **state)
{
	size_t w;

	(void)state;
	assert_int_equal(text_width("abc"), 3);
	assert_int_equal(text_width("\xc3\xa4\xc3\xb6"), 2);         /* two umlauts */
	assert_int_equal(text_width("\xe6\x97\xa5\xe6\x9c\xac"), 4); /* two wide characters */
	assert_int_equal(text_width("e\xcc\x81"), 1);                /* e and a combining accent */
	assert_int_equal(text_width("\xff\xfe"), 2);                 /* broken bytes */
	assert_int_equal(text_fit("\xe6\x97\xa5\xe6\x9c\xac", 3, &w), 3);
	assert_int_equal(w, 2);
	assert_int_equal(text_fit("", 3, &w), 0);
}

static void text_cannot_steer_the_terminal(void **state)
{
	struct text t = {0};

	(void)state;
	text_add_clean(&t, "a\033[2Jb\nc\x7f", 9, "\n");
	assert_string_equal(text_str(&t), "a\\x1b[2Jb\nc\\x7f");
	text_clear(&t);
	text_add_clean(&t, "a\0b", 3, "\n\t");
	assert_string_equal(text_str(&t), "a\\x00b");
	text_clear(&t);
	text_add_clean(&t, "\xc0\x80 \xed\xa0\x80 \xc2\x9b", 8, "");
	assert_string_equal(text_str(&t), "?? ??? ?");
	text_release(&t);
}

static void speed_is_cpu_time_over_wall_time(void **state)
{
	const uint64_t s = 1000000000u;

	(void)state;
	assert_int_equal(speed_milli(18 * s, 10 * s, 172), 1800);
	assert_int_equal(speed_milli(6 * s, 10 * s, 2), 600); /* others had the machine */
	assert_int_equal(speed_milli(UINT64_MAX, 2 * s, 2) > 1000000, 1);
}

static void speed_is_left_out_where_there_is_nothing_to_compare(void **state)
{
	const uint64_t s = 1000000000u;

	(void)state;
	assert_int_equal(speed_milli(10 * s, 10 * s, 1), 0);
	assert_int_equal(speed_milli(s, s - 1, 10), 0);
	assert_int_equal(speed_milli(s / 10, 10 * s, 10), 0); /* it slept */
	assert_int_equal(speed_milli(0, 0, 0), 0);
}

static void short_words_are_not_guessed_at(void **state)
{
	static const char *const names[] = {"job", "jobs", "logs", "ns"};

	(void)state;
	assert_null(nearest("foo", names, 4));
	assert_string_equal(nearest("jb", names, 4), "job");
	assert_string_equal(nearest("jov", names, 4), "job");
}

static void near_words_are_found_and_far_ones_are_not(void **state)
{
	static const char *const names[] = {"run", "submit", "jobs", "job", "cancel", "logs"};

	(void)state;
	assert_string_equal(nearest("sumbit", names, 6), "submit");
	assert_string_equal(nearest("cancle", names, 6), "cancel");
	assert_string_equal(nearest("log", names, 6), "logs");
	assert_string_equal(nearest("subm", names, 6), "submit");
	assert_null(nearest("elephant", names, 6));
	assert_int_equal(word_distance("abcd", "acbd", 3), 1);
	assert_int_equal(word_distance("kitten", "sitting", 5), 3);
	assert_int_equal(word_distance("", "abc", 2), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(duration_is_written_in_two_units_at_most),
	        cmocka_unit_test(size_is_written_in_powers_of_1024),
	        cmocka_unit_test(counts_and_thousandths_read_well),
	        cmocka_unit_test(duration_option_takes_units_and_sums),
	        cmocka_unit_test(size_option_tells_binary_from_decimal),
	        cmocka_unit_test(number_option_names_what_it_is_of),
	        cmocka_unit_test(time_is_read_to_the_nanosecond),
	        cmocka_unit_test(width_counts_columns_not_bytes),
	        cmocka_unit_test(text_cannot_steer_the_terminal),
	        cmocka_unit_test(speed_is_cpu_time_over_wall_time),
	        cmocka_unit_test(speed_is_left_out_where_there_is_nothing_to_compare),
	        cmocka_unit_test(short_words_are_not_guessed_at),
	        cmocka_unit_test(near_words_are_found_and_far_ones_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
