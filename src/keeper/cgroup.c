/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup - see cgroup.h. */
#include "keeper/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper/sys.h"

#define CPU_PERIOD_US 100000u
#define STALE_BYTES   (16u << 20)

void cgroup_clear(struct cgroup *g)
{
	memset(g, 0, sizeof(*g));
	for (int c = 0; c < CG_N; c++)
		g->enter_fd[c] = -1;
	g->dir_fd = g->count_fd = g->peak_fd = g->use_fd = g->oom_fd = -1;
}

/* c < 0: in the base that every group has a folder in. */
static void group_path(const struct cgroup_tree *t, int c, const char *name, const char *file, char out[800])
{
	const char *base = c >= 0 ? t->base[c] : t->folder;

	(void)snprintf(out, 800, "%s/%s%s%s", base, name, file[0] ? "/" : "", file);
}

static int group_open(const struct cgroup_tree *t, int c, const char *name, const char *file, int flags)
{
	char path[800];

	if (c >= 0 && !t->base[c][0])
		return -1;
	group_path(t, c, name, file, path);
	return open(path, flags | O_CLOEXEC);
}

static int put(
        const struct cgroup_tree *t, int c, const char *name, const char *file, const char *fmt, uint64_t v)
{
	char path[800], text[64];

	if (!t->base[c][0])
		return 0;
	group_path(t, c, name, file, path);
	(void)snprintf(text, sizeof(text), fmt, v); /* fmt: ours, one number */
	return sys_write_file(AT_FDCWD, path, text);
}

static int limit_cpu(const struct cgroup_tree *t, const struct cgroup *g, const struct cgroup_limits *l)
{
	uint64_t milli = l->cpu_milli ? l->cpu_milli : 1000, max = l->cpu_max_milli;
	uint64_t quota = max * CPU_PERIOD_US / 1000;

	if (quota && quota < 1000)
		quota = 1000; /* the kernel's least */
	if (t->version == 1) {
		uint64_t shares = milli * 1024 / 1000;

		if (shares < 2)
			shares = 2;
		if (shares > 262144)
			shares = 262144;
		if (put(t, CG_CPU, g->name, "cpu.shares", "%" PRIu64, shares) < 0)
			return -1;
		if (!max)
			return put(t, CG_CPU, g->name, "cpu.cfs_quota_us", "-1", 0) < 0 && errno != ENOENT
			               ? -1
			               : 0;
		return put(t, CG_CPU, g->name, "cpu.cfs_quota_us", "%" PRIu64, quota);
	}
	milli = milli / 10 < 1 ? 1 : milli / 10 > 10000 ? 10000 : milli / 10;
	if (put(t, CG_CPU, g->name, "cpu.weight", "%" PRIu64, milli) < 0)
		return -1;
	return max ? put(t, CG_CPU, g->name, "cpu.max", "%" PRIu64 " 100000", quota)
	           : put(t, CG_CPU, g->name, "cpu.max", "max 100000", 0);
}

static int limit_memory(const struct cgroup_tree *t, const struct cgroup *g, uint64_t bytes)
{
	if (t->version == 1) {
		/* memory + swap must never be below memory, so it goes out of the way first. */
		(void)put(t, CG_MEMORY, g->name, "memory.memsw.limit_in_bytes", "-1", 0);
		if (!bytes)
			return put(t, CG_MEMORY, g->name, "memory.limit_in_bytes", "-1", 0);
		if (put(t, CG_MEMORY, g->name, "memory.limit_in_bytes", "%" PRIu64, bytes) < 0)
			return -1;
		(void)put(t, CG_MEMORY, g->name, "memory.memsw.limit_in_bytes", "%" PRIu64, bytes);
		return 0;
	}
	(void)put(t, CG_MEMORY, g->name, "memory.swap.max", bytes ? "0" : "max", 0);
	return bytes ? put(t, CG_MEMORY, g->name, "memory.max", "%" PRIu64, bytes)
	             : put(t, CG_MEMORY, g->name, "memory.max", "max", 0);
}

static int limit_pids(const struct cgroup_tree *t, const struct cgroup *g, uint32_t max)
{
	return max ? put(t, CG_PIDS, g->name, "pids.max", "%" PRIu64, max)
	           : put(t, CG_PIDS, g->name, "pids.max", "max", 0);
}

static void open_files(const struct cgroup_tree *t, struct cgroup *g)
{
	if (t->version == 1) {
		for (int c = 0; c < CG_N; c++)
			g->enter_fd[c] = group_open(t, c, g->name, "tasks", O_WRONLY);
		g->peak_fd = group_open(t, CG_MEMORY, g->name, "memory.max_usage_in_bytes", O_RDWR);
		g->use_fd = group_open(t, CG_MEMORY, g->name, "memory.usage_in_bytes", O_RDONLY);
		g->oom_fd = group_open(t, CG_MEMORY, g->name, "memory.oom_control", O_RDONLY);
		g->peak_resets = g->peak_fd >= 0;
	} else {
		g->dir_fd = group_open(t, -1, g->name, "", O_PATH | O_DIRECTORY);
		g->peak_fd = group_open(
		        t, CG_MEMORY, g->name, "memory.peak", O_RDWR); /* writable since Linux 6.12 */
		g->peak_resets = g->peak_fd >= 0 && pwrite(g->peak_fd, "0", 1, 0) == 1;
		if (g->peak_fd < 0)
			g->peak_fd = group_open(t, CG_MEMORY, g->name, "memory.peak", O_RDONLY);
		g->use_fd = group_open(t, CG_MEMORY, g->name, "memory.current", O_RDONLY);
		g->oom_fd = group_open(t, CG_MEMORY, g->name, "memory.events", O_RDONLY);
	}
	g->count_fd = group_open(t, CG_PIDS, g->name, "pids.current", O_RDONLY);
	if (g->count_fd < 0 && t->version == 2)
		g->count_fd = group_open(t, -1, g->name, "cgroup.events", O_RDONLY);
}

static void close_files(struct cgroup *g)
{
	for (int c = 0; c < CG_N; c++)
		sys_close(&g->enter_fd[c]);
	sys_close(&g->dir_fd);
	sys_close(&g->count_fd);
	sys_close(&g->peak_fd);
	sys_close(&g->use_fd);
	sys_close(&g->oom_fd);
}

static int make_folders(const struct cgroup_tree *t, const char *name)
{
	char path[800];

	for (int c = 0; c < CG_N; c++) {
		if (!t->base[c][0])
			continue;
		group_path(t, c, name, "", path);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -1;
	}
	if (t->version == 2) { /* even with no controller at all: for kill and events */
		group_path(t, -1, name, "", path);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -1;
	}
	return 0;
}

static bool limits_equal(const struct cgroup_limits *a, const struct cgroup_limits *b)
{
	return a->cpu_milli == b->cpu_milli && a->cpu_max_milli == b->cpu_max_milli &&
	       a->memory_bytes == b->memory_bytes && a->pids_max == b->pids_max;
}

static int set_limits(
        const struct cgroup_tree *t, struct cgroup *g, const struct cgroup_limits *l, struct err *e)
{
	if (limit_cpu(t, g, l) < 0)
		return err_sys(e, "cannot set the CPU limit %u of cgroup '%s'", l->cpu_max_milli, g->name);
	if (limit_memory(t, g, l->memory_bytes) < 0)
		return err_sys(e, "cannot set the memory limit %" PRIu64 " of cgroup '%s'", l->memory_bytes,
		        g->name);
	if (limit_pids(t, g, l->pids_max) < 0)
		return err_sys(e, "cannot set the process limit %u of cgroup '%s'", l->pids_max, g->name);
	g->limits = *l;
	g->frozen_pids = false;
	return 0;
}

int cgroup_make(
        struct cgroup_tree *t, struct cgroup *g, uint32_t slot, const struct cgroup_limits *l, struct err *e)
{
	if (t->version == 0)
		return 0;
	if (g->used_up)
		cgroup_drop(t, g);
	if (g->made && !g->frozen_pids && limits_equal(&g->limits, l))
		return 0;
	if (g->made) {
		if (set_limits(t, g, l, e) == 0)
			return 0;
		cgroup_drop(t,
		        g); /* what stays charged to it can be above a lower limit: a fresh one has nothing */
	}
	cgroup_clear(g);
	(void)snprintf(g->name, sizeof(g->name), "slot-%u.%u", slot, ++t->generation);
	if (make_folders(t, g->name) < 0)
		return err_sys(e, "cannot make cgroup '%s'", g->name);
	g->made = true;
	open_files(t, g);
	if (set_limits(t, g, l, e) < 0) {
		cgroup_drop(t, g);
		return -1;
	}
	return 0;
}

void cgroup_begin(struct cgroup *g)
{
	if (!g->made || g->peak_fd < 0)
		return;
	if (g->peak_resets)
		(void)!pwrite(g->peak_fd, "0", 1, 0);
	else
		g->peak_before = sys_read_u64(g->peak_fd, 0);
}

int cgroup_enter(const struct cgroup *g)
{
	for (int c = 0; c < CG_N; c++)
		if (g->enter_fd[c] >= 0 && write(g->enter_fd[c], "0", 1) < 0)
			return errno;
	return 0;
}

/* Call `each` pid in the group: cgroup.procs of the first controller there is. Returns how many, or -1. */
static int each_pid(const struct cgroup_tree *t, const struct cgroup *g, int sig)
{
	char path[800], text[4096];
	int fd, found = 0;
	size_t have = 0;
	ssize_t n;

	group_path(t, -1, g->name, "cgroup.procs", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	while ((n = read(fd, text + have, sizeof(text) - 1 - have)) > 0) {
		char *line = text, *end;

		have += (size_t)n;
		text[have] = '\0';
		while ((end = strchr(line, '\n'))) {
			long pid = strtol(line, NULL, 10);

			if (pid > 1 && pid != getpid()) {
				found++;
				if (sig)
					(void)kill((pid_t)pid, sig);
			}
			line = end + 1;
		}
		have -= (size_t)(line - text);
		memmove(text, line, have);
	}
	(void)close(fd);
	return found;
}

bool cgroup_empty(const struct cgroup_tree *t, const struct cgroup *g)
{
	if (!g->made)
		return true;
	if (g->count_fd >= 0 && t->base[CG_PIDS][0])
		return sys_read_u64(g->count_fd, 0) == 0;
	if (g->count_fd >= 0)
		return sys_read_key(g->count_fd, "populated", 0) == 0;
	return each_pid(t, g, 0) <= 0;
}

unsigned cgroup_signal(const struct cgroup_tree *t, struct cgroup *g, int sig)
{
	int found;

	if (!g->made)
		return 0;
	found = each_pid(t, g, sig == SIGKILL && t->version == 2 ? 0 : sig);
	if (found <= 0)
		return 0;
	if (sig == SIGKILL) {
		char path[800];

		/* A fork bomb forks faster than one process kills: nothing new may begin in here. */
		(void)put(t, CG_PIDS, g->name, "pids.max", "0", 0);
		g->frozen_pids = true;
		group_path(t, -1, g->name, "cgroup.kill", path);
		g->used_up = t->version == 2;
		if (t->version != 2 || sys_write_file(AT_FDCWD, path, "1") < 0) {
			(void)each_pid(t, g, SIGKILL);
			(void)each_pid(t, g, SIGKILL); /* who was forked before pids.max was 0 */
		}
	}
	return (unsigned)found;
}

uint64_t cgroup_peak_bytes(struct cgroup *g)
{
	uint64_t peak;

	if (!g->made || g->peak_fd < 0)
		return 0;
	peak = sys_read_u64(g->peak_fd, 0);
	return !g->peak_resets && peak <= g->peak_before ? 0 : peak;
}

bool cgroup_oom(struct cgroup *g)
{
	uint64_t n = sys_read_key(g->oom_fd, "oom_kill", g->oom_kills);
	bool more = n > g->oom_kills;

	g->oom_kills = n;
	return more;
}

bool cgroup_stale(const struct cgroup *g)
{
	return g->made && g->use_fd >= 0 && sys_read_u64(g->use_fd, 0) > STALE_BYTES;
}

static bool remove_folders(const struct cgroup_tree *t, const char *name)
{
	char path[800];
	bool gone = true;

	for (int c = 0; c < CG_N; c++) {
		if (!t->base[c][0])
			continue;
		group_path(t, c, name, "", path);
		if (rmdir(path) < 0 && errno != ENOENT)
			gone = false;
	}
	group_path(t, -1, name, "", path);
	return (rmdir(path) == 0 || errno == ENOENT) && gone;
}

void cgroup_drop(struct cgroup_tree *t, struct cgroup *g)
{
	if (!g->made)
		return;
	close_files(g);
	if (!remove_folders(t, g->name) && t->n_old < CGROUP_OLD_MAX)
		memcpy(t->old[t->n_old++], g->name, sizeof(g->name));
	cgroup_clear(g);
}

unsigned cgroup_tree_sweep(struct cgroup_tree *t)
{
	for (unsigned i = 0; i < t->n_old;) {
		if (remove_folders(t, t->old[i]))
			memmove(t->old[i], t->old[--t->n_old], sizeof(t->old[i]));
		else
			i++;
	}
	return t->n_old;
}
