/* SPDX-License-Identifier: Apache-2.0 */
/* gang - what the commands of `osier gang` share: who this member is, and its two sides (gang_first.c, gang_member.c). */
#ifndef OSIER_CLI_GANG_H
#define OSIER_CLI_GANG_H

#include <stdint.h>

#include "base/err.h"
#include "cli/gang_link.h"

#define GANG_MEMBERS_MAX 64u
#define GANG_SOCKET      ".gang.sock"

/* As the environment says. */
struct gang_self {
	uint32_t rank, size;
	const char *host, *port; /* of rank 0 */
	const char *secret, *scratch;
	char address[300];
};
int gang_self_read(struct gang_self *g, struct err *e);

/* Rank 0: wait for all others, run the command, which finds them by `osier gang sh`, and send them home. Its exit code, or < 0. */
int gang_first(const struct gang_self *g, char *const *argv, struct err *e);
/* Another rank: run what rank 0 asks for until it says goodbye. 0, or < 0. */
int gang_member_serve(const struct gang_self *g, struct err *e);
/* A command on that rank, by rank 0's socket: its exit code, or < 0. */
int gang_sh(const struct gang_self *g, uint32_t rank, const char *command, struct err *e);

#endif
