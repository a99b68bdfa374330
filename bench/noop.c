/* SPDX-License-Identifier: Apache-2.0 */
/* noop - the worker of the rows: a function that does nothing, one with a result of 8 bytes, one that waits before a lease of tasks. */
#include <stdlib.h>
#include <unistd.h>

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

/* Either, but while the file $GATE is there no run of tasks begins: so many leases can be made to wait with all of their tasks. */
static void gate(const struct osier_task *t)
{
	static uint64_t next = UINT64_MAX;
	const char *path = getenv("GATE");
	uint64_t index = osier_task_index(t);

	while (index != next && path && access(path, F_OK) == 0)
		(void)usleep(50000);
	next = index + 1;
}

static int gated_noop(struct osier_task *t)
{
	gate(t);
	return 0;
}

static int gated_number(struct osier_task *t)
{
	gate(t);
	return number(t);
}

int main(void)
{
	(void)osier_function("noop", noop);
	(void)osier_function("number", number);
	(void)osier_function("gated-noop", gated_noop);
	(void)osier_function("gated-number", gated_number);
	return osier_worker_run();
}
