/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress - bars on a terminal, plain lines in a pipe: see term.h.
 *
 * A drawing is a block of lines. To redraw, the cursor goes up by the lines that the block takes *now*: after a
 * resize to fewer columns the terminal may have folded them, so their widths are kept and counted against the present
 * number of columns.
 */
#include <unistd.h>

#include "base/check.h"
#include "cli/term.h"

enum { ROWS_MAX = 32, BAR_MAX = 40, BAR_LEAST = 10 };
#define PLAIN_EVERY_NS (5ull * 1000000000ull)

static struct {
	size_t width[ROWS_MAX];
	size_t n;
	uint64_t plain_ns; /* when the last plain line went out */
	uint64_t plain_done;
} P;

static void add_bar(struct text *out, const struct progress_row *r, size_t width)
{
	static const char *const eighths[] = {"", "\xe2\x96\x8f", "\xe2\x96\x8e", "\xe2\x96\x8d",
	        "\xe2\x96\x8c", "\xe2\x96\x8b", "\xe2\x96\x8a", "\xe2\x96\x89"};
	uint64_t done = r->succeeded + r->failed + r->skipped, total = r->total ? r->total : 1;
	uint64_t cells8, used;

	done = done > total ? total : done;
	cells8 = (uint64_t)((unsigned __int128)done * width * 8 / total);
	used = cells8 / 8;
	text_add(out, term_colour(stderr, r->failed ? RED : done == r->total ? GREEN : CYAN));
	if (!term_utf8())
		text_add(out, "[");
	for (uint64_t i = 0; i < used; i++)
		text_add(out, term_utf8() ? "\xe2\x96\x88" : "#");
	if (term_utf8() && cells8 % 8) {
		text_add(out, eighths[cells8 % 8]);
		used++;
	}
	text_add(out, term_colour(stderr, PLAIN));
	text_add(out, term_colour(stderr, DIM));
	for (; used < width; used++)
		text_add(out, term_utf8() ? "\xe2\x96\x91" : ".");
	text_add(out, term_colour(stderr, PLAIN));
	if (!term_utf8())
		text_add(out, "]");
}

static void add_counts(struct text *out, const struct progress_row *r)
{
	char a[32], b[32];
	uint64_t done = r->succeeded + r->failed + r->skipped;

	text_addf(out, "%s/%s", count_text(done, a, sizeof(a)), count_text(r->total, b, sizeof(b)));
	if (r->running)
		text_addf(out, ", %s running", count_text(r->running, a, sizeof(a)));
	if (r->failed)
		text_addf(out, ", %s failed", count_text(r->failed, a, sizeof(a)));
	if (r->skipped)
		text_addf(out, ", %s skipped", count_text(r->skipped, a, sizeof(a)));
}

static void add_rate(struct text *out, const struct progress_row *r)
{
	char a[32];
	uint64_t done = r->succeeded + r->failed + r->skipped, left = r->total > done ? r->total - done : 0;

	if (r->rate_milli >= 10000)
		text_addf(out, "  %s/s", count_text((r->rate_milli + 500) / 1000, a, sizeof(a)));
	else if (r->rate_milli >= 100)
		text_addf(out, "  %llu.%llu/s", (unsigned long long)(r->rate_milli + 50) / 1000,
		        (unsigned long long)((r->rate_milli + 50) / 100 % 10));
	else if (r->rate_milli)
		text_addf(out, "  %llu/min", (unsigned long long)(r->rate_milli * 60 + 500) / 1000);
	if (left && r->rate_milli) {
		unsigned __int128 ns = (unsigned __int128)left * 1000000000000u / r->rate_milli;

		if (ns < 1000000000u) /* it is a guess: no smaller unit than seconds */
			text_add(out, "  <1 s left");
		else
			text_addf(out, "  %s left",
			        ns > INT64_MAX ? "years" : duration_text((uint64_t)ns, a, sizeof(a)));
	} else if (!left && r->elapsed_ns) {
		text_addf(out, "  in %s", duration_text(r->elapsed_ns, a, sizeof(a)));
	}
}

void progress_line(
        struct text *out, const struct progress_row *r, size_t columns, size_t name_width, bool bar)
{
	uint64_t done = r->succeeded + r->failed + r->skipped;
	unsigned percent = r->total ? (unsigned)((unsigned __int128)done * 100 / r->total) : 0;
	struct text head = {0}, tail = {0};
	size_t room;

	text_add_clean(&head, r->name, strlen(r->name), "");
	room = text_width(text_str(&head));
	if (room < name_width)
		text_pad(&head, name_width - room);
	text_addf(&tail, "%3u%%  ", percent > 100 ? 100 : percent);
	add_counts(&tail, r);
	add_rate(&tail, r);
	room = text_width(text_str(&head)) + text_width(text_str(&tail)) + 3 + (term_utf8() ? 0 : 2);
	if (!bar) {
		text_addf(out, "%s  %s", text_str(&head), text_str(&tail));
	} else if (columns >= room + BAR_LEAST) {
		text_addf(out, "%s ", text_str(&head));
		add_bar(out, r, columns - room > BAR_MAX ? BAR_MAX : columns - room);
		text_addf(out, " %s", text_str(&tail));
	} else {
		struct text line = {0};

		text_addf(&line, "%s %s", text_str(&head), text_str(&tail));
		text_add_n(out, text_str(&line), text_fit(text_str(&line), columns ? columns - 1 : 0, NULL));
		text_release(&line);
	}
	text_release(&head);
	text_release(&tail);
}

/* Width of a line without its colour escapes. */
static size_t shown_width(const char *s)
{
	struct text plain = {0};
	size_t w;

	while (*s) {
		if (*s == '\033') {
			s += strcspn(s, "m");
			s += *s == 'm';
			continue;
		}
		text_add_n(&plain, s++, 1);
	}
	w = text_width(text_str(&plain));
	text_release(&plain);
	return w;
}

/* The escapes that take the last drawing away. */
static void add_clear(struct text *out)
{
	size_t columns = term_columns(), lines = 0;

	if (!P.n)
		return;
	for (size_t i = 0; i < P.n; i++)
		lines += P.width[i] ? (P.width[i] + columns - 1) / columns : 1;
	text_addf(out, "\r\033[%zuA\033[J", lines);
	P.n = 0;
}

void progress_clear(void)
{
	struct text out = {0};

	add_clear(&out);
	(void)fputs(text_str(&out), stderr);
	text_release(&out);
}

void progress_keep(void)
{
	P.n = 0;
	P.plain_ns = 0;
}

static void draw_plain(const struct progress_row *r)
{
	struct text line = {0};
	uint64_t now = cli_mono_ns(), done = r->succeeded + r->failed + r->skipped;

	if (P.plain_ns == 0)
		P.plain_ns = now - PLAIN_EVERY_NS + 2000000000ull; /* the first after two seconds */
	if (now - P.plain_ns < PLAIN_EVERY_NS)
		return;
	P.plain_ns = now;
	P.plain_done = done;
	progress_line(&line, r, 0, 0, false);
	(void)fprintf(stderr, "%s\n", text_str(&line));
	text_release(&line);
}

void progress_draw(const struct progress_row *rows, size_t n)
{
	struct text out = {0};
	size_t columns = term_columns(), name_width = 0;

	CHECK(n > 0);
	if (!term_is_tty(stderr)) {
		draw_plain(&rows[0]);
		return;
	}
	n = n > ROWS_MAX ? ROWS_MAX : n;
	n = n > 1 && n + 1 > term_rows() ? 1 : n;
	for (size_t i = 0; i < n; i++) {
		size_t w = text_width(rows[i].name);

		name_width = w > name_width ? w : name_width;
	}
	name_width = name_width > columns / 3 ? columns / 3 : name_width;
	add_clear(&out); /* in the same write as the new drawing, so that nothing flickers */
	for (size_t i = 0; i < n; i++) {
		size_t at = out.n;

		progress_line(&out, &rows[i], columns, name_width, true);
		P.width[i] = shown_width(text_str(&out) + at);
		text_add(&out, "\n");
	}
	P.n = n;
	(void)fwrite(text_str(&out), 1, out.n, stderr);
	(void)fflush(stderr);
	text_release(&out);
}
