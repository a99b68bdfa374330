/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nodeproc - where a node's state is, and starting one: for good (`osier up`), for one job (`osier run`), or only to look.
 *
 * How processes are started and say that they are ready: docs/ARCHITECTURE.md, "Processes and files".
 */
#ifndef OSIER_CLI_NODEPROC_H
#define OSIER_CLI_NODEPROC_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "cli/text.h"

struct nodeproc;

/* The state folder as --state (may be NULL), the environment and running nodes say. A new string. */
int state_folder(const char *option, char **out, struct err *e);
/* Create it with its parents, 0700, if it is not there. */
int state_folder_make(const char *dir, struct err *e);
/* "DIR/api.sock" */
void state_socket(const char *dir, struct text *out);
/* Does a node answer there? */
bool state_answers(const char *dir);

/* Is there a keeper, even if its engine does not answer (it is about to start, or was killed and comes back)? */
bool state_kept(const char *dir);
/* An engine whose keeper was killed is about to end, and still answers and holds the folder: wait until it is gone (at most
 * ten seconds). */
void state_settle(const char *dir);
/* A pipe for --ready-fd: [0] is read, [1] handed on. */
int ready_pipe(int ends[2], struct err *e);

enum node_kind {
	NODE_PRIVATE,  /* ends with this process */
	NODE_DETACHED, /* outlives it: osier up; its output goes to DIR/node.log */
	NODE_LOOKING,  /* an engine alone: reads, starts nothing */
};
/* Start it and wait until it listens. `*out` owns the process. engine_user: "UID:GID" that a root keeper runs its engine
 * as, or NULL. */
int nodeproc_start(
        const char *dir, enum node_kind kind, const char *engine_user, struct nodeproc **out, struct err *e);
/* Put what a keeper is told of users to argv (borrows engine_user); returns how many words, at most 2. */
size_t keeper_user_args(const char *engine_user, const char **argv);
/* Does the user's systemd outlive the user's last logout? Else a DETACHED node in a group of its would not. */
bool user_lingers(void);
/* Does what a new node has said so far, n bytes, end with "ready"? An engine that died before may have said something else. */
bool nodeproc_is_ready(const char *said, size_t n);
const char *nodeproc_socket(const struct nodeproc *n);
/* Has it ended by itself? */
bool nodeproc_ended(struct nodeproc *n);
/* End it and wait for that; a PRIVATE one must have been told to shut down by its API (this waits up to its grace, then
 * asks its keeper by SIGTERM, then SIGKILL). NULL is fine. */
void nodeproc_stop(struct nodeproc *n, bool asked);

/* Leave it to itself: a DETACHED one, when it is ready. */
void nodeproc_forget(struct nodeproc *n);
/* End it at once, and everything that it runs (the keeper's death ends its tasks). */
void nodeproc_kill(struct nodeproc *n);

/* The path of osier-keeper, or of this very program. */
int keeper_path(struct text *out, struct err *e);
int self_path(struct text *out, struct err *e);

#endif
