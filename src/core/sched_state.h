/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_state - what the scheduler's own files share. Nobody else includes it.
 *
 * Everything lives in tables carved out of one region; an element is named by its slot, from 1 (0: none). Slots follow
 * from history and never decide an order. Three ideas keep a pick at O(log n):
 *
 *  shape   the needs of a variant, each distinct vector once. Every shape knows on how many nodes it fits now
 *          (n_fit) and in principle (n_able), and a place before which it fits nowhere (first). When a node changes,
 *          only the shapes whose need lies between its old and new amount are looked at (`sorted`, by resource).
 *  order   a treap over slots in which every element carries the set of shapes waiting below it (256 bits, shape slot
 *          modulo 256: exact up to 255 shapes, a filter above), so that "the first that could be placed" is a descent.
 *          Namespaces by usage / their jobs by turn / a job's groups by turn.
 *  leaf    a place in the segment tree over nodes: maximum of each resource. Nodes with devices lie behind the others.
 *
 * A vector has VEC lanes: lane 0 is "is up" (need 1), lane 1+r is resource r.
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

struct shape {
	uint32_t n_lanes, refs;
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
struct node {
	bool known;
	Wire__NodeSet__State state;
	uint32_t dev_lanes; /* bit by lane */
	uint32_t n_dev;
	uint32_t leases, n_leases; /* a list through ends[] */
	int64_t free[VEC];
	uint64_t cap[VEC];
	char name[NAME_BYTES];
};

struct nspace {
	char name[NAME_BYTES];
	uint32_t weight;
	bool limited, in_fair, in_starve;
	uint64_t quota[VEC], used[VEC]; /* quota UINT64_MAX: none */
	struct bits allow;              /* shapes that its quota allows now (at least those) */
	uint64_t usage, share;          /* inflated; share = usage / weight */
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
	uint32_t next; /* of the job's groups, or free */
	bool in, filtered;
	uint32_t slack;
	uint64_t slice_max, n_ready, since_ns, last_ns, turn;
	uint64_t k_wait; /* group_wait() and what slack adds */
	struct variant v[VARIANTS_MAX];
};

struct lease {
	uint64_t id;
	uint32_t group, node;
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
	uint32_t leaves, half;   /* leaf of node id: id - 1, plus half when it has devices */
	uint32_t node_top, n_up; /* highest id known */
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

	uint64_t groups_ready, tasks_ready;

	sched_may *may; /* of groups that are filtered */
	const void *may_ctx;
};

static inline bool group_may(const struct sched *s, uint32_t group, uint32_t node)
{
	return !s->groups[group].filtered || s->may(s->may_ctx, group, node);
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
/* The shape of these summed needs (by lane), one reference more; 0 when full. */
uint32_t shape_take(struct sched *s, const uint64_t *need);
void shape_drop(struct sched *s, uint32_t shape);
/* The first node, in leaf order and not before leaf `from`, on which the shape fits now; 0 none. */
uint32_t shape_find(const struct sched *s, uint32_t shape, uint32_t from);
/* How many more allotments of it there is room for now, summed over nodes: at least 1, an estimate from above. */
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
	uint32_t group, variant, node; /* group 0: none; node 0: nothing can be reserved for it */
	uint64_t at_ns;                /* when it will fit, by what is known; now when that is nothing */
	struct sim then;               /* the node at that time, without the group */
};
/* As sched_pick(); also tells the reservation it went by. */
enum sched_verdict pick_explained(const struct sched *s, uint64_t now_ns, struct sched_placement *out,
        uint64_t *out_victim, struct reservation *res);
/* Could the group take this variant, by quota? */
static inline bool group_permits(const struct sched *s, const struct group *g, uint32_t v)
{
	return ns_permits(&s->ns[s->jobs[g->job].ns], &s->shapes[g->v[v].shape]);
}
/* Would it still hold its reservation's group in time, were the group's task placed on the reserved node? *out_until: the
 * time left for it, UINT64_MAX no matter. */
bool backfill_ok(
        const struct reservation *r, const struct group *g, uint32_t v, uint64_t now_ns, uint64_t *out_left);
void reserve(const struct sched *s, uint32_t group, uint64_t now_ns, struct reservation *r);

/* Since when it was not served. */
static inline uint64_t group_wait(const struct group *g)
{
	return g->since_ns > g->last_ns ? g->since_ns : g->last_ns;
}

#endif
