/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placements - the scheduler alone, on a simulated pool: 10,000 nodes, 1,000,000 waiting tasks.
 *
 * Fills the empty pool, then keeps it full: whenever nothing fits, a batch of leases ends. Tasks are leased one by one
 * (slice_max 1), so that nothing is gained by slices. A decision is one sched_pick(); the rate counts everything: picks,
 * sched_lease_add(), sched_group_ready(), sched_lease_remove() and picks that found nothing, by the CPU time of
 * the one thread, so that a busy machine does not change it. One line of JSON on stdout. With "places" every group asks for one of
 * twenty halls or for two of three kinds of machines, and every other one prefers, spreads or packs as well.
 * usage: bench-placements [SEED [GROUPS [places]]]
 */
#include <inttypes.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/prng.h"
#include "core/sched.h"

#define NODES      10000u
#define TASKS      1000000u
#define NAMESPACES 20u
#define END_BATCH  64u
#define HALLS      20u

static uint64_t clock_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

struct world {
	bool places;
	struct sched *s;
	struct prng r;
	uint32_t n_groups, group[4096];
	uint64_t waiting[4096];
	uint64_t *live; /* ids of leases, any order */
	uint32_t n_live;
	uint64_t next_lease, placed, picks, ended;
	uint32_t *pick_ns; /* of each pick */
};

static void add_node(struct world *w, uint32_t id)
{
	static const uint64_t cpus[] = {8, 16, 32, 64};
	Wire__NodeSet n = WIRE__NODE_SET__INIT;
	Wire__Need need[2] = {WIRE__NEED__INIT, WIRE__NEED__INIT}, *needs[2] = {&need[0], &need[1]};
	Wire__NodeSet__Device dev[8], *devs[8];
	static char *const kinds[] = {"a", "b", "c"};
	Wire__Pair label[2] = {WIRE__PAIR__INIT, WIRE__PAIR__INIT}, *labels[2] = {&label[0], &label[1]};
	uint64_t c = cpus[prng_below(&w->r, 4)];
	char name[32], hall[16];

	(void)snprintf(name, sizeof(name), "n%u", id);
	n.node = id;
	n.name = name;
	need[0].name = "cpu";
	need[0].amount = c * 1000;
	need[1].name = "memory";
	need[1].amount = c * ((prng_below(&w->r, 2) != 0 ? 4ull : 8ull) << 30);
	n.capacity = needs;
	n.n_capacity = 2;
	n.labels = labels;
	n.n_labels = w->places ? 2 : 0;
	(void)snprintf(hall, sizeof(hall), "h%u", id / 7 % HALLS);
	label[0].key = "hall";
	label[0].value = hall;
	label[1].key = "kind";
	label[1].value = kinds[id % 3];
	n.devices = devs;
	n.n_devices = id % 5 == 0 ? 4 + 4 * (id % 2) : 0;
	for (uint32_t i = 0; i < n.n_devices; i++) {
		dev[i] = (Wire__NodeSet__Device)WIRE__NODE_SET__DEVICE__INIT;
		dev[i].resource = "gpu";
		dev[i].index = i;
		dev[i].milli = 1000;
		devs[i] = &dev[i];
	}
	CHECK(sched_node_set(w->s, &n) == 0);
}

/* One of twenty halls, or two of three kinds; every other group has a wish beside it. */
static void wish(struct world *w, uint32_t i)
{
	Wire__Match m = WIRE__MATCH__INIT, *where = &m, k = WIRE__MATCH__INIT, *all = &k;
	Wire__Prefer prefer = WIRE__PREFER__INIT, *prefers = &prefer;
	Wire__Place p = WIRE__PLACE__INIT;
	struct sched_wish wish = {.place = &p};
	char hall[16], *value = hall, *both[] = {"a", i % 4 == 0 ? "b" : "c"}, *c = "c";

	(void)snprintf(hall, sizeof(hall), "h%u", i % HALLS);
	m.key = i % 3 == 0 ? "kind" : "hall";
	m.values = i % 3 == 0 ? both : &value;
	m.n_values = i % 3 == 0 ? 2 : 1;
	p.where = &where;
	p.n_where = 1;
	k.key = "kind";
	k.values = &c;
	k.n_values = 1;
	prefer.all = &all;
	prefer.n_all = 1;
	prefer.weight = 50;
	p.prefer = &prefers;
	p.n_prefer = i % 8 == 1;
	if (i % 8 == 3)
		p.spread = "hall";
	wish.pack = (Wire__JobSpec__Pack)(i % 8 == 5 ? 1 + i / 8 % 3 : 0);
	CHECK(sched_group_wish(w->s, w->group[i], &wish) == 0);
}

/* Needs out of 4 x 5 x 4 sizes; realtime one in fifty; ten priorities. */
static void add_group(struct world *w, uint32_t i)
{
	static const uint64_t cpu[] = {500, 1000, 2000, 4000}, gpu[] = {0, 0, 0, 0, 0, 0, 250, 1000};
	char ns[16], kind[24];
	struct sched_job j = {.id = i + 1,
	        .namespace_ = ns,
	        .priority = (uint32_t)prng_below(&w->r, 10) * 10,
	        .submitted_ns = 1};
	Wire__Need need[3] = {WIRE__NEED__INIT, WIRE__NEED__INIT, WIRE__NEED__INIT},
	           *needs[3] = {&need[0], &need[1], &need[2]};
	Wire__Variant v = WIRE__VARIANT__INIT;
	const Wire__Variant *vs[1] = {&v};
	uint64_t run;

	(void)snprintf(ns, sizeof(ns), "ns%u", (unsigned)prng_below(&w->r, NAMESPACES));
	(void)snprintf(kind, sizeof(kind), "kind%u", i % 200);
	j.realtime = i % 50 == 0;
	j.deadline_ns = j.realtime ? 1000000000ull * (1000 + i) : 0;
	CHECK(sched_job_add(w->s, &j) == 0);
	need[0].name = "cpu";
	need[0].amount = cpu[prng_below(&w->r, 4)];
	need[1].name = "memory";
	need[1].amount = (1 + prng_below(&w->r, 5)) << 30;
	need[2].name = "gpu";
	need[2].amount = gpu[prng_below(&w->r, 8)];
	v.needs = needs;
	v.n_needs = need[2].amount != 0 ? 3 : 2;
	CHECK(sched_group_add(w->s, i + 1, 0, vs, 1, kind, 1, &w->group[i]) == 0);
	if (w->places)
		wish(w, i);
	run = 1000000 * (1 + prng_below(&w->r, 60));
	sched_learn(w->s, w->group[i], 0, 1, &run, 1, 1);
	w->waiting[i] = TASKS / w->n_groups;
	sched_group_ready(w->s, w->group[i], w->waiting[i], 1000000000ull);
}

static void lease_one(struct world *w, const struct sched_placement *p, uint64_t now)
{
	const uint32_t i = (uint32_t)(p->group - w->group[0]);

	CHECK(i < w->n_groups && w->group[i] == p->group && p->count_max == 1 && w->waiting[i] > 0);
	sched_lease_add(w->s, w->next_lease, p, 1, now);
	sched_group_ready(w->s, p->group, --w->waiting[i], 1000000000ull);
	w->live[w->n_live++] = w->next_lease++;
	w->placed++;
}

static void run(struct world *w, uint64_t max)
{
	uint64_t now = 2000000000ull, victim, t, u;
	struct sched_placement p;

	while (w->placed < max) {
		enum sched_verdict v;

		now += 20000; /* leases end all the time; a batch of them each 1.3 ms */
		t = clock_ns();
		v = sched_pick(w->s, now, &p, &victim);
		u = clock_ns() - t;
		w->pick_ns[w->picks++] = u > UINT32_MAX ? UINT32_MAX : (uint32_t)u;
		if (v == SCHED_PLACE) {
			lease_one(w, &p, now);
			continue;
		}
		if (v == SCHED_PREEMPT)
			sched_lease_stopping(w->s, victim);
		for (uint32_t k = 0; v == SCHED_NOTHING && k < END_BATCH && w->n_live > 0; k++) {
			uint32_t at = (uint32_t)prng_below(&w->r, w->n_live);

			sched_lease_remove(w->s, w->live[at], now);
			w->live[at] = w->live[--w->n_live];
			w->ended++;
		}
	}
}

static int by_ns(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int main(int argc, char **argv)
{
	const struct sched_limits lim = {4096, 4096, 1u << 18, NODES, 256, 1024};
	const uint64_t max = TASKS - TASKS / 10;
	struct world w = {
	        .n_groups = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 2000, .next_lease = 1};
	uint64_t t;
	double s, cpu;

	w.places = argc > 3 && strcmp(argv[3], "places") == 0;
	CHECK(w.n_groups > 0 && w.n_groups <= ARRAY_LEN(w.group));
	prng_init(&w.r, argc > 1 ? strtoull(argv[1], NULL, 10) : 1);
	w.live = calloc(TASKS, sizeof(*w.live));
	w.pick_ns = calloc(4 * (size_t)TASKS, sizeof(*w.pick_ns));
	w.s = sched_new(mmap(NULL, sched_bytes(&lim), PROT_READ | PROT_WRITE,
	                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
	        &lim);
	for (uint32_t i = 1; i <= NODES; i++)
		add_node(&w, i);
	for (uint32_t i = 0; i < w.n_groups; i++)
		add_group(&w, i);
	t = clock_ns();
	cpu = (double)clock();
	run(&w, max);
	s = (double)(clock_ns() - t) / 1e9;
	cpu = ((double)clock() - cpu) / CLOCKS_PER_SEC;
	qsort(w.pick_ns, w.picks, sizeof(*w.pick_ns), by_ns);
	printf("{\"nodes\": %u, \"tasks\": %u, \"groups\": %u, \"placements\": %" PRIu64
	       ", \"picks\": %" PRIu64 ", \"ended\": %" PRIu64
	       ", \"seconds\": %.3f, \"cpu_seconds\": %.3f, \"placements_per_s\": %.0f, \"p50_ns\": %u, "
	       "\"p99_ns\": %u, "
	       "\"p999_ns\": %u, \"max_ns\": %u}\n",
	        NODES, TASKS, w.n_groups, w.placed, w.picks, w.ended, s, cpu, (double)w.placed / cpu,
	        w.pick_ns[w.picks / 2], w.pick_ns[w.picks * 99 / 100], w.pick_ns[w.picks * 999 / 1000],
	        w.pick_ns[w.picks - 1]);
	return 0;
}
