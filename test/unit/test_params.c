/* SPDX-License-Identifier: Apache-2.0 */
/* test_params - facts about the parameters of a task and the templates they go into. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/params.h"

static char *colours[] = {"red", "green", "blue"};
static uint8_t digest[32] = {7};
static Wire__Param range = WIRE__PARAM__INIT, list = WIRE__PARAM__INIT, lines = WIRE__PARAM__INIT;
static Wire__Param *axes[] = {&range, &list, &lines};
static Wire__Step step = WIRE__STEP__INIT;
static Wire__Step *steps[] = {&step};
static Wire__JobSpec spec = WIRE__JOB_SPEC__INIT;

static int read_line(
        void *ctx, const uint8_t blob[32], uint64_t index, const char **out, size_t *out_n, struct err *e)
{
	static const char *const text[] = {"first", ""};

	(void)ctx;
	assert_int_equal(blob[0], 7);
	if (index > 1)
		return err_set(e, ERR_NOTFOUND, "no line %llu", (unsigned long long)index);
	*out = text[index];
	*out_n = strlen(text[index]);
	return 0;
}

static struct params setup_params(uint64_t task)
{
	range.name = "i";
	range.kind = WIRE__PARAM__KIND__RANGE;
	range.first = 10;
	range.last = -10;
	range.stride = -10;
	range.count = 3;
	list.name = "colour";
	list.kind = WIRE__PARAM__KIND__LIST;
	list.values = colours;
	list.n_values = list.count = 3;
	lines.name = "file";
	lines.kind = WIRE__PARAM__KIND__LINES;
	lines.blob.data = digest;
	lines.blob.len = 32;
	lines.count = 2;
	step.name = "paint";
	step.params = axes;
	step.n_params = 3;
	step.tasks = 18;
	spec.name = "sweep";
	spec.steps = steps;
	spec.n_steps = 1;
	return (struct params){.spec = &spec,
	        .task = task,
	        .job = 17,
	        .attempt = 99,
	        .node = "box",
	        .devices = "0,3",
	        .line = read_line};
}

static const char *expand(uint64_t task, const char *text)
{
	static char out[200];
	static struct err e;
	struct params p = setup_params(task);

	if (template_expand(&p, text, out, sizeof(out), &e) < 0)
		return e.msg;
	return out;
}

static void last_axis_varies_fastest(void **state)
{
	static const char *const i_of[] = {"10", "0", "-10"};

	(void)state;
	for (uint64_t t = 0; t < 18; t++) {
		char want[40];

		(void)snprintf(want, sizeof(want), "%s/%s/%s", i_of[t / 6], colours[t / 2 % 3],
		        t % 2 ? "" : "first");
		assert_string_equal(expand(t, "${i}/${colour}/${file}"), want);
	}
}

static void names_known_everywhere_are_replaced(void **state)
{
	(void)state;
	assert_string_equal(
	        expand(4, "${task} ${tasks} ${attempt} ${job} ${job_name} ${step} ${node} ${devices}"),
	        "4 18 99 17 sweep paint box 0,3");
}

/* Tasks 13 to 15 of the 18, as a lease on another machine. */
static void part_of_a_step_has_the_indexes_of_the_whole(void **state)
{
	static char out[80];
	struct params p = setup_params(1);
	struct err e;

	(void)state;
	step.tasks = 3;
	step.index_first = 13;
	step.tasks_whole = 18;
	assert_true(
	        template_expand(&p, "${task} of ${tasks}: ${i}/${colour}/${file}", out, sizeof(out), &e) > 0);
	step.index_first = step.tasks_whole = 0;
	assert_string_equal(out, "14 of 18: -10/green/first");
}

static void only_dollar_brace_is_special(void **state)
{
	(void)state;
	assert_string_equal(expand(0, "$HOME $$ $1 {i} $"), "$HOME $$ $1 {i} $");
	assert_string_equal(expand(0, "$${i} ${i}"), "${i} 10");
	assert_string_equal(expand(0, "$$${i}"), "$${i}");
	assert_string_equal(expand(0, "a$${"), "a${");
	assert_string_equal(expand(0, ""), "");
}

static void fault_in_a_template_is_an_error(void **state)
{
	struct err e = {0};

	(void)state;
	(void)setup_params(0);
	assert_string_equal(expand(0, "${colr}"), "unknown name 'colr'");
	assert_string_equal(expand(0, "${i"), "'${' without '}'");
	assert_string_equal(expand(0, "${}"), "'${}' without a name");
	assert_int_equal(template_check(&spec, 0, "x ${colr}", &e), -1);
	assert_string_equal(e.msg, "unknown name 'colr'");
	assert_string_equal(e.hint,
	        "known: i, colour, file, task, tasks, attempt, job, job_name, step, node, devices; or $${");
	assert_int_equal(template_check(&spec, 0, "${i} $${colr} ${task}", &e), 0);
	assert_int_equal(template_check(&spec, 0, "${", &e), -1);
	assert_string_equal(e.hint, "write $${ for a literal ${");
}

static void expansion_never_writes_past_its_room(void **state)
{
	struct params p = setup_params(0);
	struct err e = {0};
	char out[64];

	(void)state;
	for (size_t room = 0; room < 20; room++) {
		memset(out, 'X', sizeof(out));
		/* "colour red 10 $" is 15 bytes and a NUL */
		if (room < 16) {
			assert_int_equal(template_expand(&p, "colour ${colour} ${i} $", out, room, &e), -1);
			assert_int_equal(e.code, ERR_FULL);
		} else {
			assert_int_equal(template_expand(&p, "colour ${colour} ${i} $", out, room, &e), 15);
		}
		for (size_t k = room; k < sizeof(out); k++)
			assert_int_equal(out[k], 'X');
	}
	assert_int_equal(params_get(&p, "colour", out, 2, &e), 3);
	assert_memory_equal(out, "re", 2);
}

static void line_that_cannot_be_read_is_an_error(void **state)
{
	struct params p = setup_params(0);
	struct err e = {0};
	char out[64];

	(void)state;
	lines.count = 3;
	p.task = 2;
	assert_int_equal(template_expand(&p, "${file}", out, sizeof(out), &e), -1);
	assert_string_equal(e.msg, "parameter 'file': no line 2");
}

static void extreme_range_does_not_overflow(void **state)
{
	struct params p = setup_params(0);
	struct err e = {0};
	char out[64];
	int64_t n;

	(void)state;
	step.n_params = 1;
	range.first = INT64_MIN;
	range.last = INT64_MAX;
	range.stride = INT64_MAX;
	range.count = 3;
	p.task = 0;
	n = template_expand(&p, "${i}", out, sizeof(out), &e);
	assert_true(n > 0);
	assert_string_equal(out, "-9223372036854775808");
	p.task = 2;
	n = template_expand(&p, "${i}", out, sizeof(out), &e);
	assert_true(n > 0);
	assert_string_equal(out, "9223372036854775806");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(last_axis_varies_fastest),
	        cmocka_unit_test(names_known_everywhere_are_replaced),
	        cmocka_unit_test(part_of_a_step_has_the_indexes_of_the_whole),
	        cmocka_unit_test(only_dollar_brace_is_special),
	        cmocka_unit_test(fault_in_a_template_is_an_error),
	        cmocka_unit_test(expansion_never_writes_past_its_room),
	        cmocka_unit_test(line_that_cannot_be_read_is_an_error),
	        cmocka_unit_test(extreme_range_does_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
