/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output - what a task prints: pipes, memory, spool. See keeper.h.
 *
 * A pipe is kept for all tasks of a lease and its write end stays open here, so its end is never seen: a task's output is
 * complete when no process of the task is left and the pipe is empty. A task that lives only for a moment is never waited for
 * here: what it wrote (up to the pipe's room) is read when it has ended.
 */
#include "keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "keeper/sys.h"

#define READ_BYTES   65536
#define SPOOL_LEAVES (1u << 20) /* bytes of the disk */

void stream_clear(struct stream *st)
{
	memset(st, 0, sizeof(*st));
	st->r = st->w = st->spool = -1;
}

void stream_reset(struct stream *st, uint64_t max)
{
	st->n = 0;
	st->kept = st->dropped = 0;
	st->max = max;
	st->spooled = false;
	st->sys = 0;
}

int stream_begin(struct stream *st, uint64_t max, struct err *e)
{
	int fds[2];

	if (st->r < 0) {
		if (pipe2(fds, O_CLOEXEC) < 0)
			return err_sys(e, "cannot make a pipe");
		st->r = fds[0];
		st->w = fds[1];
		(void)fcntl(st->r, F_SETFL, O_NONBLOCK);
	} else {
		(void)fcntl(st->w, F_SETFL, 0); /* the task before may have made it non-blocking */
	}
	stream_reset(st, max);
	return 0;
}

void stream_poll(struct keeper *k, struct slot *s, bool on)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct stream *st = &s->out[i];

		if (st->r < 0 || st->polled == on)
			continue;
		if (on)
			st->polled = poll_add(k, st->r, EPOLLIN, POLL_STREAM, s->id | i << 31) == 0;
		else if (epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, st->r, NULL) == 0)
			st->polled = false;
	}
}

/* What tasks print leaves the last of the disk to the journal: an end that cannot be written down frees no output. */
static int spool_room(int fd, size_t n)
{
	struct statvfs v;

	if (fstatvfs(fd, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize < n + SPOOL_LEAVES)
		return ENOSPC;
	return 0;
}

static void spool_write(struct stream *st, const uint8_t *p, size_t n)
{
	if (n && !st->sys)
		st->sys = spool_room(st->spool, n);
	while (n && !st->sys) {
		ssize_t w = write(st->spool, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0) {
			st->sys = errno;
			break;
		}
		p += w;
		n -= (size_t)w;
	}
	st->dropped += n;
	st->kept -= n;
}

/* From now on this task's bytes go to the spool; those in memory first. */
static void spill(struct keeper *k, struct slot *s, int which)
{
	struct stream *st = &s->out[which];
	char name[64];

	if (st->spooled)
		return;
	spool_name(name, s->lease, s->index, which ? ".err" : ".out");
	(void)unlinkat(k->spool_fd, name, 0);
	st->spooled = true;
	st->spool = openat(k->spool_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (st->spool < 0 || spool_own(k, st->spool) < 0)
		st->sys = errno;
	spool_write(st, st->mem, st->n);
	st->n = 0;
}

void stream_follow(struct keeper *k, struct slot *s, int which)
{
	spill(k, s, which);
}

static bool room_for(struct stream *st, size_t n)
{
	uint32_t room = st->room ? st->room : 4096;
	uint8_t *mem;

	if (st->n + n <= st->room)
		return true;
	while (room < st->n + n)
		room *= 2;
	mem = realloc(st->mem, room);
	if (!mem)
		return false;
	st->mem = mem;
	st->room = room;
	return true;
}

static void take(struct keeper *k, struct slot *s, int which, const uint8_t *p, size_t n)
{
	struct stream *st = &s->out[which];
	uint64_t left = st->max > st->kept ? st->max - st->kept : 0;

	if (n > left) {
		st->dropped += n - left;
		n = (size_t)left;
	}
	if (n == 0)
		return;
	st->kept += n;
	if (!st->spooled && (st->n + n > KEEPER_INLINE_MAX || !room_for(st, n)))
		spill(k, s, which);
	if (st->spooled) {
		spool_write(st, p, n);
	} else {
		memcpy(st->mem + st->n, p, n);
		st->n += (uint32_t)n;
	}
}

/* Past the cap the bytes are counted and dropped inside the kernel. */
static ssize_t discard(struct keeper *k, struct stream *st)
{
	ssize_t n = splice(st->r, NULL, k->null_fd, NULL, READ_BYTES * 16, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

	if (n > 0)
		st->dropped += (uint64_t)n;
	return n;
}

void stream_read(struct keeper *k, struct slot *s, int which, bool all)
{
	static uint8_t buf[READ_BYTES];
	struct stream *st = &s->out[which];

	if (st->r < 0)
		return;
	/* Bounded, for who writes may be as fast as we are: a pipe holds 1 MiB at most. */
	for (int i = 0; i < (all ? 64 : 4); i++) {
		ssize_t n;

		if (st->kept >= st->max || st->sys) {
			n = discard(k, st);
			if (n <= 0 && (n == 0 || errno != EINVAL))
				return;
			if (n > 0)
				continue;
		}
		n = read(st->r, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		take(k, s, which, buf, (size_t)n);
		if ((size_t)n < sizeof(buf) && !all)
			return;
	}
}

void stream_end(struct keeper *k, struct stream *st, bool keep_pipe)
{
	sys_close(&st->spool);
	if (st->room > 4096) {
		free(st->mem);
		st->mem = NULL;
		st->room = 0;
	}
	st->n = 0;
	if (keep_pipe || st->r < 0)
		return;
	if (st->polled)
		(void)epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, st->r, NULL);
	sys_close(&st->r);
	sys_close(&st->w);
	free(st->mem);
	stream_clear(st);
}

void spool_name(char out[64], uint64_t lease, uint64_t index, const char *suffix)
{
	(void)snprintf(out, 64, "%" PRIu64 "-%" PRIu64 "%s", lease, index, suffix);
}

void spool_remove(struct keeper *k, uint64_t lease, uint64_t index, uint32_t n_outputs)
{
	char name[64], suffix[16];

	spool_name(name, lease, index, ".out");
	(void)unlinkat(k->spool_fd, name, 0);
	spool_name(name, lease, index, ".err");
	(void)unlinkat(k->spool_fd, name, 0);
	for (uint32_t i = 0; i < n_outputs; i++) {
		(void)snprintf(suffix, sizeof(suffix), ".o%u", i);
		spool_name(name, lease, index, suffix);
		(void)unlinkat(k->spool_fd, name, 0);
	}
}

int spool_own(struct keeper *k, int fd)
{
	return k->engine.other_user ? fchown(fd, k->engine.uid, k->engine.gid) : 0;
}
