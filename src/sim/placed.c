/* SPDX-License-Identifier: Apache-2.0 */
/* placed - labels of machines, and whether every task is where it may be. */
#include <stdlib.h>
#include <string.h>
#include "core/sched.h"
#include "sim/world_state.h"

void world_class(struct world *w, const char *is, const char *wanted)
{
	w->class_ = is;
	w->wanted = wanted;
	world_node(w, 1, w->node[1].state, w->node[1].quarters);
}

const char *world_wanted(const struct world *w)
{
	return w->wanted;
}

uint32_t world_gang_nodes(const struct world *w)
{
	return w->machine ? machine_gang_nodes(w) : UINT32_MAX;
}

/* The node's value of a label, or that of a class below it (from 1 on), by what was last said of it; NULL: it has none. */
static const char *label_of(const Wire__NodeSet *n, uint32_t class_, const char *key)
{
	const char *v = strcmp(key, "name") == 0 ? n->name : NULL;
	Wire__Pair *const *labels = class_ ? n->classes[class_ - 1]->labels : n->labels;
	const size_t n_labels = class_ ? n->classes[class_ - 1]->n_labels : n->n_labels;

	for (size_t i = 0; i < n_labels; i++)
		v = strcmp(labels[i]->key, key) == 0 ? labels[i]->value : v;
	for (size_t i = 0; i < n->n_admin_labels; i++)
		v = strcmp(n->admin_labels[i]->key, key) == 0 ? n->admin_labels[i]->value : v;
	return v;
}

void executor_check_place(struct world *w, const Wire__LeaseGranted *g)
{
	const Wire__Place *p = world_spec(w, world_book(w, g->job))->steps[g->step]->place;
	const uint8_t *bytes;
	const uint32_t class_ = sched_class_find(engine_sched(w->engine), g->node, g->class_);
	Wire__NodeSet *n;
	size_t len;

	CHECK(!g->class_ == !class_); /* it is there when it is given */
	w->counts.below += class_ != 0;
	if (!p || p->n_where == 0)
		return;
	CHECK(engine_node(w->engine, g->node, &bytes, &len) &&
	        (n = wire__node_set__unpack(NULL, len, bytes)));
	for (size_t i = 0; i < p->n_where; i++) {
		const char *v = label_of(n, class_, p->where[i]->key);
		bool in = false;

		for (size_t k = 0; class_ && k < n->n_folded; k++)
			CHECK(strcmp(n->folded[k], p->where[i]->key) != 0 || v);

		for (size_t k = 0; k < p->where[i]->n_values; k++)
			in = in || (v && strcmp(v, p->where[i]->values[k]) == 0);
		CHECK(p->where[i]->op == WIRE__MATCH__OP__IN
		                ? in
		                : p->where[i]->op != WIRE__MATCH__OP__NOT_IN || !in);
	}
	wire__node_set__free_unpacked(n, NULL);
}

void executor_check_class(struct world *w, const Wire__LeaseGranted *g)
{
	const struct book *b = world_book(w, g->job);
	const Wire__Verify *v = world_spec(w, b)->steps[g->step]->verify;
	const struct sched *s = engine_sched(w->engine);
	const uint64_t key = sched_label_key("class"); /* a child has that of its own first node */
	struct vote_view votes[REPLICAS_MAX];

	for (uint64_t t = g->first; v && v->same[0] && t < g->first + g->count; t++) {
		uint32_t n = engine_votes(w->engine, (job_id){g->job}, g->step, t, votes, REPLICAS_MAX);

		for (uint32_t r = 0; r < n; r++)
			CHECK(r == g->replica || !votes[r].node ||
			        (votes[r].state != TASK_LEASED &&
			                (votes[r].state != TASK_DONE ||
			                        votes[r].outcome == WIRE__OUTCOME__SKIPPED)) ||
			        sched_label(s, votes[r].node, key) == sched_label(s, g->node, key));
	}
}
