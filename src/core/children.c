/* SPDX-License-Identifier: Apache-2.0 */
/*
 * children - nodes that have joined this one: who they are, and whether they can be reached; see state.h. Pure.
 *
 * A child is a node like any other, with three things more: a key and a journal, by which it is known again; and a link. While the
 * link is not up nothing new is given to it, and what it has it keeps.
 */
#include <string.h>

#include "base/check.h"
#include "core/state.h"
#include "wire/frame.h"

void child_tell(struct engine *e, uint32_t node)
{
	const struct child *c = &e->children[node];
	bool down = c->joined && c->link != WIRE__NODE_SET__STATE__UP;

	sched_node_state(e->sched, node, (Wire__NodeSet__State)(down ? c->link : c->set));
}

static void link_changed(struct applying *a, uint32_t node, uint32_t joined)
{
	effect(a, &(struct effect){.kind = EFFECT_LINK, .a = node, .b = joined});
}

void child_joined(struct applying *a, const Wire__NodeSet *m)
{
	struct child *c = &a->e->children[m->node];

	/* It may have run what its journal does not know any more, and it holds nothing of ours under the new joining. */
	leases_lost(a->e, m->node);
	c->joined = 1;
	c->link = WIRE__NODE_SET__STATE__DISCONNECTED;
	c->since_ns = a->now;
	c->by_boot = 0;
	c->from_size = m->from_size;
	memcpy(c->key, m->key.data, sizeof(c->key));
	memset(c->journal, 0, sizeof(c->journal));
	if (m->journal.len == sizeof(c->journal))
		memcpy(c->journal, m->journal.data, sizeof(c->journal));
	away_begin(a->e, m->node);
	link_changed(a, m->node, 1);
}

void child_removed(struct applying *a, uint32_t node)
{
	struct child *c = &a->e->children[node];

	leases_lost(a->e, node);
	c->joined = 0;
	c->link = WIRE__NODE_SET__STATE__UP;
	c->since_ns = c->from_size = 0;
	c->by_boot = 0;
	memset(c->key, 0, sizeof(c->key));
	memset(c->journal, 0, sizeof(c->journal));
	for (uint32_t i = c->leases.head; i; i = lease_at(a->e, i)->of_node.next)
		lease_timer(a->e, lease_at(a->e, i));
	quota_drop(a, node);
	link_changed(a, node, 0);
}

void child_rekey(struct engine *e, const Wire__CertSet *m)
{
	uint32_t node = engine_node_named(e, m->node);
	struct child *c = &e->children[node];

	/* The link goes on, and so does what runs there: it is the same node. */
	if (node && c->joined && memcmp(c->key, m->was.data, sizeof(c->key)) == 0)
		memcpy(c->key, m->key.data, sizeof(c->key));
}

void children_boot(struct applying *a)
{
	struct engine *e = a->e;

	for (uint32_t i = 1; i <= e->limits.nodes_max; i++) {
		struct child *c = &e->children[i];

		if (!c->joined || c->link != WIRE__NODE_SET__STATE__UP)
			continue;
		c->link = WIRE__NODE_SET__STATE__DISCONNECTED;
		c->since_ns = a->now;
		c->by_boot = 1;
		child_tell(e, i);
		away_begin(e, i);
	}
}

void child_heard(struct engine *e, uint32_t node, uint64_t from_size)
{
	struct child *c = &e->children[node];

	if (c->joined && from_size > c->from_size)
		c->from_size = from_size;
}

bool links_any(const struct engine *e)
{
	bool any = e->parent.number != 0;

	for (uint32_t i = 1; i <= e->limits.nodes_max && !any; i++)
		any = e->children[i].joined;
	for (uint32_t i = e->all_jobs.head; i && !any; i = job_at(e, i)->all.next)
		any = job_at(e, i)->adjusted;
	return any;
}

bool child_takes(const struct engine *e, const struct step *s, uint32_t node)
{
	const struct child *c = &e->children[node];

	return !c->joined || (!s->local && (!step_commits(s) || c->commits));
}

bool child_filter(const void *engine, uint32_t group, uint32_t node)
{
	const struct engine *e = engine;
	const struct step *s = step_at(e, job_at(e, e->groups[group].job), e->groups[group].step);

	return child_takes(e, s, node) && unit_filter(engine, group, node);
}

void apply_node_link(struct applying *a, const Wire__NodeLink *m)
{
	struct child *c;
	uint64_t gone;
	bool was_up;

	if (m->node == 0) {
		parent_link(a, m->state);
		return;
	}
	CHECK(m->node <= a->e->limits.nodes_max);
	c = &a->e->children[m->node];
	CHECK(c->joined);
	gone = a->now > c->since_ns ? a->now - c->since_ns : 0;
	was_up = c->link == WIRE__NODE_SET__STATE__UP;
	c->link = (uint8_t)m->state;
	if (was_up || c->link == WIRE__NODE_SET__STATE__UP) { /* else it is lost since it is disconnected */
		c->since_ns = a->now;
		c->by_boot = 0;
	}
	child_tell(a->e, m->node);
	if (c->link != WIRE__NODE_SET__STATE__UP)
		away_begin(a->e, m->node);
	else if (!was_up)
		away_end(a->e, m->node, gone, a->now);
	link_changed(a, m->node, 0);
}

/* ---- decide ---- */

void decide_node_remove(struct deciding *d, uint32_t node)
{
	Wire__NodeSet *m;
	struct sched_node_view v;
	Wire__Entry *en;

	if (node == 0 || node > d->e->limits.nodes_max || !d->e->children[node].joined ||
	        !sched_node(d->e->sched, node, &v)) {
		refuse(d, "node_remove", "not_found", "'osier nodes' lists them", "node %u has not joined",
		        node);
		return;
	}
	m = entry_alloc(d, sizeof(*m));
	en = entry_new(d, WIRE__ENTRY__BODY_NODE_SET);
	if (!m || !en)
		return;
	wire__node_set__init(m);
	m->node = node;
	m->name = (char *)(uintptr_t)v.name;
	m->state = WIRE__NODE_SET__STATE__LOST;
	m->removed = 1;
	m->by = (Wire__Principal *)(uintptr_t)d->by;
	en->node_set = m;
}

/* The number for a node that joins: its own if it was here before, else the first that is free; 0: none is, and it was refused. */
static uint32_t number_for(struct deciding *d, const Wire__NodeSet *m)
{
	const struct engine *e = d->e;
	uint32_t free = 0, named = engine_node_named(e, m->name);

	for (uint32_t i = 2; i <= e->limits.nodes_max; i++) {
		if (e->children[i].joined && memcmp(e->children[i].key, m->key.data, 32) == 0) {
			if (named == 0 || named == i)
				return i;
			break;
		}
		if (!free && (!e->nodes[i] || sched_node_gone(e->sched, i)) && !e->children[i].leases.n)
			free = i;
	}
	if (named)
		refuse(d, "node_join", "exists", "give it another name ('--name'), or remove the other node",
		        "there is a node '%s', with another key", m->name);
	else if (!free)
		refuse(d, "node_join", "full", "remove nodes that are gone, or raise limits.memory",
		        "this hub holds %u nodes, which is its limit", e->limits.nodes_max);
	return named ? 0 : free;
}

void decide_node_join(struct deciding *d, const Wire__NodeSet *m)
{
	struct err err = {0};
	Wire__NodeSet *copy;
	Wire__Entry *en;
	uint32_t node;

	if (!frame_name_ok(m->name) || m->key.len != 32 || m->journal.len != 32) {
		refuse(d, "node_join", "invalid",
		        "a name has small letters, digits and '-' inside, at most 63",
		        "'%.64s' cannot join: no name, key or journal that a node can have", m->name);
		return;
	}
	node = number_for(d, m);
	copy = node ? node_set_copy(d, node, m) : NULL;
	if (!copy)
		return;
	copy->state = (Wire__NodeSet__State)d->e->children[node].set;
	if (copy->state != WIRE__NODE_SET__STATE__DRAINED && copy->state != WIRE__NODE_SET__STATE__CORDONED)
		copy->state = WIRE__NODE_SET__STATE__UP;
	if (sched_node_ok(d->e->sched, copy, &err) < 0)
		refuse(d, "node_join", "invalid", err.hint, "%s", err.msg);
	else if (!blocks_fits(&d->e->blocks, wire__node_set__get_packed_size(copy) + 8))
		refuse(d, "node_join", "full", "forget finished jobs", "no memory for another node");
	else if ((en = entry_new(d, WIRE__ENTRY__BODY_NODE_SET)))
		en->node_set = copy;
}

void decide_node_link(struct deciding *d, const Wire__NodeLink *m)
{
	Wire__Entry *en;

	if (m->node == 0)
		decide_parent_link(d, m);
	else if (m->node > d->e->limits.nodes_max || !d->e->children[m->node].joined)
		refuse(d, "node_link", "not_found", "", "node %u has not joined", m->node);
	else if (m->state != WIRE__NODE_SET__STATE__UP && m->state != WIRE__NODE_SET__STATE__DISCONNECTED &&
	         m->state != WIRE__NODE_SET__STATE__LOST)
		refuse(d, "node_link", "invalid", "", "a link is up, disconnected or lost");
	else if (d->e->children[m->node].link != m->state && (en = entry_new(d, WIRE__ENTRY__BODY_NODE_LINK)))
		en->node_link = (Wire__NodeLink *)(uintptr_t)m;
}

/* ---- looking ---- */

bool engine_child(const struct engine *e, uint32_t node, struct child_view *out)
{
	const struct child *c;

	if (node == 0 || node > e->limits.nodes_max || !e->children[node].joined)
		return false;
	c = &e->children[node];
	*out = (struct child_view){.key = c->key,
	        .journal = c->journal,
	        .from_size = c->from_size,
	        .link = (Wire__NodeSet__State)c->link,
	        .since_ns = c->since_ns,
	        .by_boot = c->by_boot != 0,
	        .set = (Wire__NodeSet__State)c->set};
	return true;
}

uint32_t engine_node_named(const struct engine *e, const char *name)
{
	struct sched_node_view v = {0};

	while (sched_node_next(e->sched, v.node, &v))
		if (strcmp(v.name, name) == 0)
			return v.node;
	return 0;
}

uint32_t engine_node_leases(const struct engine *e, uint32_t node)
{
	return node <= e->limits.nodes_max ? e->children[node].leases.n : 0;
}

bool engine_node_lease_next(const struct engine *e, uint32_t node, lease_id after, struct lease_view *out)
{
	const struct lease *l = after.v ? lease_find(e, after.v) : NULL;
	uint32_t i;

	if (node > e->limits.nodes_max)
		return false;
	i = l && l->node == node ? l->of_node.next : e->children[node].leases.head;
	while (i && lease_at(e, i)->id <= after.v)
		i = lease_at(e, i)->of_node.next;
	return i && engine_lease(e, (lease_id){lease_at(e, i)->id}, out);
}

lease_id engine_lease_last(const struct engine *e)
{
	return (lease_id){e->last_lease};
}
