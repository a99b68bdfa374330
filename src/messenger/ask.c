/* SPDX-License-Identifier: Apache-2.0 */
/* ask - the engine's API, asked as its owner; see messenger.h. */
#include <jansson.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "messenger/messenger.h"

struct http *engine_connect(const struct messenger *m, uint64_t timeout_ns, size_t answer_max, struct err *e)
{
	struct http_options o = {.timeout_ns = timeout_ns,
	        .answer_max = answer_max,
	        .stop_fd = m->stop_fd,
	        .socket = m->socket};
	struct http *h = NULL;

	return http_new(&o, &h, e) < 0 ? NULL : h;
}

static int refused(const struct http_answer *a, const char *target, struct err *e)
{
	enum err_code code = a->status == 404   ? ERR_NOTFOUND
	                     : a->status == 403 ? ERR_DENIED
	                     : a->status < 500  ? ERR_INVALID
	                                        : ERR_SYSTEM;
	json_t *j = json_loadb((const char *)a->body, a->body_n, 0, NULL);
	const char *text = json_string_value(json_object_get(json_object_get(j, "error"), "message"));
	int rc = text ? err_set(e, code, "the engine says: %.200s", text)
	              : err_set(e, code, "the engine answers %.60s with %u", target, a->status);

	json_decref(j);
	return rc;
}

int engine_ask(struct http *h, enum http_method method, const char *target, const char *type,
        const void *body, size_t n, struct http_answer *out, struct err *e)
{
	char url[HTTP_URL_MAX];
	struct http_request r = {.method = method, .url = url, .type = type, .body = body, .body_n = n};

	CHECK(snprintf(url, sizeof(url), "http://osier%s", target) < (int)sizeof(url));
	if (http_ask(h, &r, out, e) < 0)
		return -1;
	return out->status < 400 ? 0 : refused(out, target, e);
}

/* Connected to the engine, or -1. */
static int reach(const struct messenger *m)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(strlen(m->socket) < sizeof(to.sun_path));
	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", m->socket);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

bool engine_answers(const struct messenger *m)
{
	int fd = reach(m);

	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}

void engine_wait(const struct messenger *m, const char *target, unsigned seconds)
{
	struct pollfd p[2] = {{.events = POLLIN}, {.fd = m->stop_fd, .events = POLLIN}};
	char text[400];
	int n, fd = reach(m);

	if (fd < 0)
		return;
	n = snprintf(
	        text, sizeof(text), "GET %s HTTP/1.1\r\nHost: osier\r\nConnection: close\r\n\r\n", target);
	CHECK(n > 0 && n < (int)sizeof(text));
	p[0].fd = fd;
	if (write(fd, text, (size_t)n) == n)
		(void)poll(p, 2, (int)seconds * 1000);
	(void)close(fd);
}

void messenger_say(char last[MESSENGER_SAID_MAX], const char *fmt, ...)
{
	char line[MESSENGER_SAID_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (strcmp(line, last) != 0 && line[0])
		(void)fprintf(stderr, "osier messenger: %s\n", line);
	memcpy(last, line, sizeof(line));
}
