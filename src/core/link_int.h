/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_int - what the two sides of a link share; private to src/core/link*.c, see link.h.
 *
 * A session: its number, and for each way the number of the last frame. Frames that we sent and that are not acknowledged are in
 * `sent`, by number; frames that we took in and that are not yet acknowledged are in `gates`: the size that the journal must have,
 * durably, before we may.
 */
#ifndef OSIER_CORE_LINK_INT_H
#define OSIER_CORE_LINK_INT_H

#include "base/idmap.h"
#include "base/pool.h"
#include "core/link.h"

#define TOLD_MAX 256u /* leases with something to tell, before all of them are looked at */
/* With more leases than this at a child those that run on tell what they have in turns, one every so often. */
#define PACED_PARTS 100u
#define PACE_NS     4000000ull
#define PAUSE_NS    1000000000ull /* the hub gives nothing for so long to a node that could not take a lease */
#define RETRY_NS    60000000000ull /* a child that was refused asks again */
/* A child that speaks from another place than it did so lately is one of two copies; if it was moved, the other has gone by then. */
#define MOVED_NS 20000000000ull
#define STRANGE_NS                                                                                           \
	25000000000ull /* who may be a copy asks again, and then after twice as long, up to an hour */
#define STRANGE_MAX 3600000000000ull
/* What a node may say as often as it likes must not fill the hub's journal: after OFFERS at once, of what it offers the last counts, so often. */
#define OFFERS   8u
#define OFFER_NS 250000000ull
#define FACTS_NS 1000000000ull /* how far it is: likewise */
#define AHEAD_NS 1000000000ull /* what a child may need next is looked for so often at most */
#define SHUN_NS                                                                                              \
	10000000000ull /* who sends what cannot be taken is heard no more for so long: less than RETRY_NS */

enum { IN_BUSY = 1, IN_PACED };
#define OFFER_BYTES     (16384u + CLASSES_BYTES)
#define CLASSES_BYTES   12288u /* of an offer, at most so much tells of classes */
#define QUOTA_ASK_BYTES 65536u
#define QUOTA_ASK_NS    2000000000ull  /* a node asks for its share of quotas no more often */
#define QUOTA_ASKS      8u             /* a hub takes so many questions at once, */
#define QUOTA_TAKE_NS   500000000ull   /* and one in each of these */
#define QUOTA_MISS_NS   60000000000ull /* and again when it has none */

/* LINK_TO_HUB: one lease of the parent's here. */
struct part {
	uint64_t lease, job; /* job 0: it was refused here */
	uint64_t first, tasks;
	uint64_t durable, told; /* tasks that have a durable result; of them, told in this session */
	uint64_t revealed;      /* tasks before this one need not be revealed any more in this session */
	struct link busy;
	uint8_t finished, ended, unwanted,
	        is_busy; /* finished: durably; ended: told; unwanted: the hub does not know it any more; is_busy: 0, or in which list */
	uint8_t reason;  /* Wire__StopReason, of one that was refused */
	uint8_t commit, reveal,
	        stopped; /* a replica: commits first; is asked to reveal; is not wanted any more */
	char note[119];
};

struct sent {
	uint64_t lease; /* LINK_TO_HUB: its Ended; LINK_TO_CHILD: its Grant; else 0 */
	uint32_t bytes;
	uint64_t at_ns;
};

/* Files that the child's next tasks may take in. */
struct ahead_list {
	uint32_t n;
	struct {
		uint8_t digest[32];
		uint64_t bytes;
		bool stale; /* not wanted at the last look: its lease may be on its way, so it stays for one more */
	} v[FRAME_AHEAD_MAX];
};

struct link_end {
	enum link_side side;
	struct link_shell shell;
	void *scratch;
	size_t scratch_bytes;
	char name[FRAME_NAME_MAX + 1];
	uint8_t key[32], journal[32], secret[32];
	uint64_t
	        place; /* LINK_TO_HUB: ours; LINK_TO_CHILD: where the session before, or this one, came from; 0: not known */
	uint64_t up_ns,
	        copy_ns; /* LINK_TO_CHILD: when the last session ended; when a copy was last refused */
	uint64_t
	        strange_ns; /* LINK_TO_HUB: the pause after the last refusal as one that may be a copy; 0: none */
	uint32_t node;
	enum link_state state;
	uint64_t since_ns, heard_ns;
	char reason[FRAME_TEXT_MAX + 1], hint[FRAME_TEXT_MAX + 1];
	uint32_t version;
	/* The session. */
	uint64_t session, session_max;         /* the highest ever */
	uint64_t out, out_acked, in, in_acked; /* in_acked: told to the other side */
	uint64_t progress_ns,
	        ack_wait_ns; /* when something of ours was last acknowledged, or first waited for it */
	uint64_t out_bytes;
	/* So many bytes may be under way now; the shortest time that an acknowledgement took in this session; the last frame that was sent
	 * when there was too much; was there more to say than went? */
	uint64_t bulk, quick_ns, slow_at;
	uint8_t bulk_full;
	struct sent sent[LINK_WINDOW];
	uint64_t gates[LINK_WINDOW];
	/* Unnumbered things to say. */
	uint64_t at_ns; /* Hello (the hub: Reset) not before; LINK_REFUSED: asks again */
	uint64_t gate;  /* Hello, Welcome: once so much is durable */
	uint64_t wait_ns;
	uint8_t status_due, welcome_due, reset_due, refused_due, node_due, said,
	        was_refused; /* LINK_TO_CHILD: `reason` says why it was not taken when it last asked */
	Link__Refused__Code refused;
	uint64_t refused_session, reset_session;
	uint8_t reset_any; /* whichever session lives is asked, not reset_session alone */
	Link__Status status, heard;
	uint64_t rtt_us;
	uint64_t n_sent, n_received, n_bad, n_sessions;
	/* LINK_TO_HUB */
	struct pool parts;
	struct idmap part_ids; /* by lease */
	struct list busy, paced;
	uint64_t batch_ns; /* since when something waits in `busy` */
	uint64_t paced_ns; /* nothing of `paced` is told earlier */
	uint64_t parent;
	/* Shares of quotas. LINK_TO_CHILD: the number of the one that is to be told. LINK_TO_HUB: what is to be asked, once so much is
	 * durable, and when the next question is due; what was busy when we last asked. */
	uint64_t quota_due, quota_told;
	uint64_t ask_gate, ask_ns, asked_ns, asked_busy;
	uint8_t ask_look, ask_first, quota_ask; /* quota_ask: LINK_TO_CHILD: it is to ask */
	size_t ask_bytes;
	uint8_t ask[QUOTA_ASK_BYTES];
	char share_why[FRAME_TEXT_MAX + 1]; /* LINK_TO_HUB: why the last share was not taken; "": it was */
	/* LINK_TO_HUB: what we can do. LINK_TO_CHILD: what it says that it can, and is not yet taken in; 0 bytes: nothing waits. */
	size_t offer_bytes;
	uint8_t offer[OFFER_BYTES];
	/* LINK_TO_HUB: blobs that are here, and where others get them. LINK_TO_CHILD: what it said of that. due: to be told; to be taken in. */
	size_t held_bytes;
	uint8_t held[FRAME_HELD_BYTES], held_due;
	char at[FRAME_AT_MAX + 1];
	struct link_far far[FRAME_FAR_MAX]; /* of other nodes, likewise */
	uint32_t n_far;
	/* LINK_TO_CHILD */
	uint64_t held_ns;  /* no NodeFacts of it before */
	uint64_t offer_ns; /* the offers taken in so far have their time until then, at OFFER_NS each */
	uint64_t facts_ns;
	uint64_t shun_ns;                  /* no Hello is listened to before */
	uint64_t granted, granted_durable; /* the highest lease sent in this session; that may be sent */
	uint64_t seen, size_said,          /* of its journal, by the other side's last frame: for showing */
	        size_heard; /* the child had this lease, its journal this size: durably, in this life of ours */
	uint64_t pause_ns;
	struct ahead_list ahead; /* as it was told in this session */
	uint64_t ahead_ns;       /* no look before */
	uint8_t ahead_look;      /* something has happened here since the last one */
	uint64_t told[TOLD_MAX];
	uint32_t n_told, scanning; /* scanning: tell of all leases after scan_at */
	uint64_t scan_at;
};

/* How long a lease that has not finished waits before more of its results are told, where so many leases are at the child: a hub's work
 * must not grow with the leases of its children. */
static inline uint64_t link_hold_ns(uint64_t parts)
{
	return parts > PACED_PARTS ? parts * PACE_NS : 0;
}

/* link.c */
/* May bulk be said now; may what is urgent? */
bool link_window_open(const struct link_end *l);
bool link_urgent_open(const struct link_end *l);
/* Encode a frame with this body as the next one of the session (numbered or not); its length, or 0 if it is too long. */
size_t link_emit(
        struct link_end *l, uint64_t now, Link__Frame *f, bool numbered, uint64_t lease, uint8_t *out);
/* Begin to count anew. */
void link_session(struct link_end *l, uint64_t now, uint64_t session);
void link_to(struct link_end *l, uint64_t now, enum link_state s);
bool link_command(struct link_end *l, const struct command *cmd, struct err *why);
void link_bad(struct link_end *l);
void link_words(struct link_end *l, const char *reason, const char *hint);
uint64_t link_oldest_due(const struct link_end *l);

/* link_child.c: our hub's other end. */
void child_begin(struct link_end *l, uint64_t now);
/* The same for a session that has ended: the node is alone until the hub answers. */
void child_again(struct link_end *l, uint64_t now);
/* The link was lost, if it was: the core counts from now on (NodeLink of node 0). */
void child_alone(struct link_end *l, bool lost);
void child_parts(struct link_end *l);
/* Before anything else: is the parent still the same? */
void child_look(struct link_end *l, uint64_t now);
void child_frame(struct link_end *l, uint64_t now, const Link__Frame *f, struct arena *a);
void child_acked(struct link_end *l, uint64_t lease);
void child_effect(struct link_end *l, uint64_t now, const struct effect *fx);
size_t child_next(struct link_end *l, uint64_t now, uint8_t *out);
uint64_t child_deadline(const struct link_end *l);
size_t child_hello(struct link_end *l, uint64_t now, uint8_t *out);

/* link_held.c */
void child_held(struct link_end *l);
/* What we can do: the hub's Welcome came; and the frame that says it. */
void child_offer_begin(struct link_end *l);
size_t child_offer_next(struct link_end *l, uint64_t now, uint8_t *out);
size_t child_held_next(struct link_end *l, uint64_t now, uint8_t *out);
void hub_held(struct link_end *l, const Link__Held *m);
void hub_held_take(struct link_end *l, uint64_t now);
/* link.c: how far the child is from here, and from others as it says, for `near`. */
void link_tell_latency(struct link_end *l);
/* link_ahead.c: what a child may need next. The link is another one; something happened; a look, and what there is to tell. */
void hub_ahead_begin(struct link_end *l);
void hub_ahead_look(struct link_end *l);
size_t hub_ahead_next(struct link_end *l, uint64_t now, uint8_t *out);
uint64_t hub_ahead_deadline(const struct link_end *l);
/* link_quota.c: shares of quotas. The child: a session begins, something happened, a share came, what it has to ask. */
void child_quota_begin(struct link_end *l, uint64_t now);
void child_quota_look(struct link_end *l);
void child_quota_came(struct link_end *l, uint64_t now, const Link__Quota *m, struct arena *a);
size_t child_quota_next(struct link_end *l, uint64_t now, uint8_t *out);
uint64_t child_quota_deadline(const struct link_end *l);
/* The hub: a question came; another share is durable; what there is to tell. */
void hub_quota_asked(struct link_end *l, uint64_t now, const Link__QuotaAsk *m, struct arena *a);
void hub_quota_effect(struct link_end *l, uint64_t number);
size_t hub_quota_next(struct link_end *l, uint64_t now, uint8_t *out);

/* link_hub.c */
void hub_hello(struct link_end *l, uint64_t now, const Link__Frame *f, struct arena *a);
void hub_frame(struct link_end *l, uint64_t now, const Link__Frame *f, struct arena *a);
void hub_reset(struct link_end *l, uint64_t now, uint64_t session);
void hub_effect(struct link_end *l, uint64_t now, const struct effect *fx);
size_t hub_next(struct link_end *l, uint64_t now, uint8_t *out);
uint64_t hub_deadline(const struct link_end *l);
/* Refused, Reset and Welcome: what may be said without a session. */
size_t hub_urgent(struct link_end *l, uint64_t now, uint8_t *out);

#endif
