/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_backup - `osier backup` and `osier restore`: a node in one file, and back. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/nodeproc.h"
#include "cli/show.h"
#include "io/backup.h"

static const struct option_def backup_options[] = {
        {0, "keys", NULL, "with the node's keys: whoever has the file can be the node", COMPLETE_NOTHING,
                NULL},
        {0},
};

static void say(const struct cli *c, const char *what, const struct journal_moved *m, bool keys)
{
	char root[65];

	for (int i = 0; i < 32; i++)
		(void)snprintf(root + 2 * i, 3, "%02x", m->root[i]);
	if (c->json) {
		json_t *j = json_pack(
		        "{s:I,s:s,s:b}", "entries", (json_int_t)m->entries, "root", root, "keys", keys);

		json_print(j);
		json_decref(j);
		return;
	}
	(void)printf("%s %llu entries, root %s, %s\n", what, (unsigned long long)m->entries, root,
	        keys ? "with keys" : "without keys");
}

static int run_backup(struct cli *c)
{
	bool keys = args_flag(&c->args, "keys");
	struct journal_moved m;
	struct err e = {0};

	if (state_folder(args_value(&c->args, "state"), &c->state_dir, &e) < 0 ||
	        backup_write(c->state_dir, c->args.arg[0], keys, &m, &e) < 0)
		return cli_fail(c, &e);
	say(c, "saved", &m, keys);
	return EXIT_OK;
}

const struct command_def cmd_backup = {
        .name = "backup",
        .group = GROUP_NODE,
        .usage = "[--keys] FILE",
        .summary = "save the node in one file, while it is up",
        .about = "The journal as it is at one moment (of a record, too), every entry of the copy hashed; "
                 "what the ledger has published, "
                 "the newest snapshot, the configuration. Not blobs and not what tasks have on disk. The "
                 "file appears whole or not at all.",
        .examples = "osier backup /mnt/osier-$(date +%F).tar\n"
                    "osier backup --keys /mnt/secret/osier.tar",
        .options = backup_options,
        .args_min = 1,
        .args_max = 1,
        .here = true,
        .run = run_backup,
};

static const struct option_def restore_options[] = {{0}};

static int run_restore(struct cli *c)
{
	struct journal_moved m;
	struct err e = {0};
	bool keys = false;

	if (state_folder(args_value(&c->args, "state"), &c->state_dir, &e) < 0 ||
	        state_folder_make(c->state_dir, &e) < 0 ||
	        backup_restore(c->args.arg[0], c->state_dir, &m, &keys, &e) < 0)
		return cli_fail(c, &e);
	say(c, "restored", &m, keys);
	if (!c->json)
		term_hint("a node that had gone on after this was saved is another now: a hub asks it to "
		          "join again%s",
		        keys ? ""
		             : "; it has new keys, so its log is signed by nobody until they are put back");
	return EXIT_OK;
}

const struct command_def cmd_restore = {
        .name = "restore",
        .group = GROUP_NODE,
        .usage = "FILE",
        .summary = "make a state folder of what 'osier backup' saved",
        .about = "Only where no node has been: an empty folder, or one with a config.yaml, which is kept. "
                 "The journal is hashed entry by entry "
                 "before anything is put in its place. What was acknowledged after the backup is not in it; "
                 "what "
                 "ran then runs again.",
        .examples = "osier restore /mnt/osier-2026-11-21.tar --state /srv/osier",
        .options = restore_options,
        .args_min = 1,
        .args_max = 1,
        .here = true,
        .run = run_restore,
};
