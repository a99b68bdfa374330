/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gang - tasks of several members that run at one time, all or none: what others than the core need to know of them. Pure.
 *
 * A member is a unit of its task, as a replica of a verified task is; its rank is the replica's number, its lease a lease like
 * others. All members are granted in one decision. Who rank 0 is, and where, is in the grant of each.
 */
#ifndef OSIER_CORE_GANG_H
#define OSIER_CORE_GANG_H

#include "base/arena.h"
#include "core/engine.h"

#define GANG_MAX         64u /* members */
#define GANG_SECRET_MAX  64u /* bytes of its text */
#define GANG_ADDRESS_MAX 255u
/* Where rank 0 may listen on a node that does not say. */
#define GANG_PORT_FIRST 7500u
#define GANG_PORT_COUNT 500u

/* A name or an address by which a node is reached: letters, digits, '.', ':', '_' and '-'. */
bool gang_address_ok(const char *address);

/* What the process of this lease is told of its gang, with memory from the arena; NULL: it is no member of one, or the arena is full.
 * Members of one machine alone, whose address nobody knows, reach each other at 127.0.0.1. */
const Wire__Member *gang_member(
        const struct engine *e, const struct lease_view *l, const Wire__Step *st, struct arena *a);

/* The attempt whose result is that of a gang's task: of rank 0, or of who broke it. 0: it is no gang, or nobody has begun. */
lease_id engine_gang_result(const struct engine *e, job_id job, uint32_t step, uint64_t task);

#endif
