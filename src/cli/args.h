/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args - what a command takes, as data: its options, arguments and words. Parsing, help, man pages and completion all
 * follow from it, so they cannot disagree.
 *
 * Options may stand anywhere, as --name VALUE, --name=VALUE, -x VALUE or -xVALUE; flags may be joined (-fq); "--" ends
 * them. Pure but for allocation.
 */
#ifndef OSIER_CLI_ARGS_H
#define OSIER_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum complete {
	COMPLETE_NOTHING,
	COMPLETE_FILE,
	COMPLETE_FOLDER,
	COMPLETE_JOB,  /* names of jobs */
	COMPLETE_TASK, /* names of jobs, then their steps */
	COMPLETE_NODE,
	COMPLETE_COMMAND,
	COMPLETE_WORDS, /* the option's own: "a,b,c" in `words` */
};

struct option_def {
	char letter; /* 0: none */
	const char *name;
	const char *value; /* "DIR", NULL: a flag */
	const char *help;
	enum complete complete;
	const char *words; /* for COMPLETE_WORDS, with commas */
};

enum group { GROUP_RUN, GROUP_LOOK, GROUP_CHANGE, GROUP_NODE, GROUP_PROVE, GROUP_MORE, GROUP_HIDDEN };

struct cli;
struct command_def {
	const char *name;
	enum group group;
	const char *usage;                /* after "osier NAME ": "FILE [options]" */
	const char *summary;              /* one line, lower case */
	const char *about;                /* paragraphs, with blank lines between them */
	const char *examples;             /* lines "COMMAND # what it does" */
	const struct option_def *options; /* ends with a NULL name; may be NULL */
	int args_min, args_max;           /* -1: any number */
	enum complete complete;           /* of its arguments */
	const char *words;                /* subcommands, with commas, or NULL */
	bool here;                        /* about this machine: not with --host */
	int (*run)(struct cli *c);        /* returns the exit code */
};

/* Taken by every command. */
extern const struct option_def global_options[];

struct args {
	struct {
		const struct option_def *def;
		const char *value; /* "" for a flag */
	} * option;
	size_t n_options;
	const char **arg; /* NULL-terminated */
	int n_args;
};

/* Sort argv[0..argc) into options of `options` (may be NULL) and the global ones, and arguments. Everything is borrowed from argv.
 * `stop_at_first`: leave everything from the first argument on to the arguments. */
int args_parse(struct args *a, const struct option_def *options, int argc, char **argv, bool stop_at_first,
        struct err *e);
void args_release(struct args *a);

bool args_flag(const struct args *a, const char *name);
const char *args_value(const struct args *a, const char *name); /* the last one given, or NULL */
/* The i-th value given for a repeatable option, or NULL. */
const char *args_nth(const struct args *a, const char *name, size_t i);

/* The name nearest to `word` that is not farther than a third of it, or NULL. */
const char *nearest(const char *word, const char *const *names, size_t n);

#endif
