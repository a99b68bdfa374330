/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trash - removing scratch folders and what a dead predecessor left in scratch and spool; see keeper.h.
 *
 * An empty folder is used again by the next task of the lease. A few plain files are removed at once; anything more is renamed
 * to .gone-N and removed by a child of its own (the cleaner), so that a task that leaves a million files holds nobody up.
 */
#include "keeper/keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keeper/sys.h"

#define FILES_HERE_MAX 64
#define DEPTH_MAX      32
#define SETTLED_NS     20000000u

/* Remove the plain files right in the folder, if they are few and nothing else is there. Whether it is empty now. */
static bool empty_flat(int fd, bool *out_removed)
{
	_Alignas(8) char buf[4096];
	int removed = 0;
	long n;

	*out_removed = false;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return false;
	while ((n = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < n;) {
			const struct dirent64_raw *d = (const void *)(buf + at);

			at += d->len;
			if (sys_is_dots(d->name))
				continue;
			if (d->type == DT_DIR || ++removed > FILES_HERE_MAX || unlinkat(fd, d->name, 0) < 0)
				return false;
			*out_removed = true;
		}
	}
	return n == 0;
}

bool scratch_reusable(struct keeper *k, struct slot *s)
{
	struct scratch *c = &s->scratch;
	uint64_t changed_ns;
	struct stat st;
	bool removed;

	if (c->fd < 0 || fstat(c->fd, &st) < 0)
		return false;
	if ((st.st_mode & 07777) != 0700 || (k->root && (st.st_uid != c->uid || st.st_gid != c->gid)))
		return false;
	/* The kernel keeps a change's time in ticks of some ms: an empty folder is believed to be one still if the task began well
	 * after its last change. */
	changed_ns = (uint64_t)st.st_ctim.tv_sec * NS_PER_S + (uint64_t)st.st_ctim.tv_nsec;
	if (c->empty_ns == changed_ns && changed_ns + SETTLED_NS < s->started_real_ns)
		return true;
	c->empty_ns = 0;
	if (!empty_flat(c->fd, &removed))
		return false;
	if (!removed)
		c->empty_ns = changed_ns;
	return true;
}

void scratch_drop(struct keeper *k, struct slot *s)
{
	struct scratch *c = &s->scratch;
	char gone[32];

	if (c->fd < 0)
		return;
	sys_close(&c->fd);
	if (unlinkat(k->scratch_fd, c->name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return;
	(void)snprintf(gone, sizeof(gone), ".gone-%" PRIu64, k->trash++);
	if (renameat(k->scratch_fd, c->name, k->scratch_fd, gone) < 0)
		sys_say("cannot move the scratch folder '%s/scratch/%s' away: %s", k->state_dir, c->name,
		        strerror(errno));
	k->trash_waits = true;
}

/* Remove name below dir. What is deeper than DEPTH_MAX is moved up to `top` to be removed from there. */
static void remove_tree(int top, int dir, const char *name, int depth, uint64_t *moved)
{
	struct dirent *en;
	DIR *d;
	int fd;

	if (unlinkat(dir, name, 0) == 0 || (errno != EISDIR && errno != EPERM))
		return;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES) {
		(void)fchmodat(dir, name, 0700, 0);
		fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		return;
	(void)fchmod(fd, 0700);
	d = fdopendir(fd);
	if (!d) {
		(void)close(fd);
		return;
	}
	while ((en = readdir(d))) {
		char gone[64];

		if (sys_is_dots(en->d_name))
			continue;
		(void)snprintf(gone, sizeof(gone), ".gone-%d-%" PRIu64, getpid(), *moved);
		if (depth >= DEPTH_MAX && en->d_type == DT_DIR && renameat(fd, en->d_name, top, gone) == 0)
			(*moved)++;
		else
			remove_tree(top, fd, en->d_name, depth + 1, moved);
	}
	(void)closedir(d);
	(void)unlinkat(dir, name, AT_REMOVEDIR);
}

/* Everything in the folder whose name begins with prefix; whether there was any. */
static bool remove_all(int top, const char *prefix)
{
	int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *en;
	uint64_t moved = 0;
	bool any = false;

	while (d && (en = readdir(d))) {
		if (sys_is_dots(en->d_name) || strncmp(en->d_name, prefix, strlen(prefix)) != 0)
			continue;
		remove_tree(top, top, en->d_name, 0, &moved);
		any = true;
	}
	if (d)
		(void)closedir(d);
	return any && moved > 0;
}

void files_cleaner(struct keeper *k)
{
	if (!k->trash_waits || k->cleaner)
		return;
	k->trash_waits = false;
	k->cleaner = fork();
	if (k->cleaner < 0)
		k->cleaner = 0;
	if (k->cleaner != 0)
		return;
	{
		sigset_t none;

		(void)sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	sys_close(&k->lock_fd); /* our successor need not wait for this */
	(void)!nice(10);
	for (int i = 0; i < 10000 && remove_all(k->scratch_fd, ".gone-"); i++)
		;
	_exit(0);
}

void files_clean(struct keeper *k)
{
	int fd = openat(k->scratch_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *en;
	char gone[64];

	while (d && (en = readdir(d))) {
		if (sys_is_dots(en->d_name) || strncmp(en->d_name, ".gone-", 6) == 0)
			continue;
		(void)snprintf(
		        gone, sizeof(gone), ".gone-%" PRIu64 "-%" PRIu64, k->started_real_ns, k->trash++);
		(void)renameat(k->scratch_fd, en->d_name, k->scratch_fd, gone);
	}
	if (d)
		(void)closedir(d);
	k->trash_waits = true;
	(void)remove_all(k->spool_fd, "");
}
