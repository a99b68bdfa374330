/* SPDX-License-Identifier: Apache-2.0 */
/* start - what the keeper is told to start: command, environment, files, stdin, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/start.h"

struct world {
	struct start_builder *b;
	Wire__JobSpec spec;
	Wire__Step first, step, *steps[2];
	Wire__Variant variant, *variants[1];
	Wire__Need needs[3], *need_list[3];
	Wire__Command command;
	Wire__Param param, *params[1];
	char *argv[4];
	struct start_in in;
	struct keeper_start out;
	struct err e;
	uint64_t reduce_inputs;
	bool pages; /* what earlier tasks said has a thousand bytes */
};

static bool indexed(void *ctx, const char *resource)
{
	(void)ctx;
	return strcmp(resource, "gpu") == 0;
}

static char vendor(void *ctx, const char *resource, uint32_t index, uint32_t *out_number)
{
	(void)ctx;
	assert_string_equal(resource, "gpu");
	*out_number = index + 10; /* what its own tools call it */
	return index % 2 ? 'r' : 'n';
}

static int source(
        void *ctx, uint32_t step, uint64_t task, const char *output, struct start_source *out, struct err *e)
{
	static uint8_t small[32], page[1000];

	if (step != 0 || strcmp(output, "lost") == 0)
		return err_set(e, ERR_NOTFOUND, "task %llu has left no output", (unsigned long long)task);
	memset(out, 0, sizeof(*out));
	if (task == 3) { /* a large one */
		out->bytes = 1u << 20;
		memset(out->sha256, 0xab, 32);
		return 0;
	}
	if (((struct world *)ctx)->pages) {
		out->bytes = sizeof(page);
		out->data = page;
		return 0;
	}
	out->bytes =
	        (uint64_t)snprintf((char *)small, sizeof(small), "%s %llu", output, (unsigned long long)task);
	out->data = small;
	return 0;
}

static bool reduce(void *ctx, uint64_t i, uint32_t *out_step, uint64_t *out_task)
{
	struct world *w = ctx;

	*out_step = 0;
	*out_task = i + 2;
	return i < w->reduce_inputs;
}

/* Keeps nothing: the digest tells what it was given. */
static int keep(void *ctx, const void *p, size_t n, bool same, uint8_t out_sha256[32], struct err *e)
{
	(void)ctx;
	(void)e;
	memset(out_sha256, same ? 0xcd : 0xef, 32);
	memcpy(out_sha256, &n, 4);
	out_sha256[4] = *(const uint8_t *)p;
	return 0;
}

static int set_up(void **state)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	w.b = start_builder_new();
	wire__job_spec__init(&w.spec);
	wire__step__init(&w.first);
	wire__step__init(&w.step);
	wire__variant__init(&w.variant);
	wire__command__init(&w.command);
	wire__param__init(&w.param);
	w.spec.name = (char *)"job";
	w.spec.steps = w.steps;
	w.spec.n_steps = 2;
	w.steps[0] = &w.first;
	w.steps[1] = &w.step;
	w.first.name = (char *)"first";
	w.first.tasks = 10;
	w.step.name = (char *)"step";
	w.step.tasks = 10;
	w.step.command = &w.command;
	w.param.name = (char *)"i";
	w.param.kind = WIRE__PARAM__KIND__RANGE;
	w.param.first = 100;
	w.param.last = 109;
	w.param.stride = 1;
	w.param.count = 10;
	w.params[0] = &w.param;
	w.step.params = w.params;
	w.step.n_params = 1;
	w.variants[0] = &w.variant;
	w.step.variants = w.variants;
	w.step.n_variants = 1;
	w.argv[0] = (char *)"run";
	w.argv[1] = (char *)"${i}";
	w.argv[2] = (char *)"a b";
	w.command.argv = w.argv;
	w.command.n_argv = 3;
	for (int i = 0; i < 3; i++) {
		wire__need__init(&w.needs[i]);
		w.need_list[i] = &w.needs[i];
	}
	w.variant.needs = w.need_list;
	w.in = (struct start_in){.spec = &w.spec,
	        .step = 1,
	        .variant = &w.variant,
	        .job = 17,
	        .attempt = 5,
	        .task = 4,
	        .node = "here",
	        .user = {.uid = 1000, .gid = 100, .name = "ann", .home = "/home/ann"},
	        .indexed = indexed,
	        .vendor = vendor,
	        .source = source,
	        .reduce = reduce,
	        .keep = keep,
	        .ctx = &w};
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	start_builder_free(w->b);
	return 0;
}

static int build(struct world *w)
{
	memset(&w->e, 0, sizeof(w->e));
	return start_build(w->b, &w->in, &w->out, &w->e);
}

static void assert_list(const struct keeper_list *l, const char *const *want, size_t n)
{
	const char *s = NULL;

	assert_int_equal(l->n, n);
	for (size_t i = 0; i < n; i++) {
		s = keeper_list_next(l, s);
		assert_non_null(s);
		assert_string_equal(s, want[i]);
	}
}

static const char *env(const struct world *w, const char *key)
{
	const char *found = NULL;
	size_t n = strlen(key);

	for (const char *s = keeper_list_next(&w->out.env, NULL); s; s = keeper_list_next(&w->out.env, s)) {
		if (strncmp(s, key, n) != 0 || s[n] != '=')
			continue;
		assert_null(found); /* each once */
		found = s + n + 1;
	}
	return found;
}

static void templates_are_expanded_for_the_task(void **state)
{
	static const char *const want[] = {"run", "104", "a b"};
	struct world *w = *state;

	assert_int_equal(build(w), 0);
	assert_list(&w->out.argv, want, 3);
}

static void shell_text_is_one_argument_of_sh(void **state)
{
	static const char *const want[] = {"/bin/sh", "-c", "echo 104 $HOME"};
	struct world *w = *state;

	w->command.n_argv = 0;
	w->command.shell = (char *)"echo ${i} $HOME";
	assert_int_equal(build(w), 0);
	assert_list(&w->out.argv, want, 3);
}

static void unknown_name_is_told(void **state)
{
	struct world *w = *state;

	w->argv[1] = (char *)"${nobody}";
	assert_int_equal(build(w), -1);
	assert_non_null(strstr(w->e.msg, "nobody"));
}

static void environment_is_clean_and_each_name_comes_once(void **state)
{
	Wire__Pair path = WIRE__PAIR__INIT, own = WIRE__PAIR__INIT, *list[2] = {&path, &own};
	struct world *w = *state;

	assert_int_equal(build(w), 0);
	assert_string_equal(env(w, "OSIER_JOB"), "job-17");
	assert_string_equal(env(w, "OSIER_STEP"), "step");
	assert_string_equal(env(w, "OSIER_TASK"), "4");
	assert_string_equal(env(w, "OSIER_TASKS"), "10");
	assert_string_equal(env(w, "OSIER_ATTEMPT"), "5");
	assert_string_equal(env(w, "USER"), "ann");
	assert_string_equal(env(w, "HOME"), "/home/ann");
	assert_string_equal(env(w, "LANG"), "C.UTF-8");
	assert_non_null(strstr(env(w, "PATH"), "/usr/bin"));
	assert_null(env(w, "CUDA_VISIBLE_DEVICES"));
	path.key = (char *)"PATH";
	path.value = (char *)"/opt";
	own.key = (char *)"MINE";
	own.value = (char *)"${i}";
	w->step.env = list;
	w->step.n_env = 2;
	assert_int_equal(build(w), 0);
	assert_string_equal(env(w, "PATH"), "/opt");
	assert_string_equal(env(w, "MINE"), "104");
}

static void devices_are_told_as_their_tools_number_them(void **state)
{
	static const uint32_t devices[] = {2, 3, 4};
	struct world *w = *state;

	w->needs[0].name = (char *)"cpu";
	w->needs[0].amount = 1500;
	w->needs[1].name = (char *)"gpu";
	w->needs[1].amount = 3000;
	w->variant.n_needs = 2;
	w->in.devices = devices;
	w->in.n_devices = 3;
	w->in.has_gpus = true;
	w->argv[1] = (char *)"${devices}";
	assert_int_equal(build(w), 0);
	assert_string_equal(env(w, "OSIER_DEVICES_GPU"), "2,3,4");
	assert_string_equal(env(w, "CUDA_VISIBLE_DEVICES"), "12,14");
	assert_string_equal(env(w, "ROCR_VISIBLE_DEVICES"), "13");
	assert_string_equal(keeper_list_next(&w->out.argv, keeper_list_next(&w->out.argv, NULL)), "2,3,4");
	/* On the same machine a task without any sees none. */
	w->variant.n_needs = 1;
	w->in.n_devices = 0;
	assert_int_equal(build(w), 0);
	assert_string_equal(env(w, "CUDA_VISIBLE_DEVICES"), "");
	assert_string_equal(env(w, "ROCR_VISIBLE_DEVICES"), "");
	assert_null(env(w, "OSIER_DEVICES_GPU"));
}

static void limits_follow_the_needs(void **state)
{
	struct world *w = *state;

	w->needs[0].name = (char *)"cpu";
	w->needs[0].amount = 1500;
	w->needs[1].name = (char *)"memory";
	w->needs[1].amount = 64u << 20;
	w->needs[2].name = (char *)"disk";
	w->needs[2].amount = 1u << 30;
	w->variant.n_needs = 3;
	w->step.grace_ns = 7;
	w->step.pids_max = 9;
	w->step.output_bytes_max = 11;
	w->in.run_timeout_ns = 13;
	assert_int_equal(build(w), 0);
	assert_int_equal(w->out.uid, 1000);
	assert_int_equal(w->out.gid, 100);
	assert_int_equal(w->out.cpu_milli, 1500);
	assert_int_equal(w->out.memory_bytes, 64u << 20);
	assert_int_equal(w->out.file_bytes_max, 1u << 30);
	assert_int_equal(w->out.grace_ns, 7);
	assert_int_equal(w->out.pids_max, 9);
	assert_int_equal(w->out.output_bytes_max, 11);
	assert_int_equal(w->out.timeout_ns, 13);
	w->in.worker = true; /* a worker's tasks have the timeout, not the worker */
	assert_int_equal(build(w), 0);
	assert_int_equal(w->out.timeout_ns, 0);
	assert_null(env(w, "OSIER_TASK"));
}

static void inputs_are_blobs_or_bytes(void **state)
{
	Wire__Input blob = WIRE__INPUT__INIT, output = WIRE__INPUT__INIT, *list[2] = {&blob, &output};
	uint8_t sha[32] = {0x01, 0x23};
	struct world *w = *state;
	struct keeper_file f;
	size_t at = 0;

	blob.path = (char *)"data/${i}.csv";
	blob.blob.data = sha;
	blob.blob.len = 32;
	blob.size_bytes = 5;
	blob.executable = 1;
	output.path = (char *)"before.txt";
	output.from_step = (char *)"first";
	output.from_output = (char *)"stdout";
	w->step.inputs = list;
	w->step.n_inputs = 2;
	assert_int_equal(build(w), 0);
	assert_true(keeper_file_next(&w->out.inputs, &at, &f));
	assert_string_equal(f.path.p, "data/104.csv");
	assert_int_equal(f.flags, KEEPER_FILE_EXECUTABLE);
	assert_int_equal(f.data.n, 65);
	assert_memory_equal(f.data.p, "01/2300", 7);
	assert_true(keeper_file_next(&w->out.inputs, &at, &f));
	assert_int_equal(f.flags, KEEPER_FILE_INLINE);
	assert_int_equal(f.data.n, strlen("stdout 4"));
	assert_memory_equal(f.data.p, "stdout 4", f.data.n);
	assert_false(keeper_file_next(&w->out.inputs, &at, &f));
	output.from_output = (char *)"lost";
	assert_int_equal(build(w), -1);
	assert_non_null(strstr(w->e.msg, "before.txt"));
	blob.path = (char *)"../escape";
	assert_int_equal(build(w), -1);
}

static void reduce_gets_numbered_files_and_their_list(void **state)
{
	Wire__Reduce r = WIRE__REDUCE__INIT;
	struct world *w = *state;
	struct keeper_file f;
	size_t at = 0;

	r.of = (char *)"first";
	w->step.reduce = &r;
	w->reduce_inputs = 3;
	assert_int_equal(build(w), 0);
	assert_string_equal(env(w, "OSIER_INPUTS"), "inputs/000000 inputs/000001 inputs/000002");
	assert_true(keeper_file_next(&w->out.inputs, &at, &f));
	assert_string_equal(f.path.p, "inputs/000000");
	assert_memory_equal(f.data.p, "stdout 2", 8);
	assert_true(keeper_file_next(&w->out.inputs, &at, &f)); /* task 3's is large */
	assert_int_equal(f.flags, 0);
	assert_memory_equal(f.data.p, "ab/abab", 7);
	w->reduce_inputs = KEEPER_FILES_MAX + 1;
	assert_int_equal(build(w), -1);
	assert_non_null(strstr(w->e.hint, "associative"));
}

static void what_has_no_room_in_a_packet_is_a_blob(void **state)
{
	static uint8_t packet[KEEPER_PACKET_MAX];
	static char text[65537], word[130001];
	Wire__Reduce r = WIRE__REDUCE__INIT;
	struct world *w = *state;
	struct keeper_msg m = {.kind = KEEPER_START};
	struct keeper_file f;
	size_t at = 0, n = 0;

	r.of = (char *)"first";
	w->step.reduce = &r;
	w->reduce_inputs = 1024;
	w->pages = true;
	w->step.stdin_text = memset(text, 'x', 65536);
	assert_int_equal(build(w), 0);
	m.u.start = w->out;
	assert_int_equal(keeper_msg_build(packet, sizeof(packet), &n, &m, &w->e), 0);
	assert_int_equal(w->out.inputs.n, 1024);
	assert_int_equal(w->out.stdin_kind, KEEPER_STDIN_BLOB);
	assert_memory_equal(w->out.stdin_.p, "00/00010078", 11);
	assert_true(keeper_file_next(&w->out.inputs, &at, &f));
	assert_int_equal(f.flags, 0);
	assert_memory_equal(f.data.p, "e8/030000", 9);
	w->reduce_inputs = 10; /* with room they are bytes as before */
	assert_int_equal(build(w), 0);
	at = 0;
	assert_true(keeper_file_next(&w->out.inputs, &at, &f));
	assert_int_equal(f.flags, KEEPER_FILE_INLINE);
	assert_int_equal(w->out.stdin_kind, KEEPER_STDIN_TEXT);
	w->argv[1] = w->argv[2] = memset(word, 'x', 130000);
	assert_int_equal(build(w), -1);
	assert_int_equal(w->e.code, ERR_FULL);
}

static void stdin_of_a_mebibyte_is_a_blob(void **state)
{
	static char text[(1 << 20) + 16];
	struct world *w = *state;

	w->step.stdin_text = memset(text, 'x', 1 << 20);
	text[1 << 20] = '\0';
	assert_int_equal(build(w), 0);
	assert_int_equal(w->out.stdin_kind, KEEPER_STDIN_BLOB);
	assert_memory_equal(w->out.stdin_.p, "00/00100078cdcd", 15);
	text[65536] = '\0';
	assert_int_equal(build(w), 0);
	assert_int_equal(w->out.stdin_kind, KEEPER_STDIN_TEXT);
	assert_int_equal(w->out.stdin_.n, 65536);
	text[65536] = 'x';
	memcpy(text + (1 << 20) - 4, "${i}", 4);
	assert_int_equal(build(w), 0);
	assert_int_equal(w->out.stdin_kind, KEEPER_STDIN_BLOB);
	assert_memory_equal(w->out.stdin_.p, "ff/ff0f0078efef", 15);
	memcpy(text + (1 << 20), "${i}", 5);
	assert_int_equal(build(w), -1); /* two bytes more than there may be */
	assert_non_null(strstr(w->e.msg, "stdin"));
}

static void stdin_is_text_a_blob_or_nothing(void **state)
{
	Wire__Input in = WIRE__INPUT__INIT;
	struct world *w = *state;

	assert_int_equal(build(w), 0);
	assert_int_equal(w->out.stdin_kind, KEEPER_STDIN_NULL);
	w->step.stdin_text = (char *)"line ${i}\n";
	assert_int_equal(build(w), 0);
	assert_int_equal(w->out.stdin_kind, KEEPER_STDIN_TEXT);
	assert_int_equal(w->out.stdin_.n, 9);
	assert_memory_equal(w->out.stdin_.p, "line 104\n", 9);
	w->step.stdin_text = (char *)"";
	in.from_step = (char *)"first";
	in.from_output = (char *)"stdout";
	w->step.stdin_file = &in;
	assert_int_equal(build(w), 0);
	assert_int_equal(w->out.stdin_kind, KEEPER_STDIN_TEXT);
	w->in.task = 3;
	assert_int_equal(build(w), 0);
	assert_int_equal(w->out.stdin_kind, KEEPER_STDIN_BLOB);
	assert_memory_equal(w->out.stdin_.p, "ab/abab", 7);
}

static void start_is_what_the_keeper_reads(void **state)
{
	static uint8_t packet[KEEPER_PACKET_MAX];
	struct keeper_msg m = {.kind = KEEPER_START, .slot = 1, .lease = 5, .index = 4}, back;
	struct world *w = *state;
	size_t n = 0, at = 0;

	assert_int_equal(build(w), 0);
	m.u.start = w->out;
	assert_int_equal(keeper_msg_build(packet, sizeof(packet), &n, &m, &w->e), 0);
	assert_int_equal(keeper_msg_next(packet, n, &at, &back, &w->e), 1);
	assert_int_equal(back.u.start.argv.n, 3);
	assert_int_equal(back.u.start.env.n, w->out.env.n);
}

int main(void)
{
#define fact(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	        fact(templates_are_expanded_for_the_task),
	        fact(shell_text_is_one_argument_of_sh),
	        fact(unknown_name_is_told),
	        fact(environment_is_clean_and_each_name_comes_once),
	        fact(devices_are_told_as_their_tools_number_them),
	        fact(limits_follow_the_needs),
	        fact(inputs_are_blobs_or_bytes),
	        fact(reduce_gets_numbered_files_and_their_list),
	        fact(stdin_is_text_a_blob_or_nothing),
	        fact(what_has_no_room_in_a_packet_is_a_blob),
	        fact(stdin_of_a_mebibyte_is_a_blob),
	        fact(start_is_what_the_keeper_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
