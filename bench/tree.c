/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree - what the root of a large tree has to do: a real engine and a real end of a link for each of its children; the children are
 * hubs of many machines each, of which only what they say is simulated, in simulated time. No journal on a disk, no fabric.
 *
 *	bench-tree HUBS NODES TASK_US WARM_S SECONDS	tasks take TASK_US; NODES: tasks that a hub runs at a time
 *
 * One line of JSON: for a simulated second after the first WARM_S, tasks committed, leases, entries and their bytes, frames each way, and
 * the root's CPU time in ms: to take in frames, decide, encode and hash entries, apply them, and make frames.
 * A child tells results when a tenth of a second more of them is there, as a real one whose machines run slices would, and no earlier than
 * link_hold_ns() says.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/prng.h"
#include "core/link_int.h"
#include "io/sha256.h"

enum { ENTRIES = 4096, ARENA = 16 << 20, EFFECTS = 4 * EFFECTS_PER_APPLY_MAX };
#define MEMORY    (8ull << 30)
#define MS        1000000ull
#define TELL_NS   (100 * MS)
#define JOB_MAX   10000000ull
#define LEASES    300000u
#define CPU_LOTS  (1ull << 50)
#define ROOT_TIME (1000000 * 1000000000ull)

struct held { /* a lease at a child */
	uint64_t lease, first, count, told, begun_ns, task_ns;
	uint32_t child;
};

struct event {
	uint64_t at_ns;
	uint32_t part;
};

struct child {
	struct link_end *end;
	char name[16];
	uint8_t key[32], journal[32];
	uint64_t session, parts, out, out_acked, in, in_acked;
	bool touched;
};

struct counts {
	uint64_t tasks, leases, entries, bytes, up, down, cpu_ns;
};

static struct engine *root;
static struct prng prng;
static struct child *children;
static uint32_t n_children, n_touched, *touched;
static uint64_t now, size, task_ns, nodes, began_cpu_ns;
static struct counts counts;
static struct held *parts;
static uint32_t *free_parts, n_free;
static struct event *heap;
static uint32_t n_heap;
static uint8_t *scratch, *peer, *decided, packed[ENTRY_BYTES_MAX], frame[FRAME_BYTES_MAX];
static const Wire__Entry *entries[ENTRIES];
static struct effect pending[1 << 20];
static size_t n_pending;
static const Wire__JobSpec *the_spec;

/* ---- the root ---- */

static uint64_t cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void root_works(void)
{
	began_cpu_ns = cpu_ns();
}

static void root_rests(void)
{
	counts.cpu_ns += cpu_ns() - began_cpu_ns;
}

static void keep(const struct effect_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].kind == EFFECT_START || l->v[i].kind == EFFECT_STOP) {
			CHECK(n_pending < ARRAY_LEN(pending));
			pending[n_pending++] = l->v[i];
		}
}

static size_t ask(const struct command *cmd, struct err *why)
{
	static struct effect fx[EFFECTS];
	struct arena a;
	struct entry_list list = {.arena = &a, .v = entries, .max = ENTRIES};
	uint8_t leaf[32];

	arena_init(&a, decided, ARENA);
	engine_decide(root, ROOT_TIME + now, cmd, &list);
	CHECK(!list.full);
	for (size_t i = 0; i < list.n; i++) {
		struct effect_list out = {fx, 0, EFFECTS};
		size_t n = entry_encode(entries[i], packed);

		sha256_of(packed, n, leaf);
		if (entries[i]->body_case == WIRE__ENTRY__BODY_REFUSED && why)
			(void)err_set(why, ERR_INVALID, "%s", entries[i]->refused->reason);
		counts.leases += entries[i]->body_case == WIRE__ENTRY__BODY_LEASE_GRANTED;
		counts.tasks +=
		        entries[i]->body_case == WIRE__ENTRY__BODY_RESULTS ? entries[i]->results->count : 0;
		counts.entries++;
		counts.bytes += n;
		engine_apply(root, entries[i], &out);
		size++;
		keep(&out);
	}
	return list.n;
}

static void must(const struct command *cmd)
{
	struct err e = {0};

	(void)ask(cmd, &e);
	if (!e.code)
		return;
	(void)fprintf(stderr, "bench-tree: %s\n", e.msg);
	exit(1);
}

static bool on_command(void *ctx, const struct command *cmd, struct err *why)
{
	(void)ctx;
	why->code = ERR_NONE;
	(void)ask(cmd, why);
	return why->code == ERR_NONE;
}

static uint64_t on_size(void *ctx)
{
	(void)ctx;
	return size;
}

static const Wire__JobSpec *on_spec(void *ctx, job_id job)
{
	(void)ctx;
	(void)job;
	return the_spec;
}

static void on_results(void *ctx, const Wire__Results *r, const struct link_data *data, size_t n)
{
	(void)ctx;
	(void)data;
	(void)n;
	(void)ask(&(struct command){.kind = CMD_RESULTS, .u.results = r}, NULL);
}

/* ---- the children ---- */

static void heap_push(uint64_t at, uint32_t part)
{
	uint32_t i = n_heap++;

	for (; i && heap[(i - 1) / 2].at_ns > at; i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = (struct event){at, part};
}

static struct event heap_pop(void)
{
	struct event top = heap[0], last = heap[--n_heap];
	uint32_t i = 0;

	for (uint32_t kid; (kid = 2 * i + 1) < n_heap; i = kid) {
		if (kid + 1 < n_heap && heap[kid + 1].at_ns < heap[kid].at_ns)
			kid++;
		if (heap[kid].at_ns >= last.at_ns)
			break;
		heap[i] = heap[kid];
	}
	heap[i] = last;
	return top;
}

static void touch(uint32_t c)
{
	if (!children[c].touched)
		touched[n_touched++] = c;
	children[c].touched = true;
}

static void up(uint32_t c, Link__Frame *f, bool numbered)
{
	size_t n;

	f->session = children[c].session;
	f->number = numbered ? ++children[c].out : 0;
	f->ack = children[c].in_acked = children[c].in;
	f->size = 1000;
	n = frame_encode(f, frame);
	counts.up++;
	root_works();
	link_receive(children[c].end, now, frame, n);
	root_rests();
	touch(c);
}

static void hello(uint32_t c)
{
	static uint8_t offer[1024];
	Link__Frame f = LINK__FRAME__INIT;
	Link__Hello h = LINK__HELLO__INIT;
	Wire__NodeSet n = WIRE__NODE_SET__INIT;
	Wire__Need cpu = WIRE__NEED__INIT, mem = WIRE__NEED__INIT, *needs[] = {&cpu, &mem};

	cpu.name = (char[]){"cpu"};
	cpu.amount = nodes * 1000;
	mem.name = (char[]){"memory"};
	mem.amount = CPU_LOTS;
	n.name = h.name = children[c].name;
	n.capacity = needs;
	n.n_capacity = 2;
	f.body_case = LINK__FRAME__BODY_HELLO;
	f.hello = &h;
	h.version = link_version;
	h.key = (ProtobufCBinaryData){32, children[c].key};
	h.journal = (ProtobufCBinaryData){32, children[c].journal};
	h.node = (ProtobufCBinaryData){wire__node_set__pack(&n, offer), offer};
	children[c].session = 1;
	up(c, &f, false);
}

/* When the part has something to tell next: it is at its end, or so much more is done that it may be told. */
static uint64_t tells_at(const struct held *p)
{
	uint64_t end = p->begun_ns + p->count * p->task_ns, hold = link_hold_ns(children[p->child].parts);
	uint64_t at = now + (hold > TELL_NS ? hold : TELL_NS);

	if (at < p->begun_ns + (p->told + 1) * p->task_ns)
		at = p->begun_ns + (p->told + 1) * p->task_ns;
	return at < end ? at : end;
}

static void granted(uint32_t c, const Link__Grant *g)
{
	struct lease_view v;
	uint32_t i;

	CHECK(n_free && engine_lease(root, (lease_id){g->lease}, &v));
	i = free_parts[--n_free];
	children[c].parts++;
	parts[i] = (struct held){
	        .lease = g->lease, .first = g->first, .count = v.count, .begun_ns = now, .child = c};
	parts[i].task_ns =
	        task_ns / 2 + prng_below(&prng, task_ns); /* else all leases of the tree end at one time */
	heap_push(tells_at(&parts[i]), i);
}

static void results(struct held *p, uint64_t n)
{
	static uint64_t wall_us[LINK_BATCH_MAX];
	static uint8_t columns[FRAME_BYTES_MAX];
	Link__Frame f = LINK__FRAME__INIT;
	Link__Results m = LINK__RESULTS__INIT;
	Wire__Results r = WIRE__RESULTS__INIT;

	for (uint64_t i = 0; i < n; i++)
		wall_us[i] = p->task_ns / 1000 + i % 7;
	r.lease = p->lease;
	r.first = p->first + p->told;
	r.count = n;
	r.wall_us = wall_us;
	r.n_wall_us = n;
	m.results = (ProtobufCBinaryData){wire__results__pack(&r, columns), columns};
	f.body_case = LINK__FRAME__BODY_RESULTS;
	f.results = &m;
	p->told += n;
	up(p->child, &f, true);
}

static void tell(uint32_t i)
{
	struct held *p = &parts[i];
	uint64_t ran = (now - p->begun_ns) / p->task_ns, done = ran < p->count ? ran : p->count;
	Link__Frame f = LINK__FRAME__INIT;
	Link__Ended m = LINK__ENDED__INIT;

	if (children[p->child].out - children[p->child].out_acked > LINK_WINDOW / 2) {
		heap_push(now + MS, i);
		return;
	}
	while (p->told < done)
		results(p, done - p->told < 8192 ? done - p->told : 8192);
	if (done < p->count) {
		heap_push(tells_at(p), i);
		return;
	}
	m.lease = p->lease;
	m.reason = WIRE__STOP_REASON__DONE;
	f.body_case = LINK__FRAME__BODY_ENDED;
	f.ended = &m;
	children[p->child].parts--;
	free_parts[n_free++] = i;
	up(p->child, &f, true);
}

/* ---- time ---- */

static void say(uint32_t c)
{
	struct child *k = &children[c];
	Link__Frame ack = LINK__FRAME__INIT;
	Link__Ack nothing = LINK__ACK__INIT;
	const Link__Frame *f;
	struct arena a;

	for (;;) {
		size_t n;

		root_works();
		n = link_next(k->end, now, frame);
		root_rests();
		if (!n)
			break;
		counts.down++;
		arena_init(&a, peer, FRAME_ARENA_BYTES);
		CHECK(frame_decode(&a, frame, n, &f, NULL) == 0);
		if (f->number)
			k->in = f->number;
		k->out_acked = f->ack;
		if (f->body_case == LINK__FRAME__BODY_GRANT)
			granted(c, f->grant);
		CHECK(f->body_case != LINK__FRAME__BODY_REFUSED);
	}
	if (k->in_acked == k->in)
		return;
	ack.body_case = LINK__FRAME__BODY_ACK_ONLY;
	ack.ack_only = &nothing;
	up(c, &ack, false);
}

static void root_round(void)
{
	struct command tick = {.kind = CMD_TICK};

	if (!n_pending && !n_touched && engine_deadline_ns(root, ROOT_TIME + now) > ROOT_TIME + now)
		return;
	root_works();
	do {
		for (size_t i = 0; i < n_pending; i++) {
			struct lease_view v;

			if (engine_lease(root, pending[i].lease, &v) && v.node > 1) {
				link_effect(children[v.node - 2].end, now, &pending[i]);
				touch(v.node - 2);
			}
		}
		n_pending = 0;
		while (ask(&tick, NULL))
			;
	} while (n_pending);
	root_rests();
	while (n_touched) {
		uint32_t c = touched[--n_touched];

		children[c].touched = false;
		say(c);
	}
}

static void run_until(uint64_t end)
{
	for (; now < end; now += MS) {
		while (n_heap && heap[0].at_ns <= now)
			tell(heap_pop().part);
		root_round();
	}
}

/* ---- beginning ---- */

static void submit(uint64_t tasks)
{
	static Wire__JobSpec job;
	static Wire__Step step, *steps = &step;
	static Wire__Variant variant, *variants = &variant;
	static Wire__Need need, *needs = &need;
	static Wire__Param param, *params = &param;
	static Wire__Command command;
	static Wire__Retry retry;
	static char true_[] = "true", *argv[] = {true_};

	job = (Wire__JobSpec)WIRE__JOB_SPEC__INIT;
	step = (Wire__Step)WIRE__STEP__INIT;
	variant = (Wire__Variant)WIRE__VARIANT__INIT;
	need = (Wire__Need)WIRE__NEED__INIT;
	param = (Wire__Param)WIRE__PARAM__INIT;
	command = (Wire__Command)WIRE__COMMAND__INIT;
	retry = (Wire__Retry)WIRE__RETRY__INIT;
	job.version = 1;
	job.name = (char[]){"work"};
	job.namespace_ = (char[]){"default"};
	job.origin = (char[]){"root"};
	job.priority = 50;
	job.keep_going = 1;
	job.class_ = WIRE__JOB_SPEC__CLASS__BATCH;
	job.steps = &steps;
	job.n_steps = 1;
	need.name = (char[]){"cpu"};
	need.amount = 1000;
	variant.needs = &needs;
	variant.n_needs = 1;
	step.name = step.kind = (char[]){"main"};
	step.pids_max = 10;
	step.retry = &retry;
	step.variants = &variants;
	step.n_variants = 1;
	command.n_argv = 1;
	command.argv = argv;
	step.command = &command;
	param.name = (char[]){"i"};
	param.last = (int64_t)tasks - 1;
	param.stride = 1;
	param.count = tasks;
	step.params = &params;
	step.n_params = 1;
	step.tasks = tasks;
	the_spec = &job;
	must(&(struct command){.kind = CMD_SUBMIT, .u.submit = {.spec = &job}});
}

static void join(uint32_t c)
{

	struct link_shell shell = {.engine = root,
	        .command = on_command,
	        .appended = on_size,
	        .durable = on_size,
	        .spec = on_spec,
	        .take_results = on_results};
	struct link_self self = {.side = LINK_TO_CHILD, .name = children[c].name, .node = c + 2};
	Wire__NodeSet n = WIRE__NODE_SET__INIT;
	size_t bytes = (link_bytes(LINK_TO_CHILD) + 4095) & ~(size_t)4095;
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	(void)snprintf(children[c].name, sizeof(children[c].name), "hub-%u", c);
	sha256_of(children[c].name, strlen(children[c].name), children[c].key);
	sha256_of(children[c].key, 32, children[c].journal);
	n.name = children[c].name;
	n.key = (ProtobufCBinaryData){32, children[c].key};
	n.journal = (ProtobufCBinaryData){32, children[c].journal};
	must(&(struct command){.kind = CMD_NODE_JOIN, .u.node_set = &n});
	children[c].end = link_init(p, &self, &shell, scratch, FRAME_ARENA_BYTES);
	link_connected(children[c].end, now, 0);
	say(c);
	hello(c);
}

static void begin(void)
{
	struct engine_limits l = {.memory_bytes = MEMORY,
	        .jobs_max = 64,
	        .groups_max = 64,
	        .leases_max = LEASES,
	        .nodes_max = n_children + 8,
	        .namespaces_max = 16,
	        .delayed_max = 64};
	Wire__Boot boot = WIRE__BOOT__INIT;
	Wire__NodeSet here = WIRE__NODE_SET__INIT;
	void *p = mmap(
	        NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	root = engine_new(p, &l);
	CHECK(root);
	boot.version = (char[]){"bench"};
	must(&(struct command){.kind = CMD_BOOT, .u.boot = &boot});
	here.node = 1;
	here.name = (char[]){"root"};
	must(&(struct command){.kind = CMD_NODE_SET, .u.node_set = &here});
	for (uint32_t i = 0; i < n_children; i++)
		join(i);
}

int main(int argc, char **argv)
{
	uint64_t warm, seconds, want;
	struct counts was;

	if (argc != 6) {
		(void)fprintf(stderr, "usage: bench-tree HUBS NODES TASK_US WARM_S SECONDS\n");
		return 2;
	}
	n_children = (uint32_t)strtoul(argv[1], NULL, 10);
	nodes = strtoull(argv[2], NULL, 10);
	task_ns = strtoull(argv[3], NULL, 10) * 1000;
	warm = strtoull(argv[4], NULL, 10);
	seconds = strtoull(argv[5], NULL, 10);
	children = calloc(n_children, sizeof(*children));
	touched = calloc(n_children, sizeof(*touched));
	parts = calloc(LEASES, sizeof(*parts));
	free_parts = calloc(LEASES, sizeof(*free_parts));
	heap = calloc(LEASES, sizeof(*heap));
	scratch = aligned_alloc(16, FRAME_ARENA_BYTES);
	peer = aligned_alloc(16, FRAME_ARENA_BYTES);
	decided = aligned_alloc(16, ARENA);
	CHECK(children && touched && parts && free_parts && heap && scratch && peer && decided && task_ns &&
	        seconds);
	for (uint32_t i = 0; i < LEASES; i++)
		free_parts[n_free++] = i;
	prng_init(&prng, 1);
	begin();
	/* More than there is time for: what is measured is a tree that has enough to do. */
	want = n_children * nodes * (warm + seconds + 2) * 1000000000ull / task_ns * 2 +
	       n_children * nodes * 4;
	for (; want; want -= want < JOB_MAX ? want : JOB_MAX)
		submit(want < JOB_MAX ? want : JOB_MAX);
	run_until(warm * 1000 * MS);
	was = counts;
	run_until((warm + seconds) * 1000 * MS);
#define PER_S(field) ((double)(counts.field - was.field) / (double)seconds)
	(void)printf("{\"tasks_per_s\": %.0f, \"leases_per_s\": %.0f, \"entries_per_s\": %.0f, "
	             "\"bytes_per_s\": %.0f, "
	             "\"up_per_s\": %.0f, \"down_per_s\": %.0f, \"cpu_ms_per_s\": %.1f}\n",
	        PER_S(tasks), PER_S(leases), PER_S(entries), PER_S(bytes), PER_S(up), PER_S(down),
	        PER_S(cpu_ns) / 1e6);
	return 0;
}
