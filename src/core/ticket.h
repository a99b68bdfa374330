/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ticket - what a hub signs so that one of its nodes may get blobs from another: who, which, and until when.
 *
 * Of no use to anybody else: whoever shows it also shows the certificate of the node that it names. Not the signature's arithmetic
 * (io/ca.h signs, io/cert.h checks). Pure; the bytes are anybody's until the signature was checked. Layout:
 *
 *	"osier ticket 1\n"  u64 expires_s (little-endian)  u8 n, hub  u8 n, node  u8 n, n * 32 bytes of SHA-256  |  64 bytes of Ed25519
 */
#ifndef OSIER_CORE_TICKET_H
#define OSIER_CORE_TICKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/frame.h"

#define TICKET_BLOBS_MAX FRAME_TICKET_BLOBS
#define TICKET_LIFE_S    600u
#define TICKET_SIG       64u
#define TICKET_BYTES_MAX FRAME_TICKET_BYTES

struct ticket {
	char hub[FRAME_NAME_MAX + 1], node[FRAME_NAME_MAX + 1];
	uint64_t expires_s; /* since 1970 */
	uint32_t n;
	uint8_t blob[TICKET_BLOBS_MAX][32];
};

/* Write what is signed; its length. The signature goes behind it. */
size_t ticket_write(const struct ticket *t, uint8_t out[TICKET_BYTES_MAX]);
/* ERR_CORRUPT: not a ticket. *out_signed: bytes that the signature, which follows them, is of. */
int ticket_read(const uint8_t *bytes, size_t n, struct ticket *out, size_t *out_signed, struct err *e);
/* May this node have that blob of this hub's now? The signature is the caller's to check. ERR_DENIED says why not. */
int ticket_allows(const struct ticket *t, const char *hub, const char *node, const uint8_t digest[32],
        uint64_t now_s, struct err *e);

#endif
