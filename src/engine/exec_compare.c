/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_compare - a step's comparator is run on the outputs of two replicas; its exit code is its word.
 *
 * A comparator is a process like a task, with a lease number of its own (from COMPARE_LEASE on) that no entry knows: after
 * a restart it is simply run again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/exec_int.h"
#include "wire/entry.h"

struct compare {
	struct compare *next;
	uint64_t lease;
	struct effect what;
	struct slot *slot;
};

void compare_resume(struct exec *x)
{
	struct effect at, *after = NULL;

	while (engine_compare_next(x->n->engine, after, &at)) {
		exec_compare(x, &at);
		after = &at;
	}
}

void exec_compare(struct exec *x, const struct effect *ef)
{
	(void)x;
	(void)ef;
}

bool compare_message(struct exec *x, const struct keeper_msg *m)
{
	(void)x;
	(void)m;
	return false;
}

void compares_free(struct exec *x)
{
	(void)x;
}
