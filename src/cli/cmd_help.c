/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_help - `osier help`: teaches by example. Man pages (cmd_man.c) are made of the same texts. */
#include "base/check.h"
#include "cli/commands.h"

static const char *const group_titles[] = {
        [GROUP_RUN] = "run jobs",
        [GROUP_LOOK] = "look at them",
        [GROUP_CHANGE] = "change them",
        [GROUP_NODE] = "this machine's node",
        [GROUP_PROVE] = "prove what ran",
        [GROUP_MORE] = "more",
};

static const char first_steps[] =
        "  osier init job.yaml          # write a commented example\n"
        "  osier run job.yaml           # run it here and now; nothing needs to be set up\n"
        "  osier logs last              # what its tasks printed\n"
        "\n"
        "  osier up                     # start a node that stays\n"
        "  osier submit job.yaml        # give it the job and go on working\n"
        "  osier jobs                   # what became of it\n"
        "  osier why last               # why does it wait?\n";

static const char exit_codes[] = "  0    it is done, and the job (where there is one) succeeded\n"
                                 "  1    the job failed or was cancelled; a check of 'osier doctor' failed\n"
                                 "  2    wrong usage or invalid input\n"
                                 "  3    no node answers, or it cannot be started\n"
                                 "  4    what was named does not exist\n"
                                 "  5    refused: not permitted, a limit is reached, or the disk is full\n"
                                 "  6    osier or the machine failed: a damaged journal, an I/O error\n"
                                 "  7    a log showed two histories (osier ledger mirror)\n"
                                 "  124  --timeout ran out\n"
                                 "  130  ended by Ctrl-C\n";

static const char job_names[] = "  17              the job's number\n"
                                "  pi-17           its name\n"
                                "  pi              any beginning that fits one job only\n"
                                "  last            the one that was submitted last\n"
                                "  pi-17/map/3     task 3 of its step 'map'\n"
                                "  pi-17/3         task 3, when the job has one step\n"
                                "  pi-17/link      the step's task, when it has one\n";

static const struct {
	const char *name, *summary, *text;
} topics[] = {
        {"exit-codes", "what the exit codes mean", exit_codes},
        {"names", "how jobs and tasks are named", job_names},
        {"environment", "variables that osier obeys",
                "  OSIER_STATE      the state folder, when --state does not say\n"
                "  XDG_STATE_HOME   your own state folder is $XDG_STATE_HOME/osier, else "
                "~/.local/state/osier\n"
                "  NO_COLOR         no colour when it is set to anything\n"
                "  LC_ALL, LANG     bars use more than ASCII when they say UTF-8\n"},
};

/* Lines of "command # what it does", the comment dimmed. */
static void add_examples(struct text *t, const char *s, const char *indent)
{
	while (*s) {
		size_t n = strcspn(s, "\n"), code = 0;
		char line[256];

		for (size_t i = 0; i + 2 < n && !code; i++)
			if (s[i] == ' ' && s[i + 1] == '#' && s[i + 2] == ' ')
				code = i + 1;
		text_add(t, indent);
		text_add_n(t, s, code ? code : n);
		if (code) {
			(void)snprintf(line, sizeof(line), "%.*s", (int)(n - code), s + code);
			term_paint(t, stdout, DIM, line);
		}
		text_add(t, "\n");
		s += n + (s[n] == '\n');
	}
}

enum { OPTION_COLUMN = 28 };

/* Fill paragraphs to the terminal's width, at most 90 columns, all lines but the first indented. */
static void add_paragraphs(struct text *t, const char *s, size_t indent)
{
	size_t width = term_columns() < 90 ? term_columns() : 90, at = 0,
	       most = width > indent + 20 ? width - indent : 20;

	while (*s) {
		size_t n = strcspn(s, " \n");

		if (at && at + 1 + n > most) {
			text_add(t, "\n");
			text_pad(t, indent);
			at = 0;
		} else if (at) {
			text_add(t, " ");
			at++;
		}
		text_add_n(t, s, n);
		at += n;
		s += n;
		if (strncmp(s, "\n\n", 2) == 0) {
			text_add(t, "\n\n");
			at = 0;
		}
		s += strspn(s, " \n");
	}
	text_add(t, "\n");
}

static void add_title(struct text *t, const char *title)
{
	text_add(t, "\n");
	term_paint(t, stdout, BOLD, title);
	text_add(t, "\n");
}

static void add_options(struct text *t, const struct option_def *options)
{
	for (const struct option_def *o = options; o && o->name; o++) {
		struct text head = {0};

		if (o->letter)
			text_addf(&head, "  -%c, --%s", o->letter, o->name);
		else
			text_addf(&head, "      --%s", o->name);
		if (o->value)
			text_addf(&head, " %s", o->value);
		text_add(t, text_str(&head));
		if (head.n < OPTION_COLUMN) {
			text_pad(t, OPTION_COLUMN - head.n);
		} else {
			text_add(t, "\n");
			text_pad(t, OPTION_COLUMN);
		}
		add_paragraphs(t, o->help, OPTION_COLUMN);
		text_release(&head);
	}
}

static void help_overview(struct text *t)
{
	text_add(t, "osier runs jobs: many tasks, on the machines there are, none of them twice.\n");
	add_title(t, "first steps");
	add_examples(t, first_steps, "");
	for (int g = GROUP_RUN; g < GROUP_HIDDEN; g++) {
		add_title(t, group_titles[g]);
		for (size_t i = 0; command_at(i); i++) {
			const struct command_def *d = command_at(i);

			if ((int)d->group != g)
				continue;
			text_add(t, "  ");
			term_paint(t, stdout, CYAN, d->name);
			text_pad(t, 11 - strlen(d->name));
			text_addf(t, "%s\n", d->summary);
		}
	}
	add_title(t, "topics");
	for (size_t i = 0; i < ARRAY_LEN(topics); i++) {
		text_addf(t, "  %s", topics[i].name);
		text_pad(t, 13 - strlen(topics[i].name));
		text_addf(t, "%s\n", topics[i].summary);
	}
	text_add(t, "\n'osier help COMMAND' shows a command with examples; 'man osier' has it all.\n");
}

static void help_command(struct text *t, const struct command_def *d)
{
	term_paint(t, stdout, BOLD, "osier ");
	term_paint(t, stdout, BOLD, d->name);
	text_addf(t, " - %s\n", d->summary);
	add_title(t, "usage");
	text_addf(t, "  osier %s%s%s\n", d->name, *d->usage ? " " : "", d->usage);
	add_title(t, "examples");
	add_examples(t, d->examples, "  ");
	text_add(t, "\n");
	add_paragraphs(t, d->about, 0);
	if (d->options && d->options->name) {
		add_title(t, "options");
		add_options(t, d->options);
	}
	add_title(t, "everywhere");
	add_options(t, global_options);
}

static int find_topic(const char *name, struct text *t)
{
	for (size_t i = 0; i < ARRAY_LEN(topics); i++) {
		if (strcmp(topics[i].name, name) != 0)
			continue;
		text_addf(t, "%s\n\n", topics[i].summary);
		text_add(t, topics[i].text);
		return 1;
	}
	return 0;
}

static int unknown_topic(const struct cli *c, const char *name)
{
	const char *names[64], *close;
	size_t n = 0;
	struct err e;

	for (size_t i = 0; command_at(i); i++)
		if (command_at(i)->group != GROUP_HIDDEN)
			names[n++] = command_at(i)->name;
	for (size_t i = 0; i < ARRAY_LEN(topics); i++)
		names[n++] = topics[i].name;
	CHECK(n <= ARRAY_LEN(names));
	close = nearest(name, names, n);
	(void)err_set(&e, ERR_NOTFOUND, "there is no help on '%.100s'", name);
	(void)err_hint(
	        &e, close ? "did you mean 'osier help %s'?" : "'osier help' shows what there is", close);
	return cli_fail(c, &e);
}

static json_t *command_json(const struct command_def *d)
{
	json_t *options = json_array();

	for (const struct option_def *o = d->options; o && o->name; o++)
		json_array_append_new(options,
		        json_pack("{s:s,s:s?,s:s}", "name", o->name, "value", o->value, "help", o->help));
	return json_pack("{s:s,s:s,s:s,s:s,s:o}", "name", d->name, "summary", d->summary, "usage", d->usage,
	        "examples", d->examples, "options", options);
}

/* One command (NULL: all of them), or a topic's text. */
static int help_json(const struct command_def *only, const char *topic, const char *text)
{
	json_t *list = json_array(), *out;

	for (size_t i = 0; command_at(i); i++)
		if (only ? command_at(i) == only : command_at(i)->group != GROUP_HIDDEN)
			json_array_append_new(list, command_json(command_at(i)));
	if (text)
		out = json_pack("{s:s,s:s}", "topic", topic, "text", text);
	else
		out = json_pack("{s:O}", "commands", list);
	json_print(out);
	json_decref(list);
	json_decref(out);
	return EXIT_OK;
}

static int run(struct cli *c)
{
	const char *topic = c->args.n_args ? c->args.arg[0] : NULL;
	const struct command_def *d = topic ? command_find(topic) : NULL;
	struct text t = {0};
	int rc = EXIT_OK;

	if (topic && !d && !find_topic(topic, &t))
		rc = unknown_topic(c, topic);
	else if (c->json)
		rc = help_json(d, topic, topic && !d ? text_str(&t) : NULL);
	else if (!topic)
		help_overview(&t);
	else if (d)
		help_command(&t, d);
	if (!c->json)
		(void)fwrite(text_str(&t), 1, t.n, stdout);
	text_release(&t);
	return rc;
}

const struct command_def cmd_help = {
        .name = "help",
        .group = GROUP_MORE,
        .usage = "[COMMAND | TOPIC]",
        .summary = "show how to use osier, or one command, by example",
        .about = "Without a name: first steps and all commands. Topics: exit-codes, names, environment.",
        .examples = "osier help\n"
                    "osier help run\n"
                    "osier help exit-codes",
        .args_max = 1,
        .complete = COMPLETE_COMMAND,
        .run = run,
};
