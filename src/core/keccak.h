/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keccak - Keccak-256 as Ethereum has it: Keccak-f[1600], rate 136, padding byte 0x01.
 *
 * Not SHA3-256 (FIPS 202), whose padding byte is 0x06; OpenSSL 3.0 has only that one. Pure.
 */
#ifndef OSIER_CORE_KECCAK_H
#define OSIER_CORE_KECCAK_H

#include <stddef.h>
#include <stdint.h>

#define KECCAK_RATE 136

struct keccak {
	uint64_t lane[25];
	size_t at; /* bytes of the present block that were taken in, < KECCAK_RATE */
};

void keccak_init(struct keccak *k);
void keccak_add(struct keccak *k, const void *p, size_t n);
/* The digest; k must be initialised again before it is used again. */
void keccak_end(struct keccak *k, uint8_t out[32]);

/* The digest of n bytes at once. */
void keccak256(const void *p, size_t n, uint8_t out[32]);

#endif
