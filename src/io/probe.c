/* SPDX-License-Identifier: Apache-2.0 */
/* probe - see probe.h. Processors, memory, disk, and what the other files read with. */
#include "io/probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/check.h"
#include "io/probe_int.h"

#define PATH_BYTES 1024

/* ---- reading below the root ---- */

ssize_t probe_read(const struct probe_at *p, char *text, size_t max, const char *fmt, ...)
{
	char path[PATH_BYTES];
	va_list ap;
	size_t at;
	ssize_t n, got = 0;
	int fd;

	at = (size_t)snprintf(path, sizeof(path), "%s/", p->root);
	if (at >= sizeof(path))
		return -1;
	va_start(ap, fmt);
	n = vsnprintf(path + at, sizeof(path) - at, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(path) - at)
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -1;
	while ((size_t)got < max - 1 && (n = read(fd, text + got, max - 1 - (size_t)got)) > 0)
		got += n;
	(void)close(fd);
	if (n < 0 && got == 0)
		return -1;
	text[got] = '\0';
	while (got > 0 && (text[got - 1] == '\n' || text[got - 1] == ' '))
		text[--got] = '\0';
	return got;
}

uint64_t probe_number(const struct probe_at *p, uint64_t otherwise, const char *path)
{
	char text[64], *end;
	uint64_t v;

	if (probe_read(p, text, sizeof(text), "%s", path) <= 0 || text[0] < '0' || text[0] > '9')
		return otherwise;
	errno = 0;
	v = strtoull(text, &end, 0);
	return errno || (*end && *end != '\n' && *end != ' ') ? otherwise : v;
}

bool probe_link(const struct probe_at *p, const char *path, char *last, size_t max)
{
	char full[PATH_BYTES], to[PATH_BYTES], *slash;
	ssize_t n;

	if ((size_t)snprintf(full, sizeof(full), "%s/%s", p->root, path) >= sizeof(full))
		return false;
	n = readlink(full, to, sizeof(to) - 1);
	if (n <= 0)
		return false;
	to[n] = '\0';
	slash = strrchr(to, '/');
	return (size_t)snprintf(last, max, "%s", slash ? slash + 1 : to) < max;
}

/* As strcmp, but runs of digits by their value: card2 before card10. */
static int by_number(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;

	while (*x && *y) {
		bool dx = *x >= '0' && *x <= '9', dy = *y >= '0' && *y <= '9';

		if (dx && dy) {
			char *xe, *ye;
			unsigned long long m = strtoull(x, &xe, 10), n = strtoull(y, &ye, 10);

			if (m != n)
				return m < n ? -1 : 1;
			x = xe;
			y = ye;
			continue;
		}
		if (*x != *y)
			return *x < *y ? -1 : 1;
		x++;
		y++;
	}
	return *x ? 1 : *y ? -1 : strcmp(*(char *const *)a, *(char *const *)b);
}

/* PCI addresses are hexadecimal with a fixed number of digits: there the plain order is right. */
static int plainly(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct probe_names probe_names(const struct probe_at *p, const char *path)
{
	struct probe_names out = {0};
	char full[PATH_BYTES];
	struct dirent *en;
	size_t room = 0;
	DIR *d;

	if ((size_t)snprintf(full, sizeof(full), "%s/%s", p->root, path) >= sizeof(full))
		return out;
	d = opendir(full);
	while (d && (en = readdir(d))) {
		if (en->d_name[0] == '.')
			continue;
		if (out.n == room) {
			room = room ? room * 2 : 16;
			out.v = realloc(out.v, room * sizeof(*out.v));
			CHECK(out.v);
		}
		out.v[out.n] = strdup(en->d_name);
		CHECK(out.v[out.n]);
		out.n++;
	}
	if (d)
		(void)closedir(d);
	if (out.n)
		qsort(out.v, out.n, sizeof(*out.v), strstr(path, "bus/pci") ? plainly : by_number);
	return out;
}

void probe_names_free(struct probe_names *n)
{
	for (size_t i = 0; i < n->n; i++)
		free(n->v[i]);
	free(n->v);
	*n = (struct probe_names){0};
}

void probe_notice(struct probe *out, const char *fmt, ...)
{
	size_t at = strlen(out->notice);
	va_list ap;

	if (at && at < sizeof(out->notice) - 1)
		out->notice[at++] = '\n';
	va_start(ap, fmt);
	(void)vsnprintf(out->notice + at, sizeof(out->notice) - at, fmt, ap);
	va_end(ap);
}

struct probe_device *probe_add(struct probe *out, const char *resource, enum probe_vendor vendor)
{
	struct probe_device *d;

	if (out->n_devices == PROBE_DEVICES_MAX) {
		probe_notice(out, "more than %u devices: a %s is left out", PROBE_DEVICES_MAX, resource);
		return NULL;
	}
	d = &out->devices[out->n_devices];
	memset(d, 0, sizeof(*d));
	d->resource = resource;
	d->vendor = vendor;
	for (size_t i = 0; i < out->n_devices; i++) {
		const struct probe_device *o = &out->devices[i];

		d->index += strcmp(o->resource, resource) == 0;
		d->vendor_index += strcmp(o->resource, resource) == 0 && o->vendor == vendor;
	}
	out->n_devices++;
	return d;
}

/* ---- processors and memory ---- */

/* "0-3,8,10-11": how many. 0: not a list. */
static uint64_t count_list(const char *text)
{
	uint64_t n = 0;

	while (*text) {
		char *end;
		unsigned long a = strtoul(text, &end, 10), b = a;

		if (end == text)
			return 0;
		if (*end == '-') {
			text = end + 1;
			b = strtoul(text, &end, 10);
			if (end == text || b < a)
				return 0;
		}
		n += b - a + 1;
		if (*end && *end != ',')
			return 0;
		text = *end ? end + 1 : end;
	}
	return n;
}

static uint64_t count_cpus(const struct probe_at *p)
{
	char text[1024];
	uint64_t n = 0;
	cpu_set_t set;

	if (probe_read(p, text, sizeof(text), "sys/devices/system/cpu/online") > 0)
		n = count_list(text);
	if (p->root[0] == '\0' && sched_getaffinity(0, sizeof(set), &set) == 0) {
		uint64_t may = (uint64_t)CPU_COUNT(&set);

		if (n == 0 || may < n)
			n = may;
	}
	return n;
}

static uint64_t total_memory(const struct probe_at *p)
{
	char text[4096], *line;

	if (probe_read(p, text, sizeof(text), "proc/meminfo") <= 0)
		return 0;
	line = strstr(text, "MemTotal:");
	return line ? strtoull(line + 9, NULL, 10) * 1024 : 0;
}

static void at_most(uint64_t *v, uint64_t limit)
{
	if (limit && limit < *v)
		*v = limit;
}

/* The limits in one folder of a cgroup tree (of either version; a file that is not there limits nothing). */
static void folder_limits(const struct probe_at *p, const char *folder, struct probe *out)
{
	char text[64], path[PATH_BYTES], *space;
	uint64_t quota, period;

	if (probe_read(p, text, sizeof(text), "%s/cpu.max", folder) > 0 && (space = strchr(text, ' ')) &&
	        text[0] != 'm') {
		quota = strtoull(text, NULL, 10);
		period = strtoull(space + 1, NULL, 10);
		if (period && quota < UINT64_MAX / 1000)
			at_most(&out->cpu_milli, quota * 1000 / period);
	}
	(void)snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us",
	        folder); /* -1: no limit, which is no number here */
	quota = probe_number(p, 0, path);
	(void)snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", folder);
	period = probe_number(p, 0, path);
	if (quota && period && quota < UINT64_MAX / 1000)
		at_most(&out->cpu_milli, quota * 1000 / period);
	(void)snprintf(path, sizeof(path), "%s/memory.max", folder);
	at_most(&out->memory_bytes, probe_number(p, 0, path));
	(void)snprintf(path, sizeof(path), "%s/memory.limit_in_bytes", folder);
	at_most(&out->memory_bytes, probe_number(p, 0, path));
}

/* The limits of this process's group and of all above it. In a container the group's own path may not exist: then the top counts. */
static void cgroup_limits(const struct probe_at *p, struct probe *out)
{
	static const char *const tops[] = {"sys/fs/cgroup", "sys/fs/cgroup/unified", "sys/fs/cgroup/cpu",
	        "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/memory"};
	char text[4096];

	if (probe_read(p, text, sizeof(text), "proc/self/cgroup") < 0)
		text[0] = '\0';
	for (size_t t = 0; t < ARRAY_LEN(tops); t++) {
		folder_limits(p, tops[t], out);
		for (char *line = text; *line;) {
			char *end = strchrnul(line, '\n'), *group = memchr(line, '/', (size_t)(end - line));
			char folder[PATH_BYTES];

			for (size_t len = group ? (size_t)(end - group) : 0; len > 1;) {
				(void)snprintf(folder, sizeof(folder), "%s%.*s", tops[t], (int)len, group);
				folder_limits(p, folder, out);
				while (len > 1 && group[--len] != '/')
					;
			}
			line = *end ? end + 1 : end;
		}
	}
}

int probe_machine(const char *root, const char *state_dir, struct probe *out, struct err *e)
{
	struct probe_at p = {root ? root : "", out};
	struct statvfs fs;

	memset(out, 0, sizeof(*out));
	out->cpus = count_cpus(&p);
	out->memory_bytes = total_memory(&p);
	if (!out->cpus)
		return err_set(e, ERR_SYSTEM,
		        "cannot count the processors in '%s/sys/devices/system/cpu/online'", p.root);
	if (!out->memory_bytes)
		return err_set(e, ERR_SYSTEM, "cannot read the memory's size from '%s/proc/meminfo'", p.root);
	out->cpu_milli = out->cpus * 1000;
	cgroup_limits(&p, out);
	if (statvfs(state_dir, &fs) < 0)
		return err_sys(e, "cannot tell the size of the disk of '%s'", state_dir);
	out->disk_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	out->disk_total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
	probe_gpus(&p);
	probe_fpgas(&p);
	return 0;
}
