/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record_option - --record and --standby, of the commands that start a node: where its journal lies.
 *
 * The keeper starts engines by the state folder alone, so what is said once is kept there (io/record.h).
 */
#ifndef OSIER_CLI_RECORD_OPTION_H
#define OSIER_CLI_RECORD_OPTION_H

#include "cli/cli.h"

/* For an option table. */
#define RECORD_OPTIONS                                                                                       \
	{0, "record", "URL", "keep the journal in this PostgreSQL: postgres://USER@HOST/DB",                 \
	        COMPLETE_NOTHING, NULL},                                                                     \
	{                                                                                                    \
		0, "standby", NULL,                                                                          \
		        "while another node holds the record, follow it; take over when it is gone",         \
		        COMPLETE_NOTHING, NULL                                                               \
	}

/* Keep them in the state folder, which is there; no node may be up in it. engine_user: "UID:GID" or "". Nothing said: nothing done.
 * ERR_EXISTS: the folder has a journal of its own. */
int record_option(struct cli *c, const char *engine_user, struct err *e);
/* The same with a URL that was not said here. */
int record_keep(struct cli *c, const char *url, bool standby, const char *engine_user, struct err *e);

#endif
