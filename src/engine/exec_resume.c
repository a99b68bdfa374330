/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_resume - what runs goes on: after a start of the engine, leases of the journal are matched with what the keeper knows.
 *
 *	lease live | keeper            | then
 *	-----------+-------------------+-------------------------------------------------------------
 *	yes        | slot              | goes on; its results so far are taken
 *	yes        | results, no slot  | goes on with the next task in a new slot
 *	yes        | nothing           | never began (START was lost with the engine): starts now
 *	yes        | ..., not RESUMED  | another keeper may have had it: KEEPER_LOST, its tasks wait again
 *	no         | slot              | released
 */
#include <errno.h>
#include <poll.h>

#include "base/check.h"
#include "engine/exec_int.h"

#define HELLO_TIMEOUT_MS 10000

int exec_hello(struct exec *x, struct err *e)
{
	struct keeper_msg m = {.kind = KEEPER_HELLO, .u.hello.version = KEEPER_PROTOCOL};
	struct lease_view v;
	lease_id at = {0};

	while (engine_node_lease_next(x->n->engine, NODE_THIS, at, &v)) {
		at = v.id;
		run_take_up(x, &v)->recovering = true;
	}
	if (exec_send(x, &m, e) < 0)
		return -1;
	keeper_link_flush(x->keeper);
	while (!x->ready && !x->lost) {
		struct pollfd p = {.fd = keeper_link_fd(x->keeper), .events = keeper_link_events(x->keeper)};
		int rc = poll(&p, 1, HELLO_TIMEOUT_MS);

		if (rc < 0 && errno == EINTR)
			continue;
		if (rc < 0)
			return err_sys(e, "cannot wait for the keeper");
		if (rc == 0)
			return err_set(e, ERR_TIMEOUT, "the keeper does not answer");
		keeper_link_ready(x->keeper);
	}
	if (x->lost) {
		*e = x->lost_why;
		return err_wrap(e, "the keeper");
	}
	return 0;
}

/* All of it was told before; the last engine may have kept the slot. What it committed to needs no keeper. */
static void resume_held(struct exec *x, struct run *r)
{
	struct lease_view v;
	struct slot *s = r->slot;

	CHECK(engine_lease(x->n->engine, (lease_id){r->lease}, &v));
	r->held = true;
	r->slot = NULL;
	if (s) {
		s->run = NULL;
		slot_release(x, s);
	}
	if (v.stopping)
		exec_stop(x, v.id, v.reason);
	else if (v.revealing)
		exec_reveal(x, v.id);
}

void exec_not_resumed(struct exec *x)
{
	x->keeper_resumed = false;
}

static void resume_run(struct exec *x, struct run *r)
{
	struct lease_view v;

	r->recovering = false;
	if (r->stopped)
		return;
	if (commit_waits(x, r) && r->next == r->end) {
		resume_held(x, r);
		return;
	}
	if (!r->seen && !x->keeper_resumed) {
		run_stopped(x, r, WIRE__STOP_REASON__KEEPER_LOST, "the keeper that ran it is gone");
		return;
	}
	CHECK(engine_lease(x->n->engine, (lease_id){r->lease}, &v));
	if (v.stopping) {
		exec_stop(x, v.id, v.reason);
		return;
	}
	run_touch(x, r);
	if (r->next == r->end)
		return;
	if (!r->slot) {
		run_begin(x, r);
		return;
	}
	r->slot->n_devices = r->n_devices;
	for (uint32_t i = 0; i < r->n_devices; i++)
		r->slot->devices[i] = r->devices[i];
	if (!r->s->worker)
		process_fill(x, r);
	else if (r->slot->worker.link)
		worker_resume(x, r);
}

void exec_resume(struct exec *x)
{
	struct lease_view v;
	lease_id at = {0};

	for (uint32_t i = 0; i < x->slots_used; i++)
		if (x->slots[i].known && !x->slots[i].run)
			slot_release(x, &x->slots[i]);
	while (engine_node_lease_next(x->n->engine, NODE_THIS, at, &v)) {
		struct run *r = run_find(x, v.id.v);

		at = v.id;
		CHECK(r);
		resume_run(x, r);
	}
	compare_resume(x);
}

void exec_tell_resumed(struct exec *x)
{
	struct keeper_msg m = {.kind = KEEPER_RESUMED};

	/* Who waits for the node to be ready was told before it runs. */
	if (x->resume_size == UINT64_MAX || x->touched || !x->n->running)
		return;
	if (!x->resume_size)
		x->resume_size = x->n->size;
	if (journal_durable(x->n->journal) < x->resume_size)
		return;
	if (exec_send(x, &m, NULL) == 0)
		x->resume_size = UINT64_MAX;
}
