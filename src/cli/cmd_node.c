/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_node - `osier node VERB`: what is done with one node, and a look at it. */
#include "cli/commands.h"
#include "cli/show.h"

/* ---- inspect ---- */

static void print_running(const json_t *running)
{
	uint64_t now = cli_now_ns();
	struct table *t;
	size_t i;
	json_t *l;

	if (json_array_size(running) == 0)
		return;
	t = table_new();
	table_column(t, "RUNS", LEFT, true);
	table_column(t, "STEP", LEFT, false);
	table_column(t, "TASKS", LEFT, false);
	table_column(t, "LEASE", RIGHT, false);
	table_column(t, "FOR", RIGHT, false);
	json_array_foreach(running, i, l)
	{
		unsigned long long first = j_uint(l, "first"), count = j_uint(l, "count");
		uint64_t since = j_time(l, "since");
		char s[32];

		table_cell(t, BOLD, j_str(l, "job"));
		if (j_null(l, "step_name")) /* the engine is an older one */
			table_cellf(t, PLAIN, "%llu", (unsigned long long)j_uint(l, "step"));
		else
			table_cell(t, PLAIN, j_str(l, "step_name"));
		if (count > 1)
			table_cellf(t, PLAIN, "%llu-%llu%s", first, first + count - 1,
			        j_bool(l, "stopping") ? ", is stopped" : "");
		else
			table_cellf(t, PLAIN, "%llu%s", first, j_bool(l, "stopping") ? ", is stopped" : "");
		table_cellf(t, PLAIN, "%llu", (unsigned long long)j_uint(l, "lease"));
		table_cell(t, PLAIN, duration_text(now > since ? now - since : 0, s, sizeof(s)));
	}
	(void)putchar('\n');
	table_print(t);
	table_free(t);
}

/* "below      site=hall-3: 2 nodes, cpu 4 (1 free)" */
static void print_below(const json_t *node)
{
	struct text t = {0};
	const json_t *c, *r;
	size_t i, k;

	json_array_foreach(json_object_get(node, "below"), i, c)
	{
		text_clear(&t);
		labels_text(&t, c);
		text_addf(&t, "%s%llu node%s with", *text_str(&t) ? ": " : "",
		        (unsigned long long)j_uint(c, "nodes"), j_uint(c, "nodes") == 1 ? "" : "s");
		json_array_foreach(json_object_get(c, "resources"), k, r)
		{
			text_addf(&t, "%s %s ", k ? "," : "", j_str(r, "name"));
			amount_text(&t, j_str(r, "name"), j_real(r, "capacity"));
			text_add(&t, " (");
			amount_text(&t, j_str(r, "name"), j_real(r, "free"));
			text_add(&t, " free)");
		}
		show_field("below it", text_str(&t));
	}
	text_release(&t);
}

static void print_node(const json_t *node)
{
	const json_t *link = j_get(node, "link");
	struct text t = {0};
	char s[32];

	labels_text(&t, node);
	if (*text_str(&t))
		show_field("labels", text_str(&t));
	text_clear(&t);
	print_below(node);
	if (link) {
		amount_text(&t, "memory", j_real(link, "used"));
		text_add(&t, " of ");
		amount_text(&t, "memory", j_real(link, "bytes"));
		text_addf(&t, " in each %s are used", duration_text(j_ns(link, "per_s"), s, sizeof(s)));
		show_field("link", text_str(&t));
	}
	if (!j_null(node, "paused_until"))
		show_fieldf("pauses", "until %s: task after task failed on it",
		        clock_text(j_time(node, "paused_until"), cli_now_ns(), s, sizeof(s)));
	text_release(&t);
}

static int inspect(struct cli *c, const char *target)
{
	struct err e = {0};
	json_t *j = ask(c, "GET", target, NULL, &e);

	if (!j)
		return cli_fail(c, &e);
	if (c->json) {
		json_print(j);
	} else {
		print_node_resources(json_object_get(j, "node"));
		(void)putchar('\n');
		print_node(json_object_get(j, "node"));
		print_running(json_object_get(j, "running"));
	}
	json_decref(j);
	return EXIT_OK;
}

/* ---- changes ---- */

/* "hall=north" sets, "hall-" takes away. */
static json_t *labels_of(struct cli *c)
{
	json_t *labels = json_object();

	for (int i = 2; i < c->args.n_args; i++) {
		const char *arg = c->args.arg[i], *eq = strchr(arg, '=');
		size_t n = strlen(arg);
		char key[256];

		if (!eq && n > 1 && arg[n - 1] == '-')
			n--;
		else if (eq && eq > arg)
			n = (size_t)(eq - arg);
		else
			n = sizeof(key);
		if (n >= sizeof(key)) {
			(void)cli_usage(
			        c, "'%.60s' is no label: KEY=VALUE sets one, KEY- takes it away", arg);
			json_decref(labels);
			return NULL;
		}
		memcpy(key, arg, n);
		key[n] = '\0';
		(void)json_object_set_new(labels, key, eq ? json_string(eq + 1) : json_null());
	}
	return labels;
}

static void tell(const char *verb, const json_t *node)
{
	const char *name = j_str(node, "name");
	struct text t = {0};

	if (strcmp(verb, "label") == 0) {
		labels_text(&t, node);
		(void)printf("%s has the labels %s\n", name, text_str(&t));
	} else if (strcmp(verb, "resume") == 0) {
		(void)printf("%s is %s\n", name, j_str(node, "state"));
	} else {
		(void)printf("%s is %s: nothing more starts there, %llu leases go on\n", name,
		        strcmp(verb, "drain") == 0 ? "drained" : "cordoned",
		        (unsigned long long)j_uint(node, "leases"));
		term_hint("'osier node resume %s' undoes it", name);
	}
	text_release(&t);
}

static int change(struct cli *c, const char *verb, const char *target)
{
	static const char *const states[][2] = {
	        {"drain", "drained"}, {"cordon", "cordoned"}, {"resume", "up"}};
	json_t *body = json_object(), *j;
	struct err e = {0};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(verb, states[i][0]) == 0)
			(void)json_object_set_new(body, "state", json_string(states[i][1]));
	if (strcmp(verb, "label") == 0) {
		json_t *labels = labels_of(c);

		if (!labels) {
			json_decref(body);
			return EXIT_USAGE;
		}
		(void)json_object_set_new(body, "labels", labels);
	}
	j = ask(c, "PATCH", target, body, &e);
	json_decref(body);
	if (!j)
		return cli_fail(c, &e);
	if (c->json)
		json_print(j);
	else
		tell(verb, j);
	json_decref(j);
	return EXIT_OK;
}

static int remove_node(struct cli *c, const char *target, const char *name)
{
	json_t *body = json_object(), *j;
	struct text t = {0};
	struct err e = {0};

	text_addf(&t, "%s/remove", target);
	(void)json_object_set_new(body, "force", json_boolean(args_flag(&c->args, "force")));
	j = ask(c, "POST", text_str(&t), body, &e);
	text_release(&t);
	json_decref(body);
	if (!j)
		return cli_fail(c, &e);
	if (c->json)
		json_print(j);
	else
		(void)printf("%s is removed: its certificate counts no more, and its name is free\n", name);
	json_decref(j);
	return EXIT_OK;
}

static int run(struct cli *c)
{
	static const char *const verbs[] = {"drain", "resume", "cordon", "label", "inspect", "remove"};
	const char *verb = c->args.arg[0], *name = c->args.n_args > 1 ? c->args.arg[1] : "1";
	const bool labels = strcmp(verb, "label") == 0;
	struct text t = {0};
	struct err e = {0};
	bool known = false;
	int rc;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		known = known || strcmp(verb, verbs[i]) == 0;
	if (!known)
		return cli_usage(c,
		        "'%.60s' is not something to do with a node: drain, resume, cordon, label, inspect "
		        "or remove",
		        verb);
	if (labels && c->args.n_args < 3)
		return cli_usage(c, "'osier node label' needs the node's name, and KEY=VALUE or KEY-");
	if (strcmp(verb, "remove") == 0 && c->args.n_args != 2)
		return cli_usage(c, "'osier node remove' needs the name of the node");
	if (args_flag(&c->args, "force") && strcmp(verb, "remove") != 0)
		return cli_usage(c, "--force goes with 'osier node remove'");
	if (!labels && c->args.n_args > 2)
		return cli_usage(c, "'osier node %s' takes one name", verb);
	if ((strcmp(verb, "inspect") == 0 ? cli_connect_look(c, &e) : cli_connect(c, &e)) < 0)
		return cli_fail(c, &e);
	text_add(&t, "/v1/nodes/");
	url_add(&t, name);
	rc = strcmp(verb, "inspect") == 0  ? inspect(c, text_str(&t))
	     : strcmp(verb, "remove") == 0 ? remove_node(c, text_str(&t), name)
	                                   : change(c, verb, text_str(&t));
	text_release(&t);
	return rc;
}

static const struct option_def options[] = {
        {'f', "force", NULL,
                "with 'remove': end what the node runs; it runs elsewhere, where its jobs allow that",
                COMPLETE_NOTHING, NULL},
        {0},
};

const struct command_def cmd_node = {
        .name = "node",
        .group = GROUP_NODE,
        .usage = "drain|resume|cordon|label|inspect|remove [NODE] [KEY=VALUE...]",
        .summary = "look at a node, label it, stop starting tasks on it, start again, or remove it",
        .about = "On a drained or cordoned node nothing more starts; what runs there goes on to its end. "
                 "Drain before "
                 "maintenance, cordon to keep work off for another reason; resume undoes both. 'label' sets "
                 "labels "
                 "that jobs ask for with 'where' and 'prefer', beside and before those of the node's "
                 "config.yaml; KEY- "
                 "takes one away that was set here. 'inspect' shows all of a node, and what runs there. "
                 "Without a "
                 "name: this machine. 'remove' is for a node that has joined and is not to be one any more: "
                 "its certificate is "
                 "revoked, and it is forgotten; while it runs something it is refused without --force.",
        .examples = "osier node drain      # let this machine run empty\n"
                    "osier node resume\n"
                    "osier node label press-4 hall=north cooling=water\n"
                    "osier node label press-4 cooling-\n"
                    "osier node inspect press-4\n"
                    "osier node remove press-4",
        .args_min = 1,
        .args_max = -1,
        .complete = COMPLETE_NODE,
        .words = "drain,resume,cordon,label,inspect,remove",
        .options = options,
        .run = run,
};
