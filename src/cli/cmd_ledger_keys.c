/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_ledger_keys - `osier ledger keys`: which key signs what, new ones, and ones that speak no more; `osier ledger policy`. */
#include "cli/cmd_ledger.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cli/show.h"
#include "cli/verify.h"

struct keyset *keys_fold(const json_t *keys)
{
	static const char *const roles[] = {"log", "node", "witness", "anchor"}, *const states[] = {"added",
	                                                                                 "retired",
	                                                                                 "revoked"};
	struct keyset *s = cli_alloc(sizeof(*s));
	size_t i, role, state;
	json_t *k;

	memset(s, 0, sizeof(*s));
	json_array_foreach(keys, i, k)
	{
		for (role = 0; role < ARRAY_LEN(roles) && strcmp(j_str(k, "role"), roles[role]) != 0;)
			role++;
		for (state = 0; state < ARRAY_LEN(states) && strcmp(j_str(k, "state"), states[state]) != 0;)
			state++;
		if (role < ARRAY_LEN(roles) && state < ARRAY_LEN(states))
			keyset_fold(s, j_uint(k, "entry"), (Wire__KeySet__Role)role,
			        (Wire__KeySet__State)state, j_str(k, "vkey"), j_str(k, "reason"));
	}
	return s;
}

static const char *signs(const struct keyset *s, const struct keyset_key *k)
{
	switch (k->role) {
	case WIRE__KEY_SET__ROLE__LOG:
		return "heads of the log";
	case WIRE__KEY_SET__ROLE__NODE:
		return k->state == WIRE__KEY_SET__STATE__ADDED && keyset_node(s) != k ? "nothing"
		                                                                      : "what was run";
	case WIRE__KEY_SET__ROLE__WITNESS:
		return "heads of other logs";
	case WIRE__KEY_SET__ROLE__ANCHOR:
		return "anchors";
	case _WIRE__KEY_SET__ROLE_IS_INT_SIZE:
		break;
	}
	return "?";
}

static void print_keys(const struct keyset *s)
{
	static const char *const states[] = {"added", "retired", "revoked"};
	struct table *t = table_new();
	bool ended = false;

	table_column(t, "SIGNS", LEFT, false);
	table_column(t, "STATE", LEFT, false);
	table_column(t, "SINCE ENTRY", RIGHT, false);
	table_column(t, "UNTIL ENTRY", RIGHT, false);
	table_column(t, "KEY", LEFT, true);
	for (unsigned i = 0; i < s->n; i++) {
		const struct keyset_key *k = &s->key[i];

		table_cell(t, PLAIN, signs(s, k));
		table_cell(t, k->state == WIRE__KEY_SET__STATE__REVOKED ? RED : PLAIN, states[k->state]);
		table_cellf(t, PLAIN, "%llu", (unsigned long long)k->since);
		if (k->until == KEYSET_FOREVER)
			table_cell(t, DIM, "-");
		else
			table_cellf(t, PLAIN, "%llu", (unsigned long long)k->until);
		table_cell(t, PLAIN, k->vkey);
		ended |= k->state == WIRE__KEY_SET__STATE__REVOKED;
	}
	table_print(t);
	table_free(t);
	for (unsigned i = 0; ended && i < s->n; i++)
		if (s->key[i].state == WIRE__KEY_SET__STATE__REVOKED)
			term_note("entry %llu revoked %.90s: %s", (unsigned long long)s->key[i].until,
			        s->key[i].vkey, s->key[i].reason);
}

static int show_keys(struct cli *c, json_t *j)
{
	struct keyset *s = keys_fold(json_object_get(j, "keys"));

	if (c->json)
		json_print(j);
	else
		print_keys(s);
	free(s);
	json_decref(j);
	return EXIT_OK;
}

/* What there is must be read before it can be changed: a node that has just started reads its log first. */
static json_t *change(struct cli *c, const char *target, json_t *body, struct err *e)
{
	json_t *head = ask(c, "POST", "/v1/ledger/publish", NULL, e), *j = NULL;

	if (head)
		j = ask(c, "POST", target, body, e);
	json_decref(head);
	json_decref(body);
	return j;
}

static int rotate(struct cli *c)
{
	const char *role = c->args.n_args == 3 ? c->args.arg[2] : "";
	struct err e = {0};
	json_t *j;

	if (strcmp(role, "log") != 0 && strcmp(role, "node") != 0 && strcmp(role, "anchor") != 0)
		return cli_usage(c, "whose key: 'osier ledger keys rotate log', 'node' or 'anchor'");
	if (cli_connect(c, &e) < 0 ||
	        !(j = change(c, "/v1/ledger/keys/rotate", json_pack("{s:s}", "role", role), &e)))
		return cli_fail(c, &e);
	if (strcmp(role, "log") == 0)
		term_hint("both keys sign from now on: give verifiers the new line of 'osier ledger policy', "
		          "then revoke "
		          "the old key");
	if (strcmp(role, "anchor") == 0)
		term_hint("give the new account money, and take what is left out of the old one: its key is "
		          "the newest of "
		          "keys/anchor.key.N; who verifies with --account takes the new one for newer heads");
	return show_keys(c, j);
}

static int revoke(struct cli *c)
{
	const char *reason = args_value(&c->args, "reason");
	struct err e = {0};
	json_t *j;

	if (c->args.n_args != 3)
		return cli_usage(c, "which key: NAME+ID+KEY or its ID, as 'osier ledger keys' shows it");
	if (!reason || !*reason)
		return cli_usage(c, "--reason is needed: it is written into the log for ever");
	if (cli_connect(c, &e) < 0 ||
	        !(j = change(c, "/v1/ledger/keys/revoke",
	                  json_pack("{s:s,s:s}", "key", c->args.arg[2], "reason", reason), &e)))
		return cli_fail(c, &e);
	return show_keys(c, j);
}

int ledger_keys(struct cli *c)
{
	const char *word = c->args.n_args > 1 ? c->args.arg[1] : "";
	struct err e = {0};
	json_t *j;

	if (strcmp(word, "rotate") == 0)
		return rotate(c);
	if (strcmp(word, "revoke") == 0)
		return revoke(c);
	if (*word)
		return cli_usage(c, "'%.40s' is none of rotate, revoke", word);
	if (cli_connect_look(c, &e) < 0 || !(j = ask_get(c, &e, "/v1/ledger/keys")))
		return cli_fail(c, &e);
	return show_keys(c, j);
}

/* Whoever cosigns over a link may be made a witness by taking the '#' away. */
static void offer(const json_t *fabric)
{
	json_t *l;
	size_t i;

	json_array_foreach(json_object_get(fabric, "logs"), i, l)
	{
		if (!j_null(l, "vkey"))
			(void)printf("#witness %s %s\n", j_str(l, "name"), j_str(l, "vkey"));
	}
}

int ledger_own_policy(struct cli *c)
{
	const struct keyset_key *may[KEYSET_SIGNERS];
	struct err e = {0};
	json_t *j = ask_get(c, &e, "/v1/ledger/keys"), *w;
	struct keyset *s;
	unsigned n;

	if (!j)
		return cli_fail(c, &e);
	s = keys_fold(json_object_get(j, "keys"));
	n = keyset_signers(s, may);
	(void)puts("# Whom a verifier of this node's receipts trusts (C2SP tlog-policy).");
	for (unsigned i = 0; i < n; i++)
		(void)printf("log %s\n", may[i]->vkey);
	w = ask_get(c, &e, "/v1/ledger/fabric");
	offer(w);
	json_decref(w);
	w = ask_get(c, &e, "/v1/ledger/witnesses");
	if (w && json_is_string(json_object_get(w, "policy")))
		(void)fputs(json_string_value(json_object_get(w, "policy")), stdout);
	else
		(void)puts("# Witnesses would stand here: witness NAME VKEY, and a quorum of them.\nquorum "
		           "none");
	json_decref(w);
	free(s);
	json_decref(j);
	return EXIT_OK;
}
