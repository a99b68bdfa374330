/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote - the node of another machine, through ssh.
 *
 *	ssh://[USER@]HOST[:PORT]     HOST a name or address, [::1] with brackets; what ~/.ssh/config calls a host, too
 * `ssh HOST osier dial` joins its input and output to the node's socket there. So who asks is who logged in, with the rights of that user on
 * that machine; keys, known hosts, jump hosts and passwords are ssh's. Why not a port of the node's own: it would want users and secrets of
 * its own, beside those that every machine has. Each connection is one ssh; ControlMaster in ~/.ssh/config makes them share one.
 * $OSIER_SSH: what to run instead of `ssh`, with options, parted at blanks.
 */
#ifndef OSIER_CLI_REMOTE_H
#define OSIER_CLI_REMOTE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

#define REMOTE_PREFIX "ssh://"

/* Is it one? ERR_INVALID says what is wrong. */
int remote_check(const char *url, struct err *e);
/* A connection to the node there, by a process *out_pid that ends soon after *out_fd is closed. Whether somebody answers is not known yet.
 * `state`: the state folder there, or NULL. ERR_CLOSED: there is no ssh here. */
int remote_dial(const char *url, const char *state, int *out_fd, pid_t *out_pid, struct err *e);

#endif
