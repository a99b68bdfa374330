/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_logs - one client that reads the lines of a job's tasks. For api_logs*.c alone.
 *
 * First what finished tasks wrote, in the order of tasks (api_logs.c: which; api_logs_stored.c: their bytes); then, as it
 * comes, what running ones write to their spool files (api_logs_live.c). What a task wrote while it was followed is not
 * told again when it ends: a tail remembers how many bytes were told. Invariant: printed[step] counts the set bits.
 * What was written and is not to be had any more is told, too: as a gap. A hub asks its other machines for it first.
 */
#ifndef OSIER_ENGINE_API_LOGS_H
#define OSIER_ENGINE_API_LOGS_H

#include "engine/api_int.h"
#include "engine/api_result.h"

#define LOG_STREAMS_MAX 128u /* clients at once, each with a bit for every task of its job */
#define LOG_TAILS_MAX   64u  /* running tasks that one client follows at once */
#define LOG_LINE_MAX    16384u
#define LOG_LOOKS_MAX   20000u /* tasks looked at before others get the loop */

/* A running task. */
struct log_tail {
	bool used;
	uint32_t step;
	uint64_t index, lease;
	int fd[2];        /* of stdout and stderr; -1: not there yet */
	char base[2][64]; /* names in the spool */
	uint64_t told[2]; /* bytes that were told */
};

/* Stored bytes that are being told. */
struct log_source {
	bool active;
	uint32_t step, k, k_end;
	uint64_t index, from[2]; /* from: told already */
	const uint8_t *mem;      /* or */
	int fd;
	bool open;      /* mem or fd are those of k */
	bool asked;     /* the hub's other machines for the blob of k */
	struct err why; /* they did not give it */
	uint64_t at, end;
};

struct log_fetch;

struct logs {
	struct api *api;
	struct stream *stream;
	job_id job;
	struct spec_ref spec;
	struct node_watch *watch;
	bool follow, one;        /* one: a single task */
	uint32_t step, step_end; /* which steps */
	uint64_t index;
	bool want[2]; /* stdout, stderr */
	/* the walk */
	uint32_t at_step;
	uint64_t at_index;
	bool unsettled; /* a task was passed over whose result is not durable */
	uint8_t **bits;
	uint64_t *printed;
	/* stored results: the entry at hand and a copy of its outputs */
	struct growing mem;
	const Wire__Results *results;
	uint8_t *outputs;
	size_t n_outputs;
	uint32_t results_step;
	struct result_walk walk;
	struct log_source src;
	struct err failed;       /* the journal cannot be read: the stream ends */
	struct log_fetch *fetch; /* a blob is on its way from another machine */
	/* live */
	struct log_tail tail[LOG_TAILS_MAX];
	uint64_t settle_ms; /* without follow: until when the keeper may write what it held in memory */
	struct logs *prev, *next;
	char buf[LOG_LINE_MAX];
};

/* Where a line is from. */
struct log_from {
	uint32_t step;
	uint64_t index, lease;
	int k;       /* 0 stdout, 1 stderr */
	uint64_t at; /* of its first byte in what the attempt wrote there */
};

/* The lines in p[0..n), which is at `from`; the last one, without its newline, only when `end`. Returns the bytes told. */
size_t log_lines(struct logs *l, const struct log_from *from, const char *p, size_t n, bool end);
/* These bytes cannot be told, and why. */
void log_gap(
        struct logs *l, const struct log_from *from, uint64_t bytes, enum err_code code, const char *why);

/* Begin to tell what the newest attempt of a task that is done (as `t` says) wrote; then some at a time, until src.active is
 * false, as it is at once when nothing is stored. False: its result is not durable yet, or l->failed says why not. */
bool log_source_open(struct logs *l, uint32_t step, uint64_t index, const struct task_view *t);
bool log_source_tell(struct logs *l); /* false: the stream is woken when there is more */
void log_source_close(struct logs *l);

/* Look for running tasks and tell what is new; true: there may be more at once. */
bool log_live(struct logs *l);
struct log_tail *log_tail_of(struct logs *l, uint32_t step, uint64_t index);
void log_tail_close(struct log_tail *t);
bool log_tails(const struct logs *l); /* something is followed */
/* The spool is watched while anybody follows. */
void logs_watch_spool(struct api *a);
void logs_unwatch_spool(struct api *a);

#endif
