/* SPDX-License-Identifier: Apache-2.0 */
/*
 * submission - a job file on its way to a node: read, checked here (so that errors name its lines), its files stored as blobs, sent.
 */
#ifndef OSIER_CLI_SUBMISSION_H
#define OSIER_CLI_SUBMISSION_H

#include "cli/cli.h"

struct submission;

/* Options that every command with a job file takes: -p NAME=VALUE. */
#define SUBMISSION_OPTIONS                                                                                   \
	{                                                                                                    \
		'p', "set", "NAME=VALUE", "set one of the job's own parameters; may be given again",         \
		        COMPLETE_NOTHING, NULL                                                               \
	}

/* Read and check the job file. Prints what is wrong with it; returns 0 or the exit code. */
int submission_load(struct cli *c, const char *path, struct submission **out);
void submission_free(struct submission *s);
/* Name and numbers of what was read, for `osier validate`. A new object. */
json_t *submission_summary(const struct submission *s);

/* Does a task of it ask for memory? Then the user must be told where that cannot be enforced. */
bool submission_limits_memory(const struct submission *s);

/* Store its files and submit it: the answer (Submitted), or NULL with *e. Said again it is the same job. */
json_t *submission_send(struct cli *c, struct submission *s, struct err *e);
/* Ask what would happen: a Plan. */
json_t *submission_plan(struct cli *c, struct submission *s, struct err *e);

#endif
