/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pins - the blobs that kept jobs name: inputs, files of lines, large outputs. They are not swept, however old.
 *
 * Begun on the loop thread (which jobs are kept), scanned on another one, by a reader of its own: the journal is read once
 * from its oldest kept entry to its end. What is stored after that is young, and the sweep spares what is young.
 */
#ifndef OSIER_ENGINE_PINS_H
#define OSIER_ENGINE_PINS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/engine.h"

struct pins;

/* The jobs that the engine knows now are kept; entries [from, to) are looked at. */
struct pins *pins_new(const struct engine *e, const char *state_dir, uint64_t from, uint64_t to);
void pins_free(struct pins *p);
/* Any thread but the loop's. < 0: something could not be read, nothing may be swept. */
int pins_scan(struct pins *p, struct err *e);
/* As blobs_sweep() asks; ctx is the struct pins. */
bool pins_has(void *ctx, const uint8_t digest[32]);

#endif
