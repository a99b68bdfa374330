/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client - HTTP/1.1 over a Unix socket: requests with keep-alive, bodies with a length or in chunks, server-sent events.
 *
 * Why not libcurl: loading it and its TLS takes longer than a whole `osier jobs`, and of all that it can do this needs
 * a hundredth. Blocking; every wait also watches term_interrupt_fd(). One thread, one request at a time.
 * What a server sends is not trusted: header bytes, lines and chunk sizes have limits.
 */
#ifndef OSIER_CLI_CLIENT_H
#define OSIER_CLI_CLIENT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "cli/text.h"

#define CLIENT_PATIENCE_NS                                                                                   \
	(15ull * 1000000000ull) /* a keeper waits up to 10 s before it starts an engine again */
#define CLIENT_BODY_MAX (256u * 1024u * 1024u) /* of an answer that is kept in memory */

struct client;

/* Connect to the socket file. ERR_CLOSED: nobody listens there (no file, or nobody behind it). Paths too long for
 * sun_path work. */
int client_open(const char *path, struct client **out, struct err *e);
/* As client_open, to a server that something starts again when it dies: while nobody answers and alive(arg) is true, this
 * waits, at most wait_ns; every later request that may be repeated (see client_call) waits CLIENT_PATIENCE_NS for it. */
int client_open_while(const char *path, bool (*alive)(void *), void *arg, uint64_t wait_ns,
        struct client **out, struct err *e);
/* The same to the node of another machine (remote.h). `state`: its state folder there, or NULL. Whether it answers is not known yet. */
int client_open_remote(const char *url, const char *state, struct client **out, struct err *e);
/* Connect alone. */
int client_dial(const char *path, int *out_fd, struct err *e);
/* A client of a connection that is open already, which it owns from now on. */
struct client *client_adopt_take(int fd);
void client_close(struct client *c);
const char *client_path(const struct client *c);

struct response {
	int status;
	struct text body;
	uint64_t written; /* client_download: bytes that went to the file */
};

/* One request and its whole answer. `body` may be NULL. A kept connection that the server has closed meanwhile is opened
 * again, and the request repeated when that is harmless: GET, HEAD, PUT, a POST that carries ?key=, one
 * that only asks (/v1/plan).
 * ERR_CLOSED: the server went away. ERR_TIMEOUT: interrupted by Ctrl-C. */
int client_call(struct client *c, const char *method, const char *target, const char *type, const void *body,
        size_t n, struct response *out, struct err *e);
void response_release(struct response *r);

/* As client_call, with the file `fd` from its beginning as body (`n` bytes). */
int client_put_file(
        struct client *c, const char *target, int fd, uint64_t n, struct response *out, struct err *e);

/* GET whose 200 body goes to `f` as it comes; any other status comes back in *out with its body. */
int client_download(struct client *c, const char *target, FILE *f, struct response *out, struct err *e);

/* ---- server-sent events (WHATWG HTML, 9.2) ---- */
struct event {
	const char *name; /* "message" when the server gave none; valid until the next call */
	const char *data;
};
enum stream_result { STREAM_EVENT, STREAM_END, STREAM_TIMEOUT, STREAM_INTERRUPTED, STREAM_FAILED };

/* GET with an event stream as answer. A status other than 200 is a failure, with its body in *out (release it). The connection is
 * used up by the stream: client_call() afterwards opens another. wait_ns: how long to wait for a server that is being
 * started again, see client_open_while(). */
int client_stream(
        struct client *c, const char *target, uint64_t wait_ns, struct response *out, struct err *e);
/* The next event, waiting at most wait_ns (UINT64_MAX: for ever). STREAM_END: the server has closed it in good order.
 * STREAM_FAILED: it broke off, *e says how. */
enum stream_result client_event(struct client *c, uint64_t wait_ns, struct event *out, struct err *e);

/* Append s as one path segment or query value, percent-encoded (RFC 3986, 2.3: unreserved stays). */
void url_add(struct text *t, const char *s);

#endif
