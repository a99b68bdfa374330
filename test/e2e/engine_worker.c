/* SPDX-License-Identifier: Apache-2.0 */
/* engine_worker - the worker of the end-to-end tests: functions that return, fail, crash, hang and say too much. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "osier/worker.h"

static int noop(struct osier_task *t)
{
	(void)t;
	return 0;
}

static int square(struct osier_task *t)
{
	uint64_t i = osier_task_index(t);

	return osier_return_text(t, "%" PRIu64, i * i);
}

/* Adds up what the tasks below returned. */
static int sum(struct osier_task *t)
{
	uint64_t total = 0;

	for (size_t i = 0; i < osier_task_inputs(t); i++) {
		const void *p;
		char text[32];
		size_t n;

		if (osier_task_input(t, i, &p, &n) < 0 || n >= sizeof(text))
			return osier_fail(t, "input %zu cannot be read", i);
		memcpy(text, p, n);
		text[n] = '\0';
		total += strtoull(text, NULL, 10);
	}
	return osier_return_text(t, "%" PRIu64, total);
}

static int bytes(struct osier_task *t)
{
	uint64_t total = 0;

	for (size_t i = 0; i < osier_task_inputs(t); i++) {
		const void *p;
		size_t n;

		if (osier_task_input(t, i, &p, &n) < 0)
			return osier_fail(t, "input %zu cannot be read", i);
		total += n;
	}
	return osier_return_text(t, "%" PRIu64, total);
}

static int big(struct osier_task *t)
{
	char *p = osier_return_buffer(t, 200000);

	if (!p)
		return osier_fail(t, "no room");
	memset(p, 'a' + (int)(osier_task_index(t) % 26), 200000);
	return 0;
}

static int argument(struct osier_task *t)
{
	size_t n;
	const char *p = osier_task_args(t, &n);

	return osier_return(t, p, n);
}

static int poison(struct osier_task *t)
{
	if (osier_task_index(t) == 37)
		(void)raise(SIGABRT);
	return osier_return_text(t, "fine");
}

static int hang(struct osier_task *t)
{
	if (osier_task_index(t) == 5)
		(void)sleep(600);
	return 0;
}

static int odd_fails(struct osier_task *t)
{
	return osier_task_index(t) % 2 ? osier_fail(t, "%" PRIu64 " is odd", osier_task_index(t)) : 0;
}

/* Each run of a task leaves a line in the file that the arguments name. */
static int mark(struct osier_task *t)
{
	size_t n;
	FILE *f = fopen(osier_task_args(t, &n), "a");

	if (!f)
		return osier_fail(t, "cannot write the mark");
	(void)fprintf(f, "%" PRIu64 "\n", osier_task_index(t));
	(void)fclose(f);
	(void)usleep(3000);
	return osier_return_text(t, "%" PRIu64, osier_task_index(t));
}

/* The same with the attempt, and who it was. */
static int mark_attempt(struct osier_task *t)
{
	FILE *f = fopen(osier_task_args(t, NULL), "a");

	if (!f)
		return osier_fail(t, "cannot write the mark");
	(void)fprintf(f, "%" PRIu64 " %" PRIu64 " by %d\n", osier_task_index(t), osier_task_attempt(t),
	        (int)getpid());
	(void)fclose(f);
	(void)usleep(3000);
	return osier_return_text(t, "%" PRIu64, osier_task_index(t));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		osier_fn fn;
	} all[] = {
	        {"noop", noop},
	        {"square", square},
	        {"sum", sum},
	        {"bytes", bytes},
	        {"big", big},
	        {"argument", argument},
	        {"poison", poison},
	        {"hang", hang},
	        {"odd_fails", odd_fails},
	        {"mark", mark},
	        {"mark_attempt", mark_attempt},
	};

	/* Says something that is no packet of the contract, and stays. */
	if (argc > 1 && strcmp(argv[1], "--garbage") == 0) {
		(void)!write(3, "hello, engine!", 14);
		(void)sleep(600);
		return 0;
	}
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		(void)osier_function(all[i].name, all[i].fn);
	return osier_worker_run();
}
