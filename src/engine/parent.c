/* SPDX-License-Identifier: Apache-2.0 */
/* parent - see parent.h. */
#include "engine/parent.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/check.h"
#include "engine/carrier.h"
#include "engine/hub.h"
#include "engine/node_int.h"
#include "engine/parent_key.h"
#include "io/disk.h"

#define WATCHERS_MAX 4u
#define PAUSE_MIN_MS 10000u
#define PAUSE_MAX_MS 600000u
#define LOOK_MS      600000u /* the wall clock may be set: look at least so often */
#define PATH_BYTES   4096u

static const char *const files[] = {"ca.crt", "client.key", "client.crt", "parent.json", "node.pub"};

struct parent {
	struct node *node;
	char dir[3900], new_dir[3900];
	bool is, stopping;
	struct parent_info info;
	unsigned looked; /* places that the hub was looked for at in vain */
	uv_timer_t timer;
	bool timer_open, renewing;
	uint8_t said_key[32]; /* in what was asked last */
	uint64_t pause_ms;
	void (*then)(struct parent *p); /* when the ledger can sign */
	/* joining */
	bool joining;
	struct join_line line;
	char name[CERT_NAME_MAX + 1];
	parent_fn fn;
	void *ctx;
	struct {
		void (*fn)(void *ctx, enum parent_change what);
		void *ctx;
	} watcher[WATCHERS_MAX];
	unsigned n_watchers;
};

static struct parent *parent_of(struct node *n)
{
	if (!n->parent) {
		n->parent = calloc(1, sizeof(*n->parent));
		CHECK(n->parent);
		n->parent->node = n;
		(void)snprintf(n->parent->dir, sizeof(n->parent->dir), "%s/parent", n->state_dir);
		(void)snprintf(n->parent->new_dir, sizeof(n->parent->new_dir), "%s/parent.new", n->state_dir);
	}
	return n->parent;
}

void parent_watch(struct node *n, void (*fn)(void *ctx, enum parent_change what), void *ctx)
{
	struct parent *p = parent_of(n);

	CHECK(p->n_watchers < WATCHERS_MAX);
	p->watcher[p->n_watchers].fn = fn;
	p->watcher[p->n_watchers++].ctx = ctx;
}

static void tell(struct parent *p, enum parent_change what)
{
	parent_told(p->node, NULL);
	for (unsigned i = 0; i < p->n_watchers; i++)
		p->watcher[i].fn(p->watcher[i].ctx, what);
}

bool parent_is(const struct node *n)
{
	return n->parent && n->parent->is;
}

const struct parent_info *parent_info(const struct node *n)
{
	return parent_is(n) ? &n->parent->info : NULL;
}

const char *parent_dir(const struct node *n)
{
	return n->parent ? n->parent->dir : "";
}

const char *parent_origin(const struct node *n)
{
	return parent_is(n) ? n->parent->info.hubs[n->parent->info.at].origin : "";
}

unsigned parent_origins(const struct node *n, const char *out[PARENT_HUBS_MAX])
{
	const struct parent_info *i = parent_info(n);

	for (unsigned k = 0; i && k < i->n_hubs; k++)
		out[k] = i->hubs[(i->at + k) % i->n_hubs].origin;
	return i ? i->n_hubs : 0;
}

bool parent_next(struct node *n)
{
	struct parent *p = n->parent;

	if (!parent_is(n))
		return false;
	p->info.at = (p->info.at + 1) % p->info.n_hubs;
	p->looked = (p->looked + 1) % p->info.n_hubs;
	return p->looked != 0;
}

void parent_found(struct node *n)
{
	if (parent_is(n))
		n->parent->looked = 0;
}

/* ---- files ---- */

static void path_of(const char *dir, const char *name, char out[PATH_BYTES])
{
	CHECK(snprintf(out, PATH_BYTES, "%s/%s", dir, name) < (int)PATH_BYTES);
}

static void drop_folder(const char *dir)
{
	char path[PATH_BYTES];

	for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
		path_of(dir, files[i], path);
		(void)unlink(path);
	}
	(void)rmdir(dir);
}

static int text_into(const json_t *o, const char *key, char *out, size_t room)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s && (size_t)snprintf(out, room, "%s", s) < room ? 0 : -1;
}

/* mqtts://HOST:PORT, or "": at the hub's own address. */
static int broker_into(const char *url, unsigned port, struct parent_hub *out)
{
	const char *host, *end, *colon;
	size_t n;

	out->broker_port = port;
	out->broker_tls = strncmp(url, "mqtt://", 7) != 0;
	host = *url ? strstr(url, "://") : strstr(out->origin, "://");
	if (!host)
		return -1;
	host += 3;
	if (*host == '[') {
		end = strchr(++host, ']');
		if (!end)
			return -1;
		colon = end[1] == ':' ? end + 1 : NULL;
	} else {
		colon = strchr(host, ':');
		end = colon ? colon : host + strlen(host);
	}
	n = (size_t)(end - host);
	if (n == 0 || n >= sizeof(out->broker_host))
		return -1;
	memcpy(out->broker_host, host, n);
	out->broker_host[n] = '\0';
	if (*url && colon)
		out->broker_port = (unsigned)strtoul(colon + 1, NULL, 10);
	return out->broker_port > 0 && out->broker_port < 65536 ? 0 : -1;
}

/* One place; origin NULL: as it says. */
static int place_from(const json_t *j, const char *origin, struct parent_hub *out)
{
	const char *broker = json_string_value(json_object_get(j, "broker"));
	json_int_t port = json_integer_value(json_object_get(j, "broker_port"));
	struct parent_hub h = {0};

	if (origin)
		(void)snprintf(h.origin, sizeof(h.origin), "%s", origin);
	else if (text_into(j, "origin", h.origin, sizeof(h.origin)) < 0)
		return -1;
	if (strncmp(h.origin, "https://", 8) != 0 || port < 1 || port > 65535 ||
	        broker_into(broker ? broker : "", (unsigned)port, &h) < 0)
		return -1;
	*out = h;
	return 0;
}

static bool has_place(const struct parent_info *i, const char *origin)
{
	for (unsigned k = 0; k < i->n_hubs; k++)
		if (strcmp(i->hubs[k].origin, origin) == 0)
			return true;
	return false;
}

static void add_place(struct parent_info *i, const struct parent_hub *h)
{
	if (i->n_hubs < PARENT_HUBS_MAX && !has_place(i, h->origin))
		i->hubs[i->n_hubs++] = *h;
}

static void add_places(struct parent_info *i, const json_t *list)
{
	struct parent_hub h;
	const json_t *at;
	size_t k;

	json_array_foreach(list, k, at)
	{
		if (place_from(at, NULL, &h) == 0)
			add_place(i, &h);
	}
}

/* What the hub said of itself, as it stands in parent.json too. */
static int info_from(const json_t *j, const char *origin, struct parent_info *out, struct err *e)
{
	struct parent_info i = {0};

	if (text_into(j, "hub", i.hub, sizeof(i.hub)) < 0 ||
	        text_into(j, "node", i.node, sizeof(i.node)) < 0 ||
	        text_into(j, "topics", i.topics, sizeof(i.topics)) < 0 || !cert_name_ok(i.hub) ||
	        !cert_name_ok(i.node) || strncmp(i.topics, "osier/", 6) != 0 ||
	        strcmp(i.topics + 6, i.hub) != 0 || place_from(j, origin, &i.hubs[0]) < 0)
		return err_set(e, ERR_CORRUPT, "what the hub says of itself makes no sense");
	i.n_hubs = 1;
	add_places(&i, json_object_get(j, "hubs"));
	*out = i;
	return 0;
}

static int load(struct parent *p, struct err *e)
{
	char path[PATH_BYTES], origin[JOIN_URL_MAX], *text;
	json_t *j;
	size_t n;
	int rc;

	path_of(p->dir, "parent.json", path);
	if (cert_file_read(path, &text, &n, e) < 0)
		return -1;
	j = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	rc = text_into(j, "origin", origin, sizeof(origin));
	if (rc < 0)
		(void)err_set(e, ERR_CORRUPT, "'%.180s' does not say which hub was joined", path);
	else
		rc = info_from(j, origin, &p->info, e);
	json_decref(j);
	p->info.key_known = parent_key_load(p->dir, p->info.key);
	return rc < 0 ? -1 : parent_certificates(p->dir, NULL, &p->info, e);
}

static json_t *place_json(const struct parent_hub *h)
{
	return json_pack("{s:s, s:s+++, s:i}", "origin", h->origin, "broker",
	        h->broker_tls ? "mqtts://" : "mqtt://", strchr(h->broker_host, ':') ? "[" : "",
	        h->broker_host, strchr(h->broker_host, ':') ? "]" : "", "broker_port", (int)h->broker_port);
}

static int write_info(const char *dir, const struct parent_info *i, struct err *e)
{
	char path[PATH_BYTES], *text;
	json_t *o = place_json(&i->hubs[0]), *list = json_array();
	int rc;

	CHECK(o && list);
	for (unsigned k = 0; k < i->n_hubs; k++)
		json_array_append_new(list, place_json(&i->hubs[k]));
	json_object_set_new(o, "hubs", list);
	json_object_set_new(o, "hub", json_string(i->hub));
	json_object_set_new(o, "node", json_string(i->node));
	json_object_set_new(o, "topics", json_string(i->topics));
	text = json_dumps(o, JSON_INDENT(1));
	CHECK(text);
	path_of(dir, "parent.json", path);
	rc = cert_file_write(path, text, strlen(text), 0600, e);
	free(text);
	json_decref(o);
	return rc;
}

bool parent_same_broker(const struct parent_hub *a, const struct parent_hub *b)
{
	return a->broker_port == b->broker_port && strcmp(a->broker_host, b->broker_host) == 0;
}

bool parent_take_places(struct parent_info *info, const json_t *list)
{
	struct parent_info was = *info, i = *info;

	memset(i.hubs, 0, sizeof(i.hubs));
	i.n_hubs = i.at = 0;
	add_places(&i, list);
	if (i.n_hubs == 0)
		return false;
	add_place(&i, &was.hubs[was.at]);
	for (unsigned k = 0; k < was.n_hubs; k++)
		add_place(&i, &was.hubs[k]);
	while (i.at < i.n_hubs && !parent_same_broker(&i.hubs[i.at], &was.hubs[was.at]))
		i.at++;
	i.at %= i.n_hubs;
	if (i.n_hubs == was.n_hubs && i.at == was.at && memcmp(i.hubs, was.hubs, sizeof(i.hubs)) == 0)
		return false;
	*info = i;
	return true;
}

static void take_places(struct parent *p, const json_t *list)
{
	struct err e;

	if (!parent_take_places(&p->info, list))
		return;
	p->looked = 0;
	if (write_info(p->dir, &p->info, &e) < 0)
		(void)fprintf(stderr, "osier: where the hub may be cannot be kept: %s\n", e.msg);
}

void parent_hubs(struct node *n, const char *json, size_t len)
{
	json_t *list = json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL);

	if (parent_is(n) && json_is_array(list))
		take_places(n->parent, list);
	json_decref(list);
}

/* ---- what a node says to a hub ---- */

/* The body of a join (secret not NULL) or a renewal. */
static json_t *body_for(struct parent *p, const char *dir, const uint8_t *secret,
        const uint8_t fingerprint[16], const char *name, struct err *e)
{
	char path[PATH_BYTES], *csr, statement[JOIN_STATEMENT_MAX], key64[BASE64_CHARS(32) + 1],
	        sig64[BASE64_CHARS(64) + 1], journal_hex[65], token[33];
	uint8_t leaf[1][32], digest[32], sig[64];
	struct cert_request *r;
	struct note_key pub;
	json_t *body;
	size_t n;
	int rc;

	path_of(dir, "client.key", path);
	if (journal_read_leaves(p->node->reader, 0, 1, leaf, e) < 0 ||
	        cert_request_make(path, name, &csr, e) < 0)
		return NULL;
	CHECK(cert_request_read(csr, strlen(csr), &r, NULL) == 0);
	cert_request_digest(r, digest);
	cert_request_free(r);
	n = join_statement(secret ? JOIN_JOIN : JOIN_RENEW, fingerprint, name, leaf[0], digest, statement);
	rc = ledger_sign(p->node, statement, n, sig, &pub, e);
	if (rc < 0) {
		free(csr);
		(void)err_wrap(e, "signing with the node's key");
		return NULL;
	}
	memcpy(p->said_key, pub.key, 32);
	(void)base64_write(pub.key, 32, key64);
	(void)base64_write(sig, 64, sig64);
	sha256_hex(leaf[0], journal_hex);
	for (unsigned i = 0; secret && i < 16; i++)
		(void)snprintf(token + 2 * i, 3, "%02x", secret[i]);
	body = json_pack("{s:i, s:s*, s:s, s:s, s:s, s:s, s:s}", "version", JOIN_VERSION, "token",
	        secret ? token : NULL, "name", name, "csr", csr, "key", key64, "journal", journal_hex,
	        "signature", sig64);
	free(csr);
	CHECK(body);
	if (!secret)
		parent_key_vouch(p->node, &p->info, pub.key, body);
	return body;
}

static void on_published(void *ctx, const struct err *e)
{
	struct parent *p = ctx;
	void (*then)(struct parent *) = p->then;

	(void)e; /* signing says what is wrong */
	p->then = NULL;
	then(p);
}

/* A node that has just started does not sign before its log was read and says which key is its own. */
static void when_signing(struct parent *p, void (*then)(struct parent *p))
{
	struct note_key pub;
	struct ledger_status s;
	uint8_t sig[64];

	ledger_status(p->node, &s);
	if (!s.on || p->then || ledger_sign(p->node, "", 0, sig, &pub, NULL) == 0) {
		then(p);
		return;
	}
	p->then = then;
	ledger_flush(p->node, on_published, p);
}

static json_t *self_json(const char *dir)
{
	return json_pack("{s:s+}", "ca", dir, "/ca.crt");
}

/* ---- renewing ---- */

static void look_again(struct parent *p, uint64_t ms);

static void renew_failed(struct parent *p, const struct err *e)
{
	(void)snprintf(p->info.error, sizeof(p->info.error), "%s", e->msg);
	parent_told(p->node, e);
	(void)fprintf(
	        stderr, "osier: the certificate of hub '%s' could not be renewed: %s\n", p->info.hub, e->msg);
	look_again(p, p->pause_ms);
	if (clock_wall_ns() > p->info.cert.not_after_ns) /* nothing works without one */
		p->pause_ms = PAUSE_MIN_MS;
	else
		p->pause_ms = p->pause_ms > PAUSE_MAX_MS / 2 ? PAUSE_MAX_MS : 2 * p->pause_ms;
}

static int take_renewed(struct parent *p, const json_t *answer, struct err *e)
{
	json_t *j =
	        json_loads(json_string_value(json_object_get(answer, "body")), JSON_REJECT_DUPLICATES, NULL);
	const char *pem = json_string_value(json_object_get(j, "certificate"));
	struct parent_info info = p->info;
	char path[PATH_BYTES];
	int rc = -1;

	path_of(p->dir, "client.crt", path);
	if (!pem)
		(void)err_set(
		        e, ERR_CORRUPT, "the hub did not answer with a certificate for '%s'", p->info.node);
	else if (parent_certificates(p->dir, pem, &info, e) ==
	                 0 && /* before the one that works is replaced */
	         cert_file_write(path, pem, strlen(pem), 0644, e) == 0)
		rc = parent_key_keep(p->dir, p->said_key, &info, e);
	if (rc == 0) {
		p->info = info;
		take_places(p, json_object_get(j, "hubs"));
	}
	json_decref(j);
	return rc;
}

static void on_renewed(void *ctx, const struct err *why, const json_t *answer)
{
	struct parent *p = ctx;
	struct err e;

	p->renewing = false;
	if (p->stopping || !p->is)
		return;
	if (why) {
		renew_failed(p, why);
	} else if (take_renewed(p, answer, &e) < 0) {
		renew_failed(p, &e);
	} else {
		p->pause_ms = PAUSE_MIN_MS;
		p->info.error[0] = '\0';
		look_again(p, 0);
		tell(p, PARENT_RENEWED);
	}
}

static void ask_to_renew(struct parent *p)
{
	struct err e;
	json_t *body;

	if (p->stopping || !p->is) {
		p->renewing = false;
		return;
	}
	body = body_for(p, p->dir, NULL, p->info.hub_sha256, p->info.node, &e);
	if (!body) {
		p->renewing = false;
		renew_failed(p, &e);
		return;
	}
	carrier_ask(p->node,
	        json_pack("{s:s, s:s, s:s, s:o, s:o}", "do", "post", "origin", parent_origin(p->node), "path",
	                "/v1/hub/renew", "body", body, "self", self_json(p->dir)),
	        on_renewed, p);
}

void parent_rekey(struct node *n)
{
	struct parent *p = n->parent;
	struct note_key pub;
	uint8_t sig[64];

	if (!p || !p->is || p->renewing || p->stopping || p->then ||
	        ledger_sign(n, "", 0, sig, &pub, NULL) < 0 || !p->info.key_known ||
	        memcmp(pub.key, p->info.key, 32) == 0)
		return;
	p->renewing = true;
	p->then = ask_to_renew;
	ledger_flush(n, on_published, p);
}

static void on_timer(uv_timer_t *t)
{
	struct parent *p = t->data;

	if (!p->is || p->renewing || p->stopping)
		return;
	if (clock_wall_ns() < cert_renew_ns(&p->info.cert)) {
		look_again(p, 0);
		return;
	}
	p->renewing = true;
	when_signing(p, ask_to_renew);
}

/* ms 0: when the certificate wants it. */
static void look_again(struct parent *p, uint64_t ms)
{
	uint64_t now = clock_wall_ns(), due = cert_renew_ns(&p->info.cert);

	if (!p->timer_open) {
		CHECK(uv_timer_init(&p->node->loop, &p->timer) == 0);
		p->timer.data = p;
		p->timer_open = true;
		uv_unref((uv_handle_t *)&p->timer);
	}
	if (ms == 0)
		ms = due > now + 1000000000u ? (due - now) / 1000000u + 1 : 1000;
	(void)uv_timer_start(&p->timer, on_timer, ms < LOOK_MS ? ms : LOOK_MS, 0);
}

/* ---- joining ---- */

static void joined(struct parent *p, const struct err *e)
{
	p->joining = false;
	memset(&p->line.token, 0, sizeof(p->line.token));
	if (e)
		drop_folder(p->new_dir);
	p->fn(p->ctx, e);
}

/* The new folder takes the old one's place. */
static int exchange(struct parent *p, struct err *e)
{
	char old[PATH_BYTES];

	path_of(p->node->state_dir, "parent.old", old);
	drop_folder(old);
	if (rename(p->dir, old) < 0 && errno != ENOENT)
		return err_sys(e, "cannot move '%.180s' away", p->dir);
	if (rename(p->new_dir, p->dir) < 0)
		return err_sys(e, "cannot make '%.180s'", p->dir);
	drop_folder(old);
	return disk_sync_folder(p->node->state_dir, e);
}

static int take_joined(struct parent *p, const json_t *answer, struct err *e)
{
	json_t *j =
	        json_loads(json_string_value(json_object_get(answer, "body")), JSON_REJECT_DUPLICATES, NULL);
	const char *pem = json_string_value(json_object_get(j, "certificate"));
	struct parent_info info;
	char path[PATH_BYTES];
	int rc = -1;

	path_of(p->new_dir, "client.crt", path);
	if (!pem)
		(void)err_set(e, ERR_CORRUPT, "the hub did not answer with a certificate");
	else if (info_from(j, p->line.origin, &info, e) == 0 &&
	         cert_file_write(path, pem, strlen(pem), 0644, e) == 0 &&
	         write_info(p->new_dir, &info, e) == 0 &&
	         parent_key_keep(p->new_dir, p->said_key, &info, e) == 0 &&
	         parent_certificates(p->new_dir, NULL, &info, e) == 0 && exchange(p, e) == 0)
		rc = 0;
	json_decref(j);
	if (rc < 0)
		return -1;
	p->info = info;
	p->is = true;
	p->pause_ms = PAUSE_MIN_MS;
	look_again(p, 0);
	return 0;
}

static void on_joined(void *ctx, const struct err *why, const json_t *answer)
{
	struct parent *p = ctx;
	struct parent_info was = p->info;
	bool same = p->is;
	struct err e;

	if (why) {
		joined(p, why);
	} else if (take_joined(p, answer, &e) < 0) {
		joined(p, &e);
	} else {
		same = same && strcmp(was.node, p->info.node) == 0 &&
		       strcmp(was.topics, p->info.topics) == 0 &&
		       strcmp(was.hubs[was.at].broker_host, p->info.hubs[0].broker_host) == 0 &&
		       was.hubs[was.at].broker_port == p->info.hubs[0].broker_port;
		joined(p, NULL);
		tell(p, same ? PARENT_AGAIN : PARENT_JOINED); /* joined again, to get a new certificate */
	}
}

static void span(int64_t s, char out[32])
{
	int64_t v = s < 0 ? -s : s;

	if (v < 7200)
		(void)snprintf(out, 32, "%lld min", (long long)(v / 60));
	else if (v < 172800)
		(void)snprintf(out, 32, "%lld h", (long long)(v / 3600));
	else
		(void)snprintf(out, 32, "%lld days", (long long)(v / 86400));
}

static int take_ca(struct parent *p, const json_t *answer, struct err *e)
{
	const char *pem = json_string_value(json_object_get(answer, "pem"));
	int64_t ahead = json_integer_value(json_object_get(answer, "ahead"));
	char path[PATH_BYTES], by[32];

	if (!pem)
		return err_set(e, ERR_CORRUPT, "the hub did not answer with its certificate");
	if (ahead > PARENT_CLOCK_S || ahead < -PARENT_CLOCK_S) {
		span(ahead, by);
		(void)err_set(e, ERR_DENIED, "the clock of this machine is %s %s the hub's", by,
		        ahead > 0 ? "behind" : "before");
		return err_hint(e, "set the one that is wrong; certificates are valid for a time");
	}
	path_of(p->new_dir, "ca.crt", path);
	return cert_file_write(path, pem, strlen(pem), 0644, e);
}

static void ask_to_join(struct parent *p)
{
	struct err e;
	json_t *body = NULL;

	if (p->stopping)
		(void)err_set(&e, ERR_CLOSED, "the node is stopping");
	else
		body = body_for(p, p->new_dir, p->line.token.secret, p->line.token.fingerprint, p->name, &e);
	if (!body) {
		joined(p, &e);
		return;
	}
	carrier_ask(p->node,
	        json_pack("{s:s, s:s, s:s, s:o, s:o}", "do", "post", "origin", p->line.origin, "path",
	                "/v1/hub/join", "body", body, "self", self_json(p->new_dir)),
	        on_joined, p);
}

static void on_ca(void *ctx, const struct err *why, const json_t *answer)
{
	struct parent *p = ctx;
	struct err e;

	if (why)
		joined(p, why);
	else if (take_ca(p, answer, &e) < 0)
		joined(p, &e);
	else
		when_signing(p, ask_to_join);
}

static int may_join(struct parent *p, const char *name, struct err *e)
{
	if (p->stopping || p->node->read_only)
		return err_set(e, ERR_CLOSED, "only a running node can join");
	if (p->joining)
		return err_set(e, ERR_EXISTS, "this node is joining a hub just now");
	if (!cert_name_ok(name) || strcmp(name, CERT_HUB) == 0) {
		(void)err_set(e, ERR_INVALID, "'%.63s' cannot be the name of a node at a hub", name);
		return err_hint(e, "use a-z, 0-9 and '-', at most %u, and not '%s'", CERT_NAME_MAX, CERT_HUB);
	}
	if (hub_is(p->node)) {
		uint8_t own[32];

		hub_fingerprint(p->node, own);
		if (memcmp(own, p->line.token.fingerprint, 16) == 0)
			return err_set(e, ERR_INVALID, "this node is that hub");
	}
	if (p->is && memcmp(p->info.hub_sha256, p->line.token.fingerprint, 16) != 0) {
		(void)err_set(e, ERR_EXISTS, "this node has joined the hub '%s' at %.100s", p->info.hub,
		        parent_origin(p->node));
		return err_hint(e, "'osier leave' first");
	}
	return 0;
}

int parent_join(struct node *n, const char *line, const char *name, parent_fn fn, void *ctx, struct err *e)
{
	struct parent *p = parent_of(n);
	char path[PATH_BYTES], finger[33];
	struct join_line parsed;

	if (p->joining)
		return err_set(e, ERR_EXISTS, "this node is joining a hub just now");
	if (join_line_parse(line, &parsed, e) < 0)
		return -1;
	p->line = parsed;
	if (may_join(p, name, e) < 0)
		return -1;
	drop_folder(p->new_dir);
	if (mkdir(p->new_dir, 0700) < 0)
		return err_sys(e, "cannot make the folder '%.180s'", p->new_dir);
	path_of(p->new_dir, "client.key", path);
	if (cert_key_make(path, e) < 0)
		return -1;
	memcpy(p->name, name, strlen(name) + 1);
	p->fn = fn;
	p->ctx = ctx;
	p->joining = true;
	for (unsigned i = 0; i < 16; i++)
		(void)snprintf(finger + 2 * i, 3, "%02x", p->line.token.fingerprint[i]);
	carrier_ask(n,
	        json_pack("{s:s, s:s, s:s}", "do", "ca", "origin", p->line.origin, "fingerprint", finger),
	        on_ca, p);
	return 0;
}

int parent_leave(struct node *n, struct err *e)
{
	struct parent *p = parent_of(n);

	if (!p->is) {
		(void)err_set(e, ERR_NOTFOUND, "this node has joined no hub");
		return -1;
	}
	p->is = false;
	if (p->timer_open)
		(void)uv_timer_stop(&p->timer);
	drop_folder(p->dir);
	tell(p, PARENT_LEFT);
	return disk_sync_folder(n->state_dir, e);
}

void parent_init(struct node *n)
{
	struct parent *p = parent_of(n);
	char old[PATH_BYTES];
	struct err e;

	drop_folder(p->new_dir); /* of a kill: the token may be used again by this node */
	path_of(n->state_dir, "parent.old", old);
	if (access(p->dir, F_OK) < 0)
		(void)rename(old, p->dir);
	drop_folder(old);
	if (load(p, &e) < 0) {
		if (e.code != ERR_NOTFOUND)
			node_notice(n, "the hub that was joined is not known any more", &e);
		return;
	}
	p->is = true;
	p->pause_ms = PAUSE_MIN_MS;
	look_again(p, 0);
	tell(p, PARENT_JOINED);
}

void parent_stop(struct node *n)
{
	if (n->parent)
		n->parent->stopping = true;
}

void parent_close(struct node *n)
{
	parent_doubt_close(n);
	free(n->parent);
	n->parent = NULL;
}
