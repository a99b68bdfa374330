/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobspec_read - what the files of jobspec share while one job is read. Not for anybody else.
 *
 * A reader takes a document's node and fills in its object; what is wrong becomes a problem, and reading goes on, so that
 * one run tells every mistake. Tables of keys (struct table) drive the reading of maps. Pure.
 */
#ifndef OSIER_CORE_JOBSPEC_READ_H
#define OSIER_CORE_JOBSPEC_READ_H

#include "core/jobspec.h"
#include "core/sched.h" /* VARIANTS_MAX */
#include "wire/keeper_msg.h"
#include "wire/worker_msg.h"

#define NAME_BYTES_MAX   63
#define PATH_BYTES_MAX   1024
#define TEXT_BYTES_MAX   131071 /* Linux takes no longer argument */
#define ARGS_BYTES_MAX   WORKER_INLINE_MAX
#define ARGV_MAX         8000 /* KEEPER_STRINGS_MAX without what a shell is given */
#define PART_BYTES_MAX   255  /* Linux has no longer names of files */
#define START_BYTES_MAX  (KEEPER_PACKET_MAX - (8u << 10)) /* what osier adds to a START has room beside it */
#define STDIN_BYTES_MAX  (1u << 20)
#define VALUE_BYTES_MAX  4096       /* of a parameter or a label */
#define SUBST_BYTES_MAX  (4u << 20) /* all texts that parameters were put into */
#define ENV_MAX          1000
#define INPUTS_MAX       1000
#define OUTPUTS_MAX      100
#define LABELS_MAX       64
#define NEEDS_MAX        32
#define PARAMS_MAX       16
#define REPLICAS_MAX     64
#define RETRIES_MAX      1000000
#define FAN_IN_MAX       1024                    /* with INPUTS_MAX below what the keeper takes of one task */
#define PIDS_MAX         4194304                 /* Linux has no more */
#define AMOUNT_MILLI_MAX UINT64_C(1000000000000) /* a billion of anything */
#define BYTES_MAX        (UINT64_C(1) << 60)
#define DURATION_NS_MAX  (UINT64_C(36500) * 86400 * 1000000000) /* a hundred years */

/* Where in the document we are, for problem.path; lives on the stack. */
struct trail {
	const struct trail *up;
	const char *key; /* or NULL: an index */
	size_t index;
};

struct var { /* one of the job's own parameters */
	const char *name, *value;
	size_t name_n, value_n;
};

struct template_use { /* a text with "${": checked when the step's parameters are known */
	struct template_use *next;
	const char *text;
	const struct doc *at;
	bool of_process; /* command, environment: one for all tasks of a worker */
};

/* A step while it is read. */
struct step_src {
	Wire__Step *step;
	const struct doc *node;
	const struct doc *command, *worker, *array, *reduce, *any_of, *verify,
	        *gang;               /* where they stood, or NULL */
	const struct doc *own;       /* the first key that only makes sense inside a step, or NULL */
	const struct doc **after_at; /* beside step->after */
	const struct doc **input_at; /* beside step->inputs */
	uint32_t *input_hash;        /* of their paths */
	const struct doc *stdin_at;
	Wire__Need **needs;
	size_t n_needs;
	struct template_use *templates;
	Wire__Place *place; /* its own, when it says something of it */
};

struct build {
	struct arena *arena;
	const struct jobspec_in *in;
	struct jobspec_problem *problems;
	size_t n_problems;
	bool full; /* the arena was */
	const struct trail *trail;
	struct var *vars;
	size_t n_vars, subst_bytes;
	Wire__JobSpec *job;
	struct step_src *steps; /* n_steps */
	size_t n_steps;
	const struct doc *root, *steps_at;
	struct step_src *current;
	bool of_process; /* what spec_read_template() notes */
};

struct key {
	const char *name, *type, *dflt;
	void (*read)(struct build *b, const struct doc *v, void *obj);
};
struct table {
	const char *object;
	const char *more; /* " or a pool's name"; "" */
	const struct key *keys;
	size_t n;
};

/* ---- jobspec.c ---- */

/* Note a problem at v (NULL: the whole file). `found` is cut and made printable. */
void spec_problem(struct build *b, const struct doc *v, const char *found, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
/* The same with `found` put in quotes: a name. */
void spec_problem_quoted(struct build *b, const struct doc *v, const char *found, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
/* The same with "found" made from v itself: 'text', "a list" ... */
void spec_problem_value(struct build *b, const struct doc *v, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
/* At v's key. */
void spec_problem_key(struct build *b, const struct doc *v, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

/* Has so much been found wrong that nothing more is noted? Then looking for near words is a waste that a hostile file
 * could make long. */
bool spec_enough(const struct build *b);

uint32_t spec_hash(const char *s); /* of names and paths, to find equal ones */

/* n zeroed bytes, or NULL with b->full set; the caller just returns. */
void *spec_take(struct build *b, size_t count, size_t size);

/* Read every child of the map v by the table; unknown keys are problems. `second` (with its obj2) or NULL is tried after
 * the first. */
void spec_read_map(struct build *b, const struct doc *v, const struct table *t, void *obj,
        const struct table *second, void *obj2);
void spec_problem_unknown(
        struct build *b, const struct doc *v, const struct table *t, const struct table *second);

size_t spec_doc_count(const struct doc *v);
const struct doc *spec_doc_get(const struct doc *v, const char *key);

/* ---- jobspec_scalar.c: each returns false after noting a problem; out is written on success only ---- */

bool spec_read_text(struct build *b, const struct doc *v, size_t bytes_max, const char **out);
/* Text in which "${...}" will be replaced for each task. */
bool spec_read_template(struct build *b, const struct doc *v, size_t bytes_max, const char **out);
bool spec_read_name(struct build *b, const struct doc *v, const char **out);
bool spec_read_path(struct build *b, const struct doc *v, const char **out);
bool spec_read_bool(struct build *b, const struct doc *v, bool *out);
bool spec_read_u64(struct build *b, const struct doc *v, uint64_t min, uint64_t max, uint64_t *out);
bool spec_read_u32(struct build *b, const struct doc *v, uint32_t min, uint32_t max, uint32_t *out);
bool spec_read_milli(struct build *b, const struct doc *v, uint64_t *out);
bool spec_read_bytes(struct build *b, const struct doc *v, uint64_t *out);
bool spec_read_duration(struct build *b, const struct doc *v, uint64_t *out_ns);
bool spec_read_time(struct build *b, const struct doc *v, uint64_t *out_ns);
bool spec_read_percent(struct build *b, const struct doc *v, uint32_t *out);
bool spec_read_signal(struct build *b, const struct doc *v, uint32_t *out);
bool spec_read_choice(struct build *b, const struct doc *v, const char *const *words, size_t n, size_t *out);

bool spec_name_ok(
        const char *s); /* of jobs, steps, namespaces, pools: a letter, then letters, digits, . _ - */
bool spec_identifier_ok(
        const char *s);           /* of parameters and variables: a letter or _, then letters, digits, _ */
bool spec_path_ok(const char *s); /* relative, stays inside its folder */
bool spec_parse_i64(const char *s, size_t n, int64_t *out);
bool spec_parse_time(const char *s, uint64_t *out_ns);
bool spec_parse_duration(const char *s, uint64_t *out_ns);
bool spec_parse_bytes(const char *s, uint64_t *out);
bool spec_parse_milli(const char *s, uint64_t *out);

/* Levenshtein with transpositions; large when the strings are long or far apart. */
unsigned spec_edit_distance(const char *a, const char *b);
bool spec_is_near(const char *typed, const char *word);

/* ---- jobspec_place.c ---- */

void spec_step_where(struct build *b, const struct doc *v, void *obj);
void spec_step_prefer(struct build *b, const struct doc *v, void *obj);
void spec_step_spread(struct build *b, const struct doc *v, void *obj);
void spec_step_near(struct build *b, const struct doc *v, void *obj);
void spec_step_data(struct build *b, const struct doc *v, void *obj);
void spec_job_pack(struct build *b, const struct doc *v, void *obj);
bool spec_place_ok(const Wire__Place *p);
extern const struct table spec_prefer_table;

/* ---- jobspec_disconnect.c ---- */

void spec_read_disconnect(struct build *b, const struct doc *v, void *job);
/* When the steps are known: what cannot be meant together. */
void spec_disconnect_finish(struct build *b);
bool spec_disconnect_ok(const Wire__Disconnect *d);
extern const struct table spec_disconnect_table;

/* ---- jobspec_gang.c ---- */

void spec_step_gang(struct build *b, const struct doc *v, void *obj);
/* When the steps are known: what cannot be meant together. */
void spec_gang_finish(struct build *b);
/* Can the step be a gang, or a member of one? NULL: yes, or it is none; else why not. */
const char *spec_gang_bad(const Wire__JobSpec *spec, const Wire__Step *s);
extern const struct table spec_gang_table;

/* ---- jobspec_job.c, jobspec_step.c, jobspec_files.c, jobspec_array.c ---- */

extern const struct table spec_job_table, spec_step_table;
const struct table *spec_schema_table(size_t i); /* every table, for jobspec_key_at(); NULL past the last */

void spec_read_vars(struct build *b, const struct doc *root);
void spec_read_steps(struct build *b, struct step_src *base);
/* What every step starts from: of `src`, only `node` need be set. */
void spec_step_defaults(struct build *b, struct step_src *src);
/* Note that v stands only inside a step: it cannot be a default of all steps. */
void spec_step_own(struct step_src *s, const struct doc *v);
/* After a step's keys were read: what must hold between them. */
void spec_step_finish(struct build *b, struct step_src *s);

void spec_read_command(struct build *b, const struct doc *v, Wire__Command **out);
void spec_read_needs(struct build *b, const struct doc *v, Wire__Need ***needs, size_t *n);
void spec_step_read_array(struct build *b, const struct doc *v, void *obj);
void spec_step_read_inputs(struct build *b, const struct doc *v, void *obj);
void spec_step_read_outputs(struct build *b, const struct doc *v, void *obj);
void spec_step_read_stdin(struct build *b, const struct doc *v, void *obj);
void spec_step_read_any_of(struct build *b, const struct doc *v, void *obj);
void spec_step_variants(
        struct build *b, struct step_src *s); /* read them, when the step's own resources are known */
extern const struct table spec_worker_table, spec_after_table, spec_reduce_table, spec_verify_table,
        spec_retries_table, spec_timeouts_table, spec_limits_table;
extern const struct table spec_input_table, spec_output_table, spec_stdin_table, spec_range_table,
        spec_lines_table, spec_resources_table, spec_any_of_table;

/* ---- jobspec_check.c ---- */

/* Bytes that the step takes of a START, at least: its command, environment, paths of files. The steps are in their places. */
size_t spec_start_bytes(const Wire__JobSpec *spec, const Wire__Step *s);

/* ---- jobspec_graph.c ---- */

/* Resolve names, order the steps, size arrays and reduce trees, check templates. */
void spec_graph_finish(struct build *b);

#endif
