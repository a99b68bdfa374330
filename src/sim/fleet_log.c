/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fleet_log - the logs of a fleet's machines and who cosigns their heads: core/fabric.h as engine/fabric.c does it; see fleet.h.
 *
 * A machine's log is the tree over the entries of its journal that are durable. A node asks, one question at a time: it shows its head, and hears
 * its hub's. Each remembers what it cosigned of the other; a disk that goes back takes that memory along. Not keys and signatures: stories_ledger.c.
 * Besides, the fleet knows all: what was cosigned of a log whose disk never went back is a beginning of it, whoever cosigned it.
 */
#include <stdlib.h>
#include <string.h>

#include "core/fabric.h"
#include "core/ledger.h"
#include "core/proof.h"
#include "sim/fleet_int.h"

#define LOOK_NS   (5 * SIM_S)  /* a node asks no more often */
#define ANSWER_NS (30 * SIM_S) /* and gives up after so long */

/* Both ways; `number` is the question's. */
struct message {
	uint64_t number, size, old, rolled; /* a head, since `old`; how often the disk had gone back */
	uint8_t root[32];
	struct proof path;
	uint64_t cosigned; /* entries of the other's log that are cosigned */
};

/* ---- the tree ---- */

static void tree_push(struct machine *m, unsigned level, const uint8_t hash[32])
{
	struct tree_level *l = &m->log.level[level];

	CHECK(level < TREE_LEVELS);
	ROOM(l->hash, l->n, l->room);
	memcpy(l->hash[l->n++], hash, 32);
	if (l->n % 2 == 0) {
		uint8_t above[32];

		merkle_node(&m->fleet->merkle, l->hash[l->n - 2], l->hash[l->n - 1], above);
		tree_push(m, level + 1, above);
	}
}

static void tree_grow(struct machine *m)
{
	while (m->log.level[0].n < m->w->durable) {
		const struct stored *s = &m->w->disk[m->log.level[0].n];
		uint8_t leaf[32];

		ledger_leaf(&m->fleet->merkle, s->bytes, s->n, leaf);
		tree_push(m, 0, leaf);
	}
}

static int subtree(void *ctx, unsigned level, uint64_t index, uint8_t out[32], struct err *e)
{
	const struct machine *m = ctx;

	(void)e;
	CHECK(level < TREE_LEVELS && index < m->log.level[level].n);
	memcpy(out, m->log.level[level].hash[index], 32);
	return 0;
}

static bool is_beginning(struct machine *m, const struct witness_last *head)
{
	struct proof_source s = {subtree, m};
	uint8_t root[32];

	tree_grow(m);
	if (head->size > m->log.level[0].n)
		return false;
	CHECK(proof_root(&m->fleet->merkle, &s, head->size, root, NULL) == 0);
	return memcmp(root, head->root, 32) == 0;
}

/* ---- heads ---- */

static void forget(struct cosigned *c)
{
	*c = (struct cosigned){0};
	sha256_of(NULL, 0, c->last.root);
}

void log_init(struct machine *m)
{
	forget(&m->log.of_hub);
	forget(&m->log.at_hub);
}

void log_free(struct machine *m)
{
	for (unsigned k = 0; k < TREE_LEVELS; k++)
		free(m->log.level[k].hash);
	free(m->log.heads);
}

/* Its disk went back: so did its log, and what it knew of others'. */
void log_rolled_back(struct machine *m)
{
	struct fleet *f = m->fleet;

	for (unsigned k = 0; k < TREE_LEVELS; k++)
		if (m->log.level[k].n > m->w->durable >> k)
			m->log.level[k].n = m->w->durable >> k;
	m->log.rolled++;
	m->log.told = 0;
	forget(&m->log.of_hub);
	for (uint32_t i = 1; i < f->n; i++)
		if (f->m[i]->hub == m->number)
			forget(&f->m[i]->log.at_hub);
}

static void show(struct machine *m, uint64_t old, struct message *out)
{
	struct proof_source s = {subtree, m};

	tree_grow(m);
	out->size = m->log.level[0].n;
	out->rolled = m->log.rolled;
	/* Who has cosigned more than there is hears so from the size. */
	out->old = old <= out->size ? old : 0;
	CHECK(proof_root(&m->fleet->merkle, &s, out->size, out->root, NULL) == 0);
	CHECK(proof_consistency(&m->fleet->merkle, &s, out->old, out->size, &out->path, NULL) == 0);
}

/* Somebody cosigns what machine `of` shows. */
static void cosign(struct machine *of, struct cosigned *c, const struct message *h)
{
	CHECK(h->rolled != of->log.rolled || is_beginning(of, &c->last)); /* two heads of one witness */
	memcpy(c->last.root, h->root, 32);
	c->last.size = h->size;
	CHECK(h->rolled != of->log.rolled || is_beginning(of, &c->last));
	ROOM(of->log.heads, of->log.n_heads, of->log.heads_room);
	of->log.heads[of->log.n_heads++] = c->last;
	of->fleet->counts.heads++;
}

/* What the other side makes of it, as engine/fabric.c does. */
static void judge(struct machine *of, struct cosigned *c, const struct message *h)
{
	struct witness_request r = {.body = {.old = h->old, .path = h->path}, .head = {.size = h->size}};
	enum witness_status answer = WITNESS_CONFLICT;
	bool fork, was = c->alarm;

	memcpy(r.head.root, h->root, 32);
	if (h->size >= c->last.size)
		answer = witness_decide(&of->fleet->merkle, &c->last, &r, &fork, NULL);
	switch (fabric_judge(answer, c->last.size, h->size)) {
	case FABRIC_GROWS:
		cosign(of, c, h);
		c->older = 0;
		c->alarm = c->forked;
		break;
	case FABRIC_OLDER:
		c->alarm |= ++c->older >= FABRIC_OLDER_TIMES;
		break;
	case FABRIC_FORKED:
		c->alarm = c->forked = true;
		break;
	case FABRIC_UNCLEAR:
		c->older = 0;
		break;
	}
	of->fleet->counts.alarms += c->alarm && !was;
	CHECK(!c->alarm || of->log.rolled); /* no alarm without a reason */
}

/* ---- question and answer ---- */

static void send(struct machine *m, enum net_kind kind, const struct message *msg)
{
	struct fleet *f = m->fleet;
	struct net_event ev = {.kind = kind, .machine = m->number, .n = sizeof(*msg)};
	uint64_t late = f->weather.delay_ns_max ? prng_below(&f->post, f->weather.delay_ns_max) : 0;

	if (prng_below(&f->post, 1000) < f->weather.lose)
		return;
	ev.bytes = malloc(sizeof(*msg));
	CHECK(ev.bytes);
	memcpy(ev.bytes, msg, sizeof(*msg));
	net_at(f, f->now + 50000 + late, ev);
}

static void question(struct machine *m, struct message *q)
{
	*q = (struct message){.number = ++m->log.asked, .cosigned = m->log.of_hub.last.size};
	show(m, m->log.told, q);
}

static void answer(struct machine *m, const struct message *q, struct message *a)
{
	*a = (struct message){.number = q->number};
	judge(m, &m->log.at_hub, q);
	a->cosigned = m->log.at_hub.last.size;
	show(m->fleet->m[m->hub], q->cosigned, a);
}

static void answered(struct machine *m, const struct message *a)
{
	m->log.told = a->cosigned;
	judge(m->fleet->m[m->hub], &m->log.of_hub, a);
}

/* Perhaps there is something to cosign: by what a node knows itself, its own log has grown. */
void log_look(struct machine *m)
{
	struct link_view v;
	struct message q;

	if (!m->up || m->off || m->fleet->now < m->log.look_ns || m->log.told == m->w->durable)
		return;
	link_look(m->up, &v);
	if (v.state != LINK_UP)
		return;
	m->log.look_ns = m->fleet->now + LOOK_NS;
	m->log.until_ns = m->fleet->now + ANSWER_NS;
	m->log.life = m->w->engine_life;
	question(m, &q);
	send(m, NET_ASK, &q);
}

void log_deliver(struct fleet *f, const struct net_event *ev)
{
	struct machine *m = f->m[ev->machine];
	struct message in, a;

	memcpy(&in, ev->bytes, sizeof(in));
	if (in.number != m->log.asked || f->now > m->log.until_ns || m->log.life != m->w->engine_life ||
	        m->no_up || m->no_down || m->off || f->m[m->hub]->off)
		return; /* its connection is gone */
	if (ev->kind == NET_ANSWER) {
		answered(m, &in);
		return;
	}
	answer(m, &in, &a);
	send(m, NET_ANSWER, &a);
}

uint64_t fleet_cosigned(const struct fleet *f, uint32_t machine, bool *out_alarm)
{
	const struct cosigned *c = &f->m[machine]->log.at_hub;

	*out_alarm = c->alarm;
	return c->last.size;
}

/* ---- checks ---- */

/* Who remembers what is no beginning of the log any more has raised an alarm, and else all of it is cosigned. */
static void check_cosigned(struct machine *of, const struct cosigned *c)
{
	if (is_beginning(of, &c->last))
		CHECK(c->alarm || c->last.size == of->w->durable);
	else
		CHECK(c->alarm && of->log.rolled);
}

void log_check_quiet(struct fleet *f)
{
	for (uint32_t i = 1; i < f->n; i++) {
		struct machine *m = f->m[i];
		struct message q, a;

		/* An answer that was lost is made up for by one more; older heads are an alarm when they are shown again. */
		for (unsigned k = 0; k < 2 + FABRIC_OLDER_TIMES; k++) {
			question(m, &q);
			answer(m, &q, &a);
			answered(m, &a);
		}
		check_cosigned(m, &m->log.at_hub);
		check_cosigned(f->m[m->hub], &m->log.of_hub);
	}
	for (uint32_t i = 0; i < f->n; i++)
		for (size_t k = 0; !f->m[i]->log.rolled && k < f->m[i]->log.n_heads; k++)
			CHECK(is_beginning(f->m[i], &f->m[i]->log.heads[k]));
}
