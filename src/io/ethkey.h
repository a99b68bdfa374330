/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ethkey - keys of Ethereum accounts and their signatures, by libsecp256k1: deterministic (RFC 6979), low s (EIP-2), recoverable.
 *
 * Not where keys are kept. Any thread. The library's context is made for each call and blinded with fresh randomness, and the
 * copies of the secret that are made here are wiped; the caller wipes its own. A signature takes about 0.1 ms.
 */
#ifndef OSIER_IO_ETHKEY_H
#define OSIER_IO_ETHKEY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/evm.h"

/* The secret: 32 bytes, big-endian, not 0 and below the order of the curve. False: it is not. */
bool ethkey_secret_ok(const uint8_t secret[32]);
/* A new one, from the system's randomness. */
void ethkey_secret_new(uint8_t out[32]);
/* x and y. ERR_INVALID: not a secret. */
int ethkey_public(const uint8_t secret[32], uint8_t out[64], struct err *e);
/* The account of a secret. */
int ethkey_account(const uint8_t secret[32], uint8_t out[20], struct err *e);
/* Sign a hash; checked before it is handed out by recovering the key from it. ERR_INVALID: not a secret. */
int ethkey_sign(const uint8_t secret[32], const uint8_t hash[32], struct evm_sig *out, struct err *e);
/* Who signed this hash? False: nobody can have. High s is refused. */
bool ethkey_recover(const struct evm_sig *sig, const uint8_t hash[32], uint8_t out_account[20]);

/* ---- in files, as io/keys has them: 0600, sealed with a passphrase or not ----
 *	osier account key v1 0xACCOUNT 0xSECRET
 */

/* Make a key and its file, which must not exist. Errors of key_create(). */
int ethkey_create(const char *path, const char *passphrase, uint8_t out_account[20], struct err *e);
/* The account of the key in this file, which is made when there is none. Errors of key_create(). */
int ethkey_open_account(const char *path, const char *passphrase, uint8_t out_account[20], struct err *e);
/* Keep a secret that comes from elsewhere. ERR_INVALID: not a secret. */
int ethkey_store(const char *path, const char *passphrase, const uint8_t secret[32], struct err *e);
/* Errors of key_load(). Wipe the secret. */
int ethkey_load(const char *path, const char *passphrase, uint8_t out_secret[32], struct err *e);
/* Which account it is of, without the passphrase. */
int ethkey_load_account(const char *path, uint8_t out_account[20], bool *out_sealed, struct err *e);

#endif
