/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scope - a group of cgroup v2 for a keeper that has no right to make one: its user's systemd has.
 *
 * A login session's group belongs to root. The user's own manager may hand groups out (Delegate=), and moves into one who asks
 * it. Such a scope ends with the manager: at the user's last logout, unless the user lingers. Asked through busctl(1), because
 * the keeper is a static program that speaks no D-Bus. Single-threaded, before the keeper has children.
 */
#ifndef OSIER_KEEPER_SCOPE_H
#define OSIER_KEEPER_SCOPE_H

#include <stdbool.h>

/* Whether this user has a manager to be asked. */
bool scope_possible(void);
/* Ask for the scope osier-HASH-PID, and wait (2 s at most) until this process is in it. False: it is where it was. */
bool scope_enter(const char *hash);

#endif
