/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delegated - jobs that are leases of the parent's: who the parent is, what of its leases is here; see state.h. Pure.
 *
 * A lease is taken once: its number must be above all that came before. When its job has finished and the parent has that, it is
 * forgotten; a new joining (LinkSet) begins with none.
 */
#include <string.h>

#include "base/check.h"
#include "core/state.h"
#include "wire/frame.h"

static const struct job *find(const struct engine *e, uint64_t parent, uint64_t lease)
{
	uint32_t i = idmap_find(&e->delegated_leases, lease);

	while (i && job_at(e, i)->of_parent != parent)
		i = idmap_next(&e->delegated_leases, lease, i);
	return i ? job_at(e, i) : NULL;
}

/* ---- apply ---- */

void delegated_link(struct engine *e, struct job *j, const Wire__Delegated *of)
{
	uint32_t i = job_index(e, j);

	CHECK(of->lease);
	j->of_parent = of->parent;
	j->of_lease = of->lease;
	j->of_first = of->first;
	j->of_tag = of->tag;
	j->of_commit = of->commit != 0;
	j->stop_after_ns = of->stop_after_ns;
	if (of->parent == e->parent.number && of->lease > e->parent.lease_seen)
		e->parent.lease_seen = of->lease;
	idmap_add(&e->delegated_leases, of->lease, i);
	list_append(&e->jobs, &e->delegated, i, offsetof(struct job, delegated));
}

void delegated_unlink(struct engine *e, struct job *j)
{
	uint32_t i = job_index(e, j);

	idmap_remove(&e->delegated_leases, j->of_lease, i);
	list_remove(&e->jobs, &e->delegated, i, offsetof(struct job, delegated));
}

/* Has the task a result that the parent can take: one that an attempt ended with? */
static bool has_result(uint8_t byte)
{
	return byte >> 4 == S_DONE && (byte & 15) < WIRE__OUTCOME__STOPPED;
}

void delegated_settle(struct applying *a, struct job *j)
{
	const struct step *s = step_at(a->e, j, 0);
	const uint8_t *states = task_states(a->e, j, s);
	uint64_t was = j->prefix;

	while (j->prefix < s->tasks && has_result(states[j->prefix]))
		j->prefix++;
	if (j->prefix != was || j->finished_ns)
		effect(a, &(struct effect){.kind = EFFECT_DELEGATED,
		                  .job = {j->id},
		                  .lease = {j->of_lease},
		                  .task = j->prefix,
		                  .a = j->finished_ns != 0});
}

void apply_link_set(struct applying *a, const Wire__LinkSet *m)
{
	struct parent *p = &a->e->parent;

	CHECK(m->parent >= p->number && strlen(m->name) < sizeof(p->name));
	if (!m->name[0] || m->key.len != sizeof(p->key) || memcmp(p->key, m->key.data, sizeof(p->key)) != 0)
		quota_drop(a, 0);
	p->number = m->parent;
	p->since_ns = a->now;
	p->lease_seen = p->lost_ns = 0;
	memset(p->name, 0, sizeof(p->name));
	memcpy(p->name, m->name, strlen(m->name));
	memset(p->key, 0, sizeof(p->key));
	if (m->key.len == sizeof(p->key))
		memcpy(p->key, m->key.data, sizeof(p->key));
	/* Jobs of the parent of before do not mind being without it any more: they are stopped for another reason. */
	for (uint32_t i = a->e->delegated.head; i; i = job_at(a->e, i)->delegated.next)
		job_timer(a->e, job_at(a->e, i));
	effect(a, &(struct effect){.kind = EFFECT_LINK});
}

/* Does it mind being alone? */
static bool minds(const struct engine *e, const struct job *j)
{
	return j->of_lease && j->of_parent == e->parent.number && j->stop_after_ns && !j->finished_ns &&
	       !j->cancelled && !j->timed_out;
}

static bool any_minds(const struct engine *e)
{
	for (uint32_t i = e->delegated.head; i; i = job_at(e, i)->delegated.next)
		if (minds(e, job_at(e, i)))
			return true;
	return false;
}

uint64_t delegated_alone_due(const struct engine *e, const struct job *j)
{
	if (!e->parent.lost_ns || !minds(e, j))
		return UINT64_MAX;
	return add_ns(e->parent.lost_ns, j->stop_after_ns);
}

void parent_link(struct applying *a, Wire__NodeSet__State state)
{
	struct engine *e = a->e;

	e->parent.lost_ns = state == WIRE__NODE_SET__STATE__UP ? 0 : a->now | !a->now;
	for (uint32_t i = e->delegated.head; i; i = job_at(e, i)->delegated.next)
		job_timer(e, job_at(e, i));
}

/* Nobody has come yet to a new engine. When the link was lost before, that counts. */
void parent_boot(struct applying *a)
{
	if (!a->e->parent.lost_ns && any_minds(a->e))
		parent_link(a, WIRE__NODE_SET__STATE__DISCONNECTED);
}

/* ---- decide ---- */

/* The first job of an earlier parent's that is to be stopped or forgotten. They are before all others. */
static const struct job *orphan(const struct engine *e)
{
	for (uint32_t i = e->delegated.head; i; i = job_at(e, i)->delegated.next) {
		const struct job *j = job_at(e, i);

		if (j->of_parent == e->parent.number)
			return NULL;
		if (j->finished_ns || !j->cancelled)
			return j;
	}
	return NULL;
}

bool delegated_due(const struct engine *e)
{
	return orphan(e) != NULL;
}

bool decide_orphan(struct deciding *d)
{
	const struct job *j = orphan(d->e);

	if (!j)
		return false;
	if (j->finished_ns)
		decide_handed_over(d, j->id);
	else
		decide_cancel(d, j->id, "its hub is not this node's any more");
	return true;
}

/* Written down only when it matters: who has nothing that minds gets no entry for each loss of the link. */
void decide_parent_link(struct deciding *d, const Wire__NodeLink *m)
{
	const struct engine *e = d->e;
	bool up = m->state == WIRE__NODE_SET__STATE__UP;
	Wire__Entry *en;

	if (!e->parent.name[0])
		return; /* it has just left */
	if (!up && m->state != WIRE__NODE_SET__STATE__DISCONNECTED)
		refuse(d, "node_link", "invalid", "", "the link to a hub is up or disconnected");
	else if ((up ? e->parent.lost_ns != 0 : !e->parent.lost_ns && any_minds(e)) &&
	         (en = entry_new(d, WIRE__ENTRY__BODY_NODE_LINK)))
		en->node_link = (Wire__NodeLink *)(uintptr_t)m;
}

void decide_link_set(struct deciding *d, const Wire__LinkSet *m)
{
	Wire__LinkSet *copy;
	Wire__Entry *en;

	if (d->by && d->by->uid != 0) {
		refuse(d, "link_set", "denied", "ask root", "only root and the node's owner may join a hub");
		return;
	}
	if (m->name[0] ? !frame_name_ok(m->name) || m->key.len != 32 : m->key.len != 0) {
		refuse(d, "link_set", "invalid", "", "no name or key that a hub can have");
		return;
	}
	if (!m->name[0] && !d->e->parent.name[0]) {
		refuse(d, "link_set", "state", "", "this node has not joined a hub");
		return;
	}
	en = entry_new(d, WIRE__ENTRY__BODY_LINK_SET);
	copy = entry_alloc(d, sizeof(*copy));
	if (!en || !copy)
		return;
	*copy = *m;
	copy->parent = d->e->parent.number + 1;
	if (d->by)
		copy->by = (Wire__Principal *)(uintptr_t)d->by;
	en->link_set = copy;
}

void decide_delegated(struct deciding *d, const Wire__JobSpec *spec, const Wire__Delegated *of)
{
	const struct parent *p = &d->e->parent;
	Wire__JobSubmitted *m;
	Wire__Delegated *copy;
	Wire__Entry *en;

	if (!p->name[0]) {
		refuse(d, "delegated", "state", "", "this node has no hub to take leases from");
		return;
	}
	if (of->lease <= p->lease_seen)
		return; /* it is here, or was */
	if (spec->n_steps != 1 || of->first > UINT64_MAX - spec->steps[0]->tasks) {
		refuse(d, "delegated", "invalid", "", "a lease of the hub's is not one step");
		return;
	}
	if (d->e->delegated.n >= FRAME_HELD_MAX) {
		refuse(d, "delegated", "full", "", "this node holds %u leases of its hub, which is its limit",
		        FRAME_HELD_MAX);
		return;
	}
	if (!submission_ok(d, "delegated", spec, ""))
		return;
	en = entry_new(d, WIRE__ENTRY__BODY_JOB_SUBMITTED);
	m = entry_alloc(d, sizeof(*m));
	copy = entry_alloc(d, sizeof(*copy));
	if (!en || !m || !copy)
		return;
	*copy = *of;
	copy->parent = p->number;
	wire__job_submitted__init(m);
	m->job = d->e->last_job + 1;
	m->by = (Wire__Principal *)(uintptr_t)d->by;
	m->spec = (Wire__JobSpec *)(uintptr_t)spec;
	m->delegated = copy;
	en->job_submitted = m;
}

void decide_handed_over(struct deciding *d, uint64_t id)
{
	const struct job *j = job_find(d->e, id);
	Wire__JobForgotten *m;
	Wire__Entry *en;

	if (!j || !j->of_lease || !j->finished_ns) {
		refuse(d, "handed_over", "state", "", "job %llu is no lease of the hub's that has finished",
		        (unsigned long long)id);
		return;
	}
	en = entry_new(d, WIRE__ENTRY__BODY_JOB_FORGOTTEN);
	m = entry_alloc(d, sizeof(*m));
	if (!en || !m)
		return;
	wire__job_forgotten__init(m);
	m->job = id;
	m->policy = (char *)(uintptr_t)(j->of_parent == d->e->parent.number
	                                        ? "handed over to the hub"
	                                        : "its hub is not this node's any more");
	en->job_forgotten = m;
}

/* ---- looking ---- */

bool engine_parent(const struct engine *e, struct parent_view *out)
{
	const struct parent *p = &e->parent;

	*out = (struct parent_view){.number = p->number,
	        .name = p->name,
	        .key = p->key,
	        .since_ns = p->since_ns,
	        .lease_seen = p->lease_seen,
	        .lost_ns = p->lost_ns};
	return p->name[0] != '\0';
}

static void view(const struct engine *e, const struct job *j, struct delegated_view *out)
{
	*out = (struct delegated_view){.job = {j->id},
	        .parent = j->of_parent,
	        .lease = {j->of_lease},
	        .first = j->of_first,
	        .tasks = step_at(e, j, 0)->tasks,
	        .prefix = j->prefix,
	        .tag = j->of_tag,
	        .stop_after_ns = j->stop_after_ns,
	        .finished = j->finished_ns != 0,
	        .cancelled = j->cancelled != 0,
	        .commit = j->of_commit != 0};
}

bool engine_delegated(const struct engine *e, uint64_t parent, lease_id lease, struct delegated_view *out)
{
	const struct job *j = find(e, parent, lease.v);

	if (j)
		view(e, j, out);
	return j != NULL;
}

bool engine_delegated_job(const struct engine *e, job_id job, struct delegated_view *out)
{
	const struct job *j = job_find(e, job.v);

	if (!j || !j->of_lease)
		return false;
	view(e, j, out);
	return true;
}

bool engine_delegated_next(const struct engine *e, job_id after, struct delegated_view *out)
{
	const struct job *j = after.v ? job_find(e, after.v) : NULL;
	uint32_t i = j && j->of_lease ? j->delegated.next : e->delegated.head;

	while (i && job_at(e, i)->id <= after.v)
		i = job_at(e, i)->delegated.next;
	if (i)
		view(e, job_at(e, i), out);
	return i != 0;
}

uint32_t engine_delegated_count(const struct engine *e)
{
	return e->delegated.n;
}
