/* SPDX-License-Identifier: Apache-2.0 */
/* exec_timer - what the executor does later: idle slots, workers' timeouts, files that are waited for, tasks that could not be built; see exec_int.h. */
#include "engine/exec_int.h"
#include "engine/results.h"
#include "engine/rest.h"

#define FILL_AGAIN_NS 1000000000ull

/* Nothing runs, and the last slot was given back for want of work: so is the memory that the work took. The heap is full of holes then,
 * and only asking returns them (12 MB after sixty jobs of 2,000 tasks). */
static void give_memory_back(struct exec *x)
{
	while (x->n_spare)
		results_free(x->spare[--x->n_spare]);
	rest_give_memory_back();
}

void run_fill_later(struct exec *x, struct run *r)
{
	r->unread = false;
	r->fill_ns = round_now_ns(x->n) + FILL_AGAIN_NS;
	exec_timer_at(x, r->fill_ns);
}

static void fill_again(struct exec *x, struct run *r, uint64_t now)
{
	if (!r->fill_ns || r->fill_ns > now)
		return;
	r->fill_ns = 0;
	if (r->reveal)
		run_touch(x, r);
	else if (r->s->worker)
		worker_fill(x, r);
	else
		process_fill(x, r);
}

static void on_timer(uv_timer_t *t)
{
	struct exec *x = t->data;
	uint64_t now = round_now_ns(x->n), due;

	x->timer_ns = 0;
	slots_expire(x, now);
	if (!x->n_runs && !x->idle_first)
		give_memory_back(x);
	worker_timeouts(x, now);
	files_again(x, now);
	due = files_due_ns(x);
	due = slots_due_ns(x) < due ? slots_due_ns(x) : due;
	for (size_t i = 0; i < RUN_HASH; i++) {
		for (struct run *r = x->hash[i]; r; r = r->hash_next) {
			uint64_t at;

			fill_again(x, r, now);
			at = worker_due_ns(x, r);
			at = r->fill_ns && r->fill_ns < at ? r->fill_ns : at;
			if (at < due)
				due = at;
		}
	}
	exec_timer_at(x, due);
}

void exec_timer_at(struct exec *x, uint64_t at_ns)
{
	uint64_t now;

	if (at_ns == UINT64_MAX || (x->timer_ns && x->timer_ns <= at_ns))
		return;
	now = round_now_ns(x->n);
	uv_update_time(&x->n->loop);
	(void)uv_timer_start(&x->timer, on_timer, at_ns > now ? (at_ns - now + 999999) / 1000000 : 1, 0);
	x->timer_ns = at_ns;
}
