/* SPDX-License-Identifier: Apache-2.0 */
/* prop_params - random arrays and templates against a naive model: nested loops, and pieces put together by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "core/params.h"

#define AXES 4

static Wire__Param axis[AXES];
static Wire__Param *axes[AXES] = {&axis[0], &axis[1], &axis[2], &axis[3]};
static char *words[] = {"", "a", "${a0}", "long word", "\xc3\xa4"};
static char *names[AXES] = {"a0", "b", "longer_name", "d"};
static Wire__Step step = WIRE__STEP__INIT;
static Wire__Step *steps[] = {&step};
static Wire__JobSpec spec = WIRE__JOB_SPEC__INIT;

static void random_array(struct prng *p)
{
	spec.steps = steps;
	spec.n_steps = 1;
	spec.name = "j";
	step.name = "s";
	step.params = axes;
	step.n_params = 1 + prng_below(p, AXES);
	step.tasks = 1;
	for (size_t k = 0; k < step.n_params; k++) {
		Wire__Param x = WIRE__PARAM__INIT;

		x.name = names[k];
		x.count = 1 + prng_below(p, 5);
		if (prng_chance(p, 1, 2)) {
			x.kind = WIRE__PARAM__KIND__LIST;
			x.values = words;
			x.n_values = x.count;
		} else {
			x.first = (int64_t)prng_below(p, 2000) - 1000;
			x.stride = (int64_t)prng_below(p, 50) - 25;
			x.stride += x.stride == 0;
			x.last = x.first + (int64_t)(x.count - 1) * x.stride;
		}
		axis[k] = x;
		step.tasks *= x.count;
	}
}

static void naive_value(const Wire__Param *x, uint64_t i, char *out, size_t room)
{
	if (x->kind == WIRE__PARAM__KIND__LIST)
		(void)snprintf(out, room, "%s", words[i]);
	else
		(void)snprintf(out, room, "%lld", (long long)(x->first + (int64_t)i * x->stride));
}

/* A random template beside what it must become for the task whose axes stand at `at`. */
static void random_template(
        struct prng *p, uint64_t task, const uint64_t at[AXES], char *text, char *want, size_t room)
{
	static const char *const plain[] = {"x", "$", "$$", "}", "{", " $HOME ", "$1", ""};
	size_t nt = 0, nw = 0;

	for (uint64_t n = prng_below(p, 8); n; n--) {
		uint64_t what = prng_below(p, 4), k = prng_below(p, step.n_params);
		char value[40];

		if (what == 0) {
			const char *s = plain[prng_below(p, sizeof(plain) / sizeof(plain[0]))];

			/* "$" before "${" would make another meaning; a blank keeps them apart */
			nt += (size_t)snprintf(text + nt, room - nt, "%s ", s);
			nw += (size_t)snprintf(want + nw, room - nw, "%s ", s);
		} else if (what == 1) {
			nt += (size_t)snprintf(text + nt, room - nt, "$${%s}", names[k]);
			nw += (size_t)snprintf(want + nw, room - nw, "${%s}", names[k]);
		} else if (what == 2) {
			nt += (size_t)snprintf(text + nt, room - nt, "${task}/${tasks}");
			nw += (size_t)snprintf(want + nw, room - nw, "%llu/%llu", (unsigned long long)task,
			        (unsigned long long)step.tasks);
		} else {
			naive_value(&axis[k], at[k], value, sizeof(value));
			nt += (size_t)snprintf(text + nt, room - nt, "${%s}", names[k]);
			nw += (size_t)snprintf(want + nw, room - nw, "%s", value);
		}
	}
	text[nt] = want[nw] = '\0';
}

static void every_task_gets_its_own_values(void **state)
{
	struct prng p;
	char text[600], want[600], out[600];

	(void)state;
	prng_init(&p, 4);
	for (int round = 0; round < 300; round++) {
		uint64_t at[AXES] = {0};

		random_array(&p);
		for (uint64_t t = 0; t < step.tasks; t++) {
			struct params params = {.spec = &spec, .task = t};
			struct err e = {0};

			for (size_t k = 0; k < step.n_params; k++)
				assert_int_equal(params_axis_index(&step, t, k), at[k]);
			random_template(&p, t, at, text, want, sizeof(text));
			assert_int_equal(template_check(&spec, 0, text, &e), 0);
			if (template_expand(&params, text, out, sizeof(out), &e) < 0)
				fail_msg("%s: %s", text, e.msg);
			assert_string_equal(out, want);
			for (size_t k = step.n_params; k-- > 0;) { /* as an odometer: the last turns first */
				if (++at[k] < axis[k].count)
					break;
				at[k] = 0;
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_task_gets_its_own_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
