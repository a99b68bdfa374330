/* SPDX-License-Identifier: Apache-2.0 */
/* jobs - submit, cancel, retry, adjust, forget, and how a job ends; see state.h. Pure. */
#include <string.h>

#include "base/check.h"
#include "core/state.h"
#include "wire/entry.h"

#define ADJUST_ALL 127u

/* ---- apply ---- */

void job_timer(struct engine *e, struct job *j)
{
	uint64_t due = UINT64_MAX;

	j->queue_due_ns = UINT64_MAX;
	for (uint32_t k = 0; k < j->n_steps; k++) {
		const struct step *s = step_at(e, j, k);

		j->queue_due_ns = s->queue_due_ns < j->queue_due_ns ? s->queue_due_ns : j->queue_due_ns;
	}
	if (!job_gated(j))
		due = j->queue_due_ns;
	if (j->early && j->not_before_ns < due)
		due = j->not_before_ns;
	if (j->timeout_ns && !j->timed_out && !j->cancelled &&
	        add_ns(j->timeout_from_ns, j->timeout_ns) < due)
		due = add_ns(j->timeout_from_ns, j->timeout_ns);
	if (delegated_alone_due(e, j) < due)
		due = delegated_alone_due(e, j);
	if (due == UINT64_MAX || j->finished_ns)
		heap_remove(&e->timers, job_index(e, j));
	else
		heap_set(&e->timers, job_index(e, j), due, j->id << 2);
}

struct sched_job job_for_sched(const struct engine *e, const struct job *j)
{
	return (struct sched_job){.id = j->id,
	        .namespace_ = (const char *)job_bytes(e, j) + j->namespace_at,
	        .realtime = j->realtime != 0,
	        .priority = j->priority,
	        .deadline_ns = j->deadline_ns,
	        .concurrency = j->concurrency,
	        .submitted_ns = j->submitted_ns};
}

/* Most tasks in one lease. Comparisons are effects, of which one entry may cause only so many; only a task alone in its lease can be
 * told to have been lost; what a node answers before its first checks come back is all to be checked; and what tasks take from earlier
 * steps goes with the lease. */
static uint64_t slice_max(const struct step *s)
{
	if (s->not_on_node_loss)
		return 1;
	if (s->adaptive)
		return s->slice_max && s->slice_max < 16 ? s->slice_max : 16;
	if (s->comparator)
		return s->slice_max && s->slice_max < 64 ? s->slice_max : 64;
	return s->slice_max;
}

#define INPUTS_LOOK 1024u

/* Where the step's tasks want to be. */
static int wish(struct engine *e, const Wire__JobSpec *spec, const Wire__Step *st, uint32_t group)
{
	struct sched_input in[INPUTS_LOOK + 1];
	struct sched_wish w = {.place = st->place, .pack = spec->pack, .origin = spec->origin, .inputs = in};

	for (size_t i = 0; i < st->n_inputs && i < INPUTS_LOOK; i++)
		if (st->inputs[i]->blob.len == 32)
			in[w.n_inputs++] = (struct sched_input){
			        sched_blob(st->inputs[i]->blob.data), st->inputs[i]->size_bytes};
	if (st->stdin_file && st->stdin_file->blob.len == 32)
		in[w.n_inputs++] = (struct sched_input){
		        sched_blob(st->stdin_file->blob.data), st->stdin_file->size_bytes};
	if (!w.place && w.n_inputs == 0 && w.pack == WIRE__JOB_SPEC__PACK__FIRST)
		return 0;
	return sched_group_wish(e->sched, group, &w);
}

int job_enter_sched(struct engine *e, struct job *j, const Wire__JobSpec *spec)
{
	struct sched_job sj = job_for_sched(e, j);
	uint32_t longest = 0;
	char guest[96];

	sj.namespace_ = quota_namespace(spec, sj.namespace_, guest);

	if (sched_job_add(e->sched, &sj) < 0)
		return -1;
	j->in_sched = 1;
	for (uint32_t k = 0; k < j->n_steps; k++)
		if (step_at(e, j, k)->behind > longest)
			longest = step_at(e, j, k)->behind;
	for (uint32_t k = 0; k < j->n_steps; k++) {
		const Wire__Step *st = spec->steps[k];
		struct step *s = step_at(e, j, k);

		if (sched_group_add(e->sched, j->id, k, (const Wire__Variant *const *)st->variants,
		            st->n_variants, st->kind, slice_max(s), &s->group) < 0 ||
		        wish(e, spec, st, s->group) < 0)
			return -1;
		CHECK(s->group > 0 && s->group <= e->limits.groups_max);
		if (s->gang)
			sched_group_gang(e->sched, s->group, s->gang, s->apart != 0);
		sched_group_slack(e->sched, s->group, longest - s->before - s->behind);
		if (s->same)
			sched_group_same(e->sched, s->group, s->same);
		if (step_commits(s) || s->local)
			sched_group_filtered(e->sched, s->group);
		e->groups[s->group] = (struct group_of){job_index(e, j), k};
		if (s->units_ready)
			step_offer(e, j, s);
	}
	return 0;
}

/* What is not to go on: nothing new starts, what runs is stopped. */
static void stop_rest(struct applying *a, struct job *j)
{
	Wire__StopReason why = j->timed_out                          ? WIRE__STOP_REASON__JOB_TIMEOUT
	                       : j->cancelled == CANCELLED_PREEMPTED ? WIRE__STOP_REASON__PREEMPTED
	                                                             : WIRE__STOP_REASON__CANCELLED;

	for (uint32_t k = j->n_steps; k-- > 0;) {
		struct step *s = step_at(a->e, j, k);

		/* When all that is left is leased, there is nothing to look for. */
		if (step_stopped(j, s) && !s->finished &&
		        s->c[C_BLOCKED] + s->c[C_READY] + s->c[C_DELAYED] + s->units_ready + j->delays.n > 0)
			step_end_rest(a, j, s, WIRE__OUTCOME__STOPPED);
	}
	for (uint32_t i = j->leases.head; i; i = lease_at(a->e, i)->of_job.next)
		if (step_stopped(j, step_at(a->e, j, lease_at(a->e, i)->step)))
			lease_doom(a->e, lease_at(a->e, i), why);
}

void job_settle(struct applying *a, struct job *j)
{
	if (!j->finished_ns && (j->cancelled || j->timed_out || j->failing))
		stop_rest(a, j);
	if (!j->finished_ns && j->steps_done == j->n_steps) {
		/* Replicas that nobody needs any more, and whatever cannot be reached. */
		for (uint32_t i = j->leases.head; i; i = lease_at(a->e, i)->of_job.next) {
			struct lease *l = lease_at(a->e, i);

			if (!l->parked && (l->cursor < l->first + l->count || lease_away_ns(a->e, l)))
				lease_doom(a->e, l, WIRE__STOP_REASON__CANCELLED);
		}
		if (j->leases.n == j->n_parked) {
			CHECK(j->delays.n == 0 && j->in_sched);
			j->finished_ns = a->now ? a->now : 1;
			sched_job_remove(a->e->sched, j->id);
			j->in_sched = 0;
			for (uint32_t k = 0; k < j->n_steps; k++)
				step_at(a->e, j, k)->group = 0;
			job_timer(a->e, j);
		}
	}
	if (j->of_lease)
		delegated_settle(a, j);
	effect(a, &(struct effect){.kind = EFFECT_JOB, .job = {j->id}});
}

void apply_submitted(struct applying *a, const Wire__JobSubmitted *m)
{
	struct job *j;

	CHECK(m->job == a->e->last_job + 1);
	a->e->last_job = m->job;
	j = job_build(a->e, m, a->now);
	CHECK(job_enter_sched(a->e, j, m->spec) == 0);
	job_evaluate(a, j);
	if (m->delegated)
		delegated_link(a->e, j, m->delegated);
	job_timer(a->e, j);
	effect(a, &(struct effect){.kind = EFFECT_JOB, .job = {j->id}});
}

void apply_cancelled(struct applying *a, const Wire__JobCancelled *m)
{
	struct job *j = job_find(a->e, m->job);

	CHECK(j && !j->finished_ns);
	j->cancelled = m->preempted ? CANCELLED_PREEMPTED : 1;
	job_timer(a->e, j);
	job_settle(a, j);
}

static void reset_task(struct engine *e, struct job *j, struct step *s, uint64_t task)
{
	uint8_t *byte = task_states(e, j, s) + task;

	if (*byte == (S_DONE << 4 | WIRE__OUTCOME__SUCCEEDED))
		return;
	CHECK(*byte >> 4 == S_DONE);
	s->c[outcome_count((Wire__Outcome)(*byte & 15))]--;
	s->c[C_BLOCKED]++;
	*byte = 0;
	for (uint32_t r = 0; r < s->replicas; r++) {
		unit_states(e, j, s)[r * s->tasks + task] = 0;
		unit_extras(e, j, s)[r * s->tasks + task] = 0;
		if (s->replicas > 1)
			step_votes(e, j, s)[r * s->tasks + task] = (struct vote){0};
	}
}

void apply_retried(struct applying *a, const Wire__JobRetried *m)
{
	struct engine *e = a->e;
	struct job *j = job_find(e, m->job);
	const Wire__JobSpec *spec;
	uint32_t block;

	CHECK(j && j->finished_ns && !j->in_sched);
	/* What was kept in mind of other attempts is not of these. */
	for (uint32_t i = j->leases.head; i; i = lease_at(e, i)->of_job.next) {
		lease_undoom(e, lease_at(e, i));
		lease_doom(e, lease_at(e, i), WIRE__STOP_REASON__NODE_LOST);
	}
	j->steps_done = 0;
	for (uint32_t k = 0; k < j->n_steps; k++) {
		struct step *s = step_at(e, j, k);

		for (uint64_t i = 0; i < s->tasks && s->c[C_SUCCEEDED] < s->tasks; i++)
			reset_task(e, j, s, i);
		s->finished = s->c[C_SUCCEEDED] == s->tasks;
		j->steps_done += s->finished;
		s->queue_due_ns = UINT64_MAX;
	}
	j->cancelled = j->timed_out = j->failing = j->held = j->early = 0;
	j->finished_ns = 0;
	j->timeout_from_ns = a->now;
	spec = spec_open(e, j, &block);
	CHECK(spec);
	CHECK(job_enter_sched(e, j, spec) == 0);
	blocks_give(&e->blocks, block);
	job_evaluate(a, j);
	job_timer(e, j);
	job_settle(a, j);
}

static void set_queue_timeout(struct applying *a, struct job *j, struct step *s, uint64_t ns)
{
	s->queue_timeout_ns = ns;
	s->queue_due_ns = UINT64_MAX;
	if (!ns)
		return;
	step_stamps_make(a, j, s);
	s->queue_due_ns = step_queue_due(a->e, j, s, 0);
}

void apply_adjusted(struct applying *a, const Wire__JobAdjusted *m)
{
	struct engine *e = a->e;
	struct job *j = job_find(e, m->job);
	bool was_gated, away = false;
	struct sched_job sj;

	CHECK(j && !j->finished_ns && j->in_sched);
	was_gated = job_gated(j);
	j->priority = m->set & WIRE__JOB_ADJUSTED__FIELD__PRIORITY ? m->priority : j->priority;
	j->deadline_ns = m->set & WIRE__JOB_ADJUSTED__FIELD__DEADLINE ? m->deadline_ns : j->deadline_ns;
	j->timeout_ns = m->set & WIRE__JOB_ADJUSTED__FIELD__TIMEOUT ? m->timeout_ns : j->timeout_ns;
	j->concurrency = m->set & WIRE__JOB_ADJUSTED__FIELD__CONCURRENCY ? m->concurrency : j->concurrency;
	if (m->set & WIRE__JOB_ADJUSTED__FIELD__HELD)
		j->held = m->held != 0;
	for (uint32_t k = 0; k < j->n_steps; k++) {
		struct step *s = step_at(e, j, k);

		if (m->set & WIRE__JOB_ADJUSTED__FIELD__QUEUE_TIMEOUT)
			set_queue_timeout(a, j, s, m->queue_timeout_ns);
		if (m->set & WIRE__JOB_ADJUSTED__FIELD__RUN_TIMEOUT)
			s->run_timeout_ns = m->run_timeout_ns;
		if (was_gated != job_gated(j)) {
			s->ready_since_ns = a->now;
			step_restamp(a, j, s);
			step_offer(e, j, s);
		}
	}
	for (uint32_t i = j->leases.head; i; i = lease_at(e, i)->of_job.next) {
		struct lease *l = lease_at(e, i);

		away |= child_joined_is(e, l->node);
		if (!(m->set & WIRE__JOB_ADJUSTED__FIELD__RUN_TIMEOUT) || l->stopping)
			continue;
		if (child_joined_is(e, l->node))
			continue;
		l->deadline_ns = lease_deadline(step_at(e, j, l->step), l->granted_ns, l->count);
		lease_timer(e, l);
	}
	j->adjusted = 1;
	if (away)
		effect(a, &(struct effect){.kind = EFFECT_ADJUST, .job = {j->id}});
	sj = job_for_sched(e, j);
	sched_job_adjust(e->sched, &sj);
	job_timer(e, j);
	job_settle(a, j);
}

void apply_forgotten(struct applying *a, const Wire__JobForgotten *m)
{
	struct engine *e = a->e;
	struct job *j = job_find(e, m->job);
	uint32_t i;

	CHECK(j && j->finished_ns && j->leases.n == j->n_parked);
	while (j->leases.head)
		lease_drop(e, lease_at(e, j->leases.head));
	i = job_index(e, j);
	for (uint32_t k = 0; k < j->n_steps; k++)
		blocks_give(&e->blocks, step_at(e, j, k)->stamp_block);
	if (job_bytes(e, j)[j->key_at])
		idmap_remove(&e->job_keys, j->key_hash, i);
	if (j->of_lease)
		delegated_unlink(e, j);
	idmap_remove(&e->job_ids, j->id, i);
	list_remove(&e->jobs, &e->all_jobs, i, offsetof(struct job, all));
	effect(a, &(struct effect){.kind = EFFECT_FORGET, .job = {j->id}});
	blocks_give(&e->blocks, j->block);
	pool_give(&e->jobs, i);
}

/* ---- decide ---- */

/* The job, if it is there and the asker may change it; else a refusal. */
static const struct job *permitted(struct deciding *d, const char *what, uint64_t id)
{
	const struct job *j = job_find(d->e, id);

	if (!j) {
		refuse(d, what, "not_found",
		        id && id <= d->e->last_job ? "its history was dropped by policy" : "see 'osier jobs'",
		        "there is no job %llu", (unsigned long long)id);
		return NULL;
	}
	if (d->by && d->by->uid != 0 && d->by->uid != j->uid) {
		refuse(d, what, "denied", "", "job %llu belongs to uid %u", (unsigned long long)id, j->uid);
		return NULL;
	}
	return j;
}

static Wire__Principal *by(const struct deciding *d)
{
	return (Wire__Principal *)(uintptr_t)d->by;
}

static char *text(const char *s)
{
	return (char *)(uintptr_t)(s ? s : "");
}

static void cancel(struct deciding *d, uint64_t id, const char *reason, bool preempted)
{
	const struct job *j = permitted(d, "cancel", id);
	Wire__JobCancelled *m;
	Wire__Entry *en;

	if (!j)
		return;
	if (j->finished_ns || j->cancelled) {
		refuse(d, "cancel", "state", "", "job %llu %s already", (unsigned long long)id,
		        j->cancelled ? "was cancelled" : "has finished");
		return;
	}
	en = entry_new(d, WIRE__ENTRY__BODY_JOB_CANCELLED);
	m = entry_alloc(d, sizeof(*m));
	if (!en || !m)
		return;
	wire__job_cancelled__init(m);
	m->job = id;
	m->by = by(d);
	m->reason = text(reason);
	m->preempted = preempted;
	en->job_cancelled = m;
}

void decide_cancel(struct deciding *d, uint64_t id, const char *reason)
{
	cancel(d, id, reason, false);
}

void decide_preempt(struct deciding *d, uint64_t id)
{
	const struct job *j = job_find(d->e, id);

	if (!j || !j->of_lease)
		refuse(d, "preempt", "state", "", "job %llu is no lease of the hub's",
		        (unsigned long long)id);
	else
		cancel(d, id, "its hub has something more urgent", true);
}

void decide_retry(struct deciding *d, uint64_t id)
{
	const struct job *j = permitted(d, "retry", id);
	unsigned long long n = id;
	uint64_t left = 0;
	struct err err = {0};
	Wire__JobRetried *m;
	Wire__Entry *en;

	if (!j)
		return;
	for (uint32_t k = 0; k < j->n_steps; k++)
		left += step_at(d->e, j, k)->tasks - step_at(d->e, j, k)->c[C_SUCCEEDED];
	if (j->of_lease) {
		refuse(d, "retry", "state", "retry it at the hub", "job %llu is a part of a job of the hub's",
		        n);
	} else if (!j->finished_ns) {
		refuse(d, "retry", "state", "wait for it, or cancel it first", "job %llu has not finished",
		        n);
	} else if (!left) {
		refuse(d, "retry", "state", "",
		        "every task of job %llu succeeded, there is none to run again", n);
	} else if (sched_job_ok(d->e->sched, (const char *)job_bytes(d->e, j) + j->namespace_at, j->n_steps,
	                   &err) < 0) {
		refuse(d, "retry", "full", "retry when other jobs have finished", "%s", err.msg);
	} else if (!spec_room(d->e, j)) {
		refuse(d, "retry", "full", "retry when other jobs have finished",
		        "no memory to bring job %llu back", n);
	} else {
		en = entry_new(d, WIRE__ENTRY__BODY_JOB_RETRIED);
		m = entry_alloc(d, sizeof(*m));
		if (!en || !m)
			return;
		wire__job_retried__init(m);
		m->job = id;
		m->by = by(d);
		en->job_retried = m;
	}
}

void decide_forget(struct deciding *d, uint64_t id, const char *policy)
{
	const struct job *j = permitted(d, "forget", id);
	Wire__JobForgotten *m;
	Wire__Entry *en;

	if (!j)
		return;
	if (j->of_lease && j->of_parent == d->e->parent.number && d->e->parent.name[0]) {
		refuse(d, "forget", "state", "", "job %llu is forgotten when the hub has its results",
		        (unsigned long long)id);
		return;
	}
	if (!j->finished_ns) {
		refuse(d, "forget", "state", "cancel it first", "job %llu has not finished",
		        (unsigned long long)id);
		return;
	}
	en = entry_new(d, WIRE__ENTRY__BODY_JOB_FORGOTTEN);
	m = entry_alloc(d, sizeof(*m));
	if (!en || !m)
		return;
	wire__job_forgotten__init(m);
	m->job = id;
	m->policy = text(policy);
	en->job_forgotten = m;
}

/* Stamps of steps that have none need memory of their own. */
static bool stamps_fit(const struct engine *e, const struct job *j)
{
	uint64_t need = 0;

	for (uint32_t k = 0; k < j->n_steps; k++)
		if (!unit_stamps(e, j, step_at(e, j, k)))
			need += step_units(step_at(e, j, k)) * 5 + 128; /* a class may be a quarter larger */
	return need + memory_kept(e) <= e->blocks.size - e->blocks.end;
}

/* The members of the largest gang; each counts in the job's concurrency. Also of steps that have finished: a retry makes them run again. */
static uint32_t largest_gang(const struct engine *e, const struct job *j)
{
	uint32_t most = 0;

	for (uint32_t k = 0; k < j->n_steps; k++) {
		const struct step *s = step_at(e, j, k);

		most = s->gang > most ? s->gang : most;
	}
	return most;
}

void decide_adjust(struct deciding *d, const Wire__JobAdjusted *m)
{
	const struct job *j = permitted(d, "adjust", m->job);
	unsigned long long n = m->job;
	Wire__JobAdjusted *copy;
	Wire__Entry *en;

	if (!j)
		return;
	if (j->finished_ns || j->cancelled || j->timed_out) {
		refuse(d, "adjust", "state", "'osier retry' runs again what failed", "job %llu %s", n,
		        j->finished_ns ? "has finished" : "is being stopped");
	} else if (m->set == 0 || (m->set & ~ADJUST_ALL)) {
		refuse(d, "adjust", "invalid", "name at least one field",
		        "nothing that can be adjusted is named");
	} else if ((m->set & WIRE__JOB_ADJUSTED__FIELD__PRIORITY) && m->priority > 100) {
		refuse(d, "adjust", "invalid", "", "a priority is 0 to 100, not %u", m->priority);
	} else if ((m->set & WIRE__JOB_ADJUSTED__FIELD__DEADLINE) && m->deadline_ns &&
	           m->deadline_ns <= d->now) {
		refuse(d, "adjust", "deadline", "", "the new deadline of job %llu has passed", n);
	} else if ((m->set & WIRE__JOB_ADJUSTED__FIELD__QUEUE_TIMEOUT) && m->queue_timeout_ns &&
	           !stamps_fit(d->e, j)) {
		refuse(d, "adjust", "full", "adjust it when other jobs have finished",
		        "no memory for a queue timeout of job %llu", n);
	} else if ((m->set & WIRE__JOB_ADJUSTED__FIELD__CONCURRENCY) && m->concurrency &&
	           m->concurrency < largest_gang(d->e, j)) {
		refuse(d, "adjust", "invalid", "each member of a gang counts",
		        "job %llu has a gang of %u, which could never start with a concurrency of %u", n,
		        largest_gang(d->e, j), m->concurrency);
	} else {
		en = entry_new(d, WIRE__ENTRY__BODY_JOB_ADJUSTED);
		copy = entry_alloc(d, sizeof(*copy));
		if (!en || !copy)
			return;
		*copy = *m;
		copy->by = by(d);
		en->job_adjusted = copy;
	}
}

job_id engine_job_by_key(const struct engine *e, const Wire__Principal *who, const char *key)
{
	uint32_t uid = who ? who->uid : 0, i;
	uint64_t h = key_hash(key, uid);

	if (!key[0])
		return (job_id){0};
	for (i = idmap_find(&e->job_keys, h); i; i = idmap_next(&e->job_keys, h, i)) {
		const struct job *j = job_at(e, i);

		if (j->uid == uid && strcmp((const char *)job_bytes(e, j) + j->key_at, key) == 0)
			return (job_id){j->id};
	}
	return (job_id){0};
}
