/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http - one request at a time to somebody else's server, over TCP or TLS, by libcurl.
 *
 * Not for osier's own API (cli/client) and not a server. Blocking, with a limit on everything that the other end decides: how long it
 * takes, how much it sends. Redirects are not followed. One struct http per thread at a time.
 *
 * libcurl is loaded by dlopen at the first http_new(): with what it pulls in it is 8.6 MB of memory (11 MB after a first TLS connection)
 * and 3.5 ms of start, which a node that talks to nobody should not pay. Messages name scheme and host of an address only: the rest
 * of it is often a secret.
 */
#ifndef OSIER_IO_HTTP_H
#define OSIER_IO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define HTTP_URL_MAX    2048u
#define HTTP_ORIGIN_MAX 300u /* of scheme://host:port, with a NUL */

struct http;

struct http_options {
	uint64_t timeout_ns; /* for a request as a whole */
	size_t answer_max;   /* bytes of a body */
	const char *ca_file; /* PEM; NULL: the system's authorities */
	const char *
	        socket; /* a Unix socket that is asked whatever the address says; NULL: none. Below 108 bytes */
	int stop_fd;    /* -1, or: when it is readable give up (ERR_CLOSED), within a second */
};

/* Options are copied. ERR_NOTFOUND: libcurl is not installed. */
int http_new(const struct http_options *o, struct http **out, struct err *e);
void http_free(struct http *h);

/* http:// or https:// with a host, at most HTTP_URL_MAX bytes, no spaces or control characters. */
bool http_url_ok(const char *url);
/* What may be shown of an address; "?" when it is not ok. */
void http_origin(const char *url, char out[HTTP_ORIGIN_MAX]);

enum http_method { HTTP_GET, HTTP_POST };
struct http_request {
	enum http_method method;
	const char *url;
	const char *type;   /* Content-Type of the body */
	const char *accept; /* NULL: anything */
	const void *body;
	size_t body_n;
};
struct http_answer { /* valid until the next request */
	unsigned status;
	const uint8_t *body;
	size_t body_n;
};
/* Any status is an answer. ERR_INVALID (the address), ERR_TIMEOUT, ERR_CLOSED (nobody there, or it went away), ERR_DENIED (its
 * certificate), ERR_FULL (it sends more than answer_max, or endless headers), ERR_CORRUPT (not HTTP). */
int http_ask(struct http *h, const struct http_request *r, struct http_answer *out, struct err *e);

/* Is it readable? */
bool http_stopped(int stop_fd);

#endif
