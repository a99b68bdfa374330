/* SPDX-License-Identifier: Apache-2.0 */
/* seen - see seen.h. */
#include "cli/seen.h"

#include <stdlib.h>
#include <string.h>

#include "cli/text.h"

/* FNV-1a over the step, mixed with the task and the stream; never 0. */
static uint64_t key_of(const char *step, uint64_t index, bool err)
{
	uint64_t h = 14695981039346656037u;

	for (; *step; step++)
		h = (h ^ (unsigned char)*step) * 1099511628211u;
	h ^= index * 2 + err;
	h = (h ^ h >> 31) * 0x9e3779b97f4a7c15u;
	h ^= h >> 29;
	return h ? h : 1;
}

static struct seen_place *place(const struct seen *s, uint64_t key)
{
	size_t i = key & (s->max - 1);

	while (s->v[i].key && s->v[i].key != key)
		i = (i + 1) & (s->max - 1);
	return &s->v[i];
}

static void grow(struct seen *s)
{
	struct seen old = *s;

	s->max = old.max ? old.max * 2 : 64;
	s->v = cli_alloc(s->max * sizeof(*s->v));
	memset(s->v, 0, s->max * sizeof(*s->v));
	for (size_t i = 0; i < old.max; i++)
		if (old.v[i].key)
			*place(s, old.v[i].key) = old.v[i];
	free(old.v);
}

bool seen_before(struct seen *s, const char *step, uint64_t index, bool err, uint64_t attempt, uint64_t at)
{
	uint64_t key = key_of(step, index, err);
	struct seen_place *p;

	if (s->full)
		return false;
	if (s->n * 2 >= s->max)
		grow(s);
	p = place(s, key);
	if (p->key && p->attempt == attempt && at <= p->at)
		return true;
	if (!p->key && s->n == SEEN_MAX) {
		s->full = true;
		return false;
	}
	s->n += !p->key;
	*p = (struct seen_place){.key = key, .attempt = attempt, .at = at};
	return false;
}

void seen_release(struct seen *s)
{
	free(s->v);
	*s = (struct seen){0};
}
