/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_node - nodes as they appear, change and are looked at.
 * Pure. Invariant: devices of a node are sorted by (resource, index), so that a choice among them is the same everywhere.
 */
#include "core/sched_state.h"

int sched_node_ok(const struct sched *s, const Wire__NodeSet *n, struct err *e)
{
	uint32_t fresh = 0;

	if (n->node == 0 || n->node > s->lim.nodes_max)
		return err_set(e, ERR_FULL, "node number %u is not in 1 to %u", n->node, s->lim.nodes_max);
	if (n->n_devices > DEVICES_PER_NODE_MAX)
		return err_set(e, ERR_INVALID, "node '%.40s' has %zu devices, at most %u are managed",
		        n->name, n->n_devices, DEVICES_PER_NODE_MAX);
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

int sched_node_set(struct sched *s, const Wire__NodeSet *n)
{
	struct node *p;

	if (sched_node_ok(s, n, NULL) < 0)
		return -1;
	p = &s->nodes[n->node];
	node_clear(s, n->node);
	if (p->known && p->state == WIRE__NODE_SET__STATE__UP)
		s->n_up--;
	p->known = true;
	p->state = n->state;
	s->n_up += p->state == WIRE__NODE_SET__STATE__UP;
	if (n->node > s->node_top)
		s->node_top = n->node;
	(void)snprintf(p->name, sizeof(p->name), "%s", n->name);
	memset(p->cap, 0, sizeof(p->cap));
	for (size_t i = 0; i < n->n_capacity; i++) {
		uint64_t *c = &p->cap[lane_make(s, n->capacity[i]->name)];

		*c = *c + n->capacity[i]->amount < 1ull << 62 ? *c + n->capacity[i]->amount : 1ull << 62;
	}
	devices_read(s, p, n);
	for (uint32_t l = 0; l < VEC; l++)
		p->free[l] = (int64_t)p->cap[l];
	memset(node_used(s, n->node), 0, p->n_dev * sizeof(uint32_t));
	for (uint32_t l = s->nodes[n->node].leases; l != 0; l = s->ends[l].next)
		amounts_hold(s, n->node, p->free, node_used(s, n->node),
		        &s->groups[s->leases[l].group].v[s->leases[l].variant],
		        s->lease_devs + (size_t)l * DEVICES_PER_LEASE_MAX, s->leases[l].n_dev, 1);
	node_refresh_able(s, n->node);
	node_refresh(s, n->node);
	return 0;
}

/* ---- looking ---- */

const char *sched_resource_name(const struct sched *s, uint32_t resource)
{
	return resource + 1 < s->n_lanes ? s->lane_name[resource + 1] : NULL;
}

bool sched_node(const struct sched *s, uint32_t node, struct sched_node_view *out)
{
	const struct node *n;

	if (node == 0 || node > s->node_top || !s->nodes[node].known)
		return false;
	n = &s->nodes[node];
	*out = (struct sched_node_view){
	        .node = node, .name = n->name, .state = n->state, .n_leases = n->n_leases};
	for (uint32_t r = 0; r < RESOURCES_MAX; r++) {
		out->capacity[r] = n->cap[r + 1];
		out->free[r] = n->free[r + 1];
	}
	return true;
}

bool sched_node_next(const struct sched *s, uint32_t after, struct sched_node_view *out)
{
	while (after < s->node_top)
		if (sched_node(s, ++after, out))
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
			if (need.v[l] > s->ns[ns].quota[l])
				over = l;
		if (need.unknown != NULL) {
			(void)snprintf(reason, sizeof(reason), "no node has any '%.31s'", need.unknown);
		} else if (over != 0) {
			amount_text(s->lane_name[over], need.v[over], a, sizeof(a));
			amount_text(s->lane_name[over], s->ns[ns].quota[over], b, sizeof(b));
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
