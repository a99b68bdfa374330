/* SPDX-License-Identifier: Apache-2.0 */
/* nodeproc - see nodeproc.h. */
#include "cli/nodeproc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/client.h"
#include "cli/term.h"

#define MACHINE_STATE      "/var/lib/osier"
#define ORPHAN_PATIENCE_NS 10000000000ull

struct nodeproc {
	pid_t pid;
	int pidfd;
	bool ended, looks;
	struct text socket;
	char *folder; /* of a looking engine's socket, removed at the end */
};

/* ---- the state folder ---- */

void state_socket(const char *dir, struct text *out)
{
	text_addf(out, "%s/api.sock", dir);
}

bool state_answers(const char *dir)
{
	struct text path = {0};
	struct client *c = NULL;
	bool up;

	state_socket(dir, &path);
	up = client_open(text_str(&path), &c, NULL) == 0;
	client_close(c);
	text_release(&path);
	return up;
}

static bool lock_held(const char *dir, const char *name)
{
	struct text path = {0};
	bool held;
	int fd;

	text_addf(&path, "%s/%s", dir, name);
	fd = open(text_str(&path), O_RDONLY | O_CLOEXEC);
	text_release(&path);
	if (fd < 0)
		return false;
	held = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	(void)close(fd);
	return held;
}

bool state_kept(const char *dir)
{
	return lock_held(dir, "keeper.lock");
}

void state_settle(const char *dir)
{
	static const struct timespec pause = {.tv_nsec = 5000000};
	uint64_t until = cli_mono_ns() + ORPHAN_PATIENCE_NS;

	while (lock_held(dir, "lock") && !state_kept(dir) && cli_mono_ns() < until)
		(void)nanosleep(&pause, NULL);
}

static char *absolute(const char *path)
{
	char cwd[PATH_MAX];
	struct text t = {0};

	if (path[0] != '/' && getcwd(cwd, sizeof(cwd)))
		text_addf(&t, "%s/", cwd);
	text_add(&t, path);
	while (t.n > 1 && t.p[t.n - 1] == '/')
		t.p[--t.n] = '\0';
	return t.p;
}

int state_folder(const char *option, char **out, struct err *e)
{
	const char *env = getenv("OSIER_STATE"), *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	struct text own = {0};

	if (option && !*option)
		return err_set(e, ERR_INVALID, "--state needs a folder");
	if (option || (env && *env)) {
		*out = absolute(option ? option : env);
		return 0;
	}
	if (xdg && xdg[0] == '/')
		text_addf(&own, "%s/osier", xdg);
	else if (home && home[0] == '/')
		text_addf(&own, "%s/.local/state/osier", home);
	if (!own.n || (!state_answers(text_str(&own)) && state_answers(MACHINE_STATE))) {
		text_clear(&own);
		text_add(&own, MACHINE_STATE);
	}
	*out = own.p;
	return 0;
}

int state_folder_make(const char *dir, struct err *e)
{
	char *path = cli_dup(dir);
	struct stat st;
	int rc = 0;

	for (char *p = path + 1; rc == 0; p++) {
		if (*p && *p != '/')
			continue;
		bool last = !*p;

		*p = '\0';
		if (mkdir(path, last ? 0700 : 0755) < 0 && errno != EEXIST)
			rc = err_sys(e, "cannot create the state folder '%.150s'", dir);
		if (last)
			break;
		*p = '/';
	}
	free(path);
	if (rc == 0 && (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode)))
		rc = err_set(e, ERR_INVALID, "the state folder '%.150s' is not a folder", dir);
	if (rc < 0 && e)
		(void)err_hint(e, "choose another with --state DIR");
	return rc;
}

/* ---- programs ---- */

int self_path(struct text *out, struct err *e)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		return err_sys(e, "cannot find out where this program is (is /proc mounted?)");
	path[n] = '\0';
	text_add(out, path);
	return 0;
}

int keeper_path(struct text *out, struct err *e)
{
	static const char *const places[] = {"osier-keeper", "../libexec/osier/osier-keeper",
	        "../libexec/osier-keeper", "../lib/osier/osier-keeper"};
	struct text self = {0};
	char *slash;

	if (self_path(&self, e) < 0)
		return -1;
	slash = strrchr(self.p, '/');
	CHECK(slash);
	slash[1] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		text_clear(out);
		text_addf(out, "%s%s", self.p, places[i]);
		if (access(text_str(out), X_OK) == 0) {
			text_release(&self);
			return 0;
		}
	}
	(void)err_set(e, ERR_NOTFOUND, "cannot find 'osier-keeper' beside '%.120sosier'", self.p);
	(void)err_hint(e, "install osier whole, or run it from its build folder");
	text_release(&self);
	return -1;
}

/* ---- starting ---- */

struct launch {
	const char *dir, *engine_user;
	enum node_kind kind;
	struct text program, self;
	int ready[2];
	int log; /* for stdout and stderr of a DETACHED one, else -1 */
};

/* In the child, between fork and exec: nothing but system calls. */
static _Noreturn void child(const struct launch *l, char *const *argv)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)sigaction(SIGINT, &dfl, NULL);
	(void)sigaction(SIGTERM, &dfl, NULL);
	(void)sigaction(SIGPIPE, &dfl, NULL);
	/* Of a session of its own, so that a Ctrl-C for us is not one for it: we tell it what to do. */
	(void)setsid();
	(void)dup2(null, 0);
	(void)dup2(l->log >= 0 ? l->log : 2, 1);
	if (l->log >= 0)
		(void)dup2(l->log, 2);
	if (l->kind != NODE_DETACHED)
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)fcntl(l->ready[1], F_SETFD, 0);
	(void)execv(argv[0], argv);
	(void)dprintf(l->ready[1], "error cannot start '%s': %s\n", argv[0], strerror(errno));
	_exit(127);
}

bool nodeproc_is_ready(const char *said, size_t n)
{
	return n >= 6 && strcmp(said + n - 6, "ready\n") == 0;
}

/* What the new process says of itself: 0 ready, or -1 with *e. */
static int await_ready(int fd, struct err *e)
{
	char line[1024];
	size_t n = 0;
	char *hint;

	while (n + 1 < sizeof(line)) {
		struct pollfd p[2] = {
		        {.fd = fd, .events = POLLIN}, {.fd = term_interrupt_fd(), .events = POLLIN}};
		ssize_t k;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return err_sys(e, "cannot wait for the node");
		if (p[1].revents)
			return err_set(e, ERR_TIMEOUT, "interrupted");
		if (!p[0].revents)
			continue;
		k = read(fd, line + n, sizeof(line) - 1 - n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		n += (size_t)k;
		line[n] = '\0';
		if (nodeproc_is_ready(line, n))
			return 0;
	}
	line[n] = '\0';
	if (strncmp(line, "error ", 6) != 0) {
		(void)err_set(e, ERR_CLOSED, "the node ended before it was ready");
		return err_hint(e, "run 'osier doctor' to see what is wrong with the machine");
	}
	hint = strstr(line, "\nhint ");
	line[strcspn(line, "\n")] = '\0';
	(void)err_set(e, ERR_CLOSED, "%s", line + 6);
	if (hint) {
		hint[1 + strcspn(hint + 1, "\n")] = '\0';
		(void)err_hint(e, "%s", hint + 6);
	}
	return -1;
}

int ready_pipe(int ends[2], struct err *e)
{
	int high;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, "cannot make a pipe");
	/* Out of the way of the numbers that the keeper gives to its engine. */
	high = fcntl(ends[1], F_DUPFD_CLOEXEC, 10);
	if (high < 0)
		return err_sys(e, "cannot make a pipe");
	(void)close(ends[1]);
	ends[1] = high;
	return 0;
}

static int launch_prepare(struct launch *l, struct nodeproc *n, struct err *e)
{
	if (self_path(&l->self, e) < 0)
		return -1;
	if (l->kind == NODE_LOOKING) {
		const char *tmp = getenv("XDG_RUNTIME_DIR");
		struct text folder = {0};

		text_addf(&folder, "%s/osier-look-XXXXXX",
		        tmp && tmp[0] == '/' && access(tmp, W_OK) == 0 ? tmp : "/tmp");
		if (!mkdtemp(folder.p)) {
			(void)err_sys(e, "cannot make a folder for a socket in '%.100s'", text_str(&folder));
			text_release(&folder);
			return -1;
		}
		n->folder = folder.p;
		state_socket(n->folder, &n->socket);
		text_add(&l->program, text_str(&l->self));
	} else {
		state_socket(l->dir, &n->socket);
		if (keeper_path(&l->program, e) < 0)
			return -1;
	}
	if (l->kind == NODE_DETACHED) {
		struct text log = {0};

		text_addf(&log, "%s/node.log", l->dir);
		l->log = open(text_str(&log), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		text_release(&log);
		if (l->log < 0)
			return err_sys(e, "cannot write '%.160s/node.log'", l->dir);
	}
	return ready_pipe(l->ready, e);
}

size_t keeper_user_args(const char *engine_user, const char **argv)
{
	if (engine_user) {
		argv[0] = "--engine-user";
		argv[1] = engine_user;
		return 2;
	}
	/* An engine that is root itself could run anything as root; one of another user must not be able to. */
	if (geteuid() != 0)
		return 0;
	argv[0] = "--allow-root";
	return 1;
}

bool user_lingers(void)
{
	const struct passwd *p = getpwuid(geteuid());
	struct text path = {0};
	bool lingers;

	text_addf(&path, "/var/lib/systemd/linger/%s", p ? p->pw_name : "");
	lingers = p && access(text_str(&path), F_OK) == 0;
	text_release(&path);
	return lingers;
}

static void launch_argv(
        const struct launch *l, const struct nodeproc *n, const char *fd, const char *argv[16])
{
	size_t k = 0;

	argv[k++] = text_str(&l->program);
	if (l->kind == NODE_LOOKING) {
		argv[k++] = "engine";
		argv[k++] = "--look";
		argv[k++] = "--socket";
		argv[k++] = text_str(&n->socket);
	} else {
		argv[k++] = "--engine";
		argv[k++] = text_str(&l->self);
	}
	argv[k++] = "--state";
	argv[k++] = l->dir;
	argv[k++] = "--ready-fd";
	argv[k++] = fd;
	if (l->kind == NODE_PRIVATE) {
		argv[k++] = "--die-with-parent";
		argv[k++] = "--grace"; /* whoever wants grace cancels; this is for when the command is gone */
		argv[k++] = "0";
	}
	if (l->kind != NODE_LOOKING)
		k += keeper_user_args(l->engine_user, argv + k);
	if (l->kind == NODE_PRIVATE || (l->kind == NODE_DETACHED && user_lingers()))
		argv[k++] = "--scope";
	argv[k] = NULL;
}

int nodeproc_start(
        const char *dir, enum node_kind kind, const char *engine_user, struct nodeproc **out, struct err *e)
{
	struct launch l = {
	        .dir = dir, .engine_user = engine_user, .kind = kind, .ready = {-1, -1}, .log = -1};
	struct nodeproc *n = cli_alloc(sizeof(*n));
	const char *argv[16];
	char fd[16];
	int rc;

	n->pidfd = -1;
	n->looks = kind == NODE_LOOKING;
	rc = launch_prepare(&l, n, e);
	if (rc == 0) {
		(void)snprintf(fd, sizeof(fd), "%d", l.ready[1]);
		launch_argv(&l, n, fd, argv);
		(void)fflush(NULL);
		n->pid = fork();
		if (n->pid == 0)
			child(&l, (char *const *)(uintptr_t)argv);
		rc = n->pid < 0 ? err_sys(e, "cannot start a process") : 0;
	}
	if (l.ready[1] >= 0)
		(void)close(l.ready[1]);
	if (rc == 0) {
		n->pidfd = (int)syscall(SYS_pidfd_open, n->pid, 0);
		rc = await_ready(l.ready[0], e);
	}
	if (l.ready[0] >= 0)
		(void)close(l.ready[0]);
	if (l.log >= 0)
		(void)close(l.log);
	text_release(&l.program);
	text_release(&l.self);
	if (rc < 0) {
		nodeproc_stop(n, false);
		return -1;
	}
	*out = n;
	return 0;
}

const char *nodeproc_socket(const struct nodeproc *n)
{
	return text_str(&n->socket);
}

static bool reap(struct nodeproc *n, int wait_ms)
{
	struct pollfd p = {.fd = n->pidfd, .events = POLLIN};

	if (n->ended || n->pid <= 0)
		return true;
	if (n->pidfd >= 0 && wait_ms)
		while (poll(&p, 1, wait_ms) < 0 && errno == EINTR)
			;
	n->ended = waitpid(n->pid, NULL, WNOHANG) == n->pid;
	return n->ended;
}

bool nodeproc_ended(struct nodeproc *n)
{
	return reap(n, 0);
}

static void nodeproc_free(struct nodeproc *n)
{
	if (!n)
		return;
	if (n->pidfd >= 0)
		(void)close(n->pidfd);
	if (n->folder) {
		(void)unlink(text_str(&n->socket));
		(void)rmdir(n->folder);
	}
	free(n->folder);
	text_release(&n->socket);
	free(n);
}

void nodeproc_forget(struct nodeproc *n)
{
	nodeproc_free(n);
}

void nodeproc_kill(struct nodeproc *n)
{
	if (!n)
		return;
	/* A keeper that is told to end kills whole cgroups; one that is killed takes only its own children along. */
	if (!n->ended && n->pid > 0 && !n->looks)
		(void)kill(n->pid, SIGTERM);
	if (n->looks || !reap(n, 3000)) {
		if (!n->ended && n->pid > 0)
			(void)kill(n->pid, SIGKILL);
		(void)reap(n, 5000);
	}
	nodeproc_free(n);
}

void nodeproc_stop(struct nodeproc *n, bool asked)
{
	if (!n)
		return;
	if (n->looks) { /* it writes nothing: there is nothing to end in good order */
		nodeproc_kill(n);
		return;
	}
	if (!asked || !reap(n, 20000)) {
		if (!n->ended && n->pid > 0)
			(void)kill(n->pid, SIGTERM);
		if (!reap(n, 15000)) {
			(void)kill(n->pid, SIGKILL);
			(void)reap(n, 5000);
		}
	}
	nodeproc_free(n);
}
