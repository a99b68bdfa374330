/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame - bytes <-> what goes over a link (Protocol Buffers, see link.proto).
 *
 * Decoding treats the bytes as hostile, as entry.h does, but passes over fields of later minor versions; a frame of a kind that is
 * not known has body_case NOT_SET. Messages that end in a journal are inside as bytes, and are decoded strictly by those that take
 * them in (jobspec_decode(), frame_results(), frame_node()). Pure; memory comes from the caller's arena.
 */
#ifndef OSIER_WIRE_FRAME_H
#define OSIER_WIRE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "wire/entry.h"
#include "wire/link.pb-c.h"

#define FRAME_BYTES_MAX   (256u << 10) /* of one encoded frame: what the fabric carries */
#define FRAME_MEMBERS_MAX (1u << 17)   /* values of all fields, packed numbers not counted */
#define FRAME_ARENA_BYTES (8u << 20)   /* enough to decode any frame, and then what is inside it */
#define FRAME_HELD_MAX    32768u       /* leases that a node can hold of its parent: what fits one Hello */
#define FRAME_TEXT_MAX    512u         /* a reason, a note */
#define FRAME_NAME_MAX    LINK_NAME_MAX /* a node's name: [a-z0-9-], begins and ends with a letter or a digit */

#define FRAME_NEAR_MAX     8u   /* nodes that may have blobs of a grant */
#define FRAME_AT_MAX       120u /* where a node gives blobs to its neighbours: HOST:PORT */
#define FRAME_FAR_MAX      8u   /* nodes of which another one says how far they are */
#define FRAME_HELD_BYTES   512u /* of what a node says that it holds: 8 bytes a blob */
#define FRAME_AHEAD_MAX    8u   /* files that a hub names ahead of a lease */
#define FRAME_TICKET_BLOBS 16u
#define FRAME_TICKET_BYTES (15u + 8 + 2 * (1 + FRAME_NAME_MAX) + 1 + 32 * FRAME_TICKET_BLOBS + 64)

size_t frame_size(const Link__Frame *f);
/* Writes frame_size() bytes, returns them. */
size_t frame_encode(const Link__Frame *f, uint8_t *out);

/* Read a frame into the arena. ERR_CORRUPT: not a frame, or one whose parts do not fit each other; ERR_FULL: the arena is too small
 * or the frame too long. Held and live leases are rising, digests and keys have their length, texts are bounded. */
int frame_decode(struct arena *a, const uint8_t *bytes, size_t n, const Link__Frame **out, struct err *e);

/* What is inside, strictly: ERR_VERSION where it says more than this osier knows. Results have their shape (results_check()). */
int frame_results(
        struct arena *a, const ProtobufCBinaryData *bytes, const Wire__Results **out, struct err *e);
/* What a node can do. Fields of a later version are passed over and are not in *out: what is known of it is what can be used. */
int frame_node(struct arena *a, const ProtobufCBinaryData *bytes, const Wire__NodeSet **out, struct err *e);
int frame_principal(
        struct arena *a, const ProtobufCBinaryData *bytes, const Wire__Principal **out, struct err *e);

/* A share of quotas, or what is used of one: of at most QUOTA_SHARES_MAX namespaces. */
int frame_quota(struct arena *a, const ProtobufCBinaryData *bytes, const Wire__Quota **out, struct err *e);

/* Is this a name that a node may have (it is part of topics, certificates and file names)? */
int frame_name_ok(const char *name);

/* The reason of a Stop or an Ended; one that this osier does not know counts as cancelled. */
Wire__StopReason frame_reason(uint32_t reason);

/* "hello", "grant" ...; "unknown". */
const char *frame_kind_name(const Link__Frame *f);

#endif
