/* SPDX-License-Identifier: Apache-2.0 */
/*
 * links - this node's ends of links: towards its hub, and as a hub one for each child. The shell of core/link.h over io/mqtt.h.
 *
 * A frame is an MQTT message of QoS 0. Topics, all below osier/HUB:
 *	NODE/up     what the node says         NODE/down   what the hub says to it
 *	NODE/state  retained: "here", and as its last will "gone"
 *	hub         retained: "here", and as the hub's last will "gone"
 *	hubs        retained: where the hub may be (hub_places())
 * Work for a child is its lease's EFFECT_START, which round.c gives here instead of to the executor. What must be where before it counts:
 * the files that a task takes in lie here before it may start (its job is held until then), and large outputs lie at the hub before
 * their results are told. Loop thread only.
 */
#ifndef OSIER_ENGINE_LINKS_H
#define OSIER_ENGINE_LINKS_H

#include "core/link.h"
#include "engine/node.h"

struct links;

/* After the boot: the ends that the state and the settings ask for. What is amiss becomes a notice. */
void links_init(struct node *n);

/* An effect is durable: leases on children, delegated jobs, another parent. */
void links_effect(struct node *n, const struct effect *ef);
/* More of the journal is durable. */
void links_durable(struct node *n);
/* What a node can do has changed, or whether it can be reached: the parent will be told. */
void links_offer(struct node *n);
/* Children that hear nothing else hear how much there is in the journal here. */
void links_tell(struct node *n);
/* Another node of our hub was found to be so far, there and back. */
void links_answered(struct node *n, const char *name, uint64_t us);
/* Say what there is to say. At the end of a round. */
void links_flush(struct node *n);

/* What there is to see of the link to the parent; of that to a child. False: there is none. */
bool links_parent(const struct node *n, struct link_view *out);
bool links_child(const struct node *n, uint32_t node, struct link_view *out);
/* The parent's end: what went wrong with its transport lately, "" nothing. */
const char *links_why(const struct node *n);
/* Why the broker of this hub is not reached; NULL: it is, or this is no hub. */
const char *links_hub_why(const struct node *n);

/* Before the loop is closed, and after. */
void links_stop(struct node *n);
void links_close(struct node *n);

#endif
