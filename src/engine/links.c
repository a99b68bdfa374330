/* SPDX-License-Identifier: Apache-2.0 */
/*
 * links - see the header. What ends there are follows from the core (engine_parent(), engine_child()) and is looked at again with
 * EFFECT_LINK; where the brokers are, from the settings of hub and parent.
 */
#include "engine/links.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "core/identity.h"
#include "engine/broker.h"
#include "engine/exec.h"
#include "engine/hub.h"
#include "engine/links_int.h"
#include "engine/parent.h"
#include "io/sha256.h"

#define AGAIN_NS      100000000ull
#define OPEN_AGAIN_NS 5000000000ull
#define STATUS_NS     2000000000ull
#define PATIENCE_NS   20000000ull
#define PRINCIPAL_MAX 256u
#define TASK_USER     65534u /* nobody: who runs a hub's tasks where the keeper may choose */
#define READING_MAX   (4u * ENTRY_BYTES_MAX)

/* ---- what the ends ask of us ---- */

static bool decided(struct links *k, const struct command *cmd, struct err *why)
{
	struct node_answer a;

	a.code = ERR_NONE;
	round_command(k->n, cmd, NULL, 0, &a);
	if (a.code == ERR_NONE)
		return true;
	(void)err_set(why, a.code, "%s", a.message);
	return false;
}

static bool delegated(struct links *k, struct command *cmd, struct err *why)
{
	Wire__JobSpec held = *cmd->u.delegated.spec;
	struct delegated_view v;
	struct parent_view p;

	if (!links_lacks_files(k, &held))
		return decided(k, cmd, why);
	held.held = true;
	cmd->u.delegated.spec = &held;
	if (!decided(k, cmd, why))
		return false;
	if (engine_parent(k->n->engine, &p) &&
	        engine_delegated(k->n->engine, p.number, (lease_id){cmd->u.delegated.of->lease}, &v))
		links_fetch(k, v.job.v);
	return true;
}

/* Tasks of a hub's run here as one user, whoever submitted them there: numbers of users mean nothing on another machine. */
static bool on_command(void *ctx, const struct command *cmd, struct err *why)
{
	struct links *k = ctx;
	struct command mine = *cmd;
	Wire__Principal by = WIRE__PRINCIPAL__INIT;
	char name[PRINCIPAL_MAX];

	if (cmd->kind != CMD_DELEGATED)
		return decided(k, cmd, why);
	(void)snprintf(name, sizeof(name), "%.180s@%s", cmd->by ? cmd->by->name : "somebody", k->upstream);
	by.name = name;
	by.uid = k->uid;
	by.gid = k->gid;
	mine.by = &by;
	return delegated(k, &mine, why);
}

static uint64_t on_appended(void *ctx)
{
	const struct links *k = ctx;

	return k->n->size;
}

static uint64_t on_durable_asked(void *ctx)
{
	const struct links *k = ctx;

	return journal_durable(k->n->journal);
}

static uint64_t on_clock(void *ctx)
{
	const struct links *k = ctx;

	return round_now_ns(k->n);
}

static const Wire__JobSpec *on_spec(void *ctx, job_id job)
{
	struct links *k = ctx;
	struct err e;

	spec_release(&k->spec);
	return spec_hold(k->n->specs, k->n->engine, job, &k->spec, &e) < 0 ? NULL : k->spec.spec;
}

static void on_changed(void *ctx)
{
	struct links *k = ctx;

	k->changed = true;
}

struct link_shell links_shell(struct links *k)
{
	return (struct link_shell){.ctx = k,
	        .engine = k->n->engine,
	        .command = on_command,
	        .appended = on_appended,
	        .durable = on_durable_asked,
	        .spec = on_spec,
	        .sources = links_sources,
	        .near = links_near,
	        .granted = links_granted,
	        .book = &k->book,
	        .ahead_near = links_ahead_near,
	        .ahead = links_ahead,
	        .results = links_results,
	        .clock = on_clock,
	        .sign = links_sign,
	        .verify = links_verify,
	        .take_results = links_take_results,
	        .changed = on_changed};
}

/* ---- ends ---- */

void link_touch(struct link_here *h)
{
	if (h->touched)
		return;
	h->touched = true;
	h->next_touched = h->k->touched;
	h->k->touched = h;
}

struct link_here *link_here_new(struct links *k, enum link_side side)
{
	struct link_here *h = calloc(1, sizeof(*h));

	CHECK(h);
	h->k = k;
	h->due_ns = UINT64_MAX;
	h->mem_bytes = link_bytes(side);
	/* Address space: pages are touched as they are needed. */
	h->mem = mmap(NULL, h->mem_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	        -1, 0);
	CHECK(h->mem != MAP_FAILED);
	return h;
}

void link_here_free(struct link_here *h)
{
	if (!h)
		return;
	(void)munmap(h->mem, h->mem_bytes);
	free(h);
}

void link_set_here(struct link_here *h, bool here)
{
	struct links *k = h->k;

	if (h->here == here)
		return;
	h->here = here;
	if (here)
		link_connected(h->end, round_now_ns(k->n), engine_epoch(k->n->engine) << 32);
	else
		link_disconnected(h->end, round_now_ns(k->n));
	link_touch(h);
}

void links_drop(struct links *k, struct link_here *h)
{
	struct link_here **at = &k->touched;

	if (!h)
		return;
	while (*at && *at != h)
		at = &(*at)->next_touched;
	if (*at)
		*at = h->next_touched;
	link_ahead_forget(&k->book, h->node);
	link_here_free(h);
}

bool links_says(const struct mqtt_message *m, const char *word)
{
	return m->n == strlen(word) && memcmp(m->payload, word, m->n) == 0;
}

/* A node that goes down decides nothing more, and on a full disk neither: the link repairs what is not heard. */
bool links_deaf(const struct links *k)
{
	return k->stopping || k->n->stopping || k->n->broken || journal_full(k->n->journal);
}

void links_publish_state(struct mqtt *m, const char *topic, const char *word)
{
	struct mqtt_message msg = {.topic = topic, .payload = word, .n = strlen(word), .retain = true};

	(void)mqtt_publish(m, &msg, NULL);
}

static void touch_all(struct links *k)
{
	for (uint32_t i = 0; i < k->n_children; i++)
		if (k->children[i])
			link_touch(k->children[i]);
	if (k->parent)
		link_touch(k->parent);
}

void links_on_room(void *ctx)
{
	touch_all(ctx);
}
/* ---- rounds ---- */

static struct mqtt *transport(const struct link_here *h)
{
	return h->node ? h->k->down : h->k->up;
}

/* What there is to see of this node, for the other side; it goes along when something else is said, and once in each session: so the
 * distance of a node that has nothing to do is known, too. */
static bool tell_status(struct link_here *h)
{
	struct links *k = h->k;
	Link__Status s = LINK__STATUS__INIT;
	struct sched_totals totals;
	uint64_t now = round_now_ns(k->n);
	struct link_view v;
	double load;

	link_look(h->end, &v);
	if (now - h->status_ns < STATUS_NS && (v.state != LINK_UP || v.session == h->status_session))
		return false;
	h->status_session = v.session;
	h->status_ns = now;
	sched_totals(engine_sched(k->n->engine), &totals);
	s.running = (uint32_t)totals.leases;
	s.queued = totals.tasks_ready;
	if (getloadavg(&load, 1) == 1)
		s.load_milli = (uint32_t)(load * 1000);
	link_status(h->end, now, &s);
	return true;
}

void links_tell(struct node *n)
{
	struct links *k = n->links;

	for (uint32_t i = 0; k && !k->stopping && i < k->n_children; i++) {
		struct link_here *h = k->children[i];

		if (!h || !h->here || h->removed)
			continue;
		h->status_ns = 0;
		if (tell_status(h))
			link_touch(h);
	}
	links_flush(n);
}

static unsigned publish_next(struct link_here *h, struct mqtt *m)
{
	struct links *k = h->k;
	struct mqtt_message msg = {.topic = h->topic, .payload = k->frame};
	unsigned n = 0;

	while (mqtt_up(m) && mqtt_waiting(m) < LINKS_ROOM) {
		msg.n = link_next(h->end, round_now_ns(k->n), k->frame);
		if (msg.n == 0 || mqtt_publish(m, &msg, NULL) < 0)
			break; /* what is lost the link says again */
		n++;
	}
	return n;
}

/* Everything that this end has to say now, as far as the transport takes it. */
static void say(struct link_here *h)
{
	struct links *k = h->k;
	struct mqtt *m = transport(h);

	if (m && publish_next(h, m) && h->here && tell_status(h))
		(void)publish_next(h, m);
	if (!h->node)
		links_parent_look(h);
	h->due_ns = link_deadline_ns(h->end, round_now_ns(k->n));
	/* It waits for something that is not its own, such as a file on its way. */
	if (h->due_ns <= round_now_ns(k->n))
		h->due_ns = round_now_ns(k->n) + PATIENCE_NS;
}

static void on_timer(uv_timer_t *t)
{
	struct links *k = t->data;

	k->armed_ns = UINT64_MAX;
	touch_all(k);
	links_move(k);
	if (k->open_ns ? round_now_ns(k->n) >= k->open_ns : parent_is(k->n) && !k->up)
		links_refresh(k);
	else if (k->open_ns) /* the loop's clock is coarser, or it was for something else */
		links_wake_at(k, k->open_ns);
}

void links_wake_at(struct links *k, uint64_t due)
{
	uint64_t now = round_now_ns(k->n);

	if (due >= k->armed_ns)
		return;
	uv_update_time(&k->n->loop);
	(void)uv_timer_start(&k->timer, on_timer, due > now ? (due - now + 999999) / 1000000 : 0, 0);
	k->armed_ns = due;
}

void links_offer(struct node *n)
{
	if (n->links)
		n->links->offer_due = true;
}

static void offer(struct links *k)
{
	Wire__NodeSet set;

	k->offer_due = false;
	if (!k->parent)
		return;
	growing_clear(&k->reading);
	if (link_sum(k->n->engine, k->parent->name, &k->reading.arena, &set) < 0)
		return;
	link_node(k->parent->end, round_now_ns(k->n), &set);
	link_touch(k->parent);
}

void links_flush(struct node *n)
{
	struct links *k = n->links;

	if (!k || k->stopping)
		return;
	if (k->offer_due)
		offer(k);
	links_near_tell(k);
	while (k->touched) {
		struct link_here *h = k->touched;

		k->touched = h->next_touched;
		h->touched = false;
		say(h);
		links_wake_at(k, h->due_ns);
	}
}

void links_durable(struct node *n)
{
	struct links *k = n->links;
	uint64_t now;

	if (!k || k->stopping)
		return;
	now = round_now_ns(n);
	for (uint32_t i = 0; i < k->n_children; i++)
		if (k->children[i] && k->children[i]->here) {
			link_durable(k->children[i]->end, now);
			link_touch(k->children[i]);
		}
	if (k->parent && k->parent->here) {
		link_durable(k->parent->end, now);
		link_touch(k->parent);
	}
}

static void note_grant(struct links *k, lease_id lease)
{
	struct lease_view v;
	uint64_t at = lease.v & (LEASES_KNOWN - 1);

	if (!k->parent || !engine_lease(k->n->engine, lease, &v))
		return;
	k->known[at].lease = lease.v;
	k->known[at].granted_ns = v.granted_ns;
}

/* To the child that has the lease, or, when nobody knows it any more, to all of them. */
static void tell_children(struct links *k, const struct effect *ef)
{
	uint64_t now = round_now_ns(k->n);
	struct lease_view v;
	bool known = ef->kind != EFFECT_ADJUST && ef->kind != EFFECT_QUOTA &&
	             engine_lease(k->n->engine, ef->lease, &v);

	for (uint32_t i = 0; i < k->n_children; i++)
		if (k->children[i] && (!known || v.node == i)) {
			link_effect(k->children[i]->end, now, ef);
			link_touch(k->children[i]);
		}
}

static void tell_child(struct links *k, const struct effect *ef)
{
	if (ef->a >= k->n_children || !k->children[ef->a])
		return;
	link_effect(k->children[ef->a]->end, round_now_ns(k->n), ef);
	link_touch(k->children[ef->a]);
}

void links_effect(struct node *n, const struct effect *ef)
{
	struct links *k = n->links;

	if (!k || k->stopping)
		return;
	switch (ef->kind) {
	case EFFECT_START:
		note_grant(k, ef->lease);
		tell_children(k, ef);
		break;
	case EFFECT_STOP:
	case EFFECT_ADJUST:
	case EFFECT_REVEAL:
	case EFFECT_QUOTA:
		tell_children(k, ef);
		break;
	case EFFECT_DELEGATED:
		if (k->parent) {
			link_effect(k->parent->end, round_now_ns(n), ef);
			link_touch(k->parent);
		}
		break;
	case EFFECT_LINK:
		/* Not who should join: what comes of that is told by the same effect. */
		if (hub_is(n)) {
			tell_child(k, ef); /* it may have joined anew */
			links_children_open(k);
		}
		break;
	case EFFECT_JOB:
		/* Its share of quotas may be too small now, or is not needed any more. */
		if (k->parent && k->parent->here) {
			link_effect(k->parent->end, round_now_ns(n), ef);
			link_touch(k->parent);
		}
		break;
	case EFFECT_COMPARE:
	case EFFECT_FORGET:
	case EFFECT_IDENTITY:
		break;
	}
}

/* ---- opening and closing ---- */

static void open_again(struct links *k, uint64_t after_ns)
{
	uint64_t at = round_now_ns(k->n) + after_ns;

	if (!k->open_ns || at < k->open_ns)
		k->open_ns = at;
	links_wake_at(k, k->open_ns);
}

/* Whatever is wrong (a program or a file is not there, a disk is full) somebody may mend it while we run. */
static void opened(struct links *k, int rc, const char *what, const struct err *e)
{
	if (rc == 0) {
		node_notice_over(k->n, what);
	} else if (e->code == ERR_CLOSED) { /* after a start the ledger first reads who may sign */
		open_again(k, AGAIN_NS);
	} else {
		node_notice(k->n, what, e);
		open_again(k, OPEN_AGAIN_NS);
	}
}

/* What ends there should be has changed. */
void links_refresh(struct links *k)
{
	struct err e = {0};

	k->open_ns = 0;
	if (hub_is(k->n)) {
		if (!k->down)
			opened(k, links_hub_open(k, &e), "no node can be reached", &e);
		links_children_open(k);
		links_children_join(k);
		links_children_open(k);
	}
	links_parent_tell(k);
	if (parent_is(k->n) && !k->up && !links_stand_back(k))
		opened(k, links_parent_open(k, &e), "the hub cannot be reached", &e);
}

void links_init(struct node *n)
{
	struct links *k = calloc(1, sizeof(*k));

	CHECK(k);
	k->n = n;
	k->armed_ns = UINT64_MAX;
	k->uid = n->keeper_root ? TASK_USER : geteuid();
	k->gid = n->keeper_root ? TASK_USER : getegid();
	k->scratch = mmap(NULL, FRAME_ARENA_BYTES, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(k->scratch != MAP_FAILED);
	growing_init(&k->reading, 16u << 10, READING_MAX);
	CHECK(uv_timer_init(&n->loop, &k->timer) == 0);
	k->timer.data = k;
	n->links = k;
	links_near_init(k);
	links_ahead_init(k);
	hub_watch(n, links_hub_news, k);
	parent_watch(n, links_parent_news, k);
	links_refresh(k);
	links_shut_out(k);
	links_fetch_held(k);
}

bool links_parent(const struct node *n, struct link_view *out)
{
	if (!n->links || !n->links->parent)
		return false;
	link_look(n->links->parent->end, out);
	return true;
}

bool links_child(const struct node *n, uint32_t node, struct link_view *out)
{
	const struct link_here *h = n->links ? links_child_at(n->links, node) : NULL;

	if (!h)
		return false;
	link_look(h->end, out);
	return true;
}

const char *links_why(const struct node *n)
{
	return n->links ? n->links->why : "";
}

static void on_closed(void *ctx)
{
	struct links *k = ctx;

	k->closing--;
}

/* Leave is taken of the brokers, which takes turns of the loop; nothing is decided in them. */
void links_stop(struct node *n)
{
	struct links *k = n->links;

	if (!k)
		return;
	k->stopping = true;
	(void)uv_timer_stop(&k->timer);
	if (!n->handing_over) { /* else the next engine is here at once */
		links_parent_gone(k);
		if (!n->broken) /* another engine may be the hub by now, at the same broker */
			links_hub_gone(k);
	} else if (links_hub_moves(k)) {
		links_hub_gone(k); /* it is here at once, and not there */
	}
	k->closing = (k->up != NULL) + (k->down != NULL) + (k->broker != NULL);
	mqtt_close(k->up, on_closed, k);
	mqtt_close(k->down, on_closed, k);
	/* Who is broken may have been replaced by another hub: its nodes shall look for that. */
	broker_close(k->broker, n->handing_over ? BROKER_KEEP : BROKER_END, on_closed, k);
	k->up = k->down = NULL;
	k->broker = NULL;
	while (k->closing && uv_run(&n->loop, UV_RUN_ONCE) != 0)
		;
}

void links_close(struct node *n)
{
	struct links *k = n->links;

	if (!k)
		return;
	for (uint32_t i = 0; i < k->n_children; i++)
		link_here_free(k->children[i]);
	link_here_free(k->parent);
	links_moving_free(k);
	free(k->places);
	links_near_free(k);
	links_ahead_free(k);
	links_near_drop(k->granted);
	free(k->children);
	free(k->hashes);
	spec_release(&k->spec);
	growing_release(&k->reading);
	(void)munmap(k->scratch, FRAME_ARENA_BYTES);
	free(k->outputs);
	free(k);
	n->links = NULL;
}
