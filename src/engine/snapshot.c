/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot - keeps recovery short: when the journal's tail is long, the state is written down beside it.
 *
 * A forked child writes what engine_save() says: it has the state as it was at the fork, however long the disk takes, and the
 * loop goes on at once (a thread would need the core to stand still, or two copies of it). The child ends with its parent.
 * The next snapshot waits until the tail is as large as a fraction of the last one took, so that writing them costs a bounded
 * share of the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/node_int.h"

#define TAIL_ENTRIES 200000u
#define TAIL_BYTES   (32u << 20)
#define RETRY_NS     60000000000ull

struct snapshots {
	struct node *node;
	uint64_t from;       /* entries that the last one covers */
	uint64_t tail_bytes; /* of entries since */
	uint64_t last_bytes; /* size of the last one */
	uint64_t not_before_ns;
	struct journal_snapshot *open; /* NULL: none is being written */
	uint64_t open_seq;
	pid_t child;
	int pipe; /* the child tells its size, or dies */
	uv_poll_t poll;
	bool poll_open, gone; /* gone: the node is, free this when the handle is closed */
};

void snapshots_init(struct node *n, uint64_t from_seq)
{
	struct snapshots *s = calloc(1, sizeof(*s));

	CHECK(s);
	s->node = n;
	s->from = from_seq;
	s->pipe = -1;
	n->snapshots = s;
}

void snapshots_note(struct node *n, size_t entry_bytes)
{
	if (n->snapshots)
		n->snapshots->tail_bytes += entry_bytes;
}

struct put_to {
	struct journal_snapshot *snap;
	uint64_t bytes;
};

static int put(void *ctx, const void *p, size_t n)
{
	struct put_to *to = ctx;

	to->bytes += n;
	return journal_snapshot_put(to->snap, p, n);
}

/* Let go of the socket, the lock and whatever else would keep the next engine out, should this one die now. */
static void close_but(int a, int b)
{
	unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);

	(void)close_range(3, low - 1, 0);
	if (high > low + 1)
		(void)close_range(low + 1, high - 1, 0);
	(void)close_range(high + 1, ~0u, 0);
}

/* In the child: only this thread is there; nothing but the snapshot is touched. */
_Noreturn static void child(struct snapshots *s, int pipe_fd, pid_t parent)
{
	struct put_to to = {.snap = s->open};

	close_but(pipe_fd, journal_snapshot_fd(s->open));

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	(void)setpriority(PRIO_PROCESS, 0, 10);
	if (engine_save(s->node->engine, put, &to) < 0 || journal_snapshot_seal(s->open, NULL) < 0)
		_exit(1);
	_exit(write(pipe_fd, &to.bytes, sizeof(to.bytes)) == (ssize_t)sizeof(to.bytes) ? 0 : 1);
}

static void on_closed(uv_handle_t *h)
{
	struct snapshots *s = h->data;

	(void)close(s->pipe);
	s->pipe = -1;
	s->poll_open = false;
	if (s->gone)
		free(s);
}

static void finish(struct snapshots *s, bool ok, uint64_t bytes)
{
	struct journal_snapshot *snap = s->open;
	struct err e;
	int rc;

	while (waitpid(s->child, NULL, 0) < 0 && errno == EINTR)
		;
	s->open = NULL;
	rc = journal_snapshot_end(snap, ok, &e);
	if (!ok || rc < 0) {
		(void)fprintf(
		        stderr, "osier: no snapshot was written%s%s\n", ok ? ": " : "", ok ? e.msg : "");
		s->not_before_ns = round_now_ns(s->node) + RETRY_NS;
		return;
	}
	s->from = s->open_seq;
	s->last_bytes = bytes;
}

static void on_readable(uv_poll_t *h, int status, int events)
{
	struct snapshots *s = h->data;
	uint64_t bytes = 0;
	ssize_t n = read(s->pipe, &bytes, sizeof(bytes));

	(void)status;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	(void)uv_poll_stop(&s->poll);
	uv_close((uv_handle_t *)&s->poll, on_closed);
	finish(s, n == (ssize_t)sizeof(bytes), bytes);
}

static bool wanted(const struct snapshots *s)
{
	const struct node *n = s->node;
	uint64_t bytes = TAIL_BYTES > 4 * s->last_bytes ? TAIL_BYTES : 4 * s->last_bytes;

	return !s->open && !s->poll_open && !n->broken && !n->stopping && !journal_full(n->journal) &&
	       (n->size - s->from > TAIL_ENTRIES + s->last_bytes / 64 || s->tail_bytes > bytes);
}

void snapshots_consider(struct node *n)
{
	struct snapshots *s = n->snapshots;
	pid_t parent;
	int fds[2];
	struct err e;

	if (!s || !wanted(s) || round_now_ns(n) < s->not_before_ns)
		return;
	s->not_before_ns = round_now_ns(n) + 1000000000ull;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return;
	if (journal_snapshot_begin(n->journal, n->size, &s->open, &e) < 0) {
		(void)fprintf(stderr, "osier: cannot begin a snapshot: %s\n", e.msg);
		(void)close(fds[0]);
		(void)close(fds[1]);
		s->not_before_ns = round_now_ns(n) + RETRY_NS;
		return;
	}
	s->open_seq = n->size;
	s->tail_bytes = 0;
	parent = getpid();
	s->child = fork();
	if (s->child == 0)
		child(s, fds[1], parent);
	(void)close(fds[1]);
	s->pipe = fds[0];
	if (s->child < 0) {
		(void)close(fds[0]);
		(void)journal_snapshot_end(s->open, false, NULL);
		s->open = NULL;
		s->not_before_ns = round_now_ns(n) + RETRY_NS;
		return;
	}
	CHECK(uv_poll_init(&n->loop, &s->poll, s->pipe) == 0);
	s->poll.data = s;
	s->poll_open = true;
	(void)uv_poll_start(&s->poll, UV_READABLE, on_readable);
}

void snapshots_close(struct node *n)
{
	struct snapshots *s = n->snapshots;

	if (!s)
		return;
	if (s->open) {
		(void)kill(s->child, SIGKILL);
		while (waitpid(s->child, NULL, 0) < 0 && errno == EINTR)
			;
		(void)journal_snapshot_end(s->open, false, NULL);
	}
	s->gone = true;
	if (!s->poll_open)
		free(s);
	else if (!uv_is_closing((uv_handle_t *)&s->poll))
		uv_close((uv_handle_t *)&s->poll, on_closed);
	n->snapshots = NULL;
}
