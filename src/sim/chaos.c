/* SPDX-License-Identifier: Apache-2.0 */
/* chaos - a random day in a machine room: random jobs, random wishes of users, random faults; see sim.h. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/jobspec.h"
#include "sim/sim.h"

struct spec {
	Wire__JobSpec job;
	Wire__Step steps[6], *psteps[6];
	Wire__Variant variants[6][2], *pvariants[6][2];
	Wire__Need needs[6][2][3], *pneeds[6][2][3];
	Wire__After after[6], *pafter[6];
	Wire__Retry retry[6];
	Wire__Verify verify[6];
	Wire__Gang gang[6];
	Wire__Reduce reduce[6];
	Wire__Worker worker[6];
	Wire__Command command;
	Wire__Disconnect disconnect;
	Wire__Param params[6], *pparams[6];
	char names[6][8];
	Wire__Place place[6];
	Wire__Match where[6], *pwhere[6], want[6], *pwant[6];
	Wire__Prefer prefer[6], *pprefer[6];
	char *values[6][2];
	Wire__Input inputs[6], *pinputs[6];
	uint8_t digests[6][32];
};

static uint64_t pick(struct prng *p, uint64_t n)
{
	return prng_below(p, n);
}

static void needs(struct spec *s, uint32_t i, uint32_t v, struct prng *p)
{
	static char cpu[] = "cpu", memory[] = "memory", gpu[] = "gpu";
	size_t n = 0;

	s->variants[i][v] = (Wire__Variant)WIRE__VARIANT__INIT;
	for (int k = 0; k < 3; k++) {
		uint64_t amount = k == 0   ? 250 * (1 + pick(p, 12))
		                  : k == 1 ? (pick(p, 3) ? 0 : (1 + pick(p, 4)) << 30)
		                           : (pick(p, 6) ? 0 : 500 * (1 + pick(p, 2) * 3));

		if (!amount)
			continue;
		s->needs[i][v][n] = (Wire__Need)WIRE__NEED__INIT;
		s->needs[i][v][n].name = k == 0 ? cpu : k == 1 ? memory : gpu;
		s->needs[i][v][n].amount = amount;
		s->pneeds[i][v][n] = &s->needs[i][v][n];
		n++;
	}
	s->variants[i][v].needs = s->pneeds[i][v];
	s->variants[i][v].n_needs = n;
	s->pvariants[i][v] = &s->variants[i][v];
}

static void range(struct spec *s, uint32_t i, uint64_t n)
{
	s->params[i] = (Wire__Param)WIRE__PARAM__INIT;
	s->params[i].name = (char *)(uintptr_t) "i";
	s->params[i].last = (int64_t)n - 1;
	s->params[i].stride = 1;
	s->params[i].count = n;
	s->pparams[i] = &s->params[i];
	s->steps[i].params = &s->pparams[i];
	s->steps[i].n_params = 1;
	s->steps[i].tasks = n;
}

static void depend(struct spec *s, uint32_t i, struct prng *p)
{
	Wire__Step *st = &s->steps[i];
	uint32_t of = (uint32_t)pick(p, i);

	if (pick(p, 3) == 0) { /* a reduce */
		s->reduce[i] = (Wire__Reduce)WIRE__REDUCE__INIT;
		s->reduce[i].of = s->names[of];
		s->reduce[i].associative = pick(p, 3) != 0;
		s->reduce[i].fan_in = s->reduce[i].associative ? 2 + (uint32_t)pick(p, 5) : 0;
		st->reduce = &s->reduce[i];
		st->params = NULL;
		st->n_params = 0;
		st->tasks =
		        s->reduce[i].associative ? reduce_tasks(s->steps[of].tasks, s->reduce[i].fan_in) : 1;
		st->verify = NULL;
		return;
	}
	s->after[i] = (Wire__After)WIRE__AFTER__INIT;
	s->after[i].step = s->names[of];
	s->after[i].on = (Wire__After__On)pick(p, 3);
	if (pick(p, 2)) {
		s->after[i].mode = WIRE__AFTER__MODE__EACH;
		range(s, i, s->steps[of].tasks);
	}
	s->pafter[i] = &s->after[i];
	st->after = &s->pafter[i];
	st->n_after = 1;
}

/* A third of the steps take in one of a few files. */
static void input(struct spec *s, uint32_t i)
{
	Wire__Step *st = &s->steps[i];
	const uint64_t which = st->tasks / 3 % 16;

	if (st->tasks % 3 != 0)
		return;
	memset(s->digests[i], (int)which + 1, sizeof(s->digests[i]));
	s->inputs[i] = (Wire__Input)WIRE__INPUT__INIT;
	s->inputs[i].path = (char *)(uintptr_t) "data";
	s->inputs[i].blob = (ProtobufCBinaryData){sizeof(s->digests[i]), s->digests[i]};
	s->inputs[i].size_bytes = (which + 1) << 20;
	s->pinputs[i] = &s->inputs[i];
	st->inputs = &s->pinputs[i];
	st->n_inputs = 1;
}

static void step(struct spec *s, uint32_t i, struct prng *p)
{
	Wire__Step *st = &s->steps[i];

	*st = (Wire__Step)WIRE__STEP__INIT;
	(void)snprintf(s->names[i], sizeof(s->names[i]), "s%u", i);
	st->name = s->names[i];
	st->command = &s->command;
	st->n_variants = 1 + pick(p, 2);
	for (uint32_t v = 0; v < st->n_variants; v++)
		needs(s, i, v, p);
	st->variants = s->pvariants[i];
	range(s, i, pick(p, 4) ? 1 + pick(p, 12) : 1 + pick(p, pick(p, 30) ? 80 : 600));
	st->kind = s->names[i]; /* run times are learned across jobs */
	st->grace_ns = 5 * SIM_S;
	st->pids_max = 100;
	st->output_bytes_max = 1 << 20;
	if (pick(p, 2)) {
		s->worker[i] = (Wire__Worker)WIRE__WORKER__INIT;
		s->worker[i].function = (char *)(uintptr_t) "f";
		st->worker = &s->worker[i];
	}
	s->retry[i] = (Wire__Retry)WIRE__RETRY__INIT;
	st->retry = &s->retry[i];
	if (pick(p, 2)) {
		s->retry[i].max = (uint32_t)pick(p, 4);
		s->retry[i].backoff_ns = 1 + pick(p, 2 * SIM_S);
		s->retry[i].backoff_max_ns = 10 * SIM_S;
		s->retry[i].jitter_percent = (uint32_t)pick(p, 50);
	}
	s->retry[i].not_on_node_loss = pick(p, 8) == 0;
	if (pick(p, 3) == 0)
		st->run_timeout_ns = SIM_S + pick(p, 5 * SIM_S);
	if (pick(p, 10) == 0)
		st->queue_timeout_ns = 60 * SIM_S;
	if (pick(p, 5) == 0) {
		s->verify[i] = (Wire__Verify)WIRE__VERIFY__INIT;
		s->verify[i].replicas = 2 + (uint32_t)pick(p, 3);
		s->verify[i].agree = 2;
		s->verify[i].comparator = pick(p, 3) ? NULL : &s->command;
		s->verify[i].adaptive = pick(p, 2) != 0;
		s->verify[i].same = (char *)(uintptr_t)(pick(p, 3) ? "" : "class");
		st->verify = &s->verify[i];
	}
	if (i && pick(p, 3))
		depend(s, i, p);
	input(s, i);
}

/* Where it may and would rather run. What it must have, the first node of every world has, or one below it: so every job can end. */
static void place(struct spec *s, uint32_t i, const char *wanted, struct prng *p)
{
	static char class_[] = "class", name[] = "name", odd[] = "odd", even[] = "even", second[] = "n2";
	Wire__Place *l = &s->place[i];
	Wire__Match *m = &s->where[i];

	*l = (Wire__Place)WIRE__PLACE__INIT;
	*m = s->want[i] = (Wire__Match)WIRE__MATCH__INIT;
	m->key = pick(p, 2) ? class_ : name;
	m->values = s->values[i];
	m->n_values = 1;
	m->op = m->key == name || pick(p, 2) ? WIRE__MATCH__OP__NOT_IN : WIRE__MATCH__OP__IN;
	s->values[i][0] = m->key == name                                                     ? second
	                  : (m->op == WIRE__MATCH__OP__IN) == (!wanted || *wanted == odd[0]) ? odd
	                                                                                     : even;
	s->pwhere[i] = m;
	l->where = &s->pwhere[i];
	l->n_where =
	        pick(p, 2) &&
	        !(wanted && s->steps[i].verify); /* replicas may have to stay with the machine's own class */
	s->want[i].key = class_;
	s->want[i].values = &s->values[i][1];
	s->want[i].n_values = 1;
	s->values[i][1] = pick(p, 2) ? odd : even;
	s->pwant[i] = &s->want[i];
	s->prefer[i] = (Wire__Prefer)WIRE__PREFER__INIT;
	s->prefer[i].all = &s->pwant[i];
	s->prefer[i].n_all = 1;
	s->prefer[i].weight = (int32_t)pick(p, 100) - 50;
	s->pprefer[i] = &s->prefer[i];
	l->prefer = &s->pprefer[i];
	l->n_prefer = pick(p, 2);
	if (pick(p, 3) == 0)
		l->spread = pick(p, 2) ? class_ : name;
	l->near_submitter = pick(p, 4) == 0;
	s->steps[i].place = l;
}

/* What becomes of its tasks on nodes that are cut off. */
static void disconnect(struct spec *s, struct prng *p)
{
	if (pick(p, 4) == 0)
		return;
	s->disconnect = (Wire__Disconnect)WIRE__DISCONNECT__INIT;
	s->disconnect.lost_after_ns = 1 + pick(p, pick(p, 4) ? 200 * SIM_MS : 40 * SIM_S);
	s->disconnect.stop_after_ns = pick(p, 3) ? 0 : 1 + pick(p, 30 * SIM_S);
	s->disconnect.replace = (Wire__Disconnect__Replace)pick(p, 3);
	if (s->disconnect.replace != WIRE__DISCONNECT__REPLACE__NEVER)
		s->disconnect.reconcile = (Wire__Disconnect__Reconcile)pick(p, 3);
	s->job.disconnect = &s->disconnect;
}

/* Some steps become gangs, of members for which every world has room when all is well: a node may take part for a while only, until one
 * that had joined it and was forgotten with its disk joins it again, and a gang that counted on it waits for ever. */
static void gang(struct spec *s, uint32_t i, uint32_t nodes, struct prng *p)
{
	Wire__Step *st = &s->steps[i];

	if (pick(p, 6) != 0 || st->reduce || s->job.class_ == WIRE__JOB_SPEC__CLASS__REALTIME ||
	        s->job.concurrency)
		return;
	s->gang[i] = (Wire__Gang)WIRE__GANG__INIT;
	s->gang[i].size = 2 + (uint32_t)pick(p, 3);
	s->gang[i].apart = pick(p, 2) != 0 && s->gang[i].size <= nodes;
	st->gang = &s->gang[i];
	st->worker = NULL;
	st->verify = NULL;
	st->place = NULL;
	for (uint32_t v = 0; v < st->n_variants; v++) {
		s->needs[i][v][0].amount = 250 * (1 + pick(p, 4));
		s->variants[i][v].n_needs = 1;
	}
}

static char *names[] = {"a", "b", "c"};

void chaos_submit(struct world *w, const char *name)
{
	static struct spec s;
	static const char *keys[] = {"one", "two", "three"};
	static char *argv[] = {"true"};
	struct prng *p = world_prng(w);
	struct err e;

	memset(&s, 0, sizeof(s));
	s.job = (Wire__JobSpec)WIRE__JOB_SPEC__INIT;
	s.command = (Wire__Command)WIRE__COMMAND__INIT;
	s.command.argv = argv;
	s.command.n_argv = 1;
	s.job.version = 1;
	s.job.name = (char *)(uintptr_t) "job";
	s.job.namespace_ = name ? (char *)(uintptr_t)name : names[pick(p, 3)];
	s.job.priority = (uint32_t)pick(p, 101);
	s.job.keep_going = pick(p, 2) != 0;
	s.job.n_steps = 1 + pick(p, 5);
	s.job.steps = s.psteps;
	if (pick(p, 4) == 0) {
		s.job.class_ = WIRE__JOB_SPEC__CLASS__REALTIME;
		s.job.deadline_after_ns = SIM_S + pick(p, 100 * SIM_S);
		s.job.deadline_warn = pick(p, 2) != 0;
	}
	if (pick(p, 6) == 0)
		s.job.concurrency = 1 + (uint32_t)pick(p, 4);
	if (pick(p, 8) == 0)
		s.job.timeout_ns = SIM_S + pick(p, 200 * SIM_S);
	s.job.pack = (Wire__JobSpec__Pack)(pick(p, 2) ? 0 : pick(p, 4));
	s.job.origin = (char *)(uintptr_t) "n1";
	s.job.held = pick(p, 12) == 0;
	if (pick(p, 10) == 0)
		s.job.not_before_ns = UINT64_C(1800000000000000000) + world_now_ns(w) + pick(p, 20 * SIM_S);
	for (uint32_t i = 0; i < s.job.n_steps; i++) {
		step(&s, i, p);
		if (pick(p, 3) == 0)
			place(&s, i, world_wanted(w), p);
		gang(&s, i, world_gang_nodes(w), p);
		s.psteps[i] = &s.steps[i];
	}
	if (world_has_links(w))
		disconnect(&s, p);
	if (jobspec_check(&s.job, &e) < 0) {
		(void)fprintf(stderr, "chaos made a job that is not valid: %s\n", e.msg);
		abort();
	}
	(void)world_submit_key(w, &s.job, pick(p, 4) ? NULL : keys[pick(p, ARRAY_LEN(keys))]);
}

/* What root and the machines' owner do. */
static void administer(struct world *w)
{
	struct prng *p = world_prng(w);
	uint64_t dice = pick(p, 3);

	if (dice == 0)
		world_namespace(w, names[pick(p, 3)], (uint32_t)pick(p, 5),
		        pick(p, 2) ? 0 : 1000 * (1 + pick(p, 8)), pick(p, 3) ? 0 : 500 * (1 + pick(p, 4)));
	else
		world_node(w, 1 + (uint32_t)pick(p, world_nodes(w)),
		        dice == 1 ? WIRE__NODE_SET__STATE__DRAINED : WIRE__NODE_SET__STATE__UP,
		        1 + (uint32_t)pick(p, 4));
}

/* All that would keep a job from its end is taken back. */
void chaos_make_up(struct world *w)
{
	Wire__JobAdjusted adjust = WIRE__JOB_ADJUSTED__INIT;
	struct command cmd = {.kind = CMD_ADJUST, .u.adjust = &adjust};

	for (uint32_t i = 2; world_is_fleet(w) && i <= world_nodes(w); i++)
		world_heal(w, i);
	for (uint32_t i = 1; i <= world_nodes(w); i++)
		world_node(w, i, WIRE__NODE_SET__STATE__UP, 4);
	for (uint32_t i = 0; i < ARRAY_LEN(names); i++)
		world_namespace(w, names[i], 1, 0, 0);
	adjust.set = WIRE__JOB_ADJUSTED__FIELD__HELD;
	for (uint64_t job = 1; job <= engine_job_last(world_engine(w)).v; job++) {
		adjust.job = job;
		world_command(w, &cmd);
	}
}

void chaos_wish(struct world *w)
{
	struct prng *p = world_prng(w);
	Wire__Principal by = WIRE__PRINCIPAL__INIT;
	Wire__JobAdjusted adjust = WIRE__JOB_ADJUSTED__INIT;
	struct command cmd = {.by = &by};
	uint64_t last = engine_job_last(world_engine(w)).v, dice = pick(p, 11);

	by.name = (char *)(uintptr_t) "uid:1000";
	by.uid = by.gid = 1000;
	if (!last || dice < 5) {
		chaos_submit(w, NULL);
		return;
	}
	if (dice == 8 || dice == 9) {
		administer(w);
		return;
	}
	if (dice == 10) {
		cmd.by = NULL; /* the node's own policy */
		cmd.kind = CMD_FORGET;
		cmd.u.job.job.v = 1 + pick(p, last);
		cmd.u.job.reason = "age";
	} else if (dice < 7) {
		cmd.kind = dice == 5 ? CMD_CANCEL : CMD_RETRY;
		cmd.u.job.job.v = 1 + pick(p, last);
	} else {
		cmd.kind = CMD_ADJUST;
		cmd.u.adjust = &adjust;
		adjust.job = 1 + pick(p, last);
		adjust.set = (uint32_t)pick(p, 128);
		adjust.held = pick(p, 3) == 0;
		adjust.priority = (uint32_t)pick(p, 101);
		adjust.timeout_ns = pick(p, 300 * SIM_S);
		adjust.run_timeout_ns = SIM_S + pick(p, 10 * SIM_S);
		adjust.queue_timeout_ns = pick(p, 100 * SIM_S);
		adjust.concurrency = (uint32_t)pick(p, 5);
		adjust.deadline_ns = UINT64_C(1800000000000000000) + world_now_ns(w) + pick(p, 100 * SIM_S);
	}
	world_command(w, &cmd);
}

/* Chances drawn once for each seed, so that some days are calm and some are not. */
struct faults chaos_weather(struct prng *p)
{
	struct faults f = {0};

	f.engine_kill = pick(p, 2) ? (uint32_t)pick(p, 12) : 0;
	f.keeper_kill = pick(p, 3) ? 0 : (uint32_t)pick(p, 4);
	f.lose = pick(p, 2) ? (uint32_t)pick(p, 200) : 0;
	f.twice = pick(p, 2) ? (uint32_t)pick(p, 200) : 0;
	f.task_fails = (uint32_t)pick(p, 200);
	f.task_hangs = (uint32_t)pick(p, 50);
	f.worker_crashes = pick(p, 2) ? (uint32_t)pick(p, 60) : 0;
	f.task_lies = pick(p, 2) ? (uint32_t)pick(p, 100) : 0;
	f.disk_ns_max = pick(p, 2) ? SIM_MS : pick(p, 50 * SIM_MS);
	f.disk_stalls = (uint32_t)pick(p, 30);
	f.disk_fails = pick(p, 4) ? 0 : (uint32_t)pick(p, 10);
	f.clock_jumps = pick(p, 8) ? 0 : 2;
	f.task_ns_max = 1 + pick(p, 10 * SIM_S);
	return f;
}

void chaos(uint64_t seed, FILE *trace, struct world_counts *out)
{
	struct prng p;
	struct faults calm = {.disk_ns_max = SIM_MS, .task_ns_max = SIM_S}, f;
	struct world *w;
	uint64_t wishes, steps;
	uint32_t nodes;

	prng_init(&p, seed ^ 0x6f73696572);
	f = chaos_weather(&p);
	wishes = 4 + pick(&p, 20);
	steps = 20 + pick(&p, 200);
	nodes = 1 + (uint32_t)pick(&p, 4);
	if (pick(&p, 2)) {
		f.cuts = (uint32_t)pick(&p, 60);
		f.heals = (uint32_t)pick(&p, 150);
		f.node_kill = pick(&p, 3) ? 0 : (uint32_t)pick(&p, 5);
		w = world_new_fleet(seed, &f, nodes, trace);
	} else {
		w = world_new(seed, &f, nodes, trace);
	}
	for (uint64_t i = 0; i < wishes; i++) {
		chaos_wish(w);
		for (uint64_t k = 0; k < steps && world_step(w); k++)
			world_check(w, false);
		world_check(w, true);
	}
	/* The storm is over: now everything that was acknowledged must come to its end. */
	world_set_faults(w, &calm);
	/* Twice: a kill that was on its way when the storm ended may take what was not yet durable of the first. Then a quota may stay for
	 * which something starves, and the engine looks each minute whether it still does: so the first is not waited for to the end. */
	chaos_make_up(w);
	world_run_until(w, world_now_ns(w) + 3600 * SIM_S);
	chaos_make_up(w);
	for (uint64_t k = 0; world_step(w); k++) {
		world_check(w, false);
		CHECK(k < 3000000); /* no end in sight */
	}
	world_check(w, true);
	world_check_all_finished(w);
	world_counts(w, out);
	world_free(w);
}
