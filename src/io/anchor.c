/* SPDX-License-Identifier: Apache-2.0 */
/* anchor - see anchor.h. */
#include "io/anchor.h"

#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "io/anchor_rpc.h"
#include "io/ethkey.h"

struct run {
	const struct anchor_options *o;
	struct anchor machine;
	struct anchor_rpc rpc;
};

int anchor_options_check(const struct anchor_options *o, struct err *e)
{
	if (o->n_urls == 0)
		return err_set(e, ERR_INVALID, "no node of the chain is named");
	for (unsigned i = 0; i < o->n_urls; i++)
		if (!http_url_ok(o->urls[i]))
			return err_set(e, ERR_INVALID,
			        "node %u of the chain is not given as http://HOST... or https://HOST...",
			        i + 1);
	if (o->timeout_ns < 1000000)
		return err_set(e, ERR_INVALID, "the time for an answer must be at least a millisecond");
	if (!ethkey_secret_ok(o->secret))
		return err_set(e, ERR_INVALID, "the account's key is not a key of secp256k1");
	return anchor_config_check(&o->chain, e);
}

/* Runs on, whatever is done to the wall clock. */
static uint64_t now_ns(void)
{
	struct timespec t;

	CHECK(clock_gettime(CLOCK_BOOTTIME, &t) == 0);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void rest(struct run *r, uint64_t until_ns)
{
	struct pollfd p = {.fd = r->o->stop_fd, .events = POLLIN};
	uint64_t now = now_ns(), ms = until_ns > now ? (until_ns - now) / 1000000 + 1 : 0;

	(void)poll(&p, 1, ms > 3600000 ? 3600000 : (int)ms);
}

static int sign(struct run *r, const uint8_t hash[32], struct err *e)
{
	struct evm_sig sig;

	if (ethkey_sign(r->o->secret, hash, &sig, e) < 0)
		return -1;
	anchor_signed(&r->machine, &sig);
	return 0;
}

static int keep(struct run *r, struct err *e)
{
	uint8_t bytes[ANCHOR_SAVE_MAX];

	if (r->o->save(r->o->ctx, bytes, anchor_save(&r->machine, bytes), e) < 0)
		return -1;
	anchor_saved(&r->machine);
	return 0;
}

static void ask(struct run *r, const struct anchor_todo *todo)
{
	struct anchor_answer a;

	anchor_rpc_ask(&r->rpc, r->o->urls[todo->endpoint % r->o->n_urls], &todo->ask, &a);
	anchor_answer(&r->machine, now_ns(), &a);
}

static void tell(struct run *r, struct anchor_view *v)
{
	anchor_view(&r->machine, v);
	if (r->o->tell)
		r->o->tell(r->o->ctx, v);
}

static int go(struct run *r, struct anchor_view *v, struct err *e)
{
	uint64_t told_for = 0;
	struct anchor_todo todo;

	for (;;) {
		if (http_stopped(r->o->stop_fd)) {
			anchor_view(&r->machine, v);
			return err_set(e, ERR_CLOSED, "stopped; the anchor goes on at the next start");
		}
		switch (anchor_next(&r->machine, now_ns(), &todo)) {
		case ANCHOR_ASK:
			ask(r, &todo);
			break;
		case ANCHOR_SIGN:
			if (sign(r, todo.sighash, e) < 0)
				return -1;
			break;
		case ANCHOR_SAVE:
			if (keep(r, e) < 0)
				return -1;
			break;
		case ANCHOR_WAIT:
			if (told_for != todo.until_ns)
				tell(r, v);
			told_for = todo.until_ns;
			rest(r, todo.until_ns);
			break;
		case ANCHOR_END:
			tell(r, v);
			if (v->outcome == ANCHOR_FAILED && e)
				*e = v->why;
			return v->outcome == ANCHOR_FAILED ? -1 : 0;
		}
	}
}

int anchor_run(const struct anchor_options *o, const struct anchor_target *target, const uint8_t *saved,
        size_t saved_n, struct anchor_view *out, struct err *e)
{
	struct http_options ho = {.timeout_ns = o->timeout_ns,
	        .answer_max = JSONRPC_ANSWER_MAX,
	        .ca_file = o->ca_file,
	        .stop_fd = o->stop_fd};
	struct anchor_config cfg = o->chain;
	struct anchor_view view = {0};
	struct run *r;
	int rc = -1;

	if (anchor_options_check(o, e) < 0 || ethkey_account(o->secret, cfg.from, e) < 0)
		return -1;
	if (!saved_n && target->what == ANCHOR_HEAD && target->size == 0)
		return err_set(e, ERR_INVALID, "a log without entries cannot be anchored");
	r = calloc(1, sizeof(*r));
	CHECK(r != NULL);
	r->o = o;
	if (saved_n)
		rc = anchor_resume(&r->machine, &cfg, saved, saved_n, now_ns(), e);
	else
		anchor_begin(&r->machine, &cfg, target, now_ns());
	if ((!saved_n || rc == 0) && http_new(&ho, &r->rpc.http, e) == 0) {
		rc = go(r, &view, e);
		anchor_view(&r->machine, &view);
		*out = view;
		http_free(r->rpc.http);
	} else {
		rc = -1;
	}
	free(r);
	return rc;
}
