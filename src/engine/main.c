/* SPDX-License-Identifier: Apache-2.0 */
/* main - see main.h. */
#include "engine/main.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/api.h"
#include "engine/node.h"

#define KEEPER_FD   3
#define EXIT_CANNOT 78 /* EX_CONFIG: the keeper does not start us again */
#define EXIT_AGAIN  75 /* EX_TEMPFAIL: it does, at once */
#define EXIT_FENCED 79 /* another engine has our record: the keeper stops what we had running, and ends */

struct arguments {
	const char *state, *socket, *config, *record;
	int ready_fd;
	bool look, standby;
};

static int usage(const char *what, const char *arg)
{
	(void)fprintf(stderr,
	        "osier engine: %s '%s'\nusage: osier engine --state DIR [--ready-fd N] [--record URL "
	        "[--standby]] [--look --socket PATH]\n",
	        what, arg);
	return -1;
}

static int parse(int argc, char **argv, struct arguments *a)
{
	*a = (struct arguments){.ready_fd = -1};
	for (int i = 1; i < argc; i++) {
		const char *v = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], "--look") == 0 || strcmp(argv[i], "--standby") == 0) {
			*(argv[i][2] == 'l' ? &a->look : &a->standby) = true;
			continue;
		}
		if (!v)
			return usage("unknown argument, or one without a value:", argv[i]);
		if (strcmp(argv[i], "--state") == 0)
			a->state = v;
		else if (strcmp(argv[i], "--socket") == 0)
			a->socket = v;
		else if (strcmp(argv[i], "--config") == 0)
			a->config = v;
		else if (strcmp(argv[i], "--record") == 0)
			a->record = v;
		else if (strcmp(argv[i], "--ready-fd") == 0)
			a->ready_fd = atoi(v);
		else
			return usage("unknown argument", argv[i]);
		i++;
	}
	if (!a->state)
		return usage("missing", "--state");
	return 0;
}

static void say(int fd, const char *word, const char *text)
{
	char line[512];
	int n = snprintf(line, sizeof(line), text ? "%s %s\n" : "%s\n", word, text);

	if (fd >= 0 && n > 0 && write(fd, line, strnlen(line, sizeof(line))) < 0)
		(void)fprintf(stderr, "osier: nobody waits for '%s'\n", word);
}

/* Would the next start fail in the same way? */
static int exit_code(enum err_code code)
{
	if (code == ERR_FENCED)
		return EXIT_FENCED;
	return code == ERR_INVALID || code == ERR_VERSION || code == ERR_CORRUPT || code == ERR_EXISTS ||
	                       code == ERR_DENIED
	               ? EXIT_CANNOT
	               : 1;
}

static int give_up(int ready_fd, const struct err *e)
{
	/* Whoever waits for us to be ready tells the user; nobody else would. */
	if (ready_fd < 0) {
		(void)fprintf(stderr, "osier: %s\n", e->msg);
		if (e->hint[0])
			(void)fprintf(stderr, "hint: %s\n", e->hint);
	}
	say(ready_fd, "error", e->msg);
	if (e->hint[0])
		say(ready_fd, "hint", e->hint);
	return exit_code(e->code);
}

static void prepare(const struct arguments *a)
{
	struct rlimit files;

	/* One loop thread allocates: arenas of other threads would only be memory that lies about. */
	(void)mallopt(M_ARENA_MAX, 1);
	(void)mallopt(M_TRIM_THRESHOLD, 512 * 1024);
	(void)setenv("UV_THREADPOOL_SIZE", "2", 0);
	(void)signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max < 65536 ? files.rlim_max : 65536;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	if (a->ready_fd >= 0)
		(void)fcntl(a->ready_fd, F_SETFD, FD_CLOEXEC);
	if (a->look)
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
}

/* Whose tasks may run here: everybody's when the keeper is root (it made our socket), else only our own user's. */
static unsigned socket_mode(const struct arguments *a)
{
	struct ucred keeper = {.uid = geteuid()};
	socklen_t n = sizeof(keeper);

	if (a->look)
		return 0600;
	(void)getsockopt(KEEPER_FD, SOL_SOCKET, SO_PEERCRED, &keeper, &n);
	return keeper.uid == 0 ? 0666 : 0600;
}

static int serve(const struct arguments *a, struct node *n)
{
	char path[4096];
	struct api *api;
	struct err e;
	int rc;

	(void)snprintf(path, sizeof(path), "%s/api.sock", node_state_dir(n));
	if (api_open(n, a->socket ? a->socket : path, socket_mode(a), &api, &e) < 0)
		return give_up(a->ready_fd, &e);
	say(a->ready_fd, "ready", NULL);
	if (a->ready_fd >= 0)
		(void)close(a->ready_fd);
	rc = node_run(n, &e);
	api_close(api);
	if (rc < 0)
		return give_up(-1, &e);
	return node_hands_over(n) ? EXIT_AGAIN : 0;
}

int engine_main(int argc, char **argv)
{
	struct arguments a;
	struct node_options o;
	struct node *n;
	struct err e;
	int rc;

	if (parse(argc, argv, &a) < 0)
		return 2;
	prepare(&a);
	o = (struct node_options){.state_dir = a.state,
	        .config = a.config,
	        .record = a.record,
	        .standby = a.standby,
	        .keeper_fd = a.look ? -1 : KEEPER_FD};
	if (node_open(&o, &n, &e) < 0)
		return give_up(a.ready_fd, &e);
	rc = serve(&a, n);
	node_close(n);
	return rc;
}
