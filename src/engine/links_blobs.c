/* SPDX-License-Identifier: Apache-2.0 */
/*
 * links_blobs - files that must be where they are needed: inputs here before a delegated job may start, large outputs at the hub before
 * their results are told.
 *
 * A delegated job whose files are not all here is held from the entry on that brings it, so a restart finds it held, and fetches again.
 * What cannot be fetched because the hub cannot be reached is tried again for ever; a file that no hub has lets the job start, and
 * fail with words.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/sources.h"
#include "engine/carrier.h"
#include "engine/links_int.h"
#include "engine/results.h"
#include "io/blobs.h"

#define RETRY_MS 5000u

/* A job that waits for files, or one file that goes up. */
struct moving {
	struct moving *next;
	struct links *k;
	uint64_t job;              /* 0: a file that goes up */
	unsigned pending;          /* files that are asked for */
	bool again;                /* one of them must be tried again */
	bool done;                 /* it is at the hub */
	bool told;                 /* and nobody asks for it any more */
	char origin[JOIN_URL_MAX]; /* where it goes */
	uint8_t digest[32];
	uint64_t again_ns;
	struct granted_near *near; /* of a job: who else may have its files */
};

/* ---- which files a step takes in ---- */

typedef void (*file_fn)(void *ctx, const uint8_t digest[32], uint64_t bytes);

void links_files_of(const Wire__JobSpec *spec, file_fn fn, void *ctx)
{
	for (size_t i = 0; i < spec->n_steps; i++)
		sources_step_blobs(spec->steps[i], fn, ctx);
}

struct looking {
	struct links *k;
	bool missing;
};

static void look(void *ctx, const uint8_t digest[32], uint64_t bytes)
{
	struct looking *l = ctx;

	if (blobs_has(l->k->n->blobs, digest, &bytes)) {
		blobs_touch(
		        l->k->n->blobs, digest); /* a sweep that began before the job was known spares it */
		links_near_used(l->k, digest, bytes);
	} else {
		l->missing = true;
	}
}

bool links_lacks_files(struct links *k, const Wire__JobSpec *spec)
{
	struct looking l = {.k = k};

	links_files_of(spec, look, &l);
	return l.missing;
}

/* ---- inputs come ---- */

static void release(struct links *k, uint64_t job)
{
	Wire__JobAdjusted m = WIRE__JOB_ADJUSTED__INIT;
	struct command cmd = {.kind = CMD_ADJUST, .u.adjust = &m};

	m.job = job;
	m.set = WIRE__JOB_ADJUSTED__FIELD__HELD;
	m.held = false;
	round_command(k->n, &cmd, NULL, 0, NULL);
}

static void moving_remove(struct moving *m)
{
	struct moving **at = &m->k->moving;

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	links_near_drop(m->near);
	free(m);
}

static struct moving *moving_new(struct links *k)
{
	struct moving *m = calloc(1, sizeof(*m));

	CHECK(m);
	m->k = k;
	m->next = k->moving;
	k->moving = m;
	return m;
}

static void try_again(struct moving *m)
{
	m->again = true;
	m->again_ns = round_now_ns(m->k->n) + RETRY_MS * 1000000ull;
	links_wake_at(m->k, m->again_ns);
}

/* What has come for a job is held from now on. */
static void came(struct moving *m)
{
	struct looking l = {.k = m->k};
	struct spec_ref spec = {0};
	struct err e;

	if (spec_hold(m->k->n->specs, m->k->n->engine, (job_id){m->job}, &spec, &e) < 0)
		return;
	links_files_of(spec.spec, look, &l);
	spec_release(&spec);
}

static void on_got(void *ctx, const struct err *e)
{
	struct moving *m = ctx;
	struct links *k = m->k;

	m->pending--;
	if (e && e->code == ERR_CLOSED && k->stopping)
		return;
	if (e) {
		(void)snprintf(k->why, sizeof(k->why), "a file of the hub's: %.200s", e->msg);
		if (err_passes(e))
			m->again = true;
		else /* the task will only say that it is missing */
			(void)fprintf(stderr, "osier: job %llu goes on without %s\n",
			        (unsigned long long)m->job, k->why);
	}
	if (m->pending)
		return;
	if (m->again) {
		try_again(m);
		return;
	}
	came(m);
	release(k, m->job);
	moving_remove(m);
}

static void want(void *ctx, const uint8_t digest[32], uint64_t bytes)
{
	struct moving *m = ctx;

	if (blobs_has(m->k->n->blobs, digest, NULL))
		return;
	m->pending++;
	links_near_expect(m->k, digest);
	links_near_get(m->k, m->near, digest, bytes, CARRIER_NOW, on_got, m);
}

static void fetch(struct moving *m)
{
	struct links *k = m->k;
	struct spec_ref spec = {0};
	struct err e;

	m->again = false;
	if (spec_hold(k->n->specs, k->n->engine, (job_id){m->job}, &spec, &e) < 0) {
		moving_remove(m); /* it is gone */
		return;
	}
	m->pending = 1; /* nothing is over before all were asked for */
	links_files_of(spec.spec, want, m);
	spec_release(&spec);
	on_got(m, NULL);
}

void links_fetch(struct links *k, uint64_t job)
{
	struct moving *m;

	for (m = k->moving; m; m = m->next)
		if (m->job == job)
			return;
	m = moving_new(k);
	m->job = job;
	m->near = k->granted;
	k->granted = NULL;
	fetch(m);
}

void links_fetch_held(struct links *k)
{
	struct delegated_view v;
	struct job_view job;

	for (job_id at = {0}; engine_delegated_next(k->n->engine, at, &v); at = v.job)
		if (!v.finished && engine_job(k->n->engine, v.job, &job) && job.held)
			links_fetch(k, v.job.v);
}

/* ---- outputs go ---- */

/* One transfer: the hub may be elsewhere before it is over. */
struct sending {
	struct moving *m;
	char origin[JOIN_URL_MAX];
};

static void on_put(void *ctx, const struct err *e)
{
	struct sending *s = ctx;
	struct moving *m = s->m;
	struct links *k = m->k;
	bool counts = strcmp(s->origin, m->origin) == 0;
	uint64_t bytes = 0;

	free(s);
	m->pending--;
	if (m->told) {
		if (!m->pending)
			moving_remove(m);
		return;
	}
	if (!counts || (e && k->stopping))
		return;
	if (e) {
		(void)snprintf(k->why, sizeof(k->why), "a file to the hub: %.200s", e->msg);
		try_again(m);
		return;
	}
	m->done = true;
	if (blobs_has(k->n->blobs, m->digest, &bytes))
		links_near_used(k, m->digest, bytes);
	if (k->parent)
		link_touch(k->parent);
}

static void put(struct moving *m)
{
	struct sending *s = calloc(1, sizeof(*s));

	CHECK(s);
	(void)snprintf(m->origin, sizeof(m->origin), "%s", parent_origin(m->k->n));
	memcpy(s->origin, m->origin, sizeof(s->origin));
	s->m = m;
	m->again = m->done = false;
	m->pending++;
	carrier_put(m->k->n, m->digest, s->origin, on_put, s);
}

void links_moved(struct links *k)
{
	for (struct moving *m = k->moving; m; m = m->next)
		if (!m->job && !m->told && strcmp(m->origin, parent_origin(k->n)) != 0)
			put(m);
}

bool links_carried(struct links *k, const uint8_t digest[32])
{
	struct moving *m;

	for (m = k->moving; m; m = m->next)
		if (!m->job && !m->told && memcmp(m->digest, digest, 32) == 0)
			return m->done;
	m = moving_new(k);
	memcpy(m->digest, digest, 32);
	put(m);
	return false;
}

void links_told(struct links *k, const uint8_t digest[32])
{
	for (struct moving *m = k->moving; m; m = m->next)
		if (!m->job && m->done && memcmp(m->digest, digest, 32) == 0) {
			m->told = true;
			if (!m->pending)
				moving_remove(m);
			return;
		}
}

/* ---- again ---- */

void links_move(struct links *k)
{
	uint64_t now = round_now_ns(k->n);

	for (struct moving *m = k->moving, *next; m; m = next) {
		next = m->next;
		if (!m->again)
			continue;
		if (m->again_ns > now)
			links_wake_at(k, m->again_ns); /* the timer went off for something else */
		else if (m->job)
			fetch(m);
		else
			put(m);
	}
}

void links_moving_free(struct links *k)
{
	while (k->moving)
		moving_remove(k->moving);
}
