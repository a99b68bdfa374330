/* SPDX-License-Identifier: Apache-2.0 */
/* noop - the worker of the rows worker-tasks and recovery: a function that does nothing, and one with a result of 8 bytes. */
#include <osier/worker.h>

static int noop(struct osier_task *t)
{
	(void)t;
	return 0;
}

/* The index in hexadecimal: no two tasks have the same result. */
static int number(struct osier_task *t)
{
	uint64_t index = osier_task_index(t);
	char text[8];

	for (int i = 7; i >= 0; i--, index >>= 4)
		text[i] = "0123456789abcdef"[index & 15];
	return osier_return(t, text, sizeof(text));
}

int main(void)
{
	(void)osier_function("noop", noop);
	(void)osier_function("number", number);
	return osier_worker_run();
}
