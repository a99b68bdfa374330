/* SPDX-License-Identifier: Apache-2.0 */
/* keeper_life - facts about keeper, engine and workers when one of them ends, is restarted, or talks nonsense. */
#ifndef __has_feature /* clang's word */
#define __has_feature(x) 0
#endif

#include "keeper_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static char self[512];

static void run_worker(struct rig *r, uint32_t slot, uint64_t lease)
{
	const char *argv[] = {self, "--echo-worker", NULL};
	struct keeper_start s = rig_task();

	rig_start(r, slot, lease, KEEPER_INDEX_WORKER, KEEPER_WORKER, &s, argv);
}

static int echo_worker(void)
{
	char buf[4096];
	ssize_t n;

	(void)printf("worker with %s\n", getenv("OSIER_WORKER_FD"));
	(void)fflush(stdout);
	while ((n = recv(3, buf, sizeof(buf), 0)) > 0) {
		buf[0]++;
		(void)send(3, buf, (size_t)n, 0);
	}
	return 0;
}

/* What goes in comes back with its first letter one up. */
static void echoes(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[16] = "";

	assert_true(fd >= 0);
	assert_int_equal(send(fd, "abc", 3, 0), 3);
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 3);
	assert_memory_equal(buf, "bbc", 3);
}

static void running_tasks_do_not_notice_a_new_engine(void **state)
{
	struct rig *r = rig_open(NULL);
	struct got *g;
	uint32_t pid;

	(void)state;
	g = rig_run(r, 1, NULL, "echo held"); /* never acknowledged */
	free(g);
	g = rig_run(r, 2, NULL, "echo acked");
	free(g);
	rig_ack(r, 2, 0);
	rig_shell(r, 1, 3, 5, NULL, "sleep 1; echo still here");
	rig_shell(r, 1, 3, 6, NULL, "echo me too");
	g = rig_wait(r, KEEPER_STARTED, 3, 5);
	pid = g->m.u.started.pid;
	free(g);
	(void)poll(NULL, 0, 50);
	rig_kill_engine(r);
	rig_meet_engine(r);
	rig_hello(r);
	g = rig_wait(r, KEEPER_SLOT, 3, 5);
	assert_int_equal(g->m.flags, KEEPER_RUNNING);
	assert_int_equal(g->m.u.slot.pid, pid);
	assert_int_equal(g->m.u.slot.queued, 1);
	assert_int_equal(g->m.u.slot.last_index, 6);
	free(g);
	g = rig_wait(r, KEEPER_EXITED, 1, 0);
	assert_string_equal(g->m.u.exited.out.p, "held\n");
	free(g);
	assert_null(rig_try(r, KEEPER_EXITED, 2, 0, 0));
	g = rig_wait(r, KEEPER_EXITED, 3, 5);
	assert_string_equal(g->m.u.exited.out.p, "still here\n");
	free(g);
	free(rig_wait(r, KEEPER_EXITED, 3, 6));
	rig_close(r);
}

static void results_made_while_no_engine_lived_are_told(void **state)
{
	struct rig *r = rig_open(NULL);

	(void)state;
	for (uint64_t i = 0; i < 20; i++)
		rig_shell(r, 0, 1, i, NULL, "sleep 0.02");
	rig_kill_engine(r);
	rig_meet_engine(r);
	(void)poll(NULL, 0, 1000);
	rig_hello(r);
	for (uint64_t i = 0; i < 20; i++)
		free(rig_wait(r, KEEPER_EXITED, 1, i));
	rig_ack(r, 1, 9);
	rig_kill_engine(r);
	rig_meet_engine(r);
	rig_hello(r);
	assert_null(rig_try(r, KEEPER_EXITED, 1, 9, 50));
	for (uint64_t i = 10; i < 20; i++)
		free(rig_wait(r, KEEPER_EXITED, 1, i));
	rig_close(r);
}

static void worker_is_handed_to_the_next_engine(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_msg adopt = {.kind = KEEPER_ADOPT, .slot = 4, .lease = 12};
	struct got *g;
	char *log;

	(void)state;
	run_worker(r, 4, 11);
	g = rig_wait(r, KEEPER_STARTED, 11, KEEPER_INDEX_WORKER);
	assert_int_equal(g->m.flags, KEEPER_WORKER);
	echoes(g->fd);
	(void)close(g->fd);
	free(g);
	rig_send(r, &adopt);
	rig_kill_engine(r);
	rig_meet_engine(r);
	rig_hello(r);
	g = rig_wait(r, KEEPER_SLOT, 12, KEEPER_INDEX_WORKER);
	assert_int_equal(g->m.flags & (KEEPER_WORKER | KEEPER_RUNNING), KEEPER_WORKER | KEEPER_RUNNING);
	echoes(g->fd);
	(void)close(g->fd);
	free(g);
	log = rig_file(r, "spool/12-18446744073709551615.out", NULL);
	for (int i = 0; i < 500 && !*log; i++) { /* it comes by another way than the echo */
		free(log);
		(void)poll(NULL, 0, 10);
		log = rig_file(r, "spool/12-18446744073709551615.out", NULL);
	}
	assert_string_equal(log, "worker with 3\n");
	free(log);
	rig_stop(r, 12, 0, 500);
	g = rig_wait(r, KEEPER_EXITED, 12, KEEPER_INDEX_WORKER);
	assert_int_equal(g->m.u.exited.end, KEEPER_END_STOPPED);
	assert_int_equal(g->m.flags & KEEPER_WORKER, KEEPER_WORKER);
	free(g);
	free(rig_wait(r, KEEPER_STOPPED, 12, 0));
	rig_close(r);
}

static void worker_that_dies_hangs_up(void **state)
{
	struct rig *r = rig_open(NULL);
	struct got *g, *s;
	char c;

	(void)state;
	run_worker(r, 0, 1);
	s = rig_wait(r, KEEPER_STARTED, 1, KEEPER_INDEX_WORKER);
	echoes(s->fd);
	assert_int_equal(kill((pid_t)s->m.u.started.pid, SIGKILL), 0);
	g = rig_wait(r, KEEPER_EXITED, 1, KEEPER_INDEX_WORKER);
	assert_int_equal(g->m.u.exited.end, KEEPER_END_SIGNAL);
	assert_int_equal(g->m.u.exited.code, SIGKILL);
	free(g);
	assert_int_equal(recv(s->fd, &c, 1, 0), 0); /* the keeper's duplicate is closed, too */
	(void)close(s->fd);
	free(s);
	rig_close(r);
}

static void engine_that_is_done_ends_the_keeper_and_its_tasks(void **state)
{
	struct rig *r = rig_open(NULL);
	int status;

	(void)state;
	rig_shell(r, 0, 1, 0, NULL, "sleep 897.1 & setsid sleep 897.2");
	free(rig_wait(r, KEEPER_STARTED, 1, 0));
	assert_int_equal(write(r->hand_fd, "", 1), 1); /* exit code 0 */
	status = rig_wait_keeper(r, 15);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(rig_processes("897."), 0);
	rig_forget(r);
}

static void engine_that_fails_is_started_again_and_again(void **state)
{
	struct rig *r = rig_open(NULL);
	struct got *g;

	(void)state;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(write(r->hand_fd, "\7", 1), 1);
		rig_meet_engine(r);
		rig_hello(r);
	}
	g = rig_run(r, 1, NULL, "echo fine");
	assert_string_equal(g->m.u.exited.out.p, "fine\n");
	free(g);
	rig_close(r);
}

/* Runs a keeper that is expected to leave by itself; its exit code, and what it said on `fd 9` and stderr. */
static int leaves(const char *options, char *out, size_t max)
{
	char cmd[1024];
	FILE *f;
	size_t n;
	int fd[2], status;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	(void)snprintf(cmd, sizeof(cmd), "exec %s %s 9>&1 2>&1", getenv("KEEPER"), options);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(fd[1], 1);
		(void)close(fd[0]);
		(void)close(fd[1]);
		(void)execl("/bin/sh", "sh", "-c", cmd, (char *)NULL);
		_exit(127);
	}
	(void)close(fd[1]);
	f = fdopen(fd[0], "r");
	assert_non_null(f);
	n = fread(out, 1, max - 1, f);
	out[n] = '\0';
	(void)fclose(f);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void engine_that_never_gets_ready_is_given_up(void **state)
{
	char dir[] = "/tmp/osier-keeper-test-XXXXXX", options[300], out[2048];

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(options, sizeof(options), "--state %s --engine /bin/false", dir);
	assert_int_equal(leaves(options, out, sizeof(out)), 1);
	assert_non_null(strstr(out, "the engine ended 3 times without ever being ready"));
	(void)snprintf(options, sizeof(options), "--state %s --engine /no/such/engine --ready-fd 9", dir);
	assert_int_equal(leaves(options, out, sizeof(out)), 78);
	assert_non_null(
	        strstr(out, "error cannot start the engine '/no/such/engine': No such file or directory\n"));
	(void)snprintf(options, sizeof(options), "rm -rf %s", dir);
	assert_int_equal(system(options), 0);
}

static void wrong_options_are_explained(void **state)
{
	char out[4096];

	(void)state;
	assert_int_equal(leaves("", out, sizeof(out)), 2);
	assert_non_null(strstr(out, "usage: osier-keeper"));
	assert_int_equal(leaves("--state /tmp/x --grace never -- true", out, sizeof(out)), 2);
	assert_int_equal(leaves("--state /dev/null/x -- true", out, sizeof(out)), 1);
	assert_non_null(strstr(out, "cannot make the state folder '/dev/null/x'"));
}

static void second_keeper_is_refused_and_told_the_pid(void **state)
{
	struct rig *r = rig_open(NULL);
	char options[300], out[2048], want[64];

	(void)state;
	(void)snprintf(options, sizeof(options), "--state %s --ready-fd 9 -- true", r->dir);
	assert_int_equal(leaves(options, out, sizeof(out)), 3);
	(void)snprintf(want, sizeof(want), "error another keeper (pid %d) holds", r->keeper);
	assert_non_null(strstr(out, want));
	assert_non_null(strstr(out, "hint stop it with"));
	rig_close(r);
}

static void leftovers_of_a_killed_keeper_are_cleaned_up(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_msg m = {.kind = KEEPER_FOLLOW, .lease = 1, .flags = KEEPER_FOLLOWED};
	char *cmd = NULL;

	(void)state;
	rig_shell(r, 0, 1, 0, NULL, "echo out; mkdir -p a/b; touch a/b/c; setsid sleep 887.1 & sleep 887.2");
	free(rig_wait(r, KEEPER_STARTED, 1, 0));
	rig_send(r, &m);
	(void)poll(NULL, 0, 200);
	assert_true(rig_processes("887.1") > 0);
	free(rig_file(r, "spool/1-0.out", NULL));
	assert_int_equal(kill(r->keeper, SIGKILL), 0);
	assert_int_equal(waitpid(r->keeper, NULL, 0), r->keeper);
	assert_int_equal(kill(r->engine, SIGKILL), 0);
	rig_start_keeper(r, NULL);
	rig_meet_engine(r);
	rig_hello(r);
	assert_int_equal(rig_processes("887."), 0);
	assert_null(rig_try(r, KEEPER_SLOT, 1, 0, 50));
	assert_null(rig_file(r, "spool/1-0.out", NULL));
	assert_true(asprintf(&cmd,
	                    "for i in $(seq 100); do test -z \"$(ls -A %s/scratch)\" && exit 0; sleep 0.05; "
	                    "done; exit 1",
	                    r->dir) > 0);
	assert_int_equal(system(cmd), 0);
	free(cmd);
	free(rig_run(r, 1, NULL, "true"));
	rig_close(r);
}

static void term_asks_the_engine_then_the_tasks_and_leaves(void **state)
{
	static const char *const more[] = {"--grace", "1", NULL};
	struct rig *r = rig_open(more);
	uint64_t began;
	int status;

	(void)state;
	rig_shell(r, 0, 1, 0, NULL, "trap 'exit 0' TERM; sleep 877.1 & wait");
	rig_shell(r, 1, 2, 0, NULL, "trap '' TERM; sleep 877.2; sleep 877.3");
	free(rig_wait(r, KEEPER_STARTED, 2, 0));
	(void)poll(NULL, 0, 100);
	began = rig_now_ms();
	assert_int_equal(kill(r->keeper, SIGTERM), 0);
	status = rig_wait_keeper(r, 15);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_in_range(rig_now_ms() - began, 900, 9000);
	assert_int_equal(rig_processes("877."), 0);
	assert_int_equal(kill(r->engine, 0), -1);
	rig_forget(r);
}

static void shutdown_tells_how_the_tasks_ended(void **state)
{
	struct rig *r = rig_open(NULL);
	struct keeper_msg m = {.kind = KEEPER_SHUTDOWN};
	struct got *g;
	int status;

	(void)state;
	rig_shell(r, 0, 1, 0, NULL, "trap 'sleep 1; exit 3' TERM; sleep 867.1 & wait");
	free(rig_wait(r, KEEPER_STARTED, 1, 0));
	(void)poll(NULL, 0, 100);
	m.u.shutdown.grace_ns = 5000000000u;
	rig_send(r, &m);
	/* Neither run nor refused: the engine would take either for the task's own end. */
	rig_shell(r, 1, 2, 0, NULL, "echo too late");
	assert_null(rig_try(r, KEEPER_REFUSED, 2, 0, 500));
	g = rig_wait(r, KEEPER_EXITED, 1, 0);
	assert_int_equal(g->m.u.exited.end, KEEPER_END_STOPPED);
	assert_int_equal(g->m.u.exited.code, 3);
	free(g);
	assert_null(rig_try(r, KEEPER_EXITED, 2, 0, 10));
	status = rig_wait_keeper(r, 15);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	rig_forget(r);
}

static void keeper_leaves_when_its_control_pipe_closes(void **state)
{
	const char *more[3] = {"--control", NULL, NULL};
	char number[16];
	struct rig *r;
	int fds[2], status;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	(void)fcntl(fds[1], F_SETFD, FD_CLOEXEC);
	(void)snprintf(number, sizeof(number), "%d", fds[0]);
	more[1] = number;
	r = rig_open(more);
	rig_shell(r, 0, 1, 0, NULL, "sleep 857.5");
	free(rig_wait(r, KEEPER_STARTED, 1, 0));
	(void)close(fds[0]);
	(void)close(fds[1]);
	status = rig_wait_keeper(r, 15);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(rig_processes("857.5"), 0);
	rig_forget(r);
}

static void nonsense_from_the_engine_costs_it_its_life(void **state)
{
	struct rig *r = rig_open(NULL);
	struct got *g;

	(void)state;
	rig_shell(r, 0, 1, 0, NULL, "sleep 1; echo survived");
	free(rig_wait(r, KEEPER_STARTED, 1, 0));
	assert_int_equal(send(keeper_link_fd(r->link), "this is no message at all, is it?", 33, 0), 33);
	rig_meet_engine(r);
	rig_hello(r);
	g = rig_wait(r, KEEPER_EXITED, 1, 0);
	assert_string_equal(g->m.u.exited.out.p, "survived\n");
	free(g);
	rig_close(r);
}

static void malformed_start_is_refused_by_name(void **state)
{
	static uint8_t packet[KEEPER_PACKET_MAX];
	struct rig *r = rig_open(NULL);
	struct keeper_msg m = {.kind = KEEPER_START, .lease = 9, .index = 3};
	size_t n = 0;
	struct err e;

	(void)state;
	m.u.start = rig_task(); /* no argv */
	assert_int_equal(keeper_msg_build(packet, sizeof(packet), &n, &m, &e), 0);
	assert_int_equal(send(keeper_link_fd(r->link), packet, n, 0), n);
	free(rig_wait(r, KEEPER_REFUSED, 9, 3));
	free(rig_run(r, 10, NULL, "true"));
	rig_close(r);
}

static void too_many_waiting_tasks_are_refused(void **state)
{
	struct rig *r = rig_open(NULL);

	(void)state;
	rig_shell(r, 0, 1, 0, NULL, "sleep 837");
	for (uint64_t i = 1; i <= KEEPER_QUEUE_MAX + 1; i++)
		rig_shell(r, 0, 1, i, NULL, "true");
	free(rig_wait(r, KEEPER_REFUSED, 1, KEEPER_QUEUE_MAX + 1));
	assert_null(rig_try(r, KEEPER_REFUSED, 1, KEEPER_QUEUE_MAX, 0));
	rig_close(r);
}

static void readiness_is_told_to_the_supervisor(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct pollfd p = {.events = POLLIN};
	struct rig *r;
	char buf[64] = "";

	(void)state;
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%c/osier-keeper-test-%d", 0, getpid());
	p.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
	        bind(p.fd, (struct sockaddr *)&a,
	                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(a.sun_path + 1))),
	        0);
	{
		char name[64];

		(void)snprintf(name, sizeof(name), "@%s", a.sun_path + 1);
		(void)setenv("NOTIFY_SOCKET", name, 1);
	}
	r = rig_open(NULL);
	(void)unsetenv("NOTIFY_SOCKET");
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_true(recv(p.fd, buf, sizeof(buf) - 1, 0) > 0);
	assert_string_equal(buf, "READY=1\n");
	(void)close(p.fd);
	rig_close(r);
}

static unsigned long status_of(pid_t pid, const char *key)
{
	char path[64], line[256];
	unsigned long v = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0)
			v = strtoul(line + strlen(key) + 1, NULL, 10);
	(void)fclose(f);
	return v;
}

static void idle_keeper_sleeps_and_is_small(void **state)
{
	struct rig *r = rig_open(NULL);
	unsigned long before;

	(void)state;
	for (uint64_t i = 0; i < 20; i++) {
		free(rig_run(r, i + 1, NULL, "head -c 60000 /dev/zero"));
		rig_ack(r, i + 1, 0);
	}
	(void)poll(NULL, 0, 200);
	before = status_of(r->keeper, "voluntary_ctxt_switches");
	(void)poll(NULL, 0, 1500);
	assert_int_equal(status_of(r->keeper, "voluntary_ctxt_switches"), before);
#if !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer) /* whose shadow is large */
	assert_in_range(status_of(r->keeper, "VmRSS"), 100, 2048);
#endif
	rig_close(r);
}

/* ---- a group of cgroup v2 that systemd delegated, with more in it than the keeper ---- */

static void read_text(const char *path, char *out, size_t max)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, max - 1);

	out[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		(void)close(fd);
}

static void enter_group(const char *folder)
{
	char path[400];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "0", 1), 1);
	(void)close(fd);
}

/* Where this process is in the one hierarchy of v2, as a folder; false: there is none. */
static bool own_group(const char **mount, char out[300])
{
	static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	char path[64], text[4096], *line;

	read_text("/proc/self/cgroup", text, sizeof(text));
	line = strstr(text, "0::/");
	for (size_t i = 0; line && i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/cgroup.procs", mounts[i]);
		if (access(path, W_OK) < 0)
			continue;
		*mount = mounts[i];
		line[strcspn(line, "\n")] = '\0';
		(void)snprintf(out, 300, "%s%s", mounts[i], line + 3);
		return true;
	}
	return false;
}

static void delegated_group_is_used_whatever_else_is_in_it(void **state)
{
	const char *mount;
	char before[300], now[300], group[300], text[4096];
	struct rig *r;
	struct got *g;

	(void)state;
	if (!rig_cgroup || *rig_cgroup != '2' || geteuid() != 0 || !own_group(&mount, before))
		skip();
	(void)snprintf(group, sizeof(group), "%s/osier-test-%d", mount, (int)getpid());
	assert_int_equal(mkdir(group, 0755), 0);
	assert_int_equal(setxattr(group, "trusted.delegate", "1", 1, 0), 0);
	enter_group(group);
	r = rig_open(NULL);
	/* This process had to move, too: with controllers for its children the group itself holds none. */
	assert_true(own_group(&mount, now));
	assert_memory_equal(now, group, strlen(group));
	assert_string_equal(strrchr(now, '/'), "/keeper");
	g = rig_run(r, 1, NULL, "grep ^0:: /proc/self/cgroup");
	assert_non_null(strstr(g->m.u.exited.out.p, strrchr(group, '/')));
	assert_non_null(strstr(g->m.u.exited.out.p, "/slot-"));
	free(g);
	(void)snprintf(text, sizeof(text), "%s/cgroup.controllers", mount);
	read_text(text, text, sizeof(text));
	if (strstr(text, "memory") && strstr(text, "pids") && strstr(text, "cpu"))
		assert_int_equal(r->enforced & (KEEPER_CAN_CPU | KEEPER_CAN_MEMORY | KEEPER_CAN_PIDS),
		        KEEPER_CAN_CPU | KEEPER_CAN_MEMORY | KEEPER_CAN_PIDS);
	rig_close(r);
	assert_true(own_group(&mount, now));
	assert_string_equal(now, group);
	enter_group(before);
	assert_int_equal(rmdir(group), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(running_tasks_do_not_notice_a_new_engine),
	        cmocka_unit_test(results_made_while_no_engine_lived_are_told),
	        cmocka_unit_test(worker_is_handed_to_the_next_engine),
	        cmocka_unit_test(worker_that_dies_hangs_up),
	        cmocka_unit_test(engine_that_is_done_ends_the_keeper_and_its_tasks),
	        cmocka_unit_test(engine_that_fails_is_started_again_and_again),
	        cmocka_unit_test(engine_that_never_gets_ready_is_given_up),
	        cmocka_unit_test(wrong_options_are_explained),
	        cmocka_unit_test(second_keeper_is_refused_and_told_the_pid),
	        cmocka_unit_test(leftovers_of_a_killed_keeper_are_cleaned_up),
	        cmocka_unit_test(term_asks_the_engine_then_the_tasks_and_leaves),
	        cmocka_unit_test(shutdown_tells_how_the_tasks_ended),
	        cmocka_unit_test(keeper_leaves_when_its_control_pipe_closes),
	        cmocka_unit_test(nonsense_from_the_engine_costs_it_its_life),
	        cmocka_unit_test(malformed_start_is_refused_by_name),
	        cmocka_unit_test(too_many_waiting_tasks_are_refused),
	        cmocka_unit_test(readiness_is_told_to_the_supervisor),
	        cmocka_unit_test(idle_keeper_sleeps_and_is_small),
	        cmocka_unit_test(delegated_group_is_used_whatever_else_is_in_it),
	};

	if (argc == 2 && strcmp(argv[1], "--echo-worker") == 0)
		return echo_worker();
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	return rig_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
