/* SPDX-License-Identifier: Apache-2.0 */
/* hub_listener - see hub_listener.h. */
#include "engine/hub_listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/hub_int.h"
#include "engine/hub_parse.h"
#include "io/blobs.h"
#include "io/clock.h"

#define ROOM_S     20 /* for a request to come, when others wait for room */
#define POOL_BYTES (64u << 10)
#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct hub_listener {
	struct MHD_Daemon *daemon, *old; /* old: goes on with its connections after a reload */
	int fd;
	unsigned port;
	char *dir;
	struct cert_trust *trust;
	uint8_t fingerprint[32];
	char *ca, *cert, *key;
	size_t ca_n;
	struct hub_listener_options o;
	uv_async_t wake;
	bool stopped;
	pthread_mutex_t lock; /* of all below */
	struct asked_item *asked, **asked_end, *waiting;
	uint8_t (*revoked)[CERT_SERIAL];
	size_t n_revoked;
	struct hub_pace pace; /* of wrong tokens */
	struct hub_visitor *visitors;
	unsigned n_visitors;
	struct hub_large large;
	struct hub_uploads *uploads;
};

/* A question on its way to the loop and back. */
struct asked_item {
	struct hub_asked a; /* first */
	struct asked_item *next, *prev_waiting, *next_waiting;
	struct hub_request *q;
	uint8_t address[16];
};

pthread_mutex_t *hub_mutex(struct hub_request *q)
{
	return &q->l->lock;
}

struct hub_uploads *hub_uploads_of(struct hub_request *q)
{
	return q->l->uploads;
}

/* ---- answers ---- */

unsigned hub_status(enum err_code code)
{
	switch (code) {
	case ERR_NONE:
		return 200;
	case ERR_INVALID:
	case ERR_VERSION:
		return 400;
	case ERR_DENIED:
	case ERR_REMOVED:
		return 403;
	case ERR_NOTFOUND:
		return 404;
	case ERR_EXISTS:
		return 409;
	case ERR_TIMEOUT:
		return 410; /* a token's time is over */
	case ERR_FULL:
		return 507;
	case ERR_CLOSED:
	case ERR_FENCED:
		return 503;
	case ERR_CORRUPT:
	case ERR_SYSTEM:
		return 500;
	}
	return 500;
}

enum MHD_Result hub_reply(struct hub_request *q, unsigned status, struct MHD_Response *r)
{
	enum MHD_Result done;

	CHECK(r);
	q->answered = true;
	done = MHD_queue_response(q->conn, status, r);
	MHD_destroy_response(r);
	return done;
}

enum MHD_Result hub_json(struct hub_request *q, unsigned status, char *json)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(strlen(json), json, MHD_RESPMEM_MUST_FREE);

	CHECK(r);
	MHD_add_response_header(r, "Content-Type", "application/json");
	MHD_add_response_header(r, "Cache-Control", "no-store");
	return hub_reply(q, status, r);
}

char *hub_error_text(const char *code, const char *message, const char *hint)
{
	json_t *j = json_pack("{s:{s:s, s:s, s:s*}}", "error", "code", code, "message", message, "hint",
	        hint && *hint ? hint : NULL);
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;

	json_decref(j);
	if (!text)
		text = strdup("{\"error\":{\"code\":\"system\",\"message\":\"no words for it\"}}");
	CHECK(text);
	return text;
}

enum MHD_Result hub_error(
        struct hub_request *q, unsigned status, const char *code, const char *message, const char *hint)
{
	return hub_json(q, status, hub_error_text(code, message, hint));
}

enum MHD_Result hub_error_err(struct hub_request *q, const struct err *e)
{
	return hub_error(q, hub_status(e->code), err_code_name(e->code), e->msg, e->hint);
}

/* ---- who is it ---- */

static int compare_serials(const void *a, const void *b)
{
	return memcmp(a, b, CERT_SERIAL);
}

/* < 0: *e says why the certificate, which is there, does not count. No certificate: name "". */
static int peer_of(struct hub_request *q, struct err *e)
{
	const union MHD_ConnectionInfo *i =
	        MHD_get_connection_info(q->conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	const gnutls_datum_t *certs;
	unsigned n = 0;

	q->peer.name[0] = '\0';
	certs = i && i->tls_session ? gnutls_certificate_get_peers(i->tls_session, &n) : NULL;
	if (!certs || n == 0)
		return 0;
	if (cert_trust_check(q->l->trust, certs[0].data, certs[0].size, clock_wall_ns(), &q->peer, e) < 0) {
		q->peer.name[0] = '\0';
		return -1;
	}
	if (q->l->n_revoked &&
	        bsearch(q->peer.serial, q->l->revoked, q->l->n_revoked, CERT_SERIAL, compare_serials)) {
		(void)err_set(e, ERR_REMOVED, "the certificate of '%s' was revoked", q->peer.name);
		q->peer.name[0] = '\0';
		return -1;
	}
	return 0;
}

/* What it shows counts, or it shows nothing. < 0: answered. */
static int shown(struct hub_request *q, enum MHD_Result *out)
{
	struct err e = {0};

	if (peer_of(q, &e) == 0)
		return 0;
	*out = hub_error(q, 403, err_code_name(e.code == ERR_REMOVED ? e.code : ERR_DENIED), e.msg, e.hint);
	return -1;
}

/* < 0: answered. */
static int must_be_node(struct hub_request *q, enum MHD_Result *out)
{
	if (shown(q, out) < 0)
		return -1;
	if (q->peer.name[0])
		return 0;
	*out = hub_error(q, 401, "denied",
	        "this is for nodes of the hub: show the certificate that it gave you",
	        "a node joins with 'osier join'");
	return -1;
}

/* ---- the pace of wrong tokens ---- */

static void address_of(struct hub_request *q, uint8_t out[16])
{
	const union MHD_ConnectionInfo *i =
	        MHD_get_connection_info(q->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *sa = i ? i->client_addr : NULL;

	memset(out, 0, 16);
	if (sa && sa->sa_family == AF_INET)
		memcpy(out, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	else if (sa && sa->sa_family == AF_INET6) /* a network: who has one address of it has them all */
		memcpy(out, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr,
		        IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr)
		                ? 16
		                : 8);
}

/* ---- joining and renewing ---- */

static void enqueue(struct hub_listener *l, struct asked_item *it)
{
	it->q->asked = &it->a;
	*l->asked_end = it;
	l->asked_end = &it->next;
	it->next_waiting = l->waiting;
	if (l->waiting)
		l->waiting->prev_waiting = it;
	l->waiting = it;
	(void)uv_async_send(&l->wake);
}

static enum MHD_Result ask(struct hub_request *q, enum join_what what)
{
	struct hub_listener *l = q->l;
	struct asked_item *it;
	struct err e = {0};
	uint8_t address[16];

	address_of(q, address);
	if (q->too_large)
		return hub_error(q, 413, "too_large", "the body of the request is too large", NULL);
	if (l->stopped)
		return hub_error(q, 503, "closed", "the hub is stopping", "try again when it is up");
	if (!q->peer.name[0] && !hub_pace_may(&l->pace, address, clock_mono_ns()))
		return hub_error(q, 429, "full", "too many wrong tokens came from your address",
		        "wait a few seconds, then try with a token that the hub has printed");
	it = calloc(1, sizeof(*it));
	CHECK(it);
	it->a.what = what;
	it->q = q;
	memcpy(it->address, address, 16);
	if (what == JOIN_KEYS) {
		memcpy(it->a.name, q->peer.name, sizeof(it->a.name));
		hub_keys_asked_read(q->body ? q->body : "", q->n, &it->a);
	} else if (what == JOIN_WITNESS || what == JOIN_MIRROR) {
		memcpy(it->a.name, q->peer.name, sizeof(it->a.name));
		it->a.body = q->body ? q->body : "";
		it->a.body_n = q->n;
	} else if (hub_asked_read(q->body ? q->body : "", q->n, l->fingerprint, q->peer.name, &it->a, &e) <
	           0) {
		free(it);
		hub_pace_spend(&l->pace, address, clock_mono_ns()); /* it cost us as much as a wrong token */
		return hub_error_err(q, &e);
	}
	MHD_suspend_connection(q->conn);
	enqueue(l, it);
	return MHD_YES;
}

bool hub_ask_taken(struct hub_request *q, const uint8_t digest[32], uint64_t bytes)
{
	struct asked_item *it;

	if (q->l->stopped)
		return false;
	it = calloc(1, sizeof(*it));
	CHECK(it);
	it->a.what = JOIN_TAKEN;
	it->a.bytes = bytes;
	it->q = q;
	memcpy(it->a.token_hash, digest, 32);
	enqueue(q->l, it);
	return true;
}

/* Which of these blobs are not here? */
static enum MHD_Result lacks(struct hub_request *q)
{
	json_t *j = json_loadb(q->body ? q->body : "", q->n, 0, NULL), *list = json_array(), *at;
	uint8_t digest[32];
	char *text;
	size_t i;

	json_array_foreach(json_object_get(j, "blobs"), i, at)
	{
		const char *hex = json_string_value(at);

		if (hex && sha256_unhex(hex, digest) == 0 && !blobs_has(q->l->o.blobs, digest, NULL))
			json_array_append(list, at);
	}
	json_decref(j);
	j = json_pack("{s:o}", "lacks", list);
	text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	CHECK(text);
	return hub_json(q, 200, text);
}

static void on_wake(uv_async_t *h)
{
	struct hub_listener *l = h->data;
	struct asked_item *it;

	for (;;) {
		CHECK(pthread_mutex_lock(&l->lock) == 0);
		it = l->asked;
		if (it) {
			l->asked = it->next;
			if (!l->asked)
				l->asked_end = &l->asked;
		}
		CHECK(pthread_mutex_unlock(&l->lock) == 0);
		if (!it)
			return;
		l->o.ask(l->o.ctx, &it->a);
	}
}

void hub_listener_answer(struct hub_asked *a, unsigned status, const char *json, bool guess)
{
	struct asked_item *it = (struct asked_item *)(void *)a;
	struct hub_request *q = it->q;
	struct hub_listener *l = q->l;

	CHECK(pthread_mutex_lock(&l->lock) == 0);
	if (guess)
		hub_pace_spend(&l->pace, it->address, clock_mono_ns());
	q->status = status;
	q->json = strdup(json);
	CHECK(q->json);
	q->asked = NULL;
	*(it->prev_waiting ? &it->prev_waiting->next_waiting : &l->waiting) = it->next_waiting;
	if (it->next_waiting)
		it->next_waiting->prev_waiting = it->prev_waiting;
	cert_request_free(it->a.request);
	free(it);
	CHECK(pthread_mutex_unlock(&l->lock) == 0);
	MHD_resume_connection(q->conn); /* until then q stays */
}

/* ---- requests ---- */

/* Who shows a certificate hears that it counts, or why not: nothing is issued, and the loop hears nothing of it. */
static enum MHD_Result who_are_you(struct hub_request *q)
{
	char json[CERT_NAME_MAX + 16];

	(void)snprintf(json, sizeof(json), "{\"node\":\"%s\"}", q->peer.name);
	return hub_json(q, 200, strdup(json));
}

static enum MHD_Result give_ca(struct hub_request *q)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(q->l->ca_n, q->l->ca, MHD_RESPMEM_MUST_COPY);

	CHECK(r);
	MHD_add_response_header(r, "Content-Type", "application/x-pem-file");
	MHD_add_response_header(r, "Cache-Control", "no-store");
	return hub_reply(q, 200, r);
}

static const char blobs_prefix[] = "/v1/blobs/", mirror_path[] = "/v1/hub/mirror";

static enum MHD_Result answer(struct hub_request *q, const char *url, const char *method)
{
	bool get = strcmp(method, "GET") == 0, head = strcmp(method, "HEAD") == 0,
	     post = strcmp(method, "POST") == 0;
	enum MHD_Result done;

	if (strcmp(url, "/v1/hub/ca") == 0)
		return get || head ? give_ca(q) : hub_error(q, 405, "method", "this is only read", "use GET");
	if (strcmp(url, "/v1/hub/join") == 0)
		return post ? ask(q, JOIN_JOIN)
		            : hub_error(q, 405, "method", "joining is a POST", "use POST");
	if (strcmp(url, "/v1/hub/renew") == 0) {
		if (!post)
			return hub_error(q, 405, "method", "renewing is a POST", "use POST");
		/* Without a certificate, too: the signature says who it is, and the old one may have expired. */
		return shown(q, &done) < 0 ? done : ask(q, JOIN_RENEW);
	}
	if (strcmp(url, "/v1/hub/me") == 0) {
		if (!post)
			return hub_error(q, 405, "method", "who one is is asked by POST", "use POST");
		return must_be_node(q, &done) < 0 ? done : who_are_you(q);
	}
	if (strcmp(url, "/v1/hub/keys") == 0) {
		if (!post)
			return hub_error(q, 405, "method", "keys are asked for by POST", "use POST");
		return must_be_node(q, &done) < 0 ? done : ask(q, JOIN_KEYS);
	}
	if (strcmp(url, "/v1/hub/witness") == 0) {
		if (!post)
			return hub_error(q, 405, "method", "heads are handed in by POST", "use POST");
		return must_be_node(q, &done) < 0 ? done : ask(q, JOIN_WITNESS);
	}
	if (strcmp(url, mirror_path) == 0) {
		if (!post)
			return hub_error(q, 405, "method", "logs are brought by POST", "use POST");
		if (q->stale)
			return MHD_NO;
		return must_be_node(q, &done) < 0 ? done : ask(q, JOIN_MIRROR);
	}
	if (strcmp(url, "/v1/hub/lacks") == 0) {
		if (must_be_node(q, &done) < 0)
			return done;
		if (!post || strcmp(q->peer.name, CERT_HUB) != 0 || q->too_large)
			return hub_error(q, 403, "denied",
			        "this is for the hub that this machine stands by for", NULL);
		return lacks(q);
	}
	if (strncmp(url, blobs_prefix, sizeof(blobs_prefix) - 1) == 0) {
		if (q->stale)
			return MHD_NO;
		if (q->upload)
			return hub_blob_end(q);
		if (must_be_node(q, &done) < 0)
			return done;
		if (get || head)
			return hub_blob_get(q, url + sizeof(blobs_prefix) - 1, head);
		return hub_error(q, 405, "method", "blobs are got and put", "use GET, HEAD or PUT");
	}
	return hub_error(
	        q, 404, "not_found", "there is no such address here: this is a hub, for its nodes", NULL);
}

/* The header has come. */
static enum MHD_Result begin(struct hub_request *q, const char *url, const char *method)
{
	enum MHD_Result done;

	if (strcmp(method, "POST") == 0 && strcmp(url, mirror_path) == 0) {
		if (must_be_node(q, &done) < 0)
			return done;
		if (!hub_large_take(&q->l->large, q, time(NULL)))
			return hub_error(q, 503, "closed", "other nodes bring their logs just now",
			        "try again in a while");
		return MHD_YES;
	}
	if (strcmp(method, "PUT") != 0 || strncmp(url, blobs_prefix, sizeof(blobs_prefix) - 1) != 0)
		return MHD_YES;
	if (must_be_node(q, &done) < 0)
		return done;
	return hub_blob_put(q, url + sizeof(blobs_prefix) - 1);
}

static enum MHD_Result piece(struct hub_request *q, const char *p, size_t *n)
{
	size_t k = *n, most = q->large ? HUB_LARGE_MAX : HUB_BODY_MAX;

	*n = 0;
	if (q->stale)
		return MHD_NO;
	if (q->answered)
		return MHD_YES;
	if (q->upload)
		return hub_blob_piece(q, p, k);
	if (q->too_large || k > most - q->n) {
		q->too_large = true;
		q->n += k; /* who goes on and on is cut off */
		return q->n > 4 * most ? MHD_NO : MHD_YES;
	}
	if (q->n + k > q->room) { /* most requests are small, and what is small is asked for at once */
		q->room = q->n + k <= HUB_BODY_MAX ? HUB_BODY_MAX : HUB_LARGE_MAX;
		q->body = realloc(q->body, q->room);
		CHECK(q->body);
	}
	memcpy(q->body + q->n, p, k);
	q->n += k;
	return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
        const char *version, const char *upload, size_t *upload_n, void **con_cls)
{
	const union MHD_ConnectionInfo *i = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct hub_visitor *v = i ? i->socket_context : NULL;
	struct hub_listener *l = cls;
	struct hub_request *q = *con_cls;
	enum MHD_Result done = MHD_YES;

	(void)version;
	CHECK(pthread_mutex_lock(&l->lock) == 0);
	if (v)
		v->asked = true;
	if (!q) {
		q = calloc(1, sizeof(*q));
		CHECK(q);
		q->l = l;
		q->conn = conn;
		*con_cls = q;
		done = begin(q, url, method);
	} else if (*upload_n) {
		done = piece(q, upload, upload_n);
	} else if (q->json) {
		done = hub_json(q, q->status, q->json);
		q->json = NULL;
	} else if (!q->answered) {
		done = answer(q, url, method);
	}
	CHECK(pthread_mutex_unlock(&l->lock) == 0);
	return done;
}

static void on_completed(
        void *cls, struct MHD_Connection *conn, void **con_cls, enum MHD_RequestTerminationCode why)
{
	const union MHD_ConnectionInfo *i = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct hub_visitor *v = i ? i->socket_context : NULL;
	struct hub_listener *l = cls;
	struct hub_request *q = *con_cls;

	(void)why;
	CHECK(pthread_mutex_lock(&l->lock) == 0);
	if (v) {
		v->asked = false;
		v->since = time(NULL);
	}
	if (q) {
		CHECK(!q->asked); /* it is suspended until it was answered */
		hub_blob_gone(q);
		hub_large_leave(&l->large, q);
		free(q->body);
		free(q->json);
	}
	free(q);
	*con_cls = NULL;
	CHECK(pthread_mutex_unlock(&l->lock) == 0);
}

/* As in listener.c: who sends a byte now and then would stay for ever. */
static void make_room(struct hub_listener *l, time_t now)
{
	if (l->n_visitors < HUB_CONNECTIONS / 2)
		return;
	for (struct hub_visitor *v = l->visitors; v; v = v->next)
		if (!v->asked && now - v->since > ROOM_S)
			(void)shutdown(v->fd, SHUT_RDWR);
}

static void on_connection(
        void *cls, struct MHD_Connection *conn, void **context, enum MHD_ConnectionNotificationCode code)
{
	struct hub_listener *l = cls;
	struct hub_visitor *v = *context;

	CHECK(pthread_mutex_lock(&l->lock) == 0);
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		const union MHD_ConnectionInfo *i =
		        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);

		v = calloc(1, sizeof(*v));
		CHECK(v && i);
		*v = (struct hub_visitor){.next = l->visitors, .fd = i->connect_fd, .since = time(NULL)};
		if (v->next)
			v->next->prev = v;
		l->visitors = v;
		l->n_visitors++;
		*context = v;
		make_room(l, v->since);
	} else if (v) {
		*(v->prev ? &v->prev->next : &l->visitors) = v->next;
		if (v->next)
			v->next->prev = v->prev;
		l->n_visitors--;
		free(v);
		*context = NULL;
	}
	CHECK(pthread_mutex_unlock(&l->lock) == 0);
}

static size_t keep_escapes(void *cls, struct MHD_Connection *conn, char *s)
{
	(void)cls;
	(void)conn;
	return strlen(s);
}

static void no_log(void *cls, const char *fmt, va_list ap)
{
	(void)cls;
	(void)fmt;
	(void)ap;
}

/* ---- opening ---- */

static int listen_at(const char *address, unsigned port, int *out_fd, struct err *e)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	bool six = inet_pton(AF_INET6, address, &v6.sin6_addr) == 1;
	int one = 1, s;

	if (!six && inet_pton(AF_INET, address, &v4.sin_addr) != 1)
		return err_set(e, ERR_INVALID, "'%.80s' is not a numeric address to listen at", address);
	s = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0 && six && strcmp(address, "::") == 0) /* a machine without IPv6 */
		return listen_at("0.0.0.0", port, out_fd, e);
	if (s >= 0)
		(void)setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (s < 0 ||
	        bind(s, six ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4,
	                six ? sizeof(v6) : sizeof(v4)) < 0 ||
	        listen(s, 1024) < 0) {
		bool taken = errno == EADDRINUSE;

		(void)err_sys(e, "cannot listen at %.80s port %u", address, port);
		if (taken) {
			e->code = ERR_EXISTS;
			(void)err_hint(e, "another program listens there: osier hub --port PORT");
		}
		if (s >= 0)
			(void)close(s);
		return -1;
	}
	*out_fd = s;
	return 0;
}

static unsigned port_of(int fd)
{
	struct sockaddr_storage sa = {0};
	socklen_t n = sizeof(sa);

	(void)getsockname(fd, (struct sockaddr *)&sa, &n);
	return ntohs(sa.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&sa)->sin6_port
	                                      : ((const struct sockaddr_in *)&sa)->sin_port);
}

static int read_in(const struct hub_listener *l, const char *name, char **out, size_t *out_n, struct err *e)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/%s", l->dir, name);
	free(*out);
	*out = NULL;
	return cert_file_read(path, out, out_n, e);
}

static int start(struct hub_listener *l, struct err *e)
{
	size_t n;

	if (read_in(l, "server.crt", &l->cert, &n, e) < 0 || read_in(l, "server.key", &l->key, &n, e) < 0)
		return -1;
	/* Not epoll: libmicrohttpd 0.9.75 waits for edges, and with TLS misses the end of a connection that had more to read. */
	l->daemon = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_TLS |
	                                     MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
	        0, NULL, NULL, on_request, l, MHD_OPTION_EXTERNAL_LOGGER, no_log, NULL,
	        MHD_OPTION_LISTEN_SOCKET, l->fd, MHD_OPTION_HTTPS_MEM_CERT, l->cert, MHD_OPTION_HTTPS_MEM_KEY,
	        l->key, MHD_OPTION_HTTPS_MEM_TRUST, l->ca, MHD_OPTION_HTTPS_PRIORITIES, PRIORITIES,
	        MHD_OPTION_CONNECTION_LIMIT, HUB_CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
	        HUB_CONNECTIONS / 4, MHD_OPTION_CONNECTION_TIMEOUT, HUB_IDLE_S,
	        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_NOTIFY_COMPLETED,
	        on_completed, l, MHD_OPTION_NOTIFY_CONNECTION, on_connection, l, MHD_OPTION_UNESCAPE_CALLBACK,
	        keep_escapes, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	return l->daemon ? 0 : err_set(e, ERR_SYSTEM, "cannot start the hub's HTTPS server");
}

static void release(struct hub_listener *l)
{
	if (l->old)
		MHD_stop_daemon(l->old);
	if (l->daemon)
		MHD_stop_daemon(l->daemon);
	else if (l->fd >= 0)
		(void)close(l->fd);
	hub_uploads_free(l->uploads);
	cert_trust_free(l->trust);
	(void)pthread_mutex_destroy(&l->lock);
	free(l->revoked);
	free(l->ca);
	free(l->cert);
	free(l->key);
	free(l->dir);
	free(l);
}

static void on_given_up(uv_handle_t *h)
{
	release(h->data);
}

/* Its handle must be closed by the loop first. */
static void give_up(struct hub_listener *l)
{
	uv_close((uv_handle_t *)&l->wake, on_given_up);
}

int hub_listener_open(const struct hub_listener_options *o, struct hub_listener **out, struct err *e)
{
	struct hub_listener *l = calloc(1, sizeof(*l));

	CHECK(l);
	l->fd = -1;
	l->o = *o;
	l->dir = strdup(o->dir);
	CHECK(l->dir && pthread_mutex_init(&l->lock, NULL) == 0);
	l->asked_end = &l->asked;
	CHECK(uv_async_init(o->loop, &l->wake, on_wake) == 0);
	l->wake.data = l;
	uv_unref((uv_handle_t *)&l->wake);
	if (read_in(l, "ca.crt", &l->ca, &l->ca_n, e) < 0 ||
	        cert_trust_new(l->ca, l->ca_n, &l->trust, e) < 0 ||
	        hub_uploads_new(o->incoming, o->blobs, &l->uploads, e) < 0 ||
	        listen_at(o->listen, o->port, &l->fd, e) < 0) {
		give_up(l);
		return -1;
	}
	cert_trust_digest(l->trust, l->fingerprint);
	l->port = port_of(l->fd);
	if (start(l, e) < 0) {
		give_up(l);
		return -1;
	}
	*out = l;
	return 0;
}

unsigned hub_listener_port(const struct hub_listener *l)
{
	return l->port;
}

int hub_listener_reload(struct hub_listener *l, struct err *e)
{
	if (l->old)
		MHD_stop_daemon(l->old);
	l->old = l->daemon;
	l->daemon = NULL;
	if (l->old && MHD_quiesce_daemon(l->old) == MHD_INVALID_SOCKET)
		return err_set(e, ERR_SYSTEM, "cannot exchange the hub's certificate");
	return start(l, e);
}

void hub_listener_revoked(struct hub_listener *l, const uint8_t (*serials)[CERT_SERIAL], size_t n)
{
	uint8_t(*copy)[CERT_SERIAL] = calloc(n ? n : 1, CERT_SERIAL);

	CHECK(copy);
	if (n)
		memcpy(copy, serials, n * CERT_SERIAL);
	qsort(copy, n, CERT_SERIAL, compare_serials);
	CHECK(pthread_mutex_lock(&l->lock) == 0);
	free(l->revoked);
	l->revoked = copy;
	l->n_revoked = n;
	CHECK(pthread_mutex_unlock(&l->lock) == 0);
}

void hub_listener_stop(struct hub_listener *l)
{
	if (!l || l->stopped)
		return;
	CHECK(pthread_mutex_lock(&l->lock) == 0);
	l->stopped = true;
	CHECK(pthread_mutex_unlock(&l->lock) == 0);
	on_wake(&l->wake); /* what came is asked, and refused by who stops */
}

void hub_listener_close(struct hub_listener *l)
{
	if (!l)
		return;
	CHECK(!l->waiting);
	hub_uploads_wait(l->uploads, &l->lock);
	release(l);
}
