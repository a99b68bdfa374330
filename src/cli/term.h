/* SPDX-License-Identifier: Apache-2.0 */
/*
 * term - the terminal: colour, tables, progress, and what the user does while we wait (Ctrl-C, resize).
 *
 * Colour, bars that redraw and table shrinking happen only on a terminal; a pipe gets plain text and a progress line
 * every few seconds. NO_COLOR (no-color.org) and TERM=dumb are obeyed. Results go to stdout; progress, notes and errors go to
 * stderr. Process-wide state (there is one terminal); not for threads.
 */
#ifndef OSIER_CLI_TERM_H
#define OSIER_CLI_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "cli/text.h"

enum colour { PLAIN, BOLD, DIM, RED, GREEN, YELLOW, BLUE, CYAN };
enum colour_mode { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER };

/* Look at the terminal. Call once, before anything else of this file; `mode` from --color. */
void term_init(enum colour_mode mode);
bool term_is_tty(FILE *f); /* stdout or stderr */
bool term_utf8(void);      /* may bars and ticks use more than ASCII? */
size_t term_columns(void); /* of the terminal, 80 when there is none; right after a resize */
size_t term_rows(void);    /* 24 when there is none */
/* The escape that begins a colour on f, or "" where there is none; PLAIN ends it. */
const char *term_colour(FILE *f, enum colour c);
/* Append s in a colour for f. */
void term_paint(struct text *t, FILE *f, enum colour c, const char *s);
enum colour term_state_colour(const char *state); /* "running", "failed" ... of a job or task */

/* ---- messages: lower case, what failed, then a line that says what to try ---- */
void term_error(const struct err *e); /* "osier: message", then "hint: ..." */
void term_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void term_hint(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- tables: columns as wide as their widest cell; on a terminal the `flex` column gives way ---- */
enum align { LEFT, RIGHT };
struct table;
struct table *table_new(void);
/* Add a column; `title` borrowed. `flex`: may be cut with an ellipsis to fit the terminal. Before any cell. */
void table_column(struct table *t, const char *title, enum align align, bool flex);
/* Add the next cell of the row; a row is complete when every column has one. Text is copied and cleaned. */
void table_cell(struct table *t, enum colour c, const char *text);
void table_cellf(struct table *t, enum colour c, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
size_t table_rows(const struct table *t);
/* Render for a width (0: as wide as it wants); colour as on f. */
void table_render(const struct table *t, FILE *f, size_t columns, struct text *out);
void table_print(const struct table *t); /* to stdout */
void table_free(struct table *t);

/* ---- progress ---- */
struct progress_row {
	const char *name;                           /* job or step */
	const char *state;                          /* "running" ... or "" */
	uint64_t total, succeeded, failed, running; /* tasks; `failed` and skipped are done too */
	uint64_t skipped;
	uint64_t elapsed_ns;
	uint64_t rate_milli; /* tasks a second, thousandths; 0 unknown */
};
/* One line: name, bar, percent, counts, rate, time left; at most `columns` wide. name_width aligns several rows. */
void progress_line(
        struct text *out, const struct progress_row *r, size_t columns, size_t name_width, bool bar);

/* Draw rows over the last ones drawn (a terminal), or a plain line for the first row every few seconds (a pipe). */
void progress_draw(const struct progress_row *rows, size_t n);
/* Take the drawing away, so that other lines can be printed; the next draw begins afresh. */
void progress_clear(void);
/* Leave the last drawing where it is. */
void progress_keep(void);

/* ---- interrupts ---- */
/* From now on Ctrl-C and SIGTERM are counted instead of ending the program; the descriptor becomes readable. */
void term_catch_interrupts(void);
int term_interrupt_fd(void); /* -1 before term_catch_interrupts() */
int term_interrupts(void);   /* how many so far */

uint64_t cli_now_ns(void);  /* since 1970 */
uint64_t cli_mono_ns(void); /* for rates and elapsed times */

#endif
