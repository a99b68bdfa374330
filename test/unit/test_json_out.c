/* SPDX-License-Identifier: Apache-2.0 */
/* json_out - what is written parses, and says what was meant. jansson is the judge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/prng.h"
#include "engine/json_out.h"

static void is(struct json_out *o, const char *text)
{
	assert_int_equal(o->n, strlen(text));
	assert_memory_equal(o->buf, text, o->n);
	jo_clear(o);
}

static void commas_come_by_themselves(void **state)
{
	struct json_out o;

	(void)state;
	jo_init(&o);
	jo_object(&o);
	jo_key(&o, "a");
	jo_array(&o);
	jo_u64(&o, 1);
	jo_str(&o, "[");
	jo_array(&o);
	jo_array_end(&o);
	jo_null(&o);
	jo_bool(&o, true);
	jo_array_end(&o);
	jo_key_text(&o, "b:\"");
	jo_object(&o);
	jo_object_end(&o);
	jo_key(&o, "c");
	jo_i64(&o, -5);
	jo_object_end(&o);
	is(&o, "{\"a\":[1,\"[\",[],null,true],\"b:\\\"\":{},\"c\":-5}");
	jo_release(&o);
}

static void amounts_are_exact_to_the_last_digit(void **state)
{
	static const struct {
		int64_t v;
		unsigned decimals;
		const char *text;
	} all[] = {
	        {0, 3, "0"},
	        {1500, 3, "1.5"},
	        {1, 3, "0.001"},
	        {-1, 3, "-0.001"},
	        {1000, 3, "1"},
	        {-2500, 3, "-2.5"},
	        {7, 0, "7"},
	        {123456789, 9, "0.123456789"},
	        {INT64_MAX, 9, "9223372036.854775807"},
	        {INT64_MIN, 0, "-9223372036854775808"},
	};
	struct json_out o;

	(void)state;
	jo_init(&o);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		jo_fixed(&o, all[i].v, all[i].decimals);
		is(&o, all[i].text);
	}
	jo_u64(&o, UINT64_MAX);
	is(&o, "18446744073709551615");
	jo_seconds(&o, UINT64_MAX);
	is(&o, "9223372036.854775807");
	jo_release(&o);
}

static void strings_of_any_bytes_are_valid_json(void **state)
{
	struct prng p;
	struct json_out o;

	(void)state;
	prng_init(&p, 11);
	jo_init(&o);
	for (int round = 0; round < 20000; round++) {
		uint8_t bytes[24];
		size_t n = prng_below(&p, sizeof(bytes) + 1);
		json_t *j;

		for (size_t i = 0; i < n; i++)
			bytes[i] =
			        (uint8_t)(prng_chance(&p, 1, 2) ? prng_below(&p, 128) : prng_below(&p, 256));
		jo_clear(&o);
		jo_array(&o);
		jo_str_n(&o, (const char *)bytes, n);
		jo_array_end(&o);
		j = json_loadb(o.buf, o.n, JSON_ALLOW_NUL, NULL);
		assert_non_null(j);
		/* What was valid came through unchanged. */
		size_t valid = 0, len;
		while (valid < n && (len = utf8_length(bytes + valid, n - valid)))
			valid += len;
		if (valid == n) {
			json_t *s = json_array_get(j, 0);

			assert_int_equal(json_string_length(s), n);
			if (n)
				assert_memory_equal(json_string_value(s), bytes, n);
		}
		json_decref(j);
	}
	jo_release(&o);
}

static void bytes_that_are_not_utf8_become_replacement_characters(void **state)
{
	static const struct {
		const char *in, *out;
	} all[] = {
	        {"a\xff"
	         "b",
	                "\"a\xef\xbf\xbd"
	                "b\""},
	        {"\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong '/' */
	        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate */
	        {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
	        {"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""}, /* cut */
	        {"\xe2\x82\xac", "\"\xe2\x82\xac\""},
	        {"\x01\n\x7f", "\"\\u0001\\n\\u007f\""},
	};
	struct json_out o;

	(void)state;
	jo_init(&o);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		jo_str(&o, all[i].in);
		is(&o, all[i].out);
	}
	jo_release(&o);
}

static void times_agree_with_the_calendar(void **state)
{
	char text[TIME_TEXT_BYTES];
	struct prng p;
	uint64_t back;

	(void)state;
	prng_init(&p, 3);
	for (int i = 0; i < 20000; i++) {
		uint64_t ns = prng_below(&p, UINT64_C(9214646400) * 1000000000u); /* until 2262 */
		time_t s = (time_t)(ns / 1000000000u);
		char want[TIME_TEXT_BYTES + 40];
		struct tm tm;

		gmtime_r(&s, &tm);
		snprintf(want, sizeof(want), "%04d-%02d-%02dT%02d:%02d:%02d.%09uZ", tm.tm_year + 1900,
		        tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		        (unsigned)(ns % 1000000000u));
		jo_time_text(ns, text);
		assert_string_equal(text, want);
		assert_int_equal(jo_time_parse(text, &back), 0);
		assert_int_equal(back, ns);
	}
}

static void times_with_zones_are_read_and_nonsense_is_not(void **state)
{
	static const char *const bad[] = {"", "2026-11-21", "2026-11-21T10:00:00", "2026-02-29T10:00:00Z",
	        "2026-13-01T10:00:00Z", "2026-11-21T24:00:00Z", "2026-11-21T10:00:00.Z",
	        "2026-11-21T10:00:00+25:00", "1969-12-31T23:59:59Z", "9999-01-01T00:00:00Z",
	        "2026-11-21T10:00:00Zx"};
	uint64_t a, b;

	(void)state;
	assert_int_equal(jo_time_parse("2026-11-21T10:00:00.5+01:30", &a), 0);
	assert_int_equal(jo_time_parse("2026-11-21T08:30:00.500Z", &b), 0);
	assert_int_equal(a, b);
	assert_int_equal(jo_time_parse("2024-02-29t10:00:00z", &a), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(jo_time_parse(bad[i], &a), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(commas_come_by_themselves),
	        cmocka_unit_test(amounts_are_exact_to_the_last_digit),
	        cmocka_unit_test(strings_of_any_bytes_are_valid_json),
	        cmocka_unit_test(bytes_that_are_not_utf8_become_replacement_characters),
	        cmocka_unit_test(times_agree_with_the_calendar),
	        cmocka_unit_test(times_with_zones_are_read_and_nonsense_is_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
