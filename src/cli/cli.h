/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli - the command line: picks the command, finds the node, asks its API, prints.
 *
 * Talks to the HTTP API only, like any other client. One file per command (cmd_*.c), each with its command_def.
 * Exit codes are documented in docs/cli.md and osier(1).
 */
#ifndef OSIER_CLI_CLI_H
#define OSIER_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/term.h"
#include "cli/text.h"

enum exit_code {
	EXIT_OK = 0,
	EXIT_JOB_FAILED = 1, /* the job (or a check of doctor) failed */
	EXIT_USAGE = 2,      /* wrong usage, or invalid input */
	EXIT_NO_NODE = 3,    /* no node answers, or it cannot be started */
	EXIT_NOT_FOUND = 4,
	EXIT_REFUSED = 5,   /* refused, not permitted, or full */
	EXIT_BROKEN = 6,    /* osier or the machine failed: I/O, a damaged journal */
	EXIT_FORKED = 7,    /* a log showed two histories */
	EXIT_TIMEOUT = 124, /* --timeout ran out */
	EXIT_INTERRUPTED = 130,
};

struct nodeproc; /* a node that this command started: cli/nodeproc.h */

struct cli {
	const struct command_def *def;
	struct args args;
	bool json;
	const char *host; /* --host or $OSIER_HOST, or NULL; then state_dir stays NULL */
	struct client *client;
	struct nodeproc *node; /* private, or NULL */
	char *state_dir;
	uint64_t down_since_ns; /* an engine is waited for since then */
	bool down_said;         /* and that was told */
	bool impatient;         /* cli_connect() does not wait for an engine that its keeper starts again */
};

/* All of `osier`: returns the exit code. */
int cli_main(int argc, char **argv);

/* The commands, in the order of help; NULL past the last. Hidden ones come last. */
const struct command_def *command_at(size_t i);
const struct command_def *command_find(const char *name);

/* Print the error (as JSON with --json) and give the exit code that goes with it. */
int cli_fail(const struct cli *c, const struct err *e);
enum exit_code exit_of(enum err_code code);
/* Wrong usage: says so and how it is used. */
int cli_usage(const struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- the node ---- */
/* Connect to the node on the state folder. ERR_CLOSED when none answers, with a hint. */
int cli_connect(struct cli *c, struct err *e);
/* The same, but with no node up start an engine that only looks, for the time of this command. */
int cli_connect_look(struct cli *c, struct err *e);

/* ERR_INVALID when the node is another machine's: what needs its files has to be run there. */
int cli_must_be_here(const struct cli *c, struct err *e);

/* The node went away and only what it left is wanted: connect again as cli_connect_look() does. */
int cli_connect_again(struct cli *c, struct err *e);

/* ---- the API as JSON; a caller owns what is returned (json_decref) ---- */
/* NULL with *e (from the answer's error object) on anything but 2xx. `body` may be NULL and is borrowed. */
json_t *ask(struct cli *c, const char *method, const char *target, const json_t *body, struct err *e);
json_t *ask_get(struct cli *c, struct err *e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* An answer's JSON; NULL with *e as above. */
json_t *ask_answer(const struct response *r, struct err *e);
/* Turn an answer that is not 2xx into *e; prints an invalid job's problems and a name's candidates first. */
int ask_error(const struct response *r, struct err *e);
enum err_code ask_code(const char *name);             /* of an error object */
int ask_error_event(const char *data, struct err *e); /* the data of a stream's last event, `error` */
/* Parse an event's data. */
json_t *ask_event(const char *data, struct err *e);

/* Print JSON to stdout with a newline: one line, or indented on a terminal. */
void json_print(const json_t *j);
/* One line, always: an item of a stream. */
void json_print_line(const json_t *j);

/* Members of an object, or the neutral value when absent, null or of another type. */
const char *j_str(const json_t *o, const char *key);
uint64_t j_uint(const json_t *o, const char *key);
bool j_bool(const json_t *o, const char *key);
double j_real(const json_t *o, const char *key);
uint64_t j_ns(const json_t *o, const char *key);    /* seconds as a number */
uint64_t j_time(const json_t *o, const char *key);  /* RFC 3339 */
uint64_t j_milli(const json_t *o, const char *key); /* any number, in thousandths */
bool j_null(const json_t *o, const char *key);
json_t *j_get(const json_t *o, const char *key); /* borrowed; NULL when absent or null */

/* "/v1/jobs/NAME" with the name encoded, for text_addf to go on. */
void job_target(struct text *t, const char *job);
/* What a task's name means. `*out_step` is NULL when only a job was named. Strings must be freed. */
struct task_name {
	char *job, *step;
	int64_t index; /* -1: none */
};
int task_resolve(struct cli *c, const char *name, struct task_name *out, struct err *e);
void task_name_release(struct task_name *t);

/* "cpu 1.5, memory 512 MiB" from an object of needs. */
void needs_text(struct text *t, const json_t *needs);
void amount_text(struct text *t, const char *resource, double amount);

#endif
