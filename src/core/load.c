/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load - from the bytes of a snapshot to a state; see snapshot.c for their layout. Pure.
 *
 * Every length and number is checked against what there is, so that damage is ERR_CORRUPT. A snapshot whose bytes are whole but
 * tell a state that cannot be is caught by engine_check(), not here.
 */
#include <string.h>

#include "base/check.h"
#include "core/snapshot.h"
#include "core/state.h"
#include "wire/entry.h"
#include "wire/scan.h"

struct source {
	const uint8_t *p, *end;
	bool bad;
};

static uint64_t number(struct source *k)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && k->p < k->end; shift += 7) {
		uint8_t b = *k->p++;

		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	k->bad = true;
	return 0;
}

/* A number of at most `max`. */
static uint64_t upto(struct source *k, uint64_t max)
{
	uint64_t v = number(k);

	if (v > max)
		k->bad = true;
	return k->bad ? 0 : v;
}

static const uint8_t *bytes(struct source *k, uint64_t n)
{
	const uint8_t *p = k->p;

	if (k->bad || n > (uint64_t)(k->end - k->p)) {
		k->bad = true;
		return NULL;
	}
	k->p += n;
	return p;
}

/* The length of the next run, of at most `left`; 0 when the bytes are bad. */
static uint64_t run(struct source *k, uint64_t left)
{
	uint64_t n = upto(k, left);

	if (n == 0)
		k->bad = true;
	return n;
}

static int corrupt(struct err *err, const char *what)
{
	return err_set(err, ERR_CORRUPT, "the snapshot's %s is damaged", what);
}

static void get_engine(struct source *k, struct engine *e)
{
	e->epoch = number(k);
	e->seed = number(k);
	e->last_job = number(k);
	e->last_lease = number(k);
	e->delay_seq = number(k);
	for (uint64_t last = 0, node; k->p != k->end && !k->bad; last = node) {
		node = upto(k, e->limits.nodes_max);
		if (node <= last) {
			k->bad = true;
			return;
		}
		e->trust[node].agreed = number(k);
		e->trust[node].mark = number(k);
		e->trust[node].alone = number(k);
	}
}

/* ---- jobs ---- */

static void get_units(struct source *k, struct engine *e, struct job *j, struct step *s)
{
	uint64_t units = step_units(s), n;
	struct bitmap ready = step_ready(e, j, s);
	uint32_t c[C_N] = {0};

	for (uint64_t u = 0; u < units && !k->bad; u += n) {
		const uint8_t *b;
		unsigned state, low;

		n = run(k, units - u);
		b = bytes(k, 1);
		if (!b)
			return;
		state = (*b & 0x7f) >> 4;
		low = *b & 15;
		if (state > S_DONE || ((*b & UNIT_READY) && state != S_WAIT) ||
		        (state == S_DONE && low > WIRE__OUTCOME__SKIPPED) ||
		        (state == S_LEASED && low > (s->replicas > 1))) {
			k->bad = true;
			return;
		}
		if (*b & 0x7f)
			memset(unit_states(e, j, s) + u, *b & 0x7f, n);
		if (*b & UNIT_READY) {
			bitmap_set(&ready, u, n);
			s->units_ready += (uint32_t)n;
		}
		if (low && (state == S_WAIT || state == S_DELAYED))
			s->marked += (uint32_t)n;
		c[state == S_DONE ? outcome_count((Wire__Outcome)low) : unit_place(e, j, s, u)] +=
		        (uint32_t)n;
	}
	if (s->replicas == 1)
		memcpy(s->c, c, sizeof(c));
}

static void get_runs(struct source *k, uint8_t *v, uint64_t count)
{
	for (uint64_t i = 0, n; i < count && !k->bad; i += n) {
		const uint8_t *b;

		n = run(k, count - i);
		b = bytes(k, 1);
		if (b && *b)
			memset(v + i, *b, n);
	}
}

static void get_stamps(struct source *k, struct engine *e, struct job *j, struct step *s)
{
	struct bitmap ready = step_ready(e, j, s);
	uint32_t *stamps = unit_stamps(e, j, s);

	for (uint64_t u = bitmap_next(&ready, 0), n; u != UINT64_MAX && !k->bad;
	        u = bitmap_next(&ready, u + n)) {
		uint32_t v;

		n = run(k, bitmap_run(&ready, u, UINT64_MAX));
		v = (uint32_t)upto(k, UINT32_MAX);
		for (uint64_t i = 0; i < n; i++)
			stamps[u + i] = v;
	}
}

static void get_votes(struct source *k, struct engine *e, struct job *j, struct step *s)
{
	struct vote *v = step_votes(e, j, s);
	uint64_t units = step_units(s);

	for (uint64_t u = 0; u < units && !k->bad;) {
		uint64_t empty = upto(k, units - u), full = upto(k, units - u - empty);

		u += empty;
		if (empty + full == 0)
			k->bad = true;
		for (; full > 0 && !k->bad; full--, u++) {
			const uint8_t *digest = bytes(k, sizeof(v[u].digest));

			if (!digest)
				return;
			memcpy(v[u].digest, digest, sizeof(v[u].digest));
			v[u].lease = number(k);
			v[u].node = (uint32_t)upto(k, UINT32_MAX);
			v[u].class_ = (uint8_t)upto(k, s->replicas);
			v[u].tried = (uint8_t)upto(k, s->replicas);
			v[u].asked = (uint8_t)upto(k, s->replicas);
			s->comparing += v[u].asked != 0;
		}
	}
}

static void count_tasks(struct engine *e, struct job *j, struct step *s, struct source *k)
{
	static const unsigned place[] = {C_BLOCKED, C_LEASED, C_DELAYED, C_N, C_READY};
	const uint8_t *b = task_states(e, j, s);

	memset(s->c, 0, sizeof(s->c));
	for (uint64_t i = 0; i < s->tasks; i++) {
		if (b[i] >> 4 > S_READY) {
			k->bad = true;
			return;
		}
		s->c[b[i] >> 4 == S_DONE ? outcome_count((Wire__Outcome)(b[i] & 15)) : place[b[i] >> 4]]++;
	}
}

static int get_step(struct source *k, struct engine *e, struct job *j, struct step *s, struct err *err)
{
	s->queue_timeout_ns = number(k);
	s->run_timeout_ns = number(k);
	s->queue_due_ns = number(k);
	s->ready_since_ns = number(k);
	s->whole_pending = (uint32_t)upto(k, s->n_deps);
	get_units(k, e, j, s);
	get_runs(k, unit_extras(e, j, s), step_units(s));
	if (upto(k, 1)) {
		if (!unit_stamps(e, j, s))
			s->stamp_block = blocks_take(&e->blocks, step_units(s) * sizeof(uint32_t));
		if (!unit_stamps(e, j, s))
			return err_set(err, ERR_FULL, "no memory for what job %llu waits for",
			        (unsigned long long)j->id);
		get_stamps(k, e, j, s);
	}
	if (s->replicas > 1) {
		get_runs(k, task_states(e, j, s), s->tasks);
		get_votes(k, e, j, s);
		count_tasks(e, j, s, k);
	}
	s->finished = step_done(s) == s->tasks;
	j->steps_done += s->finished;
	return 0;
}

static void get_job_fields(struct source *k, struct job *j)
{
	uint64_t flags;

	j->priority = (uint32_t)upto(k, 100);
	j->concurrency = (uint32_t)upto(k, UINT32_MAX);
	flags = upto(k, 127);
	j->held = flags & 1;
	j->early = flags >> 1 & 1;
	j->cancelled = flags >> 6 & 1 ? CANCELLED_PREEMPTED : flags >> 2 & 1;
	j->timed_out = flags >> 3 & 1;
	j->failing = flags >> 4 & 1;
	j->in_sched = 0; /* job_enter_sched() */
	j->submitted_ns = number(k);
	j->started_ns = number(k);
	j->finished_ns = number(k);
	j->deadline_ns = number(k);
	j->timeout_ns = number(k);
	j->timeout_from_ns = number(k);
	j->attempts = number(k);
	j->cpu_us = number(k);
}

static void get_delays(struct source *k, struct engine *e, struct job *j)
{
	uint64_t n = upto(k, e->delays.max - e->delays.n);

	for (uint64_t i = 0; i < n && !k->bad; i++) {
		uint32_t step = (uint32_t)upto(k, j->n_steps - 1);
		uint64_t unit = upto(k, step_units(step_at(e, j, step)) - 1), due = number(k),
		         seq = number(k);

		if (!k->bad)
			delay_add(e, j, step, unit, due, seq);
	}
}

/* With the specification decoded: the job as it was. */
static int get_job_state(
        struct source *k, struct engine *e, struct job *j, const Wire__JobSpec *spec, struct err *err)
{
	get_job_fields(k, j);
	for (uint32_t i = 0; i < j->n_steps && !k->bad; i++)
		if (get_step(k, e, j, step_at(e, j, i), err) < 0)
			return -1;
	get_delays(k, e, j);
	if (k->bad)
		return corrupt(err, "job");
	for (uint32_t i = 0; i < j->n_steps; i++)
		if (step_at(e, j, i)->reduce_of != NONE)
			reduce_missing_fill(e, j, step_at(e, j, i));
	if (!j->finished_ns && job_enter_sched(e, j, spec) < 0)
		return err_set(
		        err, ERR_FULL, "no room in the scheduler for job %llu", (unsigned long long)j->id);
	job_timer(e, j);
	return 0;
}

static int get_job(struct source *k, struct engine *e, struct err *err)
{
	Wire__JobSubmitted m = WIRE__JOB_SUBMITTED__INIT;
	Wire__Principal by = WIRE__PRINCIPAL__INIT;
	const Wire__JobSpec *spec;
	char key[257] = "";
	struct layout l;
	struct arena a;
	uint64_t n;
	uint32_t block;
	const uint8_t *p;
	int r;

	m.job = number(k);
	n = upto(k, sizeof(key) - 1);
	p = bytes(k, n);
	if (p)
		memcpy(key, p, n);
	n = upto(k, JOBSPEC_BYTES_MAX);
	p = bytes(k, n);
	by.uid = (uint32_t)upto(k, UINT32_MAX);
	by.gid = (uint32_t)upto(k, UINT32_MAX);
	if (k->bad || (e->all_jobs.tail && job_at(e, e->all_jobs.tail)->id >= m.job) || m.job > e->last_job)
		return corrupt(err, "job");
	block = blocks_take_raw(&e->blocks, spec_opened_bytes(n));
	if (!block)
		return err_set(err, ERR_FULL, "no memory to read job %llu", (unsigned long long)m.job);
	arena_init(&a, blocks_at(&e->blocks, block), spec_opened_bytes(n));
	r = jobspec_decode(&a, p, n, &spec, err);
	if (r == 0 && spec_sane(spec, err) < 0)
		r = corrupt(err, "job");
	if (r == 0)
		job_layout(spec, key, &l);
	if (r == 0 && (e->jobs.n == e->jobs.max || !blocks_fits(&e->blocks, l.bytes)))
		r = err_set(err, ERR_FULL, "no memory for job %llu", (unsigned long long)m.job);
	if (r == 0) {
		m.by = &by;
		m.key = key;
		m.spec = (Wire__JobSpec *)(uintptr_t)spec;
		r = get_job_state(k, e, job_build(e, &m, 0), spec, err);
	}
	blocks_give(&e->blocks, block);
	return r;
}

/* ---- leases and the rest ---- */

static void get_lease_flags(struct source *k, struct engine *e, struct job *j, struct lease *l)
{
	uint64_t flags = upto(k, 127);

	l->stopping = flags & 1;
	l->parked = flags >> 1 & 1;
	l->shared = flags >> 2 & 1;
	l->halted = flags >> 3 & 1;
	l->held_ns = flags >> 4 & 1 ? number(k) : l->granted_ns;
	l->gang = flags >> 5 & 1 ? upto(k, l->id) : 0;
	l->port = flags >> 5 & 1 ? (uint32_t)upto(k, UINT16_MAX) : 0;
	l->class_ = flags >> 6 ? number(k) : 0;
	j->n_parked += l->parked;
	e->n_parked += l->parked;
	j->n_shared += l->shared;
}

static int get_lease(struct source *k, struct engine *e, struct err *err)
{
	uint32_t i = pool_take(&e->leases);
	struct lease *l;
	struct job *j;
	const struct step *s;

	if (!i)
		return err_set(err, ERR_FULL, "the snapshot has more than %u leases", e->leases.max);
	l = lease_at(e, i);
	l->id = upto(k, e->last_lease);
	j = job_find(e, number(k));
	if (!j || k->bad || l->id == 0 || lease_find(e, l->id))
		return corrupt(err, "lease");
	l->job = job_index(e, j);
	l->step = (uint32_t)upto(k, j->n_steps - 1);
	s = step_at(e, j, l->step);
	l->node = (uint32_t)upto(k, e->limits.nodes_max);
	l->variant = (uint32_t)upto(k, s->n_variants - 1);
	l->replica = (uint32_t)upto(k, s->replicas - 1);
	l->first = upto(k, s->tasks - 1);
	l->count = upto(k, s->tasks - l->first);
	l->cursor = upto(k, l->first + l->count);
	l->granted_ns = number(k);
	l->deadline_ns = number(k);
	l->run_ns = number(k);
	get_lease_flags(k, e, j, l);
	l->reason = (uint8_t)upto(k, WIRE__STOP_REASON__GANG);
	l->is_doomed = (uint8_t)upto(k, 1);
	l->doom = (uint8_t)upto(k, WIRE__STOP_REASON__GANG);
	l->n_devices = (uint32_t)upto(k, DEVICES_PER_LEASE_MAX);
	for (uint32_t d = 0; d < l->n_devices; d++)
		l->devices[d] = (uint32_t)upto(k, UINT32_MAX);
	if (!k->bad && k->p != k->end) {
		uint64_t flags = upto(k, 7);

		l->waits = flags & 1;
		l->revealing = flags >> 1 & 1;
		l->impatient = (uint8_t)(flags >> 2);
		l->held = upto(k, l->count);
		l->look = upto(k, l->first + l->count);
	}
	if (k->bad || l->cursor < l->first || l->count == 0 || l->node == 0 || !e->nodes[l->node] ||
	        (!l->parked && !j->in_sched))
		return corrupt(err, "lease");
	lease_link(e, l);
	if (!l->parked && !l->waits)
		lease_enter_sched(e, l);
	if (!l->parked && !l->waits && l->stopping)
		sched_lease_stopping(e->sched, l->id);
	if (l->is_doomed)
		list_append(&e->leases, &e->doomed, i, offsetof(struct lease, doomed));
	lease_timer(e, l);
	return 0;
}

static void get_child(struct source *k, struct engine *e)
{
	uint32_t node = (uint32_t)upto(k, e->limits.nodes_max);
	struct child *c = &e->children[node];
	const uint8_t *key, *journal;
	uint8_t link;

	c->from_size = number(k);
	c->since_ns = number(k);
	link = (uint8_t)upto(k, WIRE__NODE_SET__STATE__DISCONNECTED | 8);
	c->link = link & 7;
	c->by_boot = link >> 3;
	key = bytes(k, sizeof(c->key));
	journal = bytes(k, sizeof(c->journal));
	if (!key || !journal || node == 0 || !e->nodes[node]) {
		k->bad = true;
		return;
	}
	c->joined = 1;
	memcpy(c->key, key, sizeof(c->key));
	memcpy(c->journal, journal, sizeof(c->journal));
	for (uint32_t i = c->leases.head; i; i = lease_at(e, i)->of_node.next)
		lease_at(e, i)->tag = (uint32_t)upto(k, UINT32_MAX);
	for (uint32_t i = c->leases.head; i; i = lease_at(e, i)->of_node.next)
		lease_timer(e, lease_at(e, i));
	child_tell(e, node);
}

static void get_parent(struct source *k, struct engine *e)
{
	uint64_t n;
	const uint8_t *key, *name;

	e->parent.number = number(k);
	e->parent.since_ns = number(k);
	e->parent.lease_seen = number(k);
	e->parent.lost_ns = number(k);
	n = upto(k, sizeof(e->parent.name) - 1);
	name = bytes(k, n);
	key = bytes(k, sizeof(e->parent.key));
	if (!key || !name || memchr(name, 0, n)) {
		k->bad = true;
		return;
	}
	memset(e->parent.name, 0, sizeof(e->parent.name));
	memcpy(e->parent.name, name, n);
	memcpy(e->parent.key, key, sizeof(e->parent.key));
}

static void get_links(struct source *k, struct engine *e)
{
	uint64_t n;

	get_parent(k, e);
	for (n = upto(k, e->limits.nodes_max); n && !k->bad; n--)
		get_child(k, e);
	for (n = upto(k, e->jobs.n); n && !k->bad; n--) {
		Wire__Delegated of = WIRE__DELEGATED__INIT;
		struct job *j = job_find(e, number(k));
		uint64_t tag;

		of.parent = upto(k, e->parent.number);
		of.lease = number(k);
		of.first = number(k);
		tag = upto(k, UINT64_C(0x1ffffffff));
		of.tag = (uint32_t)tag;
		of.commit = tag >> 32 != 0;
		of.stop_after_ns = number(k);
		if (!j || j->of_lease || !of.lease || j->n_steps != 1) {
			k->bad = true;
			return;
		}
		delegated_link(e, j, &of);
		j->prefix = upto(k, step_at(e, j, 0)->tasks);
		job_timer(e, j);
	}
	for (n = upto(k, e->jobs.n); n && !k->bad; n--) {
		struct job *j = job_find(e, number(k));

		if (!j)
			k->bad = true;
		else
			j->adjusted = 1;
	}
}

/* A packed message, decoded into a block of its own for the call of `apply`. */
static int get_kept(struct source *k, struct engine *e, enum record_kind kind, struct err *err)
{
	const bool node = kind == RECORD_NODE;
	size_t n = (size_t)(k->end - k->p);
	uint32_t block = blocks_take_raw(&e->blocks, spec_opened_bytes(n));
	struct applying a = {.e = e};
	ProtobufCAllocator alloc;
	struct arena arena;
	struct err why;
	int r = -1;

	if (!block)
		return err_set(err, ERR_FULL, "no memory to read the snapshot's nodes");
	arena_init(&arena, blocks_at(&e->blocks, block), spec_opened_bytes(n));
	arena_allocator(&arena, &alloc);
	if (scan_message(node                   ? &wire__node_set__descriptor
	                 : kind == RECORD_QUOTA ? &wire__quota_set__descriptor
	                                        : &wire__namespace_set__descriptor,
	            k->p, n, ENTRY_MEMBERS_MAX, err) < 0) {
		blocks_give(&e->blocks, block);
		return -1;
	}
	if (node) {
		const Wire__NodeSet *m = wire__node_set__unpack(&alloc, n, k->p);

		if (m && m->node > 0 && m->node <= e->limits.nodes_max &&
		        sched_node_ok(e->sched, m, &why) == 0) {
			apply_node_set(&a, m);
			r = 0;
		}
	} else if (kind == RECORD_QUOTA) {
		const Wire__QuotaSet *m = wire__quota_set__unpack(&alloc, n, k->p);

		if (m && m->node <= e->limits.nodes_max && !e->quotas[m->node]) {
			apply_quota_set(&a, m);
			r = 0;
		}
	} else {
		const Wire__NamespaceSet *m = wire__namespace_set__unpack(&alloc, n, k->p);

		if (m && e->n_namespaces < e->limits.namespaces_max &&
		        sched_namespace_ok(e->sched, m, &why) == 0) {
			apply_namespace_set(&a, m);
			r = 0;
		}
	}
	blocks_give(&e->blocks, block);
	return r < 0 ? corrupt(err, node ? "node" : "namespace") : 0;
}

static int get_record(struct engine *e, enum record_kind kind, struct source k, struct err *err)
{
	switch (kind) {
	case RECORD_ENGINE:
		get_engine(&k, e);
		break;
	case RECORD_NODE:
	case RECORD_NAMESPACE:
	case RECORD_QUOTA:
		return get_kept(&k, e, kind, err);
	case RECORD_JOB:
		if (get_job(&k, e, err) < 0)
			return -1;
		break;
	case RECORD_LEASE:
		if (get_lease(&k, e, err) < 0)
			return -1;
		break;
	case RECORD_SCHED:
		return sched_load(e->sched, k.p, (size_t)(k.end - k.p)) < 0 ? corrupt(err, "scheduler") : 0;
	case RECORD_IDENTITY:
		return identity_load(e->identity, k.p, (size_t)(k.end - k.p)) < 0
		               ? corrupt(err, "table of nodes that joined")
		               : 0;
	case RECORD_LINKS:
		get_links(&k, e);
		break;
	case RECORD_END:
		break;
	}
	return k.bad || k.p != k.end ? corrupt(err, "record") : 0;
}

int engine_load(struct engine *e, const uint8_t *snapshot, size_t n, struct err *err)
{
	struct source k = {.p = snapshot, .end = snapshot + n};
	const uint8_t *head = bytes(&k, SNAPSHOT_HEAD);
	unsigned last = 0;

	CHECK(e->last_job == 0 && e->jobs.n == 0);
	if (!head || memcmp(head, SNAPSHOT_MAGIC, SNAPSHOT_HEAD - 4) != 0)
		return err_set(err, ERR_CORRUPT, "the bytes are not a snapshot");
	if (head[12] != SNAPSHOT_VERSION || head[13] || head[14] || head[15])
		return err_set(err, ERR_VERSION, "the snapshot is of version %u; this osier reads %u",
		        head[12], SNAPSHOT_VERSION);
	while (last != RECORD_END) {
		uint64_t len = 0;

		head = bytes(&k, 9);
		for (int b = 0; head && b < 8; b++)
			len |= (uint64_t)head[1 + b] << (8 * b);
		if (!head || head[0] == 0 || head[0] > RECORD_QUOTA ||
		        record_rank(head[0]) < record_rank(last) ||
		        ((head[0] == RECORD_IDENTITY || head[0] == RECORD_LINKS) && last == head[0]) ||
		        (!last && head[0] != RECORD_ENGINE))
			return corrupt(err, "order");
		last = head[0];
		head = bytes(&k, len);
		if (!head)
			return corrupt(err, "end");
		if (get_record(e, (enum record_kind)last, (struct source){head, head + len, false}, err) < 0)
			return -1;
	}
	return k.p == k.end ? 0 : corrupt(err, "end");
}
