/* SPDX-License-Identifier: Apache-2.0 */
/* views - looking at jobs, steps, tasks and leases; see engine.h. Pure. */
#include <string.h>

#include "base/check.h"
#include "core/jobspec.h"
#include "core/state.h"
#include "wire/entry.h"

const char *job_state_name(enum job_state s)
{
	static const char *const names[] = {"waiting", "running", "succeeded", "failed", "cancelled"};

	return (unsigned)s < ARRAY_LEN(names) ? names[s] : "unknown";
}

static void counts_add(const struct job *j, const struct step *s, struct step_counts *out)
{
	bool gated = job_gated(j);

	out->total += s->tasks;
	out->blocked += s->c[C_BLOCKED] + (gated ? s->c[C_READY] : 0);
	out->ready += gated ? 0 : s->c[C_READY];
	out->delayed += s->c[C_DELAYED];
	out->leased += s->c[C_LEASED];
	out->succeeded += s->c[C_SUCCEEDED];
	out->failed += s->c[C_FAILED];
	out->skipped += s->c[C_SKIPPED];
	out->stopped += s->c[C_STOPPED];
}

static enum job_state state_of(const struct job *j, const struct step_counts *c)
{
	if (!j->finished_ns)
		return j->started_ns ? JOB_RUNNING : JOB_WAITING;
	if (j->cancelled)
		return JOB_CANCELLED;
	return j->timed_out || c->failed ? JOB_FAILED : JOB_SUCCEEDED;
}

static void fill_job(const struct engine *e, const struct job *j, struct job_view *out)
{
	const uint8_t *b = job_bytes(e, j);

	*out = (struct job_view){.id = {j->id},
	        .name = (const char *)b + j->name_at,
	        .namespace_ = (const char *)b + j->namespace_at,
	        .spec = b + j->spec_at,
	        .spec_bytes = j->spec_bytes,
	        .uid = j->uid,
	        .gid = j->gid,
	        .n_steps = j->n_steps,
	        .priority = j->priority,
	        .realtime = j->realtime != 0,
	        .held = j->held != 0,
	        .submitted_ns = j->submitted_ns,
	        .started_ns = j->started_ns,
	        .finished_ns = j->finished_ns,
	        .timed_out = j->timed_out,
	        .adjusted = j->adjusted != 0,
	        .deadline_ns = j->deadline_ns,
	        .attempts = j->attempts,
	        .cpu_us = j->cpu_us};
	for (uint32_t k = 0; k < j->n_steps; k++)
		counts_add(j, step_at(e, j, k), &out->counts);
	out->state = state_of(j, &out->counts);
}

bool engine_job(const struct engine *e, job_id id, struct job_view *out)
{
	const struct job *j = job_find(e, id.v);

	if (!j)
		return false;
	fill_job(e, j, out);
	return true;
}

bool engine_job_next(const struct engine *e, job_id after, struct job_view *out)
{
	const struct job *j = after.v ? job_find(e, after.v) : NULL;
	uint32_t i = j ? j->all.next : e->all_jobs.head;

	while (!j && i && job_at(e, i)->id <= after.v) /* `after` was forgotten */
		i = job_at(e, i)->all.next;
	if (!i)
		return false;
	fill_job(e, job_at(e, i), out);
	return true;
}

job_id engine_job_last(const struct engine *e)
{
	return (job_id){e->all_jobs.tail ? job_at(e, e->all_jobs.tail)->id : 0};
}

static const struct step *find_step(
        const struct engine *e, job_id id, uint32_t step, const struct job **out_job)
{
	const struct job *j = job_find(e, id.v);

	*out_job = j;
	return j && step < j->n_steps ? step_at(e, j, step) : NULL;
}

bool engine_step_counts(const struct engine *e, job_id id, uint32_t step, struct step_counts *out)
{
	const struct job *j;
	const struct step *s = find_step(e, id, step, &j);

	if (!s)
		return false;
	*out = (struct step_counts){0};
	counts_add(j, s, out);
	return true;
}

bool engine_step(const struct engine *e, job_id id, uint32_t step, struct step_view *out)
{
	const struct job *j;
	const struct step *s = find_step(e, id, step, &j);
	const struct dep *deps;

	if (!s)
		return false;
	*out = (struct step_view){.tasks = s->tasks,
	        .replicas = s->replicas,
	        .group = s->group ? s->group : UINT32_MAX,
	        .queue_timeout_ns = s->queue_timeout_ns,
	        .run_timeout_ns = s->run_timeout_ns,
	        .grace_ns = s->grace_ns,
	        .waits_for = UINT32_MAX};
	counts_add(j, s, &out->counts);
	deps = step_deps(e, j, s);
	for (uint32_t i = s->n_deps; i-- > 0;)
		if (deps[i].mode == WIRE__AFTER__MODE__WHOLE && !step_at(e, j, deps[i].step)->finished)
			out->waits_for = deps[i].step;
	return true;
}

/* The live lease that has this unit. */
static uint64_t lease_of(
        const struct engine *e, const struct job *j, uint32_t step, uint64_t task, uint32_t replica)
{
	uint64_t stopping = 0; /* while another goes on with its tasks */

	for (uint32_t i = j->leases.head; i; i = lease_at(e, i)->of_job.next) {
		const struct lease *l = lease_at(e, i);

		if (l->parked || l->step != step || l->replica != replica ||
		        task < (l->held ? l->first : l->cursor) || task >= l->first + l->count)
			continue;
		if (!l->stopping)
			return l->id;
		stopping = l->id;
	}
	return stopping;
}

bool engine_task(const struct engine *e, job_id id, uint32_t step, uint64_t task, struct task_view *out)
{
	static const enum task_state states[] = {[S_WAIT] = TASK_BLOCKED,
	        [S_LEASED] = TASK_LEASED,
	        [S_DELAYED] = TASK_DELAYED,
	        [S_DONE] = TASK_DONE,
	        [S_READY] = TASK_READY};
	const struct job *j;
	const struct step *s = find_step(e, id, step, &j);
	bool ran = false;
	uint8_t byte;

	if (!s || task >= s->tasks)
		return false;
	byte = task_states(e, j, s)[task];
	*out = (struct task_view){.state = states[byte >> 4]};
	if (s->replicas == 1 && unit_place(e, j, s, task) == C_READY)
		out->state = TASK_READY;
	if (out->state == TASK_READY && job_gated(j))
		out->state = TASK_BLOCKED;
	if (out->state == TASK_DONE)
		out->outcome = (Wire__Outcome)(byte & 15);
	for (uint32_t r = 0; r < s->replicas; r++) {
		uint64_t u = r * s->tasks + task;
		unsigned place = unit_place(e, j, s, u);
		bool again = s->gang && ran; /* its members' attempt is one */
		Wire__Outcome o = (Wire__Outcome)(unit_states(e, j, s)[u] & 15);

		ran = place == C_LEASED || (place == C_N && o <= WIRE__OUTCOME__LOST);
		out->attempts += unit_extras(e, j, s)[u];
		out->attempts += (uint32_t)(ran && !again);
		ran = ran || again;
		if (place == C_LEASED && out->state == TASK_LEASED && !out->lease.v)
			out->lease.v = lease_of(e, j, step, task, r);
		if (place == C_DELAYED && out->state == TASK_DELAYED && !out->due_ns)
			out->due_ns = delay_at(e, delay_find(e, j, step, u))->due_ns;
	}
	out->attempts = out->attempts < 63 ? out->attempts : 63;
	return true;
}

static void fill_lease(const struct engine *e, const struct lease *l, struct lease_view *out)
{
	*out = (struct lease_view){.id = {l->id},
	        .job = {job_at(e, l->job)->id},
	        .step = l->step,
	        .node = l->node,
	        .variant = l->variant,
	        .first = l->first,
	        .count = l->count,
	        .cursor = l->cursor,
	        .replica = l->replica,
	        .gang = l->gang,
	        .port = l->port,
	        .held = l->held,
	        .revealing = l->revealing,
	        .granted_ns = l->granted_ns,
	        .n_devices = l->n_devices,
	        .devices = l->devices,
	        .stopping = l->stopping != 0,
	        .tag = l->tag,
	        .away_ns = lease_away_ns(e, l),
	        .park_ns = lease_park_due(e, l),
	        .parked = l->parked != 0,
	        .reason = (Wire__StopReason)l->reason};
}

bool engine_lease(const struct engine *e, lease_id id, struct lease_view *out)
{
	const struct lease *l = lease_find(e, id.v);

	if (!l)
		return false;
	fill_lease(e, l, out);
	return true;
}

bool engine_lease_next(const struct engine *e, lease_id after, struct lease_view *out)
{
	const struct lease *l = after.v ? lease_find(e, after.v) : NULL;
	uint32_t i = l ? l->all.next : e->all_leases.head;

	while (!l && i && lease_at(e, i)->id <= after.v)
		i = lease_at(e, i)->all.next;
	if (!i)
		return false;
	fill_lease(e, lease_at(e, i), out);
	return true;
}

bool engine_reduce_inputs(const struct engine *e, job_id id, uint32_t step, uint64_t task, bool *from_map,
        uint32_t *of, uint64_t *first, uint64_t *count)
{
	const struct job *j;
	const struct step *s = find_step(e, id, step, &j);

	if (!s || s->reduce_of == NONE || task >= s->tasks)
		return false;
	reduce_inputs(step_at(e, j, s->reduce_of)->tasks, s->fan_in, task, from_map, first, count);
	*of = *from_map ? s->reduce_of : step;
	return true;
}

bool engine_node(const struct engine *e, uint32_t node, const uint8_t **out, size_t *out_n)
{
	const uint8_t *p;
	uint32_t len;

	if (node == 0 || node > e->limits.nodes_max || !e->nodes[node])
		return false;
	p = blocks_at(&e->blocks, e->nodes[node]);
	memcpy(&len, p, sizeof(len));
	*out = p + sizeof(len);
	*out_n = len;
	return true;
}

static bool is_over(const Wire__NodeSet *m, const char *key)
{
	for (size_t i = 0; i < m->n_admin_labels; i++)
		if (strcmp(m->admin_labels[i]->key, key) == 0)
			return true;
	return false;
}

Wire__NodeSet *engine_node_open(const struct engine *e, uint32_t node, struct arena *a)
{
	ProtobufCAllocator alloc;
	const uint8_t *bytes;
	Wire__NodeSet *m;
	Wire__Pair **labels;
	size_t n = 0;

	if (!engine_node(e, node, &bytes, &n))
		return NULL;
	arena_allocator(a, &alloc);
	m = wire__node_set__unpack(&alloc, n, bytes);
	labels = m ? arena_calloc(a, m->n_labels + m->n_admin_labels + 1, sizeof(*labels)) : NULL;
	if (!labels)
		return NULL;
	n = 0;
	for (size_t i = 0; i < m->n_labels; i++)
		if (!is_over(m, m->labels[i]->key))
			labels[n++] = m->labels[i];
	for (size_t i = 0; i < m->n_admin_labels; i++)
		labels[n++] = m->admin_labels[i];
	m->labels = labels;
	m->n_labels = n;
	return m;
}

uint64_t engine_epoch(const struct engine *e)
{
	return e->epoch;
}

const struct sched *engine_sched(const struct engine *e)
{
	return e->sched;
}
