/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ed25519 - signatures (RFC 8032) by libsodium, which is about twice as fast at them as OpenSSL.
 *
 * Not where keys are kept. Any thread.
 */
#ifndef OSIER_IO_ED25519_H
#define OSIER_IO_ED25519_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/note.h"

/* The seed is the secret: 32 random bytes. Wipe it when done. */
void ed25519_public(const uint8_t seed[32], uint8_t out[32]);
void ed25519_sign(const uint8_t seed[32], const void *msg, size_t n, uint8_t out[64]);
bool ed25519_verify(const uint8_t key[32], const void *msg, size_t n, const uint8_t sig[64]);
/* As core/note.h wants it. */
struct note_verifier ed25519_verifier(void);

#endif
