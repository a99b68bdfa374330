/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_child - a node's end of the link to its hub; see link.h. Pure.
 *
 * For each lease of the hub's here there is a part: how many of its tasks have a durable result, and how many of those were told in
 * this session. Parts with something to tell stand in a queue, each gives a frame at a time. What the hub has of a part that has
 * ended is handed over: the job is forgotten.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/sha2.h"
#include "core/link_int.h"
#include "wire/entry.h"

static struct part *part_at(const struct link_end *l, uint32_t i)
{
	return pool_at(&l->parts, i);
}

static struct part *part_find(const struct link_end *l, uint64_t lease, uint32_t *out_i)
{
	uint32_t i = idmap_find(&l->part_ids, lease);

	if (out_i)
		*out_i = i;
	return i ? part_at(l, i) : NULL;
}

static struct part *part_add(struct link_end *l, uint64_t lease, uint32_t *out_i)
{
	uint32_t i = pool_take(&l->parts);
	struct part *p;

	if (!i)
		return NULL;
	p = part_at(l, i);
	p->lease = lease;
	idmap_add(&l->part_ids, lease, i);
	*out_i = i;
	return p;
}

static void idle(struct link_end *l, uint32_t i)
{
	struct part *p = part_at(l, i);

	if (!p->is_busy)
		return;
	list_remove(&l->parts, p->is_busy == IN_PACED ? &l->paced : &l->busy, i, offsetof(struct part, busy));
	p->is_busy = 0;
}

static void part_drop(struct link_end *l, uint32_t i)
{
	idle(l, i);
	idmap_remove(&l->part_ids, part_at(l, i)->lease, i);
	pool_give(&l->parts, i);
}

static bool succeeded(const struct link_end *l, const struct part *p, uint64_t task)
{
	struct task_view t;

	CHECK(engine_task(l->shell.engine, (job_id){p->job}, 0, task, &t));
	return t.state == TASK_DONE && t.outcome == WIRE__OUTCOME__SUCCEEDED;
}

/* The next task that was committed to, from `task` on; p->tasks: none. */
static uint64_t held_next(const struct link_end *l, const struct part *p, uint64_t task)
{
	while (task < p->tasks && !succeeded(l, p, task))
		task++;
	return task;
}

/* What was committed to and told whole is not over before it was revealed, or is not wanted. */
static bool may_end(const struct link_end *l, const struct part *p)
{
	if (!p->finished || p->ended)
		return false;
	return !p->job || !p->commit || p->stopped || p->told < p->tasks ||
	       held_next(l, p, p->revealed) == p->tasks;
}

static bool has_news(const struct link_end *l, const struct part *p)
{
	return !p->unwanted && (p->told < p->durable ||
	                               (p->reveal && !p->stopped && p->revealed < p->tasks) || may_end(l, p));
}

/* Into the queue, if there is something to tell; into that of those who may wait, as long as it may. */
static void queue(struct link_end *l, uint64_t now, uint32_t i)
{
	struct part *p = part_at(l, i);
	bool paced = l->parts.n > PACED_PARTS && !p->finished && !p->commit;

	if (p->is_busy == IN_BUSY || (p->is_busy && paced) || !has_news(l, p))
		return;
	idle(l, i);
	if (!paced && !l->busy.n)
		l->batch_ns = now;
	p->is_busy = paced ? IN_PACED : IN_BUSY;
	list_append(&l->parts, paced ? &l->paced : &l->busy, i, offsetof(struct part, busy));
}

static void cancel(struct link_end *l, uint64_t job, const char *why)
{
	struct command cmd = {.kind = CMD_CANCEL, .u.job = {{job}, why}};
	struct delegated_view v;

	if (engine_delegated_job(l->shell.engine, (job_id){job}, &v) && !v.finished && !v.cancelled)
		(void)link_command(l, &cmd, NULL);
}

/* As the hub would have stopped it itself: with a signal to save what it has, where the task asked for one. */
static void stop(struct link_end *l, uint64_t job, Wire__StopReason why)
{
	struct command cmd = {.kind = CMD_PREEMPT, .u.job = {{job}, NULL}};
	struct delegated_view v;

	if (why != WIRE__STOP_REASON__PREEMPTED)
		cancel(l, job, stop_reason_name(why));
	else if (engine_delegated_job(l->shell.engine, (job_id){job}, &v) && !v.finished && !v.cancelled)
		(void)link_command(l, &cmd, NULL);
}

static void handed_over(struct link_end *l, uint32_t i)
{
	struct command cmd = {.kind = CMD_HANDED_OVER, .u.job = {{part_at(l, i)->job}, NULL}};
	struct delegated_view v;

	if (engine_delegated_job(l->shell.engine, cmd.u.job.job, &v) && v.finished)
		(void)link_command(l, &cmd, NULL);
	part_drop(l, i);
}

/* What is here of this parent, from the state: all of it is durable. */
void child_parts(struct link_end *l)
{
	struct delegated_view v = {{0}};
	struct parent_view parent;

	(void)engine_parent(l->shell.engine, &parent);
	l->parent = parent.number;
	while (engine_delegated_next(l->shell.engine, v.job, &v)) {
		struct part *p;
		uint32_t i;

		if (v.parent != l->parent)
			continue;
		p = part_add(l, v.lease.v, &i);
		CHECK(p); /* the core holds them to as many */
		p->job = v.job.v;
		p->first = v.first;
		p->tasks = v.tasks;
		p->commit = v.commit;
		p->durable = v.prefix;
		p->finished = v.finished;
	}
}

/* ---- sessions ---- */

/* Leases that were refused here, and of whose end the hub has not said that it knows: if it still wants them, it grants them again. */
static void drop_refused(struct link_end *l)
{
	for (uint32_t i = 1; i <= l->parts.high; i++) {
		const struct part *p = part_at(l, i);

		if (p->lease && !p->job && part_find(l, p->lease, NULL) == p)
			part_drop(l, i);
	}
}

/* By the clock: a journal that went back to before some sessions does not use their numbers again, whose frames may still be on their way. */
static uint64_t new_session(const struct link_end *l)
{
	uint64_t clock = l->shell.clock ? l->shell.clock(l->shell.ctx) : 0;

	return clock > l->session_max && clock < UINT64_MAX / 2 ? clock : l->session_max + 1;
}

void child_begin(struct link_end *l, uint64_t now)
{
	struct parent_view parent;

	if (!engine_parent(l->shell.engine, &parent)) {
		link_to(l, now, LINK_DOWN);
		return;
	}
	drop_refused(l);
	link_session(l, now, new_session(l));
	l->gate = l->shell.appended(l->shell.ctx);
	l->at_ns = now;
	l->wait_ns = LINK_HELLO_NS;
	l->said = 0;
	link_to(l, now, LINK_HELLO);
}

void child_alone(struct link_end *l, bool lost)
{
	Wire__NodeLink m = WIRE__NODE_LINK__INIT; /* node 0: the hub */
	struct command cmd = {.kind = CMD_NODE_LINK, .u.node_link = &m};

	m.state = WIRE__NODE_SET__STATE__DISCONNECTED;
	if (lost)
		(void)link_command(l, &cmd, NULL);
}

void child_again(struct link_end *l, uint64_t now)
{
	child_alone(l, l->state == LINK_UP);
	child_begin(l, now);
}

/* The numbers of what we hold, as differences, and their tags. False: out of memory. */
static bool holds(struct link_end *l, Link__Hello *h, struct arena *a)
{
	struct delegated_view v = {{0}};
	uint64_t last = 0;
	size_t n = 0;

	h->held = arena_calloc(a, l->parts.n + 1, sizeof(*h->held));
	h->tags.data = arena_alloc(a, 4 * (size_t)l->parts.n + 4);
	if (!h->held || !h->tags.data)
		return false;
	while (n < l->parts.n && engine_delegated_next(l->shell.engine, v.job, &v)) {
		if (v.parent != l->parent)
			continue;
		h->held[n] = v.lease.v - last;
		for (unsigned b = 0; b < 4; b++)
			h->tags.data[4 * n + b] = (uint8_t)(v.tag >> (8 * b));
		last = v.lease.v;
		n++;
	}
	h->n_held = n;
	h->tags.len = 4 * n;
	return true;
}

size_t child_hello(struct link_end *l, uint64_t now, uint8_t *out)
{
	Link__Frame f = LINK__FRAME__INIT;
	Link__Hello h = LINK__HELLO__INIT;
	struct parent_view parent;
	struct arena a;

	if (l->state == LINK_REFUSED && now >= l->at_ns)
		child_again(l, now);
	if (l->state != LINK_HELLO || now < l->at_ns || l->shell.durable(l->shell.ctx) < l->gate)
		return 0;
	arena_init(&a, l->scratch, l->scratch_bytes);
	if (!engine_parent(l->shell.engine, &parent) || !holds(l, &h, &a))
		return 0;
	if (l->said) /* not the first: an answer to an earlier one may still come, and must not be taken for this one's */
		link_session(l, now, new_session(l));
	l->said = 1;
	h.version = link_version;
	h.name = l->name;
	h.key = (ProtobufCBinaryData){sizeof(l->key), l->key};
	h.journal = (ProtobufCBinaryData){sizeof(l->journal), l->journal};
	h.lease_seen = parent.lease_seen;
	h.node = (ProtobufCBinaryData){l->offer_bytes, l->offer};
	h.epoch = engine_epoch(l->shell.engine);
	h.place = l->place;
	f.body_case = LINK__FRAME__BODY_HELLO;
	f.hello = &h;
	l->node_due = 0;
	l->at_ns = now + l->wait_ns;
	l->wait_ns = l->wait_ns < LINK_HELLO_MAX_NS ? 2 * l->wait_ns : l->wait_ns;
	return link_emit(l, now, &f, false, 0, out);
}

static void live(struct link_end *l, uint64_t now, uint32_t i, uint64_t cursor)
{
	struct part *p = part_at(l, i);

	p->ended = p->unwanted = p->reveal = p->stopped = 0;
	p->revealed = 0;
	idle(l, i);
	if (cursor < p->first || cursor > p->first + p->tasks) { /* it never took results of ours before */
		p->unwanted = 1;
		cancel(l, p->job, "the hub wants other tasks of it");
		return;
	}
	p->told = cursor - p->first;
	queue(l, now, i);
}

static void not_live(struct link_end *l, uint32_t i)
{
	struct part *p = part_at(l, i);

	p->unwanted = 1;
	idle(l, i);
	if (p->finished || !p->job)
		handed_over(l, i);
	else
		cancel(l, p->job, "the hub has given it up");
}

static void welcome(struct link_end *l, uint64_t now, const Link__Welcome *m)
{
	Wire__NodeLink up = WIRE__NODE_LINK__INIT;
	struct command cmd = {.kind = CMD_NODE_LINK, .u.node_link = &up};
	uint64_t lease = 0;
	size_t k = 0;

	if (l->state != LINK_HELLO)
		return; /* said before */
	l->version = m->version;
	l->wait_ns = LINK_HELLO_NS;
	child_offer_begin(l);
	l->strange_ns = 0;
	link_to(l, now, LINK_UP);
	(void)link_command(l, &cmd, NULL);
	l->progress_ns = now;
	child_held(l);
	child_quota_begin(l, now);
	lease = m->n_live ? m->live[0] : 0;
	for (struct delegated_view v = {{0}}; engine_delegated_next(l->shell.engine, v.job, &v);) {
		uint32_t i;

		if (v.parent != l->parent || !part_find(l, v.lease.v, &i))
			continue;
		while (k < m->n_live && lease < v.lease.v) {
			k++;
			lease += k < m->n_live ? m->live[k] : 0;
		}
		if (k < m->n_live && lease == v.lease.v)
			live(l, now, i, m->cursor[k]);
		else
			not_live(l, i);
	}
}

static void refused(struct link_end *l, uint64_t now, const Link__Refused *m)
{
	if (m->code == LINK__REFUSED__CODE__STALE) {
		if (m->session_least > l->session_max && m->session_least < UINT64_MAX / 2)
			l->session_max = m->session_least;
		child_again(l, now);
		return;
	}
	child_alone(l, l->state == LINK_UP);
	link_words(l, m->reason, m->hint);
	if (m->code == LINK__REFUSED__CODE__CHILD_OLD || m->code == LINK__REFUSED__CODE__OTHER)
		l->strange_ns = !l->strange_ns                    ? STRANGE_NS
		                : l->strange_ns < STRANGE_MAX / 2 ? 2 * l->strange_ns
		                                                  : STRANGE_MAX;
	else
		l->strange_ns = 0;
	l->at_ns = now + (l->strange_ns ? l->strange_ns : RETRY_NS);
	link_to(l, now, LINK_REFUSED);
}

/* ---- what the hub wants ---- */

static void refuse_grant(struct link_end *l, uint64_t now, uint64_t lease, const struct err *why)
{
	uint32_t i;
	struct part *p = part_add(l, lease, &i);

	if (!p)
		return; /* the hub gives more than we may hold; what it misses at the next Hello it ends */
	p->finished = 1;
	p->reason = why->code == ERR_FULL ? WIRE__STOP_REASON__DRAINING : WIRE__STOP_REASON__COULD_NOT_START;
	(void)snprintf(p->note, sizeof(p->note), "%.*s", (int)sizeof(p->note) - 1, why->msg);
	queue(l, now, i);
}

static void grant(struct link_end *l, uint64_t now, const Link__Grant *m, struct arena *a)
{
	Wire__Delegated of = WIRE__DELEGATED__INIT;
	struct command cmd = {.kind = CMD_DELEGATED, .u.delegated.of = &of};
	const Wire__Principal *by = NULL;
	struct delegated_view v;
	struct err why = {0};
	struct part *p;
	uint32_t i;

	if (part_find(l, m->lease, NULL))
		return;
	if (jobspec_decode(a, m->spec.data, m->spec.len, &cmd.u.delegated.spec, &why) < 0 ||
	        (m->by.len && frame_principal(a, &m->by, &by, &why) < 0)) {
		refuse_grant(l, now, m->lease, &why);
		return;
	}
	of.lease = m->lease;
	of.first = m->first;
	of.job = m->job;
	of.stop_after_ns = m->stop_after_ns;
	of.tag = m->tag;
	of.commit = m->commit;
	cmd.by = by;
	if (l->shell.granted)
		l->shell.granted(l->shell.ctx, m);
	(void)link_command(l, &cmd, &why);
	if (!engine_delegated(l->shell.engine, l->parent, (lease_id){m->lease}, &v)) {
		if (why.code) /* else it was here, and is over */
			refuse_grant(l, now, m->lease, &why);
		return;
	}
	p = part_add(l, m->lease, &i);
	CHECK(p);
	p->job = v.job.v;
	p->first = v.first;
	p->tasks = v.tasks;
	p->commit = v.commit;
}

static void adjust(struct link_end *l, const Link__Adjust *m)
{
	Wire__JobAdjusted to = WIRE__JOB_ADJUSTED__INIT;
	struct command cmd = {.kind = CMD_ADJUST, .u.adjust = &to};
	const struct part *p = part_find(l, m->lease, NULL);
	struct step_view step;
	struct job_view job;

	if (!p || !p->job || !engine_job(l->shell.engine, (job_id){p->job}, &job) || job.finished_ns ||
	        !engine_step(l->shell.engine, job.id, 0, &step))
		return;
	to.job = p->job;
	to.priority = m->priority;
	to.run_timeout_ns = m->run_timeout_ns;
	to.deadline_ns = m->deadline_ns;
	if (job.priority != m->priority)
		to.set |= WIRE__JOB_ADJUSTED__FIELD__PRIORITY;
	if (step.run_timeout_ns != m->run_timeout_ns)
		to.set |= WIRE__JOB_ADJUSTED__FIELD__RUN_TIMEOUT;
	if (job.deadline_ns != m->deadline_ns)
		to.set |= WIRE__JOB_ADJUSTED__FIELD__DEADLINE;
	if (to.set)
		(void)link_command(l, &cmd, NULL);
}

static void stop_part(struct link_end *l, uint64_t now, const Link__Stop *m)
{
	uint32_t i;
	struct part *p = part_find(l, m->lease, &i);

	if (!p)
		return;
	stop(l, p->job, frame_reason(m->reason));
	p->stopped = 1;
	queue(l, now, i);
}

static void reveal(struct link_end *l, uint64_t now, const Link__Reveal *m)
{
	uint32_t i;
	struct part *p = part_find(l, m->lease, &i);

	/* Before it has all commitments it cannot want answers. */
	if (!p || !p->commit || p->reveal || p->told < p->tasks || m->first < p->first ||
	        m->first - p->first > p->tasks)
		return;
	p->reveal = 1;
	p->revealed = m->first - p->first;
	queue(l, now, i);
}

void child_frame(struct link_end *l, uint64_t now, const Link__Frame *f, struct arena *a)
{

	if (f->body_case == LINK__FRAME__BODY_WELCOME)
		welcome(l, now, f->welcome);
	else if (f->body_case == LINK__FRAME__BODY_REFUSED)
		refused(l, now, f->refused);
	else if (f->body_case == LINK__FRAME__BODY_RESET)
		child_again(l, now);
	else if (f->body_case == LINK__FRAME__BODY_GRANT)
		grant(l, now, f->grant, a);
	else if (f->body_case == LINK__FRAME__BODY_QUOTA)
		child_quota_came(l, now, f->quota, a);
	else if (f->body_case == LINK__FRAME__BODY_ADJUST)
		adjust(l, f->adjust);
	else if (f->body_case == LINK__FRAME__BODY_STOP)
		stop_part(l, now, f->stop);
	else if (f->body_case == LINK__FRAME__BODY_REVEAL)
		reveal(l, now, f->reveal);
	/* Kinds of a later version are acknowledged and passed over. */
}

/* ---- what became of it ---- */

void child_acked(struct link_end *l, uint64_t lease)
{
	uint32_t i;
	const struct part *p = part_find(l, lease, &i);

	if (p && p->ended)
		handed_over(l, i);
}

/* The node may have joined another hub, or this one anew: jobs of before are not its business any more, durably or not. */
void child_look(struct link_end *l, uint64_t now)
{
	struct parent_view parent;

	(void)engine_parent(l->shell.engine, &parent);
	if (parent.number == l->parent)
		return;
	for (uint32_t i = 1; i <= l->parts.high; i++)
		if (part_at(l, i)->lease && part_find(l, part_at(l, i)->lease, NULL) == part_at(l, i))
			part_drop(l, i);
	child_parts(l);
	if (l->state != LINK_DOWN)
		child_begin(l, now);
}

void child_effect(struct link_end *l, uint64_t now, const struct effect *fx)
{
	struct part *p;
	uint32_t i;

	if (fx->kind == EFFECT_JOB)
		child_quota_look(l);
	if (fx->kind != EFFECT_DELEGATED)
		return;
	p = part_find(l, fx->lease.v, &i);
	if (!p || p->job != fx->job.v)
		return;
	p->durable = fx->task > p->durable ? fx->task : p->durable;
	p->finished |= fx->a != 0;
	if (p->unwanted && p->finished)
		handed_over(l, i);
	else if (l->state == LINK_UP)
		queue(l, now, i);
}

/* ---- telling ---- */

static size_t ended_next(struct link_end *l, uint64_t now, uint32_t i, uint8_t *out)
{
	struct part *p = part_at(l, i);
	Link__Frame f = LINK__FRAME__INIT;
	Link__Ended m = LINK__ENDED__INIT;

	m.lease = p->lease;
	m.reason = p->told == p->tasks ? WIRE__STOP_REASON__DONE : WIRE__STOP_REASON__CANCELLED;
	if (!p->job)
		m.reason = p->reason;
	m.note = p->note;
	p->ended = 1;
	idle(l, i);
	f.body_case = LINK__FRAME__BODY_ENDED;
	f.ended = &m;
	return link_emit(l, now, &f, true, p->lease, out);
}

/* The outcomes of the tasks from `task` on, which the core knows; none when all succeeded. */
static bool outcomes(
        const struct link_end *l, const struct part *p, uint64_t task, Wire__Results *r, struct arena *a)
{
	bool all = true;

	r->outcome = arena_calloc(a, r->count, sizeof(*r->outcome));
	if (!r->outcome)
		return false;
	for (uint64_t k = 0; k < r->count; k++) {
		struct task_view t;

		CHECK(engine_task(l->shell.engine, (job_id){p->job}, 0, task + k, &t));
		CHECK(t.state == TASK_DONE);
		r->outcome[k] = t.outcome;
		all &= t.outcome == WIRE__OUTCOME__SUCCEEDED;
	}
	r->n_outcome = all ? 0 : r->count;
	return true;
}

/* What nobody can guess, and what is the same whenever it is asked for: of this lease's task. */
static void nonce(const struct link_end *l, const struct delegated_view *v, uint64_t task, uint8_t *out)
{
	const uint64_t of[] = {v->parent, v->lease.v, v->tag, v->first + task};
	uint8_t sum[32];
	struct sha2 h;

	sha2_init(&h);
	sha2_add(&h, "osier nonce", 11);
	sha2_add(&h, l->secret, sizeof(l->secret));
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		uint8_t b[8];

		for (unsigned k = 0; k < 8; k++)
			b[k] = (uint8_t)(of[i] >> (8 * k));
		sha2_add(&h, b, sizeof(b));
	}
	sha2_end(&h, sum);
	memcpy(out, sum, RESULT_NONCE_BYTES);
}

/* Nonces to these results, from `task` on; and when they are only committed to, that in their place. */
static bool commit(const struct link_end *l, const struct part *p, uint64_t task, bool only, Wire__Results *r,
        struct arena *a)
{
	uint8_t *nonces = arena_alloc(a, r->count * RESULT_NONCE_BYTES), *sums;
	struct delegated_view v;
	Wire__Results bare = WIRE__RESULTS__INIT;

	if (!nonces || !engine_delegated_job(l->shell.engine, (job_id){p->job}, &v))
		return false;
	for (uint64_t k = 0; k < r->count; k++)
		nonce(l, &v, task + k, nonces + RESULT_NONCE_BYTES * k);
	r->nonces = (ProtobufCBinaryData){r->count * RESULT_NONCE_BYTES, nonces};
	if (!only)
		return true;
	sums = arena_alloc(a, r->count * 32);
	if (!sums)
		return false;
	engine_commitments(r, sums);
	bare.lease = r->lease;
	bare.first = r->first;
	bare.count = r->count;
	bare.commitments = (ProtobufCBinaryData){r->count * 32, sums};
	*r = bare;
	return true;
}

static size_t results_frame(struct link_end *l, uint64_t now, const Wire__Results *columns,
        const struct link_results *got, struct arena *a, uint8_t *out)
{
	Link__Frame f = LINK__FRAME__INIT;
	Link__Results m = LINK__RESULTS__INIT;

	m.n_output = m.n_data = got->n_data;
	m.output = arena_calloc(a, got->n_data + 1, sizeof(*m.output));
	m.data = arena_calloc(a, got->n_data + 1, sizeof(*m.data));
	m.results.len = wire__results__get_packed_size(columns);
	m.results.data = arena_alloc(a, m.results.len);
	if (!m.output || !m.data || !m.results.data)
		return 0;
	(void)wire__results__pack(columns, m.results.data);
	for (size_t k = 0; k < got->n_data; k++) {
		m.output[k] = got->data[k].output;
		m.data[k] = (ProtobufCBinaryData){got->data[k].n, (uint8_t *)(uintptr_t)got->data[k].bytes};
	}
	f.body_case = LINK__FRAME__BODY_RESULTS;
	f.results = &m;
	return link_emit(l, now, &f, true, 0, out);
}

/* How many tasks of a replica from `task` on go into one message: all successes, or none. */
static uint64_t alike(const struct link_end *l, const struct part *p, uint64_t task, uint64_t end)
{
	const bool good = succeeded(l, p, task);
	uint64_t n = 1;

	while (task + n < end && succeeded(l, p, task + n) == good)
		n++;
	return n;
}

/* Results of tasks from `task` on, at most `most`; or commitments to them. *count: of how many. */
static size_t say_results(struct link_end *l, uint64_t now, const struct part *p, uint64_t task,
        uint64_t most, uint64_t *count, uint8_t *out)
{
	Wire__Results columns = WIRE__RESULTS__INIT;
	struct link_results got = {.columns = &columns};
	bool good = p->commit && succeeded(l, p, task);
	struct arena a;

	arena_init(&a, l->scratch, l->scratch_bytes);
	got.digests = good && !p->reveal;
	l->shell.results(l->shell.ctx, (job_id){p->job}, task, most, LINK_BATCH_MAX, &a, &got);
	if (!columns.count)
		return 0;
	CHECK(columns.count <= most);
	columns.lease = p->lease;
	columns.first = p->first + task;
	*count = columns.count;
	if (!outcomes(l, p, task, &columns, &a))
		return 0;
	if (good && !commit(l, p, task, got.digests, &columns, &a))
		return 0;
	if (got.digests)
		got.n_data = 0;
	return results_frame(l, now, &columns, &got, &a, out);
}

static size_t results_next(struct link_end *l, uint64_t now, uint32_t i, uint8_t *out)
{
	struct part *p = part_at(l, i);
	uint64_t count = 0, most = p->durable - p->told;
	size_t n;

	if (p->commit)
		most = alike(l, p, p->told, p->durable);
	n = say_results(l, now, p, p->told, most, &count, out);
	if (!n)
		return 0;
	p->told += count;
	idle(l, i);
	queue(l, now, i);
	return n;
}

static size_t reveal_next(struct link_end *l, uint64_t now, uint32_t i, uint8_t *out)
{
	struct part *p = part_at(l, i);
	uint64_t count = 0;
	size_t n = 0;

	p->revealed = held_next(l, p, p->revealed);
	if (p->revealed < p->tasks)
		n = say_results(l, now, p, p->revealed, alike(l, p, p->revealed, p->tasks), &count, out);
	p->revealed += n ? count : 0;
	if (n || p->revealed == p->tasks) {
		idle(l, i);
		queue(l, now, i);
	}
	return n;
}

/* Results wait a moment for others, unless nothing is under way. */
static uint64_t batch_due(const struct link_end *l)
{
	if (!l->busy.n || !link_window_open(l))
		return UINT64_MAX;
	return l->out == l->out_acked ? 0 : l->batch_ns + LINK_BATCH_NS;
}

static uint64_t paced_due(const struct link_end *l)
{
	return l->paced.n && link_window_open(l) ? l->paced_ns : UINT64_MAX;
}

/* Of the leases that run on, the one that waits for longest. */
static size_t paced_next(struct link_end *l, uint64_t now, uint8_t *out)
{
	uint32_t i = l->paced.head;
	size_t n;

	if (now < paced_due(l))
		return 0;
	l->paced_ns = now + PACE_NS;
	n = has_news(l, part_at(l, i)) ? results_next(l, now, i, out) : 0;
	if (n)
		return n;
	idle(l, i);
	queue(l, now, i);
	return 0;
}

size_t child_next(struct link_end *l, uint64_t now, uint8_t *out)
{
	uint32_t looks = l->busy.n;
	size_t n;

	if (l->node_due && link_urgent_open(l))
		return child_offer_next(l, now, out);
	if (l->held_due && link_window_open(l))
		return child_held_next(l, now, out);
	n = link_window_open(l) ? child_quota_next(l, now, out) : 0;
	if (n)
		return n;
	if (now < batch_due(l))
		return paced_next(l, now, out);
	while (looks-- && l->busy.head) {
		uint32_t i = l->busy.head;
		struct part *p = part_at(l, i);

		if (!has_news(l, p)) {
			idle(l, i);
			continue;
		}
		if (p->told < p->durable)
			n = results_next(l, now, i, out);
		else if (may_end(l, p))
			n = ended_next(l, now, i, out);
		else
			n = reveal_next(l, now, i, out);
		if (n)
			return n;
		idle(l, i); /* its results cannot be read now: the others first */
		queue(l, now, i);
	}
	return paced_next(l, now, out);
}

uint64_t child_deadline(const struct link_end *l)
{
	uint64_t batch = batch_due(l), paced = paced_due(l), quota;

	if (l->state != LINK_UP)
		return l->at_ns;
	quota = link_window_open(l) ? child_quota_deadline(l) : UINT64_MAX;
	batch = batch < paced ? batch : paced;
	return batch < quota ? batch : quota;
}
