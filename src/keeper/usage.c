/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage - what a task's scratch folder holds, while a task with a limit of it runs; see keeper.h.
 *
 * Quotas of file systems would say no to the write itself, but need a file system that was made with them. So the folder is
 * measured: a small one at once, a larger one by a child of its own, so that nobody waits for a task with a million files. It
 * is looked at often when it fills quickly and once a second otherwise. What is in files without a name, and in files of
 * other users, is not counted; RLIMIT_FSIZE holds each file.
 */
#include "keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keeper/sys.h"

#define FIRST_NS     200000000u
#define EVERY_MIN_NS 50000000u
#define EVERY_MAX_NS NS_PER_S
#define ENTRIES_HERE 512u /* more is for a child */
#define DEPTH_HERE   16
#define DEPTH_CHILD  1000 /* what lies deeper is not counted */

struct walk {
	uint64_t bytes;
	uint32_t uid;
	bool every_user; /* the keeper is not root: all is one user's */
	uint32_t entries, entries_max;
	int depth_max;
};

static bool walk(struct walk *w, int fd, int depth);

/* False: there is more than may be looked at here. */
static bool walk_one(struct walk *w, int dir, const char *name, int depth)
{
	struct stat st;
	bool all;
	int fd;

	if (++w->entries > w->entries_max)
		return false;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return true;
	if (w->every_user || st.st_uid == w->uid)
		w->bytes += (uint64_t)st.st_blocks * 512 /
		            (S_ISDIR(st.st_mode) || st.st_nlink == 0 ? 1 : st.st_nlink);
	if (!S_ISDIR(st.st_mode))
		return true;
	if (depth >= w->depth_max)
		return false;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return true;
	all = walk(w, fd, depth + 1);
	(void)close(fd);
	return all;
}

static bool walk(struct walk *w, int fd, int depth)
{
	_Alignas(8) char buf[2048];
	bool all = true;
	long n;

	while ((n = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < n;) {
			const struct dirent64_raw *d = (const void *)(buf + at);

			at += d->len;
			if (sys_is_dots(d->name) || walk_one(w, fd, d->name, depth))
				continue;
			if (w->entries > w->entries_max)
				return false;
			all = false;
		}
	}
	return all;
}

static bool measure(const struct slot *s, struct walk *w)
{
	int fd = openat(s->scratch.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool all = fd < 0 || walk(w, fd, 0);

	sys_close(&fd);
	return all;
}

static void start_child(struct keeper *k, struct slot *s)
{
	struct usage *u = &k->usages[s->id];

	u->known = false;
	s->measurer = fork();
	if (s->measurer < 0)
		s->measurer = 0;
	if (s->measurer != 0)
		return;
	{
		struct walk w = {.uid = s->uid,
		        .every_user = !k->root,
		        .entries_max = UINT32_MAX - 1,
		        .depth_max = DEPTH_CHILD};
		sigset_t none;

		(void)sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		sys_close(&k->lock_fd); /* our successor need not wait for this */
		(void)!nice(10);
		(void)measure(s, &w);
		u->bytes = w.bytes;
		u->known = true;
		_exit(0);
	}
}

static void found(struct keeper *k, struct slot *s, uint64_t bytes, uint64_t now)
{
	uint64_t grown = bytes > s->disk_used ? bytes - s->disk_used : 0, wait = EVERY_MAX_NS;

	if (bytes > s->disk_limit) {
		s->disk_used = bytes;
		s->disk_ns = 0;
		task_stop(k, s, WHY_DISK, SIGKILL, 0);
		return;
	}
	/* In half the time that it takes to fill the rest, if it goes on as it did. */
	if (grown) {
		unsigned __int128 rest =
		        (unsigned __int128)(s->disk_limit - bytes) * (now - s->disk_at_ns) / grown / 2;

		wait = rest < EVERY_MIN_NS ? EVERY_MIN_NS : rest < wait ? (uint64_t)rest : wait;
	}
	s->disk_used = bytes;
	s->disk_at_ns = now;
	s->disk_ns = now + wait;
}

void usage_begin(struct slot *s, uint64_t limit)
{
	s->disk_limit = limit;
	s->disk_used = 0;
	s->disk_at_ns = s->started_ns;
	s->disk_ns = limit ? s->started_ns + FIRST_NS : 0;
}

void usage_turn(struct keeper *k, struct slot *s, uint64_t now)
{
	struct walk w = {
	        .uid = s->uid, .every_user = !k->root, .entries_max = ENTRIES_HERE, .depth_max = DEPTH_HERE};

	if (s->measurer) { /* of the task before: its end is awaited */
		s->disk_ns = now + FIRST_NS;
		return;
	}
	s->disk_ns = now + EVERY_MAX_NS;
	if (s->scratch.fd < 0)
		return;
	if (measure(s, &w)) {
		found(k, s, w.bytes, now);
		return;
	}
	start_child(k, s);
	s->measured_since_ns = s->started_ns;
	if (s->measurer)
		s->disk_ns = 0; /* its end is a signal */
}

bool usage_reaped(struct keeper *k, pid_t pid)
{
	for (uint32_t i = 0; i < KEEPER_SLOTS_MAX; i++) {
		struct slot *s = k->slots[i];

		if (!s || s->measurer != pid)
			continue;
		s->measurer = 0;
		if (s->state != SLOT_RUNNING || !s->disk_limit || s->measured_since_ns != s->started_ns)
			return true;
		if (k->usages[i].known)
			found(k, s, k->usages[i].bytes, sys_mono_ns());
		else
			s->disk_ns = sys_mono_ns() + EVERY_MAX_NS;
		return true;
	}
	return false;
}
