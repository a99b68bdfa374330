/* SPDX-License-Identifier: Apache-2.0 */
/* test_gzip - facts about what is made smaller, and for whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/prng.h"
#include "io/gzip.h"

static void text_comes_back_from_fewer_bytes(void **state)
{
	uint8_t text[5000], back[6000], *small;
	z_stream z = {0};
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t) "entries "[(i + i / 700) % 8];
	assert_true(gzip_bytes(text, sizeof(text), &small, &n));
	assert_true(n < sizeof(text) / 4);
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_in = small;
	z.avail_in = (uInt)n;
	z.next_out = back;
	z.avail_out = sizeof(back);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.total_out, sizeof(text));
	assert_memory_equal(back, text, sizeof(text));
	(void)inflateEnd(&z);
	free(small);
}

static void what_gets_no_smaller_is_left(void **state)
{
	uint8_t noise[4096], *small = NULL;
	struct prng r;
	size_t n = 77;

	(void)state;
	prng_init(&r, 1);
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)prng_next(&r);
	assert_false(gzip_bytes(noise, sizeof(noise), &small, &n));
	assert_false(gzip_bytes(noise, 0, &small, &n));
	assert_false(gzip_bytes("short", 5, &small, &n));
	assert_null(small);
	assert_int_equal(n, 77);
}

static void who_takes_gzip_says_so(void **state)
{
	static const char *const yes[] = {"gzip", "GZIP", "deflate, gzip", "br;q=1.0, gzip;q=0.8, *;q=0.1",
	        " gzip ", "gzip;q=0.001", "gzip; q=1", ",,gzip"};
	static const char *const no[] = {"", "identity", "gzip;q=0", "gzip; q=0.000", "gzip;Q=0", "x-gzip",
	        "gzipped", "deflate", "br;gzip", "g zip", ";", ","};

	(void)state;
	assert_false(gzip_accepted(NULL));
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		assert_true(gzip_accepted(yes[i]));
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		assert_false(gzip_accepted(no[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(text_comes_back_from_fewer_bytes),
	        cmocka_unit_test(what_gets_no_smaller_is_left),
	        cmocka_unit_test(who_takes_gzip_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
