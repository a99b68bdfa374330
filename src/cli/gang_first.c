/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gang_first - rank 0: waits for all other members, then runs its command, which reaches them by `osier gang sh` over a socket in the
 * task's folder. What a member says goes to who asked for it.
 *
 * Who connects and does not know the gang's secret gets 32 random bytes. So many of them are borne at a time, for so long; when more come the
 * oldest goes of those from the address that most came from, so strangers keep no member out. Nobody is let in once all members are here.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/gang.h"
#include "cli/term.h"

#define STRANGERS_MAX 32u
#define BACKLOG       1024
#define STRANGER_MS   10000u
#define ASKERS_MAX    128u
#define FAREWELL_MS   5000
#define NOTE_MS       10000u

struct asker { /* an `osier gang sh` */
	int fd;
	uint32_t rank, session; /* 0: it has not asked yet */
};
struct stranger {
	struct gang_link *link;
	uint64_t since_ms, came; /* came: counted */
	uint8_t from[16];
	uint32_t rank; /* what it says it is; 0: nothing yet */
};
struct first {
	const struct gang_self *g;
	int listener, socket, pidfd;
	pid_t pid;
	struct gang_link *member[GANG_MEMBERS_MAX];
	struct stranger strangers[STRANGERS_MAX];
	struct asker askers[ASKERS_MAX];
	uint32_t sessions, here;
	uint64_t came; /* how many so far */
	bool noted;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- sockets ---- */

static int bind_one(const struct addrinfo *a)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

/* At its own address; where that is not this machine's (it is reached by another one), at all. */
static int listen_there(struct first *f, struct err *e)
{
	struct addrinfo hint = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;

	for (int all = 0; all < 2 && f->listener < 0; all++) {
		if (getaddrinfo(all ? NULL : f->g->host, f->g->port, &hint, &list) != 0)
			continue;
		for (const struct addrinfo *a = list; a && f->listener < 0; a = a->ai_next)
			f->listener = bind_one(a);
		freeaddrinfo(list);
		if (f->listener < 0 && errno == EADDRINUSE)
			break;
	}
	if (f->listener < 0) {
		(void)err_sys(e, "cannot listen at %s", f->g->address);
		return err_hint(
		        e, "gang.ports of config.yaml says which ports are free for gangs on this node");
	}
	return 0;
}

/* Paths of sockets are short; folders need not be. */
static int socket_address(const char *folder, struct sockaddr_un *out, int *out_fd)
{
	*out_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (*out_fd < 0)
		return -1;
	(void)snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/%s", *out_fd, GANG_SOCKET);
	return 0;
}

static int open_socket(struct first *f, struct err *e)
{
	struct sockaddr_un sa;
	int folder, rc = -1;

	if (socket_address(f->g->scratch, &sa, &folder) < 0)
		return err_sys(e, "cannot open '%s'", f->g->scratch);
	f->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)unlinkat(folder, GANG_SOCKET, 0);
	if (f->socket >= 0 && bind(f->socket, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		rc = listen(f->socket, (int)ASKERS_MAX);
	(void)close(folder);
	return rc < 0 ? err_sys(e, "cannot make a socket in '%s'", f->g->scratch) : 0;
}

/* ---- who comes ---- */

static void forget(struct stranger *s)
{
	if (s->link)
		gang_link_close(s->link);
	free(s->link);
	*s = (struct stranger){0};
}

/* Who has so many addresses as a machine of IPv6 has is one all the same. */
static void address_of(const struct sockaddr_storage *sa, uint8_t out[16])
{
	const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;

	memset(out, 0, 16);
	if (sa->ss_family == AF_INET)
		memcpy(out + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	else if (sa->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(six))
		memcpy(out + 12, (const uint8_t *)six + 12, 4);
	else if (sa->ss_family == AF_INET6)
		memcpy(out, six, 8);
}

static unsigned from_there(const struct first *f, const uint8_t from[16])
{
	unsigned n = 0;

	for (uint32_t i = 0; i < STRANGERS_MAX; i++)
		n += f->strangers[i].link && memcmp(f->strangers[i].from, from, 16) == 0;
	return n;
}

/* For one from this address. */
static struct stranger *place_for(struct first *f, const uint8_t from[16])
{
	struct stranger *gone = NULL;
	unsigned most = 0;

	for (uint32_t i = 0; i < STRANGERS_MAX; i++) {
		struct stranger *s = &f->strangers[i];
		unsigned n;

		if (!s->link)
			return s;
		n = from_there(f, s->from) + (memcmp(s->from, from, 16) == 0);
		if (n > most || (n == most && s->came < gone->came)) {
			most = n;
			gone = s;
		}
	}
	CHECK(gone);
	forget(gone);
	return gone;
}

static void welcome(struct first *f)
{
	struct sockaddr_storage sa = {0};
	socklen_t n = sizeof(sa);
	int fd = accept4(f->listener, (struct sockaddr *)&sa, &n, SOCK_CLOEXEC);
	struct stranger *s;
	uint8_t from[16];
	struct err e;

	if (fd < 0)
		return;
	address_of(&sa, from);
	s = place_for(f, from);
	s->link = calloc(1, sizeof(*s->link));
	CHECK(s->link);
	s->since_ms = now_ms();
	s->came = f->came++;
	memcpy(s->from, from, sizeof(from));
	if (gang_link_greet(s->link, fd, &e) < 0)
		forget(s);
}

/* All members are here. */
static void shut(struct first *f)
{
	for (uint32_t i = 0; i < STRANGERS_MAX; i++)
		forget(&f->strangers[i]);
	if (f->listener >= 0)
		(void)close(f->listener);
	f->listener = -1;
}

/* It answered; only who seals its first word with the gang's key is a member. */
static void listen_to(struct first *f, struct stranger *s)
{
	struct gang_frame frame;
	struct err e;
	int rc = s->rank ? 1 : gang_link_answer(s->link, f->g->secret, &s->rank, &e);

	if (rc > 0 && (s->rank == 0 || s->rank >= f->g->size))
		rc = -1;
	if (rc > 0)
		rc = gang_link_take(s->link, &frame, &e);
	if (rc > 0 && (frame.kind != GANG_HELLO || f->member[s->rank] ||
	                      gang_link_send(s->link, GANG_HELLO, 0, "", 0, &e) < 0))
		rc = -1;
	if (rc < 0)
		forget(s);
	if (rc <= 0)
		return;
	f->member[s->rank] = s->link;
	s->link = NULL;
	forget(s);
	f->here++;
}

static void lose_patience(struct first *f)
{
	for (uint32_t i = 0; i < STRANGERS_MAX; i++)
		if (f->strangers[i].link && now_ms() - f->strangers[i].since_ms > STRANGER_MS)
			forget(&f->strangers[i]);
}

/* ---- who asks ---- */

static void dismiss(struct first *f, struct asker *a)
{
	struct err e;

	if (a->session && f->member[a->rank])
		(void)gang_link_send(f->member[a->rank], GANG_KILL, a->session, "", 0, &e);
	(void)close(a->fd);
	*a = (struct asker){.fd = -1};
}

static void admit(struct first *f)
{
	int fd = accept4(f->socket, NULL, NULL, SOCK_CLOEXEC);

	for (uint32_t i = 0; fd >= 0 && i < ASKERS_MAX; i++)
		if (f->askers[i].fd < 0) {
			f->askers[i] = (struct asker){.fd = fd};
			return;
		}
	if (fd >= 0)
		(void)close(fd);
}

/* One message: the rank, 4 bytes in the machine's order, and the command. */
static void hear(struct first *f, struct asker *a)
{
	uint8_t buf[4 + GANG_DATA_MAX];
	size_t n = 0;
	uint32_t length = 0;
	struct err e;

	if (a->session) { /* it has nothing more to say: it is gone */
		dismiss(f, a);
		return;
	}
	while (n < 8 || n < 8 + (size_t)length) {
		ssize_t k = read(a->fd, buf + n, n < 8 ? 8 - n : 8 + length - n);

		if (k <= 0)
			break;
		n += (size_t)k;
		if (n == 8)
			memcpy(&length, buf + 4, 4);
		if (n == 8 && length > GANG_DATA_MAX - 8)
			break;
	}
	memcpy(&a->rank, buf, 4);
	if (n < 8 || n != 8 + (size_t)length || a->rank == 0 || a->rank >= f->g->size ||
	        !f->member[a->rank]) {
		a->rank = 0;
		dismiss(f, a);
		return;
	}
	a->session = ++f->sessions;
	(void)gang_link_send(f->member[a->rank], GANG_RUN, a->session, buf + 8, length, &e);
}

/* What a member says goes to who asked: kind, length, data. */
static int carry(struct first *f, uint32_t rank, struct err *e)
{
	struct gang_frame frame;
	int rc;

	while ((rc = gang_link_take(f->member[rank], &frame, e)) > 0)
		for (uint32_t i = 0; i < ASKERS_MAX; i++) {
			struct asker *a = &f->askers[i];
			uint32_t head[2] = {(uint32_t)frame.kind, (uint32_t)frame.n};

			if (a->fd < 0 || a->rank != rank || a->session != frame.session || !a->session)
				continue;
			if (gang_write(a->fd, head, sizeof(head)) < 0 ||
			        gang_write(a->fd, frame.data, frame.n) < 0) {
				dismiss(f, a);
			} else if (frame.kind == GANG_EXIT) {
				a->session = 0;
				dismiss(f, a);
			}
		}
	return rc;
}

/* ---- the command ---- */

static int begin(struct first *f, char *const *argv, struct err *e)
{
	f->pid = fork();
	if (f->pid < 0)
		return err_sys(e, "cannot start '%s'", argv[0]);
	if (f->pid == 0) {
		(void)signal(SIGPIPE, SIG_DFL);
		(void)execvp(argv[0], argv);
		term_note("osier: cannot start '%s': %s", argv[0], strerror(errno));
		_exit(127);
	}
	f->pidfd = (int)syscall(SYS_pidfd_open, f->pid, 0);
	CHECK(f->pidfd >= 0);
	return 0;
}

static void note_missing(struct first *f, uint64_t since_ms)
{
	char ranks[400] = "";

	if (f->noted || f->pid || now_ms() - since_ms < NOTE_MS)
		return;
	f->noted = true;
	for (uint32_t r = 1; r < f->g->size && strlen(ranks) < sizeof(ranks) - 16; r++)
		if (!f->member[r])
			(void)snprintf(ranks + strlen(ranks), 16, "%s%u", ranks[0] ? ", " : "", r);
	term_note("waits for rank %s", ranks);
}

#define PLACES (3 + GANG_MEMBERS_MAX + STRANGERS_MAX + ASKERS_MAX)

static void places(const struct first *f, struct pollfd *p)
{
	*p++ = (struct pollfd){.fd = f->listener, .events = POLLIN};
	*p++ = (struct pollfd){.fd = f->socket, .events = POLLIN};
	*p++ = (struct pollfd){.fd = f->pidfd, .events = POLLIN};
	for (uint32_t i = 0; i < GANG_MEMBERS_MAX; i++)
		*p++ = (struct pollfd){.fd = f->member[i] ? f->member[i]->fd : -1, .events = POLLIN};
	for (uint32_t i = 0; i < STRANGERS_MAX; i++)
		*p++ = (struct pollfd){
		        .fd = f->strangers[i].link ? f->strangers[i].link->fd : -1, .events = POLLIN};
	for (uint32_t i = 0; i < ASKERS_MAX; i++)
		*p++ = (struct pollfd){.fd = f->askers[i].fd, .events = POLLIN};
}

/* One look at all of them. < 0: a member is gone. */
static int look(struct first *f, struct err *e)
{
	struct pollfd all[PLACES], *p = all;
	bool waits = f->pid == 0;

	places(f, all);
	if (poll(all, PLACES, waits ? 1000 : -1) < 0)
		return errno == EINTR ? 0 : err_sys(e, "cannot wait for %u descriptors", PLACES);
	lose_patience(f);
	if (p++->revents)
		welcome(f);
	if (p++->revents)
		admit(f);
	p++;
	for (uint32_t i = 0; i < GANG_MEMBERS_MAX; i++, p++)
		if (p->revents && f->member[i] && carry(f, i, e) < 0)
			return err_wrap(e, "rank %u", i);
	for (uint32_t i = 0; i < STRANGERS_MAX; i++, p++)
		if (p->revents && f->strangers[i].link)
			listen_to(f, &f->strangers[i]);
	for (uint32_t i = 0; i < ASKERS_MAX; i++, p++)
		if (p->revents && f->askers[i].fd >= 0)
			hear(f, &f->askers[i]);
	return 0;
}

/* The command's exit code, or < 0. */
static int go(struct first *f, char *const *argv, struct err *e)
{
	uint64_t since = now_ms();
	int status = 0;

	while (f->here + 1 < f->g->size) {
		if (look(f, e) < 0)
			return -1;
		note_missing(f, since);
	}
	shut(f);
	if (begin(f, argv, e) < 0)
		return -1;
	while (waitpid(f->pid, &status, WNOHANG) == 0)
		if (look(f, e) < 0) {
			(void)kill(f->pid, SIGTERM);
			return -1;
		}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* They go when they are told; who does not is ended by the node. */
static void farewell(struct first *f)
{
	uint64_t until = now_ms() + FAREWELL_MS;
	struct err e;

	for (uint32_t r = 0; r < GANG_MEMBERS_MAX; r++)
		if (f->member[r])
			(void)gang_link_send(f->member[r], GANG_BYE, 0, "", 0, &e);
	for (uint32_t r = 0; r < GANG_MEMBERS_MAX; r++) {
		struct pollfd p = {.events = POLLIN};
		struct gang_frame frame;

		while (f->member[r] && gang_link_take(f->member[r], &frame, &e) >= 0 && now_ms() < until) {
			p.fd = f->member[r]->fd;
			(void)poll(&p, 1, 100);
		}
		if (f->member[r])
			gang_link_close(f->member[r]);
		free(f->member[r]);
	}
}

int gang_first(const struct gang_self *g, char *const *argv, struct err *e)
{
	struct first *f = calloc(1, sizeof(*f));
	int rc;

	CHECK(f);
	f->g = g;
	f->listener = f->socket = f->pidfd = -1;
	for (uint32_t i = 0; i < ASKERS_MAX; i++)
		f->askers[i].fd = -1;
	(void)signal(SIGPIPE, SIG_IGN);
	rc = listen_there(f, e) < 0 || open_socket(f, e) < 0 ? -1 : go(f, argv, e);
	farewell(f);
	shut(f);
	free(f);
	return rc;
}

/* ---- osier gang sh ---- */

static int read_all(int fd, void *p, size_t n)
{
	uint8_t *at = p;

	while (n > 0) {
		ssize_t k = read(fd, at, n);

		if (k == 0 || (k < 0 && errno != EINTR))
			return -1;
		at += k > 0 ? k : 0;
		n -= k > 0 ? (size_t)k : 0;
	}
	return 0;
}

int gang_sh(const struct gang_self *g, uint32_t rank, const char *command, struct err *e)
{
	uint32_t head[2] = {rank, (uint32_t)strlen(command)};
	uint8_t data[GANG_DATA_MAX];
	struct sockaddr_un sa;
	int folder, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (head[1] > GANG_DATA_MAX - 8)
		return err_set(e, ERR_INVALID, "a command has at most %u bytes here", GANG_DATA_MAX - 8);
	if (fd < 0 || socket_address(g->scratch, &sa, &folder) < 0 ||
	        connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		(void)err_sys(e, "cannot reach rank 0 in '%s'", g->scratch);
		return err_hint(e, "'osier gang sh' works below 'osier gang exec' alone");
	}
	if (gang_write(fd, head, sizeof(head)) < 0 || gang_write(fd, command, head[1]) < 0)
		return err_sys(e, "cannot ask rank 0");
	for (;;) {
		if (read_all(fd, head, sizeof(head)) < 0 || head[1] > sizeof(data) ||
		        read_all(fd, data, head[1]) < 0)
			return err_set(e, ERR_CLOSED, "rank %u runs nothing: it is gone, or no rank", rank);
		if (head[0] == GANG_OUT || head[0] == GANG_ERR)
			(void)gang_write(head[0] == GANG_OUT ? 1 : 2, data, head[1]);
		else if (head[0] == GANG_EXIT && head[1] == 1)
			return data[0];
	}
}
