/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err - an error that carries a sentence, on the caller's stack.
 *
 * Not for refusals (those are entries or answers) and not for bugs (CHECK).
 * Pure. Functions that can fail return int: 0, or < 0 with *e filled in. `e` may be NULL.
 * Messages: lower case, no full stop, what failed first, names in 'quotes'; hint says what to try. They are UTF-8 without control
 * characters whatever they were made of: words of peers, names of files, texts that were cut; what is not stands as '?'.
 */
#ifndef OSIER_BASE_ERR_H
#define OSIER_BASE_ERR_H

#include <stdbool.h>

enum err_code {
	ERR_NONE = 0,
	ERR_INVALID,  /* the caller's input is wrong */
	ERR_NOTFOUND, /* what was named does not exist */
	ERR_EXISTS,   /* it is there already, or somebody else holds it */
	ERR_DENIED,   /* not permitted */
	ERR_FULL,     /* a stated limit is reached, or the disk is full */
	ERR_CORRUPT,  /* stored bytes are not what was stored */
	ERR_VERSION,  /* made by a newer osier */
	ERR_SYSTEM,   /* the operating system said no: see sys */
	ERR_TIMEOUT,
	ERR_REMOVED, /* the hub knows this node no more */
	ERR_CLOSED,  /* the other end went away */
	ERR_FENCED,  /* somebody else holds what we held: stop at once */
};

struct err {
	enum err_code code;
	int sys; /* errno, or 0 */
	char msg[240];
	char hint[120];
};

/* Fill in *e. Always returns -1, so that `return err_set(...)` reads well. Sets hint to "". */
int err_set(struct err *e, enum err_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As err_set with ERR_SYSTEM and the present errno; appends ": " and the errno's words. */
int err_sys(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Add what to try. Returns -1. */
int err_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Put context in front of an error that is already set: "context: message". Returns -1. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* May another try work where this one did not? Somebody was away, too slow or full, or the operating system said no. */
bool err_passes(const struct err *e);

/* One word for a code, as JSON answers carry it ("invalid", "not_found" ...). Never NULL. */
const char *err_code_name(enum err_code code);

#endif
