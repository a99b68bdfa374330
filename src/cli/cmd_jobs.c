/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_jobs - `osier jobs`: the jobs, newest first. */
#include "base/check.h"
#include "cli/commands.h"
#include "cli/show.h"

static const struct option_def options[] = {
        {'s', "status", "STATE",
                "only these: waiting, running, succeeded, failed, cancelled, active (with commas)",
                COMPLETE_WORDS, "active,waiting,running,succeeded,failed,cancelled"},
        {'n', "namespace", "NAME", "only of this namespace", COMPLETE_NOTHING, NULL},
        {0, "name", "NAME", "only jobs of this name", COMPLETE_NOTHING, NULL},
        {'l', "label", "KEY[=VALUE]", "only jobs with this label", COMPLETE_NOTHING, NULL},
        {0, "limit", "N", "at most this many (default 20)", COMPLETE_NOTHING, NULL},
        {'a', "all", NULL, "all of them", COMPLETE_NOTHING, NULL},
        {0},
};

static void add_query(struct text *t, const struct args *a, const char *option, const char *key)
{
	const char *value = args_value(a, option);

	if (!value)
		return;
	text_addf(t, "&%s=", key);
	url_add(t, value);
}

/* Fetch pages until `limit` jobs are there (0: all). */
static json_t *fetch(struct cli *c, uint64_t limit, struct err *e)
{
	json_t *jobs = json_array(), *next = json_null();
	uint64_t before = 0;

	for (;;) {
		uint64_t have = json_array_size(jobs), want = limit ? limit - have : 1000;
		struct text t = {0};
		json_t *page;

		text_addf(&t, "/v1/jobs?limit=%llu", (unsigned long long)(want > 1000 ? 1000 : want));
		if (before)
			text_addf(&t, "&before=%llu", (unsigned long long)before);
		add_query(&t, &c->args, "status", "state");
		add_query(&t, &c->args, "namespace", "namespace");
		add_query(&t, &c->args, "name", "name");
		add_query(&t, &c->args, "label", "label");
		page = ask(c, "GET", text_str(&t), NULL, e);
		text_release(&t);
		if (!page) {
			json_decref(jobs);
			return NULL;
		}
		json_array_extend(jobs, json_object_get(page, "jobs"));
		before = j_uint(page, "next");
		json_decref(page);
		if (!before || (limit && json_array_size(jobs) >= limit))
			break;
	}
	if (before)
		next = json_integer((json_int_t)before);
	return json_pack("{s:o,s:o}", "jobs", jobs, "next", next);
}

static void row(struct table *t, const json_t *j, uint64_t now, bool namespaces)
{
	const json_t *counts = json_object_get(j, "counts");
	uint64_t started = j_time(j, "started"), finished = j_time(j, "finished"),
	         failed = j_uint(counts, "failed");
	const char *state = j_str(j, "state");
	char a[32], b[32];

	table_cell(t, BOLD, j_str(j, "id"));
	table_cell(t, term_state_colour(state),
	        j_bool(j, "held") && strcmp(state, "waiting") == 0 ? "held" : state);
	table_cellf(t, PLAIN, "%s/%s", count_text(counts_done(counts), a, sizeof(a)),
	        count_text(j_uint(counts, "total"), b, sizeof(b)));
	table_cell(t, failed ? RED : DIM, count_text(failed, a, sizeof(a)));
	table_cell(t, PLAIN, clock_text(j_time(j, "submitted"), now, a, sizeof(a)));
	if (!started)
		table_cell(t, DIM, "-");
	else
		table_cell(t, PLAIN,
		        duration_text(elapsed_ns(started, finished ? finished : now), a, sizeof(a)));
	if (namespaces)
		table_cell(t, PLAIN, j_str(j, "namespace"));
}

static void print_table(const json_t *list)
{
	struct table *t = table_new();
	uint64_t now = cli_now_ns();
	bool namespaces = false;
	size_t i;
	json_t *j;

	json_array_foreach(list, i, j) if (strcmp(j_str(j, "namespace"), "default") != 0 &&
	                                   *j_str(j, "namespace")) namespaces = true;
	table_column(t, "JOB", LEFT, true);
	table_column(t, "STATE", LEFT, false);
	table_column(t, "TASKS", RIGHT, false);
	table_column(t, "FAILED", RIGHT, false);
	table_column(t, "SUBMITTED", LEFT, false);
	table_column(t, "TIME", RIGHT, false);
	if (namespaces)
		table_column(t, "NAMESPACE", LEFT, true);
	json_array_foreach(list, i, j) row(t, j, now, namespaces);
	table_print(t);
	table_free(t);
}

static int run(struct cli *c)
{
	uint64_t limit = args_flag(&c->args, "all") ? 0 : 20;
	json_t *all, *list;
	struct err e = {0};

	if (args_value(&c->args, "limit") &&
	        count_parse(args_value(&c->args, "limit"), "--limit", 1000000, &limit, &e) < 0)
		return cli_fail(c, &e);
	if (cli_connect_look(c, &e) == 0)
		all = fetch(c, limit, &e);
	else if (e.code == ERR_NOTFOUND)
		all = json_pack("{s:[],s:n}", "jobs", "next");
	else
		all = NULL;
	if (!all)
		return cli_fail(c, &e);
	list = json_object_get(all, "jobs");
	if (c->json) {
		json_print(all);
	} else if (json_array_size(list) == 0) {
		bool chosen = false;

		for (size_t i = 0; i < c->args.n_options; i++)
			chosen |= c->args.option[i].def >= options &&
			          c->args.option[i].def < options + ARRAY_LEN(options);
		term_note("%s", chosen ? "no job like that" : "no jobs yet");
		if (!chosen)
			term_hint("'osier init job.yaml' writes an example, 'osier run job.yaml' runs it");
	} else {
		print_table(list);
		if (!j_null(all, "next") && term_is_tty(stdout))
			term_note("there are more: --all shows them");
	}
	json_decref(all);
	return EXIT_OK;
}

const struct command_def cmd_jobs = {
        .name = "jobs",
        .group = GROUP_LOOK,
        .usage = "[options]",
        .summary = "list jobs, newest first",
        .about = "Shows the jobs that this node knows: their state, how many of their tasks are done, when "
                 "they were "
                 "submitted and how long they ran. With no node up it reads the journal.",
        .examples = "osier jobs                       # the last 20\n"
                    "osier jobs --status active       # what waits or runs\n"
                    "osier jobs -s failed --all       # everything that ever failed\n"
                    "osier jobs --json | jq '.jobs[0].id'",
        .options = options,
        .args_max = 0,
        .run = run,
};
