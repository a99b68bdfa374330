/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_run - `osier run FILE`: the job from submit to result, on the node that is up or on a private one.
 *
 * A private node ends with its job. When other jobs came to it meanwhile (another `osier run` on the same folder
 * found it up), it stays until they are done.
 */
#include <time.h>

#include "cli/commands.h"
#include "cli/nodeproc.h"
#include "cli/show.h"
#include "cli/submission.h"
#include "cli/watch.h"

#define FASTER_NS  (20ull * 1000000000ull)
#define SEND_TRIES 5

static const struct option_def options[] = {
        SUBMISSION_OPTIONS,
        {'q', "quiet", NULL, "no progress", COMPLETE_NOTHING, NULL},
        {0},
};

static int connect_or_start(struct cli *c, struct err *e)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	uint64_t until = cli_mono_ns() + FASTER_NS;

	if (c->client) {
		client_close(c->client);
		c->client = NULL;
	}
	if (c->node) {
		nodeproc_stop(c->node, false);
		c->node = NULL;
	}
	if (cli_connect(c, e) == 0)
		return 0;
	if (e->code != ERR_CLOSED || c->host || state_folder_make(c->state_dir, e) < 0)
		return -1;
	term_catch_interrupts();
	/* Another command may be faster: its node will do, or one of ours when that has just ended. */
	while (nodeproc_start(c->state_dir, NODE_PRIVATE, NULL, &c->node, e) < 0) {
		struct err second;

		if (cli_connect(c, &second) == 0)
			return 0;
		if (!strstr(e->msg, "another keeper") || term_interrupts() || cli_mono_ns() > until)
			return -1;
		(void)nanosleep(&pause, NULL);
	}
	return client_open(nodeproc_socket(c->node), &c->client, e);
}

static json_t *active(struct cli *c, struct err *e)
{
	return ask_get(c, e, "/v1/jobs?state=active&limit=10");
}

/* A journal may hold jobs that an earlier run left unfinished: they go on with ours. Say so. */
static void note_others(struct cli *c)
{
	struct err e;
	json_t *j = c->node ? active(c, &e) : NULL, *first;

	first = json_array_get(json_object_get(j, "jobs"), 0);
	if (first)
		term_note("%s, not finished earlier, goes on too ('osier cancel %s' stops it)",
		        j_str(first, "id"), j_str(first, "id"));
	json_decref(j);
}

/* A limit that this machine cannot hold a task to must not be believed in. */
static void note_limits(struct cli *c, const struct submission *s)
{
	struct err e;
	json_t *j, *n;
	size_t i;

	if (!c->node || c->json || args_flag(&c->args, "quiet") || !submission_limits_memory(s))
		return;
	j = ask_get(c, &e, "/v1/version");
	json_array_foreach(json_object_get(j, "notices"), i,
	        n) if (json_string_value(n) && strstr(json_string_value(n), "memory"))
	        term_note("notice: %s", json_string_value(n));
	json_decref(j);
}

/* A node that another command began may end with that command before it has our job: then it is sent again, by the same key. */
static json_t *send_job(struct cli *c, struct submission *s, struct err *e)
{
	json_t *sent;

	for (int i = 0;; i++) {
		if (connect_or_start(c, e) < 0)
			return NULL;
		note_others(c);
		note_limits(c, s);
		term_catch_interrupts(); /* from now on a job may run */
		sent = submission_send(c, s, e);
		if (sent || e->code != ERR_CLOSED || c->node || c->host || i == SEND_TRIES ||
		        term_interrupts())
			return sent;
	}
}

/* Serve until nobody's job is left on our private node, or Ctrl-C. */
static void serve_others(struct cli *c)
{
	struct watch_options o = {.mode = WATCH_DETACHES, .quiet = true};
	struct err e = {0};

	for (;;) {
		json_t *j = active(c, &e), *first = json_array_get(json_object_get(j, "jobs"), 0),
		       *last = NULL;
		char *id = first ? cli_dup(j_str(first, "id")) : NULL;
		enum watch_end end = WATCH_INTERRUPTED;

		json_decref(j);
		if (id) {
			term_note("this command's node stays until %s is finished; Ctrl-C ends it now", id);
			end = watch_job(c, id, &o, &last, &e);
		}
		json_decref(last);
		free(id);
		if (end != WATCH_FINISHED)
			return;
	}
}

/* End our private node. `kill`: at once, with all that runs in it. */
static void end_node(struct cli *c, bool kill)
{
	struct err e;
	json_t *j;

	if (!c->node)
		return;
	if (kill) {
		nodeproc_kill(c->node);
	} else {
		/* What ran is signed before the node goes: else its receipts would have to wait for the next one. */
		if (c->client)
			json_decref(ask(c, "POST", "/v1/ledger/publish", NULL, &e));
		j = c->client ? ask(c, "POST", "/v1/shutdown", NULL, &e) : NULL;
		nodeproc_stop(c->node, j != NULL);
		json_decref(j);
	}
	c->node = NULL;
}

static int interrupted_report(struct cli *c, const char *id)
{
	if (!c->json)
		term_note("%s was left as it is", id);
	term_hint("'osier retry %s' takes it up again", id);
	return EXIT_INTERRUPTED;
}

static int watch_and_report(struct cli *c, const char *id)
{
	struct watch_options o = {
	        .mode = WATCH_CANCELS, .quiet = args_flag(&c->args, "quiet"), .reconnect = connect_or_start};
	struct err e = {0};
	json_t *last = NULL;
	enum watch_end end = watch_job(c, id, &o, &last, &e);
	int rc = EXIT_BROKEN, interrupts = term_interrupts();

	switch (end) {
	case WATCH_FINISHED:
		rc = report_job(c, id);
		if (strcmp(j_str(last, "state"), "cancelled") == 0 && interrupts) {
			rc = EXIT_INTERRUPTED;
			term_hint("'osier retry %s' takes it up again", id);
		}
		break;
	case WATCH_INTERRUPTED:
	case WATCH_KILLED:
	case WATCH_TIMEOUT:
		rc = interrupted_report(c, id);
		break;
	case WATCH_FAILED:
		rc = cli_fail(c, &e);
		break;
	}
	json_decref(last);
	if (end == WATCH_FINISHED && c->node && !interrupts)
		serve_others(c);
	end_node(c, end == WATCH_KILLED);
	return rc;
}

static int run(struct cli *c)
{
	struct submission *s = NULL;
	struct err e = {0};
	json_t *sent;
	char *id;
	int rc = submission_load(c, c->args.arg[0], &s);

	if (rc)
		return rc;
	sent = send_job(c, s, &e);
	submission_free(s);
	if (!sent) {
		rc = cli_fail(c, &e);
		end_node(c, false);
		return rc;
	}
	if (*j_str(sent, "warning"))
		term_note("warning: %s", j_str(sent, "warning"));
	id = cli_dup(j_str(sent, "id"));
	json_decref(sent);
	rc = watch_and_report(c, id);
	free(id);
	return rc;
}

const struct command_def cmd_run = {
        .name = "run",
        .group = GROUP_RUN,
        .usage = "FILE [options]",
        .summary = "run a job now, show its progress and its result",
        .about = "Reads the job file, runs the job, and prints the standard output of its last step: of its "
                 "task, of "
                 "the root of its reduction, or of all tasks of its array in order. Needs no node: if none "
                 "is up, one is "
                 "started for as long as the job lasts, with its journal in the state folder, so that 'osier "
                 "jobs' and "
                 "'osier logs' know the job afterwards.\n"
                 "\n"
                 "Ctrl-C cancels the job and waits until its tasks have ended; a second one kills them. What "
                 "was done "
                 "stays done: 'osier retry' takes the job up again. To a terminal go the first lines of a "
                 "long result; to "
                 "a pipe goes every byte of it and nothing else, with progress on the standard error. The "
                 "exit code is 0 "
                 "only if the job succeeded.",
        .examples = "osier run job.yaml\n"
                    "osier run pi.yaml -p digits=1000000      # set a parameter of the job\n"
                    "osier run job.yaml > result.txt          # the last step's output, all of it\n"
                    "osier run job.yaml --json | tail -1 | jq .job.state",
        .options = options,
        .args_min = 1,
        .args_max = 1,
        .complete = COMPLETE_FILE,
        .run = run,
};
