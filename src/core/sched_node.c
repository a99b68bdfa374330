/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_node - nodes as they appear, change and are looked at.
 * Pure. Invariant: devices of a node are sorted by (resource, index), so that a choice among them is the same everywhere.
 */
#include "base/check.h"
#include "core/gang.h"
#include "core/sched_state.h"

int sched_node_ok(const struct sched *s, const Wire__NodeSet *n, struct err *e)
{
	uint32_t fresh = 0;

	if (n->node == 0 || n->node > s->lim.nodes_max)
		return err_set(e, ERR_FULL, "node number %u is not in 1 to %u", n->node, s->lim.nodes_max);
	if (n->n_devices > DEVICES_PER_NODE_MAX)
		return err_set(e, ERR_INVALID, "node '%.40s' has %zu devices, at most %u are managed",
		        n->name, n->n_devices, DEVICES_PER_NODE_MAX);
	for (size_t i = 0; i < n->n_largest; i++) {
		size_t k = 0;

		while (k < n->n_capacity && strcmp(n->largest[i]->name, n->capacity[k]->name) != 0)
			k++;
		if (k == n->n_capacity)
			return err_set(e, ERR_INVALID, "node '%.40s' has no capacity of its largest '%.31s'",
			        n->name, n->largest[i]->name);
	}
	for (size_t i = 0; i < n->n_capacity + n->n_devices; i++) {
		const Wire__NodeSet__Device *d = i < n->n_capacity ? NULL : n->devices[i - n->n_capacity];
		const char *r = d == NULL ? n->capacity[i]->name : d->resource;
		bool seen = lane_find(s, r) != 0;

		if (r[0] == '\0' || strlen(r) >= sizeof(s->lane_name[0]))
			return err_set(e, ERR_INVALID,
			        "resource name '%.40s' of node '%.40s' must have 1 to 31 bytes", r, n->name);
		if (d == NULL && n->capacity[i]->amount > 1ull << 62)
			return err_set(e, ERR_INVALID, "node '%.40s' cannot have that much %s", n->name, r);
		if (d != NULL && d->index > UINT16_MAX)
			return err_set(e, ERR_INVALID, "%s %u of node '%.40s': the index must be below 65536",
			        r, d->index, n->name);
		for (size_t k = 0; k < i && !seen; k++)
			seen = strcmp(r, k < n->n_capacity ? n->capacity[k]->name
			                                   : n->devices[k - n->n_capacity]->resource) == 0;
		for (size_t k = n->n_capacity; d != NULL && k < i; k++)
			if (n->devices[k - n->n_capacity]->index == d->index &&
			        strcmp(n->devices[k - n->n_capacity]->resource, r) == 0)
				return err_set(e, ERR_INVALID, "node '%.40s' names %s %u twice", n->name, r,
				        d->index);
		fresh += !seen;
	}
	if (n->n_labels + n->n_admin_labels >= NODE_LABELS)
		return err_set(e, ERR_INVALID, "node '%.40s' has %zu labels, at most %u are kept", n->name,
		        n->n_labels + n->n_admin_labels, NODE_LABELS - 1);
	if (n->link != NULL && n->link->bytes != 0 &&
	        (n->link->per_ns == 0 || n->link->from_min >= 1440 || n->link->to_min >= 1440))
		return err_set(
		        e, ERR_INVALID, "the link of node '%.40s' has a limit without a window", n->name);
	if (classes_ok(s, n, e) < 0)
		return -1;
	if (s->n_lanes + fresh > VEC)
		return err_set(e, ERR_FULL,
		        "node '%.40s' brings %u new kinds of resource, and of %u at most %u are left",
		        n->name, fresh, RESOURCES_MAX, VEC - s->n_lanes);
	return 0;
}

/* Insertion sort by (lane, index). */
static void devices_read(struct sched *s, struct node *p, const Wire__NodeSet *n)
{
	struct device *d = node_devs(s, n->node);

	p->dev_lanes = 0;
	p->n_dev = 0;
	for (size_t i = 0; i < n->n_devices; i++) {
		const Wire__NodeSet__Device *in = n->devices[i];
		uint64_t milli = in->milli == 0 || in->milli > 1000 ? 1000 : in->milli;
		struct device v = {in->index, (uint16_t)milli, (uint8_t)lane_make(s, in->resource)};
		uint32_t at = p->n_dev++;

		for (; at > 0 &&
		        (d[at - 1].lane > v.lane || (d[at - 1].lane == v.lane && d[at - 1].index > v.index));
		        at--)
			d[at] = d[at - 1];
		d[at] = v;
		if ((p->dev_lanes >> v.lane & 1) == 0)
			p->cap[v.lane] = 0;
		p->dev_lanes |= 1u << v.lane;
		p->cap[v.lane] += milli;
	}
}

/* Labels, and the leases that are counted by them. */
static void labels_set(struct sched *s, const Wire__NodeSet *n)
{
	struct node *p = &s->nodes[n->node];

	for (uint32_t l = p->leases; l != 0; l = s->ends[l].next)
		spread_count(s, l, -1);
	(void)labels_read(n, n->labels, n->n_labels, p);
	for (uint32_t l = p->leases; l != 0; l = s->ends[l].next)
		spread_count(s, l, 1);
}

static void link_set(struct sched *s, const Wire__NodeSet *n)
{
	struct link_use *l = &s->nodes[n->node].link;
	const Wire__NodeSet__Link *in = n->link;

	s->n_links += (uint32_t)(in != NULL && in->bytes != 0) - (uint32_t)(l->bytes != 0);
	if (in == NULL || in->bytes == 0) {
		*l = (struct link_use){.cost = in != NULL ? in->cost : 0};
		return;
	}
	if (l->per_ns != in->per_ns)
		l->window = l->used = 0;
	l->bytes = in->bytes;
	l->per_ns = in->per_ns;
	l->from_min = in->from_min;
	l->to_min = in->to_min;
	l->cost = in->cost;
}

static void largest_read(struct sched *s, struct node *p, const Wire__NodeSet *n)
{
	Wire__Need *const *v = n->n_classes > 0 ? n->own_largest : n->largest;
	const size_t count = n->n_classes > 0 ? n->n_own_largest : n->n_largest;

	memset(p->largest, 0xff, sizeof(p->largest));
	for (size_t i = 0; i < count; i++)
		p->largest[lane_make(s, v[i]->name)] = v[i]->amount;
}

void node_recount(struct sched *s, uint32_t node)
{
	struct node *p = &s->nodes[node];

	for (uint32_t l = 0; l < VEC; l++)
		p->free[l] = (int64_t)p->cap[l];
	memset(node_used(s, node), 0, p->n_dev * sizeof(uint32_t));
	for (uint32_t l = p->leases; l != 0; l = s->ends[l].next)
		amounts_hold(s, node, p->free, node_used(s, node),
		        &s->groups[s->leases[l].group].v[s->leases[l].variant],
		        s->lease_devs + (size_t)l * DEVICES_PER_LEASE_MAX, s->leases[l].n_dev, 1);
	node_refresh_able(s, node);
	node_refresh(s, node);
}

int sched_node_set(struct sched *s, const Wire__NodeSet *n)
{
	uint32_t leaf;
	struct node *p;

	if (sched_node_ok(s, n, NULL) < 0)
		return -1;
	classes_lift(s, n);
	p = &s->nodes[n->node];
	p->label = s->labels + (size_t)n->node * NODE_LABELS;
	p->latency = s->latencies + (size_t)n->node * LATENCIES;
	node_clear(s, n->node);
	leaf = node_leaf(s, n->node);
	if (p->known && p->state == WIRE__NODE_SET__STATE__UP)
		s->n_up--;
	p->known = true;
	p->owner = n->node;
	p->reached = gang_address_ok(n->address);
	p->state = n->state;
	p->gone = n->removed;
	if (p->gone)
		latency_forget(s, n->node);
	s->n_up += p->state == WIRE__NODE_SET__STATE__UP;
	(void)snprintf(p->name, sizeof(p->name), "%s", n->name);
	memset(p->cap, 0, sizeof(p->cap));
	for (size_t i = 0; i < n->n_capacity; i++) {
		uint64_t *c = &p->cap[lane_make(s, n->capacity[i]->name)];

		*c = *c + n->capacity[i]->amount < 1ull << 62 ? *c + n->capacity[i]->amount : 1ull << 62;
	}
	largest_read(s, p, n);
	devices_read(s, p, n);
	labels_set(s, n);
	link_set(s, n);
	sets_refresh(s, n->node, leaf);
	classes_land(s, n);
	return 0;
}

void sched_node_state(struct sched *s, uint32_t node, Wire__NodeSet__State state)
{
	struct node *p = &s->nodes[node];

	CHECK(p->known);
	if (p->state == state)
		return;
	for (uint32_t x = place_next(s, node, 0); x != 0; x = place_next(s, node, x)) {
		node_clear(s, x);
		s->n_up -= s->nodes[x].state == WIRE__NODE_SET__STATE__UP;
		s->nodes[x].state = state;
		s->n_up += s->nodes[x].state == WIRE__NODE_SET__STATE__UP;
		node_refresh_able(s, x);
		node_refresh(s, x);
	}
}

/* ---- looking ---- */

const char *sched_resource_name(const struct sched *s, uint32_t resource)
{
	return resource + 1 < s->n_lanes ? s->lane_name[resource + 1] : NULL;
}

static void place_view(const struct sched *s, uint32_t place, struct sched_node_view *out)
{
	const struct node *n = &s->nodes[place];

	*out = (struct sched_node_view){
	        .node = n->owner, .name = n->name, .state = n->state, .n_leases = n->n_leases};
	out->paused_until_ns = n->paused_until_ns;
	out->link_bytes = n->link.bytes;
	out->link_per_ns = n->link.per_ns;
	out->link_used = n->link.used;
	out->link_used_ns = n->link.window * n->link.per_ns;
	for (uint32_t r = 0; r < RESOURCES_MAX; r++) {
		out->capacity[r] = n->cap[r + 1];
		out->free[r] = n->free[r + 1];
		out->largest[r] = n->largest[r + 1] < n->cap[r + 1] ? n->largest[r + 1] : n->cap[r + 1];
	}
}

bool sched_node(const struct sched *s, uint32_t node, struct sched_node_view *out)
{
	struct sched_node_view below;

	if (node == 0 || node > s->node_real || !s->nodes[node].known)
		return false;
	place_view(s, node, out);
	for (uint32_t x = place_next(s, node, node); x != 0; x = place_next(s, node, x)) {
		place_view(s, x, &below);
		out->n_leases += below.n_leases;
		for (uint32_t r = 0; r < RESOURCES_MAX; r++) {
			out->capacity[r] += below.capacity[r];
			out->free[r] += below.free[r];
			if (below.largest[r] > out->largest[r])
				out->largest[r] = below.largest[r];
		}
	}
	return true;
}

bool sched_class(const struct sched *s, uint32_t node, uint32_t k, struct sched_node_view *out)
{
	uint32_t x = node;

	if (node == 0 || node > s->node_real || !s->nodes[node].known)
		return false;
	while (x != 0 && k-- > 0)
		x = place_next(s, node, x);
	if (x != 0)
		place_view(s, x, out);
	return x != 0;
}

bool sched_node_gone(const struct sched *s, uint32_t node)
{
	return s->nodes[node].gone;
}

bool sched_node_next(const struct sched *s, uint32_t after, struct sched_node_view *out)
{
	while (after < s->node_real)
		if (sched_node(s, ++after, out) && !s->nodes[after].gone)
			return true;
	return false;
}

/* ---- could it ever run ---- */

struct vec {
	uint64_t v[VEC];
	const char *unknown; /* a resource that nobody has */
};

static void vec_read(const struct sched *s, const Wire__Variant *in, struct vec *out)
{
	*out = (struct vec){0};
	for (size_t i = 0; i < in->n_needs; i++) {
		uint32_t l = lane_find(s, in->needs[i]->name);
		uint64_t amount = in->needs[i]->amount;

		if (amount == 0)
			continue;
		if (l == 0)
			out->unknown = in->needs[i]->name;
		else
			out->v[l] = out->v[l] + amount < amount ? UINT64_MAX : out->v[l] + amount;
	}
}

/* What the node holds with nothing leased, whatever its state. */
static void node_whole(const struct sched *s, uint32_t node, uint64_t *out)
{
	static const uint32_t unused[DEVICES_PER_NODE_MAX];
	int64_t free[VEC];

	for (uint32_t l = 0; l < VEC; l++)
		free[l] = (int64_t)s->nodes[node].cap[l];
	amounts_eff(s, node, free, unused, out);
}

static void amount_text(const char *name, uint64_t amount, char *out, size_t n)
{
	if (strcmp(name, "memory") != 0 && strcmp(name, "disk") != 0) {
		if (amount % 1000 == 0)
			(void)snprintf(out, n, "%s %llu", name, (unsigned long long)amount / 1000);
		else
			(void)snprintf(out, n, "%s %llu.%03u", name, (unsigned long long)amount / 1000,
			        (unsigned)(amount % 1000));
	} else if (amount >= 1ull << 30 && amount % (1ull << 30) == 0) {
		(void)snprintf(out, n, "%s %llu GiB", name, (unsigned long long)amount >> 30);
	} else if (amount >= 1ull << 20) {
		(void)snprintf(out, n, "%s %llu MiB", name, (unsigned long long)amount >> 20);
	} else {
		(void)snprintf(out, n, "%s %llu bytes", name, (unsigned long long)amount);
	}
}

/* Says which need is too large; the node that comes nearest is the one with fewest lacks, then the smallest number. */
static void too_large(const struct sched *s, const struct vec *need, char *why, size_t n)
{
	uint32_t best = 0, best_lacks = NONE, lane = 0;
	uint64_t whole[VEC] = {0}, most = 0;
	char a[64], b[64];

	for (uint32_t x = 1; x <= s->node_top; x++) {
		uint32_t lacks = 0;

		if (!s->nodes[x].known)
			continue;
		node_whole(s, x, whole);
		for (uint32_t l = 1; l < s->n_lanes; l++)
			lacks += need->v[l] > whole[l];
		if (lacks < best_lacks) {
			best = x;
			best_lacks = lacks;
		}
	}
	if (best == 0) {
		(void)snprintf(why, n, "there is no node yet");
		return;
	}
	node_whole(s, best, whole);
	for (uint32_t l = 1; l < s->n_lanes && lane == 0; l++)
		if (need->v[l] > whole[l])
			lane = l;
	most = s->nodes[best].cap[lane];
	for (uint32_t x = 1; x <= s->node_top; x++) /* of that resource, the node that has most */
		if (s->nodes[x].known && s->nodes[x].cap[lane] > most) {
			most = s->nodes[x].cap[lane];
			best = x;
		}
	amount_text(s->lane_name[lane], need->v[lane], a, sizeof(a));
	amount_text(s->lane_name[lane], most, b, sizeof(b));
	if (most == 0)
		(void)snprintf(why, n, "%s: no node has any %s", a, s->lane_name[lane]);
	else if (most >= need->v[lane])
		(void)snprintf(why, n, "%s: no node has all that is asked for together; '%s' has %s", a,
		        s->nodes[best].name, b);
	else
		(void)snprintf(why, n, "%s is more than any node has; the largest, '%s', has %s", a,
		        s->nodes[best].name, b);
}

static bool any_node_holds(const struct sched *s, const struct vec *need)
{
	uint64_t whole[VEC];

	for (uint32_t x = 1; x <= s->node_top; x++) {
		uint32_t l = 1;

		if (!s->nodes[x].known)
			continue;
		node_whole(s, x, whole);
		while (l < s->n_lanes && need->v[l] <= whole[l])
			l++;
		if (l == s->n_lanes)
			return true;
	}
	return false;
}

bool sched_could_fit(const struct sched *s, const char *namespace_, const Wire__Variant *const *variants,
        size_t n, char *why, size_t why_bytes)
{
	const uint32_t ns = ns_find(s, namespace_);

	why[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		struct vec need;
		uint32_t over = 0;
		char a[64], b[64], reason[320];

		vec_read(s, variants[i], &need);
		for (uint32_t l = 1; l < s->n_lanes && ns != 0; l++)
			if (need.v[l] > s->ns[ns].own[l])
				over = l;
		if (need.unknown != NULL) {
			(void)snprintf(reason, sizeof(reason), "no node has any '%.31s'", need.unknown);
		} else if (over != 0) {
			amount_text(s->lane_name[over], need.v[over], a, sizeof(a));
			amount_text(s->lane_name[over], s->ns[ns].own[over], b, sizeof(b));
			(void)snprintf(reason, sizeof(reason),
			        "%s is more than the quota of namespace '%s' (%s)", a, namespace_, b);
		} else if (any_node_holds(s, &need)) {
			return true;
		} else {
			too_large(s, &need, reason, sizeof(reason));
		}
		if (why[0] == '\0') /* of alternatives, the preferred one's reason */
			(void)snprintf(why, why_bytes, "%s", reason);
	}
	return false;
}
