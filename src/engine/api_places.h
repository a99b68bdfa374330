/* SPDX-License-Identifier: Apache-2.0 */
/* api_places - for each node in a line, why tasks of a step do not run there, or that they could. For api_*.c alone. */
#ifndef OSIER_ENGINE_API_PLACES_H
#define OSIER_ENGINE_API_PLACES_H

#include "core/sched.h"
#include "engine/api_int.h"

struct places {
	const Wire__Step *step;
	uint32_t group; /* of the scheduler; 0: it was not submitted */
	uint64_t now;
};

/* The k-th class of what is below the node (from 1 on), by those of its labels that the node has not: "arch=arm64, site=b". */
void places_class_text(const Wire__NodeSet *m, uint32_t k, char *out, size_t room);

/* "'where' is not met: hall must be north, and is south": without the node's name. `m`: what was last said of the node. */
void places_text(const struct engine *en, uint32_t node, const Wire__NodeSet *m, const Wire__Place *p,
        const struct sched_node_why *w, uint64_t now, char *out, size_t room);

/* "nodes": a list of {node, reason, text, score}, those that could take it first, at most 100. */
void places_json(struct json_out *o, const struct engine *en, const struct places *p);

/* The label that would let it run now on the first node where nothing else is in the way, as a command. False: there is none. */
bool places_change(const struct engine *en, const struct places *p, char *out, size_t room);

#endif
