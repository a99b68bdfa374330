/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_view - what is shown of devices and namespaces. Pure; reads only.
 */
#include "base/check.h"
#include "core/sched_state.h"

bool sched_device(const struct sched *s, uint32_t node, uint32_t k, struct sched_device_view *out)
{
	const struct device *d;

	if (node == 0 || node > s->node_real || !s->nodes[node].known || k >= s->nodes[node].n_dev)
		return false;
	d = &node_devs(s, node)[k];
	CHECK(d->lane > 0);
	*out = (struct sched_device_view){.resource = d->lane - 1u,
	        .index = d->index,
	        .milli = d->cap,
	        .free = (int64_t)d->cap - node_used(s, node)[k]};
	return true;
}

uint32_t sched_named(const struct sched *s, const char *name)
{
	for (uint32_t x = 1; x <= s->node_top; x++)
		if (s->nodes[x].known && !s->nodes[x].gone && strcmp(s->nodes[x].name, name) == 0)
			return x;
	return 0;
}

static void namespace_view(const struct nspace *n, struct sched_namespace_view *out)
{
	*out = (struct sched_namespace_view){.name = n->name, .weight = n->weight};
	for (uint32_t r = 0; r < RESOURCES_MAX; r++) {
		out->quota[r] = n->own[r + 1];
		out->used[r] = n->used[r + 1];
		out->cap[r] = UINT64_MAX - n->uncapped[r + 1];
		out->lent[r] = n->lent[r + 1];
		out->left[r] = n->quota[r + 1];
	}
}

bool sched_namespace(const struct sched *s, uint32_t k, struct sched_namespace_view *out)
{
	if (k >= s->n_ns)
		return false;
	namespace_view(&s->ns[k + 1], out); /* 0 is none */
	return true;
}

bool sched_namespace_named(const struct sched *s, const char *name, struct sched_namespace_view *out)
{
	uint32_t ns = ns_find(s, name);

	if (ns != 0)
		namespace_view(&s->ns[ns], out);
	return ns != 0;
}

uint32_t sched_able_next(const struct sched *s, uint32_t group, uint32_t after)
{
	const struct group *g = &s->groups[group];

	for (uint32_t x = after + 1; x <= s->node_real; x++)
		for (uint32_t at = x; at != 0; at = place_next(s, x, at))
			for (uint32_t v = 0; v < g->n_variants; v++)
				if (shape_able(s, g->v[v].shape, at) && place_alike(s, g, at))
					return x;
	return 0;
}

bool sched_able_but(const struct sched *s, uint32_t group, const uint32_t *nodes, uint32_t n)
{
	const struct group *g = &s->groups[group];

	for (uint32_t v = 0; v < g->n_variants; v++) {
		uint32_t of_them = 0, able = s->shapes[g->v[v].shape].n_able;

		/* Places that do not count for it are not many. */
		for (uint32_t x = s->node_real + 1; g->same != 0 && x <= s->node_top; x++)
			able -= shape_able(s, g->v[v].shape, x) && !place_alike(s, g, x);
		for (uint32_t i = 0; i < n; i++) {
			uint32_t k = 0;

			while (nodes[k] != nodes[i])
				k++;
			for (uint32_t x = k == i && nodes[i] <= s->node_real ? nodes[i] : 0; x != 0;
			        x = place_next(s, nodes[i], x))
				of_them += shape_able(s, g->v[v].shape, x) && place_alike(s, g, x);
		}
		if (able > of_them)
			return true;
	}
	return false;
}
