/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history - forgets by policy, never silently: finished jobs older than the configured age, and the oldest ones when the journal is
 * larger than the configured bytes. Each is a JobForgotten entry; then its outputs and indexes go, and blobs nobody names.
 *
 * Looked at when a job ends, and by a timer that is due when the oldest finished job will be old: an idle node does not wake up.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/node_int.h"

#define FORGET_PER_LOOK 256u
#define LOOK_AGAIN_NS	1000000000ull
#define BLOBS_EVERY_NS	(3600ull * 1000000000ull)

struct history {
	struct node *node;
	uv_timer_t timer;
	uint64_t timer_ns;   /* 0: not set */
	uint64_t looked_ns;  /* when last */
	job_id from;	     /* no job up to here is left that is finished */
	bool swept_any;
	uint64_t swept_ns;
	uv_work_t sweep;
	bool sweeping;
};

static bool finished(enum job_state s)
{
	return s == JOB_SUCCEEDED || s == JOB_FAILED || s == JOB_CANCELLED;
}

static void forget(struct node *n, job_id job, const char *policy)
{
	struct command cmd = { .kind = CMD_FORGET, .u.job = { .job = job, .reason = policy } };

	round_command(n, &cmd, NULL, 0, NULL);
}

/* The oldest finished job. */
static bool oldest(struct history *h, struct job_view *out)
{
	job_id at = { 0 };

	while (engine_job_next(h->node->engine, at, out)) {
		at = out->id;
		if (finished(out->state))
			return true;
	}
	return false;
}

static void set_timer(struct history *h, uint64_t at_ns);

static void sweep_work(uv_work_t *w)
{
	struct history *h = w->data;
	struct blobs_swept done;

	(void)blobs_sweep(h->node->blobs, clock_wall_ns() / 1000000000u, NULL, NULL, &done, NULL);
}

static void sweep_done(uv_work_t *w, int status)
{
	struct history *h = w->data;

	(void)status;
	h->sweeping = false;
}

/* Blobs that nobody used for long: running and waiting jobs touch theirs when they start a task. */
static void sweep_blobs(struct history *h, uint64_t now)
{
	if (h->sweeping || (h->swept_any && now - h->swept_ns < BLOBS_EVERY_NS))
		return;
	h->swept_any = true;
	h->swept_ns = now;
	h->sweep.data = h;
	h->sweeping = uv_queue_work(&h->node->loop, &h->sweep, sweep_work, sweep_done) == 0;
}

static void look(struct history *h)
{
	struct node *n = h->node;
	uint64_t now = round_now_ns(n), due = UINT64_MAX;
	struct journal_stats stats;
	struct job_view job;
	uint32_t k;

	h->looked_ns = now;
	journal_stats(n->journal, &stats);
	for (k = 0; k < FORGET_PER_LOOK && oldest(h, &job); k++) {
		uint64_t old = job.finished_ns + n->config.history_age_ns;

		if (old <= now) {
			forget(n, job.id, "age");
		} else if (k == 0 && stats.db_bytes - stats.free_bytes > n->config.history_bytes) {
			/* One a look: how much it freed is known only when it is done. */
			forget(n, job.id, "bytes");
			due = now + LOOK_AGAIN_NS;
			break;
		} else {
			due = old;
			break;
		}
	}
	if (k == FORGET_PER_LOOK)
		due = now + 1000000;
	if (k)
		sweep_blobs(h, now);
	set_timer(h, due);
}

static void on_timer(uv_timer_t *t)
{
	struct history *h = t->data;

	h->timer_ns = 0;
	if (!h->node->stopping && !h->node->broken)
		look(h);
}

static void set_timer(struct history *h, uint64_t at_ns)
{
	uint64_t now = round_now_ns(h->node), wait;

	if (at_ns == UINT64_MAX || (h->timer_ns && h->timer_ns <= at_ns))
		return;
	wait = at_ns > now ? (at_ns - now) / 1000000 + 1 : 1;
	uv_update_time(&h->node->loop);
	(void)uv_timer_start(&h->timer, on_timer, wait, 0);
	h->timer_ns = at_ns;
}

void history_init(struct node *n)
{
	struct history *h = calloc(1, sizeof(*h));

	CHECK(h);
	h->node = n;
	CHECK(uv_timer_init(&n->loop, &h->timer) == 0);
	uv_unref((uv_handle_t *)&h->timer);
	h->timer.data = h;
	n->history = h;
	set_timer(h, round_now_ns(n) + LOOK_AGAIN_NS);
}

void history_finished(struct node *n, job_id job)
{
	struct history *h = n->history;

	(void)job;
	/* While jobs end, once a second is enough. */
	if (h && h->timer_ns == 0 && round_now_ns(n) - h->looked_ns > LOOK_AGAIN_NS)
		set_timer(h, round_now_ns(n) + LOOK_AGAIN_NS);
}

void history_forget(struct node *n, job_id job)
{
	journal_forget(n->journal, job.v);
	journal_flush(n->journal);
	spec_cache_drop(n->specs, job);
}

void history_close(struct node *n)
{
	free(n->history);
	n->history = NULL;
}
