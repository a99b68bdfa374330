/* SPDX-License-Identifier: Apache-2.0 */
/* test_jobspec - facts about what a good job file means. What a bad one is told: test_jobspec_bad.c. */
#include "jobspec_help.h"

#define SECOND UINT64_C(1000000000)

static void name_and_command_are_a_job(void **state)
{
	const Wire__JobSpec *j = spec_of("name: hello\ncommand: echo hi\n");
	const Wire__Step *s;

	(void)state;
	assert_string_equal(j->name, "hello");
	assert_string_equal(j->namespace_, "default");
	assert_string_equal(j->source, "job.yaml");
	assert_int_equal(j->version, 1);
	assert_int_equal(j->priority, 50);
	assert_int_equal(j->class_, WIRE__JOB_SPEC__CLASS__BATCH);
	assert_true(j->keep_going);
	assert_false(j->held);
	assert_int_equal(j->n_steps, 1);
	s = j->steps[0];
	assert_string_equal(s->name, "main");
	assert_string_equal(s->command->shell, "echo hi");
	assert_string_equal(s->kind, "default/hello/main");
	assert_int_equal(s->tasks, 1);
	assert_int_equal(s->grace_ns, 5 * SECOND);
	assert_int_equal(s->pids_max, 4096);
	assert_int_equal(s->output_bytes_max, 16 << 20);
	assert_int_equal(s->retry->max, 0);
	assert_int_equal(s->n_variants, 1);
	assert_int_equal(s->variants[0]->n_needs, 1);
	assert_string_equal(s->variants[0]->needs[0]->name, "cpu");
	assert_int_equal(s->variants[0]->needs[0]->amount, 1000);
}

static void job_without_a_name_is_called_after_its_file(void **state)
{
	(void)state;
	job_in.source = "examples/word count.v2.yaml";
	assert_string_equal(spec_of("command: x")->name, "word-count.v2");
	job_in.source = "7.yaml";
	assert_string_equal(spec_of("command: x")->name, "job");
	job_in.source = NULL;
	assert_string_equal(spec_of("command: x")->name, "job");
	job_in.source = "job.yaml";
}

static void list_is_argv_and_text_is_shell(void **state)
{
	const Wire__Command *c = spec_of("command: [cc, -c, 'a b.c', 5, true]")->steps[0]->command;

	(void)state;
	assert_int_equal(c->n_argv, 5);
	assert_string_equal(c->argv[2], "a b.c");
	assert_string_equal(c->argv[3], "5");
	assert_string_equal(c->argv[4], "true");
	assert_string_equal(spec_of("command: true")->steps[0]->command->shell, "true");
	assert_string_equal(spec_of("shell: |\n  a\n  b\n")->steps[0]->command->shell, "a\nb\n");
}

static void amounts_keep_their_units_and_lines(void **state)
{
	const Wire__Step *s = spec_of("command: x\n"
	                              "resources:\n"
	                              "  cpu: 0.125\n"
	                              "  memory: 512MiB\n"
	                              "  disk: 1.5 GB\n"
	                              "  gpu: 0.25\n"
	                              "  licence: 2\n"
	                              "  pools: {gpus: 3}\n")
	                              ->steps[0];
	static const struct {
		const char *name;
		uint64_t amount;
		uint32_t line;
	} want[] = {{"cpu", 125, 3}, {"memory", 512 << 20, 4}, {"disk", 1500000000, 5}, {"gpu", 250, 6},
	        {"licence", 2000, 7}, {"gpus", 3000, 8}};

	(void)state;
	assert_int_equal(s->variants[0]->n_needs, 6);
	for (size_t i = 0; i < 6; i++) {
		assert_string_equal(s->variants[0]->needs[i]->name, want[i].name);
		assert_int_equal(s->variants[0]->needs[i]->amount, want[i].amount);
		assert_int_equal(s->variants[0]->needs[i]->line, want[i].line);
	}
}

static void alternatives_take_what_they_do_not_name_from_the_step(void **state)
{
	const Wire__Step *s = spec_of("command: slow\n"
	                              "resources: {memory: 1GiB}\n"
	                              "any_of:\n"
	                              "- resources: {gpu: 1}\n"
	                              "  command: [fast, '${devices}']\n"
	                              "- resources: {cpu: 8}\n")
	                              ->steps[0];

	(void)state;
	assert_int_equal(s->n_variants, 2);
	assert_int_equal(s->variants[0]->n_needs, 3);
	assert_string_equal(s->variants[0]->needs[2]->name, "gpu");
	assert_string_equal(s->variants[0]->command->argv[0], "fast");
	assert_int_equal(s->variants[1]->n_needs, 2);
	assert_int_equal(s->variants[1]->needs[0]->amount, 8000);
	assert_int_equal(s->variants[1]->needs[1]->amount, 1 << 30);
	assert_null(s->variants[1]->command);
}

static void times_are_read_exactly(void **state)
{
	const Wire__JobSpec *j = spec_of("command: x\n"
	                                 "not_before: 2026-02-28T23:59:59.5+01:00\n"
	                                 "deadline: 1h30m\n"
	                                 "timeouts: {queue: 100ms, run: 2d, job: 1.5s}\n"
	                                 "grace: 0s\n");

	(void)state;
	assert_int_equal(j->not_before_ns, UINT64_C(1772319599500000000));
	assert_int_equal(j->deadline_after_ns, 5400 * SECOND);
	assert_int_equal(j->timeout_ns, 1500000000);
	assert_int_equal(j->steps[0]->queue_timeout_ns, 100000000);
	assert_int_equal(j->steps[0]->run_timeout_ns, 2 * 86400 * SECOND);
	assert_int_equal(j->steps[0]->grace_ns, 0);
	assert_int_equal(spec_of("command: x\ngrace: 90")->steps[0]->grace_ns, 90 * SECOND);
	assert_int_equal(
	        spec_of("command: x\ndeadline: 2000-02-29T00:00:00Z")->deadline_ns, 951782400 * SECOND);
	j = spec_of("command: x\ndeadline: {within: 5m, on_missed: warn}");
	assert_int_equal(j->deadline_after_ns, 300 * SECOND);
	assert_true(j->deadline_warn);
}

static void array_can_be_written_in_five_ways(void **state)
{
	const Wire__Step *s = spec_of("command: x ${index}\narray: 1000")->steps[0];

	(void)state;
	assert_int_equal(s->tasks, 1000);
	assert_int_equal(s->params[0]->last, 999);
	s = spec_of("command: x ${index}\narray: 5..-5 step -5")->steps[0];
	assert_int_equal(s->tasks, 3);
	assert_int_equal(s->params[0]->first, 5);
	s = spec_of("command: x ${item}\narray: [a, b]")->steps[0];
	assert_int_equal(s->tasks, 2);
	assert_string_equal(s->params[0]->values[1], "b");
	s = spec_of("command: x ${i} ${c} ${f}\narray:\n  i: {from: 1, to: 10, step: 4}\n  c: [red, green]\n"
	            "  f: {lines: files.txt}\n")
	            ->steps[0];
	assert_int_equal(s->n_params, 3);
	assert_int_equal(s->params[0]->count, 3);
	assert_int_equal(s->params[2]->kind, WIRE__PARAM__KIND__LINES);
	assert_int_equal(s->params[2]->count, 7);
	assert_int_equal(s->params[2]->blob.data[0], 'f');
	assert_int_equal(s->tasks, 3 * 2 * 7);
	assert_int_equal(spec_of("command: x\narray: 10000000")->steps[0]->tasks, 10000000);
}

static void steps_come_out_in_an_order_that_can_run(void **state)
{
	const Wire__JobSpec *j =
	        spec_of("steps:\n"
	                "  link: {command: ld, after: [compile, {step: fetch, on: always}]}\n"
	                "  other: echo\n"
	                "  compile: {command: 'cc ${index}', array: 8, after: {step: gen, mode: each}}\n"
	                "  gen: {command: gen, array: 8}\n"
	                "  fetch: [wget, x]\n");

	(void)state;
	assert_int_equal(j->n_steps, 5);
	assert_string_equal(j->steps[0]->name, "other");
	assert_string_equal(j->steps[1]->name, "gen");
	assert_string_equal(j->steps[2]->name, "compile");
	assert_string_equal(j->steps[3]->name, "fetch");
	assert_string_equal(j->steps[4]->name, "link");
	assert_int_equal(j->steps[4]->line, 2);
	assert_int_equal(j->steps[4]->after[1]->on, WIRE__AFTER__ON__ALWAYS);
	assert_int_equal(j->steps[2]->after[0]->mode, WIRE__AFTER__MODE__EACH);
	assert_string_equal(j->steps[3]->command->argv[0], "wget");
	assert_string_equal(j->steps[0]->command->shell, "echo");
}

static void keys_above_steps_are_their_defaults(void **state)
{
	const Wire__JobSpec *j =
	        spec_of("env: {A: '1', B: '2'}\n"
	                "workdir: src\n"
	                "resources: {cpu: 2, memory: 1GiB}\n"
	                "timeouts: {run: 1h, job: 2h}\n"
	                "retries: {max: 3, backoff: 2s}\n"
	                "steps:\n"
	                "- {name: a, command: x}\n"
	                "- {name: b, command: x, env: {B: '3', C: '4'}, resources: {cpu: 4},\n"
	                "   retries: 5, timeouts: {run: 1m}, workdir: /tmp}\n");
	const Wire__Step *a = j->steps[0], *b = j->steps[1];

	(void)state;
	assert_int_equal(a->n_env, 2);
	assert_string_equal(a->workdir, "/home/me/src");
	assert_int_equal(a->variants[0]->needs[0]->amount, 2000);
	assert_int_equal(a->run_timeout_ns, 3600 * SECOND);
	assert_int_equal(a->retry->max, 3);
	assert_int_equal(b->n_env, 3);
	assert_string_equal(b->env[1]->value, "3");
	assert_string_equal(b->workdir, "/tmp");
	assert_int_equal(b->variants[0]->needs[0]->amount, 4000);
	assert_int_equal(b->variants[0]->needs[1]->amount, 1 << 30);
	assert_int_equal(b->run_timeout_ns, 60 * SECOND);
	assert_int_equal(b->retry->max, 5);
	assert_int_equal(b->retry->backoff_ns, 2 * SECOND);
	assert_int_equal(j->timeout_ns, 7200 * SECOND);
}

static void reduction_is_sized_from_its_map(void **state)
{
	const Wire__JobSpec *j =
	        spec_of("steps:\n"
	                "  map: {command: m, array: 1000}\n"
	                "  tree: {command: r, reduce: {of: map, associative: true, fan_in: 10}}\n"
	                "  flat: {command: r, reduce: map}\n"
	                "  top: {command: r, reduce: {of: tree, associative: true}}\n");

	(void)state;
	assert_int_equal(j->steps[1]->tasks, 111);
	assert_int_equal(j->steps[2]->tasks, 1);
	assert_int_equal(j->steps[2]->reduce->fan_in, 0);
	assert_int_equal(j->steps[3]->reduce->fan_in, 8);
	assert_int_equal(j->steps[3]->tasks, 14 + 2 + 1);
}

static void inputs_come_from_files_and_steps(void **state)
{
	const Wire__JobSpec *j =
	        spec_of("steps:\n"
	                "  make: {command: m, array: 3, outputs: [part.bin, {path: log, optional: true}]}\n"
	                "  use:\n"
	                "    command: u\n"
	                "    array: 3\n"
	                "    stdin: {from: make}\n"
	                "    inputs:\n"
	                "      in/data: ../data.csv\n"
	                "      part: {from: make, output: part.bin}\n"
	                "  run:\n"
	                "    command: ./tool.sh\n"
	                "    inputs: [tool.sh, {file: x/y, path: z}, {file: w}]\n"
	                "    stdin: hello ${task}\n"
	                "  file:\n"
	                "    command: cat\n"
	                "    stdin: {file: words}\n");
	const Wire__Step *use = j->steps[1], *run = j->steps[2];

	(void)state;
	assert_int_equal(j->steps[0]->n_outputs, 2);
	assert_true(j->steps[0]->outputs[1]->optional);
	assert_string_equal(use->inputs[0]->path, "in/data");
	assert_int_equal(use->inputs[0]->blob.len, 32);
	assert_int_equal(use->inputs[0]->size_bytes, 100);
	assert_string_equal(use->inputs[1]->from_step, "make");
	assert_string_equal(use->inputs[1]->from_output, "part.bin");
	assert_string_equal(use->stdin_file->from_output, "stdout");
	/* an input is a dependency: of the task with the same number */
	assert_int_equal(use->n_after, 1);
	assert_string_equal(use->after[0]->step, "make");
	assert_int_equal(use->after[0]->mode, WIRE__AFTER__MODE__EACH);
	assert_true(run->inputs[0]->executable);
	assert_string_equal(run->inputs[1]->path, "z");
	assert_int_equal(run->inputs[1]->blob.data[0], 'x');
	assert_string_equal(run->inputs[2]->path, "w");
	assert_string_equal(run->stdin_text, "hello ${task}");
	assert_int_equal(j->steps[3]->stdin_file->blob.data[0], 'w');
}

static void input_from_a_reduction_is_its_result(void **state)
{
	const Wire__JobSpec *j =
	        spec_of("steps:\n"
	                "  map: {command: m, array: 4}\n"
	                "  sum: {command: r, reduce: {of: map, associative: true, fan_in: 2}}\n"
	                "  use: {command: u, array: 3, stdin: {from: sum}}\n");

	(void)state;
	assert_int_equal(j->steps[1]->tasks, 3);
	/* as many tasks by chance: the whole reduction is waited for all the same */
	assert_int_equal(j->steps[2]->after[0]->mode, WIRE__AFTER__MODE__WHOLE);
}

static void worker_takes_the_place_of_a_command(void **state)
{
	const Wire__Step *s =
	        spec_of("worker: {command: [python3, w.py], function: f, args: '${index}', batch: 100}\n"
	                "array: 5\n")
	                ->steps[0];

	(void)state;
	assert_string_equal(s->command->argv[1], "w.py");
	assert_string_equal(s->worker->function, "f");
	assert_string_equal(s->worker->args, "${index}");
	assert_int_equal(s->worker->batch_max, 100);
}

static void adaptive_verify_asks_up_to_three(void **state)
{
	static const char *same[] = {"command: x\nverify: adaptive", "command: x\nverify: {mode: adaptive}",
	        "command: x\nverify: {replicas: 3, agree: 2, mode: adaptive}"};

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		const Wire__Verify *v = spec_of(same[i])->steps[0]->verify;

		assert_true(v->adaptive && v->replicas == 3 && v->agree == 2);
	}
	assert_false(spec_of("command: x\nverify: 3")->steps[0]->verify->adaptive);
}

static void verify_wants_more_than_half(void **state)
{
	const Wire__Verify *v = spec_of("command: x\nverify: 4")->steps[0]->verify;

	(void)state;
	assert_int_equal(v->replicas, 4);
	assert_int_equal(v->agree, 3);
	v = spec_of("command: x\nverify: {replicas: 3, agree: 1, comparator: [cmp, -s]}")->steps[0]->verify;
	assert_int_equal(v->agree, 1);
	assert_string_equal(v->comparator->argv[0], "cmp");
}

static void parameters_are_put_in_everywhere(void **state)
{
	static const struct jobspec_set set[] = {{"num", "20"}};
	const char *text = "parameters: {num: 10, who: world, mem: 64}\n"
	                   "command: echo ${who} ${index} $${who} ${num}\n"
	                   "array: 0..${num}\n"
	                   "resources: {memory: '${mem}MiB'}\n";
	const Wire__JobSpec *j = spec_of(text);

	(void)state;
	assert_string_equal(j->steps[0]->command->shell, "echo world ${index} $${who} 10");
	assert_int_equal(j->steps[0]->tasks, 11);
	assert_int_equal(j->steps[0]->variants[0]->needs[1]->amount, 64 << 20);
	job_in.set = set;
	job_in.n_set = 1;
	assert_int_equal(spec_of(text)->steps[0]->tasks, 21);
	assert_string_equal(wrong("command: x"),
	        "job.yaml: found 'num', expected one of the job's own parameters (see "
	        "'parameters')");
	assert_string_equal(wrong("command: x\nparameters: {nums: 1}"),
	        "job.yaml:2:13: found 'num', expected one of the job's own parameters; did you mean 'nums'?");
	job_in.n_set = 0;
}

static void places_are_read(void **state)
{
	const Wire__JobSpec *j = spec_of(
	        "near: submitter\n"
	        "where: {os: linux}\n"
	        "steps:\n"
	        "  a: {command: x, where: {hall: north, arch: [amd64, arm64], ssd: {exists: false},\n"
	        "      not: {site: [east, west]}}, prefer: {cooling: water}, spread: node, near: press-4}\n"
	        "  b: {command: x, data: false, prefer: [{where: {a: b, c: d}, weight: -7}], spread: hall}\n"
	        "  c: {command: x, near: {source: climate}}\n");
	const Wire__Place *a = j->steps[0]->place, *b = j->steps[1]->place, *c = j->steps[2]->place;

	(void)state;
	assert_int_equal(a->n_where, 4);
	assert_string_equal(a->where[0]->key, "hall");
	assert_int_equal(a->where[1]->n_values, 2);
	assert_string_equal(a->where[1]->values[1], "arm64");
	assert_int_equal(a->where[2]->op, WIRE__MATCH__OP__ABSENT);
	assert_int_equal(a->where[3]->op, WIRE__MATCH__OP__NOT_IN);
	assert_string_equal(a->where[3]->values[0], "east");
	assert_int_equal(a->prefer[0]->weight, 50);
	assert_string_equal(a->spread, "name");
	assert_string_equal(a->near->key, "name");
	assert_string_equal(a->near->values[0], "press-4");
	assert_false(a->near_submitter || a->any_data);
	assert_string_equal(b->where[0]->key, "os"); /* as the top of the file says */
	assert_int_equal(b->prefer[0]->weight, -7);
	assert_int_equal(b->prefer[0]->n_all, 2);
	assert_true(b->near_submitter && b->any_data);
	assert_string_equal(b->spread, "hall");
	assert_false(c->near_submitter || c->any_data);
	assert_string_equal(c->near->key, "source");
}

static void everything_else_is_read_too(void **state)
{
	const Wire__JobSpec *j =
	        spec_of("version: 1\n"
	                "namespace: team\n"
	                "labels: {app: x, team/owner: 'a b'}\n"
	                "class: realtime\n"
	                "priority: 0\n"
	                "concurrency: 4\n"
	                "hold: true\n"
	                "keep_going: false\n"
	                "disconnect: {lost_after: 2m, stop_after: 90s, reconcile: best_score}\n"
	                "pack: balance\n"
	                "command: x\n"
	                "retries: {max: 2, backoff: 1s, backoff_max: 3s, jitter: 20%, exit_codes: [1, 75],\n"
	                "          on_node_loss: fail}\n"
	                "limits: {pids: 10, output: 1kB}\n"
	                "checkpoint_signal: SIGUSR1\n"
	                "kind: blur\n");
	const Wire__Step *s = j->steps[0];

	(void)state;
	assert_string_equal(j->namespace_, "team");
	assert_int_equal(j->n_labels, 2);
	assert_int_equal(j->class_, WIRE__JOB_SPEC__CLASS__REALTIME);
	assert_int_equal(j->priority, 0);
	assert_int_equal(j->concurrency, 4);
	assert_true(j->held);
	assert_false(j->keep_going);
	assert_int_equal(j->disconnect->lost_after_ns, 120 * SECOND);
	assert_int_equal(j->disconnect->stop_after_ns, 90 * SECOND);
	assert_int_equal(j->disconnect->replace, WIRE__DISCONNECT__REPLACE__AFTER_LOST);
	assert_int_equal(j->disconnect->reconcile, WIRE__DISCONNECT__RECONCILE__BEST_SCORE);
	assert_int_equal(j->pack, WIRE__JOB_SPEC__PACK__BALANCE);
	assert_int_equal(s->retry->backoff_max_ns, 3 * SECOND);
	assert_int_equal(s->retry->jitter_percent, 20);
	assert_int_equal(s->retry->n_exit_codes, 2);
	assert_int_equal(s->retry->exit_codes[1], 75);
	assert_true(s->retry->not_on_node_loss);
	assert_int_equal(s->pids_max, 10);
	assert_int_equal(s->output_bytes_max, 1000);
	assert_int_equal(s->checkpoint_signal, 10);
	assert_string_equal(s->kind, "blur");
}

static void json_and_yaml_mean_the_same(void **state)
{
	static const char text[] =
	        "{\"name\": \"j\", \"command\": [\"echo\", \"5\", true], \"resources\": {\"cpu\": 0.1, "
	        "\"memory\": 1048576, \"disk\": \"1GiB\"}, \"retries\": 2, \"array\": \"1..3\"}";
	const Wire__JobSpec *y = spec_of(text), *j = NULL;
	json_t *json = doc_json_load(text, strlen(text), DOC_BYTES_MAX, problems);
	const struct doc *root = NULL;

	(void)state;
	assert_non_null(json);
	assert_int_equal(doc_json_from(&mem.arena, json, &root, problems), 0);
	assert_int_equal(jobspec_from_doc(&mem.arena, root, &job_in, &j, problems, &n_problems), 0);
	assert_int_equal(j->steps[0]->variants[0]->needs[0]->amount, 100);
	for (size_t i = 0; i < 3; i++) /* lines differ: JSON's are unknown */
		assert_int_equal(j->steps[0]->variants[0]->needs[i]->amount,
		        y->steps[0]->variants[0]->needs[i]->amount);
	assert_int_equal(j->steps[0]->tasks, 3);
	assert_string_equal(j->steps[0]->command->argv[2], "true");
	assert_int_equal(j->steps[0]->line, 0);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(name_and_command_are_a_job),
	        cmocka_unit_test(job_without_a_name_is_called_after_its_file),
	        cmocka_unit_test(list_is_argv_and_text_is_shell),
	        cmocka_unit_test(amounts_keep_their_units_and_lines),
	        cmocka_unit_test(alternatives_take_what_they_do_not_name_from_the_step),
	        cmocka_unit_test(times_are_read_exactly),
	        cmocka_unit_test(array_can_be_written_in_five_ways),
	        cmocka_unit_test(steps_come_out_in_an_order_that_can_run),
	        cmocka_unit_test(keys_above_steps_are_their_defaults),
	        cmocka_unit_test(reduction_is_sized_from_its_map),
	        cmocka_unit_test(inputs_come_from_files_and_steps),
	        cmocka_unit_test(input_from_a_reduction_is_its_result),
	        cmocka_unit_test(worker_takes_the_place_of_a_command),
	        cmocka_unit_test(verify_wants_more_than_half),
	        cmocka_unit_test(adaptive_verify_asks_up_to_three),
	        cmocka_unit_test(parameters_are_put_in_everywhere),
	        cmocka_unit_test(places_are_read),
	        cmocka_unit_test(everything_else_is_read_too),
	        cmocka_unit_test(json_and_yaml_mean_the_same),
	};

	return cmocka_run_group_tests(tests, mem_setup, mem_teardown);
}
