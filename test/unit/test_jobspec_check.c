/* SPDX-License-Identifier: Apache-2.0 */
/* test_jobspec_check - facts about specifications that came as bytes and are not what a job file could have said. */
#include "jobspec_help.h"

static const char text[] =
        "labels: {a: b}\n"
        "steps:\n"
        "  map: {command: [x, '${i}'], array: {i: 0..9, c: [a, b]}, outputs: [o, p], env: {A: b}}\n"
        "  use: {command: u, array: 20, inputs: {f: {from: map, output: o}, g: data}, stdin: {from: map}}\n"
        "  sum: {command: r, reduce: {of: map, associative: true, fan_in: 4}, verify: 3, resources: {memory: "
        "5}}\n"
        "  end: {worker: {command: w, function: f, args: '${task}'}, after: {step: sum, on: always}}\n";

/* A specification of our own to spoil. */
static Wire__JobSpec *fresh(void)
{
	return (Wire__JobSpec *)spec_of(text);
}

static const char *checked(const Wire__JobSpec *spec)
{
	static struct err e;

	memset(&e, 0, sizeof(e));
	return jobspec_check(spec, &e) == 0 ? "good" : e.msg;
}

/* Spoil one thing, and see what is said. s is the step called so. */
#define SPOILED(what, said)                                                                                  \
	do {                                                                                                 \
		Wire__JobSpec *j = fresh();                                                                  \
		Wire__Step *map = j->steps[0], *use = j->steps[1], *sum = j->steps[2], *end = j->steps[3];   \
		(void)map, (void)use, (void)sum, (void)end;                                                  \
		what;                                                                                        \
		assert_string_equal(checked(j), said);                                                       \
	} while (0)

static void job_as_read_is_good(void **state)
{
	(void)state;
	assert_string_equal(checked(fresh()), "good");
}

static void spoiled_job_is_refused(void **state)
{
	Wire__Disconnect never = WIRE__DISCONNECT__INIT;

	(void)state;
	never.lost_after_ns = 1;
	never.replace = WIRE__DISCONNECT__REPLACE__NEVER;
	never.reconcile = WIRE__DISCONNECT__RECONCILE__BEST_SCORE;
	SPOILED(j->version = 2, "job file of version 2");
	SPOILED(j->name = (char *)"", "the job's or the namespace's name is not allowed");
	SPOILED(j->namespace_ = (char *)"a/b", "the job's or the namespace's name is not allowed");
	SPOILED(j->priority = 101, "'class' or 'priority' out of range");
	SPOILED(j->class_ = (Wire__JobSpec__Class)7, "'class' or 'priority' out of range");
	SPOILED((j->deadline_ns = 1, j->deadline_after_ns = 1), "two deadlines");
	SPOILED(j->disconnect = &never, "'disconnect' out of range, or says what cannot be");
	SPOILED(j->timeout_ns = UINT64_MAX, "a time span out of range");
	SPOILED(j->labels[0]->key = (char *)"-", "a label is not allowed");
	SPOILED(j->n_steps = 0, "no steps, or too many");
}

static void spoiled_step_is_refused(void **state)
{
	(void)state;
	SPOILED(use->name = map->name, "step 'map': the name is not allowed, or taken");
	SPOILED(map->command = NULL, "step 'map': no command");
	SPOILED(map->command->shell = (char *)"x", "step 'map': a command needs either 'argv' or 'shell'");
	SPOILED(map->command->argv[0] = (char *)"", "step 'map': a command needs a program");
	SPOILED(map->command->argv[1] = (char *)"${k}", "step 'map': unknown name 'k'");
	SPOILED(map->env[0]->key = (char *)"1", "step 'map': a variable's name is not allowed");
	SPOILED(map->env[0]->value = (char *)"${", "step 'map': '${' without '}'");
	SPOILED(map->workdir = (char *)"rel", "step 'map': 'env', 'workdir' or 'kind' is not allowed");
	SPOILED(map->workdir = (char *)"/${i}", "step 'map': 'workdir' is not allowed");
	SPOILED(map->n_variants = 0, "step 'map': no alternatives, or too many");
	SPOILED(map->retry = NULL, "step 'map': 'retries' out of range");
	SPOILED(map->retry->jitter_percent = 101, "step 'map': 'retries' out of range");
	SPOILED(map->pids_max = 0, "step 'map': 'limits' out of range");
	SPOILED(map->checkpoint_signal = 9, "step 'map': no such signal to checkpoint with");
	SPOILED(map->variants[0]->n_needs = 0, "step 'map': no cpu");
	SPOILED(map->variants[0]->needs[0]->name = (char *)"",
	        "step 'map': a resource's name or amount is not allowed");
	SPOILED(sum->variants[0]->needs[1]->name = (char *)"cpu", "step 'sum': a resource comes twice");
	SPOILED(sum->verify->same = "a b",
	        "step 'sum': a 'verify' with 'same' that is no label, or for a single replica");
	SPOILED(sum->verify->agree = 4, "step 'sum': 'verify' out of range");
	SPOILED(end->worker->function = (char *)"", "step 'end': a worker without a function");
	SPOILED(end->worker->args = (char *)"${i}", "step 'end': unknown name 'i'");
}

/* More than the packets between engine, keeper and worker take. */
static void step_that_could_not_start_is_refused(void **state)
{
	static char longest[131072], part[257], *args[8001];

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	memset(part, 'x', sizeof(part) - 1);
	for (size_t i = 0; i < 8001; i++)
		args[i] = (char *)"x";
	SPOILED((map->command->argv = args, map->command->n_argv = 8000), "good");
	SPOILED((map->command->argv = args, map->command->n_argv = 8001),
	        "step 'map': a command has too many arguments");
	SPOILED(map->command->argv[1] = longest, "good");
	SPOILED(map->command->argv[0] = map->command->argv[1] = longest,
	        "step 'map': the command, environment and paths take too much");
	SPOILED((sum->verify->comparator = map->command, map->command->argv[1] = longest), "good");
	SPOILED((map->command->argv[1] = longest, map->env[0]->value = longest + 80000), "good");
	SPOILED((map->command->argv[1] = longest, map->env[0]->value = longest + 70000),
	        "step 'map': the command, environment and paths take too much");
	SPOILED(map->env[0]->value = longest + 2, "good"); /* A=... is one string to Linux */
	SPOILED(map->env[0]->value = longest + 1, "step 'map': a text is too long");
	SPOILED(end->worker->args = longest + sizeof(longest) - 1 - 32768, "good");
	SPOILED(end->worker->args = longest + sizeof(longest) - 1 - 32769, "step 'end': a text is too long");
	SPOILED(use->inputs[0]->path = part + 1, "good");
	SPOILED(use->inputs[0]->path = part, "step 'use': a path does not stay in the task's folder");
}

static void spoiled_count_is_refused(void **state)
{
	(void)state;
	SPOILED(map->tasks = 21, "step 'map': the number of tasks is wrong");
	SPOILED(map->params[0]->count = 11, "step 'map': a range's count is wrong");
	SPOILED(map->params[0]->count = UINT64_MAX, "step 'map': a parameter has no values, or too many");
	SPOILED(map->params[0]->stride = 0, "step 'map': a range is empty");
	SPOILED(map->params[0]->first = INT64_MIN, "step 'map': a range's count is wrong");
	SPOILED(map->params[1]->n_values = 1, "step 'map': a list's count is wrong");
	SPOILED(map->params[1]->name = map->params[0]->name, "step 'map': two parameters have one name");
	SPOILED(map->params[1]->name = (char *)"task", "step 'map': a parameter's name is not allowed");
	SPOILED((map->params[1]->kind = WIRE__PARAM__KIND__LINES),
	        "step 'map': a file of lines has no digest");
	SPOILED(map->params[1]->kind = (Wire__Param__Kind)9, "step 'map': a parameter is of an unknown kind");
	SPOILED(sum->reduce->fan_in = 1, "step 'sum': 'fan_in' is not allowed");
	SPOILED(sum->reduce->fan_in = 5, "step 'sum': the number of tasks is wrong");
	SPOILED(sum->reduce->of = (char *)"end",
	        "step 'sum': 'reduce' of a step that does not come before it");
}

static void spoiled_order_is_refused(void **state)
{
	(void)state;
	SPOILED((j->steps[0] = use, j->steps[1] = map),
	        "step 'use': 'after' a step that does not come before it");
	SPOILED(end->after[0]->step = (char *)"end",
	        "step 'end': 'after' a step that does not come before it");
	SPOILED(end->after[0]->mode = WIRE__AFTER__MODE__EACH,
	        "step 'end': 'after' each of a step with another number of tasks");
	SPOILED(end->after[0]->on = (Wire__After__On)5, "step 'end': 'after' of an unknown kind");
	SPOILED(use->after[0]->on = WIRE__AFTER__ON__ALWAYS,
	        "step 'use': an input from a step that is not waited for");
}

static void spoiled_file_is_refused(void **state)
{
	(void)state;
	SPOILED(use->inputs[1]->path = use->inputs[0]->path, "step 'use': two inputs have one path");
	SPOILED(use->inputs[0]->path = (char *)"../x",
	        "step 'use': a path does not stay in the task's folder");
	SPOILED(use->inputs[0]->from_output = (char *)"q",
	        "step 'use': an input from an output that is not kept");
	SPOILED(use->inputs[1]->blob.len = 31, "step 'use': an input has no digest");
	SPOILED(use->stdin_text = (char *)"x", "step 'use': 'stdin' is not allowed so");
	SPOILED(map->outputs[1]->path = map->outputs[0]->path, "step 'map': two outputs have one path");
	SPOILED(map->outputs[1]->path = (char *)"stderr",
	        "step 'map': an output is called as a standard one");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(job_as_read_is_good),
	        cmocka_unit_test(spoiled_job_is_refused),
	        cmocka_unit_test(spoiled_step_is_refused),
	        cmocka_unit_test(step_that_could_not_start_is_refused),
	        cmocka_unit_test(spoiled_count_is_refused),
	        cmocka_unit_test(spoiled_order_is_refused),
	        cmocka_unit_test(spoiled_file_is_refused),
	};

	return cmocka_run_group_tests(tests, mem_setup, mem_teardown);
}
