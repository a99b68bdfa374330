/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parent_doubt - a node that its hub has shut out hears of it; see parent.h.
 *
 * Who was removed is cut off, or is heard no more and hears nothing: on a link that has nothing to say that looks like an idle one. So it asks,
 * by POST /v1/hub/me with its certificate, when there is a reason to doubt; an answer without a word of removal takes it back.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "engine/carrier.h"
#include "engine/node_int.h"
#include "engine/parent.h"

#define ASK_MIN_MS 10000u
#define ASK_MAX_MS 600000u

struct parent_doubt {
	struct node *node;
	uv_timer_t timer;
	bool waits, asking; /* the timer goes off; the carrier has been asked */
	uint64_t asked_ms, pause_ms;
	bool removed;
	char why[240];
};

static struct parent_doubt *doubt_of(struct node *n)
{
	struct parent_doubt *d = n->doubt;

	if (d)
		return d;
	d = calloc(1, sizeof(*d));
	CHECK(d && uv_timer_init(&n->loop, &d->timer) == 0);
	uv_unref((uv_handle_t *)&d->timer);
	d->node = n;
	d->timer.data = d;
	d->pause_ms = ASK_MIN_MS;
	n->doubt = d;
	return d;
}

const char *parent_removed(const struct node *n)
{
	return parent_is(n) && n->doubt && n->doubt->removed ? n->doubt->why : NULL;
}

void parent_told(struct node *n, const struct err *e)
{
	struct parent_doubt *d = n->doubt;
	bool was = d && d->removed;

	if (e && e->code != ERR_REMOVED)
		return;
	if (e) {
		d = doubt_of(n);
		d->removed = true;
		(void)snprintf(d->why, sizeof(d->why), "%s", e->msg);
		if (!was)
			(void)fprintf(stderr, "osier: this node was removed by its hub: %s; %s\n", e->msg,
			        PARENT_REMOVED_HINT);
	} else if (d) {
		d->removed = false;
	}
	if (was && !e)
		(void)fprintf(stderr, "osier: the hub knows this node again\n");
}

static void ask(struct parent_doubt *d);

static void on_timer(uv_timer_t *t)
{
	struct parent_doubt *d = t->data;

	d->waits = false;
	if (parent_is(d->node) && !d->node->stopping)
		ask(d);
}

static void ask_in(struct parent_doubt *d, uint64_t ms)
{
	if (d->waits)
		return;
	d->waits = true;
	(void)uv_timer_start(&d->timer, on_timer, ms, 0);
}

static void on_answer(void *ctx, const struct err *why, const json_t *answer)
{
	struct parent_doubt *d = ctx;

	(void)answer;
	d->asking = false;
	if (d->node->stopping || !parent_is(d->node))
		return;
	parent_told(d->node, why);
	if (why && (why->code == ERR_CLOSED || why->code == ERR_TIMEOUT)) { /* nobody was there to say it */
		ask_in(d, d->pause_ms);
		d->pause_ms = d->pause_ms > ASK_MAX_MS / 2 ? ASK_MAX_MS : 2 * d->pause_ms;
	} else {
		d->pause_ms = ASK_MIN_MS;
	}
}

static void ask(struct parent_doubt *d)
{
	const char *dir = parent_dir(d->node);

	d->asking = true;
	d->asked_ms = clock_mono_ns() / 1000000u;
	carrier_ask(d->node,
	        json_pack("{s:s, s:s, s:s, s:{}, s:{s:s+, s:s+, s:s+}}", "do", "post", "origin",
	                parent_origin(d->node), "path", "/v1/hub/me", "body", "self", "ca", dir, "/ca.crt",
	                "cert", dir, "/client.crt", "key", dir, "/client.key"),
	        on_answer, d);
}

void parent_doubt(struct node *n)
{
	struct parent_doubt *d;
	uint64_t now = clock_mono_ns() / 1000000u;

	if (!parent_is(n) || n->stopping || n->read_only)
		return;
	d = doubt_of(n);
	if (d->asking)
		return;
	if (d->asked_ms == 0 || now - d->asked_ms >= ASK_MIN_MS)
		ask(d);
	else
		ask_in(d, ASK_MIN_MS - (now - d->asked_ms));
}

void parent_doubt_close(struct node *n)
{
	free(n->doubt);
	n->doubt = NULL;
}
