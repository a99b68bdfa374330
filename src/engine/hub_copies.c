/* SPDX-License-Identifier: Apache-2.0 */
/* hub_copies - see hub_copies.h. */
#include "engine/hub_copies.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/identity.h"
#include "engine/carrier.h"
#include "engine/hub.h"
#include "engine/node_int.h"
#include "engine/successor.h"

#define TICK_MS    1000u
#define HEARD_MS   (2u * SUCCESSOR_LOOK_S * 1000u) /* who stands by says so twice in that time */
#define ASKED_MOST 400u                            /* digests in one question */

struct hub_copies;

/* A machine that stands by. */
struct target {
	struct hub_copies *c;
	char origin[JOIN_URL_MAX];
	bool in_touch, gone; /* gone: it stands by no more */
	bool registered;     /* it has joined; else it was the hub, and counts while it is heard of */
	uint64_t heard_ms;   /* it has said that it is there, or taken a file */
	bool passing;        /* it is being given what it lacks */
	bool said;           /* that it lags */
	unsigned asked;      /* questions of ours that are not answered yet */
	uint64_t again_ms;
	uint64_t keys;       /* the last change of keys that it has, as hub_copies.keys counts them */
	uint8_t (*have)[32]; /* of the pass: what is here */
	size_t n, at, batch; /* batch: end of those asked about */
	json_t *lacks;
	size_t lack_at;
};

struct copy {
	struct copy *next;
	struct hub_copies *c;
	uint8_t digest[32];
	unsigned pending;
	uint64_t until_ms;
	void (*fn)(void *ctx);
	void *ctx;
};

/* Who waits until the standbys have new keys. */
struct key_wait {
	struct key_wait *next;
	uint64_t keys, until_ms;
	void (*fn)(void *ctx);
	void *ctx;
};

/* One file to one machine. */
struct sending {
	struct target *t;
	struct copy *copy; /* NULL: of a pass */
	uint8_t digest[32];
};

/* Somebody who reads waits for a file. */
struct reading {
	struct reading *next;
	struct node *node;
	uint8_t digest[32];
	uint64_t bytes;
	carrier_blob_fn fn;
	void *ctx;
};

struct hub_copies {
	struct node *node;
	struct target *target[IDENTITY_STANDBYS + 1];
	unsigned n_targets;
	struct copy *copies;
	uint64_t keys; /* how often they have changed, in this engine's life */
	struct key_wait *key_waits;
	json_t *others;            /* places where a file may lie that is not here */
	struct reading *reads;     /* that wait for their turn */
	bool reading;              /* one has it */
	uint64_t read_rests_until; /* uv_now(): nobody answered */
	uv_timer_t timer;
	bool stopped;
};

static void pass_next(struct target *t);

static struct hub_copies *copies_of(struct node *n)
{
	if (!n->copies) {
		n->copies = calloc(1, sizeof(*n->copies));
		CHECK(n->copies && uv_timer_init(&n->loop, &n->copies->timer) == 0);
		n->copies->node = n;
		n->copies->timer.data = n->copies;
		uv_unref((uv_handle_t *)&n->copies->timer);
	}
	return n->copies;
}

/* ---- asking ---- */

/* The hub's own certificate. */
static json_t *self_json(const struct node *n)
{
	const char *dir = hub_dir(n);

	return json_pack("{s:s+, s:s+, s:s+}", "ca", dir, "/ca.crt", "cert", dir, "/client.crt", "key", dir,
	        "/client.key");
}

static json_t *question(const struct target *t, const char *what)
{
	return json_pack("{s:s, s:s, s:o}", "do", what, "origin", t->origin, "self", self_json(t->c->node));
}

static void lags(struct target *t, const char *why)
{
	if (t->c->stopped)
		return;
	t->again_ms = uv_now(&t->c->node->loop);
	t->gone = !t->registered && t->again_ms > t->heard_ms + HEARD_MS;
	if (!t->said)
		(void)fprintf(stderr, "osier: the standby at %s may lack files: %s\n", t->origin, why);
	t->said = true;
	t->in_touch = false;
	t->again_ms += COPY_AGAIN_MS;
}

/* < 0: the file is not here any more. */
static int put(struct target *t, const uint8_t digest[32], struct copy *copy, carrier_fn fn)
{
	struct node *n = t->c->node;
	char path[4096], hex[SHA256_HEX + 1];
	struct sending *s;
	json_t *q;

	if (!blobs_has(n->blobs, digest, NULL) || !blobs_path(n->blobs, digest, path, sizeof(path)))
		return -1;
	s = calloc(1, sizeof(*s));
	CHECK(s);
	*s = (struct sending){.t = t, .copy = copy};
	memcpy(s->digest, digest, sizeof(s->digest));
	t->asked++;
	sha256_hex(digest, hex);
	q = question(t, "put");
	json_object_set_new(q, "sha256", json_string(hex));
	json_object_set_new(q, "path", json_string(path));
	carrier_ask(n, q, fn, s);
	return 0;
}

/* ---- one file, as it comes ---- */

static void told(struct copy *y)
{
	void (*fn)(void *) = y->fn;

	y->fn = NULL;
	if (fn)
		fn(y->ctx);
}

static void copy_free(struct copy *y)
{
	struct copy **at = &y->c->copies;

	while (*at != y)
		at = &(*at)->next;
	*at = y->next;
	free(y);
}

static void on_copied(void *ctx, const struct err *e, const json_t *answer)
{
	struct sending *s = ctx;
	struct copy *y = s->copy;

	(void)answer;
	s->t->asked--;
	if (e && !y->c->stopped)
		lags(s->t, e->msg);
	free(s);
	if (--y->pending)
		return;
	told(y);
	copy_free(y);
}

void hub_copy(struct node *n, const uint8_t digest[32], uint64_t bytes, void (*fn)(void *ctx), void *ctx)
{
	struct hub_copies *c = n->copies;
	struct copy *y;

	if (!c || c->stopped || c->n_targets == 0) {
		if (fn)
			fn(ctx);
		return;
	}
	y = calloc(1, sizeof(*y));
	CHECK(y);
	*y = (struct copy){.next = c->copies, .c = c, .fn = fn, .ctx = ctx, .pending = 1};
	y->until_ms = uv_now(&n->loop) + COPY_WAIT_NS / 1000000u + bytes / COPY_RATE * 1000u;
	memcpy(y->digest, digest, 32);
	c->copies = y;
	for (unsigned i = 0; i < c->n_targets; i++)
		if (!c->target[i]->gone && c->target[i]->in_touch &&
		        put(c->target[i], digest, y, on_copied) == 0)
			y->pending++;
	if (--y->pending)
		return;
	told(y);
	copy_free(y);
}

/* ---- one file that is not here ---- */

bool hub_has_others(const struct node *n)
{
	const struct hub_copies *c = n->copies;

	return c && !c->stopped && (c->n_targets > 0 || json_array_size(c->others) > 0);
}

static void add_place(json_t *places, size_t where, const char *origin)
{
	json_t *at;
	size_t i;

	json_array_foreach(places, i, at)
	{
		if (strcmp(json_string_value(at), origin) == 0)
			return;
	}
	json_array_insert_new(places, where, json_string(origin));
}

bool hub_file_get(struct node *n, const uint8_t digest[32], uint64_t bytes, carrier_blob_fn fn, void *ctx)
{
	struct hub_copies *c = n->copies;
	json_t *places, *at;
	size_t i;

	if (!hub_has_others(n))
		return false;
	places = json_array();
	for (unsigned k = 0; k < c->n_targets; k++) /* who is there is asked first */
		if (!c->target[k]->gone)
			add_place(places, c->target[k]->in_touch ? 0 : json_array_size(places),
			        c->target[k]->origin);
	json_array_foreach(c->others, i, at)
	{
		add_place(places, json_array_size(places), json_string_value(at));
	}
	carrier_get_as(n, digest, bytes, self_json(n), places, fn, ctx);
	return true;
}

static json_t *in_touch(const struct hub_copies *c)
{
	json_t *places = json_array();

	for (unsigned k = 0; k < c->n_targets; k++)
		if (c->target[k]->in_touch && !c->target[k]->gone)
			add_place(places, 0, c->target[k]->origin);
	return places;
}

static void read_next(struct hub_copies *c);

static void on_read(void *ctx, const struct err *e)
{
	struct reading *r = ctx;
	struct hub_copies *c = r->node->copies;

	r->fn(r->ctx, e);
	free(r);
	if (!c || c->stopped)
		return;
	c->reading = false;
	if (e && err_passes(e))
		c->read_rests_until = uv_now(&c->node->loop) + READ_REST_MS;
	read_next(c);
}

/* Who has waited is told. */
static void reads_fail(struct hub_copies *c, const char *why)
{
	struct err e;

	(void)err_set(&e, ERR_CLOSED, "%s", why);
	while (c->reads) {
		struct reading *r = c->reads;

		c->reads = r->next;
		r->fn(r->ctx, &e);
		free(r);
	}
}

static void read_next(struct hub_copies *c)
{
	struct reading *r = c->reads;
	json_t *places;

	if (c->reading || !r)
		return;
	places = in_touch(c);
	if (!json_array_size(places) || uv_now(&c->node->loop) < c->read_rests_until) {
		json_decref(places);
		reads_fail(c, "the hub's other machines do not answer");
		return;
	}
	c->reads = r->next;
	c->reading = true;
	carrier_get_as(c->node, r->digest, r->bytes, self_json(c->node), places, on_read, r);
}

bool hub_file_read(struct node *n, const uint8_t digest[32], uint64_t bytes, carrier_blob_fn fn, void *ctx)
{
	struct hub_copies *c = n->copies;
	struct reading *r, **end;
	json_t *places;
	bool there;

	if (!c || c->stopped || uv_now(&n->loop) < c->read_rests_until)
		return false;
	places = in_touch(c);
	there = json_array_size(places) > 0;
	json_decref(places);
	if (!there)
		return false;
	r = calloc(1, sizeof(*r));
	CHECK(r);
	*r = (struct reading){.node = n, .bytes = bytes, .fn = fn, .ctx = ctx};
	memcpy(r->digest, digest, sizeof(r->digest));
	for (end = &c->reads; *end; end = &(*end)->next)
		;
	*end = r;
	read_next(c);
	return true;
}

/* ---- what a machine lacks ---- */

static void pass_over(struct target *t, const char *why)
{
	bool before = t->said;

	free(t->have);
	json_decref(t->lacks);
	t->have = NULL;
	t->lacks = NULL;
	t->passing = false;
	if (why) {
		lags(t, why);
		return;
	}
	t->said = false;
	t->heard_ms = uv_now(&t->c->node->loop);
	if (before)
		(void)fprintf(stderr, "osier: the standby at %s has all files again\n", t->origin);
}

static void on_given(void *ctx, const struct err *e, const json_t *answer)
{
	struct sending *s = ctx;
	struct target *t = s->t;
	bool swept = e && !blobs_has(t->c->node->blobs, s->digest, NULL);

	(void)answer;
	free(s);
	t->asked--;
	if (e && !swept) /* whatever went wrong: the file is here, and not there */
		pass_over(t, e->msg);
	else
		pass_next(t);
}

static void on_lacks(void *ctx, const struct err *e, const json_t *answer)
{
	struct target *t = ctx;
	json_t *j;

	t->asked--;
	if (e) {
		pass_over(t, e->msg);
		return;
	}
	j = json_loads(json_string_value(json_object_get(answer, "body")), JSON_REJECT_DUPLICATES, NULL);
	t->lacks = json_incref(json_object_get(j, "lacks"));
	t->lack_at = 0;
	json_decref(j);
	t->in_touch = true; /* what comes from now on goes there, too */
	pass_next(t);
}

static void ask_lacks(struct target *t)
{
	json_t *q = question(t, "post"), *list = json_array();
	char hex[SHA256_HEX + 1];

	t->batch = t->n - t->at > ASKED_MOST ? t->at + ASKED_MOST : t->n;
	for (; t->at < t->batch; t->at++) {
		sha256_hex(t->have[t->at], hex);
		json_array_append_new(list, json_string(hex));
	}
	json_object_set_new(q, "path", json_string("/v1/hub/lacks"));
	json_object_set_new(q, "body", json_pack("{s:o}", "blobs", list));
	t->asked++;
	carrier_ask(t->c->node, q, on_lacks, t);
}

static void pass_next(struct target *t)
{
	uint8_t digest[32];

	while (!t->c->stopped && t->lack_at < json_array_size(t->lacks)) {
		const char *hex = json_string_value(json_array_get(t->lacks, t->lack_at++));

		if (hex && sha256_unhex(hex, digest) == 0 && put(t, digest, NULL, on_given) == 0)
			return;
	}
	json_decref(t->lacks);
	t->lacks = NULL;
	if (t->at < t->n && !t->gone && !t->c->stopped)
		ask_lacks(t);
	else
		pass_over(t, NULL);
}

static int collect(void *ctx, const uint8_t digest[32], uint64_t bytes, uint64_t used_s)
{
	struct target *t = ctx;

	(void)bytes;
	(void)used_s;
	if ((t->n & (t->n + 1)) == 0 || t->n == 0) {
		t->have = reallocarray(t->have, 2 * (t->n + 1), sizeof(*t->have));
		CHECK(t->have);
	}
	memcpy(t->have[t->n++], digest, 32);
	return 0;
}

static void pass_begin(struct target *t)
{
	struct err e;

	t->passing = true;
	t->n = t->at = t->batch = t->lack_at = 0;
	if (blobs_each(t->c->node->blobs, collect, t, &e) < 0)
		pass_over(t, e.msg);
	else
		ask_lacks(t); /* also when there is none: is anybody there? */
}

/* ---- keys ---- */

static bool lacks_keys(const struct target *t, uint64_t keys)
{
	return !t->gone && (t->in_touch || t->passing) && t->keys < keys;
}

static bool keys_lacking(const struct hub_copies *c, uint64_t keys)
{
	for (unsigned i = 0; i < c->n_targets; i++)
		if (lacks_keys(c->target[i], keys))
			return true;
	return false;
}

static void give_up_on_keys(const struct hub_copies *c, uint64_t keys)
{
	for (unsigned i = 0; i < c->n_targets; i++)
		if (lacks_keys(c->target[i], keys))
			(void)fprintf(stderr,
			        "osier: the standby at %s has not said within %u s that it has the new key\n",
			        c->target[i]->origin, KEYS_WAIT_MS / 1000u);
}

/* Those who need not wait any more: all are there, the time is over, or the hub stops. */
static void key_waits_look(struct hub_copies *c, uint64_t now)
{
	struct key_wait **at = &c->key_waits, *w;

	while ((w = *at)) {
		bool lacking = keys_lacking(c, w->keys);

		if (lacking && w->until_ms > now && !c->stopped) {
			at = &w->next;
			continue;
		}
		if (lacking && !c->stopped)
			give_up_on_keys(c, w->keys);
		*at = w->next;
		w->fn(w->ctx);
		free(w);
	}
}

void hub_keys_wait(struct node *n, void (*fn)(void *ctx), void *ctx)
{
	struct hub_copies *c = n->copies;
	struct key_wait *w;

	if (c)
		c->keys++;
	if (!c || c->stopped || !keys_lacking(c, c->keys)) {
		fn(ctx);
		return;
	}
	w = calloc(1, sizeof(*w));
	CHECK(w);
	*w = (struct key_wait){.next = c->key_waits,
	        .keys = c->keys,
	        .until_ms = uv_now(&n->loop) + KEYS_WAIT_MS,
	        .fn = fn,
	        .ctx = ctx};
	c->key_waits = w;
}

void hub_keys_held(struct node *n, const char *origin)
{
	struct hub_copies *c = n->copies;

	for (unsigned i = 0; c && i < c->n_targets; i++)
		if (strcmp(c->target[i]->origin, origin) == 0)
			c->target[i]->keys = c->keys;
	if (c)
		key_waits_look(c, uv_now(&n->loop));
}

/* ---- who stands by ---- */

/* A place for one more: whoever stood by once must not keep those out who do so now. */
static struct target **free_place(struct hub_copies *c)
{
	if (c->n_targets < ARRAY_LEN(c->target))
		return &c->target[c->n_targets++];
	for (unsigned i = 0; i < c->n_targets; i++)
		if (c->target[i]->gone && !c->target[i]->passing && c->target[i]->asked == 0) {
			free(c->target[i]);
			return &c->target[i];
		}
	return NULL;
}

static struct target *add_target(struct hub_copies *c, const char *origin, const char *own)
{
	struct target *t = NULL, **place;

	if (strcmp(origin, own) == 0)
		return NULL;
	for (unsigned i = 0; i < c->n_targets && !t; i++)
		if (strcmp(c->target[i]->origin, origin) == 0)
			t = c->target[i];
	if (!t) {
		place = free_place(c);
		if (!place)
			return NULL;
		t = calloc(1, sizeof(*t));
		CHECK(t);
		t->c = c;
		(void)snprintf(t->origin, sizeof(t->origin), "%s", origin);
		*place = t;
	}
	t->gone = false;
	t->heard_ms = uv_now(&c->node->loop);
	return t;
}

static void on_timer(uv_timer_t *timer)
{
	struct hub_copies *c = timer->data;
	uint64_t now = uv_now(&c->node->loop);
	struct copy *next;

	for (struct copy *y = c->copies; y; y = next) {
		next = y->next;
		if (y->fn && y->until_ms <= now)
			told(y);
	}
	key_waits_look(c, now);
	for (unsigned i = 0; i < c->n_targets; i++) {
		struct target *t = c->target[i];

		if (!t->gone && !t->in_touch && !t->passing && t->again_ms <= now)
			pass_begin(t);
	}
}

static void find_registered(struct hub_copies *c, const char *own)
{
	const struct identity *id = engine_identity(c->node->engine);
	struct identity_standby v;
	struct target *t;

	for (unsigned i = 0; i < c->n_targets; i++) {
		c->target[i]->gone = c->target[i]->gone || c->target[i]->registered;
		c->target[i]->registered = false;
	}
	for (uint32_t i = 0; identity_standby(id, i, &v); i++) {
		t = add_target(c, v.origin, own);
		if (t)
			t->registered = true;
	}
}

void hub_copies_look(struct node *n, const char *origin, bool began)
{
	const struct hub_settings *s = hub_settings(n);
	struct hub_copies *c = copies_of(n);
	struct target *t = NULL;
	char own[JOIN_URL_MAX];

	if (!s || c->stopped)
		return;
	join_origin(s->addresses[0], hub_port(n), own);
	find_registered(c, own);
	json_decref(c->others);
	c->others = successor_places(n, own);
	if (origin)
		t = add_target(c, origin, own);
	if (t)
		t->again_ms = 0;
	if (t && began) /* its disk may be another than before */
		t->in_touch = false;
	if (c->n_targets)
		(void)uv_timer_start(&c->timer, on_timer, 0, TICK_MS);
}

void hub_copies_count(const struct node *n, unsigned *out_standbys, unsigned *out_lag)
{
	const struct hub_copies *c = n->copies;

	*out_standbys = *out_lag = 0;
	for (unsigned i = 0; c && i < c->n_targets; i++) {
		*out_standbys += !c->target[i]->gone;
		*out_lag += !c->target[i]->gone && (!c->target[i]->in_touch || c->target[i]->passing);
	}
}

void hub_copies_stop(struct node *n)
{
	struct hub_copies *c = n->copies;

	if (!c)
		return;
	c->stopped = true;
	(void)uv_timer_stop(&c->timer);
	for (struct copy *y = c->copies; y; y = y->next)
		told(y);
	key_waits_look(c, 0);
	reads_fail(c, "the node is stopping");
}

void hub_copies_close(struct node *n)
{
	struct hub_copies *c = n->copies;

	if (!c)
		return;
	while (c->copies)
		copy_free(c->copies);
	for (unsigned i = 0; i < c->n_targets; i++) {
		free(c->target[i]->have);
		json_decref(c->target[i]->lacks);
		free(c->target[i]);
	}
	json_decref(c->others);
	free(c);
	n->copies = NULL;
}
