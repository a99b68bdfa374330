/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec - carries out what the core decided: tasks to the keeper and to workers, their results back as commands.
 *
 * Each lease that runs is a `run`; it has one slot of the keeper. A process task is a START each, a few sent ahead; a worker
 * task goes to the slot's worker in batches. Results are gathered per run and given to the core once a round. Loop thread only;
 * files are read and hashed on libuv's pool (gather.h).
 * Invariants: a run's results are given in the order of their indexes, each once; nothing is acknowledged to keeper or worker
 * before it is durable; CMD_LEASE_ENDED comes once a lease, when nothing of it runs.
 */
#ifndef OSIER_ENGINE_EXEC_H
#define OSIER_ENGINE_EXEC_H

#include "engine/node.h"

struct exec;

/* keeper_fd is the executor's from now on. */
int exec_new(struct node *n, int keeper_fd, struct exec **out, struct err *e);
void exec_free(struct exec *x);

/* After the journal was folded: take up the leases that are live, ask the keeper what it knows of them, wait for its READY. */
int exec_hello(struct exec *x, struct err *e);
/* The journal was another engine's meanwhile: a lease that the keeper does not know has run elsewhere. Before exec_resume(). */
void exec_not_resumed(struct exec *x);
/* After CMD_BOOT: go on with what runs, give up what nobody knows. */
void exec_resume(struct exec *x);

/* Effects, once durable. */
void exec_start(struct exec *x, lease_id lease);
void exec_stop(struct exec *x, lease_id lease, Wire__StopReason reason);
void exec_reveal(struct exec *x, lease_id lease);
void exec_compare(struct exec *x, const struct effect *ef);
void exec_ack(struct exec *x, lease_id lease, uint64_t cursor, uint64_t who);
/* The end of the lease that was in the slot is durable: another may have it. */
void exec_slot_free(struct exec *x, uint32_t slot);
/* The job's timeouts were adjusted: those that run are told. */
void exec_adjusted(struct exec *x, job_id job);

/* Give what was gathered to the core. */
void exec_round(struct exec *x);
bool exec_has_more(const struct exec *x);
/* Hand what was said to the keeper to its socket. */
void exec_flush(struct exec *x);

/* Stop everything; the keeper leaves. */
void exec_shutdown(struct exec *x);

/* Call fn for each output of an earlier step, or of its own when it reduces, that the task takes, in the order of core/sources.h. of_step
 * UINT32_MAX: there is no such step. < 0: fn said so, or the task has none that could be reduced. */
typedef int (*exec_takes_fn)(void *ctx, uint32_t of_step, uint64_t of_task, const char *output);
int exec_takes(const struct engine *e, const Wire__JobSpec *spec, job_id job, uint32_t step, uint64_t task,
        exec_takes_fn fn, void *ctx);

/* The output named `output` ("stdout" or a declared path) that a task of an earlier step has left here. `spec`: of its job. out->data is
 * valid until the next call. < 0: there is none any more (ERR_NOTFOUND; with out->bytes: only its bytes are not here), or it cannot be read. */
struct start_source;
int exec_output(struct exec *x, const Wire__JobSpec *spec, uint64_t job, uint32_t step, uint64_t task,
        const char *output, struct start_source *out, struct err *e);
/* Of exec_output(): the journal cannot be read just now, as while its database is away. It says nothing of the output. */
bool exec_unread(const struct err *e);

int exec_follow(struct exec *x, lease_id lease, uint64_t task, int stream, char *out_path, size_t room,
        struct err *e);
const char *exec_notice(const struct exec *x); /* what the keeper cannot enforce, "" nothing */

#endif
