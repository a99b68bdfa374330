/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start - from a task of a job to the START that the keeper is told: templates, environment, files, limits.
 *
 * Pure but for what the caller's functions read (lines of a file, outputs of earlier steps). Memory is the builder's own and
 * reused: no allocation per task. What cannot be built is an ERR_INVALID or ERR_NOTFOUND that the user reads.
 *
 * The environment of a task, and nothing else: OSIER_JOB, OSIER_STEP, OSIER_TASK, OSIER_TASKS, OSIER_ATTEMPT, OSIER_DEVICES_<RESOURCE>
 * (of a gang OSIER_GANG_RANK, _SIZE, _ADDRESS, _HOSTS, _SECRET, and the customary RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT)
 * (and CUDA_VISIBLE_DEVICES, ROCR_VISIBLE_DEVICES on a machine with such GPUs), OSIER_INPUTS of a reduce; then the step's env; then PATH, HOME, USER, LANG
 * unless the step says otherwise. The keeper adds OSIER_STATE, OSIER_SCRATCH and TMPDIR.
 */
#ifndef OSIER_ENGINE_START_H
#define OSIER_ENGINE_START_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/params.h"
#include "wire/keeper_msg.h"

struct start_builder;

struct start_user {
	uint32_t uid, gid;
	const char *name, *home; /* of the account, or "" */
};

/* An output of an earlier task, as an input. */
struct start_source {
	const uint8_t *data; /* its bytes when they are at hand, else NULL: a blob */
	uint64_t bytes;
	uint8_t sha256[32];
};

struct start_in {
	const Wire__JobSpec *spec;
	uint32_t step;
	const Wire__Variant *variant;
	uint64_t job, attempt, task;
	const char *node;
	struct start_user user;
	bool worker;   /* start the step's worker process, not one task */
	bool has_gpus; /* the machine has some: tasks without any are told that they have none */
	/* What a device is to its vendor's tools: 'n' or 'r', and the number that CUDA_VISIBLE_DEVICES or ROCR_VISIBLE_DEVICES takes;
	 * any other vendor: '-'. */
	char (*vendor)(void *ctx, const char *resource, uint32_t index, uint32_t *out_number);
	const uint32_t *devices; /* as in LeaseGranted */
	size_t n_devices;
	bool (*indexed)(void *ctx, const char *resource); /* is it a resource with devices here? */
	/* Of a step without a table of its own (Step.sources): the output named `output` ("stdout" or a declared path) of task `task` of step `step` of this job. data is valid until the
	 * next call. < 0: there is none. */
	int (*source)(void *ctx, uint32_t step, uint64_t task, const char *output, struct start_source *out,
	        struct err *e);
	/* For a reduce: input i of the task. False past the last. */
	bool (*reduce)(void *ctx, uint64_t i, uint32_t *out_step, uint64_t *out_task);
	/* Store a text that is too large for a START as a blob. same: every task of the step has this one. */
	int (*keep)(void *ctx, const void *p, size_t n, bool same, uint8_t out_sha256[32], struct err *e);
	int (*line)(void *ctx, const uint8_t blob[32], uint64_t index, const char **out, size_t *out_n,
	        struct err *e);
	void *ctx;
	uint64_t run_timeout_ns;    /* of the step, or as adjusted */
	const uint8_t *pack;        /* of Step.sources, or NULL */
	const Wire__Member *member; /* of a gang, or NULL */
};

struct start_builder *start_builder_new(void);
void start_builder_free(struct start_builder *b);

/* Fill in a START's body; it borrows from b (until the next call), the specification and `in`. */
int start_build(struct start_builder *b, const struct start_in *in, struct keeper_start *out, struct err *e);

/* The argument text of a worker's task, expanded; valid until the next call on b. */
int start_args(
        struct start_builder *b, const struct start_in *in, const char **out, size_t *out_n, struct err *e);

/* File i that the task takes from earlier steps, of a step with Step.sources; `what` is its name for people. < 0: its hub does not keep
 * it any more. */
int start_given(
        const struct start_in *in, uint32_t i, const char *what, struct start_source *out, struct err *e);

/* How many of the lease's devices belong to need `k` of the variant, and where they begin. */
size_t start_devices_of(const struct start_in *in, size_t k, size_t *out_first);

/* "3f/2a..." of a digest: its name below blobs/. out: 66 bytes. */
void start_blob_name(const uint8_t sha256[32], char *out);

#endif
