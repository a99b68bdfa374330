/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_ledger_witness - `osier ledger witness`: who witnesses this node's log, and which logs this node witnesses. */
#include "cli/cmd_ledger.h"

#include <string.h>

#include "base/check.h"
#include "cli/show.h"

/* NULL without an error: there is no such thing here. */
static json_t *get(struct cli *c, const char *target, struct err *e)
{
	json_t *j = ask_get(c, e, "%s", target);

	if (!j && e->code == ERR_NOTFOUND)
		e->code = ERR_NONE;
	return j;
}

static void when(struct table *t, const json_t *j, const char *key)
{
	char text[32];

	if (j_null(j, key))
		table_cell(t, DIM, "never");
	else
		table_cell(t, PLAIN, clock_text(j_time(j, key), cli_now_ns(), text, sizeof(text)));
}

/* Those of the policy, and how they stand. */
static void show_asked(const json_t *j)
{
	struct table *t = table_new();
	json_t *w;
	size_t i;

	show_fieldf("witnessed", "%llu of %llu entries, as %s asks for",
	        (unsigned long long)j_uint(j, "witnessed"), (unsigned long long)j_uint(j, "size"),
	        j_null(j, "quorum") ? "nobody" : j_str(j, "quorum"));
	(void)putchar('\n');
	table_column(t, "WITNESS", LEFT, false);
	table_column(t, "COSIGNED", RIGHT, false);
	table_column(t, "WHEN", LEFT, false);
	table_column(t, "STATE", LEFT, true);
	json_array_foreach(json_object_get(j, "witnesses"), i, w)
	{
		table_cell(t, PLAIN, j_str(w, "name"));
		table_cellf(t, PLAIN, "%llu", (unsigned long long)j_uint(w, "size"));
		when(t, w, "time");
		if (!j_null(w, "error"))
			table_cell(t, RED, j_str(w, "error"));
		else if (j_null(w, "url"))
			table_cell(t, DIM,
			        "is not asked: it has no address; a node of this hub hands in by itself");
		else
			table_cell(t, PLAIN, j_uint(w, "size") ? "cosigns" : "asked");
	}
	table_print(t);
	table_free(t);
}

/* The logs that this node witnesses. */
static void show_own(const json_t *j)
{
	struct table *t = table_new();
	json_t *l;
	size_t i;

	show_field("a witness", j_str(j, "vkey"));
	(void)putchar('\n');
	table_column(t, "COSIGNED", RIGHT, false);
	table_column(t, "WHEN", LEFT, false);
	table_column(t, "STATE", LEFT, false);
	table_column(t, "LOG", LEFT, true);
	json_array_foreach(json_object_get(j, "logs"), i, l)
	{
		unsigned long long forks = j_uint(l, "forks");

		table_cellf(t, PLAIN, "%llu", (unsigned long long)j_uint(l, "size"));
		when(t, l, "time");
		if (forks)
			table_cell(t, RED, "SHOWS TWO FACES");
		else
			table_cell(t, PLAIN, "grows");
		table_cell(t, PLAIN, j_str(l, "origin"));
	}
	table_print(t);
	table_free(t);
}

/* The hub and the nodes that cosign over links. */
static void show_fabric(const json_t *j)
{
	struct table *t = table_new();
	json_t *l;
	size_t i;

	show_fieldf("over links", "hub and nodes cosign each other's logs, at most every %llu s",
	        (unsigned long long)j_uint(j, "every"));
	(void)putchar('\n');
	table_column(t, "NODE", LEFT, false);
	table_column(t, "COSIGNED OURS", RIGHT, false);
	table_column(t, "WHEN", LEFT, false);
	table_column(t, "ITS LOG", RIGHT, false);
	table_column(t, "WHEN", LEFT, false);
	table_column(t, "MIRRORED", RIGHT, false);
	table_column(t, "STATE", LEFT, true);
	json_array_foreach(json_object_get(j, "logs"), i, l)
	{
		table_cellf(t, PLAIN, "%s%s", j_str(l, "name"), j_bool(l, "hub") ? " (hub)" : "");
		table_cellf(t, PLAIN, "%llu", (unsigned long long)j_uint(l, "own_size"));
		when(t, l, "own_time");
		table_cellf(t, PLAIN, "%llu", (unsigned long long)j_uint(l, "size"));
		when(t, l, "time");
		table_cellf(t, PLAIN, "%llu", (unsigned long long)j_uint(l, "mirrored"));
		if (!j_null(l, "alarm"))
			table_cellf(
			        t, RED, "ALARM: %s; evidence: %s", j_str(l, "alarm"), j_str(l, "evidence"));
		else if (!j_null(l, "error"))
			table_cell(t, RED, j_str(l, "error"));
		else
			table_cell(t, PLAIN, j_uint(l, "own_size") ? "cosigns" : "has not cosigned yet");
	}
	table_print(t);
	table_free(t);
}

int ledger_witness(struct cli *c)
{
	struct err e = {0};
	json_t *asked = get(c, "/v1/ledger/witnesses", &e), *own = NULL, *fabric = NULL, *both;

	if (e.code == ERR_NONE)
		own = get(c, "/v1/witness", &e);
	if (e.code == ERR_NONE)
		fabric = get(c, "/v1/ledger/fabric", &e);
	if (fabric && json_array_size(json_object_get(fabric, "logs")) == 0) {
		json_decref(fabric);
		fabric = NULL;
	}
	if (e.code == ERR_NONE && !asked && !own && !fabric) {
		(void)err_set(&e, ERR_NOTFOUND, "this node asks no witnesses, and is none");
		(void)err_hint(
		        &e, "ledger.policy and ledger.witness in config.yaml; docs/ledger.md tells how");
	}
	if (e.code != ERR_NONE) {
		json_decref(asked);
		json_decref(own);
		json_decref(fabric);
		return cli_fail(c, &e);
	}
	if (c->json) {
		both = json_pack(
		        "{s:O?, s:O?, s:O?}", "witnesses", asked, "witness_of", own, "fabric", fabric);
		CHECK(both);
		json_print(both);
		json_decref(both);
	} else {
		if (asked)
			show_asked(asked);
		if (asked && own)
			(void)putchar('\n');
		if (own)
			show_own(own);
		if ((asked || own) && fabric)
			(void)putchar('\n');
		if (fabric)
			show_fabric(fabric);
	}
	json_decref(fabric);
	json_decref(asked);
	json_decref(own);
	return EXIT_OK;
}
