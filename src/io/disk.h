/* SPDX-License-Identifier: Apache-2.0 */
/* disk - how much room there is, and small things that every writer of durable files needs. */
#ifndef OSIER_IO_DISK_H
#define OSIER_IO_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct disk_space {
	uint64_t total_bytes;
	uint64_t
	        free_bytes; /* for ordinary users: what a file system keeps for root is not ours to give, even as root */
	uint64_t free_files; /* inodes; UINT64_MAX where the file system has no such limit */
};

/* Of the file system that `path` lies on. */
int disk_space(const char *path, struct disk_space *out, struct err *e);

/* ERR_FULL unless `want` bytes fit and `keep` remain; names the folder and both numbers. */
int disk_room(const char *path, uint64_t want, uint64_t keep, struct err *e);

/* Make a rename or a new file in the folder durable. */
int disk_sync_folder(const char *dir, struct err *e);

/* ENOSPC or EDQUOT. */
bool disk_errno_is_full(int sys);

#endif
