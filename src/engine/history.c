/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history - forgets by policy, never silently: finished jobs older than the configured age, and the oldest ones when the journal is
 * larger than the configured bytes. Each is a JobForgotten entry; then its outputs and indexes go, and blobs nobody names.
 *
 * Looked at when a job ends, and by a timer that is due when the oldest finished job will be old: an idle node does not wake up.
 * Blobs are swept after jobs were forgotten, at most once an hour, and when the store had no room for something, at most every few seconds.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/node_int.h"
#include "engine/pins.h"
#include "wire/entry.h"

#define FORGET_PER_LOOK 256u
#define LOOK_AGAIN_NS   1000000000ull
#define BLOBS_EVERY_NS  (3600ull * 1000000000ull)
#define PRESSED_NS      5000000000ull /* while the store is full; and 20 times as long as the last sweep took */

struct history {
	struct node *node;
	uv_timer_t timer;
	uint64_t timer_ns; /* 0: not set */
	uint64_t began_ns;
	uint64_t swept_ns; /* 0: not yet */
	uint64_t took_ns;  /* the last sweep */
	bool sweeping, forgot,
	        pressed; /* since the last sweep began: jobs were forgotten; there was no room */
	uv_async_t press;
	uv_timer_t sweep;
};

static bool finished(enum job_state s)
{
	return s == JOB_SUCCEEDED || s == JOB_FAILED || s == JOB_CANCELLED;
}

static void forget(struct node *n, job_id job, const char *policy)
{
	struct command cmd = {.kind = CMD_FORGET, .u.job = {.job = job, .reason = policy}};

	round_command(n, &cmd, NULL, 0, NULL);
}

/* The oldest finished job. */
static bool oldest(struct history *h, struct job_view *out)
{
	job_id at = {0};

	while (engine_job_next(h->node->engine, at, out)) {
		at = out->id;
		if (finished(out->state))
			return true;
	}
	return false;
}

static void set_timer(struct history *h, uint64_t at_ns);
static void set_sweep(struct history *h);

/* When blobs are to be swept, or UINT64_MAX. */
static uint64_t sweep_due(const struct history *h)
{
	uint64_t wait = h->pressed ? PRESSED_NS : BLOBS_EVERY_NS;

	if (h->sweeping || (!h->forgot && !h->pressed))
		return UINT64_MAX;
	if (h->pressed && 20 * h->took_ns > wait)
		wait = 20 * h->took_ns < BLOBS_EVERY_NS ? 20 * h->took_ns : BLOBS_EVERY_NS;
	return h->swept_ns ? h->swept_ns + wait : h->began_ns + LOOK_AGAIN_NS;
}

struct sweep {
	uv_work_t work;
	struct history *h;
	struct blobs *blobs;
	struct pins *pins;
};

static void sweep_work(uv_work_t *w)
{
	struct sweep *s = w->data;
	struct blobs_swept done;
	struct err e;

	if (pins_scan(s->pins, &e) < 0 ||
	        blobs_sweep(s->blobs, clock_wall_ns() / 1000000000u, pins_has, s->pins, &done, &e) < 0)
		(void)fprintf(stderr, "osier: blobs were not swept: %s\n", e.msg);
}

static void sweep_done(uv_work_t *w, int status)
{
	struct sweep *s = w->data;

	(void)status;
	s->h->sweeping = false;
	s->h->took_ns = round_now_ns(s->h->node) - s->h->swept_ns;
	set_sweep(s->h);
	pins_free(s->pins);
	free(s);
}

/* Blobs that nobody used for long and no kept job names. */
static void sweep_blobs(struct history *h, uint64_t now)
{
	struct node *n = h->node;
	struct journal_stats stats;
	struct sweep *s;

	h->swept_ns = now;
	h->forgot = h->pressed = false;
	s = calloc(1, sizeof(*s));
	CHECK(s);
	journal_stats(n->journal, &stats);
	s->h = h;
	s->blobs = n->blobs;
	s->pins = pins_new(n->engine, n->state_dir, stats.history_from, stats.entries);
	s->work.data = s;
	h->sweeping = uv_queue_work(&n->loop, &s->work, sweep_work, sweep_done) == 0;
	if (!h->sweeping)
		sweep_done(&s->work, 0);
}

static void on_sweep(uv_timer_t *t)
{
	struct history *h = t->data;
	uint64_t now = round_now_ns(h->node);

	if (h->node->stopping || h->node->broken)
		return;
	if (sweep_due(h) <= now + LOOK_AGAIN_NS) /* the round's time may be a little behind */
		sweep_blobs(h, now);
	else
		set_sweep(h);
}

static void set_sweep(struct history *h)
{
	uint64_t now = round_now_ns(h->node), due = sweep_due(h);

	if (due == UINT64_MAX || h->node->stopping || h->node->broken)
		return;
	uv_update_time(&h->node->loop);
	(void)uv_timer_start(&h->sweep, on_sweep, due > now ? (due - now) / 1000000 + 1 : 1, 0);
}

/* The time of an entry; UINT64_MAX when it cannot be read. */
static uint64_t entry_time(struct node *n, uint64_t seq)
{
	const Wire__Entry *en;
	const uint8_t *bytes;
	struct arena a;
	uint64_t t = UINT64_MAX;
	size_t size;
	void *mem;

	if (journal_read_entry(n->reader, seq, &bytes, &size, NULL, NULL) < 0)
		return t;
	mem = aligned_alloc(16, 65536 + ((16 * size) & ~(size_t)15));
	CHECK(mem);
	arena_init(&a, mem, 65536 + ((16 * size) & ~(size_t)15));
	if (entry_decode(&a, bytes, size, &en, NULL) == 0)
		t = en->time_ns;
	free(mem);
	return t;
}

/* Drop the entries before the oldest kept job's: times never decrease along the journal. */
static void drop_entries(struct node *n)
{
	struct journal_stats stats;
	struct job_view job;
	uint64_t from, to, oldest_ns = UINT64_MAX;

	journal_stats(n->journal, &stats);
	if (engine_job_next(n->engine, (job_id){0}, &job))
		oldest_ns = job.submitted_ns;
	from = stats.history_from;
	to = stats.entries;
	while (from < to) {
		uint64_t mid = from + (to - from) / 2, t = entry_time(n, mid);

		if (t < oldest_ns)
			from = mid + 1;
		else
			to = mid;
	}
	/* Refused while no snapshot covers them: the next look tries again. */
	if (from > stats.history_from && journal_drop_history(n->journal, from, NULL) == 0)
		journal_flush(n->journal);
}

static void look(struct history *h)
{
	struct node *n = h->node;
	uint64_t now = round_now_ns(n), due = UINT64_MAX;
	struct journal_stats stats;
	struct job_view job;
	uint32_t k;

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
		drop_entries(n);
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

static void on_press(uv_async_t *a)
{
	struct history *h = a->data;

	h->pressed = true;
	set_sweep(h);
}

static void wake_up(void *ctx)
{
	struct history *h = ctx;

	(void)uv_async_send(&h->press);
}

void history_init(struct node *n)
{
	struct history *h = calloc(1, sizeof(*h));

	CHECK(h);
	h->node = n;
	CHECK(uv_timer_init(&n->loop, &h->timer) == 0);
	uv_unref((uv_handle_t *)&h->timer);
	h->timer.data = h;
	CHECK(uv_timer_init(&n->loop, &h->sweep) == 0);
	uv_unref((uv_handle_t *)&h->sweep);
	h->sweep.data = h;
	CHECK(uv_async_init(&n->loop, &h->press, on_press) == 0);
	uv_unref((uv_handle_t *)&h->press);
	h->press.data = h;
	n->history = h;
	blobs_on_pressed(n->blobs, wake_up, h);
	h->began_ns = round_now_ns(n);
	set_timer(h, h->began_ns + LOOK_AGAIN_NS);
}

void history_finished(struct node *n, job_id job)
{
	struct history *h = n->history;

	(void)job;
	/* While jobs end, once a second is enough. */
	if (h && h->timer_ns == 0)
		set_timer(h, round_now_ns(n) + LOOK_AGAIN_NS);
}

void history_forget(struct node *n, job_id job)
{
	journal_forget(n->journal, job.v);
	journal_flush(n->journal);
	spec_cache_drop(n->specs, job);
	if (!n->history || n->history->forgot)
		return;
	n->history->forgot = true; /* of a job that came from a hub nobody else says it */
	set_sweep(n->history);
}

void history_stop(struct node *n)
{
	if (n->history)
		blobs_on_pressed(n->blobs, NULL, NULL);
}

void history_close(struct node *n)
{
	free(n->history);
	n->history = NULL;
}
