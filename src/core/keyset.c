/* SPDX-License-Identifier: Apache-2.0 */
/* keyset - see keyset.h. */
#include "core/keyset.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct keyset_key *find(struct keyset *s, Wire__KeySet__Role role, const char *vkey)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->key[i].role == role && strcmp(s->key[i].vkey, vkey) == 0)
			return &s->key[i];
	return NULL;
}

const struct keyset_key *keyset_find(const struct keyset *s, Wire__KeySet__Role role, const char *vkey)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->key[i].role == role && strcmp(s->key[i].vkey, vkey) == 0)
			return &s->key[i];
	return NULL;
}

static void end(struct keyset_key *k, uint64_t entry, Wire__KeySet__State state, const char *reason)
{
	k->first_end = k->until < entry ? k->until : entry;
	k->state = state;
	k->until = entry;
	(void)snprintf(k->reason, sizeof(k->reason), "%s", reason);
}

void keyset_fold(struct keyset *s, uint64_t entry, Wire__KeySet__Role role, Wire__KeySet__State state,
        const char *vkey, const char *reason)
{
	struct keyset_key *k = find(s, role, vkey);

	if (k) {
		/* A revocation stands over a retirement, and nothing over a revocation. */
		if (state == WIRE__KEY_SET__STATE__REVOKED && k->state != WIRE__KEY_SET__STATE__REVOKED)
			end(k, entry, state, reason);
		else if (state == WIRE__KEY_SET__STATE__RETIRED && k->state == WIRE__KEY_SET__STATE__ADDED)
			end(k, entry, state, reason);
		return;
	}
	if (state != WIRE__KEY_SET__STATE__ADDED || s->n == KEYSET_MAX || strlen(vkey) >= NOTE_VKEY_MAX)
		return;
	k = &s->key[s->n++];
	memset(k, 0, sizeof(*k));
	k->role = role;
	k->state = state;
	k->since = entry;
	k->until = k->first_end = KEYSET_FOREVER;
	(void)snprintf(k->vkey, sizeof(k->vkey), "%s", vkey);
}

unsigned keyset_signers(const struct keyset *s, const struct keyset_key *out[KEYSET_SIGNERS])
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n && n < KEYSET_SIGNERS; i++)
		if (s->key[i].role == WIRE__KEY_SET__ROLE__LOG &&
		        s->key[i].state == WIRE__KEY_SET__STATE__ADDED)
			out[n++] = &s->key[i];
	return n;
}

static const struct keyset_key *last_of(const struct keyset *s, Wire__KeySet__Role role)
{
	const struct keyset_key *last = NULL;

	for (unsigned i = 0; i < s->n; i++)
		if (s->key[i].role == role && s->key[i].state == WIRE__KEY_SET__STATE__ADDED)
			last = &s->key[i];
	return last;
}

const struct keyset_key *keyset_node(const struct keyset *s)
{
	return last_of(s, WIRE__KEY_SET__ROLE__NODE);
}

const struct keyset_key *keyset_anchor(const struct keyset *s)
{
	return last_of(s, WIRE__KEY_SET__ROLE__ANCHOR);
}

int keyset_check_anchor(const struct keyset *s, const char *account, uint64_t size, struct err *e)
{
	const struct keyset_key *k = keyset_find(s, WIRE__KEY_SET__ROLE__ANCHOR, account);

	if (!k)
		return err_set(e, ERR_CORRUPT, "account %.60s is none that the log knows", account);
	if (k->first_end < size)
		return err_set(e, ERR_CORRUPT,
		        "account %.60s speaks no more since entry %" PRIu64 ", which the head of %" PRIu64
		        " entries holds that it anchored: %.60s",
		        account, k->first_end, size, k->reason);
	return 0;
}

int keyset_check(const struct keyset *s, const char *vkey, uint64_t entry, struct err *e)
{
	const struct keyset_key *k = keyset_find(s, WIRE__KEY_SET__ROLE__NODE, vkey);

	if (!k)
		return err_set(e, ERR_CORRUPT, "the node's key is none that its log knows");
	if (k->state == WIRE__KEY_SET__STATE__REVOKED && k->until < entry)
		return err_set(e, ERR_CORRUPT,
		        "the node's key was revoked in entry %" PRIu64
		        ", before the receipt in entry %" PRIu64 ": %.100s",
		        k->until, entry, k->reason);
	return 0;
}

/* Is "+ID+" what stands between the name and the key? The name has no "+". */
static bool has_id(const char *vkey, const char *id)
{
	const char *plus = strchr(vkey, '+');

	return plus && strlen(id) == 8 && strncmp(plus + 1, id, 8) == 0 && plus[9] == '+';
}

int keyset_named(const struct keyset *s, const char *name, const struct keyset_key **out, struct err *e)
{
	const struct keyset_key *found = NULL;

	for (unsigned i = 0; i < s->n; i++) {
		const struct keyset_key *k = &s->key[i];

		if (k->role == WIRE__KEY_SET__ROLE__WITNESS)
			continue;
		if (strcmp(k->vkey, name) != 0 && !has_id(k->vkey, name))
			continue;
		if (found) {
			(void)err_set(e, ERR_EXISTS, "'%.100s' could be several keys", name);
			return err_hint(e, "give all of it: NAME+ID+KEY");
		}
		found = k;
	}
	if (!found) {
		(void)err_set(
		        e, ERR_NOTFOUND, "no key of the log, the node or its anchors is '%.150s'", name);
		return err_hint(e, "'osier ledger keys' lists them; of NAME+ID+KEY the ID is enough");
	}
	*out = found;
	return 0;
}

int keyset_may_revoke(const struct keyset *s, const struct keyset_key *k, struct err *e)
{
	const struct keyset_key *signers[KEYSET_SIGNERS];
	bool log = k->role == WIRE__KEY_SET__ROLE__LOG;

	if (k->state == WIRE__KEY_SET__STATE__REVOKED)
		return err_set(e, ERR_EXISTS, "entry %" PRIu64 " has revoked this key already", k->until);
	if (k->role == WIRE__KEY_SET__ROLE__ANCHOR) {
		if (keyset_anchor(s) != k)
			return 0;
		(void)err_set(e, ERR_DENIED, "nothing else anchors: a new account must be there first");
		return err_hint(e, "osier ledger keys rotate anchor");
	}
	if (log ? keyset_signers(s, signers) == 1 && signers[0] == k : keyset_node(s) == k) {
		(void)err_set(e, ERR_DENIED, "nothing else signs %s: a new key must be there first",
		        log ? "the log" : "what is run");
		return err_hint(e, "osier ledger keys rotate %s", log ? "log" : "node");
	}
	return 0;
}
