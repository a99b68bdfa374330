/* SPDX-License-Identifier: Apache-2.0 */
/* sim - what osier-sim can run: chaos by seed, and stories that read as documentation. */
#ifndef OSIER_SIM_SIM_H
#define OSIER_SIM_SIM_H

#include "sim/world.h"

/* One random day; a broken invariant aborts (CHECK). */
void chaos(uint64_t seed, FILE *trace, struct world_counts *out);

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
extern const struct story_book stories_engine; /* killed engines, lost messages, crashing workers */
extern const struct story_book stories_verify; /* nodes that lie about results */
extern const struct story_book stories_ledger; /* logs that show two faces, and disks that were rolled back */

#endif
