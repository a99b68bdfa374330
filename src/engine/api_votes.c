/* SPDX-License-Identifier: Apache-2.0 */
/* api_votes - what the replicas of a verified task came to, as JSON and in words. */
#include <stdio.h>
#include <string.h>

#include "core/gang.h"
#include "engine/api_int.h"
#include "wire/entry.h"

#define VOTES_SHOWN 64u /* as many replicas as a task can have */

static bool answered(const struct vote_view *v)
{
	return v->state == TASK_DONE && v->outcome == WIRE__OUTCOME__SUCCEEDED && v->class_ != UINT32_MAX;
}

static const char *node_of(const struct engine *en, const struct vote_view *v)
{
	struct sched_node_view n;

	return v->node && sched_node(engine_sched(en), v->node, &n) ? n.name : "?";
}

struct words {
	char *out;
	size_t room, n;
};

static void say(struct words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct words *w, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(w->out + w->n, w->room - w->n, fmt, ap);
	va_end(ap);
	w->n = n > 0 && (size_t)n < w->room - w->n ? w->n + (size_t)n : w->room - 1;
}

/* Replica i and those after it that agree with it: "replicas 0 (a) and 2 (b) agree". */
static void say_group(
        struct words *w, const struct engine *en, const struct vote_view *v, uint32_t n, uint32_t i)
{
	uint32_t same = 0, said = 0;

	for (uint32_t k = i; k < n; k++)
		same += answered(&v[k]) && v[k].class_ == v[i].class_;
	say(w, "%sreplica%s ", w->n ? "; " : "", same > 1 ? "s" : "");
	for (uint32_t k = i; k < n; k++) {
		if (!answered(&v[k]) || v[k].class_ != v[i].class_)
			continue;
		say(w, "%s%u (%s)",
		        said == 0          ? ""
		        : said + 1 == same ? " and "
		                           : ", ",
		        k, node_of(en, &v[k]));
		said++;
	}
	say(w, same > 1 ? " agree" : " differs");
}

static bool said_before(const struct vote_view *v, uint32_t i)
{
	for (uint32_t k = 0; k < i; k++)
		if (answered(&v[k]) && v[k].class_ == v[i].class_)
			return true;
	return false;
}

/* Of a gang: who ended it. */
static void broken_json(
        struct json_out *o, const struct engine *en, const struct vote_view *v, uint32_t n, lease_id by)
{
	char text[200] = "";

	for (uint32_t i = 0; i < n; i++)
		if (by.v && v[i].lease.v == by.v && v[i].state == TASK_DONE &&
		        v[i].outcome != WIRE__OUTCOME__SUCCEEDED)
			(void)snprintf(text, sizeof(text), "rank %u (%s) %s", i, node_of(en, &v[i]),
			        outcome_name(v[i].outcome));
	jo_key(o, "broken_by");
	jo_str(o, text[0] ? text : NULL);
	jo_key(o, "result_of");
	if (by.v)
		jo_u64(o, by.v);
	else
		jo_null(o);
}

void votes_text(const struct engine *en, job_id job, uint32_t step, uint64_t task, char *out, size_t room)
{
	struct words w = {.out = out, .room = room};
	struct vote_view v[VOTES_SHOWN];
	uint32_t n = engine_votes(en, job, step, task, v, VOTES_SHOWN), groups = 0, failed = 0;

	out[0] = '\0';
	if (engine_gang_result(en, job, step, task).v)
		return; /* its members need not agree */
	n = n < VOTES_SHOWN ? n : VOTES_SHOWN;
	for (uint32_t i = 0; i < n; i++) {
		groups += answered(&v[i]) && !said_before(v, i);
		failed +=
		        v[i].state == TASK_DONE && !answered(&v[i]) && v[i].outcome != WIRE__OUTCOME__SKIPPED;
	}
	if (groups + failed < 2) /* all agree, so far */
		return;
	for (uint32_t i = 0; i < n; i++)
		if (answered(&v[i]) && !said_before(v, i))
			say_group(&w, en, v, n, i);
	for (uint32_t i = 0; i < n; i++)
		if (v[i].state == TASK_DONE && !answered(&v[i]) && v[i].outcome != WIRE__OUTCOME__SKIPPED)
			say(&w, "%sreplica %u (%s) %s", w.n ? "; " : "", i, node_of(en, &v[i]),
			        v[i].outcome == WIRE__OUTCOME__SUCCEEDED ? "was not compared"
			        : v[i].outcome == WIRE__OUTCOME__DISAGREED
			                ? "did not reveal what it had committed to"
			                : outcome_name(v[i].outcome));
}

void votes_json(struct json_out *o, const struct engine *en, job_id job, uint32_t step, uint64_t task)
{
	struct vote_view v[VOTES_SHOWN];
	uint32_t n = engine_votes(en, job, step, task, v, VOTES_SHOWN);
	char text[1024];

	votes_text(en, job, step, task, text, sizeof(text));
	jo_key(o, "disagreement");
	jo_str(o, text[0] ? text : NULL);
	broken_json(o, en, v, n < VOTES_SHOWN ? n : VOTES_SHOWN, engine_gang_result(en, job, step, task));
	jo_key(o, "votes");
	jo_array(o);
	for (uint32_t i = 0; i < n && i < VOTES_SHOWN; i++) {
		jo_object(o);
		jo_key(o, "replica");
		jo_u64(o, i);
		jo_key(o, "lease");
		jo_u64(o, v[i].lease.v);
		jo_key(o, "node");
		jo_str(o, v[i].node ? node_of(en, &v[i]) : NULL);
		jo_key(o, "outcome");
		jo_str(o, v[i].state == TASK_DONE ? outcome_name(v[i].outcome) : NULL);
		jo_key(o, "held");
		jo_bool(o, v[i].held);
		jo_key(o, "group");
		if (answered(&v[i]))
			jo_u64(o, v[i].class_);
		else
			jo_null(o);
		jo_key(o, "committed");
		jo_bool(o, v[i].committed);
		jo_object_end(o);
	}
	jo_array_end(o);
}
