/* SPDX-License-Identifier: Apache-2.0 */
/* audit_int - what audit.c (the computing) and audit_source.c (where bytes lie) share; for nobody else. */
#ifndef OSIER_IO_AUDIT_INT_H
#define OSIER_IO_AUDIT_INT_H

#include "io/audit.h"
#include "io/logstore.h"

typedef int audit_entry_fn(
        void *ctx, uint64_t seq, const uint8_t leaf[32], const uint8_t *bytes, size_t n, struct err *e);

/* Stored bytes. One reader for each thread. */
struct audit_source {
	const char *dir;
	int (*open)(const char *dir, void **out, struct err *e);
	void (*close)(void *reader);
	/* Every entry of [from, to), hashed and compared with its leaf; bytes NULL: expired. `ctx` may call leaves() on another reader only. */
	int (*scan)(void *reader, uint64_t from, uint64_t to, audit_entry_fn *each, void *ctx, struct err *e);
	int (*leaves)(void *reader, uint64_t from, uint64_t n, uint8_t (*out)[32], struct err *e);
	/* The stored roots of complete tiles: hashes [first, first + n) of a level from 1 on. */
	int (*hashes)(
	        void *reader, unsigned level, uint64_t first, uint64_t n, uint8_t (*out)[32], struct err *e);
	/* The newest head, malloc'd; NULL: none. *out_entries: how many there are. */
	int (*head)(void *reader, char **out_note, size_t *out_n, uint64_t *out_entries, struct err *e);
};

extern const struct audit_source audit_state_source, audit_folder_source;

#endif
