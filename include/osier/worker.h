/* SPDX-License-Identifier: Apache-2.0 */
/*
 * osier/worker.h - write a worker: a program whose functions osier calls, many tasks to one process.
 *
 *	static int square(struct osier_task *t)
 *	{
 *		long i = (long)osier_task_index(t);
 *
 *		return osier_return_text(t, "%ld", i * i);
 *	}
 *	int main(void)
 *	{
 *		osier_function("square", square);
 *		return osier_worker_run();
 *	}
 *
 * Link with -losier-worker. One thread: functions are called one after another. What a function prints goes to the worker's
 * log. Pointers from osier_task_*() are valid until the function returns.
 */
#ifndef OSIER_WORKER_H
#define OSIER_WORKER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct osier_task;

/* Returns 0 for success; anything else fails the task (1-255 is its exit code, to be matched by retries.exit_codes). */
typedef int (*osier_fn)(struct osier_task *t);

/* Register before osier_worker_run(); `name` is borrowed. At most 64. Returns -1 when there are too many. */
int osier_function(const char *name, osier_fn fn);

/* Serve until osier has no more work. Returns the process's exit code. Started by hand (without osier) it says so, unless
 * `--call NAME INDEX [ARGS]` was given in osier_worker_main(): then it runs one task and writes its result to stdout. */
int osier_worker_run(void);
int osier_worker_main(int argc, char **argv);

uint64_t osier_task_index(const struct osier_task *t);   /* which task of the step */
uint64_t osier_task_count(const struct osier_task *t);   /* how many the step has */
uint64_t osier_task_attempt(const struct osier_task *t); /* the fencing number of this attempt */

/* The argument bytes (`args:` of the step, expanded for this task); NUL-terminated. */
const char *osier_task_args(const struct osier_task *t, size_t *out_n);
/* Value of `key` in arguments of the form "key=value key=value", or NULL. osier_task_arg_int: `otherwise` when absent. */
const char *osier_task_arg(const struct osier_task *t, const char *key);
int64_t osier_task_arg_int(const struct osier_task *t, const char *key, int64_t otherwise);

/* Inputs: of a reduce the outputs of the tasks below, in order; then the step's `inputs:` that come from steps. Bytes stay valid until the function returns; large ones are
 * mapped files. < 0: there is no such input, or it cannot be read. */
size_t osier_task_inputs(const struct osier_task *t);
int osier_task_input(struct osier_task *t, size_t i, const void **out, size_t *out_n);

/* The task's result. The last call counts. osier_return() copies; all return 0, or -1 when there is no memory or room. */
int osier_return(struct osier_task *t, const void *p, size_t n);
int osier_return_text(struct osier_task *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* For large results: n bytes to fill in, mapped from a file that becomes the output without a copy. NULL: no room. */
void *osier_return_buffer(struct osier_task *t, size_t n);

/* Why it failed, in one line, shown by `osier why` and `osier logs`; returns 1, so `return osier_fail(t, "...")` reads well. */
int osier_fail(struct osier_task *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif
#endif
