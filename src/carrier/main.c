/* SPDX-License-Identifier: Apache-2.0 */
/* main - see carrier.h. */
#include <errno.h>
#include <jansson.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/check.h"
#include "carrier/carrier.h"
#include "io/hub_client.h"
#include "io/sha256.h"

#define SOCKET 0

struct work {
	struct work *next;
	json_t *ask;
};

static struct {
	pthread_mutex_t lock;
	struct work *first, **end;
	unsigned busy;
	int stop_fd, done_fd; /* stop: readable when everybody shall give up; done: something ended */
	int drop_fd;          /* readable when what is fetched idly shall be given up, */
	char idly[65];        /* which is this blob */
} all = {.lock = PTHREAD_MUTEX_INITIALIZER, .end = &all.first, .stop_fd = -1, .done_fd = -1, .drop_fd = -1};

/* ---- answers ---- */

static json_t *failure(const struct err *e)
{
	return json_pack("{s:{s:s, s:s, s:s}}", "error", "code", err_code_name(e->code), "message", e->msg,
	        "hint", e->hint);
}

static char *line_of(const json_t *ask, json_t *answer)
{
	char *text;

	json_object_set(answer, "id", json_object_get(ask, "id"));
	text = json_dumps(answer, JSON_COMPACT);
	CHECK(text);
	return text;
}

/* Takes `answer`. What a hub said may have grown: the engine takes no longer line, and would end us and all that we do. */
static void reply(const json_t *ask, json_t *answer)
{
	char *text = line_of(ask, answer);
	size_t n, at = 0;
	struct err e;

	if (strlen(text) >= CARRIER_LINE_MAX) {
		json_decref(answer);
		free(text);
		(void)err_set(&e, ERR_CORRUPT, "the hub's answer is longer than any that makes sense");
		answer = failure(&e);
		text = line_of(ask, answer);
	}
	n = strlen(text);
	text[n++] = '\n'; /* in place of the NUL */
	CHECK(pthread_mutex_lock(&all.lock) == 0);
	while (at < n) {
		ssize_t k = write(SOCKET, text + at, n - at);

		if (k < 0 && errno == EAGAIN) {
			struct pollfd p = {.fd = SOCKET, .events = POLLOUT};

			(void)poll(&p, 1, 1000);
			continue;
		}
		if (k <= 0 && errno != EINTR)
			break; /* the engine is gone */
		at += k > 0 ? (size_t)k : 0;
	}
	CHECK(pthread_mutex_unlock(&all.lock) == 0);
	free(text);
	json_decref(answer);
}

/* ---- what is asked ---- */

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static struct hub_self self_of(const json_t *ask)
{
	const json_t *o = json_object_get(ask, "self");

	return (struct hub_self){.ca = json_string_value(json_object_get(o, "ca")),
	        .cert = json_string_value(json_object_get(o, "cert")),
	        .key = json_string_value(json_object_get(o, "key")),
	        .stop_fd = all.stop_fd};
}

static json_t *do_ca(const json_t *ask, struct err *e)
{
	const char *hex = text_of(ask, "fingerprint");
	uint8_t finger[16];
	int64_t ahead;
	json_t *out;
	char *pem;

	for (unsigned i = 0; i < 16; i++) {
		unsigned v;

		if (strlen(hex) != 32 || sscanf(hex + 2 * i, "%2x", &v) != 1) {
			(void)err_set(e, ERR_INVALID, "'fingerprint' is not 32 hexadecimal digits");
			return NULL;
		}
		finger[i] = (uint8_t)v;
	}
	if (hub_client_ca(text_of(ask, "origin"), finger, all.stop_fd, &pem, &ahead, e) < 0)
		return NULL;
	out = json_pack("{s:s, s:I}", "pem", pem, "ahead", (json_int_t)ahead);
	free(pem);
	return out;
}

/* What a hub answered; takes its text. */
static json_t *answered(unsigned status, char *answer, struct err *e)
{
	json_t *out;

	if (status / 100 != 2) {
		(void)hub_client_refused(status, answer, e);
		free(answer);
		return NULL;
	}
	out = json_pack("{s:i, s:s}", "status", (int)status, "body", answer);
	if (!out)
		(void)err_set(e, ERR_CORRUPT, "the hub's answer is not text");
	free(answer);
	return out;
}

static json_t *do_post(const json_t *ask, struct err *e)
{
	struct hub_self self = self_of(ask);
	char *body = json_dumps(json_object_get(ask, "body"), JSON_COMPACT), *answer;
	unsigned status;
	int rc;

	if (!body) {
		(void)err_set(e, ERR_INVALID, "there is no body");
		return NULL;
	}
	rc = hub_client_post(text_of(ask, "origin"), text_of(ask, "path"), &self, body, &status, &answer, e);
	free(body);
	return rc < 0 ? NULL : answered(status, answer, e);
}

static json_t *do_send(const json_t *ask, struct err *e)
{
	struct hub_self self = self_of(ask);
	unsigned status;
	char *answer;

	return hub_client_send(text_of(ask, "origin"), text_of(ask, "path"), &self, text_of(ask, "file"),
	               &status, &answer, e) < 0
	               ? NULL
	               : answered(status, answer, e);
}

static json_t *moved_json(int rc, uint64_t moved)
{
	return rc < 0 ? NULL : json_pack("{s:I}", "moved", (json_int_t)moved);
}

/* Texts are the question's. */
static void read_near(const json_t *ask, struct hub_get *g)
{
	const json_t *near = json_object_get(ask, "near");

	g->ticket = json_string_value(json_object_get(ask, "ticket"));
	for (size_t i = 0; i < json_array_size(near) && g->n_near < HUB_NEAR_MAX; i++) {
		const json_t *o = json_array_get(near, i);

		g->near[g->n_near].name = text_of(o, "name");
		g->near[g->n_near].coming = json_is_true(json_object_get(o, "coming"));
		g->near[g->n_near++].at = text_of(o, "at");
	}
}

/* How far those were that were asked. */
static json_t *far_json(const struct hub_get *g)
{
	json_t *o = json_object();

	for (unsigned i = 0; i < g->n_near; i++)
		if (g->near_us[i])
			json_object_set_new(o, g->near[i].name, json_integer((json_int_t)g->near_us[i]));
	return o;
}

static json_t *do_get(const json_t *ask, struct err *e)
{
	const json_t *origins = json_object_get(ask, "origins");
	json_int_t bytes = json_integer_value(json_object_get(ask, "bytes"));
	struct hub_self self = self_of(ask);
	struct hub_get g = {.bytes = bytes < 0 ? UINT64_MAX : (uint64_t)bytes, .path = text_of(ask, "path")};
	uint64_t moved = 0, from_near = 0, far[HUB_NEAR_MAX] = {0};

	if (json_is_true(json_object_get(ask, "idly")))
		self.stop_fd = all.drop_fd;
	read_near(ask, &g);
	g.near_us = far;
	for (size_t i = 0; i < json_array_size(origins) && g.n_origins < HUB_SOURCES_MAX; i++) {
		const char *o = json_string_value(json_array_get(origins, i));

		if (o)
			g.origin[g.n_origins++] = o;
	}
	if (sha256_unhex(text_of(ask, "sha256"), g.digest) < 0) {
		(void)err_set(e, ERR_INVALID, "'sha256' is no digest");
		return NULL;
	}
	if (hub_client_get(&g, &self, &moved, &from_near, e) < 0)
		return NULL;
	return json_pack("{s:I, s:I, s:o}", "moved", (json_int_t)moved, "near", (json_int_t)from_near, "far",
	        far_json(&g));
}

static json_t *do_put(const json_t *ask, struct err *e)
{
	struct hub_self self = self_of(ask);
	uint64_t moved = 0;
	uint8_t digest[32];

	if (sha256_unhex(text_of(ask, "sha256"), digest) < 0) {
		(void)err_set(e, ERR_INVALID, "'sha256' is no digest");
		return NULL;
	}
	return moved_json(
	        hub_client_put(text_of(ask, "origin"), digest, text_of(ask, "path"), &self, &moved, e),
	        moved);
}

static json_t *carry(const json_t *ask, struct err *e)
{
	const char *what = text_of(ask, "do");

	if (strcmp(what, "ca") == 0)
		return do_ca(ask, e);
	if (strcmp(what, "post") == 0)
		return do_post(ask, e);
	if (strcmp(what, "send") == 0)
		return do_send(ask, e);
	if (strcmp(what, "get") == 0)
		return do_get(ask, e);
	if (strcmp(what, "put") == 0)
		return do_put(ask, e);
	(void)err_set(e, ERR_INVALID, "'%.40s' is nothing that can be asked", what);
	return NULL;
}

/* ---- threads ---- */

static void *work_on(void *ctx)
{
	struct work *w = ctx;
	uint64_t one = 1;

	while (w) {
		struct err e = {0};
		json_t *answer = carry(w->ask, &e);

		reply(w->ask, answer ? answer : failure(&e));
		json_decref(w->ask);
		free(w);
		CHECK(pthread_mutex_lock(&all.lock) == 0);
		w = all.first;
		if (w) {
			all.first = w->next;
			if (!all.first)
				all.end = &all.first;
		} else {
			all.busy--;
		}
		CHECK(pthread_mutex_unlock(&all.lock) == 0);
	}
	(void)!write(all.done_fd, &one, sizeof(one));
	return NULL;
}

/* One at a time, so that a word to give it up is of no other one. */
static void note_idly(const json_t *ask)
{
	uint64_t count;

	if (!json_is_true(json_object_get(ask, "idly")))
		return;
	(void)snprintf(all.idly, sizeof(all.idly), "%s", text_of(ask, "sha256"));
	(void)!read(all.drop_fd, &count, sizeof(count));
}

/* Before anything that waits. False: it is about something else. Takes `ask` then. */
static bool drop(json_t *ask)
{
	uint64_t one = 1;

	if (strcmp(text_of(ask, "do"), "drop") != 0)
		return false;
	if (strcmp(text_of(ask, "sha256"), all.idly) == 0)
		(void)!write(all.drop_fd, &one, sizeof(one));
	reply(ask, json_object());
	json_decref(ask);
	return true;
}

/* Takes `ask`. */
static void take(json_t *ask)
{
	struct work *w = calloc(1, sizeof(*w));
	bool own_thread;
	pthread_t t;

	CHECK(w);
	w->ask = ask;
	note_idly(ask);
	CHECK(pthread_mutex_lock(&all.lock) == 0);
	own_thread = all.busy < CARRIER_AT_ONCE;
	if (own_thread) {
		all.busy++;
	} else {
		*all.end = w;
		all.end = &w->next;
	}
	CHECK(pthread_mutex_unlock(&all.lock) == 0);
	if (own_thread)
		CHECK(pthread_create(&t, NULL, work_on, w) == 0 && pthread_detach(t) == 0);
}

static unsigned busy(void)
{
	unsigned n;

	CHECK(pthread_mutex_lock(&all.lock) == 0);
	n = all.busy;
	CHECK(pthread_mutex_unlock(&all.lock) == 0);
	return n;
}

/* Whole lines at the front of buf are taken; returns what is left. */
static size_t take_lines(char *buf, size_t n)
{
	char *nl;

	while ((nl = memchr(buf, '\n', n))) {
		json_t *ask = json_loadb(buf, (size_t)(nl - buf), 0, NULL);

		if (!json_is_object(ask))
			json_decref(ask);
		else if (!drop(ask))
			take(ask);
		n -= (size_t)(nl + 1 - buf);
		memmove(buf, nl + 1, n);
	}
	return n;
}

/* Until the engine is gone, or there was nothing to do for long. */
static void serve(void)
{
	char *buf = malloc(CARRIER_LINE_MAX);
	size_t n = 0;

	CHECK(buf);
	for (;;) {
		struct pollfd p[] = {{.fd = SOCKET, .events = POLLIN}, {.fd = all.done_fd, .events = POLLIN}};
		int rc = poll(p, 2, busy() ? -1 : (int)CARRIER_IDLE_S * 1000);
		uint64_t count;
		ssize_t k;

		if (rc == 0)
			break;
		if (p[1].revents)
			(void)!read(all.done_fd, &count, sizeof(count));
		if (!p[0].revents)
			continue;
		k = read(SOCKET, buf + n, CARRIER_LINE_MAX - n);
		if (k < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (k <= 0)
			break;
		n = take_lines(buf, n + (size_t)k);
		if (n == CARRIER_LINE_MAX)
			break; /* no engine of ours writes such lines */
	}
	free(buf);
}

int carrier_main(int argc, char **argv)
{
	uint64_t one = 1;

	(void)argv;
	if (argc != 1) {
		(void)fprintf(
		        stderr, "usage: osier carrier   (started by the engine, with a socket as stdin)\n");
		return 2;
	}
	(void)mallopt(M_ARENA_MAX, 2);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	all.stop_fd = eventfd(0, EFD_CLOEXEC);
	all.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	all.drop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(all.stop_fd >= 0 && all.done_fd >= 0 && all.drop_fd >= 0);
	serve();
	(void)!write(all.stop_fd, &one, sizeof(one));
	(void)!write(all.drop_fd, &one, sizeof(one));
	for (unsigned i = 0; i < 30 && busy(); i++)
		(void)poll(NULL, 0, 100);
	return 0;
}
