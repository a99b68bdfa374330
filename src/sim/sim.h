/* SPDX-License-Identifier: Apache-2.0 */
/* sim - what osier-sim can run: chaos by seed, and stories that read as documentation. */
#ifndef OSIER_SIM_SIM_H
#define OSIER_SIM_SIM_H

#include "sim/world.h"

/* One random day; a broken invariant aborts (CHECK). */
void chaos(uint64_t seed, FILE *trace, struct world_counts *out);

/* Its parts: one random wish of a user's or an administrator's, what takes back all that would keep a job from its end, and chances. */
void chaos_wish(struct world *w);
void chaos_submit(struct world *w, const char *name); /* a random job in this namespace; NULL: a random one */
void chaos_make_up(struct world *w);
struct faults chaos_weather(struct prng *p);

/* One random day of a tree of machines (fleet.h). */
struct fleet_counts;
void fleet_chaos(uint64_t seed, FILE *trace, struct fleet_counts *out);

/* A story tells its world; what the world says must be what `expect` says. */
struct story {
	const char *name;
	void (*tell)(FILE *trace);
	const char *expect;
};
struct story_book {
	const struct story *v;
	size_t n;
};
extern const struct story_book stories_engine;     /* killed engines, lost messages, crashing workers */
extern const struct story_book stories_verify;     /* nodes that lie about results */
extern const struct story_book stories_disconnect; /* nodes that cannot be reached */
extern const struct story_book stories_alone;      /* nodes that stop by themselves what they run */
extern const struct story_book stories_quota;      /* one namespace at a hub and at its nodes */
extern const struct story_book stories_place;      /* where tasks go, by labels, data, links and failures */
extern const struct story_book stories_fleet;      /* machines that join, are cut off, and come back */
extern const struct story_book stories_commit;     /* replicas on them commit before any of them tells */
extern const struct story_book stories_gang;       /* tasks of several members */
extern const struct story_book stories_ledger; /* logs that show two faces, and disks that were rolled back */

#endif
