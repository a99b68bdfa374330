/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_command - a request that waits for commands to become durable.
 *
 * The callback of node_command() may come within the call (refused at once), later, or after the request is gone (the
 * node is stopping); so what it is given outlives the request. Invariant: freed when no answer is awaited and no request
 * looks at it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/api_int.h"

struct one {
	struct request *q; /* NULL: gone */
	job_id subject;
	void (*done)(struct request *q, const struct node_answer *a);
	bool awaited;
};

static void one_free(void *own)
{
	struct one *w = own;

	w->q = NULL;
	if (!w->awaited)
		free(w);
}

job_id request_subject(const struct request *q)
{
	const struct one *w = q->own;

	return w->subject;
}

static void on_settled(struct request *q, const struct node_answer *a);

static void on_answer(void *ctx, const struct node_answer *a)
{
	struct one *w = ctx;

	w->awaited = false;
	if (!w->q)
		free(w);
	else if (!w->q->response || w->done == on_settled)
		w->done(w->q, a);
}

void request_command(struct request *q, const struct command *c, job_id subject,
        void (*done)(struct request *q, const struct node_answer *a))
{
	struct one *w = calloc(1, sizeof(*w));

	CHECK(w && !q->own);
	*w = (struct one){.q = q, .subject = subject, .done = done, .awaited = true};
	q->own = w;
	q->own_free = one_free;
	node_command(q->api->node, c, on_answer, w);
	if (!q->response)
		request_sleep(q);
}

/* ---- waiting without a command ---- */

static void on_settled(struct request *q, const struct node_answer *a)
{
	(void)a; /* also when the node goes down: what it shows is durable, or the journal has failed and with it the node; or the disk
		  * is full, which the node's version tells */
	q->settled = true;
	request_wake(q);
}

bool request_settle(struct request *q)
{
	struct one *w;

	if (q->settled || q->own)
		return false;
	w = calloc(1, sizeof(*w));
	CHECK(w);
	*w = (struct one){.q = q, .done = on_settled, .awaited = true};
	if (!node_settle(q->api->node, SETTLE_SHOW, on_answer, w)) {
		free(w);
		return false;
	}
	q->own = w;
	q->own_free = one_free;
	request_sleep(q);
	return true;
}
