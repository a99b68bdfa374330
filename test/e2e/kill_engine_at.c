/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill_engine_at - preloaded into a node: its engine dies, as by kill -9, right after it said something. OSIER_KILL_AT is
 *	batch   it gave a warm worker its first batch of a lease
 *	hello   it greeted the keeper
 * The first OSIER_KILLS times, over all engines: counted in the file OSIER_KILLED. In other programs it does nothing.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/keeper_msg.h"
#include "wire/worker_msg.h"

/* An engine that is to die at `at`? */
static bool dies_at(const char *at)
{
	static int engine = -1;
	const char *want = getenv("OSIER_KILL_AT");
	char line[4096];
	ssize_t n;
	int fd;

	if (!want || strcmp(want, at) != 0)
		return false;
	if (engine >= 0)
		return engine;
	engine = 0;
	fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, line, sizeof(line) - 1);
	(void)close(fd);
	if (n <= 0)
		return false;
	line[n] = '\0';
	if (strlen(line) + 1 < (size_t)n)
		engine = strcmp(line + strlen(line) + 1, "engine") == 0;
	return engine;
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
	static ssize_t (*real)(int, const struct msghdr *, int);
	ssize_t n;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "sendmsg");
	n = real(fd, m, flags);
	if (n > 0 && dies_at("batch"))
		said_to_worker(m);
	return n;
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	static ssize_t (*real)(int, const void *, size_t, int);
	struct keeper_head h;
	ssize_t w;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "send");
	w = real(fd, p, n, flags);
	if (w < (ssize_t)sizeof(h) || !dies_at("hello"))
		return w;
	memcpy(&h, p, sizeof(h));
	if (h.kind == KEEPER_HELLO && h.bytes == sizeof(h) + sizeof(struct keeper_hello))
		die();
	return w;
}
