/* SPDX-License-Identifier: Apache-2.0 */
/* sched_help - a small pool for the scheduler's tests: short words for nodes, jobs and placements. */
#ifndef OSIER_TEST_SCHED_HELP_H
#define OSIER_TEST_SCHED_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/sched.h"

#define SECOND 1000000000ull
#define MINUTE (60 * SECOND)
#define T0     (1000 * SECOND)

static _Alignas(64) uint8_t help_memory[8u << 20];
static struct sched *s;
static uint64_t help_lease;

__attribute__((unused)) static int setup(void **state)
{
	static const struct sched_limits lim = {40, 30, 128, 8, 5, 3};

	(void)state;
	assert_true(sched_bytes(&lim) <= sizeof(help_memory));
	memset(help_memory, 0, sizeof(help_memory));
	s = sched_new(help_memory, &lim);
	help_lease = 1;
	return 0;
}

__attribute__((unused)) static int teardown(void **state)
{
	(void)state;
	sched_check(s);
	return 0;
}

static size_t help_needs(Wire__Need *need, Wire__Need **needs, uint64_t cpu, uint64_t memory, uint64_t gpu)
{
	static const char *const names[3] = {"cpu", "memory", "gpu"};
	const uint64_t v[3] = {cpu, memory, gpu};
	size_t n = 0;

	for (size_t i = 0; i < 3; i++) {
		need[i] = (Wire__Need)WIRE__NEED__INIT;
		need[i].name = (char *)(uintptr_t)names[i];
		need[i].amount = v[i];
		if (v[i] > 0)
			needs[n++] = &need[i];
	}
	return n;
}

__attribute__((unused)) static void node_is(
        uint32_t id, uint64_t cpu, uint64_t memory, uint32_t gpus, Wire__NodeSet__State state)
{
	Wire__NodeSet n = WIRE__NODE_SET__INIT;
	Wire__Need need[3], *needs[3];
	Wire__NodeSet__Device dev[8], *devs[8];
	char name[8];

	(void)snprintf(name, sizeof(name), "n%u", id);
	n.node = id;
	n.name = name;
	n.state = state;
	n.capacity = needs;
	n.n_capacity = help_needs(need, needs, cpu, memory, 0);
	n.devices = devs;
	for (; n.n_devices < gpus; n.n_devices++) {
		Wire__NodeSet__Device *d = &dev[n.n_devices];

		*d = (Wire__NodeSet__Device)WIRE__NODE_SET__DEVICE__INIT;
		d->resource = (char *)(uintptr_t) "gpu";
		d->index = (uint32_t)n.n_devices;
		d->milli = 1000;
		devs[n.n_devices] = d;
	}
	assert_int_equal(sched_node_set(s, &n), 0);
}

__attribute__((unused)) static void node(uint32_t id, uint64_t cpu, uint64_t memory, uint32_t gpus)
{
	node_is(id, cpu, memory, gpus, WIRE__NODE_SET__STATE__UP);
}

__attribute__((unused)) static void space(const char *name, uint32_t weight, uint64_t quota_cpu)
{
	Wire__NamespaceSet n = WIRE__NAMESPACE_SET__INIT;
	Wire__Need need[3], *needs[3];

	n.name = (char *)(uintptr_t)name;
	n.weight = weight;
	n.quota = needs;
	n.n_quota = help_needs(need, needs, quota_cpu, 0, 0);
	assert_int_equal(sched_namespace_set(s, &n), 0);
}

/* What a test says of a job with one group; the rest is 0. */
struct a_job {
	uint64_t id;
	const char *space; /* NULL: "main" */
	bool realtime;
	uint32_t priority, concurrency;
	uint64_t deadline, cpu, memory, gpu, ready, since; /* since 0: T0 */
	uint64_t slice;                                    /* 0: 1 */
	uint64_t cpu2, gpu2;                               /* a second variant, when either is set */
	const char *kind;                                  /* NULL: "kind" */
};

__attribute__((unused)) static uint32_t group_of(const struct a_job *a, uint32_t step)
{
	Wire__Need need[2][3], *needs[2][3];
	Wire__Variant v[2] = {WIRE__VARIANT__INIT, WIRE__VARIANT__INIT};
	const Wire__Variant *vs[2] = {&v[0], &v[1]};
	uint32_t g = 0;

	v[0].needs = needs[0];
	v[0].n_needs = help_needs(need[0], needs[0], a->cpu, a->memory, a->gpu);
	v[1].needs = needs[1];
	v[1].n_needs = help_needs(need[1], needs[1], a->cpu2, 0, a->gpu2);
	assert_int_equal(sched_group_add(s, a->id, step, vs, a->cpu2 + a->gpu2 > 0 ? 2 : 1,
	                         a->kind ? a->kind : "kind", a->slice ? a->slice : 1, &g),
	        0);
	assert_int_not_equal(g, 0);
	sched_group_ready(s, g, a->ready, a->since ? a->since : T0);
	return g;
}

__attribute__((unused)) static uint32_t job(struct a_job a)
{
	struct sched_job j = {.id = a.id,
	        .namespace_ = a.space ? a.space : "main",
	        .realtime = a.realtime,
	        .priority = a.priority,
	        .deadline_ns = a.deadline,
	        .concurrency = a.concurrency};

	assert_int_equal(sched_job_add(s, &j), 0);
	return group_of(&a, 0);
}

__attribute__((unused)) static void learn(uint32_t group, uint64_t us)
{
	sched_learn(s, group, 0, 1, &us, 1, T0);
}

/* Pick and grant; 0 when nothing was placed. *out (may be NULL) tells where. */
__attribute__((unused)) static uint32_t place(uint64_t now, struct sched_placement *out)
{
	struct sched_placement p;
	uint64_t victim;

	if (sched_pick(s, now, &p, &victim) != SCHED_PLACE)
		return 0;
	sched_lease_add(s, help_lease++, &p, 1, now);
	if (out != NULL)
		*out = p;
	return p.group;
}

__attribute__((unused)) static uint32_t place_all(uint64_t now)
{
	uint32_t n = 0;

	while (n < 60 && place(now, NULL) != 0)
		n++;
	return n;
}

#endif
