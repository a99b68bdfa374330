/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry - bytes <-> journal entries (Protocol Buffers, see osier.proto).
 *
 * Decoding treats the bytes as hostile: sizes, counts and enums are checked here, so that apply() can trust an
 * entry's shape (not its sense). Pure; memory comes from the caller's arena.
 */
#ifndef OSIER_WIRE_ENTRY_H
#define OSIER_WIRE_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "wire/osier.pb-c.h"

#define ENTRY_FORMAT      1u          /* bumped when the meaning of bytes changes; stored with the journal */
#define ENTRY_BYTES_MAX   (16u << 20) /* of one encoded entry */
#define LINK_NAME_MAX     63u         /* of a hub's name */
#define ENTRY_MEMBERS_MAX (1u << 20)  /* values of all fields of one entry, packed numbers not counted */

/* Bytes that entry_encode() will write. */
size_t entry_size(const Wire__Entry *en);

/* Write the entry to out (room for entry_size() bytes); returns the bytes written. */
size_t entry_encode(const Wire__Entry *en, uint8_t *out);

/* Read an entry into the arena. ERR_CORRUPT: not an entry; ERR_VERSION: a kind, field or enum value this osier does not know;
 * ERR_FULL: the arena is too small. The bytes may be dropped afterwards. Before anything is allocated, the bytes are
 * walked with the schema, so hostile ones cost no more memory than honest ones of their size. */
int entry_decode(struct arena *a, const uint8_t *bytes, size_t n, const Wire__Entry **out, struct err *e);

/* The same for a job specification alone (as the core keeps it). */
size_t jobspec_encode(const Wire__JobSpec *spec, uint8_t *out);
size_t jobspec_size(const Wire__JobSpec *spec);
/* Its values, of which an entry may have ENTRY_MEMBERS_MAX with the few around them: one with more could never be read again. */
#define JOBSPEC_VALUES_MAX (ENTRY_MEMBERS_MAX - 64u)
size_t jobspec_values(const Wire__JobSpec *spec);
int jobspec_decode(struct arena *a, const uint8_t *bytes, size_t n, const Wire__JobSpec **out, struct err *e);

/* The kind of an entry, and the number in field 1 of its body (a job's or a lease's; 0 where it is none), without reading the
 * rest: for who passes over millions. WIRE__ENTRY__BODY__NOT_SET: not an entry. */
Wire__Entry__BodyCase entry_peek(const uint8_t *bytes, size_t n, uint64_t *out_id);

/* A statement's bytes, which are a leaf of Receipts. */
size_t statement_size(const Wire__Statement *s);
size_t statement_encode(const Wire__Statement *s, uint8_t *out);

/* What a receipt carries beside its proof; hostile bytes, as entry_decode(). */
size_t receipt_file_size(const Wire__ReceiptFile *f);
size_t receipt_file_encode(const Wire__ReceiptFile *f, uint8_t *out);
int receipt_file_decode(
        struct arena *a, const uint8_t *bytes, size_t n, const Wire__ReceiptFile **out, struct err *e);

/* Is the shape of Results right: count at least 1, columns empty, of one value or of `count`, outputs and digests as many as they say,
 * outcomes such as an executor may report. entry_decode() checks it too. */
int results_check(const Wire__Results *r, struct err *e);

/* Where the outputs of the i-th task of well-shaped Results begin: how many outputs, digests, and bytes of outputs of at most
 * `small_max` bytes come before. i may be `count`. */
struct results_at {
	uint64_t outputs, digests, small_bytes;
};
struct results_at results_at(const Wire__Results *r, uint64_t i, uint64_t small_max);
/* *out: `n` of the tasks of well-shaped Results, from the i-th on. Its columns lie in r; the note goes with the first that did not succeed. */
void results_part(const Wire__Results *r, uint64_t i, uint64_t n, Wire__Results *out);

/* A protobuf-c allocator over an arena; free does nothing. `out` must live as long as it is used. */
void arena_allocator(struct arena *a, ProtobufCAllocator *out);

/* "lease_granted", "results" ... for humans and JSON. Never NULL. */
const char *entry_kind_name(const Wire__Entry *en);
const char *outcome_name(Wire__Outcome o);        /* "succeeded", "timed_out" ... */
const char *stop_reason_name(Wire__StopReason r); /* "cancelled", "preempted" ... */

/* A column of Results: empty = 0, one value = the same for all, else one each. */
/* Of a share of quotas: does it name a namespace, and not too much of it? */
#define QUOTA_SHARES_MAX 256u
bool quota_share_ok(const Wire__QuotaShare *s);
/* Results by themselves, as they lie beside commitments (engine/exec_commit.c). */
size_t results_size(const Wire__Results *r);
size_t results_encode(const Wire__Results *r, uint8_t *out);
int results_decode(struct arena *a, const uint8_t *bytes, size_t n, const Wire__Results **out, struct err *e);
/* Are the bytes an entry with commitments, not results? Without decoding it. */
bool entry_is_commitment(const uint8_t *bytes, size_t n);

/* In front of a nonce that a commitment hides its digest with: bytes of one. */
#define RESULT_NONCE_BYTES       16u
#define RESULT_COLUMN(r, col, i) ((r)->n_##col == 0 ? 0 : (r)->n_##col == 1 ? (r)->col[0] : (r)->col[i])

#endif
