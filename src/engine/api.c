/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api - the socket, its connections and the bytes of requests. Routes and handlers are elsewhere (api_int.h).
 *
 * libmicrohttpd runs without a thread: its epoll descriptor is polled by the node's loop, its timeout is a timer of it.
 * Invariant: a request sleeps (is suspended) exactly while it is in api->sleepers.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/api_int.h"
#include "io/logstore.h"

/* ---- the loop ---- */

static void on_timer(uv_timer_t *t);

/* Let libmicrohttpd work, then ask it when it wants to work again. A handful of turns at once saves trips round the loop;
 * more would keep the loop from others. */
static void work(struct api *a)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;
	int turns = 0, known;

	do {
		MHD_run(a->daemon);
		known = MHD_get_timeout(a->daemon, &ms) == MHD_YES;
	} while (known && ms == 0 && ++turns < 4);
	if (known)
		uv_timer_start(&a->timer, on_timer, ms, 0);
	else
		uv_timer_stop(&a->timer);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
	(void)events;
	(void)status;
	work(p->data);
}

static void on_timer(uv_timer_t *t)
{
	work(t->data);
}

void api_kick(struct api *a)
{
	/* Resuming wakes the epoll descriptor already; the timer covers libmicrohttpd's own deferred work. */
	if (!a->closing)
		uv_timer_start(&a->timer, on_timer, 0, 0);
}

/* ---- slow connections ---- */

static bool too_slow(const struct client *c, uint64_t now_ms)
{
	uint64_t for_ms = now_ms - c->since_ms;

	switch (c->phase) {
	case CLIENT_HEADER:
		return for_ms > API_HEADER_S * 1000u;
	case CLIENT_BODY:
		return for_ms > API_BODY_S * 1000u && c->body_bytes / (for_ms / 1000u) < API_BODY_RATE;
	case CLIENT_ANSWER:
		return false; /* libmicrohttpd's idle timeout sees to readers that do not read */
	}
	return false;
}

static void on_sweep(uv_timer_t *t)
{
	struct api *a = t->data;
	uint64_t now_ms = uv_now(a->loop);

	for (struct client *c = a->clients; c; c = c->next) {
		if (!too_slow(c, now_ms))
			continue;
		a->dropped++;
		shutdown(c->fd, SHUT_RDWR); /* libmicrohttpd sees the end and cleans up */
		c->since_ms = now_ms;
	}
	if (!a->n_clients)
		uv_timer_stop(t);
}

static void phase(struct client *c, enum client_phase p)
{
	c->phase = p;
	c->since_ms = uv_now(c->api->loop);
	c->body_bytes = 0;
}

/* ---- connections ---- */

static unsigned clients_of(const struct api *a, uid_t uid)
{
	unsigned n = 0;

	for (const struct client *c = a->clients; c; c = c->next)
		n += c->uid == uid;
	return n;
}

static void client_open(struct api *a, struct MHD_Connection *conn, void **context)
{
	const union MHD_ConnectionInfo *i = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct client *c = calloc(1, sizeof(*c));
	struct ucred cred = {.uid = (uid_t)-1, .gid = (gid_t)-1};
	socklen_t n = sizeof(cred);

	CHECK(c && i);
	c->api = a;
	c->fd = i->connect_fd;
	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
		c->over = true; /* nobody knows who it is: nothing is served */
	c->uid = cred.uid;
	c->gid = cred.gid;
	snprintf(c->name, sizeof(c->name), "uid:%u", (unsigned)cred.uid);
	phase(c, CLIENT_HEADER);
	if (a->n_clients >= API_CONNECTIONS_MAX || (c->uid && a->n_clients >= API_CONNECTIONS_PER_UID &&
	                                                   clients_of(a, c->uid) >= API_CONNECTIONS_PER_UID))
		c->over = true;
	c->next = a->clients;
	if (c->next)
		c->next->prev = c;
	a->clients = c;
	if (!a->n_clients++)
		uv_timer_start(&a->sweep, on_sweep, 5000, 5000);
	*context = c;
}

static void client_close(struct client *c)
{
	struct api *a = c->api;

	if (c->prev)
		c->prev->next = c->next;
	else
		a->clients = c->next;
	if (c->next)
		c->next->prev = c->prev;
	a->n_clients--;
	a->dropped += c->over;
	free(c);
}

static void on_connection(
        void *cls, struct MHD_Connection *conn, void **context, enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		client_open(cls, conn, context);
	} else if (*context) {
		client_close(*context);
		*context = NULL;
	}
}

/* ---- requests ---- */

static void request_free(struct request *q)
{
	CHECK(!q->sleeping);
	if (q->response)
		MHD_destroy_response(q->response);
	if (q->own_free)
		q->own_free(q->own);
	json_decref(q->json);
	q->api->bodies -= q->body_max;
	free(q->body);
	for (unsigned i = 0; i < q->n_query; i++)
		free(q->query[i]);
	free(q);
}

static void on_completed(
        void *cls, struct MHD_Connection *conn, void **con_cls, enum MHD_RequestTerminationCode why)
{
	struct request *q = *con_cls;

	(void)cls;
	(void)conn;
	(void)why;
	if (!q)
		return;
	phase(q->client, CLIENT_HEADER);
	request_free(q);
	*con_cls = NULL;
}

void request_sleep(struct request *q)
{
	struct api *a = q->api;

	CHECK(!q->sleeping);
	q->sleeping = true;
	q->prev = NULL;
	q->next = a->sleepers;
	if (q->next)
		q->next->prev = q;
	a->sleepers = q;
	MHD_suspend_connection(q->conn);
}

void request_wake(struct request *q)
{
	struct api *a = q->api;

	if (q->prev)
		q->prev->next = q->next;
	else
		a->sleepers = q->next;
	if (q->next)
		q->next->prev = q->prev;
	q->sleeping = false;
	MHD_resume_connection(q->conn);
	api_kick(a);
}

void answer_response(struct request *q, unsigned status, struct MHD_Response *r)
{
	CHECK(r && !q->response);
	q->response = r;
	q->status = status;
	if (q->sleeping)
		request_wake(q);
}

static enum MHD_Result give(struct request *q)
{
	struct MHD_Response *r = q->response;
	enum MHD_Result done;

	q->response = NULL;
	q->handled = true;
	q->api->served[q->status / 100 < 6 ? q->status / 100 : 0]++;
	phase(q->client, CLIENT_ANSWER);
	done = MHD_queue_response(q->conn, q->status, r);
	MHD_destroy_response(r);
	return done;
}

/* Where the memory limits of all requests together are kept. */
static int body_grow(struct request *q, size_t n, size_t max)
{
	size_t want = q->body_max ? q->body_max : 4096;

	if (n > max)
		return -1;
	while (want < n)
		want *= 2;
	if (want == q->body_max)
		return 0;
	if (q->api->bodies + (want - q->body_max) > API_BODIES_MAX)
		return -1;
	q->body = realloc(q->body, want);
	CHECK(q->body);
	q->api->bodies += want - q->body_max;
	q->body_max = want;
	return 0;
}

/* Take a piece of the body. MHD_NO closes the connection: for who goes on sending what was refused. */
static enum MHD_Result body_piece(struct request *q, const char *p, size_t *n)
{
	size_t max = q->route && q->route->body == BODY_JOBS ? API_BODY_MAX : API_SMALL_BODY_MAX, k = *n;

	*n = 0;
	q->client->body_bytes += k;
	if (q->route && q->route->body == BODY_STREAM && !q->response) {
		if (q->route->piece(q, p, k) == 0)
			return MHD_YES;
		CHECK(q->response);
		q->client->body_bytes = 0;
	}
	if (q->response ||
	        q->body_too_large) /* it is lost already: let it end, within reason, to read the answer */
		return q->client->body_bytes <= 2ull * API_BODY_MAX ? MHD_YES : MHD_NO;
	if (body_grow(q, q->body_n + k + 1, max + 1) < 0) {
		q->body_too_large = true;
		return MHD_YES;
	}
	memcpy(q->body + q->body_n, p, k);
	q->body_n += k;
	return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
        const char *version, const char *upload, size_t *upload_n, void **con_cls)
{
	struct request *q = *con_cls;

	(void)version;
	if (!q) {
		const union MHD_ConnectionInfo *i =
		        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

		q = malloc(sizeof(*q));
		CHECK(q && i && i->socket_context);
		memset(q, 0, offsetof(struct request, path));
		q->api = cls;
		q->client = i->socket_context;
		q->conn = conn;
		*con_cls = q;
		phase(q->client, CLIENT_BODY);
		request_begin(q, method, url);
		/* What is too large is answered before it comes; other refusals when the body is there, since most clients
		 * write all before they read. */
		return q->response && q->at_once ? give(q) : MHD_YES;
	}
	if (*upload_n)
		return body_piece(q, upload, upload_n);
	if (q->response)
		return give(q);
	phase(q->client, CLIENT_ANSWER);
	if (q->route->settle == SETTLE_BEFORE && request_settle(q))
		return MHD_YES;
	CHECK(!q->handled);
	q->handled = true;
	request_handle(q);
	if (q->response && q->route->settle == SETTLE_AFTER && request_settle(q))
		return MHD_YES;
	if (q->response)
		return give(q);
	CHECK(q->sleeping);
	return MHD_YES;
}

/* Percent-encoding is undone by us, strictly (api_path). */
static size_t keep_escapes(void *cls, struct MHD_Connection *conn, char *s)
{
	(void)cls;
	(void)conn;
	return strlen(s);
}

/* ---- the socket ---- */

/* A socket address for any path: one too long for sun_path goes through its folder's descriptor, which the caller closes. */
static int address(const char *path, struct sockaddr_un *out, int *out_dir, struct err *e)
{
	size_t n = strlen(path);
	const char *base = strrchr(path, '/');
	char dir[4096];

	*out_dir = -1;
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (n < sizeof(out->sun_path)) {
		memcpy(out->sun_path, path, n);
		return 0;
	}
	if (!base || n >= sizeof(dir))
		return err_set(e, ERR_INVALID, "the path of the socket is too long (%zu bytes)", n);
	memcpy(dir, path, n + 1);
	*out_dir = open(dirname(dir), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*out_dir < 0)
		return err_sys(e, "cannot open the folder of '%.150s'", path);
	n = (size_t)snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d%s", *out_dir, base);
	if (n >= sizeof(out->sun_path)) {
		close(*out_dir);
		return err_set(e, ERR_INVALID, "the name of the socket '%.100s' is too long", base + 1);
	}
	return 0;
}

/* Nobody listens at `path`: it is free, or a socket that was left behind. */
static int is_free(const char *path, struct err *e)
{
	struct sockaddr_un sa;
	struct stat st;
	int dir, s, r;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(e, "cannot look at '%.150s'", path);
	if (!S_ISSOCK(st.st_mode)) {
		err_set(e, ERR_EXISTS, "'%.150s' exists and is not a socket", path);
		return err_hint(e, "move it away");
	}
	if (address(path, &sa, &dir, e) < 0)
		return -1;
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = s < 0 ? -1 : connect(s, (struct sockaddr *)&sa, sizeof(sa));
	if (r < 0 && (errno == ECONNREFUSED || errno == ENOENT))
		r = 0;
	else if (r < 0 && errno != EAGAIN) /* EAGAIN: its backlog is full, so somebody lives there */
		err_sys(e, "cannot try '%.150s'", path);
	else
		r = err_set(e, ERR_EXISTS, "another osier answers at '%.150s'", path);
	if (s >= 0)
		close(s);
	if (dir >= 0)
		close(dir);
	return r;
}

/* Listen at path. The socket is made beside it and renamed, so that who connects finds the right mode from the start. */
static int listen_at(struct api *a, const char *path, unsigned mode, int *out_fd, struct err *e)
{
	char temp[4096];
	struct sockaddr_un sa;
	struct stat st;
	int dir, s, r = -1;

	if ((size_t)snprintf(temp, sizeof(temp), "%s.new", path) >= sizeof(temp))
		return err_set(e, ERR_INVALID, "the path of the socket is too long");
	if (is_free(path, e) < 0 || address(temp, &sa, &dir, e) < 0)
		return -1;
	unlink(temp);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0 || bind(s, (struct sockaddr *)&sa, sizeof(sa)) < 0 || chmod(temp, mode & 0777) < 0 ||
	        listen(s, 1024) < 0 || stat(temp, &st) < 0 || rename(temp, path) < 0) {
		err_sys(e, "cannot listen at '%.150s'", path);
		if (s >= 0)
			close(s);
		unlink(temp);
	} else {
		a->socket_dev = st.st_dev;
		a->socket_ino = st.st_ino;
		*out_fd = s;
		r = 0;
	}
	if (dir >= 0)
		close(dir);
	return r;
}

/* Descriptors for all connections and then some. */
static void raise_files(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < 65536) {
		l.rlim_cur = l.rlim_max < 65536 ? l.rlim_max : 65536;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

static void no_log(void *cls, const char *fmt, va_list ap)
{
	(void)cls;
	(void)fmt;
	(void)ap;
}

static int daemon_start(struct api *a, int fd, struct err *e)
{
	a->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
	        NULL, on_request, a, MHD_OPTION_EXTERNAL_LOGGER, no_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
	        MHD_OPTION_CONNECTION_LIMIT, API_CONNECTIONS_MAX + API_CONNECTIONS_SPARE,
	        MHD_OPTION_CONNECTION_TIMEOUT, API_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	        (size_t)API_POOL_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
	        MHD_OPTION_NOTIFY_CONNECTION, on_connection, a, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes,
	        NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (!a->daemon) {
		close(fd);
		return err_sys(e, "cannot start the HTTP server");
	}
	return 0;
}

int api_open(struct node *n, const char *socket_path, unsigned mode, struct api **out, struct err *e)
{
	struct api *a = calloc(1, sizeof(*a));
	const union MHD_DaemonInfo *i;
	int fd;

	CHECK(a);
	a->node = n;
	a->loop = node_loop(n);
	a->owner = geteuid();
	a->started_ns = node_now_ns(n);
	signal(SIGPIPE, SIG_IGN); /* sendfile() to a client that went away */
	raise_files();
	if (listen_at(a, socket_path, mode, &fd, e) < 0)
		goto fail;
	if (daemon_start(a, fd, e) < 0) {
		unlink(socket_path);
		goto fail;
	}
	a->socket_path = strdup(socket_path);
	a->specs = spec_cache_new();
	jo_init(&a->out);
	growing_init(&a->mem, 64u << 10, API_PARSED_MAX);
	i = MHD_get_daemon_info(a->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	CHECK(i && a->socket_path);
	CHECK(uv_poll_init(a->loop, &a->poll, i->epoll_fd) == 0);
	uv_timer_init(a->loop, &a->timer);
	uv_timer_init(a->loop, &a->sweep);
	uv_timer_init(a->loop, &a->pulse);
	a->poll.data = a->timer.data = a->sweep.data = a->pulse.data = a;
	uv_fs_event_init(a->loop, &a->spool);
	a->spool.data = a;
	a->handles = 5;
	uv_poll_start(&a->poll, UV_READABLE, on_poll);
	*out = a;
	return 0;
fail:
	free(a);
	return -1;
}

static void on_closed(uv_handle_t *h)
{
	struct api *a = h->data;

	if (--a->handles)
		return;
	spec_cache_free(a->specs);
	jo_release(&a->out);
	logstore_close(a->log);
	growing_release(&a->mem);
	free(a->socket_path);
	free(a);
}

void api_close(struct api *a)
{
	struct stat st;

	if (!a)
		return;
	a->closing = true;
	if (stat(a->socket_path, &st) == 0 && st.st_dev == a->socket_dev && st.st_ino == a->socket_ino)
		unlink(a->socket_path);
	uv_poll_stop(&a->poll);
	while (a->sleepers)
		if (a->sleepers->response)
			request_wake(a->sleepers);
		else
			answer_error(a->sleepers, 503, "closed", "the node is stopping",
			        "try again when it is up");
	streams_close(a);
	for (int i = 0; i < 8; i++) /* what was answered last goes out, as far as the sockets take it */
		MHD_run(a->daemon);
	MHD_stop_daemon(a->daemon);
	CHECK(!a->clients && !a->sleepers && !a->streams);
	uv_close((uv_handle_t *)&a->poll, on_closed);
	uv_close((uv_handle_t *)&a->timer, on_closed);
	uv_close((uv_handle_t *)&a->sweep, on_closed);
	uv_close((uv_handle_t *)&a->pulse, on_closed);
	uv_close((uv_handle_t *)&a->spool, on_closed);
}
