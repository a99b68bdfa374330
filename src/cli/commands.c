/* SPDX-License-Identifier: Apache-2.0 */
/* commands - the table of commands, in the order of help: see cli.h. */
#include "cli/commands.h"

#include "base/check.h"

static const struct command_def *const all[] = {
        &cmd_run, &cmd_submit, &cmd_init, &cmd_validate, &cmd_plan, &cmd_gang,     /* running */
        &cmd_jobs, &cmd_job, &cmd_tasks, &cmd_logs, &cmd_why, &cmd_wait, &cmd_top, /* looking */
        &cmd_cancel, &cmd_retry, &cmd_adjust, &cmd_release,                        /* changing */
        &cmd_up, &cmd_down, &cmd_nodes, &cmd_node, &cmd_ns, &cmd_hub, &cmd_join, &cmd_leave, &cmd_journal,
        &cmd_backup, &cmd_restore,                            /* the node */
        &cmd_receipt, &cmd_verify, &cmd_history, &cmd_ledger, /* proving */
        &cmd_replay, &cmd_doctor, &cmd_version, &cmd_help,    /* more */
        &cmd_complete, &cmd_man, &cmd_dial,                   /* hidden */
};

const struct command_def *command_at(size_t i)
{
	return i < ARRAY_LEN(all) ? all[i] : NULL;
}

const struct command_def *command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}
