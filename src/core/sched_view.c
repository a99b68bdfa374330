/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_view - what is shown of devices and namespaces. Pure; reads only.
 */
#include "base/check.h"
#include "core/sched_state.h"

bool sched_device(const struct sched *s, uint32_t node, uint32_t k, struct sched_device_view *out)
{
	const struct device *d;

	if (node == 0 || node > s->node_top || !s->nodes[node].known || k >= s->nodes[node].n_dev)
		return false;
	d = &node_devs(s, node)[k];
	CHECK(d->lane > 0);
	*out = (struct sched_device_view){.resource = d->lane - 1u,
	        .index = d->index,
	        .milli = d->cap,
	        .free = (int64_t)d->cap - node_used(s, node)[k]};
	return true;
}

bool sched_namespace(const struct sched *s, uint32_t k, struct sched_namespace_view *out)
{
	const struct nspace *n;

	if (k >= s->n_ns)
		return false;
	n = &s->ns[k + 1]; /* 0 is none */
	*out = (struct sched_namespace_view){.name = n->name, .weight = n->weight};
	for (uint32_t r = 0; r < RESOURCES_MAX; r++) {
		out->quota[r] = n->quota[r + 1];
		out->used[r] = n->used[r + 1];
	}
	return true;
}

bool sched_able_but(const struct sched *s, uint32_t group, const uint32_t *nodes, uint32_t n)
{
	const struct group *g = &s->groups[group];

	for (uint32_t v = 0; v < g->n_variants; v++) {
		const struct shape *sh = &s->shapes[g->v[v].shape];
		uint32_t of_them = 0;

		for (uint32_t i = 0; i < n; i++) {
			uint32_t k = 0;

			while (nodes[k] != nodes[i])
				k++;
			of_them += k == i && nodes[i] != 0 && nodes[i] <= s->node_top &&
			           shape_in(sh, node_able(s, nodes[i]));
		}
		if (sh->n_able > of_them)
			return true;
	}
	return false;
}
