/* SPDX-License-Identifier: Apache-2.0 */
/* witness - see witness.h. */
#include "engine/witness.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "io/policy_file.h"
#include "io/ed25519.h"
#include "io/sha256.h"
#include "io/witness_store.h"

#define PLAIN "text/plain; charset=utf-8"

struct witness {
	pthread_mutex_t lock; /* of the store */
	struct witness_store *store;
	struct policy *logs;
	struct key key;
};

/* ---- opening ---- */

/* The memory comes first: so a key without it has signed what is not known any more. */
static int open_both(struct witness *w, const char *dir, const char *name, const char *secret, struct err *e)
{
	char path[4096];
	bool has_key;

	if (snprintf(path, sizeof(path), "%s/keys/witness.key", dir) >= (int)sizeof(path))
		return err_set(e, ERR_INVALID, "the state folder's name is too long");
	has_key = access(path, F_OK) == 0;
	if (witness_store_open(dir, !has_key, &w->store, e) < 0) {
		if (!has_key || e->code != ERR_NOTFOUND)
			return -1;
		(void)err_set(e, ERR_CORRUPT, "witness.db is gone, and with it what keys/witness.key signed");
		return err_hint(e, "restore it, or move the key away: a new witness begins, under a new key");
	}
	if (!has_key)
		return key_create(path, name, NOTE_COSIGNATURE, secret, &w->key, e);
	if (key_load(path, secret, &w->key, e) < 0)
		return -1;
	if (w->key.pub.type != NOTE_COSIGNATURE)
		return err_set(e, ERR_CORRUPT, "keys/witness.key is no key of a witness");
	return 0;
}

int witness_open(const char *state_dir, const char *policy, const char *name, const char *secret,
        struct witness **out, struct err *e)
{
	struct witness *w = calloc(1, sizeof(*w));

	CHECK(w);
	CHECK(pthread_mutex_init(&w->lock, NULL) == 0);
	w->logs = *policy ? policy_file_read(state_dir, policy, e) : calloc(1, sizeof(*w->logs));
	CHECK(w->logs || *policy);
	if (!*policy)
		w->logs->quorum = -1;
	if (!w->logs || open_both(w, state_dir, name, secret, e) < 0) {
		witness_close(w);
		return err_wrap(e, "ledger.witness");
	}
	*out = w;
	return 0;
}

void witness_close(struct witness *w)
{
	if (!w)
		return;
	witness_store_close(w->store);
	key_forget(&w->key);
	free(w->logs);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}

void witness_vkey(const struct witness *w, char out[NOTE_VKEY_MAX])
{
	note_key_print(&w->key.pub, out);
}

/* ---- cosigning ---- */

__attribute__((format(printf, 4, 5))) static void reply(
        struct witness_reply *out, unsigned status, const char *type, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(out->body, sizeof(out->body), fmt, ap);
	va_end(ap);
	CHECK(n >= 0);
	out->status = status;
	out->type = type;
	out->n = (size_t)n < sizeof(out->body) ? (size_t)n : sizeof(out->body) - 1;
}

/* The line with which we cosign a checkpoint's text. */
static size_t cosign(
        const struct witness *w, const char *text, size_t n, uint64_t time_s, char out[NOTE_LINE_MAX])
{
	char msg[sizeof(COSIGNED_HEAD) + WITNESS_TEXT_MAX];
	uint8_t sig[64];

	CHECK(n <= WITNESS_TEXT_MAX && time_s > 0);
	ed25519_sign(w->key.seed, msg, note_cosigned(time_s, text, n, msg), sig);
	return note_line(&w->key.pub, time_s, sig, out);
}

/* What is kept: the checkpoint with the signatures of keys that are trusted, which all verified. */
static size_t trusted_note(
        const struct policy *logs, const struct witness_request *r, char out[WITNESS_REQUEST_MAX])
{
	const struct note *note = &r->note;
	size_t n = note->text_n;

	memcpy(out, note->text, n);
	out[n++] = '\n';
	for (unsigned i = 0; i < note->sigs; i++) {
		const char *line = note->sig[i].name - 4;
		size_t len = (size_t)(note->sig[i].base64 + note->sig[i].base64_n - line) + 1;

		for (unsigned k = 0; k < logs->logs; k++) {
			const struct note_key *key = &logs->log[k].key;

			if (note->sig[i].name_n != strlen(key->name) ||
			        memcmp(note->sig[i].name, key->name, note->sig[i].name_n) != 0 ||
			        memcmp(note->sig[i].id, key->id, sizeof(key->id)) != 0)
				continue;
			memcpy(out + n, line, len);
			n += len;
			break;
		}
	}
	return n;
}

static void tell_fork(const struct witness_request *r)
{
	(void)fprintf(stderr,
	        "osier: the log '%.*s' shows two faces: it signed two trees of %" PRIu64
	        " entries; both are kept in witness.db\n",
	        (int)r->head.origin_n, r->head.origin, r->head.size);
}

void witness_add_checkpoint(
        struct witness *w, const void *body, size_t n, uint64_t now_s, struct witness_reply *out)
{
	witness_add_checkpoint_of(w, w->logs, body, n, now_s, out);
}

void witness_add_checkpoint_of(struct witness *w, const struct policy *logs, const void *body, size_t n,
        uint64_t now_s, struct witness_reply *out)
{
	struct note_verifier v = ed25519_verifier();
	char kept[WITNESS_REQUEST_MAX], line[NOTE_LINE_MAX];
	struct witness_request r;
	struct witness_taken t = {0};
	enum witness_status s;
	struct err e = {0};
	int rc;

	s = witness_read(logs, &v, body, n, &r, &e);
	if (s != WITNESS_COSIGNED) {
		reply(out, s, PLAIN, "%s\n", e.msg);
		return;
	}
	n = trusted_note(logs, &r, kept);
	(void)pthread_mutex_lock(&w->lock);
	rc = witness_store_take(w->store, &r, kept, n, now_s ? now_s : 1, &t, &e);
	(void)pthread_mutex_unlock(&w->lock);
	if (rc == 0 && t.new_fork)
		tell_fork(&r);
	if (rc < 0) {
		reply(out, 500, PLAIN, "%s\n", e.msg);
	} else if (t.status == WITNESS_CONFLICT) {
		reply(out, t.status, WITNESS_SIZE_TYPE, "%" PRIu64 "\n", t.size);
	} else if (t.status != WITNESS_COSIGNED) {
		reply(out, t.status, PLAIN, "%s\n", e.msg);
	} else {
		(void)cosign(w, r.note.text, r.note.text_n, t.time_s, line);
		reply(out, t.status, PLAIN, "%s", line);
	}
}

/* ---- looking ---- */

struct looking {
	struct witness_seen *out;
	size_t n, max;
};

static int look(void *ctx, const struct witness_row *row)
{
	struct looking *l = ctx;
	size_t i = 0;

	while (i < l->n && strcmp(l->out[i].origin, row->origin) != 0)
		i++;
	if (i == l->max)
		return 0;
	if (i == l->n) {
		memset(&l->out[i], 0, sizeof(l->out[i]));
		(void)snprintf(l->out[i].origin, sizeof(l->out[i].origin), "%s", row->origin);
		l->n++;
	}
	l->out[i].last = row->last;
	l->out[i].time_s = row->time_s;
	l->out[i].forks = row->forks;
	return 0;
}

static int look_for(void *ctx, const struct witness_row *row)
{
	struct witness_seen *s = ctx;

	if (strcmp(s->origin, row->origin) != 0)
		return 0;
	s->last = row->last;
	s->time_s = row->time_s;
	s->forks = row->forks;
	return -1;
}

bool witness_last_of(struct witness *w, const char *origin, struct witness_seen *out)
{
	memset(out, 0, sizeof(*out));
	(void)snprintf(out->origin, sizeof(out->origin), "%s", origin);
	(void)pthread_mutex_lock(&w->lock);
	(void)witness_store_each(w->store, look_for, out, &(struct err){0});
	(void)pthread_mutex_unlock(&w->lock);
	return out->time_s > 0;
}

size_t witness_logs(struct witness *w, struct witness_seen *out, size_t max)
{
	struct looking l = {.out = out, .max = max};

	for (unsigned i = 0; i < w->logs->logs && l.n < max; i++) {
		bool twice = false;

		for (size_t k = 0; k < l.n; k++)
			twice |= strcmp(out[k].origin, w->logs->log[i].key.name) == 0;
		if (twice)
			continue;
		memset(&out[l.n], 0, sizeof(out[l.n]));
		memcpy(out[l.n++].origin, w->logs->log[i].key.name, sizeof(out->origin));
	}
	(void)pthread_mutex_lock(&w->lock);
	(void)witness_store_each(w->store, look, &l, &(struct err){0});
	(void)pthread_mutex_unlock(&w->lock);
	return l.n;
}

struct finding {
	const struct witness *w;
	const uint8_t *sha256;
	char *out;
	size_t n;
};

static int find(void *ctx, const struct witness_row *row)
{
	struct finding *f = ctx;
	uint8_t digest[32];
	struct note note;

	sha256_of(row->origin, strlen(row->origin), digest);
	if (memcmp(digest, f->sha256, 32) != 0)
		return 0;
	/* The same line as then: Ed25519 signs the same bytes to the same signature. */
	if (note_parse(row->note, row->note_n, &note, NULL) == 0 && row->time_s > 0 &&
	        note.text_n <= WITNESS_TEXT_MAX) {
		f->out = malloc(row->note_n + NOTE_LINE_MAX);
		CHECK(f->out);
		memcpy(f->out, row->note, row->note_n);
		f->n = row->note_n + cosign(f->w, note.text, note.text_n, row->time_s, f->out + row->note_n);
	}
	return -1;
}

bool witness_checkpoint(struct witness *w, const uint8_t origin_sha256[32], char **out, size_t *out_n)
{
	struct finding f = {.w = w, .sha256 = origin_sha256};

	(void)pthread_mutex_lock(&w->lock);
	(void)witness_store_each(w->store, find, &f, &(struct err){0});
	(void)pthread_mutex_unlock(&w->lock);
	*out = f.out;
	*out_n = f.n;
	return f.out != NULL;
}
