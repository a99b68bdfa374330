/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gang - tasks of several members that run at one time, all or none; see state.h and gang.h. Pure.
 *
 * Of a task's units, one for each member, that of rank 0 speaks for all while they wait: it alone is ready or delayed, the others are
 * blocked. All members are granted in one decision. The first that ends otherwise than well breaks the gang: its outcome is the gang's,
 * and the others are stopped. When none of them runs any more the task is done, or all its members begin anew; so an attempt at a
 * gang is one attempt, and no member of one ever meets a member of the next. A gang succeeds when all its members have.
 *
 * Of a vote are used: lease and node of the member; class_ 1: it broke the gang; tried 1: and that is worth a retry.
 */
#include "core/gang.h"

#include <string.h>

#include "base/check.h"
#include "base/sha2.h"
#include "core/state.h"

static struct vote *member_at(
        const struct engine *e, const struct job *j, const struct step *s, uint64_t task, uint32_t rank)
{
	return &step_votes(e, j, s)[rank * s->tasks + task];
}

/* The rank that broke it; NONE: it is whole. */
static uint32_t breaker(const struct engine *e, const struct job *j, const struct step *s, uint64_t task)
{
	for (uint32_t r = 0; r < s->gang; r++)
		if (member_at(e, j, s, task, r)->class_)
			return r;
	return NONE;
}

bool gang_broken(const struct engine *e, const struct job *j, const struct step *s, uint64_t task)
{
	return breaker(e, j, s, task) != NONE;
}

/* ---- apply ---- */

void gang_stop(
        struct applying *a, const struct job *j, const struct step *s, uint64_t task, Wire__StopReason why)
{
	for (uint32_t r = 0; r < s->gang; r++) {
		struct lease *l = lease_find(a->e, member_at(a->e, j, s, task, r)->lease);

		if (l && unit_place(a->e, j, s, r * s->tasks + task) == C_LEASED)
			lease_doom(a->e, l, why);
	}
}

void gang_over(struct applying *a, struct job *j, struct step *s, uint64_t u, Wire__Outcome o, bool retry)
{
	uint64_t task = u % s->tasks;

	if (o != WIRE__OUTCOME__SUCCEEDED && !gang_broken(a->e, j, s, task)) {
		struct vote *v = &step_votes(a->e, j, s)[u];

		v->class_ = 1;
		v->tried = retry;
	}
	units_done(a, j, s, u, 1, C_LEASED, o);
}

static void set_state(struct engine *e, struct job *j, struct step *s, uint64_t task, unsigned state)
{
	static const unsigned place[] = {C_BLOCKED, C_LEASED, C_DELAYED, C_N, C_READY};
	uint8_t *byte = task_states(e, j, s) + task;

	s->c[place[*byte >> 4]]--;
	*byte = (uint8_t)(state << 4);
	s->c[place[state]]++;
}

/* All members wait again, for so long. */
static void begin_anew(struct applying *a, struct job *j, struct step *s, uint64_t task, uint64_t wait_ns)
{
	for (uint32_t r = 0; r < s->gang; r++) {
		unit_states(a->e, j, s)[r * s->tasks + task] = 0;
		*member_at(a->e, j, s, task, r) = (struct vote){0};
	}
	if (wait_ns == 0 || a->e->delays.n == a->e->delays.max) {
		units_move(a, j, s, task, 1, C_BLOCKED, C_READY, 0);
		return;
	}
	delay_add(a->e, j, (uint32_t)(s - step_at(a->e, j, 0)), task, add_ns(a->now, wait_ns),
	        ++a->e->delay_seq);
	units_move(a, j, s, task, 1, C_BLOCKED, C_DELAYED, 0);
}

/* No member runs any more, and the first of them at least is over. */
static void decide_task(struct applying *a, struct job *j, struct step *s, uint64_t task)
{
	uint32_t by = breaker(a->e, j, s, task), well = 0;
	const uint8_t *units = unit_states(a->e, j, s);
	Wire__Outcome o = (Wire__Outcome)(units[task] & 15);
	bool lost;

	for (uint32_t r = 0; r < s->gang; r++)
		well += units[r * s->tasks + task] == (S_DONE << 4 | WIRE__OUTCOME__SUCCEEDED);
	if (by == NONE && (well == s->gang || o != WIRE__OUTCOME__SUCCEEDED)) {
		task_commit(a, j, s, task, o); /* it did not run at all, or it ran well */
		return;
	}
	o = by == NONE ? WIRE__OUTCOME__LOST : (Wire__Outcome)(units[by * s->tasks + task] & 15);
	lost = o == WIRE__OUTCOME__STOPPED || o == WIRE__OUTCOME__LOST;
	if (step_stopped(j, s)) {
		task_commit(a, j, s, task, lost ? WIRE__OUTCOME__STOPPED : o);
	} else if (lost && (o == WIRE__OUTCOME__STOPPED || !s->not_on_node_loss)) {
		begin_anew(a, j, s, task, 0);
	} else if (!lost && member_at(a->e, j, s, task, by)->tried && unit_extras(a->e, j, s)[task] < 255 &&
	           unit_extras(a->e, j, s)[task] < s->retry_max) {
		unsigned nth = ++unit_extras(a->e, j, s)[task];

		begin_anew(a, j, s, task, attempt_backoff(a->e, j, s, task, nth));
	} else {
		task_commit(a, j, s, task, o);
	}
}

void gang_refresh(struct applying *a, struct job *j, struct step *s, uint64_t task)
{
	static const unsigned state[] = {
	        [C_BLOCKED] = S_WAIT, [C_READY] = S_READY, [C_DELAYED] = S_DELAYED, [C_LEASED] = S_LEASED};
	unsigned first = unit_place(a->e, j, s, task);
	bool runs = false;

	if (task_states(a->e, j, s)[task] >> 4 == S_DONE)
		return;
	for (uint32_t r = 0; r < s->gang && !runs; r++)
		runs = unit_place(a->e, j, s, r * s->tasks + task) == C_LEASED;
	if (!runs && first == C_N) {
		decide_task(a, j, s, task);
		return;
	}
	set_state(a->e, j, s, task, runs ? S_LEASED : state[first]);
	if (runs && gang_broken(a->e, j, s, task))
		gang_stop(a, j, s, task, WIRE__STOP_REASON__GANG);
}

void gang_boot(struct applying *a)
{
	for (uint32_t i = a->e->all_leases.head; i; i = lease_at(a->e, i)->all.next) {
		const struct lease *l = lease_at(a->e, i);
		const struct job *j = job_at(a->e, l->job);
		const struct step *s = step_at(a->e, j, l->step);

		for (uint32_t r = 1; l->gang && l->cursor == l->first && r < s->gang; r++)
			if (unit_place(a->e, j, s, r * s->tasks + l->first) == C_BLOCKED)
				gang_stop(a, j, s, l->first, WIRE__STOP_REASON__GANG);
	}
}

void gang_check(const struct engine *e, const struct job *j, const struct step *s, uint64_t task)
{
	unsigned first = unit_place(e, j, s, task);

	for (uint32_t r = 1; r < s->gang; r++) {
		unsigned p = unit_place(e, j, s, r * s->tasks + task);

		CHECK(p == C_BLOCKED || p == C_LEASED || p == C_N);
		CHECK(p == C_BLOCKED || first == C_LEASED || first == C_N);
	}
}

/* ---- where a node is reached ---- */

#define PORTS_LOOK 1024u

/* As its NodeSet says: a few fields of a message that may be long, so it is not unpacked for them. */
struct reach {
	const uint8_t *address;
	size_t n;
	uint32_t port_first, port_count;
};

static uint64_t varint(const uint8_t **p, const uint8_t *end)
{
	uint64_t v = 0;

	for (unsigned shift = 0; *p < end && shift < 64; shift += 7) {
		uint8_t b = *(*p)++;

		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			break;
	}
	return v;
}

static struct reach reach_of(const struct engine *e, uint32_t node)
{
	enum { ADDRESS = 20, PORT_FIRST = 21, PORT_COUNT = 22, NUMBER = 0, BYTES = 2 };
	struct reach r = {0};
	const uint8_t *p = NULL, *end;
	size_t n = 0;

	if (!engine_node(e, node, &p, &n))
		n = 0;
	for (end = p + n; p < end;) {
		uint64_t tag = varint(&p, end), v = varint(&p, end);

		CHECK((tag & 7) == NUMBER || ((tag & 7) == BYTES && v <= (uint64_t)(end - p)));
		if (tag == (ADDRESS << 3 | BYTES)) {
			r.address = p;
			r.n = (size_t)v;
		}
		if (tag == (PORT_FIRST << 3 | NUMBER))
			r.port_first = (uint32_t)v;
		if (tag == (PORT_COUNT << 3 | NUMBER))
			r.port_count = (uint32_t)v;
		p += (tag & 7) == BYTES ? v : 0;
	}
	if (r.port_count == 0 || r.port_first == 0 || r.port_first + (uint64_t)r.port_count > 65536) {
		r.port_first = GANG_PORT_FIRST;
		r.port_count = GANG_PORT_COUNT;
	}
	r.port_count = r.port_count < PORTS_LOOK ? r.port_count : PORTS_LOOK;
	return r;
}

/* ---- decide ---- */

/* A port on rank 0's node that no other gang has there. When all are taken, one is shared: who comes too late to it fails, and is tried
 * again. */
static uint32_t port_for(struct deciding *d, uint32_t node, uint64_t lease)
{
	const struct engine *e = d->e;
	struct reach known = reach_of(e, node);
	uint32_t first = known.port_first, count = known.port_count;
	uint64_t taken[PORTS_LOOK / 64] = {0};

	for (uint32_t i = e->children[node].leases.head; i; i = lease_at(e, i)->of_node.next) {
		uint32_t at = lease_at(e, i)->port - first; /* wraps below it */

		if (lease_at(e, i)->port && lease_at(e, i)->replica == 0 && at < count)
			taken[at / 64] |= 1ull << at % 64;
	}
	/* Not always the same: what else listens there would fail it for ever. */
	for (uint32_t k = 0; k < count; k++) {
		uint32_t at = (uint32_t)((lease + k) % count);

		if (!(taken[at / 64] >> at % 64 & 1))
			return first + at;
	}
	return first + (uint32_t)(lease % count);
}

static bool grant(
        struct deciding *d, const struct sched_placement *p, uint64_t task, uint32_t rank, uint32_t port)
{
	const struct engine *e = d->e;
	const struct job *j = job_at(e, e->groups[p->group].job);
	const struct step *s = step_at(e, j, e->groups[p->group].step);
	Wire__Entry *en = entry_new(d, WIRE__ENTRY__BODY_LEASE_GRANTED);
	Wire__LeaseGranted *m = entry_alloc(d, sizeof(*m));

	if (!en || !m)
		return false;
	wire__lease_granted__init(m);
	m->lease = e->last_lease + 1 + rank;
	m->gang = e->last_lease + 1;
	m->port = port;
	m->job = j->id;
	m->step = e->groups[p->group].step;
	m->replica = rank;
	m->first = task;
	m->count = 1;
	m->node = p->node;
	m->variant = p->variant;
	m->n_devices = p->n_devices;
	m->devices = entry_alloc(d, (p->n_devices + 1) * sizeof(m->devices[0]));
	if (!m->devices)
		return false;
	memcpy(m->devices, p->devices, p->n_devices * sizeof(m->devices[0]));
	m->run_ns = p->run_ns;
	m->deadline_ns = child_joined_is(e, p->node) ? 0 : lease_deadline(s, d->now, 1);
	en->lease_granted = m;
	return true;
}

void gang_place(struct deciding *d, struct sched_placement *p)
{
	const struct engine *e = d->e;
	const struct job *j = job_at(e, e->groups[p->group].job);
	const struct step *s = step_at(e, j, e->groups[p->group].step);
	struct bitmap ready = step_ready(e, j, s);
	uint64_t task = bitmap_next(&ready, 0);
	uint32_t port;

	CHECK(task < s->tasks && p->gang == s->gang && !job_gated(j));
	if (e->leases.max - e->leases.n < p->gang)
		return; /* when others have ended */
	port = port_for(d, p->nodes[0], e->last_lease + 1);
	for (uint32_t r = 0; r < p->gang; r++) {
		sched_gang_devices(e->sched, p, r);
		if (!grant(d, p, task, r, port))
			return;
	}
}

/* ---- looking ---- */

bool gang_address_ok(const char *address)
{
	static const char more[] = ".:_-";
	size_t n = strlen(address);

	for (size_t i = 0; i < n; i++) {
		char c = address[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		        !strchr(more, c))
			return false;
	}
	return n > 0 && n <= GANG_ADDRESS_MAX;
}

/* Who knows one gang's learns nothing of another's. */
static char *secret_text(const Wire__Step *st, const struct lease_view *l, struct arena *a)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t digest[32], number[16];
	char *text = arena_calloc(a, 33, 1);
	struct sha2 h;

	if (!text || st->gang->secret.len == 0)
		return text;
	for (int i = 0; i < 8; i++) {
		number[i] = (uint8_t)(l->job.v >> (8 * i));
		number[8 + i] = (uint8_t)(l->gang >> (8 * i));
	}
	sha2_init(&h);
	sha2_add(&h, "osier gang", 10);
	sha2_add(&h, st->gang->secret.data, st->gang->secret.len);
	sha2_add(&h, number, sizeof(number));
	sha2_end(&h, digest);
	for (int i = 0; i < 16; i++) {
		text[2 * i] = hex[digest[i] >> 4];
		text[2 * i + 1] = hex[digest[i] & 15];
	}
	return text;
}

const Wire__Member *gang_member(
        const struct engine *e, const struct lease_view *l, const Wire__Step *st, struct arena *a)
{
	const struct job *j = job_find(e, l->job.v);
	Wire__Member *m;

	if (st->member || !st->gang || !j)
		return st->member;
	m = arena_alloc(a, sizeof(*m));
	if (!m)
		return NULL;
	wire__member__init(m);
	m->rank = (uint32_t)l->replica;
	m->size = st->gang->size;
	m->gang = l->gang;
	m->port = l->port;
	m->secret = secret_text(st, l, a);
	m->hosts = arena_calloc(a, m->size, sizeof(*m->hosts));
	if (!m->hosts || !m->secret)
		return NULL;
	for (; m->n_hosts < m->size; m->n_hosts++) {
		const struct step *s = step_at(e, j, l->step);
		struct reach at = reach_of(e, member_at(e, j, s, l->first, (uint32_t)m->n_hosts)->node);
		char *host = at.n ? arena_calloc(a, at.n + 1, 1) : NULL;

		if (at.n && !host)
			return NULL;
		if (at.n)
			memcpy(host, at.address, at.n);
		m->hosts[m->n_hosts] = host && gang_address_ok(host) ? host : (char *)(uintptr_t) "127.0.0.1";
	}
	return m;
}

lease_id engine_gang_result(const struct engine *e, job_id job, uint32_t step, uint64_t task)
{
	const struct job *j = job_find(e, job.v);
	const struct step *s = j && step < j->n_steps ? step_at(e, j, step) : NULL;
	uint32_t by;

	if (!s || !s->gang || task >= s->tasks)
		return (lease_id){0};
	by = breaker(e, j, s, task);
	return (lease_id){member_at(e, j, s, task, by == NONE ? 0 : by)->lease};
}
