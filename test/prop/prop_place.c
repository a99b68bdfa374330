/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prop_place - where the scheduler puts tasks, beside a model that looks at every node and knows the rules from docs/jobs.md.
 *
 * One group waits at a time, so that only places are at stake. The model keeps its own leases, labels, blobs and links, finds every
 * node that may be taken and the score of each; what is placed must be one of them, with no other more than a hundredth of a
 * point better, and nothing may be placed only where there is none. Nodes may have classes of nodes below them, which the model
 * knows as places of their own that share their node's link, blobs and name. Now and then the state is saved, built again and loaded:
 * digest and next pick must be equal. PROP_SEED=n runs one seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/sched_state.h"

#define NODES  9u
#define BELOW  2u /* classes of a node, at most */
#define PLACES (NODES * (1 + BELOW))
#define GROUPS 12u
#define LIVE   60u
#define SECOND 1000000000ull
#define HOUR   (3600 * SECOND)

struct my_node {
	bool live, up;
	uint64_t cpu;
	const char *hall, *site; /* NULL: without the label */
	bool ssd;
	uint64_t link_bytes, window, used, latency_us; /* to site "x"; 0 unknown */
	uint32_t cost;
	bool holds[4]; /* blobs 0x101, 0x201 ... */
	bool folded;   /* of a class: nothing is known of "hall" */
	char key[64];  /* of a class: its labels */
};
struct my_group {
	bool live;
	uint32_t group;
	uint64_t job, cpu;
	bool realtime;
	Wire__Place place;
	Wire__Match match[4], *where[4];
	char *value[4][2];
	Wire__Prefer prefer, *prefers[1];
	Wire__Match want, *wants[1], near;
	char *wanted[1], *near_to[1];
	Wire__JobSpec__Pack pack;
	struct sched_input in[2];
	uint32_t n_in;
};
struct my_lease {
	uint64_t id, granted_ns;
	uint32_t g, node; /* node: as told; then the class */
	uint64_t class_;
	char key[64];
};
static struct world {
	struct prng r;
	struct sched *s;
	uint64_t now, next_job, next_lease;
	struct my_node node[PLACES +
	                    1]; /* the classes of node n are NODES + BELOW * (n - 1) + 1 and the next ones */
	struct my_group group[GROUPS];
	struct my_lease lease[LIVE];
	uint32_t n_leases;
} w;
static const struct sched_limits limits = {64, 64, LIVE, 32, 8, 6};
static _Alignas(64) uint8_t memory[2][4u << 20];
static char *const halls[] = {"a", "b", "c"};
static struct {
	uint64_t placed, nothing, by_link, contested, below, homeless;
} seen;

static uint32_t below(uint32_t n)
{
	return (uint32_t)prng_below(&w.r, n);
}

static uint32_t owner(uint32_t id)
{
	return id <= NODES ? id : (id - NODES - 1) / BELOW + 1;
}

static uint32_t class_of(uint32_t node, uint32_t k)
{
	return NODES + BELOW * (node - 1) + k;
}

/* Where the lease counts now. */
static uint32_t place_of(const struct my_lease *l)
{
	for (uint32_t k = 1; l->key[0] != '\0' && k <= BELOW; k++)
		if (w.node[class_of(l->node, k)].live &&
		        strcmp(w.node[class_of(l->node, k)].key, l->key) == 0)
			return class_of(l->node, k);
	return l->node;
}

static struct sched *fresh(int which)
{
	assert_true(sched_bytes(&limits) <= sizeof(memory[0]));
	memset(memory[which], 0, sizeof(memory[0]));
	return sched_new(memory[which], &limits);
}

/* ---- telling ---- */

static size_t labels_of(const struct my_node *n, Wire__Pair pair[4], Wire__Pair *out[4], const char *kind)
{
	static const char *const keys[] = {"hall", "site", "ssd", "kind"};
	const char *v[] = {n->hall, n->site, n->ssd ? "" : NULL, kind};
	size_t count = 0;

	for (uint32_t i = 0; i < 4; i++) {
		if (v[i] == NULL)
			continue;
		pair[i] = (Wire__Pair)WIRE__PAIR__INIT;
		pair[i].key = (char *)(uintptr_t)keys[i];
		pair[i].value = (char *)(uintptr_t)v[i];
		out[count++] = &pair[i];
	}
	return count;
}

static void tell_node(struct sched *s, uint32_t id)
{
	const struct my_node *n = &w.node[id];
	Wire__NodeSet m = WIRE__NODE_SET__INIT;
	Wire__NodeSet__Link link = WIRE__NODE_SET__LINK__INIT;
	Wire__Need cpu = WIRE__NEED__INIT, *needs = &cpu, some[BELOW], *some_of[BELOW];
	Wire__Pair pair[1 + BELOW][4], *labels[1 + BELOW][4];
	Wire__NodeClass c[BELOW], *classes[BELOW];
	char name[8], *folded[] = {(char *)(uintptr_t) "hall"};

	(void)snprintf(name, sizeof(name), "n%u", id);
	m.node = id;
	m.name = name;
	m.state = n->up ? WIRE__NODE_SET__STATE__UP : WIRE__NODE_SET__STATE__DRAINED;
	cpu.name = (char *)(uintptr_t) "cpu";
	cpu.amount = n->cpu;
	m.capacity = &needs;
	m.n_capacity = 1;
	m.labels = labels[0];
	m.n_labels = labels_of(n, pair[0], labels[0], NULL);
	m.classes = classes;
	for (uint32_t k = 1; k <= BELOW; k++) {
		const struct my_node *b = &w.node[class_of(id, k)];
		const size_t at = m.n_classes;

		if (!b->live)
			continue;
		c[at] = (Wire__NodeClass)WIRE__NODE_CLASS__INIT;
		some[at] = (Wire__Need)WIRE__NEED__INIT;
		some[at].name = (char *)(uintptr_t) "cpu";
		some[at].amount = b->cpu;
		some_of[at] = &some[at];
		c[at].labels = labels[1 + at];
		c[at].n_labels = labels_of(b, pair[1 + at], labels[1 + at], k == 1 ? "arm" : "old");
		c[at].capacity = &some_of[at];
		c[at].n_capacity = 1;
		cpu.amount += b->cpu;
		classes[m.n_classes++] = &c[at];
		m.folded = folded;
		m.n_folded = b->folded;
	}
	link.bytes = n->link_bytes;
	link.per_ns = HOUR;
	link.cost = n->cost;
	m.link = &link;
	assert_int_equal(sched_node_set(s, &m), 0);
}

static void tell_group(struct sched *s, struct my_group *g)
{
	Wire__Variant v = WIRE__VARIANT__INIT;
	const Wire__Variant *vs = &v;
	Wire__Need cpu = WIRE__NEED__INIT, *needs = &cpu;
	const struct sched_job j = {.id = g->job, .namespace_ = "ns", .realtime = g->realtime};
	const struct sched_wish wish = {
	        .place = &g->place, .pack = g->pack, .origin = "n1", .inputs = g->in, .n_inputs = g->n_in};

	assert_int_equal(sched_job_add(s, &j), 0);
	cpu.name = (char *)(uintptr_t) "cpu";
	cpu.amount = g->cpu;
	v.needs = &needs;
	v.n_needs = 1;
	assert_int_equal(sched_group_add(s, g->job, 0, &vs, 1, "k", 1, &g->group), 0);
	assert_int_equal(sched_group_wish(s, g->group, &wish), 0);
}

/* ---- the model ---- */

static const char *label(uint32_t id, const char *key)
{
	static char name[PLACES + 1][16];

	(void)snprintf(name[id], sizeof(name[id]), "n%u", owner(id));
	if (strcmp(key, "name") == 0)
		return name[id];
	if (strcmp(key, "kind") == 0)
		return id <= NODES ? NULL : (id - NODES) % BELOW == 1 ? "arm" : "old";
	if (strcmp(key, "hall") == 0)
		return w.node[id].hall;
	return strcmp(key, "site") == 0 ? w.node[id].site : w.node[id].ssd ? "" : NULL;
}

static bool holds(const Wire__Match *m, uint32_t id)
{
	const char *v = label(id, m->key);
	bool in = false;

	if (w.node[id].folded && strcmp(m->key, "hall") == 0)
		return false;

	for (size_t i = 0; i < m->n_values; i++)
		in = in || (v != NULL && strcmp(v, m->values[i]) == 0);
	if (m->op == WIRE__MATCH__OP__IN || m->op == WIRE__MATCH__OP__NOT_IN)
		return in == (m->op == WIRE__MATCH__OP__IN);
	return (v != NULL) == (m->op == WIRE__MATCH__OP__EXISTS);
}

static uint64_t used_on(uint32_t id)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < w.n_leases; i++)
		sum += place_of(&w.lease[i]) == id ? w.group[w.lease[i].g].cpu : 0;
	return sum;
}

static uint64_t missing(const struct my_group *g, uint32_t place)
{
	const uint32_t id = owner(place);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < g->n_in && id != 1; i++)
		sum += w.node[id].holds[g->in[i].blob >> 8] ? 0 : g->in[i].bytes;
	return sum;
}

static bool link_allows(const struct my_node *n, uint64_t bytes)
{
	const uint64_t used = n->window == w.now / HOUR ? n->used : 0;

	return n->link_bytes == 0 || bytes == 0 || used == 0 || used + bytes <= n->link_bytes;
}

static bool feasible(const struct my_group *g, uint32_t id, bool but_for_link)
{
	const struct my_node *n = &w.node[id];

	if (!n->live || !w.node[owner(id)].up || used_on(id) + g->cpu > n->cpu)
		return false;
	for (size_t i = 0; i < g->place.n_where; i++)
		if (!holds(&g->match[i], id))
			return false;
	/* An unused window lets anything through, else what is left of it. */
	return but_for_link || link_allows(&w.node[owner(id)], missing(g, id));
}

static double near_points(const struct my_group *g, uint32_t id)
{
	const Wire__Match name_n1 = {.key = (char *)(uintptr_t) "name",
	        .n_values = 1,
	        .values = (char *[]){(char *)(uintptr_t) "n1"}};
	const Wire__Match *to = g->place.near ? g->place.near : &name_n1;
	double best = 100;
	uint32_t looked = 0;

	for (uint32_t t = 1; t <= PLACES; t++) {
		double far = 100;

		if (!w.node[t].live || !holds(to, t))
			continue;
		if (++looked > 8) /* no more of them are looked at */
			break;
		if (owner(t) == owner(id))
			return 0;
		if (w.node[t].site && w.node[id].site && strcmp(w.node[t].site, w.node[id].site) == 0) {
			far = 1;
		} else if (w.node[t].site && strcmp(w.node[t].site, "x") == 0 &&
		           w.node[owner(id)].latency_us) {
			uint64_t us = 64;

			while (us < w.node[owner(id)].latency_us) /* as it is kept */
				us *= 2;
			far = us < 256 ? 2 : 0;
			for (; us >= 256 && far < 100; us /= 2)
				far += 10;
		}
		best = far < best ? far : best;
	}
	return -best;
}

static double score(const struct my_group *g, uint32_t id)
{
	const struct my_node *n = &w.node[id];
	const uint64_t lacks = missing(g, id);
	double sum = 0, total = 0, price, busy = n->cpu == 0 ? 0 : (double)used_on(id) / (double)n->cpu;
	uint32_t leases = 0, together = 0;

	for (uint32_t i = 0; i < w.n_leases; i++) {
		const char *a = g->place.spread[0] ? label(id, g->place.spread) : NULL;
		const char *b = g->place.spread[0] ? label(place_of(&w.lease[i]), g->place.spread) : NULL;

		leases += place_of(&w.lease[i]) == id;
		together += &w.group[w.lease[i].g] == g && (a == NULL) == (b == NULL) &&
		            (a == NULL || strcmp(a, b) == 0);
	}
	for (uint32_t i = 0; i < g->n_in; i++)
		total += (double)g->in[i].bytes;
	if (g->place.n_prefer && holds(&g->want, id))
		sum += g->prefer.weight;
	if (g->place.near || g->place.near_submitter)
		sum += near_points(g, id);
	if (g->place.spread[0])
		sum -= 25.0 * together;
	if (total > 0 && !g->place.any_data)
		sum += 50 * (total - (double)lacks) / total;
	price = w.node[owner(id)].cost * (double)lacks / (double)(1u << 30);
	sum -= price > 100 ? 100 : price;
	busy = busy > 1 ? 1 : busy;
	if (g->pack == WIRE__JOB_SPEC__PACK__BINPACK)
		sum += 30 * busy;
	if (g->pack == WIRE__JOB_SPEC__PACK__BALANCE)
		sum += 30 * (1 - busy);
	if (g->pack == WIRE__JOB_SPEC__PACK__SPREAD)
		sum -= 30.0 * leases / (leases + 8);
	return sum;
}

static bool wishes(const struct my_group *g)
{
	return g->pack || g->place.n_prefer || g->place.near || g->place.near_submitter ||
	       g->place.spread[0] || (g->n_in && !g->place.any_data);
}

/* ---- operations ---- */

static void set_class(uint32_t id, bool folded)
{
	struct my_node *n = &w.node[id];

	*n = (struct my_node){.live = below(3) != 0, .cpu = below(7) * 1000, .folded = folded};
	n->hall = folded || prng_chance(&w.r, 1, 4) ? NULL : halls[below(3)];
	n->site = prng_chance(&w.r, 1, 4) ? NULL : below(2) ? "x" : "y";
	n->ssd = below(2) != 0;
	(void)snprintf(n->key, sizeof(n->key), "%u %s %s %d", id, n->hall ? n->hall : "-",
	        n->site ? n->site : "-", n->ssd);
}

static void set_node(void)
{
	uint32_t id = 1 + below(NODES);
	struct my_node *n = &w.node[id];
	uint64_t link = prng_chance(&w.r, 1, 3) ? (uint64_t)(1 + below(4)) << 30 : 0;

	n->live = true;
	n->up = !prng_chance(&w.r, 1, 6);
	n->cpu = below(9) * 1000;
	n->hall = prng_chance(&w.r, 1, 4) ? NULL : halls[below(2)];
	n->site = prng_chance(&w.r, 1, 4) ? NULL : below(2) ? "x" : "y";
	n->ssd = below(2) != 0;
	if (link == 0 || n->link_bytes == 0)
		n->window = n->used = 0;
	n->link_bytes = link;
	n->cost = below(3) * 7;
	for (uint32_t k = 1, how = below(4), folded = below(3) == 0; id > 1 && how && k <= BELOW; k++) {
		if (how > 1) {
			set_class(class_of(id, k), folded);
		} else if (w.node[class_of(id, k)].live) {
			w.node[class_of(id, k)].cpu = below(7) * 1000; /* the same, with other amounts */
		}
	}
	tell_node(w.s, id);
	for (uint32_t i = 0; i < w.n_leases; i++)
		seen.homeless += w.lease[i].key[0] != '\0' && place_of(&w.lease[i]) == w.lease[i].node;
}

static void set_facts(void)
{
	Wire__NodeFacts f = WIRE__NODE_FACTS__INIT;
	Wire__NodeFacts__Latency l = WIRE__NODE_FACTS__LATENCY__INIT, *list = &l;
	uint32_t id = 1 + below(NODES);
	uint64_t us = 1 + prng_below(&w.r, 1ull << (4 + below(16)));
	uint8_t bytes[4 * 8] = {0};

	if (!w.node[id].live)
		return;
	f.node = id;
	f.set = WIRE__NODE_FACTS__WHAT__LATENCY | WIRE__NODE_FACTS__WHAT__HELD;
	l.site = (char *)(uintptr_t) "x";
	l.us = us;
	f.latency = &list;
	f.n_latency = 1;
	for (uint8_t i = 0; i < 4; i++) {
		w.node[id].holds[i] = below(2) != 0;
		if (!w.node[id].holds[i])
			continue;
		bytes[f.held.len + 6] = i;
		bytes[f.held.len + 7] = 1;
		f.held.len += 8;
	}
	f.held.data = bytes;
	if (!sched_facts_news(w.s, &f))
		return;
	if (f.set & WIRE__NODE_FACTS__WHAT__LATENCY)
		w.node[id].latency_us = us;
	sched_facts_set(w.s, &f);
}

static void add_group(void)
{
	static char *const keys[] = {"hall", "ssd", "site", "kind"};
	struct my_group *g = &w.group[below(GROUPS)];

	if (g->live)
		return;
	*g = (struct my_group){.live = true, .job = w.next_job++, .cpu = 500u * (1 + below(6))};
	g->realtime = prng_chance(&w.r, 1, 5);
	g->place = (Wire__Place)WIRE__PLACE__INIT;
	g->place.where = g->where;
	for (uint32_t i = 0; i < 4; i++) {
		Wire__Match *m = &g->match[g->place.n_where];

		if (below(2))
			continue;
		*m = (Wire__Match)WIRE__MATCH__INIT;
		m->key = keys[i];
		m->op = (Wire__Match__Op)below(4);
		m->values = g->value[i];
		for (uint32_t k = 0; m->op <= WIRE__MATCH__OP__NOT_IN && k <= below(2); k++)
			g->value[i][m->n_values++] = i == 3   ? (char *)(uintptr_t)(k ? "old" : "arm")
			                             : i == 2 ? (char *)(uintptr_t) "x"
			                             : i == 1 ? (char *)(uintptr_t) ""
			                                      : halls[below(3)];
		g->where[g->place.n_where++] = m;
	}
	g->prefer = (Wire__Prefer)WIRE__PREFER__INIT;
	g->want = g->near = (Wire__Match)WIRE__MATCH__INIT;
	g->want.key = (char *)(uintptr_t) "hall";
	g->want.values = g->wanted;
	g->want.n_values = 1;
	g->wanted[0] = halls[below(2)];
	g->wants[0] = &g->want;
	g->prefer.all = g->wants;
	g->prefer.n_all = 1;
	g->prefer.weight = (int32_t)below(201) - 100;
	g->prefers[0] = &g->prefer;
	g->place.prefer = g->prefers;
	g->place.n_prefer = below(2);
	if (below(3) == 0)
		g->place.spread = (char *)(uintptr_t)(below(2) ? "hall" : "name");
	g->place.near_submitter = below(4) == 0;
	g->near.key = (char *)(uintptr_t) "ssd";
	g->near.values = g->near_to;
	g->near.n_values = 1;
	g->near_to[0] = (char *)(uintptr_t) "";
	if (!g->place.near_submitter && below(5) == 0)
		g->place.near = &g->near;
	g->place.any_data = below(3) == 0;
	g->pack = (Wire__JobSpec__Pack)below(4);
	for (uint64_t b = below(4); g->n_in < below(3) && b < 4; b++)
		g->in[g->n_in++] = (struct sched_input){b << 8 | 1, (uint64_t)(1 + below(30)) << 27};
	tell_group(w.s, g);
}

/* Outputs count in a budget, but nothing is refused for them. */
static void outputs_came(uint32_t id, uint64_t bytes)
{
	struct my_node *n = &w.node[id];

	sched_sent(w.s, id, bytes, w.now);
	if (!n->link_bytes || id == 1)
		return;
	n->used = n->window == w.now / HOUR ? n->used + bytes : bytes;
	n->window = w.now / HOUR;
}

static void end_one(void)
{
	uint32_t i;

	if (w.n_leases == 0)
		return;
	i = below(w.n_leases);
	if (below(3) == 0)
		outputs_came(w.lease[i].node, (uint64_t)(1 + below(30)) << 26);
	sched_lease_remove(w.s, w.lease[i].id, w.now);
	w.lease[i] = w.lease[--w.n_leases];
}

static void drop_group(void)
{
	uint32_t x = below(GROUPS);

	for (uint32_t i = 0; i < w.n_leases; i++)
		if (w.lease[i].g == x)
			return;
	if (w.group[x].live)
		sched_job_remove(w.s, w.group[x].job);
	w.group[x].live = false;
}

/* Says why the placement is wrong; NULL: it is right. */
static const char *wrong(const struct my_group *g, uint32_t node)
{
	double mine;

	if (!feasible(g, node, false))
		return "it must not go there";
	for (uint32_t id = 1; id <= PLACES; id++) {
		if (id == node || !feasible(g, id, false))
			continue;
		if (!wishes(g) && id < node)
			return "it is not the first that fits";
		mine = score(g, node);
		seen.contested += wishes(g) && score(g, id) < mine - 0.05;
		if (wishes(g) && score(g, id) > mine + 0.05)
			return "another is better";
		if (wishes(g) && id < node && score(g, id) > mine - 1e-9 && score(g, id) < mine + 1e-9 &&
		        g->pack == WIRE__JOB_SPEC__PACK__FIRST && g->n_in == 0)
			return "of equals it is not the first";
	}
	return NULL;
}

/* Which place that is here. */
static uint32_t placed_at(const struct sched_placement *p)
{
	const uint32_t at = class_place(w.s, p->node, p->class_);
	uint32_t k = 0;

	assert_true((p->class_ != 0) == (at != p->node));
	for (uint32_t x = p->node; x != at; x = place_next(w.s, p->node, x))
		for (k++; k <= BELOW && !w.node[class_of(p->node, k)].live;)
			k++;
	return k ? class_of(p->node, k) : p->node;
}

static void pick_one(void)
{
	uint32_t x = below(GROUPS);
	struct my_group *g = &w.group[x];
	struct sched_placement p;
	uint64_t victim, lacks;
	enum sched_verdict v;
	struct my_node *n;
	uint32_t place;

	if (!g->live || w.n_leases == LIVE)
		return;
	sched_group_ready(w.s, g->group, 1, w.now);
	v = sched_pick(w.s, w.now, &p, &victim);
	if (v != SCHED_PLACE) { /* realtime work may ask for a place */
		for (uint32_t id = 1; id <= PLACES; id++) {
			assert_false(feasible(g, id, false));
			seen.by_link += feasible(g, id, true);
		}
		seen.nothing++;
		sched_group_ready(w.s, g->group, 0, w.now);
		return;
	}
	assert_int_equal(p.group, g->group);
	place = placed_at(&p);
	if (wrong(g, place))
		fail_msg("node %u, place %u: %s", p.node, place, wrong(g, place));
	seen.placed++;
	seen.below += place > NODES;
	n = &w.node[p.node];
	lacks = missing(g, p.node);
	if (n->link_bytes && g->n_in && p.node != 1) {
		n->used = n->window == w.now / HOUR ? n->used + lacks : lacks;
		n->window = w.now / HOUR;
	}
	for (uint32_t i = 0; i < g->n_in && p.node != 1; i++)
		n->holds[g->in[i].blob >> 8] = true;
	w.lease[w.n_leases] = (struct my_lease){w.next_lease, w.now, x, p.node, p.class_, ""};
	memcpy(w.lease[w.n_leases].key, w.node[place].key, sizeof(w.lease->key));
	w.n_leases++;
	sched_lease_add(w.s, w.next_lease++, &p, 1, w.now);
	sched_group_ready(w.s, g->group, 0, w.now);
}

/* ---- saved ---- */

struct bytes {
	uint8_t b[1 << 16];
	size_t n;
};

static int put(void *ctx, const void *p, size_t n)
{
	struct bytes *b = ctx;

	assert_true(b->n + n <= sizeof(b->b));
	memcpy(b->b + b->n, p, n);
	b->n += n;
	return 0;
}

static void saved_and_built_again_is_equal(void)
{
	static struct bytes b;
	struct sched *s = fresh(1);

	b.n = 0;
	assert_int_equal(sched_save(w.s, put, &b), 0);
	for (uint32_t i = NODES; i > 0; i--)
		if (w.node[i].live)
			tell_node(s, i);
	for (uint32_t i = GROUPS; i-- > 0;) {
		struct my_group g = w.group[i];

		if (!g.live)
			continue;
		tell_group(s, &g);
		for (uint32_t k = w.n_leases; k-- > 0;)
			if (w.lease[k].g == i)
				sched_lease_add(s, w.lease[k].id,
				        &(struct sched_placement){.group = g.group,
				                .node = w.lease[k].node,
				                .class_ = w.lease[k].class_},
				        1, w.lease[k].granted_ns);
	}
	assert_int_equal(sched_load(s, b.b, b.n), 0);
	sched_check(s);
	assert_true(sched_digest(s) == sched_digest(w.s));
}

static void run_seed(uint64_t seed)
{
	w = (struct world){.now = 1000 * HOUR, .next_job = 1, .next_lease = 1};
	prng_init(&w.r, seed);
	w.s = fresh(0);
	for (uint32_t step = 0; step < 300; step++) {
		static void (*const ops[])(void) = {set_node, set_facts, add_group, add_group, drop_group,
		        end_one, end_one, pick_one, pick_one, pick_one, pick_one, pick_one};

		w.now += prng_below(&w.r, 3) * prng_below(&w.r, 600 * SECOND);
		ops[below(ARRAY_LEN(ops))]();
		if (step % 10 == 0)
			sched_check(w.s);
		if (step % 50 == 49)
			saved_and_built_again_is_equal();
	}
}

static void places_agree_with_the_naive_model(void **state)
{
	const char *one = getenv("PROP_SEED");

	(void)state;
	if (one != NULL) {
		run_seed(strtoull(one, NULL, 10));
		return;
	}
	for (uint64_t seed = 1; seed <= 500; seed++) {
		print_message("# PROP_SEED=%llu build/test/prop/prop_place\n", (unsigned long long)seed);
		run_seed(seed);
	}
	print_message("# placed %u, nothing %u, held back by a link %u, better than another %u\n",
	        (unsigned)seen.placed, (unsigned)seen.nothing, (unsigned)seen.by_link,
	        (unsigned)seen.contested);
	assert_true(seen.placed > 1000 && seen.nothing > 500 && seen.by_link > 20 && seen.contested > 500);
	print_message("# below a node %u, counted against it after a class had gone %u\n",
	        (unsigned)seen.below, (unsigned)seen.homeless);
	assert_true(seen.below > 500 && seen.homeless > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(places_agree_with_the_naive_model)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
