/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy - whom a verifier trusts: logs, witnesses and how many of them must agree (C2SP tlog-policy, 2026-06-22).
 *
 * Lines, in any order except that a name is defined before it is used; "#" begins a comment line:
 *	log VKEY [URL]
 *	witness NAME VKEY [URL]
 *	group NAME all|any|K MEMBER...      members are witnesses or groups, each in at most one group
 *	quorum NAME|none                    exactly one
 * Pure. The policy owns copies of all it holds.
 */
#ifndef OSIER_CORE_POLICY_H
#define OSIER_CORE_POLICY_H

#include "core/note.h"

enum { POLICY_BYTES_MAX = 256 * 1024, POLICY_ITEMS_MAX = 256, POLICY_URL_MAX = 512 };

struct policy_log {
	struct note_key key; /* NOTE_ED25519 */
	char url[POLICY_URL_MAX + 1];
};
struct policy_member {
	char name[NOTE_NAME_MAX + 1];
	bool group;
	int parent;                   /* the group that it is in, or -1 */
	struct note_key key;          /* of a witness: NOTE_COSIGNATURE */
	char url[POLICY_URL_MAX + 1]; /* of a witness */
	unsigned members, needed;     /* of a group */
};
struct policy {
	unsigned logs, members;
	int quorum; /* index of a member, or -1: none is asked for */
	struct policy_log log[POLICY_ITEMS_MAX];
	struct policy_member member[POLICY_ITEMS_MAX];
};

/* ERR_INVALID: "line N: ..." says what is wrong. `out` is large: give it a place of its own. */
int policy_parse(const char *text, size_t n, struct policy *out, struct err *e);

/* Its witnesses, groups and quorum as lines that policy_parse() takes, without addresses. Writes at most max bytes; returns how many there are. */
size_t policy_print_members(const struct policy *p, char *out, size_t max);

/* Is the quorum met by those witnesses for which has[i] is true (index: member)? */
bool policy_met(const struct policy *p, const bool has[POLICY_ITEMS_MAX]);

struct policy_result {
	const struct policy_log *log;      /* that signed it */
	unsigned witnesses;                /* whose cosignature verifies */
	bool has[POLICY_ITEMS_MAX];        /* by member */
	uint64_t time_s[POLICY_ITEMS_MAX]; /* of those, since 1970 */
	bool met; /* the quorum; false when the policy asks for none and no witness signed */
	bool quorum_none;
	uint64_t first_s, last_s; /* of the cosignatures: oldest and newest, seconds since 1970; 0 without */
};
/* Is `note` a checkpoint of a log that the policy trusts, for this origin, and who cosigned it? ERR_CORRUPT: no trusted log
 * signed it, or a signature of a trusted key does not verify. Too few witnesses is no error here: see *out. */
int policy_check(const struct policy *p, const struct note *n, const struct note_verifier *v,
        struct checkpoint *out_checkpoint, struct policy_result *out, struct err *e);
/* Are those enough? ERR_CORRUPT says how many did, and is to be wrapped in what they signed. */
int policy_enough(const struct policy_result *r, struct err *e);

#endif
