/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_anchor - the part of `osier ledger` that is about anchors, and what `osier verify` says of them. */
#ifndef OSIER_CLI_LEDGER_ANCHOR_H
#define OSIER_CLI_LEDGER_ANCHOR_H

#include "cli/cli.h"

/* `osier ledger anchor [CHAIN-ID | list | deploy [CHAIN-ID]]`; connected already. Returns the exit code. */
int ledger_anchor(struct cli *c);

#endif
