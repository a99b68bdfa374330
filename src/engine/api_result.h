/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_result - one task out of a Results entry: its row, its outputs, and where their bytes are.
 *
 * Pure; what it returns points into the message.
 */
#ifndef OSIER_ENGINE_API_RESULT_H
#define OSIER_ENGINE_API_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/osier.pb-c.h"

/* Is the note about row i? It says why for the first that did not succeed. */
bool result_note_is_for(const Wire__Results *r, uint64_t i);

/* An output of a task. */
struct result_output {
	uint64_t bytes;
	const uint8_t *sha256; /* NULL when it is empty */
	bool truncated;
	bool small; /* its bytes are in the journal's store, at `at` of the entry's outputs; else a blob */
	uint64_t at;
};

/* The outputs of row i (of r->count): how many there are (trailing empty ones are not counted) ... */
uint32_t result_outputs(const Wire__Results *r, uint64_t i);
/* ... and the k-th of them; an empty one past the last. */
void result_output_at(const Wire__Results *r, uint64_t i, uint32_t k, struct result_output *out);

/* The same for walking through many rows in order: each step costs what lies between. Zeroed, it stands before row 0; it may
 * not be used with another message, or backwards. */
struct result_walk {
	uint64_t row, from, hashed, at;
};
void result_walk_to(const Wire__Results *r, struct result_walk *w, uint64_t row);
void result_walk_output(
        const Wire__Results *r, const struct result_walk *w, uint32_t k, struct result_output *out);

#endif
