/* SPDX-License-Identifier: Apache-2.0 */
/* namespaces - what root says of them in a simulated world; see world.h. */
#include "sim/world_state.h"

void world_namespace(struct world *w, const char *name, uint32_t weight, uint64_t cpu, uint64_t gpu)
{
	static char names[2][8] = {"cpu", "gpu"};
	Wire__Need needs[2] = {WIRE__NEED__INIT, WIRE__NEED__INIT}, *pneeds[2];
	Wire__NamespaceSet n = WIRE__NAMESPACE_SET__INIT;
	struct command cmd = {.kind = CMD_NAMESPACE_SET, .u.namespace_set = &n};

	n.name = (char *)(uintptr_t)name;
	n.weight = weight;
	n.quota = pneeds;
	for (uint32_t i = 0; i < 2; i++) {
		if (!(i ? gpu : cpu))
			continue;
		needs[i].name = names[i];
		needs[i].amount = i ? gpu : cpu;
		pneeds[n.n_quota++] = &needs[i];
	}
	world_command(w, &cmd);
}

void world_quota(struct world *w, const char *name, uint64_t cpu, uint64_t local, uint64_t lend_ns)
{
	static char word[] = "cpu";
	Wire__Need quota = WIRE__NEED__INIT, floor = WIRE__NEED__INIT, *pquota = &quota, *pfloor = &floor;
	Wire__NamespaceSet n = WIRE__NAMESPACE_SET__INIT;
	struct command cmd = {.kind = CMD_NAMESPACE_SET, .u.namespace_set = &n};

	n.name = (char *)(uintptr_t)name;
	n.weight = 1;
	quota.name = floor.name = word;
	quota.amount = cpu;
	floor.amount = local;
	n.quota = &pquota;
	n.local = &pfloor;
	n.n_quota = 1;
	n.n_local = local > 0;
	n.lend_ns = lend_ns;
	world_command(w, &cmd);
}
