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
#include "engine/node_int.h"
#include "engine/witness.h"
#include "io/ed25519.h"
#include "io/ethkey.h"
#include "io/keys.h"
#include "io/logstore.h"

#define PACE_MS  1000u
#define PASS_MAX 65536u /* entries in one pass: so that a long journal is published in steps that end */
#define RETRY_MS 30000u

struct ledger_wait {
	struct ledger_wait *next;
	uint64_t size; /* called when that many entries are published, and no result is without a receipt */
	ledger_fn fn;
	void *ctx;
};

struct ledger_watch {
	struct ledger_watch *next;
	struct ledger *ledger;
	uint64_t size; /* called when that many entries are published */
	ledger_fn fn;
	void *ctx;
};

struct ledger {
	struct node *node;
	struct logstore *store; /* of the thread of the pool while busy, else of the loop */
	struct key log_key, node_key;
	uv_timer_t timer;
	uv_work_t work;
	bool timer_open, armed, busy, closing, failed, keys_told, keys_known, witness_known, anchor_known;
	char anchor[EVM_ADDRESS_TEXT]; /* the account that anchors heads; "": none */
	uint64_t published;            /* entries under the last head */
	uint64_t receipts; /* published + 1 of the Receipts entry that is not yet published; 0: none */
	bool pending;      /* results without a receipt are known of */
	struct ledger_wait *waits;
	struct ledger_watch *watches;
	/* of the pass under way */
	uint64_t to;
	const Wire__Receipts *made;
	struct err why;
	bool ok;
};

/* ---- keys ---- */

static int open_key(const char *dir, const char *file, const char *name, const char *secret, struct key *out,
        struct err *e)
{
	char path[4096 + 32];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	if (key_load(path, secret, out, e) == 0)
		return 0;
	return e->code == ERR_NOTFOUND ? key_create(path, name, NOTE_ED25519, secret, out, e) : -1;
}

/* The log's name for life: the node's, made one of a kind. A configuration may name another before the first start. */
static void make_origin(const struct node *n, char out[NOTE_NAME_MAX + 1])
{
	uint8_t r[4];

	if (n->config.origin[0]) {
		(void)snprintf(out, NOTE_NAME_MAX + 1, "%s", n->config.origin);
		return;
	}
	CHECK(getrandom(r, sizeof(r), 0) == sizeof(r));
	(void)snprintf(out, NOTE_NAME_MAX + 1, "%s/osier-%02x%02x%02x%02x", n->name, r[0], r[1], r[2], r[3]);
}

/* The account that pays for anchors, when the configuration names a chain. Only told of here: the messenger uses it. */
static int open_account(struct ledger *l, const char *dir, const char *secret, struct err *e)
{
	const struct config *c = &l->node->config;
	char path[4096 + 32];
	uint8_t account[20];
	bool chain = false;

	for (size_t i = 0; i < c->n_anchors; i++)
		chain = chain || c->anchors[i].kind == CONFIG_CHAIN;
	if (!chain)
		return 0;
	(void)snprintf(path, sizeof(path), "%s/anchor.key", dir);
	if (ethkey_open_account(path, secret, account, e) < 0)
		return -1;
	evm_address_print(account, l->anchor);
	return 0;
}

static int open_keys(struct ledger *l, struct err *e)
{
	struct node *n = l->node;
	char dir[4096], origin[NOTE_NAME_MAX + 1], name[NOTE_NAME_MAX + 1], *secret;
	int rc;

	if (snprintf(dir, sizeof(dir), "%s/keys", n->state_dir) >= (int)sizeof(dir))
		return err_set(e, ERR_INVALID, "the state folder's name is too long");
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "cannot make '%.200s'", dir);
	secret = key_passphrase();
	make_origin(n, origin);
	rc = open_key(dir, "log.key", origin, secret, &l->log_key, e);
	if (rc == 0 && n->config.origin[0] && strcmp(l->log_key.pub.name, n->config.origin) != 0) {
		(void)err_set(e, ERR_EXISTS, "the log is '%.90s', and config.yaml says '%.90s'",
		        l->log_key.pub.name, n->config.origin);
		rc = err_hint(e, "a log keeps its origin for life: put the old one back");
	}
	if (rc == 0) {
		if (snprintf(name, sizeof(name), "%s/node", l->log_key.pub.name) >= (int)sizeof(name))
			rc = err_set(e, ERR_INVALID, "the log's origin is too long");
		else
			rc = open_key(dir, "node.key", name, secret, &l->node_key, e);
	}
	if (rc == 0)
		rc = open_account(l, dir, secret, e);
	if (secret) {
		explicit_bzero(secret, strlen(secret));
		free(secret);
	}
	return rc;
}

static int find_key(void *ctx, uint64_t seq, Wire__KeySet__Role role, Wire__KeySet__State state,
        const char *vkey, const char *reason)
{
	struct ledger *l = ctx;
	char own[NOTE_VKEY_MAX];

	(void)seq;
	(void)reason;
	if (role == WIRE__KEY_SET__ROLE__WITNESS && l->node->witness) {
		witness_vkey(l->node->witness, own);
		l->witness_known |= state == WIRE__KEY_SET__STATE__ADDED && strcmp(vkey, own) == 0;
		return 0;
	}
	if (role == WIRE__KEY_SET__ROLE__ANCHOR)
		l->anchor_known |= state == WIRE__KEY_SET__STATE__ADDED && strcmp(vkey, l->anchor) == 0;
	note_key_print(&l->log_key.pub, own);
	if (role == WIRE__KEY_SET__ROLE__LOG && state == WIRE__KEY_SET__STATE__ADDED &&
	        strcmp(vkey, own) == 0)
		l->keys_known = true;
	return 0;
}

static void tell_vkey(struct ledger *l, Wire__KeySet__Role role, char *vkey)
{
	Wire__KeySet m = WIRE__KEY_SET__INIT;
	struct command cmd = {.kind = CMD_KEY_SET, .u.key_set = &m};

	m.role = role;
	m.vkey = vkey;
	m.reason = (char *)"made by the node";
	round_command(l->node, &cmd, NULL, 0, NULL);
}

static void tell_key(struct ledger *l, Wire__KeySet__Role role, const struct note_key *k)
{
	char vkey[NOTE_VKEY_MAX];

	note_key_print(k, vkey);
	tell_vkey(l, role, vkey);
}

/* Once the log was read: is it written down with which keys this node speaks? */
static void tell_keys(struct ledger *l)
{
	char vkey[NOTE_VKEY_MAX];

	if (l->keys_told || l->published < journal_durable(l->node->journal))
		return;
	l->keys_told = true;
	if (logstore_keys(l->store, find_key, l, NULL) < 0)
		return;
	if (!l->keys_known) {
		tell_key(l, WIRE__KEY_SET__ROLE__LOG, &l->log_key.pub);
		tell_key(l, WIRE__KEY_SET__ROLE__NODE, &l->node_key.pub);
	}
	if (l->node->witness && !l->witness_known) {
		witness_vkey(l->node->witness, vkey);
		tell_vkey(l, WIRE__KEY_SET__ROLE__WITNESS, vkey);
	}
	if (l->anchor[0] && !l->anchor_known)
		tell_vkey(l, WIRE__KEY_SET__ROLE__ANCHOR, l->anchor);
	/* Who waits for a publishing may want to know who signed: that is part of it. */
	for (struct ledger_wait *w = l->waits; w; w = w->next)
		w->size = l->node->size;
}

/* ---- passes ---- */

static void arm(struct ledger *l, uint64_t ms);

static void pass_work(uv_work_t *w)
{
	struct ledger *l = w->data;

	l->made = NULL;
	l->ok = logstore_publish(l->store, l->to, clock_wall_ns() / 1000000000u, &l->log_key, &l->why) == 0 &&
	        logstore_receipts(l->store, &l->node_key, &l->made, &l->why) == 0;
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
	tell_keys(l);
	serve(l);
	show(l);
	ledger_note(l->node);
}

static void on_timer(uv_timer_t *t)
{
	struct ledger *l = t->data;
	uint64_t durable = journal_durable(l->node->journal);

	l->armed = false;
	if (l->busy || l->closing || l->node->broken)
		return;
	l->to = durable - l->published > PASS_MAX ? l->published + PASS_MAX : durable;
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
	struct ledger *l = n->ledger;
	struct ledger_wait *w = calloc(1, sizeof(*w));

	CHECK(w && l);
	*w = (struct ledger_wait){
	        .next = l->waits, .size = journal_durable(n->journal), .fn = fn, .ctx = ctx};
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

static int no_ledger(struct err *e)
{
	(void)err_set(e, ERR_CLOSED, "this node signs nothing: it only looks, or its ledger is off");
	return err_hint(e, "'osier up' starts a node, 'osier doctor' says what is wrong with one");
}

int ledger_sign(
        struct node *n, const void *msg, size_t len, uint8_t sig[64], struct note_key *out, struct err *e)
{
	struct ledger *l = n->ledger;

	if (!l || l->closing || !l->store)
		return no_ledger(e);
	ed25519_sign(l->node_key.seed, msg, len, sig);
	*out = l->node_key.pub;
	return 0;
}

int ledger_log_keys(struct node *n, struct policy *p, struct err *e)
{
	struct ledger *l = n->ledger;

	if (!l || l->closing || !l->store)
		return no_ledger(e);
	p->log[p->logs++].key = l->log_key.pub;
	return 0;
}

void ledger_vkey(const struct node *n, char out[NOTE_VKEY_MAX])
{
	note_key_print(&n->ledger->log_key.pub, out);
}

int ledger_open_witness(struct node *n, struct err *e)
{
	char name[NOTE_NAME_MAX + 1], *secret;
	int rc;

	if (snprintf(name, sizeof(name), "%s/witness", n->ledger->log_key.pub.name) >= (int)sizeof(name))
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
	if (open_keys(l, e) < 0 ||
	        logstore_open(n->state_dir, l->log_key.pub.name, false, &l->store, e) < 0 ||
	        logstore_head(l->store, &head, e) < 0)
		return -1;
	l->published = head.note_n ? head.size : 0;
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
	key_forget(&l->log_key);
	key_forget(&l->node_key);
	free(l);
	n->ledger = NULL;
}
