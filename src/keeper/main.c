/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main - osier-keeper: options, the lock, the loop, signals, and leaving; see keeper.h.
 *
 * The loop sleeps in epoll_pwait2 until something happens or is due; a keeper with nothing to do never wakes up.
 */
#include "keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper/sys.h"

#define EVENTS_MAX        64
#define LEAVE_PATIENCE_NS 10000000000u /* with the engine, before it is killed */
#define GRACE_DEFAULT_NS  5000000000u

static struct keeper the_keeper;

static const char usage[] =
        "usage: osier-keeper --state DIR [options] (--engine OSIER | -- ENGINE [ARGUMENT...])\n"
        "Owns the running processes of tasks and keeps the engine running (its socket is the engine's fd "
        "3).\n"
        "  --state DIR            the state folder\n"
        "  --engine OSIER         the engine is `OSIER engine --state DIR`\n"
        "  --ready-fd FD          tell readiness, or why not, on this pipe; handed on to the first engine\n"
        "  --engine-user UID:GID  run the engine as this user (numbers)\n"
        "  --engine-fd FD         an engine runs already; FD is the socket to it\n"
        "  --allow-root           tasks may run as root\n"
        "  --cgroup 0|1|2         use no cgroups, only v1, only v2 (default: what is there)\n"
        "  --scope                where cgroups are not ours, ask the user's systemd for a scope\n"
        "  --control FD           leave when the other end of this pipe is closed\n"
        "  --die-with-parent      leave when the parent process dies\n"
        "  --grace SECONDS        between TERM and KILL when leaving (default 5)\n"
        "The engine's exit code 0 ends the keeper; 78 too (it cannot run here), unless it ran before; after "
        "any other "
        "it is started again.\n";

int poll_add(struct keeper *k, int fd, uint32_t events, enum poll_kind kind, uint32_t low)
{
	struct epoll_event ev = {.events = events, .data.u64 = (uint64_t)kind << 32 | low};

	return epoll_ctl(k->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

/* ---- leaving ---- */

static void ask_engine(struct keeper *k, int sig)
{
	if (k->engine.pid)
		(void)kill(k->engine.pid, sig);
	k->leave_next_ns = sys_mono_ns() + LEAVE_PATIENCE_NS;
}

void keeper_leave(struct keeper *k, enum leaving first, uint64_t grace_ns)
{
	if (k->leaving >= LEAVE_TASKS || (k->leaving && first == k->leaving))
		return;
	k->leave_grace_ns = grace_ns;
	k->leaving = first == LEAVE_ENGINE_FIRST && k->engine.pid ? LEAVE_ENGINE_FIRST : LEAVE_TASKS;
	if (k->leaving == LEAVE_ENGINE_FIRST)
		ask_engine(k, SIGTERM);
	else
		slots_stop_all(k, grace_ns);
}

static void leave_turn(struct keeper *k, uint64_t now)
{
	if (k->leaving == LEAVE_ENGINE_FIRST) {
		if (k->engine.pid && now >= k->leave_next_ns)
			ask_engine(k, SIGKILL);
		if (k->engine.pid == 0) {
			k->leaving = LEAVE_TASKS;
			slots_stop_all(k, k->leave_grace_ns);
			slots_turn(k, now);
		}
	}
	if (k->leaving == LEAVE_TASKS && slots_quiet(k)) {
		engine_flush(k);
		if (k->engine.head && !k->leave_next_ns)
			k->leave_next_ns = now + LEAVE_PATIENCE_NS;
		if (k->engine.head && now < k->leave_next_ns)
			return; /* it has not read everything yet */
		engine_close(k);
		k->leaving = LEAVE_ENGINE_LAST;
		k->leave_next_ns = now + LEAVE_PATIENCE_NS; /* the end of the socket tells it to go */
	}
	if (k->leaving == LEAVE_ENGINE_LAST) {
		if (k->engine.pid == 0)
			k->leaving = LEFT;
		else if (now >= k->leave_next_ns)
			ask_engine(k, SIGKILL);
	}
}

/* ---- the loop ---- */

static void reap(struct keeper *k)
{
	struct rusage ru;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG, &ru)) > 0) {
		if (pid == k->engine.pid)
			engine_reaped(k, status);
		else if (pid == k->cleaner)
			k->cleaner = 0;
		else if (usage_reaped(k, pid))
			continue;
		else
			(void)slot_reaped(k, pid, status, &ru); /* else somebody's orphan */
	}
	if (k->cgroups.n_old)
		(void)cgroup_tree_sweep(&k->cgroups);
}

/* Without cgroups: a group of processes can be signalled safely only while its leader has not been waited for. */
static void kill_groups_of_the_dead(struct keeper *k)
{
	if (k->cgroups.version)
		return;
	for (struct slot *s = k->active; s; s = s->next_active) {
		siginfo_t info = {0};

		if (s->state == SLOT_RUNNING &&
		        waitid(P_PID, (id_t)s->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		        info.si_pid == s->pid)
			(void)kill(-s->pid, SIGKILL);
	}
}

static void signals(struct keeper *k)
{
	struct signalfd_siginfo si[8];
	ssize_t n = read(k->signal_fd, si, sizeof(si));
	bool child = false;

	for (ssize_t i = 0; i < n / (ssize_t)sizeof(si[0]); i++) {
		if (si[i].ssi_signo == SIGCHLD)
			child = true;
		else
			keeper_leave(k, LEAVE_ENGINE_FIRST, k->leave_grace_ns);
	}
	if (!child)
		return;
	kill_groups_of_the_dead(k);
	reap(k);
}

static void event(struct keeper *k, const struct epoll_event *ev)
{
	uint32_t low = (uint32_t)ev->data.u64;

	switch ((enum poll_kind)(ev->data.u64 >> 32)) {
	case POLL_SIGNAL:
		signals(k);
		return;
	case POLL_ENGINE:
		if (ev->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			engine_readable(k);
		return;
	case POLL_CONTROL:
		(void)epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, k->control_fd, NULL);
		keeper_leave(k, LEAVE_ENGINE_FIRST, k->leave_grace_ns);
		return;
	case POLL_STREAM:
		slot_readable(k, low & ~(1u << 31), (int)(low >> 31));
		return;
	}
}

static uint64_t next_deadline(const struct keeper *k)
{
	uint64_t at = slot_deadline_ns(k), b = engine_deadline_ns(k);

	if (k->leaving && k->leave_next_ns && k->leave_next_ns < at)
		at = k->leave_next_ns;
	if (k->cgroups.n_old && sys_mono_ns() + NS_PER_S < at)
		at = sys_mono_ns() + NS_PER_S;
	return b < at ? b : at;
}

static int wait_events(const struct keeper *k, struct epoll_event *ev)
{
	uint64_t at = next_deadline(k), now, left;
	struct timespec t;
	int n;

	if (at == UINT64_MAX)
		return epoll_wait(k->epoll_fd, ev, EVENTS_MAX, -1);
	now = sys_mono_ns();
	left = at > now ? at - now : 0;
	t.tv_sec = (time_t)(left / NS_PER_S);
	t.tv_nsec = (long)(left % NS_PER_S);
	n = (int)syscall(SYS_epoll_pwait2, k->epoll_fd, ev, EVENTS_MAX, &t, NULL, 0);
	if (n < 0 && errno == ENOSYS)
		n = epoll_wait(k->epoll_fd, ev, EVENTS_MAX,
		        (int)((left > NS_PER_S ? NS_PER_S : left) / 1000000 + 1));
	return n;
}

static void loop(struct keeper *k)
{
	struct epoll_event ev[EVENTS_MAX];

	while (k->leaving != LEFT) {
		int n = wait_events(k, ev);
		uint64_t now;

		for (int i = 0; i < n; i++)
			event(k, &ev[i]);
		now = sys_mono_ns();
		engine_turn(k, now);
		slots_turn(k, now);
		engine_flush(k);
		files_cleaner(k);
		if (k->leaving)
			leave_turn(k, now);
	}
}

/* ---- beginning ---- */

static uint64_t fnv(const char *s)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3u;
	return h;
}

/* keeper.lock, held as long as we live; our pid is in it. */
static int take_lock(struct keeper *k, struct err *e)
{
	char text[32] = "";

	k->lock_fd = openat(k->state_fd, "keeper.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (k->lock_fd < 0)
		return err_sys(e, "cannot open '%s/keeper.lock'", k->state_dir);
	if (flock(k->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return err_sys(e, "cannot lock '%s/keeper.lock'", k->state_dir);
		(void)!pread(k->lock_fd, text, sizeof(text) - 1, 0);
		(void)err_set(e, ERR_EXISTS, "another keeper (pid %ld) holds '%s'", strtol(text, NULL, 10),
		        k->state_dir);
		return err_hint(e, "stop it with `osier down`, or use another folder with --state");
	}
	(void)snprintf(text, sizeof(text), "%d\n", getpid());
	if (ftruncate(k->lock_fd, 0) < 0 || pwrite(k->lock_fd, text, strlen(text), 0) < 0)
		return err_sys(e, "cannot write '%s/keeper.lock'", k->state_dir);
	return 0;
}

static int open_folder(struct keeper *k, const char *name, mode_t mode, bool engines, int *out, struct err *e)
{
	if (mkdirat(k->state_fd, name, mode) < 0 && errno != EEXIST)
		return err_sys(e, "cannot make '%s/%s'", k->state_dir, name);
	*out = openat(k->state_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*out < 0)
		return err_sys(e, "cannot open '%s/%s'", k->state_dir, name);
	if (k->root) {
		(void)fchown(*out, engines ? k->engine.uid : 0, engines ? k->engine.gid : 0);
		(void)fchmod(*out, mode);
	}
	return 0;
}

static int open_state(struct keeper *k, const char *dir, struct err *e)
{
	char real[4096];
	struct stat st;

	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return err_sys(e, "cannot make the state folder '%s'", dir);
	if (!realpath(dir, real))
		return err_sys(e, "cannot find the state folder '%s'", dir);
	if (strlen(real) >= sizeof(k->state_dir))
		return err_set(e, ERR_INVALID, "the state folder's path is longer than %zu bytes",
		        sizeof(k->state_dir) - 1);
	(void)snprintf(k->state_dir, sizeof(k->state_dir), "%s", real);
	(void)snprintf(k->hash, sizeof(k->hash), "%016" PRIx64, fnv(real));
	k->state_fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->state_fd < 0 || fstat(k->state_fd, &st) < 0)
		return err_sys(e, "cannot open the state folder '%s'", real);
	if (take_lock(k, e) < 0)
		return -1;
	if (k->root) /* tasks of other users pass through it to their scratch folder */
		(void)fchmod(k->state_fd, (st.st_mode & 07777) | 0011);
	if (k->root && k->engine.other_user)
		(void)fchown(k->state_fd, k->engine.uid, k->engine.gid);
	return open_folder(k, "scratch", 0711, false, &k->scratch_fd, e) < 0 ||
	                       open_folder(k, "spool", 0700, true, &k->spool_fd, e) < 0
	               ? -1
	               : 0;
}

/* Descriptors 0-3 are taken, so that none of ours is ever one that a child needs; everything we were given closes on exec. */
static int own_descriptors(struct keeper *k, struct err *e)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return err_sys(e, "cannot open '/dev/null'");
	} while (fd <= 3);
	k->null_fd = fd;
	(void)syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC);
	return 0;
}

/* Nothing ignored is handed on to tasks. By the system call: libc keeps signals 32 and 33 to itself, and its posix_spawn()
 * (make's, for one) leaves them ignored in what it starts. */
static void ignore_nothing(void)
{
	struct {
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		unsigned long mask;
	} plain = {SIG_DFL, 0, NULL, 0};

	for (int sig = 1; sig < 65; sig++)
		(void)syscall(SYS_rt_sigaction, sig, &plain, NULL, sizeof(plain.mask));
}

static int own_signals(struct keeper *k, struct err *e)
{
	sigset_t set;

	ignore_nothing();
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_SETMASK, &set, NULL);
	k->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	k->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (k->epoll_fd < 0 || k->signal_fd < 0 || poll_add(k, k->signal_fd, EPOLLIN, POLL_SIGNAL, 0) < 0)
		return err_sys(e, "cannot watch for signals");
	if (k->control_fd >= 0 && poll_add(k, k->control_fd, EPOLLHUP, POLL_CONTROL, 0) < 0)
		return err_sys(e, "cannot watch the control pipe");
	return 0;
}

static int begin(struct keeper *k, const char *dir, unsigned cgroups, struct err *e)
{
	struct rlimit files;
	char path[64];

	k->started_real_ns = sys_real_ns();
	sys_prompt();
	if (own_descriptors(k, e) < 0 || own_signals(k, e) < 0)
		return -1;
	(void)umask(022);
	if (open_state(k, dir, e) < 0)
		return -1;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return err_sys(e, "cannot become the parent of orphans");
	k->fails = mmap(NULL, KEEPER_SLOTS_MAX * sizeof(*k->fails), PROT_READ | PROT_WRITE,
	        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	k->usages = mmap(NULL, KEEPER_SLOTS_MAX * sizeof(*k->usages), PROT_READ | PROT_WRITE,
	        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (k->fails == MAP_FAILED || k->usages == MAP_FAILED)
		return err_sys(e, "cannot map memory");
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	k->children_fd = open(path, O_RDONLY | O_CLOEXEC);
	proc_kill_leftovers(k);
	cgroup_tree_open(&k->cgroups, k->hash, cgroups);
	files_clean(k);
	return engine_start(k, e);
}

struct options {
	const char *dir, *engine;
	unsigned cgroups; /* as cgroup_tree_open() wants it */
	bool die_with_parent;
};

static int number(const char *text, long max, long *out)
{
	char *end;

	errno = 0;
	*out = strtol(text, &end, 10);
	return errno || end == text || *end || *out < 0 || *out > max ? -1 : 0;
}

static int one_option(struct keeper *k, struct options *o, int c, const char *arg)
{
	long a = 0, b;
	char text[32], *colon;

	switch (c) {
	case 's':
		o->dir = arg;
		return 0;
	case 'e':
		o->engine = arg;
		return 0;
	case 'y':
		if (number(arg, 1 << 20, &a) < 0 || a < 3)
			return -1;
		k->engine.ready_fd = (int)a;
		return 0;
	case 'u':
		(void)snprintf(text, sizeof(text), "%s", arg);
		colon = strchr(text, ':');
		if (!colon)
			return -1;
		*colon = '\0';
		if (number(text, UINT32_MAX - 1, &a) < 0 || number(colon + 1, UINT32_MAX - 1, &b) < 0)
			return -1;
		k->engine.uid = (uint32_t)a;
		k->engine.gid = (uint32_t)b;
		k->engine.other_user = k->root && (k->engine.uid != k->uid || k->engine.gid != k->gid);
		return 0;
	case 'f':
		if (number(arg, 1 << 20, &a) < 0 || a < 3)
			return -1;
		k->engine.fd = (int)a;
		return 0;
	case 'r':
		k->allow_root = true;
		return 0;
	case 'c':
		if (number(arg, 2, &a) < 0)
			return -1;
		o->cgroups = (o->cgroups & CGROUP_ASK) | (a ? 1u << a : 1u);
		return 0;
	case 'o':
		o->cgroups |= CGROUP_ASK;
		return 0;
	case 'p':
		if (number(arg, 1 << 20, &a) < 0 || a < 3)
			return -1;
		k->control_fd = (int)a;
		return 0;
	case 'd':
		o->die_with_parent = true;
		return 0;
	case 'g':
		if (number(arg, 86400, &a) < 0)
			return -1;
		k->leave_grace_ns = (uint64_t)a * NS_PER_S;
		return 0;
	default:
		return -1;
	}
}

static int options(struct keeper *k, int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {{"state", 1, NULL, 's'}, {"engine", 1, NULL, 'e'},
	        {"ready-fd", 1, NULL, 'y'}, {"engine-user", 1, NULL, 'u'}, {"engine-fd", 1, NULL, 'f'},
	        {"allow-root", 0, NULL, 'r'}, {"cgroup", 1, NULL, 'c'}, {"control", 1, NULL, 'p'},
	        {"scope", 0, NULL, 'o'}, {"die-with-parent", 0, NULL, 'd'}, {"grace", 1, NULL, 'g'},
	        {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "+", longs, NULL)) != -1)
		if (one_option(k, o, c, optarg) < 0)
			return -1;
	k->engine.argv = optind < argc ? argv + optind : NULL;
	if (o->engine && !k->engine.argv) {
		static char engine[] = "engine", state[] = "--state";
		static char *made[] = {NULL, engine, state, NULL, NULL};

		made[0] = (char *)(uintptr_t)o->engine;
		made[3] = (char *)(uintptr_t)o->dir;
		k->engine.argv = made;
		k->engine.osier = true;
	}
	return o->dir && (k->engine.argv != NULL) == (k->engine.fd < 0) ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct keeper *k = &the_keeper;
	struct options o = {.cgroups = 6};
	struct err e;

	k->uid = k->engine.uid = geteuid();
	k->gid = k->engine.gid = getegid();
	k->root = k->uid == 0;
	k->pid = getpid();
	k->engine.fd = k->engine.ready_fd = k->control_fd = k->blobs_fd = -1;
	k->leave_grace_ns = GRACE_DEFAULT_NS;
	if (options(k, argc, argv, &o) < 0) {
		(void)fputs(usage, stderr);
		return 2;
	}
	if (o.die_with_parent) {
		pid_t parent = getppid();

		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent)
			return 0;
	}
	if (o.die_with_parent || k->control_fd >= 0)
		(void)setsid(); /* a terminal's Ctrl-C is for our starter alone */
	if (begin(k, o.dir, o.cgroups, &e) < 0) {
		if (k->engine.ready_fd < 0) /* else whoever waits there tells the user */
			sys_say("%s%s%s", e.msg, e.hint[0] ? "; " : "", e.hint);
		else
			(void)dprintf(k->engine.ready_fd, "error %s\n%s%s%s", e.msg, e.hint[0] ? "hint " : "",
			        e.hint, e.hint[0] ? "\n" : "");
		return e.code == ERR_EXISTS ? 3 : 1;
	}
	loop(k);
	slots_free(k);
	cgroup_tree_close(&k->cgroups);
	return k->exit_code;
}
