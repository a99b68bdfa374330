/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_hub - a hub's end of the link to one of its children; see link.h. Pure.
 *
 * What is to be granted follows from the state: the live leases on the node above the highest that was sent. What is to be stopped or
 * adjusted is told by effects; when there is too much of it, and when a session begins, all leases are looked at.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "core/grant.h"
#include "core/link_int.h"
#include "core/sched.h"
#include "wire/entry.h"

#define OLD_HINT                                                                                             \
	"'osier join' with a new token; or, if it is a copy of a node that is up elsewhere, stop it and "    \
	"join with an empty state folder instead"
#define COPY_HINT                                                                                            \
	"stop the copy ('osier down') and join with an empty state folder instead; if the node was moved "   \
	"here, stop it at its old place, and 20 s later say 'osier down --engine-only' here"

/* ---- no session ---- */

static void say_refused(struct link_end *l, uint64_t now, uint64_t session, Link__Refused__Code code,
        const char *reason, const char *hint)
{
	l->refused_due = 1;
	l->refused = code;
	l->refused_session = session;
	link_words(l, reason, hint);
	if (code == LINK__REFUSED__CODE__STALE)
		return;
	l->was_refused = 1;
	/* The session that is up, or is asked whether it lives, may live on: a Hello can be late by days. */
	if (session != l->session && l->state == LINK_UP) {
		hub_reset(l, now, l->session);
		return;
	}
	if (session != l->session && l->state == LINK_HELLO && l->reset_session && l->at_ns != UINT64_MAX)
		return;
	link_disconnected(l, now);
	link_to(l, now, LINK_REFUSED);
	l->refused_due = 1;
}

void hub_reset(struct link_end *l, uint64_t now, uint64_t session)
{
	if (l->state == LINK_HELLO && l->at_ns != UINT64_MAX && l->reset_session == session)
		return; /* it was asked */
	l->reset_due = 1;
	l->reset_any = 0;
	l->reset_session = session;
	l->wait_ns = LINK_HELLO_NS;
	l->at_ns = now + l->wait_ns;
	link_to(l, now, LINK_HELLO);
}

/* The child does not answer: ask again; then what its link was said to be is not so any more. */
static void ask_again(struct link_end *l, uint64_t now)
{
	if (l->state != LINK_HELLO || now < l->at_ns)
		return;
	if (l->wait_ns < LINK_HELLO_MAX_NS) {
		l->reset_due = 1;
		l->reset_session =
		        0; /* whichever lives: the one that was asked may have been a frame that came late */
		l->wait_ns *= 2;
		l->at_ns = now + l->wait_ns;
		return;
	}
	link_disconnected(l, now);
	l->at_ns = UINT64_MAX;
	link_to(l, now, LINK_HELLO);
}

static size_t refused_next(struct link_end *l, uint64_t now, uint8_t *out)
{
	Link__Frame f = LINK__FRAME__INIT;
	Link__Refused m = LINK__REFUSED__INIT;

	l->refused_due = 0;
	m.code = l->refused;
	m.reason = l->reason;
	m.hint = l->hint;
	m.session_least = l->session_max + 1;
	f.session = l->refused_session;
	f.body_case = LINK__FRAME__BODY_REFUSED;
	f.refused = &m;
	return link_emit(l, now, &f, false, 0, out);
}

static size_t reset_next(struct link_end *l, uint64_t now, uint8_t *out)
{
	Link__Frame f = LINK__FRAME__INIT;
	Link__Reset m = LINK__RESET__INIT;
	uint64_t session = l->session;
	size_t n;

	l->reset_due = 0;
	l->session = f.session = l->reset_any ? 0 : l->reset_session; /* 0: any */
	f.body_case = LINK__FRAME__BODY_RESET;
	f.reset = &m;
	n = link_emit(l, now, &f, false, 0, out);
	l->session = session;
	return n;
}

static size_t welcome_next(struct link_end *l, uint64_t now, uint8_t *out)
{
	const struct engine *e = l->shell.engine;
	Link__Frame f = LINK__FRAME__INIT;
	Link__Welcome m = LINK__WELCOME__INIT;
	uint32_t most = engine_node_leases(e, l->node);
	struct lease_view v = {{0}};
	uint64_t last = 0;
	struct arena a;

	arena_init(&a, l->scratch, l->scratch_bytes);
	most = most < FRAME_HELD_MAX ? most : FRAME_HELD_MAX;
	m.live = arena_calloc(&a, most + 1, sizeof(*m.live));
	m.cursor = arena_calloc(&a, most + 1, sizeof(*m.cursor));
	CHECK(m.live && m.cursor);
	while (m.n_live < most && engine_node_lease_next(e, l->node, v.id, &v) && v.id.v <= l->granted) {
		m.live[m.n_live] = v.id.v - last;
		m.cursor[m.n_live++] = v.cursor;
		last = v.id.v;
	}
	m.n_cursor = m.n_live;
	l->welcome_due = 0;
	m.version = link_version;
	m.node = l->node;
	m.epoch = engine_epoch(e);
	m.lease_last = engine_lease_last(e).v;
	f.body_case = LINK__FRAME__BODY_WELCOME;
	f.welcome = &m;
	return link_emit(l, now, &f, false, 0, out);
}

size_t hub_urgent(struct link_end *l, uint64_t now, uint8_t *out)
{
	ask_again(l, now);
	if (l->refused_due)
		return refused_next(l, now, out);
	if (l->reset_due)
		return reset_next(l, now, out);
	if (l->state == LINK_UP && l->welcome_due && l->shell.durable(l->shell.ctx) >= l->gate)
		return welcome_next(l, now, out);
	return 0;
}

/* ---- Hello ---- */

static uint32_t tag_at(const Link__Hello *h, size_t i)
{
	const uint8_t *p = h->tags.data + 4 * i;

	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* A lease that the child holds and that is another one here; 0: none. */
static uint64_t other_lease(const struct link_end *l, const Link__Hello *h)
{
	uint64_t lease = 0;

	for (size_t i = 0; i < h->n_held; i++) {
		struct lease_view v;

		lease += h->held[i];
		if (engine_lease(l->shell.engine, (lease_id){lease}, &v) &&
		        (v.node != l->node || v.tag != tag_at(h, i)))
			return lease;
	}
	return 0;
}

/* It speaks from another place than the one where it was up, or has been until lately. A node that was moved is taken when the other place
 * has been silent for a while; of two copies the one stays that is there. */
static bool is_copy(const struct link_end *l, uint64_t now, const Link__Hello *h)
{
	return h->place && l->place && h->place != l->place &&
	       (l->state == LINK_UP || now < l->up_ns + MOVED_NS);
}

/* May this child have a session? Otherwise why not. */
static Link__Refused__Code judge(const struct link_end *l, uint64_t now, const Link__Frame *f,
        const char **why, const char **hint, char *text, size_t n)
{
	const Link__Hello *h = f->hello;
	unsigned major = h->version / 1000, minor = h->version % 1000, mine = link_version % 1000;
	struct child_view c;
	uint64_t other;

	*hint = "";
	*why = text;
	if (major != link_version / 1000 || minor > mine + 1 || mine > minor + 1) {
		(void)snprintf(text, n, "it speaks version %u.%u of the link, this hub %u.%u", major, minor,
		        link_version / 1000, mine);
		*hint = "upgrade the older of both; one minor version apart works";
		return LINK__REFUSED__CODE__VERSION;
	}
	if (!engine_child(l->shell.engine, l->node, &c) || memcmp(c.key, h->key.data, 32) != 0) {
		*why = "this hub does not know its key";
		*hint = "'osier join' with a new token";
		return LINK__REFUSED__CODE__UNKNOWN;
	}
	if (memcmp(c.journal, h->journal.data, 32) != 0) {
		*why = "it has another journal than the node that joined under this name";
		*hint = "'osier join' with a new token";
		return LINK__REFUSED__CODE__OTHER;
	}
	if (f->size < c.from_size || f->size < l->size_heard || h->lease_seen < l->seen) {
		(void)snprintf(text, n,
		        "its journal has %llu entries, and this hub has heard of %llu: it was restored from "
		        "an old state, or is a copy",
		        (unsigned long long)f->size,
		        (unsigned long long)(c.from_size > l->size_heard ? c.from_size : l->size_heard));
		*hint = OLD_HINT;
		return LINK__REFUSED__CODE__CHILD_OLD;
	}
	if (is_copy(l, now, h)) {
		*why = "the same node was up just now from another machine or folder: one of both is a copy";
		*hint = COPY_HINT;
		return LINK__REFUSED__CODE__CHILD_OLD;
	}
	if (h->lease_seen > engine_lease_last(l->shell.engine).v) {
		(void)snprintf(text, n,
		        "it has seen lease %llu of this hub, which has granted %llu: the hub was restored "
		        "from an old state",
		        (unsigned long long)h->lease_seen,
		        (unsigned long long)engine_lease_last(l->shell.engine).v);
		*hint = "'osier join' with a new token, when the hub's state is what it should be";
		return LINK__REFUSED__CODE__HUB_OLD;
	}
	other = other_lease(l, h);
	if (other) {
		(void)snprintf(text, n,
		        "its lease %llu is another one at this hub: the hub was restored from an old state",
		        (unsigned long long)other);
		*hint = "'osier join' with a new token, when the hub's state is what it should be";
		return LINK__REFUSED__CODE__HUB_OLD;
	}
	return LINK__REFUSED__CODE__NONE;
}

static void end_lease(
        struct link_end *l, uint64_t lease, Wire__StopReason why, const char *note, uint64_t from_size)
{
	Wire__LeaseEnded m = WIRE__LEASE_ENDED__INIT;
	struct command cmd = {.kind = CMD_LEASE_ENDED, .u.ended = &m};

	m.lease = lease;
	m.reason = why;
	m.note = (char *)(uintptr_t)note;
	m.from_size = from_size;
	(void)link_command(l, &cmd, NULL);
}

/* What the child has seen and does not hold is lost; and so is what it has never heard of, when others may have begun it since.
 * True: there was some. */
static bool end_unknown(struct link_end *l, const Link__Hello *h)
{
	struct lease_view v = {{0}};
	uint64_t held = h->n_held ? h->held[0] : 0;
	bool any = false;
	size_t i = 0;

	while (engine_node_lease_next(l->shell.engine, l->node, v.id, &v)) {
		if (v.id.v > h->lease_seen && !v.parked)
			continue; /* it is granted when the link is up */
		while (i < h->n_held && held < v.id.v) {
			i++;
			held += i < h->n_held ? h->held[i] : 0;
		}
		if (i < h->n_held && held == v.id.v)
			continue;
		end_lease(l, v.id.v, WIRE__STOP_REASON__KEEPER_LOST, "its node does not know it any more", 0);
		any = true;
	}
	return any;
}

static uint64_t offer_due(const struct link_end *l)
{
	return l->offer_ns > (OFFERS - 1) * OFFER_NS ? l->offer_ns - (OFFERS - 1) * OFFER_NS : 0;
}

/* What an administrator has set stays. */
static void take_offer(struct link_end *l, uint64_t at, const ProtobufCBinaryData *bytes, struct arena *a)
{
	const Wire__NodeSet *m;
	Wire__NodeSet now;
	struct command cmd = {.kind = CMD_NODE_SET, .u.node_set = &now};
	struct sched_node_view v;
	struct child_view c;
	const uint8_t *was;
	size_t n;
	struct err e;
	uint8_t *is;

	if (frame_node(a, bytes, &m, &e) < 0) {
		link_bad(l);
		return;
	}
	if (!engine_child(l->shell.engine, l->node, &c) ||
	        !sched_node(engine_sched(l->shell.engine), l->node, &v) ||
	        !engine_node(l->shell.engine, l->node, &was, &n))
		return;
	now = *m;
	now.node = l->node;
	now.name = arena_dup(a, v.name, strlen(v.name)); /* the scheduler's own: applying writes it */
	if (!now.name)
		return;
	now.state = c.set;
	now.key = now.journal = (ProtobufCBinaryData){0, NULL};
	now.from_size = 0;
	now.commits = l->version >= LINK_MAJOR * 1000u + LINK_COMMITS_MINOR;
	is = arena_alloc(a, wire__node_set__get_packed_size(&now));
	if (is && wire__node_set__pack(&now, is) == n && memcmp(is, was, n) == 0)
		return; /* as before */
	l->offer_ns = (l->offer_ns > at ? l->offer_ns : at) + OFFER_NS;
	(void)link_command(l, &cmd, NULL);
}

/* The child says what it can do now. Each change is an entry, so when they come too fast only the last is kept. */
static void offer(struct link_end *l, uint64_t now, const ProtobufCBinaryData *bytes, struct arena *a)
{
	l->offer_bytes = 0;
	if (bytes->len > sizeof(l->offer)) {
		link_bad(l);
	} else if (now >= offer_due(l)) {
		take_offer(l, now, bytes, a);
	} else {
		if (bytes->len)
			memcpy(l->offer, bytes->data, bytes->len);
		l->offer_bytes = bytes->len;
	}
}

static void waiting_offer(struct link_end *l, uint64_t now)
{
	const ProtobufCBinaryData bytes = {l->offer_bytes, l->offer};
	struct arena a;

	if (!l->offer_bytes || now < offer_due(l))
		return;
	arena_init(&a, l->scratch, l->scratch_bytes);
	l->offer_bytes = 0;
	take_offer(l, now, &bytes, &a);
}

void hub_hello(struct link_end *l, uint64_t now, const Link__Frame *f, struct arena *a)
{
	Wire__NodeLink up = WIRE__NODE_LINK__INIT;
	struct command cmd = {.kind = CMD_NODE_LINK, .u.node_link = &up};
	const char *why, *hint;
	char text[240];
	Link__Refused__Code code;

	if (f->session == l->session && l->state == LINK_UP)
		return; /* the same again */
	if (now < l->shun_ns)
		return;
	if (f->session <= l->session_max) {
		say_refused(l, now, f->session, LINK__REFUSED__CODE__STALE, "an old session", "");
		return;
	}
	code = judge(l, now, f, &why, &hint, text, sizeof(text));
	if (code == LINK__REFUSED__CODE__CHILD_OLD && is_copy(l, now, f->hello))
		l->copy_ns = now;
	if (code != LINK__REFUSED__CODE__NONE) {
		say_refused(l, now, f->session, code, why, hint);
		return;
	}
	link_session(l, now, f->session);
	l->version = f->hello->version;
	l->place = f->hello->place;
	l->size_heard = f->size > l->size_heard ? f->size : l->size_heard;
	l->seen = f->hello->lease_seen;
	l->granted = f->hello->lease_seen;
	l->reset_due = l->refused_due = l->was_refused = 0;
	l->at_ns = UINT64_MAX;
	l->n_told = 0;
	l->scanning = 1;
	l->scan_at = 0;
	if (end_unknown(l,
	            f->hello)) /* they are granted again at once: a node that forgets all the time is not asked so often */
		l->shun_ns = now + PAUSE_NS;
	offer(l, now, &f->hello->node, a);
	up.node = l->node;
	up.state = WIRE__NODE_SET__STATE__UP;
	(void)link_command(l, &cmd, NULL);
	l->gate = l->shell.appended(l->shell.ctx);
	l->quota_ask = 1;
	hub_ahead_begin(l);
	l->welcome_due = 1;
	link_to(l, now, LINK_UP);
}

/* ---- what comes up ---- */

/* Nothing of it is taken, and whoever means it well waits for longer than we do. */
static void damaged(struct link_end *l, uint64_t now, uint64_t session, const char *why)
{
	link_bad(l);
	say_refused(
	        l, now, session, LINK__REFUSED__CODE__DAMAGED, why, "it may run a newer osier than this hub");
	l->shun_ns = now + SHUN_NS;
}

static bool all_held(const struct link_end *l, const Wire__Results *r)
{
	for (uint64_t t = r->first; t < r->first + r->count; t++)
		if (engine_held_next(l->shell.engine, (lease_id){r->lease}, t) != t)
			return false;
	return true;
}

/* Successes, told at once? */
static bool has_answers(const Wire__Results *r)
{
	for (uint64_t i = 0; !r->commitments.len && i < r->count; i++)
		if (RESULT_COLUMN(r, outcome, i) == WIRE__OUTCOME__SUCCEEDED)
			return true;
	return false;
}

static void results(struct link_end *l, uint64_t now, const Link__Frame *f, struct arena *a)
{
	const Link__Results *m = f->results;
	const Wire__Results *r;
	Wire__Results with;
	struct link_data *data;
	struct lease_view v, then;
	struct err e;

	if (frame_results(a, &m->results, &r, &e) < 0) {
		damaged(l, now, f->session, e.msg);
		return;
	}
	if (!engine_lease(l->shell.engine, (lease_id){r->lease}, &v))
		return; /* it has ended here: nobody needs them */
	if (v.node == l->node && r->nonces.len) {
		if (!v.revealing || !all_held(l, r))
			return; /* told twice, or not asked for */
	} else if (v.node != l->node || v.id.v > l->granted || r->first != v.cursor ||
	           r->count > v.first + v.count - v.cursor) {
		link_bad(l);
		hub_reset(l, now, l->session);
		return;
	} else if (engine_commits(l->shell.engine, v.id) && has_answers(r)) {
		link_bad(l);
		l->pause_ns = now + PAUSE_NS;
		end_lease(l, v.id.v, WIRE__STOP_REASON__EXPIRED,
		        "its node told an answer that it had not committed to", f->size);
		return;
	}
	with = *r;
	with.from_size = f->size;
	data = arena_calloc(a, m->n_data + 1, sizeof(*data));
	for (size_t i = 0; data && i < m->n_data; i++)
		data[i] = (struct link_data){m->output[i], m->data[i].data, m->data[i].len};
	if (!data)
		return;
	l->shell.take_results(l->shell.ctx, &with, data, m->n_data);
	if (engine_lease(l->shell.engine, v.id, &then) && then.cursor == v.cursor && then.held == v.held)
		damaged(l, now, f->session, "it sends results that its tasks cannot have");
}

static void ended(struct link_end *l, uint64_t now, const Link__Frame *f)
{
	Wire__StopReason why = frame_reason(f->ended->reason);
	struct lease_view v;

	if (!engine_lease(l->shell.engine, (lease_id){f->ended->lease}, &v))
		return;
	if (v.node != l->node || v.id.v > l->granted) { /* not its own, or one that it was not given yet */
		link_bad(l);
		return;
	}
	/* Nobody asked for it, and its tasks wait again: a node that gives all back at once would be given it for ever. */
	if (!v.stopping && v.cursor < v.first + v.count)
		l->pause_ns = now + PAUSE_NS;
	if (why != WIRE__STOP_REASON__COULD_NOT_START && why != WIRE__STOP_REASON__DRAINING &&
	        why != WIRE__STOP_REASON__DONE)
		why = WIRE__STOP_REASON__CANCELLED;
	end_lease(l, v.id.v, why, f->ended->note, f->size);
}

void hub_frame(struct link_end *l, uint64_t now, const Link__Frame *f, struct arena *a)
{
	if (f->body_case == LINK__FRAME__BODY_RESULTS)
		results(l, now, f, a);
	else if (f->body_case == LINK__FRAME__BODY_ENDED)
		ended(l, now, f);
	else if (f->body_case == LINK__FRAME__BODY_QUOTA_ASK)
		hub_quota_asked(l, now, f->quota_ask, a);
	else if (f->body_case == LINK__FRAME__BODY_NODE)
		offer(l, now, &f->node->node, a);
	else if (f->body_case == LINK__FRAME__BODY_HELD)
		hub_held(l, f->held);
	/* Kinds of a later version are acknowledged and passed over. */
}

/* ---- what goes down ---- */

void hub_effect(struct link_end *l, uint64_t now, const struct effect *fx)
{
	if (fx->kind == EFFECT_START && fx->lease.v > l->granted_durable) {
		l->granted_durable = fx->lease.v;
	} else if (fx->kind == EFFECT_STOP || fx->kind == EFFECT_REVEAL) {
		l->scan_at = l->n_told == TOLD_MAX ? 0 : l->scan_at;
		if (l->n_told < TOLD_MAX)
			l->told[l->n_told++] = fx->lease.v;
		else
			l->scanning = 1;
	} else if (fx->kind == EFFECT_ADJUST) {
		l->scanning = 1;
		l->scan_at = 0;
	} else if (fx->kind == EFFECT_QUOTA && fx->b) {
		l->quota_ask = 1;
	} else if (fx->kind == EFFECT_QUOTA && fx->a == l->node) {
		hub_quota_effect(l, fx->task);
	} else if (fx->kind == EFFECT_LINK && fx->a == l->node) {
		if (!fx->b)
			return;
		l->seen = l->size_heard = l->place = l->copy_ns =
		        0; /* it joined anew: what we remember of it is of before */
		l->offer_bytes = 0;
		l->held_due = 0;
		if (l->state != LINK_DOWN)
			hub_reset(l, now, 0);
	}
}

static size_t stop_next(struct link_end *l, uint64_t now, const struct lease_view *v, uint8_t *out)
{
	Link__Frame f = LINK__FRAME__INIT;
	Link__Stop m = LINK__STOP__INIT;

	m.lease = v->id.v;
	m.reason = v->reason;
	f.body_case = LINK__FRAME__BODY_STOP;
	f.stop = &m;
	return link_emit(l, now, &f, true, 0, out);
}

/* A replica that has told all, and of which nothing is held any more: its child waits to be asked where it believes to have an answer that
 * counts, because its journal went back and the task ended otherwise now, or because its Ended was lost with the session. */
static bool has_nothing_to_reveal(const struct link_end *l, const struct lease_view *v)
{
	return engine_commits(l->shell.engine, v->id) && v->cursor == v->first + v->count && !v->held;
}

/* From the first that is held on; none is: from the end on, which is to say that it may end. */
static size_t reveal_next(struct link_end *l, uint64_t now, const struct lease_view *v, uint8_t *out)
{
	Link__Frame f = LINK__FRAME__INIT;
	Link__Reveal m = LINK__REVEAL__INIT;

	m.lease = v->id.v;
	m.first = engine_held_next(l->shell.engine, v->id, v->first);
	if (m.first == UINT64_MAX)
		m.first = v->first + v->count;
	f.body_case = LINK__FRAME__BODY_REVEAL;
	f.reveal = &m;
	return link_emit(l, now, &f, true, 0, out);
}

static size_t adjust_next(struct link_end *l, uint64_t now, const struct lease_view *v, uint8_t *out)
{
	Link__Frame f = LINK__FRAME__INIT;
	Link__Adjust m = LINK__ADJUST__INIT;
	struct step_view step;
	struct job_view job;

	if (!engine_job(l->shell.engine, v->job, &job) || !job.adjusted ||
	        !engine_step(l->shell.engine, v->job, v->step, &step))
		return 0;
	m.lease = v->id.v;
	m.priority = job.priority;
	m.run_timeout_ns = step.run_timeout_ns;
	m.deadline_ns = job.deadline_ns;
	f.body_case = LINK__FRAME__BODY_ADJUST;
	f.adjust = &m;
	return link_emit(l, now, &f, true, 0, out);
}

static size_t tell_next(struct link_end *l, uint64_t now, uint8_t *out)
{
	struct lease_view v;
	size_t n = 0;

	while (l->n_told && !n) {
		if (engine_lease(l->shell.engine, (lease_id){l->told[--l->n_told]}, &v) &&
		        v.node == l->node && (v.stopping || v.revealing) && v.id.v <= l->granted)
			n = v.stopping ? stop_next(l, now, &v, out) : reveal_next(l, now, &v, out);
	}
	while (l->scanning && !n) {
		if (!engine_node_lease_next(l->shell.engine, l->node, (lease_id){l->scan_at}, &v) ||
		        v.id.v > l->granted) {
			l->scanning = 0;
			break;
		}
		l->scan_at = v.id.v;
		if (v.stopping)
			n = stop_next(l, now, &v, out);
		else if (v.revealing || has_nothing_to_reveal(l, &v))
			n = reveal_next(l, now, &v, out);
		else
			n = adjust_next(l, now, &v, out);
	}
	return n;
}

/* How many leases the child holds of us is bounded by what it can tell in one Hello. */
static bool full(const struct link_end *l)
{
	struct lease_view v = {{0}};
	uint32_t n = 0;

	if (engine_node_leases(l->shell.engine, l->node) < FRAME_HELD_MAX)
		return false;
	while (n < FRAME_HELD_MAX && engine_node_lease_next(l->shell.engine, l->node, v.id, &v) &&
	        v.id.v <= l->granted)
		n++;
	return n == FRAME_HELD_MAX;
}

static size_t grant_next(struct link_end *l, uint64_t now, const struct lease_view *v, uint8_t *out)
{
	const Wire__JobSpec *whole = l->shell.spec(l->shell.ctx, v->job), *spec = NULL;
	const Wire__Sources *sources = NULL;
	Wire__Principal by = WIRE__PRINCIPAL__INIT;
	Link__Frame f = LINK__FRAME__INIT;
	Link__Grant m = LINK__GRANT__INIT;
	struct job_view job;
	char name[FRAME_TEXT_MAX], who[32];
	struct arena a;

	arena_init(&a, l->scratch, l->scratch_bytes);
	if (whole && grant_sourced(whole->steps[v->step]))
		sources = l->shell.sources(l->shell.ctx, v, whole, &a);
	if (whole && (sources || !grant_sourced(whole->steps[v->step])))
		spec = grant_make(l->shell.engine, v, whole, sources, &a);
	if (!spec || !engine_job(l->shell.engine, v->job, &job))
		return 0;
	(void)snprintf(name, sizeof(name), "%.400s-%llu", job.name, (unsigned long long)v->job.v);
	(void)snprintf(who, sizeof(who), "uid:%u", job.uid);
	by.name = who;
	by.uid = job.uid;
	by.gid = job.gid;
	m.lease = v->id.v;
	m.tag = v->tag;
	m.commit = engine_commits(l->shell.engine, v->id);
	m.stop_after_ns = whole->disconnect ? whole->disconnect->stop_after_ns : 0;
	m.first = v->cursor;
	m.job = name;
	m.spec.len = jobspec_size(spec);
	m.spec.data = arena_alloc(&a, m.spec.len);
	m.by.len = wire__principal__get_packed_size(&by);
	m.by.data = arena_alloc(&a, m.by.len);
	if (!m.spec.data || !m.by.data)
		return 0;
	if (l->shell.near)
		l->shell.near(l->shell.ctx, v, spec, &a, &m);
	(void)jobspec_encode(spec, m.spec.data);
	(void)wire__principal__pack(&by, m.by.data);
	f.body_case = LINK__FRAME__BODY_GRANT;
	f.grant = &m;
	return link_emit(l, now, &f, true, v->id.v, out);
}

uint64_t hub_deadline(const struct link_end *l)
{
	uint64_t due = l->offer_bytes ? offer_due(l) : UINT64_MAX;

	if (l->held_due && l->held_ns < due)
		due = l->held_ns;
	if (hub_ahead_deadline(l) < due)
		due = hub_ahead_deadline(l);
	if (l->state == LINK_HELLO)
		return l->at_ns;
	if (l->state == LINK_UP && l->pause_ns && l->pause_ns < due)
		due = l->pause_ns;
	return l->state == LINK_UP ? due : UINT64_MAX;
}

static size_t lease_next(struct link_end *l, uint64_t now, uint8_t *out)
{
	struct lease_view v;
	size_t n;

	if (now < l->pause_ns || full(l))
		return 0;
	l->pause_ns = 0;
	while (engine_node_lease_next(l->shell.engine, l->node, (lease_id){l->granted}, &v) &&
	        v.id.v <= l->granted_durable) {
		if (!v.stopping && v.cursor < v.first + v.count) {
			n = grant_next(l, now, &v, out);
			if (n)
				l->granted = v.id.v;
			return n;
		}
		l->granted = v.id.v;
		if (v.stopping)
			end_lease(l, v.id.v, v.reason, "it never began", 0);
		else /* it told all before its journal went back, and nobody else will end it */
			end_lease(l, v.id.v, WIRE__STOP_REASON__KEEPER_LOST,
			        "its node does not know it any more", 0);
	}
	return 0;
}

size_t hub_next(struct link_end *l, uint64_t now, uint8_t *out)
{
	size_t n;

	waiting_offer(l, now);
	hub_held_take(l, now);
	if (l->welcome_due || !link_urgent_open(l))
		return 0;
	n = tell_next(l, now, out);
	if (n || !link_window_open(l))
		return n;
	n = hub_quota_next(l, now, out);
	if (!n)
		n = lease_next(l, now, out);
	return n ? n : hub_ahead_next(l, now, out);
}
