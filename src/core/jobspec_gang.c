/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobspec_gang - tasks of several members that run at one time: the key `gang`. See jobspec_read.h; what it means is in
 * gang.c. Pure.
 */
#include <string.h>

#include "base/check.h"
#include "core/gang.h"
#include "core/jobspec_read.h"

static void gang_size(struct build *b, const struct doc *v, void *obj)
{
	(void)spec_read_u32(b, v, 2, GANG_MAX, &((Wire__Gang *)obj)->size);
}

static void gang_spread(struct build *b, const struct doc *v, void *obj)
{
	static const char *const words[] = {"node"};
	size_t i;

	if (spec_read_choice(b, v, words, ARRAY_LEN(words), &i))
		((Wire__Gang *)obj)->apart = true;
}

static const struct key gang_keys[] = {
        {"size", "2 to 64", "required", gang_size},
        {"spread", "node", "wherever there is room", gang_spread},
};
const struct table spec_gang_table = {"gang", "", gang_keys, ARRAY_LEN(gang_keys)};

void spec_step_gang(struct build *b, const struct doc *v, void *obj)
{
	struct step_src *s = obj;
	Wire__Gang *g = spec_take(b, 1, sizeof(*g));

	spec_step_own(s, v);
	s->gang = v;
	if (!g)
		return;
	wire__gang__init(g);
	s->step->gang = g;
	if (v->kind == DOC_SCALAR)
		gang_size(b, v, g);
	else
		spec_read_map(b, v, &spec_gang_table, g, NULL, NULL);
	if (v->kind == DOC_MAP && !spec_doc_get(v, "size"))
		spec_problem(b, v, "'gang' without 'size'", "how many members each task has");
}

void spec_gang_finish(struct build *b)
{
	for (size_t i = 0; i < b->n_steps; i++) {
		const struct step_src *s = &b->steps[i];

		if (!s->gang || s->step->gang->size < 2)
			continue;
		if (s->worker)
			spec_problem_key(
			        b, s->gang, "either 'gang' or 'worker': the members of a gang are processes");
		if (s->verify)
			spec_problem_key(b, s->gang, "either 'gang' or 'verify'");
		if (s->reduce)
			spec_problem_key(b, s->gang, "either 'gang' or 'reduce'");
		if (b->job->class_ == WIRE__JOB_SPEC__CLASS__REALTIME)
			spec_problem_key(b, s->gang, "'class: batch': nothing is moved aside for a gang");
		if (b->job->concurrency && b->job->concurrency < s->step->gang->size)
			spec_problem_key(b, s->gang,
			        "a 'concurrency' of at least %u: each member of a gang counts",
			        s->step->gang->size);
	}
}

static bool member_ok(const Wire__Member *m)
{
	if (m->size < 2 || m->size > GANG_MAX || m->rank >= m->size || m->n_hosts != m->size ||
	        m->port > 65535 || strlen(m->secret) > GANG_SECRET_MAX)
		return false;
	for (size_t i = 0; i < m->n_hosts; i++)
		if (!gang_address_ok(m->hosts[i]))
			return false;
	return true;
}

const char *spec_gang_bad(const Wire__JobSpec *spec, const Wire__Step *s)
{
	const Wire__Gang *g = s->gang;

	if (s->member && (g || s->worker || s->verify || !member_ok(s->member)))
		return "it is no member that a gang can have";
	if (!g)
		return NULL;
	if (g->size < 2 || g->size > GANG_MAX || g->secret.len > 64)
		return "'gang' out of range";
	if (s->worker || s->verify || s->reduce)
		return "a 'gang' with 'worker', 'verify' or 'reduce'";
	if (spec->class_ == WIRE__JOB_SPEC__CLASS__REALTIME)
		return "a 'gang' in a job of the class realtime";
	if (spec->concurrency && spec->concurrency < g->size)
		return "a 'gang' with more members than 'concurrency' allows";
	return NULL;
}
