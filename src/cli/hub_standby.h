/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_standby - `osier hub --standby LINE`: make this machine able to take over from a hub, before its node is started.
 *
 * Not the standing by itself (engine/standby.c), nor keeping the keys current (engine/successor.c). It happens here because a standby's engine
 * folds the hub's journal and has none of its own with which it could join. In the state folder it leaves
 *	standby/   ca.crt, client.key, client.crt, standby.key: as whom it has joined
 *	hub/       ca.key, ca.crt, hub.yaml: the authority, and where nodes will reach this machine
 *	keys/      the keys of the ledger
 *	record     where the hub keeps its journal, unless --record says it
 */
#ifndef OSIER_CLI_HUB_STANDBY_H
#define OSIER_CLI_HUB_STANDBY_H

#include <jansson.h>

#include "cli/cli.h"

/* line: as 'osier hub token --standby' prints it; settings: as for POST /v1/hub, of this machine. The state folder is there, and no node is up
 * in it. Said again with a new line it renews all of it. */
int hub_standby_join(struct cli *c, const char *line, const json_t *settings, struct err *e);

#endif
