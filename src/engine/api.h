/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api - the HTTP+JSON API of a node, on a Unix socket (libmicrohttpd driven from the node's loop).
 *
 * Described by docs/openapi.yaml, which a test holds against this code. Every request has a principal: the peer's uid
 * (SO_PEERCRED). Bodies, headers, connections and time are limited. Never blocks the loop.
 */
#ifndef OSIER_ENGINE_API_H
#define OSIER_ENGINE_API_H

#include "base/err.h"

struct api;
struct node;

/* Listen on `socket_path` (STATE/api.sock; a stale socket file is replaced, a live one refused; paths too long for sun_path
 * work too). mode: of the socket file. */
int api_open(struct node *n, const char *socket_path, unsigned mode, struct api **out, struct err *e);
void api_close(struct api *a);

#endif
