/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_cli_client - whatever a server says, the command line's client neither crashes nor hangs.
 *
 * The first byte picks what is asked: a whole answer, or events. Answers are bounded by what was said, events by its length.
 */
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/client.h"

static void ask_once(struct client *c)
{
	struct response r = {0};
	struct err e = {0};

	if (client_call(c, "GET", "/", NULL, NULL, 0, &r, &e) < 0)
		CHECK(e.code != ERR_NONE && e.msg[0]);
	response_release(&r);
}

static void ask_events(struct client *c, size_t n)
{
	struct response r = {0};
	struct event ev;
	struct err e = {0};
	size_t events = 0;

	if (client_stream(c, "/", 0, &r, &e) == 0)
		while (client_event(c, UINT64_MAX, &ev, &e) == STREAM_EVENT) {
			CHECK(ev.name && ev.data && strlen(ev.data) <= n);
			CHECK(events++ <= n);
		}
	response_release(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct client *c;
	int fds[2];

	if (n < 1 || n > 60000)
		return 0;
	(void)signal(SIGPIPE, SIG_IGN);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	CHECK(write(fds[1], data + 1, n - 1) == (ssize_t)(n - 1));
	CHECK(shutdown(fds[1], SHUT_WR) == 0);
	c = client_adopt_take(fds[0]);
	if (data[0] & 1)
		ask_events(c, n);
	else
		ask_once(c);
	if (data[0] & 2)
		ask_once(c);
	client_close(c);
	(void)close(fds[1]);
	return 0;
}
