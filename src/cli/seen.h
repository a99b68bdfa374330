/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seen - which lines of a job's log were shown, so that a stream that broke off can be asked for again from its beginning.
 *
 * Per task and stream the place of the last line; lines of one attempt come in order. At most SEEN_MAX places of 24 bytes: a log of
 * more cannot be taken up again, which seen_full() says.
 */
#ifndef OSIER_CLI_SEEN_H
#define OSIER_CLI_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEEN_MAX (1u << 20)

struct seen_place {
	uint64_t key; /* 0: free */
	uint64_t attempt, at;
};

struct seen {
	struct seen_place *v;
	size_t n, max; /* max: 0 or a power of two */
	bool full;
};

/* Was this line shown before? Notes it as shown otherwise. */
bool seen_before(struct seen *s, const char *step, uint64_t index, bool err, uint64_t attempt, uint64_t at);
static inline bool seen_full(const struct seen *s)
{
	return s->full;
}
void seen_release(struct seen *s);

#endif
