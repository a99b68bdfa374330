/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched - which slice goes next, and where.
 *
 * Knows nodes and what they hold free, namespaces with weights and quotas, and groups: the ready tasks of one step, which
 * are all alike. Does not know jobs' inner life, entries or processes (engine.h does). Pure; memory comes with
 * sched_new(); `const` functions are what decide() may call, the others belong to apply().
 *
 * Order: class realtime before batch; realtime by earliest deadline; batch by weighted fair share between namespaces
 * (least decayed usage per weight first), inside one by effective priority (a job gains one point for every AGE_NS that
 * it was not served), which among equals is round-robin between jobs; ties by id. Inside a job the group that was not served
 * for longest comes first, but one off the critical path counts as served later (sched_group_slack()). The first group in that order that
 * cannot be placed reserves a node (EASY backfill): others may use that node only if, by what is known of run times, they
 * do not delay it. Nothing starves: the oldest group that was not served for STARVE_NS comes first, whatever its class or
 * namespace. Finding the next placement costs O(log n) in groups and in nodes. Nodes are filled first-fit by id, those
 * without devices first, unless a group wishes otherwise (sched_group_wish()): then the node with the best score is taken, out of
 * all that fit while these are at most 64, else out of a bounded choice of them (sched_place.c).
 *
 * Amounts: bytes for memory and disk, thousandths for everything else. An indexed resource has devices; a need of less
 * than 1000 shares one device, of k*1000 takes k whole ones.
 */
#ifndef OSIER_CORE_SCHED_H
#define OSIER_CORE_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/place.h"
#include "wire/osier.pb-c.h"

#define RESOURCES_MAX                                                                                        \
	16u /* kinds in one pool of machines: cpu, memory, disk, gpu, fpga and eleven of your own */
#define VARIANTS_MAX          4u
#define DEVICES_PER_LEASE_MAX 64u
#define DEVICES_PER_NODE_MAX  64u
#define SCHED_GANG_MAX        64u /* members */
#define SCHED_CLASSES_MAX     16u /* of the nodes below a node */
#define SCHED_FOLDED_MAX      32u /* keys of labels that its classes say nothing of */
#define STARVE_NS             (600ull * 1000000000ull)
#define SLACK_NS              (10ull * 1000000000ull)
#define SLACK_MAX             6u
#define AGE_NS                (60ull * 1000000000ull)
#define SLICE_MAX             8192u /* most tasks in one lease */
#define SLICE_NS              100000000u /* about so long one with more than one task runs: what others wait for at most */
/* With more places for a group than this some lease ends all the time: then each runs as much longer as there are more of them, up to so
 * many times, and who grants leases has no more to do. */
#define SLICE_PLACES   100u
#define SLICE_TIMES    50u
#define SLICE_LEAST_NS 5000000u /* towards the end of a job, where they shrink */

struct sched;

struct sched_limits {
	uint32_t groups_max, jobs_max, leases_max, nodes_max, namespaces_max, kinds_max;
};

/* Bytes that sched_new() needs for the limits; mem is zeroed and 16-aligned. */
size_t sched_bytes(const struct sched_limits *l);
struct sched *sched_new(void *mem, const struct sched_limits *l);

/* ---- apply(): the only writers ---- */

/* A node appears or changes (capacity, devices, state). Its id is 1..nodes_max. May shrink below what is leased: free is
 * then negative and nothing more is placed there. Of a resource with devices, the devices count, not `capacity`; a device of
 * less than 1000 is only ever shared. Returns < 0, and changes nothing, where sched_node_ok() says no. */
int sched_node_set(struct sched *s, const Wire__NodeSet *n);
/* What of the node may be used from now on (it is there): anything but UP is left alone. */
void sched_node_state(struct sched *s, uint32_t node, Wire__NodeSet__State state);
/* Weight 0 counts as 1. A resource that `quota` does not name has no limit; leases over a lowered quota go on. */
int sched_namespace_set(struct sched *s, const Wire__NamespaceSet *n);

/* What this node may have of the namespace by the word of its hub, beside its own quota; n = 0 and !limited: no limit. */
int sched_namespace_cap(struct sched *s, const char *name, const Wire__Need *const *may, size_t n);
void sched_namespace_uncap(struct sched *s, const char *name);
/* So much of the namespace's quota is lent to nodes that have joined; or is back. The namespace is there. */
void sched_namespace_lend(struct sched *s, const char *name, const Wire__Need *const *v, size_t n, bool back);
/* What the lease holds of its namespace's quota. */
void sched_lease_holds(const struct sched *s, uint64_t lease, uint64_t out[RESOURCES_MAX]);
/* Is something of the namespace ready that its quota does not allow now? */
bool sched_namespace_waits(const struct sched *s, const char *name);
/* What the next task of the namespace would hold; false: nothing is ready there. */
bool sched_namespace_wants(const struct sched *s, const char *name, uint64_t out[RESOURCES_MAX]);
/* For decide(): would these be accepted? Each returns 0, or < 0 with the reason in *e. */
int sched_node_ok(const struct sched *s, const Wire__NodeSet *n, struct err *e);
int sched_namespace_ok(const struct sched *s, const Wire__NamespaceSet *n, struct err *e);
/* Room for one more job in this namespace, with this many groups. */
int sched_job_ok(const struct sched *s, const char *namespace_, uint32_t n_groups, struct err *e);

/* Resources that no node and nobody else named yet are remembered, too: for alternatives that only other machines could take. Are
 * there places for these variants' names? `seen` (all zero at first) carries the new ones from one step of a job to the next. A
 * job may not take the last LANES_KEPT places: those are for nodes and quotas. */
#define LANES_KEPT 4u
struct sched_names {
	uint32_t n;
	const char *name[RESOURCES_MAX];
};
int sched_names_ok(const struct sched *s, const Wire__Variant *const *variants, size_t n,
        struct sched_names *seen, struct err *e);

struct sched_job {
	uint64_t id;
	const char *namespace_;
	bool realtime;
	uint32_t priority;    /* 0-100 */
	uint64_t deadline_ns; /* 0 none */
	uint32_t concurrency; /* most leases at once, 0 no limit */
	uint64_t submitted_ns;
};
/* An unknown namespace comes to be, with weight 1 and no quota. Returns < 0 when full or when the id is taken. */
int sched_job_add(struct sched *s, const struct sched_job *j);
/* Change what may change (priority, deadline, concurrency); the namespace stays. */
void sched_job_adjust(struct sched *s, const struct sched_job *j);
void sched_job_remove(struct sched *s, uint64_t job); /* and its groups; none may have leases */

/* A group of alike tasks of `job`; (job, step) must be new. `variants` and `kind` are read during the call. slice_max: most
 * tasks in one lease, 1 if they must not be leased together, 0 no limit. `*out_group` (never 0) names it until its job is
 * removed. Returns < 0 when full or without a variant. A variant with a resource that there is no place for can never run. */
int sched_group_add(struct sched *s, uint64_t job, uint32_t step, const Wire__Variant *const *variants,
        size_t n_variants, const char *kind, uint64_t slice_max, uint32_t *out_group);
/* Where its tasks may and should run; before any of them is ready, once. Everything is read during the call. `place` NULL: anywhere.
 * Returns < 0 when there is no room for another set of nodes, or a list is too long: sched_wish_ok() says it before. */
struct sched_input {
	uint64_t blob; /* how the SHA-256 begins: sched_blob() */
	uint64_t bytes;
};
struct sched_wish {
	const Wire__Place *place;
	Wire__JobSpec__Pack pack;
	const char *origin; /* name of the node that the job was submitted at, or NULL */
	const struct sched_input *inputs;
	uint32_t n_inputs;
};
int sched_group_wish(struct sched *s, uint32_t group, const struct sched_wish *w);
uint64_t sched_blob(const uint8_t *sha256);
/* For decide(): would the wishes of all these steps find room, and is each list within its limits? */
int sched_wish_ok(const struct sched *s, const Wire__Place *const *places, size_t n, struct err *e);
/* A label's key as a number that is never 0, and the value that a node has for it; 0: it has none. */
uint64_t sched_label_key(const char *key);
uint64_t sched_label(const struct sched *s, uint32_t node, uint64_t key);
/* Has any node the label, whatever its state? */
bool sched_label_any(const struct sched *s, uint64_t key);
/* Is anything ready that has inputs? */
bool sched_crossing(const struct sched *s);
/* The next groups, in the order of turns, whose tasks wait for a place on some node, this one among them, and of whose inputs the node is not
 * known to hold all: at most `max`; how many. None where the node is not up or pauses, where its link has a budget or a cost, or while it has
 * room for them; no gangs, none that its quota or its job's concurrency stops now. Looks at AHEAD_LOOK groups at most. */
#define AHEAD_LOOK 64u
struct sched_ahead {
	uint64_t job, n_ready;
	uint32_t step, group;
};
uint32_t sched_ahead(
        const struct sched *s, uint32_t node, uint64_t now_ns, struct sched_ahead *out, uint32_t max);
/* How many nodes hold the blob, as far as it is known, that could take the group: not this machine, and not `but`. At most 16 are looked at. */
uint32_t sched_copies(const struct sched *s, uint32_t group, uint64_t blob, uint32_t but);
/* How many nodes there are, whatever their state, that meet the place's `where`. */
uint32_t sched_where_count(const struct sched *s, const Wire__Place *place);
/* By how many steps the longest way through its step is shorter than the longest through its job: what is off the critical path
 * can wait, and fills what that leaves free. Each step counts, among the groups of one job alone, as served SLACK_NS later, up to
 * SLACK_MAX of them; so nothing waits for ever. 0 unless said, before any of its tasks is ready. */
void sched_group_slack(struct sched *s, uint32_t group, uint32_t steps);
/* Its tasks are gangs: `size` leases at once or none, no two on one node when `apart`. Before any of them is ready, which counts gangs. */
void sched_group_gang(struct sched *s, uint32_t group, uint32_t size, bool apart);
/* Is there room for so many of one of these variants on nodes that reach each other, were they empty and up? *out_most: for how many. */
bool sched_gang_could_fit(const struct sched *s, const Wire__Variant *const *variants, size_t n,
        uint32_t size, bool apart, uint32_t *out_most);
/* Its tasks may not go to every node: `may` of sched_filter() is asked. Before any of them is ready. */
void sched_group_filtered(struct sched *s, uint32_t group);
/* The answers of its tasks are compared between nodes with the same value of this label (sched_label_key()): of what is below a node
 * only what has the node's own value counts as the node. Before any of them is ready. */
void sched_group_same(struct sched *s, uint32_t group, uint64_t key);
typedef bool sched_may(const void *ctx, uint32_t group, uint32_t node);
/* May some ready task of the group go to this node? Set once, after sched_new(). Whoever says no must say yes to some node that is up
 * and could take the group, or it waits for ever. */
void sched_filter(struct sched *s, sched_may *may, const void *ctx);
/* The next node by number after `after` that is up and could take a task of the group, were it empty; 0 none. */
uint32_t sched_able_next(const struct sched *s, uint32_t group, uint32_t after);
/* Is there another node than these `n` that is up and could take a task of the group, were it empty? */
bool sched_able_but(const struct sched *s, uint32_t group, const uint32_t *nodes, uint32_t n);
/* How many of its tasks are ready now (0 takes it out of the queue); cheap when only the number changes. since_ns: when the
 * oldest became ready. sched_lease_add() does not count down: call this after it. */
void sched_group_ready(struct sched *s, uint32_t group, uint64_t n_ready, uint64_t since_ns);

/* A lease was granted / given back. */
struct sched_placement {
	uint32_t group, node, variant;
	uint64_t
	        class_; /* of the node: the one that it counts against (NodeSet.classes); 0 none, or one that is not there any more */
	uint64_t count_max; /* tasks that one lease may take */
	uint64_t run_ns;    /* expected for one task (median), 0 unknown */
	/* Indexes, for each need of the variant that the node has devices for, in the order of its needs. */
	uint32_t n_devices, devices[DEVICES_PER_LEASE_MAX];
	/* Of a gang: how many leases, one on each of `nodes`; `node` and the devices of each: sched_gang_devices(). */
	uint32_t gang, nodes[SCHED_GANG_MAX];
};
/* Of *p, group, node, variant, run_ns and the devices are read: also from an entry on recovery, whatever the node has
 * become since. `lease` is new and not 0. */
void sched_lease_add(
        struct sched *s, uint64_t lease, const struct sched_placement *p, uint64_t count, uint64_t now_ns);
void sched_lease_remove(struct sched *s, uint64_t lease, uint64_t now_ns);
/* A lease is being stopped: what it holds counts as coming free. */
void sched_lease_stopping(struct sched *s, uint64_t lease);
/* Learn: `n` tasks of the group took wall_us each on the node (one column of Results; of a column with one value, give that one). */
void sched_learn(struct sched *s, uint32_t group, uint32_t variant, uint32_t node, const uint64_t *wall_us,
        size_t n, uint64_t now_ns);

/* What was learned of a node. decide() rounds first: sched_facts_news(). */
void sched_facts_set(struct sched *s, const Wire__NodeFacts *f);
/* Nodes that hold the blob, as far as it is known, by number: at most `max`; how many. Not this machine. */
uint32_t sched_holders(const struct sched *s, uint64_t blob, uint32_t *out, uint32_t max);
/* Does the node hold it, as far as it is known? This machine holds what was submitted here. */
/* The node of this name; 0: there is none. */
uint32_t sched_named(const struct sched *s, const char *name);
bool sched_holds(const struct sched *s, uint32_t node, uint64_t blob);
/* Round *f as it is kept, and take out of f->set what is so already. False: nothing is left to be said. */
bool sched_facts_news(const struct sched *s, Wire__NodeFacts *f);

/* An attempt at a task (`unit`: its number in the group) failed on the node, or was `lost` with it: the task goes to another node
 * while there is one that could take it. Failures of different tasks in a row make the node pause (sched_pause()). */
void sched_failed(struct sched *s, uint32_t group, uint64_t unit, uint32_t node, bool lost);
void sched_worked(struct sched *s, uint32_t node);
/* So many bytes of outputs came over the node's link: they count in its budget, like inputs that went there. */
void sched_sent(struct sched *s, uint32_t node, uint64_t bytes, uint64_t now_ns);
/* The task is over: forget where it failed. Cheap when there is nothing to forget. */
void sched_settled(struct sched *s, uint32_t group, uint64_t unit);
/* The nodes that the task failed on, as far as remembered: how many. */
#define FAILED_ON_MAX 4u
uint32_t sched_failed_on(const struct sched *s, uint32_t group, uint64_t unit, uint32_t out[FAILED_ON_MAX]);
/* Is there any such task in the group? */
bool sched_avoiding(const struct sched *s, uint32_t group);
/* For decide(): does a node have to pause, or is its pause over, at now_ns? Fills in *out, as sched_facts_set() takes it. Never
 * pauses the last node that is up. */
bool sched_pause(const struct sched *s, uint64_t now_ns, Wire__NodeFacts *out);

/* ---- decide(): const ---- */

/* Fill in `node` and the devices of this member of a gang that was just picked. */
void sched_gang_devices(const struct sched *s, struct sched_placement *p, uint32_t member);

enum sched_verdict {
	SCHED_NOTHING, /* nothing can be placed before something changes or sched_wake_ns() */
	SCHED_PLACE,   /* out_place */
	SCHED_PREEMPT, /* stop out_victim so that a realtime group fits */
};
/* What to do next at now_ns. Call until SCHED_NOTHING, applying each in between. */
enum sched_verdict sched_pick(
        const struct sched *s, uint64_t now_ns, struct sched_placement *out_place, uint64_t *out_victim);
/* After sched_pick() said SCHED_NOTHING at now_ns: when it may say something else by the passing of time alone
 * (starvation), always later than now_ns, or UINT64_MAX. */
uint64_t sched_wake_ns(const struct sched *s, uint64_t now_ns);

/* Could these variants ever run: is there a node whose whole capacity holds one of them, and does the namespace's quota
 * allow it? If not, *why says what is too large and what the largest node has, *hint what to do. */
bool sched_could_fit(const struct sched *s, const char *namespace_, const Wire__Variant *const *variants,
        size_t n, char *why, size_t why_bytes);

/* The earliest time at which `tasks` tasks of `kind` with these needs would all have finished if submitted at now_ns with
 * this class and deadline, given what runs, what waits before it and the learned run times (90 % quantiles);
 * 0 when nothing is known of its run time, UINT64_MAX when no node that is up, or the quota, allows it. For admission of realtime jobs and for `osier plan`. */
uint64_t sched_earliest_finish_ns(const struct sched *s, uint64_t now_ns, bool realtime, uint32_t priority,
        uint64_t deadline_ns, const char *namespace_, const char *kind, const Wire__Variant *const *variants,
        size_t n_variants, const Wire__Place *place, uint64_t tasks);

/* Learned run time of the tasks of a group in one of its variants, median. 0: nothing known. */
uint64_t sched_group_run_ns(const struct sched *s, uint32_t group, uint32_t variant);

/* Learned run time of a kind: quantile in thousandths (500: median). 0: nothing known. */
uint64_t sched_run_ns(const struct sched *s, const char *kind, uint32_t quantile_milli);

/* ---- explaining: `osier why`, `osier nodes`, `osier plan` ---- */

enum wait_reason {
	WAIT_NOT_READY,   /* nothing of the group is ready (the engine knows why) */
	WAIT_NEXT,        /* it would be placed at the next tick */
	WAIT_RESOURCES,   /* no node has enough free */
	WAIT_RESERVED,    /* it would fit, but would delay the group with the reservation */
	WAIT_BEHIND,      /* others come first */
	WAIT_CONCURRENCY, /* the job's own limit */
	WAIT_QUOTA,       /* the namespace's quota */
	WAIT_DRAINED,     /* every node that could take it is drained or lost */
	WAIT_TOO_LARGE,   /* no node could ever take it */
	WAIT_WHERE,       /* no node, whatever its state, has the labels that it asks for */
	WAIT_PAUSED,      /* a node has room, but pauses until start_ns: task after task failed on it */
	WAIT_LINK,        /* a node has room, but its inputs may not come over its link before start_ns */
	WAIT_GANG, /* there is room for `free` members of a gang of `needs`, were all nodes empty for `capacity` */
	WAIT_ELSEWHERE, /* a node has room, but its tasks may not go there: they failed there, and could run elsewhere */
};
struct sched_holder {
	uint64_t lease, job;
	uint64_t amount;
	uint64_t until_ns; /* expected, 0 unknown */
};
struct sched_why {
	enum wait_reason reason;
	uint32_t resource;              /* index of the scarce resource, for RESOURCES, QUOTA and TOO_LARGE */
	uint64_t needs, free, capacity; /* of it, on the nearest-fitting node; QUOTA: of the namespace */
	uint32_t node;                  /* that node; DRAINED, RESERVED: the one in question; else 0 */
	uint64_t groups_before,
	        tasks_before;  /* QUOTA, RESOURCES, RESERVED, BEHIND: what comes first in the order */
	uint64_t blocking_job; /* the first of them; RESERVED: who holds the reservation */
	uint64_t start_ns;     /* expected start, 0 unknown */
	/* The smallest change that would start it now: ask for no more than `fits_amount` of `resource` (0: would not
	 * help), or end `holders[0]`. */
	uint64_t fits_amount;
	uint32_t n_holders;
	struct sched_holder holders[8]; /* who holds the scarce resource, largest first */
};
bool sched_why(const struct sched *s, uint32_t group, uint64_t now_ns, struct sched_why *out);

/* Why not this node? The first reason of these, in this order. */
enum node_reason {
	NODE_STATE,     /* it is not up */
	NODE_WHERE,     /* `match` of the place's `where` does not hold */
	NODE_TOO_SMALL, /* resource, needs, free: what it has in all */
	NODE_PAUSED,    /* until_ns */
	NODE_BUSY,      /* resource, needs, free */
	NODE_LINK,      /* missing, left, until_ns */
	NODE_FAILED,    /* those of its tasks that are ready may not go there */
	NODE_TAKES,     /* it could take it now; its score, where one counts */
};
/* How far a node is from what the place is to be near. */
enum near_how {
	NEAR_NOT_ASKED, /* or nobody is what is asked for */
	NEAR_UNKNOWN,
	NEAR_HERE,
	NEAR_SITE,     /* they are of one site */
	NEAR_MEASURED, /* near_us */
	NEAR_BY_HUB,   /* near_us, there and back by way of this machine */
};
struct sched_node_why {
	enum node_reason reason;
	uint32_t resource, match;
	uint64_t needs, free;
	uint64_t missing, left; /* bytes of inputs that are elsewhere; that may still come over its link */
	uint64_t until_ns;
	bool scored;
	int64_t score; /* thousandths of points */
	enum near_how near;
	uint32_t near_node; /* the nearest of what is asked for */
	uint64_t near_us;
	uint32_t
	        class_; /* of its classes this one, from 1 on, as engine_node() lists them; 0 the node itself */
};
bool sched_node_why(
        const struct sched *s, uint32_t group, uint32_t node, uint64_t now_ns, struct sched_node_why *out);
/* The same for a step that was not submitted. Of its inputs nothing is known. */
bool sched_place_why(const struct sched *s, const Wire__Place *place, const Wire__Variant *const *variants,
        size_t n, uint32_t node, uint64_t now_ns, struct sched_node_why *out);

/* Have these two nodes the same labels, but for their names, and the second one no classes? */
bool sched_alike(const struct sched *s, uint32_t a, uint32_t b);
const char *sched_resource_name(const struct sched *s, uint32_t resource); /* NULL past the last */
struct sched_node_view {
	uint32_t node;
	const char *name;
	Wire__NodeSet__State state;
	uint64_t capacity[RESOURCES_MAX];
	int64_t free[RESOURCES_MAX];
	uint64_t largest[RESOURCES_MAX]; /* most of it that one task can have there */
	uint32_t n_leases;
	uint64_t paused_until_ns; /* 0: it does not pause */
	/* What may come over its link in each window; bytes 0: no limit. `used` is of the window that begins at used_ns. */
	uint64_t link_bytes, link_per_ns, link_used, link_used_ns;
};
/* With all that is below it. */
bool sched_node(const struct sched *s, uint32_t node, struct sched_node_view *out);
/* The node without its classes (k 0), or the k-th of them; false: it has not so many, or there was no room for it here. */
bool sched_class(const struct sched *s, uint32_t node, uint32_t k, struct sched_node_view *out);
/* Which of the node's classes has this key (Wire__LeaseGranted.class_); 0 none of them. */
uint32_t sched_class_find(const struct sched *s, uint32_t node, uint64_t class_);
/* Does that place meet the place's `where`? */
bool sched_class_meets(const struct sched *s, uint32_t node, uint32_t k, const Wire__Place *place);
bool sched_node_gone(
        const struct sched *s, uint32_t node); /* it was removed; sched_node_next() passes it over */
bool sched_node_next(const struct sched *s, uint32_t after, struct sched_node_view *out);
/* The k-th device of a node, by resource, then index; false past the last. Its id and model are in engine_node(). */
struct sched_device_view {
	uint32_t resource, index;
	uint64_t milli; /* what it offers, and what of it is free */
	int64_t free;
};
bool sched_device(const struct sched *s, uint32_t node, uint32_t k, struct sched_device_view *out);
/* The k-th namespace, in order of first use; false past the last. */
struct sched_namespace_view {
	const char *name;
	uint32_t weight;
	uint64_t quota[RESOURCES_MAX]; /* its own; UINT64_MAX: none */
	uint64_t used[RESOURCES_MAX];
	uint64_t cap[RESOURCES_MAX];  /* by the hub's word; UINT64_MAX: none */
	uint64_t lent[RESOURCES_MAX]; /* to nodes that have joined */
	uint64_t left
	        [RESOURCES_MAX]; /* what its jobs here may hold together: the least of both, less what is lent */
};
bool sched_namespace(const struct sched *s, uint32_t k, struct sched_namespace_view *out);
bool sched_namespace_named(const struct sched *s, const char *name, struct sched_namespace_view *out);
struct sched_totals {
	uint64_t groups_ready, tasks_ready, leases;
};
void sched_totals(const struct sched *s, struct sched_totals *out);

/* CHECK the invariants (slow) and fold the state into a digest (order of insertion must not matter). */
void sched_check(const struct sched *s);
uint64_t sched_digest(const struct sched *s);

/* Learned run times, fair-share usage and the turns of jobs are state: save/load as engine_save() does. The engine first adds
 * nodes, namespaces, jobs, groups (with what is ready) and leases (and those stopping) again, in any order that the calls
 * allow, then calls sched_load() once. Returns < 0 on bytes that sched_save() did not write. */
int sched_save(const struct sched *s, int (*put)(void *ctx, const void *p, size_t n), void *ctx);
int sched_load(struct sched *s, const uint8_t *bytes, size_t n);

#endif
