/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys - small things the keeper asks of the kernel: clocks, short files of /proc and cgroups, raw calls that libc lacks.
 * Nothing here allocates; single-threaded.
 */
#ifndef OSIER_KEEPER_SYS_H
#define OSIER_KEEPER_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define NS_PER_S 1000000000u

uint64_t sys_mono_ns(void); /* CLOCK_MONOTONIC: all deadlines */
uint64_t sys_real_ns(void); /* since 1970: only to be told */

/* Close *fd if it is one, and forget it. */
void sys_close(int *fd);

/* A short file (below dirfd, or AT_FDCWD) as text, ended by NUL, at most max - 1 bytes. Returns its length or -1 (errno). */
ssize_t sys_read_file(int dirfd, const char *path, char *out, size_t max);
/* Write text to an existing file in one write. 0 or -1 (errno). */
int sys_write_file(int dirfd, const char *path, const char *text);
/* A number from the start of the file that is open as fd (read from its beginning each time), or `otherwise`. */
uint64_t sys_read_u64(int fd, uint64_t otherwise);
/* The number after `key` at a line's start in that file ("oom_kill 3"), or `otherwise`. */
uint64_t sys_read_key(int fd, const char *key, uint64_t otherwise);

struct dirent64_raw { /* getdents64(2) */
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};
bool sys_is_dots(const char *name); /* "." or ".." */

/* openat2(2) without leaving dirfd and without following any symbolic link. fd or -1 (errno). */
int sys_open_beneath(int dirfd, const char *path, int flags, unsigned mode);

/* Ask for short slices of CPU time, so that this process is on a CPU soon after it wakes however busy the machine is (it gets
 * no more time in all). Children inherit that, since the keeper waits for a child until it is its program. Linux 6.12; older ones
 * change nothing. */
void sys_prompt(void);
/* The usual slices, and no negative nice: for a child that is its program now. */
void sys_ordinary(pid_t pid);

/* "osier-keeper: ..." on stderr. */
void sys_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
