/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobspec - from a tree of keys and values (YAML or JSON) to a validated job specification.
 *
 * The one place that knows the job file's keys: the schema is a table, from which validation, "did you mean", docs/jobs.md's
 * key list and `osier init` follow. Not a parser: io/doc_yaml and io/doc_json build the tree. Pure.
 */
#ifndef OSIER_CORE_JOBSPEC_H
#define OSIER_CORE_JOBSPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "wire/osier.pb-c.h"

/* A document as read: every node knows where it stood. Scalars keep their text; `quoted` tells "5" from 5. */
enum doc_kind { DOC_NULL, DOC_SCALAR, DOC_LIST, DOC_MAP };
struct doc {
	enum doc_kind kind;
	bool quoted;
	uint32_t line, column; /* from 1; 0 unknown */
	const char *text;      /* SCALAR: NUL-terminated; text_bytes may reveal embedded NULs */
	size_t text_bytes;
	const struct doc *child; /* LIST, MAP: first child */
	const struct doc *next;  /* sibling */
	const char *key;         /* of a map's child */
	uint32_t key_line, key_column;
};

/* Reads "found FOUND, expected EXPECTED". */
struct jobspec_problem {
	uint32_t line, column; /* 0 unknown */
	char path[96];         /* "steps.link.resources.memory", "" the whole file */
	char found[160];       /* what is there: "'memry'", "a list", "nothing" */
	char expected[448];    /* what is allowed, and "; did you mean 'x'?" */
};
#define JOBSPEC_PROBLEMS_MAX 20
#define JOBSPEC_STEPS_MAX    1024u
#define JOBSPEC_BYTES_MAX    (4u << 20)         /* of a specification as bytes, once it is written out */
#define JOBSPEC_TASKS_MAX    UINT64_C(10000000) /* of the whole job */
#define LOST_AFTER_NS        (30 * UINT64_C(1000000000)) /* of `disconnect`, unless said */

/* Files that the shell must read for the job: asked through these, so that this stays pure. Any may be NULL (then a job
 * that needs it is invalid). Over the API they answer from what the client said of its files. */
struct jobspec_files {
	void *ctx;
	/* Hash a file (relative to the job file's folder); give digest and size. */
	int (*digest)(void *ctx, const char *path, uint8_t out_sha256[32], uint64_t *out_bytes,
	        bool *out_executable, struct err *e);
	/* Count its lines. */
	int (*lines)(void *ctx, const char *path, uint8_t out_sha256[32], uint64_t *out_lines, struct err *e);
};

/* A value for one of the job's own `parameters:`, in place of what the file says (osier run -p digits=1000). */
struct jobspec_set {
	const char *name, *value;
};

/* What belongs to a job besides its text. All zero is valid. Borrowed for the call. */
struct jobspec_in {
	const char *source; /* file name for messages; a job without a name is called after it */
	/* Absolute: of the job file, relative workdirs start there; NULL: those are refused. */
	const char *folder;
	const struct jobspec_files *files;
	const struct jobspec_set *set;
	size_t n_set;
};

/* Validate `root` and build the specification in the arena, with every default filled in (tasks counted, steps ordered,
 * reduce trees sized, the job's parameters put in). Returns 0, or -1 with 1 to JOBSPEC_PROBLEMS_MAX problems, in the
 * order of the file. `problems` has room for JOBSPEC_PROBLEMS_MAX. The specification points into `root`'s texts. */
int jobspec_from_doc(struct arena *a, const struct doc *root, const struct jobspec_in *in,
        const Wire__JobSpec **out, struct jobspec_problem *problems, size_t *n_problems);

/* One line for people: "job.yaml:14:7: found 'memry', expected one of cpu, ...; did you mean 'memory'?", or with the path
 * in the document where there is no line. Cut to fit; returns the bytes written without the NUL. */
size_t jobspec_problem_text(const struct jobspec_problem *p, const char *source, char *out, size_t room);

/* The schema's keys in the order of its tables; false past the last. object: "job", "step", "resources" ... */
struct jobspec_key {
	const char *object, *name, *type, *dflt;
};
bool spec_label_key_ok(const char *s); /* a letter, then letters, digits, . _ - or /, at most 63 */

#define SPEC_PACK_WORDS 3u
extern const char *const spec_pack_words[SPEC_PACK_WORDS]; /* of Wire__JobSpec__Pack from 1 on */

bool jobspec_key_at(size_t i, struct jobspec_key *out);

/* A commented job file to start from (`osier init`); valid as it stands. */
extern const char jobspec_example[];

/* Re-check a specification that came as bytes or JSON from a client: everything jobspec_from_doc() guarantees. */
int jobspec_check(const Wire__JobSpec *spec, struct err *e);

/* Tasks of a reduce over n inputs with this fan-in (a tree: ceil(n/f) + ... + 1; fan_in 0: one task takes all; never 1),
 * and the inputs of node `task` of it: nodes are numbered level by level from the inputs up, the root last. from_map:
 * inputs are the map step's tasks. */
uint64_t reduce_tasks(uint64_t n, uint32_t fan_in);
void reduce_inputs(
        uint64_t n, uint32_t fan_in, uint64_t task, bool *from_map, uint64_t *first, uint64_t *count);
/* The node of the tree that takes the output of map task i (from_map) or of node i; UINT64_MAX for the root. */
uint64_t reduce_parent(uint64_t n, uint32_t fan_in, bool from_map, uint64_t i);

#endif
