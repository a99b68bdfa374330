/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_place - where among the nodes that fit: labels, sets of nodes, and the score of a node for a group.
 *
 * A list of tests on labels is a set of nodes, kept once for all who ask for it. `where` is part of a group's shapes, so that counting
 * and finding what fits knows of it; what is preferred only adds to the score. Scores are in points as the weights of `prefer`
 * are (1/1024 of them here):
 *
 *   prefer   its weight, where its tests hold              near     -10 for each doubling of latency above half a ms, at most -100
 *   spread   -25 for each lease of the group in that place data     +50 times the part of the inputs' bytes that it holds
 *   pack     +30 times the part in use (binpack) or free (balance) of its scarcest resource; -30 n/(n+8) for n leases (spread)
 *   speed    up to +-20: how much less or more time than others it takes for this kind
 *   link     minus its cost for each GiB that must cross it, at most -100; -5 where devices would lie idle
 *
 * Ties: as nodes are filled otherwise (without devices first, by id). While at most EXACT nodes fit, all are weighed; else at most
 * 16 for each thing that attracts (the start of the order, each preference, what is near, each of the four largest inputs' holders),
 * the emptiest by each resource, and 32 taken evenly by chance out of the state: fewer than 250, whatever the size of the
 * pool. Pure, integers only.
 */
#include "core/sched_state.h"

#define EXACT        64u
#define FEW          16u
#define BY_CHANCE    32u
#define CHANCE_STEPS 128u /* in the tree, for each of them */
#define HOLDERS_LOOK 256u
#define POINT        1024

/* ---- labels ---- */

uint64_t label_hash(const char *text)
{
	uint64_t h = 0;

	for (; *text != '\0'; text++)
		h = prng_mix(h, (uint8_t)*text, 13);
	return h | 1;
}

uint64_t label_pair(uint64_t key, const char *value)
{
	return prng_mix(key, label_hash(value), 17) | 1;
}

static bool label_add(struct node *out, const char *key, const char *value)
{
	const uint64_t k = label_hash(key);
	uint32_t i = 0;

	while (i < out->n_labels && out->label[i].key != k)
		i++;
	if (i == NODE_LABELS)
		return false;
	out->label[i] = (struct label){k, label_pair(k, value)};
	out->n_labels += i == out->n_labels;
	return true;
}

bool labels_read(const Wire__NodeSet *n, Wire__Pair *const *own, size_t n_own, struct node *out)
{
	const uint64_t site = label_hash("site");
	bool ok = true;

	out->n_labels = 0;
	for (size_t i = 0; i < n_own; i++)
		ok = label_add(out, own[i]->key, own[i]->value) && ok;
	for (size_t i = 0; i < n->n_admin_labels; i++)
		ok = label_add(out, n->admin_labels[i]->key, n->admin_labels[i]->value) && ok;
	ok = label_add(out, "name", n->name) && ok;
	out->site = 0;
	for (uint32_t i = 0; i < out->n_labels; i++)
		if (out->label[i].key == site)
			out->site = out->label[i].pair;
	return ok;
}

/* ---- sets ---- */

bool set_read(struct set *out, Wire__Match *const *m, size_t n)
{
	if (n > TESTS_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct test *t = &out->test[out->n_tests++];

		*t = (struct test){label_hash(m[i]->key), (uint8_t)m[i]->op, (uint8_t)out->n_values,
		        (uint8_t)m[i]->n_values};
		if (m[i]->n_values > VALUES_MAX - out->n_values)
			return false;
		for (size_t k = 0; k < m[i]->n_values; k++)
			out->value[out->n_values++] = label_pair(t->key, m[i]->values[k]);
	}
	return true;
}

uint64_t sched_label_key(const char *key)
{
	return label_hash(key);
}

uint64_t sched_label(const struct sched *s, uint32_t node, uint64_t key)
{
	const struct node *n = &s->nodes[node];

	for (uint32_t i = 0; i < n->n_labels; i++)
		if (n->label[i].key == key)
			return n->label[i].pair;
	return 0;
}

bool sched_label_any(const struct sched *s, uint64_t key)
{
	for (uint32_t x = 1; x <= s->node_real; x++)
		if (sched_label(s, x, key))
			return true;
	return false;
}

/* Nothing holds of a label of which nothing is known. */
static bool test_meets(const struct set *set, const struct test *t, const struct node *n)
{
	uint32_t i = 0;
	bool in = false;

	while (i < n->n_labels && n->label[i].key != t->key)
		i++;
	for (uint32_t k = 0; i == n->n_labels && k < n->n_folded; k++)
		if (n->folded[k] == t->key)
			return false;
	for (uint32_t k = t->first; k < t->first + t->n && i < n->n_labels; k++)
		in = in || set->value[k] == n->label[i].pair;
	switch ((Wire__Match__Op)t->op) {
	case WIRE__MATCH__OP__IN:
		return in;
	case WIRE__MATCH__OP__NOT_IN:
		return !in;
	case WIRE__MATCH__OP__EXISTS:
		return i < n->n_labels;
	case WIRE__MATCH__OP__ABSENT:
		return i == n->n_labels;
	case _WIRE__MATCH__OP_IS_INT_SIZE:
		break;
	}
	return false;
}

bool set_meets(const struct set *set, const struct node *n)
{
	for (uint32_t i = 0; i < set->n_tests; i++)
		if (!test_meets(set, &set->test[i], n))
			return false;
	return true;
}

static void set_put(struct sched *s, uint32_t set, uint32_t leaf, bool on)
{
	uint64_t *bits = s->set_bits + (size_t)set * s->set_words;

	for (size_t i = s->leaves + (size_t)leaf; i >= 1; i /= 2) {
		bool any = on;

		if (i < s->leaves)
			any = (bits[2 * i / 64] >> (2 * i % 64) & 3) != 0; /* 2i is even: both in one word */
		if ((bits[i / 64] >> (i % 64) & 1) == any)
			return;
		bits[i / 64] ^= 1ull << (i % 64);
	}
}

static void set_note(struct sched *s, uint32_t set, uint32_t leaf, bool on)
{
	if (set_below(s, set, s->leaves + (size_t)leaf) == on)
		return;
	s->sets[set].count += on ? 1 : UINT32_MAX;
	set_put(s, set, leaf, on);
}

void sets_refresh(struct sched *s, uint32_t node, uint32_t old_leaf)
{
	const uint32_t leaf = node_leaf(s, node);

	for (uint32_t x = 1; x <= s->set_top; x++) {
		if (s->sets[x].refs == 0)
			continue;
		if (old_leaf != leaf)
			set_note(s, x, old_leaf, false);
		set_note(s, x, leaf, set_meets(&s->sets[x], &s->nodes[node]));
	}
}

void sets_forget(struct sched *s, uint32_t node)
{
	for (uint32_t x = 1; x <= s->set_top; x++)
		if (s->sets[x].refs != 0)
			set_note(s, x, node_leaf(s, node), false);
}

static bool set_same(const struct set *a, const struct set *b)
{
	if (a->n_tests != b->n_tests || a->n_values != b->n_values)
		return false;
	for (uint32_t i = 0; i < a->n_tests; i++)
		if (a->test[i].key != b->test[i].key || a->test[i].op != b->test[i].op ||
		        a->test[i].n != b->test[i].n)
			return false;
	return memcmp(a->value, b->value, a->n_values * sizeof(*a->value)) == 0;
}

static uint32_t *set_chain_of(struct sched *s, const struct set *set)
{
	uint64_t h = set->n_tests;

	for (uint32_t i = 0; i < set->n_tests; i++)
		h = prng_mix(h, set->test[i].key, set->test[i].op);
	for (uint32_t i = 0; i < set->n_values; i++)
		h = prng_mix(h, set->value[i], 1);
	return &s->set_chain[(h >> 20) & s->set_chain_mask];
}

uint32_t set_take(struct sched *s, Wire__Match *const *m, size_t n)
{
	struct set in = {.refs = 1};
	uint32_t *chain, x;

	if (n == 0 || !set_read(&in, m, n))
		return 0;
	chain = set_chain_of(s, &in);
	for (x = *chain; x != 0; x = s->sets[x].next)
		if (set_same(&s->sets[x], &in)) {
			s->sets[x].refs++;
			return x;
		}
	x = s->set_free;
	if (x != 0)
		s->set_free = s->sets[x].next;
	else if (s->set_top < s->sets_max)
		x = ++s->set_top;
	else
		return 0;
	in.next = *chain;
	*chain = x;
	s->sets[x] = in;
	s->n_sets++;
	for (uint32_t k = 1; k <= s->node_top; k++)
		if (s->nodes[k].known)
			set_note(s, x, node_leaf(s, k), set_meets(&in, &s->nodes[k]));
	return x;
}

/* Clear its bits: only where there are some. */
static void set_empty(struct sched *s, uint32_t set)
{
	for (uint32_t k = 1; k <= s->node_top && s->sets[set].count > 0; k++)
		if (s->nodes[k].known)
			set_note(s, set, node_leaf(s, k), false);
	CHECK(s->sets[set].count == 0);
}

void set_drop(struct sched *s, uint32_t set)
{
	struct set *p = &s->sets[set];
	uint32_t *at;

	CHECK(set != 0 && p->refs > 0);
	if (--p->refs > 0)
		return;
	for (at = set_chain_of(s, p); *at != set; at = &s->sets[*at].next)
		CHECK(*at != 0);
	*at = p->next;
	set_empty(s, set);
	*p = (struct set){.next = s->set_free};
	s->set_free = set;
	s->n_sets--;
}

/* The first leaf of the set that is not before `from`; NONE: none. */
uint32_t set_next(const struct sched *s, uint32_t set, uint32_t from)
{
	size_t i = s->leaves + (size_t)from;

	if (from >= s->leaves)
		return NONE;
	for (;;) {
		if (set_below(s, set, i)) {
			if (i >= s->leaves)
				return (uint32_t)(i - s->leaves);
			i *= 2;
			continue;
		}
		while ((i & 1) != 0)
			i /= 2;
		if (i == 0)
			return NONE;
		i++;
	}
}

/* ---- wishes ---- */

uint64_t sched_blob(const uint8_t *sha256)
{
	uint64_t v = 0;

	for (uint32_t i = 0; i < 8; i++)
		v = v << 8 | sha256[i];
	return v | 1;
}

/* The largest inputs, each once, and what stands for all others together. */
static void wish_inputs(struct wish *w, const struct sched_wish *in)
{
	uint64_t rest = 0, rest_bytes = 0;

	for (uint32_t i = 0; i < in->n_inputs; i++) {
		uint64_t blob = in->inputs[i].blob, bytes = in->inputs[i].bytes;
		uint32_t at = w->n_blobs, k = 0;

		while (k < w->n_blobs && w->blob[k] != blob)
			k++;
		if (k < w->n_blobs || bytes == 0)
			continue;
		while (at > 0 &&
		        (w->bytes[at - 1] < bytes || (w->bytes[at - 1] == bytes && w->blob[at - 1] > blob)))
			at--;
		if (w->n_blobs == BLOBS - 1) {
			const uint64_t out = at == BLOBS - 1 ? blob : w->blob[BLOBS - 2];

			rest_bytes += at == BLOBS - 1 ? bytes : w->bytes[BLOBS - 2];
			rest += prng_mix(out, 19, 23); /* a sum: in whichever order they came */
			if (at == BLOBS - 1)
				continue;
			w->n_blobs--;
		}
		memmove(&w->blob[at + 1], &w->blob[at], (w->n_blobs - at) * sizeof(*w->blob));
		memmove(&w->bytes[at + 1], &w->bytes[at], (w->n_blobs - at) * sizeof(*w->bytes));
		w->blob[at] = blob;
		w->bytes[at] = bytes;
		w->n_blobs++;
	}
	if (rest_bytes > 0) {
		w->blob[w->n_blobs] = rest | 1;
		w->bytes[w->n_blobs++] = rest_bytes;
	}
	for (uint32_t i = 0; i < w->n_blobs; i++)
		w->total += w->bytes[i];
}

static bool wish_place(struct sched *s, struct wish *w, const struct sched_wish *in)
{
	const Wire__Place *p = in->place;
	char *origin = (char *)(uintptr_t)in->origin;
	Wire__Match here = WIRE__MATCH__INIT, *at = &here;

	if (p->n_where > 0 && (w->where = set_take(s, p->where, p->n_where)) == 0)
		return false;
	for (size_t i = 0; i < p->n_prefer; i++) {
		if (i == PLACE_PREFERS_MAX)
			return false;
		w->weight[i] = p->prefer[i]->weight;
		w->prefer[i] = set_take(s, p->prefer[i]->all, p->prefer[i]->n_all);
		if (w->prefer[i] == 0)
			return false;
		w->n_prefer++;
	}
	here.key = (char *)(uintptr_t) "name";
	here.values = &origin;
	here.n_values = 1;
	at = p->near ? p->near : p->near_submitter && origin && origin[0] != '\0' ? &here : NULL;
	if (at != NULL && (w->near = set_take(s, &at, 1)) == 0)
		return false;
	w->spread = p->spread[0] != '\0' ? label_hash(p->spread) : 0;
	w->any_data = p->any_data;
	return true;
}

int sched_group_wish(struct sched *s, uint32_t group, const struct sched_wish *in)
{
	struct group *g = &s->groups[group];
	struct wish *w = &s->wishes[group];

	CHECK(group != 0 && group <= s->groups_top && !g->in && !g->wishes && g->n_leases == 0);
	*w = (struct wish){.pack = (uint8_t)in->pack};
	wish_inputs(w, in);
	g->wishes = true;
	if (in->place != NULL && !wish_place(s, w, in))
		return -1; /* the job goes, and this with it */
	for (uint32_t v = 0; w->where != 0 && v < g->n_variants; v++) {
		const uint32_t old = g->v[v].shape;
		uint64_t need[VEC] = {0};
		uint32_t x;

		for (uint32_t i = 0; i < s->shapes[old].n_lanes; i++)
			need[s->shapes[old].lane[i]] = s->shapes[old].need[i];
		x = shape_take(s, need, w->where);
		if (x == 0)
			return -1;
		g->v[v].shape = x;
		shape_drop(s, old);
	}
	w->any = w->pack != 0 || w->n_prefer > 0 || w->near != 0 || w->spread != 0 ||
	         (w->n_blobs > 0 && !w->any_data);
	g->wishes = w->any || w->where != 0 || w->n_blobs > 0;
	return 0;
}

void wish_drop(struct sched *s, uint32_t group)
{
	struct wish *w = &s->wishes[group];

	if (!s->groups[group].wishes)
		return;
	if (w->where != 0)
		set_drop(s, w->where);
	if (w->near != 0)
		set_drop(s, w->near);
	for (uint32_t i = 0; i < w->n_prefer; i++)
		set_drop(s, w->prefer[i]);
	*w = (struct wish){0};
	s->groups[group].wishes = false;
}

static int matches_ok(Wire__Match *const *m, size_t n, struct err *e)
{
	size_t values = 0;

	if (n > PLACE_MATCHES_MAX)
		return err_set(e, ERR_INVALID, "%zu conditions on labels are too many (at most %u)", n,
		        PLACE_MATCHES_MAX);
	for (size_t i = 0; i < n; i++) {
		const bool listed = m[i]->op == WIRE__MATCH__OP__IN || m[i]->op == WIRE__MATCH__OP__NOT_IN;

		values += m[i]->n_values;
		if ((unsigned)m[i]->op > WIRE__MATCH__OP__ABSENT || listed != (m[i]->n_values > 0))
			return err_set(
			        e, ERR_INVALID, "a condition on the label '%.40s' makes no sense", m[i]->key);
	}
	if (values > PLACE_VALUES_MAX)
		return err_set(e, ERR_INVALID,
		        "%zu values of labels are too many in one condition (at most %u)", values,
		        PLACE_VALUES_MAX);
	return 0;
}

int sched_wish_ok(const struct sched *s, const Wire__Place *const *places, size_t n, struct err *e)
{
	uint64_t sets = 0;

	for (size_t i = 0; i < n; i++) {
		const Wire__Place *p = places[i];

		if (p == NULL)
			continue;
		if (p->n_prefer > PLACE_PREFERS_MAX)
			return err_set(e, ERR_INVALID, "%zu preferences are too many (at most %u)",
			        p->n_prefer, PLACE_PREFERS_MAX);
		if (matches_ok(p->where, p->n_where, e) < 0 || (p->near && matches_ok(&p->near, 1, e) < 0))
			return -1;
		for (size_t k = 0; k < p->n_prefer; k++) {
			if (matches_ok(p->prefer[k]->all, p->prefer[k]->n_all, e) < 0)
				return -1;
			if (p->prefer[k]->n_all == 0 || p->prefer[k]->weight > PLACE_WEIGHT_MAX ||
			        p->prefer[k]->weight < -PLACE_WEIGHT_MAX)
				return err_set(e, ERR_INVALID, "a preference makes no sense");
		}
		sets += (p->n_where > 0) + p->n_prefer + (p->near || p->near_submitter);
	}
	if (s->n_sets + sets > s->sets_max)
		return err_set(e, ERR_FULL,
		        "unfinished jobs ask for %u different sets of nodes; %u is the most", s->n_sets,
		        s->sets_max);
	return 0;
}

uint32_t sched_where_count(const struct sched *s, const Wire__Place *place)
{
	struct set set = {0};
	uint32_t n = 0;

	if (place != NULL && !set_read(&set, place->where, place->n_where))
		return 0;
	for (uint32_t x = 1; x <= s->node_real; x++) {
		uint32_t at = s->nodes[x].known ? x : 0;

		while (at != 0 && !set_meets(&set, &s->nodes[at]))
			at = place_next(s, x, at);
		n += at != 0;
	}
	return n;
}

/* ---- how leases of a group are spread ---- */

/* Nodes without the label are one place. */
static uint64_t spread_key(const struct sched *s, uint32_t group, uint32_t node)
{
	const struct node *n = &s->nodes[node];
	uint64_t place = 0;

	for (uint32_t i = 0; i < n->n_labels; i++)
		if (n->label[i].key == s->wishes[group].spread)
			place = n->label[i].pair;
	return prng_mix(group, place, 29) | 1;
}

void spread_count(struct sched *s, uint32_t lease, int sign)
{
	const struct lease *l = &s->leases[lease];
	uint64_t key;
	uint32_t n;

	if (!s->groups[l->group].wishes || s->wishes[l->group].spread == 0)
		return;
	key = spread_key(s, l->group, l->node);
	n = map_get(&s->spreads, key);
	CHECK(sign > 0 || n > 0);
	if (n == 1 && sign < 0)
		map_del(&s->spreads, key);
	else
		map_put(&s->spreads, key, sign > 0 ? n + 1 : n - 1);
}

/* ---- the score ---- */

/* The part of the scarcest resource that is in use, in 1/1024. */
static int64_t part_used(const struct sched *s, const struct shape *sh, uint32_t node)
{
	const struct node *n = &s->nodes[node];
	int64_t most = 0;

	for (uint32_t i = 1; i < sh->n_lanes; i++) {
		const uint64_t cap = n->cap[sh->lane[i]];
		const int64_t used = (int64_t)cap - n->free[sh->lane[i]];
		int64_t part = cap == 0 || used <= 0 ? 0 : (int64_t)((__int128)used * 1024 / (int64_t)cap);

		most = part > most ? part : most;
	}
	return most < 1024 ? most : 1024;
}

static int64_t packing(const struct sched *s, const struct wish *w, const struct shape *sh, uint32_t node)
{
	const int64_t n = s->nodes[node].n_leases;

	switch ((Wire__JobSpec__Pack)w->pack) {
	case WIRE__JOB_SPEC__PACK__BINPACK:
		return 30 * part_used(s, sh, node);
	case WIRE__JOB_SPEC__PACK__BALANCE:
		return 30 * (1024 - part_used(s, sh, node));
	case WIRE__JOB_SPEC__PACK__SPREAD:
		return -30 * POINT * n / (n + 8);
	case WIRE__JOB_SPEC__PACK__FIRST:
	case _WIRE__JOB_SPEC__PACK_IS_INT_SIZE:
		break;
	}
	return 0;
}

static int64_t of_data(const struct sched *s, const struct wish *w, uint32_t place)
{
	const uint32_t node = s->nodes[place].owner;
	const uint32_t cost = s->nodes[node].link.cost;
	const uint64_t missing = wish_missing(s, w, node);
	unsigned __int128 price = (unsigned __int128)missing * cost * POINT >> 30;
	int64_t score = 0;

	if (!w->any_data)
		score = (int64_t)((unsigned __int128)(w->total - missing) * 50 * POINT / w->total);
	return score - (int64_t)(price < 100 * POINT ? price : 100 * POINT);
}

int64_t place_score(const struct sched *s, uint32_t group, uint32_t variant, uint32_t node)
{
	const struct group *g = &s->groups[group];
	const struct wish *w = &s->wishes[group];
	const size_t at = s->leaves + (size_t)node_leaf(s, node);
	const int64_t f = speed_of(s, g->v[variant].kind, s->nodes[node].owner) & ~63u;
	int64_t score = 0;
	uint32_t asked = 0;

	for (uint32_t i = 0; i < w->n_prefer; i++)
		score += set_below(s, w->prefer[i], at) ? (int64_t)w->weight[i] * POINT : 0;
	if (w->near != 0)
		score -= set_distance(s, w->near, node).cost * POINT;
	if (w->spread != 0)
		score -= 25 * POINT * (int64_t)map_get(&s->spreads, spread_key(s, group, node));
	if (w->total > 0)
		score += of_data(s, w, node);
	score += packing(s, w, &s->shapes[g->v[variant].shape], node);
	score += 20 * (SPEED_ONE - f) * POINT / (f > SPEED_ONE ? f : SPEED_ONE);
	for (uint32_t i = 0; i < g->v[variant].n; i++)
		asked |= 1u << g->v[variant].lane[i];
	if (s->nodes[node].n_dev > 0 && (s->nodes[node].dev_lanes & asked) == 0)
		score -= 5 * POINT;
	return score;
}

/* ---- choosing ---- */

struct choice {
	const struct sched *s;
	uint64_t now_ns;
	uint32_t group, variant, shape, skip, best;
	int64_t score;
};

static void weigh(struct choice *c, uint32_t node)
{
	int64_t score;

	if (node == 0 || node == c->skip || node == c->best || !group_may(c->s, c->group, node, c->now_ns))
		return;
	score = place_score(c->s, c->group, c->variant, node);
	if (c->best != 0 &&
	        (score < c->score || (score == c->score && node_leaf(c->s, node) > node_leaf(c->s, c->best))))
		return;
	c->best = node;
	c->score = score;
}

/* The first `most` that fit, in a set. */
static void weigh_in(struct choice *c, uint32_t set, uint32_t from, uint32_t most)
{
	uint32_t node = shape_find_in(c->s, c->shape, from, set);

	for (uint32_t k = 0; k < most && node != 0; k++) {
		weigh(c, node);
		node = shape_find_in(c->s, c->shape, node_leaf(c->s, node) + 1, set);
	}
}

static bool fits_now(const struct choice *c, uint32_t node)
{
	return shape_in(&c->s->shapes[c->shape], node_eff(c->s, node)) && shape_able(c->s, c->shape, node);
}

static void weigh_holders(struct choice *c, uint64_t blob)
{
	uint32_t node = held_next(c->s, blob, 0), fit = 0;

	for (uint32_t k = 0; k < HOLDERS_LOOK && fit < FEW && node != 0; k++) {
		for (uint32_t x = node; x != 0; x = place_next(c->s, node, x))
			if (fits_now(c, x)) {
				weigh(c, x);
				fit++;
			}
		node = held_next(c->s, blob, node);
	}
}

uint32_t place_best(const struct sched *s, uint32_t group, uint32_t variant, uint32_t skip, uint64_t now_ns)
{
	struct choice c = {.s = s,
	        .now_ns = now_ns,
	        .group = group,
	        .variant = variant,
	        .shape = s->groups[group].v[variant].shape,
	        .skip = skip};
	const struct wish *w = &s->wishes[group];
	const uint64_t seed = prng_mix(s->jobs[s->groups[group].job].id, s->groups[group].step, s->turn);
	uint32_t likely;

	if (s->shapes[c.shape].n_fit <= EXACT) {
		weigh_in(&c, 0, 0, s->shapes[c.shape].n_fit);
		return c.best;
	}
	weigh_in(&c, 0, 0, FEW);
	for (uint32_t i = 0; i < w->n_prefer; i++)
		if (w->weight[i] > 0)
			weigh_in(&c, w->prefer[i], 0, FEW);
	if (w->near != 0)
		weigh_in(&c, w->near, 0, FEW);
	for (uint32_t i = 0; i < w->n_blobs && !w->any_data; i++)
		weigh_holders(&c, w->blob[i]);
	likely = shape_likely(s, c.shape);
	if (likely != 0 && fits_now(&c, likely))
		weigh(&c, likely);
	for (uint32_t i = 0; i < BY_CHANCE; i++)
		weigh(&c,
		        shape_try(s, c.shape, (uint32_t)(prng_mix(seed, i, 31) % s->node_top), CHANCE_STEPS));
	/* None of these may be taken (they are avoided, or their links used up): as without wishes. */
	if (c.best == 0)
		weigh_in(&c, 0, 0, NONE);
	return c.best;
}
