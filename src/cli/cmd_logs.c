/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_logs - `osier logs`: what tasks wrote, of one task or of a whole job, past or as it comes. */
#include "cli/commands.h"
#include "cli/nodeproc.h"
#include "cli/seen.h"
#include "cli/show.h"

static const struct option_def options[] = {
        {'f', "follow", NULL, "go on with what comes, until the job is finished", COMPLETE_NOTHING, NULL},
        {0, "stream", "WHICH", "stdout, stderr or both (default)", COMPLETE_WORDS, "stdout,stderr,both"},
        {'o', "output", "NAME", "of one task: this output, byte for byte", COMPLETE_NOTHING, NULL},
        {0, "attempt", "NUMBER",
                "of one task: what this attempt wrote, by the number that 'osier job TASK' shows; each "
                "member of a "
                "gang is one",
                COMPLETE_NOTHING, NULL},
        {0, "no-prefix", NULL, "lines without the task that wrote them", COMPLETE_NOTHING, NULL},
        {0},
};

#define GAPS_NAMED 5u

struct logs {
	struct cli *c;
	struct task_name name;
	const char *stream;
	bool follow, prefix;
	bool open[2]; /* stdout, stderr: the last line was partial */
	unsigned gaps;
	enum err_code worst; /* of them: the last that is not ERR_NOTFOUND */
	struct seen seen;
};

/* ---- lines ---- */

/* A terminal gets text, with the colours (SGR, ECMA-48 8.3.117) that programs write and no other escape. */
static void add_visible(struct text *t, const char *s)
{
	while (*s) {
		size_t n = strcspn(s, "\033"), sgr = 0;

		text_add_clean(t, s, n, "\t");
		s += n;
		if (s[0] == '\033' && s[1] == '[')
			sgr = 2 + strspn(s + 2, "0123456789;:");
		if (sgr && s[sgr] == 'm') {
			text_add_n(t, s, sgr + 1);
			s += sgr + 1;
		} else if (*s) {
			text_add_clean(t, s, 1, "");
			s++;
		}
	}
}

static enum colour colour_of(const char *step, uint64_t index)
{
	static const enum colour colours[] = {CYAN, GREEN, YELLOW, BLUE};
	uint64_t h = index;

	for (; *step; step++)
		h = h * 31 + (unsigned char)*step;
	return colours[h % 4];
}

static void print_line(struct logs *l, const json_t *line)
{
	bool err = strcmp(j_str(line, "stream"), "stderr") == 0;
	FILE *f = err && !l->follow && !l->prefix ? stderr : stdout;
	struct text t = {0}, who = {0};

	if (l->c->json) {
		json_print_line(line);
		return;
	}
	if (l->prefix && !l->open[err]) {
		text_addf(&who, "%s/%llu", j_str(line, "step"), (unsigned long long)j_uint(line, "index"));
		term_paint(&t, f, colour_of(j_str(line, "step"), j_uint(line, "index")), text_str(&who));
		term_paint(&t, f, err ? RED : DIM, err ? " ! " : " | ");
	}
	if (term_is_tty(f))
		add_visible(&t, j_str(line, "text"));
	else
		text_add(&t, j_str(line, "text"));
	l->open[err] = j_bool(line, "partial");
	if (strchr(text_str(&t), '\033'))
		text_add(&t, "\033[0m"); /* a colour that a task left on ends with its line */
	if (!l->open[err])
		text_add(&t, "\n");
	(void)fwrite(text_str(&t), 1, t.n, f);
	if (l->follow)
		(void)fflush(f);
	text_release(&t);
	text_release(&who);
}

/* Outputs that are not to be had any more; of many the first are named. */
static void print_gap(struct logs *l, const json_t *gap)
{
	enum err_code code = ask_code(j_str(gap, "code"));
	struct err e = {0};
	char size[32];

	if (l->c->json)
		json_print_line(gap);
	if (!l->gaps || code != ERR_NOTFOUND)
		l->worst = code;
	if (++l->gaps > GAPS_NAMED)
		return;
	(void)fflush(stdout);
	(void)err_set(&e, code, "the %s of %s/%llu (%s) cannot be shown: %s", j_str(gap, "stream"),
	        j_str(gap, "step"), (unsigned long long)j_uint(gap, "index"),
	        size_text(j_uint(gap, "bytes"), size, sizeof(size)), j_str(gap, "why"));
	term_error(&e);
}

static int end_of_gaps(const struct logs *l)
{
	struct err e = {0};

	if (l->gaps > GAPS_NAMED) {
		(void)err_set(&e, l->worst, "nor can %u more outputs", l->gaps - GAPS_NAMED);
		term_error(&e);
	}
	return l->gaps ? (int)exit_of(l->worst) : EXIT_OK;
}

/* A line or a gap that was not shown before. */
static void print_event(struct logs *l, const struct event *ev)
{
	bool gap = strcmp(ev->name, "gap") == 0;
	json_t *j = gap || strcmp(ev->name, "line") == 0 ? ask_event(ev->data, NULL) : NULL;

	if (j && !seen_before(&l->seen, j_str(j, "step"), j_uint(j, "index"),
	                 strcmp(j_str(j, "stream"), "stderr") == 0, j_uint(j, "attempt"), j_uint(j, "at"))) {
		if (gap)
			print_gap(l, j);
		else
			print_line(l, j);
	}
	json_decref(j);
}

static void stream_target(const struct logs *l, struct text *t)
{
	job_target(t, l->name.job);
	text_addf(t, "/logs?follow=%d&stream=%s", l->follow, l->stream);
	if (l->name.step) {
		text_add(t, "&step=");
		url_add(t, l->name.step);
	}
	if (l->name.index >= 0)
		text_addf(t, "&index=%lld", (long long)l->name.index);
}

static int open_stream(struct logs *l)
{
	struct text t = {0};
	struct response r = {0};
	struct err e = {0};
	int rc = EXIT_OK;

	stream_target(l, &t);
	if (client_stream(l->c->client, text_str(&t), CLIENT_PATIENCE_NS, &r, &e) < 0) {
		if (r.status)
			(void)ask_error(&r, &e);
		rc = cli_fail(l->c, &e);
	}
	response_release(&r);
	text_release(&t);
	return rc;
}

static int run_stream(struct logs *l)
{
	struct err e = {0};
	struct event ev;
	int rc = open_stream(l);

	while (rc == EXIT_OK) {
		enum stream_result s = client_event(l->c->client, UINT64_MAX, &ev, &e);

		if (s == STREAM_INTERRUPTED)
			return EXIT_INTERRUPTED;
		/* An engine that died is started again. It tells all from the beginning, and what was shown is not shown again. */
		if ((s == STREAM_FAILED || s == STREAM_END) && !l->c->node && !seen_full(&l->seen) &&
		        (l->c->host || state_kept(l->c->state_dir))) {
			rc = open_stream(l);
			continue;
		}
		if (s == STREAM_FAILED)
			return cli_fail(l->c, &e);
		if (s == STREAM_END) {
			(void)err_set(&e, ERR_CLOSED, "the node ended before the job did");
			return cli_fail(l->c, &e);
		}
		if (s != STREAM_EVENT || strcmp(ev.name, "end") == 0)
			break;
		if (strcmp(ev.name, "error") == 0) {
			(void)ask_error_event(ev.data, &e);
			return cli_fail(l->c, &e);
		}
		print_event(l, &ev);
		if (ferror(stdout))
			break;
	}
	return rc == EXIT_OK ? end_of_gaps(l) : rc;
}

/* ---- bytes of one task ---- */

static int download(struct logs *l, const char *output, FILE *f)
{
	struct text t = {0};
	struct response r;
	struct err e = {0};
	int rc;

	job_target(&t, l->name.job);
	text_add(&t, "/tasks/");
	url_add(&t, l->name.step);
	text_addf(&t, "/%lld/output/", (long long)l->name.index);
	url_add(&t, output);
	if (args_value(&l->c->args, "attempt")) {
		text_add(&t, "?attempt=");
		url_add(&t, args_value(&l->c->args, "attempt"));
	}
	rc = client_download(l->c->client, text_str(&t), f, &r, &e);
	text_release(&t);
	if (rc < 0)
		return cli_fail(l->c, &e);
	if (r.status != 200) {
		(void)ask_error(&r, &e);
		rc = cli_fail(l->c, &e);
	}
	response_release(&r);
	return rc;
}

static int need_task(struct logs *l, struct err *e)
{
	json_t *job, *steps;
	struct text t = {0};

	if (l->name.step && l->name.index >= 0)
		return 0;
	job_target(&t, l->name.job);
	job = ask(l->c, "GET", text_str(&t), NULL, e);
	text_release(&t);
	if (!job)
		return -1;
	steps = json_object_get(job, "steps");
	if (!l->name.step && json_array_size(steps) == 1)
		l->name.step = cli_dup(j_str(json_array_get(steps, 0), "name"));
	if (l->name.step && l->name.index < 0 && j_uint(json_object_get(job, "counts"), "total") == 1)
		l->name.index = 0;
	json_decref(job);
	if (l->name.step && l->name.index >= 0)
		return 0;
	(void)err_set(e, ERR_INVALID, "an output is of one task, and '%.80s' has many", l->name.job);
	return err_hint(e, "name one: osier logs %.60s/STEP/INDEX --output NAME", l->name.job);
}

static int run_logs(struct logs *l)
{
	const char *output = args_value(&l->c->args, "output");
	const char *bytes_of = strcmp(l->stream, "stderr") == 0 ? "stderr" : "stdout";
	bool one_task = l->name.step && l->name.index >= 0;
	struct err e = {0};

	if (!output && args_value(&l->c->args, "attempt"))
		output = bytes_of;
	if (output)
		return need_task(l, &e) < 0 ? cli_fail(l->c, &e) : download(l, output, stdout);
	if (one_task && !l->follow && !l->c->json && strcmp(l->stream, "both") != 0 && !term_is_tty(stdout))
		return download(l, l->stream, stdout);
	l->prefix = !one_task && !args_flag(&l->c->args, "no-prefix");
	return run_stream(l);
}

static int run(struct cli *c)
{
	struct logs l = {
	        .c = c, .follow = args_flag(&c->args, "follow"), .stream = args_value(&c->args, "stream")};
	struct err e = {0};
	int rc;

	l.stream = l.stream ? l.stream : "both";
	if (strcmp(l.stream, "both") != 0 && strcmp(l.stream, "stdout") != 0 &&
	        strcmp(l.stream, "stderr") != 0)
		return cli_usage(c, "--stream is stdout, stderr or both, not '%.40s'", l.stream);
	if (args_flag(&c->args, "output") && l.follow)
		return cli_usage(c, "--output is for what is there: it does not go with --follow");
	if (args_flag(&c->args, "attempt") && l.follow)
		return cli_usage(c, "--attempt is for what is there: it does not go with --follow");
	if (cli_connect_look(c, &e) < 0 ||
	        task_resolve(c, c->args.n_args ? c->args.arg[0] : "last", &l.name, &e) < 0)
		return cli_fail(c, &e);
	if (c->node && l.follow)
		l.follow = false; /* nothing will come: no node is up */
	term_catch_interrupts();
	rc = run_logs(&l);
	task_name_release(&l.name);
	seen_release(&l.seen);
	return rc;
}

const struct command_def cmd_logs = {
        .name = "logs",
        .group = GROUP_LOOK,
        .usage = "[JOB | JOB/STEP | JOB/STEP/INDEX] [options]",
        .summary = "show what tasks wrote",
        .about = "Of a job: the lines of its tasks, each with the task that wrote it ('!' marks the standard "
                 "error). Of one task: its "
                 "output alone. With -f it goes on with what running tasks write; Ctrl-C stops looking, not "
                 "the job.\n"
                 "\n"
                 "--output gives one output of one task byte for byte: stdout, stderr, or the path of a file "
                 "that the job declares.",
        .examples = "osier logs last\n"
                    "osier logs -f pi-17\n"
                    "osier logs pi-17/map/3 --stream stderr\n"
                    "osier logs pi-17/link --output prog > prog   # a declared output",
        .options = options,
        .args_max = 1,
        .complete = COMPLETE_TASK,
        .run = run,
};
