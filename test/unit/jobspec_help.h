/* SPDX-License-Identifier: Apache-2.0 */
/* jobspec_help - what the tests of job files share: YAML text to a specification or to the problems, as one text. */
#ifndef OSIER_TEST_JOBSPEC_HELP_H
#define OSIER_TEST_JOBSPEC_HELP_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/doc_json.h"
#include "io/doc_yaml.h"
#include "io/growing.h"

static struct growing mem;
static struct jobspec_problem problems[JOBSPEC_PROBLEMS_MAX];
static size_t n_problems;
static char complaint[4000];
static struct jobspec_in job_in = {.source = "job.yaml", .folder = "/home/me"};

static int fake_digest(void *ctx, const char *path, uint8_t out_sha256[32], uint64_t *out_bytes,
        bool *out_executable, struct err *e)
{
	(void)ctx;
	if (strcmp(path, "missing") == 0)
		return err_set(e, ERR_NOTFOUND, "no such file");
	memset(out_sha256, path[0], 32);
	*out_bytes = 100;
	*out_executable = strstr(path, ".sh") != NULL;
	return 0;
}

static int fake_lines(void *ctx, const char *path, uint8_t out_sha256[32], uint64_t *out_lines, struct err *e)
{
	(void)ctx;
	if (strcmp(path, "missing") == 0)
		return err_set(e, ERR_NOTFOUND, "no such file");
	memset(out_sha256, path[0], 32);
	*out_lines = strcmp(path, "empty") == 0 ? 0 : 7;
	return 0;
}

static const struct jobspec_files fake_files = {NULL, fake_digest, fake_lines};

static int mem_setup(void **state)
{
	(void)state;
	growing_init(&mem, 1 << 20, 256u << 20);
	job_in.files = &fake_files;
	return 0;
}

static int mem_teardown(void **state)
{
	(void)state;
	growing_release(&mem);
	return 0;
}

/* The specification, or NULL with what is wrong in `complaint`, a line each. */
static const Wire__JobSpec *spec_of_n(const char *text, size_t n)
{
	const struct doc *root = NULL;
	const Wire__JobSpec *spec = NULL;
	struct err e = {0};
	size_t used = 0;

	growing_clear(&mem);
	n_problems = 1;
	complaint[0] = '\0';
	if (doc_yaml_parse(&mem.arena, text, n, &root, problems) == 0 &&
	        jobspec_from_doc(&mem.arena, root, &job_in, &spec, problems, &n_problems) == 0) {
		if (jobspec_check(spec, &e) < 0)
			fail_msg("read, but does not pass the check: %s", e.msg);
		return spec;
	}
	assert_in_range(n_problems, 1, JOBSPEC_PROBLEMS_MAX);
	for (size_t i = 0; i < n_problems && used < sizeof(complaint) - 1; i++) {
		if (i)
			complaint[used++] = '\n';
		used += jobspec_problem_text(
		        &problems[i], "job.yaml", complaint + used, sizeof(complaint) - used);
	}
	return NULL;
}

__attribute__((unused)) static const Wire__JobSpec *spec_of(const char *text)
{
	const Wire__JobSpec *spec = spec_of_n(text, strlen(text));

	if (!spec)
		fail_msg("not a job: %s", complaint);
	return spec;
}

/* What is wrong with it. */
__attribute__((unused)) static const char *wrong(const char *text)
{
	assert_null(spec_of_n(text, strlen(text)));
	return complaint;
}

#endif
