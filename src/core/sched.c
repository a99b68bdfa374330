/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched - the tables, and namespaces, jobs and groups in their orders.
 *
 * Not fit (sched_fit.c), nodes (sched_node.c), leases (sched_lease.c), learning (sched_learn.c), picking (sched_pick.c).
 * Pure. Rule for every writer: a key is changed only while its element is out of the order (ns_out(), job_out(), group_out()).
 */
#include "core/sched_state.h"

#define SHAPES_CAP 65536u
#define SETS_CAP   16384u
#define AVOIDS_CAP 65536u
#define SPEEDS_CAP 65536u

/* ---- memory ---- */

struct carver {
	uint8_t *base; /* NULL: only count */
	size_t used;
};

static void *carve(struct carver *c, size_t n, size_t size)
{
	size_t at = (c->used + 63) & ~(size_t)63;

	c->used = at + n * size;
	return c->base == NULL ? NULL : c->base + at;
}

static uint32_t pow2_at_least(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p *= 2;
	return p;
}

static struct map map_carve(struct carver *c, uint32_t n)
{
	const uint32_t first = 64, cells = pow2_at_least(2 * n > first ? 2 * n : first);
	struct map_cell *all = carve(c, 2 * (size_t)cells, sizeof(struct map_cell));

	return (struct map){.all = all, .c = all ? all + first : NULL, .mask = first - 1, .cells_max = cells};
}

static uint32_t at_most(uint32_t n, uint32_t most)
{
	return n < most ? n : most;
}

/* What only groups with wishes, and nodes beside others, touch. */
static void lay_out_places(struct carver *c, struct sched *s, const struct sched_limits *l)
{
	const size_t groups = (size_t)l->groups_max + 1, held = ((size_t)l->nodes_max + 1) * HELD;

	s->sets_max = at_most(l->groups_max / 8 + 8, SETS_CAP);
	s->set_chain_mask = pow2_at_least(s->sets_max) - 1;
	s->set_words = (2 * s->leaves + 63) / 64;
	s->sets = carve(c, (size_t)s->sets_max + 1, sizeof(*s->sets));
	s->set_chain = carve(c, (size_t)s->set_chain_mask + 1, sizeof(*s->set_chain));
	s->set_bits = carve(c, ((size_t)s->sets_max + 1) * s->set_words, sizeof(*s->set_bits));
	s->labels = carve(c, ((size_t)l->nodes_max + 1) * NODE_LABELS, sizeof(*s->labels));
	s->latencies = carve(c, ((size_t)l->nodes_max + 1) * LATENCIES, sizeof(*s->latencies));
	s->wishes = carve(c, groups, sizeof(*s->wishes));
	s->spreads = map_carve(c, l->leases_max);
	s->held = carve(c, held, sizeof(*s->held));
	s->held_chain_mask = pow2_at_least(at_most(l->nodes_max * HELD, 1u << 18)) - 1;
	s->held_chain = carve(c, (size_t)s->held_chain_mask + 1, sizeof(*s->held_chain));
	s->avoids_max = at_most(l->leases_max, AVOIDS_CAP);
	s->avoids = carve(c, (size_t)s->avoids_max + 1, sizeof(*s->avoids));
	s->avoid_map = map_carve(c, s->avoids_max);
	s->speeds_max = at_most(4 * l->nodes_max, SPEEDS_CAP);
	s->speeds = carve(c, (size_t)s->speeds_max + 1, sizeof(*s->speeds));
	s->speed_map = map_carve(c, s->speeds_max);
}

static void lay_out(struct carver *c, struct sched *s, const struct sched_limits *l)
{
	const size_t groups = (size_t)l->groups_max + 1, jobs = (size_t)l->jobs_max + 1;
	const size_t nss = (size_t)l->namespaces_max + 1, leases = (size_t)l->leases_max + 1;

	s->half = pow2_at_least(l->nodes_max);
	s->leaves = 2 * s->half;
	s->shapes_max = (uint32_t)(groups * VARIANTS_MAX < SHAPES_CAP ? groups * VARIANTS_MAX : SHAPES_CAP);
	s->shape_chain_mask = pow2_at_least(s->shapes_max) - 1;
	s->nodes = carve(c, (size_t)l->nodes_max + 1, sizeof(*s->nodes));
	s->classes = carve(c, l->nodes_max, sizeof(*s->classes));
	s->devs = carve(c, ((size_t)l->nodes_max + 1) * DEVICES_PER_NODE_MAX, sizeof(*s->devs));
	s->dev_used = carve(c, ((size_t)l->nodes_max + 1) * DEVICES_PER_NODE_MAX, sizeof(*s->dev_used));
	s->tree = carve(c, (size_t)2 * s->leaves * VEC, sizeof(*s->tree));
	s->able_tree = carve(c, (size_t)2 * s->leaves * VEC, sizeof(*s->able_tree));
	s->shapes = carve(c, (size_t)s->shapes_max + 1, sizeof(*s->shapes));
	s->shape_chain = carve(c, (size_t)s->shape_chain_mask + 1, sizeof(*s->shape_chain));
	for (uint32_t i = 0; i < VEC; i++)
		s->sorted[i] = carve(c, (size_t)s->shapes_max + 1, sizeof(*s->sorted[i]));
	s->ns = carve(c, nss, sizeof(*s->ns));
	s->ns_map = map_carve(c, l->namespaces_max);
	s->ns_fair.t = carve(c, nss, sizeof(struct tnode));
	s->ns_starve.t = carve(c, nss, sizeof(struct tnode));
	s->jobs = carve(c, jobs, sizeof(*s->jobs));
	s->job_map = map_carve(c, l->jobs_max);
	s->job_order.t = carve(c, jobs, sizeof(struct tnode));
	s->job_starve.t = carve(c, jobs, sizeof(struct tnode));
	s->groups = carve(c, groups, sizeof(*s->groups));
	s->group_order.t = carve(c, groups, sizeof(struct tnode));
	s->leases = carve(c, leases, sizeof(*s->leases));
	s->lease_devs = carve(c, leases * DEVICES_PER_LEASE_MAX, sizeof(*s->lease_devs));
	s->lease_map = map_carve(c, l->leases_max);
	s->ends = carve(c, leases, sizeof(*s->ends));
	s->kinds = carve(c, (size_t)l->kinds_max + 1, sizeof(*s->kinds));
	s->kind_map = map_carve(c, l->kinds_max);
	lay_out_places(c, s, l);
}

size_t sched_bytes(const struct sched_limits *l)
{
	struct carver c = {0};
	struct sched s;

	(void)carve(&c, 1, sizeof(s));
	lay_out(&c, &s, l);
	return c.used;
}

static int by_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int cmp_ns_fair(const struct sched *s, uint32_t a, uint32_t b)
{
	int c = by_u64(s->ns[a].share, s->ns[b].share);

	return c != 0 ? c : strcmp(s->ns[a].name, s->ns[b].name);
}

static int cmp_ns_starve(const struct sched *s, uint32_t a, uint32_t b)
{
	int c = by_u64(s->ns[a].starve_ns, s->ns[b].starve_ns);

	return c != 0 ? c : strcmp(s->ns[a].name, s->ns[b].name);
}

static int cmp_job(const struct sched *s, uint32_t a, uint32_t b)
{
	const struct job *x = &s->jobs[a], *y = &s->jobs[b];
	int c = by_u64(x->k_deadline, y->k_deadline);

	if (c != 0)
		return c;
	if (x->k_age != y->k_age)
		return x->k_age < y->k_age ? -1 : 1;
	c = by_u64(x->turn, y->turn);
	return c != 0 ? c : by_u64(x->id, y->id);
}

static int cmp_job_starve(const struct sched *s, uint32_t a, uint32_t b)
{
	int c = by_u64(s->jobs[a].k_starve, s->jobs[b].k_starve);

	return c != 0 ? c : by_u64(s->jobs[a].id, s->jobs[b].id);
}

static int cmp_group(const struct sched *s, uint32_t a, uint32_t b)
{
	const struct group *x = &s->groups[a], *y = &s->groups[b];
	int c = by_u64(x->k_wait, y->k_wait);

	if (c == 0)
		c = by_u64(x->turn, y->turn);
	return c != 0 ? c : by_u64(x->step, y->step);
}

struct sched *sched_new(void *mem, const struct sched_limits *l)
{
	static const char *const known[] = {"", "cpu", "memory", "disk", "gpu", "fpga"};
	struct carver c = {.base = mem};
	struct sched *s = carve(&c, 1, sizeof(*s));

	CHECK(((uintptr_t)mem & 15) == 0 && l->nodes_max > 0 && l->nodes_max < (1u << 24));
	lay_out(&c, s, l);
	s->lim = *l;
	s->stride = 8;
	for (; s->n_lanes < ARRAY_LEN(known); s->n_lanes++)
		(void)snprintf(s->lane_name[s->n_lanes], sizeof(s->lane_name[0]), "%s", known[s->n_lanes]);
	s->ns_fair.cmp = cmp_ns_fair;
	s->ns_starve.cmp = cmp_ns_starve;
	s->job_order.cmp = cmp_job;
	s->job_starve.cmp = cmp_job_starve;
	s->group_order.cmp = cmp_group;
	return s;
}

/* ---- namespaces ---- */

static uint64_t name_key(const char *name)
{
	uint64_t h = 0;

	for (; *name != '\0'; name++)
		h = prng_mix(h, (uint8_t)*name, 7);
	return h | 1;
}

uint32_t ns_find(const struct sched *s, const char *name)
{
	for (uint64_t key = name_key(name);; key += 2) {
		uint32_t x = map_get(&s->ns_map, key);

		if (x == 0 || strcmp(s->ns[x].name, name) == 0)
			return x;
	}
}

uint32_t ns_make(struct sched *s, const char *name)
{
	uint32_t x = ns_find(s, name);
	uint64_t key = name_key(name);
	struct nspace *n;

	if (x != 0)
		return x;
	if (s->n_ns == s->lim.namespaces_max || strlen(name) >= NS_BYTES)
		return 0;
	while (map_get(&s->ns_map, key) != 0)
		key += 2;
	x = ++s->n_ns;
	n = &s->ns[x];
	(void)snprintf(n->name, sizeof(n->name), "%s", name);
	n->weight = 1;
	for (uint32_t i = 0; i < VEC; i++)
		n->quota[i] = n->own[i] = UINT64_MAX;
	for (uint32_t i = 0; i < BITS_W; i++)
		n->allow.w[i] = UINT64_MAX;
	map_put(&s->ns_map, key, x);
	return x;
}

void ns_out(struct sched *s, uint32_t ns)
{
	struct nspace *n = &s->ns[ns];

	if (n->in_fair)
		order_remove(s, &s->ns_fair, &s->fair_root, ns);
	n->in_fair = false;
}

static void ns_in_fair(struct sched *s, uint32_t ns)
{
	struct nspace *n = &s->ns[ns];
	struct bits own = s->job_order.t[n->jobs_root].all;

	if (n->jobs_root == 0)
		return;
	for (uint32_t i = 0; i < BITS_W; i++)
		own.w[i] &= n->allow.w[i];
	order_insert(s, &s->ns_fair, &s->fair_root, ns, &own);
	n->in_fair = true;
}

void ns_refair(struct sched *s, uint32_t ns, uint64_t usage)
{
	struct nspace *n = &s->ns[ns];

	if (n->in_fair)
		order_remove(s, &s->ns_fair, &s->fair_root, ns);
	n->in_fair = false;
	n->usage = usage;
	n->share = usage / n->weight;
	ns_allow(s, ns);
	ns_in_fair(s, ns);
}

void ns_in(struct sched *s, uint32_t ns)
{
	static const struct bits none;
	struct nspace *n = &s->ns[ns];
	uint64_t wait = 0;

	CHECK(!n->in_fair);
	ns_in_fair(s, ns);
	if (n->starve_root != 0)
		wait = s->jobs[order_first(&s->job_starve, n->starve_root)].k_starve;
	if (n->in_starve == (n->starve_root != 0) && wait == n->starve_ns)
		return; /* as mostly: it stayed in that order */
	if (n->in_starve)
		order_remove(s, &s->ns_starve, &s->starve_root, ns);
	n->starve_ns = wait;
	n->in_starve = n->starve_root != 0;
	if (n->in_starve)
		order_insert(s, &s->ns_starve, &s->starve_root, ns, &none);
}

void ns_allow(struct sched *s, uint32_t ns)
{
	struct nspace *n = &s->ns[ns];
	bool tight = false;

	if (!n->limited)
		return;
	for (uint32_t l = 1; l < s->n_lanes; l++) {
		uint64_t left = n->quota[l] > n->used[l] ? n->quota[l] - n->used[l] : 0;

		if (n->quota[l] != UINT64_MAX && s->n_sorted[l] > 0)
			tight = tight || s->sorted[l][s->n_sorted[l] - 1].need > left;
	}
	memset(&n->allow, tight ? 0 : 0xff, sizeof(n->allow));
	for (uint32_t x = 1; tight && x <= s->shape_top; x++)
		if (s->shapes[x].refs > 0 && ns_permits(n, &s->shapes[x]))
			bits_set(&n->allow, x);
}

bool sched_namespace_wants(const struct sched *s, const char *name, uint64_t out[RESOURCES_MAX])
{
	uint32_t ns = ns_find(s, name);
	const struct group *g;
	const struct job *j;

	memset(out, 0, RESOURCES_MAX * sizeof(*out));
	if (ns == 0 || s->ns[ns].starve_root == 0)
		return false;
	j = &s->jobs[order_first(&s->job_starve, s->ns[ns].starve_root)];
	g = &s->groups[order_first(&s->group_order, j->groups_root)];
	for (uint32_t i = 0; i < g->v[0].n; i++)
		out[g->v[0].lane[i] - 1] += g->v[0].amount[i];
	return true;
}

/* What of its quota counts, after one of its three parts changed; the namespace is out. */
static void ns_limit(struct sched *s, uint32_t ns)
{
	struct nspace *n = &s->ns[ns];

	n->limited = false;
	for (uint32_t l = 0; l < VEC; l++) {
		uint64_t cap = UINT64_MAX - n->uncapped[l], q = n->own[l] < cap ? n->own[l] : cap;

		n->quota[l] = q == UINT64_MAX ? q : q > n->lent[l] ? q - n->lent[l] : 0;
		n->limited = n->limited || q != UINT64_MAX;
	}
	memset(&n->allow, 0xff, sizeof(n->allow));
	ns_allow(s, ns);
}

int sched_namespace_ok(const struct sched *s, const Wire__NamespaceSet *n, struct err *e)
{
	uint32_t fresh = 0;

	if (n->name[0] == '\0' || strlen(n->name) >= NAME_BYTES)
		return err_set(e, ERR_INVALID, "namespace name '%.20s' must have 1 to %u bytes", n->name,
		        NAME_BYTES - 1);
	if (ns_find(s, n->name) == 0 && s->n_ns == s->lim.namespaces_max)
		return err_set(e, ERR_FULL, "there are %u namespaces, which is the most", s->n_ns);
	for (size_t i = 0; i < n->n_quota; i++) {
		const char *r = n->quota[i]->name;

		if (r[0] == '\0' || strlen(r) >= sizeof(s->lane_name[0]))
			return err_set(
			        e, ERR_INVALID, "quota's resource name '%.40s' must have 1 to 31 bytes", r);
		fresh += lane_find(s, r) == 0;
	}
	if (s->n_lanes + fresh > VEC)
		return err_set(e, ERR_FULL,
		        "the quota needs %u new kinds of resource, and of %u at most %u are left", fresh,
		        RESOURCES_MAX, VEC - s->n_lanes);
	return 0;
}

int sched_namespace_set(struct sched *s, const Wire__NamespaceSet *n)
{
	uint32_t ns;
	struct nspace *p;

	if (sched_namespace_ok(s, n, NULL) < 0)
		return -1;
	ns = ns_make(s, n->name);
	CHECK(ns != 0);
	p = &s->ns[ns];
	ns_out(s, ns);
	p->weight = n->weight == 0 ? 1 : n->weight;
	p->share = p->usage / p->weight;
	memset(p->own, 0xff, sizeof(p->own));
	for (size_t i = 0; i < n->n_quota; i++)
		p->own[lane_make(s, n->quota[i]->name)] = n->quota[i]->amount;
	ns_limit(s, ns);
	ns_in(s, ns);
	return 0;
}

int sched_namespace_cap(struct sched *s, const char *name, const Wire__Need *const *may, size_t n)
{
	uint32_t ns = ns_make(s, name);
	struct nspace *p = &s->ns[ns];

	if (ns == 0)
		return -1;
	ns_out(s, ns);
	memset(p->uncapped, 0, sizeof(p->uncapped));
	for (size_t i = 0; i < n; i++) {
		uint32_t l = lane_make(s, may[i]->name);

		if (l != 0)
			p->uncapped[l] = UINT64_MAX - may[i]->amount;
	}
	ns_limit(s, ns);
	ns_in(s, ns);
	return 0;
}

void sched_namespace_uncap(struct sched *s, const char *name)
{
	if (ns_find(s, name) != 0)
		(void)sched_namespace_cap(s, name, NULL, 0);
}

void sched_namespace_lend(struct sched *s, const char *name, const Wire__Need *const *v, size_t n, bool back)
{
	uint32_t ns = ns_find(s, name);
	struct nspace *p = &s->ns[ns];

	CHECK(ns != 0);
	ns_out(s, ns);
	for (size_t i = 0; i < n; i++) {
		uint32_t l = lane_make(s, v[i]->name);

		CHECK(l != 0 && (!back || p->lent[l] >= v[i]->amount));
		p->lent[l] += back ? -v[i]->amount : v[i]->amount;
	}
	ns_limit(s, ns);
	ns_in(s, ns);
}

bool sched_namespace_waits(const struct sched *s, const char *name)
{
	uint32_t ns = ns_find(s, name);
	const struct nspace *n = &s->ns[ns];
	const struct bits *ready;

	if (ns == 0 || !n->limited || n->starve_root == 0)
		return false;
	ready = &s->job_starve.t[n->starve_root].all;
	for (uint32_t x = 1; x <= s->shape_top; x++) /* `allow` may say too much */
		if ((ready->w[x % BITS / 64] >> x % 64 & 1) && s->shapes[x].refs > 0 &&
		        !ns_permits(n, &s->shapes[x]))
			return true;
	return false;
}

/* ---- jobs ---- */

void job_out(struct sched *s, uint32_t job)
{
	struct job *j = &s->jobs[job];
	struct nspace *n = &s->ns[j->ns];

	ns_out(s, j->ns);
	if (!j->in)
		return;
	order_remove(s, &s->job_order, j->realtime ? &s->rt_root : &n->jobs_root, job);
	order_remove(s, &s->job_starve, &n->starve_root, job);
	j->in = false;
}

void job_in(struct sched *s, uint32_t job)
{
	struct job *j = &s->jobs[job];
	struct nspace *n = &s->ns[j->ns];

	if (j->groups_root != 0 && job_may(j)) {
		const struct bits *own = &s->group_order.t[j->groups_root].all;
		uint64_t wait = group_wait(&s->groups[order_first(&s->group_order, j->groups_root)]);

		j->k_deadline = j->realtime ? (j->deadline_ns == 0 ? UINT64_MAX : j->deadline_ns) : 0;
		j->k_starve = wait;
		wait = wait > j->last_ns ? wait : j->last_ns;
		j->k_age = (int64_t)(wait & INT64_MAX) - (int64_t)(j->priority * AGE_NS);
		order_insert(s, &s->job_order, j->realtime ? &s->rt_root : &n->jobs_root, job, own);
		order_insert(s, &s->job_starve, &n->starve_root, job, own);
		j->in = true;
	}
	ns_in(s, j->ns);
}

int sched_job_ok(const struct sched *s, const char *namespace_, uint32_t n_groups, struct err *e)
{
	if (namespace_[0] == '\0' || strlen(namespace_) >= NS_BYTES)
		return err_set(e, ERR_INVALID, "namespace name '%.20s' must have 1 to %u bytes", namespace_,
		        NAME_BYTES - 1);
	if (ns_find(s, namespace_) == 0 && s->n_ns == s->lim.namespaces_max)
		return err_set(e, ERR_FULL, "there are %u namespaces, which is the most", s->n_ns);
	if (s->n_jobs == s->lim.jobs_max)
		return err_set(e, ERR_FULL, "%u jobs are unfinished, which is the most", s->n_jobs);
	if (n_groups > s->lim.groups_max - s->n_groups)
		return err_set(e, ERR_FULL,
		        "%u steps of unfinished jobs are known and %u more are too many (at most %u)",
		        s->n_groups, n_groups, s->lim.groups_max);
	if ((uint64_t)s->n_shapes + (uint64_t)n_groups * VARIANTS_MAX > s->shapes_max)
		return err_set(e, ERR_FULL,
		        "unfinished jobs ask for %u different sets of resources; %u is the most", s->n_shapes,
		        s->shapes_max);
	return 0;
}

/* One need's name: known, among the new ones, or put among them. */
static int name_ok(const struct sched *s, const char *name, struct sched_names *seen, struct err *e)
{
	if (lane_find(s, name) != 0)
		return 0;
	for (uint32_t i = 0; i < seen->n; i++)
		if (strcmp(seen->name[i], name) == 0)
			return 0;
	if (name[0] == '\0' || strlen(name) >= sizeof(s->lane_name[0]))
		return err_set(e, ERR_INVALID, "the resource '%.70s' has a name of more than %zu bytes", name,
		        sizeof(s->lane_name[0]) - 1);
	if (s->n_lanes + seen->n + LANES_KEPT >= VEC) {
		(void)err_set(e, ERR_FULL,
		        "no node has any '%s', and no more unknown resources can be remembered", name);
		return err_hint(
		        e, "leave that alternative out, or give a node that pool in its configuration");
	}
	seen->name[seen->n++] = name;
	return 0;
}

int sched_names_ok(const struct sched *s, const Wire__Variant *const *variants, size_t n,
        struct sched_names *seen, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < variants[i]->n_needs; k++)
			if (variants[i]->needs[k]->amount != 0 &&
			        name_ok(s, variants[i]->needs[k]->name, seen, e) < 0)
				return -1;
	return 0;
}

int sched_job_add(struct sched *s, const struct sched_job *in)
{
	uint32_t x = s->jobs_free;
	uint32_t ns;

	if (in->id == 0 || map_get(&s->job_map, in->id) != 0 || s->n_jobs == s->lim.jobs_max)
		return -1;
	ns = ns_make(s, in->namespace_);
	if (ns == 0)
		return -1;
	if (x != 0)
		s->jobs_free = s->jobs[x].groups;
	else
		x = ++s->jobs_top;
	s->jobs[x] = (struct job){
	        .id = in->id,
	        .ns = ns,
	        .priority = in->priority,
	        .concurrency = in->concurrency,
	        .realtime = in->realtime,
	        .deadline_ns = in->deadline_ns,
	};
	map_put(&s->job_map, in->id, x);
	s->n_jobs++;
	return 0;
}

void sched_job_adjust(struct sched *s, const struct sched_job *in)
{
	uint32_t x = map_get(&s->job_map, in->id);

	CHECK(x != 0);
	job_out(s, x);
	s->jobs[x].priority = in->priority;
	s->jobs[x].deadline_ns = in->deadline_ns;
	s->jobs[x].concurrency = in->concurrency;
	job_in(s, x);
}

void sched_job_remove(struct sched *s, uint64_t job)
{
	uint32_t x = map_get(&s->job_map, job), next;
	struct job *j = &s->jobs[x];

	CHECK(x != 0 && j->n_leases == 0);
	job_out(s, x);
	for (uint32_t g = j->groups; g != 0; g = next) {
		struct group *p = &s->groups[g];

		next = p->next;
		group_out(s, g);
		if (p->n_ready > 0) {
			s->groups_ready--;
			s->tasks_ready -= p->n_ready;
			s->crossing_ready -= p->wishes && s->wishes[g].n_blobs > 0;
		}
		avoids_drop(s, g);
		wish_drop(s, g);
		for (uint32_t v = 0; v < p->n_variants; v++)
			shape_drop(s, p->v[v].shape);
		*p = (struct group){.next = s->groups_free};
		s->groups_free = g;
		s->n_groups--;
	}
	ns_in(s, j->ns);
	map_del(&s->job_map, job);
	*j = (struct job){.groups = s->jobs_free};
	s->jobs_free = x;
	s->n_jobs--;
}

/* ---- groups ---- */

void group_out(struct sched *s, uint32_t group)
{
	struct group *g = &s->groups[group];

	if (g->in)
		order_remove(s, &s->group_order, &s->jobs[g->job].groups_root, group);
	g->in = false;
}

void group_in(struct sched *s, uint32_t group)
{
	struct group *g = &s->groups[group];
	struct bits own = {0};

	if (g->n_ready == 0)
		return;
	for (uint32_t v = 0; v < g->n_variants; v++)
		bits_set(&own, g->v[v].shape);
	g->k_wait = group_wait(g) + g->slack * SLACK_NS;
	order_insert(s, &s->group_order, &s->jobs[g->job].groups_root, group, &own);
	g->in = true;
}

/* The needs of a variant, those of one name summed. One without a place for its name cannot be met: it asks for more cpu than any
 * node may have. */
static bool variant_read(struct sched *s, const Wire__Variant *in, bool realtime, struct variant *v)
{
	const uint64_t most = 1ull << 62;
	uint64_t need[VEC] = {realtime ? 1 : 2};

	for (size_t i = 0; i < in->n_needs; i++) {
		uint32_t l = in->needs[i]->amount == 0 ? 0 : lane_make(s, in->needs[i]->name), k;
		uint64_t amount = in->needs[i]->amount < most ? in->needs[i]->amount : most;

		if (in->needs[i]->amount == 0)
			continue;
		if (l == 0) {
			l = 1;
			amount = most + 1;
		}
		for (k = 0; k < v->n && v->lane[k] != l; k++)
			;
		if (k == v->n)
			v->lane[v->n++] = (uint8_t)l;
		v->amount[k] = amount > most || v->amount[k] > most ? most + 1
		               : v->amount[k] + amount < most       ? v->amount[k] + amount
		                                                    : most;
		need[l] = v->amount[k];
	}
	v->shape = shape_take(s, need, 0);
	return v->shape != 0;
}

int sched_group_add(struct sched *s, uint64_t job, uint32_t step, const Wire__Variant *const *variants,
        size_t n_variants, const char *kind, uint64_t slice_max, uint32_t *out_group)
{
	uint32_t j = map_get(&s->job_map, job), x = s->groups_free;
	struct group g = {.job = j, .step = step};

	CHECK(j != 0);
	if (n_variants == 0 || n_variants > VARIANTS_MAX || s->n_groups == s->lim.groups_max)
		return -1;
	for (; g.n_variants < n_variants; g.n_variants++) {
		struct variant *v = &g.v[g.n_variants];

		v->kind = kind_key(kind, g.n_variants);
		if (!variant_read(s, variants[g.n_variants], s->jobs[j].realtime, v)) {
			while (g.n_variants-- > 0)
				shape_drop(s, g.v[g.n_variants].shape);
			return -1;
		}
	}
	g.slice_max = slice_max == 0 || slice_max > SLICE_MAX ? SLICE_MAX : slice_max;
	g.next = s->jobs[j].groups;
	if (x != 0)
		s->groups_free = s->groups[x].next;
	else
		x = ++s->groups_top;
	s->groups[x] = g;
	s->jobs[j].groups = x;
	s->n_groups++;
	*out_group = x;
	return 0;
}

void sched_group_slack(struct sched *s, uint32_t group, uint32_t steps)
{
	CHECK(group != 0 && group <= s->groups_top && !s->groups[group].in);
	s->groups[group].slack = steps < SLACK_MAX ? steps : SLACK_MAX;
}

void sched_group_same(struct sched *s, uint32_t group, uint64_t key)
{
	CHECK(group != 0 && group <= s->groups_top && !s->groups[group].in);
	s->groups[group].same = key;
}

void sched_group_filtered(struct sched *s, uint32_t group)
{
	CHECK(group != 0 && group <= s->groups_top && !s->groups[group].in && s->may != NULL);
	s->groups[group].filtered = true;
}

void sched_filter(struct sched *s, sched_may *may, const void *ctx)
{
	s->may = may;
	s->may_ctx = ctx;
}

void sched_group_ready(struct sched *s, uint32_t group, uint64_t n_ready, uint64_t since_ns)
{
	struct group *g = &s->groups[group];

	CHECK(group != 0 && group <= s->groups_top && g->job != 0);
	s->tasks_ready += n_ready - g->n_ready;
	s->groups_ready += (uint64_t)(n_ready > 0) - (uint64_t)(g->n_ready > 0);
	if (g->wishes && s->wishes[group].n_blobs > 0)
		s->crossing_ready += (uint64_t)(n_ready > 0) - (uint64_t)(g->n_ready > 0);
	if (g->in && n_ready > 0 &&
	        (since_ns == g->since_ns || (since_ns <= g->last_ns && g->since_ns <= g->last_ns))) {
		g->n_ready = n_ready;
		g->since_ns = since_ns;
		return;
	}
	job_out(s, g->job);
	group_out(s, group);
	g->n_ready = n_ready;
	g->since_ns = since_ns;
	group_in(s, group);
	job_in(s, g->job);
}

void sched_totals(const struct sched *s, struct sched_totals *out)
{
	*out = (struct sched_totals){s->groups_ready, s->tasks_ready, s->n_leases};
}
