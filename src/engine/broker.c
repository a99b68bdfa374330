/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker - see broker.h. Here: the process, found or started, watched, told and ended.
 *
 * One timer says what is next in every state. A pidfd tells the end of a process whether it is our child or was found; only a child is reaped
 * here, one that was found is the keeper's. That it listens it says itself, by sd_notify(3).
 */
#include "engine/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "io/cert.h"

enum {
	READY_MS = 3000, /* a mosquitto that cannot notify is taken to listen by then */
	END_ASKED = 8,
	END_MS = 2000,     /* between asking and force */
	STEADY_MS = 10000, /* living that long makes pauses short again */
	LOOK_MS = 600000,  /* how often the log's size is looked at */
	PATH_BYTES = 1100,
};

enum broker_state {
	BROKER_PAUSE,     /* none; started by the timer */
	BROKER_FOUND,     /* it ran before; told by the timer */
	BROKER_REPLACING, /* the one that ran has another configuration, and is being ended */
	BROKER_STARTING,
	BROKER_UP,
	BROKER_ENDING,
};

struct watch { /* a descriptor in the loop */
	uv_poll_t poll;
	struct broker *b;
	int fd;
};

struct broker {
	struct broker_options o; /* with strings of its own */
	enum broker_state state;
	uv_timer_t timer;
	struct watch *process, *notify;
	int pid;
	bool child, reload_due;
	uint64_t since_ms;
	unsigned in_a_row, asked, handles;
	void (*done)(void *ctx);
	void *done_ctx;
};

static void on_timer(uv_timer_t *t);

static void arm(struct broker *b, uint64_t ms)
{
	CHECK(uv_timer_start(&b->timer, on_timer, ms, 0) == 0);
}

static const char *in(const struct broker *b, const char *name, char path[PATH_BYTES])
{
	(void)snprintf(path, PATH_BYTES, "%s/%s", b->o.dir, name);
	return path;
}

/* ---- handles ---- */

static void handle_closed(struct broker *b)
{
	void (*done)(void *) = b->done;
	void *ctx = b->done_ctx;

	if (--b->handles > 0)
		return;
	free((void *)(uintptr_t)b->o.dir);
	free((void *)(uintptr_t)b->o.hub);
	free((void *)(uintptr_t)b->o.address);
	free((void *)(uintptr_t)b->o.program);
	free(b);
	if (done)
		done(ctx);
}

static void on_timer_closed(uv_handle_t *h)
{
	handle_closed(h->data);
}

static void on_watch_closed(uv_handle_t *h)
{
	struct watch *w = h->data;
	struct broker *b = w->b;

	(void)close(w->fd);
	free(w);
	handle_closed(b);
}

static void watch_drop(struct watch **w)
{
	if (!*w)
		return;
	(void)uv_poll_stop(&(*w)->poll);
	uv_close((uv_handle_t *)&(*w)->poll, on_watch_closed);
	*w = NULL;
}

/* Takes fd. */
static struct watch *watch_new(struct broker *b, int fd, uv_poll_cb fn)
{
	struct watch *w = calloc(1, sizeof(*w));

	CHECK(w);
	*w = (struct watch){.b = b, .fd = fd};
	w->poll.data = w;
	CHECK(uv_poll_init(b->o.loop, &w->poll, fd) == 0);
	CHECK(uv_poll_start(&w->poll, UV_READABLE, fn) == 0);
	b->handles++;
	return w;
}

static int tell(const struct broker *b, int sig)
{
	return b->process ? (int)syscall(SYS_pidfd_send_signal, b->process->fd, sig, NULL, 0) : -1;
}

/* ---- the end of a process ---- */

/* The last that it wrote into its log, without the time. */
static void last_words(const struct broker *b, char *out, size_t n)
{
	char path[PATH_BYTES], text[513], *line, *at;
	int fd = open(in(b, "mosquitto.log", path), O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t got;

	out[0] = '\0';
	if (fd < 0)
		return;
	got = fstat(fd, &st) == 0 ? pread(fd, text, sizeof(text) - 1, st.st_size > 512 ? st.st_size - 512 : 0)
	                          : -1;
	(void)close(fd);
	while (got > 0 && text[got - 1] == '\n')
		got--;
	if (got <= 0)
		return;
	text[got] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	at = strstr(line, ": ");
	if (at && line[0] >= '0' && line[0] <= '9')
		line = at + 2;
	(void)snprintf(out, n, "%.*s", (int)n - 1, line);
}

static void finish(struct broker *b)
{
	watch_drop(&b->process);
	watch_drop(&b->notify);
	uv_close((uv_handle_t *)&b->timer, on_timer_closed);
}

/* The last thing that a caller does: on_down() may close. */
static void failed(struct broker *b, const struct err *why)
{
	struct broker_down d = {.why = *why};
	uint64_t pause = BROKER_PAUSE_MAX_MS;

	if (b->since_ms && uv_now(b->o.loop) - b->since_ms >= STEADY_MS)
		b->in_a_row = 0;
	if (b->in_a_row < 7 && (BROKER_PAUSE_MS << b->in_a_row) < pause)
		pause = BROKER_PAUSE_MS << b->in_a_row;
	b->in_a_row++;
	d.pause_ms = pause;
	b->state = BROKER_PAUSE;
	arm(b, pause);
	b->o.on_down(b->o.ctx, &d);
}

static void on_exit_(uv_poll_t *p, int status, int events)
{
	struct broker *b = ((struct watch *)p->data)->b;
	enum broker_state was = b->state;
	char words[160];
	struct err e;
	int how = 0;

	(void)status, (void)events;
	if (b->child)
		(void)waitpid(b->pid, &how, WNOHANG);
	b->pid = 0;
	watch_drop(&b->process);
	watch_drop(&b->notify);
	if (was == BROKER_ENDING) {
		finish(b);
		return;
	}
	if (was == BROKER_REPLACING) {
		b->state = BROKER_PAUSE;
		arm(b, 0);
		return;
	}
	last_words(b, words, sizeof(words));
	if (b->child && WIFSIGNALED(how))
		(void)err_set(&e, ERR_CLOSED, "mosquitto was killed by signal %d", WTERMSIG(how));
	else
		(void)err_set(&e, ERR_CLOSED, "mosquitto ended%s%s", words[0] ? "; it says: " : "", words);
	failed(b, &e);
}

/* ---- its beginning ---- */

/* When a process began, in ticks since boot; 0: there is none. */
static uint64_t began(int pid)
{
	char path[64], text[1024], *at;
	uint64_t ticks = 0;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	at = strrchr(text, ')'); /* its name may hold anything */
	for (unsigned field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at && sscanf(at, "%" SCNu64, &ticks) == 1 ? ticks : 0;
}

static int remember(const struct broker *b, struct err *e)
{
	char path[PATH_BYTES], text[64];
	int n = snprintf(text, sizeof(text), "%d %" PRIu64 "\n", b->pid, began(b->pid));

	return cert_file_write(in(b, "mosquitto.pid", path), text, (size_t)n, 0600, e);
}

/* A pidfd of the one that an engine before us started; < 0: there is none. */
static int left_behind(const char *pid_file, int *out_pid)
{
	uint64_t ticks;
	char *text;
	int fd;
	size_t n;
	bool ours;

	if (cert_file_read(pid_file, &text, &n, NULL) < 0)
		return -1;
	ours = sscanf(text, "%d %" SCNu64, out_pid, &ticks) == 2 && *out_pid > 1;
	free(text);
	fd = ours ? (int)syscall(SYS_pidfd_open, *out_pid, 0) : -1;
	if (fd < 0)
		return -1;
	if (ticks == 0 || began(*out_pid) != ticks) { /* another process, which has its number now */
		(void)close(fd);
		return -1;
	}
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

void broker_end_left(const char *dir)
{
	char path[PATH_BYTES];
	int pid, fd;

	(void)snprintf(path, sizeof(path), "%s/mosquitto.pid", dir);
	fd = left_behind(path, &pid);
	if (fd < 0)
		return;
	(void)syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0);
	(void)close(fd);
}

static bool find(struct broker *b)
{
	char path[PATH_BYTES];
	int pid, fd = left_behind(in(b, "mosquitto.pid", path), &pid);

	if (fd < 0)
		return false;
	b->pid = pid;
	b->child = false;
	b->process = watch_new(b, fd, on_exit_);
	return true;
}

static void is_up(struct broker *b)
{
	b->state = BROKER_UP;
	watch_drop(&b->notify);
	if (b->reload_due)
		(void)tell(b, SIGHUP);
	b->reload_due = false;
	arm(b, LOOK_MS);
	b->o.on_up(b->o.ctx);
}

static void on_notify(uv_poll_t *p, int status, int events)
{
	struct watch *w = p->data;
	char text[256];
	ssize_t n = recv(w->fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	(void)status, (void)events;
	if (n <= 0)
		return;
	text[n] = '\0';
	if (w->b->state == BROKER_STARTING && strstr(text, "READY=1"))
		is_up(w->b);
}

/* A socket with a name that the system chooses; out_env: the variable that tells it. */
static int notify_socket(char *out_env, size_t n, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(a.sun_family);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_sys(e, "cannot make a socket for mosquitto");
	if (bind(fd, (struct sockaddr *)&a, len) < 0 ||
	        (len = sizeof(a), getsockname(fd, (struct sockaddr *)&a, &len)) < 0 ||
	        len <= sizeof(a.sun_family) + 1) {
		(void)err_sys(e, "cannot name a socket for mosquitto");
		(void)close(fd);
		return -1;
	}
	(void)snprintf(
	        out_env, n, "NOTIFY_SOCKET=@%.*s", (int)(len - sizeof(a.sun_family) - 1), a.sun_path + 1);
	return fd;
}

static void cut_log(const struct broker *b)
{
	char path[PATH_BYTES];
	struct stat st;

	if (stat(in(b, "mosquitto.log", path), &st) == 0 && st.st_size > (off_t)BROKER_LOG_MAX)
		(void)truncate(path, 0); /* it appends */
}

static int spawn(struct broker *b, char *notify, int *out_pid)
{
	char conf[PATH_BYTES], log[PATH_BYTES], path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
	                                        lang[] = "LANG=C.UTF-8", name[] = "mosquitto", flag[] = "-c";
	char *argv[] = {name, flag, conf, NULL}, *env[] = {path, lang, notify, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	(void)in(b, "mosquitto.conf", conf);
	(void)in(b, "mosquitto.log", log);
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	CHECK(posix_spawnattr_init(&attr) == 0 && posix_spawn_file_actions_init(&files) == 0);
	CHECK(posix_spawnattr_setflags(
	              &attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) == 0);
	CHECK(posix_spawnattr_setsigmask(&attr, &none) == 0 &&
	        posix_spawnattr_setsigdefault(&attr, &all) == 0);
	CHECK(posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0) == 0);
	CHECK(posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0) == 0);
	CHECK(posix_spawn_file_actions_addopen(&files, 2, log, O_WRONLY | O_APPEND | O_CREAT, 0600) == 0);
	CHECK(posix_spawn_file_actions_addclosefrom_np(&files, 3) == 0);
	rc = posix_spawn(out_pid, b->o.program, &files, &attr, argv, env);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&attr);
	return rc;
}

static int start(struct broker *b, struct err *e)
{
	char notify[160];
	int fd, rc;

	cut_log(b);
	fd = notify_socket(notify, sizeof(notify), e);
	if (fd < 0)
		return -1;
	b->notify = watch_new(b, fd, on_notify);
	rc = spawn(b, notify, &b->pid);
	if (rc != 0) {
		watch_drop(&b->notify);
		b->pid = 0;
		errno = rc;
		return err_sys(e, "cannot start '%s'", b->o.program);
	}
	b->child = true;
	fd = (int)syscall(SYS_pidfd_open, b->pid, 0);
	if (fd < 0 || remember(b, e) < 0) {
		if (fd < 0)
			(void)err_sys(e, "cannot watch mosquitto");
		(void)kill(b->pid, SIGKILL);
		(void)waitpid(b->pid, NULL, 0);
		b->pid = 0;
		if (fd >= 0)
			(void)close(fd);
		watch_drop(&b->notify);
		return -1;
	}
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	b->process = watch_new(b, fd, on_exit_);
	b->reload_due =
	        false; /* it reads everything now; what changes before it listens is told again then */
	b->since_ms = uv_now(b->o.loop);
	b->state = BROKER_STARTING;
	arm(b, READY_MS);
	return 0;
}

static void on_timer(uv_timer_t *t)
{
	struct broker *b = t->data;
	struct err e;

	switch (b->state) {
	case BROKER_PAUSE:
		if (start(b, &e) < 0)
			failed(b, &e);
		break;
	case BROKER_FOUND:
		b->reload_due = true;
		is_up(b);
		break;
	case BROKER_REPLACING:
	case BROKER_ENDING:
		/* Asked again: it forgets a SIGTERM that comes just after it said that it listens. */
		(void)tell(b, ++b->asked < END_ASKED ? SIGTERM : SIGKILL);
		arm(b, END_MS / END_ASKED);
		break;
	case BROKER_STARTING:
		is_up(b);
		break;
	case BROKER_UP:
		cut_log(b);
		arm(b, LOOK_MS);
		break;
	}
}

/* ---- what callers do ---- */

static const char *program(const char *given)
{
	static const char *const usual[] = {
	        "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"};

	if (given)
		return access(given, X_OK) == 0 ? given : NULL;
	for (size_t i = 0; i < ARRAY_LEN(usual); i++)
		if (access(usual[i], X_OK) == 0)
			return usual[i];
	return NULL;
}

static char *copy(const char *s)
{
	char *c = s ? strdup(s) : NULL;

	CHECK(c || !s);
	return c;
}

int broker_open(const struct broker_options *o, struct broker **out, struct err *e)
{
	const char *file = program(o->program);
	char path[PATH_BYTES];
	struct broker *b;
	bool changed;

	CHECK(o->loop && o->dir && o->hub && o->on_up && o->on_down);
	if (!file) {
		(void)err_set(e, ERR_NOTFOUND,
		        "mosquitto is not on this machine; without a broker a hub has no links");
		return err_hint(
		        e, "install Debian's package mosquitto, or name another broker with --broker");
	}
	if (broker_write_conf(o, &changed, e) < 0)
		return -1;
	b = calloc(1, sizeof(*b));
	CHECK(b);
	b->o = *o;
	b->o.dir = copy(o->dir);
	b->o.hub = copy(o->hub);
	b->o.address = copy(o->address);
	b->o.program = copy(file);
	CHECK(uv_timer_init(o->loop, &b->timer) == 0);
	b->timer.data = b;
	b->handles = 1;
	if ((changed || access(in(b, "mosquitto.acl", path), F_OK) < 0) &&
	        broker_write_acl(o->dir, o->hub, NULL, 0, e) < 0) { /* else who is denied stays so */
		finish(b);
		return -1;
	}
	b->state = !find(b) ? BROKER_PAUSE : changed ? BROKER_REPLACING : BROKER_FOUND;
	if (b->state == BROKER_REPLACING)
		(void)tell(b, SIGTERM);
	arm(b, b->state == BROKER_REPLACING ? END_MS / END_ASKED : 0);
	*out = b;
	return 0;
}

int broker_reload(struct broker *b, const char *const *denied, size_t n, struct err *e)
{
	if (broker_write_acl(b->o.dir, b->o.hub, denied, n, e) < 0)
		return -1;
	if (b->state == BROKER_UP && tell(b, SIGHUP) < 0 && errno != ESRCH)
		return err_sys(e, "cannot tell mosquitto to read its rights again");
	b->reload_due = b->state != BROKER_UP; /* a signal before it listens would end it */
	return 0;
}

void broker_close(struct broker *b, enum broker_close how, void (*done)(void *ctx), void *ctx)
{
	if (!b)
		return;
	CHECK(b->state != BROKER_ENDING);
	b->done = done;
	b->done_ctx = ctx;
	b->state = BROKER_ENDING;
	if (how == BROKER_KEEP || !b->process) {
		finish(b);
		return;
	}
	(void)tell(b, SIGTERM);
	arm(b, END_MS / END_ASKED);
}

int broker_pid(const struct broker *b)
{
	return b->process ? b->pid : 0;
}
