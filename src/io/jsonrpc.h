/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jsonrpc - asking over JSON-RPC 2.0 (jsonrpc.org/specification), over HTTP.
 *
 * Not what is asked (io/anchor_rpc) and not a server. Blocking. What the other end says is checked before it is handed out: the version, the
 * id, one of result and error, no key twice; its words are cut to what a message can show.
 */
#ifndef OSIER_IO_JSONRPC_H
#define OSIER_IO_JSONRPC_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "io/http.h"

#define JSONRPC_ANSWER_MAX (1u << 20)
#define JSONRPC_DATA_MAX   256 /* bytes that an error may carry; more are left out */

struct jsonrpc_answer {
	json_t *result; /* NULL: an error */
	int64_t code;
	char said[160]; /* the error's message, printable ASCII */
	uint8_t data[JSONRPC_DATA_MAX];
	size_t data_n; /* 0x data that came with the error: what a contract reverted with */
};
/* Drop the result. */
void jsonrpc_clear(struct jsonrpc_answer *a);

/* The bytes of an answer to the request `id`. On success jsonrpc_clear() it. ERR_CORRUPT: says what is wrong. */
int jsonrpc_read(const void *bytes, size_t n, uint64_t id, struct jsonrpc_answer *out, struct err *e);

/* Ask; takes over `params` (an array). On success jsonrpc_clear() the answer. Errors of http_ask(); ERR_CORRUPT; ERR_DENIED: an HTTP
 * status without an answer in it (a wrong key, too many requests). */
int jsonrpc_ask(struct http *h, const char *url, uint64_t id, const char *method, json_t *params,
        struct jsonrpc_answer *out, struct err *e);

#endif
