/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prng - a small seeded generator (xoshiro256**, Blackman and Vigna 2018), seeded by splitmix64.
 * Not for secrets. Pure: the same seed gives the same numbers on every machine.
 */
#ifndef OSIER_BASE_PRNG_H
#define OSIER_BASE_PRNG_H

#include <stdint.h>

struct prng {
	uint64_t s[4];
};

void prng_init(struct prng *p, uint64_t seed);
uint64_t prng_next(struct prng *p);
/* Uniform in [0, n); n > 0. */
uint64_t prng_below(struct prng *p, uint64_t n);
/* 1 with probability num/den. */
int prng_chance(struct prng *p, uint64_t num, uint64_t den);
/* One well-mixed number from a seed and two coordinates: jitter that needs no state. */
uint64_t prng_mix(uint64_t seed, uint64_t a, uint64_t b);

#endif
