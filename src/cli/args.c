/* SPDX-License-Identifier: Apache-2.0 */
/* args - see args.h. */
#include "cli/args.h"

#include "base/check.h"
#include "cli/text.h"

const struct option_def global_options[] = {
        {0, "state", "DIR",
                "the state folder (default: $OSIER_STATE, else the machine's node, else your own)",
                COMPLETE_FOLDER, NULL},
        {0, "host", "URL",
                "the node of another machine, by ssh: ssh://[USER@]HOST[:PORT] (default: $OSIER_HOST)",
                COMPLETE_NOTHING, NULL},
        {0, "json", NULL, "answer as JSON, for programs", COMPLETE_NOTHING, NULL},
        {0, "color", "WHEN", "colour: auto, always or never", COMPLETE_WORDS, "auto,always,never"},
        {'h', "help", NULL, "show help for the command", COMPLETE_NOTHING, NULL},
        {0},
};

static const struct option_def *find(
        const struct option_def *options, const char *name, size_t n, char letter)
{
	const struct option_def *tables[2] = {options, global_options};

	for (size_t t = 0; t < 2; t++)
		for (const struct option_def *o = tables[t]; o && o->name; o++)
			if (letter ? o->letter == letter
			           : strlen(o->name) == n && strncmp(o->name, name, n) == 0)
				return o;
	return NULL;
}

const char *nearest(const char *word, const char *const *names, size_t n)
{
	unsigned best = (unsigned)(strlen(word) < 4 ? 1 : strlen(word) / 3 + 1);
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		unsigned d = word_distance(word, names[i], best);

		if (d < best || (d == best && !found)) {
			best = d;
			found = names[i];
		}
	}
	if (found)
		return found;
	for (size_t i = 0; i < n && strlen(word) >= 2; i++)
		if (strncmp(names[i], word, strlen(word)) == 0)
			return names[i];
	return NULL;
}

/* What there is instead of an unknown option, as the hint of *e. */
static int known_options(const struct option_def *options, struct err *e)
{
	const struct option_def *tables[2] = {options, global_options};
	struct text t = {0};

	for (size_t i = 0; i < 2; i++)
		for (const struct option_def *o = tables[i]; o && o->name; o++)
			text_addf(&t, "%s--%s", t.n ? ", " : "there are ", o->name);
	(void)err_hint(e, "%s", text_str(&t));
	text_release(&t);
	return -1;
}

static int unknown_option(const struct option_def *options, const char *name, size_t n, struct err *e)
{
	const struct option_def *tables[2] = {options, global_options};
	const char *names[64], *close;
	size_t k = 0;
	char word[64];

	(void)snprintf(word, sizeof(word), "%.*s", (int)n, name);
	for (size_t t = 0; t < 2; t++)
		for (const struct option_def *o = tables[t]; o && o->name && k < ARRAY_LEN(names); o++)
			names[k++] = o->name;
	close = nearest(word, names, k);
	(void)err_set(e, ERR_INVALID, "unknown option '--%s'", word);
	if (close)
		return err_hint(e, "did you mean '--%s'?", close);
	return known_options(options, e);
}

static void take(struct args *a, const struct option_def *def, const char *value)
{
	a->option[a->n_options].def = def;
	a->option[a->n_options++].value = value;
}

/* "--name", "--name=value"; *used gets how many further words it took. */
static int long_option(
        struct args *a, const struct option_def *options, char **argv, int left, int *used, struct err *e)
{
	const char *name = argv[0] + 2, *equals = strchr(name, '=');
	size_t n = equals ? (size_t)(equals - name) : strlen(name);
	const struct option_def *def = find(options, name, n, 0);

	*used = 0;
	if (!def)
		return unknown_option(options, name, n, e);
	if (!def->value) {
		if (equals)
			return err_set(e, ERR_INVALID, "option '--%s' takes no value", def->name);
		take(a, def, "");
		return 0;
	}
	if (!equals && left < 2) {
		(void)err_set(e, ERR_INVALID, "option '--%s' needs a value", def->name);
		return err_hint(e, "write --%s %s", def->name, def->value);
	}
	*used = !equals;
	take(a, def, equals ? equals + 1 : argv[1]);
	return 0;
}

/* "-x", "-xVALUE", "-x VALUE", "-xyz". */
static int short_options(
        struct args *a, const struct option_def *options, char **argv, int left, int *used, struct err *e)
{
	*used = 0;
	for (const char *p = argv[0] + 1; *p; p++) {
		const struct option_def *def = find(options, NULL, 0, *p);

		if (!def) {
			(void)err_set(e, ERR_INVALID, "unknown option '-%c'", *p);
			return known_options(options, e);
		}
		if (!def->value) {
			take(a, def, "");
			continue;
		}
		if (!p[1] && left < 2) {
			(void)err_set(e, ERR_INVALID, "option '-%c' needs a value", *p);
			return err_hint(e, "write -%c %s", *p, def->value);
		}
		*used = !p[1];
		take(a, def, p[1] ? p + 1 : argv[1]);
		break;
	}
	return 0;
}

int args_parse(struct args *a, const struct option_def *options, int argc, char **argv, bool stop_at_first,
        struct err *e)
{
	size_t letters = 1;

	for (int i = 0; i < argc; i++)
		letters += strlen(argv[i]);
	memset(a, 0, sizeof(*a));
	a->option = cli_alloc(letters * sizeof(*a->option));
	a->arg = cli_alloc((size_t)(argc + 1) * sizeof(*a->arg));
	for (int i = 0; i < argc; i++) {
		const char *word = argv[i];
		int used, rc;

		if (strcmp(word, "--") == 0) {
			while (++i < argc)
				a->arg[a->n_args++] = argv[i];
			break;
		}
		if (word[0] != '-' || word[1] == '\0') {
			a->arg[a->n_args++] = word;
			if (stop_at_first)
				while (++i < argc)
					a->arg[a->n_args++] = argv[i];
			continue;
		}
		rc = word[1] == '-' ? long_option(a, options, argv + i, argc - i, &used, e)
		                    : short_options(a, options, argv + i, argc - i, &used, e);
		if (rc < 0)
			return -1;
		i += used;
	}
	return 0;
}

void args_release(struct args *a)
{
	free(a->option);
	free(a->arg);
	memset(a, 0, sizeof(*a));
}

const char *args_nth(const struct args *a, const char *name, size_t i)
{
	for (size_t k = 0; k < a->n_options; k++)
		if (strcmp(a->option[k].def->name, name) == 0 && i-- == 0)
			return a->option[k].value;
	return NULL;
}

const char *args_value(const struct args *a, const char *name)
{
	for (size_t k = a->n_options; k-- > 0;)
		if (strcmp(a->option[k].def->name, name) == 0)
			return a->option[k].value;
	return NULL;
}

bool args_flag(const struct args *a, const char *name)
{
	return args_value(a, name) != NULL;
}
