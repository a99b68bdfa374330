/* SPDX-License-Identifier: Apache-2.0 */
/* keccak - see keccak.h. The permutation after the Keccak reference, version 3.0, section 1.2. */
#include "core/keccak.h"

#include <string.h>

#include "base/check.h"

static uint64_t rotate(uint64_t v, unsigned by)
{
	return by ? v << by | v >> (64 - by) : v;
}

/* The state as bytes is 25 lanes, each little-endian. */
static void mix(struct keccak *k, size_t at, uint8_t byte)
{
	k->lane[at / 8] ^= (uint64_t)byte << (8 * (at % 8));
}

static void theta(uint64_t a[25])
{
	uint64_t c[5];

	for (unsigned x = 0; x < 5; x++)
		c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
	for (unsigned x = 0; x < 5; x++) {
		uint64_t d = c[(x + 4) % 5] ^ rotate(c[(x + 1) % 5], 1);

		for (unsigned y = 0; y < 25; y += 5)
			a[y + x] ^= d;
	}
}

/* rho and pi at once: one lane's content is carried round the cycle of the other 24. */
static void rho_pi(uint64_t a[25])
{
	static const uint8_t to[24] = {
	        10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1};
	static const uint8_t by[24] = {
	        1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44};
	uint64_t carried = a[1];

	for (unsigned i = 0; i < 24; i++) {
		uint64_t next = a[to[i]];

		a[to[i]] = rotate(carried, by[i]);
		carried = next;
	}
}

static void chi(uint64_t a[25])
{
	for (unsigned y = 0; y < 25; y += 5) {
		uint64_t row[5];

		memcpy(row, a + y, sizeof(row));
		for (unsigned x = 0; x < 5; x++)
			a[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
	}
}

static void permute(struct keccak *k)
{
	static const uint64_t iota[24] = {0x0000000000000001, 0x0000000000008082, 0x800000000000808a,
	        0x8000000080008000, 0x000000000000808b, 0x0000000080000001, 0x8000000080008081,
	        0x8000000000008009, 0x000000000000008a, 0x0000000000000088, 0x0000000080008009,
	        0x000000008000000a, 0x000000008000808b, 0x800000000000008b, 0x8000000000008089,
	        0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800a,
	        0x800000008000000a, 0x8000000080008081, 0x8000000000008080, 0x0000000080000001,
	        0x8000000080008008};

	for (unsigned round = 0; round < 24; round++) {
		theta(k->lane);
		rho_pi(k->lane);
		chi(k->lane);
		k->lane[0] ^= iota[round];
	}
}

void keccak_init(struct keccak *k)
{
	memset(k, 0, sizeof(*k));
}

void keccak_add(struct keccak *k, const void *p, size_t n)
{
	const uint8_t *b = p;

	CHECK(k->at < KECCAK_RATE);
	for (size_t i = 0; i < n; i++) {
		mix(k, k->at++, b[i]);
		if (k->at == KECCAK_RATE) {
			permute(k);
			k->at = 0;
		}
	}
}

void keccak_end(struct keccak *k, uint8_t out[32])
{
	CHECK(k->at < KECCAK_RATE);
	mix(k, k->at, 0x01);
	mix(k, KECCAK_RATE - 1, 0x80);
	permute(k);
	for (size_t i = 0; i < 32; i++)
		out[i] = (uint8_t)(k->lane[i / 8] >> (8 * (i % 8)));
}

void keccak256(const void *p, size_t n, uint8_t out[32])
{
	struct keccak k;

	keccak_init(&k);
	keccak_add(&k, p, n);
	keccak_end(&k, out);
}
