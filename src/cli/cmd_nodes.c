/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_nodes - `osier nodes` and `osier node drain|resume`. */
#include "cli/commands.h"
#include "cli/show.h"

static const struct option_def options[] = {
        {'r', "resources", NULL, "every resource and device", COMPLETE_NOTHING, NULL},
        {0},
};

static void free_of(struct text *t, const json_t *node, const char *name)
{
	size_t i;
	json_t *r;

	json_array_foreach(json_object_get(node, "resources"), i, r)
	{
		if (strcmp(j_str(r, "name"), name) != 0)
			continue;
		amount_text(t, name, j_real(r, "used"));
		text_add(t, " / ");
		amount_text(t, name, j_real(r, "capacity"));
		return;
	}
	text_add(t, "-");
}

static void print_nodes(const json_t *nodes)
{
	static const char *const shown[] = {"cpu", "memory", "gpu"};
	struct table *t = table_new();
	size_t i;
	json_t *n;

	table_column(t, "NODE", LEFT, true);
	table_column(t, "STATE", LEFT, false);
	table_column(t, "LEASES", RIGHT, false);
	table_column(t, "CPU", RIGHT, false);
	table_column(t, "MEMORY", RIGHT, false);
	table_column(t, "GPU", RIGHT, false);
	table_column(t, "LOAD", RIGHT, false);
	json_array_foreach(nodes, i, n)
	{
		json_t *load = json_array_get(json_object_get(n, "load"), 0);

		table_cell(t, BOLD, j_str(n, "name"));
		table_cell(t, term_state_colour(j_str(n, "state")), j_str(n, "state"));
		table_cellf(t, PLAIN, "%llu", (unsigned long long)j_uint(n, "leases"));
		for (size_t k = 0; k < sizeof(shown) / sizeof(shown[0]); k++) {
			struct text cell = {0};

			free_of(&cell, n, shown[k]);
			table_cell(t, PLAIN, text_str(&cell));
			text_release(&cell);
		}
		if (load)
			table_cellf(t, PLAIN, "%.2f", json_number_value(load));
		else
			table_cell(t, DIM, "-");
	}
	table_print(t);
	table_free(t);
}

static void print_devices(const json_t *node)
{
	struct table *t;
	size_t i;
	json_t *d;

	if (json_array_size(json_object_get(node, "devices")) == 0)
		return;
	t = table_new();
	table_column(t, "DEVICE", LEFT, false);
	table_column(t, "FREE", RIGHT, false);
	table_column(t, "ID", LEFT, true);
	table_column(t, "MODEL", LEFT, true);
	json_array_foreach(json_object_get(node, "devices"), i, d)
	{
		char s[32];

		table_cellf(
		        t, PLAIN, "%s %llu", j_str(d, "resource"), (unsigned long long)j_uint(d, "index"));
		table_cell(t, PLAIN, j_null(d, "free") ? "-" : milli_text(j_milli(d, "free"), s, sizeof(s)));
		table_cell(t, PLAIN, j_str(d, "id"));
		table_cell(t, PLAIN, j_str(d, "model"));
	}
	(void)putchar('\n');
	table_print(t);
	table_free(t);
}

static void print_resources(const json_t *node)
{
	struct text line = {0};
	struct table *t = table_new();
	size_t i;
	json_t *r;

	term_paint(&line, stdout, BOLD, j_str(node, "name"));
	text_add(&line, " is ");
	term_paint(&line, stdout, term_state_colour(j_str(node, "state")), j_str(node, "state"));
	(void)puts(text_str(&line));
	table_column(t, "RESOURCE", LEFT, false);
	table_column(t, "CAPACITY", RIGHT, false);
	table_column(t, "USED", RIGHT, false);
	table_column(t, "FREE", RIGHT, false);
	json_array_foreach(json_object_get(node, "resources"), i, r)
	{
		static const char *const keys[] = {"capacity", "used", "free"};

		table_cell(t, PLAIN, j_str(r, "name"));
		for (size_t k = 0; k < 3; k++) {
			text_clear(&line);
			amount_text(&line, j_str(r, "name"), j_real(r, keys[k]));
			table_cell(t, PLAIN, text_str(&line));
		}
	}
	table_print(t);
	table_free(t);
	print_devices(node);
	json_array_foreach(json_object_get(node, "notices"), i, r)
	{
		text_clear(&line);
		text_add(&line, i ? "" : "\n");
		term_paint(&line, stdout, YELLOW, "notice: ");
		text_add_clean(
		        &line, json_string_value(r) ? json_string_value(r) : "", json_string_length(r), "");
		(void)puts(text_str(&line));
	}
	text_release(&line);
}

static int run(struct cli *c)
{
	struct err e = {0};
	json_t *j, *nodes, *n;
	size_t i;

	if (cli_connect(c, &e) < 0)
		return cli_fail(c, &e);
	j = ask_get(c, &e, "/v1/nodes");
	if (!j)
		return cli_fail(c, &e);
	nodes = json_object_get(j, "nodes");
	if (c->json)
		json_print(j);
	else if (!args_flag(&c->args, "resources"))
		print_nodes(nodes);
	else
		json_array_foreach(nodes, i, n)
		{
			if (i)
				(void)putchar('\n');
			print_resources(n);
		}
	json_decref(j);
	return EXIT_OK;
}

const struct command_def cmd_nodes = {
        .name = "nodes",
        .group = GROUP_NODE,
        .usage = "[options]",
        .summary = "show the nodes, their resources and load",
        .about = "Shows each node with what of its cpu, memory and gpus is given away. With --resources: "
                 "every resource and device, and what "
                 "this machine cannot enforce.",
        .examples = "osier nodes\n"
                    "osier nodes --resources    # devices too",
        .options = options,
        .args_max = 0,
        .run = run,
};

static int run_node(struct cli *c)
{
	const char *verb = c->args.arg[0], *name = c->args.n_args > 1 ? c->args.arg[1] : "1";
	struct text t = {0};
	struct err e = {0};
	json_t *j;

	if (strcmp(verb, "drain") != 0 && strcmp(verb, "resume") != 0)
		return cli_usage(c, "'%.60s' is not something to do with a node: drain or resume", verb);
	if (cli_connect(c, &e) < 0)
		return cli_fail(c, &e);
	text_add(&t, "/v1/nodes/");
	url_add(&t, name);
	text_addf(&t, "/%s", verb);
	j = ask(c, "POST", text_str(&t), NULL, &e);
	text_release(&t);
	if (!j)
		return cli_fail(c, &e);
	if (c->json) {
		json_print(j);
	} else if (*verb == 'd') {
		(void)printf("%s is drained: nothing more starts there, %llu leases go on\n",
		        j_str(j, "name"), (unsigned long long)j_uint(j, "leases"));
		term_hint("'osier node resume %s' undoes it", j_str(j, "name"));
	} else {
		(void)printf("%s is up\n", j_str(j, "name"));
	}
	json_decref(j);
	return EXIT_OK;
}

const struct command_def cmd_node = {
        .name = "node",
        .group = GROUP_NODE,
        .usage = "drain|resume [NODE]",
        .summary = "stop starting tasks on a node, or start again",
        .about = "A drained node starts nothing more; what runs there goes on to its end. Drain before "
                 "maintenance, resume after. "
                 "Without a name: this machine.",
        .examples = "osier node drain      # let this machine run empty\n"
                    "osier node resume",
        .args_min = 1,
        .args_max = 2,
        .complete = COMPLETE_NODE,
        .words = "drain,resume",
        .run = run_node,
};
