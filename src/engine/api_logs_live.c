/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_logs_live - what running tasks write, read from their spool files as they grow. See api_logs.h.
 *
 * One watch on the spool's folder serves all clients; nothing is polled. A worker's tasks have no output of their own
 * before they end, so only process tasks are followed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/api_logs.h"

struct log_tail *log_tail_of(struct logs *l, uint32_t step, uint64_t index)
{
	for (unsigned i = 0; i < LOG_TAILS_MAX; i++)
		if (l->tail[i].used && l->tail[i].step == step && l->tail[i].index == index)
			return &l->tail[i];
	return NULL;
}

void log_tail_close(struct log_tail *t)
{
	for (int k = 0; t->used && k < 2; k++)
		if (t->fd[k] >= 0)
			close(t->fd[k]);
	t->used = false;
}

bool log_tails(const struct logs *l)
{
	for (unsigned i = 0; i < LOG_TAILS_MAX; i++)
		if (l->tail[i].used)
			return true;
	return false;
}

/* Ask for the task's output from now on (what it wrote before comes first). */
static void tail_open(struct logs *l, const struct lease_view *v)
{
	struct log_tail *t = NULL;
	char path[4096], *base;

	for (unsigned i = 0; i < LOG_TAILS_MAX && !t; i++)
		if (!l->tail[i].used)
			t = &l->tail[i];
	if (!t)
		return; /* the others are told when they end, or when one of these has */
	*t = (struct log_tail){.step = v->step, .index = v->cursor, .lease = v->id.v, .fd = {-1, -1}};
	for (int k = 0; k < 2; k++) {
		if (!l->want[k])
			continue;
		if (node_follow(l->api->node, l->job, v->step, v->cursor, k, path, sizeof(path), NULL) < 0)
			return;
		base = strrchr(path, '/');
		snprintf(t->base[k], sizeof(t->base[k]), "%.63s", base ? base + 1 : path);
	}
	t->used = true;
}

static bool wants(const struct logs *l, const struct lease_view *v)
{
	if (v->node != NODE_THIS || v->job.v != l->job.v || v->step < l->step || v->step >= l->step_end ||
	        v->cursor >= v->first + v->count)
		return false;
	return (!l->one || v->cursor == l->index) && !l->spec.spec->steps[v->step]->worker;
}

static void find_running(struct logs *l)
{
	const struct engine *en = node_engine(l->api->node);
	struct lease_view v;

	for (lease_id at = {0}; engine_lease_next(en, at, &v); at = v.id) {
		struct log_tail *t;

		if (!wants(l, &v))
			continue;
		t = log_tail_of(l, v.step, v.cursor);
		if (t && t->lease != v.id.v) { /* a new attempt */
			log_tail_close(t);
			t = NULL;
		}
		if (!t)
			tail_open(l, &v);
	}
}

static void open_file(struct logs *l, struct log_tail *t, int k)
{
	char path[4096];

	if (t->fd[k] >= 0 || !l->want[k])
		return;
	if ((size_t)snprintf(path, sizeof(path), "%s/spool/%s", node_state_dir(l->api->node), t->base[k]) <
	        sizeof(path))
		t->fd[k] = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

/* Tell what is new; true: there may be more. */
static bool tell(struct logs *l, struct log_tail *t, int k)
{
	struct log_from from = {
	        .step = t->step, .index = t->index, .lease = t->lease, .k = k, .at = t->told[k]};
	ssize_t n;
	size_t told;

	open_file(l, t, k);
	if (t->fd[k] < 0)
		return false;
	n = pread(t->fd[k], l->buf, sizeof(l->buf), (off_t)t->told[k]);
	if (n <= 0)
		return false;
	told = log_lines(l, &from, l->buf, (size_t)n, false);
	t->told[k] += told;
	return told > 0;
}

/* Does the attempt that is followed still run? What it wrote last is told from what is stored of it. */
static bool runs(const struct logs *l, const struct log_tail *t)
{
	struct task_view v;

	return engine_task(node_engine(l->api->node), l->job, t->step, t->index, &v) &&
	       (v.state == TASK_LEASED ? v.lease.v == t->lease : v.state == TASK_DONE);
}

bool log_live(struct logs *l)
{
	bool more = false;

	find_running(l);
	for (unsigned i = 0; i < LOG_TAILS_MAX; i++) {
		struct log_tail *t = &l->tail[i];

		for (int k = 0; t->used && k < 2; k++)
			more = tell(l, t, k) || more;
		if (t->used && !runs(l, t))
			log_tail_close(t);
	}
	return more;
}

/* ---- the watch ---- */

static void on_spool(uv_fs_event_t *h, const char *name, int events, int status)
{
	struct api *a = h->data;

	(void)events;
	for (struct logs *l = a->logs; l; l = l->next)
		for (unsigned i = 0; i < LOG_TAILS_MAX; i++) {
			const struct log_tail *t = &l->tail[i];

			/* No name: events were lost, so anything may have changed. */
			if (t->used && (status < 0 || !name || !strcmp(t->base[0], name) ||
			                       !strcmp(t->base[1], name)))
				stream_wake(l->stream, STREAM_NOW);
		}
}

void logs_watch_spool(struct api *a)
{
	char path[4096];

	if ((size_t)snprintf(path, sizeof(path), "%s/spool", node_state_dir(a->node)) < sizeof(path))
		uv_fs_event_start(&a->spool, on_spool, path, 0); /* without it lines come when tasks end */
}

void logs_unwatch_spool(struct api *a)
{
	uv_fs_event_stop(&a->spool);
}
