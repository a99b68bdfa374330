/* SPDX-License-Identifier: Apache-2.0 */
/* fabric_work - heads of others that are cosigned, and cosignatures under heads of ours: in threads of the pool; see fabric.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/tlogproof.h"
#include "engine/fabric_int.h"
#include "io/clock.h"
#include "io/cosigned.h"
#include "io/ed25519.h"
#include "io/sha256.h"

/* ---- heads of the other side ---- */

static void keep(struct fabric_take *t, const char *origin, const struct addcheckpoint *a)
{
	const char *kind = t->word == FABRIC_FORKED ? "forked" : "older";
	uint8_t digest[32];
	char *ours = NULL;
	size_t n = 0;

	if (!t->keep)
		return;
	sha256_of(origin, strlen(origin), digest);
	(void)witness_checkpoint(t->w, digest, &ours, &n);
	fabric_evidence(t->dir, kind, t->name, ours ? ours : "", n, a->note, a->note_n, t->request, t->n,
	        t->evidence);
	free(ours);
}

static int read_head(struct fabric_take *t, struct addcheckpoint *a, struct note *note, struct policy *p,
        struct checkpoint *head)
{
	struct note_verifier v = ed25519_verifier();

	if (t->n > WITNESS_REQUEST_MAX)
		return err_set(&t->why, ERR_INVALID, "a head with its proof has at most %u bytes",
		        WITNESS_REQUEST_MAX);
	if (addcheckpoint_parse(t->request, t->n, a, &t->why) < 0 ||
	        note_parse(a->note, a->note_n, note, &t->why) < 0)
		return -1;
	return fabric_agree(&t->had, &t->said, note, &v, p, head, &t->why);
}

/* A witness that has forgotten, or has a key of before, goes on from what its mirror of that log holds. */
static void remember(struct fabric_take *t, const char *origin, struct policy *p, struct witness_seen *last)
{
	struct witness_reply reply;
	struct witness_last head;
	char *text;
	size_t n;

	text = t->mirror[0] ? mirrored_request(t->mirror, last->last.size, &n, &head) : NULL;
	if (!text)
		return;
	fabric_policy(t->had.n ? &t->had : &t->said, p);
	witness_add_checkpoint_of(t->w, p, text, n, clock_wall_ns() / 1000000000u, &reply);
	(void)witness_last_of(t->w, origin, last);
	fabric_policy(&t->said, p);
	free(text);
}

void fabric_take(struct fabric_take *t)
{
	struct policy *p = calloc(1, sizeof(*p));
	struct witness_seen last;
	struct addcheckpoint a;
	struct checkpoint head;
	struct note note;
	char origin[NOTE_NAME_MAX + 1];

	CHECK(p);
	t->word = FABRIC_UNCLEAR;
	if (read_head(t, &a, &note, p, &head) < 0) {
		t->reply.status = WITNESS_UNTRUSTED;
		free(p);
		return;
	}
	t->agreed = true;
	fabric_origin(&t->said, origin);
	memset(&last, 0, sizeof(last));
	(void)witness_last_of(t->w, origin, &last);
	remember(t, origin, p, &last);
	t->had_size = last.last.size;
	t->size = head.size;
	if (head.size < last.last.size) {
		t->reply.status = WITNESS_CONFLICT;
		t->reply.n = (size_t)snprintf(
		        t->reply.body, sizeof(t->reply.body), "%llu\n", (unsigned long long)last.last.size);
	} else {
		witness_add_checkpoint_of(
		        t->w, p, t->request, t->n, clock_wall_ns() / 1000000000u, &t->reply);
	}
	t->word = fabric_judge(t->reply.status, t->had_size, t->size);
	if (t->word == FABRIC_FORKED || t->word == FABRIC_OLDER)
		keep(t, origin, &a);
	else if (t->word == FABRIC_UNCLEAR)
		(void)err_set(&t->why, ERR_INVALID, "%.*s", (int)strcspn(t->reply.body, "\n"), t->reply.body);
	free(p);
}

/* ---- heads of ours ---- */

/* Is it a head of this log? */
static int check_head(struct fabric_hand *h, struct note *note, struct checkpoint *c, struct err *e)
{
	struct logstore *l = NULL;
	struct log_head head;
	uint8_t root[32];
	int rc = -1;

	if (note_parse(h->note, strlen(h->note), note, e) < 0 ||
	        checkpoint_parse(note->text, note->text_n, c, e) < 0 ||
	        logstore_open(h->dir, NULL, true, &l, e) < 0)
		return -1;
	if (logstore_head(l, &head, e) == 0) {
		struct proof_source s = logstore_source(l);
		struct merkle_hash hash = logstore_hash(l);

		if (c->size == 0 || c->size > head.size || c->origin_n != strlen(logstore_origin(l)) ||
		        memcmp(c->origin, logstore_origin(l), c->origin_n) != 0)
			(void)err_set(e, ERR_EXISTS, "the note is not a head of this log");
		else if (proof_root(&hash, &s, c->size, root, e) == 0)
			rc = memcmp(root, c->root, 32) == 0
			             ? 0
			             : err_set(e, ERR_EXISTS, "the note is not a head of this log");
	}
	logstore_close(l);
	return rc;
}

/* Does our policy name this witness? */
static bool named(const struct policy *p, const struct note_key *k)
{
	for (unsigned i = 0; p && i < p->members; i++)
		if (!p->member[i].group && strcmp(p->member[i].key.name, k->name) == 0 &&
		        memcmp(p->member[i].key.key, k->key, 32) == 0)
			return true;
	return false;
}

int fabric_hand(struct fabric_hand *h, struct err *e)
{
	struct note_verifier v = ed25519_verifier();
	struct policy_result trust;
	struct checkpoint c, again;
	struct note note, with;
	struct note_key key;
	char line[NOTE_LINE_MAX], *text;
	size_t n = strlen(h->note);
	bool met;
	int rc = 0;

	if (note_key_parse(h->vkey, strlen(h->vkey), &key, e) < 0)
		return -1;
	if (key.type != NOTE_COSIGNATURE)
		return err_set(e, ERR_INVALID, "'%.100s' is no key of a witness", h->vkey);
	if (check_head(h, &note, &c, e) < 0)
		return -1;
	if (note.text_n > WITNESS_TEXT_MAX)
		return err_set(e, ERR_INVALID, "the head has too many extensions");
	if (witness_line(&note, &key, &v, h->line, strlen(h->line), line, &h->time_s, e) < 0)
		return -1;
	h->size = c.size;
	if (!named(h->own, &key))
		return 0;
	text = malloc(n + NOTE_LINE_MAX);
	CHECK(text);
	memcpy(text, h->note, n);
	memcpy(text + n, line, strlen(line));
	if (note_parse(text, n + strlen(line), &with, e) < 0 ||
	        policy_check(h->own, &with, &v, &again, &trust, e) < 0 ||
	        cosigned_put(h->dir, h->own, &with, &again, &trust, &met, e) < 0)
		rc = -1;
	free(text);
	return rc;
}

char *fabric_show(const char *dir, uint64_t old, uint64_t *out_size, char **out_note)
{
	struct addcheckpoint a = {0};
	struct logstore *l = NULL;
	struct log_head *head = calloc(1, sizeof(*head));
	char *text = NULL;
	struct err e;

	CHECK(head);
	if (logstore_open(dir, NULL, true, &l, &e) == 0 && logstore_head(l, head, &e) == 0 && head->note_n) {
		struct proof_source s = logstore_source(l);
		struct merkle_hash hash = logstore_hash(l);

		a.old = old <= head->size ? old : 0;
		a.note = head->note;
		a.note_n = head->note_n;
		if (proof_consistency(&hash, &s, a.old, head->size, &a.path, &e) == 0) {
			text = malloc(addcheckpoint_size(&a) + 1);
			CHECK(text);
			text[addcheckpoint_print(&a, text)] = '\0';
			*out_size = head->size;
			if (out_note)
				*out_note = strndup(head->note, head->note_n);
		}
	}
	logstore_close(l);
	free(head);
	return text;
}
