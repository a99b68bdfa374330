/* SPDX-License-Identifier: Apache-2.0 */
/* commands - the definitions that cmd_*.c give; commands.c lists them. */
#ifndef OSIER_CLI_COMMANDS_H
#define OSIER_CLI_COMMANDS_H

#include "cli/cli.h"

extern const struct command_def cmd_run, cmd_submit, cmd_init, cmd_validate, cmd_plan, cmd_gang;
extern const struct command_def cmd_jobs, cmd_job, cmd_tasks, cmd_logs, cmd_why, cmd_wait, cmd_top;
extern const struct command_def cmd_cancel, cmd_retry, cmd_adjust, cmd_release;
extern const struct command_def cmd_up, cmd_down, cmd_nodes, cmd_node, cmd_ns, cmd_hub, cmd_join, cmd_leave,
        cmd_journal, cmd_backup, cmd_restore;
extern const struct command_def cmd_receipt, cmd_verify, cmd_history, cmd_ledger;
extern const struct command_def cmd_replay, cmd_doctor, cmd_version, cmd_help;
extern const struct command_def cmd_complete, cmd_man, cmd_dial;

#endif
