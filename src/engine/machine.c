/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine - what this machine offers: probed, then as config.yaml says; becomes NodeSet and NamespaceSet entries.
 *
 * Order: hide, rename, add. A device is named by its id or as RESOURCE/INDEX, both as probed; a renamed resource's devices keep
 * their numbers when nothing else bears the new name, else they are counted on.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/check.h"
#include "core/gang.h"
#include "core/sched.h"
#include "engine/links.h"
#include "engine/node_int.h"
#include "io/disk.h"
#include "io/probe.h"

#define ANNOUNCE_BYTES (256u << 10)

struct announce {
	struct node *n;
	struct arena a;
	Wire__NodeSet set;
	Wire__NodeSet__Link link;
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

static size_t needs_of(const struct config_amount *v, size_t n, Wire__Need *needs, Wire__Need **list)
{
	size_t k = 0;

	for (; k < n && k < RESOURCES_MAX; k++) {
		wire__need__init(&needs[k]);
		needs[k].name = (char *)(uintptr_t)v[k].resource;
		needs[k].amount = v[k].amount;
		list[k] = &needs[k];
	}
	return k;
}

static void namespaces(struct node *n)
{
	for (size_t i = 0; i < n->config.n_namespaces; i++) {
		const struct config_namespace *c = &n->config.namespaces[i];
		Wire__NamespaceSet m = WIRE__NAMESPACE_SET__INIT;
		Wire__Need needs[RESOURCES_MAX], *list[RESOURCES_MAX], local[RESOURCES_MAX],
		        *local_list[RESOURCES_MAX];
		struct command cmd = {.kind = CMD_NAMESPACE_SET, .u.namespace_set = &m};
		struct node_answer answer = {.code = ERR_NONE};

		m.name = (char *)(uintptr_t)c->name;
		m.weight = c->weight;
		m.n_quota = needs_of(c->quota, c->n_quota, needs, list);
		m.quota = list;
		m.n_local = needs_of(c->local, c->n_local, local, local_list);
		m.local = local_list;
		m.lend_ns = c->lend_ns;
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

static void label(struct announce *m, const char *key, const char *value)
{
	Wire__Pair *p = take(m, sizeof(*p));

	wire__pair__init(p);
	p->key = text(m, key);
	p->value = text(m, value);
	m->set.labels[m->set.n_labels++] = p;
}

#define OWN_LABELS 4

/* Its own first, then as config.yaml says. */
static void labels(struct announce *m)
{
	const struct config *c = &m->n->config;
	struct utsname u;
	const char *arch;

	m->set.labels = take(m, (c->n_labels + OWN_LABELS) * sizeof(*m->set.labels));
	CHECK(uname(&u) == 0);
	/* As container images and Go name them: what people know from elsewhere. */
	arch = strcmp(u.machine, "x86_64") == 0    ? "amd64"
	       : strcmp(u.machine, "aarch64") == 0 ? "arm64"
	                                           : u.machine;
	label(m, "os", "linux");
	label(m, "arch", arch);
	label(m, "kernel", u.release);
	label(m, "version", OSIER_VERSION);
	for (size_t i = 0; i < c->n_labels; i++)
		label(m, c->labels[i].from, c->labels[i].to);
}

static void link_budget(struct announce *m)
{
	const struct config_link *c = &m->n->config.link;

	if (!c->bytes && !c->cost)
		return;
	wire__node_set__link__init(&m->link);
	m->link.bytes = c->bytes;
	m->link.per_ns = c->per_ns;
	m->link.from_min = c->from_min;
	m->link.to_min = c->to_min;
	m->link.cost = c->cost;
	m->set.link = &m->link;
}

/* Where others reach it: as configured, else as it was found out before. */
static void reach(struct announce *m)
{
	const struct config *c = &m->n->config;
	const Wire__NodeSet *was = engine_node_open(m->n->engine, NODE_THIS, &m->a);

	m->set.address = text(m, c->address[0] ? c->address : was ? was->address : "");
	m->set.port_first = c->gang_port;
	m->set.port_count = c->gang_ports;
}

void machine_reached(struct node *n, const char *address)
{
	struct command cmd = {.kind = CMD_NODE_SET};
	ProtobufCAllocator alloc;
	const uint8_t *bytes;
	Wire__NodeSet *set;
	struct arena a;
	size_t len;
	void *mem;

	if (n->config.address[0] || !gang_address_ok(address))
		return;
	mem = aligned_alloc(16, ANNOUNCE_BYTES);
	CHECK(mem);
	arena_init(&a, mem, ANNOUNCE_BYTES);
	arena_allocator(&a, &alloc);
	set = engine_node(n->engine, NODE_THIS, &bytes, &len) ? wire__node_set__unpack(&alloc, len, bytes)
	                                                      : NULL;
	if (set && strcmp(set->address, address) != 0) {
		set->address = (char *)(uintptr_t)address;
		cmd.u.node_set = set;
		round_command(n, &cmd, NULL, 0, NULL);
		links_offer(n);
	}
	free(mem);
}

/* A drained or cordoned node stays so over a restart: only its owner resumes it. */
static Wire__NodeSet__State state_now(const struct node *n)
{
	struct sched_node_view v;

	if (sched_node(engine_sched(n->engine), NODE_THIS, &v) &&
	        (v.state == WIRE__NODE_SET__STATE__DRAINED || v.state == WIRE__NODE_SET__STATE__CORDONED))
		return v.state;
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
		link_budget(m);
		reach(m);
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
