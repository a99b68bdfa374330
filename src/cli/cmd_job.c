/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_job - `osier job`: one job with its steps, or one task with its attempts. */
#include "cli/commands.h"
#include "cli/show.h"

static void print_steps(const json_t *job)
{
	struct table *t = table_new();
	char s[32];
	size_t i;
	json_t *step;

	table_column(t, "STEP", LEFT, true);
	table_column(t, "TASKS", RIGHT, false);
	table_column(t, "READY", RIGHT, false);
	table_column(t, "RUNNING", RIGHT, false);
	table_column(t, "SUCCEEDED", RIGHT, false);
	table_column(t, "FAILED", RIGHT, false);
	table_column(t, "SKIPPED", RIGHT, false);
	table_column(t, "USUALLY", RIGHT, false);
	json_array_foreach(json_object_get(job, "steps"), i, step)
	{
		const json_t *n = json_object_get(step, "counts");

		table_cell(t, PLAIN, j_str(step, "name"));
		table_cell(t, PLAIN, count_text(j_uint(step, "tasks"), s, sizeof(s)));
		table_cell(t, PLAIN, count_text(j_uint(n, "ready") + j_uint(n, "delayed"), s, sizeof(s)));
		table_cell(
		        t, j_uint(n, "running") ? CYAN : DIM, count_text(j_uint(n, "running"), s, sizeof(s)));
		table_cell(t, j_uint(n, "succeeded") ? GREEN : DIM,
		        count_text(j_uint(n, "succeeded"), s, sizeof(s)));
		table_cell(t, j_uint(n, "failed") ? RED : DIM, count_text(j_uint(n, "failed"), s, sizeof(s)));
		table_cell(t, DIM, count_text(j_uint(n, "skipped") + j_uint(n, "stopped"), s, sizeof(s)));
		table_cell(t, DIM,
		        j_null(step, "run_s") ? "-" : duration_text(j_ns(step, "run_s"), s, sizeof(s)));
	}
	(void)putchar('\n');
	table_print(t);
	table_free(t);
}

static void next_commands(const char *id, const char *state, const json_t *counts)
{
	if (!term_is_tty(stdout))
		return;
	if (strcmp(state, "waiting") == 0)
		term_hint("osier why %s", id);
	else if (strcmp(state, "running") == 0)
		term_hint("osier wait %s, osier logs -f %s", id, id);
	else if (j_uint(counts, "failed"))
		term_hint("osier tasks %s --status failed, osier logs %s, osier retry %s", id, id, id);
	else
		term_hint("osier logs %s", id);
}

static void print_times(const json_t *j)
{
	uint64_t now = cli_now_ns(), started = j_time(j, "started"), finished = j_time(j, "finished");
	char s[32], d[32];

	show_fieldf("submitted", "%s by %s", clock_text(j_time(j, "submitted"), now, s, sizeof(s)),
	        j_str(json_object_get(j, "owner"), "name"));
	if (started)
		show_fieldf("started", "%s", clock_text(started, now, s, sizeof(s)));
	if (finished && started)
		show_fieldf("finished", "%s, after %s", clock_text(finished, now, s, sizeof(s)),
		        duration_text(elapsed_ns(started, finished), d, sizeof(d)));
	else if (finished)
		show_fieldf("finished", "%s, without having run", clock_text(finished, now, s, sizeof(s)));
	else if (!j_null(j, "eta_s"))
		show_fieldf("left", "about %s", duration_text(j_ns(j, "eta_s"), d, sizeof(d)));
	if (!j_null(j, "deadline"))
		show_fieldf("deadline", "%s", clock_text(j_time(j, "deadline"), now, s, sizeof(s)));
	if (!j_null(j, "not_before"))
		show_fieldf("not before", "%s", clock_text(j_time(j, "not_before"), now, s, sizeof(s)));
}

static void print_job(const json_t *j)
{
	struct text t = {0};
	const char *state = j_str(j, "state"), *key;
	json_t *value;
	char s[32];

	state_sentence(&t, j_str(j, "id"), state);
	if (j_bool(j, "timed_out"))
		text_addf(&t, ": it took longer than its timeout of %s",
		        duration_text(j_ns(j, "timeout_s"), s, sizeof(s)));
	(void)puts(text_str(&t));
	text_clear(&t);
	counts_text(&t, json_object_get(j, "counts"));
	show_field("tasks", text_str(&t));
	print_times(j);
	if (j_ns(j, "cpu_s"))
		show_fieldf("used", "%s of cpu, in %llu lease%s",
		        duration_text(j_ns(j, "cpu_s"), s, sizeof(s)),
		        (unsigned long long)j_uint(j, "attempts"), plural(j_uint(j, "attempts")));
	show_fieldf(
	        "class", "%s, priority %llu", j_str(j, "class"), (unsigned long long)j_uint(j, "priority"));
	if (strcmp(j_str(j, "namespace"), "default") != 0)
		show_field("namespace", j_str(j, "namespace"));
	if (*j_str(j, "source"))
		show_field("file", j_str(j, "source"));
	text_clear(&t);
	json_object_foreach(json_object_get(j, "labels"), key, value)
	        text_addf(&t, "%s%s=%s", t.n ? ", " : "", key, json_string_value(value));
	if (t.n)
		show_field("labels", text_str(&t));
	text_release(&t);
	print_steps(j);
	next_commands(j_str(j, "id"), state, json_object_get(j, "counts"));
}

/* ---- a task ---- */

static void print_attempt(const json_t *a, size_t i, uint64_t now)
{
	struct text t = {0};
	char s[32], u[32], m[32];
	size_t k;
	json_t *o;

	outcome_text(&t, a);
	(void)putchar('\n');
	show_fieldf("attempt", "%zu (lease %llu%s%s)", i + 1, (unsigned long long)j_uint(a, "lease"),
	        *j_str(a, "node") ? ", on " : "", j_str(a, "node"));
	show_field("outcome", text_str(&t));
	show_fieldf("started", "%s", clock_text(j_time(a, "started"), now, s, sizeof(s)));
	show_fieldf("took", "%s (user %s, system %s)", duration_text(j_ns(a, "wall_s"), s, sizeof(s)),
	        duration_text(j_ns(a, "user_s"), u, sizeof(u)),
	        duration_text(j_ns(a, "system_s"), m, sizeof(m)));
	show_fieldf("used", "peak memory %s, read %s, wrote %s",
	        size_text(j_uint(a, "memory_bytes"), s, sizeof(s)),
	        size_text(j_uint(a, "read_bytes"), u, sizeof(u)),
	        size_text(j_uint(a, "write_bytes"), m, sizeof(m)));
	json_array_foreach(json_object_get(a, "outputs"), k, o) show_fieldf(k ? "" : "outputs",
	        "%s, %s%s%s%s", j_str(o, "name"), size_text(j_uint(o, "bytes"), s, sizeof(s)),
	        j_bool(o, "truncated") ? " (cut at its cap)" : "", *j_str(o, "sha256") ? ", sha256 " : "",
	        j_str(o, "sha256"));
	text_release(&t);
}

static void print_task(const json_t *j)
{
	const json_t *live = j_get(j, "live");
	const char *state = j_str(j, "state"), *key;
	uint64_t now = cli_now_ns();
	struct text t = {0};
	char s[32];
	size_t i;
	json_t *v;

	state_sentence(&t, j_str(j, "id"), state);
	(void)puts(text_str(&t));
	text_clear(&t);
	json_object_foreach(json_object_get(j, "params"), key, v)
	        text_addf(&t, "%s%s=%s", t.n ? ", " : "", key, json_string_value(v));
	if (t.n)
		show_field("parameters", text_str(&t));
	if (live && j_uint(live, "position"))
		show_fieldf("lease", "%llu on %s; %llu tasks of it come first",
		        (unsigned long long)j_uint(live, "lease"), j_str(live, "node"),
		        (unsigned long long)j_uint(live, "position"));
	else if (live)
		show_fieldf("lease", "%llu on %s, since %s", (unsigned long long)j_uint(live, "lease"),
		        j_str(live, "node"), clock_text(j_time(live, "granted"), now, s, sizeof(s)));
	if (*j_str(j, "disagreement"))
		show_field("replicas", j_str(j, "disagreement"));
	if (*j_str(j, "broken_by"))
		show_field("gang ended by", j_str(j, "broken_by"));
	if (!j_null(j, "due"))
		show_fieldf("again at", "%s", clock_text(j_time(j, "due"), now, s, sizeof(s)));
	json_array_foreach(json_object_get(j, "attempts"), i, v) print_attempt(v, i, now);
	if (term_is_tty(stdout))
		term_hint("osier logs %s%s%s", j_str(j, "id"), live ? "" : ", osier why ",
		        live ? "" : j_str(j, "id"));
	text_release(&t);
}

static int run(struct cli *c)
{
	struct task_name name = {0};
	struct text target = {0};
	struct err e = {0};
	json_t *j = NULL;

	if (cli_connect_look(c, &e) < 0 ||
	        task_resolve(c, c->args.n_args ? c->args.arg[0] : "last", &name, &e) < 0)
		return cli_fail(c, &e);
	job_target(&target, name.job);
	if (name.step) {
		text_add(&target, "/tasks/");
		url_add(&target, name.step);
		text_addf(&target, "/%lld", (long long)(name.index < 0 ? 0 : name.index));
	}
	j = ask(c, "GET", text_str(&target), NULL, &e);
	if (j && c->json)
		json_print(j);
	else if (j && name.step)
		print_task(j);
	else if (j)
		print_job(j);
	text_release(&target);
	task_name_release(&name);
	if (!j)
		return cli_fail(c, &e);
	json_decref(j);
	return EXIT_OK;
}

const struct command_def cmd_job = {
        .name = "job",
        .group = GROUP_LOOK,
        .usage = "[JOB | JOB/STEP/INDEX]",
        .summary = "show one job with its steps, or one task with its attempts",
        .about = "Shows all there is to know of a job: state, times, what it used, and its steps. Named with "
                 "a step and an "
                 "index it shows one task: its parameters and every attempt at it, with what each used and "
                 "gave out.\n"
                 "\n"
                 "A job is named by its number (17), its name (pi-17), any unique beginning of that (pi), or "
                 "'last', which "
                 "is also what is shown when none is named.",
        .examples = "osier job                 # the last one\n"
                    "osier job pi-17\n"
                    "osier job pi-17/map/3     # task 3 of the step 'map', every attempt",
        .args_max = 1,
        .complete = COMPLETE_TASK,
        .run = run,
};
