/* SPDX-License-Identifier: Apache-2.0 */
/* test_hub_parse - facts about what a hub and those who ask it read: ranges of blobs, lines to paste. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "engine/hub_parse.h"
#include "io/join.h"

static const uint8_t fingerprint[32] = {0xab, 0x01, 0xfe};

static void ranges_are_read_as_rfc_9110_has_them(void **state)
{
	static const struct {
		const char *text;
		enum hub_range kind;
		uint64_t first, count;
	} v[] = {{NULL, RANGE_ALL, 0, 0}, {"bytes=0-9", RANGE_PART, 0, 10}, {"bytes=90-", RANGE_PART, 90, 10},
	        {"bytes=-7", RANGE_PART, 93, 7}, {"bytes=-700", RANGE_PART, 0, 100},
	        {"bytes=99-1000", RANGE_PART, 99, 1}, {"bytes=100-", RANGE_BAD, 0, 0},
	        {"bytes=-0", RANGE_BAD, 0, 0}, {"bytes=9-3", RANGE_ALL, 0, 0},
	        {"bytes=0-1,5-6", RANGE_ALL, 0, 0}, {"lines=1-2", RANGE_ALL, 0, 0},
	        {"bytes=99999999999999999999-", RANGE_ALL, 0, 0}};
	uint64_t a, b, c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		assert_int_equal(hub_range(v[i].text, 100, &a, &b), v[i].kind);
		if (v[i].kind == RANGE_PART)
			assert_true(a == v[i].first && b == v[i].count);
	}
	assert_int_equal(hub_range("bytes=0-", 0, &a, &b), RANGE_BAD);
	assert_int_equal(hub_range("bytes=0-", 0, &a, &b), RANGE_BAD);
	assert_int_equal(hub_range("bytes=-5", 0, &a, &b), RANGE_BAD);
	assert_int_equal(hub_content_range("bytes 3-9/20", NULL, &a, &b, &c), 0);
	assert_true(a == 3 && b == 10 && c == 20);
	assert_int_equal(hub_content_range(NULL, "20", &a, &b, &c), 0);
	assert_true(a == 0 && b == 20 && c == 20);
	assert_int_equal(hub_content_range("bytes 3-20/20", "1", &a, &b, &c), -1);
	assert_int_equal(hub_content_range("bytes 9-3/20", "1", &a, &b, &c), -1);
	assert_int_equal(hub_content_range("bytes */20", "1", &a, &b, &c), -1);
	assert_int_equal(hub_content_range(NULL, NULL, &a, &b, &c), -1);
	assert_int_equal(hub_content_range(NULL, "-1", &a, &b, &c), -1);
}

static void lines_to_paste_are_read_back(void **state)
{
	static const char *const bad[] = {"", "http://x#", "https://x", "https://#", "https://x:0#",
	        "https://x:70000#", "https://x y#", "https://x/path#", "https://[::1#", "https://u@x#"};
	char text[JOIN_TOKEN_CHARS + 1], line[256];
	struct join_token t;
	struct join_line l;
	struct err e;

	(void)state;
	join_token_make(fingerprint, &t);
	join_token_print(&t, text);
	(void)snprintf(line, sizeof(line), "https://plant.example#%s", text);
	assert_int_equal(join_line_parse(line, &l, &e), 0);
	assert_string_equal(l.origin, "https://plant.example:7443");
	assert_memory_equal(&l.token, &t, sizeof(t));
	(void)snprintf(line, sizeof(line), "https://[::1]:99/#%s", text);
	assert_int_equal(join_line_parse(line, &l, &e), 0);
	assert_string_equal(l.origin, "https://[::1]:99");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		(void)snprintf(line, sizeof(line), "%s%s", bad[i], strchr(bad[i], '#') ? text : "");
		assert_int_equal(join_line_parse(line, &l, &e), -1);
		assert_true(e.msg[0]);
	}
	(void)snprintf(line, sizeof(line), "https://x#%.43s", text);
	assert_int_equal(join_line_parse(line, &l, &e), -1);
	(void)snprintf(line, sizeof(line), "https://x#B%s", text + 1); /* another version */
	assert_int_equal(join_line_parse(line, &l, &e), -1);
	assert_int_equal(e.code, ERR_VERSION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ranges_are_read_as_rfc_9110_has_them),
	        cmocka_unit_test(lines_to_paste_are_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
