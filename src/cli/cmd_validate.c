/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_validate - `osier validate FILE`, `osier plan FILE` and `osier init`. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/show.h"
#include "cli/submission.h"
#include "core/jobspec.h"

static const struct option_def job_options[] = {SUBMISSION_OPTIONS, {0}};

static int run_validate(struct cli *c)
{
	int worst = EXIT_OK;

	for (int i = 0; i < c->args.n_args; i++) {
		struct submission *s = NULL;
		int rc = submission_load(c, c->args.arg[i], &s);

		worst = rc > worst ? rc : worst;
		if (rc == 0) {
			json_t *j = submission_summary(s);
			char n[32];

			if (c->json)
				json_print_line(j);
			else
				(void)printf("%s is valid: job '%s', %llu step%s, %s task%s\n",
				        c->args.arg[i], j_str(j, "name"),
				        (unsigned long long)j_uint(j, "steps"),
				        j_uint(j, "steps") == 1 ? "" : "s",
				        count_text(j_uint(j, "tasks"), n, sizeof(n)),
				        j_uint(j, "tasks") == 1 ? "" : "s");
			json_decref(j);
		}
		submission_free(s);
	}
	return worst;
}

const struct command_def cmd_validate = {
        .name = "validate",
        .group = GROUP_RUN,
        .usage = "FILE... [options]",
        .summary = "check job files: what is wrong, where, and what is allowed",
        .about = "Reads each file as 'osier run' would, with the files that it names, and runs nothing. "
                 "Errors name file, line and column, what was "
                 "found and what is allowed. Exit code 2 if any is invalid.",
        .examples = "osier validate job.yaml\n"
                    "osier validate jobs/*.yaml",
        .options = job_options,
        .args_min = 1,
        .args_max = -1,
        .complete = COMPLETE_FILE,
        .run = run_validate,
};

/* ---- plan ---- */

static void step_rows(struct table *t, const json_t *step, uint64_t now)
{
	const json_t *places = json_object_get(step, "places"), *p = json_array_get(places, 0);
	struct text where = {0};
	char s[32];

	table_cell(t, BOLD, j_str(step, "name"));
	table_cell(t, PLAIN, count_text(j_uint(step, "tasks"), s, sizeof(s)));
	table_cell(
	        t, PLAIN, j_null(step, "start") ? "?" : clock_text(j_time(step, "start"), now, s, sizeof(s)));
	table_cell(t, PLAIN,
	        j_null(step, "finish") ? "?" : clock_text(j_time(step, "finish"), now, s, sizeof(s)));
	table_cell(t, PLAIN, j_null(step, "run_s") ? "?" : duration_text(j_ns(step, "run_s"), s, sizeof(s)));
	if (*j_str(step, "refusal")) {
		table_cell(t, RED, j_str(step, "refusal"));
		return;
	}
	if (p) {
		text_addf(&where, "%s: %llu at once (%llu now), each ", j_str(p, "node"),
		        (unsigned long long)j_uint(p, "at_once"), (unsigned long long)j_uint(p, "now"));
		needs_text(&where, json_object_get(p, "needs"));
	}
	if (json_array_size(places) > 1)
		text_addf(&where, ", or %zu other ways", json_array_size(places) - 1);
	table_cell(t, PLAIN, p ? text_str(&where) : "nowhere");
	text_release(&where);
}

static void print_plan(const json_t *plan)
{
	struct table *t = table_new();
	struct text line = {0};
	uint64_t now = cli_now_ns();
	size_t i;
	json_t *v;

	/* A refusal's sentence says itself that it would be one. */
	if (j_bool(plan, "accepted")) {
		term_paint(&line, stdout, GREEN, "would be accepted");
		text_add(&line, ": ");
	}
	text_add_clean(&line, j_str(plan, "sentence"), strlen(j_str(plan, "sentence")), "\n");
	(void)printf("%s\n\n", text_str(&line));
	table_column(t, "STEP", LEFT, true);
	table_column(t, "TASKS", RIGHT, false);
	table_column(t, "START", LEFT, false);
	table_column(t, "FINISH", LEFT, false);
	table_column(t, "ONE TASK", RIGHT, false);
	table_column(t, "WHERE", LEFT, true);
	json_array_foreach(json_object_get(plan, "steps"), i, v) step_rows(t, v, now);
	table_print(t);
	table_free(t);
	json_array_foreach(json_object_get(plan, "steps"), i, v)
	{
		if (json_array_size(json_object_get(v, "nodes")) > 1 ||
		        json_array_size(json_object_get(v, "places")) == 0)
			print_places(json_object_get(v, "nodes"), 1,
			        json_array_size(json_object_get(plan, "steps")) > 1 ? j_str(v, "name") : "");
	}
	json_array_foreach(json_object_get(plan, "unknown"), i, v)
	{
		text_clear(&line);
		text_add(&line, i ? "" : "\n");
		term_paint(&line, stdout, DIM, "not known: ");
		text_add_clean(
		        &line, json_string_value(v) ? json_string_value(v) : "", json_string_length(v), "");
		(void)puts(text_str(&line));
	}
	text_release(&line);
}

static int run_plan(struct cli *c)
{
	struct submission *s = NULL;
	struct err e = {0};
	json_t *plan;
	int rc = submission_load(c, c->args.arg[0], &s);

	if (rc)
		return rc;
	plan = cli_connect(c, &e) == 0 ? submission_plan(c, s, &e) : NULL;
	submission_free(s);
	if (!plan)
		return cli_fail(c, &e);
	if (c->json)
		json_print(plan);
	else
		print_plan(plan);
	rc = j_bool(plan, "accepted") ? EXIT_OK : EXIT_REFUSED;
	json_decref(plan);
	return rc;
}

const struct command_def cmd_plan = {
        .name = "plan",
        .group = GROUP_RUN,
        .usage = "FILE [options]",
        .summary = "say where and when each step would run, without running it",
        .about = "Asks the node: would the job be accepted now, where would each step run and how many of "
                 "its tasks at once, and when would it "
                 "start and finish by the learned run times. Needs a node ('osier up').",
        .examples = "osier plan job.yaml",
        .options = job_options,
        .args_min = 1,
        .args_max = 1,
        .complete = COMPLETE_FILE,
        .run = run_plan,
};

/* ---- init ---- */

static const struct option_def init_options[] = {
        {0, "force", NULL, "write over a file that is there", COMPLETE_NOTHING, NULL},
        {0},
};

static int run_init(struct cli *c)
{
	const char *path = c->args.n_args ? c->args.arg[0] : "job.yaml";
	size_t n = strlen(jobspec_example);
	struct err e = {0};
	int fd, flags = O_WRONLY | O_CREAT | O_CLOEXEC | (args_flag(&c->args, "force") ? O_TRUNC : O_EXCL);
	bool ok;

	if (strcmp(path, "-") == 0) {
		(void)fwrite(jobspec_example, 1, n, stdout);
		return EXIT_OK;
	}
	fd = open(path, flags, 0666);
	if (fd < 0 && errno == EEXIST) {
		(void)err_set(&e, ERR_EXISTS, "'%.150s' is there already", path);
		(void)err_hint(&e, "name another file, or write over it with --force");
		return cli_fail(c, &e);
	}
	if (fd < 0) {
		(void)err_sys(&e, "cannot write '%.150s'", path);
		return cli_fail(c, &e);
	}
	ok = write(fd, jobspec_example, n) == (ssize_t)n;
	if (close(fd) < 0 || !ok) {
		(void)err_sys(&e, "cannot write '%.150s'", path);
		return cli_fail(c, &e);
	}
	if (c->json) {
		json_t *j = json_pack("{s:s}", "file", path);

		json_print(j);
		json_decref(j);
		return EXIT_OK;
	}
	(void)printf("wrote %s: a job with every key explained\n", path);
	term_hint("osier run %s", path);
	return EXIT_OK;
}

const struct command_def cmd_init = {
        .name = "init",
        .group = GROUP_RUN,
        .usage = "[FILE] [options]",
        .summary = "write a commented example job file",
        .about = "Writes job.yaml, or the file that is named ('-': to the standard output), with comments "
                 "that explain the keys. It runs as it "
                 "stands.",
        .examples = "osier init\n"
                    "osier init - | less",
        .options = init_options,
        .args_max = 1,
        .complete = COMPLETE_FILE,
        .run = run_init,
};
