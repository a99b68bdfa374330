/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fabric - what a hub and its nodes, which witness each other's logs, make of each other's heads: whose keys count, and when it is an alarm.
 *
 * Not cosigning itself (witness.h) and not who carries it (engine/fabric.h). Who the other side is its certificate has said; which log is
 * its own it says the first time, and from then on only keys that a known key's signature stands beside take over. Pure.
 */
#ifndef OSIER_CORE_FABRIC_H
#define OSIER_CORE_FABRIC_H

#include "core/keyset.h"
#include "core/policy.h"
#include "core/witness.h"

/* The keys that sign heads of one log; n 0: none are known. Their name is the log's origin. */
struct fabric_keys {
	unsigned n;
	char vkey[KEYSET_SIGNERS][NOTE_VKEY_MAX];
};
/* ERR_INVALID: it is no key of a log, or of another log than those before it; ERR_FULL. One that is there is not added. */
int fabric_keys_add(struct fabric_keys *k, const char *vkey, struct err *e);
/* The origin; "" when there is no key. */
void fabric_origin(const struct fabric_keys *k, char out[NOTE_NAME_MAX + 1]);
/* A policy that trusts these and asks for no witness. */
void fabric_policy(const struct fabric_keys *k, struct policy *out);

/* The other side shows a head and says which keys sign its log. May they count from now on, for who knew `had` (n 0: nothing yet)? The
 * head must be signed by one of `said`, and by one of `had`; none of their signatures may be wrong. *out: the head; `p` holds the policy of
 * `said` when it returns 0. ERR_CORRUPT: another log, or nobody who is known signed. */
int fabric_agree(const struct fabric_keys *had, const struct fabric_keys *said, const struct note *head,
        const struct note_verifier *v, struct policy *p, struct checkpoint *out, struct err *e);

/* What the head is to who cosigned `had` entries before. */
enum fabric_word {
	FABRIC_GROWS,
	FABRIC_OLDER,   /* smaller: its log went back in time, or an older copy of it speaks */
	FABRIC_FORKED,  /* not what was cosigned and more: it has two histories */
	FABRIC_UNCLEAR, /* nothing about the log: the request was not as it should be */
};
enum fabric_word fabric_judge(enum witness_status answer, uint64_t had, uint64_t shown);

/* An older head is an alarm when it is shown so many times in a row: who takes a hub over may show one while it reads the record. */
#define FABRIC_OLDER_TIMES 2u

#endif
