/* SPDX-License-Identifier: Apache-2.0 */
/* fabric - see fabric.h. */
#include "core/fabric.h"

#include <string.h>

int fabric_keys_add(struct fabric_keys *k, const char *vkey, struct err *e)
{
	struct note_key key, first;
	size_t n = strlen(vkey);

	if (note_key_parse(vkey, n, &key, e) < 0)
		return -1;
	if (key.type != NOTE_ED25519)
		return err_set(e, ERR_INVALID, "'%.100s' is no key of a log", vkey);
	for (unsigned i = 0; i < k->n; i++)
		if (strcmp(k->vkey[i], vkey) == 0)
			return 0;
	if (k->n && (note_key_parse(k->vkey[0], strlen(k->vkey[0]), &first, e) < 0 ||
	                    strcmp(first.name, key.name) != 0))
		return err_set(
		        e, ERR_INVALID, "'%.100s' is a key of another log than '%.100s'", vkey, k->vkey[0]);
	if (k->n == KEYSET_SIGNERS)
		return err_set(e, ERR_FULL, "more than %u keys sign one log", KEYSET_SIGNERS);
	memcpy(k->vkey[k->n++], vkey, n + 1);
	return 0;
}

void fabric_origin(const struct fabric_keys *k, char out[NOTE_NAME_MAX + 1])
{
	struct note_key key;

	out[0] = '\0';
	if (k->n && note_key_parse(k->vkey[0], strlen(k->vkey[0]), &key, NULL) == 0)
		memcpy(out, key.name, sizeof(key.name));
}

void fabric_policy(const struct fabric_keys *k, struct policy *out)
{
	memset(out, 0, sizeof(*out));
	out->quorum = -1;
	for (unsigned i = 0; i < k->n; i++)
		if (note_key_parse(k->vkey[i], strlen(k->vkey[i]), &out->log[out->logs].key, NULL) == 0)
			out->logs++;
}

int fabric_agree(const struct fabric_keys *had, const struct fabric_keys *said, const struct note *head,
        const struct note_verifier *v, struct policy *p, struct checkpoint *out, struct err *e)
{
	char known[NOTE_NAME_MAX + 1], now[NOTE_NAME_MAX + 1];
	struct policy_result r;

	fabric_origin(had, known);
	fabric_origin(said, now);
	if (!said->n)
		return err_set(e, ERR_CORRUPT, "it names no key of its log");
	if (had->n && strcmp(known, now) != 0)
		return err_set(e, ERR_CORRUPT, "its log was '%.100s', and now it shows '%.100s'", known, now);
	if (had->n) {
		fabric_policy(had, p);
		if (policy_check(p, head, v, out, &r, e) < 0)
			return err_wrap(e, "by the keys that are known of it");
	}
	fabric_policy(said, p);
	return policy_check(p, head, v, out, &r, e);
}

enum fabric_word fabric_judge(enum witness_status answer, uint64_t had, uint64_t shown)
{
	if (shown < had)
		return FABRIC_OLDER;
	if (answer == WITNESS_COSIGNED)
		return FABRIC_GROWS;
	return answer == WITNESS_REFUSED ? FABRIC_FORKED : FABRIC_UNCLEAR;
}
