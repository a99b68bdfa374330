/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill_at - preloaded into a node: its engine, or with OSIER_KILL_WHO=keeper its keeper, dies as by kill -9 right after it did
 * something. OSIER_KILL_AT is
 *	batch   it gave a warm worker its first batch of a lease
 *	hello   it greeted the keeper
 *	kept    what it cosigned as a witness is durable, and nobody was told yet
 *	keeping it was about to make that durable
 *	N       its Nth call that sends, receives, writes, syncs, links or renames
 * The first OSIER_KILLS times, over all of them: counted in the file OSIER_KILLED. In other programs it does nothing.
 * OSIER_SLOW: while a file of this name is there its disk is slow: each sync takes a second longer.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/keeper_msg.h"
#include "wire/worker_msg.h"

/* Is this the program that is to die? */
static bool is_victim(void)
{
	static int known = -1;
	const char *who = getenv("OSIER_KILL_WHO"), *base;
	char line[4096];
	ssize_t n;
	int fd;

	if (known >= 0)
		return known;
	known = 0;
	fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, line, sizeof(line) - 1);
	(void)close(fd);
	if (n <= 0)
		return false;
	line[n] = '\0';
	base = strrchr(line, '/');
	if (who && strcmp(who, "keeper") == 0)
		known = strcmp(base ? base + 1 : line, "osier-keeper") == 0;
	else if (strlen(line) + 1 < (size_t)n)
		known = strcmp(line + strlen(line) + 1, "engine") == 0;
	return known;
}

static bool dies_at(const char *at)
{
	const char *want = getenv("OSIER_KILL_AT");

	return want && strcmp(want, at) == 0 && is_victim();
}

static void die(void)
{
	const char *file = getenv("OSIER_KILLED"), *most = getenv("OSIER_KILLS");
	struct stat st;
	int fd;

	if (!file || !most)
		return;
	fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && st.st_size < atoi(most) && write(fd, "x", 1) == 1)
		(void)raise(SIGKILL);
	(void)close(fd);
}

/* After each call that others, or the disk, notice. The threads of the pool count as well. */
static void done(void)
{
	static atomic_int calls;
	const char *want = getenv("OSIER_KILL_AT");

	if (want && atoi(want) > 0 && is_victim() && atomic_fetch_add(&calls, 1) + 1 == atoi(want))
		die();
}

#define REAL(result, name, ...)                                                                              \
	static result (*real)(__VA_ARGS__);                                                                  \
	if (!real)                                                                                           \
	*(void **)&real = dlsym(RTLD_NEXT, #name)

/* The first lease of an engine is a cold worker's, or one that it resumed. */
static void said_to_worker(const struct msghdr *m)
{
	static uint64_t seen;
	bool warm = seen != 0;
	struct worker_head h;

	if (m->msg_iovlen < 1 || m->msg_iov[0].iov_len != sizeof(h))
		return;
	memcpy(&h, m->msg_iov[0].iov_base, sizeof(h));
	if (h.kind != WORKER_BATCH || h.lease <= seen)
		return;
	seen = h.lease;
	if (warm)
		die();
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	REAL(ssize_t, sendmsg, int, const struct msghdr *, int);
	ssize_t n = real(fd, m, flags);

	if (n > 0 && dies_at("batch"))
		said_to_worker(m);
	done();
	return n;
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	REAL(ssize_t, send, int, const void *, size_t, int);
	ssize_t w = real(fd, p, n, flags);
	struct keeper_head h;

	if (w >= (ssize_t)sizeof(h) && dies_at("hello")) {
		memcpy(&h, p, sizeof(h));
		if (h.kind == KEEPER_HELLO && h.bytes == sizeof(h) + sizeof(struct keeper_hello))
			die();
	}
	done();
	return w;
}

ssize_t recv(int fd, void *p, size_t n, int flags)
{
	REAL(ssize_t, recv, int, void *, size_t, int);
	ssize_t r = real(fd, p, n, flags);

	if (r > 0)
		done();
	return r;
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	REAL(ssize_t, recvmsg, int, struct msghdr *, int);
	ssize_t n = real(fd, m, flags);

	if (n > 0)
		done();
	return n;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
	ssize_t w = real(fd, p, n, at);

	done();
	return w;
}

/* Is it the log of the witness's memory? */
static bool of_witness(int fd)
{
	static const char name[] = "/witness.db-wal";
	char link[40], path[4096];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	return n >= (ssize_t)sizeof(name) - 1 &&
	       memcmp(path + n - (sizeof(name) - 1), name, sizeof(name) - 1) == 0;
}

static void be_slow(void)
{
	const char *file = getenv("OSIER_SLOW");

	if (file && is_victim() && access(file, F_OK) == 0)
		(void)sleep(1);
}

static void around_sync(const char *moment, int fd)
{
	if (dies_at(moment) && of_witness(fd))
		die();
}

int fdatasync(int fd)
{
	REAL(int, fdatasync, int);
	int rc;

	around_sync("keeping", fd);
	be_slow();
	rc = real(fd);
	around_sync("kept", fd);
	done();
	return rc;
}

int fsync(int fd)
{
	REAL(int, fsync, int);
	int rc;

	around_sync("keeping", fd);
	be_slow();
	rc = real(fd);
	around_sync("kept", fd);
	done();
	return rc;
}

int linkat(int from, const char *a, int to, const char *b, int flags)
{
	REAL(int, linkat, int, const char *, int, const char *, int);
	int rc = real(from, a, to, b, flags);

	done();
	return rc;
}

int renameat(int from, const char *a, int to, const char *b)
{
	REAL(int, renameat, int, const char *, int, const char *);
	int rc = real(from, a, to, b);

	done();
	return rc;
}

int rename(const char *a, const char *b)
{
	REAL(int, rename, const char *, const char *);
	int rc = real(a, b);

	done();
	return rc;
}
