/* SPDX-License-Identifier: Apache-2.0 */
/* queue - batches and inputs that the engine sent; see internal.h. Bytes from the engine are checked here. */
#include <string.h>
#include <sys/mman.h>

#include "internal.h"

struct reader {
	const uint8_t *p;
	size_t n;
};

static int read_bytes(struct reader *r, void *out, size_t n)
{
	if (r->n < n)
		return -1;
	memcpy(out, r->p, n);
	r->p += n;
	r->n -= n;
	return 0;
}

static int read_text(struct reader *r, const uint8_t **out, size_t *out_n)
{
	uint32_t len;

	if (read_bytes(r, &len, sizeof(len)) < 0 || r->n < len)
		return -1;
	*out = r->p;
	*out_n = len;
	r->p += len;
	r->n -= len;
	return 0;
}

void queue_init(struct queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
	q->inputs = NULL;
	q->inputs_tail = &q->inputs;
}

int queue_batch(struct queue *q, const uint8_t *p, size_t n)
{
	struct batch *b = must_alloc(sizeof(*b));
	struct reader r;
	const uint8_t *name;
	size_t name_n;

	memset(b, 0, sizeof(*b));
	b->packet = must_alloc(n + 1);
	memcpy(b->packet, p, n);
	r = (struct reader){b->packet, n};
	if (read_bytes(&r, &b->head, sizeof(b->head)) < 0 ||
	        read_bytes(&r, &b->total, sizeof(b->total)) < 0 || read_text(&r, &name, &name_n) < 0 ||
	        b->head.count == 0) {
		free(b->packet);
		free(b);
		return -1;
	}
	b->function = must_alloc(name_n + 1);
	memcpy(b->function, name, name_n);
	b->function[name_n] = '\0';
	b->next = b->head.first;
	b->arg = r.p;
	b->arg_left = r.n;
	*q->tail = b;
	q->tail = &b->after;
	return 0;
}

int batch_arg(struct batch *b, const char **out, size_t *out_n)
{
	struct reader r = {b->arg, b->arg_left};
	const uint8_t *text;

	if (read_text(&r, &text, out_n) < 0)
		return -1;
	*out = (const char *)text;
	if (b->head.flags & WORKER_VARIES) {
		b->arg = r.p;
		b->arg_left = r.n;
	}
	return 0;
}

static void batch_free(struct batch *b)
{
	free(b->function);
	free(b->packet);
	free(b);
}

void queue_pop(struct queue *q)
{
	struct batch *b = q->head;

	q->head = b->after;
	if (!q->head)
		q->tail = &q->head;
	batch_free(b);
}

uint64_t queue_cancel(struct queue *q, uint64_t lease)
{
	uint64_t first = UINT64_MAX;

	for (struct batch **at = &q->head; *at;) {
		struct batch *b = *at;

		if (b->head.lease != lease) {
			at = &b->after;
			continue;
		}
		if (b->next < first)
			first = b->next;
		*at = b->after;
		batch_free(b);
	}
	q->tail = &q->head;
	while (*q->tail)
		q->tail = &(*q->tail)->after;
	return first;
}

/* The engine sends them anew. */
static void drop_inputs(struct queue *q, uint64_t lease, uint64_t task)
{
	for (struct input **at = &q->inputs; *at;) {
		struct input *in = *at;

		if (in->lease != lease || in->task != task) {
			at = &in->next;
			continue;
		}
		*at = in->next;
		in->next = NULL;
		inputs_free(in);
	}
	q->inputs_tail = &q->inputs;
	while (*q->inputs_tail)
		q->inputs_tail = &(*q->inputs_tail)->next;
}

int queue_input(struct queue *q, const uint8_t *p, size_t n)
{
	struct reader r = {p, n};
	struct worker_head head;

	if (read_bytes(&r, &head, sizeof(head)) < 0)
		return -1;
	if (head.flags & WORKER_FRESH)
		drop_inputs(q, head.lease, head.first);
	for (uint64_t i = 0; i < head.count; i++) {
		struct input *in;
		const uint8_t *text;
		size_t len;
		uint8_t kind;

		if (read_bytes(&r, &kind, 1) < 0 || kind > 1 || read_text(&r, &text, &len) < 0)
			return -1;
		in = must_alloc(sizeof(*in));
		memset(in, 0, sizeof(*in));
		in->lease = head.lease;
		in->task = head.first;
		in->n = len;
		in->bytes = must_alloc(len + 1);
		memcpy(in->bytes, text, len);
		((char *)in->bytes)[len] = '\0';
		if (kind == 1) {
			in->path = in->bytes;
			in->bytes = NULL;
			in->n = 0;
		}
		*q->inputs_tail = in;
		q->inputs_tail = &in->next;
	}
	return 0;
}

struct input *queue_take_inputs(struct queue *q, uint64_t lease, uint64_t task, size_t *out_n)
{
	struct input *list = NULL, **end = &list;

	*out_n = 0;
	for (struct input **at = &q->inputs; *at;) {
		struct input *in = *at;

		/* Results come in order, so inputs of earlier tasks of the lease are of no use any more. */
		if (in->lease != lease || in->task > task) {
			at = &in->next;
			continue;
		}
		*at = in->next;
		in->next = NULL;
		if (in->task < task) {
			inputs_free(in);
			continue;
		}
		*end = in;
		end = &in->next;
		(*out_n)++;
	}
	q->inputs_tail = &q->inputs;
	while (*q->inputs_tail)
		q->inputs_tail = &(*q->inputs_tail)->next;
	return list;
}

void inputs_free(struct input *list)
{
	while (list) {
		struct input *next = list->next;

		if (list->mapped)
			(void)munmap(list->bytes, list->n);
		else
			free(list->bytes);
		free((void *)(uintptr_t)list->path);
		free(list);
		list = next;
	}
}
