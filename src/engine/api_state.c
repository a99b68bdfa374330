/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_state - the state after the first N entries, folded again in a worker thread.
 *
 * The thread has its own connection to the journal, its own engine and its own memory: it shares nothing with the loop
 * but its request's numbers. One at a time; others wait their turn in the queue of libuv's threads, up to STATES_MAX.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "engine/api_int.h"
#include "io/growing.h"
#include "wire/entry.h"

#define STATE_MEMORY (8ull << 30) /* address space: pages are touched as needed */
#define STATES_MAX   2u

struct state_work {
	uv_work_t work;
	struct request *q; /* NULL: gone */
	char *dir;
	uint64_t at, size, limit, before;
	struct json_out out;
	struct err err;
	uint64_t time_ns; /* of the last entry */
	struct engine *engine;
	struct growing g;
};

static unsigned states_running; /* loop thread */

static int fold(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n, struct err *e)
{
	struct state_work *w = ctx;
	const Wire__Entry *en;

	growing_clear(&w->g);
	if (entry_decode(&w->g.arena, bytes, n, &en, e) < 0)
		return err_wrap(e, "entry %llu", (unsigned long long)seq);
	w->time_ns = en->time_ns;
	engine_apply(w->engine, en, NULL);
	return 0;
}

static int rebuild(struct state_work *w, struct journal *j)
{
	uint8_t *snapshot = NULL;
	size_t n = 0;
	uint64_t from = 0;
	int r;

	if (journal_snapshot_load(j, w->at, &snapshot, &n, &from, &w->err) < 0)
		return -1;
	r = snapshot ? engine_load(w->engine, snapshot, n, &w->err) : 0;
	free(snapshot);
	if (r == 0)
		r = journal_replay(j, from, w->at, fold, w, &w->err);
	return r;
}

/* When the last of the `at` entries was written, also if a snapshot spared us reading it. */
static void last_time(struct state_work *w)
{
	struct journal_reader *r;
	const uint8_t *bytes;
	size_t n;
	uint8_t leaf[32];
	const Wire__Entry *en;

	if (w->time_ns || !w->at || journal_reader_open(w->dir, &r, NULL) < 0)
		return;
	growing_clear(&w->g);
	if (journal_read_entry(r, w->at - 1, &bytes, &n, leaf, NULL) == 0 &&
	        entry_decode(&w->g.arena, bytes, n, &en, NULL) == 0)
		w->time_ns = en->time_ns;
	journal_reader_close(r);
}

static void write_jobs(struct state_work *w)
{
	struct json_out *o = &w->out;
	struct job_view v;
	uint64_t at = w->before, n = 0;

	jo_key(o, "jobs");
	jo_array(o);
	for (; n < w->limit && job_below(w->engine, at, &v); n++) {
		at = v.id.v;
		job_summary_json(o, w->engine, &v, w->time_ns);
	}
	jo_array_end(o);
	jo_key(o, "next");
	if (n && job_below(w->engine, at, &v))
		jo_u64(o, at);
	else
		jo_null(o);
}

static void write_state(struct state_work *w)
{
	struct json_out *o = &w->out;
	uint64_t digest = engine_digest(w->engine);
	uint8_t bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(digest >> (56 - 8 * i));
	last_time(w);
	jo_object(o);
	jo_key(o, "at");
	jo_u64(o, w->at);
	jo_key(o, "size");
	jo_u64(o, w->size);
	jo_key(o, "time");
	jo_time_or_null(o, w->time_ns);
	jo_key(o, "digest");
	jo_hex(o, bytes, 8);
	totals_json(o, w->engine);
	write_jobs(w);
	jo_object_end(o);
}

/* In a worker thread. */
static void state_run(uv_work_t *work)
{
	struct state_work *w = work->data;
	const struct journal_options opt = {.read_only = true};
	struct engine_limits limits = engine_limits_default(STATE_MEMORY);
	struct journal *j = NULL;
	void *mem = mmap(NULL, STATE_MEMORY, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED) {
		err_sys(&w->err, "cannot reserve memory for a second state");
		return;
	}
	growing_init(&w->g, 256u << 10, 4 * ENTRY_BYTES_MAX);
	w->engine = engine_new(mem, &limits);
	if (!w->engine)
		err_set(&w->err, ERR_FULL, "a second state does not fit in memory");
	else if (journal_open(w->dir, &opt, &j, &w->err) == 0 && rebuild(w, j) == 0)
		write_state(w);
	journal_close(j);
	growing_release(&w->g);
	munmap(mem, STATE_MEMORY);
}

static void work_free(struct state_work *w)
{
	jo_release(&w->out);
	free(w->dir);
	free(w);
}

/* On the loop thread again. */
static void state_done(uv_work_t *work, int status)
{
	struct state_work *w = work->data;
	struct request *q = w->q;

	states_running--;
	if (!q) {
		work_free(w);
		return;
	}
	if (status < 0)
		answer_error(q, 503, "closed", "the node is stopping", NULL);
	else if (w->err.code)
		answer_err(q, &w->err);
	else {
		struct json_out *o = answer_out(q);

		jo_raw(o, w->out.buf, w->out.n);
		answer_json(q, 200);
	}
	q->own = NULL;
	q->own_free = NULL;
	work_free(w);
}

static void request_gone(void *own)
{
	struct state_work *w = own;

	w->q = NULL; /* the thread goes on; state_done() frees */
}

void h_state(struct request *q)
{
	struct state_work *w;
	uint64_t size = journal_durable(node_journal(q->api->node)), at = size, limit = API_PAGE, before = 0;

	if (query_u64(q, "at", 0, UINT64_MAX, &at) < 0 ||
	        query_u64(q, "limit", 1, API_PAGE_MAX, &limit) < 0 ||
	        query_u64(q, "before", 1, UINT64_MAX - 1, &before) < 0)
		return;
	if (at > size) {
		answer_errf(q, 404, "not_found", NULL, "the journal has %llu entries, not %llu",
		        (unsigned long long)size, (unsigned long long)at);
		return;
	}
	if (states_running == STATES_MAX) {
		answer_error(
		        q, 503, "busy", "other states are being rebuilt already", "try again in a moment");
		return;
	}
	w = calloc(1, sizeof(*w));
	CHECK(w);
	w->work.data = w;
	w->q = q;
	w->dir = strdup(node_state_dir(q->api->node));
	w->at = at;
	w->size = size;
	w->limit = limit;
	w->before = before;
	CHECK(w->dir);
	uv_queue_work(q->api->loop, &w->work, state_run, state_done); /* fails only without a function */
	states_running++;
	q->own = w;
	q->own_free = request_gone;
	request_sleep(q);
}
