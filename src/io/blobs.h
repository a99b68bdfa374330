/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blobs - bytes by their SHA-256: files DIR/blobs/ab/cdef... (the digest's 64 digits, two of them the folder).
 *
 * Not the journal: small outputs live there. A blob is durable (file and folder synced) before its digest is told, and
 * never changes. One process has a store open for writing; its functions may be called from any thread of it, a
 * blob_writer from one thread at a time.
 * Limits: a blob's size, the sum of all (ERR_FULL with what to do), room that is left free on the disk.
 * Anyone on the machine may open a blob whose digest they know, and nobody but us can list them: tasks run under other users,
 * and who knows 256 bits of a hash has seen what is in it.
 * What is old goes when blobs_sweep() is called, oldest first, never what is pinned.
 */
#ifndef OSIER_IO_BLOBS_H
#define OSIER_IO_BLOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "io/sha256.h"

struct blobs;

struct blobs_limits {
	uint64_t blob_bytes_max; /* 0: 1 TiB */
	uint64_t bytes_max;      /* of all; 0: only the disk limits them */
	uint64_t keep_free;      /* bytes left free on the file system; 0: 64 MiB */
	uint64_t age_max_s;      /* blobs_sweep() drops what was not used for so long; 0: never for age */
	uint64_t grace_s;        /* and nothing younger than this, whatever the size; 0: one hour */
};

/* Open DIR/blobs, made if need be; half-written files of a crash are removed. limits may be NULL. */
int blobs_open(const char *dir, const struct blobs_limits *limits, struct blobs **out, struct err *e);
void blobs_close(struct blobs *b);

/* ---- putting ---- */

/* Will a blob of so many bytes fit, when the store shall also take in `beside` bytes that come elsewhere, and `coming` of all these are still
 * to be written? ERR_FULL. */
int blobs_room(struct blobs *b, uint64_t bytes, uint64_t beside, uint64_t coming, struct err *e);

/* So many bytes that were needed found no room: the next sweep makes some. Writers here say so by themselves. */
void blobs_press(struct blobs *b, uint64_t bytes);

struct blob_writer;
/* Begin a blob of `expect_bytes` (UINT64_MAX: not known). ERR_FULL at once when that cannot fit. */
int blob_begin(struct blobs *b, uint64_t expect_bytes, struct blob_writer **out, struct err *e);
/* Append. ERR_FULL at a limit or when the disk is full; then only blob_abort() is left. */
int blob_write(struct blob_writer *w, const void *p, size_t n, struct err *e);
/* Make it durable and tell its digest; w is gone either way. With `must` the digest must be that (ERR_INVALID: the bytes are
 * not what their sender said). Storing what is there already is fine. */
int blob_end(struct blob_writer *w, const uint8_t must[SHA256_BYTES], uint8_t out_digest[SHA256_BYTES],
        uint64_t *out_bytes, struct err *e);
void blob_abort(struct blob_writer *w);

/* Store n bytes. */
int blobs_put(struct blobs *b, const void *p, size_t n, uint8_t out_digest[SHA256_BYTES], struct err *e);

/* Store the file and remove it from `path` where that is allowed: by rename when that is safe (same file system, our file
 * or we are root, no other link), else by copy. Nobody may write to it any more; that it changed while it was hashed is
 * noticed (ERR_INVALID). A symbolic link or what is not a file is ERR_INVALID. On failure the file stays. */
int blobs_take_file(struct blobs *b, const char *path, uint8_t out_digest[SHA256_BYTES], uint64_t *out_bytes,
        struct err *e);

/* The same, but `path` stays, as a second name of the blob (a copy where that cannot be): for a file that whoever made it removes
 * when it hears that it was taken. Taken again it is found to be there already. */
int blobs_link_file(struct blobs *b, const char *path, uint8_t out_digest[SHA256_BYTES], uint64_t *out_bytes,
        struct err *e);

/* ---- getting ---- */

/* Whether it is there, and its size (out_bytes may be NULL). */
bool blobs_has(struct blobs *b, const uint8_t digest[SHA256_BYTES], uint64_t *out_bytes);
/* Say that it was used now: its age begins anew. */
void blobs_touch(struct blobs *b, const uint8_t digest[SHA256_BYTES]);
/* A descriptor for reading, close() is the caller's. ERR_NOTFOUND. */
int blobs_open_read(
        struct blobs *b, const uint8_t digest[SHA256_BYTES], int *out_fd, uint64_t *out_bytes, struct err *e);
/* The bytes in memory, until blobs_unmap(). An empty blob maps to a valid pointer. */
int blobs_map(struct blobs *b, const uint8_t digest[SHA256_BYTES], const uint8_t **out, size_t *out_n,
        struct err *e);
void blobs_unmap(const uint8_t *p, size_t n);
/* Its path, for a bind mount or a link; it may be gone after the next sweep. At most n bytes, cut never: false when too
 * small. */
bool blobs_path(struct blobs *b, const uint8_t digest[SHA256_BYTES], char *out, size_t n);
/* Read it all and compare: ERR_CORRUPT names the digest found. */
int blobs_verify(struct blobs *b, const uint8_t digest[SHA256_BYTES], struct err *e);

/* ---- keeping house ---- */

struct blobs_usage {
	uint64_t blobs, bytes;
};
int blobs_usage(struct blobs *b, struct blobs_usage *out, struct err *e);

/* Called when there was no room for something, from whichever thread found that, with a lock of the store held: it may only wake somebody
 * up who sweeps. NULL: nobody. */
void blobs_on_pressed(struct blobs *b, void (*fn)(void *ctx), void *ctx);

struct blobs_swept {
	uint64_t removed, removed_bytes, kept, kept_bytes, pinned_bytes;
};
/* Remove what was not used for age_max_s, then, oldest first, until bytes_max is kept, and, when there was no room for something since the
 * last sweep, that would have found room, and an eighth of the store beside it; never what `pinned` says true to
 * (called once for each candidate) and never what is younger than grace_s. now_s: seconds since 1970. */
int blobs_sweep(struct blobs *b, uint64_t now_s,
        bool (*pinned)(void *ctx, const uint8_t digest[SHA256_BYTES]), void *ctx, struct blobs_swept *out,
        struct err *e);
/* Remove one. ERR_NOTFOUND. */
int blobs_remove(struct blobs *b, const uint8_t digest[SHA256_BYTES], struct err *e);
/* Call `each` with every blob (in no order) until it returns < 0. */
int blobs_each(struct blobs *b,
        int (*each)(void *ctx, const uint8_t digest[SHA256_BYTES], uint64_t bytes, uint64_t used_s),
        void *ctx, struct err *e);

#endif
