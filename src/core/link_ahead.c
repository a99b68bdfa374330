/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_ahead - which files a child's next tasks may take in, told to it before there is a lease; see link.h. Pure.
 *
 * When something happened at the hub, and then at most once in AHEAD_NS a child, it looks at the next steps that wait for a place on that
 * child (sched_ahead()), and at the files that their jobs brought. All that is wanted now is one list, told when it is another than before;
 * the child does with it what it likes. A file is named to no more children than there are tasks that wait for it. Nothing of this is
 * in a journal, numbered or repeated: a list that is lost costs a little time, and a new session begins with none.
 */
#include <string.h>

#include "base/check.h"
#include "core/grant.h"
#include "core/link_int.h"
#include "core/sched.h"

#define STEPS 4u /* whose files are looked at, at a time */

/* ---- what all children were told ---- */

void link_ahead_forget(struct link_ahead_book *b, uint32_t node)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->n; i++)
		if (b->v[i].node != node)
			b->v[n++] = b->v[i];
	b->n = n;
}

static uint32_t others(const struct link_end *l, uint64_t blob)
{
	const struct link_ahead_book *b = l->shell.book;
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->n; i++)
		n += b->v[i].blob == blob && b->v[i].node != l->node;
	return n;
}

static void note(struct link_end *l)
{
	struct link_ahead_book *b = l->shell.book;

	link_ahead_forget(b, l->node);
	for (uint32_t i = 0; i < l->ahead.n; i++) {
		CHECK(b->n < LINK_AHEAD_BOOK);
		b->v[b->n].blob = sched_blob(l->ahead.v[i].digest);
		b->v[b->n++].node = l->node;
	}
}

/* How many more may be noted for this child. */
static uint32_t room(const struct link_end *l)
{
	uint32_t left = LINK_AHEAD_BOOK - l->shell.book->n + l->ahead.n;

	return left < FRAME_AHEAD_MAX ? left : FRAME_AHEAD_MAX;
}

void hub_ahead_begin(struct link_end *l)
{
	l->ahead.n = 0;
	l->ahead_look = 1;
	if (l->shell.book)
		link_ahead_forget(l->shell.book, l->node);
}

/* ---- the list ---- */

static bool listed(const struct ahead_list *to, const uint8_t *digest)
{
	for (uint32_t i = 0; i < to->n; i++)
		if (memcmp(to->v[i].digest, digest, 32) == 0)
			return true;
	return false;
}

static void add(const struct link_end *l, const struct sched_ahead *of, const ProtobufCBinaryData *digest,
        uint64_t bytes, struct ahead_list *to)
{
	const struct sched *s = engine_sched(l->shell.engine);
	uint64_t blob;

	if (digest->len != 32 || bytes < LINK_HELD_LEAST || to->n >= room(l) || listed(to, digest->data))
		return;
	blob = sched_blob(digest->data);
	if (sched_holds(s, l->node, blob) || link_holds(l, digest->data) ||
	        sched_copies(s, of->group, blob, l->node) + others(l, blob) >= of->n_ready)
		return;
	memcpy(to->v[to->n].digest, digest->data, 32);
	to->v[to->n].stale = false;
	to->v[to->n++].bytes = bytes;
}

/* What the job brought; what earlier steps leave is another file for each task, and mostly not there yet. */
static void add_step(const struct link_end *l, const struct sched_ahead *of, struct ahead_list *to)
{
	const Wire__JobSpec *spec = l->shell.spec(l->shell.ctx, (job_id){of->job});
	const Wire__Step *st;

	if (!spec)
		return;
	st = spec->steps[of->step];
	if (st->verify || st->gang || !grant_possible(spec, st))
		return;
	for (size_t i = 0; i < st->n_inputs; i++)
		add(l, of, &st->inputs[i]->blob, st->inputs[i]->size_bytes, to);
	if (st->stdin_file)
		add(l, of, &st->stdin_file->blob, st->stdin_file->size_bytes, to);
}

/* What is wanted no more may be so because its lease was granted, which is told a moment later: the child shall not give up in between. */
static void keep_stale(struct link_end *l, struct ahead_list *to)
{
	for (uint32_t i = 0; i < l->ahead.n && to->n < room(l); i++) {
		if (l->ahead.v[i].stale || listed(to, l->ahead.v[i].digest))
			continue;
		to->v[to->n] = l->ahead.v[i];
		to->v[to->n++].stale = true;
		l->ahead_look = 1;
	}
}

static bool same(const struct ahead_list *a, const struct ahead_list *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (memcmp(a->v[i].digest, b->v[i].digest, 32) != 0)
			return false;
	return true;
}

static size_t tell(struct link_end *l, uint64_t now, uint8_t *out)
{
	Link__AheadFile file[FRAME_AHEAD_MAX], *files[FRAME_AHEAD_MAX];
	Link__Frame f = LINK__FRAME__INIT;
	Link__Ahead m = LINK__AHEAD__INIT;
	struct arena a;

	arena_init(&a, l->scratch, l->scratch_bytes);
	m.file = files;
	for (uint32_t i = 0; i < l->ahead.n; i++) {
		file[i] = (Link__AheadFile)LINK__AHEAD_FILE__INIT;
		file[i].sha256 = (ProtobufCBinaryData){32, l->ahead.v[i].digest};
		file[i].bytes = l->ahead.v[i].bytes;
		files[m.n_file++] = &file[i];
	}
	if (m.n_file && l->shell.ahead_near)
		l->shell.ahead_near(l->shell.ctx, l->node, &a, &m);
	f.body_case = LINK__FRAME__BODY_AHEAD;
	f.ahead = &m;
	return link_emit(l, now, &f, false, 0, out);
}

/* ---- when ---- */

static bool hears(const struct link_end *l)
{
	return l->shell.book && l->state == LINK_UP && l->version >= LINK_MAJOR * 1000u + LINK_AHEAD_MINOR;
}

void hub_ahead_look(struct link_end *l)
{
	l->ahead_look = 1;
}

uint64_t hub_ahead_deadline(const struct link_end *l)
{
	if (!l->ahead_look || !hears(l) || l->welcome_due || !link_window_open(l) ||
	        (!l->ahead.n && !sched_crossing(engine_sched(l->shell.engine))))
		return UINT64_MAX;
	return l->ahead_ns;
}

size_t hub_ahead_next(struct link_end *l, uint64_t now, uint8_t *out)
{
	struct ahead_list is = {0};
	struct sched_ahead next[STEPS];
	uint32_t n;
	bool told;

	if (now < hub_ahead_deadline(l))
		return 0;
	l->ahead_look = 0;
	l->ahead_ns = now + AHEAD_NS;
	n = sched_ahead(engine_sched(l->shell.engine), l->node, l->shell.clock(l->shell.ctx), next, STEPS);
	for (uint32_t i = 0; i < n; i++)
		add_step(l, &next[i], &is);
	keep_stale(l, &is);
	told = same(&is, &l->ahead);
	l->ahead = is;
	note(l);
	return told ? 0 : tell(l, now, out);
}
