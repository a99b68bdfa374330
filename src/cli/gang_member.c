/* SPDX-License-Identifier: Apache-2.0 */
/* gang_member - a rank above 0: runs what rank 0 asks for, each by /bin/sh, and says what it printed and how it ended. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/gang.h"
#include "cli/term.h"

#define SESSIONS_MAX 32u
#define AGAIN_MS     300
#define PATIENCE     30 /* tries before it says for whom it waits */
#define ANSWER_MS    10000

struct session {
	uint32_t id; /* 0: free */
	pid_t pid;
	int pidfd, out, err;
};

struct member {
	struct gang_link link;
	struct session v[SESSIONS_MAX];
};

/* ---- finding rank 0 ---- */

static int dial(const struct gang_self *g)
{
	struct addrinfo hint = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	int fd = -1;

	if (getaddrinfo(g->host, g->port, &hint, &list) != 0)
		return -1;
	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
			(void)close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	return fd;
}

static void find(struct member *m, const struct gang_self *g)
{
	const struct timespec pause = {.tv_nsec = AGAIN_MS * 1000000};
	struct err e;

	for (unsigned n = 0;; n++) {
		int fd = dial(g);

		if (fd >= 0 && gang_link_begin(&m->link, fd, g->secret, g->rank, ANSWER_MS, &e) == 0)
			return;
		if (n == PATIENCE)
			term_note("waits for rank 0 at %s", g->address);
		(void)nanosleep(&pause, NULL);
	}
}

/* ---- what it is asked for ---- */

static void close_both(const int fd[2])
{
	(void)close(fd[0]);
	(void)close(fd[1]);
}

/* out and err: whose ends [1] are the command's. < 0: errno, and nothing is left. */
static int begin_with(struct session *s, const char *command, const int out[2], const int err[2])
{
	s->pid = fork();
	if (s->pid < 0)
		return -1;
	if (s->pid == 0) {
		(void)setpgid(0, 0);
		(void)dup2(out[1], 1);
		(void)dup2(err[1], 2);
		for (int fd = 3; fd < 256; fd++)
			(void)close(fd);
		(void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
	if (s->pidfd < 0) {
		int why = errno;

		(void)kill(s->pid, SIGKILL);
		(void)waitpid(s->pid, NULL, 0);
		errno = why;
		return -1;
	}
	return 0;
}

/* < 0: errno. */
static int begin_session(struct session *s, uint32_t id, const char *command)
{
	int out[2], err[2], why;

	if (pipe(out) < 0)
		return -1;
	if (pipe(err) < 0) {
		why = errno;
		close_both(out);
		errno = why;
		return -1;
	}
	*s = (struct session){.out = out[0], .err = err[0]};
	if (begin_with(s, command, out, err) < 0) {
		why = errno;
		close_both(out);
		close_both(err);
		errno = why;
		return -1;
	}
	(void)close(out[1]);
	(void)close(err[1]);
	s->id = id;
	return 0;
}

static void begin(struct member *m, const struct gang_frame *f)
{
	struct session *s = NULL;
	char *command = strndup((const char *)f->data, f->n), why[160];
	struct err e;
	int n;

	CHECK(command);
	for (uint32_t i = 0; i < SESSIONS_MAX && !s; i++)
		s = m->v[i].id ? NULL : &m->v[i];
	errno = EAGAIN; /* so many commands run already */
	if (!s || begin_session(s, f->session, command) < 0) {
		n = snprintf(why, sizeof(why), "osier: cannot start a command here: %s\n", strerror(errno));
		(void)gang_link_send(&m->link, GANG_ERR, f->session, why, (size_t)n, &e);
		(void)gang_link_send(&m->link, GANG_EXIT, f->session, "\xff", 1, &e);
	}
	free(command);
}

/* What lies in the pipe, once; false: nothing more will come. */
static bool pass_on(struct member *m, const struct session *s, int fd, enum gang_kind kind)
{
	uint8_t buf[GANG_DATA_MAX];
	ssize_t n = read(fd, buf, sizeof(buf));
	struct err e;

	if (n > 0)
		(void)gang_link_send(&m->link, kind, s->id, buf, (size_t)n, &e);
	return n > 0 || (n < 0 && errno == EINTR);
}

static void drain(struct member *m, const struct session *s, int fd, enum gang_kind kind)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (fd >= 0 && poll(&p, 1, 0) > 0 && (p.revents & POLLIN) && pass_on(m, s, fd, kind))
		;
	if (fd >= 0)
		(void)close(fd);
}

/* Its process has ended; what goes on in the background keeps nobody. */
static void end(struct member *m, struct session *s)
{
	int status = 0;
	uint8_t code;
	struct err e;

	if (waitpid(s->pid, &status, WNOHANG) != s->pid)
		return;
	drain(m, s, s->out, GANG_OUT);
	drain(m, s, s->err, GANG_ERR);
	(void)close(s->pidfd);
	code = (uint8_t)(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	(void)gang_link_send(&m->link, GANG_EXIT, s->id, &code, 1, &e);
	*s = (struct session){0};
}

/* 1: rank 0 said goodbye. */
static int obey(struct member *m, struct err *e)
{
	struct gang_frame f;
	int rc;

	while ((rc = gang_link_take(&m->link, &f, e)) > 0) {
		if (f.kind == GANG_BYE)
			return 1;
		if (f.kind == GANG_RUN && f.session != 0)
			begin(m, &f);
		for (uint32_t i = 0; f.kind == GANG_KILL && i < SESSIONS_MAX; i++)
			if (m->v[i].id == f.session && f.session != 0)
				(void)kill(-m->v[i].pid, SIGTERM);
	}
	return rc;
}

static int serve(struct member *m, struct err *e)
{
	for (;;) {
		struct pollfd p[1 + 3 * SESSIONS_MAX];
		int rc;

		p[0] = (struct pollfd){.fd = m->link.fd, .events = POLLIN};
		for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
			const struct session *s = &m->v[i];

			p[1 + 3 * i] = (struct pollfd){.fd = s->id ? s->pidfd : -1, .events = POLLIN};
			p[2 + 3 * i] = (struct pollfd){.fd = s->id ? s->out : -1, .events = POLLIN};
			p[3 + 3 * i] = (struct pollfd){.fd = s->id ? s->err : -1, .events = POLLIN};
		}
		if (poll(p, 1 + 3 * SESSIONS_MAX, -1) < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(e, "cannot wait for %u descriptors", 1 + 3 * SESSIONS_MAX);
		}
		for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
			struct session *s = &m->v[i];

			if (p[2 + 3 * i].revents && !pass_on(m, s, s->out, GANG_OUT)) {
				(void)close(s->out);
				s->out = -1;
			}
			if (p[3 + 3 * i].revents && !pass_on(m, s, s->err, GANG_ERR)) {
				(void)close(s->err);
				s->err = -1;
			}
			if (p[1 + 3 * i].revents)
				end(m, s);
		}
		rc = p[0].revents ? obey(m, e) : 0;
		if (rc)
			return rc < 0 ? -1 : 0;
	}
}

int gang_member_serve(const struct gang_self *g, struct err *e)
{
	struct member *m = calloc(1, sizeof(*m));
	int rc;

	CHECK(m);
	(void)signal(SIGPIPE, SIG_IGN);
	find(m, g);
	rc = serve(m, e);
	gang_link_close(&m->link);
	free(m);
	return rc < 0 ? err_wrap(e, "rank 0 at %s", g->address) : 0;
}
