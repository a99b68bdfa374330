/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mqtt_conn - one connection to a broker: TCP, TLS, CONNECT, SUBSCRIBE, then messages both ways.
 *
 * What libmosquitto leaves to its callers: it takes a refused connection for one under way (SO_ERROR is asked here), does the handshake only
 * when it reads, takes a payload of 256 MiB from a broker if it is offered (the bytes of the socket are counted), and returns from a read
 * when a callback leaves errno at EAGAIN (they put it to 0).
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "io/mqtt_int.h"

enum {
	READS_PER_EVENT = 32, /* packets at least, before others on the loop have their turn */
	UNDELIVERED_SLACK =
	        64000, /* bytes beyond the largest payload: its topic, what TLS adds, answers to pings */
	TCP_SILENCE_MS = 15000, /* bytes that the other machine does not acknowledge */
	TICK_SLACK_MS = 50,     /* libmosquitto counts whole seconds */
	TICK_AGAIN_MS = 500,
};

/* ---- libmosquitto, called ---- */

static void enter(struct mqtt_conn *c)
{
	CHECK(c->depth == 0);
	c->depth = 1;
	mqtt_tls_current = c;
	errno = 0;
}

static int leave(struct mqtt_conn *c, int rc)
{
	int sys = errno;
	bool fine = rc == MOSQ_ERR_SUCCESS && c->lib->mosquitto_socket(c->mosq) >= 0;

	if (!fine && !c->failed)
		mqtt_tls_last_word(c);
	mqtt_tls_current = NULL;
	c->depth = 0;
	if (c->failed)
		return -1;
	if (fine)
		return 0;
	mqtt_tls_why(c, rc, sys, &c->why);
	c->failed = true;
	return -1;
}

static uint64_t socket_bytes(const struct mqtt_conn *c, bool in)
{
	SSL *ssl = c->lib->mosquitto_ssl_get(c->mosq);
	BIO *b;

	if (!ssl)
		return 0;
	b = in ? c->lib->SSL_get_rbio(ssl) : c->lib->SSL_get_wbio(ssl);
	return b ? (in ? BIO_number_read(b) : BIO_number_written(b)) : 0;
}

void mqtt_conn_fail(struct mqtt_conn *c, const struct err *why)
{
	if (c->failed)
		return;
	c->failed = true;
	c->why = *why;
}

/* ---- its callbacks ---- */

static void up(struct mqtt_conn *c)
{
	c->phase = CONN_UP;
	mqtt_tls_let_go(c);
	c->up_ms = c->last_in_ms = c->last_out_ms = uv_now(c->m->o.loop);
	c->lib->mosquitto_log_callback_set(c->mosq, NULL); /* it would put each message into words */
	mqtt_conn_is_up(c);
}

static void on_connect(struct mosquitto *mosq, void *ctx, int code)
{
	struct mqtt_conn *c = ctx;
	const struct mqtt_options *o = &c->m->o;
	char *filters[MQTT_FILTERS_MAX];
	int n = 0;

	if (code != 0) {
		c->refused = code;
		errno = 0;
		return;
	}
	if (c->phase >= CONN_SUBACK)
		return;
	for (; n < (int)MQTT_FILTERS_MAX && o->filters[n]; n++)
		filters[n] = (char *)(uintptr_t)o->filters[n];
	c->phase = CONN_SUBACK;
	if (n == 0)
		up(c);
	else
		(void)c->lib->mosquitto_subscribe_multiple(mosq, NULL, n, filters, 0, 0, NULL);
	errno = 0;
}

static void on_subscribe(struct mosquitto *mosq, void *ctx, int id, int n, const int *granted)
{
	struct mqtt_conn *c = ctx;
	struct err e;

	(void)mosq, (void)id;
	for (int i = 0; i < n; i++)
		if (granted[i] > 2 && i < (int)MQTT_FILTERS_MAX && c->m->o.filters[i]) {
			(void)err_set(&e, ERR_DENIED, "the broker at %s does not let us read '%s'",
			        c->m->o.host, c->m->o.filters[i]);
			mqtt_conn_fail(c, &e);
		}
	if (c->phase == CONN_SUBACK && !c->failed)
		up(c);
	errno = 0;
}

static void too_large(struct mqtt_conn *c)
{
	struct err e;

	(void)err_set(&e, ERR_FULL, "the broker at %s sends messages of more than %u bytes", c->m->o.host,
	        MQTT_PAYLOAD_MAX);
	mqtt_conn_fail(c, &e);
}

bool mqtt_conn_too_much(struct mqtt_conn *c, uint64_t bytes)
{
	if (bytes - c->read_mark <= MQTT_PAYLOAD_MAX + UNDELIVERED_SLACK)
		return false;
	too_large(c);
	return true;
}

static void on_message(struct mosquitto *mosq, void *ctx, const struct mosquitto_message *msg)
{
	struct mqtt_conn *c = ctx;

	(void)mosq;
	if (c->failed || c->phase < CONN_SUBACK || c->phase == CONN_LEAVING)
		return;
	c->read_mark = socket_bytes(c, true);
	if (msg->payloadlen < 0 || (size_t)msg->payloadlen > MQTT_PAYLOAD_MAX) {
		too_large(c);
		return;
	}
	if (c->phase == CONN_SUBACK)
		up(c); /* brokers send what is stored before they say that we are subscribed */
	mqtt_conn_message(
	        c, &(struct mqtt_message){msg->topic, msg->payload, (size_t)msg->payloadlen, msg->retain});
	errno = 0;
}

static void on_publish(struct mosquitto *mosq, void *ctx, int id)
{
	(void)mosq, (void)id;
	mqtt_conn_sent(ctx);
	errno = 0;
}

static void on_log(struct mosquitto *mosq, void *ctx, int level, const char *text)
{
	struct mqtt_conn *c = ctx;

	(void)mosq;
	if (level == (int)MOSQ_LOG_ERR && !c->says[0])
		(void)snprintf(c->says, sizeof(c->says), "%s", text);
}

/* ---- events ---- */

/* libmosquitto's handshake takes a connection that broke for one that goes on. */
static bool handshake_broke(struct mqtt_conn *c)
{
	char byte;
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);
	ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	int sys = n == 0 ? 0 : errno;

	if (n > 0 && getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
	        info.tcpi_state == TCP_CLOSE)
		n = 0; /* it was reset, and what it said before is not what we wait for */
	if (n > 0 || (n < 0 && (sys == EAGAIN || sys == EINTR)))
		return false;
	mqtt_tls_why(c, n == 0 ? MOSQ_ERR_CONN_LOST : MOSQ_ERR_ERRNO, sys, &c->why);
	return c->failed = true;
}

static int connected(struct mqtt_conn *c)
{
	socklen_t n = sizeof(int);
	int sys = 0;

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &sys, &n) < 0)
		sys = errno;
	if (sys == 0) {
		c->phase = CONN_TLS;
		return 0;
	}
	mqtt_tls_why(c, MOSQ_ERR_ERRNO, sys, &c->why);
	c->failed = true;
	return -1;
}

static int read_some(struct mqtt_conn *c)
{
	uint64_t now = uv_now(c->m->o.loop), in;
	int rc = MOSQ_ERR_SUCCESS;

	enter(c);
	for (unsigned i = 0; i < READS_PER_EVENT && rc == MOSQ_ERR_SUCCESS && !c->failed; i++) {
		errno = 0;
		rc = c->lib->mosquitto_loop_read(c->mosq, 1);
		if (errno == EAGAIN || c->phase == CONN_TLS || c->lib->mosquitto_socket(c->mosq) < 0)
			break;
	}
	if (leave(c, rc) < 0)
		return -1;
	in = socket_bytes(c, true);
	if (in != c->bytes_in) {
		c->bytes_in = in;
		c->last_in_ms = now;
		c->ping_ms = 0;
	}
	return c->failed ? -1 : 0;
}

static void watch(struct mqtt_conn *c);

static void on_event(uv_poll_t *p, int status, int events)
{
	struct mqtt_conn *c = p->data;

	if (c->phase == CONN_TCP) {
		if (status == 0 && !(events & UV_WRITABLE))
			return;
		if (connected(c) < 0)
			goto out;
	}
	if (read_some(c) < 0)
		goto out;
	if (c->phase == CONN_TLS) {
		SSL *ssl = c->lib->mosquitto_ssl_get(c->mosq);

		if (ssl && c->lib->SSL_is_init_finished(ssl))
			c->phase = CONN_CONNACK;
		else if (handshake_broke(c))
			goto out;
	}
	if (c->phase >= CONN_CONNACK && c->lib->mosquitto_want_write(c->mosq)) {
		c->last_out_ms = uv_now(c->m->o.loop);
		enter(c);
		(void)leave(c, c->lib->mosquitto_loop_write(c->mosq, 1));
	}
	if (status < 0 && !c->failed &&
	        handshake_broke(c)) /* an error of the socket that reading did not tell */
		goto out;
out:
	if (c->failed) {
		mqtt_conn_is_down(c); /* frees c */
		return;
	}
	watch(c);
	mqtt_conn_worked(c);
}

/* Wait for what is wanted now. */
static void watch(struct mqtt_conn *c)
{
	SSL *ssl = c->lib->mosquitto_ssl_get(c->mosq);
	bool write = c->phase == CONN_TCP          ? true
	             : c->phase == CONN_TLS && ssl ? c->lib->SSL_want(ssl) == SSL_WRITING
	                                           : c->lib->mosquitto_want_write(c->mosq);
	int events = (c->phase == CONN_TCP ? 0 : UV_READABLE) | (write ? UV_WRITABLE : 0);

	if (events == c->events && uv_is_active((uv_handle_t *)&c->poll))
		return;
	c->events = events;
	CHECK(uv_poll_start(&c->poll, events, on_event) == 0);
}

/* ---- from its beginning to its end ---- */

static int prepare(struct mqtt_conn *c, SSL_CTX *ctx)
{
	const struct mqtt_options *o = &c->m->o;
	const struct mqtt_lib *l = c->lib;

	c->mosq = l->mosquitto_new(o->id, true, c);
	CHECK(c->mosq);
	CHECK(l->mosquitto_void_option(c->mosq, MOSQ_OPT_SSL_CTX, ctx) == MOSQ_ERR_SUCCESS);
	CHECK(l->mosquitto_int_option(c->mosq, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0) == MOSQ_ERR_SUCCESS);
	CHECK(l->mosquitto_int_option(c->mosq, MOSQ_OPT_TCP_NODELAY, 1) == MOSQ_ERR_SUCCESS);
	if (o->will.topic)
		CHECK(l->mosquitto_will_set(c->mosq, o->will.topic, (int)o->will.n, o->will.payload, 0,
		              o->will.retain) == MOSQ_ERR_SUCCESS);
	if (o->user)
		CHECK(l->mosquitto_username_pw_set(c->mosq, o->user, o->password) == MOSQ_ERR_SUCCESS);
	l->mosquitto_connect_callback_set(c->mosq, on_connect);
	l->mosquitto_subscribe_callback_set(c->mosq, on_subscribe);
	l->mosquitto_message_callback_set(c->mosq, on_message);
	l->mosquitto_publish_callback_set(c->mosq, on_publish);
	l->mosquitto_log_callback_set(c->mosq, on_log);
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	struct mqtt_conn *c = h->data;
	struct mqtt *m = c->m;

	free(c);
	mqtt_handle_closed(m);
}

static int begin(struct mqtt_conn *c, const char *ip)
{
	unsigned silence = TCP_SILENCE_MS;
	struct tcp_info info = {0};
	socklen_t n = sizeof(info);
	int sock, rc, sys;

	enter(c);
	rc = c->lib->mosquitto_connect_async(c->mosq, ip, c->m->o.port, c->m->o.keepalive_s);
	sys = errno;
	if (leave(c, rc) < 0)
		return -1;
	sock = c->lib->mosquitto_socket(c->mosq);
	if (getsockopt(sock, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 && info.tcpi_state == TCP_CLOSE) {
		/* Refused already (a machine does that to itself), and the first packet of TLS has fetched why. */
		mqtt_tls_why(c, MOSQ_ERR_ERRNO,
		        sys == ENETUNREACH || sys == EHOSTUNREACH ? sys : ECONNREFUSED, &c->why);
		return -1;
	}
	(void)fcntl(sock, F_SETFD, FD_CLOEXEC);
	(void)setsockopt(sock, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof(silence));
	if (c->fd >= 0)
		return 0;
	return err_set(
	        &c->why, ERR_FULL, "no descriptor is left to watch the connection to %s", c->m->o.host);
}

int mqtt_conn_start(struct mqtt *m, const char *ip, struct mqtt_conn **out, struct err *e)
{
	const struct mqtt_lib *lib = mqtt_lib(e);
	struct mqtt_conn *c;
	SSL_CTX *ctx;

	CHECK(lib);
	ctx = mqtt_tls_new(m, lib, e);
	if (!ctx)
		return -1;
	c = calloc(1, sizeof(*c));
	CHECK(c);
	*c = (struct mqtt_conn){.m = m, .lib = lib, .fd = -1};
	(void)prepare(c, ctx);
	lib->SSL_CTX_free(ctx); /* it holds one */
	if (begin(c, ip) < 0) {
		if (e)
			*e = c->why;
		mqtt_tls_let_go(c);
		lib->mosquitto_destroy(c->mosq);
		if (c->fd >= 0)
			(void)close(c->fd);
		free(c);
		return -1;
	}
	c->poll.data = c;
	CHECK(uv_poll_init(m->o.loop, &c->poll, c->fd) == 0);
	m->handles++;
	watch(c);
	*out = c;
	return 0;
}

void mqtt_conn_free(struct mqtt_conn *c)
{
	CHECK(c->depth == 0);
	(void)uv_poll_stop(&c->poll);
	mqtt_tls_let_go(c);
	c->lib->mosquitto_destroy(c->mosq);
	(void)close(c->fd);
	uv_close((uv_handle_t *)&c->poll, on_closed);
}

void mqtt_conn_leave(struct mqtt_conn *c)
{
	c->phase = CONN_LEAVING;
	if (c->depth > 0) { /* queued, and written when libmosquitto returns */
		(void)c->lib->mosquitto_disconnect(c->mosq);
		return;
	}
	enter(c);
	(void)leave(c, c->lib->mosquitto_disconnect(c->mosq));
	watch(c);
}

int mqtt_conn_publish(struct mqtt_conn *c, const struct mqtt_message *msg, struct err *e)
{
	bool nested = c->depth > 0;
	int rc;

	if (!nested)
		enter(c);
	rc = c->lib->mosquitto_publish(c->mosq, NULL, msg->topic, (int)msg->n, msg->payload, 0, msg->retain);
	c->last_out_ms = uv_now(c->m->o.loop);
	if (nested)
		return rc == MOSQ_ERR_SUCCESS ? 0
		                              : err_set(e, ERR_CLOSED, "the connection to the broker broke");
	if (leave(c, rc) < 0) {
		if (e)
			*e = c->why;
		return -1; /* told by on_down() from the loop */
	}
	watch(c);
	return 0;
}

uint64_t mqtt_conn_tick(struct mqtt_conn *c)
{
	uint64_t now = uv_now(c->m->o.loop),
	         last = c->last_in_ms < c->last_out_ms ? c->last_in_ms : c->last_out_ms;
	uint64_t due = last + c->m->o.keepalive_s * 1000u + TICK_SLACK_MS, written = socket_bytes(c, false);

	if (c->ping_ms) {
		if (now < c->ping_ms + c->m->o.pong_ms)
			return c->ping_ms + c->m->o.pong_ms - now;
		(void)err_set(
		        &c->why, ERR_TIMEOUT, "the broker at %s does not answer any more", c->m->o.host);
		c->failed = true;
		return 0;
	}
	if (now < due)
		return due - now;
	enter(c);
	if (leave(c, c->lib->mosquitto_loop_misc(c->mosq)) < 0)
		return 0;
	if (socket_bytes(c, false) == written && !c->lib->mosquitto_want_write(c->mosq))
		return TICK_AGAIN_MS;
	c->last_out_ms = now;
	c->ping_ms = now;
	c->read_mark =
	        c->bytes_in; /* it sends a ping when the one before was answered: since then a packet was whole */
	watch(c);
	return c->m->o.pong_ms;
}

const char *mqtt_conn_waits_for(const struct mqtt_conn *c)
{
	static const char *const words[] = {[CONN_TCP] = "a TCP connection",
	        [CONN_TLS] = "TLS",
	        [CONN_CONNACK] = "MQTT",
	        [CONN_SUBACK] = "a subscription",
	        [CONN_UP] = "",
	        [CONN_LEAVING] = "leave"};

	return words[c->phase];
}
