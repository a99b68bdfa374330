/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger - publishes the journal: signs what was run, and the heads of the log.
 *
 * A pass runs in a thread of the pool: it reads back and hashes what became durable since the last one, signs the head
 * (io/logstore), and gathers the results that no receipt covers yet. Their Receipts become an entry here, which the next pass
 * publishes. Passes come at a steady pace while there is something new, and not at all when there is not: two after the last
 * entry of a job, and then an idle node sleeps.
 * The keys lie in STATE/keys; who speaks with which is an entry (KeySet). When publishing fails, the node goes on: it runs
 * jobs, signs nothing, and says so.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/check.h"
#include "core/policy.h"
#include "engine/fabric.h"
#include "engine/ledger_int.h"
#include "engine/witness.h"
#include "io/ed25519.h"
#include "io/keys.h"
#include "io/logstore.h"

#define PACE_MS  1000u
#define PASS_MAX 65536u /* entries in one pass: so that a long journal is published in steps that end */
#define RETRY_MS 30000u

/* ---- passes ---- */

static void arm(struct ledger *l, uint64_t ms);

static void pass_work(uv_work_t *w)
{
	struct ledger *l = w->data;

	l->made = NULL;
	l->ok = logstore_publish_by(l->store, l->to, clock_wall_ns() / 1000000000u, l->ring.log, l->keys_n,
	                &l->why) == 0 &&
	        (!l->node_key || logstore_receipts(l->store, l->node_key, &l->made, &l->why) == 0);
}

/* Whoever waited for what is published now. */
static void serve(struct ledger *l)
{
	struct ledger_wait **p = &l->waits;

	while (*p) {
		struct ledger_wait *w = *p;

		if (!l->failed && (l->published < w->size || l->receipts || l->pending)) {
			p = &w->next;
			continue;
		}
		*p = w->next;
		w->fn(w->ctx, l->failed ? &l->why : NULL);
		free(w);
	}
}

/* Whoever watches for a head that is there now. */
static void show(struct ledger *l)
{
	struct ledger_watch **p = &l->watches;

	while (*p) {
		struct ledger_watch *w = *p;

		if (l->published < w->size) {
			p = &w->next;
			continue;
		}
		*p = w->next;
		w->fn(w->ctx, NULL);
		free(w);
	}
}

static void add_receipts(struct ledger *l)
{
	struct command cmd = {.kind = CMD_RECEIPTS, .u.receipts = l->made};

	l->pending = l->made != NULL;
	if (!l->made || l->receipts)
		return;
	/* Signed with a key that speaks no more since: the next pass signs them again. */
	if (l->node_key != ledger_node_key(l))
		return;
	round_command(l->node, &cmd, NULL, 0, NULL);
	l->receipts = l->node->size;
	l->pending = l->made->n_results == RECEIPTS_MAX; /* then there may be more */
}

static void pass_done(uv_work_t *w, int status)
{
	struct ledger *l = w->data;

	(void)status;
	l->busy = false;
	if (l->closing)
		return;
	if (!l->ok) {
		if (!l->failed)
			(void)fprintf(stderr, "osier: the ledger is not published: %s\n", l->why.msg);
		l->failed = true;
		serve(l);
		arm(l, RETRY_MS);
		return;
	}
	l->failed = false;
	l->published = l->to;
	if (l->receipts && l->published >= l->receipts)
		l->receipts = 0;
	add_receipts(l);
	if (!l->keys_told) {
		ledger_tell_keys(l);
		l->pending = true; /* what was run is signed once it is known by whom */
	}
	if (l->tidy_size && l->published >= l->tidy_size)
		ledger_tidy_keys(l);
	witnesses_rekey(l->node);
	messenger_look(l->node);
	serve(l);
	show(l);
	ledger_note(l->node);
	fabric_look(l->node);
}

static void on_timer(uv_timer_t *t)
{
	struct ledger *l = t->data;
	uint64_t durable = journal_durable(l->node->journal);

	l->armed = false;
	if (l->busy || l->closing || l->node->broken)
		return;
	l->keys_n = l->ring.logs;
	l->node_key = l->keys_told ? ledger_node_key(l) : NULL;
	l->to = durable - l->published > PASS_MAX ? l->published + PASS_MAX : durable;
	l->to = logstore_next(l->store, l->to);
	l->work.data = l;
	l->busy = true;
	CHECK(uv_queue_work(&l->node->loop, &l->work, pass_work, pass_done) == 0);
}

static void arm(struct ledger *l, uint64_t ms)
{
	if (l->armed || l->busy || l->closing)
		return;
	l->armed = true;
	uv_update_time(&l->node->loop);
	(void)uv_timer_start(&l->timer, on_timer, ms, 0);
}

void ledger_note(struct node *n)
{
	struct ledger *l = n->ledger;
	uint64_t durable;

	if (!l || l->closing || l->busy || l->armed)
		return;
	durable = journal_durable(n->journal);
	if (l->receipts && durable < l->receipts)
		return; /* it will be told */
	if (durable > l->published || l->pending)
		arm(l, l->waits || durable - l->published > PASS_MAX ? 0 : l->failed ? RETRY_MS : PACE_MS);
}

void ledger_flush(struct node *n, ledger_fn fn, void *ctx)
{
	uint64_t size = journal_durable(n->journal);

	/* What the node says of its keys is part of it, also where it is on its way to the disk. */
	ledger_flush_to(n, n->ledger->tidy_size > size ? n->ledger->tidy_size : size, fn, ctx);
}

void ledger_flush_to(struct node *n, uint64_t size, ledger_fn fn, void *ctx)
{
	struct ledger *l = n->ledger;
	struct ledger_wait *w = calloc(1, sizeof(*w));

	CHECK(w && l);
	*w = (struct ledger_wait){.next = l->waits, .size = size, .fn = fn, .ctx = ctx};
	l->waits = w;
	if (l->armed) {
		(void)uv_timer_stop(&l->timer);
		l->armed = false;
	}
	arm(l, 0);
}

struct ledger_watch *ledger_watch(struct node *n, uint64_t size, ledger_fn fn, void *ctx)
{
	struct ledger_watch *w;

	if (!n->ledger || n->ledger->closing)
		return NULL;
	w = calloc(1, sizeof(*w));
	CHECK(w);
	*w = (struct ledger_watch){
	        .next = n->ledger->watches, .ledger = n->ledger, .size = size, .fn = fn, .ctx = ctx};
	n->ledger->watches = w;
	return w;
}

void ledger_unwatch(struct ledger_watch *w)
{
	struct ledger_watch **p;

	if (!w)
		return;
	for (p = &w->ledger->watches; *p != w; p = &(*p)->next)
		;
	*p = w->next;
	free(w);
}

void ledger_status(const struct node *n, struct ledger_status *out)
{
	const struct ledger *l = n->ledger;

	memset(out, 0, sizeof(*out));
	if (!l || l->closing)
		return;
	out->on = true;
	out->published = l->published;
	out->failed = l->failed;
	(void)snprintf(out->why, sizeof(out->why), "%s", l->failed ? l->why.msg : "");
}

int ledger_open_witness(struct node *n, struct err *e)
{
	char name[NOTE_NAME_MAX + 1], *secret;
	int rc;

	if (snprintf(name, sizeof(name), "%s/witness", n->ledger->ring.log[0].pub.name) >= (int)sizeof(name))
		return err_set(e, ERR_INVALID, "the log's origin is too long");
	secret = key_passphrase();
	rc = witness_open(n->state_dir, n->config.witness, name, secret, &n->witness, e);
	if (secret) {
		explicit_bzero(secret, strlen(secret));
		free(secret);
	}
	return rc;
}

int ledger_init(struct node *n, struct err *e)
{
	struct ledger *l = calloc(1, sizeof(*l));
	struct log_head head;

	CHECK(l);
	l->node = n;
	n->ledger = l;
	CHECK(uv_timer_init(&n->loop, &l->timer) == 0);
	l->timer.data = l;
	l->timer_open = true;
	if (ledger_open_keys(l, e) < 0 ||
	        logstore_open(n->state_dir, l->ring.log[0].pub.name, false, &l->store, e) < 0 ||
	        logstore_head(l->store, &head, e) < 0)
		return -1;
	l->published = head.note_n ? head.size : 0;
	l->found = journal_durable(n->journal);
	l->pending = true;
	ledger_note(n);
	return 0;
}

void ledger_stop(struct node *n)
{
	struct ledger *l = n->ledger;

	if (!l)
		return;
	l->closing = true;
	if (l->timer_open && !uv_is_closing((uv_handle_t *)&l->timer))
		uv_close((uv_handle_t *)&l->timer, NULL);
}

void ledger_close(struct node *n)
{
	struct ledger *l = n->ledger;
	struct err closed;

	if (!l)
		return;
	(void)err_set(&closed, ERR_CLOSED, "the node is stopping");
	while (l->waits) {
		struct ledger_wait *w = l->waits;

		l->waits = w->next;
		w->fn(w->ctx, &closed);
		free(w);
	}
	while (l->watches)
		ledger_unwatch(l->watches);
	logstore_close(l->store);
	ledger_forget_keys(l);
	free(l);
	n->ledger = NULL;
}
