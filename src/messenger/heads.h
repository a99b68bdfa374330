/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heads - what the anchoring services ask the engine: the newest signed head, the last news of a place; and when the next head is due.
 *
 * The answers of the engine are read here alone. Blocking, one thread at a time.
 */
#ifndef OSIER_MESSENGER_HEADS_H
#define OSIER_MESSENGER_HEADS_H

#include <jansson.h>

#include "io/anchored.h"
#include "messenger/messenger.h"

struct heads { /* of the thread */
	struct http *http;
};
int heads_open(const struct messenger *m, struct heads *out, struct err *e);
void heads_close(struct heads *h);

/* As struct anchor_job's ask: ctx is a struct heads. */
int heads_ask(
        void *ctx, const char *method, const char *target, const json_t *body, json_t **out, struct err *e);

struct head_now {
	uint64_t size;
	char note[LOG_NOTE_MAX];
	uint8_t digest[32]; /* SHA-256 of the note's text: what is stamped */
};
/* ERR_NOTFOUND: nothing was published yet. */
int heads_newest(struct heads *h, struct head_now *out, struct err *e);

struct head_news {
	bool any;
	uint64_t size, time_s;
	enum anchored_state state;
};
int heads_last(
        struct heads *h, enum anchored_kind kind, const char *place, struct head_news *out, struct err *e);

/* How long until a head of `size` is due where `last` came last, at `now_s` (since 1970); 0: now. UINT64_MAX: it is there. */
uint64_t head_due_ns(const struct head_news *last, uint64_t size, uint64_t every_ns, uint64_t now_s);

/* Tell the engine of a stamp. */
int heads_stamp(struct heads *h, enum anchored_kind kind, const char *place, enum anchored_state state,
        const char *note, const uint8_t *proof, size_t n, json_t *details_taken, struct err *e);

#endif
