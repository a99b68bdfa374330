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
	RECORD_END
};

#endif
