/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link - one end of the link between a node and its hub. docs/ARCHITECTURE.md, "Links between machines".
 *
 * Both ends say what follows from their own engine's state, which is in their journals; so there is no outbox: a session begins with
 * what each side has (Hello, Welcome), and goes on with what is new. Frames may be lost, doubled, late or out of order, and either
 * side may die and come back: numbers make that harmless. Nothing is sent that is not durable here; nothing is acknowledged before
 * it is durable, with all that came of it.
 * Pure: no clock, no I/O, no malloc after link_init(); memory and frames under way are bounded. What it wants done it asks of its
 * shell at once (`struct link_shell`), what it has to say is fetched with link_next() until that gives 0.
 *
 * The shell's round: link_receive() for each frame that came; link_effect() for each effect whose entries have become durable;
 * link_durable() after each commit; then link_next() until 0, or until the fabric is full; then sleep until link_deadline_ns().
 */
#ifndef OSIER_CORE_LINK_H
#define OSIER_CORE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/engine.h"
#include "wire/frame.h"

#define LINK_MAJOR 1u
#define LINK_MINOR 2u
#define LINK_COMMITS_MINOR                                                                                   \
	1u /* from here on a child commits to answers before it says them (Grant.commit, Reveal) */
#define LINK_GANGS_MINOR                                                                                     \
	2u /* from here on a node says where its gangs meet, and a hub passes over what it does not know of an offer */
#define LINK_AHEAD_MINOR 2u /* and hears which files may be wanted next (Ahead) */
#define LINK_VERSION     (LINK_MAJOR * 1000u + LINK_MINOR)
#define LINK_BATCH_MAX   (64u << 10) /* of results in one frame */
/* Frames that are sent and not acknowledged, each way. The other side takes no more than that. The last LINK_URGENT of them, and
 * LINK_URGENT_BYTES, are for what is urgent (stops and what else is said of leases, what a node can do), so that it waits for no bulk. */
#define LINK_WINDOW       256u
#define LINK_WINDOW_BYTES (1u << 20)
#define LINK_URGENT       64u
#define LINK_URGENT_BYTES (64u << 10)
/* Bulk that is under way lies before what is urgent, in cables and in brokers. So no more of it is than comes through in about so
 * long: between LINK_BULK_LEAST and LINK_WINDOW_BYTES. */
#define LINK_BULK_NS    250000000ull
#define LINK_BULK_LEAST LINK_BATCH_MAX
#define LINK_BATCH_NS   1000000ull /* results that come to a busy link wait so long for others */
#define LINK_HELLO_NS                                                                                        \
	2000000000ull /* a Hello without an answer is said again; then after twice as long, up to */
#define LINK_HELLO_MAX_NS 32000000000ull
#define LINK_ACK_NS                                                                                          \
	6000000000ull /* a frame that is not acknowledged for so long: the session begins anew (the hub asks for it) */

/* What this program speaks: LINK_VERSION. A hub takes children that speak the same major version and are at most one minor apart. */
extern const uint32_t link_version;

#define LINK_HELD_LEAST (64u << 10) /* smaller blobs are neither told as held nor named ahead */

struct link_end;

enum link_side {
	LINK_TO_HUB,  /* the child's end */
	LINK_TO_CHILD /* the hub's end; one for each child */
};

/* A small output that comes along with results. */
struct link_data {
	uint32_t output; /* which, in the order of the columns of outputs */
	const uint8_t *bytes;
	size_t n;
};

/* Results of tasks of a job here, for the hub. All is borrowed until the next call into the shell. */
struct link_results {
	/* Columns without `outcome` (the core knows it), `lease` and `first` (the link knows them); `count` says of how many tasks.
	 * start_us: after the job came here. */
	Wire__Results *columns;
	const struct link_data *data;
	size_t n_data;
	/* Set by the link: these are only committed to. What they are is enough: no data, and no file need be at the hub. */
	bool digests;
};

/* What the ends of one hub have named ahead of leases (Ahead), so that not all children get the file of one task. In memory alone: nothing
 * depends on it. Zeroed; shared by the ends, and there as long as they are. */
#define LINK_AHEAD_BOOK 512u
struct link_ahead_book {
	uint32_t n;
	struct {
		uint64_t blob; /* sched_blob() */
		uint32_t node;
	} v[LINK_AHEAD_BOOK];
};
/* The node is there no more. */
void link_ahead_forget(struct link_ahead_book *b, uint32_t node);

struct link_shell {
	void *ctx;
	/* The engine as it is now: a pointer that stays until the link is freed. */
	const struct engine *engine;
	/* Decide and apply at once (the entries are durable later); must not call the link. False: refused, and why. */
	bool (*command)(void *ctx, const struct command *cmd, struct err *why);
	/* Entries of the journal: with those that are not yet durable; only durable ones. */
	uint64_t (*appended)(void *ctx);
	uint64_t (*durable)(void *ctx);
	/* The job's specification, until the next call into the shell; NULL: not now (the link asks again at the next round). */
	const Wire__JobSpec *(*spec)(void *ctx, job_id job);
	/* LINK_TO_CHILD: what the lease's tasks take from earlier steps, from its cursor on (core/sources.h), for a step that is
	 * grant_sourced(); `spec` is the job's. Memory from `a`. NULL: not now (the link asks again). */
	const Wire__Sources *(*sources)(
	        void *ctx, const struct lease_view *l, const Wire__JobSpec *spec, struct arena *a);
	/* LINK_TO_CHILD: say in m->ticket and m->near where the child may get what its tasks take in, besides from here. `granted`: what
	 * goes down. May be NULL. LINK_TO_HUB: such a grant comes, before its CMD_DELEGATED; borrowed until that was given. May be NULL. */
	void (*near)(void *ctx, const struct lease_view *l, const Wire__JobSpec *granted, struct arena *a,
	        Link__Grant *m);
	void (*granted)(void *ctx, const Link__Grant *m);
	/* LINK_TO_CHILD: NULL: nothing is named ahead. */
	struct link_ahead_book *book;
	/* LINK_TO_CHILD: as `near`, of the files in m, for the child `node`. May be NULL. LINK_TO_HUB: the hub thinks that we may need these
	 * next, and nothing of what it thought before; borrowed. They may be had or not: nobody waits. May be NULL. */
	void (*ahead_near)(void *ctx, uint32_t node, struct arena *a, Link__Ahead *m);
	void (*ahead)(void *ctx, const Link__Ahead *m);
	/* LINK_TO_HUB: what is kept of tasks [first, first+n) of step 0, n <= most, of a delegated job, which all have a result; of at most
	 * about room_bytes with the data, but at least one task. n = 0: cannot be read now. Memory from `a`, or the shell's own. */
	void (*results)(void *ctx, job_id job, uint64_t first, uint64_t most, size_t room_bytes,
	        struct arena *a, struct link_results *out);
	/* LINK_TO_CHILD: results came for a live lease, from its cursor on: keep the data with them and give CMD_RESULTS. */
	void (*take_results)(void *ctx, const Wire__Results *r, const struct link_data *data, size_t n_data);
	/* LINK_TO_CHILD: sign a share of quotas with the authority's key; false: it cannot be now (the child asks again). LINK_TO_HUB: is that
	 * our hub's authority's signature? NULL: no quotas over this link. */
	uint64_t (*clock)(void *ctx); /* the time that entries get; now_ns of the calls need not be it */
	bool (*sign)(void *ctx, const uint8_t *bytes, size_t n, uint8_t out[64]);
	bool (*verify)(void *ctx, const uint8_t *bytes, size_t n, const uint8_t signature[64]);
	/* What of the state of the link there is to see has changed (link_view()). May be NULL. */
	void (*changed)(void *ctx);
};

/* Who this end is; copied. */
struct link_self {
	enum link_side side;
	const char *name; /* LINK_TO_HUB: this node's; LINK_TO_CHILD: the child's */
	const uint8_t
	        *key; /* LINK_TO_HUB: this node's key, 32 bytes; LINK_TO_CHILD: NULL (the state knows it) */
	const uint8_t *journal; /* LINK_TO_HUB: leaf hash of our entry 0, 32 bytes */
	/* LINK_TO_HUB: 32 bytes that nobody else knows, the same in each life of this node: nonces of commitments are made of it. */
	const uint8_t *secret;
	/* LINK_TO_CHILD: its number here. 0: of one that this hub does not know, so that it is refused in words: who sends on a child's
	 * topic may have joined before the hub's state went back in time. */
	uint32_t node;
	/* LINK_TO_HUB: what we can do, for the hub: over all nodes here (link_sum() makes it). Copied; link_node() changes it. */
	const Wire__NodeSet *offer;
	/* LINK_TO_HUB: where this node's state lies, the same from start to start, another one for each copy; 0: not known. */
	uint64_t place;
};

/* Memory that a link needs (it is touched as it is needed), 16-aligned, zeroed; a scratch arena may be shared by all links. */
size_t link_bytes(enum link_side side);
/* After the journal is folded. `scratch`: FRAME_ARENA_BYTES. */
struct link_end *link_init(void *mem, const struct link_self *self, const struct link_shell *shell,
        void *scratch, size_t scratch_bytes);

/* The fabric can carry frames to the other side, or not any more (its last will came, the broker is gone). A hub's end that is
 * disconnected says so to the core (CMD_NODE_LINK). `session_least`: LINK_TO_HUB: any number above those of earlier lives of this
 * engine, such as engine_epoch() << 32. */
void link_connected(struct link_end *l, uint64_t now_ns, uint64_t session_least);
void link_disconnected(struct link_end *l, uint64_t now_ns);

/* A frame came. Its bytes are borrowed for the call. Bytes that are no frame are counted and dropped. */
void link_receive(struct link_end *l, uint64_t now_ns, const uint8_t *bytes, size_t n);

/* An effect is durable: EFFECT_START, STOP, ADJUST and REVEAL of leases on the child's node; EFFECT_DELEGATED. Others are ignored. */
void link_effect(struct link_end *l, uint64_t now_ns, const struct effect *fx);
/* link_shell.durable() has moved on. */
void link_durable(struct link_end *l, uint64_t now_ns);
/* LINK_TO_HUB: the hub knows us by another key from now on; it is said when a session begins. */
void link_key(struct link_end *l, const uint8_t key[32]);
/* What we can do has changed. */
void link_node(struct link_end *l, uint64_t now_ns, const Wire__NodeSet *offer);
/* LINK_TO_HUB: blobs that are here, 8 bytes each as in NodeFacts.held, at most FRAME_HELD_BYTES, and where others get them ("" nowhere,
 * at most FRAME_AT_MAX bytes). Copied; told when it is something else than before, and in each session. */
void link_held(struct link_end *l, const uint8_t *blobs, size_t n, const char *at);
/* LINK_TO_HUB: how far other nodes of the hub are, by what was measured when blobs came from there; at most FRAME_FAR_MAX. Copied; told
 * when it is something else than before, and in each session. Rounded it should be, or it is told for nothing. */
struct link_far {
	char name[FRAME_NAME_MAX + 1];
	uint64_t us; /* there and back; not 0 */
};
void link_far(struct link_end *l, const struct link_far *far, uint32_t n);
/* LINK_TO_CHILD: did it say, last, that it holds a blob whose SHA-256 begins so (8 bytes)? */
bool link_holds(const struct link_end *l, const uint8_t *digest);
/* For showing at the other side; sent now and then while the link is up (never because of itself). */
void link_status(struct link_end *l, uint64_t now_ns, const Link__Status *s);

/* Write the next frame to `out` (FRAME_BYTES_MAX) and return its length; 0: nothing to say now. The most urgent first: control, then
 * grants, then results. */
size_t link_next(struct link_end *l, uint64_t now_ns, uint8_t *out);

/* When link_next() may have something to say although nothing happened, or UINT64_MAX. */
uint64_t link_deadline_ns(const struct link_end *l, uint64_t now_ns);

enum link_state { LINK_DOWN, LINK_HELLO, LINK_UP, LINK_REFUSED };
struct link_view {
	enum link_state state;
	uint64_t since_ns; /* when it became that */
	uint64_t heard_ns; /* when the last good frame came; 0 never */
	uint64_t session;
	uint32_t version; /* of the other side */
	char reason[FRAME_TEXT_MAX + 1],
	        hint[FRAME_TEXT_MAX + 1]; /* of LINK_REFUSED; LINK_TO_CHILD: until it is up */
	char share_why[FRAME_TEXT_MAX +
	               1]; /* LINK_TO_HUB: why the last share of quotas was not taken; "": it was */
	uint64_t copy_ns;  /* LINK_TO_CHILD: when one that may be a copy of it was last refused; 0 never */
	/* LINK_TO_HUB, LINK_REFUSED: it may be a copy of a node that is there. It shall not be at the broker before that time, because a
	 * broker has one of each name: whoever comes throws the other out. 0: it may stay. */
	uint64_t away_until_ns;
	uint64_t rtt_us;                        /* 0 not measured */
	uint64_t sent, received, bad, sessions; /* frames; frames that were none; sessions begun */
	uint64_t unacknowledged, unacknowledged_bytes;
	uint64_t held;                /* LINK_TO_HUB: leases of the parent here */
	uint32_t running, load_milli; /* what the other side last said (Status) */
	uint64_t queued;
	uint64_t size;             /* durable entries of its journal, as it last said */
	char at[FRAME_AT_MAX + 1]; /* where the child gives blobs to others */
};
void link_look(const struct link_end *l, struct link_view *out);

/* LINK_TO_HUB: it joined again: a refusal of before counts no more. */
void link_joined(struct link_end *l, uint64_t now_ns);

/* What a node with all its nodes can do, as its hub sees it: summed capacity (without devices) and the largest single amounts of the
 * nodes that are up, itself and its children, into *out with memory from the arena. */
int link_sum(const struct engine *e, const char *name, struct arena *a, Wire__NodeSet *out);

#endif
