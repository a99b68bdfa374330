/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_ns - `osier ns`: namespaces, their weights and quotas. */
#include "cli/commands.h"

static const struct option_def options[] = {
        {'w', "weight", "N", "its share of what is free, beside the others' (1 unless set)", COMPLETE_NOTHING,
                NULL},
        {'q', "quota", "RESOURCE=AMOUNT",
                "at most this much at once: cpu=4, memory=8GiB; may be given again; '' lifts all",
                COMPLETE_NOTHING, NULL},
        {'l', "local", "RESOURCE=AMOUNT",
                "of the quota, what each node that has joined may always use for what is submitted there",
                COMPLETE_NOTHING, NULL},
        {'\0', "lend", "DURATION",
                "for so long a joined node may go on with its share without a word of this one's (24h)",
                COMPLETE_NOTHING, NULL},
        {0},
};

/* Beside its own quota, the share of the hub's; and what of it is lent to nodes. */
static void share_text(struct text *t, const json_t *n)
{
	const json_t *share = j_get(n, "share");
	struct text more = {0};
	char s[32];

	if (share) {
		needs_text(&more, json_object_get(share, "quota"));
		text_addf(t, "%s%s of %s's", t->n ? "; " : "", text_str(&more), j_str(share, "of"));
		if (!j_null(share, "until"))
			text_addf(t, " until %s",
			        clock_text(j_time(share, "until"), cli_now_ns(), s, sizeof(s)));
	}
	text_clear(&more);
	needs_text(&more, json_object_get(n, "lent"));
	if (more.n)
		text_addf(t, ", %s of it lent to nodes", text_str(&more));
	text_release(&more);
}

static void print(const json_t *list)
{
	struct table *t = table_new();
	size_t i;
	json_t *n;

	table_column(t, "NAMESPACE", LEFT, true);
	table_column(t, "WEIGHT", RIGHT, false);
	table_column(t, "USED", LEFT, true);
	table_column(t, "QUOTA", LEFT, true);
	json_array_foreach(list, i, n)
	{
		struct text used = {0}, quota = {0};

		needs_text(&used, json_object_get(n, "used"));
		needs_text(&quota, json_object_get(n, "quota"));
		table_cell(t, BOLD, j_str(n, "name"));
		table_cellf(t, PLAIN, "%llu", (unsigned long long)j_uint(n, "weight"));
		table_cell(t, PLAIN, used.n ? text_str(&used) : "-");
		share_text(&quota, n);
		table_cell(t, PLAIN, quota.n ? text_str(&quota) : "no limit");
		text_release(&used);
		text_release(&quota);
	}
	table_print(t);
	table_free(t);
}

static int add_quota(json_t *quota, const char *word, struct err *e)
{
	const char *equals = strchr(word, '=');
	char name[65];
	uint64_t bytes;

	if (!*word)
		return 0;
	if (!equals || equals == word || equals - word > 64) {
		(void)err_set(e, ERR_INVALID, "'%.60s' is not a quota", word);
		return err_hint(e, "write it like --quota cpu=4 --quota memory=8GiB");
	}
	(void)snprintf(name, sizeof(name), "%.*s", (int)(equals - word), word);
	if (strcmp(name, "memory") == 0 || strcmp(name, "disk") == 0) {
		if (size_parse(equals + 1, &bytes, e) < 0)
			return -1;
		json_object_set_new(quota, name, json_integer((json_int_t)bytes));
	} else {
		char *end;
		double v = strtod(equals + 1, &end);

		if (end == equals + 1 || *end || !(v >= 0) || v > 1e12)
			return err_set(e, ERR_INVALID, "the quota of %s must be a number, not '%.40s'", name,
			        equals + 1);
		json_object_set_new(quota, name, json_real(v));
	}
	return 0;
}

/* What is not said stays as it is: PUT replaces both. */
static int add_present(struct cli *c, const char *name, json_t *body, struct err *e)
{
	json_t *all = ask_get(c, e, "/v1/namespaces"), *n;
	size_t i;

	if (!all)
		return -1;
	json_array_foreach(json_object_get(all, "namespaces"), i, n)
	{
		if (strcmp(j_str(n, "name"), name) != 0)
			continue;
		json_object_set(body, "weight", json_object_get(n, "weight"));
		json_object_set(body, "quota", json_object_get(n, "quota"));
		json_object_set(body, "local", json_object_get(n, "local"));
		json_object_set(body, "lend_s", json_object_get(n, "lend_s"));
	}
	json_decref(all);
	return 0;
}

static json_t *set(struct cli *c, const char *name, struct err *e)
{
	json_t *body = json_object(), *quota = json_object(), *local = json_object(), *out = NULL;
	const char *weight = args_value(&c->args, "weight"), *lend = args_value(&c->args, "lend"), *word;
	struct text t = {0};
	uint64_t n;
	int rc = add_present(c, name, body, e);

	if (rc == 0 && weight) {
		rc = number_parse(weight, "the weight", 1000000, &n, e);
		if (rc == 0)
			json_object_set_new(body, "weight", json_integer((json_int_t)n));
	}
	for (size_t i = 0; rc == 0 && (word = args_nth(&c->args, "quota", i)); i++)
		rc = add_quota(quota, word, e);
	if (args_value(&c->args, "quota"))
		json_object_set(body, "quota", quota);
	for (size_t i = 0; rc == 0 && (word = args_nth(&c->args, "local", i)); i++)
		rc = add_quota(local, word, e);
	if (args_value(&c->args, "local"))
		json_object_set(body, "local", local);
	if (rc == 0 && lend) {
		rc = duration_parse(lend, &n, e);
		if (rc == 0)
			json_object_set_new(body, "lend_s", json_real((double)n / 1e9));
	}
	text_add(&t, "/v1/namespaces/");
	url_add(&t, name);
	if (rc == 0)
		out = ask(c, "PUT", text_str(&t), body, e);
	text_release(&t);
	json_decref(quota);
	json_decref(local);
	json_decref(body);
	return out;
}

static int run(struct cli *c)
{
	bool change = c->args.n_args > 0;
	struct err e = {0};
	json_t *j, *one;

	if (change && (strcmp(c->args.arg[0], "set") != 0 || c->args.n_args != 2))
		return cli_usage(c, "namespaces are listed by 'osier ns' and changed by 'osier ns set NAME'");
	if (change && !c->args.n_options)
		return cli_usage(c, "say what to set: --weight, --quota, --local or --lend");
	if (!change && (args_flag(&c->args, "weight") || args_flag(&c->args, "quota") ||
	                       args_flag(&c->args, "local") || args_flag(&c->args, "lend")))
		return cli_usage(c, "say of which namespace: 'osier ns set NAME'");
	if ((change ? cli_connect(c, &e) : cli_connect_look(c, &e)) < 0)
		return cli_fail(c, &e);
	j = change ? set(c, c->args.arg[1], &e) : ask_get(c, &e, "/v1/namespaces");
	if (!j)
		return cli_fail(c, &e);
	if (c->json) {
		json_print(j);
	} else if (change) {
		one = json_pack("[O]", j);
		print(one);
		json_decref(one);
	} else {
		print(json_object_get(j, "namespaces"));
	}
	json_decref(j);
	return EXIT_OK;
}

const struct command_def cmd_ns = {
        .name = "ns",
        .group = GROUP_NODE,
        .usage = "[set NAME --weight N --quota RESOURCE=AMOUNT --local RESOURCE=AMOUNT --lend DURATION]",
        .summary = "show namespaces, set their weights and quotas",
        .about = "What is free is shared between namespaces by weight; a quota is the most that one may hold "
                 "at once. A namespace comes into "
                 "being with its first job, or here. Of a hub's quotas each node that has joined has a share "
                 "for what is "
                 "submitted there: docs/fleet.md says how large.",
        .examples = "osier ns\n"
                    "osier ns set team-a --weight 2 --quota cpu=8 --quota memory=16GiB\n"
                    "osier ns set team-a --quota ''      # lift its quotas",
        .options = options,
        .args_max = 2,
        .words = "set",
        .run = run,
};
