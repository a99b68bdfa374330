/* SPDX-License-Identifier: Apache-2.0 */
/* show - see show.h. */
#include "cli/show.h"

#include <signal.h>
#include <stdarg.h>

uint64_t elapsed_ns(uint64_t from, uint64_t to)
{
	return to > from ? to - from : 0;
}

uint64_t speed_milli(uint64_t cpu_ns, uint64_t wall_ns, uint64_t tasks)
{
	uint64_t speed;

	if (tasks < 2 || wall_ns < 1000000000u)
		return 0;
	speed = (uint64_t)((unsigned __int128)cpu_ns * 100 / wall_ns) * 10;
	return speed < 500 ? 0 : speed;
}

void show_field(const char *label, const char *value)
{
	struct text t = {0}, clean = {0};
	size_t w = text_width(label);

	text_add_clean(&clean, value, strlen(value), "");
	term_paint(&t, stdout, DIM, label);
	text_pad(&t, w < 12 ? 12 - w : 1);
	text_add(&t, text_str(&clean));
	(void)puts(text_str(&t));
	text_release(&t);
	text_release(&clean);
}

void show_fieldf(const char *label, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	show_field(label, line);
}

void state_sentence(struct text *t, const char *id, const char *state)
{
	static const char *const passive[] = {"cancelled", "skipped", "stopped"};
	const char *verb = strcmp(state, "succeeded") == 0 || strcmp(state, "failed") == 0 ? "" : "is ";

	for (size_t i = 0; i < 3; i++)
		if (strcmp(state, passive[i]) == 0)
			verb = "was ";
	term_paint(t, stdout, BOLD, id);
	text_addf(t, " %s", verb);
	term_paint(t, stdout, term_state_colour(state), state);
}

static void signal_text(struct text *t, unsigned sig)
{
	const char *name = sigabbrev_np((int)sig);

	if (name)
		text_addf(t, "killed by SIG%s", name);
	else
		text_addf(t, "killed by signal %u", sig);
}

void outcome_text(struct text *t, const json_t *attempt)
{
	const char *outcome = j_str(attempt, "outcome"), *note = j_str(attempt, "note");
	unsigned code = (unsigned)j_uint(attempt, "code");
	char s[32];

	if (strcmp(outcome, "failed") == 0)
		text_addf(t, "failed with exit code %u", code);
	else if (strcmp(outcome, "signaled") == 0)
		signal_text(t, code);
	else if (strcmp(outcome, "timed_out") == 0)
		text_addf(t, "timed out after %s", duration_text(j_ns(attempt, "wall_s"), s, sizeof(s)));
	else if (strcmp(outcome, "out_of_memory") == 0)
		text_addf(t, "out of memory (peak %s)",
		        size_text(j_uint(attempt, "memory_bytes"), s, sizeof(s)));
	else if (strcmp(outcome, "cannot_start") == 0)
		text_add(t, "could not start");
	else if (strcmp(outcome, "output_missing") == 0)
		text_add(t, "a declared output is missing");
	else if (strcmp(outcome, "crashed") == 0)
		text_add(t, "crashed its worker");
	else if (strcmp(outcome, "queue_timeout") == 0)
		text_add(t, "waited too long");
	else if (strcmp(outcome, "disagreed") == 0)
		text_add(t, "its replicas did not agree");
	else
		text_add(t, *outcome ? outcome : "unknown");
	/* The note may say no more than the outcome does. */
	if (*note && !strstr(text_str(t), note))
		text_addf(t, ": %s", note);
}

void counts_text(struct text *t, const json_t *counts)
{
	static const char *const states[] = {
	        "running", "ready", "blocked", "delayed", "succeeded", "failed", "skipped", "stopped"};
	const char *comma = "";
	char s[32];

	text_addf(t, "%s: ", count_text(j_uint(counts, "total"), s, sizeof(s)));
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		uint64_t n = j_uint(counts, states[i]);

		if (!n)
			continue;
		text_addf(t, "%s%s %s", comma, count_text(n, s, sizeof(s)), states[i]);
		comma = ", ";
	}
}

uint64_t counts_done(const json_t *counts)
{
	return j_uint(counts, "succeeded") + j_uint(counts, "failed") + j_uint(counts, "skipped");
}

static void fill_row(struct progress_row *r, const json_t *counts)
{
	r->total = j_uint(counts, "total");
	r->succeeded = j_uint(counts, "succeeded");
	r->failed = j_uint(counts, "failed");
	r->skipped = j_uint(counts, "skipped");
	r->running = j_uint(counts, "running");
}

size_t progress_rows(const json_t *j, struct progress_row *rows, size_t max)
{
	const json_t *steps = json_object_get(j, "steps");
	size_t n = 1, i;
	json_t *s;

	memset(rows, 0, max * sizeof(*rows));
	rows[0].name = j_str(j, "id");
	rows[0].state = j_str(j, "state");
	fill_row(&rows[0], json_object_get(j, "counts"));
	rows[0].elapsed_ns = j_ns(j, "elapsed_s");
	rows[0].rate_milli = j_milli(j, "rate");
	if (json_array_size(steps) < 2)
		return 1;
	json_array_foreach(steps, i, s)
	{
		if (n == max)
			break;
		rows[n].name = j_str(s, "name");
		rows[n].state = "";
		fill_row(&rows[n++], json_object_get(s, "counts"));
	}
	return n;
}

int exit_of_state(const char *state)
{
	return strcmp(state, "succeeded") == 0 ? EXIT_OK : EXIT_JOB_FAILED;
}
