/* SPDX-License-Identifier: Apache-2.0 */
/*
 * witnesses - asks the witnesses of ledger.policy to cosign the log's heads (C2SP tlog-witness), and hands in what they sign.
 *
 * All are asked at once about one head, each in a thread of its own. The next head comes when the quorum is met or everybody has
 * answered, well or badly: so witnesses of different pace meet on the same heads, and one that hangs or is gone delays only
 * what needs it. Who fails is left alone for a growing while.
 * What a witness cosigned last it says itself (409); it is believed for the proof that it gets, nothing else: each cosignature is
 * verified here and again by the engine.
 */
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "core/witness.h"
#include "io/clock.h"
#include "io/ed25519.h"
#include "io/policy_file.h"
#include "io/sha256.h"
#include "messenger/services.h"

#define S_NS          1000000000ull
#define TIMEOUT_NS    (10 * S_NS) /* of a witness */
#define ENGINE_NS     (30 * S_NS)
#define AGAIN_NS      S_NS /* after a first failure; doubles */
#define AGAIN_MAX_NS  (60 * S_NS)
#define WAIT_S        40u            /* for a new head, when there is nothing else to do */
#define ANSWER_MAX    (256u * 1024u) /* of the engine */
#define WITNESSES_MAX 64u
#define TRIES         3 /* for one head: what it cosigned last is learnt from it, and may change meanwhile */

struct head {
	char note[NOTE_BYTES_MAX];
	size_t n;
	uint64_t size;
};

struct asker {
	struct asking *a;
	const struct policy_member *m;
	unsigned member;
	pthread_t thread;
	struct http *engine, *outside;
	uint64_t known; /* size that it cosigned last, as far as we know */
	char said[MESSENGER_SAID_MAX];
	/* under the lock */
	uint64_t round, done; /* asked to do; came to an end with. They differ: it is busy */
	uint64_t cosigned;    /* the size of the head that it cosigned last for us */
	uint64_t again_ns, pause_ns;
};

struct asking {
	const struct messenger *m;
	struct policy *policy;
	struct http *engine;
	char said[MESSENGER_SAID_MAX];
	pthread_mutex_t lock;
	pthread_cond_t change;
	bool over;
	uint64_t round;
	struct head head; /* of the round; changes only while nobody is busy with it: who is has a copy */
	unsigned n;
	struct asker *asker;
};

/* ---- one witness ---- */

/* The consistency proof, as the engine gives it. */
static int ask_proof(struct asker *w, uint64_t old, uint64_t size, struct proof *out, struct err *e)
{
	char target[120];
	struct http_answer a;
	json_t *j, *v;
	size_t i;
	int rc = 0;

	out->n = 0;
	if (old == 0 || old == size)
		return 0;
	(void)snprintf(
	        target, sizeof(target), "/v1/ledger/consistency?old=%" PRIu64 "&size=%" PRIu64, old, size);
	if (engine_ask(w->engine, HTTP_GET, target, NULL, NULL, 0, &a, e) < 0)
		return -1;
	j = json_loadb((const char *)a.body, a.body_n, 0, NULL);
	json_array_foreach(json_object_get(j, "path"), i, v)
	{
		const char *hex = json_string_value(v);

		if (i >= PROOF_MAX || !hex || sha256_unhex(hex, out->hash[i]) < 0)
			rc = -1;
		out->n = (unsigned)i + 1;
	}
	if (!j || rc < 0)
		rc = err_set(e, ERR_CORRUPT, "the engine gives no proof");
	json_decref(j);
	return rc;
}

static int post(struct asker *w, const struct head *h, const struct proof *p, uint64_t old,
        struct http_answer *out, struct err *e)
{
	struct addcheckpoint body = {.old = old, .path = *p, .note = h->note, .note_n = h->n};
	char url[POLICY_URL_MAX + 20];
	size_t n = strlen(w->m->url);
	struct http_request r = {
	        .method = HTTP_POST, .url = url, .type = "text/plain; charset=utf-8", .accept = "text/plain"};
	char *bytes = malloc(addcheckpoint_size(&body));
	int rc;

	CHECK(bytes);
	(void)snprintf(
	        url, sizeof(url), "%s%sadd-checkpoint", w->m->url, n && w->m->url[n - 1] == '/' ? "" : "/");
	r.body = bytes;
	r.body_n = addcheckpoint_print(&body, bytes);
	rc = http_ask(w->outside, &r, out, e);
	free(bytes);
	return rc;
}

/* A line of what a stranger says, fit for a log. */
static void clean(const struct http_answer *a, char out[100])
{
	size_t n = 0;

	for (size_t i = 0; i < a->body_n && n < 99 && a->body[i] != '\n'; i++)
		out[n++] = a->body[i] >= ' ' && a->body[i] < 0x7f ? (char)a->body[i] : '?';
	out[n] = '\0';
}

static int refused(const struct http_answer *a, struct err *e)
{
	char text[100];

	clean(a, text);
	switch (a->status) {
	case WITNESS_REFUSED:
		return err_set(e, ERR_CORRUPT,
		        "it refuses this head: it cosigned another history of this log (it says: %s)", text);
	case WITNESS_UNKNOWN:
		return err_set(e, ERR_NOTFOUND, "it does not witness this log (it says: %s)", text);
	case WITNESS_UNTRUSTED:
		return err_set(e, ERR_DENIED, "it does not trust this log's key (it says: %s)", text);
	default: /* not an enum */
		return err_set(e, ERR_INVALID, "it answers with %u: %s", a->status, text);
	}
}

/* The cosignature is good: to the engine with it. */
static int hand_in(struct asker *w, const struct head *h, const char *line, struct err *e)
{
	char *note = malloc(h->n + NOTE_LINE_MAX);
	struct http_answer a;
	size_t n;
	int rc;

	CHECK(note);
	memcpy(note, h->note, h->n);
	n = strlen(line);
	memcpy(note + h->n, line, n);
	rc = engine_ask(w->engine, HTTP_POST, "/v1/ledger/cosignatures", "text/plain", note, h->n + n, &a, e);
	free(note);
	return rc;
}

static int take_line(struct asker *w, const struct head *h, const struct http_answer *a,
        char line[NOTE_LINE_MAX], struct err *e)
{
	struct note_verifier v = ed25519_verifier();
	struct note note;
	uint64_t time_s;

	if (note_parse(h->note, h->n, &note, e) < 0)
		return -1;
	if (note.text_n > WITNESS_TEXT_MAX)
		return err_set(e, ERR_INVALID, "the head has too many extensions");
	return witness_line(&note, &w->m->key, &v, (const char *)a->body, a->body_n, line, &time_s, e);
}

static int cosign(struct asker *w, const struct head *h, struct err *e)
{
	char line[NOTE_LINE_MAX];
	struct http_answer a;
	struct proof proof;
	uint64_t told;

	for (int i = 0; i < TRIES; i++) {
		if (w->known > h->size) {
			uint64_t ahead = w->known;

			w->known = 0; /* asked again the next time */
			return err_set(e, ERR_CORRUPT,
			        "it cosigned %" PRIu64 " entries of this log, which has %" PRIu64
			        " here: a copy of this node went on elsewhere, or this one is an older "
			        "backup",
			        ahead, h->size);
		}
		if (ask_proof(w, w->known, h->size, &proof, e) < 0 || post(w, h, &proof, w->known, &a, e) < 0)
			return -1;
		if (a.status == WITNESS_COSIGNED) {
			if (take_line(w, h, &a, line, e) < 0 || hand_in(w, h, line, e) < 0)
				return -1;
			w->known = h->size;
			return 0;
		}
		if (a.status != WITNESS_CONFLICT || !witness_size((const char *)a.body, a.body_n, &told))
			return refused(&a, e);
		if (told == w->known)
			return err_set(e, ERR_CORRUPT, "it contradicts itself about what it cosigned last");
		w->known = told;
	}
	return err_set(e, ERR_CORRUPT, "it says another size each time");
}

/* The engine shows it to who asks how the witnesses are. */
static void tell(struct asker *w, const char *why)
{
	json_t *j = json_pack("{s:s, s:s}", "name", w->m->name, "error", why);
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	struct http_answer a;
	struct err e;

	if (text)
		(void)engine_ask(w->engine, HTTP_POST, "/v1/ledger/witnesses", "application/json", text,
		        strlen(text), &a, &e);
	free(text);
	json_decref(j);
	messenger_say(w->said, "witness '%.80s': %.220s", w->m->name, why);
}

/* Wait for something to do; false: it is over. */
static bool next(struct asker *w, struct head *out)
{
	struct asking *a = w->a;
	bool go;

	(void)pthread_mutex_lock(&a->lock);
	while (!a->over && w->round == w->done)
		(void)pthread_cond_wait(&a->change, &a->lock);
	go = !a->over;
	if (go) {
		out->n = a->head.n;
		out->size = a->head.size;
		memcpy(out->note, a->head.note, a->head.n);
	}
	(void)pthread_mutex_unlock(&a->lock);
	return go;
}

static void *run(void *arg)
{
	struct asker *w = arg;
	struct head *h = malloc(sizeof(*h));
	uint64_t round;
	struct err e;

	CHECK(h);
	while (next(w, h)) {
		round = w->round; /* changes only when it is done */
		if (cosign(w, h, &e) == 0) {
			if (w->said[0])
				(void)fprintf(
				        stderr, "osier messenger: witness '%.80s' cosigns\n", w->m->name);
			w->said[0] = '\0';
			e.code = ERR_NONE;
		} else if (!http_stopped(w->a->m->stop_fd)) {
			tell(w, e.msg);
		}
		(void)pthread_mutex_lock(&w->a->lock);
		w->done = round;
		if (e.code == ERR_NONE)
			w->cosigned = h->size;
		w->pause_ns = e.code == ERR_NONE               ? 0
		              : w->pause_ns == 0               ? AGAIN_NS
		              : w->pause_ns > AGAIN_MAX_NS / 2 ? AGAIN_MAX_NS
		                                               : 2 * w->pause_ns;
		w->again_ns = clock_mono_ns() + w->pause_ns;
		(void)pthread_cond_broadcast(&w->a->change);
		(void)pthread_mutex_unlock(&w->a->lock);
	}
	free(h);
	return NULL;
}

/* ---- all of them ---- */

static void stop(void *ctx)
{
	struct asking *a = ctx;

	(void)pthread_mutex_lock(&a->lock);
	a->over = true;
	(void)pthread_cond_broadcast(&a->change);
	(void)pthread_mutex_unlock(&a->lock);
	for (unsigned i = 0; i < a->n; i++) {
		(void)pthread_join(a->asker[i].thread, NULL);
		http_free(a->asker[i].engine);
		http_free(a->asker[i].outside);
	}
	http_free(a->engine);
	free(a->asker);
	free(a->policy);
	free(a);
}

/* What each cosigned last, as the engine remembers it; without it the witnesses say so themselves. */
static void recall(struct asking *a)
{
	struct http_answer answer;
	json_t *j, *v;
	struct err e;
	size_t i;

	if (engine_ask(a->engine, HTTP_GET, "/v1/ledger/witnesses", NULL, NULL, 0, &answer, &e) < 0)
		return;
	j = json_loadb((const char *)answer.body, answer.body_n, 0, NULL);
	json_array_foreach(json_object_get(j, "witnesses"), i, v)
	{
		const char *name = json_string_value(json_object_get(v, "name"));
		json_int_t size = json_integer_value(json_object_get(v, "size"));

		for (unsigned k = 0; name && size > 0 && k < a->n; k++)
			if (strcmp(a->asker[k].m->name, name) == 0)
				a->asker[k].known = (uint64_t)size;
	}
	json_decref(j);
}

static int add_asker(struct asking *a, unsigned member, struct err *e)
{
	const struct http_options outside = {
	        .timeout_ns = TIMEOUT_NS, .answer_max = WITNESS_ANSWER_MAX, .stop_fd = a->m->stop_fd};
	struct asker *w = &a->asker[a->n];

	*w = (struct asker){.a = a, .m = &a->policy->member[member], .member = member};
	w->engine = engine_connect(a->m, ENGINE_NS, ANSWER_MAX, e);
	if (!w->engine)
		return -1;
	if (http_new(&outside, &w->outside, e) < 0) {
		http_free(w->engine);
		return -1;
	}
	CHECK(pthread_create(&w->thread, NULL, run, w) == 0);
	a->n++;
	return 0;
}

static int start(const struct messenger *m, void **out, struct err *e)
{
	struct asking *a = calloc(1, sizeof(*a));

	CHECK(a);
	a->m = m;
	CHECK(pthread_mutex_init(&a->lock, NULL) == 0 && pthread_cond_init(&a->change, NULL) == 0);
	a->policy = policy_file_read(m->state_dir, m->config->policy, e);
	a->engine = a->policy ? engine_connect(m, ENGINE_NS, ANSWER_MAX, e) : NULL;
	a->asker = calloc(WITNESSES_MAX, sizeof(*a->asker));
	CHECK(a->asker);
	if (!a->engine)
		goto fail;
	for (unsigned i = 0; i < a->policy->members; i++) {
		if (a->policy->member[i].group || !a->policy->member[i].url[0])
			continue;
		if (a->n == WITNESSES_MAX) {
			(void)err_set(e, ERR_FULL, "the policy has more than %u witnesses", WITNESSES_MAX);
			goto fail;
		}
		if (add_asker(a, i, e) < 0)
			goto fail;
	}
	recall(a);
	*out = a;
	return 0;
fail:
	stop(a);
	return -1;
}

/* ---- rounds ---- */

/* Is there nothing more to wait for in this round? Under the lock. */
static bool round_over(const struct asking *a)
{
	bool has[POLICY_ITEMS_MAX] = {0}, busy = false;

	for (unsigned i = 0; i < a->n; i++) {
		has[a->asker[i].member] = a->asker[i].cosigned == a->head.size;
		busy |= a->asker[i].round == a->round && a->asker[i].done != a->round;
	}
	return !busy || (a->policy->quorum >= 0 && policy_met(a->policy, has));
}

/* Wait a second at most for the round to come to its end. */
static bool await_round(struct asking *a)
{
	struct timespec end;
	bool over;

	(void)clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec++;
	(void)pthread_mutex_lock(&a->lock);
	while (!(over = round_over(a)) && pthread_cond_timedwait(&a->change, &a->lock, &end) == 0)
		;
	(void)pthread_mutex_unlock(&a->lock);
	return over;
}

/* Who is idle and may be asked does the round. Who has cosigned this head has nothing to do. */
static void send_out(struct asking *a)
{
	uint64_t now = clock_mono_ns();

	for (unsigned i = 0; i < a->n; i++) {
		struct asker *w = &a->asker[i];

		if (w->round == w->done && w->cosigned != a->head.size && w->again_ns <= now)
			w->round = a->round;
	}
	(void)pthread_cond_broadcast(&a->change);
}

/* When the next of those that failed may be asked again; seconds from now, WAIT_S at most. */
static unsigned seconds_to_wait(struct asking *a)
{
	uint64_t now = clock_mono_ns(), least = WAIT_S * S_NS;

	(void)pthread_mutex_lock(&a->lock);
	for (unsigned i = 0; i < a->n && a->head.size; i++) {
		const struct asker *w = &a->asker[i];
		uint64_t left = w->again_ns > now ? w->again_ns - now : 0;

		/* One that is busy with an older head is looked at every second. */
		if (w->round != w->done)
			left = S_NS;
		else if (w->cosigned == a->head.size)
			continue;
		least = left < least ? left : least;
	}
	(void)pthread_mutex_unlock(&a->lock);
	return (unsigned)((least + S_NS - 1) / S_NS);
}

/* A newer head than the last, or the last again for those that failed. */
static int begin_round(struct asking *a, bool *out_new, struct err *e)
{
	char target[80];
	struct http_answer answer;
	struct checkpoint c = {0};
	struct note note;

	(void)snprintf(
	        target, sizeof(target), "/v1/ledger/checkpoint?after=%" PRIu64 "&wait=0", a->head.size);
	if (engine_ask(a->engine, HTTP_GET, target, NULL, NULL, 0, &answer, e) < 0)
		return -1;
	if (answer.status == 200 && (note_parse((const char *)answer.body, answer.body_n, &note, e) < 0 ||
	                                    checkpoint_parse(note.text, note.text_n, &c, e) < 0))
		return -1;
	(void)pthread_mutex_lock(&a->lock);
	*out_new = c.size > a->head.size;
	if (*out_new) {
		memcpy(a->head.note, answer.body, answer.body_n);
		a->head.n = answer.body_n;
		a->head.size = c.size;
	}
	if (a->head.size) {
		a->round++;
		send_out(a);
	}
	(void)pthread_mutex_unlock(&a->lock);
	return 0;
}

/* Until there is a new head, or somebody who failed may be asked again. */
static void wait_for_head(struct asking *a, unsigned seconds)
{
	char target[80];

	(void)snprintf(target, sizeof(target), "/v1/ledger/checkpoint?after=%" PRIu64 "&wait=%u",
	        a->head.size, seconds);
	engine_wait(a->m, target, seconds + 5);
}

static uint64_t turn(void *ctx, uint64_t now_ns)
{
	struct asking *a = ctx;
	bool new_head = false;
	unsigned seconds;
	struct err e;

	if (a->n == 0)
		return MESSENGER_NEVER; /* a policy without addresses: somebody else brings the cosignatures */
	if (!await_round(a))
		return 0;
	seconds = seconds_to_wait(a);
	if (seconds)
		wait_for_head(a, seconds);
	if (http_stopped(a->m->stop_fd))
		return now_ns;
	if (begin_round(a, &new_head, &e) == 0) {
		a->said[0] = '\0';
		/* Who waited for nothing does not hurry to wait again. */
		return new_head || !seconds || clock_mono_ns() - now_ns > S_NS / 2 ? 0
		                                                                   : clock_mono_ns() + S_NS;
	}
	if (http_stopped(a->m->stop_fd))
		return now_ns;
	if (e.code != ERR_NOTFOUND && e.code != ERR_CLOSED) /* nothing is published yet; it starts */
		messenger_say(a->said, "cannot ask for the log's head: %.250s", e.msg);
	return clock_mono_ns() + S_NS;
}

static bool wanted(const struct config *c)
{
	return c->policy[0] != '\0';
}

const struct service service_witnesses = {
        .name = "witnesses", .wanted = wanted, .open = start, .turn = turn, .close = stop};
