/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine - the engine's process and the socket to it; see keeper.h.
 *
 * Messages of a turn share a packet. An engine that dies is started again at once, and later and later when it does so again
 * and again; what it was told and had not made durable it is told again (results are kept until ACK). One that says it cannot
 * run is believed at first. Once an engine was well, what stands in the way may pass (a folder that is read-only for a while),
 * so it is tried again: for a while, and for as long as there are tasks or results that only the keeper has.
 */
#include "keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "keeper/sys.h"

#define QUICK_NS       1000000000u /* dying sooner than this after its start is dying at once */
#define BACKOFF_NS     100000000u  /* after the third quick death; doubles */
#define BACKOFF_MAX_NS 10000000000u
#define NEVER_WELL     3           /* starts without a HELLO: it will not get better */
#define CANNOT_MAX     10          /* starts in a row of one that was well and now cannot run: about 13 s */
#define CLOSED_NS      2000000000u /* between the end of its socket and its own end */
#define SOCKET_BYTES   (1u << 20)
#define PACKETS_A_TURN 64

static uint8_t in[KEEPER_PACKET_MAX] __attribute__((aligned(8)));
static uint8_t out[KEEPER_PACKET_MAX] __attribute__((aligned(8)));

/* Tell whoever supervises us (sd_notify(3): a datagram to the socket named in the environment). */
static void notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t n = path ? strlen(path) : 0;
	int fd;

	if (n < 2 || n >= sizeof(a.sun_path))
		return;
	memcpy(a.sun_path, path, n);
	if (path[0] == '@')
		a.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&a,
	        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	(void)close(fd);
}

int engine_start(struct keeper *k, struct err *e)
{
	struct engine_end *en = &k->engine;
	int fds[2], bytes = SOCKET_BYTES;

	en->buf = out;
	if (en->argv) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
			return err_sys(e, "cannot make the engine's socket");
		en->fd = fds[0];
		en->pid = spawn_engine(k, fds[1], e);
		(void)close(fds[1]);
		if (en->pid < 0) {
			en->pid = 0;
			sys_close(&en->fd);
			return -1;
		}
	}
	if (setsockopt(en->fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		(void)setsockopt(en->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	en->started_ns = sys_mono_ns();
	en->again_ns = 0;
	en->starts++;
	en->hello = en->write_polled = false;
	return poll_add(k, en->fd, EPOLLIN, POLL_ENGINE, 0) < 0
	               ? err_sys(e, "cannot watch the engine's socket")
	               : 0;
}

/* ---- out ---- */

static void packet_free(struct engine_end *en)
{
	struct packet *p = en->head;

	en->head = p->next;
	if (!en->head)
		en->tail = NULL;
	en->queued_bytes -= p->bytes;
	sys_close(&p->fd);
	free(p);
}

/* 0 sent, 1 would block, -1 the engine is gone. */
static int send_now(const struct engine_end *en, const uint8_t *p, size_t n, int fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec v = {(void *)(uintptr_t)p, n};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
	ssize_t w;

	if (fd >= 0) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		h.msg_control = control.room;
		h.msg_controllen = sizeof(control.room);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	do {
		w = sendmsg(en->fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (w < 0 && errno == EINTR);
	if (w >= 0)
		return 0;
	return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS ? 1 : -1;
}

static void queue_packet(struct engine_end *en, const uint8_t *p, size_t n, int fd)
{
	struct packet *q = malloc(sizeof(*q) + n);

	if (!q) {
		sys_say("out of memory for messages to the engine");
		abort();
	}
	memset(q, 0, sizeof(*q));
	q->bytes = (uint32_t)n;
	q->fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 4) : -1;
	memcpy(q->p, p, n);
	if (en->tail)
		en->tail->next = q;
	else
		en->head = q;
	en->tail = q;
	en->queued_bytes += n;
}

static void push(struct engine_end *en, const uint8_t *p, size_t n, int fd)
{
	if (en->head || send_now(en, p, n, fd) > 0)
		queue_packet(en, p, n, fd);
	/* An engine that is gone is seen by epoll. */
}

static void push_buf(struct engine_end *en)
{
	if (en->n)
		push(en, en->buf, en->n, -1);
	en->n = 0;
	en->flush_ns = 0;
}

void engine_flush(struct keeper *k)
{
	struct engine_end *en = &k->engine;
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = (uint64_t)POLL_ENGINE << 32};

	if (en->fd < 0)
		return;
	if (!en->flush_ns || sys_mono_ns() >= en->flush_ns)
		push_buf(en);
	while (en->head && send_now(en, en->head->p, en->head->bytes, en->head->fd) <= 0)
		packet_free(en);
	if ((en->head != NULL) == en->write_polled)
		return;
	if (en->head)
		ev.events |= EPOLLOUT;
	if (epoll_ctl(k->epoll_fd, EPOLL_CTL_MOD, en->fd, &ev) == 0)
		en->write_polled = en->head != NULL;
}

void engine_send(struct keeper *k, const struct keeper_msg *m, int fd)
{
	struct engine_end *en = &k->engine;
	struct err e;

	if (en->fd < 0 || !en->hello)
		return;
	if (fd >= 0) { /* alone in its packet */
		push_buf(en);
		CHECK(keeper_msg_build(en->buf, KEEPER_PACKET_MAX, &en->n, m, &e) == 0);
		push(en, en->buf, en->n, fd);
		en->n = 0;
		return;
	}
	if (keeper_msg_build(en->buf, KEEPER_PACKET_MAX, &en->n, m, &e) < 0) {
		push_buf(en);
		CHECK(keeper_msg_build(en->buf, KEEPER_PACKET_MAX, &en->n, m, &e) == 0);
	}
	if (m->kind != KEEPER_STARTED || en->n == sizeof(struct keeper_head) + sizeof(struct keeper_started))
		en->flush_ns = 0; /* a STARTED beside results may wait with them */
}

void engine_send_packed(struct keeper *k, const uint8_t *msg, size_t n, bool later)
{
	struct engine_end *en = &k->engine;
	size_t at = (en->n + 7) & ~(size_t)7;
	bool was_empty = en->n == 0;

	if (en->fd < 0 || !en->hello)
		return;
	if (at + n > KEEPER_PACKET_MAX) {
		push_buf(en);
		at = 0;
		was_empty = true;
	}
	memset(en->buf + en->n, 0, at - en->n);
	memcpy(en->buf + at, msg, n);
	en->n = at + n;
	if (!later)
		en->flush_ns = 0;
	else if (was_empty)
		en->flush_ns = sys_mono_ns() + LATER_NS;
}

bool engine_backed_up(const struct keeper *k)
{
	return k->engine.queued_bytes > SEND_BYTES_MAX;
}

/* ---- in ---- */

static void hello(struct keeper *k)
{
	const struct cgroup_tree *t = &k->cgroups;
	struct keeper_msg m = {.kind = KEEPER_READY};
	struct keeper_ready *r = &m.u.ready;
	char notice[600];

	k->engine.hello = true;
	k->engine.cannot = 0;
	for (uint32_t i = 0; i < KEEPER_SLOTS_MAX; i++)
		if (k->slots[i])
			slot_tell(k, k->slots[i]);
	result_tell_all(k);
	r->version = KEEPER_PROTOCOL;
	r->enforced = (t->version == 1 ? KEEPER_CAN_CGROUP_V1 : 0u) |
	              (t->version == 2 ? KEEPER_CAN_CGROUP_V2 : 0u) |
	              (t->base[CG_CPU][0] ? KEEPER_CAN_CPU : 0u) |
	              (t->base[CG_MEMORY][0] ? KEEPER_CAN_MEMORY : 0u) |
	              (t->base[CG_PIDS][0] ? KEEPER_CAN_PIDS : 0u) | (t->version ? KEEPER_CAN_KILL_ALL : 0u) |
	              (k->root ? KEEPER_CAN_USERS : 0u) | (k->root && k->allow_root ? KEEPER_CAN_ROOT : 0u);
	r->pid = (uint32_t)getpid();
	r->uid = k->uid;
	r->resumed = k->engine.resumed;
	r->started_ns = k->started_real_ns;
	(void)snprintf(notice, sizeof(notice), "%s%s%s", t->notice, t->notice[0] && !k->root ? "\n" : "",
	        k->root ? "" : "the keeper is not root: every task runs as its user");
	r->notice = (struct keeper_text){notice, (uint32_t)strlen(notice)};
	engine_send(k, &m, -1);
	if (!k->engine.notified)
		notify("READY=1\n");
	k->engine.notified = true;
}

static void handle(struct keeper *k, const struct keeper_msg *m, const uint8_t *bytes, size_t n)
{
	switch (m->kind) {
	case KEEPER_HELLO:
		hello(k);
		return;
	case KEEPER_START:
		slot_start_msg(k, m, bytes, n);
		return;
	case KEEPER_STOP:
		slot_stop_msg(k, m);
		return;
	case KEEPER_ADJUST:
		slot_adjust(k, m->lease, m->u.adjust.timeout_ns);
		return;
	case KEEPER_FOLLOW:
		slot_follow(k, m->lease, m->flags & KEEPER_FOLLOWED);
		return;
	case KEEPER_ADOPT:
		slot_adopt(k, m->slot, m->lease);
		return;
	case KEEPER_ACK:
		result_ack(k, m->lease, m->index);
		return;
	case KEEPER_RELEASE:
		slot_release(k, m->slot);
		return;
	case KEEPER_SHUTDOWN:
		notify("STOPPING=1\n");
		keeper_leave(k, LEAVE_TASKS, m->u.shutdown.grace_ns);
		return;
	case KEEPER_RESUMED:
		k->engine.resumed = true;
		sys_close(&k->engine.ready_fd); /* it has told whoever waits there */
		return;
	case KEEPER_READY:
	case KEEPER_SLOT:
	case KEEPER_STARTED:
	case KEEPER_EXITED:
	case KEEPER_STOPPED:
	case KEEPER_REFUSED:
		sys_say("the engine sent a '%s', which only the keeper says", keeper_kind_name(m->kind));
		return;
	}
}

static void take_packet(struct keeper *k, size_t n)
{
	struct keeper_msg m;
	struct err e;
	size_t at = 0;

	for (;;) {
		size_t from = (at + 7) & ~(size_t)7;
		int rc = keeper_msg_next(in, n, &at, &m, &e);

		if (rc == 0)
			return;
		if (rc > 0) {
			handle(k, &m, in + from, at - from);
			continue;
		}
		sys_say("the engine sent %s", e.msg);
		if (m.kind == KEEPER_START) {
			result_refuse(k, m.slot, m.lease, m.index, e.msg);
			return; /* where the next message begins is not to be trusted */
		}
		if (e.code == ERR_VERSION)
			k->exit_code = ENGINE_CANNOT_CODE;
		if (k->engine.pid)
			(void)kill(k->engine.pid, SIGKILL);
		engine_gone(k);
		return;
	}
}

/* False when nothing is left to read, now or for ever. */
static bool read_some(struct keeper *k)
{
	for (int i = 0; i < PACKETS_A_TURN && k->engine.fd >= 0; i++) {
		ssize_t n = recv(k->engine.fd, in, sizeof(in), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n <= 0) {
			engine_gone(k);
			return false;
		}
		if ((size_t)n > sizeof(in)) {
			sys_say("the engine sent a packet of %zd bytes", n);
			engine_gone(k);
			return false;
		}
		take_packet(k, (size_t)n);
	}
	return k->engine.fd >= 0;
}

void engine_readable(struct keeper *k)
{
	(void)read_some(k);
}

/* ---- life ---- */

void engine_close(struct keeper *k)
{
	struct engine_end *en = &k->engine;

	if (en->fd >= 0)
		(void)epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, en->fd, NULL);
	sys_close(&en->fd);
	while (en->head)
		packet_free(en);
	en->n = 0;
	en->flush_ns = 0;
	en->hello = false;
}

void engine_gone(struct keeper *k)
{
	engine_close(k);
	if (!k->engine.argv && k->leaving == STAY) /* nobody is there to start it again */
		keeper_leave(k, LEAVE_TASKS, k->leave_grace_ns);
	/* Ours: its exit is seen by SIGCHLD, and its code says why. One that only closed its socket is of no use. */
	else if (k->engine.pid && k->leaving == STAY)
		k->engine.kill_ns = sys_mono_ns() + CLOSED_NS;
}

/* Whether it is not to be started again after it ended with `code` (-1: by a signal). */
static bool is_final(struct keeper *k, int code)
{
	struct engine_end *en = &k->engine;

	if (code == ENGINE_STOP_CODE || code == ENGINE_FENCED_CODE)
		return true;
	if (!en->notified && code != ENGINE_CANNOT_CODE && en->starts >= NEVER_WELL) {
		sys_say("the engine ended %u times without ever being ready; giving up", en->starts);
		return true;
	}
	if (code != ENGINE_CANNOT_CODE)
		return false;
	if (!en->notified)
		return true;
	if (++en->cannot < CANNOT_MAX || k->active || k->held_head)
		return false;
	sys_say("the engine could not run %u times; giving up", en->cannot);
	return true;
}

void engine_reaped(struct keeper *k, int status)
{
	struct engine_end *en = &k->engine;
	uint64_t now = sys_mono_ns(), wait = 0;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	/* All that it said counts, but for nonsense: it acted on it. */
	while (en->fd >= 0 && read_some(k))
		;
	en->pid = 0;
	en->kill_ns = 0;
	engine_close(k);
	if (k->leaving != STAY)
		return;
	if (is_final(k, code)) {
		k->exit_code = code >= 0 ? code : 1;
		keeper_leave(k, LEAVE_TASKS, k->leave_grace_ns);
		return;
	}
	en->quick_deaths = now - en->started_ns < QUICK_NS ? en->quick_deaths + 1 : 0;
	if (en->quick_deaths > 3) {
		wait = (uint64_t)BACKOFF_NS << (en->quick_deaths - 4 < 8 ? en->quick_deaths - 4 : 8);
		if (wait > BACKOFF_MAX_NS)
			wait = BACKOFF_MAX_NS;
	}
	if (code >= 0)
		sys_say("the engine ended with exit code %d; starting it again%s", code,
		        wait ? " in a moment" : "");
	else
		sys_say("the engine was killed by signal %d; starting it again%s", WTERMSIG(status),
		        wait ? " in a moment" : "");
	en->again_ns = now + wait;
}

uint64_t engine_deadline_ns(const struct keeper *k)
{
	const struct engine_end *en = &k->engine;
	uint64_t at = UINT64_MAX;

	if (en->again_ns && k->leaving == STAY)
		at = en->again_ns;
	if (en->flush_ns && en->n && en->flush_ns < at)
		at = en->flush_ns;
	return en->kill_ns && en->kill_ns < at ? en->kill_ns : at;
}

void engine_turn(struct keeper *k, uint64_t now_ns)
{
	struct err e;

	if (k->engine.kill_ns && now_ns >= k->engine.kill_ns) {
		k->engine.kill_ns = 0;
		if (k->engine.pid)
			(void)kill(k->engine.pid, SIGKILL);
	}
	if (!k->engine.again_ns || now_ns < k->engine.again_ns || k->leaving != STAY)
		return;
	if (engine_start(k, &e) == 0)
		return;
	sys_say("%s", e.msg);
	k->engine.again_ns = now_ns + NS_PER_S;
}
