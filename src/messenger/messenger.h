/* SPDX-License-Identifier: Apache-2.0 */
/*
 * messenger - the process that talks to strangers for a node: witnesses, chains, authorities of time.
 *
 * A process of its own (`osier messenger --state DIR`), because libcurl and TLS cost more memory than the engine, and because what
 * strangers answer is not read where the journal is written. The engine starts it when the configuration asks for it, and again
 * when it ends; it ends with the engine, however that ends. It knows the node by its API alone (api.sock, as the node's owner).
 * One at a time: STATE/messenger.lock is held for life.
 *
 * What it does are services, a thread each, so that one that waits for somebody delays no other. A service must bear being
 * killed at any moment.
 */
#ifndef OSIER_MESSENGER_MESSENGER_H
#define OSIER_MESSENGER_MESSENGER_H

#include "engine/config.h"
#include "io/http.h"

int messenger_main(int argc, char **argv);

/* What all services share; constant while they run. */
struct messenger {
	const char *state_dir;
	const struct config *config;
	char socket[64]; /* of the API; a short name however long the folder's is */
	int stop_fd;     /* readable when it is over: for http_options.stop_fd */
};

#define MESSENGER_NEVER UINT64_MAX

struct service {
	const char *name;
	bool (*wanted)(const struct config *c);
	/* In its thread. When it fails the service is opened again later; *e is logged when it changes. */
	int (*open)(const struct messenger *m, void **out, struct err *e);
	/* Do what is to be done; returns when it wants its next turn (now_ns of clock_mono_ns(), MESSENGER_NEVER). What takes long must
	 * look at stop_fd. */
	uint64_t (*turn)(void *ctx, uint64_t now_ns);
	void (*close)(void *ctx);
};
extern const struct service *const messenger_services[]; /* ends with NULL */

/* ---- asking the engine (ask.c) ---- */

struct http *engine_connect(const struct messenger *m, uint64_t timeout_ns, size_t answer_max, struct err *e);
/* target: "/v1/...". A status of 400 and more is an error, with the engine's own words: ERR_NOTFOUND 404, ERR_DENIED 403, ERR_INVALID
 * other 4xx, ERR_SYSTEM the rest. ERR_CLOSED: it does not answer now. The answer is valid until the next request. */
int engine_ask(struct http *h, enum http_method method, const char *target, const char *type,
        const void *body, size_t n, struct http_answer *out, struct err *e);

/* Does the engine listen now? */
bool engine_answers(const struct messenger *m);

/* Wait until the engine has an answer to this request, and throw it away; `seconds` at most, not when it is over. For requests that it
 * answers late: libcurl looks around every second while it waits, this sleeps. */
void engine_wait(const struct messenger *m, const char *target, unsigned seconds);

/* Log a line when it is not what `last` says (of what was logged last; "" forgets). */
#define MESSENGER_SAID_MAX 320
void messenger_say(char last[MESSENGER_SAID_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
