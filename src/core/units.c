/* SPDX-License-Identifier: Apache-2.0 */
/* units - moving runs of units from place to place, and what follows: counts, bits, stamps; see state.h. Pure. */
#include <string.h>

#include "base/check.h"
#include "core/state.h"

void effect(struct applying *a, const struct effect *f)
{
	if (!a->out)
		return;
	CHECK(a->out->n < a->out->max);
	a->out->v[a->out->n++] = *f;
}

unsigned outcome_count(Wire__Outcome o)
{
	if (o == WIRE__OUTCOME__SUCCEEDED)
		return C_SUCCEEDED;
	if (o == WIRE__OUTCOME__SKIPPED)
		return C_SKIPPED;
	return o == WIRE__OUTCOME__STOPPED ? C_STOPPED : C_FAILED;
}

unsigned unit_place(const struct engine *e, const struct job *j, const struct step *s, uint64_t u)
{
	static const unsigned place[] = {
	        [S_WAIT] = C_BLOCKED, [S_LEASED] = C_LEASED, [S_DELAYED] = C_DELAYED, [S_DONE] = C_N};
	unsigned state = unit_states(e, j, s)[u] >> 4;
	struct bitmap ready;

	CHECK(state <= S_DONE);
	if (state != S_WAIT)
		return place[state];
	ready = step_ready(e, j, s);
	return bitmap_test(&ready, u) ? C_READY : C_BLOCKED;
}

uint64_t unit_run(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t u, uint64_t most)
{
	const uint8_t *st = unit_states(e, j, s) + u;
	struct bitmap ready = step_ready(e, j, s);
	uint64_t n = 1, next, word = 0;

	CHECK(most > 0 && u < step_units(s) && most <= step_units(s) - u);
	if (st[0] >> 4 == S_WAIT) { /* first by the bits: they are fewer */
		next = bitmap_test(&ready, u) ? u + bitmap_run(&ready, u, most) : bitmap_next(&ready, u);
		if (next - u < most)
			most = next - u;
	}
	memset(&word, st[0], sizeof(word));
	while (n + 8 <= most) {
		uint64_t w;

		memcpy(&w, st + n, sizeof(w));
		if (w != word)
			break;
		n += 8;
	}
	while (n < most && st[n] == st[0])
		n++;
	return n;
}

void step_offer(struct engine *e, const struct job *j, const struct step *s)
{
	if (j->in_sched)
		sched_group_ready(e->sched, s->group, job_gated(j) ? 0 : s->units_ready, s->ready_since_ns);
}

static uint32_t stamp_of(const struct job *j, uint64_t now)
{
	uint64_t ms = now > j->submitted_ns ? (now - j->submitted_ns + 999999) / 1000000 : 0;

	return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

/* Ready units [u, u+n) begin to wait now. */
static void stamp(struct applying *a, struct job *j, struct step *s, uint64_t u, uint64_t n)
{
	uint32_t *stamps = unit_stamps(a->e, j, s), v = stamp_of(j, a->now);
	uint64_t due;

	for (uint64_t i = 0; stamps && i < n; i++)
		stamps[u + i] = v;
	if (!stamps || job_gated(j) || !s->queue_timeout_ns)
		return;
	due = add_ns(j->submitted_ns + v * 1000000ull, s->queue_timeout_ns);
	if (due < s->queue_due_ns) {
		s->queue_due_ns = due;
		job_timer(a->e, j);
	}
}

static void marks_leave(struct engine *e, const struct job *j, struct step *s, uint64_t u, uint64_t n)
{
	const uint8_t *st = unit_states(e, j, s) + u;

	for (uint64_t i = 0; s->marked && i < n; i++)
		s->marked -= (st[i] & 15) != 0;
}

/* Take the units out of where they are. */
static void leave(
        struct engine *e, const struct job *j, struct step *s, uint64_t u, uint64_t n, unsigned from)
{
	struct bitmap ready = step_ready(e, j, s);

	if (from == C_READY || from == C_DELAYED)
		marks_leave(e, j, s, u, n);
	if (from == C_READY) {
		CHECK(s->units_ready >= n);
		bitmap_clear(&ready, u, n);
		s->units_ready -= (uint32_t)n;
	}
	if (s->replicas == 1) {
		CHECK(s->c[from] >= n);
		s->c[from] -= (uint32_t)n;
	}
}

static void refresh(struct applying *a, struct job *j, struct step *s, uint64_t u, uint64_t n)
{
	for (uint64_t i = 0; s->replicas > 1 && i < n; i++)
		verify_refresh(a, j, s, (u + i) % s->tasks);
}

void units_move(struct applying *a, struct job *j, struct step *s, uint64_t u, uint64_t n, unsigned from,
        unsigned to, unsigned mark)
{
	static const uint8_t state[] = {[C_BLOCKED] = S_WAIT << 4,
	        [C_READY] = S_WAIT << 4,
	        [C_DELAYED] = S_DELAYED << 4,
	        [C_LEASED] = S_LEASED << 4};
	struct bitmap ready = step_ready(a->e, j, s);

	CHECK(from <= C_LEASED && to <= C_LEASED && from != to && n > 0);
	CHECK(mark < 16);
	leave(a->e, j, s, u, n, from);
	if (state[to] != state[from] || mark || from != C_BLOCKED)
		memset(unit_states(a->e, j, s) + u, (int)(state[to] | mark), n);
	if (mark)
		s->marked += (uint32_t)n;
	if (to == C_READY) {
		bitmap_set(&ready, u, n);
		if (s->units_ready == 0)
			s->ready_since_ns = a->now;
		s->units_ready += (uint32_t)n;
		stamp(a, j, s, u, n);
	}
	if (s->replicas == 1)
		s->c[to] += (uint32_t)n;
	refresh(a, j, s, u, n);
	if (from == C_READY || to == C_READY)
		step_offer(a->e, j, s);
}

void units_done(struct applying *a, struct job *j, struct step *s, uint64_t u, uint64_t n, unsigned from,
        Wire__Outcome o)
{
	CHECK(from <= C_LEASED && n > 0);
	leave(a->e, j, s, u, n, from);
	for (uint64_t i = 0; s->group != 0 && i < n && sched_avoiding(a->e->sched, s->group); i++)
		sched_settled(a->e->sched, s->group, u + i);
	memset(unit_states(a->e, j, s) + u, S_DONE << 4 | (int)o, n);
	if (from == C_READY)
		step_offer(a->e, j, s);
	if (s->replicas > 1) {
		refresh(a, j, s, u, n);
		return;
	}
	s->c[outcome_count(o)] += (uint32_t)n;
	tasks_done(a, j, s, u, n, o);
}

/* ---- queue timeouts ---- */

/* When ready unit u times out; UINT64_MAX if it has run before, which is enough. */
static uint64_t unit_due(const struct engine *e, const struct job *j, const struct step *s, uint64_t u)
{
	if (unit_extras(e, j, s)[u])
		return UINT64_MAX;
	return add_ns(j->submitted_ns + unit_stamps(e, j, s)[u] * 1000000ull, s->queue_timeout_ns);
}

uint64_t step_queue_due(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t not_before_ns)
{
	struct bitmap ready = step_ready(e, j, s);
	uint64_t due = UINT64_MAX;

	if (!s->queue_timeout_ns || job_gated(j))
		return UINT64_MAX;
	for (uint64_t u = bitmap_next(&ready, 0); u != UINT64_MAX; u = bitmap_next(&ready, u + 1)) {
		uint64_t d = unit_due(e, j, s, u);

		due = d < due ? d : due;
	}
	return due != UINT64_MAX && due < not_before_ns ? not_before_ns : due;
}

uint64_t step_queue_expired(const struct engine *e, const struct job *j, const struct step *s,
        uint64_t now_ns, uint64_t *out_first)
{
	struct bitmap ready = step_ready(e, j, s);
	uint64_t first = UINT64_MAX, last = 0;

	for (uint64_t u = bitmap_next(&ready, 0); u != UINT64_MAX; u = bitmap_next(&ready, u + 1)) {
		uint64_t task = u % s->tasks;

		if (unit_due(e, j, s, u) > now_ns)
			continue;
		first = task < first ? task : first;
		last = task > last ? task : last;
	}
	*out_first = first == UINT64_MAX ? 0 : first;
	return first == UINT64_MAX ? 0 : last - first + 1;
}

void step_restamp(struct applying *a, struct job *j, struct step *s)
{
	struct bitmap ready = step_ready(a->e, j, s);

	s->queue_due_ns = UINT64_MAX;
	for (uint64_t u = bitmap_next(&ready, 0), n; u != UINT64_MAX; u = bitmap_next(&ready, u + n)) {
		n = bitmap_run(&ready, u, step_units(s));
		stamp(a, j, s, u, n);
	}
}

void step_stamps_make(struct applying *a, struct job *j, struct step *s)
{
	if (unit_stamps(a->e, j, s))
		return;
	s->stamp_block = blocks_take(&a->e->blocks, step_units(s) * sizeof(uint32_t));
	CHECK(s->stamp_block);
	step_restamp(a, j, s);
}
