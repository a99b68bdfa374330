/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_history - `osier history`: who did what, from the ledger.
 *
 * The API gives pages from the newest entry backwards, people read forwards. So the pages are counted first, from the end to
 * the beginning of what is wanted, and printed the other way; only as many rows as a screen or a few takes are kept in
 * between, the others are asked for again (the journal only grows, so they are the same).
 */
#include "cli/commands.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "cli/show.h"

#define PAGE_MAX 1000u
#define KEPT_MAX 1000u /* rows in memory */

static const struct option_def options[] = {
        {'j', "job", "JOB", "only what was done for this job (a number finds forgotten ones, too)",
                COMPLETE_JOB, NULL},
        {0, "node", "NODE", "only what was done on this node", COMPLETE_NODE, NULL},
        {'u', "user", "USER", "only what this user did, and what was done for him (name or uid)",
                COMPLETE_NOTHING, NULL},
        {0, "since", "TIME", "only from then on: 2h (ago), 2026-11-20, 2026-11-20T14:05:09Z",
                COMPLETE_NOTHING, NULL},
        {0, "limit", "N", "at most this many, the newest (default 20)", COMPLETE_NOTHING, NULL},
        {'a', "all", NULL, "all of them", COMPLETE_NOTHING, NULL},
        {0},
};

struct page {
	uint64_t before, limit;
	json_t *rows; /* NULL: not kept */
};
struct pages {
	struct page *v;
	size_t n, max;
	uint64_t rows, kept, expired;
	bool more;
	struct text query; /* what each request asks beside the page */
};

/* ---- what is asked ---- */

static int user_id(const char *text, uint64_t *out, struct err *e)
{
	const char *number = strncmp(text, "uid:", 4) == 0 ? text + 4 : text;
	const struct passwd *pw;

	if (*number >= '0' && *number <= '9')
		return number_parse(number, "--user", UINT32_MAX, out, e);
	pw = getpwnam(text);
	if (!pw) {
		(void)err_set(e, ERR_INVALID, "there is no user '%.100s'", text);
		return err_hint(e, "a uid works too, for users of another machine or of before");
	}
	*out = pw->pw_uid;
	return 0;
}

/* A time, a day of the local calendar, or how long ago. */
static int since_when(const char *text, uint64_t *out, struct err *e)
{
	uint64_t ns = time_parse(text);
	struct tm tm = {.tm_isdst = -1};
	char end;

	if (!ns && sscanf(text, "%4d-%2d-%2d%c", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &end) == 3) {
		tm.tm_year -= 1900;
		tm.tm_mon--;
		ns = mktime(&tm) > 0 ? (uint64_t)mktime(&tm) * 1000000000u : 0;
	}
	if (!ns && strlen(text) < 16 && !strchr(text, '-') && duration_parse(text, &ns, e) == 0)
		ns = cli_now_ns() - ns;
	if (ns) {
		*out = ns;
		return 0;
	}
	(void)err_set(e, ERR_INVALID, "--since '%.60s' is no time", text);
	return err_hint(e, "2h (ago), 2026-11-20, or 2026-11-20T14:05:09Z");
}

static int read_query(const struct cli *c, struct text *out, struct err *e)
{
	const char *job = args_value(&c->args, "job"), *node = args_value(&c->args, "node"),
	           *user = args_value(&c->args, "user"), *since = args_value(&c->args, "since");
	uint64_t uid, ns = 0;

	if (job) {
		text_add(out, "&job=");
		url_add(out, job);
	}
	if (node) {
		text_add(out, "&node=");
		url_add(out, node);
	}
	if (user) {
		if (user_id(user, &uid, e) < 0)
			return -1;
		text_addf(out, "&uid=%llu", (unsigned long long)uid);
	}
	if (since) {
		time_t s;
		struct tm tm;

		if (since_when(since, &ns, e) < 0)
			return -1;
		s = (time_t)(ns / 1000000000u);
		(void)gmtime_r(&s, &tm);
		text_addf(out, "&since=%04d-%02d-%02dT%02d:%02d:%02d.%09lluZ", tm.tm_year + 1900,
		        tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		        (unsigned long long)(ns % 1000000000u));
	}
	return 0;
}

/* ---- backwards ---- */

static json_t *fetch(struct cli *c, const struct pages *p, uint64_t before, uint64_t limit, struct err *e)
{
	struct text t = {0};
	json_t *j;

	text_addf(&t, "/v1/history?limit=%llu%s", (unsigned long long)limit, text_str(&p->query));
	if (before != UINT64_MAX)
		text_addf(&t, "&before=%llu", (unsigned long long)before);
	j = ask(c, "GET", text_str(&t), NULL, e);
	text_release(&t);
	return j;
}

static void add_page(struct pages *p, const struct page *page)
{
	if (p->n == p->max) {
		p->max = p->max ? 2 * p->max : 64;
		p->v = realloc(p->v, p->max * sizeof(*p->v));
		CHECK(p->v);
	}
	p->v[p->n++] = *page;
}

/* Find the pages; most: of rows, 0 for all. */
static int find_pages(struct cli *c, struct pages *p, uint64_t most, struct err *e)
{
	uint64_t before = UINT64_MAX;

	for (;;) {
		uint64_t left = most ? most - p->rows : PAGE_MAX;
		struct page page = {.limit = left < PAGE_MAX ? left : PAGE_MAX};
		json_t *j = fetch(c, p, before, page.limit, e), *rows = json_object_get(j, "history");
		size_t n = json_array_size(rows);

		if (!j)
			return -1;
		page.before = j_uint(j, "before");
		if (n && p->kept + n <= KEPT_MAX) {
			page.rows = json_incref(rows);
			p->kept += n;
		}
		if (n)
			add_page(p, &page);
		p->rows += n;
		p->expired = j_uint(j, "expired");
		before = j_uint(j, "next");
		p->more = !j_null(j, "next");
		json_decref(j);
		if (!p->more || (most && p->rows >= most))
			return 0;
	}
}

/* ---- forwards ---- */

static void print_rows(const json_t *rows)
{
	struct table *t = table_new();
	uint64_t now = cli_now_ns();
	char a[32];

	table_column(t, "ENTRY", RIGHT, false);
	table_column(t, "TIME", LEFT, false);
	table_column(t, "USER", LEFT, false);
	table_column(t, "WHAT", LEFT, true);
	for (size_t i = json_array_size(rows); i-- > 0;) {
		const json_t *r = json_array_get(rows, i);

		table_cellf(t, PLAIN, "%llu", (unsigned long long)j_uint(r, "entry"));
		table_cell(t, PLAIN, clock_text(j_time(r, "time"), now, a, sizeof(a)));
		table_cell(t, j_null(r, "user") ? DIM : PLAIN, j_null(r, "user") ? "-" : j_str(r, "user"));
		table_cell(t, PLAIN, j_str(r, "what"));
	}
	table_print(t);
	table_free(t);
}

static void print_json(const json_t *rows, bool *first)
{
	for (size_t i = json_array_size(rows); i-- > 0; *first = false) {
		char *s = json_dumps(json_array_get(rows, i), JSON_COMPACT);

		CHECK(s);
		(void)printf("%s%s", *first ? "" : ",\n", s);
		free(s);
	}
}

static int print_pages(struct cli *c, const struct pages *p, struct err *e)
{
	bool first = true;
	int rc = 0;

	if (c->json)
		(void)printf("{\"expired\":%llu,\"more\":%s,\"history\":[", (unsigned long long)p->expired,
		        p->more ? "true" : "false");
	for (size_t i = p->n; rc == 0 && i-- > 0;) {
		json_t *j = p->v[i].rows ? NULL : fetch(c, p, p->v[i].before, p->v[i].limit, e);
		const json_t *rows = p->v[i].rows ? p->v[i].rows : json_object_get(j, "history");

		if (!rows)
			rc = -1;
		else if (c->json)
			print_json(rows, &first);
		else
			print_rows(rows);
		json_decref(j);
	}
	if (c->json)
		(void)puts("]}");
	return rc;
}

static void print_end(const struct pages *p)
{
	const json_t *newest = p->n && p->v[0].rows ? json_array_get(p->v[0].rows, 0) : NULL;

	if (p->expired)
		term_note("entries 0 to %llu: payload expired (their hashes stay in the log)",
		        (unsigned long long)p->expired - 1);
	if (!p->n)
		term_note("nothing like that in the history");
	if (p->more && p->n)
		term_note("there is more: --all shows it");
	if (newest)
		term_hint("'osier ledger entry %llu' shows an entry, 'osier ledger proof %llu' that it is in "
		          "the log",
		        (unsigned long long)j_uint(newest, "entry"),
		        (unsigned long long)j_uint(newest, "entry"));
}

static int run(struct cli *c)
{
	uint64_t most = args_flag(&c->args, "all") ? 0 : 20;
	const char *limit = args_value(&c->args, "limit");
	struct pages p = {0};
	struct err e = {0};
	int rc;

	if ((limit && count_parse(limit, "--limit", 1000000000, &most, &e) < 0) ||
	        read_query(c, &p.query, &e) < 0 || cli_connect_look(c, &e) < 0) {
		text_release(&p.query);
		return cli_fail(c, &e);
	}
	rc = find_pages(c, &p, most, &e);
	if (rc == 0)
		rc = print_pages(c, &p, &e);
	if (rc == 0 && !c->json)
		print_end(&p);
	for (size_t i = 0; i < p.n; i++)
		json_decref(p.v[i].rows);
	free(p.v);
	text_release(&p.query);
	return rc < 0 ? cli_fail(c, &e) : EXIT_OK;
}

const struct command_def cmd_history = {
        .name = "history",
        .group = GROUP_PROVE,
        .usage = "[--job JOB] [--node NODE] [--user USER] [--since TIME] [--limit N | --all]",
        .summary = "show who did what, from the ledger, the newest last",
        .about = "Each row is an entry of the node's log: a submit, a cancel, a lease granted, results, "
                 "keys, changes "
                 "of nodes and namespaces, what was refused. Its number leads to the entry itself and to the "
                 "proof that "
                 "it is in the log. Of entries whose payload was dropped by policy (history: in config.yaml) "
                 "only the "
                 "hashes are left, and that is said. Whoever is not the node's owner sees what concerns him.",
        .examples = "osier history\n"
                    "osier history --job pi-17 --all\n"
                    "osier history --user alice --since 2h\n"
                    "osier history --since 2026-11-20 --json | jq -r '.history[].what'",
        .options = options,
        .args_max = 0,
        .run = run,
};
