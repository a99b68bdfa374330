/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_path - what a request line says: path segments, query values, names of jobs and tasks.
 *
 * Everything here comes from a client and is treated as hostile. Pure; memory is the caller's.
 */
#ifndef OSIER_ENGINE_API_PATH_H
#define OSIER_ENGINE_API_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define PATH_SEGMENTS_MAX 12u
#define PATH_BYTES_MAX    4096u

/* Undo percent-encoding in place; `plus`: '+' is a space (queries). The result has no NUL inside and is UTF-8. < 0: it is
 * not well formed. */
int url_decode(char *s, bool plus, size_t *out_n, struct err *e);

/* A path cut at its slashes, each segment decoded. */
struct path {
	unsigned n;
	const char *v[PATH_SEGMENTS_MAX];
	char text[PATH_BYTES_MAX];
};
/* "/v1/jobs/pi-1" -> v1, jobs, pi-1. From segment `rest` on (if not 0) slashes stay: the rest is one segment. ERR_INVALID:
 * not a path; ERR_NOTFOUND: too many segments. A trailing slash is ignored. */
int path_split(const char *url, unsigned rest, struct path *out, struct err *e);

/* Does it match "/v1/jobs/{job}/tasks"? Each {name} binds one segment, "{name...}" all that is left; bound[i] are set. */
#define PATH_BINDS_MAX 4u
bool path_match(const struct path *p, const char *pattern, const char *bound[PATH_BINDS_MAX]);

/* A whole decimal number, nothing else. < 0: it is none or too large. */
int path_number(const char *text, uint64_t *out);
int path_signed(const char *text, int64_t *out);
/* 64 hexadecimal digits. */
int path_digest(const char *text, uint8_t out[32]);

/* ---- names of things (docs/ARCHITECTURE.md) ---- */

/* The jobs that a name can mean, newest first: next() gives the next one below `before` (0: the newest), false at the end. */
struct name_source {
	void *ctx;
	bool (*below)(void *ctx, uint64_t before, uint64_t *out_job, const char **out_name);
	bool (*get)(void *ctx, uint64_t job, const char **out_name);
};
#define NAME_CANDIDATES_MAX 20u
#define NAME_TEXT_BYTES     96u
struct name_candidates {
	unsigned n;
	bool more;
	char v[NAME_CANDIDATES_MAX][NAME_TEXT_BYTES]; /* "pi-17" */
};
/* The job that `name` means: N, NAME-N, last, or a unique prefix of NAME-N. ERR_NOTFOUND: none; ERR_EXISTS: several, given in
 * `c` (may be NULL). */
int name_resolve(const struct name_source *s, const char *name, uint64_t *out_job, struct name_candidates *c,
        struct err *e);

/* "JOB/STEP/INDEX", "JOB/INDEX", "JOB/STEP", "JOB" cut into parts (in place); absent ones are NULL. The second of two parts
 * may be a step or an index: it is given as `step`. */
int name_cut(char *text, const char **out_job, const char **out_step, const char **out_index, struct err *e);

/* "NAME-N", cut to fit. */
void job_name_text(const char *name, uint64_t job, char *out, size_t room);

#endif
