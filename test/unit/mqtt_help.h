/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mqtt_help - a hub's folder with an authority, a mosquitto with the rights that osier gives it, and clients whose callbacks are noted.
 */
#ifndef OSIER_TEST_MQTT_HELP_H
#define OSIER_TEST_MQTT_HELP_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "engine/broker.h"
#include "io/ca.h"
#include "io/mqtt.h"
#include "dir_help.h"

#define S_NS        1000000000ull
#define WAIT_MS     20000u /* for what must happen: the machine may be busy */
#define UNUSED_FILE __attribute__((unused))

static uv_loop_t loop;
static int mosquitto; /* its pid */
static uint16_t port;

/* ---- time, files, ports ---- */

static uint64_t real_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * S_NS + (uint64_t)t.tv_nsec;
}

/* A port that nobody has, at this moment. */
static uint16_t free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	(void)close(fd);
	return ntohs(a.sin_port);
}

/* ---- certificates ---- */

static void issue(
        struct ca *c, const char *node, const char *file, uint64_t now_ns, uint64_t life_s, struct cert *out)
{
	struct cert_request *r;
	char *pem, name[80];
	struct err e;

	(void)snprintf(name, sizeof(name), "%s.key", file);
	assert_int_equal(cert_key_make(in(name), &e), 0);
	assert_int_equal(cert_request_make(in(name), node, &pem, &e), 0);
	assert_int_equal(cert_request_read(pem, strlen(pem), &r, &e), 0);
	free(pem);
	assert_int_equal(ca_issue(c, r, node, now_ns, life_s, &pem, out, &e), 0);
	cert_request_free(r);
	(void)snprintf(name, sizeof(name), "%s.crt", file);
	assert_int_equal(cert_file_write(in(name), pem, strlen(pem), 0600, &e), 0);
	free(pem);
}

static struct ca *authority(const char *folder, const char *hub)
{
	const char *names[] = {"localhost", "127.0.0.1"};
	struct ca *c = NULL;
	struct err e;
	bool changed;

	assert_int_equal(ca_open(in(folder), hub, real_ns(), &c, &e), 0);
	assert_int_equal(ca_server(c, names, 2, real_ns(), &changed, &e), 0);
	assert_int_equal(ca_crl(c, NULL, 0, real_ns(), &e), 0);
	return c;
}

/* ---- the broker ---- */

static bool listens(uint16_t at)
{
	struct sockaddr_in a = {
	        .sin_family = AF_INET, .sin_port = htons(at), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;

	(void)close(fd);
	return yes;
}

static void pause_ms(long ms)
{
	(void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static UNUSED_FILE void start_mosquitto(void)
{
	struct broker_options o = {.dir = in("hub"), .hub = "plant", .address = "127.0.0.1", .port = port};
	struct err e;
	bool changed;

	if (broker_write_conf(&o, &changed, &e) < 0 || broker_write_acl(o.dir, o.hub, NULL, 0, &e) < 0)
		fail_msg("%s", e.msg);
	mosquitto = fork();
	if (mosquitto == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)execl("/usr/sbin/mosquitto", "mosquitto", "-c", in("hub/mosquitto.conf"), (char *)NULL);
		_exit(127);
	}
	assert_true(mosquitto > 0);
	for (unsigned i = 0; i < WAIT_MS / 5 && !listens(port); i++)
		pause_ms(5);
	assert_true(listens(port));
}

static UNUSED_FILE int signal_mosquitto(int sig)
{
	assert_true(mosquitto > 0);
	return kill(mosquitto, sig);
}

static UNUSED_FILE void stop_mosquitto(int sig)
{
	if (mosquitto <= 0)
		return;
	(void)kill(mosquitto, sig);
	(void)kill(mosquitto, SIGCONT);
	(void)waitpid(mosquitto, NULL, 0);
	mosquitto = 0;
}

/* ---- clients ---- */

struct client {
	struct mqtt *m;
	unsigned ups, downs, messages, rooms, retained;
	size_t bytes;
	bool was_up, closed;
	struct err why;
	uint64_t pause_ms;
	char topic[MQTT_TOPIC_MAX + 1], text[64]; /* of the last message */
	size_t n;
};

static void note_up(void *ctx)
{
	struct client *c = ctx;

	c->ups++;
}

static void note_down(void *ctx, const struct mqtt_down *d)
{
	struct client *c = ctx;

	c->downs++;
	c->why = d->why;
	c->was_up = d->was_up;
	c->pause_ms = d->pause_ms;
}

static void note_message(void *ctx, const struct mqtt_message *msg)
{
	struct client *c = ctx;

	c->messages++;
	c->bytes += msg->n;
	c->retained += msg->retain;
	c->n = msg->n;
	(void)snprintf(c->topic, sizeof(c->topic), "%s", msg->topic);
	(void)snprintf(
	        c->text, sizeof(c->text), "%.*s", msg->n < 60 ? (int)msg->n : 60, (const char *)msg->payload);
}

static void note_room(void *ctx)
{
	struct client *c = ctx;

	c->rooms++;
}

static void note_closed(void *ctx)
{
	struct client *c = ctx;

	c->closed = true;
}

/* As `file`.crt with `file`.key; what the caller does not set of `o` gets a value here. */
static void client(struct client *c, const char *id, const char *file, struct mqtt_options o)
{
	char crt[80], key[80];
	struct err e;

	(void)snprintf(crt, sizeof(crt), "%s.crt", file);
	(void)snprintf(key, sizeof(key), "%s.key", file);
	*c = (struct client){0};
	o.loop = &loop;
	o.id = id;
	if (!o.host)
		o.host = "127.0.0.1";
	if (!o.port)
		o.port = port;
	if (!o.tls.ca_file)
		o.tls = (struct mqtt_tls){in("hub/ca.crt"), in(crt), in(key)};
	o.on_up = note_up;
	o.on_down = note_down;
	o.on_message = note_message;
	o.on_room = note_room;
	o.ctx = c;
	if (mqtt_new(&o, &c->m, &e) < 0)
		fail_msg("%s", e.msg);
}

static void on_turn(uv_timer_t *t)
{
	(void)t;
}

/* Run the loop until *what is at least n, if there is a what, or so long. */
static void run_until(const unsigned *what, unsigned n, uint64_t ms)
{
	uint64_t end = uv_hrtime() + ms * 1000000;
	uv_timer_t
	        turn; /* a turn of the loop in which timers changed something still waits for events: not for long */

	CHECK(uv_timer_init(&loop, &turn) == 0);
	CHECK(uv_timer_start(&turn, on_turn, 5, 5) == 0);
	while ((!what || *what < n) && uv_hrtime() < end)
		(void)uv_run(&loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&turn, NULL);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void wait_for(const char *name, const unsigned *what, unsigned n)
{
	run_until(what, n, WAIT_MS);
	if (*what < n)
		fail_msg("waited in vain for %s to be %u; it is %u", name, n, *what);
}
#define WAIT_FOR(what, n) wait_for(#what, &(what), n)

/* Run the loop for a while, for what must not happen. */
static UNUSED_FILE void run_for(uint64_t ms)
{
	run_until(NULL, 0, ms);
}

static void close_client(struct client *c)
{
	mqtt_close(c->m, note_closed, c);
	for (unsigned i = 0; i < 100000 && !c->closed; i++)
		(void)uv_run(&loop, UV_RUN_ONCE);
	assert_true(c->closed);
	c->m = NULL;
}

static UNUSED_FILE int publish(struct client *c, const char *topic, const void *p, size_t n, bool retain)
{
	struct err e;

	return mqtt_publish(c->m, &(struct mqtt_message){topic, p, n, retain}, &e) == 0 ? 0 : -(int)e.code;
}

static int make_world(void)
{
	struct ca *c;
	struct cert cert;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)snprintf(dir, sizeof(dir), "/tmp/osier-mqtt-XXXXXX");
	if (!mkdtemp(dir) || uv_loop_init(&loop) != 0)
		return -1;
	port = free_port();
	c = authority("hub", "plant");
	issue(c, "press-4", "press-4", real_ns(), 3600, &cert);
	issue(c, "lathe", "lathe", real_ns(), 3600, &cert);
	ca_close(c);
	return 0;
}

static int drop_world(void)
{
	char cmd[128];

	if (uv_loop_close(&loop) != 0)
		return -1; /* something was left in it */
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

#endif
