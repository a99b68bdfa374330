/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node - one engine process: the loop, the core, the journal, and the only caller of decide() and apply().
 *
 * A round: everything that is ready (requests, keeper and worker messages, timers) becomes commands; each is decided,
 * applied and added to the open batch; then CMD_TICK until nothing comes; then journal_flush(). When a batch is durable,
 * its answers are given and its effects carried out (exec.h), in order. Nothing is answered before that.
 * Threads: everything here runs on the loop thread (libuv). Time: node_now_ns() never goes back, whatever the wall clock does.
 * A node without its keeper's socket (keeper_fd < 0) only looks: nothing is leased (`osier jobs` with no node up).
 */
#ifndef OSIER_ENGINE_NODE_H
#define OSIER_ENGINE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "base/err.h"
#include "core/engine.h"
#include "io/journal.h"

#define NODE_THIS 1u /* this machine's number in the core */

struct node;
struct blobs;

struct node_options {
	const char *state_dir; /* exists */
	const char *config; /* path of config.yaml, or NULL: STATE/config.yaml if there; outlives the node */
	int keeper_fd;      /* socket to the keeper, or -1 */
	const char *
	        record; /* where the journal lies (io/journal.h), or NULL: as the configuration or the folder says */
	bool standby; /* of the record */
};

/* Open the journal, fold it, say HELLO to the keeper, probe the machine, boot a new epoch. Ready to answer when it returns. */
int node_open(const struct node_options *o, struct node **out, struct err *e);
/* Run the loop until node_stop(); 0, or < 0 with *e when the journal failed. */
int node_run(struct node *n, struct err *e);
void node_stop(struct node *n); /* answers what is durable, commits, leaves running tasks to the keeper */
/* As node_stop(), and the keeper starts another engine: a new version takes over and no task notices. */
void node_hand_over(struct node *n);
bool node_hands_over(const struct node *n); /* node_hand_over() was called */
/* As node_stop(), but the keeper is told to stop every task (grace, KILL) and to leave too: `osier down`. */
void node_shutdown(struct node *n);
void node_close(struct node *n);

/* The outcome of a command, given once it is durable (or refused before it reached the core: disk full, shutting down).
 * `entries` are what it caused, valid during the call. */
struct node_answer {
	enum err_code code; /* ERR_NONE, or why it was refused */
	char message[240], hint[120];
	job_id job; /* of a SUBMIT (also when its key was known already: `repeated`) */
	bool repeated;
	char warning[240];
	uint64_t seq; /* of its last entry */
};
typedef void (*node_answer_fn)(void *ctx, const struct node_answer *a);

/* Decide and apply `cmd` now (borrowed for the call); `fn` (may be NULL) is called when it is durable, or with ERR_FULL when the
 * disk has no room for it: then it may yet become durable, or be forgotten. While there is no room, nothing is decided. */
void node_command(struct node *n, const struct command *cmd, node_answer_fn fn, void *ctx);

/* For who alone waits: end the round now instead of when the loop comes to it, so that the answers of node_command() are mostly
 * given before this returns. Costs the loop one fsync; others that wait already gain nothing by it. Not from a callback. */
void node_commit_now(struct node *n);

enum settle_for {
	SETTLE_SHOW, /* a look at what is there: does not wait for a full disk, and shows what may yet be forgotten */
	SETTLE_TELL, /* to tell an end that is final: waits for room, however long */
};
/* Is all that was decided so far durable? Then false; else true, and `fn` is called once it is (with code ERR_NONE; ERR_FULL
 * when a look waits no longer). For who shows state: what is not durable may yet be forgotten. */
bool node_settle(struct node *n, enum settle_for what, node_answer_fn fn, void *ctx);

/* Be told, at most once a round and after it is durable, that a job changed (job 0: any job). */
struct node_watch;
typedef void (*node_watch_fn)(void *ctx, job_id job);
struct node_watch *node_watch(struct node *n, job_id job, node_watch_fn fn, void *ctx);
void node_unwatch(struct node_watch *w);

/* Where the live output of a running task can be read: makes the keeper write it to a spool file from now on (FOLLOW).
 * stream: 0 stdout, 1 stderr. Writes the path. ERR_NOTFOUND: it does not run (any more): see the journal. */
int node_follow(struct node *n, job_id job, uint32_t step, uint64_t task, int stream, char *out_path,
        size_t room, struct err *e);

/* Publish now what is durable, receipts of all results and what the node says of its keys included, instead of when the pace asks for
 * it. fn is called once, with NULL or why it failed. Only when ledger_status() says `on`. */
typedef void (*ledger_fn)(void *ctx, const struct err *e);
void ledger_flush(struct node *n, ledger_fn fn, void *ctx);
/* Be told once when so many entries are published, however long that takes: it hastens nothing. NULL: nothing is published here. */
struct ledger_watch;
struct ledger_watch *ledger_watch(struct node *n, uint64_t size, ledger_fn fn, void *ctx);
void ledger_unwatch(struct ledger_watch *w); /* before it was told */
struct ledger_status {
	bool on, failed;
	uint64_t published; /* entries under the last signed head */
	char why[240];      /* when failed */
};
void ledger_status(const struct node *n, struct ledger_status *out);
/* Sign as this node, which says who it is. ERR_CLOSED: it only looks, or its ledger is off. */
struct note_key;
int ledger_sign(
        struct node *n, const void *msg, size_t len, uint8_t sig[64], struct note_key *out, struct err *e);
/* The same with that key of the node's, this one or an earlier; ERR_NOTFOUND: its file is not here. e may be NULL. */
int ledger_sign_by(
        struct node *n, const uint8_t key[32], const void *msg, size_t len, uint8_t sig[64], struct err *e);
/* A new key for the log or the node, asked for by `by` (borrowed for the call): its file, and the entries that say so; from then on it
 * signs. Then, once they are published, fn as ledger_flush(). < 0: nothing was done, and fn is not called. */
int ledger_rotate(struct node *n, Wire__KeySet__Role role, const Wire__Principal *by, ledger_fn fn, void *ctx,
        struct err *e);
/* The key (vkey or id) counts for nothing in entries after the one that says so; fn as above. */
int ledger_revoke(struct node *n, const char *key, const char *reason, const Wire__Principal *by,
        ledger_fn fn, void *ctx, struct err *e);
/* Add to a policy the keys that sign the heads of this node's log. ERR_CLOSED as above. */
struct policy;
int ledger_log_keys(struct node *n, struct policy *p, struct err *e);

/* Where strangers read the log, "http://127.0.0.1:8700"; "": nowhere. */
const char *node_ledger_url(const struct node *n);

/* Whom this node's log is witnessed by (ledger.policy), or NULL: nobody is asked. Constant. */
struct policy;
const struct policy *node_witnesses(const struct node *n);
/* What went wrong with a member of it lately, and when, told by who asks it (messenger/witnesses.c); "" or NULL: nothing. */
void node_witness_failed(struct node *n, unsigned member, const char *why);
const char *node_witness_error(const struct node *n, unsigned member, uint64_t *out_since_ns);

/* This node as a witness of other logs (engine/witness.h), or NULL. */
struct witness;
struct witness *node_witness(struct node *n);

uv_loop_t *node_loop(struct node *n);
uint64_t node_now_ns(const struct node *n); /* since 1970 */
const struct engine *node_engine(const struct node *n);
struct journal *node_journal(struct node *n);
struct journal_reader *node_reader(struct node *n);
struct blobs *node_blobs(struct node *n);
const char *node_state_dir(const struct node *n);
const char *node_name(const struct node *n);
uint32_t node_pack(const struct node *n); /* Wire__JobSpec__Pack of jobs that do not say */
bool node_read_only(const struct node *n);
/* Does it follow another engine's record, to take over when that one is gone? Then it only looks, until it does. */
bool node_standby(const struct node *n);
/* What is not enforced here and why ("no cgroups: memory limits by rlimit"), a line each, or "". */
const char *node_notices(const struct node *n);

#endif
