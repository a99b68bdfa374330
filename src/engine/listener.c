/* SPDX-License-Identifier: Apache-2.0 */
/* listener - see listener.h. */
#include "engine/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/config_read.h"
#include "io/cosigned.h"
#include "io/gzip.h"
#include "io/logstore.h"
#include "io/sha256.h"

static const char forever[] = "public, max-age=31536000, immutable";
static const char text_type[] = "text/plain; charset=utf-8";

struct visitor { /* a connection */
	struct visitor *prev, *next;
	int fd;
	bool asked; /* a request of it is being answered */
	time_t since;
};

struct asking { /* a request */
	char *body;
	size_t n;
	bool too_large;
};

struct listener {
	struct MHD_Daemon *daemon;
	char *state_dir, url[LISTENER_URL_MAX];
	bool entries;
	listener_post_fn add_checkpoint;
	void *ctx;
	/* of its thread */
	struct logstore *log;
	struct visitor *visitors;
	unsigned n_visitors;
};

/* ---- answers ---- */

static enum MHD_Result give(struct MHD_Connection *conn, unsigned status, struct MHD_Response *r)
{
	enum MHD_Result done;

	CHECK(r);
	MHD_add_response_header(
	        r, "Access-Control-Allow-Origin", "*"); /* it is public: pages may verify it */
	done = MHD_queue_response(conn, status, r);
	MHD_destroy_response(r);
	return done;
}

static enum MHD_Result tell(struct MHD_Connection *conn, unsigned status, const char *what)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "%s\n", what);
	struct MHD_Response *r = MHD_create_response_from_buffer(
	        n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1, line, MHD_RESPMEM_MUST_COPY);

	CHECK(r);
	MHD_add_response_header(r, "Content-Type", text_type);
	MHD_add_response_header(r, "Cache-Control", "no-store");
	if (status == 405)
		MHD_add_response_header(r, "Allow", "GET, HEAD");
	return give(conn, status, r);
}

static enum MHD_Result tell_err(struct MHD_Connection *conn, const struct err *e)
{
	return tell(conn, e->code == ERR_NOTFOUND ? 404 : e->code == ERR_CLOSED ? 503 : 500, e->msg);
}

/* The log with its newest head. What was refused once is tried again: the log may have been mended. */
static int open_log(struct listener *l, struct log_head *head, struct err *e)
{
	if (!l->log && logstore_open(l->state_dir, NULL, true, &l->log, e) < 0)
		return -1;
	if (logstore_head(l->log, head, e) < 0)
		return -1;
	return head->note_n ? 0 : err_set(e, ERR_NOTFOUND, "nothing was published yet");
}

static enum MHD_Result checkpoint(struct listener *l, struct MHD_Connection *conn)
{
	const char *known = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "If-None-Match");
	struct MHD_Response *r;
	struct log_head head;
	uint8_t digest[32];
	char hex[65], tag[40], *note;
	struct err e;
	size_t n;
	bool same;

	if (open_log(l, &head, &e) < 0 || cosigned_checkpoint(l->log, &note, &n, &e) < 0)
		return tell_err(conn, &e);
	sha256_of(note, n, digest);
	sha256_hex(digest, hex);
	(void)snprintf(tag, sizeof(tag), "\"%.32s\"", hex);
	same = known && strstr(known, tag);
	r = MHD_create_response_from_buffer(same ? 0 : n, note, MHD_RESPMEM_MUST_FREE);
	CHECK(r);
	MHD_add_response_header(r, "Content-Type", text_type);
	MHD_add_response_header(r, "Cache-Control", "public, max-age=1");
	MHD_add_response_header(r, "ETag", tag);
	return give(conn, same ? 304 : 200, r);
}

static enum MHD_Result tile(struct listener *l, struct MHD_Connection *conn, const struct tile *t)
{
	uint8_t *bytes, *small = NULL;
	size_t n, small_n = 0;
	struct MHD_Response *r;
	struct log_head head;
	struct err e;

	if (t->entries && !l->entries)
		return tell(conn, 403,
		        "entries of this log are not public: they hold the commands of those who use the "
		        "node");
	if (open_log(l, &head, &e) < 0 || logstore_tile(l->log, t, &bytes, &n, &e) < 0)
		return tell_err(conn, &e);
	if (t->entries &&
	        gzip_accepted(MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "Accept-Encoding")) &&
	        gzip_bytes(bytes, n, &small, &small_n)) {
		free(bytes);
		bytes = small;
		n = small_n;
	}
	r = MHD_create_response_from_buffer(n, bytes, MHD_RESPMEM_MUST_FREE);
	CHECK(r);
	MHD_add_response_header(r, "Content-Type", "application/octet-stream");
	MHD_add_response_header(r, "Cache-Control", forever);
	if (t->entries)
		MHD_add_response_header(r, "Vary", "Accept-Encoding");
	if (small)
		MHD_add_response_header(r, "Content-Encoding", "gzip");
	return give(conn, 200, r);
}

static enum MHD_Result get(struct listener *l, struct MHD_Connection *conn, const char *url)
{
	struct tile t;

	if (strcmp(url, "/checkpoint") == 0)
		return checkpoint(l, conn);
	if (url[0] == '/' && tile_parse(url + 1, strlen(url + 1), &t, NULL) == 0)
		return tile(l, conn, &t);
	return tell(conn, 404,
	        "this is a log (c2sp.org/tlog-tiles): it has /checkpoint, /tile/LEVEL/INDEX[.p/WIDTH] and "
	        "/tile/entries/INDEX[.p/WIDTH]");
}

/* ---- POST ---- */

static enum MHD_Result body_piece(struct asking *p, const char *piece, size_t *n)
{
	size_t k = *n;

	*n = 0;
	if (p->too_large || k > LISTENER_BODY_MAX - p->n) {
		p->too_large = true;
		p->n += k; /* who goes on and on is cut off */
		return p->n > 4 * LISTENER_BODY_MAX ? MHD_NO : MHD_YES;
	}
	if (!p->body)
		p->body = malloc(LISTENER_BODY_MAX);
	CHECK(p->body);
	memcpy(p->body + p->n, piece, k);
	p->n += k;
	return MHD_YES;
}

static enum MHD_Result post_answer(struct listener *l, struct MHD_Connection *conn, const struct asking *p)
{
	struct listener_reply reply = {.status = 500};
	struct MHD_Response *r;

	if (p->too_large)
		return tell(conn, 413, "the body of the request is too large");
	l->add_checkpoint(l->ctx, p->body ? p->body : "", p->n, &reply);
	r = MHD_create_response_from_buffer(reply.body_n, reply.body, MHD_RESPMEM_MUST_FREE);
	CHECK(r);
	MHD_add_response_header(r, "Content-Type", reply.type ? reply.type : text_type);
	return give(conn, reply.status, r);
}

/* ---- requests ---- */

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
        const char *version, const char *upload, size_t *upload_n, void **con_cls)
{
	const union MHD_ConnectionInfo *i = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct visitor *v = i ? i->socket_context : NULL;
	struct listener *l = cls;
	struct asking *p = *con_cls;

	(void)version;
	if (!p) { /* answered when all of it has come: else the connection could not be used again */
		*con_cls = calloc(1, sizeof(*p));
		CHECK(*con_cls);
		return MHD_YES;
	}
	if (*upload_n)
		return body_piece(p, upload, upload_n);
	if (v)
		v->asked = true;
	if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
		return get(l, conn, url);
	if (strcmp(method, "POST") != 0 || strcmp(url, "/add-checkpoint") != 0)
		return tell(conn, 405, "this log is only read here");
	return l->add_checkpoint ? post_answer(l, conn, p) : tell(conn, 404, "this node is no witness");
}

static void on_completed(
        void *cls, struct MHD_Connection *conn, void **con_cls, enum MHD_RequestTerminationCode why)
{
	const union MHD_ConnectionInfo *i = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct visitor *v = i ? i->socket_context : NULL;
	struct asking *p = *con_cls;

	(void)cls;
	(void)why;
	if (v) {
		v->asked = false;
		v->since = time(NULL);
	}
	if (p)
		free(p->body);
	free(p);
	*con_cls = NULL;
}

/* libmicrohttpd's timeout begins anew with every byte: who sends one now and then would stay for ever. Nobody minds as long as
 * there is room. */
static void make_room(struct listener *l, time_t now)
{
	if (l->n_visitors < LISTENER_CONNECTIONS / 2)
		return;
	for (struct visitor *v = l->visitors; v; v = v->next)
		if (!v->asked && now - v->since > (time_t)LISTENER_HEADER_S)
			(void)shutdown(v->fd, SHUT_RDWR);
}

static void on_connection(
        void *cls, struct MHD_Connection *conn, void **context, enum MHD_ConnectionNotificationCode code)
{
	struct listener *l = cls;
	struct visitor *v = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		const union MHD_ConnectionInfo *i =
		        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);

		v = calloc(1, sizeof(*v));
		CHECK(v && i);
		*v = (struct visitor){.next = l->visitors, .fd = i->connect_fd, .since = time(NULL)};
		if (v->next)
			v->next->prev = v;
		l->visitors = v;
		l->n_visitors++;
		*context = v;
		make_room(l, v->since);
	} else if (v) {
		if (v->prev)
			v->prev->next = v->next;
		else
			l->visitors = v->next;
		if (v->next)
			v->next->prev = v->prev;
		l->n_visitors--;
		free(v);
		*context = NULL;
	}
}

/* A path is what it is: nothing in it needs escapes, so an escaped one is another path. */
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

static int listen_at(const char *address, int *out_fd, struct err *e)
{
	struct sockaddr_storage sa;
	socklen_t n;
	int one = 1, s;

	if (config_address(address, &sa, &n) < 0)
		return err_set(e, ERR_INVALID, "'%.80s' is not an address such as 127.0.0.1:8700", address);
	s = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s >= 0)
		(void)setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (s < 0 || bind(s, (struct sockaddr *)&sa, n) < 0 || listen(s, 128) < 0) {
		bool taken = errno == EADDRINUSE;

		(void)err_sys(e, "cannot listen at %.80s", address);
		if (taken) {
			e->code = ERR_EXISTS;
			(void)err_hint(
			        e, "another program listens there: choose another port in ledger.listen");
		}
		if (s >= 0)
			(void)close(s);
		return -1;
	}
	*out_fd = s;
	return 0;
}

static void name_url(struct listener *l, int fd)
{
	struct sockaddr_storage sa = {0};
	socklen_t n = sizeof(sa);
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&sa;
	char ip[INET6_ADDRSTRLEN] = "";

	(void)getsockname(fd, (struct sockaddr *)&sa, &n);
	if (sa.ss_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip));
		(void)snprintf(l->url, sizeof(l->url), "http://[%s]:%u", ip, ntohs(v6->sin6_port));
	} else {
		(void)inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof(ip));
		(void)snprintf(l->url, sizeof(l->url), "http://%s:%u", ip, ntohs(v4->sin_port));
	}
}

int listener_open(const struct listener_options *o, struct listener **out, struct err *e)
{
	struct listener *l = calloc(1, sizeof(*l));
	int fd = -1;

	CHECK(l);
	if (listen_at(o->address, &fd, e) < 0) {
		free(l);
		return -1;
	}
	l->state_dir = strdup(o->state_dir);
	CHECK(l->state_dir);
	l->entries = o->entries;
	l->add_checkpoint = o->add_checkpoint;
	l->ctx = o->ctx;
	name_url(l, fd);
	l->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0, NULL,
	        NULL, on_request, l, MHD_OPTION_EXTERNAL_LOGGER, no_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
	        MHD_OPTION_CONNECTION_LIMIT, LISTENER_CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
	        LISTENER_CONNECTIONS / 4, MHD_OPTION_CONNECTION_TIMEOUT, LISTENER_IDLE_S,
	        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)LISTENER_POOL_BYTES, MHD_OPTION_THREAD_STACK_SIZE,
	        (size_t)512 << 10, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
	        MHD_OPTION_NOTIFY_CONNECTION, on_connection, l, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes,
	        NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (!l->daemon) {
		(void)close(fd);
		free(l->state_dir);
		free(l);
		return err_sys(e, "cannot start the HTTP server at %.80s", o->address);
	}
	*out = l;
	return 0;
}

const char *listener_url(const struct listener *l)
{
	return l ? l->url : "";
}

void listener_close(struct listener *l)
{
	if (!l)
		return;
	MHD_stop_daemon(l->daemon);
	CHECK(!l->visitors);
	logstore_close(l->log);
	free(l->state_dir);
	free(l);
}
