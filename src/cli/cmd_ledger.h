/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_ledger - what the files of `osier ledger` share: each gives some of its subcommands. */
#ifndef OSIER_CLI_CMD_LEDGER_H
#define OSIER_CLI_CMD_LEDGER_H

#include "cli/cli.h"

/* `export DIR`: the node's log as a folder. */
int ledger_export(struct cli *c);
/* `mirror URL DIR --policy FILE`: another log as a folder. Needs no node. */
int ledger_mirror(struct cli *c);
/* The policy in a file. */
struct policy;
int ledger_policy(const char *path, struct policy *out, struct err *e);
/* `keys [rotate ROLE | revoke KEY]`, and `policy`: the lines that trust this log. */
int ledger_keys(struct cli *c);
int ledger_own_policy(struct cli *c);
/* `witness`: who witnesses this log, and which logs this node witnesses. */
int ledger_witness(struct cli *c);
/* `audit [DIR]`: the stored bytes, all of them. Needs no node. */
int ledger_audit(struct cli *c);

/* --of NODE: head, entry, proof, consistency, policy, audit of this hub's copy of that node's log. */
int ledger_of(struct cli *c, const char *word);
/* The folder of that copy; for free(). ERR_NOTFOUND: there is none. */
int ledger_copy_of(struct cli *c, const char *node, char **out, struct err *e);
/* `osier receipt TASK --of NODE`: out of that copy; path NULL: to the standard output. */
int receipt_of(struct cli *c, const char *name, const char *path);

#endif
