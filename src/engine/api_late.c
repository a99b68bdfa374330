/* SPDX-License-Identifier: Apache-2.0 */
/* api_late - attempts at a task on nodes that cannot be reached, and results that came too late: in words, and as JSON. */
#include <stdio.h>
#include <string.h>

#include "engine/api_int.h"
#include "io/growing.h"
#include "wire/entry.h"

#define LATE_SHOWN 8u

static const char *called(const struct engine *en, uint32_t node)
{
	struct sched_node_view n;

	return sched_node(engine_sched(en), node, &n) ? n.name : "its node";
}

/* What came too late for one task. */
struct late {
	struct growing g;
	unsigned n;
	struct late_one {
		uint64_t lease, reported_ns;
		uint32_t node;
		Wire__Outcome outcome;
	} v[LATE_SHOWN];
	uint64_t task;
};

static int note_late(void *ctx, uint64_t seq, const uint8_t *bytes, size_t n)
{
	struct late *l = ctx;
	const Wire__LateResult *m;
	const Wire__Entry *en;

	(void)seq;
	growing_clear(&l->g);
	if (l->n == LATE_SHOWN || entry_decode(&l->g.arena, bytes, n, &en, NULL) < 0 ||
	        en->body_case != WIRE__ENTRY__BODY_LATE_RESULT)
		return -1;
	m = en->late_result;
	l->v[l->n++] = (struct late_one){.lease = m->lease,
	        .reported_ns = en->time_ns,
	        .node = m->node,
	        .outcome = RESULT_COLUMN(m, outcome, l->task - m->first)};
	return 0;
}

static void late_find(struct request *q, job_id job, uint32_t step, uint64_t task, struct late *out)
{
	memset(out, 0, sizeof(*out));
	out->task = task;
	growing_init(&out->g, 64u << 10, 4 * ENTRY_BYTES_MAX);
	(void)journal_read_attempts(
	        node_reader(q->api->node), job.v, step | JOURNAL_LATE, task, note_late, out, NULL);
	growing_release(&out->g);
}

/* The attempt whose result is the task's; 0: none is. */
static uint64_t committed(struct request *q, job_id job, uint32_t step, uint64_t task)
{
	const uint8_t *bytes, *outputs;
	size_t n, n_outputs;
	const Wire__Entry *en;
	struct growing g;
	uint64_t seq, lease = 0;

	growing_init(&g, 64u << 10, 4 * ENTRY_BYTES_MAX);
	if (journal_read_result(node_reader(q->api->node), job.v, step, task, &seq, &bytes, &n, &outputs,
	            &n_outputs, NULL) == 0 &&
	        entry_decode(&g.arena, bytes, n, &en, NULL) == 0 &&
	        en->body_case == WIRE__ENTRY__BODY_RESULTS)
		lease = en->results->lease;
	growing_release(&g);
	return lease;
}

void late_text(struct request *q, job_id job, uint32_t step, uint64_t task, char *out, size_t room)
{
	const struct engine *en = node_engine(q->api->node);
	struct late l;
	uint64_t lease;
	size_t n = 0;

	out[0] = '\0';
	late_find(q, job, step, task, &l);
	lease = l.n ? committed(q, job, step, task) : 0;
	for (unsigned i = 0; i < l.n && n < room; i++) {
		int k = snprintf(out + n, room - n, "%slate result of attempt %llu on %s refused",
		        i ? "; " : "", (unsigned long long)l.v[i].lease, called(en, l.v[i].node));

		n += k > 0 ? (size_t)k : 0;
	}
	if (lease && n < room)
		(void)snprintf(out + n, room - n, ": attempt %llu had committed", (unsigned long long)lease);
	else if (l.n && n < room)
		(void)snprintf(out + n, room - n, ": the task had been given up");
}

void late_json(struct request *q, struct json_out *o, job_id job, uint32_t step, uint64_t task)
{
	const struct engine *en = node_engine(q->api->node);
	struct late l;

	late_find(q, job, step, task, &l);
	jo_key(o, "late");
	jo_array(o);
	for (unsigned i = 0; i < l.n; i++) {
		jo_object(o);
		jo_key(o, "lease");
		jo_u64(o, l.v[i].lease);
		jo_key(o, "node");
		jo_str(o, called(en, l.v[i].node));
		jo_key(o, "outcome");
		jo_str(o, outcome_name(l.v[i].outcome));
		jo_key(o, "reported");
		jo_time(o, l.v[i].reported_ns);
		jo_object_end(o);
	}
	jo_array_end(o);
}

bool away_text(const struct engine *en, const struct lease_view *l, uint64_t now, char *out, size_t room)
{
	char ago[32], in[32];

	if (!l->away_ns)
		return false;
	api_duration_text(now > l->away_ns ? now - l->away_ns : 0, ago, sizeof(ago));
	api_duration_text(l->park_ns > now ? l->park_ns - now : 0, in, sizeof(in));
	if (l->parked)
		(void)snprintf(out, room,
		        "attempt %llu on %s, which has been out of reach for %s, counts if it is back first",
		        (unsigned long long)l->id.v, called(en, l->node), ago);
	else if (l->park_ns == UINT64_MAX)
		(void)snprintf(out, room,
		        "it is on %s, which has been out of reach for %s; its job waits for that node "
		        "(disconnect: {replace: never})",
		        called(en, l->node), ago);
	else
		(void)snprintf(out, room,
		        "it is on %s, which has been out of reach for %s; in %s it may start elsewhere",
		        called(en, l->node), ago, in);
	return true;
}
