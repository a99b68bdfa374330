/* SPDX-License-Identifier: Apache-2.0 */
/* test_cli_args - facts about arguments, and that every command is complete: help, options, completion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "cli/commands.h"

static const struct option_def options[] = {
        {'f', "follow", NULL, "", COMPLETE_NOTHING, NULL},
        {'n', "name", "NAME", "", COMPLETE_NOTHING, NULL},
        {'q', "quiet", NULL, "", COMPLETE_NOTHING, NULL},
        {0},
};

static struct args parse(int argc, const char *const *argv, int want)
{
	struct args a;
	struct err e = {0};

	assert_int_equal(args_parse(&a, options, argc, (char **)(uintptr_t)argv, false, &e), want);
	return a;
}

static void options_stand_anywhere(void **state)
{
	static const char *const argv[] = {"a", "--follow", "b", "-n", "x", "--json", "c"};
	struct args a = parse(7, argv, 0);

	(void)state;
	assert_int_equal(a.n_args, 3);
	assert_string_equal(a.arg[2], "c");
	assert_null(a.arg[3]);
	assert_true(args_flag(&a, "follow") && args_flag(&a, "json") && !args_flag(&a, "quiet"));
	assert_string_equal(args_value(&a, "name"), "x");
	args_release(&a);
}

static void short_options_join_and_take_values(void **state)
{
	static const char *const argv[] = {"-fqnval", "--name=second", "--", "-f"};
	struct args a = parse(4, argv, 0);

	(void)state;
	assert_true(args_flag(&a, "follow") && args_flag(&a, "quiet"));
	assert_string_equal(args_nth(&a, "name", 0), "val");
	assert_string_equal(args_nth(&a, "name", 1), "second");
	assert_null(args_nth(&a, "name", 2));
	assert_string_equal(args_value(&a, "name"), "second");
	assert_int_equal(a.n_args, 1);
	assert_string_equal(a.arg[0], "-f");
	args_release(&a);
}

static void wrong_options_are_told_apart(void **state)
{
	static const struct {
		const char *word, *message, *hint;
	} cases[] = {
	        {"--folow", "unknown option '--folow'", "did you mean '--follow'?"},
	        {"--name", "option '--name' needs a value", "write --name NAME"},
	        {"-n", "option '-n' needs a value", "write -n NAME"},
	        {"--follow=1", "option '--follow' takes no value", ""},
	        {"-x", "unknown option '-x'",
	                "there are --follow, --name, --quiet, --state, --host, --json, --color, --help"},
	        {"--", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *argv[] = {cases[i].word};
		struct args a;
		struct err e = {0};
		int rc = args_parse(&a, options, 1, (char **)(uintptr_t)argv, false, &e);

		assert_int_equal(rc, cases[i].message ? -1 : 0);
		if (cases[i].message) {
			assert_string_equal(e.msg, cases[i].message);
			assert_string_equal(e.hint, cases[i].hint);
		}
		args_release(&a);
	}
}

static void lone_dash_is_an_argument(void **state)
{
	static const char *const argv[] = {"-"};
	struct args a = parse(1, argv, 0);

	(void)state;
	assert_int_equal(a.n_args, 1);
	args_release(&a);
}

static void command_words_stop_at_the_first(void **state)
{
	static const char *const argv[] = {"--state", "/x", "jobs", "--all"};
	struct args a;
	struct err e;

	(void)state;
	assert_int_equal(args_parse(&a, NULL, 4, (char **)(uintptr_t)argv, true, &e), 0);
	assert_int_equal(a.n_args, 2);
	assert_string_equal(a.arg[1], "--all");
	assert_string_equal(args_value(&a, "state"), "/x");
	args_release(&a);
}

static void every_command_is_explained(void **state)
{
	(void)state;
	for (size_t i = 0; command_at(i); i++) {
		const struct command_def *d = command_at(i);

		assert_ptr_equal(command_find(d->name), d);
		assert_non_null(d->run);
		if (d->group == GROUP_HIDDEN)
			continue;
		assert_true(strlen(d->summary) > 10 && strlen(d->summary) < 90);
		assert_true(d->summary[0] >= 'a' && d->summary[0] <= 'z');
		assert_true(strlen(d->about) > 40);
		assert_non_null(strstr(d->examples, "osier "));
		assert_true(strlen(d->name) < 11);
	}
}

static void every_option_is_explained_and_unique(void **state)
{
	(void)state;
	for (size_t i = 0; command_at(i); i++) {
		for (const struct option_def *o = command_at(i)->options; o && o->name; o++) {
			assert_true(strlen(o->help) > 4);
			assert_true((o->complete == COMPLETE_WORDS) == (o->words != NULL));
			for (const struct option_def *p = o + 1; p->name; p++) {
				assert_string_not_equal(o->name, p->name);
				assert_true(!o->letter || o->letter != p->letter);
			}
			for (const struct option_def *g = global_options; g->name; g++)
				assert_true(strcmp(o->name, g->name) != 0 &&
				            (!o->letter || o->letter != g->letter));
		}
	}
}

static void every_kind_of_error_has_its_exit_code(void **state)
{
	(void)state;
	assert_int_equal(exit_of(ERR_NONE), 0);
	assert_int_equal(exit_of(ERR_INVALID), 2);
	assert_int_equal(exit_of(ERR_CLOSED), 3);
	assert_int_equal(exit_of(ERR_NOTFOUND), 4);
	assert_int_equal(exit_of(ERR_DENIED), 5);
	assert_int_equal(exit_of(ERR_FULL), 5);
	assert_int_equal(exit_of(ERR_EXISTS), 5);
	assert_int_equal(exit_of(ERR_CORRUPT), 6);
	assert_int_equal(exit_of(ERR_SYSTEM), 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(options_stand_anywhere),
	        cmocka_unit_test(short_options_join_and_take_values),
	        cmocka_unit_test(wrong_options_are_told_apart),
	        cmocka_unit_test(lone_dash_is_an_argument),
	        cmocka_unit_test(command_words_stop_at_the_first),
	        cmocka_unit_test(every_command_is_explained),
	        cmocka_unit_test(every_option_is_explained_and_unique),
	        cmocka_unit_test(every_kind_of_error_has_its_exit_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
