/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn - from a START to a running process; see keeper.h.
 *
 * The child shares the keeper's memory and the keeper waits until it is the program (CLONE_VM | CLONE_VFORK, on a stack of
 * its own), because copying page tables costs more than all the rest. It gets memory of its own (as with fork) when it changes
 * its user, since that user could stop it with SIGSTOP before the exec and the keeper with it, and when it has large inputs
 * to copy first. The child allocates nothing and calls nothing but the kernel; what goes wrong is left in shared memory.
 * v2: born in its group (CLONE_INTO_CGROUP). v1: it moves itself, since a thread moving itself needs none of the heavy locks.
 */
#include "keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keeper/sys.h"

#define CHILD_STACK_BYTES (128u << 10)
#define GROUPS_MAX        64

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

struct child {
	struct keeper *k;
	struct slot *s;
	const struct keeper_start *m;
	struct spawn_fail *fail;
	int in, worker;
	bool late_inputs;
	char **argv, **envp;
	const char *path_var; /* PATH of the task's environment */
	gid_t groups[GROUPS_MAX];
	size_t n_groups;
	uint64_t nproc_max;
};

static char *argv_mem[KEEPER_STRINGS_MAX + 1], *envp_mem[KEEPER_STRINGS_MAX + 8];
#ifndef SANITIZED /* which does not know of a second stack */
static uint8_t child_stack[CHILD_STACK_BYTES] __attribute__((aligned(16)));
#endif

static _Noreturn void fail(const struct child *c, enum spawn_stage stage, int sys, const char *name)
{
	c->fail->sys = sys;
	if (name)
		(void)snprintf(c->fail->name, sizeof(c->fail->name), "%s", name);
	c->fail->stage = (int)stage;
	_exit(127);
}

static void child_files(const struct child *c)
{
	int in = c->in >= 0 ? c->in : c->k->null_fd;

	if (dup2(in, 0) < 0 || dup2(c->s->out[0].w, 1) < 0 || dup2(c->s->out[1].w, 2) < 0)
		fail(c, STAGE_FD, errno, NULL);
	if (c->worker >= 0 && dup2(c->worker, 3) < 0)
		fail(c, STAGE_FD, errno, NULL);
	/* All of ours close on exec as well; this is for what we may have been given without knowing. */
	if (syscall(SYS_close_range, c->worker >= 0 ? 4u : 3u, ~0u, CLOSE_RANGE_CLOEXEC) < 0 &&
	        errno != ENOSYS && errno != EINVAL)
		fail(c, STAGE_FD, errno, NULL);
}

static void limit(const struct child *c, int what, uint64_t soft, uint64_t hard)
{
	struct rlimit old, r = {soft, hard};

	if (syscall(SYS_prlimit64, 0, what, NULL, &old) == 0) {
		if (r.rlim_max > old.rlim_max) /* root without CAP_SYS_RESOURCE may not raise it either */
			r.rlim_max = old.rlim_max;
		if (r.rlim_cur > r.rlim_max)
			r.rlim_cur = r.rlim_max;
		if (old.rlim_cur == r.rlim_cur && old.rlim_max == r.rlim_max)
			return;
	}
	if (syscall(SYS_prlimit64, 0, what, &r, NULL) < 0)
		fail(c, STAGE_LIMIT, errno, NULL);
}

static void child_limits(const struct child *c)
{
	const struct keeper_start *m = c->m;
	const struct cgroup_tree *t = &c->k->cgroups;

	limit(c, RLIMIT_CORE, 0, 0);
	limit(c, RLIMIT_NOFILE, m->files_max ? m->files_max : 1024, m->files_max ? m->files_max : 524288);
	if (m->file_bytes_max)
		limit(c, RLIMIT_FSIZE, m->file_bytes_max, m->file_bytes_max);
	if (m->memory_bytes && !t->base[CG_MEMORY][0])
		limit(c, RLIMIT_DATA, m->memory_bytes, m->memory_bytes);
	if (c->nproc_max)
		limit(c, RLIMIT_NPROC, c->nproc_max, c->nproc_max);
}

/* A task must not begin when the keeper is gone: its successor will begin it, too. */
static void die_with_keeper(const struct child *c)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (syscall(SYS_getppid) != c->k->pid)
		_exit(127);
}

static void child_user(const struct child *c)
{
	const struct keeper_start *m = c->m;

	if (c->k->root && (m->uid != c->k->uid || m->gid != c->k->gid)) {
		if (syscall(SYS_setgroups, c->n_groups, c->groups) < 0 ||
		        syscall(SYS_setresgid, m->gid, m->gid, m->gid) < 0 ||
		        syscall(SYS_setresuid, m->uid, m->uid, m->uid) < 0)
			fail(c, STAGE_USER, errno, NULL);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		fail(c, STAGE_USER, errno, NULL);
	die_with_keeper(c); /* again: the change of user clears it */
}

/* As execvp(3), with the task's own PATH and without the shell's guess for a file that is no program. */
static _Noreturn void child_exec(const struct child *c)
{
	const char *file = c->argv[0], *p = c->path_var;
	char path[4096];
	int sys = ENOENT;

	if (strchr(file, '/') || file[0] == '\0') {
		(void)execve(file, c->argv, c->envp);
		fail(c, STAGE_EXEC, errno, file);
	}
	for (;;) {
		size_t n = strcspn(p, ":");

		if (n + strlen(file) + 2 <= sizeof(path)) {
			memcpy(path, p, n);
			path[n] = '/';
			memcpy(path + n + (n > 0), file, strlen(file) + 1);
			(void)execve(path, c->argv, c->envp);
			if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
				fail(c, STAGE_EXEC, errno, file);
			if (errno == EACCES)
				sys = EACCES;
		}
		if (p[n] == '\0')
			fail(c, STAGE_EXEC, sys, file);
		p += n + 1;
	}
}

static void child_main(void *arg)
{
	const struct child *c = arg;
	const struct keeper_start *m = c->m;
	sigset_t none;
	int sys = cgroup_enter(&c->s->group);

	if (sys)
		fail(c, STAGE_CGROUP, sys, NULL);
	(void)setsid();
	if (c->late_inputs) {
		struct spawn_fail f = {0};

		die_with_keeper(c);
		(void)close(c->k->lock_fd); /* of our own table: a successor need not wait for the copies */
		if (files_inputs_child(c->k, c->s, m, &f) < 0)
			fail(c, STAGE_INPUT, f.sys, f.name);
	}
	child_files(c);
	child_limits(c);
	child_user(c);
	(void)umask((mode_t)m->umask);
	if ((m->workdir.n ? chdir(m->workdir.p) : fchdir(c->s->scratch.fd)) < 0)
		fail(c, STAGE_CHDIR, errno, m->workdir.n ? m->workdir.p : "its scratch folder");
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	child_exec(c);
}

#ifndef SANITIZED
/* clone3 with a stack for the child: the new process calls fn(arg) on it and never returns. */
static long clone3_on(struct clone_args *a, void (*fn)(void *), void *arg)
{
#if defined(__x86_64__)
	register long rax __asm__("rax") = SYS_clone3;
	register struct clone_args *rdi __asm__("rdi") = a;
	register size_t rsi __asm__("rsi") = sizeof(*a);
	register void *r8 __asm__("r8") = (void *)fn;
	register void *r9 __asm__("r9") = arg;

	__asm__ volatile("syscall\n\t"
	                 "testq %%rax, %%rax\n\t"
	                 "jnz 1f\n\t"
	                 "xorl %%ebp, %%ebp\n\t"
	                 "movq %%r9, %%rdi\n\t"
	                 "call *%%r8\n\t"
	                 "hlt\n\t"
	                 "1:\n\t"
	                 : "+r"(rax)
	                 : "r"(rdi), "r"(rsi), "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory", "cc");
	return rax;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = SYS_clone3;
	register long x0 __asm__("x0") = (long)a;
	register size_t x1 __asm__("x1") = sizeof(*a);
	register void *x2 __asm__("x2") = (void *)fn;
	register void *x3 __asm__("x3") = arg;

	__asm__ volatile("svc #0\n\t"
	                 "cbnz x0, 1f\n\t"
	                 "mov x29, xzr\n\t"
	                 "mov x0, x3\n\t"
	                 "blr x2\n\t"
	                 "brk #1\n\t"
	                 "1:\n\t"
	                 : "+r"(x0)
	                 : "r"(x8), "r"(x1), "r"(x2), "r"(x3)
	                 : "x30", "memory", "cc");
	return x0;
#else
	(void)a;
	(void)fn;
	(void)arg;
	return -ENOSYS;
#endif
}
#endif

static pid_t clone_child(const struct keeper *k, struct child *c, bool own_memory)
{
	struct clone_args a = {.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
	long pid;

	if (k->cgroups.version == 2 && c->s->group.dir_fd >= 0) {
		a.flags |= (unsigned long long)CLONE_INTO_CGROUP;
		a.cgroup = (unsigned long long)c->s->group.dir_fd;
	}
#ifndef SANITIZED
	if (!own_memory) {
		a.flags |= CLONE_VM | CLONE_VFORK;
		a.stack = (unsigned long long)(uintptr_t)child_stack;
		a.stack_size = sizeof(child_stack);
		pid = clone3_on(&a, child_main, c);
		if (pid > 0)
			return (pid_t)pid;
		if (pid != -ENOSYS) {
			errno = (int)-pid;
			return -1;
		}
		a.flags &= ~(unsigned long long)(CLONE_VM | CLONE_VFORK);
		a.stack = a.stack_size = 0;
	}
#endif
	(void)own_memory;
	pid = syscall(SYS_clone3, &a, sizeof(a));
	if (pid < 0 && errno == ENOSYS && !(a.flags & CLONE_INTO_CGROUP))
		pid = fork();
	if (pid == 0) {
		child_main(c);
		_exit(127);
	}
	return (pid_t)pid;
}

/* argv and environment as execve wants them, pointing into the message. */
static void strings(const struct keeper *k, const struct slot *s, struct child *c)
{
	static char mark[80], state[640], folder[640], tmp[640], worker_fd[] = "OSIER_WORKER_FD=3";
	bool has_tmp = false;
	size_t n = 0;
	const char *p = NULL;

	while ((p = keeper_list_next(&c->m->argv, p)))
		argv_mem[n++] = (char *)(uintptr_t)p;
	argv_mem[n] = NULL;
	n = 0;
	(void)snprintf(mark, sizeof(mark), "OSIER_KEPT=%s.%" PRIu64 ".%" PRIu64, k->hash, s->lease, s->index);
	(void)snprintf(state, sizeof(state), "OSIER_STATE=%s",
	        k->state_dir); /* its length was checked at the start */
	(void)snprintf(folder, sizeof(folder), "OSIER_SCRATCH=%s/scratch/%s", k->state_dir, s->scratch.name);
	(void)snprintf(tmp, sizeof(tmp), "TMPDIR=%s/scratch/%s", k->state_dir, s->scratch.name);
	envp_mem[n++] = mark;
	envp_mem[n++] = state;
	envp_mem[n++] = folder;
	if (c->worker >= 0)
		envp_mem[n++] = worker_fd;
	c->path_var = "/usr/local/bin:/usr/bin:/bin";
	while ((p = keeper_list_next(&c->m->env, p))) {
		if (strncmp(p, "PATH=", 5) == 0)
			c->path_var = p + 5;
		has_tmp = has_tmp || strncmp(p, "TMPDIR=", 7) == 0;
		envp_mem[n++] = (char *)(uintptr_t)p;
	}
	if (!has_tmp)
		envp_mem[n++] = tmp;
	envp_mem[n] = NULL;
	c->argv = argv_mem;
	c->envp = envp_mem;
}

pid_t spawn_task(struct keeper *k, struct slot *s, const struct keeper_start *m, int stdin_fd, int worker_fd,
        struct err *e)
{
	static struct child
	        c; /* not on the stack: nothing of ours may be where the child's frames could be */
	bool changes_user = k->root && (m->uid != k->uid || m->gid != k->gid), later;
	pid_t pid;

	memset(&c, 0, sizeof(c));
	c.k = k;
	c.s = s;
	c.m = m;
	c.fail = &k->fails[s->id];
	c.fail->stage = 0;
	c.in = stdin_fd;
	c.worker = worker_fd;
	if (files_inputs(k, s, m, &later, e) < 0)
		return -1;
	strings(k, s, &c);
	c.late_inputs = later;
	if (changes_user)
		c.n_groups = users_groups(m->uid, m->gid, k->allow_root, c.groups, GROUPS_MAX);
	if (m->pids_max && !k->cgroups.base[CG_PIDS][0])
		c.nproc_max = users_processes(m->uid) + m->pids_max;
	pid = clone_child(k, &c, changes_user || later);
	if (pid < 0)
		return err_sys(e, "cannot start a process");
	sys_ordinary(pid);
	return pid;
}

pid_t spawn_engine(struct keeper *k, int fd, struct err *e)
{
	static char ready[] = "--ready-fd", four[] = "4";
	const struct engine_end *en = &k->engine;
	pid_t pid = fork();
	sigset_t none;

	if (pid < 0)
		return err_sys(e, "cannot start the engine");
	if (pid > 0)
		return pid;
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(fd, 3) < 0 || (en->ready_fd >= 0 && dup2(en->ready_fd, 4) < 0))
		_exit(ENGINE_CANNOT_CODE);
	(void)syscall(SYS_close_range, en->ready_fd >= 0 ? 5u : 4u, ~0u, CLOSE_RANGE_CLOEXEC);
	if (en->other_user) {
		gid_t groups[GROUPS_MAX];
		size_t n = users_groups(en->uid, en->gid, false, groups, GROUPS_MAX);

		if (syscall(SYS_setgroups, n, groups) < 0 ||
		        syscall(SYS_setresgid, en->gid, en->gid, en->gid) < 0 ||
		        syscall(SYS_setresuid, en->uid, en->uid, en->uid) < 0) {
			sys_say("cannot become user %u for the engine: %s", en->uid, strerror(errno));
			_exit(ENGINE_CANNOT_CODE);
		}
	}
	if (en->osier && en->ready_fd >= 0) {
		char *argv[] = {en->argv[0], en->argv[1], en->argv[2], en->argv[3], ready, four, NULL};

		(void)execvp(argv[0], argv);
	} else {
		(void)execvp(en->argv[0], en->argv);
	}
	if (en->ready_fd >= 0)
		(void)dprintf(4, "error cannot start the engine '%s': %s\n", en->argv[0], strerror(errno));
	sys_say("cannot start the engine '%s': %s", en->argv[0], strerror(errno));
	_exit(ENGINE_CANNOT_CODE);
}

void spawn_fail_text(const struct spawn_fail *f, const struct keeper_start *m, char *out, size_t max)
{
	const char *why = strerror(f->sys);

	switch ((enum spawn_stage)f->stage) {
	case STAGE_EXEC:
		if (f->sys == ENOENT && !strchr(f->name, '/'))
			(void)snprintf(out, max, "no such program '%s' in PATH", f->name);
		else if (f->sys == ENOENT && f->name[0] == '/' && access(f->name, F_OK) == 0)
			(void)snprintf(out, max,
			        "'%s' is there, but the interpreter it names in its first line is not",
			        f->name);
		else if (f->sys == ENOENT)
			(void)snprintf(out, max, "no such file '%s'", f->name);
		else if (f->sys == EACCES)
			(void)snprintf(out, max, "'%s' may not be executed by user %u", f->name, m->uid);
		else if (f->sys == ENOEXEC)
			(void)snprintf(out, max,
			        "'%s' is not a program (a script needs a first line like #!/bin/sh)",
			        f->name);
		else if (f->sys == E2BIG)
			(void)snprintf(out, max, "arguments and environment of '%s' are too long", f->name);
		else
			(void)snprintf(out, max, "cannot execute '%s': %s", f->name, why);
		return;
	case STAGE_CHDIR:
		(void)snprintf(out, max, "cannot enter folder '%s': %s", f->name, why);
		return;
	case STAGE_INPUT:
		(void)snprintf(out, max, "cannot put input '%s' in place: %s", f->name, why);
		return;
	case STAGE_USER:
		(void)snprintf(out, max, "cannot become user %u: %s", m->uid, why);
		return;
	case STAGE_CGROUP:
		(void)snprintf(out, max, "cannot enter the cgroup: %s", why);
		return;
	case STAGE_NONE:
	case STAGE_FD:
	case STAGE_LIMIT:
		(void)snprintf(out, max, "cannot prepare the process: %s", why);
		return;
	}
}
