/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine - what this machine offers: probed, then as config.yaml says; becomes NodeSet and NamespaceSet entries.
 *
 * Order: hide, rename, add. A device is named by its id or as RESOURCE/INDEX, both as probed; a renamed resource's devices keep
 * their numbers when nothing else bears the new name, else they are counted on.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/sched.h"
#include "engine/node_int.h"
#include "io/disk.h"
#include "io/probe.h"

#define ANNOUNCE_BYTES (256u << 10)

struct announce {
	struct node *n;
	struct arena a;
	Wire__NodeSet set;
	size_t max_capacity;
};

static void *take(struct announce *m, size_t n)
{
	void *p = arena_alloc(&m->a, n);

	CHECK(p);
	return p;
}

static char *text(struct announce *m, const char *s)
{
	char *p = arena_dup(&m->a, s, strlen(s));

	CHECK(p);
	return p;
}

static Wire__Need *capacity_of(struct announce *m, const char *resource)
{
	Wire__Need *need;

	for (size_t i = 0; i < m->set.n_capacity; i++)
		if (strcmp(m->set.capacity[i]->name, resource) == 0)
			return m->set.capacity[i];
	CHECK(m->set.n_capacity < m->max_capacity);
	need = take(m, sizeof(*need));
	wire__need__init(need);
	need->name = text(m, resource);
	m->set.capacity[m->set.n_capacity++] = need;
	return need;
}

/* ---- devices ---- */

static bool names(const char *what, const struct probe_device *d)
{
	char place[96];

	(void)snprintf(place, sizeof(place), "%s/%u", d->resource, d->index);
	return strcmp(what, d->id) == 0 || strcmp(what, place) == 0;
}

static bool is_hidden(const struct config *c, const struct probe_device *d)
{
	for (size_t i = 0; i < c->n_hide; i++)
		if (names(c->hide[i], d))
			return true;
	return false;
}

static const char *name_for(const struct config *c, const struct probe_device *d)
{
	const char *name = d->resource;

	for (size_t i = 0; i < c->n_rename; i++) {
		if (names(c->rename[i].from, d))
			return c->rename[i].to;
		if (strcmp(c->rename[i].from, d->resource) == 0)
			name = c->rename[i].to;
	}
	return name;
}

/* The number itself when it is free, else the next one. */
static uint32_t free_index(const struct announce *m, const char *resource, uint32_t index)
{
	for (size_t i = 0; i < m->set.n_devices; i++)
		if (strcmp(m->set.devices[i]->resource, resource) == 0 && m->set.devices[i]->index == index)
			return free_index(m, resource, index + 1);
	return index;
}

static void device(struct announce *m, const char *resource, uint32_t index, const char *id,
        const char *model, uint64_t milli, char vendor, uint32_t number)
{
	struct node *n = m->n;
	struct machine_device *known;
	Wire__NodeSet__Device *d;

	if (m->set.n_devices == DEVICES_PER_NODE_MAX) {
		(void)fprintf(
		        stderr, "osier: more than %u devices: '%s' is left out\n", DEVICES_PER_NODE_MAX, id);
		return;
	}
	d = take(m, sizeof(*d));
	wire__node_set__device__init(d);
	d->resource = text(m, resource);
	d->index = free_index(m, resource, index);
	d->id = text(m, id);
	d->model = text(m, model);
	d->milli = milli;
	known = &n->devices[m->set.n_devices];
	known->vendor = vendor;
	known->number = number;
	known->index = d->index;
	(void)snprintf(known->resource, sizeof(known->resource), "%s", resource);
	m->set.devices[m->set.n_devices++] = d;
	n->n_devices = m->set.n_devices;
	n->has_gpus = n->has_gpus || vendor != '-';
	capacity_of(m, resource)->amount += milli;
}

static void devices(struct announce *m, const struct probe *p)
{
	const struct config *c = &m->n->config;

	m->set.devices = take(m, DEVICES_PER_NODE_MAX * sizeof(*m->set.devices));
	for (size_t i = 0; i < p->n_devices; i++) {
		const struct probe_device *d = &p->devices[i];
		char vendor = strcmp(d->resource, "gpu") != 0 ? '-'
		              : d->vendor == PROBE_NVIDIA     ? 'n'
		              : d->vendor == PROBE_AMD        ? 'r'
		                                              : '-';

		if (!is_hidden(c, d))
			device(m, name_for(c, d), d->index, d->id, d->model, 1000, vendor, d->vendor_index);
	}
	for (size_t i = 0; i < c->n_add; i++)
		device(m, c->add[i].resource, 0, c->add[i].id, c->add[i].model, c->add[i].milli, '-', 0);
}

/* ---- namespaces ---- */

static void namespaces(struct node *n)
{
	for (size_t i = 0; i < n->config.n_namespaces; i++) {
		const struct config_namespace *c = &n->config.namespaces[i];
		Wire__NamespaceSet m = WIRE__NAMESPACE_SET__INIT;
		Wire__Need needs[RESOURCES_MAX], *list[RESOURCES_MAX];
		struct command cmd = {.kind = CMD_NAMESPACE_SET, .u.namespace_set = &m};
		struct node_answer answer = {.code = ERR_NONE};

		m.name = (char *)(uintptr_t)c->name;
		m.weight = c->weight;
		for (size_t k = 0; k < c->n_quota && k < RESOURCES_MAX; k++) {
			wire__need__init(&needs[k]);
			needs[k].name = (char *)(uintptr_t)c->quota[k].resource;
			needs[k].amount = c->quota[k].amount;
			list[k] = &needs[k];
			m.n_quota++;
		}
		m.quota = list;
		round_command(n, &cmd, NULL, 0, &answer);
		if (answer.code != ERR_NONE)
			(void)fprintf(stderr, "osier: namespace '%s' of config.yaml: %s\n", c->name,
			        answer.message);
	}
}

/* ---- all ---- */

/* What tasks may have of the disk below the state folder: what is free now beyond our own reserve, in steps of a GiB (below it
 * of a MiB) so that each start does not announce another machine. */
static uint64_t room(const struct node *n)
{
	struct disk_space s;
	uint64_t reserve = n->config.disk_reserve_bytes;

	if (disk_space(n->state_dir, &s, NULL) < 0 || s.free_bytes <= reserve)
		return 0;
	s.free_bytes -= reserve;
	return s.free_bytes >> 30 ? s.free_bytes >> 30 << 30 : s.free_bytes >> 20 << 20;
}

static void labels(struct announce *m)
{
	const struct config *c = &m->n->config;

	m->set.labels = take(m, (c->n_labels + 1) * sizeof(*m->set.labels));
	for (size_t i = 0; i < c->n_labels; i++) {
		Wire__Pair *p = take(m, sizeof(*p));

		wire__pair__init(p);
		p->key = text(m, c->labels[i].from);
		p->value = text(m, c->labels[i].to);
		m->set.labels[m->set.n_labels++] = p;
	}
}

/* A drained node stays drained over a restart: only its owner resumes it. */
static Wire__NodeSet__State state_now(const struct node *n)
{
	struct sched_node_view v;

	if (sched_node(engine_sched(n->engine), NODE_THIS, &v) && v.state == WIRE__NODE_SET__STATE__DRAINED)
		return WIRE__NODE_SET__STATE__DRAINED;
	return WIRE__NODE_SET__STATE__UP;
}

static int build(struct announce *m, struct err *e)
{
	struct node *n = m->n;
	struct probe *p = malloc(sizeof(*p));
	int rc;

	CHECK(p);
	/* Another root is for tests: a machine with devices that this one has not. */
	rc = probe_machine(getenv("OSIER_PROBE_ROOT"), n->state_dir, p, e);
	if (rc == 0) {
		wire__node_set__init(&m->set);
		m->set.node = NODE_THIS;
		m->set.name = n->name;
		m->set.state = state_now(n);
		m->max_capacity = 3 + n->config.n_capacity + PROBE_DEVICES_MAX + n->config.n_add;
		m->set.capacity = take(m, m->max_capacity * sizeof(*m->set.capacity));
		capacity_of(m, "cpu")->amount = p->cpu_milli;
		capacity_of(m, "memory")->amount = p->memory_bytes;
		capacity_of(m, "disk")->amount = room(n);
		devices(m, p);
		for (size_t i = 0; i < n->config.n_capacity; i++)
			capacity_of(m, n->config.capacity[i].resource)->amount = n->config.capacity[i].amount;
		labels(m);
		if (p->notice[0])
			(void)snprintf(n->notices + strlen(n->notices),
			        sizeof(n->notices) - strlen(n->notices), "%s%s", n->notices[0] ? "\n" : "",
			        p->notice);
	}
	free(p);
	return rc;
}

int machine_announce(struct node *n, struct err *e)
{
	struct announce m = {.n = n};
	struct command cmd = {.kind = CMD_NODE_SET, .u.node_set = &m.set};
	struct node_answer answer = {.code = ERR_NONE};
	void *mem = aligned_alloc(16, ANNOUNCE_BYTES);
	int rc;

	CHECK(mem);
	arena_init(&m.a, mem, ANNOUNCE_BYTES);
	rc = build(&m, e);
	if (rc == 0) {
		round_command(n, &cmd, NULL, 0, &answer);
		if (answer.code != ERR_NONE)
			rc = err_set(e, answer.code, "this machine cannot be a node: %s", answer.message);
	}
	free(mem);
	if (rc == 0)
		namespaces(n);
	return rc;
}
