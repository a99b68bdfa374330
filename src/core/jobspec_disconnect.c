/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobspec_disconnect - a job's word on nodes that cannot be reached: the key `disconnect`. See jobspec_read.h; what
 * it means is in away.c. Pure.
 *
 * What would have no effect is a mistake: whoever writes `replace: never` beside `reconcile: keep_replacement` expects
 * something that will not come.
 */
#include <string.h>

#include "base/check.h"
#include "core/jobspec_read.h"

static void lost_after(struct build *b, const struct doc *v, void *obj)
{
	Wire__Disconnect *d = obj;

	if (spec_read_duration(b, v, &d->lost_after_ns) && d->lost_after_ns == 0)
		spec_problem_value(b, v, "a time span above 0, or 'replace: now'");
}

static void stop_after(struct build *b, const struct doc *v, void *obj)
{
	Wire__Disconnect *d = obj;
	const char *text;

	if (!spec_read_text(b, v, VALUE_BYTES_MAX, &text) || strcmp(text, "never") == 0)
		return;
	if (!spec_parse_duration(text, &d->stop_after_ns) || d->stop_after_ns == 0)
		spec_problem_value(b, v, "never, or a time span above 0 such as 10m");
}

static void replace(struct build *b, const struct doc *v, void *obj)
{
	static const char *const words[] = {"after_lost", "now", "never"};
	size_t i;

	if (spec_read_choice(b, v, words, ARRAY_LEN(words), &i))
		((Wire__Disconnect *)obj)->replace = (Wire__Disconnect__Replace)i;
}

static void reconcile(struct build *b, const struct doc *v, void *obj)
{
	static const char *const words[] = {"keep_original", "keep_replacement", "best_score"};
	size_t i;

	if (spec_read_choice(b, v, words, ARRAY_LEN(words), &i))
		((Wire__Disconnect *)obj)->reconcile = (Wire__Disconnect__Reconcile)i;
}

static const struct key disconnect_keys[] = {
        {"lost_after", "time span", "30s", lost_after},
        {"stop_after", "never or time span", "never", stop_after},
        {"replace", "after_lost, now or never", "after_lost", replace},
        {"reconcile", "keep_original, keep_replacement or best_score", "keep_original", reconcile},
};
const struct table spec_disconnect_table = {"disconnect", "", disconnect_keys, ARRAY_LEN(disconnect_keys)};

void spec_read_disconnect(struct build *b, const struct doc *v, void *job)
{
	Wire__Disconnect *d = spec_take(b, 1, sizeof(*d));
	const struct doc *after = spec_doc_get(v, "lost_after");

	if (!d)
		return;
	wire__disconnect__init(d);
	d->lost_after_ns = LOST_AFTER_NS;
	((Wire__JobSpec *)job)->disconnect = d;
	spec_read_map(b, v, &spec_disconnect_table, d, NULL, NULL);
	if (after && d->replace == WIRE__DISCONNECT__REPLACE__NOW)
		spec_problem(b, after, "'lost_after' beside 'replace: now'",
		        "one of them: what is replaced at once does not wait until the node counts as lost");
	if (after && d->replace == WIRE__DISCONNECT__REPLACE__NEVER)
		spec_problem(b, after, "'lost_after' beside 'replace: never'",
		        "one of them: what is never replaced waits for its node however long that takes");
	if (d->replace == WIRE__DISCONNECT__REPLACE__NEVER &&
	        d->reconcile != WIRE__DISCONNECT__RECONCILE__KEEP_ORIGINAL)
		spec_problem(b, spec_doc_get(v, "reconcile"), "'reconcile' beside 'replace: never'",
		        "one of them: without a replacement there is nothing to choose from");
}

void spec_disconnect_finish(struct build *b)
{
	const Wire__Disconnect *d = b->job->disconnect;

	if (!d || d->replace != WIRE__DISCONNECT__REPLACE__NOW)
		return;
	for (size_t i = 0; i < b->n_steps; i++)
		if (b->steps[i].step && b->steps[i].step->retry && b->steps[i].step->retry->not_on_node_loss)
			spec_problem(b, spec_doc_get(spec_doc_get(b->root, "disconnect"), "replace"),
			        "'replace: now' beside 'on_node_loss: fail'",
			        "one of them: step '%s' is not to run again when its node is lost",
			        b->steps[i].step->name);
}

bool spec_disconnect_ok(const Wire__Disconnect *d)
{
	return d->lost_after_ns > 0 && d->lost_after_ns <= DURATION_NS_MAX &&
	       d->stop_after_ns <= DURATION_NS_MAX &&
	       (unsigned)d->replace <= WIRE__DISCONNECT__REPLACE__NEVER &&
	       (unsigned)d->reconcile <= WIRE__DISCONNECT__RECONCILE__BEST_SCORE &&
	       (d->replace != WIRE__DISCONNECT__REPLACE__NEVER ||
	               d->reconcile == WIRE__DISCONNECT__RECONCILE__KEEP_ORIGINAL);
}
