/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobfile - job files at both ends: the client reads one from disk and makes a request of it, the server reads the request.
 *
 * A request's body is one of
 *   a job itself                        {"name": "hello", "command": "echo hi"}
 *   a job with what belongs to it       {"job": {...}, "source", "workdir", "files", "parameters"}
 *   the text of a job file              {"yaml": "name: hello\n...", "source", "workdir", "files", "parameters"}
 *   many                                {"jobs": [any of the above, ...], "source", "workdir", "files", "parameters"}
 * source: file name for messages. workdir: absolute folder that relative workdirs start in. files: of the job, by the path
 * that the job names: {"a.csv": {"sha256": "64 digits", "size": 12, "lines": 3, "executable": false}}; their bytes are put
 * to /v1/blobs before. parameters: values for the job's own `parameters`, {"digits": "1000"}.
 */
#ifndef OSIER_IO_JOBFILE_H
#define OSIER_IO_JOBFILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"
#include "core/jobspec.h"
#include "io/growing.h"

#define JOBFILE_JOBS_MAX 10000 /* in one request */

/* A file that a job takes along. */
struct jobfile_file {
	char *path, *full; /* as the job names it; where it is */
	uint8_t sha256[32];
	uint64_t size_bytes, lines;
	bool executable, counted; /* counted: `lines` is known */
};

/* A job file on disk. Not to be moved or copied. */
struct jobfile {
	const char *path;   /* as given */
	const char *folder; /* absolute */
	char *text;         /* the whole file */
	size_t text_bytes;
	const Wire__JobSpec *spec; /* NULL while there are problems */
	struct jobfile_file *files;
	size_t n_files;
	struct jobspec_problem problems[JOBSPEC_PROBLEMS_MAX];
	size_t n_problems;
	const struct jobspec_set *set; /* borrowed */
	size_t n_set;
	struct growing mem;
};

void jobfile_init(struct jobfile *f);
void jobfile_release(struct jobfile *f);

/* Read and validate `path` ("-": standard input). Files are hashed and their lines counted, relative to its folder.
 * `set` is borrowed until the release. Returns 0; or -1, then with n_problems > 0 the file was read and is not valid
 * (jobfile_print()), otherwise it could not be read (*e). Once per init. */
int jobfile_read(
        struct jobfile *f, const char *path, const struct jobspec_set *set, size_t n_set, struct err *e);

/* Print every problem as a compiler does; with `colour` (a terminal) also the line of the file and a caret below. */
void jobfile_print(const struct jobfile *f, FILE *out, bool colour);

/* The body of POST /v1/jobs (new reference): the text itself goes, so that the server's messages know the lines. */
json_t *jobfile_request(const struct jobfile *f);

/* Jobs of a request. */
struct jobfile_jobs {
	const Wire__JobSpec **specs; /* in the arena; point into `body`, which must live as long */
	size_t n;
	bool many;       /* asked as {"jobs": [...]} */
	size_t at_fault; /* which of them the problems are of */
	struct jobspec_problem problems[JOBSPEC_PROBLEMS_MAX];
	size_t n_problems;
	const char *source; /* of the one at fault, for messages; borrowed from body, or NULL */
};

/* Returns 0, or -1 with the problems of the first job that is not valid. Nothing of `out` need be set. */
int jobfile_from_request(struct arena *a, const json_t *body, struct jobfile_jobs *out);

/* The problems as an API error carries them: [{"line", "column", "path", "found", "expected", "message"}] (new reference). */
json_t *jobfile_problems_json(const struct jobspec_problem *p, size_t n, const char *source);

/* Call fn for every blob that a specification names (inputs, stdin, files of lines); stops at and returns non-zero. */
int jobfile_each_blob(const Wire__JobSpec *spec, int (*fn)(void *ctx, const uint8_t sha256[32]), void *ctx);

#endif
