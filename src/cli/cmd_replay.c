/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_replay - `osier replay`: the state at any past entry, and the entries themselves. */
#include "cli/commands.h"
#include "cli/show.h"

static const struct option_def options[] = {
        {0, "at", "N", "the state after the first N entries (default: all)", COMPLETE_NOTHING, NULL},
        {'e', "entries", NULL, "the entries instead of the state, the last ones", COMPLETE_NOTHING, NULL},
        {0, "from", "N", "entries from this one on", COMPLETE_NOTHING, NULL},
        {0, "limit", "N", "at most this many jobs or entries (default 20)", COMPLETE_NOTHING, NULL},
        {0},
};

static void print_state(const json_t *s)
{
	const json_t *totals = json_object_get(s, "totals");
	struct table *t = table_new();
	uint64_t now = cli_now_ns();
	char a[32], b[32];
	size_t i;
	json_t *j;

	(void)printf("after entry %llu of %llu", (unsigned long long)j_uint(s, "at"),
	        (unsigned long long)j_uint(s, "size"));
	if (j_time(s, "time"))
		(void)printf(", at %s", clock_text(j_time(s, "time"), now, a, sizeof(a)));
	(void)printf(" (state %s)\n", j_str(s, "digest"));
	(void)printf("%s job%s, %llu active; %s task%s ready, %llu lease%s\n\n",
	        count_text(j_uint(totals, "jobs"), a, sizeof(a)), plural(j_uint(totals, "jobs")),
	        (unsigned long long)j_uint(totals, "active"),
	        count_text(j_uint(totals, "tasks_ready"), b, sizeof(b)),
	        plural(j_uint(totals, "tasks_ready")), (unsigned long long)j_uint(totals, "leases"),
	        plural(j_uint(totals, "leases")));
	table_column(t, "JOB", LEFT, true);
	table_column(t, "STATE", LEFT, false);
	table_column(t, "TASKS", RIGHT, false);
	table_column(t, "RUNNING", RIGHT, false);
	table_column(t, "FAILED", RIGHT, false);
	json_array_foreach(json_object_get(s, "jobs"), i, j)
	{
		const json_t *n = json_object_get(j, "counts");

		table_cell(t, BOLD, j_str(j, "id"));
		table_cell(t, term_state_colour(j_str(j, "state")), j_str(j, "state"));
		table_cellf(t, PLAIN, "%s/%s", count_text(counts_done(n), a, sizeof(a)),
		        count_text(j_uint(n, "total"), b, sizeof(b)));
		table_cell(t, PLAIN, count_text(j_uint(n, "running"), a, sizeof(a)));
		table_cell(t, PLAIN, count_text(j_uint(n, "failed"), a, sizeof(a)));
	}
	if (table_rows(t))
		table_print(t);
	table_free(t);
}

/* The small members of an entry's body, in one line. */
static void body_text(struct text *t, const json_t *body)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)body, key, v)
	{
		char *s = json_is_object(v) || json_is_array(v)
		                  ? NULL
		                  : json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);

		if (s)
			text_addf(t, "%s%s=%.60s", t->n ? " " : "", key, s);
		free(s);
	}
}

static void print_entries(const json_t *page)
{
	struct table *t = table_new();
	uint64_t now = cli_now_ns();
	size_t i;
	json_t *v;

	table_column(t, "ENTRY", RIGHT, false);
	table_column(t, "TIME", LEFT, false);
	table_column(t, "KIND", LEFT, false);
	table_column(t, "WHAT", LEFT, true);
	json_array_foreach(json_object_get(page, "entries"), i, v)
	{
		struct text body = {0};
		char s[32];

		body_text(&body, json_object_get(v, "body"));
		table_cellf(t, PLAIN, "%llu", (unsigned long long)j_uint(v, "seq"));
		table_cell(t, PLAIN, clock_text(j_time(v, "time"), now, s, sizeof(s)));
		table_cell(t, CYAN, j_str(v, "kind"));
		table_cell(t, PLAIN, text_str(&body));
		text_release(&body);
	}
	if (i)
		table_print(t);
	else
		term_note("no entries there; 'osier replay --entries' shows the last ones");
	table_free(t);
}

static int run(struct cli *c)
{
	bool entries = args_flag(&c->args, "entries") || args_flag(&c->args, "from");
	const char *at = args_value(&c->args, "at"), *from = args_value(&c->args, "from"),
	           *limit = args_value(&c->args, "limit");
	uint64_t n = 0, most = 20;
	struct err e = {0};
	struct text t = {0};
	json_t *j;

	if (at && entries)
		return cli_usage(c, "--at is for the state, --from for entries");
	if ((limit && count_parse(limit, "--limit", 1000, &most, &e) < 0) ||
	        (at && number_parse(at, "--at", INT64_MAX, &n, &e) < 0) ||
	        (from && number_parse(from, "--from", INT64_MAX, &n, &e) < 0))
		return cli_fail(c, &e);
	if (cli_connect_look(c, &e) < 0)
		return cli_fail(c, &e);
	text_addf(&t, "/v1/%s?limit=%llu", entries ? "journal/entries" : "state", (unsigned long long)most);
	if (at)
		text_addf(&t, "&at=%llu", (unsigned long long)n);
	if (entries && from)
		text_addf(&t, "&from=%llu", (unsigned long long)n);
	else if (entries)
		text_addf(&t, "&from=-%llu", (unsigned long long)most);
	j = ask(c, "GET", text_str(&t), NULL, &e);
	text_release(&t);
	if (!j)
		return cli_fail(c, &e);
	if (c->json)
		json_print(j);
	else if (entries)
		print_entries(j);
	else
		print_state(j);
	json_decref(j);
	return EXIT_OK;
}

const struct command_def cmd_replay = {
        .name = "replay",
        .group = GROUP_MORE,
        .usage = "[--at N | --entries] [options]",
        .summary = "show the state at any past entry of the journal, or the entries",
        .about = "State is nothing but a fold over the journal, so any past state can be had again: --at N "
                 "folds the first N entries. --entries "
                 "lists what was written: every submit, lease, result and refusal.",
        .examples = "osier replay --at 100\n"
                    "osier replay --entries --limit 50\n"
                    "osier replay --from 0 --json | jq '.entries[0]'",
        .options = options,
        .args_max = 0,
        .run = run,
};
