/* SPDX-License-Identifier: Apache-2.0 */
/* test_gang_exec - facts about the members of a gang as processes: who gets in, and what one does that has no descriptors left. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "cli/gang.h"

#define SECRET    "0123456789abcdef0123456789abcdef"
#define STRANGERS 40
#define FEW       128 /* descriptors */

static char folder[] = "/tmp/osier-gang-XXXXXX", port[8];
static pid_t pids[4];
static unsigned n_pids;

static int listen_anywhere(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	CHECK(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	CHECK(bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(fd, 8) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&sa, &n) == 0);
	(void)snprintf(port, sizeof(port), "%u", ntohs(sa.sin_port));
	return fd;
}

static struct gang_self self(uint32_t rank)
{
	struct gang_self g = {.rank = rank,
	        .size = 2,
	        .host = "127.0.0.1",
	        .port = port,
	        .secret = SECRET,
	        .scratch = folder};

	(void)snprintf(g.address, sizeof(g.address), "127.0.0.1:%s", port);
	return g;
}

static pid_t start(void (*fn)(void))
{
	pid_t pid = fork();

	CHECK(pid >= 0 && n_pids < 4);
	if (pid == 0) {
		fn();
		_exit(9);
	}
	pids[n_pids++] = pid;
	return pid;
}

static int end_all(void **state)
{
	(void)state;
	for (unsigned i = 0; i < n_pids; i++) {
		(void)kill(pids[i], SIGKILL);
		(void)waitpid(pids[i], NULL, 0);
	}
	n_pids = 0;
	return 0;
}

/* Its exit code, or -1 when it has not ended after 30 s. */
static int ended(pid_t pid)
{
	struct pollfd p = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
	int status, n;

	assert_true(p.fd >= 0);
	n = poll(&p, 1, 30000);
	(void)close(p.fd);
	if (n != 1)
		return -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	for (unsigned k = 0; k < n_pids; k++)
		if (pids[k] == pid)
			pids[k] = pids[--n_pids];
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void run_first(void)
{
	char *const argv[] = {"true", NULL};
	struct gang_self g = self(0);
	struct err e;

	_exit(gang_first(&g, argv, &e) == 0 ? 0 : 1);
}

static void run_member(void)
{
	struct gang_self g = self(1);
	struct err e;

	_exit(gang_member_serve(&g, &e) == 0 ? 0 : 1);
}

/* ---- who gets in ---- */

static int taken[2]; /* a byte: the places are taken */

static int stranger(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000009)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sa.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

/* As many as there are places, and more; who is turned away comes again at once. They say nothing. */
static void run_strangers(void)
{
	struct pollfd p[STRANGERS];
	unsigned greeted = 0;
	char word[GANG_RANDOM];

	for (unsigned i = 0; i < STRANGERS; i++)
		p[i].fd = -1;
	for (;;) {
		for (unsigned i = 0; i < STRANGERS; i++)
			if (p[i].fd < 0)
				p[i] = (struct pollfd){.fd = stranger(), .events = POLLIN};
		(void)poll(p, STRANGERS, 10);
		for (unsigned i = 0; i < STRANGERS; i++) {
			if (p[i].fd < 0 || !p[i].revents)
				continue;
			if (recv(p[i].fd, word, sizeof(word), MSG_DONTWAIT) > 0) {
				if (++greeted == 32)
					CHECK(write(taken[1], "x", 1) == 1);
				continue;
			}
			(void)close(p[i].fd);
			p[i].fd = -1;
		}
	}
}

static void strangers_keep_no_member_out(void **state)
{
	pid_t first, member;
	char c;

	(void)state;
	(void)close(listen_anywhere());
	CHECK(pipe(taken) == 0);
	first = start(run_first);
	(void)start(run_strangers);
	assert_int_equal(read(taken[0], &c, 1), 1);
	member = start(run_member);
	assert_int_equal(ended(first), 0);
	assert_int_equal(ended(member), 0);
	(void)close(taken[0]);
	(void)close(taken[1]);
}

/* ---- without descriptors ---- */

static void run_poor_member(void)
{
	struct rlimit few = {.rlim_cur = FEW, .rlim_max = 2 * FEW};

	for (int fd = 3; fd < 256; fd++)
		(void)close(fd);
	for (int fd = 3; fd < FEW - 4; fd++)
		CHECK(dup(0) == fd);
	CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0); /* room for the link, a pipe, and half of one */
	run_member();
}

/* What the command prints and how it ends. */
static uint8_t run(struct gang_link *l, uint32_t session, const char *command, char out[200])
{
	struct pollfd p = {.fd = l->fd, .events = POLLIN};
	struct gang_frame f;
	struct err e;
	int rc;

	out[0] = '\0';
	assert_int_equal(gang_link_send(l, GANG_RUN, session, command, strlen(command), &e), 0);
	for (;;) {
		while ((rc = gang_link_take(l, &f, &e)) == 0)
			assert_int_equal(poll(&p, 1, 10000), 1);
		assert_int_equal(rc, 1);
		assert_int_equal(f.session, session);
		if (f.kind == GANG_EXIT)
			return f.data[0];
		(void)snprintf(out, 200, "%.*s", (int)f.n, (const char *)f.data);
	}
}

static unsigned descriptors(pid_t pid)
{
	char path[64];
	unsigned n = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	assert_non_null(d);
	for (struct dirent *x; (x = readdir(d));)
		n += x->d_name[0] != '.';
	(void)closedir(d);
	return n;
}

static void a_command_that_cannot_be_started_costs_no_descriptor(void **state)
{
	const struct rlimit enough = {.rlim_cur = 2 * FEW, .rlim_max = 2 * FEW},
	                    for_pipes = {.rlim_cur = FEW + 1, .rlim_max = 2 * FEW};
	struct gang_link *l = calloc(1, sizeof(*l));
	int listener = listen_anywhere(), rc;
	struct gang_frame f;
	uint32_t rank = 0;
	char out[200];
	struct err e;
	pid_t member;

	(void)state;
	CHECK(l);
	member = start(run_poor_member);
	assert_int_equal(gang_link_greet(l, accept(listener, NULL, NULL), &e), 0);
	while ((rc = gang_link_answer(l, SECRET, &rank, &e)) == 0)
		;
	assert_int_equal(rc, 1);
	while ((rc = gang_link_take(l, &f, &e)) == 0)
		;
	assert_int_equal(rc, 1);
	assert_int_equal(gang_link_send(l, GANG_HELLO, 0, "", 0, &e), 0);
	for (uint32_t i = 1; i < 4; i++) {
		assert_int_equal(run(l, i, "true", out), 255);
		assert_non_null(strstr(out, "cannot start a command here: Too many open files"));
		assert_int_equal(descriptors(member), FEW - 3);
	}
	CHECK(prlimit(member, RLIMIT_NOFILE, &for_pipes, NULL) == 0); /* but not to watch the process */
	assert_int_equal(run(l, 5, "true", out), 255);
	assert_int_equal(descriptors(member), FEW - 3);
	CHECK(prlimit(member, RLIMIT_NOFILE, &enough, NULL) == 0);
	assert_int_equal(run(l, 6, "echo here; exit 3", out), 3);
	assert_string_equal(out, "here\n");
	gang_link_close(l);
	(void)close(listener);
	free(l);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
	char socket_path[80];

	(void)state;
	(void)snprintf(socket_path, sizeof(socket_path), "%s/" GANG_SOCKET, folder);
	(void)unlink(socket_path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_teardown(strangers_keep_no_member_out, end_all),
	        cmocka_unit_test_teardown(a_command_that_cannot_be_started_costs_no_descriptor, end_all),
	};

	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
