/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec_cache - the decoded specifications of the jobs that run now.
 *
 * The core keeps specifications packed; starting a task needs them decoded. Least recently used ones go when there are more
 * than SPEC_CACHE_JOBS or their decoded bytes exceed SPEC_CACHE_BYTES, except those that are held.
 * Loop thread only. Invariant: a specification that is held does not move or go.
 */
#ifndef OSIER_ENGINE_SPEC_CACHE_H
#define OSIER_ENGINE_SPEC_CACHE_H

#include "base/err.h"
#include "core/engine.h"

#define SPEC_CACHE_JOBS  64u
#define SPEC_CACHE_BYTES (16u << 20)

struct spec_cache;

struct spec_ref {
	const Wire__JobSpec *spec; /* NULL: nothing is held */
	struct spec_item *item;
};

struct spec_cache *spec_cache_new(void);
void spec_cache_free(struct spec_cache *c);

/* The job's specification, until spec_release(). < 0: no such job, or its bytes cannot be read. */
int spec_hold(
        struct spec_cache *c, const struct engine *e, job_id job, struct spec_ref *out, struct err *err);
void spec_release(struct spec_ref *r);

/* Forget a job that is forgotten (it stays while held). */
void spec_cache_drop(struct spec_cache *c, job_id job);

#endif
