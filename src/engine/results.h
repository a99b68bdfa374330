/* SPDX-License-Identifier: Apache-2.0 */
/*
 * results - the results of consecutive tasks of one lease, gathered in columns until the round ends.
 *
 * Becomes one Results entry, however many tasks finished in the round. Storage is kept from use to use: no allocation per
 * task once warm. Single-threaded. Invariants: as in osier.proto; while `plain`, all tasks succeeded without output or
 * measure, and no column is filled in.
 */
#ifndef OSIER_ENGINE_RESULTS_H
#define OSIER_ENGINE_RESULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "wire/osier.pb-c.h"

#define RESULTS_TASKS_MAX 32768u     /* of one entry, unless plain */
#define RESULTS_SMALL_MAX (4u << 20) /* bytes of outputs beside one entry: full when passed */
#define OUTPUT_SMALL_MAX                                                                                     \
	(64u * 1024u) /* outputs up to here live in the journal's store, larger ones are blobs */

struct result_row {
	Wire__Outcome outcome;
	int32_t code;
	uint64_t start_us, wall_us, user_us, system_us, memory_bytes, read_bytes, write_bytes;
};

struct results {
	uint64_t n;
	bool plain;
	uint32_t max;
	Wire__Outcome *outcome;
	int32_t *code;
	uint64_t *start_us, *wall_us, *user_us, *system_us, *memory_bytes, *read_bytes, *write_bytes;
	uint32_t *outputs; /* per task */
	uint32_t n_outputs, max_outputs, n_hashed;
	uint64_t *output_bytes;
	protobuf_c_boolean *truncated;
	uint8_t *sha; /* 32 for each output of non-zero length */
	uint8_t *small;
	size_t small_bytes, small_max;
	char note[512];
};

struct results *results_new(void);
void results_free(struct results *r);
void results_clear(struct results *r);

/* `count` more tasks that succeeded and said nothing. */
void results_add_plain(struct results *r, uint64_t count);
/* One more task; its outputs follow, in order, by results_output(), then results_row_end(). */
void results_row(struct results *r, const struct result_row *row);
/* An output of the row: sha may be NULL when bytes is 0. data: its bytes when it is small (0 < bytes <= OUTPUT_SMALL_MAX). */
void results_output(
        struct results *r, uint64_t bytes, bool truncated, const uint8_t sha[32], const uint8_t *data);
void results_row_end(struct results *r);

/* Why, for the first outcome that did not succeed; later ones are dropped. */
void results_note(struct results *r, const char *note);

/* Can take more rows. */
bool results_room(const struct results *r);

/* Runs of tasks that all succeeded, or all did not. Start with zeroes; false: that was all. The message (without lease and first) borrows
 * from r until it changes; `small` are the small outputs of its tasks. */
struct results_slice {
	Wire__Results message;
	const uint8_t *small;
	size_t small_bytes;
	uint64_t at; /* the next task, and where its outputs are */
	size_t output, hashed, byte;
	bool noted; /* the note is of the first that did not succeed */
};
bool results_slice_next(struct results *r, struct results_slice *s);

/* What lies beside a commitment (exec_commit.c); `out_small` is in `bytes`. */
int held_decode(struct arena *a, const uint8_t *bytes, size_t n, const Wire__Results **out,
        const uint8_t **out_small, size_t *out_small_bytes, struct err *e);

/* Fill in the message (all but lease and first), borrowing from r until it changes. */
void results_message(struct results *r, Wire__Results *out);

#endif
