/* SPDX-License-Identifier: Apache-2.0 */
/* successor - see successor.h. */
#include "engine/successor.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/identity.h"
#include "engine/carrier.h"
#include "engine/hub.h"
#include "engine/node_int.h"
#include "io/handover.h"
#include "wire/entry.h"

#define SOON_MS      300u
#define SAY_MS       10u /* new keys are here: the hub waits to hear it */
#define SAY_MOST     5u  /* in a row: what never gets as the hub has it is looked at later */
#define PAUSE_MIN_MS 1000u
#define PAUSE_MAX_MS 60000u
#define PATH_BYTES   4200u

struct successor {
	struct node *node;
	uv_timer_t timer;
	bool asking, closed, timer_gone;
	bool again;    /* something changed while it asked */
	bool said;     /* that it cannot have them */
	bool heard;    /* a hub has answered, since the start */
	unsigned says; /* how often in a row new keys came */
	uint64_t pause_ms;
	uint8_t ca_sha256[32];
	char own[JOIN_URL_MAX];
	json_t *places; /* of this round: texts */
	size_t at;
};

static void free_when_over(struct successor *s)
{
	if (!s->closed || !s->timer_gone || s->asking)
		return;
	json_decref(s->places);
	free(s);
}

static void path_of(const struct node *n, const char *name, char out[PATH_BYTES])
{
	CHECK(snprintf(out, PATH_BYTES, "%s/%s", n->state_dir, name) < (int)PATH_BYTES);
}

/* ---- where to ask ---- */

static void add_place(json_t *places, const char *own, const char *origin)
{
	json_t *at;
	size_t i;

	if (!origin || strcmp(origin, own) == 0)
		return;
	json_array_foreach(places, i, at)
	{
		if (strcmp(json_string_value(at), origin) == 0)
			return;
	}
	json_array_append_new(places, json_string(origin));
}

json_t *successor_places(const struct node *n, const char *own)
{
	json_t *places = json_array(), *list, *at;
	struct identity_standby v;
	char path[PATH_BYTES], *text;
	size_t bytes, i;

	CHECK(places);
	path_of(n, "standby/hubs.json", path);
	if (cert_file_read(path, &text, &bytes, NULL) == 0) {
		list = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
		json_array_foreach(list, i, at)
		{
			add_place(places, own, json_string_value(json_object_get(at, "origin")));
		}
		json_decref(list);
		free(text);
	}
	for (uint32_t k = 0; identity_standby(engine_identity(n->engine), k, &v); k++)
		add_place(places, own, v.origin);
	return places;
}

static void find_places(struct successor *s)
{
	json_decref(s->places);
	s->places = successor_places(s->node, s->own);
	s->at = 0;
}

/* ---- asking ---- */

static void ask_next(struct successor *s);
static void on_timer(uv_timer_t *t);

static void look_again(struct successor *s, uint64_t ms)
{
	if (!s->closed)
		(void)uv_timer_start(&s->timer, on_timer, ms, 0);
}

static int take(struct successor *s, const json_t *answer, bool *changed, struct err *e)
{
	json_t *j =
	        json_loads(json_string_value(json_object_get(answer, "body")), JSON_REJECT_DUPLICATES, NULL);
	const json_t *hubs = json_object_get(j, "hubs");
	char path[PATH_BYTES], *text = json_is_array(hubs) ? json_dumps(hubs, JSON_COMPACT) : NULL,
	                       *old = NULL;
	size_t n;
	int rc;

	rc = handover_write(s->node->state_dir, json_object_get(j, "files"), s->ca_sha256, 32, changed, e);
	path_of(s->node, "standby/hubs.json", path);
	if (rc == 0 && text && (cert_file_read(path, &old, &n, NULL) < 0 || strcmp(old, text) != 0))
		(void)cert_file_write(path, text, strlen(text), 0600,
		        NULL); /* a node that was the hub has no such folder */
	if (rc == 0 && *changed)
		(void)fprintf(stderr, "osier: the hub's keys have changed, and are here\n");
	free(old);
	free(text);
	json_decref(j);
	return rc;
}

static void failed(struct successor *s, const struct err *e)
{
	if (++s->at < json_array_size(s->places)) {
		ask_next(s);
		return;
	}
	if (!s->said)
		(void)fprintf(stderr, "osier: the hub's keys cannot be looked at: %s\n", e->msg);
	s->said = true;
	look_again(s, s->pause_ms);
	s->pause_ms = s->pause_ms > PAUSE_MAX_MS / 2 ? PAUSE_MAX_MS : 2 * s->pause_ms;
}

static void on_answer(void *ctx, const struct err *why, const json_t *answer)
{
	struct successor *s = ctx;
	bool changed = false;
	struct err e;

	s->asking = false;
	if (s->closed) {
		free_when_over(s);
		return;
	}
	if (why) {
		failed(s, why);
		return;
	}
	if (take(s, answer, &changed, &e) < 0) {
		failed(s, &e);
		return;
	}
	s->said = false;
	s->heard = true;
	s->pause_ms = PAUSE_MIN_MS;
	s->says = changed ? s->says + 1 : 0;
	look_again(s, changed && s->says < SAY_MOST ? SAY_MS : s->again ? SOON_MS : SUCCESSOR_LOOK_S * 1000u);
	s->again = false;
}

static void ask_next(struct successor *s)
{
	const char *dir = hub_dir(s->node), *origin = json_string_value(json_array_get(s->places, s->at));
	char has[SHA256_HEX + 1] = "";
	uint8_t digest[32];
	json_t *files;
	struct err e;

	if (!origin) {
		(void)err_set(&e, ERR_NOTFOUND, "nobody said where the hub is");
		failed(s, &e);
		return;
	}
	files = handover_read(s->node->state_dir, NULL);
	if (files) {
		handover_digest(files, digest);
		sha256_hex(digest, has);
	}
	json_decref(files);
	s->asking = true;
	carrier_ask(s->node,
	        json_pack("{s:s, s:s, s:s, s:{s:s, s:b, s:s}, s:{s:s+, s:s+, s:s+}}", "do", "post", "origin",
	                origin, "path", "/v1/hub/keys", "body", "origin", s->own, "began", !s->heard, "has",
	                has, "self", "ca", dir, "/ca.crt", "cert", dir, "/client.crt", "key", dir,
	                "/client.key"),
	        on_answer, s);
}

static void on_timer(uv_timer_t *t)
{
	struct successor *s = t->data;

	if (s->asking || s->closed)
		return;
	find_places(s);
	ask_next(s);
}

void successor_entry(struct node *n, const uint8_t *bytes, size_t size)
{
	struct successor *s = n->successor;
	Wire__Entry__BodyCase kind;
	uint64_t id;

	if (!s)
		return;
	kind = entry_peek(bytes, size, &id);
	if (kind == WIRE__ENTRY__BODY_CERT_SET)
		hub_look(n);
	/* Keys have changed, or another engine is the hub now. */
	if (kind != WIRE__ENTRY__BODY_KEY_SET && kind != WIRE__ENTRY__BODY_BOOT)
		return;
	s->again = s->asking;
	if (!s->asking)
		look_again(s, SOON_MS);
}

/* ---- beginning and end ---- */

static void on_timer_gone(uv_handle_t *h)
{
	struct successor *s = h->data;

	s->timer_gone = true;
	free_when_over(s);
}

void successor_open(struct node *n)
{
	struct successor *s = calloc(1, sizeof(*s));
	struct err e;

	CHECK(s);
	s->node = n;
	s->pause_ms = PAUSE_MIN_MS;
	if (hub_stand_by(n, s->ca_sha256, s->own, &e) < 0) {
		if (e.code != ERR_NOTFOUND)
			node_notice(n, "this standby could not be the hub", &e);
		free(s);
		return;
	}
	CHECK(uv_timer_init(&n->loop, &s->timer) == 0);
	s->timer.data = s;
	uv_unref((uv_handle_t *)&s->timer);
	(void)uv_timer_start(&s->timer, on_timer, SOON_MS, 0);
	n->successor = s;
}

void successor_close(struct node *n)
{
	struct successor *s = n->successor;

	if (!s)
		return;
	n->successor = NULL;
	s->closed = true;
	(void)uv_timer_stop(&s->timer);
	uv_close((uv_handle_t *)&s->timer, on_timer_gone);
}
