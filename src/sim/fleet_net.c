/* SPDX-License-Identifier: Apache-2.0 */
/* fleet_net - the network of a fleet, and the shells of links: what they ask for, and when their frames are fetched; see fleet.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/sources.h"
#include "sim/fleet_int.h"

#define NODE_NONE  1000u         /* no node has this number: its hub does not know it */
#define NOTICE_NS  (2 * SIM_S)   /* until an end knows that the fabric carries nothing to it */
#define CONNECT_NS (20 * SIM_MS) /* until both ends know that the fabric carries again */

/* ---- events ---- */

static bool before(const struct net_event *a, const struct net_event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void net_at(struct fleet *f, uint64_t when, struct net_event ev)
{
	size_t i = f->n_heap;

	ev.at = when < f->now ? f->now : when;
	ev.order = f->orders++;
	ROOM(f->heap, f->n_heap, f->heap_room);
	f->n_heap++;
	while (i && before(&ev, &f->heap[(i - 1) / 2])) {
		f->heap[i] = f->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	f->heap[i] = ev;
}

struct net_event net_pop(struct fleet *f)
{
	struct net_event top = f->heap[0], last = f->heap[--f->n_heap];
	size_t i = 0;

	for (;;) {
		size_t c = 2 * i + 1;

		if (c >= f->n_heap)
			break;
		if (c + 1 < f->n_heap && before(&f->heap[c + 1], &f->heap[c]))
			c++;
		if (!before(&f->heap[c], &last))
			break;
		f->heap[i] = f->heap[c];
		i = c;
	}
	f->heap[i] = last;
	return top;
}

/* ---- what a link asks of its shell ---- */

/* The machine whose results these are, by the node that has the lease. */
static struct machine *child_of(struct machine *hub, uint32_t node)
{
	for (uint32_t i = 1; i < hub->fleet->n; i++)
		if (hub->fleet->m[i]->hub == hub->number && hub->fleet->m[i]->at_hub == node)
			return hub->fleet->m[i];
	return NULL;
}

/* Does the machine have the job of this lease? One that has gone back in time and was let in anew has dropped what it had: its book is of before. */
static bool holds(const struct machine *c, const struct book *b, const struct lease_view *v)
{
	struct job_view job;

	return b->of_lease == v->id.v && b->of_tag == v->tag &&
	       (!c->w->rolled_back || engine_job(c->w->engine, (job_id){b->job}, &job));
}

/* A hub ends as lost only what its child gave back by having been rolled back, or never took. */
static void check_lost(struct machine *hub, const struct command *cmd)
{
	struct lease_view v;
	struct machine *c;

	if (cmd->kind != CMD_LEASE_ENDED || cmd->u.ended->reason != WIRE__STOP_REASON__KEEPER_LOST ||
	        hub->w->rolled_back)
		return;
	CHECK(engine_lease(hub->w->engine, (lease_id){cmd->u.ended->lease}, &v));
	c = child_of(hub, v.node);
	CHECK(c);
	for (size_t i = 0; i < c->w->n_books; i++)
		CHECK(!holds(c, &c->w->books[i], &v));
}

static bool shell_command(void *ctx, const struct command *cmd, struct err *why)
{
	struct machine *m = ctx;
	bool good;

	check_lost(m, cmd);
	good = world_ask(m->w, cmd);

	*why = m->w->refusal;
	return good;
}

static uint64_t shell_appended(void *ctx)
{
	return ((struct machine *)ctx)->w->n_disk;
}

static uint64_t shell_durable(void *ctx)
{
	return ((struct machine *)ctx)->w->durable;
}

static const Wire__JobSpec *shell_spec(void *ctx, job_id job)
{
	struct world *w = ((struct machine *)ctx)->w;
	struct book *b = world_book(w, job.v);

	CHECK(b);
	return world_spec(w, b);
}

static void shell_results(void *ctx, job_id job, uint64_t first, uint64_t most, size_t room, struct arena *a,
        struct link_results *out)
{
	struct world *w = ((struct machine *)ctx)->w;
	const struct book *b = world_book(w, job.v);
	Wire__Results *r = out->columns;
	uint64_t n = most < 1 + room / 64 ? most : 1 + room / 64;
	struct link_data *data = arena_calloc(a, n, sizeof(*data));
	uint8_t *byte = arena_alloc(a, n), *sha = arena_calloc(a, n, 32);

	CHECK(b && b->answers && first + most <= b->tasks[0] && data && byte && sha);
	if (w->guile[1] == WORLD_MUTE && !out->digests)
		return; /* it does not say what it has committed to */
	r->code = arena_calloc(a, n, sizeof(*r->code));
	r->wall_us = arena_calloc(a, n, sizeof(*r->wall_us));
	r->outputs = arena_calloc(a, n, sizeof(*r->outputs));
	r->output_bytes = arena_calloc(a, n, sizeof(*r->output_bytes));
	CHECK(r->code && r->wall_us && r->outputs && r->output_bytes);
	r->count = r->n_code = r->n_wall_us = r->n_outputs = r->n_output_bytes = n;
	for (uint64_t i = 0; i < n; i++) {
		const struct answer *x = &b->answers[first + i];

		CHECK(x->seq <= w->durable); /* nothing is told that is not durable */
		r->code[i] = x->o.code;
		r->wall_us[i] = x->o.wall_us;
		r->outputs[i] = 1;
		r->output_bytes[i] = 1;
		byte[i] = x->o.digest;
		if (w->guile[1] == WORLD_SWITCHES && !out->digests)
			byte[i] ^= 1;
		memset(sha + 32 * i, byte[i], 32);
		data[i] = (struct link_data){(uint32_t)i, byte + i, 1};
	}
	r->output_sha256 = (ProtobufCBinaryData){32 * n, sha};
	out->data = data;
	out->n_data = n;
}

/* What comes in is what the child has. */
static void agree(struct machine *hub, const Wire__Results *r)
{
	const Wire__Step *step;
	struct delegated_view d;
	struct parent_view p;
	struct lease_view v;
	struct machine *c;
	const struct book *b;

	CHECK(engine_lease(hub->w->engine, (lease_id){r->lease}, &v));
	c = child_of(hub, v.node);
	CHECK(c && engine_parent(c->w->engine, &p));
	if (c->w->guile[1] || c->w->liar[1])
		return; /* that is what the others are for */
	step = world_spec(hub->w, world_book(hub->w, v.job.v))->steps[v.step];
	for (uint64_t i = 0; i < r->count; i++)
		CHECK(RESULT_COLUMN(r, outcome, i) != WIRE__OUTCOME__SUCCEEDED ||
		        r->output_sha256.data[32 * i] == task_truth(step->index_first + r->first + i));
	if (!engine_delegated(c->w->engine, p.number, (lease_id){r->lease}, &d))
		return; /* it was rolled back since */
	CHECK(d.tag == v.tag);
	b = world_book(c->w, d.job.v);
	CHECK(b && b->answers);
	for (uint64_t i = 0; i < r->count; i++) {
		const struct answer *x = &b->answers[r->first + i - d.first];

		if (!x->seq)
			continue; /* no attempt came so far, or it was rolled back */
		CHECK(x->o.outcome == RESULT_COLUMN(r, outcome, i));
		CHECK(x->o.digest == r->output_sha256.data[32 * i]);
	}
}

static void shell_take(void *ctx, const Wire__Results *r, const struct link_data *data, size_t n)
{
	struct machine *m = ctx;
	struct command cmd = {.kind = CMD_RESULTS, .u.results = r};

	if (r->commitments.len) {
		CHECK(n == 0);
		CHECK(world_ask(m->w, &cmd));
		return;
	}
	CHECK(n == r->count);
	for (size_t i = 0; i < n; i++)
		CHECK(data[i].output == i && data[i].n == 1 &&
		        data[i].bytes[0] == r->output_sha256.data[32 * i]);
	agree(m, r);
	m->fleet->counts.tasks += r->count;
	CHECK(world_ask(m->w, &cmd));
}

/* What simulated tasks take from earlier steps is empty. */
static const Wire__Sources *shell_sources(
        void *ctx, const struct lease_view *l, const Wire__JobSpec *spec, struct arena *a)
{
	struct machine *m = ctx;
	const Wire__Step *st = spec->steps[l->step];
	struct sources_building *b = arena_alloc(a, sizeof(*b));

	CHECK(b && sources_begin(b, l->first + l->count - l->cursor, st->reduce != NULL, 0, a) == 0);
	for (uint64_t t = l->cursor; t < l->first + l->count; t++) {
		uint64_t first, count = 0;
		bool from_map;
		uint32_t of, which;

		sources_task(b);
		if (st->reduce)
			CHECK(engine_reduce_inputs(
			        m->w->engine, l->job, l->step, t, &from_map, &of, &first, &count));
		for (count += sources_plain(st); count > 0; count--)
			CHECK(sources_add(b, &(struct source_view){.bytes = 0}, &which) == 0);
	}
	return &b->s;
}

static uint64_t shell_clock(void *ctx)
{
	return world_clock_ns(((struct machine *)ctx)->w);
}

/* Signatures are the engine's business; here the bytes say by themselves whether they are as they were. */
static bool shell_sign(void *ctx, const uint8_t *bytes, size_t n, uint8_t out[64])
{
	uint64_t h = 1;

	(void)ctx;
	for (size_t i = 0; i < n; i++)
		h = prng_mix(h, bytes[i], i);
	memset(out, 0, 64);
	memcpy(out, &h, sizeof(h));
	return true;
}

static bool shell_verify(void *ctx, const uint8_t *bytes, size_t n, const uint8_t signature[64])
{
	uint8_t want[64];

	return shell_sign(ctx, bytes, n, want) && memcmp(want, signature, 64) == 0;
}

/* The hub thinks that these may be needed. Some of them come, each when it may, if there is still a machine then. */
static void shell_ahead(void *ctx, const Link__Ahead *a)
{
	struct machine *m = ctx;
	struct fleet *f = m->fleet;

	CHECK(a->n_file <= FRAME_AHEAD_MAX && link_version % 1000 >= LINK_AHEAD_MINOR);
	if (a->n_file)
		fleet_say(f, "%-6s hears of files that may be needed: %zu", m->name, a->n_file);
	for (size_t i = 0; i < a->n_file; i++) {
		struct net_event ev = {.kind = NET_HAS, .machine = m->number};

		CHECK(a->file[i]->sha256.len == 32 && a->file[i]->bytes >= LINK_HELD_LEAST);
		memcpy(&ev.arg, a->file[i]->sha256.data, 8);
		if (!fleet_chance(f, f->weather.lose))
			net_at(f, f->now + SIM_MS + prng_below(&f->prng, SIM_S), ev);
	}
}

void net_has(struct machine *m, uint64_t blob)
{
	for (size_t i = 0; i < m->held_bytes; i += 8)
		if (memcmp(m->held + i, &blob, 8) == 0)
			return;
	if (m->held_bytes == sizeof(m->held)) {
		memmove(m->held, m->held + 8, sizeof(m->held) - 8);
		m->held_bytes -= 8;
	}
	memcpy(m->held + m->held_bytes, &blob, 8);
	m->held_bytes += 8;
	m->fleet->counts.ahead++;
	link_held(m->up, m->held, m->held_bytes, "");
	net_pump(m);
}

static struct link_shell shell_of(struct machine *m)
{
	return (struct link_shell){.ctx = m,
	        .book = &m->book,
	        .ahead = shell_ahead,
	        .engine = m->w->engine,
	        .command = shell_command,
	        .appended = shell_appended,
	        .durable = shell_durable,
	        .spec = shell_spec,
	        .sources = shell_sources,
	        .results = shell_results,
	        .take_results = shell_take,
	        .clock = shell_clock,
	        .sign = shell_sign,
	        .verify = shell_verify};
}

/* ---- ends of links ---- */

void net_end_free(struct link_end *l, enum link_side side)
{
	if (l)
		(void)munmap(l, link_bytes(side));
}

static void *end_memory(enum link_side side)
{
	void *p = mmap(NULL, link_bytes(side), PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

void net_child_end(struct machine *m)
{
	struct link_shell shell = shell_of(m);
	struct link_self self = {LINK_TO_HUB, m->name, m->key, m->journal, m->key, 0, NULL};
	Wire__NodeSet offer;
	struct arena a;

	net_end_free(m->up, LINK_TO_HUB);
	arena_init(&a, m->fleet->peek, FRAME_ARENA_BYTES);
	CHECK(link_sum(m->w->engine, m->name, &a, &offer) == 0);
	self.offer = &offer;
	m->up = link_init(end_memory(LINK_TO_HUB), &self, &shell, m->fleet->scratch, FRAME_ARENA_BYTES);
	m->watch = (struct watch){0};
	link_held(m->up, m->held, m->held_bytes, "");
}

void net_hub_end(struct machine *m)
{
	struct link_shell shell = shell_of(m->fleet->m[m->hub]);
	struct link_self self = {LINK_TO_CHILD, m->name, NULL, NULL, NULL, m->at_hub, NULL};

	link_ahead_forget(&m->fleet->m[m->hub]->book, m->at_hub);
	net_end_free(m->to_it, LINK_TO_CHILD);
	m->to_it = link_init(end_memory(LINK_TO_CHILD), &self, &shell, m->fleet->scratch, FRAME_ARENA_BYTES);
	m->watch_hub = (struct watch){0};
}

/* Both ends hear that the fabric carries, each when it is told; unless it is cut again before. */
void net_connect(struct machine *m, uint64_t in_ns)
{
	struct fleet *f = m->fleet;

	if (m->no_up || m->no_down || m->off || f->m[m->hub]->off)
		return;
	m->cut++;
	for (int down = 0; down < 2; down++)
		net_at(f, f->now + in_ns + prng_below(&f->prng, CONNECT_NS),
		        (struct net_event){
		                .kind = NET_UP, .machine = m->number, .down = down != 0, .arg = m->cut});
}

void net_disconnect(struct machine *m, bool hub, bool child)
{
	struct fleet *f = m->fleet;

	m->cut++;
	for (int down = 0; down < 2; down++)
		if (down ? hub : child)
			net_at(f, f->now + prng_below(&f->prng, NOTICE_NS),
			        (struct net_event){.kind = NET_DOWN,
			                .machine = m->number,
			                .down = down != 0,
			                .arg = m->cut});
}

bool machine_effect(struct world *w, const struct effect *fx)
{
	struct machine *m = w->machine;
	struct lease_view v;

	if (fx->kind == EFFECT_JOB && m->up)
		link_effect(m->up, w->now, fx);
	if (fx->kind == EFFECT_DELEGATED || (fx->kind == EFFECT_LINK && fx->a == 0)) {
		if (m->up)
			link_effect(m->up, w->now, fx);
		return true;
	}
	if (fx->kind == EFFECT_START || fx->kind == EFFECT_STOP || fx->kind == EFFECT_REVEAL) {
		struct machine *c;

		if (!engine_lease(w->engine, fx->lease, &v))
			return false;
		c = child_of(m, v.node);
		if (c)
			link_effect(c->to_it, w->now, fx);
		return v.node > w->nodes;
	}
	if (fx->kind != EFFECT_ADJUST && fx->kind != EFFECT_LINK && fx->kind != EFFECT_QUOTA)
		return false;
	for (uint32_t i = 1; i < m->fleet->n; i++)
		if (m->fleet->m[i]->hub == m->number && m->fleet->m[i]->to_it)
			link_effect(m->fleet->m[i]->to_it, w->now, fx);
	return true;
}

uint32_t machine_gang_nodes(const struct world *w)
{
	const struct machine *m = w->machine;
	const struct fleet *f = m->fleet;
	uint32_t n = 1;

	for (uint32_t i = 1; i < f->n; i++) {
		bool hub = false;

		for (uint32_t k = 1; k < f->n; k++)
			hub = hub || f->m[k]->hub == i;
		n += f->m[i]->hub == m->number && !hub;
	}
	return n;
}

void machine_restarted(struct world *w)
{
	struct machine *m = w->machine;
	struct fleet *f = m->fleet;

	f->counts.kills++;
	if (m->number && m->at_hub) {
		net_child_end(m);
		net_connected(m, true, false);
		net_connect(m, SIM_MS);
	}
	for (uint32_t i = 1; i < f->n; i++) {
		struct machine *c = f->m[i];

		if (c->hub != m->number || !c->at_hub)
			continue;
		/* Its disk may have gone back to before the child joined, whose number another may get. */
		c->at_hub = engine_node_named(w->engine, c->name);
		if (!c->at_hub)
			c->at_hub = NODE_NONE;
		net_hub_end(c);
		net_connected(c, false, false);
		net_connect(c, SIM_MS);
	}
}

/* ---- frames ---- */

/* The numbers of what this end takes in, and what its acks promise. */
static void note_in(struct watch *t, const Link__Frame *fr, uint64_t appended)
{
	if (fr->session != t->session) {
		if (fr->session < t->session)
			return;
		*t = (struct watch){.session = fr->session};
	}
	if (fr->number == t->n + 1)
		t->v[++t->n % LINK_WINDOW] = (struct receipt_of_frame){fr->number, appended};
}

static void note_ack(const struct watch *t, const Link__Frame *fr, uint64_t durable)
{
	if (!fr->ack || fr->session != t->session || fr->ack > t->n)
		return;
	CHECK(t->v[fr->ack % LINK_WINDOW].appended <= durable);
}

static const Link__Frame *decode(struct fleet *f, const uint8_t *bytes, size_t n)
{
	const Link__Frame *fr;
	struct arena a;
	struct err e;

	arena_init(&a, f->peek, FRAME_ARENA_BYTES);
	CHECK(frame_decode(&a, bytes, n, &fr, &e) == 0);
	return fr;
}

static void send_frame(struct machine *m, bool down, const uint8_t *bytes, size_t n)
{
	struct fleet *f = m->fleet;
	struct world *w = down ? f->m[m->hub]->w : m->w;
	const Link__Frame *fr = decode(f, bytes, n);
	int copies = fleet_chance(f, f->weather.lose) ? 0 : 1;

	note_ack(down ? &m->watch_hub : &m->watch, fr, w->durable);
	CHECK(fr->size <= w->durable);
	if (fr->body_case == LINK__FRAME__BODY_GRANT) { /* nothing is granted that is not durable */
		uint64_t seq = world_granted_seq(w, fr->grant->lease);

		CHECK(seq && seq <= w->durable);
	}
	copies += fleet_chance(f, f->weather.twice);
	f->counts.frames++;
	f->counts.bytes += n;
	f->counts.lost += copies == 0;
	for (int i = 0; i < copies; i++) {
		struct net_event ev = {.kind = NET_FRAME, .machine = m->number, .down = down, .n = n};
		uint64_t late = f->weather.delay_ns_max ? prng_below(&f->prng, f->weather.delay_ns_max) : 0;

		if (fleet_chance(f, f->weather.hold))
			late += prng_below(&f->prng, f->weather.hold_ns_max);
		ev.bytes = malloc(n);
		CHECK(ev.bytes);
		memcpy(ev.bytes, bytes, n);
		net_at(f, f->now + 50000 + late, ev);
	}
}

static bool pump_end(struct machine *m, bool down)
{
	struct fleet *f = m->fleet;
	struct link_end *l = down ? m->to_it : m->up;
	size_t n, frames = 0;

	if (!l)
		return false;
	while ((n = link_next(l, f->now, f->frame))) {
		send_frame(m, down, f->frame, n);
		CHECK(++frames < 100000);
	}
	return frames != 0;
}

/* Say all that there is to say at this machine, and know when to look again. */
void net_pump(struct machine *m)
{
	struct fleet *f = m->fleet;
	uint64_t due = UINT64_MAX;
	bool news;

	if (m->off)
		return;
	m->w->now = f->now;
	if (m->w->node_changed && m->up) {
		Wire__NodeSet offer;
		struct arena a;

		arena_init(&a, f->peek, FRAME_ARENA_BYTES);
		CHECK(link_sum(m->w->engine, m->name, &a, &offer) == 0);
		link_node(m->up, f->now, &offer);
	}
	m->w->node_changed = false;
	(void)pump_end(m, false);
	news = m->w->durable != m->durable_told;
	m->durable_told = m->w->durable;
	if (m->up)
		due = link_deadline_ns(m->up, f->now);
	for (uint32_t i = 1; i < f->n; i++) {
		if (f->m[i]->hub != m->number || !f->m[i]->to_it)
			continue;
		if (news)
			link_durable(f->m[i]->to_it, f->now);
		(void)pump_end(f->m[i], true);
		due = soonest(due, link_deadline_ns(f->m[i]->to_it, f->now));
	}
	world_settle(m->w);
	log_look(m);
	if (due == UINT64_MAX)
		return;
	due = due > f->now ? due : f->now + SIM_MS;
	if (m->wake_at > f->now && m->wake_at <= due)
		return;
	m->wake_at = due;
	net_at(f, due, (struct net_event){.kind = NET_WAKE, .machine = m->number, .arg = due});
}

void net_deliver(struct fleet *f, const struct net_event *ev)
{
	struct machine *m = f->m[ev->machine], *to = ev->down ? m : f->m[m->hub];
	struct link_end *l = ev->down ? m->up : m->to_it;

	if ((ev->down ? m->no_down : m->no_up) || to->off || !l) {
		f->counts.lost++;
		return;
	}
	to->w->now = f->now;
	link_receive(l, f->now, ev->bytes, ev->n);
	note_in(ev->down ? &m->watch : &m->watch_hub, decode(f, ev->bytes, ev->n), to->w->n_disk);
	net_pump(to);
}

void net_connected(struct machine *m, bool down, bool on)
{
	struct fleet *f = m->fleet;
	struct machine *here = down ? f->m[m->hub] : m;
	struct link_end *l = down ? m->to_it : m->up;

	if (!l || here->off)
		return;
	here->w->now = f->now;
	if (on)
		link_connected(l, f->now, engine_epoch(here->w->engine) << 32);
	else
		link_disconnected(l, f->now);
	net_pump(here);
}
