/* SPDX-License-Identifier: Apache-2.0 */
/* grant - see grant.h. */
#include "core/grant.h"

#include <string.h>

#include "base/check.h"
#include "core/gang.h"
#include "core/place.h"
#include "core/sched.h"
#include "core/sources.h"

bool grant_possible(const Wire__JobSpec *spec, const Wire__Step *st)
{
	uint64_t most = sources_most(spec, st);

	if (most > SOURCES_MAX)
		return false;
	return wire__step__get_packed_size(st) <= (st->sources   ? GRANT_TABLED_MAX
	                                                  : most ? GRANT_SOURCED_MAX
	                                                         : GRANT_BYTES_MAX);
}

uint64_t grant_tasks_max(const Wire__JobSpec *spec, const Wire__Step *st)
{
	uint64_t most = sources_most(spec, st);

	return most == 0 ? 0 : most > SOURCES_MAX ? 1 : SOURCES_MAX / most;
}

bool grant_sourced(const Wire__Step *st)
{
	return !st->sources && (st->reduce || sources_plain(st));
}

/* What a grant consists of, besides what it borrows. */
struct parts {
	Wire__JobSpec job;
	Wire__Step step, *steps;
	Wire__Variant variant, *variants;
	Wire__Retry retry;
	Wire__Place place;
	Wire__Match *where[PLACE_MATCHES_MAX + 1], alike;
	char *like;
	Wire__JobSpec__As as;
};

/* Is it a label that only the hub knows the node by? */
static bool is_hubs_own(const Wire__NodeSet *node, const char *key)
{
	for (size_t i = 0; i < node->n_admin_labels; i++)
		if (strcmp(node->admin_labels[i]->key, key) == 0)
			return true;
	return strcmp(key, "name") == 0;
}

/* What it asks of nodes holds for the nodes below that one, too, but for what this hub has judged by labels of its own. */
static int place_make(struct parts *p, const struct engine *e, uint32_t node, struct arena *a)
{
	const Wire__Place *is = p->step.place;
	const Wire__NodeSet *at;

	if (!is)
		return 0;
	at = engine_node_open(e, node, a);
	if (!at)
		return -1;
	p->place = *is;
	p->place.where = p->where;
	p->place.n_where = 0;
	for (size_t i = 0; i < is->n_where && p->place.n_where < PLACE_MATCHES_MAX; i++)
		if (!is_hubs_own(at, is->where[i]->key))
			p->where[p->place.n_where++] = is->where[i];
	p->step.place = &p->place;
	return 0;
}

/* Replicas that are to run on one class of nodes: below that one, too, only on what is of its class. */
static int same_make(
        struct parts *p, const Wire__Step *st, const struct engine *e, uint32_t node, struct arena *a)
{
	const char *key = st->verify ? st->verify->same : "";
	const Wire__NodeSet *at = *key ? engine_node_open(e, node, a) : NULL;

	if (!*key)
		return 0;
	if (!at)
		return -1;
	for (size_t i = 0; i < at->n_labels; i++)
		if (strcmp(at->labels[i]->key, key) == 0)
			p->like = at->labels[i]->value;
	if (!p->like || is_hubs_own(at, key))
		return 0;
	if (!p->step.place) {
		p->place = (Wire__Place)WIRE__PLACE__INIT;
		p->place.where = p->where;
		p->step.place = &p->place;
	}
	if (p->place.n_where == PLACE_MATCHES_MAX)
		return 0;
	p->alike = (Wire__Match)WIRE__MATCH__INIT;
	p->alike.key = (char *)(uintptr_t)key;
	p->alike.values = &p->like;
	p->alike.n_values = 1;
	p->where[p->place.n_where++] = &p->alike;
	return 0;
}

static void step_make(
        struct parts *p, const Wire__Step *st, const struct lease_view *l, const struct step_view *now)
{
	p->step = *st;
	p->variant = *st->variants[l->variant];
	p->variants = &p->variant;
	p->retry = (Wire__Retry)WIRE__RETRY__INIT;
	p->retry.not_on_node_loss = st->retry && st->retry->not_on_node_loss;
	p->step.variants = &p->variants;
	p->step.n_variants = 1;
	p->step.retry = &p->retry;
	p->step.n_after = 0;
	p->step.after = NULL;
	p->step.reduce = NULL;
	p->step.verify = NULL;
	p->step.gang = NULL;
	p->step.queue_timeout_ns = 0;
	p->step.run_timeout_ns = now->run_timeout_ns;
	p->step.tasks = l->first + l->count - l->cursor;
	p->step.index_first = st->index_first + l->cursor;
	p->step.tasks_whole = st->tasks_whole ? st->tasks_whole : st->tasks;
}

/* What its tasks take from earlier steps. */
static int sources_make(struct parts *p, const struct lease_view *l, const Wire__Step *st,
        const Wire__Sources *sources, struct arena *a)
{
	if (grant_sourced(st)) {
		CHECK(sources);
		p->step.sources = (Wire__Sources *)(uintptr_t)sources;
	} else if (st->sources) {
		p->step.sources = sources_cut(st->sources, l->cursor, l->first + l->count - l->cursor, a);
	}
	return st->sources && !p->step.sources ? -1 : 0;
}

/* Its tasks say who they are as if they ran here; further down as where it was submitted. */
static bool as_make(struct parts *p, const struct engine *e, const struct lease_view *l)
{
	struct sched_node_view node;

	if (p->job.as)
		return true;
	if (!sched_node(engine_sched(e), l->node, &node))
		return false;
	p->as = (Wire__JobSpec__As)WIRE__JOB_SPEC__AS__INIT;
	p->as.job = l->job.v;
	p->as.attempt = l->id.v;
	p->as.node = (char *)(uintptr_t)node.name;
	p->job.as = &p->as;
	return true;
}

const Wire__JobSpec *grant_make(const struct engine *e, const struct lease_view *l, const Wire__JobSpec *spec,
        const Wire__Sources *sources, struct arena *a)
{
	struct parts *p = arena_alloc(a, sizeof(*p));
	struct step_view now;
	struct job_view job;

	CHECK(l->step < spec->n_steps && l->cursor < l->first + l->count);
	if (!p || !engine_job(e, l->job, &job) || !engine_step(e, l->job, l->step, &now))
		return NULL;
	step_make(p, spec->steps[l->step], l, &now);
	p->step.member = (Wire__Member *)(uintptr_t)gang_member(e, l, spec->steps[l->step], a);
	if (spec->steps[l->step]->gang && !p->step.member)
		return NULL;
	if (place_make(p, e, l->node, a) < 0 || same_make(p, spec->steps[l->step], e, l->node, a) < 0 ||
	        sources_make(p, l, spec->steps[l->step], sources, a) < 0)
		return NULL;
	p->job = *spec;
	if (!as_make(p, e, l))
		return NULL;
	p->steps = &p->step;
	p->job.steps = &p->steps;
	p->job.n_steps = 1;
	p->job.priority = job.priority;
	p->job.deadline_ns = job.deadline_ns;
	p->job.deadline_after_ns = 0;
	p->job.deadline_warn = 1;
	p->job.timeout_ns = 0;
	p->job.not_before_ns = 0;
	p->job.held = 0;
	p->job.concurrency = 1; /* a lease is one task after another */
	p->job.keep_going = 1;  /* what a failure means is decided where the job is */
	return &p->job;
}
