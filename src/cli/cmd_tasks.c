/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_tasks - `osier tasks`: the tasks of a job. */
#include "cli/commands.h"
#include "cli/show.h"

static const struct option_def options[] = {
        {'s', "status", "STATE",
                "only these: blocked, ready, delayed, running, succeeded, failed, skipped, stopped (with "
                "commas)",
                COMPLETE_WORDS, "blocked,ready,delayed,running,succeeded,failed,skipped,stopped"},
        {0, "step", "STEP", "only of this step", COMPLETE_NOTHING, NULL},
        {0, "limit", "N", "at most this many (default 50)", COMPLETE_NOTHING, NULL},
        {'a', "all", NULL, "all of them", COMPLETE_NOTHING, NULL},
        {0},
};

static void print_rows(const json_t *tasks)
{
	struct table *t = table_new();
	size_t i;
	json_t *v;

	table_column(t, "TASK", LEFT, true);
	table_column(t, "STATE", LEFT, false);
	table_column(t, "OUTCOME", LEFT, false);
	table_column(t, "ATTEMPTS", RIGHT, false);
	table_column(t, "RUNS ON", LEFT, false);
	json_array_foreach(tasks, i, v)
	{
		const char *state = j_str(v, "state"), *outcome = j_str(v, "outcome");

		table_cell(t, PLAIN, j_str(v, "id"));
		table_cell(t, term_state_colour(state), state);
		table_cell(t, term_state_colour(outcome),
		        *outcome && strcmp(outcome, state) != 0 ? outcome : "-");
		table_cellf(t, PLAIN, "%llu%s", (unsigned long long)j_uint(v, "attempts"),
		        j_uint(v, "attempts") >= 63 ? "+" : "");
		table_cell(t, PLAIN, *j_str(v, "node") ? j_str(v, "node") : "-");
	}
	table_print(t);
	table_free(t);
}

static json_t *fetch(struct cli *c, const struct task_name *name, uint64_t limit, struct err *e)
{
	json_t *all = NULL, *tasks = json_array();
	char *after = NULL;

	for (;;) {
		uint64_t have = json_array_size(tasks), want = limit ? limit - have : 1000;
		const char *step = args_value(&c->args, "step") ? args_value(&c->args, "step") : name->step;
		struct text t = {0};

		job_target(&t, name->job);
		text_addf(&t, "/tasks?limit=%llu", (unsigned long long)(want > 1000 ? 1000 : want));
		if (step) {
			text_add(&t, "&step=");
			url_add(&t, step);
		}
		if (args_value(&c->args, "status")) {
			text_add(&t, "&state=");
			url_add(&t, args_value(&c->args, "status"));
		}
		if (after) {
			text_add(&t, "&after=");
			url_add(&t, after);
		}
		free(after);
		after = NULL;
		json_decref(all);
		all = ask(c, "GET", text_str(&t), NULL, e);
		text_release(&t);
		if (!all) {
			json_decref(tasks);
			return NULL;
		}
		json_array_extend(tasks, json_object_get(all, "tasks"));
		if (j_null(all, "next") || (limit && json_array_size(tasks) >= limit))
			break;
		after = cli_dup(j_str(all, "next"));
	}
	json_object_set_new(all, "tasks", tasks);
	return all;
}

static int run(struct cli *c)
{
	uint64_t limit = args_flag(&c->args, "all") ? 0 : 50;
	struct task_name name = {0};
	struct err e = {0};
	json_t *all;

	if (args_value(&c->args, "limit") &&
	        count_parse(args_value(&c->args, "limit"), "--limit", 10000000, &limit, &e) < 0)
		return cli_fail(c, &e);
	if (cli_connect_look(c, &e) < 0 ||
	        task_resolve(c, c->args.n_args ? c->args.arg[0] : "last", &name, &e) < 0)
		return cli_fail(c, &e);
	all = fetch(c, &name, limit, &e);
	task_name_release(&name);
	if (!all)
		return cli_fail(c, &e);
	if (c->json) {
		json_print(all);
	} else if (json_array_size(json_object_get(all, "tasks")) == 0) {
		term_note("no task like that");
	} else {
		print_rows(json_object_get(all, "tasks"));
		if (!j_null(all, "next") && term_is_tty(stdout))
			term_note("there are more: --all shows them");
	}
	json_decref(all);
	return EXIT_OK;
}

const struct command_def cmd_tasks = {
        .name = "tasks",
        .group = GROUP_LOOK,
        .usage = "[JOB | JOB/STEP] [options]",
        .summary = "list the tasks of a job",
        .about = "Shows tasks by step and index. A job may have ten million; the first 50 are shown unless "
                 "--limit or --all says "
                 "otherwise. 'osier job JOB/STEP/INDEX' shows one of them with every attempt.",
        .examples = "osier tasks pi-17                      # the first 50\n"
                    "osier tasks last --status failed       # what went wrong in the last job\n"
                    "osier tasks pi-17/map -s running       # what runs of one step",
        .options = options,
        .args_max = 1,
        .complete = COMPLETE_TASK,
        .run = run,
};
