/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_journal - `osier journal move`: where a node's journal lies. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/nodeproc.h"
#include "cli/show.h"
#include "io/journal_move.h"

static const struct option_def options[] = {
        {0, "to", "URL|DIR", "postgres://USER@HOST/DB, or a folder without a journal", COMPLETE_FOLDER, NULL},
        {0},
};

static int run(struct cli *c)
{
	const char *to = args_value(&c->args, "to");
	struct journal_moved m;
	struct err e = {0};
	char root[65];
	int rc;

	if (c->args.n_args != 1 || strcmp(c->args.arg[0], "move") != 0)
		return cli_usage(c, "there is 'osier journal move --to URL|DIR'");
	if (!to)
		return cli_usage(c, "say where the journal goes: --to URL or --to DIR");
	if (state_folder(args_value(&c->args, "state"), &c->state_dir, &e) < 0)
		return cli_fail(c, &e);
	rc = strncmp(to, "postgres", 8) == 0 && strstr(to, "://")
	             ? journal_move_to_record(c->state_dir, to, &m, &e)
	             : journal_move_to_folder(c->state_dir, to, &m, &e);
	if (rc < 0)
		return cli_fail(c, &e);
	for (int i = 0; i < 32; i++)
		(void)snprintf(root + 2 * i, 3, "%02x", m.root[i]);
	if (c->json) {
		json_t *j = json_pack("{s:I,s:s}", "entries", (json_int_t)m.entries, "root", root);

		json_print(j);
		json_decref(j);
	} else {
		(void)printf("moved %llu entries, root %s before and after\n", (unsigned long long)m.entries,
		        root);
	}
	return EXIT_OK;
}

const struct command_def cmd_journal = {
        .name = "journal",
        .group = GROUP_NODE,
        .usage = "move --to URL|DIR",
        .summary = "carry the journal into a PostgreSQL, or back into a folder",
        .about = "The node must be down. Every row is copied in one transaction, every entry of the copy is "
                 "hashed again, and only when the "
                 "root of the tree is the same does the state folder change. Cut short, it begins anew or "
                 "finishes. A target "
                 "that is not empty is refused. The old file stays, as journal.db.moved; a record that was "
                 "left is taken by "
                 "no node again.",
        .examples = "osier journal move --to postgres://osier@db.example.com/osier\n"
                    "osier journal move --to /var/lib/osier      # back into the state folder",
        .options = options,
        .args_max = 1,
        .words = "move",
        .here = true,
        .run = run,
};
