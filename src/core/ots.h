/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ots - OpenTimestamps proofs (.ots): read, made, completed.
 *
 * Not asking calendars (io/calendar) and not whether Bitcoin has the block: a proof ends in "the Merkle root of block N is D", which is
 * for whoever has block headers to compare. Pure, but for a scratch area and hashes that the caller lends.
 *
 *	file = magic[31] || 01 || hash op || digest || timestamp
 *	timestamp of a message = (FF item)* item; item = attestation, or an operation and the timestamp of what it makes
 *	attestation = 00 || tag[8] || varbytes; operation = F0 append, F1 prepend (varbytes 1..4096), or one byte:
 *	08 SHA-256, 02 SHA-1, 03 RIPEMD-160, 67 Keccak-256, F2 reverse, F3 to hexadecimal; lengths are LEB128
 */
#ifndef OSIER_CORE_OTS_H
#define OSIER_CORE_OTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define OTS_FILE_MAX    65536u
#define OTS_MESSAGE_MAX 4096u
#define OTS_FORKS_MAX   32 /* that may be open at once */
#define OTS_URI_MAX     1000u

enum ots_op {
	OTS_SHA1 = 0x02,
	OTS_RIPEMD160 = 0x03,
	OTS_SHA256 = 0x08,
	OTS_KECCAK256 = 0x67,
	OTS_APPEND = 0xf0,
	OTS_PREPEND = 0xf1,
	OTS_REVERSE = 0xf2,
	OTS_HEX = 0xf3,
};
enum ots_kind { OTS_PENDING, OTS_BITCOIN, OTS_LITECOIN, OTS_ETHEREUM, OTS_UNKNOWN };
struct ots_attestation { /* all borrowed, for the call */
	enum ots_kind kind;
	uint8_t tag[8];
	const char *uri; /* OTS_PENDING: of the calendar; uri_n characters, only letters, digits and -._/: */
	size_t uri_n;
	uint64_t height; /* OTS_BITCOIN, OTS_LITECOIN, OTS_ETHEREUM: the block */
	const uint8_t *
	        message; /* what is attested: OTS_PENDING, what the calendar calls the commitment; else the block's root */
	size_t message_n;
	size_t at, end; /* its bytes in the file */
	bool last;      /* nothing else follows of the same message */
};
struct ots_reader {
	/* SHA-1 and RIPEMD-160 of n bytes, for which the core has no code; NULL, or false: such a proof is refused. */
	bool (*hash)(void *ctx, enum ots_op op, const uint8_t *p, size_t n, uint8_t out[20]);
	/* Each attestation, in the order of the file. */
	void (*visit)(void *ctx, const struct ots_attestation *a);
	void *ctx;
	/* scratch */
	uint8_t message[OTS_MESSAGE_MAX], fork[OTS_FORKS_MAX][OTS_MESSAGE_MAX];
	size_t message_n, fork_n[OTS_FORKS_MAX];
	unsigned forks;
};
struct ots_file {
	enum ots_op op; /* of what was hashed: OTS_SHA256 for osier's */
	uint8_t digest[32];
	size_t digest_n;
};
/* ERR_INVALID: not such a file, says why; ERR_VERSION: of a newer version; ERR_FULL: beyond a limit above. */
int ots_read(struct ots_reader *r, const uint8_t *file, size_t n, struct ots_file *out, struct err *e);
/* A timestamp alone, of this message: what a calendar answers. Offsets count from its first byte. */
int ots_read_timestamp(struct ots_reader *r, const uint8_t *p, size_t n, const uint8_t *message,
        size_t message_n, struct err *e);

/* What calendars are given instead of the digest: SHA-256(digest || nonce), so that they learn nothing. */
void ots_commitment(const uint8_t digest[32], const uint8_t nonce[16], uint8_t out[32]);

struct ots_piece {
	const uint8_t *p;
	size_t n;
};
/* A file for a SHA-256 digest, out of what `count` > 0 calendars answered for its commitment (each read before). Returns its length, or
 * 0: more than max. */
size_t ots_make(const uint8_t digest[32], const uint8_t nonce[16], const struct ots_piece *answer,
        size_t count, uint8_t *out, size_t max);
/* Put a calendar's later answer (read before, for its message) beside the pending attestation that is bytes at..end, `last` as it was told,
 * of `file`. Returns the length, or 0: more than max. out must not overlap. */
size_t ots_complete(const uint8_t *file, size_t n, const struct ots_attestation *pending,
        struct ots_piece answer, uint8_t *out, size_t max);

#endif
