/* SPDX-License-Identifier: Apache-2.0 */
/* link - sessions, numbers, windows and acknowledgements, the same on both sides; see link.h and link_int.h. Pure. */
#include "core/link.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "core/link_int.h"
#include "core/sched.h"

static size_t up16(size_t n)
{
	return (n + 15) & ~(size_t)15;
}

size_t link_bytes(enum link_side side)
{
	size_t n = up16(sizeof(struct link_end));

	if (side == LINK_TO_HUB)
		n += up16(pool_bytes(FRAME_HELD_MAX, sizeof(struct part))) +
		     up16(idmap_bytes(FRAME_HELD_MAX));
	return n;
}

struct link_end *link_init(void *mem, const struct link_self *self, const struct link_shell *shell,
        void *scratch, size_t scratch_bytes)
{
	struct link_end *l = mem;
	uint8_t *rest = (uint8_t *)mem + up16(sizeof(*l));

	CHECK(((uintptr_t)mem & 15) == 0 && scratch_bytes >= FRAME_ARENA_BYTES);
	CHECK(strlen(self->name) < sizeof(l->name));
	l->side = self->side;
	l->shell = *shell;
	l->scratch = scratch;
	l->scratch_bytes = scratch_bytes;
	l->ack_wait_ns = LINK_ACK_NS;
	l->at_ns = UINT64_MAX;
	(void)snprintf(l->name, sizeof(l->name), "%s", self->name);
	l->status = l->heard = (Link__Status)LINK__STATUS__INIT;
	if (self->side == LINK_TO_CHILD) {
		l->node = self->node;
		l->granted_durable = engine_lease_last(shell->engine).v;
		return l;
	}
	memcpy(l->key, self->key, sizeof(l->key));
	memcpy(l->journal, self->journal, sizeof(l->journal));
	memcpy(l->secret, self->secret, sizeof(l->secret));
	l->place = self->place;
	pool_init(&l->parts, rest, FRAME_HELD_MAX, sizeof(struct part));
	idmap_init(
	        &l->part_ids, rest + up16(pool_bytes(FRAME_HELD_MAX, sizeof(struct part))), FRAME_HELD_MAX);
	link_node(l, 0, self->offer);
	child_parts(l);
	return l;
}

/* ---- small things ---- */

void link_to(struct link_end *l, uint64_t now, enum link_state s)
{
	if (l->state == s)
		return;
	if (l->state == LINK_UP)
		l->up_ns = now;
	l->state = s;
	l->since_ns = now;
	if (l->shell.changed)
		l->shell.changed(l->shell.ctx);
}

bool link_command(struct link_end *l, const struct command *cmd, struct err *why)
{
	struct err unused = {0};

	return l->shell.command(l->shell.ctx, cmd, why ? why : &unused);
}

void link_bad(struct link_end *l)
{
	l->n_bad++;
}

void link_words(struct link_end *l, const char *reason, const char *hint)
{
	(void)snprintf(l->reason, sizeof(l->reason), "%s", reason);
	(void)snprintf(l->hint, sizeof(l->hint), "%s", hint);
}

void link_session(struct link_end *l, uint64_t now, uint64_t session)
{
	l->session = session;
	if (session > l->session_max)
		l->session_max = session;
	l->out = l->out_acked = l->in = l->in_acked = 0;
	l->out_bytes = 0;
	l->bulk = LINK_BULK_LEAST;
	l->quick_ns = UINT64_MAX;
	l->slow_at = l->bulk_full = 0;
	l->progress_ns = now;
	l->n_sessions++;
	l->status_due = 0;
}

/* ---- sending ---- */

bool link_window_open(const struct link_end *l)
{
	return l->out - l->out_acked < LINK_WINDOW - LINK_URGENT && l->out_bytes < l->bulk;
}

bool link_urgent_open(const struct link_end *l)
{
	return l->out - l->out_acked < LINK_WINDOW &&
	       l->out_bytes < LINK_WINDOW_BYTES + FRAME_BYTES_MAX + LINK_URGENT_BYTES;
}

/* A frame was acknowledged after so long. More may be under way where that is quick and there was more to say; less where it takes longer
 * than its way and LINK_BULK_NS, once for all that was sent before this is seen. */
static void bulk_look(struct link_end *l, uint64_t frame, const struct sent *s, uint64_t now)
{
	const uint64_t took = now > s->at_ns ? now - s->at_ns : 0;
	uint64_t good;

	l->quick_ns = took < l->quick_ns ? took : l->quick_ns;
	good = l->quick_ns + LINK_BULK_NS;
	if (took <= good) {
		l->bulk += l->bulk_full ? s->bytes : 0;
		l->bulk = l->bulk < LINK_WINDOW_BYTES ? l->bulk : LINK_WINDOW_BYTES;
	} else if (frame > l->slow_at) {
		l->slow_at = l->out;
		l->bulk_full = 0;
		l->bulk = took < 2 * good ? l->bulk / 1024 * (1024 * good / took) : l->bulk / 2;
		l->bulk = l->bulk > LINK_BULK_LEAST ? l->bulk : LINK_BULK_LEAST;
	}
}

/* How far we may acknowledge: what is durable. */
static uint64_t ackable(const struct link_end *l)
{
	uint64_t durable = l->shell.durable(l->shell.ctx), n = l->in_acked;

	while (n < l->in && l->gates[(n + 1) % LINK_WINDOW] <= durable)
		n++;
	return n;
}

size_t link_emit(
        struct link_end *l, uint64_t now, Link__Frame *f, bool numbered, uint64_t lease, uint8_t *out)
{
	size_t n;

	if (!f->session)
		f->session = l->session;
	f->size = l->shell.durable(l->shell.ctx);
	if (f->session == l->session && (l->state == LINK_UP))
		f->ack = ackable(l);
	f->number = numbered ? l->out + 1 : 0;
	n = frame_size(f);
	if (n > FRAME_BYTES_MAX)
		return 0;
	CHECK(frame_encode(f, out) == n);
	l->in_acked = f->ack > l->in_acked ? f->ack : l->in_acked;
	l->n_sent++;
	if (!numbered)
		return n;
	if (l->out == l->out_acked)
		l->progress_ns = now;
	l->out++;
	l->out_bytes += n;
	l->bulk_full |= l->out_bytes >= l->bulk;
	l->sent[l->out % LINK_WINDOW] = (struct sent){lease, (uint32_t)n, now};
	return n;
}

static size_t ack_next(struct link_end *l, uint64_t now, uint8_t *out)
{
	Link__Frame f = LINK__FRAME__INIT;
	Link__Ack ack = LINK__ACK__INIT;

	if (ackable(l) == l->in_acked)
		return 0;
	f.body_case = LINK__FRAME__BODY_ACK_ONLY;
	f.ack_only = &ack;
	return link_emit(l, now, &f, false, 0, out);
}

static size_t status_next(struct link_end *l, uint64_t now, uint8_t *out)
{
	Link__Frame f = LINK__FRAME__INIT;

	if (!l->status_due)
		return 0;
	l->status_due = 0;
	f.body_case = LINK__FRAME__BODY_STATUS;
	f.status = &l->status;
	return link_emit(l, now, &f, false, 0, out);
}

uint64_t link_oldest_due(const struct link_end *l)
{
	return l->state == LINK_UP && l->out > l->out_acked ? l->progress_ns + l->ack_wait_ns : UINT64_MAX;
}

/* What we said was lost, or what came of it: begin anew. */
static void overdue(struct link_end *l, uint64_t now)
{
	if (now < link_oldest_due(l))
		return;
	l->ack_wait_ns = l->ack_wait_ns < 8 * LINK_ACK_NS ? 2 * l->ack_wait_ns : l->ack_wait_ns;
	if (l->side == LINK_TO_HUB)
		child_again(l, now);
	else
		hub_reset(l, now, l->session);
}

size_t link_next(struct link_end *l, uint64_t now, uint8_t *out)
{
	size_t n;

	if (l->side == LINK_TO_HUB)
		child_look(l, now);
	if (l->state == LINK_DOWN)
		return 0;
	overdue(l, now);
	n = l->side == LINK_TO_HUB ? child_hello(l, now, out) : hub_urgent(l, now, out);
	if (n || l->state != LINK_UP)
		return n;
	n = l->side == LINK_TO_HUB ? child_next(l, now, out) : hub_next(l, now, out);
	if (!n)
		n = status_next(l, now, out);
	return n ? n : ack_next(l, now, out);
}

uint64_t link_deadline_ns(const struct link_end *l, uint64_t now)
{
	uint64_t due = link_oldest_due(l), other;

	(void)now;
	if (l->state == LINK_DOWN)
		return UINT64_MAX;
	other = l->side == LINK_TO_HUB ? child_deadline(l) : hub_deadline(l);
	return other < due ? other : due;
}

/* ---- receiving ---- */

static bool acks(struct link_end *l, uint64_t now, uint64_t ack)
{
	if (ack > l->out)
		return false;
	while (l->out_acked < ack) {
		const struct sent s = l->sent[++l->out_acked % LINK_WINDOW];

		l->out_bytes -= s.bytes;
		bulk_look(l, l->out_acked, &s, now);
		l->bulk_full &= l->out > l->out_acked;
		l->progress_ns = now;
		l->ack_wait_ns = LINK_ACK_NS;
		if (!s.lease)
			continue;
		if (l->side == LINK_TO_HUB)
			child_acked(l, s.lease);
		else if (s.lease > l->seen)
			l->seen = s.lease;
	}
	return true;
}

static const char *site_here(const struct link_end *l, struct arena *a)
{
	const Wire__NodeSet *here = engine_node_open(l->shell.engine, 1, a);

	for (size_t i = 0; here && i < here->n_labels; i++)
		if (strcmp(here->labels[i]->key, "site") == 0)
			return here->labels[i]->value;
	return "";
}

/* The core rounds, and says nothing of what is about the same. */
void link_tell_latency(struct link_end *l)
{
	Wire__NodeFacts f = WIRE__NODE_FACTS__INIT;
	Wire__NodeFacts__Latency to[FRAME_FAR_MAX + 2], *list[FRAME_FAR_MAX + 2];
	struct command cmd = {.kind = CMD_FACTS, .u.facts = &f};
	const char *site;
	struct arena a;

	if (l->side == LINK_TO_HUB || l->state != LINK_UP || !l->rtt_us)
		return;
	arena_init(&a, l->scratch, l->scratch_bytes);
	site = site_here(l, &a);
	for (uint32_t i = 0; i < FRAME_FAR_MAX + 2; i++) {
		to[i] = (Wire__NodeFacts__Latency)WIRE__NODE_FACTS__LATENCY__INIT;
		list[i] = &to[i];
	}
	to[f.n_latency].node = 1;
	to[f.n_latency++].us = l->rtt_us;
	if (site[0]) {
		to[f.n_latency].site = (char *)(uintptr_t)site;
		to[f.n_latency++].us = l->rtt_us;
	}
	for (uint32_t i = 0; i < l->n_far; i++) {
		const uint32_t node = sched_named(engine_sched(l->shell.engine), l->far[i].name);

		if (node <= 1 || node == l->node)
			continue;
		to[f.n_latency].node = node;
		to[f.n_latency++].us = l->far[i].us;
	}
	f.node = l->node;
	f.set = WIRE__NODE_FACTS__WHAT__LATENCY;
	f.latency = list;
	(void)link_command(l, &cmd, NULL);
}

/* Measured anew. */
static void tell_latency(struct link_end *l, uint64_t now)
{
	if (now < l->facts_ns)
		return;
	l->facts_ns = now + FACTS_NS;
	link_tell_latency(l);
}

/* As TCP does, but quicker: it is measured seldom. */
static uint64_t smoothed(uint64_t was, uint64_t us)
{
	us = us ? us : 1;
	return was ? (3 * was + us) / 4 : us;
}

static void status_came(struct link_end *l, uint64_t now, const Link__Status *s)
{
	l->heard.running = s->running;
	l->heard.queued = s->queued;
	l->heard.load_milli = s->load_milli;
	if (s->echo_us && s->echo_us <= now / 1000)
		l->rtt_us = smoothed(l->rtt_us, now / 1000 - s->echo_us);
	if (s->sent_us && !s->echo_us) {
		l->status.echo_us = s->sent_us;
		l->status.sent_us = 0;
		l->status_due = 1;
	}
	if (l->shell.changed)
		l->shell.changed(l->shell.ctx);
}

/* A frame of the session that is on, in its turn. */
static void in_turn(struct link_end *l, uint64_t now, const Link__Frame *f, struct arena *a)
{
	if (l->in - l->in_acked == LINK_WINDOW) { /* it sends more than it may */
		link_bad(l);
		return;
	}
	if (l->side == LINK_TO_HUB)
		child_frame(l, now, f, a);
	else
		hub_frame(l, now, f, a);
	if (l->session != f->session || l->state != LINK_UP)
		return; /* it ended the session */
	l->in++;
	l->gates[l->in % LINK_WINDOW] = l->shell.appended(l->shell.ctx);
}

static void lost_frames(struct link_end *l, uint64_t now)
{
	if (l->side == LINK_TO_HUB)
		child_again(l, now);
	else
		hub_reset(l, now, l->session);
}

/* Frames of the child's side that are about sessions. True: that was all. */
static bool about_session(struct link_end *l, uint64_t now, const Link__Frame *f, struct arena *a)
{
	if (l->side == LINK_TO_CHILD) {
		if (f->body_case == LINK__FRAME__BODY_HELLO) {
			hub_hello(l, now, f, a);
			return true;
		}
		if (f->session > l->session || (f->session == l->session && l->state != LINK_UP)) {
			if (f->session > l->session)
				hub_reset(l, now, f->session);
			return true;
		}
		return f->session != l->session;
	}
	if (f->session != l->session && (f->session || f->body_case != LINK__FRAME__BODY_RESET))
		return true;
	if (f->body_case == LINK__FRAME__BODY_WELCOME || f->body_case == LINK__FRAME__BODY_REFUSED ||
	        f->body_case == LINK__FRAME__BODY_RESET) {
		child_frame(l, now, f, a);
		return true;
	}
	return l->state != LINK_UP;
}

void link_receive(struct link_end *l, uint64_t now, const uint8_t *bytes, size_t n)
{
	const Link__Frame *f;
	struct arena a;
	struct err e;

	if (l->side == LINK_TO_HUB)
		child_look(l, now);
	if (l->state == LINK_DOWN)
		return;
	arena_init(&a, l->scratch, l->scratch_bytes);
	l->n_received++;
	if (frame_decode(&a, bytes, n, &f, &e) < 0) {
		link_bad(l);
		return;
	}
	l->heard_ns = now;
	l->size_said = f->size;
	if (about_session(l, now, f, &a))
		return;
	if (!acks(l, now, f->ack)) {
		link_bad(l);
		lost_frames(l, now);
		return;
	}
	if (l->side == LINK_TO_CHILD && f->size > l->size_heard)
		l->size_heard = f->size;
	if (f->body_case == LINK__FRAME__BODY_STATUS) {
		const bool measured = f->status->echo_us != 0 && f->number == 0;

		status_came(l, now, f->status);
		if (measured) {
			tell_latency(l, now); /* the frame lay in the scratch memory */
			return;
		}
	}
	if (f->body_case == LINK__FRAME__BODY_AHEAD && l->side == LINK_TO_HUB && f->number == 0 &&
	        l->shell.ahead)
		l->shell.ahead(l->shell.ctx, f->ahead);
	if (f->number == 0 || f->number <= l->in)
		return;
	if (f->number == l->in + 1)
		in_turn(l, now, f, &a);
	else
		lost_frames(l, now);
}

/* ---- what the shell says ---- */

void link_connected(struct link_end *l, uint64_t now, uint64_t session_least)
{
	if (session_least > l->session_max)
		l->session_max = session_least;
	l->wait_ns = LINK_HELLO_NS;
	if (l->side == LINK_TO_HUB)
		child_again(l, now);
	link_to(l, now, LINK_HELLO);
	if (l->side == LINK_TO_CHILD)
		hub_reset(l, now, 0); /* whatever session it believes to be in */
}

void link_disconnected(struct link_end *l, uint64_t now)
{
	Wire__NodeLink m = WIRE__NODE_LINK__INIT;
	struct command cmd = {.kind = CMD_NODE_LINK, .u.node_link = &m};
	struct child_view c;

	if (l->side == LINK_TO_HUB)
		child_alone(l, l->state == LINK_UP);
	link_to(l, now, LINK_DOWN);
	l->welcome_due = l->reset_due = l->refused_due = l->status_due = 0;
	hub_ahead_begin(l);
	if (l->side != LINK_TO_CHILD || !engine_child(l->shell.engine, l->node, &c) ||
	        c.link != WIRE__NODE_SET__STATE__UP)
		return;
	m.node = l->node;
	m.state = WIRE__NODE_SET__STATE__DISCONNECTED;
	(void)link_command(l, &cmd, NULL);
}

void link_effect(struct link_end *l, uint64_t now, const struct effect *fx)
{
	if (l->side == LINK_TO_HUB)
		child_look(l, now);
	if (l->side == LINK_TO_HUB)
		child_effect(l, now, fx);
	else
		hub_effect(l, now, fx);
}

void link_durable(struct link_end *l, uint64_t now)
{
	(void)now; /* gates are asked when a frame is fetched */
	hub_ahead_look(l);
}

void link_key(struct link_end *l, const uint8_t key[32])
{
	CHECK(l->side == LINK_TO_HUB);
	memcpy(l->key, key, sizeof(l->key));
}

void link_node(struct link_end *l, uint64_t now, const Wire__NodeSet *offer)
{
	size_t n = wire__node_set__get_packed_size(offer);

	(void)now;
	CHECK(l->side == LINK_TO_HUB && n <= sizeof(l->offer));
	l->offer_bytes = wire__node_set__pack(offer, l->offer);
	l->node_due = 1;
}

void link_status(struct link_end *l, uint64_t now, const Link__Status *s)
{
	l->status.running = s->running;
	l->status.queued = s->queued;
	l->status.load_milli = s->load_milli;
	l->status.sent_us = now / 1000;
	l->status.echo_us = 0;
	l->status_due = 1;
}

void link_joined(struct link_end *l, uint64_t now)
{
	CHECK(l->side == LINK_TO_HUB);
	l->strange_ns = 0;
	if (l->state == LINK_REFUSED)
		l->at_ns = now;
}

void link_look(const struct link_end *l, struct link_view *out)
{
	*out = (struct link_view){.state = l->state,
	        .since_ns = l->since_ns,
	        .heard_ns = l->heard_ns,
	        .session = l->session,
	        .version = l->version,
	        .rtt_us = l->rtt_us,
	        .sent = l->n_sent,
	        .received = l->n_received,
	        .bad = l->n_bad,
	        .sessions = l->n_sessions,
	        .unacknowledged = l->out - l->out_acked,
	        .unacknowledged_bytes = l->out_bytes,
	        .held = l->parts.n,
	        .running = l->heard.running,
	        .load_milli = l->heard.load_milli,
	        .queued = l->heard.queued,
	        .size = l->size_said};
	memcpy(out->at, l->at, sizeof(out->at));
	out->copy_ns = l->copy_ns;
	(void)snprintf(out->share_why, sizeof(out->share_why), "%s", l->share_why);
	if (l->state != LINK_REFUSED && !l->was_refused)
		return;
	out->away_until_ns =
	        l->side == LINK_TO_HUB && l->state == LINK_REFUSED && l->strange_ns ? l->at_ns : 0;
	(void)snprintf(out->reason, sizeof(out->reason), "%s", l->reason);
	(void)snprintf(out->hint, sizeof(out->hint), "%s", l->hint);
}
