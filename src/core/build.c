/* SPDX-License-Identifier: Apache-2.0 */
/* build - from a specification to a job in memory: sense, layout, steps; see state.h. Pure. */
#include <string.h>

#include "base/check.h"
#include "core/grant.h"
#include "core/jobspec.h"
#include "core/sources.h"
#include "core/state.h"
#include "wire/entry.h"

#define DEPS_MAX   65536u
#define EXITS_MAX  256u
#define NAME_SLOTS 4096u

/* Steps by name: open addressing over their numbers plus one. */
struct names {
	uint16_t slot[NAME_SLOTS];
};

static uint64_t text_hash(const char *s, uint64_t h)
{
	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3u;
	return h ^ h >> 29;
}

uint64_t key_hash(const char *key, uint32_t uid)
{
	return text_hash(key, 0xcbf29ce484222325u ^ uid);
}

/* The slot of the name: where it is, or where it would go. */
static uint16_t *name_slot(struct names *t, const Wire__JobSpec *spec, const char *name)
{
	size_t i = text_hash(name, 7) % NAME_SLOTS;

	while (t->slot[i] && strcmp(spec->steps[t->slot[i] - 1]->name, name) != 0)
		i = (i + 1) % NAME_SLOTS;
	return &t->slot[i];
}

static uint32_t replicas_of(const Wire__Step *st)
{
	if (st->gang)
		return st->gang->size;
	return st->verify && st->verify->replicas > 1 ? st->verify->replicas : 1;
}

static uint32_t fan_in_of(const Wire__Reduce *r)
{
	return r->associative ? r->fan_in : 0;
}

static int sane_after(struct names *t, const Wire__JobSpec *spec, uint32_t k, struct err *err)
{
	const Wire__Step *st = spec->steps[k];

	for (size_t i = 0; i < st->n_after; i++) {
		uint32_t of = *name_slot(t, spec, st->after[i]->step);

		if (of == 0)
			return err_set(err, ERR_INVALID,
			        "step '%s' comes after '%s', which is not an earlier step", st->name,
			        st->after[i]->step);
		if (st->after[i]->mode == WIRE__AFTER__MODE__EACH && spec->steps[of - 1]->tasks != st->tasks)
			return err_set(err, ERR_INVALID,
			        "step '%s' comes after each task of '%s', but has %llu tasks instead of %llu",
			        st->name, st->after[i]->step, (unsigned long long)st->tasks,
			        (unsigned long long)spec->steps[of - 1]->tasks);
	}
	if (st->reduce) {
		uint32_t of = *name_slot(t, spec, st->reduce->of);

		if (of == 0)
			return err_set(err, ERR_INVALID,
			        "step '%s' reduces '%s', which is not an earlier step", st->name,
			        st->reduce->of);
		if (fan_in_of(st->reduce) == 1 || (st->reduce->associative && st->reduce->fan_in == 0) ||
		        reduce_tasks(spec->steps[of - 1]->tasks, fan_in_of(st->reduce)) != st->tasks)
			return err_set(err, ERR_INVALID,
			        "the reduction '%s' does not have the tasks that its tree needs", st->name);
	}
	return 0;
}

static int sane_step(struct names *t, const Wire__JobSpec *spec, uint32_t k, struct err *err)
{
	const Wire__Step *st = spec->steps[k];
	uint32_t replicas = replicas_of(st);

	if (st->tasks == 0 || st->tasks > TASKS_PER_STEP_MAX)
		return err_set(err, ERR_INVALID, "step '%s' has %llu tasks; 1 to %u are possible", st->name,
		        (unsigned long long)st->tasks, TASKS_PER_STEP_MAX);
	if (replicas > VOTES_MAX || st->tasks * replicas > UINT32_MAX)
		return err_set(err, ERR_INVALID, "step '%s' has %u replicas; at most %u are possible",
		        st->name, replicas, VOTES_MAX);
	if (st->gang && (st->gang->size < 2 || st->verify || st->reduce || st->member))
		return err_set(err, ERR_INVALID, "step '%s' cannot be a gang", st->name);
	if (replicas > 1 && !st->gang && (st->verify->agree == 0 || st->verify->agree > replicas))
		return err_set(err, ERR_INVALID, "step '%s': %u of %u replicas cannot agree", st->name,
		        st->verify->agree, replicas);
	if (replicas > 1 && !st->gang && st->verify->adaptive && st->verify->agree < 2)
		return err_set(
		        err, ERR_INVALID, "step '%s': an adaptive check needs two that agree", st->name);
	if (st->n_variants == 0 || st->n_variants > VARIANTS_MAX)
		return err_set(err, ERR_INVALID, "step '%s' has %zu variants; 1 to %u are possible", st->name,
		        st->n_variants, VARIANTS_MAX);
	if (st->retry && st->retry->n_exit_codes > EXITS_MAX)
		return err_set(
		        err, ERR_INVALID, "step '%s' lists more than %u exit codes", st->name, EXITS_MAX);
	return sources_ok(st, err) < 0 ? -1 : sane_after(t, spec, k, err);
}

int spec_sane(const Wire__JobSpec *spec, struct err *err)
{
	struct names t = {{0}};
	size_t deps = 0;

	if (spec->n_steps == 0 || spec->n_steps > STEPS_PER_JOB_MAX)
		return err_set(err, ERR_INVALID, "a job has 1 to %u steps, not %zu", STEPS_PER_JOB_MAX,
		        spec->n_steps);
	if (spec->priority > 100)
		return err_set(err, ERR_INVALID, "a priority is 0 to 100, not %u", spec->priority);
	for (uint32_t k = 0; k < spec->n_steps; k++) {
		uint16_t *slot;

		deps += spec->steps[k]->n_after;
		if (deps > DEPS_MAX)
			return err_set(err, ERR_INVALID, "the job has more than %u 'after'", DEPS_MAX);
		if (sane_step(&t, spec, k, err) < 0)
			return -1;
		slot = name_slot(&t, spec, spec->steps[k]->name);
		if (*slot)
			return err_set(
			        err, ERR_INVALID, "two steps have the name '%s'", spec->steps[k]->name);
		*slot = (uint16_t)(k + 1);
	}
	return 0;
}

static uint64_t up16(uint64_t n)
{
	return (n + 15) & ~(uint64_t)15;
}

/* Lay the step's arrays out from `at` on; returns the end. */
static uint64_t step_layout(const Wire__Step *st, uint64_t at, struct step *out)
{
	uint64_t units = st->tasks * replicas_of(st);

	out->units_at = out->tasks_at = at;
	at += up16(units);
	out->extra_at = at;
	at += up16(units);
	out->ready_at = at;
	at += up16(bitmap_bytes(units));
	if (st->queue_timeout_ns) {
		out->stamps_at = at;
		at += up16(units * sizeof(uint32_t));
	}
	if (st->reduce) {
		out->missing_at = at;
		at += up16(st->tasks * sizeof(uint32_t));
	}
	if (replicas_of(st) > 1) {
		out->votes_at = at;
		at += up16(units * sizeof(struct vote));
		out->tasks_at = at;
		at += up16(st->tasks);
	}
	return at;
}

void job_layout(const Wire__JobSpec *spec, const char *key, struct layout *out)
{
	struct step unused;
	uint64_t at, n_uses = 0;

	memset(out, 0, sizeof(*out));
	for (size_t k = 0; k < spec->n_steps; k++) {
		out->n_deps += (uint32_t)spec->steps[k]->n_after;
		out->n_exits += spec->steps[k]->retry ? (uint32_t)spec->steps[k]->retry->n_exit_codes : 0;
		n_uses += spec->steps[k]->n_after + (spec->steps[k]->reduce != NULL);
	}
	out->deps_at = up16(spec->n_steps * sizeof(struct step));
	out->uses_at = out->deps_at + out->n_deps * sizeof(struct dep);
	out->exits_at = out->uses_at + n_uses * sizeof(struct use);
	out->strings_at = out->exits_at + out->n_exits * sizeof(int32_t);
	out->spec_at = out->strings_at + strlen(spec->name) + strlen(spec->namespace_) + strlen(key) + 3;
	out->spec_bytes = jobspec_size(spec);
	out->arrays_at = up16(out->spec_at + out->spec_bytes);
	at = out->arrays_at;
	for (size_t k = 0; k < spec->n_steps; k++)
		at = step_layout(spec->steps[k], at, &unused);
	out->bytes = at;
}

static void build_step(const Wire__JobSpec *spec, const Wire__Step *st, struct step *s)
{
	s->tasks = st->tasks;
	s->replicas = replicas_of(st);
	s->gang = st->gang ? st->gang->size : 0;
	s->apart = st->gang && st->gang->apart;
	s->member = st->member != NULL;
	s->agree = s->replicas > 1 && !s->gang ? st->verify->agree : 1;
	s->comparator = s->replicas > 1 && !s->gang && st->verify->comparator;
	s->adaptive = s->replicas > 1 && !s->gang && st->verify->adaptive;
	s->same = s->replicas > 1 && !s->gang && st->verify->same[0] ? sched_label_key(st->verify->same) : 0;
	s->local = !grant_possible(spec, st) || s->member;
	s->slice_max = (uint32_t)grant_tasks_max(spec, st);
	s->reduce_of = NONE;
	s->n_variants = (uint32_t)st->n_variants;
	s->queue_timeout_ns = st->queue_timeout_ns;
	s->run_timeout_ns = st->run_timeout_ns;
	s->grace_ns = st->grace_ns;
	s->queue_due_ns = UINT64_MAX;
	s->c[C_BLOCKED] = (uint32_t)st->tasks;
	if (st->retry) {
		s->retry_max = st->retry->max;
		s->jitter_percent = st->retry->jitter_percent < 100 ? st->retry->jitter_percent : 100;
		s->backoff_ns = st->retry->backoff_ns;
		s->backoff_max_ns = st->retry->backoff_max_ns;
		s->not_on_node_loss = st->retry->not_on_node_loss != 0;
	}
}

/* Fill in what waits for what, forwards and backwards. */
static void build_graph(const struct engine *e, struct job *j, const Wire__JobSpec *spec)
{
	struct names t = {{0}};
	struct dep *deps = (struct dep *)(void *)(job_bytes(e, j) + j->deps_at);
	struct use *uses = (struct use *)(void *)(job_bytes(e, j) + j->uses_at);
	uint32_t n_deps = 0, n_uses = 0;

	for (uint32_t k = 0; k < spec->n_steps; k++) {
		const Wire__Step *st = spec->steps[k];
		struct step *s = step_at(e, j, k);

		s->deps = n_deps;
		s->n_deps = (uint32_t)st->n_after;
		for (size_t i = 0; i < st->n_after; i++) {
			uint32_t of = *name_slot(&t, spec, st->after[i]->step) - 1u;

			deps[n_deps++] =
			        (struct dep){of, (uint16_t)st->after[i]->mode, (uint16_t)st->after[i]->on};
			step_at(e, j, of)->n_uses++;
			s->handler |=
			        st->after[i]->on != WIRE__AFTER__ON__SUCCESS || step_at(e, j, of)->handler;
		}
		if (st->reduce) {
			s->reduce_of = *name_slot(&t, spec, st->reduce->of) - 1u;
			s->fan_in = fan_in_of(st->reduce);
			step_at(e, j, s->reduce_of)->n_uses++;
			s->handler |= step_at(e, j, s->reduce_of)->handler;
		}
		*name_slot(&t, spec, st->name) = (uint16_t)(k + 1);
	}
	for (uint32_t k = 0; k < j->n_steps; k++) {
		struct step *s = step_at(e, j, k);

		s->uses = n_uses;
		n_uses += s->n_uses;
		s->n_uses = 0;
	}
	for (uint32_t k = 0; k < j->n_steps; k++) {
		struct step *s = step_at(e, j, k), *of;

		for (uint32_t i = 0; i < s->n_deps; i++) {
			const struct dep *d = &deps[s->deps + i];

			of = step_at(e, j, d->step);
			uses[of->uses + of->n_uses++] =
			        (struct use){k, d->mode == WIRE__AFTER__MODE__EACH ? USE_EACH : USE_WHOLE};
		}
		if (s->reduce_of != NONE) {
			of = step_at(e, j, s->reduce_of);
			uses[of->uses + of->n_uses++] = (struct use){k, USE_REDUCE};
		}
	}
}

/* The longest ways to and from each step; the steps are in order. */
static void build_ways(const struct engine *e, const struct job *j)
{
	const struct dep *deps = (const struct dep *)(const void *)(job_bytes(e, j) + j->deps_at);

	for (uint32_t k = 0; k < j->n_steps; k++) {
		struct step *s = step_at(e, j, k);

		for (uint32_t i = 0; i < s->n_deps; i++) {
			uint32_t n = step_at(e, j, deps[s->deps + i].step)->before + 1;

			s->before = n > s->before ? n : s->before;
		}
		if (s->reduce_of != NONE && step_at(e, j, s->reduce_of)->before >= s->before)
			s->before = step_at(e, j, s->reduce_of)->before + 1;
	}
	for (uint32_t k = j->n_steps; k-- > 0;) {
		const struct step *s = step_at(e, j, k);

		for (uint32_t i = 0; i < s->n_deps; i++) {
			struct step *of = step_at(e, j, deps[s->deps + i].step);

			of->behind = s->behind + 1 > of->behind ? s->behind + 1 : of->behind;
		}
		if (s->reduce_of != NONE && step_at(e, j, s->reduce_of)->behind <= s->behind)
			step_at(e, j, s->reduce_of)->behind = s->behind + 1;
	}
}

static uint32_t put_text(uint8_t *block, uint64_t *at, const char *s)
{
	uint64_t from = *at;

	memcpy(block + from, s, strlen(s) + 1);
	*at += strlen(s) + 1;
	return (uint32_t)from;
}

struct job *job_build(struct engine *e, const Wire__JobSubmitted *m, uint64_t now)
{
	const Wire__JobSpec *spec = m->spec;
	struct layout l;
	uint32_t i = pool_take(&e->jobs), n_exits = 0;
	struct job *j;
	uint64_t at;
	int32_t *exits;

	CHECK(i);
	CHECK(spec_sane(spec, NULL) == 0);
	j = job_at(e, i);
	job_layout(spec, m->key, &l);
	j->block = blocks_take(&e->blocks, l.bytes);
	CHECK(j->block);
	j->id = m->job;
	j->n_steps = (uint32_t)spec->n_steps;
	j->deps_at = (uint32_t)l.deps_at;
	j->uses_at = (uint32_t)l.uses_at;
	j->exits_at = (uint32_t)l.exits_at;
	at = l.strings_at;
	j->name_at = put_text(job_bytes(e, j), &at, spec->name);
	j->namespace_at = put_text(job_bytes(e, j), &at, spec->namespace_);
	j->key_at = put_text(job_bytes(e, j), &at, m->key);
	CHECK(at == l.spec_at);
	j->spec_at = (uint32_t)at;
	j->spec_bytes = (uint32_t)jobspec_encode(spec, job_bytes(e, j) + at);
	at = l.arrays_at;
	exits = (int32_t *)(void *)(job_bytes(e, j) + j->exits_at);
	for (uint32_t k = 0; k < j->n_steps; k++) {
		struct step *s = step_at(e, j, k);
		const Wire__Retry *r = spec->steps[k]->retry;

		build_step(spec, spec->steps[k], s);
		at = step_layout(spec->steps[k], at, s);
		s->exits = n_exits;
		s->n_exits = r ? (uint32_t)r->n_exit_codes : 0;
		if (s->n_exits)
			memcpy(exits + n_exits, r->exit_codes, s->n_exits * sizeof(*exits));
		n_exits += s->n_exits;
	}
	CHECK(at == l.bytes);
	build_graph(e, j, spec);
	build_ways(e, j);
	j->priority = spec->priority;
	j->concurrency = spec->concurrency;
	j->realtime = spec->class_ == WIRE__JOB_SPEC__CLASS__REALTIME;
	j->keep_going = spec->keep_going != 0;
	j->held = spec->held != 0;
	j->early = spec->not_before_ns > now;
	j->not_before_ns = spec->not_before_ns;
	j->deadline_ns = spec->deadline_ns;
	j->timeout_ns = spec->timeout_ns;
	j->submitted_ns = j->timeout_from_ns = now;
	j->queue_due_ns = UINT64_MAX;
	j->uid = m->by ? m->by->uid : 0;
	j->gid = m->by ? m->by->gid : 0;
	j->lost_after_ns = spec->disconnect ? spec->disconnect->lost_after_ns : LOST_AFTER_NS;
	j->halt_after_ns = spec->disconnect ? spec->disconnect->stop_after_ns : 0;
	j->replace = spec->disconnect ? (uint8_t)spec->disconnect->replace : 0;
	j->reconcile = spec->disconnect ? (uint8_t)spec->disconnect->reconcile : 0;
	idmap_add(&e->job_ids, j->id, i);
	list_append(&e->jobs, &e->all_jobs, i, offsetof(struct job, all));
	if (m->key[0]) {
		j->key_hash = key_hash(m->key, j->uid);
		idmap_add(&e->job_keys, j->key_hash, i);
	}
	return j;
}

/* Decoded, a specification is at most this large; scan_message() holds its values to a number. */
size_t spec_opened_bytes(size_t n)
{
	return n * 96 + 65536;
}

bool spec_room(const struct engine *e, const struct job *j)
{
	return blocks_fits(&e->blocks, spec_opened_bytes(j->spec_bytes));
}

const Wire__JobSpec *spec_open(struct engine *e, const struct job *j, uint32_t *out_block)
{
	uint32_t block = blocks_take_raw(&e->blocks, spec_opened_bytes(j->spec_bytes));
	const Wire__JobSpec *spec;
	struct arena a;

	if (!block)
		return NULL;
	arena_init(&a, blocks_at(&e->blocks, block), spec_opened_bytes(j->spec_bytes));
	CHECK(jobspec_decode(&a, job_bytes(e, j) + j->spec_at, j->spec_bytes, &spec, NULL) == 0);
	*out_block = block;
	return spec;
}
