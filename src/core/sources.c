/* SPDX-License-Identifier: Apache-2.0 */
/* sources - see sources.h. Pure. */
#include "core/sources.h"

#include <string.h>

#include "base/check.h"

static bool from_step(const Wire__Input *in)
{
	return in && in->from_step[0] != '\0';
}

uint32_t sources_plain(const Wire__Step *st)
{
	uint32_t n = from_step(st->stdin_file);

	for (size_t i = 0; i < st->n_inputs; i++)
		n += from_step(st->inputs[i]);
	return n;
}

static const Wire__Step *step_named(const Wire__JobSpec *spec, const char *name)
{
	for (size_t i = 0; i < spec->n_steps; i++)
		if (strcmp(spec->steps[i]->name, name) == 0)
			return spec->steps[i];
	return NULL;
}

uint64_t sources_most(const Wire__JobSpec *spec, const Wire__Step *st)
{
	uint64_t n = sources_plain(st);

	if (st->sources) {
		for (size_t i = 0; i < st->sources->n_count; i++)
			n = st->sources->count[i] > n ? st->sources->count[i] : n;
		return n;
	}
	if (st->reduce) {
		const Wire__Step *of = st->reduce->associative ? NULL : step_named(spec, st->reduce->of);

		n += st->reduce->associative ? st->reduce->fan_in : of ? of->tasks : UINT32_MAX;
	}
	return n;
}

/* ---- reading ---- */

static int inlined_ok(const Wire__Sources *s, struct err *e)
{
	size_t sum = 0;

	for (size_t i = 0; i < s->n_inlined; i++) {
		uint32_t at = s->inlined[i];

		if (at >= s->n_bytes || (i && at <= s->inlined[i - 1]) || s->bytes[at] > SOURCE_INLINE_MAX)
			return err_set(e, ERR_INVALID,
			        "an input that lies inline is not in the table, or too large");
		sum += s->bytes[at];
	}
	if (s->pack.len ? s->pack.len != 32 || s->data.len || sum > SOURCE_PACK_MAX
	                : sum != s->data.len || sum > SOURCE_INLINE_MAX)
		return err_set(
		        e, ERR_INVALID, "the inputs that lie inline do not have the bytes that they should");
	return 0;
}

int sources_ok(const Wire__Step *st, struct err *e)
{
	const Wire__Sources *s = st->sources;
	uint32_t plain = sources_plain(st);
	uint64_t sum = 0;

	if (!s)
		return 0;
	if (s->n_count != st->tasks || s->n_which > SOURCES_MAX || s->n_bytes > SOURCES_MAX ||
	        s->sha256.len != 32 * s->n_bytes || st->reduce)
		return err_set(e, ERR_INVALID, "step '%s': the table of its inputs does not fit its tasks",
		        st->name);
	for (size_t i = 0; i < s->n_count; i++) {
		sum += s->count[i];
		if (s->count[i] < plain || (!s->reduce && s->count[i] > plain))
			return err_set(e, ERR_INVALID,
			        "step '%s': task %zu does not have the inputs that it should", st->name, i);
	}
	if (sum != s->n_which)
		return err_set(e, ERR_INVALID, "step '%s': the table of its inputs does not fit its tasks",
		        st->name);
	for (size_t i = 0; i < s->n_which; i++)
		if (s->which[i] >= s->n_bytes)
			return err_set(e, ERR_INVALID, "step '%s': an input is not in the table", st->name);
	return inlined_ok(s, e);
}

uint32_t sources_count(const Wire__Sources *s, uint64_t task)
{
	CHECK(task < s->n_count);
	return s->count[task];
}

uint32_t sources_reduced(const Wire__Step *st, uint64_t task)
{
	return sources_count(st->sources, task) - sources_plain(st);
}

static void file_at(const Wire__Sources *s, uint32_t which, const uint8_t *pack, struct source_view *out)
{
	const uint8_t *small = s->pack.len ? pack : s->data.data;

	CHECK(which < s->n_bytes);
	*out = (struct source_view){.bytes = s->bytes[which], .sha256 = s->sha256.data + 32 * (size_t)which};
	for (size_t i = 0; i < s->n_inlined && s->inlined[i] <= which && small; i++) {
		if (s->inlined[i] == which)
			out->data = small;
		small += s->bytes[s->inlined[i]];
	}
}

size_t sources_small(const Wire__Sources *s)
{
	size_t sum = 0;

	for (size_t i = 0; i < s->n_inlined; i++)
		sum += s->bytes[s->inlined[i]];
	return sum;
}

static bool is_small(const Wire__Sources *s, uint32_t which)
{
	for (size_t i = 0; i < s->n_inlined && s->inlined[i] <= which; i++)
		if (s->inlined[i] == which)
			return true;
	return false;
}

void sources_blobs(
        const Wire__Sources *s, void (*fn)(void *ctx, const uint8_t digest[32], uint64_t bytes), void *ctx)
{
	uint64_t last = UINT64_MAX;

	if (s->pack.len)
		fn(ctx, s->pack.data, sources_small(s));
	for (size_t i = 0; i < s->n_which; i++) {
		uint32_t at = s->which[i];

		if (at != last && s->bytes[at] && s->bytes[at] != SOURCE_MISSING && !is_small(s, at))
			fn(ctx, s->sha256.data + 32 * (size_t)at, s->bytes[at]);
		last = at;
	}
}

void sources_step_blobs(
        const Wire__Step *s, void (*fn)(void *ctx, const uint8_t digest[32], uint64_t bytes), void *ctx)
{
	for (size_t i = 0; i < s->n_inputs; i++)
		if (s->inputs[i]->blob.len == 32)
			fn(ctx, s->inputs[i]->blob.data, s->inputs[i]->size_bytes);
	if (s->stdin_file && s->stdin_file->blob.len == 32)
		fn(ctx, s->stdin_file->blob.data, s->stdin_file->size_bytes);
	for (size_t i = 0; i < s->n_params; i++)
		if (s->params[i]->blob.len == 32)
			fn(ctx, s->params[i]->blob.data, UINT64_MAX);
	if (s->sources)
		sources_blobs(s->sources, fn, ctx);
}

static size_t first_of(const Wire__Sources *s, uint64_t task)
{
	size_t at = 0;

	for (uint64_t i = 0; i < task; i++)
		at += s->count[i];
	return at;
}

void sources_at(
        const Wire__Sources *s, uint64_t task, uint32_t i, const uint8_t *pack, struct source_view *out)
{
	CHECK(i < sources_count(s, task));
	file_at(s, s->which[first_of(s, task) + i], pack, out);
}

/* ---- making ---- */

int sources_begin(
        struct sources_building *b, uint64_t tasks, bool reduce, size_t small_bytes, struct arena *a)
{
	CHECK(small_bytes <= SOURCE_PACK_MAX && tasks <= UINT32_MAX);
	memset(b, 0, sizeof(*b));
	wire__sources__init(&b->s);
	b->tasks_max = tasks;
	b->small_room = small_bytes;
	b->s.reduce = reduce;
	b->s.count = arena_calloc(a, tasks + 1, sizeof(*b->s.count));
	b->s.which = arena_alloc(a, SOURCES_MAX * sizeof(*b->s.which));
	b->s.bytes = arena_alloc(a, SOURCES_MAX * sizeof(*b->s.bytes));
	b->s.sha256.data = arena_alloc(a, SOURCES_MAX * (size_t)32);
	b->s.inlined = arena_alloc(a, SOURCES_MAX * sizeof(*b->s.inlined));
	b->s.data.data = arena_alloc(a, small_bytes + 1);
	return b->s.count && b->s.which && b->s.bytes && b->s.sha256.data && b->s.inlined && b->s.data.data
	               ? 0
	               : -1;
}

void sources_task(struct sources_building *b)
{
	CHECK(b->s.n_count < b->tasks_max);
	b->s.n_count++;
}

bool sources_fits(const struct sources_building *b, uint64_t bytes)
{
	return bytes <= SOURCE_INLINE_MAX && bytes <= b->small_room;
}

int sources_again(struct sources_building *b, uint32_t which)
{
	CHECK(b->s.n_count && which < b->s.n_bytes);
	if (b->s.n_which == SOURCES_MAX)
		return -1;
	b->s.which[b->s.n_which++] = which;
	b->s.count[b->s.n_count - 1]++;
	return 0;
}

int sources_add(struct sources_building *b, const struct source_view *f, uint32_t *out_which)
{
	Wire__Sources *s = &b->s;
	uint32_t at = (uint32_t)s->n_bytes;

	if (s->n_bytes == SOURCES_MAX || s->n_which == SOURCES_MAX)
		return -1;
	s->bytes[s->n_bytes++] = f->bytes;
	memset(s->sha256.data + s->sha256.len, 0, 32);
	if (f->sha256)
		memcpy(s->sha256.data + s->sha256.len, f->sha256, 32);
	s->sha256.len += 32;
	if (f->data && f->bytes && sources_fits(b, f->bytes)) {
		memcpy(s->data.data + s->data.len, f->data, f->bytes);
		s->data.len += f->bytes;
		s->inlined[s->n_inlined++] = at;
		b->small_room -= f->bytes;
	}
	*out_which = at;
	return sources_again(b, at);
}

/* Of one with a pack: its table stays whole, as the pack does. */
static Wire__Sources *cut_packed(const Wire__Sources *s, uint64_t first, uint64_t n, struct arena *a)
{
	Wire__Sources *out = arena_dup(a, s, sizeof(*s));
	size_t at = first_of(s, first);

	if (!out)
		return NULL;
	out->n_count = n;
	out->n_which = first_of(s, first + n) - at;
	out->count = n ? s->count + first : NULL; /* of nothing there is no array to point into */
	out->which = out->n_which ? s->which + at : NULL;
	return out;
}

Wire__Sources *sources_cut(const Wire__Sources *s, uint64_t first, uint64_t n, struct arena *a)
{
	struct sources_building *b = arena_alloc(a, sizeof(*b));
	uint32_t *now = arena_alloc(
	        a, (s->n_bytes + 1) * sizeof(*now)); /* where a file of the table is in the new one */
	size_t at = first_of(s, first);

	CHECK(first <= s->n_count && n <= s->n_count - first);
	if (s->pack.len)
		return cut_packed(s, first, n, a);
	if (!b || !now || sources_begin(b, n, s->reduce, SOURCE_INLINE_MAX, a) < 0)
		return NULL;
	memset(now, 0xff, (s->n_bytes + 1) * sizeof(*now));
	for (uint64_t task = first; task < first + n; task++) {
		sources_task(b);
		for (uint32_t i = 0; i < s->count[task]; i++, at++) {
			uint32_t which = s->which[at];
			struct source_view f;

			if (now[which] != UINT32_MAX) {
				CHECK(sources_again(b, now[which]) == 0);
				continue;
			}
			file_at(s, which, NULL, &f);
			CHECK(sources_add(b, &f, &now[which]) == 0);
		}
	}
	return &b->s;
}
