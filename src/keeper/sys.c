/* SPDX-License-Identifier: Apache-2.0 */
/* sys - see sys.h. */
#include "keeper/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLICE_NS 100000u /* the least that Linux gives */

static uint64_t clock_ns(clockid_t c)
{
	struct timespec t;

	(void)clock_gettime(c, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t sys_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t sys_real_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

void sys_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

ssize_t sys_read_file(int dirfd, const char *path, char *out, size_t max)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	size_t at = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -1;
	while (at < max - 1 && (n = read(fd, out + at, max - 1 - at)) > 0)
		at += (size_t)n;
	(void)close(fd);
	if (n < 0)
		return -1;
	out[at] = '\0';
	return (ssize_t)at;
}

int sys_write_file(int dirfd, const char *path, const char *text)
{
	int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);
	ssize_t n;
	int sys;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	sys = errno;
	(void)close(fd);
	errno = sys;
	return n < 0 ? -1 : 0;
}

uint64_t sys_read_u64(int fd, uint64_t otherwise)
{
	char text[32];
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0 || text[0] < '0' || text[0] > '9')
		return otherwise;
	text[n] = '\0';
	return strtoull(text, NULL, 10);
}

uint64_t sys_read_key(int fd, const char *key, uint64_t otherwise)
{
	char text[512], *p;
	size_t len = strlen(key);
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return otherwise;
	text[n] = '\0';
	for (p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (strncmp(p, key, len) == 0 && p[len] == ' ')
			return strtoull(p + len + 1, NULL, 10);
	return otherwise;
}

int sys_open_beneath(int dirfd, const char *path, int flags, unsigned mode)
{
	struct open_how how = {
	        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
	        .mode = mode,
	        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd, tries = 0;

	do { /* EAGAIN: something above was renamed meanwhile */
		fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	} while (fd < 0 && errno == EAGAIN && ++tries < 16);
	return fd;
}

static void slice(pid_t pid, uint64_t slice_ns, int nice)
{
	struct { /* struct sched_attr, sched_setattr(2): libc has neither */
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t slice_ns, deadline_ns, period_ns;
	} a = {
	        .size = sizeof(a),
	        .policy = SCHED_OTHER,
	        .nice = nice,
	        .slice_ns = slice_ns, /* elsewhere the runtime of SCHED_DEADLINE; of SCHED_OTHER: its slice */
	};

	if (sched_getscheduler(pid) == SCHED_OTHER)
		(void)syscall(SYS_sched_setattr, pid, &a, 0);
}

void sys_prompt(void)
{
	slice(0, SLICE_NS, getpriority(PRIO_PROCESS, 0));
}

void sys_ordinary(pid_t pid)
{
	int nice = getpriority(PRIO_PROCESS, (id_t)pid);

	slice(pid, 0, nice > 0 ? nice : 0);
}

void sys_say(const char *fmt, ...)
{
	char line[400];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	(void)dprintf(STDERR_FILENO, "osier-keeper: %.*s\n", n, line);
}

bool sys_is_dots(const char *n)
{
	return n[0] == '.' && (n[1] == '\0' || (n[1] == '.' && n[2] == '\0'));
}
