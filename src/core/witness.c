/* SPDX-License-Identifier: Apache-2.0 */
/* witness - see witness.h. */
#include "core/witness.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"

static enum witness_status refuse(enum witness_status s, struct err *e, const char *why)
{
	(void)err_set(e, s == WITNESS_UNKNOWN ? ERR_NOTFOUND : ERR_INVALID, "%s", why);
	return s;
}

/* ---- the witness's side ---- */

static bool of_origin(const struct policy_log *l, const struct checkpoint *c)
{
	return strlen(l->key.name) == c->origin_n && memcmp(l->key.name, c->origin, c->origin_n) == 0;
}

static enum witness_status check_signatures(const struct policy *logs, const struct note_verifier *v,
        const struct witness_request *r, struct err *e)
{
	bool known = false, is_signed = false;

	for (unsigned i = 0; i < logs->logs; i++) {
		if (!of_origin(&logs->log[i], &r->head))
			continue;
		known = true;
		switch (note_verify(&r->note, &logs->log[i].key, v, NULL)) {
		case NOTE_FORGED:
			return refuse(WITNESS_UNTRUSTED, e, "the log's signature does not verify");
		case NOTE_SIGNED:
			is_signed = true;
			break;
		case NOTE_UNSIGNED:
			break;
		}
	}
	if (!known)
		return refuse(WITNESS_UNKNOWN, e, "this log is not witnessed here");
	return is_signed ? WITNESS_COSIGNED
	                 : refuse(WITNESS_UNTRUSTED, e, "no key of the log that is trusted here signed it");
}

enum witness_status witness_read(const struct policy *logs, const struct note_verifier *v, const char *bytes,
        size_t n, struct witness_request *out, struct err *e)
{
	enum witness_status s;

	memset(out, 0, sizeof(*out));
	if (n > WITNESS_REQUEST_MAX) {
		(void)err_set(e, ERR_INVALID, "a request of more than %u KiB", WITNESS_REQUEST_MAX / 1024);
		return WITNESS_MALFORMED;
	}
	if (addcheckpoint_parse(bytes, n, &out->body, e) < 0 ||
	        note_parse(out->body.note, out->body.note_n, &out->note, e) < 0 ||
	        checkpoint_parse(out->note.text, out->note.text_n, &out->head, e) < 0)
		return WITNESS_MALFORMED;
	if (out->note.text_n > WITNESS_TEXT_MAX)
		return refuse(WITNESS_MALFORMED, e, "the checkpoint has too many extensions");
	s = check_signatures(logs, v, out, e);
	if (s != WITNESS_COSIGNED)
		return s;
	if (out->body.old > out->head.size)
		return refuse(WITNESS_MALFORMED, e, "the old size is above the checkpoint's");
	return WITNESS_COSIGNED;
}

enum witness_status witness_decide(const struct merkle_hash *h, const struct witness_last *last,
        const struct witness_request *r, bool *out_fork, struct err *e)
{
	const struct proof *p = &r->body.path;

	/* Told whatever the old size says: it needs no proof. */
	*out_fork = last->size && r->head.size == last->size && memcmp(r->head.root, last->root, 32) != 0;
	if (r->body.old != last->size) {
		(void)err_set(e, ERR_EXISTS, "the size that was cosigned last is %" PRIu64, last->size);
		return WITNESS_CONFLICT;
	}
	if (*out_fork) {
		(void)err_set(e, ERR_CORRUPT,
		        "the log signed two different trees of %" PRIu64 " entries: it shows two faces",
		        last->size);
		return WITNESS_REFUSED;
	}
	if (proof_consistency_verify(h, last->size, last->root, r->head.size, r->head.root,
	            (const uint8_t(*)[MERKLE_HASH_BYTES])p->hash, p->n, e) < 0) {
		(void)err_wrap(e, "it is not shown that the log only grew");
		return WITNESS_REFUSED;
	}
	return WITNESS_COSIGNED;
}

/* ---- the log's side ---- */

bool witness_size(const char *body, size_t n, uint64_t *out)
{
	uint64_t v = 0;

	if (n < 2 || n > 21 || body[n - 1] != '\n' || (body[0] == '0' && n > 2))
		return false;
	for (size_t i = 0; i < n - 1; i++)
		if (body[i] < '0' || body[i] > '9' || __builtin_mul_overflow(v, 10u, &v) ||
		        __builtin_add_overflow(v, (uint64_t)(body[i] - '0'), &v))
			return false;
	*out = v;
	return true;
}

/* The head with the body's lines as its signatures. */
static int attach(const struct note *head, const char *body, size_t n,
        char buf[WITNESS_TEXT_MAX + 1 + WITNESS_ANSWER_MAX], struct note *out, struct err *e)
{
	if (n > WITNESS_ANSWER_MAX)
		return err_set(e, ERR_CORRUPT, "an answer of more than %u KiB", WITNESS_ANSWER_MAX / 1024);
	/* An empty line would begin another note. */
	if (n == 0 || body[0] == '\n' || memmem(body, n, "\n\n", 2))
		return err_set(e, ERR_CORRUPT, "the answer is no lines of signatures");
	memcpy(buf, head->text, head->text_n);
	buf[head->text_n] = '\n';
	memcpy(buf + head->text_n + 1, body, n);
	if (note_parse(buf, head->text_n + 1 + n, out, e) < 0)
		return err_set(e, ERR_CORRUPT, "the answer is no lines of signatures");
	return 0;
}

int witness_line(const struct note *head, const struct note_key *k, const struct note_verifier *v,
        const char *body, size_t n, char out[NOTE_LINE_MAX], uint64_t *out_time, struct err *e)
{
	char buf[WITNESS_TEXT_MAX + 1 + WITNESS_ANSWER_MAX];
	struct note all, one;

	CHECK(head->text_n <= WITNESS_TEXT_MAX && k->type == NOTE_COSIGNATURE);
	if (attach(head, body, n, buf, &all, e) < 0)
		return -1;
	for (unsigned i = 0; i < all.sigs; i++) {
		const char *line = all.sig[i].name - 4, *end = all.sig[i].base64 + all.sig[i].base64_n;

		one = all;
		one.sig[0] = all.sig[i];
		one.sigs = 1;
		switch (note_verify(&one, k, v, out_time)) {
		case NOTE_UNSIGNED:
			continue;
		case NOTE_FORGED:
			return err_set(e, ERR_CORRUPT, "its cosignature does not verify");
		case NOTE_SIGNED:
			break;
		}
		if (*out_time == 0)
			return err_set(e, ERR_CORRUPT, "its cosignature has no time");
		CHECK((size_t)(end - line) + 2 <= NOTE_LINE_MAX);
		memcpy(out, line, (size_t)(end - line));
		out[end - line] = '\n';
		out[end - line + 1] = '\0';
		return 0;
	}
	return err_set(e, ERR_CORRUPT, "its answer has no cosignature by the key that the policy names");
}
