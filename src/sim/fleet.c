/* SPDX-License-Identifier: Apache-2.0 */
/* fleet - machines, what befalls them, time, and the checks; see fleet.h. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/sched.h"
#include "sim/fleet_int.h"

void fleet_say(struct fleet *f, const char *fmt, ...)
{
	va_list ap;

	if (!f->trace)
		return;
	(void)fprintf(f->trace, "[%7.3f] ", (double)f->now / 1e9);
	va_start(ap, fmt);
	(void)vfprintf(f->trace, fmt, ap);
	va_end(ap);
	(void)fputc('\n', f->trace);
}

bool fleet_chance(struct fleet *f, uint32_t per_thousand)
{
	return per_thousand && prng_below(&f->prng, 1000) < per_thousand;
}

/* ---- machines ---- */

struct fleet *fleet_new(
        uint64_t seed, const struct faults *faults, const struct weather *weather, FILE *trace)
{
	struct fleet *f = calloc(1, sizeof(*f));

	CHECK(f);
	f->seed = seed;
	prng_init(&f->prng, seed ^ 0x666c656574);
	f->trace = trace;
	f->faults = *faults;
	f->weather = *weather;
	f->scratch = aligned_alloc(16, FRAME_ARENA_BYTES);
	f->peek = aligned_alloc(16, FRAME_ARENA_BYTES);
	f->frame = malloc(FRAME_BYTES_MAX);
	CHECK(f->scratch && f->peek && f->frame);
	f->sha = sha256_new();
	f->merkle = sha256_merkle(f->sha);
	prng_init(&f->post, seed ^ 0x706f7374);
	return f;
}

static void join(struct machine *m)
{
	struct fleet *f = m->fleet;
	struct machine *hub = f->m[m->hub];
	Wire__NodeSet n;
	Wire__LinkSet l = WIRE__LINK_SET__INIT;
	struct arena a;
	uint32_t number;

	arena_init(&a, f->peek, FRAME_ARENA_BYTES);
	CHECK(link_sum(m->w->engine, m->name, &a, &n) == 0);
	n.key = (ProtobufCBinaryData){32, m->key};
	n.journal = (ProtobufCBinaryData){32, m->journal};
	n.from_size = m->w->durable;
	m->rejoin = false;
	f->counts.joins++;
	hub->w->now = m->w->now = f->now;
	CHECK(world_ask(hub->w, &(struct command){.kind = CMD_NODE_JOIN, .u.node_set = &n}));
	number = engine_node_named(hub->w->engine, m->name);
	if (m->to_it && number != m->at_hub)
		net_end_free(m->to_it, LINK_TO_CHILD), m->to_it = NULL;
	m->at_hub = number;
	l.name = hub->name;
	l.key = (ProtobufCBinaryData){32, hub->key};
	CHECK(world_ask(m->w, &(struct command){.kind = CMD_LINK_SET, .u.link_set = &l}));
	if (!m->up)
		net_child_end(m);
	if (!m->to_it)
		net_hub_end(m);
	net_connect(m, 0);
	net_pump(hub);
	net_pump(m);
}

uint32_t fleet_add(struct fleet *f, const char *name, uint32_t hub)
{
	struct machine *m = calloc(1, sizeof(*m));

	CHECK(m && f->n < MACHINES_MAX && strlen(name) < sizeof(m->name));
	m->fleet = f;
	m->number = f->n;
	m->hub = hub;
	(void)snprintf(m->name, sizeof(m->name), "%s", name);
	memset(m->key, (int)(f->n + 1), sizeof(m->key));
	memset(m->journal, (int)(f->n + 101), sizeof(m->journal));
	m->w = world_new(prng_mix(f->seed, f->n, 3), &f->faults, 1, NULL);
	m->w->trace = f->trace;
	m->w->name = m->name;
	m->w->machine = m;
	m->w->now = f->now;
	f->m[f->n++] = m;
	log_init(m);
	if (m->number) {
		world_clock_set(m->w, (int64_t)(prng_below(&f->prng, 3600) * SIM_S)); /* its clock is wrong */
		m->w->leapt = false;
		join(m);
	}
	return m->number;
}

void fleet_free(struct fleet *f)
{
	if (!f)
		return;
	for (uint32_t i = 0; i < f->n; i++) {
		net_end_free(f->m[i]->up, LINK_TO_HUB);
		net_end_free(f->m[i]->to_it, LINK_TO_CHILD);
		world_free(f->m[i]->w);
		log_free(f->m[i]);
		free(f->m[i]);
	}
	for (size_t i = 0; i < f->n_heap; i++)
		free(f->heap[i].bytes);
	free(f->heap);
	sha256_free(f->sha);
	free(f->scratch);
	free(f->peek);
	free(f->frame);
	free(f);
}

uint32_t fleet_machines(const struct fleet *f)
{
	return f->n;
}

struct world *fleet_world(struct fleet *f, uint32_t machine)
{
	f->m[machine]->w->now = f->now;
	return f->m[machine]->w;
}

void fleet_set(struct fleet *f, const struct faults *faults, const struct weather *weather)
{
	f->faults = *faults;
	f->weather = *weather;
	for (uint32_t i = 0; i < f->n; i++)
		world_set_faults(f->m[i]->w, faults);
}

uint64_t fleet_now_ns(const struct fleet *f)
{
	return f->now;
}

struct prng *fleet_prng(struct fleet *f)
{
	return &f->prng;
}

void fleet_join(struct fleet *f, uint32_t machine)
{
	fleet_say(f, "%-6s joins again", f->m[machine]->name);
	join(f->m[machine]);
}

void fleet_cut(struct fleet *f, uint32_t machine, bool up, bool down, uint64_t ns)
{
	struct machine *m = f->m[machine];

	fleet_say(f, "%-6s is cut off%s", m->name, up && down ? "" : up ? ", upwards" : ", downwards");
	m->no_up |= up;
	m->no_down |= down;
	f->counts.cuts++;
	/* Who hears nothing any more notices it after a while; the other one does not. */
	net_disconnect(m, up, down);
	if (ns != UINT64_MAX)
		net_at(f, f->now + ns,
		        (struct net_event){.kind = NET_MEND, .machine = machine, .arg = m->cut});
}

void fleet_mend(struct fleet *f, uint32_t machine)
{
	struct machine *m = f->m[machine];

	fleet_say(f, "%-6s is back on the line", m->name);
	m->no_up = m->no_down = false;
	net_connect(m, SIM_MS);
}

void fleet_kill(struct fleet *f, uint32_t machine)
{
	world_kill_engine(fleet_world(f, machine));
	net_pump(f->m[machine]);
}

void fleet_power_cut(struct fleet *f, uint32_t machine, uint64_t ns)
{
	struct machine *m = f->m[machine];

	CHECK(machine); /* a child's */
	fleet_say(f, "%-6s has no power", m->name);
	m->off = true;
	net_disconnect(m, true, false);
	net_at(f, f->now + ns, (struct net_event){.kind = NET_BOOT, .machine = machine});
}

void fleet_take_over(struct fleet *f, uint32_t machine, uint64_t ns)
{
	struct machine *m = f->m[machine];

	fleet_say(f, "%-6s is lost, and the standby waits", m->name);
	f->counts.take_overs++;
	m->off = m->taken = true;
	if (machine)
		net_disconnect(m, true, false);
	for (uint32_t i = 1; i < f->n; i++)
		if (f->m[i]->hub == machine)
			net_disconnect(f->m[i], false, true);
	net_at(f, f->now + ns, (struct net_event){.kind = NET_BOOT, .machine = machine});
}

void fleet_rollback(struct fleet *f, uint32_t machine, uint64_t entries)
{
	struct machine *m = f->m[machine];
	size_t least = 3, to = m->w->durable > entries + least ? m->w->durable - entries : least;

	if (m->w->durable <= least || m->off)
		return;
	f->counts.rollbacks++;
	world_rollback(fleet_world(f, machine), to);
	log_rolled_back(m);
	net_pump(m);
}

uint64_t fleet_size(const struct fleet *f, uint32_t machine)
{
	return f->m[machine]->w->durable;
}

bool fleet_on_disk(const struct fleet *f, uint32_t machine)
{
	return f->m[machine]->w->durable == f->m[machine]->w->n_disk;
}

void fleet_look(const struct fleet *f, uint32_t machine, struct link_view *out)
{
	link_look(f->m[machine]->up, out);
}

/* ---- time ---- */

static void boot_again(struct machine *m)
{
	m->off = false;
	m->w->now = m->fleet->now;
	m->w->n_heap = 0; /* all of an earlier life */
	if (m->taken)
		world_clock_set(
		        m->w, (int64_t)(prng_below(&m->fleet->prng, 120) * SIM_S) - (int64_t)(60 * SIM_S));
	fleet_say(m->fleet, "%-6s has power again%s", m->name, m->taken ? ": another machine took over" : "");
	m->taken = false;
	world_kill_keeper(m->w);
	net_pump(m);
}

static void net_step(struct fleet *f)
{
	struct net_event ev = net_pop(f);
	struct machine *m = f->m[ev.machine];

	f->now = ev.at;
	switch (ev.kind) {
	case NET_FRAME:
		net_deliver(f, &ev);
		free(ev.bytes);
		return;
	case NET_ASK:
	case NET_ANSWER:
		log_deliver(f, &ev);
		free(ev.bytes);
		return;
	case NET_UP:
		if (ev.arg == m->cut)
			net_connected(m, ev.down, true);
		return;
	case NET_DOWN:
		if (ev.arg == m->cut)
			net_connected(m, ev.down, false);
		return;
	case NET_MEND:
		if (ev.arg == m->cut || m->no_up || m->no_down)
			fleet_mend(f, ev.machine);
		return;
	case NET_WAKE:
		if (m->wake_at == ev.arg)
			net_pump(m);
		return;
	case NET_BOOT:
		boot_again(m);
		return;
	case NET_HAS:
		if (m->up && !m->off)
			net_has(m, ev.arg);
		return;
	case NET_JOIN:
		if (m->rejoin && !m->off && !f->m[m->hub]->off)
			fleet_join(f, ev.machine);
		m->rejoin = false; /* else whoever looks again sees it again */
		return;
	}
}

/* Somebody sees that a link was refused, and joins the machine again. */
static void administer(struct fleet *f)
{
	for (uint32_t i = 1; i < f->n; i++) {
		struct machine *m = f->m[i];
		struct link_view v;

		if (!m->up || m->off || m->rejoin)
			continue;
		link_look(m->up, &v);
		if (v.state != LINK_REFUSED)
			continue;
		f->counts.refused++;
		m->rejoin = true;
		net_at(f, f->now + SIM_S, (struct net_event){.kind = NET_JOIN, .machine = i});
	}
}

static void mischief(struct fleet *f)
{
	uint32_t i = f->n > 1 ? 1 + (uint32_t)prng_below(&f->prng, f->n - 1) : 0;
	const struct weather *w = &f->weather;
	uint64_t ns = w->cut_ns_max ? prng_below(&f->prng, w->cut_ns_max) : 0;

	if (fleet_chance(f, w->rollback_root))
		fleet_rollback(f, 0, prng_below(&f->prng, 40));
	if (fleet_chance(f, w->take_over)) {
		uint32_t lost = prng_below(&f->prng, 4) ? 0 : i;

		if (!f->m[lost]->off)
			fleet_take_over(f, lost, prng_below(&f->prng, 10 * SIM_S));
	}
	if (!i || f->m[i]->off)
		return;
	if (fleet_chance(f, w->cut))
		fleet_cut(f, i, true, true, ns);
	else if (fleet_chance(f, w->cut_way))
		fleet_cut(f, i, ns & 1, !(ns & 1), ns);
	else if (fleet_chance(f, w->flap))
		fleet_cut(f, i, true, true, prng_below(&f->prng, 50 * SIM_MS));
	else if (fleet_chance(f, w->rollback))
		fleet_rollback(f, i, prng_below(&f->prng, 60));
}

bool fleet_step(struct fleet *f)
{
	uint64_t next = f->n_heap ? f->heap[0].at : UINT64_MAX;
	struct machine *first = NULL;

	for (uint32_t i = 0; i < f->n; i++) {
		uint64_t t = world_next_at(f->m[i]->w);

		if (f->m[i]->off || t == UINT64_MAX || t > next || (t == next && (f->n_heap || first)))
			continue;
		next = t;
		first = f->m[i];
	}
	if (next == UINT64_MAX)
		return false;
	f->counts.steps++;
	if (first) {
		f->now = next;
		(void)world_step(first->w);
		net_pump(first);
	} else {
		enum net_kind kind = f->heap[0].kind;

		net_step(f);
		if (kind == NET_ASK || kind == NET_ANSWER)
			return true; /* nothing else depends on who cosigns what */
	}
	mischief(f);
	return true;
}

void fleet_run_until(struct fleet *f, uint64_t ns)
{
	for (;;) {
		uint64_t next = f->n_heap ? f->heap[0].at : UINT64_MAX;

		for (uint32_t i = 0; i < f->n; i++)
			if (!f->m[i]->off)
				next = soonest(next, world_next_at(f->m[i]->w));
		if (next > ns || !fleet_step(f))
			break;
		fleet_check(f, false);
	}
	f->now = f->now < ns ? ns : f->now;
}

void fleet_run(struct fleet *f, uint64_t steps_max)
{
	for (uint64_t k = 0; fleet_step(f); k++) {
		fleet_check(f, false);
		CHECK(k < steps_max); /* no end in sight */
	}
}

/* ---- checks ---- */

static void check_end(const struct link_end *l)
{
	struct link_view v;

	if (!l)
		return;
	link_look(l, &v);
	CHECK(v.unacknowledged <= LINK_WINDOW &&
	        v.unacknowledged_bytes <= LINK_WINDOW_BYTES + LINK_URGENT_BYTES + 2 * FRAME_BYTES_MAX);
	CHECK(v.held <= FRAME_HELD_MAX);
	CHECK(v.bad == 0); /* all that comes is from one of us */
}

/* Has the hub told this child all that is to be told, and was it heard? */
static bool all_said(const struct machine *m)
{
	const struct world *hub = m->fleet->m[m->hub]->w;
	struct link_view up, down;

	link_look(m->up, &up);
	link_look(m->to_it, &down);
	return !m->off && up.state == LINK_UP && down.state == LINK_UP && up.session == down.session &&
	       !down.unacknowledged && hub->durable == hub->n_disk && m->w->durable == m->w->n_disk;
}

/* What runs here of a hub's is what the hub's journal says, if it says anything. */
static void check_delegated(struct machine *m)
{
	struct machine *hub = m->fleet->m[m->hub];
	struct delegated_view d = {{0}}, same;
	struct parent_view p;
	struct link_view end;
	struct child_view c;

	link_look(m->to_it, &end);
	CHECK(end.state == LINK_UP || end.state == LINK_HELLO ||
	        !engine_child(hub->w->engine, m->at_hub, &c) || c.link != WIRE__NODE_SET__STATE__UP);
	if (!engine_parent(m->w->engine, &p))
		return;
	while (engine_delegated_next(m->w->engine, d.job, &d)) {
		struct lease_view v;

		/* The same attempt does not run twice: what is left of an earlier joining is another one. */
		if (d.parent != p.number && engine_delegated(m->w->engine, p.number, d.lease, &same))
			CHECK(same.tag != d.tag || d.finished);
		if (d.parent != p.number || !engine_lease(hub->w->engine, d.lease, &v) || v.tag != d.tag)
			continue;
		if (all_said(m) && v.stopping)
			CHECK(d.cancelled || d.finished);
		CHECK(v.node == m->at_hub && d.first >= v.first && d.first + d.tasks == v.first + v.count);
	}
}

/* In thousandths of a cpu, what its own jobs hold on a machine that has power. */
static uint64_t quota_held(const struct machine *m, const char *name)
{
	const struct sched *s = engine_sched(m->w->engine);
	struct sched_namespace_view v;
	const char *resource;

	if (m->off || !sched_namespace_named(s, name, &v))
		return 0;
	for (uint32_t r = 0; (resource = sched_resource_name(s, r)); r++)
		if (strcmp(resource, "cpu") == 0)
			return v.used[r];
	return 0;
}

static void check_quota(const struct fleet *f)
{
	uint64_t sum = 0;
	bool back = false;

	for (uint32_t i = 0; i < f->n; i++) {
		back |= f->m[i]->w->back;
		if (f->m[i]->w->leapt || f->m[i]->w->rolled_back)
			return;
		sum += quota_held(f->m[i], f->quota_of);
	}
	/* Until those that came back have ended they may be too many. */
	CHECK(sum <= f->quota || back);
	for (uint32_t i = 0; sum <= f->quota && i < f->n; i++)
		f->m[i]->w->back = false;
}

void fleet_quota(struct fleet *f, const char *name, uint64_t cpu)
{
	f->quota_of = name;
	f->quota = cpu;
}

void fleet_check(struct fleet *f, bool deep)
{
	if (f->quota)
		check_quota(f);
	for (uint32_t i = 0; i < f->n; i++) {
		struct machine *m = f->m[i];

		world_check(m->w, deep);
		check_end(m->up);
		check_end(m->to_it);
		if (i && deep)
			check_delegated(m);
	}
	if (f->weather.rejoins)
		administer(f);
}

void fleet_check_quiet(struct fleet *f)
{
	log_check_quiet(f);
	audit_results(f);
	for (uint32_t i = 0; i < f->n; i++) {
		struct machine *m = f->m[i];
		struct link_view v;

		world_check(m->w, true);
		world_check_all_finished(m->w);
		CHECK(engine_delegated_count(m->w->engine) == 0);
		if (!i)
			continue;
		link_look(m->up, &v);
		CHECK(v.state == LINK_UP && v.unacknowledged == 0 && v.held == 0);
		link_look(m->to_it, &v);
		CHECK(v.state == LINK_UP && v.unacknowledged == 0);
	}
}

void fleet_counts(const struct fleet *f, struct fleet_counts *out)
{
	*out = f->counts;
	for (uint32_t i = 1; i < f->n; i++) {
		struct link_view v;

		link_look(f->m[i]->up, &v);
		out->sessions += v.sessions;
	}
	for (uint32_t i = 0; i < f->n; i++)
		out->below += f->m[i]->w->counts.below;
}
