/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys - Ed25519 keys in files of their own: made, sealed, read, wiped.
 *
 * Not certificates, and not keys of a chain. A file is readable by its owner alone (0600), and holds either one line, as Go's
 * note package writes it,
 *	PRIVATE+KEY+NAME+ID+BASE64(type || seed)
 * or the same sealed with a passphrase (Argon2id, then XSalsa20-Poly1305: libsodium's crypto_pwhash and secretbox):
 *	osier sealed key v1
 *	VKEY
 *	argon2id OPERATIONS BYTES SALT
 *	NONCE BOX
 * Salt, nonce and box are base64; the box holds the line above. Blocking; any thread.
 */
#ifndef OSIER_IO_KEYS_H
#define OSIER_IO_KEYS_H

#include "base/err.h"
#include "core/note.h"

#define KEY_FILE_MAX 4096u

struct key {
	struct note_key pub;
	uint8_t seed[32]; /* secret */
};

/* Make a key from the system's randomness, and its file, which must not exist. passphrase NULL: not sealed. ERR_EXISTS,
 * ERR_SYSTEM, ERR_INVALID (the name). Durable when it returns. */
int key_create(const char *path, const char *name, enum note_key_type type, const char *passphrase,
        struct key *out, struct err *e);
/* ERR_NOTFOUND: no file; ERR_DENIED: it is sealed and there is no passphrase, or a wrong one, or others may read it;
 * ERR_CORRUPT: not a key. */
int key_load(const char *path, const char *passphrase, struct key *out, struct err *e);
/* Only what is public, which needs no passphrase. */
int key_load_public(const char *path, struct note_key *out, bool *out_sealed, struct err *e);
/* Wipe the secret. */
void key_forget(struct key *k);

/* The text of a key's file, and back: what key_create() and key_load() do between memory and disk. */
size_t key_print(const struct key *k, const char *passphrase, char out[KEY_FILE_MAX]);
int key_parse(const char *text, size_t n, const char *passphrase, struct key *out, struct err *e);

#endif
