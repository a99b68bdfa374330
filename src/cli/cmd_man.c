/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_man - `osier __man COMMAND`: the man page of a command as roff, out of the same table as its help; the build installs
 * them. `osier __man` alone lists the commands that have one,
 * `osier __man @keys` the keys of job files.
 */
#include "cli/commands.h"
#include "core/jobspec.h"

/* Escape what roff takes for its own: backslashes, and dots and quotes that begin a line. */
static void put(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if ((i == 0 || s[i - 1] == '\n') && (s[i] == '.' || s[i] == '\''))
			(void)fputs("\\&", stdout);
		if (s[i] == '\\')
			(void)fputs("\\e", stdout);
		else if (s[i] == '-')
			(void)fputs("\\-", stdout);
		else
			(void)putchar(s[i]);
	}
}

static void put_s(const char *s)
{
	put(s, strlen(s));
}

static void options(const char *title, const struct option_def *o)
{
	if (!o || !o->name)
		return;
	(void)printf(".SH %s\n", title);
	for (; o->name; o++) {
		(void)fputs(".TP\n\\fB", stdout);
		if (o->letter)
			(void)printf("\\-%c\\fR, \\fB", o->letter);
		(void)fputs("\\-\\-", stdout);
		put_s(o->name);
		(void)fputs("\\fR", stdout);
		if (o->value)
			(void)printf(" \\fI%s\\fR", o->value);
		(void)putchar('\n');
		put_s(o->help);
		(void)putchar('\n');
	}
}

static int page(const struct command_def *d)
{
	const char *p = d->about;

	(void)printf(".\\\" made by osier __man %s\n.TH OSIER\\-", d->name);
	for (const char *s = d->name; *s; s++)
		(void)putchar(*s >= 'a' && *s <= 'z' ? *s - 'a' + 'A' : *s);
	(void)printf(" 1 \"\" \"osier %s\" \"osier\"\n.SH NAME\nosier\\-%s \\- ", OSIER_VERSION, d->name);
	put_s(d->summary);
	(void)printf("\n.SH SYNOPSIS\n.B osier %s\n", d->name);
	put_s(d->usage);
	(void)puts("\n.SH DESCRIPTION");
	while (*p) {
		const char *end = strstr(p, "\n\n");
		size_t n = end ? (size_t)(end - p) : strlen(p);

		(void)puts(".PP");
		put(p, n);
		(void)putchar('\n');
		p += n + (end ? 2 : 0);
	}
	options("OPTIONS", d->options);
	options("COMMON OPTIONS", global_options);
	(void)puts(".SH EXAMPLES\n.nf");
	put_s(d->examples);
	(void)puts("\n.fi\n.SH SEE ALSO\n.BR osier (1),\n.BR osier\\-job (5)");
	return EXIT_OK;
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

	if (c->args.n_args) {
		d = command_find(c->args.arg[0]);
		return d && d->group != GROUP_HIDDEN ? page(d) : EXIT_NOT_FOUND;
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
        .args_max = 1,
        .run = run,
};
