/* SPDX-License-Identifier: Apache-2.0 */
/* cli - dispatch, errors and the connection to the node: see cli.h. */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/nodeproc.h"
#include "cli/remote.h"

enum exit_code exit_of(enum err_code code)
{
	switch (code) {
	case ERR_NONE:
		return EXIT_OK;
	case ERR_INVALID:
		return EXIT_USAGE;
	case ERR_NOTFOUND:
		return EXIT_NOT_FOUND;
	case ERR_EXISTS:
	case ERR_DENIED:
	case ERR_FULL:
	case ERR_REMOVED:
		return EXIT_REFUSED;
	case ERR_FENCED:
	case ERR_CLOSED:
		return EXIT_NO_NODE;
	case ERR_CORRUPT:
	case ERR_VERSION:
	case ERR_SYSTEM:
		return EXIT_BROKEN;
	case ERR_TIMEOUT:
		return EXIT_TIMEOUT;
	}
	return EXIT_BROKEN;
}

int cli_fail(const struct cli *c, const struct err *e)
{
	enum exit_code code = exit_of(e->code);

	if (c && c->json) {
		json_t *j = json_pack(
		        "{s:{s:s,s:s*}}", "error", "code", err_code_name(e->code), "message", e->msg);

		if (j && e->hint[0])
			json_object_set_new(json_object_get(j, "error"), "hint", json_string(e->hint));
		json_print(j);
		json_decref(j);
	}
	if (e->code == ERR_TIMEOUT && term_interrupts() > 0)
		return EXIT_INTERRUPTED;
	term_error(e);
	return (int)code;
}

int cli_usage(const struct cli *c, const char *fmt, ...)
{
	struct err e = {.code = ERR_INVALID};
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(e.msg, sizeof(e.msg), fmt, ap);
	va_end(ap);
	if (c && c->def) {
		(void)snprintf(e.hint, sizeof(e.hint), "usage: osier %s%s%s", c->def->name,
		        *c->def->usage ? " " : "", c->def->usage);
		(void)cli_fail(c, &e);
		term_note("      'osier help %s' shows examples", c->def->name);
		return EXIT_USAGE;
	}
	(void)snprintf(e.hint, sizeof(e.hint), "'osier help' shows what there is");
	return cli_fail(c, &e);
}

/* ---- the node ---- */

static int state_of(struct cli *c, struct err *e)
{
	if (c->state_dir)
		return 0;
	return state_folder(args_value(&c->args, "state"), &c->state_dir, e);
}

#define REMARK_NS (3ull * 1000000000ull)

/* An engine that was killed, or that is starting, is there in a moment: its keeper says that it will be. */
static bool is_kept(void *cli)
{
	struct cli *c = cli;
	uint64_t now = cli_mono_ns();

	if (!state_kept(c->state_dir))
		return false;
	if (!c->down_since_ns || now > c->down_since_ns + CLIENT_PATIENCE_NS)
		c->down_since_ns = now;
	if (now > c->down_since_ns + REMARK_NS && !c->down_said) {
		c->down_said = true;
		term_note("the node's engine is down; waiting until its keeper has started it again");
	}
	return true;
}

int cli_must_be_here(const struct cli *c, struct err *e)
{
	if (!c->host)
		return 0;
	(void)err_set(e, ERR_INVALID, "this reads files of the node, which are on the other machine");
	return err_hint(e, "log in there and say it without --host");
}

/* Whether ssh gets there, and somebody answers, is seen when something is asked. */
static int connect_remote(struct cli *c, struct err *e)
{
	json_t *v;

	if (client_open_remote(c->host, args_value(&c->args, "state"), &c->client, e) < 0)
		return -1;
	v = ask_get(c, e, "/v1/version");
	if (v) {
		json_decref(v);
		return 0;
	}
	client_close(c->client);
	c->client = NULL;
	if (e->code != ERR_CLOSED)
		return -1;
	(void)err_set(e, ERR_CLOSED, "no node answers by '%.150s'", c->host);
	return err_hint(
	        e, "above stands why; 'ssh HOST osier nodes' must work: osier installed there, its node up");
}

int cli_connect(struct cli *c, struct err *e)
{
	struct text path = {0};
	int rc;

	if (c->client)
		return 0;
	if (c->host)
		return connect_remote(c, e);
	if (state_of(c, e) < 0)
		return -1;
	state_socket(c->state_dir, &path);
	rc = client_open_while(
	        text_str(&path), is_kept, c, c->impatient ? 0 : CLIENT_PATIENCE_NS, &c->client, e);
	text_release(&path);
	if (rc < 0 && e->code == ERR_CLOSED && !c->impatient && state_kept(c->state_dir)) {
		(void)err_set(
		        e, ERR_CLOSED, "the engine of the node on '%.150s' does not start", c->state_dir);
		(void)err_hint(e, "the folder's node.log says why; 'osier down' ends the node");
	} else if (rc < 0 && e->code == ERR_CLOSED) {
		(void)err_set(e, ERR_CLOSED, "no node is up on '%.180s'", c->state_dir);
		(void)err_hint(e, "start one with 'osier up', or run a job without one: 'osier run FILE'");
	}
	return rc;
}

int cli_connect_look(struct cli *c, struct err *e)
{
	struct text journal = {0};
	int there;

	if (cli_connect(c, e) == 0)
		return 0;
	if (e->code != ERR_CLOSED || c->host)
		return -1;
	text_addf(&journal, "%s/journal.db", c->state_dir);
	there = access(text_str(&journal), F_OK) == 0;
	text_release(&journal);
	if (!there) {
		(void)err_set(e, ERR_NOTFOUND, "nothing has run on '%.150s' yet: there is no journal",
		        c->state_dir);
		return err_hint(
		        e, "run a job with 'osier run FILE', or name another folder with --state DIR");
	}
	term_catch_interrupts();
	if (nodeproc_start(c->state_dir, NODE_LOOKING, NULL, &c->node, e) < 0)
		return -1;
	return client_open(nodeproc_socket(c->node), &c->client, e);
}

int cli_connect_again(struct cli *c, struct err *e)
{
	client_close(c->client);
	c->client = NULL;
	if (c->node && nodeproc_ended(c->node)) {
		nodeproc_stop(c->node, true);
		c->node = NULL;
	}
	return cli_connect_look(c, e);
}

/* ---- dispatch ---- */

static int unknown_command(const struct cli *c, const char *word)
{
	const char *names[64], *close;
	size_t n = 0;
	struct err e;

	for (size_t i = 0; command_at(i) && n < ARRAY_LEN(names); i++)
		if (command_at(i)->group != GROUP_HIDDEN)
			names[n++] = command_at(i)->name;
	close = nearest(word, names, n);
	(void)err_set(&e, ERR_INVALID, "unknown command '%.100s'", word);
	if (close)
		(void)err_hint(&e, "did you mean 'osier %s'?", close);
	else if (strchr(word, '.') && access(word, R_OK) == 0)
		(void)err_hint(&e, "to run the job in it: osier run %.80s", word);
	else
		(void)err_hint(&e, "'osier help' shows what there is");
	return cli_fail(c, &e);
}

static int colour_of(const struct args *a, struct err *e)
{
	const char *when = args_value(a, "color");

	if (!when || strcmp(when, "auto") == 0)
		return COLOUR_AUTO;
	if (strcmp(when, "always") == 0)
		return COLOUR_ALWAYS;
	if (strcmp(when, "never") == 0)
		return COLOUR_NEVER;
	(void)err_set(e, ERR_INVALID, "--color is auto, always or never, not '%.40s'", when);
	return -1;
}

static int check_counts(const struct cli *c)
{
	int n = c->args.n_args;

	/* No command needs more than one: the first word of its usage. */
	if (n < c->def->args_min)
		return cli_usage(c, "'osier %s' needs %s: none was given", c->def->name,
		        strncmp(c->def->usage, "FILE", 4) == 0  ? "a FILE"
		        : strncmp(c->def->usage, "JOB", 3) == 0 ? "a JOB ('last' is the newest)"
		                                                : "'drain' or 'resume'");
	if (c->def->args_max >= 0 && n > c->def->args_max)
		return cli_usage(
		        c, "'osier %s' does not take '%.100s'", c->def->name, c->args.arg[c->def->args_max]);
	return 0;
}

static int help_of(const char *topic)
{
	char *argv[] = {(char *)(uintptr_t)topic};
	struct cli c = {.def = command_find("help")};
	struct err e;
	int rc;

	CHECK(c.def && args_parse(&c.args, NULL, topic ? 1 : 0, argv, false, &e) == 0);
	rc = c.def->run(&c);
	args_release(&c.args);
	return rc;
}

/* Whose node is it about? */
static int host_of(struct cli *c)
{
	const char *said = args_value(&c->args, "host"), *env = getenv("OSIER_HOST");
	struct err e = {0};

	if (!said && (!env || !*env || c->def->group == GROUP_HIDDEN))
		return 0;
	c->host = said ? said : env;
	if (remote_check(c->host, &e) < 0)
		return cli_fail(c, &e);
	if (c->def->here)
		return cli_usage(c, "'osier %s' is about this machine, not about %s%.100s", c->def->name,
		        said ? "" : "$OSIER_HOST, ", c->host);
	return 0;
}

static int dispatch(struct cli *c, int argc, char **argv)
{
	struct err e = {0};
	int rc, colour;

	if (args_parse(&c->args, c->def->options, argc, argv, false, &e) < 0) {
		c->json = args_flag(&c->args, "json");
		return cli_usage(c, "%s%s%s", e.msg, e.hint[0] ? ": " : "", e.hint);
	}
	c->json = args_flag(&c->args, "json");
	colour = colour_of(&c->args, &e);
	if (colour < 0)
		return cli_fail(c, &e);
	term_init((enum colour_mode)colour);
	if (args_flag(&c->args, "help"))
		return help_of(c->def->name);
	rc = check_counts(c);
	if (rc == 0)
		rc = host_of(c);
	return rc ? rc : c->def->run(c);
}

/* A full or closed stdout is an error of ours to report, but a reader that had enough (head) is not. */
static int finish_stdout(int rc)
{
	struct err e;

	if (fflush(stdout) == 0 && !ferror(stdout))
		return rc;
	if (errno == EPIPE)
		return rc;
	(void)err_sys(&e, "cannot write to the standard output");
	term_error(&e);
	return rc ? rc : EXIT_BROKEN;
}

/* Global options may stand before the command too: move them behind it. */
static int arrange(int argc, char **argv, struct args *out, struct err *e)
{
	return args_parse(out, NULL, argc, argv, true, e);
}

int cli_main(int argc, char **argv)
{
	struct cli c = {0};
	struct args front;
	struct err e = {0};
	char **words;
	int n = 0, rc;

	(void)signal(SIGPIPE, SIG_IGN);
	term_init(COLOUR_AUTO);
	if (argc > 1 && strcmp(argv[1], "--version") == 0)
		argv[1] = (char *)(uintptr_t) "version";
	if (arrange(argc - 1, argv + 1, &front, &e) < 0) {
		args_release(&front);
		return cli_fail(NULL, &e);
	}
	if (front.n_args == 0) {
		rc = help_of(NULL);
		args_release(&front);
		return finish_stdout(rc);
	}
	c.def = command_find(front.arg[0]);
	if (!c.def) {
		c.json = args_flag(&front, "json");
		for (int i = 1; i < front.n_args; i++)
			c.json = c.json || strcmp(front.arg[i], "--json") == 0;
		rc = unknown_command(&c, front.arg[0]);
		args_release(&front);
		return finish_stdout(rc);
	}
	words = cli_alloc((size_t)(front.n_args + 2 * (int)front.n_options + 1) * sizeof(*words));
	for (size_t i = 0; i < front.n_options; i++) {
		struct text t = {0};

		text_addf(&t, front.option[i].def->value ? "--%s=%s" : "--%s", front.option[i].def->name,
		        front.option[i].value);
		words[n++] = t.p;
	}
	for (int i = 1; i < front.n_args; i++)
		words[n++] = cli_dup(front.arg[i]);
	rc = dispatch(&c, n, words);
	client_close(c.client);
	nodeproc_stop(c.node, false);
	args_release(&c.args);
	args_release(&front);
	free(c.state_dir);
	for (int i = 0; i < n; i++)
		free(words[i]);
	free(words);
	return finish_stdout(rc);
}
