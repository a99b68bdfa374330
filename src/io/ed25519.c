/* SPDX-License-Identifier: Apache-2.0 */
/* ed25519 - see ed25519.h. */
#include "io/ed25519.h"

#include <sodium.h>

#include "base/check.h"

/* libsodium's secret key is seed and public key; making it costs as much as a signature, so who signs often keeps it. */
static void keypair(const uint8_t seed[32], uint8_t pub[32], uint8_t secret[64])
{
	CHECK(sodium_init() >= 0);
	CHECK(crypto_sign_seed_keypair(pub, secret, seed) == 0);
}

void ed25519_public(const uint8_t seed[32], uint8_t out[32])
{
	uint8_t secret[64];

	keypair(seed, out, secret);
	sodium_memzero(secret, sizeof(secret));
}

void ed25519_sign(const uint8_t seed[32], const void *msg, size_t n, uint8_t out[64])
{
	uint8_t pub[32], secret[64];

	keypair(seed, pub, secret);
	CHECK(crypto_sign_detached(out, NULL, msg, n, secret) == 0);
	sodium_memzero(secret, sizeof(secret));
}

bool ed25519_verify(const uint8_t key[32], const void *msg, size_t n, const uint8_t sig[64])
{
	CHECK(sodium_init() >= 0);
	return crypto_sign_verify_detached(sig, msg, n, key) == 0;
}

static bool verify(void *ctx, const uint8_t key[32], const void *msg, size_t n, const uint8_t sig[64])
{
	(void)ctx;
	return ed25519_verify(key, msg, n, sig);
}

struct note_verifier ed25519_verifier(void)
{
	return (struct note_verifier){verify, NULL};
}
