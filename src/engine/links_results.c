/* SPDX-License-Identifier: Apache-2.0 */
/*
 * links_results - results that go up are read from the journal; those that come up become entries.
 *
 * One call gives rows of one Results entry, whose columns are cut, not copied.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "engine/api_result.h"
#include "engine/exec.h"
#include "engine/links_int.h"
#include "engine/results.h"
#include "io/sha256.h"
#include "wire/entry.h"

/* ---- going up ---- */

struct slice {
	const Wire__Results *r;
	uint64_t row, n; /* rows [row, row + n) */
	struct result_walk from, to;
	const uint8_t *outputs;
	size_t output_bytes;
};

/* Of a column that is empty, one value, or one for each row. */
#define CUT(out, s, column)                                                                                  \
	do {                                                                                                 \
		(out)->n_##column = (s)->r->n_##column;                                                      \
		(out)->column = (s)->r->column;                                                              \
		if ((s)->r->n_##column > 1) {                                                                \
			(out)->n_##column = (s)->n;                                                          \
			(out)->column = (s)->r->column + (s)->row;                                           \
		}                                                                                            \
	} while (0)

/* Columns of outputs have a value for each output, or one for all. */
#define CUT_OUTPUTS(out, s, column)                                                                          \
	do {                                                                                                 \
		(out)->n_##column = (s)->r->n_##column;                                                      \
		(out)->column = (s)->r->column;                                                              \
		if ((s)->r->n_##column > 1) {                                                                \
			(out)->n_##column = (s)->to.from - (s)->from.from;                                   \
			(out)->column = (s)->r->column + (s)->from.from;                                     \
		}                                                                                            \
	} while (0)

/* Start times count from the lease's grant here, and there from when the job came. */
static void cut_starts(
        struct links *k, job_id job, const struct slice *s, struct arena *a, Wire__Results *out)
{
	uint64_t lease = s->r->lease, at = lease & (LEASES_KNOWN - 1), later_us = 0;
	struct job_view v;

	CUT(out, s, start_us);
	if (k->known[at].lease == lease && engine_job(k->n->engine, job, &v) &&
	        k->known[at].granted_ns > v.submitted_ns)
		later_us = (k->known[at].granted_ns - v.submitted_ns) / 1000;
	if (!later_us)
		return;
	if (!out->n_start_us) {
		out->start_us = arena_alloc(a, sizeof(*out->start_us));
		CHECK(out->start_us);
		out->start_us[0] = later_us;
		out->n_start_us = 1;
		return;
	}
	out->start_us = arena_alloc(a, out->n_start_us * sizeof(*out->start_us));
	CHECK(out->start_us);
	for (size_t i = 0; i < out->n_start_us; i++)
		out->start_us[i] =
		        (s->r->n_start_us > 1 ? s->r->start_us[s->row + i] : s->r->start_us[0]) + later_us;
}

static void cut_note(const struct slice *s, Wire__Results *out)
{
	for (uint64_t i = s->row; i < s->row + s->n; i++)
		if (result_note_is_for(s->r, i))
			out->note = s->r->note;
}

/* The small outputs among those of the slice. */
static void cut_data(const struct slice *s, struct arena *a, struct link_results *out)
{
	uint64_t n = s->to.from - s->from.from, at = s->from.at, k = 0;
	struct link_data *data = arena_alloc(a, (n + 1) * sizeof(*data));

	CHECK(data);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t bytes = RESULT_COLUMN(s->r, output_bytes, s->from.from + i);

		if (!bytes || bytes > OUTPUT_SMALL_MAX)
			continue;
		data[k++] = (struct link_data){.output = (uint32_t)i, .bytes = s->outputs + at, .n = bytes};
		at += bytes;
	}
	out->data = data;
	out->n_data = k;
}

static void cut(struct links *k, job_id job, const struct slice *s, struct arena *a, struct link_results *out)
{
	Wire__Results *c = out->columns;

	c->count = s->n;
	CUT(c, s, code);
	cut_starts(k, job, s, a, c);
	CUT(c, s, wall_us);
	CUT(c, s, user_us);
	CUT(c, s, system_us);
	CUT(c, s, memory_bytes);
	CUT(c, s, read_bytes);
	CUT(c, s, write_bytes);
	if (s->to.from > s->from.from) {
		CUT(c, s, outputs);
		CUT_OUTPUTS(c, s, output_bytes);
		CUT_OUTPUTS(c, s, output_truncated);
		c->output_sha256.data = s->r->output_sha256.data + s->from.hashed * 32;
		c->output_sha256.len = (s->to.hashed - s->from.hashed) * 32;
	}
	cut_note(s, c);
	cut_data(s, a, out);
}

/* Are the large outputs of a row at the hub? */
static bool row_carried(
        struct links *k, const struct slice *s, const struct result_walk *from, const struct result_walk *to)
{
	bool all = true;

	for (uint64_t i = from->from, hashed = from->hashed; i < to->from; i++) {
		uint64_t bytes = RESULT_COLUMN(s->r, output_bytes, i);

		if (bytes > OUTPUT_SMALL_MAX && !links_carried(k, s->r->output_sha256.data + hashed * 32))
			all = false; /* and the others go on their way, too */
		hashed += bytes > 0;
	}
	return all;
}

/* As many rows as fit, and at least one; none when the files of the first are not at the hub yet. */
static void fit(struct links *k, struct slice *s, uint64_t most, size_t room, bool digests)
{
	uint64_t rows = s->r->count - s->row;
	struct result_walk w = s->from;

	if (rows > most)
		rows = most;
	/* A row's numbers are some 24 bytes on the wire, an output's 40 and its data. */
	for (s->n = 0; s->n < rows; s->n++) {
		struct result_walk next = w;

		result_walk_to(s->r, &next, s->row + s->n + 1);
		if (s->n && (s->n + 1) * 24 + (next.from - s->from.from) * 40 + (next.at - s->from.at) > room)
			break;
		if (!digests && !row_carried(k, s, &w, &next))
			break;
		w = next;
	}
	s->to = w;
	if (digests)
		return;
	/* Should they have to be told again, a look at the hub finds the files there. */
	for (uint64_t i = s->from.from, hashed = s->from.hashed; i < w.from; i++) {
		uint64_t bytes = RESULT_COLUMN(s->r, output_bytes, i);

		if (bytes > OUTPUT_SMALL_MAX)
			links_told(k, s->r->output_sha256.data + hashed * 32);
		hashed += bytes > 0;
	}
}

void links_results(void *ctx, job_id job, uint64_t first, uint64_t most, size_t room_bytes, struct arena *a,
        struct link_results *out)
{
	struct links *k = ctx;
	struct slice s = {0};
	const uint8_t *bytes;
	const Wire__Entry *en;
	size_t n;
	uint64_t seq;
	struct err e;

	growing_clear(&k->reading);
	if (journal_read_result(
	            k->n->reader, job.v, 0, first, &seq, &bytes, &n, &s.outputs, &s.output_bytes, &e) < 0) {
		/* It has an outcome without an attempt, such as a time-out in the queue. */
		if (e.code != ERR_NOTFOUND)
			return;
		out->columns->count = 1;
		return;
	}
	if (entry_decode(&k->reading.arena, bytes, n, &en, &e) < 0 ||
	        en->body_case != WIRE__ENTRY__BODY_RESULTS)
		return;
	s.r = en->results;
	s.row = first - s.r->first;
	result_walk_to(s.r, &s.from, s.row);
	fit(k, &s, most, room_bytes, out->digests);
	if (s.n == 0)
		return;
	cut(k, job, &s, a, out);
}

/* ---- coming up ---- */

static void keep(struct links *k, size_t at, const uint8_t *bytes, size_t n)
{
	if (k->outputs_max - at < n) {
		size_t max = k->outputs_max ? k->outputs_max : 4096;

		while (max - at < n)
			max *= 2;
		k->outputs = realloc(k->outputs, max);
		CHECK(k->outputs);
		k->outputs_max = max;
	}
	memcpy(k->outputs + at, bytes, n);
}

/* The small outputs, all of them there and each what its digest says: laid one after the other. < 0: they are not. */
static int64_t gather_data(
        struct links *k, const Wire__Results *r, const struct link_data *data, size_t n_data)
{
	struct result_walk w = {0};
	size_t at = 0, next = 0;

	result_walk_to(r, &w, r->count);
	for (uint64_t i = 0, hashed = 0; i < w.from; i++) {
		uint64_t bytes = RESULT_COLUMN(r, output_bytes, i);
		uint8_t sha[32];

		if (!bytes)
			continue;
		hashed++;
		if (bytes > OUTPUT_SMALL_MAX)
			continue;
		if (next == n_data || data[next].output != i || data[next].n != bytes)
			return -1;
		sha256_of(data[next].bytes, bytes, sha);
		if (memcmp(sha, r->output_sha256.data + (hashed - 1) * 32, 32) != 0)
			return -1;
		keep(k, at, data[next].bytes, bytes);
		at += bytes;
		next++;
	}
	return next == n_data ? (int64_t)at : -1;
}

void links_take_results(void *ctx, const Wire__Results *r, const struct link_data *data, size_t n_data)
{
	struct links *k = ctx;
	struct command cmd = {.kind = CMD_RESULTS, .u.results = r};
	int64_t n = gather_data(k, r, data, n_data);

	/* Not taken: the link sees that the cursor stands where it stood, and the session begins anew. */
	if (n < 0) {
		(void)snprintf(k->why, sizeof(k->why), "outputs came that are not what their digests say");
		return;
	}
	round_command(k->n, &cmd, k->outputs, (size_t)n, NULL);
}
