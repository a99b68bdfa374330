/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker - serves the engine: reads batches, runs functions, hands results to the outbox. See osier/worker.h.
 *
 * The main thread runs user code; it looks at the socket when it has nothing to run and at most every LOOK_NS between tasks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#define LOOK_NS 1000000ull

struct osier_task {
	uint64_t lease, index, total;
	const char *args;
	size_t args_n;
	char *parsed; /* copy of args cut into key\0value\0 */
	size_t parsed_n;
	struct input *inputs;
	size_t n_inputs;
	uint8_t *out;
	size_t out_n, out_room;
	int file; /* output file, -1 none */
	void *map;
	size_t map_n;
	char why[512];
};

static struct {
	const char *name;
	osier_fn fn;
} functions[WORKER_FUNCTIONS_MAX];
static size_t n_functions;
static struct queue queue;
static uint64_t last_lease, last_next; /* the lease in hand, and its next index that was not run */

uint64_t mono_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void *must_alloc(size_t n)
{
	void *p = malloc(n);

	if (!p) {
		(void)fprintf(stderr, "osier worker: out of memory\n");
		_exit(70);
	}
	return p;
}

int osier_function(const char *name, osier_fn fn)
{
	if (n_functions == WORKER_FUNCTIONS_MAX)
		return -1;
	functions[n_functions].name = name;
	functions[n_functions++].fn = fn;
	return 0;
}

static osier_fn find(const char *name)
{
	for (size_t i = 0; i < n_functions; i++)
		if (!strcmp(functions[i].name, name))
			return functions[i].fn;
	return NULL;
}

/* ---- what a function may ask and say ---- */

uint64_t osier_task_index(const struct osier_task *t)
{
	return t->index;
}

uint64_t osier_task_count(const struct osier_task *t)
{
	return t->total;
}

uint64_t osier_task_attempt(const struct osier_task *t)
{
	return t->lease;
}

const char *osier_task_args(const struct osier_task *t, size_t *out_n)
{
	if (out_n)
		*out_n = t->args_n;
	return t->args;
}

const char *osier_task_arg(const struct osier_task *t, const char *key)
{
	struct osier_task *w = (struct osier_task *)(uintptr_t)t;
	size_t n = strlen(key);

	if (!w->parsed) {
		w->parsed = must_alloc(t->args_n + 2);
		memcpy(w->parsed, t->args, t->args_n);
		w->parsed[t->args_n] = w->parsed[t->args_n + 1] = '\0';
		w->parsed_n = t->args_n;
		for (size_t i = 0; i < t->args_n; i++)
			if (strchr(" \t\n", w->parsed[i]))
				w->parsed[i] = '\0';
	}
	for (const char *p = w->parsed; p < w->parsed + w->parsed_n; p += strlen(p) + 1)
		if (!strncmp(p, key, n) && p[n] == '=')
			return p + n + 1;
	return NULL;
}

int64_t osier_task_arg_int(const struct osier_task *t, const char *key, int64_t otherwise)
{
	const char *text = osier_task_arg(t, key);
	char *end;
	long long v;

	if (!text || !*text)
		return otherwise;
	v = strtoll(text, &end, 10);
	return *end ? otherwise : v;
}

size_t osier_task_inputs(const struct osier_task *t)
{
	return t->n_inputs;
}

static int map_input(struct input *in)
{
	struct stat st;
	int fd = open(in->path, O_RDONLY | O_CLOEXEC);
	void *p = NULL;

	if (fd < 0 || fstat(fd, &st) < 0)
		goto fail;
	if (st.st_size) {
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (p == MAP_FAILED)
			goto fail;
		in->mapped = true;
	} else {
		p = must_alloc(1);
	}
	in->bytes = p;
	in->n = (size_t)st.st_size;
	(void)close(fd);
	return 0;
fail:
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

int osier_task_input(struct osier_task *t, size_t i, const void **out, size_t *out_n)
{
	struct input *in = t->inputs;

	while (in && i--)
		in = in->next;
	if (!in || (!in->bytes && map_input(in) < 0))
		return -1;
	*out = in->bytes;
	*out_n = in->n;
	return 0;
}

static void drop_output(struct osier_task *t)
{
	if (t->map)
		(void)munmap(t->map, t->map_n);
	if (t->file >= 0)
		(void)close(t->file);
	t->map = NULL;
	t->file = -1;
	t->out_n = 0;
}

void *osier_return_buffer(struct osier_task *t, size_t n)
{
	const char *dir = getenv("OSIER_SCRATCH");
	void *p;
	int fd;

	drop_output(t);
	if (!n)
		return NULL;
	fd = open(dir && *dir ? dir : ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = memfd_create("osier-output", MFD_CLOEXEC);
	if (fd < 0)
		return NULL;
	/* Reserve the room now: a full disk must be an error here, not a SIGBUS later. */
	if (posix_fallocate(fd, 0, (off_t)n) != 0)
		goto fail;
	p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		goto fail;
	t->file = fd;
	t->map = p;
	t->map_n = n;
	return p;
fail:
	(void)close(fd);
	return NULL;
}

int osier_return(struct osier_task *t, const void *p, size_t n)
{
	if (n > WORKER_INLINE_MAX) {
		void *to = osier_return_buffer(t, n);

		if (!to)
			return -1;
		memcpy(to, p, n);
		return 0;
	}
	drop_output(t);
	if (n > t->out_room) {
		uint8_t *bigger = realloc(t->out, WORKER_INLINE_MAX);

		if (!bigger)
			return -1;
		t->out = bigger;
		t->out_room = WORKER_INLINE_MAX;
	}
	if (n)
		memcpy(t->out, p, n);
	t->out_n = n;
	return 0;
}

int osier_return_text(struct osier_task *t, const char *fmt, ...)
{
	char small[512], *big;
	va_list ap;
	int n, r;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n < 0)
		return -1;
	if ((size_t)n < sizeof(small))
		return osier_return(t, small, (size_t)n);
	big = malloc((size_t)n + 1);
	if (!big)
		return -1;
	va_start(ap, fmt);
	(void)vsnprintf(big, (size_t)n + 1, fmt, ap);
	va_end(ap);
	r = osier_return(t, big, (size_t)n);
	free(big);
	return r;
}

int osier_fail(struct osier_task *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(t->why, sizeof(t->why), fmt, ap);
	va_end(ap);
	return 1;
}

/* ---- running ---- */

static uint32_t microseconds(uint64_t ns)
{
	uint64_t us = ns / 1000;

	return us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

/* One task; its result goes to the outbox. `began` is when it began; returns when it ended. */
static uint64_t run_one(struct osier_task *t, osier_fn fn, const char *name, uint64_t began)
{
	struct worker_result r = {0};
	const void *bytes = NULL;
	uint64_t cpu = 0, ended;
	static uint64_t slow; /* was the last one long enough to be worth a look at its CPU time? */
	int code;

	t->file = -1;
	t->why[0] = '\0';
	if (slow)
		cpu = cpu_ns();
	code = fn ? fn(t) : osier_fail(t, "this worker has no function '%s'", name);
	ended = mono_ns();
	r.wall_us = microseconds(ended - began);
	r.cpu_us = slow ? microseconds(cpu_ns() - cpu) : r.wall_us;
	slow = ended - began > 20000;
	if (code) {
		drop_output(t);
		r.status = fn ? WORKER_FAILED : WORKER_NO_FUNCTION;
		r.code = (uint8_t)(code < 0 || code > 255 ? 1 : code);
		bytes = t->why;
		r.length = (uint32_t)strlen(t->why);
	} else if (t->file >= 0) {
		(void)munmap(t->map, t->map_n);
		t->map = NULL;
		r.length = WORKER_OUTPUT_FILE;
	} else {
		bytes = t->out;
		r.length = (uint32_t)t->out_n;
	}
	outbox_result(t->lease, t->index, &r, bytes, t->file, ended);
	t->file = -1;
	t->out_n = 0;
	return ended;
}

static int take(const uint8_t *p, size_t n)
{
	struct worker_head h;
	uint64_t at;

	if (n < sizeof(h))
		return -1;
	memcpy(&h, p, sizeof(h));
	switch (h.kind) {
	case WORKER_BATCH:
		if (h.lease != last_lease || !queue.head)
			last_next = h.first;
		last_lease = h.lease;
		return queue_batch(&queue, p, n);
	case WORKER_INPUT:
		return queue_input(&queue, p, n);
	case WORKER_ACK:
		outbox_ack(h.lease, h.first);
		return 0;
	case WORKER_CANCEL:
	case WORKER_RESUME:
		at = queue_cancel(&queue, h.lease);
		if (h.kind == WORKER_RESUME)
			outbox_resume(h.lease, h.first);
		outbox_send(WORKER_RESULTS, h.lease == last_lease ? WORKER_CANCELLED : WORKER_UNKNOWN,
		        h.lease, at == UINT64_MAX ? last_next : at, 0);
		return 0;
	}
	return -1;
}

/* Read what there is; wait for something when `wait`. */
static void look(bool wait)
{
	static uint8_t packet[WORKER_PACKET_MAX];
	ssize_t n;

	for (;;) {
		n = recv(WORKER_FD, packet, sizeof(packet), wait ? 0 : MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n <= 0)
			_exit(0); /* osier has no more work for us */
		if (take(packet, (size_t)n) < 0) {
			(void)fprintf(
			        stderr, "osier worker: cannot read a message of osier's; versions differ?\n");
			_exit(70);
		}
		wait = false;
	}
}

static void run_task(struct batch *b, osier_fn fn, uint64_t *now)
{
	static struct osier_task t;
	static uint64_t last_took;
	static char *args;
	static size_t args_room;
	const char *text;
	size_t n;
	uint64_t began = *now;

	if (batch_arg(b, &text, &n) < 0)
		_exit(70);
	if (n + 1 > args_room) {
		free(args);
		args_room = n + 4096;
		args = must_alloc(args_room);
	}
	memcpy(args, text, n);
	args[n] = '\0';
	t.lease = b->head.lease;
	t.index = b->next++;
	t.total = b->total;
	t.args = args;
	t.args_n = n;
	last_next = b->next;
	if (queue.inputs)
		t.inputs = queue_take_inputs(&queue, t.lease, t.index, &t.n_inputs);
	if ((b->head.flags & WORKER_TELL) || last_took > 1000000u)
		outbox_send(WORKER_PROGRESS, 0, t.lease, t.index, 0);
	*now = run_one(&t, fn, b->function, began);
	last_took = *now - began;
	inputs_free(t.inputs);
	free(t.parsed);
	t.inputs = NULL;
	t.n_inputs = 0;
	t.parsed = NULL;
}

static void serve(void)
{
	uint64_t looked = 0, now = mono_ns();

	for (;;) {
		struct batch *b = queue.head;

		if (!b) {
			outbox_flush();
			look(true);
			looked = now = mono_ns();
			continue;
		}
		if (!b->looked_up) {
			b->fn = find(b->function);
			b->looked_up = true;
		}
		run_task(b, b->fn, &now);
		if (b->next == b->head.first + b->head.count)
			queue_pop(&queue);
		if (now - looked >= LOOK_NS) {
			look(false); /* may cancel what waits */
			looked = now;
		}
	}
}

static void hello(void)
{
	uint8_t packet[WORKER_PACKET_MAX];
	struct worker_head h = {.kind = WORKER_HELLO, .first = WORKER_PROTOCOL, .count = n_functions};
	size_t at = sizeof(h);

	memcpy(packet, &h, sizeof(h));
	for (size_t i = 0; i < n_functions; i++) {
		uint32_t n = (uint32_t)strnlen(functions[i].name, 255);

		memcpy(packet + at, &n, sizeof(n));
		memcpy(packet + at + sizeof(n), functions[i].name, n);
		at += sizeof(n) + n;
	}
	if (send(WORKER_FD, packet, at, MSG_NOSIGNAL) < 0)
		_exit(0);
}

int osier_worker_run(void)
{
	int type = 0;
	socklen_t n = sizeof(type);

	if (getsockopt(WORKER_FD, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || type != SOCK_SEQPACKET) {
		(void)fprintf(stderr,
		        "this is an osier worker: osier starts it (a step with 'worker:' in a job file)\n");
		return 2;
	}
	(void)fcntl(WORKER_FD, F_SETFD, FD_CLOEXEC);
	queue_init(&queue);
	outbox_init(WORKER_FD);
	hello();
	serve();
	return 0;
}

/* `--call NAME INDEX [ARGS] [INPUT FILE ...]`: one task by hand, for trying out and for debuggers. */
static int call(int argc, char **argv)
{
	struct osier_task t = {.total = 1, .file = -1, .lease = 1};
	struct input inputs[16] = {{0}};
	osier_fn fn = find(argv[0]);
	int code;

	if (!fn) {
		(void)fprintf(stderr, "no function '%s' here\n", argv[0]);
		return 2;
	}
	t.index = strtoull(argv[1], NULL, 10);
	t.args = argc > 2 ? argv[2] : "";
	t.args_n = strlen(t.args);
	for (int i = 3; i < argc && i - 3 < 16; i++) {
		inputs[i - 3].path = argv[i];
		if (i > 3)
			inputs[i - 4].next = &inputs[i - 3];
		t.inputs = inputs;
		t.n_inputs++;
	}
	code = fn(&t);
	if (code)
		(void)fprintf(stderr, "failed with %d: %s\n", code, t.why);
	else if (t.map)
		(void)fwrite(t.map, 1, t.map_n, stdout);
	else
		(void)fwrite(t.out, 1, t.out_n, stdout);
	drop_output(&t);
	free(t.out);
	return code;
}

int osier_worker_main(int argc, char **argv)
{
	if (argc >= 4 && !strcmp(argv[1], "--call"))
		return call(argc - 2, argv + 2);
	return osier_worker_run();
}
