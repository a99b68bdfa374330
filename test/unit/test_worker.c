/* SPDX-License-Identifier: Apache-2.0 */
/* test_worker - facts about the worker library, spoken to over its socket as an engine would. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "osier/worker.h"
#include "wire/worker_msg.h"

struct rig {
	int fd;
	pid_t pid;
};

static int nothing(struct osier_task *t)
{
	(void)t;
	return 0;
}

static int square(struct osier_task *t)
{
	long i = (long)osier_task_index(t);

	return osier_return_text(t, "%ld", i * i);
}

static int odd_fails(struct osier_task *t)
{
	return osier_task_index(t) % 2 ? osier_fail(t, "task %d is odd", (int)osier_task_index(t)) : 0;
}

static int big(struct osier_task *t)
{
	size_t n = (size_t)osier_task_arg_int(t, "bytes", 0);
	char *p = osier_return_buffer(t, n);

	if (!p)
		return osier_fail(t, "no buffer");
	memset(p, 'x', n);
	return 0;
}

static int join(struct osier_task *t)
{
	char out[1000];
	size_t at = 0;

	for (size_t i = 0; i < osier_task_inputs(t); i++) {
		const void *p;
		size_t n;

		if (osier_task_input(t, i, &p, &n) < 0)
			return osier_fail(t, "input %zu", i);
		memcpy(out + at, p, n);
		at += n;
	}
	return osier_return(t, out, at);
}

static int slow(struct osier_task *t)
{
	(void)t;
	usleep(50000); /* a task that takes 50 ms of real time */
	return 0;
}

static int start(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	r->pid = fork();
	if (!r->pid) {
		if (sv[1] != WORKER_FD) {
			(void)dup2(sv[1], WORKER_FD);
			(void)close(sv[1]);
		}
		if (sv[0] != WORKER_FD)
			(void)close(sv[0]);
		(void)osier_function("nothing", nothing);
		(void)osier_function("square", square);
		(void)osier_function("odd_fails", odd_fails);
		(void)osier_function("big", big);
		(void)osier_function("join", join);
		(void)osier_function("slow", slow);
		_exit(osier_worker_run());
	}
	(void)close(sv[1]);
	r->fd = sv[0];
	*state = r;
	return 0;
}

static int stop(void **state)
{
	struct rig *r = *state;
	int status;

	(void)close(r->fd);
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	free(r);
	return 0;
}

static void say(struct rig *r, uint32_t kind, uint32_t flags, uint64_t lease, uint64_t first, uint64_t count,
        const void *body, size_t n)
{
	uint8_t p[WORKER_PACKET_MAX];
	struct worker_head h = {kind, flags, lease, first, count};

	memcpy(p, &h, sizeof(h));
	memcpy(p + sizeof(h), body, n);
	assert_int_equal(send(r->fd, p, sizeof(h) + n, 0), (ssize_t)(sizeof(h) + n));
}

static size_t text(uint8_t *at, const char *s)
{
	uint32_t n = (uint32_t)strlen(s);

	memcpy(at, &n, 4);
	memcpy(at + 4, s, n);
	return 4 + n;
}

static void batch(
        struct rig *r, uint64_t lease, uint64_t first, uint64_t count, const char *fn, const char *args)
{
	uint8_t body[1000];
	uint64_t total = 1000000;
	size_t n = 8;

	memcpy(body, &total, 8);
	n += text(body + n, fn);
	n += text(body + n, args);
	say(r, WORKER_BATCH, WORKER_LAST, lease, first, count, body, n);
}

/* One packet; the descriptor that came with it, or -1, goes to *fd. */
static size_t hear_any(struct rig *r, struct worker_head *h, uint8_t *body, int *fd)
{
	uint8_t p[WORKER_PACKET_MAX];
	union {
		char bytes[CMSG_SPACE(sizeof(int) * WORKER_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = {p, sizeof(p)};
	struct msghdr msg = {.msg_iov = &iov,
	        .msg_iovlen = 1,
	        .msg_control = control.bytes,
	        .msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(r->fd, &msg, 0);
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	assert_true(n >= (ssize_t)sizeof(*h));
	memcpy(h, p, sizeof(*h));
	memcpy(body, p + sizeof(*h), (size_t)n - sizeof(*h));
	if (fd)
		*fd = -1;
	if (fd && c)
		memcpy(fd, CMSG_DATA(c), sizeof(int));
	return (size_t)n - sizeof(*h);
}

/* The next that is not PROGRESS, which a busy machine may cause anywhere. */
static size_t hear(struct rig *r, struct worker_head *h, uint8_t *body, int *fd)
{
	size_t n;

	do
		n = hear_any(r, h, body, fd);
	while (h->kind == WORKER_PROGRESS);
	return n;
}

static void meet(struct rig *r)
{
	struct worker_head h;
	uint8_t body[WORKER_PACKET_MAX];

	(void)hear(r, &h, body, NULL);
	assert_int_equal(h.kind, WORKER_HELLO);
	assert_int_equal(h.first, WORKER_PROTOCOL);
	assert_int_equal(h.count, 6);
	assert_memory_equal(body, "\7\0\0\0nothing", 11);
}

static void empty_results_travel_without_a_body(void **state)
{
	struct rig *r = *state;
	struct worker_head h;
	uint8_t body[WORKER_PACKET_MAX];
	uint64_t at = 0, packets = 0;

	meet(r);
	batch(r, 1, 0, 100000, "nothing", "");
	while (at < 100000) {
		size_t n = hear(r, &h, body, NULL);

		assert_int_equal(h.kind, WORKER_RESULTS);
		assert_int_equal(h.first, at);
		assert_true(h.flags & WORKER_EMPTY ? n == 0 : n >= h.count * sizeof(struct worker_result));
		at += h.count;
		packets++;
	}
	assert_int_equal(at, 100000);
	assert_true(packets < 3000);
}

static void results_come_in_order_with_their_bytes(void **state)
{
	struct rig *r = *state;
	struct worker_head h;
	uint8_t body[WORKER_PACKET_MAX];
	uint64_t at = 5;

	meet(r);
	batch(r, 1, 5, 3000, "square", "");
	while (at < 3005) {
		size_t n = hear(r, &h, body, NULL), pos = 0;

		assert_int_equal(h.first, at);
		for (uint64_t i = 0; i < h.count; i++, at++) {
			struct worker_result res;
			char want[30];

			assert_true(pos + sizeof(res) <= n);
			memcpy(&res, body + pos, sizeof(res));
			(void)snprintf(want, sizeof(want), "%lu", at * at);
			assert_int_equal(res.status, WORKER_OK);
			assert_int_equal(res.length, strlen(want));
			assert_memory_equal(body + pos + sizeof(res), want, res.length);
			pos += sizeof(res) + res.length;
		}
		assert_int_equal(pos, n);
	}
}

static void failed_task_says_why_and_the_next_goes_on(void **state)
{
	struct rig *r = *state;
	struct worker_head h = {0};
	uint8_t body[WORKER_PACKET_MAX];
	struct worker_result res;

	meet(r);
	batch(r, 1, 1, 2, "odd_fails", "");
	(void)hear(r, &h, body, NULL);
	memcpy(&res, body, sizeof(res));
	assert_int_equal(res.status, WORKER_FAILED);
	assert_int_equal(res.code, 1);
	assert_memory_equal(body + sizeof(res), "task 1 is odd", 13);
	if (h.count == 1)
		(void)hear(r, &h, body, NULL);
	assert_int_equal(h.first + h.count, 3);
	batch(r, 2, 0, 1, "unknown", "");
	(void)hear(r, &h, body, NULL);
	memcpy(&res, body, sizeof(res));
	assert_int_equal(res.status, WORKER_NO_FUNCTION);
}

static void large_output_comes_as_a_descriptor(void **state)
{
	struct rig *r = *state;
	struct worker_head h;
	uint8_t body[WORKER_PACKET_MAX];
	struct worker_result res;
	int fd;

	meet(r);
	batch(r, 1, 0, 1, "big", "bytes=5000000");
	(void)hear(r, &h, body, &fd);
	memcpy(&res, body, sizeof(res));
	assert_int_equal(res.length, WORKER_OUTPUT_FILE);
	assert_true(fd >= 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 5000000);
	assert_int_equal(pread(fd, body, 1, 4999999), 1);
	assert_int_equal(body[0], 'x');
	(void)close(fd);
}

static void inputs_reach_their_task(void **state)
{
	struct rig *r = *state;
	struct worker_head h;
	uint8_t body[WORKER_PACKET_MAX], in[400];
	char path[] = "/tmp/osier-test-input-XXXXXX";
	int fd = mkstemp(path);
	size_t n = 0;

	meet(r);
	assert_int_equal(write(fd, "from a file", 11), 11);
	in[n++] = 0;
	n += text(in + n, "inline, ");
	in[n++] = 1;
	n += text(in + n, path);
	say(r, WORKER_INPUT, 0, 4, 1, 2, in, n);
	batch(r, 4, 0, 3, "join", "");
	for (uint64_t at = 0; at < 3; at += h.count) {
		size_t got = hear(r, &h, body, NULL);

		if (h.first <= 1 && h.first + h.count > 1)
			assert_non_null(memmem(body, got, "inline, from a file", 19));
	}
	(void)close(fd);
	(void)unlink(path);
}

static void resume_sends_again_what_was_not_acknowledged(void **state)
{
	struct rig *r = *state;
	struct worker_head h = {0};
	uint8_t body[WORKER_PACKET_MAX];
	uint64_t last = 0;

	meet(r);
	batch(r, 9, 0, 10, "square", "");
	while (h.first + h.count < 10)
		(void)hear(r, &h, body, NULL);
	say(r, WORKER_RESUME, 0, 9, 3, 0, "", 0);
	(void)hear(r, &h, body, NULL);
	assert_int_equal(h.kind, WORKER_RESULTS);
	assert_true(h.first <= 3);
	while (!(h.flags & WORKER_CANCELLED)) {
		last = h.first + h.count;
		(void)hear(r, &h, body, NULL);
	}
	assert_int_equal(last, 10);
	assert_int_equal(h.first, 10);
	say(r, WORKER_ACK, 0, 9, 10, 0, "", 0);
	say(r, WORKER_RESUME, 0, 9, 10, 0, "", 0);
	(void)hear(r, &h, body, NULL);
	assert_true(h.flags & WORKER_CANCELLED);
	say(r, WORKER_RESUME, 0, 77, 0, 0, "", 0);
	(void)hear(r, &h, body, NULL);
	assert_true(h.flags & WORKER_UNKNOWN);
}

static void cancel_drops_what_has_not_begun(void **state)
{
	struct rig *r = *state;
	struct worker_head h = {0};
	uint8_t body[WORKER_PACKET_MAX];
	uint64_t done = 0;

	meet(r);
	batch(r, 1, 0, 1000, "slow", "");
	(void)hear(r, &h, body, NULL);
	assert_int_equal(h.count, 1); /* a slow task's result does not wait for the next */
	done = h.count;
	say(r, WORKER_CANCEL, 0, 1, 0, 0, "", 0);
	for (;;) {
		(void)hear(r, &h, body, NULL);
		if (h.kind == WORKER_RESULTS && (h.flags & WORKER_CANCELLED))
			break;
		if (h.kind == WORKER_RESULTS)
			done = h.first + h.count;
	}
	assert_int_equal(h.first, done);
	assert_true(done < 10);
}

#define RIG(t) cmocka_unit_test_setup_teardown(t, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        RIG(empty_results_travel_without_a_body),
	        RIG(results_come_in_order_with_their_bytes),
	        RIG(failed_task_says_why_and_the_next_goes_on),
	        RIG(large_output_comes_as_a_descriptor),
	        RIG(inputs_reach_their_task),
	        RIG(resume_sends_again_what_was_not_acknowledged),
	        RIG(cancel_drops_what_has_not_begun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
