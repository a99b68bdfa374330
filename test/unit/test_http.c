/* SPDX-License-Identifier: Apache-2.0 */
/* test_http - facts about asking strangers: each way to misbehave is an error of its own kind, within its time and its bytes. */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "io/http.h"

/* A server that accepts one connection after another, reads the request's head, writes `reply` `times` times, and then closes or waits. */
static struct {
	int fd, port;
	const char *reply;
	unsigned times;
	bool wait;     /* does not close before the client does */
	bool hangs_up; /* whatever comes first */
	char request[4096];
	pthread_t thread;
	unsigned connections;
} server;

static void *serve(void *ctx)
{
	(void)ctx;
	for (;;) {
		int fd = accept(server.fd, NULL, NULL);
		size_t n = 0;
		ssize_t got = 0;

		if (fd < 0)
			return NULL;
		server.connections++;
		while (n < sizeof(server.request) - 1 && !(server.hangs_up && n) &&
		        !memmem(server.request, n, "\r\n\r\n", 4) &&
		        (got = read(fd, server.request + n, sizeof(server.request) - 1 - n)) > 0)
			n += (size_t)got;
		server.request[n] = '\0';
		for (unsigned i = 0; i < server.times; i++)
			if (send(fd, server.reply, strlen(server.reply), MSG_NOSIGNAL) < 0)
				break;
		if (server.wait)
			(void)read(fd, server.request + n, sizeof(server.request) - 1 - n);
		(void)close(fd);
	}
}

static int start(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);

	(void)state;
	server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server.fd < 0 || bind(server.fd, (struct sockaddr *)&at, n) < 0 || listen(server.fd, 16) < 0 ||
	        getsockname(server.fd, (struct sockaddr *)&at, &n) < 0)
		return -1;
	server.port = ntohs(at.sin_port);
	return pthread_create(&server.thread, NULL, serve, NULL);
}

static int stop(void **state)
{
	(void)state;
	(void)shutdown(server.fd, SHUT_RDWR);
	return pthread_join(server.thread, NULL);
}

static struct http_answer answer;
static char body[2048];
static int stop_fd = -1;

static int ask(const char *reply, unsigned times, bool wait, struct err *e)
{
	struct http_options o = {.timeout_ns = 400000000, .answer_max = 1000, .stop_fd = stop_fd};
	struct http_request r = {.method = HTTP_POST, .type = "text/plain", .body = "hello", .body_n = 5};
	char url[80];
	struct http *h;
	int rc;

	server.reply = reply;
	server.times = times;
	server.wait = wait;
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/secret", server.port);
	r.url = url;
	assert_int_equal(http_new(&o, &h, e), 0);
	rc = http_ask(h, &r, &answer, e);
	if (rc == 0) {
		if (answer.body_n)
			memcpy(body, answer.body, answer.body_n);
		body[answer.body_n] = '\0';
	} else {
		assert_null(strstr(e->msg, "secret"));
	}
	http_free(h);
	return rc;
}

static void an_answer_has_a_status_and_a_body(void **state)
{
	struct err e = {0};

	(void)state;
	assert_int_equal(ask("HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nnever", 1, false, &e), 0);
	assert_int_equal(answer.status, 404);
	assert_string_equal(body, "never");
	assert_non_null(strstr(server.request, "POST /secret HTTP/1.1\r\n"));
	assert_non_null(strstr(server.request, "Content-Length: 5\r\n"));
	assert_null(strstr(server.request, "Expect"));
	assert_int_equal(ask("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 1,
	                         false, &e),
	        0);
	assert_string_equal(body, "abc");
}

static void redirects_are_answers(void **state)
{
	struct err e = {0};
	unsigned before = server.connections;

	(void)state;
	assert_int_equal(
	        ask("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", 1, false, &e),
	        0);
	assert_int_equal(answer.status, 302);
	assert_int_equal(server.connections, before + 1);
}

static void misbehaviour_is_told_apart(void **state)
{
	static const struct {
		const char *reply;
		unsigned times;
		bool wait;
		enum err_code code;
	} way[] = {{"", 0, true, ERR_TIMEOUT},
	        {"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nx", 1, true, ERR_TIMEOUT},
	        {"", 0, false, ERR_CLOSED},
	        {"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nx", 1, false, ERR_CLOSED},
	        {"what?\r\n\r\n", 1, false, ERR_CORRUPT},
	        {"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nx", 1, true, ERR_TIMEOUT},
	        {"HTTP/1.1 200 OK\r\n\r\n0123456789012345678901234567890123456789", 1000, false, ERR_FULL},
	        {"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n", 20000, true, ERR_FULL}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(way); i++) {
		struct err e = {0};

		if (ask(way[i].reply, way[i].times, way[i].wait, &e) == 0 || e.code != way[i].code)
			fail_msg("way %zu is told as %s: %s", i, err_code_name(e.code), e.msg);
	}
}

/* A hub that is killed while it greets says nothing about certificates. */
static void who_hangs_up_while_tls_begins_may_answer_yet(void **state)
{
	struct http_options o = {.timeout_ns = 4000000000, .answer_max = 1000, .stop_fd = -1};
	struct http_request r = {.method = HTTP_GET};
	struct err e = {0};
	char url[80];
	struct http *h;

	(void)state;
	server.times = 0;
	server.wait = false;
	server.hangs_up = true;
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%d/", server.port);
	r.url = url;
	assert_int_equal(http_new(&o, &h, &e), 0);
	assert_int_equal(http_ask(h, &r, &answer, &e), -1);
	server.hangs_up = false;
	if (e.code != ERR_CLOSED)
		fail_msg("%s: %s", err_code_name(e.code), e.msg);
	http_free(h);
}

static void nobody_there_is_told(void **state)
{
	struct http_options o = {.timeout_ns = 400000000, .answer_max = 1000, .stop_fd = -1};
	struct http_request r = {.method = HTTP_GET, .url = "http://127.0.0.1:1/"};
	struct err e = {0};
	struct http *h;

	(void)state;
	assert_int_equal(http_new(&o, &h, &e), 0);
	assert_int_equal(http_ask(h, &r, &answer, &e), -1);
	assert_int_equal(e.code, ERR_CLOSED);
	r.url = "file:///etc/passwd";
	assert_int_equal(http_ask(h, &r, &answer, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	http_free(h);
}

static void who_waits_can_be_stopped(void **state)
{
	struct err e = {0};

	(void)state;
	stop_fd = eventfd(1, EFD_CLOEXEC);
	assert_true(stop_fd >= 0);
	assert_int_equal(ask("", 0, true, &e), -1);
	assert_int_equal(e.code, ERR_CLOSED);
	assert_non_null(strstr(e.msg, "stopped"));
	(void)close(stop_fd);
	stop_fd = -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(an_answer_has_a_status_and_a_body),
	        cmocka_unit_test(redirects_are_answers), cmocka_unit_test(misbehaviour_is_told_apart),
	        cmocka_unit_test(nobody_there_is_told),
	        cmocka_unit_test(who_hangs_up_while_tls_begins_may_answer_yet),
	        cmocka_unit_test(who_waits_can_be_stopped)};

	(void)setenv("no_proxy", "127.0.0.1", 1);
	return cmocka_run_group_tests(tests, start, stop);
}
