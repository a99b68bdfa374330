/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stamps - at regular times the newest head is stamped by authorities (RFC 3161) and put into calendars (OpenTimestamps).
 *
 * What is stamped is the SHA-256 of the head's text, so that nobody learns more than that. A calendar's proof is pending until Bitcoin
 * has it, hours later; it is completed then. Nothing of it can be lost or doubled that would matter: a kill costs one request.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "io/calendar.h"
#include "io/clock.h"
#include "io/tsa.h"
#include "messenger/heads.h"
#include "messenger/services.h"

#define SECOND_NS  1000000000ull
#define LOOK_NS    (60 * SECOND_NS)
#define TROUBLE_NS (60 * SECOND_NS)
#define COMPLETE_NS                                                                                          \
	(1800 * SECOND_NS) /* from one question for what is pending to the next; less when heads come more often */
#define CALENDARS "calendars" /* their place */

struct stamper {
	const struct config_anchor *cfg;
	struct http *http;
	uint64_t due_ns, complete_ns; /* of clock_mono_ns() */
	char said[MESSENGER_SAID_MAX];
};
struct stamps {
	const struct messenger *m;
	struct heads heads;
	size_t n;
	struct stamper stamper[CONFIG_ANCHORS_MAX];
	struct head_now head;
	uint8_t proof[ANCHORED_PROOF_MAX];
};

static bool wanted(const struct config *c)
{
	for (size_t i = 0; i < c->n_anchors; i++)
		if (c->anchors[i].kind != CONFIG_CHAIN)
			return true;
	return false;
}

static void close_(void *ctx)
{
	struct stamps *s = ctx;

	for (size_t i = 0; i < s->n; i++)
		http_free(s->stamper[i].http);
	heads_close(&s->heads);
	free(s);
}

static int open_(const struct messenger *m, void **out, struct err *e)
{
	struct stamps *s = calloc(1, sizeof(*s));

	CHECK(s);
	s->m = m;
	for (size_t i = 0; i < m->config->n_anchors; i++) {
		const struct config_anchor *a = &m->config->anchors[i];
		struct http_options o = {.timeout_ns = a->timeout_ns,
		        .answer_max = a->kind == CONFIG_CALENDARS ? CALENDAR_ANSWER_MAX : TSA_RESPONSE_MAX,
		        .ca_file = a->kind == CONFIG_CALENDARS ? a->ca
		                                               : NULL, /* an authority's are of its stamps */
		        .stop_fd = m->stop_fd};

		if (a->kind == CONFIG_CHAIN)
			continue;
		s->stamper[s->n].cfg = a;
		if (http_new(&o, &s->stamper[s->n].http, e) < 0)
			goto fail;
		s->n++;
	}
	if (heads_open(m, &s->heads, e) < 0)
		goto fail;
	*out = s;
	return 0;
fail:
	close_(s);
	return -1;
}

/* ---- authorities ---- */

static int stamp_authority(struct stamps *s, struct stamper *t, const char *place, struct err *e)
{
	struct tsa_trust trust = {.ca_file = t->cfg->ca};
	struct tsa_stamp stamp;
	json_t *details;
	size_t n = 0;

	if (tsa_ask(t->http, t->cfg->urls[0], s->head.digest, &trust, s->proof, &n, &stamp, e) < 0)
		return -1;
	details = json_pack("{s:s%,s:s,s:s,s:I,s:I}", "authority", stamp.authority, strlen(stamp.authority),
	        "serial", stamp.serial, "policy", stamp.policy, "stamped", (json_int_t)stamp.time_s,
	        "accuracy", (json_int_t)stamp.accuracy_s);
	if (!details) /* a subject that is not UTF-8 */
		details = json_pack("{s:s,s:I}", "serial", stamp.serial, "stamped", (json_int_t)stamp.time_s);
	return heads_stamp(&s->heads, ANCHORED_AUTHORITY, place, ANCHORED_STAMPED, s->head.note, s->proof, n,
	        details, e);
}

/* ---- calendars ---- */

static void find_bitcoin(void *ctx, const struct ots_attestation *a)
{
	uint64_t *height = ctx;

	if (a->kind == OTS_BITCOIN && (*height == 0 || a->height < *height))
		*height = a->height;
}

/* Takes what is in s->proof. */
static int tell_calendars(struct stamps *s, const char *note, size_t n, unsigned calendars, struct err *e)
{
	struct ots_reader *r = calloc(1, sizeof(*r));
	uint64_t height = 0;
	struct ots_file f;
	json_t *details;
	int rc;

	CHECK(r);
	*r = (struct ots_reader){.hash = calendar_hash, .visit = find_bitcoin, .ctx = &height};
	rc = ots_read(r, s->proof, n, &f, e);
	free(r);
	if (rc < 0)
		return -1;
	details = json_pack("{s:i}", "calendars", (int)calendars);
	CHECK(details);
	if (height)
		json_object_set_new(details, "bitcoin_block", json_integer((json_int_t)height));
	return heads_stamp(&s->heads, ANCHORED_CALENDARS, CALENDARS,
	        height ? ANCHORED_STAMPED : ANCHORED_PENDING, note, s->proof, n, details, e);
}

static struct calendars calendars_of(const struct stamper *t)
{
	return (struct calendars){
	        .http = t->http, .urls = (const char *const *)t->cfg->urls, .n = (unsigned)t->cfg->n_urls};
}

static int stamp_calendars(struct stamps *s, struct stamper *t, struct err *e)
{
	struct calendars c = calendars_of(t);
	unsigned got = 0;
	size_t n = 0;

	if (calendar_stamp(&c, s->head.digest, t->cfg->least, s->proof, &n, &got, e) < 0)
		return -1;
	return tell_calendars(s, s->head.note, n, got, e);
}

static int complete_one(struct stamps *s, struct stamper *t, const json_t *a, struct err *e)
{
	const char *text = json_string_value(json_object_get(a, "proof"));
	const char *note = json_string_value(json_object_get(a, "note"));
	int before = (int)json_integer_value(json_object_get(json_object_get(a, "details"), "calendars"));
	uint8_t *file = malloc(OTS_FILE_MAX);
	struct calendars c = calendars_of(t);
	unsigned added = 0;
	size_t n = 0;
	long got;
	int rc = 0;

	CHECK(file);
	got = text && note ? base64_read(text, strlen(text), file, OTS_FILE_MAX) : -1;
	if (got > 0)
		rc = calendar_complete(&c, file, (size_t)got, s->proof, &n, &added, e);
	free(file);
	return rc < 0 || added == 0 ? rc : tell_calendars(s, note, n, before > 0 ? (unsigned)before : 0, e);
}

/* Ask for the rest of what is pending. */
static int complete(struct stamps *s, struct stamper *t, struct err *e)
{
	json_t *j = NULL, *a;
	int rc = 0;
	size_t i;

	if (heads_ask(&s->heads, "GET", "/v1/ledger/anchors?limit=100&kind=calendars", NULL, &j, e) < 0)
		return -1;
	json_array_foreach(json_object_get(j, "anchors"), i, a)
	{
		const char *state = json_string_value(json_object_get(a, "state"));

		if (state && anchored_state_of(state) == ANCHORED_PENDING && complete_one(s, t, a, e) < 0)
			rc = -1;
	}
	json_decref(j);
	return rc;
}

/* ---- turns ---- */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* *out_ns: how long until this one wants to be asked again. */
static int one(struct stamps *s, struct stamper *t, uint64_t now_ns, uint64_t *out_ns, struct err *e)
{
	bool calendars = t->cfg->kind == CONFIG_CALENDARS;
	enum anchored_kind kind = calendars ? ANCHORED_CALENDARS : ANCHORED_AUTHORITY;
	char place[HTTP_ORIGIN_MAX] = CALENDARS;
	struct head_news last;
	uint64_t due;

	*out_ns = least(TROUBLE_NS, t->cfg->every_ns);
	if (!calendars)
		http_origin(t->cfg->urls[0], place);
	if (heads_newest(&s->heads, &s->head, e) < 0 || heads_last(&s->heads, kind, place, &last, e) < 0)
		return -1;
	due = head_due_ns(&last, s->head.size, t->cfg->every_ns, clock_wall_ns() / SECOND_NS);
	if (due == 0) {
		if ((calendars ? stamp_calendars(s, t, e) : stamp_authority(s, t, place, e)) < 0)
			return -1;
		due = t->cfg->every_ns;
	}
	if (calendars && now_ns >= t->complete_ns) {
		t->complete_ns = now_ns + least(COMPLETE_NS, t->cfg->every_ns);
		if (complete(s, t, e) < 0)
			return -1;
	}
	t->said[0] = '\0';
	*out_ns = least(least(due, LOOK_NS), t->cfg->every_ns);
	return 0;
}

static uint64_t turn(void *ctx, uint64_t now_ns)
{
	struct stamps *s = ctx;
	uint64_t next = MESSENGER_NEVER;

	for (size_t i = 0; i < s->n; i++) {
		struct stamper *t = &s->stamper[i];
		uint64_t wait = 0;
		struct err e = {0};

		if (now_ns >= t->due_ns) {
			int rc = one(s, t, now_ns, &wait, &e);

			if (rc < 0 && e.code == ERR_NOTFOUND)
				wait = SECOND_NS; /* the first head is about to come */
			else if (rc < 0 && !http_stopped(s->m->stop_fd))
				messenger_say(t->said, "stamps: %s", e.msg);
			t->due_ns = now_ns + wait;
		}
		next = least(next, t->due_ns);
	}
	return next;
}

const struct service service_stamps = {"stamps", wanted, open_, turn, close_};
