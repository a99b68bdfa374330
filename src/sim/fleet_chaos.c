/* SPDX-License-Identifier: Apache-2.0 */
/* fleet_chaos - a random tree of machines, random jobs, and a bad day; then everything is mended and must come to its end. */
#include <stdlib.h>

#include "base/check.h"
#include "core/engine.h"
#include "sim/fleet.h"
#include "sim/sim.h"

#define DAY    (86400 * SIM_S)
#define SHARED "shared" /* a namespace with a quota that nobody changes */
#define QUOTA  4000u

static uint64_t pick(struct prng *p, uint64_t n)
{
	return prng_below(p, n);
}

static struct weather sky(struct prng *p)
{
	struct weather w = {.rejoins = true};

	w.lose = pick(p, 2) ? (uint32_t)pick(p, 200) : 0;
	w.twice = pick(p, 2) ? (uint32_t)pick(p, 200) : 0;
	w.delay_ns_max = pick(p, 2) ? SIM_MS : pick(p, 4) ? pick(p, 400 * SIM_MS) : pick(p, 4 * SIM_S);
	w.cut = pick(p, 2) ? (uint32_t)pick(p, 6) : 0;
	w.cut_way = pick(p, 2) ? (uint32_t)pick(p, 4) : 0;
	w.flap = pick(p, 3) ? 0 : (uint32_t)pick(p, 20);
	w.cut_ns_max = pick(p, 4) ? 20 * SIM_S : pick(p, 2) ? DAY : 6 * DAY;
	w.rollback = pick(p, 3) ? 0 : (uint32_t)pick(p, 3);
	w.rollback_root = pick(p, 6) ? 0 : (uint32_t)pick(p, 2);
	w.take_over = pick(p, 3) ? 0 : 1 + (uint32_t)pick(p, 4);
	w.hold = pick(p, 3) ? 0 : (uint32_t)pick(p, 30);
	w.hold_ns_max = pick(p, 2) ? 3600 * SIM_S : 6 * DAY;
	return w;
}

static struct faults trouble(struct prng *p)
{
	struct faults f = chaos_weather(p);

	f.engine_kill /= 2; /* of several machines */
	f.clock_jumps = pick(p, 4) ? 0 : 1 + (uint32_t)pick(p, 3);
	f.clock_back = pick(p, 3) ? 0 : 1 + (uint32_t)pick(p, 3);
	f.clock_ns_max = pick(p, 2) ? 3600 * SIM_S : 3 * DAY;
	f.clock_drift = pick(p, 2) ? 0 : 300;
	f.task_lies = 0;
	return f;
}

/* Machines of two kinds; jobs may ask for the kind of some machine at or below where they are submitted. */
static void label(struct fleet *f, struct prng *p, const uint32_t *hub, uint32_t n)
{
	static const char *const kinds[] = {"odd", "even"};
	uint32_t kind[8], wanted[8];

	for (uint32_t i = 0; i < n; i++)
		kind[i] = wanted[i] = (uint32_t)pick(p, 2);
	for (uint32_t i = n; i-- > 1;) /* hubs come before those below them */
		wanted[hub[i]] = pick(p, 2) ? wanted[i] : wanted[hub[i]];
	for (uint32_t i = 0; i < n; i++)
		world_class(fleet_world(f, i), kinds[kind[i]], kinds[wanted[i]]);
}

static void grow(struct fleet *f, struct prng *p)
{
	static const char *const names[] = {"hub", "a", "b", "c", "d", "e", "f", "g"};
	uint32_t n = 2 + (uint32_t)pick(p, 5), hub[8] = {0};

	for (uint32_t i = 0; i < n; i++) {
		hub[i] = i < 2 ? 0 : pick(p, 2) ? 0 : (uint32_t)pick(p, i < 4 ? i : 4);
		(void)fleet_add(f, names[i], hub[i]);
	}
	label(f, p, hub, n);
	for (uint64_t k = 0; k < 400 && fleet_step(f); k++)
		fleet_check(f, false);
}

/* A quota of which all have a share, durably, before anybody uses it: who loses that word with the power knows of no quota. */
static void share(struct fleet *f, struct prng *p)
{
	bool all = false;

	world_quota(
	        fleet_world(f, 0), SHARED, QUOTA, 0, 60 * SIM_S + pick(p, pick(p, 2) ? 3600 * SIM_S : DAY));
	for (uint64_t k = 0; k < 2000 && !all && fleet_step(f); k++) {
		struct quota_view v;

		fleet_check(f, false);
		all = true;
		for (uint32_t i = 1; i < fleet_machines(f); i++)
			all &= engine_quota(world_engine(fleet_world(f, i)), 0, &v) && v.shares && !v.over &&
			       fleet_on_disk(f, i);
	}
	CHECK(all);
	fleet_quota(f, SHARED, QUOTA);
}

/* Most wishes are the root's. */
static void wish(struct fleet *f)
{
	struct prng *p = fleet_prng(f);
	uint32_t i = pick(p, 4) ? 0 : (uint32_t)pick(p, fleet_machines(f));

	if (i && !pick(p, 6))
		fleet_power_cut(f, i, pick(p, 30 * SIM_S));
	else if (pick(p, 4) == 0)
		chaos_submit(fleet_world(f, (uint32_t)pick(p, fleet_machines(f))), SHARED);
	else
		chaos_wish(fleet_world(f, i));
}

void fleet_chaos(uint64_t seed, FILE *trace, struct fleet_counts *out)
{
	struct prng p;
	struct faults calm = {.disk_ns_max = SIM_MS, .task_ns_max = SIM_S}, bad;
	struct weather fair = {.delay_ns_max = SIM_MS, .rejoins = true}, foul;
	struct fleet *f;
	uint64_t wishes, steps;

	prng_init(&p, seed ^ 0x6c696e6b);
	bad = trouble(&p);
	foul = sky(&p);
	wishes = 4 + pick(&p, 12);
	steps = 20 + pick(&p, 250);
	f = fleet_new(seed, &calm, &fair, trace);
	grow(f, &p);
	share(f, &p);
	fleet_set(f, &bad, &foul);
	for (uint64_t i = 0; i < wishes; i++) {
		wish(f);
		for (uint64_t k = 0; k < steps && fleet_step(f); k++)
			fleet_check(f, false);
		fleet_check(f, i % 4 == 0);
	}
	/* The storm is over, and frames come in order again, as a broker carries them: a gap begins the session anew, and among many frames
	 * that overtake each other there would always be one. Twice: a kill on its way may take what was made up and not yet durable. */
	fair.delay_ns_max = 0;
	fleet_set(f, &calm, &fair);
	fleet_quota(f, NULL, 0);
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < fleet_machines(f); i++) {
			if (i)
				fleet_mend(f, i);
			chaos_make_up(fleet_world(f, i));
		}
		world_namespace(fleet_world(f, 0), SHARED, 1, 0, 0);
		/* Shares of quotas are renewed for ever where a limit is left, and one may be. */
		if (round == 0)
			fleet_run_until(f, fleet_now_ns(f) + 3600 * SIM_S);
		else
			fleet_run(f, 3000000);
	}
	fleet_check_quiet(f);
	fleet_counts(f, out);
	fleet_free(f);
}
