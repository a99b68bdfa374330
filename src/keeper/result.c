/* SPDX-License-Identifier: Apache-2.0 */
/* result - EXITED messages, kept until the engine says that they are durable; see keeper.h. */
#include "keeper/keeper.h"

#include <string.h>

#include "base/check.h"
#include "keeper/sys.h"

static uint8_t build[KEEPER_PACKET_MAX];

void result_make(struct keeper *k, struct slot *s, struct keeper_exited *x)
{
	struct keeper_msg m = {.kind = KEEPER_EXITED,
	        .slot = s->id,
	        .lease = s->lease,
	        .index = s->index,
	        .flags = s->worker ? KEEPER_WORKER : 0};
	struct held *h;
	size_t n = 0;
	struct err e;

	for (int i = 0; i < 2; i++) {
		const struct stream *st = &s->out[i];
		struct keeper_text text = {(const char *)st->mem, st->spooled ? 0 : st->n};

		*(i ? &x->err : &x->out) = text;
		*(i ? &x->err_bytes : &x->out_bytes) = st->kept;
		*(i ? &x->err_dropped : &x->out_dropped) = st->dropped;
		if (st->spooled)
			m.flags |= i ? KEEPER_ERR_SPOOLED : KEEPER_OUT_SPOOLED;
	}
	m.u.exited = *x;
	CHECK(keeper_msg_build(build, sizeof(build), &n, &m, &e) ==
	        0); /* 2 x 64 KiB and small things: fits */
	h = malloc(sizeof(*h) + n);
	if (!h) {
		/* The engine would wait for ever. A restart makes the task run again. */
		sys_say("out of memory for a result");
		abort();
	}
	memset(h, 0, sizeof(*h));
	h->lease = s->lease;
	h->index = s->index;
	h->bytes = (uint32_t)n;
	h->n_outputs = x->n_outputs;
	h->spooled = s->out[0].spooled || s->out[1].spooled || x->n_outputs;
	memcpy(h->msg, build, n);
	if (k->held_tail)
		k->held_tail->next = h;
	else
		k->held_head = h;
	k->held_tail = h;
	k->n_held++;
	k->held_bytes += n;
	engine_send_packed(k, h->msg, n, s->head && s->head->lease == s->lease);
}

void result_refuse(struct keeper *k, uint32_t slot, uint64_t lease, uint64_t index, const char *why)
{
	struct keeper_msg m = {.kind = KEEPER_REFUSED, .slot = slot, .lease = lease, .index = index};

	m.u.refused = (struct keeper_text){why, (uint32_t)strlen(why)};
	engine_send(k, &m, -1);
}

void result_ack(struct keeper *k, uint64_t lease, uint64_t index)
{
	struct held **at = &k->held_head, *h;

	k->held_tail = NULL;
	while ((h = *at)) {
		if (h->lease != lease || h->index > index) {
			k->held_tail = h;
			at = &h->next;
			continue;
		}
		*at = h->next;
		k->n_held--;
		k->held_bytes -= h->bytes;
		if (h->spooled)
			spool_remove(k, h->lease, h->index, h->n_outputs);
		free(h);
	}
}

void result_tell_all(struct keeper *k)
{
	for (struct held *h = k->held_head; h; h = h->next)
		engine_send_packed(k, h->msg, h->bytes, false);
}
