/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_dial - `osier dial`: the far end of --host, run there by ssh. See remote.h. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/commands.h"
#include "cli/nodeproc.h"

/* What can be read at `from` goes to `to`: 0 when there is no more, or nobody who takes it. */
static int move(int from, int to)
{
	static char buf[65536];
	ssize_t n = read(from, buf, sizeof(buf));

	if (n < 0 && errno == EINTR)
		return 1;
	for (ssize_t at = 0, k; at < n; at += k) {
		k = write(to, buf + at, (size_t)(n - at));
		if (k < 0 && errno == EINTR)
			k = 0;
		else if (k < 0)
			return 0;
	}
	return n > 0;
}

static int pump(int fd)
{
	for (;;) {
		/* Output is looked at only for having been closed: a stream of events may be silent for days. */
		struct pollfd p[3] = {{.fd = 0, .events = POLLIN}, {.fd = fd, .events = POLLIN}, {.fd = 1}};

		if (poll(p, 3, -1) < 0 && errno != EINTR)
			return EXIT_BROKEN;
		if (p[1].revents && !move(fd, 1))
			return EXIT_OK;
		if (p[2].revents || (p[0].revents && !move(0, fd)))
			return EXIT_OK;
	}
}

static int run(struct cli *c)
{
	struct text path = {0};
	struct err e = {0};
	int fd, rc;

	if (cli_connect(c, &e) < 0) /* which waits for an engine that is being started again */
		return cli_fail(c, &e);
	state_socket(c->state_dir, &path);
	rc = client_dial(text_str(&path), &fd, &e);
	text_release(&path);
	if (rc < 0)
		return cli_fail(c, &e);
	rc = pump(fd);
	(void)close(fd);
	return rc;
}

const struct command_def cmd_dial = {
        .name = "dial",
        .group = GROUP_HIDDEN,
        .usage = "",
        .summary = "join input and output to the node's socket: what --host runs on the other machine",
        .about = "",
        .examples = "",
        .args_max = 0,
        .here = true,
        .run = run,
};
