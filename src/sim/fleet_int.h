/* SPDX-License-Identifier: Apache-2.0 */
/* fleet_int - what fleet.c (machines, time, checks) and fleet_net.c (the network, the shells of links) share. Not for others. */
#ifndef OSIER_SIM_FLEET_INT_H
#define OSIER_SIM_FLEET_INT_H

#include "core/witness.h"
#include "io/sha256.h"
#include "sim/fleet.h"
#include "sim/world_state.h"

enum net_kind {
	NET_FRAME,
	NET_UP,
	NET_DOWN,
	NET_MEND,
	NET_WAKE,
	NET_BOOT,
	NET_JOIN,
	NET_HAS,
	NET_ASK,
	NET_ANSWER
};

struct net_event {
	uint64_t at, order;
	enum net_kind kind;
	uint32_t machine; /* the child of the link; of WAKE and BOOT the machine itself */
	bool down;        /* FRAME: from the hub; UP, DOWN: the hub's end */
	uint64_t arg;     /* UP, DOWN, MEND: of which cut; WAKE; HAS: how its file's digest begins */
	uint8_t *bytes;
	size_t n;
};

/* One end as the fleet checks it: when each numbered frame of a session was taken in, what had to be durable before its ack. */
struct receipt_of_frame {
	uint64_t number, appended;
};
struct watch {
	uint64_t session, n;
	struct receipt_of_frame v[LINK_WINDOW];
};

/* What one machine cosigned of another's log. */
struct cosigned {
	struct witness_last last;
	unsigned older; /* heads that were older than that, in a row */
	bool alarm, forked;
};

#define TREE_LEVELS 40u
struct log { /* fleet_log.c */
	struct tree_level {
		uint8_t (*hash)[32]; /* roots of complete subtrees of 2^level leaves */
		size_t n, room;
	} level[TREE_LEVELS];
	uint64_t rolled;                /* how often its disk went back */
	struct cosigned of_hub, at_hub; /* what it cosigned of its hub's log; what its hub did of this one */
	struct witness_last *heads;     /* all that anybody cosigned of this log */
	size_t n_heads, heads_room;
	uint64_t told;                           /* how much of it the hub said to have cosigned */
	uint64_t asked, look_ns, until_ns, life; /* of its last question */
};

struct machine {
	struct fleet *fleet;
	struct world *w;
	uint32_t number, hub, at_hub; /* at_hub: its node number there */
	char name[16];
	uint8_t key[32], journal[32];
	struct link_end *up;    /* its end, or NULL: the root */
	struct link_end *to_it; /* its hub's end of the same link */
	struct watch watch, watch_hub;
	bool no_up, no_down, off; /* nothing passes; its power is off */
	bool taken;               /* it is another machine that has power again */
	uint64_t cut;             /* counts cuts */
	uint64_t wake_at;
	bool rejoin;
	struct log log;
	uint8_t held[FRAME_HELD_BYTES]; /* files that came ahead of leases, as link_held() takes them */
	size_t held_bytes;
	struct link_ahead_book book;
	uint64_t durable_told;
};

struct fleet {
	uint64_t seed, now, orders;
	struct prng prng;
	struct faults faults;
	struct weather weather;
	FILE *trace;
	struct machine *m[MACHINES_MAX];
	uint32_t n;
	struct net_event *heap;
	size_t n_heap, heap_room;
	uint8_t *scratch, *frame, *peek;
	struct prng post; /* of what logs say to each other: the rest of a day is the same without them */
	struct sha256 *sha;
	struct merkle_hash merkle;
	const char *quota_of; /* fleet_quota() */
	uint64_t quota;
	struct fleet_counts counts;
};

void fleet_say(struct fleet *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool fleet_chance(struct fleet *f, uint32_t per_thousand);

static inline uint64_t soonest(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* fleet_net.c */
void net_at(struct fleet *f, uint64_t when, struct net_event ev);
struct net_event net_pop(struct fleet *f);
void net_child_end(struct machine *m); /* make the ends of its link anew */
void net_hub_end(struct machine *m);
void net_end_free(struct link_end *l, enum link_side side);
/* Both ends hear that the fabric carries, each when it is told; unless it is cut again before. */
void net_connect(struct machine *m, uint64_t in_ns);
void net_disconnect(struct machine *m, bool hub, bool child);
void net_connected(struct machine *m, bool down, bool on);
/* Say all that there is to say at this machine, and know when to look again. */
void net_pump(struct machine *m);
void net_deliver(struct fleet *f, const struct net_event *ev);
/* A file has come ahead of a lease. */
void net_has(struct machine *m, uint64_t blob);

/* fleet_log.c */
void log_init(struct machine *m);
void log_free(struct machine *m);
void log_rolled_back(struct machine *m);
void log_look(struct machine *m);
void log_deliver(struct fleet *f, const struct net_event *ev);
void log_check_quiet(struct fleet *f);

/* fleet_audit.c */
void audit_results(struct fleet *f);

#endif
