/* SPDX-License-Identifier: Apache-2.0 */
/*
 * note - signed notes and the checkpoints in them: C2SP signed-note v1.0.0, tlog-checkpoint v1.0.0, tlog-cosignature v1.0.1.
 *
 * Not the signatures themselves: verifying Ed25519 is passed in, making one is the shell's. Pure.
 * A note is text that ends in a newline, an empty line, and lines "— NAME BASE64" (U+2014) with a key id of 4 bytes and a
 * signature. What is parsed points into the bytes that were given.
 */
#ifndef OSIER_CORE_NOTE_H
#define OSIER_CORE_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define NOTE_BYTES_MAX (128u * 1024u)
#define NOTE_SIGS_MAX  64
#define NOTE_NAME_MAX  255                                   /* bytes of a key's name */
#define NOTE_VKEY_MAX  (NOTE_NAME_MAX + 1 + 8 + 1 + 44 + 1)  /* NAME+ID+KEY and a NUL */
#define NOTE_LINE_MAX  (4 + NOTE_NAME_MAX + 1 + 104 + 1 + 1) /* a signature line and a NUL */
#define COSIGNED_HEAD                                                                                        \
	"cosignature/v1\ntime 18446744073709551615\n" /* longest of what precedes a cosigned text */

enum note_key_type {
	NOTE_ED25519 = 0x01,     /* a log's signature over the text */
	NOTE_COSIGNATURE = 0x04, /* a witness's, over a time and the text */
};
struct note_key {
	char name[NOTE_NAME_MAX + 1];
	uint8_t id[4];
	uint8_t type; /* enum note_key_type */
	uint8_t key[32];
};

/* Key names: UTF-8, not empty, no white space, no "+", no control characters, at most NOTE_NAME_MAX bytes. */
bool note_name_ok(const char *name, size_t n);
/* Fill in a key: its id is SHA-256(name || 0x0A || type || key)[0..4). The name must be ok (CHECKed). */
void note_key_make(const char *name, enum note_key_type type, const uint8_t key[32], struct note_key *out);
/* "NAME+ID+BASE64" (n bytes, no newline). ERR_INVALID: says what is wrong; the id must be that of the key. */
int note_key_parse(const char *vkey, size_t n, struct note_key *out, struct err *e);
void note_key_print(const struct note_key *k, char out[NOTE_VKEY_MAX]);

struct note_sig {
	const char *name;
	size_t name_n;
	uint8_t id[4];
	const char *base64; /* with the id in front, as it stands */
	size_t base64_n;
};
struct note {
	const char *text; /* with its last newline */
	size_t text_n;
	unsigned sigs; /* at least one */
	struct note_sig sig[NOTE_SIGS_MAX];
};
/* ERR_INVALID: not a note, says why. */
int note_parse(const char *bytes, size_t n, struct note *out, struct err *e);

struct note_verifier {
	/* Is sig an Ed25519 signature (RFC 8032) by `key` of the n bytes at msg? */
	bool (*ed25519)(void *ctx, const uint8_t key[32], const void *msg, size_t n, const uint8_t sig[64]);
	void *ctx;
};
enum note_verdict {
	NOTE_UNSIGNED, /* there is no signature by this key: other keys' are nobody's business here */
	NOTE_SIGNED,
	NOTE_FORGED, /* there is one by its name and id that does not verify: the note is to be refused */
};
/* Has k signed it? For a NOTE_COSIGNATURE *out_time is the time of the newest one, seconds since 1970 (may be NULL). */
enum note_verdict note_verify(
        const struct note *n, const struct note_key *k, const struct note_verifier *v, uint64_t *out_time);

/* The bytes that a witness signs: head and text. `out` has room for sizeof(COSIGNED_HEAD) + text_n; returns the length. */
size_t note_cosigned(uint64_t time_s, const char *text, size_t text_n, char *out);
/* A signature line, with its newline. time_s: for NOTE_COSIGNATURE. Returns its length. */
size_t note_line(const struct note_key *k, uint64_t time_s, const uint8_t sig[64], char out[NOTE_LINE_MAX]);

/* ---- checkpoints: the text of a note about a log ---- */

#define CHECKPOINT_TEXT_MAX (NOTE_NAME_MAX + 1 + 20 + 1 + 44 + 1 + 1)
struct checkpoint {
	const char *origin; /* of the log; never empty */
	size_t origin_n;
	uint64_t size;
	uint8_t root[32];
	const char *extensions; /* further lines, each with its newline; read, never written by us */
	size_t extensions_n;
};
/* ERR_INVALID: says what is wrong. */
int checkpoint_parse(const char *text, size_t n, struct checkpoint *out, struct err *e);
/* Origin, size and root as text (extensions are not written); returns its length. origin_n <= NOTE_NAME_MAX. */
size_t checkpoint_print(const struct checkpoint *c, char out[CHECKPOINT_TEXT_MAX]);

#endif
