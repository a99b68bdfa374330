/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc - finding processes of tasks by /proc, where there is no cgroup to ask; see keeper.h.
 *
 * The keeper is a subreaper: whoever loses its parent becomes its child. A child that is no slot's own process belongs to the
 * slot of its session, or of the mark OSIER_KEPT in its environment. One that hid both is killed when any task ends: it cannot be
 * told whose it is, and nothing of a task may live on.
 */
#include "keeper/keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper/sys.h"

/* Whether the process has OSIER_KEPT=HASH.… in its environment; *out_lease, *out_index from it. */
static bool marked(const struct keeper *k, long pid, uint64_t *out_lease, uint64_t *out_index)
{
	char path[40], want[40], text[65536];
	ssize_t n;
	int len;

	(void)snprintf(path, sizeof(path), "/proc/%ld/environ", pid);
	n = sys_read_file(AT_FDCWD, path, text, sizeof(text));
	if (n <= 0)
		return false;
	len = snprintf(want, sizeof(want), "OSIER_KEPT=%s.", k->hash);
	for (const char *p = text; p < text + n; p += strlen(p) + 1)
		if (strncmp(p, want, (size_t)len) == 0)
			return sscanf(p + len, "%" SCNu64 ".%" SCNu64, out_lease, out_index) == 2;
	return false;
}

static bool own_child(const struct keeper *k, long pid)
{
	if (pid == k->engine.pid || pid == k->cleaner)
		return true;
	for (const struct slot *o = k->active; o; o = o->next_active)
		if ((o->state == SLOT_RUNNING && o->pid == pid) || o->measurer == pid)
			return true;
	return false;
}

/* Whether the orphan is to be killed with what ran in `s`. */
static bool belongs(const struct keeper *k, const struct slot *s, long pid)
{
	pid_t sid = getsid((pid_t)pid);
	uint64_t lease, index;

	if (sid == s->pid)
		return true;
	for (const struct slot *o = k->active; o; o = o->next_active)
		if (o != s && o->state != SLOT_IDLE && o->pid == sid)
			return false;
	if (!marked(k, pid, &lease, &index))
		return true;
	for (const struct slot *o = k->active; o; o = o->next_active)
		if (o != s && o->state != SLOT_IDLE && o->lease == lease && o->index == index)
			return false;
	return true;
}

static unsigned one_orphan(const struct keeper *k, const struct slot *s, long pid, int sig)
{
	if (pid <= 1 || own_child(k, pid) || !belongs(k, s, pid))
		return 0;
	(void)kill((pid_t)pid, sig);
	return 1;
}

/* Where the kernel does not list children: every process whose parent we are. */
static unsigned scan_orphans(const struct keeper *k, const struct slot *s, int sig)
{
	DIR *d = opendir("/proc");
	struct dirent *en;
	unsigned found = 0;
	char path[300], text[512];

	while (d && (en = readdir(d))) {
		long pid = strtol(en->d_name, NULL, 10), parent = 0;
		char state = 'Z';
		const char *close_paren;

		if (pid <= 1)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
		if (sys_read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
			continue;
		close_paren = strrchr(text, ')');
		if (!close_paren || sscanf(close_paren + 1, " %c %ld", &state, &parent) != 2)
			continue;
		if (parent == getpid() && state != 'Z')
			found += one_orphan(k, s, pid, sig);
	}
	if (d)
		(void)closedir(d);
	return found;
}

unsigned proc_kill_orphans(struct keeper *k, const struct slot *s, int sig)
{
	char text[8192];
	unsigned found = 0;
	ssize_t n;

	if (k->children_fd < 0)
		return scan_orphans(k, s, sig);
	n = pread(k->children_fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	for (char *p = text, *end; *p; p = end) {
		long pid = strtol(p, &end, 10);

		if (end == p)
			break;
		while (*end == ' ')
			end++;
		if (*end == '\0' && (size_t)n == sizeof(text) - 1)
			break; /* perhaps cut: the next round sees it */
		found += one_orphan(k, s, pid, sig);
	}
	return found;
}

void proc_kill_leftovers(struct keeper *k)
{
	bool again = true;

	for (int round = 0; round < 100 && again; round++) {
		DIR *d = opendir("/proc");
		struct dirent *en;

		again = false;
		while (d && (en = readdir(d))) {
			long pid = strtol(en->d_name, NULL, 10);
			uint64_t lease, index;

			if (pid <= 1 || pid == getpid() || pid == getppid() ||
			        !marked(k, pid, &lease, &index))
				continue;
			again = kill((pid_t)pid, SIGKILL) == 0 || again;
		}
		if (d)
			(void)closedir(d);
		if (again)
			(void)usleep(2000);
	}
}
