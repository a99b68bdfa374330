/* SPDX-License-Identifier: Apache-2.0 */
/* api_path - request lines and names, as clients write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/api_path.h"

/* ---- paths ---- */

static void a_path_is_cut_and_each_segment_decoded(void **state)
{
	const char *bound[PATH_BINDS_MAX];
	struct path p;
	struct err e;

	(void)state;
	assert_int_equal(path_split("/v1/jobs/a%20b%2Fc/tasks/", 0, &p, &e), 0);
	assert_int_equal(p.n, 4);
	assert_string_equal(p.v[2], "a b/c");
	assert_true(path_match(&p, "/v1/jobs/{job}/tasks", bound));
	assert_string_equal(bound[0], "a b/c");
	assert_false(path_match(&p, "/v1/jobs/{job}", bound));
	assert_false(path_match(&p, "/v1/jobs/{job}/tasks/{step}", bound));
	assert_false(path_match(&p, "/v1/jobs/{job}/task", bound));
}

static void the_rest_of_a_path_keeps_its_slashes(void **state)
{
	const char *bound[PATH_BINDS_MAX];
	struct path p;
	struct err e;

	(void)state;
	assert_int_equal(path_split("/v1/jobs/1/tasks/s/0/output/dir/file%2etxt", 8, &p, &e), 0);
	assert_true(path_match(&p, "/v1/jobs/{job}/tasks/{step}/{index}/output/{name}", bound));
	assert_string_equal(bound[3], "dir/file.txt");
}

static void hostile_paths_are_refused(void **state)
{
	static const char *const bad[] = {"", "x", "*", "/%", "/%4", "/%zz", "/a%00b", "/%ff", "/%c0%af",
	        "/1/2/3/4/5/6/7/8/9/10/11/12/13"};
	char *huge = malloc(PATH_BYTES_MAX + 2);
	const char *bound[PATH_BINDS_MAX];
	struct path p;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(path_split(bad[i], 0, &p, &e), -1);
	memset(huge, '/', PATH_BYTES_MAX + 1);
	huge[PATH_BYTES_MAX + 1] = 0;
	assert_int_equal(path_split(huge, 0, &p, &e), -1);
	huge[5] = 0;
	assert_int_equal(path_split(huge, 0, &p, &e), 0);
	assert_false(path_match(&p, "/{a}/{b}", bound)); /* nothing is bound to nothing */
	free(huge);
}

static void numbers_are_whole_and_fit(void **state)
{
	uint64_t v;
	int64_t s;
	uint8_t d[32];

	(void)state;
	assert_int_equal(path_number("18446744073709551615", &v), 0);
	assert_int_equal(v, UINT64_MAX);
	assert_int_equal(path_number("18446744073709551616", &v), -1);
	assert_int_equal(path_number("99999999999999999999", &v), -1);
	assert_int_equal(path_number("", &v), -1);
	assert_int_equal(path_number("+1", &v), -1);
	assert_int_equal(path_number("1 ", &v), -1);
	assert_int_equal(path_signed("-12", &s), 0);
	assert_int_equal(s, -12);
	assert_int_equal(path_signed("-", &s), -1);
	assert_int_equal(path_signed("9223372036854775808", &s), -1);
	assert_int_equal(path_digest("00", d), -1);
	assert_int_equal(
	        path_digest("zz11223344556677889900aabbccddeeff00112233445566778899aabbccddee", d), -1);
	assert_int_equal(
	        path_digest("0011223344556677889900aabbccddeeff00112233445566778899AABBCCDDEE", d), 0);
	assert_int_equal(d[1], 0x11);
	assert_int_equal(d[31], 0xee);
}

/* ---- names ---- */

static const char *const names[] = {
        NULL, "pi", "pi", "word-count", "pi", "pix", "last", "7"}; /* jobs 1 to 7; 4 is forgotten */
#define FORGOTTEN 4u

static bool get(void *ctx, uint64_t job, const char **out)
{
	(void)ctx;
	if (job == 0 || job >= sizeof(names) / sizeof(names[0]) || job == FORGOTTEN)
		return false;
	*out = names[job];
	return true;
}

static bool below(void *ctx, uint64_t before, uint64_t *out_job, const char **out_name)
{
	uint64_t job = before ? before : sizeof(names) / sizeof(names[0]);

	while (job-- > 1)
		if (get(ctx, job, out_name)) {
			*out_job = job;
			return true;
		}
	return false;
}

static bool none_below(void *ctx, uint64_t before, uint64_t *out_job, const char **out_name)
{
	(void)ctx, (void)before, (void)out_job, (void)out_name;
	return false;
}

static const struct name_source jobs = {.below = below, .get = get};

static uint64_t resolve(const char *name)
{
	uint64_t job = 0;

	return name_resolve(&jobs, name, &job, NULL, NULL) == 0 ? job : 0;
}

static void a_job_answers_to_all_its_names(void **state)
{
	(void)state;
	assert_int_equal(resolve("1"), 1);
	assert_int_equal(resolve("pi-1"), 1);
	assert_int_equal(resolve("word-count-3"), 3);
	assert_int_equal(resolve("w"), 3);
	assert_int_equal(resolve("pix"), 5);
	assert_int_equal(resolve("last"), 7); /* always the newest, whatever jobs are called */
	assert_int_equal(resolve("last-6"), 6);
	assert_int_equal(resolve("7"), 7);
	assert_int_equal(resolve("7-7"), 7);
}

static void a_name_of_nothing_is_not_found(void **state)
{
	const struct name_source none = {.below = none_below, .get = get};
	struct err e;
	uint64_t job;

	(void)state;
	assert_int_equal(resolve("pi-4"), 0); /* forgotten */
	assert_int_equal(resolve("4"), 0);
	assert_int_equal(resolve("pi-3"), 0); /* 3 has another name */
	assert_int_equal(resolve("99"), 0);
	assert_int_equal(resolve("zzz"), 0);
	assert_int_equal(resolve(""), 0);
	assert_int_equal(name_resolve(&none, "last", &job, NULL, &e), -1);
	assert_int_equal(e.code, ERR_NOTFOUND);
}

static void an_ambiguous_prefix_lists_what_it_could_be(void **state)
{
	struct name_candidates c;
	struct err e;
	uint64_t job;

	(void)state;
	assert_int_equal(name_resolve(&jobs, "pi", &job, &c, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_int_equal(c.n, 3);
	assert_string_equal(c.v[0], "pix-5"); /* newest first */
	assert_string_equal(c.v[2], "pi-1");
	assert_false(c.more);
}

static bool many_below(void *ctx, uint64_t before, uint64_t *out_job, const char **out_name)
{
	(void)ctx;
	*out_job = before ? before - 1 : 1000;
	*out_name = "pi";
	return *out_job > 0;
}

static void candidates_are_bounded(void **state)
{
	const struct name_source many = {.below = many_below, .get = get};
	struct name_candidates c;
	uint64_t job;

	(void)state;
	assert_int_equal(name_resolve(&many, "p", &job, &c, NULL), -1);
	assert_int_equal(c.n, NAME_CANDIDATES_MAX);
	assert_true(c.more);
}

static void names_of_tasks_are_cut(void **state)
{
	static const char *const bad[] = {"", "/", "a/", "/a", "a//b", "a/b/", "a/b/c/d"};
	char text[64] = "pi-17/split/5", two[] = "pi-17/5", one[] = "last";
	const char *job, *step, *index;
	struct err e;

	(void)state;
	assert_int_equal(name_cut(text, &job, &step, &index, &e), 0);
	assert_string_equal(job, "pi-17");
	assert_string_equal(step, "split");
	assert_string_equal(index, "5");
	assert_int_equal(name_cut(two, &job, &step, &index, &e), 0);
	assert_string_equal(step, "5");
	assert_null(index);
	assert_int_equal(name_cut(one, &job, &step, &index, &e), 0);
	assert_null(step);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "%s", bad[i]);
		assert_int_equal(name_cut(text, &job, &step, &index, &e), -1);
	}
}

static void a_long_name_is_cut_and_its_number_stays(void **state)
{
	char out[12];

	(void)state;
	job_name_text("a-very-long-name", 123, out, sizeof(out));
	assert_string_equal(out, "a-very--123");
	job_name_text("pi", 1, out, sizeof(out));
	assert_string_equal(out, "pi-1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_path_is_cut_and_each_segment_decoded),
	        cmocka_unit_test(the_rest_of_a_path_keeps_its_slashes),
	        cmocka_unit_test(hostile_paths_are_refused),
	        cmocka_unit_test(numbers_are_whole_and_fit),
	        cmocka_unit_test(a_job_answers_to_all_its_names),
	        cmocka_unit_test(a_name_of_nothing_is_not_found),
	        cmocka_unit_test(an_ambiguous_prefix_lists_what_it_could_be),
	        cmocka_unit_test(candidates_are_bounded),
	        cmocka_unit_test(names_of_tasks_are_cut),
	        cmocka_unit_test(a_long_name_is_cut_and_its_number_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
