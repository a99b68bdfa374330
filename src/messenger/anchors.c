/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anchors - at regular times the newest head goes onto each chain of the configuration, in a thread for each.
 *
 * A chain whose nodes hang or lie delays itself alone. What is on its way is followed first, whoever began it.
 */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "io/clock.h"
#include "messenger/anchor_job.h"
#include "messenger/heads.h"
#include "messenger/services.h"

#define SECOND_NS      1000000000ull
#define LOOK_NS        (60 * SECOND_NS) /* for a newer head, at least so often */
#define TROUBLE_NS     (10 * SECOND_NS)
#define TROUBLE_MAX_NS (600 * SECOND_NS)

struct chain {
	pthread_t thread;
	const struct messenger *m;
	const struct config_anchor *cfg;
	struct heads heads;
	uint64_t pause_ns; /* after the last trouble */
	char said[MESSENGER_SAID_MAX], stuck[MESSENGER_SAID_MAX];
};
struct anchors {
	size_t n;
	struct chain chain[CONFIG_ANCHORS_MAX];
};

static bool wanted(const struct config *c)
{
	for (size_t i = 0; i < c->n_anchors; i++)
		if (c->anchors[i].kind == CONFIG_CHAIN)
			return true;
	return false;
}

/* What is in the way while an anchor waits is logged, once. */
static void tell(void *ctx, const struct anchor_view *v, uint64_t size)
{
	struct chain *c = ctx;

	if (v->troubled)
		messenger_say(c->stuck, "chain %llu, head of %llu entries: %s",
		        (unsigned long long)c->cfg->chain.chain_id, (unsigned long long)size, v->why.msg);
	else
		c->stuck[0] = '\0';
}

static int ask(
        void *ctx, const char *method, const char *target, const json_t *body, json_t **out, struct err *e)
{
	struct chain *c = ctx;

	return heads_ask(&c->heads, method, target, body, out, e);
}

/* Until the next look, in nanoseconds; 0 with *out_due: anchor now. */
static int look(struct chain *c, const struct anchor_job *j, uint64_t *out_ns, struct err *e)
{
	uint64_t most = c->cfg->every_ns < LOOK_NS ? c->cfg->every_ns : LOOK_NS, due;
	char place[ANCHOR_PLACE_MAX];
	struct head_news last;
	struct head_now *head;
	uint8_t contract[20];
	int rc = -1;

	*out_ns = 0;
	if (anchor_job_open(j))
		return 0;
	if (anchor_job_contract(j, contract, e) < 0)
		return -1;
	head = malloc(sizeof(*head));
	CHECK(head);
	anchor_place(c->cfg->chain.chain_id, contract, place);
	if (heads_newest(&c->heads, head, e) == 0 &&
	        heads_last(&c->heads, ANCHORED_CHAIN, place, &last, e) == 0) {
		due = head_due_ns(&last, head->size, c->cfg->every_ns, clock_wall_ns() / SECOND_NS);
		*out_ns = due < most ? due : most;
		rc = 0;
	}
	free(head);
	return rc;
}

static uint64_t turn(struct chain *c)
{
	struct anchor_job j = {.state_dir = c->m->state_dir,
	        .chain = c->cfg,
	        .stop_fd = c->m->stop_fd,
	        .ask = ask,
	        .tell = tell,
	        .ctx = c};
	struct anchor_job_end end;
	uint64_t wait = 0;
	struct err e = {0};
	int rc = look(c, &j, &wait, &e);

	if (rc == 0 && wait > 0)
		return wait;
	if (rc == 0)
		rc = anchor_job_head(&j, &end, &e);
	if (rc == 0) {
		c->pause_ns = 0;
		c->said[0] = '\0';
		return SECOND_NS / 10;
	}
	if (e.code != ERR_CLOSED)
		messenger_say(c->said, "chain %llu: %s%s%s", (unsigned long long)c->cfg->chain.chain_id,
		        e.msg, e.hint[0] ? "; " : "", e.hint);
	c->pause_ns = c->pause_ns ? 2 * c->pause_ns : TROUBLE_NS;
	c->pause_ns = c->pause_ns < TROUBLE_MAX_NS ? c->pause_ns : TROUBLE_MAX_NS;
	/* A contract or a first head may come at any time, and costs nothing to look for. */
	return e.code == ERR_NOTFOUND || e.code == ERR_CLOSED ? SECOND_NS : c->pause_ns;
}

static void *run(void *arg)
{
	struct chain *c = arg;
	struct pollfd p = {.fd = c->m->stop_fd, .events = POLLIN};
	uint64_t wait = 0;

	while (poll(&p, 1, (int)((wait + 999999) / 1000000)) == 0)
		wait = turn(c);
	heads_close(&c->heads);
	return NULL;
}

static int open_(const struct messenger *m, void **out, struct err *e)
{
	struct anchors *a = calloc(1, sizeof(*a));

	CHECK(a);
	for (size_t i = 0; i < m->config->n_anchors; i++) {
		struct chain *c = &a->chain[a->n];

		if (m->config->anchors[i].kind != CONFIG_CHAIN)
			continue;
		c->m = m;
		c->cfg = &m->config->anchors[i];
		if (heads_open(m, &c->heads, e) < 0)
			goto fail;
		a->n++;
	}
	for (size_t i = 0; i < a->n; i++)
		CHECK(pthread_create(&a->chain[i].thread, NULL, run, &a->chain[i]) == 0);
	*out = a;
	return 0;
fail:
	for (size_t i = 0; i < a->n; i++)
		heads_close(&a->chain[i].heads);
	free(a);
	return -1;
}

static uint64_t never(void *ctx, uint64_t now_ns)
{
	(void)ctx;
	(void)now_ns;
	return MESSENGER_NEVER;
}

static void close_(void *ctx)
{
	struct anchors *a = ctx;

	for (size_t i = 0; i < a->n; i++)
		(void)pthread_join(a->chain[i].thread, NULL);
	free(a);
}

const struct service service_anchors = {"anchors", wanted, open_, never, close_};
