/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cut - nodes of the simulated machine room that have joined the first one, and the cables to them; see world.h.
 *
 * A node has a session with the engine while its cable is whole and both know where the other stands. Without one nothing passes:
 * effects for the node are dropped, results wait on it. When one begins, both sides say what they hold, as links do: what the
 * engine granted and the node has not heard of begins, what the node runs and the engine does not know is stopped.
 */
#include <stdlib.h>
#include <string.h>

#include "sim/world_state.h"

#define HELLO_NS SIM_MS

bool node_down(const struct world *w, uint32_t node)
{
	return w->fleet && node > 1 && !w->link[node].session;
}

static void look_at(struct world *w, uint32_t node, uint64_t in_ns)
{
	world_at(w, w->now + in_ns, (struct event){.kind = EV_LINK, .life = w->engine_life, .arg = node});
}

static void say_link(struct world *w, uint32_t node, Wire__NodeSet__State state)
{
	Wire__NodeLink m = WIRE__NODE_LINK__INIT;
	struct command cmd = {.kind = CMD_NODE_LINK, .u.node_link = &m};

	m.node = node;
	m.state = state;
	world_command(w, &cmd);
}

static void leases_of(
        struct world *w, uint32_t node, void (*each)(struct world *w, const struct lease_view *v))
{
	struct lease_view v;
	uint64_t *leases = NULL, at = 0;
	size_t n = 0, room = 0;

	for (; engine_node_lease_next(w->engine, node, (lease_id){at}, &v); at = v.id.v) {
		ROOM(leases, n, room);
		leases[n++] = v.id.v;
	}
	for (size_t i = 0; i < n; i++)
		if (engine_lease(w->engine, (lease_id){leases[i]}, &v))
			each(w, &v);
	free(leases);
}

static void hello(struct world *w, uint32_t node)
{
	w->link[node].session = true;
	world_say(w, "world  > node %u is back", node);
	executor_forget(w, node);
	leases_of(w, node, executor_hello);
}

void cut_event(struct world *w, const struct event *ev)
{
	uint32_t node = (uint32_t)ev->arg;
	struct child_view c;

	if (ev->kind == EV_HALT) {
		if (w->link[node].cuts == ev->lease && !w->link[node].session)
			executor_halt(w, node, w->now - w->link[node].since);
		return;
	}
	if (ev->life != w->engine_life || !engine_child(w->engine, node, &c))
		return;
	if (w->link[node].cut) {
		if (c.link == WIRE__NODE_SET__STATE__UP)
			say_link(w, node, WIRE__NODE_SET__STATE__DISCONNECTED);
	} else if (c.link != WIRE__NODE_SET__STATE__UP) {
		leases_of(w, node,
		        executor_gone); /* first: nothing is stopped for the sake of what is not there */
		say_link(w, node, WIRE__NODE_SET__STATE__UP);
		look_at(w, node, HELLO_NS);
	} else if (!w->link[node].session && w->durable < w->n_disk) {
		look_at(w, node, HELLO_NS);
	} else if (!w->link[node].session) {
		hello(w, node);
	}
}

/* A node joins the engine, if it has not. */
static void join(struct world *w, uint32_t node)
{
	Wire__NodeSet n = WIRE__NODE_SET__INIT;
	struct command cmd = {.kind = CMD_NODE_JOIN, .u.node_set = &n};
	struct child_view c;
	uint8_t key[32];
	char name[16];

	if (engine_child(w->engine, node, &c))
		return;
	memset(key, (int)node, sizeof(key));
	(void)snprintf(name, sizeof(name), "n%u", node);
	n.name = name;
	n.key = n.journal = (ProtobufCBinaryData){sizeof(key), key};
	world_ask(w, &cmd);
	CHECK(engine_node_named(w->engine, name) == node);
}

void cut_boot(struct world *w, uint64_t within_ns)
{
	for (uint32_t i = 2; w->fleet && i <= w->nodes; i++) {
		join(w, i);
		if (w->link[i].session)
			w->link[i].since = w->now;
		w->link[i].session = false;
		look_at(w, i, within_ns ? prng_below(&w->prng, within_ns) : 0);
	}
}

void world_cut(struct world *w, uint32_t node, uint64_t noticed_ns)
{
	CHECK(w->fleet && node > 1 && node <= w->nodes);
	if (w->link[node].cut)
		return;
	world_say(w, "world  > the cable to node %u is cut", node);
	w->link[node].cut = true;
	w->link[node].cuts++;
	w->counts.cuts++;
	if (w->link[node].session)
		w->link[node].since = w->now;
	w->link[node].session = false;
	look_at(w, node, noticed_ns);
	executor_cut(w, node);
}

void world_heal(struct world *w, uint32_t node)
{
	CHECK(w->fleet && node > 1 && node <= w->nodes);
	if (!w->link[node].cut)
		return;
	world_say(w, "world  > the cable to node %u is whole again", node);
	w->link[node].cut = false;
	look_at(w, node, 0);
}

void world_kill_node(struct world *w, uint32_t node)
{
	CHECK(w->fleet && node > 1 && node <= w->nodes);
	world_say(w, "world  > node %u is switched off and on", node);
	executor_lost(w, node);
	if (w->link[node].cut)
		return;
	if (w->link[node].session)
		w->link[node].since = w->now;
	w->link[node].session = false;
	look_at(w, node, 0);
}
