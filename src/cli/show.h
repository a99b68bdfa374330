/* SPDX-License-Identifier: Apache-2.0 */
/* show - pieces of output that several commands share. */
#ifndef OSIER_CLI_SHOW_H
#define OSIER_CLI_SHOW_H

#include "cli/cli.h"

/* to - from, 0 when the clocks disagree. */
uint64_t elapsed_ns(uint64_t from, uint64_t to);

/* How many times as fast as one worker alone a job of `tasks` was, in thousandths: one worker would have computed for about `cpu`
 * on a core that does nothing else (less, where tasks beside each other share caches or hyperthreads). 0 where there is nothing to compare: one task, less than a second, or a job that mostly
 * waited (below a half). */
uint64_t speed_milli(uint64_t cpu_ns, uint64_t wall_ns, uint64_t tasks);

/* "  label   value" lines, aligned. */
void show_field(const char *label, const char *value);
void show_fieldf(const char *label, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "pi-17 is running", "pi-17 succeeded", "pi-17 was cancelled": the subject and a state, coloured. */
void state_sentence(struct text *t, const char *id, const char *state);

/* One line for a task's outcome: "failed with exit code 3", "killed at its memory limit (peak 512 MiB)", with its note. `attempt` as in
 * the API. */
void outcome_text(struct text *t, const json_t *attempt);

/* "3 failed, 2 skipped of 10" from counts. */
void counts_text(struct text *t, const json_t *counts);

/* Tasks that came to an end of their own; the API's `done` counts those too that a cancel stopped. */
uint64_t counts_done(const json_t *counts);

/* Fill rows for progress_draw() from a JobEvent or job: the whole job first, then its steps when it has several. Names are
 * borrowed from j. Returns how many (at most max). */
size_t progress_rows(const json_t *j, struct progress_row *rows, size_t max);

/* The exit code that a job's state asks for. */
int exit_of_state(const char *state);

/* Of `nodes` of a why or a step's plan, a line each, when there are at least so many. `of`: what they are of, or "". */
void print_places(const json_t *nodes, size_t least, const char *of);
/* "hall=north, arch=amd64" */
void labels_text(struct text *t, const json_t *node);
/* Every resource and device of a node. */
void print_node_resources(const json_t *node);

#endif
