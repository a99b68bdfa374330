/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fabric - a hub and its nodes witness each other's logs, over the identity that joining gave them (ledger.fabric).
 *
 * A node behind a NAT cannot be asked, so it is the node that asks: when its log or its hub's has grown, at most every so often, and not at all on
 * an idle link. One or two requests of the carrier, POST /v1/hub/witness, JSON both ways (all but `keys` may be null or left out):
 *	the node   witness, keys    its key as a witness, those that sign its log
 *	           cosigned         entries of the hub's log that it cosigned last
 *	           checkpoint       a head of its own log, as tlog-witness has it (old N, consistency proof, note)
 *	           note, line       a head of the hub's log, and its own cosignature of it: the second request
 *	the hub    witness, keys    the same of the hub
 *	           head             the hub's newest head, as `checkpoint`, from `cosigned` on; not when there is a note
 *	           status, answer   what a witness answers to the checkpoint
 *	           handed           entries under the note, which was taken
 *	           error            why the note, or the checkpoint, was not
 *	           mirrored         entries of the node's log that are kept here; not when none is to be
 * What the hub has not got yet the node brings in pieces (core/logpiece.h), POST /v1/hub/mirror, under the head of its own that the hub cosigned last:
 * one at a time, never while files move, with pauses as long as the last one took, and not over a link with a budget unless ledger.fabric.mirror
 * says so. The hub answers {mirrored, error}. It keeps them in STATE/mirrors/NAME-XXXXXXXX (io/mirrored.h), also when the node is gone.
 *
 * Both cosign with the key and the memory that they have as witnesses (witness.h): durable before it leaves. Whose cosignatures count is said
 * by policies as ever; a hub's ledger.policy that names a node's key takes what that node hands in.
 *
 * STATE/fabric: parent.json and child-NAME.json, what is known of the other side: its log's keys as they were first shown (core/fabric.h),
 * and an alarm. The evidence of one, forked-NAME or older-NAME (of the newest): `ours`, the head that was cosigned before; `theirs`, and `proof`, the
 * request with which it came. Loop thread.
 */
#ifndef OSIER_ENGINE_FABRIC_H
#define OSIER_ENGINE_FABRIC_H

#include "core/fabric.h"
#include "engine/node.h"

struct hub_asked;

/* Before links_init(): when there is a ledger, and ledger.fabric does not say no. */
void fabric_init(struct node *n);
/* The log was published, or the hub was heard: perhaps there is something to cosign. Cheap. */
void fabric_look(struct node *n);
/* A node's request; it is answered later. */
void fabric_ask(struct node *n, struct hub_asked *a);
/* A node's piece of its log, likewise. */
void fabric_bring(struct node *n, struct hub_asked *a);

struct fabric_view {
	const char *name;
	bool parent;
	const char *origin, *witness; /* of its log; its key as a witness; "" not known yet */
	uint64_t theirs, theirs_s;    /* entries of its log that we cosigned last, and when */
	uint64_t ours, ours_s;        /* of ours, that it did */
	const char *alarm, *evidence; /* "": none */
	uint64_t alarm_s;
	const char *error; /* why it went wrong lately; "" */
	/* Of a child: what is here of its log, in bytes of whole bundles, and the folder in STATE/mirrors; "" none. Of the hub: what it has of ours. */
	uint64_t mirrored, mirror_bytes;
	const char *mirror;
};
/* Be told of each: the hub first, then the children. Returns how often the logs are looked at, in ns; 0: never. */
uint64_t fabric_each(struct node *n, void (*fn)(void *ctx, const struct fabric_view *v), void *ctx);

/* Before the loop is closed; twice is fine. And after. */
void fabric_stop(struct node *n);
void fabric_close(struct node *n);

#endif
