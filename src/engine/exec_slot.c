/* SPDX-License-Identifier: Apache-2.0 */
/* exec_slot - which of the keeper's slots a run gets, and how long workers stay warm; see exec_int.h. */
#include <string.h>

#include "base/check.h"
#include "engine/exec_int.h"

static void idle_remove(struct exec *x, struct slot *s)
{
	if (!s->idle)
		return;
	*(s->prev_idle ? &s->prev_idle->next_idle : &x->idle_first) = s->next_idle;
	*(s->next_idle ? &s->next_idle->prev_idle : &x->idle_last) = s->prev_idle;
	s->next_idle = s->prev_idle = NULL;
	s->idle = false;
}

void slot_give(struct exec *x, struct slot *s)
{
	CHECK(!s->run && !s->idle && !s->ending);
	if (s->wants_worker && !s->worker.link) {
		slot_release(x, s); /* its worker did not come up, or died */
		return;
	}
	s->idle = true;
	s->idle_since_ns = round_now_ns(x->n);
	s->next_idle = NULL;
	s->prev_idle = x->idle_last;
	*(x->idle_last ? &x->idle_last->next_idle : &x->idle_first) = s;
	x->idle_last = s;
	exec_timer_at(x, s->idle_since_ns + IDLE_NS);
}

void slot_release(struct exec *x, struct slot *s)
{
	struct keeper_msg m = {.kind = KEEPER_RELEASE, .slot = s->id};

	idle_remove(x, s);
	worker_drop(x, s);
	spec_release(&s->spec);
	s->wants_worker = false;
	s->lease = s->adopted_from = 0;
	if (s->known)
		(void)exec_send(x, &m, NULL);
	s->known = false;
	s->n_devices = 0;
}

void slots_expire(struct exec *x, uint64_t now_ns)
{
	while (x->idle_first && x->idle_first->idle_since_ns + IDLE_NS <= now_ns)
		slot_release(x, x->idle_first);
}

uint64_t slots_due_ns(const struct exec *x)
{
	return x->idle_first ? x->idle_first->idle_since_ns + IDLE_NS : UINT64_MAX;
}

static bool same_devices(const struct slot *s, const struct run *r)
{
	return s->n_devices == r->n_devices &&
	       memcmp(s->devices, r->devices, r->n_devices * sizeof(r->devices[0])) == 0;
}

static uint64_t memory_of(const struct spec_ref *spec, uint32_t step, uint32_t variant)
{
	const Wire__Variant *v;

	if (!spec->spec || step >= spec->spec->n_steps || variant >= spec->spec->steps[step]->n_variants)
		return 0;
	v = spec->spec->steps[step]->variants[variant];
	for (size_t i = 0; i < v->n_needs; i++)
		if (strcmp(v->needs[i]->name, "memory") == 0)
			return v->needs[i]->amount;
	return 0;
}

static bool shares_device(const struct slot *s, const struct run *r)
{
	for (uint32_t i = 0; i < s->n_devices; i++)
		for (uint32_t k = 0; k < r->n_devices; k++)
			if (s->devices[i] == r->devices[k])
				return true;
	return false;
}

/* The core counts an idle worker's memory and devices as free: let those go that hold what the run was promised. */
static void make_room(struct exec *x, const struct run *r)
{
	const struct sched *sched = engine_sched(x->n->engine);
	struct sched_node_view node;
	uint64_t capacity = UINT64_MAX, used;
	struct slot *s, *next;

	for (s = x->idle_first; s; s = next) {
		next = s->next_idle;
		if (shares_device(s, r))
			slot_release(x, s);
	}
	if (!x->idle_first || !sched_node(sched, NODE_THIS, &node))
		return;
	for (uint32_t k = 0; k < RESOURCES_MAX && sched_resource_name(sched, k); k++)
		if (strcmp(sched_resource_name(sched, k), "memory") == 0)
			capacity = node.capacity[k];
	used = memory_of(&r->spec, r->step, r->variant);
	for (uint32_t i = 0; i < x->slots_used; i++) {
		s = &x->slots[i];
		used += s->run           ? memory_of(&s->run->spec, s->run->step, s->run->variant)
		        : s->worker.link ? memory_of(&s->spec, s->step, s->variant)
		                         : 0;
	}
	for (s = x->idle_first; s && used > capacity; s = next) {
		next = s->next_idle;
		if (!s->worker.link)
			continue;
		used -= memory_of(&s->spec, s->step, s->variant);
		slot_release(x, s);
	}
}

/* Each lease of a hub is a job of its own here, and a worker serves all of them whose step is a part of the same one. */
static bool same_step(const struct slot *s, const struct run *r)
{
	if (s->job == r->job)
		return s->step == r->step;
	return r->likeness && s->likeness == r->likeness;
}

/* A slot whose worker can serve the run. The most recently used, so that the others may expire. */
static struct slot *warm(struct exec *x, const struct run *r)
{
	for (struct slot *s = x->idle_last; s; s = s->prev_idle)
		if (s->worker.link && s->worker.hello && !s->worker.gone && same_step(s, r) &&
		        s->variant == r->variant && same_devices(s, r))
			return s;
	return NULL;
}

void slots_reach(struct exec *x, uint32_t n)
{
	for (; x->slots_used < n; x->slots_used++)
		x->slots[x->slots_used].id = x->slots_used;
}

static struct slot *cold(struct exec *x)
{
	struct slot *s;

	for (s = x->idle_last; s; s = s->prev_idle)
		if (!s->worker.link)
			return s;
	for (uint32_t i = 0; i < x->slots_used; i++)
		if (!x->slots[i].run && !x->slots[i].idle && !x->slots[i].comparing && !x->slots[i].ending)
			return &x->slots[i];
	if (x->slots_used < KEEPER_SLOTS_MAX) {
		slots_reach(x, x->slots_used + 1);
		return &x->slots[x->slots_used - 1];
	}
	s = x->idle_first;
	if (s)
		slot_release(x, s);
	return s;
}

struct slot *slot_take_cold(struct exec *x)
{
	struct slot *s = cold(x);

	if (s)
		idle_remove(x, s);
	return s;
}

bool slot_take(struct exec *x, struct run *r)
{
	struct slot *s = r->s->worker ? warm(x, r) : NULL;

	if (!s) {
		make_room(x, r);
		s = cold(x);
	}
	if (!s)
		return false;
	idle_remove(x, s);
	CHECK(!s->run);
	s->run = r;
	r->slot = s;
	s->job = r->job;
	s->step = r->step;
	s->likeness = r->likeness;
	s->variant = r->variant;
	s->uid = r->uid;
	s->n_devices = r->n_devices;
	memcpy(s->devices, r->devices, r->n_devices * sizeof(r->devices[0]));
	return true;
}
