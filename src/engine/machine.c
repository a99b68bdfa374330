/* SPDX-License-Identifier: Apache-2.0 */
/* machine - what this machine offers: probed, then as config.yaml says; becomes NodeSet and NamespaceSet entries. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/node_int.h"
#include "io/disk.h"

#define ANNOUNCE_BYTES (256u << 10)

struct announce {
	struct node *n;
	struct arena a;
	Wire__NodeSet set;
};

static void *take(struct announce *m, size_t n)
{
	void *p = arena_alloc(&m->a, n);

	CHECK(p);
	return p;
}

static void capacity(struct announce *m, const char *resource, uint64_t amount)
{
	Wire__Need *need;

	for (size_t i = 0; i < m->set.n_capacity; i++) {
		if (strcmp(m->set.capacity[i]->name, resource) == 0) {
			m->set.capacity[i]->amount = amount;
			return;
		}
	}
	need = take(m, sizeof(*need));
	wire__need__init(need);
	need->name = arena_dup(&m->a, resource, strlen(resource));
	need->amount = amount;
	m->set.capacity[m->set.n_capacity++] = need;
}

static void namespaces(struct node *n)
{
	for (size_t i = 0; i < n->config.n_namespaces; i++) {
		const struct config_namespace *c = &n->config.namespaces[i];
		Wire__NamespaceSet m = WIRE__NAMESPACE_SET__INIT;
		Wire__Need needs[64], *list[64];
		struct command cmd = { .kind = CMD_NAMESPACE_SET, .u.namespace_set = &m };

		m.name = (char *)(uintptr_t)c->name;
		m.weight = c->weight;
		for (size_t k = 0; k < c->n_quota && k < 64; k++) {
			wire__need__init(&needs[k]);
			needs[k].name = (char *)(uintptr_t)c->quota[k].resource;
			needs[k].amount = c->quota[k].amount;
			list[k] = &needs[k];
			m.n_quota++;
		}
		m.quota = list;
		round_command(n, &cmd, NULL, 0, NULL);
	}
}

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

int machine_announce(struct node *n, struct err *e)
{
	struct announce m = { .n = n };
	struct command cmd = { .kind = CMD_NODE_SET, .u.node_set = &m.set };
	struct node_answer answer = { .code = ERR_NONE };
	void *mem = aligned_alloc(16, ANNOUNCE_BYTES);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	CHECK(mem);
	arena_init(&m.a, mem, ANNOUNCE_BYTES);
	wire__node_set__init(&m.set);
	m.set.node = NODE_THIS;
	m.set.name = n->name;
	m.set.capacity = take(&m, (8 + n->config.n_capacity) * sizeof(*m.set.capacity));
	capacity(&m, "cpu", (uint64_t)(cpus > 0 ? cpus : 1) * 1000);
	capacity(&m, "memory", (uint64_t)pages * (uint64_t)page);
	capacity(&m, "disk", room(n));
	for (size_t i = 0; i < n->config.n_capacity; i++)
		capacity(&m, n->config.capacity[i].resource, n->config.capacity[i].amount);
	round_command(n, &cmd, NULL, 0, &answer);
	free(mem);
	if (answer.code != ERR_NONE)
		return err_set(e, answer.code, "this machine cannot be a node: %s", answer.message);
	namespaces(n);
	return 0;
}
