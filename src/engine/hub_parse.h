/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_parse - what nodes and strangers send to a hub, taken apart: bodies of joining and renewing, ranges of bytes; and how often they may.
 * All of it hostile.
 */
#ifndef OSIER_ENGINE_HUB_PARSE_H
#define OSIER_ENGINE_HUB_PARSE_H

#include <stdbool.h>

#include "engine/hub_listener.h"

#define HUB_BLOB_BYTES_MAX (1ull << 40)

/* The body of a join or renewal (a->what) to the hub with this fingerprint; peer: whose certificate was shown, or "". Its signatures
 * hold: of the request by its own key, and of the statement (io/join.h) by the node's. a->request is the caller's. ERR_INVALID, ERR_VERSION,
 * ERR_DENIED say what is wrong. */
int hub_asked_read(const char *body, size_t n, const uint8_t fingerprint[16], const char *peer,
        struct hub_asked *a, struct err *e);

/* The body of JOIN_KEYS: what makes no sense in it is passed over. */
void hub_keys_asked_read(const char *body, size_t n, struct hub_asked *a);

/* How many wrong tokens an address may try: HUB_TRIES a second, twice as many at first. Zeroed to begin with. */
#define HUB_ADDRESSES 256u /* that are remembered; who was not seen for longest is forgotten */
struct hub_pace {
	struct {
		uint8_t address[16];
		uint64_t at_ns; /* when it was last reckoned; 0: nobody's */
		uint64_t milli; /* tries that are left, in thousandths */
	} of[HUB_ADDRESSES];
};
bool hub_pace_may(struct hub_pace *p, const uint8_t address[16], uint64_t now_ns);
void hub_pace_spend(struct hub_pace *p, const uint8_t address[16], uint64_t now_ns);

enum hub_range { RANGE_ALL, RANGE_PART, RANGE_BAD };
/* A Range header (NULL: none) for something of `size` bytes. Of several ranges, or what is no range, all is given, as RFC 9110 allows; PART:
 * *first and *count, count > 0; BAD: it begins past the end. */
enum hub_range hub_range(const char *text, uint64_t size, uint64_t *first, uint64_t *count);
/* What a PUT brings: bytes [*first, *end) of *total, by "bytes A-B/T" or, without, all by its length. < 0: it does not say. */
int hub_content_range(const char *range, const char *length, uint64_t *first, uint64_t *end, uint64_t *total);

#endif
