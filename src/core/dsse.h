/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dsse - the envelope in which other tools expect a signed statement: DSSE v1.0.2 (secure-systems-lab/dsse).
 *
 * Not the signature itself (passed in), and not what is in the payload (provenance.h). What is signed is not the payload but
 * PAE(type, payload) = "DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload, lengths in bytes, decimal.
 * The envelope is JSON: {"payload": base64, "payloadType": text, "signatures": [{"keyid": text, "sig": base64}]}.
 * A keyid is a hint, signed by nobody: no decision rests on it. Pure.
 */
#ifndef OSIER_CORE_DSSE_H
#define OSIER_CORE_DSSE_H

#include "base/arena.h"
#include "core/note.h"

#define DSSE_IN_TOTO   "application/vnd.in-toto+json"
#define DSSE_BYTES_MAX (64u << 20) /* of an envelope */
#define DSSE_SIGS_MAX  64u
#define DSSE_PAE_HEAD  64u /* most that precedes type and payload in what is signed */

/* Bytes of PAE(type, payload), and the bytes. */
size_t dsse_pae_size(const char *type, size_t type_n, size_t n);
size_t dsse_pae(const char *type, size_t type_n, const void *payload, size_t n, uint8_t *out);

struct dsse_sig {
	const char *keyid; /* "" : none was given */
	const uint8_t *sig;
	size_t sig_n;
};
struct dsse {
	const char *type; /* with a NUL after it */
	size_t type_n;
	const uint8_t *payload;
	size_t payload_n;
	unsigned sigs; /* at least one */
	struct dsse_sig sig[DSSE_SIGS_MAX];
};
/* Everything in *out lives in the arena. Unknown members are passed over, as the specification wants it; base64 is read in both of its
 * alphabets. ERR_INVALID: not an envelope, says why; ERR_FULL: the arena is too small. */
int dsse_parse(struct arena *a, const char *bytes, size_t n, struct dsse *out, struct err *e);
/* The envelope in one line, with its newline. Writes at most max bytes; returns how many there are. */
size_t dsse_print(const struct dsse *d, char *out, size_t max);

/* Has `key` signed it? PAE is built in the arena. NOTE_UNSIGNED: no signature has the length of one; NOTE_FORGED: none of them is
 * this key's. ERR_FULL: < 0. */
int dsse_verify(struct arena *a, const struct dsse *d, const uint8_t key[32], const struct note_verifier *v,
        enum note_verdict *out, struct err *e);

#endif
