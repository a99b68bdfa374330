/* SPDX-License-Identifier: Apache-2.0 */
/* table - aligned tables: see term.h. */
#include <stdarg.h>

#include "base/check.h"
#include "cli/term.h"

enum { COLUMNS_MAX = 16, FLEX_LEAST = 8 };

struct cell {
	char *text;
	enum colour colour;
};

struct table {
	struct {
		const char *title;
		enum align align;
		bool flex;
	} column[COLUMNS_MAX];
	size_t n_columns;
	struct cell *cell;
	size_t n, max;
};

struct table *table_new(void)
{
	return cli_alloc(sizeof(struct table));
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		free(t->cell[i].text);
	free(t->cell);
	free(t);
}

void table_column(struct table *t, const char *title, enum align align, bool flex)
{
	CHECK(t->n_columns < COLUMNS_MAX && t->n == 0);
	t->column[t->n_columns].title = title;
	t->column[t->n_columns].align = align;
	t->column[t->n_columns++].flex = flex;
}

void table_cell(struct table *t, enum colour c, const char *text)
{
	struct text clean = {0};

	if (t->n == t->max) {
		t->max = t->max ? t->max * 2 : 64;
		t->cell = realloc(t->cell, t->max * sizeof(*t->cell));
		CHECK(t->cell);
	}
	text_add_clean(&clean, text, strlen(text), "");
	t->cell[t->n].text = clean.p ? clean.p : cli_dup("");
	t->cell[t->n++].colour = c;
}

void table_cellf(struct table *t, enum colour c, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	table_cell(t, c, line);
}

size_t table_rows(const struct table *t)
{
	return t->n_columns ? t->n / t->n_columns : 0;
}

static void widths(const struct table *t, size_t columns, size_t *w)
{
	size_t sum = 0;

	for (size_t k = 0; k < t->n_columns; k++) {
		w[k] = text_width(t->column[k].title);
		for (size_t i = k; i < t->n; i += t->n_columns) {
			size_t cell = text_width(t->cell[i].text);

			w[k] = cell > w[k] ? cell : w[k];
		}
		sum += w[k] + (k ? 2 : 0);
	}
	for (size_t k = t->n_columns; columns && sum > columns && k-- > 0;) {
		size_t spare = t->column[k].flex && w[k] > FLEX_LEAST ? w[k] - FLEX_LEAST : 0;
		size_t give = sum - columns < spare ? sum - columns : spare;

		w[k] -= give;
		sum -= give;
	}
}

static void add_cell(
        const struct table *t, FILE *f, size_t k, const char *s, enum colour c, size_t w, struct text *out)
{
	struct text cut = {0};
	size_t have = text_width(s);

	if (have > w) {
		const char *dots = term_utf8() ? "\xe2\x80\xa6" : ".";
		size_t n = text_fit(s, w ? w - 1 : 0, &have);

		text_add_n(&cut, s, n);
		if (w) {
			text_add(&cut, dots);
			have++;
		}
	} else {
		text_add(&cut, s);
	}
	if (t->column[k].align == RIGHT)
		text_pad(out, w - have);
	term_paint(out, f, c, text_str(&cut));
	if (t->column[k].align == LEFT && k + 1 < t->n_columns)
		text_pad(out, w - have);
	text_release(&cut);
}

static void trim_line(struct text *out)
{
	while (out->n && out->p[out->n - 1] == ' ')
		out->p[--out->n] = '\0';
	text_add(out, "\n");
}

void table_render(const struct table *t, FILE *f, size_t columns, struct text *out)
{
	size_t w[COLUMNS_MAX];

	CHECK(t->n_columns && t->n % t->n_columns == 0);
	widths(t, columns, w);
	for (size_t k = 0; k < t->n_columns; k++) {
		if (k)
			text_pad(out, 2);
		add_cell(t, f, k, t->column[k].title, BOLD, w[k], out);
	}
	trim_line(out);
	for (size_t i = 0; i < t->n; i++) {
		size_t k = i % t->n_columns;

		if (k)
			text_pad(out, 2);
		add_cell(t, f, k, t->cell[i].text, t->cell[i].colour, w[k], out);
		if (k + 1 == t->n_columns)
			trim_line(out);
	}
}

void table_print(const struct table *t)
{
	struct text out = {0};

	table_render(t, stdout, term_is_tty(stdout) ? term_columns() : 0, &out);
	(void)fwrite(text_str(&out), 1, out.n, stdout);
	text_release(&out);
}
