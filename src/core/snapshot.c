/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot - the state as bytes; load.c reads them; see engine.h. Pure.
 *
 *   "osier state" u32 version, then records: u8 kind, u64 length, payload; little-endian. Numbers inside are LEB128.
 *   ENGINE (with the trust of those nodes that have a history), NODE..., NAMESPACE..., JOB... by id, LEASE... by id, SCHED, IDENTITY and LINKS (if there are any), END, in this order.
 * Arrays of tasks are runs, so a million tasks that are alike take a few bytes. What follows from the rest is not kept.
 */
#include "core/snapshot.h"

#include <string.h>

#include "base/check.h"
#include "core/state.h"

/* Bytes on their way; `put` NULL: only counted. */
struct sink {
	int (*put)(void *ctx, const void *p, size_t n);
	void *ctx;
	uint64_t n;
	int failed;
	size_t used;
	uint8_t buf[4096];
};

static void flush(struct sink *k)
{
	if (k->put && k->used && !k->failed && k->put(k->ctx, k->buf, k->used) < 0)
		k->failed = 1;
	k->used = 0;
}

static void bytes(struct sink *k, const void *p, size_t n)
{
	k->n += n;
	if (!k->put)
		return;
	if (n > sizeof(k->buf) - k->used)
		flush(k);
	if (n > sizeof(k->buf)) {
		if (!k->failed && k->put(k->ctx, p, n) < 0)
			k->failed = 1;
		return;
	}
	memcpy(k->buf + k->used, p, n);
	k->used += n;
}

static void number(struct sink *k, uint64_t v)
{
	uint8_t b[10];
	size_t n = 0;

	do {
		b[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
		v >>= 7;
	} while (v);
	bytes(k, b, n);
}

/* ---- payloads ---- */

static void put_engine(struct sink *k, const struct engine *e)
{
	number(k, e->epoch);
	number(k, e->seed);
	number(k, e->last_job);
	number(k, e->last_lease);
	number(k, e->delay_seq);
	for (uint32_t i = 1; i <= e->limits.nodes_max; i++)
		if (e->trust[i].agreed || e->trust[i].mark || e->trust[i].alone) {
			number(k, i);
			number(k, e->trust[i].agreed);
			number(k, e->trust[i].mark);
			number(k, e->trust[i].alone);
		}
}

static void put_kept(struct sink *k, const struct engine *e, uint32_t block)
{
	uint32_t len;

	memcpy(&len, blocks_at(&e->blocks, block), sizeof(len));
	bytes(k, (const uint8_t *)blocks_at(&e->blocks, block) + 4, len);
}

/* Units as runs of (length, byte), a ready one with the highest bit set. */
static void put_units(struct sink *k, const struct engine *e, const struct job *j, const struct step *s)
{
	for (uint64_t u = 0, n; u < step_units(s); u += n) {
		uint8_t b = unit_states(e, j, s)[u];

		n = unit_run(e, j, s, u, step_units(s) - u);
		number(k, n);
		b |= unit_place(e, j, s, u) == C_READY ? UNIT_READY : 0;
		bytes(k, &b, 1);
	}
}

static void put_runs(struct sink *k, const uint8_t *v, uint64_t count)
{
	for (uint64_t i = 0, n; i < count; i += n) {
		uint64_t w, word;

		memset(&word, v[i], sizeof(word));
		for (n = 1; i + n + 8 <= count; n += 8) {
			memcpy(&w, v + i + n, sizeof(w));
			if (w != word)
				break;
		}
		while (i + n < count && v[i + n] == v[i])
			n++;
		number(k, n);
		bytes(k, v + i, 1);
	}
}

/* Stamps of ready units; the others' say nothing. */
static void put_stamps(struct sink *k, const struct engine *e, const struct job *j, const struct step *s)
{
	const uint32_t *stamps = unit_stamps(e, j, s);
	struct bitmap ready = step_ready(e, j, s);

	for (uint64_t u = bitmap_next(&ready, 0), n; u != UINT64_MAX; u = bitmap_next(&ready, u + n)) {
		n = 1;
		while (u + n < step_units(s) && bitmap_test(&ready, u + n) && stamps[u + n] == stamps[u])
			n++;
		number(k, n);
		number(k, stamps[u]);
	}
}

/* Votes as runs of empty ones, then of others. */
static void put_votes(struct sink *k, const struct engine *e, const struct job *j, const struct step *s)
{
	const struct vote *v = step_votes(e, j, s);
	uint64_t units = step_units(s);

	for (uint64_t u = 0, empty, full; u < units; u += empty + full) {
		for (empty = 0; u + empty < units && v[u + empty].node == 0; empty++)
			;
		for (full = 0; u + empty + full < units && v[u + empty + full].node != 0; full++)
			;
		number(k, empty);
		number(k, full);
		for (uint64_t i = u + empty; i < u + empty + full; i++) {
			bytes(k, v[i].digest, sizeof(v[i].digest));
			number(k, v[i].lease);
			number(k, v[i].node);
			number(k, v[i].class_);
			number(k, v[i].tried);
			number(k, v[i].asked);
		}
	}
}

static void put_step(struct sink *k, const struct engine *e, const struct job *j, const struct step *s)
{
	number(k, s->queue_timeout_ns);
	number(k, s->run_timeout_ns);
	number(k, s->queue_due_ns);
	number(k, s->ready_since_ns);
	number(k, s->whole_pending);
	put_units(k, e, j, s);
	put_runs(k, unit_extras(e, j, s), step_units(s));
	number(k, unit_stamps(e, j, s) != NULL);
	if (unit_stamps(e, j, s))
		put_stamps(k, e, j, s);
	if (s->replicas > 1) {
		put_runs(k, task_states(e, j, s), s->tasks);
		put_votes(k, e, j, s);
	}
}

static void put_job(struct sink *k, const struct engine *e, const struct job *j)
{
	const char *key = (const char *)job_bytes(e, j) + j->key_at;

	number(k, j->id);
	number(k, strlen(key));
	bytes(k, key, strlen(key));
	number(k, j->spec_bytes);
	bytes(k, job_bytes(e, j) + j->spec_at, j->spec_bytes);
	number(k, j->uid);
	number(k, j->gid);
	number(k, j->priority);
	number(k, j->concurrency);
	number(k, (uint64_t)j->held | (uint64_t)j->early << 1 | (uint64_t)(j->cancelled != 0) << 2 |
	                  (uint64_t)j->timed_out << 3 | (uint64_t)j->failing << 4 |
	                  (uint64_t)j->in_sched << 5 | (uint64_t)(j->cancelled == CANCELLED_PREEMPTED) << 6);
	number(k, j->submitted_ns);
	number(k, j->started_ns);
	number(k, j->finished_ns);
	number(k, j->deadline_ns);
	number(k, j->timeout_ns);
	number(k, j->timeout_from_ns);
	number(k, j->attempts);
	number(k, j->cpu_us);
	for (uint32_t i = 0; i < j->n_steps; i++)
		put_step(k, e, j, step_at(e, j, i));
	number(k, j->delays.n);
	for (uint32_t i = j->delays.head; i; i = delay_at(e, i)->of_job.next) {
		const struct delay *d = delay_at(e, i);

		number(k, d->step);
		number(k, d->unit);
		number(k, d->due_ns);
		number(k, d->seq);
	}
}

static void put_lease(struct sink *k, const struct engine *e, const struct lease *l)
{
	number(k, l->id);
	number(k, job_at(e, l->job)->id);
	number(k, l->step);
	number(k, l->node);
	number(k, l->variant);
	number(k, l->replica);
	number(k, l->first);
	number(k, l->count);
	number(k, l->cursor);
	number(k, l->granted_ns);
	number(k, l->deadline_ns);
	number(k, l->run_ns);
	number(k, (uint64_t)l->stopping | (uint64_t)l->parked << 1 | (uint64_t)l->shared << 2 |
	                  (uint64_t)l->halted << 3 | (uint64_t)(l->held_ns != l->granted_ns) << 4 |
	                  (uint64_t)(l->gang != 0) << 5 | (uint64_t)(l->class_ != 0) << 6);
	if (l->held_ns != l->granted_ns)
		number(k, l->held_ns);
	if (l->gang) {
		number(k, l->gang);
		number(k, l->port);
	}
	if (l->class_)
		number(k, l->class_);
	number(k, l->reason);
	number(k, l->is_doomed);
	number(k, l->doom);
	number(k, l->n_devices);
	for (uint32_t i = 0; i < l->n_devices; i++)
		number(k, l->devices[i]);
	if (!l->held && !l->waits && !l->revealing)
		return; /* as all were before replicas committed */
	number(k, (uint64_t)l->waits | (uint64_t)l->revealing << 1 | (uint64_t)l->impatient << 2);
	number(k, l->held);
	number(k, l->look);
}

static void put_child(struct sink *k, const struct engine *e, uint32_t node)
{
	const struct child *c = &e->children[node];

	number(k, node);
	number(k, c->from_size);
	number(k, c->since_ns);
	number(k, c->link | (uint64_t)c->by_boot << 3);
	bytes(k, c->key, sizeof(c->key));
	bytes(k, c->journal, sizeof(c->journal));
	for (uint32_t i = c->leases.head; i; i = lease_at(e, i)->of_node.next)
		number(k, lease_at(e, i)->tag);
}

static void put_delegated(struct sink *k, const struct job *j)
{
	number(k, j->id);
	number(k, j->of_parent);
	number(k, j->of_lease);
	number(k, j->of_first);
	number(k, j->of_tag | (uint64_t)j->of_commit << 32);
	number(k, j->stop_after_ns);
	number(k, j->prefix);
}

/* The parent; children, each with the tags of its leases; delegated jobs as they came; jobs that were adjusted. */
static void put_links(struct sink *k, const struct engine *e)
{
	uint32_t children = 0, adjusted = 0;

	number(k, e->parent.number);
	number(k, e->parent.since_ns);
	number(k, e->parent.lease_seen);
	number(k, e->parent.lost_ns);
	number(k, strlen(e->parent.name));
	bytes(k, e->parent.name, strlen(e->parent.name));
	bytes(k, e->parent.key, sizeof(e->parent.key));
	for (uint32_t i = 1; i <= e->limits.nodes_max; i++)
		children += e->children[i].joined;
	number(k, children);
	for (uint32_t i = 1; i <= e->limits.nodes_max; i++)
		if (e->children[i].joined)
			put_child(k, e, i);
	number(k, e->delegated.n);
	for (uint32_t i = e->delegated.head; i; i = job_at(e, i)->delegated.next)
		put_delegated(k, job_at(e, i));
	for (uint32_t i = e->all_jobs.head; i; i = job_at(e, i)->all.next)
		adjusted += job_at(e, i)->adjusted;
	number(k, adjusted);
	for (uint32_t i = e->all_jobs.head; i; i = job_at(e, i)->all.next)
		if (job_at(e, i)->adjusted)
			number(k, job_at(e, i)->id);
}

static int put_all(void *ctx, const void *p, size_t n)
{
	struct sink *k = ctx;

	bytes(k, p, n);
	return k->failed ? -1 : 0;
}

static void payload(struct sink *k, const struct engine *e, enum record_kind kind, uint32_t i)
{
	switch (kind) {
	case RECORD_ENGINE:
		put_engine(k, e);
		return;
	case RECORD_NODE:
		put_kept(k, e, e->nodes[i]);
		return;
	case RECORD_NAMESPACE:
		put_kept(k, e, e->namespaces[i]);
		return;
	case RECORD_JOB:
		put_job(k, e, job_at(e, i));
		return;
	case RECORD_LEASE:
		put_lease(k, e, lease_at(e, i));
		return;
	case RECORD_SCHED:
		if (sched_save(e->sched, put_all, k) < 0)
			k->failed = 1;
		return;
	case RECORD_IDENTITY:
		if (identity_save(e->identity, put_all, k) < 0)
			k->failed = 1;
		return;
	case RECORD_LINKS:
		put_links(k, e);
		return;
	case RECORD_QUOTA:
		put_kept(k, e, e->quotas[i]);
		return;
	case RECORD_END:
		return;
	}
}

static void record(struct sink *k, const struct engine *e, enum record_kind kind, uint32_t i)
{
	struct sink count = {.put = NULL};
	uint8_t head[9] = {(uint8_t)kind};
	uint64_t before;

	payload(&count, e, kind, i);
	for (int b = 0; b < 8; b++)
		head[1 + b] = (uint8_t)(count.n >> (8 * b));
	bytes(k, head, sizeof(head));
	before = k->n;
	payload(k, e, kind, i);
	CHECK(k->failed || k->n - before == count.n);
}

int engine_save(const struct engine *e, int (*put)(void *ctx, const void *p, size_t n), void *ctx)
{
	struct sink k = {.put = put, .ctx = ctx};

	bytes(&k, SNAPSHOT_MAGIC, SNAPSHOT_HEAD - 4);
	bytes(&k, (const uint8_t[4]){SNAPSHOT_VERSION}, 4);
	record(&k, e, RECORD_ENGINE, 0);
	for (uint32_t i = 1; i <= e->limits.nodes_max; i++)
		if (e->nodes[i])
			record(&k, e, RECORD_NODE, i);
	for (uint32_t i = 0; i < e->n_namespaces; i++)
		record(&k, e, RECORD_NAMESPACE, i);
	for (uint32_t i = e->all_jobs.head; i && !k.failed; i = job_at(e, i)->all.next)
		record(&k, e, RECORD_JOB, i);
	for (uint32_t i = e->all_leases.head; i && !k.failed; i = lease_at(e, i)->all.next)
		record(&k, e, RECORD_LEASE, i);
	record(&k, e, RECORD_SCHED, 0);
	if (!identity_empty(e->identity))
		record(&k, e, RECORD_IDENTITY, 0);
	if (links_any(e))
		record(&k, e, RECORD_LINKS, 0);
	for (uint32_t i = 0; i <= e->limits.nodes_max; i++)
		if (e->quotas[i])
			record(&k, e, RECORD_QUOTA, i);
	record(&k, e, RECORD_END, 0);
	flush(&k);
	return k.failed ? -1 : 0;
}
