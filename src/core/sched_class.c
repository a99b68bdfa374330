/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_class - the nodes below a node, those that are alike together, as places of their own.
 *
 * A node that has joined may have nodes below it with other labels than its own. What it tells of them (NodeSet.classes) becomes places:
 * elements of the table of nodes with labels and amounts of their own, which everything in here finds, weighs and reserves as it does
 * nodes; the node itself keeps what is in no class. Outside they have no number: a placement names their `owner` and the class's key,
 * and a lease counts against that class as long as the node has it, else against the node itself.
 * Places lie behind all nodes in the order of (owner, class): where they lie follows from what the nodes are now, not from history,
 * since ties between places go by it. So when their number changes they move. They begin a little behind the last node, so that
 * they do not move with every node that comes. For those that the table has no room for, the node counts whole, as if it had
 * told no classes. Pure.
 */
#include "core/sched_state.h"

/* The first place of classes. */
static uint32_t places_from(const struct sched *s, uint32_t node_real)
{
	uint32_t step = s->lim.nodes_max / 16;

	step = step < 1 ? 1 : step > 64 ? 64 : step;
	return (node_real / step + 1) * step + 1;
}

/* Where the node's classes are, or would be. */
static uint32_t classes_at(const struct sched *s, uint32_t node, uint32_t *out_n)
{
	uint32_t lo = 0, hi = s->n_classes, n = 0;

	while (lo < hi) {
		const uint32_t mid = (lo + hi) / 2;

		if (s->classes[mid].owner < node)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo + n < s->n_classes && s->classes[lo + n].owner == node)
		n++;
	*out_n = n;
	return lo;
}

uint32_t class_place(const struct sched *s, uint32_t node, uint64_t class_)
{
	for (uint32_t x = class_ == 0 ? 0 : s->nodes[node].first_class; x != 0; x = place_next(s, node, x))
		if (s->nodes[x].class_ == class_)
			return x;
	return node;
}

uint32_t sched_class_find(const struct sched *s, uint32_t node, uint64_t class_)
{
	const uint32_t at = class_place(s, node, class_);

	return at == node ? 0 : at - s->nodes[node].first_class + 1;
}

bool sched_class_meets(const struct sched *s, uint32_t node, uint32_t k, const Wire__Place *place)
{
	struct set set = {0};
	uint32_t x = node;

	while (x != 0 && k-- > 0)
		x = place_next(s, node, x);
	return x != 0 && (place == NULL || (set_read(&set, place->where, place->n_where) &&
	                                           set_meets(&set, &s->nodes[x])));
}

static bool labels_within(const struct node *a, const struct node *b)
{
	const uint64_t name = label_hash("name");
	uint32_t k = 0;

	for (uint32_t i = 0; i < a->n_labels && k < b->n_labels; i++) {
		for (k = 0; k < b->n_labels && b->label[k].pair != a->label[i].pair;)
			k++;
		if (a->label[i].key == name)
			k = 0;
	}
	return k < b->n_labels;
}

bool sched_alike(const struct sched *s, uint32_t a, uint32_t b)
{
	uint32_t n;

	(void)classes_at(s, b, &n);
	return n == 0 && s->nodes[a].known && s->nodes[b].known &&
	       labels_within(&s->nodes[a], &s->nodes[b]) && labels_within(&s->nodes[b], &s->nodes[a]);
}

/* ---- what was told ---- */

static uint64_t class_key(const Wire__NodeClass *c)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < c->n_labels; i++)
		sum += prng_mix(label_pair(label_hash(c->labels[i]->key), c->labels[i]->value), 43, 47);
	return sum | 1;
}

static size_t need_find(Wire__Need *const *v, size_t n, const char *name)
{
	size_t k = 0;

	while (k < n && strcmp(v[k]->name, name) != 0)
		k++;
	return k;
}

/* Are all of these among those; and none twice? */
static bool needs_within(Wire__Need *const *v, size_t n, Wire__Need *const *of, size_t n_of)
{
	for (size_t i = 0; i < n; i++)
		if (need_find(of, n_of, v[i]->name) == n_of || need_find(v, i, v[i]->name) < i)
			return false;
	return true;
}

static bool class_ok(const Wire__NodeSet *n, size_t i)
{
	const Wire__NodeClass *c = n->classes[i];

	if (c->n_labels + n->n_admin_labels >= NODE_LABELS ||
	        !needs_within(c->capacity, c->n_capacity, n->capacity, n->n_capacity) ||
	        !needs_within(c->largest, c->n_largest, c->capacity, c->n_capacity))
		return false;
	for (size_t k = 0; k < i; k++)
		if (class_key(n->classes[k]) == class_key(c))
			return false;
	return true;
}

int classes_ok(const struct sched *s, const Wire__NodeSet *n, struct err *e)
{
	(void)s;
	if (n->n_classes > SCHED_CLASSES_MAX || n->n_folded > SCHED_FOLDED_MAX)
		return err_set(e, ERR_INVALID,
		        "node '%.40s' tells %zu classes of nodes below it, and %zu labels that they leave "
		        "out; "
		        "at most %u and %u are taken",
		        n->name, n->n_classes, n->n_folded, SCHED_CLASSES_MAX, SCHED_FOLDED_MAX);
	if (n->n_classes > 0 && (n->n_devices > 0 || !needs_within(n->own_largest, n->n_own_largest,
	                                                     n->capacity, n->n_capacity)))
		return err_set(e, ERR_INVALID, "node '%.40s' tells classes that make no sense", n->name);
	for (size_t i = 0; i < n->n_classes; i++)
		if (!class_ok(n, i))
			return err_set(e, ERR_INVALID,
			        "class %zu of the nodes below '%.40s' has too many labels, those of another, "
			        "or "
			        "what the node has not",
			        i + 1, n->name);
	for (size_t r = 0; r < n->n_capacity && n->n_classes > 0; r++) {
		uint64_t left = n->capacity[r]->amount;

		for (size_t i = 0; i < n->n_classes; i++) {
			const Wire__NodeClass *c = n->classes[i];
			const size_t k = need_find(c->capacity, c->n_capacity, n->capacity[r]->name);
			const uint64_t has = k < c->n_capacity ? c->capacity[k]->amount : 0;

			if (has > left)
				return err_set(e, ERR_INVALID,
				        "the classes of nodes below '%.40s' have more %.31s than itself",
				        n->name, n->capacity[r]->name);
			left -= has;
		}
	}
	return 0;
}

static void class_read(struct sched *s, const Wire__NodeSet *n, size_t i, struct class_of *out)
{
	const Wire__NodeClass *c = n->classes[i];
	struct node like = {.label = out->label};

	out->owner = n->node;
	out->key = class_key(c);
	(void)labels_read(n, c->labels, c->n_labels, &like);
	out->n_labels = like.n_labels;
	out->site = like.site;
	out->n_folded = 0;
	for (size_t k = 0; k < n->n_folded; k++)
		out->folded[out->n_folded++] = label_hash(n->folded[k]);
	memset(out->cap, 0, sizeof(out->cap));
	for (size_t k = 0; k < c->n_capacity; k++)
		out->cap[lane_make(s, c->capacity[k]->name)] = c->capacity[k]->amount;
	memset(out->largest, 0xff, sizeof(out->largest));
	for (size_t k = 0; k < c->n_largest; k++)
		out->largest[lane_make(s, c->largest[k]->name)] = c->largest[k]->amount;
}

/* In place of those that the node had, as many as there is room for. */
static void classes_read(struct sched *s, const Wire__NodeSet *n)
{
	uint32_t had, at = classes_at(s, n->node, &had), room = s->lim.nodes_max - (s->n_classes - had);
	const uint32_t has = n->n_classes < room ? (uint32_t)n->n_classes : room;

	memmove(s->classes + at + has, s->classes + at + had,
	        (s->n_classes - at - had) * sizeof(*s->classes));
	s->n_classes = s->n_classes - had + has;
	for (uint32_t i = 0; i < has; i++)
		class_read(s, n, i, &s->classes[at + i]);
}

/* ---- places ---- */

static void lease_move(struct sched *s, uint32_t lease, uint32_t to)
{
	const uint32_t from = s->leases[lease].node;

	spread_count(s, lease, -1);
	ends_remove(s, from, lease);
	s->nodes[from].n_leases--;
	s->leases[lease].node = to;
	ends_insert(s, to, lease);
	s->nodes[to].n_leases++;
	spread_count(s, lease, 1);
}

static void lift(struct sched *s, uint32_t place)
{
	struct node *p = &s->nodes[place], *owner = &s->nodes[p->owner];

	while (p->leases != 0)
		lease_move(s, p->leases, p->owner);
	node_clear(s, place);
	sets_forget(s, place);
	for (uint32_t l = 0; l < VEC; l++)
		owner->cap[l] += p->cap[l];
	owner->first_class = 0;
	s->n_up -= p->state == WIRE__NODE_SET__STATE__UP;
	*p = (struct node){0};
}

static void land(struct sched *s, uint32_t place, const struct class_of *c)
{
	struct node *p = &s->nodes[place], *owner = &s->nodes[c->owner];

	*p = (struct node){.owner = c->owner,
	        .known = true,
	        .class_ = c->key,
	        .folded = c->folded,
	        .n_folded = c->n_folded,
	        .state = owner->state,
	        .n_labels = c->n_labels,
	        .label = (struct label *)(uintptr_t)c->label,
	        .site = c->site,
	        .speed = owner->speed,
	        .paused_until_ns = owner->paused_until_ns};
	memcpy(p->name, owner->name, sizeof(p->name));
	memcpy(p->cap, c->cap, sizeof(p->cap));
	memcpy(p->largest, c->largest, sizeof(p->largest));
	for (uint32_t l = 0; l < VEC; l++) {
		CHECK(owner->cap[l] >= c->cap[l]);
		owner->cap[l] -= c->cap[l];
	}
	if (owner->first_class == 0)
		owner->first_class = place;
	s->n_up += p->state == WIRE__NODE_SET__STATE__UP;
	sets_refresh(s, place, node_leaf(s, place));
}

/* Its leases to where they count, and what each place holds. */
static void settle(struct sched *s, uint32_t node)
{
	for (uint32_t l = s->nodes[node].leases, next; l != 0; l = next) {
		const uint32_t to = class_place(s, node, s->leases[l].class_);

		next = s->ends[l].next;
		if (to != node)
			lease_move(s, l, to);
	}
	for (uint32_t x = place_next(s, node, 0); x != 0; x = place_next(s, node, x))
		node_recount(s, x);
}

/* Do the places of other nodes move? */
static bool all_move(const struct sched *s, const Wire__NodeSet *n)
{
	uint32_t had;

	(void)classes_at(s, n->node, &had);
	return had != n->n_classes ||
	       (n->node > s->node_real && places_from(s, n->node) != places_from(s, s->node_real));
}

void classes_lift(struct sched *s, const Wire__NodeSet *n)
{
	if (s->n_classes == 0)
		return;
	if (all_move(s, n)) {
		for (uint32_t x = places_from(s, s->node_real); x <= s->node_top; x++)
			if (s->nodes[x].known)
				lift(s, x);
		return;
	}
	for (uint32_t x = place_next(s, n->node, n->node), next; x != 0; x = next) {
		next = place_next(s, n->node, x);
		lift(s, x);
	}
}

void classes_land(struct sched *s, const Wire__NodeSet *n)
{
	const bool all = (s->n_classes > 0 || n->n_classes > 0) && all_move(s, n);
	uint32_t from, last = 0;

	if (s->n_classes > 0 || n->n_classes > 0)
		classes_read(s, n);
	if (n->node > s->node_real)
		s->node_real = n->node;
	from = places_from(s, s->node_real);
	s->node_top = s->node_real;
	for (uint32_t i = 0; i < s->n_classes; i++) {
		if (from + i > s->lim.nodes_max)
			break;
		if (all || s->classes[i].owner == n->node)
			land(s, from + i, &s->classes[i]);
		s->node_top = from + i;
	}
	settle(s, n->node);
	for (uint32_t i = 0; i < s->n_classes && all; i++) {
		if (s->classes[i].owner != last && s->classes[i].owner != n->node)
			settle(s, s->classes[i].owner);
		last = s->classes[i].owner;
	}
}
