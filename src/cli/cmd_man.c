/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_man - `osier __man COMMAND`: the man page of a command as roff, out of the same table as its help. `osier __man @pages FOLDER`
 * writes all of them; the build does. `osier __man` alone lists the commands that have one, `osier __man @keys` the keys of job files.
 */
#include <errno.h>

#include "cli/commands.h"
#include "core/jobspec.h"

#define DATE  "2026-11-21" /* of these texts, for .TH */
#define WIDTH 80

/* One word, with what roff takes for its own escaped: backslashes, minus signs, a dot or quote that begins a line. */
static void put_word(FILE *f, const char *s, size_t n, bool begins)
{
	if (begins && n && (*s == '.' || *s == '\''))
		(void)fputs("\\&", f);
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\\')
			(void)fputs("\\e", f);
		else if (s[i] == '-')
			(void)fputs("\\-", f);
		else
			(void)putc(s[i], f);
	}
}

/* Line by line as they are: synopses and examples. */
static void put_lines(FILE *f, const char *s)
{
	while (*s) {
		size_t n = strcspn(s, "\n");

		put_word(f, s, n, true);
		(void)putc('\n', f);
		s += n + (s[n] == '\n');
	}
}

/* A paragraph, in lines of at most WIDTH. */
static void put_text(FILE *f, const char *s, size_t n)
{
	size_t at = 0, column = 0;

	while (at < n) {
		size_t end = at;

		while (end < n && s[end] != ' ' && s[end] != '\n')
			end++;
		if (column && column + 1 + end - at > WIDTH - 8) { /* room for escapes */
			(void)putc('\n', f);
			column = 0;
		} else if (column) {
			(void)putc(' ', f);
			column++;
		}
		put_word(f, s + at, end - at, column == 0);
		column += end - at;
		for (at = end; at < n && (s[at] == ' ' || s[at] == '\n'); at++)
			;
	}
	(void)putc('\n', f);
}

static void options(FILE *f, const char *title, const struct option_def *o)
{
	if (!o || !o->name)
		return;
	(void)fprintf(f, ".SH %s\n", title);
	for (; o->name; o++) {
		(void)fputs(".TP\n\\fB", f);
		if (o->letter)
			(void)fprintf(f, "\\-%c\\fR, \\fB", o->letter);
		(void)fputs("\\-\\-", f);
		put_word(f, o->name, strlen(o->name), false);
		(void)fputs("\\fR", f);
		if (o->value)
			(void)fprintf(f, " \\fI%s\\fR", o->value);
		(void)putc('\n', f);
		put_text(f, o->help, strlen(o->help));
	}
}

static void page(FILE *f, const struct command_def *d)
{
	(void)fprintf(f, ".\\\" made by osier __man %s\n.TH OSIER\\-", d->name);
	for (const char *s = d->name; *s; s++)
		(void)putc(*s >= 'a' && *s <= 'z' ? *s - 'a' + 'A' : *s, f);
	(void)fprintf(f, " 1 " DATE " \"osier %s\" osier\n.SH NAME\nosier\\-%s \\- ", OSIER_VERSION, d->name);
	put_lines(f, d->summary);
	(void)fprintf(f, ".SH SYNOPSIS\n.B osier %s\n", d->name);
	put_lines(f, d->usage);
	(void)fputs(".SH DESCRIPTION\n", f);
	for (const char *p = d->about; *p;) {
		const char *end = strstr(p, "\n\n");
		size_t n = end ? (size_t)(end - p) : strlen(p);

		if (p != d->about)
			(void)fputs(".PP\n", f);
		put_text(f, p, n);
		p += n + (end ? 2 : 0);
	}
	options(f, "OPTIONS", d->options);
	options(f, "COMMON OPTIONS", global_options);
	(void)fputs(".SH EXAMPLES\n.nf\n", f);
	put_lines(f, d->examples);
	(void)fputs(".fi\n.SH SEE ALSO\n.BR osier (1),\n.BR osier\\-job (5)\n", f);
}

static int all_pages(struct cli *c, const char *folder)
{
	struct text path = {0};
	struct err e = {0};
	bool wrote = true;

	for (size_t i = 0; wrote && command_at(i); i++) {
		FILE *f;

		if (command_at(i)->group == GROUP_HIDDEN)
			continue;
		text_clear(&path);
		text_addf(&path, "%s/osier-%s.1", folder, command_at(i)->name);
		f = fopen(text_str(&path), "we");
		if (f)
			page(f, command_at(i));
		wrote = f && !ferror(f);
		wrote = (!f || fclose(f) == 0) && wrote;
	}
	if (!wrote)
		(void)err_sys(&e, "cannot write '%.150s'", text_str(&path));
	text_release(&path);
	return wrote ? EXIT_OK : cli_fail(c, &e);
}

/* The job file's keys, a line each: object, key, type, default. A test holds osier-job(5) against it. */
static int list_keys(void)
{
	struct jobspec_key k;

	for (size_t i = 0; jobspec_key_at(i, &k); i++)
		(void)printf("%s\t%s\t%s\t%s\n", k.object, k.name, k.type, k.dflt);
	return EXIT_OK;
}

static int run(struct cli *c)
{
	const struct command_def *d;

	if (c->args.n_args && strcmp(c->args.arg[0], "@keys") == 0)
		return list_keys();
	if (c->args.n_args == 2 && strcmp(c->args.arg[0], "@pages") == 0)
		return all_pages(c, c->args.arg[1]);
	if (c->args.n_args) {
		d = command_find(c->args.arg[0]);
		if (!d || d->group == GROUP_HIDDEN)
			return EXIT_NOT_FOUND;
		page(stdout, d);
		return EXIT_OK;
	}
	for (size_t i = 0; command_at(i); i++)
		if (command_at(i)->group != GROUP_HIDDEN)
			(void)puts(command_at(i)->name);
	return EXIT_OK;
}

const struct command_def cmd_man = {
        .name = "__man",
        .group = GROUP_HIDDEN,
        .usage = "[COMMAND]",
        .summary = "the man page of a command",
        .about = "",
        .examples = "",
        .args_max = 2,
        .run = run,
};
