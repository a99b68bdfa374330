/* SPDX-License-Identifier: Apache-2.0 */
/* hub - see hub.h. */
#include "engine/hub.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "core/identity.h"
#include "engine/fabric.h"
#include "engine/hub_copies.h"
#include "engine/hub_int.h"
#include "engine/node_int.h"
#include "io/sha256.h"

#define LOOK_MS      (6u * 3600u * 1000u) /* between two looks at our own certificates */
#define WATCHERS_MAX 4u

struct hub {
	struct node *node;
	char dir[3900];
	bool on, stopping;
	struct hub_settings settings;
	struct ca *ca;
	struct hub_listener *listener;
	struct ca_revoked *revoked; /* as crl.pem has them; NULL: not written yet */
	size_t n_revoked;
	uv_timer_t look;
	struct {
		void (*fn)(void *ctx, enum hub_change what);
		void *ctx;
	} watcher[WATCHERS_MAX];
	unsigned n_watchers;
};

/* Made when somebody first asks. */
static struct hub *hub_of(struct node *n)
{
	if (!n->hub) {
		n->hub = calloc(1, sizeof(*n->hub));
		CHECK(n->hub);
		n->hub->node = n;
		(void)snprintf(n->hub->dir, sizeof(n->hub->dir), "%s/hub", n->state_dir);
	}
	return n->hub;
}

static void tell(struct hub *h, enum hub_change what)
{
	for (unsigned i = 0; i < h->n_watchers; i++)
		h->watcher[i].fn(h->watcher[i].ctx, what);
}

void hub_watch(struct node *n, void (*fn)(void *ctx, enum hub_change what), void *ctx)
{
	struct hub *h = hub_of(n);

	CHECK(h->n_watchers < WATCHERS_MAX);
	h->watcher[h->n_watchers].fn = fn;
	h->watcher[h->n_watchers++].ctx = ctx;
}

/* ---- what is revoked ---- */

static size_t revoked(const struct hub *h, struct ca_revoked **out)
{
	const struct identity *s = engine_identity(h->node->engine);
	uint64_t now = round_now_ns(h->node);
	struct ca_revoked *v = NULL;
	struct identity_node m;
	size_t n = 0, room = 0;

	for (uint32_t i = 0; identity_node(s, i, &m); i++)
		for (uint32_t c = 0; c < m.n_certs && n < CA_REVOKED_MAX; c++) {
			if (!m.certs[c].revoked_ns || m.certs[c].not_after_ns < now)
				continue;
			if (n == room) {
				room = room ? 2 * room : 16;
				v = realloc(v, room * sizeof(*v));
				CHECK(v);
			}
			memset(&v[n], 0, sizeof(*v));
			memcpy(v[n].serial, m.certs[c].serial, CERT_SERIAL);
			v[n++].at_ns = m.certs[c].revoked_ns;
		}
	if (!v)
		v = calloc(1, sizeof(*v));
	CHECK(v);
	*out = v;
	return n;
}

/* *out_new (may be NULL): they are others than were said before. */
static int say_revoked(struct hub *h, bool *out_new, struct err *e)
{
	struct ca_revoked *v;
	size_t n = revoked(h, &v);
	bool same = h->revoked && n == h->n_revoked && memcmp(v, h->revoked, n * sizeof(*v)) == 0;
	uint8_t(*serials)[CERT_SERIAL] = calloc(n ? n : 1, CERT_SERIAL);

	CHECK(serials);
	for (size_t i = 0; i < n; i++)
		memcpy(serials[i], v[i].serial, CERT_SERIAL);
	if (h->listener)
		hub_listener_revoked(h->listener, (const uint8_t(*)[CERT_SERIAL])serials, n);
	free(serials);
	if (out_new)
		*out_new = !same;
	if (same) { /* nodes join by the hundred, and a list costs two fsyncs */
		free(v);
		return 0;
	}
	if (ca_crl(h->ca, v, n, clock_wall_ns(), e) < 0) {
		free(v);
		return -1;
	}
	free(h->revoked);
	h->revoked = v;
	h->n_revoked = n;
	return 0;
}

void hub_changed(struct node *n)
{
	struct hub *h = n->hub;
	bool new = true;
	struct err e;

	if (!h || !h->on || h->stopping)
		return;
	if (say_revoked(h, &new, &e) < 0)
		(void)fprintf(
		        stderr, "osier: the list of revoked certificates cannot be written: %s\n", e.msg);
	else if (new)
		tell(h, HUB_REVOKED);
	hub_copies_look(n, NULL, false);
	tell(h, HUB_NODES);
}

/* ---- who asks ---- */

struct answering {
	struct hub *hub;
	struct hub_asked *asked;
	char *pem;
	struct cert cert;
};

static void answer_error_(struct hub_asked *a, enum err_code code, const char *message, const char *hint)
{
	json_t *j = json_pack("{s:{s:s, s:s, s:s*}}", "error", "code", err_code_name(code), "message",
	        message, "hint", hint && *hint ? hint : NULL);
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	unsigned status = code == ERR_DENIED     ? 403
	                  : code == ERR_REMOVED  ? 403
	                  : code == ERR_EXISTS   ? 409
	                  : code == ERR_TIMEOUT  ? 410
	                  : code == ERR_FULL     ? 507
	                  : code == ERR_CLOSED   ? 503
	                  : code == ERR_NOTFOUND ? 404
	                  : code == ERR_INVALID  ? 400
	                                         : 500;

	CHECK(text);
	hub_listener_answer(
	        a, status, text, code == ERR_DENIED || code == ERR_NOTFOUND || code == ERR_REMOVED);
	json_decref(j);
	free(text);
}

static void give_certificate(struct answering *it)
{
	const struct hub *h = it->hub;
	size_t ca_n;
	const char *ca = ca_pem(h->ca, &ca_n);
	char topics[CERT_NAME_MAX + 8], *text;
	char *places = hub_places(h->node);
	json_t *j;

	(void)snprintf(topics, sizeof(topics), "osier/%s", h->settings.name);
	j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:o}", "hub", h->settings.name, "node",
	        it->asked->name, "certificate", it->pem, "ca", ca, "topics", topics, "broker",
	        h->settings.broker, "broker_port", (int)h->settings.broker_port, "hubs",
	        json_loads(places, 0, NULL));
	free(places);
	text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	CHECK(text);
	hub_listener_answer(it->asked, 201, text, false);
	json_decref(j);
	free(text);
}

static void on_decided(void *ctx, const struct node_answer *a)
{
	struct answering *it = ctx;

	if (a->code == ERR_NONE)
		give_certificate(it);
	else
		answer_error_(it->asked, a->code, a->message, a->hint);
	free(it->pem);
	free(it);
}

static Wire__CertSet entry_of(const struct hub_asked *a, const struct cert *c)
{
	Wire__CertSet m = WIRE__CERT_SET__INIT;

	m.node = (char *)(uintptr_t)a->name;
	m.serial = (ProtobufCBinaryData){CERT_SERIAL, (uint8_t *)(uintptr_t)c->serial};
	m.sha256 = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)c->sha256};
	m.key = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)a->key};
	m.journal = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)a->journal};
	if (a->vouched && memcmp(a->was, a->key, 32) != 0)
		m.was = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)a->was};
	m.not_after_ns = c->not_after_ns;
	m.standby = (char *)(uintptr_t)a->standby;
	m.standby_broker = a->standby_broker;
	return m;
}

/* Before anything is signed or written: strangers shall not fill the journal with refusals. */
static int may(const struct hub *h, const struct hub_asked *a, struct err *e)
{
	const struct identity *s = engine_identity(h->node->engine);
	struct cert none = {0};
	Wire__CertSet m = entry_of(a, &none);
	bool again;

	if (h->stopping || h->node->stopping)
		return err_set(e, ERR_CLOSED, "the hub is stopping");
	if (!h->on)
		return err_set(e, ERR_CLOSED, "this machine stands by for the hub, which is elsewhere");
	if (a->what == JOIN_KEYS)
		return hub_may_have_keys(s, a->name, e);
	if (a->what == JOIN_WITNESS || a->what == JOIN_MIRROR)
		return 0; /* fabric_ask(), fabric_bring() say */
	if (a->what == JOIN_JOIN)
		return identity_may_join(s, round_now_ns(h->node), a->token_hash, &m, &again, e);
	return identity_may_cert(s, round_now_ns(h->node), &m, e);
}

static void give_keys(struct hub *h, struct hub_asked *a)
{
	struct err e = {0};
	char *text = hub_keys_text(h->node, &e);

	if (!text) {
		answer_error_(a, e.code, e.msg, e.hint);
		return;
	}
	if (a->standby[0])
		hub_copies_look(h->node, a->standby, a->began);
	if (a->standby[0] && a->has_files && hub_keys_are(h->node, a->files))
		hub_keys_held(h->node, a->standby);
	hub_listener_answer(a, 200, text, false);
	explicit_bzero(text, strlen(text));
	free(text);
}

static void on_taken(void *ctx)
{
	struct hub_asked *a = ctx;
	char hex[SHA256_HEX + 1], json[160];

	sha256_hex(a->token_hash, hex);
	(void)snprintf(
	        json, sizeof(json), "{\"sha256\":\"%s\",\"bytes\":%llu}", hex, (unsigned long long)a->bytes);
	hub_listener_answer(a, 201, json, false);
}

static void on_ask(void *ctx, struct hub_asked *a)
{
	struct hub *h = ctx;
	struct answering *it;
	struct command cmd = {.kind = a->what == JOIN_JOIN ? CMD_JOIN : CMD_CERT_SET};
	struct err e = {0};
	Wire__CertSet m;

	if (a->what == JOIN_TAKEN) {
		hub_copy(h->node, a->token_hash, a->bytes, on_taken, a);
		return;
	}
	if (may(h, a, &e) < 0) {
		answer_error_(a, e.code, e.msg, e.hint);
		return;
	}
	if (a->what == JOIN_KEYS) {
		give_keys(h, a);
		return;
	}
	if (a->what == JOIN_WITNESS) {
		fabric_ask(h->node, a);
		return;
	}
	if (a->what == JOIN_MIRROR) {
		fabric_bring(h->node, a);
		return;
	}
	it = calloc(1, sizeof(*it));
	CHECK(it);
	it->hub = h;
	it->asked = a;
	if (ca_issue(h->ca, a->request, a->name, clock_wall_ns(), h->settings.life_s, &it->pem, &it->cert,
	            &e) < 0) {
		answer_error_(a, e.code, e.msg, e.hint);
		free(it);
		return;
	}
	m = entry_of(a, &it->cert);
	if (a->what == JOIN_JOIN) {
		cmd.u.join.hash = a->token_hash;
		cmd.u.join.cert = &m;
	} else {
		cmd.u.cert_set = &m;
	}
	node_command(h->node, &cmd, on_decided, it);
}

/* ---- being a hub ---- */

static int certificates(struct hub *h, bool *changed, struct err *e)
{
	const char *names[CA_NAMES_MAX];

	for (size_t i = 0; i < h->settings.n_addresses; i++)
		names[i] = h->settings.addresses[i];
	return ca_server(h->ca, names, h->settings.n_addresses, clock_wall_ns(), changed, e);
}

static void renew_own(struct hub *h)
{
	struct err e;
	bool changed;

	if (certificates(h, &changed, &e) < 0 ||
	        (changed && h->listener && hub_listener_reload(h->listener, &e) < 0)) {
		(void)fprintf(stderr, "osier: the hub's certificate cannot be renewed: %s\n", e.msg);
		return;
	}
	if (changed)
		tell(h, HUB_CERTIFICATES);
}

static void on_look(uv_timer_t *t)
{
	renew_own(t->data);
}

/* The authority is at hand, and there is a listener: of a hub, or of one that stands by. */
static int serve(struct hub *h, const struct hub_settings *s, struct err *e)
{
	char incoming[4096];
	struct hub_listener_options o = {.listen = s->listen,
	        .port = s->port,
	        .dir = h->dir,
	        .incoming = incoming,
	        .blobs = h->node->blobs,
	        .loop = &h->node->loop,
	        .ask = on_ask,
	        .ctx = h};
	bool changed;

	if (h->listener) /* it stood by until now */
		return 0;
	(void)snprintf(incoming, sizeof(incoming), "%s/incoming", h->node->state_dir);
	if (h->ca && strcmp(ca_hub(h->ca), s->name) != 0) { /* of a try that failed for another reason */
		ca_close(h->ca);
		h->ca = NULL;
	}
	if (!h->ca && ca_open(h->dir, s->name, clock_wall_ns(), &h->ca, e) < 0)
		return -1;
	h->settings = *s;
	if (certificates(h, &changed, e) < 0 || say_revoked(h, NULL, e) < 0 ||
	        hub_listener_open(&o, &h->listener, e) < 0)
		return -1;
	if (say_revoked(h, NULL, e) < 0) /* to the listener, too */
		return -1;
	CHECK(uv_timer_init(&h->node->loop, &h->look) == 0);
	h->look.data = h;
	uv_unref((uv_handle_t *)&h->look);
	(void)uv_timer_start(&h->look, on_look, LOOK_MS, LOOK_MS);
	return 0;
}

static int begin(struct hub *h, const struct hub_settings *s, struct err *e)
{
	if (serve(h, s, e) < 0 || say_revoked(h, NULL, e) < 0)
		return -1;
	h->on = true;
	hub_copies_look(h->node, NULL, false);
	tell(h, HUB_BEGUN);
	return 0;
}

int hub_enable(struct node *n, const struct hub_settings *s, struct err *e)
{
	struct hub *h = hub_of(n);
	char path[4096];

	if (n->read_only || h->stopping)
		return err_set(e, ERR_CLOSED, "only a running node can be a hub");
	if (hub_settings_check(s, e) < 0)
		return -1;
	if (h->on && strcmp(s->name, h->settings.name) != 0) {
		(void)err_set(e, ERR_EXISTS, "this hub is '%s', and stays it", h->settings.name);
		return err_hint(e, "its name is in every certificate and topic");
	}
	if (!h->on && begin(h, s, e) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/hub.yaml", h->dir);
	if (hub_settings_save(path, s, e) < 0)
		return -1;
	h->settings = *s;
	renew_own(h);
	tell(h, HUB_BEGUN);
	return 0;
}

int hub_stand_by(struct node *n, uint8_t out_ca_sha256[32], char out_origin[JOIN_URL_MAX], struct err *e)
{
	struct hub *h = hub_of(n);
	struct hub_settings s;
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/hub.yaml", h->dir);
	if (hub_settings_load(path, &s, e) < 0)
		return -1;
	if (!ca_exists(h->dir))
		return err_set(e, ERR_NOTFOUND, "the hub's authority is not here");
	if (serve(h, &s, e) < 0)
		return -1;
	ca_fingerprint(h->ca, out_ca_sha256);
	join_origin(s.addresses[0], s.port, out_origin);
	return 0;
}

void hub_look(struct node *n)
{
	struct err e;

	if (n->hub && n->hub->listener && say_revoked(n->hub, NULL, &e) < 0)
		(void)fprintf(
		        stderr, "osier: the list of revoked certificates cannot be written: %s\n", e.msg);
}

void hub_init(struct node *n)
{
	struct hub *h = hub_of(n);
	struct hub_settings s;
	struct err e;
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/hub.yaml", h->dir);
	if (hub_settings_load(path, &s, &e) < 0) {
		if (e.code != ERR_NOTFOUND)
			node_notice(n, "it is no hub", &e);
		return;
	}
	if (begin(h, &s, &e) < 0)
		node_notice(n, "it is no hub", &e);
}

bool hub_is(const struct node *n)
{
	return n->hub && n->hub->on;
}

const struct hub_settings *hub_settings(const struct node *n)
{
	return hub_is(n) ? &n->hub->settings : NULL;
}

const char *hub_dir(const struct node *n)
{
	return n->hub ? n->hub->dir : "";
}

void hub_sign(const struct node *n, const uint8_t *bytes, size_t len, uint8_t out[64])
{
	CHECK(hub_is(n));
	ca_sign(n->hub->ca, bytes, len, out);
}

void hub_fingerprint(const struct node *n, uint8_t out[32])
{
	CHECK(hub_is(n));
	ca_fingerprint(n->hub->ca, out);
}

unsigned hub_port(const struct node *n)
{
	return hub_is(n) ? hub_listener_port(n->hub->listener) : 0;
}

/* ---- tokens and removal ---- */

int hub_token(struct node *n, uint64_t ttl_ns, enum hub_token what, const Wire__Principal *by,
        char out_line[HUB_LINE_MAX], node_answer_fn fn, void *ctx, struct err *e)
{
	struct hub *h = n->hub;
	Wire__TokenSet m = WIRE__TOKEN_SET__INIT;
	struct command cmd = {.kind = CMD_TOKEN_SET, .by = by, .u.token_set = &m};
	char origin[JOIN_URL_MAX], text[JOIN_TOKEN_CHARS + 1];
	uint8_t finger[32], hash[32];
	struct journal_record record;
	struct join_token t;

	if (!h || !h->on) {
		(void)err_set(e, ERR_NOTFOUND, "this node is no hub");
		return err_hint(e, "'osier hub' makes it one");
	}
	if (ttl_ns < 1000000000u || ttl_ns > HUB_TTL_MAX_NS)
		return err_set(e, ERR_INVALID, "a token is valid for 1 second to 30 days");
	if (what == HUB_TOKEN_STANDBY && !journal_record(n->journal, &record)) {
		(void)err_set(
		        e, ERR_INVALID, "this hub's journal lies in its folder: nobody else can take over");
		return err_hint(
		        e, "carry it into a PostgreSQL first: osier journal move --to URL (docs/record.md)");
	}
	m.standby = what == HUB_TOKEN_STANDBY;
	ca_fingerprint(h->ca, finger);
	join_token_make(finger, &t);
	join_token_hash(t.secret, hash);
	join_token_print(&t, text);
	join_origin(h->settings.addresses[0], hub_listener_port(h->listener), origin);
	(void)snprintf(out_line, HUB_LINE_MAX, "%s#%s", origin, text);
	m.hash = (ProtobufCBinaryData){32, hash};
	m.expires_ns = round_now_ns(n) + ttl_ns;
	node_command(n, &cmd, fn, ctx);
	return 0;
}

void identity_revoke(struct node *n, const char *name, const char *reason, const Wire__Principal *by,
        node_answer_fn fn, void *ctx)
{
	Wire__CertSet m = WIRE__CERT_SET__INIT;
	struct command cmd = {.kind = CMD_CERT_SET, .by = by, .u.cert_set = &m};
	char text[IDENTITY_REASON + 1];

	(void)snprintf(text, sizeof(text), "%s", reason ? reason : "");
	m.node = (char *)(uintptr_t)name;
	m.revoked = 1;
	m.reason = text;
	node_command(n, &cmd, fn, ctx);
}

/* ---- the end ---- */

void hub_stop(struct node *n)
{
	struct hub *h = n->hub;

	if (!h || h->stopping)
		return;
	h->stopping = true;
	fabric_stop(n);
	hub_listener_stop(h->listener);
	hub_copies_stop(n);
}

void hub_close(struct node *n)
{
	struct hub *h = n->hub;

	if (!h)
		return;
	hub_listener_close(h->listener);
	ca_close(h->ca);
	free(h->revoked);
	free(h);
	n->hub = NULL;
}
