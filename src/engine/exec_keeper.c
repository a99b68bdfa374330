/* SPDX-License-Identifier: Apache-2.0 */
/* exec_keeper - what the keeper says, and which run it means; see exec_int.h. */
#include <unistd.h>

#include "engine/exec_int.h"

static void on_ready(struct exec *x, const struct keeper_msg *m)
{
	x->ready = true;
	x->enforced = m->u.ready.enforced;
	x->keeper_resumed = m->u.ready.resumed;
	(void)snprintf(x->notice, sizeof(x->notice), "%s", m->u.ready.notice.p);
}

static void on_slot(struct exec *x, const struct keeper_msg *m, int fd)
{
	struct run *r = run_find(x, m->lease);
	struct slot *s;

	if (m->slot >= KEEPER_SLOTS_MAX) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	s = &x->slots[m->slot];
	s->known = true;
	slots_reach(x, m->slot + 1);
	if (!r || !r->recovering || r->slot) {
		if (fd >= 0)
			(void)close(fd);
		return; /* exec_resume() lets it go */
	}
	r->seen = true;
	r->slot = s;
	s->run = r;
	s->job = r->job;
	s->step = r->step;
	s->variant = r->variant;
	s->uid = r->uid;
	if (m->flags & KEEPER_WORKER) {
		s->wants_worker = true;
		s->lease = m->lease;
		if (fd >= 0)
			worker_started(x, s, fd, true);
	} else if (m->u.slot.last_index >= r->sent && m->u.slot.last_index < r->end) {
		r->sent = m->u.slot.last_index + 1;
	}
}

static void on_exited(struct exec *x, const struct keeper_msg *m)
{
	struct run *r = run_find(x, m->lease);
	struct keeper_msg ack = {.kind = KEEPER_ACK, .lease = m->lease, .index = m->index};

	/* A worker that died before the keeper read ADOPT: it goes by the lease that it served before. */
	if (!r && m->flags & KEEPER_WORKER && m->slot < KEEPER_SLOTS_MAX && x->slots[m->slot].run &&
	        x->slots[m->slot].adopted_from == m->lease) {
		(void)exec_send(x, &ack, NULL);
		r = x->slots[m->slot].run;
	}
	if (!r) {
		/* A lease that is over: its results are durable or refused. */
		(void)exec_send(x, &ack, NULL);
		return;
	}
	r->seen = true;
	if (m->flags & KEEPER_WORKER)
		worker_exited(x, r, m);
	else
		process_exited(x, r, m);
}

static void on_refused(struct exec *x, const struct keeper_msg *m)
{
	struct run *r = run_find(x, m->lease);

	if (!r)
		return;
	if (m->index == KEEPER_INDEX_WORKER)
		run_stopped(x, r, WIRE__STOP_REASON__COULD_NOT_START, m->u.refused.p);
	else
		run_refuse(x, r, m->index, m->u.refused.p);
}

void exec_on_message(void *ctx, const struct keeper_msg *m, int fd)
{
	struct exec *x = ctx;
	struct run *r;

	if (m->lease >= COMPARE_LEASE && compare_message(x, m))
		return;
	switch (m->kind) {
	case KEEPER_READY:
		on_ready(x, m);
		break;
	case KEEPER_SLOT:
		on_slot(x, m, fd);
		return;
	case KEEPER_STARTED:
		if (m->flags & KEEPER_WORKER && m->slot < KEEPER_SLOTS_MAX && fd >= 0) {
			worker_started(x, &x->slots[m->slot], fd, false);
			return;
		}
		break;
	case KEEPER_EXITED:
		on_exited(x, m);
		break;
	case KEEPER_STOPPED:
		r = run_find(x, m->lease);
		if (r) {
			r->seen = true;
			run_stopped(x, r, r->reason, NULL);
		} else {
			struct keeper_msg ack = {.kind = KEEPER_ACK, .lease = m->lease, .index = UINT64_MAX};

			(void)exec_send(x, &ack, NULL);
		}
		break;
	case KEEPER_REFUSED:
		on_refused(x, m);
		break;
	case KEEPER_HELLO:
	case KEEPER_START:
	case KEEPER_STOP:
	case KEEPER_ADJUST:
	case KEEPER_FOLLOW:
	case KEEPER_ADOPT:
	case KEEPER_ACK:
	case KEEPER_RELEASE:
	case KEEPER_SHUTDOWN:
	case KEEPER_RESUMED:
		break;
	}
	if (fd >= 0)
		(void)close(fd);
}

void exec_on_lost(void *ctx, const struct err *e)
{
	struct exec *x = ctx;

	x->lost = true;
	x->lost_why = *e;
	if (x->polling)
		(void)uv_poll_stop(&x->keeper_poll);
	node_stop(x->n);
}
