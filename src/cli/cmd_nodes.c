/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_nodes - `osier nodes`. */
#include "cli/commands.h"
#include "cli/show.h"

enum { AWAY_LINES_MAX = 20 };

static const struct option_def options[] = {
        {'r', "resources", NULL, "every resource and device", COMPLETE_NOTHING, NULL},
        {'l', "labels", NULL, "the labels of each node", COMPLETE_NOTHING, NULL},
        {0},
};

/* Does any node have this? Else nobody wants a column of it. */
static bool somebody_has(const json_t *nodes, const char *name)
{
	const json_t *n, *r;
	size_t i, k;

	json_array_foreach(nodes, i, n)
	{
		json_array_foreach(json_object_get(n, "resources"), k, r)
		{
			if (strcmp(j_str(r, "name"), name) == 0)
				return true;
		}
	}
	return false;
}

/* "0.5 / 2", "0.5 / 7.8 GiB": the unit once when both have it. */
static void used_of(struct text *t, const json_t *node, const char *name)
{
	struct text used = {0}, all = {0};
	const char *unit;
	size_t i;
	json_t *r;

	json_array_foreach(json_object_get(node, "resources"), i, r)
	{
		if (strcmp(j_str(r, "name"), name) != 0)
			continue;
		amount_text(&used, name, j_real(r, "used"));
		amount_text(&all, name, j_real(r, "capacity"));
		unit = strchr(text_str(&used), ' ');
		if (unit && strchr(text_str(&all), ' ') &&
		        (strcmp(unit, strchr(text_str(&all), ' ')) == 0 ||
		                strcmp(text_str(&used), "0 B") == 0))
			text_add_n(t, text_str(&used), (size_t)(unit - text_str(&used)));
		else
			text_add(t, text_str(&used));
		text_addf(t, " / %s", text_str(&all));
		break;
	}
	if (!*text_str(t))
		text_add(t, "-");
	text_release(&used);
	text_release(&all);
}

void labels_text(struct text *t, const json_t *node)
{
	const char *key;
	json_t *v;

	json_object_foreach(json_object_get(node, "labels"), key, v)
	{
		if (*text_str(t))
			text_add(t, ", ");
		text_add_clean(t, key, strlen(key), "");
		text_add(t, "=");
		text_add_clean(
		        t, json_string_value(v) ? json_string_value(v) : "", json_string_length(v), "");
	}
}

/* "3: pi-17 x2, where-2/map": how many leases, and whose. */
static void runs_cell(struct table *t, const json_t *node)
{
	const json_t *runs = json_object_get(node, "runs"), *r;
	uint64_t leases = j_uint(runs, "leases"), told = 0;
	struct text cell = {0};
	size_t i;

	if (!leases) {
		table_cell(t, DIM, "-");
		return;
	}
	text_addf(&cell, "%llu: ", (unsigned long long)leases);
	json_array_foreach(json_object_get(runs, "steps"), i, r)
	{
		text_addf(&cell, "%s%s", i ? ", " : "", j_str(r, "name"));
		if (j_uint(r, "leases") > 1)
			text_addf(&cell, " x%llu", (unsigned long long)j_uint(r, "leases"));
		told += j_uint(r, "leases");
	}
	if (told < leases)
		text_addf(&cell, ", %llu more", (unsigned long long)(leases - told));
	table_cell(t, PLAIN, text_str(&cell));
	text_release(&cell);
}

/* As a word, and as what it is painted: one that pauses is up for others than batch work. */
static const char *state_of(const json_t *n, enum colour *colour)
{
	const char *state = j_str(n, "state");

	if (strcmp(state, "up") == 0 && !j_null(n, "paused_until"))
		state = "pauses";
	*colour = strcmp(state, "pauses") == 0 ? YELLOW : term_state_colour(state);
	return state;
}

static void load_cells(struct table *t, const json_t *n, bool children)
{
	const json_t *load = json_array_get(json_object_get(n, "load"), 0);

	if (load)
		table_cellf(t, PLAIN, "%.2f", json_number_value(load));
	else
		table_cell(t, DIM, "-");
	if (children && j_null(n, "latency"))
		table_cell(t, DIM, "-");
	else if (children)
		table_cellf(t, PLAIN, "%.1f ms", json_number_value(json_object_get(n, "latency")) * 1000);
}

static void print_nodes(const json_t *nodes, bool labels)
{
	static const char *const shown[][2] = {{"cpu", "CPU"}, {"memory", "MEMORY"}, {"gpu", "GPU"}};
	const bool children = json_array_size(nodes) > 1;
	struct table *t = table_new();
	struct text cell = {0};
	enum colour colour;
	size_t i;
	json_t *n;

	table_column(t, "NODE", LEFT, true);
	table_column(t, "STATE", LEFT, false);
	for (size_t k = 0; k < 3; k++)
		if (k < 2 || somebody_has(nodes, shown[k][0]))
			table_column(t, shown[k][1], RIGHT, false);
	table_column(t, "LOAD", RIGHT, false);
	if (children)
		table_column(t, "LATENCY", RIGHT, false);
	table_column(t, "RUNS", LEFT, true);
	if (labels)
		table_column(t, "LABELS", LEFT, true);
	json_array_foreach(nodes, i, n)
	{
		const char *state = state_of(n, &colour);

		table_cell(t, BOLD, j_str(n, "name"));
		table_cell(t, colour, state);
		for (size_t k = 0; k < 3; k++) {
			if (k == 2 && !somebody_has(nodes, shown[k][0]))
				continue;
			text_clear(&cell);
			used_of(&cell, n, shown[k][0]);
			table_cell(t, PLAIN, text_str(&cell));
		}
		load_cells(t, n, children);
		runs_cell(t, n);
		if (labels) {
			text_clear(&cell);
			labels_text(&cell, n);
			table_cell(t, PLAIN, text_str(&cell));
		}
	}
	table_print(t);
	table_free(t);
	text_release(&cell);
}

/* "press-4 is disconnected, last heard 12 s ago", a line for each that cannot be reached, and the reason if its link is refused. */
static void print_away(const json_t *nodes)
{
	const uint64_t now = cli_now_ns();
	struct text line = {0};
	size_t i, n_away = 0;
	json_t *n;

	json_array_foreach(nodes, i, n)
	{
		uint64_t heard = j_null(n, "heard") ? 0 : j_time(n, "heard"), since;
		char d[32];

		if (j_null(n, "away_since") || ++n_away > AWAY_LINES_MAX)
			continue;
		since = heard ? heard : j_time(n, "away_since");
		text_clear(&line);
		text_add(&line, n_away == 1 ? "\n" : "");
		term_paint(&line, stdout, YELLOW, j_str(n, "name"));
		text_addf(&line, " is %s, %s %s%s", j_str(n, "state"),
		        heard ? "last heard" : "not heard since this hub's engine began",
		        duration_text(now > since ? now - since : 0, d, sizeof(d)), " ago");
		if (!j_null(n, "refused")) {
			text_add(&line, "; it is refused: ");
			text_add_clean(&line, j_str(n, "refused"), strlen(j_str(n, "refused")), "");
		}
		(void)puts(text_str(&line));
	}
	if (n_away > AWAY_LINES_MAX)
		(void)printf("and %zu more are away\n", n_away - AWAY_LINES_MAX);
	text_release(&line);
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

void print_node_resources(const json_t *node)
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

/* The hub that this node has joined. */
static void print_hub(const json_t *hub)
{
	const bool refused = strcmp(j_str(hub, "state"), "refused") == 0,
	           removed = strcmp(j_str(hub, "state"), "removed") == 0;
	uint64_t since = j_null(hub, "since") ? 0 : j_time(hub, "since"), now = cli_now_ns();
	struct text line = {0};
	char d[32];

	text_add(&line, "\n");
	if (strcmp(j_str(hub, "state"), "up") == 0) {
		text_addf(&line, "joined hub '%s' as '%s'", j_str(hub, "name"), j_str(hub, "as"));
	} else if (removed) {
		term_paint(&line, stdout, RED, "removed by the hub");
		text_addf(&line, " '%s': ", j_str(hub, "name"));
		text_add_clean(&line, j_str(hub, "why"), strlen(j_str(hub, "why")), "");
	} else {
		term_paint(&line, stdout, YELLOW, refused ? "refused: " : "alone: ");
		text_addf(&line, "hub '%s' %s", j_str(hub, "name"),
		        refused ? "does not take this node" : "is not reached");
		if (since && now > since)
			text_addf(&line, " for %s", duration_text(now - since, d, sizeof(d)));
		if (!j_null(hub, "why") && j_str(hub, "why")[0]) {
			text_add(&line, ": ");
			text_add_clean(&line, j_str(hub, "why"), strlen(j_str(hub, "why")), "");
		}
	}
	(void)puts(text_str(&line));
	if (!j_null(hub, "share_refused"))
		(void)printf("a share of quotas that came from there is not taken: %s\n",
		        j_str(hub, "share_refused"));
	if (!j_null(hub, "hint") && j_str(hub, "hint")[0])
		(void)fprintf(stderr, "hint: %s\n", j_str(hub, "hint"));
	text_release(&line);
}

#define COPY_SAID_NS (2 * 3600 * 1000000000ull) /* a copy that is still there comes again within an hour */

/* "press-4: a copy of it was refused 12 s ago" */
static void print_copies(const json_t *nodes)
{
	const uint64_t now = cli_now_ns();
	struct text line = {0};
	size_t i;
	json_t *n;

	json_array_foreach(nodes, i, n)
	{
		uint64_t at = j_null(n, "copy_refused") ? 0 : j_time(n, "copy_refused");
		char d[32];

		if (!at || now > at + COPY_SAID_NS || strcmp(j_str(n, "state"), "up") != 0)
			continue;
		text_clear(&line);
		text_add(&line, "\n");
		term_paint(&line, stdout, YELLOW, j_str(n, "name"));
		text_addf(&line, ": from another machine or folder a copy of it was refused %s ago",
		        duration_text(now > at ? now - at : 0, d, sizeof(d)));
		(void)puts(text_str(&line));
	}
	text_release(&line);
}

/* What nobody shall overlook: a log that shows two histories. */
static void print_alarms(const json_t *nodes)
{
	const json_t *n, *r;
	struct text line = {0};
	size_t i, k;

	json_array_foreach(nodes, i, n)
	{
		json_array_foreach(json_object_get(n, "notices"), k, r)
		{
			const char *s = json_string_value(r);

			if (!s || strncmp(s, "ALARM: ", 7) != 0)
				continue;
			text_clear(&line);
			term_paint(&line, stdout, RED, "\nALARM: ");
			text_add_clean(&line, s + 7, strlen(s + 7), "");
			(void)puts(text_str(&line));
		}
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
	else if (!args_flag(&c->args, "resources")) {
		print_nodes(nodes, args_flag(&c->args, "labels"));
		print_away(nodes);
		print_copies(nodes);
		print_alarms(nodes);
	} else
		json_array_foreach(nodes, i, n)
		{
			if (i)
				(void)putchar('\n');
			print_node_resources(n);
		}
	if (!c->json && !j_null(j, "hub"))
		print_hub(json_object_get(j, "hub"));
	json_decref(j);
	return EXIT_OK;
}

const struct command_def cmd_nodes = {
        .name = "nodes",
        .group = GROUP_NODE,
        .usage = "[options]",
        .summary = "show the nodes, their state, load and latency, and what runs where",
        .about = "Shows each node with what of its cpu, memory and gpus is given away, its load, how far it "
                 "is, "
                 "and what runs there: how many leases, and of which jobs and steps. Of each that cannot be "
                 "reached it says when it was last heard. With --resources: every resource and device, and "
                 "what "
                 "this machine cannot enforce. With --labels: what jobs can ask for with 'where'. A node "
                 "that pauses "
                 "gets no batch work for a while: task after task failed on it.",
        .examples = "osier nodes\n"
                    "osier nodes --labels\n"
                    "osier nodes --resources    # devices too",
        .options = options,
        .args_max = 0,
        .run = run,
};
