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

#define KEY_FILE_MAX       4096u
#define KEY_PASSPHRASE_ENV "OSIER_PASSPHRASE_FILE"

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

/* The passphrase that this process seals keys with: the first line of the file that KEY_PASSPHRASE_ENV names. NULL: none. Wipe and free it. */
char *key_passphrase(void);
void key_passphrase_forget(char *passphrase);

/* ---- for keys of other kinds (io/ethkey) ---- */

/* A new file of 0600 with this text, durable. ERR_EXISTS, ERR_SYSTEM. */
int key_file_write(const char *path, const char *text, size_t n, struct err *e);
/* A file's text, of which out has room for one byte too many; refused when others than its owner may use it, as ssh does. ERR_NOTFOUND,
 * ERR_DENIED, ERR_CORRUPT (no file), ERR_SYSTEM. Wipe it. */
int key_file_read(const char *path, char out[KEY_FILE_MAX + 1], size_t *out_n, struct err *e);

/* A secret line of at most 256 bytes, sealed; label: what it is the key of, without spaces, in clear. Returns the length. */
size_t key_seal(
        const char *label, const char *line, size_t n, const char *passphrase, char out[KEY_FILE_MAX]);
bool key_is_sealed(const char *text, size_t n);
/* The other way; the label is told even when the passphrase does not fit. Errors of key_load(). */
int key_unseal(const char *text, size_t n, const char *passphrase, char out_label[KEY_FILE_MAX + 1],
        char out_line[KEY_FILE_MAX], size_t *out_n, struct err *e);

#endif
