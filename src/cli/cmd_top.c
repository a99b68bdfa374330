/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_top - `osier top`: a live view of jobs and nodes.
 *
 * Plain escapes on the alternate screen. The terminal is put back on every way out: q, Ctrl-C, a signal, the node's end.
 */
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/show.h"

static const struct option_def options[] = {
        {0, "once", NULL, "print one view and end", COMPLETE_NOTHING, NULL},
        {0},
};

enum sort { SORT_AGE, SORT_TASKS, SORT_RATE, SORT_CPU };

static struct {
	struct termios old;
	bool raw;
} S;

static void screen_leave(void)
{
	static const char off[] = "\033[?25h\033[?1049l";

	if (!S.raw)
		return;
	S.raw = false;
	if (write(STDOUT_FILENO, off, sizeof(off) - 1) < 0)
		return; /* nobody there to see it */
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &S.old);
}

static void on_fatal(int sig)
{
	screen_leave();
	(void)signal(sig, SIG_DFL);
	(void)raise(sig);
}

static int screen_enter(struct err *e)
{
	static const int fatal[] = {SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE};
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &S.old) < 0)
		return err_sys(e, "cannot use the terminal");
	t = S.old;
	t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	t.c_cc[VMIN] = 0;
	t.c_cc[VTIME] = 0;
	S.raw = true;
	(void)atexit(screen_leave);
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		(void)signal(fatal[i], on_fatal);
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &t);
	(void)fputs("\033[?1049h\033[?25l", stdout);
	return 0;
}

/* ---- what is shown ---- */

static void bar(struct text *t, double used, double capacity, size_t width)
{
	size_t on = capacity > 0 ? (size_t)(used / capacity * (double)width + 0.5) : 0;

	on = on > width ? width : on;
	text_add(t, "[");
	text_add(t, term_colour(stdout, used > capacity * 0.9 ? RED : GREEN));
	for (size_t i = 0; i < width; i++)
		text_add(t, i < on ? (term_utf8() ? "\xe2\x96\x88" : "#") : " ");
	text_add(t, term_colour(stdout, PLAIN));
	text_add(t, "]");
}

static void add_node(struct text *t, const json_t *node)
{
	size_t i, shown = 0;
	json_t *r;

	term_paint(t, stdout, BOLD, j_str(node, "name"));
	text_add(t, " ");
	term_paint(t, stdout, term_state_colour(j_str(node, "state")), j_str(node, "state"));
	if (json_array_size(json_object_get(node, "load")))
		text_addf(t, "  load %.2f",
		        json_number_value(json_array_get(json_object_get(node, "load"), 0)));
	text_addf(t, "  %llu lease%s\n", (unsigned long long)j_uint(node, "leases"),
	        plural(j_uint(node, "leases")));
	json_array_foreach(json_object_get(node, "resources"), i, r)
	{
		if (j_real(r, "capacity") <= 0 || shown == 4)
			continue;
		shown++;
		text_addf(t, "  %-8.12s ", j_str(r, "name"));
		bar(t, j_real(r, "used"), j_real(r, "capacity"), 24);
		text_add(t, " ");
		amount_text(t, j_str(r, "name"), j_real(r, "used"));
		text_add(t, " of ");
		amount_text(t, j_str(r, "name"), j_real(r, "capacity"));
		text_add(t, "\n");
	}
}

static enum sort sort_key;

static double key_of(const json_t *j)
{
	switch (sort_key) {
	case SORT_AGE:
		return (double)j_uint(j, "job");
	case SORT_TASKS:
		return (double)j_uint(json_object_get(j, "counts"), "total");
	case SORT_RATE:
		return j_real(j, "rate");
	case SORT_CPU:
		return j_real(j, "cpu_s");
	}
	return 0;
}

static int rank(const json_t *j)
{
	const char *s = j_str(j, "state");

	return strcmp(s, "running") == 0 ? 0 : strcmp(s, "waiting") == 0 ? 1 : 2;
}

/* Running first, then waiting, then finished; inside by the chosen key; ties by number. */
static int compare(const void *pa, const void *pb)
{
	const json_t *a = *(json_t *const *)pa, *b = *(json_t *const *)pb;
	double ka = key_of(a), kb = key_of(b);

	if (rank(a) != rank(b))
		return rank(a) - rank(b);
	if (ka < kb || kb < ka)
		return ka < kb ? 1 : -1;
	return j_uint(a, "job") < j_uint(b, "job") ? 1 : -1;
}

static void job_row(struct table *t, const json_t *j, uint64_t now)
{
	const json_t *n = json_object_get(j, "counts");
	uint64_t started = j_time(j, "started"), end = j_time(j, "finished"), total = j_uint(n, "total");
	char a[32], b[32];

	table_cell(t, BOLD, j_str(j, "id"));
	table_cell(t, term_state_colour(j_str(j, "state")), j_str(j, "state"));
	table_cellf(t, PLAIN, "%llu%%", (unsigned long long)(total ? counts_done(n) * 100 / total : 0));
	table_cellf(
	        t, PLAIN, "%s/%s", count_text(counts_done(n), a, sizeof(a)), count_text(total, b, sizeof(b)));
	table_cell(t, j_uint(n, "running") ? CYAN : DIM, count_text(j_uint(n, "running"), a, sizeof(a)));
	table_cell(t, j_uint(n, "failed") ? RED : DIM, count_text(j_uint(n, "failed"), a, sizeof(a)));
	table_cellf(t, PLAIN, "%.1f/s", j_real(j, "rate"));
	table_cell(
	        t, PLAIN, started ? duration_text(elapsed_ns(started, end ? end : now), a, sizeof(a)) : "-");
	table_cell(t, PLAIN, j_null(j, "eta_s") || end ? "-" : duration_text(j_ns(j, "eta_s"), a, sizeof(a)));
}

static void add_jobs(struct text *out, const json_t *list, uint64_t now, size_t rows)
{
	size_t n = json_array_size(list), i;
	const json_t **v = cli_alloc((n + 1) * sizeof(const json_t *));
	struct table *t = table_new();

	table_column(t, "JOB", LEFT, true);
	table_column(t, "STATE", LEFT, false);
	table_column(t, "DONE", RIGHT, false);
	table_column(t, "TASKS", RIGHT, false);
	table_column(t, "RUNNING", RIGHT, false);
	table_column(t, "FAILED", RIGHT, false);
	table_column(t, "RATE", RIGHT, false);
	table_column(t, "TIME", RIGHT, false);
	table_column(t, "LEFT", RIGHT, false);
	for (i = 0; i < n; i++)
		v[i] = json_array_get(list, i);
	qsort(v, n, sizeof(const json_t *), compare);
	for (i = 0; i < n && i < rows; i++)
		job_row(t, v[i], now);
	table_render(t, stdout, term_columns(), out);
	table_free(t);
	free(v);
}

/* `ago_ns`: since the event came; the node speaks only when something changed, and times go on. */
static void view(struct text *out, const json_t *ev, uint64_t ago_ns, bool keys)
{
	const json_t *totals = json_object_get(ev, "totals");
	uint64_t now = j_time(ev, "now") + ago_ns;
	size_t i, lines = 0, rows = term_rows();
	char a[32], b[32], r[32];
	json_t *n;

	text_addf(out, "%sosier%s %s  %s job%s, %llu active; %s task%s ready, %llu lease%s\n",
	        term_colour(stdout, BOLD), term_colour(stdout, PLAIN), clock_text(now, now, a, sizeof(a)),
	        count_text(j_uint(totals, "jobs"), b, sizeof(b)), plural(j_uint(totals, "jobs")),
	        (unsigned long long)j_uint(totals, "active"),
	        count_text(j_uint(totals, "tasks_ready"), r, sizeof(r)),
	        plural(j_uint(totals, "tasks_ready")), (unsigned long long)j_uint(totals, "leases"),
	        plural(j_uint(totals, "leases")));
	json_array_foreach(json_object_get(ev, "nodes"), i, n) if (i < 4) add_node(out, n);
	text_add(out, "\n");
	for (size_t k = 0; k < out->n; k++)
		lines += out->p[k] == '\n';
	rows = !keys ? 100 : rows > lines + 3 ? rows - lines - 3 : 1;
	add_jobs(out, json_object_get(ev, "jobs"), now, rows);
	if (keys) {
		text_add(out, term_colour(stdout, DIM));
		text_add(out, "q quit   sort by: n newest  t tasks  r rate  c cpu");
		text_add(out, term_colour(stdout, PLAIN));
	}
}

static void paint(const json_t *ev, uint64_t ago_ns)
{
	struct text body = {0}, out = {0};
	size_t rows = term_rows(), line = 1;

	view(&body, ev, ago_ns, true);
	text_add(&out, "\033[H");
	for (const char *s = text_str(&body); *s && line <= rows; line++) {
		size_t n = strcspn(s, "\n");

		text_add_n(&out, s, n);
		text_add(&out, "\033[K");
		if (s[n] && line < rows)
			text_add(&out, "\r\n");
		s += n + (s[n] != '\0');
	}
	text_add(&out, "\033[J");
	(void)fwrite(text_str(&out), 1, out.n, stdout);
	(void)fflush(stdout);
	text_release(&body);
	text_release(&out);
}

/* ---- the loop ---- */

/* Keys that were pressed; true: quit. */
static bool keys(void)
{
	char k[32];
	ssize_t n = read(STDIN_FILENO, k, sizeof(k));

	for (ssize_t i = 0; i < n; i++) {
		if (k[i] == 'q' || k[i] == 'Q' || k[i] == 4)
			return true;
		if (k[i] == 'n')
			sort_key = SORT_AGE;
		else if (k[i] == 't')
			sort_key = SORT_TASKS;
		else if (k[i] == 'r')
			sort_key = SORT_RATE;
		else if (k[i] == 'c')
			sort_key = SORT_CPU;
	}
	return false;
}

/* The client waits on the node and on interrupts; keys come between: it is asked for events a tenth of a second at a time. */
static int live(struct cli *c, bool screen, struct err *e)
{
	json_t *last = NULL;
	uint64_t last_ns = 0;
	int rc = 0;

	for (;;) {
		struct event ev;
		enum stream_result r = client_event(c->client, screen ? 100000000u : UINT64_MAX, &ev, e);

		if (r == STREAM_INTERRUPTED || (screen && keys()))
			break;
		if (r == STREAM_END) {
			rc = err_set(e, ERR_CLOSED, "the node ended");
			break;
		}
		if (r == STREAM_FAILED) {
			rc = -1;
			break;
		}
		if (r == STREAM_EVENT) {
			json_t *j = ask_event(ev.data, NULL);

			if (!j)
				continue;
			json_decref(last);
			last = j;
			last_ns = cli_mono_ns();
			if (c->json)
				json_print_line(j);
			if (!screen && (args_flag(&c->args, "once") || ferror(stdout)))
				break;
		}
		if (screen && last)
			paint(last, cli_mono_ns() - last_ns);
	}
	if (!screen && !c->json && last && rc == 0) {
		struct text t = {0};

		view(&t, last, 0, false);
		(void)fwrite(text_str(&t), 1, t.n, stdout);
		text_release(&t);
	}
	json_decref(last);
	return rc;
}

static int run(struct cli *c)
{
	bool screen = !c->json && !args_flag(&c->args, "once");
	struct response r = {0};
	struct err e = {0};
	int rc;

	if (screen && (!term_is_tty(stdout) || isatty(STDIN_FILENO) != 1))
		return cli_usage(c, "'osier top' needs a terminal; --once prints one view, --json a stream");
	if (cli_connect(c, &e) < 0)
		return cli_fail(c, &e);
	if (client_stream(c->client, "/v1/events", CLIENT_PATIENCE_NS, &r, &e) < 0) {
		if (r.status)
			(void)ask_error(&r, &e);
		response_release(&r);
		return cli_fail(c, &e);
	}
	term_catch_interrupts();
	rc = screen ? screen_enter(&e) : 0;
	if (rc == 0)
		rc = live(c, screen, &e);
	screen_leave();
	return rc < 0 ? cli_fail(c, &e) : EXIT_OK;
}

const struct command_def cmd_top = {
        .name = "top",
        .group = GROUP_LOOK,
        .usage = "[options]",
        .summary = "a live view of jobs and nodes",
        .about = "Shows what the nodes give away and how the jobs come along, as it happens. Keys: q quits; "
                 "n, t, r and c sort by newest, tasks, rate "
                 "and cpu. With --json: one object whenever something changed.",
        .examples = "osier top\n"
                    "osier top --once        # one view, for a pipe",
        .options = options,
        .args_max = 0,
        .run = run,
};
