/* SPDX-License-Identifier: Apache-2.0 */
/*
 * links_near - blobs from neighbours: what this node holds, told to its hub; and as a hub, who may have what a child's tasks take in.
 *
 * Held are the HELD_MAX large blobs that were used last: inputs of tasks here, large outputs of theirs. After a start they are found
 * by how long ago the store's blobs were used. Others get them at a server (neighbours.h), which is opened with the first of them: a node
 * that has none pays nothing for it. A hub names as neighbours only nodes that said that they hold a blob; whether they still do is for the
 * one who asks to find out, and the hub has it in any case.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "core/grant.h"
#include "core/sources.h"
#include "core/ticket.h"
#include "engine/links_int.h"
#include "engine/neighbours.h"
#include "io/blobs.h"

#define HELD_MAX    (FRAME_HELD_BYTES / 8)
#define NEAR_LEAST  LINK_HELD_LEAST /* smaller ones are not worth a connection */
#define TELL_NS     1000000000ull
#define HOLDERS_MAX 16u

/* As a hub: who was the first of its site to be sent for a blob that none of them has. */
struct first {
	uint8_t digest[32];
	uint64_t site, since_ns;
	uint32_t node;
};
#define FIRSTS   256u
#define FIRST_NS 300000000000ull /* then another one is the first */

struct near {
	struct links *k;
	struct first first[FIRSTS];
	uint32_t n_first; /* how many there ever were */
	struct neighbours *server;
	bool failed; /* the server cannot be opened: said, and not tried again before the certificate is another */
	uint8_t held[HELD_MAX][32]; /* the latest used last */
	uint32_t n_held;
	bool changed;
	uint64_t told_ns;
	/* How far others are: as told, and smoothed. Of many the one whose turn it is makes room. */
	struct link_far far[FRAME_FAR_MAX];
	uint64_t far_us[FRAME_FAR_MAX];
	uint32_t n_far, far_turn;
};

/* ---- as a node: what is here ---- */

void links_near_used(struct links *k, const uint8_t digest[32], uint64_t bytes)
{
	struct near *w = k->near;
	uint32_t i = 0;

	if (bytes < NEAR_LEAST || !parent_is(k->n))
		return;
	while (i < w->n_held && memcmp(w->held[i], digest, 32) != 0)
		i++;
	if (i == w->n_held && i == HELD_MAX)
		i = 0;
	if (i < w->n_held)
		memmove(w->held[i], w->held[i + 1], (w->n_held - i - 1) * sizeof(w->held[0]));
	else
		w->n_held++;
	memcpy(w->held[w->n_held - 1], digest, 32);
	w->changed = true;
	links_wake_at(k, w->told_ns + TELL_NS);
}

/* What is told is a power of two, and another one only when it is more, or less than half of the half: jitter says nothing. */
void links_answered(struct node *n, const char *name, uint64_t us)
{
	struct near *w = n->links ? n->links->near : NULL;
	uint64_t up = 64;
	uint32_t i = 0;

	if (!w || us == 0 || strlen(name) > FRAME_NAME_MAX)
		return;
	while (i < w->n_far && strcmp(w->far[i].name, name) != 0)
		i++;
	if (i == w->n_far) {
		i = w->n_far < FRAME_FAR_MAX ? w->n_far++ : w->far_turn++ % FRAME_FAR_MAX;
		w->far[i] = (struct link_far){.us = 0};
		w->far_us[i] = us;
		memcpy(w->far[i].name, name, strlen(name));
	}
	w->far_us[i] = (3 * w->far_us[i] + us) / 4;
	while (up < w->far_us[i] && up < 1ull << 40)
		up *= 2;
	if (up <= w->far[i].us && 2 * up >= w->far[i].us)
		return;
	w->far[i].us = up;
	w->changed = true;
	links_wake_at(n->links, w->told_ns + TELL_NS);
}

void links_near_expect(struct links *k, const uint8_t digest[32])
{
	neighbours_expect(k->near->server, digest);
}

struct found {
	uint8_t digest[32];
	uint64_t used_s;
};
struct finding {
	struct found v[HELD_MAX];
	uint32_t n;
};

static int find_used(void *ctx, const uint8_t digest[32], uint64_t bytes, uint64_t used_s)
{
	struct finding *f = ctx;
	uint32_t at = f->n;

	if (bytes < NEAR_LEAST)
		return 0;
	if (f->n == HELD_MAX) { /* the oldest makes room */
		at = 0;
		for (uint32_t i = 1; i < f->n; i++)
			at = f->v[i].used_s < f->v[at].used_s ? i : at;
		if (f->v[at].used_s >= used_s)
			return 0;
	} else {
		f->n++;
	}
	memcpy(f->v[at].digest, digest, 32);
	f->v[at].used_s = used_s;
	return 0;
}

static int by_use(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->used_s != y->used_s)
		return x->used_s < y->used_s ? -1 : 1;
	return memcmp(x->digest, y->digest, 32);
}

void links_near_init(struct links *k)
{
	struct finding f = {.n = 0};

	k->near = calloc(1, sizeof(*k->near));
	CHECK(k->near);
	k->near->k = k;
	if (!parent_is(k->n) || blobs_each(k->n->blobs, find_used, &f, NULL) < 0)
		return;
	qsort(f.v, f.n, sizeof(f.v[0]), by_use);
	for (uint32_t i = 0; i < f.n; i++)
		links_near_used(k, f.v[i].digest, NEAR_LEAST);
}

void links_near_free(struct links *k)
{
	if (!k->near)
		return;
	neighbours_close(k->near->server);
	free(k->near);
	k->near = NULL;
}

void links_near_news(struct links *k)
{
	struct near *w = k->near;

	neighbours_close(w->server);
	w->server = NULL;
	w->failed = false;
	w->changed = true;
	if (!parent_is(k->n))
		w->n_held = w->n_far = 0;
	links_wake_at(k, w->told_ns + TELL_NS);
}

static void open_server(struct near *w)
{
	struct node *n = w->k->n;
	char parts[3900];
	struct err e;

	(void)snprintf(parts, sizeof(parts), "%.3800s/carrier", n->state_dir);
	if (w->server || w->failed || n->config.link.neighbours == CONFIG_NO_NEIGHBOURS)
		return;
	w->failed = neighbours_open(parent_dir(n), parent_info(n)->hub, n->config.link.neighbours, n->blobs,
	                    parts, &w->server, &e) < 0;
	if (w->failed)
		node_notice(n, "neighbours get nothing from here", &e);
}

/* A node of a site of its own may be asked before it has anything: all of a site may begin at once. */
static bool has_site(const struct near *w)
{
	return sched_label(engine_sched(w->k->n->engine), 1, sched_label_key("site")) != 0;
}

/* What the store has dropped meanwhile is not held. */
static size_t list_held(struct near *w, uint8_t out[FRAME_HELD_BYTES])
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->n_held; i++)
		if (blobs_has(w->k->n->blobs, w->held[i], NULL)) {
			memmove(w->held[n], w->held[i], 32);
			memcpy(out + 8 * n++, w->held[i], 8);
		}
	w->n_held = n;
	return 8 * n;
}

void links_near_tell(struct links *k)
{
	struct near *w = k->near;
	uint8_t list[FRAME_HELD_BYTES];
	char at[FRAME_AT_MAX + 1] = "", host[FRAME_AT_MAX - 8];
	uint64_t now = round_now_ns(k->n);
	size_t n;

	if (!w->changed || !k->parent || !k->up || !parent_is(k->n))
		return;
	if (now < w->told_ns + TELL_NS) {
		links_wake_at(k, w->told_ns + TELL_NS);
		return;
	}
	n = list_held(w, list);
	if (k->n->config.address[0])
		(void)snprintf(host, sizeof(host), "%s", k->n->config.address);
	else if ((n || has_site(w)) && !mqtt_local(k->up, host, sizeof(host)))
		return; /* not connected: then it is told with the next change, or by links_near_up() */
	w->changed = false;
	w->told_ns = now;
	if (n || has_site(w))
		open_server(w);
	if (w->server)
		(void)snprintf(at, sizeof(at), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
		        neighbours_port(w->server));
	link_held(k->parent->end, list, n, at);
	link_far(k->parent->end, w->far, w->n_far);
	link_touch(k->parent);
}

/* The address may be another one than before. */
void links_near_up(struct links *k)
{
	k->near->changed = true;
	links_wake_at(k, k->near->told_ns + TELL_NS);
}

/* ---- as a hub: who has it ---- */

struct asked {
	struct links *k;
	uint32_t node;
	struct ticket t;
	struct arena *a;
	Link__Near **near; /* FRAME_NEAR_MAX */
	size_t n_near;
	bool any;
};

static struct sched *sched_of(const struct asked *q)
{
	return (struct sched *)(uintptr_t)engine_sched(q->k->n->engine);
}

/* The neighbour in the grant; NULL: it is none, or there are enough. */
static Link__Near *near_of(struct asked *q, const char *name, const char *at)
{
	Link__Near *w;

	for (size_t i = 0; i < q->n_near; i++)
		if (strcmp(q->near[i]->name, name) == 0)
			return q->near[i];
	if (q->n_near == FRAME_NEAR_MAX)
		return NULL;
	w = arena_alloc(q->a, sizeof(*w));
	if (!w)
		return NULL;
	link__near__init(w);
	w->name = arena_dup(q->a, name, strlen(name) + 1);
	w->at = arena_dup(q->a, at, strlen(at) + 1);
	w->blob = arena_alloc(q->a, TICKET_BLOBS_MAX * sizeof(*w->blob));
	w->coming = arena_alloc(q->a, TICKET_BLOBS_MAX * sizeof(*w->coming));
	if (!w->name || !w->at || !w->blob || !w->coming)
		return NULL;
	q->near[q->n_near++] = w;
	return w;
}

/* On a site that is not the hub's, all that begin at once get it from the one that was sent for it first. */
static void add_first(struct asked *q, const uint8_t digest[32], uint32_t blob)
{
	struct near *n = q->k->near;
	const uint64_t key = sched_label_key("site"), now = round_now_ns(q->k->n),
	               site = sched_label(sched_of(q), q->node, key);
	struct first *f = NULL;
	struct link_view v;
	const struct link_here *h;
	Link__Near *w;

	if (!site || site == sched_label(sched_of(q), 1, key))
		return;
	for (uint32_t i = 0; i < FIRSTS && i < n->n_first && !f; i++)
		if (n->first[i].site == site && memcmp(n->first[i].digest, digest, 32) == 0)
			f = &n->first[i];
	h = f && f->node != q->node && now - f->since_ns < FIRST_NS ? links_child_at(q->k, f->node) : NULL;
	if (h)
		link_look(h->end, &v);
	if (h && v.state == LINK_UP && v.at[0]) {
		w = near_of(q, h->name, v.at);
		if (w)
			w->coming[w->n_coming++] = blob;
		q->any = q->any || w;
		return;
	}
	f = f ? f : &n->first[n->n_first++ % FIRSTS];
	*f = (struct first){.site = site, .since_ns = now, .node = q->node};
	memcpy(f->digest, digest, 32);
}

/* Those of the child's own site first: of others only where there are none. */
static void add_holders(struct asked *q, const uint8_t digest[32], uint32_t blob)
{
	const uint64_t site = sched_label_key("site");
	uint32_t who[HOLDERS_MAX], n = sched_holders(sched_of(q), sched_blob(digest), who, HOLDERS_MAX),
	                           found = 0;

	for (uint32_t pass = 0; pass < 2 && !found; pass++)
		for (uint32_t i = 0; i < n; i++) {
			const struct link_here *h = links_child_at(q->k, who[i]);
			bool here = sched_label(sched_of(q), who[i], site) ==
			            sched_label(sched_of(q), q->node, site);
			struct link_view v;
			Link__Near *w;

			if (!h || who[i] == q->node || here == (pass == 1))
				continue;
			link_look(h->end, &v);
			if (v.state != LINK_UP || !v.at[0] || !link_holds(h->end, digest))
				continue;
			w = near_of(q, h->name, v.at);
			if (!w)
				continue;
			w->blob[w->n_blob++] = blob;
			found++;
		}
	q->any = q->any || found;
	if (!found)
		add_first(q, digest, blob);
}

static void ask_for(void *ctx, const uint8_t digest[32], uint64_t bytes)
{
	struct asked *q = ctx;

	if (bytes < NEAR_LEAST || bytes == UINT64_MAX || q->t.n == TICKET_BLOBS_MAX)
		return;
	for (uint32_t i = 0; i < q->t.n; i++)
		if (memcmp(q->t.blob[i], digest, 32) == 0)
			return;
	memcpy(q->t.blob[q->t.n++], digest, 32);
	add_holders(q, digest, q->t.n - 1);
}

static bool asked_begin(struct asked *q, struct links *k, uint32_t node, struct arena *a)
{
	*q = (struct asked){.k = k, .node = node, .a = a};
	q->near = arena_calloc(a, FRAME_NEAR_MAX, sizeof(*q->near));
	return q->near && links_child_at(k, node) && hub_is(k->n);
}

/* The ticket for all that was asked for; empty where nobody has any of it. */
static ProtobufCBinaryData asked_end(struct asked *q)
{
	uint8_t *bytes = arena_alloc(q->a, TICKET_BYTES_MAX);
	size_t n;

	if (!q->any || !bytes) {
		q->n_near = 0;
		return (ProtobufCBinaryData){0, NULL};
	}
	(void)snprintf(q->t.hub, sizeof(q->t.hub), "%s", hub_settings(q->k->n)->name);
	(void)snprintf(q->t.node, sizeof(q->t.node), "%s", links_child_at(q->k, q->node)->name);
	q->t.expires_s = clock_wall_ns() / 1000000000u + TICKET_LIFE_S;
	n = ticket_write(&q->t, bytes);
	hub_sign(q->k->n, bytes, n, bytes + n);
	return (ProtobufCBinaryData){n + TICKET_SIG, bytes};
}

void links_near(
        void *ctx, const struct lease_view *l, const Wire__JobSpec *granted, struct arena *a, Link__Grant *m)
{
	struct asked q;

	if (!asked_begin(&q, ctx, l->node, a))
		return;
	links_files_of(granted, ask_for, &q);
	m->ticket = asked_end(&q);
	m->near = q.near;
	m->n_near = q.n_near;
}

void links_ahead_near(void *ctx, uint32_t node, struct arena *a, Link__Ahead *m)
{
	struct asked q;

	if (!asked_begin(&q, ctx, node, a))
		return;
	for (size_t i = 0; i < m->n_file; i++)
		ask_for(&q, m->file[i]->sha256.data, m->file[i]->bytes);
	m->ticket = asked_end(&q);
	m->near = q.near;
	m->n_near = q.n_near;
}

/* ---- as a node: a grant that says who has it ---- */

struct granted_near {
	char ticket[TICKET_BYTES_MAX * 4 / 3 + 8];
	struct ticket t;
	uint32_t n;
	struct {
		char name[FRAME_NAME_MAX + 1], at[FRAME_AT_MAX + 1];
		uint32_t blobs, coming; /* a bit for each of the ticket's */
	} near[FRAME_NEAR_MAX];
};

struct granted_near *links_near_read(
        const ProtobufCBinaryData *ticket, Link__Near *const *near, size_t n_near)
{
	struct granted_near *g;
	size_t n_signed;
	struct err e;

	if (n_near == 0 || n_near > FRAME_NEAR_MAX)
		return NULL;
	g = calloc(1, sizeof(*g));
	CHECK(g);
	if (ticket_read(ticket->data, ticket->len, &g->t, &n_signed, &e) < 0) {
		free(g);
		return NULL;
	}
	g->ticket[base64_write(ticket->data, ticket->len, g->ticket)] = '\0';
	for (size_t i = 0; i < n_near; i++, g->n++) {
		(void)snprintf(g->near[i].name, sizeof(g->near[i].name), "%s", near[i]->name);
		(void)snprintf(g->near[i].at, sizeof(g->near[i].at), "%s", near[i]->at);
		for (size_t j = 0; j < near[i]->n_blob; j++)
			g->near[i].blobs |= 1u << (near[i]->blob[j] % TICKET_BLOBS_MAX);
		for (size_t j = 0; j < near[i]->n_coming; j++)
			g->near[i].coming |= 1u << (near[i]->coming[j] % TICKET_BLOBS_MAX);
	}
	return g;
}

void links_granted(void *ctx, const Link__Grant *m)
{
	struct links *k = ctx;

	links_near_drop(k->granted);
	k->granted = links_near_read(&m->ticket, m->near, m->n_near);
}

void links_near_drop(struct granted_near *g)
{
	free(g);
}

void links_near_get(struct links *k, const struct granted_near *g, const uint8_t digest[32], uint64_t bytes,
        enum carrier_haste haste, carrier_blob_fn fn, void *ctx)
{
	struct carrier_near near[FRAME_NEAR_MAX];
	unsigned n = 0;
	uint32_t i = 0;

	while (g && i < g->t.n && memcmp(g->t.blob[i], digest, 32) != 0)
		i++;
	for (uint32_t w = 0; g && i < g->t.n && w < g->n; w++)
		if ((g->near[w].blobs | g->near[w].coming) & 1u << i)
			near[n++] = (struct carrier_near){
			        g->near[w].name, g->near[w].at, .coming = (g->near[w].blobs & 1u << i) == 0};
	carrier_get_near(k->n, digest, bytes, near, n, n ? g->ticket : NULL, haste, fn, ctx);
}
