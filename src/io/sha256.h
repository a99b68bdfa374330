/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sha256 - SHA-256 by OpenSSL, with the algorithm fetched once (a fetch a call costs three times the hash).
 *
 * One struct sha256 per thread at a time; sha256_of() may be called from any thread.
 */
#ifndef OSIER_IO_SHA256_H
#define OSIER_IO_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "core/merkle.h"

#define SHA256_BYTES 32
#define SHA256_HEX   (2 * SHA256_BYTES)

struct sha256; /* a context: begin, update ..., end, and again */

struct sha256 *sha256_new(void); /* begun */
void sha256_free(struct sha256 *s);
void sha256_begin(struct sha256 *s);
void sha256_update(struct sha256 *s, const void *p, size_t n);
/* The digest of what came since begin; begins anew. */
void sha256_end(struct sha256 *s, uint8_t out[SHA256_BYTES]);

/* The digest of n bytes at once. */
void sha256_of(const void *p, size_t n, uint8_t out[SHA256_BYTES]);

/* For merkle.h: hashes with `s`, which must outlive it. */
struct merkle_hash sha256_merkle(struct sha256 *s);

/* 64 lower-case digits and a NUL. */
void sha256_hex(const uint8_t digest[SHA256_BYTES], char out[SHA256_HEX + 1]);
/* Exactly 64 lower-case digits: 0, else -1. */
int sha256_unhex(const char *hex, uint8_t out[SHA256_BYTES]);

#endif
