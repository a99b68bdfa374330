/* SPDX-License-Identifier: Apache-2.0 */
/* links_parent - the end towards this node's hub: whom the core calls parent, and the client of its broker. */
#include <fcntl.h>
#include <netdb.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/prng.h"
#include "core/note.h"
#include "engine/fabric.h"
#include "engine/links_int.h"
#include "engine/parent.h"
#include "io/keys.h"
#include "io/sha256.h"

#define LOOK_PAUSE_MS   200u
#define UNHEARD_NS      10000000000ull /* a hub that is there answers a Hello in less */
#define QUIET_SPREAD_MS 5000u
#define LOOK_CONNECT_MS 4000u /* for one place: a machine that is gone does not answer at all */

static void look_next(struct links *k, const struct parent_hub *h)
{
	(void)snprintf(k->next.host, sizeof(k->next.host), "%s", h->broker_host);
	k->next.port = h->broker_port;
}

/* The hub may say that it has another broker, or will have one: there we come back when we have lost the present one. */
static void follow(struct links *k)
{
	const struct parent_info *p = parent_info(k->n);

	if (!p || !k->up ||
	        mqtt_move(k->up, p->hubs[p->at].broker_host, (uint16_t)p->hubs[p->at].broker_port, UINT64_MAX,
	                NULL) < 0)
		return;
	look_next(k, &p->hubs[p->at]);
}

#define NOTED_NS 60000000000ull

/* A share of quotas that is not the hub's, or not ours, is somebody's work: it stands in the log, at most once a minute. */
static void note_share(struct link_here *h)
{
	uint64_t now = round_now_ns(h->k->n);
	struct link_view v;

	link_look(h->end, &v);
	if (!v.share_why[0] || (h->noted_ns && now - h->noted_ns < NOTED_NS))
		return;
	h->noted_ns = now;
	(void)fprintf(stderr, "osier: a share of quotas that came from the hub '%s' is not taken: %s\n",
	        h->k->upstream, v.share_why);
}

static bool has_left(const struct links *k)
{
	return k->next.port != k->at.port || strcmp(k->next.host, k->at.host) != 0;
}

static void child_message(void *ctx, const struct mqtt_message *m)
{
	struct links *k = ctx;
	const char *last = strrchr(m->topic, '/');

	if (!k->parent || !last || links_deaf(k))
		return;
	if (strcmp(last, "/hubs") == 0) {
		parent_hubs(k->n, m->payload, m->n);
		follow(k);
		link_touch(k->parent); /* there may be another place to look at now */
	} else if (strcmp(last, "/hub") == 0) {
		k->told = true;
		k->untold = 0;
		link_set_here(k->parent, links_says(m, LINKS_HERE));
		if (links_says(m, LINKS_GONE) && has_left(k))
			mqtt_again(k->up, ", which the hub has left");
	} else if (strcmp(last, "/down") == 0 && links_says(m, LINKS_REMOVED)) {
		parent_doubt(k->n);
	} else if (strcmp(last, "/down") == 0) {
		link_set_here(k->parent, true);
		k->changed = false;
		link_receive(k->parent->end, round_now_ns(k->n), m->payload, m->n);
		link_touch(k->parent);
		if (k->changed)
			note_share(k->parent);
		fabric_look(k->n);
	}
}

/* Is another broker known, where a hub could be? */
static bool another_place(const struct links *k, const struct parent_info *p)
{
	for (unsigned i = 0; i < p->n_hubs; i++)
		if (p->hubs[i].broker_port != k->at.port || strcmp(p->hubs[i].broker_host, k->at.host) != 0)
			return true;
	return false;
}

static void child_up(void *ctx)
{
	struct links *k = ctx;
	char address[NI_MAXHOST];

	k->why[0] = '\0';
	k->told = false;
	k->at = k->next;
	if (mqtt_local(k->up, address, sizeof(address)))
		machine_reached(k->n, address);
	links_moved(k);
	links_publish_state(k->up, k->up_state, LINKS_HERE);
	links_near_up(k);
	link_touch(k->parent);
	if (parent_removed(k->n)) /* the broker takes us again */
		parent_doubt(k->n);
}

static void say_what_for(struct links *k, const struct parent_info *p)
{
	(void)snprintf(k->why, sizeof(k->why),
	        "the broker at %.100s port %u answers, the hub behind it does not%s", k->at.host, k->at.port,
	        another_place(k, p) ? ", other places are looked at in turn" : "");
}

/* A broker that gave us no rights when we came, because its list was old, drops what we say and keeps what it should tell; what it has kept it
 * tells who comes anew. */
#define UNTOLD_MAX 3u /* the time doubles so often */

/* A broker can outlive its hub. When nobody behind this one has said a word for a while we go on to the next place, and come around again. A
 * hub that says anything is not left, nor does anybody go who could not hear it. */
static void look_for_words(struct links *k, const struct link_view *v)
{
	const struct parent_info *p = parent_info(k->n);
	uint64_t now = round_now_ns(k->n), due;

	if (v->state == LINK_UP)
		parent_found(k->n);
	if (!p || !k->up || !mqtt_up(k->up) || v->state == LINK_UP || v->state == LINK_REFUSED ||
	        links_deaf(k)) {
		k->quiet_ns = 0;
		return;
	}
	if (!k->quiet_ns) {
		k->quiet_ns = now;
		say_what_for(k, p);
	}
	if (v->heard_ns > k->quiet_ns)
		k->quiet_ns = v->heard_ns;
	due = k->quiet_ns + (UNHEARD_NS << (k->untold < UNTOLD_MAX ? k->untold : UNTOLD_MAX)) +
	      prng_mix(engine_epoch(k->n->engine), p->at, p->cert.serial[0]) % QUIET_SPREAD_MS * 1000000;
	if (now < due) {
		links_wake_at(k, due);
		return;
	}
	k->quiet_ns = now;
	if (another_place(k, p)) {
		links_parent_gone(k);
		mqtt_again(k->up, ", where no hub answers");
	} else if (!k->told) {
		k->untold++;
		mqtt_again(k->up, ", which said nothing of the hub");
	}
}

bool links_stand_back(const struct links *k)
{
	struct link_view v;

	if (!k->parent)
		return false;
	link_look(k->parent->end, &v);
	return v.away_until_ns > round_now_ns(k->n);
}

/* We may be a copy: whoever else has our name shall have the broker for himself. */
static void stand_back(struct links *k)
{
	links_parent_gone(k);
	mqtt_close(k->up, NULL, NULL);
	k->up = NULL;
	k->quiet_ns = 0;
	k->parent->here = false; /* and the end remembers why it was refused */
}

void links_parent_look(struct link_here *h)
{
	struct link_view v;

	link_look(h->end, &v);
	if (h->k->up && links_stand_back(h->k))
		stand_back(h->k);
	look_for_words(h->k, &v);
	if (v.state == LINK_HELLO && h->here && round_now_ns(h->k->n) - v.since_ns > UNHEARD_NS)
		parent_doubt(h->k->n);
}

/* The hub may be at one of several places. All are looked at once, quickly (each machine for itself with another pause, or a thousand would come
 * at one moment), then they wait as for one. */
static void look_elsewhere(struct links *k, const struct mqtt_down *d)
{
	uint64_t seed = engine_epoch(k->n->engine), pause;
	const struct parent_info *p = parent_info(k->n);
	const struct parent_hub *h, *was;
	bool more;

	if (!p || p->n_hubs < 2 || k->stopping)
		return;
	was = &p->hubs[p->at];
	more = parent_next(k->n);
	for (unsigned i = 2; i < p->n_hubs && parent_same_broker(was, &p->hubs[p->at]); i++)
		more = parent_next(k->n) && more;
	h = &p->hubs[p->at];
	pause = more ? LOOK_PAUSE_MS / 2 + prng_mix(seed, d->in_a_row, p->cert.serial[0]) % LOOK_PAUSE_MS
	             : mqtt_pause_ms(seed, 1 + d->in_a_row / p->n_hubs);
	(void)mqtt_move(k->up, h->broker_host, (uint16_t)h->broker_port, pause, NULL);
	look_next(k, h);
}

void links_parent_gone(struct links *k)
{
	if (k->up && mqtt_up(k->up))
		links_publish_state(k->up, k->up_state, LINKS_GONE);
}

static void child_down(void *ctx, const struct mqtt_down *d)
{
	struct links *k = ctx;

	k->quiet_ns = 0;
	(void)snprintf(k->why, sizeof(k->why), "%s", d->why.msg);
	if (k->parent)
		link_set_here(k->parent, false);
	look_elsewhere(k, d);
	if (d->why.code == ERR_DENIED)
		parent_doubt(k->n);
}

/* Our journal's first leaf: who we are, beside the key. */
static int journal_identity(struct node *n, uint8_t out[32], struct err *e)
{
	const uint8_t *bytes;
	size_t len;

	return journal_read_entry(n->reader, 0, &bytes, &len, out, e);
}

/* The key by which the hub knows us. */
static int own_key(struct node *n, const struct parent_info *p, uint8_t out[32], struct err *e)
{
	struct note_key key;
	uint8_t sig[64];

	if (ledger_sign(n, "osier", 5, sig, &key, e) < 0)
		return err_wrap(e, "the node's key");
	memcpy(out, p->key_known ? p->key : key.key, 32);
	return 0;
}

/* What nonces of commitments are made of: a file of its own, which outlives each key that is replaced. */
static int commit_secret(struct node *n, uint8_t out[32], struct err *e)
{
	char path[4096], text[KEY_FILE_MAX + 1];
	uint8_t fresh[32];
	size_t len;

	(void)snprintf(path, sizeof(path), "%.4000s/keys/commit.secret", n->state_dir);
	randombytes_buf(fresh, sizeof(fresh));
	if (key_file_write(path, (const char *)fresh, sizeof(fresh), e) < 0 && e->code != ERR_EXISTS)
		return -1;
	if (key_file_read(path, text, &len, e) < 0)
		return -1;
	if (len != 32)
		return err_set(e, ERR_CORRUPT, "'%s' is not 32 bytes", path);
	memcpy(out, text, 32);
	return 0;
}

/* Where our state lies, as a number: a copy of the folder is another folder, and what is on another machine, or in a copy of a machine, was
 * started another time. So a machine that has started anew is another place, too, which the hub finds out by waiting. */
static uint64_t place_of(const struct node *n)
{
	uint8_t digest[32], all[2 * sizeof(uint64_t) + 64] = {0};
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	uint64_t at[2], place = 0;
	struct stat st;

	if (fd >= 0) {
		if (read(fd, all + sizeof(at), 64) < 0)
			memset(all + sizeof(at), 0, 64);
		(void)close(fd);
	}
	if (stat(n->state_dir, &st) < 0)
		return 0;
	at[0] = (uint64_t)st.st_dev;
	at[1] = (uint64_t)st.st_ino;
	memcpy(all, at, sizeof(at));
	sha256_of(all, sizeof(all), digest);
	for (unsigned i = 0; i < sizeof(place); i++)
		place = place << 8 | digest[i];
	return place | 1;
}

static int parent_open_end(struct links *k, const struct parent_info *p, struct err *e)
{
	struct link_shell shell = links_shell(k);
	Wire__NodeSet offer;
	uint8_t journal[32], key[32], secret[32];
	struct link_self self = {.side = LINK_TO_HUB,
	        .name = p->node,
	        .key = key,
	        .journal = journal,
	        .secret = secret,
	        .place = place_of(k->n),
	        .offer = &offer};
	struct link_here *h;

	growing_clear(&k->reading);
	if (journal_identity(k->n, journal, e) < 0 || own_key(k->n, p, key, e) < 0 ||
	        commit_secret(k->n, secret, e) < 0)
		return -1;
	if (link_sum(k->n->engine, p->node, &k->reading.arena, &offer) < 0)
		return err_set(e, ERR_FULL, "what this node can do is more than can be said");
	h = link_here_new(k, LINK_TO_HUB);
	(void)snprintf(h->name, sizeof(h->name), "%s", p->node);
	(void)snprintf(h->topic, sizeof(h->topic), "%s/%s/up", p->topics, p->node);
	h->end = link_init(h->mem, &self, &shell, k->scratch, FRAME_ARENA_BYTES);
	parent_rekey(k->n);
	k->parent = h;
	link_touch(h);
	return 0;
}

static struct mqtt_tls parent_files(struct links *k)
{
	static const char *const names[] = {"ca.crt", "client.crt", "client.key"};

	for (size_t i = 0; i < 3; i++)
		(void)snprintf(k->files[i], sizeof(k->files[i]), "%.4000s/%s", parent_dir(k->n), names[i]);
	return (struct mqtt_tls){.ca_file = k->files[0], .cert_file = k->files[1], .key_file = k->files[2]};
}

int links_parent_open(struct links *k, struct err *e)
{
	const struct parent_info *p = parent_info(k->n);
	char down[MQTT_TOPIC_MAX + 1], hub[MQTT_TOPIC_MAX + 1], hubs[MQTT_TOPIC_MAX + 1];
	struct mqtt_options o = {.loop = &k->n->loop,
	        .host = p->hubs[p->at].broker_host,
	        .port = (uint16_t)p->hubs[p->at].broker_port,
	        .connect_ms = LOOK_CONNECT_MS,
	        .id = p->node,
	        .tls = parent_files(k),
	        .filters = {down, hub, hubs},
	        .will = {.topic = k->up_state,
	                .payload = LINKS_GONE,
	                .n = sizeof(LINKS_GONE) - 1,
	                .retain = true},
	        .seed = engine_epoch(k->n->engine),
	        .room = LINKS_ROOM / 2,
	        .on_up = child_up,
	        .on_down = child_down,
	        .on_message = child_message,
	        .on_room = links_on_room,
	        .ctx = k};

	(void)snprintf(k->upstream, sizeof(k->upstream), "%s", p->hub);
	(void)snprintf(down, sizeof(down), "%s/%s/down", p->topics, p->node);
	(void)snprintf(hub, sizeof(hub), "%s/hub", p->topics);
	(void)snprintf(hubs, sizeof(hubs), "%s/hubs", p->topics);
	(void)snprintf(k->up_state, sizeof(k->up_state), "%s/%s/state", p->topics, p->node);
	if (!k->parent && parent_open_end(k, p, e) < 0)
		return -1;
	look_next(k, &p->hubs[p->at]);
	k->untold = 0;
	return mqtt_new(&o, &k->up, e);
}

/* The core knows this parent, or none ("" and no key). */
void links_parent_tell(struct links *k)
{
	const struct parent_info *p = parent_info(k->n);
	Wire__LinkSet set = WIRE__LINK_SET__INIT;
	struct command cmd = {.kind = CMD_LINK_SET, .u.link_set = &set};
	struct parent_view v;
	bool has = engine_parent(k->n->engine, &v);

	if (!p && !has)
		return;
	if (p && has && strcmp(v.name, p->hub) == 0 && memcmp(v.key, p->hub_sha256, 32) == 0)
		return;
	if (p) {
		set.name = (char *)(uintptr_t)p->hub;
		set.key = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)p->hub_sha256, .len = 32};
	}
	round_command(k->n, &cmd, NULL, 0, NULL);
}

void links_parent_news(void *ctx, enum parent_change what)
{
	struct links *k = ctx;
	struct mqtt_tls files;

	if (k->stopping)
		return;
	links_near_news(k);
	switch (what) {
	case PARENT_JOINED:
		links_drop(k, k->parent); /* it was the end of another link, over another connection */
		k->parent = NULL;
		mqtt_close(k->up, NULL, NULL);
		k->up = NULL;
		links_refresh(k);
		break;
	case PARENT_AGAIN:
	case PARENT_RENEWED:
		if (k->parent && parent_info(k->n)->key_known)
			link_key(k->parent->end, parent_info(k->n)->key);
		files = parent_files(k);
		follow(k);
		if (k->up)
			(void)mqtt_renew(
			        k->up, &files, what == PARENT_AGAIN ? MQTT_RENEW_NOW : MQTT_RENEW_NEXT, NULL);
		if (what == PARENT_AGAIN && k->parent)
			link_joined(k->parent->end, round_now_ns(k->n));
		if (what == PARENT_AGAIN && !k->up)
			links_refresh(k);
		break;
	case PARENT_LEFT:
		links_parent_tell(k);
		links_parent_gone(k);
		mqtt_close(k->up, NULL, NULL);
		k->up = NULL;
		if (k->parent)
			link_set_here(k->parent, false);
		break;
	}
}
