/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_gang - `osier gang`: what the members of a gang run, so that a program that starts others by ssh works with neither ssh nor keys. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/commands.h"
#include "cli/gang.h"

#define HOSTS "gang-" /* names of members, for programs that want some */

static const struct option_def options[] = {
        {0, "with", "OPTIONS", "of mpirun: more options for it, with spaces between them", COMPLETE_NOTHING,
                NULL},
        {0},
};

static const char *env(const char *name, struct err *e)
{
	const char *v = getenv(name);

	if (!v && !e->code) {
		(void)err_set(e, ERR_INVALID, "this is no member of a gang: there is no $%s", name);
		(void)err_hint(e, "it is for the command of a step with 'gang'");
	}
	return v ? v : "";
}

int gang_self_read(struct gang_self *g, struct err *e)
{
	const char *rank = env("OSIER_GANG_RANK", e), *size = env("OSIER_GANG_SIZE", e);
	const char *address = env("OSIER_GANG_ADDRESS", e);
	char *colon;

	g->secret = env("OSIER_GANG_SECRET", e);
	g->scratch = env("OSIER_SCRATCH", e);
	if (e->code)
		return -1;
	(void)snprintf(g->address, sizeof(g->address), "%s", address);
	g->rank = (uint32_t)strtoul(rank, NULL, 10);
	g->size = (uint32_t)strtoul(size, NULL, 10);
	colon = strrchr(g->address, ':');
	if (!colon || g->size < 2 || g->size > GANG_MEMBERS_MAX || g->rank >= g->size ||
	        strlen(g->secret) < 16)
		return err_set(e, ERR_INVALID, "the environment does not describe a member of a gang");
	*colon = '\0';
	g->port = colon + 1;
	g->host = g->address;
	if (g->host[0] == '[') {
		g->host++;
		colon[-1] = '\0';
	}
	return 0;
}

/* ---- the subcommands ---- */

static int exec_here(char *const *argv, struct err *e)
{
	(void)execvp(argv[0], argv);
	return err_sys(e, "cannot start '%s'", argv[0]);
}

static int run_all(const struct gang_self *g, char *const *argv, struct err *e)
{
	return g->rank ? gang_member_serve(g, e) : gang_first(g, argv, e);
}

/* As ssh does: the words with spaces between them, for a shell there. */
static char *joined(char *const *argv)
{
	size_t n = 1, at = 0;
	char *text;

	for (size_t i = 0; argv[i]; i++)
		n += strlen(argv[i]) + 1;
	text = calloc(n, 1);
	CHECK(text);
	for (size_t i = 0; argv[i]; i++)
		at += (size_t)snprintf(text + at, n - at, "%s%s", i ? " " : "", argv[i]);
	return text;
}

static int sh(const struct gang_self *g, char *const *argv, struct err *e)
{
	const char *name = argv[0];
	char *command = joined(argv + 1), *end;
	char *const here[] = {(char *)(uintptr_t) "/bin/sh", (char *)(uintptr_t) "-c", command, NULL};
	unsigned long rank;
	int rc;

	name += strncmp(name, HOSTS, strlen(HOSTS)) == 0 ? strlen(HOSTS) : 0;
	rank = strtoul(name, &end, 10);
	if (end == name || *end || rank >= g->size)
		rc = err_set(e, ERR_INVALID, "'%.80s' is none of the members " HOSTS "0 to " HOSTS "%u",
		        argv[0], g->size - 1);
	else
		rc = rank ? gang_sh(g, (uint32_t)rank, command, e) : exec_here(here, e);
	free(command);
	return rc;
}

/* Each member has a folder of its own: the program runs in that, where its inputs are. */
static int here(const struct gang_self *g, char *const *argv, struct err *e)
{
	if (chdir(g->scratch) < 0)
		return err_sys(e, "cannot enter '%s'", g->scratch);
	return exec_here(argv, e);
}

struct words {
	char *v[256];
	size_t n;
};

static void add(struct words *w, const char *word)
{
	CHECK(w->n < sizeof(w->v) / sizeof(w->v[0]) - 1);
	w->v[w->n++] = (char *)(uintptr_t)word;
}

static int hostfile(const struct gang_self *g, char *path, size_t room, struct err *e)
{
	FILE *f;

	(void)snprintf(path, room, "%s/.gang.hosts", g->scratch);
	f = fopen(path, "we");
	for (uint32_t r = 0; f && r < g->size; r++)
		(void)fprintf(f, HOSTS "%u slots=1\n", r);
	return !f || fclose(f) != 0 ? err_sys(e, "cannot write '%s'", path) : 0;
}

/* Every member is a host of its own to it, with one process, so that each runs with its own allotment. */
static int mpirun(const struct gang_self *g, const char *with, char *const *argv, struct err *e)
{
	char self[4096] = "", agent[4200], hosts[4200], *more = strdup(with ? with : ""), *at = more, *word;
	struct words w = {.n = 0};
	int rc;

	CHECK(more);
	if (g->rank)
		return gang_member_serve(g, e);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 ||
	        hostfile(g, hosts, sizeof(hosts), e) < 0)
		return -1;
	if (strpbrk(self, " :"))
		return err_set(
		        e, ERR_INVALID, "mpirun cannot be told of '%s': it has a space or a colon", self);
	(void)snprintf(agent, sizeof(agent), "%s gang sh --", self);
	add(&w, "mpirun");
	add(&w, "--mca");
	add(&w, "plm_rsh_agent");
	add(&w, agent);
	add(&w, "--mca");
	add(&w, "plm_rsh_no_tree_spawn");
	add(&w, "1");
	add(&w, "--hostfile");
	add(&w, hosts);
	add(&w, "--wdir"); /* that of rank 0 is on no other node */
	add(&w, "/");
	if (geteuid() == 0)
		add(&w, "--allow-run-as-root");
	while ((word = strsep(&at, " ")))
		if (*word && w.n < 64)
			add(&w, word);
	add(&w, self);
	add(&w, "gang");
	add(&w, "here");
	add(&w, "--");
	for (size_t i = 0; argv[i] && w.n < 254; i++)
		add(&w, argv[i]);
	rc = gang_first(g, w.v, e);
	free(more);
	return rc;
}

static int run(struct cli *c)
{
	char *const *argv = (char *const *)(uintptr_t)(c->args.arg + 1);
	const char *what = c->args.n_args ? c->args.arg[0] : "";
	struct gang_self g = {0};
	struct err e = {0};
	int rc;

	if (c->args.n_args < 2)
		return cli_usage(c, "say what to run: osier gang exec -- COMMAND");
	if (args_value(&c->args, "with") && strcmp(what, "mpirun") != 0)
		return cli_usage(c, "'--with' is for 'osier gang mpirun'");
	if (gang_self_read(&g, &e) < 0)
		return cli_fail(c, &e);
	if (strcmp(what, "exec") == 0)
		rc = run_all(&g, argv, &e);
	else if (strcmp(what, "mpirun") == 0)
		rc = mpirun(&g, args_value(&c->args, "with"), argv, &e);
	else if (strcmp(what, "sh") == 0)
		rc = sh(&g, argv, &e);
	else if (strcmp(what, "here") == 0)
		rc = here(&g, argv, &e);
	else
		return cli_usage(c, "there are 'osier gang exec', 'mpirun', 'sh' and 'here'");
	return rc < 0 ? cli_fail(c, &e) : rc;
}

const struct command_def cmd_gang = {
        .name = "gang",
        .group = GROUP_RUN,
        .usage = "exec -- COMMAND | mpirun [--with OPTIONS] -- PROGRAM | sh -- RANK COMMAND",
        .summary = "what the members of a gang run, to start programs on each other",
        .about = "For the command of a step with 'gang', the same for all its members. Those of rank 1 and "
                 "above wait for "
                 "rank 0 and run what it asks for. Rank 0 waits for all of them, runs COMMAND, and sends "
                 "them home "
                 "when it ends; its exit code is the task's.\n\n"
                 "Below it, 'osier gang sh -- RANK COMMAND' is what ssh would be: a shell command on that "
                 "member, with "
                 "its output and exit code. 'osier gang mpirun' runs PROGRAM once on each member, by Open "
                 "MPI's mpirun, "
                 "each in its own task's folder.\n\n"
                 "What members say to each other is sealed with the gang's secret ($OSIER_GANG_SECRET). Who "
                 "connects "
                 "and does not have it gets nothing. The osier of rank 0 must be at the same path on all "
                 "nodes.",
        .examples = "osier gang mpirun -- ./pi 1000000\n"
                    "osier gang exec -- sh -c 'for r in 1 2; do osier gang sh -- $r hostname; done'",
        .options = options,
        .args_max = -1,
        .words = "exec,mpirun,sh,here",
        .run = run,
};
