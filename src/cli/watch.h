/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch - follow a job to its end with a progress bar, and tell how it ended. Shared by run, submit, wait and retry.
 */
#ifndef OSIER_CLI_WATCH_H
#define OSIER_CLI_WATCH_H

#include "cli/cli.h"

enum watch_mode {
	WATCH_DETACHES, /* Ctrl-C stops watching; the job goes on */
	WATCH_CANCELS,  /* Ctrl-C cancels the job and waits for that; a second one gives up */
};
struct watch_options {
	enum watch_mode mode;
	bool quiet;          /* no progress */
	uint64_t timeout_ns; /* 0: none */
	/* Called when the node went away and does not come back; 0: c->client is connected again. NULL: that is the end. */
	int (*reconnect)(struct cli *c, struct err *e);
};
enum watch_end { WATCH_FINISHED, WATCH_INTERRUPTED, WATCH_KILLED, WATCH_TIMEOUT, WATCH_FAILED };

/* Watch `job` (a full name, NAME-N). FINISHED: *out_last is the last JobEvent (json_decref it); FAILED: *e says why. */
enum watch_end watch_job(
        struct cli *c, const char *job, const struct watch_options *o, json_t **out_last, struct err *e);

/* Say how the job ended, print the result of its last step and the first failures with what to do about them (as one
 * object with --json). Returns the exit code. */
int report_job(struct cli *c, const char *job);

#endif
