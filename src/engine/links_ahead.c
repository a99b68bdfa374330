/* SPDX-License-Identifier: Apache-2.0 */
/*
 * links_ahead - files that the hub thinks this node may need next, fetched while nothing else is (core/link_ahead.c says which).
 *
 * One at a time, and only while no other blob is on its way; one that is needed goes first, and what came of the other stays for later. A
 * lease that needs a file which is on its way waits for that. Nothing is fetched ahead over a link with a budget or a cost, nor when a quarter
 * of the store, or AHEAD_FREE of the disk, would not stay free: so nothing has to go for it. What has come is told as held, and is as old as
 * any file that was used now. The list is the hub's, whole each time, in memory alone.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/carrier.h"
#include "engine/links_int.h"
#include "io/blobs.h"

#define AHEAD_FREE (1ull << 30)

struct wanted {
	uint8_t digest[32];
	uint64_t bytes;
	bool over; /* it is here, or could not be fetched: no more of it before the hub says another list */
};

struct ahead {
	struct links *k;
	uint32_t n;
	struct wanted v[FRAME_AHEAD_MAX];
	struct granted_near *near;
	struct wanted now; /* what is fetched; bytes 0: nothing */
};

static bool may(const struct links *k)
{
	const struct config_link *l = &k->n->config.link;
	struct link_view v;

	if (!k->parent || links_deaf(k) || l->bytes || l->cost)
		return false;
	link_look(k->parent->end, &v);
	return v.state == LINK_UP && carrier_quiet(k->n);
}

static bool has_room(const struct links *k, uint64_t bytes)
{
	uint64_t coming = bytes > UINT64_MAX - AHEAD_FREE ? UINT64_MAX : bytes + AHEAD_FREE;

	return blobs_room(k->n->blobs, bytes, k->n->config.blobs_bytes / 4, coming, NULL) == 0;
}

static void go(void *ctx);

static void on_got(void *ctx, const struct err *e)
{
	struct ahead *a = ctx;
	const struct wanted was = a->now;

	a->now.bytes = 0;
	for (uint32_t i = 0; i < a->n; i++)
		if (memcmp(a->v[i].digest, was.digest, 32) == 0)
			a->v[i].over = !e || e->code != ERR_FENCED; /* that gave way: later */
	if (!e)
		links_near_used(a->k, was.digest, was.bytes);
	go(a);
}

/* The next one, if there is nothing better to do. */
static void go(void *ctx)
{
	struct ahead *a = ctx;
	struct links *k = a->k;

	for (uint32_t i = 0; i < a->n && !a->now.bytes; i++) {
		struct wanted *w = &a->v[i];

		if (w->over)
			continue;
		if (!may(k))
			return;
		w->over = true;
		if (blobs_has(k->n->blobs, w->digest, NULL)) {
			blobs_touch(k->n->blobs, w->digest);
			links_near_used(k, w->digest, w->bytes);
		} else if (has_room(k, w->bytes)) {
			w->over = false;
			a->now = *w;
			links_near_expect(k, w->digest);
			links_near_get(k, a->near, w->digest, w->bytes, CARRIER_IDLY, on_got, a);
		}
	}
}

static bool is_listed(const struct ahead *a, const uint8_t *digest)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (memcmp(a->v[i].digest, digest, 32) == 0)
			return true;
	return false;
}

void links_ahead(void *ctx, const Link__Ahead *m)
{
	struct links *k = ctx;
	struct ahead *a = k->ahead;

	CHECK(m->n_file <= FRAME_AHEAD_MAX); /* frame_decode() */
	a->n = 0;
	for (size_t i = 0; i < m->n_file; i++) {
		if (is_listed(a, m->file[i]->sha256.data))
			continue;
		a->v[a->n] = (struct wanted){.bytes = m->file[i]->bytes};
		memcpy(a->v[a->n++].digest, m->file[i]->sha256.data, 32);
	}
	links_near_drop(a->near);
	a->near = links_near_read(&m->ticket, m->near, m->n_near);
	if (a->now.bytes && !is_listed(a, a->now.digest))
		carrier_drop(k->n, a->now.digest);
	carrier_on_quiet(k->n, go, a);
	go(a);
}

void links_ahead_init(struct links *k)
{
	k->ahead = calloc(1, sizeof(*k->ahead));
	CHECK(k->ahead);
	k->ahead->k = k;
}

void links_ahead_free(struct links *k)
{
	carrier_on_quiet(k->n, NULL, NULL);
	links_near_drop(k->ahead->near);
	free(k->ahead);
	k->ahead = NULL;
}
