/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drive - the load that `make bench` puts on a node through its API, and the bare loops it is compared with.
 *
 *	drive submit-one SOCKET N                  p50 of N durable submits, one after another (ns)
 *	drive submit SOCKET CLIENTS JOBS N         N requests of JOBS jobs each from CLIENTS connections: jobs a second
 *	drive submit-array SOCKET TASKS            one job with an array of TASKS: ns
 *	drive start SOCKET N STAMP                 p50 and p99 of N: submit until the process runs (ns); STAMP is this program
 *	drive fsync FOLDER N                       p50 of N: a 4 KiB write and fdatasync (ns)
 *	drive spawn N P COMMAND...                 N processes, P at a time, with posix_spawn and wait: tasks a second
 *	drive stamp PATH                           write the time to the socket PATH (what `start` runs)
 *
 * Prints one JSON object. Submitted jobs are held, but for `start`, so that only the submit is measured.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#define FILE_PAGES 1024u /* of the file that `fsync` writes */

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static _Noreturn void die(const char *what)
{
	(void)fprintf(stderr, "drive: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t quantile(uint64_t *v, size_t n, unsigned permille)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[(n - 1) * permille / 1000];
}

/* ---- a small client: one connection, one answer at a time ---- */

struct client {
	int fd;
	char in[16384];
	size_t n, want; /* want: bytes of the answer still to come once its head is read, SIZE_MAX before */
	int status;
};

static void dial(struct client *c, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(a.sun_path)) {
		errno = ENAMETOOLONG;
		die(path);
	}
	memcpy(a.sun_path, path, strlen(path) + 1);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die(path);
	c->n = 0;
}

static void send_all(struct client *c, const char *p, size_t n)
{
	while (n) {
		ssize_t k = send(c->fd, p, n, MSG_NOSIGNAL);

		if (k < 0)
			die("send");
		p += k;
		n -= (size_t)k;
	}
	c->want = SIZE_MAX;
	c->n = 0;
}

/* Read what is there; true when the answer is complete. Bodies beyond the buffer are counted, not kept. */
static bool receive(struct client *c)
{
	ssize_t k;
	char *end, *length;

	if (c->want != SIZE_MAX && c->want) {
		char sink[65536];

		k = recv(c->fd, sink, c->want < sizeof(sink) ? c->want : sizeof(sink), 0);
		if (k <= 0)
			die("recv");
		c->want -= (size_t)k;
		return c->want == 0;
	}
	k = recv(c->fd, c->in + c->n, sizeof(c->in) - 1 - c->n, 0);
	if (k <= 0)
		die("recv");
	c->n += (size_t)k;
	c->in[c->n] = '\0';
	end = strstr(c->in, "\r\n\r\n");
	if (!end)
		return false;
	c->status = atoi(c->in + 9);
	length = strcasestr(c->in, "\r\ncontent-length:");
	c->want = length ? strtoull(length + 17, NULL, 10) : 0;
	k = (ssize_t)(c->n - (size_t)(end + 4 - c->in));
	if (c->status >= 300) {
		(void)fprintf(stderr, "drive: answer %d: %s\n", c->status, end + 4);
		exit(1);
	}
	c->want -= (size_t)k < c->want ? (size_t)k : c->want;
	return c->want == 0;
}

static size_t request(char *out, size_t room, const char *body, size_t n)
{
	int k = snprintf(out, room,
	        "POST /v1/jobs HTTP/1.1\r\nHost: osier\r\nContent-Type: application/json\r\nContent-Length: "
	        "%zu\r\n\r\n",
	        n);

	memcpy(out + k, body, n);
	return (size_t)k + n;
}

/* Waits in poll(): a reader blocked in recv() is woken in vain when the engine takes the request out of the socket. */
static void ask(struct client *c, const char *req, size_t n)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};

	send_all(c, req, n);
	do {
		if (poll(&p, 1, -1) < 0)
			die("poll");
	} while (!receive(c));
}

#define JOB                                                                                                  \
	"{\"name\":\"bench\",\"hold\":true,\"command\":[\"true\"],\"resources\":{\"cpu\":1,\"memory\":"      \
	"\"64MiB\"}}"

static int submit_one(const char *path, size_t n)
{
	uint64_t *v = calloc(n, sizeof(*v));
	struct client c;
	char req[1024];
	size_t size = request(req, sizeof(req), JOB, strlen(JOB));

	dial(&c, path);
	for (size_t i = 0; i < n; i++) {
		uint64_t t = now_ns();

		ask(&c, req, size);
		v[i] = now_ns() - t;
	}
	(void)printf("{\"p50_ns\": %" PRIu64 ", \"p99_ns\": %" PRIu64 "}\n", quantile(v, n, 500),
	        quantile(v, n, 990));
	free(v);
	return 0;
}

static int submit_many(const char *path, size_t clients, size_t jobs, size_t n)
{
	struct client *c = calloc(clients, sizeof(*c));
	size_t room = 4096 + jobs * (sizeof(JOB) + 2), at = 0, sent = 0, done = 0, size;
	char *body = malloc(room), *req = malloc(room);
	int ep = epoll_create1(EPOLL_CLOEXEC);
	uint64_t t;

	if (jobs == 1) {
		at = (size_t)snprintf(body, room, "%s", JOB);
	} else {
		at = (size_t)snprintf(body, room, "{\"jobs\":[");
		for (size_t i = 0; i < jobs; i++)
			at += (size_t)snprintf(body + at, room - at, "%s%s", i ? "," : "", JOB);
		at += (size_t)snprintf(body + at, room - at, "]}");
	}
	size = request(req, room, body, at);
	for (size_t i = 0; i < clients; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.u64 = i};

		dial(&c[i], path);
		(void)epoll_ctl(ep, EPOLL_CTL_ADD, c[i].fd, &ev);
	}
	t = now_ns();
	for (size_t i = 0; i < clients && sent < n; i++, sent++)
		send_all(&c[i], req, size);
	while (done < n) {
		struct epoll_event ev[64];
		int k = epoll_wait(ep, ev, 64, -1);

		for (int i = 0; i < k; i++) {
			struct client *x = &c[ev[i].data.u64];

			if (!receive(x))
				continue;
			done++;
			if (sent < n) {
				send_all(x, req, size);
				sent++;
			}
		}
	}
	t = now_ns() - t;
	(void)printf("{\"jobs_per_s\": %.0f}\n", (double)(n * jobs) * 1e9 / (double)t);
	return 0;
}

static int submit_array(const char *path, const char *tasks)
{
	struct client c;
	char body[512], req[1024];
	uint64_t t;
	int n = snprintf(body, sizeof(body),
	        "{\"name\":\"bench-array\",\"hold\":true,\"command\":[\"true\"],\"array\":%s}", tasks);
	size_t size = request(req, sizeof(req), body, (size_t)n);

	dial(&c, path);
	t = now_ns();
	ask(&c, req, size);
	(void)printf("{\"ns\": %" PRIu64 "}\n", now_ns() - t);
	return 0;
}

/* ---- submit until the process runs ---- */

static int stamp(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	uint64_t t = now_ns();
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	return sendto(fd, &t, sizeof(t), 0, (struct sockaddr *)&a, sizeof(a)) == sizeof(t) ? 0 : 1;
}

static int start(const char *path, size_t n, const char *self)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	uint64_t *v = calloc(n, sizeof(*v)), p50;
	struct client c;
	char body[1024], req[2048];
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	size_t size;

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "/tmp/osier-stamp-%d", (int)getpid());
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || chmod(a.sun_path, 0777) < 0)
		die(a.sun_path);
	(void)snprintf(body, sizeof(body), "{\"name\":\"bench-start\",\"command\":[\"%s\",\"stamp\",\"%s\"]}",
	        self, a.sun_path);
	size = request(req, sizeof(req), body, strlen(body));
	dial(&c, path);
	for (size_t i = 0; i < n; i++) {
		uint64_t t = now_ns(), ran;

		ask(&c, req, size);
		if (recv(fd, &ran, sizeof(ran), 0) != sizeof(ran))
			die("recv");
		v[i] = ran - t;
		(void)poll(NULL, 0, 3); /* an idle node: let it finish with this one first */
	}
	(void)unlink(a.sun_path);
	p50 = quantile(v, n, 500);
	(void)printf("{\"p50_ns\": %" PRIu64 ", \"p99_ns\": %" PRIu64 "}\n", p50, quantile(v, n, 990));
	return 0;
}

/* ---- bare loops ---- */

/* Writes go round in a file that was written out before: no metadata of the file system, the least that a disk asks. */
static int bare_fsync(const char *folder, size_t n)
{
	uint64_t *v = calloc(n, sizeof(*v));
	char path[4096], page[4096] = {0};
	int fd;

	(void)snprintf(path, sizeof(path), "%s/bench-fsync", folder);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		die(path);
	for (size_t i = 0; i < FILE_PAGES; i++)
		if (write(fd, page, sizeof(page)) != sizeof(page))
			die(path);
	if (fsync(fd) < 0)
		die(path);
	for (size_t i = 0; i < n; i++) {
		uint64_t t = now_ns();

		memset(page, (int)i, sizeof(page));
		if (pwrite(fd, page, sizeof(page), (off_t)(i % FILE_PAGES * sizeof(page))) != sizeof(page) ||
		        fdatasync(fd) < 0)
			die(path);
		v[i] = now_ns() - t;
	}
	(void)unlink(path);
	(void)printf("{\"p50_ns\": %" PRIu64 "}\n", quantile(v, n, 500));
	return 0;
}

static int bare_spawn(size_t n, size_t p, char **argv)
{
	uint64_t t = now_ns();
	size_t started = 0, ended = 0;

	while (ended < n) {
		pid_t pid;

		if (started < n && started - ended < p) {
			if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0)
				die(argv[0]);
			started++;
			continue;
		}
		if (wait(NULL) < 0)
			die("wait");
		ended++;
	}
	t = now_ns() - t;
	(void)printf("{\"tasks_per_s\": %.1f}\n", (double)n * 1e9 / (double)t);
	return 0;
}

static size_t number(const char *s)
{
	return strtoull(s, NULL, 10);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (argc == 4 && !strcmp(what, "submit-one"))
		return submit_one(argv[2], number(argv[3]));
	if (argc == 6 && !strcmp(what, "submit"))
		return submit_many(argv[2], number(argv[3]), number(argv[4]), number(argv[5]));
	if (argc == 4 && !strcmp(what, "submit-array"))
		return submit_array(argv[2], argv[3]);
	if (argc == 5 && !strcmp(what, "start"))
		return start(argv[2], number(argv[3]), argv[4]);
	if (argc == 4 && !strcmp(what, "fsync"))
		return bare_fsync(argv[2], number(argv[3]));
	if (argc >= 5 && !strcmp(what, "spawn"))
		return bare_spawn(number(argv[2]), number(argv[3]), argv + 4);
	if (argc == 3 && !strcmp(what, "stamp"))
		return stamp(argv[2]);
	(void)fprintf(stderr, "usage: see the head of bench/drive.c\n");
	return 2;
}
