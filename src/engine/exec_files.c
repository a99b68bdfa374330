/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_files - files that tasks take in, and that another of the hub's machines may have; see exec_int.h.
 *
 * What came to a hub in its last moment may lie on the machine that was the hub, and nowhere else (docs/record.md). Tasks of nodes that
 * have joined wait for their files (links_blobs.c); tasks on the hub's own machine wait here, before they have a slot: until the files
 * have come, or until each place has said that it has them not, or FILES_WAIT_NS is over. Then they start, and who lacks a file fails
 * with words. A hub that has no other machine, and a node that is no hub, never waits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/params.h"
#include "core/sources.h"
#include "engine/carrier.h"
#include "engine/exec.h"
#include "engine/exec_int.h"
#include "engine/hub_copies.h"
#include "engine/start.h"
#include "io/blobs.h"

#define FILES_WAIT_NS  300000000000ull
#define FILES_AGAIN_NS 5000000000ull

/* A run that waits. It may end meanwhile: it is looked up by its lease. */
struct awaiting {
	struct awaiting *next;
	struct exec *x; /* NULL: it is gone */
	uint64_t lease, job;
	uint64_t until_ns, again_ns; /* again_ns: when it asks; UINT64_MAX: it has begun */
	bool asking;
};

/* ---- what a task takes in ---- */

static uint32_t step_named(const Wire__JobSpec *spec, const char *name)
{
	for (uint32_t i = 0; i < spec->n_steps; i++)
		if (strcmp(spec->steps[i]->name, name) == 0)
			return i;
	return UINT32_MAX;
}

static int takes_input(
        const Wire__JobSpec *spec, const Wire__Input *in, uint64_t task, exec_takes_fn fn, void *ctx)
{
	uint32_t step;

	if (!in || !in->from_step[0])
		return 0;
	step = step_named(spec, in->from_step);
	if (step != UINT32_MAX)
		task = params_input_task(spec->steps[step], task);
	return fn(ctx, step, task, in->from_output[0] ? in->from_output : "stdout");
}

static int takes_reduced(
        const struct engine *e, job_id job, uint32_t step, uint64_t task, exec_takes_fn fn, void *ctx)
{
	uint64_t first, count;
	bool from_map;
	uint32_t of;

	if (!engine_reduce_inputs(e, job, step, task, &from_map, &of, &first, &count))
		return -1;
	for (uint64_t i = first; i < first + count; i++)
		if (fn(ctx, from_map ? of : step, i, "stdout") < 0)
			return -1;
	return 0;
}

int exec_takes(const struct engine *e, const Wire__JobSpec *spec, job_id job, uint32_t step, uint64_t task,
        exec_takes_fn fn, void *ctx)
{
	const Wire__Step *s = spec->steps[step];

	if (s->reduce && takes_reduced(e, job, step, task, fn, ctx) < 0)
		return -1;
	for (size_t i = 0; i < s->n_inputs; i++)
		if (takes_input(spec, s->inputs[i], task, fn, ctx) < 0)
			return -1;
	return takes_input(spec, s->stdin_file, task, fn, ctx);
}

/* ---- which of it is not here ---- */

struct looking {
	struct exec *x;
	const struct run *r;
	bool missing; /* this is the first one */
	uint8_t digest[32];
	uint64_t bytes;
};

static void look(void *ctx, const uint8_t digest[32], uint64_t bytes)
{
	struct looking *l = ctx;

	if (l->missing || blobs_has(l->x->n->blobs, digest, NULL))
		return;
	l->missing = true;
	memcpy(l->digest, digest, sizeof(l->digest));
	l->bytes = bytes;
}

static int look_at_output(void *ctx, uint32_t step, uint64_t task, const char *output)
{
	struct looking *l = ctx;
	struct start_source src = {0};
	struct err e;

	if (step == UINT32_MAX ||
	        exec_output(l->x, l->r->spec.spec, l->r->job, step, task, output, &src, &e) == 0)
		return 0;
	if (e.code == ERR_NOTFOUND && src.bytes)
		look(l, src.sha256, src.bytes);
	return l->missing || e.code != ERR_NOTFOUND ? -1 : 0;
}

static bool lacks(struct looking *l)
{
	const struct run *r = l->r;

	sources_step_blobs(r->s, look, l);
	for (uint64_t task = r->next; !l->missing && !r->s->sources && task < r->end; task++)
		if (exec_takes(l->x->n->engine, r->spec.spec, (job_id){r->job}, r->step, task, look_at_output,
		            l) < 0)
			break;
	return l->missing;
}

/* ---- waiting ---- */

static void awaiting_free(struct awaiting *a)
{
	struct awaiting **at = &a->x->awaiting;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	free(a);
}

/* The run, if it is still to begin. */
static struct run *waits(const struct awaiting *a)
{
	struct run *r = run_find(a->x, a->lease);

	return !r || r->awaited || r->stopping || r->stopped || r->held || r->next == r->end ? NULL : r;
}

/* With all its files, or without one of them (why not NULL). */
static void begin(struct awaiting *a, const char *why)
{
	struct run *r = waits(a);

	a->again_ns = UINT64_MAX;
	if (!r)
		return;
	if (why)
		(void)fprintf(stderr, "osier: job %llu goes on without a file: %s\n",
		        (unsigned long long)a->job, why);
	r->awaited = true;
	run_begin(a->x, r);
}

static void on_file(void *ctx, const struct err *e)
{
	struct awaiting *a = ctx;
	struct exec *x = a->x;

	if (!x) {
		free(a);
		return;
	}
	x->awaiting_asks = a->asking = false;
	if (x->n->read_only) /* the node is stopping */
		return;
	if (a->again_ns != UINT64_MAX) {
		if (!e || err_passes(e))
			a->again_ns = round_now_ns(x->n) + (e ? FILES_AGAIN_NS : 0);
		else
			begin(a, e->msg);
	}
	exec_timer_at(x, round_now_ns(x->n)); /* it is another one's turn */
}

/* The next file that it lacks. */
static void ask(struct awaiting *a)
{
	struct looking l = {.x = a->x, .r = waits(a)};

	if (l.r && !lacks(&l))
		begin(a, NULL);
	else if (l.r && !hub_file_get(a->x->n, l.digest, l.bytes, on_file, a))
		begin(a, "this hub has no other machine any more");
	else
		a->x->awaiting_asks = a->asking = l.r != NULL;
	if (!l.r)
		a->again_ns = UINT64_MAX;
}

bool files_await(struct exec *x, struct run *r)
{
	struct looking l = {.x = x, .r = r};
	uint64_t now = round_now_ns(x->n);
	struct awaiting *a, **end = &x->awaiting;

	if (r->awaited || !hub_has_others(x->n) || !lacks(&l))
		return false;
	a = calloc(1, sizeof(*a));
	CHECK(a);
	*a = (struct awaiting){
	        .x = x, .lease = r->lease, .job = r->job, .again_ns = now, .until_ns = now + FILES_WAIT_NS};
	while (*end)
		end = &(*end)->next;
	*end = a;
	(void)fprintf(stderr,
	        "osier: job %llu waits for a file that is not here: the other machines of this hub are "
	        "asked\n",
	        (unsigned long long)r->job);
	exec_timer_at(x, now);
	return true;
}

/* One is asked for at a time: a machine that is not there must not keep the carrier from what is for those that are. */
void files_again(struct exec *x, uint64_t now_ns)
{
	for (struct awaiting *a = x->awaiting, *next; a && !x->shutting; a = next) {
		next = a->next;
		if (a->until_ns <= now_ns && a->again_ns != UINT64_MAX)
			begin(a, "none of the hub's machines gave it in time");
		else if (!x->awaiting_asks && a->again_ns <= now_ns)
			ask(a);
		if (a->again_ns == UINT64_MAX && !a->asking)
			awaiting_free(a);
	}
}

uint64_t files_due_ns(const struct exec *x)
{
	uint64_t due = UINT64_MAX;

	for (const struct awaiting *a = x->awaiting; a && !x->shutting; a = a->next) {
		uint64_t at = x->awaiting_asks || a->until_ns < a->again_ns ? a->until_ns : a->again_ns;

		if (a->again_ns != UINT64_MAX && at < due)
			due = at;
	}
	return due;
}

void files_free(struct exec *x)
{
	while (x->awaiting) {
		struct awaiting *a = x->awaiting;

		x->awaiting = a->next;
		a->x = NULL;
		if (!a->asking)
			free(a);
	}
}
