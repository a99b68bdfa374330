/* SPDX-License-Identifier: Apache-2.0 */
/* test_jobfile - facts about job files on disk, requests made of them, lines of files, and specifications as JSON. */
#include "jobspec_help.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/jobfile.h"
#include "io/lines.h"
#include "io/sha256.h"
#include "io/spec_json.h"
#include "wire/entry.h"

static char dir[64];

static int dir_setup(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/osier-jobfile-XXXXXX");
	return mkdtemp(dir) ? mem_setup(state) : -1;
}

static const char *path_of(const char *name)
{
	static char path[4][200];
	static unsigned turn;
	char *p = path[turn++ % 4];

	(void)snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static int dir_teardown(void **state)
{
	static const char *const names[] = {"job.yaml", "tool.sh", "words", "big.yaml", "fifo"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(path_of(names[i]));
	(void)rmdir(dir);
	return mem_teardown(state);
}

static void write_file(const char *name, const char *text, size_t n, mode_t mode)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	(void)close(fd);
}

static const char good[] = "parameters: {n: 3}\n"
                           "command: ./tool.sh ${w} ${i}\n"
                           "workdir: sub\n"
                           "inputs: [tool.sh]\n"
                           "array: {w: {lines: words}, i: '1..${n}'}\n"
                           "resources: {memory: 1MiB}\n";

static void file_is_read_with_the_files_it_names(void **state)
{
	struct jobfile f;
	struct err e = {0};
	uint8_t want[32];
	char sub[100];

	(void)state;
	write_file("job.yaml", good, sizeof(good) - 1, 0644);
	write_file("tool.sh", "#!/bin/sh\n", 10, 0755);
	write_file("words", "one\ntwo\nthree", 13, 0644);
	jobfile_init(&f);
	if (jobfile_read(&f, path_of("job.yaml"), NULL, 0, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(f.spec->name, "job");
	assert_int_equal(f.spec->steps[0]->tasks, 9);
	(void)snprintf(sub, sizeof(sub), "%s/sub", dir);
	assert_string_equal(f.spec->steps[0]->workdir, sub);
	assert_true(f.spec->steps[0]->inputs[0]->executable);
	sha256_of("one\ntwo\nthree", 13, want);
	assert_memory_equal(f.spec->steps[0]->params[0]->blob.data, want, 32);
	assert_int_equal(f.n_files, 2);
	jobfile_release(&f);
	jobfile_release(&f);
	jobfile_release(NULL);
}

static void request_gives_the_server_the_same_job(void **state)
{
	static const struct jobspec_set set[] = {{"n", "5"}};
	struct jobfile f;
	struct jobfile_jobs jobs;
	uint8_t client[4000], server[4000];
	json_t *body;
	char *text;
	size_t n;

	(void)state;
	jobfile_init(&f);
	assert_int_equal(jobfile_read(&f, path_of("job.yaml"), set, 1, NULL), 0);
	body = jobfile_request(&f);
	text = json_dumps(body, 0);
	json_decref(body);
	body = doc_json_load(text, strlen(text), 8 << 20, problems);
	growing_clear(&mem);
	if (jobfile_from_request(&mem.arena, body, &jobs) < 0)
		fail_msg("found %s, expected %s", jobs.problems[0].found, jobs.problems[0].expected);
	assert_false(jobs.many);
	assert_int_equal(jobs.n, 1);
	assert_int_equal(jobs.specs[0]->steps[0]->tasks, 15);
	assert_int_equal(jobs.specs[0]->steps[0]->variants[0]->needs[1]->line, 6);
	n = jobspec_size(f.spec);
	assert_int_equal(n, jobspec_size(jobs.specs[0]));
	assert_true(n < sizeof(client));
	assert_int_equal(jobspec_encode(f.spec, client), jobspec_encode(jobs.specs[0], server));
	assert_memory_equal(client, server, n);
	free(text);
	json_decref(body);
	jobfile_release(&f);
}

static void file_that_cannot_be_read_is_told(void **state)
{
	static char big[(1 << 20) + 1];
	struct jobfile f;
	struct err e = {0};

	(void)state;
	jobfile_init(&f);
	assert_int_equal(jobfile_read(&f, "/nowhere/job.yaml", NULL, 0, &e), -1);
	assert_string_equal(e.msg, "cannot open '/nowhere/job.yaml': No such file or directory");
	assert_int_equal(f.n_problems, 0);
	jobfile_release(&f);
	jobfile_init(&f);
	assert_int_equal(jobfile_read(&f, "/tmp", NULL, 0, &e), -1);
	assert_string_equal(e.msg, "'/tmp' is a folder, not a job file");
	jobfile_release(&f);
	memset(big, '#', sizeof(big));
	write_file("big.yaml", big, sizeof(big), 0644);
	jobfile_init(&f);
	assert_int_equal(jobfile_read(&f, path_of("big.yaml"), NULL, 0, &e), -1);
	assert_non_null(strstr(e.msg, "big.yaml' is longer than 1 MiB"));
	jobfile_release(&f);
}

/* What jobfile_print() writes for this text. */
static const char *printed(const char *text, bool colour)
{
	static char out[2000];
	struct jobfile f;
	FILE *fp = fmemopen(out, sizeof(out), "w");

	write_file("job.yaml", text, strlen(text), 0644);
	jobfile_init(&f);
	assert_int_equal(jobfile_read(&f, path_of("job.yaml"), NULL, 0, NULL), -1);
	f.path = "job.yaml";
	jobfile_print(&f, fp, colour);
	(void)fclose(fp);
	jobfile_release(&f);
	return out;
}

static void problem_is_printed_with_its_line_and_a_caret(void **state)
{
	(void)state;
	assert_string_equal(printed("command: x\npriority: \xc3\xa4\n", true),
	        "job.yaml:2:11: found '\xc3\xa4', expected a whole number from 0 to 100\n"
	        "  priority: \xc3\xa4\n"
	        "            \033[1;32m^\033[0m\n");
	assert_string_equal(printed("command: x\nenv: {a: \"\xc3\xa4\", \xc3\xa4: 1}\n", true),
	        "job.yaml:2:15: found '\xc3\xa4', expected a variable's name: a letter or '_', then letters, "
	        "digits or "
	        "'_'\n"
	        "  env: {a: \"\xc3\xa4\", \xc3\xa4: 1}\n"
	        "                \033[1;32m^\033[0m\n");
	assert_string_equal(printed("command: x\nhold: maybe\n", false),
	        "job.yaml:2:7: found 'maybe', expected true or false\n");
	(void)mkfifo(path_of("fifo"), 0600);
	assert_string_equal(printed("command: x\ninputs: [fifo, nothing]\n", false),
	        "job.yaml:2:10: found 'fifo', expected a file that can be read (it is not a regular file)\n"
	        "job.yaml:2:16: found 'nothing', expected a file that can be read (No such file or "
	        "directory)\n");
}

static json_t *json(const char *text)
{
	json_t *j = json_loads(text, 0, NULL);

	assert_non_null(j);
	return j;
}

static void request_can_be_bare_or_wrapped_or_many(void **state)
{
	json_t *bare = json("{\"name\": \"a\", \"command\": \"x\"}");
	json_t *wrapped = json("{\"job\": {\"command\": \"x\", \"workdir\": \"b\"}, \"source\": "
	                       "\"dir/b.json\", \"workdir\": "
	                       "\"/home\"}");
	json_t *many = json("{\"jobs\": [{\"command\": \"x\"}, {\"yaml\": \"command: y\\narray: 3\"}, "
	                    "{\"job\": {\"command\": "
	                    "\"z\"}, \"source\": \"z\"}], \"source\": \"m\"}");
	struct jobfile_jobs jobs;

	(void)state;
	growing_clear(&mem);
	assert_int_equal(jobfile_from_request(&mem.arena, bare, &jobs), 0);
	assert_string_equal(jobs.specs[0]->name, "a");
	assert_int_equal(jobfile_from_request(&mem.arena, wrapped, &jobs), 0);
	assert_string_equal(jobs.specs[0]->name, "b");
	assert_string_equal(jobs.specs[0]->steps[0]->workdir, "/home/b");
	assert_int_equal(jobfile_from_request(&mem.arena, many, &jobs), 0);
	assert_true(jobs.many);
	assert_int_equal(jobs.n, 3);
	assert_string_equal(jobs.specs[0]->name, "m");
	assert_int_equal(jobs.specs[1]->steps[0]->tasks, 3);
	assert_string_equal(jobs.specs[2]->name, "z");
	json_decref(bare);
	json_decref(wrapped);
	json_decref(many);
}

static const char *refused(const char *text)
{
	struct jobfile_jobs jobs;
	json_t *body = json_loads(text, JSON_DECODE_ANY, NULL);

	growing_clear(&mem);
	assert_non_null(body);
	assert_int_equal(jobfile_from_request(&mem.arena, body, &jobs), -1);
	assert_in_range(jobs.n_problems, 1, JOBSPEC_PROBLEMS_MAX);
	(void)jobspec_problem_text(&jobs.problems[0], jobs.source, complaint, sizeof(complaint));
	json_decref(body);
	return complaint;
}

static void request_that_is_wrong_is_told(void **state)
{
	(void)state;
	assert_string_equal(refused("5"),
	        "job: found no object, expected a job: {\"command\": ...}, {\"yaml\": ...} or {\"jobs\": "
	        "[...]}");
	assert_string_equal(refused("{\"jobs\": []}"), "job: jobs: found no list, an empty one or too long a "
	                                               "one, expected a list of 1 to 10000 jobs");
	assert_string_equal(refused("{\"job\": {\"command\": \"x\"}, \"prio\": 5}"),
	        "job: prio: found an unknown key beside the job, expected one of job, yaml, jobs, source, "
	        "workdir, "
	        "files, parameters");
	assert_string_equal(refused("{\"job\": {\"command\": \"x\", \"inputs\": [\"a\"]}}"),
	        "job: inputs[0]: found 'a', expected no files here: this job came without any");
	assert_string_equal(refused("{\"job\": {\"command\": \"x\", \"inputs\": [\"a\"]}, \"files\": {}}"),
	        "job: inputs[0]: found 'a', expected a file that can be read (the request says nothing of it "
	        "under "
	        "'files')");
	assert_string_equal(refused("{\"job\": {\"command\": \"x\", \"inputs\": [\"a\"]}, \"files\": {\"a\": "
	                            "{\"sha256\": \"12\"}}}"),
	        "job: inputs[0]: found 'a', expected a file that can be read (its 'sha256' in the request is "
	        "not 64 "
	        "hexadecimal digits)");
	assert_string_equal(refused("{\"yaml\": \"command: x\\nhold: 1\", \"source\": \"j.yaml\"}"),
	        "j.yaml:2:7: found '1', expected true or false");
	assert_string_equal(refused("{\"yaml\": \"command: x\", \"job\": {}}"),
	        "job: found both 'job' and 'yaml', expected one of "
	        "them");
	assert_string_equal(refused("{\"jobs\": [{\"command\": \"x\"}, {\"steps\": {\"a\": {\"resources\": "
	                            "{\"memry\": 1}}}}]}"),
	        "job: steps.a.resources.memry: found 'memry', expected one of cpu, memory, disk, gpu, fpga "
	        "or a pool's "
	        "name; did you mean 'memory'?");
	assert_string_equal(refused("{\"command\": \"x\", \"workdir\": \"rel\"}"),
	        "job: workdir: found 'rel', expected an absolute folder, the same for all tasks");
}

static void json_of_a_job_is_a_job_file_again(void **state)
{
	static const char *const texts[] = {
	        "command: x",
	        "{name: j, namespace: n, labels: {a: b}, class: realtime, priority: 7, deadline: {within: "
	        "90s, on_missed: warn},"
	        " timeouts: {queue: 1s, run: 1.5s, job: 3h}, concurrency: 3, not_before: "
	        "'2030-01-01T00:00:00.000000001Z', hold: "
	        "true, keep_going: false, disconnect: {lost_after: 1m, stop_after: 10m, reconcile: "
	        "keep_replacement}, pack: spread, where: {a: b, c: [d, e], f: {exists: true}, g: {exists: "
	        "false}, "
	        "not: {h: [i, j]}}, prefer: [{where: {a: b}, weight: -3}], spread: node, near: {k: l}, data: "
	        "false, worker: {command: [w], function: f, args: '${i}', batch: 5}, "
	        "array: {i: -3..9 step 4, c: "
	        "[a, b]}, resources: {cpu: 0.125, memory: 3MiB, pool: 2}, verify: {mode: adaptive, replicas: "
	        "3, comparator: "
	        "[cmp], same: cpu_model}, retries: {max: "
	        "2, exit_codes: [7]}, limits: {pids: 3, output: 5kB}, grace: 10ms, checkpoint_signal: USR2, "
	        "kind: k, env: {A: b}}",
	        "steps: {m: {command: x, array: 9, outputs: [o, {path: p, optional: true}]}, n: {command: "
	        "[y, z], array: 9, inputs: "
	        "{q: {from: m, output: o}}, stdin: {from: m}}, r: {command: z, reduce: {of: n, associative: "
	        "true, fan_in: 3}, "
	        "after: {step: m, on: always}}, v: {any_of: [{resources: {gpu: 1}, command: a}, {resources: "
	        "{cpu: 8}, command: "
	        "[b]}], workdir: /tmp, stdin: text}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const Wire__JobSpec *a = spec_of(texts[i]), *b = NULL;
		const struct doc *root;
		json_t *once = jobspec_to_json(a), *twice;

		assert_int_equal(doc_json_from(&mem.arena, once, &root, problems), 0);
		if (jobspec_from_doc(&mem.arena, root, &job_in, &b, problems, &n_problems) < 0)
			fail_msg("%s: found %s, expected %s", problems[0].path, problems[0].found,
			        problems[0].expected);
		twice = jobspec_to_json(b);
		if (!json_equal(once, twice))
			fail_msg("%s\n%s", json_dumps(once, 0), json_dumps(twice, 0));
		json_decref(once);
		json_decref(twice);
	}
}

static int count_blob(void *ctx, const uint8_t sha256[32])
{
	*(size_t *)ctx += sha256[0] != 0;
	return 0;
}

static void every_blob_of_a_job_is_named(void **state)
{
	size_t n = 0;

	(void)state;
	assert_int_equal(
	        jobfile_each_blob(
	                spec_of("command: x\ninputs: [a, b]\nstdin: {file: c}\narray: {l: {lines: d}}"),
	                count_blob, &n),
	        0);
	assert_int_equal(n, 4);
}

/* ---- lines ---- */

static int open_words(void *ctx, const uint8_t sha256[32], struct err *e)
{
	if (sha256[0] == 'x')
		return err_set(e, ERR_NOTFOUND, "no such blob");
	++*(int *)ctx;
	return open(path_of("words"), O_RDONLY | O_CLOEXEC);
}

static void line_by_number_is_the_line(void **state)
{
	char *text = malloc(2 << 20), want[40];
	struct lines *l;
	struct err e = {0};
	const char *s;
	size_t n = 0, k;

	(void)state;
	for (int i = 0; i < 100000; i++)
		n += (size_t)snprintf(text + n, 40, "%.*s%d\n", i % 7, "-------", i * 3);
	write_file("words", text, n, 0644);
	assert_int_equal(lines_open_take(open(path_of("words"), O_RDONLY | O_CLOEXEC), &l, &e), 0);
	assert_int_equal(lines_count(l), 100000);
	for (uint64_t i = 0; i < 300000; i += i < 5000 ? 1 : 977) {
		uint64_t at = i < 100000 ? i : (i * 7919) % 100000;

		assert_int_equal(lines_get(l, at, &s, &k, &e), 0);
		(void)snprintf(want, sizeof(want), "%.*s%d", (int)(at % 7), "-------", (int)at * 3);
		assert_int_equal(k, strlen(want));
		assert_memory_equal(s, want, k);
	}
	assert_int_equal(lines_get(l, 100000, &s, &k, &e), -1);
	assert_string_equal(e.msg, "no line 100001: the file has 100000");
	lines_close(l);
	free(text);
}

static int count_of(const char *text, size_t n, struct err *e)
{
	struct lines *l;
	int count;

	write_file("words", text, n, 0644);
	if (lines_open_take(open(path_of("words"), O_RDONLY | O_CLOEXEC), &l, e) < 0)
		return -1;
	count = (int)lines_count(l);
	lines_close(l);
	return count;
}

static void last_line_counts_without_its_end(void **state)
{
	static char big[70000];
	struct err e = {0};

	(void)state;
	assert_int_equal(count_of("", 0, &e), 0);
	assert_int_equal(count_of("a", 1, &e), 1);
	assert_int_equal(count_of("a\n", 2, &e), 1);
	assert_int_equal(count_of("a\n\nb", 4, &e), 3);
	assert_int_equal(count_of("a\nb\0c\n", 6, &e), -1);
	assert_string_equal(e.msg, "line 2 has a NUL byte");
	memset(big, 'x', sizeof(big));
	assert_int_equal(count_of(big, LINE_BYTES_MAX, &e), 1);
	assert_int_equal(count_of(big, LINE_BYTES_MAX + 1, &e), -1);
	assert_int_equal(count_of(big, sizeof(big), &e), -1);
	assert_string_equal(e.msg, "line 1 is longer than 4096 bytes");
}

static void files_of_lines_stay_open_while_they_are_used(void **state)
{
	int opened = 0;
	struct lines_cache *c = lines_cache_new(open_words, &opened);
	uint8_t digest[32] = {0};
	struct err e = {0};
	const char *s;
	size_t n;

	(void)state;
	write_file("words", "one\ntwo\n", 8, 0644);
	for (int round = 0; round < 3; round++)
		for (uint8_t i = 0; i < 16; i++) {
			digest[0] = i;
			assert_int_equal(lines_cache_line(c, digest, i % 2, &s, &n, &e), 0);
			assert_memory_equal(s, i % 2 ? "two" : "one", 3);
		}
	assert_int_equal(opened, 16);
	digest[0] = 99; /* takes the place of the one not used for longest */
	assert_int_equal(lines_cache_line(c, digest, 0, &s, &n, &e), 0);
	digest[0] = 1;
	assert_int_equal(lines_cache_line(c, digest, 0, &s, &n, &e), 0);
	assert_int_equal(opened, 17);
	digest[0] = 0;
	assert_int_equal(lines_cache_line(c, digest, 0, &s, &n, &e), 0);
	assert_int_equal(opened, 18);
	digest[0] = 'x';
	assert_int_equal(lines_cache_line(c, digest, 0, &s, &n, &e), -1);
	assert_string_equal(e.msg, "no such blob");
	lines_cache_free(c);
}

/* ---- the schema and what follows from it ---- */

static void example_is_a_valid_job(void **state)
{
	const Wire__JobSpec *j = spec_of(jobspec_example);

	(void)state;
	assert_string_equal(j->name, "hello");
	assert_int_equal(j->steps[0]->tasks, 6);
}

/* The example again, with what it has commented out at its end: steps. */
static void steps_of_the_example_are_valid_too(void **state)
{
	const char *s = strstr(jobspec_example, "# steps:");
	char text[2000] = "";
	size_t n = 0;

	(void)state;
	assert_non_null(s);
	for (; *s; s++) {
		if ((s[-1] == '\n') && s[0] == '#') {
			s++;
			continue;
		}
		text[n++] = *s;
	}
	assert_int_equal(spec_of(text)->n_steps, 3);
}

/* docs/jobs.md */
static const char *document(void)
{
	static char text[200000];
	FILE *f = fopen(OSIER_SOURCE_ROOT "/docs/jobs.md", "r");

	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	(void)fclose(f);
	return text;
}

static void every_job_in_the_documents_is_valid(void **state)
{
	const char *s = document(), *end;
	size_t n = 0;

	(void)state;
	for (; (s = strstr(s, "\n```yaml\n")) != NULL; s = end, n++) {
		s += 9;
		end = strstr(s, "\n```");
		assert_non_null(end);
		if (!spec_of_n(s, (size_t)(end - s)))
			fail_msg("%s\nin:\n%.*s", complaint, (int)(end - s), s);
	}
	assert_true(n >= 5);
}

static void every_key_is_in_the_documents(void **state)
{
	const char *text = document();
	struct jobspec_key k;
	char row[100];
	size_t i;

	(void)state;
	for (i = 0; jobspec_key_at(i, &k); i++) {
		char heading[60];
		const char *section, *end, *found;

		(void)snprintf(heading, sizeof(heading), "\n### %s\n", k.object);
		section = strstr(text, heading);
		if (!section)
			fail_msg("docs/jobs.md has no section '### %s'", k.object);
		end = strstr(section + 5, "\n### ");
		(void)snprintf(row, sizeof(row), "\n| `%s` | %s | %s |", k.name, k.type, k.dflt);
		found = strstr(section, row);
		if (!found || (end && found > end))
			fail_msg("docs/jobs.md, '### %s' has no row '%s'", k.object, row + 1);
	}
	assert_true(i > 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(file_is_read_with_the_files_it_names),
	        cmocka_unit_test(request_gives_the_server_the_same_job),
	        cmocka_unit_test(file_that_cannot_be_read_is_told),
	        cmocka_unit_test(problem_is_printed_with_its_line_and_a_caret),
	        cmocka_unit_test(request_can_be_bare_or_wrapped_or_many),
	        cmocka_unit_test(request_that_is_wrong_is_told),
	        cmocka_unit_test(json_of_a_job_is_a_job_file_again),
	        cmocka_unit_test(every_blob_of_a_job_is_named),
	        cmocka_unit_test(line_by_number_is_the_line),
	        cmocka_unit_test(last_line_counts_without_its_end),
	        cmocka_unit_test(files_of_lines_stay_open_while_they_are_used),
	        cmocka_unit_test(example_is_a_valid_job),
	        cmocka_unit_test(steps_of_the_example_are_valid_too),
	        cmocka_unit_test(every_job_in_the_documents_is_valid),
	        cmocka_unit_test(every_key_is_in_the_documents),
	};

	return cmocka_run_group_tests(tests, dir_setup, dir_teardown);
}
