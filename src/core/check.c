/* SPDX-License-Identifier: Apache-2.0 */
/* check - the engine's invariants, and its state in one number; see engine.h. Pure, slow. */
#include <string.h>

#include "base/check.h"
#include "base/prng.h"
#include "core/state.h"

static void check_step(const struct engine *e, const struct job *j, const struct step *s)
{
	uint64_t n[C_N + 1] = {0}, tasks[C_N] = {0}, marked = 0, comparing = 0, sum = 0;
	struct bitmap ready = step_ready(e, j, s);

	for (uint64_t u = 0; u < step_units(s); u++) {
		uint8_t b = unit_states(e, j, s)[u];
		unsigned p = unit_place(e, j, s, u);

		n[p]++;
		CHECK(p != C_N || (b & 15) <= WIRE__OUTCOME__SKIPPED);
		CHECK(p != C_LEASED || (b & 15) <= (s->replicas > 1));
		CHECK(b >> 4 == S_WAIT || !bitmap_test(&ready, u));
		marked += (p == C_READY || p == C_DELAYED) && (b & 15);
		CHECK((p == C_DELAYED) == (delay_find(e, j, (uint32_t)(s - step_at(e, j, 0)), u) != 0));
	}
	CHECK(bitmap_count(&ready) == n[C_READY] && s->units_ready == n[C_READY] && s->marked == marked);
	for (uint64_t i = 0; i < s->tasks; i++) {
		uint8_t b = task_states(e, j, s)[i];
		static const unsigned place[] = {C_BLOCKED, C_LEASED, C_DELAYED, 0, C_READY};

		if (b >> 4 == S_DONE)
			tasks[outcome_count((Wire__Outcome)(b & 15))]++;
		else
			tasks[s->replicas == 1 ? unit_place(e, j, s, i) : place[b >> 4]]++;
	}
	for (unsigned c = 0; c < C_N; c++) {
		CHECK(tasks[c] == s->c[c]);
		sum += s->c[c];
	}
	CHECK(sum == s->tasks && s->finished == (step_done(s) == s->tasks));
	for (uint64_t u = 0; s->replicas > 1 && u < step_units(s); u++)
		comparing += step_votes(e, j, s)[u].asked != 0;
	CHECK(comparing == s->comparing);
	for (uint64_t i = 0; s->gang && i < s->tasks; i++)
		gang_check(e, j, s, i);
	for (uint64_t i = 0; s->adaptive && i < s->tasks; i++) {
		unsigned open = 0;

		for (uint32_t r = 0; r < s->replicas; r++) {
			unsigned p = unit_place(e, j, s, r * s->tasks + i);

			open += p != C_BLOCKED && p != C_N && !unit_held(e, j, s, r * s->tasks + i);
		}
		CHECK(open <= s->agree); /* more only where one that was held is lost */
	}
}

/* A parked lease holds nothing and waits for nothing but its node. */
static void check_parked(const struct engine *e, const struct lease *l)
{
	CHECK(e->children[l->node].joined && !l->shared);
	CHECK(heap_due(&e->timers, e->limits.jobs_max + lease_index(e, l)) == UINT64_MAX);
	CHECK(lease_away_ns(e, l) || l->is_doomed || l->stopping);
	CHECK(!l->is_doomed || l->doom != DOOM_BACK || !lease_away_ns(e, l));
}

/* What lease l has of its step's tasks is leased; or done, when another had it, too. */
static void check_tasks(const struct engine *e, const struct job *j, const struct lease *l)
{
	const struct step *s = step_at(e, j, l->step);

	for (uint64_t t = l->cursor; t < l->first + l->count; t++) {
		unsigned p = unit_place(e, j, s, l->replica * s->tasks + t);

		CHECK(p == C_LEASED || (p == C_N && l->shared));
	}
}

/* Every leased unit is in a live lease, and in one alone, unless leases share it: then at most one of them is not to stop. */
static void check_shared(const struct engine *e, const struct job *j)
{
	for (uint32_t k = 0; k < j->n_steps; k++) {
		const struct step *s = step_at(e, j, k);

		for (uint64_t u = 0; u < step_units(s); u++) {
			uint32_t have = 0, go_on = 0;
			bool shared = true;

			for (uint32_t i = j->leases.head; i; i = lease_at(e, i)->of_job.next) {
				const struct lease *l = lease_at(e, i);
				uint64_t t = u % s->tasks;

				if (l->parked || l->step != k || l->replica != u / s->tasks ||
				        t < l->cursor || t >= l->first + l->count)
					continue;
				have++;
				go_on += !l->stopping && !l->is_doomed &&
				         !l->halted; /* its node has stopped that one */
				shared = shared && l->shared;
			}
			CHECK(unit_place(e, j, s, u) != C_LEASED || unit_held(e, j, s, u) ||
			        (have > 0 && go_on <= 1));
			CHECK(have <= 1 || shared);
		}
	}
}

/* What it has committed to; whoever waits, waits for somebody. */
static void check_held(const struct engine *e, const struct step *s, const struct lease *l)
{
	uint64_t held = 0;

	for (uint64_t t = l->first; s->replicas > 1 && t < l->cursor; t++)
		held += lease_holds(e, l, t);
	CHECK(held == l->held);
	CHECK(!l->waits || l->cursor == l->first + l->count);
	CHECK(l->waits || (!l->held || l->cursor < l->first + l->count));
	CHECK(!l->revealing || l->waits);
	if (l->waits && !l->revealing && !l->stopping)
		CHECK(l->look < l->first + l->count && lease_holds(e, l, l->look));
}

static void check_leases(const struct engine *e)
{
	uint32_t n = 0, doomed = 0, parked = 0, waits = 0;
	struct sched_totals totals;
	uint64_t last = 0;

	for (uint32_t i = e->all_leases.head; i; i = lease_at(e, i)->all.next, n++) {
		const struct lease *l = lease_at(e, i);
		const struct job *j = job_at(e, l->job);
		const struct step *s = step_at(e, j, l->step);

		CHECK(l->id > last && l->id <= e->last_lease && lease_find(e, l->id) == l);
		last = l->id;
		CHECK(l->first <= l->cursor && l->cursor <= l->first + l->count &&
		        l->first + l->count <= s->tasks);
		CHECK(l->replica < s->replicas);
		check_held(e, s, l);
		doomed += l->is_doomed;
		parked += l->parked;
		waits += l->waits;
		if (l->parked) {
			check_parked(e, l);
			continue;
		}
		CHECK(j->in_sched && !j->finished_ns);
		check_tasks(e, j, l);
		CHECK(heap_due(&e->timers, e->limits.jobs_max + i) == lease_due(e, l));
	}
	CHECK(n == e->leases.n && n == e->all_leases.n && doomed == e->doomed.n);
	sched_totals(e->sched, &totals);
	CHECK(parked == e->n_parked && parked <= PARKED_MAX(e) && totals.leases == n - parked - waits);
}

/* Children's leases, and the parent's. */
static void check_links(const struct engine *e)
{
	uint64_t seen = 0, leases = 0;
	uint32_t n = 0;

	for (uint32_t x = 0; x <= e->limits.nodes_max; x++) {
		const struct child *c = &e->children[x];
		uint64_t last = 0;

		leases += c->leases.n;
		for (uint32_t i = c->leases.head; i; i = lease_at(e, i)->of_node.next) {
			CHECK(lease_at(e, i)->node == x && lease_at(e, i)->id > last);
			last = lease_at(e, i)->id;
			CHECK(!c->joined || !lease_at(e, i)->deadline_ns || lease_at(e, i)->waits);
		}
	}
	CHECK(leases == e->leases.n);
	for (uint32_t i = e->delegated.head; i; i = job_at(e, i)->delegated.next, n++) {
		const struct job *j = job_at(e, i);
		struct delegated_view v;

		CHECK(j->of_lease && j->n_steps == 1 && j->of_parent && j->of_parent <= e->parent.number);
		CHECK(engine_delegated(e, j->of_parent, (lease_id){j->of_lease}, &v) && v.job.v == j->id);
		CHECK(j->prefix <= step_at(e, j, 0)->tasks);
		if (j->of_parent != e->parent.number)
			continue;
		CHECK(j->of_lease > seen && j->of_lease <= e->parent.lease_seen);
		seen = j->of_lease;
	}
	CHECK(n == e->delegated.n);
}

static void check_job(const struct engine *e, const struct job *j)
{
	uint64_t leased = 0, covered = 0;
	uint32_t finished = 0, parked = 0, shared = 0;

	for (uint32_t k = 0; k < j->n_steps; k++) {
		const struct step *s = step_at(e, j, k);

		check_step(e, j, s);
		finished += s->finished;
		for (uint64_t u = 0; u < step_units(s); u++)
			leased += unit_place(e, j, s, u) == C_LEASED;
		CHECK((s->group != 0) == (j->in_sched != 0));
	}
	for (uint32_t i = j->leases.head; i; i = lease_at(e, i)->of_job.next) {
		const struct lease *l = lease_at(e, i);

		covered += l->parked ? 0 : l->first + l->count - l->cursor + l->held;
		parked += l->parked;
		shared += l->shared;
	}
	CHECK(parked == j->n_parked && shared == j->n_shared);
	CHECK(leased == covered || shared); /* with check_leases(): no unit is in two leases */
	if (shared)
		check_shared(e, j);
	CHECK(finished == j->steps_done);
	CHECK((j->finished_ns != 0) == (finished == j->n_steps && j->leases.n == parked));
	CHECK((j->finished_ns == 0) == (j->in_sched != 0));
}

void engine_check(const struct engine *e)
{
	uint64_t last = 0;
	uint32_t n = 0, delays = 0;

	for (uint32_t i = e->all_jobs.head; i; i = job_at(e, i)->all.next, n++) {
		const struct job *j = job_at(e, i);

		CHECK(j->id > last && j->id <= e->last_job && job_find(e, j->id) == j);
		last = j->id;
		delays += j->delays.n;
		check_job(e, j);
	}
	CHECK(n == e->jobs.n && n == e->all_jobs.n && delays == e->delays.n);
	check_leases(e);
	identity_check(e->identity);
	check_links(e);
	sched_check(e->sched);
}

/* ---- digest ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
	return prng_mix(h, v, 0x6f73696572u);
}

static uint64_t mix_bytes(uint64_t h, const void *p, size_t n)
{
	const uint8_t *b = p;
	uint64_t w;

	for (; n >= 8; n -= 8, b += 8) {
		memcpy(&w, b, 8);
		h = (h ^ w) * 0x9e3779b97f4a7c15u;
		h ^= h >> 32;
	}
	w = n;
	memcpy(&w, b, n);
	return mix(h, w);
}

static uint64_t digest_step(const struct engine *e, const struct job *j, const struct step *s, uint64_t h)
{
	uint64_t units = step_units(s);
	struct bitmap ready = step_ready(e, j, s);
	const uint32_t *stamps = unit_stamps(e, j, s);

	h = mix(mix(mix(h, s->queue_timeout_ns), s->run_timeout_ns), s->queue_due_ns);
	h = mix(mix(mix(h, s->ready_since_ns), s->whole_pending), s->finished);
	h = mix(mix(mix(h, s->marked), s->comparing), s->units_ready);
	h = mix_bytes(h, s->c, sizeof(s->c));
	h = mix_bytes(h, unit_states(e, j, s), units);
	h = mix_bytes(h, unit_extras(e, j, s), units);
	h = mix_bytes(h, ready.level[0], (units + 63) / 64 * 8);
	for (uint64_t u = bitmap_next(&ready, 0); stamps && u != UINT64_MAX; u = bitmap_next(&ready, u + 1))
		h = mix(h, stamps[u]);
	if (s->replicas > 1) {
		h = mix_bytes(h, task_states(e, j, s), s->tasks);
		h = mix_bytes(h, step_votes(e, j, s), units * sizeof(struct vote));
	}
	for (uint64_t i = 0; s->reduce_of != NONE && i < s->tasks; i++)
		h = mix(h, unit_place(e, j, s, i % units) == C_BLOCKED ? step_missing(e, j, s)[i] : 0);
	return h;
}

static uint64_t digest_job(const struct engine *e, const struct job *j, uint64_t h)
{
	uint64_t delays = 0;

	h = mix(mix(mix(h, j->id), j->priority), j->concurrency);
	h = mix(mix(mix(h, j->uid), j->gid), j->n_steps);
	h = mix(h, (uint64_t)j->realtime | (uint64_t)j->held << 1 | (uint64_t)j->early << 2 |
	                   (uint64_t)j->keep_going << 3 | (uint64_t)(j->cancelled != 0) << 4 |
	                   (uint64_t)j->timed_out << 5 | (uint64_t)j->failing << 6 |
	                   (uint64_t)j->in_sched << 7 | (uint64_t)(j->cancelled == CANCELLED_PREEMPTED) << 8);
	h = mix(mix(mix(h, j->submitted_ns), j->started_ns), j->finished_ns);
	h = mix(mix(mix(h, j->deadline_ns), j->timeout_ns), j->timeout_from_ns);
	h = mix(mix(mix(h, j->not_before_ns), j->attempts), j->cpu_us);
	h = mix(mix(mix(h, j->of_parent), j->of_lease), j->of_first);
	h = mix(mix(mix(h, j->of_tag | (uint64_t)j->of_commit << 32), j->stop_after_ns), j->prefix);
	h = mix(h, j->adjusted && !j->finished_ns);
	h = mix(h, heap_due(&e->timers, job_index(e, j)));
	h = mix_bytes(h, job_bytes(e, j) + j->name_at, j->spec_at - j->name_at + j->spec_bytes);
	for (uint32_t i = j->delays.head; i; i = delay_at(e, i)->of_job.next) {
		const struct delay *d = delay_at(e, i);

		delays += mix(mix(mix(d->due_ns, d->seq), d->unit), d->step); /* their order says nothing */
	}
	h = mix(h, delays);
	for (uint32_t k = 0; k < j->n_steps; k++)
		h = digest_step(e, j, step_at(e, j, k), h);
	return h;
}

static uint64_t digest_lease(const struct engine *e, const struct lease *l, uint64_t h)
{
	h = mix(mix(mix(h, l->id), job_at(e, l->job)->id), l->step);
	h = mix(mix(mix(h, l->node), l->variant), l->replica);
	h = mix(mix(mix(h, l->first), l->count), l->cursor);
	h = mix(mix(mix(h, l->granted_ns), l->deadline_ns), mix(l->run_ns, l->tag));
	h = mix(h, (uint64_t)l->stopping | (uint64_t)l->reason << 8 | (uint64_t)l->is_doomed << 16 |
	                   (uint64_t)l->doom << 24 | (uint64_t)l->parked << 32 | (uint64_t)l->shared << 33 |
	                   (uint64_t)l->halted << 34);
	h = mix(h, l->held_ns - l->granted_ns);
	if (l->gang)
		h = mix(mix(h, l->gang), l->port);
	if (l->held || l->waits || l->revealing)
		h = mix(mix(mix(h, l->held), l->look),
		        (uint64_t)l->waits | (uint64_t)l->revealing << 1 | (uint64_t)l->impatient << 2);
	return mix_bytes(h, l->devices, l->n_devices * sizeof(l->devices[0]));
}

static uint64_t digest_kept(const struct engine *e, uint32_t block, uint64_t h)
{
	uint32_t len;

	if (!block)
		return h;
	memcpy(&len, blocks_at(&e->blocks, block), sizeof(len));
	return mix_bytes(h, (const uint8_t *)blocks_at(&e->blocks, block) + 4, len);
}

static int digest_identity(void *ctx, const void *p, size_t n)
{
	uint64_t *h = ctx;

	*h = mix_bytes(*h, p, n);
	return 0;
}

static uint64_t digest_child(const struct child *c, uint64_t h)
{
	h = mix(mix(mix(h, c->from_size), c->since_ns), c->link | (uint64_t)c->by_boot << 8);
	return mix_bytes(mix_bytes(h, c->key, sizeof(c->key)), c->journal, sizeof(c->journal));
}

uint64_t engine_digest(const struct engine *e)
{
	uint64_t h = mix(mix(mix(1, e->epoch), e->seed), e->last_job);

	h = mix(mix(h, e->last_lease), e->delay_seq);
	for (uint32_t n = 1; n <= e->limits.nodes_max; n++)
		if (e->trust[n].agreed || e->trust[n].mark || e->trust[n].alone)
			h = mix(mix(mix(mix(h, n), e->trust[n].agreed), e->trust[n].mark), e->trust[n].alone);
	for (uint32_t n = 1; n <= e->limits.nodes_max; n++)
		if (e->children[n].joined)
			h = digest_child(&e->children[n], mix(h, n));
	h = mix(mix(mix(h, e->parent.number), e->parent.since_ns), e->parent.lease_seen);
	h = mix(h, e->parent.lost_ns);
	h = mix_bytes(mix_bytes(h, e->parent.key, 32), e->parent.name, strlen(e->parent.name));
	for (uint32_t n = 1; n <= e->limits.nodes_max; n++)
		h = digest_kept(e, e->nodes[n], h);
	for (uint32_t n = 0; n <= e->limits.nodes_max; n++)
		if (e->quotas[n])
			h = digest_kept(e, e->quotas[n], mix(h, n));
	for (uint32_t n = 0; n < e->n_namespaces; n++)
		h = digest_kept(e, e->namespaces[n], h);
	for (uint32_t i = e->all_jobs.head; i; i = job_at(e, i)->all.next)
		h = digest_job(e, job_at(e, i), h);
	for (uint32_t i = e->all_leases.head; i; i = lease_at(e, i)->all.next)
		h = digest_lease(e, lease_at(e, i), h);
	(void)identity_save(e->identity, digest_identity, &h);
	return mix(h, sched_digest(e->sched));
}
