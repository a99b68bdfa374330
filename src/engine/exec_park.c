/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_park - results whose outputs are files wait until those are read and hashed; those behind them wait too, since a
 * lease's results come in order. At most RUN_AHEAD of a process lease wait, as many as its packets hold of a worker's.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/exec_int.h"
#include "engine/gather.h"
#include "engine/hub_copies.h"

bool run_must_park(const struct run *r)
{
	return r->gathering || r->parked;
}

void parked_drop(struct run *r)
{
	while (r->parked) {
		struct parked *p = r->parked;

		r->parked = p->next;
		if (p->fd >= 0)
			(void)close(p->fd);
		free(p);
	}
	r->parked_end = &r->parked;
}

bool exited_has_files(const struct keeper_msg *m)
{
	if (m->flags & (KEEPER_OUT_SPOOLED | KEEPER_ERR_SPOOLED))
		return true;
	for (uint32_t i = 0; i < m->u.exited.n_outputs; i++) {
		uint64_t n = keeper_output_bytes(&m->u.exited, i);

		if (n && n != KEEPER_MISSING)
			return true;
	}
	return false;
}

static void go_on(struct exec *x, struct run *r);

static struct parked *push(struct run *r, size_t n)
{
	struct parked *p = calloc(1, sizeof(*p) + n);

	CHECK(p);
	p->n = n;
	p->fd = -1;
	*r->parked_end = p;
	r->parked_end = &p->next;
	return p;
}

void park_exited(struct exec *x, struct run *r, const struct keeper_msg *m)
{
	size_t n = 0;
	uint8_t *packet = malloc(KEEPER_PACKET_MAX);
	struct parked *p;

	CHECK(packet);
	CHECK(keeper_msg_build(packet, KEEPER_PACKET_MAX, &n, m, NULL) == 0); /* it was one */
	p = push(r, n);
	memcpy(p->bytes, packet, n);
	free(packet);
	p->index = m->index;
	if (r->parked == p && !r->gathering)
		go_on(x, r);
}

void park_worker(struct exec *x, struct run *r, uint64_t index, const struct worker_result *w,
        const uint8_t *bytes, int fd)
{
	size_t n = fd >= 0 ? 0 : w->length;
	struct parked *p = push(r, n);

	p->worker = true;
	p->index = index;
	p->fd = fd;
	p->result = *w;
	if (n)
		memcpy(p->bytes, bytes, n);
	if (r->parked == p && !r->gathering)
		go_on(x, r);
}

static void add_spooled(
        struct exec *x, struct gather *g, const struct keeper_msg *m, int which, const char *suffix)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/spool/%llu-%llu.%s", x->n->state_dir,
	        (unsigned long long)m->lease, (unsigned long long)m->index, suffix);
	gather_add(g, which, path, -1);
}

static struct gather *files_of(struct exec *x, const struct keeper_msg *m)
{
	struct gather *g = gather_new(x->n->blobs, 2u + m->u.exited.n_outputs);
	char suffix[16];

	if (m->flags & KEEPER_OUT_SPOOLED)
		add_spooled(x, g, m, GATHER_OUT, "out");
	if (m->flags & KEEPER_ERR_SPOOLED)
		add_spooled(x, g, m, GATHER_ERR, "err");
	for (uint32_t i = 0; i < m->u.exited.n_outputs; i++) {
		uint64_t n = keeper_output_bytes(&m->u.exited, i);

		if (n == 0 || n == KEEPER_MISSING)
			continue;
		(void)snprintf(suffix, sizeof(suffix), "o%u", i);
		add_spooled(x, g, m, (int)i, suffix);
	}
	return g;
}

/* Stage the head of the queue and take it off. */
static void settle(struct exec *x, struct run *r, const struct gathered *files, size_t n_files)
{
	struct parked *p = r->parked;
	struct keeper_msg m;
	size_t at = 0;

	r->parked = p->next;
	if (!r->parked)
		r->parked_end = &r->parked;
	if (p->worker) {
		worker_stage(x, r, &p->result, p->bytes, p->n, n_files ? files : NULL);
	} else {
		CHECK(keeper_msg_next(p->bytes, p->n, &at, &m, NULL) == 1);
		process_stage(x, r, &m, files, n_files);
	}
	free(p);
}

static void on_gathered(void *ctx, struct gather *g, const struct gathered *files, size_t n)
{
	struct run *r = ctx;
	struct exec *x = r->x;

	CHECK(r->gathering == g);
	r->gathering = NULL;
	/* Not waited for: see docs/record.md, what a standby has. */
	for (size_t i = 0; i < n; i++)
		if (!files[i].failed && files[i].bytes > OUTPUT_SMALL_MAX)
			hub_copy(x->n, files[i].sha256, files[i].bytes, NULL, NULL);
	settle(x, r, files, n);
	go_on(x, r);
	run_refusals(x, r);
	if (r->s->worker)
		worker_fill(x, r);
	else
		process_fill(x, r);
}

/* Settle what can be settled; start to gather for the first that has files. */
static void go_on(struct exec *x, struct run *r)
{
	while (r->parked && !r->gathering) {
		struct parked *p = r->parked;
		struct gather *g = NULL;
		struct keeper_msg m;
		size_t at = 0;

		if (p->worker && p->fd >= 0) {
			g = gather_new(x->n->blobs, 1);
			gather_add(g, 0, NULL, p->fd);
			p->fd = -1;
		} else if (!p->worker) {
			CHECK(keeper_msg_next(p->bytes, p->n, &at, &m, NULL) == 1);
			if (exited_has_files(&m))
				g = files_of(x, &m);
		}
		if (g) {
			r->gathering = g;
			gather_go(g, &x->n->loop, on_gathered, r);
		} else {
			settle(x, r, NULL, 0);
		}
	}
	run_touch(x, r);
}
