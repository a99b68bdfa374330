/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_link - any frames at either end of a link: what comes is taken, counted or refused, and what is said to it fits a frame. The input is a
 * byte (0: at a hub's end, from a child that has joined; 1: at a child's, from its hub), then frames, each after its length in two bytes. The
 * hub has a quota and a job for the child; the child does at once what it is granted, and has a namespace whose share it asks for.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "core/engine.h"
#include "core/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct engine *engine;
static void *engine_mem, *end_mem;
static struct engine_limits limits;
static uint64_t entries, now;
static _Alignas(16) uint8_t scratch[FRAME_ARENA_BYTES], arena_mem[1 << 20];
static uint8_t out[FRAME_BYTES_MAX], key[32] = {7};
static struct effect due[8192]; /* what the ends have not heard of yet */
static size_t n_due;
static Wire__JobSpec job_spec;

static bool do_command(void *ctx, const struct command *cmd, struct err *why)
{
	static const Wire__Entry *v[4096];
	static struct effect effects[4 * EFFECTS_PER_APPLY_MAX];
	static const Wire__Principal somebody = WIRE__PRINCIPAL__INIT;
	struct command mine = *cmd;
	struct arena a;
	struct entry_list list = {.v = v, .max = 4096, .arena = &a};
	bool ok = true;

	(void)ctx;
	mine.by = &somebody;
	arena_init(&a, arena_mem, sizeof(arena_mem));
	engine_decide(engine, now, &mine, &list);
	if (list.full)
		return false;
	for (size_t i = 0; i < list.n; i++) {
		struct effect_list fx = {.v = effects, .max = ARRAY_LEN(effects)};

		if (v[i]->body_case == WIRE__ENTRY__BODY_REFUSED) {
			(void)err_set(why, ERR_INVALID, "%.200s", v[i]->refused->reason);
			ok = false;
		}
		engine_apply(engine, v[i], &fx);
		for (size_t k = 0; k < fx.n && n_due < ARRAY_LEN(due); k++)
			due[n_due++] = effects[k];
		entries++;
	}
	return ok;
}

static uint64_t all(void *ctx)
{
	(void)ctx;
	return entries;
}

static const Wire__JobSpec *the_spec(void *ctx, job_id job)
{
	(void)ctx;
	return job.v == 1 ? &job_spec : NULL;
}

static uint64_t time_now(void *ctx)
{
	(void)ctx;
	return now;
}

static bool sign(void *ctx, const uint8_t *bytes, size_t n, uint8_t signature[64])
{
	(void)ctx, (void)bytes, (void)n;
	memset(signature, 9, 64);
	return true;
}

static bool verify(void *ctx, const uint8_t *bytes, size_t n, const uint8_t signature[64])
{
	(void)ctx, (void)bytes, (void)n;
	return signature[0] == 9;
}

static void tell(void *ctx, job_id job, uint64_t first, uint64_t most, size_t room, struct arena *a,
        struct link_results *r)
{
	(void)ctx, (void)job, (void)first, (void)room, (void)a;
	r->columns->count = most;
}

static void take(void *ctx, const Wire__Results *r, const struct link_data *data, size_t n)
{
	struct err e;

	(void)data;
	(void)n;
	(void)do_command(ctx, &(struct command){.kind = CMD_RESULTS, .u.results = r}, &e);
}

static void node(uint32_t number, const char *name, struct command *cmd)
{
	Wire__NodeSet m = WIRE__NODE_SET__INIT;
	Wire__Need cpu = WIRE__NEED__INIT, *needs = &cpu;
	struct err e;

	cpu.name = (char *)(uintptr_t) "cpu";
	cpu.amount = strcmp(name, "hub") == 0 ? 1 : 4000; /* tasks are the child's */
	m.node = number;
	m.name = (char *)(uintptr_t)name;
	m.n_capacity = 1;
	m.capacity = &needs;
	if (cmd->kind == CMD_NODE_JOIN)
		m.key = m.journal = (ProtobufCBinaryData){32, key};
	cmd->u.node_set = &m;
	CHECK(do_command(NULL, cmd, &e));
}

/* A namespace of 8 cpu, of which each node may always have 1. */
static void quota(void)
{
	Wire__NamespaceSet m = WIRE__NAMESPACE_SET__INIT;
	Wire__Need all_of = WIRE__NEED__INIT, own = WIRE__NEED__INIT, *a = &all_of, *b = &own;
	struct err e;

	m.name = (char *)(uintptr_t) "default";
	all_of.name = own.name = (char *)(uintptr_t) "cpu";
	all_of.amount = 8000;
	own.amount = 1000;
	m.n_quota = m.n_local = m.weight = 1;
	m.quota = &a;
	m.local = &b;
	CHECK(do_command(NULL, &(struct command){.kind = CMD_NAMESPACE_SET, .u.namespace_set = &m}, &e));
}

/* Job 1: eight tasks of one cpu. */
static void job(void)
{
	static Wire__Step step;
	static Wire__Command command;
	static Wire__Retry retry;
	static Wire__Variant variant;
	static Wire__Need need;
	static Wire__Step *steps = &step;
	static Wire__Variant *variants = &variant;
	static Wire__Need *needs = &need;
	static Wire__Param param, *params = &param;
	static char truth[] = "true", *argv = truth;
	struct err e;

	wire__job_spec__init(&job_spec), wire__step__init(&step), wire__command__init(&command);
	wire__retry__init(&retry), wire__variant__init(&variant), wire__need__init(&need),
	        wire__param__init(&param);
	job_spec.version = job_spec.keep_going = 1;
	job_spec.name = step.name = step.kind = job_spec.source = truth;
	job_spec.namespace_ = (char *)(uintptr_t) "default";
	job_spec.n_steps = step.n_variants = variant.n_needs = command.n_argv = 1;
	job_spec.steps = &steps;
	step.command = &command;
	step.retry = &retry;
	step.variants = &variants;
	step.tasks = param.count = 8;
	param.stride = step.n_params = 1;
	param.last = 7;
	param.name = (char *)(uintptr_t) "i";
	step.params = &params;
	step.pids_max = 100;
	variant.needs = &needs;
	command.argv = &argv;
	need.name = (char *)(uintptr_t) "cpu";
	need.amount = 1000;
	CHECK(do_command(NULL, &(struct command){.kind = CMD_SUBMIT, .u.submit.spec = &job_spec}, &e));
}

static void ahead(void *ctx, const Link__Ahead *m)
{
	(void)ctx;
	CHECK(m->n_file <= FRAME_AHEAD_MAX && m->n_near <= FRAME_NEAR_MAX);
	for (size_t i = 0; i < m->n_file; i++)
		CHECK(m->file[i]->sha256.len == 32 && m->file[i]->bytes != 0);
}

static struct link_end *begin(enum link_side side)
{
	static struct link_ahead_book book;
	struct link_shell shell = {.command = do_command,
	        .appended = all,
	        .durable = all,
	        .spec = the_spec,
	        .book = &book,
	        .ahead = ahead,
	        .results = tell,
	        .take_results = take,
	        .clock = time_now,
	        .sign = sign,
	        .verify = verify};
	Wire__NodeSet offer = WIRE__NODE_SET__INIT;
	struct link_self self = {.side = side,
	        .name = "press",
	        .node = 2,
	        .key = key,
	        .journal = key,
	        .secret = key,
	        .offer = &offer};
	Wire__Boot boot = WIRE__BOOT__INIT;
	Wire__LinkSet parent = WIRE__LINK_SET__INIT;
	struct err e;

	book.n = 0;
	limits = engine_limits_default(16u << 20);
	engine_mem = mmap(NULL, limits.memory_bytes, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	end_mem = mmap(NULL, link_bytes(side), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(engine_mem != MAP_FAILED && end_mem != MAP_FAILED);
	engine = engine_new(engine_mem, &limits);
	CHECK(engine);
	entries = n_due = 0;
	now = 1000000000;
	boot.version = (char *)(uintptr_t) "fuzz";
	CHECK(do_command(NULL, &(struct command){.kind = CMD_BOOT, .u.boot = &boot}, &e));
	node(1, side == LINK_TO_HUB ? "press" : "hub", &(struct command){.kind = CMD_NODE_SET});
	if (side == LINK_TO_HUB) {
		parent.name = (char *)(uintptr_t) "hub";
		parent.key = (ProtobufCBinaryData){32, key};
		CHECK(do_command(NULL, &(struct command){.kind = CMD_LINK_SET, .u.link_set = &parent}, &e));
	} else {
		node(0, "press", &(struct command){.kind = CMD_NODE_JOIN});
		quota();
		job();
	}
	shell.engine = engine;
	return link_init(end_mem, &self, &shell, scratch, sizeof(scratch));
}

/* What was to be started here is done. */
static void done(const struct effect *fx)
{
	Wire__Results r = WIRE__RESULTS__INIT;
	Wire__LeaseEnded ended = WIRE__LEASE_ENDED__INIT;
	struct lease_view v;
	struct err e;

	if (fx->kind != EFFECT_START || !engine_lease(engine, fx->lease, &v) || v.node != 1)
		return;
	r.lease = ended.lease = v.id.v;
	r.first = v.cursor;
	r.count = v.first + v.count - v.cursor;
	ended.reason = WIRE__STOP_REASON__DONE;
	if (r.count)
		(void)do_command(NULL, &(struct command){.kind = CMD_RESULTS, .u.results = &r}, &e);
	(void)do_command(NULL, &(struct command){.kind = CMD_LEASE_ENDED, .u.ended = &ended}, &e);
}

/* As the shell's round: decide what is due, tell the end what came of it, let it speak. */
static void turn(struct link_end *l)
{
	struct link_view v;
	struct err e;

	for (unsigned i = 0; i < 8; i++)
		(void)do_command(NULL, &(struct command){.kind = CMD_TICK}, &e);
	for (size_t i = 0; i < n_due; i++) {
		const struct effect fx = due[i];

		done(&fx);
		link_effect(l, now, &fx);
	}
	n_due = 0;
	for (unsigned i = 0; i < 16 && link_next(l, now, out); i++)
		;
	(void)link_deadline_ns(l, now);
	(void)link_holds(l, key);
	link_look(l, &v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const enum link_side side = size && data[0] & 1 ? LINK_TO_HUB : LINK_TO_CHILD;
	struct link_end *l = begin(side);

	link_connected(l, now, 0);
	if (side == LINK_TO_HUB)
		link_held(l, key, 16, "10.0.0.4:7443");
	turn(l);
	for (size_t at = 1; at + 2 <= size;) {
		size_t n = (size_t)data[at] | (size_t)data[at + 1] << 8;

		at += 2;
		n = n < size - at ? n : size - at;
		now += 10000000;
		link_receive(l, now, data + at, n);
		turn(l);
		at += n;
	}
	link_disconnected(l, now);
	CHECK(munmap(engine_mem, limits.memory_bytes) == 0 && munmap(end_mem, link_bytes(side)) == 0);
	return 0;
}
