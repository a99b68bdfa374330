/* SPDX-License-Identifier: Apache-2.0 */
/* submit - may this job come in: sense, room, fit, deadline; see engine.h. Pure. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "core/jobspec.h"
#include "core/state.h"
#include "wire/entry.h"

/* Civil date from days since 1970 (Hinnant, "chrono-compatible low-level date algorithms"). */
void time_text(uint64_t ns, char out[32])
{
	uint64_t sec = ns / 1000000000u, of_day = sec % 86400, z = sec / 86400 + 719468;
	uint64_t era = z / 146097, doe = z % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	unsigned day = (unsigned)(doy - (153 * mp + 2) / 5 + 1),
	         month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
	unsigned year = (unsigned)(yoe + era * 400 + (month <= 2));

	(void)snprintf(out, 32, "%04u-%02u-%02uT%02u:%02u:%02uZ", year % 10000, month, day,
	        (unsigned)(of_day / 3600), (unsigned)(of_day / 60 % 60), (unsigned)(of_day % 60));
}

/* What can be said without looking at the state. False: refused. */
static bool sensible(struct deciding *d, const char *what, const Wire__JobSpec *spec, const char *key)
{
	struct err err = {0};
	size_t n = jobspec_size(spec);

	if (n > JOBSPEC_BYTES_MAX)
		refuse(d, what, "too_large", "put long lists into a file and use 'lines'",
		        "the job is described in %zu bytes; at most %u are possible", n, JOBSPEC_BYTES_MAX);
	else if (jobspec_values(spec) > JOBSPEC_VALUES_MAX)
		refuse(d, what, "too_large", "put long lists into a file and use 'lines'",
		        "the job has %zu keys and values once it is written out; at most %u are possible",
		        jobspec_values(spec), JOBSPEC_VALUES_MAX);
	else if (strlen(key) > 256)
		refuse(d, what, "invalid", "", "an idempotency key has at most 256 bytes, not %zu",
		        strlen(key));
	else if (spec_sane(spec, &err) < 0 || jobspec_check(spec, &err) < 0)
		refuse(d, what, "invalid", err.hint, "%s", err.msg);
	else
		return true;
	return false;
}

/* Room for the sets of nodes that its steps ask for. */
static bool places_fit(struct deciding *d, const char *what, const Wire__JobSpec *spec)
{
	const Wire__Place *places[STEPS_PER_JOB_MAX];
	struct err err = {0};

	for (size_t k = 0; k < spec->n_steps; k++)
		places[k] = spec->steps[k]->place;
	if (sched_wish_ok(d->e->sched, places, spec->n_steps, &err) == 0)
		return true;
	refuse(d, what, err_code_name(err.code),
	        err.code == ERR_FULL ? "submit it when other jobs have finished" : err.hint, "%s", err.msg);
	return false;
}

/* A step that no node can take as long as labels stay as they are: it waits, and the answer says so. */
static void no_such_node(const struct deciding *d, const Wire__JobSpec *spec, char *warning, size_t n)
{
	for (size_t k = 0; k < spec->n_steps && warning[0] == '\0'; k++)
		if (spec->steps[k]->place && sched_where_count(d->e->sched, spec->steps[k]->place) == 0)
			(void)snprintf(warning, n,
			        "step '%.60s' waits for a node that meets its 'where': there is none now",
			        spec->steps[k]->name);
}

static bool has_room(struct deciding *d, const char *what, const Wire__JobSpec *spec, const char *key)
{
	const struct engine *e = d->e;
	struct layout l;
	struct err err = {0};
	char guest[96];

	job_layout(spec, key, &l);
	if (e->jobs.n == e->jobs.max)
		refuse(d, what, "full", "forget finished jobs, or keep less history",
		        "the engine holds %u jobs, which is its limit", e->jobs.max);
	else if (spec_opened_bytes(l.spec_bytes) > memory_kept(e))
		refuse(d, what, "too_large",
		        "put long lists into a file and use 'lines', or raise limits.memory in config.yaml",
		        "the job is described in %llu bytes, too many for the memory of this node",
		        (unsigned long long)l.spec_bytes);
	else if (!blocks_fits_keeping(&e->blocks, l.bytes, memory_kept(e)))
		refuse(d, what, "full", "submit it when other jobs are forgotten, or with fewer tasks",
		        "no memory for the job's %llu bytes", (unsigned long long)l.bytes);
	else if (sched_job_ok(e->sched, quota_namespace(spec, spec->namespace_, guest),
	                 (uint32_t)spec->n_steps, &err) < 0)
		refuse(d, what, "full", err.hint[0] ? err.hint : "submit it when other jobs have finished",
		        "%s", err.msg);
	else
		return places_fit(d, what, spec);
	return false;
}

static bool could_fit(struct deciding *d, const char *what, const Wire__JobSpec *spec)
{
	char guest[96];
	struct sched_names seen = {0};
	struct err err = {0};
	char why[200];

	for (size_t k = 0; k < spec->n_steps; k++) {
		const Wire__Step *st = spec->steps[k];

		why[0] = '\0';
		if (sched_could_fit(d->e->sched, quota_namespace(spec, spec->namespace_, guest),
		            (const Wire__Variant *const *)st->variants, st->n_variants, why, sizeof(why)))
			continue;
		refuse(d, what, "too_large", "ask for less, or see 'osier nodes --resources'",
		        "step '%s' can never run: %s", st->name, why);
		return false;
	}
	for (size_t k = 0; k < spec->n_steps; k++) {
		const Wire__Step *st = spec->steps[k];
		uint32_t most = 0;

		if (!st->gang || sched_gang_could_fit(d->e->sched, (const Wire__Variant *const *)st->variants,
		                         st->n_variants, st->gang->size, st->gang->apart != 0, &most))
			continue;
		refuse(d, what, "too_large",
		        "ask for fewer members, or for less for each; 'osier nodes' shows what there is",
		        "step '%s' can never run: its gang has %u members, and there is room for %u%s",
		        st->name, st->gang->size, most, st->gang->apart ? ", each on a node of its own" : "");
		return false;
	}
	for (size_t k = 0; k < spec->n_steps; k++) {
		const Wire__Verify *v = spec->steps[k]->verify;

		if (!v || !v->same[0] || v->replicas < 2 ||
		        sched_label_any(d->e->sched, sched_label_key(v->same)))
			continue;
		refuse(d, what, "too_large",
		        "give nodes the label ('labels' in config.yaml), or leave 'same' out",
		        "step '%s' can never run: no node has the label '%s'", spec->steps[k]->name, v->same);
		return false;
	}
	for (size_t k = 0; k < spec->n_steps; k++) {
		const Wire__Step *st = spec->steps[k];

		if (sched_names_ok(d->e->sched, (const Wire__Variant *const *)st->variants, st->n_variants,
		            &seen, &err) == 0)
			continue;
		refuse(d, what, err_code_name(err.code), err.hint, "step '%s': %s", st->name, err.msg);
		return false;
	}
	return true;
}

bool submission_ok(struct deciding *d, const char *what, const Wire__JobSpec *spec, const char *key)
{
	return sensible(d, what, spec, key) && has_room(d, what, spec, key) && could_fit(d, what, spec);
}

/* When the job would have finished, step after step along what waits for what; 0 when nothing is known, UINT64_MAX when no
 * node that is up can take a step. */
static uint64_t earliest_finish(const struct deciding *d, const Wire__JobSpec *spec, uint64_t deadline_ns)
{
	char guest[96];
	uint64_t finish[STEPS_PER_JOB_MAX], last = 0;
	bool known = false;

	for (size_t k = 0; k < spec->n_steps; k++) {
		const Wire__Step *st = spec->steps[k];
		uint64_t start = spec->not_before_ns > d->now ? spec->not_before_ns : d->now, end;

		for (size_t i = 0; i < k; i++) {
			bool waits = st->reduce && strcmp(st->reduce->of, spec->steps[i]->name) == 0;

			for (size_t a = 0; a < st->n_after && !waits; a++)
				waits = strcmp(st->after[a]->step, spec->steps[i]->name) == 0;
			if (waits && finish[i] > start)
				start = finish[i];
		}
		end = sched_earliest_finish_ns(d->e->sched, start, true, spec->priority, deadline_ns,
		        quota_namespace(spec, spec->namespace_, guest), st->kind,
		        (const Wire__Variant *const *)st->variants, st->n_variants, st->place,
		        st->tasks * (st->verify && st->verify->replicas > 1 ? st->verify->replicas : 1));
		if (end == UINT64_MAX)
			return end;
		known |= end != 0;
		finish[k] = end > start ? end : start;
		last = finish[k] > last ? finish[k] : last;
	}
	return known ? last : 0;
}

/* Can the deadline be kept? False: refused, or *warning says that it cannot. */
static bool admit(struct deciding *d, const Wire__JobSpec *spec, uint64_t deadline_ns, char *warning,
        size_t warning_bytes)
{
	char at[32], due[32];
	uint64_t finish;

	if (!deadline_ns)
		return true;
	time_text(deadline_ns, due);
	if (deadline_ns <= d->now) {
		(void)snprintf(warning, warning_bytes, "the deadline %s has passed", due);
	} else if (spec->class_ == WIRE__JOB_SPEC__CLASS__REALTIME) {
		finish = earliest_finish(d, spec, deadline_ns);
		if (finish <= deadline_ns)
			return true;
		time_text(finish, at);
		if (finish == UINT64_MAX)
			(void)snprintf(warning, warning_bytes,
			        "the deadline %s cannot be met: no node that is up can take the job now",
			        due);
		else
			(void)snprintf(warning, warning_bytes,
			        "the deadline %s cannot be met: the earliest finish is %s, %llu.%03llu s "
			        "from now",
			        due, at, (unsigned long long)((finish - d->now) / 1000000000u),
			        (unsigned long long)((finish - d->now) / 1000000u % 1000));
	} else {
		return true;
	}
	if (spec->deadline_warn)
		return true;
	refuse(d, "submit", "deadline",
	        "give it a later deadline, or 'on_missed: warn' to take it all the same", "%s", warning);
	return false;
}

void decide_submit(struct deciding *d, const Wire__JobSpec *spec, const char *key)
{
	char warning[240] = "";
	Wire__JobSubmitted *m;
	Wire__JobSpec *copy;
	Wire__Entry *en;
	uint64_t deadline = spec->deadline_ns;

	key = key ? key : "";
	if (key[0] && engine_job_by_key(d->e, d->by, key).v)
		return; /* the same job again: engine_job_by_key() answers */
	if (!submission_ok(d, "submit", spec, key))
		return;
	if (spec->deadline_after_ns)
		deadline = add_ns(d->now, spec->deadline_after_ns);
	if (!admit(d, spec, deadline, warning, sizeof(warning)))
		return;
	no_such_node(d, spec, warning, sizeof(warning));
	en = entry_new(d, WIRE__ENTRY__BODY_JOB_SUBMITTED);
	m = entry_alloc(d, sizeof(*m));
	copy = entry_alloc(d, sizeof(*copy));
	if (!en || !m || !copy)
		return;
	*copy = *spec;
	copy->deadline_ns = deadline;
	copy->deadline_after_ns = 0;
	wire__job_submitted__init(m);
	m->job = d->e->last_job + 1;
	m->by = (Wire__Principal *)(uintptr_t)d->by;
	m->spec = copy;
	m->key = (char *)(uintptr_t)key;
	if (warning[0]) {
		m->warning = entry_alloc(d, sizeof(warning));
		if (!m->warning)
			return;
		memcpy(m->warning, warning, sizeof(warning));
	}
	en->job_submitted = m;
}
