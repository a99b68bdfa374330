/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_change - `osier cancel`, `retry`, `release`, `adjust`: what changes a job that was submitted. */
#include "cli/commands.h"
#include "cli/show.h"

/* POST or PATCH one job and say what became of it. Returns the exit code. */
static int change(struct cli *c, const char *job, const char *method, const char *verb, const json_t *body,
        const char *done)
{
	struct text t = {0};
	struct err e = {0};
	json_t *j;

	job_target(&t, job);
	if (verb)
		text_addf(&t, "/%s", verb);
	j = ask(c, method, text_str(&t), body, &e);
	text_release(&t);
	if (!j)
		return cli_fail(c, &e);
	if (c->json)
		json_print_line(j);
	else
		(void)printf("%s %s\n", j_str(j, "id"), done);
	json_decref(j);
	return EXIT_OK;
}

/* The same for every job named; the worst exit code counts. */
static int change_all(struct cli *c, const char *verb, const json_t *body, const char *done)
{
	struct err e = {0};
	int worst = EXIT_OK;

	if (cli_connect(c, &e) < 0)
		return cli_fail(c, &e);
	for (int i = 0; i < c->args.n_args; i++) {
		int rc = change(c, c->args.arg[i], "POST", verb, body, done);

		worst = rc > worst ? rc : worst;
	}
	return worst;
}

static const struct option_def cancel_options[] = {
        {'m', "reason", "TEXT", "why, kept in the journal", COMPLETE_NOTHING, NULL},
        {0},
};

static int run_cancel(struct cli *c)
{
	const char *reason = args_value(&c->args, "reason");
	json_t *body = reason ? json_pack("{s:s}", "reason", reason) : NULL;
	int rc;

	if (reason && !body)
		return cli_usage(c, "the reason is not UTF-8 text");
	rc = change_all(c, "cancel", body, "is cancelled: what runs is stopped");
	json_decref(body);
	return rc;
}

const struct command_def cmd_cancel = {
        .name = "cancel",
        .group = GROUP_CHANGE,
        .usage = "JOB... [options]",
        .summary = "stop a job: what runs is stopped, nothing more starts",
        .about = "Running tasks get TERM, then KILL after their grace. Results that are there already stay. "
                 "A cancelled job can be taken up "
                 "again with 'osier retry'.",
        .examples = "osier cancel pi-17\n"
                    "osier cancel last -m 'wrong input'",
        .options = cancel_options,
        .args_min = 1,
        .args_max = -1,
        .complete = COMPLETE_JOB,
        .run = run_cancel,
};

static int run_retry(struct cli *c)
{
	int rc = change_all(c, "retry", NULL, "goes on: its failed, cancelled and skipped tasks wait again");

	if (rc == EXIT_OK && !c->json)
		term_hint("osier wait %s", c->args.arg[0]);
	return rc;
}

const struct command_def cmd_retry = {
        .name = "retry",
        .group = GROUP_CHANGE,
        .usage = "JOB...",
        .summary = "run the failed, cancelled and skipped tasks of a job again",
        .about = "What succeeded is kept and does not run again.",
        .examples = "osier retry last && osier wait last",
        .args_min = 1,
        .args_max = -1,
        .complete = COMPLETE_JOB,
        .run = run_retry,
};

static int run_release(struct cli *c)
{
	return change_all(c, "release", NULL, "is released");
}

const struct command_def cmd_release = {
        .name = "release",
        .group = GROUP_CHANGE,
        .usage = "JOB...",
        .summary = "let a held job start",
        .about = "A job that was submitted held waits until it is released.",
        .examples = "osier release pi-17",
        .args_min = 1,
        .args_max = -1,
        .complete = COMPLETE_JOB,
        .run = run_release,
};

/* ---- adjust ---- */

static const struct option_def adjust_options[] = {
        {'p', "priority", "N", "0 to 100", COMPLETE_NOTHING, NULL},
        {0, "deadline", "DURATION", "finished that long from now at the latest, or none", COMPLETE_NOTHING,
                NULL},
        {0, "timeout", "DURATION", "of the whole job, from its submit on, or none", COMPLETE_NOTHING, NULL},
        {0, "queue-timeout", "DURATION", "a task waits at most that long, or none", COMPLETE_NOTHING, NULL},
        {0, "run-timeout", "DURATION", "an attempt runs at most that long, or none", COMPLETE_NOTHING, NULL},
        {0, "concurrency", "N", "at most this many tasks at once, or none", COMPLETE_NOTHING, NULL},
        {0, "hold", NULL, "start nothing more until it is released", COMPLETE_NOTHING, NULL},
        {0},
};

static int add_durations(const struct args *a, json_t *body, struct err *e)
{
	static const struct {
		const char *option, *key, *none_key;
	} keys[] = {{"deadline", "deadline_after_s", "deadline"}, {"timeout", "timeout_s", "timeout_s"},
	        {"queue-timeout", "queue_timeout_s", "queue_timeout_s"},
	        {"run-timeout", "run_timeout_s", "run_timeout_s"}};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *value = args_value(a, keys[i].option);
		uint64_t ns;

		if (!value)
			continue;
		if (strcmp(value, "none") == 0) {
			json_object_set_new(body, keys[i].none_key, json_null());
			continue;
		}
		if (duration_parse(value, &ns, e) < 0)
			return err_wrap(e, "--%s", keys[i].option);
		json_object_set_new(body, keys[i].key, json_real((double)ns / 1e9));
	}
	return 0;
}

static int add_numbers(const struct args *a, json_t *body, struct err *e)
{
	static const struct {
		const char *option, *key;
		uint64_t max;
	} keys[] = {{"priority", "priority", 100}, {"concurrency", "concurrency", 1000000000u}};

	for (size_t i = 0; i < 2; i++) {
		const char *value = args_value(a, keys[i].option);
		uint64_t n;

		if (!value)
			continue;
		if (i == 1 && strcmp(value, "none") == 0) {
			json_object_set_new(body, keys[i].key, json_null());
			continue;
		}
		if (number_parse(value, keys[i].key, keys[i].max, &n, e) < 0)
			return -1;
		json_object_set_new(body, keys[i].key, json_integer((json_int_t)n));
	}
	return 0;
}

static int run_adjust(struct cli *c)
{
	json_t *body = json_object();
	struct err e = {0};
	int rc;

	if (add_durations(&c->args, body, &e) < 0 || add_numbers(&c->args, body, &e) < 0) {
		json_decref(body);
		return cli_fail(c, &e);
	}
	if (args_flag(&c->args, "hold"))
		json_object_set_new(body, "held", json_true());
	if (json_object_size(body) == 0) {
		json_decref(body);
		return cli_usage(c, "nothing to adjust was given");
	}
	rc = cli_connect(c, &e) < 0 ? cli_fail(c, &e)
	                            : change(c, c->args.arg[0], "PATCH", NULL, body, "is adjusted");
	json_decref(body);
	return rc;
}

const struct command_def cmd_adjust = {
        .name = "adjust",
        .group = GROUP_CHANGE,
        .usage = "JOB [options]",
        .summary = "change priority, deadline, timeouts or concurrency while a job waits or runs",
        .about = "Takes effect at once, also for what runs already. 'none' lifts a limit.",
        .examples = "osier adjust pi-17 --priority 90\n"
                    "osier adjust pi-17 --run-timeout 2h --concurrency 1\n"
                    "osier adjust pi-17 --timeout none",
        .options = adjust_options,
        .args_min = 1,
        .args_max = 1,
        .complete = COMPLETE_JOB,
        .run = run_adjust,
};
