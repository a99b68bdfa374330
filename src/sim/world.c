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

/* ---- books ---- */

struct book *world_book(struct world *w, uint64_t job)
{
	for (size_t i = 0; i < w->n_books; i++)
		if (w->books[i].job == job)
			return &w->books[i];
	return NULL;
}

const Wire__JobSpec *world_spec(struct world *w, const struct book *b)
{
	const Wire__JobSpec *spec;
	struct arena a;
	struct err e;

	arena_init(&a, w->spec_mem, SCRATCH_BYTES);
	CHECK(jobspec_decode(&a, b->spec, b->spec_n, &spec, &e) == 0);
	return spec;
}

static void book_job(struct world *w, const Wire__JobSubmitted *s, uint64_t seq)
{
	struct book b = {.job = s->job, .seq = seq, .n_steps = (uint32_t)s->spec->n_steps};

	CHECK(!world_book(w, s->job) && b.n_steps <= BOOK_STEPS_MAX);
	b.spec_n = jobspec_size(s->spec);
	b.spec = malloc(b.spec_n + 1);
	CHECK(b.spec);
	(void)jobspec_encode(s->spec, b.spec);
	for (uint32_t i = 0; i < b.n_steps; i++) {
		b.tasks[i] = s->spec->steps[i]->tasks;
		b.verified[i] = s->spec->steps[i]->verify && s->spec->steps[i]->verify->replicas > 1;
		b.success[i] = calloc(b.tasks[i], sizeof(uint64_t));
		CHECK(b.success[i]);
	}
	ROOM(w->books, w->n_books, w->books_room);
	w->books[w->n_books++] = b;
}

static void book_forgotten(struct world *w, uint64_t job, uint64_t seq)
{
	struct book *b = world_book(w, job);
	struct job_view v;

	CHECK(b && !b->forgotten && engine_job(w->engine, (job_id){job}, &v) && v.finished_ns);
	b->forgotten = seq + 1;
	w->counts.forgotten++;
}

static void book_free(struct book *b)
{
	for (uint32_t i = 0; i < b->n_steps; i++)
		free(b->success[i]);
	free(b->spec);
}

/* Write down a success that is about to be committed; a second one for the same task is the bug we are here for. */
static void book_results(struct world *w, const Wire__Results *r, uint64_t seq)
{
	struct lease_view v;
	struct book *b;

	CHECK(engine_lease(w->engine, (lease_id){r->lease}, &v));
	CHECK(r->first == v.cursor && r->first + r->count <= v.first + v.count);
	b = world_book(w, v.job.v);
	CHECK(b && v.step < b->n_steps);
	for (uint64_t i = r->first; i < r->first + r->count && !b->verified[v.step]; i++) {
		Wire__Outcome o = RESULT_COLUMN(r, outcome, i - r->first);

		CHECK(b->success[v.step][i] == 0);
		if (o == WIRE__OUTCOME__SUCCEEDED)
			b->success[v.step][i] = seq + 1;
	}
}

/* Entries from `size` on never were. */
static void books_forget(struct world *w, uint64_t size)
{
	for (size_t k = 0; k < w->n_books;) {
		struct book *b = &w->books[k];

		if (b->seq >= size) {
			CHECK(!b->acked);
			book_free(b);
			*b = w->books[--w->n_books];
			continue;
		}
		if (b->forgotten > size)
			b->forgotten = 0;
		for (uint32_t s = 0; s < b->n_steps; s++)
			for (uint64_t i = 0; i < b->tasks[s]; i++)
				if (b->success[s][i] > size)
					b->success[s][i] = 0;
		k++;
	}
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

static void tell_entry(struct world *w, const Wire__Entry *en)
{
	if (!w->trace)
		return;
	if (en->body_case == WIRE__ENTRY__BODY_LEASE_GRANTED) {
		const Wire__LeaseGranted *l = en->lease_granted;

		world_say(w, "engine > job %lu step %u: tasks %lu-%lu to node %u, lease %lu",
		        (unsigned long)l->job, l->step, (unsigned long)l->first,
		        (unsigned long)(l->first + l->count - 1), l->node, (unsigned long)l->lease);
	} else if (en->body_case == WIRE__ENTRY__BODY_RESULTS) {
		const Wire__Results *r = en->results;

		world_say(w, "engine > lease %lu: task %lu %s%s", (unsigned long)r->lease,
		        (unsigned long)r->first, outcome_name(RESULT_COLUMN(r, outcome, 0)),
		        r->count > 1 ? " and more" : "");
	} else if (en->body_case == WIRE__ENTRY__BODY_LEASE_ENDED) {
		world_say(w, "engine > lease %lu ended: %s", (unsigned long)en->lease_ended->lease,
		        stop_reason_name(en->lease_ended->reason));
	} else if (en->body_case == WIRE__ENTRY__BODY_LEASE_STOPPING) {
		world_say(w, "engine > stop lease %lu: %s", (unsigned long)en->lease_stopping->lease,
		        stop_reason_name(en->lease_stopping->reason));
	} else if (en->body_case == WIRE__ENTRY__BODY_REFUSED) {
		world_say(w, "engine > refused: %s", en->refused->reason);
	} else if (en->body_case == WIRE__ENTRY__BODY_JOB_SUBMITTED) {
		world_say(w, "engine > job %lu submitted", (unsigned long)en->job_submitted->job);
	} else {
		world_say(w, "engine > %s", entry_kind_name(en));
	}
}

static void write_down(struct world *w, const Wire__Entry *en)
{
	static struct effect fx[2 * EFFECTS_PER_APPLY_MAX];
	struct effect_list list = {fx, 0, ARRAY_LEN(fx)};
	uint64_t seq = w->n_disk;
	struct stored s;

	tell_entry(w, en);
	if (en->body_case == WIRE__ENTRY__BODY_JOB_SUBMITTED)
		book_job(w, en->job_submitted, seq);
	if (en->body_case == WIRE__ENTRY__BODY_RESULTS)
		book_results(w, en->results, seq);
	if (en->body_case == WIRE__ENTRY__BODY_JOB_FORGOTTEN)
		book_forgotten(w, en->job_forgotten->job, seq);
	s.n = entry_size(en);
	s.bytes = malloc(s.n + 1);
	CHECK(s.bytes && entry_encode(en, s.bytes) == s.n);
	ROOM(w->disk, w->n_disk, w->disk_room);
	w->disk[w->n_disk++] = s;
	engine_apply(w->engine, en, &list);
	w->counts.entries++;
	for (size_t i = 0; i < list.n; i++)
		hold(w, (struct held){.seq = seq, .kind = HELD_EFFECT, .effect = fx[i]});
	if (en->body_case == WIRE__ENTRY__BODY_JOB_SUBMITTED)
		hold(w, (struct held){.seq = seq, .kind = HELD_JOB, .id = en->job_submitted->job});
	if (en->body_case == WIRE__ENTRY__BODY_RESULTS) {
		w->counts.results += en->results->count;
		hold(w, (struct held){.seq = seq,
		                .kind = HELD_RESULTS,
		                .id = en->results->lease,
		                .cursor = en->results->first + en->results->count});
	}
	if (en->body_case == WIRE__ENTRY__BODY_LEASE_ENDED)
		hold(w, (struct held){.seq = seq, .kind = HELD_END, .id = en->lease_ended->lease});
	w->counts.stale += en->body_case == WIRE__ENTRY__BODY_REFUSED;
	w->counts.leases += en->body_case == WIRE__ENTRY__BODY_LEASE_GRANTED;
}

/* Decide one command and apply what comes; returns how many entries came. */
static size_t ask(struct world *w, const struct command *cmd, uint64_t *out_job)
{
	static const Wire__Entry *v[LIST_MAX];
	struct arena a;
	struct entry_list list = {.arena = &a, .v = v, .max = LIST_MAX};
	uint64_t life = w->engine_life;

	arena_init(&a, w->scratch, SCRATCH_BYTES);
	engine_decide(w->engine, w->base + w->now, cmd, &list);
	CHECK(!list.full);
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
	uint64_t at, rounds = 0;

	while (ask(w, &tick, NULL))
		CHECK(++rounds < 1000000);
	commit(w);
	at = engine_deadline_ns(w->engine, w->base + w->now);
	if (at == UINT64_MAX)
		return;
	at = at > w->base + w->now ? at - w->base : w->now + 1;
	if (w->tick_at <= w->now || at < w->tick_at) {
		w->tick_at = at;
		world_at(w, at, (struct event){.kind = EV_TICK, .life = w->engine_life});
	}
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
	n.name = name;
	n.n_capacity = gpus ? 3 : 2; /* gpus are devices, or there are none */
	n.capacity = pneeds;
	n.n_devices = gpus;
	n.devices = pdev;
	n.state = w->node[node].state;
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

void world_namespace(struct world *w, const char *name, uint32_t weight, uint64_t cpu, uint64_t gpu)
{
	static char names[2][8] = {"cpu", "gpu"};
	Wire__Need needs[2] = {WIRE__NEED__INIT, WIRE__NEED__INIT}, *pneeds[2];
	Wire__NamespaceSet n = WIRE__NAMESPACE_SET__INIT;
	struct command cmd = {.kind = CMD_NAMESPACE_SET, .u.namespace_set = &n};

	n.name = (char *)(uintptr_t)name;
	n.weight = weight;
	n.quota = pneeds;
	for (uint32_t i = 0; i < 2; i++) {
		if (!(i ? gpu : cpu))
			continue;
		needs[i].name = names[i];
		needs[i].amount = i ? gpu : cpu;
		pneeds[n.n_quota++] = &needs[i];
	}
	world_command(w, &cmd);
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
	b.seed = w->seed;
	(void)ask(w, &cmd, NULL);
	for (uint32_t i = 1; i <= w->nodes; i++)
		node_set(w, i);
	executor_engine_started(w);
	settle(w);
}

void world_kill_engine(struct world *w)
{
	size_t to = w->durable;

	/* The commit under way may have reached the disk without anybody hearing of it. */
	if (w->committing && prng_below(&w->prng, 2))
		to = w->committing;
	world_say(w, "world  > the engine is killed; %lu of %lu entries were durable", (unsigned long)to,
	        (unsigned long)w->n_disk);
	for (size_t i = to; i < w->n_disk; i++)
		free(w->disk[i].bytes);
	w->n_disk = w->durable = to;
	w->committing = 0;
	w->n_held = 0;
	w->tick_at = 0;
	w->engine_life++;
	w->counts.kills++;
	books_forget(w, to);
	(void)munmap(w->memory, w->memory_n);
	w->engine = recover(
	        w, to, prng_below(&w->prng, 2) ? prng_below(&w->prng, to + 1) : 0, &w->memory, &w->memory_n);
	boot(w);
}

void world_kill_keeper(struct world *w)
{
	world_say(w, "world  > the keeper is killed, and the engine with it");
	w->keeper_life++;
	w->counts.keeper_kills++;
	executor_lost(w);
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

struct world *world_new(uint64_t seed, const struct faults *f, uint32_t nodes, FILE *trace)
{
	struct world *w = calloc(1, sizeof(*w));

	CHECK(w);
	w->seed = seed;
	w->base = BASE_NS;
	w->trace = trace;
	w->nodes = nodes;
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

void world_free(struct world *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->n_disk; i++)
		free(w->disk[i].bytes);
	for (size_t i = 0; i < w->n_books; i++)
		book_free(&w->books[i]);
	executor_lost(w);
	(void)munmap(w->memory, w->memory_n);
	free(w->disk);
	free(w->books);
	free(w->runs);
	free(w->held);
	free(w->heap);
	free(w->scratch);
	free(w->spec_mem);
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

uint64_t world_now_ns(const struct world *w)
{
	return w->now;
}

void world_set_faults(struct world *w, const struct faults *f)
{
	w->faults = *f;
}

void world_poison(struct world *w, uint64_t task)
{
	w->poison = task;
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

bool world_step(struct world *w)
{
	struct event ev;

	if (!w->n_heap)
		return false;
	ev = pop(w);
	w->now = ev.at;
	w->counts.steps++;
	if (world_chance(w, w->faults.clock_jumps))
		w->base += prng_below(&w->prng, 3600) * SIM_S;
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
		executor_event(w, &ev);
		break;
	}
	if (world_chance(w, w->faults.engine_kill))
		world_kill_engine(w);
	if (world_chance(w, w->faults.keeper_kill))
		world_kill_keeper(w);
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
