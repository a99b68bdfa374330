/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_complete - `osier __complete -- WORDS`: what the last of the words could become, a line each; the shells' completion calls it.
 *
 * Lines "@file" and "@folder" tell the shell to complete paths. Says nothing and fails never: a completion that prints
 * errors is worse than none. Asks a node only if one is up.
 */
#include <unistd.h>

#include "cli/commands.h"

static void offer(const char *word, const char *so_far)
{
	if (strncmp(word, so_far, strlen(so_far)) == 0)
		(void)puts(word);
}

static void offer_words(const char *words, const char *so_far)
{
	while (words && *words) {
		size_t n = strcspn(words, ",");
		char word[64];

		(void)snprintf(word, sizeof(word), "%.*s", (int)n, words);
		offer(word, so_far);
		words += n + (words[n] == ',');
	}
}

static void offer_jobs(struct cli *c, const char *so_far)
{
	struct err e;
	json_t *j = cli_connect(c, &e) == 0 ? ask_get(c, &e, "/v1/jobs?limit=200") : NULL, *v;
	size_t i;

	offer("last", so_far);
	json_array_foreach(json_object_get(j, "jobs"), i, v) offer(j_str(v, "id"), so_far);
	json_decref(j);
}

static void offer_steps(struct cli *c, const char *so_far)
{
	struct text t = {0};
	struct err e;
	char *job = cli_dup(so_far);
	json_t *j = NULL, *v;
	size_t i;

	job[strcspn(job, "/")] = '\0';
	job_target(&t, job);
	if (cli_connect(c, &e) == 0)
		j = ask(c, "GET", text_str(&t), NULL, &e);
	json_array_foreach(json_object_get(j, "steps"), i, v)
	{
		text_clear(&t);
		text_addf(&t, "%s/%s", job, j_str(v, "name"));
		offer(text_str(&t), so_far);
	}
	json_decref(j);
	text_release(&t);
	free(job);
}

static void offer_nodes(struct cli *c, const char *so_far)
{
	struct err e;
	json_t *j = cli_connect(c, &e) == 0 ? ask_get(c, &e, "/v1/nodes") : NULL, *v;
	size_t i;

	json_array_foreach(json_object_get(j, "nodes"), i, v) offer(j_str(v, "name"), so_far);
	json_decref(j);
}

static void offer_commands(const char *so_far)
{
	for (size_t i = 0; command_at(i); i++)
		if (command_at(i)->group != GROUP_HIDDEN)
			offer(command_at(i)->name, so_far);
}

static void offer_kind(struct cli *c, enum complete kind, const char *words, const char *so_far)
{
	switch (kind) {
	case COMPLETE_NOTHING:
		break;
	case COMPLETE_FILE:
		(void)puts("@file");
		break;
	case COMPLETE_FOLDER:
		(void)puts("@folder");
		break;
	case COMPLETE_JOB:
		offer_jobs(c, so_far);
		break;
	case COMPLETE_TASK:
		if (strchr(so_far, '/'))
			offer_steps(c, so_far);
		else
			offer_jobs(c, so_far);
		break;
	case COMPLETE_NODE:
		offer_nodes(c, so_far);
		break;
	case COMPLETE_COMMAND:
		offer_commands(so_far);
		break;
	case COMPLETE_WORDS:
		offer_words(words, so_far);
		break;
	}
}

static void offer_options(const struct option_def *options, const char *so_far)
{
	const struct option_def *tables[2] = {options, global_options};
	char word[64];

	for (size_t k = 0; k < 2; k++)
		for (const struct option_def *o = tables[k]; o && o->name; o++) {
			(void)snprintf(word, sizeof(word), "--%s", o->name);
			offer(word, so_far);
		}
}

static const struct option_def *option_of(const struct option_def *options, const char *word)
{
	const struct option_def *tables[2] = {options, global_options};

	for (size_t k = 0; k < 2; k++)
		for (const struct option_def *o = tables[k]; o && o->name; o++)
			if (o->value &&
			        ((strncmp(word, "--", 2) == 0 && strcmp(word + 2, o->name) == 0) ||
			                (word[0] == '-' && word[1] == o->letter && o->letter && !word[2])))
				return o;
	return NULL;
}

/* How many arguments stand between the command and the word that is being completed. */
static int arguments_before(const struct args *a, const struct option_def *options, int at)
{
	int n = 0;

	for (int i = 1; i < at; i++) {
		if (option_of(options, a->arg[i]))
			i++;
		else if (a->arg[i][0] != '-')
			n++;
	}
	return n;
}

static int run(struct cli *c)
{
	int last = c->args.n_args - 1, argument;
	const char *so_far = last >= 0 ? c->args.arg[last] : "";
	const struct command_def *d = last > 0 ? command_find(c->args.arg[0]) : NULL;
	const struct option_def *o = d ? option_of(d->options, c->args.arg[last - 1]) : NULL;

	if (last <= 0) {
		offer_commands(so_far);
		return EXIT_OK;
	}
	if (!d)
		return EXIT_OK;
	for (int i = 1; i + 1 < last; i++)
		if (strcmp(c->args.arg[i], "--state") == 0)
			c->state_dir = cli_dup(c->args.arg[i + 1]);
	if (o) {
		offer_kind(c, o->complete, o->words, so_far);
		return EXIT_OK;
	}
	if (so_far[0] == '-') {
		offer_options(d->options, so_far);
		return EXIT_OK;
	}
	argument = arguments_before(&c->args, d->options, last);
	if (argument == 0 && d->words)
		offer_words(d->words, so_far);
	else if (d->args_max < 0 || argument < d->args_max)
		offer_kind(c, d->complete, d->words, so_far);
	return EXIT_OK;
}

const struct command_def cmd_complete = {
        .name = "__complete",
        .group = GROUP_HIDDEN,
        .usage = "-- WORDS",
        .summary = "what the last word could become",
        .about = "",
        .examples = "",
        .args_max = -1,
        .run = run,
};
