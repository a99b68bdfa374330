/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mqtt - see mqtt.h. Here: which address is tried when, pauses, what waits, and how it ends.
 *
 * A round is one look-up and one try of each address; only a round that failed is told. One timer says what is next in every state.
 */
#include "io/mqtt.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/prng.h"
#include "io/mqtt_int.h"

enum {
	STEADY_MS = 10000, /* a connection that lived that long makes the pauses short again */
	LEAVE_MS = 1000,
	FILE_MAX = 4096,
};

static void attempt(struct mqtt *m);
static void on_timer(uv_timer_t *t);

static void arm(struct mqtt *m, uint64_t ms)
{
	CHECK(uv_timer_start(&m->timer, on_timer, ms, 0) == 0);
}

/* ---- options ---- */

bool mqtt_name_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n >= 1 && n <= 63 && name[n] == '\0';
}

static bool topic_ok(const char *t, bool filter)
{
	size_t n = strnlen(t, MQTT_TOPIC_MAX + 1);

	if (n < 1 || n > MQTT_TOPIC_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		if (t[i] <= ' ' || t[i] >= 0x7f || (!filter && (t[i] == '+' || t[i] == '#')))
			return false;
	return true;
}

static int check_tls(const struct mqtt_tls *t, struct err *e)
{
	const char *const names[] = {t->ca_file, t->cert_file, t->key_file};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!names[i] || !names[i][0] || strnlen(names[i], FILE_MAX) == FILE_MAX)
			return err_set(e, ERR_INVALID,
			        "a link needs an authority's certificate, its own and its key");
	return 0;
}

static int check_place(const char *host, uint16_t port, struct err *e)
{
	if (!*host || strnlen(host, RESOLVE_HOST_MAX + 1) > RESOLVE_HOST_MAX || port == 0)
		return err_set(e, ERR_INVALID, "a broker has a host and a port");
	return 0;
}

static int check_options(const struct mqtt_options *o, struct err *e)
{
	CHECK(o->loop && o->host && o->id && o->on_up && o->on_down && o->on_message);
	if (check_place(o->host, o->port, e) < 0)
		return -1;
	CHECK(o->keepalive_s == 0 || o->keepalive_s >= 5); /* libmosquitto takes no less */
	if (!mqtt_name_ok(o->id))
		return err_set(
		        e, ERR_INVALID, "'%.80s' cannot name a node: 1 to 63 of a-z, 0-9 and '-'", o->id);
	for (unsigned i = 0; i < MQTT_FILTERS_MAX && o->filters[i]; i++)
		if (!topic_ok(o->filters[i], true))
			return err_set(e, ERR_INVALID, "cannot subscribe to '%.80s'", o->filters[i]);
	if (o->will.topic && (!topic_ok(o->will.topic, false) || o->will.n > MQTT_PAYLOAD_MAX))
		return err_set(e, ERR_INVALID, "not a last will");
	return check_tls(&o->tls, e);
}

static char *copy(const char *s)
{
	char *c = s ? strdup(s) : NULL;

	CHECK(c || !s);
	return c;
}

static void copy_tls(struct mqtt_tls *to, const struct mqtt_tls *t)
{
	*to = (struct mqtt_tls){copy(t->ca_file), copy(t->cert_file), copy(t->key_file)};
}

static void drop(const void *p)
{
	free((void *)(uintptr_t)p);
}

static void drop_tls(struct mqtt_tls *t)
{
	drop(t->ca_file), drop(t->cert_file), drop(t->key_file);
}

static void copy_options(struct mqtt_options *to, const struct mqtt_options *o)
{
	*to = *o;
	to->host = copy(o->host);
	to->id = copy(o->id);
	to->user = copy(o->user);
	to->password = copy(o->password);
	copy_tls(&to->tls, &o->tls);
	for (unsigned i = 0; i < MQTT_FILTERS_MAX && o->filters[i]; i++)
		to->filters[i] = copy(o->filters[i]);
	to->will.topic = copy(o->will.topic);
	to->will.payload = NULL;
	if (o->will.topic && o->will.n) {
		void *p = malloc(o->will.n);

		CHECK(p);
		memcpy(p, o->will.payload, o->will.n);
		to->will.payload = p;
	}
}

static void drop_options(struct mqtt_options *o)
{
	drop(o->host), drop(o->id), drop(o->user), drop(o->password);
	drop_tls(&o->tls);
	for (unsigned i = 0; i < MQTT_FILTERS_MAX && o->filters[i]; i++)
		drop(o->filters[i]);
	drop(o->will.topic), drop(o->will.payload);
}

/* ---- the end ---- */

void mqtt_handle_closed(struct mqtt *m)
{
	void (*done)(void *) = m->done;
	void *ctx = m->done_ctx;

	CHECK(m->handles > 0);
	if (--m->handles > 0)
		return;
	CHECK(m->state == MQTT_CLOSING);
	drop_options(&m->o);
	free(m->sizes);
	free(m);
	if (done)
		done(ctx);
}

static void on_timer_closed(uv_handle_t *h)
{
	mqtt_handle_closed(h->data);
}

static void on_resolve_closed(void *ctx)
{
	mqtt_handle_closed(ctx);
}

static void stop_looking(struct mqtt *m)
{
	if (!m->resolve)
		return;
	resolve_cancel(m->resolve, on_resolve_closed, m);
	m->resolve = NULL;
	m->handles++;
}

static void finish(struct mqtt *m)
{
	if (m->conn) {
		mqtt_conn_free(m->conn);
		m->conn = NULL;
	}
	stop_looking(m);
	uv_close((uv_handle_t *)&m->timer, on_timer_closed);
}

void mqtt_close(struct mqtt *m, void (*done)(void *ctx), void *ctx)
{
	bool was_up;

	if (!m)
		return;
	CHECK(m->state != MQTT_CLOSING);
	was_up = m->state == MQTT_IS_UP || m->state == MQTT_LEAVING;
	m->done = done;
	m->done_ctx = ctx;
	if (was_up && !m->conn->failed) {
		if (m->state == MQTT_IS_UP)
			mqtt_conn_leave(m->conn);
		m->state = MQTT_CLOSING;
		arm(m, m->conn->failed ? 0 : LEAVE_MS);
		return;
	}
	m->state = MQTT_CLOSING;
	finish(m);
}

/* ---- tries ---- */

uint64_t mqtt_pause_ms(uint64_t seed, uint32_t n)
{
	uint64_t pause = MQTT_PAUSE_MAX_MS;

	if (n < 1)
		n = 1;
	if (n <= 7 && (MQTT_PAUSE_MS << (n - 1)) < MQTT_PAUSE_MAX_MS)
		pause = MQTT_PAUSE_MS << (n - 1);
	return pause - pause / 4 + prng_mix(seed, n, 0) % (2 * (pause / 4) + 1);
}

static void forget_waiting(struct mqtt *m)
{
	m->first = m->count = 0;
	m->waiting = 0;
	m->over = false;
}

/* The last thing that a caller does: on_down() may close. */
static void down(struct mqtt *m, bool was_up, const struct err *why, uint64_t pause_ms)
{
	struct mqtt_down d = {.was_up = was_up, .why = *why, .pause_ms = pause_ms, .in_a_row = m->in_a_row};

	forget_waiting(m);
	m->state = MQTT_PAUSE;
	arm(m, pause_ms);
	m->o.on_down(m->o.ctx, &d);
}

static void round_failed(struct mqtt *m, bool was_up, const struct err *why)
{
	struct err e = *why;

	m->in_a_row++;
	down(m, was_up, &e, mqtt_pause_ms(m->o.seed, m->in_a_row));
}

/* Of several addresses, one that answered wrongly says more than one where nobody is. */
static void note(struct mqtt *m, const struct err *why)
{
	if (m->last.code == ERR_NONE || m->last.code == ERR_CLOSED)
		m->last = *why;
}

static void next_address(struct mqtt *m)
{
	struct err e = {0};

	m->state = MQTT_CONNECTING;
	while (m->next < m->addresses.n) {
		m->counts.tries++;
		if (mqtt_conn_start(m, m->addresses.ip[m->next++], &m->conn, &e) == 0) {
			arm(m, m->o.connect_ms);
			return;
		}
		note(m, &e);
		if (e.code == ERR_INVALID) /* our files: no address is better than another */
			break;
	}
	round_failed(m, false, &m->last);
}

static void on_resolved(void *ctx, const struct resolved *r)
{
	struct mqtt *m = ctx;

	m->resolve = NULL;
	if (m->state != MQTT_RESOLVING)
		return; /* too late: it was given up */
	m->addresses = *r;
	if (r->n == 0)
		round_failed(m, false, &r->why);
	else
		next_address(m);
}

static void attempt(struct mqtt *m)
{
	struct err e;

	m->last = (struct err){0};
	m->next = 0;
	if (resolve_is_ip(m->o.host)) {
		m->addresses.n = 1;
		(void)snprintf(m->addresses.ip[0], RESOLVE_IP_MAX, "%s", m->o.host);
		next_address(m);
		return;
	}
	m->state = MQTT_RESOLVING;
	if (!m->resolve && resolve_start(m->o.loop, m->o.host, on_resolved, m, &m->resolve, &e) < 0) {
		round_failed(m, false, &e);
		return;
	}
	arm(m, m->o.connect_ms); /* a look-up that takes longer goes on, and the next round waits for it */
}

static void connecting_took_too_long(struct mqtt *m)
{
	struct err e;

	(void)err_set(&e, ERR_TIMEOUT, "%s did not give us %s within %.1f s", m->o.host,
	        mqtt_conn_waits_for(m->conn), (double)m->o.connect_ms / 1e3);
	note(m, &e);
	mqtt_conn_free(m->conn);
	m->conn = NULL;
	next_address(m);
}

static void on_timer(uv_timer_t *t)
{
	struct mqtt *m = t->data;
	struct err e;
	uint64_t ms;

	switch (m->state) {
	case MQTT_PAUSE:
		attempt(m);
		break;
	case MQTT_RESOLVING:
		(void)err_set(&e, ERR_TIMEOUT, "no name server told within %.1f s where '%s' is",
		        (double)m->o.connect_ms / 1e3, m->o.host);
		round_failed(m, false, &e);
		break;
	case MQTT_CONNECTING:
		connecting_took_too_long(m);
		break;
	case MQTT_IS_UP:
		ms = m->conn->failed ? 0 : mqtt_conn_tick(m->conn);
		if (m->conn->failed)
			mqtt_conn_is_down(m->conn);
		else
			arm(m, ms);
		break;
	case MQTT_LEAVING:
		mqtt_conn_is_down(m->conn);
		break;
	case MQTT_CLOSING:
		finish(m);
		break;
	}
}

/* ---- from the connection ---- */

void mqtt_conn_is_up(struct mqtt_conn *c)
{
	struct mqtt *m = c->m;

	if (m->state != MQTT_CONNECTING)
		return;
	m->state = MQTT_IS_UP;
	m->counts.ups++;
	arm(m, m->o.keepalive_s * 1000u);
	m->o.on_up(m->o.ctx);
}

void mqtt_conn_is_down(struct mqtt_conn *c)
{
	struct mqtt *m = c->m;
	struct err why = c->why;
	bool steady = uv_now(m->o.loop) - c->up_ms >= STEADY_MS;

	CHECK(m->conn == c);
	if (m->state == MQTT_CLOSING) {
		finish(m);
		return;
	}
	m->conn = NULL;
	mqtt_conn_free(c);
	if (m->state == MQTT_CONNECTING) {
		note(m, &why);
		next_address(m);
	} else if (m->state == MQTT_LEAVING) {
		if (steady)
			m->in_a_row = 0;
		(void)err_set(&why, ERR_CLOSED, "left the broker at %s%s", m->o.host, m->leaving);
		down(m, true, &why, 0);
	} else {
		if (steady)
			m->in_a_row = 0;
		round_failed(m, true, &why);
	}
}

void mqtt_conn_message(struct mqtt_conn *c, const struct mqtt_message *msg)
{
	struct mqtt *m = c->m;

	if (m->state != MQTT_IS_UP)
		return;
	m->counts.messages_in++;
	m->counts.bytes_in += msg->n;
	m->o.on_message(m->o.ctx, msg);
}

void mqtt_conn_sent(struct mqtt_conn *c)
{
	struct mqtt *m = c->m;

	CHECK(m->count > 0);
	m->waiting -= m->sizes[m->first];
	m->first = (m->first + 1) % MQTT_WAITING_COUNT;
	m->count--;
}

void mqtt_conn_worked(struct mqtt_conn *c)
{
	struct mqtt *m = c->m;

	if (m->state != MQTT_IS_UP || !m->over || m->waiting >= m->o.room)
		return;
	m->over = false;
	if (m->o.on_room)
		m->o.on_room(m->o.ctx);
}

/* ---- what callers do ---- */

int mqtt_new(const struct mqtt_options *o, struct mqtt **out, struct err *e)
{
	struct mqtt *m;

	if (!mqtt_lib(e) || check_options(o, e) < 0)
		return -1;
	m = calloc(1, sizeof(*m));
	CHECK(m);
	m->sizes = calloc(MQTT_WAITING_COUNT, sizeof(*m->sizes));
	CHECK(m->sizes);
	copy_options(&m->o, o);
	if (m->o.room < 1 || m->o.room > MQTT_WAITING_MAX)
		m->o.room = MQTT_WAITING_MAX / 2;
	m->o.connect_ms = o->connect_ms ? o->connect_ms : MQTT_CONNECT_MS;
	m->o.pong_ms = o->pong_ms ? o->pong_ms : MQTT_PONG_MS;
	m->o.keepalive_s = o->keepalive_s ? o->keepalive_s : MQTT_KEEPALIVE_S;
	CHECK(uv_timer_init(o->loop, &m->timer) == 0);
	m->timer.data = m;
	m->handles = 1;
	m->state = MQTT_PAUSE;
	arm(m, 0);
	*out = m;
	return 0;
}

bool mqtt_up(const struct mqtt *m)
{
	return m->state == MQTT_IS_UP && !m->conn->failed;
}

size_t mqtt_waiting(const struct mqtt *m)
{
	return m->waiting;
}

int mqtt_publish(struct mqtt *m, const struct mqtt_message *msg, struct err *e)
{
	uint32_t at;

	if (msg->n > MQTT_PAYLOAD_MAX)
		return err_set(e, ERR_INVALID, "a message holds at most %u bytes", MQTT_PAYLOAD_MAX);
	if (!topic_ok(msg->topic, false))
		return err_set(e, ERR_INVALID, "'%.80s' is not a topic", msg->topic);
	if (!mqtt_up(m))
		return err_set(e, ERR_CLOSED, "there is no connection to the broker at %s", m->o.host);
	if (msg->n > MQTT_WAITING_MAX - m->waiting || m->count == MQTT_WAITING_COUNT) {
		m->over = true;
		return err_set(e, ERR_FULL, "%u messages wait for the broker at %s", m->count, m->o.host);
	}
	at = (m->first + m->count) % MQTT_WAITING_COUNT;
	m->sizes[at] = (uint32_t)msg->n;
	m->count++;
	m->waiting += msg->n;
	if (mqtt_conn_publish(m->conn, msg, e) < 0) {
		arm(m, 0); /* on_down() comes from the loop */
		return -1;
	}
	m->counts.messages_out++;
	m->counts.bytes_out += msg->n;
	if (m->waiting >= m->o.room)
		m->over = true;
	return 0;
}

void mqtt_again(struct mqtt *m, const char *why)
{
	if (!mqtt_up(m))
		return;
	(void)snprintf(m->leaving, sizeof(m->leaving), "%s", why);
	m->state = MQTT_LEAVING;
	mqtt_conn_leave(m->conn);
	arm(m, m->conn->failed ? 0 : LEAVE_MS);
}

int mqtt_renew(struct mqtt *m, const struct mqtt_tls *tls, enum mqtt_renew when, struct err *e)
{
	struct mqtt_tls old = m->o.tls;

	if (check_tls(tls, e) < 0)
		return -1;
	copy_tls(&m->o.tls, tls);
	drop_tls(&old);
	if (when == MQTT_RENEW_NOW)
		mqtt_again(m, " to come again with a new certificate");
	return 0;
}

int mqtt_move(struct mqtt *m, const char *host, uint16_t port, uint64_t pause_ms, struct err *e)
{
	const char *old = m->o.host;

	if (check_place(host, port, e) < 0)
		return -1;
	stop_looking(m); /* for the other name */
	m->o.host = copy(host);
	m->o.port = port;
	drop(old);
	if (m->state == MQTT_CONNECTING || m->state == MQTT_RESOLVING) {
		if (m->conn)
			mqtt_conn_free(m->conn);
		m->conn = NULL;
		m->state = MQTT_PAUSE;
		arm(m, pause_ms == UINT64_MAX ? MQTT_PAUSE_MS : pause_ms);
	} else if (m->state == MQTT_PAUSE && pause_ms != UINT64_MAX) {
		arm(m, pause_ms);
	}
	return 0;
}

void mqtt_hurry(struct mqtt *m)
{
	if (m->state == MQTT_PAUSE)
		arm(m, 0);
}

uint32_t mqtt_rtt_us(const struct mqtt *m)
{
	struct tcp_info info = {0};
	socklen_t n = sizeof(info);

	if (!mqtt_up(m) || getsockopt(m->conn->fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0)
		return 0;
	return info.tcpi_rtt;
}

bool mqtt_local(const struct mqtt *m, char *out, size_t room)
{
	struct sockaddr_storage sa = {0};
	socklen_t n = sizeof(sa);

	return mqtt_up(m) && getsockname(m->conn->fd, (struct sockaddr *)&sa, &n) == 0 &&
	       getnameinfo((struct sockaddr *)&sa, n, out, (socklen_t)room, NULL, 0, NI_NUMERICHOST) == 0;
}

void mqtt_counts(const struct mqtt *m, struct mqtt_counts *out)
{
	*out = m->counts;
}
