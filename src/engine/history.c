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
#include "engine/pins.h"
#include "wire/entry.h"

#define FORGET_PER_LOOK 256u
#define LOOK_AGAIN_NS   1000000000ull
#define BLOBS_EVERY_NS  (3600ull * 1000000000ull)

struct history {
	struct node *node;
	uv_timer_t timer;
	uint64_t timer_ns;  /* 0: not set */
	uint64_t looked_ns; /* when last */
	uint64_t swept_ns;  /* 0: not yet */
	bool sweeping;
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
	pins_free(s->pins);
	free(s);
}

/* Blobs that nobody used for long and no kept job names. */
static void sweep_blobs(struct history *h, uint64_t now)
{
	struct node *n = h->node;
	struct journal_stats stats;
	struct sweep *s;

	if (h->sweeping || (h->swept_ns && now - h->swept_ns < BLOBS_EVERY_NS))
		return;
	h->swept_ns = now;
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
	if (k) {
		drop_entries(n);
		sweep_blobs(h, now);
	}
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
