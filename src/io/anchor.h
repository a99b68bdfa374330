/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anchor - runs core/anchor against the nodes of a real chain: asks over JSON-RPC, signs, keeps.
 *
 * Blocking, for minutes: run it in a thread or, so that what libcurl takes is given back, in a process of its own. What it keeps it
 * hands to the caller, and takes from it at the next start; killed at any moment it goes on from there.
 */
#ifndef OSIER_IO_ANCHOR_H
#define OSIER_IO_ANCHOR_H

#include "core/anchor.h"

struct anchor_options {
	struct anchor_config chain; /* `from` is filled in from the secret */
	const char *const *urls;    /* endpoints, tried in turn when one makes trouble */
	unsigned n_urls;            /* at least one */
	const uint8_t *secret;      /* 32 bytes of the account's key; wiped by the caller */
	uint64_t timeout_ns;        /* for one question */
	const char *ca_file;        /* NULL: the system's */
	int stop_fd; /* -1, or: when it is readable stop (ERR_CLOSED); goes on at the next start */
	/* Make these bytes durable in place of the last ones, before returning 0. < 0 with *e ends the run; nothing is lost. */
	int (*save)(void *ctx, const uint8_t *bytes, size_t n, struct err *e);
	/* How it stands, at the end of each look and at the very end. May be NULL. Borrowed for the call. */
	void (*tell)(void *ctx, const struct anchor_view *v);
	void *ctx;
};

/* Everything that is no question of an outer world: ERR_INVALID says what. */
int anchor_options_check(const struct anchor_options *o, struct err *e);

/* Bring `target` onto the chain, or go on with what was saved (saved_n > 0; then target may be NULL and is not looked at), and
 * follow it until it is final. 0: *out says ANCHOR_DONE or ANCHOR_ALREADY; drop the saved bytes once that is noted down.
 * -1: ERR_CLOSED, stopped; ERR_CORRUPT or ERR_INVALID, the saved bytes do not fit; what save() said; or, with out->outcome ANCHOR_FAILED, why
 * it cannot be. *out is filled in whenever it began. out->hash with anchor_verify() reads it back. */
int anchor_run(const struct anchor_options *o, const struct anchor_target *target, const uint8_t *saved,
        size_t saved_n, struct anchor_view *out, struct err *e);

#endif
