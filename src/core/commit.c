/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit - replicas commit to an answer before any of them says it; see state.h. Pure.
 *
 * A node that could see what another answered could repeat it without having run anything. So of a verified step a lease tells first,
 * for each task that succeeded, SHA-256("osier commitment" | lease | task | digest of the outputs | nonce), little-endian, the nonce 16
 * random bytes: such a unit is *held*. When all tasks of the lease have a result or are held, the lease gives back what it holds and
 * *waits*. When of each of its held tasks every other replica is held or over, it is asked to reveal: the same tasks once more as
 * results, with their nonces. So one that is slow, or hostile, would hold up the others: they wait as long again as it took them, at least
 * PATIENCE_NS, and then for as many only as must agree. Who is later may have seen what the others say; that matters where they differ.
 * The order of the entries proves that nobody had seen an answer when he committed to his. Failures are
 * told at once: who repeats one earns nothing by it, and one that is tried again must be waited for.
 *
 * What was revealed and is not what was committed to, or was not revealed in REVEAL_NS, is nobody's vote (DISAGREED). When the node is lost
 * its tasks run again, like others: whoever runs them then may have seen what the others said.
 */
#include <string.h>

#include "base/check.h"
#include "base/sha2.h"
#include "core/state.h"
#include "wire/entry.h"

#define REVEAL_NS   (60ull * 1000000000ull)
#define PATIENCE_NS 1000000000ull
#define HELD        (S_LEASED << 4 | 1)

bool unit_held(const struct engine *e, const struct job *j, const struct step *s, uint64_t u)
{
	return unit_states(e, j, s)[u] == HELD;
}

bool lease_holds(const struct engine *e, const struct lease *l, uint64_t task)
{
	const struct job *j = job_at(e, l->job);
	const struct step *s = step_at(e, j, l->step);
	uint64_t u = l->replica * s->tasks + task;

	/* Another has it when it failed here and was tried again. */
	return l->held && unit_held(e, j, s, u) && step_votes(e, j, s)[u].lease == l->id;
}

static void add_number(struct sha2 *h, uint64_t v)
{
	uint8_t b[8];

	for (int i = 0; i < 8; i++)
		b[i] = (uint8_t)(v >> (8 * i));
	sha2_add(h, b, sizeof(b));
}

void commitment(
        uint64_t lease, uint64_t task, const uint8_t digest[32], const uint8_t *nonce, uint8_t out[32])
{
	struct sha2 h;

	sha2_init(&h);
	sha2_add(&h, "osier commitment", 16);
	add_number(&h, lease);
	add_number(&h, task);
	sha2_add(&h, digest, 32);
	sha2_add(&h, nonce, RESULT_NONCE_BYTES);
	sha2_end(&h, out);
}

void engine_commitments(const Wire__Results *r, uint8_t *out)
{
	uint64_t out_at = 0, sha_at = 0;
	uint8_t digest[32];

	CHECK(r->nonces.len == r->count * RESULT_NONCE_BYTES);
	for (uint64_t i = 0; i < r->count; i++) {
		verify_digest(r, i, &out_at, &sha_at, digest);
		commitment(r->lease, r->first + i, digest, r->nonces.data + RESULT_NONCE_BYTES * i,
		        out + 32 * i);
	}
}

static bool lease_commits(const struct engine *e, const struct lease *l)
{
	return step_commits(step_at(e, job_at(e, l->job), l->step));
}

bool engine_commits(const struct engine *e, lease_id id)
{
	const struct lease *l = lease_find(e, id.v);

	return l && lease_commits(e, l);
}

/* ---- who waits for whom ---- */

/* Are enough held or said by now, and have all those that wait done so long enough? */
static bool is_due(const struct engine *e, const struct job *j, const struct step *s, uint64_t task)
{
	uint32_t n = 0;

	for (uint64_t u = task; u < step_units(s); u += s->tasks) {
		const struct lease *l;

		n += unit_states(e, j, s)[u] == (S_DONE << 4 | WIRE__OUTCOME__SUCCEEDED);
		if (!unit_held(e, j, s, u))
			continue;
		l = lease_find(e, step_votes(e, j, s)[u].lease);
		CHECK(l);
		if (!l->impatient && !l->revealing)
			return false;
		n++;
	}
	return n >= s->agree;
}

/* Has everybody who will answer committed to it, or had his time? When the table of leases fills with those that wait, only who runs is
 * waited for, so that the others find a place in it. */
static bool is_ripe(const struct engine *e, const struct job *j, const struct step *s, uint64_t task)
{
	bool crowded = e->leases.n > e->leases.max / 2;

	if (task_states(e, j, s)[task] >> 4 == S_DONE)
		return true;
	for (uint64_t u = task; u < step_units(s); u += s->tasks) {
		unsigned place = unit_place(e, j, s, u);

		if (place == C_LEASED ? unit_held(e, j, s, u)
		                      : crowded || (place != C_READY && place != C_DELAYED))
			continue;
		return is_due(e, j, s, task);
	}
	return true;
}

/* From the task it stands at; what was ripe may have been lost since, so the last look is at all. */
static bool all_ripe(const struct engine *e, const struct job *j, struct lease *l)
{
	const struct step *s = step_at(e, j, l->step);

	for (uint64_t end = l->first + l->count, left = 2 * l->count; left > 0; left--) {
		if (lease_holds(e, l, l->look) && !is_ripe(e, j, s, l->look))
			return false;
		l->look++;
		if (l->look < end)
			continue;
		if (left <= l->count)
			return true;
		left = l->count + 1;
		l->look = l->first;
	}
	return true;
}

static void ask(struct applying *a, struct job *j, struct lease *l)
{
	if (l->revealing || l->stopping || !all_ripe(a->e, j, l))
		return;
	l->revealing = 1;
	l->deadline_ns = add_ns(a->now, REVEAL_NS);
	lease_timer(a->e, l);
	effect(a, &(struct effect){.kind = EFFECT_REVEAL,
	                  .job = {j->id},
	                  .lease = {l->id},
	                  .step = l->step,
	                  .task = l->first});
}

void reveal_look(struct applying *a, struct job *j, struct step *s, uint64_t task)
{
	for (uint64_t u = task; u < step_units(s); u += s->tasks) {
		struct lease *l;

		if (!unit_held(a->e, j, s, u))
			continue;
		l = lease_find(a->e, step_votes(a->e, j, s)[u].lease);
		CHECK(l && l->held);
		if (l->waits && l->look == task)
			ask(a, j, l);
	}
}

/* ---- apply ---- */

void lease_wait(struct applying *a, struct job *j, struct lease *l)
{
	uint64_t took;

	if (!l->held || l->waits || l->cursor < l->first + l->count)
		return;
	l->waits = 1;
	l->look = l->first;
	took = a->now > l->granted_ns ? a->now - l->granted_ns : 0;
	l->deadline_ns = l->stopping ? 0 : add_ns(a->now, took > PATIENCE_NS ? took : PATIENCE_NS);
	lease_timer(a->e, l);
	sched_lease_remove(a->e->sched, l->id, a->now);
	ask(a, j, l);
}

void commit_due(struct applying *a, struct lease *l)
{
	struct job *j = job_at(a->e, l->job);
	struct step *s = step_at(a->e, j, l->step);

	l->impatient = 1;
	l->deadline_ns = 0;
	lease_timer(a->e, l);
	for (uint64_t t = l->first; t < l->cursor; t++)
		reveal_look(a, j, s, t);
}

uint64_t reveal_stop_ns(const struct applying *a, const struct lease *l)
{
	/* Nothing runs there any more that must not run twice: who does not answer is not waited for. */
	return l->revealing && a->e->children[l->node].joined ? add_ns(a->now, REVEAL_NS) : 0;
}

void reveal_boot(struct applying *a)
{
	for (uint32_t i = a->e->all_leases.head; i; i = lease_at(a->e, i)->all.next) {
		struct lease *l = lease_at(a->e, i);

		if (!l->revealing || !l->deadline_ns)
			continue;
		l->deadline_ns = add_ns(a->now, REVEAL_NS);
		lease_timer(a->e, l);
	}
}

/* What was left of its time is left: else one could gain time by staying away. */
void reveal_back(struct lease *l, uint64_t gone_ns, uint64_t now_ns)
{
	uint64_t due = add_ns(l->deadline_ns, gone_ns), most = add_ns(now_ns, REVEAL_NS);

	if (l->revealing && l->deadline_ns)
		l->deadline_ns = due < most ? due : most;
}

void apply_committed(struct applying *a, struct lease *l, const Wire__Results *m)
{
	struct job *j = job_at(a->e, l->job);
	struct step *s = step_at(a->e, j, l->step);
	uint64_t u = l->replica * s->tasks + m->first;

	CHECK(s->replicas > 1 && m->commitments.len == 32 * m->count);
	l->held += m->count;
	for (uint64_t i = 0; i < m->count; i++) {
		struct vote *v = &step_votes(a->e, j, s)[u + i];

		CHECK(unit_states(a->e, j, s)[u + i] == S_LEASED << 4);
		unit_states(a->e, j, s)[u + i] = HELD;
		*v = (struct vote){.lease = l->id, .node = l->node};
		memcpy(v->digest, m->commitments.data + 32 * i, sizeof(v->digest));
	}
	for (uint64_t i = 0; i < m->count; i++)
		verify_refresh(a, j, s, m->first + i);
}

void apply_revealed(struct applying *a, struct lease *l, const Wire__Results *m)
{
	struct job *j = job_at(a->e, l->job);
	struct step *s = step_at(a->e, j, l->step);
	uint64_t u = l->replica * s->tasks + m->first, out_at = 0, sha_at = 0;

	CHECK(l->revealing && m->nonces.len == RESULT_NONCE_BYTES * m->count && l->held >= m->count);
	l->held -= m->count;
	for (uint64_t i = 0; i < m->count; i++) {
		struct vote *v = &step_votes(a->e, j, s)[u + i];
		uint8_t digest[32], sum[32];
		bool kept;

		CHECK(unit_held(a->e, j, s, u + i));
		verify_digest(m, i, &out_at, &sha_at, digest);
		commitment(l->id, m->first + i, digest, m->nonces.data + RESULT_NONCE_BYTES * i, sum);
		kept = memcmp(sum, v->digest, sizeof(sum)) == 0;
		memcpy(v->digest, digest, sizeof(digest));
		if (kept) {
			results_learn(a, s, l, m, i, 1);
			attempt_over(a, j, s, u + i, WIRE__OUTCOME__SUCCEEDED, 0, 0);
		} else {
			units_done(a, j, s, u + i, 1, C_LEASED, WIRE__OUTCOME__DISAGREED);
		}
	}
}

void held_end(struct applying *a, struct lease *l, Wire__StopReason why)
{
	struct job *j = job_at(a->e, l->job);
	struct step *s = step_at(a->e, j, l->step);
	bool lost = why == WIRE__STOP_REASON__NODE_LOST || why == WIRE__STOP_REASON__KEEPER_LOST;

	l->stopping = 1; /* it is not asked any more */
	for (uint64_t t = l->first; l->held > 0 && t < l->cursor; t++) {
		uint64_t u = l->replica * s->tasks + t;
		bool decided = task_states(a->e, j, s)[t] >> 4 == S_DONE;

		if (!lease_holds(a->e, l, t))
			continue;
		l->held--;
		step_votes(a->e, j, s)[u].lease = 0; /* nobody knows what it was */
		memset(step_votes(a->e, j, s)[u].digest, 0, 32);
		if (l->revealing && !lost && !decided && !step_stopped(j, s))
			units_done(a, j, s, u, 1, C_LEASED, WIRE__OUTCOME__DISAGREED);
		else
			attempt_over(a, j, s, u, lost ? WIRE__OUTCOME__LOST : WIRE__OUTCOME__STOPPED, 0, 0);
	}
	CHECK(l->held == 0);
}

/* ---- decide ---- */

static bool refuse_results(struct deciding *d, const struct lease *l, const char *why)
{
	refuse(d, "results", "invalid", "", "lease %llu: %s", (unsigned long long)l->id, why);
	return false;
}

bool committed_ok(struct deciding *d, const struct lease *l, const Wire__Results *r)
{
	uint64_t end = r->first + r->count;

	if (!lease_commits(d->e, l))
		return (!r->commitments.len && !r->nonces.len) ||
		       refuse_results(d, l, "only replicas commit to a result");
	if (!r->nonces.len) {
		for (uint64_t i = 0; !r->commitments.len && i < r->count; i++)
			if (RESULT_COLUMN(r, outcome, i) == WIRE__OUTCOME__SUCCEEDED)
				return refuse_results(
				        d, l, "a replica commits to a success before it is told");
		return true;
	}
	if (!l->revealing)
		return refuse_results(d, l, "nothing is to be revealed now");
	for (uint64_t t = r->first; t < end; t++)
		if (t < l->first || t >= l->cursor || !lease_holds(d->e, l, t))
			return refuse_results(d, l, "what is not committed to cannot be revealed");
	return true;
}

/* ---- looking ---- */

uint64_t engine_held_next(const struct engine *e, lease_id id, uint64_t from)
{
	const struct lease *l = lease_find(e, id.v);
	uint64_t t = l && from < l->first ? l->first : from;

	for (; l && l->held && t < l->cursor; t++)
		if (lease_holds(e, l, t))
			return t;
	return UINT64_MAX;
}

bool engine_reveal_next(const struct engine *e, lease_id after, lease_id *out)
{
	for (uint32_t i = e->all_leases.head; i; i = lease_at(e, i)->all.next) {
		const struct lease *l = lease_at(e, i);

		if (l->id <= after.v || !l->revealing || l->stopping)
			continue;
		out->v = l->id;
		return true;
	}
	return false;
}
