/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pins - the blobs that kept jobs name: inputs, files of lines, large outputs; and those that were made for leases that live. They are not
 * swept, however old.
 *
 * Begun on the loop thread (which jobs are kept), scanned on another one, by a reader of its own: the journal is read once
 * from its oldest kept entry to its end. What is stored after that is young, and the sweep spares what is young.
 */
#ifndef OSIER_ENGINE_PINS_H
#define OSIER_ENGINE_PINS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/engine.h"

/* n blobs that no entry names were made for the lease: small outputs for tasks on another machine, many in one, or too many for that
 * (core/sources.h). They stay while the lease lives, also over a restart: files without bytes, DIR/packs/LEASE.SHA256, durable when this
 * returns. To be called before the lease's node hears of them. */
int pins_keep(const char *state_dir, lease_id lease, const uint8_t (*digest)[32], size_t n, struct err *e);

struct pins;

/* The jobs and the leases that the engine knows now are kept; entries [from, to) are looked at. */
struct pins *pins_new(const struct engine *e, const char *state_dir, uint64_t from, uint64_t to);
void pins_free(struct pins *p);
/* Any thread but the loop's. < 0: something could not be read, nothing may be swept. */
int pins_scan(struct pins *p, struct err *e);
/* As blobs_sweep() asks; ctx is the struct pins. */
bool pins_has(void *ctx, const uint8_t digest[32]);

#endif
