/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_why - `osier why`: what a task waits for, who holds it, what would start it now. */
#include "cli/commands.h"
#include "cli/show.h"

static void print_resource(const json_t *w)
{
	const json_t *r = j_get(w, "resource");
	static const char *const keys[] = {"needs", "free", "capacity"};
	struct text t = {0};

	if (!r)
		return;
	text_addf(&t, "%s: ", j_str(r, "name"));
	for (size_t i = 0; i < 3; i++) {
		text_addf(&t, "%s%s ", i ? ", " : "", i == 0 ? "needs" : i == 1 ? "free" : "of");
		amount_text(&t, j_str(r, "name"), j_real(r, keys[i]));
	}
	if (*j_str(r, "node"))
		text_addf(&t, " on %s", j_str(r, "node"));
	show_field("scarce", text_str(&t));
	text_release(&t);
}

static void print_holders(const json_t *w)
{
	const json_t *holders = json_object_get(w, "holders");
	const char *name = j_str(j_get(w, "resource"), "name");
	uint64_t now = cli_now_ns();
	struct table *t;
	size_t i;
	json_t *h;

	if (json_array_size(holders) == 0)
		return;
	t = table_new();
	table_column(t, "HELD BY", LEFT, true);
	table_column(t, "LEASE", RIGHT, false);
	table_column(t, "AMOUNT", RIGHT, false);
	table_column(t, "EXPECTED UNTIL", LEFT, false);
	json_array_foreach(holders, i, h)
	{
		struct text amount = {0};
		char s[32];

		amount_text(&amount, name, j_real(h, "amount"));
		table_cell(t, PLAIN, j_str(h, "job"));
		table_cellf(t, PLAIN, "%llu", (unsigned long long)j_uint(h, "lease"));
		table_cell(t, PLAIN, text_str(&amount));
		table_cell(t, PLAIN,
		        j_null(h, "until") ? "unknown" : clock_text(j_time(h, "until"), now, s, sizeof(s)));
		text_release(&amount);
	}
	(void)putchar('\n');
	table_print(t);
	table_free(t);
}

void print_places(const json_t *nodes, size_t least, const char *of)
{
	size_t i;
	json_t *n;

	if (json_array_size(nodes) < least)
		return;
	(void)printf("\n%s%snode by node:\n", of, *of ? ", " : "");
	json_array_foreach(nodes, i, n)
	{
		struct text line = {0};

		text_add(&line, "  ");
		text_add_clean(&line, j_str(n, "node"), strlen(j_str(n, "node")), "");
		text_add(&line, ": ");
		text_add_clean(&line, j_str(n, "text"), strlen(j_str(n, "text")), "");
		(void)puts(text_str(&line));
		text_release(&line);
	}
}

static void print_why(const json_t *w)
{
	struct text t = {0};
	char s[32], d[32];
	uint64_t now = cli_now_ns(), start = j_time(w, "start");
	size_t i;
	json_t *v;

	state_sentence(&t, j_str(w, "id"), j_str(w, "state"));
	text_add(&t, ": ");
	text_add_clean(&t, j_str(w, "sentence"), strlen(j_str(w, "sentence")), "\n");
	(void)puts(text_str(&t));
	print_resource(w);
	json_array_foreach(json_object_get(w, "waits_for"), i, v)
	        show_fieldf(i ? "" : "waits for", "%s: %llu of %llu done", j_str(v, "step"),
	                (unsigned long long)j_uint(v, "done"), (unsigned long long)j_uint(v, "total"));
	print_holders(w);
	print_places(json_object_get(w, "nodes"), strcmp(j_str(w, "reason"), "where") == 0 ? 1 : 2, "");
	if (start)
		show_fieldf("starts", "about %s%s%s", clock_text(start, now, s, sizeof(s)),
		        start > now ? ", in " : "",
		        start > now ? duration_text(start - now, d, sizeof(d)) : "");
	if (json_array_size(json_object_get(w, "advice")))
		(void)puts(strcmp(j_str(w, "reason"), "finished") == 0 ? "\nwhat to do:"
		                                                       : "\nwhat would start it now:");
	json_array_foreach(json_object_get(w, "advice"), i, v)
	{
		text_clear(&t);
		text_add(&t, "  - ");
		text_add_clean(
		        &t, json_string_value(v) ? json_string_value(v) : "", json_string_length(v), "");
		(void)puts(text_str(&t));
	}
	text_release(&t);
}

static int run(struct cli *c)
{
	struct task_name name = {0};
	struct text t = {0};
	struct err e = {0};
	json_t *j;

	if (cli_connect_look(c, &e) < 0 ||
	        task_resolve(c, c->args.n_args ? c->args.arg[0] : "last", &name, &e) < 0)
		return cli_fail(c, &e);
	job_target(&t, name.job);
	if (name.step) {
		text_add(&t, "/tasks/");
		url_add(&t, name.step);
		text_addf(&t, "/%lld", (long long)(name.index < 0 ? 0 : name.index));
	}
	text_add(&t, "/why");
	j = ask(c, "GET", text_str(&t), NULL, &e);
	text_release(&t);
	task_name_release(&name);
	if (!j)
		return cli_fail(c, &e);
	if (c->json)
		json_print(j);
	else
		print_why(j);
	json_decref(j);
	return EXIT_OK;
}

const struct command_def cmd_why = {
        .name = "why",
        .group = GROUP_LOOK,
        .usage = "[JOB | JOB/STEP/INDEX]",
        .summary = "explain why a task waits, what would start it now, and when it starts otherwise",
        .about = "One screen: what the task needs and does not get, who holds it and until when, the "
                 "smallest change that would start the "
                 "task now, and when it starts if nothing changes. For a job: its first task that is not "
                 "finished. For a task that "
                 "ended: how.",
        .examples = "osier why last\n"
                    "osier why pi-17/map/3",
        .args_max = 1,
        .complete = COMPLETE_TASK,
        .run = run,
};
