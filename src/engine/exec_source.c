/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_source - outputs of earlier tasks as inputs of later ones: found in the journal's store, or as blobs.
 *
 * The entry last looked at is kept decoded, with the place where the last task's outputs lay in it, so that a reduce over a
 * thousand neighbours costs one look-up and one walk. Only successes are taken from it: they do not change any more.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/sources.h"
#include "core/gang.h"
#include "engine/exec_int.h"
#include "io/lines.h"
#include "io/sha256.h"
#include "wire/entry.h"

#define INLINE_PER_START (96u * 1024u) /* of small outputs in one START; further ones become blobs */

struct source_cache {
	uint64_t job;
	uint32_t step;
	const Wire__Results *res; /* NULL: nothing */
	void *mem;
	size_t mem_bytes;
	uint8_t *small;
	size_t small_bytes;
	/* where task `at` (from the entry's first) begins */
	uint64_t at;
	size_t output, hashed, offset;
};

void sources_free(struct exec *x)
{
	lines_cache_free(x->lines);
	x->lines = NULL;
	if (!x->sources)
		return;
	free(x->sources->mem);
	free(x->sources->small);
	free(x->sources);
	x->sources = NULL;
}

static struct source_cache *cache(struct exec *x)
{
	if (!x->sources) {
		x->sources = calloc(1, sizeof(*x->sources));
		CHECK(x->sources);
	}
	return x->sources;
}

static bool covers(const struct source_cache *c, uint64_t job, uint32_t step, uint64_t task)
{
	return c->res && c->job == job && c->step == step && task >= c->res->first &&
	       task - c->res->first < c->res->count &&
	       RESULT_COLUMN(c->res, outcome, task - c->res->first) == WIRE__OUTCOME__SUCCEEDED;
}

static int decode(struct source_cache *c, const uint8_t *bytes, size_t n, struct err *e)
{
	size_t want = 65536 + n * 16;
	const Wire__Entry *en;
	struct arena a;
	int rc;

	for (;; want *= 4) {
		if (c->mem_bytes < want) {
			free(c->mem);
			c->mem = aligned_alloc(16, want);
			CHECK(c->mem);
			c->mem_bytes = want;
		}
		arena_init(&a, c->mem, c->mem_bytes);
		rc = entry_decode(&a, bytes, n, &en, e);
		if (rc == 0 || e->code != ERR_FULL || want > (1u << 30))
			break;
	}
	if (rc < 0)
		return -1;
	if (en->body_case != WIRE__ENTRY__BODY_RESULTS)
		return err_set(e, ERR_CORRUPT, "the journal's index names an entry that is no result");
	c->res = en->results;
	return 0;
}

static void keep_small_outputs(struct source_cache *c, const uint8_t *small, size_t n)
{
	free(c->small);
	c->small = malloc(n ? n : 1);
	CHECK(c->small);
	if (n)
		memcpy(c->small, small, n);
	c->small_bytes = n;
}

static int load(
        struct exec *x, struct source_cache *c, uint64_t job, uint32_t step, uint64_t task, struct err *e)
{
	const uint8_t *bytes, *small;
	size_t n, small_bytes;
	uint64_t seq;

	c->res = NULL;
	if (journal_read_result_of(x->n->reader, job, step, task,
	            engine_gang_result(x->n->engine, (job_id){job}, step, task).v, &seq, &bytes, &n, &small,
	            &small_bytes, e) < 0)
		return -1;
	if (decode(c, bytes, n, e) < 0)
		return -1;
	keep_small_outputs(c, small, small_bytes);
	c->job = job;
	c->step = step;
	c->at = 0;
	c->output = c->hashed = c->offset = 0;
	return 0;
}

struct attempt_search {
	struct source_cache *c;
	uint64_t lease, seq;
	bool found, bad;
	struct err err;
};

static int is_attempt(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n)
{
	struct attempt_search *s = ctx;

	if (decode(s->c, bytes, n, &s->err) < 0) {
		s->bad = true;
		return -1;
	}
	if (s->c->res->lease != s->lease)
		return 0;
	s->found = true;
	s->seq = seq;
	return -1;
}

/* As load(), but the entry of one attempt: of a verified task there are several successes. */
static int load_attempt(struct exec *x, struct source_cache *c, uint64_t job, uint32_t step, uint64_t task,
        uint64_t lease, struct err *e)
{
	struct attempt_search s = {.c = c, .lease = lease};
	const uint8_t *small;
	size_t n;

	c->res = NULL;
	if (journal_read_attempts(x->n->reader, job, step, task, is_attempt, &s, e) < 0) {
		c->res = NULL;
		return -1;
	}
	if (!s.found) {
		c->res = NULL;
		if (s.bad)
			*e = s.err;
		else
			(void)err_set(e, ERR_NOTFOUND, "attempt %llu has left no result",
			        (unsigned long long)lease);
		return -1;
	}
	if (journal_read_outputs(x->n->reader, s.seq, &small, &n, e) < 0) {
		c->res = NULL;
		return -1;
	}
	keep_small_outputs(c, small, n);
	c->job = job;
	c->step = step;
	c->at = 0;
	c->output = c->hashed = c->offset = 0;
	return 0;
}

/* The attempt that the replicas of a verified task agreed on: the largest class of successes; the least lease of it. */
static uint64_t agreed(struct exec *x, uint64_t job, uint32_t step, uint64_t task)
{
	struct vote_view v[64];
	uint32_t n = engine_votes(x->n->engine, (job_id){job}, step, task, v, 64), most = 0;
	uint64_t lease = 0;

	n = n > 64 ? 64 : n;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t same = 0;

		if (v[i].state != TASK_DONE || v[i].outcome != WIRE__OUTCOME__SUCCEEDED ||
		        v[i].class_ == UINT32_MAX)
			continue;
		for (uint32_t k = 0; k < n; k++)
			same += v[k].state == TASK_DONE && v[k].outcome == WIRE__OUTCOME__SUCCEEDED &&
			        v[k].class_ == v[i].class_;
		if (same > most) {
			most = same;
			lease = v[i].lease.v;
		}
	}
	return lease;
}

static void pass_output(const struct source_cache *c, size_t *output, size_t *hashed, size_t *offset)
{
	uint64_t bytes = *output < c->res->n_output_bytes ? c->res->output_bytes[*output] : 0;

	(*output)++;
	if (bytes == 0)
		return;
	(*hashed)++;
	if (bytes <= OUTPUT_SMALL_MAX)
		*offset += bytes;
}

static void seek(struct source_cache *c, uint64_t at)
{
	if (at < c->at) {
		c->at = 0;
		c->output = c->hashed = c->offset = 0;
	}
	for (; c->at < at; c->at++) {
		uint32_t n = RESULT_COLUMN(c->res, outputs, c->at);

		for (uint32_t i = 0; i < n; i++)
			pass_output(c, &c->output, &c->hashed, &c->offset);
	}
}

/* Output `which` of the task, out of the cached entry. */
static int pick(
        struct source_cache *c, uint64_t task, uint32_t which, struct start_source *out, struct err *e)
{
	uint64_t at = task - c->res->first;
	uint8_t digest[SHA256_BYTES];
	size_t output, hashed, offset;

	seek(c, at);
	output = c->output;
	hashed = c->hashed;
	offset = c->offset;
	memset(out, 0, sizeof(*out));
	if (which >= RESULT_COLUMN(c->res, outputs, at))
		return 0; /* trailing outputs that are empty are not written down */
	for (uint32_t i = 0; i < which; i++)
		pass_output(c, &output, &hashed, &offset);
	if (output >= c->res->n_output_bytes)
		return err_set(e, ERR_CORRUPT, "a result with fewer outputs than it says");
	out->bytes = c->res->output_bytes[output];
	if (out->bytes == 0)
		return 0;
	if (32 * (hashed + 1) > c->res->output_sha256.len)
		return err_set(e, ERR_CORRUPT, "a result with fewer digests than outputs");
	memcpy(out->sha256, c->res->output_sha256.data + 32 * hashed, 32);
	if (out->bytes > OUTPUT_SMALL_MAX)
		return 0;
	if (offset + out->bytes > c->small_bytes)
		return err_set(e, ERR_CORRUPT, "a result whose outputs are not in the journal's store");
	sha256_of(c->small + offset, (size_t)out->bytes, digest);
	if (memcmp(digest, out->sha256, sizeof(digest)) != 0)
		return err_set(e, ERR_CORRUPT,
		        "the stored output is not what the task wrote: journal.db is damaged");
	out->data = c->small + offset;
	return 0;
}

static int which_output(const Wire__Step *s, const char *name, uint32_t *out, struct err *e)
{
	if (strcmp(name, "stdout") == 0) {
		*out = 0;
		return 0;
	}
	for (uint32_t i = 0; i < s->n_outputs; i++) {
		if (strcmp(s->outputs[i]->path, name) == 0) {
			*out = 2 + i;
			return 0;
		}
	}
	return err_set(e, ERR_NOTFOUND, "step '%.60s' has no output '%.80s'", s->name, name);
}

int source_of_attempt(struct exec *x, const Wire__Step *s, uint64_t job, uint32_t step, uint64_t task,
        uint64_t lease, const char *output, struct start_source *out, struct err *e)
{
	struct source_cache *c = cache(x);
	uint32_t which = 0;

	if (which_output(s, output, &which, e) < 0 || load_attempt(x, c, job, step, task, lease, e) < 0)
		return -1;
	return pick(c, task, which, out, e);
}

int exec_output(struct exec *x, const Wire__JobSpec *spec, uint64_t job, uint32_t step, uint64_t task,
        const char *output, struct start_source *out, struct err *e)
{
	const Wire__Step *s = spec->steps[step];
	struct source_cache *c = cache(x);
	uint32_t which = 0;
	int rc = 0;

	if (which_output(s, output, &which, e) < 0)
		return -1;
	if (s->verify && s->verify->replicas > 1)
		rc = load_attempt(x, c, job, step, task, agreed(x, job, step, task), e);
	else if (!covers(c, job, step, task))
		rc = load(x, c, job, step, task, e);
	if (rc < 0 && e->code != ERR_NOTFOUND)
		return -1;
	if (rc < 0 || !covers(c, job, step, task))
		return err_set(e, ERR_NOTFOUND, "task %llu of step '%.60s' has left no output",
		        (unsigned long long)task, s->name);
	if (pick(c, task, which, out, e) < 0)
		return -1;
	if (!out->data && out->bytes && !blobs_has(x->n->blobs, out->sha256, NULL))
		return err_set(e, ERR_NOTFOUND,
		        "the output '%.80s' of task %llu of step '%.60s' is not kept any more", output,
		        (unsigned long long)task, s->name);
	return 0;
}

bool exec_unread(const struct err *e)
{
	return e->code == ERR_CLOSED || e->code == ERR_TIMEOUT;
}

int source_find(
        void *ctx, uint32_t step, uint64_t task, const char *output, struct start_source *out, struct err *e)
{
	struct run *r = ctx;

	if (exec_output(r->x, r->spec.spec, r->job, step, task, output, out, e) < 0) {
		r->unread = exec_unread(e);
		return -1;
	}
	if (out->data && !r->s->worker) {
		r->inline_bytes += out->bytes;
		if (r->inline_bytes > INLINE_PER_START) {
			if (blobs_put(r->x->n->blobs, out->data, out->bytes, out->sha256, e) < 0)
				return -1;
			out->data = NULL;
		}
	}
	return 0;
}

const uint8_t *run_pack(struct run *r)
{
	const Wire__Sources *s = r->s->sources;
	struct err e;

	if (!s || !s->pack.len || r->pack)
		return r->pack;
	if (blobs_map(r->x->n->blobs, s->pack.data, &r->pack, &r->pack_bytes, &e) < 0)
		r->pack = NULL;
	else if (r->pack_bytes != sources_small(s))
		run_unpack(r);
	return r->pack;
}

void run_unpack(struct run *r)
{
	if (r->pack)
		blobs_unmap(r->pack, r->pack_bytes);
	r->pack = NULL;
}

bool source_reduce(void *ctx, uint64_t i, uint32_t *out_step, uint64_t *out_task)
{
	struct run *r = ctx;
	uint64_t first, count;
	bool from_map;
	uint32_t of;

	if (!engine_reduce_inputs(r->x->n->engine, (job_id){r->job}, r->step, r->building, &from_map, &of,
	            &first, &count) ||
	        i >= count)
		return false;
	*out_step = from_map ? of : r->step;
	*out_task = first + i;
	return true;
}

static int open_blob(void *ctx, const uint8_t sha256[32], struct err *e)
{
	struct exec *x = ctx;
	int fd;

	return blobs_open_read(x->n->blobs, sha256, &fd, NULL, e) < 0 ? -1 : fd;
}

int source_line(
        void *ctx, const uint8_t blob[32], uint64_t index, const char **out, size_t *out_n, struct err *e)
{
	struct run *r = ctx;

	if (!r->x->lines)
		r->x->lines = lines_cache_new(open_blob, r->x);
	return lines_cache_line(r->x->lines, blob, index, out, out_n, e);
}
