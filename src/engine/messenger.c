/* SPDX-License-Identifier: Apache-2.0 */
/*
 * messenger - starts the process that talks to witnesses and chains, and starts it again when it ends.
 *
 * See messenger/messenger.h. It ends with us: told to when we stop in good order, by the system (PR_SET_PDEATHSIG) when we do
 * not. Nothing here waits for it.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/node_int.h"

#define PAUSE_MS     1000u
#define PAUSE_MAX_MS 60000u
#define LONG_NS      (60ull * 1000000000ull) /* who ran that long gets a short pause again */
#define EXIT_CANNOT  78

struct node_messenger {
	struct node *node;
	uv_process_t process;
	uv_timer_t again;
	char *config;
	bool running, closing;
	uint64_t pause_ms, since_ns;
};

static void start(struct node_messenger *m);

static void on_again(uv_timer_t *t)
{
	start(t->data);
}

static void start_later(struct node_messenger *m)
{
	if (clock_mono_ns() - m->since_ns > LONG_NS)
		m->pause_ms = PAUSE_MS;
	(void)uv_timer_start(&m->again, on_again, m->pause_ms, 0);
	m->pause_ms = m->pause_ms > PAUSE_MAX_MS / 2 ? PAUSE_MAX_MS : 2 * m->pause_ms;
}

static void on_closed(uv_handle_t *h)
{
	struct node_messenger *m = h->data;

	if (!m->closing)
		start_later(m);
}

static void on_exit_(uv_process_t *p, int64_t status, int sig)
{
	struct node_messenger *m = p->data;

	m->running = false;
	if (m->closing)
		return;
	if (sig == 0 && (status == 0 || status == EXIT_CANNOT))
		return; /* it has nothing to do, or cannot: it said so */
	(void)fprintf(stderr, "osier: the messenger ended (%s %d), it is started again\n",
	        sig ? "signal" : "code", sig ? sig : (int)status);
	uv_close((uv_handle_t *)p, on_closed);
}

static void start(struct node_messenger *m)
{
	char parent[16];
	char *argv[] = {"osier", "messenger", "--state", m->node->state_dir, "--parent", parent,
	        m->config ? "--config" : NULL, m->config, NULL};
	uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE}, {.flags = UV_INHERIT_FD, .data.fd = 2},
	        {.flags = UV_INHERIT_FD, .data.fd = 2}};
	uv_process_options_t o = {.exit_cb = on_exit_,
	        .file = "/proc/self/exe",
	        .args = argv,
	        .stdio = stdio,
	        .stdio_count = 3};
	int rc;

	(void)snprintf(parent, sizeof(parent), "%d", (int)getpid());
	m->since_ns = clock_mono_ns();
	m->process.data = m;
	rc = uv_spawn(&m->node->loop, &m->process, &o);
	m->running = rc == 0;
	if (rc == 0)
		return;
	(void)fprintf(stderr, "osier: cannot start the messenger: %s\n", uv_strerror(rc));
	uv_close((uv_handle_t *)&m->process, on_closed);
}

void messenger_init(struct node *n, const char *config)
{
	struct node_messenger *m;
	struct ledger_status s;

	ledger_status(n, &s);
	if (!s.on || (!n->witnesses && !n->config.n_anchors))
		return;
	m = calloc(1, sizeof(*m));
	CHECK(m);
	m->node = n;
	m->pause_ms = PAUSE_MS;
	if (config) {
		m->config = strdup(config);
		CHECK(m->config);
	}
	CHECK(uv_timer_init(&n->loop, &m->again) == 0);
	m->again.data = m;
	n->messenger = m;
	start(m);
}

void messenger_stop(struct node *n)
{
	struct node_messenger *m = n->messenger;

	if (!m || m->closing)
		return;
	m->closing = true;
	if (m->running)
		(void)uv_process_kill(&m->process, SIGTERM);
}

void messenger_close(struct node *n)
{
	if (!n->messenger)
		return;
	free(n->messenger->config);
	free(n->messenger);
	n->messenger = NULL;
}
