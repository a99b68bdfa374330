/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot - what the writer and the reader of snapshots agree on; private to src/core, see snapshot.c. */
#ifndef OSIER_CORE_SNAPSHOT_H
#define OSIER_CORE_SNAPSHOT_H

#define SNAPSHOT_MAGIC   "osier state"
#define SNAPSHOT_HEAD    16 /* magic with its NUL, u32 version */
#define SNAPSHOT_VERSION 1u
#define UNIT_READY       0x80u /* in a unit's byte */

enum record_kind {
	RECORD_ENGINE = 1,
	RECORD_NODE,
	RECORD_NAMESPACE,
	RECORD_JOB,
	RECORD_LEASE,
	RECORD_SCHED,
	RECORD_END,
	RECORD_IDENTITY, /* before the end all the same; only when there is something */
	RECORD_LINKS,    /* likewise, after it */
	RECORD_QUOTA     /* likewise; one for each node that has a share, in their order */
};

/* Where a kind comes in the order of records. */
static inline unsigned record_rank(unsigned kind)
{
	return kind >= RECORD_IDENTITY ? 4u * RECORD_SCHED + kind - RECORD_END : 4u * kind;
}

#endif
