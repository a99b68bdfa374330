/* SPDX-License-Identifier: Apache-2.0 */
/* main - see messenger.h: one process, a thread for each service that the configuration asks for. */
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/check.h"
#include "io/clock.h"
#include "messenger/messenger.h"

#define CONFIG_BYTES (8u << 20) /* address space: a configuration of 1 MiB, decoded */
#define REOPEN_NS    (30ull * 1000000000ull)
#define AWAIT_TRIES  500 /* of 20 ms, for the engine to answer */
#define LEAVE_S      3   /* for services to end in good order */
#define EXIT_CANNOT  78  /* EX_CONFIG: starting again would not help */

struct arguments {
	const char *state, *config;
	int parent;
};

struct running {
	pthread_t thread;
	const struct service *service;
	const struct messenger *m;
};

static int parse(int argc, char **argv, struct arguments *a)
{
	*a = (struct arguments){0};
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--state") == 0)
			a->state = argv[i + 1];
		else if (strcmp(argv[i], "--config") == 0)
			a->config = argv[i + 1];
		else if (strcmp(argv[i], "--parent") == 0)
			a->parent = atoi(argv[i + 1]);
		else
			a->state = NULL, i = argc;
	}
	if (a->state && argc % 2 == 1)
		return 0;
	(void)fprintf(stderr, "usage: osier messenger --state DIR [--config FILE] [--parent PID]\n");
	return -1;
}

/* Only one speaks for a node: another that is about to end is waited for. The lock is held until the process ends. */
static int take_lock(const char *state, struct err *e)
{
	char path[4096];
	int fd;

	if (snprintf(path, sizeof(path), "%s/messenger.lock", state) >= (int)sizeof(path))
		return err_set(e, ERR_INVALID, "the state folder's name is too long");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "cannot open '%.200s'", path);
	if (flock(fd, LOCK_EX) < 0)
		return err_sys(e, "cannot lock '%.200s'", path);
	return 0;
}

static int read_config(const struct arguments *a, struct config *c, struct err *e)
{
	static struct arena arena; /* for life: the configuration lies in it */
	char own[4096];
	void *mem = mmap(NULL, CONFIG_BYTES, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		return err_sys(e, "cannot map memory for the configuration");
	arena_init(&arena, mem, CONFIG_BYTES);
	(void)snprintf(own, sizeof(own), "%s/config.yaml", a->state);
	return config_load(&arena, a->config ? a->config : own, a->config == NULL, c, e);
}

static int prepare(const struct arguments *a, struct messenger *m, struct config *c, struct err *e)
{
	int dir;

	if (take_lock(a->state, e) < 0 || read_config(a, c, e) < 0)
		return -1;
	dir = open(a->state, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, "cannot open '%.200s'", a->state);
	m->state_dir = a->state;
	m->config = c;
	(void)snprintf(m->socket, sizeof(m->socket), "/proc/self/fd/%d/api.sock", dir);
	m->stop_fd = eventfd(0, EFD_CLOEXEC);
	return m->stop_fd < 0 ? err_sys(e, "cannot make an eventfd") : 0;
}

/* ---- services ---- */

/* Sleep until due_ns; true: it is over. */
static bool pause_until(const struct messenger *m, uint64_t due_ns)
{
	struct pollfd p = {.fd = m->stop_fd, .events = POLLIN};

	for (;;) {
		uint64_t now = clock_mono_ns();
		uint64_t ms = due_ns <= now ? 0 : (due_ns - now + 999999) / 1000000;

		if (poll(&p, 1, due_ns == MESSENGER_NEVER ? -1 : ms > 3600000 ? 3600000 : (int)ms) > 0)
			return true;
		if (due_ns != MESSENGER_NEVER && clock_mono_ns() >= due_ns)
			return false;
	}
}

static void *run(void *arg)
{
	struct running *r = arg;
	char said[MESSENGER_SAID_MAX] = "";
	uint64_t due = 0;
	void *ctx = NULL;
	struct err e;

	while (!pause_until(r->m, due)) {
		if (ctx) {
			due = r->service->turn(ctx, clock_mono_ns());
		} else if (r->service->open(r->m, &ctx, &e) < 0) {
			ctx = NULL;
			messenger_say(said, "%s: %s", r->service->name, e.msg);
			due = clock_mono_ns() + REOPEN_NS;
		} else {
			due = 0;
		}
	}
	if (ctx)
		r->service->close(ctx);
	return NULL;
}

static size_t start(const struct messenger *m, struct running *r, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; messenger_services[i]; i++) {
		if (!messenger_services[i]->wanted(m->config))
			continue;
		CHECK(n < max);
		r[n] = (struct running){.service = messenger_services[i], .m = m};
		CHECK(pthread_create(&r[n].thread, NULL, run, &r[n]) == 0);
		n++;
	}
	return n;
}

/* Services end on their own; who does not is left behind. */
static void finish(const struct messenger *m, struct running *r, size_t n)
{
	struct timespec end;

	CHECK(eventfd_write(m->stop_fd, 1) == 0);
	(void)clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += LEAVE_S;
	for (size_t i = 0; i < n; i++)
		if (pthread_timedjoin_np(r[i].thread, NULL, &end) != 0)
			_exit(0);
}

/* The engine that started us listens in a moment: no service should find nobody there. False: we are to end. */
static bool await_engine(const struct messenger *m, const sigset_t *ends)
{
	static const struct timespec pause = {.tv_nsec = 20000000};

	for (int i = 0; i < AWAIT_TRIES && !engine_answers(m); i++)
		if (sigtimedwait(ends, NULL, &pause) > 0)
			return false;
	return true;
}

int messenger_main(int argc, char **argv)
{
	static struct config config;
	static struct messenger m;
	static struct running services[16];
	struct arguments a;
	struct err e;
	sigset_t ends;
	size_t n;
	int sig;

	if (parse(argc, argv, &a) < 0)
		return 2;
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (a.parent && getppid() != a.parent)
		return 0; /* it ended before we could ask to be told */
	(void)mallopt(M_ARENA_MAX, 1);
	(void)signal(SIGPIPE, SIG_IGN);
	if (prepare(&a, &m, &config, &e) < 0) {
		(void)fprintf(stderr, "osier messenger: %s\n", e.msg);
		return EXIT_CANNOT;
	}
	(void)sigemptyset(&ends);
	(void)sigaddset(&ends, SIGTERM);
	(void)sigaddset(&ends, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &ends, NULL);
	if (!await_engine(&m, &ends))
		return 0;
	n = start(&m, services, ARRAY_LEN(services));
	if (n == 0)
		return 0;
	(void)sigwait(&ends, &sig);
	finish(&m, services, n);
	return 0;
}
