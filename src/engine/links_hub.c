/* SPDX-License-Identifier: Apache-2.0 */
/* links_hub - the ends towards the children of a hub: who they are, the broker that carries them, and who is shut out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/identity.h"
#include "engine/broker.h"
#include "engine/links_int.h"

struct link_here *links_child_at(const struct links *k, uint32_t node)
{
	return node < k->n_children ? k->children[node] : NULL;
}

static uint32_t name_hash(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h;
}

/* For every frame that comes: a scan, but of few bytes a child. */
static struct link_here *child_named(const struct links *k, const char *name)
{
	uint32_t hash = name_hash(name);

	for (uint32_t i = 0; i < k->n_children; i++)
		if (k->hashes[i] == hash && k->children[i] && strcmp(k->children[i]->name, name) == 0)
			return k->children[i];
	return NULL;
}

static void child_open(struct links *k, uint32_t node, const char *name)
{
	struct link_shell shell = links_shell(k);
	struct link_self self = {.side = LINK_TO_CHILD, .name = name, .node = node};
	struct link_here *h;

	if (node >= k->n_children) {
		uint32_t n = k->n_children ? k->n_children : 16;

		while (n <= node)
			n *= 2;
		k->children = realloc(k->children, n * sizeof(*k->children));
		CHECK(k->children);
		memset(k->children + k->n_children, 0, (n - k->n_children) * sizeof(*k->children));
		k->hashes = realloc(k->hashes, n * sizeof(*k->hashes));
		CHECK(k->hashes);
		memset(k->hashes + k->n_children, 0, (n - k->n_children) * sizeof(*k->hashes));
		k->n_children = n;
	}
	if (k->children[node] && strcmp(k->children[node]->name, name) == 0)
		return;
	links_drop(k, k->children[node]); /* it joined again, under another name */
	h = link_here_new(k, LINK_TO_CHILD);
	h->node = node;
	(void)snprintf(h->name, sizeof(h->name), "%s", name);
	(void)snprintf(h->topic, sizeof(h->topic), "osier/%s/%s/down", k->hub, name);
	h->end = link_init(h->mem, &self, &shell, k->scratch, FRAME_ARENA_BYTES);
	k->children[node] = h;
	k->hashes[node] = name_hash(h->name);
	/* Nobody is here before the broker says so. */
	link_disconnected(h->end, round_now_ns(k->n));
	link_touch(h);
}

/* It hears why it hears no more. That may be lost: whoever gets no answer asks. */
static void say_removed(struct link_here *h)
{
	struct mqtt_message m = {.topic = h->topic, .payload = LINKS_REMOVED, .n = sizeof(LINKS_REMOVED) - 1};

	if (h->k->down && mqtt_up(h->k->down))
		(void)mqtt_publish(h->k->down, &m, NULL);
}

void links_children_open(struct links *k)
{
	struct sched_node_view v;
	struct child_view c;

	for (uint32_t i = 0; i < k->n_children; i++)
		if (k->children[i] && !engine_child(k->n->engine, i, &c)) { /* it was removed */
			if (!k->children[i]->removed)
				say_removed(k->children[i]);
			links_drop(k, k->children[i]);
			k->children[i] = NULL;
			k->hashes[i] = 0;
		}
	for (uint32_t at = 0; sched_node_next(engine_sched(k->n->engine), at, &v); at = v.node)
		if (engine_child(k->n->engine, v.node, &c) && v.name)
			child_open(k, v.node, v.name);
}

/* osier/HUB/NODE/WHAT: the node's name, and which of the three it is. */
static const char *topic_part(const struct links *k, const char *topic, char name[FRAME_NAME_MAX + 1])
{
	size_t n = strlen(k->hub), len;
	const char *p = topic, *slash;

	if (strncmp(p, "osier/", 6) != 0 || strncmp(p + 6, k->hub, n) != 0 || p[6 + n] != '/')
		return NULL;
	p += 7 + n;
	slash = strchr(p, '/');
	if (!slash)
		return NULL;
	len = (size_t)(slash - p);
	if (len == 0 || len > FRAME_NAME_MAX)
		return NULL;
	memcpy(name, p, len);
	name[len] = '\0';
	return slash + 1;
}

#define NOTED_NS 60000000000ull

/* Who looks for why a node does not come finds it in the log, at most once a minute. */
static void note_refusal(struct link_here *h)
{
	uint64_t now = round_now_ns(h->k->n);
	struct link_view v;

	h->k->changed = false;
	link_look(h->end, &v);
	if (v.state != LINK_REFUSED || (h->noted_ns && now - h->noted_ns < NOTED_NS))
		return;
	h->noted_ns = now;
	(void)fprintf(stderr, "osier: the node '%s' is refused: %s%s%s\n", h->name, v.reason,
	        v.hint[0] ? "; it was told: " : "", v.hint);
}

static void hub_message(void *ctx, const struct mqtt_message *m)
{
	struct links *k = ctx;
	char name[FRAME_NAME_MAX + 1];
	const char *part = topic_part(k, m->topic, name);
	struct link_here *h = part ? child_named(k, name) : NULL;

	if (!h || h->removed || links_deaf(k))
		return;
	if (strcmp(part, "state") == 0) {
		link_set_here(h, links_says(m, LINKS_HERE));
	} else if (strcmp(part, "up") == 0) {
		link_set_here(h, true); /* its word that it is here was lost, or is still under way */
		k->changed = false;
		link_receive(h->end, round_now_ns(k->n), m->payload, m->n);
		link_touch(h);
		if (k->changed)
			note_refusal(h);
	}
}

/* Where the hub may be, retained: whoever comes hears it, and all when it changes. */
static void tell_places(struct links *k)
{
	char topic[MQTT_TOPIC_MAX + 1], *places;

	if (!k->down || !mqtt_up(k->down))
		return;
	places = hub_places(k->n);
	if (k->places && strcmp(k->places, places) == 0) {
		free(places);
		return;
	}
	free(k->places);
	k->places = places;
	(void)snprintf(topic, sizeof(topic), "osier/%s/hubs", k->hub);
	links_publish_state(k->down, topic, places);
}

static void say_state(struct links *k, const char *word)
{
	char topic[MQTT_TOPIC_MAX + 1];

	(void)snprintf(topic, sizeof(topic), "osier/%s/hub", k->hub);
	links_publish_state(k->down, topic, word);
}

static void hub_up(void *ctx)
{
	struct links *k = ctx;

	say_state(k, LINKS_HERE);
	machine_reached(k->n, hub_settings(k->n)->addresses[0]);
	free(k->places); /* another broker, or the same that has forgotten */
	k->places = NULL;
	tell_places(k);
}

void links_hub_gone(struct links *k)
{
	if (k->down && mqtt_up(k->down))
		say_state(k, LINKS_GONE);
}

static void hub_down(void *ctx, const struct mqtt_down *d)
{
	struct links *k = ctx;

	(void)snprintf(k->down_why, sizeof(k->down_why), "%.230s", d->why.msg);
	for (uint32_t i = 0; i < k->n_children; i++)
		if (k->children[i])
			link_set_here(k->children[i], false);
}

static void broker_up(void *ctx)
{
	struct links *k = ctx;

	if (k->down)
		mqtt_hurry(k->down);
}

static void broker_down(void *ctx, const struct broker_down *d)
{
	struct links *k = ctx;

	(void)snprintf(k->down_why, sizeof(k->down_why), "%.230s", d->why.msg);
}

const char *links_hub_why(const struct node *n)
{
	const struct links *k = n->links;

	if (!k || !hub_is(n) || (k->down && mqtt_up(k->down)))
		return NULL;
	return k->down_why[0] ? k->down_why : "it was not reached yet";
}

static int hub_place(const struct hub_settings *s, char host[254], uint16_t *out_port, struct err *e)
{
	if (s->broker[0])
		return hub_broker_url(s->broker, host, out_port, e);
	(void)snprintf(host, 254, "%s", s->addresses[0]);
	*out_port = (uint16_t)s->broker_port;
	return 0;
}

bool links_hub_moves(struct links *k)
{
	const struct hub_settings *s = hub_settings(k->n);
	char host[254];
	uint16_t port;

	return k->down && s && hub_place(s, host, &port, NULL) == 0 &&
	       (port != k->down_port || strcmp(host, k->down_host) != 0);
}

/* The broker of our own, unless somebody else's is used. */
static int hub_broker(struct links *k, const struct hub_settings *s, struct err *e)
{
	struct broker_options o = {.loop = &k->n->loop,
	        .dir = hub_dir(k->n),
	        .hub = s->name,
	        .port = (uint16_t)s->broker_port,
	        .on_up = broker_up,
	        .on_down = broker_down,
	        .ctx = k};

	if (hub_place(s, k->down_host, &k->down_port, e) < 0)
		return -1;
	if (s->broker[0]) {
		broker_end_left(o.dir); /* it had one of its own before */
		return 0;
	}
	return k->broker ? 0 : broker_open(&o, &k->broker, e);
}

int links_hub_open(struct links *k, struct err *e)
{
	const struct hub_settings *s = hub_settings(k->n);
	char up[MQTT_TOPIC_MAX + 1], state[MQTT_TOPIC_MAX + 1], will[MQTT_TOPIC_MAX + 1], files[3][4096];
	struct mqtt_options o = {.loop = &k->n->loop,
	        .host = k->down_host,
	        .id = "hub",
	        .tls = {.ca_file = files[0], .cert_file = files[1], .key_file = files[2]},
	        .filters = {up, state},
	        .will = {.topic = will, .payload = LINKS_GONE, .n = sizeof(LINKS_GONE) - 1, .retain = true},
	        .seed = engine_epoch(k->n->engine),
	        .room = LINKS_ROOM / 2,
	        .on_up = hub_up,
	        .on_down = hub_down,
	        .on_message = hub_message,
	        .on_room = links_on_room,
	        .ctx = k};

	(void)snprintf(k->hub, sizeof(k->hub), "%s", s->name);
	(void)snprintf(up, sizeof(up), "osier/%s/+/up", k->hub);
	(void)snprintf(state, sizeof(state), "osier/%s/+/state", k->hub);
	(void)snprintf(will, sizeof(will), "osier/%s/hub", k->hub);
	(void)snprintf(files[0], sizeof(files[0]), "%s/ca.crt", hub_dir(k->n));
	(void)snprintf(files[1], sizeof(files[1]), "%s/client.crt", hub_dir(k->n));
	(void)snprintf(files[2], sizeof(files[2]), "%s/client.key", hub_dir(k->n));
	if (hub_broker(k, s, e) < 0)
		return -1;
	o.port = k->down_port;
	return mqtt_new(&o, &k->down, e);
}

/* Who has a certificate of ours is a place for work; what it can do it says itself. */
void links_children_join(struct links *k)
{
	const struct identity *id = engine_identity(k->n->engine);
	struct identity_node v;

	for (uint32_t i = 0; identity_node(id, i, &v); i++) {
		Wire__NodeSet set = WIRE__NODE_SET__INIT;
		struct command cmd = {.kind = CMD_NODE_JOIN, .u.node_set = &set};
		const struct link_here *h = child_named(k, v.name);
		uint32_t node = h ? h->node : engine_node_named(k->n->engine, v.name);
		struct child_view c;

		if (v.removed || identity_stands_by(id, v.name) ||
		        (node && engine_child(k->n->engine, node, &c) && memcmp(c.key, v.key, 32) == 0 &&
		                memcmp(c.journal, v.journal, 32) == 0))
			continue;
		set.name = (char *)(uintptr_t)v.name;
		set.key = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)v.key, .len = 32};
		set.journal = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)v.journal, .len = 32};
		round_command(k->n, &cmd, NULL, 0, NULL);
	}
}
/* The broker reads its certificates again, and lets those in who may. */
static void broker_again(struct links *k)
{
	const struct identity *id = engine_identity(k->n->engine);
	const char **denied = NULL;
	struct identity_node v;
	size_t n = 0;
	struct err e;

	if (!k->broker)
		return;
	for (uint32_t i = 0; identity_node(id, i, &v); i++) {
		if (!v.removed)
			continue;
		denied = reallocarray(denied, n + 1, sizeof(*denied));
		CHECK(denied);
		denied[n++] = v.name;
	}
	k->n_denied = n;
	if (broker_reload(k->broker, denied, n, &e) < 0)
		(void)fprintf(stderr, "osier: the broker does not know who is shut out: %s\n", e.msg);
	free(denied);
}

/* Who was shut out is heard no more, and what it ran is given up. */
void links_shut_out(struct links *k)
{
	const struct identity *id = engine_identity(k->n->engine);
	struct identity_node v;

	for (uint32_t i = 0; identity_node(id, i, &v); i++) {
		struct link_here *h = child_named(k, v.name);
		Wire__NodeLink lost = WIRE__NODE_LINK__INIT;
		struct command cmd = {.kind = CMD_NODE_LINK, .u.node_link = &lost};

		if (!h || h->removed == v.removed)
			continue;
		h->removed = v.removed;
		if (!h->removed)
			continue;
		say_removed(h);
		link_set_here(h, false);
		lost.node = h->node;
		lost.state = WIRE__NODE_SET__STATE__LOST;
		round_command(k->n, &cmd, NULL, 0, NULL);
	}
}

void links_hub_news(void *ctx, enum hub_change what)
{
	struct links *k = ctx;

	if (k->stopping)
		return;
	switch (what) {
	case HUB_CERTIFICATES:
	case HUB_REVOKED:
		links_shut_out(k); /* says so, while its broker lets it */
		broker_again(k);
		break;
	case HUB_NODES:
	case HUB_BEGUN:
		if (k->n_denied) /* one of them may have joined again */
			broker_again(k);
		links_refresh(k);
		links_shut_out(k);
		tell_places(k);
		break;
	}
}
