/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyset - which keys speak for a node, by what the KeySet entries of its log said, and at which place in it.
 *
 * Places, not times: a key that is stolen can sign any time, but it cannot move an entry of the log. So a revocation in entry N
 * says: what this key has signed in an entry after N counts for nothing; what stands before N stays good.
 *	log     every key that was added and not revoked signs the heads of trees that hold the entry which added it
 *	node    the one added last of those neither retired nor revoked signs what was run
 *	anchor  likewise, of accounts; one that was retired or revoked in entry N anchors no head that holds it
 * A key that was revoked once never speaks again. Pure; the struct is the caller's.
 */
#ifndef OSIER_CORE_KEYSET_H
#define OSIER_CORE_KEYSET_H

#include "core/note.h"
#include "wire/osier.pb-c.h"

#define KEYSET_MAX     128u       /* keys that a log remembers; what comes after them is not known */
#define KEYSET_FOREVER UINT64_MAX /* of until */
#define KEYSET_SIGNERS 8u         /* keys that may sign heads at a time */
#define KEYSET_REASON  200u       /* bytes of a reason, without its NUL */

struct keyset_key {
	Wire__KeySet__Role role;
	Wire__KeySet__State state;
	uint64_t since, until; /* entries that added it, and that retired or revoked it */
	uint64_t
	        first_end; /* the first of the latter: a revocation takes the place of a retirement in `until` */
	char vkey[NOTE_VKEY_MAX];
	char reason[KEYSET_REASON + 1]; /* of its end */
};
struct keyset {
	unsigned n;
	struct keyset_key key[KEYSET_MAX];
};

/* Fold in what entry `entry` said, in the order of entries. What makes no sense (a key ends that was never added) changes nothing. */
void keyset_fold(struct keyset *s, uint64_t entry, Wire__KeySet__Role role, Wire__KeySet__State state,
        const char *vkey, const char *reason);
const struct keyset_key *keyset_find(const struct keyset *s, Wire__KeySet__Role role, const char *vkey);
/* Those that may sign heads, oldest first; returns how many, at most KEYSET_SIGNERS. */
unsigned keyset_signers(const struct keyset *s, const struct keyset_key *out[KEYSET_SIGNERS]);
/* The one that signs what is run; NULL: none. */
const struct keyset_key *keyset_node(const struct keyset *s);

/* Does a Receipts entry at this place count, that is signed with this node's key? ERR_CORRUPT: names the entry that revoked it;
 * or the key was added later, or never. */
int keyset_check(const struct keyset *s, const char *vkey, uint64_t entry, struct err *e);

/* The account that anchors heads; NULL: none. */
const struct keyset_key *keyset_anchor(const struct keyset *s);
/* Does a head of `size` entries count that this account anchored? ERR_CORRUPT: names the entry in it that retired or revoked the account; or
 * the log never knew it. */
int keyset_check_anchor(const struct keyset *s, const char *account, uint64_t size, struct err *e);

/* The key that a user means: its vkey, or its id (8 hexadecimal digits), of log or node; or an account. ERR_NOTFOUND; ERR_EXISTS: several. */
int keyset_named(const struct keyset *s, const char *name, const struct keyset_key **out, struct err *e);
/* May it be revoked: ERR_EXISTS: it was; ERR_DENIED: nothing would be left to sign with. */
int keyset_may_revoke(const struct keyset *s, const struct keyset_key *k, struct err *e);

#endif
