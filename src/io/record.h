/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record - where a state folder's journal lies, when it is not in the folder: the file STATE/record.
 *
 * Not the journal (journal.h), which reads it. Lines `url URL`, `standby yes|no`, `holder NAME`, `journal ID`, `epoch N`; mode 0600, because
 * a URL may hold a password. Replaced whole, so it is there or is not. No file: the journal is STATE/journal.db.
 */
#ifndef OSIER_IO_RECORD_H
#define OSIER_IO_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "io/pg.h"

#define RECORD_NAME_MAX 160u

struct record {
	char url[PG_URL_MAX + 1];
	bool standby;                      /* wait while another engine holds it */
	char holder[RECORD_NAME_MAX + 1];  /* how this folder calls itself there: HOST:DIR#RANDOM */
	char journal[RECORD_NAME_MAX + 1]; /* the journal's id, once it was seen; else "" */
	uint64_t epoch;                    /* of this folder's last hold; 0: none */
};

/* *out_found false: the folder has none. ERR_CORRUPT, ERR_DENIED, ERR_SYSTEM. */
int record_load(const char *dir, struct record *out, bool *out_found, struct err *e);
/* Durably. Fills in holder when it is "". ERR_INVALID: the URL. */
int record_save(const char *dir, struct record *r, struct err *e);
/* A folder that was copied is not the one that holds what the other held: then `holder` becomes "". */
int record_own(const char *dir, struct record *r, struct err *e);
/* Take it away: from now on the folder's journal is its own. */
int record_remove(const char *dir, struct err *e);

#endif
