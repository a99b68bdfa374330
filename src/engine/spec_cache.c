/* SPDX-License-Identifier: Apache-2.0 */
/* spec_cache - see spec_cache.h. */
#include "engine/spec_cache.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "wire/entry.h"

struct chunk {
	struct chunk *next;
	size_t bytes;
};

struct spec_item {
	struct spec_item *newer, *older; /* by last use */
	struct spec_cache *cache;
	uint64_t job;
	uint32_t holds;
	bool dropped; /* free when no longer held */
	size_t bytes;
	struct chunk *chunks;
	const Wire__JobSpec *spec;
};

struct spec_cache {
	struct spec_item *newest, *oldest;
	size_t n, bytes;
};

struct spec_cache *spec_cache_new(void)
{
	struct spec_cache *c = calloc(1, sizeof(*c));

	CHECK(c);
	return c;
}

static void unlink_item(struct spec_cache *c, struct spec_item *it)
{
	*(it->newer ? &it->newer->older : &c->newest) = it->older;
	*(it->older ? &it->older->newer : &c->oldest) = it->newer;
	it->newer = it->older = NULL;
}

static void push_newest(struct spec_cache *c, struct spec_item *it)
{
	it->older = c->newest;
	it->newer = NULL;
	*(c->newest ? &c->newest->newer : &c->oldest) = it;
	c->newest = it;
}

static void item_free(struct spec_item *it)
{
	struct spec_cache *c = it->cache;

	CHECK(it->holds == 0);
	unlink_item(c, it);
	c->n--;
	c->bytes -= it->bytes;
	while (it->chunks) {
		struct chunk *ch = it->chunks;

		it->chunks = ch->next;
		free(ch);
	}
	free(it);
}

void spec_cache_free(struct spec_cache *c)
{
	if (!c)
		return;
	while (c->newest)
		item_free(c->newest);
	free(c);
}

static void *grow(void *ctx, size_t n, size_t *out_size)
{
	struct spec_item *it = ctx;
	size_t head = (sizeof(struct chunk) + 15) & ~(size_t)15, want = n < 4096 ? 4096 : n;
	struct chunk *ch = malloc(head + want);

	if (!ch)
		return NULL;
	ch->next = it->chunks;
	ch->bytes = head + want;
	it->chunks = ch;
	it->bytes += ch->bytes;
	*out_size = want;
	return (uint8_t *)ch + head;
}

static void evict(struct spec_cache *c)
{
	struct spec_item *it = c->oldest;

	while (it && (c->n > SPEC_CACHE_JOBS || c->bytes > SPEC_CACHE_BYTES)) {
		struct spec_item *newer = it->newer;

		if (it->holds == 0)
			item_free(it);
		it = newer;
	}
}

static int load(
        struct spec_cache *c, const struct engine *e, job_id job, struct spec_item **out, struct err *err)
{
	struct job_view v;
	struct spec_item *it;
	struct arena a;
	static _Alignas(16) uint8_t none[16];

	if (!engine_job(e, job, &v))
		return err_set(err, ERR_NOTFOUND, "there is no job %llu", (unsigned long long)job.v);
	it = calloc(1, sizeof(*it));
	CHECK(it);
	it->cache = c;
	it->job = job.v;
	arena_init(&a, none, 0);
	a.grow = grow;
	a.grow_ctx = it;
	push_newest(c, it);
	c->n++;
	if (jobspec_decode(&a, v.spec, v.spec_bytes, &it->spec, err) < 0) {
		c->bytes += it->bytes;
		item_free(it);
		return err_wrap(err, "specification of job %llu", (unsigned long long)job.v);
	}
	c->bytes += it->bytes;
	*out = it;
	return 0;
}

int spec_hold(struct spec_cache *c, const struct engine *e, job_id job, struct spec_ref *out, struct err *err)
{
	struct spec_item *it = c->newest;

	while (it && (it->job != job.v || it->dropped))
		it = it->older;
	if (it) {
		unlink_item(c, it);
		push_newest(c, it);
	} else if (load(c, e, job, &it, err) < 0) {
		return -1;
	}
	it->holds++;
	evict(c);
	out->spec = it->spec;
	out->item = it;
	return 0;
}

void spec_release(struct spec_ref *r)
{
	struct spec_item *it = r->item;

	r->item = NULL;
	r->spec = NULL;
	if (!it)
		return;
	CHECK(it->holds > 0);
	it->holds--;
	if (it->holds == 0 && it->dropped)
		item_free(it);
}

void spec_cache_drop(struct spec_cache *c, job_id job)
{
	for (struct spec_item *it = c->newest; it; it = it->older) {
		if (it->job != job.v || it->dropped)
			continue;
		if (it->holds)
			it->dropped = true;
		else
			item_free(it);
		return;
	}
}
