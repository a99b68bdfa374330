/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_learn - run times, learned per kind of task.
 *
 * A sketch is a histogram of microseconds with four buckets to each doubling (so a quantile is right within 25 %), whose
 * counts are all halved when they add up to WINDOW samples: what was seen long ago fades. Of a large column a sample of
 * COLUMN values is taken at even distances. The table is bounded; the kind learned longest ago makes room. Two kinds whose
 * 64-bit keys collide would share a sketch, which estimates survive. Of each node and kind, how its times compare with the
 * median, in 1/1024; the pair learned longest ago makes room. Pure, integers only.
 */
#include "core/sched_state.h"

#define SAMPLE      256u /* weight of one, so that halving keeps fractions */
#define WINDOW      (512u * SAMPLE)
#define COLUMN      256u
#define SPEED_LEAST 48u  /* columns of results until a node's speed counts */
#define SPEED_MOST  120u /* columns after which one counts no less */
/* So near the median a node is like the others: decisions do not follow noise. */
#define SPEED_ALIKE_LOW  724u
#define SPEED_ALIKE_HIGH 1448u

uint64_t kind_key(const char *kind, uint32_t variant)
{
	uint64_t h = variant;

	for (; *kind != '\0'; kind++)
		h = prng_mix(h, (uint8_t)*kind, 11);
	return h == 0 ? 1 : h;
}

static uint32_t bucket_of(uint64_t us)
{
	uint32_t log, b;

	if (us < 4)
		return (uint32_t)us;
	log = 63 - (uint32_t)__builtin_clzll(us);
	b = 4 * (log - 1) + (uint32_t)(us >> (log - 2) & 3);
	return b < BUCKETS ? b : BUCKETS - 1;
}

/* The upper end of a bucket. */
static uint64_t bucket_us(uint32_t b)
{
	if (b < 4)
		return b;
	return ((uint64_t)(b % 4 + 5) << (b / 4 - 1)) - 1;
}

static void kind_unlink(struct sched *s, uint32_t x)
{
	struct kind *k = &s->kinds[x];

	*(k->newer == 0 ? &s->kind_newest : &s->kinds[k->newer].older) = k->older;
	*(k->older == 0 ? &s->kind_oldest : &s->kinds[k->older].newer) = k->newer;
}

static void kind_link_newest(struct sched *s, uint32_t x)
{
	struct kind *k = &s->kinds[x];

	k->newer = 0;
	k->older = s->kind_newest;
	*(k->older == 0 ? &s->kind_oldest : &s->kinds[k->older].newer) = x;
	s->kind_newest = x;
}

/* The slot of a kind, as the newest; made when new. 0: the table has no room at all. */
uint32_t kind_touch(struct sched *s, uint64_t key)
{
	uint32_t x = map_get(&s->kind_map, key);

	if (x == s->kind_newest && x != 0)
		return x;
	if (x != 0) {
		kind_unlink(s, x);
	} else if (s->n_kinds < s->lim.kinds_max) {
		x = ++s->n_kinds;
	} else if (s->n_kinds > 0) {
		x = s->kind_oldest;
		kind_unlink(s, x);
		map_del(&s->kind_map, s->kinds[x].key);
		s->kinds[x] = (struct kind){0};
	} else {
		return 0;
	}
	if (s->kinds[x].key == 0) {
		s->kinds[x].key = key;
		map_put(&s->kind_map, key, x);
	}
	kind_link_newest(s, x);
	return x;
}

static void kind_add(struct kind *k, uint64_t us)
{
	k->count[bucket_of(us)] += SAMPLE;
	k->total += SAMPLE;
	if (k->total < WINDOW)
		return;
	k->total = 0;
	for (uint32_t b = 0; b < BUCKETS; b++) {
		k->count[b] /= 2;
		k->total += k->count[b];
	}
}

/* ---- how fast a node is, beside others ---- */

static uint64_t speed_key(uint64_t kind, uint32_t node)
{
	return prng_mix(kind, node, 43) | 1;
}

static void speed_unlink(struct sched *s, uint32_t x)
{
	const struct speed *k = &s->speeds[x];

	*(k->newer == 0 ? &s->speed_newest : &s->speeds[k->newer].older) = k->older;
	*(k->older == 0 ? &s->speed_oldest : &s->speeds[k->older].newer) = k->newer;
}

/* As kind_touch(). */
static uint32_t speed_touch(struct sched *s, uint64_t kind, uint32_t node)
{
	const uint64_t key = speed_key(kind, node);
	uint32_t x = map_get(&s->speed_map, key);
	struct speed *k;

	if (x != 0) {
		speed_unlink(s, x);
	} else {
		if (s->speeds_top < s->speeds_max) {
			x = ++s->speeds_top;
		} else {
			x = s->speed_oldest;
			speed_unlink(s, x);
			map_del(&s->speed_map, s->speeds[x].key);
		}
		s->speeds[x] = (struct speed){.key = key, .kind = kind, .node = node, .factor = SPEED_ONE};
		map_put(&s->speed_map, key, x);
	}
	k = &s->speeds[x];
	k->newer = 0;
	k->older = s->speed_newest;
	*(k->older == 0 ? &s->speed_oldest : &s->speeds[k->older].newer) = x;
	s->speed_newest = x;
	return x;
}

void speed_put(struct sched *s, uint64_t kind, uint32_t node, uint32_t factor, uint32_t n)
{
	uint32_t x = speed_touch(s, kind, node);

	s->speeds[x].factor = factor;
	s->speeds[x].n = n;
}

uint32_t speed_of(const struct sched *s, uint64_t kind, uint32_t node)
{
	uint32_t x = map_get(&s->speed_map, speed_key(kind, node));
	const struct speed *k = &s->speeds[x];

	if (x == 0 || k->n < SPEED_LEAST || (k->factor >= SPEED_ALIKE_LOW && k->factor <= SPEED_ALIKE_HIGH))
		return SPEED_ONE;
	return k->factor;
}

uint64_t speed_scaled(const struct sched *s, uint64_t kind, uint32_t node, uint64_t ns)
{
	const uint32_t f = s->speeds_top == 0 ? SPEED_ONE : speed_of(s, kind, s->nodes[node].owner);
	unsigned __int128 v = (unsigned __int128)ns * f / SPEED_ONE;

	if (f == SPEED_ONE || ns == 0)
		return ns;
	return v == 0 ? 1 : v > UINT64_MAX >> 2 ? UINT64_MAX >> 2 : (uint64_t)v;
}

/* The factor by which the node's own median is that of all, by steps that shrink from an eighth to a 128th: up when more took longer
 * than it says, down when fewer did. A few that take very long do not move it far. Only beside other nodes does it say anything. */
static void speed_learn(
        struct sched *s, uint64_t kind, uint32_t node, const uint64_t *wall_us, size_t n, size_t stride)
{
	const uint64_t median = kind_quantile_ns(s, kind, 500) / 1000;
	int64_t net = 0;
	struct speed *k;

	if (s->node_real < 2 || median == 0 || node == 0)
		return;
	k = &s->speeds[speed_touch(s, kind, node)];
	for (size_t i = 0; i < n; i++) {
		const uint64_t us = wall_us[i * stride], mine = median * k->factor / SPEED_ONE;

		net += us > mine ? 1 : us < mine ? -1 : 0;
	}
	net = (int64_t)k->factor + (int64_t)k->factor * net / (int64_t)n / (8 + k->n);
	k->factor = net < SPEED_ONE / 16   ? SPEED_ONE / 16
	            : net > 16 * SPEED_ONE ? 16 * SPEED_ONE
	                                   : (uint32_t)net;
	k->n += k->n < SPEED_MOST;
}

void sched_learn(struct sched *s, uint32_t group, uint32_t variant, uint32_t node, const uint64_t *wall_us,
        size_t n, uint64_t now_ns)
{
	const struct group *g = &s->groups[group];
	const size_t samples = n < COLUMN ? n : COLUMN, stride = n < COLUMN ? 1 : n / COLUMN;
	uint32_t x;

	(void)now_ns; /* fading goes by samples, not by time: a nightly job's times are as good the next night */
	CHECK(group != 0 && variant < g->n_variants);
	if (n == 0)
		return;
	x = kind_touch(s, g->v[variant].kind);
	if (x == 0)
		return;
	for (size_t i = 0; i < samples; i++)
		kind_add(&s->kinds[x], wall_us[i * stride]);
	speed_learn(s, g->v[variant].kind, node, wall_us, samples, stride);
}

uint64_t kind_quantile_ns(const struct sched *s, uint64_t key, uint32_t milli)
{
	uint32_t x = map_get(&s->kind_map, key);
	const struct kind *k = &s->kinds[x];
	uint64_t want, sum = 0;

	if (x == 0 || k->total == 0)
		return 0;
	want = ((uint64_t)k->total * (milli < 1000 ? milli : 1000) + 999) / 1000;
	for (uint32_t b = 0; b < BUCKETS; b++) {
		sum += k->count[b];
		if (sum >= want && sum > 0) {
			uint64_t us = bucket_us(b);

			return us == 0 ? 500 : us * 1000; /* known, but below a microsecond */
		}
	}
	return bucket_us(BUCKETS - 1) * 1000;
}

uint64_t sched_run_ns(const struct sched *s, const char *kind, uint32_t quantile_milli)
{
	return kind_quantile_ns(s, kind_key(kind, 0), quantile_milli);
}

uint64_t sched_group_run_ns(const struct sched *s, uint32_t group, uint32_t variant)
{
	CHECK(group != 0 && group <= s->groups_top && variant < s->groups[group].n_variants);
	return kind_quantile_ns(s, s->groups[group].v[variant].kind, 500);
}
