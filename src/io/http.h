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
	/* Not 0: a request may take for ever as long as something moves; it is given up when nothing did for so long. timeout_ns is for
	 * connecting then. */
	uint64_t stall_ns;
	/* Our own certificate and its key, PEM files, or NULL. Takes a libcurl with OpenSSL, which does not take a client's certificate for
	 * a server's. */
	const char *cert_file, *key_file;
	/* The other end is a node: it must show the certificate that ca_file gave to the node of this name, which is no server's. NULL: a
	 * server, by its address. Takes a libcurl with OpenSSL. */
	const char *node;
	bool unverified; /* TLS with whoever answers: for who checks what came by itself */
};

/* Options are copied. ERR_NOTFOUND: libcurl is not installed. */
int http_new(const struct http_options *o, struct http **out, struct err *e);
void http_free(struct http *h);

/* http:// or https:// with a host, at most HTTP_URL_MAX bytes, no spaces or control characters. */
bool http_url_ok(const char *url);
/* What may be shown of an address; "?" when it is not ok. */
void http_origin(const char *url, char out[HTTP_ORIGIN_MAX]);

enum http_method { HTTP_GET, HTTP_POST, HTTP_HEAD, HTTP_PUT };
#define HTTP_HEADERS_MAX 4u
struct http_request {
	enum http_method method;
	const char *url;
	const char *type;   /* Content-Type of the body */
	const char *accept; /* NULL: anything */
	const void *body;
	size_t body_n;
	const char *header[HTTP_HEADERS_MAX]; /* further lines, "Range: bytes=0-99"; NULL ends them */
	/* Take pieces of the body of an answer of 2xx instead of keeping it; < 0: enough (ERR_CLOSED). */
	int (*piece)(void *ctx, unsigned status, const uint8_t *p, size_t n);
	/* HTTP_PUT: give at most `room` bytes of the `put_bytes` that are sent; < 0: they cannot be had. */
	long (*give)(void *ctx, uint8_t *out, size_t room);
	uint64_t put_bytes;
	void *ctx; /* of both */
};
struct http_answer { /* valid until the next request */
	unsigned status;
	const uint8_t *body;
	size_t body_n;
	uint64_t date_s;        /* of its Date, since 1970; 0: none */
	uint64_t length;        /* its Content-Length; UINT64_MAX: not said */
	uint64_t upload_offset; /* its Upload-Offset; UINT64_MAX: not said */
	uint64_t rtt_us; /* how long connecting took, which is there and back; 0: it was connected already */
};
/* Any status is an answer. ERR_INVALID (the address), ERR_TIMEOUT, ERR_CLOSED (nobody there, or it went away), ERR_DENIED (its
 * certificate), ERR_FULL (it sends more than answer_max, or endless headers), ERR_CORRUPT (not HTTP). */
int http_ask(struct http *h, const struct http_request *r, struct http_answer *out, struct err *e);

/* Is it readable? */
bool http_stopped(int stop_fd);

#endif
