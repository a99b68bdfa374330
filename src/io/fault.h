/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault - a seam through which a test makes the n-th write or sync fail.
 *
 * Nothing is armed unless $OSIER_FAULT says so (read when a journal or a blob store is opened) or fault_arm() is called.
 * Any thread may ask. A point that is not armed costs one relaxed load.
 *
 * $OSIER_FAULT is POINT:NTH:ERRNO[:TIMES],...   NTH from 1; TIMES how many in a row fail, 0 from there on for ever, 1 when
 * left out; e.g. wal_write:3:ENOSPC:10,wal_sync:20:EIO
 * $OSIER_FAULT is @PATH: what that file says, for the one process that comes first: it removes the file. So a fault can be
 * laid for the next engine of a node, and for no other.
 */
#ifndef OSIER_IO_FAULT_H
#define OSIER_IO_FAULT_H

#include <stdint.h>

#include "base/err.h"

enum fault_point {
	FAULT_WAL_WRITE,      /* wal_write: the journal's log */
	FAULT_WAL_SYNC,       /* wal_sync */
	FAULT_DB_WRITE,       /* db_write: the journal's database file (checkpoints) */
	FAULT_DB_SYNC,        /* db_sync */
	FAULT_SNAPSHOT_WRITE, /* snapshot_write */
	FAULT_SNAPSHOT_SYNC,  /* snapshot_sync */
	FAULT_BLOB_WRITE,     /* blob_write */
	FAULT_BLOB_SYNC,      /* blob_sync */
	FAULT_POINTS
};

/* Count one operation at the point. 0: go on; else the errno to fail with. */
int fault_hit(enum fault_point p);

/* Fail the nth operation from now on (1: the next) with `sys`, and `times` in a row (0: for ever). */
void fault_arm(enum fault_point p, uint64_t nth, int sys, uint64_t times);
void fault_disarm_all(void);

/* Arm what $OSIER_FAULT names, the first time it is called. ERR_INVALID: it does not read as above. */
int fault_from_env(struct err *e);
/* The same from a string. */
int fault_parse(const char *spec, struct err *e);

#endif
