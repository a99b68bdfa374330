/* SPDX-License-Identifier: Apache-2.0 */
/* prng - see prng.h. */
#include "base/prng.h"

#include "base/check.h"

static uint64_t splitmix(uint64_t *x)
{
	uint64_t z = (*x += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

void prng_init(struct prng *p, uint64_t seed)
{
	for (int i = 0; i < 4; i++)
		p->s[i] = splitmix(&seed);
}

uint64_t prng_next(struct prng *p)
{
	uint64_t r = rotl(p->s[1] * 5, 7) * 9, t = p->s[1] << 17;

	p->s[2] ^= p->s[0];
	p->s[3] ^= p->s[1];
	p->s[1] ^= p->s[2];
	p->s[0] ^= p->s[3];
	p->s[2] ^= t;
	p->s[3] = rotl(p->s[3], 45);
	return r;
}

uint64_t prng_below(struct prng *p, uint64_t n)
{
	uint64_t x, limit;

	CHECK(n > 0);
	limit = UINT64_MAX - UINT64_MAX % n;
	do {
		x = prng_next(p);
	} while (x >= limit);
	return x % n;
}

int prng_chance(struct prng *p, uint64_t num, uint64_t den)
{
	return prng_below(p, den) < num;
}

uint64_t prng_mix(uint64_t seed, uint64_t a, uint64_t b)
{
	uint64_t x = seed ^ (a * 0xd1342543de82ef95u);

	x = splitmix(&x) ^ (b * 0xaf251af3b0f025b5u);
	return splitmix(&x);
}
