/* SPDX-License-Identifier: Apache-2.0 */
/* hub_settings - STATE/hub/hub.yaml; see hub.h. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/config.h"
#include "engine/config_read.h"
#include "engine/hub_settings.h"
#include "io/join.h"
#include "io/doc_yaml.h"

#define FILE_ARENA (1u << 20)

static void add(struct hub_settings *s, const char *address)
{
	for (size_t i = 0; i < s->n_addresses; i++)
		if (strcmp(s->addresses[i], address) == 0)
			return;
	if (s->n_addresses < CA_NAMES_MAX - 4 && ca_host_ok(address))
		(void)snprintf(s->addresses[s->n_addresses++], sizeof(s->addresses[0]), "%s", address);
}

static void add_interfaces(struct hub_settings *s, int family)
{
	struct ifaddrs *list = NULL;
	char text[INET6_ADDRSTRLEN];

	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)i->ifa_addr;
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)i->ifa_addr;

		if (!i->ifa_addr || i->ifa_addr->sa_family != family || (i->ifa_flags & IFF_LOOPBACK) ||
		        !(i->ifa_flags & IFF_UP) ||
		        (family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr)))
			continue;
		if (inet_ntop(family,
		            family == AF_INET6 ? (const void *)&v6->sin6_addr : (const void *)&v4->sin_addr,
		            text, sizeof(text)))
			add(s, text);
	}
	freeifaddrs(list);
}

void hub_settings_default(const char *node_name, struct hub_settings *out)
{
	char host[256] = "";

	memset(out, 0, sizeof(*out));
	cert_name_from(node_name, out->name);
	if (strcmp(out->name, CERT_HUB) == 0)
		memcpy(out->name, "hub-1", sizeof("hub-1"));
	add_interfaces(out, AF_INET);
	add_interfaces(out, AF_INET6);
	if (gethostname(host, sizeof(host) - 1) == 0)
		add(out, host);
	add(out, "localhost");
	add(out, "127.0.0.1");
	add(out, "::1");
	memcpy(out->listen, "::", 3);
	out->port = JOIN_PORT;
	out->broker_port = HUB_BROKER_PORT;
	out->life_s = CA_CLIENT_S;
}

int hub_broker_url(const char *url, char out_host[254], uint16_t *out_port, struct err *e)
{
	const char *p = strncmp(url, "mqtts://", 8) == 0 ? url + 8 : "", *end, *after;
	unsigned long port = HUB_BROKER_PORT;
	char *rest;
	uint8_t ip[16];

	if (*p == '[') { /* an address of IPv6 */
		end = strchr(++p, ']');
		after = end ? end + 1 : NULL;
	} else {
		end = after = p + strcspn(p, ":/");
	}
	if (!end || end == p || end - p >= 254)
		goto bad;
	memcpy(out_host, p, (size_t)(end - p));
	out_host[end - p] = '\0';
	if (p[-1] == '[' ? inet_pton(AF_INET6, out_host, ip) != 1 : !ca_host_ok(out_host))
		goto bad;
	if (*after == ':') {
		port = after[1] >= '0' && after[1] <= '9' ? strtoul(after + 1, &rest, 10) : 0;
		after = port ? rest : after;
	}
	if (port == 0 || port > UINT16_MAX || (*after && strcmp(after, "/") != 0))
		goto bad;
	*out_port = (uint16_t)port;
	return 0;
bad:
	(void)err_set(e, ERR_INVALID, "'%.80s' is not the address of a broker", url);
	return err_hint(e, "such as mqtts://mqtt.example:8883, with TLS always");
}

int hub_broker_set(struct hub_settings *s, const char *url, struct err *e)
{
	char host[254];
	uint16_t port;

	if (!*url) {
		s->broker[0] = '\0';
		return 0;
	}
	if (hub_broker_url(url, host, &port, e) < 0)
		return -1;
	(void)snprintf(s->broker, sizeof(s->broker), strchr(host, ':') ? "mqtts://[%s]:%u" : "mqtts://%s:%u",
	        host, (unsigned)port);
	return 0;
}

int hub_settings_check(const struct hub_settings *s, struct err *e)
{
	char host[254];
	uint16_t port;
	uint8_t ip[16];

	if (!cert_name_ok(s->name) || strcmp(s->name, CERT_HUB) == 0) {
		(void)err_set(e, ERR_INVALID, "'%.63s' cannot be the name of a hub", s->name);
		return err_hint(e, "use a-z, 0-9 and '-', at most %u, and not '%s'", CERT_NAME_MAX, CERT_HUB);
	}
	if (s->n_addresses == 0)
		return err_set(e, ERR_INVALID, "a hub needs an address by which nodes reach it");
	for (size_t i = 0; i < s->n_addresses; i++)
		if (!ca_host_ok(s->addresses[i])) {
			(void)err_set(
			        e, ERR_INVALID, "'%.80s' is not a host name or an address", s->addresses[i]);
			return err_hint(e, "without scheme and port: plant.example, 10.0.0.1");
		}
	if (inet_pton(AF_INET, s->listen, ip) != 1 && inet_pton(AF_INET6, s->listen, ip) != 1)
		return err_set(e, ERR_INVALID, "'%.60s' is not a numeric address to listen at", s->listen);
	if (s->port == 0 || s->port > 65535 || s->broker_port == 0 || s->broker_port > 65535)
		return err_set(e, ERR_INVALID, "a port is a number from 1 to 65535");
	if (s->port == s->broker_port)
		return err_set(e, ERR_INVALID, "the hub and its broker cannot have the same port");
	if (s->broker[0] && hub_broker_url(s->broker, host, &port, e) < 0)
		return -1;
	if (s->life_s < HUB_LIFE_MIN_S || s->life_s > HUB_LIFE_MAX_S)
		return err_set(e, ERR_INVALID, "certificates of nodes are valid for 10 s to 90 days");
	return 0;
}

/* ---- the file ---- */

int hub_settings_save(const char *path, const struct hub_settings *s, struct err *e)
{
	char text[CERT_PEM_MAX];
	size_t n;

	if (hub_settings_check(s, e) < 0)
		return -1;
	/* Nothing in it needs escapes: it was checked. */
	n = (size_t)snprintf(text, sizeof(text),
	        "# This node is a hub: written by 'osier hub', read when the node starts.\nname: "
	        "%s\naddresses:\n",
	        s->name);
	for (size_t i = 0; i < s->n_addresses; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "  - \"%s\"\n", s->addresses[i]);
	n += (size_t)snprintf(text + n, sizeof(text) - n,
	        "listen: \"%s\"\nport: %u\nbroker_port: %u\ncertificates: %" PRIu64 "s\n", s->listen, s->port,
	        s->broker_port, s->life_s);
	if (s->broker[0])
		n += (size_t)snprintf(text + n, sizeof(text) - n, "broker: \"%s\"\n", s->broker);
	CHECK(n < sizeof(text));
	return cert_file_write(path, text, n, 0644, e);
}

static int text_into(struct config_reader *r, const struct doc *root, const char *key, char *out, size_t room)
{
	const char *text = NULL;

	if (config_text_of(r, root, key, false, &text) < 0)
		return -1;
	if (text && (size_t)snprintf(out, room, "%s", text) >= room)
		return config_bad(r, config_child(root, key), "something shorter");
	return 0;
}

static int port_into(struct config_reader *r, const struct doc *root, const char *key, unsigned *out)
{
	const struct doc *d = config_child(root, key);
	uint64_t v = *out;

	if (d && config_count(r, d, 1, 65535, &v) < 0)
		return -1;
	*out = (unsigned)v;
	return 0;
}

static int addresses_into(struct config_reader *r, const struct doc *d, struct hub_settings *s)
{
	const char *text;

	if (!d || d->kind != DOC_LIST || !d->child)
		return config_bad(r, d, "a list of 1 to 32 host names and addresses");
	for (const struct doc *c = d->child; c; c = c->next) {
		if (s->n_addresses == CA_NAMES_MAX)
			return config_bad(r, c, "no more than 32 host names and addresses");
		if (config_text(r, c, 1, sizeof(s->addresses[0]) - 1, &text) < 0)
			return -1;
		(void)snprintf(s->addresses[s->n_addresses++], sizeof(s->addresses[0]), "%s", text);
	}
	return 0;
}

static int read_root(struct config_reader *r, const struct doc *root, struct hub_settings *s)
{
	static const char *const keys[] = {
	        "name", "addresses", "listen", "port", "broker", "broker_port", "certificates", NULL};
	const char *life = NULL, *broker = NULL;
	uint64_t ns;

	if (config_map(r, root, "the settings of a hub", keys) < 0 ||
	        text_into(r, root, "name", s->name, sizeof(s->name)) < 0 ||
	        text_into(r, root, "listen", s->listen, sizeof(s->listen)) < 0 ||
	        config_text_of(r, root, "broker", false, &broker) < 0 ||
	        port_into(r, root, "port", &s->port) < 0 ||
	        port_into(r, root, "broker_port", &s->broker_port) < 0 ||
	        config_text_of(r, root, "certificates", false, &life) < 0)
		return -1;
	if (broker && hub_broker_set(s, broker, r->err) < 0)
		return -1;
	if (life) {
		if (config_ns(life, &ns) < 0)
			return config_bad(r, config_child(root, "certificates"), "a time such as 24h");
		s->life_s = ns / 1000000000u;
	}
	return addresses_into(r, config_child(root, "addresses"), s);
}

int hub_settings_load(const char *path, struct hub_settings *out, struct err *e)
{
	struct jobspec_problem p;
	struct config_reader r = {.source = path, .err = e};
	struct hub_settings s;
	const struct doc *root;
	struct arena a;
	char *text;
	void *mem;
	size_t n;
	int rc;

	if (cert_file_read(path, &text, &n, e) < 0)
		return -1;
	mem = aligned_alloc(16, FILE_ARENA);
	CHECK(mem);
	arena_init(&a, mem, FILE_ARENA);
	r.arena = &a;
	hub_settings_default("node", &s);
	s.n_addresses = 0;
	rc = doc_yaml_parse(&a, text, n, &root, &p);
	if (rc < 0)
		(void)err_set(e, ERR_INVALID, "%.120s:%u:%u: found %.80s, expected %.60s", path, p.line,
		        p.column, p.found, p.expected);
	else
		rc = read_root(&r, root, &s);
	if (rc == 0)
		rc = hub_settings_check(&s, e);
	if (rc == 0)
		*out = s;
	free(mem);
	free(text);
	return rc;
}
