/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_sum - what a node with all nodes below it can do, for its hub; see link.h. Pure.
 *
 * Amounts are sums. Labels are this machine's own; the nodes below it that have others are told as classes: those with the same labels
 * together, with what they have in all. A child's classes are its hub's, so three levels come out as one list. There are at most
 * SCHED_CLASSES_MAX: while there are more, the label with the most different values is left out of all of them (`folded`), and what
 * is alike without it becomes one. Of a label that is left out nothing holds, also not that it is absent; so a hub never sends a
 * task where there is nobody for it. When too many labels would have to be left out no classes are told, and the node
 * counts as if all were like itself.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "core/link_int.h"
#include "core/sched.h"

#define LABELS_BYTES_MAX 8192u
#define KIN_MAX          48u  /* classes at a time, while nodes are gone through */
#define KIN_LABELS       64u  /* of each: no node has more (core/sched) */
#define LABEL_BYTES_MAX  512u /* a label that is longer is left out */

/* Nodes with the same labels; labels sorted by key. */
struct kin {
	Wire__Pair **label;
	size_t n_labels;
	uint64_t cap[RESOURCES_MAX], largest[RESOURCES_MAX];
	uint32_t nodes;
};
struct summary {
	struct arena *a;
	struct kin v[KIN_MAX];
	uint32_t n, n_folded;
	const char *folded[SCHED_FOLDED_MAX];
	bool failed;
	Wire__Pair *sorted[KIN_MAX * KIN_LABELS]; /* room for fold_one() */
};

/* ---- labels ---- */

static bool is_folded(const struct summary *m, const char *key)
{
	uint32_t i = 0;

	while (i < m->n_folded && strcmp(m->folded[i], key) != 0)
		i++;
	return i < m->n_folded;
}

static bool same_labels(const struct kin *a, const struct kin *b)
{
	size_t i = 0;

	if (a->n_labels != b->n_labels)
		return false;
	while (i < a->n_labels && strcmp(a->label[i]->key, b->label[i]->key) == 0 &&
	        strcmp(a->label[i]->value, b->label[i]->value) == 0)
		i++;
	return i == a->n_labels;
}

static void kin_join(struct kin *to, const struct kin *from)
{
	for (uint32_t r = 0; r < RESOURCES_MAX; r++) {
		to->cap[r] += from->cap[r];
		to->largest[r] = from->largest[r] > to->largest[r] ? from->largest[r] : to->largest[r];
	}
	to->nodes += from->nodes;
}

/* Leave the label out, and join what is alike then. */
static void fold(struct summary *m, const char *key)
{
	uint32_t n = 0;

	if (is_folded(m, key))
		return;
	if (m->n_folded == SCHED_FOLDED_MAX) {
		m->failed = true;
		return;
	}
	m->folded[m->n_folded++] = key;
	for (uint32_t i = 0; i < m->n; i++) {
		struct kin k = m->v[i];
		size_t left = 0;
		uint32_t at = 0;

		for (size_t l = 0; l < k.n_labels; l++)
			if (strcmp(k.label[l]->key, key) != 0)
				k.label[left++] = k.label[l];
		k.n_labels = left;
		while (at < n && !same_labels(&m->v[at], &k))
			at++;
		if (at < n)
			kin_join(&m->v[at], &k);
		else
			m->v[n++] = k;
	}
	m->n = n;
}

static bool before(const Wire__Pair *a, const Wire__Pair *b)
{
	const int c = strcmp(a->key, b->key);

	return c < 0 || (c == 0 && strcmp(a->value, b->value) < 0);
}

/* Let v[i] sink in the heap of n, whose largest is on top. */
static void sink(Wire__Pair **v, size_t i, size_t n)
{
	for (size_t k; (k = 2 * i + 1) < n; i = k) {
		Wire__Pair *p = v[i];

		k += k + 1 < n && before(v[k], v[k + 1]);
		if (!before(p, v[k]))
			return;
		v[i] = v[k];
		v[k] = p;
	}
}

/* By key, then value. The number of pairs is a peer's word, so it takes n log n whatever they are. */
static void sort_pairs(Wire__Pair **v, size_t n)
{
	for (size_t i = n / 2; i > 0; i--)
		sink(v, i - 1, n);
	for (; n > 1; n--) {
		Wire__Pair *p = v[0];

		v[0] = v[n - 1];
		v[n - 1] = p;
		sink(v, 0, n - 1);
	}
}

/* The label with the most different values (to have none is one); of several the first by name. */
static void fold_one(struct summary *m)
{
	const char *best = NULL;
	uint32_t most = 0;
	size_t n = 0;

	for (uint32_t i = 0; i < m->n; i++)
		for (size_t l = 0; l < m->v[i].n_labels && n < sizeof(m->sorted) / sizeof(m->sorted[0]); l++)
			m->sorted[n++] = m->v[i].label[l];
	sort_pairs(m->sorted, n);
	for (size_t i = 0, end; i < n; i = end) {
		uint32_t values = 0;

		for (end = i; end < n && strcmp(m->sorted[end]->key, m->sorted[i]->key) == 0; end++)
			values += end == i || strcmp(m->sorted[end]->value, m->sorted[end - 1]->value) != 0;
		values += end - i < m->n;
		if (values > most) {
			most = values;
			best = m->sorted[i]->key;
		}
	}
	if (best)
		fold(m, best);
	else
		m->failed = true;
}

static bool is_admins(const Wire__NodeSet *n, const char *key)
{
	for (size_t i = 0; i < n->n_admin_labels; i++)
		if (strcmp(n->admin_labels[i]->key, key) == 0)
			return true;
	return false;
}

/* These labels, those that are left out aside, with those of the owner of `admin`; sorted. */
static bool kin_labels(
        struct summary *m, Wire__Pair **v, size_t n, const Wire__NodeSet *admin, struct kin *out)
{
	const size_t n_all = n + (admin ? admin->n_admin_labels : 0);

	out->n_labels = 0;
	out->label = arena_calloc(m->a, n_all + 1, sizeof(Wire__Pair *));
	if (!out->label)
		return false;
	for (size_t i = 0; i < n_all; i++) {
		Wire__Pair *p = i < n ? v[i] : admin->admin_labels[i - n];
		size_t at = out->n_labels;

		if (i < n && admin && is_admins(admin, p->key))
			continue;
		if (strlen(p->key) + strlen(p->value) > LABEL_BYTES_MAX) {
			fold(m, p->key);
			continue;
		}
		if (strcmp(p->key, "name") == 0 || is_folded(m, p->key))
			continue;
		for (; at > 0 && strcmp(out->label[at - 1]->key, p->key) > 0; at--)
			out->label[at] = out->label[at - 1];
		out->label[at] = p;
		out->n_labels++;
	}
	return true;
}

/* ---- gathering ---- */

static bool any_amount(const struct sched_node_view *v)
{
	for (uint32_t r = 0; r < RESOURCES_MAX; r++)
		if (v->capacity[r])
			return true;
	return false;
}

static void put(struct summary *m, struct kin *k, const struct sched_node_view *v, uint32_t nodes)
{
	uint32_t at = 0;

	memcpy(k->cap, v->capacity, sizeof(k->cap));
	memcpy(k->largest, v->largest, sizeof(k->largest));
	k->nodes = nodes;
	while (at < m->n && !same_labels(&m->v[at], k))
		at++;
	if (at < m->n)
		kin_join(&m->v[at], k);
	else
		m->v[m->n++] = *k;
	while (m->n == KIN_MAX && !m->failed)
		fold_one(m);
}

/* A node that is not like this one, and what is below it. */
static void put_node(struct summary *m, const struct engine *e, uint32_t node)
{
	const struct sched *s = engine_sched(e);
	const Wire__NodeSet *n = engine_node_open(e, node, m->a);
	struct sched_node_view v;

	m->failed |= !n;
	for (size_t i = 0; n && i < n->n_folded && !m->failed; i++)
		fold(m, n->folded[i]);
	for (uint32_t k = 0; n && !m->failed && k <= n->n_classes && sched_class(s, node, k, &v); k++) {
		struct kin kin = {.nodes = 0};

		if (!any_amount(&v))
			continue;
		if (!(k ? kin_labels(m, n->classes[k - 1]->labels, n->classes[k - 1]->n_labels, n, &kin)
		        : kin_labels(m, n->labels, n->n_labels, NULL, &kin)))
			m->failed = true;
		else
			put(m, &kin, &v, k ? n->classes[k - 1]->nodes : 1);
	}
}

/* ---- telling ---- */

static Wire__Need **needs_of(
        const struct sched *s, const uint64_t v[RESOURCES_MAX], bool all, struct arena *a, size_t *n)
{
	Wire__Need *need = arena_calloc(a, RESOURCES_MAX, sizeof(*need));
	Wire__Need **p = arena_calloc(a, RESOURCES_MAX, sizeof(*p));
	const char *name;

	*n = 0;
	for (uint32_t r = 0; need && p && r < RESOURCES_MAX && (name = sched_resource_name(s, r)); r++) {
		if (!all && v[r] == 0)
			continue;
		need[*n] = (Wire__Need)WIRE__NEED__INIT;
		need[*n].name = (char *)(uintptr_t)name;
		need[*n].amount = v[r];
		p[*n] = &need[*n];
		(*n)++;
	}
	return need ? p : NULL;
}

static bool tell_class(const struct sched *s, const struct kin *k, struct arena *a, Wire__NodeClass *out)
{
	*out = (Wire__NodeClass)WIRE__NODE_CLASS__INIT;
	out->labels = k->label;
	out->n_labels = k->n_labels;
	out->capacity = needs_of(s, k->cap, false, a, &out->n_capacity);
	out->largest = needs_of(s, k->largest, false, a, &out->n_largest);
	out->nodes = k->nodes;
	return out->capacity && out->largest;
}

static bool tell_classes(const struct sched *s, const struct summary *m, Wire__NodeSet *out)
{
	Wire__NodeClass *v = arena_calloc(m->a, m->n, sizeof(*v));

	out->classes = arena_calloc(m->a, m->n, sizeof(*out->classes));
	out->folded = arena_calloc(m->a, m->n_folded + 1, sizeof(*out->folded));
	if (!v || !out->classes || !out->folded)
		return false;
	out->n_classes = m->n;
	for (uint32_t i = 0; i < m->n; i++) {
		if (!tell_class(s, &m->v[i], m->a, &v[i]))
			return false;
		out->classes[i] = &v[i];
	}
	out->n_folded = m->n_folded;
	for (uint32_t i = 0; i < m->n_folded; i++)
		out->folded[i] = (char *)(uintptr_t)m->folded[i];
	return true;
}

/* What of an offer is about classes. */
static Wire__NodeSet classes_of(const Wire__NodeSet *offer)
{
	Wire__NodeSet n = WIRE__NODE_SET__INIT;

	n.classes = offer->classes;
	n.n_classes = offer->n_classes;
	n.folded = offer->folded;
	n.n_folded = offer->n_folded;
	n.own_largest = offer->own_largest;
	n.n_own_largest = offer->n_own_largest;
	return n;
}

static Wire__NodeSet without_classes(const Wire__NodeSet *offer)
{
	Wire__NodeSet n = *offer;

	n.n_classes = n.n_folded = n.n_own_largest = 0;
	return n;
}

static int sum_classes(const struct engine *e, struct arena *a, Wire__NodeSet *out)
{
	const struct sched *s = engine_sched(e);
	struct sched_node_view v = {.node = 1};
	struct summary *m = NULL;
	uint64_t own[RESOURCES_MAX] = {0};
	Wire__NodeSet part;

	(void)(sched_node(s, 1, &v) && v.state == WIRE__NODE_SET__STATE__UP &&
	        memcpy(own, v.largest, sizeof(own)));
	for (v.node = 1; sched_node_next(s, v.node, &v);) {
		if (v.state != WIRE__NODE_SET__STATE__UP)
			continue;
		for (uint32_t r = 0; sched_alike(s, 1, v.node) && r < RESOURCES_MAX; r++)
			own[r] = v.largest[r] > own[r] ? v.largest[r] : own[r];
		if (sched_alike(s, 1, v.node))
			continue;
		if (!m && !(m = arena_calloc(a, 1, sizeof(*m))))
			return -1;
		m->a = a;
		put_node(m, e, v.node);
	}
	while (m && !m->failed && m->n > SCHED_CLASSES_MAX)
		fold_one(m);
	for (; m && !m->failed && m->n; fold_one(m)) {
		out->own_largest = needs_of(s, own, true, a, &out->n_own_largest);
		if (!out->own_largest || !tell_classes(s, m, out))
			break;
		part = classes_of(out);
		if (wire__node_set__get_packed_size(&part) <= CLASSES_BYTES)
			return 0;
	}
	*out = without_classes(out);
	return 0;
}

/* Labels, and what may come over the link, are this machine's own. */
static int sum_places(const struct engine *e, struct arena *a, Wire__NodeSet *out)
{
	const uint8_t *bytes;
	Wire__NodeSet *own;
	size_t n, bytes_of = 0;

	if (!engine_node(e, 1, &bytes, &n))
		return 0;
	own = engine_node_open(e, 1, a);
	if (!own)
		return -1;
	out->link = own->link;
	/* Where its tasks would run is not known to the hub if it has nodes of its own: it takes no part in gangs. */
	if (sched_node_next(engine_sched(e), 1, &(struct sched_node_view){0}) == false) {
		out->address = own->address;
		out->port_first = own->port_first;
		out->port_count = own->port_count;
	}
	out->labels = own->labels;
	for (size_t i = 0; i < own->n_labels; i++, out->n_labels++) { /* as many as the offer has room for */
		bytes_of += strlen(own->labels[i]->key) + strlen(own->labels[i]->value) + 16;
		if (bytes_of > LABELS_BYTES_MAX)
			break;
	}
	return sum_classes(e, a, out);
}

int link_sum(const struct engine *e, const char *name, struct arena *a, Wire__NodeSet *out)
{
	const struct sched *s = engine_sched(e);
	uint64_t sum[RESOURCES_MAX] = {0}, most[RESOURCES_MAX] = {0};
	struct sched_node_view v = {0};

	*out = (Wire__NodeSet)WIRE__NODE_SET__INIT;
	while (sched_node_next(s, v.node, &v))
		for (uint32_t r = 0; v.state == WIRE__NODE_SET__STATE__UP && r < RESOURCES_MAX; r++) {
			sum[r] += v.capacity[r];
			most[r] = v.largest[r] > most[r] ? v.largest[r] : most[r];
		}
	out->name = (char *)(uintptr_t)name;
	out->capacity = needs_of(s, sum, true, a, &out->n_capacity);
	out->largest = needs_of(s, most, true, a, &out->n_largest);
	return out->capacity && out->largest ? sum_places(e, a, out) : -1;
}
