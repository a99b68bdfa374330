/* SPDX-License-Identifier: Apache-2.0 */
/* links_int - what links.c and links_results.c share. */
#ifndef OSIER_ENGINE_LINKS_INT_H
#define OSIER_ENGINE_LINKS_INT_H

#include "engine/carrier.h"
#include "engine/hub.h"
#include "engine/links.h"
#include "engine/node_int.h"
#include "engine/parent.h"
#include "engine/spec_cache.h"
#include "io/growing.h"
#include "io/mqtt.h"

#define LEASES_KNOWN 4096u /* when they were granted: a power of two */

struct link_here { /* one end */
	struct links *k;
	struct link_end *end;
	void *mem;
	size_t mem_bytes;
	uint32_t node; /* 0: towards the parent */
	char name[FRAME_NAME_MAX + 1];
	char topic[MQTT_TOPIC_MAX + 1]; /* what we say goes there */
	uint64_t due_ns;
	uint64_t status_ns; /* when it last told how it is */
	uint64_t status_session;
	bool touched;      /* is in links.touched */
	bool removed;      /* its certificates were revoked */
	bool here;         /* the other side is at the broker */
	uint64_t noted_ns; /* when it was last said that the child is refused */
	struct link_here *next_touched;
};

struct links {
	struct node *n;
	struct broker *broker;  /* our own, as a hub */
	struct mqtt *up, *down; /* to the parent's broker; to ours, as a hub */
	struct link_here *parent;
	struct link_here **children; /* by node number */
	uint32_t *hashes;            /* of their names, likewise */
	uint32_t n_children;         /* places in both */
	struct link_here *touched;
	uv_timer_t timer;
	uint64_t armed_ns;
	char hub[FRAME_NAME_MAX + 1];      /* our name as a hub */
	char *places;                      /* where it may be, as last told; NULL: not told */
	char upstream[FRAME_NAME_MAX + 1]; /* the parent's */
	char up_state[MQTT_TOPIC_MAX + 1]; /* where we say there that we are here */
	char why[240];                     /* the parent is not reached */
	char down_why[240];                /* likewise our broker as a hub */
	char files[3][4096];               /* of the parent */
	uint32_t uid, gid;                 /* whose tasks of the hub are here */
	char down_host[254];               /* where our broker as a hub is */
	uint16_t down_port;
	bool stopping;
	size_t n_denied;   /* nodes that the broker does not let in */
	bool changed;      /* the state of the end that has just received something */
	bool offer_due;    /* what we can do has changed */
	uint64_t quiet_ns; /* since when nobody has answered us behind a broker that does; 0: not so */
	struct {
		char host[256];
		unsigned port;
	} at, next;       /* the parent's broker: whose word we have, and where we look after this one */
	bool told;        /* the broker has said of our hub that it is there, or gone, since we came */
	unsigned untold;  /* connections in a row on which it did not */
	uint64_t open_ns; /* a transport could not be made, and is tried again then; 0: not so */
	int closing;      /* transports whose end is not told yet */

	void *scratch; /* of the ends: FRAME_ARENA_BYTES of address space */
	struct spec_ref spec;
	struct growing reading; /* a Results entry */
	uint8_t *outputs;       /* small ones of what is taken in */
	size_t outputs_max;
	struct moving *moving;        /* links_blobs.c */
	struct near *near;            /* links_near.c */
	struct ahead *ahead;          /* links_ahead.c */
	struct link_ahead_book book;  /* of all children */
	struct granted_near *granted; /* of the grant that is being taken in, or NULL */

	/* When leases here were granted, for the start times that go up. */
	struct {
		uint64_t lease, granted_ns;
	} known[LEASES_KNOWN];
	uint8_t frame[FRAME_BYTES_MAX];
};

#define LINKS_ROOM (1u << 20) /* no more is said while so much waits in the transport */
#define LINKS_HERE "here"
#define LINKS_GONE "gone"
#define LINKS_REMOVED                                                                                        \
	"removed" /* the hub's last word to a node that it shuts out, in place of a frame: ask me over HTTPS */

/* ---- links.c ---- */

struct link_shell links_shell(struct links *k);
struct link_here *link_here_new(struct links *k, enum link_side side);
void link_here_free(struct link_here *h);
/* It is touched no more, and freed; its place is the caller's. NULL is fine. */
void links_drop(struct links *k, struct link_here *h);
/* The other side is at the broker, or not. */
void link_set_here(struct link_here *h, bool here);
void links_publish_state(struct mqtt *m, const char *topic, const char *word);
bool links_says(const struct mqtt_message *m, const char *word);
/* A node that goes down decides nothing more, and on a full disk neither: the link repairs what is not heard. */
bool links_deaf(const struct links *k);
void links_on_room(void *ctx);
/* What ends there should be has changed. */
void links_refresh(struct links *k);
/* Look at this end at the end of the round. */
void link_touch(struct link_here *h);

/* The timer goes off no later. */
void links_wake_at(struct links *k, uint64_t due_ns);

/* ---- links_quota.c ---- */

bool links_sign(void *ctx, const uint8_t *bytes, size_t n, uint8_t out[64]);
bool links_verify(void *ctx, const uint8_t *bytes, size_t n, const uint8_t signature[64]);

/* ---- links_hub.c ---- */

int links_hub_open(struct links *k, struct err *e);
/* Ends for all children that the core knows; the core knows all that have a certificate; who has none any more is heard no more. */
void links_children_open(struct links *k);
void links_children_join(struct links *k);
void links_shut_out(struct links *k);
void links_hub_news(void *ctx, enum hub_change what);
bool links_hub_moves(struct links *k); /* its broker is to be another one at the next start */
void links_hub_gone(struct links *k);  /* as links_parent_gone(), for the children */
struct link_here *links_child_at(const struct links *k, uint32_t node); /* or NULL */

/* ---- links_parent.c ---- */

int links_parent_open(struct links *k, struct err *e);
/* The core knows this parent, or none. */
void links_parent_tell(struct links *k);
void links_parent_news(void *ctx, enum parent_change what);
/* The hub hears that we go; taking leave of its broker would tell it nothing. Before mqtt_close(). */
void links_parent_gone(struct links *k);
/* We were refused as one that may be a copy, and do not come to the broker for a while. */
bool links_stand_back(const struct links *k);
/* Is there a hub that does not answer us, or one that takes us for a copy? */
void links_parent_look(struct link_here *h);

/* ---- links_blobs.c ---- */

/* Does the job take in files that are not here? Then it must come held, and be given to links_fetch(), which lets it start. */
bool links_lacks_files(struct links *k, const Wire__JobSpec *spec);
void links_fetch(struct links *k, uint64_t job);
void links_fetch_held(struct links *k); /* all that are held, after a start */
/* Is the file at the hub? If not it is on its way from now on, and the parent's end is touched when it has arrived. */
bool links_carried(struct links *k, const uint8_t digest[32]);
void links_told(struct links *k, const uint8_t digest[32]); /* the result that named it is told */
/* The hub is elsewhere now: what was on its way to the other place goes there. */
void links_moved(struct links *k);
void links_move(struct links *k); /* what was to be tried again; when the timer went off */
void links_moving_free(struct links *k);

/* Call `fn` for each file that the job takes in; bytes UINT64_MAX: not known. */
void links_files_of(const Wire__JobSpec *spec,
        void (*fn)(void *ctx, const uint8_t digest[32], uint64_t bytes), void *ctx);

/* ---- links_near.c ---- */

void links_near_init(struct links *k);
void links_near_free(struct links *k);
/* A large blob is here, and was used now. */
void links_near_used(struct links *k, const uint8_t digest[32], uint64_t bytes);
/* A file will be on its way to here. */
void links_near_expect(struct links *k, const uint8_t digest[32]);
void links_near_tell(struct links *k); /* the hub, if there is news; before ends are looked at */
void links_near_up(struct links *k);   /* the broker is reached */
void links_near_news(struct links *k); /* another certificate, another hub, or none */
/* As link_shell.near and link_shell.granted. */
void links_near(
        void *ctx, const struct lease_view *l, const Wire__JobSpec *granted, struct arena *a, Link__Grant *m);
void links_granted(void *ctx, const Link__Grant *m);
void links_ahead_near(
        void *ctx, uint32_t node, struct arena *a, Link__Ahead *m); /* as link_shell.ahead_near */
/* Who may have the blobs of a ticket; NULL: nobody, or it makes no sense. */
struct granted_near *links_near_read(
        const ProtobufCBinaryData *ticket, Link__Near *const *near, size_t n_near);
/* Get it from those (NULL: nobody), and what they do not have from the hub. */
void links_near_get(struct links *k, const struct granted_near *g, const uint8_t digest[32], uint64_t bytes,
        enum carrier_haste haste, carrier_blob_fn fn, void *ctx);
void links_near_drop(struct granted_near *g); /* NULL is fine */

/* ---- links_ahead.c ---- */

void links_ahead_init(struct links *k);
void links_ahead_free(struct links *k);
void links_ahead(void *ctx, const Link__Ahead *m); /* as link_shell.ahead */

/* ---- links_sources.c ---- */

/* As link_shell.sources. */
const Wire__Sources *links_sources(
        void *ctx, const struct lease_view *l, const Wire__JobSpec *spec, struct arena *a);

/* ---- links_results.c ---- */

void links_results(void *ctx, job_id job, uint64_t first, uint64_t most, size_t room_bytes, struct arena *a,
        struct link_results *out);
void links_take_results(void *ctx, const Wire__Results *r, const struct link_data *data, size_t n_data);

#endif
