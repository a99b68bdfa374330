/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grant - a lease as a job for the node that is to run it: one step, with the chosen variant, from the lease's cursor on.
 *
 * What decides about the whole stays where the job is: what comes after what, retries, replicas, queue timeouts. The parameters go
 * whole, with the index at which they begin. Pure.
 */
#ifndef OSIER_CORE_GRANT_H
#define OSIER_CORE_GRANT_H

#include "base/arena.h"
#include "core/engine.h"

#define GRANT_BYTES_MAX (160u << 10) /* of a step's description: it must fit one frame */
#define GRANT_SOURCED_MAX                                                                                    \
	(80u << 10) /* of one that goes with a table of what earlier steps made (core/sources.h) */
#define GRANT_TABLED_MAX (200u << 10) /* and of both together */

/* Can tasks of this step run on another machine at all? Not those whose description does not fit a frame, nor those that take more
 * files from earlier steps than such a table holds. */
bool grant_possible(const Wire__JobSpec *spec, const Wire__Step *st);
/* Most tasks of the step that one lease may have, so that what they take from earlier steps fits the table; 0: no limit. */
uint64_t grant_tasks_max(const Wire__JobSpec *spec, const Wire__Step *st);
/* Does it need a table that is to be made here? (A part of another hub's step has brought its own.) */
bool grant_sourced(const Wire__Step *st);

/* The specification for what is left of the lease, as things are now (priority and timeouts may have been adjusted). `spec`: of the
 * lease's job; `sources`: of its tasks from the cursor on, where grant_sourced(). The result borrows from them and from the arena.
 * NULL: the arena is full. */
const Wire__JobSpec *grant_make(const struct engine *e, const struct lease_view *l, const Wire__JobSpec *spec,
        const Wire__Sources *sources, struct arena *a);

#endif
