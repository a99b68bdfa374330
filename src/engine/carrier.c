/* SPDX-License-Identifier: Apache-2.0 */
/* carrier - see carrier.h. */
#include "engine/carrier.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "carrier/carrier.h"
#include "engine/links.h"
#include "engine/node_int.h"
#include "engine/parent.h"
#include "io/sha256.h"

#define TRIES_MAX   3u /* carriers that may die over one question */
#define PAUSE_MS    200u
#define PARTS_AGE_S (7u * 86400u)

struct ask {
	struct ask *next;
	uint64_t id;
	json_t *json;
	carrier_fn fn;
	void *ctx;
	unsigned tries;
	bool sent, too_many;
};

struct waiter {
	struct waiter *next;
	bool idly;
	carrier_blob_fn fn;
	void *ctx;
};

/* A blob on its way: who waits for it. */
struct moving {
	struct moving *next;
	struct node *node;
	uint8_t digest[32];
	bool put;
	char origin[300];
	char path[4096];
	struct waiter *waiters;
	json_t *idly; /* what was asked of the carrier for those who wait idly alone, or NULL */
	bool dropped; /* it was told to give that up */
	uv_work_t work;
	struct err err;
	bool failed, due; /* due: to be told by the timer */
};

struct node_carrier {
	struct node *node;
	uv_process_t process;
	uv_pipe_t pipe;
	uv_timer_t again;
	bool running, stopping; /* running: there is a process, or its handles are not closed yet */
	unsigned open;          /* handles of the process that are not closed */
	char *buf;
	size_t n;
	uint64_t last_id;
	unsigned n_asks;
	struct ask *asks;
	struct moving *moving;
	uint64_t moved, moved_near;
	void (*quiet)(void *ctx);
	void *quiet_ctx;
};

static void start(struct node_carrier *c);

static void on_soon(uv_timer_t *t);

static void folder_of(const struct node *n, char out[3900])
{
	(void)snprintf(out, 3900, "%s/carrier", n->state_dir);
}

/* What was begun long ago and not gone on with. */
static void sweep(const struct node *n)
{
	char dir[3900], path[4200];
	struct dirent *f;
	struct stat st;
	DIR *d;

	folder_of(n, dir);
	d = opendir(dir);
	while (d && (f = readdir(d))) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, f->d_name);
		if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
		        time(NULL) - st.st_mtime > (time_t)PARTS_AGE_S)
			(void)unlink(path);
	}
	if (d)
		(void)closedir(d);
}

static struct node_carrier *carrier_of(struct node *n)
{
	struct node_carrier *c = n->carrier;

	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	CHECK(c && uv_timer_init(&n->loop, &c->again) == 0);
	c->node = n;
	c->again.data = c;
	n->carrier = c;
	sweep(n);
	return c;
}

/* ---- asks ---- */

static void finish(struct node_carrier *c, struct ask *a, const struct err *e, const json_t *answer)
{
	struct ask **at = &c->asks;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	c->n_asks--;
	a->fn(a->ctx, e, answer);
	json_decref(a->json);
	free(a);
}

static void fail_all(struct node_carrier *c, enum err_code code, const char *why)
{
	struct err e;

	(void)err_set(&e, code, "%s", why);
	while (c->asks)
		finish(c, c->asks, &e, NULL);
}

static enum err_code code_named(const char *name)
{
	for (int k = ERR_INVALID; k <= ERR_CLOSED; k++)
		if (strcmp(err_code_name((enum err_code)k), name) == 0)
			return (enum err_code)k;
	return ERR_SYSTEM;
}

static void take_answer(struct node_carrier *c, const json_t *j)
{
	uint64_t id = (uint64_t)json_integer_value(json_object_get(j, "id"));
	const json_t *o = json_object_get(j, "error");
	struct ask *a = c->asks;
	struct err e;

	while (a && a->id != id)
		a = a->next;
	if (!a)
		return;
	if (!o) {
		finish(c, a, NULL, j);
		return;
	}
	(void)err_set(&e, code_named(json_string_value(json_object_get(o, "code"))), "%.239s",
	        json_string_value(json_object_get(o, "message")));
	(void)err_hint(&e, "%.119s", json_string_value(json_object_get(o, "hint")));
	finish(c, a, &e, NULL);
}

/* ---- the process ---- */

static void on_closed(uv_handle_t *h)
{
	struct node_carrier *c = h->data;
	struct ask *a, *next;
	struct err e;

	if (--c->open)
		return;
	c->running = false;
	c->n = 0;
	if (c->stopping)
		return;
	(void)err_set(&e, ERR_SYSTEM, "the process that asks hubs ended three times over this");
	for (a = c->asks; a; a = next) {
		next = a->next;
		if (a->sent && ++a->tries == TRIES_MAX)
			finish(c, a, &e, NULL);
		else
			a->sent = false;
	}
	if (c->asks)
		(void)uv_timer_start(
		        &c->again, on_soon, PAUSE_MS, 0); /* who waits to be told waits no longer */
}

static void hang_up(struct node_carrier *c)
{
	if (!uv_is_closing((uv_handle_t *)&c->pipe))
		uv_close((uv_handle_t *)&c->pipe, on_closed);
}

static void on_exit_(uv_process_t *p, int64_t status, int sig)
{
	struct node_carrier *c = p->data;

	if (sig && !c->stopping)
		(void)fprintf(stderr, "osier: the carrier ended by signal %d\n", sig);
	(void)status;
	uv_close((uv_handle_t *)p, on_closed);
	hang_up(c);
}

static void on_room(uv_handle_t *h, size_t want, uv_buf_t *out)
{
	struct node_carrier *c = h->data;

	(void)want;
	if (!c->buf)
		c->buf = malloc(2 * CARRIER_LINE_MAX);
	CHECK(c->buf);
	*out = uv_buf_init(c->buf + c->n, (unsigned)(2 * CARRIER_LINE_MAX - c->n));
}

static void on_read(uv_stream_t *s, ssize_t k, const uv_buf_t *buf)
{
	struct node_carrier *c = s->data;
	char *nl;

	(void)buf;
	if (k < 0 || c->n == 2 * CARRIER_LINE_MAX) {
		if (k == UV_ENOBUFS || k >= 0)
			(void)uv_process_kill(&c->process, SIGKILL); /* it says what none of ours would */
		hang_up(c);
		return;
	}
	c->n += (size_t)k;
	while ((nl = memchr(c->buf, '\n', c->n))) {
		json_t *j = json_loadb(c->buf, (size_t)(nl - c->buf), 0, NULL);

		c->n -= (size_t)(nl + 1 - c->buf);
		memmove(c->buf, nl + 1, c->n);
		if (json_is_object(j))
			take_answer(c, j);
		json_decref(j);
	}
}

struct sending {
	uv_write_t req;
	char *text;
};

static void on_sent(uv_write_t *w, int status)
{
	struct sending *s = (struct sending *)(void *)w;

	(void)status; /* when it could not be sent the pipe closes, and it is asked again */
	free(s->text);
	free(s);
}

static void send_ask(struct node_carrier *c, struct ask *a)
{
	struct sending *s = calloc(1, sizeof(*s));
	uv_buf_t buf;
	size_t n;

	CHECK(s);
	s->text = json_dumps(a->json, JSON_COMPACT);
	CHECK(s->text);
	n = strlen(s->text);
	s->text[n++] = '\n';
	buf = uv_buf_init(s->text, (unsigned)n);
	if (uv_write(&s->req, (uv_stream_t *)&c->pipe, &buf, 1, on_sent) < 0) {
		free(s->text);
		free(s);
		return;
	}
	a->sent = true;
}

static void send_all(struct node_carrier *c)
{
	if (!c->running || uv_is_closing((uv_handle_t *)&c->pipe))
		return;
	for (struct ask *a = c->asks; a; a = a->next)
		if (!a->sent && !a->too_many)
			send_ask(c, a);
}

static void start(struct node_carrier *c)
{
	char *argv[] = {"osier", "carrier", NULL};
	uv_stdio_container_t stdio[3] = {{.flags = UV_CREATE_PIPE | UV_READABLE_PIPE | UV_WRITABLE_PIPE,
	                                         .data.stream = (uv_stream_t *)&c->pipe},
	        {.flags = UV_INHERIT_FD, .data.fd = 2}, {.flags = UV_INHERIT_FD, .data.fd = 2}};
	uv_process_options_t o = {.exit_cb = on_exit_,
	        .file = "/proc/self/exe",
	        .args = argv,
	        .stdio = stdio,
	        .stdio_count = 3};
	int rc;

	if (c->running || c->stopping || !c->asks)
		return;
	CHECK(uv_pipe_init(&c->node->loop, &c->pipe, 0) == 0);
	c->pipe.data = c->process.data = c;
	rc = uv_spawn(&c->node->loop, &c->process, &o);
	c->running = true;
	c->open = 2;
	if (rc < 0) {
		(void)fprintf(stderr, "osier: cannot start the carrier: %s\n", uv_strerror(rc));
		for (struct ask *a = c->asks; a; a = a->next)
			a->sent = true; /* it counts as a try */
		uv_close((uv_handle_t *)&c->process, on_closed);
		hang_up(c);
		return;
	}
	(void)uv_read_start((uv_stream_t *)&c->pipe, on_room, on_read);
	send_all(c);
}

void carrier_ask(struct node *n, json_t *ask, carrier_fn fn, void *ctx)
{
	struct node_carrier *c = carrier_of(n);
	struct ask *a = calloc(1, sizeof(*a)), **end = &c->asks;

	CHECK(a && ask);
	a->id = ++c->last_id;
	a->json = ask;
	a->fn = fn;
	a->ctx = ctx;
	json_object_set_new(ask, "id", json_integer((json_int_t)a->id));
	while (*end)
		end = &(*end)->next;
	*end = a;
	a->too_many = ++c->n_asks > CARRIER_ASKS_MAX;
	if (!c->stopping)
		(void)uv_timer_start(&c->again, on_soon, 0, 0);
}

/* ---- blobs ---- */

bool carrier_busy(const struct node *n)
{
	return n->carrier && n->carrier->moving;
}

static void told(struct moving *m, const struct err *e)
{
	struct node_carrier *c = m->node->carrier;
	struct moving **at = &c->moving;

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	while (m->waiters) {
		struct waiter *w = m->waiters;

		m->waiters = w->next;
		w->fn(w->ctx, e);
		free(w);
	}
	json_decref(m->idly);
	free(m);
	if (!c->moving && !c->stopping)
		(void)uv_timer_start(&c->again, on_soon, 0, 0);
}

static void refuse_too_many(struct node_carrier *c)
{
	struct err e;
	struct ask *a = c->asks;

	(void)err_set(&e, ERR_FULL, "%u questions to hubs wait already", CARRIER_ASKS_MAX);
	while (a) {
		if (!a->too_many) {
			a = a->next;
			continue;
		}
		finish(c, a, &e, NULL);
		a = c->asks; /* who was told may have asked again */
	}
}

static void on_soon(uv_timer_t *t)
{
	struct node_carrier *c = t->data;
	struct moving *m = c->moving;

	refuse_too_many(c);
	while (m) {
		if (!m->due) {
			m = m->next;
			continue;
		}
		told(m, m->failed ? &m->err : NULL);
		m = c->moving; /* who was told may have asked for more */
	}
	if (!c->moving && c->quiet)
		c->quiet(c->quiet_ctx);
	start(c);
	send_all(c);
}

bool carrier_quiet(const struct node *n)
{
	return !n->carrier || !n->carrier->moving;
}

void carrier_on_quiet(struct node *n, void (*fn)(void *ctx), void *ctx)
{
	struct node_carrier *c = fn ? carrier_of(n) : n->carrier;

	if (!c)
		return;
	c->quiet = fn;
	c->quiet_ctx = ctx;
}

static void on_put(void *ctx, const struct err *e, const json_t *answer)
{
	(void)answer;
	told(ctx, e);
}

/* In the pool: the store reads it once more, and shows it. */
static void take_work(uv_work_t *work)
{
	struct moving *m = work->data;
	uint8_t digest[32];
	uint64_t bytes;

	m->failed = blobs_take_file(m->node->blobs, m->path, digest, &bytes, &m->err) < 0;
	if (!m->failed && memcmp(digest, m->digest, 32) != 0)
		m->failed = err_set(&m->err, ERR_CORRUPT, "what came is not the blob that was asked for") < 0;
	if (m->failed)
		(void)unlink(m->path);
}

static void take_done(uv_work_t *work, int status)
{
	struct moving *m = work->data;

	if (status < 0)
		m->failed = err_set(&m->err, ERR_CLOSED, "the node is stopping") < 0;
	told(m, m->failed ? &m->err : NULL);
}

static void on_got(void *ctx, const struct err *e, const json_t *answer);

/* Does somebody wait who needs it? */
static bool is_needed(const struct moving *m)
{
	for (const struct waiter *w = m->waiters; w; w = w->next)
		if (!w->idly)
			return true;
	return false;
}

/* It was given up for another one, and somebody has come who needs it: again, and in earnest. */
static void ask_again(struct moving *m)
{
	json_t *ask = m->idly;

	m->idly = NULL;
	m->dropped = false;
	carrier_ask(m->node, ask, on_got, m);
}

static void note_far(struct node *n, const json_t *far)
{
	for (void *at = json_object_iter((json_t *)(uintptr_t)far); at;
	        at = json_object_iter_next((json_t *)(uintptr_t)far, at))
		links_answered(n, json_object_iter_key(at),
		        (uint64_t)json_integer_value(json_object_iter_value(at)));
}

static void on_got(void *ctx, const struct err *e, const json_t *answer)
{
	struct moving *m = ctx;
	struct node_carrier *c = m->node->carrier;
	struct err given_up;

	if (e && m->dropped && is_needed(m) && !c->stopping) {
		ask_again(m);
		return;
	}
	if (e && m->dropped && !c->stopping) {
		(void)err_set(&given_up, ERR_FENCED, "it was given up for something that was needed more");
		e = &given_up;
	}
	if (e) {
		told(m, e);
		return;
	}
	c->moved += (uint64_t)json_integer_value(json_object_get(answer, "moved"));
	c->moved_near += (uint64_t)json_integer_value(json_object_get(answer, "near"));
	note_far(m->node, json_object_get(answer, "far"));
	m->work.data = m;
	(void)uv_queue_work(&m->node->loop, &m->work, take_work, take_done);
}

static struct moving *moving_for(
        struct node *n, const uint8_t digest[32], bool put, const char *origin, bool *out_new)
{
	struct node_carrier *c = carrier_of(n);
	struct moving *m;

	for (m = c->moving; m; m = m->next)
		if (m->put == put && memcmp(m->digest, digest, 32) == 0 &&
		        (!put || strcmp(m->origin, origin) == 0))
			break;
	*out_new = !m;
	if (m)
		return m;
	m = calloc(1, sizeof(*m));
	CHECK(m);
	m->node = n;
	m->put = put;
	memcpy(m->digest, digest, 32);
	(void)snprintf(m->origin, sizeof(m->origin), "%s", origin);
	m->next = c->moving;
	c->moving = m;
	return m;
}

static void wait_for(struct moving *m, enum carrier_haste haste, carrier_blob_fn fn, void *ctx)
{
	struct waiter *w = calloc(1, sizeof(*w)), **end = &m->waiters;

	CHECK(w);
	w->idly = haste == CARRIER_IDLY;
	w->fn = fn;
	w->ctx = ctx;
	while (*end)
		end = &(*end)->next;
	*end = w;
}

/* By the timer, so that nobody is told from within his call. */
static void tell_later(struct moving *m, const struct err *e)
{
	struct node_carrier *c = m->node->carrier;

	m->due = true;
	m->failed = e != NULL;
	if (e)
		m->err = *e;
	if (!c->stopping)
		(void)uv_timer_start(&c->again, on_soon, 0, 0);
}

/* Names of our certificates, as the carrier wants them; NULL: this node has no parent. */
static json_t *self_json(const struct node *n)
{
	const char *dir = parent_dir(n);

	if (!parent_is(n))
		return NULL;
	return json_pack("{s:s+, s:s+, s:s+}", "ca", dir, "/ca.crt", "cert", dir, "/client.crt", "key", dir,
	        "/client.key");
}

static int make_folder(struct moving *m, struct err *e)
{
	char hex[SHA256_HEX + 1], dir[3900];

	sha256_hex(m->digest, hex);
	folder_of(m->node, dir);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "cannot make the folder '%.180s'", dir);
	(void)snprintf(m->path, sizeof(m->path), "%s/%s", dir, hex);
	return 0;
}

/* Is it known that the store has no room for it? */
static int room_for(struct node *n, uint64_t bytes, struct err *e)
{
	struct blob_writer *w;

	if (bytes == UINT64_MAX)
		return 0;
	if (blob_begin(n->blobs, bytes, &w, e) < 0)
		return -1;
	blob_abort(w);
	return 0;
}

/* NULL: it need not be asked for, or cannot be: whoever waits is told. Takes self. */
static json_t *get_ask(struct moving *m, uint64_t bytes, json_t *self)
{
	struct node *n = m->node;
	char hex[SHA256_HEX + 1];
	struct err e;

	if (blobs_has(n->blobs, m->digest, NULL)) {
		blobs_touch(n->blobs, m->digest);
		json_decref(self);
		tell_later(m, NULL);
		return NULL;
	}
	if (!self || room_for(n, bytes, &e) < 0 || make_folder(m, &e) < 0) {
		if (!self)
			(void)err_set(&e, ERR_NOTFOUND,
			        "this node has joined no hub that it could ask for the blob");
		json_decref(self);
		tell_later(m, &e);
		return NULL;
	}
	sha256_hex(m->digest, hex);
	return json_pack("{s:s, s:s, s:I, s:s, s:o}", "do", "get", "sha256", hex, "bytes",
	        bytes == UINT64_MAX ? (json_int_t)-1 : (json_int_t)bytes, "path", m->path, "self", self);
}

static void on_dropped(void *ctx, const struct err *e, const json_t *answer)
{
	(void)ctx;
	(void)e;
	(void)answer;
}

static void drop(struct moving *m)
{
	char hex[SHA256_HEX + 1];

	if (!m->idly || m->dropped || is_needed(m))
		return;
	m->dropped = true;
	sha256_hex(m->digest, hex);
	carrier_ask(m->node, json_pack("{s:s, s:s}", "do", "drop", "sha256", hex), on_dropped, NULL);
}

/* Something that is needed comes over the line: what is fetched idly waits. */
static void give_way(const struct moving *to)
{
	struct node_carrier *c = to->node->carrier;

	for (struct moving *m = c->moving; m; m = m->next)
		if (m != to)
			drop(m);
}

void carrier_drop(struct node *n, const uint8_t digest[32])
{
	for (struct moving *m = n->carrier ? n->carrier->moving : NULL; m; m = m->next)
		if (!m->put && memcmp(m->digest, digest, 32) == 0)
			drop(m);
}

/* Where the parent may be. */
static json_t *parent_places(const struct node *n)
{
	const char *places[PARENT_HUBS_MAX];
	unsigned count = parent_origins(n, places);
	json_t *list = json_array();

	for (unsigned i = 0; i < count; i++)
		json_array_append_new(list, json_string(places[i]));
	return list;
}

void carrier_get_as(struct node *n, const uint8_t digest[32], uint64_t bytes, json_t *self, json_t *origins,
        carrier_blob_fn fn, void *ctx)
{
	bool new;
	struct moving *m = moving_for(n, digest, false, "", &new);
	json_t *ask = new ? get_ask(m, bytes, json_incref(self)) : NULL;

	wait_for(m, CARRIER_NOW, fn, ctx);
	if (ask) {
		give_way(m);
		json_object_set(ask, "origins", origins);
		carrier_ask(n, ask, on_got, m);
	}
	json_decref(self);
	json_decref(origins);
}

void carrier_get(struct node *n, const uint8_t digest[32], uint64_t bytes, carrier_blob_fn fn, void *ctx)
{
	carrier_get_as(n, digest, bytes, self_json(n), parent_places(n), fn, ctx);
}

void carrier_get_near(struct node *n, const uint8_t digest[32], uint64_t bytes,
        const struct carrier_near *near, unsigned n_near, const char *ticket, enum carrier_haste haste,
        carrier_blob_fn fn, void *ctx)
{
	bool new;
	struct moving *m = moving_for(n, digest, false, "", &new);
	json_t *list, *ask;

	wait_for(m, haste, fn, ctx);
	ask = new ? get_ask(m, bytes, self_json(n)) : NULL;
	if (!ask)
		return;
	if (haste == CARRIER_NOW)
		give_way(m);
	json_object_set_new(ask, "origins", parent_places(n));
	list = json_array();
	for (unsigned i = 0; i < n_near; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:b}", "name", near[i].name, "at",
		                                    near[i].at, "coming", near[i].coming));
	json_object_set_new(ask, "near", list);
	if (ticket)
		json_object_set_new(ask, "ticket", json_string(ticket));
	if (haste == CARRIER_IDLY) {
		m->idly = json_deep_copy(ask);
		CHECK(m->idly && json_object_set_new(ask, "idly", json_true()) == 0);
	}
	carrier_ask(n, ask, on_got, m);
}

void carrier_moved(const struct node *n, uint64_t *out_all, uint64_t *out_near)
{
	const struct node_carrier *c = n->carrier;

	*out_all = c ? c->moved : 0;
	*out_near = c ? c->moved_near : 0;
}

void carrier_put(struct node *n, const uint8_t digest[32], const char *origin, carrier_blob_fn fn, void *ctx)
{
	const char *to = origin ? origin : parent_origin(n);
	bool new;
	struct moving *m = moving_for(n, digest, true, to, &new);
	char hex[SHA256_HEX + 1];
	json_t *self;
	struct err e;

	wait_for(m, CARRIER_NOW, fn, ctx);
	if (!new)
		return;
	self = self_json(n);
	if (!self)
		(void)err_set(&e, ERR_NOTFOUND, "this node has joined no hub that could have the blob");
	else if (!blobs_has(n->blobs, digest, NULL) ||
	         !blobs_path(n->blobs, digest, m->path, sizeof(m->path)))
		(void)err_set(&e, ERR_NOTFOUND, "the blob is not here");
	else {
		blobs_touch(n->blobs, digest);
		sha256_hex(digest, hex);
		carrier_ask(n,
		        json_pack("{s:s, s:s, s:s, s:s, s:o}", "do", "put", "origin", to, "sha256", hex,
		                "path", m->path, "self", self),
		        on_put, m);
		return;
	}
	json_decref(self);
	tell_later(m, &e);
}

/* ---- the end ---- */

/* Who would be told by the timer is told while he is still there. */
static void tell_due(struct node_carrier *c)
{
	struct err e;

	(void)err_set(&e, ERR_CLOSED, "the node is stopping");
	for (struct moving *m = c->moving, *next; m; m = next) {
		next = m->next;
		if (m->due)
			told(m, &e);
	}
}

void carrier_stop(struct node *n)
{
	struct node_carrier *c = n->carrier;

	if (!c || c->stopping)
		return;
	c->stopping = true;
	if (c->running)
		(void)uv_process_kill(&c->process, SIGTERM);
	fail_all(c, ERR_CLOSED, "the node is stopping");
	tell_due(c);
}

void carrier_close(struct node *n)
{
	struct node_carrier *c = n->carrier;
	struct err e;

	if (!c)
		return;
	c->stopping = true;
	fail_all(c, ERR_CLOSED, "the node is stopping");
	(void)err_set(&e, ERR_CLOSED, "the node is stopping");
	while (c->moving)
		told(c->moving, &e);
	free(c->buf);
	free(c);
	n->carrier = NULL;
}
