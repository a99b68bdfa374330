/* SPDX-License-Identifier: Apache-2.0 */
/* world - clock, disk and engine of the simulated machine room; see world.h. What runs is in executor.c. */
#include "sim/world.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sim/world_state.h"

#define BASE_NS      1800000000000000000ull
#define MEMORY_BYTES (1u << 28)
#define LIST_MAX     4096

void world_say(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (!w->trace)
		return;
	(void)fprintf(w->trace, "[%7.3f] ", (double)w->now / 1e9);
	if (w->name)
		(void)fprintf(w->trace, "%-6s ", w->name);
	va_start(ap, fmt);
	(void)vfprintf(w->trace, fmt, ap);
	va_end(ap);
	(void)fputc('\n', w->trace);
}

bool world_chance(struct world *w, uint32_t per_thousand)
{
	return per_thousand && prng_below(&w->prng, 1000) < per_thousand;
}

/* ---- events: a binary heap by (time, order) ---- */

static bool before(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void world_at(struct world *w, uint64_t at, struct event ev)
{
	size_t i = w->n_heap;

	ev.at = at < w->now ? w->now : at;
	ev.order = w->orders++;
	ROOM(w->heap, w->n_heap, w->heap_room);
	w->n_heap++;
	while (i && before(&ev, &w->heap[(i - 1) / 2])) {
		w->heap[i] = w->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	w->heap[i] = ev;
}

static struct event pop(struct world *w)
{
	struct event top = w->heap[0], last = w->heap[--w->n_heap];
	size_t i = 0;

	for (;;) {
		size_t c = 2 * i + 1;

		if (c >= w->n_heap)
			break;
		if (c + 1 < w->n_heap && before(&w->heap[c + 1], &w->heap[c]))
			c++;
		if (!before(&w->heap[c], &last))
			break;
		w->heap[i] = w->heap[c];
		i = c;
	}
	w->heap[i] = last;
	return top;
}

/* ---- the engine and its disk ---- */

static struct engine *engine_make(void **out_mem, size_t *out_n)
{
	struct engine_limits l = engine_limits_default(MEMORY_BYTES);
	void *mem = mmap(NULL, l.memory_bytes, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct engine *e;

	CHECK(mem != MAP_FAILED);
	e = engine_new(mem, &l);
	CHECK(e);
	*out_mem = mem;
	*out_n = l.memory_bytes;
	return e;
}

static void hold(struct world *w, struct held h)
{
	ROOM(w->held, w->n_held, w->held_room);
	w->held[w->n_held++] = h;
}

/* Whoever is asked to reveal: has everybody else committed, is over, or was not asked to run? */
static void check_reveal(struct world *w, const struct effect *fx)
{
	struct lease_view l;

	CHECK(engine_lease(w->engine, fx->lease, &l) && l.revealing && l.held &&
	        l.cursor == l.first + l.count);
	for (uint64_t task = l.first; task < l.cursor; task++) {
		struct vote_view v[REPLICAS_MAX];
		uint32_t n = engine_votes(w->engine, l.job, l.step, task, v, REPLICAS_MAX), held = 0;
		struct task_view t;
		bool said = false;

		CHECK(engine_task(w->engine, l.job, l.step, task, &t));
		for (uint32_t r = 0; r < n; r++)
			said |= v[r].state == TASK_DONE && v[r].outcome == WIRE__OUTCOME__SUCCEEDED;
		if (said || t.state == TASK_DONE || !v[l.replica].held || v[l.replica].lease.v != l.id.v)
			continue;
		for (uint32_t r = 0; r < n; r++)
			held += v[r].held;
		/* Two agree in every job here, at least: then late ones are not waited for. */
		for (uint32_t r = 0; r < n; r++)
			CHECK(held >= 2 || v[r].held || v[r].state == TASK_DONE ||
			        v[r].state == TASK_BLOCKED);
	}
}

static void write_down(struct world *w, const Wire__Entry *en)
{
	static struct effect fx[2 * EFFECTS_PER_APPLY_MAX];
	struct effect_list list = {fx, 0, ARRAY_LEN(fx)};
	uint64_t seq = w->n_disk;
	struct stored s;

	world_tell_entry(w, en);
	if (en->body_case == WIRE__ENTRY__BODY_LEASE_GRANTED) {
		executor_check_class(w, en->lease_granted);
		executor_check_place(w, en->lease_granted);
	}
	if (en->body_case == WIRE__ENTRY__BODY_JOB_SUBMITTED)
		book_job(w, en->job_submitted, seq);
	if (en->body_case == WIRE__ENTRY__BODY_RESULTS)
		book_results(w, en->results, seq);
	if (en->body_case == WIRE__ENTRY__BODY_JOB_FORGOTTEN)
		book_forgotten(w, en->job_forgotten->job, seq);
	if (en->body_case == WIRE__ENTRY__BODY_LATE_RESULT)
		book_late(w, en->late_result);
	if (en->body_case == WIRE__ENTRY__BODY_LEASE_STOPPING)
		book_stopping(w, en->lease_stopping);
	s.n = entry_size(en);
	s.bytes = malloc(s.n + 1);
	CHECK(s.bytes && entry_encode(en, s.bytes) == s.n);
	ROOM(w->disk, w->n_disk, w->disk_room);
	w->disk[w->n_disk++] = s;
	engine_apply(w->engine, en, &list);
	w->counts.entries++;
	for (size_t i = 0; i < list.n; i++)
		if (fx[i].kind == EFFECT_REVEAL)
			check_reveal(w, &fx[i]);
	for (size_t i = 0; i < list.n; i++)
		hold(w, (struct held){.seq = seq, .kind = HELD_EFFECT, .effect = fx[i]});
	if (en->body_case == WIRE__ENTRY__BODY_JOB_SUBMITTED)
		hold(w, (struct held){.seq = seq, .kind = HELD_JOB, .id = en->job_submitted->job});
	if (en->body_case == WIRE__ENTRY__BODY_RESULTS) {
		w->counts.results += en->results->commitments.len ? 0 : en->results->count;
		hold(w, (struct held){.seq = seq,
		                .kind = HELD_RESULTS,
		                .id = en->results->lease,
		                .cursor = en->results->first + en->results->count});
	}
	if (en->body_case == WIRE__ENTRY__BODY_LATE_RESULT)
		hold(w, (struct held){.seq = seq,
		                .kind = HELD_RESULTS,
		                .id = en->late_result->lease,
		                .cursor = en->late_result->first + en->late_result->count});
	if (en->body_case == WIRE__ENTRY__BODY_LEASE_ENDED)
		hold(w, (struct held){.seq = seq, .kind = HELD_END, .id = en->lease_ended->lease});
	w->counts.stale += en->body_case == WIRE__ENTRY__BODY_REFUSED;
	w->back |= en->body_case == WIRE__ENTRY__BODY_LEASE_PARKED &&
	           en->lease_parked->what == WIRE__LEASE_PARKED__WHAT__BACK;
	w->counts.leases += en->body_case == WIRE__ENTRY__BODY_LEASE_GRANTED;
	w->node_changed |=
	        en->body_case == WIRE__ENTRY__BODY_NODE_SET || en->body_case == WIRE__ENTRY__BODY_NODE_LINK;
	if (en->body_case == WIRE__ENTRY__BODY_REFUSED)
		(void)err_set(&w->refusal, strcmp(en->refused->code, "full") ? ERR_INVALID : ERR_FULL, "%s",
		        en->refused->reason);
	if (en->body_case == WIRE__ENTRY__BODY_LEASE_GRANTED && w->machine) {
		struct lease_view v;

		CHECK(engine_lease(w->engine, (lease_id){en->lease_granted->lease}, &v));
		ROOM(w->grants, w->n_grants, w->grants_room);
		w->grants[w->n_grants++] = (struct grantbook){v.id.v, seq + 1, v.node, v.tag};
	}
}

/* Members are granted all together, in one decision and in order, each where it may be. */
static void check_gang(struct world *w, const struct entry_list *list)
{
	const Wire__LeaseGranted *first = list->n ? list->v[0]->lease_granted : NULL;
	const struct book *b;
	const Wire__Gang *g;

	if (!list->n || list->v[0]->body_case != WIRE__ENTRY__BODY_LEASE_GRANTED || !first->gang)
		return;
	b = world_book(w, first->job);
	CHECK(b);
	g = world_spec(w, b)->steps[first->step]->gang;
	CHECK(g && list->n == g->size && first->lease == first->gang);
	for (size_t i = 0; i < list->n; i++) {
		const Wire__LeaseGranted *m = list->v[i]->lease_granted;

		CHECK(list->v[i]->body_case == WIRE__ENTRY__BODY_LEASE_GRANTED && m->replica == i);
		CHECK(m->lease == first->lease + i && m->gang == first->gang && m->port == first->port);
		CHECK(m->job == first->job && m->step == first->step && m->first == first->first &&
		        m->count == 1);
		for (size_t k = 0; g->apart && k < i; k++)
			CHECK(list->v[k]->lease_granted->node != m->node);
	}
}

/* Decide one command and apply what comes; returns how many entries came. */
static size_t ask(struct world *w, const struct command *cmd, uint64_t *out_job)
{
	static const Wire__Entry *v[LIST_MAX];
	struct arena a;
	struct entry_list list = {.arena = &a, .v = v, .max = LIST_MAX};
	uint64_t life = w->engine_life;

	arena_init(&a, w->scratch, SCRATCH_BYTES);
	engine_decide(w->engine, world_clock_ns(w), cmd, &list);
	CHECK(!list.full);
	check_gang(w, &list);
	for (size_t i = 0; i < list.n && life == w->engine_life; i++) {
		if (out_job && v[i]->body_case == WIRE__ENTRY__BODY_JOB_SUBMITTED)
			*out_job = v[i]->job_submitted->job;
		write_down(w, v[i]);
	}
	return list.n;
}

static void commit(struct world *w)
{
	uint64_t ns;

	if (w->committing || w->n_disk == w->durable)
		return;
	ns = 100000 + prng_below(&w->prng, w->faults.disk_ns_max + 1);
	if (world_chance(w, w->faults.disk_stalls))
		ns *= 100;
	w->committing = w->n_disk;
	world_at(w, w->now + ns,
	        (struct event){.kind = world_chance(w, w->faults.disk_fails) ? EV_DISK_FAILED : EV_COMMITTED,
	                .life = w->engine_life});
}

/* The end of a round: place and fire until nothing comes, then commit; and know when to look again. */
static void settle(struct world *w)
{
	struct command tick = {.kind = CMD_TICK};
	uint64_t at, clock, rounds = 0;

	while (ask(w, &tick, NULL))
		CHECK(++rounds < 1000000);
	commit(w);
	clock = world_clock_ns(w);
	at = engine_deadline_ns(w->engine, clock);
	if (at == UINT64_MAX)
		return;
	at = at > clock ? w->now + (at - clock) : w->now + 1;
	if (w->tick_at <= w->now || at < w->tick_at) {
		w->tick_at = at;
		world_at(w, at, (struct event){.kind = EV_TICK, .life = w->engine_life});
	}
}

bool world_ask(struct world *w, const struct command *cmd)
{
	w->refusal = (struct err){0};
	(void)ask(w, cmd, NULL);
	return w->refusal.code == ERR_NONE;
}

void world_settle(struct world *w)
{
	settle(w);
}

uint64_t world_next_at(const struct world *w)
{
	return w->n_heap ? w->heap[0].at : UINT64_MAX;
}

const struct grantbook *world_grant(const struct world *w, uint64_t lease)
{
	size_t lo = 0, hi = w->n_grants;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (w->grants[mid].lease < lease)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < w->n_grants && w->grants[lo].lease == lease ? &w->grants[lo] : NULL;
}

uint64_t world_granted_seq(const struct world *w, uint64_t lease)
{
	const struct grantbook *g = world_grant(w, lease);

	return g ? g->seq : 0;
}

void world_command(struct world *w, const struct command *cmd)
{
	(void)ask(w, cmd, NULL);
	settle(w);
}

uint64_t world_submit(struct world *w, const Wire__JobSpec *spec)
{
	return world_submit_key(w, spec, NULL);
}

uint64_t world_submit_key(struct world *w, const Wire__JobSpec *spec, const char *key)
{
	Wire__Principal by = WIRE__PRINCIPAL__INIT;
	struct command cmd = {.kind = CMD_SUBMIT, .by = &by, .u.submit = {spec, key}};
	uint64_t job = 0, was, entries;

	by.name = (char[]){"uid:1000"};
	by.uid = by.gid = 1000;
	was = key ? engine_job_by_key(w->engine, &by, key).v : 0;
	entries = ask(w, &cmd, &job);
	CHECK(!was || (entries == 0 && engine_job_by_key(w->engine, &by, key).v == was));
	CHECK(!key || !job || engine_job_by_key(w->engine, &by, key).v == job);
	w->counts.jobs += job != 0;
	settle(w);
	return job;
}

/* Tell the engine what the machine has. */
static void node_set(struct world *w, uint32_t node)
{
	static char names[4][8] = {"cpu", "memory", "gpu", "gpu"};
	Wire__Need needs[3] = {WIRE__NEED__INIT, WIRE__NEED__INIT, WIRE__NEED__INIT}, *pneeds[3];
	Wire__NodeSet__Device dev[2] = {WIRE__NODE_SET__DEVICE__INIT, WIRE__NODE_SET__DEVICE__INIT}, *pdev[2];
	Wire__NodeSet n = WIRE__NODE_SET__INIT;
	struct command cmd = {.kind = CMD_NODE_SET, .u.node_set = &n};
	Wire__Pair class_ = WIRE__PAIR__INIT, *labels = &class_;
	char name[16];
	const uint64_t q = w->node[node].quarters, gpus = q / 2;
	const uint64_t amounts[3] = {1000 * q, q << 31, 1000 * gpus};

	for (uint32_t i = 0; i < 3; i++) {
		needs[i].name = names[i];
		needs[i].amount = amounts[i];
		pneeds[i] = &needs[i];
	}
	for (uint32_t i = 0; i < 2; i++) {
		dev[i].resource = names[2];
		dev[i].index = i;
		dev[i].milli = 1000;
		pdev[i] = &dev[i];
	}
	(void)snprintf(name, sizeof(name), "n%u", node);
	n.node = node;
	n.commits = w->fleet && node > 1;
	n.name = name;
	n.n_capacity = gpus ? 3 : 2; /* gpus are devices, or there are none */
	n.capacity = pneeds;
	n.n_devices = gpus;
	n.devices = pdev;
	n.state = w->node[node].state;
	class_.key = (char *)(uintptr_t) "class";
	class_.value = (char *)(uintptr_t)(w->class_ ? w->class_ : node % 2 ? "odd" : "even");
	n.labels = &labels;
	n.n_labels = 1;
	n.address = name;
	(void)ask(w, &cmd, NULL);
}

void world_node(struct world *w, uint32_t node, Wire__NodeSet__State state, uint32_t quarters)
{
	CHECK(node && node <= w->nodes && quarters && quarters <= 4);
	w->node[node].state = state;
	w->node[node].quarters = quarters;
	node_set(w, node);
	settle(w);
}

/* Fold what is on the disk into a fresh engine; half of the time by way of a snapshot in the middle. */
struct sink {
	uint8_t *p;
	size_t n, room;
};

static int sink_put(void *ctx, const void *p, size_t n)
{
	struct sink *s = ctx;

	while (s->n + n > s->room) {
		s->room = s->room ? 2 * s->room : 65536;
		s->p = realloc(s->p, s->room);
		CHECK(s->p);
	}
	memcpy(s->p + s->n, p, n);
	s->n += n;
	return 0;
}

static void fold(struct world *w, struct engine *e, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		const Wire__Entry *en;
		struct arena a;
		struct err err;

		arena_init(&a, w->scratch, SCRATCH_BYTES);
		CHECK(entry_decode(&a, w->disk[i].bytes, w->disk[i].n, &en, &err) == 0);
		engine_apply(e, en, NULL);
	}
}

static struct engine *recover(struct world *w, size_t to, size_t snapshot_at, void **mem, size_t *mem_n)
{
	struct engine *e = engine_make(mem, mem_n);
	struct sink s = {0};
	struct err err;

	fold(w, e, 0, snapshot_at);
	if (snapshot_at) {
		uint64_t digest = engine_digest(e);

		CHECK(engine_save(e, sink_put, &s) == 0);
		(void)munmap(*mem, *mem_n);
		e = engine_make(mem, mem_n);
		CHECK(engine_load(e, s.p, s.n, &err) == 0);
		CHECK(engine_digest(e) == digest);
		free(s.p);
	}
	fold(w, e, snapshot_at, to);
	return e;
}

static void boot(struct world *w)
{
	Wire__Boot b = WIRE__BOOT__INIT;
	struct command cmd = {.kind = CMD_BOOT, .u.boot = &b};

	b.version = (char[]){"sim"};
	b.seed = w->machine ? prng_next(&w->prng) : w->seed;
	(void)ask(w, &cmd, NULL);
	node_set(w, 1);
	cut_boot(w, w->engine_life ? 2 * SIM_S : 0);
	for (uint32_t i = 2; i <= w->nodes; i++)
		node_set(w, i);
	executor_engine_started(w);
	settle(w);
	if (w->machine)
		machine_restarted(w);
}

/* What is on the disk beyond `to` never was; a new engine starts from the rest. */
static void start_again(struct world *w, size_t to)
{
	for (size_t i = to; i < w->n_disk; i++)
		free(w->disk[i].bytes);
	w->n_disk = w->durable = to;
	w->committing = 0;
	w->n_held = 0;
	w->tick_at = 0;
	w->engine_life++;
	w->counts.kills++;
	books_forget(w, to);
	world_clock_boot(w);
	while (w->n_grants && w->grants[w->n_grants - 1].seq > to)
		w->n_grants--;
	(void)munmap(w->memory, w->memory_n);
	w->engine = recover(
	        w, to, prng_below(&w->prng, 2) ? prng_below(&w->prng, to + 1) : 0, &w->memory, &w->memory_n);
	boot(w);
}

void world_kill_engine(struct world *w)
{
	size_t to = w->durable;

	/* The commit under way may have reached the disk without anybody hearing of it. */
	if (w->committing && prng_below(&w->prng, 2))
		to = w->committing;
	world_say(w, "world  > the engine is killed; %lu of %lu entries were durable", (unsigned long)to,
	        (unsigned long)w->n_disk);
	start_again(w, to);
}

void world_rollback(struct world *w, size_t size)
{
	CHECK(size && size <= w->durable);
	world_say(w, "world  > its disk is what it was, with %lu of %lu entries", (unsigned long)size,
	        (unsigned long)w->n_disk);
	executor_lost(w, 0);
	w->rolled_back = true;
	start_again(w, size);
}

void world_kill_keeper(struct world *w)
{
	world_say(w, "world  > the keeper is killed, and the engine with it");
	w->counts.keeper_kills++;
	executor_lost(w, w->fleet ? 1 : 0);
	world_kill_engine(w);
}

static void committed(struct world *w)
{
	size_t n = 0;
	static struct held *ready;
	static size_t ready_room;

	w->durable = w->committing;
	w->committing = 0;
	if (w->n_held > ready_room) {
		ready_room = 2 * w->n_held;
		ready = realloc(ready, ready_room * sizeof(*ready));
		CHECK(ready);
	}
	while (n < w->n_held && w->held[n].seq < w->durable) {
		ready[n] = w->held[n];
		n++;
	}
	if (n)
		memmove(w->held, w->held + n, (w->n_held - n) * sizeof(*w->held));
	w->n_held -= n;
	for (size_t i = 0; i < n; i++) {
		switch (ready[i].kind) {
		case HELD_EFFECT:
			if (!w->machine || !machine_effect(w, &ready[i].effect))
				executor_effect(w, &ready[i].effect);
			break;
		case HELD_JOB:
			world_book(w, ready[i].id)->acked = true;
			w->counts.acked++;
			break;
		case HELD_RESULTS:
			executor_acked(w, ready[i].id, ready[i].cursor);
			break;
		case HELD_END:
			executor_end_acked(w, ready[i].id);
			break;
		}
	}
	commit(w);
}

/* ---- the world ---- */

static struct world *make(uint64_t seed, const struct faults *f, uint32_t nodes, FILE *trace, bool fleet)
{
	struct world *w = calloc(1, sizeof(*w));

	CHECK(w);
	w->seed = seed;
	w->wall = (int64_t)BASE_NS;
	w->clock.now_ns = BASE_NS;
	w->trace = trace;
	w->nodes = nodes;
	w->fleet = fleet;
	CHECK(nodes <= NODES_MAX);
	for (uint32_t i = 1; i <= nodes; i++)
		w->node[i].quarters = 4;
	w->faults = *f;
	w->poison = UINT64_MAX;
	prng_init(&w->prng, seed);
	w->scratch = aligned_alloc(16, SCRATCH_BYTES);
	w->spec_mem = aligned_alloc(16, SCRATCH_BYTES);
	CHECK(w->scratch && w->spec_mem);
	w->engine = engine_make(&w->memory, &w->memory_n);
	boot(w);
	return w;
}

struct world *world_new(uint64_t seed, const struct faults *f, uint32_t nodes, FILE *trace)
{
	return make(seed, f, nodes, trace, false);
}

struct world *world_new_fleet(uint64_t seed, const struct faults *f, uint32_t nodes, FILE *trace)
{
	return make(seed, f, nodes, trace, true);
}

void world_free(struct world *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->n_disk; i++)
		free(w->disk[i].bytes);
	for (size_t i = 0; i < w->n_books; i++)
		book_free(&w->books[i]);
	executor_lost(w, 0);
	(void)munmap(w->memory, w->memory_n);
	free(w->disk);
	free(w->books);
	free(w->runs);
	free(w->held);
	free(w->heap);
	free(w->scratch);
	free(w->spec_mem);
	free(w->grants);
	free(w);
}

struct engine *world_engine(struct world *w)
{
	return w->engine;
}

struct prng *world_prng(struct world *w)
{
	return &w->prng;
}

uint32_t world_nodes(const struct world *w)
{
	return w->nodes;
}

bool world_has_links(const struct world *w)
{
	return w->fleet || w->machine;
}

bool world_is_fleet(const struct world *w)
{
	return w->fleet;
}

uint64_t world_now_ns(const struct world *w)
{
	return w->now;
}

void world_set_faults(struct world *w, const struct faults *f)
{
	w->faults = *f;
	if (f->clock_drift) {
		(void)world_clock_ns(w);
		w->drift = (int64_t)prng_below(&w->prng, 2 * f->clock_drift + 1) - (int64_t)f->clock_drift;
	}
}

void world_poison(struct world *w, uint64_t task)
{
	w->poison = task;
}

void world_guile(struct world *w, uint32_t node, enum world_guile g)
{
	static const char *const words[] = {"is honest", "copies", "switches answers", "does not reveal"};

	CHECK(node && node <= w->nodes && (unsigned)g < ARRAY_LEN(words));
	w->guile[node] = (uint8_t)g;
	world_say(w, "world  > node %u %s from now on", node, words[g]);
}

void world_liar(struct world *w, uint32_t node, uint8_t lie)
{
	CHECK(node && node <= w->nodes);
	w->liar[node] = lie;
	world_say(w, "world  > node %u %s from now on", node, lie ? "lies" : "is honest");
}

void world_mute(struct world *w, bool mute)
{
	FILE *to = w->trace ? w->trace : w->muted;

	w->trace = mute ? NULL : to;
	w->muted = mute ? to : NULL;
}

/* What befalls the nodes that have joined, and their cables. */
static void tear(struct world *w)
{
	uint32_t node;

	if (world_chance(w, w->faults.cuts))
		world_cut(w, 2 + (uint32_t)prng_below(&w->prng, w->nodes - 1),
		        prng_below(&w->prng, prng_below(&w->prng, 3) ? 20 * SIM_MS : 4 * SIM_S));
	if (world_chance(w, w->faults.heals)) {
		node = 2 + (uint32_t)prng_below(&w->prng, w->nodes - 1);
		world_heal(w, node);
	}
	if (world_chance(w, w->faults.node_kill))
		world_kill_node(w, 2 + (uint32_t)prng_below(&w->prng, w->nodes - 1));
}

bool world_step(struct world *w)
{
	struct event ev;

	if (!w->n_heap)
		return false;
	ev = pop(w);
	w->now = ev.at;
	w->counts.steps++;
	world_clock_wrong(w);
	switch (ev.kind) {
	case EV_TICK:
		if (ev.life == w->engine_life) {
			if (w->tick_at <= w->now)
				w->tick_at = 0;
			settle(w);
		}
		break;
	case EV_COMMITTED:
		if (ev.life == w->engine_life)
			committed(w);
		break;
	case EV_DISK_FAILED:
		if (ev.life == w->engine_life)
			world_kill_engine(w);
		break;
	case EV_TASK_ENDS:
	case EV_MESSAGE:
	case EV_STOPPED:
	case EV_RESEND:
	case EV_COMPARED:
	case EV_REVEAL:
		executor_event(w, &ev);
		break;
	case EV_LINK:
	case EV_HALT:
		cut_event(w, &ev);
		break;
	}
	if (world_chance(w, w->faults.engine_kill))
		world_kill_engine(w);
	if (world_chance(w, w->faults.keeper_kill))
		world_kill_keeper(w);
	if (w->fleet && w->nodes > 1)
		tear(w);
	return true;
}

void world_run_until(struct world *w, uint64_t ns)
{
	while (w->n_heap && w->heap[0].at <= ns && world_step(w))
		world_check(w, false);
	if (w->now < ns)
		w->now = ns;
}

void world_check(struct world *w, bool deep)
{
	struct job_view v;

	executor_check(w);
	if (!deep)
		return;
	engine_check(w->engine);
	for (size_t i = 0; i < w->n_books; i++)
		CHECK(engine_job(w->engine, (job_id){w->books[i].job}, &v) == !w->books[i].forgotten);
	{
		void *mem;
		size_t n;
		struct engine *again = recover(w, w->n_disk, w->n_disk / 2, &mem, &n);

		CHECK(engine_digest(again) == engine_digest(w->engine));
		(void)munmap(mem, n);
	}
}

void world_check_all_finished(struct world *w)
{
	struct job_view v;

	for (size_t i = 0; i < w->n_books; i++) {
		if (!w->books[i].acked || w->books[i].forgotten)
			continue;
		CHECK(engine_job(w->engine, (job_id){w->books[i].job}, &v));
		CHECK(v.finished_ns);
	}
}

void world_counts(const struct world *w, struct world_counts *out)
{
	*out = w->counts;
}
