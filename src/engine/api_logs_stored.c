/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_logs_stored - the bytes that a finished task wrote, from the journal's store or from a blob. See api_logs.h.
 *
 * One entry holds the results of many tasks; it is kept while the walk goes through them, unless a task was tried more
 * than once: then its newest result may be elsewhere.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "core/gang.h"
#include "engine/api_logs.h"
#include "engine/hub_copies.h"
#include "io/blobs.h"
#include "wire/entry.h"

static bool at_hand(const struct logs *l, uint32_t step, uint64_t index)
{
	struct task_view t;

	return l->results && l->results_step == step && index - l->results->first < l->results->count &&
	       index - l->results->first >= l->walk.row &&
	       engine_task(node_engine(l->api->node), l->job, step, index, &t) && t.attempts <= 1;
}

static bool fetch(struct logs *l, uint32_t step, uint64_t index)
{
	const uint8_t *bytes, *outputs;
	size_t n, n_outputs;
	uint64_t seq;
	const Wire__Entry *en;
	struct err e;

	if (at_hand(l, step, index))
		return true;
	l->results = NULL;
	growing_clear(&l->mem);
	if (journal_read_result_of(node_reader(l->api->node), l->job.v, step, index,
	            engine_gang_result(node_engine(l->api->node), l->job, step, index).v, &seq, &bytes, &n,
	            &outputs, &n_outputs, &e) < 0) {
		if (e.code != ERR_NOTFOUND) /* else it never ran to a result, or history by policy took it */
			l->failed = e;
		return false;
	}
	if (entry_decode(&l->mem.arena, bytes, n, &en, &l->failed) < 0)
		return false;
	if (!en->results || index - en->results->first >= en->results->count) {
		(void)err_set(&l->failed, ERR_CORRUPT, "the journal's index does not fit its entries");
		(void)err_hint(&l->failed, "run osier doctor");
		return false;
	}
	free(l->outputs);
	l->outputs = malloc(n_outputs ? n_outputs : 1);
	CHECK(l->outputs);
	if (n_outputs)
		memcpy(l->outputs, outputs, n_outputs);
	l->n_outputs = n_outputs;
	l->results = en->results;
	l->results_step = step;
	l->walk = (struct result_walk){0};
	return true;
}

static struct log_from place(const struct logs *l)
{
	const struct log_source *s = &l->src;

	return (struct log_from){
	        .step = s->step, .index = s->index, .lease = l->results->lease, .k = (int)s->k, .at = s->at};
}

static bool gap(struct logs *l, enum err_code code, const char *why)
{
	struct log_from from = place(l);

	log_gap(l, &from, l->src.end - l->src.at, code, why);
	return false;
}

/* ---- an output that only another of the hub's machines has ---- */

struct log_fetch {
	struct logs *l; /* NULL: it is gone */
};

static void on_fetched(void *ctx, const struct err *e)
{
	struct log_fetch *f = ctx;

	if (f->l) {
		f->l->fetch = NULL;
		f->l->src.why = e ? *e : (struct err){0};
		stream_wake(f->l->stream, STREAM_NOW);
	}
	free(f);
}

/* Once for each output. */
static bool ask_others(struct logs *l, const struct result_output *out)
{
	struct log_source *s = &l->src;
	struct log_fetch *f;

	if (s->asked)
		return false;
	s->asked = true;
	f = malloc(sizeof(*f));
	CHECK(f);
	f->l = l;
	if (hub_file_read(l->api->node, out->sha256, out->bytes, on_fetched, f)) {
		l->fetch = f;
		return true;
	}
	free(f);
	if (hub_has_others(l->api->node))
		(void)err_set(
		        &s->why, ERR_CLOSED, "it is not here, and the hub's other machines do not answer");
	return false;
}

static bool open_blob(struct logs *l, const struct result_output *out)
{
	struct log_source *s = &l->src;
	struct err e;
	uint64_t bytes;

	if (blobs_open_read(node_blobs(l->api->node), out->sha256, &s->fd, &bytes, &e) == 0) {
		s->end = bytes;
		return s->at < s->end;
	}
	if (e.code == ERR_NOTFOUND && ask_others(l, out))
		return false;
	if (e.code == ERR_NOTFOUND && s->why.code)
		e = s->why;
	return gap(l, e.code, e.code == ERR_NOTFOUND ? "it is not kept any more" : e.msg);
}

/* stdout or stderr of the source's task; false: nothing new is in it, or (l->fetch) not yet. */
static bool open_output(struct logs *l)
{
	struct log_source *s = &l->src;
	struct result_output out;

	result_walk_output(l->results, &l->walk, s->k, &out);
	s->at = s->from[s->k];
	s->end = out.bytes;
	if (!l->want[s->k] || s->at >= s->end)
		return false;
	if (!out.small && out.sha256)
		return open_blob(l, &out);
	if (out.at > l->n_outputs || out.bytes > l->n_outputs - out.at)
		return gap(l, ERR_NOTFOUND, "it is not kept any more"); /* history by policy took it */
	if (!output_sound(&out, l->outputs + out.at))
		return gap(l, ERR_CORRUPT,
		        "what is stored is not what the task wrote: journal.db is damaged, restore it "
		        "from a backup");
	s->mem = l->outputs + out.at;
	return true;
}

static void close_output(struct log_source *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->mem = NULL;
	s->open = s->asked = false;
	s->why = (struct err){0};
}

/* Is the result at hand the one that ended the task? An older one may be there while the newest is not durable. */
static bool is_last(const struct logs *l, uint64_t index, const struct task_view *t)
{
	return RESULT_COLUMN(l->results, outcome, index - l->results->first) == t->outcome;
}

static bool all_durable(const struct logs *l)
{
	struct journal *j = node_journal(l->api->node);
	struct journal_head head;

	journal_head(j, &head);
	return journal_durable(j) == head.size;
}

bool log_source_open(struct logs *l, uint32_t step, uint64_t index, const struct task_view *t)
{
	bool durable = all_durable(l), stored = fetch(l, step, index);
	struct log_tail *tail = log_tail_of(l, step, index);
	struct log_source *s = &l->src;

	CHECK(!s->active);
	if (l->failed.code || (!durable && (!stored || !is_last(l, index, t))))
		return false;
	*s = (struct log_source){.step = step, .index = index, .k_end = 2, .fd = -1};
	/* What was told while this very attempt ran is not told again. */
	if (tail && stored && l->results->lease == tail->lease)
		memcpy(s->from, tail->told, sizeof(s->from));
	if (tail)
		log_tail_close(tail);
	if (!stored)
		return true;
	result_walk_to(l->results, &l->walk, index - l->results->first);
	s->active = true;
	return true;
}

bool log_source_tell(struct logs *l)
{
	struct log_source *s = &l->src;
	struct log_from from;
	uint64_t left;
	size_t n, told;
	ssize_t got;
	const char *p;

	if (l->fetch)
		return false;
	if (!s->open) {
		if (s->k == s->k_end) {
			s->active = false;
			return true;
		}
		s->open = open_output(l);
		if (l->fetch)
			return false;
		if (!s->open) {
			close_output(s);
			s->k++;
			return true;
		}
	}
	left = s->end - s->at;
	n = left < sizeof(l->buf) ? (size_t)left : sizeof(l->buf);
	if (s->mem) {
		p = (const char *)s->mem + s->at;
	} else {
		got = pread(s->fd, l->buf, n, (off_t)s->at);
		p = l->buf;
		n = got > 0 ? (size_t)got : 0;
	}
	from = place(l);
	told = log_lines(l, &from, p, n, n == left);
	s->at += told;
	if (!told && s->at < s->end) /* it is shorter than it was, or the disk has failed */
		(void)gap(l, ERR_SYSTEM, "it cannot be read from the disk");
	if (!told || s->at == s->end) {
		close_output(s);
		s->k++;
	}
	return true;
}

void log_source_close(struct logs *l)
{
	if (l->fetch)
		l->fetch->l = NULL;
	l->fetch = NULL;
	close_output(&l->src);
	l->src.active = false;
}
