/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_submit - `osier submit FILE` and `osier wait JOB`. */
#include "cli/commands.h"
#include "cli/show.h"
#include "cli/submission.h"
#include "cli/watch.h"

static void come_back(const char *id)
{
	term_note("%s goes on without this command", id);
	term_hint("osier wait %s, osier logs -f %s, osier cancel %s", id, id, id);
}

/* Watch to the end and report. Ctrl-C detaches. */
static int follow(struct cli *c, const char *id, bool quiet, uint64_t timeout_ns)
{
	struct watch_options o = {.mode = WATCH_DETACHES, .quiet = quiet, .timeout_ns = timeout_ns};
	struct err e = {0};
	json_t *last = NULL;
	enum watch_end end = watch_job(c, id, &o, &last, &e);

	json_decref(last);
	switch (end) {
	case WATCH_FINISHED:
		return report_job(c, id);
	case WATCH_INTERRUPTED:
	case WATCH_KILLED:
		come_back(id);
		return EXIT_INTERRUPTED;
	case WATCH_TIMEOUT:
		term_note("%s is not finished yet", id);
		return EXIT_TIMEOUT;
	case WATCH_FAILED:
		break;
	}
	return cli_fail(c, &e);
}

/* ---- submit ---- */

static const struct option_def submit_options[] = {
        SUBMISSION_OPTIONS,
        {'w', "watch", NULL, "follow it to its end (Ctrl-C detaches)", COMPLETE_NOTHING, NULL},
        {'q', "quiet", NULL, "print its name and nothing else", COMPLETE_NOTHING, NULL},
        {0, "key", "KEY", "the same key makes the job once only, however often it is submitted",
                COMPLETE_NOTHING, NULL},
        {0},
};

/* A node that has joined a hub takes jobs for itself: who thinks of the pool shall read it here, not wait for it. */
static void say_where(struct cli *c, const char *path)
{
	struct err e = {0};
	json_t *parent = c->host ? NULL : ask_get(c, &e, "/v1/parent");
	const char *at = j_str(parent, "origin"), *end;

	if (parent && j_bool(parent, "joined") && strncmp(at, "https://", 8) == 0) {
		at += 8;
		end = strrchr(at, ':');
		term_note("it runs here, on '%s' and what has joined it, not in the pool of hub '%s'",
		        j_str(parent, "node"), j_str(parent, "hub"));
		term_hint("to the pool, as a user of the hub: osier --host ssh://%.*s submit %s",
		        end ? (int)(end - at) : (int)strlen(at), at, path);
	}
	json_decref(parent);
}

static int submit_one(struct cli *c, const char *path)
{
	bool watch = args_flag(&c->args, "watch"), quiet = args_flag(&c->args, "quiet");
	struct submission *s = NULL;
	struct err e = {0};
	json_t *sent;
	char *id;
	int rc = submission_load(c, path, &s);

	if (rc)
		return rc;
	sent = NULL;
	if (cli_connect(c, &e) == 0) {
		if (watch)
			term_catch_interrupts(); /* from now on a job may run */
		sent = submission_send(c, s, &e);
	}
	submission_free(s);
	if (!sent)
		return cli_fail(c, &e);
	id = cli_dup(j_str(sent, "id"));
	if (c->json)
		json_print_line(sent);
	else if (quiet)
		(void)puts(id);
	else
		(void)printf("%s is submitted%s\n", id, j_bool(sent, "repeated") ? " (it was already)" : "");
	(void)fflush(stdout);
	if (*j_str(sent, "warning"))
		term_note("warning: %s", j_str(sent, "warning"));
	json_decref(sent);
	if (!quiet && !c->json)
		say_where(c, path);
	if (watch)
		rc = follow(c, id, quiet, 0);
	else if (!quiet && !c->json && term_is_tty(stderr))
		term_hint("osier wait %s, osier logs -f %s", id, id);
	free(id);
	return rc;
}

static int run_submit(struct cli *c)
{
	int worst = EXIT_OK;

	if (args_flag(&c->args, "key") && c->args.n_args > 1)
		return cli_usage(c, "one key is for one job");
	for (int i = 0; i < c->args.n_args; i++) {
		int rc = submit_one(c, c->args.arg[i]);

		if (rc == EXIT_INTERRUPTED || rc == EXIT_NO_NODE)
			return rc;
		worst = rc > worst ? rc : worst;
	}
	return worst;
}

const struct command_def cmd_submit = {
        .name = "submit",
        .group = GROUP_RUN,
        .usage = "FILE... [options]",
        .summary = "give a job to the node and go on working",
        .about = "The job is on disk when this returns, and survives this command, the engine and the "
                 "machine. Needs a node ('osier "
                 "up'). With --watch it follows the job; Ctrl-C then stops following, not the job. On a node "
                 "that has joined a hub the job is that node's own, and it says so; the hub's pool is asked "
                 "by "
                 "'osier --host ssh://HUB submit', as a user there.",
        .examples = "osier submit job.yaml\n"
                    "osier submit job.yaml --watch\n"
                    "job=$(osier submit -q job.yaml) && osier wait $job\n"
                    "osier submit nightly.yaml --key nightly-$(date +%F)   # at most once a day",
        .options = submit_options,
        .args_min = 1,
        .args_max = -1,
        .complete = COMPLETE_FILE,
        .run = run_submit,
};

/* ---- wait ---- */

static const struct option_def wait_options[] = {
        {'t', "timeout", "DURATION", "give up after that long (exit code 124)", COMPLETE_NOTHING, NULL},
        {'q', "quiet", NULL, "no progress", COMPLETE_NOTHING, NULL},
        {0},
};

/* With no node up only a finished job can be told of. */
static int check_moves(struct cli *c, const char *job)
{
	struct text t = {0};
	struct err e = {0};
	const char *state;
	json_t *j;
	int rc = EXIT_OK;

	if (!c->node)
		return EXIT_OK;
	job_target(&t, job);
	j = ask(c, "GET", text_str(&t), NULL, &e);
	text_release(&t);
	state = j_str(j, "state");
	if (!j || strcmp(state, "waiting") == 0 || strcmp(state, "running") == 0) {
		if (j) {
			(void)err_set(&e, ERR_CLOSED,
			        "%s is not finished, and no node is up that would go on with it", job);
			(void)err_hint(&e, "start one with 'osier up'");
		}
		rc = cli_fail(c, &e);
	}
	json_decref(j);
	return rc;
}

static int wait_one(struct cli *c, const char *name, uint64_t timeout_ns)
{
	struct task_name t = {0};
	struct err e = {0};
	int rc;

	if (task_resolve(c, name, &t, &e) < 0)
		return cli_fail(c, &e);
	if (t.step)
		rc = cli_usage(c, "'%.100s' is a task; only jobs can be waited for", name);
	else
		rc = check_moves(c, t.job);
	if (rc == EXIT_OK)
		rc = follow(c, t.job, args_flag(&c->args, "quiet"), timeout_ns);
	task_name_release(&t);
	return rc;
}

static int run_wait(struct cli *c)
{
	const char *timeout = args_value(&c->args, "timeout");
	uint64_t ns = 0, begin = cli_mono_ns();
	struct err e = {0};
	int worst = EXIT_OK;

	if (timeout && duration_parse(timeout, &ns, &e) < 0)
		return cli_fail(c, &e);
	if (cli_connect_look(c, &e) < 0)
		return cli_fail(c, &e);
	if (c->args.n_args == 0)
		return wait_one(c, "last", ns);
	for (int i = 0; i < c->args.n_args; i++) {
		uint64_t spent = cli_mono_ns() - begin;
		int rc = wait_one(c, c->args.arg[i], !ns ? 0 : ns > spent ? ns - spent : 1);

		if (rc == EXIT_INTERRUPTED || rc == EXIT_TIMEOUT)
			return rc;
		worst = rc > worst ? rc : worst;
	}
	return worst;
}

const struct command_def cmd_wait = {
        .name = "wait",
        .group = GROUP_LOOK,
        .usage = "[JOB...] [options]",
        .summary = "follow jobs to their end, then show their results",
        .about = "Shows progress until each job is finished, then its result as 'osier run' does. Ctrl-C "
                 "stops waiting; the job goes on. The "
                 "exit code says how the worst of the jobs ended.",
        .examples = "osier wait last\n"
                    "osier wait pi-17 pi-18 --timeout 10m\n"
                    "osier wait last && echo it worked",
        .options = wait_options,
        .args_max = -1,
        .complete = COMPLETE_JOB,
        .run = run_wait,
};
