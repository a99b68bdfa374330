/* SPDX-License-Identifier: Apache-2.0 */
/* client - connections, requests, bodies: see client.h. Events are in client_events.c. */
#include "cli/client_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/remote.h"
#include "cli/term.h"

int client_dial(const char *path, int *out_fd, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd, dir = -1, rc;

	if (strlen(path) < sizeof(a.sun_path)) {
		memcpy(a.sun_path, path, strlen(path) + 1);
	} else {
		const char *slash = strrchr(path, '/');
		char *folder = slash ? strndup(path, (size_t)(slash - path)) : NULL;

		dir = folder ? open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
		free(folder);
		if (dir < 0)
			return err_set(e, ERR_CLOSED, "no node answers at '%.160s'", path);
		(void)snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%.64s", dir, slash + 1);
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	rc = fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&a, sizeof(a));
	if (rc < 0) {
		int sys = errno;

		if (fd >= 0)
			(void)close(fd);
		if (dir >= 0)
			(void)close(dir);
		errno = sys;
		if (sys == ENOENT || sys == ECONNREFUSED || sys == ENOTDIR)
			return err_set(e, ERR_CLOSED, "no node answers at '%.160s'", path);
		(void)err_sys(e, "cannot connect to '%.140s'", path);
		if (e && (sys == EACCES || sys == EPERM)) {
			e->code = ERR_DENIED;
			(void)err_hint(e, "the folder or its node belongs to another user; name another with "
			                  "--state DIR");
		}
		return -1;
	}
	if (dir >= 0)
		(void)close(dir);
	*out_fd = fd;
	return 0;
}

/* Is it worth trying again what a server that went away left unanswered? */
static bool comes_back(const struct client *c, uint64_t until)
{
	return c->alive && c->alive(c->alive_arg) && cli_mono_ns() < until;
}

static int dial(struct client *c, struct err *e)
{
	if (strncmp(c->path, REMOTE_PREFIX, strlen(REMOTE_PREFIX)) == 0)
		return remote_dial(c->path, c->remote_state, &c->fd, &c->via, e);
	return client_dial(c->path, &c->fd, e);
}

/* Connect, waiting for a server that is being started again. */
static int reach(struct client *c, uint64_t until, struct err *e)
{
	static const struct timespec pause = {.tv_nsec = 5000000};
	int interrupts = term_interrupts();

	while (c->fd < 0 && dial(c, e) < 0) {
		if ((e && e->code != ERR_CLOSED) || !comes_back(c, until))
			return -1;
		if (term_interrupts() > interrupts)
			return err_set(e, ERR_TIMEOUT, "interrupted");
		/* Nothing tells when a socket begins to listen; this is rare, and short. */
		(void)nanosleep(&pause, NULL);
	}
	return 0;
}

static struct client *client_make(const char *path)
{
	struct client *c = cli_alloc(sizeof(*c));

	c->path = cli_dup(path);
	c->fd = -1;
	return c;
}

int client_open(const char *path, struct client **out, struct err *e)
{
	return client_open_while(path, NULL, NULL, 0, out, e);
}

int client_open_while(const char *path, bool (*alive)(void *), void *arg, uint64_t wait_ns,
        struct client **out, struct err *e)
{
	struct client *c = client_make(path);
	struct err why = {0};

	c->alive = alive;
	c->alive_arg = arg;
	if (reach(c, cli_mono_ns() + wait_ns, &why) < 0) {
		client_close(c);
		if (e)
			*e = why;
		return -1;
	}
	*out = c;
	return 0;
}

int client_open_remote(const char *url, const char *state, struct client **out, struct err *e)
{
	struct client *c = client_make(url);

	c->remote_state = state ? cli_dup(state) : NULL;
	if (reach(c, 0, e) < 0) {
		client_close(c);
		return -1;
	}
	*out = c;
	return 0;
}

struct client *client_adopt_take(int fd)
{
	struct client *c =
	        client_make("/dev/null/closed"); /* nobody ever listens there: it is not opened again */

	c->fd = fd;
	return c;
}

static void disconnect(struct client *c)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -1;
	if (c->via) {
		(void)kill(c->via, SIGTERM);
		(void)waitpid(c->via, NULL, 0);
		c->via = 0;
	}
	c->from = c->to = 0;
	c->served = 0;
}

void client_close(struct client *c)
{
	if (!c)
		return;
	disconnect(c);
	text_release(&c->line);
	text_release(&c->event_name);
	text_release(&c->event_data);
	free(c->path);
	free(c->remote_state);
	free(c);
}

const char *client_path(const struct client *c)
{
	return c->path;
}

void response_release(struct response *r)
{
	text_release(&r->body);
	r->status = 0;
}

/* ---- bytes ---- */

/* Wait until fd can be read or written; 1 ready, 0 timeout, -1 interrupted. */
static int wait_for(struct client *c, short events, uint64_t wait_ns)
{
	int before = c->interrupts_seen;
	uint64_t until = wait_ns == UINT64_MAX ? UINT64_MAX : cli_mono_ns() + wait_ns;

	for (;;) {
		struct pollfd p[2] = {
		        {.fd = c->fd, .events = events}, {.fd = term_interrupt_fd(), .events = POLLIN}};
		uint64_t now = cli_mono_ns(), left = until == UINT64_MAX ? 0 : until > now ? until - now : 0;
		struct timespec ts = {
		        .tv_sec = (time_t)(left / 1000000000u), .tv_nsec = (long)(left % 1000000000u)};
		int n = ppoll(p, 2, until == UINT64_MAX ? NULL : &ts, NULL);

		if (p[1].revents || (n < 0 && errno == EINTR))
			c->interrupts_seen = term_interrupts();
		if (c->interrupts_seen > before)
			return -1;
		if (n > 0 && p[0].revents)
			return 1;
		if (n == 0)
			return 0;
	}
}

static int send_all(struct client *c, const void *p, size_t n, struct err *e)
{
	const char *at = p;

	while (n) {
		ssize_t k = send(c->fd, at, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (k < 0 && (errno == EAGAIN || errno == EINTR)) {
			if (wait_for(c, POLLOUT, UINT64_MAX) < 0)
				return err_set(e, ERR_TIMEOUT, "interrupted");
			continue;
		}
		if (k < 0)
			return err_set(e, ERR_CLOSED, "the node closed the connection");
		at += k;
		n -= (size_t)k;
	}
	return 0;
}

enum fill client_fill(struct client *c, uint64_t wait_ns)
{
	ssize_t n;

	CHECK(c->fd >= 0 || c->from == c->to);
	if (c->fd < 0)
		return FILL_CLOSED;
	if (c->from == c->to)
		c->from = c->to = 0;
	if (c->to == sizeof(c->buf)) {
		memmove(c->buf, c->buf + c->from, c->to - c->from);
		c->to -= c->from;
		c->from = 0;
		CHECK(c->to < sizeof(c->buf));
	}
	for (;;) {
		int ready;

		n = recv(c->fd, c->buf + c->to, sizeof(c->buf) - c->to, MSG_DONTWAIT);
		if (n > 0) {
			c->to += (size_t)n;
			return FILL_OK;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return FILL_CLOSED;
		ready = wait_for(c, POLLIN, wait_ns);
		if (ready <= 0)
			return ready < 0 ? FILL_INTERRUPTED : FILL_TIMEOUT;
	}
}

static int fill_error(enum fill f, struct err *e)
{
	if (f == FILL_INTERRUPTED)
		return err_set(e, ERR_TIMEOUT, "interrupted");
	return err_set(e, ERR_CLOSED, "the node closed the connection");
}

/* The next line without its CRLF, in place; NULL with *e. Lines beyond the buffer's half are refused. */
static char *read_line(struct client *c, struct err *e)
{
	for (;;) {
		char *start = c->buf + c->from, *nl = memchr(start, '\n', c->to - c->from);
		enum fill f;

		if (nl) {
			c->from = (size_t)(nl - c->buf) + 1;
			if (nl > start && nl[-1] == '\r')
				nl--;
			*nl = '\0';
			return start;
		}
		if (c->to - c->from >= sizeof(c->buf) / 2) {
			(void)err_set(e, ERR_CORRUPT, "the node's answer has a header line that is too long");
			return NULL;
		}
		f = client_fill(c, UINT64_MAX);
		if (f != FILL_OK) {
			(void)fill_error(f, e);
			return NULL;
		}
	}
}

/* ---- answers ---- */

static int header_line(struct client *c, const char *line, struct err *e)
{
	const char *value = strchr(line, ':');
	size_t n = value ? (size_t)(value - line) : 0;

	if (!value)
		return err_set(e, ERR_CORRUPT, "the node's answer is not HTTP");
	value += 1 + strspn(value + 1, " \t");
	if (n == 14 && strncasecmp(line, "content-length", n) == 0) {
		char *end;

		errno = 0;
		c->left = strtoull(value, &end, 10);
		if (errno || end == value || *end)
			return err_set(e, ERR_CORRUPT, "the node's answer has a length that is not a number");
		c->framing = BODY_LENGTH;
	} else if (n == 17 && strncasecmp(line, "transfer-encoding", n) == 0 &&
	           strcasestr(value, "chunked")) {
		c->framing = BODY_CHUNKED;
		c->left = 0;
		c->chunk_at = CHUNK_SIZE;
	} else if (n == 10 && strncasecmp(line, "connection", n) == 0 && strcasestr(value, "close")) {
		c->close_after = 1;
	}
	return 0;
}

/* Status line and headers; 1xx are skipped. */
static int read_head(struct client *c, int head_only, int *out_status, struct err *e)
{
	for (;;) {
		char *line = read_line(c, e);
		int status;

		if (!line)
			return -1;
		if (strncmp(line, "HTTP/1.", 7) != 0 || strlen(line) < 12)
			return err_set(e, ERR_CORRUPT, "'%.100s' does not speak HTTP", c->path);
		status = (int)strtol(line + 9, NULL, 10);
		c->close_after = line[7] == '0';
		c->framing = BODY_TO_END;
		c->left = 0;
		for (int i = 0;; i++) {
			line = read_line(c, e);
			if (!line)
				return -1;
			if (!*line)
				break;
			if (i > 200)
				return err_set(e, ERR_CORRUPT, "the node's answer has too many headers");
			if (header_line(c, line, e) < 0)
				return -1;
		}
		if (status >= 100 && status < 200)
			continue;
		if (head_only || status == 204 || status == 304) {
			c->framing = BODY_LENGTH;
			c->left = 0;
		}
		*out_status = status;
		return 0;
	}
}

/* Take in one line between chunks (RFC 9112, 7.1): the empty one that ends a chunk, a size, or a trailer. */
static int chunk_line(struct client *c, struct err *e)
{
	char *line = read_line(c, e), *end;

	if (!line)
		return -1;
	if (c->chunk_at == CHUNK_END) {
		c->chunk_at = CHUNK_SIZE;
		return *line ? err_set(e, ERR_CORRUPT, "the node's answer is broken: a chunk does not end")
		             : 0;
	}
	if (c->chunk_at == CHUNK_TRAILER) {
		if (!*line)
			c->framing = BODY_LENGTH; /* with nothing left: the end */
		return 0;
	}
	errno = 0;
	c->left = strtoull(line, &end, 16);
	if (errno || end == line || (*end && *end != ';' && *end != ' '))
		return err_set(
		        e, ERR_CORRUPT, "the node's answer is broken: '%.20s' is not a chunk size", line);
	c->chunk_at = c->left ? CHUNK_DATA : CHUNK_TRAILER;
	return 0;
}

/* Go through what stands between chunks, without ever waiting longer than wait_ns for it. */
static int chunk_next(struct client *c, uint64_t wait_ns, enum fill *out_fill, struct err *e)
{
	while (c->framing == BODY_CHUNKED && c->left == 0) {
		if (c->chunk_at == CHUNK_DATA)
			c->chunk_at = CHUNK_END;
		if (!memchr(c->buf + c->from, '\n', c->to - c->from) &&
		        c->to - c->from < sizeof(c->buf) / 2) {
			*out_fill = client_fill(c, wait_ns);
			if (*out_fill != FILL_OK)
				return fill_error(*out_fill, e);
			continue;
		}
		if (chunk_line(c, e) < 0)
			return -1;
	}
	return 0;
}

int client_piece(struct client *c, uint64_t wait_ns, const char **out, size_t *out_n, enum fill *out_fill,
        struct err *e)
{
	size_t have;

	*out_fill = FILL_OK;
	if (chunk_next(c, wait_ns, out_fill, e) < 0)
		return -1;
	if (c->framing == BODY_LENGTH && c->left == 0)
		return 0;
	if (c->from == c->to) {
		*out_fill = client_fill(c, wait_ns);
		if (*out_fill == FILL_CLOSED && c->framing == BODY_TO_END)
			return 0;
		if (*out_fill != FILL_OK)
			return fill_error(*out_fill, e);
	}
	have = c->to - c->from;
	if (c->framing != BODY_TO_END && have > c->left)
		have = (size_t)c->left;
	*out = c->buf + c->from;
	*out_n = have;
	c->from += have;
	if (c->framing != BODY_TO_END)
		c->left -= have;
	return 1;
}

static int read_body(struct client *c, struct response *out, FILE *f, struct err *e)
{
	const char *p;
	size_t n;
	enum fill fill;
	int rc;

	while ((rc = client_piece(c, UINT64_MAX, &p, &n, &fill, e)) > 0) {
		if (f && fwrite(p, 1, n, f) != n)
			return err_sys(e, "cannot write the output");
		if (f) {
			out->written += n;
			continue;
		}
		if (out->body.n + n > CLIENT_BODY_MAX)
			return err_set(e, ERR_FULL, "the node's answer is larger than %u MiB",
			        CLIENT_BODY_MAX >> 20);
		text_add_n(&out->body, p, n);
	}
	if (rc == 0 && (c->close_after || c->framing == BODY_TO_END))
		disconnect(c);
	return rc;
}

/* ---- requests ---- */

struct request {
	const char *method, *target, *type;
	const void *body;
	size_t n;
	int fd; /* or a file of file_bytes, < 0 none */
	uint64_t file_bytes;
	int stream;
};

static int send_file(struct client *c, int fd, uint64_t n, struct err *e)
{
	char piece[65536];
	uint64_t at = 0;

	while (at < n) {
		size_t want = n - at < sizeof(piece) ? (size_t)(n - at) : sizeof(piece);
		ssize_t k = pread(fd, piece, want, (off_t)at);

		if (k < 0)
			return err_sys(e, "cannot read a file of the job");
		if (k == 0)
			return err_set(e, ERR_INVALID, "a file of the job became shorter while it was read");
		if (send_all(c, piece, (size_t)k, e) < 0)
			return -1;
		at += (uint64_t)k;
	}
	return 0;
}

static int send_request(struct client *c, const struct request *r, struct err *e)
{
	struct text head = {0};
	uint64_t n = r->fd >= 0 ? r->file_bytes : r->n;
	int rc;

	text_addf(&head, "%s %s HTTP/1.1\r\nHost: osier\r\n", r->method, r->target);
	if (r->stream)
		text_add(&head, "Accept: text/event-stream\r\n");
	if (r->type)
		text_addf(&head, "Content-Type: %s\r\n", r->type);
	if (n || (strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0))
		text_addf(&head, "Content-Length: %llu\r\n", (unsigned long long)n);
	text_add(&head, "\r\n");
	if (r->n && r->n <= 65536)
		text_add_n(&head, r->body, r->n);
	rc = send_all(c, head.p, head.n, e);
	text_release(&head);
	if (rc == 0 && r->n > 65536)
		rc = send_all(c, r->body, r->n, e);
	if (rc == 0 && r->fd >= 0)
		rc = send_file(c, r->fd, r->file_bytes, e);
	return rc;
}

/* POSTs that only ask, or come to the same when they come twice. */
static const char *const harmless[] = {"/v1/blobs/missing", "/v1/plan", "/v1/ledger/publish"};

static int repeatable(const struct request *r)
{
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		if (strcmp(r->target, harmless[i]) == 0)
			return 1;
	return strcmp(r->method, "POST") != 0 || strstr(r->target, "?key=") || strstr(r->target, "&key=");
}

/* Send, and read the head of the answer. An early answer (the server refuses before the body is through) is read too. */
static int exchange(struct client *c, const struct request *r, int *out_status, struct err *e)
{
	int sent = send_request(c, r, e);

	if (sent < 0 && e->code != ERR_CLOSED)
		return -1;
	if (read_head(c, strcmp(r->method, "HEAD") == 0, out_status, e) < 0)
		return -1;
	if (sent < 0)
		c->close_after = 1;
	c->served++;
	return 0;
}

/* One exchange, and once more if the kept connection turns out closed, and again while the server comes back. */
static int begin(struct client *c, const struct request *r, uint64_t until, int *out_status, struct err *e)
{
	struct err why = {0};

	for (;;) {
		bool reused = c->served > 0 && c->fd >= 0;

		if (reach(c, until, &why) < 0)
			break;
		if (exchange(c, r, out_status, &why) == 0)
			return 0;
		disconnect(c);
		if (why.code != ERR_CLOSED || !repeatable(r) || (!reused && !comes_back(c, until)))
			break;
	}
	if (e)
		*e = why;
	return -1;
}

static int call(struct client *c, const struct request *r, FILE *f, struct response *out, struct err *e)
{
	uint64_t until = cli_mono_ns() + CLIENT_PATIENCE_NS;
	struct err why = {0};
	int status;

	memset(out, 0, sizeof(*out));
	if (c->fd >= 0 && c->streaming) {
		disconnect(c);
		c->streaming = 0;
	}
	for (;;) {
		if (begin(c, r, until, &status, e) < 0)
			return -1;
		if (read_body(c, out, status == 200 ? f : NULL, &why) == 0)
			break;
		disconnect(c);
		text_release(&out->body);
		if (why.code != ERR_CLOSED || !repeatable(r) || out->written || !comes_back(c, until)) {
			if (e)
				*e = why;
			return -1;
		}
	}
	out->status = status;
	return 0;
}

int client_call(struct client *c, const char *method, const char *target, const char *type, const void *body,
        size_t n, struct response *out, struct err *e)
{
	struct request r = {.method = method, .target = target, .type = type, .body = body, .n = n, .fd = -1};

	return call(c, &r, NULL, out, e);
}

int client_put_file(
        struct client *c, const char *target, int fd, uint64_t n, struct response *out, struct err *e)
{
	struct request r = {.method = "PUT",
	        .target = target,
	        .type = "application/octet-stream",
	        .fd = fd,
	        .file_bytes = n};

	return call(c, &r, NULL, out, e);
}

int client_download(struct client *c, const char *target, FILE *f, struct response *out, struct err *e)
{
	struct request r = {.method = "GET", .target = target, .fd = -1};

	return call(c, &r, f, out, e);
}

int client_stream(struct client *c, const char *target, uint64_t wait_ns, struct response *out, struct err *e)
{
	struct request r = {.method = "GET", .target = target, .fd = -1, .stream = 1};
	int status;

	memset(out, 0, sizeof(*out));
	if (c->streaming)
		disconnect(c);
	c->streaming = 0;
	text_clear(&c->line);
	text_clear(&c->event_name);
	text_clear(&c->event_data);
	c->piece_n = 0;
	if (begin(c, &r, cli_mono_ns() + wait_ns, &status, e) < 0)
		return -1;
	out->status = status;
	if (status == 200) {
		c->streaming = 1;
		return 0;
	}
	if (read_body(c, out, NULL, e) < 0)
		disconnect(c);
	return err_set(e, ERR_INVALID, "the node answered %d", status);
}

void url_add(struct text *t, const char *s)
{
	for (; *s; s++) {
		unsigned char ch = (unsigned char)*s;

		if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
		        strchr("-._~", ch))
			text_add_n(t, s, 1);
		else
			text_addf(t, "%%%02X", ch);
	}
}
