/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve - what addresses a name has, without holding up the loop.
 *
 * A detached thread for each look-up, and nothing else in it: getaddrinfo() may take half a minute where a name server is gone. The
 * pool of libuv is not used for it, because a process cannot leave before its pool has finished. Everything is called from the loop.
 */
#ifndef OSIER_IO_RESOLVE_H
#define OSIER_IO_RESOLVE_H

#include <stdbool.h>
#include <uv.h>

#include "base/err.h"

#define RESOLVE_MAX      8u  /* addresses of a name that are kept, in the order of getaddrinfo() */
#define RESOLVE_IP_MAX   64u /* of an address as text, with a zone and a NUL */
#define RESOLVE_HOST_MAX 253u

struct resolve;
struct resolved {
	unsigned n; /* 0: failed */
	char ip[RESOLVE_MAX][RESOLVE_IP_MAX];
	struct err
	        why; /* when n is 0: ERR_NOTFOUND the name is not known, ERR_CLOSED nobody could be asked */
};
typedef void (*resolve_fn)(void *ctx, const struct resolved *r);

/* `fn` is called once from the loop, never in here, unless it is cancelled before. */
int resolve_start(
        uv_loop_t *loop, const char *host, resolve_fn fn, void *ctx, struct resolve **out, struct err *e);
/* `fn` will not be called. `closed` is called from the loop when nothing of it is in the loop any more (its thread may still run, and
 * needs nobody); it may be NULL. */
void resolve_cancel(struct resolve *r, void (*closed)(void *ctx), void *ctx);

/* Is it an address, and not a name? */
bool resolve_is_ip(const char *host);

#endif
