/* SPDX-License-Identifier: Apache-2.0 */
/* broker_conf - what mosquitto reads: its configuration and its rights. See broker.h. */
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/broker.h"
#include "io/cert.h"
#include "io/mqtt.h"

enum { CONF_MAX = 8192, PACKET_SLACK = 1024 };

struct text {
	char *p;
	size_t n, room;
};

static void say(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (t->room - t->n < CONF_MAX) {
		t->room = 2 * t->room + CONF_MAX;
		t->p = realloc(t->p, t->room);
		CHECK(t->p);
	}
	va_start(ap, fmt);
	n = vsnprintf(t->p + t->n, t->room - t->n, fmt, ap);
	va_end(ap);
	CHECK(n >= 0 && (size_t)n < t->room - t->n);
	t->n += (size_t)n;
}

static int check(const struct broker_options *o, struct err *e)
{
	if (!mqtt_name_ok(o->hub))
		return err_set(
		        e, ERR_INVALID, "'%.80s' cannot name a hub: 1 to 63 of a-z, 0-9 and '-'", o->hub);
	if (strcspn(o->dir, "\r\n") != strlen(o->dir) || strlen(o->dir) > 1024)
		return err_set(
		        e, ERR_INVALID, "the state folder's name is too long, or has a line break in it");
	if (o->address &&
	        (!*o->address || strlen(o->address) > 255 ||
	                strspn(o->address, "0123456789abcdefABCDEF.:%abcdefghijklmnopqrstuvwxyz-") !=
	                        strlen(o->address)))
		return err_set(e, ERR_INVALID, "'%.80s' is not an address to listen at", o->address);
	if (o->port == 0)
		return err_set(e, ERR_INVALID, "the broker's port is 1 to 65535");
	return 0;
}

/* mosquitto that is started as root becomes another user, who could not read the key: it stays who the engine is. */
static const char *own_user(char *buf, size_t n)
{
	struct passwd pw, *p = NULL;

	return getpwuid_r(geteuid(), &pw, buf, n, &p) == 0 && p ? p->pw_name : NULL;
}

static void limits(struct text *t)
{
	say(t,
	        "set_tcp_nodelay true\n"
	        "max_packet_size %u\n"
	        "max_queued_messages %u\nmax_queued_bytes %u\n"
	        "max_inflight_messages 16\nmax_inflight_bytes %u\n",
	        MQTT_PAYLOAD_MAX + PACKET_SLACK, BROKER_QUEUED_MAX, BROKER_QUEUED_MAX * (64u << 10),
	        16 * MQTT_PAYLOAD_MAX);
}

/* Who is let in, and what they may do. */
static void listener(struct text *t, const struct broker_options *o)
{
	say(t, "listener %u%s%s\n", (unsigned)o->port, o->address ? " " : "", o->address ? o->address : "");
	say(t,
	        "max_connections %u\nmax_qos 0\nmax_topic_alias 0\n"
	        "tls_version tlsv1.2\n"
	        "cafile %s/ca.crt\ncertfile %s/server.crt\nkeyfile %s/server.key\ncrlfile %s/crl.pem\n"
	        "require_certificate true\nuse_identity_as_username true\nuse_username_as_clientid true\n"
	        "allow_anonymous false\nallow_zero_length_clientid false\n"
	        "acl_file %s/mosquitto.acl\n",
	        BROKER_CLIENTS_MAX, o->dir, o->dir, o->dir, o->dir, o->dir);
}

static void whole(struct text *t, const struct broker_options *o)
{
	char buf[4096];
	const char *user = own_user(buf, sizeof(buf));

	say(t,
	        "# of the hub '%s', written by osier at each start; changes are lost\n"
	        "per_listener_settings true\n"
	        "persistence false\n"
	        "sys_interval 0\n"
	        "connection_messages false\n"
	        "log_type error\nlog_type warning\n"
	        "log_type notice\n" /* that it drops what a slow client does not take */
	        "log_timestamp_format %%Y-%%m-%%dT%%H:%%M:%%S%%z\n"
	        "log_dest file %s/mosquitto.log\n",
	        o->hub, o->dir);
	if (user)
		say(t, "user %s\n", user);
	limits(t);
	say(t, "memory_limit %u\n", BROKER_MEMORY_MAX);
	listener(t, o);
}

static int write_text(const char *dir, const char *name, const struct text *t, struct err *e)
{
	char path[1100];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return cert_file_write(path, t->p, t->n, 0600, e);
}

static bool same(const char *dir, const char *name, const struct text *t)
{
	char path[1100], *old;
	size_t n;
	bool eq;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (cert_file_read(path, &old, &n, NULL) < 0)
		return false;
	eq = n == t->n && memcmp(old, t->p, n) == 0;
	free(old);
	return eq;
}

int broker_write_conf(const struct broker_options *o, bool *out_changed, struct err *e)
{
	struct text t = {0};
	bool changed;
	int rc = 0;

	if (check(o, e) < 0)
		return -1;
	whole(&t, o);
	changed = !same(o->dir, "mosquitto.conf", &t);
	if (changed)
		rc = write_text(o->dir, "mosquitto.conf", &t, e);
	free(t.p);
	if (rc < 0)
		return -1;
	*out_changed = changed;
	return 0;
}

int broker_write_acl(const char *dir, const char *hub, const char *const *denied, size_t n, struct err *e)
{
	struct text t = {0};
	int rc;

	CHECK(mqtt_name_ok(hub));
	for (size_t i = 0; i < n; i++)
		if (!mqtt_name_ok(denied[i]) || strcmp(denied[i], CERT_HUB) == 0) {
			free(t.p);
			return err_set(e, ERR_INVALID, "'%.80s' is not the name of a node", denied[i]);
		}
	say(&t, "# written by osier; changes are lost\nuser " CERT_HUB "\ntopic readwrite osier/%s/#\n", hub);
	for (size_t i = 0; i < n; i++)
		say(&t, "user %s\ntopic deny #\n", denied[i]);
	say(&t, "pattern write osier/%s/%%u/up\npattern write osier/%s/%%u/state\n", hub, hub);
	say(&t, "pattern read osier/%s/%%u/down\npattern read osier/%s/hub\npattern read osier/%s/hubs\n",
	        hub, hub, hub);
	rc = write_text(dir, "mosquitto.acl", &t, e);
	free(t.p);
	return rc;
}

int broker_write_include(const struct broker_options *o, struct err *e)
{
	struct text t = {0};
	int rc;

	if (check(o, e) < 0)
		return -1;
	say(&t,
	        "# for the hub '%s', written by 'osier hub broker'; changes are lost when it is said again\n"
	        "per_listener_settings true\n",
	        o->hub);
	limits(&t);
	listener(&t, o);
	rc = write_text(o->dir, "osier.conf", &t, e);
	free(t.p);
	return rc;
}
