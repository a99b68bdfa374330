/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire - a cable between two network namespaces that can be slow, lossy, narrow or cut. For tests.
 *
 *	wire NETNS INTERFACE NETNS INTERFACE [SEED]
 *
 * Makes a TAP interface in each and carries Ethernet frames between them. Why not tc netem: many kernels are built without it, and
 * a cable of our own has one seed and can be cut in one direction. Commands on the standard input, a line each, hold for both
 * directions, or with `>` (first to second) or `<` before them for one:
 *
 *	delay MS [JITTER_MS]   loss PERCENT   rate KBIT (0: any)   twice PERCENT   cut   heal   count
 *
 * Each is answered by `ok`, `count` by frames and bytes that arrived each way. Ends with its input. Jitter reorders frames, as on real
 * paths. A queue holds QUEUE_MAX frames; more are lost, as at a router. Single-threaded.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX 65536u
#define QUEUE_MAX 8192u

struct frame {
	uint64_t due_ns, order;
	size_t n;
	uint8_t *bytes;
};

struct way {
	int in, out;
	uint64_t delay_ns, jitter_ns, bits_per_s, free_ns; /* free_ns: when the cable has sent what it took */
	double loss, twice;
	bool cut;
	uint64_t frames, bytes;
	struct frame heap[QUEUE_MAX]; /* by due_ns, then order */
	size_t n;
	uint64_t order;
};

static struct way ways[2];
static uint64_t seed = 88172645463325252ull;

static double chance(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (double)(seed >> 11) / (double)(1ull << 53);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what, const char *name)
{
	(void)fprintf(stderr, "wire: %s '%s': %s\n", what, name, strerror(errno));
	exit(1);
}

static int tap(const char *netns, const char *name)
{
	char path[256];
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int ns, fd;

	(void)snprintf(path, sizeof(path), "/var/run/netns/%s", netns);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	if (ns < 0 || setns(ns, CLONE_NEWNET) < 0)
		die("cannot enter namespace", netns);
	(void)close(ns);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		die("cannot open", "/dev/net/tun");
	(void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &r) < 0)
		die("cannot make interface", name);
	return fd;
}

/* ---- the queue of one way ---- */

static bool before(const struct frame *a, const struct frame *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void push(struct way *w, struct frame f)
{
	size_t i = w->n++;

	for (; i > 0 && before(&f, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = f;
}

static struct frame pop(struct way *w)
{
	struct frame top = w->heap[0], last = w->heap[--w->n];
	size_t i = 0, k;

	while ((k = 2 * i + 1) < w->n) {
		if (k + 1 < w->n && before(&w->heap[k + 1], &w->heap[k]))
			k++;
		if (!before(&w->heap[k], &last))
			break;
		w->heap[i] = w->heap[k];
		i = k;
	}
	w->heap[i] = last;
	return top;
}

static void enqueue(struct way *w, const uint8_t *bytes, size_t n)
{
	uint64_t now = now_ns(), at = w->free_ns > now ? w->free_ns : now;
	struct frame f = {.order = w->order++, .n = n};

	if (w->n == QUEUE_MAX)
		return;
	if (w->bits_per_s)
		at += n * 8u * 1000000000ull / w->bits_per_s;
	w->free_ns = at;
	f.due_ns = at + w->delay_ns + (uint64_t)(chance() * (double)w->jitter_ns);
	f.bytes = malloc(n);
	if (!f.bytes)
		abort();
	memcpy(f.bytes, bytes, n);
	push(w, f);
}

static void take(struct way *w)
{
	static uint8_t buf[FRAME_MAX];

	for (int i = 0; i < 64; i++) {
		ssize_t n = read(w->in, buf, sizeof(buf));

		if (n <= 0)
			return;
		if (w->cut || chance() < w->loss)
			continue;
		enqueue(w, buf, (size_t)n);
		if (chance() < w->twice)
			enqueue(w, buf, (size_t)n);
	}
}

static void give(struct way *w, uint64_t now)
{
	while (w->n && w->heap[0].due_ns <= now) {
		struct frame f = pop(w);

		if (!w->cut && write(w->out, f.bytes, f.n) == (ssize_t)f.n) {
			w->frames++;
			w->bytes += f.n;
		}
		free(f.bytes);
	}
}

/* ---- commands ---- */

static bool obey(struct way *w, const char *line)
{
	double a = 0, b = 0;

	if (sscanf(line, "delay %lf %lf", &a, &b) >= 1) {
		w->delay_ns = (uint64_t)(a * 1e6);
		w->jitter_ns = (uint64_t)(b * 1e6);
	} else if (sscanf(line, "loss %lf", &a) == 1) {
		w->loss = a / 100;
	} else if (sscanf(line, "twice %lf", &a) == 1) {
		w->twice = a / 100;
	} else if (sscanf(line, "rate %lf", &a) == 1) {
		w->bits_per_s = (uint64_t)(a * 1000);
	} else if (strcmp(line, "cut") == 0) {
		w->cut = true;
	} else if (strcmp(line, "heal") == 0) {
		w->cut = false;
	} else {
		return false;
	}
	return true;
}

static void command(const char *line)
{
	bool first = *line != '<', second = *line != '>';
	const char *words = line + strspn(line, "<> ");

	if (strcmp(words, "count") == 0) {
		(void)printf("%llu %llu %llu %llu\n", (unsigned long long)ways[0].frames,
		        (unsigned long long)ways[0].bytes, (unsigned long long)ways[1].frames,
		        (unsigned long long)ways[1].bytes);
	} else if ((!first || obey(&ways[0], words)) && (!second || obey(&ways[1], words))) {
		(void)printf("ok\n");
	} else {
		(void)printf("error: what is '%s'?\n", line);
	}
	(void)fflush(stdout);
}

/* Whole lines of the standard input; false at its end. */
static bool listen_to(void)
{
	static char buf[4096];
	static size_t have;
	ssize_t n = read(0, buf + have, sizeof(buf) - 1 - have);
	char *line = buf, *end;

	if (n <= 0)
		return false;
	have += (size_t)n;
	buf[have] = '\0';
	for (; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		command(line);
	}
	have = strlen(line);
	memmove(buf, line, have + 1);
	return have < sizeof(buf) - 1;
}

static int wait_ms(uint64_t now)
{
	uint64_t due = UINT64_MAX;

	for (int i = 0; i < 2; i++)
		if (ways[i].n && ways[i].heap[0].due_ns < due)
			due = ways[i].heap[0].due_ns;
	if (due == UINT64_MAX)
		return -1;
	return due <= now ? 0 : (int)((due - now + 999999) / 1000000);
}

int main(int argc, char **argv)
{
	struct pollfd p[3] = {{.fd = 0, .events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};

	if (argc < 5 || argc > 6) {
		(void)fprintf(stderr, "usage: wire NETNS INTERFACE NETNS INTERFACE [SEED]\n");
		return 2;
	}
	if (argc == 6)
		seed ^= strtoull(argv[5], NULL, 10) * 0x9e3779b97f4a7c15ull;
	ways[0].in = ways[1].out = p[1].fd = tap(argv[1], argv[2]);
	ways[1].in = ways[0].out = p[2].fd = tap(argv[3], argv[4]);
	(void)printf("ready\n");
	(void)fflush(stdout);
	for (;;) {
		if (poll(p, 3, wait_ms(now_ns())) < 0 && errno != EINTR)
			die("cannot wait for", "frames");
		if (p[0].revents && !listen_to())
			return 0;
		take(&ways[0]);
		take(&ways[1]);
		give(&ways[0], now_ns());
		give(&ways[1], now_ns());
	}
}
