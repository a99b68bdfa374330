/* SPDX-License-Identifier: Apache-2.0 */
/* task - one task in a slot from its START to its result: begun, stopped, ended, cleared; see keeper.h. */
#include "keeper/keeper.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "keeper/sys.h"

static const struct keeper_start *current(const struct slot *s)
{
	static struct keeper_msg m;
	size_t at = 0;

	/* It was parsed when it came; once more is cheaper than keeping 200 bytes of pointers with each. */
	CHECK(s->current && keeper_msg_next(s->current->msg, s->current->bytes, &at, &m, NULL) == 1);
	return &m.u.start;
}

static uint64_t us(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec;
}

/* The slot is ready for its next task. */
static void leave(struct keeper *k, struct slot *s, bool never_ran)
{
	bool keep = s->head && s->head->lease == s->lease && !s->leftovers && s->why == WHY_NOT;

	stream_poll(k, s, false);
	stream_end(k, &s->out[0], keep);
	stream_end(k, &s->out[1], keep);
	sys_close(&s->worker_fd);
	if (!never_ran && s->scratch.fd >= 0 && !(keep && scratch_reusable(k, s)))
		scratch_drop(k, s);
	if (cgroup_stale(&s->group))
		cgroup_drop(&k->cgroups, &s->group);
	free(s->current);
	s->current = NULL;
	s->pid = 0;
	s->state = SLOT_IDLE;
	s->kill_ns = 0;
	if (s->why != WHY_RELEASE)
		s->why = WHY_NOT;
}

/* A task that never ran. */
static void cannot_start(struct keeper *k, struct slot *s, int sys, const char *note)
{
	struct keeper_exited x = {.end = KEEPER_END_CANNOT_START, .code = sys};

	x.note = (struct keeper_text){note, (uint32_t)strlen(note)};
	x.memory_limit_bytes = s->memory_limit;
	result_make(k, s, &x);
	leave(k, s, false);
}

static int check_user(const struct keeper *k, const struct keeper_start *m, struct err *e)
{
	if (!k->root && m->uid != k->uid)
		return err_set(e, ERR_DENIED,
		        "cannot run as user %u: the keeper runs as user %u and may not change that", m->uid,
		        k->uid);
	if (k->root && !k->allow_root && (m->uid == 0 || m->gid == 0))
		return err_set(
		        e, ERR_DENIED, "cannot run as root: the keeper was not started with --allow-root");
	return 0;
}

static int worker_pair(struct slot *s, const struct keeper_start *m, int *out_child, struct err *e)
{
	int fds[2], bytes = (int)(m->worker_buffer_bytes ? m->worker_buffer_bytes : WORKER_BUFFER_BYTES);

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return err_sys(e, "cannot make the worker's socket");
	for (int i = 0; i < 2; i++)
		if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
			(void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	s->worker_fd = fds[0];
	*out_child = fds[1];
	return 0;
}

static int prepare(
        struct keeper *k, struct slot *s, const struct keeper_start *m, int *in, int *worker, struct err *e)
{
	struct cgroup_limits l = {m->cpu_milli, m->cpu_max_milli, m->memory_bytes, m->pids_max};

	if (check_user(k, m, e) < 0 || scratch_make(k, s, m, e) < 0 ||
	        cgroup_make(&k->cgroups, &s->group, s->id, &l, e) < 0)
		return -1;
	if (s->out[0].r >= 0 && s->pipe_lease != s->lease) { /* another's: nobody may write into our pipe */
		stream_end(k, &s->out[0], false);
		stream_end(k, &s->out[1], false);
	}
	s->pipe_lease = s->lease;
	if (stream_begin(&s->out[0], m->output_bytes_max, e) < 0 ||
	        stream_begin(&s->out[1], m->output_bytes_max, e) < 0)
		return -1;
	if (s->follow || s->worker) {
		stream_follow(k, s, 0);
		stream_follow(k, s, 1);
	}
	if (s->worker && worker_pair(s, m, worker, e) < 0)
		return -1;
	return files_stdin(k, m, in, e);
}

static void tell_started(struct keeper *k, const struct slot *s)
{
	struct keeper_msg m = {.kind = KEEPER_STARTED,
	        .slot = s->id,
	        .lease = s->lease,
	        .index = s->index,
	        .flags = s->worker ? KEEPER_WORKER : 0};

	m.u.started.pid = (uint32_t)s->pid;
	m.u.started.started_ns = s->started_real_ns;
	engine_send(k, &m, s->worker ? s->worker_fd : -1);
}

void task_begin(struct keeper *k, struct slot *s, struct queued *q)
{
	const struct keeper_start *m;
	int in = -1, worker = -1;
	struct err e;

	CHECK(s->state == SLOT_IDLE && !s->current);
	s->current = q;
	s->lease = q->lease;
	s->index = q->index;
	s->worker = q->flags & KEEPER_WORKER;
	s->follow = (q->flags & KEEPER_FOLLOWED) || (s->follow && s->follow_lease == q->lease);
	s->follow_lease = q->lease;
	s->why = WHY_NOT;
	s->phase = KILL_NONE;
	s->kill_ns = 0;
	s->leftovers = 0;
	stream_reset(&s->out[0], 0);
	stream_reset(&s->out[1], 0);
	k->fails[s->id].stage = 0;
	m = current(s);
	s->uid = m->uid;
	s->gid = m->gid;
	s->timeout_ns = m->timeout_ns;
	s->grace_ns = m->grace_ns;
	s->memory_limit = m->memory_bytes;
	if (prepare(k, s, m, &in, &worker, &e) == 0) {
		cgroup_begin(&s->group);
		s->pid = spawn_task(k, s, m, in, worker, &e);
		s->state = s->pid > 0 ? SLOT_RUNNING : SLOT_IDLE;
	}
	sys_close(&in);
	sys_close(&worker);
	if (s->state != SLOT_RUNNING) {
		cannot_start(k, s, e.sys ? e.sys : e.code == ERR_DENIED ? EPERM : EINVAL, e.msg);
		return;
	}
	s->started_ns = sys_mono_ns();
	s->started_real_ns = sys_real_ns();
	usage_begin(s, m->file_bytes_max);
	s->poll_ns = s->started_ns + (s->out[0].spooled ? 0 : POLL_AFTER_NS); /* somebody reads it: at once */
	tell_started(k, s);
}

/* Send a signal to everything that runs in the slot; how many were found (without cgroups: whether any). */
static unsigned signal_all(struct keeper *k, struct slot *s, int sig)
{
	unsigned n = 0;

	if (s->group.made) {
		n = cgroup_signal(&k->cgroups, &s->group, sig);
		if (s->state == SLOT_RUNNING && sig == SIGKILL)
			(void)kill(s->pid, sig);
		return n;
	}
	if (s->state == SLOT_RUNNING && kill(-s->pid, sig) < 0 && errno == ESRCH)
		(void)kill(s->pid, sig); /* before its setsid() */
	return proc_kill_orphans(k, s, sig);
}

void task_stop(struct keeper *k, struct slot *s, enum slot_why why, int sig, uint64_t grace_ns)
{
	uint64_t now = sys_mono_ns();

	if (s->why == WHY_NOT || why == WHY_RELEASE)
		s->why = why;
	if (s->state != SLOT_RUNNING || s->phase == KILL_FORCED)
		return;
	if (sig == SIGKILL) {
		task_kill(k, s, now);
		return;
	}
	/* Asked again: an earlier end of grace counts. */
	if (s->phase == KILL_NONE || now + grace_ns < s->kill_ns)
		s->kill_ns = now + grace_ns;
	s->phase = KILL_ASKED;
	(void)signal_all(k, s, sig);
	if (sig == SIGTERM)
		(void)signal_all(k, s, SIGCONT); /* one that is stopped could not hear */
}

void task_kill(struct keeper *k, struct slot *s, uint64_t now)
{
	s->phase = KILL_FORCED;
	(void)signal_all(k, s, SIGKILL);
	s->kill_ns = now + 100000000u;
}

static bool anybody_left(struct keeper *k, struct slot *s)
{
	return s->group.made ? !cgroup_empty(&k->cgroups, &s->group) : proc_kill_orphans(k, s, SIGKILL) > 0;
}

static void finish(struct keeper *k, struct slot *s);

void task_ended(struct keeper *k, struct slot *s, int status, const struct rusage *ru)
{
	s->status = status;
	s->usage = *ru;
	s->ended_ns = sys_mono_ns();
	s->state = SLOT_CLEARING;
	s->clear_since_ns = s->ended_ns;
	s->clear_every_ns = CLEAR_EVERY_NS;
	s->kill_ns = s->ended_ns;
	if (!anybody_left(k, s)) {
		finish(k, s);
		return;
	}
	task_clear(k, s, s->ended_ns);
}

void task_clear(struct keeper *k, struct slot *s, uint64_t now)
{
	if (now >= s->kill_ns) {
		unsigned n = signal_all(k, s, SIGKILL);

		if (n > s->leftovers)
			s->leftovers = n;
		s->kill_ns = now + s->clear_every_ns;
		if (s->clear_every_ns < NS_PER_S / 4)
			s->clear_every_ns *= 2;
	}
	/* A writer may be stuck in a full pipe; killed ones are not, but what they wrote makes room for nobody else. */
	if (!anybody_left(k, s)) {
		finish(k, s);
		return;
	}
	if (now - s->clear_since_ns < CLEAR_GIVE_UP_NS)
		return;
	sys_say("slot %u: processes of lease %" PRIu64 " cannot be killed; going on without them", s->id,
	        s->lease);
	cgroup_drop(&k->cgroups, &s->group);
	finish(k, s);
}

static void note_disk(const struct slot *s, char *note, size_t max)
{
	bool small = s->disk_limit < 10u << 20;
	int shift = small ? 10 : 20;
	const char *unit = small ? "KiB" : "MiB";

	(void)snprintf(note, max, "used %" PRIu64 " %s of disk: %" PRIu64 " %s", s->disk_used >> shift, unit,
	        s->disk_limit >> shift, unit);
}

static void how_it_ended(struct keeper *k, struct slot *s, struct keeper_exited *x, char *note, size_t max)
{
	bool by_signal = WIFSIGNALED(s->status);
	int code = by_signal ? WTERMSIG(s->status) : WEXITSTATUS(s->status);

	x->end = by_signal ? KEEPER_END_SIGNAL : KEEPER_END_EXIT;
	x->code = code;
	if (k->fails[s->id].stage) {
		x->end = KEEPER_END_CANNOT_START;
		x->code = k->fails[s->id].sys;
		spawn_fail_text(&k->fails[s->id], current(s), note, max);
		return;
	}
	if (s->why == WHY_DISK) {
		x->end = KEEPER_END_DISK;
		note_disk(s, note, max);
		return;
	}
	if (s->why == WHY_TIMEOUT || s->why == WHY_STOP) {
		x->end = s->why == WHY_TIMEOUT ? KEEPER_END_TIMEOUT : KEEPER_END_STOPPED;
		x->code = by_signal ? -code : code;
		if (s->why == WHY_TIMEOUT)
			(void)snprintf(note, max,
			        "stopped after %" PRIu64 ".%03" PRIu64 " s, the limit of one attempt",
			        s->timeout_ns / NS_PER_S, s->timeout_ns / 1000000 % 1000);
		return;
	}
	if (s->status == 0 && s->memory_limit && x->memory_bytes > s->memory_limit - s->memory_limit / 16)
		(void)cgroup_oom(
		        &s->group); /* it got over the loss of a child; not to be held against the next task */
	if (s->status != 0 && s->group.made && cgroup_oom(&s->group)) {
		x->end = KEEPER_END_MEMORY;
		(void)snprintf(note, max, "%s at %" PRIu64 " MiB, peak %" PRIu64 " MiB",
		        by_signal ? "killed" : "a process of it was killed", s->memory_limit >> 20,
		        x->memory_bytes >> 20);
	}
}

static void take_outputs(
        struct keeper *k, struct slot *s, struct keeper_exited *x, uint64_t *sizes, char *note, size_t max)
{
	const struct keeper_start *m = current(s);
	struct err e;

	if (x->end != KEEPER_END_EXIT || x->code != 0 || m->outputs.n == 0)
		return;
	for (uint32_t i = 0; i < m->outputs.n; i++)
		sizes[i] = KEEPER_MISSING;
	x->n_outputs = m->outputs.n;
	x->output_bytes = sizes;
	if (files_outputs(k, s, m, sizes, &e) == 0)
		return;
	x->end = KEEPER_END_OUTPUT_MISSING;
	(void)snprintf(note, max, "%s", e.msg);
}

static void finish(struct keeper *k, struct slot *s)
{
	static uint64_t sizes[KEEPER_FILES_MAX];
	struct keeper_exited x = {.started_ns = s->started_real_ns};
	char note[300] = "";

	for (int i = 0; i < 2; i++) {
		stream_read(k, s, i, true);
		if (k->held_bytes > HELD_BYTES_INLINE && s->out[i].n)
			stream_follow(k, s, i);
	}
	x.wall_us = (s->ended_ns - s->started_ns) / 1000;
	x.user_us = us(&s->usage.ru_utime);
	x.system_us = us(&s->usage.ru_stime);
	x.memory_bytes = cgroup_peak_bytes(&s->group);
	if (!x.memory_bytes)
		x.memory_bytes = (uint64_t)s->usage.ru_maxrss * 1024;
	x.memory_limit_bytes = s->memory_limit;
	x.read_bytes = (uint64_t)s->usage.ru_inblock * 512;
	x.write_bytes = (uint64_t)s->usage.ru_oublock * 512;
	x.leftovers = s->leftovers;
	how_it_ended(k, s, &x, note, sizeof(note));
	take_outputs(k, s, &x, sizes, note, sizeof(note));
	if (s->out[0].sys || s->out[1].sys)
		(void)snprintf(note + strlen(note), sizeof(note) - strlen(note),
		        "%soutput was lost: cannot write to the spool: %s", note[0] ? "; " : "",
		        strerror(s->out[0].sys ? s->out[0].sys : s->out[1].sys));
	x.note = (struct keeper_text){note, (uint32_t)strlen(note)};
	if (s->why != WHY_RELEASE)
		result_make(k, s, &x);
	else
		spool_remove(k, s->lease, s->index, 0);
	leave(k, s, false);
}
