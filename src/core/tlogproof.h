/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tlogproof - the files and messages in which proofs travel: C2SP tlog-proof (offline receipts), the body of tlog-witness's
 * add-checkpoint, and the paths of tlog-tiles v0.1.0.
 *
 * Not proofs (proof.h) and not signatures (note.h). Pure. What is parsed points into the bytes that were given.
 */
#ifndef OSIER_CORE_TLOGPROOF_H
#define OSIER_CORE_TLOGPROOF_H

#include "core/note.h"
#include "core/proof.h"

#define TLOGPROOF_EXTRA_MAX (48u << 20) /* bytes, decoded: three entries at their largest */
#define TLOGPROOF_BYTES_MAX (NOTE_BYTES_MAX + 65u * 1024 * 1024)

/* c2sp.org/tlog-proof@v1
 * [extra BASE64]        not authenticated
 * index N
 * BASE64 ...            the inclusion path, from the leaf up
 *
 * the checkpoint, a note */
struct tlogproof {
	const char *extra; /* base64, checked; NULL: none */
	size_t extra_n;
	uint64_t index;
	struct proof path;
	const char *note; /* verbatim, to the end */
	size_t note_n;
};
/* ERR_INVALID: says what is wrong. The note is not looked into. */
int tlogproof_parse(const char *bytes, size_t n, struct tlogproof *out, struct err *e);
/* Bytes that tlogproof_print() writes at most. */
size_t tlogproof_size(const struct tlogproof *p);
/* Returns the length; no final NUL. extra: base64 text or NULL. */
size_t tlogproof_print(const struct tlogproof *p, char *out);

/* The body of add-checkpoint: "old N", a consistency proof, an empty line, a note. */
struct addcheckpoint {
	uint64_t old;
	struct proof path;
	const char *note;
	size_t note_n;
};
int addcheckpoint_parse(const char *bytes, size_t n, struct addcheckpoint *out, struct err *e);
size_t addcheckpoint_size(const struct addcheckpoint *a);
size_t addcheckpoint_print(const struct addcheckpoint *a, char *out);

/* ---- tiles ---- */

enum { TILE_WIDTH = 256, TILE_LEVEL_MAX = 63, TILE_PATH_MAX = 64 };

/* A tile of hashes at `level`, or a bundle of entries (`entries`, level 0): the hashes or entries [index * 256, index * 256 + width) of
 * that level. */
struct tile {
	bool entries;
	unsigned level;
	uint64_t index;
	unsigned width; /* 1 to 256; less than 256: partial */
};
/* "tile/0/x001/234.p/5" (below the log's prefix) and back. ERR_INVALID: it is no such path. */
size_t tile_path(const struct tile *t, char out[TILE_PATH_MAX]);
int tile_parse(const char *path, size_t n, struct tile *out, struct err *e);
/* How many hashes the tile has in a tree of `size` leaves: 0 to 256. */
unsigned tile_width(uint64_t size, unsigned level, uint64_t index);

/* The next entry of a bundle of n bytes, from *at on, which it moves: its length in 16 bits, big-endian, and its bytes. false: none is
 * whole there. */
bool bundle_next(const uint8_t *bundle, size_t n, size_t *at, const uint8_t **out, size_t *out_n);

#endif
