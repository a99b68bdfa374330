/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calendar - asks calendars of OpenTimestamps for proofs, at once and, hours later, for what completes them.
 *
 * The proofs are core/ots's. Blocking. Only calendars that the caller names are ever asked, whatever address a proof holds: a proof may
 * come from anybody.
 */
#ifndef OSIER_IO_CALENDAR_H
#define OSIER_IO_CALENDAR_H

#include "core/ots.h"
#include "io/http.h"

#define CALENDARS_MAX       8
#define CALENDAR_ANSWER_MAX 8000u /* bytes; give http_new() no less. All of them fit a file */

/* SHA-1 and RIPEMD-160, as struct ots_reader wants them. */
bool calendar_hash(void *ctx, enum ots_op op, const uint8_t *p, size_t n, uint8_t out[20]);

struct calendars {
	struct http *http;
	const char *const *urls; /* without a slash at the end */
	unsigned n;              /* 1..CALENDARS_MAX */
};
/* A proof of the SHA-256 digest, pending at every calendar that answered, of which there must be `least`. *out_got: how many did. Errors
 * of http_ask(), of the last that failed. */
int calendar_stamp(const struct calendars *c, const uint8_t digest[32], unsigned least,
        uint8_t out[OTS_FILE_MAX], size_t *out_n, unsigned *out_got, struct err *e);
/* Ask each named calendar that the proof is pending at for the rest, and put it in. *out_added: how many were ready (0: *out is
 * not written). Nobody answering is an error only when none was ready. */
int calendar_complete(const struct calendars *c, const uint8_t *file, size_t n, uint8_t out[OTS_FILE_MAX],
        size_t *out_n, unsigned *out_added, struct err *e);

#endif
