/* SPDX-License-Identifier: Apache-2.0 */
/* keeper_rig - see keeper_rig.h. */
#include "keeper_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

#define PATIENCE_MS 20000
#define NOBODY      65534

const char *rig_cgroup;
int rig_as_nobody;
static char self[512];
static struct rig *open_rig; /* for who fails and does not close it */

uint64_t rig_now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void rig_path(struct rig *r, const char *path, char out[256])
{
	(void)snprintf(out, 256, "%s/%s", r->dir, path);
}

/* ---- the process that plays the engine ---- */

static int fake_engine(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	pid_t pid = getpid();
	struct iovec v = {&pid, sizeof(pid)};
	struct msghdr h = {.msg_iov = &v,
	        .msg_iovlen = 1,
	        .msg_control = control.room,
	        .msg_controllen = sizeof(control.room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), three = 3;
	unsigned char code = 0;

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return 1;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &three, sizeof(three));
	if (sendmsg(fd, &h, 0) < 0)
		return 1;
	(void)close(3);
	if (read(fd, &code, 1) != 1)
		return 0; /* the test went away */
	return code;
}

static void on_message(void *ctx, const struct keeper_msg *m, int fd)
{
	static uint8_t again[KEEPER_PACKET_MAX];
	struct rig *r = ctx;
	size_t n = 0, at = 0;
	struct got *g;
	struct err e;

	CHECK(keeper_msg_build(again, sizeof(again), &n, m, &e) == 0);
	g = calloc(1, sizeof(*g) + n);
	CHECK(g);
	memcpy(g->bytes, again, n);
	CHECK(keeper_msg_next(g->bytes, n, &at, &g->m, &e) == 1);
	g->fd = fd;
	if (r->last)
		r->last->next = g;
	else
		r->first = g;
	r->last = g;
}

static void on_lost(void *ctx, const struct err *e)
{
	(void)e;
	((struct rig *)ctx)->lost = 1;
}

void rig_meet_engine(struct rig *r)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec v = {&r->engine, sizeof(r->engine)};
	struct msghdr h = {.msg_iov = &v,
	        .msg_iovlen = 1,
	        .msg_control = control.room,
	        .msg_controllen = sizeof(control.room)};
	struct pollfd p = {.fd = r->listen_fd, .events = POLLIN};
	int fd;

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	if (r->hand_fd >= 0)
		(void)close(r->hand_fd);
	r->hand_fd = accept4(r->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(r->hand_fd >= 0);
	assert_int_equal(recvmsg(r->hand_fd, &h, MSG_CMSG_CLOEXEC), sizeof(pid_t));
	assert_non_null(CMSG_FIRSTHDR(&h));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof(fd));
	{
		struct keeper_link_callbacks cb = {on_message, on_lost, r};
		struct err e;

		keeper_link_close(r->link);
		r->link = NULL;
		r->lost = 0;
		assert_int_equal(keeper_link_open(fd, &cb, &r->link, &e), 0);
	}
}

static void turn(struct rig *r, int ms)
{
	struct pollfd p = {.fd = keeper_link_fd(r->link), .events = keeper_link_events(r->link)};

	if (r->lost) {
		(void)poll(NULL, 0, ms);
		return;
	}
	if (poll(&p, 1, ms) > 0)
		keeper_link_ready(r->link);
}

struct got *rig_try(struct rig *r, enum keeper_kind kind, uint64_t lease, uint64_t index, int ms)
{
	uint64_t end = rig_now_ms() + (uint64_t)ms, now;

	for (;;) {
		struct got *prev = NULL;

		for (struct got *g = r->first; g; prev = g, g = g->next) {
			if (g->m.kind != kind || (lease && (g->m.lease != lease || g->m.index != index)))
				continue;
			if (prev)
				prev->next = g->next;
			else
				r->first = g->next;
			if (r->last == g)
				r->last = prev;
			return g;
		}
		now = rig_now_ms();
		if (now >= end)
			return NULL;
		turn(r, (int)(end - now));
	}
}

struct got *rig_wait(struct rig *r, enum keeper_kind kind, uint64_t lease, uint64_t index)
{
	struct got *g = rig_try(r, kind, lease, index, PATIENCE_MS);

	if (!g) {
		for (g = r->first; g; g = g->next)
			print_message("# came: %s of %ju/%ju %s\n", keeper_kind_name(g->m.kind),
			        (uintmax_t)g->m.lease, (uintmax_t)g->m.index,
			        g->m.kind == KEEPER_REFUSED ? g->m.u.refused.p : "");
		fail_msg("no '%s' for task %ju/%ju came", keeper_kind_name(kind), (uintmax_t)lease,
		        (uintmax_t)index);
	}
	return g;
}

/* ---- keeper ---- */

static void listen_for_engines(struct rig *r)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/engine.sock", r->dir);
	r->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_true(r->listen_fd >= 0);
	assert_int_equal(bind(r->listen_fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(chmod(a.sun_path, 0777), 0);
	assert_int_equal(listen(r->listen_fd, 8), 0);
}

void rig_start_keeper(struct rig *r, const char *const *more)
{
	const char *keeper = getenv("KEEPER"), *argv[32];
	char sock[256];
	size_t n = 0;

	assert_non_null(keeper);
	rig_path(r, "engine.sock", sock);
	argv[n++] = keeper;
	argv[n++] = "--state";
	argv[n++] = r->dir;
	argv[n++] = "--die-with-parent";
	if (more && *more && strcmp(*more, "--no-root") == 0)
		more++;
	else if (geteuid() == 0 && !rig_as_nobody)
		argv[n++] = "--allow-root";
	if (rig_cgroup) {
		argv[n++] = "--cgroup";
		argv[n++] = rig_cgroup;
	}
	while (more && *more && n < 24)
		argv[n++] = *more++;
	argv[n++] = "--";
	argv[n++] = self;
	argv[n++] = "--fake-engine";
	argv[n++] = sock;
	argv[n] = NULL;
	r->keeper = fork();
	assert_true(r->keeper >= 0);
	if (r->keeper == 0) {
		if (rig_as_nobody && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
			_exit(120);
		(void)execv(keeper, (char *const *)(uintptr_t)argv);
		_exit(121);
	}
}

void rig_hello(struct rig *r)
{
	struct keeper_msg m = {.kind = KEEPER_HELLO};
	struct got *g;

	m.u.hello.version = KEEPER_PROTOCOL;
	rig_send(r, &m);
	g = rig_wait(r, KEEPER_READY, 0, 0);
	r->enforced = g->m.u.ready.enforced;
	(void)snprintf(r->notice, sizeof(r->notice), "%s", g->m.u.ready.notice.p);
	free(g);
}

struct rig *rig_open(const char *const *more)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->hand_fd = -1;
	open_rig = r;
	(void)snprintf(r->dir, sizeof(r->dir), "/tmp/osier-keeper-test-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	if (rig_as_nobody)
		assert_int_equal(chown(r->dir, NOBODY, NOBODY), 0);
	listen_for_engines(r);
	rig_start_keeper(r, more);
	rig_meet_engine(r);
	rig_hello(r);
	return r;
}

void rig_kill_engine(struct rig *r)
{
	assert_int_equal(kill(r->engine, SIGKILL), 0);
}

int rig_wait_keeper(struct rig *r, int seconds)
{
	uint64_t end = rig_now_ms() + (uint64_t)seconds * 1000;
	int status;

	while (rig_now_ms() < end) {
		if (waitpid(r->keeper, &status, WNOHANG) == r->keeper) {
			r->keeper = 0;
			return status;
		}
		if (r->link && !r->lost)
			turn(r, 5);
		else
			(void)poll(NULL, 0, 5);
		if (r->lost &&
		        r->hand_fd >= 0) { /* our engine goes when the keeper hangs up, as a real one would */
			(void)close(r->hand_fd);
			r->hand_fd = -1;
		}
	}
	return -1;
}

void rig_forget(struct rig *r)
{
	char cmd[128];

	open_rig = NULL;
	if (r->keeper > 0) {
		(void)kill(r->keeper, SIGKILL);
		(void)waitpid(r->keeper, NULL, 0);
	}
	keeper_link_close(r->link);
	if (r->hand_fd >= 0)
		(void)close(r->hand_fd);
	(void)close(r->listen_fd);
	while (r->first) {
		struct got *g = r->first;

		r->first = g->next;
		free(g);
	}
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", r->dir);
	assert_int_equal(system(cmd), 0);
	free(r);
}

void rig_close(struct rig *r)
{
	struct keeper_msg m = {.kind = KEEPER_SHUTDOWN};
	int status;

	rig_send(r, &m);
	status = rig_wait_keeper(r, 15);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	rig_forget(r);
}

void rig_send(struct rig *r, const struct keeper_msg *m)
{
	struct err e;

	if (keeper_link_send(r->link, m, &e) < 0)
		fail_msg("%s", e.msg);
	keeper_link_flush(r->link);
}

struct keeper_start rig_task(void)
{
	struct keeper_start s = {.uid = rig_as_nobody ? NOBODY : geteuid(),
	        .gid = rig_as_nobody ? NOBODY : getegid(),
	        .output_bytes_max = 1 << 20,
	        .grace_ns = 300000000,
	        .umask = 022};

	return s;
}

void rig_start(struct rig *r, uint32_t slot, uint64_t lease, uint64_t index, uint32_t flags,
        const struct keeper_start *s, const char *const *argv)
{
	static char args[65536], env[4096];
	struct keeper_msg m = {
	        .kind = KEEPER_START, .slot = slot, .lease = lease, .index = index, .flags = flags};

	m.u.start = *s;
	m.u.start.argv = m.u.start.env = (struct keeper_list){0};
	for (; *argv; argv++)
		assert_int_equal(keeper_list_add(&m.u.start.argv, args, sizeof(args), *argv, NULL), 0);
	assert_int_equal(
	        keeper_list_add(&m.u.start.env, env, sizeof(env), "PATH=/usr/local/bin:/usr/bin:/bin", NULL),
	        0);
	assert_int_equal(keeper_list_add(&m.u.start.env, env, sizeof(env), "COLOUR=green", NULL), 0);
	rig_send(r, &m);
}

void rig_shell(struct rig *r, uint32_t slot, uint64_t lease, uint64_t index, const struct keeper_start *s,
        const char *script)
{
	struct keeper_start def = rig_task();
	const char *argv[] = {"/bin/sh", "-c", script, NULL};

	rig_start(r, slot, lease, index, 0, s ? s : &def, argv);
}

struct got *rig_run(struct rig *r, uint64_t lease, const struct keeper_start *s, const char *script)
{
	rig_shell(r, 0, lease, 0, s, script);
	return rig_wait(r, KEEPER_EXITED, lease, 0);
}

void rig_ack(struct rig *r, uint64_t lease, uint64_t index)
{
	struct keeper_msg m = {.kind = KEEPER_ACK, .lease = lease, .index = index};

	rig_send(r, &m);
}

void rig_stop(struct rig *r, uint64_t lease, uint32_t sig, uint64_t grace_ms)
{
	struct keeper_msg m = {.kind = KEEPER_STOP, .lease = lease};

	m.u.stop.signal = sig;
	m.u.stop.grace_ns = grace_ms * 1000000;
	rig_send(r, &m);
}

char *rig_file(struct rig *r, const char *path, size_t *out_n)
{
	char full[256], *text;
	struct stat st;
	int fd;

	rig_path(r, path, full);
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	assert_int_equal(fstat(fd, &st), 0);
	text = calloc(1, (size_t)st.st_size + 1);
	assert_non_null(text);
	assert_int_equal(read(fd, text, (size_t)st.st_size), st.st_size);
	(void)close(fd);
	if (out_n)
		*out_n = (size_t)st.st_size;
	return text;
}

void rig_blob(struct rig *r, const char *name, const void *p, size_t n)
{
	char full[256], *slash;
	int fd;

	rig_path(r, "blobs", full);
	(void)mkdir(full, 0755);
	(void)snprintf(full, sizeof(full), "%s/blobs/%s", r->dir, name);
	slash = strrchr(full, '/');
	*slash = '\0';
	(void)mkdir(full, 0755);
	*slash = '/';
	fd = open(full, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	(void)close(fd);
}

int rig_processes(const char *needle)
{
	DIR *d = opendir("/proc");
	struct dirent *en;
	int found = 0;

	while (d && (en = readdir(d))) {
		char path[300], text[4096];
		ssize_t n;
		int fd;

		if (en->d_name[0] < '1' || en->d_name[0] > '9')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%s/cmdline", en->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		n = read(fd, text, sizeof(text));
		(void)close(fd);
		if (n > 0 && memmem(text, (size_t)n, needle, strlen(needle)))
			found++;
	}
	(void)closedir(d);
	return found;
}

static int close_what_is_open(void **state)
{
	(void)state;
	if (open_rig)
		rig_forget(open_rig);
	return 0;
}

int rig_main(int argc, char **argv, const struct CMUnitTest *tests, size_t n)
{
	struct CMUnitTest some[64];
	size_t n_some = 0;
	int named = 0;

	if (argc == 3 && strcmp(argv[1], "--fake-engine") == 0)
		exit(fake_engine(argv[2]));
	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0 && n <= 64);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--cgroup") == 0 && i + 1 < argc) {
			rig_cgroup = argv[++i];
		} else if (strcmp(argv[i], "--as-nobody") == 0) {
			rig_as_nobody = 1;
		} else {
			named = 1;
			for (size_t t = 0; t < n; t++)
				if (strcmp(tests[t].name, argv[i]) == 0)
					some[n_some++] = tests[t];
		}
	}
	if (rig_as_nobody && geteuid() != 0) {
		(void)printf("1..0 # SKIP only root can become another user\n");
		return 0;
	}
	if (!named)
		memcpy(some, tests, n * sizeof(*tests));
	n_some = named ? n_some : n;
	for (size_t t = 0; t < n_some; t++)
		some[t].teardown_func = close_what_is_open;
	return _cmocka_run_group_tests("keeper", some, n_some, NULL, NULL);
}
