/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anchored - which heads of the log were brought to a chain, an authority or calendars, and how that stands.
 *
 * Kept in ledger.db (io/logstore) in a table of its own:
 *	anchors (kind, place, size, root, note, state, time_s, proof, details)
 * Not the bringing (io/anchor, io/tsa, io/calendar) and not verified here: the proof is for who verifies the receipt.
 */
#ifndef OSIER_IO_ANCHORED_H
#define OSIER_IO_ANCHORED_H

#include "io/logstore.h"

#define ANCHORED_PLACE_MAX   320u
#define ANCHORED_PROOF_MAX   65536u
#define ANCHORED_DETAILS_MAX 4096u
#define ANCHORED_HEADS_MAX   16u /* in one receipt */

enum anchored_kind { ANCHORED_CHAIN, ANCHORED_AUTHORITY, ANCHORED_CALENDARS };
/* Numbers are stored. */
enum anchored_state {
	ANCHORED_SENT = 0,     /* a transaction is on its way */
	ANCHORED_REPLACED = 1, /* another one of the same nonce, at a higher price */
	ANCHORED_MINED = 2,    /* in a block that the chain may yet replace */
	ANCHORED_LOST = 3,     /* it was in a block, and that block is no more: on its way again */
	ANCHORED_FINAL = 4,
	ANCHORED_ALREADY = 5, /* it, or a later head, was there by another transaction */
	ANCHORED_FAILED = 6,  /* this try; there may be another */
	ANCHORED_PENDING = 7, /* calendars have it; Bitcoin has not */
	ANCHORED_STAMPED = 8, /* an authority has signed the time; or Bitcoin has it */
	ANCHORED_STATES
};
const char *anchored_kind_name(enum anchored_kind k);
const char *anchored_state_name(enum anchored_state s);
/* < 0: there is no such word. */
int anchored_kind_of(const char *name);
int anchored_state_of(const char *name);
/* Nothing comes after it. */
bool anchored_ended(enum anchored_state s);

struct anchored {
	enum anchored_kind kind;
	enum anchored_state state;
	const char *place; /* "CHAIN-ID/0xCONTRACT", "https://HOST", "calendars" */
	uint64_t size;     /* of the head */
	uint8_t root[32];
	uint64_t time_s;  /* of this news, since 1970, by this machine */
	const char *note; /* the signed head */
	size_t note_n;
	const uint8_t *
	        proof; /* a transaction as it was sent, a response of RFC 3161, an .ots file; none yet: n 0 */
	size_t proof_n;
	const char *details; /* a JSON object, for people */
};

/* Keep it, in place of older news of the same head at the same place; news after the end are passed over. On a connection of its own:
 * for any thread, and blocking as long as something is being published. ERR_NOTFOUND: nothing was published yet. */
int anchored_put(const char *dir, const struct anchored *a, struct err *e);
/* The `limit` newest, newest first, borrowed for the call; of one kind (-1: all), at one place (NULL: all). Stops when each
 * returns < 0. */
int anchored_list(struct logstore *l, int kind, const char *place, uint64_t limit,
        int (*each)(void *ctx, const struct anchored *a), void *ctx, struct err *e);

#endif
