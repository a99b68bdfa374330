/* SPDX-License-Identifier: Apache-2.0 */
/* remote - see remote.h. */
#include "cli/remote.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/text.h"

#define WORDS_MAX 32

struct remote {
	char *user, *host, *port; /* user, port: NULL when not said */
};

static void release(struct remote *r)
{
	free(r->user);
	free(r->host);
	free(r->port);
}

static bool is_port(const char *s)
{
	unsigned long n = 0;

	for (const char *p = s; *p; p++)
		n = *p < '0' || *p > '9' || n > 65535 ? 65536 : n * 10 + (unsigned long)(*p - '0');
	return n > 0 && n < 65536;
}

/* ssh takes a word that begins with '-' for an option. */
static bool is_word(const char *s)
{
	if (!*s || *s == '-')
		return false;
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f || strchr("'\"\\/@$`;&|<>()", *s))
			return false;
	return true;
}

static int parse(const char *url, struct remote *r, struct err *e)
{
	const char *p = url + strlen(REMOTE_PREFIX), *at, *end, *colon;

	memset(r, 0, sizeof(*r));
	if (strncmp(url, REMOTE_PREFIX, strlen(REMOTE_PREFIX)) != 0)
		goto bad;
	at = strchr(p, '@');
	if (at) {
		r->user = strndup(p, (size_t)(at - p));
		CHECK(r->user);
		p = at + 1;
	}
	end = p + strlen(p);
	if (end > p && end[-1] == '/')
		end--;
	colon = *p == '[' ? memchr(p, ']', (size_t)(end - p)) : memchr(p, ':', (size_t)(end - p));
	if (*p == '[') {
		if (!colon || (colon + 1 < end && colon[1] != ':'))
			goto bad;
		r->host = strndup(p + 1, (size_t)(colon - p - 1));
		colon = colon + 1 < end ? colon + 1 : NULL;
	} else {
		r->host = strndup(p, (size_t)((colon ? colon : end) - p));
	}
	CHECK(r->host);
	if (colon) {
		r->port = strndup(colon + 1, (size_t)(end - colon - 1));
		CHECK(r->port);
	}
	if (is_word(r->host) && (!r->user || is_word(r->user)) && (!r->port || is_port(r->port)))
		return 0;
bad:
	release(r);
	(void)err_set(e, ERR_INVALID, "'%.150s' names no machine", url);
	return err_hint(e, "write ssh://[USER@]HOST[:PORT]");
}

int remote_check(const char *url, struct err *e)
{
	struct remote r;

	if (parse(url, &r, e) < 0)
		return -1;
	release(&r);
	return 0;
}

/* The words of $OSIER_SSH, which are cut out of `copy`. */
static size_t program(char *copy, char **argv)
{
	size_t n = 0;
	char *rest = NULL;

	for (char *w = strtok_r(copy, " \t", &rest); w && n < WORDS_MAX; w = strtok_r(NULL, " \t", &rest))
		argv[n++] = w;
	return n;
}

/* A remote shell reads it: in single quotes, but for single quotes. */
static void quote(struct text *t, const char *s)
{
	text_add(t, "'");
	for (; *s; s++)
		text_addf(t, *s == '\'' ? "'\\''" : "%c", *s);
	text_add(t, "'");
}

static int start(char **argv, int fd, pid_t *out, struct err *e)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	posix_spawn_file_actions_t files;
	extern char **environ;
	int rc;

	CHECK(posix_spawn_file_actions_init(&files) == 0);
	CHECK(posix_spawn_file_actions_adddup2(&files, fd, 0) == 0);
	CHECK(posix_spawn_file_actions_adddup2(&files, fd, 1) == 0);
	/* Ctrl-C is for us: a job may have to be cancelled over this connection. ssh leaves it ignored when it is, as rsh did. */
	CHECK(sigaction(SIGINT, &ignore, &before) == 0);
	rc = posix_spawnp(out, argv[0], &files, NULL, argv, environ);
	CHECK(sigaction(SIGINT, &before, NULL) == 0);
	CHECK(posix_spawn_file_actions_destroy(&files) == 0);
	if (rc == 0)
		return 0;
	errno = rc;
	(void)err_sys(e, "cannot run '%.100s'", argv[0]);
	if (rc != ENOENT)
		return -1;
	e->code = ERR_CLOSED;
	return err_hint(e, "another machine's node is reached by ssh: install it here (openssh-client)");
}

int remote_dial(const char *url, const char *state, int *out_fd, pid_t *out_pid, struct err *e)
{
	const char *ssh = getenv("OSIER_SSH");
	char *argv[WORDS_MAX + 16], *copy = strdup(ssh && *ssh ? ssh : "ssh");
	struct text command = {0};
	struct err why = {0};
	struct remote r;
	int pair[2], rc;
	size_t n;

	CHECK(copy);
	if (parse(url, &r, e) < 0) {
		free(copy);
		return -1;
	}
	n = program(copy, argv);
	if (n == 0) /* blanks alone say no program */
		argv[n++] = (char *)(uintptr_t) "ssh";
	argv[n++] = (char *)(uintptr_t) "-T";
	if (r.port) {
		argv[n++] = (char *)(uintptr_t) "-p";
		argv[n++] = r.port;
	}
	if (r.user) {
		argv[n++] = (char *)(uintptr_t) "-l";
		argv[n++] = r.user;
	}
	argv[n++] = (char *)(uintptr_t) "--";
	argv[n++] = r.host;
	text_add(&command, "osier dial");
	if (state) {
		text_add(&command, " --state ");
		quote(&command, state);
	}
	argv[n++] = command.p;
	argv[n] = NULL;
	rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
	if (rc < 0) {
		(void)err_sys(&why, "cannot make a pair of sockets");
	} else {
		rc = start(argv, pair[1], out_pid, &why);
		(void)close(pair[1]);
		if (rc < 0)
			(void)close(pair[0]);
	}
	if (rc == 0)
		*out_fd = pair[0];
	else if (e)
		*e = why;
	text_release(&command);
	release(&r);
	free(copy);
	return rc < 0 ? -1 : 0;
}
