/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logfolder - a log as a folder (logdir.h), asked about its entries: what they are, that they are in it, and receipts of what was run.
 *
 * For logs whose owner is gone, above all (mirrored.h). What is given leads to the head in the folder, or is refused; who signed that is the
 * caller's to judge, and so is what a receipt says (receipt.h). One thread at a time; blocking.
 */
#ifndef OSIER_IO_LOGFOLDER_H
#define OSIER_IO_LOGFOLDER_H

#include "core/tlogproof.h"

struct logfolder;

/* ERR_NOTFOUND: there is no log in it; ERR_CORRUPT: its tiles do not lead to its head. */
int logfolder_open(const char *dir, struct logfolder **out, struct err *e);
void logfolder_close(struct logfolder *f);

struct logfolder_head {
	char origin[NOTE_NAME_MAX + 1];
	uint64_t size;
	uint8_t root[32];
	const char *note; /* with a NUL */
	size_t note_n;
};
void logfolder_head(const struct logfolder *f, struct logfolder_head *out);

struct merkle_hash logfolder_hash(struct logfolder *f);
struct proof_source logfolder_source(struct logfolder *f);
int logfolder_leaf(struct logfolder *f, uint64_t seq, uint8_t out[32], struct err *e);

/* Entry `seq` as the log has it (a stand-in when it was large), checked against its leaf; valid until the next call. ERR_NOTFOUND: past the end, or
 * its payload is not here. */
int logfolder_entry(struct logfolder *f, uint64_t seq, const uint8_t **out, size_t *out_n, struct err *e);

/* The newest result of what a hub gave to the log's node: task `task` of the hub's step, under the lease of that number, in a
 * job that has this name there. *out_results: the entry; *out_task: what the task is there. ERR_NOTFOUND: there is none here. */
int logfolder_find_lease(struct logfolder *f, const char *job, uint64_t lease, uint64_t task,
        uint64_t *out_results, uint64_t *out_task, struct err *e);
/* The same of a job of the node's own, by its number there, the step's name, and the task. */
int logfolder_find_task(struct logfolder *f, uint64_t job, const char *step, uint64_t task,
        uint64_t *out_results, struct err *e);

/* The receipt of the task whose result is in entry `results`: a tlog-proof file (core/receipt.h) against the folder's head, malloc'd. It names
 * neither agreeing attempts nor anchors. ERR_NOTFOUND: the payload of an entry that it needs is not here, or no Receipts entry covers it yet. */
int logfolder_receipt(
        struct logfolder *f, uint64_t results, uint64_t task, char **out, size_t *out_n, struct err *e);

#endif
