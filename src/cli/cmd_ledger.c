/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_ledger - `osier ledger`: the node's log as it is published. */
#include "cli/cmd_ledger.h"
#include "cli/commands.h"

#include <stdlib.h>

#include "base/check.h"
#include "cli/ledger_anchor.h"
#include "cli/show.h"

static int bad_number(struct cli *c, const char *what)
{
	return cli_usage(c, "%s must be a number", what);
}

static bool number(const char *text, unsigned long long *out)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	*out = strtoull(text, &end, 10);
	return !*end;
}

static int head(struct cli *c)
{
	struct err e = {0};
	json_t *j = ask_get(c, &e, "/v1/ledger");
	uint64_t now = cli_now_ns();
	char a[32];

	if (!j)
		return cli_fail(c, &e);
	if (c->json) {
		json_print(j);
	} else {
		show_field("log", j_str(j, "origin"));
		show_fieldf("entries", "%llu signed, %llu durable", (unsigned long long)j_uint(j, "size"),
		        (unsigned long long)j_uint(j, "durable"));
		show_field("root", j_str(j, "root"));
		show_fieldf("signed at", "%s", clock_text(j_time(j, "time"), now, a, sizeof(a)));
		if (!j_null(j, "url"))
			show_field("served at", j_str(j, "url"));
		if (!j_null(j, "failed"))
			show_fieldf("FAILED", "%s", j_str(j, "failed"));
		(void)printf("\n%s", j_str(j, "note"));
	}
	json_decref(j);
	return EXIT_OK;
}

static int entry(struct cli *c)
{
	unsigned long long n;
	struct err e = {0};
	json_t *page, *j;

	if (c->args.n_args != 2 || !number(c->args.arg[1], &n))
		return bad_number(c, "the entry");
	page = ask_get(c, &e, "/v1/journal/entries?from=%llu&limit=1", n);
	if (!page)
		return cli_fail(c, &e);
	j = json_array_get(json_object_get(page, "entries"), 0);
	if (!j) {
		json_decref(page);
		(void)err_set(&e, ERR_NOTFOUND, "there is no entry %llu", n);
		return cli_fail(c, &e);
	}
	json_print(j);
	json_decref(page);
	return EXIT_OK;
}

static void print_path(const json_t *j)
{
	size_t i;
	json_t *v;

	show_field("log", j_str(j, "origin"));
	json_array_foreach(json_object_get(j, "path"), i, v)
	        show_field(i ? "" : "path", json_string_value(v));
	if (!i)
		show_field("path", "empty: none is needed");
}

static int show_proof(struct cli *c, json_t *j, struct err *e, const char *what)
{
	if (!j)
		return cli_fail(c, e);
	if (c->json) {
		json_print(j);
	} else {
		if (*j_str(j, "leaf")) {
			show_fieldf("entry", "%llu of %llu", (unsigned long long)j_uint(j, "index"),
			        (unsigned long long)j_uint(j, "size"));
			show_field("leaf", j_str(j, "leaf"));
			if (j_bool(j, "expired"))
				show_fieldf("payload", "expired: that of entry %llu was dropped by policy",
				        (unsigned long long)j_uint(j, "index"));
		} else {
			show_fieldf("trees", "%llu, and %llu after it", (unsigned long long)j_uint(j, "old"),
			        (unsigned long long)j_uint(j, "size"));
			show_field("old root", j_str(j, "old_root"));
		}
		show_field("root", j_str(j, "root"));
		print_path(j);
		(void)what;
	}
	json_decref(j);
	return EXIT_OK;
}

static int proof(struct cli *c)
{
	unsigned long long n;
	struct err e = {0};

	if (c->args.n_args != 2 || !number(c->args.arg[1], &n))
		return bad_number(c, "the entry");
	return show_proof(c, ask_get(c, &e, "/v1/ledger/proof?index=%llu", n), &e, "entry");
}

static int consistency(struct cli *c)
{
	unsigned long long m, n;
	struct err e = {0};

	if (c->args.n_args != 3 || !number(c->args.arg[1], &m) || !number(c->args.arg[2], &n))
		return cli_usage(c, "two sizes are needed, the smaller first");
	return show_proof(c, ask_get(c, &e, "/v1/ledger/consistency?old=%llu&size=%llu", m, n), &e, "trees");
}

static int publish(struct cli *c)
{
	struct err e = {0};
	json_t *j = ask(c, "POST", "/v1/ledger/publish", NULL, &e);

	if (!j)
		return cli_fail(c, &e);
	if (c->json)
		json_print(j);
	else
		(void)printf("%llu entries of %s are signed\n", (unsigned long long)j_uint(j, "size"),
		        j_str(j, "origin"));
	json_decref(j);
	return EXIT_OK;
}

/* What of a node a subcommand needs. */
enum need { NEED_NOTHING, NEED_LOOK, NEED_NODE };

static int connect_as(struct cli *c, enum need need, struct err *e)
{
	switch (need) {
	case NEED_NOTHING:
		return 0;
	case NEED_LOOK:
		return cli_connect_look(c, e);
	case NEED_NODE:
		return cli_connect(c, e);
	}
	return 0;
}

static const struct option_def options[] = {
        {'p', "policy", "FILE", "mirror, audit DIR: whom to trust, with a line 'log VKEY'", COMPLETE_FILE,
                NULL},
        {'f', "follow", NULL, "mirror: go on, until Ctrl-C", COMPLETE_NOTHING, NULL},
        {0, "every", "TIME", "mirror --follow: how often the log is asked (10s)", COMPLETE_NOTHING, NULL},
        {0, "timeout", "TIME", "mirror: how long one file may take (30s)", COMPLETE_NOTHING, NULL},
        {0, "hashes", NULL, "mirror, export: without entries; proofs need none", COMPLETE_NOTHING, NULL},
        {0, "of", "NODE",
                "head, entry, proof, consistency, policy, audit: of this hub's copy of that node's log",
                COMPLETE_NODE, NULL},
        {0, "reason", "TEXT", "keys revoke: why, for all who read the log", COMPLETE_NOTHING, NULL},
        {0, "ca", "FILE", "mirror: authorities for https, PEM", COMPLETE_FILE, NULL},
        {0},
};

static const struct {
	const char *name;
	int (*run)(struct cli *c);
	int args;
	enum need need;
} words[] = {
        {"head", head, 1, NEED_LOOK},
        {"entry", entry, 2, NEED_LOOK},
        {"proof", proof, 2, NEED_LOOK},
        {"consistency", consistency, 3, NEED_LOOK},
        {"witness", ledger_witness, 1, NEED_NODE},
        {"keys", ledger_keys, 3, NEED_NOTHING},
        {"policy", ledger_own_policy, 1, NEED_LOOK},
        {"publish", publish, 1, NEED_NODE},
        {"anchor", ledger_anchor, 3, NEED_NODE},
        {"export", ledger_export, 2, NEED_LOOK},
        {"mirror", ledger_mirror, 3, NEED_NOTHING},
        {"audit", ledger_audit, 2, NEED_NOTHING},
};

static int run(struct cli *c)
{
	const char *word = c->args.n_args ? c->args.arg[0] : "head";
	struct text known = {0};
	struct err e = {0};
	int rc;

	if (args_value(&c->args, "of"))
		return ledger_of(c, word);
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp(word, words[i].name) != 0)
			continue;
		if (c->args.n_args > words[i].args)
			return cli_usage(c, "too much is said after '%s'", word);
		return connect_as(c, words[i].need, &e) < 0 ? cli_fail(c, &e) : words[i].run(c);
	}
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		text_addf(&known, "%s%s", i ? ", " : "", words[i].name);
	rc = cli_usage(c, "'%.40s' is none of %s", word, text_str(&known));
	text_release(&known);
	return rc;
}

const struct command_def cmd_ledger = {
        .name = "ledger",
        .group = GROUP_PROVE,
        .usage = "[head | entry N | proof N | consistency M N | keys [rotate log|node|anchor | revoke KEY] | "
                 "policy "
                 "| publish | witness | anchor "
                 "[list | "
                 "deploy] | export DIR | "
                 "mirror URL DIR | audit [DIR]]",
        .summary = "show the node's log as it is published, prove what is in it, copy and check logs",
        .about = "Every change of the node's state is an entry of its journal, and the journal is a log that "
                 "can only grow (RFC 6962). "
                 "Its head is signed about once a second while there is something new. A proof shows that an "
                 "entry is in it, "
                 "consistency that a smaller tree is its beginning. 'policy' writes what 'osier verify' "
                 "needs.\n\n"
                 "'export' writes the log as a folder of files (C2SP tlog-tiles) that any web server can "
                 "serve. 'mirror' "
                 "copies the log of somebody else (http, https, file: or a folder), and believes nothing: "
                 "every "
                 "file is checked against the head that the policy trusts, and every head against the one "
                 "before. A log "
                 "that shows two histories is refused with exit code 7, and the evidence is kept in the "
                 "folder.\n\n"
                 "'audit' computes everything again from the stored bytes, with all processors and without a "
                 "node: every leaf, every tile, "
                 "the head, its signature and the receipts; of this node's journal, or of a log as a "
                 "folder.\n\n"
                 "With --of NODE, on a hub: the same of the copy that it keeps of that node's log, "
                 "also when the node "
                 "is gone; 'consistency' then takes the smaller size alone, and 'audit' checks the head by "
                 "the keys that the hub knew.\n\n"
                 "'keys' shows which key signs what, since which entry. 'keys rotate' makes a new one, 'keys "
                 "revoke' "
                 "says that what a key signs in later entries counts for nothing; both are entries of the "
                 "log.\n\n"
                 "'witness' shows who cosigns this node's heads, what is wrong with whom, and which logs "
                 "this node "
                 "cosigns.\n\n"
                 "'anchor' writes the newest head into the contract on the configured chain, and follows it "
                 "until the "
                 "chain cannot take it back; 'anchor deploy' puts the contract there first, 'anchor list' "
                 "shows what "
                 "was anchored and stamped.",
        .examples = "osier ledger\n"
                    "osier ledger proof 17 --json\n"
                    "osier ledger policy > trust.policy\n"
                    "osier ledger keys rotate node\n"
                    "osier ledger keys revoke 1a2b3c4d --reason 'the laptop was stolen'\n"
                    "osier ledger witness\n"
                    "osier ledger anchor\n"
                    "osier ledger export /srv/log\n"
                    "osier ledger mirror http://press-4:8700 copy --policy trust.policy --follow\n"
                    "osier ledger audit\n"
                    "osier ledger audit --of press-4",
        .options = options,
        .args_max = 3,
        .complete = COMPLETE_FOLDER,
        .run = run,
};
