/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_why - an explanation while it is being put together. For api_why*.c alone.
 */
#ifndef OSIER_ENGINE_API_WHY_H
#define OSIER_ENGINE_API_WHY_H

#include "engine/api_places.h"

#define WHY_ADVICE_MAX 4u
#define WHY_WAITS_MAX  16u

struct why_wait {
	const char *step;
	bool one; /* a task, not the whole step */
	uint64_t index, done, total;
};

struct why {
	const char *reason;
	char sentence[1024];
	uint64_t start_ns; /* expected, 0 unknown */
	unsigned n_advice, n_waits;
	char advice[WHY_ADVICE_MAX][240];
	struct why_wait waits[WHY_WAITS_MAX];
	bool has_resource, has_behind;
	struct places places; /* step NULL: it does not wait for a place */
	struct sched_why s;
};

void why_say(struct why *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void why_advise(struct why *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void why_job_text(const struct engine *en, uint64_t job, char *out, size_t room); /* "pi-17" */

/* A ready task: what the scheduler says of its step (api_why_queue.c). */
void why_queue(const struct engine *en, const struct job_view *job, const Wire__JobSpec *spec, uint32_t step,
        uint64_t now, struct why *w);
void why_queue_json(struct json_out *o, const struct engine *en, const struct why *w);

#endif
