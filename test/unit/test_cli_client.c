/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cli_client - facts about the HTTP client, against a server in a child process that says prepared bytes.
 *
 * The server reads one request's head, sends the next piece of its script, and so on. In a script "|" waits until the
 * client has read all so far, "%" for SIGUSR1, "^" closes the connection and waits for the next one.
 */
#include <linux/sockios.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/client.h"

static char folder[64], path[128];
static pid_t server;

/* Read to the empty line that ends a request's head; false at the end of the connection. */
static int read_request(int fd)
{
	char c;
	int n = 0;

	while (n < 4) {
		if (read(fd, &c, 1) != 1)
			return 0;
		n = c == (n % 2 ? '\n' : '\r') ? n + 1 : c == '\r';
	}
	return 1;
}

static void until_read(int fd)
{
	int left;

	while (ioctl(fd, SIOCOUTQ, &left) == 0 && left > 0)
		(void)sched_yield();
}

static void serve(const char *const *script, int listener)
{
	sigset_t go;
	int fd = -1, sig;

	(void)sigemptyset(&go);
	(void)sigaddset(&go, SIGUSR1);

	for (; *script; script++) {
		const char *s = *script;

		while (fd < 0 || !read_request(fd)) {
			if (fd >= 0)
				(void)close(fd);
			fd = accept(listener, NULL, NULL);
			if (fd < 0)
				_exit(1);
		}
		while (*s) {
			size_t n = strcspn(s, "|^%");

			if (n && write(fd, s, n) != (ssize_t)n)
				_exit(1);
			s += n;
			if (*s == '|')
				until_read(fd);
			if (*s == '%')
				(void)sigwait(&go, &sig);
			if (*s == '^') {
				(void)close(fd);
				fd = -1;
			}
			s += *s != '\0';
		}
	}
	_exit(0);
}

static void start(const char *const *script)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)unlink(path);
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%.100s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	server = fork();
	if (server == 0)
		serve(script, fd);
	(void)close(fd);
}

static struct client *opened(const char *const *script)
{
	struct client *c = NULL;
	struct err e;

	start(script);
	assert_int_equal(client_open(path, &c, &e), 0);
	return c;
}

static void finish(struct client *c)
{
	client_close(c);
	(void)kill(server, SIGKILL);
	(void)waitpid(server, NULL, 0);
}

static void expect(struct client *c, int status, const char *body)
{
	struct response r;
	struct err e = {0};

	if (client_call(c, "GET", "/x", NULL, NULL, 0, &r, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(r.status, status);
	assert_string_equal(text_str(&r.body), body);
	response_release(&r);
}

static void expect_error(struct client *c, enum err_code code)
{
	struct response r;
	struct err e = {0};

	assert_int_equal(client_call(c, "GET", "/x", NULL, NULL, 0, &r, &e), -1);
	assert_int_equal(e.code, code);
	assert_true(e.msg[0] != '\0');
}

static void bodies_come_by_length_in_chunks_or_to_the_end(void **state)
{
	static const char *const script[] = {
	        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	        "HTTP/1.1 404 Not Found\r\ncontent-length:|2\r|\n\r\n{|}",
	        "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
	        "chunked\r\n\r\n3\r\nabc\r\n|1|0;x=y\r\n0123456789|abcdef\r|\n0\r\n\r\n",
	        "HTTP/1.1 204 No Content\r\n\r\n",
	        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!",
	        "HTTP/1.1 200 OK\r\n\r\nuntil| the end^",
	        NULL,
	};
	struct client *c = opened(script);

	(void)state;
	expect(c, 200, "hello");
	expect(c, 404, "{}");
	expect(c, 200, "abc0123456789abcdef");
	expect(c, 204, "");
	expect(c, 200, "!");
	expect(c, 200, "until the end");
	finish(c);
}

static void kept_connection_that_was_closed_is_opened_again(void **state)
{
	static const char *const script[] = {
	        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none^",
	        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\ntwo^",
	        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthree",
	        NULL,
	};
	struct client *c = opened(script);

	(void)state;
	expect(c, 200, "one");
	expect(c, 200, "two");
	expect(c, 200, "three");
	finish(c);
}

static void post_without_a_key_is_never_repeated(void **state)
{
	static const char *const script[] = {
	        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none^",
	        "HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\ntwo",
	        NULL,
	};
	struct client *c = opened(script);
	struct response r;
	struct err e;

	(void)state;
	expect(c, 200, "one");
	assert_int_equal(client_call(c, "POST", "/v1/jobs", NULL, "x", 1, &r, &e), -1);
	assert_int_equal(e.code, ERR_CLOSED);
	assert_int_equal(client_call(c, "POST", "/v1/jobs?key=k", NULL, "x", 1, &r, &e), 0);
	assert_int_equal(r.status, 201);
	response_release(&r);
	finish(c);
}

static void broken_answers_are_errors(void **state)
{
	static const char *const script[] = {
	        "SSH-2.0-x\r\n\r\n^",
	        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort^",
	        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n^",
	        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n^",
	        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n^",
	        "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n^",
	        NULL,
	};
	struct client *c = opened(script);

	(void)state;
	expect_error(c, ERR_CORRUPT);
	expect_error(c, ERR_CLOSED);
	expect_error(c, ERR_CORRUPT);
	expect_error(c, ERR_CORRUPT);
	expect_error(c, ERR_CORRUPT);
	expect_error(c, ERR_CORRUPT);
	finish(c);
}

static void endless_header_is_refused(void **state)
{
	char *line = malloc(70000);
	const char *script[] = {line, NULL};
	struct client *c;

	(void)state;
	memset(line, 'a', 69999);
	line[69999] = '\0';
	memcpy(line, "HTTP/1.1 200 OK\r\nX:", 19);
	c = opened(script);
	expect_error(c, ERR_CORRUPT);
	finish(c);
	free(line);
}

static void events_are_put_together_from_pieces(void **state)
{
	static const char *const script[] = {
	        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	        "19\r\nevent: progress\ndata: {1}\r|\n3\r\n\n\n:\r\nd\r\n comment\ndata\r\n|d\r\n: a\ndata: "
	        "b\n\n\r\n"
	        "16\r\nevent: end\ndata:last\n\n\r\n0\r\n\r\n",
	        NULL,
	};
	struct client *c = opened(script);
	struct response r = {0};
	struct event ev;
	struct err e = {0};

	(void)state;
	assert_int_equal(client_stream(c, "/x", 0, &r, &e), 0);
	assert_int_equal(client_event(c, UINT64_MAX, &ev, &e), STREAM_EVENT);
	assert_string_equal(ev.name, "progress");
	assert_string_equal(ev.data, "{1}");
	assert_int_equal(client_event(c, UINT64_MAX, &ev, &e), STREAM_EVENT);
	assert_string_equal(ev.name, "message");
	assert_string_equal(ev.data, "a\nb");
	assert_int_equal(client_event(c, UINT64_MAX, &ev, &e), STREAM_EVENT);
	assert_string_equal(ev.name, "end");
	assert_string_equal(ev.data, "last");
	assert_int_equal(client_event(c, UINT64_MAX, &ev, &e), STREAM_END);
	finish(c);
}

static void waiting_for_an_event_can_time_out_anywhere(void **state)
{
	static const char *const script[] = {
	        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%"
	        "9\r\ndata: 1\n\n\r\n%" /* between chunks */
	        "9%\r\ndata: 2%\n\n\r%\n9\r\ndata: 3\n\n\r\n^",
	        NULL,
	};
	struct client *c = opened(script);
	struct response r = {0};
	struct event ev;
	struct err e = {0};
	enum stream_result got;
	int timeouts = 0, events = 0;

	(void)state;
	assert_int_equal(client_stream(c, "/x", 0, &r, &e), 0);
	while ((got = client_event(c, 1000000, &ev, &e)) != STREAM_FAILED) {
		assert_true(got == STREAM_TIMEOUT || got == STREAM_EVENT);
		if (got == STREAM_EVENT)
			assert_int_equal(ev.data[0] - '0', ++events);
		else
			assert_int_equal(kill(server, SIGUSR1), 0);
		timeouts += got == STREAM_TIMEOUT;
	}
	assert_int_equal(events, 3);
	assert_true(timeouts >= 5);
	assert_int_equal(e.code, ERR_CLOSED);
	finish(c);
}

static void refused_stream_gives_its_answer(void **state)
{
	static const char *const script[] = {"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", NULL};
	struct client *c = opened(script);
	struct response r = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(client_stream(c, "/x", 0, &r, &e), -1);
	assert_int_equal(r.status, 404);
	assert_string_equal(text_str(&r.body), "{}");
	response_release(&r);
	finish(c);
}

static void nobody_listening_is_told_apart(void **state)
{
	struct client *c = NULL;
	struct err e = {0};
	char deep[512];

	(void)state;
	(void)unlink(path);
	assert_int_equal(client_open(path, &c, &e), -1);
	assert_int_equal(e.code, ERR_CLOSED);
	(void)snprintf(deep, sizeof(deep), "%s/%0200d/api.sock", folder, 7);
	assert_int_equal(client_open(deep, &c, &e), -1);
	assert_int_equal(e.code, ERR_CLOSED);
}

static void names_are_encoded_in_targets(void **state)
{
	struct text t = {0};

	(void)state;
	url_add(&t, "a b/c?d&e=\xc3\xa4~._-");
	assert_string_equal(text_str(&t), "a%20b%2Fc%3Fd%26e%3D%C3%A4~._-");
	text_release(&t);
}

static int setup(void **state)
{
	sigset_t usr1;

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&usr1);
	(void)sigaddset(&usr1, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &usr1, NULL); /* inherited by the servers, which sigwait() for it */
	(void)snprintf(folder, sizeof(folder), "/tmp/osier-client-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/api.sock", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(bodies_come_by_length_in_chunks_or_to_the_end),
	        cmocka_unit_test(kept_connection_that_was_closed_is_opened_again),
	        cmocka_unit_test(post_without_a_key_is_never_repeated),
	        cmocka_unit_test(broken_answers_are_errors),
	        cmocka_unit_test(endless_header_is_refused),
	        cmocka_unit_test(events_are_put_together_from_pieces),
	        cmocka_unit_test(waiting_for_an_event_can_time_out_anywhere),
	        cmocka_unit_test(refused_stream_gives_its_answer),
	        cmocka_unit_test(nobody_listening_is_told_apart),
	        cmocka_unit_test(names_are_encoded_in_targets),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
