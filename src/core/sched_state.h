/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_state - what the scheduler's own files share. Nobody else includes it.
 *
 * Everything lives in tables carved out of one region; an element is named by its slot, from 1 (0: none). Slots follow
 * from history and never decide an order. Three ideas keep a pick at O(log n):
 *
 *  shape   the needs of a variant and the set of nodes that it may go to, each distinct pair once. Every shape knows on how many nodes it fits now
 *          (n_fit) and in principle (n_able), and a place before which it fits nowhere (first). When a node changes,
 *          only the shapes whose need lies between its old and new amount are looked at (`sorted`, by resource).
 *  order   a treap over slots in which every element carries the set of shapes waiting below it (256 bits, shape slot
 *          modulo 256: exact up to 255 shapes, a filter above), so that "the first that could be placed" is a descent.
 *          Namespaces by usage / their jobs by turn / a job's groups by turn.
 *  leaf    a place in the segment tree over nodes: maximum of each resource. Nodes with devices lie behind the others.
 *
 *  place   nodes below a node that has joined, those with the same labels together, are a place of their own (sched_class.c): an
 *          element of the same table, behind the nodes, whose `owner` is that node. Others see the owner alone.
 *
 * A vector has VEC lanes: lane 0 is 2 when it is up, 1 when it pauses (batch needs 2, realtime 1), lane 1+r is resource r.
 */
#ifndef OSIER_CORE_SCHED_STATE_H
#define OSIER_CORE_SCHED_STATE_H

#include "base/check.h"
#include "base/prng.h"
#include "core/sched.h"

#define VEC            (RESOURCES_MAX + 1)
#define NONE           UINT32_MAX
#define BITS_W         4u
#define BITS           (BITS_W * 64u)
#define NAME_BYTES     64u
#define BUCKETS        148u /* four to each doubling of microseconds, up to 2^37 us */
#define HALF_LIFE_NS   (3600ull * 1000000000ull)
#define BACKFILL_DEPTH 16u           /* groups that a pick tries on the reserved node */
#define LEASES_SORTED  512u          /* of a node's leases, those that a reservation looks ahead to */
#define PREEMPT_GROUPS 8u            /* realtime groups that a pick tries to make room for */
#define PREEMPT_NODES  32u           /* nodes whose leases a pick weighs for that */
#define UNKNOWN_RUN_NS 1000000000ull /* charged at first when nothing is known of a run time */
#define TESTS_MAX      PLACE_MATCHES_MAX
#define VALUES_MAX     PLACE_VALUES_MAX
#define NODE_LABELS    64u /* with those that follow from the node itself */
#define LATENCIES      16u
#define HELD           64u /* blobs that one node is known to hold */
#define BLOBS          4u  /* of a group: its largest inputs; the last one stands for all others together */
#define SPEED_ONE      1024u
#define THIS_NODE      1u /* where inputs are submitted: it holds them all, and nothing crosses a link to it */

struct bits {
	uint64_t w[BITS_W];
};

/* ---- order: sched_tree.c ---- */

struct tnode {
	uint32_t kid[2];
	uint32_t prio;
	struct bits own, all; /* of the element; of its subtree */
};
struct order {
	struct tnode *t; /* by slot */
	/* Total order of two slots, as their elements stand. */
	int (*cmp)(const struct sched *s, uint32_t a, uint32_t b);
};
void order_insert(
        const struct sched *s, const struct order *o, uint32_t *root, uint32_t x, const struct bits *own);
void order_remove(const struct sched *s, const struct order *o, uint32_t *root, uint32_t x);
/* The element's own bits changed and nothing else did. */
void order_recolour(
        const struct sched *s, const struct order *o, uint32_t root, uint32_t x, const struct bits *own);
uint32_t order_first(const struct order *o, uint32_t root);
/* CHECK order, heap and colours; returns the number of elements. */
uint32_t order_check(const struct sched *s, const struct order *o, uint32_t root);

struct map_cell {
	uint64_t key;
	uint32_t val;
};
/* From 64-bit keys (not 0) to numbers; open addressing, at most half full. The table of 2^k cells lies at cell 2^k, and grows into the
 * next one's place: so a map for millions touches memory for what it has held at one time, not for every id that came by. */
struct map {
	struct map_cell *c; /* of the table in use */
	struct map_cell *all;
	uint32_t mask, n;
	uint32_t cells_max; /* of the largest table */
};
uint32_t map_get(const struct map *m, uint64_t key); /* 0: not there */
void map_put(struct map *m, uint64_t key, uint32_t val);
void map_del(struct map *m, uint64_t key);

/* ---- the tables ---- */

/* A set of nodes: those whose labels meet some tests. Two groups that ask for the same share one. */
struct test {
	uint64_t key;
	uint8_t op, first, n; /* Wire__Match__Op; of value[] */
};
struct set {
	uint32_t refs, count; /* how many nodes are in it, whatever their state */
	uint32_t next;        /* in its hash chain, or of the free ones */
	uint32_t n_tests, n_values;
	struct test test[TESTS_MAX];
	uint64_t value[VALUES_MAX]; /* hashes of key and value */
};
/* What a group asks for beyond what it needs. `any` is false: nothing, and nodes are filled first-fit. */
struct wish {
	bool any, any_data;
	uint8_t pack, n_prefer, n_blobs;
	uint32_t where, near, prefer[PLACE_PREFERS_MAX]; /* sets */
	int32_t weight[PLACE_PREFERS_MAX];
	uint64_t spread; /* hash of a label's key */
	uint64_t blob[BLOBS], bytes[BLOBS], total;
};
struct label {
	uint64_t key, pair;
};
struct latency {
	uint64_t to; /* a site's label_pair(), or latency_to_node() */
	uint64_t us;
};
struct held {
	uint64_t blob, stamp; /* 0: free; the least stamp goes first */
	uint32_t next;        /* of those with its hash, by (blob, node); a cell's number plus 1 */
};
/* What came over a node's link, and may. */
struct link_use {
	uint64_t bytes, per_ns; /* bytes 0: no limit */
	uint32_t from_min, to_min, cost;
	uint64_t window, used; /* window: time / per_ns */
};
/* A task that failed on these nodes: it goes to others. */
struct avoid {
	uint64_t key, unit;
	uint32_t group;
	uint32_t kin_prev, kin_next; /* of its group */
	uint32_t newer, older;       /* newer: also of the free ones */
	uint32_t n, node[FAILED_ON_MAX];
};
/* How fast a node is with one kind, in 1/1024 of the kind's median time. */
struct speed {
	uint64_t key, kind;
	uint32_t node, factor, n;
	uint32_t newer, older;
};

struct shape {
	uint32_t n_lanes, refs;
	uint32_t where; /* a set that the node must be in; 0 none */
	uint8_t lane[VEC];
	uint64_t need[VEC]; /* by position in lane[] */
	uint32_t n_fit, n_able;
	uint32_t first; /* leaf: it fits on none before; NONE when n_fit is 0 */
	uint32_t next;  /* in its hash chain, or of the free ones */
};
struct sorted_cell {
	uint64_t need;
	uint32_t shape;
};

struct device {
	uint32_t index;
	uint16_t cap;
	uint8_t lane;
};
/* Nodes below `owner` that are alike, as they were told. */
struct class_of {
	uint32_t owner;
	uint64_t key; /* a hash of its labels */
	uint32_t n_labels, n_folded;
	uint64_t site;
	uint64_t cap[VEC], largest[VEC];
	uint64_t folded[SCHED_FOLDED_MAX];
	struct label label[NODE_LABELS];
};
struct node {
	uint32_t owner;         /* itself, or the node that the place lies below */
	uint32_t first_class;   /* its first place of that kind, 0 none */
	uint64_t class_;        /* of such a place: struct class_of, key */
	const uint64_t *folded; /* keys of which nothing is known */
	uint32_t n_folded;
	bool known, gone; /* gone: it was removed; its number is kept while leases and history name it */
	bool reached;     /* others know how to reach it */
	Wire__NodeSet__State state;
	uint32_t dev_lanes; /* bit by lane */
	uint32_t n_dev;
	uint32_t leases, n_leases; /* a list through ends[] */
	int64_t free[VEC];
	uint64_t cap[VEC];
	uint64_t largest[VEC]; /* most of it that one task can have: a child's capacity is a sum */
	char name[NAME_BYTES];
	uint32_t n_labels, n_latency, speed;
	uint64_t site;       /* hash of its label "site", 0 none */
	struct label *label; /* NODE_LABELS, LATENCIES: apart, so that nodes lie close together */
	struct latency *latency;
	struct link_use link;
	/* Failures of different tasks in a row: see sched_trouble.c. */
	uint32_t points, pauses;
	uint64_t bad_job, bad_unit, paused_until_ns;
};

#define NS_BYTES (NAME_BYTES + 8u) /* of a hub's jobs there is "NAME@hub" beside NAME */

struct nspace {
	char name[NS_BYTES];
	uint32_t weight;
	bool limited, in_fair, in_starve;
	uint64_t quota[VEC], used[VEC]; /* quota: what counts, of the three below; UINT64_MAX: none */
	uint64_t own[VEC], lent[VEC];
	uint64_t uncapped[VEC]; /* how much less than UINT64_MAX the hub allows: 0 no limit of its */
	struct bits allow;      /* shapes that its quota allows now (at least those) */
	uint64_t usage, share;  /* inflated; share = usage / weight */
	uint32_t jobs_root, starve_root;
	uint64_t starve_ns; /* key in s->ns_starve */
};

struct job {
	uint64_t id;
	uint32_t ns, priority, concurrency, n_leases;
	bool realtime, in;
	uint64_t deadline_ns, last_ns, turn; /* last served; turn 0: never */
	uint32_t groups_root, groups;        /* those ready, in order; all, a list */
	/* Keys while `in`. */
	uint64_t k_deadline, k_starve;
	int64_t k_age;
};

struct variant {
	uint32_t shape, n;
	uint8_t lane[RESOURCES_MAX]; /* in the order of the needs */
	uint64_t amount[RESOURCES_MAX];
	uint64_t kind;
};
struct group {
	uint32_t job, step, n_variants, n_leases;
	uint32_t next;   /* of the job's groups, or free */
	uint32_t avoids; /* a list */
	bool in, filtered, wishes;
	bool apart;    /* of a gang: no two members on one node */
	uint32_t gang; /* so many leases at once: see sched_gang.c; 0: one by one */
	uint32_t slack;
	uint64_t same; /* hash of a label's key, 0 none */
	uint64_t slice_max, n_ready, since_ns, last_ns, turn;
	uint64_t k_wait; /* group_wait() and what slack adds */
	struct variant v[VARIANTS_MAX];
};

struct lease {
	uint64_t id, class_;  /* class_: where it counts when the node has it */
	uint32_t group, node; /* node: the place */
	uint8_t variant, n_dev;
	bool stopping;
	uint32_t stop_prev, stop_next; /* stop_next: also of the free ones */
	uint64_t granted_ns;
	uint64_t charge; /* inflated, to be corrected at the end */
	uint64_t rate;
};

/* A lease among those of its node: apart from struct lease, because walking the list touches little. */
struct ending {
	uint64_t end_ns, id; /* expected end; 0: being stopped; UINT64_MAX: unknown */
	uint32_t prev, next;
};

struct kind {
	uint64_t key;
	uint32_t newer, older; /* by last use */
	uint32_t total;
	uint32_t count[BUCKETS];
};

struct sched {
	struct sched_limits lim;
	uint32_t n_lanes; /* lanes in use: 1 + resources */
	char lane_name[VEC][32];

	struct node *nodes;  /* by id */
	struct device *devs; /* DEVICES_PER_NODE_MAX each */
	uint32_t *dev_used;  /* the same */
	/* Of what a need is held against now (0 when not up), and with nothing leased: maxima, root 1, leaves from
	 * `leaves`. `stride` amounts each, 8 until there are more lanes: one cache line. */
	uint64_t *tree, *able_tree;
	uint32_t stride;
	uint32_t leaves, half;    /* leaf of node id: id - 1, plus half when it has devices */
	uint32_t node_top, n_up;  /* highest id known, with places */
	uint32_t node_real;       /* without */
	struct class_of *classes; /* by owner, in the order in which it told them */
	uint32_t n_classes;
	uint64_t eff_total[VEC], cap_total[VEC];

	struct shape *shapes;
	uint32_t *shape_chain;
	uint32_t shapes_max, shape_chain_mask, shape_top, shape_free, n_shapes;
	struct sorted_cell *sorted[VEC];
	uint32_t n_sorted[VEC];
	uint32_t fit_refs[BITS], able_refs[BITS]; /* shapes of that bit with n_fit, n_able > 0 */
	struct bits fit, able;

	struct nspace *ns;
	uint32_t n_ns;
	struct map ns_map;
	struct order ns_fair, ns_starve;
	uint32_t fair_root, starve_root;
	uint64_t fair_epoch_ns;

	struct job *jobs;
	uint32_t jobs_top, jobs_free, n_jobs;
	struct map job_map;
	struct order job_order, job_starve;
	uint32_t rt_root;
	uint64_t turn;

	struct group *groups;
	uint32_t groups_top, groups_free, n_groups;
	struct order group_order;

	struct lease *leases;
	uint16_t *lease_devs; /* DEVICES_PER_LEASE_MAX each: indexes */
	uint32_t leases_top, leases_free, n_leases, stopping;
	struct map lease_map;
	struct ending *ends; /* by lease slot */

	struct kind *kinds;
	uint32_t kinds_top, kind_newest, kind_oldest, n_kinds;
	struct map kind_map;

	struct label *labels;
	struct latency *latencies;
	struct set *sets;
	uint32_t *set_chain;
	uint64_t *set_bits; /* of each: the nodes of the tree below which there is one of its own */
	uint32_t sets_max, set_chain_mask, set_words, set_top, set_free, n_sets;
	struct wish *wishes; /* by group */
	struct map spreads;  /* leases of a group by place: see spread_key() */
	struct held *held;   /* HELD each */
	uint32_t *held_chain, held_chain_mask;
	uint64_t held_clock;
	uint32_t n_links, n_paused,
	        n_suspects; /* nodes with a limit on their link; paused; that may have to be */
	struct avoid *avoids;
	struct map avoid_map;
	uint32_t avoids_max, avoids_top, avoids_free, avoid_newest, avoid_oldest;
	struct speed *speeds;
	struct map speed_map;
	uint32_t speeds_max, speeds_top, speed_newest, speed_oldest;
	uint64_t crossing_ready; /* groups that are ready and have inputs */

	uint64_t groups_ready, tasks_ready;

	sched_may *may; /* of groups that are filtered */
	const void *may_ctx;
};

/* ---- what a group asks for beyond its needs: sched_place.c ---- */

uint64_t label_hash(const char *text);                /* never 0 */
uint64_t label_pair(uint64_t key, const char *value); /* never 0 */
/* Read the labels of a node, or of a class below it (`own`: what it says itself); false when there are too many. */
bool labels_read(const Wire__NodeSet *n, Wire__Pair *const *own, size_t n_own, struct node *out);
/* The node's labels changed, or its leaf: bring the sets up to date. The node is clear (node_clear()). */
void sets_refresh(struct sched *s, uint32_t node, uint32_t old_leaf);
void sets_forget(struct sched *s, uint32_t node); /* it is in none from now on */
/* The set of nodes that meet all of these, one reference more; 0 when full or when there are too many of them. */
uint32_t set_take(struct sched *s, Wire__Match *const *m, size_t n);
void set_drop(struct sched *s, uint32_t set);
/* Fill in the tests alone. False: too many. */
bool set_read(struct set *out, Wire__Match *const *m, size_t n);
bool set_meets(const struct set *set, const struct node *n);
uint32_t set_next(
        const struct sched *s, uint32_t set, uint32_t from); /* the first leaf in it from there on, or NONE */
/* Is there one of the set below this element of the tree? Set 0 has them all. */
static inline bool set_below(const struct sched *s, uint32_t set, size_t i)
{
	return set == 0 || (s->set_bits[(size_t)set * s->set_words + i / 64] >> (i % 64) & 1) != 0;
}
/* The score of a node for the group: more is better. */
int64_t place_score(const struct sched *s, uint32_t group, uint32_t variant, uint32_t node);

/* ---- how far nodes are from each other: sched_near.c ---- */

struct distance {
	enum near_how how;
	uint32_t node; /* from which one */
	uint64_t us;
	int64_t cost; /* points: 0 to 100 */
};
uint64_t latency_to_node(uint32_t node);
/* Of two places; what is below a node is as far as the node, but for its site. */
struct distance node_distance(const struct sched *s, uint32_t place, uint32_t to_place);
/* From the nearest of the set; of what a place asks for, which nobody may have submitted. */
struct distance set_distance(const struct sched *s, uint32_t near, uint32_t node);
struct distance place_distance(const struct sched *s, const Wire__Place *place, uint32_t node);
/* The node was removed: its number may be another one's later. */
void latency_forget(struct sched *s, uint32_t node);
/* The best node that the variant fits on now, but `skip`; 0 none. */
uint32_t place_best(const struct sched *s, uint32_t group, uint32_t variant, uint32_t skip, uint64_t now_ns);
void spread_count(struct sched *s, uint32_t lease, int sign);
void wish_drop(struct sched *s, uint32_t group);

/* ---- inputs and links: sched_data.c ---- */

void held_clear(struct sched *s, uint32_t node);
void held_add(struct sched *s, uint32_t node, uint64_t blob);
bool held_has(const struct sched *s, uint32_t node, uint64_t blob);
/* The first node after `after`, by number, that is known to hold the blob; 0 none. */
uint32_t held_next(const struct sched *s, uint64_t blob, uint32_t after);
/* Of the group's inputs, the bytes that the node does not hold. */
uint64_t wish_missing(const struct sched *s, const struct wish *w, uint32_t node);
/* May so much come over the node's link now? */
bool link_may(const struct link_use *l, uint64_t bytes, uint64_t now_ns);
uint64_t link_left(const struct link_use *l, uint64_t now_ns);
/* When link_may() may say something else, later than now_ns. */
uint64_t link_wake_ns(const struct link_use *l, uint64_t now_ns);
/* A lease was granted: its inputs cross. */
void link_take(struct sched *s, uint32_t group, uint32_t node, uint64_t now_ns);

/* ---- failures, and how fast nodes are: sched_trouble.c, sched_learn.c ---- */

void avoids_drop(struct sched *s, uint32_t group);
void avoid_node(struct sched *s, uint32_t group, uint64_t unit, uint32_t node);
void node_pause(struct sched *s, uint32_t node, uint64_t until_ns);
uint64_t pause_wake_ns(const struct sched *s);
/* As it was saved. */
struct trouble {
	uint64_t points, pauses, bad_job, bad_unit, paused_until_ns;
};
void trouble_load(struct sched *s, uint32_t node, const struct trouble *t);
/* The node's blobs, the one named longest ago first; returns how many. */
uint32_t held_list(const struct sched *s, uint32_t node, uint64_t out[HELD]);
uint64_t speed_scaled(const struct sched *s, uint64_t kind, uint32_t node, uint64_t ns);
uint32_t speed_of(const struct sched *s, uint64_t kind, uint32_t node); /* SPEED_ONE: as the median */
void speed_put(struct sched *s, uint64_t kind, uint32_t node, uint32_t factor, uint32_t n);

/* ---- classes of the nodes below a node: sched_class.c ---- */

/* Before the node changes, and after: its places, and those of others when they move, are taken up and put down again. While they are up
 * all that the node holds is its own. */
void classes_lift(struct sched *s, const Wire__NodeSet *n);
void classes_land(struct sched *s, const Wire__NodeSet *n);
int classes_ok(const struct sched *s, const Wire__NodeSet *n, struct err *e);
/* The place of the node where a lease of that class counts. */
uint32_t class_place(const struct sched *s, uint32_t node, uint64_t class_);
/* The places of a node, one after another: itself first (`at` 0); 0: no more. */
static inline uint32_t place_next(const struct sched *s, uint32_t node, uint32_t at)
{
	if (at == 0 || at == node)
		return at == 0 ? node : s->nodes[node].first_class;
	return at < s->node_top && s->nodes[at + 1].owner == node ? at + 1 : 0;
}
/* Count anew what it holds. */
void node_recount(struct sched *s, uint32_t node);
void ends_insert(struct sched *s, uint32_t node, uint32_t lease);
void ends_remove(struct sched *s, uint32_t node, uint32_t lease);

/* Does the place count as its node for the group (sched_group_same())? */
static inline bool place_alike(const struct sched *s, const struct group *g, uint32_t place)
{
	const uint32_t node = s->nodes[place].owner;

	return g->same == 0 || place == node ||
	       sched_label(s, place, g->same) == sched_label(s, node, g->same);
}

/* May a task of the group go there now? */
static inline bool group_may(const struct sched *s, uint32_t group, uint32_t place, uint64_t now_ns)
{
	const struct group *g = &s->groups[group];
	const uint32_t node = s->nodes[place].owner;

	if ((g->filtered || g->avoids != 0) && s->may != NULL && !s->may(s->may_ctx, group, node))
		return false;
	if (!place_alike(s, g, place))
		return false;
	if (!g->wishes || s->nodes[node].link.bytes == 0 || s->wishes[group].n_blobs == 0)
		return true;
	return link_may(&s->nodes[node].link, wish_missing(s, &s->wishes[group], node), now_ns);
}

/* ---- shapes and nodes: sched_fit.c ---- */

static inline void bits_set(struct bits *b, uint32_t slot)
{
	b->w[(slot % BITS) / 64] |= 1ull << (slot % 64);
}
static inline void bits_drop(struct bits *b, uint32_t slot)
{
	b->w[(slot % BITS) / 64] &= ~(1ull << (slot % 64));
}
static inline bool bits_meet(const struct bits *a, const struct bits *b)
{
	return ((a->w[0] & b->w[0]) | (a->w[1] & b->w[1]) | (a->w[2] & b->w[2]) | (a->w[3] & b->w[3])) != 0;
}

/* Does `vec` (VEC amounts) hold the shape? */
static inline bool shape_in(const struct shape *sh, const uint64_t *vec)
{
	for (uint32_t i = 0; i < sh->n_lanes; i++)
		if (vec[sh->lane[i]] < sh->need[i])
			return false;
	return true;
}
uint64_t shape_need(const struct shape *sh, uint32_t lane);

/* The lane of a resource's name, made when new; 0 when there is no room. */
uint32_t lane_make(struct sched *s, const char *name);
uint32_t lane_find(const struct sched *s, const char *name); /* 0: unknown */
/* The shape of these summed needs (by lane) on the nodes of a set, one reference more (of the set, too); 0 when full. need[0]: 2,
 * or 1 when a node that pauses will do. */
uint32_t shape_take(struct sched *s, const uint64_t *need, uint32_t where);
void shape_drop(struct sched *s, uint32_t shape);
/* The first node, in leaf order and not before leaf `from`, on which the shape fits now; 0 none. */
uint32_t shape_find(const struct sched *s, uint32_t shape, uint32_t from);
/* The same among those of a set. */
uint32_t shape_find_in(const struct sched *s, uint32_t shape, uint32_t from, uint32_t set);
/* The first from this leaf on, given up after so many steps in the tree; 0 none was found. */
uint32_t shape_try(const struct sched *s, uint32_t shape, uint32_t from, uint32_t steps);
/* Is the node one that the shape asks for, and could it hold it with nothing leased? */
bool shape_able(const struct sched *s, uint32_t shape, uint32_t node);
/* How many more allotments of it there is room for now, summed over nodes: at least 1, an estimate. */
uint64_t shape_room(const struct sched *s, uint32_t shape);
/* Of the nodes that could hold the shape, the one with most free of what it lacks; 0 none. */
uint32_t shape_likely(const struct sched *s, uint32_t shape);
static inline uint32_t node_leaf(const struct sched *s, uint32_t node)
{
	return node - 1 + (s->nodes[node].n_dev > 0 ? s->half : 0);
}
static inline const uint64_t *tree_at(const struct sched *s, const uint64_t *tree, size_t i)
{
	return tree + i * s->stride;
}
/* What a need is held against on this node: now, and with nothing leased. */
static inline const uint64_t *node_eff(const struct sched *s, uint32_t node)
{
	return tree_at(s, s->tree, s->leaves + (size_t)node_leaf(s, node));
}
static inline const uint64_t *node_able(const struct sched *s, uint32_t node)
{
	return tree_at(s, s->able_tree, s->leaves + (size_t)node_leaf(s, node));
}
/* A node's amounts changed (free, devices, state): bring tree and shapes up to date. */
void node_refresh(struct sched *s, uint32_t node);
void node_refresh_able(struct sched *s, uint32_t node); /* the same with nothing leased */
void node_clear(struct sched *s, uint32_t node);        /* holds nothing: before its devices change */
static inline struct device *node_devs(const struct sched *s, uint32_t node)
{
	return s->devs + (size_t)node * DEVICES_PER_NODE_MAX;
}
static inline uint32_t node_of_leaf(const struct sched *s, uint32_t leaf)
{
	return (leaf < s->half ? leaf : leaf - s->half) + 1;
}
/* Put (sign 1) or give back (-1) a variant's amounts and devices on a node's or a sim's arrays. */
void amounts_hold(const struct sched *s, uint32_t node, int64_t *free, uint32_t *used,
        const struct variant *v, const uint16_t *indexes, uint32_t n_indexes, int sign);
/* What a need is held against, out of what is free. Not for nodes that are not up. */
void amounts_eff(
        const struct sched *s, uint32_t node, const int64_t *free, const uint32_t *used, uint64_t *eff);
static inline uint32_t *node_used(const struct sched *s, uint32_t node)
{
	return s->dev_used + (size_t)node * DEVICES_PER_NODE_MAX;
}

/* A node's amounts as they would be: changed on the stack. */
struct sim {
	const struct sched *s;
	uint32_t node;
	int64_t free[VEC];
	uint32_t used[DEVICES_PER_NODE_MAX];
};
void sim_from(struct sim *m, const struct sched *s, uint32_t node);
void sim_give(struct sim *m, uint32_t lease);     /* the lease ends */
void sim_eff(const struct sim *m, uint64_t *eff); /* VEC amounts */
bool sim_holds(const struct sim *m, uint32_t shape);
/* Take what the variant needs; it must fit. Device indexes go to *out (may be NULL). */
void sim_take(struct sim *m, const struct variant *v, struct sched_placement *out);

/* ---- order of jobs: sched.c ---- */

/* Around any change of a key: take the job (and its namespace) out of the orders and put it back. */
void job_out(struct sched *s, uint32_t job);
void job_in(struct sched *s, uint32_t job);
void ns_out(struct sched *s, uint32_t ns);
void ns_in(struct sched *s, uint32_t ns);
void ns_refair(struct sched *s, uint32_t ns, uint64_t usage); /* usage or allow changed, nothing else */
void group_out(struct sched *s, uint32_t group);              /* its job must be out */
void group_in(struct sched *s, uint32_t group);
uint32_t ns_find(const struct sched *s, const char *name); /* 0: unknown */
uint32_t ns_make(struct sched *s, const char *name);       /* the same, made when new; 0: full */
void ns_allow(struct sched *s, uint32_t ns);               /* recompute allow; the namespace is out */
static inline bool ns_permits(const struct nspace *n, const struct shape *sh)
{
	if (!n->limited)
		return true;
	for (uint32_t i = 0; i < sh->n_lanes; i++) {
		uint32_t l = sh->lane[i];

		if (n->quota[l] != UINT64_MAX && n->used[l] + sh->need[i] > n->quota[l])
			return false;
	}
	return true;
}
static inline bool job_may(const struct job *j)
{
	return j->concurrency == 0 || j->n_leases < j->concurrency;
}

/* ---- learned run times: sched_learn.c ---- */

uint64_t kind_key(const char *kind, uint32_t variant); /* never 0 */
uint32_t kind_touch(struct sched *s, uint64_t key);    /* the slot, made when new, as the newest; 0 no room */
uint64_t kind_quantile_ns(const struct sched *s, uint64_t key, uint32_t milli);

/* ---- leases and fair share: sched_lease.c ---- */

static inline bool ends_before(const struct ending *a, const struct ending *b)
{
	return a->end_ns != b->end_ns ? a->end_ns < b->end_ns : a->id < b->id;
}
/* The leases of a node by (expected end, id), of more than LEASES_SORTED the first ones. Returns how many. */
uint32_t leases_by_end(const struct sched *s, uint32_t node, uint32_t *out);
uint64_t fair_inflate(const struct sched *s, uint64_t units, uint64_t now_ns);

/* ---- picking: sched_pick.c ---- */

struct reservation {
	const struct sched *s;
	uint32_t group, variant, node; /* group 0: none; node 0: nothing can be reserved for it on one node */
	uint64_t at_ns;                /* when it will fit, by what is known; now when that is nothing */
	struct sim then;               /* the node at that time, without the group */
	uint32_t n_seats;              /* of a gang */
	struct reserved_seat {
		uint32_t node, n;
		bool waits; /* for something that runs there */
	} seat[SCHED_GANG_MAX];
};
/* As sched_pick(); also tells the reservation it went by. */
enum sched_verdict pick_explained(const struct sched *s, uint64_t now_ns, struct sched_placement *out,
        uint64_t *out_victim, struct reservation *res);
/* Do quota and concurrency allow all members of a gang? */
bool gang_permits(const struct sched *s, const struct group *g, uint32_t v);
/* Could the group take this variant, by quota? */
static inline bool group_permits(const struct sched *s, const struct group *g, uint32_t v)
{
	if (g->gang != 0)
		return gang_permits(s, g, v);
	return ns_permits(&s->ns[s->jobs[g->job].ns], &s->shapes[g->v[v].shape]);
}
/* Would it still hold its reservation's group in time, were the group's task placed on the reserved node? *out_until: the
 * time left for it, UINT64_MAX no matter. */
bool backfill_ok(
        const struct reservation *r, const struct group *g, uint32_t v, uint64_t now_ns, uint64_t *out_left);
void reserve(const struct sched *s, uint32_t group, uint64_t now_ns, struct reservation *r);

/* Why not on this place (sched_node_why() asks of all places of a node). */
void place_why(
        const struct sched *s, uint32_t group, uint32_t place, uint64_t now_ns, struct sched_node_why *out);

/* ---- gangs: sched_gang.c ---- */

/* Nodes for all members, now; out: SCHED_GANG_MAX. */
bool gang_find(const struct sched *s, const struct reservation *res, uint32_t group, uint32_t v,
        uint64_t now_ns, uint32_t *out);
/* For how many members there is room, now or were all nodes empty; at most all of them. */
uint32_t gang_seats(const struct sched *s, uint32_t group, uint32_t v, uint64_t now_ns, bool empty);
void gang_reserve(const struct sched *s, uint32_t group, uint32_t v, uint64_t now_ns, struct reservation *r);
bool reservation_has(const struct reservation *r, uint32_t node);
/* May one lease of the group be placed on that node, beside what is reserved? *out_left as of backfill_ok(). */
bool reservation_leaves(const struct reservation *r, const struct group *g, uint32_t v, uint32_t node,
        uint64_t now_ns, uint64_t *out_left);

/* Since when it was not served. */
static inline uint64_t group_wait(const struct group *g)
{
	return g->since_ns > g->last_ns ? g->since_ns : g->last_ns;
}

#endif
