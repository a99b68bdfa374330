/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sha2 - SHA-256 (FIPS 180-4) in plain C, for the few hashes that pure code makes. Shells use io/sha256, which is faster.
 * Pure.
 */
#ifndef OSIER_BASE_SHA2_H
#define OSIER_BASE_SHA2_H

#include <stddef.h>
#include <stdint.h>

struct sha2 {
	uint32_t h[8];
	uint64_t bytes;
	uint8_t block[64];
};

void sha2_init(struct sha2 *s);
void sha2_add(struct sha2 *s, const void *p, size_t n);
void sha2_end(struct sha2 *s, uint8_t out[32]);

#endif
