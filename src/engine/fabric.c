/* SPDX-License-Identifier: Apache-2.0 */
/* fabric - see fabric.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"
#include "core/identity.h"
#include "engine/carrier.h"
#include "engine/fabric_int.h"
#include "engine/hub.h"
#include "engine/hub_int.h"
#include "engine/links.h"
#include "engine/node_int.h"
#include "engine/parent.h"

#define S_NS      1000000000ull
#define MS_NS     1000000ull
#define FAILS_MAX 4u /* pauses double so often */
#define TRIES     3u /* for a head that the hub has not published yet */

/* Work of the pool: a node's request, or the hub's answer. */
struct fabric_job {
	uv_work_t work;
	struct fabric *f;
	struct fabric_job *next;
	struct fabric_peer *peer;
	uint8_t id[32];      /* of the peer when it began */
	struct hub_asked *a; /* NULL: it is the hub's answer, or the node stops */
	bool asked;
	json_t *in, *keys;
	char vkey[NOTE_VKEY_MAX], name[CERT_NAME_MAX + 1];
	bool taking, handing, handed;
	struct fabric_take take;
	struct fabric_hand hand;
	struct err why; /* of handing */
	char *head;
	uint64_t head_size;
	char mirror[FABRIC_MIRROR_PATH];
	struct mirrored_seen mirrored; /* what is there */
	bool mirrors;
};

static void on_timer(uv_timer_t *t);
static void on_tell(uv_timer_t *t);
static void ask(struct fabric *f, const char *note, const char *line);

void fabric_init(struct node *n)
{
	struct ledger_status s;
	struct fabric *f;

	ledger_status(n, &s);
	if (!s.on || !n->config.fabric_ns || n->read_only)
		return;
	f = calloc(1, sizeof(*f));
	CHECK(f && uv_timer_init(&n->loop, &f->timer) == 0 && uv_timer_init(&n->loop, &f->tell) == 0);
	f->node = n;
	f->timer.data = f->tell.data = f;
	uv_unref((uv_handle_t *)&f->timer);
	uv_unref((uv_handle_t *)&f->tell);
	fabric_mirror_init(f);
	n->fabric = f;
}

/* The key is made when it is first needed. */
struct witness *fabric_witness(struct fabric *f, struct err *e)
{
	struct node *n = f->node;

	if (n->witness)
		return n->witness;
	if (f->lacks) {
		(void)err_set(e, ERR_CLOSED, "this node cannot be a witness; 'osier doctor' there says why");
		return NULL;
	}
	if (ledger_open_witness(n, e) < 0) {
		f->lacks = true;
		node_notice(n, "no log is witnessed", e);
		return NULL;
	}
	ledger_tell_witness(n);
	return n->witness;
}

static json_t *own_keys(struct node *n, struct err *e)
{
	struct policy *p = calloc(1, sizeof(*p));
	json_t *list = json_array();
	char vkey[NOTE_VKEY_MAX];

	CHECK(p && list);
	if (ledger_log_keys(n, p, e) < 0) {
		json_decref(list);
		list = NULL;
	}
	for (unsigned i = 0; list && i < p->logs; i++) {
		note_key_print(&p->log[i].key, vkey);
		json_array_append_new(list, json_string(vkey));
	}
	free(p);
	return list;
}

/* ---- who is on the other side ---- */

static void show_alarm(struct fabric *f, const struct fabric_peer *p)
{
	char what[CERT_NAME_MAX + 60];
	struct err e;

	(void)err_set(&e, ERR_CORRUPT, "%s", p->alarm);
	(void)err_hint(&e, "the evidence is in %s of the state folder; docs/ledger.md tells what to do",
	        p->evidence[0] ? p->evidence : "no file");
	(void)snprintf(
	        what, sizeof(what), "ALARM: the log of %s '%s'", p->parent ? "the hub" : "the node", p->name);
	node_notice(f->node, what, &e);
	(void)fprintf(stderr, "osier: %s: %s; %s\n", what, e.msg, e.hint);
}

/* Known, or met for the first time; another one under a known name is met for the first time, too. */
struct fabric_peer *fabric_peer_of(
        struct fabric *f, struct fabric_peer **list, bool parent, const char *name, const uint8_t id[32])
{
	struct fabric_peer *p = *list, *next;
	struct witness_seen last;

	while (p && !parent && strcmp(p->name, name) != 0)
		p = p->next;
	if (p && memcmp(p->id, id, 32) == 0)
		return p;
	if (!p) {
		p = calloc(1, sizeof(*p));
		CHECK(p);
		p->next = *list;
		*list = p;
	}
	if (parent) {
		f->their_done = f->our_done = 0;
		fabric_mirror_forget(f);
	}
	next = p->next;
	memset(p, 0, sizeof(*p));
	p->next = next;
	p->parent = parent;
	(void)snprintf(p->name, sizeof(p->name), "%s", name);
	memcpy(p->id, id, 32);
	fabric_load(f->node->state_dir, p);
	if (f->node->witness && p->origin[0] && witness_last_of(f->node->witness, p->origin, &last)) {
		p->theirs = last.last.size;
		p->theirs_s = last.time_s;
	}
	if (p->alarm[0])
		show_alarm(f, p);
	return p;
}

static struct fabric_peer *the_parent(struct fabric *f)
{
	const struct parent_info *i = parent_info(f->node);

	return i ? fabric_peer_of(f, &f->parent, true, i->hub, i->hub_sha256) : NULL;
}

static void save(struct fabric *f, const struct fabric_peer *p)
{
	struct err e;

	if (fabric_save(f->node->state_dir, p, &e) < 0)
		(void)fprintf(stderr, "osier: what is known of the log of '%s' cannot be kept: %s\n", p->name,
		        e.msg);
}

/* ---- what a head of theirs means ---- */

static void alarm_(struct fabric *f, struct fabric_peer *p, const struct fabric_take *t)
{
	bool forked = t->word == FABRIC_FORKED;

	if (p->forked || (!forked && p->alarm[0]))
		return;
	p->forked = forked;
	p->alarm_s = round_now_ns(f->node) / S_NS;
	(void)snprintf(p->evidence, sizeof(p->evidence), "%s", t->evidence);
	if (forked)
		(void)snprintf(p->alarm, sizeof(p->alarm),
		        "it shows two histories: its head of %" PRIu64
		        " entries does not go on from the %" PRIu64 " that were cosigned here",
		        t->size, t->had_size);
	else
		(void)snprintf(p->alarm, sizeof(p->alarm),
		        "it shows %" PRIu64 " entries, and %" PRIu64
		        " were cosigned here: it went back in time, or a copy of it speaks",
		        t->size, t->had_size);
	save(f, p);
	show_alarm(f, p);
}

static void judge(struct fabric *f, struct fabric_peer *p, const struct fabric_take *t)
{
	if (t->agreed && memcmp(&p->keys, &t->said, sizeof(p->keys)) != 0) {
		p->keys = t->said;
		fabric_origin(&p->keys, p->origin);
		save(f, p);
	}
	if (t->word != FABRIC_OLDER)
		p->older = 0;
	switch (t->word) {
	case FABRIC_GROWS:
		p->theirs = t->size;
		p->theirs_s = round_now_ns(f->node) / S_NS;
		if (!p->alarm[0] || p->forked)
			return;
		p->alarm[0] = p->evidence[0] = '\0';
		save(f, p);
		return;
	case FABRIC_OLDER:
		if (++p->older >= FABRIC_OLDER_TIMES)
			alarm_(f, p, t);
		return;
	case FABRIC_FORKED:
		alarm_(f, p, t);
		return;
	case FABRIC_UNCLEAR:
		(void)snprintf(p->error, sizeof(p->error), "its head: %.300s", t->why.msg);
	}
}

/* ---- in the pool, and back ---- */

static void work(uv_work_t *w)
{
	struct fabric_job *j = w->data;
	const struct node *n = j->f->node;
	struct err e;

	if (j->handing)
		j->handed = fabric_hand(&j->hand, &j->why) == 0;
	else if (j->asked)
		j->head = fabric_show(n->state_dir,
		        (uint64_t)json_integer_value(json_object_get(j->in, "cosigned")), &j->head_size,
		        NULL);
	if (j->taking)
		fabric_take(&j->take);
	if (j->mirror[0])
		j->mirrors = mirrored_look(j->mirror, &j->mirrored, &e) == 0 || e.code == ERR_NOTFOUND;
}

static void job_free(struct fabric_job *j)
{
	struct fabric_job **at = &j->f->jobs;

	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	json_decref(j->in);
	json_decref(j->keys);
	free(j->head);
	mirrored_seen_release(&j->mirrored);
	free(j);
}

static struct fabric_job *job_new(struct fabric *f, struct fabric_peer *p, struct witness *w, json_t *in)
{
	struct fabric_job *j = calloc(1, sizeof(*j));
	const struct policy *own = node_witnesses(f->node);

	CHECK(j);
	j->f = f;
	j->peer = p;
	memcpy(j->id, p->id, 32);
	j->in = in;
	j->take.dir = j->hand.dir = f->node->state_dir;
	memcpy(j->name, p->name, sizeof(j->name)); /* the node may join another hub meanwhile */
	j->take.name = j->name;
	j->take.w = w;
	j->take.had = p->keys;
	j->take.keep = !p->forked;
	j->take.mirror = j->mirror;
	j->hand.own = own;
	j->next = f->jobs;
	f->jobs = j;
	j->work.data = j;
	return j;
}

static void take_text(struct fabric_job *j, const char *key)
{
	j->take.request = fabric_text(j->in, key);
	j->take.n = strlen(j->take.request);
	j->taking = j->take.n > 0;
}

static void done_both(struct fabric_job *j)
{
	struct fabric_peer *p = j->peer;

	if (memcmp(p->id, j->id, 32) != 0)
		return;
	p->error[0] = '\0';
	p->mirrored = j->mirrored.size;
	p->mirror_bytes = j->mirrored.bytes;
	if (j->taking)
		judge(j->f, p, &j->take);
	if (j->handed) {
		p->ours = j->hand.size;
		p->ours_s = j->hand.time_s;
		if (strcmp(p->witness, j->hand.vkey) != 0) {
			(void)snprintf(p->witness, sizeof(p->witness), "%s", j->hand.vkey);
			save(j->f, p);
		}
	} else if (j->handing) {
		(void)snprintf(p->error, sizeof(p->error), "its cosignature: %.300s", j->why.msg);
	}
}

/* ---- the hub's side ---- */

void fabric_refuse(struct hub_asked *a, const struct err *e)
{
	char *text = hub_error_text(err_code_name(e->code), e->msg, e->hint);

	hub_listener_answer(a, hub_status(e->code), text, false);
	free(text);
}

static void asked_done(uv_work_t *w, int status)
{
	struct fabric_job *j = w->data;
	const struct witness_reply *r = &j->take.reply;
	char answer[sizeof(r->body) + 1], *text;
	const char *why = j->handing && !j->handed ? j->why.msg : NULL;
	json_t *o;

	(void)status;
	if (!j->f->stopped)
		done_both(j);
	if (j->a) {
		(void)snprintf(answer, sizeof(answer), "%.*s", (int)r->n, r->body);
		if (!why && j->taking && j->take.why.msg[0] && j->take.word == FABRIC_UNCLEAR)
			why = j->take.why.msg;
		o = json_pack("{s:s, s:O, s:s*, s:s*, s:s*}", "witness", j->vkey, "keys", j->keys, "head",
		        j->head, "answer", j->taking ? answer : NULL, "error", why);
		CHECK(o);
		if (j->taking)
			json_object_set_new(o, "status", json_integer((json_int_t)r->status));
		if (j->handed)
			json_object_set_new(o, "handed", json_integer((json_int_t)j->hand.size));
		if (j->mirrors)
			json_object_set_new(o, "mirrored", json_integer((json_int_t)j->mirrored.size));
		text = json_dumps(o, JSON_COMPACT);
		CHECK(text);
		hub_listener_answer(j->a, 200, text, false);
		json_decref(o);
		free(text);
	}
	job_free(j);
}

/* A log has one place: who is not its node shall not speak for it. */
static int of_another(
        struct fabric *f, const struct fabric_peer *p, const struct fabric_keys *said, struct err *e)
{
	char origin[NOTE_NAME_MAX + 1], vkey[NOTE_VKEY_MAX];
	struct note_key own;

	fabric_origin(said, origin);
	ledger_vkey(f->node, vkey);
	if (note_key_parse(vkey, strlen(vkey), &own, NULL) == 0 && strcmp(own.name, origin) == 0)
		return err_set(e, ERR_DENIED, "'%.100s' is the hub's own log", origin);
	for (const struct fabric_peer *q = f->children; q; q = q->next)
		if (q != p && strcmp(q->origin, origin) == 0)
			return err_set(
			        e, ERR_DENIED, "'%.100s' is the log of the node '%s'", origin, q->name);
	return 0;
}

bool fabric_peer_busy(const struct fabric *f, const struct fabric_peer *p)
{
	const struct fabric_job *j = f->jobs;

	while (j && j->peer != p)
		j = j->next;
	return j || p->bringing;
}

static int job_of(struct fabric *f, struct hub_asked *a, struct fabric_job **out, struct err *e)
{
	json_t *in = json_loadb(a->body, a->body_n, JSON_REJECT_DUPLICATES, NULL), *keys;
	struct identity_node v;
	struct fabric_peer *p;
	struct fabric_job *j;
	struct fabric_keys said;
	struct witness *w = fabric_witness(f, e);

	if (!w || !identity_node_named(engine_identity(f->node->engine), a->name, &v) || v.removed) {
		json_decref(in);
		return w ? err_set(e, ERR_DENIED, "'%.63s' is no node of this hub", a->name) : -1;
	}
	p = fabric_peer_of(f, &f->children, false, a->name, v.journal);
	if (fabric_said(in, &said, e) < 0 || of_another(f, p, &said, e) < 0 ||
	        !(keys = own_keys(f->node, e))) {
		json_decref(in);
		return -1;
	}
	if (fabric_peer_busy(f, p)) {
		json_decref(in);
		json_decref(keys);
		return err_set(e, ERR_CLOSED, "what came last of '%s' is still looked at", p->name);
	}
	if (!p->origin[0]) /* it is taken, before its head was looked at */
		fabric_origin(&said, p->origin);
	j = job_new(f, p, w, in);
	j->a = a;
	j->asked = true;
	j->keys = keys;
	j->take.said = said;
	fabric_mirror_path(f->node, p->name, p->origin, j->mirror);
	mirrored_name(p->name, p->origin, p->mirror);
	witness_vkey(w, j->vkey);
	take_text(j, "checkpoint");
	j->hand.vkey = fabric_text(in, "witness");
	j->hand.note = fabric_text(in, "note");
	j->hand.line = fabric_text(in, "line");
	j->handing = *j->hand.note != '\0';
	*out = j;
	return 0;
}

void fabric_ask(struct node *n, struct hub_asked *a)
{
	struct fabric *f = n->fabric;
	struct fabric_job *j = NULL;
	struct err e = {0};

	if (!f || f->stopped)
		(void)err_set(&e, ERR_CLOSED, "this hub cosigns no logs over links: ledger.fabric says no");
	else if (job_of(f, a, &j, &e) == 0) {
		CHECK(uv_queue_work(&n->loop, &j->work, work, asked_done) == 0);
		return;
	}
	fabric_refuse(a, &e);
}

/* Nodes that hear nothing else hear now and then how long the hub's log is. */
static void on_tell(uv_timer_t *t)
{
	struct fabric *f = t->data;
	struct ledger_status s;

	if (f->stopped)
		return;
	ledger_status(f->node, &s);
	f->told = s.published;
	f->told_ns = round_now_ns(f->node);
	links_tell(f->node);
}

static void look_down(struct fabric *f, const struct ledger_status *s)
{
	uint64_t now, due;

	if (!hub_is(f->node) || s->published <= f->told || uv_is_active((uv_handle_t *)&f->tell))
		return;
	now = round_now_ns(f->node);
	due = f->told_ns + f->node->config.fabric_ns;
	uv_update_time(&f->node->loop);
	(void)uv_timer_start(&f->tell, on_tell, due > now ? (due - now) / MS_NS + 1 : 1, 0);
}

/* ---- the node's side ---- */

static bool wants(struct fabric *f, struct link_view *v, const struct ledger_status *s)
{
	if (!parent_is(f->node) || !links_parent(f->node, v) || v->state != LINK_UP)
		return false;
	/* Smaller than it was is worth a look, too. */
	return (v->size && v->size != f->their_done && (!f->parent || v->size != f->parent->theirs)) ||
	       s->published > f->our_done;
}

void fabric_look(struct node *n)
{
	struct fabric *f = n->fabric;
	uint64_t now, due, every = n->config.fabric_ns;
	struct ledger_status s;
	struct link_view v;

	if (!f || f->stopped)
		return;
	ledger_status(n, &s);
	look_down(f, &s);
	if (f->busy || uv_is_active((uv_handle_t *)&f->timer) || !wants(f, &v, &s))
		return;
	/* Each at a time of its own, or all nodes of a hub would come at once. */
	now = round_now_ns(n);
	due = (f->last_ns ? f->last_ns + (every << f->fails) : now + every / 8) +
	      prng_mix(engine_epoch(n->engine), f->last_ns, 1) % (every / 8 + 1);
	uv_update_time(&n->loop);
	(void)uv_timer_start(&f->timer, on_timer, due > now ? (due - now) / MS_NS + 1 : 1, 0);
}

static void finish(struct fabric *f, const struct err *e)
{
	f->busy = false;
	f->step = 0;
	free(f->note);
	f->note = NULL;
	if (f->stopped)
		return;
	f->last_ns = round_now_ns(f->node);
	if (e) {
		f->fails += f->fails < FAILS_MAX;
		(void)snprintf(f->parent->error, sizeof(f->parent->error), "%.300s", e->msg);
	} else {
		f->fails = 0;
		f->our_done = f->asked_ours;
		/* What the hub has written it publishes within a second or two. */
		f->tries = f->grew && f->parent->theirs >= f->asked_theirs ? 0 : f->tries + 1;
		if (f->tries == 0 || f->tries >= TRIES) {
			f->their_done = f->asked_theirs;
			f->tries = 0;
		}
	}
	fabric_mirror_look(f);
	fabric_look(f->node);
}

/* What the hub said to our head. */
static bool again_with_proof(struct fabric *f, const struct fabric_job *j)
{
	const char *text = fabric_text(j->in, "answer");
	uint64_t told;

	switch (json_integer_value(json_object_get(j->in, "status"))) {
	case 0:
	case WITNESS_COSIGNED:
		return false;
	case WITNESS_CONFLICT:
		if (!witness_size(text, strlen(text), &told))
			break;
		if (told > f->asked_ours) {
			(void)snprintf(j->peer->error, sizeof(j->peer->error),
			        "it cosigned %" PRIu64 " entries of this log, which has %" PRIu64
			        " here: a copy of this node went on elsewhere, or this one is an older "
			        "backup",
			        told, f->asked_ours);
			return false;
		}
		j->peer->ours = told;
		return true;
	}
	(void)snprintf(j->peer->error, sizeof(j->peer->error), "it does not cosign this log: %.*s",
	        (int)strcspn(text, "\n"), text);
	return false;
}

static void answered_done(uv_work_t *w, int status)
{
	struct fabric_job *j = w->data;
	struct fabric *f = j->f;
	const char *error = fabric_text(j->in, "error");
	struct addcheckpoint a;
	bool again, hand;
	char *note = NULL, *line = NULL;

	(void)status;
	if (f->stopped) {
		job_free(j);
		finish(f, NULL);
		return;
	}
	done_both(j);
	if (*error)
		(void)snprintf(j->peer->error, sizeof(j->peer->error), "the hub says: %.300s", error);
	if (memcmp(j->peer->id, j->id, 32) == 0 && json_is_integer(json_object_get(j->in, "handed")))
		f->parent->handed = (uint64_t)json_integer_value(json_object_get(j->in, "handed"));
	again = again_with_proof(f, j);
	if (memcmp(j->peer->id, j->id, 32) == 0)
		fabric_mirror_told(f, j->in, j->handed ? j->hand.note : NULL);
	if (j->taking)
		f->grew = j->take.word == FABRIC_GROWS;
	hand = j->taking && f->grew && j->take.size > f->parent->handed;
	if (hand && addcheckpoint_parse(j->take.request, j->take.n, &a, NULL) == 0) {
		note = strndup(a.note, a.note_n);
		line = strndup(j->take.reply.body, j->take.reply.n);
		CHECK(note && line);
	}
	job_free(j);
	if (f->step == 1 && (again || note))
		ask(f, note, line);
	else
		finish(f, NULL);
	free(note);
	free(line);
}

static void on_answer(void *ctx, const struct err *why, const json_t *answer)
{
	struct fabric *f = ctx;
	struct fabric_job *j;
	struct witness *w;
	struct err e;
	json_t *in;

	if (why || f->stopped) {
		finish(f, why);
		return;
	}
	in = json_loads(fabric_text(answer, "body"), JSON_REJECT_DUPLICATES, NULL);
	w = fabric_witness(f, &e);
	if (!w || !json_is_object(in) || !the_parent(f)) {
		json_decref(in);
		if (w)
			(void)err_set(&e, ERR_CORRUPT, "the hub's answer is not what was asked for");
		finish(f, &e);
		return;
	}
	j = job_new(f, f->parent, w, in);
	take_text(j, "head");
	if (fabric_said(in, &j->take.said, &j->take.why) < 0)
		j->taking = false;
	j->hand.vkey = fabric_text(in, "witness");
	j->hand.note = f->note ? f->note : "";
	j->hand.line = fabric_text(in, "answer");
	j->handing = f->note && json_integer_value(json_object_get(in, "status")) == WITNESS_COSIGNED;
	CHECK(uv_queue_work(&f->node->loop, &j->work, work, answered_done) == 0);
}

json_t *fabric_self(const struct node *n)
{
	const char *dir = parent_dir(n);

	return json_pack("{s:s+, s:s+, s:s+}", "ca", dir, "/ca.crt", "cert", dir, "/client.crt", "key", dir,
	        "/client.key");
}

/* The first or the second request, with what there is for it. */
static void ask(struct fabric *f, const char *note, const char *line)
{
	struct node *n = f->node;
	char vkey[NOTE_VKEY_MAX], *shown = NULL;
	struct witness_seen last = {0};
	struct err e = {0};
	struct witness *w = fabric_witness(f, &e);
	json_t *keys = w ? own_keys(n, &e) : NULL;
	struct ledger_status s;
	uint64_t size = 0;

	if (!keys) {
		finish(f, &e);
		return;
	}
	f->step++;
	ledger_status(n, &s);
	free(f->note);
	f->note = NULL;
	if (s.published > f->parent->ours)
		shown = fabric_show(n->state_dir, f->parent->ours, &size, &f->note);
	if (size)
		f->asked_ours = size;
	if (f->parent->origin[0])
		(void)witness_last_of(w, f->parent->origin, &last);
	witness_vkey(w, vkey);
	carrier_ask(n,
	        json_pack("{s:s, s:s, s:s, s:{s:s, s:o, s:I, s:s*, s:s*, s:s*}, s:o}", "do", "post", "origin",
	                parent_origin(n), "path", "/v1/hub/witness", "body", "witness", vkey, "keys", keys,
	                "cosigned", (json_int_t)last.last.size, "checkpoint", shown, "note", note, "line",
	                line, "self", fabric_self(n)),
	        on_answer, f);
	free(shown);
}

static void on_timer(uv_timer_t *t)
{
	struct fabric *f = t->data;
	struct ledger_status s;
	struct link_view v;

	ledger_status(f->node, &s);
	if (f->stopped || f->busy || !wants(f, &v, &s) || !the_parent(f))
		return;
	f->busy = true;
	f->asked_theirs = v.size;
	f->asked_ours = s.published;
	ask(f, NULL, NULL);
}

/* ---- looking, and the end ---- */

static void view(const struct fabric_peer *p, void (*fn)(void *ctx, const struct fabric_view *v), void *ctx)
{
	struct fabric_view v = {.name = p->name,
	        .parent = p->parent,
	        .origin = p->origin,
	        .witness = p->witness,
	        .theirs = p->theirs,
	        .theirs_s = p->theirs_s,
	        .ours = p->ours,
	        .ours_s = p->ours_s,
	        .alarm = p->alarm,
	        .evidence = p->evidence,
	        .alarm_s = p->alarm_s,
	        .error = p->error,
	        .mirror = p->mirror,
	        .mirrored = p->mirrored,
	        .mirror_bytes = p->mirror_bytes};

	fn(ctx, &v);
}

uint64_t fabric_each(struct node *n, void (*fn)(void *ctx, const struct fabric_view *v), void *ctx)
{
	struct fabric *f = n->fabric;

	if (!f)
		return 0;
	if (the_parent(f)) {
		f->parent->mirrored = f->mirror.have;
		view(f->parent, fn, ctx);
	}
	for (const struct fabric_peer *p = f->children; p; p = p->next)
		view(p, fn, ctx);
	return n->config.fabric_ns;
}

void fabric_stop(struct node *n)
{
	struct fabric *f = n->fabric;
	struct err e;

	if (!f || f->stopped)
		return;
	f->stopped = true;
	(void)uv_timer_stop(&f->timer);
	(void)uv_timer_stop(&f->tell);
	fabric_mirror_stop(f);
	(void)err_set(&e, ERR_CLOSED, "the hub is stopping");
	for (struct fabric_job *j = f->jobs; j; j = j->next) {
		if (j->a)
			fabric_refuse(j->a, &e);
		j->a = NULL;
	}
}

void fabric_close(struct node *n)
{
	struct fabric *f = n->fabric;

	if (!f)
		return;
	while (f->children) {
		struct fabric_peer *p = f->children;

		f->children = p->next;
		free(p);
	}
	free(f->parent);
	free(f->note);
	fabric_mirror_close(f);
	free(f);
	n->fabric = NULL;
}
