/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text - a growing string, and how durations, sizes, counts and times are written for people and read from options.
 *
 * Not for the wire: nothing here is parsed by a program. Out of memory aborts (a command is cheap to start again).
 * The formatting is in integers, so that the same numbers give the same words everywhere.
 */
#ifndef OSIER_CLI_TEXT_H
#define OSIER_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct text {
	char *p; /* NUL-terminated once something was added; NULL when empty */
	size_t n, max;
};

void text_add(struct text *t, const char *s);
void text_add_n(struct text *t, const void *s, size_t n);
void text_addf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_pad(struct text *t, size_t columns);
const char *text_str(const struct text *t); /* never NULL */
void text_clear(struct text *t);            /* keeps the memory */
void text_release(struct text *t);

/* malloc and strdup that abort when there is no memory. */
void *cli_alloc(size_t n);
char *cli_dup(const char *s);

/* Columns that UTF-8 text takes on a terminal: wide characters take two, combining ones none; a broken byte counts one. */
size_t text_width(const char *s);
/* Bytes of `s` that fit into `columns`, never cutting a character; *out_width (may be NULL) gets their width. */
size_t text_fit(const char *s, size_t columns, size_t *out_width);
/* Append `s` with control characters made visible, so that a task's name or output cannot steer the terminal. `keep` names control
 * characters that may stay ("\n\t"). Broken UTF-8 becomes '?'. */
void text_add_clean(struct text *t, const char *s, size_t n, const char *keep);

/* "850 us", "12 ms", "4.2 s", "3 m 05 s", "2 h 03 m", "5 d 04 h". Written into `out` (24 bytes do). */
const char *duration_text(uint64_t ns, char *out, size_t room);
/* "512 B", "1.5 KiB", "512 MiB". */
const char *size_text(uint64_t bytes, char *out, size_t room);
/* "1,234,567". */
const char *count_text(uint64_t n, char *out, size_t room);
/* Thousandths as a decimal without idle zeros: 1500 is "1.5". */
const char *milli_text(uint64_t milli, char *out, size_t room);
/* "14:05:09" today, "Nov 20 14:05" this year, "2025-11-20" else; local time. */
const char *clock_text(uint64_t ns, uint64_t now_ns, char *out, size_t room);

/* "1500ms", "90s", "90", "1h30m", "2d": to nanoseconds. A bare number is seconds. */
int duration_parse(const char *s, uint64_t *out_ns, struct err *e);
/* "512MiB", "512M", "1.5G", "100": to bytes. K, M, G, T and KiB ... are powers of 1024; kB, MB, GB, TB of 1000. */
int size_parse(const char *s, uint64_t *out_bytes, struct err *e);
/* A whole number up to `max`. `what` names it in the message. */
/* "s" unless n is 1. */
const char *plural(uint64_t n);

/* As number_parse(), and not 0. */
int count_parse(const char *s, const char *what, uint64_t max, uint64_t *out, struct err *e);
int number_parse(const char *s, const char *what, uint64_t max, uint64_t *out, struct err *e);
/* RFC 3339 with up to nanoseconds ("2026-11-20T14:05:09.123Z"): since 1970, or 0 when it is not one. */
uint64_t time_parse(const char *s);

/* How many edits (insert, drop, change, swap neighbours) lead from a to b; at most `most`, or most + 1. */
unsigned word_distance(const char *a, const char *b, unsigned most);

#endif
