/* SPDX-License-Identifier: Apache-2.0 */
/* noop - the worker of the worker-tasks row: a function that does nothing. */
#include <osier/worker.h>

static int noop(struct osier_task *t)
{
	(void)t;
	return 0;
}

int main(void)
{
	(void)osier_function("noop", noop);
	return osier_worker_run();
}
